"""Newton's method; the gold-only root, from which it starts, and what can be wrong with the gold."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from ..errors import ConvergenceError, SeparationError
from . import index
from .totals import Moments, astray, linear_predictor, n_coefficients, weighted_gram

if TYPE_CHECKING:
    from .._core.types import Floats
    from ..moments import Model
    from .augment import AugmentedSample
    from .rows import Pieces, Rows
    from .totals import Totals

_TOLERANCE = 1e-9
"""A step that moves no coefficient by more than this share of its size plus its standard error is the last one: the
next would be of the size of its square."""


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
        Size of ``sqrt(score' A^-1 score)`` that sampling gives a coefficient, see :func:`noise_of`.
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
            return Root(theta + step, curvature, norm, True, iteration)
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


_NOISE_BLOCKS = 16
"""Blocks of a large corpus, evenly spread, from which the unit of the solver is read: it need not be exact."""

_SEPARATED_ETA = 12.0
"""Fitted probabilities beyond 1 - 6e-6 are looked at twice: the fit may be running to infinity."""

_FLAT = 1e-6
"""Curvature, as a share of what covariates hold, below which a direction is flat: it has run to infinity."""

_FEW_ROWS = 100
"""Gold rows among which a dispersion that runs to its limit says little of the population."""

_UNMOVED = 1e-4
"""Share of the longest way along a direction below which a row does not move."""


def gold_root(moments: Moments) -> Root:
    """Root of the gold-only moment, the start of everything else.

    Raises
    ------
    SeparationError, ConvergenceError
        If there is no finite root.
    """
    sample, model = moments.sample, moments.model
    start = np.zeros(n_coefficients(model, sample.gold))
    if not model.linear:
        start = warm_start(model, sample.gold, sample.units.gold_weight)
    _, scale = moments.gold(start)
    scale = positive(scale)
    root = newton(moments.gold, start, scale, noise_of(model, sample.gold_pieces, len(sample.gold.y), start, scale))
    if model.separable or model.vanishes:
        _refuse_separation(model, sample, root)
    if why := astray(model, sample.gold, root.theta):
        n = len(sample.gold.y)
        chance = f" Among {n} gold rows this may be chance: with more labels there may be one." if n < _FEW_ROWS else ""
        raise ConvergenceError(f"the {model.title.lower()} has no solution on the gold rows: {why}.{chance}")
    if not root.converged:
        raise ConvergenceError(
            f"the {model.title.lower()} did not converge on the gold rows (norm of the moment {root.norm:.2e}); "
            "rescale covariates, check the outcome for outliers, or label more units."
        )
    return root


def _refuse_separation(model: Model, sample: AugmentedSample, root: Root) -> None:
    """Raise where coefficients run to infinity: some direction of the covariates has no curvature left.

    Raises
    ------
    SeparationError
        Naming the column that carries the direction.
    """
    from scipy.linalg import block_diag, eigh

    x, weight = sample.gold.x, sample.units.gold_weight
    eta = index.predictors(x, root.theta, None, model.first)
    largest = float(np.abs(eta).max())
    if root.converged and largest <= _SEPARATED_ETA:
        return
    gram = weighted_gram(x, weight)
    if model.first is None:
        gram = index.repeated(gram, len(root.theta))
    else:
        gram = block_diag(gram[model.first, model.first], weight.sum() * np.eye(eta.shape[1] - 1))
    size = np.sqrt(np.diag(gram))
    scale = np.outer(size, size)
    values, vectors = eigh((root.curvature + root.curvature.T) / 2 / scale, gram / scale)
    if values[0] > (_FLAT if model.separable else _FLAT * values[-1]):
        return
    direction = vectors[:, 0] / size
    if model.vanishes:
        moved = np.abs(x @ direction[: x.shape[1]])  # what a dispersion adds is the same in all rows
        if (moved[sample.gold.y != 0] > _UNMOVED * moved.max()).any():  # a mean far below the others, not one that is 0
            return
    if sample.basis is not None:
        basis = index.repeated(sample.basis, len(direction))
        direction, size = basis @ direction, 1.0 / np.linalg.norm(basis, axis=1)
    columns = list(range(x.shape[1]))[slice(None) if model.first is None else model.first]
    slopes = np.abs(direction * size) if model.first is None else np.abs(direction * size)[: len(columns)]
    column = columns[int(np.argmax(slopes)) % len(columns)]
    name = sample.names[column] if sample.names else f"column {column}"
    raise SeparationError(
        f"the gold outcome is separated: {name!r}, alone or with other columns, predicts it perfectly in some "
        f"gold rows, so no finite coefficient exists (largest |linear predictor| {largest:.1f}). Drop or merge what "
        "separates, or label more units."
    )


def warm_start(model: Model, rows: Rows, weight: Floats | None) -> Floats:
    """A few damped least squares steps: Newton's start for curved models."""
    weight = np.ones(len(rows.y)) if weight is None else weight
    share = weight / weight.sum()
    offset = 0.0 if rows.offset is None else rows.offset
    if model.first is not None:
        working = model.working(rows.y, rows.x, share)
        constants, working = share @ working[:, 1:], working[:, 0] - offset
    elif model.local:
        working = model.working(rows.y - offset, rows.x, share)
    else:
        working = model.working(rows.y, rows.x, share) - offset
    root = np.sqrt(share)
    found = np.linalg.lstsq(rows.x * root[:, None], index.weighted(working, root), rcond=None)[0]
    return np.asarray(found.T.ravel() if model.first is None else np.r_[found[model.first], constants])


def noise_of(model: Model, pieces: Pieces, n_rows: int, theta: Floats, scale: Floats) -> float:
    """Size of ``sqrt(score' A^-1 score)`` per coefficient that sampling gives the total score: the solver's unit.

    Parameters
    ----------
    model : Model
    pieces : callable
        Hands out rows and their weights.
    n_rows : int
        How many these are; of a large corpus blocks evenly spread are looked at.
    theta : ndarray, shape (q,)
        Where the scores are taken.
    scale : ndarray, shape (q, q)
        Information matrix A.

    Returns
    -------
    float
        1 where all scores are 0.
    """
    squares = np.zeros((len(theta), len(theta)))
    step = max(1, n_rows // index.BLOCK_ROWS // _NOISE_BLOCKS)
    for rows, weight in islice(pieces(), None, None, step):
        score, _ = model.evaluate(linear_predictor(model, rows, theta), rows.y)
        phi = index.scores(rows.scored, index.weighted(score, weight, rows.share), model.first)
        squares += phi.T @ phi
    size = float(np.sqrt(max(np.trace(np.linalg.solve(scale, squares)) * step, 0.0) / len(theta)))
    return size if size > 0 and np.isfinite(size) else 1.0


def definite(curvature: Floats) -> bool:
    """Whether every eigenvalue of the scaled Jacobian has a positive real part: a solution, not a saddle."""
    size = np.sqrt(np.abs(np.diag(curvature)))
    if (size == 0).any() or not np.isfinite(curvature).all():
        return False
    return bool(np.linalg.eigvals(curvature / np.outer(size, size)).real.min() > 1e-10)


def positive(scale: Floats) -> Floats:
    """A positive definite version of an information matrix, for measuring lengths, whatever the units of columns."""
    size = np.sqrt(np.abs(np.diag(scale)))
    unit = np.outer(size, size) if (size > 0).all() else np.ones_like(scale)
    values, vectors = np.linalg.eigh((scale + scale.T) / 2.0 / unit)
    return (vectors * np.maximum(values, values[-1] * 1e-14)) @ vectors.T * unit
