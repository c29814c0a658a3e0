"""Groups, and groups by period, of a table that is read batch by batch: which there are, and which hold gold."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import DataError
from ..frames import Table
from ..frames.batches import Batches
from ..frames.table import as_float

if TYPE_CHECKING:
    from collections.abc import Hashable

    import pandas as pd

    from .._core.types import Bools, Floats, Ints

_MOST_COMBINATIONS = 1_000_000
"""Combinations of values of groups and periods, at most."""

IN_CELL, CELL = "karat: in a cell with gold", "karat: cell"
"""Columns: missing where a row's cell has no gold; the number of its cell."""

Binned = Callable[["pd.DataFrame"], "pd.DataFrame"]
"""Turns columns of cells into those that identify them: dates into their periods."""


def combinations(frame: pd.DataFrame) -> tuple[Ints, Ints]:
    """Which combination of values each row holds, shape (m,), and the first row of each; missing is a value.

    Examples
    --------
    >>> import pandas as pd
    >>> codes, first = combinations(pd.DataFrame({"party": ["left", "right", "left"], "year": [1, 1, 1]}))
    >>> codes.tolist(), first.tolist()
    ([0, 1, 0], [0, 1])
    """
    import pandas as pd

    code = np.zeros(len(frame), dtype=np.int64)
    for name in frame.columns:
        own, levels = pd.factorize(frame[name])
        code = pd.factorize(code * (len(levels) + 1) + own + 1)[0]
    first = np.empty(int(code.max()) + 1 if len(code) else 0, dtype=np.intp)
    first[code[::-1]] = np.arange(len(code) - 1, -1, -1)
    return code.astype(np.intp), first


@dataclass(frozen=True)
class Found:
    """Combinations of values in a table.

    Parameters
    ----------
    frame : data frame
        One row for each combination, in the order in which they come.
    rows, gold, weighed : ndarray, shape (m,)
        Rows of each whose weight is there, its gold rows, and those of them with a weight that is not 0.
    labels : dict of str to list
        Different values that each label has in some row.
    of_rows : ndarray of int, shape (N,), or None
        Where the combination of each row stands among these; None where a value is missing in one of them.
    """

    frame: pd.DataFrame = field(repr=False)
    rows: Floats = field(repr=False)
    gold: Floats = field(repr=False)
    weighed: Floats = field(repr=False)
    labels: dict[str, list[Any]] = field(repr=False, default_factory=dict)
    of_rows: Ints | None = field(repr=False, default=None)

    @cached_property
    def _levels(self) -> list[Any]:
        return [_looked_up(self.frame[name]).unique() for name in self.frame.columns]

    @cached_property
    def _steps(self) -> tuple[list[Ints], Ints]:
        """For each column the pairs of what the columns before hold and its level, sorted; the row of each last pair.

        One number for all columns would not hold as many combinations as levels allow.
        """
        code, pairs = np.zeros(len(self.frame), dtype=np.int64), []
        for name, levels in zip(self.frame.columns, self._levels):
            pair = code * len(levels) + levels.get_indexer(_looked_up(self.frame[name]))
            known, code = np.unique(pair, return_inverse=True)
            pairs.append(known)
        rows = np.empty(len(code), dtype=np.intp)
        rows[code] = np.arange(len(code))
        return pairs, rows

    def of(self, frame: pd.DataFrame) -> Ints:
        """Where the combinations of another frame stand among these, shape (m,); -1 where they are not."""
        pairs, rows = self._steps
        code = np.zeros(len(frame), dtype=np.int64)
        for name, levels, known in zip(self.frame.columns, self._levels, pairs):
            at = levels.get_indexer(_looked_up(frame[name]))
            pair = code * len(levels) + at
            place = np.minimum(np.searchsorted(known, pair), len(known) - 1)
            code = np.where((code >= 0) & (at >= 0) & (known[place] == pair), place, -1)
        return np.where(code >= 0, rows[code], -1)


