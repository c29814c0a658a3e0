"""Surrogates that are far off, useless or not used, and what leaving a unit out does."""

import numpy as np
import pandas as pd
import pytest
from scipy.linalg import sqrtm

import karat as kt
from karat.errors import SmallSampleWarning

from .. import corpora


def drawn(design, seed=4):
    frame = corpora.corpus(300, seed=31)
    frame["group"] = (frame["z"] > frame["z"].median()).astype(int)
    sample = design.draw(frame, seed=seed)
    return frame, sample, corpora.masked(frame, sample.labelled, "y")


@pytest.mark.parametrize("kind", [{"vcov": "HC0"}, {}, {"cluster": "author"}], ids=["plain", "rows", "clusters"])
@pytest.mark.parametrize(
    ("formula", "design"), [("y ~ 1", kt.SimpleRandom(90)), ("y ~ group", kt.Stratified("group", 90))]
)
def test_a_constant_added_to_the_surrogate_changes_no_standard_error(formula, design, kind, quiet):
    """The weighted total of a constant is known wherever covariates do not vary within strata."""
    frame, sample, table = drawn(design)
    errors = []
    for shift in (0.0, 2.0, 10.0):
        table["guess"] = frame["y_llm"] + shift * frame["y"].std()
        fit = kt.ols(formula, table, surrogates={"y": "guess"}, design=sample.design, estimator="ppi", tuning=None,
                     **kind, compare=False)  # fmt: skip
        errors.append(fit.se().to_numpy())
    assert (errors[0] > 0).all()
    np.testing.assert_allclose(errors[1], errors[0], rtol=1e-8)
    np.testing.assert_allclose(errors[2], errors[0], rtol=1e-8)


@pytest.mark.parametrize("vcov", ["HC0", "HC3"])
def test_gold_for_all_coefficients_is_the_gold_estimator(vcov, quiet):
    _, sample, table = drawn(kt.SimpleRandom(90))
    table["noise"] = 40.0 * np.random.default_rng(5).standard_normal(300)
    options = {"surrogates": {"y": "noise"}, "design": sample.design, "vcov": vcov, "compare": False}
    fit = kt.ols("y ~ z", table, learner=None, **options)
    gold = kt.ols("y ~ z", table, estimator="gold", **options)
    assert set(fit.choice) == {"gold"}
    np.testing.assert_array_equal(fit.theta, gold.theta)
    np.testing.assert_array_equal(fit.covariance, gold.covariance)
    np.testing.assert_array_equal(fit.df, gold.df)


def test_a_surrogate_that_costs_precision_is_told():
    _, sample, table = drawn(kt.SimpleRandom(90))
    table["noise"] = np.random.default_rng(1).standard_t(2, 300) * 20.0
    with pytest.warns(SmallSampleWarning, match="larger than those of gold alone"):
        fit = kt.ols("y ~ z", table, surrogates={"y": "noise"}, design=sample.design, learner=None, tuning=None)
    for text in (str(fit.summary()), fit._repr_html_()):
        assert "larger than those of gold alone" in text


def test_left_out_influence_is_that_of_a_fit_without_the_unit(quiet):
    """Weight 1, a labelled covariate of two classes: gold row and predicted row of a unit leave together."""
    rng = np.random.default_rng(2)
    n = 120
    z, x = (rng.random(n) < 0.5).astype(float), rng.standard_normal(n)
    guess = np.where(rng.random(n) < 0.85, z, 1 - z)
    y = z + 0.5 * x + rng.standard_normal(n)
    gold = rng.permutation(n) < 60
    table = pd.DataFrame({"y": y, "x": x, "z": np.where(gold, z, np.nan), "guess": guess})
    fit = kt.ols("y ~ z + x", table, surrogates={"z": "guess"}, design=np.full(n, 0.5), learner=None, tuning=None,
                 vcov="HC3", compare=False, scores=True)  # fmt: skip
    true, seen, w = np.column_stack([np.ones(n), z, x]), np.column_stack([np.ones(n), guess, x]), gold / 0.5

    def solved(keep):
        a = (true.T * (w * keep)) @ true + (seen.T * ((1 - w) * keep)) @ seen
        return np.linalg.solve(a, (true.T * (w * keep)) @ y + (seen.T * ((1 - w) * keep)) @ y), a

    theta, a = solved(np.ones(n))
    np.testing.assert_allclose(fit.theta, theta, rtol=1e-9)
    moment, error = [], []
    for i in np.flatnonzero(gold):
        without, _ = solved(np.arange(n) != i)
        m, h = (d[i] * (y[i] - d[i] @ without) for d in (true, seen))
        moment.append(np.linalg.solve(a, m))
        error.append(np.linalg.solve(a, m - h))
    inverse = np.linalg.inv(a)
    # expected squares: of errors c x x'; of moments h h' and the multiple of c x x' that the gold shows beyond it
    h, m = (d * (y - d @ theta)[:, None] for d in (seen, true))
    told, there = (np.trace(inverse @ (part[gold].T @ part[gold])) for part in (h, m))
    rest = max(there - told, 0.1 * there) / np.trace(inverse @ seen[gold].T @ seen[gold])
    squares = [
        lambda rows: inverse @ (h[rows].T @ h[rows] + rest * seen[rows].T @ seen[rows]) @ inverse,
        lambda rows: inverse @ seen[rows].T @ seen[rows] @ inverse,
    ]
    for found, want, square in zip(fit.parts.scores.left_out, (moment, error), squares):
        ratio = square(slice(None)) @ np.linalg.inv(square(gold) / 0.5)
        calibrated = np.array(want) @ np.real(sqrtm(ratio)).T
        np.testing.assert_allclose(found, calibrated, rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("seed", range(12))
def test_a_constant_surrogate_of_a_covariate_costs_nothing(seed, quiet):
    """Predicted rows expect no squares in one direction: their ratio there would be noise (it was 7 gold widths)."""
    rng = np.random.default_rng([77, seed])
    x, z = rng.standard_normal(3000), (rng.random(3000) < 0.45).astype(float)
    table = pd.DataFrame({"y": 0.5 + 0.6 * z - 0.4 * x + rng.standard_normal(3000), "x": x, "z": z, "always": 1.0})
    sample = kt.SimpleRandom(150).draw(table, seed)
    table.loc[~sample.labelled, "z"] = np.nan
    options = {"surrogates": {"z": "always"}, "design": sample.design, "compare": False}
    fit = kt.ols("y ~ z + x", table, estimator="ppi", **options)
    gold = kt.ols("y ~ z + x", table, estimator="gold", **options)
    assert (fit.se() <= 1.1 * gold.se()).all()
