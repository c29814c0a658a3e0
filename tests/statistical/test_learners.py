"""The study of learners at small size: intervals hold, and pre-training on surrogates narrows them."""

import numpy as np
import pytest

from . import learners

pytestmark = pytest.mark.statistical


def test_pre_training_on_surrogates_beats_gold_alone():
    """Eight paired repetitions with 200 gold labels, two fifths of the surrogates wrong; 24 intervals."""
    found = {
        name: learners.repeat("simulated", name, range(1, 9), n_units=2000)
        for name in ("torch", "pre-trained, soft_cross_entropy")
    }
    alone, before = (np.array(r["se"]).mean(axis=1) for r in found.values())
    ratio = before / alone
    assert ratio.mean() < 1.0 - ratio.std(ddof=1) / np.sqrt(len(ratio)), ratio
    for r in found.values():
        assert np.mean(r["hit"]) > 0.8
        assert 0.6 < (np.array(r["se"]).mean(axis=0) / np.std(r["theta"], axis=0, ddof=1)).mean() < 2.0


def test_table():
    rows = {"theta": [[0.1, 0.2], [0.3, 0.1]], "se": [[1.0, 1.0], [1.2, 1.0]], "hit": [[1, 1], [0, 1]]}
    rows |= {"skill": [0.1, 0.3], "seconds": [1.0, 1.0]}
    text = learners.table({"simulated": {"torch": rows, "linear": rows}})
    assert "| torch | 1.0500 | +0.0 (0.0) | 0.750 (0.250) |" in text
