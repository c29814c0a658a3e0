"""Units in cells, handed out block by block, and the sums over them that means of cells need.

A unit without gold tells only the mean of its own cell, so that sums over units are sums within cells, whatever the
number of cells; nothing has an entry for each unit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..designs import entries
from .augment import times
from .index import slices
from .scores import Block, correction

if TYPE_CHECKING:
    from .._core.types import Floats, Ints
    from ..designs.given_sizes import Known
    from .augment import Units
    from .scores import Scores


class CellBlock(NamedTuple):
    """Units that follow each other.

    Parameters
    ----------
    at : slice
        Where they stand among all.
    stratum : ndarray of int, shape (m,), or None
        Their strata, where a :class:`karat.designs.Counted` draw asks for them.
    code : ndarray of int, shape (m,)
        Their cells.
    values : ndarray, shape (m, D)
        What stands for the outcomes.
    """

    at: slice
    stratum: Ints | None
    code: Ints
    values: Floats


@dataclass(frozen=True)
class _Stored:
    """Units in memory, block by block."""

    code: Ints
    values: Floats

    def __call__(self) -> Iterator[CellBlock]:
        for at in slices(len(self.code)):
            yield CellBlock(at, None, self.code[at], self.values[at])


@dataclass(frozen=True)
class CellRows:
    """All units of a fit with their cells and what stands for their outcomes.

    Parameters
    ----------
    units : Units
    count : int
        C.
    read : callable
        Hands out all units in their order, anew at each call.
    inside : ndarray of int, shape (n,)
        Cells of the gold units.
    gold : ndarray, shape (n, D)
        Values of the gold units.
    """

    units: Units = field(repr=False)
    count: int
    read: Callable[[], Iterator[CellBlock]] = field(repr=False)
    inside: Ints = field(repr=False)
    gold: Floats = field(repr=False)

    @classmethod
    def of(cls, units: Units, count: int, code: Ints, values: Floats) -> CellRows:
        """Of arrays in memory, shape (N,) and (N, D).

        Examples
        --------
        >>> from karat.designs import Labelling
        >>> from karat.estimate.augment import Units
        >>> draw = Labelling(np.full(3, 0.5), np.array([True, False, True]), fixed_size=False)
        >>> rows = CellRows.of(Units(draw), 2, np.array([0, 0, 1]), np.array([[1.0], [0.0], [0.5]]))
        >>> rows.sizes.tolist(), rows.totals[:, 0].tolist()
        ([2.0, 1.0], [1.0, 0.5])
        """
        return cls(units, count, _Stored(code, values), code[units.gold], values[units.gold])

    def weighed(self) -> Iterator[tuple[CellBlock, Floats | None, Floats | None]]:
        """Blocks with analysis weights v, and with the number of units that each row counts for."""
        for block in self.read():
            yield block, self.units.weights_in(block.at), self.units.counts_in(block.at)

    def _total(self, code: Ints, *factors: Floats | None) -> Floats:
        """Totals within cells of a product, shape (C,)."""
        weight: Floats | None = None
        for one in factors:
            weight = times(weight, one)
        return np.bincount(code, weight, self.count).astype(np.float64)

    @cached_property
    def _sums(self) -> tuple[Floats, Floats, Floats, Floats]:
        """``sum v``, ``sum v y``, ``sum v^2`` and ``sum v^2 s`` in one read, s the spread of weights."""
        size, squares, spread = (np.zeros(self.count) for _ in range(3))
        totals = np.zeros((self.count, self.gold.shape[1]))
        labelling = self.units.labelling
        everywhere = labelling.spread_everywhere
        for block, v, n in self.weighed():
            code, own = block.code, everywhere[labelling.kinds(block.at, block.stratum)]
            size += self._total(code, v, n)
            squares += self._total(code, v, v, n)
            spread += self._total(code, v, v, n, own)
            for j, y in enumerate(block.values.T):
                totals[:, j] += self._total(code, v, n, y)
        return size, totals, squares, spread

    @property
    def sizes(self) -> Floats:
        """Totals of the analysis weights, shape (C,)."""
        return self._sums[0]

    @property
    def totals(self) -> Floats:
        """Totals of the weighted values, shape (C, D)."""
        return self._sums[1]

    @property
    def squares(self) -> Floats:
        """Totals of squared weights, shape (C,)."""
        return self._sums[2]

    @property
    def spread(self) -> Floats:
        """Totals of squared weights times the variance of the weight of the draw, shape (C,)."""
        return self._sums[3]

    def expected(self, theta: Floats, known: Known | None) -> tuple[Floats, Floats, Floats]:
        """Squares of predicted moments ``v (y - theta)`` and their products with what fixed sizes make known.

        Parameters
        ----------
        theta : ndarray, shape (C, D)
        known : Known or None
            What moments gain, in shares of a level of each stratum.

        Returns
        -------
        squares : ndarray, shape (C, D)
        mixed : ndarray, shape (D, S, C)
            Moments times the shares.
        gained : ndarray, shape (S,)
            Squares of the shares.
        """
        strata, labelling = 0 if known is None else len(known.level), self.units.labelling
        squares, gained = np.zeros_like(theta), np.zeros(strata)
        mixed = np.zeros((theta.shape[1], strata * self.count))
        for block, v, n in self.weighed():
            code, there = block.code, None if v is None else (v > 0).astype(np.float64)
            if known is not None:
                kind = labelling.kinds(block.at, block.stratum)
                stratum, moved = known.stratum[kind], known.moved[kind]
                moved = moved if there is None else moved * there
                gained += np.bincount(stratum, times(moved**2, n), strata)
                pair = stratum * self.count + code
            for j, y in enumerate(block.values.T):
                score = y - theta[code, j]
                score = score if v is None else score * v
                squares[:, j] += self._total(code, score, score, n)
                if known is not None:
                    mixed[j] += np.bincount(pair, times(score * moved, n), strata * self.count)
        return squares, mixed.reshape(theta.shape[1], strata, self.count), gained

    def in_clusters(self, codes: Ints, gold_alone: bool = False) -> Floats:
        """Totals of weights in each cluster and cell, shape (clusters, C); of gold alone with ``v w``."""
        used = np.unique(codes[self.units.gold] if gold_alone else codes)
        out = np.zeros(len(used) * self.count)
        if gold_alone:
            own = np.searchsorted(used, codes[self.units.gold])
            out += np.bincount(own * self.count + self.inside, self.units.gold_weight, len(out))
        else:
            for block, v, n in self.weighed():
                own = np.searchsorted(used, codes[block.at])
                out += np.bincount(own * self.count + block.code, times(v, n), len(out))
        return out.reshape(len(used), self.count)


@dataclass(frozen=True)
class CellBlocks:
    """Influences of all units on the means of one outcome: ``factor v (y - theta) / curvature`` in the unit's cell.

    Parameters
    ----------
    rows : CellRows
    column : int
        Which of the values y is.
    theta, curvature, factor : ndarray, shape (C,)
    kind : str, optional
        Small-sample form, whichever is asked for.
    """

    rows: CellRows
    column: int
    theta: Floats
    curvature: Floats
    factor: Floats
    kind: str | None = None

    def __call__(self, kind: str) -> Iterator[Block]:
        """All of them block by block, as entries: those of other cells are 0."""
        for block, v, _ in self.rows.weighed():
            yield block.at, entries.entries(self.of(block, v, kind), block.code, self.rows.count)

    def of(self, block: CellBlock, v: Floats | None, kind: str) -> Floats:
        """Influence of each unit of a block on its own cell, shape (m,); HC2 and HC3 as for any regression."""
        code, kind = block.code, self.kind or kind
        psi: Floats = (block.values[:, self.column] - self.theta[code]) * (self.factor / self.curvature)[code]
        psi = psi if v is None else psi * v
        if kind not in ("HC2", "HC3"):
            return psi
        own = 1.0 / self.curvature[code] if v is None else v / self.curvature[code]
        small = correction(np.clip(own, 0.0, 1.0), kind)
        return psi if small is None else np.asarray(psi * small)


_Influences = tuple[slice, "Ints", "Floats", "Floats | None"]
"""Where units stand, their cells, influences on J means, shape (J, m), 0 of gold units, and how many each row is."""


def _without_gold(sources: Sequence[CellBlocks], kind: str) -> Iterator[_Influences]:
    """Influences of units without gold, in one read of each of the rows."""
    every = list({id(one.rows): one.rows for one in sources}.values())
    place = [next(k for k, rows in enumerate(every) if rows is one.rows) for one in sources]
    gold = every[0].units.gold
    for found in zip(*(rows.weighed() for rows in every)):
        block, v, n = found[0]
        psi = np.stack([one.of(found[k][0], v, kind) for k, one in zip(place, sources)])
        first, last = np.searchsorted(gold, (block.at.start, block.at.stop))
        psi[:, gold[first:last] - block.at.start] = 0.0
        yield block.at, block.code, psi, n


def squares_of_cells(scores: Sequence[Scores], kind: str, size: Floats) -> tuple[Floats, Floats] | None:
    """Cross products of the influences of all units, and fourth powers of these over a size.

    Parameters
    ----------
    scores : sequence of Scores
    kind : str
        Small-sample form of units.
    size : ndarray, shape (P,)

    Returns
    -------
    tuple of ndarray or None
        Shapes (P, P) and (P,); None where influences are not those of units in cells.
    """
    places = _places(scores)
    if not places or not all(k in places or one.gold_alone for k, one in enumerate(scores)):
        return None
    own = entries.side_by_side([one.of_gold(kind) for one in scores])
    product = entries.cross_product(own, own, np.ones(own.shape[0]))
    fourth = entries.column_sums(entries.power(entries.by_column(np.divide, own, size), 4))
    count, cells = len(places), len(next(iter(places.values()))[1])
    inside, powers = np.zeros((count, count, cells)), np.zeros((count, cells))
    for _, code, psi, n in _without_gold([source for source, _ in places.values()], kind):
        for j in range(count):
            weighted = psi[j] if n is None else psi[j] * n
            powers[j] += np.bincount(code, weighted * psi[j] ** 3, cells)
            for k in range(j + 1):
                inside[j, k] += np.bincount(code, weighted * psi[k], cells)
    for j, (_, at) in enumerate(places.values()):
        fourth[at] += powers[j] / size[at] ** 4
        for k, (_, other) in enumerate(places.values()):
            product[at, other] += inside[max(j, k), min(j, k)]
    return product, fourth


def totals_of_cells(scores: Sequence[Scores], cluster: Ints) -> dict[int, Floats]:
    """Totals of influences in clusters, shape (groups, p), of the fits whose influences are those of units in cells."""
    places, groups = _places(scores), int(cluster.max()) + 1
    if not places:
        return {}
    count = len(next(iter(places.values()))[1])
    rest = np.zeros((len(places), groups * count))
    for at, code, psi, _ in _without_gold([source for source, _ in places.values()], "CRV0"):
        pair = cluster[at] * count + code
        for j, own in enumerate(psi):
            rest[j] += np.bincount(pair, own, groups * count)
    out = {}
    for k, totals in zip(places, rest):
        own = entries.dense(entries.group_totals(scores[k].of_gold("CRV0"), cluster[scores[k].gold]))
        out[k] = totals.reshape(groups, count)
        out[k][: len(own)] += own
    return out


def _places(scores: Sequence[Scores]) -> dict[int, tuple[CellBlocks, Ints]]:
    """Which fits have influences of units in cells, their sources, and where their means stand among all."""
    starts = np.concatenate([[0], np.cumsum([one.error.shape[1] for one in scores])])
    return {
        k: (one.source, starts[k] + np.arange(one.error.shape[1]))
        for k, one in enumerate(scores)
        if isinstance(one.source, CellBlocks)
    }
