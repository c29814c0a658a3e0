"""Shares and means by group of tables that are read batch by batch: the numbers of the table in memory."""

from __future__ import annotations

import itertools
import pickle

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import karat as kt
from karat.errors import ArgumentError

from ..profiles import examples

pytestmark = pytest.mark.filterwarnings("ignore::karat.errors.KaratWarning")
N = 700
LABELS = {"classes": ("topic", {"topic": "model"}), "codes": (["a", "b"], {"a": "a_model", "b": "b_model"})}
CELLS = [
    {"by": "party", "over": "year"}, {"over": "date", "period": "month"}, {},
    {"by": ["party", "year"], "over": "date", "period": "quarter"},
]  # fmt: skip
DESIGNS = {
    "simple": kt.SimpleRandom(n=250), "strata": kt.Stratified("st", n=250), "independent": kt.Bernoulli(0.4),
    "unequal": kt.Unequal("size", n=250),
}  # fmt: skip
OPTIONS = [
    {}, {"vcov": "HC0"}, {"vcov": "HC2"}, {"weights": "size"}, {"cluster": "author"}, {"vcov": {"CRV1": "author"}},
    {"estimator": "gold"}, {"tuning": None}, {"target": "finite"}, {"learner": "linear", "folds": "fold"},
]  # fmt: skip


def corpus(design, *labels, missing=True):
    rng = np.random.default_rng(5)
    topic = rng.choice(["economy", "law", "war"], N, p=[0.5, 0.3, 0.2])
    data = pd.DataFrame({
        "topic": topic, "party": rng.choice(["left", "right", "mid"], N), "year": rng.integers(2018, 2021, N),
        "date": pd.Timestamp("2020-01-05") + pd.to_timedelta(rng.integers(0, 110, N), "D"),
        "model": np.where(rng.random(N) < 0.8, topic, "economy"), "a": (rng.random(N) < 0.3).astype(float),
        "size": rng.uniform(0.5, 2.0, N), "author": rng.integers(0, 60, N), "st": rng.choice(["u", "w"], N),
        "fold": rng.integers(0, 4, N),
    })  # fmt: skip
    data["b"] = np.where(rng.random(N) < 0.5, data["a"], 1.0 - data["a"])
    for code in "ab":
        right = np.where(rng.random(N) < 0.85, data[code], 1.0 - data[code])
        data[f"{code}_model"] = 0.8 * right + 0.2 * rng.random(N)
    data = kt.datasets.mask_gold(data, design.draw(data, seed=2), list(labels))
    data["party"] = data["party"].where(rng.random(N) > 0.01 * missing)
    data.loc[(data["party"] == "mid") & (data["year"] == 2019), list(labels)] = None
    return data


def shares(data, label, surrogates, **options):
    return kt.shares(label, data, surrogates=surrogates, **{"learner": None, "seed": 3, **options})


def numbers(found):
    out = [found.theta, found.covariance, found.plain, found.df, found.size]
    for column in found.comparison.columns:
        out += [column.theta, column.se, column.df]
    difference = found.comparison.difference
    return out if difference is None else [*out, difference.se, [difference.p_value]]


def same(one, other):
    assert one.names == other.names
    assert one.fits[0].sampling == other.fits[0].sampling
    assert one.grid.equals(other.grid)
    for left, right in zip(numbers(one), numbers(other), strict=True):
        np.testing.assert_allclose(right, left, rtol=1e-10, atol=1e-10 * np.max(np.abs(left), initial=0.0))


@given(
    size=st.integers(20, N + 1), label=st.sampled_from(list(LABELS)), cells=st.sampled_from(CELLS),
    design=st.sampled_from(list(DESIGNS)), options=st.sampled_from(OPTIONS), missing=st.booleans(),
)  # fmt: skip
@examples(15)
def test_the_numbers_of_the_table(size, label, cells, design, options, missing):
    name, surrogates = LABELS[label]
    frame = corpus(DESIGNS[design], *surrogates, missing=missing)
    given = {"design": DESIGNS[design], **cells, **options}
    answers = []
    for data in (frame, kt.Batches(pa.Table.from_pandas(frame), rows=size)):
        try:
            answers.append(shares(data, name, surrogates, **given))
        except kt.KaratError as error:
            answers.append(str(error))
    if isinstance(answers[0], str):
        assert answers[0] == answers[1]
    else:
        same(*answers)


def test_order_of_files_and_kind_of_source_do_not_matter(tmp_path):
    polars, ds = pytest.importorskip("polars"), pytest.importorskip("pyarrow.dataset")
    frame = corpus(DESIGNS["simple"], "topic").drop(columns="date")
    for k, part in enumerate((frame.iloc[:100], frame.iloc[100:480], frame.iloc[480:])):
        part.to_parquet(tmp_path / f"{k}.parquet", index=False)
    whole = shares(frame, "topic", {"topic": "model"}, by="party", over="year")
    files = [str(tmp_path / f"{k}.parquet") for k in range(3)]
    sources = [list(order) for order in itertools.permutations(files)]
    sources += [str(tmp_path / "*.parquet"), ds.dataset(files)]
    if hasattr(polars.LazyFrame, "collect_batches"):  # from polars 1.34 on
        sources.append(polars.scan_parquet(files))
    for source in sources:
        same(whole, shares(kt.Batches(source, rows=64), "topic", {"topic": "model"}, by="party", over="year"))
    same(whole, shares(files, "topic", {"topic": "model"}, by="party", over="year"))


def _duckdb(folder, frame):
    return pytest.importorskip("duckdb").read_parquet(f"{folder}/*.parquet")


