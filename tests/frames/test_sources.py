"""Files, lazy frames and relations of databases give the numbers of the table in memory."""

import sys

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pytest

import karat as kt
from karat.frames import Table, batches
from karat.frames.sources import IN_MEMORY, Files, named, source_of

from .. import corpora

FRAME = corpora.masked(corpora.corpus(160, seed=4), np.arange(160) % 2 == 0, "y")[["y", "y_llm", "z", "size", "author"]]


@pytest.fixture
def folder(tmp_path):
    for k in range(4):
        FRAME.iloc[40 * k : 40 * (k + 1)].to_parquet(tmp_path / f"part-{k}.parquet", index=False)
    return tmp_path


def duckdb(folder):
    return pytest.importorskip("duckdb").read_parquet(f"{folder}/*.parquet")


def dask(folder):
    return pytest.importorskip("dask.dataframe").from_pandas(FRAME, npartitions=3)


def lazy(folder):
    if not hasattr(pl.LazyFrame, "collect_batches"):
        pytest.skip("polars is too old")
    return pl.scan_parquet(folder / "*.parquet")


SOURCES = {
    "folder": lambda folder: folder,
    "pattern": lambda folder: f"{folder}/part-*.parquet",
    "list": lambda folder: [folder / f"part-{k}.parquet" for k in range(4)],
    "data set": ds.dataset,
    "LazyFrame": lazy,
    "relation": duckdb,
    "Dask": dask,
}


def fit(data, function=kt.ols, **options):
    call = {"surrogates": {"y": "y_llm"}, "learner": None, "vcov": "HC1"} | options
    return function("y ~ z + size", data, **call)


@pytest.mark.parametrize("kind", list(SOURCES))
@pytest.mark.parametrize("rows", [None, 7, 1000])
def test_sources_give_the_numbers_of_the_table(folder, monkeypatch, kind, rows):
    source, whole = SOURCES[kind](folder), fit(FRAME)
    if rows is None:
        for most in (IN_MEMORY, 159):
            monkeypatch.setattr(batches, "IN_MEMORY", most)
            found = fit(source)
            np.testing.assert_allclose(found.theta, whole.theta, rtol=1e-10)
            np.testing.assert_allclose(found.covariance, whole.covariance, rtol=1e-10)
    else:
        found = fit(kt.Batches(source, rows=rows))
        np.testing.assert_allclose(found.covariance, whole.covariance, rtol=1e-10)
    assert found.n_units == 160
    assert Table.read(source).n_rows == 160


def test_a_table_of_arrow_can_be_batches():
    whole = fit(FRAME)
    found = fit(kt.Batches(pa.Table.from_pandas(FRAME), rows=30))
    np.testing.assert_allclose(found.covariance, whole.covariance, rtol=1e-10)


def test_the_order_of_files_does_not_matter(folder):
    files = [folder / f"part-{k}.parquet" for k in (2, 0, 3, 1)]
    whole = fit(FRAME)
    np.testing.assert_allclose(fit(kt.Batches(files, rows=50)).covariance, whole.covariance, rtol=1e-10)


def test_only_columns_that_are_named_are_read(folder, monkeypatch):
    read, of_files = [], Files.batches
    monkeypatch.setattr(
        Files, "batches", lambda self, names, rows: read.append(list(names)) or of_files(self, names, rows)
    )
    fit(folder)
    fit(kt.Batches(folder))
    assert {tuple(sorted(names)) for names in read} == {("size", "y", "y_llm", "z"), ("size", "y_llm", "z")}
    assert named(["a", "b", "c"], kt.Stratified("b", n=3, allocation="equal")) == ["b"]


def test_means_by_group(folder, monkeypatch):
    data = FRAME.assign(side=np.where(FRAME["z"] > 0, "left", "right"))
    data.to_parquet(folder / "sides.parquet")
    call = {"surrogates": {"y": "y_llm"}, "by": "side", "learner": None}
    whole = kt.mean("y", data, **call)
    for most in (IN_MEMORY, 100):
        monkeypatch.setattr(batches, "IN_MEMORY", most)
        found = kt.mean("y", folder / "sides.parquet", **call)
        np.testing.assert_allclose(found.covariance, whole.covariance, rtol=1e-10)
        assert found.names == whole.names


