"""The study of learners at small size: intervals hold, and pre-training on surrogates predicts better."""

import numpy as np
import pytest

from . import learners

pytestmark = pytest.mark.statistical


def test_pre_training_on_surrogates_predicts_better_than_gold_alone():
    """Six paired repetitions with 200 gold labels, two fifths of the surrogates wrong: out-of-fold R2; 18 intervals."""
    found = {
        name: learners.repeat("simulated", name, range(1, 7), n_units=4000)
        for name in ("torch", "pre-trained, soft_cross_entropy")
    }
    alone, before = (np.array(r["skill"]) for r in found.values())
    gain = before - alone
    assert gain.mean() > gain.std(ddof=1) / np.sqrt(len(gain)), gain
    for r in found.values():
        assert np.mean(r["hit"]) > 0.8


def test_table():
    rows = {"theta": [[0.1, 0.2], [0.3, 0.1]], "se": [[1.0, 1.0], [1.2, 1.0]], "hit": [[1, 1], [0, 1]]}
    rows |= {"skill": [0.1, 0.3], "seconds": [1.0, 1.0]}
    text = learners.table({"simulated": {"torch": rows, "linear": rows}})
    assert "| torch | 1.0500 | +0.0 (0.0) | 0.750 (0.250) |" in text
