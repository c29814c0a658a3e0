"""The study of the family at small size."""

import numpy as np
import pytest

from .family import CASES, LABELLED, study

REPETITIONS = 10
SLOW = ("ordered logit", "ordered probit", "negative binomial")
SMALL = [(c, where) for c in CASES for where in LABELLED if c not in SLOW or (where == "both" and "probit" not in c)]


@pytest.mark.statistical
@pytest.mark.parametrize(("case", "labelled"), SMALL)
def test_intervals_hold_and_are_shorter_than_those_of_gold(case, labelled):
    found = study(case, labelled, REPETITIONS, n_units=1500, n_gold=200)
    assert found.refused == 0
    assert found.coverage > 0.95 - 3 * np.sqrt(0.95 * 0.05 / REPETITIONS)
    assert found.width_over_gold < 1.1
