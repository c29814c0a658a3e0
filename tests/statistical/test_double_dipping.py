"""The study of prompts chosen on gold at small size."""

from __future__ import annotations

import numpy as np
import pytest

from .double_dipping import Scene, study

REPETITIONS = 60


@pytest.mark.statistical
def test_prompts_chosen_on_development_gold_leave_intervals_valid():
    found = study(Scene(prompts=40, choose="estimate"), REPETITIONS)
    apart, same = found["on development gold"], found["on inference gold"]
    assert abs(apart["coverage"] - 0.95) < 3 * apart["mc_error"], found
    assert abs(apart["bias"]) < 3 * apart["sd"] / np.sqrt(REPETITIONS), found
    assert 0.8 < apart["se"] / apart["sd"] < 1.25, found
    assert same["coverage"] < 0.95 - 6 * same["mc_error"], found
    assert same["bias"] > 6 * same["sd"] / np.sqrt(REPETITIONS), found


@pytest.mark.statistical
def test_small_corpora_too():
    """Of 300 rows 100 are for development: what the prompt learnt from them does not enter."""
    found = study(Scene(n_rows=300, gold=200, prompts=40, choose="estimate"), REPETITIONS)["on development gold"]
    assert abs(found["coverage"] - 0.95) < 3 * found["mc_error"], found
    assert abs(found["bias"]) < 3 * found["sd"] / np.sqrt(REPETITIONS), found
