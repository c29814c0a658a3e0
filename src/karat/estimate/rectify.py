"""Estimators on an augmented sample: gold only, surrogate only, rectified (DSL, PPI); what another split had given."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from ..errors import DataError
from . import index
from .basis import curvature_of_columns, on_gold_basis, to_coefficients
from .curved import noise_in_curvature
from .influence import Linear, Rated, UnitBlocks, calibrations, linear_at_gold, linear_at_root
from .labelling_noise import MATTERS, Noise, noise_of_labels
from .root import Root, definite, gold_root, newton, noise_of, positive
from .rows import Memory, Rows
from .scores import Scores, StoredBlocks
from .totals import Moments, astray, n_coefficients, row_scores
from .tune import Tuning, gold_only, tune, untuned
from .within import gold_everywhere, on_shared_basis, within

if TYPE_CHECKING:
    from .._core.types import Floats
    from ..moments import Model
    from .augment import AugmentedSample
    from .rows import Rows

SOUND = 0.5
"""Smallest eigenvalue of the Jacobian, relative to the gold-only one, below which its noise is looked at."""

CLEAR_OF_NOISE = 4.0
"""Labelling standard errors by which the Jacobian must then be above 0 in that direction."""

FAR = 2.0
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
    joint, own = on_shared_basis(model, sample)
    moments = Moments.of(model, joint)
    mine = moments if own is joint else None if own is None else Moments.of(model, own)
    start = _nowhere(moments) if mine is None else gold_root(mine)
    alone = None if mine is None else _gold_at(mine, start)
    root, solved = _weight_one(moments, start)
    mean = _mean_row(moments.predicted_gold)
    linear = joint.units.effects is not None and joint.curved is None
    noise = None if not linear else noise_of_labels(joint, sample, mean)
    bias = 0.0 if noise is None or not solved else _bias(noise, linear_at_root(moments, root), joint, root.theta)
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
    pick = partial(choose, tuning, sample=joint, crossfitted=crossfitted, sound=sound, alone=alone)
    chosen = pick(found[1])
    if found[1].at_root and tuning == "auto" and alone is not None and is_far(found[1], alone, joint):
        found = elsewhere() or found
        chosen = pick(found[1])
    if (
        noise is not None
        and moments.noise is None
        and tuning is not None
        and found[1].at_root
        and _bias(noise, found[1], joint, root.theta, chosen.coefficient_weights) > MATTERS
    ):
        moments = replace(moments, noise=noise)
        root, _ = _weight_one(moments, start)
        found = moments, linear_at_root(moments, root)
        chosen = pick(found[1])
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


def _bias(noise: Noise, at: Linear, sample: AugmentedSample, theta: Floats, weights: Floats | None = None) -> float:
    return noise.bias(at.inverse, at.m - at.h, sample, theta, weights)


def _weight_one(moments: Moments, start: Root) -> tuple[Root, bool]:
    """The root of weight 1, and whether it is one."""
    root = newton(moments.rectified(None), start.theta, positive(start.curvature), _noise(moments, start))
    solved = root.converged and bool(np.isfinite(root.theta).all()) and definite(root.curvature)
    return root, solved and not astray(moments.model, moments.sample.gold, root.theta)


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
    moments = Moments.of(model, on_gold_basis(model, within(replace(sample, predicted=Memory()), "gold")))
    return _gold_at(moments, gold_root(moments))


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
    if values[0] >= SOUND:
        return True
    sample, model, u = moments.sample, moments.model, vectors[:, 0]
    _, curvatures = row_scores(model, root.theta, (sample.gold, *moments.predicted_gold))
    error = index.quadratic(sample.gold.x, curvatures[0], u, model.first, sample.gold.left)
    for rows, curvature in zip(moments.predicted_gold, curvatures[1:]):
        error = error - index.quadratic(rows.x, curvature, u, model.first, rows.left)
    error = (error * sample.units.gold_analysis_weight)[:, None]
    noise = float(np.sqrt(max(sample.units.labelling.cross(error, error)[0, 0], 0.0)))
    return bool(values[0] > CLEAR_OF_NOISE * noise)


def is_far(at: Linear, alone: Estimate, sample: AugmentedSample) -> bool:
    """Whether the estimate of weight 1 is far noisier than gold alone, so that nothing is to be read off there."""
    error, gold = to_coefficients(sample, at.left_out_m - at.left_out_h), alone.scores.left_out[1]
    labelling = sample.units.labelling
    one, own = np.diag(labelling.cross(error, error)), np.diag(labelling.cross(gold, gold))
    return bool((one > FAR * own).any())


def choose(
    method: str | Tuning | None,
    at: Linear,
    sample: AugmentedSample,
    crossfitted: bool,
    sound: bool,
    alone: Estimate | None = None,
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
    if sample.taken_out:  # gold alone has effects or first stages of its own: another variance than at this root
        own = np.full(p, np.inf)
        if alone is not None:
            own = np.diag(labelling.cross(alone.scores.left_out[1], alone.scores.left_out[1]))
    return tune(method, (m, h), (left_m, left_h), labelling, crossfitted, at.at_root, own)


@dataclass(frozen=True)
class Mixed:
    """Moments and errors of the gold units at the chosen weights, in coefficients of the user's columns."""

    moment: Floats
    error: Floats
    left_out: tuple[Floats, Floats]
    uncalibrated: Floats

    def take_gold(self, scores: Scores, j: int) -> None:
        """Put those of gold alone in the place of one coefficient's."""
        self.moment[:, j], self.error[:, j] = scores.moment[:, j], scores.error[:, j]
        for mine, alone in zip(self.left_out, scores.left_out):
            mine[:, j] = alone[:, j]
        self.uncalibrated[:, j] = self.left_out[1][:, j]


