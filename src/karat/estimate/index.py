"""Index models: scores and curvatures of rows from those of their linear predictors, written once for any number J.

A row with design ``x`` (p numbers), score factors ``s`` (J) and curvature factors ``c`` (J by J) has the score that
stacks ``x s_j`` and the curvature A_i of blocks ``c_jk x x'``: q = J p coefficients, those of a predictor side by side.
With J = 1, factors come without their last dimensions, ``s`` and ``c`` of shape (m,).

Where a model names the columns of its ``first`` predictor, these alone make it up, and every other predictor is a
constant, one coefficient (a cut point, the logarithm of a dispersion): the score is ``(x s_1, s_2, ..., s_J)``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from .._core.types import Floats, Ints

BLOCK_ROWS = 8_192
"""Rows handled at a time: a block of 10 columns stays in the second-level cache."""

_BLOCK_NUMBERS = 4_000_000
"""Numbers in a block of one matrix per row, at most."""


def slices(n_rows: int, size: int = 0) -> list[slice]:
    """Row slices that cover ``n_rows`` rows, block by block; smaller ones where a row holds ``size x size`` numbers."""
    rows = BLOCK_ROWS if not size else max(1, min(BLOCK_ROWS, _BLOCK_NUMBERS // size**2))
    return [slice(start, min(start + rows, n_rows)) for start in range(0, n_rows, rows)]


def predictors(x: Floats, theta: Floats, offset: Floats | None = None, first: slice | None = None) -> Floats:
    """Linear predictors plus offset, which goes to the first one of several; shape (m,) or (m, J)."""
    if first is not None:
        x = x[:, first]
        eta = np.empty((len(x), len(theta) - x.shape[1] + 1))
        eta[:, 0], eta[:, 1:] = x @ theta[: x.shape[1]], theta[x.shape[1] :]
        if offset is not None:
            eta[:, 0] += offset
        return eta
    eta = x @ theta if len(theta) == x.shape[1] else x @ theta.reshape(-1, x.shape[1]).T
    return eta if offset is None else eta + offset


def weighted(factor: Floats, *weights: Floats | None) -> Floats:
    """Score or curvature factors times weights of their rows, those that are there."""
    for weight in weights:
        if weight is not None:
            factor = factor * weight.reshape(-1, *(1,) * (factor.ndim - 1))
    return factor


def _designs(x: Floats, n: int, first: slice) -> tuple[Floats, Ints]:
    """What each coefficient is multiplied by, shape (m, q), and its predictor, shape (q,), beside n - 1 constants."""
    x = x[:, first]
    return np.hstack([x, np.ones((len(x), n - 1))]), np.r_[np.zeros(x.shape[1], dtype=np.intp), 1:n]


def scores(x: Floats, s: Floats, first: slice | None = None) -> Floats:
    """Scores of rows, shape (m, q)."""
    if first is not None:
        return np.hstack([x[:, first] * s[:, :1], s[:, 1:]])
    if s.ndim == 1:
        return x * s[:, None]
    return np.asarray((s[:, :, None] * x[:, None, :]).reshape(len(x), -1))


def total(x: Floats, s: Floats, first: slice | None = None) -> Floats:
    """Sum of scores over rows, shape (q,)."""
    if first is not None:
        return np.concatenate([s[:, 0] @ x[:, first], s[:, 1:].sum(axis=0)])
    return np.asarray(s @ x if s.ndim == 1 else (s.T @ x).ravel())


def gram(x: Floats, c: Floats, first: slice | None = None) -> Floats:
    """Sum of curvatures over rows, shape (q, q)."""
    if first is not None:
        x = x[:, first]
        beside = x.T @ c[:, 0, 1:]
        return np.block([[x.T @ (x * c[:, :1, 0]), beside], [beside.T, c[:, 1:, 1:].sum(axis=0)]])
    if c.ndim == 1:
        return np.asarray(x.T @ (x * c[:, None]))
    p, n = x.shape[1], c.shape[1]
    out = np.empty((n * p, n * p))
    for j in range(n):
        for k in range(j, n):
            part = x.T @ (x * c[:, j, k, None])
            out[j * p : (j + 1) * p, k * p : (k + 1) * p] = part
            out[k * p : (k + 1) * p, j * p : (j + 1) * p] = part.T
    return out


def own(x: Floats, c: Floats, first: slice | None = None) -> Floats:
    """Curvature of each row, shape (m, q, q)."""
    if first is not None:
        design, of = _designs(x, c.shape[1], first)
        return np.asarray(c[:, of[:, None], of] * design[:, :, None] * design[:, None, :])
    if c.ndim == 1:
        return (x * c[:, None])[:, :, None] * x[:, None, :]
    size = c.shape[1] * x.shape[1]
    return np.asarray(
        (c[:, :, None, :, None] * x[:, None, :, None, None] * x[:, None, None, None, :]).reshape(-1, size, size)
    )


def times(x: Floats, c: Floats, vector: Floats, first: slice | None = None) -> Floats:
    """Curvature of each row times a vector of its own, shape (m, q)."""
    if first is not None:
        p = x[:, first].shape[1]
        along = np.column_stack([np.einsum("mp,mp->m", x[:, first], vector[:, :p]), vector[:, p:]])
        return scores(x, np.einsum("mjk,mk->mj", c, along), first)
    if c.ndim == 1:
        return np.asarray(x * (c * np.einsum("ij,ij->i", x, vector))[:, None])
    along = np.einsum("mp,mjp->mj", x, vector.reshape(len(x), -1, x.shape[1]))
    return scores(x, np.einsum("mjk,mk->mj", c, along))


def quadratic(x: Floats, c: Floats, u: Floats, first: slice | None = None, left: Floats | None = None) -> Floats:
    """``u' A_i u`` of each row, shape (m,); with J = 1 a row may have another design on the left."""
    along = predictors(x, u, None, first)
    if left is not None:
        return np.asarray(c * along * predictors(left, u))
    return np.asarray(c * along**2 if c.ndim == 1 else np.einsum("mj,mjk,mk->m", along, c, along))


