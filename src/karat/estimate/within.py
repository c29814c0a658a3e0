"""Rows with fixed effects taken out: an augmented sample whose slopes are those of the sample with explicit dummies.

A unit has rows r, of which the weights ``w_r`` add up to its analysis weight v. With ``x* = sum w_r x_r / v`` and
f the projection of ``x*`` on all dummies, rows ``x_r - f`` (and ``y_r`` likewise) have the slopes, residuals and
influences of the regression with dummies (methods, section 8.2): the cross products of the dummies do not depend on the
labels.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ..errors import DataError
from . import curved, curved_blocks
from .absorb import FixedEffects, Lengths, Projection
from .basis import check_rank, design_of, in_basis, on_gold_basis
from .imputation import imputed
from .instruments import projected
from .rows import Memory
from .within_blocks import LessEffects, at_levels, less, less_offset, mean_columns, squares_of, totals_of

if TYPE_CHECKING:
    from .._core.types import Floats
    from ..moments import Model
    from .augment import AugmentedSample
    from .rows import Source

_ABSORBED = 1e-8
"""Length of a column without fixed effects, relative to that about its mean, that is taken for 0."""


def within(sample: AugmentedSample, whose: str) -> AugmentedSample:
    """The rows of an estimator with fixed effects taken out and endogenous covariates predicted by instruments.

    The sample itself where there are neither, nor outcomes to impute.

    Parameters
    ----------
    sample : AugmentedSample
    whose : {"gold", "gold everywhere", "surrogate", ...}
        The rows that estimate effects and first stages: gold rows; predicted rows; both for all others. "gold" has
        no predicted rows, "gold everywhere" has them, with the effects of the gold rows.

    Returns
    -------
    AugmentedSample

    Raises
    ------
    DataError
        If a covariate does not vary within the effects, or gold rows leave no degrees of freedom.
    """
    if sample.plain or sample.taken_out:
        return sample
    if not sample.predicted:
        whose = "gold"
    kind = whose if whose in ("gold", "gold everywhere", "surrogate") else "all"
    known: dict[str, AugmentedSample] = sample.__dict__.setdefault("_within", {})
    if kind not in known:
        if sample.panel is not None:
            known[kind] = imputed(sample, sample.panel, kind)
        elif sample.curved is not None:
            by_blocks = kind != "gold" and not isinstance(sample.predicted, Memory)
            known[kind] = (curved_blocks if by_blocks else curved).less_effects(sample, sample.curved, kind)
        else:
            known[kind] = projected(_less_effects(sample, kind), kind)
    return known[kind]


def on_shared_basis(
    model: Model, sample: AugmentedSample, whose: str = "all"
) -> tuple[AugmentedSample, AugmentedSample | None]:
    """The rows of an estimator, and the gold rows by themselves, in coordinates that are well-conditioned for both.

    Without fixed effects and instruments the two are the same. With them gold rows have effects and first stages of
    their own; they are None where gold alone cannot estimate the coefficients.
    """
    if sample.plain:
        both = on_gold_basis(model, sample)
        return both, both
    every = within(sample, whose)
    try:
        gold = on_gold_basis(model, within(sample, "gold"))
    except DataError:
        return in_basis(model, every, check_rank(*design_of(every), every.names, "rows")), None
    return in_basis(model, every, gold.basis), gold


def gold_everywhere(sample: AugmentedSample, basis: Floats | None) -> AugmentedSample | None:
    """Gold and predicted rows with the fixed effects of the gold rows; None where these are not known of every unit."""
    effects = sample.units.effects
    if sample.panel is not None or sample.curved is not None:
        return None
    if effects is None:
        return in_basis(None, within(sample, "gold everywhere"), basis)
    levels = [np.unique(column).size == np.unique(column[sample.units.gold]).size for column in effects.codes.T]
    return in_basis(None, within(sample, "gold everywhere"), basis) if all(levels) else None


def _less_effects(sample: AugmentedSample, kind: str) -> AugmentedSample:
    if sample.units.effects is None:
        return sample
    return _from_gold(sample, kind) if kind.startswith("gold") else _from_all(sample, kind)


def _from_gold(sample: AugmentedSample, kind: str) -> AugmentedSample:
    units, effects = sample.units, sample.units.effects
    assert effects is not None
    free = units.labelling.n_gold - effects.count(units.gold)
    if free <= sample.gold.x.shape[1]:
        raise DataError(
            f"{units.labelling.n_gold} gold rows with {effects.count(units.gold)} fixed effects leave "
            f"{max(free, 0)} degrees of freedom for {sample.gold.x.shape[1]} coefficients; label more units of the "
            "same groups, or take coarser effects."
        )
    projection = Projection(effects, units.gold_weight, units.gold)
    every = kind == "gold everywhere"
    values, mean = _columns(np.column_stack([sample.gold.x, less_offset(sample.gold)]), units.gold_weight)
    levels = projection.levels(values)
    at_gold = at_levels(levels, projection.codes)
    covariates = values[:, :-1]
    _refuse_absorbed(covariates - at_gold[:, :-1], covariates, units.gold_weight, sample.names, effects, "gold rows")
    lengths = projection.lengths(effects.codes[units.gold])
    predicted: Source = Memory()
    if every:
        rows = LessEffects(sample.predicted, levels, mean, effects.codes, projection.lengths(effects.codes))
        predicted = rows
        if isinstance(sample.predicted, Memory):
            predicted = Memory(rows.of(sample.predicted.rows, slice(None)))
    return replace(sample, gold=less(sample.gold, mean + at_gold, lengths), predicted=predicted, taken_out=True)


def _from_all(sample: AugmentedSample, kind: str) -> AugmentedSample:
    units, gold = sample.units, sample.units.gold
    if not isinstance(sample.predicted, Memory):
        return _by_blocks(sample, kind)
    rows, taken = sample.predicted.rows, absorbed(sample)
    values = mean_columns(rows)
    if kind == "all":
        own = np.column_stack([sample.gold.x, less_offset(sample.gold)])
        values[gold] += units.labelling.weight[:, None] * (own - values[gold])
    fitted = np.column_stack([taken.covariates(values[:, :-1], sample.names), taken.fitted(values[:, -1:])])
    return replace(
        sample,
        gold=less(sample.gold, fitted[gold], taken.length[gold]),
        predicted=Memory(tuple(less(one, fitted, taken.length) for one in rows)),
        taken_out=True,
    )


def _by_blocks(sample: AugmentedSample, kind: str) -> AugmentedSample:
    """The same where predicted rows come block by block: totals by level in one pass, what is left in another."""
    units, effects, gold = sample.units, sample.units.effects, sample.units.gold
    assert effects is not None
    taken = absorbed(sample)
    projection, length = taken.projection, taken.length
    known: dict[str, tuple[list[Floats], Floats, Floats]] = sample.__dict__.setdefault("_totals", {})
    predicted = mean_columns(sample.predicted.at(gold))
    if "all" not in known:
        mean = np.average(predicted, axis=0, weights=units.gold_weight)
        totals, squares = totals_of(sample, projection, mean)
        known["all"] = totals, mean, np.sqrt(squares)
    totals, mean, size = known["all"]
    if kind == "all":
        totals = [total.copy() for total in totals]
        own = np.column_stack([sample.gold.x, less_offset(sample.gold)])
        projection.add_totals(totals, units.gold_weight[:, None] * (own - predicted), gold)
    levels = projection.levels_of_totals(totals, size)
    fitted = mean + at_levels(levels, effects.codes[gold])
    out = replace(
        sample, gold=less(sample.gold, fitted, length[gold]), taken_out=True,
        predicted=LessEffects(sample.predicted, levels, mean, effects.codes, length),
    )  # fmt: skip
    left = squares_of(out)
    if kind == "all":
        left[:-1] += units.gold_weight @ out.gold.x**2
    _refuse_none_left(np.sqrt(left[:-1]), size[:-1], sample.names, effects, "rows")
    return out


class Absorbed:
    """What the effects of all units are projected with, the same whatever the labels.

    Parameters
    ----------
    effects : FixedEffects
    weights : ndarray, shape (N,), or None
        Analysis weights.
    """

    def __init__(self, effects: FixedEffects, weights: Floats | None) -> None:
        self.effects, self.weights = effects, weights
        self.projection = Projection(effects, weights)
        self.length = Lengths(self.projection, effects.codes)
        self._last: tuple[Floats, Floats] | None = None

    def fitted(self, values: Floats) -> Floats:
        """Fitted values of columns, shape (N, k)."""
        values, mean = _columns(values, self.weights)
        return np.asarray(self.projection.fitted(values) + mean)

    def covariates(self, x: Floats, names: tuple[str, ...]) -> Floats:
        """The same of covariates, known from the last time where they are not labelled, so that none has changed.

        Raises
        ------
        DataError
            If one does not vary within the effects.
        """
        if self._last is None or not np.array_equal(self._last[0], x):
            values, mean = _columns(x, self.weights)
            fitted = self.projection.fitted(values)
            _refuse_absorbed(values - fitted, values, self.weights, names, self.effects, "rows")
            self._last = x, fitted + mean
        return self._last[1]


def absorbed(sample: AugmentedSample) -> Absorbed:
    """The effects of all units, factored once for all samples of these units."""
    units = sample.units
    assert units.effects is not None
    known: dict[str, Absorbed] = units.__dict__.setdefault("_absorbed", {})
    if not known:
        known["all"] = Absorbed(units.effects, units.weights)
    return known["all"]


def _columns(values: Floats, weight: Floats | None) -> tuple[Floats, Floats]:
    """Columns less their means, and the means: no digits are lost far from 0."""
    mean = np.average(values, axis=0, weights=weight)
    return values - mean, mean


def _refuse_absorbed(
    left: Floats, values: Floats, weight: Floats | None, names: tuple[str, ...], effects: FixedEffects, where: str
) -> None:
    """Raise where a covariate is a combination of the fixed effects."""
    weight = np.ones(len(left)) if weight is None else weight
    rest, all_of_it = (np.sqrt(weight @ part**2) for part in (left, values))
    _refuse_none_left(rest, all_of_it, names, effects, where)


def _refuse_none_left(
    rest: Floats, all_of_it: Floats, names: tuple[str, ...], effects: FixedEffects, where: str
) -> None:
    """Raise where next to nothing is left of the length of a column."""
    gone = [names[j] if names else f"column {j}" for j in np.flatnonzero(rest <= _ABSORBED * all_of_it)]
    if gone:
        raise DataError(
            f"column(s) {', '.join(gone)} do not vary within {' + '.join(effects.names)} in the {where}, so the fixed "
            "effects hold all of them; drop them, interact them with something that varies, or take an effect out."
        )
