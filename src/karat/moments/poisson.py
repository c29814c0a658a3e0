"""Poisson regression, and gamma regression with the same mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ..errors import DataError
from .base import Model, check_varies

if TYPE_CHECKING:
    from .._core.types import Floats

_LARGEST_ETA = 300.0
"""Beyond this exp overflows when squared; Newton steps that go there are halved, not followed."""


@dataclass(frozen=True)
class Poisson(Model):
    """Poisson (pseudo-)likelihood with log link: ``m = x (y - exp(x'b))``; outcome any number >= 0."""

    name: ClassVar[str] = "poisson"
    title: ClassVar[str] = "Poisson regression"
    vanishes: ClassVar[bool] = True
    measured_in: ClassVar[str] = "logarithms of the mean"
    ratio: ClassVar[str] = "rate ratios"

    def evaluate(self, eta: Floats, y: Floats) -> tuple[Floats, Floats]:
        """Residual and mean."""
        mu = np.exp(np.minimum(eta, _LARGEST_ETA))
        return y - mu, mu

    def mean(self, eta: Floats) -> tuple[Floats, Floats]:
        """Expected count and its slope."""
        mu = np.exp(np.minimum(eta, _LARGEST_ETA))
        return mu, mu

    def check_outcome(self, y: Floats, name: str) -> None:
        """Gold must not be negative, nor all zero."""
        if (y < 0).any():
            raise DataError(
                f"the outcome {name!r} of a Poisson regression is negative in {int((y < 0).sum())} row(s); "
                "counts must be 0 or more."
            )
        if not (y > 0).any():
            raise DataError(f"the outcome {name!r} is always 0; a Poisson regression needs some counts above 0.")

    def working(self, y: Floats, x: Floats, share: Floats) -> Floats:
        """Logarithms, of counts away from 0."""
        return np.log(y + 0.5 * (share @ y))


@dataclass(frozen=True)
class Gamma(Poisson):
    """Gamma (pseudo-)likelihood with log link: ``m = x (y / exp(x'b) - 1)``; outcome any number above 0."""

    name: ClassVar[str] = "gamma"
    title: ClassVar[str] = "Gamma regression"
    ratio: ClassVar[str] = "ratios of means"

    def evaluate(self, eta: Floats, y: Floats) -> tuple[Floats, Floats]:
        """Relative residual, and the outcome over its mean."""
        ratio = y * np.exp(-np.clip(eta, -_LARGEST_ETA, _LARGEST_ETA))
        return ratio - 1.0, ratio

    def check_outcome(self, y: Floats, name: str) -> None:
        """Gold must be above 0."""
        if (y <= 0).any():
            raise DataError(
                f"the outcome {name!r} of a gamma regression is 0 or negative in {int((y <= 0).sum())} row(s); it must "
                "be above 0. kt.poisson has the same mean, exp(x'b), and takes zeros."
            )
        check_varies(y, name)
