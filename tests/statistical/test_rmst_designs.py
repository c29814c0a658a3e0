"""The scenario of the restricted mean study in which gold is drawn with unequal weights, at small size."""

import pytest

from .rmst import study


@pytest.mark.statistical
def test_unequal_gold_weights_and_a_surrogate_that_stops_with_observation():
    shown = ("augmented", "product")
    table = study("designed", 20, n_units=1500, n_gold=450, seed=3, only=shown).set_index(["estimator", "term"])
    good = table[table["should cover"] == "yes"]
    assert good["coverage"].mean() > 0.87  # 60 intervals, correlated: Monte Carlo error about .04
    assert (good["bias"].abs() < 4 * good["sd"] / 20**0.5 + 0.02).all()
    assert 0.7 < (good["mean se"] / good["sd"]).median() < 1.5
    assert table.loc["product", "bias"].iloc[0] < -0.08
    assert table.loc["censored as complete", "bias"].iloc[0] < -0.15
