"""Which cell, group by period, each row of a table belongs to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ArgumentError, DataError, one_of
from ..frames import Table
from ..frames.kinds import is_number, is_text

if TYPE_CHECKING:
    import pandas as pd

    from .._core.types import Bools, Floats, Ints

_FREQUENCIES = {"day": "D", "week": "W", "month": "M", "quarter": "Q", "year": "Y"}

PERIODS = tuple(_FREQUENCIES)

_MOST_GAPS = 3
"""Whole numbers that no row has are shown as gaps while there are at most so many times as many as there are."""


@dataclass(frozen=True)
class Axes:
    """Groups and periods of the rows of a table.

    Parameters
    ----------
    table : Table
        With a column of periods put in, where dates were binned.
    columns : tuple of str
        Columns that say the cell.
    by : tuple of str
    over : str or None
    groups : data frame
        Values of ``by``, one row for each group.
    periods : tuple
        All periods from the first to the last, those without rows too; one entry without ``over``.
    position : ndarray, shape (T,)
        Where the periods stand in time: numbers as they are, dates and names counted from 0.
    group, period : ndarray of int, shape (N,)
        -1 where a value is missing.
    """

    table: Table = field(repr=False)
    columns: tuple[str, ...]
    by: tuple[str, ...]
    over: str | None
    groups: pd.DataFrame = field(repr=False)
    periods: tuple[Any, ...]
    position: Floats = field(repr=False)
    group: Ints = field(repr=False)
    period: Ints = field(repr=False)

    @property
    def cell(self) -> Ints:
        """Group times number of periods plus period, shape (N,); -1 where either is missing."""
        known = (self.group >= 0) & (self.period >= 0)
        return np.where(known, self.group * len(self.periods) + self.period, -1)

    def grid(self) -> pd.DataFrame:
        """What every cell is: the values of ``by`` and the period, one row for each cell."""
        repeated = self.groups.loc[self.groups.index.repeat(len(self.periods))].reset_index(drop=True)
        if self.over is None:
            return repeated
        return repeated.assign(**{self.over: list(self.periods) * len(self.groups)})


def group_codes(frame: pd.DataFrame) -> Ints:
    """Group of each row, counted in the order of the values, shape (N,); -1 where one is missing.

    Examples
    --------
    >>> import pandas as pd
    >>> group_codes(pd.DataFrame({"party": ["left", None, "green"]})).tolist()
    [1, -1, 0]
    """
    found = frame.groupby(list(frame.columns), sort=True, observed=True).ngroup()
    return np.asarray(found.fillna(-1), dtype=np.intp)


def refuse_names(names: Sequence[str], taken: Sequence[str]) -> None:
    """Raise where a grouping column has the name of a column of the table of results."""
    if clash := [name for name in names if name in taken]:
        raise ArgumentError(f"by= names {clash[0]!r}, which is a column of the table of results; rename the column.")


def name_of(row: Any, columns: Sequence[str]) -> str:
    """A cell in words, as means by group have it: ``party=left:year=2020``."""
    return ":".join(f"{column}={value}" for column, value in zip(columns, row))


def names_of(grid: pd.DataFrame) -> list[str]:
    """Cells in words; the only cell of a grid without columns has no name (older pandas has no rows of these)."""
    columns = tuple(grid.columns)
    return [name_of(row, columns) for row in grid.itertuples(index=False)] if columns else [""] * len(grid)


def read_axes(table: Table, by: object, over: str | None, period: str | None, inside: Bools) -> Axes:
    """Read groups and periods.

    Parameters
    ----------
    table : Table
    by : str, list of str or None
    over, period : str or None
    inside : ndarray of bool, shape (N,)
        Rows whose groups and periods count.

    Returns
    -------
    Axes

    Raises
    ------
    ArgumentError, DataError
        Where they cannot be read.
    """
    import pandas as pd

    names = [] if by is None else ([by] if isinstance(by, str) else by)
    if not isinstance(names, (list, tuple)) or not all(isinstance(name, str) for name in names):
        raise ArgumentError(f"by={by!r} is not allowed; give the name of a column, or a list of names.")
    if len(set(names)) != len(names) or over in names:
        raise ArgumentError(f"by={by!r} and over={over!r} must name different columns.")
    if over is None and period is not None:
        raise ArgumentError(f"period={period!r} bins the dates of over=; name their column with over=.")
    groups, group = pd.DataFrame(index=[0]), np.zeros(table.n_rows, dtype=np.intp)
    if names:
        frame = table.pandas(names, "by")
        group = group_codes(frame)
        seen, first = np.unique(group[(group >= 0) & inside], return_index=True)
        if not len(seen):
            raise DataError(f"by={by!r} is missing in every row; fill it, or take it out.")
        groups = frame[(group >= 0) & inside].iloc[first].reset_index(drop=True)
        group = np.where(group >= 0, np.searchsorted(seen, group).clip(max=len(seen) - 1), -1)
        group[~inside] = -1
    periods, position, at, column, found = _periods(table, over, period, inside)
    used = (*names, *([] if column is None else [column]))
    return Axes(found, used, tuple(names), over, groups, periods, position, group.astype(np.intp), at)


def _periods(
    table: Table, over: str | None, period: str | None, inside: Bools
) -> tuple[tuple[Any, ...], Floats, Ints, str | None, Table]:
    """Periods, their positions, the period of each row, the column that says it, and the table that has the column."""
    import pandas as pd

    if over is None:
        return ("",), np.zeros(1), np.zeros(table.n_rows, dtype=np.intp), None, table
    values = table.column(over, "over")
    if values[inside].isna().all():
        raise DataError(f"over={over!r} is missing in every row; fill it, or take it out.")
    if period is not None:
        one_of("period", period, PERIODS)
    if (binned := in_periods(values, over, period)) is not None:
        return _binned(table, over, *binned, inside)
    if isinstance(values.dtype, pd.CategoricalDtype):
        levels = [level for level in values.dtype.categories if (values[inside] == level).any()]
        position = np.arange(len(levels), dtype=np.float64)
    elif is_text(values, over, "over") and not all(map(is_number, values.dropna())):
        levels = sorted(map(str, values[inside].dropna().unique()))
        position = np.arange(len(levels), dtype=np.float64)
    else:
        numbers = values.astype(np.float64)
        levels = np.unique(numbers[inside].dropna()).tolist()
        if all(level == round(level) for level in levels):
            levels = _between([int(level) for level in levels])
        position, values = np.asarray(levels, dtype=np.float64), numbers
    at = pd.Index(levels).get_indexer(pd.Index(values.astype(object)))
    return tuple(levels), position, np.where(inside, at, -1).astype(np.intp), over, table


def in_periods(values: pd.Series[Any], over: str, period: str | None) -> tuple[pd.Series[Any], str | None] | None:
    """Dates, or periods, as periods, and how long these are; None where values are neither."""
    import pandas as pd

    if isinstance(values.dtype, pd.PeriodDtype):
        return values if period is None else _coarser(values, over, period), period
    if period is not None or pd.api.types.is_datetime64_any_dtype(values.dtype) or _holds_dates(values):
        period = period or "day"
        return _dates(values, over, period).dt.to_period(_FREQUENCIES[period]), period
    return None


def _between(levels: list[int]) -> list[int]:
    """All whole numbers from the first to the last, unless most of them would be gaps."""
    every = list(range(levels[0], levels[-1] + 1))
    return every if len(every) <= _MOST_GAPS * len(levels) else levels


def _holds_dates(values: pd.Series[Any]) -> bool:
    import datetime

    present = values.dropna()
    return values.dtype == object and len(present) > 0 and isinstance(present.iloc[0], datetime.date)


def _dates(values: pd.Series[Any], over: str, period: str) -> pd.Series[Any]:
    import pandas as pd

    if pd.api.types.is_numeric_dtype(values.dtype):
        raise DataError(
            f"over={over!r} holds numbers, and period={period!r} bins dates; take period= out, or turn the column into "
            "dates first."
        )
    try:
        dates = pd.to_datetime(values, format="ISO8601" if isinstance(values.dropna().iloc[0], str) else None)
    except (ValueError, TypeError) as error:
        raise DataError(f"over={over!r} cannot be read as dates ({error}); give dates such as 2024-03-31.") from None
    return dates.dt.tz_localize(None)


def _coarser(values: pd.Series[Any], over: str, period: str) -> pd.Series[Any]:
    """Periods put together to longer ones."""
    frequency = _FREQUENCIES[period]
    first, last = (values.dt.asfreq("D", how=end).dt.asfreq(frequency) for end in ("start", "end"))
    if (first != last)[values.notna()].any():
        raise DataError(
            f"over={over!r} holds periods that do not lie within one {period} each; give a longer period=, or take it "
            "out."
        )
    return first


def _binned(
    table: Table, over: str, binned: pd.Series[Any], period: str | None, inside: Bools
) -> tuple[tuple[Any, ...], Floats, Ints, str, Table]:
    """Dates in bins, with a column of the numbers of the bins put into the table."""
    import narwhals as nw
    import pandas as pd

    there = binned[inside].dropna()
    every = pd.period_range(there.min(), there.max(), freq=there.iloc[0].freq)
    at = np.where(inside, every.get_indexer(pd.Index(binned)), -1).astype(np.intp)
    if (at[inside & binned.notna().to_numpy()] < 0).any():
        raise DataError(
            f"over={over!r} holds periods that overlap ({binned.dtype}, starting at different times); give dates with "
            "period=, or periods that follow each other."
        )
    column = f"{over} ({period or 'period'})"
    series = nw.new_series(column, np.where(at >= 0, at, np.nan), backend=table.native.implementation)
    return tuple(every), np.arange(len(every), dtype=np.float64), at, column, Table(table.put([series]))
