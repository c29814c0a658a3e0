"""Kaplan-Meier curves and plots of durations: against statsmodels, lifelines, influences by hand; bad input."""

import json
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.duration.survfunc import SurvfuncRight

import karat as kt
from karat.censoring import calibration, plot_calibration, plot_survival, plot_weights, survival_curve
from karat.censoring.curves import curves_by_group
from karat.errors import ArgumentError, DataError

from ..profiles import examples

matplotlib.use("Agg")
GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "leaders_lifelines.json").read_text())


def simulate(n, seed, levels=9):
    rng = np.random.default_rng(seed)
    t, c = np.ceil(levels / 3 * rng.exponential(size=n)), np.ceil(levels / 2 * rng.exponential(size=n))
    return np.minimum(t, c), (t <= c).astype(int), rng.uniform(1, 3, size=n)


@pytest.fixture(autouse=True)
def _close():
    yield
    plt.close("all")


# ---- curves --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("levels", [4, 60, 10**6])
def test_survival_and_greenwood_are_those_of_statsmodels(levels):
    time, event, _ = simulate(80, 1, levels)
    ours, theirs = survival_curve(time, event), SurvfuncRight(time, event)
    assert np.array_equal(ours.time, theirs.surv_times)
    assert np.allclose(ours.survival, theirs.surv_prob, atol=1e-12)
    inside = ours.survival > 0
    assert np.allclose(ours.std_error[inside], theirs.surv_prob_se[inside], atol=1e-12)
    assert np.array_equal(ours.at_risk, theirs.n_risk)
    assert ours.median() == theirs.quantile(0.5)


@pytest.mark.parametrize("case", GOLDEN["cases"], ids=lambda c: f"{c['rows']}-{c['tau']}")
def test_leaders_have_the_restricted_mean_of_lifelines(case):
    c = {k: np.array(v) for k, v in GOLDEN["counts"].items()}
    rows = np.repeat(np.arange(len(c["rows"])), c["rows"])
    if case["rows"] != "all":
        rows = rows[c["democracy"][rows] == case["rows"]]
    curve = survival_curve(c["duration"][rows], c["observed"][rows])
    assert curve.restricted_mean(case["tau"])[0] == pytest.approx(case["restricted_mean"], rel=1e-12)
    assert float(curve.at(case["tau"])) == pytest.approx(case["survival"], rel=1e-12)


@examples(25)
@given(st.integers(0, 10**6), st.integers(5, 40), st.sampled_from([4, 12, 10**6]))
def test_equal_weights_give_greenwood_and_scale_does_not_matter(seed, n, levels):
    time, event, w = simulate(n, seed, levels)
    plain, weighted = survival_curve(time, event), survival_curve(time, event, weights=np.full(n, 3.0))
    assert np.allclose(plain.std_error, weighted.std_error, atol=1e-12, equal_nan=True)
    a, b = survival_curve(time, event, weights=w), survival_curve(time, event, weights=10 * w)
    assert np.allclose(a.survival, b.survival, atol=1e-12)
    assert np.allclose(a.std_error, b.std_error, atol=1e-12, equal_nan=True)
    order = np.random.default_rng(seed).permutation(n)
    c = survival_curve(time[order], event[order], weights=w[order])
    assert np.allclose(a.std_error, c.std_error, atol=1e-12, equal_nan=True)


@pytest.mark.parametrize("levels", [7, 1000])
def test_weighted_variance_is_the_sum_of_squared_influences(levels):
    time, event, w = simulate(40, 2, levels)
    curve, tau, step = survival_curve(time, event, weights=w), float(np.median(time)), 1e-5
    survival, mean = [], []
    for i in range(40):
        up, down = (survival_curve(time, event, weights=w + s * step * (np.arange(40) == i)) for s in (1, -1))
        survival.append((up.survival - down.survival) / (2 * step))
        mean.append((up.restricted_mean(tau)[0] - down.restricted_mean(tau)[0]) / (2 * step))
    by_hand = np.sqrt(((w[:, None] * np.array(survival)) ** 2).sum(axis=0))
    inside = curve.survival > 1e-9
    assert np.allclose(curve.std_error[inside], by_hand[inside], atol=1e-8)
    assert curve.restricted_mean(tau)[1] == pytest.approx(np.sqrt(((w * np.array(mean)) ** 2).sum()), rel=1e-6)


