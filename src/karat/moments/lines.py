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

_CLOSE = 0.1
"""Kernel, as a share of the median absolute residual, with which a line is a start and not an estimate."""
_NARROWER, _LONGEST_STEP = 4.0, 3.0
_MOST_STEPS, _STILL, _ROUNDING = 100, 1e-9, 1e-12
_SAME = 1e-9
"""Shares of the weight that differ by less are the same."""


def quantile_line(x: Floats, y: Floats, weight: Floats, q: float, bandwidth: float | None = None) -> Floats:
    """Fitted values of a linear q-quantile, smoothed by a normal kernel.

    The kernel is as wide as the outcome at first and gets narrower from root to root, so that the line is found from
    anywhere.

    Parameters
    ----------
    x : ndarray, shape (m, p)
    y, weight : ndarray, shape (m,)
    q : float
        Between 0 and 1.
    bandwidth : float, optional
        Width of the kernel; by default small among the residuals.

    Returns
    -------
    ndarray, shape (m,)

    Examples
    --------
    >>> y = np.array([1.0, 2.0, 3.0, 4.0, 100.0])
    >>> float(quantile_line(np.ones((5, 1)), y, np.ones(5), 0.5)[0].round(1))
    3.0
    """
    share = weight / weight.sum()
    scaled = x / np.where((size := np.abs(x).max(axis=0)) > 0, size, 1.0)
    triangle = np.linalg.qr(scaled * np.sqrt(share)[:, None], mode="r")
    columns = scaled @ np.linalg.pinv(triangle, rcond=1e-12)
    b = columns.T @ (share * y)
    residual, least = y - columns @ b, _ROUNDING * float(np.abs(y).max())
    width = max(float(np.sqrt(share @ residual**2)), bandwidth or 0.0)
    while width > least:
        b = _smoothed(columns, y, share, q, b, width)
        residual = y - columns @ b
        wanted = bandwidth or 2.0 * _CLOSE * weighted_quantile(np.abs(residual), share, 0.5)
        if width <= wanted:
            break
        width = max(width / _NARROWER, bandwidth or 0.5 * wanted)
    return np.asarray(columns @ b)


def _smoothed(x: Floats, y: Floats, share: Floats, q: float, b: Floats, h: float) -> Floats:
    """Newton's method on the convex smoothed check function, steps cut to some widths of the kernel."""
    from scipy.special import ndtr

    def at(b: Floats) -> tuple[float, Floats, Floats]:
        u = (y - x @ b) / h
        above, density = ndtr(u) - 1.0 + q, np.exp(-0.5 * u**2) / np.sqrt(2.0 * np.pi)
        return float(share @ (density + u * above)), share * above, share * density / h

    loss, score, curvature = at(b)
    for _ in range(_MOST_STEPS):
        step = np.linalg.lstsq(x.T @ (x * curvature[:, None]), x.T @ score, rcond=None)[0]
        moved = float(np.linalg.norm(step)) / h  # columns are orthonormal
        if moved <= _STILL:
            return np.asarray(b + step)
        fraction = min(1.0, _LONGEST_STEP / moved)
        new = at(b + fraction * step)
        while new[0] > loss + _ROUNDING and fraction * moved > _STILL:
            fraction /= 2.0
            new = at(b + fraction * step)
        b, (loss, score, curvature) = b + fraction * step, new
    return b


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
