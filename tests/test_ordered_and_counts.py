"""Ordered logit and probit, negative binomial: against statsmodels and by hand, invariances, every door."""

import importlib
import itertools
from contextlib import nullcontext

import numpy as np
import pandas as pd
import polars as pl
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import block_diag
from scipy.special import expit, ndtr, polygamma, psi
from statsmodels.miscmodels.ordinal_model import OrderedModel

import karat as kt
from karat import moments as models
from karat.designs import Labelling
from karat.errors import ArgumentError, ConvergenceError, DataError, FormulaError, NotValidWarning, SeparationError
from karat.estimate import index
from karat.estimate.augment import AugmentedSample, Units
from karat.estimate.rectify import gold_estimate
from karat.estimate.rows import Memory, Rows

MODELS = {"ordered": "mood", "ordered_probit": "mood", "negative_binomial": "count"}
MOODS = ["low", "mid", "high", "top"]
QUICK = {"learner": None, "compare": False, "seed": 1}
pytestmark = [
    pytest.mark.filterwarnings("ignore:the surrogates make standard errors larger"),
    pytest.mark.filterwarnings("ignore::karat.errors.SmallSampleWarning"),
]


def corpus(n=1000, seed=0):
    rng = np.random.default_rng(seed)
    x, hostile = rng.normal(size=n), (rng.random(n) < 0.4).astype(float)
    eta = 0.5 * x - 0.4 * hostile
    code = np.digitize(eta + rng.logistic(size=n), [-1.0, 0.2, 1.5])
    frame = pd.DataFrame({"x": x, "hostile": hostile, "group": rng.integers(0, 40, n), "v": rng.uniform(0.5, 2.0, n)})
    frame["hostile_llm"] = np.where(rng.random(n) < 0.2, 1 - hostile, hostile)
    for name, codes in (("mood", code), ("mood_llm", np.where(rng.random(n) < 0.7, code, rng.integers(0, 4, n)))):
        frame[name] = pd.Categorical.from_codes(codes, MOODS, ordered=True)
    mu = np.exp(0.5 + eta)
    frame["count"] = rng.negative_binomial(2.0, 2.0 / (2.0 + mu)).astype(float)
    frame["count_llm"] = np.maximum(0.8 * frame["count"] + 0.5 * rng.normal(size=n), 0.0)
    return frame


def masked(frame, names, n=300, seed=3):
    return kt.datasets.mask_gold(frame, kt.SimpleRandom(n=n).draw(frame, seed=seed), list(names))


def fitted(name, data, labelled, right="x + hostile", **options):
    surrogates = {label: f"{label}_llm" for label in labelled}
    return kt.regress(f"{MODELS[name]} ~ {right}", data, model=name, surrogates=surrogates, **options)


def settings_of(name):
    return {"outcome": [MODELS[name]], "covariate": ["hostile"], "both": [MODELS[name], "hostile"]}


# ------------------------------------------------------------------ all rows gold


@pytest.fixture(scope="module")
def complete():
    return corpus(700)


@pytest.mark.filterwarnings("ignore::statsmodels.tools.sm_exceptions.ConvergenceWarning")
@pytest.mark.parametrize("link", ["logit", "probit"])
def test_all_gold_ordered_equals_statsmodels(complete, link):
    model = OrderedModel(complete["mood"], complete[["x", "hostile"]], distr=link)
    theirs = model.fit(method="bfgs", disp=0, gtol=1e-9, maxiter=500, cov_type="HC0")
    fit = kt.ordered(
        "mood ~ x + hostile", complete, surrogates={"mood": "mood_llm"}, design=1.0, vcov="HC0", link=link, **QUICK
    )
    cuts = model.transform_threshold_params(theirs.params.to_numpy())[1:-1]
    assert fit.names == ("x", "hostile", "low|mid", "mid|high", "high|top")
    assert fit.theta == pytest.approx(np.r_[theirs.params.to_numpy()[:2], cuts], rel=1e-6)
    assert fit.se().to_numpy()[:2] == pytest.approx(theirs.bse.to_numpy()[:2], rel=1e-6)
    odds = fit.ratios() if link == "logit" else None
    assert odds is None or odds.theta == pytest.approx(np.exp(theirs.params.to_numpy()[:2]), rel=1e-6)


@pytest.mark.parametrize("kind", ["HC0", "cluster"])
def test_all_gold_negative_binomial_equals_statsmodels(complete, kind):
    model = sm.NegativeBinomial(complete["count"], sm.add_constant(complete[["x", "hostile"]]))
    how = {"cov_type": "HC0"} if kind == "HC0" else {"cov_type": "cluster", "cov_kwds": {"groups": complete["group"]}}
    theirs = model.fit(method="newton", maxiter=100, tol=1e-14, disp=0, **how)
    vcov = "HC0" if kind == "HC0" else {"CRV1": "group"}
    fit = kt.negative_binomial(
        "count ~ x + hostile", complete, surrogates={"count": "count_llm"}, design=1.0, vcov=vcov, **QUICK
    )
    params, alpha = theirs.params.to_numpy(), theirs.params.to_numpy()[3]
    assert fit.names == ("Intercept", "x", "hostile", "log(alpha)")
    assert fit.theta == pytest.approx(np.r_[params[:3], np.log(alpha)], rel=1e-8)
    jacobian = np.diag([1.0, 1.0, 1.0, 1.0 / alpha])
    assert fit.covariance == pytest.approx(jacobian @ theirs.cov_params().to_numpy() @ jacobian, rel=1e-8)
    low, high = np.exp(fit.confint().loc["log(alpha)"])
    assert f"alpha mu^2): {alpha:.4f}, 95% interval {low:.4f} to {high:.4f}" in str(fit.summary())


