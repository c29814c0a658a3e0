"""The order of rows that follows from their content."""

import datetime

import numpy as np
import pandas as pd
import polars as pl
import pytest

from karat.frames import Table
from karat.frames.order import canonical_order, row_hashes


@pytest.fixture
def rows() -> pd.DataFrame:
    rng = np.random.default_rng(1)
    n = 200
    return pd.DataFrame({
        "whole": rng.integers(0, 9, n),
        "real": rng.normal(size=n).round(3),
        "text": [f"text {k % 70}" for k in range(n)],
        "gap": np.where(rng.random(n) < 0.3, np.nan, rng.normal(size=n).round(2)),
        "day": [datetime.date(2020, 1, 1 + k % 28) for k in range(n)],
        "flag": rng.random(n) < 0.5,
    })  # fmt: skip


def _hashes(data: object, names: list[str]) -> np.ndarray:
    table = Table.read(data)
    return row_hashes({name: table.column(name, "data") for name in names})


def test_order_follows_rows_and_not_positions(rows: pd.DataFrame) -> None:
    turned = rows.sample(frac=1, random_state=3).reset_index(drop=True)
    first, second = (f.iloc[canonical_order(dict(f.items()))].reset_index(drop=True) for f in (rows, turned))
    pd.testing.assert_frame_equal(first, second)


def test_hashes_are_those_of_any_library_width_and_column_order(rows: pd.DataFrame) -> None:
    names = list(rows.columns)
    want = _hashes(rows, names)
    assert len(set(want.tolist())) == len(rows)
    narrow = rows.assign(
        whole=rows["whole"].astype("int32"),
        real=rows["real"].astype("float32"),
        text=rows["text"].astype("category"),
        day=pd.to_datetime(rows["day"]),
        flag=rows["flag"].astype(int),
    )
    for other in (narrow, pl.from_pandas(rows), rows.convert_dtypes(), rows.astype({"whole": float})):
        assert (_hashes(other, names[::-1]) == want).all()


@pytest.mark.parametrize("name", ["whole", "real", "text", "gap", "day", "flag"])
def test_every_column_counts(rows: pd.DataFrame, name: str) -> None:
    other = rows.copy()
    other.loc[5, name] = other.loc[other[name] != other.loc[5, name], name].iloc[0]
    changed = _hashes(other, list(rows.columns)) != _hashes(rows, list(rows.columns))
    assert np.flatnonzero(changed).tolist() == [5]


def test_the_same_values_under_two_names_differ() -> None:
    assert (row_hashes({"a": [1, 2], "b": [2, 1]})[0] != row_hashes({"a": [1, 2], "b": [2, 1]})[1]).all()


@pytest.mark.parametrize("least", [0, -3, 1990, 10**12 - 2, 2**53 - 9, -(2**53) + 2])
def test_whole_numbers_close_together_count_as_all_others_do(least: int) -> None:
    values = np.random.default_rng(5).integers(0, 7, 50) + least
    near, far = pd.Series(values), pd.Series([*values.tolist(), 10**9 * 3])  # the last takes the way of all numbers
    assert (row_hashes({"a": near}) == row_hashes({"a": far})[:-1]).all()
    assert (row_hashes({"a": near.astype(float)}) == row_hashes({"a": near})).all()