def _looked_up(column: pd.Series[Any]) -> pd.Index[Any]:
    """Values that can be looked up, whatever type the column has; None where missing."""
    import pandas as pd

    return pd.Index(column.astype(object).where(column.notna(), None).to_numpy(), dtype=object)


def as_they_are(frame: pd.DataFrame) -> pd.DataFrame:
    """Columns that identify cells by themselves."""
    return frame


def survey(
    batches: Batches, columns: Sequence[str], labels: Sequence[str], weights: str | None, binned: Binned = as_they_are
) -> Found:
    """Read a table once: which combinations of values it holds, and which of these hold gold.

    Parameters
    ----------
    batches : Batches
    columns : sequence of str
        Groups and periods.
    labels : sequence of str
        Gold rows have all of them.
    weights : str or None
        Column of analysis weights.
    binned : callable

    Raises
    ------
    DataError
        If there are too many, or no rows.
    """
    import pandas as pd

    parts: list[pd.DataFrame] = []
    counts: list[Floats] = []
    told: list[tuple[Ints, pd.DataFrame]] = []
    order: dict[str, tuple[dict[Any, None], bool]] = {}
    seen: dict[str, dict[Any, None]] = {name: {} for name in labels}
    more = [] if weights is None else [weights]
    for _, table in batches.tables(list(dict.fromkeys((*columns, *labels, *more)))):
        code, part = _distinct(table, columns)
        labelled = [table.there(name) for name in labels]
        gold = np.logical_and.reduce(labelled)
        for name, here in zip(labels, labelled):
            if here.any():
                seen[name].update(dict.fromkeys(table.take(np.flatnonzero(here)).column(name, "label").tolist()))
        there = weighed = np.ones(table.n_rows, dtype=bool)
        if weights is not None:
            v = as_float(table.column(weights, "weights"), weights, "weights")
            there, weighed = ~np.isnan(v), v != 0
        counts.append(np.column_stack([np.bincount(code, one) for one in (there, gold, gold & weighed)]))
        for name in columns:
            if hasattr(part[name], "cat"):
                known, _ = order.setdefault(name, ({}, bool(part[name].cat.ordered)))
                known.update(dict.fromkeys(table.as_given(name, "by").cat.categories.tolist()))
                part = part.assign(**{name: part[name].astype(object)})
        parts.append(binned(part))
        told.append((code.astype(np.min_scalar_type(len(part))), parts[-1]))
        if len(parts) > 64:
            parts, counts = _merged(parts, counts)
    if not parts:
        raise DataError("data has no rows; give at least one unit.")
    (whole,), (count,) = _merged(parts, counts)
    for name, (levels, ordered) in order.items():
        whole[name] = pd.Categorical(whole[name], categories=list(levels), ordered=ordered)
    rows, gold_rows, weighed_rows = count.T
    found = Found(whole, rows, gold_rows, weighed_rows, {name: list(values) for name, values in seen.items()})
    if not columns or whole.isna().any(axis=None):
        return found
    kind = np.min_scalar_type(len(whole))
    return replace(found, of_rows=np.concatenate([found.of(part).astype(kind)[code] for code, part in told]))


def _distinct(table: Table, columns: Sequence[str]) -> tuple[Ints, pd.DataFrame]:
    """Which combination of values each row of a batch holds, and the combinations."""
    import pandas as pd

    if not columns:
        return np.zeros(table.n_rows, dtype=np.intp), pd.DataFrame(index=[0])
    frame = table.pandas(columns, "by")
    code, first = combinations(frame)
    return code, frame.iloc[first].reset_index(drop=True)


def _merged(parts: list[pd.DataFrame], counts: list[Floats]) -> tuple[list[pd.DataFrame], list[Floats]]:
    """Combinations of several batches together."""
    import pandas as pd

    whole, count = pd.concat(parts, ignore_index=True), np.concatenate(counts)
    code, first = combinations(whole)
    if len(first) > _MOST_COMBINATIONS:
        raise DataError(
            f"{', '.join(map(repr, whole.columns))} hold more than {_MOST_COMBINATIONS:,} different combinations of "
            "values; group by fewer, or give period= for dates."
        )
    sums = np.column_stack([np.bincount(code, column) for column in count.T])
    return [whole.iloc[first].reset_index(drop=True)], [sums]


