"""The gold-only root, from which every solver starts, and what can be wrong with the gold."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..errors import ConvergenceError, DataError, SeparationError
from .moments import Moments, weighted_gram
from .solve import Root, newton

if TYPE_CHECKING:
    from .._types import Floats
    from ..augment import AugmentedSample, Rows
    from ..models import Model

_SEPARATED_ETA = 12.0
"""Fitted probabilities beyond 1 - 6e-6 are looked at twice: the fit may be running to infinity."""

_FLAT = 1e-6
"""Curvature, as a share of what covariates hold, below which a direction is flat: it has run to infinity."""


def gold_root(moments: Moments) -> Root:
    """Root of the gold-only moment, the start of everything else.

    Raises
    ------
    DataError
        If gold covariates are collinear.
    SeparationError, ConvergenceError
        If there is no finite root.
    """
    sample, model = moments.sample, moments.model
    check_rank(sample.gold.x, sample.gold_weight, sample.names, "gold rows")
    start = np.zeros(sample.gold.x.shape[1])
    if not model.linear:
        start = _warm_start(model, sample.gold, sample.gold_weight)
    _, scale = moments.gold(start)
    root = newton(moments.gold, start, positive(scale))
    if model.name in ("logit", "probit"):
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

    largest = float(np.abs(sample.gold.x @ root.theta).max())
    if root.converged and largest <= _SEPARATED_ETA:
        return
    gram = weighted_gram(sample.gold.x, sample.gold_weight)
    size = np.sqrt(np.diag(gram))
    scale = np.outer(size, size)
    values, vectors = eigh((root.curvature + root.curvature.T) / 2 / scale, gram / scale)
    if values[0] > _FLAT:
        return
    column = int(np.argmax(np.abs(vectors[:, 0])))
    name = sample.names[column] if sample.names else f"column {column}"
    raise SeparationError(
        f"the gold outcome is separated: {name!r}, alone or with other columns, predicts it perfectly in some "
        f"gold rows, so no finite coefficient exists (largest |linear predictor| {largest:.1f}). Drop or merge what "
        "separates, or label more units."
    )


def check_rank(x: Floats, weight: Floats | None, names: tuple[str, ...], where: str) -> None:
    """Raise where columns of a design matrix are constant, empty or combinations of each other.

    Parameters
    ----------
    x : ndarray, shape (m, p)
    weight : ndarray, shape (m,), or None
    names : tuple of str
        Column names.
    where : str
        Which rows these are, for the message.

    Raises
    ------
    DataError
        Naming the columns.
    """
    from scipy.linalg import qr

    if weight is not None and not (weight > 0).any():
        raise DataError(f"the weights of all {where} are 0, so nothing can be learnt from them; correct weights=.")
    if len(x) < x.shape[1]:
        raise DataError(
            f"there are {len(x)} {where} for {x.shape[1]} coefficients; label more units or drop covariates."
        )
    gram = weighted_gram(x, weight)
    size = np.sqrt(np.diag(gram))
    names = names or tuple(f"column {j}" for j in range(x.shape[1]))
    empty = [names[j] for j in np.flatnonzero(size == 0)]
    if empty:
        raise DataError(
            f"column(s) {', '.join(empty)} are zero in all {where}, so their coefficients cannot be learnt; "
            f"label units "
            "that have them (a stratified design helps), merge categories, or drop them."
        )
    scaled = gram / np.outer(size, size)
    if np.linalg.eigvalsh(scaled)[0] > 1e-11:
        return
    _, triangle, order = qr(scaled, pivoting=True)
    dependent = [names[order[j]] for j in np.flatnonzero(np.abs(np.diag(triangle)) < 1e-9 * abs(triangle[0, 0]))]
    culprits = dependent or [names[order[-1]]]
    constant = [name for name in culprits if np.ptp(x[:, names.index(name)]) == 0]
    why = "constant" if constant else "a combination of the other columns"
    raise DataError(
        f"column(s) {', '.join(culprits)} are {why} in the {where} (collinear); drop them, merge categories, or label "
        "units in which they vary."
    )


def _warm_start(model: Model, gold: Rows, weight: Floats) -> Floats:
    """A few damped least squares steps: Newton's start for curved models."""
    share = weight / weight.sum()
    level = float(share @ gold.y)
    if model.name == "poisson":
        working = np.log(gold.y + max(0.5 * level, 1e-8))
    else:
        working = 3.0 * (gold.y - level) if model.name == "logit" else 2.0 * (gold.y - level)
    if gold.offset is not None:
        working = working - gold.offset
    root = np.sqrt(share)
    return np.linalg.lstsq(gold.x * root[:, None], working * root, rcond=None)[0]


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
