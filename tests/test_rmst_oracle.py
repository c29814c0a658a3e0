"""Restricted mean regression against a plain re-implementation: roots, censoring term and design variance by loops."""

import numpy as np
import pandas as pd
import pytest

import karat as kt
from karat.errors import ArgumentError, DataError
from tests.censoring import plain

TAU = 3.0


def corpus(n=500, seed=0, tied=True):
    """Durations on a grid (ties), censoring by group, a surrogate that is blind to it."""
    rng = np.random.default_rng(seed)
    x, g = rng.normal(size=n), rng.integers(0, 2, n)
    t = rng.exponential(np.exp(0.4 * x + 0.3 * g) * 1.5)
    c = rng.exponential(np.where(g == 1, 2.5, 6.0))
    if tied:
        t, c = np.ceil(4 * t) / 4, np.ceil(4 * c) / 4
    guess = t * np.exp(rng.normal(0, 0.4, n))
    return pd.DataFrame({"time": np.minimum(t, c), "event": (t <= c).astype(float), "x": x, "g": g, "guess": guess})


def g_before(time, event, weight, group, u, own):
    """G(u- | own group) by the product-limit formula."""
    s = group == own
    return plain.censoring_survival(time[s], event[s], weight[s], u)


def censoring_term(time, event, weight, group, b):
    """``int q / y dM`` of each row: with ties, y less all but one of the rows censored at that time."""
    n, out = len(time), np.zeros((len(time), b.shape[1]))
    for s in np.unique(group):
        inside = group == s
        for u in np.unique(time[inside & (event == 0) & (time < TAU)]):
            at_risk = inside & ((time > u) | ((time == u) & (event == 0)))
            lost = inside & (time == u) & (event == 0)
            y, d, k = weight[at_risk].sum(), weight[lost].sum(), lost.sum()
            q = (weight * (inside & (np.minimum(time, TAU) > u))) @ b
            for i in np.flatnonzero(at_risk):
                out[i] += q / (y - d * (1 - 1 / k)) * (float(lost[i]) - d / y)
    assert n == len(out)
    return out


def by_hand(data, gold, pi, form, link, cross, weights=None):
    """Coefficients and covariance, all as the formulas read."""
    big_n = len(data)
    v_all = np.ones(big_n) if weights is None else weights
    d = data[gold]
    time, event, group = d["time"].to_numpy(), d["event"].to_numpy(), d["g"].to_numpy()
    v, w = v_all[gold], 1 / pi[gold]
    complete = (event == 1) | (time >= TAU)
    y = np.minimum(time, TAU)
    c = np.array([
        k / g_before(time, event, v * w, group, u, own) if k else 0.0 for k, u, own in zip(complete, y, group)
    ])  # fmt: skip
    x_all = np.column_stack((np.ones(big_n), data["x"], data["g"]))
    x, h_all = x_all[gold], np.minimum(data["guess"].to_numpy(), TAU)
    surrogate = form in ("ppi product", "ppi ipcw")
    m = h_all[gold] if form == "ppi product" else np.zeros(len(d))
    outcome = m + c * (y - m)
    mean = (lambda eta: eta) if link == "identity" else np.exp
    slope = np.ones_like if link == "identity" else np.exp
    theta = np.zeros(3)
    if link == "log":
        theta[0] = np.log(np.average(outcome, weights=v * w))
    for _ in range(50):
        eta, eta_all = x @ theta, x_all @ theta
        score = (v * w * (outcome - mean(eta))) @ x
        curvature = (x.T * (v * w * slope(eta))) @ x
        if surrogate:
            score += (v_all * (h_all - mean(eta_all))) @ x_all - (v * w * (h_all[gold] - mean(eta))) @ x
            curvature += (x_all.T * (v_all * slope(eta_all))) @ x_all - (x.T * (v * w * slope(eta))) @ x
        theta = theta + np.linalg.solve(curvature, score)
    inverse = np.linalg.inv(curvature)
    kappa = censoring_term(time, event, v * w, group, x * (c * (y - m))[:, None]) * v[:, None]
    own = v[:, None] * x * (outcome - mean(x @ theta))[:, None]
    predicted = v_all[:, None] * x_all * (h_all - mean(x_all @ theta))[:, None] * surrogate
    error = (own + kappa - predicted[gold]) @ inverse
    psi = predicted @ inverse
    psi[gold] += w[:, None] * error
    independent = (error.T * (w * (w - 1))) @ error
    return theta, psi.T @ psi - independent + cross(error, w)


def poisson(error, w):
    """Labelling variance of independent draws."""
    return (error.T * (w * (w - 1))) @ error


