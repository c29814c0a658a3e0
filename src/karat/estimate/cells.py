"""Means of cells (groups, periods, and the two crossed) for several outcomes at once, in closed form.

A row of the design matrix holds a single one, so that roots, leverages and influences are quotients of sums within
cells, and N rows by C cells are never written out. With one outcome it is the regression on indicators of
:func:`karat.estimate.rectify.rectify`, number for number; outcomes that add up to one share their weights, and add up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from .augment import AugmentedSample
from .cell_rows import CellBlocks, CellRows
from .cell_weights import choose, mixed
from .clusters import MOST_NUMBERS, Curvatures, refuse_many, ways
from .influence import Linear, calibration
from .rectify import FAR, Estimate
from .rows import Memory, Rows
from .scores import LARGEST_LEVERAGE, Scores, StoredBlocks
from .tune import Tuning, gold_only, untuned

if TYPE_CHECKING:
    from .._core.types import Bools, Floats, Ints
    from ..designs.given_sizes import Known
    from .augment import Units


@dataclass(frozen=True)
class Cells:
    """Units in cells, with what is known of one outcome.

    Parameters
    ----------
    rows : CellRows
        All units; every cell holds gold.
    gold : ndarray, shape (n,)
        Outcome of the gold units.
    column : int or None
        Which of the values of the rows is the predicted outcome; None for gold alone.
    """

    rows: CellRows = field(repr=False)
    gold: Floats = field(repr=False)
    column: int | None

    @property
    def count(self) -> int:
        """C."""
        return self.rows.count

    @property
    def units(self) -> Units:
        """The units."""
        return self.rows.units

    @property
    def inside(self) -> Ints:
        """Cell of each gold unit, shape (n,)."""
        return self.rows.inside

    @property
    def predicted_gold(self) -> Floats:
        """Predicted outcome of the gold units, shape (n,)."""
        assert self.column is not None
        return self.rows.gold[:, self.column]

    @property
    def predicted_total(self) -> Floats:
        """Totals of the predicted outcome of all units, shape (C,)."""
        assert self.column is not None
        return self.rows.totals[:, self.column]

    def total(self, values: Floats) -> Floats:
        """Totals within cells of a value of the gold units, shape (C,)."""
        return np.bincount(self.inside, values, self.count)

    def spread(self, values: Floats) -> Floats:
        """Values of gold units in the columns of their cells, shape (n, C)."""
        out = np.zeros((len(values), self.count))
        out[np.arange(len(values)), self.inside] = values
        return out

    def sample(self) -> AugmentedSample:
        """Gold rows with their indicators."""
        return AugmentedSample(Rows(self.spread(np.ones(len(self.gold))), self.gold), Memory(), self.units)

    def curvatures(self, kind: str, gold_alone: bool) -> Curvatures:
        """What each analysis cluster adds to the curvature; see :func:`karat.estimate.clusters.curvatures`."""
        units, out = self.units, []
        if units.cluster is None:
            return Curvatures()
        for _, codes in ways(units.cluster):
            used = len(np.unique(codes[units.gold] if gold_alone else codes))
            if used * self.count**2 > MOST_NUMBERS:
                return refuse_many(used, self.count, kind)
            out.append(self.rows.in_clusters(codes, gold_alone)[:, :, None] * np.eye(self.count))
        return Curvatures(tuple(out))


def cell_means(
    outcomes: Sequence[Cells], tuning: str | None, crossfitted: bool, pool_below: float = 0.0
) -> list[Estimate]:
    """Rectified means of cells, outcomes sharing the weight that the surrogate has in a cell.

    Parameters
    ----------
    outcomes : sequence of Cells
        K outcomes of the same units in the same cells; one for weights of its own.
    tuning : {"auto", "scalar", "coefficient"} or None
    crossfitted : bool
        Whether predictions were learnt from this gold.
    pool_below : float
        Effective number of gold units below which cells choose one weight together; with 0 all choose alone.

    Returns
    -------
    list of Estimate
        One for each outcome: C means, with influences.

    Examples
    --------
    >>> from karat.designs import Labelling
    >>> from karat.estimate.augment import Units
    >>> draw = Labelling(np.full(4, 0.5), np.array([True, True, False, False]), fixed_size=True)
    >>> rows = CellRows.of(Units(draw), 1, np.zeros(4, dtype=int), np.array([[1.0], [1.0], [1.0], [0.0]]))
    >>> cell_means([Cells(rows, np.array([1.0, 0.0]), 0)], None, False)[0].theta
    array([0.25])
    """
    alone = [_gold_alone(one) for one in outcomes]
    if outcomes[0].column is None:
        return alone
    first = outcomes[0]
    roots = [_linear(one, _root(one), True) for one in outcomes]
    starts = [_linear(one, gold.theta, False) for one, gold in zip(outcomes, alone)]
    if tuning is None:
        at_gold, chosen = np.zeros(first.count, dtype=bool), [untuned(first.count) for _ in outcomes]
    else:
        at_gold, chosen = choose(first.units.labelling, roots, starts, tuning, crossfitted, pool_below, FAR)
    if all(choice == "gold" for choice in chosen[0].choice):
        none = np.zeros((first.count, first.count))
        return [replace(one, tuning=replace(t, mixing=none), gold=one) for one, t in zip(alone, chosen)]
    moved = [_moved(one, at_gold, t, gold) for one, t, gold in zip(outcomes, chosen, alone)]
    expected = _expected(outcomes, moved)
    return [_combined(*parts) for parts in zip(outcomes, moved, expected, chosen, alone)]


def surrogate_cells(cells: Cells) -> Estimate:
    """Means of the predicted outcome taken for the truth: shown for comparison, not valid."""
    assert cells.column is not None
    size = cells.rows.sizes
    theta, one = cells.predicted_total / size, np.ones(cells.count)
    v = cells.units.gold_analysis_weight
    leverage = np.clip(v / size[cells.inside], 0.0, LARGEST_LEVERAGE)
    moment = cells.spread(v * (cells.predicted_gold - theta[cells.inside]) / size[cells.inside])
    none, source = np.zeros_like(moment), CellBlocks(cells.rows, cells.column, theta, size, one)
    left = (moment / (1.0 - leverage)[:, None], none)
    scores = Scores(source, moment, none, left, cells.units, leverage)
    return Estimate(theta, np.diag(size), scores, untuned(cells.count, "surrogate"), 0.0, 1)


def _root(cells: Cells) -> Floats:
    """Means with weight 1."""
    gap = cells.total(cells.units.gold_weight * (cells.gold - cells.predicted_gold))
    return np.asarray((cells.predicted_total + gap) / cells.rows.sizes)


def _gold_alone(cells: Cells) -> Estimate:
    """Means of gold with inverse probability weights."""
    size = cells.total(cells.units.gold_weight)
    theta = cells.total(cells.units.gold_weight * cells.gold) / size
    at = _linear(replace(cells, column=None), theta, False)
    stored = StoredBlocks(at.m * cells.units.labelling.weight[:, None], at.leverage)
    scores = Scores(stored, at.m, at.m, (at.left_out_m, at.left_out_m), cells.units, at.leverage, gold_alone=True)
    return Estimate(theta, np.diag(size), scores, gold_only(cells.count), 0.0, 1)


def _linear(cells: Cells, theta: Floats, at_root: bool) -> Linear:
    """Scores of gold units and what leaving a unit out changes, as :mod:`karat.estimate.influence` has them."""
    units, inside = cells.units, cells.inside
    v, w = units.gold_analysis_weight, units.labelling.weight
    size = cells.rows.sizes if at_root else cells.total(v * w)
    own = size[inside]
    m = v * (cells.gold - theta[inside])
    h = np.zeros_like(m) if cells.column is None else v * (cells.predicted_gold - theta[inside])
    leverage = np.clip(v * w / own, 0.0, LARGEST_LEVERAGE)
    if at_root:
        error = units.labelling.known_part(cells.spread(m - h))[0][np.arange(len(m)), inside]
        shift = (m + (w - 1.0) * error) / own / (1.0 - np.minimum(v / own, LARGEST_LEVERAGE))
    else:
        shift = w / (1.0 - leverage) * m / own
    left_m = m + v * shift
    left_h = h if cells.column is None else h + v * shift
    m, h, left_m, left_h = (cells.spread(part / own) for part in (m, h, left_m, left_h))
    return Linear(np.diag(1.0 / size), m, h, left_m, left_h, leverage, at_root)


@dataclass(frozen=True)
class _Moved:
    """Means with chosen weights, and the scores of gold units there.

    Parameters
    ----------
    theta, size, factor : ndarray, shape (C,)
        Means, what they are divided by, and how much the surrogate counts.
    at : Linear
    """

    theta: Floats
    size: Floats
    factor: Floats
    at: Linear


def _moved(cells: Cells, at_gold: Bools, chosen: Tuning, alone: Estimate) -> _Moved:
    """The mean of each cell with its chosen weight, from its root of weight 1 or from that of gold alone."""
    units, whole = cells.units, cells.rows.sizes
    of_gold = cells.total(units.gold_weight)
    factor, start = np.diag(chosen.coefficient_weights), np.where(at_gold, alone.theta, _root(cells))
    size = np.where(at_gold, of_gold, whole)
    everywhere = cells.predicted_total - start * whole
    back = cells.total(units.gold_weight * cells.predicted_gold) - start * of_gold
    score = cells.total(units.gold_weight * cells.gold) - start * of_gold
    theta = start + (score + factor * (everywhere - back)) / size
    root, first = _linear(cells, theta, True), _linear(cells, theta, False)
    m, h, left_m, left_h = mixed(root, first, at_gold)
    return _Moved(theta, size, factor, Linear(np.diag(1.0 / size), m, h, left_m, left_h, root.leverage, True))


def _combined(
    cells: Cells, moved: _Moved, expected: tuple[_Squares, _Squares], chosen: Tuning, alone: Estimate
) -> Estimate:
    """The estimate at these means, its squares calibrated; gold alone in the cells that chose it."""
    units, theta, factor, at = cells.units, moved.theta, moved.factor, moved.at
    assert cells.column is not None
    moment, error = at.m, (at.m - at.h * factor) * chosen.inflation
    left_moment, left_error = at.left_out_m, at.left_out_m - at.left_out_h * factor
    left_error = left_error * (chosen.inflation if chosen.left_out is None else chosen.left_out)
    uncalibrated = left_error.copy()
    of_moments, of_errors = _calibrations(cells, at, expected)
    left_moment = left_moment if of_moments is None else left_moment @ of_moments.T
    left_error = left_error if of_errors is None else left_error @ of_errors.T
    taken = np.array([choice == "gold" for choice in chosen.choice])
    theta, factor = np.where(taken, alone.theta, theta), np.where(taken, 0.0, factor)
    own, (gold_moment, gold_error) = alone.scores, alone.scores.left_out
    moment, error = np.where(taken, own.moment, moment), np.where(taken, own.error, error)
    left_moment, left_error = np.where(taken, gold_moment, left_moment), np.where(taken, gold_error, left_error)
    uncalibrated = np.where(taken, left_error, uncalibrated)
    source = CellBlocks(cells.rows, cells.column, theta, moved.size, factor)
    scores = Scores.of(source, moment, error, (left_moment, left_error), uncalibrated, units)
    curvature = np.diag(moved.size)
    return Estimate(theta, curvature, scores, chosen.with_mixing(curvature), 0.0, 1, (), alone)


_Squares = tuple["Floats", "Floats"]
"""Squares of predicted moments, with what they gain, and squares of indicators, each of shape (C, C)."""


def _calibrations(cells: Cells, at: Linear, expected: tuple[_Squares, _Squares]) -> tuple[Floats | None, Floats | None]:
    """See :func:`karat.estimate.influence.calibrations`."""
    units, labelling = cells.units, cells.units.labelling
    error, _ = labelling.known_part(at.m - at.h)
    metric = np.linalg.inv(at.inverse)
    of_moments = calibration(at.m, labelling.weight, *expected, at, metric)
    plain = [np.diag(cells.rows.spread), np.diag(cells.total(units.gold_analysis_weight**2 * labelling.spread))]
    none = np.zeros_like(plain[0])
    of_errors = calibration(error, labelling.spread, (none, plain[0]), (none, plain[1]), at, metric)
    return of_moments, of_errors


def _expected(outcomes: Sequence[Cells], moved: Sequence[_Moved]) -> list[tuple[_Squares, _Squares]]:
    """What is expected of all units, and of the gold ones, for each outcome."""
    rows, labelling = outcomes[0].rows, outcomes[0].units.labelling
    known = [labelling.known_part(one.at.m - one.at.h)[1] for one in moved]
    columns = [one.column for one in outcomes if one.column is not None]
    means = np.zeros((rows.count, rows.gold.shape[1]))
    means[:, columns] = np.stack([one.theta for one in moved], axis=1)
    squares, mixed, gained = rows.expected(means, known[0])
    out = []
    for cells, j, one, gain in zip(outcomes, columns, moved, known):
        every = _with_gain(squares[:, j], mixed[j], gained, one, gain)
        out.append(((every, np.diag(rows.squares)), _of_gold(cells, one, gain)))
    return out


def _of_gold(cells: Cells, moved: _Moved, known: Known | None) -> _Squares:
    """The same sums over the gold units, with their weights."""
    v, weight = cells.units.gold_analysis_weight, cells.units.labelling.weight
    score = v * (cells.predicted_gold - moved.theta[cells.inside])
    squares = cells.total(weight * score**2)
    mixed: Floats = np.zeros((0, cells.count))
    gained: Floats = np.zeros(0)
    if known is not None:
        at = cells.units.labelling.kind_of_gold
        stratum, share = known.stratum[at], np.where(v > 0, known.moved[at], 0.0)
        mixed = np.zeros((len(known.level), cells.count))
        np.add.at(mixed, (stratum, cells.inside), weight * score * share)
        gained = np.bincount(stratum, weight * share**2, len(mixed))
    return _with_gain(squares, mixed, gained, moved, known), np.diag(cells.total(weight * v**2))


def _with_gain(squares: Floats, mixed: Floats, gained: Floats, moved: _Moved, known: Known | None) -> Floats:
    """Squares of moments that gain a share of the level of their stratum, shape (C, C)."""
    if known is None:
        return np.diag(squares)
    level = known.level / np.diag(moved.at.inverse)
    cross = mixed.T @ level
    return np.asarray(np.diag(squares) + cross + cross.T + (level.T * gained) @ level)
