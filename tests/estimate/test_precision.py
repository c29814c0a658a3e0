"""Scales and conditions that cost digits: certified regressions, units of measurement, covariates far from 0."""

import numpy as np
import pandas as pd
import pytest

import karat as kt

X = np.arange(21.0)
ALONE = {"estimator": "gold", "compare": False, "df": "normal", "vcov": "HC0"}
# NIST StRD, Wampler 1 and 2: y = 1 + x + ... + x^5, and the same of x / 10; certified coefficients 1 and 10^-k.


@pytest.mark.parametrize("scale", [1.0, 0.1])
def test_wampler(scale, quiet):
    table = pd.DataFrame({"x": X, "y": sum((scale * X) ** k for k in range(6)), "s": X})
    fit = kt.ols("y ~ x + I(x**2) + I(x**3) + I(x**4) + I(x**5)", table, surrogates={"y": "s"}, **ALONE)
    np.testing.assert_allclose(fit.theta, scale ** np.arange(6), rtol=1e-6)


def test_longley(quiet):
    """NIST StRD, Longley (1967); certified values."""
    datasets = pytest.importorskip("statsmodels.datasets")
    table = datasets.longley.load_pandas().data.assign(s=1.0)
    fit = kt.ols("TOTEMP ~ GNPDEFL + GNP + UNEMP + ARMED + POP + YEAR", table, surrogates={"TOTEMP": "s"}, **ALONE)
    certified = [-3482258.63459582, 15.0618722713733, -0.0358191792925910, -2.02022980381683, -1.03322686717359,
                 -0.0511041056535807, 1829.15146461355]  # fmt: skip
    np.testing.assert_allclose(fit.theta, certified, rtol=1e-6)


def corpus(n=400):
    rng = np.random.default_rng(3)
    x = rng.standard_normal(n)
    y = 1.0 + 0.5 * x + rng.standard_normal(n)
    gold = rng.permutation(n) < 150
    vote = (y > 1).astype(float)
    vote_llm = np.where(rng.random(n) < 0.85, vote, 1 - vote)
    return pd.DataFrame({"x": x, "y": np.where(gold, y, np.nan), "guess": y + rng.standard_normal(n),
                         "vote": np.where(gold, vote, np.nan), "vote_llm": vote_llm,
                         "v": rng.uniform(0.5, 2.0, n)})  # fmt: skip


@pytest.mark.parametrize("factor", [1e-13, 1e100])
def test_units_of_the_outcome(factor):
    data = corpus()
    scaled = data.assign(y=data["y"] * factor, guess=data["guess"] * factor)
    options = {"surrogates": {"y": "guess"}, "learner": None, "compare": False}
    one, other = kt.ols("y ~ x", data, **options), kt.ols("y ~ x", scaled, **options)
    np.testing.assert_allclose(other.theta, one.theta * factor, rtol=1e-8)
    np.testing.assert_allclose(other.se(), one.se() * factor, rtol=1e-8)


@pytest.mark.parametrize("factor", [1e-30, 1e20])
@pytest.mark.parametrize("model", ["ols", "logit", "probit", "poisson"])
def test_units_of_the_weights(model, factor):
    data = corpus()
    scaled = data.assign(v=data["v"] * factor)
    options = {"surrogates": {"vote": "vote_llm"}, "learner": None, "weights": "v", "compare": False}
    one, other = (kt.regress(model, "vote ~ x", d, **options) for d in (data, scaled))
    np.testing.assert_allclose(other.theta, one.theta, rtol=1e-7)
    np.testing.assert_allclose(other.se(), one.se(), rtol=1e-7)


@pytest.mark.parametrize("far", [1e5, 3e5, 1e7])
@pytest.mark.parametrize(("model", "label"), [("ols", "y"), ("logit", "vote")])
def test_covariates_far_from_zero(model, label, far):
    data = corpus()
    moved = data.assign(x=data["x"] + far)
    options = {"surrogates": {label: "guess" if label == "y" else "vote_llm"}, "learner": "linear", "repeats": 1,
               "seed": 1, "compare": False}  # fmt: skip
    one, other = (kt.regress(model, f"{label} ~ x", d, **options) for d in (data, moved))
    np.testing.assert_allclose(other.theta[1], one.theta[1], rtol=1e-6)
    np.testing.assert_allclose(other.se().iloc[1], one.se().iloc[1], rtol=1e-6)


def test_powers_of_a_year():
    rng = np.random.default_rng(1)
    year = rng.integers(1990, 2021, 300).astype(float)
    c = year - 2005
    table = pd.DataFrame({"year": year, "c": c, "s": c, "y": 1 + 0.1 * c + 0.01 * c**3 + rng.standard_normal(300)})
    far = kt.ols("y ~ year + I(year**2) + I(year**3)", table, surrogates={"y": "s"}, **ALONE)
    near = kt.ols("y ~ c + I(c**2) + I(c**3)", table, surrogates={"y": "s"}, **ALONE)
    np.testing.assert_allclose(far.theta[3], near.theta[3], rtol=1e-7)
    np.testing.assert_allclose(far.se().iloc[3], near.se().iloc[3], rtol=1e-7)