@pytest.mark.parametrize("vcov", ["HC1", "HC3", {"CRV3": "group"}])
@pytest.mark.parametrize("labelled", ["outcome", "both"])
def test_two_ordered_classes_are_the_logit_and_the_probit(vcov, labelled):
    data = corpus(700, seed=2)
    for name in ("mood", "mood_llm"):
        data[name] = (data[name] > "mid").astype(float)
    names = ["mood", "hostile"] if labelled == "both" else ["mood"]
    data = masked(data, names, 250)
    options = {"surrogates": {n: f"{n}_llm" for n in names}, "vcov": vcov, **QUICK, "compare": True, "tuning": None}
    new = data.assign(hostile=1.0)[["x", "hostile"]].head(4)
    for link, other in (("logit", kt.logit), ("probit", kt.probit)):
        one = kt.ordered("mood ~ x + hostile", data, link=link, **options)
        two = other("mood ~ x + hostile", data, **options)
        turn = np.array([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [-1.0, 0.0, 0.0]])
        assert one.names == ("x", "hostile", "0|1")
        assert one.theta == pytest.approx(turn @ two.theta, rel=1e-9)
        assert one.covariance == pytest.approx(turn @ two.covariance @ turn.T, rel=1e-8)
        assert one.predict(new)["fit"][1].to_numpy() == pytest.approx(two.predict(new)["fit"].to_numpy())


# ------------------------------------------------------------------ the rectified equation by hand


def density(z):
    return np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)


def plain(name, theta, x, y):
    """Score and minus Hessian of one row, from the textbook: y is a share of each class, or a count."""
    if name == "negative_binomial":
        b, alpha = theta[:-1], np.exp(theta[-1])
        mu, r = np.exp(x @ b), 1.0 / alpha
        in_r = psi(y + r) - psi(r) + np.log(r / (r + mu)) + 1.0 - (r + y) / (r + mu)
        in_rr = polygamma(1, y + r) - polygamma(1, r) + 1.0 / r - 2.0 / (r + mu) + (r + y) / (r + mu) ** 2
        score = np.r_[(y - mu) / (1.0 + alpha * mu) * x, -r * in_r]
        across = -(y - mu) * mu * alpha / (1.0 + alpha * mu) ** 2
        hessian = np.zeros((len(theta), len(theta)))
        hessian[:-1, :-1] = -mu * (1.0 + alpha * y) / (1.0 + alpha * mu) ** 2 * np.outer(x, x)
        hessian[:-1, -1] = hessian[-1, :-1] = across * x
        hessian[-1, -1] = r * in_r + r**2 * in_rr
        return score, -hessian
    cdf, pdf, slope = {
        "ordered": (expit, lambda z: expit(z) * expit(-z), lambda z: expit(z) * expit(-z) * (1.0 - 2.0 * expit(z))),
        "ordered_probit": (ndtr, density, lambda z: -z * density(z)),
    }[name]
    p = len(x) - 1
    score, hessian = np.zeros(len(theta)), np.zeros((len(theta), len(theta)))
    for k, share in enumerate(y):
        chance, first, second = 0.0, np.zeros(len(theta)), np.zeros((len(theta), len(theta)))
        for sign, cut in ((1.0, k), (-1.0, k - 1)):
            if not 0 <= cut < len(y) - 1:
                chance += 1.0 if sign > 0 else 0.0
                continue
            row = np.r_[-x[1:], np.eye(len(y) - 1)[cut]]
            z = theta[p + cut] - x[1:] @ theta[:p]
            chance, first = chance + sign * cdf(z), first + sign * pdf(z) * row
            second = second + sign * slope(z) * np.outer(row, row)
        score += share * first / chance
        hessian += share * (second / chance - np.outer(first, first) / chance**2)
    return score, -hessian


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("labelled", ["outcome", "covariate", "both"])
def test_rectified_estimate_and_covariance_by_hand(name, labelled):
    """Root of ``sum w m - (w - 1) h`` and its HC0 covariance under Bernoulli draws, soft labels, with plain loops."""
    data, pi, outcome = corpus(130, seed=8), 0.6, MODELS[name]
    sample, names = kt.Bernoulli(pi).draw(data, seed=2), settings_of(name)[labelled]
    held = kt.datasets.mask_gold(data, sample, names)
    rng = np.random.default_rng(1)
    sure = data["mood_llm"].cat.codes.to_numpy()[:, None] == np.arange(4)
    guess = {
        "mood": 0.7 * sure + 0.3 * rng.dirichlet(np.ones(4), len(data)),
        "hostile": 0.1 + 0.8 * data["hostile_llm"].to_numpy(),
        "count": data["count_llm"].to_numpy(),
    }
    fit = kt.regress(
        f"{outcome} ~ x + hostile", held, model=name, surrogates={n: guess[n] for n in names}, design=sample.design,
        tuning=None, vcov="HC0", **QUICK,
    )  # fmt: skip
    truth = sure * 0.0 + np.eye(4)[data["mood"].cat.codes] if outcome == "mood" else data["count"].to_numpy()
    drawn = held[names[0]].notna().to_numpy()

    def average(theta, i, gold):
        y = truth[i] if gold or outcome not in names else guess[outcome][i]
        share = data["hostile"][i] if gold or "hostile" not in names else guess["hostile"][i]
        parts = [plain(name, theta, np.array([1.0, data["x"][i], level]), y) for level in (0.0, 1.0)]
        return tuple((1.0 - share) * zero + share * one for zero, one in zip(*parts))

    theta = fit.theta + 1e-4
    for _ in range(4):
        gold = [average(theta, i, True) if drawn[i] else (0.0, 0.0) for i in range(len(data))]
        other = [average(theta, i, False) for i in range(len(data))]
        w = drawn / pi
        total = sum(w[i] * gold[i][0] - (w[i] - 1.0) * other[i][0] for i in range(len(data)))
        slope = sum(w[i] * gold[i][1] - (w[i] - 1.0) * other[i][1] for i in range(len(data)))
        theta = theta + np.linalg.solve(slope, total)
    assert fit.theta == pytest.approx(theta, rel=1e-8, abs=1e-9)
    inverse, h = np.linalg.inv(slope), np.array([part[0] for part in other])
    e = np.array([gold[i][0] - h[i] if drawn[i] else 0.0 * h[i] for i in range(len(data))]) @ inverse
    influence = h @ inverse + w[:, None] * e
    assert fit.labelling_covariance == pytest.approx((1 - pi) / pi**2 * e.T @ e, rel=1e-7, abs=1e-12)
    assert fit.covariance == pytest.approx(influence.T @ influence, rel=1e-7, abs=1e-12)


