"""How much the surrogate counts in each cell: one weight for all outcomes, chosen as for any regression.

Cells whose gold is too little for a choice of its own choose together. The rules are those of
:mod:`karat.estimate.tune`, with labelling variances added up over the outcomes (docs/methods.md).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
    size = np.min([effective_size(one.spread(one.h), labelling) for one in roots], axis=0)
    pool, at_gold = pools(size, tuning, pool_below), np.zeros(len(size), dtype=bool)
    if tuning == "auto":
        errors = [root.left_out_m - root.left_out_h for root in roots]
        one = np.sum([r.variance(e, e, labelling) for r, e in zip(roots, errors)], axis=0)
        own = np.sum([g.variance(g.left_out_m, g.left_out_m, labelling) for g in starts], axis=0)
        at_gold = far_from_gold(one, own, pool, far, bool(pool_below))
    scores = [mixed(r, g, at_gold, np.where(at_gold, g.size, r.size)) for r, g in zip(roots, starts)]
    v_mh = np.sum([one.variance(one.m, one.h, labelling) for one in scores], axis=0)
    v_hh = np.sum([one.variance(one.h, one.h, labelling) for one in scores], axis=0)
    own = own_weights(v_mh, v_hh, pool)
    pull = pull_of(scores, labelling, pool)
    variance = candidates(scores, labelling, own[pool], pull)
    sizes = [effective_size(one.spread(one.m - one.h), labelling) for one in scores]
    chosen = pick(variance, v_hh, own, size, pool, at_gold, tuning, crossfitted)
    picked = np.array([name == "coefficient" for name in chosen.choice])[scores[0].inside]
    factor = np.where(picked, pull, 1.0)[:, None]
    return at_gold, [replace(paid(chosen, d), left_out=factor) for d in sizes]


def pools(size: Floats, tuning: str, pool_below: float) -> Ints:
    """Which cells choose their weight together, from the gold units that an estimated weight of each would rest on."""
    pool = np.arange(len(size))
    if tuning == "scalar" or (small := size < pool_below).sum() > 1:
        together = np.full(len(size), True) if tuning == "scalar" else small
        pool[together] = np.flatnonzero(together)[0]
    return np.unique(pool, return_inverse=True)[1].astype(np.intp)


def far_from_gold(one: Floats, own: Floats, pool: Ints, far: float, by_pool: bool) -> Bools:
    """Cells whose labelling variance at weight 1 is far above that of gold alone, shape (C,)."""
    away = np.bincount(pool, one) > far * np.bincount(pool, own)
    return np.asarray((away if by_pool else np.full(len(away), away.any()))[pool])


def own_weights(v_mh: Floats, v_hh: Floats, pool: Ints) -> Floats:
    """The weight with the smallest labelling variance of each pool."""
    left, right = np.bincount(pool, v_mh), np.bincount(pool, v_hh)
    return np.divide(left, right, out=np.zeros_like(left), where=right > 0)


def candidates(scores: Sequence[CellScores], labelling: Labelling, own: Floats, pull: Floats) -> dict[str, Floats]:
    """Labelling variance of each cell under no weight, weight 1 and its own, added up over outcomes.

    Parameters
    ----------
    scores : sequence of CellScores
    labelling : Labelling
    own : ndarray, shape (C,)
    pull : ndarray, shape (n,)
    """
    out, cell = {}, scores[0].inside
    for name, row, times in (("gold", 0.0 * own, 1.0), ("one", 0.0 * own + 1.0, 1.0), ("coefficient", own, pull)):
        errors = [(s.left_out_m - s.left_out_h * row[cell]) * times for s in scores]
        out[name] = np.asarray(np.sum([s.variance(e, e, labelling) for s, e in zip(scores, errors)], axis=0))
    return out


def pick(
    variance: Mapping[str, Floats], v_hh: Floats, own: Floats, size: Floats, pool: Ints, at_gold: Bools, tuning: str,
    crossfitted: bool,
) -> Tuning:  # fmt: skip
    """One weight for each pool of cells, before it is paid for.

    Parameters
    ----------
    variance : mapping
        From :func:`candidates`.
    v_hh : ndarray, shape (C,)
    own : ndarray
        From :func:`own_weights`.
    size : ndarray, shape (C,)
        Effective number of gold units.
    pool, at_gold : ndarray, shape (C,)
    tuning : {"auto", "scalar", "coefficient"}
    crossfitted : bool
    """
    variance = {name: np.bincount(pool, values) for name, values in variance.items()}
    of_pool, gold = np.bincount(pool, size), np.bincount(pool, at_gold) > 0
    rows = {"gold": np.zeros_like(own), "one": np.ones_like(own), "coefficient": own}
    chosen = np.full(len(own), "coefficient" if tuning == "scalar" else tuning, dtype=object)
    if tuning == "auto":
        chosen[:] = "gold"
        for g in np.flatnonzero(np.bincount(pool, v_hh) > 0):
            at = slice(g, g + 1)
            allowed = ["coefficient"] if gold[g] else ["one", "coefficient"]
            each = {name: values[at] for name, values in variance.items()}
            chosen[g] = select(each, of_pool[at], allowed, own[at] if crossfitted else None)[0]
    weight = np.array([rows[name][g] for g, name in enumerate(chosen)])[pool]
    best = np.array([variance[name][g] for g, name in enumerate(chosen)])
    gain = np.where(variance["gold"] > 0, 1.0 - best / np.where(variance["gold"] > 0, variance["gold"], 1.0), 0.0)
    picked = np.array([str(name) for name in chosen[pool]])
    tuned = (picked == "coefficient") / np.bincount(pool)[pool]
    return Tuning(None, np.diag(weight), tuned, tuple(picked.tolist()), gain[pool], np.ones_like(tuned))


def paid(chosen: Tuning, size: Floats) -> Tuning:
    """The same with errors paying for estimated weights, from the gold units that carry the variance of each cell."""
    return replace(chosen, inflation=np.sqrt(size / np.maximum(size - chosen.tuned, 0.5 * size)))


def pull_of(scores: Sequence[CellScores], labelling: Labelling, pool: Ints, total: Floats | None = None) -> Floats:
    """Factor from the error of a gold unit to that with the weight of its pool chosen without it, shape (n,).

    ``total`` holds the squares of each pool where the units are a part of all.
    """
    own, found = shares_of_weight(scores, labelling, pool)
    total, mine = found if total is None else total, pool[scores[0].inside]
    share = np.divide(own * labelling.spread, total[mine], out=np.zeros_like(own), where=total[mine] > 0)
    return np.asarray(1.0 / (1.0 - np.clip(share, 0.0, LARGEST_LEVERAGE)))


def shares_of_weight(scores: Sequence[CellScores], labelling: Labelling, pool: Ints) -> tuple[Floats, Floats]:
    """Squares of the row of each gold unit in its pool, shape (n,), and their totals in pools, with their spread.

    They are its own score less what is known of it, and what is known of the other cells, where the unit has no score.
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
    return own, total


def mixed(root: CellScores, start: CellScores, at_gold: Bools, size: Floats) -> CellScores:
    """Scores of gold units, and the same without the unit, of each cell at the root that is used for it."""
    names, there = ("m", "h", "left_out_m", "left_out_h"), at_gold[root.inside]
    return replace(root, size=size, **{k: np.where(there, getattr(start, k), getattr(root, k)) for k in names})
