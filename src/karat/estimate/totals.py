"""Totals and scores of the rows of an augmented sample."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from . import index
from .augment import AugmentedSample, Units
from .index import slices, weighted
from .rows import Memory, Pieces, RowBlock, Rows, pieces_of

if TYPE_CHECKING:
    from .._core.types import Floats
    from ..moments import Model

Totals = Callable[["Floats"], tuple["Floats", "Floats"]]
"""Maps coefficients to (sum of scores, shape (q,); minus its derivative, shape (q, q))."""


def n_coefficients(model: Model, rows: Rows) -> int:
    """q, the coefficients of a model on rows like these."""
    n = model.predictors(rows.y)
    return rows.x.shape[1] * n if model.first is None else rows.x[:, model.first].shape[1] + n - 1


def astray(model: Model, rows: Rows, theta: Floats) -> str:
    """Why coefficients cannot be a solution, see :meth:`karat.moments.Model.astray`; empty where they can."""
    return "" if model.first is None else model.astray(theta[len(theta) + 1 - model.predictors(rows.y) :])


def linear_predictor(model: Model, rows: Rows, theta: Floats) -> Floats:
    """Linear predictors of rows, shape (m,) or (m, J)."""
    return index.predictors(rows.x, theta, rows.offset, model.first)


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


_FAR = 1e3
"""Distance of gold outcomes from 0, in their standard deviations, from which totals are taken near the solution."""


def near_solution(model: Model, rows: Rows) -> Floats | None:
    """Coefficients of a linear model from which the outcome is less far than from 0; None where 0 is near enough.

    With an outcome of 10^8, say, ``sum x y`` and ``sum x x'`` theta are of that size and their difference is all that
    counts: taken of residuals it has all its digits.
    """
    if not model.linear:
        return None
    target = rows.y if rows.offset is None else rows.y - rows.offset
    if abs(float(target.mean())) <= _FAR * float(target.std()):
        return None
    return np.asarray(np.linalg.lstsq(rows.x, target, rcond=None)[0])


def _cross_products(pieces: Pieces, near: Floats | None) -> tuple[Floats, Floats]:
    """``sum w l x'`` and ``sum w l (y - x near)`` in one pass, shapes (p, p), (p,); l multiplies scores, mostly x."""
    gram, cross = np.zeros((0, 0)), np.zeros(0)
    for rows, weight in pieces():
        if not len(cross):
            gram, cross = np.zeros((rows.x.shape[1],) * 2), np.zeros(rows.x.shape[1])
        x, target = rows.x, rows.y if rows.offset is None else rows.y - rows.offset
        target = target if near is None else target - x @ near
        own = rows.weight(weight)
        left = rows.scored if own is None else rows.scored * own[:, None]
        gram += left.T @ x
        cross += target @ left
    return gram, cross


def row_totals(model: Model, pieces: Pieces, near: Floats | None = None) -> Totals:
    """Weighted totals of score and curvature over rows, as a function of the coefficients.

    Parameters
    ----------
    model : Model
    pieces : callable
        Hands out rows and their weights, which are multiplied by the rows' shares.
    near : ndarray, shape (q,), optional
        From :func:`near_solution`.

    Returns
    -------
    callable
        ``theta -> (total score, total curvature)``. Linear models are summed up once; for others the
        last answer is kept, so that asking again at a root costs nothing.
    """
    if model.linear:
        known = _cross_products(pieces, near)
        return lambda theta: (known[1] - known[0] @ (theta if near is None else theta - near), known[0])

    last: list[Any] = [None, None]

    def at(theta: Floats) -> tuple[Floats, Floats]:
        if last[0] is not None and np.array_equal(last[0], theta):
            return last[1]
        q = len(theta)
        total, gram = np.zeros(q), np.zeros((q, q))
        for rows, weight in pieces():
            score, curvature = model.evaluate(linear_predictor(model, rows, theta), rows.y)
            own = rows.weight(weight)
            total += index.total(rows.scored, weighted(score, own), model.first)
            gram += index.gram(rows.scored, weighted(curvature, own), model.first)
        last[:] = [theta.copy(), (total, gram)]
        return total, gram

    return at


