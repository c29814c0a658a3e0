"""Complete outcomes: the closed form against sums over jumps, and what estimating G adds against refitting."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import karat as kt
from karat.censoring import Kernel
from karat.censoring.durations import Durations
from karat.censoring.methods import Cox, Learned, Marginal, Strata
from karat.censoring.pseudo import (
    Outcome,
    PseudoOutcome,
    estimation_influence,
    expected_outcome,
    fit_event,
    independent_columns,
    pseudo_outcome,
    time_grid,
)

from . import plain
from .test_weights import smooth, tied

HERE = Path(__file__).parents[1] / "golden"
weights = kt.censoring.weights


def martingale_by_hand(w, grid, expected):
    """``Delta Y / G(U-) + int m dM_C / G`` of a marginal G, jump by jump."""
    time, event, steps = w.durations.time, w.durations.event, w.censoring.steps[0]
    out = w.values * w.restricted
    for i in range(w.n_rows):
        before = 1.0
        for s, after, hazard in zip(steps.jump, steps.level, steps.count / steps.risk):
            if s >= w.tau:
                break
            m = expected[i, np.searchsorted(grid, s, side="left")]
            at_risk = time[i] > s or (time[i] == s and not event[i])
            jumped = time[i] == s and not event[i]
            out[i] += m / after * (jumped - at_risk * hazard) if after > 0 else 0.0
            before = after
    return out, before


@pytest.mark.parametrize("make", [tied, smooth])
def test_closed_form_is_the_martingale_integral(make):
    time, event, _ = make(80, 3)
    w = weights(time, event, tau=float(np.quantile(time, 0.85)), floor=0)
    rng = np.random.default_rng(0)
    grid = np.sort(rng.uniform(0, w.tau, 6)) if make is smooth else np.arange(1.0, w.tau)
    expected = rng.normal(size=(80, len(grid) + 1))
    found = pseudo_outcome(w, w.restricted, grid, expected)
    np.testing.assert_allclose(found.values, martingale_by_hand(w, grid, expected)[0], rtol=1e-10, atol=1e-12)
    constant = rng.normal(size=80)
    product = pseudo_outcome(w, w.restricted, expected=constant)
    np.testing.assert_allclose(product.values, constant + w.values * (w.restricted - constant) * w.complete, rtol=1e-12)
    flat = pseudo_outcome(w, w.restricted, grid, np.repeat(constant[:, None], len(grid) + 1, axis=1))
    np.testing.assert_allclose(flat.values, product.values, rtol=1e-10)
    np.testing.assert_allclose(pseudo_outcome(w, w.restricted).values, w.values * w.restricted)


@pytest.mark.parametrize("method", ["marginal", "strata", "kernel", "anchors"])
@pytest.mark.parametrize("constant", [False, True])
def test_estimating_g_adds_its_derivative(method, constant):
    time, event, x = smooth(45, 8)
    time, event, x = (np.repeat(a, 60, axis=0) for a in (time, event, x))
    n, rng = len(time), np.random.default_rng(1)
    v = np.repeat(rng.uniform(0.5, 2, 45), 60)
    how = {"kernel": Kernel(exact=True, bandwidth=1.5), "anchors": Kernel(anchors=6, bandwidth=1.5)}.get(method, method)
    covariate = (x[:, 0] > 0).astype(float) if method == "strata" else x[:, 0]
    tau = 1.2
    grid = np.array([0.2, 0.5, 0.9])
    expected = np.repeat(rng.normal(size=(45, 4)), 60, axis=0)
    multiplier = np.repeat(rng.normal(size=(45, 2)), 60, axis=0)

    def total(change):
        w = weights(time, event, tau=tau, censoring=how, covariates=covariate, weights=v * change, floor=0)
        d = pseudo_outcome(w, w.restricted, *((None, expected[:, 0]) if constant else (grid, expected)))
        return multiplier.T @ d.values, w, d

    _, w, d = total(np.ones(n))
    found = estimation_influence(w, d, multiplier)
    scale = np.abs(found).max() * 60
    for unit in (2, 11, 30, 44):
        rows = slice(60 * unit, 60 * unit + 60)
        up, down = np.ones(n), np.ones(n)
        up[rows] += 1e-5
        down[rows] -= 1e-5
        derivative = (total(up)[0] - total(down)[0]) / 2e-5
        np.testing.assert_allclose(found[rows].sum(axis=0), derivative, rtol=0.03, atol=2e-3 * scale)


def test_weighted_and_unweighted_rows_agree():
    time, event, x = smooth(300, 3)
    w = weights(time, event, tau=1.0)
    same = weights(time, event, tau=1.0, weights=np.full(300, 4.0))
    d = pseudo_outcome(w, w.restricted)
    multiplier = np.column_stack((np.ones(300), x[:, 0]))
    np.testing.assert_allclose(
        estimation_influence(w, d, multiplier), estimation_influence(same, d, multiplier), atol=1e-10
    )


def test_no_influence_where_there_is_no_product_limit():
    time, event, x = smooth(200, 3)
    for method in ("cox", "logit"):
        w = weights(time, event, tau=0.8, censoring=method, covariates=x)
        assert estimation_influence(w, pseudo_outcome(w, w.restricted), np.ones((200, 1))) is None


@pytest.mark.parametrize("case", json.loads((HERE / "rmst_mets.json").read_text())["cases"],
                         ids=lambda c: f"{c['censoring']}-{c['link']}")  # fmt: skip
def test_standard_errors_at_the_coefficients_of_mets(case):
    data = pd.read_csv(HERE / "rmst_mets.csv")
    method = "strata" if "strata" in case["censoring"] else "marginal"
    w = weights(data["time"], data["status"], tau=4.0, censoring=method, covariates=data["x2"].to_numpy())
    d = pseudo_outcome(w, w.restricted)
    x = np.column_stack((np.ones(len(data)), data["x1"], data["x2"]))
    eta = x @ case["coefficients"]
    mu, slope = (eta, np.ones_like(eta)) if case["link"] == "identity" else (np.exp(eta), np.exp(eta))
    score, inverse = x * (d.values - mu)[:, None], np.linalg.inv((x.T * slope) @ x)
    for name, extra in (("se_known_censoring", 0.0), ("se", estimation_influence(w, d, x))):
        phi = (score + extra) @ inverse
        np.testing.assert_allclose(np.sqrt((phi**2).sum(axis=0)), case[name], rtol=1e-8)


def test_expected_outcomes_of_kaplan_meier():
    time, event, _ = tied(120, 4)
    tau, ones = 6.0, np.ones(120)
    durations = Durations(time, event.astype(int))
    grid = time_grid(durations, tau)
    edges = np.concatenate(([0.0], grid, [tau]))
    rng = np.random.default_rng(0)
    fitted = fit_event(durations, 1, Marginal(), None, tau, rng)
    for t in (0.0, 1.0, 3.0, 6.0):
        want = plain.event_survival(time, event, ones, t)
        assert fitted.through(np.full(120, t))[0] == pytest.approx(want, rel=1e-12)
    survival = np.array([plain.event_survival(time, event, ones, t) for t in edges])
    found = expected_outcome(durations, Outcome("survival", tau), Marginal(), None, grid, rng)[0]
    at = survival[-1] / survival[:-1]
    np.testing.assert_allclose(found, (at + np.append(at[1:], 1.0)) / 2, rtol=1e-10)
    later = expected_outcome(durations, Outcome("time", tau), Marginal(), None, grid, rng)[0]
    lost = expected_outcome(durations, Outcome("lost", tau), Marginal(), None, grid, rng)[0]
    np.testing.assert_allclose(later + lost, tau, rtol=1e-10)
    assert (np.diff(later) > 0).all()


def test_causes_share_the_time_lost():
    rng = np.random.default_rng(5)
    n = 400
    x = rng.normal(size=(n, 1))
    time, cause = rng.exponential(np.exp(0.3 * x[:, 0])), rng.integers(0, 3, n)
    durations = Durations(time, cause)
    grid = time_grid(durations, 1.5)
    for method in (Cox(), Marginal(), Learned("logit", intervals=5, folds=0)):
        parts = [
            expected_outcome(durations, Outcome("lost", 1.5, c), method, x, grid, np.random.default_rng(0))
            for c in (1, 2, None)
        ]
        np.testing.assert_allclose(parts[0] + parts[1], parts[2], rtol=1e-8, atol=1e-10)


def test_event_models_that_fail_fall_back_to_kaplan_meier():
    time = np.arange(1.0, 41.0)
    event = np.tile([0, 1], 20)
    durations = Durations(time, event)
    with pytest.warns(kt.errors.SolverWarning, match="Kaplan-Meier curve of all rows"):
        fitted = fit_event(durations, 1, Cox(), event[:, None] * 1.0, 20.0, np.random.default_rng(0))
    want = fit_event(durations, 1, Marginal(), None, 20.0, np.random.default_rng(0))
    np.testing.assert_array_equal(fitted.through(time), want.through(time))


def test_strata_of_events():
    time, event, x = tied(200, 4)
    group = (x > 0).astype(float)
    fitted = fit_event(Durations(time, event), 1, Strata(), group[:, None], 5.0, np.random.default_rng(0))
    i, s = 3, group == group[3]
    assert fitted.through(np.full(200, 2.0))[i] == pytest.approx(
        plain.event_survival(time[s], event[s], np.ones(s.sum()), 2.0), rel=1e-12
    )


def test_independent_columns():
    rng = np.random.default_rng(0)
    a = rng.normal(size=(50, 2))
    x = np.column_stack((np.ones(50), a, a.sum(axis=1), 1e6 * a[:, 0] + 3))
    np.testing.assert_array_equal(independent_columns(x), a)
    assert isinstance(pseudo_outcome(weights([1.0, 2.0], [1, 1], tau=2.0), np.ones(2)), PseudoOutcome)
