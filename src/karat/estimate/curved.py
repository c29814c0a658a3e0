"""Fixed effects of Poisson and logistic regressions, taken out of rows whose outcome alone is labelled.

With effects a of the dummies D, coefficients solve ``sum v x (y~ - mu) = 0`` together with ``sum v D (y~ - mu) = 0``,
y~ the augmented outcome ``w y + (1 - w) y_hat``. At the root the columns of x less their projection on D, in the metric
``v c`` with c the curvature, have the scores, curvature and influences of the regression with dummies written out; what
the linear predictor holds besides is an offset (methods, section 8.2).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ..errors import ConvergenceError, DataError
from .absorb import FixedEffects, Projection
from .rows import Memory, Rows, in_memory
from .totals import weighted_gram

if TYPE_CHECKING:
    from .._core.types import Bools, Floats, Ints
    from ..moments import Model
    from .augment import AugmentedSample

MODELS = ("poisson", "logit")
"""Regressions whose effects can be taken out beside linear ones."""

MOST_STEPS, STILL, _LEAST = 100, 1e-11, 1e-12
_ABSORBED = 1e-8
FARTHEST = 30.0
LEAST_CURVATURE = 1e-14
SAME, LEAST_FRACTION = 1e-10, 1e-8
_LEAST_EVENTS = 0.5
"""Total of a corrected outcome, in rows of the group, from which on it is taken as it is."""
_LEAST_RATIO, _LEAST_LOGIT = 0.2, 0.8
"""Curvature of the equations over that of the rows below which noise decides; of a logit it is not put right."""
_MOST_LEVELS = 1_000
"""Levels of all effects up to which the noise in the curvature of a logit is told."""


def less_effects(sample: AugmentedSample, model: Model, kind: str) -> AugmentedSample:
    """The rows of an estimator with fixed effects taken out.

    Parameters
    ----------
    sample : AugmentedSample
        Covariates are observed.
    model : Model
        One of :data:`MODELS`.
    kind : {"gold", "surrogate", "all"}
        The outcomes that effects and coefficients are fitted to: those of gold rows, predicted, or augmented.

    Returns
    -------
    AugmentedSample

    Raises
    ------
    DataError
        If there are no finite effects, a covariate does not vary within them, or gold leaves no degrees of freedom.
    """
    units, gold = sample.units, sample.units.gold
    if kind == "gold":
        return _of_gold(sample, model)
    first, weight, predicted = _whole(sample)
    y = predicted.copy()
    if kind == "all":
        y[gold] += units.labelling.weight * (sample.gold.y - predicted[gold])
    effects = units.effects
    assert effects is not None
    held = weight > 0 if kind == "all" else ~empty(effects, y, weight, model)
    at = solved(model, effects, first, y, weight, held, sample.names, kind == "all")
    every = Memory(tuple(at.rows(one, slice(None)) for one in in_memory(sample.predicted, "fixed effects")))
    own = Rows(sample.gold.x, sample.gold.y)
    return replace(sample, gold=at.rows(own, gold), predicted=every, taken_out=True)


def _whole(sample: AugmentedSample) -> tuple[Rows, Floats, Floats]:
    """A row of each unit, the weights, and predicted outcomes."""
    rows = in_memory(sample.predicted, "a formula with fixed effects")
    v = sample.units.weights
    y = sum(one.y if one.share is None else one.y * one.share for one in rows)
    return rows[0], np.ones(len(rows[0].y)) if v is None else v, np.asarray(y)


def _of_gold(sample: AugmentedSample, model: Model) -> AugmentedSample:
    units, effects = sample.units, sample.units.effects
    assert effects is not None
    own = FixedEffects(effects.names, effects.codes[units.gold]).kept(np.ones(len(units.gold), dtype=bool))
    held = ~empty(own, sample.gold.y, units.gold_weight, model)
    free = int(held.sum()) - (own.kept(held).count() if held.any() else 0)
    if free <= sample.gold.x.shape[1]:
        raise DataError(
            f"{int(held.sum())} gold rows in groups of {' + '.join(own.names)} whose outcomes differ leave "
            f"{max(free, 0)} degrees of freedom for {sample.gold.x.shape[1]} coefficients; label more units of the "
            "same groups, or take coarser effects."
        )
    at = solved(model, own, sample.gold, sample.gold.y, units.gold_weight, held, sample.names, False)
    return replace(sample, gold=at.rows(sample.gold, slice(None)), predicted=Memory(), taken_out=True)


def empty(effects: FixedEffects, y: Floats, weight: Floats, model: Model) -> Bools:
    """Rows in groups that tell nothing of coefficients: outcomes of 0 alone, or, of a logit, of 1 alone.

    Groups are looked at again once such rows have left.
    """
    gone = np.zeros(len(y), dtype=bool)
    while True:
        more = np.zeros(len(y), dtype=bool)
        for column, size in zip(effects.codes.T, effects.sizes):
            there = weight * ~gone
            total, all_of_it = np.bincount(column, there * y, size), np.bincount(column, there, size)
            more |= flat(model, total, all_of_it)[column] & ~gone
        if not more.any():
            return gone
        gone |= more


def flat(model: Model, total: Floats, weight: Floats) -> Bools:
    """Groups with totals of outcomes and of weights that no finite effect gives."""
    nothing: Bools = np.abs(total) <= _LEAST * weight
    return nothing | (np.abs(total - weight) <= _LEAST * weight) if model.separable else nothing


@dataclass(frozen=True)
class Solved:
    """The root, and what makes rows of an augmented sample from it.

    Parameters
    ----------
    x, offset : ndarray
        Design less its projection, and what the linear predictor holds beside it.
    shift : ndarray, shape (m,)
        Added to the outcome of rows, where residuals are not those of the mean.
    length : ndarray, shape (m,)
        Of the dummies.
    """

    x: Floats
    offset: Floats
    shift: Floats
    length: Floats

    def rows(self, rows: Rows, at: Ints | slice) -> Rows:
        """Rows of some units."""
        return Rows(self.x[at], rows.y + self.shift[at], self.offset[at], rows.share, self.length[at])


def solved(
    model: Model,
    effects: FixedEffects,
    rows: Rows,
    y: Floats,
    weight: Floats,
    held: Bools,
    names: tuple[str, ...],
    corrected: bool,
) -> Solved:
    """Root of the joint equations on the rows that are held; the others have no score.

    Where outcomes are ``corrected`` by gold, totals of groups may be such as no effect gives, of counts below 0. A
    group whose total is less than half an event away from there gets the effect of half an event: columns less their
    projection are orthogonal to effects, so that scores of coefficients keep their mean. Outcomes are shifted by a
    multiple t of the curvature, which takes part in no score; the curvature of the equations is then ``c - t dc/deta``,
    to which that of the rows is scaled where the model allows it.

    Raises
    ------
    DataError, ConvergenceError
    """
    some, x, v = effects.kept(held), rows.x[held], weight[held]
    centred = x - np.average(x, axis=0, weights=v)
    base = np.zeros(len(y)) if rows.offset is None else rows.offset
    wanted, moved = _possible(some, y[held], v, model) if corrected else (y[held], np.zeros(len(v)))
    start = np.log(mean := float(np.average(wanted, weights=v)))
    eta = base[held] + start - (np.log1p(-mean) if model.separable else 0.0)
    for _ in range(MOST_STEPS):
        eta, left, theta = _by_newton(model, some, centred, base[held], y[held] + moved, v, eta, names)
        _, curvature = model.evaluate(eta, y[held])
        before, (wanted, moved) = moved, _possible(some, y[held], v, model, curvature) if corrected else (wanted, moved)
        if np.abs(moved - before).max() <= SAME * max(1.0, float(np.abs(moved).max())):
            break
    else:
        raise ConvergenceError(too_noisy(some, model))
    _refuse_absorbed(left, centred, v * curvature, names, effects)
    shift, kappa = moved, _ratio(some, model, eta, left, v, curvature, moved)
    if not model.separable and kappa != 1.0:
        shift, eta, curvature = moved + (kappa - 1.0) * curvature, eta + np.log(kappa), kappa * curvature
    out = Solved(np.zeros_like(rows.x), np.zeros(len(y)), np.zeros(len(y)), np.zeros(len(y)))
    out.x[held], out.shift[held], out.offset[held] = left, shift, eta - left @ theta
    out.length[held] = Projection(some, v * curvature).lengths(some.codes)
    if not held.all():  # no score and no curvature: the mean is the outcome
        out.offset[~held] = -FARTHEST
        out.shift[~held] = model.mean(out.offset[~held])[0] - y[~held]
    return out


def _possible(
    effects: FixedEffects, y: Floats, weight: Floats, model: Model, curvature: Floats | None = None
) -> tuple[Floats, Floats]:
    """Outcomes whose totals effects give, and what has been added to them, in proportion to the curvature."""
    moved = np.zeros(len(y))
    curvature = np.ones(len(y)) if curvature is None else curvature
    for column, size in zip(effects.codes.T, effects.sizes):
        total, most, own = (np.bincount(column, weight * part, size) for part in (y, np.ones(len(y)), curvature))
        moved += (short_of_possible(model, total, most, np.bincount(column, minlength=size)) / own)[column] * curvature
    return y + moved, moved


def short_of_possible(model: Model, total: Floats, weight: Floats, count: Ints) -> Floats:
    """What totals of outcomes of groups lack to be such as an effect gives, each of shape (levels,)."""
    half = _LEAST_EVENTS * weight / count
    wanted = np.maximum(total, half)
    if model.separable:
        wanted = np.minimum(wanted, np.maximum(weight - half, weight / 2.0))
    return np.asarray(wanted - total)


def _ratio(
    effects: FixedEffects, model: Model, eta: Floats, x: Floats, weight: Floats, curvature: Floats, moved: Floats
) -> float:
    """Curvature of the equations over that of the rows."""
    if not moved.any():
        return 1.0
    slope = 1.0 - 2.0 * model.mean(eta)[0] if model.separable else 1.0
    of_rows, whole = (weighted_gram(x, weight * part) for part in (curvature, curvature - moved * slope))
    return ratio(effects, model, of_rows, whole)


def ratio(effects: FixedEffects, model: Model, of_rows: Floats, whole: Floats) -> float:
    """The same from curvatures of rows and of equations, shape (p, p).

    Raises
    ------
    DataError
        If noise decides.
    """
    found = float(np.trace(np.linalg.solve(of_rows, whole))) / len(whole)
    if found < (_LEAST_LOGIT if model.separable else _LEAST_RATIO):
        raise DataError(too_noisy(effects, model))
    return found


def noise_in_curvature(sample: AugmentedSample, theta: Floats, inverse: Floats) -> Floats | None:
    """What noise in effects adds to influences through the curvature of a logit, as a share of them.

    Fitted probabilities of a logit hold what labelling adds to the effects, and ``mu (1 - mu)`` is smaller on average
    by the variance that this gives to mu: ``c^2 D'M^- Var(sum v (w - 1) d D) M^- D``, d the label less its prediction,
    for units drawn independently. Means of counts are linear in the totals of their groups, and lose nothing.

    Parameters
    ----------
    sample : AugmentedSample
        With effects taken out.
    theta : ndarray, shape (p,)
    inverse : ndarray, shape (p, p)
        Of the curvature, in the coordinates of the rows.

    Returns
    -------
    ndarray, shape (p, p), or None
        None where nothing is lost, or levels are too many to tell.
    """
    model, effects, units = sample.curved, sample.units.effects, sample.units
    if model is None or effects is None or not model.separable or sum(effects.sizes) > _MOST_LEVELS:
        return None
    size, starts, at_gold = sum(effects.sizes), np.cumsum([0, *effects.sizes[:-1]]), sample.predicted.at(units.gold)
    predicted = sum(one.y if one.share is None else one.y * one.share for one in at_gold)
    d = (sample.gold.y - predicted) * units.gold_analysis_weight
    noise = _crossed(effects.codes[units.gold] + starts, units.labelling.spread * d**2, size)
    metric, more = np.zeros((size, size)), np.zeros((len(theta),) * 2)
    for codes, _, v, c in _curvatures(sample, model, theta):
        metric += _crossed(codes + starts, v * c, size)
    left = np.linalg.pinv(metric, rcond=1e-10, hermitian=True)
    of_levels = left @ noise @ left
    for codes, x, v, c in _curvatures(sample, model, theta):
        lost = c**2 * sum(of_levels[one, other] for one in (codes + starts).T for other in (codes + starts).T)
        more += weighted_gram(x, v * np.clip(lost, 0.0, c))
    return np.asarray(np.eye(len(theta)) - np.linalg.inv(np.eye(len(theta)) + inverse @ more))


def _curvatures(sample: AugmentedSample, model: Model, theta: Floats) -> Iterator[tuple[Ints, Floats, Floats, Floats]]:
    """Levels, design, weights and curvature of units, block by block."""
    units = sample.units
    assert units.effects is not None
    for block in sample.predicted.blocks():
        first, weight = block.rows[0], units.weights_in(block.at)
        base = 0.0 if first.offset is None else first.offset
        _, c = model.evaluate(first.x @ theta + base, first.y)
        yield units.effects.codes[block.at], first.x, np.ones(len(c)) if weight is None else weight, c


def _crossed(codes: Ints, values: Floats, size: int) -> Floats:
    """``sum values D D'`` with all dummies side by side."""
    out = np.zeros(size * size)
    for one in codes.T:
        for other in codes.T:
            out += np.bincount(one * size + other, values, size * size)
    return out.reshape(size, size)


