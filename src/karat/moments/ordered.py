"""Ordered logit and probit: classes with an order, cut points between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..errors import FormulaError
from .multinomial import Multinomial

if TYPE_CHECKING:
    from .._core.types import Floats

_LEAST_SHARE = 1e-6


@dataclass(frozen=True)
class Ordered(Multinomial):
    """Cumulative logit: ``P(class <= k) = F(tau_k - x'b)``, F the logistic distribution; the score is that of log P.

    The design's column of ones is left to the cut points ``tau_1 < ... < tau_(K-1)``. With two classes this is the
    logistic regression, whose intercept is ``-tau_1``.
    """

    name: ClassVar[str] = "ordered"
    title: ClassVar[str] = "Ordered logistic regression"
    in_order: ClassVar[bool] = True
    first: ClassVar[slice | None] = slice(1, None)

    def predictors(self, y: Floats) -> int:
        """``x'b`` and the cut points: K."""
        return 2 if y.ndim == 1 else y.shape[1] + 1

    def evaluate(self, eta: Floats, y: Floats) -> tuple[Floats, Floats]:
        """Shares of the classes times the derivatives of their log probabilities; not a number out of order."""
        n, k = eta.shape
        if not (np.diff(eta[:, 1:], axis=1) > 0).all():
            return np.full((n, k), np.nan), np.full((n, k, k), np.nan)
        shares = _all_shares(y)
        up, down, twice_up, across, twice_down = (part * shares for part in self._bounds(eta))
        score, curvature = np.empty((n, k)), np.zeros((n, k, k))
        score[:, 0] = -(up + down).sum(axis=1)
        score[:, 1:] = up[:, :-1] + down[:, 1:]
        curvature[:, 0, 0] = -(twice_up + 2.0 * across + twice_down).sum(axis=1)
        beside = (twice_up + across)[:, :-1] + (twice_down + across)[:, 1:]
        curvature[:, 0, 1:] = curvature[:, 1:, 0] = beside
        j = np.arange(1, k)
        curvature[:, j, j] = -(twice_up[:, :-1] + twice_down[:, 1:])
        curvature[:, j[:-1], j[1:]] = curvature[:, j[1:], j[:-1]] = -across[:, 1:-1]
        return score, curvature

    def _bounds(self, eta: Floats) -> tuple[Floats, Floats, Floats, Floats, Floats]:
        """Derivatives of ``log P`` of each class in its upper and lower bound: first, and second (uu, ul, ll).

        ``P = F(u) F(-l) (1 - exp(l - u))``, so that nothing cancels in the tails.
        """
        upper, lower = _edges(eta)
        with np.errstate(over="ignore"):
            above, below = 1.0 / (1.0 + np.exp(upper)), 1.0 / (1.0 + np.exp(-lower))
        gap = np.diff(eta[:, 1:], axis=1)
        inner, slope = np.zeros_like(above), np.zeros_like(above)
        inner[:, 1:-1] = np.exp(-gap) / -np.expm1(-gap)
        slope[:, 1:-1] = inner[:, 1:-1] / -np.expm1(-gap)
        curve_up, curve_down = above * (1.0 - above), below * (1.0 - below)
        return above + inner, -below - inner, -curve_up - slope, slope, -curve_down - slope

    def _distribution(self, z: Floats) -> tuple[Floats, Floats]:
        """F and its density."""
        with np.errstate(over="ignore"):
            f = 1.0 / (1.0 + np.exp(-z))
        return f, f * (1.0 - f)

    def _quantile(self, shares: Floats) -> Floats:
        """Where F is these."""
        return np.asarray(np.log(shares) - np.log1p(-shares))

    def mean(self, eta: Floats) -> tuple[Floats, Floats]:
        """Probabilities of all classes, the lowest first, and their slopes, shape (m, K, K)."""
        (n, k), (upper, lower) = eta.shape, _edges(eta)
        flip = lower + upper > 0
        low, high = np.where(flip, -upper, lower), np.where(flip, -lower, upper)
        p = self._distribution(high)[0] - self._distribution(low)[0]
        density = self._distribution(eta[:, 1:] - eta[:, :1])[1]
        slope, j = np.zeros((n, k, k)), np.arange(k - 1)
        slope[:, j, j + 1], slope[:, j + 1, j + 1] = density, -density
        slope[:, :, 0] = -slope[:, :, 1:].sum(axis=2)
        return p, slope

    def working(self, y: Floats, x: Floats, share: Floats) -> Floats:
        """Cut points of the fit without covariates."""
        at_most = np.cumsum(share @ _all_shares(y))[:-1]
        at_most = np.clip(at_most, _LEAST_SHARE, 1.0 - _LEAST_SHARE)
        return np.tile(np.r_[0.0, self._quantile(at_most)], (len(y), 1))

    def astray(self, constants: Floats) -> str:
        """Cut points must ascend."""
        if (np.diff(constants) > 0).all():
            return ""
        return "cut points are out of order, since a class between two others is too rare; merge classes or label more"

    def constants(self, names: Sequence[str]) -> int:
        """Cut points are named in a chain, ``"low|mid"``, ``"mid|high"``."""
        count = min(len(names), 1)
        while count < len(names):
            following, name = names[-count], names[-count - 1]
            starts = [following[:at] for at, sign in enumerate(following) if sign == "|"]
            if not any(name.endswith(f"|{start}") for start in starts):
                break
            count += 1
        return count

    def told(self, classes: Sequence[Any]) -> str:
        """Their order."""
        return f", {' < '.join(map(str, classes))}"

    def names(self, columns: tuple[str, ...], classes: Sequence[Any]) -> tuple[str, ...]:
        """Columns but the intercept, and cut points, ``"low|mid"``."""
        if columns[0] != "Intercept":
            raise FormulaError(
                f"the {self.title.lower()} has cut points in the place of an intercept; take 0 + or - 1 out of the "
                "formula."
            )
        return *columns[1:], *(f"{low}|{high}" for low, high in pairwise(classes))


class OrderedProbit(Ordered):
    """Cumulative probit: the same with F the normal distribution."""

    name: ClassVar[str] = "ordered_probit"
    title: ClassVar[str] = "Ordered probit regression"
    measured_in: ClassVar[str] = "standard deviations of a hidden normal variable"
    ratio: ClassVar[str] = ""

    def _bounds(self, eta: Floats) -> tuple[Floats, Floats, Floats, Floats, Floats]:
        """With log Phi, on the side of the tail."""
        from scipy.special import log_ndtr

        upper, lower = _edges(eta)
        flip = lower + upper > 0
        low, high = np.where(flip, -upper, lower), np.where(flip, -lower, upper)
        most = log_ndtr(high)
        with np.errstate(divide="ignore"):
            log_p = most + np.log(-np.expm1(log_ndtr(low) - most))
        up, down = (np.exp(-0.5 * bound**2 - 0.5 * np.log(2.0 * np.pi) - log_p) for bound in (upper, lower))
        u, v = np.where(np.isinf(upper), 0.0, upper), np.where(np.isinf(lower), 0.0, lower)
        return up, -down, -up * (u + up), up * down, down * (v - down)

    def _distribution(self, z: Floats) -> tuple[Floats, Floats]:
        """Phi and its density."""
        from scipy.special import ndtr

        return ndtr(z), np.exp(-0.5 * z**2) / np.sqrt(2.0 * np.pi)

    def _quantile(self, shares: Floats) -> Floats:
        """Where Phi is these."""
        from scipy.special import ndtri

        return np.asarray(ndtri(shares))


def _all_shares(y: Floats) -> Floats:
    """Shares of all classes from those of all but the first, shape (m, K)."""
    rest = y.reshape(len(y), -1)
    return np.column_stack([1.0 - rest.sum(axis=1), rest])


def _edges(eta: Floats) -> tuple[Floats, Floats]:
    """Upper and lower bound of each class, less ``x'b``; shape (m, K)."""
    cuts, infinite = eta[:, 1:] - eta[:, :1], np.full((len(eta), 1), np.inf)
    return np.hstack([cuts, infinite]), np.hstack([-infinite, cuts])