# ------------------------------------------------------------------ kernels


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 4), st.integers(1, 4), st.booleans(), st.integers(0, 10**6))
def test_kernels_with_constants(n_constants, p, without_ones, seed):
    """Of each row the design is a matrix with a row for each predictor."""
    first, n = slice(1, None) if without_ones else slice(None), n_constants + 1
    rng = np.random.default_rng(seed)
    x, s = rng.normal(size=(5, p)), rng.normal(size=(5, n))
    half = rng.normal(size=(5, n, n))
    c = half @ half.transpose(0, 2, 1)
    z = np.array([block_diag(row[first][None, :], np.eye(n - 1)) for row in x])
    phi, own = np.einsum("mjq,mj->mq", z, s), np.einsum("mja,mjk,mkb->mab", z, c, z)
    u, offset = rng.normal(size=z.shape[2]), rng.normal(size=5)
    eta = z @ u
    assert index.predictors(x, u, None, first) == pytest.approx(eta)
    eta[:, 0] += offset
    assert index.predictors(x, u, offset, first) == pytest.approx(eta)
    assert index.scores(x, s, first) == pytest.approx(phi)
    assert index.total(x, s, first) == pytest.approx(phi.sum(axis=0))
    assert index.own(x, c, first) == pytest.approx(own)
    assert index.gram(x, c, first) == pytest.approx(own.sum(axis=0))
    assert index.quadratic(x, c, u, first) == pytest.approx(np.einsum("a,mab,b->m", u, own, u))
    each = rng.normal(size=phi.shape)
    assert index.times(x, c, each, first) == pytest.approx(np.einsum("mab,mb->ma", own, each))
    sums = np.zeros((2, *own.shape[1:]))
    index.add_by_cluster(sums, x, c, np.array([0, 1, 0, 1, 1]), first)
    assert sums == pytest.approx(np.array([own[[0, 2]].sum(axis=0), own[[1, 3, 4]].sum(axis=0)]))


