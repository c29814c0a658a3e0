"""How much the surrogate counts in each cell: one weight for all outcomes, chosen as for any regression.

Cells whose gold is too little for a choice of its own choose together. The rules are those of
:mod:`karat.estimate.tune`, with labelling variances added up over the outcomes (docs/methods.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from .scores import LARGEST_LEVERAGE
from .tune import Tuning, effective_size, select

if TYPE_CHECKING:
    from .._core.types import Bools, Floats, Ints
    from ..designs import Labelling
    from .influence import Linear


_Scores = tuple["Floats", "Floats", "Floats", "Floats"]


def choose(
    labelling: Labelling,
    roots: Sequence[Linear],
    starts: Sequence[Linear],
    tuning: str,
    crossfitted: bool,
    pool_below: float,
    far: float,
) -> tuple[Bools, list[Tuning]]:
    """Weights of cells, from scores at the roots of weight 1 or of gold alone.

    Parameters
    ----------
    labelling : Labelling
    roots, starts : sequence of Linear
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
    count = roots[0].h.shape[1]
    size = np.min([effective_size(one.h, labelling) for one in roots], axis=0)
    pool = np.arange(count)
    if tuning == "scalar" or (small := size < pool_below).sum() > 1:
        together = np.full(count, True) if tuning == "scalar" else small
        pool[together] = np.flatnonzero(together)[0]
    pool = np.unique(pool, return_inverse=True)[1]
    at_gold = np.zeros(count, dtype=bool)
    if tuning == "auto":
        one = _summed([_variance(r.left_out_m - r.left_out_h, labelling) for r in roots], pool)
        own = _summed([_variance(g.left_out_m, labelling) for g in starts], pool)
        away = one > far * own
        at_gold = (away if pool_below else np.full(len(away), away.any()))[pool]
    linears = [mixed(root, start, at_gold) for root, start in zip(roots, starts)]
    of_pool = np.array([size[pool == g].sum() for g in range(pool.max() + 1)])
    alone_root = np.array([not at_gold[pool == g].any() for g in range(pool.max() + 1)])
    return at_gold, _tuned(linears, labelling, pool, of_pool, alone_root, tuning, crossfitted)


def _tuned(
    linears: Sequence[_Scores],
    labelling: Labelling,
    pool: Ints,
    size: Floats,
    at_root: Bools,
    tuning: str,
    crossfitted: bool,
) -> list[Tuning]:
    """One weight for each pool of cells."""
    v_mh = _summed([np.diag(labelling.cross(one[0], one[1])) for one in linears], pool)
    v_hh = _summed([_variance(one[1], labelling) for one in linears], pool)
    own = np.divide(v_mh, v_hh, out=np.zeros_like(v_mh), where=v_hh > 0)
    pull = _own_pull(linears, labelling, pool)
    rows = {"gold": np.zeros_like(own), "one": np.ones_like(own), "coefficient": own}
    error = {
        name: [(one[2] - one[3] * row[pool]) * (pull if name == "coefficient" else 1.0) for one in linears]
        for name, row in rows.items()
    }
    variance = {name: _summed([_variance(e, labelling) for e in parts], pool) for name, parts in error.items()}
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
    factor = np.where(picked == "coefficient", pull, 1.0)
    out = []
    for one in linears:
        d = effective_size(one[0] - one[1], labelling)
        inflation = np.sqrt(d / np.maximum(d - tuned, 0.5 * d))
        out.append(Tuning(None, np.diag(weight), tuned, tuple(picked.tolist()), gain[pool], inflation, factor))
    return out


def _own_pull(linears: Sequence[_Scores], labelling: Labelling, pool: Ints) -> Floats:
    """Factor from the error of a gold unit to that with the weight of its pool chosen without it, shape (n, C)."""
    square = sum(labelling.known_part(one[1])[0] ** 2 for one in linears) * labelling.spread[:, None]
    member = np.eye(pool.max() + 1)[pool]
    by_pool = np.asarray(square) @ member
    total = by_pool.sum(axis=0)
    share = np.divide(by_pool, total, out=np.zeros_like(by_pool), where=total > 0)
    return np.asarray(1.0 / (1.0 - np.clip(share, 0.0, LARGEST_LEVERAGE)))[:, pool]


def mixed(root: Linear, start: Linear, at_gold: Bools) -> tuple[Floats, Floats, Floats, Floats]:
    """Scores m and h of gold units, and the same without the unit, of each cell at the root that is used for it."""
    names = ("m", "h", "left_out_m", "left_out_h")
    m, h, left_m, left_h = (np.where(at_gold, getattr(start, name), getattr(root, name)) for name in names)
    return m, h, left_m, left_h


def _variance(error: Floats, labelling: Labelling) -> Floats:
    return np.diag(labelling.cross(error, error))


def _summed(parts: Sequence[Floats], pool: Ints) -> Floats:
    """Added up over outcomes and over the cells of a pool."""
    return np.bincount(pool, np.sum(parts, axis=0))
