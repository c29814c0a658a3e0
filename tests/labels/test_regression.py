"""Soft labels go straight into a regression."""

import numpy as np
import pandas as pd
import pytest

import karat as kt

L = kt.labels


@pytest.fixture(scope="module")
def setting():
    rng = np.random.default_rng(0)
    n = 600
    x = rng.normal(size=n)
    kinds = np.array(["calm", "hostile", "mixed"])
    topic = kinds[np.array([rng.choice(3, p=[0.5, 0.3, 0.2]) for _ in range(n)])]
    y = 0.5 * x + 0.8 * (topic == "hostile") + rng.normal(size=n)
    rows = {"doc": np.repeat(np.arange(n), 4), "who": np.tile(list("abcd"), n)}
    truth = topic[rows["doc"]]
    rows["says"] = np.where(rng.random(4 * n) < 0.7, truth, kinds[rng.integers(3, size=4 * n)])
    frame = pd.DataFrame({"doc": np.arange(n), "x": x, "y": y, "topic": topic})
    sample = kt.SimpleRandom(n=200).draw(frame, seed=1)
    soft = L.aggregate(rows, "dawid_skene", task="doc", worker="who", label="says")
    return kt.datasets.mask_gold(frame, sample, "topic"), sample, soft


def test_soft_table_as_columns_and_as_array(setting):
    frame, sample, soft = setting
    joined = frame.merge(soft.table, on="doc")
    formula, options = "y ~ topic + x", {"design": sample.design, "seed": 1, "repeats": 1, "compare": False}
    one = kt.ols(formula, joined, surrogates={"topic": soft.columns}, **options)
    two = kt.ols(formula, frame, surrogates={"topic": soft.align(frame["doc"])}, **options)
    np.testing.assert_allclose(one.coef(), two.coef())
    gold = kt.ols(formula, frame, surrogates={"topic": soft.hard()}, estimator="gold", **options)
    assert one.se()["topic[T.hostile]"] < gold.se()["topic[T.hostile]"]
    low, high = one.confint().loc["topic[T.hostile]"]
    assert low < 0.8 < high


def test_experts_as_gold_cluster_by_expert(setting):
    frame, sample, soft = setting
    rng = np.random.default_rng(2)
    units = sample.positions
    votes = {"task": units, "worker": rng.integers(25, size=len(units)), "label": rng.integers(2, size=len(units))}
    gold = L.experts(votes)
    labelled = frame.assign(gold=gold.align(frame["doc"]), llm=soft.probabilities[:, 1])
    expert = pd.Series(gold.cluster, index=gold.tasks).reindex(frame["doc"]).to_numpy(dtype=object)
    # Units without gold have no expert: each is a cluster of its own.
    who = [f"expert {e}" if e == e and e is not None else f"unit {i}" for i, e in enumerate(expert)]
    fit = kt.ols(
        "gold ~ x", labelled.assign(who=who), surrogates={"gold": "llm"}, design=sample.design, cluster="who",
        repeats=1, compare=False, seed=1,
    )  # fmt: skip
    assert np.isfinite(fit.se()).all()
