"""Means of cells (groups, periods, and the two crossed) for several outcomes at once, in closed form.

A row of the design matrix holds a single one, so that roots, leverages and influences are quotients of sums within
cells, scores of a unit are one number each, and N rows by C cells are never written out. With one outcome it is the
regression on indicators of :func:`karat.estimate.rectify.rectify`, number for number; outcomes that add up to one share
their weights, and add up.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..designs.entries import Mixed, cross_product, entries, side_by_side
from .augment import AugmentedSample
from .cell_weights import CellScores, choose, known_of, mixed
from .clusters import MOST_NUMBERS, Curvatures, refuse_many, ways
from .index import slices
from .influence import calibration
from .rectify import FAR, Estimate
from .rows import Memory, Rows
from .scores import LARGEST_LEVERAGE, Block, Scores, StoredBlocks, correction
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
    code : ndarray of int, shape (N,)
        Cell of each unit, from 0.
    count : int
        C; every cell holds gold.
    units : Units
    gold : ndarray, shape (n,)
        Outcome of the gold units.
    predicted : ndarray, shape (N,), or None
        Predicted outcome of all units; None for gold alone.
    """

    code: Ints = field(repr=False)
    count: int
    units: Units = field(repr=False)
    gold: Floats = field(repr=False)
    predicted: Floats | None = field(repr=False)

    @property
    def v(self) -> Floats:
        """Analysis weights, shape (N,)."""
        return np.ones(self.units.n_units) if self.units.weights is None else self.units.weights

    @property
    def inside(self) -> Ints:
        """Cell of each gold unit, shape (n,)."""
        return self.code[self.units.gold]

    def total(self, values: Floats) -> Floats:
        """Totals within cells of a value of all units, or of the gold ones, shape (C,)."""
        code = self.code if len(values) == len(self.code) else self.inside
        return np.bincount(code, values, self.count)

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
        rows = units.gold if gold_alone else np.arange(units.n_units)
        weight = units.gold_weight if gold_alone else self.v
        for _, codes in ways(units.cluster):
            used, own = np.unique(codes[rows], return_inverse=True)
            if len(used) * self.count**2 > MOST_NUMBERS:
                return refuse_many(len(used), self.count, kind)
            sums = np.zeros((len(used), self.count))
            np.add.at(sums, (own, self.code[rows]), weight)
            out.append(sums[:, :, None] * np.eye(self.count))
        return Curvatures(tuple(out))


