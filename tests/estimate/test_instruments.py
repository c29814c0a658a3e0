"""Two-stage least squares: reference programs, a plain re-implementation, invariances, refusals."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import karat as kt
from karat.errors import ArgumentError, DataError, FormulaError, KaratError, KaratWarning

GOLDEN = Path(__file__).parents[1] / "golden"
REFERENCE = json.loads((GOLDEN / "instruments_linearmodels.json").read_text())
DATA = pd.read_csv(GOLDEN / "instruments_linearmodels.csv").assign(surrogate=lambda d: d["x"])


def _iv(formula: str, data: Any, **options: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", KaratWarning)
        return kt.iv(formula, data, **{"compare": False, "seed": 1, **options})


@pytest.mark.parametrize("k", range(len(REFERENCE["cases"])))
def test_all_labels_known_is_linearmodels_and_pyfixest(k: int) -> None:
    case = REFERENCE["cases"][k]
    vcov = {case["vcov"]: "state"} if case["vcov"].startswith("CRV") else case["vcov"]
    fit = _iv(case["formula"], DATA, surrogates={"x": "surrogate"}, weights=case["weights"], vcov=vcov)
    order = [fit.names.index(name) for name in case["names"]]
    np.testing.assert_allclose(fit.theta[order], case["coefficients"], rtol=1e-8)
    np.testing.assert_allclose(fit.covariance[np.ix_(order, order)], case["vcov_matrix"], rtol=1e-8)


@pytest.mark.parametrize(
    "formulas",
    [
        ("y ~ w + [x ~ z1 + z2]", "y ~ w | x ~ z1 + z2"),
        ("y ~ [x ~ z1] + w", "y ~ w | x ~ z1"),
        ("y ~ [x ~ z1]", "y ~ 1 | x ~ z1"),
        ("y ~ w + [x ~ z1] | state", "y ~ w | state | x ~ z1"),
    ],
)
def test_both_ways_of_writing_agree(formulas: tuple[str, str]) -> None:
    first, second = (_iv(formula, DATA, surrogates={"x": "surrogate"}) for formula in formulas)
    assert first.names == second.names
    np.testing.assert_array_equal(first.theta, second.theta)


def labelled(n: int = 500, n_gold: int = 160, seed: int = 3, strength: float = 0.6) -> Any:
    """A table with labels in y, x and z, and the positions of gold."""
    rng = np.random.default_rng(seed)
    z, z2, w, u = rng.normal(size=(4, n))
    x = strength * (z + 0.7 * z2) + 0.3 * w + 0.7 * u + rng.normal(size=n)
    data = pd.DataFrame({"y": 1 + 0.5 * x + 0.2 * w + u, "x": x, "z": z, "z2": z2, "w": w})
    for name in ("y", "x", "z"):
        data[f"{name}_llm"] = 0.2 + 0.9 * data[name] + rng.normal(size=n) * 0.4
    data["v"], data["g"] = rng.uniform(0.5, 2.0, n), rng.integers(0, 30, n)
    gold = rng.permutation(n) < n_gold
    data.loc[~gold, ["y", "x", "z"]] = np.nan
    return data, gold


SURROGATES = {name: f"{name}_llm" for name in ("y", "x", "z")}


def _given(data: Any) -> dict[str, Any]:
    predictions = {name: data[f"{name}_llm"].to_numpy() for name in SURROGATES}
    return {"surrogates": SURROGATES, "predictions": predictions}


@pytest.mark.parametrize("weights", [None, "v"])
def test_labels_everywhere_are_the_plain_augmented_estimator(weights: str | None) -> None:
    """Projection, moment and sandwich written out, with the variance of a simple random sample."""
    data, gold = labelled()
    fit = _iv("y ~ w + [x ~ z + z2]", data, **_given(data), weights=weights, vcov="HC0", tuning=None)
    n, n_gold = len(data), int(gold.sum())
    w, v = np.where(gold, n / n_gold, 0.0), np.ones(n) if weights is None else data[weights].to_numpy()

    def rows(y: Any, x: Any, z: Any) -> tuple[Any, Any, Any]:
        one = np.ones(n)
        return y, np.column_stack([one, data["w"], x]), np.column_stack([one, data["w"], z, data["z2"]])

    true = rows(*(data[name].fillna(0.0).to_numpy() for name in ("y", "x", "z")))
    told = rows(*(data[f"{name}_llm"].to_numpy() for name in ("y", "x", "z")))

    def total(a: int, b: int) -> Any:
        return sum((r[a].T * k) @ r[b] for r, k in ((true, v * w), (told, v * (1 - w))))

    pi = np.linalg.solve(total(2, 2), total(2, 1))
    curvature = pi.T @ total(2, 1)
    beta = np.linalg.solve(curvature, pi.T @ total(2, 0))
    m, h = ((r[2] @ pi * ((r[0] - r[1] @ beta) * v)[:, None])[gold] for r in (true, told))
    error = m - h - (m - h).mean(axis=0)
    labelling = n * (n - n_gold) / n_gold * error.T @ error / (n_gold - 1)
    inverse = np.linalg.inv(curvature)
    np.testing.assert_allclose(fit.theta, beta, rtol=1e-8)
    np.testing.assert_allclose(fit.covariance, inverse @ (n / n_gold * m.T @ m + labelling) @ inverse.T, rtol=1e-8)
    np.testing.assert_allclose(fit.labelling_covariance, inverse @ labelling @ inverse.T, rtol=1e-8)


@pytest.mark.parametrize("effects", ["", " | g"])
@pytest.mark.parametrize("options", [{}, {"cluster": "g"}, {"weights": "v"}])
def test_a_covariate_as_its_own_instrument_is_least_squares(effects: str, options: dict[str, Any]) -> None:
    data, _ = labelled()
    data = data.assign(copy=data["x"])
    told = {name: data[f"{name}_llm"].to_numpy() for name in ("y", "x")}
    known = {"y": "y_llm", "x": "x_llm"}
    both = {**told, "copy": told["x"]}
    one = _iv(f"y ~ w + [x ~ copy]{effects}", data, surrogates={**known, "copy": "x_llm"}, predictions=both, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", KaratWarning)
        two = kt.ols(f"y ~ w + x{effects}", data, surrogates=known, predictions=told, **options)
    np.testing.assert_allclose(one.theta, two.theta, rtol=1e-9)
    np.testing.assert_allclose(one.covariance, two.covariance, rtol=1e-9)
    np.testing.assert_allclose(one.df, two.df, rtol=1e-9)


def test_scale_of_instruments_and_their_order_do_not_matter() -> None:
    data, _ = labelled()
    one = _iv("y ~ w + [x ~ z + z2]", data, **_given(data))
    two = _iv("y ~ [x ~ I(1000 * z2 - 7) + z] + w", data, **_given(data))
    order = [two.names.index(name) for name in one.names]
    np.testing.assert_allclose(one.theta, two.theta[order], rtol=1e-8)
    np.testing.assert_allclose(one.covariance, two.covariance[np.ix_(order, order)], rtol=1e-7)
    assert one.first_stage().effective_f == pytest.approx(two.first_stage().effective_f, rel=1e-6)
    np.testing.assert_allclose(one.anderson_rubin().intervals, two.anderson_rubin().intervals, rtol=1e-5)


@pytest.mark.parametrize("formula", ["y ~ w + [x ~ z]", "y ~ w + [x ~ z + z2]"])
@pytest.mark.parametrize("strength", [0.6, 0.02])
def test_anderson_rubin_sets_are_those_of_a_grid(formula: str, strength: float) -> None:
    """The test by itself at many values, for strong and for hopeless instruments."""
    data, _ = labelled(strength=strength)
    fit = _iv(formula, data, **_given(data))
    found, stage = fit.anderson_rubin(0.1), fit.stage
    q = len(stage.instruments)
    from scipy.stats import f

    bound = stage.df * q / (stage.df - q + 1) * f.isf(0.1, q, stage.df - q + 1)
    for beta in np.r_[np.linspace(-5, 5, 201), -1e4, 1e4]:
        contrast = np.hstack([np.eye(q), -beta * np.eye(q)])
        gap = stage.reduced - beta * stage.first[0]
        accepted = gap @ np.linalg.solve(contrast @ stage.joint @ contrast.T, gap) <= bound
        assert (beta in found) == accepted
    assert (found.shape == "interval") == (strength > 0.1)


def test_just_identified_reduced_form_over_first_stage_is_the_estimate() -> None:
    fit = _iv("y ~ w + [x ~ z1]", DATA, surrogates={"x": "surrogate"}, vcov="HC1")
    assert fit.stage.reduced[0] / fit.stage.first[0, 0] == pytest.approx(fit.theta[2], rel=1e-10)
    assert fit.first_stage().f["x"] == pytest.approx(fit.first_stage().effective_f, rel=1e-8)
    assert fit.first_stage().critical == pytest.approx(23.1, abs=0.02)  # as published
    assert "Effective F" in repr(fit.first_stage())


def test_effective_f_is_that_of_pyfixest() -> None:
    """With HC0, times its own small-sample factor."""
    fit = _iv("y ~ w + [x ~ z1 + z2]", DATA, surrogates={"x": "surrogate"}, vcov="HC0")
    assert fit.first_stage().effective_f == pytest.approx(REFERENCE["first"]["effective_f"], rel=0.004)


def test_weak_instruments_are_pointed_out() -> None:
    data, _ = labelled(strength=0.05)
    with pytest.warns(KaratWarning, match="instruments are weak"):
        fit = kt.iv("y ~ w + [x ~ z]", data, **_given(data), compare=False)
    assert "anderson_rubin()" in str(fit.summary())


def test_several_endogenous_covariates_refuse_what_is_for_one() -> None:
    fit = _iv("y ~ w + [x + x2 ~ z1 + z2 + z3]", DATA, surrogates={"x": "surrogate"})
    assert set(fit.first_stage().f) == {"x", "x2"}
    assert np.isnan(fit.first_stage().effective_f)
    with pytest.raises(KaratError, match="one endogenous covariate"):
        fit.anderson_rubin()


@pytest.mark.parametrize("weights", [None, "v"])
def test_conditional_f_is_that_of_a_regression_of_residuals(weights: str | None) -> None:
    """Sanderson and Windmeijer's steps, written out, with the robust covariance of the combination that they test."""
    data = DATA.assign(v=np.random.default_rng(1).uniform(0.5, 2.0, len(DATA)))
    fit = _iv("y ~ w + [x + x2 ~ z1 + z2 + z3]", data, surrogates={"x": "surrogate"}, vcov="HC0", weights=weights)
    z = np.column_stack([np.ones(len(data)), data[["w", "z1", "z2", "z3"]]])
    v = np.ones(len(data)) if weights is None else data["v"].to_numpy()
    inverse = np.linalg.inv(z.T @ (z * v[:, None]))
    first, found = fit.first_stage(), {}
    for name, other in (("x", "x2"), ("x2", "x")):
        mine, theirs = data[name].to_numpy(), data[other].to_numpy()
        pi, of_other = (inverse @ z.T @ (v * column) for column in (mine, theirs))
        hat = np.column_stack([z[:, :2], z @ of_other])
        delta = np.linalg.solve(hat.T @ (hat * v[:, None]), hat.T @ (v * mine))[-1]
        residual = mine - delta * theirs  # of its regression on the other one, by instruments
        error = residual - z @ (inverse @ z.T @ (v * residual))
        psi = (inverse @ (z * (v * error)[:, None]).T).T
        beyond = np.linalg.svd(of_other[None, 2:])[2][1:].T
        gap, covariance = beyond.T @ pi[2:], beyond.T @ (psi.T @ psi)[2:, 2:] @ beyond
        found[name] = gap @ np.linalg.solve(covariance, gap) / 2
        plain = pi - delta * of_other  # the same number from coefficients of the residual
        np.testing.assert_allclose(beyond.T @ plain[2:], gap, atol=1e-12)
    df = first.df + 2  # of the covariance: the table has the denominator of F for three instruments
    factor = (df - 1) / df  # Hotelling's, of two numbers
    for name, value in found.items():
        assert first.conditional_f[name] == pytest.approx(factor * value, rel=1e-6)
    assert "Conditional F" in str(first)


