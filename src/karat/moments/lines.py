"""Lines through a quantile of an outcome, and the spread about them: what is known before the root is sought.

Scores that are flat far from the outcome (quantiles, Huber's) need a start near the root, and numbers that must be
fixed beforehand (a bandwidth, a scale) are made from the residuals of such a line.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..errors import ArgumentError

if TYPE_CHECKING:
    from .._core.types import Floats

_CLOSE = 0.01
"""Share of the median absolute residual within which a line is told: it is a start, not an estimate."""
_MOST_ROUNDS, _STILL, _ROUNDING = 1000, 1e-8, 1e-12
"""The line is followed until it is still, so that what is made of it does not depend on rounding."""
_SAME = 1e-9
"""Shares of the weight that differ by less are the same."""


def quantile_line(x: Floats, y: Floats, weight: Floats, q: float) -> Floats:
    """Fitted values of a linear q-quantile, within a hundredth of the residuals or so.

    Weighted least squares again and again, each a majorant of the check function that touches it at the last line.

    Parameters
    ----------
    x : ndarray, shape (m, p)
    y, weight : ndarray, shape (m,)
    q : float
        Between 0 and 1.

    Returns
    -------
    ndarray, shape (m,)

    References
    ----------
    Hunter and Lange (2000), *Quantile regression via an MM algorithm*.

    Examples
    --------
    >>> y = np.array([1.0, 2.0, 3.0, 4.0, 100.0])
    >>> float(quantile_line(np.ones((5, 1)), y, np.ones(5), 0.5)[0].round(1))
    3.0
    """
    scaled = x / np.where((width := np.abs(x).max(axis=0)) > 0, width, 1.0)
    triangle = np.linalg.qr(scaled * np.sqrt(weight / weight.sum())[:, None], mode="r")
    columns = scaled @ np.linalg.pinv(triangle, rcond=1e-12)
    fitted = columns @ (columns.T @ (weight * y) / weight.sum())
    least = _ROUNDING * float(np.abs(y).max())
    if least == 0:
        return np.asarray(fitted)
    for _ in range(_MOST_ROUNDS):
        distance = np.abs(y - fitted)
        size = weighted_quantile(distance, weight, 0.5)
        own = weight / (_CLOSE * size + least + distance)
        right = columns.T @ (own * y + (2.0 * q - 1.0) * weight)
        new = columns @ np.linalg.lstsq(columns.T @ (columns * own[:, None]), right, rcond=None)[0]
        moved = float(np.abs(new - fitted).max())
        fitted = new
        if moved <= _STILL * size + least:
            break
    return np.asarray(fitted)


def weighted_quantile(values: Floats, weight: Floats, q: float) -> float:
    """Smallest value up to which a share q of the weight lies.

    Examples
    --------
    >>> weighted_quantile(np.array([3.0, 1.0, 2.0]), np.array([1.0, 1.0, 2.0]), 0.5)
    2.0
    """
    order = np.argsort(values, kind="stable")
    share = np.cumsum(weight[order]) / weight.sum()
    return float(values[order][min(int(np.searchsorted(share, q - _SAME)), len(values) - 1)])


def spread(residual: Floats, weight: Floats) -> float:
    """Standard deviation, or that of a normal distribution with the same quartiles, whichever is smaller.

    Examples
    --------
    >>> round(spread(np.array([-1.349, -0.6745, 0.6745, 1.349]), np.ones(4)), 2)
    1.07
    """
    low, high = (weighted_quantile(residual, weight, q) for q in (0.25, 0.75))
    centred = residual - weight @ residual / weight.sum()
    return float(min(np.sqrt(weight @ centred**2 / weight.sum()), (high - low) / 1.349))


def check_width(name: str, value: float, residual: Floats, within: float, p: int) -> None:
    """Raise where too few residuals lie near the line for a score that is flat beyond a width.

    Parameters
    ----------
    name : str
        Argument that sets the width.
    value : float
        What came.
    residual : ndarray, shape (n,)
    within : float
        The width.
    p : int
        Columns of the design.

    Raises
    ------
    ArgumentError

    Examples
    --------
    >>> check_width("bandwidth", 2.0, np.arange(9.0), 2.0, 1)
    """
    near, wanted = int((np.abs(residual) <= within).sum()), 2 * p
    if near < wanted:
        least = float(np.sort(np.abs(residual))[min(2 * wanted, len(residual)) - 1]) * value / within
        raise ArgumentError(
            f"{name}={value:g} is not allowed: only {near} gold row(s) lie that near to the regression line, too few "
            f"for {p} coefficient(s); give {least:.2g} or more, in units of the outcome."
        )


def effective_number(weight: Floats) -> float:
    """Rows of equal weight that these are worth (Kish 1965).

    Examples
    --------
    >>> effective_number(np.ones(7))
    7.0
    """
    return float(weight.sum() ** 2 / (weight @ weight))
