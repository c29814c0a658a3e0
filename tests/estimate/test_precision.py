"""Scales and conditions that cost digits: certified regressions, units of measurement, covariates far from 0."""

from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import karat as kt
from karat.errors import DataError
from karat.estimate.influence import calibration
from karat.estimate.scores import growth
from karat.estimate.tune import select

X = np.arange(21.0)
ALONE = {"estimator": "gold", "compare": False, "df": "normal", "vcov": "HC0"}
QUINTIC = "y ~ x + I(x**2) + I(x**3) + I(x**4) + I(x**5)"
# NIST StRD, Wampler 1 and 2: y = 1 + x + ... + x^5, and the same of x / 10; certified coefficients 1 and 10^-k.
# Wampler 3, 4 and 5 add these errors to the first, times 1, 100 and 10,000. The certified coefficients stay 1.
ERRORS = [759, -2048, 2048, -2048, 2523, -2048, 2048, -2048, 1838, -2048, 2048, -2048, 1838, -2048, 2048, -2048,
          2523, -2048, 2048, -2048, 759]  # fmt: skip
WAMPLER_SD = [2152.32624678170, 2363.55173469681, 779.343524331583, 101.475507550350, 5.64566512170752,
              0.112324854679312]  # fmt: skip
# NIST StRD, Norris (calibration of ozone monitors).
NORRIS_Y = [0.1, 338.8, 118.1, 888.0, 9.2, 228.1, 668.5, 998.5, 449.1, 778.9, 559.2, 0.3, 0.1, 778.1, 668.8, 339.3,
            448.9, 10.8, 557.7, 228.3, 998.0, 888.8, 119.6, 0.3, 0.6, 557.6, 339.3, 888.0, 998.5, 778.9, 10.2, 117.6,
            228.9, 668.4, 449.2, 0.2]  # fmt: skip
NORRIS_X = [0.2, 337.4, 118.2, 884.6, 10.1, 226.5, 666.3, 996.3, 448.6, 777.0, 558.2, 0.4, 0.6, 775.5, 666.9, 338.0,
            447.5, 11.6, 556.0, 228.1, 995.8, 887.6, 120.2, 0.3, 0.3, 556.8, 339.1, 887.2, 999.0, 779.0, 11.1, 118.3,
            229.2, 669.1, 448.9, 0.5]  # fmt: skip
NORRIS = ([-0.262323073774029, 1.00211681802045], [0.232818234301152, 0.429796848199937e-3], 0.884796396144373)


def inverse(matrix):
    """Exact inverse of a matrix of fractions."""
    size = len(matrix)
    rows = [list(row) + [Fraction(i == j) for j in range(size)] for i, row in enumerate(matrix)]
    for i in range(size):
        rows[i] = [value / rows[i][i] for value in rows[i]]
        for k in range(size):
            if k != i:
                rows[k] = [a - rows[k][i] * b for a, b in zip(rows[k], rows[i])]
    return [row[size:] for row in rows]


def exactly(design, y):
    """Least squares in fractions: coefficients, residual standard deviation, standard errors classical and by HC form.

    The formulas are the textbook's: MacKinnon and White (1985) for HC1 to HC3.
    """
    n, p = len(design), len(design[0])
    gram = inverse([[sum(row[i] * row[j] for row in design) for j in range(p)] for i in range(p)])
    solved = [[sum(gram[i][j] * row[j] for j in range(p)) for i in range(p)] for row in design]
    beta = [sum(s[i] * value for s, value in zip(solved, y)) for i in range(p)]
    residual = [value - sum(b * v for b, v in zip(beta, row)) for row, value in zip(design, y)]
    leverage = [sum(a * b for a, b in zip(s, row)) for s, row in zip(solved, design)]
    variance = sum(e * e for e in residual) / (n - p)

    def robust(factors):
        return np.sqrt(
            [float(sum((s[i] * e) ** 2 * f for s, e, f in zip(solved, residual, factors))) for i in range(p)]
        )

    errors = {
        "classical": np.sqrt([float(variance * gram[i][i]) for i in range(p)]),
        "HC0": robust([1] * n),
        "HC1": robust([Fraction(n, n - p)] * n),
        "HC2": robust([1 / (1 - h) for h in leverage]),
        "HC3": robust([1 / (1 - h) ** 2 for h in leverage]),
    }
    return np.array([float(b) for b in beta]), float(variance) ** 0.5, errors


def certified(name):
    """Formula, x, y and certified coefficients, standard errors and residual standard deviation."""
    if name == "Norris":
        return "y ~ x", NORRIS_X, NORRIS_Y, *(np.asarray(part) for part in NORRIS)
    scale = {"Wampler3": 1, "Wampler4": 100, "Wampler5": 10_000}[name]
    y = [sum(x**k for k in range(6)) + scale * error for x, error in zip(range(21), ERRORS)]
    return QUINTIC, X, np.array(y, float), np.ones(6), scale * np.array(WAMPLER_SD), scale * 2360.14502379268


