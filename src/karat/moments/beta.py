"""Beta regression."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ..errors import ArgumentError, DataError, number
from .base import check_varies
from .logit import Logit

if TYPE_CHECKING:
    from .._core.types import Floats

_LARGEST_ETA, _LARGEST_LOG = 30.0, 30.0
_EDGE = 1e-6
_MOST_LOG_PRECISION = np.log(1e8)
_FIRST_PRECISION = 0.5, 200.0


@dataclass(frozen=True)
class Beta(Logit):
    """Beta regression: mean ``mu`` with logit link, variance ``mu (1 - mu) / (1 + phi)``; scores in b and ``log phi``.

    The score is linear in ``log y`` and ``log (1 - y)``, not in the outcome; predictions are moved to between ``edge``
    and one minus it.

    Parameters
    ----------
    edge : float, optional
        Above 0 and below .5; by default half as far from 0 and 1 as the nearest gold outcome.
    """

    name: ClassVar[str] = "beta"
    title: ClassVar[str] = "Beta regression"
    separable: ClassVar[bool] = False
    linear_in_outcome: ClassVar[bool] = False
    first: ClassVar[slice | None] = slice(None)
    logarithms: ClassVar[Mapping[str, str]] = {"log(phi)": "Precision phi (variance mu (1 - mu) / (1 + phi))"}

    edge: float | None = None

    def __post_init__(self) -> None:
        if self.edge is not None:
            number("edge", self.edge, above=0.0, below=0.5)

    def settled(self, x: Floats, y: Floats, weight: Floats) -> Beta:
        """With the edge that the gold outcomes set (none where an offset has been taken from them)."""
        nearest = float(min(y.min(), 1.0 - y.max())) if len(y) else 0.0
        if nearest <= 0.0:
            return self
        if self.edge is not None and self.edge > nearest:
            raise ArgumentError(
                f"edge={self.edge:g} would move gold outcomes, of which one is {nearest:g} from 0 or 1; give less."
            )
        return self if self.edge is not None else replace(self, edge=nearest / 2.0)

    def predictors(self, y: Floats) -> int:
        """``x'b`` and ``log phi``."""
        return 2

    def _inside(self, y: Floats) -> Floats:
        edge = _EDGE if self.edge is None else self.edge
        return np.clip(y, edge, 1.0 - edge)

    def evaluate(self, eta: Floats, y: Floats) -> tuple[Floats, Floats]:
        """Derivatives of the log likelihood."""
        from scipy.special import digamma, polygamma

        y = self._inside(y)
        mu, slope = super().mean(np.clip(eta[:, 0], -_LARGEST_ETA, _LARGEST_ETA))
        phi = np.exp(np.clip(eta[:, 1], -_LARGEST_LOG, _LARGEST_LOG))
        rest = slope / mu  # 1 - mu
        a, b = mu * phi, rest * phi
        first, second = polygamma(1, a), polygamma(1, b)
        gap = np.log(y) - np.log1p(-y) - digamma(a) + digamma(b)
        level = mu * gap + np.log1p(-y) - digamma(b) + digamma(phi)
        across = mu * first - rest * second
        score, curvature = np.empty((len(y), 2)), np.empty((len(y), 2, 2))
        score[:, 0], score[:, 1] = phi * slope * gap, phi * level
        curvature[:, 0, 0] = (phi * slope) ** 2 * (first + second) - phi * slope * (1.0 - 2.0 * mu) * gap
        curvature[:, 0, 1] = curvature[:, 1, 0] = phi * slope * (phi * across - gap)
        curvature[:, 1, 1] = phi**2 * (mu**2 * first + rest**2 * second - polygamma(1, phi)) - phi * level
        return score, curvature

    def mean(self, eta: Floats) -> tuple[Floats, Floats]:
        """Expected share and its slope, which is 0 in ``log phi``."""
        if eta.ndim == 1:
            return super().mean(eta)
        mu, slope = super().mean(eta[:, 0])
        return mu, np.column_stack([slope, np.zeros_like(mu)])

    def check_outcome(self, y: Floats, name: str) -> None:
        """Gold must lie strictly between 0 and 1."""
        if (outside := (y <= 0) | (y >= 1)).any():
            raise DataError(
                f"the outcome {name!r} of a beta regression must lie between 0 and 1, without 0 and 1 themselves; it "
                f"runs from {y.min():g} to {y.max():g} ({int(outside.sum())} row(s) are 0, 1 or beyond). kt.fractional "
                "has the same mean and takes 0 and 1; divide percentages by 100."
            )
        check_varies(y, name)

    def working(self, y: Floats, x: Floats, share: Floats) -> Floats:
        """Log odds, and the precision without covariates, which is too small if anything."""
        y = self._inside(y)
        mean = share @ y
        phi = np.clip(mean * (1.0 - mean) / (share @ (y - mean) ** 2) - 1.0, *_FIRST_PRECISION)
        return np.column_stack([np.log(y) - np.log1p(-y), np.full(len(y), np.log(phi))])

    def astray(self, constants: Floats) -> str:
        """The precision of an outcome that covariates tell exactly is infinite."""
        if constants[0] < _MOST_LOG_PRECISION:
            return ""
        return "outcomes hardly differ from their mean, so that the precision has no estimate; use kt.fractional"

    def constants(self, names: Sequence[str]) -> int:
        """The precision."""
        return 1

    def names(self, columns: tuple[str, ...], classes: Sequence[object]) -> tuple[str, ...]:
        """Columns and ``"log(phi)"``."""
        return *columns, "log(phi)"
