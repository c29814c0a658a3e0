"""Shares over time at small size: 2 groups, 6 months, 25 gold documents in a cell."""

import numpy as np
import pytest

from . import shares_over_time

pytestmark = pytest.mark.statistical
REPETITIONS = 10
FREE = {"groups": 12, "periods": 20, "trend": 4, "trend differences": 2}
"""Intervals of a repetition that move on their own: two of three classes."""


def test_shares_and_what_is_made_from_them_hold_the_truth():
    """Within three Monte Carlo errors: .06 for differences, .10 for trends, .15 for their differences, .21 for all."""
    cell = shares_over_time.Cell(groups=2, months=6, gold=300, documents=3_000)
    found = shares_over_time.study(cell, REPETITIONS)
    error = 3 * np.sqrt(0.05 * 0.95 / REPETITIONS)
    for name, free in FREE.items():
        assert abs(found[name][0] - 0.95) < max(error / np.sqrt(free), 0.04)
        assert found[f"{name}, together"][0] > 0.95 - error
    assert found["share"][0] > 0.95
    assert found["band of a line"][0] > 0.95 - error
    assert found["width / gold"][0] < 0.95
    assert 0.85 < found["se / sd"][0] < 1.3
