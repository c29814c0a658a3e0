"""Imputed outcomes of treated rows: what rows without treatment say of them (Borusyak, Jaravel and Spiess 2024).

Effects of unit and period, and coefficients of covariates, are estimated from untreated rows; a treated row's effect is
its outcome less the fitted one, and the coefficient of a cell (cohort and period) the mean of those in it. That mean is
linear in the outcome, ``theta_g = sum c_g y``, with weights c that are known as soon as dates are: a row's ``left``
holds ``V_g c_g / v`` and its design the cell it is in, so that the curvature is the weight ``V_g`` of the cells, and
the score of a row takes its outcome less what is fitted, its cell's effect included (methods, section 8.3).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ..errors import DataError
from .rows import Memory, Panel, Rows, in_memory

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .._core.types import Array, Bools, Floats, Ints
    from .augment import AugmentedSample

_RANK = 1e-9
_OUTSIDE = 1e-6
"""Length of what periods and covariates of a cell have outside those of untreated rows that is not taken for 0."""

_SHOWN = 5


def imputed(sample: AugmentedSample, panel: Panel, kind: str) -> AugmentedSample:
    """The rows of an estimator with untreated outcomes imputed.

    Parameters
    ----------
    sample : AugmentedSample
        Covariates are observed, so that all rows of a unit have the same.
    panel : Panel
    kind : {"gold", "surrogate", "all"}
        The rows that fit untreated outcomes: gold rows, predicted rows, or both. The effect of a unit, of which few
        rows are gold, is taken from predicted rows even then: it drops out of the sum over the unit, and a label that
        is compared with a mean of which it is part would not be free from the draw.

    Returns
    -------
    AugmentedSample

    Raises
    ------
    DataError
        If rows without treatment do not tell what a cell would have been without it.
    """
    units, gold = sample.units, sample.units.gold
    if kind == "gold":
        rows, weight, x = gold, units.gold_weight, sample.gold.x
    else:
        rows = np.arange(units.n_units)
        weight = np.ones(len(rows)) if units.weights is None else units.weights
        x = in_memory(sample.predicted, "imputation")[0].x
    try:
        at = _Fitted.of(panel, rows, weight, x)
    except DataError as error:
        raise error if kind != "gold" else DataError(f"among gold rows alone: {error}") from None
    own, predicted = _outcome(sample.gold), np.zeros(0)
    if kind != "gold":
        predicted = np.asarray(sum(_weighted(one) for one in sample.predicted.at(rows)))
    y = own if kind == "gold" else predicted.copy()
    if kind == "all":
        y[gold] += units.labelling.weight * (own - predicted[gold])
    common = at.common(y)
    offset = common + at.unit_means((y if kind == "gold" else predicted) - common)
    inside = np.asarray(panel.cell[rows][:, None] == np.arange(len(panel.cells)), dtype=np.float64)
    own_at = slice(None) if kind == "gold" else gold

    def of(one: Rows, here: slice | Ints) -> Rows:
        return Rows(inside[here], _outcome(one) - offset[here], None, one.share, left=at.left[here])

    if kind == "gold":
        return replace(sample, gold=of(sample.gold, own_at), predicted=Memory(), names=panel.cells, taken_out=True)
    every = Memory(tuple(of(one, slice(None)) for one in in_memory(sample.predicted, "imputation")))
    return replace(sample, gold=of(sample.gold, own_at), predicted=every, names=panel.cells, taken_out=True)


def _outcome(rows: Rows) -> Floats:
    return rows.y if rows.offset is None else rows.y - rows.offset


def _weighted(rows: Rows) -> Floats:
    return _outcome(rows) if rows.share is None else _outcome(rows) * rows.share


@dataclass(frozen=True)
class _Fitted:
    """The regression on rows without treatment, and what each row counts in the mean of each cell."""

    design: Floats
    moved: Floats
    inverse: Floats
    unit: Ints
    weight: Floats
    sums: Floats
    left: Floats

    @classmethod
    def of(cls, panel: Panel, rows: Ints, weight: Floats, x: Floats) -> _Fitted:
        """From rows of the panel, their weights and their designs."""
        unit, period, cell = panel.unit[rows], panel.period[rows], panel.cell[rows]
        untreated = (cell < 0) * weight
        sums = np.bincount(unit, untreated, minlength=len(panel.units))
        _refuse_lost_units(panel, unit[(cell >= 0) & (weight > 0)], sums)
        _refuse_lost_cells(panel, np.bincount(cell[cell >= 0], weight[cell >= 0], minlength=len(panel.cells)))
        columns = x[:, panel.covariates]
        columns = columns - np.average(columns, axis=0, weights=weight)
        design = np.column_stack([period[:, None] == np.arange(len(panel.periods)), columns]).astype(np.float64)
        moved = design - _of_units(design, untreated, unit, sums)
        gram = (moved * untreated[:, None]).T @ moved
        size = np.sqrt(np.where(np.diag(gram) > 0, np.diag(gram), 1.0))
        inverse = np.linalg.pinv(gram / np.outer(size, size), rcond=_RANK, hermitian=True) / np.outer(size, size)
        inside = np.asarray(cell[:, None] == np.arange(len(panel.cells)), dtype=np.float64)
        wanted = (inside * weight[:, None]).T @ moved
        _refuse_unknown(panel, wanted, gram, inverse, size, (cell, period, untreated))
        mean = _of_units(inside, weight, unit, sums)
        left = inside - (cell < 0)[:, None] * (mean + moved @ (inverse @ wanted.T))
        return cls(design, moved, inverse, unit, untreated, sums, left)

    def common(self, y: Floats) -> Floats:
        """What periods and covariates contribute to the outcome of rows, shape (m,)."""
        centred = y - self.unit_means(y)
        return np.asarray(self.design @ (self.inverse @ (self.moved.T @ (self.weight * centred))))

    def unit_means(self, y: Floats) -> Floats:
        """Means of untreated rows of the units of rows, shape (m,)."""
        return _of_units(y[:, None], self.weight, self.unit, self.sums)[:, 0]


def _of_units(values: Floats, weight: Floats, unit: Ints, sums: Floats) -> Floats:
    """Weighted totals of units over the weight of their untreated rows, at the rows; 0 for units without such."""
    out = np.empty_like(values)
    for j, column in enumerate(values.T):
        total = np.bincount(unit, column * weight, minlength=len(sums))
        out[:, j] = np.divide(total, sums, out=np.zeros_like(total), where=sums > 0)[unit]
    return out


def _listed(names: Sequence[object], found: Bools) -> str:
    some = [str(names[int(k)]) for k in np.flatnonzero(found)]
    return ", ".join(some[:_SHOWN]) + (f" and {len(some) - _SHOWN} more" if len(some) > _SHOWN else "")


def _refuse_lost_units(panel: Panel, treated: Ints, sums: Floats) -> None:
    lost = np.zeros(len(sums), dtype=bool)
    lost[treated] = True
    lost &= sums <= 0
    if lost.any():
        raise DataError(
            f"{int(lost.sum())} unit(s) have treated rows and none without treatment ({_listed(panel.units, lost)}), "
            "so nothing tells what their outcome would have been; leave them out with subset=."
        )


def _refuse_lost_cells(panel: Panel, total: Floats) -> None:
    if (total <= 0).any():
        raise DataError(f"no row is there of {_listed(panel.cells, total <= 0)}; leave them out with subset=.")


def _refuse_unknown(
    panel: Panel, wanted: Floats, gram: Floats, inverse: Floats, size: Floats, rows: tuple[Ints, Ints, Array]
) -> None:
    """Raise where periods or covariates of a cell are not those of untreated rows."""
    cell, period, untreated = rows
    n = len(panel.periods)
    there = np.bincount(period, untreated, minlength=n) > 0
    missing = np.zeros(len(wanted), dtype=bool)
    missing[cell[(cell >= 0) & ~there[period]]] = True
    if missing.any():
        raise DataError(
            f"in {_listed(panel.periods, ~there)} no row is without treatment, so the effects "
            f"{_listed(panel.cells, missing)} (cohort|time since) are not identified: nothing tells them from what the "
            "period brings. Leave the rows of these periods out with subset=."
        )
    scale = np.maximum(np.linalg.norm(wanted / size, axis=1), np.sqrt(np.finfo(float).tiny))
    outside = np.linalg.norm((wanted - wanted @ inverse @ gram) / size, axis=1) > _OUTSIDE * scale
    if outside.any():
        raise DataError(
            f"the effects {_listed(panel.cells, outside)} (cohort|time since) are not identified: rows without "
            "treatment do not connect their periods with the others by units that are seen in both, or a covariate "
            "does not vary in them. Leave these rows out with subset=, or drop the covariate."
        )
