"""Kaplan-Meier estimates of survival, with intervals."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from .._core.types import Floats
from ..errors import ArgumentError, DataError, check_alpha, number, one_of
from .durations import Durations, read_durations
from .product_limit import time_order

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class SurvivalCurve:
    """S(t) = P(T > t) as a step function.

    Parameters
    ----------
    time : ndarray, shape (J,)
        Distinct times at which an event was seen, in order.
    survival : ndarray, shape (J,)
        S after each.
    std_error : ndarray, shape (J,)
        Of S: Greenwood's, or with sampling weights the infinitesimal jackknife. Not-a-number where S is 0.
    low, high : ndarray, shape (J,)
        Pointwise interval; not-a-number where S is 0.
    at_risk, events : ndarray, shape (J,)
        Weight under observation just before each time, and weight of its events.
    censored : ndarray, shape (K,)
        Distinct times at which a row was censored.
    last : float
        Largest time under observation; nothing is known beyond.
    n_rows, n_events : int
    interval : str
    alpha : float
    durations : Durations

    Examples
    --------
    >>> survival_curve([1.0, 2.0, 2.0, 3.0], [1, 1, 0, 1]).survival.tolist()
    [0.75, 0.5, 0.0]
    """

    time: Floats = field(repr=False)
    survival: Floats = field(repr=False)
    std_error: Floats = field(repr=False)
    low: Floats = field(repr=False)
    high: Floats = field(repr=False)
    at_risk: Floats = field(repr=False)
    events: Floats = field(repr=False)
    censored: Floats = field(repr=False)
    last: float
    n_rows: int
    n_events: int
    interval: str
    alpha: float
    durations: Durations = field(repr=False)

    def at(self, times: object) -> Floats:
        """S(t), not-a-number beyond the last time seen (unless the curve has reached 0).

        Parameters
        ----------
        times : array_like

        Returns
        -------
        ndarray, shape of ``times``
        """
        t = np.asarray(times, dtype=np.float64)
        value = np.concatenate(([1.0], self.survival))[np.searchsorted(self.time, t, side="right")]
        return np.where((t > self.last) & (value > 0), np.nan, value)

    def risk_at(self, times: object) -> Floats:
        """Weight (rows, without sampling weights) under observation just before each time.

        Parameters
        ----------
        times : array_like

        Returns
        -------
        ndarray, shape of ``times``
        """
        order, _ = time_order(self.durations.time)
        w = np.ones(self.n_rows) if self.durations.weight is None else self.durations.weight[order]
        left = np.append(np.cumsum(w[::-1])[::-1], 0.0)
        return left[np.searchsorted(self.durations.time[order], np.asarray(times, dtype=np.float64), side="left")]

    def median(self) -> float:
        """The first time at which S is at most one half; not-a-number if it never is."""
        below = np.flatnonzero(self.survival <= 0.5 + 1e-12)
        return float(self.time[below[0]]) if below.size else np.nan

    def restricted_mean(self, tau: float) -> tuple[float, float]:
        """E[min(T, tau)], the area under the curve up to tau, and its standard error.

        Parameters
        ----------
        tau : float

        Returns
        -------
        mean, std_error : float

        Raises
        ------
        ArgumentError
            If tau lies beyond the last time seen while the curve has not reached 0.

        Examples
        --------
        >>> survival_curve([1.0, 2.0, 2.0, 3.0], [1, 1, 0, 1]).restricted_mean(3.0)[0]
        2.25
        """
        tau = number("tau", tau, above=0, instead="in the units of time")
        if tau > self.last and (not self.survival.size or self.survival[-1] > 0):
            raise ArgumentError(f"tau={tau!r} lies beyond the last time seen, {self.last:g}; choose a smaller tau.")
        inside = self.time < tau
        edges = np.concatenate(([0.0], self.time[inside], [float(tau)]))
        level = np.concatenate(([1.0], self.survival[inside]))
        area = np.diff(edges) * level
        after = np.cumsum(area[::-1])[::-1][1:]
        return float(area.sum()), float(np.sqrt(_mean_variance(self.durations, after, self.time[inside])))

    def to_frame(self) -> pd.DataFrame:
        """Time, at risk, events, survival, standard error and interval, one line per event time.

        Returns
        -------
        pandas.DataFrame
        """
        import pandas as pd

        names = ("time", "at_risk", "events", "survival", "std_error", "low", "high")
        return pd.DataFrame({name: getattr(self, name) for name in names})


def survival_curve(
    time: object, event: object, *, weights: object = None, interval: str = "log-log", alpha: float = 0.05
) -> SurvivalCurve:
    """Kaplan-Meier estimate of survival.

    Parameters
    ----------
    time : array_like, shape (n,)
        Time under observation, 0 or more.
    event : array_like, shape (n,)
        1 (or True) where the event was seen, 0 where the row was censored.
    weights : array_like, shape (n,), optional
        Sampling weights. The variance is then the infinitesimal jackknife's, which takes them as the inverse of
        inclusion probabilities, not as counts; without them the two are the same.
    interval : {"log-log", "log", "plain"}
        Scale on which the interval is symmetric; ``"log-log"`` stays between 0 and 1, ``"plain"`` is cut there.
    alpha : float
        Level is 1 - alpha, at each time by itself.

    Returns
    -------
    SurvivalCurve

    Raises
    ------
    DataError
        If durations are not allowed.
    ArgumentError
        If lengths differ or ``interval`` is not known.

    References
    ----------
    Kaplan and Meier (1958); Greenwood (1926); Kalbfleisch and Prentice (2002), *The statistical analysis of failure
    time data*, section 1.4.

    Examples
    --------
    >>> curve = survival_curve([1.0, 2.0, 2.0, 3.0], [1, 1, 0, 1])
    >>> curve.low.round(3).tolist()
    [0.128, 0.058, nan]
    """
    one_of("interval", interval, ("log-log", "log", "plain"))
    check_alpha(alpha)
    durations = read_durations(time, event, weights)
    order, _ = time_order(durations.time)
    rows = durations.take(order)
    jump, risk, count = _table(rows)
    with np.errstate(divide="ignore", invalid="ignore"):
        survival = np.cumprod(1.0 - count / risk)
        survival[risk - count <= 1e-12 * risk] = 0.0
        error = survival * np.sqrt(_log_variance(rows, jump, risk, count))
    error = np.where(survival > 0, error, np.nan)
    low, high = _bounds(survival, error, interval, alpha)
    return SurvivalCurve(
        jump, survival, error, low, high, risk, count, np.unique(rows.time[~rows.event]), float(rows.time[-1]),
        rows.n_rows, int(rows.event.sum()), interval, float(alpha), durations,
    )  # fmt: skip


def _table(rows: Durations) -> tuple[Floats, Floats, Floats]:
    """Event times of sorted rows, weight at risk before each, weight of its events."""
    w = np.ones(rows.n_rows) if rows.weight is None else rows.weight
    left = np.cumsum(w[::-1])[::-1]
    seen = np.flatnonzero(rows.event & (w > 0))
    if not seen.size:
        empty = np.empty(0)
        return empty, empty, empty
    jump, code = np.unique(rows.time[seen], return_inverse=True)
    risk = left[np.searchsorted(rows.time, jump, side="left")]
    return jump, risk, np.bincount(code, weights=w[seen])


def _log_variance(rows: Durations, jump: Floats, risk: Floats, count: Floats) -> Floats:
    """Variance of log S after each event time."""
    greenwood = np.cumsum(count / (risk * (risk - count)))
    if rows.weight is None:
        return greenwood
    # Influence of a row on -log S(t): 1 / (Y - d) at its event if that is past, minus Greenwood's sum up to min(t, U).
    reached = np.searchsorted(jump, rows.time, side="right")
    own = np.concatenate(([0.0], greenwood))[reached]
    at = np.flatnonzero(rows.event & (rows.weight > 0))
    step = np.zeros(rows.n_rows)
    step[at] = (1.0 / (risk - count))[reached[at] - 1]
    squares = rows.weight**2
    past = np.zeros(len(jump))
    done = reached - rows.event  # index of the first jump at which the row has left
    for rows_of, index in ((rows.event, done), (~rows.event, reached)):
        inside = np.flatnonzero(rows_of & (index < len(jump)))
        past += np.bincount(index[inside], (squares * (step - own) ** 2)[inside], minlength=len(jump))
    here = np.bincount(np.minimum(np.where(rows.event, done, reached), len(jump)), squares, minlength=len(jump) + 1)
    remaining = squares.sum() - np.cumsum(here[:-1])
    return np.cumsum(past) + remaining * greenwood**2


def _mean_variance(durations: Durations, after: Floats, jump: Floats) -> float:
    """Variance of the area under the curve: squares of the rows' influences."""
    order, _ = time_order(durations.time)
    rows = durations.take(order)
    known, risk, count = _table(rows)
    inside = np.searchsorted(known, jump)
    risk, count = risk[inside], count[inside]
    with np.errstate(divide="ignore", invalid="ignore"):
        per = np.where(after > 0, after / (risk - count), 0.0)
    drift = np.concatenate(([0.0], np.cumsum(per * count / risk)))
    reached = np.searchsorted(jump, rows.time, side="right")
    own = drift[reached]
    step = np.zeros(rows.n_rows)
    at = np.flatnonzero(rows.event & np.isin(rows.time, jump))
    step[at] = per[reached[at] - 1]
    w = 1.0 if rows.weight is None else rows.weight
    return float(np.sum((w * (step - own)) ** 2))


