"""Fixed effects of Poisson and logistic regressions: equal to pyfixest and to dummies written out."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import karat as kt
from karat.designs import Labelling
from karat.errors import ArgumentError, ConvergenceError, DataError, KaratError, SmallSampleWarning
from karat.estimate.absorb import FixedEffects
from karat.estimate.augment import AugmentedSample, Units
from karat.estimate.curved import empty, less_effects, noise_in_curvature
from karat.estimate.rows import Memory, Rows
from karat.moments import get

pytestmark = pytest.mark.filterwarnings("ignore::karat.errors.KaratWarning")
GOLDEN = Path(__file__).parents[1] / "golden"
CASES = json.loads((GOLDEN / "curved_pyfixest.json").read_text())
FITS = {"count": kt.poisson, "vote": kt.logit}
DUMMIES = {"state": "C(state)", "state + year": "C(state) + C(year)"}


@pytest.mark.parametrize(
    "case", json.loads((GOLDEN / "curved_pyfixest.json").read_text()), ids=lambda c: f"{c['formula']} {c['vcov']}"
)
def test_all_gold_is_pyfixest(case):
    data = pd.read_csv(GOLDEN / "curved_pyfixest.csv")
    outcome = case["formula"].split()[0]
    fit = FITS[outcome](case["formula"], data, surrogates={outcome: data[outcome]}, vcov=case["vcov"], seed=1)
    assert fit.n_units == case["n"]
    np.testing.assert_allclose(fit.theta, case["coefficients"], atol=1e-6)
    np.testing.assert_allclose(fit.se(), case["se"], atol=1e-6)
    assert sum(fit.sampling.dropped.values()) == len(data) - case["n"]


def panel(outcome="count", n=900, states=9, years=5, seed=1, gold=0.4):
    """An unbalanced panel whose outcome is labelled in a sample."""
    rng = np.random.default_rng(seed)
    state, year = (rng.random(n) ** 1.3 * states).astype(int), rng.integers(0, years, n)
    a, b = 0.4 * rng.normal(size=states), 0.3 * rng.normal(size=years)
    x, z = rng.normal(size=n) + 0.4 * a[state], rng.normal(size=n)
    eta = 0.6 * x - 0.3 * z + a[state] + b[year]
    if outcome == "count":
        y = rng.poisson(np.exp(eta)).astype(float)
        llm = np.maximum(y + rng.integers(-1, 2, n), 0.0)
    else:
        y = (rng.random(n) < 1 / (1 + np.exp(-eta))).astype(float)
        llm = np.where(rng.random(n) < 0.12, 1 - y, y)
    data = pd.DataFrame({"state": state, "year": year, "x": x, "z": z, outcome: y, "llm": llm})
    data["v"] = rng.uniform(0.5, 2, n)
    data.loc[rng.random(n) > gold, outcome] = np.nan
    return data


@pytest.mark.parametrize("outcome", FITS)
@pytest.mark.parametrize("effects", DUMMIES)
@pytest.mark.parametrize("vcov", ["HC0", "HC3", {"CRV0": "state"}, {"CRV3": "state"}], ids=str)
def test_weight_one_is_the_regression_with_dummies(outcome, effects, vcov):
    if effects == "state + year" and vcov == {"CRV3": "state"}:
        vcov = "HC2"
    data = panel(outcome)
    options = {
        "surrogates": {outcome: "llm"},
        "learner": None,
        "tuning": None,
        "design": kt.Bernoulli(0.4),
        "vcov": vcov,
    }
    options["weights"] = "v"
    one = FITS[outcome](f"{outcome} ~ x + z | {effects}", data, **options)
    other = FITS[outcome](f"{outcome} ~ x + z + {DUMMIES[effects]}", data, **options)
    at = [other.names.index(name) for name in one.names]
    for mine, theirs in zip(one.comparison.columns, other.comparison.columns):
        np.testing.assert_allclose(mine.theta, theirs.theta[at], rtol=1e-8, err_msg=mine.title)
        loose = mine.title == "DSL" and vcov in ("HC2", "HC3")  # what the draw made of squares is seen in slopes alone
        np.testing.assert_allclose(mine.se, theirs.se[at], rtol=0.03 if loose else 1e-7, err_msg=mine.title)


@pytest.mark.parametrize("effects", DUMMIES)
@pytest.mark.parametrize("outcome", FITS)
def test_weights_of_the_surrogates_are_about_those_with_dummies(outcome, effects):
    data = panel(outcome)
    options = {"surrogates": {outcome: "llm"}, "seed": 1, "repeats": 1, "learner": "linear"}
    one = FITS[outcome](f"{outcome} ~ x + z | {effects}", data, **options)
    other = FITS[outcome](f"{outcome} ~ x + z + {DUMMIES[effects]}", data, **options)
    at = [other.names.index(name) for name in one.names]
    np.testing.assert_allclose(one.theta, other.theta[at], atol=0.3 * one.se().max())
    np.testing.assert_allclose(one.se(), other.se().iloc[at], rtol=0.1)


def noisy(outcome="count", seed=5):
    """Many groups with few gold rows, of which some have corrected totals below 0."""
    return panel(outcome, n=700, states=60, seed=seed, gold=0.15)


def totals(data, outcome, share):
    known = data[outcome].notna()
    augmented = data["llm"] + np.where(known, (data[outcome] - data["llm"]) / share, 0.0)
    return augmented, augmented.groupby(data["state"]).sum()


def test_counts_need_no_effect_that_a_group_cannot_have():
    data = noisy().drop(columns="z")
    augmented, sums = totals(data, "count", 0.15)
    assert (sums < 0).any()
    options = {"surrogates": {"count": "llm"}, "learner": None, "tuning": None, "design": kt.Bernoulli(0.15)}
    fit = kt.poisson("count ~ x | state", data, **options, vcov="HC0", target="finite")

    def parts(b):
        """Of the conditional score: columns less their mean, and curvature."""
        e = np.exp(b * data["x"])
        mean = (e * data["x"]).groupby(data["state"]).transform("sum") / e.groupby(data["state"]).transform("sum")
        left = data["x"] - mean
        share = e / e.groupby(data["state"]).transform("sum")
        return left, float((left**2 * share * data["state"].map(sums)).sum())

    left, curvature = parts(fit.theta[0])
    assert abs(float(left @ augmented)) < 1e-6 * curvature
    gold = data["count"].notna()
    error = (left * (data["count"] - data["llm"]))[gold] / curvature
    assert fit.covariance[0, 0] == pytest.approx(float(error @ error) * 0.85 / 0.15**2, rel=1e-6)


@pytest.mark.parametrize("outcome", FITS)
@pytest.mark.parametrize("vcov", ["HC3", {"CRV3": "state"}], ids=str)
def test_groups_with_noisy_totals_do_not_make_standard_errors_large(outcome, vcov):
    data = panel(outcome, n=1500, states=90, seed=5, gold=0.15)
    _, sums = totals(data, outcome, 0.15)
    size = data.groupby("state").size()
    assert ((sums <= 0) | ((sums >= size) & (outcome == "vote"))).any()
    options = {"surrogates": {outcome: "llm"}, "learner": None, "tuning": None, "design": kt.Bernoulli(0.15)}
    one, plain = (FITS[outcome](f"{outcome} ~ x + z | state", data, **options, vcov=v) for v in (vcov, "HC0"))
    np.testing.assert_allclose(one.se(), plain.se(), rtol=0.35)


def test_multiplying_counts_multiplies_nothing():
    data = noisy()
    options = {"learner": None, "design": kt.Bernoulli(0.15)}
    one = kt.poisson("count ~ x + z | state", data, surrogates={"count": "llm"}, **options)
    data["count"], data["llm"] = 3 * data["count"], 3 * data["llm"]
    other = kt.poisson("count ~ x + z | state", data, surrogates={"count": "llm"}, **options, tuning=None)
    again = kt.poisson("count ~ x + z | state", data.assign(count=data["count"] / 3, llm=data["llm"] / 3),
                       surrogates={"count": "llm"}, **options, tuning=None)  # fmt: skip
    np.testing.assert_allclose(other.theta, again.theta, rtol=1e-7)
    assert np.isfinite(one.se()).all()


def test_groups_that_tell_nothing_are_found_again_and_again():
    effects = FixedEffects(("a", "b"), np.array([[0, 0], [0, 1], [1, 1], [1, 2], [2, 2]]))
    y = np.array([0.0, 0.0, 1.0, 2.0, 3.0])
    np.testing.assert_array_equal(empty(effects, y, np.ones(5), get("poisson")), [True, True, False, False, False])
    ones = np.array([1.0, 1.0, 0.0, 1.0, 0.0])
    assert empty(effects, ones, np.ones(5), get("logit")).all()


def test_offsets_weights_and_resampling_go_with_effects():
    data = panel("count").assign(time=2.0)
    data.loc[::3, "time"] = 1.0
    options = {"surrogates": {"count": "llm"}, "learner": None, "tuning": None, "design": kt.Bernoulli(0.4)}
    one = kt.poisson("count ~ x + z + offset(np.log(time)) | state", data, **options, vcov="HC0")
    other = kt.poisson("count ~ x + z + offset(np.log(time)) + C(state)", data, **options, vcov="HC0")
    np.testing.assert_allclose(one.theta, other.theta[1:3], rtol=1e-8)
    np.testing.assert_allclose(one.se(), other.se().iloc[1:3], rtol=1e-7)


@pytest.mark.filterwarnings("default::karat.errors.SmallSampleWarning")
def test_a_logit_says_how_far_off_it_is_where_groups_are_small():
    data = panel("vote", n=900, states=100)
    with pytest.warns(SmallSampleWarning, match="too far from 0 by about"):
        fit = kt.logit("vote ~ x + z | state", data, surrogates={"vote": "llm"}, learner=None)
    assert any("too far from 0" in note for note in fit.notes)
    fine = kt.logit("vote ~ x + z | state", panel("vote", states=4), surrogates={"vote": "llm"}, learner=None)
    assert not any("too far from 0" in note for note in fine.notes)


@pytest.mark.parametrize(
    ("door", "formula", "options", "error", "match"),
    [
        (kt.poisson, "count ~ x + z | state", {"surrogates": {"x": "llm"}}, ArgumentError, r"C\(state\)"),
        (kt.probit, "count ~ x + z | state", {}, ArgumentError, "kt.poisson, kt.logit"),
        (kt.poisson, "count ~ x + z | state", {"vcov": {"CRV3": "year"}}, ArgumentError, "run across them: state"),
        (kt.poisson, "count ~ x + I(state * 2.0) | state", {}, DataError, "do not vary within state"),
        (kt.poisson, "count ~ x + z | year", {"estimator": "gold", "subset": "few"}, DataError, "degrees of freedom"),
    ],
)
def test_refused(door, formula, options, error, match):
    data = panel("count")
    data["few"] = (data["count"].isna()) | (data["count"].notna().cumsum() <= 4)
    with pytest.raises(error, match=match):
        door(formula, data, **{"surrogates": {"count": "llm"}, "seed": 1, **options})


def test_logit_is_refused_where_noise_decides_about_groups():
    data = panel("vote", n=700, states=200, gold=0.06, seed=2)
    with pytest.raises((DataError, ConvergenceError), match=r"label more units|did not converge"):
        kt.logit("vote ~ x + z | state", data, surrogates={"vote": "llm"}, learner=None, design=kt.Bernoulli(0.06))


def test_what_needs_effects_themselves_is_refused():
    data = panel("count")
    fit = kt.poisson("count ~ x + z | state", data, surrogates={"count": "llm"}, seed=1, learner=None)
    with pytest.raises(KaratError, match="levels are taken out"):
        fit.predict(data)
    for average in (kt.slopes, kt.predictions):
        with pytest.raises(ArgumentError, match="depend on them"):
            average(fit, data)
    assert "Fixed effects" in str(fit)
    assert fit.ratios().names == ("x", "z")


def test_noise_of_effects_is_put_back_into_the_curvature_of_what_the_population_adds():
    """Against dummies written out; over draws the curvature is then that of all labels, and is not without."""
    rng, n, share, found = np.random.default_rng(3), 1_000, 0.2, []
    codes = np.column_stack([rng.integers(0, 8, n), rng.integers(0, 4, n)])
    dummies = np.column_stack([pd.get_dummies(codes[:, 0]), pd.get_dummies(codes[:, 1]).iloc[:, 1:]]).astype(float)
    x = rng.normal(size=n)
    y = (rng.random(n) < 1 / (1 + np.exp(-0.5 * x))) * 1.0
    llm = np.where(rng.random(n) < 0.2, 1 - y, y)

    def curvature(outcome):
        """At the root with dummies: of each row, of the slope, and what is left of x."""
        design, b = np.column_stack([x, dummies]), np.zeros(dummies.shape[1] + 1)
        for _ in range(10):
            mu = 1 / (1 + np.exp(-design @ b))
            b += np.linalg.solve((design * (mu * (1 - mu))[:, None]).T @ design, design.T @ (outcome - mu))
        c, root = mu * (1 - mu), np.sqrt(mu * (1 - mu))
        left = x - dummies @ np.linalg.lstsq(dummies * root[:, None], x * root, rcond=None)[0]
        return c, float(left @ (c * left)), left, b[:1]

    without = curvature(y)[1]
    for _ in range(25):
        gold = np.flatnonzero(rng.random(n) < share)
        d, corrected = (y - llm)[gold], llm.copy()
        corrected[gold] += d / share
        c, plain, left, theta = curvature(corrected)
        inverse = np.linalg.inv((dummies * c[:, None]).T @ dummies)
        noise = (dummies[gold] * (d**2 * (1 - share) / share**2)[:, None]).T @ dummies[gold]
        lost = c**2 * np.einsum("ij,jk,ik->i", dummies, inverse @ noise @ inverse, dummies)
        found.append((plain, plain + left**2 @ lost))
    draw = Labelling(np.full(n, share), np.isin(np.arange(n), gold), fixed_size=False)
    units = Units(draw, effects=FixedEffects(("state", "year"), codes))
    predicted = Memory((Rows(x[:, None], llm),))
    sample = AugmentedSample(Rows(x[gold, None], y[gold]), predicted, units, ("x",), curved=get("logit"))
    lost = noise_in_curvature(less_effects(sample, get("logit"), "all"), theta, np.array([[1.0 / plain]]))
    assert 1.0 - lost[0, 0] == pytest.approx(plain / found[-1][1], rel=1e-5)
    noisy, free = np.mean(found, axis=0) / without
    assert noisy < 0.97
    assert free == pytest.approx(1.0, abs=0.02)
