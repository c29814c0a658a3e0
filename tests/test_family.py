"""Gamma, fractional logit, quantiles, expectiles, Huber: against statsmodels and by hand, invariances, every door."""

import importlib
import warnings
from contextlib import nullcontext

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtr

import karat as kt
from karat import moments as models
from karat.errors import ArgumentError, DataError, NotValidWarning, SeparationError
from karat.moments.lines import quantile_line

MODELS = {
    "gamma": ("cost", {}),
    "fractional": ("share", {}),
    "quantile": ("tone", {"q": 0.3}),
    "expectile": ("tone", {"q": 0.3}),
    "huber": ("tone", {}),
}
LOCATION = ("quantile", "expectile", "huber")
QUICK = {"learner": None, "compare": False, "seed": 1}
pytestmark = pytest.mark.filterwarnings("ignore:the surrogates make standard errors larger")


def corpus(n=1200, seed=0):
    rng = np.random.default_rng(seed)
    x, hostile = rng.normal(size=n), (rng.random(n) < 0.4).astype(float)
    eta = 0.2 + 0.5 * x - 0.4 * hostile
    frame = pd.DataFrame({"x": x, "hostile": hostile, "group": rng.integers(0, 40, n), "v": rng.uniform(0.5, 2.0, n)})
    frame["cost"] = np.exp(eta) * rng.gamma(2.0, 0.5, n)
    frame["share"] = rng.binomial(5, 1 / (1 + np.exp(-eta))) / 5
    frame["tone"] = eta + rng.standard_t(4, n)
    frame["yes"] = (rng.random(n) < 1 / (1 + np.exp(-eta))).astype(float)
    frame["cost_llm"] = frame["cost"] * np.exp(0.4 * rng.normal(size=n))
    frame["share_llm"] = np.clip(frame["share"] + 0.15 * rng.normal(size=n), 0, 1)
    frame["tone_llm"] = 0.8 * frame["tone"] + 0.6 * rng.normal(size=n)
    for name in ("hostile", "yes"):
        frame[f"{name}_llm"] = np.where(rng.random(n) < 0.2, 1 - frame[name], frame[name])
    return frame


def masked(frame, names, n=300, seed=3):
    return kt.datasets.mask_gold(frame, kt.SimpleRandom(n=n).draw(frame, seed=seed), list(names))


def fitted(name, data, labelled, **options):
    outcome, parameters = MODELS[name]
    surrogates = {label: f"{label}_llm" for label in labelled}
    return getattr(kt, name)(f"{outcome} ~ x + hostile", data, surrogates=surrogates, **{**parameters, **options})


def settings_of(name):
    outcome = MODELS[name][0]
    return {"outcome": [outcome], "covariate": ["hostile"], "both": [outcome, "hostile"]}


# ------------------------------------------------------------------ all rows gold


def all_gold(name, data, vcov, **options):
    return fitted(name, data, [MODELS[name][0]], design=1.0, vcov=vcov, **QUICK, **options)


@pytest.fixture(scope="module")
def complete():
    data = corpus(700)
    return data, sm.add_constant(data[["x", "hostile"]])


@pytest.mark.parametrize("kind", ["HC0", "HC1", "cluster"])
@pytest.mark.parametrize("name", ["gamma", "fractional"])
def test_all_gold_equals_statsmodels(complete, name, kind):
    data, exog = complete
    family = sm.families.Gamma(sm.families.links.Log()) if name == "gamma" else sm.families.Binomial()
    clustered = {"cov_type": "cluster", "cov_kwds": {"groups": data["group"]}}
    how = clustered if kind == "cluster" else {"cov_type": kind}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = sm.GLM(data[MODELS[name][0]], exog, family=family).fit(tol=1e-15, maxiter=300, **how)
    fit = all_gold(name, data, {"CRV1": "group"} if kind == "cluster" else kind)
    assert fit.theta == pytest.approx(theirs.params.to_numpy(), rel=1e-8)
    # statsmodels has no small-sample factor in HC1 of a GLM
    factor = len(data) / (len(data) - 3) if kind == "HC1" else 1.0
    assert fit.covariance == pytest.approx(theirs.cov_params().to_numpy() * factor, rel=1e-8)


