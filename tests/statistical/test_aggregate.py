"""The study of regressions on unit means at small size."""

from __future__ import annotations

import numpy as np
import pytest

from .aggregate import SLOPE, Cell, planned, study

REPETITIONS = 9


@pytest.mark.statistical
@pytest.mark.parametrize("cell", [Cell(), Cell(documents=5, differential=True), Cell("logit", gold=600)], ids=str)
def test_slopes_on_unit_means_hold(cell):
    row = study(cell, REPETITIONS)
    true = SLOPE[cell.model]
    assert row.coverage > 0.95 - 3 * row.mc_error, row
    assert abs(row.median - true) < 4 * 1.25 * row.sd / np.sqrt(REPETITIONS), row
    assert row.uncorrected < 0.75 * true, row
    assert row.refused <= 0.1, row


@pytest.mark.statistical
def test_planned_standard_errors_are_found():
    table = planned(400, [800, 1600], 5)
    assert np.abs(np.log(table["planned"] / table["found"])).max() < 0.25, table
