"""What fixed sizes make known: probabilities of some of the rows given how many were drawn, totals of errors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .._core.types import Bools, Floats, Ints
from ..errors import DesignError
from .entries import by_row, cross_product, dense, group_totals


def given_sizes(probability: Floats, labelled: Bools, stratum: Ints) -> Floats:
    """Probability of each labelling unit given how many were drawn in its stratum, shape (units,).

    Raises DesignError if a stratum has units but no gold.

    >>> given_sizes(np.full(4, 0.1), np.array([True, False, False, False]), np.zeros(4, dtype=int)).tolist()
    [0.25, 0.25, 0.25, 0.25]
    """
    pi, chance = probability.copy(), probability < 1.0
    drawn = np.bincount(stratum[chance & labelled], minlength=int(stratum.max()) + 1)
    size = np.bincount(stratum[chance], minlength=len(drawn))
    if ((drawn == 0) & (size > 0)).any():
        raise DesignError(
            "after leaving out rows with missing values a stratum has units but no gold; fill the values, or merge "
            "strata."
        )
    share = drawn / np.maximum(size, 1)
    for s in np.flatnonzero(size):
        inside = chance & (stratum == s)
        equal = np.ptp(pi[inside]) == 0 or drawn[s] == size[s]
        pi[inside] = share[s] if equal else _rescaled(pi[inside], int(drawn[s]))
    return pi


def _rescaled(pi: Floats, n: int) -> Floats:
    """Probabilities with the same odds up to a factor that add up to n."""
    from scipy.optimize import brentq

    odds = pi / (1.0 - pi)

    def gap(log_factor: float) -> float:
        scaled = np.exp(log_factor) * odds
        return float((scaled / (1.0 + scaled)).sum() - n)

    scaled = np.exp(brentq(gap, -100.0, 100.0, xtol=1e-14)) * odds
    return np.asarray(scaled / (1.0 + scaled))


@dataclass(frozen=True)
class Known:
    """What rows gain when the known part of the errors counts as predicted.

    Predictions gain ``moved * level[stratum]``, influences ``share * level[stratum]``, 0 in total per stratum; the
    level has shape (S, p), the others (N,).
    """

    moved: Floats
    share: Floats
    stratum: Ints
    level: Floats

    def take(self, rows: Ints | slice) -> Known:
        """The same for some rows."""
        return Known(self.moved[rows], self.share[rows], self.stratum[rows], self.level)

    def cross_product(self, left: Floats, right: Floats, weight: Floats) -> Floats:
        """``sum weight (left - known)(right - known)'`` over its rows, of values whose known part is this."""
        shared = [group_totals(by_row(np.multiply, side, weight * self.moved), self.stratum) for side in (left, right)]
        level = self.level[: shared[0].shape[0]]
        size = np.bincount(self.stratum, weight * self.moved**2)
        out = cross_product(left, right, weight) - dense(shared[0]).T @ level - level.T @ dense(shared[1])
        return np.asarray(out + (level.T * size) @ level)

    def totals(self, group: Ints, groups: int) -> Floats:
        """Totals within groups of rows, shape (groups, p)."""
        strata = len(self.level)
        table = np.bincount(group * strata + self.stratum, weights=self.share, minlength=groups * strata)
        return np.asarray(table.reshape(groups, strata) @ self.level)
