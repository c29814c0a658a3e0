"""Estimators on an augmented sample: gold only, surrogate only, rectified (DSL, PPI); what another split had given."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from ..errors import ConvergenceError, DataError
from . import index
from .basis import check_rank, curvature_of_columns, design_of, in_basis, on_gold_basis, to_coefficients
from .influence import Linear, UnitBlocks, calibrations, linear_at_gold, linear_at_root
from .root import Root, definite, gold_root, newton, noise_of, positive, warm_start
from .rows import Memory, Rows, in_memory
from .scores import Scores, StoredBlocks
from .small_groups import MATTERS, Noise, noise_of_labels
from .totals import Moments, n_coefficients, row_scores
from .tune import Tuning, gold_only, tune, untuned
from .within import gold_everywhere, on_shared_basis, within

if TYPE_CHECKING:
    from .._core.types import Floats
    from ..moments import Model
    from .augment import AugmentedSample
    from .rows import Rows

_SOUND = 0.5
"""Smallest eigenvalue of the Jacobian, relative to the gold-only one, below which its noise is looked at."""

_CLEAR_OF_NOISE = 4.0
"""Labelling standard errors by which the Jacobian must then be above 0 in that direction."""

_FAR = 2.0
"""Labelling variance at weight 1, relative to gold alone, beyond which weights are not chosen there."""

_NOT_PUT_RIGHT = (
    "tuning=None takes fixed effects as dummies, and the groups hold so few gold rows that labelling noise biases a "
    "coefficient by about {:.2f} standard errors; tuning='auto' puts it right (methods, section 8.2)"
)


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
        Norm of the total score at the root, in standard errors.
    iterations : int
    notes : tuple of str
        What the user must be told about how the root was reached.
    gold : Estimate, optional
        The estimate from gold alone, where this is another one.
    noise : Noise, optional
        Labelling noise that was put right, where fixed effects have small groups.
    """

    theta: Floats
    curvature: Floats
    scores: Scores = field(repr=False)
    tuning: Tuning
    norm: float
    iterations: int
    notes: tuple[str, ...] = ()
    gold: Estimate | None = field(repr=False, default=None)
    noise: Noise | None = field(repr=False, default=None)


