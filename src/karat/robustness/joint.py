"""Many estimates of one coefficient from the same gold: their joint covariance, and what follows from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..estimate.clusters import across
from ..estimate.covariance import influence_covariance

if TYPE_CHECKING:
    from .._core.types import Floats
    from ..estimate.augment import Units

_DRAWS = 20_000
_TINY = 1e-8


def joint_covariance(
    psi: list[Floats],
    error: list[Floats],
    units: Units,
    target: str,
    kind: str,
    variance: Floats,
) -> Floats:
    """Covariance of U estimates from stacked influences, with the variances that the fits report.

    Parameters
    ----------
    psi : list of U ndarrays, each of shape (N,)
        Influence of all units on each estimate.
    error : list of U ndarrays, each of shape (n,)
        Labelling errors of the gold units.
    units : Units
        The same for all.
    target : {"superpopulation", "finite"}
    kind : str
        Of the covariance, for units or clusters.
    variance : ndarray, shape (U,)
        Of each fit on its own.

    Returns
    -------
    ndarray, shape (U, U)
    """
    scores = np.column_stack(psi), np.column_stack(error)
    plain = across(units.summed_over(kind), lambda codes: influence_covariance(*scores, units, target, codes))
    size = np.sqrt(np.maximum(np.diag(plain), 1e-300))
    out: Floats = plain / np.outer(size, size) * np.sqrt(np.outer(variance, variance))
    return out


def max_t_critical(covariance: Floats, df: Floats, alpha: float, rng: np.random.Generator) -> Floats:
    """Critical values of simultaneous intervals: the max-t quantile of the joint normal, on each t scale.

    Source: Montiel Olea and Plagborg-Moller (2019), algorithm 1 (plug-in sup-t).

    Parameters
    ----------
    covariance : ndarray, shape (U, U)
    df : ndarray, shape (U,)
    alpha : float
    rng : Generator

    Returns
    -------
    ndarray, shape (U,)

    Examples
    --------
    >>> max_t_critical(np.eye(1), np.array([np.inf]), 0.05, np.random.default_rng(0)).round(1)
    array([2.])
    """
    from scipy.stats import norm, t

    largest = np.abs(_normal(covariance, rng)).max(axis=1)
    tail = min(float(norm.sf(np.quantile(largest, 1.0 - alpha))), alpha / 2.0)
    out: Floats = np.asarray(t.isf(tail, df))
    return out


def equality(theta: Floats, covariance: Floats, df: float, rng: np.random.Generator) -> tuple[float, float]:
    """Test that U estimates estimate the same: largest distance from their mean, in its standard error.

    The distances are jointly normal with a known covariance; the p-value is that of their largest absolute value, on
    the t scale. Estimates that hardly differ in what they are made of may not be distinguishable, and are left out.

    Parameters
    ----------
    theta : ndarray, shape (U,)
    covariance : ndarray, shape (U, U)
    df : float
    rng : Generator

    Returns
    -------
    statistic, p_value : float
        NaN if there is one estimate, or they do not differ.

    Examples
    --------
    >>> statistic, p_value = equality(np.array([0.0, 0.1]), np.eye(2), np.inf, np.random.default_rng(0))
    >>> p_value > 0.9
    True
    """
    from scipy.stats import norm, t

    u = len(theta)
    if u < 2:
        return float("nan"), float("nan")
    centre = np.eye(u) - 1.0 / u
    spread = centre @ covariance @ centre
    variance = np.diag(spread)
    told = variance > _TINY * np.diag(covariance).max()
    if not told.any():
        return float("nan"), float("nan")
    gap = (centre @ theta)[told]
    part = spread[np.ix_(told, told)]
    statistic = float((np.abs(gap) / np.sqrt(variance[told])).max())
    on_normal_scale = norm.isf(t.sf(statistic, df))
    largest = np.abs(_normal(part, rng)).max(axis=1)
    return statistic, float((1 + (largest >= on_normal_scale).sum()) / (1 + len(largest)))


def _normal(covariance: Floats, rng: np.random.Generator) -> Floats:
    """Standardised joint normal draws, shape (draws, U)."""
    size = np.sqrt(np.diag(covariance))
    values, vectors = np.linalg.eigh(covariance / np.outer(size, size))
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    out: Floats = rng.standard_normal((_DRAWS, len(size))) @ root.T
    return out
