"""Predicted rows of a table in partitions on workers, which sum over them where they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, TypeVar, cast

from .._core.machine import single_threaded
from ..frames import Table
from .batches import BatchRows

if TYPE_CHECKING:
    import pandas as pd

    from ..estimate.rows import RowBlock
    from ..frames.partitions import Partitions

T = TypeVar("T")

_TRIES = 3
"""Times that gold rows are sent to the workers again where all copies were lost."""


class _Part:
    """What rows on a worker say they were read from."""

    source = "a partition"


@dataclass(frozen=True)
class WorkerRows(BatchRows):
    """Predicted rows of a table on workers: a source that hands out blocks, and sums over all of them at once."""

    partitions: Partitions | None = field(repr=False, default=None, compare=False)

    @classmethod
    def of(cls, rows: BatchRows, partitions: Partitions) -> WorkerRows:
        """The rows of a table that was read through once."""
        return cls(**{f.name: getattr(rows, f.name) for f in fields(rows)}, partitions=partitions)

    def summed(self, part: Callable[[Iterator[RowBlock]], T]) -> T:
        """Sums over all rows: what a function makes of the blocks of a partition, added up over partitions.

        Parameters
        ----------
        part : callable
            From blocks to a tuple of arrays.
        """
        assert self.partitions is not None
        work = partial(_of_partition, part, self.partitions.rows)
        for _ in range(_TRIES):
            try:
                return self.partitions.summed(self.names, work, self._shared)
            except self.partitions.lost:  # what was sent to workers went with them: send it again
                del self.__dict__["_shared"]
        return self.partitions.summed(self.names, work, self._shared)

    @cached_property
    def _shared(self) -> Any:
        """The rows without their table, on all workers."""
        assert self.partitions is not None
        plain = {f.name: getattr(self, f.name) for f in fields(BatchRows)}
        return self.partitions.shared(BatchRows(**{**plain, "batches": None}))


@single_threaded
def _of_partition(
    part: Callable[[Iterator[RowBlock]], T], size: int, rows: BatchRows, frame: pd.DataFrame, start: int
) -> T:
    """What a function makes of the blocks of a partition, on a worker."""
    whole = replace(rows, batches=cast(Any, _Part()))

    def blocks() -> Iterator[RowBlock]:
        for at in range(0, max(len(frame), 1), size):
            piece = frame.iloc[at : at + size].reset_index(drop=True)
            if len(piece):
                yield from whole.blocks_of(slice(start + at, start + at + len(piece)), Table.read(piece))

    return part(blocks())
