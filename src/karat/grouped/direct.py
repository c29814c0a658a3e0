"""Direct estimates of groups, with variances from the residuals of all groups together (methods, section 10)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..estimate.shares import PRIOR
from .composite import Areas

if TYPE_CHECKING:
    from .._core.types import Floats, Ints

_BINS = 5
_PER_BIN = 20
"""Squared residuals are averaged in so many bins of the prediction at most, of at least so many gold rows."""

_BORROWED = 50.0
"""Degrees of freedom that the variance of all groups brings to that of one."""


def direct_estimates(
    y: Floats, predicted: Floats, group: Ints, gold: Ints, weight: Floats, v: Floats, n_groups: int
) -> Areas:
    """Gold-corrected means of groups: the mean prediction plus the weighted mean error of the group's gold.

    Parameters
    ----------
    y : ndarray, shape (n, K)
        Gold labels.
    predicted : ndarray, shape (N, K)
    group : ndarray of int, shape (N,)
    gold : ndarray of int, shape (n,)
        Positions of the gold rows.
    weight : ndarray, shape (n,)
        Inverse inclusion probabilities.
    v : ndarray, shape (N,)
        Analysis weights.
    n_groups : int

    Returns
    -------
    Areas
    """
    total = np.bincount(group, v, n_groups)
    size = total**2 / np.bincount(group, v**2, n_groups)
    inside = group[gold]
    count = np.bincount(inside, minlength=n_groups).astype(np.float64)
    a = v[gold] * weight
    a = a / np.bincount(inside, a, n_groups)[inside]
    least = v[gold] / total[inside]  # the share of a unit if all of the group were gold
    error = y - predicted[gold]
    mean = _sums(predicted * v[:, None], group, n_groups) / total[:, None]
    shift = _sums(a[:, None] * error, inside, n_groups)
    rest = error - shift[inside]
    expected = np.column_stack([_of_prediction(error[:, k], predicted[gold, k]) for k in range(y.shape[1])])
    levels = np.column_stack([
        _average_level(error[:, k], predicted[gold, k], predicted[:, k], v, group, n_groups) for k in range(y.shape[1])
    ])  # fmt: skip
    told = expected * (1.0 - 2.0 * a)[:, None] + _sums(a[:, None] ** 2 * expected, inside, n_groups)[inside]
    told[count[inside] < 2] = 0.0
    factor = _factor(rest, told)
    low = (expected.mean(axis=0) * factor) < (known := _least(y))
    expected, levels, told = (np.where(low, known, part * factor) for part in (expected, levels, told))
    bare = _sums((a * np.maximum(a - least, 0.0))[:, None] * expected, inside, n_groups)
    freedom = np.maximum(count - 1.0, 0.0)[:, None]
    seen, wanted = _sums(rest**2, inside, n_groups), _sums(told, inside, n_groups)
    ratio = np.divide(seen, wanted, out=np.ones_like(seen), where=(wanted > 0) & ~low)
    own = bare * (_BORROWED + freedom * ratio) / (_BORROWED + freedom)
    none = (count == 0)[:, None]
    return Areas(
        np.where(none, 0.0, mean + shift), mean, np.where(none, np.inf, bare), np.where(none, np.inf, own),
        levels, size, count, _dimension(rest),
    )  # fmt: skip


def _sums(values: Floats, group: Ints, n_groups: int) -> Floats:
    return np.column_stack([np.bincount(group, values[:, k], n_groups) for k in range(values.shape[1])])


def _edges(predicted: Floats) -> Floats:
    """Inner edges of bins of the prediction among gold: between its values where these are few."""
    bins = min(_BINS, len(predicted) // _PER_BIN)
    values = np.unique(predicted)
    if len(values) <= _BINS:
        return np.asarray((values[1:] + values[:-1]) / 2.0)
    return np.unique(np.quantile(predicted, np.arange(1, bins) / bins)) if bins > 1 else np.empty(0)


def _bins(error: Floats, predicted: Floats) -> tuple[Floats, Floats]:
    """Edges of bins and the mean squared error in each, drawn towards that of all by as much as a few rows."""
    edges = _edges(predicted)
    code = np.searchsorted(edges, predicted, side="right")
    rows = np.bincount(code, minlength=len(edges) + 1)
    squares = np.bincount(code, error**2, len(edges) + 1)
    return edges, (squares + PRIOR * np.mean(error**2)) / (rows + PRIOR)


def _of_prediction(error: Floats, predicted: Floats) -> Floats:
    """Expected squared error of each gold row, as a function of its prediction."""
    edges, level = _bins(error, predicted)
    return np.asarray(level[np.searchsorted(edges, predicted, side="right")])


def _average_level(
    error: Floats, predicted: Floats, everywhere: Floats, v: Floats, group: Ints, n_groups: int
) -> Floats:
    """The same averaged over the units of each group."""
    edges, level = _bins(error, predicted)
    values = level[np.searchsorted(edges, everywhere, side="right")]
    return np.asarray(np.bincount(group, v * values, n_groups) / np.bincount(group, v, n_groups))


def _factor(rest: Floats, told: Floats) -> Floats:
    """Squared residuals within groups over what was expected of them, shape (K,)."""
    seen, wanted = (rest**2).sum(axis=0), told.sum(axis=0)
    return np.divide(seen, wanted, out=np.ones(len(seen)), where=wanted > 0)


def _least(y: Floats) -> Floats:
    """The smallest variance of a unit's error: that of one error among the gold, so that labels never seem known.

    ``q (1 - q)`` with ``q = 1 / (n + 1)``; of a number, this times the variance of the gold.
    """
    q = 1.0 / (len(y) + 1.0)
    shares = np.isin(y, (0.0, 1.0)).all()
    return np.asarray(q * (1.0 - q) * (np.ones(y.shape[1]) if shares else y.var(axis=0)))


def _dimension(rest: Floats) -> float:
    """How many independent numbers the K are: ``tr(S)^2 / tr(S^2)`` of the residuals' covariance."""
    product = rest.T @ rest
    squares = float((product**2).sum())
    return float(np.trace(product)) ** 2 / squares if squares > 0 else float(max(rest.shape[1] - 1, 1))
