"""Well-conditioned coordinates, in which no digits are lost far from 0; the nearest covariance."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ..errors import DataError
from .index import repeated
from .rows import Memory
from .totals import n_coefficients, weighted_gram

if TYPE_CHECKING:
    from .._core.types import Floats
    from ..moments import Model
    from .augment import AugmentedSample

_COLLINEAR = 1e-11
"""Smallest singular value of the scaled design, relative to the largest, that is not taken for 0."""

_ALIKE = 1e6
"""Ratio of the sizes of columns up to which they are taken as they are; beyond, each is divided by a power of 2."""

_WELL_CONDITIONED = 1e-5
"""Smallest eigenvalue of the scaled cross products above which they are solved as they are."""


def check_rank(x: Floats, weight: Floats | None, names: tuple[str, ...], where: str) -> Floats | None:
    """Raise where columns of a design matrix are constant, empty or combinations of each other.

    Parameters
    ----------
    x : ndarray, shape (m, p)
    weight : ndarray, shape (m,), or None
    names : tuple of str
        Column names.
    where : str
        Which rows these are, for the message.

    Returns
    -------
    ndarray, shape (p, p), or None
        A matrix T such that the columns of ``x T`` are about orthogonal (from a QR decomposition, which has
        twice the digits of cross products), or of about the same size where they are well-conditioned and their units
        are far apart; None where ``x`` needs none.

    Raises
    ------
    DataError
        Naming the columns.
    """
    from scipy.linalg import qr, solve_triangular

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
            "label units that have them (a stratified design helps), merge categories, or drop them."
        )
    if np.linalg.eigvalsh(gram / np.outer(size, size))[0] > _WELL_CONDITIONED:
        return None if size.max() <= _ALIKE * size.min() else np.diag(np.exp2(np.round(np.log2(size[0] / size))))
    scaled = x / size if weight is None else x * np.sqrt(weight)[:, None] / size
    triangle, order = qr(scaled, mode="r", pivoting=True)
    triangle = triangle[: x.shape[1]]
    values = np.linalg.svd(triangle, compute_uv=False)
    if values[-1] > _COLLINEAR * values[0]:
        basis = np.empty_like(triangle)
        basis[order] = solve_triangular(triangle, np.eye(len(triangle)))
        return basis / size[:, None] * np.sqrt(float(gram[0, 0]))
    dependent = [names[order[j]] for j in np.flatnonzero(np.abs(np.diag(triangle)) < 1e-10 * abs(triangle[0, 0]))]
    culprits = dependent or [names[order[-1]]]
    shares = np.abs(np.linalg.svd(triangle)[2][-1])
    joined = {names[order[j]] for j in np.flatnonzero(shares > 0.1 * shares.max())}
    if "Intercept" in culprits:  # what it is a combination of is what can be changed
        culprits = [name for name in names if name in joined - {"Intercept"}] or culprits
    spread = dict(zip(names, np.ptp(x, axis=0)))
    constant = [name for name in culprits if spread[name] == 0 or joined == {name, "Intercept"}]
    why = "constant" if constant else "a combination of the other columns"
    if constant and spread[constant[0]] > 0:
        why = "constant as far as their digits go (subtract a number near their mean)"
    raise DataError(
        f"column(s) {', '.join(culprits)} are {why} in the {where} (collinear); drop them, merge categories, or label "
        "units in which they vary."
    )


def design_of(sample: AugmentedSample) -> tuple[Floats, Floats | None]:
    """A design matrix with the cross products of the predicted rows, and its weights, for :func:`check_rank`.

    The rows themselves where they are in memory, one for each unit; otherwise the triangle of their QR decomposition,
    block by block.
    """
    from scipy.linalg import qr

    if isinstance(sample.predicted, Memory) and len(sample.predicted) == 1:
        return sample.predicted.rows[0].x, sample.units.weights
    p = sample.gold.x.shape[1]
    triangle = np.zeros((p, p))
    for rows, weight in sample.pieces():
        own = rows.weight(weight)
        x = rows.x if own is None else rows.x * np.sqrt(own)[:, None]
        triangle = qr(np.vstack([triangle, x]), mode="r")[0][:p]
    return triangle, None


def in_basis(model: Model | None, sample: AugmentedSample, basis: Floats | None) -> AugmentedSample:
    """The sample with its design in the coordinates ``x T``; coefficients of each predictor are ``T^-1 theta`` there.

    Parameters
    ----------
    model : Model, optional
        Where its first predictor leaves out the column of ones, which is the first, constants take that up: they less
        that predictor are all that counts.
    sample : AugmentedSample
    basis : ndarray, shape (p, p), or None
        From :func:`check_rank`.

    Returns
    -------
    AugmentedSample
    """
    if basis is None:
        return sample
    whole, first = basis, None if model is None else model.first
    if model is not None and first is not None:
        if first.start:
            basis = _ones_first(basis)
        own = basis[first, first]
        whole = np.eye(n_coefficients(model, sample.gold))
        whole[: len(own), : len(own)] = own
        if first.start:
            whole[len(own) :, : len(own)] = -basis[0, first]
    return replace(sample, gold=sample.gold.turned(basis), predicted=sample.predicted.turned(basis), basis=whole)


def _ones_first(basis: Floats) -> Floats:
    """Coordinates as good as these whose first column is a multiple of the design's first column."""
    unit = np.linalg.solve(basis, np.eye(len(basis))[:, 0])
    rotation = np.linalg.qr(np.column_stack([unit, np.eye(len(basis))]))[0]
    out: Floats = basis @ rotation
    out[1:, 0] = 0.0
    return out


