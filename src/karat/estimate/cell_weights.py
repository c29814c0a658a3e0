"""How much the surrogate counts in each cell: one weight for all outcomes, chosen as for any regression.

Cells whose gold is too little for a choice of its own choose together. The rules are those of
:mod:`karat.estimate.tune`, with labelling variances added up over the outcomes (docs/methods.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..designs.entries import entries, group_totals
from .scores import LARGEST_LEVERAGE
from .tune import Tuning, effective_size, select

if TYPE_CHECKING:
    from .._core.types import Bools, Floats, Ints
    from ..designs import Labelling


@dataclass(frozen=True)
class CellScores:
    """Scores of gold units, one number each: that of their cell, as :class:`karat.estimate.influence.Linear` has them.

    Parameters
    ----------
    inside : ndarray of int, shape (n,)
        Cell of each unit.
    size : ndarray, shape (C,)
        Curvature of the cells.
    m, h, left_out_m, left_out_h, leverage : ndarray, shape (n,)
    """

    inside: Ints
    size: Floats
    m: Floats
    h: Floats
    left_out_m: Floats
    left_out_h: Floats
    leverage: Floats

    def spread(self, values: Floats) -> Any:
        """Values in the columns of the cells, entries of shape (n, C)."""
        return entries(values, self.inside, len(self.size))

    def variance(self, left: Floats, right: Floats, labelling: Labelling) -> Floats:
        """Labelling variances of the totals of cells, shape (C,)."""
        return np.diag(labelling.cross(self.spread(left), self.spread(right)))


def known_of(labelling: Labelling, error: Any, inside: Ints) -> Floats:
    """The part of each unit's own error whose total the design fixes, shape (n,)."""
    known = labelling.known(error)
    if known is None:
        return np.zeros(len(inside))
    gold = known.take(labelling.kind_of_gold)
    return np.asarray(gold.moved * gold.level[gold.stratum, inside])


def choose(
    labelling: Labelling,
    roots: Sequence[CellScores],
    starts: Sequence[CellScores],
    tuning: str,
    crossfitted: bool,
    pool_below: float,
    far: float,
) -> tuple[Bools, list[Tuning]]:
    """Weights of cells, from scores at the roots of weight 1 or of gold alone.

    Parameters
    ----------
    labelling : Labelling
    roots, starts : sequence of CellScores
        Of each outcome, at weight 1 and at gold alone.
    tuning : {"auto", "scalar", "coefficient"}
    crossfitted : bool
    pool_below : float
        Effective number of gold units below which cells choose together.
    far : float
        Labelling variance at weight 1, relative to gold alone, beyond which weights are not chosen there.

    Returns
    -------
    at_gold : ndarray of bool, shape (C,)
        Cells whose weight was chosen at the root of gold alone.
    list of Tuning
        One for each outcome, all with the same weights.
    """
    count = len(roots[0].size)
    size = np.min([effective_size(one.spread(one.h), labelling) for one in roots], axis=0)
    pool = np.arange(count)
    if tuning == "scalar" or (small := size < pool_below).sum() > 1:
        together = np.full(count, True) if tuning == "scalar" else small
        pool[together] = np.flatnonzero(together)[0]
    pool = np.unique(pool, return_inverse=True)[1]
    at_gold = np.zeros(count, dtype=bool)
    if tuning == "auto":
        errors = [root.left_out_m - root.left_out_h for root in roots]
        one = _summed([r.variance(e, e, labelling) for r, e in zip(roots, errors)], pool)
        own = _summed([g.variance(g.left_out_m, g.left_out_m, labelling) for g in starts], pool)
        away = one > far * own
        at_gold = (away if pool_below else np.full(len(away), away.any()))[pool]
    scores = [mixed(r, g, at_gold, np.where(at_gold, g.size, r.size)) for r, g in zip(roots, starts)]
    of_pool = np.array([size[pool == g].sum() for g in range(pool.max() + 1)])
    alone_root = np.array([not at_gold[pool == g].any() for g in range(pool.max() + 1)])
    return at_gold, _tuned(scores, labelling, pool, of_pool, alone_root, tuning, crossfitted)


