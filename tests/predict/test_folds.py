import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from karat.errors import ArgumentError, LearnerError
from karat.predict import check_folds, make_folds


def rng(seed):
    return np.random.default_rng(seed)


@given(st.integers(0, 999), st.integers(2, 7), st.integers(1, 3))
def test_gold_and_its_classes_are_spread_evenly(seed, folds, repeats):
    labelled = rng(seed).random(200) < 0.4
    classes = rng(seed + 1).integers(0, 3, labelled.sum())
    found = make_folds(labelled, folds, repeats, rng(seed), classes)
    assert found.shape == (200, repeats)
    assert found.min() == 0
    assert found.max() == folds - 1
    for s in range(repeats):
        gold = found[labelled, s]
        assert np.ptp(np.bincount(gold, minlength=folds)) <= 1
        for k in range(3):
            assert np.ptp(np.bincount(gold[classes == k], minlength=folds)) <= 1
        assert np.bincount(found[~labelled, s], minlength=folds).min() > 0
    if repeats > 1:
        assert (found[:, 0] != found[:, 1]).any()


@given(st.integers(0, 999), st.integers(2, 5))
def test_groups_stay_whole_and_gold_is_still_balanced(seed, folds):
    group = rng(seed).integers(0, 40, 300)
    labelled = rng(seed + 1).random(300) < 0.3
    found = make_folds(labelled, folds, 2, rng(seed), None, group)
    for s in range(2):
        for g in np.unique(group):
            assert np.unique(found[group == g, s]).size == 1
        load = np.bincount(found[labelled, s], minlength=folds)
        assert np.ptp(load) <= np.bincount(group[labelled]).max()


def test_too_few_gold_or_groups():
    labelled = np.arange(50) < 4
    with pytest.raises(LearnerError, match=r"4 gold rows for folds=5.*at most 4"):
        make_folds(labelled, 5, 1, rng(0))
    with pytest.raises(LearnerError, match=r"2 clusters with gold for folds=3.*at most 2"):
        make_folds(labelled, 3, 1, rng(0), None, np.arange(50) // 2)


@pytest.mark.parametrize(("folds", "repeats", "name"), [(1, 1, "folds=1"), (2.5, 1, "folds=2.5"), (5, 0, "repeats=0")])
def test_sizes(folds, repeats, name):
    with pytest.raises(ArgumentError, match=name):
        make_folds(np.ones(20, bool), folds, repeats, rng(0))


def test_folds_from_outside():
    labelled = np.arange(10) % 2 == 0
    found = check_folds(np.array(list("abcab") * 2), 10, labelled)
    assert found[:, 0].tolist() == [0, 1, 2, 0, 1] * 2
    two = check_folds(np.column_stack([np.arange(10) % 3, np.arange(10) // 5]), 10, labelled)
    assert two.shape == (10, 2)
    with pytest.raises(ArgumentError, match="one fold per row"):
        check_folds(np.zeros(9), 10, labelled)
    with pytest.raises(ArgumentError, match="single fold"):
        check_folds(np.zeros(10), 10, labelled)
    with pytest.raises(ArgumentError, match="all gold rows in one fold"):
        check_folds(np.arange(10) % 2, 10, labelled)
