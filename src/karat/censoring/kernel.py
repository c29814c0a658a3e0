"""Beran's conditional Kaplan-Meier estimate, at anchors or exactly."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .._core.types import Array, Floats, Ints
from ..errors import ArgumentError, DataError, PositivityWarning, tell
from .durations import Durations
from .fitted import Grouped
from .product_limit import Steps, product_limit


@dataclass(frozen=True)
class Between:
    """Where new rows stand among anchors.

    ``anchors`` (A,): in order; ``reach``: bandwidth: new rows further outside the anchors are warned about, and read
    the nearest.
    """

    anchors: Floats = field(repr=False)
    reach: float

    def __call__(self, covariates: Array | None, n_rows: int) -> tuple[Ints, Floats | None]:
        """First anchor and share of the second, for new rows."""
        if covariates is None:
            raise ArgumentError("the censoring distribution was fitted with a covariate; give covariates= of new rows.")
        values = np.asarray(covariates, dtype=np.float64).reshape(n_rows, -1)[:, 0]
        first, last = self.anchors[0], self.anchors[-1]
        beyond = np.maximum(first - values, values - last)
        if not (beyond <= last - first).all():
            raise DataError(
                f"{int((~(beyond <= last - first)).sum())} new row(s) have a censoring covariate far outside the range "
                f"fitted, {first:.4g} to {last:.4g}; nothing is known there. Is it in the same units?"
            )
        if (outside := beyond > self.reach).any():
            tell(
                f"{int(outside.sum())} row(s) have a censoring covariate more than a bandwidth ({self.reach:.3g}) "
                f"outside the range fitted, {first:.4g} to {last:.4g}; they read the estimate at its end.",
                PositivityWarning,
            )
        return stand(values, self.anchors)


def stand(values: Floats, anchors: Floats) -> tuple[Ints, Floats | None]:
    """First anchor and share of the second.

    ``values`` (m,), ``anchors`` (A,). Gives ``lower`` (m,), ``share`` (m,) (0 where the value is the anchor, and
    outside the anchors).

    Examples
    --------
    >>> stand(np.array([0.0, 0.5, 9.0]), np.array([0.0, 1.0]))[1].tolist()
    [0.0, 0.5, 0.0]
    """
    lower = np.clip(np.searchsorted(anchors, values, side="right") - 1, 0, len(anchors) - 1)
    upper = np.minimum(lower + 1, len(anchors) - 1)
    gap = anchors[upper] - anchors[lower]
    share = np.divide(values - anchors[lower], gap, out=np.zeros(len(values)), where=gap > 0)
    return lower, np.clip(share, 0.0, 1.0)


def bandwidth_rule(values: Floats, weight: Floats | None = None) -> float:
    """2.5 standard deviations times n^(-1/3).

    ``values`` (n,); ``weight`` (n,): n is then the effective number of rows.

    References
    ----------
    Ausset, Clemencon, Portier (2022), *Empirical risk minimization under random censorship*, JMLR 23.

    Examples
    --------
    >>> bandwidth_rule(np.array([-1.0, 1.0] * 4))
    1.25
    """
    if weight is None:
        return float(2.5 * np.std(values) * len(values) ** (-1 / 3))
    mean = np.average(values, weights=weight)
    spread = np.sqrt(np.average((values - mean) ** 2, weights=weight))
    return float(2.5 * spread * (weight.sum() ** 2 / (weight**2).sum()) ** (-1 / 3))


def choose_anchors(values: Floats, anchors: int) -> Floats:
    """Anchors among the values: half of them evenly among rows, half evenly over the range.

    ``values`` (n,): sorted; ``anchors``: at most this many. Gives in order, without repeats; every one is the value of
    a row, the smallest and largest among them, shape (A,).

    Examples
    --------
    >>> choose_anchors(np.arange(5.0), 3).tolist()
    [0.0, 2.0, 4.0]
    """
    n = len(values)
    rows = values[np.linspace(0, n - 1, anchors - anchors // 2).round().astype(np.intp)]
    range_ = np.linspace(values[0], values[-1], anchors // 2 + 2)[1:-1]
    nearest = values[np.clip(np.searchsorted(values, range_), 0, n - 1)]
    return np.unique(np.concatenate((rows, nearest)))


def fit_kernel(durations: Durations, values: Floats, *, bandwidth: float | None, anchors: int, exact: bool) -> Grouped:
    """Beran's estimate with the Epanechnikov kernel.

    ``values`` (n,): the covariate V; ``bandwidth``: by default 2.5 standard deviations times n^(-1/3); ``anchors``:
    values of V at which the estimate is made; rows between two read both, log-linearly; ``exact``: make it at every
    value of V instead.

    References
    ----------
    Beran (1981), *Nonparametric regression with randomly censored survival data*.
    """
    if not np.isfinite(values).all():
        raise DataError("the censoring covariate must be finite in every row; drop the rows, or fill them.")
    reach = bandwidth_rule(values, durations.weight) if bandwidth is None else float(bandwidth)
    if not 0 < reach < np.inf:
        raise DataError(
            f"the bandwidth of the censoring covariate is {reach!r}: it must be positive. A constant covariate needs "
            "none; use the marginal distribution."
        )
    order = np.argsort(values, kind="stable")
    by_value = values[order]
    at = np.unique(by_value) if exact else choose_anchors(by_value, anchors)
    by_time = np.argsort(durations.time)
    rank = np.empty(durations.n_rows, dtype=np.int32 if durations.n_rows < 2**31 else np.int64)
    rank[by_time] = np.arange(durations.n_rows)
    rank = rank[order]
    sorted_durations, sorted_values = durations.take(by_time), values[by_time]
    low = np.searchsorted(by_value, at - reach, side="right")
    high = np.searchsorted(by_value, at + reach, side="left")
    steps: list[Steps] = []
    members: list[tuple[Any, Floats | None]] = []
    for a, first, last in zip(at, low, high):
        near = np.sort(rank[first:last])
        kernel = 0.75 * (1.0 - ((sorted_values[near] - a) / reach) ** 2)
        weight = kernel if sorted_durations.weight is None else kernel * sorted_durations.weight[near]
        steps.append(product_limit(sorted_durations.time[near], sorted_durations.event[near], weight))
        members.append((by_time[near], kernel))
    lower, share = stand(values, at)
    return Grouped(
        f"kernel (Beran), bandwidth {reach:.4g}, {len(at)} {'values' if exact else 'anchors'}",
        durations.n_rows, tuple(steps), lower, share, Between(at, reach), tuple(members), self_weight=0.75,
    )  # fmt: skip
