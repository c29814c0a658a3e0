"""Multinomial logit: against statsmodels, against kt.logit, against a plain second implementation, and invariances."""

import itertools
from contextlib import nullcontext

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st

import karat as kt
from karat import moments as models
from karat.designs import Labelling
from karat.errors import ArgumentError, DataError, FormulaError, NotValidWarning, SeparationError
from karat.estimate import index
from karat.estimate.augment import AugmentedSample, Units
from karat.estimate.basis import on_gold_basis
from karat.estimate.influence import linear_at_root
from karat.estimate.rectify import gold_estimate, rectify
from karat.estimate.root import newton
from karat.estimate.rows import Memory, Rows
from karat.estimate.totals import Moments

TOPICS, TONES = np.array(["economy", "law", "war"]), np.array(["negative", "neutral", "positive"])
QUICK = {"learner": None, "compare": False, "seed": 1}


def corpus(n=1500, seed=0):
    rng = np.random.default_rng(seed)
    x, z, tone = rng.normal(size=n), rng.normal(size=n), rng.choice(TONES, n, p=[0.3, 0.4, 0.3])
    eta = np.column_stack([np.zeros(n), 0.3 + 0.5 * x - 0.4 * z, -0.2 - 0.6 * x + 0.5 * (tone == "negative")])
    topic = TOPICS[(eta + rng.gumbel(size=(n, 3))).argmax(axis=1)]
    frame = pd.DataFrame({"x": x, "z": z, "topic": topic, "tone": tone, "group": rng.integers(0, 40, n)})
    for name, classes in (("topic", TOPICS), ("tone", TONES)):
        frame[f"{name}_llm"] = np.where(rng.random(n) < 0.75, frame[name], rng.choice(classes, n))
    frame["v"] = rng.uniform(0.5, 2.0, n)
    return frame


def masked(frame, names, n=350, seed=3):
    sample = kt.SimpleRandom(n=n).draw(frame, seed=seed)
    return kt.datasets.mask_gold(frame, sample, list(names))


SETTINGS = {
    "outcome": ("topic ~ x + z", {"topic": "topic_llm"}),
    "covariate": ("topic ~ x + tone", {"tone": "tone_llm"}),
    "both": ("topic ~ x + tone", {"topic": "topic_llm", "tone": "tone_llm"}),
}


# ------------------------------------------------------------------ all rows gold


@pytest.fixture(scope="module")
def mnlogit():
    data = corpus()
    exog = sm.add_constant(data[["x", "z"]])
    code = data["topic"].map({t: k for k, t in enumerate(TOPICS)})
    model = sm.MNLogit(code, exog)
    return data, model, {"method": "newton", "disp": 0, "maxiter": 100, "tol": 1e-14}


@pytest.mark.parametrize("kind", ["HC0", "HC1"])
def test_all_gold_equals_statsmodels(mnlogit, kind):
    data, model, options = mnlogit
    fit = kt.multinomial("topic ~ x + z", data, surrogates={"topic": "topic_llm"}, design=1.0, vcov=kind, **QUICK)
    theirs = model.fit(cov_type=kind, **options)
    assert fit.names == (
        "law: Intercept", "law: x", "law: z", "war: Intercept", "war: x", "war: z",
    )  # fmt: skip
    assert fit.theta == pytest.approx(theirs.params.to_numpy().T.ravel(), rel=1e-8)
    # statsmodels has no factor for MNLogit, whatever is asked for; here it counts all coefficients
    factor = len(data) / (len(data) - 6) if kind == "HC1" else 1.0
    assert fit.covariance == pytest.approx(theirs.cov_params().to_numpy() * factor, rel=1e-8)


def test_all_gold_clustered_equals_statsmodels(mnlogit):
    data, model, options = mnlogit
    fit = kt.multinomial(
        "topic ~ x + z", data, surrogates={"topic": "topic_llm"}, design=1.0, vcov={"CRV1": "group"}, **QUICK
    )
    theirs = model.fit(cov_type="cluster", cov_kwds={"groups": data["group"]}, **options)
    assert fit.theta == pytest.approx(theirs.params.to_numpy().T.ravel(), rel=1e-8)
    assert fit.covariance == pytest.approx(theirs.cov_params().to_numpy(), rel=1e-8)


