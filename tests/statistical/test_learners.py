"""The study of learners at small size: intervals hold, and pre-training on surrogates predicts better."""

import numpy as np
import pytest

from . import learners

pytestmark = pytest.mark.statistical


def test_pre_training_on_surrogates_predicts_better_than_gold_alone():
    """Six samples of 200 gold labels, two fifths of the surrogates wrong."""
    names = ["gold only", "torch", "pretrained"]
    runs = [learners.one("noisy text", seed, names) for seed in range(6)]
    skill = {name: np.array([r[name][3][0] for r in runs]) for name in names[1:]}
    gain = skill["pretrained"] - skill["torch"]
    assert gain.mean() > gain.std(ddof=1) / np.sqrt(len(gain)), gain
    truth = learners.truth_of_noisy_text(200_000)
    for name in names:
        inside = [np.abs(r[name][0] - truth) <= r[name][2] for r in runs]
        assert np.mean(inside) > 0.7


def test_table():
    row = {"setting": "reviews", "learner": "torch", "repetitions": 2, "sd_over_gold": 0.9, "se_over_gold": 0.8}
    text = learners.table([row | {"coverage": 0.95, "se_over_sd": 1.0, "r_squared": 0.5, "slopes": 3}])
    assert "| reviews | torch | 0.800 | 0.900 | 0.950 | 1.000 | 0.500 |" in text
