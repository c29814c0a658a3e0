"""Beta regression: against statsmodels and by hand; invariances; what is refused."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import betaln
from statsmodels.othermod.betareg import BetaModel

import karat as kt
from karat import moments as models
from karat.errors import ArgumentError, ConvergenceError, DataError

QUICK = {"learner": None, "compare": False, "seed": 1}
pytestmark = pytest.mark.filterwarnings("ignore:the surrogates make standard errors larger")


def corpus(n=1000, seed=0, phi=8.0):
    rng = np.random.default_rng(seed)
    x, hostile = rng.normal(size=n), (rng.random(n) < 0.4).astype(float)
    mu = 1 / (1 + np.exp(-(0.2 + 0.5 * x - 0.4 * hostile)))
    frame = pd.DataFrame({"x": x, "hostile": hostile, "v": rng.uniform(0.5, 2, n), "group": rng.integers(0, 40, n)})
    frame["share"] = np.clip(rng.beta(mu * phi, (1 - mu) * phi), 1e-4, 1 - 1e-4)
    frame["share_llm"] = np.clip(frame["share"] + 0.15 * rng.normal(size=n), 0, 1)
    frame["hostile_llm"] = np.where(rng.random(n) < 0.2, 1 - hostile, hostile)
    return frame


def masked(names=("share",), n=300, **how):
    frame = corpus(**how)
    return kt.datasets.mask_gold(frame, kt.SimpleRandom(n=n).draw(frame, seed=3), list(names))


@pytest.mark.parametrize("kind", ["HC0", "CRV0"])
def test_all_gold_equals_statsmodels(kind):
    data = corpus()
    design = sm.add_constant(data[["x", "hostile"]])
    model = BetaModel(data["share"], design)
    theirs = model.fit(disp=0, method="newton", maxiter=200)
    theta = np.asarray(theirs.params)
    score = model.score_obs(theta)
    if kind == "CRV0":
        score = pd.DataFrame(score).groupby(data["group"]).sum().to_numpy()
    bread = np.linalg.inv(-model.hessian(theta, observed=True))
    fit = kt.beta(
        "share ~ x + hostile", data, surrogates={"share": "share_llm"}, seed=1,
        vcov=kind if kind == "HC0" else {kind: "group"},
    )  # fmt: skip
    np.testing.assert_allclose(fit.theta, theta, atol=1e-6)
    np.testing.assert_allclose(fit.covariance, bread @ score.T @ score @ bread, rtol=1e-5, atol=1e-9)


@settings(max_examples=30, deadline=None)
@given(st.floats(-3, 3), st.floats(-2, 5), st.floats(0.01, 0.99))
def test_score_and_curvature_are_derivatives(eta, log_phi, y):
    model, y = models.get("beta"), np.array([y])

    def log_density(at):
        mu, phi = 1 / (1 + np.exp(-at[0])), np.exp(at[1])
        a, b = mu * phi, (1 - mu) * phi
        return float(((a - 1) * np.log(y) + (b - 1) * np.log1p(-y) - betaln(a, b))[0])

    at, h = np.array([eta, log_phi]), 1e-5
    score, curvature = model.evaluate(at[None, :], y)
    slopes = [(log_density(at + step) - log_density(at - step)) / (2 * h) for step in h * np.eye(2)]
    np.testing.assert_allclose(score[0], slopes, rtol=1e-4, atol=1e-5)
    bends = [
        (model.evaluate((at - step)[None, :], y)[0][0] - model.evaluate((at + step)[None, :], y)[0][0]) / (2 * h)
        for step in h * np.eye(2)
    ]
    np.testing.assert_allclose(curvature[0], bends, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("labelled", [("share",), ("hostile",), ("share", "hostile")])
def test_rectified_moment_is_zero_at_weight_one(labelled):
    data = masked(labelled)
    surrogates = {name: f"{name}_llm" for name in labelled}
    options = {"surrogates": surrogates, "tuning": None, "imputation": "value", **QUICK}
    fit = kt.beta("share ~ x + hostile", data, **options)
    gold = data[labelled[0]].notna().to_numpy()
    y = corpus()["share"].to_numpy()
    edge = min(y[gold].min(), 1 - y[gold].max()) / 2
    model, w = models.get("beta", {"edge": edge}), len(data) / gold.sum()

    def total(frame, weight):
        x = np.column_stack([np.ones(len(frame)), frame["x"], frame["hostile"]])
        s, _ = model.evaluate(
            np.column_stack([x @ fit.theta[:3], np.full(len(x), fit.theta[3])]), frame["share"].to_numpy()
        )
        return np.r_[(weight * s[:, 0]) @ x, weight @ s[:, 1]]

    whole = corpus()
    predicted = whole.assign(**{name: whole[f"{name}_llm"] for name in labelled})
    found = total(predicted, np.where(gold, 1 - w, 1.0)) + total(whole, np.where(gold, w, 0.0))
    assert np.abs(found).max() < 1e-6 * len(data)
    again = kt.beta("share ~ x + hostile", data, edge=edge, **options)
    np.testing.assert_allclose(again.theta, fit.theta, rtol=1e-9)


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 100))
def test_the_other_way_round_and_the_order_of_rows(seed):
    data = masked(seed=seed, n=250)
    turned = data.assign(share=1 - data["share"], share_llm=1 - data["share_llm"]).sample(frac=1, random_state=seed)
    one, other = (kt.beta("share ~ x", d, surrogates={"share": "share_llm"}, **QUICK) for d in (data, turned))
    np.testing.assert_allclose(one.theta * [-1, -1, 1], other.theta, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(one.se(), other.se(), rtol=1e-6)


def test_what_a_result_does():
    data = masked()
    fit = kt.beta("share ~ x + hostile", data, surrogates={"share": "share_llm"}, seed=1, repeats=1, learner="linear")
    assert fit.names == ("Intercept", "x", "hostile", "log(phi)")
    assert "Precision phi" in str(fit)
    assert fit.ratios().names == ("Intercept", "x", "hostile")
    assert [column.title for column in fit.compare().columns] == ["Surrogate only", "Gold only", "DSL"]
    mean = kt.predictions(fit, data)
    assert mean.theta[0] == pytest.approx(corpus()["share"].mean(), abs=0.03)
    assert np.isfinite(kt.slopes(fit, data).se()).all()
    expected = np.asarray(fit.predict(data.assign(hostile=1.0)))
    assert ((expected > 0) & (expected < 1)).all()
    linear = kt.fractional("share ~ x + hostile", data, surrogates={"share": "share_llm"}, seed=1, repeats=1)
    np.testing.assert_allclose(fit.theta[:3], linear.theta, atol=3 * linear.se().max())


@pytest.mark.parametrize(
    ("change", "options", "error", "match"),
    [
        (lambda d: d.assign(share=d["share"].where(d["x"] < 2, 1.0)), {}, DataError, "kt.fractional"),
        (lambda d: d.assign(share=d["share"] * 100), {}, DataError, "divide percentages"),
        (lambda d: d.assign(share=d["share"] * 0 + 0.5), {}, DataError, "in every row"),
        (lambda d: d, {"edge": 0.4}, ArgumentError, "would move gold outcomes"),
        (lambda d: d, {"edge": 0.7}, ArgumentError, "edge"),
        (
            lambda d: d.assign(share=(1 / (1 + np.exp(-d["x"]))).where(d["share"].notna())), {},
            (ConvergenceError, DataError), "kt.fractional|did not converge",
        ),
    ],
)  # fmt: skip
def test_refused(change, options, error, match):
    with pytest.raises(error, match=match):
        kt.beta("share ~ x", change(masked()), surrogates={"share": "share_llm"}, **QUICK, **options)
