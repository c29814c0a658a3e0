"""The studies of designs and of stopping at small size: a wrong variance must show."""

import functools

import numpy as np
import pytest

from . import anytime, designs
from .designs import Cell

pytestmark = pytest.mark.statistical
REPETITIONS = 80
CELLS = [
    Cell("sampford"),
    Cell("clusters by size"),
    Cell("two waves"),
    Cell("stratified", 900, "y ~ 1", None, "gold", None, "HC2"),
]


@functools.cache
def outcome(cell):
    return designs.run(cell, REPETITIONS, seed=3)


@pytest.mark.parametrize("cell", CELLS, ids=lambda c: c.design)
@pytest.mark.parametrize("target", ["superpopulation", "finite"])
def test_intervals_hold_the_truth(cell, target):
    """Monte Carlo error of a coverage of .95 is .024, of se / sd .08, of bias / sd .11."""
    found = outcome(cell)[target]
    assert min(found["coverage"]) > 0.95 - 3.3 * np.sqrt(0.95 * 0.05 / REPETITIONS)
    assert np.mean(found["se_over_sd"]) == pytest.approx(1.0, abs=0.17)
    assert np.abs(found["bias_over_sd"]).max() < 0.3


def test_plain_sandwich_is_too_wide_on_stratified_samples():
    found = outcome(CELLS[3])
    for target, ratio in (("superpopulation", 1.1), ("finite", 1.2)):
        assert found[target]["plain_over_sd"][0] > ratio * found[target]["se_over_sd"][0]


def test_sequences_hold_where_repeated_intervals_fail():
    found = anytime.run(16, seed=2)[1]
    assert min(found["sequence"]["all looks"]) > 0.83
    assert min(found["sequence"]["stop when short"]) > 0.83
    assert np.mean(found["ordinary"]["all looks"]) < 0.9
    assert np.mean(found["sequence"]["gold at stop"]) > np.mean(found["ordinary"]["gold at stop"])
