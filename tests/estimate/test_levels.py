"""Levels of augmentation: draws enumerated, estimates by hand, and what they become where levels add nothing."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import karat as kt
from karat.designs import Labelling
from karat.designs.phases import Phases

from ..statistical.partly import cascade, corpus, partly

pytestmark = pytest.mark.filterwarnings("ignore:.*gold for only some of the labels:karat.errors.DesignWarning")
BOTH = {"a": "a_llm", "b": "b_llm"}
PLAIN = {"learner": None, "tuning": None, "vcov": "HC0", "compare": False, "seed": 1}


def simple(n_rows: int, rows: object) -> Labelling:
    """A simple random sample of these rows."""
    labelled = np.isin(np.arange(n_rows), list(rows))
    return Labelling(np.full(n_rows, labelled.mean()), labelled, True)


def moments(phases: list[Phases], probability: np.ndarray, errors: tuple[np.ndarray, ...]) -> tuple[np.ndarray, ...]:
    """Mean and variance of the total over all draws, and the mean of its estimated variance."""
    totals, found = [], []
    for one in phases:
        gold = one.full.gold
        parts = [one.full.weight @ errors[0][gold]]
        parts += [level.weight @ e[level.gold] for level, e in zip(one.levels, errors[1:])]
        totals.append(sum(parts))
        found.append(one.cross(tuple(e[gold] for e in errors)))
    away = np.array(totals) - probability @ np.array(totals)
    return probability @ np.array(totals), (away * probability[:, None]).T @ away, np.tensordot(probability, found, 1)


def test_nested_simple_random_samples_enumerated():
    errors = tuple(np.random.default_rng(1).normal(1.0, 1.0, (2, 6, 2)))
    every = [
        Phases.nested(simple(6, first), simple(4, second))
        for first in itertools.combinations(range(6), 4)
        for second in itertools.combinations(range(4), 2)
    ]
    mean, variance, expected = moments(every, np.full(len(every), 1 / len(every)), errors)
    np.testing.assert_allclose(mean, sum(errors).sum(axis=0))
    np.testing.assert_allclose(expected, variance, rtol=1e-10)


def test_crossed_simple_random_samples_enumerated_given_their_counts():
    errors = tuple(np.random.default_rng(2).normal(1.0, 1.0, (3, 6, 2)))
    patterns = np.array(sorted(set(itertools.permutations([3, 3, 1, 1, 2, 0]))))
    every = [Phases.crossed(*(simple(6, np.flatnonzero(p & k)) for k in (1, 2))) for p in patterns]
    mean, variance, expected = moments(every, np.full(len(every), 1 / len(every)), errors)
    np.testing.assert_allclose(mean, sum(errors).sum(axis=0))
    np.testing.assert_allclose(expected, variance, rtol=1e-10)


def test_crossed_independent_draws_enumerated():
    errors = tuple(np.random.default_rng(3).normal(1.0, 1.0, (3, 4, 2)))
    pi = np.random.default_rng(4).uniform(0.3, 0.9, (2, 4))
    every, probability = [], []
    for drawn in itertools.product([False, True], repeat=8):
        rows = np.array(drawn).reshape(2, 4)
        if not (rows[0] & rows[1]).any():
            continue
        every.append(Phases.crossed(*(Labelling(p, r, False) for p, r in zip(pi, rows))))
        probability.append(np.where(rows, pi, 1 - pi).prod())
    found, share = [], np.array(probability)
    for one in every:
        found.append(one.cross(tuple(e[one.full.gold] for e in errors)))
    joint = pi[0] * pi[1]
    c = np.array([1 / joint - 1, 1 / pi[0] - 1, 1 / pi[1] - 1, 1 / pi[0] - 1, 1 / pi[1] - 1])
    e, f, g = errors
    expected = sum(
        (left * k[:, None]).T @ right
        for k, left, right in (
            (c[0], e, e), (c[1], f, f), (c[2], g, g), (c[3], e, f), (c[3], f, e), (c[4], e, g), (c[4], g, e)
        )
    )  # fmt: skip
    np.testing.assert_allclose(np.tensordot(share, found, 1), expected, rtol=1e-10)


@pytest.mark.parametrize("stratified", [False, True])
def test_crossed_draws_of_other_kinds_by_repetition(stratified):
    """A simple random sample, and independent draws or another stratification: variances of 1,500 draws within 10 %."""
    rng = np.random.default_rng(6)
    n, groups = 200, np.arange(200) % 2
    errors = tuple(rng.normal([0.3, 0.0], 1.0, (3, n, 2)) + groups[:, None])
    pi = np.where(groups > 0, 0.6, 0.3)
    totals, found = [], []
    for _ in range(1500):
        rows = rng.random(n) < pi
        if stratified:
            drawn = [rng.choice(np.flatnonzero(groups == g), size, False) for g, size in ((0, 30), (1, 60))]
            rows = np.isin(np.arange(n), np.concatenate(drawn))
        second = Labelling(pi, rows, stratified, groups if stratified else None)
        one = Phases.crossed(simple(n, rng.choice(n, 80, replace=False)), second)
        parts = [one.full.weight @ errors[0][one.full.gold]]
        parts += [level.weight @ e[level.gold] for level, e in zip(one.levels, errors[1:])]
        totals.append(sum(parts))
        found.append(one.cross(tuple(e[one.full.gold] for e in errors)))
    away = np.mean(totals, axis=0) - sum(errors).sum(axis=0)
    assert (np.abs(away) < 4 * np.std(totals, axis=0) / np.sqrt(1500)).all()
    np.testing.assert_allclose(np.diag(np.mean(found, axis=0)), np.var(totals, axis=0), rtol=0.1)


def test_within_is_nested_whatever_is_told():
    first = simple(8, [0, 1, 2, 3, 5, 7])
    one, other = Phases.within(first, simple(8, [1, 5, 7])), Phases.nested(first, simple(6, [1, 4, 5]))
    e = tuple(np.random.default_rng(5).normal(size=(2, 3, 2)))
    np.testing.assert_allclose(one.cross(e), other.cross(e))
    np.testing.assert_allclose(one.full.weight, 8 / 3)
    independent = Phases.within(
        Labelling(np.full(4, 0.5), np.array([True, True, False, True]), False),
        Labelling(np.full(4, 0.2), np.array([True, False, False, False]), False),
    )
    assert independent.second is not None
    np.testing.assert_allclose(independent.second.probability, 0.4)


def by_hand(data: pd.DataFrame, formula_x: list[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weighted least squares on rows written out one by one; estimate, and both targets' covariances (HC0)."""
    n = len(data)
    has = {name: data[name].notna().to_numpy() for name in "ab"}
    full = has["a"] & has["b"]
    size = {"": n, "a": has["a"].sum(), "b": has["b"].sum(), "ab": full.sum()}
    w = {"a": has["a"] * n / size["a"], "b": has["b"] * n / size["b"], "ab": full * n / size["ab"]}
    rows = {}
    for known in ("", "a", "b", "ab"):
        columns = {c: np.where(has[c], data[c], data[f"{c}_llm"]) if c in known else data[f"{c}_llm"] for c in "ab"}
        rows[known] = np.column_stack([np.ones(n), *(columns[c] if c in columns else data[c] for c in formula_x)])
    weight = {"ab": w["ab"], "a": w["a"] - w["ab"], "b": w["b"] - w["ab"], "": 1 - w["a"] - w["b"] + w["ab"]}
    y = data["y"].to_numpy()
    gram = sum((rows[k] * weight[k][:, None]).T @ rows[k] for k in rows)
    theta = np.linalg.solve(gram, sum(rows[k].T @ (weight[k] * y) for k in rows))
    score = {k: (rows[k] * (y - rows[k] @ theta)[:, None])[full] for k in rows}
    e = {"a": score["a"] - score[""], "b": score["b"] - score[""]}
    e["ab"] = score["ab"] - score[""] - e["a"] - e["b"]
    meat = np.zeros_like(gram)
    for one, other in itertools.product(e, e):
        together = size["".join(sorted(set(one + other)))]
        s = np.cov(e[one].T, e[other].T)[: len(gram), len(gram) :]
        meat += n**2 * (together / (size[one] * size[other]) - 1 / n) * s
    inverse = np.linalg.inv(gram)
    population = n / size["ab"] * score["ab"].T @ score["ab"]
    return theta, inverse @ meat @ inverse.T, inverse @ (meat + population) @ inverse.T


