"""Dates from texts: one order of day and month in a column, or none is taken."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import karat as kt
from karat.errors import DataError
from karat.frames.dates import read_dates

DAYS = st.lists(st.dates(pd.Timestamp("1900-01-01").date(), pd.Timestamp("2100-12-31").date()), min_size=1, max_size=8)


@given(DAYS, st.sampled_from(["%d/%m/%Y", "%m-%d-%Y", "%d.%m.%Y"]))
def test_a_column_is_read_as_it_was_written_or_refused(days, how):
    texts = pd.Series([day.strftime(how) for day in days])
    told = any(day.day > 12 for day in days) or all(day.day == day.month for day in days)
    if told:
        assert read_dates(texts, "start")[0].astype("datetime64[D]").tolist() == days
    else:
        with pytest.raises(DataError, match="can be two dates"):
            read_dates(texts, "start")


@given(DAYS)
def test_other_ways_to_write_have_one_reading(days):
    for how in ("%Y-%m-%d", "%d %B %Y", "%Y-%m-%d %H:%M", "%Y%m%d"):
        found, unreadable = read_dates(pd.Series([f"{day:{how}}" for day in days]), "start")
        assert found.astype("datetime64[D]").tolist() == days
        assert not unreadable.any()


def test_missing_and_unreadable_are_told_apart():
    found, unreadable = read_dates(pd.Series(["2020-02", None, "", "soon", 2019.5, 2019], dtype=object), "start")
    assert found.astype("datetime64[D]").astype(str).tolist() == ["2020-02-01", *["NaT"] * 4, "2019-01-01"]
    assert unreadable.tolist() == [False, False, False, True, True, False]
    years, odd = read_dates(pd.Series([1998.0, np.nan, 1998.5]), "start")
    assert years.astype("datetime64[D]").astype(str).tolist() == ["1998-01-01", "NaT", "NaT"]
    assert odd.tolist() == [False, False, True]


def test_dates_that_contradict_each_other_are_named():
    with pytest.raises(DataError, match=r"'01/02/2020'.*'13/02/2020' has the day first, '02/13/2020' the month"):
        kt.duration_from_dates(["01/02/2020", "13/02/2020", "02/13/2020"], ["2021-01-01"] * 3)


def test_durations_of_days_that_come_first():
    """3 April to 15 April: read value by value, as before, it was 4 March to 15 April."""
    found = kt.duration_from_dates(["03/04/2020", "14/04/2020"], ["15/04/2020", "15/04/2020"], unit="days")
    assert found.values.tolist() == [12.0, 1.0]
