"""Estimators on an augmented sample: gold only, surrogate only, rectified (DSL, PPI)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from ..errors import ConvergenceError, DataError, SeparationError
from .covariance import Block, Scores, StoredBlocks, correction
from .moments import Moments, row_scores, slices, weighted_gram
from .solve import Root, newton
from .tune import Tuning, gold_only, tune

if TYPE_CHECKING:
    from .._types import Floats, Ints
    from ..augment import AugmentedSample, Rows
    from ..models import Model

_SEPARATED_ETA = 18.0
"""A fitted probability beyond 1 - 1e-8 for some gold row means the fit is running to infinity."""


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
    root = newton(moments.gold, start, _positive(scale))
    eta = sample.gold.x @ root.theta
    if model.name in ("logit", "probit") and (not root.converged or np.abs(eta).max() > _SEPARATED_ETA):
        _, slope = model.mean(eta)
        if not root.converged or slope.max() < 1e-6 or _separated(sample.gold, eta):
            raise SeparationError(
                "the gold outcome is separated: a combination of covariates predicts it perfectly, so no finite "
                f"coefficients exist (largest |linear predictor| {np.abs(eta).max():.1f}). Drop or merge the covariate "
                "that separates, or label more units."
            )
    if not root.converged:
        raise ConvergenceError(
            f"the {model.title.lower()} did not converge on the gold rows (norm of the moment {root.norm:.2e}); "
            "rescale covariates, check the outcome for outliers, or label more units."
        )
    return root


def rectify(model: Model, sample: AugmentedSample, tuning: str | None, crossfitted: bool) -> Estimate:
    """Combine gold and predicted labels: ``sum v {w m - (w - 1) Lambda h} = 0``.

    The equation is solved with weight 1; Lambda is chosen from the scores there and reached in one
    Newton step, with the Jacobian of weight 1 (all have the same expectation, that one the least noise).

    Parameters
    ----------
    model : Model
    sample : AugmentedSample
        With predicted rows.
    tuning : {"auto", "scalar", "coefficient", "full"} or None
    crossfitted : bool
        Whether the predictions were learnt from this gold, see :func:`karat.estimate.tune.tune`.

    Returns
    -------
    Estimate
    """
    moments = Moments.of(model, sample)
    start = gold_root(moments)
    root = newton(moments.rectified(None), start.theta, _positive(start.curvature))
    solved = root.converged and bool(np.isfinite(root.theta).all()) and _definite(root.curvature)
    if not solved:
        root = start
    gold_score, _ = row_scores(model, root.theta, (sample.gold,))
    predicted_score, _ = row_scores(model, root.theta, moments.predicted_gold)
    v = sample.gold_analysis_weight[:, None]
    chosen = tune(tuning, v * gold_score, v * predicted_score, root.curvature, sample.labelling, crossfitted)
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
    if not _definite(scale):
        check_rank(sample.predicted[0].x, sample.weights, sample.names, "rows with surrogate labels")
    root = newton(totals, first, _positive(scale))
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


def cluster_curvatures(
    model: Model, sample: AugmentedSample, estimate: Estimate, cluster: Ints, estimator: str
) -> Floats:
    """Curvature of each analysis cluster at the estimate, for the leave-one-cluster-out jackknife.

    Parameters
    ----------
    model, sample, estimate
        The fit.
    cluster : ndarray of int, shape (N,)
        Cluster codes, 0 to C - 1.
    estimator : {"dsl", "ppi", "gold", "surrogate"}

    Returns
    -------
    ndarray, shape (C, p, p)
        Clusters without gold are left out for the gold-only estimator.
    """
    labelling = sample.labelling
    p = len(estimate.theta)
    groups = int(cluster.max()) + 1
    out = np.zeros((groups, p, p))

    def add(rows: Rows, codes: Ints, weight: Floats, left: Floats | None) -> None:
        _, curvature = model.evaluate(rows.x @ estimate.theta + (0 if rows.offset is None else rows.offset), rows.y)
        curvature = curvature * weight * (1.0 if rows.share is None else rows.share)
        part = np.empty((groups, p, p))
        for j in range(p):
            for k in range(j, p):
                part[:, j, k] = part[:, k, j] = np.bincount(
                    codes, weights=curvature * rows.x[:, j] * rows.x[:, k], minlength=groups
                )
        out.__iadd__(part if left is None else left @ part)

    gold_codes = cluster[labelling.gold]
    v = np.ones(sample.n_units) if sample.weights is None else sample.weights
    if estimator != "surrogate":
        add(sample.gold, gold_codes, sample.gold_weight, None)
    if estimator != "gold":
        mixing = estimate.tuning.mixing
        for rows in sample.predicted:
            add(rows, cluster, v, mixing)
            if estimator != "surrogate":
                add(rows.take(labelling.gold), gold_codes, -sample.gold_weight, mixing)
    if estimator == "gold":
        return out[np.unique(gold_codes)]
    return out


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


def _separated(gold: Rows, eta: Floats) -> bool:
    """Whether a linear predictor classifies every gold row without error."""
    return bool(((eta > 0) == (gold.y > 0.5)).all())


def _definite(curvature: Floats) -> bool:
    """Whether every eigenvalue of the scaled Jacobian has a positive real part: a solution, not a saddle."""
    size = np.sqrt(np.abs(np.diag(curvature)))
    if (size == 0).any() or not np.isfinite(curvature).all():
        return False
    return bool(np.linalg.eigvals(curvature / np.outer(size, size)).real.min() > 1e-10)


def _positive(scale: Floats) -> Floats:
    """A positive definite version of an information matrix, for measuring lengths."""
    values, vectors = np.linalg.eigh((scale + scale.T) / 2.0)
    return (vectors * np.maximum(values, values[-1] * 1e-14)) @ vectors.T