def test_intervals_cover():
    rng, hits, means = np.random.default_rng(3), [], []
    for _ in range(600):
        t, c = rng.exponential(size=60), rng.exponential(2.0, size=60)
        curve = survival_curve(np.minimum(t, c), t <= c)
        k = np.searchsorted(curve.time, 1.0) - 1
        hits.append(curve.low[k] < np.exp(-1) < curve.high[k])
        mean, error = curve.restricted_mean(1.0)
        means.append(abs(mean - (1 - np.exp(-1))) < 1.96 * error)
    assert 0.925 < np.mean(hits) < 0.975  # Monte Carlo standard error .009
    assert 0.915 < np.mean(means) < 0.97


def test_intervals_by_hand():
    time, event, _ = simulate(50, 4)
    s = survival_curve(time, event)
    plain, log = survival_curve(time, event, interval="plain"), survival_curve(time, event, interval="log", alpha=0.1)
    k = 2
    assert plain.high[k] == pytest.approx(min(1, s.survival[k] + 1.959963985 * s.std_error[k]))
    assert log.low[k] == pytest.approx(s.survival[k] * np.exp(-1.644853627 * s.std_error[k] / s.survival[k]))
    half = 1.959963985 * s.std_error[k] / (s.survival[k] * np.log(s.survival[k]))
    assert s.low[k] == pytest.approx(np.exp(-np.exp(np.log(-np.log(s.survival[k])) - half)))
    assert ((s.low >= 0) & (s.high <= 1))[s.survival > 0].all()


def test_edges_of_curves():
    ended = survival_curve([1.0, 2.0], [1, 1])
    assert ended.survival.tolist() == [0.5, 0.0]
    assert np.isnan(ended.low[-1])
    assert ended.at([0.5, 1.0, 5.0]).tolist() == [1.0, 0.5, 0.0]
    assert ended.restricted_mean(9.0)[0] == 1.5
    going = survival_curve([1.0, 2.0], [1, 0])
    assert np.isnan(going.at(3.0))
    assert np.isnan(survival_curve([1.0], [0]).median())
    assert survival_curve([1.0], [0]).at(1.0) == 1.0
    assert going.risk_at([0.0, 1.0, 1.5, 2.5]).tolist() == [2, 2, 1, 0]
    assert going.to_frame().shape == (1, 7)
    with pytest.raises(ArgumentError, match="beyond the last time seen"):
        going.restricted_mean(3.0)
    with pytest.raises(ArgumentError, match="tau=0"):
        going.restricted_mean(0)
    with pytest.raises(ArgumentError, match="interval='wald'"):
        survival_curve([1.0], [1], interval="wald")
    with pytest.raises(DataError, match="group is missing"):
        curves_by_group([1.0, 2.0], [1, 1], ["a", None])
    with pytest.raises(ArgumentError, match="group has 1 values"):
        curves_by_group([1.0, 2.0], [1, 1], ["a"])


# ---- calibration ---------------------------------------------------------------------------------------------


def test_calibration_by_hand():
    predicted = np.array([1.0, 1.0, 1.1, 3.0, 3.0, 3.3])
    target, w = np.array([1.0, 2.0, 0.0, 4.0, 2.0, np.nan]), np.array([1.0, 2.0, 1.0, 1.0, 1.0, 0.0])
    table = calibration(predicted, target, w, n_bins=2)
    assert table["rows"].tolist() == [3, 3]
    assert table["complete"].tolist() == [3, 2]
    assert table["observed"].tolist() == [1.25, 3.0]
    assert table["predicted"].round(10).tolist() == [1.025, 3.0]
    assert table["std. error"][1] == pytest.approx(np.sqrt(2 * 0.25 * 2))
    assert len(calibration(np.ones(5), np.ones(5), np.ones(5))) == 1
    with pytest.raises(ArgumentError, match="bins=0"):
        calibration(predicted, target, w, n_bins=0)
    with pytest.raises(ArgumentError, match="shapes"):
        calibration(predicted, target[:2], w)
    with pytest.raises(DataError, match="no row is complete"):
        calibration(predicted, target, 0 * w)


