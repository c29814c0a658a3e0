"""Estimators of proportional hazards on an augmented sample, made from scores as :mod:`karat.estimate.rectify` does."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ..errors import ConvergenceError
from .basis import curvature_of_columns, to_coefficients
from .hazards import HazardMoments, gold_root, noise_of, risk_of, unit_of
from .index import weighted
from .influence import Linear, left_out_shift
from .rectify import CLEAR_OF_NOISE, SOUND, Estimate, choose, is_far, mixed
from .root import Root, definite, newton, positive
from .rows import Memory
from .scores import LARGEST_LEVERAGE, Scores, StoredBlocks
from .tune import Tuning, gold_only, untuned

if TYPE_CHECKING:
    from .._core.types import Floats
    from .augment import AugmentedSample
    from .risk_sets import Hazard, RiskSets


def gold_hazards(sets: RiskSets, sample: AugmentedSample) -> Estimate:
    """Partial likelihood of gold alone with inverse probability weights (Binder 1992)."""
    moments = HazardMoments.of(sets, replace(sample, predicted=Memory()))
    return _gold_at(moments, gold_root(moments))


def rectified_hazards(
    sets: RiskSets, sample: AugmentedSample, tuning: str | Tuning | None, crossfitted: bool
) -> Estimate:
    """Combine gold and predicted covariates, see :func:`karat.estimate.rectify.rectify`."""
    moments = HazardMoments.of(sets, sample)
    sample = moments.sample
    start = gold_root(moments)
    alone = _gold_at(moments, start)
    moments = moments.settled(start.theta)
    scale = positive(start.curvature)
    assert moments.augmented is not None
    root = newton(moments.augmented.totals, start.theta, scale, noise_of(moments.gold, start.theta, scale))
    solved = root.converged and bool(np.isfinite(root.theta).all()) and definite(root.curvature)
    at_root, at_gold = replace(moments, at_root=True), replace(moments, at_root=False)
    sound = solved and _is_sound(at_root, root, start)
    moments = at_root if solved and (sound or tuning is None) else at_gold
    at = linear(moments, root if moments.at_root else start)
    chosen = tuning if isinstance(tuning, Tuning) else choose(tuning, at, sample, crossfitted, sound)
    if at.at_root and tuning == "auto" and is_far(at, alone, sample):
        moments, at = at_gold, linear(at_gold, start)
        chosen = choose(tuning, at, sample, crossfitted, sound)
    if all(choice == "gold" for choice in chosen.choice):
        return replace(alone, tuning=replace(chosen, mixing=np.zeros_like(alone.curvature)), gold=alone)
    notes: tuple[str, ...] = ()
    if not solved:
        notes = ("the rectified moment has no root; one Newton step was taken from the gold-only root",)
    return _combined(moments, at, chosen, alone, root if at.at_root else start, notes)


def surrogate_hazards(sets: RiskSets, sample: AugmentedSample) -> Estimate:
    """Partial likelihood of the predicted rows as if they were the truth: shown for comparison, not valid."""
    moments = HazardMoments.of(sets, sample)
    whole, sample = moments.everywhere, moments.sample
    assert whole is not None
    start = np.zeros(sample.gold.x.shape[1])
    scale = positive(whole.totals(start)[1])
    root = newton(whole.totals, start, scale, noise_of(whole, start, scale))
    if not root.converged:
        raise ConvergenceError("the Cox regression on surrogate labels did not converge; they may separate the events.")
    hazard, inverse = whole.hazard(root.theta)[0], np.linalg.inv(root.curvature)
    stored = _of_all(moments, hazard, root.theta, inverse, to_coefficients(sample, inverse.T).T)
    gold = sample.units.gold
    moment, leverage = stored.psi[gold], stored.leverage[gold]
    none = np.zeros_like(moment)
    scores = Scores(stored, moment, none, (moment / (1.0 - leverage)[:, None], none), sample.units, leverage)
    return Estimate(
        to_coefficients(sample, root.theta), curvature_of_columns(sample, root.curvature), scores,
        untuned(len(start), "surrogate"), root.norm, root.iterations,
    )  # fmt: skip


def linear(moments: HazardMoments, root: Root) -> Linear:
    """Scores of the gold units at a root, see :class:`karat.estimate.influence.Linear`."""
    sample, theta, hazard = moments.sample, root.theta, moments.hazard(root.theta)
    inverse = np.linalg.inv(root.curvature)
    v, w = sample.units.gold_analysis_weight, sample.units.labelling.weight
    m, curvature = (weighted(part, v) for part in moments.scores(hazard, theta, (sample.gold,)))
    h, predicted = np.zeros_like(m), np.zeros_like(curvature)
    if moments.predicted_gold:
        h, predicted = (weighted(part, v) for part in moments.scores(hazard, theta, moments.predicted_gold))
    leverage = np.clip(w * np.einsum("ab,iab->i", inverse, curvature), 0.0, LARGEST_LEVERAGE)
    left_m, left_h = _without_own(moments, hazard, theta)
    own, phi = weighted(curvature, w), weighted(left_m, w)
    if moments.at_root:
        own = own + weighted(predicted, 1.0 - w)
        phi = left_m + (w - 1.0)[:, None] * sample.units.labelling.known_part(left_m - left_h)[0]
    shift = left_out_shift(inverse, lambda at: own[at], phi)
    left_m = left_m + np.einsum("iab,ib->ia", curvature, shift)
    left_h = left_h + np.einsum("iab,ib->ia", predicted, shift)
    m, h, left_m, left_h = (part @ inverse.T for part in (m, h, left_m, left_h))
    return Linear(inverse, m, h, left_m, left_h, leverage, moments.at_root)


def _without_own(moments: HazardMoments, hazard: Hazard, theta: Floats) -> tuple[Floats, Floats]:
    """Scores of the gold units at gold and at predicted labels with their own rows taken out of the risk sets."""
    sample = moments.sample
    v, w, gold = sample.units.gold_analysis_weight, sample.units.labelling.weight, sample.units.gold
    own, mass = w * risk_of(sample.gold, theta), w
    if moments.at_root:
        for rows in moments.predicted_gold:
            own = own + (1.0 - w) * weighted(risk_of(rows, theta), rows.share)
        mass = np.ones_like(w)
    under = hazard.left_out(gold, v * own, v * mass)
    m = hazard.scores(sample.gold.x, risk_of(sample.gold, theta), gold, under)
    h = np.zeros_like(m)
    for rows in moments.predicted_gold:
        h += weighted(hazard.scores(rows.x, risk_of(rows, theta), gold, under), rows.share)
    return weighted(m, v), weighted(h, v)


def _of_all(moments: HazardMoments, hazard: Hazard, theta: Floats, inverse: Floats, to_theta: Floats) -> StoredBlocks:
    """Influences of all units without their gold, from their predicted rows."""
    sample = moments.sample
    assert isinstance(sample.predicted, Memory)
    n = sample.units.n_units
    score, leverage = np.zeros((n, len(theta))), np.zeros(n)
    for rows in sample.predicted.rows:
        own, units = weighted(risk_of(rows, theta), rows.share), unit_of(rows)
        score += weighted(hazard.scores(rows.x, risk_of(rows, theta), units), rows.share)
        for a, b, entry in hazard.curvature_entries(rows.x, own, units):
            leverage += entry * (inverse[a, b] + inverse[b, a] if b > a else inverse[a, a])
    v = sample.units.weights
    return StoredBlocks(weighted(score, v) @ to_theta.T, np.clip(weighted(leverage, v), 0.0, LARGEST_LEVERAGE))


def _gold_at(moments: HazardMoments, root: Root) -> Estimate:
    """The gold-only estimate from its root; influences of gold rows alone."""
    sample = moments.sample
    at = linear(replace(moments, predicted_gold=(), at_root=False), root)
    moment, left_out = (to_coefficients(sample, part) for part in (at.m, at.left_out_m))
    stored = StoredBlocks(moment * sample.units.labelling.weight[:, None], at.leverage)
    scores = Scores(stored, moment, moment, (left_out, left_out), sample.units, at.leverage, gold_alone=True)
    return Estimate(
        to_coefficients(sample, root.theta), curvature_of_columns(sample, root.curvature), scores,
        gold_only(len(root.theta)), root.norm, root.iterations,
    )  # fmt: skip


def _is_sound(moments: HazardMoments, root: Root, start: Root) -> bool:
    """Whether the Jacobian of weight 1 is not mostly noise in any direction, as for other models."""
    from scipy.linalg import eigh

    values, vectors = eigh((root.curvature + root.curvature.T) / 2.0, positive(start.curvature))
    if values[0] >= SOUND:
        return True
    sample, u, hazard = moments.sample, vectors[:, 0], moments.hazard(root.theta)
    gold, predicted = (moments.scores(hazard, root.theta, b)[1] for b in ((sample.gold,), moments.predicted_gold))
    error = (np.einsum("a,iab,b->i", u, gold - predicted, u) * sample.units.gold_analysis_weight)[:, None]
    noise = float(np.sqrt(max(sample.units.labelling.cross(error, error)[0, 0], 0.0)))
    return bool(values[0] > CLEAR_OF_NOISE * noise)


def _combined(
    moments: HazardMoments, at: Linear, chosen: Tuning, alone: Estimate, root: Root, notes: tuple[str, ...]
) -> Estimate:
    """One Newton step to the chosen weights, with the influence of all units."""
    sample = moments.sample
    p = len(root.theta)
    basis = np.eye(p) if sample.basis is None else sample.basis
    weights = chosen.on_basis(basis)
    hazard, labelling = moments.hazard(root.theta), sample.units.labelling
    everywhere = _of_all(moments, hazard, root.theta, at.inverse, np.eye(p)).psi.sum(axis=0)
    step = basis @ (at.m.T @ labelling.weight) + weights @ (at.inverse @ everywhere - at.h.T @ labelling.weight)
    theta = basis @ root.theta + step
    if step.any():
        root = replace(root, theta=root.theta + np.linalg.solve(basis, step))
        at, hazard = linear(moments, root), moments.hazard(root.theta)
    parts, to_theta = mixed(moments, root.theta, at, chosen, weights, basis), weights @ at.inverse
    for j in np.flatnonzero([choice == "gold" for choice in chosen.choice]):
        theta[j], to_theta[j] = alone.theta[j], 0.0
        parts.take_gold(alone.scores, int(j))
    stored = _of_all(moments, hazard, root.theta, at.inverse, to_theta)
    stored.psi[sample.units.gold] = parts.moment + (labelling.weight - 1.0)[:, None] * parts.error
    scores = Scores.of(stored, parts.moment, parts.error, parts.left_out, parts.uncalibrated, sample.units)
    curvature = curvature_of_columns(sample, root.curvature)
    return Estimate(theta, curvature, scores, chosen.with_mixing(curvature), root.norm, root.iterations, notes, alone)