def mixed(moments: Rated, theta: Floats, at: Linear, chosen: Tuning, weights: Floats, basis: Floats) -> Mixed:
    """Moments and errors from the scores at a root; those that leave a unit out freed from which units were drawn."""
    moment, left_moment = at.m @ basis.T, at.left_out_m @ basis.T
    lost = noise_in_curvature(moments.sample, theta, at.inverse) if at.at_root else None
    population = left_moment if lost is None else left_moment - at.left_out_m @ lost.T @ (basis - weights).T
    error = (moment - at.h @ weights.T) * chosen.inflation
    left_error = left_moment - at.left_out_h @ weights.T
    if at.of_effects is not None:
        left_error -= at.of_effects @ (basis - weights).T
    left_error = left_error * (chosen.inflation if chosen.left_out is None else chosen.left_out)
    left = []
    for part, factor in zip((population, left_error), calibrations(moments, theta, at)):
        if factor is not None and moments.sample.basis is not None:
            factor = np.linalg.solve(basis.T, (basis @ factor).T).T
        left.append(part.copy() if factor is None else part @ factor.T)
    return Mixed(moment, error, (left[0], left[1]), left_error)


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
    if why := astray(model, sample.gold, root.theta + np.linalg.solve(basis, step)):
        notes = (*notes, f"gold alone is reported, since with surrogates there is no solution: {why}")
        assert alone is not None  # of models without fixed effects
        return replace(alone, tuning=gold_only(p), notes=notes, gold=alone)
    if step.any():
        root = replace(root, theta=root.theta + np.linalg.solve(basis, step))
        at = linear_at_root(moments, root) if at.at_root else linear_at_gold(moments, root)
    parts, to_theta = mixed(expected, root.theta, at, chosen, weights, basis), weights @ at.inverse
    for j in np.flatnonzero([choice == "gold" for choice in chosen.choice]):
        if alone is None:
            continue
        theta[j], to_theta[j] = alone.theta[j], 0.0
        parts.take_gold(alone.scores, int(j))
    source = UnitBlocks(model, sample, root.theta, at.inverse, to_theta)
    scores = Scores.of(source, parts.moment, parts.error, parts.left_out, parts.uncalibrated, sample.units)
    curvature = curvature_of_columns(sample, root.curvature)
    tuning = chosen.with_mixing(curvature)
    noise = moments.noise if isinstance(moments.noise, Noise) else None
    return Estimate(theta, curvature, scores, tuning, root.norm, root.iterations, notes, alone, noise)


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
