"""Missing labels, convenience gold and the multiverse at small size."""

import numpy as np
import pytest

from . import multiverse, nonresponse

pytestmark = pytest.mark.statistical
REPETITIONS = 24
SCENARIOS = [list(nonresponse.SCENARIOS)[k] for k in (1, 4)]
ERROR = np.sqrt(0.05 * 0.95 / REPETITIONS)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_intervals_hold_the_truth(scenario):
    """Monte Carlo error of the coverage of one coefficient .044, of se / sd about .14."""
    found = nonresponse.run(scenario, REPETITIONS, seed=8)
    assert found.coverage > 0.95 - 3 * ERROR / np.sqrt(2)
    assert 0.67 < found.se_over_sd < 1.45
    assert found.largest_bias_in_sd < 0.7  # of three, each with a Monte Carlo error of .2


def test_a_wrong_propensity_model_fails():
    """What the warning is about: gold picked for its label, modelled on other things."""
    found = nonresponse.run("convenience gold, model WRONG (picked for label and outcome)", 16, seed=8)
    assert found.gold_coverage < 0.7
    assert found.largest_bias_in_sd > 0.7


def test_worst_cases_hold_the_truth_at_the_bound():
    found = nonresponse.run_bounds("hostile only: the truth is at the upper bound", REPETITIONS, seed=9)
    assert found.coverage > 0.95 - 3.3 * ERROR
    assert found.ignorable_coverage < 0.5


def test_multiverse():
    found = multiverse.run("outcome", 6, 200, REPETITIONS, seed=8)
    assert found.all_covered > 0.95 - 3.3 * ERROR
    assert found.picked_covered < 0.93
    assert found.equality_05 < 0.05 + 3.3 * ERROR
    assert found.naive_range > 4 * found.corrected_range
    assert found.naive_coverage < 0.4
