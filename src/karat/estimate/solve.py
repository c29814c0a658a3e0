"""Newton's method for a moment equation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from .._core.types import Floats
    from .totals import Totals

_TOLERANCE = 1e-11
"""Newton stops when no coefficient moves by more than this share of its size plus its standard error."""


@dataclass(frozen=True)
class Root:
    """A solution of ``sum of scores = 0``.

    Parameters
    ----------
    theta : ndarray, shape (p,)
        Coefficients.
    curvature : ndarray, shape (p, p)
        Minus the derivative of the total score there (N times the Jacobian).
    norm : float
        Length of the last total score: about the distance to the root in standard errors.
    converged : bool
    iterations : int
    """

    theta: Floats
    curvature: Floats
    norm: float
    converged: bool
    iterations: int


def newton(totals: Totals, start: Floats, scale: Floats, noise: float = 1.0, max_iterations: int = 60) -> Root:
    """Newton's method with step halving on the norm of the total score.

    Parameters
    ----------
    totals : callable
        Total score and curvature at given coefficients.
    start : ndarray, shape (p,)
        First coefficients.
    scale : ndarray, shape (p, p)
        Positive definite information matrix A; norms are ``sqrt(score' A^-1 score) / noise``,
        so that the path depends neither on the units of covariates nor on those of the outcome and the weights.
    noise : float
        Size of ``sqrt(score' A^-1 score)`` that sampling gives a coefficient, see
        :func:`karat.estimate.start.noise_of`.
    max_iterations : int
        Most steps.

    Returns
    -------
    Root
        With ``converged=False`` where no root was reached.

    Examples
    --------
    >>> root = newton(lambda b: (3.0 - b, np.eye(1)), np.zeros(1), np.eye(1))
    >>> root.theta, root.converged
    (array([3.]), True)
    """
    factor = np.linalg.cholesky(scale)
    unit = np.sqrt(np.diag(np.linalg.inv(scale))) * noise

    def length(score: Floats) -> float:
        return float(np.linalg.norm(np.linalg.solve(factor, score))) / noise

    theta = np.array(start, dtype=np.float64)
    score, curvature = totals(theta)
    norm = length(score)
    for iteration in range(1, max_iterations + 1):
        try:
            step = np.linalg.solve(curvature, score)
        except np.linalg.LinAlgError:
            return Root(theta, curvature, norm, False, iteration)
        if not np.isfinite(step).all():
            return Root(theta, curvature, norm, False, iteration)
        if (np.abs(step) <= _TOLERANCE * (np.abs(theta) + unit)).all():
            return Root(theta, curvature, norm, True, iteration)
        fraction = 1.0
        while True:
            new = theta + fraction * step
            new_score, new_curvature = totals(new)
            new_norm = length(new_score)
            if new_norm < norm or (np.isfinite(new_norm) and new_norm <= 1e-12):
                break
            fraction /= 2.0
            if fraction < 1e-6:
                stalled_at_root = norm <= 1e-7
                return Root(theta, curvature, norm, stalled_at_root, iteration)
        improved = norm - new_norm
        theta, score, curvature, norm = new, new_score, new_curvature, new_norm
        if norm <= 1e-13 or (norm <= 1e-9 and improved < 1e-12):
            return Root(theta, curvature, norm, True, iteration)
    return Root(theta, curvature, norm, norm <= 1e-7, max_iterations)