@dataclass(frozen=True, kw_only=True)
class InCells(Batches):
    """A table in batches with columns that its groups and periods say.

    Parameters
    ----------
    source, rows
        Of the table.
    whole : Batches
        The table.
    cells : tuple of str
        Groups and periods.
    found : Found
    kept : ndarray of bool, shape (m,)
        Combinations whose rows stay.
    weights : str or None
        Column of analysis weights; rows that do not stay are left out as if theirs were missing.
    binned : callable
    period : tuple, optional
        Name of a column of periods to put in, and its value in each combination.
    numbers : ndarray, shape (m,), optional
        The number of each combination's cell, put in as a column; combinations of rows must be known.
    told : hashable
        What distinguishes several of these of one table.
    """

    whole: Batches
    cells: tuple[str, ...]
    found: Found = field(repr=False)
    kept: Bools = field(repr=False)
    weights: str | None = None
    binned: Binned = field(repr=False, default=as_they_are)
    period: tuple[str, Floats] | None = field(repr=False, default=None)
    numbers: Floats | None = field(repr=False, default=None)
    told: Hashable = None

    @classmethod
    def of(
        cls, whole: Batches, cells: Sequence[str], found: Found, kept: Bools, weights: str | None, **more: Any
    ) -> InCells:
        """The same table with these."""
        given = {"whole": whole, "cells": tuple(cells), "found": found, "kept": kept, "weights": weights, **more}
        return cls(whole.source, rows=whole.rows, **given)

    def __post_init__(self) -> None:
        """Nothing is checked: the table was."""

    @property
    def columns(self) -> list[str]:
        """Names of the columns, those that are put in too."""
        return [*self.whole.columns, *self._put]

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return self.whole.n_rows

    @property
    def key(self) -> Hashable:
        """What is another once the table is; None where that cannot be known."""
        return None if self.whole.key is None else (self.whole.key, self.cells, self.told)

    @property
    def roles(self) -> dict[str, list[str]]:
        """Columns whose missing values leave rows out, by what is said of these."""
        own = [] if self.weights is None else [self.weights]
        return {} if self.kept.all() else {"weights=": [*own, IN_CELL]}

    @property
    def _put(self) -> list[str]:
        more = [] if self.period is None else [self.period[0]]
        return [IN_CELL, *more, *([] if self.numbers is None else [CELL])]

    def tables(self, names: Sequence[str]) -> Iterator[tuple[slice, Table]]:
        """Some columns of all rows, batch by batch, with the positions of the rows."""
        put = [name for name in names if name in self._put]
        known = self.found.of_rows is not None
        read = [*(name for name in names if name not in put), *(self.cells if put and not known else ())]
        for at, table in self.whole.tables(list(dict.fromkeys(read))) if read else self._empty():
            yield at, self._with(put, at, table) if put else table

    def _empty(self) -> Iterator[tuple[slice, Table]]:
        """Rows of which nothing is read."""
        for start in range(0, self.n_rows, self.rows):
            stop = min(start + self.rows, self.n_rows)
            yield slice(start, stop), Table.read({"row": np.zeros(stop - start, dtype=np.int8)})

    def _with(self, put: Sequence[str], at: slice, table: Table) -> Table:
        """A batch with what its cells say, which are looked up in their columns where they are not known."""
        import narwhals as nw

        if self.found.of_rows is not None:
            where = self.found.of_rows[at].astype(np.intp)
        else:
            code, combined = _distinct(table, self.cells)
            where = self.found.of(self.binned(combined))[code]
        values = {IN_CELL: np.where((where >= 0) & ~self.kept[where], np.nan, 1.0)}
        if self.period is not None:
            values[self.period[0]] = np.where(where >= 0, self.period[1][where], np.nan)
        if self.numbers is not None:
            values[CELL] = self.numbers[where]
        series = [nw.new_series(name, values[name], backend=table.native.implementation) for name in put]
        return Table(table.put(series))