def too_noisy(effects: FixedEffects, model: Model) -> str:
    """What to do where noise decides."""
    cure = ", or kt.ols, which takes effects of any size" if model.separable else ""
    return (
        f"once gold has corrected the predictions, too many groups of {' + '.join(effects.names)} have totals that no "
        f"effect of a {model.title.lower()} gives; label more units, or take coarser effects{cure}."
    )


def _by_newton(
    model: Model,
    effects: FixedEffects,
    x: Floats,
    base: Floats,
    y: Floats,
    weight: Floats,
    eta: Floats,
    names: tuple[str, ...],
) -> tuple[Floats, Floats, Floats]:
    """Newton's method in coefficients and effects together: least squares on the dummies, step by step.

    Returns linear predictors, the design less its projection, and coefficients.
    """
    gain = quasi(model, eta, y, weight)
    for _ in range(MOST_STEPS):
        score, curvature = model.evaluate(eta, y)
        curvature = np.maximum(curvature, LEAST_CURVATURE)
        metric = weight * curvature
        values = np.column_stack([x, eta - base + score / curvature])
        values = values - Projection(effects, metric).fitted(values)
        left = values[:, :-1]
        theta = np.linalg.lstsq(weighted_gram(left, metric), left.T @ (metric * values[:, -1]), rcond=None)[0]
        step = score / curvature - (values[:, -1] - left @ theta)  # fitted values less linear predictors
        size = float(np.sqrt(np.average(np.minimum(np.abs(step), 1.0) ** 2, weights=metric)))
        if size <= STILL:
            return eta, left, theta
        fraction = 1.0
        while (better := quasi(model, eta + fraction * step, y, weight)) < gain - 1e-12 * abs(gain):
            fraction /= 2.0
            if fraction < LEAST_FRACTION:
                break
        eta, gain = eta + fraction * step, better
    raise ConvergenceError(astray(model, effects, names, float(np.abs(eta - base).max())))


