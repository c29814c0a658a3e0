"""Complete outcomes in place of censored ones, and what estimating G adds to their variance.

With m(u) = E[Y | T > u, V] on a grid 0 = t_0 < t_1 < ... < t_K = tau, held constant between grid points, the censoring
martingale integrates in closed form, whatever G is fitted with::

    D = Delta Y / G(U-) + int_0^U m dM_C / G
      = m_0 + sum_{k: 0 < t_k < U} (m_k - m_{k-1}) / G(t_k) + Delta (Y - m_last) / G(U-)

with U short for min(U, tau). m = 0 leaves inverse probability weighting, a constant m = g the product weights. D has
the mean of Y given V if either G or m is right (Robins and Rotnitzky 1992); m is made from the hazards of the event
times, not from G, so that it can be right where G is wrong.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from .._core.types import Array, Bools, Floats, Ints
from ..errors import ArgumentError, DataError, KaratError, SolverWarning, one_of, tell
from .durations import Durations
from .fitted import Censoring, Grouped
from .methods import Marginal, Method, fit_method
from .weights import CensoringWeights

OUTCOMES = ("time", "survival", "lost")


@dataclass(frozen=True)
class Outcome:
    """A function of the duration up to tau.

    ``kind``: ``min(T, tau)``, ``1{T > tau}``, or the time lost before tau to one cause, ``(tau - T)+ 1{cause}``;
    ``cause``: for time lost; None counts every cause.

    >>> Outcome("lost", 5.0).of(np.array([2.0, 7.0]), np.array([1, 1])).tolist()
    [3.0, 0.0]
    """

    kind: str
    tau: float
    cause: int | None = None

    def __post_init__(self) -> None:
        one_of("outcome", self.kind, OUTCOMES)

    def of(self, time: Floats, cause: Ints) -> Floats:
        """Y of complete rows, shape (n,); 0 code for rows still under observation at tau."""
        gone = (cause > 0) & (time <= self.tau)
        if self.kind == "time":
            return np.minimum(time, self.tau)
        if self.kind == "survival":
            return 1.0 - gone
        counted = gone if self.cause is None else gone & (cause == self.cause)
        return np.asarray(np.where(counted, self.tau - np.minimum(time, self.tau), 0.0))

    def of_surrogate(self, time: Floats) -> Floats | None:
        """Y as a surrogate of the duration would have it; None where the cause matters."""
        if self.cause is not None:
            return None
        if self.kind == "time":
            return np.minimum(time, self.tau)
        return (time > self.tau).astype(np.float64) if self.kind == "survival" else np.maximum(self.tau - time, 0.0)


def time_grid(durations: Durations, tau: float, most: int = 100) -> Floats:
    """Times in (0, tau) at which events were seen: all when they are few, else quantiles. Gives (K,), K <= most."""
    seen = durations.time[durations.event & (durations.time < tau) & (durations.time > 0)]
    grid = np.unique(seen)
    if len(grid) > most:
        grid = np.unique(np.quantile(seen, np.linspace(0, 1, most + 2)[1:-1], method="nearest"))
    return grid


def expected_outcome(
    durations: Durations, outcome: Outcome, method: Method, covariates: Array | None, grid: Floats,
    rng: np.random.Generator,
) -> Floats:  # fmt: skip
    """Expected outcomes (n, K + 1) between grid points: the mean of its values at the two ends."""
    edges = np.concatenate(([0.0], grid, [outcome.tau]))
    causes = durations.causes
    hazards = {}
    for cause in causes:
        fitted = fit_event(durations, cause, method, covariates, outcome.tau, rng)
        levels = np.broadcast_to(edges[1:], (durations.n_rows, len(edges) - 1))
        survival = np.column_stack((fitted.before(np.zeros(durations.n_rows)), fitted.through(levels)))
        with np.errstate(divide="ignore"):
            hazards[cause] = -np.diff(np.log(np.maximum(survival, 1e-300)), axis=1)
    total = np.asarray(sum(hazards.values()))
    survival = np.exp(-np.concatenate((np.zeros((len(total), 1)), np.cumsum(total, axis=1)), axis=1))
    drop = survival[:, :-1] - survival[:, 1:]
    width = np.diff(edges)
    if outcome.kind == "time":
        later = _from_end(width * (survival[:, :-1] + survival[:, 1:]) / 2)
        at = edges[:-1] + _ratio(later, survival[:, :-1], outcome.tau - edges[:-1])
        end = outcome.tau
    elif outcome.kind == "survival":
        at, end = _ratio(survival[:, -1:], survival[:, :-1], np.ones(len(grid) + 1)), 1.0
    else:
        if outcome.cause is not None:
            drop = drop * _ratio(hazards[outcome.cause], total, np.zeros(len(grid) + 1))
        left = outcome.tau - (edges[:-1] + edges[1:]) / 2
        at, end = _ratio(_from_end(drop * left), survival[:, :-1], np.zeros(len(grid) + 1)), 0.0
    return (at + np.column_stack((at[:, 1:], np.full(len(at), end)))) / 2


def fit_event(
    durations: Durations, cause: int, method: Method, covariates: Array | None, tau: float, rng: np.random.Generator
) -> Censoring:
    """P(T > u | V) of one cause, the others as censoring: the same estimators with the roles exchanged.

    Censorings follow events at a tied time, so their times are moved up by the smallest step there is.
    """
    own = durations.cause == cause
    time = np.where(own, durations.time, np.nextafter(durations.time, np.inf))
    turned = Durations(time, (~own).astype(np.intp), durations.weight)
    try:
        return fit_method(method, turned, covariates, np.nextafter(tau, np.inf), method.folds, None, rng)
    except (DataError, KaratError) as error:
        if isinstance(error, ArgumentError):
            raise
        tell(
            f"the model of the event times could not be fitted ({error}); the Kaplan-Meier curve of all rows takes its "
            "place, which costs precision but no validity while the censoring model is right.",
            SolverWarning,
        )
        return Marginal().fit(turned, None, tau, rng)


def independent_columns(x: Floats) -> Floats:
    """Columns that vary and are not combinations of those before them. ``x`` (n, q). Gives (n, r).

    >>> independent_columns(np.array([[1.0, 0, 1], [1, 1, 2], [1, 2, 3]])).shape
    (3, 1)
    """
    centred = x - x.mean(axis=0)
    scale = np.sqrt((centred**2).sum(axis=0))
    found: list[int] = []
    basis = np.empty((len(x), 0))
    for j in np.flatnonzero(scale > 1e-9 * (1 + np.abs(x).max(initial=0.0))):
        rest = centred[:, j] / scale[j]
        rest = rest - basis @ (basis.T @ rest)
        rest = rest - basis @ (basis.T @ rest)
        if (length := float(np.sqrt(rest @ rest))) > 1e-7:
            basis = np.column_stack((basis, rest / length))
            found.append(int(j))
    return x[:, found]


def _from_end(values: Floats) -> Floats:
    return np.asarray(np.cumsum(values[:, ::-1], axis=1)[:, ::-1])


def _ratio(above: Floats, below: Floats, otherwise: Floats) -> Floats:
    """Quotient, and ``otherwise`` where nobody is left."""
    shape = np.broadcast_shapes(above.shape, below.shape)
    return np.divide(above, below, out=np.broadcast_to(otherwise, shape).copy(), where=below > 1e-12)


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
