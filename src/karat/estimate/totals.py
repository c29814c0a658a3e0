"""Totals and scores of the rows of an augmented sample."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from . import index
from .augment import AugmentedSample, Rows
from .index import slices, weighted

if TYPE_CHECKING:
    from .._core.types import Floats
    from ..moments import Model

Totals = Callable[["Floats"], tuple["Floats", "Floats"]]
"""Maps coefficients to (sum of scores, shape (q,); minus its derivative, shape (q, q))."""


def linear_predictor(rows: Rows, theta: Floats, block: slice | None = None) -> Floats:
    """Linear predictors of rows, or of a block of them, shape (m,) or (m, J)."""
    if block is None:
        return index.predictors(rows.x, theta, rows.offset)
    return index.predictors(rows.x[block], theta, None if rows.offset is None else rows.offset[block])


def weighted_gram(x: Floats, weight: Floats | None) -> Floats:
    """``x' diag(weight) x`` without a full-size copy of ``x``.

    Parameters
    ----------
    x : ndarray, shape (m, p)
    weight : ndarray, shape (m,), or None
        None means 1.

    Returns
    -------
    ndarray, shape (p, p)

    Examples
    --------
    >>> weighted_gram(np.ones((3, 1)), np.array([1.0, 2.0, 3.0]))
    array([[6.]])
    """
    out = np.zeros((x.shape[1], x.shape[1]))
    for block in slices(len(x)):
        rows = x[block]
        out += rows.T @ (rows if weight is None else rows * weight[block, None])
    return out


def _product(*factors: Floats | None) -> Floats | None:
    """Product of the factors that are there."""
    out: Floats | None = None
    for factor in factors:
        if factor is not None:
            out = factor if out is None else out * factor
    return out


def row_totals(model: Model, rows: Rows, weight: Floats | None) -> Totals:
    """Weighted totals of score and curvature over rows, as a function of the coefficients.

    Parameters
    ----------
    model : Model
    rows : Rows
        m rows.
    weight : ndarray, shape (m,), or None
        Row weights, multiplied by the rows' shares.

    Returns
    -------
    callable
        ``theta -> (total score, total curvature)``. Linear models are summed up once; for others the
        last answer is kept, so that asking again at a root costs nothing.
    """
    weight = _product(weight, rows.share)

    if model.linear:
        cross, gram = np.zeros(rows.x.shape[1]), np.zeros((rows.x.shape[1], rows.x.shape[1]))
        target = rows.y if rows.offset is None else rows.y - rows.offset
        for block in slices(len(target)):
            x, own = rows.x[block], None if weight is None else weight[block]
            weighted_x = x if own is None else x * own[:, None]
            gram += weighted_x.T @ x
            cross += target[block] @ weighted_x
        return lambda theta: (cross - gram @ theta, gram)

    last: list[Any] = [None, None]

    def at(theta: Floats) -> tuple[Floats, Floats]:
        if last[0] is not None and np.array_equal(last[0], theta):
            return last[1]
        q = len(theta)
        total, gram = np.zeros(q), np.zeros((q, q))
        for block in slices(len(rows.y)):
            x = rows.x[block]
            score, curvature = model.evaluate(linear_predictor(rows, theta, block), rows.y[block])
            if weight is not None:
                score, curvature = weighted(score, weight[block]), weighted(curvature, weight[block])
            total += index.total(x, score)
            gram += index.gram(x, curvature)
        last[:] = [theta.copy(), (total, gram)]
        return total, gram

    return at


def sum_of(parts: list[Totals]) -> Totals:
    """Add totals up."""

    def at(theta: Floats) -> tuple[Floats, Floats]:
        score, curvature = parts[0](theta)
        for part in parts[1:]:
            more_score, more_curvature = part(theta)
            score, curvature = score + more_score, curvature + more_curvature
        return score, curvature

    return at


@dataclass(frozen=True)
class Moments:
    """The three totals every estimator is made of, for one model and one augmented sample.

    Parameters
    ----------
    model : Model
    sample : AugmentedSample
    gold : callable
        ``sum v w m`` over gold rows.
    everywhere : callable or None
        ``sum v h`` over all units.
    back : callable or None
        ``sum v w h`` over gold units.
    """

    model: Model
    sample: AugmentedSample
    gold: Totals
    everywhere: Totals | None
    back: Totals | None
    predicted_gold: tuple[Rows, ...] = field(repr=False, default=())

    @classmethod
    def of(cls, model: Model, sample: AugmentedSample) -> Moments:
        """Set the totals up (linear models are summed here, once)."""
        gold = row_totals(model, sample.gold, sample.gold_weight)
        if not sample.predicted:
            return cls(model, sample, gold, None, None)
        predicted_gold = tuple(rows.take(sample.labelling.gold) for rows in sample.predicted)
        return cls(
            model,
            sample,
            gold,
            sum_of([row_totals(model, rows, sample.weights) for rows in sample.predicted]),
            sum_of([row_totals(model, rows, sample.gold_weight) for rows in predicted_gold]),
            predicted_gold,
        )

    def rectified(self, mixing: Floats | None) -> Totals:
        """``sum v {w m - (w - 1) Lambda h}``; ``mixing`` is Lambda, None the identity."""
        everywhere, back = self.everywhere, self.back
        if everywhere is None or back is None:
            return self.gold

        def at(theta: Floats) -> tuple[Floats, Floats]:
            gold, gold_curvature = self.gold(theta)
            full, full_curvature = everywhere(theta)
            less, less_curvature = back(theta)
            score, curvature = full - less, full_curvature - less_curvature
            if mixing is not None:
                score, curvature = mixing @ score, mixing @ curvature
            return gold + score, gold_curvature + curvature

        return at


def row_scores(model: Model, theta: Floats, blocks: tuple[Rows, ...]) -> tuple[Floats, list[Floats]]:
    """Scores of units, averaged over their class combinations, and the curvature of each block.

    Parameters
    ----------
    model : Model
    theta : ndarray, shape (q,)
    blocks : tuple of Rows
        Each with the same m units.

    Returns
    -------
    scores : ndarray, shape (m, q)
    curvatures : list of ndarray, each of shape (m,) or (m, J, J)
        Curvature factors times share.
    """
    scores: Floats | None = None
    curvatures = []
    for rows in blocks:
        score, curvature = model.evaluate(linear_predictor(rows, theta), rows.y)
        curvatures.append(weighted(curvature, rows.share))
        product = index.scores(rows.x, weighted(score, rows.share))
        scores = product if scores is None else np.add(scores, product, out=scores)
    assert scores is not None
    return scores, curvatures
