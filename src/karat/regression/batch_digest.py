"""What a fit must know of a table before its batches are read again: gold rows, levels, ranges, sizes of strata."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ..designs.given import codes_of
from ..errors import DataError
from ..frames import Table
from ..frames.kinds import is_text
from ..frames.lookups import finite

if TYPE_CHECKING:
    import pandas as pd

    from .._core.types import Array, Bools, Floats, Ints
    from ..frames.batches import Batches
    from .batch_groups import Grouping
    from .batch_kept import Kept

_MOST_LEVELS = 10_000
"""Different values of a column of text or categories, at most."""

_MOST_KEPT = 4
_digests: dict[Any, Digest] = {}
"""What was found in files that have not changed since; the gold rows of a few files are little."""


@dataclass(frozen=True)
class Strata:
    """Strata that columns form, and their sizes.

    Parameters
    ----------
    by : tuple of str
    names : list of str
    codes : dict
        Values of the columns -> code.
    sizes : ndarray of int, shape (S,)
    """

    by: tuple[str, ...]
    names: list[str]
    codes: dict[Any, int]
    sizes: Ints

    def of(self, table: Table) -> Ints | None:
        """Stratum of each row of a table, shape (m,); None where there is one for all."""
        if not self.by:
            return None
        codes, keys = _groups(table.pandas(self.by, "Stratified(by)"), self.by)
        return np.array([self.codes[key] for key in keys], dtype=np.intp)[codes]


@dataclass(frozen=True)
class Digest:
    """A table told by a few of its rows.

    Parameters
    ----------
    head : Table
        All rows with gold, and of the others those that hold a new value of a category, a new stratum, or the smallest
        or largest surrogate, in the order of the data.
    positions : ndarray of int
        Where they stand in the data.
    n_rows : int
        N.
    strata : Strata
    sd : dict of str to float
        Standard deviation of each surrogate that is a number.
    counts : dict of str to dict
        How often each value of a column of text comes, in the order in which they first come.
    groups : tuple, optional
        Groups of rows without gold that are alike, and their sizes, where it pays to tell these.
    missing : dict of str to int
        How many values are missing in columns, where some are.
    """

    head: Table
    positions: Ints
    n_rows: int
    strata: Strata
    sd: dict[str, float]
    counts: dict[str, dict[Any, int]]
    groups: tuple[pd.DataFrame, Floats] | None = None
    missing: dict[str, int] = field(default_factory=dict)


def digest(
    batches: Batches | Kept, gold: Sequence[str], observed: Sequence[str], surrogates: Sequence[str], by: Sequence[str],
    coded: frozenset[str], grouping: Grouping | None = None, texts: Sequence[str] = (),
) -> Digest:  # fmt: skip
    """Read a table once.

    Parameters
    ----------
    batches : Batches
    gold, observed, surrogates, by : sequence of str
        Columns of the labels, of the formula, of the surrogates and of the strata.
    coded : frozenset of str
        Columns whose numbers are categories.
    grouping : Grouping, optional
        Collects groups of rows that are alike.
    texts : sequence of str
        Columns that the head has, too, and of which nothing is found out.

    Raises
    ------
    DataError
        If there are no rows, or a category is an identifier.
    """
    reader = _Reader(tuple(gold), tuple(observed), tuple(surrogates), tuple(by), coded, grouping, tuple(texts))
    groups = None if grouping is None else (grouping.names, grouping.codes)
    asked = (
        batches.key,
        batches.rows,
        reader.gold,
        reader.observed,
        reader.surrogates,
        reader.by,
        coded,
        groups,
        reader.texts,
    )
    if batches.key is not None and asked in _digests:
        return _digests[asked]
    for at, table in batches.tables(reader.columns):
        reader.read(at.start, table)
    found = reader.digest()
    if batches.key is not None:
        while len(_digests) >= _MOST_KEPT:
            _digests.pop(next(iter(_digests)))
        _digests[asked] = found
    return found


@dataclass
class _Reader:
    """Collects a digest."""

    gold: tuple[str, ...]
    observed: tuple[str, ...]
    surrogates: tuple[str, ...]
    by: tuple[str, ...]
    coded: frozenset[str]
    grouping: Grouping | None = None
    texts: tuple[str, ...] = ()
    n_rows: int = 0
    kept: list[tuple[Ints, pd.DataFrame]] = field(default_factory=list)
    extremes: dict[tuple[str, str], tuple[float, Ints, pd.DataFrame]] = field(default_factory=dict)
    seen: dict[str, dict[Any, int]] = field(default_factory=dict)
    order: dict[str, dict[Any, None]] = field(default_factory=dict)
    ordered: set[str] = field(default_factory=set)
    strata: dict[Any, int] = field(default_factory=dict)
    missing: dict[str, int] = field(default_factory=dict)
    spread: dict[str, tuple[int, float, float]] = field(default_factory=dict)

    @property
    def columns(self) -> list[str]:
        """Columns to read."""
        return [*self.examined, *(name for name in self.texts if name not in self.examined)]

    @cached_property
    def examined(self) -> list[str]:
        """Columns of which more is found out than what gold rows hold."""
        return list(dict.fromkeys((*self.gold, *self.observed, *self.surrogates, *self.by)))

    def read(self, start: int, table: Table) -> None:
        """Take in a batch whose first row stands at ``start``."""
        self.n_rows += table.n_rows
        keep: Bools = np.logical_or.reduce([table.there(name) for name in self.gold])
        if self.grouping is not None:
            self.grouping.add(start, table, keep)
        for name in self.examined:
            if name not in self.gold:
                numbers = table.numbers(name)
                lacking = numbers is None or (numbers.dtype.kind == "f" and not finite(numbers))
                count = int(np.count_nonzero(~table.there(name))) if lacking else 0
                self.missing[name] = self.missing.get(name, 0) + count
                if numbers is not None and name not in self.coded:
                    if name in self.surrogates:
                        self._range(name, numbers, start, table)
                    continue
            elif table.holds_numbers(name):
                continue
            self._read_column(name, start, table, keep)
        if self.by:
            self._strata(table.pandas(self.by, "Stratified(by)"), keep)
        if keep.any() or not self.kept:  # an empty table takes memory too, and there may be many batches
            rows = np.flatnonzero(keep)
            self.kept.append((start + rows, table.take(rows).pandas(self.columns, "data")))

    def _read_column(self, name: str, start: int, table: Table, keep: Bools) -> None:
        """Take in a column that is not of numbers, or has some missing, or whose numbers are categories."""
        import pandas as pd

        if name not in self.gold and (coded := table.codes(name)) is not None:
            self._levels(name, *coded, keep)
            return
        column = table.column(name, "data")
        text = is_text(column, name, "column")
        if text and hasattr(column, "cat"):
            every = table.as_given(name, "data").cat.categories
            self.order.setdefault(name, {}).update(dict.fromkeys(every.tolist()))
            self.ordered |= {name} if column.cat.ordered else set()
        if name in self.gold:
            return
        if text or name in self.coded:
            codes, levels = pd.factorize(column)
            self._levels(name, codes, levels.tolist(), keep)
        elif name in self.surrogates:
            self._range(name, column.to_numpy(dtype=np.float64, na_value=np.nan), start, table)

    def _levels(self, name: str, codes: Ints, levels: list[Any], keep: Bools) -> None:
        """Keep the first row of each new value, and count."""
        known = self.seen.setdefault(name, {})
        count = np.bincount(codes + 1, minlength=len(levels) + 1)[1:]
        for code, (value, more) in enumerate(zip(levels, count.tolist())):
            if value not in known:
                keep[int(np.argmax(codes == code))] = True
            known[value] = known.get(value, 0) + more
            if len(known) > _MOST_LEVELS:
                break
        if len(known) > _MOST_LEVELS:
            raise DataError(
                f"{name!r} holds more than {_MOST_LEVELS:,} different categories; it is an identifier, not a "
                "covariate. Merge categories, or drop it."
            )

    def _range(self, name: str, given: Array, start: int, table: Table) -> None:
        """Keep the rows with the smallest and the largest value, and one that is neither 0 nor 1."""
        if given.dtype.kind in "iub" and self._zero_or_one(name, given):
            return
        values: Floats = given.astype(np.float64)
        there = values if finite(values) else values[~np.isnan(values)]
        if not len(there):
            return
        low, high = float(there.min()), float(there.max())
        known = {which: self.extremes.get((name, which)) for which in ("low", "high", "between")}
        if known["low"] is None or -low > known["low"][0]:
            self._keep_extreme(name, "low", -low, int(np.flatnonzero(values == low)[0]), start, table)
        if known["high"] is None or high > known["high"][0]:
            self._keep_extreme(name, "high", high, int(np.flatnonzero(values == high)[0]), start, table)
        if known["between"] is None and (given.dtype.kind == "f" or low < 0 or high > 1):
            between = np.flatnonzero((values != 0.0) & (values != 1.0) & ~np.isnan(values))
            if len(between):
                self._keep_extreme(name, "between", 0.0, int(between[0]), start, table)
        own = float(there.mean())
        apart = there - own
        self._spread(name, len(there), own, float(apart @ apart))

    def _zero_or_one(self, name: str, values: Array) -> bool:
        """Take in whole numbers that are all 0 or 1, where rows with both are known; else do nothing."""
        seen = all((name, which) in self.extremes for which in ("low", "high"))
        if not seen or values.min() < 0 or values.max() > 1:
            return False
        if self.extremes[name, "low"][0] < 0 or self.extremes[name, "high"][0] < 1:
            return False
        share = np.count_nonzero(values) / len(values)
        self._spread(name, len(values), share, len(values) * share * (1.0 - share))
        return True

    def _spread(self, name: str, m: int, own: float, square: float) -> None:
        """Join mean and sum of squares about it of m values with those of the values before."""
        n, mean, before = self.spread.get(name, (0, 0.0, 0.0))
        square += before + (own - mean) ** 2 * n * m / (n + m)
        self.spread[name] = (n + m, mean + (own - mean) * m / (n + m), square)

    def _keep_extreme(self, name: str, which: str, size: float, row: int, start: int, table: Table) -> None:
        frame = table.take(np.array([row])).pandas(self.columns, "data")
        self.extremes[name, which] = (size, np.array([start + row]), frame)

    def _strata(self, frame: pd.DataFrame, keep: Bools) -> None:
        """Count the rows of each stratum, and keep the first of each."""
        codes, keys = _groups(frame, self.by)
        for key, row, count in zip(keys, np.unique(codes, return_index=True)[1], np.bincount(codes).tolist()):
            keep[row] |= key not in self.strata
            self.strata[key] = self.strata.get(key, 0) + count

    def digest(self) -> Digest:
        """What was collected."""
        import pandas as pd

        if not self.n_rows:
            raise DataError("data has no rows; give at least one unit.")
        lacking = {name: count for name, count in self.missing.items() if count}
        parts = [*self.kept, *((where, rows) for _, where, rows in self.extremes.values())]
        positions, first = np.unique(np.concatenate([where for where, _ in parts]), return_index=True)
        frame = (
            pd.concat([rows for _, rows in parts if len(rows)], ignore_index=True).iloc[first].reset_index(drop=True)
        )
        for name, order in self.order.items():
            frame[name] = pd.Categorical(frame[name].tolist(), categories=list(order), ordered=name in self.ordered)
        head, groups = Table.read(frame), None if self.grouping is None else self.grouping.found()
        sd = {name: float(np.sqrt(square / n)) for name, (n, _, square) in self.spread.items()}
        return Digest(head, positions, self.n_rows, self._of(head, lacking), sd, self.seen, groups, lacking)

    def _of(self, head: Table, lacking: Mapping[str, int]) -> Strata:
        if not self.by or any(name in lacking for name in self.by):
            return Strata((), [""], {}, np.array([self.n_rows]))
        codes, names = codes_of(head, self.by, "Stratified(by)")
        groups, keys = _groups(head.pandas(self.by, "Stratified(by)"), self.by)
        known = {keys[group]: code for group, code in zip(groups.tolist(), codes.tolist())}
        sizes = np.zeros(len(names), dtype=np.intp)
        for key, count in self.strata.items():
            sizes[known[key]] += count
        return Strata(self.by, names, known, sizes)


def _groups(frame: pd.DataFrame, by: Sequence[str]) -> tuple[Ints, list[Any]]:
    """Group of each row, and the values that form each group, in the order in which they come."""
    import pandas as pd

    values = frame[by[0]] if len(by) == 1 else pd.MultiIndex.from_frame(frame[list(by)])
    codes, keys = pd.factorize(values, use_na_sentinel=False)
    return codes.astype(np.intp), list(keys)
