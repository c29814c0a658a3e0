"""Sizes and probabilities in proportion to something, between bounds; whole numbers with a given sum."""

from __future__ import annotations

import numpy as np

from .._core.types import Floats, Ints
from ..errors import DesignError

_SMALLEST = 1e-12
"""Size, relative to the largest, that one of 0 counts as, so that bounds can still be filled."""


def scaling(size: Floats, total: float, low: Floats | float = 0.0, high: Floats | float = 1.0) -> float:
    """Factor k with which ``clip(k size, low, high)`` adds up to a total.

    ``size`` (M,): positive; ``low``, ``high`` (M,). Raises DesignError if the bounds do not leave room for the total.

    Examples
    --------
    >>> scaling(np.array([1.0, 1.0, 8.0]), 2.0)
    0.5
    """
    order = np.argsort(size, kind="stable")  # so that sums, to the last digit, do not depend on the order of rows
    size = size[order]
    low, high = (np.broadcast_to(bound, size.shape)[order] for bound in (low, high))
    least, most = float(low.sum()), float(high.sum())
    if not least - 1e-9 <= total <= most * (1.0 + 1e-12) + 1e-9:
        raise DesignError(
            f"n={total:g} does not fit the {len(size)} units or strata; give a number from {least:.6g} to {most:.6g}."
        )
    begins, ends = low / size, high / size
    kinks = np.unique(np.concatenate([begins, ends]))
    first, last = 0, len(kinks) - 1
    while last - first > 1:
        middle = (first + last) // 2
        if np.clip(kinks[middle] * size, low, high).sum() < total:
            first = middle
        else:
            last = middle
    free = (begins <= kinks[first]) & (ends >= kinks[last])
    if not free.any() or total >= most:
        return float(kinks[last])
    ended, waiting = ends <= kinks[first], begins >= kinks[last]
    return float((total - high[ended & ~free].sum() - low[waiting & ~free].sum()) / size[free].sum())


def proportional(size: Floats, total: float, low: Floats | float = 0.0, high: Floats | float = 1.0) -> Floats:
    """Numbers in proportion to a size that add up to a total, between bounds, shape (M,).

    With the default bounds these are inclusion probabilities: units at 1 are drawn with certainty, and the rest is
    shared out among the others. ``size`` (M,): not negative; ``low``, ``high`` (M,). Raises DesignError if the bounds
    do not leave room for the total.

    Examples
    --------
    >>> proportional(np.array([1.0, 1.0, 2.0, 12.0]), 2)
    array([0.25, 0.25, 0.5 , 1.  ])
    >>> proportional(np.array([0.9, 0.1]), 10.0, np.array([2.0, 2.0]), np.array([50.0, 50.0]))
    array([8., 2.])
    """
    size = np.maximum(size, _SMALLEST * size.max())
    size = size / np.sort(size).mean()
    found = scaling(size, total, low, high) * size
    found = np.where(found >= np.multiply(high, 1.0 - 1e-12), high, np.maximum(found, low))
    return np.asarray(found)


def whole_sizes(size: Floats) -> Ints:
    """Whole numbers with the same sum, each the next lower or higher one; the largest remainders go up.

    Examples
    --------
    >>> whole_sizes(np.array([3.2, 4.7, 2.1]))
    array([3, 5, 2])
    """
    lower = np.floor(size + 1e-9).astype(np.intp)
    missing = round(float(size.sum())) - int(lower.sum())
    lower[np.argsort(np.round(lower - size, 9), kind="stable")[:missing]] += 1
    return lower


def allocate(total: int, share: Floats, available: Ints) -> Ints:
    """Whole numbers that add up to a total, in proportion to shares, at least two each and at most what is there.

    ``total``: units to share out; ``share`` (S,): wanted, in proportion; ``available`` (S,): units per stratum.

    Examples
    --------
    >>> allocate(10, np.array([0.9, 0.1]), np.array([50, 50]))
    array([8, 2])
    """
    return whole_sizes(proportional(share, total, np.minimum(2.0, available), available.astype(np.float64)))
