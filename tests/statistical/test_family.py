"""The study of the family at small size."""

import numpy as np
import pytest

from .family import CASES, study

REPETITIONS = 10
SETTINGS = [(case, "both") for case in CASES if case != "ordered probit"] + [
    ("gamma", "outcome"),
    ("expectile .8", "outcome"),
    ("fractional", "covariate"),
    ("quantile .25", "covariate"),
]
"""Each case, and each kind of label with a model for shares or amounts and with one for the spread."""


@pytest.mark.statistical
@pytest.mark.parametrize(("case", "labelled"), SETTINGS)
def test_intervals_hold_and_are_shorter_than_those_of_gold(case, labelled):
    found = study(case, labelled, REPETITIONS, n_units=1500, n_gold=200, learner="linear", repeats=1)
    assert found.refused == 0
    assert found.coverage > 0.95 - 3 * np.sqrt(0.95 * 0.05 / REPETITIONS)
    assert found.width_over_gold < 1.1
