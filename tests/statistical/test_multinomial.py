"""The study of multinomial logit at small size."""

import numpy as np
import pytest

from .multinomial import LABELLED, study

REPETITIONS = 12


@pytest.mark.statistical
def test_intervals_hold_and_are_shorter_than_those_of_gold():
    """A coefficient's squared error over its variance has mean 1, Monte Carlo error sqrt(2) a repetition.

    Coefficients of a fit count as two. Half the variance gives 2, twice the variance .5.
    """
    found = [study(one, REPETITIONS, n_units=1500, n_gold=250, learner="linear", repeats=1) for one in LABELLED]
    fits = REPETITIONS * len(found)
    assert not any(row.refused for row in found)
    assert min(row.coverage for row in found) > 0.95 - 3 * np.sqrt(0.95 * 0.05 / REPETITIONS)
    assert max(row.width_over_gold for row in found) < 1.0
    assert abs(np.mean([row.squared_error for row in found]) - 1) < 3 / np.sqrt(fits)
