"""Survival curves and the test of proportional hazards: plain sums over risk sets, and derivatives in unit weights."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import karat as kt
from karat.errors import ArgumentError, DataError, KaratError

from ..regression.plain_cox import Plain
from ..regression.test_cox import corpus, fit, given, labelled

pytestmark = pytest.mark.filterwarnings("ignore::karat.errors.KaratWarning")

NEW = pd.DataFrame({"x": [0.0, 1.0], "z": [0.0, 0.5], "party": ["left", "right"]})


def plain_hazard(plain, theta, which, row, until):
    """Cumulative hazard of a row of NEW, step by step."""
    x, total = NEW[["x", "z"]].to_numpy()[row], 0.0
    levels = sorted(set(plain.data["party"]))
    for stratum, time in plain.moments():
        at_risk, ending = plain.at((stratum, time))
        tied = int(ending.sum()) if plain.ties == "efron" else 1
        mass = sum(weight[ending].sum() for _, weight in plain.parts(which))
        if time <= until and (len(set(plain.stratum)) == 1 or levels[int(stratum)] == NEW["party"][row]):
            for step in range(tied):
                used = "everywhere" if which == "augmented" and (stratum, time) in plain.unsafe else which
                total += mass / tied / plain.sums(theta, plain.parts(used), at_risk, ending, step / tied)[0]
    return total * np.exp(x @ theta)


@pytest.mark.parametrize("ties", ["efron", "breslow"])
@pytest.mark.parametrize("more", [{}, {"strata": "party", "entry": "start"}])
def test_hazards_are_sums_over_risk_sets(ties, more):
    data = corpus(n=200, digits=1, limit=0.7)
    hidden, gold = labelled(data)
    for which, options in (
        ("augmented", {"predictions": given(data), "tuning": None}),
        ("gold", {"estimator": "gold"}),
    ):
        found = fit(hidden, design="probability", ties=ties, **options, **more)
        plain = Plain(data, gold, hidden["probability"].to_numpy(), ties, **more)
        plain.mark(found.theta)
        curve = kt.survival(found, NEW, times=[0.3, 0.6])
        for row, time in curve.index:
            expected = plain_hazard(plain, found.theta, which, row, time)
            np.testing.assert_allclose(curve.loc[(row, time), "hazard"], expected, rtol=1e-8)
    np.testing.assert_allclose(curve["fit"], np.exp(-curve["hazard"]))


def test_the_baseline_is_that_of_statsmodels():
    from statsmodels.duration.hazard_regression import PHReg

    data = corpus(n=160)
    found = fit(data, ties="breslow")
    peer = PHReg(data["time"], data[["x", "z"]], status=data["event"], ties="breslow").fit()
    times, before, _ = peer.baseline_cumulative_hazard[0]  # just before each time
    at = np.unique(data["time"][data["event"] == 1])
    curve = kt.survival(found, pd.DataFrame({"x": [0.0], "z": [0.0]}), times=(at[:-1] + 1e-9).tolist())
    following = before[np.searchsorted(times, at[:-1] + 1e-9)]
    np.testing.assert_allclose(curve["hazard"], following, rtol=1e-7)


def derivative(value, n, step=1e-4):
    """Of numbers in the weight of each unit."""
    out = []
    for i in range(n):
        up, down = np.ones(n), np.ones(n)
        up[i], down[i] = 1.0 + step, 1.0 - step
        out.append((value(up) - value(down)) / (2 * step))
    return np.array(out)


@pytest.mark.parametrize("estimator", ["dsl", "gold"])
def test_standard_errors_are_those_of_derivatives_in_the_weights_of_units(estimator):
    data = corpus(n=20, seed=5)
    hidden, _ = labelled(data, share=0.8)
    options = {"estimator": "gold"} if estimator == "gold" else {"predictions": given(data), "tuning": None}
    options |= {"design": "probability", "vcov": "HC0", "weights": "v"}

    def curve(weights):
        return kt.survival(fit(hidden.assign(v=weights), **options), NEW, times=[0.3, 0.7])

    whole = curve(np.ones(20))
    found = derivative(lambda weights: curve(weights)["fit"].to_numpy(), 20)
    np.testing.assert_allclose(np.sqrt((found**2).sum(axis=0)), whole["se"], rtol=1e-5)


def schoenfeld(data, theta, g, weights=None):
    """Total of g times residuals, and the information of (theta, gamma), event by event."""
    v = np.ones(len(data)) if weights is None else weights
    x, time = data[["x", "z"]].to_numpy(), data["time"].to_numpy()
    total, own, cross, both = np.zeros(2), np.zeros((2, 2)), np.zeros((2, 2)), np.zeros((2, 2))
    for i in np.flatnonzero(data["event"] == 1):
        e = v * np.exp(x @ theta) * (time >= time[i])
        mean = e @ x / e.sum()
        spread = (x - mean).T @ ((x - mean) * e[:, None]) / e.sum()
        total += v[i] * g[i] * (x[i] - mean)
        own, cross, both = own + v[i] * spread, cross + v[i] * g[i] * spread, both + v[i] * g[i] ** 2 * spread
    return total, both - cross @ np.linalg.solve(own, cross)


def test_the_change_of_effects_is_one_step_from_residuals():
    data = corpus(n=20, seed=2)
    time = data["time"].to_numpy()

    def step(weights):
        found = fit(data.assign(v=weights), weights="v", vcov="HC0")
        return schoenfeld(data, found.theta, time, weights)[0], found

    (total, found), n = step(np.ones(20)), 20
    _, information = schoenfeld(data, found.theta, time)
    test = kt.proportional_hazards(found, "identity")
    np.testing.assert_allclose(test.theta, np.linalg.solve(information, total), rtol=1e-7)
    psi = np.linalg.solve(information, derivative(lambda weights: step(weights)[0], n).T)
    np.testing.assert_allclose(test.covariance, psi @ psi.T, rtol=1e-5)
    assert test.wald(["x", "z"]).p_value > 0.001
    assert "all together" in str(test)


def test_gold_in_a_sample_leaves_the_expectation_alone():
    """Over all samples of a tiny design the change and the hazard of weight 1 are near those of all gold."""
    data = corpus(n=300, seed=9)
    whole = kt.proportional_hazards(fit(data), "rank").theta
    curve = kt.survival(fit(data), NEW, times=[0.5])["fit"].to_numpy()
    changes, curves = [], []
    for seed in range(100, 116):
        hidden, _ = labelled(data, seed, share=0.9)
        found = fit(hidden, design="probability", predictions=given(data))
        changes.append(kt.proportional_hazards(found, "rank"))
        curves.append(kt.survival(found, NEW, times=[0.5])["fit"].to_numpy())
    gap = np.array([one.theta - whole for one in changes])
    assert (np.abs(gap.mean(axis=0)) < 4 * gap.std(axis=0) / 4).all()
    said = np.mean([np.diag(one.labelling_covariance) for one in changes], axis=0)
    assert (np.abs(np.log(np.mean(gap**2, axis=0) / said)) < np.log(3)).all()
    gap = np.array(curves) - curve
    assert (np.abs(gap.mean(axis=0)) < 4 * gap.std(axis=0) / 4 + 1e-3).all()


def test_clusters_strata_and_times():
    data = corpus(n=200)
    hidden, _ = labelled(data)
    found = fit(hidden, design="probability", strata="party", cluster="team", ties="breslow")
    curve = kt.survival(found, NEW)
    assert curve.notna().all().all()
    assert (curve["2.5%"] <= curve["fit"]).all()
    assert (curve["fit"] <= curve["97.5%"]).all()
    assert (curve.loc[0]["fit"].diff().dropna() <= 1e-12).all()
    before = kt.survival(found, NEW, times=[0.0]).iloc[0]
    assert (before["fit"], before["se"], before["2.5%"]) == (1.0, 0.0, 1.0)
    assert np.isnan(kt.survival(found, NEW, times=[1e6])["fit"]).all()
    assert kt.proportional_hazards(found, "log").pvalue().between(0, 1).all()
    with pytest.raises(DataError, match=r"stratum green.*centre"):
        kt.survival(found, NEW.assign(party="green"))


def test_a_stratum_that_was_watched_for_less_time():
    data = corpus(n=200)
    left = data["party"] == "left"
    end = 0.6 * data["time"][left].max()
    late = left & (data["time"] > end)
    data = data.assign(time=data["time"].mask(late, end), event=data["event"].mask(late, 0.0))
    curves = kt.survival(fit(data, strata="party"), NEW, times=[end, end * 1.05])
    assert curves["fit"].isna().tolist() == [False, True, False, False]


def test_refusals():
    data = corpus(n=100)
    found = fit(data)
    with pytest.raises(ArgumentError, match="at least 0"):
        kt.survival(found, NEW, times=[-1.0])
    with pytest.raises(ArgumentError, match="median"):
        kt.proportional_hazards(found, "median")
    with pytest.raises(KaratError, match="scores=True"):
        kt.survival(fit(data, scores=False), NEW)
    with pytest.raises(KaratError, match="scores=True"):
        kt.survival(kt.Result.from_json(found.to_json()), NEW)
    with pytest.raises(ArgumentError, match=r"kt\.cox"):
        kt.proportional_hazards(kt.ols("time ~ x + z", data, surrogates={"x": "llm"}))
    with pytest.raises(DataError, match="missing"):
        kt.survival(found, NEW.assign(z=np.nan))
