"""The study of causal effects at small size."""

import numpy as np
import pytest

from .causal import panel_study, study

REPETITIONS = 10


@pytest.mark.statistical
@pytest.mark.parametrize("label", ["y", "t", "c"])
def test_intervals_of_effects_hold(label):
    row = study(label, 200, REPETITIONS, n_units=1000, learner="linear", repeats=1)
    assert row.coverage > 0.95 - 3 * row.mc_error, row
    assert abs(row.bias_over_sd) < 3 / np.sqrt(REPETITIONS), row
    assert 0.5 < row.se_over_sd < 2.0, row


@pytest.mark.statistical
@pytest.mark.parametrize("label", ["did", "imputation"])
def test_intervals_of_differences_in_differences_hold(label):
    row = panel_study(label, 250, 6, learner="linear", repeats=1, vcov={"CRV1": "unit"})
    assert row.coverage > 0.95 - 3 * row.mc_error, row
    assert abs(row.bias_over_sd) < 3 / np.sqrt(6), row
