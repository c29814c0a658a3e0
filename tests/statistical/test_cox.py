"""The coverage study of Cox regressions, at small size."""

import pytest

from .cox import study


@pytest.mark.statistical
def test_intervals_cover_where_the_surrogate_knows_how_units_ended():
    table = study("binary", "informed", 1_000, 200, 0.4, 24, seed=3)
    assert (table["coverage"] >= 0.83).all()
    assert (table["bias"].abs() < 4 * table["sd"] / 24**0.5).all()
    assert table["mean se"].div(table["sd"]).between(0.65, 1.6).all()
    assert (table["width/gold"] < 1.03).all()