@pytest.mark.parametrize("name", MODELS)
@given(eta=st.floats(-6, 6), cuts=st.lists(st.floats(0.01, 3), min_size=2, max_size=4), y=st.floats(0, 30))
def test_curvature_and_mean_are_derivatives(name, eta, cuts, y):
    model, step = models.get(name), 1e-5
    at = np.r_[eta, cuts[0] if name == "negative_binomial" else np.cumsum(cuts)][None, :]
    y = np.array([y]) if name == "negative_binomial" else np.array([np.r_[0.2, 0.3, np.zeros(len(cuts) - 2)]])
    assert model.predictors(y) == at.shape[1]
    _, curvature = model.evaluate(at, y)
    mu, slope = model.mean(at)
    for j in range(at.shape[1]):
        move = step * np.eye(at.shape[1])[j]
        up, down = (model.evaluate(at + sign * move, y)[0][0] for sign in (1, -1))
        assert curvature[0, j] == pytest.approx((down - up) / (2 * step), rel=1e-4, abs=1e-5)
        above, below = (model.mean(at + sign * move)[0][0] for sign in (1, -1))
        assert slope[0][..., j] == pytest.approx((above - below) / (2 * step), rel=1e-5, abs=1e-8)
    if name != "negative_binomial":
        assert mu.sum() == pytest.approx(1.0)
        far = np.array([[-45.0, *np.cumsum(cuts)], [45.0, *np.cumsum(cuts)]])
        assert all(np.isfinite(part).all() for part in model.evaluate(far, np.repeat(y, 2, axis=0)))
        assert np.isnan(model.evaluate(at[:, [0, *range(at.shape[1] - 1, 0, -1)]], y)[0]).all()
    else:
        far = np.array(list(itertools.product([-900.0, 0.0, 900.0], [-60.0, -5.0, 60.0])))
        assert all(np.isfinite(part).all() for part in model.evaluate(far, np.full(9, y[0])))


def test_dispersion_near_zero_loses_no_digits():
    """Series and digamma functions meet; far out the score falls with alpha as it should, without noise."""
    model, y, mu = models.get("negative_binomial"), np.array([0.0, 3.0, 40.0]), np.array([1.5, 3.7, 20.0])

    def at(alpha):
        return model.evaluate(np.column_stack([np.log(mu), np.full(3, np.log(alpha))]), y)

    for one, two in zip(at(0.01 * (1 + 1e-12)), at(0.01 * (1 - 1e-12))):
        assert one == pytest.approx(two, rel=1e-9, abs=1e-12)
    small, score = 1e-7, at(1e-7)[0][:, 1]
    assert score == pytest.approx(small * ((y - mu) ** 2 - y) / 2, rel=1e-4)
    assert at(small)[0][:, 0] == pytest.approx(y - mu, rel=1e-4)


@given(st.lists(st.text("ab|", min_size=1, max_size=3), min_size=2, max_size=5, unique=True))
def test_cut_points_are_told_from_slopes_by_their_names(classes):
    model = models.get("ordered")
    names = model.names(("Intercept", "x", "C(z)[T.u]"), classes)
    assert model.constants(names) == len(classes) - 1


# ------------------------------------------------------------------ invariances


def assert_same(one, two, change=None, shift=0.0):
    change = np.eye(len(one.theta)) if change is None else change
    assert two.theta == pytest.approx(change @ one.theta + shift, rel=1e-6, abs=1e-7)
    assert two.covariance == pytest.approx(change @ one.covariance @ change.T, rel=1e-5, abs=1e-9)


@pytest.mark.parametrize("name", MODELS)
@settings(max_examples=2, deadline=None)
@given(seed=st.integers(0, 10**6), labelled=st.sampled_from(["outcome", "covariate", "both"]))
def test_order_of_rows_and_the_library(name, seed, labelled):
    names = settings_of(name)[labelled]
    data = masked(corpus(500, seed=seed % 7), names, 200)
    order = np.random.default_rng(seed).permutation(len(data))
    frames = [data, data.iloc[order].reset_index(drop=True)]
    enum = pl.from_pandas(data.astype({"mood": str, "mood_llm": str}).replace("nan", None))
    frames.append(enum.with_columns(pl.col("mood", "mood_llm").cast(pl.Enum(MOODS))))
    one, *others = (fitted(name, f, names, learner="linear", repeats=1, compare=False, seed=2) for f in frames)
    for other in others:
        assert_same(one, other)


@pytest.mark.parametrize(("labelled", "design"), [("outcome", None), ("both", None), ("outcome", 1.0)])
@pytest.mark.parametrize("name", MODELS)
def test_units_and_origin_of_covariates(name, labelled, design):
    """Far from 0 the solver turns to other coordinates: numbers stay."""
    names, vcov = settings_of(name)[labelled], "HC3" if design is None else {"CRV3": "group"}
    data = corpus(500) if design else masked(corpus(500), names, 220)
    other = data.assign(x=1e3 + 0.1 * data["x"])
    one, two = (fitted(name, d, names, vcov=vcov, design=design, tuning=None, **QUICK) for d in (data, other))
    slopes = ["x", "hostile"]
    assert two.coef()[slopes].to_numpy() == pytest.approx(one.coef()[slopes] * [10.0, 1.0], rel=1e-7)
    assert two.se()[slopes].to_numpy() == pytest.approx(one.se()[slopes] * [10.0, 1.0], rel=1e-6)
    new, there = (d.assign(hostile=1.0)[slopes].head(4) for d in (data, other))
    left, right = one.predict(new), two.predict(there)
    assert right["fit"].to_numpy() == pytest.approx(left["fit"].to_numpy(), rel=1e-7)
    assert right["se"].to_numpy() == pytest.approx(left["se"].to_numpy(), rel=1e-4)
    if design is None:
        again = fitted(name, other, names, learner="linear", repeats=2, seed=1)
        assert np.isfinite(np.asarray(again.compare())).all()
        assert 0 <= again.split_share < 1