@pytest.fixture(scope="module")
def crossed() -> pd.DataFrame:
    rng = np.random.default_rng(11)
    return partly("crossed", corpus(False, 1500, rng), 0.3, rng)[1]


def test_ols_by_hand(crossed):
    theta, finite, whole = by_hand(crossed, ["a", "b", "x"])
    for target, covariance in (("finite", finite), ("superpopulation", whole)):
        fit = kt.ols("y ~ a + b + x", crossed, surrogates=BOTH, target=target, **PLAIN)
        np.testing.assert_allclose(fit.theta, theta, rtol=1e-9)
        np.testing.assert_allclose(fit.covariance, covariance, rtol=1e-8)


def test_cascade_by_hand():
    data = cascade("cascade", corpus(False, 1500, np.random.default_rng(17)), 0.4, np.random.default_rng(18))[1]
    n, asked, gold = len(data), data["a_large"].notna().to_numpy(), data["a"].notna().to_numpy()
    sizes = asked.sum(), gold.sum()
    rows = [np.column_stack([np.ones(n), data[c].fillna(0), data["x"]]) for c in ("a_llm", "a_large", "a")]
    w = asked * n / sizes[0], gold * n / sizes[1]
    y = data["y"].to_numpy()
    weights = 1 - w[0], w[0] - w[1], w[1]
    gram = sum((x * v[:, None]).T @ x for x, v in zip(rows, weights))
    theta = np.linalg.solve(gram, sum(x.T @ (v * y) for x, v in zip(rows, weights)))
    cheap, strong, m = ((x * (y - x @ theta)[:, None])[gold] for x in rows)
    meat = n**2 * (
        (1 / sizes[0] - 1 / n) * np.cov((m - cheap).T) + (1 / sizes[1] - 1 / sizes[0]) * np.cov((m - strong).T)
    )
    inverse = np.linalg.inv(gram)
    fit = kt.ols("y ~ a + x", data, surrogates={"a": kt.Cascade("a_llm", "a_large")}, **PLAIN)
    np.testing.assert_allclose(fit.theta, theta, rtol=1e-9)
    np.testing.assert_allclose(fit.labelling_covariance, inverse @ meat @ inverse.T, rtol=1e-8)
    whole = inverse @ (meat + n / sizes[1] * m.T @ m) @ inverse.T
    np.testing.assert_allclose(fit.covariance, whole, rtol=1e-8)


