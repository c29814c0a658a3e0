"""Tables that lie in partitions on the workers of a Dask cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from ..errors import ArgumentError, DataError
from .batches import Batches
from .table import Table

T = TypeVar("T")

_RETRIES = 3
"""Times that Dask runs a task anew where it fails."""

_ADDED_AT_ONCE = 8
"""Sums of partitions that one task adds up: sums go up a tree, always the same one."""


@dataclass(frozen=True)
class Partitions(Batches):
    """A table in partitions on the workers of a Dask cluster.

    Give it as ``data`` to the regressions that take :class:`karat.Batches`. What is summed over all rows, once for each
    step of the solver and for the covariance, is summed where the rows are: the gold rows go to the workers once, a
    few numbers come back. A task that fails, or whose worker is lost, is run again by Dask, and sums are added up in a
    fixed tree, so that the numbers are the same whatever the workers do. The first read, which finds gold and levels,
    passes through the machine that calls, partition by partition, and so do surrogates alone with ``compare=True``.

    Parameters
    ----------
    source : dask DataFrame, str or Path
        A Dask DataFrame, or what ``dask.dataframe.read_parquet`` reads. Call ``persist()`` on a DataFrame that fits
        into the memory of the workers; otherwise partitions are made anew at each pass.
    rows : int
        Most rows that a worker looks at together.
    client : distributed.Client or str, optional
        A client, or the address of a scheduler; by default the client that is open, or a cluster on this machine.

    Raises
    ------
    ArgumentError
        If Dask is not installed, or the source is something else.

    Examples
    --------
    >>> import karat as kt  # doctest: +SKIP
    >>> import dask.dataframe as dd  # doctest: +SKIP
    >>> corpus = dd.read_parquet("corpus/*.parquet")  # doctest: +SKIP
    >>> kt.ols("outcome ~ hostile + length", kt.Partitions(corpus), surrogates={"hostile": "hostile_llm"},
    ...        learner=None, compare=False)  # doctest: +SKIP
    """

    client: Any = field(default=None, kw_only=True, repr=False)

    def __post_init__(self) -> None:
        from ..errors import whole

        object.__setattr__(self, "rows", whole("rows", self.rows, least=1))
        assert self.frame is not None  # errors come where the user writes the source

    @cached_property
    def frame(self) -> Any:
        """The Dask DataFrame."""
        try:
            import dask.dataframe as dd
        except ImportError:
            raise ArgumentError("partitions need Dask; install it with: pip install 'karat[distributed]'") from None
        if isinstance(self.source, (str, Path)):
            try:
                return dd.read_parquet(str(self.source))
            except (OSError, ValueError) as error:
                raise ArgumentError(f"{str(self.source)!r} cannot be read as parquet: {str(error).strip()}.") from None
        if not isinstance(self.source, dd.DataFrame):
            raise ArgumentError(
                f"source is a {type(self.source).__name__}; give a Dask DataFrame or the path of parquet files."
            )
        return self.source

    @cached_property
    def connection(self) -> Any:
        """The client."""
        import distributed

        if self.client is None:
            try:
                return distributed.get_client()
            except ValueError:
                return distributed.Client()
        if isinstance(self.client, str):  # ours alone: what else is computed with Dask stays where it was
            return distributed.Client(self.client, set_as_default=False)
        return self.client

    @property
    def lost(self) -> tuple[type[BaseException], ...]:
        """What Dask raises where workers are lost with what was sent to them."""
        import asyncio
        import concurrent.futures

        from distributed.scheduler import KilledWorker

        return asyncio.CancelledError, concurrent.futures.CancelledError, KilledWorker

    @property
    def columns(self) -> list[str]:
        """Names of the columns."""
        return [str(name) for name in self.frame.columns]

    @property
    def key(self) -> None:
        """Nothing tells whether a table on workers is still the same."""

    def _parts(self, names: Sequence[str]) -> list[Any]:
        """The partitions with some columns, not yet worked out."""
        known: dict[tuple[str, ...], list[Any]] = self.__dict__.setdefault("_known_parts", {})
        if tuple(names) not in known:
            known[tuple(names)] = self.frame[list(names)].to_delayed()
        return known[tuple(names)]

    @cached_property
    def starts(self) -> Any:
        """Where each partition starts among all rows, and the number of rows, shape (partitions + 1,)."""
        import dask

        sizes = [dask.delayed(len)(part) for part in self._parts(self.columns[:1])]
        return np.cumsum([0, *self.connection.gather(self.connection.compute(sizes, retries=_RETRIES))])

    def tables(self, names: Sequence[str]) -> Iterator[tuple[slice, Table]]:
        """Some columns of all rows, partition by partition, with the positions of the rows."""
        parts = self._parts(names)
        ahead = self.connection.compute(parts[0], retries=_RETRIES)
        for k, start in enumerate(self.starts[:-1].tolist()):
            frame = ahead.result()
            if k + 1 < len(parts):
                ahead = self.connection.compute(parts[k + 1], retries=_RETRIES)
            if len(frame) != self.starts[k + 1] - start:
                raise DataError("the partitions changed their number of rows while they were read; persist() them.")
            for at in range(0, len(frame), self.rows):
                table = frame.iloc[at : at + self.rows].reset_index(drop=True)
                yield slice(start + at, start + at + len(table)), Table.read(table)

    def shared(self, thing: Any) -> Any:
        """Something sent to all workers once."""
        return self.connection.scatter(thing, broadcast=True, hash=False)

    def summed(self, names: Sequence[str], part: Callable[..., T], thing: Any) -> T:
        """Sums over the partitions, added up in a tree on the workers.

        Parameters
        ----------
        names : sequence of str
            Columns.
        part : callable
            ``part(thing, frame, start)`` gives arrays, of a partition that starts at a row.
        thing : object
            From :meth:`shared`.

        Returns
        -------
        tuple of ndarray
        """
        import dask

        parts = self._parts(names)
        level = [
            dask.delayed(part, pure=False)(thing, frame, start)
            for frame, start in zip(parts, self.starts[:-1].tolist())
        ]
        while len(level) > 1:
            groups = [level[k : k + _ADDED_AT_ONCE] for k in range(0, len(level), _ADDED_AT_ONCE)]
            level = [dask.delayed(_added, pure=False)(group) for group in groups]
        found: T = self.connection.compute(level[0], retries=_RETRIES).result()
        return found


def _added(sums: Sequence[Any]) -> Any:
    """Arrays of several partitions, added up one by one."""
    return tuple(sum(each[1:], each[0]) for each in zip(*sums))