def test_all_gold_sandwich_from_scores_of_statsmodels(mnlogit):
    """The sandwich written out."""
    data, model, options = mnlogit
    fit = kt.multinomial(
        "topic ~ x + z", data, surrogates={"topic": "topic_llm"}, design=1.0, vcov={"CRV0": "group"}, **QUICK
    )
    params = model.fit(**options).params.to_numpy()
    bread = np.linalg.inv(-model.hessian(params))
    psi = model.score_obs(params.ravel(order="F")) @ bread
    totals = pd.DataFrame(psi).groupby(data["group"].to_numpy()).sum().to_numpy()
    assert fit.covariance == pytest.approx(totals.T @ totals, rel=1e-7)


def test_hc3_leaves_each_unit_out():
    """HC3 with all rows gold: scores at the root without the unit, the root moved by one Newton step."""
    data = corpus(120, seed=5)
    fit = kt.multinomial("topic ~ x", data, surrogates={"topic": "topic_llm"}, design=1.0, vcov="HC3", **QUICK)
    x = np.column_stack([np.ones(len(data)), data["x"]])
    y = (data["topic"].to_numpy()[:, None] == TOPICS[1:]).astype(float)
    a, m, own = np.zeros((4, 4)), [], []
    for row, shares in zip(x, y):
        s, c = plain_factor(fit.theta.reshape(2, 2) @ row, shares)
        m.append(np.kron(s, row))
        own.append(np.kron(c, np.outer(row, row)))
        a += own[-1]
    moved = np.array([s + c @ np.linalg.solve(a - c, s) for s, c in zip(m, own)]) @ np.linalg.inv(a)
    assert fit.covariance == pytest.approx(moved.T @ moved, rel=1e-9)


# ------------------------------------------------------------------ two classes


@pytest.mark.filterwarnings("ignore:the surrogates make standard errors larger")
@pytest.mark.parametrize(
    ("vcov", "tuning"),
    [("HC0", "auto"), ("HC1", None), ("HC2", "scalar"), ("HC3", "coefficient"), ("HC3", "full"), ("HC3", "auto"),
     ({"CRV0": "group"}, "full"), ({"CRV1": "group"}, None), ({"CRV2": "group"}, "coefficient"),
     ({"CRV3": "group"}, "auto")],
)  # fmt: skip
def test_two_classes_are_the_logit(vcov, tuning):
    data = corpus(800, seed=2)
    for name in ("topic", "topic_llm"):
        data[name] = (data[name] == "war").astype(float)
    data = masked(data, ["topic"], 200)
    options = {**QUICK, "compare": True, "surrogates": {"topic": "topic_llm"}, "vcov": vcov, "tuning": tuning}
    ours, theirs = (f("topic ~ x + z", data, **options) for f in (kt.multinomial, kt.logit))
    assert ours.names == tuple(f"1: {name}" for name in theirs.names)
    assert ours.theta == pytest.approx(theirs.theta, rel=1e-10)
    assert ours.covariance == pytest.approx(theirs.covariance, rel=1e-10)
    assert ours.df == pytest.approx(theirs.df, rel=1e-8)
    assert np.asarray(ours.compare()) == pytest.approx(np.asarray(theirs.compare()), rel=1e-9)
    new = data[["x", "z"]].head(5)
    ours, theirs = ours.predict(new), theirs.predict(new)
    for figure in theirs:
        assert ours[figure][1].to_numpy() == pytest.approx(theirs[figure].to_numpy(), rel=1e-9)


@pytest.mark.parametrize("estimator", ["dsl", "ppi", "gold", "surrogate"])
@pytest.mark.parametrize("weights", [None, "v"])
def test_two_classes_are_the_logit_for_every_estimator(estimator, weights):
    data = corpus(800, seed=2)
    for name in ("topic", "topic_llm"):
        data[name] = (data[name] == "war").astype(float)
    data = masked(data, ["topic", "tone"], 200)
    surrogates = {"topic": "topic_llm", "tone": "tone_llm"}
    options = {"surrogates": surrogates, "estimator": estimator, "weights": weights, "repeats": 1, "seed": 4}
    with pytest.warns(NotValidWarning) if estimator == "surrogate" else nullcontext():
        ours, theirs = (f("topic ~ x + tone", data, **options) for f in (kt.multinomial, kt.logit))
    assert ours.theta == pytest.approx(theirs.theta, rel=1e-10)
    assert ours.covariance == pytest.approx(theirs.covariance, rel=1e-10)


