"""Two learners averaged: the weight against least squares written out, and what it does to the guess."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from karat.frames.matrices import Block, Features
from karat.predict import Target, crossfit, learners
from karat.predict.stacked import Stacked, share_of_second

N, GOLD = 800, 320


@settings(max_examples=20)
@given(seed=st.integers(0, 2**20), classes=st.sampled_from([0, 2, 3]), weighted=st.booleans())
def test_the_weight_against_weighted_least_squares(seed, classes, weighted):
    """One slope and its heteroskedastic standard error (HC0 over clusters of a row's classes), then drawn to a half."""
    rng = np.random.default_rng(seed)
    shape = (60, classes) if classes else (60,)
    first, second = rng.random(shape), rng.random(shape)
    actual = rng.uniform() * first + rng.uniform() * second + rng.standard_normal(shape) * rng.choice([0.05, 0.5])
    weight = rng.uniform(0.2, 2.0, 60) if weighted else None
    own = np.ones(60) if weight is None else weight
    slope, bread, meat = 0.0, 0.0, 0.0
    for i in range(60):
        d = np.atleast_1d(second[i] - first[i])
        bread += own[i] * d @ d
        slope += own[i] * d @ np.atleast_1d(actual[i] - first[i])
    slope /= bread
    for i in range(60):
        d = np.atleast_1d(second[i] - first[i])
        meat += (own[i] * d @ (np.atleast_1d(actual[i] - first[i]) - slope * d)) ** 2
    error = meat / bread**2
    expected = min(max((slope / error + 0.5 * 12) / (1 / error + 12), 0.0), 1.0)
    assert share_of_second(actual, first, second, weight) == pytest.approx(expected, abs=1e-10)


def test_the_weight_at_its_ends():
    rng = np.random.default_rng(1)
    y, first = rng.standard_normal(4_000), np.zeros(4_000)
    noise = rng.standard_normal(4_000)
    assert share_of_second(y, first, first, None) == 0.0  # the same predictions
    assert share_of_second(y, first, y, None) == 1.0
    assert share_of_second(y, first, -y, None) == 0.0
    assert share_of_second(y, first, noise, None) < 0.02  # of no use, and many rows know it
    assert 0.3 < share_of_second(y[:20], first[:20], 0.01 * noise[:20], None) < 0.7  # nothing is known of it


def corpus(kind: str, classes: int = 0, noise: int = 0):
    rng = np.random.default_rng(3)
    x, z = rng.uniform(-1, 1, N), rng.standard_normal(N)
    mean = {"line": 2 * x, "jump": 3.0 * (np.abs(x) > 0.5), "both": 1.5 * x + 1.5 * (np.abs(x) > 0.5)}[kind]
    y = mean + 0.5 * rng.standard_normal(N)
    if classes:
        y = np.digitize(y, np.quantile(y, np.arange(1, classes) / classes)).astype(float)
    blocks = (Block("noise", 2, 2 + noise),) if noise else ()
    matrix = np.column_stack([x, z, rng.standard_normal((N, noise))])
    return Features(matrix, tuple(map(str, range(2 + noise))), (0,), blocks), y


def run(features, y, classes, learner="auto", weight=None, y_gold=None):
    target = Target("y", y[:GOLD] if y_gold is None else y_gold, classes)
    folds = np.random.default_rng(5).permutation(N)[:, None] % 5
    found = crossfit(
        (target,), features, np.arange(GOLD), folds, learner, weight, seed=1, report_weight=np.ones(GOLD)
    )  # fmt: skip
    return found.values["y"], found.skill[0]


@pytest.mark.parametrize("classes", [0, 2, 3])
def test_the_guess_is_the_mean_of_both(classes):
    """With the weight that the title says; where both know something, it is better than either."""
    features, y = corpus("both", classes)
    rng = np.random.default_rng(9)
    weight = rng.uniform(0.5, 2.0, GOLD)
    auto, skill = run(features, y, classes, weight=weight)
    first, second = (run(features, y, classes, name, weight)[0] for name in ("linear", "boosting"))
    share = ((auto - first) * (second - first)).sum() / ((second - first) ** 2).sum()
    np.testing.assert_allclose(auto, (1 - share) * first + share * second, rtol=1e-9, atol=1e-12)
    assert skill.learner == f"linear and boosting ({share:.0%})"
    assert 0.05 < share < 0.95


def test_it_goes_to_the_one_that_is_right():
    """A jump that no straight line finds goes to boosting; a straight line to the linear model."""
    share = {}
    for kind in ("line", "jump"):
        features, y = corpus(kind)
        auto, first, second = (run(features, y, 0, name)[0] for name in ("auto", "linear", "boosting"))
        share[kind] = ((auto - first) * (second - first)).sum() / ((second - first) ** 2).sum()
    assert share["line"] < 0.15
    assert share["jump"] > 0.85


@pytest.mark.parametrize("classes", [0, 2])
def test_noise_changes_nothing_beside_boosting(classes):
    """384 columns of noise leave the guess of 320 gold rows as it is: boosting sees the base alone."""
    features, y = corpus("both", classes, 384)
    alone = Features(features.matrix[:, :2], ("0", "1"), (0,))
    np.testing.assert_allclose(run(features, y, classes)[0], run(alone, y, classes)[0], rtol=1e-8, atol=1e-10)


def test_boosting_sees_small_blocks():
    """What two columns of a block of 30 tell together only boosting finds."""
    rng = np.random.default_rng(11)
    block = rng.standard_normal((N, 30))
    y = 2.0 * block[:, 0] * (np.abs(block[:, 1]) > 0.6) * np.sign(block[:, 1]) + 0.3 * rng.standard_normal(N)
    features = Features(np.column_stack([rng.standard_normal(N), block]), tuple(map(str, range(31))), (0,))
    features = Features(features.matrix, features.names, (0,), (Block("many", 1, 31),))
    found, skill = run(features, y, 0)
    assert "boosting" in skill.learner
    assert ((found[GOLD:, 0] - y[GOLD:]) ** 2).mean() < 0.85 * y[GOLD:].var()


def test_the_plan_of_a_stack_keeps_one_learner_where_the_other_is_of_no_use():
    rng = np.random.default_rng(2)
    x, fold = rng.standard_normal((GOLD, 2)), np.arange(GOLD) % 5
    target = Target("y", x[:, 0].copy(), 0)
    found = Stacked.of("linear", "boosting", target, x, fold, None, 1)
    assert found == "linear"
    assert learners.is_named(Stacked("linear", "boosting", 0.5))