def totals_everywhere(model: Model, sample: AugmentedSample, near: Floats | None = None) -> Totals:
    """:func:`row_totals` of the predicted rows of all units; a source that sums by itself does so.

    Such a source has a method ``summed``, which adds up over all rows what a function makes of some blocks.
    """
    summed = getattr(sample.predicted, "summed", None)
    if summed is None:
        return row_totals(model, sample.pieces if model.linear else _told_once(sample), near)
    if model.linear:
        first = np.zeros(n_coefficients(model, sample.gold)) if near is None else near
        known = summed(partial(_of_blocks, model, first, sample.units))
        return lambda theta: (known[0] - known[1] @ (theta - first), known[1])
    last: list[Any] = [None, None]

    def at(theta: Floats) -> tuple[Floats, Floats]:
        if last[0] is None or not np.array_equal(last[0], theta):
            last[:] = [theta.copy(), summed(partial(_of_blocks, model, theta, sample.units))]
        return last[1][0], last[1][1]

    return at


def _told_once(sample: AugmentedSample) -> Pieces:
    """Predicted rows and their weights, those alike told once where rows are in memory and it pays."""
    if not isinstance(sample.predicted, Memory) or sample.units.count is not None:
        return sample.pieces
    weight = sample.units.weights
    every = [told_once(rows, weight) or (rows, weight) for rows in sample.predicted.rows]
    return lambda: (piece for rows, own in every for piece in pieces_of((rows,), own)())


def _of_blocks(model: Model, theta: Floats, units: Units, blocks: Iterator[RowBlock]) -> tuple[Floats, Floats]:
    """Totals of score and curvature over blocks; 0 of none."""
    every = list(blocks)
    if not every:
        return np.zeros(len(theta)), np.zeros((len(theta),) * 2)
    pieces = [(rows, units.weights_in(block.at)) for block in every for rows in block.rows]
    return row_totals(model, lambda: pieces, theta if model.linear else None)(theta)


