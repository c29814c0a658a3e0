"""The study of averages after the fit at small size."""

import numpy as np
import pytest

from .effects import study

REPETITIONS = 12


@pytest.mark.statistical
@pytest.mark.parametrize("n_gold", [150, 500])
def test_intervals_of_averages_hold(n_gold):
    for row in study(REPETITIONS, n_units=1200, n_gold=n_gold, learner="linear", repeats=1):
        assert row.coverage > 0.95 - 3 * row.mc_error, row
        assert abs(row.bias_over_sd) < 3 / np.sqrt(REPETITIONS), row
        assert 0.5 < row.se_over_sd < 2.0, row
