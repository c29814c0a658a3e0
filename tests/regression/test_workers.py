"""Tables in partitions on workers: the numbers of the table in memory, also where workers are lost."""

from __future__ import annotations

import os
import signal
import threading
import warnings

import numpy as np
import pytest

import karat as kt

from ..corpora import corpus, masked

distributed = pytest.importorskip("distributed")
dd = pytest.importorskip("dask.dataframe")
pytestmark = pytest.mark.filterwarnings("ignore")

MODELS = {
    "ols": ("y ~ stance + z + region", {"stance": "stance_prob"}),
    "logit": ("vote ~ z + stance", {"vote": "vote_prob", "stance": "stance_llm"}),
    "poisson": ("count ~ z", {"count": "count_llm"}),
}


@pytest.fixture(scope="module")
def client():
    with (
        warnings.catch_warnings(),
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        distributed.Client(cluster) as found,
    ):
        yield found


def labelled(names, n=1200):
    frame = corpus(n, 7)
    drawn = np.zeros(n, dtype=bool)
    drawn[np.random.default_rng(1).choice(n, 250, replace=False)] = True
    return masked(frame, drawn, *names)


def same(one, other):
    scale = np.sqrt(np.diag(other.covariance))
    assert one.names == other.names
    np.testing.assert_allclose(one.theta / scale, other.theta / scale, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(
        one.covariance / np.outer(scale, scale), other.covariance / np.outer(scale, scale), atol=1e-9
    )
    np.testing.assert_allclose(one.df, other.df, rtol=1e-8)
    assert (one.n_units, one.n_gold) == (other.n_units, other.n_gold)


@pytest.mark.parametrize(("model", "design", "vcov"), [
    ("ols", kt.Bernoulli(0.2), "HC1"), ("logit", kt.Stratified("region"), "HC3"),
])  # fmt: skip
def test_workers_sum_to_the_numbers_of_the_table_in_memory(client, model, design, vcov):
    formula, surrogates = MODELS[model]
    frame = labelled(list(surrogates))
    options = {
        "model": model,
        "surrogates": surrogates,
        "learner": None,
        "design": design,
        "vcov": vcov,
        "compare": False,
    }
    table = kt.Partitions(dd.from_pandas(frame, npartitions=5), rows=200, client=client)
    same(kt.regress(formula, table, **options), kt.regress(formula, frame, **options))


def test_comparison_an_address_and_a_file(client, tmp_path):
    formula, surrogates = MODELS["ols"]
    frame = labelled(list(surrogates))
    frame.to_parquet(tmp_path / "corpus.parquet")
    options = {"surrogates": surrogates, "learner": None}
    table = kt.Partitions(tmp_path / "corpus.parquet", client=client.scheduler.address)
    one, other = kt.ols(formula, table, **options), kt.ols(formula, frame, **options)
    same(one, other)
    assert distributed.default_client() is client, "what else is computed with Dask stays where it was"
    for left, right in zip(one.compare().columns, other.compare().columns, strict=True):
        np.testing.assert_allclose(left.se, right.se, rtol=1e-8)


def test_a_worker_that_is_lost_changes_no_number(client, monkeypatch):
    formula, surrogates = MODELS["logit"]
    frame = labelled(list(surrogates))
    options = {"model": "logit", "surrogates": surrogates, "learner": None, "compare": False}
    parts = dd.from_pandas(frame, npartitions=5)
    calm = kt.regress(formula, kt.Partitions(parts, rows=200, client=client), **options)
    calls, summed = [], kt.Partitions.summed

    def disturbed(self, *args):
        calls.append(1)
        if len(calls) == 2:
            victim = next(iter(client.scheduler_info()["workers"]))
            pid = client.run(os.getpid, workers=[victim])[victim]
            threading.Timer(0.02, os.kill, (pid, signal.SIGKILL)).start()
        return summed(self, *args)

    monkeypatch.setattr(kt.Partitions, "summed", disturbed)
    shaken = kt.regress(formula, kt.Partitions(parts, rows=200, client=client), **options)
    assert len(calls) > 3
    np.testing.assert_array_equal(shaken.theta, calm.theta)
    np.testing.assert_array_equal(shaken.covariance, calm.covariance)


SHARES = {"by": "region", "surrogates": {"vote": "vote_llm"}, "learner": None, "compare": False}


@pytest.mark.parametrize("lost", [False, True], ids=["calm", "a worker lost"])
def test_shares_and_means_by_group_of_partitions(client, monkeypatch, lost):
    frame = labelled(["vote"])
    table = kt.Partitions(dd.from_pandas(frame, npartitions=5, sort=False), rows=100, client=client)
    reads, tables = [], kt.Partitions.tables

    def disturbed(self, names):
        for k, found in enumerate(tables(self, names)):
            if k == 3:
                reads.append(1)
                if lost and len(reads) == 2:
                    victim = next(iter(client.scheduler_info()["workers"]))
                    os.kill(client.run(os.getpid, workers=[victim])[victim], signal.SIGKILL)
            yield found

    monkeypatch.setattr(kt.Partitions, "tables", disturbed)
    one, other = (kt.shares("vote", data, vcov="HC1", **SHARES) for data in (table, frame))
    assert one.names == other.names
    assert len(reads) == 2, "the cells, and gold with levels; rows that are alike are counted there"
    np.testing.assert_allclose(one.theta, other.theta, rtol=1e-10)
    np.testing.assert_allclose(one.covariance, other.covariance, rtol=1e-10, atol=1e-16)
    one, other = (kt.mean("vote", data, **SHARES) for data in (table, frame))
    np.testing.assert_allclose(one.theta, other.theta, rtol=1e-10)
    np.testing.assert_allclose(one.covariance, other.covariance, rtol=1e-10, atol=1e-16)


def test_what_is_no_table_on_workers_is_refused(client, tmp_path):
    with pytest.raises(kt.errors.ArgumentError, match="give a Dask DataFrame"):
        kt.Partitions(labelled(["y"]), client=client)
    with pytest.raises(kt.errors.ArgumentError, match="cannot be read as parquet"):
        kt.Partitions(tmp_path / "none.parquet", client=client).frame.compute()
    table = kt.Partitions(dd.from_pandas(labelled(["y"]), npartitions=2), client=client)
    with pytest.raises(kt.KaratError, match="subset= is about all rows"):
        kt.ols("y ~ z", table, surrogates={"y": "y_llm"}, learner=None, subset="vote")
