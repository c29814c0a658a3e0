"""Means of cells (groups, periods, and the two crossed) for several outcomes at once, in closed form.

A row of the design matrix holds a single one, so that roots, leverages and influences are quotients of sums within
cells, scores of a unit are one number each, and N rows by C cells are never written out. With one outcome it is the
regression on indicators of :func:`karat.estimate.rectify.rectify`, number for number; outcomes that add up to one share
their weights, and add up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..designs.entries import Mixed, cross_product, entries, side_by_side
from .augment import AugmentedSample
from .cell_rows import CellBlocks, CellRows
from .cell_weights import CellScores, choose, known_of, mixed
from .clusters import MOST_NUMBERS, Curvatures, refuse_many, ways
from .influence import Squares, calibration
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

    @property
    def sizes(self) -> Floats:
        """Totals of the weights of all units, which means of weight 1 are divided by, shape (C,)."""
        return self.rows.sizes

    @property
    def gold_sizes(self) -> Floats:
        """The same as the gold units tell it, shape (C,)."""
        return self.total(self.units.gold_weight)

    def total(self, values: Floats) -> Floats:
        """Totals within cells of a value of the gold units, shape (C,)."""
        return np.bincount(self.inside, values, self.count)

    def spread(self, values: Floats) -> Any:
        """Values of gold units in the columns of their cells, entries of shape (n, C)."""
        return entries(values, self.inside, self.count)

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
    alone = [gold_alone(one) for one in outcomes]
    if outcomes[0].column is None:
        return alone
    first = outcomes[0]
    roots = [linear(one, _root(one), True) for one in outcomes]
    starts = [linear(one, gold.theta, False) for one, gold in zip(outcomes, alone)]
    if tuning is None:
        at_gold, chosen = np.zeros(first.count, dtype=bool), [untuned(first.count) for _ in outcomes]
    else:
        at_gold, chosen = choose(first.units.labelling, roots, starts, tuning, crossfitted, pool_below, FAR)
    if all(choice == "gold" for choice in chosen[0].choice):
        none = np.zeros((first.count, first.count))
        return [replace(one, tuning=replace(t, mixing=none), gold=one) for one, t in zip(alone, chosen)]
    moved = [_moved(one, at_gold, t, gold) for one, t, gold in zip(outcomes, chosen, alone)]
    found = [factors(*parts, one.size) for parts, one in zip(squares(outcomes, moved), moved)]
    return [combined(*parts) for parts in zip(outcomes, moved, found, chosen, alone)]


def surrogate_cells(cells: Cells) -> Estimate:
    """Means of the predicted outcome taken for the truth: shown for comparison, not valid."""
    assert cells.column is not None
    size = cells.rows.sizes
    theta, one = cells.predicted_total / size, np.ones(cells.count)
    v = cells.units.gold_analysis_weight
    leverage = np.clip(v / size[cells.inside], 0.0, LARGEST_LEVERAGE)
    moment = v * (cells.predicted_gold - theta[cells.inside]) / size[cells.inside]
    none, source = cells.spread(np.zeros(len(v))), CellBlocks(cells.rows, cells.column, theta, size, one)
    left = (cells.spread(moment / (1.0 - leverage)), none)
    scores = Scores(source, cells.spread(moment), none, left, cells.units, leverage)
    return Estimate(theta, np.diag(size), scores, untuned(cells.count, "surrogate"), 0.0, 1)


def _root(cells: Cells) -> Floats:
    """Means with weight 1."""
    gap = cells.total(cells.units.gold_weight * (cells.gold - cells.predicted_gold))
    return np.asarray((cells.predicted_total + gap) / cells.rows.sizes)


def gold_alone(cells: Cells, theta: Floats | None = None) -> Estimate:
    """Means of gold with inverse probability weights; ``theta`` where they are those of more cells than these."""
    size = cells.gold_sizes
    theta = cells.total(cells.units.gold_weight * cells.gold) / size if theta is None else theta
    at = linear(replace(cells, column=None), theta, False)
    stored = StoredBlocks(cells.spread(at.m * cells.units.labelling.weight), at.leverage)
    moment, left = cells.spread(at.m), cells.spread(at.left_out_m)
    scores = Scores(stored, moment, moment, (left, left), cells.units, at.leverage, gold_alone=True)
    return Estimate(theta, np.diag(size), scores, gold_only(cells.count), 0.0, 1)


def linear(cells: Cells, theta: Floats, at_root: bool) -> CellScores:
    """Scores of gold units and what leaving a unit out changes, as :mod:`karat.estimate.influence` has them."""
    units, inside = cells.units, cells.inside
    v, w = units.gold_analysis_weight, units.labelling.weight
    size = cells.sizes if at_root else cells.gold_sizes
    own = size[inside]
    m = v * (cells.gold - theta[inside])
    h = np.zeros_like(m) if cells.column is None else v * (cells.predicted_gold - theta[inside])
    leverage = np.clip(v * w / own, 0.0, LARGEST_LEVERAGE)
    if at_root:
        error = m - h - known_of(units.labelling, cells.spread(m - h), inside)
        shift = (m + (w - 1.0) * error) / own / (1.0 - np.minimum(v / own, LARGEST_LEVERAGE))
    else:
        shift = w / (1.0 - leverage) * m / own
    left_m = m + v * shift
    left_h = h if cells.column is None else h + v * shift
    return CellScores(inside, size, m / own, h / own, left_m / own, left_h / own, leverage)


@dataclass(frozen=True)
class Moved:
    """Means with chosen weights, and the scores of gold units there.

    Parameters
    ----------
    theta, size, factor : ndarray, shape (C,)
        Means, what they are divided by, and how much the surrogate counts.
    at : CellScores
    """

    theta: Floats
    size: Floats
    factor: Floats
    at: CellScores


def _moved(cells: Cells, at_gold: Bools, chosen: Tuning, alone: Estimate) -> Moved:
    """The mean of each cell with its chosen weight, from its root of weight 1 or from that of gold alone."""
    units, whole = cells.units, cells.rows.sizes
    of_gold = cells.total(units.gold_weight)
    factor, start = np.diag(chosen.coefficient_weights), np.where(at_gold, alone.theta, _root(cells))
    size = np.where(at_gold, of_gold, whole)
    everywhere = cells.predicted_total - start * whole
    back = cells.total(units.gold_weight * cells.predicted_gold) - start * of_gold
    score = cells.total(units.gold_weight * cells.gold) - start * of_gold
    theta = start + (score + factor * (everywhere - back)) / size
    at = mixed(linear(cells, theta, True), linear(cells, theta, False), at_gold, size)
    return Moved(theta, size, factor, at)


def combined(cells: Cells, moved: Moved, found: Factors, chosen: Tuning, alone: Estimate) -> Estimate:
    """The estimate at these means, its squares calibrated; gold alone in the cells that chose it."""
    units, inside, theta, factor, at = cells.units, cells.inside, moved.theta, moved.factor, moved.at
    assert cells.column is not None
    error = (at.m - at.h * factor[inside]) * chosen.inflation[inside]
    paid = chosen.inflation[inside] if chosen.left_out is None else chosen.left_out[:, 0]
    uncalibrated = (at.left_out_m - at.left_out_h * factor[inside]) * paid
    gold = np.array([choice == "gold" for choice in chosen.choice])
    of_moments, of_errors = found
    theta, factor = np.where(gold, alone.theta, theta), np.where(gold, 0.0, factor)
    own, (own_moment, own_error) = alone.scores, alone.scores.left_out

    def settled(values: Floats, of_gold: Any) -> Any:
        return cells.spread(np.where(gold[inside], of_gold.data, values))

    left_error = uncalibrated if of_errors is None else uncalibrated * np.diag(of_errors)[inside]
    left = (_calibrated(cells, at.left_out_m, of_moments, own_moment, gold), settled(left_error, own_error))
    moment, error = settled(at.m, own.moment), settled(error, own.error)
    source = CellBlocks(cells.rows, cells.column, theta, moved.size, factor)
    scores = Scores.of(source, moment, error, left, settled(uncalibrated, own_error), units)
    mixing = None if all(choice == "one" for choice in chosen.choice) else chosen.coefficient_weights
    return Estimate(theta, np.diag(moved.size), scores, replace(chosen, mixing=mixing), 0.0, 1, (), alone)


def _calibrated(cells: Cells, moment: Floats, matrix: Floats | None, of_gold: Any, gold: Bools) -> Any:
    """Left-out moments times a matrix, but in cells for which gold alone was chosen those of gold, shape (n, C)."""
    if matrix is None:
        return cells.spread(np.where(gold[cells.inside], of_gold.data, moment))
    right = matrix.T.copy()
    right[:, gold] = 0.0
    if not gold.any():
        return Mixed(((cells.spread(moment), right),))
    both = side_by_side([cells.spread(moment), of_gold])
    return Mixed(((both, np.vstack([right, np.diag(gold.astype(np.float64))])),))


Factors = tuple["Floats | None", "Floats | None"]
"""What left-out moments and errors of units are multiplied by, each of shape (C, C); that of errors is diagonal."""


def factors(of_moments: Squares, of_errors: Squares, size: Floats) -> Factors:
    """See :func:`karat.estimate.influence.calibrations`."""
    inverse = np.diag(1.0 / size)
    roots = (calibration(*part, inverse) for part in (of_moments, of_errors))
    first, second = (None if root is None else root * size / size[:, None] for root in roots)
    return first, second


def squares(outcomes: Sequence[Cells], moved: Sequence[Moved]) -> list[tuple[Squares, Squares]]:
    """What gold units of each outcome show, and what is expected of all units and of these: moments, and errors."""
    rows, labelling = outcomes[0].rows, outcomes[0].units.labelling
    known = [labelling.known(cells.spread(one.at.m - one.at.h)) for cells, one in zip(outcomes, moved)]
    columns = [one.column for one in outcomes if one.column is not None]
    means = np.zeros((rows.count, rows.gold.shape[1]))
    means[:, columns] = np.stack([one.theta for one in moved], axis=1)
    squared, mixed, gained = rows.expected(means, known[0])
    out = []
    for cells, j, one, gain in zip(outcomes, columns, moved, known):
        every = _with_gain(squared[:, j], mixed[j], gained, one, gain), np.diag(rows.squares)
        moment, scale = cells.spread(one.at.m), np.outer(one.size, one.size)
        shown = cross_product(moment, moment, labelling.weight) * scale
        out.append(((shown, every, _of_gold(cells, one, gain)), _of_errors(cells, one, gain)))
    return out


def _of_errors(cells: Cells, moved: Moved, known: Known | None) -> Squares:
    """Squares of errors of gold units; a multiple of the squares of indicators is expected."""
    labelling, size = cells.units.labelling, moved.size
    error, rest = cells.spread(moved.at.m - moved.at.h), None if known is None else known.take(labelling.kind_of_gold)
    product = (cross_product if rest is None else rest.cross_product)(error, error, labelling.spread)
    plain = [np.diag(cells.rows.spread), np.diag(cells.total(cells.units.gold_analysis_weight**2 * labelling.spread))]
    none = np.zeros_like(plain[0])
    return product * np.outer(size, size), (none, plain[0]), (none, plain[1])


def _of_gold(cells: Cells, moved: Moved, known: Known | None) -> tuple[Floats, Floats]:
    """The same sums over the gold units, with their weights."""
    v, weight = cells.units.gold_analysis_weight, cells.units.labelling.weight
    score = v * (cells.predicted_gold - moved.theta[cells.inside])
    squares = cells.total(weight * score**2)
    mixed: Floats = np.zeros((0, cells.count))
    gained: Floats = np.zeros(0)
    if known is not None:
        at = cells.units.labelling.kind_of_gold
        stratum, share = known.stratum[at], np.where(v > 0, known.moved[at], 0.0)
        pair, shape = stratum * cells.count + cells.inside, known.level.shape
        mixed = np.bincount(pair, weight * score * share, known.level.size).reshape(shape)
        gained = np.bincount(stratum, weight * share**2, len(mixed))
    return _with_gain(squares, mixed, gained, moved, known), np.diag(cells.total(weight * v**2))


def _with_gain(squares: Floats, mixed: Floats, gained: Floats, moved: Moved, known: Known | None) -> Floats:
    """Squares of moments that gain a share of the level of their stratum, shape (C, C)."""
    if known is None:
        return np.diag(squares)
    level = known.level * moved.size
    cross = mixed.T @ level
    return np.asarray(np.diag(squares) + cross + cross.T + (level.T * gained) @ level)
