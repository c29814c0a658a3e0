"""Intervals that hold at all looks at once: the normal-mixture boundary.

Estimates on growing gold have, as functions of their information ``1 / V``, the covariances of a Brownian
motion: ``Cov(theta_n, theta_m) = V_m`` for n < m. For simple random or Bernoulli gold the labelling errors have it (a
mean of n of m draws, and of all m), and the part all looks share, the corpus itself being a sample, adds the same
constant to ``V_n``, ``V_m`` and their covariance. So the total variance runs the clock for either target, and a
boundary for Brownian motion gives intervals valid at all looks, asymptotically. Source: Waudby-Smith, Arbour,
Sinha, Kennedy, Ramdas (2024), *Time-uniform central limit theory and asymptotic confidence sequences*, theorem 2.2
and appendix B.2; Robbins (1970) for the boundary.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from .._core.types import Floats


def best_ratio(alpha: float) -> float:
    """Ratio of information to the mixture's own at which the boundary is tightest.

    Parameters
    ----------
    alpha : float

    Returns
    -------
    float
        The y that minimises ``(1 + 1 / y) log((1 + y) / alpha^2)``: ``y = log((1 + y) / alpha^2)``.

    Examples
    --------
    >>> round(best_ratio(0.05), 3)
    8.212
    """
    from scipy.special import lambertw

    return float(-lambertw(-(alpha**2) / np.e, k=-1).real - 1.0)


def multiplier(ratio: Floats, alpha: float) -> Floats:
    """Half-width of the interval over the standard error.

    Parameters
    ----------
    ratio : ndarray
        Information over the mixture's own.
    alpha : float

    Returns
    -------
    ndarray
        ``sqrt((1 + 1 / y) log((1 + y) / alpha^2))``.

    Examples
    --------
    >>> multiplier(np.array([8.212]), 0.05).round(2)
    array([3.04])
    """
    return np.asarray(np.sqrt((1.0 + 1.0 / ratio) * (np.log1p(ratio) - 2.0 * np.log(alpha))))


def anytime_p(z: Floats, ratio: Floats) -> Floats:
    """The smallest alpha at which the interval leaves a value out, valid at whatever look it is read.

    Parameters
    ----------
    z : ndarray
        Distance from the value over the standard error.
    ratio : ndarray
        Information over the mixture's own.

    Returns
    -------
    ndarray
        ``min(1, sqrt(1 + y) exp(-z^2 y / (2 (1 + y))))``.

    Examples
    --------
    >>> anytime_p(multiplier(np.array([5.0]), 0.05), np.array([5.0])).round(6)
    array([0.05])
    """
    return np.asarray(np.minimum(1.0, np.exp(0.5 * np.log1p(ratio) - z**2 * ratio / (2.0 * (1.0 + ratio)))))


def planned_variance(total: Floats, labelling: Floats, n: int, planned: int, n_units: int) -> Floats:
    """Variance at another number of gold labels: the labelling part goes with ``1 / n - 1 / N``.

    Parameters
    ----------
    total, labelling : ndarray, shape (p,)
        Variances at n.
    n, planned, n_units : int

    Returns
    -------
    ndarray, shape (p,)
    """
    factor = (1.0 / planned - 1.0 / n_units) / (1.0 / n - 1.0 / n_units)
    return np.maximum(total - labelling, 0.0) + labelling * factor