def _tuned(
    scores: Sequence[CellScores],
    labelling: Labelling,
    pool: Ints,
    size: Floats,
    at_root: Bools,
    tuning: str,
    crossfitted: bool,
) -> list[Tuning]:
    """One weight for each pool of cells."""
    v_mh = _summed([one.variance(one.m, one.h, labelling) for one in scores], pool)
    v_hh = _summed([one.variance(one.h, one.h, labelling) for one in scores], pool)
    own = np.divide(v_mh, v_hh, out=np.zeros_like(v_mh), where=v_hh > 0)
    pull, cell = _own_pull(scores, labelling, pool), pool[scores[0].inside]
    rows = {"gold": np.zeros_like(own), "one": np.ones_like(own), "coefficient": own}
    error = {
        name: [(s.left_out_m - s.left_out_h * row[cell]) * (pull if name == "coefficient" else 1.0) for s in scores]
        for name, row in rows.items()
    }
    variance = {
        name: _summed([s.variance(e, e, labelling) for s, e in zip(scores, parts)], pool)
        for name, parts in error.items()
    }
    chosen = np.full(len(own), "coefficient" if tuning == "scalar" else tuning, dtype=object)
    if tuning == "auto":
        chosen[:] = "gold"
        positive = own if crossfitted else None
        for g in np.flatnonzero(v_hh > 0):
            allowed = [*(["one"] if at_root[g] else []), "coefficient"]
            own_variance = {name: values[g : g + 1] for name, values in variance.items()}
            chosen[g] = select(
                own_variance, size[g : g + 1], allowed, None if positive is None else positive[g : g + 1]
            )[0]
    weight = np.array([rows[name][g] for g, name in enumerate(chosen)])[pool]
    best = np.array([variance[name][g] for g, name in enumerate(chosen)])
    gain = np.where(variance["gold"] > 0, 1.0 - best / np.where(variance["gold"] > 0, variance["gold"], 1.0), 0.0)
    picked = np.array([str(name) for name in chosen[pool]])
    tuned = (picked == "coefficient") / np.bincount(pool)[pool]
    factor = np.where((picked == "coefficient")[scores[0].inside], pull, 1.0)[:, None]
    out = []
    for one in scores:
        d = effective_size(one.spread(one.m - one.h), labelling)
        inflation = np.sqrt(d / np.maximum(d - tuned, 0.5 * d))
        out.append(Tuning(None, np.diag(weight), tuned, tuple(picked.tolist()), gain[pool], inflation, factor))
    return out


def _own_pull(scores: Sequence[CellScores], labelling: Labelling, pool: Ints) -> Floats:
    """Factor from the error of a gold unit to that with the weight of its pool chosen without it, shape (n,).

    Its share are the squares of its row in the pool: its own score less what is known of it, and what is known of
    the other cells, where the unit has no score.
    """
    spread, mine, count = labelling.spread, pool[scores[0].inside], int(pool.max()) + 1
    own, total = np.zeros(len(mine)), np.zeros(count)
    for one in scores:
        moved, known = known_of(labelling, one.spread(one.h), one.inside), labelling.known(one.spread(one.h))
        beyond = (one.h - moved) ** 2 - moved**2
        total += np.bincount(mine, spread * beyond, count)
        own += beyond
        if known is not None:
            gold, level = known.take(labelling.kind_of_gold), group_totals(np.square(known.level).T, pool).T
            own += gold.moved**2 * level[gold.stratum, mine]
            total += np.bincount(gold.stratum, spread * gold.moved**2, len(level)) @ level
    share = np.divide(own * spread, total[mine], out=np.zeros_like(own), where=total[mine] > 0)
    return np.asarray(1.0 / (1.0 - np.clip(share, 0.0, LARGEST_LEVERAGE)))


def mixed(root: CellScores, start: CellScores, at_gold: Bools, size: Floats) -> CellScores:
    """Scores of gold units, and the same without the unit, of each cell at the root that is used for it."""
    names, there = ("m", "h", "left_out_m", "left_out_h"), at_gold[root.inside]
    return replace(root, size=size, **{k: np.where(there, getattr(start, k), getattr(root, k)) for k in names})


def _summed(parts: Sequence[Floats], pool: Ints) -> Floats:
    """Added up over outcomes and over the cells of a pool."""
    return np.bincount(pool, np.sum(parts, axis=0))