def test_full_rows_alone_are_the_fit_without_levels(crossed):
    full = crossed["a"].notna() & crossed["b"].notna()
    fit = kt.ols("y ~ a + b + x", crossed, surrogates=BOTH, seed=3, repeats=2)
    base = kt.ols("y ~ a + b + x", crossed, surrogates=BOTH, seed=3, repeats=2, labelled=full.to_numpy())
    column = next(one for one in fit.compare().columns if one.title == "Full rows only")
    np.testing.assert_allclose(column.theta, base.theta, rtol=1e-10)
    np.testing.assert_allclose(column.se, np.sqrt(np.diag(base.covariance)), rtol=1e-8)
    assert (np.sqrt(np.diag(fit.covariance)) < column.se).all()


def test_a_label_known_everywhere_is_a_covariate(crossed):
    rng = np.random.default_rng(12)
    data = corpus(False, 1500, rng)
    data["b"] = data["b"].where(kt.SimpleRandom(200).draw(data, seed=1).labelled)
    fit = kt.ols("y ~ a + b", data, surrogates=BOTH, **PLAIN)
    known = kt.ols("y ~ a + b", data, surrogates={"b": "b_llm"}, **PLAIN)
    np.testing.assert_allclose(fit.theta, known.theta, rtol=1e-9)
    np.testing.assert_allclose(fit.covariance, known.covariance, rtol=1e-8)