# ------------------------------------------------------------------ a second implementation


def plain_factor(eta, y):
    """Score factors and curvature of one row, from the definition."""
    odds = np.exp(np.concatenate([[0.0], eta]))
    mu = (odds / odds.sum())[1:]
    return y - mu, np.diag(mu) - np.outer(mu, mu)


def plain_moment(theta, rows):
    """Average over the class combinations of a unit: rows of (share, x, class)."""
    total, slope = np.zeros(len(theta)), np.zeros((len(theta), len(theta)))
    for share, x, k in rows:
        s, c = plain_factor(theta.reshape(2, -1) @ x, np.eye(3)[k, 1:])
        total += share * np.kron(s, x)
        slope += share * np.kron(c, np.outer(x, x))
    return total, slope


def plain_fit(units):
    """Root of ``sum w m - (w - 1) h`` and its HC0 covariance under Bernoulli draws (methods, sections 1 and 4)."""
    q = 2 * len(units[0][1][0][1])
    theta = np.zeros(q)
    for step in range(25):
        total, slope = np.zeros(q), np.zeros((q, q))
        for gold, predicted, pi in units:
            w = 0.0 if gold is None else 1.0 / pi
            parts = [(w, gold)] if gold is not None else []
            if step >= 12:
                parts.append((1.0 - w, predicted))
            for weight, rows in parts:
                m, a = plain_moment(theta, rows)
                total, slope = total + weight * m, slope + weight * a
        theta = theta + np.linalg.solve(slope, total)
    inverse, influence, labelling = np.linalg.inv(slope), [], np.zeros((q, q))
    for gold, predicted, pi in units:
        h = inverse @ plain_moment(theta, predicted)[0]
        if gold is None:
            influence.append(h)
            continue
        e = inverse @ plain_moment(theta, gold)[0] - h
        influence.append(h + e / pi)
        labelling += (1 - pi) / pi**2 * np.outer(e, e)
    influence = np.array(influence)
    return theta, influence.T @ influence, labelling


@pytest.mark.parametrize("labelled", ["outcome", "covariate", "both"])
def test_rectified_estimate_and_covariance_by_hand(labelled):
    data = corpus(130, seed=8)
    pi = 0.6
    sample = kt.Bernoulli(pi).draw(data, seed=2)
    formula, surrogates = SETTINGS[labelled]
    held = kt.datasets.mask_gold(data, sample, list(surrogates))
    rng = np.random.default_rng(1)
    guess = {}
    for name, classes in (("topic", TOPICS), ("tone", TONES)):
        hard = (data[f"{name}_llm"].to_numpy()[:, None] == classes).astype(float)
        guess[name] = 0.7 * hard + 0.3 * rng.dirichlet(np.ones(3), len(data))
    fit = kt.multinomial(
        formula, held, surrogates={name: guess[name] for name in surrogates}, design=sample.design, tuning=None,
        vcov="HC0", **QUICK,
    )  # fmt: skip
    units = []
    for i, row in data.iterrows():

        def design(tone, row=row):
            more = [row["z"]] if labelled == "outcome" else [float(tone == 1), float(tone == 2)]
            return np.array([1.0, row["x"], *more])

        truth = (list(TONES).index(row["tone"]), list(TOPICS).index(row["topic"]))
        shares = [
            [(guess[name][i, k], k) for k in range(3)] if name in surrogates else [(1.0, known)]
            for name, known in zip(("tone", "topic"), truth)
        ]
        predicted = [(p * q, design(a), b) for (p, a), (q, b) in itertools.product(*shares)]
        drawn = held[next(iter(surrogates))].notna()[i]
        units.append(([(1.0, design(truth[0]), truth[1])] if drawn else None, predicted, pi))
    theta, total, labelling = plain_fit(units)
    assert fit.theta == pytest.approx(theta, rel=1e-8, abs=1e-10)
    assert fit.labelling_covariance == pytest.approx(labelling, rel=1e-7, abs=1e-12)
    assert fit.covariance == pytest.approx(total, rel=1e-7, abs=1e-12)


