"""Surrogates taken for the truth: for comparison."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..errors import ConvergenceError
from . import index
from .basis import check_rank, curvature_of_columns, design_of, in_basis, to_coefficients
from .influence import UnitBlocks
from .rectify import Estimate
from .root import newton, noise_of, positive, warm_start
from .rows import Memory, Rows, pieces_of
from .scores import Scores
from .totals import Moments, astray, n_coefficients, row_scores
from .tune import untuned
from .within import within

if TYPE_CHECKING:
    from .._core.types import Floats
    from ..moments import Model
    from .augment import AugmentedSample


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
    sample = within(sample, "surrogate")
    if start is None:
        near = model.local or model.first is not None
        start = _near(model, sample) if near else np.zeros(n_coefficients(model, sample.gold))
    first = start
    totals = Moments.of(model, sample).everywhere
    assert totals is not None
    _, scale = totals(first)
    size = np.sqrt(np.abs(np.diag(scale)))
    if not (size > 0).all() or np.linalg.eigvalsh(scale / np.outer(size, size))[0] < 1e-5:
        basis = check_rank(*design_of(sample), sample.names, "rows with surrogate labels")
        sample = in_basis(model, sample, basis)
        if sample.basis is not None:
            first = np.linalg.solve(index.repeated(sample.basis, len(first)), first)
        totals = Moments.of(model, sample).everywhere
        assert totals is not None
        _, scale = totals(first)
    scale = positive(scale)
    root = newton(totals, first, scale, _noise(model, sample, first, scale))
    if not root.converged:
        raise ConvergenceError(
            "the regression on surrogate labels did not converge; they may be separated by the covariates."
        )
    if why := astray(model, sample.gold, root.theta):
        raise ConvergenceError(f"the regression on surrogate labels has no solution: {why}.")
    inverse = np.linalg.inv(root.curvature)
    source = UnitBlocks(model, sample, root.theta, inverse, to_coefficients(sample, inverse.T).T)
    predicted = sample.predicted.at(sample.units.gold)
    score, curvatures = row_scores(model, root.theta, predicted)
    phi = score * sample.units.gold_analysis_weight[:, None]
    moment = phi @ source.to_coefficients.T
    own = [index.weighted(curvature, sample.units.gold_analysis_weight) for curvature in curvatures]
    wide = [rows.wide for rows in predicted]
    leverage = index.leverage(predicted[0].wide_inverse(inverse), wide, own, phi, model.first)
    none, leverage = np.zeros_like(moment), np.clip(leverage, 0.0, 0.95)
    scores = Scores(source, moment, none, (moment / (1.0 - leverage)[:, None], none), sample.units, leverage)
    return Estimate(
        to_coefficients(sample, root.theta),
        curvature_of_columns(sample, root.curvature),
        scores,
        untuned(len(first), "surrogate"),
        root.norm,
        root.iterations,
    )


def _noise(model: Model, sample: AugmentedSample, theta: Floats, scale: Floats) -> float:
    """The solver's unit, see :func:`karat.estimate.root.noise_of`; of gold units where all others are read again."""
    units = sample.units
    if isinstance(sample.predicted, Memory) or units.count is not None:
        return noise_of(model, sample.pieces_of_squares, units.n_told, theta, scale)
    weight = units.gold_analysis_weight * np.sqrt(units.labelling.weight)
    return noise_of(model, pieces_of(sample.predicted.at(units.gold), weight), len(weight), theta, scale)


def _near(model: Model, sample: AugmentedSample) -> Floats:
    """Coefficients near the root of all predicted rows together; of rows not in memory, of those of gold units."""
    units, source = sample.units, sample.predicted
    if isinstance(source, Memory):
        blocks, v = source.rows, np.ones(units.n_units) if units.weights is None else units.weights
    else:
        blocks, v = source.at(units.gold), units.gold_weight
    offsets = [block.offset for block in blocks if block.offset is not None]
    offset = np.concatenate(offsets) if offsets else None
    rows = Rows(np.vstack([block.x for block in blocks]), np.concatenate([block.y for block in blocks]), offset)
    return warm_start(model, rows, np.concatenate([v if block.share is None else v * block.share for block in blocks]))