@pytest.mark.parametrize("link", ["logit", "probit"])
def test_classes_the_other_way_round(link):
    data = masked(corpus(600), ["mood", "hostile"], 220)
    surrogates = {"mood": "mood_llm", "hostile": "hostile_llm"}
    one, two = (
        kt.ordered("mood ~ x + hostile", data.astype({"mood": object, "mood_llm": object}), surrogates=surrogates,
                   levels=levels, link=link, tuning=None, **QUICK)
        for levels in (MOODS, MOODS[::-1])
    )  # fmt: skip
    assert two.names == ("x", "hostile", "top|high", "high|mid", "mid|low")
    assert_same(one, two, -np.eye(5)[[0, 1, 4, 3, 2]])
    assert "top < high < mid < low" in two.title


@pytest.mark.parametrize("name", MODELS)
def test_duplicates_are_weights_and_hard_labels_sure_ones(name):
    names = settings_of(name)["both"]
    data = masked(corpus(400), names, 180)
    data["row"], data["v"] = np.arange(400), np.random.default_rng(1).integers(1, 3, 400)
    double = data.loc[data.index.repeat(data["v"])].reset_index(drop=True)
    options = {"design": kt.Bernoulli(0.45), "vcov": {"CRV0": "row"}, "tuning": None, **QUICK}
    assert_same(fitted(name, data, names, weights="v", **options), fitted(name, double, names, **options))
    if name != "negative_binomial":
        sure = (data["mood_llm"].to_numpy()[:, None] == np.array(MOODS)).astype(float)
        surrogates = {"mood": sure, "hostile": "hostile_llm"}
        soft = kt.regress("mood ~ x + hostile", data, model=name, surrogates=surrogates, **QUICK)
        assert_same(fitted(name, data, names, **QUICK), soft)


@pytest.mark.parametrize("name", MODELS)
def test_an_offset_takes_its_part_of_a_covariate(name):
    names = settings_of(name)["outcome"]
    data = masked(corpus(500), names, 220).assign(line=lambda d: 0.7 * d["x"])
    one = fitted(name, data, names, tuning=None, **QUICK)
    two = fitted(name, data, names, "x + hostile + offset(line)", tuning=None, **QUICK)
    assert_same(one, two, shift=-0.7 * np.array([n == "x" for n in one.names]))
    new = data.assign(hostile=0.0).head(3)
    assert two.predict(new)["fit"].to_numpy() == pytest.approx(one.predict(new)["fit"].to_numpy())
    averages = [kt.predictions(fit, data).theta for fit in (one, two)]
    assert averages[0] == pytest.approx(averages[1], rel=1e-7)


# ------------------------------------------------------------------ everything a Result does


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("labelled", ["outcome", "covariate", "both"])
def test_what_a_result_does(name, labelled):
    names = settings_of(name)[labelled]
    data = masked(corpus(900), names)
    fit = fitted(name, data, names, design=kt.SimpleRandom(), repeats=2, learner="linear", seed=1)
    assert [column.title for column in fit.compare().columns] == ["Surrogate only", "Gold only", "DSL"]
    assert fit.title in str(fit.summary())
    read = kt.Result.from_json(fit.to_json())
    assert read.title == fit.title
    assert fit.with_vcov("HC1").theta == pytest.approx(fit.theta)
    assert (fit - fit).theta == pytest.approx(np.zeros(len(fit.names)))
    assert 0 <= fit.wald(["x = 0", f"{fit.names[-1]} = 0"]).p_value <= 1
    assert str(kt.diagnose(fit))
    if name == "ordered_probit":
        with pytest.raises(kt.KaratError, match="not ratios"):
            fit.ratios()
    else:
        slopes = [n for n in fit.names if "|" not in n and n != "log(alpha)"]
        assert list(read.ratios().names) == slopes
        assert fit.ratios().theta == pytest.approx(np.exp(fit.coef()[slopes]).to_numpy())
    new = pd.DataFrame({"x": [-1.0, 0.5], "hostile": [0.0, 1.0]})
    found = fit.predict(new)
    assert ((found["2.5%"] < found["fit"]) & (found["fit"] < found["97.5%"])).to_numpy().all()
    means = fit.delta(lambda theta: by_hand(name, theta, new[1:])[0])
    assert found["fit"].to_numpy()[1] == pytest.approx(means["Estimate"].to_numpy(), rel=1e-9)
    assert found["se"].to_numpy()[1] == pytest.approx(means["Std. Error"].to_numpy(), rel=1e-5)