def test_left_out_scores_by_brute_force():
    """What HC3 takes: moments and errors of a unit where the equation without it has its root, to first order."""
    data = masked(corpus(160, seed=4), ["topic"], 60)
    fit = kt.multinomial("topic ~ x", data, surrogates={"topic": "topic_llm"}, tuning=None, vcov="HC0",
                         design=kt.Bernoulli(60 / 160), scores=True, **QUICK)  # fmt: skip
    y = (data["topic"].to_numpy()[:, None] == TOPICS[1:]).astype(float)
    h = (data["topic_llm"].to_numpy()[:, None] == TOPICS[1:]).astype(float)
    x = np.column_stack([np.ones(len(data)), data["x"]])
    gold = data["topic"].notna().to_numpy()
    labelling = fit.parts.units.labelling
    sample = AugmentedSample(Rows(x[gold], y[gold]), Memory((Rows(x, h),)), Units(labelling))
    estimate = rectify(models.get("multinomial"), sample, None, False)
    assert estimate.theta == pytest.approx(fit.theta, rel=1e-10)
    a, w = estimate.curvature, labelling.weight
    wanted = []
    for row, at_gold, at_h, weight in zip(x[gold], y[gold], h[gold], w):
        s, c = plain_factor(fit.theta.reshape(2, 2) @ row, at_gold)
        m, own = np.kron(s, row), np.kron(c, np.outer(row, row))
        phi = weight * m + (1 - weight) * np.kron(at_h - at_gold + s, row)
        wanted.append(m + own @ np.linalg.solve(a - own, phi))
    # moments are calibrated to all units afterwards; without that they are these
    model = models.get("multinomial")
    moments = Moments.of(model, on_gold_basis(model, sample))
    root = newton(moments.rectified(None), fit.theta, a)
    found = linear_at_root(moments, root).left_out_m
    assert found == pytest.approx(np.array(wanted) @ np.linalg.inv(a), rel=1e-6, abs=1e-10)


# ------------------------------------------------------------------ kernels


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 4), st.integers(1, 4), st.integers(0, 10**6))
def test_kernels_are_the_kronecker_products(n_predictors, p, seed):
    rng = np.random.default_rng(seed)
    x, s, u = rng.normal(size=(5, p)), rng.normal(size=(5, n_predictors)), rng.normal(size=n_predictors * p)
    half = rng.normal(size=(5, n_predictors, n_predictors))
    c = half @ half.transpose(0, 2, 1)
    flat = (s[:, 0], c[:, 0, 0]) if n_predictors == 1 else (s, c)
    phi = np.array([np.kron(a, b) for a, b in zip(s, x)])
    own = np.array([np.kron(a, np.outer(b, b)) for a, b in zip(c, x)])
    assert index.scores(x, flat[0]) == pytest.approx(phi)
    assert index.total(x, flat[0]) == pytest.approx(phi.sum(axis=0))
    assert index.own(x, flat[1]) == pytest.approx(own)
    assert index.gram(x, flat[1]) == pytest.approx(own.sum(axis=0))
    assert index.quadratic(x, flat[1], u) == pytest.approx(np.einsum("a,mab,b->m", u, own, u))
    each = rng.normal(size=phi.shape)
    assert index.times(x, flat[1], each) == pytest.approx(np.einsum("mab,mb->ma", own, each))
    sums = np.zeros((2, *own.shape[1:]))
    index.add_by_cluster(sums, x, flat[1], np.array([0, 1, 0, 1, 1]))
    assert sums == pytest.approx(np.array([own[[0, 2]].sum(axis=0), own[[1, 3, 4]].sum(axis=0)]))
    inverse = np.linalg.inv(own.sum(axis=0) + np.eye(len(u)))
    share = index.leverage(inverse, [x], [flat[1]], phi)
    psi = phi @ inverse
    assert share == pytest.approx(np.einsum("ma,mab,mb->m", psi, own, psi) / np.einsum("ma,ma->m", psi, phi))


