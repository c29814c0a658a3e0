"""Blocks of features: closed forms against plain refits, used where they help and nowhere else."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from karat.frames.matrices import Block, Features
from karat.predict import Target, crossfit
from karat.predict.blocks import _APART, Blocked, correction, in_blocks, joined, known
from karat.predict.crossfit import scale

N, GOLD = 600, 200


def plain_ridge(guess, block, left, weight, penalty):
    """What is left on the guess without a penalty and on the block with one: normal equations, written out."""
    design = np.column_stack([known(guess), block])
    price = np.diag([0.0] * known(guess).shape[1] + [penalty] * block.shape[1])
    return np.linalg.solve(design.T @ (weight[:, None] * design) + price, design.T @ (weight[:, None] * left))


@settings(max_examples=15)
@given(seed=st.integers(0, 2**20), columns=st.sampled_from([1, 7, 30, 90]), classes=st.sampled_from([0, 2, 3]))
def test_correction_against_plain_refits(seed, columns, classes):
    """Out of fold it is what refits without each fold predict, and its coefficients are those of a plain ridge."""
    rng = np.random.default_rng(seed)
    block, weight, folds = rng.standard_normal((60, columns)), rng.uniform(0.3, 2.0, 60), np.arange(60) % 4
    signal = 2.0 * block[:, 0]
    if classes:
        actual = np.eye(classes)[np.digitize(signal + rng.standard_normal(60), np.arange(classes - 1) - 0.3)]
        guess = rng.dirichlet(np.ones(classes), 60)
    else:
        actual, guess = (signal + rng.standard_normal(60))[:, None], rng.standard_normal((60, 1))
    found = correction(guess, block, actual, weight, folds)
    if found is None:
        return
    root = np.sqrt(weight)[:, None] * known(guess)
    spread = root @ np.linalg.lstsq(root, np.sqrt(weight)[:, None] * block, rcond=None)[0]
    total = ((np.sqrt(weight)[:, None] * block - spread) ** 2).sum()
    coefficient = np.vstack([found.slope, found.coefficient])
    penalty = min(
        (total / 60 / signal for signal in (2.0, 1.0, 0.5, 0.25, 0.12, 0.06, 0.03)),
        key=lambda p: np.abs(plain_ridge(guess, block, actual - guess, weight, p) - coefficient).max(),
    )
    np.testing.assert_allclose(
        coefficient, plain_ridge(guess, block, actual - guess, weight, penalty), rtol=1e-6, atol=1e-8
    )
    for k in range(4):
        out, into = folds == k, folds != k
        refit = plain_ridge(guess[into], block[into], (actual - guess)[into], weight[into], penalty)
        expected = guess[out] + np.column_stack([known(guess[out]), block[out]]) @ refit
        np.testing.assert_allclose(found.out_of_fold[out], expected, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(
        found(guess, block), guess + np.column_stack([known(guess), block]) @ coefficient, rtol=1e-9, atol=1e-9
    )


def data(seed, columns, strength, classes=2):
    """A label that shows in a surrogate and, with some strength, in one direction of many columns."""
    rng = np.random.default_rng(seed)
    block = rng.standard_normal((N, columns))
    score = rng.standard_normal(N) + strength * block[:, :5].sum(axis=1)
    label = np.digitize(score, np.quantile(score, np.arange(1, classes) / classes)) if classes else score
    surrogate = score + 3 * rng.standard_normal(N)
    features = Features(
        np.column_stack([surrogate, block]), ("llm", *map(str, range(columns))), (0,), (Block("many", 1, columns + 1),)
    )
    folds = np.random.default_rng(seed).permutation(N)[:, None] % 5
    return Target("y", label[:GOLD].astype(float), classes), features, folds, label


def run(target, features, folds, learner="auto", **options):
    return crossfit(
        (target,), features, np.arange(GOLD), folds, learner, None, seed=1, report_weight=np.ones(GOLD), **options
    )


@pytest.mark.parametrize("classes", [0, 2, 3])
def test_a_block_of_noise_changes_nothing(classes):
    """But for rounding, in every fold; a block that carries the label makes the guess better by far."""
    target, features, folds, _ = data(3, 400, 0.0, classes)
    alone = Features(features.matrix[:, :1], ("llm",), (0,))
    noise, plain = run(target, features, folds), run(target, alone, folds, "linear")
    np.testing.assert_allclose(noise.values["y"], plain.values["y"], rtol=1e-9, atol=1e-12)
    target, features, folds, _ = data(3, 40, 1.0, classes)
    alone = Features(features.matrix[:, :1], ("llm",), (0,))
    with_block, without = run(target, features, folds).skill[0], run(target, alone, folds, "linear").skill[0]
    assert with_block.learner == "linear + many"
    assert without.learner == "linear"
    assert with_block.r_squared > without.r_squared + 0.02


def test_no_label_reaches_its_own_prediction():
    """Changing the label of a gold row leaves the predictions of its fold as they are."""
    target, features, folds, _ = data(5, 40, 0.6)
    values = target.values.copy()
    fold = folds[0, 0]
    mine = folds[:GOLD, 0] == fold
    values[mine] = 1 - values[mine]
    before, after = run(target, features, folds), run(Target("y", values, 2), features, folds)
    rows = folds[:, 0] == fold
    np.testing.assert_array_equal(before.values["y"][rows], after.values["y"][rows])
    assert not np.allclose(before.values["y"][~rows], after.values["y"][~rows])


def test_wide_blocks_in_the_span_of_gold_rows():
    """A block of more columns than are kept gives the guess that all its columns give."""
    target, features, _folds, _ = data(7, 900, 0.5, 0)
    found = joined(features, scale(features.matrix), np.arange(GOLD))
    assert found.matrix.shape[1] == 1 + GOLD
    assert found.blocks == (Block("many", 1, 1 + GOLD),)
    plan = Blocked("linear", (0,), features.blocks, 901)
    narrow = Blocked("linear", (0,), found.blocks, 1 + GOLD)
    inner = np.arange(GOLD) % 5
    wide_x, narrow_x = scale(features.matrix), found.matrix
    fits = [
        one.built(0, 1, inner).fit(x[:GOLD], target.values).predict(x)
        for one, x in ((plan, wide_x), (narrow, narrow_x))
    ]
    np.testing.assert_allclose(*fits, rtol=1e-6, atol=1e-8)


def test_columns_alike_keep_their_sizes():
    matrix = np.random.default_rng(1).standard_normal((N, 4)) * [1.0, 5.0, 1.0, 0.1]
    features = Features(matrix, tuple("abcd"), (0,), (Block("text", 1, 4, True),))
    block = joined(features, scale(matrix), np.arange(GOLD)).matrix[:, 1:]
    assert np.isclose((block**2).mean(), 1.0)
    np.testing.assert_allclose(block.std(axis=0) / block[:, 1].std(), matrix[:, 1:].std(axis=0) / matrix[:, 2].std())


def test_many_surrogates():
    """What they have in common is found without a label, and the guess is better than from all side by side."""
    rng = np.random.default_rng(2)
    label = rng.random(N) < 0.5
    wrong = np.r_[np.full(5, 0.25), np.full(43, 0.5)]
    surrogates = (label[:, None] != (rng.random((N, 48)) < wrong)).astype(float)
    features = Features(surrogates, tuple(f"p{j}" for j in range(48)), tuple(range(48)))
    assert in_blocks(features, "auto")
    assert not in_blocks(features, "linear")
    found = joined(features, scale(surrogates), np.arange(GOLD))
    assert found.base == found.common == (48,)
    assert found.blocks == (Block("each surrogate", 0, 48),)
    assert abs(np.corrcoef(found.matrix[:, 48], surrogates[:, :5].mean(axis=1))[0, 1]) > 0.9
    spectrum = np.linalg.eigvalsh(np.corrcoef(surrogates.T))
    assert (spectrum > _APART * np.quantile(spectrum, 0.75)).sum() == 1
    target, folds = Target("y", label[:GOLD].astype(float), 2), np.arange(N)[:, None] % 5
    auto, all_beside = run(target, features, folds), run(target, features, folds, "linear")
    truth = label[GOLD:]
    loss = [((one.values["y"][GOLD:, 0] - truth) ** 2).mean() for one in (auto, all_beside)]
    assert loss[0] < 0.85 * loss[1]


def test_few_gold_rows_take_what_surrogates_have_in_common():
    rng = np.random.default_rng(4)
    label = rng.random(N) < 0.5
    surrogates = (label[:, None] != (rng.random((N, 20)) < 0.3)).astype(float)
    matrix = np.column_stack([surrogates, rng.standard_normal(N)])
    features = Features(matrix, tuple(map(str, range(21))), tuple(range(20)))
    found = crossfit(
        (Target("y", label[:30].astype(float), 2),), features, np.arange(30), np.arange(N)[:, None] % 3, "auto", None,
        seed=1, report_weight=np.ones(30),
    )  # fmt: skip
    assert found.skill[0].learner.startswith("calibration")
    assert found.skill[0].r_squared > 0.4
