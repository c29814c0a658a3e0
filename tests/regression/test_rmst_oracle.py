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
    if cross is poisson:
        return theta, psi.T @ psi
    moment = (own + kappa) @ inverse
    return theta, (moment.T * w) @ moment + cross(error, w)


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


@pytest.mark.parametrize(
    ("formula", "options", "match"),
    [
        ("time ~ x", {"censoring": "strata(event)"}, "how the duration ended"),
        ("time ~ x", {"censoring": "cox(time + x)"}, "how the duration ended"),
        ("time ~ x + event", {}, "is not a covariate"),
        ("time ~ x + guess", {}, "the formula names 'guess', a surrogate"),
        ("time ~ x", {"censoring": "cox(guess)"}, "censoring= names 'guess', a surrogate"),
        ("time ~ x", {"outcome_model": "strata"}, "their own duration"),
    ],
)
def test_what_would_bias_silently_is_refused(formula, options, match):
    data = corpus()
    data.loc[300:, ["time", "event"]] = np.nan
    if formula.endswith("event"):
        data["event"] = data["event"].fillna(0)
    with pytest.raises(ArgumentError, match=match):
        kt.rmst(formula, data, event="event", tau=TAU, surrogates={"time": "guess"}, **options)


def test_a_surrogate_blind_to_censoring_may_be_a_covariate():
    data = corpus()
    data.loc[300:, ["time", "event"]] = np.nan
    fit = kt.rmst("time ~ x + guess", data, event="event", tau=TAU, surrogates={"time": "guess"}, learner="linear",
                  seed=1, repeats=1, surrogate_blind_to_censoring=True)  # fmt: skip
    assert np.isfinite(fit.se()).all()