def test_instruments_that_move_covariates_together_are_weak_for_each() -> None:
    rng = np.random.default_rng(4)
    z, z2, u, e = rng.normal(size=(4, 600))
    data = pd.DataFrame({"x": z + z2 + u, "z": z, "z2": z2})
    data["x2"] = z + z2 + 0.02 * z + rng.normal(size=600)
    data["y"] = data["x"] - data["x2"] + u + e
    data["surrogate"] = data["x"]
    with pytest.warns(KaratWarning, match="conditional F x"):
        fit = kt.iv("y ~ [x + x2 ~ z + z2]", data, surrogates={"x": "surrogate"}, compare=False)
    first = fit.first_stage()
    assert min(first.f.values()) > 100
    assert max(first.conditional_f.values()) < 10


@pytest.mark.parametrize(
    ("formula", "error", "said"),
    [
        ("y ~ w + x", ArgumentError, "no instruments"),
        ("y ~ w + x + [x ~ z1]", FormulaError, "outside"),
        ("y ~ w + [x ~ x]", FormulaError, "for itself"),
        ("y ~ w + [x + x2 ~ z1]", FormulaError, "1 instrument"),
        ("y ~ w + [x ~ z1] + [x2 ~ z2]", FormulaError, "one first stage"),
        ("y ~ w + [x ~ ]", FormulaError, "both sides"),
        ("y ~ w + [x ~ I(2 * w)]", DataError, "collinear"),
    ],
)
def test_what_cannot_be_fitted_is_said(formula: str, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        _iv(formula, DATA, surrogates={"x": "surrogate"})


def test_other_regressions_name_kt_iv() -> None:
    with pytest.raises(ArgumentError, match=r"kt\.iv"):
        kt.ols("y ~ w + [x ~ z1]", DATA, surrogates={"x": "surrogate"})
    with pytest.raises(ArgumentError, match=r"kt\.iv"):
        kt.logit("y ~ w | x ~ z1", DATA, surrogates={"x": "surrogate"})
    fit = _iv("y ~ w + [x ~ z1]", DATA, surrogates={"x": "surrogate"})
    with pytest.raises(KaratError, match="instruments"):
        fit.predict(DATA)
    with pytest.raises(ArgumentError, match="instruments"):
        kt.slopes(fit, DATA)
    with pytest.raises(KaratError, match="fit again"):
        kt.Result.from_json(fit.to_json()).first_stage()
    with pytest.raises(KaratError, match=r"kt\.iv fits one"):
        kt.ols("y ~ w + x", DATA, surrogates={"x": "surrogate"}).first_stage()