@given(st.lists(st.floats(-30, 30), min_size=2, max_size=4), st.integers(0, 4))
def test_curvature_and_mean_are_derivatives(eta, k):
    model, step = models.get("multinomial"), 1e-5
    eta = np.array([eta])
    y = np.eye(eta.shape[1] + 1)[[min(k, eta.shape[1])], 1:]
    _, curvature = model.evaluate(eta, y)
    p, slope = model.mean(eta)
    assert p.sum() == pytest.approx(1.0)
    for j in range(eta.shape[1]):
        shift = step * np.eye(eta.shape[1])[[j]]
        up, down = model.evaluate(eta + shift, y)[0], model.evaluate(eta - shift, y)[0]
        assert curvature[0, :, j] == pytest.approx((down - up)[0] / (2 * step), rel=1e-4, abs=1e-8)
        assert slope[0, :, j] == pytest.approx(
            (model.mean(eta + shift)[0] - model.mean(eta - shift)[0])[0] / (2 * step), rel=1e-4, abs=1e-8
        )
    assert model.evaluate(eta, p[:, 1:])[0] == pytest.approx(0.0, abs=1e-12)
    far = model.evaluate(np.array([[800.0, -800.0]]), np.array([[0.0, 1.0]]))
    assert all(np.isfinite(part).all() for part in far)


# ------------------------------------------------------------------ invariances


@pytest.mark.parametrize("labelled", SETTINGS)
def test_order_of_rows(labelled):
    formula, surrogates = SETTINGS[labelled]
    data = masked(corpus(700), surrogates, 250)
    order = np.random.default_rng(0).permutation(len(data))
    one, two = (
        kt.multinomial(formula, frame, surrogates=surrogates, repeats=1, seed=2)
        for frame in (data, data.iloc[order].reset_index(drop=True))
    )
    assert two.theta == pytest.approx(one.theta, rel=1e-9)
    assert two.covariance == pytest.approx(one.covariance, rel=1e-8)


