"""The coverage study at small size: a fall of the kind a wrong variance makes must show."""

import numpy as np
import pytest

from . import coverage
from .coverage import Cell

pytestmark = pytest.mark.statistical

REPETITIONS = 40
CELLS = [
    Cell("ols", "outcome", "simple random", 300),
    Cell("logit", "covariate", "bernoulli", 300),
    Cell("poisson", "both", "stratified", 300),
    Cell("ols", "covariate", "clusters", 300),
]


@pytest.fixture(autouse=True, scope="module")
def small_truth():
    """The truth from fewer rows than the full study: its error is a twentieth of a standard error here."""
    patch = pytest.MonkeyPatch()
    patch.setattr(coverage, "TRUTH_ROWS", 300_000)
    coverage.truth.cache_clear()
    yield
    coverage.truth.cache_clear()
    patch.undo()


@pytest.mark.parametrize("cell", CELLS, ids=lambda c: f"{c.model}-{c.labelled}-{c.design}")
def test_intervals_hold_the_truth(cell):
    """Monte Carlo error of a share of .95 in 40 repetitions is .034; of se / sd about .09 (three coefficients)."""
    found = coverage.run(cell, REPETITIONS, seed=7)
    error = np.sqrt(0.95 * 0.05 / REPETITIONS)
    assert found.failures == 0
    assert found.coverage > 0.95 - 3 * error / np.sqrt(2)
    assert found.lowest_coverage > 0.95 - 3.3 * error
    assert found.gold_coverage > 0.95 - 3 * error
    assert 0.8 < found.se_over_sd < 1.25
    assert found.width_over_gold < 1.03
    assert found.naive_coverage < 0.6, "surrogates alone miss the truth"


def test_poor_surrogate_costs_nothing():
    found = coverage.run(Cell("ols", "outcome", "simple random", 100, "poor"), REPETITIONS, seed=3)
    assert found.coverage > 0.95 - 3 * np.sqrt(0.95 * 0.05 / REPETITIONS) / np.sqrt(2)
    assert found.width_over_gold < 1.03
