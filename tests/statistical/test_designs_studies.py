"""The studies of designs and of stopping at small size: a wrong variance must show."""

import numpy as np
import pytest

from . import anytime, designs
from .designs import Cell

pytestmark = pytest.mark.statistical
REPETITIONS = 40
CELLS = [
    Cell("sampford"),
    Cell("clusters by size"),
    Cell("two waves"),
    Cell("stratified", 900, "y ~ 1", None, "gold", None, "HC2"),
]


@pytest.mark.parametrize("cell", CELLS, ids=lambda c: c.design)
def test_intervals_hold_the_truth(cell):
    """Monte Carlo error of a coverage of .95 is .034, of se / sd .11, of bias / sd .16."""
    found = designs.run(cell, REPETITIONS, seed=3)
    for target, ratio in (("superpopulation", 1.1), ("finite", 1.2)):
        figures = found[target]
        assert min(figures["coverage"]) > 0.95 - 3.3 * np.sqrt(0.95 * 0.05 / REPETITIONS)
        assert np.mean(figures["se_over_sd"]) == pytest.approx(1.0, abs=0.24)
        assert np.abs(figures["bias_over_sd"]).max() < 0.42
        if cell.design == "stratified":
            assert figures["plain_over_sd"][0] > ratio * figures["se_over_sd"][0], "a plain sandwich is too wide"


def test_sequences_hold_where_repeated_intervals_fail():
    """Monte Carlo error of a coverage of .95 in 16 repetitions is .055."""
    found = anytime.run(16, seed=2)[1]
    assert min(found["sequence"]["all looks"]) > 0.83
    assert min(found["sequence"]["stop when short"]) > 0.83
    assert np.mean(found["ordinary"]["all looks"]) < 0.9
    assert np.mean(found["sequence"]["gold at stop"]) > np.mean(found["ordinary"]["gold at stop"])