@pytest.mark.parametrize("name", ["Norris", "Wampler3", "Wampler4", "Wampler5"])
def test_certified_regressions(name, quiet):
    """Coefficients as NIST certifies them; robust standard errors, which it does not, as exact arithmetic gives them.

    That the exact arithmetic, and the data, are right is shown by the classical standard errors that NIST certifies.
    """
    formula, x, y, coefficients, classical, residual = certified(name)
    powers = formula.count("x") + 1
    design = [[Fraction(str(value)) ** k for k in range(powers)] for value in x]
    theta, sd, errors = exactly(design, [Fraction(str(value)) for value in y])
    np.testing.assert_allclose(theta, coefficients, rtol=1e-14)
    np.testing.assert_allclose(sd, residual, rtol=1e-14)
    np.testing.assert_allclose(errors["classical"], classical, rtol=1e-14)
    table = pd.DataFrame({"x": x, "y": y, "s": x})
    for form in ("HC0", "HC1", "HC2", "HC3"):
        fit = kt.ols(formula, table, surrogates={"y": "s"}, **(ALONE | {"vcov": form}))
        np.testing.assert_allclose(fit.theta, theta, rtol=1e-6)
        np.testing.assert_allclose(fit.se(), errors[form], rtol=1e-9, err_msg=form)


@pytest.mark.parametrize("scale", [1.0, 0.1])
def test_wampler(scale, quiet):
    table = pd.DataFrame({"x": X, "y": sum((scale * X) ** k for k in range(6)), "s": X})
    fit = kt.ols(QUINTIC, table, surrogates={"y": "s"}, **ALONE)
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
    one, other = (kt.regress("vote ~ x", d, model=model, **options) for d in (data, scaled))
    np.testing.assert_allclose(other.theta, one.theta, rtol=1e-7)
    np.testing.assert_allclose(other.se(), one.se(), rtol=1e-7)


@pytest.mark.parametrize("far", [1e5, 3e5, 1e7])
@pytest.mark.parametrize(("model", "label"), [("ols", "y"), ("logit", "vote")])
def test_covariates_far_from_zero(model, label, far):
    data = corpus()
    moved = data.assign(x=data["x"] + far)
    options = {"surrogates": {label: "guess" if label == "y" else "vote_llm"}, "learner": "linear", "repeats": 1,
               "seed": 1, "compare": False}  # fmt: skip
    one, other = (kt.regress(f"{label} ~ x", d, model=model, **options) for d in (data, moved))
    np.testing.assert_allclose(other.theta[1], one.theta[1], rtol=1e-6)
    np.testing.assert_allclose(other.se().iloc[1], one.se().iloc[1], rtol=1e-6)


def near(found, expected, rtol):
    np.testing.assert_allclose(found.theta, expected.theta, rtol=rtol)
    np.testing.assert_allclose(found.se(), expected.se(), rtol=rtol)
    assert found.choice == expected.choice


@given(shift=st.floats(-1e8, 1e8), label=st.sampled_from(["y", "vote"]), tuning=st.sampled_from(["auto", None, "full"]))
def test_outcomes_far_from_zero(shift, label, tuning):
    """Slopes of a linear regression do not see where the outcome is counted from; beyond 10^8 its own digits go."""
    data = corpus().assign(full=lambda d: d["guess"])
    outcome = "y" if label == "y" else "full"
    options = {"surrogates": {"y": "guess"} if label == "y" else {"vote": "vote_llm"}, "learner": None,
               "tuning": tuning, "compare": False}  # fmt: skip
    formula = f"{outcome} ~ x" if label == "y" else f"{outcome} ~ vote + x"
    moved = data.assign(**{name: data[name] + shift for name in {outcome, "guess"}})
    one, other = kt.ols(formula, data, **options), kt.ols(formula, moved, **options)
    np.testing.assert_allclose(other.theta[1:], one.theta[1:], rtol=2e-6)
    np.testing.assert_allclose(other.theta[0] - shift, one.theta[0], rtol=1e-5)
    np.testing.assert_allclose(other.se(), one.se(), rtol=2e-6)
    assert other.choice == one.choice


@pytest.mark.filterwarnings("ignore::karat.errors.NotValidWarning")
@pytest.mark.parametrize("estimator", ["dsl", "gold", "surrogate"])
def test_outcomes_as_far_as_doubles_allow(estimator, tmp_path, quiet):
    """At 10^10 the outcome itself has five digits behind the point, and so have slopes; batch by batch too."""
    data = corpus()
    moved = data.assign(y=data["y"] + 1e10, guess=data["guess"] + 1e10)
    options = {"surrogates": {"y": "guess"}, "learner": None, "compare": False, "estimator": estimator, "vcov": "HC1"}
    one, other = kt.ols("y ~ x", data, **options), kt.ols("y ~ x", moved, **options)
    np.testing.assert_allclose(other.theta[1:], one.theta[1:], rtol=1e-4)
    np.testing.assert_allclose(other.se(), one.se(), rtol=1e-4)
    moved.to_parquet(tmp_path / "moved.parquet")
    if estimator == "dsl":
        read = kt.ols("y ~ x", kt.Batches(tmp_path / "moved.parquet"), design=kt.SimpleRandom(150), **options)
        np.testing.assert_allclose(read.theta[1:], one.theta[1:], rtol=1e-4)