def by_hand(name, theta, frame):
    """Expected counts, or probabilities of the classes, from coefficients."""
    x = frame[["x", "hostile"]].to_numpy()
    if name == "negative_binomial":
        return np.exp(theta[0] + x @ theta[1:3])[:, None]
    at_most = (expit if name == "ordered" else ndtr)(theta[2:] - (x @ theta[:2])[:, None])
    return np.diff(np.column_stack([np.zeros(len(x)), at_most, np.ones(len(x))]), axis=1)


@pytest.mark.parametrize("name", MODELS)
def test_averages_after_the_fit(name):
    """With all rows gold: averages by hand, and the delta method where covariates are fixed."""
    data = corpus(500)
    fit = fitted(name, data, [MODELS[name]], design=1.0, vcov="HC0", scores=True, **QUICK)
    mean = lambda theta, d=data: by_hand(name, theta, d).mean(axis=0)  # noqa: E731
    change = lambda theta: mean(theta, data.assign(hostile=1.0)) - mean(theta, data.assign(hostile=0.0))  # noqa: E731
    for found, wanted in (
        (kt.predictions(fit, data, covariates="fixed"), fit.delta(mean)),
        (kt.comparisons(fit, data, "hostile", covariates="fixed"), fit.delta(change)),
    ):
        assert found.theta == pytest.approx(wanted["Estimate"].to_numpy(), rel=1e-9)
        assert found.se().to_numpy() == pytest.approx(wanted["Std. Error"].to_numpy(), rel=1e-5)
    step = 1e-5
    found = kt.slopes(fit, data, "x", covariates="fixed").theta
    rise = mean(fit.theta, data.assign(x=data["x"] + step)) - mean(fit.theta, data.assign(x=data["x"] - step))
    assert found == pytest.approx(rise / (2 * step), rel=1e-5, abs=1e-8)
    odds = nullcontext() if "ordered" in name else pytest.raises(ArgumentError, match="needs probabilities")
    with odds:
        assert len(kt.comparisons(fit, data, "hostile", contrast="odds_ratio").names) == 4


@pytest.mark.parametrize("estimator", ["gold", "ppi", "surrogate"])
@pytest.mark.parametrize("name", MODELS)
def test_other_estimators(name, estimator):
    """Surrogates alone are the regression on surrogate labels."""
    names = settings_of(name)["both"]
    data = masked(corpus(600), names, 250).assign(count_llm=lambda d: d["count_llm"].round())
    with pytest.warns(NotValidWarning) if estimator == "surrogate" else nullcontext():
        fit = fitted(name, data, names, estimator=estimator, weights="v", compare=False, seed=1)
    assert np.isfinite(fit.se()).all()
    if estimator == "surrogate":
        named = data.assign(**{label: data[f"{label}_llm"] for label in names})
        alone = fitted(name, named, names[:1], design=1.0, weights="v", **QUICK)
        assert fit.theta == pytest.approx(alone.theta, rel=1e-7)


@pytest.mark.parametrize("name", MODELS)
def test_median_over_splits_and_two_ways_of_clustering(name):
    data = masked(corpus(600), ["hostile"], 200)
    fit = fitted(name, data, ["hostile"], combine="median", learner="linear", repeats=3, compare=False, seed=1)
    assert np.isfinite(fit.se()).all()
    data = data.assign(other=np.arange(600) % 23)
    fit = fitted(name, data, ["hostile"], cluster=["group", "other"], **QUICK)
    assert np.isfinite(fit.se()).all()


@pytest.mark.parametrize("name", MODELS)
def test_plans_multiverse_and_sensitivity(name, monkeypatch):
    refit = importlib.import_module("karat.planning.refit")
    outcome = MODELS[name]
    data = masked(corpus(600), [outcome], 200)
    fit = fitted(name, data, [outcome], design=kt.SimpleRandom(), **QUICK)
    seen, original = [], refit.regress
    monkeypatch.setattr(refit, "regress", lambda *a, **o: seen.append(o) or original(*a, **o))
    plan = kt.plan(fit, data, jackknife=10, seed=1)
    assert {options["model"] for options in seen} == {name}
    assert np.isfinite(plan.tidy().select_dtypes("number").to_numpy()).all()
    other = data[f"{outcome}_llm"].sample(frac=1.0, random_state=1).to_numpy()
    many = kt.multiverse(
        f"{outcome} ~ x + hostile", data.assign(other=other), surrogates={outcome: [f"{outcome}_llm", "other"]},
        model=name, learners=["linear"], together=False, repeats=1, seed=1,
    )  # fmt: skip
    assert many.results[0].title == fit.title
    full = corpus(300)
    sample = kt.SimpleRandom(n=120).draw(full, seed=1)
    answered = sample.labelled & (np.arange(300) % 12 > 0)
    terms = ["x", fit.names[-1]] if "ordered" in name else [fit.names[-1]]
    found = kt.sensitivity(
        model=name, formula=f"{outcome} ~ x", data=kt.datasets.mask_gold(full, answered, outcome),
        surrogates={outcome: f"{outcome}_llm"}, design=sample.design, terms=terms, **QUICK,
    )  # fmt: skip
    table = found.tidy()
    assert (table["Lowest"] <= table["Estimate"] + 1e-9).all()
    assert (table["Highest"] >= table["Estimate"] - 1e-9).all()