@pytest.mark.parametrize(
    ("labelled", "vcov"),
    [("outcome", "HC0"), ("covariate", "HC3"), ("both", "HC3"), ("outcome", {"CRV3": "group"}),
     ("covariate", {"CRV1": "group"})],
)  # fmt: skip
def test_base_category(labelled, vcov):
    """Another base is another way to write the same: probabilities stay, coefficients and covariance follow.

    With clusters only where the population part needs no projection, which is made coefficient by coefficient.
    """
    formula, surrogates = SETTINGS[labelled]
    data = masked(corpus(700), surrogates, 250)
    one, two = (
        kt.multinomial(formula, data, surrogates=surrogates, base=base, tuning=None, vcov=vcov, **QUICK)
        for base in (None, "law")
    )
    assert [name.split(":")[0] for name in two.names[:: len(two.names) // 2]] == ["economy", "war"]
    change = np.kron(np.array([[-1.0, 0.0], [-1.0, 1.0]]), np.eye(len(one.theta) // 2))
    assert two.theta == pytest.approx(change @ one.theta, rel=1e-8, abs=1e-9)
    assert two.covariance == pytest.approx(change @ one.covariance @ change.T, rel=1e-6, abs=1e-10)
    new = data[["x", "z"]].assign(tone=corpus(700)["tone"]).head(4)
    p, again = one.predict(new), two.predict(new)
    for figure in ("fit", "se"):
        assert again[figure][list(TOPICS)].to_numpy() == pytest.approx(p[figure].to_numpy(), rel=1e-7)


def test_covariates_far_from_zero():
    """The well-conditioned coordinates are used for each predictor."""
    data = masked(corpus(800), ["topic"], 250)
    options = {"surrogates": {"topic": "topic_llm"}, "tuning": None, **QUICK}
    near = kt.multinomial("topic ~ x", data, **options)
    far = kt.multinomial("topic ~ x", data.assign(x=data["x"] + 1e5), **options)
    assert far.theta[[1, 3]] == pytest.approx(near.theta[[1, 3]], rel=1e-6)
    assert far.se().to_numpy()[[1, 3]] == pytest.approx(near.se().to_numpy()[[1, 3]], rel=1e-5)


@pytest.mark.parametrize("labelled", ["outcome", "both"])
def test_base_of_cross_fitted_predictions(labelled):
    """With a learner the classes are learnt alike whatever the base is."""
    formula, surrogates = SETTINGS[labelled]
    data = masked(corpus(700), surrogates, 250)
    one, two = (
        kt.multinomial(formula, data, surrogates=surrogates, base=base, tuning=None, learner="linear", repeats=1,
                       compare=False, seed=5)
        for base in (None, "war")
    )  # fmt: skip
    p = len(one.theta) // 2
    assert two.theta[:p] == pytest.approx(-one.theta[p:], rel=1e-6, abs=1e-8)
    assert two.theta[p:] == pytest.approx(one.theta[:p] - one.theta[p:], rel=1e-6, abs=1e-8)


# ------------------------------------------------------------------ outcomes of any kind


@pytest.mark.parametrize("kind", ["categorical", "ordered", "whole numbers", "C()", "polars enum", "pyarrow"])
def test_outcomes_of_any_kind(kind):
    data = masked(corpus(700), ["topic"], 250)
    plain = kt.multinomial("topic ~ x", data, surrogates={"topic": "topic_llm"}, **QUICK)
    formula, names = "topic ~ x", ["topic", "topic_llm"]
    if kind in ("categorical", "ordered"):
        kind_of = pd.CategoricalDtype(list(TOPICS), ordered=kind == "ordered")
        data = data.assign(**{name: data[name].astype(kind_of) for name in names})
    elif kind in ("whole numbers", "C()"):
        numbers = {value: k + 1 for k, value in enumerate(TOPICS)}
        data = data.assign(**{name: data[name].map(numbers) for name in names})
        formula = "C(topic) ~ x" if kind == "C()" else formula
    elif kind == "polars enum":
        pl = pytest.importorskip("polars")
        data = pl.from_pandas(data).with_columns(pl.col(names).cast(pl.Enum(list(TOPICS))))
    else:
        pa = pytest.importorskip("pyarrow")
        data = pa.Table.from_pandas(data)
    fit = kt.multinomial(formula, data, surrogates={"topic": "topic_llm"}, **QUICK)
    assert fit.theta == pytest.approx(plain.theta, rel=1e-9)
    assert fit.covariance == pytest.approx(plain.covariance, rel=1e-9)
    if kind in ("whole numbers", "C()"):
        assert fit.names[0] == "2: Intercept"


def test_order_of_categories_gives_the_base():
    data = masked(corpus(700), ["topic"], 250)
    kind_of = pd.CategoricalDtype(["war", "law", "economy"], ordered=True)
    data = data.assign(**{name: data[name].astype(kind_of) for name in ("topic", "topic_llm")})
    fit = kt.multinomial("topic ~ x", data, surrogates={"topic": "topic_llm"}, **QUICK)
    assert fit.names[0] == "law: Intercept"
    assert "base 'war'" in fit.title


def test_quoted_outcome_and_regress():
    data = masked(corpus(700), ["topic"], 250)
    plain = kt.regress("topic ~ x", data, model="multinomial", surrogates={"topic": "topic_llm"}, **QUICK)
    other = data.rename(columns={"topic": "my topic", "topic_llm": "my label"})
    for base in (None, "economy"):
        fit = kt.multinomial("`my topic` ~ x", other, surrogates={"my topic": "my label"}, base=base, **QUICK)
        assert fit.theta == pytest.approx(plain.theta, rel=1e-10)


# ------------------------------------------------------------------ everything a Result does


def test_what_a_result_does():
    formula, surrogates = SETTINGS["both"]
    data = masked(corpus(1200), surrogates, 350)
    fit = kt.multinomial(formula, data, surrogates=surrogates, design=kt.SimpleRandom(), repeats=2, seed=1)
    assert "war: tone[T.positive]" in str(fit.summary())
    assert list(fit.tidy("broom")["term"]) == list(fit.names)
    assert 0 <= fit.wald(["law: x = 0", "war: x = 0"]).p_value <= 1
    assert fit.contrast("war: x - law: x").shape[0] == 1
    assert fit.simultaneous(draws=200, seed=1).shape[0] == len(fit.names)
    assert kt.Result.from_json(fit.to_json()).theta == pytest.approx(fit.theta)
    assert fit.with_vcov("HC1").theta == pytest.approx(fit.theta)
    assert (fit - fit).theta == pytest.approx(np.zeros(len(fit.names)))
    assert fit.to_latex()
    assert str(kt.diagnose(fit))
    p = fit.predict(data.assign(tone=corpus(1200)["tone"]).head(6))
    assert p["fit"].sum(axis=1).to_numpy() == pytest.approx(np.ones(6))
    assert ((p["2.5%"] < p["fit"]) & (p["fit"] < p["97.5%"])).to_numpy().all()


def test_predicted_probabilities_have_the_standard_errors_of_the_delta_method():
    data = masked(corpus(700), ["topic"], 250)
    fit = kt.multinomial("topic ~ x", data, surrogates={"topic": "topic_llm"}, **QUICK)
    found = fit.predict(pd.DataFrame({"x": [0.7]}))

    def probabilities(theta):
        odds = np.exp(np.concatenate([[0.0], theta.reshape(2, 2) @ [1.0, 0.7]]))
        return odds / odds.sum()

    wanted = fit.delta(probabilities)
    assert found["fit"].to_numpy()[0] == pytest.approx(wanted["Estimate"].to_numpy(), rel=1e-9)
    assert found["se"].to_numpy()[0] == pytest.approx(wanted["Std. Error"].to_numpy(), rel=1e-5)


def test_plain_gold_estimate_weighs_by_inverse_probabilities():
    data = corpus(600)
    x, y = np.column_stack([np.ones(600), data["x"]]), (data["topic"].to_numpy()[:, None] == TOPICS[1:]) * 1.0
    twice = np.repeat(np.arange(600), 2)

    def fit(rows, weights):
        draw = Labelling(np.full(len(rows), 1.0), np.full(len(rows), True), fixed_size=False)
        return gold_estimate(
            models.get("multinomial"), AugmentedSample(Rows(x[rows], y[rows]), Memory(), Units(draw, weights))
        ).theta

    assert fit(np.arange(600), np.full(600, 2.0)) == pytest.approx(fit(twice, None), rel=1e-10)


# ------------------------------------------------------------------ refusals


def test_refusals():
    data = masked(corpus(500), ["topic"], 200)
    surrogates = {"topic": "topic_llm"}

    def fit(formula="topic ~ x", frame=data, **options):
        return kt.multinomial(formula, frame, surrogates=surrogates, **{**QUICK, **options})

    with pytest.raises(FormulaError, match=r"offset\(\).*one linear predictor for each class"):
        fit("topic ~ x + offset(z)")
    with pytest.raises(FormulaError, match="must be a column of categories"):
        fit("I(topic == 'war') ~ x")
    with pytest.raises(ArgumentError, match=r"base='tax' is not a class.*economy"):
        fit(base="tax")
    with pytest.raises(ArgumentError, match="both name a base"):
        fit("C(topic, contr.treatment('law')) ~ x", base="war")
    rare = masked(corpus(500), ["tone"], 200)
    rare.loc[rare.index[rare["tone"].isna()][:5], "topic"] = "tax"
    with pytest.raises(DataError, match=r"\['tax'\] of the outcome 'topic' have no gold row"):
        kt.multinomial("topic ~ tone", rare, surrogates={"tone": "tone_llm"}, **QUICK)
    with pytest.raises(kt.KaratError, match="log odds of classes"):
        fit().as_means()
    with pytest.raises(DataError, match="fractions"):
        kt.multinomial("v ~ x", data, surrogates={"v": "z"}, **QUICK)
    with pytest.raises(DataError, match="only the class"):
        fit(frame=data.assign(topic=np.where(data["topic"].notna(), "war", None), topic_llm="war"))
    apart = data.assign(x=np.where(data["topic"] == "war", 5.0, 0.0) + 0.01 * data["x"])
    with pytest.raises(SeparationError, match=r"'x'|'Intercept'"):
        fit(frame=apart)
    with pytest.raises(FormulaError, match=r"kt\.multinomial"):
        kt.logit("topic ~ x", data, surrogates=surrogates, **QUICK)
