"""Balance: exact covariance, directions fixed by the design, gold that is no draw."""

import itertools

import numpy as np
import pandas as pd
import pytest

import karat as kt
from karat.checks.balance import balance, frame_covariance, weight_total
from karat.designs import Labelling
from karat.frames import Table

RNG = np.random.default_rng(3)
SMALL = np.column_stack([RNG.standard_normal(6), RNG.random(6), np.arange(6.0) ** 2])
STRATUM = np.array([0, 0, 0, 1, 1, 1])
UNIT = np.array([0, 0, 1, 1, 1, 2])


def draws(kind):
    """Every possible draw of a tiny frame with its probability."""
    if kind == "simple random":
        chosen = [(c, 1.0) for c in itertools.combinations(range(6), 3)]
        return [(Labelling(np.full(6, 0.5), np.isin(np.arange(6), c), True), p) for c, p in chosen]
    if kind == "stratified":
        pi = np.array([2 / 3] * 3 + [1 / 3] * 3)
        chosen = [(*a, b) for a in itertools.combinations(range(3), 2) for b in range(3, 6)]
        return [(Labelling(pi, np.isin(np.arange(6), c), True, STRATUM), 1.0) for c in chosen]
    if kind == "clusters":
        chosen = itertools.combinations(range(3), 2)
        return [(Labelling(np.full(6, 2 / 3), np.isin(UNIT, c), True, None, UNIT), 1.0) for c in chosen]
    pi = np.array([0.2, 0.9, 0.5, 0.4, 1.0, 0.3])
    if kind == "bernoulli clusters":
        out = []
        for pattern in itertools.product([False, True], repeat=3):
            chance = np.array([0.3, 0.8, 0.5])
            p = float(np.where(pattern, chance, 1 - chance).prod())
            out.append((Labelling(chance[UNIT], np.array(pattern)[UNIT], False, None, UNIT), p))
        return out
    out = []
    for pattern in itertools.product([False, True], repeat=6):
        drawn = np.array(pattern)
        out.append((Labelling(pi, drawn, False), float(np.where(drawn, pi, 1 - pi).prod())))
    return out


@pytest.mark.parametrize("kind", ["simple random", "stratified", "clusters", "bernoulli", "bernoulli clusters"])
def test_covariance_is_that_of_all_possible_draws(kind):
    possible = draws(kind)
    weight = np.array([p for _, p in possible])
    weight = weight / weight.sum()
    mean = SMALL.mean(axis=0)
    totals = np.array([draw.weight @ (SMALL[draw.gold] - mean) for draw, _ in possible])
    middle = weight @ totals
    wanted = (totals - middle).T @ ((totals - middle) * weight[:, None])
    np.testing.assert_allclose(middle, 0, atol=1e-12)
    np.testing.assert_allclose(frame_covariance(possible[0][0], SMALL, mean), wanted, atol=1e-12)


def frame(n=600, seed=5):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(n)
    group = (x > 0).astype(int)
    return pd.DataFrame({"x": x, "group": group, "other": 1 - group, "z": rng.random(n), "author": np.arange(n) // 3})


def look(data, draw, columns=("x", "group", "other", "z")):
    return balance(data[list(columns)].to_numpy(float), tuple(columns), ("covariate",) * len(columns), draw)


def test_what_the_design_fixes_drops_out():
    data = frame()
    draw = kt.Stratified("group", n=90).select(Table.read(data), np.random.default_rng(1))
    found = look(data, draw)
    assert found.fixed == ("group", "other")
    assert found.df == 2
    assert 0.001 < found.p_value < 1
    assert not found.impossible
    assert np.isnan([r.p_value for r in found.rows if r.name == "group"]).all()
    alone = look(data, draw, ("group",))
    assert alone.df == 0
    assert "fixes" in alone.remark


def test_redundant_variables_change_nothing():
    data = frame().assign(twice=lambda d: 2 * d["x"] + 1)
    draw = kt.SimpleRandom(80).select(Table.read(data), np.random.default_rng(1))
    both, one = look(data, draw, ("x", "twice", "z")), look(data, draw, ("x", "z"))
    assert both.df == one.df == 2
    assert both.statistic == pytest.approx(one.statistic)


def test_gold_that_cannot_be_a_draw():
    data = frame()
    draw = kt.Stratified("group", n=90).select(Table.read(data), np.random.default_rng(1))
    moved = draw.labelled.copy()
    moved[np.flatnonzero(draw.labelled & (data["group"] == 1))[:10]] = False
    moved[np.flatnonzero(~draw.labelled & (data["group"] == 0))[:10]] = True
    forged = Labelling(draw.probability, moved, True, draw.stratum)
    assert look(data, forged).p_value < 1e-4


def test_rare_class_without_gold_is_no_alarm():
    data = frame().assign(rare=lambda d: (np.arange(len(d)) == 7).astype(float))
    labelled = np.zeros(len(data), dtype=bool)
    labelled[np.random.default_rng(0).choice(np.arange(8, len(data)), 60, replace=False)] = True
    found = look(data, Labelling(np.full(len(data), 0.1), labelled, True), ("x", "rare"))
    assert not found.impossible
    assert found.p_value > 0.01


def test_unknown_design_takes_its_covariance_from_the_gold():
    class Other(Labelling):
        def cross(self, left, right):
            return super().cross(left, right)

    data = frame()
    draw = kt.SimpleRandom(100).select(Table.read(data), np.random.default_rng(1))
    other = look(data, Other(draw.probability, draw.labelled, True), ("x", "z"))
    known = look(data, draw, ("x", "z"))
    assert np.isfinite(other.df_denominator)
    assert other.p_value == pytest.approx(known.p_value, abs=0.1)


def test_all_gold_has_no_balance():
    assert look(frame(), Labelling(np.ones(600), np.ones(600, dtype=bool), True)) is None


def test_sum_of_weights():
    data = frame()
    pi = np.linspace(0.05, 0.5, 600)
    draw = kt.Bernoulli(pi).select(Table.read(data), np.random.default_rng(1))
    found = weight_total(draw)
    assert found.se == pytest.approx(np.sqrt((1 / pi - 1).sum()))
    assert found.p_value > 0.01
    wrong = Labelling(np.sqrt(pi), draw.labelled, False)
    assert weight_total(wrong).p_value < 1e-6
    fixed = weight_total(kt.SimpleRandom(60).select(Table.read(data), np.random.default_rng(1)))
    assert fixed.se == 0
    assert fixed.p_value == 1
    lost = Labelling(np.full(600, 0.2), np.arange(600) < 60, True)
    assert weight_total(lost).p_value == 0


def test_unequal_probabilities_of_a_fixed_size():
    """Hajek's form against draws of a conditional Poisson sample (Poisson draws of that size)."""
    rng = np.random.default_rng(4)
    n, big_n = 30, 90
    x = np.column_stack([rng.standard_normal(big_n), rng.random(big_n)])
    working = 0.15 + 0.35 * rng.random(big_n)
    working *= n / working.sum()
    chosen = rng.random((150_000, big_n)) < working
    chosen = chosen[chosen.sum(axis=1) == n]
    pi = chosen.mean(axis=0)
    totals = chosen @ ((x - x.mean(axis=0)) / pi[:, None])
    found = frame_covariance(Labelling(pi, chosen[0], True), x, x.mean(axis=0))
    np.testing.assert_allclose(np.diag(found), np.diag(np.cov(totals.T)), rtol=0.06)
    weights = weight_total(Labelling(pi, chosen[0], True))
    assert weights.se == pytest.approx((chosen @ (1 / pi)).std(), rel=0.06)