def on_gold_basis(model: Model | None, sample: AugmentedSample) -> AugmentedSample:
    """The sample in well-conditioned coordinates of its gold rows, which must have full rank."""
    basis = check_rank(sample.gold.x, sample.units.gold_weight, sample.names, "gold rows")
    return in_basis(model, sample, basis)


def to_coefficients(sample: AugmentedSample, values: Floats) -> Floats:
    """Vectors in the sample's coordinates (the last axis) as coefficients of the user's columns."""
    return values if sample.basis is None else values @ repeated(sample.basis, values.shape[-1]).T


def curvature_of_columns(sample: AugmentedSample, curvature: Floats) -> Floats:
    """A curvature in the sample's coordinates as that of the user's columns: ``T^-T A T^-1``."""
    if sample.basis is None:
        return curvature
    basis = repeated(sample.basis, len(curvature))
    half = np.linalg.solve(basis.T, curvature)
    return np.asarray(np.linalg.solve(basis.T, half.T).T)


def positive(matrix: Floats) -> bool:
    """Whether a symmetric matrix is positive definite, by its Cholesky factor: a tenth of the work of eigenvalues."""
    try:
        np.linalg.cholesky(matrix)
    except np.linalg.LinAlgError:
        return False
    return bool(np.isfinite(matrix).all())


def nearest_psd(matrix: Floats, floor: Floats) -> Floats:
    """The matrix itself if it is positive semidefinite, else with negative eigenvalues set to zero.

    Parameters
    ----------
    matrix : ndarray, shape (p, p)
        Symmetric.
    floor : ndarray, shape (p, p)
        The labelling part: the scale of the projection where the diagonal itself is not positive.

    Returns
    -------
    ndarray, shape (p, p)
    """
    matrix = (matrix + matrix.T) / 2.0
    scale = np.sqrt(np.maximum(np.maximum(np.diag(matrix), np.diag(floor)), 0.0))
    scale[scale == 0] = 1.0
    values, vectors = np.linalg.eigh(matrix / np.outer(scale, scale))
    if values[0] >= -1e-12:
        return matrix
    fixed: Floats = (vectors * np.maximum(values, 0.0)) @ vectors.T * np.outer(scale, scale)
    return fixed
