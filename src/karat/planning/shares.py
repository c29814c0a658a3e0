"""Sizes and probabilities in proportion to something, between bounds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..errors import DesignError

if TYPE_CHECKING:
    from .._core.types import Floats, Ints


def fill(total: float, share: Floats, low: Floats, high: Floats) -> Floats:
    """Sizes in proportion to shares, between bounds, that add up to a total.

    Parameters
    ----------
    total : float
    share, low, high : ndarray, shape (S,)

    Returns
    -------
    ndarray, shape (S,)

    Raises
    ------
    DesignError
        If the bounds do not leave room for the total.

    Examples
    --------
    >>> fill(10.0, np.array([0.9, 0.1]), np.array([2.0, 2.0]), np.array([50.0, 50.0]))
    array([8., 2.])
    """
    if not low.sum() - 1e-9 <= total <= high.sum() * (1 + 1e-12) + 1e-9:
        raise DesignError(
            f"n={total:g} does not fit {len(share)} strata; give a number from {low.sum():.0f} to {high.sum():.0f}, or "
            "use other strata."
        )
    share = np.maximum(share, 1e-12 * share.max())
    below, above = 0.0, float((high / share).max())
    for _ in range(200):
        middle = 0.5 * (below + above)
        if np.clip(middle * share, low, high).sum() < total:
            below = middle
        else:
            above = middle
    size: Floats = np.clip(above * share, low, high)
    return size


def whole(size: Floats) -> Ints:
    """Whole numbers with the same sum, each the next lower or higher one; the largest remainders go up.

    Examples
    --------
    >>> whole(np.array([3.2, 4.7, 2.1]))
    array([3, 5, 2])
    """
    lower = np.floor(size + 1e-9).astype(np.intp)
    missing = round(float(size.sum())) - int(lower.sum())
    lower[np.argsort(lower - size, kind="stable")[:missing]] += 1
    return lower


def scale_to(size: Floats, total: float) -> float:
    """Factor kappa with ``sum min(1, kappa size) = total``.

    Raises
    ------
    DesignError
        If the total is more than there are units.

    Examples
    --------
    >>> scale_to(np.array([1.0, 1.0, 8.0]), 2.0)
    0.5
    """
    if not 0 < total <= len(size) * (1 + 1e-12):
        raise DesignError(f"n={total:g} is not possible; give a number from 1 to {len(size)}.")
    descending = np.sort(size)[::-1]
    rest = np.concatenate([np.cumsum(descending[::-1])[::-1], [0.0]])
    for certain in range(len(size)):
        if rest[certain] <= 0:
            break
        kappa = (total - certain) / rest[certain]
        if kappa * descending[certain] <= 1.0:
            return float(kappa)
    return float(1.0 / max(descending[descending > 0][-1], 1e-300))
