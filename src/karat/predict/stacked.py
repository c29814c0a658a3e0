"""Two learners averaged, with a weight that follows from their out-of-fold errors.

Taking the one with the smaller loss is choosing, on the gold of which the interval is made, the one whose errors
happened to be small there: where few gold rows carry the labelling variance, it then looks smaller than it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from . import learners
from .values import Target, name_of

if TYPE_CHECKING:
    from .._core.types import Floats, Ints

_SPREAD = 1.0 / 12.0
"""Variance of a weight of which nothing is known: any number from 0 to 1 may be right."""


@dataclass(frozen=True)
class Stacked:
    """The mean of two learners' predictions, ``(1 - weight) first + weight second``.

    Parameters
    ----------
    first, second : str or plan of a learner
    weight : float
    """

    first: Any
    second: Any
    weight: float

    @classmethod
    def of(
        cls, first: Any, second: Any, target: Target, x: Floats, fold: Ints, weight: Floats | None, seed: int
    ) -> Any:
        """Two learners weighed by their errors on the gold rows ``x``; one of them where the other is of no use."""
        one, other = (learners.out_of_fold(target, part, x, (), fold, weight, seed) for part in (first, second))
        actual = np.eye(target.n_classes)[target.values.astype(np.intp)] if target.n_classes else target.values
        share = share_of_second(actual, one, other, weight)
        return first if share == 0 else second if share == 1 else cls(first, second, share)

    @property
    def title(self) -> str:
        """Printable name."""
        return f"{name_of(self.first)} and {name_of(self.second)} ({self.weight:.0%})"

    def built(self, n_classes: int, seed: int, inner: Ints | None) -> StackedLearner:
        """A fresh estimator; ``inner`` (m,): folds of the rows it will be fitted on, clusters whole."""
        return StackedLearner(self, n_classes, seed, inner)


def share_of_second(actual: Floats, first: Floats, second: Floats, weight: Floats | None) -> float:
    """Weight of the second of two predictions: that of least squares, drawn to one half as far as it is noise.

    Least squares give ``w = sum d'(y - first) / sum d'd`` of the differences d, with a standard error s from the
    squares of what each row adds. Taken as a measurement of a number anywhere from 0 to 1, it counts with
    ``1/12 / (1/12 + s^2)``, and one half with the rest.

    Parameters
    ----------
    actual, first, second : ndarray, shape (n,) or (n, K)
        Labels, and predictions out of fold.
    weight : ndarray, shape (n,), or None
        Of the rows.

    Returns
    -------
    float
        From 0 to 1; 0 where the two predict the same.

    Examples
    --------
    >>> y = np.array([0.0, 1.0, 3.0, 6.0, 8.0])
    >>> share_of_second(y, np.full(5, 3.6), y, None)
    1.0
    """
    n = len(actual)
    apart, left = (second - first).reshape(n, -1), (actual - first).reshape(n, -1)
    own = np.ones(n) if weight is None else weight
    total = float(own @ (apart**2).sum(axis=1))
    if total == 0:
        return 0.0
    raw = float(own @ (apart * left).sum(axis=1)) / total
    adds = own * (apart * (left - raw * apart)).sum(axis=1) / total
    counts = _SPREAD / (_SPREAD + float(adds @ adds))
    return float(np.clip(counts * raw + (1.0 - counts) / 2.0, 0.0, 1.0))


class StackedLearner:
    """Both learners, fitted on the same rows."""

    def __init__(self, plan: Stacked, n_classes: int, seed: int, inner: Ints | None) -> None:
        self.plan, self.n_classes, self.seed, self.inner = plan, n_classes, seed, inner

    def fit(self, x: Floats, y: Any, sample_weight: Floats | None = None) -> StackedLearner:
        """Fit on (m, f) features and (m,) labels."""
        self.target_ = Target("the label", np.asarray(y, dtype=np.float64), self.n_classes)
        self.fitted_ = [
            learners.fit_label(self.target_, part, x, self.target_.values, sample_weight, self.seed, inner=self.inner)
            for part in (self.plan.first, self.plan.second)
        ]
        return self

    def predict(self, x: Floats) -> Floats:
        """Numbers (m,)."""
        return self._mean(x)

    def predict_proba(self, x: Floats) -> Floats:
        """Class probabilities (m, K)."""
        return self._mean(x)

    def _mean(self, x: Floats) -> Floats:
        first, second = (learners.predict_label(one, self.target_, x) for one in self.fitted_)
        return np.asarray((1.0 - self.plan.weight) * first + self.plan.weight * second)
