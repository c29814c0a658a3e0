"""Product-limit estimates of the censoring distribution."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from .._core.types import Bools, Floats, Ints


@dataclass(frozen=True)
class Steps:
    """G(u) = P(C > u) as a step function.

    Parameters
    ----------
    jump : ndarray, shape (J,)
        Distinct censoring times, in order.
    risk : ndarray, shape (J,)
        Weight at risk of being censored: under observation, and without an event at that very time.
    count : ndarray, shape (J,)
        Weight censored at each.
    level : ndarray, shape (J,)
        G after each jump.

    Examples
    --------
    >>> steps = product_limit(np.array([1.0, 1.0, 2.0]), np.array([True, False, True]))
    >>> steps.before(np.array([1.0, 1.5])).tolist()
    [1.0, 0.5]
    """

    jump: Floats = field(repr=False)
    risk: Floats = field(repr=False)
    count: Floats = field(repr=False)
    level: Floats = field(repr=False)

    def before(self, times: Floats) -> Floats:
        """G(u-), the probability of not being censored before u; shape of ``times``."""
        return self._padded()[np.searchsorted(self.jump, times, side="left")]

    def through(self, times: Floats) -> Floats:
        """G(u), the probability of not being censored up to and at u; shape of ``times``."""
        return self._padded()[np.searchsorted(self.jump, times, side="right")]

    def _padded(self) -> Floats:
        return np.concatenate(([1.0], self.level))

    def without(self, weight: float) -> Steps:
        """The estimate without one member of this weight, valid before that member's own time.

        Parameters
        ----------
        weight : float
            Weight of the member left out.

        Returns
        -------
        Steps
        """
        rest = self.risk - weight
        with np.errstate(divide="ignore", invalid="ignore"):
            factor = np.where(rest > self.count, 1.0 - self.count / rest, 0.0)
        factor[factor < 1e-13] = 0.0
        return Steps(self.jump, rest, self.count, np.cumprod(factor))


def product_limit(time: Floats, event: Bools, weight: Floats | None = None) -> Steps:
    """Kaplan-Meier estimate of the censoring distribution of sorted durations.

    Events precede censorings at a tied time: the risk set of a censoring excludes that time's events.

    Parameters
    ----------
    time : ndarray, shape (n,)
        Sorted from small to large.
    event : ndarray of bool, shape (n,)
    weight : ndarray, shape (n,), optional

    Returns
    -------
    Steps

    Examples
    --------
    >>> product_limit(np.array([1.0, 2.0, 3.0]), np.array([False, True, True])).level.round(4).tolist()
    [0.6667]
    """
    return _untied(time, event)[0] if _simple(time, weight) else _tied(time, event, weight)[0]


def product_limit_at_own(time: Floats, event: Bools, weight: Floats | None = None) -> tuple[Steps, Floats]:
    """The same, with its value before each row's own time.

    ``time`` (n,): sorted from small to large; ``event`` (n,); ``weight`` (n,). Gives ``own`` (n,) (G(U-) of each row).

    >>> product_limit_at_own(np.array([1.0, 2.0, 3.0]), np.array([True, False, True]))[1].tolist()
    [1.0, 1.0, 0.5]
    """
    steps, passed = _untied(time, event) if _simple(time, weight) else _tied(time, event, weight)
    lengths = np.diff(passed, prepend=0, append=len(time))
    return steps, np.repeat(np.concatenate(([1.0], steps.level)), lengths)


def _simple(time: Floats, weight: Floats | None) -> bool:
    return weight is None and not bool((time[1:] == time[:-1]).any())


def _untied(time: Floats, event: Bools) -> tuple[Steps, Ints]:
    """Steps, and how many rows have a time up to each jump."""
    at = np.flatnonzero(~event)
    risk = (len(time) - at).astype(np.float64)
    return Steps(time[at], risk, np.ones(len(at)), np.cumprod((risk - 1.0) / risk)), at + 1


def _tied(time: Floats, event: Bools, weight: Floats | None) -> tuple[Steps, Ints]:
    """Steps, and how many rows have a time up to each jump."""
    n = len(time)
    start = np.concatenate(([0], np.flatnonzero(time[1:] != time[:-1]) + 1))
    end = np.append(start[1:], n)
    if weight is None:
        lost = np.add.reduceat(~event, start, dtype=np.intp)
        later = n - end
    else:
        lost = np.add.reduceat(np.where(event, 0.0, weight), start)
        total = np.add.reduceat(weight, start)
        later = np.concatenate((np.cumsum(total[::-1])[::-1][1:], [0.0]))
    at = np.flatnonzero(lost)
    count = lost[at].astype(np.float64)
    risk = later[at] + count
    return Steps(time[start[at]], risk, count, np.cumprod(later[at] / risk)), end[at]


def time_order(time: Floats, group: Ints | None = None) -> tuple[Ints, Ints]:
    """Rows in order of group and time, and where each group starts.

    ``time`` (n,); ``group`` (n,): codes 0 to G - 1, each of which occurs.

    >>> order, start = time_order(np.array([3.0, 1.0, 2.0]), np.array([0, 1, 0]))
    >>> order.tolist(), start.tolist()
    ([2, 0, 1], [0, 2, 3])
    """
    order = np.argsort(time)
    if group is None:
        return order, np.array([0, len(time)])
    codes = group[order]
    n_groups = int(group.max()) + 1
    narrow = codes.astype(np.int16) if n_groups < 2**15 else codes
    order = order[np.argsort(narrow, kind="stable")]
    return order, np.concatenate(([0], np.cumsum(np.bincount(group, minlength=n_groups))))
