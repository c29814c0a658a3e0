"""The study of the corners at small size: intervals hold, and are hardly ever longer than those of gold alone."""

import numpy as np
import pytest

from . import corners
from .corners import Cell, grid, run

REPETITIONS = 20
CELLS = (
    Cell("outcome", "sampford", 100, "shifted", estimator="ppi"),
    Cell("outcome", "sampford", 100, "useless"),
    Cell("covariate", n=60, shape="skewed"),
)


@pytest.fixture(autouse=True, scope="module")
def small_truth():
    """The truth from fewer rows than the full study: its error is a twentieth of a standard error here."""
    patch = pytest.MonkeyPatch()
    patch.setattr(corners, "TRUTH_ROWS", 200_000)
    corners.truth.cache_clear()
    yield
    corners.truth.cache_clear()
    patch.undo()


@pytest.mark.statistical
@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_intervals_hold_and_stay_short(cell):
    found = run(cell, REPETITIONS, seed=3)
    assert found["refused"] == 0
    # the mean of three coefficients: its Monte Carlo error is at most that of one coefficient
    error = np.sqrt(0.95 * 0.05 / REPETITIONS)
    assert found["coverage"] > 0.95 - 3 * error
    assert found["widest"] < 1.1
    assert found["ratio_99"] < 2.0


def test_the_grid_names_every_cell_once():
    names = [str(cell) for cell in grid()]
    assert len(names) == len(set(names))
