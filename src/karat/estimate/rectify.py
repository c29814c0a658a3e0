"""Estimators on an augmented sample: gold only, surrogate only, rectified (DSL, PPI)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from ..errors import ConvergenceError, DataError, SeparationError
from .covariance import Scores
from .moments import Moments, row_scores, weighted_gram
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


def rectify(model: Model, sample: AugmentedSample, tuning: str | None) -> Estimate:
    """Combine gold and predicted labels: ``sum v {w m - (w - 1) Lambda h} = 0``.

    Parameters
    ----------
    model : Model
    sample : AugmentedSample
        With predicted rows.
    tuning : {"auto", "scalar", "coefficient", "full"} or None

    Returns
    -------
    Estimate
    """
    moments = Moments.of(model, sample)
    start = gold_root(moments)
    notes: list[str] = []
    root = newton(moments.rectified(None), start.theta, _positive(start.curvature))
    if not _usable(root):
        notes.append(
            "the rectified moment has no root with weight 1; tuning started from the gold-only root"
        )
        root = start
    gold_score, _ = row_scores(model, root.theta, (sample.gold,))
    predicted_score, _ = row_scores(model, root.theta, moments.predicted_gold)
    v = sample.gold_analysis_weight[:, None]
    chosen = tune(tuning, v * gold_score, v * predicted_score, root.curvature, sample.labelling)
    if chosen.mixing is not None or root is start:
        totals = moments.rectified(chosen.mixing)
        tuned = newton(totals, root.theta, _positive(start.curvature))
        if not _usable(tuned):
            tuned = _one_step(totals, start)
            notes.append("the rectified moment has no root; one Newton step was taken from the gold-only root")
        root = tuned
    scores = _rectified_scores(moments, root, chosen, start.curvature)
    return Estimate(root.theta, root.curvature, scores, chosen, root.norm, root.iterations, tuple(notes))


def gold_estimate(model: Model, sample: AugmentedSample) -> Estimate:
    """Inverse probability weighted regression on gold alone (Lambda = 0)."""
    moments = Moments.of(model, _without_predictions(sample))
    root = gold_root(moments)
    score, (curvature,) = row_scores(model, root.theta, (sample.gold,))
    error = score * sample.gold_analysis_weight[:, None]
    leverage = _leverage(((sample.gold.x, curvature * sample.gold_weight),), root.curvature)
    gold = np.arange(len(error))
    scores = Scores(error * sample.labelling.weight[:, None], error, gold, sample.labelling.gold, leverage)
    return Estimate(root.theta, root.curvature, scores, gold_only(len(root.theta)), root.norm, root.iterations)


def surrogate_estimate(model: Model, sample: AugmentedSample, start: Floats | None = None) -> Estimate:
    """Regression on the predicted rows as if they were the truth: shown for comparison, not valid."""
    moments = Moments.of(model, sample)
    totals = moments.everywhere
    assert totals is not None
    p = sample.gold.x.shape[1]
    first = np.zeros(p) if start is None else start
    _, scale = totals(first)
    try:
        root = newton(totals, first, _positive(scale))
    except np.linalg.LinAlgError:
        check_rank(sample.predicted[0].x, sample.weights, sample.names, "rows with surrogate labels")
        raise
    if not root.converged:
        raise ConvergenceError(
            "the regression on surrogate labels did not converge; they may be separated by the covariates."
        )
    phi, curvatures = row_scores(model, root.theta, sample.predicted)
    if sample.weights is not None:
        phi *= sample.weights[:, None]
    leverage = _leverage(
        tuple(
            (rows.x, c if sample.weights is None else c * sample.weights)
            for rows, c in zip(sample.predicted, curvatures)
        ),
        root.curvature,
    )
    none = np.zeros((sample.labelling.n_gold, p))
    scores = Scores(phi, none, sample.labelling.gold, None, leverage)
    untouched = Tuning(None, np.eye(p), np.zeros(p), ("surrogate",) * p, np.zeros(p))
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
            f"column(s) {', '.join(empty)} are zero in all {where}, so their coefficients cannot be learnt; label units "
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
    """Contributions of all units; gold units are overwritten by ``w m - (w - 1) Lambda h``."""
    sample, model = moments.sample, moments.model
    gold = sample.labelling.gold
    gold_score, (curvature,) = row_scores(model, root.theta, (sample.gold,))
    phi, curvatures = row_scores(model, root.theta, sample.predicted)
    if tuning.mixing is not None:
        phi = phi @ tuning.mixing.T
    predicted = phi[gold]
    w = sample.labelling.weight[:, None]
    phi[gold] = w * gold_score - (w - 1.0) * predicted
    error = gold_score - predicted
    v = sample.weights
    leverage = _leverage(
        tuple((rows.x, c if v is None else c * v) for rows, c in zip(sample.predicted, curvatures)), root.curvature
    )
    leverage[gold] = _leverage(((sample.gold.x, curvature * sample.gold_weight),), gold_curvature)
    if v is not None:
        phi *= v[:, None]
        error *= v[gold][:, None]
    return Scores(phi, error, gold, None, leverage)


def _leverage(blocks: tuple[tuple[Floats, Floats], ...], curvature: Floats) -> Floats:
    """``sum_k c_k x_k' A^-1 x_k`` per unit, shape (m,), never below 0."""
    inverse = np.linalg.inv(curvature)
    out = np.zeros(len(blocks[0][0]))
    for x, c in blocks:
        out += np.einsum("ij,ij->i", x @ inverse, x) * c
    return np.clip(out, 0.0, 1.0)


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


def _usable(root: Root) -> bool:
    """A root with a Jacobian whose symmetric part is positive definite is a solution, not a saddle."""
    if not root.converged or not np.isfinite(root.theta).all():
        return False
    symmetric = (root.curvature + root.curvature.T) / 2.0
    size = np.sqrt(np.abs(np.diag(symmetric)))
    if (size == 0).any():
        return False
    return bool(np.linalg.eigvals(root.curvature / np.outer(size, size)).real.min() > 1e-10)


def _one_step(totals: object, start: Root) -> Root:
    score, _ = totals(start.theta)  # type: ignore[operator]
    theta = start.theta + np.linalg.solve(start.curvature, score)
    return Root(theta, start.curvature, 0.0, True, 1)


def _positive(scale: Floats) -> Floats:
    """A positive definite version of an information matrix, for measuring lengths."""
    values, vectors = np.linalg.eigh((scale + scale.T) / 2.0)
    return (vectors * np.maximum(values, values[-1] * 1e-14)) @ vectors.T


def _without_predictions(sample: AugmentedSample) -> AugmentedSample:
    from dataclasses import replace

    return replace(sample, predicted=())