class Extra(Protocol):
    """What is added to the scores of a moment."""

    def score(self, theta: Floats) -> tuple[Floats, Floats]:
        """Total score, shape (q,), and its curvature, shape (q, q)."""


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
    predicted_gold : tuple of Rows
        Predicted rows of the gold units.
    noise : Extra, optional
        Labelling noise that is put right (:mod:`karat.estimate.labelling_noise`).
    """

    model: Model
    sample: AugmentedSample
    gold: Totals
    everywhere: Totals | None
    back: Totals | None
    predicted_gold: tuple[Rows, ...] = field(repr=False, default=())
    noise: Extra | None = field(repr=False, default=None)

    @classmethod
    def of(cls, model: Model, sample: AugmentedSample) -> Moments:
        """Set the totals up (linear models are summed here, once)."""
        near = near_solution(model, sample.gold)
        gold = row_totals(model, sample.gold_pieces, near)
        if not sample.predicted:
            return cls(model, sample, gold, None, None)
        predicted_gold = sample.predicted.at(sample.units.gold)
        return cls(
            model,
            sample,
            gold,
            totals_everywhere(model, sample, near),
            row_totals(model, pieces_of(predicted_gold, sample.units.gold_weight), near),
            predicted_gold,
        )

    def rating(self, theta: Floats) -> Callable[[Rows], tuple[Floats, Callable[[Floats | None], Floats]]]:
        """Scores of rows at given coefficients, shape (m, q), and the total of their curvatures times share."""
        model = self.model

        def rated(rows: Rows) -> tuple[Floats, Callable[[Floats | None], Floats]]:
            score, curvature = model.evaluate(linear_predictor(model, rows, theta), rows.y)
            return index.scores(rows.scored, score, model.first), lambda weight: index.gram(
                rows.scored, weighted(curvature, weight, rows.share), model.first
            )

        return rated

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
            if self.noise is not None:
                more, more_curvature = self.noise.score(theta)
                gold, gold_curvature = gold + more, gold_curvature + more_curvature
            return gold + score, gold_curvature + curvature

        return at


def row_scores(
    model: Model, theta: Floats, blocks: tuple[Rows, ...], wide: bool = False
) -> tuple[Floats, list[Floats]]:
    """Scores of units, averaged over their class combinations, and the curvature of each block.

    Parameters
    ----------
    model : Model
    theta : ndarray, shape (q,)
    blocks : tuple of Rows
        Each with the same m units.
    wide : bool
        Whether scores have the further column of :attr:`karat.estimate.rows.Rows.wide`.

    Returns
    -------
    scores : ndarray, shape (m, q)
    curvatures : list of ndarray, each of shape (m,) or (m, J, J)
        Curvature factors times share.
    """
    scores: Floats | None = None
    curvatures = []
    for rows in blocks:
        score, curvature = model.evaluate(linear_predictor(model, rows, theta), rows.y)
        curvatures.append(weighted(curvature, rows.share))
        product = index.scores(rows.wide if wide else rows.scored, weighted(score, rows.share), model.first)
        scores = product if scores is None else np.add(scores, product, out=scores)
    assert scores is not None
    return scores, curvatures


_LEAST = 50_000
"""Rows below which nothing is gained."""

_WORTH = 8
"""Rows that must be alike on average."""

_LOOKED_AT = 8_192
"""Rows, evenly spread, that show whether it pays to look at all."""


def told_once(rows: Rows, weight: Floats | None) -> tuple[Rows, Floats] | None:
    """Distinct rows and the totals of their weights; None where these are too many for it to pay.

    Parameters
    ----------
    rows : Rows
        m rows.
    weight : ndarray, shape (m,), or None
        None means 1.

    Returns
    -------
    tuple of Rows and ndarray of shape (g,), or None
        Sums over the rows of weight times share times any function of design, outcome and offset are those over the
        distinct ones.

    Examples
    --------
    >>> x = np.column_stack([np.ones(60_000), np.arange(60_000) % 3])
    >>> few, total = told_once(Rows(x, np.zeros(60_000)), None)
    >>> few.x[:, 1].tolist(), total.tolist()
    ([0.0, 1.0, 2.0], [20000.0, 20000.0, 20000.0])
    """
    import pandas as pd

    m = len(rows.y)
    if m < _LEAST or rows.effect is not None or rows.left is not None:
        return None
    some = rows.take(np.arange(0, m, max(1, m // _LOOKED_AT)))
    if len(np.unique(_number(some))) * _WORTH > len(some.y):
        return None
    code, distinct = pd.factorize(_number(rows))
    if len(distinct) * _WORTH > m or code.min() < 0:
        return None
    first = np.empty(len(distinct), dtype=np.intp)
    first[code[::-1]] = np.arange(m - 1, -1, -1)
    few = rows.take(first)
    for at in slices(m):  # numbers may be those of two different rows by chance, however small that is
        here, same = rows.take(at), few.take(code[at])
        equal = np.array_equal(here.x, same.x) and np.array_equal(here.y, same.y)
        if not equal or (here.offset is not None and (here.offset != same.offset).any()):
            return None
    own = rows.weight(weight)
    return Rows(few.x, few.y, few.offset), np.bincount(code, own, minlength=len(distinct)).astype(np.float64)


def _number(rows: Rows) -> Floats:
    """A number for each row that is the same where design, outcome and offset are, and hardly ever where not."""
    columns = [rows.x, rows.y.reshape(len(rows.y), -1)]
    columns += [] if rows.offset is None else [rows.offset[:, None]]
    factors = np.random.default_rng(0).normal(size=sum(part.shape[1] for part in columns))
    out, start = np.zeros(len(rows.y)), 0
    for part in columns:
        for column in part.T:
            out += column * factors[start]
            start += 1
    return out
