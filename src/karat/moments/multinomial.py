"""Multinomial logistic regression."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..errors import DataError
from .logit import Logit

if TYPE_CHECKING:
    from .._core.types import Floats


@dataclass(frozen=True)
class Multinomial(Logit):
    """Multinomial logit: ``m_j = x (y_j - mu_j)``, ``mu_j = exp(x'b_j) / (1 + sum_k exp(x'b_k))``.

    The first class is the base: its linear predictor is 0. With two classes this is the logistic regression.
    """

    name: ClassVar[str] = "multinomial"
    title: ClassVar[str] = "Multinomial logistic regression"
    categorical: ClassVar[bool] = True

    def predictors(self, y: Floats) -> int:
        """One for each class but the first."""
        return 1 if y.ndim == 1 else y.shape[1]

    def evaluate(self, eta: Floats, y: Floats) -> tuple[Floats, Floats]:
        """Residuals and ``diag(mu) - mu mu'``."""
        if eta.ndim == 1:
            return super().evaluate(eta, y)
        mu = _probabilities(eta)[:, 1:]
        curvature = -mu[:, :, None] * mu[:, None, :]
        diagonal = np.arange(mu.shape[1])
        curvature[:, diagonal, diagonal] += mu
        return y - mu, curvature

    def mean(self, eta: Floats) -> tuple[Floats, Floats]:
        """Probabilities of all classes, the first one first, and their slopes, shape (m, K, K - 1)."""
        if eta.ndim == 1:
            return super().mean(eta)
        p = _probabilities(eta)
        slope = -p[:, :, None] * p[:, None, 1:]
        j = np.arange(eta.shape[1])
        slope[:, j + 1, j] += p[:, 1:]
        return p, slope

    def check_outcome(self, y: Floats, name: str) -> None:
        """Every class must be there."""
        shares = y[:, None] if y.ndim == 1 else y
        every = np.column_stack([1.0 - shares.sum(axis=1), shares])
        if absent := int((every.max(axis=0) <= 0).sum()):
            raise DataError(
                f"{absent} class(es) of the outcome {name!r} occur in no row, so their coefficients cannot be learnt; "
                "label units that have them, merge classes, or drop unused ones."
            )

    def working(self, y: Floats, x: Floats, share: Floats) -> Floats:
        """Log odds of the classes, the same in every row: the fit without covariates."""
        if y.ndim == 1:
            return super().working(y, x, share)
        level = share @ y
        return np.tile(np.log(level) - np.log1p(-level.sum()), (len(y), 1))

    def told(self, classes: Sequence[Any]) -> str:
        """The base."""
        return f", base {classes[0]!r}"

    def names(self, columns: tuple[str, ...], classes: Sequence[Any]) -> tuple[str, ...]:
        """``"war: Intercept"``, ``"war: x"``, and so on for each class but the first."""
        return tuple(f"{value}: {column}" for value in classes[1:] for column in columns)


def _probabilities(eta: Floats) -> Floats:
    """Of all K classes, the first one's linear predictor being 0, shape (m, K)."""
    top = np.maximum(eta.max(axis=1), 0.0)
    out = np.empty((len(eta), eta.shape[1] + 1))
    out[:, 0] = np.exp(-top)
    out[:, 1:] = np.exp(eta - top[:, None])
    out /= out.sum(axis=1)[:, None]
    return out
