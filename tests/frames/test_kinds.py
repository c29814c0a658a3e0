"""What is a number, what is a category and in which order, what is missing, what is refused."""

import datetime
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import karat as kt
from karat.errors import DataError

from .. import corpora

FULL = corpora.corpus(120, seed=3)
GOLD = np.arange(120) % 2 == 0
FRAME = corpora.masked(FULL, GOLD, "y").assign(k=np.arange(120) // 3 % 4, b=np.arange(120) % 3 == 0)


def fit(formula, frame=FRAME, **options):
    return kt.ols(formula, frame, **{"surrogates": {"y": "y_llm"}, "learner": None, "compare": False} | options)


@pytest.mark.parametrize(
    "column",
    [
        [Decimal(int(v)) for v in FRAME["k"]],
        [Fraction(int(v)) for v in FRAME["k"]],
        FRAME["k"].astype(object),
        FRAME["k"].astype("Int64"),
        FRAME["k"].astype(np.int8),
        FRAME["k"].astype(pd.ArrowDtype(pa.decimal128(25, 2))),
    ],
    ids=["Decimal", "Fraction", "object", "Int64", "int8", "arrow decimal"],
)
def test_numbers_are_numbers_in_every_type(column):
    found = fit("y ~ k", FRAME.assign(k=column))
    np.testing.assert_allclose(found.theta, fit("y ~ k").theta, rtol=1e-12)
    feature = fit("y ~ 1", FRAME.assign(k=column), learner="linear", features="k", seed=1, repeats=1)
    expected = fit("y ~ 1", learner="linear", features="k", seed=1, repeats=1)
    np.testing.assert_allclose(feature.theta, expected.theta, rtol=1e-12)


def test_polars_decimals_and_numbers_with_a_hole():
    table = pl.from_pandas(FRAME[["y", "y_llm", "k"]]).with_columns(pl.col("k").cast(pl.Decimal(10, 2)))
    np.testing.assert_allclose(fit("y ~ k", table).theta, fit("y ~ k").theta, rtol=1e-12)
    holes = FRAME.assign(k=FRAME["k"].astype(object).where(FRAME.index != 7, None))
    found = fit("y ~ k", holes)
    assert found.names == ("Intercept", "k")
    assert found.sampling.dropped == {"k": 1}


def test_booleans_are_one_and_zero():
    """Sums of booleans count; what is not arithmetic is refused with the way to write it."""
    table = FRAME.assign(c=FRAME["k"] > 1)
    numbers = table.assign(b=table["b"].astype(int), c=table["c"].astype(int))
    np.testing.assert_allclose(fit("y ~ I(b + c)", table).theta, fit("y ~ I(b + c)", numbers).theta, rtol=1e-12)
    with pytest.raises(kt.KaratError, match="write a \\* b for 'and'"):
        fit("y ~ I(b & c)", table)


def test_text_that_looks_like_a_number_is_text():
    assert fit("y ~ k", FRAME.assign(k=FRAME["k"].astype(str))).names[1:] == ("k[T.1]", "k[T.2]", "k[T.3]")


@pytest.mark.parametrize("formula", ["y ~ region", "y ~ C(region)"])
def test_declared_order_and_unused_categories(formula):
    order = ["west", "unused", "east", "north"]
    arrow = pa.Table.from_pandas(FRAME.assign(region=pd.Categorical(FRAME["region"], order)))
    tables = [
        FRAME.assign(region=pd.Categorical(FRAME["region"], order)),
        FRAME.assign(region=pd.Categorical(FRAME["region"], order, ordered=True)),
        pl.from_pandas(FRAME[["y", "y_llm", "region"]]).with_columns(pl.col("region").cast(pl.Enum(order))),
        arrow,
    ]
    for table in tables:
        assert [n[n.index("[") :] for n in fit(formula, table).names[1:]] == ["[T.east]", "[T.north]"]
    undeclared = pl.from_pandas(FRAME[["y", "y_llm", "region"]]).with_columns(pl.col("region").cast(pl.Categorical))
    assert fit(formula, undeclared).names == fit(formula).names


def test_labelled_category_keeps_its_declared_order():
    order = ["war", "law", "economy"]
    topic = pd.Categorical(FULL["topic"].where(GOLD), order, ordered=True)
    found = kt.ols(
        "y ~ topic", FULL.assign(topic=topic), surrogates={"topic": "topic_llm"}, learner=None, compare=False
    )
    assert found.names == ("Intercept", "topic[T.law]", "topic[T.economy]")


def test_new_data_are_compared_by_value_with_type():
    coded = fit("y ~ C(b)")
    expected = coded.theta.sum()
    for value in (True, 1, 1.0, Decimal(1)):
        np.testing.assert_allclose(coded.predict(pd.DataFrame({"b": [value]}))["fit"], expected)
    for value in ("1", 2, 0.5):
        with pytest.raises(DataError):
            coded.predict(pd.DataFrame({"b": [value]}))
    with pytest.raises(DataError):
        fit("y ~ region").predict(pd.DataFrame({"region": [1]}))
    with pytest.raises(DataError, match="in the fit it held numbers"):
        fit("y ~ k").predict(pd.DataFrame({"k": ["1"]}))
    assert fit("y ~ C(k > 1)").names[1] == "C(k > 1)[T.True]"
    category = fit("y ~ k", FRAME.assign(k=pd.Categorical(FRAME["k"])))
    np.testing.assert_allclose(category.predict(pd.DataFrame({"k": [2]}))["fit"], category.theta[[0, 2]].sum())


@pytest.mark.parametrize(
    "values",
    [
        [datetime.date(2000, 1, 1)] * 120,
        pd.date_range("2000-01-01", periods=120),
        pd.period_range("2000-01", periods=120, freq="M"),
        pd.to_timedelta(np.arange(120), "D"),
        [[1]] * 120,
        [{"a": 1}] * 120,
        [(1, 2)] * 120,
        [b"a"] * 120,
        np.arange(120) + 1j,
        ["a", 1] * 60,
    ],
    ids=["date", "datetime", "period", "timedelta", "list", "dict", "tuple", "bytes", "complex", "mixed"],
)
def test_odd_types_are_refused_by_name(values):
    table = FRAME.assign(odd=values)
    for call in (
        lambda: fit("y ~ odd", table),
        lambda: fit("y ~ z", table, features="odd", learner="linear", seed=1),
        lambda: fit("y ~ z", table, surrogates={"y": "odd"}),
        lambda: fit("y ~ z", table, weights="odd"),
    ):
        with pytest.raises(DataError, match="'odd'"):
            call()


@pytest.mark.parametrize("word", ["", "  ", "NA", "nan", "None"])
def test_text_that_may_mean_missing_is_refused_in_gold(word):
    topic = FULL["topic"].astype(object).where(GOLD, word)
    with pytest.raises(DataError, match="not labelled") as caught:
        kt.mean("I(topic == 'war')", FULL.assign(topic=topic), surrogates={"topic": "topic_llm"})
    line = str(caught.value).split("write ")[1].split(";")[0]
    data = FULL.assign(topic=topic)
    exec(line, {"data": data})
    found = kt.mean("I(topic == 'war')", data, surrogates={"topic": "topic_llm"}, learner=None, compare=False)
    assert found.n_gold == 60
    with pytest.raises(DataError, match="mixes numbers and text"):
        fit("y ~ z", FRAME.assign(y=FRAME["y"].astype(object).where(GOLD, word)))


def test_whole_numbers_do_not_overflow():
    year = FRAME.assign(year=(1950 + np.arange(120) % 70).astype(np.int16))
    powers = year.assign(p=year["year"].astype(float) ** 7)
    np.testing.assert_allclose(
        fit("y ~ 0 + I(year**7)", year).theta, fit("y ~ 0 + p", powers).theta, rtol=1e-12, atol=0
    )