def astray(model: Model, effects: FixedEffects, names: tuple[str, ...], far: float) -> str:
    """Why there is no root, from the largest linear predictor."""
    why = "rescale covariates, and check the outcome for outliers"
    if far > FARTHEST:
        why = "some groups or covariates tell the outcome apart, so that coefficients run to infinity"
    return (
        f"the {model.title.lower()} with effects of {' + '.join(effects.names)} did not converge: {why} (coefficients "
        f"of {', '.join(names)})."
    )


def quasi(model: Model, eta: Floats, y: Floats, weight: Floats) -> float:
    """Quasi-likelihood, concave in the linear predictors whatever the outcomes."""
    with np.errstate(over="ignore"):
        total = np.logaddexp(0.0, eta) if model.separable else np.exp(eta)
        found = float(weight @ (y * eta - total))
    return found if np.isfinite(found) else -np.inf


def _refuse_absorbed(left: Floats, x: Floats, metric: Floats, names: tuple[str, ...], effects: FixedEffects) -> None:
    """Raise where a covariate is a combination of the fixed effects."""
    rest, whole = (np.sqrt(metric @ part**2) for part in (left, x))
    refuse_none_left(rest, whole, names, effects)


def refuse_none_left(rest: Floats, whole: Floats, names: tuple[str, ...], effects: FixedEffects) -> None:
    """Raise where next to nothing is left of the length of a column."""
    if len(gone := np.flatnonzero(rest <= _ABSORBED * whole)):
        listed = ", ".join(names[j] if names else f"column {j}" for j in gone)
        raise DataError(
            f"column(s) {listed} do not vary within {' + '.join(effects.names)}, so the fixed effects hold all of "
            "them; drop them, interact them with something that varies, or take an effect out."
        )