@pytest.mark.parametrize("model", ["ols", "logit"])
def test_a_strong_label_of_all_rows_is_the_surrogate(model):
    rng = np.random.default_rng(13)
    data = corpus(model == "logit", 1500, rng)
    data["a"] = data["a"].where(kt.SimpleRandom(300).draw(data, seed=1).labelled)
    fit = kt.regress("y ~ a + x", data, model=model, surrogates={"a": kt.Cascade("a_llm", "a_large")}, **PLAIN)
    plain = kt.regress("y ~ a + x", data, model=model, surrogates={"a": "a_large"}, **PLAIN)
    np.testing.assert_allclose(fit.theta, plain.theta, rtol=1e-7)
    np.testing.assert_allclose(fit.covariance, plain.covariance, rtol=1e-6)


def test_all_gold_is_the_complete_fit():
    rng = np.random.default_rng(14)
    data = corpus(False, 400, rng)
    fit = kt.ols("y ~ a + x", data, surrogates={"a": kt.Cascade("a_llm", "a_large")}, vcov="HC0")
    x = np.column_stack([np.ones(400), data["a"], data["x"]])
    inverse = np.linalg.inv(x.T @ x)
    theta = inverse @ x.T @ data["y"]
    score = x * (data["y"] - x @ theta).to_numpy()[:, None]
    np.testing.assert_allclose(fit.theta, theta)
    np.testing.assert_allclose(fit.covariance, inverse @ score.T @ score @ inverse, rtol=1e-9)
    np.testing.assert_allclose(fit.labelling_covariance, 0.0, atol=1e-15)


@given(st.floats(-50, 50), st.floats(0.1, 10), st.permutations(range(600)))
@settings(max_examples=4, deadline=None)
def test_invariances(shift, scale, order):
    """A constant in the strong label of a mean, the size of weights, and the order of rows change nothing."""
    _, data = cascade("cascade", corpus(False, 600, np.random.default_rng(15)), 0.5, np.random.default_rng(16))
    data["score"] = data["a"] + 0.3 * data["x"]
    more = PLAIN | {"vcov": "HC3", "surrogates": {"score": kt.Cascade("b_llm", "a_large")}}
    moved = data.assign(a_large=data["a_large"] + shift, v=scale).iloc[list(order)]
    for formula in ("score ~ 1", "x ~ score"):
        fit = kt.ols(formula, data, **more)
        other = kt.ols(formula, moved if formula == "score ~ 1" else moved.assign(a_large=moved["a_large"] - shift),
                       weights="v", **more)  # fmt: skip
        np.testing.assert_allclose(other.theta, fit.theta, atol=1e-11 * (1 + abs(shift)))
        np.testing.assert_allclose(other.covariance, fit.covariance, rtol=1e-8)


def test_estimated_weights_have_the_smallest_variance(crossed):
    finite = PLAIN | {"target": "finite", "vcov": "HC3", "surrogates": BOTH}
    one = kt.ols("y ~ a + b + x", crossed, **finite)
    tuned = kt.ols("y ~ a + b + x", crossed, **(finite | {"tuning": "coefficient"}))
    assert (np.diag(tuned.covariance) < 1.03 * np.diag(one.covariance)).all()
    assert set(tuned.choice) == {"levels"}