def test_plans_from_assumptions():
    data = corpus(400)
    options = {"surrogates": {"mood": "mood_llm"}, "accuracy": 0.8, "learner": None, "seed": 1, "model": "ordered"}
    plan = kt.plan("mood ~ x", data.drop(columns="mood"), **options)
    assert plan.names == ("x", "low|mid", "mid|high", "high|top")
    text = data.astype({"mood_llm": object})
    again = kt.plan(f"C(mood, levels={MOODS}) ~ x", text, **options)
    assert again.names == plan.names
    with pytest.raises(DataError, match=r"in a formula C\(mood, levels=\[...\]\)"):
        kt.plan("mood ~ x", text, **options)
    options = {"surrogates": {"hostile": "hostile_llm"}, "accuracy": 0.8, "learner": None, "seed": 1}
    plan = kt.plan("count ~ x + hostile", data, model="negative_binomial", **options)
    assert np.isfinite(plan.tidy().select_dtypes("number").to_numpy()).all()
    with pytest.raises(ArgumentError, match="cannot be simulated from r_squared"):
        kt.plan("count ~ x", data, model="negative_binomial", surrogates={"count": "count_llm"}, r_squared=0.6, seed=1)


@pytest.mark.parametrize("name", ["ordered", "negative_binomial"])
def test_bootstrap_debiases_them_as_any_estimator(name):
    outcome, model = MODELS[name], models.get(name)
    data = masked(corpus(300), [outcome], 120)

    def estimate(frame, weights):
        x, y = np.column_stack([np.ones(len(frame)), frame["x"]]), frame[outcome].to_numpy()
        if name == "ordered":
            y = np.eye(4)[frame[outcome].cat.codes, 1:]
        draw = Labelling(np.ones(len(x)), np.full(len(x), True), fixed_size=False)
        weights = None if weights is None else np.asarray(weights, dtype=float)
        theta = gold_estimate(model, AugmentedSample(Rows(x, y), Memory(), Units(draw, weights))).theta
        return pd.Series(theta, model.names(("Intercept", "x"), MOODS))

    found = kt.bootstrap(estimate, data, surrogates={outcome: f"{outcome}_llm"}, draws=50, seed=1)
    alone = fitted(name, data, [outcome], "x", **QUICK)
    assert found.names == alone.names
    assert (np.abs(found.theta - alone.theta) < 3 * alone.se().to_numpy()).all()


# ------------------------------------------------------------------ refusals


def test_what_an_order_is():
    data = masked(corpus(500), ["mood"], 200)
    surrogates = {"mood": "mood_llm"}
    text = data.astype({"mood": object, "mood_llm": object})
    wanted = kt.ordered("mood ~ x", data, surrogates=surrogates, **QUICK)
    for formula, options in (("mood ~ x", {"levels": MOODS}), (f"C(mood, levels={MOODS}) ~ x", {})):
        assert_same(wanted, kt.ordered(formula, text, surrogates=surrogates, **options, **QUICK))
    for odd in ("my mood", "my~mood"):
        quoted = text.rename(columns={"mood": odd})
        assert_same(wanted, kt.ordered(f"`{odd}` ~ x", quoted, surrogates={odd: "mood_llm"}, levels=MOODS, **QUICK))
    top = data.assign(mood=(data["mood"] == "top").where(data["mood"].notna()), mood_llm=data["mood_llm"] == "top")
    as_numbers = kt.ordered("mood ~ x", top.astype({"mood": float}), surrogates=surrogates, **QUICK)
    fit = kt.ordered("mood ~ x", top, surrogates=surrogates, levels=[False, True], **QUICK)
    np.testing.assert_allclose(fit.theta, as_numbers.theta)
    for taken, outcome, call in (("low|mid", "mood", kt.ordered), ("log(alpha)", "count", kt.negative_binomial)):
        named, labels = masked(corpus().rename(columns={"x": taken}), [outcome]), {outcome: f"{outcome}_llm"}
        with pytest.raises(FormulaError, match=r"two coefficients of .* would be called"):
            call(f"{outcome} ~ `{taken}`", named, surrogates=labels, **QUICK)
    numbers = data.assign(mood=data["mood"].cat.codes.where(data["mood"].notna()), mood_llm=data["mood_llm"].cat.codes)
    assert_same(wanted, kt.ordered("mood ~ x", numbers, surrogates=surrogates, **QUICK))
    assert_same(wanted, kt.ordered("mood ~ x", numbers, surrogates=surrogates, levels=np.arange(4), **QUICK))
    with pytest.raises(DataError, match=r"nothing says in which order.*give levels="):
        kt.ordered("mood ~ x", text, surrogates=surrogates, **QUICK)
    loose = data.assign(mood=data["mood"].cat.as_unordered())
    with pytest.raises(DataError, match="nothing says in which order"):
        kt.ordered("mood ~ x", loose, surrogates=surrogates, **QUICK)
    for levels, message in (
        (MOODS[:3], r"leaves out \['top'\]"), ([*MOODS, "low"], "twice"), ("low", "must list the classes"),
        (set(MOODS), "a set has no order"), (4, "must list the classes"), (dict.fromkeys(MOODS, 1), "must list"),
        ([["low", "mid"], ["high", "top"]], "not a class"), ([*MOODS, None], "holds None, which is not a class"),
        ([*MOODS, "best"], r"\['best'\] of the outcome 'mood' have no gold row|never occur in the surrogate"),
    ):  # fmt: skip
        with pytest.raises(kt.KaratError, match=message):
            kt.ordered("mood ~ x", text, surrogates=surrogates, levels=levels, **QUICK)
    with pytest.raises(ArgumentError, match="both name an order"):
        kt.ordered(f"C(mood, levels={MOODS}) ~ x", text, surrogates=surrogates, levels=MOODS, **QUICK)
    with pytest.raises(FormulaError, match="cut points in the place of an intercept"):
        kt.ordered("mood ~ 0 + x", data, surrogates=surrogates, **QUICK)
    with pytest.raises(FormulaError, match="no base"):
        kt.ordered("C(mood, contr.treatment('mid')) ~ x", data, surrogates=surrogates, **QUICK)
    with pytest.raises(ArgumentError, match="link"):
        kt.ordered("mood ~ x", data, surrogates=surrogates, link="cloglog", **QUICK)
    apart = data.assign(x=data["mood_llm"].cat.codes * 5.0, mood=data["mood_llm"].where(data["mood"].notna()))
    with pytest.raises(SeparationError, match="'x'"):
        kt.ordered("mood ~ x", apart, surrogates=surrogates, **QUICK)
    alone = kt.ordered("mood ~ 1", data, surrogates=surrogates, **QUICK)
    assert alone.names == ("low|mid", "mid|high", "high|top")


