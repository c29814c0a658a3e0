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

    from .._core.types import Array, Bools, Floats, Ints

MOST_GROUPS = 200_000
"""Groups beyond which rows are read again instead."""
_WORTH = 8
"""Rows that a group must have on average."""
_BLOCK = 8192
_MOST_CELLS = 1 << 18
"""Cells of a table of all values up to which rows are counted there, and not looked up by what they hold."""
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
    cells: dict[Any, Floats] = field(default_factory=dict)
    known: dict[str, tuple[int, int]] = field(default_factory=dict)
    levels: dict[str, dict[str, int]] = field(default_factory=dict)

    def add(self, start: int, table: Table, keep: Bools) -> None:
        """Take in the rows of a batch that are not kept by themselves."""
        if not self.worth:
            return
        self.n_rows += int(np.count_nonzero(~keep))
        if not self._counted(start, table, keep):
            rest = np.flatnonzero(~keep)
            part = table.pandas(self.names, "data").iloc[rest]
            if self.codes:
                part = part.assign(**{CODE: dealt(start + rest, self.codes)})
            first, count = _alike(part, np.ones(len(part)))
            self.parts.append(_plain(part.iloc[first]))
            self.counts.append(count)
        if len(self.cells) > _MOST_PARTS:  # values that grow from batch to batch have another table in each
            self._of_cells()
        if len(self.parts) > _MOST_PARTS or sum(map(len, self.parts)) > 2 * MOST_GROUPS:
            self._merge()
        size = max([0, *map(len, self.parts), *(int(np.count_nonzero(count)) for count in self.cells.values())])
        self.worth = size <= MOST_GROUPS and size * _WORTH <= max(self.n_rows, _WORTH * _BLOCK // 64)
        if not self.worth:
            self.parts.clear()
            self.counts.clear()
            self.cells.clear()

    def _counted(self, start: int, table: Table, keep: Bools) -> bool:
        """Count the rows of each cell of a table of all values, where columns hold few whole numbers; else do nothing.

        Cells are numbered by the smallest and the largest value of each column, and kept by these.
        """
        code, key, n = np.zeros(table.n_rows, dtype=np.int32), [], 1
        columns: list[Any] = [(name, table.numbers(name)) for name in self.names]
        if self.codes:
            columns.append((CODE, dealt(start + np.arange(table.n_rows), self.codes)))
        for name, values in columns:
            whole = self._text(name, table) if values is None else _whole(values)
            if whole is None:
                return False
            low, high = int(whole.min()), int(whole.max())
            if self.known.get(name, (low, high)) != (low, high):
                low, high = min(low, self.known[name][0]), max(high, self.known[name][1])
            self.known[name] = low, high
            n *= high - low + 1
            if n > _MOST_CELLS:
                return False
            code *= high - low + 1
            code += whole if low == 0 else np.subtract(whole, low, dtype=np.int32)
            key.append((name, low, high, None if values is None else values.dtype.str))
        count = np.bincount(code, minlength=n) - np.bincount(code[keep], minlength=n)
        known = self.cells.setdefault(tuple(key), np.zeros(n))
        known += count
        return True

    def _text(self, name: str, table: Table) -> Ints | None:
        """Text as numbers that are the same in all batches; None of other columns, where text is missing or of many."""
        found, numbers = table.codes(name), self.levels.setdefault(name, {})
        if found is None or (len(found[0]) and found[0].min() < 0) or len(found[1]) > _MOST_CELLS // 64:
            return None
        own: Ints = np.array([numbers.setdefault(value, len(numbers)) for value in found[1]], dtype=np.int32)
        return own[found[0]]

    def _of_cells(self) -> None:
        """Cells that hold rows, as groups."""
        import pandas as pd

        for key, count in self.cells.items():
            at = np.flatnonzero(count)
            sizes = tuple(high - low + 1 for _, low, high, _ in key)
            frame = {
                name: np.array(list(self.levels[name]), dtype=object)[place]
                if kind is None
                else (place + low).astype(kind)
                for (name, low, _, kind), place in zip(key, np.unravel_index(at, sizes))
            }
            self.parts.append(pd.DataFrame(frame))
            self.counts.append(count[at])
        self.cells.clear()

    def _merge(self) -> None:
        import pandas as pd

        whole, counts = pd.concat(self.parts, ignore_index=True), np.concatenate(self.counts)
        first, count = _alike(whole, counts)
        self.parts, self.counts = [whole.iloc[first]], [count]

    def found(self) -> tuple[pd.DataFrame, Floats] | None:
        """Groups and their sizes; None where telling them does not pay."""
        self._of_cells()
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


def _whole(values: Array) -> Ints | None:
    """Numbers as whole numbers of at most four bytes; None where they are not, or run too far."""
    if values.dtype.kind == "b":
        return np.asarray(values.view(np.int8))
    low, high = values.min(), values.max()
    if not (low >= -_MOST_CELLS and high <= _MOST_CELLS):
        return None
    if values.dtype.kind in "iu":
        return np.asarray(values if values.dtype.itemsize <= 4 else values.astype(np.int32))
    whole: Ints = values.astype(np.int32)
    return whole if (whole == values).all() else None
