"""Dates from texts, years and datetimes: one rule, which refuses what can be read in two ways."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import DataError
from .kinds import is_number

if TYPE_CHECKING:
    import pandas as pd

    from .._core.types import Array, Bools

_TWO_FIRST = re.compile(r"\s*(\d{1,2})\s*([/.-])\s*(\d{1,2})\s*\2\s*(?:\d{4}|\d{2})(?!\d)")
"""Day and month, or month and day, before the year."""


def read_dates(values: pd.Series[Any], name: str) -> tuple[Array, Bools]:
    """Dates of a column, each value read by itself.

    Parameters
    ----------
    values : pandas.Series
        Datetimes, texts such as ``"1998-05-17"``, ``"1998-05"``, ``"1998"`` (read as the first day), or numbers that
        are years. Of texts such as 17/05/1998 all have the day first, or all the month, as one that can be read in one
        way only shows.
    name : str
        Where they come from, for messages.

    Returns
    -------
    dates : ndarray of datetime64[s], shape (N,)
        NaT where missing or unreadable.
    unreadable : ndarray of bool, shape (N,)
        Where a value is there and is no date.

    Raises
    ------
    DataError
        If nothing shows whether the day or the month comes first, or values contradict each other.

    Examples
    --------
    >>> import pandas as pd
    >>> read_dates(pd.Series(["01/02/2020", "13/02/2020", "2020-03-01"]), "start")[0].astype("datetime64[D]").tolist()
    [datetime.date(2020, 2, 1), datetime.date(2020, 2, 13), datetime.date(2020, 3, 1)]
    """
    import pandas as pd

    values = values.map(_year) if values.dtype.kind in "iufO" else values
    texts = values.astype(str)
    blank = values.isna() | texts.str.strip().isin(("", "nan", "None", "NaT"))
    matches = [_TWO_FIRST.match(text) if isinstance(value, str) else None for value, text in zip(values, texts)]
    turned = np.array([match is not None for match in matches], dtype=bool)
    day_first = _day_first([(int(m[1]), int(m[3]), m[0].strip()) for m in matches if m is not None], name)
    given = values.where(~blank).astype(object)
    out = np.full(len(given), np.datetime64("NaT", "s"))
    for rows, first in ((~turned, False), (turned, day_first)):
        parsed = pd.to_datetime(given[rows], errors="coerce", format="mixed", utc=True, dayfirst=first)
        out[rows] = parsed.dt.tz_localize(None).to_numpy().astype("datetime64[s]")
    return out, np.asarray(~blank & np.isnat(out))


def _year(value: Any) -> Any:
    """A number as the year that it is; other values as they are."""
    if not is_number(value) or value != value:
        return value
    return f"{int(value):04d}" if float(value).is_integer() else f"{value} is no year"


def _day_first(found: list[tuple[int, int, str]], name: str) -> bool:
    """Whether the day stands first in dates that have the year last."""
    day = next((text for a, b, text in found if a > 12 >= b), None)
    month = next((text for a, b, text in found if b > 12 >= a), None)
    either = next((text for a, b, text in found if a != b and max(a, b) <= 12), None)
    if either is not None and (day is None) == (month is None):
        why = (
            f"{day!r} has the day first, {month!r} the month" if day else "no other one shows whether the day is first"
        )
        raise DataError(
            f"{name} holds {either!r}, which can be two dates, and {why}; write dates as 2020-12-31, or make them "
            "datetimes first: pd.to_datetime(column, format='%d/%m/%Y')."
        )
    return day is not None
