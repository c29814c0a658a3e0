"""The balance test at small size: honest under each design, and awake when gold is hand-picked."""

import numpy as np
import pytest

from . import balance

pytestmark = pytest.mark.statistical
DRAWS = 300


@pytest.mark.parametrize("design", balance.DESIGNS[:4])
def test_p_values_are_uniform(design):
    """Monte Carlo error of a share of .05 in 300 draws is .0126."""
    found = balance.run(design, 300, DRAWS, seed=5)
    error = np.sqrt(0.05 * 0.95 / DRAWS)
    assert abs(found.rejected_05 - 0.05) < 3.3 * error
    assert found.kolmogorov_p > 0.001
    assert found.weights_05 < 0.05 + 3.3 * error


def test_hand_picked_gold_shows():
    assert balance.run("stratified", 300, 60, seed=5, picked=True).rejected_05 > 0.6
