"""A small run of the study of two-stage least squares."""

from __future__ import annotations

from tests.statistical.instruments import coverage


def test_intervals_hold_the_coefficient() -> None:
    found = coverage("strong, one instrument", 8, 150, n=400)
    assert found["fits"] == 1.0
    assert found["coverage"] >= 0.6
    assert found["AR coverage"] >= 0.6
    assert found["AR intervals"] == 1.0