@pytest.mark.parametrize("q", [0.1, 0.5, 0.8])
def test_all_gold_quantile_is_that_of_statsmodels_up_to_smoothing(complete, q):
    data, exog = complete
    theirs = sm.QuantReg(data["tone"], exog).fit(q=q)

    def objective(theta):
        residual = data["tone"].to_numpy() - exog.to_numpy() @ theta
        return np.where(residual > 0, q * residual, (q - 1) * residual).mean()

    fit = all_gold("quantile", data, "HC0", q=q)
    assert (np.abs(fit.theta - theirs.params.to_numpy()) < 0.5 * fit.se().to_numpy()).all()
    assert objective(fit.theta) < objective(theirs.params.to_numpy()) * 1.002
    small = all_gold("quantile", data, "HC0", q=q, bandwidth=0.06)
    assert (np.abs(small.theta - theirs.params.to_numpy()) < 0.3 * fit.se().to_numpy()).all()
    assert objective(small.theta) < objective(theirs.params.to_numpy()) * 1.0003


def test_all_gold_quantile_by_hand(complete):
    """Root, bandwidth and sandwich written out."""
    data, exog = complete
    x, y, q = exog.to_numpy(), data["tone"].to_numpy(), 0.3
    fit = all_gold("quantile", data, "HC0")
    h = models.get("quantile", {"q": q}).settled(x, y, np.ones(len(y))).bandwidth
    assert f"bandwidth {h:.4g}" in fit.title
    u = (x @ fit.theta - y) / h
    score, curvature = q - ndtr(u), np.exp(-(u**2) / 2) / np.sqrt(2 * np.pi) / h
    assert x.T @ score == pytest.approx(0.0, abs=1e-8)
    bread = np.linalg.inv((x * curvature[:, None]).T @ x)
    meat = (x * score[:, None]).T @ (x * score[:, None])
    assert fit.covariance == pytest.approx(bread @ meat @ bread, rel=1e-8)


def test_all_gold_huber_equals_statsmodels_with_the_same_scale(complete):
    data, exog = complete
    theirs = sm.RLM(data["tone"], exog, M=sm.robust.norms.HuberT(1.345)).fit(
        update_scale=False, tol=1e-13, maxiter=1000
    )
    fit = all_gold("huber", data, "HC0", scale=theirs.scale)
    assert fit.theta == pytest.approx(theirs.params.to_numpy(), rel=1e-8)
    x, residual, bound = exog.to_numpy(), theirs.resid.to_numpy(), 1.345 * theirs.scale
    psi = x * np.clip(residual, -bound, bound)[:, None]
    bread = np.linalg.inv((x * (np.abs(residual) <= bound)[:, None]).T @ x)
    assert fit.covariance == pytest.approx(bread @ psi.T @ psi @ bread, rel=1e-6)


def test_all_gold_expectile_by_hand(complete):
    """The root of weighted least squares with its own weights."""
    data, exog = complete
    x, y, q = exog.to_numpy(), data["tone"].to_numpy(), 0.3
    theta = np.zeros(3)
    for _ in range(100):
        w = np.where(y < x @ theta, 1 - q, q)
        theta = np.linalg.solve((x * w[:, None]).T @ x, x.T @ (w * y))
    fit = all_gold("expectile", data, "HC0")
    assert fit.theta == pytest.approx(theta, rel=1e-10)
    psi = (x * (w * (y - x @ theta))[:, None]) @ np.linalg.inv((x * w[:, None]).T @ x)
    assert fit.covariance == pytest.approx(psi.T @ psi, rel=1e-9)


# ------------------------------------------------------------------ models that are others


@pytest.mark.parametrize("vcov", ["HC0", "HC3", {"CRV3": "group"}])
@pytest.mark.parametrize("labelled", ["outcome", "covariate", "both"])
def test_the_middle_expectile_is_ols_and_huber_without_outliers_too(labelled, vcov):
    surrogates = settings_of("expectile")[labelled]
    data = masked(corpus(800), surrogates)
    options = {"vcov": vcov, "learner": "linear", "repeats": 2, "seed": 4}
    formula, mapping = "tone ~ x + hostile", {name: f"{name}_llm" for name in surrogates}
    ols = kt.ols(formula, data, surrogates=mapping, **options)
    middle = kt.expectile(formula, data, surrogates=mapping, **options)
    wide = kt.huber(formula, data, surrogates=mapping, scale=1e6, **options)
    for fit in (middle, wide):
        assert fit.theta == pytest.approx(ols.theta, rel=1e-10, abs=1e-12)
        assert fit.covariance == pytest.approx(ols.covariance, rel=1e-9)
        assert np.asarray(fit.compare()) == pytest.approx(np.asarray(ols.compare()), rel=1e-8)


