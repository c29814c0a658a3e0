"""Risk sets of a proportional hazards regression: who is at risk at each event, and what follows for every unit.

Units enter the sums over risk sets with whatever weights their rows have, so that the same code serves gold rows,
predicted rows, and the augmented sample of both (methods, section 7.1). Only the order of times counts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from .._core.types import Bools, Floats, Ints


class Sums(NamedTuple):
    """Totals over risk sets, one row for each time of an event.

    Parameters
    ----------
    risk : ndarray, shape (K, k)
        Over those at risk.
    ending : ndarray, shape (K, k)
        Over those whose event it is.
    """

    risk: Floats
    ending: Floats


@dataclass(frozen=True)
class RiskSets:
    """N units under observation, and the K distinct times of events, within strata, at which some of them are at risk.

    Parameters
    ----------
    event : ndarray of bool, shape (N,)
        Whether the event of the unit was seen.
    first, last : ndarray of int, shape (N,)
        The unit is at risk at the event times ``first`` to ``last - 1``; the last of them is that of its own event.
    share : ndarray, shape (S,)
        Steps in which tied events are taken (Efron): share of the tied events that has left the risk set before.
    at : ndarray of int, shape (S,)
        Event time of each step.

    Examples
    --------
    >>> sets = RiskSets.of(np.array([2.0, 1.0, 2.0]), np.array([True, True, False]))
    >>> sets.sums(np.ones((3, 1))).risk.ravel()
    array([3., 2.])
    """

    event: Bools = field(repr=False)
    first: Ints = field(repr=False)
    last: Ints = field(repr=False)
    share: Floats = field(repr=False)
    at: Ints = field(repr=False)

    @classmethod
    def of(
        cls, time: Floats, event: Bools, entry: Floats | None = None, stratum: Ints | None = None, ties: str = "efron"
    ) -> RiskSets:
        """Risk sets of units observed from after ``entry`` up to ``time``, separate ones for each stratum (codes)."""
        every = time if entry is None else np.concatenate((time, entry))
        rank = np.unique(every, return_inverse=True)[1].astype(np.int64) + 1
        offset = np.zeros(len(time), dtype=np.int64)
        if stratum is not None:
            offset = stratum.astype(np.int64) * (int(rank.max()) + 1)
        end, start = offset + rank[: len(time)], offset if entry is None else offset + rank[len(time) :]
        moments, tied = np.unique(end[event], return_counts=True)
        first, last = np.searchsorted(moments, start, side="right"), np.searchsorted(moments, end, side="right")
        if ties == "breslow":
            tied = np.ones_like(tied)
        at = np.repeat(np.arange(len(moments)), tied)
        before = np.concatenate(([0], np.cumsum(tied)[:-1])) if len(tied) else tied
        share = (np.arange(len(at)) - before[at]) / tied[at]
        return cls(event, first, last, share, at)

    @cached_property
    def n_times(self) -> int:
        """K."""
        return int(self.at[-1]) + 1 if len(self.at) else 0

    @cached_property
    def steps(self) -> Floats:
        """Steps at each event time, shape (K,)."""
        return np.bincount(self.at, minlength=self.n_times).astype(np.float64)

    @cached_property
    def latest(self) -> Floats:
        """The share with which the last step of each event time begins, shape (K,)."""
        return 1.0 - 1.0 / self.steps

    @cached_property
    def _bounds(self) -> Ints:
        return np.concatenate(([0], np.cumsum(self.steps))).astype(np.intp)

    def sums(self, values: Floats) -> Sums:
        """Totals of values of units, shape (N, k), over those at risk and over those whose event it is."""
        risk = np.empty((self.n_times, values.shape[1]))
        ending = np.empty_like(risk)
        some, late = self.last > self.first, self.first > 0
        own = self.last[self.event] - 1
        for j, column in enumerate(values.T):
            risk[:, j] = self._from_end(self.last[some] - 1, column[some])
            if late.any():
                risk[:, j] -= self._from_end(self.first[some & late] - 1, column[some & late])
            ending[:, j] = np.bincount(own, weights=column[self.event], minlength=self.n_times)
        return Sums(risk, ending)

    def _from_end(self, position: Ints, values: Floats) -> Floats:
        return np.cumsum(np.bincount(position, weights=values, minlength=self.n_times)[::-1])[::-1]

    def remaining(self, sums: Sums) -> Floats:
        """What is left of the sums at each step, shape (S, k)."""
        left = sums.risk[self.at]
        return left - self.share[:, None] * sums.ending[self.at] if self.share.any() else left

    def through(self, values: Floats, units: Ints | slice = slice(None)) -> Floats:
        """Sum of values of steps, shape (S, k), over those at which a unit is at risk, shape (units, k).

        A unit counts less in the steps of its own event, by the share that has left before.
        """
        total = np.concatenate((np.zeros((1, values.shape[1])), np.cumsum(values, axis=0)))[self._bounds]
        out = total[self.last[units]] - total[self.first[units]]
        if self.share.any():
            at_end = self._at_times(values * self.share[:, None])
            event = self.event[units]
            out[event] -= at_end[self.last[units][event] - 1]
        return out

    def at_own(self, values: Floats, units: Ints | slice = slice(None)) -> Floats:
        """Mean of values of steps, shape (S, k), at the own event of units; 0 without one, shape (units, k)."""
        mean = self._at_times(values) / self.steps[:, None]
        event = self.event[units]
        out = np.zeros((len(event), values.shape[1]))
        out[event] = mean[self.last[units][event] - 1]
        return out

    def _at_times(self, values: Floats) -> Floats:
        return np.add.reduceat(values, self._bounds[:-1], axis=0) if self.n_times else values


@dataclass(frozen=True)
class Hazard:
    """Mean covariates and hazard at each step: what scores of units are held against.

    Parameters
    ----------
    sets : RiskSets
    mean : ndarray, shape (S, p)
        ``E``, covariates of those at risk weighted by their hazards.
    jump : ndarray, shape (S,)
        Of the cumulative baseline hazard.
    size : ndarray, shape (S,)
        Total of ``e`` over those at risk.
    mass : ndarray, shape (K,)
        Weight of the events at each time.
    """

    sets: RiskSets = field(repr=False)
    mean: Floats = field(repr=False)
    jump: Floats = field(repr=False)
    size: Floats = field(repr=False)
    mass: Floats = field(repr=False)

    @classmethod
    def of(cls, sets: RiskSets, size: Sums, moment: Sums, mass: Floats) -> Hazard:
        """From totals of ``e``, (K, 1), and of ``e x``, (K, p), and from the weight of events at each time, (K,)."""
        s0 = sets.remaining(size)
        there = s0 > 0
        mean = np.divide(sets.remaining(moment), s0, out=np.zeros((len(s0), moment.risk.shape[1])), where=there)
        each = (mass / sets.steps)[sets.at]
        jump = np.divide(each, s0[:, 0], out=np.zeros(len(s0)), where=there[:, 0])
        return cls(sets, mean, jump, s0[:, 0], mass)

    @cached_property
    def level(self) -> Floats:
        """Cumulative hazard under which each unit was, shape (N,)."""
        return self.sets.through(self.jump[:, None])[:, 0]

    @cached_property
    def drift(self) -> Floats:
        """The same times the mean covariates, shape (N, p)."""
        return self.sets.through(self.mean * self.jump[:, None])

    @cached_property
    def own(self) -> Floats:
        """Mean covariates at the own event of each unit, 0 without one, shape (N, p)."""
        return self.sets.at_own(self.mean)

    def left_out(self, units: Ints, own: Floats, weight: Floats) -> tuple[Floats, Floats]:
        """Level and drift of some units when their own rows are taken out of the risk sets, to first order.

        Without a unit ``dLambda`` grows by ``own / S0``, and the unit's own event is gone.

        Parameters
        ----------
        units : ndarray of int, shape (m,)
        own : ndarray, shape (m,)
            What each adds to the totals of ``e``.
        weight : ndarray, shape (m,)
            Weight of its event.
        """
        sets, jump = self.sets, np.column_stack((self.jump, self.mean * self.jump[:, None]))
        size = self.size[:, None]
        more = sets.through(np.divide(jump, size, out=np.zeros_like(jump), where=size > 0), units)
        mass = self.mass[sets.at][:, None]
        each = np.divide((1.0 - sets.share)[:, None] * jump, mass, out=np.zeros_like(jump), where=mass > 0)
        gone = sets.at_own(each * sets.steps[sets.at][:, None], units)
        change = own[:, None] * more - weight[:, None] * gone
        return self.level[units] + change[:, 0], self.drift[units] + change[:, 1:]

    def scores(self, x: Floats, risk: Floats, units: Ints, under: tuple[Floats, Floats] | None = None) -> Floats:
        """Score of rows: ``int (x - E) (dN - e dLambda)`` over the time under observation, shape (m, p).

        Parameters
        ----------
        x : ndarray, shape (m, p)
        risk : ndarray, shape (m,)
            ``e``, exponentials of the linear predictors.
        units : ndarray of int, shape (m,)
            Which unit a row is of.
        under : tuple of two ndarrays, optional
            Level and drift of these, where they are not those of the hazard.
        """
        level, drift = (self.level[units], self.drift[units]) if under is None else under
        residual = self.sets.event[units] - risk * level
        return np.asarray(x * residual[:, None] - self.own[units] + risk[:, None] * drift)

    def curvature_entries(self, x: Floats, risk: Floats, units: Ints) -> Iterator[tuple[int, int, Floats]]:
        """Curvature of rows, ``int (x - E)(x - E)' e dLambda``: its entries on and above the diagonal, each (m,)."""
        level, drift = self.level[units], self.drift[units]
        for a in range(x.shape[1]):
            for b in range(a, x.shape[1]):
                square = (self.mean[:, a] * self.mean[:, b] * self.jump)[:, None]
                part = x[:, a] * (x[:, b] * level - drift[:, b]) - drift[:, a] * x[:, b]
                yield a, b, risk * (part + self.sets.through(square, units)[:, 0])
