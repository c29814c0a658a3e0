"""The coverage study of censored durations, at small size."""

import pytest

from .rmst import study


@pytest.mark.statistical
@pytest.mark.parametrize("scenario", ["stratum", "stopped"])
def test_valid_forms_cover_and_naive_ones_do_not(scenario):
    table = study(scenario, 16, n_units=1500, n_gold=400, seed=5).set_index(["estimator", "term"])
    good = table[table["should cover"] == "yes"]
    assert good["coverage"].mean() > 0.88
    assert (good["bias"].abs() < 4 * good["sd"] / 16**0.5 + 0.02).all()
    ratio = good["mean se"] / good["sd"]
    assert 0.75 < ratio.median() < 1.4
    assert table.loc["naive label", "coverage"].min() < 0.3
    assert table.loc["censored as complete", "coverage"].min() < 0.7
    assert table.loc["censored dropped", "bias"].abs().max() > 0.1
    assert table.loc["inverse probability, wrong G", "coverage"].min() < 0.4
    if scenario == "stopped":
        assert table.loc["product", "coverage"].min() < 0.8