def test_files_that_are_not_alike_are_refused_by_name(folder):
    odd = folder / "part-9.parquet"
    FRAME.drop(columns="size").to_parquet(odd)
    with pytest.raises(kt.errors.DataError, match=r"part-0.*has the column 'size' and .*part-9.parquet.*has not"):
        fit(folder)
    FRAME.assign(z=1).to_parquet(odd, index=False)
    with pytest.raises(kt.errors.DataError, match=r"'z' is int64 in .*part-9.parquet.* and double in .*part-0"):
        fit(folder)
    for k, levels in ((0, ["a", "b"]), (9, ["b", "a", "c"])):
        FRAME.assign(g=pd.Categorical(["a", "b"] * 80, levels)).to_parquet(folder / f"g-{k}.parquet")
    with pytest.raises(kt.errors.DataError, match=r"categories of 'g'.*g-9.parquet.*g-0.parquet"):
        kt.ols("y ~ g", kt.Batches(f"{folder}/g-*"), surrogates={"y": "y_llm"}, learner=None)


def test_what_is_no_source(tmp_path):
    refused = kt.errors.ArgumentError
    for given, message in (
        ("corpus.csv", "pattern such as"), (str(tmp_path), "no file that ends in .parquet"),
        (f"{tmp_path}/*.parquet", "no file that ends"), ([tmp_path / "a.parquet"], "there is no file"),
    ):  # fmt: skip
        with pytest.raises(refused, match=message):
            fit(given)
    FRAME.to_parquet(tmp_path / "a.parquet")
    with pytest.raises(refused, match="given twice"):
        fit([tmp_path / "a.parquet"] * 2)
    assert source_of(FRAME) is None


def test_large_sources_are_refused_where_all_rows_are_needed(folder, monkeypatch):
    monkeypatch.setattr("karat.frames.sources.IN_MEMORY", 100)
    with pytest.raises(kt.errors.DataError, match="160 rows, and a source of more than 100"):
        kt.several("y ~ z", folder, surrogates={"y": "y_llm"})


def test_rows_that_move_while_they_are_read_are_refused(folder, monkeypatch):
    turns, of_files = [], Files.batches

    def turned(self, names, rows):
        turns.append(1)
        parts = list(of_files(self, names, rows))
        return parts[::-1] if len(turns) > 2 else parts

    monkeypatch.setattr(Files, "batches", turned)
    with pytest.raises(kt.errors.DataError, match="changed, or came in another order"):
        fit(kt.Batches(folder))


def test_the_first_read_is_kept_until_the_file_changes(folder, monkeypatch):
    reads, of_files = [], Files.batches
    monkeypatch.setattr(Files, "batches", lambda *given: reads.append(1) or of_files(*given))
    first = fit(kt.Batches(folder))
    once = len(reads)
    again = fit(kt.Batches(folder))
    assert len(reads) == 2 * once - 1
    np.testing.assert_array_equal(first.covariance, again.covariance)
    FRAME.iloc[:39].to_parquet(folder / "part-0.parquet", index=False)
    assert fit(kt.Batches(folder)).n_units == 159


def test_libraries_that_nobody_imported_are_left_alone():
    assert "dask" in sys.modules or source_of(3) is None


def test_a_relation_is_read_side_by_side(tmp_path):
    """A connection of duckdb holds one open result; the others go on from files, which leave nothing behind."""
    frame = pd.DataFrame({"a": np.arange(50.0), "b": np.arange(50.0) ** 2})
    frame.to_parquet(tmp_path / "0.parquet", index=False)
    table = kt.Batches(duckdb(tmp_path), rows=7)
    left = table.tables(["a"])
    next(left)
    found = [
        (one.column("a", "a"), two.column("b", "b"))
        for (_, one), (_, two) in zip(table.tables(["a"]), table.tables(["b"]))
    ]
    assert table.n_rows == 50
    for k, name in enumerate("ab"):
        np.testing.assert_array_equal(np.concatenate([one[k] for one in found]), frame[name])
    rest = np.concatenate([one.column("a", "a") for _, one in left])
    np.testing.assert_array_equal(rest, frame["a"][7:])


def test_a_regression_of_a_relation_with_its_comparison(tmp_path):
    corpus, _ = kt.datasets.simulate(600, seed=1)
    corpus = kt.datasets.mask_gold(corpus, kt.SimpleRandom(n=200).draw(corpus, seed=1), "hostile")
    corpus.to_parquet(tmp_path / "0.parquet", index=False)
    given = {"surrogates": {"hostile": "hostile_llm"}, "learner": None}
    one = kt.ols("outcome ~ hostile + length", corpus, **given)
    other = kt.ols("outcome ~ hostile + length", kt.Batches(duckdb(tmp_path), rows=64), **given)
    np.testing.assert_allclose(other.covariance, one.covariance, rtol=1e-8)
    for left, right in zip(one.compare().columns, other.compare().columns, strict=True):
        np.testing.assert_allclose(right.se, left.se, rtol=1e-8)
