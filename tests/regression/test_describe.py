"""What is said of a fit."""

import warnings

import numpy as np
import pandas as pd
import pytest

import karat as kt


@pytest.mark.parametrize("learner", [None, "linear"])
@pytest.mark.parametrize(
    ("wrong", "target", "noted"),
    [(0, "finite", True), (1, "finite", True), (60, "finite", False), (0, "superpopulation", False)],
)
def test_gold_with_next_to_no_wrong_label_is_said(learner, wrong, target, noted):
    rng = np.random.default_rng(2)
    hostile = (rng.random(2_000) < 0.4) * 1.0
    data = pd.DataFrame({"hostile": hostile, "llm": hostile, "y": hostile + rng.normal(size=2_000)})
    data.loc[data.index < wrong, "llm"] = 1.0 - hostile[:wrong]
    data.loc[200:, "hostile"] = np.nan
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        fit = kt.ols("y ~ hostile", data, surrogates={"hostile": "llm"}, learner=learner, target=target, seed=1)
    assert any("intervals allow for wrong labels" in note for note in fit.notes) == noted
    assert not any("nearly all" in str(one.message) for one in found), "what intervals allow for needs no warning"


@pytest.mark.parametrize("learner", [None, "linear"])
@pytest.mark.parametrize(("noise", "noted"), [(0.0, True), (0.3, False)])
def test_numbers_that_are_nearly_always_as_predicted_are_said(learner, noise, noted):
    """A learner shrinks, so that no number is exactly as predicted."""
    rng = np.random.default_rng(4)
    data = pd.DataFrame({"z": rng.normal(size=1_000)})
    data["tone"] = data["z"] + rng.normal(size=1_000)
    data["llm"] = data["tone"] + noise * rng.normal(size=1_000)
    data.loc[100:, "tone"] = np.nan
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        kt.ols("tone ~ z", data, surrogates={"tone": "llm"}, learner=learner, target="finite", seed=1)
    assert any("nearly all gold labels are as predicted" in str(one.message) for one in found) == noted
