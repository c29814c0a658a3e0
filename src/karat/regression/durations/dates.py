"""Durations from dates that a model read in a text."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from ...errors import ArgumentError, DataError, one_of
from ...frames import Table
from ...frames.dates import read_dates

if TYPE_CHECKING:
    from ..._core.types import Bools, Floats

_DAYS = {"days": 1.0, "weeks": 7.0, "months": 365.2425 / 12, "years": 365.2425}


@dataclass(frozen=True, eq=False)
class DateDurations:
    """Durations between two dates, and how many could not be had.

    Parameters
    ----------
    values : ndarray, shape (N,)
        Duration in ``unit``; missing where a date is missing or unreadable, or the end precedes the start.
    event : ndarray, shape (N,)
        1 where an end was given, 0 where it was not but the start was (with ``until``, still lasting then); missing
        where the start is missing.
    missing, unreadable, negative : int
        Rows without one of the dates; with a text that is not a date; whose end precedes its start.
    unit : str
    reversed : ndarray of bool, shape (N,)
        Where the end precedes the start.

    Examples
    --------
    >>> found = duration_from_dates(["2001-01-01", "n/a"], ["2003-01-01", "2002-01-01"])
    >>> found.values.round(2).tolist()
    [2.0, nan]
    """

    values: Floats = field(repr=False)
    event: Floats = field(repr=False)
    missing: int
    unreadable: int
    negative: int
    unit: str
    reversed: Bools = field(repr=False)

    def __str__(self) -> str:
        return (
            f"{len(self.values):,} durations in {self.unit}: {int(np.isfinite(self.values).sum()):,} found, "
            f"{self.missing:,} without a date, {self.unreadable:,} with an unreadable one, "
            f"{self.negative:,} ending before they start"
        )

    def __len__(self) -> int:
        return len(self.values)

    def __array__(self, dtype: object = None, copy: object = None) -> Floats:
        return self.values.copy()


def duration_from_dates(
    start: object,
    end: object,
    *,
    data: object = None,
    unit: str = "years",
    until: object = None,
    negative: str = "missing",
) -> DateDurations:
    """Durations from start and end dates, for example those a language model extracted.

    The result can serve as surrogate: a learner copes with missing values. For gold durations, ``until`` (the day
    observation ended) turns rows without an end into censored ones.

    Parameters
    ----------
    start, end : str or array_like of shape (N,)
        Columns of ``data``, or dates: texts such as ``"1998-05-17"``, ``"1998-05"``, ``"1998"`` (read as the first
        day), or datetimes. Text that is not a date counts as unreadable. Texts such as 05/04/1998 are refused where no
        other one shows whether the day or the month comes first.
    data : data frame, optional
    unit : {"days", "weeks", "months", "years"}
        A year is 365.2425 days.
    until : date, str or array_like, optional
        End of observation, for all or for each row: rows with a start and no end (or a later one) last until then and
        are censored.
    negative : {"missing", "raise"}
        What to do where the end precedes the start (models often confuse two dates).

    Returns
    -------
    DateDurations

    Raises
    ------
    DataError
        If lengths differ, a date can be two, no row has a duration, or an end precedes its start (``"raise"``).

    References
    ----------
    Gregorian mean year: ISO 8601.

    Examples
    --------
    >>> import karat as kt
    >>> found = kt.duration_from_dates(["2001", "2002-07"], ["2003-01-01", None], until="2004-07-01")
    >>> found.values.round(1).tolist(), found.event.tolist()
    ([2.0, 2.0], [1.0, 0.0])
    """
    one_of("unit", unit, tuple(_DAYS))
    one_of("negative", negative, ("missing", "raise"))
    first, bad_first = _dates(start, "start", data)
    last, bad_last = _dates(end, "end", data)
    if len(first) != len(last):
        raise ArgumentError(f"start has {len(first)} dates and end has {len(last)}; give one of each per row.")
    unreadable = bad_first | bad_last
    event = np.where(np.isnat(first), np.nan, np.where(np.isnat(last), np.nan if until is None else 0.0, 1.0))
    if until is not None:
        column = isinstance(until, str) and data is not None and until in Table.read(data).columns
        several = not isinstance(until, str) and hasattr(until, "__len__")
        stop, bad_stop = _dates(until if column or several else [until], "until", data)
        if bad_stop.any() or (np.isnat(stop).all()):
            raise DataError(
                f"until has {int(bad_stop.sum())} value(s) that are not dates, or no date at all; give a date, a "
                "column of dates, or one date per row."
            )
        stop = np.broadcast_to(stop, last.shape) if len(stop) == 1 else stop
        if len(stop) != len(last):
            raise ArgumentError(f"until has {len(stop)} dates; give one, or one per row ({len(last)}).")
        beyond = ~np.isnat(first) & ~bad_last & (np.isnat(last) | (last > stop))
        event = np.where(beyond, 0.0, event)
        last = np.where(beyond, stop, last)
    days = (last - first) / np.timedelta64(1, "D")
    days = np.where(np.isnat(first) | np.isnat(last), np.nan, days)
    turned = days < 0
    if turned.any() and negative == "raise":
        at = int(np.flatnonzero(turned)[0])
        raise DataError(
            f"the end precedes the start in {int(turned.sum())} row(s), first at position {at}; correct the dates, or "
            "use negative='missing'."
        )
    values = np.where(turned, np.nan, days) / _DAYS[unit]
    if not np.isfinite(values).any():
        raise DataError("no row has both a readable start and a readable end; check the columns.")
    lost = ~np.isfinite(values) & ~unreadable & ~turned
    event = np.where(np.isfinite(values), event, np.nan)
    return DateDurations(values, event, int(lost.sum()), int(unreadable.sum()), int(turned.sum()), unit, turned)


def _dates(given: object, name: str, data: object) -> tuple[Floats, Bools]:
    """Dates in days, and where a value is there but is not a date."""
    import pandas as pd

    values = pd.Series(Table.read(data).column(given, name) if isinstance(given, str) and data is not None else given)
    if isinstance(given, str) and data is None:
        raise ArgumentError(f"{name}={given!r} names a column; give data= too, or the dates themselves.")
    return read_dates(values, name)
