"""The gold-only root, from which every solver starts, and what can be wrong with the gold."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..errors import ConvergenceError, SeparationError
from . import index
from .solve import Root, newton
from .totals import Moments, linear_predictor, weighted_gram

if TYPE_CHECKING:
    from .._core.types import Floats
    from ..moments import Model
    from .augment import AugmentedSample, Rows

_SEPARATED_ETA = 12.0
"""Fitted probabilities beyond 1 - 6e-6 are looked at twice: the fit may be running to infinity."""

_FLAT = 1e-6
"""Curvature, as a share of what covariates hold, below which a direction is flat: it has run to infinity."""


def gold_root(moments: Moments) -> Root:
    """Root of the gold-only moment, the start of everything else.

    Raises
    ------
    SeparationError, ConvergenceError
        If there is no finite root.
    """
    sample, model = moments.sample, moments.model
    start = np.zeros(index.n_coefficients(model, sample.gold))
    if not model.linear:
        start = _warm_start(model, sample.gold, sample.gold_weight)
    _, scale = moments.gold(start)
    scale = positive(scale)
    root = newton(moments.gold, start, scale, noise_of(model, sample.gold, sample.gold_weight, start, scale))
    if model.separable:
        _refuse_separation(sample, root)
    if not root.converged:
        raise ConvergenceError(
            f"the {model.title.lower()} did not converge on the gold rows (norm of the moment {root.norm:.2e}); "
            "rescale covariates, check the outcome for outliers, or label more units."
        )
    return root


def _refuse_separation(sample: AugmentedSample, root: Root) -> None:
    """Raise where coefficients run to infinity: some direction of the covariates has no curvature left.

    Raises
    ------
    SeparationError
        Naming the column that carries the direction.
    """
    from scipy.linalg import eigh

    largest = float(np.abs(index.predictors(sample.gold.x, root.theta)).max())
    if root.converged and largest <= _SEPARATED_ETA:
        return
    gram = index.repeated(weighted_gram(sample.gold.x, sample.gold_weight), len(root.theta))
    size = np.sqrt(np.diag(gram))
    scale = np.outer(size, size)
    values, vectors = eigh((root.curvature + root.curvature.T) / 2 / scale, gram / scale)
    if values[0] > _FLAT:
        return
    direction = vectors[:, 0] / size
    if sample.basis is not None:
        basis = index.repeated(sample.basis, len(direction))
        direction, size = basis @ direction, 1.0 / np.linalg.norm(basis, axis=1)
    column = int(np.argmax(np.abs(direction * size))) % sample.gold.x.shape[1]
    name = sample.names[column] if sample.names else f"column {column}"
    raise SeparationError(
        f"the gold outcome is separated: {name!r}, alone or with other columns, predicts it perfectly in some "
        f"gold rows, so no finite coefficient exists (largest |linear predictor| {largest:.1f}). Drop or merge what "
        "separates, or label more units."
    )


def _warm_start(model: Model, gold: Rows, weight: Floats) -> Floats:
    """A few damped least squares steps: Newton's start for curved models."""
    share = weight / weight.sum()
    working = model.working(gold.y, share @ gold.y)
    if gold.offset is not None:
        working = working - gold.offset
    root = np.sqrt(share)
    found = np.linalg.lstsq(gold.x * root[:, None], index.weighted(working, root), rcond=None)[0]
    return np.asarray(found.T.ravel())


def noise_of(model: Model, rows: Rows, weight: Floats | None, theta: Floats, scale: Floats) -> float:
    """Size of ``sqrt(score' A^-1 score)`` per coefficient that sampling gives the total score: the solver's unit.

    Parameters
    ----------
    model : Model
    rows : Rows
        m rows.
    weight : ndarray, shape (m,), or None
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
    for block in index.slices(len(rows.y)):
        score, _ = model.evaluate(linear_predictor(rows, theta, block), rows.y[block])
        factors = (factor if factor is None else factor[block] for factor in (weight, rows.share))
        phi = index.scores(rows.x[block], index.weighted(score, *factors))
        squares += phi.T @ phi
    size = float(np.sqrt(max(np.trace(np.linalg.solve(scale, squares)), 0.0) / len(theta)))
    return size if size > 0 and np.isfinite(size) else 1.0


def definite(curvature: Floats) -> bool:
    """Whether every eigenvalue of the scaled Jacobian has a positive real part: a solution, not a saddle."""
    size = np.sqrt(np.abs(np.diag(curvature)))
    if (size == 0).any() or not np.isfinite(curvature).all():
        return False
    return bool(np.linalg.eigvals(curvature / np.outer(size, size)).real.min() > 1e-10)


def positive(scale: Floats) -> Floats:
    """A positive definite version of an information matrix, for measuring lengths."""
    values, vectors = np.linalg.eigh((scale + scale.T) / 2.0)
    return (vectors * np.maximum(values, values[-1] * 1e-14)) @ vectors.T
