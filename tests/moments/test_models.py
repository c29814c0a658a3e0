"""Scores and curvatures of the models, against likelihoods and against finite differences."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from karat import moments as models
from karat.errors import ArgumentError, DataError

NAMES = ["ols", "logit", "probit", "poisson"]
etas = st.floats(-8, 8)


def log_likelihood(name, eta, y):
    if name == "ols":
        return -0.5 * (y - eta) ** 2
    if name == "poisson":
        return y * eta - np.exp(eta)
    if name == "logit":
        return y * eta - np.logaddexp(0, eta)
    return y * stats.norm.logcdf(eta) + (1 - y) * stats.norm.logcdf(-eta)


@pytest.mark.parametrize("name", NAMES)
@given(eta=etas, y=st.sampled_from([0.0, 1.0, 0.3]))
def test_score_and_curvature_are_derivatives_of_the_likelihood(name, eta, y):
    model, step = models.get(name), 1e-5
    score, curvature = model.evaluate(np.array([eta]), np.array([y]))
    slope = (log_likelihood(name, eta + step, y) - log_likelihood(name, eta - step, y)) / (2 * step)
    assert score[0] == pytest.approx(slope, rel=1e-5, abs=1e-5)
    up, _ = model.evaluate(np.array([eta + step]), np.array([y]))
    down, _ = model.evaluate(np.array([eta - step]), np.array([y]))
    assert curvature[0] == pytest.approx((down - up)[0] / (2 * step), rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("name", NAMES)
@given(eta=etas)
def test_mean(name, eta):
    mean, slope = models.get(name).mean(np.array([eta]))
    expected = {"ols": eta, "logit": 1 / (1 + np.exp(-eta)), "probit": stats.norm.cdf(eta), "poisson": np.exp(eta)}[
        name
    ]
    assert mean[0] == pytest.approx(expected, rel=1e-12)
    above, _ = models.get(name).mean(np.array([eta + 1e-6]))
    below, _ = models.get(name).mean(np.array([eta - 1e-6]))
    assert slope[0] == pytest.approx((above - below)[0] / 2e-6, rel=1e-5, abs=1e-9)
    score, _ = models.get(name).evaluate(np.array([eta]), mean)
    assert score[0] == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("name", NAMES)
@given(eta=etas, share=st.floats(0, 1))
def test_score_is_linear_in_the_outcome(name, eta, share):
    """So that plugging in the mean of a labelled outcome averages the moment."""
    model = models.get(name)
    (zero,), (one,), (between,) = (model.evaluate(np.array([eta]), np.array([y]))[0] for y in (0.0, 1.0, share))
    assert between == pytest.approx((1 - share) * zero + share * one, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_tails_do_not_overflow(name):
    eta = np.array([-700.0, -40.0, 40.0, 700.0])
    for y in (0.0, 1.0):
        for values in models.get(name).evaluate(eta, np.full(4, y)):
            assert np.isfinite(values).all()


def test_outcomes_are_checked():
    with pytest.raises(ArgumentError, match="'ols', 'logit', 'probit', 'poisson'"):
        models.get("weibull")
    for name in ("logit", "probit"):
        with pytest.raises(DataError, match="0 or 1"):
            models.get(name).check_outcome(np.array([0.0, 2.0]), "vote")
    models.get("poisson").check_outcome(np.array([0.0, 2.5]), "count")
    models.get("ols").check_outcome(np.array([-1e9]), "y")
