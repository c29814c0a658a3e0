"""``text=`` in tables that are read batch by batch: the numbers of the table in memory, and never all vectors."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import karat as kt
from karat.errors import ArgumentError, DataError
from karat.predict import HashingEncoder
from karat.predict.text import columns
from karat.regression import batch_texts

from ..profiles import examples

N = 600
LETTERS, _ = kt.datasets.simulate_texts(N, seed=5)
RNG = np.random.default_rng(5)
LETTERS["llm"] = np.where(RNG.random(N) < 0.3, 1 - LETTERS["support"], LETTERS["support"])
LETTERS["fold"], LETTERS["number"] = np.arange(N) % 5, RNG.normal(size=N)
LETTERS.loc[[3, 40], "text"] = None, LETTERS["text"][7]
LETTERS["empty"] = ""
ENCODER = HashingEncoder(20)
DOORS = {"ols": kt.ols, "logit": kt.logit}


def table(n=150, missing=False):
    frame = kt.datasets.mask_gold(LETTERS, kt.SimpleRandom(n).draw(LETTERS, seed=6), "support")
    return frame.assign(car=frame["car"].where(np.arange(N) % 40 > 0)) if missing else frame


TABLE = table()


def fit(data, door="ols", formula="support ~ car", **options):
    options = {"surrogates": {"support": "llm"}, "folds": "fold", "seed": 1, "text": {"text": ENCODER}, **options}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", kt.KaratWarning)
        return DOORS[door](formula, data, **options)


def batches(frame, rows):
    return kt.Batches(pa.Table.from_pandas(frame), rows=rows)


def same(one, other):
    np.testing.assert_allclose(other.theta, one.theta, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(other.covariance, one.covariance, rtol=1e-9, atol=1e-13)
    assert [s.learner for s in one.skill] == [s.learner for s in other.skill]
    np.testing.assert_allclose([s.r_squared for s in other.skill], [s.r_squared for s in one.skill], rtol=1e-9)


@given(
    door=st.sampled_from(list(DOORS)), rows=st.integers(40, N + 1), learner=st.sampled_from(["auto", "linear"]),
    missing=st.booleans(), features=st.sampled_from([None, "number"]), imputation=st.sampled_from(["moment", "value"]),
)  # fmt: skip
@examples(8)
def test_the_numbers_of_the_table(door, rows, learner, missing, features, imputation):
    frame = table(missing=missing)
    options = {"learner": learner, "features": features, "imputation": imputation, "compare": False}
    same(*(fit(data, door, **options) for data in (frame, batches(frame, rows))))


def test_texts_help_and_stand_beside_the_comparison():
    one, other = fit(TABLE), fit(batches(TABLE, 100))
    same(one, other)
    assert other.skill[0].learner == "linear + text"
    assert (other.se() < fit(batches(TABLE, 100), text=None).se()).all()
    for a, b in zip(one.compare().columns, other.compare().columns, strict=True):
        np.testing.assert_allclose(b.theta, a.theta, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(("n", "few"), [(150, 20), (150, 160), (350, 80)])
def test_what_is_learnt_from_texts_is_learnt_from_the_same_ones(monkeypatch, n, few):
    """Encoders from fewer texts than there are, and wide blocks turned to directions that some of these show."""
    monkeypatch.setattr(columns, "FITTED_ON", few)
    monkeypatch.setattr(columns, "SHOWN", few // 2)
    monkeypatch.setattr("karat.predict.blocks._MOST", 10)
    monkeypatch.setattr(columns, "_kept", {})
    monkeypatch.setattr(columns, "_learnt", {})
    frame = table(n)
    turned = frame.sample(frac=1.0, random_state=2)
    whole = fit(frame, compare=False)
    for data in (batches(frame, 90), batches(turned, 70)):
        same(whole, fit(data, compare=False))


def test_labelled_covariates_clusters_and_several_texts():
    frame = TABLE.assign(
        holed=TABLE["number"], title=TABLE["district"].astype(str) + " street", group=np.arange(N) % 60
    )
    options = {"surrogates": {"support": "llm"}, "text": {"text": ENCODER, "title": HashingEncoder(3)},
               "cluster": "group", "compare": False}  # fmt: skip
    same(*(fit(data, formula="holed ~ support + car", **options) for data in (frame, batches(frame, 77))))


def test_doors_that_take_groups():
    frame = TABLE.assign(near=np.where(TABLE["distance"] > TABLE["distance"].median(), "far", "near"))
    options = {"surrogates": {"support": "llm"}, "text": {"text": ENCODER}, "folds": "fold", "by": "near", "seed": 1}
    for door, label in ((kt.mean, "support"), (kt.shares, "support")):
        one, other = (door(label, data=data, **options) for data in (frame, batches(frame, 100)))
        np.testing.assert_allclose(other.theta, one.theta, rtol=1e-9)
        np.testing.assert_allclose(other.covariance, one.covariance, rtol=1e-8, atol=1e-13)


def source_of(kind, files):
    if kind == "files":
        return files
    if kind == "pyarrow":
        return pytest.importorskip("pyarrow.dataset").dataset(files)
    if kind == "polars":
        return pytest.importorskip("polars").scan_parquet(files)
    if kind == "duckdb":
        return pytest.importorskip("duckdb").read_parquet(files)
    return pytest.importorskip("dask.dataframe").read_parquet(files)


@pytest.mark.parametrize("kind", ["files", "pyarrow", "polars", "duckdb", "dask"])
def test_all_sources(tmp_path, kind):
    """In either order of the files, of which all are the same table."""
    files = [str(tmp_path / f"{k}.parquet") for k in (0, 1)]
    for file, part in zip(files, (TABLE.iloc[:200], TABLE.iloc[200:]), strict=True):
        part.to_parquet(file)
    whole = fit(TABLE, compare=False)
    for order in (files, files[::-1]):
        same(whole, fit(kt.Batches(source_of(kind, order), rows=128), compare=False))


def test_a_text_is_encoded_twice_and_never_all_at_once(monkeypatch):
    seen = []
    call = columns.Learnt.__call__
    monkeypatch.setattr(columns.Learnt, "__call__", lambda self, values: seen.append(len(values)) or call(self, values))
    monkeypatch.setattr(batch_texts, "_AT_ONCE", 50)
    fit(batches(TABLE, 200), "logit")
    assert max(n for n in seen if n != seen[0]) <= 50
    head = [n for n in seen if n > 50]
    assert sum(seen) - sum(head) == 2 * N
    assert set(head) == {head[0]}
    assert head[0] < 200


def test_what_is_refused():
    source = batches(TABLE, 200)
    with pytest.raises(ArgumentError, match="'distance' holds numbers"):
        fit(source, text="distance")
    with pytest.raises(DataError, match=r"'txt'.*Did you mean 'text'"):
        fit(source, text="txt")
    with pytest.raises(DataError, match="'empty' holds no text"):
        fit(source, text="empty")
    with pytest.raises(ArgumentError, match="text= feeds a learner"):
        fit(source, learner=None)
    with pytest.raises(DataError, match="must hold texts"):
        fit(batches(TABLE.assign(text=[pd.Timestamp("2020-01-01")] * N), 200))