@pytest.mark.parametrize("name", MODELS)
def test_batches_give_the_numbers_of_the_table(name, tmp_path):
    table = masked(corpus(300), ["hostile"], 120)
    table.to_parquet(tmp_path / "corpus.parquet")
    options = {"design": kt.SimpleRandom(n=120), "learner": None, "seed": 1}
    one = fitted(name, table, ["hostile"], **options)
    two = fitted(name, kt.Batches(tmp_path / "corpus.parquet", rows=90), ["hostile"], **options)
    np.testing.assert_allclose(two.theta, one.theta, rtol=1e-8)
    np.testing.assert_allclose(two.covariance, one.covariance, rtol=1e-7)


def test_what_counts_are():
    data = masked(corpus(500), ["count"], 200)
    surrogates = {"count": "count_llm"}
    with pytest.raises(DataError, match=r"must hold counts.*kt\.poisson"):
        kt.negative_binomial("count ~ x", data.assign(count=data["count"] + 0.5), surrogates=surrogates, **QUICK)
    with pytest.raises(DataError, match="such as -"):
        kt.negative_binomial("count ~ x", data.assign(count=-data["count"]), surrogates=surrogates, **QUICK)
    rng = np.random.default_rng(1)
    even = data.assign(count=rng.binomial(6, expit(data["x"])).astype(float)).where(data["count"].notna(), data)
    with pytest.raises(ConvergenceError, match=r"no more than those of a Poisson.*kt\.poisson"):
        kt.negative_binomial("count ~ x", even, surrogates=surrogates, **QUICK)
    wild = data.assign(count_llm=data["count_llm"] - 3.0)
    floor = data.assign(count_llm=(data["count_llm"] - 3.0).clip(lower=0.0))
    assert_same(*(kt.negative_binomial("count ~ x", d, surrogates=surrogates, **QUICK) for d in (wild, floor)))
    without = kt.negative_binomial("count ~ 0 + x + C(hostile)", data, surrogates=surrogates, tuning=None, **QUICK)
    within = kt.negative_binomial("count ~ x + hostile", data, surrogates=surrogates, tuning=None, **QUICK)
    assert without.names[-1] == "log(alpha)"
    assert without.theta[-1] == pytest.approx(within.theta[-1])
    assert without.se().iloc[-1] == pytest.approx(within.se().iloc[-1])


def test_a_step_that_would_disorder_cut_points_leaves_gold_alone(monkeypatch):
    """Gold alone is reported, and said, where no weight of the surrogates gives a solution."""
    data = masked(corpus(500), ["mood"], 200)
    model = models.get("ordered")
    wanted = kt.ordered("mood ~ x", data, surrogates={"mood": "mood_llm"}, estimator="gold", **QUICK)
    seen = itertools.count()
    monkeypatch.setattr(type(model), "astray", lambda self, constants: "" if next(seen) < 2 else "out of order")
    with pytest.warns(kt.errors.SolverWarning, match="gold alone is reported"):
        fit = kt.ordered("mood ~ x", data, surrogates={"mood": "mood_llm"}, **QUICK)
    assert fit.theta == pytest.approx(wanted.theta)
    assert set(fit.choice) == {"gold"}
