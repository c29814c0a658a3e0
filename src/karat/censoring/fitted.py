"""Fitted censoring distributions: one interface, whatever they were fitted with."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .._core.types import Array, Bools, Floats, Ints
from ..errors import ArgumentError, DataError
from .product_limit import Steps

_MOST_WEIGHTS = 200
"""Distinct sampling weights up to which leave-one-out estimates are made one by one."""


class Censoring(ABC):
    """G(u | V) = P(C > u | V), fitted on n rows.

    ``rows`` below are positions among the rows it was fitted on; None means all of them. ``times`` has one
    entry per row, or one line per row, shape (m, K).

    Examples
    --------
    >>> import karat as kt
    >>> fitted = kt.censoring.weights([1.0, 2.0, 3.0, 4.0], [1, 0, 1, 1], tau=4.0).censoring
    >>> fitted.before([1.0, 2.0, 3.0, 4.0]).round(3).tolist()
    [1.0, 1.0, 0.667, 0.667]
    """

    method: str
    n_rows: int

    @abstractmethod
    def _at(self, times: Floats, rows: Any, covariates: Array | None, strict: bool) -> Floats:
        """G(u-) if ``strict``, else G(u); ``covariates`` of new rows take the place of ``rows``."""

    def before(self, times: object, rows: object = None) -> Floats:
        """G(u- | V): the probability of not being censored before u.

        Parameters
        ----------
        times : array_like, shape (m,) or (m, K)
        rows : array_like of int, shape (m,), optional
            Which of the fitted rows the times belong to; None means all, in order.

        Returns
        -------
        ndarray, shape of ``times``
        """
        return self._checked(times, rows, True)

    def through(self, times: object, rows: object = None) -> Floats:
        """G(u | V): the probability of not being censored up to and at u.

        Parameters
        ----------
        times, rows
            As in :meth:`before`.

        Returns
        -------
        ndarray, shape of ``times``
        """
        return self._checked(times, rows, False)

    def before_new(self, times: object, covariates: object = None) -> Floats:
        """G(u- | V) for rows it was not fitted on.

        Parameters
        ----------
        times : array_like, shape (m,) or (m, K)
        covariates : array_like, shape (m,) or (m, q), optional
            V of the new rows, as given when fitting; not needed for the marginal distribution.

        Returns
        -------
        ndarray, shape of ``times``
        """
        values = np.asarray(times, dtype=np.float64)
        given = None if covariates is None else np.asarray(covariates)
        if values.ndim not in (1, 2) or (given is not None and len(given) != len(values)):
            shape = None if given is None else given.shape
            raise ArgumentError(
                f"times has shape {values.shape} and covariates {shape}; give one time, "
                "or one line of times, per new row."
            )
        return self._at(values, None, given, True)

    def own(self, time: Floats, tau: float) -> Floats:
        """G(min(U, tau)- | V) of the fitted rows, shape (n,), given their times U."""
        return self.before(np.minimum(time, tau))

    def _checked(self, times: object, rows: object, strict: bool) -> Floats:
        values = np.asarray(times, dtype=np.float64)
        index = slice(None) if rows is None else np.asarray(rows, dtype=np.intp)
        m = self.n_rows if rows is None else np.size(np.asarray(rows))
        if values.ndim not in (1, 2) or len(values) != m:
            raise ArgumentError(f"times has shape {values.shape}; give one time, or one line of times, for {m} rows.")
        return self._at(values, index, None, strict)


@dataclass(frozen=True)
class Uncensored(Censoring):
    """G = 1: nothing was censored before the horizon."""

    n_rows: int
    method: str = "no censoring"

    def _at(self, times: Floats, rows: Any, covariates: Array | None, strict: bool) -> Floats:
        return np.ones(times.shape)


@dataclass(frozen=True)
class Grouped(Censoring):
    """Product-limit estimates of several groups; each row reads one, or two log-linearly.

    Marginal: one group. Strata: a group each. Kernel: a group for every anchor, whose members are weighted
    by the kernel; rows between two anchors read both.

    Parameters
    ----------
    method : str
    steps : tuple of Steps, length A
    lower : ndarray of int, shape (n,)
        First group of each row; the second, where there is one, is the next.
    share : ndarray, shape (n,), optional
        Share of the second group, 0 to 1; None means only the first is read.
    place : callable
        Covariates of new rows -> (lower, share).
    members : tuple of (ndarray of int, ndarray or None), length A
        Rows of each group in order of time, and their kernel weight (without sampling weight).
    self_weight : float
        Kernel weight of a row in its own group.
    at_own : ndarray, shape (n,), optional
        G(U- | V) at the rows' own times, where it was found on the way.

    Examples
    --------
    >>> import karat as kt
    >>> time, event, party = [1.0, 2.0, 3.0, 4.0], [0, 1, 1, 1], ["a", "a", "b", "b"]
    >>> fitted = kt.censoring.weights(time, event, tau=2.0, censoring="strata", covariates=party).censoring
    >>> len(fitted.steps), fitted.lower.tolist()
    (2, [0, 0, 1, 1])
    """

    method: str
    n_rows: int
    steps: tuple[Steps, ...] = field(repr=False)
    lower: Ints = field(repr=False)
    share: Floats | None = field(repr=False)
    place: Callable[[Array | None, int], tuple[Ints, Floats | None]] = field(repr=False)
    members: tuple[tuple[Any, Floats | None], ...] = field(repr=False)
    self_weight: float = 1.0
    at_own: Floats | None = field(repr=False, default=None)

    def own(self, time: Floats, tau: float) -> Floats:
        """G(min(U, tau)- | V) of the fitted rows, shape (n,), given their times U."""
        if self.at_own is None:
            return self.before(np.minimum(time, tau))
        late = np.flatnonzero(time > tau)
        out = self.at_own.copy()
        if late.size:
            at_tau = np.array([float(s.before(np.array(tau))) for s in self.steps])
            out[late] = at_tau[self.lower[late]] if len(at_tau) > 1 else at_tau[0]
        return out

    def ends_before(self, tau: float) -> Bools:
        """Rows whose groups are censored throughout before tau, G(tau- | V) = 0, shape (n,)."""
        gone = np.array([float(s.before(np.array(tau))) for s in self.steps]) <= 0
        lost = gone[self.lower]
        if self.share is not None:  # between two anchors, one that has run out of rows leaves it to the other
            lost &= gone[np.minimum(self.lower + 1, len(gone) - 1)] | (self.share == 0)
        return lost

    def without_self(self, time: Floats, weight: Floats | None, tau: float) -> Floats:
        """Leave-one-out G(min(U, tau)- | V), shape (n,): each row's own weight taken out of its risk sets.

        Parameters
        ----------
        time : ndarray, shape (n,)
        weight : ndarray, shape (n,), optional
            Sampling weights.
        tau : float

        Returns
        -------
        ndarray, shape (n,)
            0 where no other row of the group remained.
        """
        times = np.minimum(time, tau)
        own = np.full(self.n_rows, self.self_weight) if weight is None else self.self_weight * weight
        order = np.argsort(self.lower, kind="stable")
        bounds = np.searchsorted(self.lower[order], np.arange(len(self.steps) + 1))
        out = np.empty(self.n_rows)
        for g, steps in enumerate(self.steps):
            rows = order[bounds[g] : bounds[g + 1]]
            levels, code = np.unique(own[rows], return_inverse=True)
            if len(levels) > _MOST_WEIGHTS:
                raise ArgumentError(
                    f"leave_one_out with {len(levels)} different sampling weights needs as many passes; use folds= "
                    "(each fold's weights come from the other rows) instead."
                )
            for k, level in enumerate(levels):
                some = rows[code == k]
                out[some] = steps.without(float(level)).before(times[some])
        return out

    def _at(self, times: Floats, rows: Any, covariates: Array | None, strict: bool) -> Floats:
        if rows is None:
            lower, share = self.place(covariates, len(times))
        else:
            lower, share = self.lower[rows], None if self.share is None else self.share[rows]
        if len(self.steps) == 1:
            return self._read(0, times, strict)
        order = np.argsort(lower, kind="stable")
        bounds = np.searchsorted(lower[order], np.arange(len(self.steps) + 1))
        out = np.empty(times.shape)
        for g in np.flatnonzero(np.diff(bounds)).tolist():
            some = order[bounds[g] : bounds[g + 1]]
            first = self._read(g, times[some], strict)
            part = None if share is None else share[some]
            if part is None or not part.any():
                out[some] = first
                continue
            second = self._read(g + 1, times[some], strict)
            out[some] = _between(first, second, part.reshape(-1, *[1] * (times.ndim - 1)))
        return out

    def _read(self, g: int, times: Floats, strict: bool) -> Floats:
        return self.steps[g].before(times) if strict else self.steps[g].through(times)


def _between(first: Floats, second: Floats, share: Floats) -> Floats:
    """Log-linear between two estimates; one that has run out of rows leaves it to the other."""
    with np.errstate(divide="ignore"):
        low, high = np.log(first), np.log(second)
    low, high = np.where(np.isinf(low), high, low), np.where(np.isinf(high), low, high)
    with np.errstate(invalid="ignore"):
        return np.where(np.isinf(low), 0.0, np.exp((1.0 - share) * low + share * high))


@dataclass(frozen=True)
class GivenCensoring(Censoring):
    """A user's own G: a function of times (m,) and covariates as given, ``P(C >= time | V)``."""

    function: Callable[[Floats, Any], Any] = field(repr=False)
    n_rows: int
    covariates: Array | None = field(repr=False, default=None)
    method: str = "given function"

    def _at(self, times: Floats, rows: Any, covariates: Array | None, strict: bool) -> Floats:
        known = covariates if rows is None or self.covariates is None else self.covariates[rows]
        if times.ndim == 2:
            return np.column_stack([self._at(t, None, known, strict) for t in times.T])
        at = times if strict else np.nextafter(times, np.inf)
        values = np.asarray(self.function(at, known), dtype=np.float64)
        if values.shape != at.shape:
            raise ArgumentError(
                f"the censoring function returned shape {values.shape} for {at.shape} times; it must give "
                "P(C >= time | V) for each."
            )
        if (bad := ~((values >= 0) & (values <= 1))).any():
            raise DataError(
                f"the censoring function must give probabilities; {int(bad.sum())} value(s) are not between 0 and 1, "
                f"for example {values[bad][0]!r}."
            )
        return values


@dataclass(frozen=True)
class CrossFitted(Censoring):
    """Each row's G comes from a fit without the rows of its fold; new rows read the mean of all fits. ``fold`` (n,)."""

    method: str
    n_rows: int
    fits: tuple[Censoring, ...] = field(repr=False)
    fold: Ints = field(repr=False)
    covariates: Array | None = field(repr=False, default=None)

    def _at(self, times: Floats, rows: Any, covariates: Array | None, strict: bool) -> Floats:
        if rows is None:
            return np.mean([fit._at(times, None, covariates, strict) for fit in self.fits], axis=0)
        fold = self.fold[rows]
        known = None if self.covariates is None else self.covariates[rows]
        out = np.empty(times.shape)
        for k, fit in enumerate(self.fits):
            if (some := np.flatnonzero(fold == k)).size:
                out[some] = fit._at(times[some], None, None if known is None else known[some], strict)
        return out
