"""Any probabilistic classifier as a model of the censoring hazard."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .._core.types import Array, Floats
from ..errors import ArgumentError, DataError, LearnerError
from .durations import Durations
from .fitted import Censoring
from .product_limit import product_limit, time_order


@dataclass(frozen=True)
class HazardCensoring(Censoring):
    """G(u | V) from hazards of K intervals, by a classifier of rows and intervals.

    Within an interval the hazard of every row is spread as the marginal one is, so that jumps at tied times stay jumps.
    """

    method: str
    n_rows: int
    learner: Any = field(repr=False)
    clock: Clock = field(repr=False)
    covariates: Array = field(repr=False)

    def _at(self, times: Floats, rows: Any, covariates: Array | None, strict: bool) -> Floats:
        if rows is None and covariates is None:
            raise ArgumentError("the censoring distribution was fitted with covariates; give those of new rows.")
        x = covariates if rows is None else self.covariates[rows]
        assert x is not None
        elapsed = self.clock.elapsed(times, strict)
        n_intervals = self.clock.n_intervals
        with np.errstate(divide="ignore"):
            per = -np.log1p(-_hazards(self.learner, _two(x), n_intervals))
        total = np.concatenate((np.zeros((len(per), 1)), np.cumsum(per, axis=1)), axis=1)
        whole = np.minimum(elapsed.astype(np.intp), n_intervals - 1)
        part = elapsed - whole
        index = whole if times.ndim == 2 else whole[:, None]
        start = np.take_along_axis(total, index, axis=1).reshape(times.shape)
        step = np.take_along_axis(per, index, axis=1).reshape(times.shape)
        return np.exp(-(start + np.where(part > 0, part * step, 0.0)))


@dataclass(frozen=True)
class Clock:
    """Time measured in intervals of equal marginal censoring hazard; ``reached`` (J,) have elapsed after each jump."""

    jump: Floats = field(repr=False)
    reached: Floats = field(repr=False)
    n_intervals: int

    def elapsed(self, times: Floats, strict: bool) -> Floats:
        """Intervals elapsed before (``strict``) or through each time; shape of ``times``."""
        padded = np.concatenate(([0.0], self.reached))
        return padded[np.searchsorted(self.jump, times, side="left" if strict else "right")]


def make_clock(durations: Durations, intervals: int, tau: float) -> Clock:
    """A clock of the marginal cumulative hazard of censoring before tau, with at most so many intervals."""
    order, _ = time_order(durations.time)
    sorted_ = durations.take(order)
    steps = product_limit(sorted_.time, sorted_.event, sorted_.weight)
    before = steps.jump < tau
    jump = steps.jump[before]
    hazard = np.cumsum(steps.count[before] / steps.risk[before])
    if not len(jump):
        raise DataError("no row is censored before tau; there is no censoring to model.")
    if len(jump) <= intervals:
        ends = np.arange(len(jump))
    else:  # an interval ends at the jump that reaches its share of the hazard
        ends = np.searchsorted(hazard, hazard[-1] * (np.arange(1, intervals + 1) / intervals - 1e-9))
        ends = np.unique(np.minimum(ends, len(jump) - 1))
    edges = np.concatenate(([0.0], hazard[ends]))
    spread = np.interp(hazard, edges, np.arange(len(edges)))
    return Clock(jump, spread, len(ends))


def fit_hazard(
    durations: Durations, covariates: Floats, learner: Any, *, name: str, intervals: int, tau: float
) -> HazardCensoring:
    """Fit a classifier to rows times intervals.

    A row takes part in every interval it reaches, with the share of it (in marginal hazard) during which it was at risk
    as its weight; a censored row ends with a 1.
    """
    from sklearn.base import clone

    x = _two(covariates)
    if x.dtype.kind in "fiub" and not np.isfinite(x.astype(np.float64)).all():
        raise DataError("the censoring covariates must be finite in every row; drop the rows, or fill them.")
    clock = make_clock(durations, intervals, tau)
    order = durations.order(x)
    features, target, weight = person_periods(durations.take(order), x[order], clock, tau)
    if not hasattr(learner, "predict_proba"):
        raise LearnerError(
            f"the censoring learner {learner!r} gives no probabilities (predict_proba); use a classifier."
        )
    fitted = clone(learner)
    try:
        fitted.fit(features, target, sample_weight=weight)
    except TypeError as error:
        raise LearnerError(f"the censoring learner {learner!r} must take sample_weight in fit: {error}") from error
    return HazardCensoring(f"{name}, {clock.n_intervals} intervals", durations.n_rows, fitted, clock, x)


def person_periods(durations: Durations, x: Floats, clock: Clock, tau: float) -> tuple[Floats, Floats, Floats]:
    """One row for every interval a unit reaches: x and its number, 1 where censored in it, weight."""
    censored = ~durations.event & (durations.time < tau)
    elapsed = np.where(
        censored, clock.elapsed(durations.time, False), clock.elapsed(np.minimum(durations.time, tau), True)
    )
    last = np.ceil(elapsed - 1e-12).astype(np.intp)
    unit = np.repeat(np.arange(durations.n_rows), last)
    interval = np.arange(len(unit)) - np.repeat(np.cumsum(last) - last, last)
    target = (censored[unit] & (interval == last[unit] - 1)).astype(np.float64)
    weight = np.where(target == 1.0, 1.0, np.minimum(elapsed[unit] - interval, 1.0))
    if durations.weight is not None:
        weight = weight * durations.weight[unit]
    return np.column_stack((x[unit], interval)), target, weight


def named_learner(name: str, seed: int) -> Any:
    """The classifiers of the censoring hazard that have a name."""
    if name == "forest":
        from sklearn.ensemble import RandomForestClassifier

        return RandomForestClassifier(100, min_samples_leaf=50, max_features=None, max_samples=0.5, random_state=seed)
    if name == "boosting":
        from sklearn.ensemble import HistGradientBoostingClassifier

        return HistGradientBoostingClassifier(
            max_iter=60, learning_rate=0.07, max_leaf_nodes=8, min_samples_leaf=100, random_state=seed
        )
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(solver="newton-cholesky", max_iter=500)


def _hazards(learner: Any, x: Array, n_intervals: int) -> Floats:
    """Probability of being censored in each interval, given that it is reached; shape (m, K)."""
    if 1.0 not in learner.classes_:
        return np.zeros((len(x), n_intervals))
    column = int(np.flatnonzero(learner.classes_ == 1.0)[0])
    out = np.empty((len(x), n_intervals))
    for k in range(n_intervals):
        out[:, k] = learner.predict_proba(np.column_stack((x, np.full(len(x), k))))[:, column]
    return out


def _two(x: Any) -> Array:
    values = np.asarray(x)
    return values[:, None] if values.ndim == 1 else values
