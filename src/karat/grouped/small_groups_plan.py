"""How much gold makes the intervals of small groups short enough."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ArgumentError, number, one_of

if TYPE_CHECKING:
    import pandas as pd

    from .._core.types import Floats

_STEPS = 60


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
        gold = need.allotted(target)
        expected = need.half_width(gold, gold.sum())
    table = pd.DataFrame(
        {"documents": need.size, "gold now": need.now, "gold": gold, "half width": expected.max(axis=0)},
        index=pd.Index(fit.group_names, name="group"),
    )
    return table.rename(index=str)


class _Needs:
    """Widths as a function of gold: shrunken variances fall with the group's gold, what all share with all gold."""

    def __init__(self, fit: Any, alpha: float) -> None:
        from scipy.stats import norm

        d = len(fit.group_names)
        self.quantile = float(norm.isf(alpha / 2.0))
        self.size, self.now = fit.documents[:d].astype(np.float64), fit.gold[:d].astype(np.float64)
        self.between, self.residual = fit.between.reshape(-1, d), fit.residual.reshape(-1, d)
        self.population = fit.population.reshape(-1, d)
        variance = np.diag(fit.covariance).reshape(-1, d) - self.population
        self.common = np.maximum(variance - self._own(self.now), 0.0)

    def _own(self, gold: Floats) -> Floats:
        """What is not known of a group by itself, shape (K, D)."""
        with np.errstate(divide="ignore"):
            precision = np.where(gold > 0, 1.0 / np.maximum(1.0 / gold - 1.0 / self.size, 1e-300), 0.0)
        return np.asarray(1.0 / (1.0 / self.between + precision / self.residual))

    def half_width(self, gold: Floats, total: float) -> Floats:
        """Half widths with so much gold in each group and in all, shape (K, D)."""
        common = np.where(gold >= self.size, 0.0, self.common * self.now.sum() / total)
        return np.asarray(self.quantile * np.sqrt(self._own(gold) + common + self.population))

    def expected_of_draw(self, gold: Floats) -> Floats:
        """Mean half widths where each group's gold is random about ``gold``, shape (K, D)."""
        from scipy.stats import poisson

        if (gold >= self.size).all():
            return self.half_width(self.size, gold.sum())
        out = np.zeros_like(self.between)
        for q in (np.arange(40) + 0.5) / 40:
            out = out + self.half_width(np.minimum(poisson.ppf(q, gold), self.size), gold.sum()) / 40
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

    def allotted(self, target: float) -> Floats:
        """Least gold of each group, drawn within it, that makes every half width this small."""
        self._reachable(target, self.half_width(self.size, self.size.sum()).max())
        total = max(self.now.sum(), 1.0)
        gold = self.size
        for _ in range(25):
            low, high = np.zeros_like(self.size), self.size.copy()
            for _ in range(_STEPS):
                middle = np.floor((low + high) / 2.0)
                fine = self.half_width(middle, total).max(axis=0) <= target
                low, high = np.where(fine, low, np.minimum(middle + 1.0, high)), np.where(fine, middle, high)
            gold = high
            if abs(gold.sum() - total) < 0.5:
                break
            total = (total + max(gold.sum(), 1.0)) / 2.0
        return np.asarray(gold)

    def _reachable(self, target: float, least: float) -> None:
        if least > target:
            raise ArgumentError(
                f"half_width={target:g} cannot be reached: with every document labelled it is {least:.3g}, since the "
                "documents are a sample themselves; give more, or use target='finite'."
            )
