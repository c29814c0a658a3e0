"""Rows of a table that are alike, told once with their number."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ArgumentError
from ..frames import Table
from ..predict.streamed import dealt

if TYPE_CHECKING:
    import pandas as pd

    from .._core.types import Bools, Floats, Ints

MOST_GROUPS = 200_000
"""Groups beyond which rows are read again instead."""
_WORTH = 8
"""Rows that a group must have on average."""
_BLOCK = 8192
_MOST_PARTS = 16
CODE = "karat: split and fold"
"""Column of the group's split and fold, where learners predict."""


@dataclass(frozen=True)
class Groups:
    """A table told by its gold rows, which come first, and by the groups of all others.

    Parameters
    ----------
    source : object
        What was read, for messages.
    frame : pandas.DataFrame
        n gold rows and G groups.
    count : ndarray, shape (n + G,)
        Rows of each.
    """

    source: Any
    frame: pd.DataFrame = field(repr=False)
    count: Floats = field(repr=False)

    def tables(self, names: Sequence[str]) -> Iterator[tuple[slice, Table]]:
        """Some columns, block by block."""
        for start in range(0, len(self.frame), _BLOCK):
            part = self.frame[list(names)].iloc[start : start + _BLOCK]
            yield slice(start, start + len(part)), Table.read(part)


@dataclass
class Grouping:
    """Collects groups of rows without gold, until they turn out to be too many.

    Parameters
    ----------
    names : tuple of str
        Columns in which rows must be alike.
    codes : int
        How many splits and folds learners have, over which the rows of a group are dealt; 0 without learners.
    """

    names: tuple[str, ...]
    codes: int = 0
    worth: bool = True
    n_rows: int = 0
    parts: list[pd.DataFrame] = field(default_factory=list)
    counts: list[Floats] = field(default_factory=list)

    def add(self, start: int, frame: pd.DataFrame, keep: Bools) -> None:
        """Take in the rows of a batch that are not kept by themselves."""
        if not self.worth:
            return
        rest = np.flatnonzero(~keep)
        self.n_rows += len(rest)
        part = frame[list(self.names)].iloc[rest]
        if self.codes:
            part = part.assign(**{CODE: dealt(start + rest, self.codes)})
        first, count = _alike(part, np.ones(len(part)))
        self.parts.append(_plain(part.iloc[first]))
        self.counts.append(count)
        if len(self.parts) > _MOST_PARTS or sum(map(len, self.parts)) > 2 * MOST_GROUPS:
            self._merge()
        size = max(map(len, self.parts))
        self.worth = size <= MOST_GROUPS and size * _WORTH <= max(self.n_rows, _WORTH * _BLOCK // 64)
        if not self.worth:
            self.parts.clear()
            self.counts.clear()

    def _merge(self) -> None:
        import pandas as pd

        whole, counts = pd.concat(self.parts, ignore_index=True), np.concatenate(self.counts)
        first, count = _alike(whole, counts)
        self.parts, self.counts = [whole.iloc[first]], [count]

    def found(self) -> tuple[pd.DataFrame, Floats] | None:
        """Groups and their sizes; None where telling them does not pay."""
        if not self.worth or not self.parts:
            return None
        self._merge()
        if len(self.parts[0]) > MOST_GROUPS or len(self.parts[0]) * _WORTH > self.n_rows:
            return None
        return self.parts[0].reset_index(drop=True), self.counts[0]


def grouped(source: Any, gold: pd.DataFrame, found: tuple[pd.DataFrame, Floats]) -> Groups:
    """Gold rows and groups as one table.

    Raises
    ------
    ArgumentError
        If a column has a name that karat uses.
    """
    import pandas as pd

    frame, count = found
    if CODE in gold.columns:
        raise ArgumentError(f"a column is called {CODE!r}; rename it.")
    first = _plain(gold).assign(**({CODE: 0} if CODE in frame.columns else {}))
    return Groups(source, pd.concat([first, frame], ignore_index=True), np.concatenate([np.ones(len(gold)), count]))


def _plain(frame: pd.DataFrame) -> pd.DataFrame:
    """Categories as their values."""
    texts = {name: frame[name].astype(object) for name in frame.columns if hasattr(frame[name], "cat")}
    return frame.assign(**texts) if texts else frame


def _alike(frame: pd.DataFrame, count: Floats) -> tuple[Ints, Floats]:
    """The first row of each group, and the rows of each."""
    import pandas as pd

    code, size = np.zeros(len(frame), dtype=np.int64), 1
    for name in frame.columns:
        own, levels = pd.factorize(frame[name])
        if size * len(levels) >= 2**62:
            code, distinct = pd.factorize(code)
            size = len(distinct)
        code, size = code * len(levels) + own, size * len(levels)
    code = pd.factorize(code)[0]
    first = np.empty(int(code.max()) + 1 if len(code) else 0, dtype=np.intp)
    first[code[::-1]] = np.arange(len(code) - 1, -1, -1)
    return first, np.bincount(code, weights=count)