@pytest.mark.parametrize("estimator", ["dsl", "ppi", "gold", "surrogate"])
def test_fractional_with_zeros_and_ones_is_the_logit(estimator):
    data = masked(corpus(800), ["yes", "hostile"])
    options = {"surrogates": {"yes": "yes_llm", "hostile": "hostile_llm"}, "estimator": estimator, "seed": 4}
    with pytest.warns(NotValidWarning) if estimator == "surrogate" else nullcontext():
        ours, theirs = (f("yes ~ x + hostile", data, weights="v", **options) for f in (kt.fractional, kt.logit))
    assert ours.theta == pytest.approx(theirs.theta, rel=1e-12)
    assert ours.covariance == pytest.approx(theirs.covariance, rel=1e-12)
    assert ours.predict(data.assign(hostile=0.0).head(3)).equals(theirs.predict(data.assign(hostile=0.0).head(3)))


# ------------------------------------------------------------------ the rectified equation by hand


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("labelled", ["outcome", "covariate", "both"])
def test_rectified_estimate_and_covariance_by_hand(name, labelled):
    """Root of ``sum w m - (w - 1) h`` and its HC0 covariance under Bernoulli draws, with plain loops (methods 1, 4)."""
    outcome, parameters = MODELS[name]
    data, pi = corpus(150, seed=8), 0.6
    sample = kt.Bernoulli(pi).draw(data, seed=2)
    surrogates = settings_of(name)[labelled]
    held = kt.datasets.mask_gold(data, sample, surrogates)
    extra = {"bandwidth": 0.6} if name == "quantile" else {"scale": 1.0} if name == "huber" else {}
    fit = fitted(name, held, surrogates, design=sample.design, tuning=None, vcov="HC0", **QUICK, **extra)
    given_as = {**parameters, **extra}
    drawn = held[surrogates[0]].notna().to_numpy()

    def rows(suffix):
        columns = {c: data[f"{c}{suffix}" if c in surrogates else c].to_numpy() for c in ("hostile", outcome)}
        return np.column_stack([np.ones(len(data)), data["x"], columns["hostile"]]), columns[outcome]

    (x, y), (x_hat, y_hat) = rows(""), rows("_llm")
    theta = fit.theta
    m, a = x * factors(name, x @ theta, y, given_as)[0][:, None], factors(name, x @ theta, y, given_as)[1]
    h, b = (
        x_hat * factors(name, x_hat @ theta, y_hat, given_as)[0][:, None],
        factors(name, x_hat @ theta, y_hat, given_as)[1],
    )
    w = drawn / pi
    assert (w[:, None] * m - (w - 1)[:, None] * h).sum(axis=0) == pytest.approx(0.0, abs=1e-7)
    slope = (x * (w * a)[:, None]).T @ x - (x_hat * ((w - 1) * b)[:, None]).T @ x_hat
    inverse = np.linalg.inv(slope)
    error = (m - h)[drawn] @ inverse.T
    assert fit.labelling_covariance == pytest.approx((1 - pi) / pi**2 * error.T @ error, rel=1e-6, abs=1e-12)
    psi = (h + w[:, None] * (m - h)) @ inverse.T
    assert fit.covariance == pytest.approx(psi.T @ psi, rel=1e-6, abs=1e-12)


def factors(name, eta, y, parameters):
    """Score and curvature from the definitions."""
    if name == "gamma":
        return y / np.exp(eta) - 1, y / np.exp(eta)
    if name == "fractional":
        mu = 1 / (1 + np.exp(-eta))
        return y - mu, mu * (1 - mu)
    if name == "quantile":
        u = (eta - y) / parameters["bandwidth"]
        return parameters["q"] - ndtr(u), np.exp(-(u**2) / 2) / np.sqrt(2 * np.pi) / parameters["bandwidth"]
    if name == "expectile":
        w = 2 * np.where(y < eta, 1 - parameters["q"], parameters["q"])
        return w * (y - eta), w
    bound = 1.345 * parameters["scale"]
    return np.clip(y - eta, -bound, bound), (np.abs(y - eta) <= bound).astype(float)


# ------------------------------------------------------------------ kernels


