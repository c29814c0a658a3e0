"""Kaplan-Meier estimates of the censoring distribution: of all rows, by stratum, and by Beran's kernel."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import numpy as np

from .._core.types import Array, Floats, Ints
from ..errors import ArgumentError, DataError, PositivityWarning, tell
from .durations import Durations
from .fitted import Grouped
from .product_limit import Steps, product_limit, product_limit_at_own, time_order


def everyone(covariates: Array | None, n_rows: int) -> tuple[Ints, Floats | None]:
    """Places every new row in the one group."""
    return np.zeros(n_rows, dtype=np.intp), None


@dataclass(frozen=True)
class ByStratum:
    """Places new rows in the stratum of the same values."""

    levels: dict[tuple[Any, ...], int] = field(repr=False)

    def __call__(self, covariates: Array | None, n_rows: int) -> tuple[Ints, Floats | None]:
        """Stratum codes of new rows."""
        if covariates is None:
            raise ArgumentError("the censoring distribution was fitted by stratum; give the strata of new rows.")
        keys = stratum_keys(covariates)
        unknown = sorted({k for k in keys if k not in self.levels}, key=str)
        if unknown:
            raise DataError(
                f"new rows have the censoring strata {unknown[:5]}, which no fitted row has (fitted: "
                f"{list(self.levels)[:10]})."
            )
        return np.array([self.levels[k] for k in keys], dtype=np.intp), None


def stratum_keys(covariates: Array) -> list[tuple[Any, ...]]:
    """The values of each row as a tuple. ``covariates`` (n,) or (n, q).

    >>> stratum_keys(np.array(["a", "b"]))
    [('a',), ('b',)]
    """
    values = np.asarray(covariates)
    return list(zip(*(column.tolist() for column in (values[:, None] if values.ndim == 1 else values).T)))


def stratum_codes(covariates: Array) -> tuple[Ints, dict[tuple[Any, ...], int]]:
    """Codes of the strata made by the values of one or several columns.

    ``covariates`` (n,) or (n, q). Gives codes (n,).

    >>> codes, levels = stratum_codes(np.array([1, 0, 1]))
    >>> codes.tolist(), levels
    ([1, 0, 1], {(0,): 0, (1,): 1})
    """
    values = np.asarray(covariates)
    columns = values[:, None] if values.ndim == 1 else values
    codes = np.zeros(len(columns), dtype=np.intp)
    for column in columns.T:
        if any(v is None or v != v for v in (column if column.dtype.kind in "OfmM" else ())):
            raise DataError("a censoring stratum is missing in some rows; drop them, or make them a stratum.")
        _, code = np.unique(column if column.dtype.kind != "O" else column.astype(str), return_inverse=True)
        codes = codes * (int(code.max()) + 1) + code
        _, codes = np.unique(codes, return_inverse=True)
    first = np.unique(codes, return_index=True)[1]
    return codes, {key: g for g, key in enumerate(stratum_keys(columns[first]))}


def fit_marginal(durations: Durations) -> Grouped:
    """One Kaplan-Meier estimate of G for all rows."""
    return _fit(durations, None, everyone, "marginal (Kaplan-Meier)")


def fit_strata(durations: Durations, covariates: Array) -> Grouped:
    """A Kaplan-Meier estimate of G in each stratum. ``covariates`` (n,): rows with the same values form a stratum."""
    codes, levels = stratum_codes(covariates)
    return _fit(durations, codes, ByStratum(levels), f"Kaplan-Meier in {len(levels)} strata")


def _fit(durations: Durations, group: Ints | None, place: Any, method: str) -> Grouped:
    order, start = time_order(durations.time, group)
    time, event = durations.time[order], durations.event[order]
    weight = None if durations.weight is None else durations.weight[order]
    own = np.empty(durations.n_rows)
    steps: list[Steps] = []
    for first, last in pairwise(start):
        part = slice(first, last)
        found, before = product_limit_at_own(time[part], event[part], None if weight is None else weight[part])
        steps.append(found)
        own[order[part]] = before
    lower = np.zeros(durations.n_rows, dtype=np.intp) if group is None else group
    members = tuple((order[a:b], None) for a, b in pairwise(start))
    return Grouped(method, durations.n_rows, tuple(steps), lower, None, place, members, at_own=own)


def within_strata(parts: list[tuple[Ints, Grouped]], levels: dict[tuple[Any, ...], int], n_rows: int) -> Grouped:
    """One estimate out of separate ones, each made from the rows of one stratum."""
    lower, share = np.empty(n_rows, dtype=np.intp), np.zeros(n_rows)
    steps: list[Steps] = []
    members: list[tuple[Any, Floats | None]] = []
    offsets = []
    for rows, fit in parts:
        offsets.append(len(steps))
        lower[rows] = fit.lower + len(steps)
        share[rows] = 0.0 if fit.share is None else fit.share
        steps.extend(fit.steps)
        members.extend((rows[some], kernel) for some, kernel in fit.members)
    first = parts[0][1]
    place = WithinStratum(ByStratum(levels), tuple(fit.place for _, fit in parts), tuple(offsets))
    return replace(
        first, method=f"kernel (Beran) in {len(parts)} strata, {len(steps)} anchors", n_rows=n_rows, steps=tuple(steps),
        lower=lower, share=share, place=place, members=tuple(members),
    )  # fmt: skip


@dataclass(frozen=True)
class WithinStratum:
    """Places new rows among the anchors of their stratum; the first column is the covariate, the rest the strata."""

    stratum: ByStratum
    places: tuple[Any, ...] = field(repr=False)
    offsets: tuple[int, ...]

    def __call__(self, covariates: Array | None, n_rows: int) -> tuple[Ints, Floats | None]:
        """First anchor and share of the second, for new rows."""
        if covariates is None:
            raise ArgumentError("the censoring distribution was fitted with covariates; give those of new rows.")
        values = np.asarray(covariates)
        codes, _ = self.stratum(values[:, 1:], n_rows)
        lower, share = np.empty(n_rows, dtype=np.intp), np.zeros(n_rows)
        for g in np.unique(codes):
            some = np.flatnonzero(codes == g)
            at, part = self.places[g](values[some, :1], len(some))
            lower[some] = at + self.offsets[g]
            share[some] = 0.0 if part is None else part
        return lower, share


@dataclass(frozen=True)
class Between:
    """Where new rows stand among anchors (A,); those further outside than ``reach`` are warned about."""

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

    >>> stand(np.array([0.0, 0.5, 9.0]), np.array([0.0, 1.0]))[1].tolist()
    [0.0, 0.5, 0.0]
    """
    lower = np.clip(np.searchsorted(anchors, values, side="right") - 1, 0, len(anchors) - 1)
    upper = np.minimum(lower + 1, len(anchors) - 1)
    gap = anchors[upper] - anchors[lower]
    share = np.divide(values - anchors[lower], gap, out=np.zeros(len(values)), where=gap > 0)
    return lower, np.clip(share, 0.0, 1.0)


def bandwidth_rule(values: Floats, weight: Floats | None = None) -> float:
    """2.5 standard deviations times n^(-1/3). ``values`` (n,); ``weight`` (n,): n is then the effective number of rows.

    Ausset, Clemencon, Portier (2022), *Empirical risk minimization under random censorship*, JMLR 23.

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

    >>> choose_anchors(np.arange(5.0), 3).tolist()
    [0.0, 2.0, 4.0]
    """
    n = len(values)
    rows = values[np.linspace(0, n - 1, anchors - anchors // 2).round().astype(np.intp)]
    range_ = np.linspace(values[0], values[-1], anchors // 2 + 2)[1:-1]
    nearest = values[np.clip(np.searchsorted(values, range_), 0, n - 1)]
    return np.unique(np.concatenate((rows, nearest)))


def fit_kernel(durations: Durations, values: Floats, *, bandwidth: float | None, anchors: int, exact: bool) -> Grouped:
    """Beran's estimate with the Epanechnikov kernel; the arguments are those of :class:`Kernel`.

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
