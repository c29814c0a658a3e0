"""The study of multinomial logit at small size."""

import numpy as np
import pytest

from .multinomial import LABELLED, study

REPETITIONS = 12


@pytest.mark.statistical
@pytest.mark.parametrize("labelled", LABELLED)
def test_intervals_hold_and_are_shorter_than_those_of_gold(labelled):
    found = study(labelled, REPETITIONS, n_units=1500, n_gold=250, learner="linear", repeats=1)
    assert found.refused == 0
    assert found.coverage > 0.95 - 3 * np.sqrt(0.95 * 0.05 / REPETITIONS)
    assert found.width_over_gold < 1.0
