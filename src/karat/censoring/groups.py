"""Marginal and stratified Kaplan-Meier estimates of the censoring distribution."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import numpy as np

from .._core.types import Array, Floats, Ints
from ..errors import ArgumentError, DataError
from .durations import Durations
from .fitted import Grouped
from .product_limit import Steps, product_limit_at_own, time_order


@dataclass(frozen=True)
class Everyone:
    """Places every new row in the one group."""

    def __call__(self, covariates: Array | None, n_rows: int) -> tuple[Ints, Floats | None]:
        """Group 0 for each row."""
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
    """The values of each row as a tuple.

    Shapes: covariates (n,) or (n, q).

    Examples
    --------
    >>> stratum_keys(np.array(["a", "b"]))
    [('a',), ('b',)]
    """
    values = np.asarray(covariates)
    return list(zip(*(column.tolist() for column in (values[:, None] if values.ndim == 1 else values).T)))


def stratum_codes(covariates: Array) -> tuple[Ints, dict[tuple[Any, ...], int]]:
    """Codes of the strata made by the values of one or several columns.

    ``covariates`` (n,) or (n, q). Gives codes (n,).

    Examples
    --------
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
    return _fit(durations, None, Everyone(), "marginal (Kaplan-Meier)")


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
    """One estimate out of separate ones, made in separate strata.

    ``parts``: rows of each stratum, and the estimate made from them.
    """
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
