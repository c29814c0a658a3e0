"""Learning curves at small size: the censored risk minimiser follows the oracle, dropping and ignoring do not."""

import numpy as np
import pytest

from . import learning_curves as study


@pytest.mark.statistical
@pytest.mark.parametrize("kind", ["marginal", "covariate"])
def test_excess_risk_is_near_the_oracles_and_far_below_the_rivals(kind):
    lines = [line for seed in range(3) for line in study.repetition(seed, (500, 2000), ("ridge",), ((kind, "heavy"),))]
    table = study.summarise(lines)
    excess = {(r["n"], r["method"]): r["excess"] for r in table}
    right = "marginal" if kind == "marginal" else "kernel"
    assert excess[2000, right] < 2.0 * excess[2000, "oracle"]
    assert excess[2000, right] < 0.25 * min(excess[2000, "complete cases"], excess[2000, "as if complete"])
    assert excess[2000, right] < excess[500, right]
    if kind == "covariate":
        assert excess[2000, "cox"] < 2.0 * excess[2000, "oracle"]
        assert excess[2000, right] < 0.7 * excess[2000, "marginal"]
    assert all(0.4 < r["lost"] < 0.6 for r in table)


def test_truth_is_the_restricted_mean():
    rng = np.random.default_rng(0)
    x = np.tile([[0.3, -0.5, 0.8, 0.1]], (200_000, 1))
    duration = study.scale(x) * rng.weibull(study.SHAPE, size=len(x))
    assert np.minimum(duration, study.TAU).mean() == pytest.approx(study.truth(x[:1])[0], abs=0.01)
