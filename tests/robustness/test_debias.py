"""Predict-then-debias bootstrap for an estimator of one's own."""

import numpy as np
import pytest

import karat as kt


def mean_and_slope(data, weights):
    x = np.column_stack([np.ones(len(data)), data["hostile"], data["length"]])
    root = np.sqrt(weights)
    theta = np.linalg.lstsq(x * root[:, None], data["outcome"] * root, rcond=None)[0]
    return dict(zip(["Intercept", "hostile", "length"], theta))


@pytest.fixture(scope="module")
def labelled():
    corpus, _ = kt.datasets.simulate(2000, seed=5)
    sample = kt.SimpleRandom(n=300).draw(corpus, seed=5)
    return kt.datasets.mask_gold(corpus, sample, "hostile"), sample


def test_agrees_with_the_analytic_estimator(labelled):
    """Weight 1 on the raw surrogate is the same estimator up to terms of second order: same centre, same spread."""
    data, sample = labelled
    surrogates = {"hostile": "hostile_llm"}
    boot = kt.bootstrap(
        mean_and_slope, data, surrogates=surrogates, design=sample.design, tuning="full", draws=300, seed=1
    )
    fit = kt.ols(
        "outcome ~ hostile + length", data, surrogates=surrogates, design=sample.design, learner=None, tuning="full",
        vcov="HC0",
    )  # fmt: skip
    se = fit.se().to_numpy()
    assert np.abs(boot.theta - fit.theta).max() < 0.6 * se.max()
    # 300 draws: a bootstrap standard error has a relative error of 4 %
    np.testing.assert_allclose(boot.se().to_numpy(), se, rtol=0.17)


def test_tuning_none_is_gold_plus_the_difference(labelled):
    data, sample = labelled
    boot = kt.bootstrap(
        mean_and_slope, data, surrogates={"hostile": "hostile_llm"}, design=sample.design, tuning=None, draws=50, seed=1
    )
    gold = data[data["hostile"].notna()]
    surrogate = gold.assign(hostile=gold["hostile_llm"])
    weights = np.full(len(gold), len(data) / len(gold))
    everywhere = data.assign(hostile=data["hostile_llm"])
    expected = (
        np.array(list(mean_and_slope(gold, weights).values()))
        - np.array(list(mean_and_slope(surrogate, weights).values()))
        + np.array(list(mean_and_slope(everywhere, np.ones(len(data))).values()))
    )
    np.testing.assert_allclose(boot.theta, expected, rtol=1e-10)
    assert boot.names == ("Intercept", "hostile", "length")


def test_same_seed_same_answer_and_processes_change_nothing(labelled):
    data, sample = labelled

    def one(**options):
        return kt.bootstrap(
            mean_and_slope, data, surrogates={"hostile": "hostile_llm"}, design=sample, draws=60, seed=3, **options
        )

    first = one()
    np.testing.assert_array_equal(first.draws, one().draws)
    np.testing.assert_allclose(first.draws, one(n_jobs=2).draws)
    assert list(first.confint(kind="percentile").columns) == ["2.5%", "97.5%"]
    assert list(first.tidy().index) == list(first.names)


def test_clusters_widen_the_interval_when_units_repeat(labelled):
    data, _ = labelled
    twice = data.loc[np.repeat(np.arange(len(data)), 4)].reset_index(drop=True)

    def one(cluster):
        return kt.bootstrap(
            lambda d, w: np.average(d["hostile"], weights=w), twice, surrogates={"hostile": "hostile_llm"},
            cluster=cluster, draws=100, seed=1,
        ).se().iloc[0]  # fmt: skip

    assert one("document") > 1.5 * one(None)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"draws": 10}, "draws=10"),
        ({"tuning": "scalar"}, "tuning='scalar'"),
        ({"surrogates": {}}, "surrogates must map"),
        ({"surrogates": {"hostile": ["hostile_llm"]}}, "must name one column"),
        ({"surrogates": {"hostile": "nothing"}}, "nothing"),
        ({"weights": "length"}, "weights must be"),
    ],
)
def test_bad_input(labelled, change, words):
    data, _ = labelled
    arguments = {"surrogates": {"hostile": "hostile_llm"}} | change
    with pytest.raises(kt.KaratError, match=words):
        kt.bootstrap(mean_and_slope, data, **arguments)


def test_an_estimator_that_fails_is_reported(labelled):
    data, _ = labelled
    calls = []

    def fragile(d, w):
        calls.append(1)
        if len(calls) > 3:
            raise RuntimeError("cannot do this")
        return np.average(d["hostile"], weights=w)

    with pytest.raises(kt.KaratError, match="cannot do this"):
        kt.bootstrap(fragile, data, surrogates={"hostile": "hostile_llm"}, draws=50, seed=1)