def _dask(folder, frame):
    return pytest.importorskip("dask.dataframe").from_pandas(frame, npartitions=3, sort=False)


@pytest.mark.parametrize("relation", [_duckdb, _dask], ids=["duckdb", "Dask"])
@pytest.mark.parametrize(("label", "cells", "options"), [
    ("classes", {"by": "party", "over": "year"}, {}), ("classes", {"over": "date", "period": "month"}, {"vcov": "HC1"}),
    ("codes", {"by": ["party", "year"]}, {"weights": "size"}),
])  # fmt: skip
def test_shares_of_a_duckdb_relation_and_of_a_dask_frame(tmp_path, relation, label, cells, options):
    name, surrogates = LABELS[label]
    frame = corpus(DESIGNS["simple"], *surrogates)
    for k, part in enumerate((frame.iloc[:100], frame.iloc[100:480], frame.iloc[480:])):
        part.to_parquet(tmp_path / f"{k}.parquet", index=False)
    source, whole = relation(tmp_path, frame), shares(frame, name, surrogates, **cells, **options)
    same(whole, shares(source, name, surrogates, **cells, **options))
    for size in (64, 2 * N):
        same(whole, shares(kt.Batches(source, rows=size), name, surrogates, **cells, **options))


@pytest.mark.parametrize("relation", [_duckdb, _dask], ids=["duckdb", "Dask"])
@pytest.mark.parametrize("by", ["party", ["party", "year"]])
def test_means_of_a_duckdb_relation_and_of_a_dask_frame(tmp_path, relation, by):
    frame = corpus(DESIGNS["simple"], "a")
    frame.to_parquet(tmp_path / "0.parquet", index=False)
    given, source = {"by": by, "surrogates": {"a": "a_model"}, "learner": None}, relation(tmp_path, frame)
    whole = kt.mean("a", frame, **given)
    for data in (source, kt.Batches(source, rows=64)):
        other = kt.mean("a", data, **given)
        assert (whole.names, whole.rows, whole.sampling) == (other.names, other.rows, other.sampling)
        np.testing.assert_allclose(other.theta, whole.theta, rtol=1e-10)
        np.testing.assert_allclose(other.covariance, whole.covariance, rtol=1e-10, atol=1e-14)


@given(size=st.integers(11, N + 1), by=st.sampled_from(["party", ["party", "year"], ["year", "party"]]),
       options=st.sampled_from([{}, {"weights": "size"}, {"vcov": {"CRV1": "author"}}]))  # fmt: skip
@examples(8)
def test_means_by_group_leave_out_groups_without_gold(size, by, options):
    frame = corpus(DESIGNS["simple"], "a")
    given = {"by": by, "surrogates": {"a": "a_model"}, "learner": None, **options}
    one, other = (kt.mean("a", data, **given) for data in (frame, kt.Batches(pa.Table.from_pandas(frame), rows=size)))
    assert (one.names, one.rows, one.sampling) == (other.names, other.rows, other.sampling)
    np.testing.assert_allclose(other.theta, one.theta, rtol=1e-10)
    np.testing.assert_allclose(other.covariance, one.covariance, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("by", [["party", "year"], "party"])
def test_cells_are_looked_up_once(monkeypatch, by):
    """Columns of groups are read once; from then on rows know their cell, in whichever label it is counted."""
    asked, tables = [], kt.Batches.tables
    monkeypatch.setattr(kt.Batches, "tables", lambda self, names: asked.append(list(names)) or tables(self, names))
    frame = corpus(DESIGNS["simple"], "a", "b", missing=False)
    frame.loc[frame["party"] == "left", "b"] = None
    batches = kt.Batches(pa.Table.from_pandas(frame), rows=99)
    for label in ("a", "b"):  # the cells with gold are others, and so are their numbers
        asked.clear()
        given = {"by": by, "label": label, "surrogates": {label: f"{label}_model"}}
        found = shares(batches, **given)
        assert sum("party" in names for names in asked) == 1
        same(shares(frame, **given), found)


def test_next_to_nothing_is_kept_of_each_row():
    """Sums within cells are kept, and the cell of each row, a byte or two."""
    import tracemalloc

    frame = corpus(DESIGNS["simple"], "a")[["a", "a_model", "st"]].assign(a=lambda one: one["a"].fillna(0.0))
    rng, peaks = np.random.default_rng(1), []
    for times in (1, 10, 40):  # the first pays for imports and caches
        more = pd.concat([frame] * times, ignore_index=True).assign(a=np.nan, a_model=rng.random(times * N))
        table = pa.Table.from_pandas(pd.concat([frame, more], ignore_index=True))
        tracemalloc.start()
        shares(kt.Batches(table, rows=3 * N), "a", {"a": "a_model"}, by="st", compare=False)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[2] - peaks[1] < 3 * 30 * N, peaks


def test_what_needs_each_row_says_so():
    frame = corpus(DESIGNS["independent"], "topic")
    table = pa.Table.from_pandas(frame)
    design = DESIGNS["independent"]
    given = {"by": "year", "design": design, "vcov": "HC0"}
    one = shares(kt.Batches(table), "topic", {"topic": "model"}, **given)
    other = shares(kt.Batches(table), "topic", {"topic": "model"}, tuning=None, **given)
    with pytest.raises(ArgumentError, match="batch by batch"):
        _ = one - other
    assert pickle.loads(pickle.dumps(one)).names == one.names
    with pytest.raises(ArgumentError, match="name a column"):
        shares(kt.Batches(table), "topic", {"topic": "model"}, weights=np.ones(N))
    with pytest.raises(kt.errors.DataError, match="the column 'part'"):
        shares(kt.Batches(table), "topic", {"topic": "model"}, by="part")
