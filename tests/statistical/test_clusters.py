"""The study of few analysis clusters at small size."""

import numpy as np
import pytest

from . import clusters
from .clusters import Cell

pytestmark = pytest.mark.statistical

REPETITIONS = 40


@pytest.mark.parametrize("cell", [Cell(8, 150, "covariate"), Cell(12, 150, "outcome", True)])
def test_intervals_and_joint_tests_hold_with_few_clusters(cell):
    """CRV1 with t(G - 1) covers .89 and rejects a true joint hypothesis 30 times in 100 with eight clusters."""
    found = clusters.run(cell, REPETITIONS, seed=7)
    error = np.sqrt(0.95 * 0.05 / REPETITIONS)
    assert found.failures == 0
    assert found.coverage.mean() > 0.95 - 1.5 * error
    assert found.coverage.min() > 0.95 - 3 * error
    assert found.wald <= 0.05 + 3 * error
    assert 0.75 < found.se_over_sd.mean() < 1.25  # Monte Carlo error of four coefficients about .08
    assert (found.width_over_gold < 1.1).all()


def test_the_difference_test_holds_its_level():
    """Monte Carlo error of a share of .05 in 40 repetitions is .034."""
    found = clusters.sizes(60, "simple random", REPETITIONS, seed=9)
    assert found.max() <= 0.05 + 3 * 0.034
    assert found[-1] <= 0.05 + 2.5 * 0.034
