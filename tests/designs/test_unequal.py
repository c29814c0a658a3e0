"""Fixed-size samples with unequal probabilities: exact by enumeration, and their variance."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import karat as kt
from karat.designs import Labelling
from karat.designs.fixed_size import proportional, sampford, systematic
from karat.errors import ArgumentError, DesignError, DesignWarning
from karat.frames import Table

SIZE = np.array([1.0, 2.0, 3.0, 5.0, 2.5, 4.0])


def sampford_distribution(pi, n):
    """Probability of every sample: product of odds times the sum of 1 - pi."""
    sets = list(itertools.combinations(range(len(pi)), n))
    odds = pi / (1 - pi)
    mass = np.array([np.prod(odds[list(s)]) * (1 - pi[list(s)]).sum() for s in sets])
    return sets, mass / mass.sum()


def test_sampford_has_its_distribution_and_the_stated_probabilities():
    pi = proportional(SIZE, 3)
    sets, mass = sampford_distribution(pi, 3)
    inclusion = [sum(m for s, m in zip(sets, mass) if i in s) for i in range(6)]
    np.testing.assert_allclose(inclusion, pi, atol=1e-12)
    rng = np.random.default_rng(3)
    draws = 6000
    count = dict.fromkeys(sets, 0)
    for _ in range(draws):
        count[tuple(np.flatnonzero(sampford(pi, rng)).tolist())] += 1
    seen = np.array([count[s] for s in sets])
    assert ((seen - draws * mass) ** 2 / (draws * mass)).sum() < 43.8  # chi-square with 19 df, .999


def test_systematic_has_the_stated_probabilities():
    pi = proportional(SIZE, 3)
    rng = np.random.default_rng(4)
    draws = np.array([systematic(pi, rng) for _ in range(6000)])
    assert (draws.sum(axis=1) == 3).all()
    assert np.abs((draws.mean(axis=0) - pi) / np.sqrt(pi * (1 - pi) / 6000)).max() < 4


@pytest.mark.parametrize("method", ["sampford", "systematic"])
def test_totals_are_unbiased_and_the_variance_is_right(method):
    """Monte Carlo error of se / sd at 1,500 draws is .018."""
    rng = np.random.default_rng(5)
    size = np.exp(0.8 * rng.standard_normal(500))
    value = 1.0 + 0.6 * size + rng.standard_normal(500)
    frame = {"size": size}
    totals, variances = [], []
    for _ in range(1500):
        labelling = kt.Unequal("size", 80, method=method).select(Table.read(frame), rng)
        y = value[labelling.labelled][:, None]
        totals.append((labelling.weight * y[:, 0]).sum())
        variances.append(labelling.cross(y, y)[0, 0])
    sd = np.std(totals)
    assert abs(np.mean(totals) - value.sum()) < 4 * sd / np.sqrt(1500)
    assert np.sqrt(np.mean(variances)) / sd == pytest.approx(1.0, abs=0.06)
    independent = Labelling(labelling.probability, labelling.labelled, fixed_size=False)
    assert independent.cross(y, y)[0, 0] > 1.3 * np.mean(variances)


def test_probabilities_proportional_to_size():
    pi = proportional(np.array([1.0, 1.0, 2.0, 4.0, 1000.0]), 3)
    np.testing.assert_allclose(pi, [0.25, 0.25, 0.5, 1.0, 1.0])
    floored = proportional(np.array([0.001, 1.0, 1.0, 1.0]), 2, 0.2)
    np.testing.assert_allclose(floored, [0.2, 0.6, 0.6, 0.6])
    rng = np.random.default_rng(0)
    pi = proportional(np.exp(3 * rng.standard_normal(1000)), 400, 0.05)
    assert pi.sum() == pytest.approx(400, abs=1e-9)
    assert pi.min() == 0.05
    assert pi.max() == 1.0
    assert (proportional(np.array([1.0, 9.0]), 2) == 1).all()


def test_equal_probabilities_give_the_simple_random_variance():
    rng = np.random.default_rng(1)
    labelled = np.arange(50) < 12
    y = rng.standard_normal((12, 2))
    stratum = np.tile([0, 1], 25)
    for strata in (None, stratum):
        draw = Labelling(np.full(50, 12 / 50), labelled, True, strata)
        expected = np.zeros((2, 2))
        for s in [0] if strata is None else [0, 1]:
            inside = slice(None) if strata is None else stratum[:12] == s
            n, big_n = (12, 50) if strata is None else (6, 25)
            expected += big_n**2 * (1 / n - 1 / big_n) * np.cov(y[inside], rowvar=False)
        np.testing.assert_allclose(draw.cross(y, y), expected, rtol=1e-12)


def test_certain_units_add_no_variance_and_no_degrees_of_freedom():
    pi = np.array([1.0, 1.0, 0.4, 0.6, 0.5, 0.5])
    labelled = np.array([True, True, True, True, False, False])
    draw = Labelling(pi, labelled, True)
    assert (draw.n_units, draw.n_chance, draw.n_strata) == (4, 2, 1)
    y = np.array([[100.0], [-30.0], [1.0], [2.0]])
    same = np.array([[0.0], [0.0], [1.0], [2.0]])
    assert draw.cross(y, y)[0, 0] == pytest.approx(draw.cross(same, same)[0, 0])
    assert Labelling(np.ones(3), np.ones(3, bool), True).cross(y[:3], y[:3])[0, 0] == 0


def test_sizes_may_be_probabilities():
    pi = np.array([0.25, 0.75, 0.5, 0.5, 0.9, 0.1])
    sample = kt.Unequal(pi).draw({"document": range(6)}, seed=1)
    np.testing.assert_allclose(sample.probability, pi)
    assert len(sample.positions) == 3
    with pytest.raises(DesignError, match=r"needs n.*add up to 3\.2"):
        kt.Unequal(np.append(pi, 0.2)).draw({"document": range(7)}, seed=1)


def test_subset_keeps_the_odds():
    """After leaving rows out the probabilities add up to the number drawn, certain units stay certain."""
    pi = proportional(np.append(SIZE, [50.0, 3.0, 3.0]), 5)
    labelled = np.array([True, False, True, True, False, False, True, True, False])
    draw = Labelling(pi, labelled, True)
    rows = np.array([True, True, True, True, False, True, True, False, True])
    part = draw.keep(rows)
    assert part.probability.sum() == pytest.approx(4)
    assert part.probability[6 - 1] == 1.0
    chance = part.probability < 1
    after, before = part.probability[chance], pi[rows][chance]
    ratio = after / (1 - after) / (before / (1 - before))
    np.testing.assert_allclose(ratio, ratio[0])


def test_certain_rows_need_gold():
    frame = {"size": [1.0, 1.0, 1.0, 1.0, 50.0], "y": [1.0, 2.0, 3.0, np.nan, np.nan], "y_llm": [1.0, 2, 3, 4, 5]}
    with pytest.raises(DesignError, match=r"certainty but have no gold.*position 4"):
        kt.ols("y ~ 1", frame, surrogates={"y": "y_llm"}, design=kt.Unequal("size"), learner=None)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: kt.Unequal("size", 2), "size 'size' is zero or negative.*position 1"),
        (lambda: kt.Unequal("other"), "needs n"),
        (lambda: kt.Unequal("other", 1), "two units"),
        (lambda: kt.Unequal("other", 2), "one to chance"),
        (lambda: kt.Unequal("other", 3, floor=0.7), "more than the 3"),
        (lambda: kt.Unequal("other", {"a": 2, "b": 9}, by="group"), "at most 3"),
        (lambda: kt.Clustered("group", 2, by="size"), "stratum changes within"),
        (lambda: kt.Clustered("group", 2, size="other"), "size changes within.*same size"),
        (lambda: kt.Stratified("group", {"a": 1, "b": 2}), "no variance"),
    ],
)
def test_designs_that_cannot_be_drawn(make, message):
    frame = {"size": [1.0, 0.0, 2.0, 3.0, 4.0], "other": [1, 1, 1, 1, 90], "group": list("aabbb")}
    with pytest.raises(DesignError, match=message):
        make().draw(frame, seed=1)


def test_arguments():
    with pytest.raises(ArgumentError, match=r"method.*'sampford', 'systematic'"):
        kt.Unequal("size", 3, method="pareto")
    with pytest.raises(ArgumentError, match="floor="):
        kt.Clustered("author", 3, floor=0.1)
    with pytest.raises(ArgumentError, match=r"Unequal\(size\) has 4 rows, the data have 6"):
        kt.Unequal(np.ones(4), 2).draw({"x": range(6)}, seed=1)


def test_tiny_probabilities_are_remarked():
    frame = {"size": np.append(np.ones(50), 0.01)}
    with pytest.warns(DesignWarning, match=r"smallest inclusion probability.*floor="):
        kt.Unequal("size", 10).draw(frame, seed=1)
    assert kt.Unequal("size", 10, floor=0.05).draw(frame, seed=1).probability.min() == 0.05


@given(st.integers(0, 10_000), st.integers(5, 12), st.booleans())
def test_variance_does_not_depend_on_order_or_names_and_vanishes_for_size(seed, n, strata):
    """Row order and stratum codes do not matter; values proportional to the probabilities have no variance."""
    rng = np.random.default_rng(seed)
    stratum = rng.permutation(np.arange(40) % 2)
    pi = np.zeros(40)
    for s in (0, 1) if strata else (None,):
        inside = stratum == s if strata else np.ones(40, bool)
        pi[inside] = proportional(np.exp(rng.standard_normal(inside.sum())), n)
    labelled = np.zeros(40, bool)
    for s in (0, 1) if strata else (None,):
        inside = np.flatnonzero(stratum == s) if strata else np.arange(40)
        labelled[inside] = systematic(pi[inside], rng)
    draw = Labelling(pi, labelled, True, stratum if strata else None)
    y = rng.standard_normal((40, 2))
    found = draw.cross(y[labelled], y[labelled])
    order = rng.permutation(40)
    moved = Labelling(pi[order], labelled[order], True, 1 - stratum[order] if strata else None)
    np.testing.assert_allclose(
        moved.cross(y[order][labelled[order]], y[order][labelled[order]]), found, rtol=1e-9, atol=1e-9
    )
    assert np.linalg.eigvalsh(found).min() > -1e-9
    along = (3.0 * pi * (1 + stratum if strata else 1))[labelled][:, None]
    np.testing.assert_allclose(draw.cross(along, along), 0.0, atol=1e-18)
    twice = np.repeat(np.arange(40), 2)
    clusters = Labelling(pi[twice], labelled[twice], True, stratum[twice] if strata else None, twice)
    split = np.repeat(y[labelled], 2, axis=0) * np.tile([0.3, 0.7], labelled.sum())[:, None]
    np.testing.assert_allclose(clusters.cross(split, split), found, rtol=1e-9, atol=1e-9)


def test_bootstrap_refuses(corpus):
    sample = kt.Unequal("size", 100).draw(corpus, seed=1)
    table = corpus.assign(y=corpus["y"].where(sample.labelled))
    with pytest.raises(ArgumentError, match="unequal probabilities within strata"):
        kt.bootstrap(lambda d, w: np.average(d["y"], weights=w), table, surrogates={"y": "y_llm"}, design=sample)
