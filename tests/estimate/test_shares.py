"""Effective sizes, intervals and settled variances of shares, on arrays."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import beta

from karat.estimate.shares import PRIOR, Shares, beta_interval, group_means


def shares(count, *, ratio=1.0, df=None, spread=1.0, binary=True, unit_variance=None):
    count = np.atleast_1d(np.asarray(count, dtype=float))
    return Shares(
        count, count, 1 / count if unit_variance is None else np.full(len(count), unit_variance),
        np.maximum(count - 1, 1.0) if df is None else np.full(len(count), df), np.full(len(count), ratio),
        spread, binary,
    )  # fmt: skip


def test_interval_is_that_of_clopper_and_pearson():
    low, high = beta_interval(np.array([0.0, 0.2, 1.0]), np.array([10.0, 10.0, 10.0]), 0.1)
    np.testing.assert_allclose(low, [0.0, beta.ppf(0.05, 2, 9), beta.ppf(0.05, 10, 1)])
    np.testing.assert_allclose(high, [beta.ppf(0.95, 1, 10), beta.ppf(0.95, 3, 8), 1.0])
    outside = beta_interval(np.array([-0.1, 1.2]), np.array([10.0, 10.0]), 0.1)
    np.testing.assert_allclose(outside, ([0.0, low[2]], [high[0], 1.0]))


@pytest.mark.parametrize("p", [0.0, 0.05, 0.5, 1.0])
def test_effective_size_of_a_plain_sample_is_its_size(p):
    assert shares(40).size(np.array([p]), np.array([p * (1 - p) / 40]))[0] == pytest.approx(40)


def test_effective_size_is_drawn_towards_the_gold_where_little_is_known():
    many, few = shares(4000), shares(40)
    half = np.array([0.3])
    assert many.size(half, half * 0.7 / 8000)[0] == pytest.approx(8000, rel=0.01)
    assert 40 < few.size(half, half * 0.7 / 80)[0] < 70
    # no error was seen at all: the variance is 0, the size is not infinite
    assert few.size(half, np.zeros(1))[0] == pytest.approx(40 * (0.21 * 40 / PRIOR + 1))


def test_few_degrees_of_freedom_widen_the_interval_as_t_quantiles_do():
    from scipy.stats import t

    p, v = np.array([0.3]), np.array([0.3 * 0.7 / 40])
    size = 40 * (t.ppf(0.975, 39) / t.ppf(0.975, 4)) ** 2
    np.testing.assert_allclose(shares(40, df=4.0).interval(p, v, 0.05), beta_interval(p, np.array([size]), 0.05))
    np.testing.assert_allclose(shares(40, df=400.0).interval(p, v, 0.05), beta_interval(p, np.array([40.0]), 0.05))


def test_variance_of_a_share_is_never_below_that_of_one_positive():
    theta = np.array([0.0, 0.3])
    covariance = np.array([[0.0, 0.0], [0.0, 0.01]])
    settled, df, after = shares([20, 30]).settle(covariance, np.array([50.0, 5.0]), "auto")
    q = 1 / 21
    assert settled[0, 0] == pytest.approx(q * (1 - q) / 20)
    assert settled[1, 1] == 0.01
    np.testing.assert_array_equal(df, [19.0, 5.0])
    # the interval goes by what was estimated, not by the floor
    assert after.size(theta, np.diag(settled))[0] == pytest.approx(20)
    assert not covariance[0, 0]
    assert shares([20, 30]).settle(covariance, np.array([50.0, 5.0]), "normal")[1][0] == 50.0


def test_settled_covariance_keeps_correlations():
    covariance = np.array([[1e-6, 5e-5], [5e-5, 0.01]])
    settled, _, _ = shares([20, 30]).settle(covariance, np.ones(2), "auto")
    assert settled[0, 0] > 1e-4
    assert settled[0, 1] / np.sqrt(settled[0, 0] * settled[1, 1]) == pytest.approx(0.5)


def test_variance_of_a_number_is_pooled_where_the_group_is_small():
    before = np.diag([0.0, 0.3, 0.02])
    settled, df, _ = shares([1, 4, 50], spread=2.0, binary=False).settle(before, np.full(3, 60.0), "auto")
    assert settled[0, 0] == pytest.approx(2.0)
    assert settled[1, 1] == pytest.approx((3 * 0.3 + 2 * 2.0 / 4) / 5)
    assert settled[2, 2] == 0.02
    np.testing.assert_array_equal(df, [3.0, 5.0, 49.0])


def test_group_means_are_indicators():
    assert group_means(np.eye(3)[[0, 1, 1, 2]])
    assert not group_means(np.array([[1.0, 1.0], [1.0, 0.0]]))
    assert not group_means(np.array([[0.5, 0.5]]))