@given(scale=st.floats(1e-8, 1e8), model=st.sampled_from(["ols", "logit", "poisson", "probit", "huber"]))
def test_units_of_a_covariate(scale, model):
    data = corpus()
    scaled = data.assign(x=data["x"] * scale)
    options = {"surrogates": {"vote": "vote_llm"}, "model": model, "learner": None, "compare": False}
    one, other = (kt.regress("vote ~ x", d, **options) for d in (data, scaled))
    near(_in_units(other, scale), one, 1e-6)


def _in_units(fit, scale):
    """A fit with its last slope in the units of before."""
    by = np.r_[np.ones(len(fit.theta) - 1), scale]
    return fit.replace(theta=fit.theta * by, covariance=fit.covariance * np.outer(by, by))


@pytest.mark.parametrize("scale", [1e-48, 1e48])
@pytest.mark.parametrize("model", ["ols", "logit", "poisson"])
@pytest.mark.parametrize("options", [{}, {"cluster": np.arange(400) % 40}, {"learner": "linear", "repeats": 1}])
def test_units_of_a_covariate_that_are_odd(scale, model, options):
    data = corpus().assign(full=lambda d: d["guess"] if model == "ols" else (d["guess"] > 1).astype(float))
    scaled = data.assign(x=data["x"] * scale)
    options = {"surrogates": {"vote": "vote_llm"}, "model": model, "learner": None, "seed": 1, **options}
    one, other = (kt.regress("full ~ vote + x", d, **options) for d in (data, scaled))
    near(_in_units(other, scale), one, 1e-6)
    assert other.wald("x = 0").p_value == pytest.approx(one.wald("x = 0").p_value, rel=1e-5)


@pytest.mark.parametrize("column", ["x", "guess", "v", "y"])
@pytest.mark.parametrize("factor", [1e-160, 1e160, 1e300])
def test_sizes_of_which_no_variance_can_be_computed(column, factor):
    data = corpus()
    data[column] *= factor
    with pytest.raises(DataError, match="Take another unit"):
        kt.ols("y ~ x", data, surrogates={"y": "guess"}, weights="v", learner="linear", repeats=1)


def test_powers_of_a_year():
    rng = np.random.default_rng(1)
    year = rng.integers(1990, 2021, 300).astype(float)
    c = year - 2005
    table = pd.DataFrame({"year": year, "c": c, "s": c, "y": 1 + 0.1 * c + 0.01 * c**3 + rng.standard_normal(300)})
    far = kt.ols("y ~ year + I(year**2) + I(year**3)", table, surrogates={"y": "s"}, **ALONE)
    near = kt.ols("y ~ c + I(c**2) + I(c**3)", table, surrogates={"y": "s"}, **ALONE)
    np.testing.assert_allclose(far.theta[3], near.theta[3], rtol=1e-7)
    np.testing.assert_allclose(far.se().iloc[3], near.se().iloc[3], rtol=1e-7)


def test_errors_that_are_rounding_have_no_leverage():
    """Labels that are right leave errors of 1e-17 or of 0, as the versions of libraries will have it."""
    plain = np.array([[1.0, 0.0], [0.0, 1.0], [1e-17, 0.0], [0.0, 0.0]])
    left_out = np.array([[1.21, 0.0], [0.0, 1.0], [7e-17, 0.0], [1e-18, 0.0]])
    np.testing.assert_allclose(growth(plain, left_out), [1.1, 1.0, 1.0, 1.0], rtol=1e-12)


def test_a_tie_of_candidates_is_not_settled_by_rounding():
    """With indicators of groups the full matrix is the diagonal one: the choice with fewer weights is taken."""
    size, gold = np.array([200.0]), {"gold": np.array([1.0]), "one": np.array([0.9])}
    for nudge in (-1e-15, 0.0, 1e-15):
        variance = {**gold, "coefficient": np.array([0.5]), "full": np.array([0.5 + nudge])}
        assert select(variance, size, ["one", "coefficient", "full"], None).tolist() == ["coefficient"]
    variance = {**gold, "coefficient": np.array([0.5]), "full": np.array([0.49])}
    assert select(variance, size, ["one", "coefficient", "full"], None).tolist() == ["full"]


def test_errors_without_spread_in_a_direction_are_not_calibrated_whatever_the_rounding():
    """A few wrong labels, all of one class, leave cross products that are singular but for rounding."""
    found = np.array([[4.0, 1.0], [1.0, 3.0]])
    for nudge in (-1e-15, 0.0, 1e-15, 1e-13):
        shown = np.array([[1.0, 1.0], [1.0, 1.0 + nudge]])
        assert calibration(shown, (0.0 * found, 1.1 * found), (0.0 * found, found), np.eye(2)) is None
    assert calibration(0.1 * found, (0.0 * found, 1.1 * found), (0.0 * found, found), np.eye(2)) is not None
