"""The cells of ``kt.shares``: which there are, which hold gold, and the fits whose rows stand in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ArgumentError, DataError
from ..frames import Table
from ..frames.kinds import is_number, is_text
from ..frames.quoting import quote
from ..frames.table import as_float
from ..regression.batch_cells import CELL, Found, InCells, combinations, survey
from ..regression.batch_units import named_weights
from ..regression.batches import learns
from ..regression.group_means import Empty
from ..regression.options import Arguments
from ..regression.pipeline import open_batches
from .axes import Axes, in_periods, names_of, read_axes

if TYPE_CHECKING:
    import pandas as pd

    from .._core.types import Array, Bools, Floats, Ints
    from ..frames.batches import Batches
    from ..regression.pipeline import Opened

MOST_VALUES = 20
"""Different numbers up to which a column of numbers is one of classes."""

Asked = tuple[Any, "str | None", "str | None"]
"""by, over and period."""


@dataclass(frozen=True)
class Place:
    """Where the units stand.

    Parameters
    ----------
    axes : Axes
        Of all rows, or of the combinations of values that there are.
    kept : ndarray of int, shape (C,)
        Cells that hold gold.
    whole : bool
        Whether the label is one column of classes.
    empty : Empty or None
        The other cells.
    code : ndarray of int, shape (N,), or None
        Which of the kept cells each unit is in; None where this is read batch by batch.
    """

    axes: Axes
    kept: Ints = field(repr=False)
    whole: bool
    empty: Empty | None
    code: Ints | None = field(repr=False, default=None)


def is_whole(values: Mapping[str, pd.Series[Any]]) -> bool:
    """Whether labels are one column of classes, and not codes of 0 and 1.

    Raises
    ------
    ArgumentError
        If there are several, not all of them codes, or one that holds too many different numbers.
    """
    codes = {name: not is_text(v, name, "label") or all(map(is_number, v.dropna())) for name, v in values.items()}
    numbers = {
        name: np.unique(as_float(v.dropna(), name, "label")) if codes[name] else None for name, v in values.items()
    }
    odd = [name for name, found in numbers.items() if found is None or not np.isin(found, (0.0, 1.0)).all()]
    if not odd:
        return False
    if len(values) > 1:
        raise ArgumentError(
            f"label={list(values)!r} lists codes, which must be 0 or 1, and {odd[0]!r} is not; give a column of "
            "classes by itself, or recode it."
        )
    found = numbers[odd[0]]
    if found is not None and len(found) > MOST_VALUES:
        raise ArgumentError(
            f"label={odd[0]!r} holds {len(found)} different numbers; shares are of classes. Use kt.mean for its mean, "
            "or cut it into classes."
        )
    return True


def without_gold(
    axes: Axes, inside: Bools, gold: Bools, rows: Array, missing: object
) -> tuple[Empty | None, Ints, Bools]:
    """Cells that hold rows and no gold, the cells to estimate, and which rows stand in the former.

    Parameters
    ----------
    axes : Axes
    inside, gold : ndarray of bool
        Rows, or combinations of values, that count, and those that hold gold.
    rows : ndarray
        How many rows each is.
    missing : object
        Whether such cells are refused.
    """
    cell, none = axes.cell, np.zeros(len(axes.cell), dtype=bool)
    known = (cell >= 0) & inside
    held, kept = np.unique(cell[known]), np.unique(cell[known & gold])
    if not len(kept) or len(held) == len(kept):
        return None, held, none
    names = names_of(axes.grid())
    lost = known & ~np.isin(cell, kept)
    without = tuple(names[c] for c in held if c not in set(kept))
    empty = Empty(without, tuple(names[c] for c in held), int(rows[lost].sum()), None, None)
    empty.refuse(missing)
    return empty, kept, lost


def arguments_of(
    name: str, seen: str, surrogates: Mapping[str, Any], options: Mapping[str, Any], whole: bool, cells: Any
) -> Arguments:
    """How one label is fitted: its learner sees groups and periods, as columns of a function of the cells."""
    formula = f"{quote(name)} ~ {'0 + ' if seen != '1' else ''}{seen}"
    given = {**options, "context": {**(options.get("context") or {}), "karat_cells": cells}}
    return Arguments.of("multinomial" if whole else "mean", formula, {name: surrogates[name]}, given)


def refuse_outside(count: int) -> None:
    """Raise where units stand in no cell to estimate."""
    if count:
        raise DataError(
            f"{count} row(s) belong to none of the groups and periods; give by= and over= columns whose values are "
            "all of one kind."
        )


@dataclass(frozen=True)
class Counting:
    """The cells of rows, counted from 1, from the columns that tell them."""

    found: Found = field(repr=False)
    code: Ints = field(repr=False)

    def __call__(self, *columns: Any) -> Floats:
        """Cells of rows, shape (m,)."""
        import pandas as pd

        names = self.found.frame.columns
        as_they_are = [pd.Series(np.asarray(column), dtype=getattr(column, "dtype", None)) for column in columns]
        frame = pd.DataFrame(dict(zip(names, as_they_are)))
        combination, first = combinations(frame)
        where = self.found.of(frame.iloc[first])
        code = np.where(where >= 0, self.code[where], -1)
        refuse_outside(int((code < 0)[combination].sum()))
        return np.asarray(code[combination] + 1.0)


def open_in_batches(
    labels: Sequence[str], batches: Batches, surrogates: Mapping[str, Any], asked: Asked, options: dict[str, Any]
) -> tuple[list[Opened], Place]:
    """Fits and cells of a table that is read batch by batch."""
    import pandas as pd

    by, over, period = asked
    columns = _columns(batches, labels, by, over)
    weights = named_weights(options.get("weights"))
    binned = Binned(over, period)
    found = survey(batches, columns, labels, weights, binned)
    frame, period = binned.in_order(found.frame)
    inside = np.ones(len(frame), dtype=bool)
    axes = read_axes(Table.read(frame if columns else {"row": [0]}), by, over, period, inside)
    whole = is_whole({name: pd.Series(values) for name, values in found.labels.items()})
    empty, kept, lost = without_gold(axes, inside, found.weighed > 0, found.rows, options.get("missing"))
    place = np.searchsorted(kept, axes.cell).clip(max=len(kept) - 1)
    code = np.where(kept[place] == axes.cell, place, -1)
    put = None
    if over is not None and axes.columns[-1] != over:
        put = (axes.columns[-1], np.where(axes.period >= 0, axes.period, np.nan))
    seen, cells, numbers = "1", None, None
    plain = not learns(arguments_of(labels[0], "1", surrogates, options, whole, None))
    if axes.columns and plain and found.of_rows is not None:  # nothing needs the columns themselves
        refuse_outside(int(found.rows[(code < 0) & ~lost].sum()))
        seen, numbers = quote(CELL), code + 1.0
    elif axes.columns:
        own = axes.table.pandas(list(axes.columns), "by")
        cells = Counting(Found(own, found.rows, found.gold, found.weighed), code)
        seen = f"karat_cells({', '.join(map(quote, axes.columns))})"
    told = (over, period, None if numbers is None else numbers.tobytes())
    rows = InCells.of(
        batches, columns, found, ~lost, weights, binned=binned, period=put, numbers=numbers, told=told
    )  # fmt: skip
    opened = [
        open_batches(arguments_of(name, seen, surrogates, options, whole, cells), rows, alike=len(labels) == 1)
        for name in labels
    ]
    return opened, Place(axes, kept, whole, empty)


def _columns(batches: Batches, labels: Sequence[str], by: Any, over: str | None) -> list[str]:
    """Columns that tell cells."""
    groups = [] if by is None else [by] if isinstance(by, str) else by
    known = Table.read({name: [0] for name in batches.columns})
    known.require(labels, "label")
    if isinstance(groups, (list, tuple)) and all(isinstance(name, str) for name in groups):
        known.require(groups, "by")
        known.require([] if over is None else [over], "over")
        return list(dict.fromkeys([*groups, *([] if over is None else [over])]))
    return []  # refused where groups are read


@dataclass(frozen=True)
class Binned:
    """Turns dates into periods."""

    over: str | None
    period: str | None

    def __call__(self, frame: pd.DataFrame) -> pd.DataFrame:
        """The frame with its dates in periods."""
        if self.over is None or not frame[self.over].notna().any():
            return frame
        found = in_periods(frame[self.over], self.over, self.period)
        return frame if found is None else frame.assign(**{self.over: found[0].astype(object)})

    def in_order(self, frame: pd.DataFrame) -> tuple[pd.DataFrame, str | None]:
        """Combinations with their periods as such, and how long these are."""
        import pandas as pd

        if self.over is None:
            return frame, self.period
        there = frame[self.over].dropna()
        if not len(there) or not isinstance(there.iloc[0], pd.Period):
            return frame, self.period
        return frame.assign(**{self.over: pd.PeriodIndex(frame[self.over], freq=there.iloc[0].freq)}), (
            self.period or "day"
        )
