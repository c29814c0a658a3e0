"""How much gold makes the intervals of small groups short enough."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ArgumentError, number, one_of

if TYPE_CHECKING:
    import pandas as pd

    from .._core.types import Floats

_STEPS = 60

_Between = tuple["Floats", "Floats"]
"""Variances between groups at which errors are told, and at which estimates are weighed."""

_LEAST = 2.0
"""Gold of each group where it is drawn within groups: fewer leave a stratum without a variance."""


def plan_groups(fit: Any, half_width: float, of: str, alpha: float) -> pd.DataFrame:
    """Gold for a half width; see :meth:`SmallGroups.plan`."""
    import pandas as pd

    target = number("half_width", half_width, above=0)
    one_of("of", of, ("average", "worst"))
    need = _Needs(fit, alpha)
    if of == "average":
        gold = need.drawn(target)
        expected = need.expected_of_draw(gold)
    else:
        gold, expected = need.allotted(target)
    table = pd.DataFrame(
        {"documents": need.size, "gold now": need.now, "gold": gold, "half width": expected.max(axis=0)},
        index=pd.Index(fit.group_names, name="group"),
    )
    return table.rename(index=str)


class _Needs:
    """Widths as a function of gold: shrunken variances fall with the group's gold, what all share with all gold.

    The variance between groups is known the better the more gold there is: its upper limit, and the least at which
    estimates are weighed, come down to the estimate as the standard error of this does, which is
    ``(sum (between + error)^-2)^-1/2`` but for a constant.
    """

    def __init__(self, fit: Any, alpha: float) -> None:
        from scipy.stats import norm

        d = len(fit.group_names)
        self.quantile = float(norm.isf(alpha / 2.0))
        self.size, self.now = fit.documents[:d].astype(np.float64), fit.gold[:d].astype(np.float64)
        self.between, self.likely, self.weighed = (
            part.reshape(-1, d) for part in (fit.between, fit.likely, fit.weighed)
        )
        self._between = self.between, self.weighed
        self.residual, self.population = fit.residual.reshape(-1, d), fit.population.reshape(-1, d)
        variance = np.diag(fit.covariance).reshape(-1, d) - self.population
        self.common = np.maximum(variance - self._own(self.now, (self.between, self.weighed)), 0.0)

    def _precision(self, gold: Floats) -> Floats:
        """Of the direct estimates, shape (K, D)."""
        with np.errstate(divide="ignore"):
            number = np.where(gold > 0, 1.0 / np.maximum(1.0 / gold - 1.0 / self.size, 1e-300), 0.0)
        return np.asarray(number / self.residual)

    def _own(self, gold: Floats, between: _Between) -> Floats:
        """What is not known of a group by itself, shape (K, D)."""
        true, weighed = between
        error = 1.0 / np.maximum(self._precision(gold), 1e-300)
        weight = weighed.sum(axis=0) / (weighed + error).sum(axis=0)
        return np.asarray((1.0 - weight) ** 2 * true + weight**2 * error)

    def between_with(self, gold: Floats, now: Floats) -> _Between:
        """Limits of the variance between groups with so much gold, rather than what there is now, shape (K, D)."""

        def known(gold: Floats) -> float:
            precision = self._precision(gold)
            return float(((precision / (1.0 + precision * self.likely)) ** 2).sum())

        ratio = np.sqrt(known(now) / known(gold))
        found = [self.likely + np.minimum(ratio, 1.0) * (one - self.likely) for one in (self.between, self.weighed)]
        return found[0], found[1]

    def half_width(self, gold: Floats, between: _Between, total: float) -> Floats:
        """Half widths with so much gold in each group and in all, shape (K, D)."""
        common = np.where(gold >= self.size, 0.0, self.common * self.now.sum() / total)
        return np.asarray(self.quantile * np.sqrt(self._own(gold, between) + common + self.population))

    def expected_of_draw(self, gold: Floats) -> Floats:
        """Mean half widths where each group's gold is random about ``gold``, shape (K, D)."""
        from scipy.stats import poisson

        if (gold >= self.size).all():
            return self.half_width(self.size, self._between, gold.sum())
        between = self.between_with(gold, self.size / self.size.sum() * self.now.sum())
        out = np.zeros_like(self.between)
        for q in (np.arange(40) + 0.5) / 40:
            out = out + self.half_width(np.minimum(poisson.ppf(q, gold), self.size), between, gold.sum()) / 40
        return np.asarray(out)

    def drawn(self, target: float) -> Floats:
        """Gold of each group when a simple random sample makes the mean half width this small."""
        share = self.size / self.size.sum()
        low, high = 1.0, self.size.sum()
        self._reachable(target, self.expected_of_draw(high * share).mean())
        for _ in range(_STEPS):
            middle = (low + high) / 2.0
            fine = self.expected_of_draw(middle * share).mean() <= target
            low, high = (low, middle) if fine else (middle, high)
        return np.asarray(np.ceil(high) * share)

    def allotted(self, target: float) -> tuple[Floats, Floats]:
        """Least gold of each group, drawn within it, that makes every half width this small; and half widths."""
        self._reachable(target, self.half_width(self.size, self._between, self.size.sum()).max())
        total, between = max(self.now.sum(), 1.0), self._between
        for _ in range(40):
            low, high = np.minimum(_LEAST, self.size), self.size.copy()
            for _ in range(_STEPS):
                middle = np.floor((low + high) / 2.0)
                fine = self.half_width(middle, between, total).max(axis=0) <= target
                low, high = np.where(fine, low, np.minimum(middle + 1.0, high)), np.where(fine, middle, high)
            gold, expected = high, self.half_width(high, between, total)
            if abs(gold.sum() - total) < 0.5:
                break
            total = (total + gold.sum()) / 2.0
            between = self.between_with(gold * total / gold.sum(), self.now)
        return gold, expected

    def _reachable(self, target: float, least: float) -> None:
        if least > target:
            raise ArgumentError(
                f"half_width={target:g} cannot be reached: with every document labelled it is {least:.3g}, since the "
                "documents are a sample themselves; give more, or use target='finite'."
            )
