"""Surrogate labels cleaned before they are learnt from: pruned, weighted, or replaced by posteriors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from ..._core.types import Bools, Floats, Ints

_EM_STEPS = 20
"""Few on purpose: the share among a handful of neighbours stays near the overall one where surrogates are noisy."""


def confident_joint(label: Ints, probability: Floats, weight: Floats | None = None) -> Floats:
    """Estimated joint distribution of given and true classes (Northcutt et al. 2021, equations 1 to 3).

    Parameters
    ----------
    label : ndarray of int, shape (N,)
        Given classes.
    probability : ndarray, shape (N, K)
        Predicted by models that have not seen the row.
    weight : ndarray, shape (N,), optional

    Returns
    -------
    ndarray, shape (K, K)
        Row: given class, column: true class; adds up to 1.

    Examples
    --------
    >>> p = np.array([[0.9, 0.1], [0.8, 0.2], [0.2, 0.8], [0.1, 0.9]])
    >>> confident_joint(np.array([0, 0, 1, 1]), p)
    array([[0.5, 0. ],
           [0. , 0.5]])
    """
    n, k = probability.shape
    weight = np.ones(n) if weight is None else weight
    held = np.bincount(label, weights=weight, minlength=k)
    own = np.bincount(label, weights=weight * probability[np.arange(n), label], minlength=k)
    threshold = np.where(held > 0, own / np.maximum(held, 1e-300), np.inf)
    above = probability >= threshold - 1e-12
    true = np.where(above, probability, -1.0).argmax(axis=1)
    counts = np.zeros((k, k))
    some = above.any(axis=1)
    np.add.at(counts, (label[some], true[some]), weight[some])
    total = counts.sum(axis=1, keepdims=True)
    counts = np.where(total > 0, counts / np.maximum(total, 1e-300), np.eye(k)) * held[:, None]
    out: Floats = counts / counts.sum()
    return out


def prune(label: Ints, probability: Floats, joint: Floats) -> Bools:
    """Rows to keep: off the diagonal, the rows of largest margin go (prune by noise rate).

    Parameters
    ----------
    label : ndarray of int, shape (N,)
    probability : ndarray, shape (N, K)
    joint : ndarray, shape (K, K)

    Returns
    -------
    ndarray of bool, shape (N,)
    """
    n, k = probability.shape
    keep = np.ones(n, dtype=bool)
    for given in range(k):
        rows = np.flatnonzero(label == given)
        for true in range(k):
            n_wrong = round(n * joint[given, true])
            if true != given and n_wrong:
                margin = probability[rows, true] - probability[rows, given]
                keep[rows[np.argsort(-margin, kind="stable")[:n_wrong]]] = False
    # a class is never pruned away
    for given in range(k):
        if (label == given).any() and not keep[label == given].any():
            keep[label == given] = True
    return keep


def pruned_weights(label: Ints, keep: Bools, joint: Floats) -> Floats:
    """Weights after pruning: 0 for rows that go, else one over ``P(given = true class | true class)``.

    Examples
    --------
    >>> pruned_weights(np.array([0, 1]), np.array([True, True]), np.array([[0.25, 0.0], [0.25, 0.5]]))
    array([2., 1.])
    """
    share = np.diag(joint) / np.maximum(joint.sum(axis=0), 1e-300)
    return np.where(keep, 1.0 / np.maximum(share, 0.05)[label], 0.0)


def prototype_weights(
    representation: Floats,
    surrogate: Floats,
    gold_representation: Floats,
    gold: Floats,
    weight: Floats,
    sharpness: float = 1.0,
) -> Floats:
    """How much nearer each row is to the gold prototype of its surrogate class than to the others.

    Lee et al. (2018) weigh by the cosine with the row's own prototype, negative ones set to 0; here it is compared with
    the cosines of the other classes, so that a row between all prototypes keeps its weight.

    Parameters
    ----------
    representation : ndarray, shape (N, h)
    surrogate : ndarray, shape (N, S)
        The first K classes are gold's.
    gold_representation : ndarray, shape (n, h)
    gold : ndarray, shape (n, K)
    weight : ndarray, shape (n,)

    Returns
    -------
    ndarray, shape (N,)
        ``sum_k q_k softmax(sharpness cos(row, prototype k))``, representations standardised over all rows.
    """
    centre, spread = representation.mean(axis=0), representation.std(axis=0)
    spread = np.where(spread > 1e-8, spread, np.inf)
    rows, own = (representation - centre) / spread, (gold_representation - centre) / spread
    shares = gold * weight[:, None]
    prototype = shares.T @ own / np.maximum(shares.sum(axis=0), 1e-12)[:, None]
    length = np.linalg.norm(rows, axis=1, keepdims=True) * np.linalg.norm(prototype, axis=1)
    cosine = rows @ prototype.T / np.maximum(length, 1e-12)
    near = np.exp(sharpness * cosine)
    near /= near.sum(axis=1, keepdims=True)
    out: Floats = (surrogate[:, : gold.shape[1]] * near).sum(axis=1)
    return out


def neighbours(x: Floats, k: int, block: int = 1024) -> Ints:
    """The k nearest other rows of each row, shape (N, k)."""
    k = min(k, len(x) - 1)
    square = (x**2).sum(axis=1)
    out = np.empty((len(x), k), dtype=np.intp)
    for a in range(0, len(x), block):
        part = x[a : a + block]
        distance = square - 2.0 * part @ x.T
        distance[np.arange(len(part)), a + np.arange(len(part))] = np.inf
        out[a : a + block] = np.argpartition(distance, k - 1, axis=1)[:, :k]
    return out


def neighbour_posterior(near: Ints, surrogate: Floats, matrix: Floats) -> Floats:
    """Class distribution of each row from its own surrogate and those of its neighbours.

    The neighbours' surrogates are draws from ``prior T``; the prior that maximises their likelihood (one pseudo-draw
    of the overall shares added) is found by EM, and Bayes' rule joins it with the row's own surrogate.

    Parameters
    ----------
    near : ndarray of int, shape (N, k)
    surrogate : ndarray, shape (N, S)
    matrix : ndarray, shape (K, S)
        ``P(surrogate | class)``.

    Returns
    -------
    ndarray, shape (N, K)
    """
    overall = _mix(surrogate.mean(axis=0)[None], matrix, np.full((1, len(matrix)), 1.0 / len(matrix)), 0.0)
    share = surrogate[near].mean(axis=1)
    prior = _mix(share, matrix, np.repeat(overall, len(share), axis=0), 1.0 / near.shape[1], overall)
    out: Floats = prior * (surrogate @ matrix.T)
    return out / out.sum(axis=1, keepdims=True)


def _mix(share: Floats, matrix: Floats, start: Floats, pseudo: float, towards: Floats | None = None) -> Floats:
    """Mixture weights ``pi`` that make ``pi T`` most like the shares of surrogates."""
    pi = start
    for _ in range(_EM_STEPS):
        ratio = share / np.maximum(pi @ matrix, 1e-300)
        pi = pi * (ratio @ matrix.T)
        if towards is not None:
            pi = (pi + pseudo * towards) / (1.0 + pseudo)
        pi = np.maximum(pi, 1e-12)
        pi = pi / pi.sum(axis=1, keepdims=True)
    return pi