@pytest.mark.parametrize("name", MODELS)
@given(eta=st.floats(-4, 4), y=st.floats(0.05, 0.95))
def test_curvature_is_the_derivative(name, eta, y):
    extra = {"quantile": {"q": 0.3, "bandwidth": 0.4}, "huber": {"scale": 1.0}, "expectile": {"q": 0.3}}
    model, step = models.get(name, extra.get(name)), 1e-5
    if name in ("huber", "expectile") and min(abs(abs(y - eta) - 1.345), abs(y - eta)) < 1e-3:
        return  # a kink
    _, curvature = model.evaluate(np.array([eta]), np.array([y]))
    up, down = (model.evaluate(np.array([eta + s]), np.array([y]))[0][0] for s in (step, -step))
    assert curvature[0] == pytest.approx((down - up) / (2 * step), rel=1e-4, abs=1e-6)
    _, slope = model.mean(np.array([eta]))
    above, below = (model.mean(np.array([eta + s]))[0][0] for s in (step, -step))
    assert slope[0] == pytest.approx((above - below) / (2 * step), rel=1e-5, abs=1e-9)
    linear = np.array([model.evaluate(np.array([eta]), np.array([v]))[0][0] for v in (0.1, 0.5, 0.9)])
    if model.linear_in_outcome:
        assert linear[1] == pytest.approx((linear[0] + linear[2]) / 2)
    far = np.array([-900.0, 900.0])
    assert all(np.isfinite(part).all() for part in model.evaluate(far, np.full(2, y)))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([0.1, 0.5, 0.7]), st.integers(8, 60))
def test_quantile_line_is_about_the_linear_quantile(seed, q, n):
    rng = np.random.default_rng(seed)
    x, y = np.column_stack([np.ones(n), rng.normal(size=n)]), rng.standard_t(2, n)
    rough, line = quantile_line(x, y, np.ones(n), q), quantile_line(x, y, np.ones(n), q, 1e-4)

    def objective(fitted):
        return float(np.where(y > fitted, q * (y - fitted), (q - 1) * (y - fitted)).sum())

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        best = sm.QuantReg(y, x).fit(q=q, max_iter=5000).fittedvalues
    assert objective(line) <= objective(best) * 1.001 + 1e-6
    assert objective(rough) <= objective(best) * 1.1


# ------------------------------------------------------------------ invariances


def assert_same(one, two, times=1.0, shift=None):
    shift = np.zeros(len(one.theta)) if shift is None else shift
    assert two.theta == pytest.approx(times * one.theta + shift, rel=1e-6, abs=1e-7 * times)
    assert two.covariance == pytest.approx(times**2 * one.covariance, rel=1e-5)


@pytest.mark.parametrize("name", MODELS)
@settings(max_examples=3, deadline=None)
@given(seed=st.integers(0, 10**6), labelled=st.sampled_from(["outcome", "covariate", "both"]))
def test_order_of_rows(name, seed, labelled):
    surrogates = settings_of(name)[labelled]
    data = masked(corpus(500, seed=seed % 7), surrogates, 200)
    order = np.random.default_rng(seed).permutation(len(data))
    frames = (data, data.iloc[order].reset_index(drop=True))
    one, two = (fitted(name, frame, surrogates, learner="linear", repeats=1, compare=False, seed=2) for frame in frames)
    assert_same(one, two)


@pytest.mark.parametrize("name", [*LOCATION, "gamma"])
@settings(max_examples=4, deadline=None)
@given(times=st.sampled_from([1e-4, 0.3, 70.0, 1e5]), labelled=st.sampled_from(["outcome", "covariate", "both"]))
def test_scale_of_the_outcome(name, times, labelled):
    surrogates = settings_of(name)[labelled]
    data = masked(corpus(500), surrogates, 200)
    outcome = MODELS[name][0]
    other = data.assign(**{c: data[c] * times for c in (outcome, f"{outcome}_llm")})
    one, two = (fitted(name, frame, surrogates, tuning=None, **QUICK) for frame in (data, other))
    if name == "gamma":
        assert_same(one, two, shift=np.array([np.log(times), 0.0, 0.0]))
    else:
        assert_same(one, two, times)


@pytest.mark.parametrize("name", LOCATION)
def test_a_line_added_to_the_outcome_and_an_offset(name):
    outcome, parameters = MODELS[name]
    data = masked(corpus(500), [outcome], 200)
    line = 3.0 + 40.0 * data["x"]
    other = data.assign(**{c: data[c] + line for c in (outcome, f"{outcome}_llm")}, line=line)
    options = {"surrogates": {outcome: f"{outcome}_llm"}, "tuning": None, **QUICK, **parameters}
    function = getattr(kt, name)
    one = function(f"{outcome} ~ x + hostile", data, **options)
    assert_same(one, function(f"{outcome} ~ x + hostile", other, **options), shift=np.array([3.0, 40.0, 0.0]))
    assert_same(one, function(f"{outcome} ~ x + hostile + offset(line)", other, **options))


