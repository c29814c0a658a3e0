"""Critical values of intervals for shrunken estimates that need no distribution of what is shrunk (methods, 10)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from .._core.types import Floats

_STEPS = 32
_POINTS = 400


def critical_values(ratio: Floats, alpha: float) -> Floats:
    """Smallest multiples of the standard error that cover on average whatever the distribution of the bias.

    The interval ``estimate +- c se`` misses with probability ``r(b) = P(|Z + b| > c)`` where the bias is b standard
    errors. c is the smallest value for which the mean of r is at most alpha for all distributions with mean square
    ``E b^2 = ratio``; the worst has two points, 0 and one beyond ``ratio``.

    Parameters
    ----------
    ratio : ndarray, shape (D,)
        Mean squared bias over the squared standard error.
    alpha : float

    Returns
    -------
    ndarray, shape (D,)

    References
    ----------
    Armstrong, Kolesar, Plagborg-Moller (2022), *Robust empirical Bayes confidence intervals*.

    Examples
    --------
    >>> critical_values(np.array([0.0, 1.0]), 0.05).round(2).tolist()
    [1.96, 3.26]
    """
    from scipy.stats import norm

    ratio = np.asarray(ratio, dtype=np.float64)
    low = np.full(ratio.shape, float(norm.isf(alpha / 2.0)))
    high = low + np.sqrt(ratio / alpha) + 1.0  # Chebyshev's inequality for the bias, and more than enough for Z
    high = np.maximum(high, np.sqrt((1.0 + ratio) / alpha))
    for _ in range(_STEPS):
        middle = (low + high) / 2.0
        fine = _worst(ratio, middle) <= alpha
        low, high = np.where(fine, low, middle), np.where(fine, middle, high)
    return np.asarray(high)


def _worst(ratio: Floats, c: Floats) -> Floats:
    """The largest mean probability of missing, shape (D,)."""
    from scipy.special import ndtr

    furthest = (c + 6.0) ** 2
    steps = np.linspace(0.0, 1.0, _POINTS)
    square = ratio[:, None] + steps * np.maximum(furthest - ratio, 0.0)[:, None]
    bias = np.sqrt(square)
    missed = ndtr(bias - c[:, None]) + ndtr(-bias - c[:, None])
    nothing = 2.0 * ndtr(-c)[:, None]
    share = np.divide(ratio[:, None], square, out=np.ones_like(square), where=square > 0)
    return np.asarray((nothing + share * (missed - nothing)).max(axis=1))
