"""The study of labels with gold samples of their own, and of cascades, at small size."""

import pytest

from .partly import study

REPETITIONS = 8


@pytest.mark.statistical
@pytest.mark.parametrize("scenario", ["crossed", "doubtful"])
def test_intervals_hold_and_are_narrower(scenario):
    for row in study(REPETITIONS, (scenario,), n_units=2000, share=0.25, population=200_000):
        assert row.coverage > 0.95 - 3.5 * row.mc_error, row
        assert 0.4 < row.se_over_sd < 2.5, row
        assert row.width_to_base < 0.95, row
