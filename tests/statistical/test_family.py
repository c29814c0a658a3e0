"""The study of the family at small size."""

import numpy as np
import pytest

from .family import study

REPETITIONS = 10
SETTINGS = [
    [("ordered logit", "both"), ("negative binomial", "both"), ("gamma", "both"), ("gamma", "outcome")],
    [("fractional", "both"), ("fractional", "covariate"), ("median", "both"), ("quantile .25", "both")],
    [("quantile .25", "covariate"), ("quantile .9", "both"), ("skewed median", "both")],
    [("expectile .8", "both"), ("expectile .8", "outcome"), ("huber", "both")],
]
"""Each case, and each kind of label with a model for shares or amounts and with one for the spread."""


@pytest.mark.statistical
@pytest.mark.parametrize("settings", SETTINGS, ids=[group[0][0] for group in SETTINGS])
def test_intervals_hold_and_are_shorter_than_those_of_gold(settings):
    """A coefficient's squared error over its variance has mean 1, Monte Carlo error sqrt(2) a repetition.

    Coefficients of a fit count as two. Half the variance gives 2, twice the variance .5.
    """
    found = [study(*one, REPETITIONS, n_units=1500, n_gold=200, learner="linear", repeats=1) for one in settings]
    fits = REPETITIONS * len(settings)
    assert not any(row.refused for row in found)
    assert min(row.coverage for row in found) > 0.95 - 3 * np.sqrt(0.95 * 0.05 / REPETITIONS)
    assert max(row.width_over_gold for row in found) < 1.1
    assert abs(np.mean([row.squared_error for row in found]) - 1) < 3 / np.sqrt(fits)
