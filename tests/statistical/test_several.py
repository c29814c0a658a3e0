"""The study of differences between fits at small size."""

import numpy as np
import pytest

from .several import study

REPETITIONS = 5


@pytest.mark.statistical
def test_differences_between_fits_hold():
    for row in study(REPETITIONS, n_units=600, n_gold=200):
        for share in (row.halves, row.models, 1.0 - row.rejected, row.together):
            assert share > 0.95 - 3.5 * row.mc_error, row
        assert 0.3 < row.halves_se_over_sd < 3.0, row
        assert 0.3 < row.models_se_over_sd < 3.0, row
        assert np.isfinite(row.together)
