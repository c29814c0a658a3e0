"""Fixed effects of Poisson and logistic regressions, taken out of rows that come block by block.

The equations are those of :mod:`karat.estimate.curved`. A step of Newton's method is one read of the rows: what it
needs are totals by level and cross products. Beside the levels of each unit its weight in the metric is kept.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..errors import ConvergenceError
from . import curved
from .absorb import Lengths, Projection, add_by_level
from .curved_rows import Equations, Moved, Point, WithoutEffects, outcomes
from .rows import Rows
from .within_blocks import at_levels

if TYPE_CHECKING:
    from .._core.types import Floats, Ints
    from ..moments import Model
    from .augment import AugmentedSample

_SINGULAR = 1e-12
"""Singular value, relative to the largest, of scaled cross products that is taken for 0."""


def less_effects(sample: AugmentedSample, model: Model, kind: str) -> AugmentedSample:
    """:func:`karat.estimate.curved.less_effects` of rows that come block by block, but for gold alone.

    Parameters
    ----------
    sample : AugmentedSample
    model : Model
    kind : {"surrogate", "all"}

    Returns
    -------
    AugmentedSample
    """
    units, effects = sample.units, sample.units.effects
    assert effects is not None
    at_gold = sample.predicted.at(units.gold)
    correction = units.labelling.weight * (sample.gold.y - outcomes(at_gold))
    centre = np.average(at_gold[0].x, axis=0, weights=units.gold_weight)
    none = [np.zeros(size, dtype=bool) for size in effects.sizes]
    equations = Equations(sample, model, kind == "all", centre, correction, none)
    equations, totals = _without_empty(equations)
    rows = _solved(equations, totals)
    own = rows.of((Rows(sample.gold.x, sample.gold.y),), units.gold, at_gold)[0]
    return replace(sample, gold=own, predicted=rows, taken_out=True)


class Totals(NamedTuple):
    """By level of each grouping, of units with a score: outcomes and weights, shape (levels, 2), and how many."""

    sums: list[Floats]
    units: list[Ints]


def _without_empty(equations: Equations) -> tuple[Equations, Totals]:
    """The equations without groups that tell nothing of coefficients, and the totals of all others.

    Of outcomes that gold has corrected none is left out.
    """
    ways = range(len(equations.effects.sizes))
    while True:
        totals = _totals(equations)
        if equations.corrected:
            return equations, totals
        more = [curved.flat(equations.model, *totals.sums[way].T) & (totals.units[way] > 0) for way in ways]
        if not any(part.any() for part in more):
            return equations, totals
        equations = replace(equations, gone=[gone | part for gone, part in zip(equations.gone, more)])


def _totals(equations: Equations) -> Totals:
    sizes = equations.effects.sizes
    out = Totals([np.zeros((size, 2)) for size in sizes], [np.zeros(size, dtype=np.intp) for size in sizes])
    for _, piece in equations.pieces():
        add_by_level(out.sums, np.column_stack([piece.weight * piece.y, piece.weight]), piece.codes)
        for way, (count, size) in enumerate(zip(out.units, sizes)):
            count += np.bincount(piece.codes[piece.held, way], minlength=size)
    return out


@dataclass(frozen=True)
class Look:
    """What one read at a point finds.

    Parameters
    ----------
    metric : ndarray, shape (N,)
    projection : Projection
        In this metric.
    levels : list of ndarray, each of shape (levels, p)
        What each level takes from covariates.
    step : Point
        Newton's, to be added.
    size : float
        Its length.
    gain : float
        Quasi-likelihood.
    far : float
        Largest linear predictor.
    """

    metric: Floats = field(repr=False)
    projection: Projection = field(repr=False)
    levels: list[Floats] = field(repr=False)
    step: Point = field(repr=False)
    size: float
    gain: float
    far: float


def _look(equations: Equations, point: Point, moved: Moved) -> Look:
    """Read all rows once at a point."""
    effects, model, p = equations.effects, equations.model, len(point.theta)
    metric = np.zeros(equations.sample.units.n_units)
    totals, cross, squares = [np.zeros((size, p + 1)) for size in effects.sizes], np.zeros((p, p + 1)), np.zeros(p + 1)
    gain, far = 0.0, 0.0
    for at, piece in equations.pieces():
        eta, y = point.eta(piece), piece.y + moved.of(model, piece)
        score, curvature = model.evaluate(eta, y)
        metric[at] = own = piece.weight * np.maximum(curvature, curved.LEAST_CURVATURE)
        values = np.column_stack([piece.x * own[:, None], piece.weight * score])
        add_by_level(totals, values, piece.codes)
        cross += piece.x.T @ values
        squares += np.einsum("mk,mk->k", values, values)
        gain += curved.quasi(model, eta, y, piece.weight)
        far = max(far, float(np.abs(eta - piece.base).max(initial=0.0, where=piece.held)))
    projection = Projection(effects, metric)
    levels = projection.levels_of_totals(totals, np.sqrt(squares))
    taken = sum(total[:, :p].T @ level for total, level in zip(totals, levels))
    left = cross - taken
    scale = np.sqrt(np.maximum(np.diag(left), np.finfo(float).tiny))
    theta = np.linalg.lstsq(left[:, :p] / np.outer(scale, scale), left[:, p] / scale, rcond=_SINGULAR)[0] / scale
    step = Point(theta, [level[:, p] - level[:, :p] @ theta for level in levels])
    squared = cross[:, p] @ theta + sum(total[:, p] @ own for total, own in zip(totals, step.levels))
    size = float(np.sqrt(max(float(squared), 0.0) / metric.sum()))
    return Look(metric, projection, [level[:, :p] for level in levels], step, size, gain, far)


def _by_newton(equations: Equations, point: Point, moved: Moved) -> tuple[Point, Look]:
    """The root where outcomes are moved by what they are, and what a read finds there."""
    seen = _look(equations, point, moved)
    for _ in range(curved.MOST_STEPS):
        if seen.size <= curved.STILL:
            return point, seen
        fraction, step = 1.0, seen.step
        while True:
            levels = [own + fraction * more for own, more in zip(point.levels, step.levels)]
            there = Point(point.theta + fraction * step.theta, levels)
            found = _look(equations, there, moved)
            if found.gain >= seen.gain - 1e-12 * abs(seen.gain) or fraction < curved.LEAST_FRACTION:
                break
            fraction /= 2.0
        point, seen = there, found
    raise ConvergenceError(curved.astray(equations.model, equations.effects, equations.sample.names, seen.far))


def _solved(equations: Equations, totals: Totals) -> WithoutEffects:
    """The root of the equations, as rows without effects."""
    model, effects = equations.model, equations.effects
    moved = _possible(equations, totals, [sums[:, 1] for sums in totals.sums], None)
    weight = float(totals.sums[0][:, 1].sum())
    added = sum(float(m @ sums[:, 1]) for m, sums in zip(moved.multiples, totals.sums))
    mean = (float(totals.sums[0][:, 0].sum()) + added) / weight
    levels = [np.zeros(size) for size in effects.sizes]
    levels[0] += np.log(mean) - (np.log1p(-mean) if model.separable else 0.0)
    point = Point(np.zeros(len(equations.centre)), levels)
    _refuse_absorbed(equations, _look(equations, point, moved))
    for _ in range(curved.MOST_STEPS):
        point, seen = _by_newton(equations, point, moved)
        own = [np.bincount(column, seen.metric, size) for column, size in zip(effects.codes.T, effects.sizes)]
        before, moved = moved, _possible(equations, totals, own, point)
        if not _differ(equations, before, moved):
            break
    else:
        raise ConvergenceError(curved.too_noisy(effects, model))
    found = _refuse_absorbed(equations, seen, moved, point)
    kappa = 1.0 if model.separable else found
    projection = seen.projection if kappa == 1.0 else Projection(effects, seen.metric * kappa)
    length = Lengths(projection, effects.codes)
    return WithoutEffects(equations, point, point.theta + seen.step.theta, seen.levels, moved, kappa, length)


def _possible(equations: Equations, totals: Totals, own: list[Floats], point: Point | None) -> Moved:
    """What is added to outcomes, in proportion to the curvature at a point, of which ``own`` are the totals."""
    if not equations.corrected:
        return Moved([np.zeros(size) for size in equations.effects.sizes])
    multiples = []
    for sums, count, curvature in zip(totals.sums, totals.units, own):
        short = curved.short_of_possible(equations.model, sums[:, 0], sums[:, 1], np.maximum(count, 1))
        multiples.append(np.divide(short, curvature, out=np.zeros(len(short)), where=curvature > 0))
    return Moved(multiples, point)


def _differ(equations: Equations, one: Moved, other: Moved) -> bool:
    """Whether outcomes are moved by more than rounding errors otherwise."""
    if not (one.any or other.any):
        return False
    apart, most = 0.0, 1.0
    for _, piece in equations.pieces():
        before, now = one.of(equations.model, piece), other.of(equations.model, piece)
        apart = max(apart, float(np.abs(now - before).max()))
        most = max(most, float(np.abs(now).max()))
    return apart > curved.SAME * most


def _refuse_absorbed(
    equations: Equations, seen: Look, moved: Moved | None = None, point: Point | None = None
) -> float:  # fmt: skip
    """Curvature of the equations over that of the rows; raises where a covariate is a combination of the effects."""
    model, p = equations.model, len(equations.centre)
    whole, of_rows, of_equations = np.zeros(p), np.zeros((p, p)), np.zeros((p, p))
    told = moved if point is not None and moved is not None and moved.any else None
    for at, piece in equations.pieces():
        metric, left = seen.metric[at], piece.x - at_levels(seen.levels, piece.codes)
        whole += metric @ piece.x**2
        of_rows += left.T @ (left * metric[:, None])
        if told is not None and point is not None:
            slope = 1.0 - 2.0 * model.mean(point.eta(piece))[0] if model.separable else 1.0
            less = metric - piece.weight * told.of(model, piece) * slope
            of_equations += left.T @ (left * less[:, None])
    curved.refuse_none_left(np.sqrt(np.diag(of_rows)), np.sqrt(whole), equations.sample.names, equations.effects)
    return 1.0 if told is None else curved.ratio(equations.effects, model, of_rows, of_equations)
