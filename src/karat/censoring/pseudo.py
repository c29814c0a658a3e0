"""Complete outcomes in place of censored ones, and what estimating G adds to their variance.

With m(u) = E[Y | T > u, V] on a grid 0 = t_0 < t_1 < ... < t_K = tau, held constant between grid points, the censoring
martingale integrates in closed form, whatever G is fitted with::

    D = Delta Y / G(U-) + int_0^U m dM_C / G
      = m_0 + sum_{k: 0 < t_k < U} (m_k - m_{k-1}) / G(t_k) + Delta (Y - m_last) / G(U-)

with U short for min(U, tau).

m = 0 leaves inverse probability weighting, a constant m = g the product weights. D has the mean of Y given V if either
G or m is right (Robins and Rotnitzky 1992).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from .._core.types import Bools, Floats
from .fitted import Grouped
from .weights import CensoringWeights

_BLOCK = 4_096
"""Rows handled at a time: a block of 200 grid points is 6 MB."""


@dataclass(frozen=True)
class PseudoOutcome:
    """D and the pieces whose inverse probabilities it is made of.

    ``values`` (n,): D; ``last`` (n,): ``Delta (Y - m_last) / G(U-)``; ``grid`` (K,): times t_1 to t_K at which m
    changes; empty for a constant m; ``steps`` (n, K): ``(m_k - m_{k-1}) / G(t_k)`` where ``t_k < U``, else 0.
    """

    values: Floats = field(repr=False)
    last: Floats = field(repr=False)
    grid: Floats = field(repr=False)
    steps: Floats | None = field(repr=False, default=None)


def pseudo_outcome(
    weights: CensoringWeights, outcome: Floats, grid: Floats | None = None, expected: Floats | None = None
) -> PseudoOutcome:
    """D from censoring weights, outcomes and expected outcomes.

    ``weights``: n rows; ``outcome`` (n,): Y where complete; ignored elsewhere; ``grid`` (K,): times in (0, tau) at
    which ``expected`` changes, in order; ``expected`` (n, K + 1): m between the grid points (first column from 0 to
    t_1); one column is a constant m; None is m = 0.

    Examples
    --------
    >>> from karat.censoring import weights
    >>> w = weights([1.0, 2.0, 2.0, 3.0], [1, 0, 1, 1], tau=3.0)
    >>> pseudo_outcome(w, w.restricted).values.tolist()
    [1.0, 0.0, 2.0, 6.0]
    """
    n = weights.n_rows
    y = np.where(weights.complete, outcome, 0.0)
    if expected is None:
        last = weights.values * y
        return PseudoOutcome(last, last, np.empty(0))
    if expected.ndim == 1 or expected.shape[1] == 1:
        constant = expected.reshape(n)
        last = weights.values * np.where(weights.complete, y - constant, 0.0)
        return PseudoOutcome(constant + last, last, np.empty(0))
    assert grid is not None
    reached = np.searchsorted(grid, weights.restricted, side="left")
    last = weights.values * np.where(weights.complete, y - expected[np.arange(n), reached], 0.0)
    steps = np.diff(expected, axis=1)
    steps[np.arange(len(grid))[None, :] >= reached[:, None]] = 0.0
    for start in range(0, n, _BLOCK):
        rows = np.arange(start, min(start + _BLOCK, n))
        steps[rows] /= weights.through(np.broadcast_to(grid, (len(rows), len(grid))), rows)
    return PseudoOutcome(expected[:, 0] + steps.sum(axis=1) + last, last, grid, steps)


def estimation_influence(weights: CensoringWeights, outcome: PseudoOutcome, x: Floats) -> Floats | None:
    """Influence of each row, with its sampling weight, on ``sum_i x_i D_i`` through the estimate of G.

    With ``B(s) = sum_i x_i dD_i / d log G_i`` over what hangs on G after the jump s, it is ``int B / y dM``, where y is
    the weight at risk less that of the other censorings tied at s: without ties the textbook form, with ties
    Greenwood's ``d / {y (y - d)}`` instead of ``d (y - d) / y^3``. ``weights``: fitted with the rows' sampling weights;
    ``x`` (n, p): multipliers, sampling weights included. None where G is not a product-limit estimate of these
    rows (Cox, learners, functions); else shape (n, p).
    """
    fitted = weights.censoring
    if not isinstance(fitted, Grouped):
        return None
    out = np.zeros_like(x, dtype=np.float64)
    shares = _readers(fitted)
    event, time = weights.durations.event, weights.durations.time
    free = ~weights.floored
    for g, (steps, (members, kernel)) in enumerate(zip(fitted.steps, fitted.members)):
        rows, share = shares[g]
        if not len(rows) or not len(steps.jump):
            continue
        weighted = x[rows] * (share * free[rows])[:, None]
        held = _held(outcome, weighted, rows, weights.restricted, steps.jump)
        at = np.searchsorted(steps.jump, time[members[~event[members]]], side="left")
        tied = np.bincount(at, minlength=len(steps.jump) + 1)[: len(steps.jump)]
        y = steps.risk - steps.count * (1.0 - 1.0 / np.maximum(tied, 1))
        per = held / y[:, None]
        found = _martingale(per, steps.jump, steps.count / steps.risk, time[members], event[members])
        out[members] += found if kernel is None else found * kernel[:, None]
    own = weights.durations.weight
    return out if own is None else out * own[:, None]


def _readers(fitted: Grouped) -> list[tuple[Floats, Floats]]:
    """For each group, the rows that read it and with which share."""
    n_groups = len(fitted.steps)
    rows = np.arange(fitted.n_rows)
    first = np.ones(fitted.n_rows) if fitted.share is None else 1.0 - fitted.share
    group, row, share = fitted.lower, rows, first
    if fitted.share is not None:
        second = np.flatnonzero(fitted.share > 0)
        group = np.concatenate((group, fitted.lower[second] + 1))
        row, share = np.concatenate((row, second)), np.concatenate((share, fitted.share[second]))
    order = np.argsort(group, kind="stable")
    bounds = np.searchsorted(group[order], np.arange(n_groups + 1))
    return [(row[order[a:b]], share[order[a:b]]) for a, b in pairwise(bounds.tolist())]


def _held(outcome: PseudoOutcome, weighted: Floats, rows: Floats, restricted: Floats, jump: Floats) -> Floats:
    """B at each jump: what hangs on G after it, shape (J, p)."""
    n_jumps, p = len(jump), weighted.shape[1]
    mass = np.zeros((n_jumps + 1, p))
    at = np.searchsorted(jump, restricted[rows], side="left")
    for j in range(p):
        mass[:, j] = np.bincount(at, weights=weighted[:, j] * outcome.last[rows], minlength=n_jumps + 1)
    if outcome.steps is not None:
        np.add.at(mass, np.searchsorted(jump, outcome.grid, side="right"), outcome.steps[rows].T @ weighted)
    return np.asarray(np.cumsum(mass[::-1], axis=0)[::-1][1:])


def _martingale(per: Floats, jump: Floats, hazard: Floats, time: Floats, event: Bools) -> Floats:
    """``int per dM`` of each member, shape (m, p)."""
    drift = np.concatenate((np.zeros((1, per.shape[1])), np.cumsum(per * hazard[:, None], axis=0)))
    before = np.searchsorted(jump, time, side="left")
    through = np.searchsorted(jump, time, side="right")
    found = -drift[np.where(event, before, through)]
    own = np.flatnonzero(~event & (through > before))
    found[own] += per[before[own]]
    return np.asarray(found)
