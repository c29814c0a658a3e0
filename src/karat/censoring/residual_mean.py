"""m(u | V) = E[Y | T > u, V]: what is still to be expected of a row under observation at u.

Made from the hazards of the event times, not from G, so that it can be right where G is wrong.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .._core.types import Array, Floats, Ints
from ..errors import ArgumentError, DataError, KaratError, SolverWarning, one_of, tell
from .durations import Durations
from .fitted import Censoring
from .methods import Marginal, Method, fit_method

OUTCOMES = ("time", "survival", "lost")


@dataclass(frozen=True)
class Outcome:
    """A function of the duration up to tau.

    ``kind``: ``min(T, tau)``, ``1{T > tau}``, or the time lost before tau to one cause, ``(tau - T)+ 1{cause}``;
    ``cause``: for time lost; None counts every cause.

    Examples
    --------
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
    durations: Durations,
    outcome: Outcome,
    method: Method,
    covariates: Array | None,
    grid: Floats,
    rng: np.random.Generator,
) -> Floats:
    """Expected outcomes between grid points: the mean of its values at the two ends.

    ``method``: how the hazard of the event (of each cause) is estimated; ``covariates`` (n, q); ``grid`` (K,).
    """
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

    Censorings follow events at a tied time, so their times are moved up by the smallest step there is. ``covariates``
    (n, q), optional.
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
    """Columns that vary and are not combinations of those before them.

    ``x`` (n, q). Gives (n, r).

    Examples
    --------
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