@dataclass(frozen=True)
class CellBlocks:
    """Influences of all units without their gold, block by block."""

    cells: Cells
    theta: Floats
    curvature: Floats
    factor: Floats

    def __call__(self, kind: str) -> Iterator[Block]:
        """``lambda v (p - theta) / A`` in the column of the unit's cell; HC2 and HC3 as for any regression."""
        cells, v = self.cells, self.cells.v
        assert cells.predicted is not None
        for at in slices(len(cells.code)):
            code = cells.code[at]
            psi = self.factor[code] * v[at] * (cells.predicted[at] - self.theta[code]) / self.curvature[code]
            small = correction(np.clip(v[at] / self.curvature[code], 0.0, 1.0), kind)
            yield at, entries(psi if small is None else psi * small, code, cells.count)


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
    >>> cells = Cells(np.zeros(4, dtype=int), 1, Units(draw), np.array([1.0, 0.0]), np.array([1.0, 1.0, 1.0, 0.0]))
    >>> cell_means([cells], None, False)[0].theta
    array([0.25])
    """
    alone = [_gold_alone(one) for one in outcomes]
    if outcomes[0].predicted is None:
        return alone
    roots = [_linear(one, _root(one), True) for one in outcomes]
    starts = [_linear(one, gold.theta, False) for one, gold in zip(outcomes, alone)]
    if tuning is None:
        at_gold, chosen = np.zeros(outcomes[0].count, dtype=bool), [untuned(outcomes[0].count) for _ in outcomes]
    else:
        at_gold, chosen = choose(outcomes[0].units.labelling, roots, starts, tuning, crossfitted, pool_below, FAR)
    if all(choice == "gold" for choice in chosen[0].choice):
        none = np.zeros((outcomes[0].count, outcomes[0].count))
        return [replace(one, tuning=replace(t, mixing=none), gold=one) for one, t in zip(alone, chosen)]
    return [_combined(one, at_gold, t, gold) for one, t, gold in zip(outcomes, chosen, alone)]


def surrogate_cells(cells: Cells) -> Estimate:
    """Means of the predicted outcome taken for the truth: shown for comparison, not valid."""
    assert cells.predicted is not None
    size = cells.total(cells.v)
    theta, one = cells.total(cells.v * cells.predicted) / size, np.ones(cells.count)
    gold = cells.units.gold
    leverage = np.clip(cells.v[gold] / size[cells.inside], 0.0, LARGEST_LEVERAGE)
    moment = cells.v[gold] * (cells.predicted[gold] - theta[cells.inside]) / size[cells.inside]
    none, source = cells.spread(np.zeros(len(gold))), CellBlocks(cells, theta, size, one)
    left = (cells.spread(moment / (1.0 - leverage)), none)
    scores = Scores(source, cells.spread(moment), none, left, cells.units, leverage)
    return Estimate(theta, np.diag(size), scores, untuned(cells.count, "surrogate"), 0.0, 1)


def _root(cells: Cells) -> Floats:
    """Means with weight 1."""
    assert cells.predicted is not None
    units, size = cells.units, cells.total(cells.v)
    gap = cells.total(units.gold_weight * (cells.gold - cells.predicted[units.gold]))
    return np.asarray((cells.total(cells.v * cells.predicted) + gap) / size)


def _gold_alone(cells: Cells) -> Estimate:
    """Means of gold with inverse probability weights."""
    size = cells.total(cells.units.gold_weight)
    theta = cells.total(cells.units.gold_weight * cells.gold) / size
    at = _linear(replace(cells, predicted=None), theta, False)
    stored = StoredBlocks(cells.spread(at.m * cells.units.labelling.weight), at.leverage)
    moment, left = cells.spread(at.m), cells.spread(at.left_out_m)
    scores = Scores(stored, moment, moment, (left, left), cells.units, at.leverage, gold_alone=True)
    return Estimate(theta, np.diag(size), scores, gold_only(cells.count), 0.0, 1)


def _linear(cells: Cells, theta: Floats, at_root: bool) -> CellScores:
    """Scores of gold units and what leaving a unit out changes, as :mod:`karat.estimate.influence` has them."""
    units, inside = cells.units, cells.inside
    v, w = units.gold_analysis_weight, units.labelling.weight
    size = cells.total(cells.v if at_root else v * w)
    own = size[inside]
    m = v * (cells.gold - theta[inside])
    h = np.zeros_like(m) if cells.predicted is None else v * (cells.predicted[units.gold] - theta[inside])
    leverage = np.clip(v * w / own, 0.0, LARGEST_LEVERAGE)
    if at_root:
        error = m - h - known_of(units.labelling, cells.spread(m - h), inside)
        shift = (m + (w - 1.0) * error) / own / (1.0 - np.minimum(v / own, LARGEST_LEVERAGE))
    else:
        shift = w / (1.0 - leverage) * m / own
    left_m = m + v * shift
    left_h = h if cells.predicted is None else h + v * shift
    return CellScores(inside, size, m / own, h / own, left_m / own, left_h / own, leverage)


def _combined(cells: Cells, at_gold: Bools, chosen: Tuning, alone: Estimate) -> Estimate:
    """The mean of each cell with its chosen weight, from its root of weight 1 or from that of gold alone."""
    assert cells.predicted is not None
    units, inside = cells.units, cells.inside
    whole, of_gold = cells.total(cells.v), cells.total(units.gold_weight)
    factor, start = np.diag(chosen.coefficient_weights), np.where(at_gold, alone.theta, _root(cells))
    size = np.where(at_gold, of_gold, whole)
    everywhere = cells.total(cells.v * cells.predicted) - start * whole
    back = cells.total(units.gold_weight * cells.predicted[units.gold]) - start * of_gold
    score = cells.total(units.gold_weight * cells.gold) - start * of_gold
    theta = start + (score + factor * (everywhere - back)) / size
    at = mixed(_linear(cells, theta, True), _linear(cells, theta, False), at_gold, size)
    error = (at.m - at.h * factor[inside]) * chosen.inflation[inside]
    paid = chosen.inflation[inside] if chosen.left_out is None else chosen.left_out[:, 0]
    uncalibrated = (at.left_out_m - at.left_out_h * factor[inside]) * paid
    gold = np.array([choice == "gold" for choice in chosen.choice])
    of_moments, of_errors = _calibrations(cells, theta, at)
    theta, factor = np.where(gold, alone.theta, theta), np.where(gold, 0.0, factor)
    own, (own_moment, own_error) = alone.scores, alone.scores.left_out

    def settled(values: Floats, of_gold: Any) -> Any:
        return cells.spread(np.where(gold[inside], of_gold.data, values))

    left_error = uncalibrated if of_errors is None else uncalibrated * np.diag(of_errors)[inside]
    left = (_calibrated(cells, at.left_out_m, of_moments, own_moment, gold), settled(left_error, own_error))
    moment, error = settled(at.m, own.moment), settled(error, own.error)
    source = CellBlocks(cells, theta, size, factor)
    scores = Scores.of(source, moment, error, left, settled(uncalibrated, own_error), units)
    mixing = None if all(choice == "one" for choice in chosen.choice) else chosen.coefficient_weights
    return Estimate(theta, np.diag(size), scores, replace(chosen, mixing=mixing), 0.0, 1, (), alone)


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


def _calibrations(cells: Cells, theta: Floats, at: CellScores) -> tuple[Floats | None, Floats | None]:
    """See :func:`karat.estimate.influence.calibrations`; that of errors is diagonal."""
    units, labelling, size = cells.units, cells.units.labelling, at.size
    error = cells.spread(at.m - at.h)
    known = labelling.known(error)
    everyone, gold = np.arange(units.n_units), units.gold
    every = _expected(cells, theta, size, everyone, np.ones(units.n_units), known)
    some = _expected(cells, theta, size, gold, labelling.weight, known)
    moment, scale, inverse = cells.spread(at.m), np.outer(size, size), np.diag(1.0 / size)
    of_moments = calibration(cross_product(moment, moment, labelling.weight) * scale, every, some, inverse)
    v = cells.v
    plain = [
        np.diag(cells.total(v**2 * labelling.spread_everywhere)),
        np.diag(cells.total(v[gold] ** 2 * labelling.spread)),
    ]
    none, rest = np.zeros_like(plain[0]), None if known is None else known.take(gold)
    shown = (cross_product if rest is None else rest.cross_product)(error, error, labelling.spread) * scale
    of_errors = calibration(shown, (none, plain[0]), (none, plain[1]), inverse)
    first, second = (None if root is None else root * size / size[:, None] for root in (of_moments, of_errors))
    return first, second


def _expected(
    cells: Cells, theta: Floats, size: Floats, rows: Ints, weight: Floats, known: Known | None
) -> tuple[Floats, Floats]:
    """Squares of predicted moments, with what they gain, and squares of indicators, each of shape (C, C)."""
    assert cells.predicted is not None
    v = cells.v[rows]
    score = v * (cells.predicted[rows] - theta[cells.code[rows]])
    squares, plain = np.diag(cells.total(weight * score**2)), np.diag(cells.total(weight * v**2))
    if known is not None:
        stratum, gained = known.stratum[rows], np.where(v > 0, known.moved[rows], 0.0)
        level, count = known.level * size, cells.count
        mixed = np.bincount(stratum * count + cells.code[rows], weight * score * gained, len(level) * count)
        cross = mixed.reshape(-1, count).T @ level
        squares += cross + cross.T + (level.T * np.bincount(stratum, weight * gained**2, len(level))) @ level
    return squares, plain
