"""The study of models that are nearly always right at small size."""

import warnings

import numpy as np
import pytest

from karat.errors import KaratWarning

from .nearly_right import Scene, once

REPETITIONS = 30


@pytest.mark.statistical
@pytest.mark.parametrize(
    "scene",
    [
        Scene(0.99), Scene(0.995, "covariate"), Scene(0.999),
        Scene(0.995, model="logit", averages=True), Scene(0.999, "covariate", model="logit", averages=True),
    ],
    ids=str,
)  # fmt: skip
def test_intervals_hold_with_few_wrong_labels_or_none(scene):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", KaratWarning)
        found = np.array([once(scene, 8_200_000, r) for r in range(REPETITIONS)])
    covered = ((found[:, 1] <= 0) & (found[:, 2] >= 0)).mean(axis=0)
    assert (covered >= 0.95 - 3 * np.sqrt(0.05 * 0.95 / REPETITIONS)).all(), covered
    assert (found[:, 3] > 0).all()
