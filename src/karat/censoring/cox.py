"""Cox's proportional hazards model of the censoring times."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .._core.types import Array, Bools, Floats, Ints
from ..errors import ArgumentError, ConvergenceError, DataError
from .durations import Durations
from .fitted import Censoring

_MAX_STEPS = 50
_TOLERANCE = 1e-9
_SEPARATED = 15.0
"""Log hazard ratios of one standard deviation beyond this are on their way to infinity."""


@dataclass(frozen=True)
class CoxCensoring(Censoring):
    """G(u | V) = exp(-Lambda(u) exp(V'b)), Breslow's Lambda; V is taken from its means, ``centre`` (q,).

    ``coefficients`` (q,) are log hazard ratios of being censored, ``hazard`` (J,) cumulative after each censoring time.
    """

    method: str
    n_rows: int
    coefficients: Floats
    centre: Floats
    jump: Floats = field(repr=False)
    hazard: Floats = field(repr=False)
    linear: Floats = field(repr=False)

    def _at(self, times: Floats, rows: Any, covariates: Array | None, strict: bool) -> Floats:
        if rows is None:
            if covariates is None:
                raise ArgumentError("the censoring distribution was fitted with covariates; give those of new rows.")
            values = np.asarray(covariates, dtype=np.float64).reshape(len(times), -1)
            linear = (values - self.centre) @ self.coefficients
        else:
            linear = self.linear[rows]
        total = np.concatenate(([0.0], self.hazard))
        reached = total[np.searchsorted(self.jump, times, side="left" if strict else "right")]
        return np.exp(-reached * np.exp(linear).reshape(-1, *[1] * (times.ndim - 1)))


@dataclass(frozen=True)
class _Sorted:
    """Rows in order of time, a tied time's events before its censorings."""

    x: Floats
    weight: Floats
    censored: Bools
    first: Ints
    """First row of the risk set of each row: the first censoring at its own time, for censored rows."""
    time: Floats


def fit_cox(durations: Durations, covariates: Floats) -> CoxCensoring:
    """Partial likelihood by Newton's method, tied censorings as Breslow has them. ``covariates`` (n, q).

    Breslow (1974), *Covariance analysis of censored survival data*.
    """
    x = np.asarray(covariates, dtype=np.float64)
    if not np.isfinite(x).all():
        raise DataError("the censoring covariates must be finite in every row; drop the rows, or fill them.")
    centre, scale = x.mean(axis=0), x.std(axis=0)
    if (scale == 0).any():
        raise DataError(
            f"censoring covariate number {int(np.flatnonzero(scale == 0)[0]) + 1} is constant; take it out."
        )
    rows = _sort(durations, (x - centre) / scale)
    beta = _newton(rows)
    jump, hazard = _baseline(rows, beta)
    coefficients = beta / scale
    linear = (x - centre) @ coefficients
    return CoxCensoring("Cox", durations.n_rows, coefficients, centre, jump, hazard, linear)


def _sort(durations: Durations, x: Floats) -> _Sorted:
    order = np.argsort(durations.time, kind="stable")
    time, event = durations.time[order], durations.event[order]
    if (time[1:] == time[:-1]).any():
        order = order[np.lexsort((~event, time))]
        time, event = durations.time[order], durations.event[order]
    fresh = np.concatenate(([True], (time[1:] != time[:-1]) | (event[1:] != event[:-1])))
    first = np.maximum.accumulate(np.where(fresh, np.arange(len(time)), 0))
    weight = np.ones(len(time)) if durations.weight is None else durations.weight[order]
    return _Sorted(np.ascontiguousarray(x[order]), weight, ~event, first, time)


def _likelihood(rows: _Sorted, beta: Floats) -> tuple[float, Floats, Floats]:
    """Log partial likelihood, gradient and information.

    Sums over risk sets are cumulative sums from the end; the second moments need none, because each row's share
    of them is its hazard accumulated up to its own time.
    """
    linear = rows.x @ beta
    risk = rows.weight * np.exp(linear)
    at = np.flatnonzero(rows.censored & (rows.weight > 0))
    first, lost = rows.first[at], rows.weight[at]
    s0 = _from_end(risk)[first]
    s1 = _from_end(risk[:, None] * rows.x)[first]
    mean = s1 / s0[:, None]
    value = float(lost @ (linear[at] - np.log(s0)))
    gradient = lost @ (rows.x[at] - mean)
    hazard = np.cumsum(np.bincount(first, weights=lost / s0, minlength=len(rows.weight)))
    information = (rows.x.T * (risk * hazard)) @ rows.x - (mean.T * lost) @ mean
    return value, gradient, information


def _from_end(values: Floats) -> Floats:
    return np.cumsum(values[::-1], axis=0)[::-1]


def _newton(rows: _Sorted) -> Floats:
    beta = np.zeros(rows.x.shape[1])
    value, gradient, information = _likelihood(rows, beta)
    for _ in range(_MAX_STEPS):
        if not np.linalg.cond(information) < 1e12:
            raise DataError(
                "the Cox model has no unique solution: its covariates are collinear, or one separates rows with an "
                "early end from the others. Take one out, or use strata."
            )
        step = np.linalg.solve(information, gradient)
        size = 1.0
        while True:
            new = _likelihood(rows, beta + size * step)
            if new[0] >= value - 1e-12 * abs(value) or size < 1e-6:
                break
            size /= 2
        beta = beta + size * step
        value, gradient, information = new
        if np.abs(beta).max() > _SEPARATED:
            break
        if float(gradient @ step) < _TOLERANCE * max(1.0, abs(value)) and np.abs(size * step).max() < 1e-7:
            return beta
    raise ConvergenceError(
        "the Cox model did not converge: some covariate (nearly) separates rows with an early end from the others. "
        "Take it out, or use strata or the marginal distribution."
    )


def _baseline(rows: _Sorted, beta: Floats) -> tuple[Floats, Floats]:
    risk = _from_end(rows.weight * np.exp(rows.x @ beta))
    at = np.flatnonzero(rows.censored & (rows.weight > 0))
    jump, code = np.unique(rows.time[at], return_inverse=True)
    return jump, np.cumsum(np.bincount(code, weights=rows.weight[at] / risk[rows.first[at]], minlength=len(jump)))