def leverage(
    inverse: Floats,
    designs: list[Floats],
    curvatures: list[Floats],
    phi: Floats | None = None,
    first: slice | None = None,
) -> Floats:
    """Share of a unit in the curvature ``A``, shape (m,).

    Parameters
    ----------
    inverse : ndarray, shape (q, q)
        ``A^-1``.
    designs, curvatures : lists of ndarray
        Of the rows of the units: one block, or several that add up.
    phi : ndarray, shape (m, q), optional
        Scores of the units; by default they are not needed with J = 1.
    first : slice, optional
        Columns of the first predictor, where the others are constants.

    Returns
    -------
    ndarray, shape (m,)
        ``sum c x' A^-1 x`` with J = 1. Otherwise the share in the direction in which the unit moves the coefficients,
        ``psi' A_i psi / psi' A psi`` with ``psi = A^-1 phi``, which is the same for one row with J = 1.
    """
    if curvatures[0].ndim == 1:
        out = np.zeros(len(designs[0]))
        for x, c in zip(designs, curvatures):
            out += np.einsum("ji,ji->i", inverse.T @ x.T, x.T) * c
        return out
    assert phi is not None
    psi = phi @ inverse.T
    along = np.zeros(len(psi))
    for x, c in zip(designs, curvatures):
        along += np.einsum("ij,ij->i", psi, times(x, c, psi, first))
    length = np.einsum("ij,ij->i", psi, phi)
    return np.divide(along, length, out=np.zeros_like(along), where=length > 0)


def add_by_cluster(sums: Floats, x: Floats, c: Floats, codes: Ints, first: slice | None = None) -> None:
    """Add the curvature of rows to the sums of their clusters, shape (C, q, q)."""
    p, q = x.shape[1], sums.shape[1]
    of = np.arange(q) // p
    if first is not None:
        x, of = _designs(x, c.shape[1], first)
        p = q
    for a in range(q):
        for b in range(a, q):
            factor = c if c.ndim == 1 else c[:, of[a], of[b]]
            part = np.bincount(codes, weights=factor * x[:, a % p] * x[:, b % p], minlength=len(sums))
            sums[:, a, b] += part
            if b > a:
                sums[:, b, a] += part


def repeated(matrix: Floats, q: int) -> Floats:
    """A matrix of the columns of the design for each predictor, shape (q, q), on the diagonal."""
    return matrix if len(matrix) == q else np.kron(np.eye(q // len(matrix)), matrix)
