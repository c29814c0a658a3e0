"""Estimators on an augmented sample: gold only, surrogate only, rectified (DSL, PPI)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from ..errors import ConvergenceError
from .covariance import Block, Scores, StoredBlocks, correction
from .moments import Moments, row_scores, slices
from .solve import Root, newton
from .start import check_rank, definite, gold_root, positive
from .tune import Tuning, gold_only, tune

if TYPE_CHECKING:
    from .._types import Floats
    from ..augment import AugmentedSample, Rows
    from ..models import Model


@dataclass(frozen=True)
class Estimate:
    """Coefficients and everything their covariance needs.

    Parameters
    ----------
    theta : ndarray, shape (p,)
    curvature : ndarray, shape (p, p)
        N times the Jacobian.
    scores : Scores
    tuning : Tuning
    norm : float
        Norm of the total score at the root.
    iterations : int
    notes : tuple of str
        What the user must be told about how the root was reached.
    """

    theta: Floats
    curvature: Floats
    scores: Scores = field(repr=False)
    tuning: Tuning
    norm: float
    iterations: int
    notes: tuple[str, ...] = ()


def rectify(model: Model, sample: AugmentedSample, tuning: str | Tuning | None, crossfitted: bool) -> Estimate:
    """Combine gold and predicted labels: ``sum v {w m - (w - 1) Lambda h} = 0``.

    The equation is solved with weight 1; Lambda is chosen from the scores there and reached in one
    Newton step, with the Jacobian of weight 1 (all have the same expectation, that one the least noise).

    Parameters
    ----------
    model : Model
    sample : AugmentedSample
        With predicted rows.
    tuning : {"auto", "scalar", "coefficient", "full"}, Tuning or None
        A Tuning is taken as it is.
    crossfitted : bool
        Whether the predictions were learnt from this gold, see :func:`karat.estimate.tune.tune`.

    Returns
    -------
    Estimate
    """
    moments = Moments.of(model, sample)
    start = gold_root(moments)
    root = newton(moments.rectified(None), start.theta, positive(start.curvature))
    solved = root.converged and bool(np.isfinite(root.theta).all()) and definite(root.curvature)
    if not solved:
        root = start
    gold_score, _ = row_scores(model, root.theta, (sample.gold,))
    predicted_score, _ = row_scores(model, root.theta, moments.predicted_gold)
    v = sample.gold_analysis_weight[:, None]
    chosen = (
        tuning
        if isinstance(tuning, Tuning)
        else tune(tuning, v * gold_score, v * predicted_score, root.curvature, sample.labelling, crossfitted)
    )
    notes: tuple[str, ...] = ()
    if chosen.mixing is not None or not solved:
        score, _ = moments.rectified(chosen.mixing)(root.theta)
        root = replace(root, theta=root.theta + np.linalg.solve(root.curvature, score))
    if not solved:
        notes = ("the rectified moment has no root; one Newton step was taken from the gold-only root",)
    scores = _rectified_scores(moments, root, chosen, start.curvature)
    return Estimate(root.theta, root.curvature, scores, chosen, root.norm, root.iterations, notes)


def gold_estimate(model: Model, sample: AugmentedSample) -> Estimate:
    """Inverse probability weighted regression on gold alone (Lambda = 0)."""
    moments = Moments.of(model, replace(sample, predicted=()))
    root = gold_root(moments)
    score, (curvature,) = row_scores(model, root.theta, (sample.gold,))
    error = score * sample.gold_analysis_weight[:, None]
    inverse = np.linalg.inv(root.curvature)
    leverage = np.clip(_leverage(sample.gold.x @ inverse, sample.gold.x, curvature * sample.gold_weight), 0.0, 1.0)
    error = error @ inverse.T
    phi = error * sample.labelling.weight[:, None]
    gold = np.arange(len(error))
    scores = Scores(StoredBlocks(phi, leverage), error, gold, leverage, len(error), sample.labelling.gold)
    return Estimate(root.theta, root.curvature, scores, gold_only(len(root.theta)), root.norm, root.iterations)


def surrogate_estimate(model: Model, sample: AugmentedSample, start: Floats | None = None) -> Estimate:
    """Regression on the predicted rows as if they were the truth: shown for comparison, not valid.

    Parameters
    ----------
    model : Model
    sample : AugmentedSample
    start : ndarray, shape (p,), optional
        First coefficients of the solver.

    Returns
    -------
    Estimate
    """
    moments = Moments.of(model, sample)
    totals = moments.everywhere
    assert totals is not None
    p = sample.gold.x.shape[1]
    first = np.zeros(p) if start is None else start
    _, scale = totals(first)
    if not definite(scale):
        check_rank(sample.predicted[0].x, sample.weights, sample.names, "rows with surrogate labels")
    root = newton(totals, first, positive(scale))
    if not root.converged:
        raise ConvergenceError(
            "the regression on surrogate labels did not converge; they may be separated by the covariates."
        )
    none = np.zeros((sample.labelling.n_gold, p))
    inverse = np.linalg.inv(root.curvature)
    source = _UnitBlocks(model, sample, root.theta, inverse, inverse, None, None)
    scores = Scores(source, none, sample.labelling.gold, np.zeros(len(none)), sample.n_units)
    untouched = Tuning(None, np.eye(p), np.zeros(p), ("surrogate",) * p, np.zeros(p), np.ones(p))
    return Estimate(root.theta, root.curvature, scores, untouched, root.norm, root.iterations)


def _rectified_scores(moments: Moments, root: Root, tuning: Tuning, gold_curvature: Floats) -> Scores:
    """Contributions of all units; those of gold units are ``w m - (w - 1) Lambda h``."""
    sample, model = moments.sample, moments.model
    gold_score, (curvature,) = row_scores(model, root.theta, (sample.gold,))
    predicted, _ = row_scores(model, root.theta, moments.predicted_gold)
    if tuning.mixing is not None:
        predicted = predicted @ tuning.mixing.T
    inverse = np.linalg.inv(root.curvature)
    v = sample.gold_analysis_weight[:, None]
    w = sample.labelling.weight[:, None]
    gold_score = v * gold_score @ inverse.T
    error = (gold_score - v * predicted @ inverse.T) * tuning.inflation
    psi = gold_score + (w - 1.0) * error
    x = sample.gold.x
    leverage = np.clip(_leverage(x @ np.linalg.inv(gold_curvature), x, curvature * sample.gold_weight), 0.0, 1.0)
    to_coefficients = inverse if tuning.mixing is None else inverse @ tuning.mixing
    source = _UnitBlocks(model, sample, root.theta, inverse, to_coefficients, psi, leverage)
    return Scores(source, error, sample.labelling.gold, leverage, sample.n_units)


@dataclass(frozen=True)
class _UnitBlocks:
    """Influences of all units, worked out block by block from the predicted rows.

    Those of gold units are replaced by ``gold_psi``, with ``gold_leverage``, where these are given.
    """

    model: Model
    sample: AugmentedSample
    theta: Floats
    inverse: Floats
    to_coefficients: Floats
    gold_psi: Floats | None
    gold_leverage: Floats | None

    def __call__(self, kind: str) -> Iterator[Block]:
        sample, gold = self.sample, self.sample.labelling.gold
        gold_psi = self.gold_psi
        if gold_psi is not None and self.gold_leverage is not None:
            gold_factor = correction(self.gold_leverage, kind)
            gold_psi = gold_psi if gold_factor is None else gold_psi * gold_factor[:, None]
        for block in slices(sample.n_units):
            parts = [self._evaluate(rows, block) for rows in sample.predicted]
            v = None if sample.weights is None else sample.weights[block]
            scale = self._factor(parts, v, kind)
            if v is not None:
                scale = v if scale is None else v * scale
            if len(parts) == 1:
                x, score, _ = parts[0]
                psi = x @ self.to_coefficients.T
                psi *= (score if scale is None else score * scale)[:, None]
            else:
                phi = np.zeros_like(parts[0][0])
                for x, score, _ in parts:
                    phi += x * score[:, None]
                psi = phi @ self.to_coefficients.T
                if scale is not None:
                    psi *= scale[:, None]
            if gold_psi is not None:
                first, last = np.searchsorted(gold, (block.start, block.stop))
                psi[gold[first:last] - block.start] = gold_psi[first:last]
            yield block, psi

    def _evaluate(self, rows: Rows, block: slice) -> tuple[Floats, Floats, Floats]:
        """Design rows, score and curvature (times share) of one block of one class combination."""
        x = rows.x[block]
        eta = x @ self.theta if rows.offset is None else x @ self.theta + rows.offset[block]
        score, curvature = self.model.evaluate(eta, rows.y[block])
        if rows.share is not None:
            score, curvature = score * rows.share[block], curvature * rows.share[block]
        return x, score, curvature

    def _factor(self, parts: list[tuple[Floats, Floats, Floats]], v: Floats | None, kind: str) -> Floats | None:
        """Small-sample correction of each row, shape (rows,)."""
        if kind not in ("HC2", "HC3"):
            return None
        leverage = np.zeros(len(parts[0][0]))
        for x, _, curvature in parts:
            leverage += _leverage(x @ self.inverse, x, curvature)
        if v is not None:
            leverage *= v
        return correction(np.clip(leverage, 0.0, 1.0, out=leverage), kind)


def _leverage(hat: Floats, x: Floats, curvature: Floats) -> Floats:
    """``c x' A^-1 x`` per row, shape (m,), with ``hat = x A^-1``."""
    out: Floats = np.einsum("ij,ij->i", hat, x)
    out *= curvature
    return out