def test_clusters_drawn_whole_and_analysis_clusters():
    """Labelling variance of cluster totals, and the sandwich over clusters, against loops."""
    data = corpus(600, 4).assign(village=np.arange(600) // 6)
    sample = kt.Clustered("village", n=45).draw(data, seed=2)
    gold, village = sample.labelled, data["village"].to_numpy()

    def cross(error, w):
        totals = np.array([error[village[gold] == k].sum(axis=0) for k in np.unique(village[gold])])
        return 100**2 * (1 / 45 - 1 / 100) * np.cov(totals, rowvar=False)

    masked = data.copy()
    masked.loc[~gold, ["time", "event"]] = np.nan
    options = {"event": "event", "tau": TAU, "censoring": "strata(g)", "surrogates": {"time": "guess"},
               "design": sample.design, "form": "product", "estimator": "ppi", "tuning": None, "compare": False,
               "surrogate_blind_to_censoring": True}  # fmt: skip
    pi = np.full(600, 0.45)
    theta, plain_covariance = by_hand(data, gold, pi, "ppi product", "identity", cross)
    alone = kt.rmst("time ~ x + g", masked, vcov="HC0", **options)
    np.testing.assert_allclose(alone.theta, theta, rtol=1e-8)
    np.testing.assert_allclose(alone.covariance, plain_covariance, rtol=1e-7)
    fit = kt.rmst("time ~ x + g", masked, vcov={"CRV0": "village"}, **options)
    psi, error = _influences(data, gold, pi)
    totals = np.array([psi[village == k].sum(axis=0) for k in range(100)])
    drawn = np.unique(village[gold])
    part = np.array([error[village[gold] == k].sum(axis=0) for k in drawn])
    w = 1 / 0.45
    known = part.mean(axis=0)  # of a village; its weighted total is the same in every draw
    totals = totals + (1 - w * np.isin(np.arange(100), drawn))[:, None] * known
    part = part - known
    want = totals.T @ totals - w * (w - 1) * part.T @ part + cross(error, None)
    np.testing.assert_allclose(fit.covariance, want, rtol=1e-7)


def _influences(data, gold, pi):
    """Influence of all rows and labelling errors, read off :func:`by_hand`."""
    seen = {}

    def cross(error, w):
        seen["error"] = error
        return np.zeros((3, 3))

    theta, _ = by_hand(data, gold, pi, "ppi product", "identity", cross)
    x = np.column_stack((np.ones(len(data)), data["x"], data["g"]))
    w = 1 / pi[gold]
    h = x * (np.minimum(data["guess"].to_numpy(), TAU) - x @ theta)[:, None]
    curvature = x.T @ x
    psi = h @ np.linalg.inv(curvature)
    psi[gold] += w[:, None] * seen["error"]
    return psi, seen["error"]


@pytest.mark.parametrize("link", ["identity", "log"])
def test_plain_formulas_where_covariates_are_labelled(link):
    """Durations known for all rows: the censoring term belongs to all of them, not to labelling."""
    data = corpus(400, 7).rename(columns={"g": "group"})
    rng = np.random.default_rng(1)
    z = rng.integers(0, 3, 400).astype(float)
    guess = np.where(rng.uniform(size=400) < 0.8, z, (z + 1) % 3)
    gold = rng.permutation(400) < 160
    table = data.assign(z=np.where(gold, z, np.nan), z_llm=guess)
    fit = kt.rmst("time ~ x + z", table, event="event", tau=TAU, censoring="strata(group)", form="ipcw", link=link,
                  surrogates={"z": "z_llm"}, estimator="ppi", tuning=None, vcov="HC0", compare=False,
                  design=np.full(400, 0.4))  # fmt: skip
    time, event, group = (data[k].to_numpy() for k in ("time", "event", "group"))
    ones, y = np.ones(400), np.minimum(data["time"].to_numpy(), TAU)
    complete = (event == 1) | (time >= TAU)
    c = np.array([k / g_before(time, event, ones, group, u, g) if k else 0.0 for k, u, g in zip(complete, y, group)])
    x, x_hat = np.column_stack((ones, data["x"], z)), np.column_stack((ones, data["x"], guess))
    w = gold / 0.4
    mean = (lambda eta: eta) if link == "identity" else np.exp
    slope = np.ones_like if link == "identity" else np.exp
    theta = np.array([np.log((c * y).mean()) if link == "log" else 0.0, 0.0, 0.0])
    for _ in range(60):
        own, other = x @ theta, x_hat @ theta
        score = (w * (c * y - mean(own))) @ x + ((1 - w) * (c * y - mean(other))) @ x_hat
        a = (x.T * (w * slope(own))) @ x + (x_hat.T * ((1 - w) * slope(other))) @ x_hat
        theta = theta + np.linalg.solve(a, score)
    inverse = np.linalg.inv(a)
    multiplier = w[:, None] * x + (1 - w)[:, None] * x_hat
    kappa = censoring_term(time, event, ones, group, multiplier * (c * y)[:, None])
    m, h = x * (c * y - mean(x @ theta))[:, None], x_hat * (c * y - mean(x_hat @ theta))[:, None]
    psi = (w[:, None] * m + (1 - w)[:, None] * h + kappa) @ inverse
    np.testing.assert_allclose(fit.theta, theta, rtol=1e-8)
    np.testing.assert_allclose(fit.covariance, psi.T @ psi, rtol=1e-7, atol=1e-12)


@pytest.mark.parametrize("cause", [1, 2])
def test_weighted_time_lost_is_the_weighted_aalen_johansen_area(cause):
    rng = np.random.default_rng(4)
    time = np.ceil(10 * rng.exponential(size=(300, 3))) / 4
    data = pd.DataFrame({"time": time.min(axis=1), "event": time.argmin(axis=1), "v": rng.uniform(0.5, 3, 300)})
    u, e, v = (data[k].to_numpy() for k in ("time", "event", "v"))
    lost, alive = 0.0, 1.0
    for t in np.unique(u[(e > 0) & (u < 2)]):
        risk = v[u >= t].sum()
        lost += alive * v[(u == t) & (e == cause)].sum() / risk * (2 - t)
        alive *= 1 - v[(u == t) & (e > 0)].sum() / risk
    options = {"event": "event", "tau": 2.0, "weights": "v", "vcov": "HC0"}
    fit = kt.rmst("time ~ 1", data, outcome="lost", cause=cause, form="ipcw", **options)
    assert fit.theta[0] == pytest.approx(lost, rel=1e-12)
    robust = kt.rmst("time ~ 1", data, outcome="lost", cause=cause, outcome_model="marginal", **options)
    assert robust.theta[0] == pytest.approx(lost, rel=1e-10)
    assert robust.se().iloc[0] == pytest.approx(fit.se().iloc[0], rel=0.05)


@pytest.mark.parametrize("link", ["identity", "log", "logit"])
def test_weighted_survival_at_tau_is_kaplan_meier_in_each_group(link):
    data = corpus(400, 9).assign(v=np.random.default_rng(1).uniform(0.5, 2, 400))
    time, event, v, g = (data[k].to_numpy() for k in ("time", "event", "v", "g"))
    fit = kt.rmst("time ~ 0 + C(g)", data, event="event", tau=1.5, weights="v", outcome="survival", form="ipcw",
                  censoring="strata(g)", link=link)  # fmt: skip
    back = {"identity": lambda b: b, "log": np.exp, "logit": lambda b: 1 / (1 + np.exp(-b))}[link]
    want = [plain.event_survival(time[g == k], event[g == k], v[g == k], 1.5) for k in (0, 1)]
    np.testing.assert_allclose(back(fit.theta), want, rtol=1e-10)


@pytest.mark.parametrize("design", ["srs", "stratified"])
def test_without_censoring_designs_and_clusters_are_those_of_least_squares(design):
    data = corpus(600, 2).assign(event=1.0, kind=lambda d: d["g"], village=np.arange(600) // 5)
    drawn = (kt.SimpleRandom(n=200) if design == "srs" else kt.Stratified("kind", n=200)).draw(data, seed=1)
    masked = kt.datasets.mask_gold(data, drawn, ["time"])
    options = {"surrogates": {"time": "short"}, "design": drawn.design, "cluster": "village", "seed": 3, "repeats": 1}
    short = masked.assign(short=masked["guess"].clip(upper=TAU))
    fit = kt.rmst("time ~ x + g", short, event="event", tau=TAU, **options)
    want = kt.ols("time ~ x + g", short.assign(time=short["time"].clip(upper=TAU)), **options)
    np.testing.assert_array_equal(fit.theta, want.theta)
    np.testing.assert_array_equal(fit.covariance, want.covariance)
    np.testing.assert_array_equal(fit.df, want.df)


@pytest.mark.parametrize("link", ["identity", "log"])
@pytest.mark.parametrize("kind", ["unequal", "waves"])
def test_weights_of_other_designs_reach_every_part(kind, link):
    """Fixed sizes with unequal probabilities (Hajek by hand), and waves, whose weights are no inverse probabilities."""
    data = corpus(600, 11)
    if kind == "unequal":
        sample = kt.Unequal(data["guess"].to_numpy() + 1, n=240).draw(data, seed=4)
    else:
        data["kind"] = np.digitize(data["guess"], [1.0, 3.0])
        waves = kt.Waves([kt.SimpleRandom(120), kt.Stratified("kind", n=120, allocation="equal")])
        sample = waves.draw(data, seed=4)
    gold, draw = sample.labelled, sample.labelling
    weight = np.ones(len(data))
    weight[gold] = draw.weight
    assert np.ptp(weight[gold]) > 0.5

    def cross(error, w):
        if kind == "waves":
            return draw.cross(error, error)
        pi = 1 / w
        chance = pi < 1
        e, c = error[chance] / pi[chance][:, None], (1 - pi[chance]) * chance.sum() / (chance.sum() - 1)
        e = e - (c @ e) / c.sum()
        return (e.T * c) @ e

    masked = data.copy()
    masked.loc[~gold, ["time", "event"]] = np.nan
    for form in ("gold ipcw", "ppi product"):
        fit = kt.rmst(
            "time ~ x + g", masked, event="event", tau=TAU, censoring="strata(g)", surrogates={"time": "guess"},
            design=sample.design, form=form.split()[1], estimator=form.split()[0], tuning=None, vcov="HC0", link=link,
            surrogate_blind_to_censoring=True, compare=False,
        )  # fmt: skip
        theta, covariance = by_hand(data, gold, 1 / weight, form, link, cross)
        np.testing.assert_allclose(fit.theta, theta, rtol=1e-8)
        np.testing.assert_allclose(fit.covariance, covariance, rtol=1e-7, atol=1e-12)
