"""Censoring weights: against their definitions, lifelines, identities, invariances; bad input."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize

import karat as kt
from karat.censoring import Cox, Function, Kernel, Learned, Marginal, Strata
from karat.errors import ArgumentError, ConvergenceError, DataError, PositivityWarning

from ..profiles import examples
from . import plain

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "leaders_lifelines.json").read_text())
weights = kt.censoring.weights


def leaders():
    c = {k: np.array(v) for k, v in GOLDEN["counts"].items()}
    rows = np.repeat(np.arange(len(c["rows"])), c["rows"])
    return c["duration"][rows].astype(float), c["observed"][rows], c["democracy"][rows]


def tied(n, seed, levels=12):
    rng = np.random.default_rng(seed)
    v = rng.normal(size=n)
    t = np.ceil(levels / 3 * rng.exponential(np.exp(0.3 * v)))
    c = np.ceil(levels / 3 * rng.exponential(1.5 * np.exp(-0.3 * v)))
    return np.minimum(t, c), (t <= c).astype(int), v


def smooth(n, seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 2))
    t = rng.exponential(np.exp(0.4 * x[:, 0]))
    c = rng.exponential(2.0 * np.exp(-0.5 * x[:, 0] + 0.3 * x[:, 1]))
    return np.minimum(t, c), (t <= c).astype(int), x


@pytest.mark.parametrize("case", GOLDEN["cases"], ids=lambda c: f"{c['rows']}-{c['tau']}")
def test_weighted_mean_of_leaders_is_the_kaplan_meier_restricted_mean(case):
    time, event, regime = leaders()
    keep = slice(None) if case["rows"] == "all" else regime == case["rows"]
    w = weights(time[keep], event[keep], tau=case["tau"])
    assert np.mean(w.values * w.restricted) == pytest.approx(case["restricted_mean"], rel=1e-12)
    alive = (time[keep] > case["tau"]) | (
        (time[keep] == case["tau"]) & (event[keep] == 0)
    )  # events come before censorings
    assert np.mean(w.values * alive) == pytest.approx(case["survival"], rel=1e-12)
    assert w.values.mean() == pytest.approx(1.0, rel=1e-12)
    seen = (event[keep] == 1) & (time[keep] <= case["tau"])
    assert np.mean(w.values * ~seen) == pytest.approx(case["survival"], rel=1e-12)
    assert np.mean(w.values * seen) == pytest.approx(1 - case["survival"], rel=1e-12)


@examples(40)
@given(st.integers(0, 10**6), st.integers(4, 40), st.integers(1, 12), st.booleans())
def test_identities_hold_on_any_tied_data(seed, n, levels, weighted):
    rng = np.random.default_rng(seed)
    time, event = rng.integers(0, levels + 1, n).astype(float), rng.integers(0, 2, n)
    time[0], event[0] = levels + 1, 1
    v = rng.integers(1, 4, n).astype(float) if weighted else np.ones(n)
    tau = float(rng.integers(1, levels + 2))
    w = weights(time, event, tau=tau, weights=v if weighted else None, floor=0)
    assert np.average(w.values, weights=v) == pytest.approx(1.0, rel=1e-12)
    assert np.average(w.values * w.restricted, weights=v) == pytest.approx(
        plain.restricted_mean(time, event, v, tau), rel=1e-12
    )
    seen = (event == 1) & (time <= tau)
    gone = 1 - plain.event_survival(time, event, v, tau)
    assert np.average(w.values * seen, weights=v) == pytest.approx(gone, rel=1e-12, abs=1e-14)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("make", [tied, smooth])
def test_marginal_and_strata_are_product_limits(make, weighted):
    time, event, _ = make(150, 3)
    rng = np.random.default_rng(0)
    v = rng.uniform(0.5, 3, 150) if weighted else np.ones(150)
    group = rng.choice(["a", "b", "c"], 150)
    given_weights = v if weighted else None
    tau = float(np.quantile(time, 0.8))
    for method, codes in (("marginal", np.zeros(150)), ("strata", group)):
        w = weights(time, event, tau=tau, censoring=method, covariates=group, weights=given_weights)
        for strict, found in ((True, w.censoring.before(w.restricted)), (False, w.censoring.through(w.restricted))):
            want = [
                plain.censoring_survival(time[s], event[s], v[s], u, strict)
                for u, s in ((u, codes == codes[i]) for i, u in enumerate(w.restricted))
            ]
            np.testing.assert_allclose(found, want, rtol=1e-12)
        np.testing.assert_allclose(w.survival, w.censoring.before(w.restricted), rtol=1e-13)
    new = w.censoring.before_new(np.array([1.0, 1.0]), np.array(["b", "a"]))
    np.testing.assert_array_equal(
        new, w.censoring.before([1.0, 1.0], [np.argmax(group == "b"), np.argmax(group == "a")])
    )


@pytest.mark.filterwarnings("ignore::karat.errors.PositivityWarning")
@pytest.mark.parametrize("make", [tied, smooth])
def test_beran_is_a_kernel_product_limit(make):
    time, event, v = make(120, 5)
    v = v if v.ndim == 1 else v[:, 0]
    s = np.random.default_rng(1).uniform(0.5, 2, 120)
    tau = float(np.quantile(time, 0.8))
    for weight in (None, s):
        w = weights(time, event, tau=tau, censoring=Kernel(exact=True), covariates=v, weights=weight, floor=0)
        effective = 120 if weight is None else s.sum() ** 2 / (s**2).sum()
        mean = np.average(v, weights=weight)
        h = 2.5 * np.sqrt(np.average((v - mean) ** 2, weights=weight)) * effective ** (-1 / 3)
        for strict, found in ((True, w.censoring.before(w.restricted)), (False, w.censoring.through(w.restricted))):
            want = [
                plain.beran(time, event, np.ones(120) if weight is None else s, v, h, v[i], u, strict)
                for i, u in enumerate(w.restricted)
            ]
            np.testing.assert_allclose(found, want, rtol=1e-10)
        np.testing.assert_allclose(w.survival, w.censoring.before(w.restricted), rtol=1e-13)


def test_beran_at_anchors_is_close_to_exact_and_reads_new_rows():
    time, event, x = smooth(4000, 11)
    tau = float(np.quantile(time, 0.85))
    exact = weights(time, event, tau=tau, censoring=Kernel(exact=True), covariates=x[:, 0])
    near = weights(time, event, tau=tau, censoring="kernel", covariates=x[:, 0])
    coarse = weights(time, event, tau=tau, censoring=Kernel(anchors=50), covariates=x[:, 0])
    error = np.abs(near.survival / exact.survival - 1)
    assert error.mean() < 1e-3
    assert np.median(error) < 2e-4
    assert error.mean() < np.abs(coarse.survival / exact.survival - 1).mean() / 3
    same = near.censoring.before_new(near.restricted, x[:, 0])
    np.testing.assert_allclose(same, near.censoring.before(near.restricted), rtol=1e-14)
    with pytest.raises(DataError, match="outside the range"):
        near.censoring.before_new([1.0], [99.0])
    top = float(x[:, 0].max())
    with pytest.warns(PositivityWarning, match="1 row.* they read the estimate at its end"):
        assert near.censoring.before_new([1.0], [top + 1]) == near.censoring.before_new([1.0], [top])


def test_beran_within_strata_is_beran_in_each():
    time, event, x = smooth(600, 2)
    group = np.where(x[:, 1] > 0, 1.0, 0.0)
    tau = float(np.quantile(time, 0.8))
    both = weights(
        time, event, tau=tau, censoring=Kernel("v", within="g"), covariates=np.column_stack((x[:, 0], group))
    )
    for g in (0.0, 1.0):
        s = group == g
        alone = weights(time[s], event[s], tau=tau, censoring="kernel", covariates=x[s, 0])
        np.testing.assert_allclose(both.survival[s], alone.survival, rtol=1e-13)
    again = both.censoring.before_new(both.restricted, np.column_stack((x[:, 0], group)))
    np.testing.assert_allclose(again, both.survival, rtol=1e-13)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("make", [tied, smooth])
def test_cox_maximises_the_partial_likelihood(make, weighted):
    time, event, x = make(200, 9)
    x = x[:, None] if x.ndim == 1 else x * [1.0, 50.0]
    v = np.random.default_rng(0).uniform(0.5, 2, 200) if weighted else np.ones(200)
    w = weights(time, event, tau=float(np.median(time)), censoring="cox", covariates=x, weights=v if weighted else None)
    scale = x.std(axis=0)
    best = (
        minimize(lambda b: -plain.cox_loglik(time, event, v, x / scale, b), np.zeros(x.shape[1]), tol=1e-12).x / scale
    )
    np.testing.assert_allclose(w.censoring.coefficients, best, rtol=2e-4)
    beta, i = w.censoring.coefficients, 7
    risk = v * np.exp(x @ beta)
    hazard = sum(
        v[j] / risk[(time > time[j]) | ((time == time[j]) & (event == 0))].sum()
        for j in np.flatnonzero((event == 0) & (time < w.restricted[i]))
    )
    assert w.survival[i] == pytest.approx(np.exp(-hazard * np.exp(x[i] @ beta)), rel=1e-10)


def test_cox_agrees_with_statsmodels():
    from statsmodels.duration.hazard_regression import PHReg

    time, event, x = smooth(500, 4)
    w = weights(time, event, tau=1.0, censoring="cox", covariates=x)
    reference = PHReg(time, x, status=1 - event, ties="breslow").fit()
    np.testing.assert_allclose(w.censoring.coefficients, reference.params, rtol=1e-6)


@pytest.mark.filterwarnings("ignore::karat.errors.PositivityWarning")
@pytest.mark.parametrize("learner", ["forest", "boosting", "logit"])
def test_learners_find_who_is_censored(learner):
    time, event, x = smooth(1500, 21)
    true = np.exp(-np.minimum(time, 1.5) / (2.0 * np.exp(-0.5 * x[:, 0] + 0.3 * x[:, 1])))
    w = weights(time, event, tau=1.5, censoring=learner, covariates=x, seed=1)
    flat = weights(time, event, tau=1.5)
    assert "cross-fitted in 5 folds" in w.summary()
    assert np.mean((w.survival - true) ** 2) < 0.45 * np.mean((flat.survival - true) ** 2)
    assert w.values.mean() == pytest.approx(1.0, abs=0.06)


def test_a_tree_of_the_interval_alone_is_kaplan_meier():
    from sklearn.tree import DecisionTreeClassifier

    time, event, _ = tied(400, 8)
    how = Learned(DecisionTreeClassifier(), intervals=50, folds=0)
    w = weights(time, event, tau=6.0, censoring=how, covariates=np.zeros((400, 1)))
    np.testing.assert_allclose(w.survival, weights(time, event, tau=6.0).survival, rtol=1e-10)


def test_a_users_function():
    time, event, x = smooth(50, 1)
    w = weights(time, event, tau=0.5, censoring=lambda t, v: np.exp(-t * v[:, 0] ** 2), covariates=x)
    np.testing.assert_allclose(w.survival, np.maximum(np.exp(-w.restricted * x[:, 0] ** 2), 1e-3))
    with pytest.raises(DataError, match="probabilities"):
        weights(time, event, tau=0.5, censoring=Function(lambda t, v: 1 + t))
    with pytest.raises(ArgumentError, match="shape"):
        weights(time, event, tau=0.5, censoring=Function(lambda t, v: np.ones(3)))


@pytest.mark.parametrize("method", ["marginal", "strata", "kernel"])
@pytest.mark.filterwarnings("ignore::karat.errors.PositivityWarning")
@pytest.mark.parametrize("weighted", [False, True])
def test_leave_one_out_is_an_estimate_without_the_row(method, weighted):
    time, event, x = tied(60, 14)
    v = np.random.default_rng(3).choice([0.5, 1.0, 2.0], 60) if weighted else np.ones(60)
    covariate = x if method == "kernel" else (x > 0).astype(int)
    how = Kernel(exact=True, bandwidth=1.1) if method == "kernel" else method
    w = weights(time, event, tau=5.0, censoring=how, covariates=covariate, weights=v if weighted else None,
                leave_one_out="floor", floor=1e-6)  # fmt: skip
    for i in range(60):
        k = v.copy()
        if method == "kernel":
            k = k * np.maximum(0.75 * (1 - ((x - x[i]) / 1.1) ** 2), 0)
        elif method == "strata":
            k = k * (covariate == covariate[i])
        k[i] = 0
        last = plain.censoring_survival(time, event, k, w.restricted[i])
        assert w.survival[i] == pytest.approx(max(last, 1e-6), rel=1e-9)


def test_leave_one_out_zeros_are_replaced_and_counted():
    time, event = np.array([1.0, 2.0, 3.0, 4.0]), np.array([1, 1, 0, 1])
    own = weights(time, event, tau=4.0, leave_one_out="self")
    assert own.replaced == 1
    assert own.survival[-1] == 0.5
    assert "1 estimate(s) of 0 replaced (self)" in own.summary()
    with pytest.warns(PositivityWarning, match="raised to it"):
        low = weights(time, event, tau=4.0, leave_one_out="floor", floor=0.01)
    assert low.n_floored == 1
    assert low.values[-1] == pytest.approx(100)
    with pytest.raises(DataError, match="is 0 in 1 complete row"):
        weights(time, event, tau=4.0, leave_one_out="floor", floor=0)


def test_cross_fitting_uses_the_other_folds_only():
    time, event, x = smooth(300, 6)
    cluster = np.arange(300) // 3
    w = weights(time, event, tau=0.8, censoring=Strata(), covariates=x[:, 0] > 0, folds=3, cluster=cluster, seed=2)
    fold = w.censoring.fold
    assert all(len(set(fold[cluster == c])) == 1 for c in range(100))
    i = 17
    rest = (fold != fold[i]) & ((x[:, 0] > 0) == (x[i, 0] > 0))
    want = plain.censoring_survival(time[rest], event[rest], np.ones(rest.sum()), w.restricted[i])
    assert w.survival[i] == pytest.approx(want, rel=1e-12)
    assert w.censoring.before_new([0.3], [True])[0] > 0


@pytest.mark.filterwarnings("ignore::karat.errors.PositivityWarning")  # 40 rows: nobody complete near some of them
@examples(25)
@given(st.integers(0, 10**6), st.sampled_from(["marginal", "strata", "kernel", "cox"]))
def test_order_of_rows_scale_of_time_and_duplicates(seed, method):
    time, event, v = tied(40, seed)
    event[:2] = (0, 1)
    if method == "strata":
        v = (v > 0).astype(float)
    how = Kernel(bandwidth=1.0) if method == "kernel" else method
    tau = 4.0 if time.max() > 4 else float(time.max())
    if time.max() <= tau and not event[time == time.max()].all():
        event[time == time.max()] = 1
    try:
        base = weights(time, event, tau=tau, censoring=how, covariates=v, floor=0)
    except ConvergenceError:
        return
    p = np.random.default_rng(seed).permutation(40)
    moved = weights(3 * time[p], event[p], tau=3 * tau, censoring=how, covariates=v[p], floor=0)
    np.testing.assert_allclose(moved.values, base.values[p], rtol=1e-6)
    twice = np.repeat(np.arange(40), 1 + (p > 20))
    counted = weights(time, event, tau=tau, censoring=how, covariates=v, weights=1.0 + (p > 20), floor=0)
    copied = weights(time[twice], event[twice], tau=tau, censoring=how, covariates=v[twice], floor=0)
    np.testing.assert_allclose(copied.values, counted.values[twice], rtol=1e-6)


def test_horizon_chosen_and_reported():
    time, event, x = smooth(1000, 5)
    w = weights(time, event, tau="auto")
    assert (time >= w.tau).sum() == 50
    assert "chosen" in w.summary()
    group = (x[:, 0] > 1.2).astype(int)
    by = weights(time, event, tau="auto", censoring="strata", covariates=group)
    assert min(np.sum((time >= by.tau) & (group == g)) for g in (0, 1)) == 30


def test_no_censoring_before_the_horizon_gives_ones():
    time = np.array([1.0, 2.0, 5.0])
    for method in ("marginal", "cox", "kernel"):
        w = weights(time, [1, 1, 0], tau=4.0, censoring=method, covariates=[1.0, 2.0, 3.0])
        np.testing.assert_array_equal(w.values, 1.0)
    assert w.censoring.method == "no censoring"


def test_new_rows_and_grids():
    time, event, x = smooth(200, 5)
    for method in ("marginal", Kernel(), Cox(), Learned("logit", folds=0)):
        w = weights(time, event, tau=0.8, censoring=method, covariates=x[:, :1])
        np.testing.assert_allclose(w.weigh(time, event, x[:, :1]), w.values, rtol=1e-12)
        grid = np.tile([0.1, 0.5], (5, 1))
        wide = w.before(grid, np.arange(5))
        np.testing.assert_allclose(wide[:, 1], w.before(np.full(5, 0.5), np.arange(5)), rtol=1e-14)
        assert (w.through(grid, np.arange(5)) <= wide + 1e-15).all()


def test_diagnostics_by_group():
    time, event, x = smooth(500, 5)
    group = np.where(x[:, 0] > 0, "high", "low")
    w = weights(time, event, tau=1.0, censoring="strata", covariates=group)
    table = w.diagnostics(group)
    assert table.index.tolist() == ["high", "low"]
    rows = group == "high"
    assert table.loc["high", "rows"] == rows.sum()
    assert table.loc["high", "censored before tau"] == pytest.approx(np.mean(w.values[rows] == 0))
    assert table.loc["high", "effective complete rows"] == pytest.approx(
        w.values[rows].sum() ** 2 / (w.values[rows] ** 2).sum()
    )
    assert table.loc["high", "mean weight"] == pytest.approx(w.values[rows].mean())
    assert len(w.diagnostics()) == 1
    with pytest.warns(PositivityWarning, match="few rows carry much of the weight"):
        weights(np.arange(1.0, 101.0), np.tile([0, 0, 0, 1], 25), tau=99.5)


@pytest.mark.parametrize("method", ["strata", "kernel"])
def test_kinds_censored_throughout_are_warned_about(method):
    rng = np.random.default_rng(8)
    start = rng.integers(0, 20, size=2000)  # everything ends in year 20, so that the start decides about censoring
    duration = rng.exponential(4.0, size=2000)
    time, event = np.minimum(duration, 20 - start), duration <= 20 - start
    with pytest.warns(PositivityWarning, match="censored throughout before tau=10") as caught:
        w = weights(time, event, tau=10.0, censoring=method, covariates=start)
    if method == "strata":
        assert f"{int((start > 10).sum())} row(s)" in str(caught[0].message)
    assert w.diagnostics(start > 13).loc[True, "mean weight"] < 0.75
    marginal = weights(time, event, tau=10.0)
    assert np.mean(marginal.values * marginal.restricted) > np.mean(w.values * w.restricted) + 0.3


def test_values_are_frozen_and_picklable():
    time, event, x = smooth(60, 5)
    for method in (Marginal(), Strata(), Kernel(within=()), Cox(), Learned("boosting", folds=2)):
        v = x[:, 0] > 0 if isinstance(method, Strata) else x[:, 0]
        w = weights(time, event, tau=0.5, censoring=method, covariates=v)
        again = pickle.loads(pickle.dumps(w))
        np.testing.assert_array_equal(again.before(w.restricted), w.before(w.restricted))
        with pytest.raises(AttributeError):
            w.tau = 3


GOOD = {"time": [1.0, 2.0, 3.0, 4.0], "event": [1, 0, 1, 1], "tau": 3.0}


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"time": [-1.0, 2, 3, 4]}, DataError, "0 or more.*position 0"),
        ({"time": [np.nan, 2, 3, 4]}, DataError, "1 row"),
        ({"time": [np.inf, 2, 3, 4]}, DataError, "finite"),
        ({"time": ["a", 2, 3, 4]}, DataError, "numbers"),
        ({"time": [[1.0]] * 4}, ArgumentError, "one number per row"),
        ({"time": [], "event": []}, DataError, "empty"),
        ({"event": [1, 0, 1]}, ArgumentError, "event has shape"),
        ({"event": [1, 0, 2, 1]}, DataError, "event codes.*position 2"),
        ({"event": [1, 0, 0.5, 1], "competing": True}, DataError, "event codes"),
        ({"event": [1, 0, np.nan, 1]}, DataError, "event codes"),
        ({"event": [1, 0, 1, 0], "tau": 4.5}, ArgumentError, "beyond the last observed time 4"),
        ({"event": [0, 0, 0, 0]}, DataError, "all durations are censored"),
        ({"tau": 0}, ArgumentError, "tau=0"),
        ({"tau": True}, ArgumentError, "tau=True"),
        ({"tau": "max"}, ArgumentError, "'auto'"),
        ({"censoring": "km"}, ArgumentError, "'marginal'"),
        ({"censoring": "strata"}, ArgumentError, "covariates"),
        ({"censoring": "cox", "covariates": [1.0, 2.0]}, ArgumentError, "2 rows"),
        ({"censoring": "cox", "covariates": [1.0] * 4}, DataError, "constant"),
        ({"censoring": "cox", "covariates": [1.0, np.nan, 2, 3]}, DataError, "finite"),
        ({"censoring": "cox", "covariates": ["a", "b", "c", "d"]}, DataError, "numbers"),
        ({"censoring": "kernel", "covariates": [1.0] * 4}, DataError, "bandwidth"),
        ({"censoring": "strata", "covariates": np.array([1, None, 2, 2], object)}, DataError, "missing"),
        ({"weights": [1, 1, -1, 1]}, DataError, "weights"),
        ({"weights": [0, 0, 0, 0]}, DataError, "weights"),
        ({"floor": 1.0}, ArgumentError, "floor"),
        ({"leave_one_out": True}, ArgumentError, "leave_one_out"),
        ({"leave_one_out": "self", "folds": 2}, ArgumentError, "one of them"),
        ({"folds": 1}, ArgumentError, "folds"),
    ],
)
def test_bad_input(change, error, match):
    with pytest.raises(error, match=match):
        weights(**{**GOOD, **change})


def test_leave_one_out_needs_a_product_limit_at_every_row():
    time, event, x = smooth(80, 2)
    for method in ("cox", Kernel(anchors=5)):
        with pytest.raises(ArgumentError, match="folds="):
            weights(time, event, tau=0.8, censoring=method, covariates=x[:, 0], leave_one_out="self")
    with pytest.raises(ArgumentError, match="passes"):
        weights(np.arange(1.0, 251), np.tile([0, 1], 125), tau=9.0, weights=np.arange(1.0, 251), leave_one_out="self")


def test_separated_cox_says_so():
    time, event = np.arange(1.0, 21.0), np.tile([0, 1], 10)
    with pytest.raises((ConvergenceError, DataError), match="separates"):
        weights(time, event, tau=10.0, censoring="cox", covariates=(event == 0).astype(float) * 1.0)


def test_method_arguments():
    for bad in ({"anchors": 1}, {"bandwidth": 0}, {"within": "g"}):
        with pytest.raises(ArgumentError):
            Kernel(**bad)
    for bad in ({"intervals": 0}, {"folds": 1}, {"learner": "svm"}):
        with pytest.raises(ArgumentError):
            Learned(**bad)
    with pytest.raises(ArgumentError, match="names of columns"):
        Strata(3)
