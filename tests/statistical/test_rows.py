"""Blocks of repetitions join to what one run gives, and cells that two runs worked on are counted once."""

import json

import numpy as np
import pytest

from karat.errors import DataError

from .rows import MODELS, SUMS, added, block, figures, joined, page


def once(labelled, n_gold, seed):
    if seed % 7 == 3:
        raise DataError("refused")
    rng = np.random.default_rng(seed)
    error, se = 0.2 * rng.normal(size=3), rng.uniform(0.15, 0.25, 3)
    covered = np.abs(error) < 1.96 * se
    return np.column_stack([error, se, covered, 4 * se, rng.random(3) < 0.95, rng.uniform(0.8, 1.2, 3)])


def test_blocks_join_to_one_run():
    parts = [block(once, "outcome", 150, range(first, first + 20)) for first in (0, 20, 40)]
    whole, found = block(once, "outcome", 150, range(60)), joined(joined(parts[0], parts[1]), parts[2])
    assert (found["repetitions"], found["refused"]) == (60, whole["refused"])
    assert figures(found) == pytest.approx(figures(whole), rel=1e-12)


def test_figures_are_those_of_the_repetitions():
    a = np.array([once("outcome", 150, seed) for seed in range(40) if seed % 7 != 3])
    found = figures(block(once, "outcome", 150, range(40)))
    assert found["coverage"] == pytest.approx(a[:, :, 2].mean())
    assert found["mc_error"] == pytest.approx(a[:, :, 2].mean(axis=1).std(ddof=1) / np.sqrt(len(a)))
    assert found["se_over_sd"] == pytest.approx((a[:, :, 1].mean(axis=0) / a[:, :, 0].std(axis=0, ddof=1)).mean())
    assert found["width"] == pytest.approx((a[:, :, 3] / a[:, :, 5]).mean())
    assert found["widest"] == pytest.approx((a[:, :, 3] / a[:, :, 5]).mean(axis=0).max())


def test_a_block_that_was_known_is_not_counted_again(tmp_path):
    path = tmp_path / "known.json"
    sums = block(once, "outcome", 150, range(25))
    for first, commit in ((0, "a"), (0, "b"), (25, "b")):
        added(path, "huber, outcome, 150", commit, first, sums)
    known = json.loads(path.read_text())["huber, outcome, 150"]
    assert known["sums"]["repetitions"] == 50
    assert known["commits"] == ["a", "b"]
    assert set(SUMS) < set(known["sums"])
    assert "| huber | outcome | 150 | 50" in page({"huber, outcome, 150": known})


def test_samples_that_gold_alone_cannot_fit_count_for_what_is_known_of_them():
    def some(labelled, n_gold, seed):
        found = once(labelled, n_gold, seed)
        if seed % 5 == 0:
            found[:, 4:] = np.nan
        return found

    a = np.array([some("outcome", 150, seed) for seed in range(40) if seed % 7 != 3])
    parts = [block(some, "outcome", 150, range(first, first + 20)) for first in (0, 20)]
    found = figures(joined(*parts))
    assert found["coverage"] == pytest.approx(a[:, :, 2].mean())
    assert found["width"] == pytest.approx(np.nanmean(a[:, :, 3] / a[:, :, 5]))


@pytest.mark.parametrize("name", MODELS)
def test_names_of_models_are_one_part_of_the_names_of_cells(name):
    assert ", " not in name
    assert MODELS[name][0]