def test_a_true_prediction_is_calibrated_although_rows_are_censored():
    rng = np.random.default_rng(5)
    x = rng.uniform(0.5, 2, size=20000)
    t, c = rng.exponential(x), rng.exponential(2.0, size=20000)
    fitted = kt.censoring.weights(np.minimum(t, c), t <= c, tau=2.0)
    truth = x * (1 - np.exp(-2 / x))
    table = calibration(truth, fitted.restricted, fitted.values, n_bins=8)
    assert (np.abs(table["observed"] - table["predicted"]) < 3.5 * table["std. error"]).all()
    seen = calibration(truth, fitted.restricted, fitted.complete.astype(float), n_bins=8)
    assert (seen["high"] < seen["predicted"]).sum() >= 6


# ---- plots ---------------------------------------------------------------------------------------------------


def test_survival_plot_draws_the_curves():
    time, event, w = simulate(90, 6)
    group = np.repeat(["b", "a", "c"], 30)
    ax = plot_survival(time, event, group=group, tau=5, unit="years")
    labels = [text.get_text() for text in ax.figure.legends[0].get_texts()]
    assert [label.split(" (")[0] for label in labels] == ["a", "b", "c"]
    line = ax.lines[0]
    curve = survival_curve(time[group == "a"], event[group == "a"])
    inside = curve.time <= min(5, curve.last)
    assert np.allclose(line.get_ydata()[1:-1], curve.survival[inside])
    assert np.allclose(line.get_xdata()[1:-1], curve.time[inside])
    assert len(ax.collections) == 3
    assert ax.get_xlabel() == "years"
    written = [text.get_text() for text in ax.texts]
    assert {"at risk", "a", "b", "c", "30"} <= set(written)
    bare = plot_survival(time, event, weights=w, interval=None, at_risk=False)
    assert not bare.collections
    assert not bare.texts
    axes = plt.subplots()[1]
    assert plot_survival(pd.Series(time), event == 1, group=pd.Series(group), ax=axes, title="T") is axes
    assert axes.get_title(loc="left") == "T"
    with pytest.raises(ArgumentError, match="at most 12"):
        plot_survival(time, event, group=np.arange(90))


def test_weights_plot_marks_floored_and_censored_rows():
    time, event, _ = simulate(200, 7, 30)
    with pytest.warns(kt.errors.PositivityWarning):
        fitted = kt.censoring.weights(time, event, tau=20, floor=0.3)
    assert fitted.n_floored > 0
    ax = plot_weights(fitted, unit="days")
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert f"floored at G = 0.3 ({fitted.n_floored})" in labels
    assert f"censored before tau, weight 0 ({int((~fitted.complete).sum())})" in labels
    drawn = sum(len(points.get_offsets()) for points in ax.collections)
    assert drawn == fitted.complete.sum()
    assert ax.get_xlabel() == "days, up to tau = 20"
    many = kt.censoring.weights(np.arange(1.0, 20001), np.arange(20000) % 3 > 0, tau=15000.0)
    assert max(len(points.get_offsets()) for points in plot_weights(many).collections) == 4000
    axes = plt.subplots()[1]
    assert plot_weights(fitted, ax=axes) is axes


def test_calibration_plot_draws_bins():
    rng = np.random.default_rng(8)
    table = calibration(rng.uniform(size=100), rng.uniform(size=100), np.ones(100), n_bins=5)
    ax = plot_calibration(table, unit="years", title="held out")
    assert ax.get_ylabel() == "observed years, weighted for censoring"
    assert len(ax.containers[0].lines[0].get_xdata()) == 5
    assert ax.get_title(loc="left") == "held out"
    with pytest.raises(ArgumentError, match="not a calibration"):
        plot_calibration(pd.DataFrame({"predicted": [1]}))