def by_stratum(stratum_all, gold):
    """Labelling variance of fixed sizes in strata."""

    def cross(error, w):
        out = np.zeros((3, 3))
        for s in np.unique(stratum_all):
            n_s, big = (gold & (stratum_all == s)).sum(), (stratum_all == s).sum()
            out += big**2 * (1 / n_s - 1 / big) * np.cov(error[stratum_all[gold] == s], rowvar=False)
        return out

    return cross


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("link", ["identity", "log"])
@pytest.mark.parametrize("form", ["gold ipcw", "ppi ipcw", "ppi product"])
@pytest.mark.parametrize("drawn", ["stratified", "bernoulli"])
def test_plain_formulas(form, link, tied, drawn):
    data = corpus(tied=tied)
    v = np.random.default_rng(5).uniform(0.5, 2, len(data)) if drawn == "bernoulli" else None
    data["kind"] = np.digitize(data["guess"], [1.0, 3.0])
    if drawn == "stratified":
        sample = kt.Stratified("kind", n=240, allocation="equal").draw(data, seed=1)
        design, gold, pi = sample.design, sample.labelled, sample.probability
        cross = by_stratum(data["kind"].to_numpy(), gold)
    else:
        pi = np.where(data["x"] > 0, 0.7, 0.35)
        design, gold, cross = pi, np.random.default_rng(2).uniform(size=len(data)) < pi, poisson
    masked = data.copy()
    masked.loc[~gold, ["time", "event"]] = np.nan
    fit = kt.rmst(
        "time ~ x + g", masked, event="event", tau=TAU, censoring="strata(g)", surrogates={"time": "guess"},
        design=design, form=form.split()[1], estimator=form.split()[0], tuning=None, vcov="HC0", link=link,
        weights=v, surrogate_blind_to_censoring=True, compare=False,
    )  # fmt: skip
    theta, covariance = by_hand(data, gold, np.asarray(pi), form, link, cross, v)
    np.testing.assert_allclose(fit.theta, theta, rtol=1e-8)
    np.testing.assert_allclose(fit.covariance, covariance, rtol=1e-7, atol=1e-12)


def test_this_corpus_is_no_target_where_durations_are_censored():
    data = corpus()
    options = {"event": "event", "surrogates": {"time": "guess"}, "estimator": "ppi", "target": "finite"}
    data.loc[300:, ["time", "event"]] = np.nan
    with pytest.raises(ArgumentError, match="what censoring adds"):
        kt.rmst("time ~ x", data, tau=TAU, **options)
    seen = data.assign(event=data["event"].where(data["event"].isna(), 1.0))
    kt.rmst("time ~ x", seen, tau=TAU, **options)


@pytest.mark.parametrize("form", ["augmented", "ipcw", "product"])
def test_a_group_that_is_censored_throughout_has_no_mean(form):
    data = corpus().assign(kind=lambda d: np.where(d.index < 60, "b", "a"))
    data.loc[data["kind"] == "b", "event"] = 0
    data.loc[data["kind"] == "b", "time"] = 0.5
    with pytest.raises(DataError, match=r"C\(kind\)\[T\.b\].*zero in all gold rows with complete durations"):
        kt.rmst("time ~ C(kind)", data, event="event", tau=TAU, form=form)


def test_double_robustness_with_labelled_covariates():
    """Durations known for all, a covariate labelled: the outcome model sees the covariates that are observed."""
    rng = np.random.default_rng(3)
    n = 6000
    x, z = rng.normal(size=n), rng.integers(0, 2, n)
    t, c = rng.exponential(np.exp(0.5 * x + 0.3 * z)), rng.exponential(2 * np.exp(-0.9 * x))
    data = pd.DataFrame({"time": np.minimum(t, c), "event": t <= c, "x": x, "z": z.astype(float)})
    data["z_llm"] = np.where(rng.uniform(size=n) < 0.9, z, 1 - z)
    y = np.minimum(t, TAU)
    truth = np.linalg.lstsq(np.column_stack((np.ones(n), x, z)), y, rcond=None)[0]
    data.loc[2000:, "z"] = np.nan
    options = {"event": "event", "tau": TAU, "surrogates": {"z": "z_llm"}, "learner": "linear", "repeats": 1, "seed": 1}
    fit = kt.rmst("time ~ x + z", data, **options)
    poor = kt.rmst("time ~ x + z", data, form="ipcw", **options)
    assert abs(fit.theta[1] - truth[1]) < 3 * fit.se()["x"]
    assert abs(poor.theta[1] - truth[1]) > 4 * poor.se()["x"]