def rectify(model: Model, sample: AugmentedSample, tuning: str | Tuning | None, crossfitted: bool) -> Estimate:
    """Combine gold and predicted labels: ``sum v {w m - (w - 1) Lambda h} = 0``.

    The equation is solved with weight 1 and Lambda chosen from the scores there, or, where weight 1 is far worse
    than gold alone, at the gold-only root. The chosen Lambda is reached in one Newton step, with the Jacobian of that
    root (all have the same expectation, these the least noise). A coefficient for which gold alone is best is the
    gold-only one, with its influence.

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
    joint, own = on_shared_basis(sample)
    moments = Moments.of(model, joint)
    mine = moments if own is joint else None if own is None else Moments.of(model, own)
    start = _nowhere(moments) if mine is None else gold_root(mine)
    alone = None if mine is None else _gold_at(mine, start)
    root, solved = _weight_one(moments, start)
    noise = None
    if joint.units.effects is not None:
        noise = noise_of_labels(joint, sample, _mean_row(moments.predicted_gold))
    bias = 0.0 if noise is None or not solved else noise.bias(linear_at_root(moments, root), moments, root.theta)
    if noise is not None and (not solved or (bias > MATTERS and tuning is not None)):
        moments = replace(moments, noise=noise)
        root, solved = _weight_one(moments, start)
    sound = solved and _is_sound(moments, root, start)
    elsewhere = partial(_at_gold, sample, moments, mine, start)
    found = None if solved and (sound or tuning is None) else elsewhere()
    if found is None and solved:
        found = moments, linear_at_root(moments, root)
    if found is None:
        return _alone_or_nothing(alone, gold_only(len(start.theta)))
    choose = partial(_choose, tuning, joint, crossfitted, sound, alone)
    chosen = choose(found[1])
    if found[1].at_root and tuning == "auto" and alone is not None and _is_far(found[1], alone, joint):
        found = elsewhere() or found
        chosen = choose(found[1])
    if (
        noise is not None
        and moments.noise is None
        and tuning is not None
        and found[1].at_root
        and noise.bias(found[1], moments, root.theta, chosen.coefficient_weights) > MATTERS
    ):
        moments = replace(moments, noise=noise)
        root, _ = _weight_one(moments, start)
        found = moments, linear_at_root(moments, root)
        chosen = choose(found[1])
    if all(choice == "gold" for choice in chosen.choice):
        return _alone_or_nothing(alone, chosen)
    notes: tuple[str, ...] = ()
    if moments.noise is None and bias > MATTERS:
        notes = (_NOT_PUT_RIGHT.format(bias),)
    if not solved:
        notes = ("the rectified moment has no root; one Newton step was taken from the gold-only root",)
    expected = moments if noise is None else Moments.of(model, noise.control)
    return _combined(*found, chosen, alone, root if found[1].at_root else start, expected, notes)


def _at_gold(
    sample: AugmentedSample, moments: Moments, mine: Moments | None, start: Root
) -> tuple[Moments, Linear] | None:
    """Scores at the gold-only root; None where the fixed effects there are not known of all units."""
    if mine is None:
        return None
    if not moments.sample.taken_out:
        return moments, linear_at_gold(moments, start)
    rows = gold_everywhere(sample, moments.sample.basis)
    if rows is None:
        return None
    there = Moments.of(moments.model, rows)
    return there, linear_at_gold(there, start)


def _weight_one(moments: Moments, start: Root) -> tuple[Root, bool]:
    """The root of weight 1, and whether it is one."""
    root = newton(moments.rectified(None), start.theta, positive(start.curvature), _noise(moments, start))
    return root, root.converged and bool(np.isfinite(root.theta).all()) and definite(root.curvature)


def _mean_row(rows: tuple[Rows, ...]) -> Rows:
    """Rows of units averaged over their class combinations."""
    x, left = (sum(index.weighted(part, one.share) for one, part in each) for each in (
        [(one, one.x) for one in rows], [(one, one.scored) for one in rows]
    ))  # fmt: skip
    y = sum(index.weighted(one.y, one.share) for one in rows)
    return Rows(np.asarray(x), np.asarray(y), left=np.asarray(left))


def _nowhere(moments: Moments) -> Root:
    """Where Newton starts when gold alone has no root: 0, with the curvature of the predicted rows."""
    assert moments.everywhere is not None
    zero = np.zeros(n_coefficients(moments.model, moments.sample.gold))
    return Root(zero, moments.everywhere(zero)[1], np.inf, False, 0)


def _alone_or_nothing(alone: Estimate | None, chosen: Tuning) -> Estimate:
    """The gold-only estimate where it is all there is.

    Raises
    ------
    DataError
        If there is not even that.
    """
    if alone is None:
        raise DataError(
            "the gold rows are too few for these fixed effects: gold alone leaves no degrees of freedom, and the "
            "labelling noise in covariates is as large as what they vary within the effects. Label more units of the "
            "same groups, or take coarser effects."
        )
    return replace(alone, tuning=replace(chosen, mixing=np.zeros_like(alone.curvature)), gold=alone)


def gold_estimate(model: Model, sample: AugmentedSample) -> Estimate:
    """Inverse probability weighted regression on gold alone (Lambda = 0)."""
    moments = Moments.of(model, on_gold_basis(within(replace(sample, predicted=Memory()), "gold")))
    return _gold_at(moments, gold_root(moments))


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
        start = _near(model, sample) if model.local else np.zeros(n_coefficients(model, sample.gold))
    first = start
    totals = Moments.of(model, sample).everywhere
    assert totals is not None
    _, scale = totals(first)
    size = np.sqrt(np.abs(np.diag(scale)))
    if not (size > 0).all() or np.linalg.eigvalsh(scale / np.outer(size, size))[0] < 1e-5:
        basis = check_rank(*design_of(sample), sample.names, "rows with surrogate labels")
        sample = in_basis(sample, basis)
        first = first if basis is None else np.linalg.solve(index.repeated(basis, len(first)), first)
        totals = Moments.of(model, sample).everywhere
        assert totals is not None
        _, scale = totals(first)
    scale = positive(scale)
    root = newton(totals, first, scale, noise_of(model, sample.pieces, sample.units.n_units, first, scale))
    if not root.converged:
        raise ConvergenceError(
            "the regression on surrogate labels did not converge; they may be separated by the covariates."
        )
    inverse = np.linalg.inv(root.curvature)
    source = UnitBlocks(model, sample, root.theta, inverse, to_coefficients(sample, inverse.T).T)
    predicted = sample.predicted.at(sample.units.gold)
    score, curvatures = row_scores(model, root.theta, predicted)
    phi = score * sample.units.gold_analysis_weight[:, None]
    moment = phi @ source.to_coefficients.T
    own = [index.weighted(curvature, sample.units.gold_analysis_weight) for curvature in curvatures]
    leverage = index.leverage(predicted[0].wide_inverse(inverse), [rows.wide for rows in predicted], own, phi)
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


def _near(model: Model, sample: AugmentedSample) -> Floats:
    """Coefficients near the root of all predicted rows together."""
    blocks, v = in_memory(sample.predicted, f"the {model.title.lower()} on surrogates alone"), sample.units.weights
    v = np.ones(sample.units.n_units) if v is None else v
    offsets = [block.offset for block in blocks if block.offset is not None]
    offset = np.concatenate(offsets) if offsets else None
    rows = Rows(np.vstack([block.x for block in blocks]), np.concatenate([block.y for block in blocks]), offset)
    return warm_start(model, rows, np.concatenate([v if block.share is None else v * block.share for block in blocks]))


def _noise(moments: Moments, root: Root) -> float:
    sample = moments.sample
    return noise_of(moments.model, sample.gold_pieces, len(sample.gold.y), root.theta, positive(root.curvature))


def _gold_at(moments: Moments, root: Root) -> Estimate:
    """The gold-only estimate from its root; influences of gold rows alone."""
    sample = moments.sample
    at = linear_at_gold(replace(moments, predicted_gold=()), root)
    moment, left_out = (to_coefficients(sample, part) for part in (at.m, at.left_out_m))
    stored = StoredBlocks(moment * sample.units.labelling.weight[:, None], at.leverage)
    scores = Scores(stored, moment, moment, (left_out, left_out), sample.units, at.leverage, gold_alone=True)
    p = len(root.theta)
    return Estimate(
        to_coefficients(sample, root.theta),
        curvature_of_columns(sample, root.curvature),
        scores,
        gold_only(p),
        root.norm,
        root.iterations,
    )


def _is_sound(moments: Moments, root: Root, start: Root) -> bool:
    """Whether the Jacobian of weight 1 is not mostly noise in any direction.

    It estimates the same as the gold-only one. Where it is much smaller in some direction, what labelling adds to it
    there must be small against what is left.
    """
    from scipy.linalg import eigh

    values, vectors = eigh((root.curvature + root.curvature.T) / 2.0, positive(start.curvature))
    if values[0] >= _SOUND:
        return True
    sample, u = moments.sample, vectors[:, 0]
    _, curvatures = row_scores(moments.model, root.theta, (sample.gold, *moments.predicted_gold))
    error = index.quadratic(sample.gold.x, curvatures[0], u, sample.gold.left)
    for rows, curvature in zip(moments.predicted_gold, curvatures[1:]):
        error = error - index.quadratic(rows.x, curvature, u, rows.left)
    error = (error * sample.units.gold_analysis_weight)[:, None]
    noise = float(np.sqrt(max(sample.units.labelling.cross(error, error)[0, 0], 0.0)))
    return bool(values[0] > _CLEAR_OF_NOISE * noise)


def _is_far(at: Linear, alone: Estimate, sample: AugmentedSample) -> bool:
    """Whether the estimate of weight 1 is far noisier than gold alone, so that nothing is to be read off there."""
    error, gold = to_coefficients(sample, at.left_out_m - at.left_out_h), alone.scores.left_out[1]
    labelling = sample.units.labelling
    one, own = np.diag(labelling.cross(error, error)), np.diag(labelling.cross(gold, gold))
    return bool((one > _FAR * own).any())


def _choose(
    method: str | Tuning | None,
    sample: AugmentedSample,
    crossfitted: bool,
    sound: bool,
    alone: Estimate | None,
    at: Linear,
) -> Tuning:
    """Weights from the scores at a root, as leaving each unit out would have them."""
    if isinstance(method, Tuning):
        return method
    p = len(at.inverse)
    if method is None:
        return untuned(p)
    if not sound:
        return gold_only(p)
    m, h, left_m, left_h = (to_coefficients(sample, part) for part in (at.m, at.h, at.left_out_m, at.left_out_h))
    labelling, own = sample.units.labelling, None
    if (
        sample.taken_out
    ):  # gold alone has fixed effects or first stages of its own, and may be far noisier than at this root
        own = np.full(p, np.inf)
        if alone is not None:
            own = np.diag(labelling.cross(alone.scores.left_out[1], alone.scores.left_out[1]))
    return tune(method, (m, h), (left_m, left_h), labelling, crossfitted, at.at_root, own)


def _calibrated(moments: Moments, root: Root, at: Linear, moment: Floats, error: Floats) -> tuple[Floats, Floats]:
    """Left-out moments and errors, freed from which units happened to be drawn."""
    out, basis = [], moments.sample.basis
    basis = None if basis is None else index.repeated(basis, len(root.theta))
    for part, factor in zip((moment, error), calibrations(moments, root.theta, at)):
        if factor is not None and basis is not None:
            factor = np.linalg.solve(basis.T, (basis @ factor).T).T
        out.append(part if factor is None else part @ factor.T)
    return out[0], out[1]


def _combined(
    moments: Moments,
    at: Linear,
    chosen: Tuning,
    alone: Estimate | None,
    root: Root,
    expected: Moments,
    notes: tuple[str, ...],
) -> Estimate:
    """One Newton step to the chosen weights, with the influence of all units."""
    sample, model = moments.sample, moments.model
    assert moments.everywhere is not None
    assert moments.back is not None
    p = len(root.theta)
    basis = np.eye(p) if sample.basis is None else index.repeated(sample.basis, p)
    weights = chosen.on_basis(basis)
    gold_score, _ = moments.gold(root.theta)
    everywhere, back = moments.everywhere(root.theta)[0], moments.back(root.theta)[0]
    if moments.noise is not None:  # the total at the root is 0; what is weighed are predictions free from the draw
        assert expected.everywhere is not None
        assert expected.back is not None
        everywhere, back = expected.everywhere(root.theta)[0], expected.back(root.theta)[0]
        gold_score = back - everywhere
    step = basis @ at.inverse @ gold_score + weights @ at.inverse @ (everywhere - back)
    theta = basis @ root.theta + step
    if step.any():
        root = replace(root, theta=root.theta + np.linalg.solve(basis, step))
        at = linear_at_root(moments, root) if at.at_root else linear_at_gold(moments, root)
    moment, left_moment = at.m @ basis.T, at.left_out_m @ basis.T
    error = (moment - at.h @ weights.T) * chosen.inflation
    left_error = left_moment - at.left_out_h @ weights.T
    left_error = left_error * (chosen.inflation if chosen.left_out is None else chosen.left_out)
    uncalibrated = left_error.copy()
    left_moment, left_error = _calibrated(expected, root, at, left_moment, left_error)
    to_theta = weights @ at.inverse
    for j in np.flatnonzero([choice == "gold" for choice in chosen.choice]):
        if alone is None:
            continue
        theta[j], to_theta[j] = alone.theta[j], 0.0
        moment[:, j], error[:, j] = alone.scores.moment[:, j], alone.scores.error[:, j]
        left_moment[:, j], left_error[:, j] = (part[:, j] for part in alone.scores.left_out)
        uncalibrated[:, j] = left_error[:, j]
    source = UnitBlocks(model, sample, root.theta, at.inverse, to_theta)
    scores = Scores.of(source, moment, error, (left_moment, left_error), uncalibrated, sample.units)
    curvature = curvature_of_columns(sample, root.curvature)
    tuning = chosen.with_mixing(curvature)
    return Estimate(theta, curvature, scores, tuning, root.norm, root.iterations, notes, alone, moments.noise)


def split_estimates(
    model: Model,
    sample: AugmentedSample,
    blocks: list[tuple[Rows, ...]],
    theta: Floats,
    mixing: Floats | None,
) -> Floats:
    """One Newton step from the combined estimate to the root of each split.

    Parameters
    ----------
    model : Model
    sample : AugmentedSample
        Its predicted rows are replaced.
    blocks : list of tuple of Rows
        Predicted rows of each of S splits.
    theta : ndarray, shape (p,)
    mixing : ndarray, shape (p, p), or None
        Lambda, held fixed.

    Returns
    -------
    ndarray, shape (S, p)
    """
    out = []
    for predicted in blocks:
        split = within(replace(sample, predicted=Memory(predicted)), "all")
        score, curvature = Moments.of(model, split).rectified(mixing)(theta)
        out.append(theta + np.linalg.solve(curvature, score))
    return np.vstack(out)