@pytest.mark.parametrize("name", MODELS)
@settings(max_examples=4, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_duplicates_are_weights(name, seed):
    """Rows written twice, or weighted twice: the same estimates."""
    rng = np.random.default_rng(seed)
    data = corpus(300, seed=seed % 5).assign(v=rng.integers(1, 4, 300))
    twice = data.loc[data.index.repeat(data["v"])].reset_index(drop=True)
    extra = {"bandwidth": 0.5} if name == "quantile" else {}
    options = {"design": 1.0, "vcov": "HC0", **QUICK, **extra}
    one, two = (
        fitted(name, frame, [MODELS[name][0]], weights=weights, **options)
        for frame, weights in ((data, "v"), (twice, None))
    )
    assert two.theta == pytest.approx(one.theta, rel=1e-6, abs=1e-8)
    assert two.title == one.title


@pytest.mark.parametrize("name", LOCATION)
def test_covariates_and_outcomes_far_from_zero(name):
    outcome = MODELS[name][0]
    data = masked(corpus(600), [outcome], 250)
    far = data.assign(x=data["x"] + 1e5, **{c: data[c] + 1e4 for c in (outcome, f"{outcome}_llm")})
    one, two = (fitted(name, frame, [outcome], tuning=None, **QUICK) for frame in (data, far))
    assert two.theta[1:] == pytest.approx(one.theta[1:], rel=1e-5)
    assert two.se().to_numpy()[1:] == pytest.approx(one.se().to_numpy()[1:], rel=1e-5)


@pytest.mark.parametrize("name", ["quantile", "huber"])
def test_wild_outliers_do_not_stop_the_solver(name):
    data = corpus(600)
    wild = data["tone"] + np.where(np.arange(600) % 25 == 0, 1e7, 0.0)
    data = masked(data.assign(tone=wild, tone_llm=wild), ["tone"], 250)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit = fitted(name, data, ["tone"], seed=1, learner=None)
    assert np.abs(fit.theta).max() < 5
    assert [column.title for column in fit.compare().columns] == ["Surrogate only", "Gold only", "DSL"]


# ------------------------------------------------------------------ parameters


def test_numbers_fixed_beforehand_come_from_gold_alone():
    data = masked(corpus(900), ["tone"], 250)
    other = data.assign(tone_llm=data["tone_llm"] ** 3)
    for name in ("quantile", "huber"):
        one, two = (fitted(name, frame, ["tone"], **QUICK) for frame in (data, other))
        assert one.title == two.title
        alone = fitted(name, data, ["tone"], estimator="gold", compare=False, seed=1)
        assert alone.title == one.title


def test_a_call_remembers_its_parameters():
    data = masked(corpus(600), ["tone"], 200)
    fit = fitted("quantile", data, ["tone"], bandwidth=0.4, **QUICK)
    assert fit.call.arguments["parameters"] == {"q": 0.3, "bandwidth": 0.4}
    again = kt.regress(
        model="quantile", formula=fit.formula, data=data, surrogates={"tone": "tone_llm"},
        parameters={"q": 0.3, "bandwidth": 0.4}, **QUICK,
    )  # fmt: skip
    assert np.array_equal(again.theta, fit.theta)
    assert again.title == "Quantile regression, q = 0.3, bandwidth 0.4"


@pytest.mark.parametrize(
    ("name", "wrong", "message"),
    [
        ("quantile", {"q": 1.0}, "q=1.0 is not allowed; give a number above 0 and below 1"),
        ("quantile", {"q": [0.25, 0.75]}, "one for each fit"),
        ("quantile", {"q": "0.5"}, "q='0.5' is not allowed"),
        ("quantile", {"bandwidth": 0.0}, "bandwidth=0.0 is not allowed"),
        ("quantile", {"parameters": {"q": 0.5}}, "no argument 'parameters'"),
        ("expectile", {"q": 0}, "q=0 is not allowed"),
        ("expectile", {"bandwidth": 1.0}, "no argument 'bandwidth'"),
        ("quantile", {"bandwidth": 1e-6}, "bandwidth=1e-06 is not allowed: only"),
        ("huber", {"scale": 1e-6}, "scale=1e-06 is not allowed: only"),
        ("huber", {"k": -1}, "k=-1 is not allowed"),
        ("huber", {"scale": "mad"}, "scale='mad' is not allowed"),
    ],
)
def test_wrong_parameters(name, wrong, message):
    data = masked(corpus(300), ["tone"], 100)
    with pytest.raises(ArgumentError, match=message.replace("[", r"\[")):
        fitted(name, data, ["tone"], **{**QUICK, **wrong})


def test_parameters_of_other_models():
    data = masked(corpus(300), ["tone"], 100)
    common = {"formula": "tone ~ x", "data": data, "surrogates": {"tone": "tone_llm"}, **QUICK}
    with pytest.raises(ArgumentError, match="the model 'ols' has none"):
        kt.regress(model="ols", parameters={"q": 0.5}, **common)
    with pytest.raises(ArgumentError, match="the model 'quantile' takes q, bandwidth"):
        kt.regress(model="quantile", parameters={"tau": 0.5}, **common)
    with pytest.raises(ArgumentError, match=r"parameters=0\.5 cannot be used"):
        kt.regress(model="quantile", parameters=0.5, **common)


# ------------------------------------------------------------------ outcomes


@pytest.mark.parametrize(
    ("name", "outcome", "message"),
    [
        ("gamma", lambda d: d["cost"] - d["cost"].median(), "0 or negative in .* kt.poisson"),
        ("gamma", lambda d: d["cost"] * 0 + 2.0, "is 2 in every row"),
        ("fractional", lambda d: 100 * d["share"], "must lie between 0 and 1; it runs from 0 to 100"),
        ("fractional", lambda d: d["share"] * 0, "is 0 in every row"),
        ("quantile", lambda d: d["yes"], "takes only 2 values"),
        ("quantile", lambda d: d["tone"].clip(lower=d["tone"].quantile(0.8)), "give bandwidth="),
        ("quantile", lambda d: d["tone"].clip(lower=d["tone"].quantile(0.5)), "of the gold outcomes lie on"),
        ("expectile", lambda d: d["tone"] * 0, "is 0 in every row"),
        ("huber", lambda d: d["tone"].where(d.index % 3 == 0, 1.0), "give scale="),
    ],
)
@pytest.mark.parametrize("labelled", [True, False])
def test_outcomes_that_cannot_come_from_a_model(name, outcome, message, labelled):
    data = corpus(400)
    data = data.assign(**{MODELS[name][0]: outcome(data)})
    names = [MODELS[name][0]] if labelled else ["hostile"]
    with pytest.raises(DataError, match=message):
        fitted(name, masked(data, names, 150), names, **QUICK)


def test_separated_shares():
    data = corpus(400)
    data = masked(data.assign(share=(data["hostile"] > 0) * 1.0), ["share"], 150)
    with pytest.raises(SeparationError):
        fitted("fractional", data, ["share"], **QUICK)


def test_predictions_that_are_not_positive_are_no_harm():
    """A learner may predict costs below 0: the score is linear in them."""
    data = masked(corpus(600), ["cost"], 200).assign(cost_llm=lambda d: d["cost_llm"] - 3.0)
    fit = fitted("gamma", data, ["cost"], learner="linear", seed=1)
    assert np.isfinite(fit.se()).all()


@pytest.mark.parametrize("name", MODELS)
def test_a_large_corpus_is_predicted_in_one_split_only_where_scores_are_linear(name, monkeypatch):
    seen, steps = [], importlib.import_module("karat.regression.steps")
    original = steps.crossfit

    def spy(*args, **options):
        seen.append(options["linear"])
        return original(*args, **options)

    monkeypatch.setattr(steps, "crossfit", spy)
    for labelled in ("outcome", "covariate"):
        names = settings_of(name)[labelled]
        fitted(name, masked(corpus(300), names, 150), names, learner="linear", repeats=2, compare=False, seed=1)
    assert seen == [name in ("gamma", "fractional"), True]


# ------------------------------------------------------------------ every door


@pytest.mark.parametrize("labelled", ["outcome", "covariate", "both"])
@pytest.mark.parametrize("name", MODELS)
def test_what_a_result_does(name, labelled):
    names = settings_of(name)[labelled]
    data = masked(corpus(900), names)
    fit = fitted(name, data, names, design=kt.SimpleRandom(), repeats=2, learner="linear", seed=1)
    assert fit.names == ("Intercept", "x", "hostile")
    assert fit.title in str(fit.summary())
    assert [column.title for column in fit.compare().columns] == ["Surrogate only", "Gold only", "DSL"]
    assert kt.Result.from_json(fit.to_json()).title == fit.title
    assert fit.with_vcov("HC1").theta == pytest.approx(fit.theta)
    assert (fit - fit).theta == pytest.approx(np.zeros(3))
    assert 0 <= fit.wald(["x = 0", "hostile = 0"]).p_value <= 1
    assert str(kt.diagnose(fit))
    new = pd.DataFrame({"x": [-1.0, 0.5], "hostile": [0.0, 1.0]})
    found = fit.predict(new)
    eta = np.column_stack([np.ones(2), new]) @ fit.theta
    mean = {"gamma": np.exp, "fractional": lambda e: 1 / (1 + np.exp(-e))}.get(name, lambda e: e)(eta)
    assert found["fit"].to_numpy() == pytest.approx(mean)
    assert ((found["2.5%"] < found["fit"]) & (found["fit"] < found["97.5%"])).all()


@pytest.mark.parametrize("estimator", ["gold", "ppi", "surrogate"])
@pytest.mark.parametrize("name", MODELS)
def test_other_estimators(name, estimator):
    """Surrogates alone are the regression on surrogate labels; of probabilities the score is averaged."""
    outcome = MODELS[name][0]
    data = masked(corpus(600), [outcome, "hostile"], 200).assign(cost_llm=lambda d: d["cost_llm"] + 0.01)
    fixed = {"quantile": {"bandwidth": 0.4}, "huber": {"scale": 1.0}}.get(name, {})
    with pytest.warns(NotValidWarning) if estimator == "surrogate" else nullcontext():
        fit = fitted(name, data, [outcome, "hostile"], estimator=estimator, weights="v", compare=False, seed=1, **fixed)
    assert np.isfinite(fit.se()).all()
    if estimator == "surrogate":
        named = data.assign(**{outcome: data[f"{outcome}_llm"], "hostile": data["hostile_llm"]})
        alone = fitted(name, named, [outcome], design=1.0, weights="v", **QUICK, **fixed)
        assert fit.theta == pytest.approx(alone.theta, rel=1e-7)
        soft = data.assign(hostile_llm=0.1 + 0.8 * data["hostile_llm"])
        with pytest.warns(NotValidWarning):
            fit = fitted(name, soft, [outcome, "hostile"], estimator=estimator, compare=False, seed=1, **fixed)
        assert np.isfinite(fit.se()).all()


@pytest.mark.parametrize("labelled", ["outcome", "covariate", "both"])
@pytest.mark.parametrize("name", MODELS)
def test_batches(name, labelled, tmp_path):
    names = settings_of(name)[labelled]
    data = masked(corpus(400), names, 120)
    data.to_parquet(tmp_path / "corpus.parquet")
    batches = kt.Batches(tmp_path / "corpus.parquet", rows=90)
    options = {"design": kt.SimpleRandom(n=120), "learner": None, "seed": 1}
    one, two = (fitted(name, source, names, **options) for source in (data, batches))
    assert two.theta == pytest.approx(one.theta, rel=1e-9)
    assert two.covariance == pytest.approx(one.covariance, rel=1e-8)


def test_difference_of_two_quantiles():
    """Influences of both fits are kept, so that their difference is tested with the joint covariance."""
    data = masked(corpus(900), ["tone"])
    low, high = (fitted("quantile", data, ["tone"], q=q, **QUICK) for q in (0.25, 0.75))
    gap = high - low
    assert gap.theta == pytest.approx(high.theta - low.theta)
    apart = np.sqrt(np.diag(high.covariance) + np.diag(low.covariance))
    assert (gap.se().to_numpy() < apart).all()


@pytest.mark.parametrize("name", MODELS)
def test_median_over_splits_and_two_ways_of_clustering(name):
    data = masked(corpus(600), ["hostile"], 200)
    fit = fitted(name, data, ["hostile"], combine="median", learner="linear", repeats=3, compare=False, seed=1)
    assert np.isfinite(fit.se()).all()
    data = data.assign(other=np.arange(600) % 23)
    fit = fitted(name, data, ["hostile"], cluster=["group", "other"], **QUICK)
    assert np.isfinite(fit.se()).all()


@pytest.mark.parametrize("name", MODELS)
def test_plan_from_a_fit_keeps_the_parameters(name, monkeypatch):
    refit = importlib.import_module("karat.planning.refit")
    outcome, parameters = MODELS[name]
    data = masked(corpus(700), [outcome], 150)
    fit = fitted(name, data, [outcome], design=kt.SimpleRandom(), **QUICK)
    seen, original = [], refit.regress
    monkeypatch.setattr(refit, "regress", lambda *a, **o: seen.append(o) or original(*a, **o))
    plan = kt.plan(fit, data, jackknife=10, seed=1)
    assert len(seen) >= 10
    for options in seen:
        assert {k: v for k, v in (options["parameters"] or {}).items() if v is not None} == {
            **parameters, **({"k": 1.345} if name == "huber" else {})
        }  # fmt: skip
    assert np.isfinite(plan.tidy().select_dtypes("number").to_numpy()).all()


def test_plan_from_a_formula():
    data = corpus(700)
    plan = kt.plan(
        "tone ~ x", data, model="quantile", parameters={"q": 0.3}, surrogates={"tone": "tone_llm"}, r_squared=0.6,
        learner=None, seed=1,
    )  # fmt: skip
    assert np.isfinite(plan.tidy().select_dtypes("number").to_numpy()).all()


@pytest.mark.parametrize("name", MODELS)
def test_multiverse(name):
    outcome, parameters = MODELS[name]
    data = masked(corpus(700), [outcome], 200)
    data["other"] = data[f"{outcome}_llm"].sample(frac=1.0, random_state=1).to_numpy()
    many = kt.multiverse(
        f"{outcome} ~ x + hostile", data, surrogates={outcome: [f"{outcome}_llm", "other"]}, model=name,
        parameters=parameters or None, learners=["linear"], together=False, repeats=1, seed=1,
    )  # fmt: skip
    alone = fitted(name, data, [outcome], learner="linear", repeats=1, scores=True, compare=False, seed=1)
    assert many.universes == (f"{outcome}_llm", "other")
    assert many.results[0].title == alone.title


@pytest.mark.parametrize("name", MODELS)
def test_sensitivity(name):
    outcome, parameters = MODELS[name]
    data = corpus(700)
    sample = kt.SimpleRandom(n=150).draw(data, seed=1)
    answered = sample.labelled & (np.arange(700) % 8 > 0)
    data = kt.datasets.mask_gold(data, answered, outcome)
    found = kt.sensitivity(
        model=name, formula=f"{outcome} ~ x", data=data, surrogates={outcome: f"{outcome}_llm"}, design=sample.design,
        parameters=parameters or None, gamma=1.0, **QUICK,
    )  # fmt: skip
    assert found.fit.title.startswith(models.get(name, parameters or None).heading[:20])
    table = found.tidy()
    assert (table["Lowest"] <= found.fit.theta + 1e-9).all()
    assert (table["Highest"] >= found.fit.theta - 1e-9).all()


@pytest.mark.parametrize("name", ["quantile"])
def test_bootstrap_debiases_them_as_any_estimator(name):
    outcome, parameters = MODELS[name]
    data = masked(corpus(500), [outcome], 150)

    def estimate(frame, weights):
        frame = frame.assign(again=frame[outcome], v=weights)
        fit = getattr(kt, name)(f"{outcome} ~ x", frame, surrogates={outcome: "again"}, design=1.0, weights="v",
                                vcov="HC0", **parameters, **QUICK)  # fmt: skip
        return fit.coef()

    found = kt.bootstrap(estimate, data, surrogates={outcome: f"{outcome}_llm"}, draws=50, seed=1)
    plain = getattr(kt, name)(f"{outcome} ~ x", data, surrogates={outcome: f"{outcome}_llm"}, **parameters, **QUICK)
    assert found.names == plain.names
    assert (np.abs(found.theta - plain.theta) < 3 * plain.se().to_numpy()).all()


def test_looks_of_a_confidence_sequence_are_of_one_quantile():
    data = corpus(900)
    order = np.random.default_rng(1).permutation(900)
    fits = []
    for n, q in ((150, 0.3), (300, 0.3), (450, 0.5)):
        rows = np.zeros(900, dtype=bool)
        rows[order[:n]] = True
        fits.append(fitted("quantile", kt.datasets.mask_gold(data, rows, "tone"), ["tone"], q=q, scores=True, **QUICK))
    kt.confidence_sequence(fits[:2], planned=450)
    with pytest.raises(ArgumentError, match="looks differ"):
        kt.confidence_sequence(fits, planned=450)