def _bounds(survival: Floats, error: Floats, interval: str, alpha: float) -> tuple[Floats, Floats]:
    from scipy.stats import norm

    z = float(norm.isf(alpha / 2))
    with np.errstate(divide="ignore", invalid="ignore"):
        if interval == "plain":
            low, high = survival - z * error, survival + z * error
        elif interval == "log":
            ratio = np.exp(z * error / survival)
            low, high = survival / ratio, survival * ratio
        else:
            half = z * error / (survival * np.abs(np.log(survival)))
            low, high = survival ** np.exp(half), survival ** np.exp(-half)
    low, high = np.where(survival > 0, low, np.nan), np.where(survival > 0, high, np.nan)
    return np.clip(low, 0.0, 1.0), np.clip(high, 0.0, 1.0)


def curves_by_group(
    time: object, event: object, group: object, weights: object = None, **options: Any
) -> dict[Any, SurvivalCurve]:
    """One curve per value of ``group``, in order of the values.

    ``time``, ``event`` (n,); ``group`` (n,): None gives one curve, under the key ``"all"``; ``weights`` (n,);
    ``**options``: of :func:`survival_curve`.

    >>> list(curves_by_group([1.0, 2.0], [1, 1], ["b", "a"]))
    ['a', 'b']
    """
    if group is None:
        return {"all": survival_curve(time, event, weights=weights, **options)}
    import pandas as pd

    durations = read_durations(time, event, weights)
    values = pd.Series(np.asarray(group))
    if len(values) != durations.n_rows:
        raise ArgumentError(f"group has {len(values)} values but time has {durations.n_rows}; give one each.")
    if values.isna().any():
        raise DataError("group is missing in some rows; drop them, or make them a group.")
    codes, levels = pd.factorize(values, sort=True)
    parts = {level: durations.take(codes == g) for g, level in enumerate(levels)}
    return {level: survival_curve(p.time, p.cause, weights=p.weight, **options) for level, p in parts.items()}
