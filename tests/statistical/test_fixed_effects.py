"""The study of fixed effects at small size."""

import numpy as np
import pytest

from .fixed_effects import study

REPETITIONS = 20


@pytest.mark.statistical
@pytest.mark.parametrize(
    ("kind", "labelled"),
    [
        ("two ways", "outcome"),
        ("one way", "covariate"),
        ("small groups", "covariate"),
        ("one way", "count"),
        ("one way", "vote"),
    ],
)
def test_intervals_hold(kind, labelled):
    found = study(kind, labelled, None, 250, REPETITIONS, n_units=1200)
    assert found.refused == 0
    low = 0.95 - 3 * np.sqrt(0.95 * 0.05 / REPETITIONS)
    assert min(found.coverage_x, found.coverage_z) > low
    assert abs(found.bias_over_sd) < 0.95
    assert not found.width_over_gold > 1.0
