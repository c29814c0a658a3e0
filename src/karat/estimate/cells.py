"""Means of cells (groups, periods, and the two crossed) for several outcomes at once, in closed form.

A row of the design matrix holds a single one, so that roots, leverages and influences are quotients of sums within
cells, and N rows by C cells are never written out. With one outcome it is the regression on indicators of
:func:`karat.estimate.rectify.rectify`, number for number; outcomes that add up to one share their weights, and add up.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from .augment import AugmentedSample
from .cell_weights import choose, mixed
from .clusters import MOST_NUMBERS, Curvatures, refuse_many, ways
from .index import slices
from .influence import Linear, calibration
from .rectify import FAR, Estimate
from .rows import Memory, Rows
from .scores import LARGEST_LEVERAGE, Block, Scores, StoredBlocks, correction
from .tune import Tuning, gold_only, untuned

if TYPE_CHECKING:
    from .._core.types import Floats, Ints
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
            out = np.zeros((len(code), cells.count))
            out[np.arange(len(code)), code] = psi if small is None else psi * small
            yield at, out


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
    moment = cells.spread(cells.v[gold] * (cells.predicted[gold] - theta[cells.inside]) / size[cells.inside])
    none, source = np.zeros_like(moment), CellBlocks(cells, theta, size, one)
    left = (moment / (1.0 - leverage)[:, None], none)
    scores = Scores(source, moment, none, left, cells.units, leverage)
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
    stored = StoredBlocks(at.m * cells.units.labelling.weight[:, None], at.leverage)
    scores = Scores(stored, at.m, at.m, (at.left_out_m, at.left_out_m), cells.units, at.leverage, gold_alone=True)
    return Estimate(theta, np.diag(size), scores, gold_only(cells.count), 0.0, 1)


def _linear(cells: Cells, theta: Floats, at_root: bool) -> Linear:
    """Scores of gold units and what leaving a unit out changes, as :mod:`karat.estimate.influence` has them."""
    units, inside = cells.units, cells.inside
    v, w = units.gold_analysis_weight, units.labelling.weight
    size = cells.total(cells.v if at_root else v * w)
    own = size[inside]
    m = v * (cells.gold - theta[inside])
    h = np.zeros_like(m) if cells.predicted is None else v * (cells.predicted[units.gold] - theta[inside])
    leverage = np.clip(v * w / own, 0.0, LARGEST_LEVERAGE)
    if at_root:
        error = units.labelling.known_part(cells.spread(m - h))[0][np.arange(len(m)), inside]
        shift = (m + (w - 1.0) * error) / own / (1.0 - np.minimum(v / own, LARGEST_LEVERAGE))
    else:
        shift = w / (1.0 - leverage) * m / own
    left_m = m + v * shift
    left_h = h if cells.predicted is None else h + v * shift
    m, h, left_m, left_h = (cells.spread(part / own) for part in (m, h, left_m, left_h))
    return Linear(np.diag(1.0 / size), m, h, left_m, left_h, leverage, at_root)


def _combined(cells: Cells, at_gold: Floats, chosen: Tuning, alone: Estimate) -> Estimate:
    """The mean of each cell with its chosen weight, from its root of weight 1 or from that of gold alone."""
    assert cells.predicted is not None
    units = cells.units
    whole, of_gold = cells.total(cells.v), cells.total(units.gold_weight)
    factor, start = np.diag(chosen.coefficient_weights), np.where(at_gold, alone.theta, _root(cells))
    size = np.where(at_gold, of_gold, whole)
    everywhere = cells.total(cells.v * cells.predicted) - start * whole
    back = cells.total(units.gold_weight * cells.predicted[units.gold]) - start * of_gold
    score = cells.total(units.gold_weight * cells.gold) - start * of_gold
    theta = start + (score + factor * (everywhere - back)) / size
    root, first = _linear(cells, theta, True), _linear(cells, theta, False)
    m, h, left_m, left_h = mixed(root, first, at_gold)
    at = Linear(np.diag(1.0 / size), m, h, left_m, left_h, root.leverage, True)
    moment, error = at.m, (at.m - at.h * factor) * chosen.inflation
    left_moment, left_error = at.left_out_m, at.left_out_m - at.left_out_h * factor
    left_error = left_error * (chosen.inflation if chosen.left_out is None else chosen.left_out)
    uncalibrated = left_error.copy()
    of_moments, of_errors = _calibrations(cells, theta, at)
    left_moment = left_moment if of_moments is None else left_moment @ of_moments.T
    left_error = left_error if of_errors is None else left_error @ of_errors.T
    taken = np.array([choice == "gold" for choice in chosen.choice])
    theta, factor = np.where(taken, alone.theta, theta), np.where(taken, 0.0, factor)
    own, (gold_moment, gold_error) = alone.scores, alone.scores.left_out
    moment, error = np.where(taken, own.moment, moment), np.where(taken, own.error, error)
    left_moment, left_error = np.where(taken, gold_moment, left_moment), np.where(taken, gold_error, left_error)
    uncalibrated = np.where(taken, left_error, uncalibrated)
    source = CellBlocks(cells, theta, size, factor)
    scores = Scores.of(source, moment, error, (left_moment, left_error), uncalibrated, units)
    curvature = np.diag(size)
    return Estimate(theta, curvature, scores, chosen.with_mixing(curvature), 0.0, 1, (), alone)


def _calibrations(cells: Cells, theta: Floats, at: Linear) -> tuple[Floats | None, Floats | None]:
    """See :func:`karat.estimate.influence.calibrations`."""
    units, labelling = cells.units, cells.units.labelling
    error, known = labelling.known_part(at.m - at.h)
    everyone, gold = np.arange(units.n_units), units.gold
    every = _expected(cells, theta, at, everyone, np.ones(units.n_units), known)
    some = _expected(cells, theta, at, gold, labelling.weight, known)
    of_moments = calibration(at.m, labelling.weight, every, some, at, np.linalg.inv(at.inverse))
    v = cells.v
    plain = [
        np.diag(cells.total(v**2 * labelling.spread_everywhere)),
        np.diag(cells.total(v[gold] ** 2 * labelling.spread)),
    ]
    none = np.zeros_like(plain[0])
    of_errors = calibration(error, labelling.spread, (none, plain[0]), (none, plain[1]), at, np.linalg.inv(at.inverse))
    return of_moments, of_errors


def _expected(
    cells: Cells, theta: Floats, at: Linear, rows: Ints, weight: Floats, known: Known | None
) -> tuple[Floats, Floats]:
    """Squares of predicted moments, with what they gain, and squares of indicators, each of shape (C, C)."""
    assert cells.predicted is not None
    v = cells.v[rows]
    score = v * (cells.predicted[rows] - theta[cells.code[rows]])
    squares, plain = np.diag(cells.total(weight * score**2)), np.diag(cells.total(weight * v**2))
    if known is not None:
        stratum, gained = known.stratum[rows], np.where(v > 0, known.moved[rows], 0.0)
        level = known.level / np.diag(at.inverse)
        mixed = np.zeros_like(level)
        np.add.at(mixed, (stratum, cells.code[rows]), weight * score * gained)
        cross = mixed.T @ level
        size = np.bincount(stratum, weight * gained**2, len(level))
        squares = squares + cross + cross.T + (level.T * size) @ level
    return squares, plain
