"""Probit regression."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from .base import Model, check_binary

if TYPE_CHECKING:
    from .._core.types import Floats


@dataclass(frozen=True)
class Probit(Model):
    """Probit regression: ``m = x (y - mu) phi / (mu (1 - mu))``, ``mu = Phi(x'b)``; observed curvature."""

    name: ClassVar[str] = "probit"
    title: ClassVar[str] = "Probit regression"
    separable: ClassVar[bool] = True
    measured_in: ClassVar[str] = "standard deviations of a hidden normal variable"

    def evaluate(self, eta: Floats, y: Floats) -> tuple[Floats, Floats]:
        """Score and observed curvature, stable in both tails through log Phi."""
        from scipy.special import log_ndtr

        log_density = -0.5 * eta**2 - 0.5 * np.log(2 * np.pi)
        up = np.exp(log_density - log_ndtr(eta))
        down = np.exp(log_density - log_ndtr(-eta))
        score = y * up - (1.0 - y) * down
        curvature = y * up * (up + eta) + (1.0 - y) * down * (down - eta)
        return score, curvature

    def mean(self, eta: Floats) -> tuple[Floats, Floats]:
        """Probability and its slope."""
        from scipy.special import ndtr

        return ndtr(eta), np.exp(-0.5 * eta**2) / np.sqrt(2 * np.pi)

    def check_outcome(self, y: Floats, name: str) -> None:
        """Gold must be 0 and 1."""
        check_binary(y, name, "probit")

    def working(self, y: Floats, x: Floats, share: Floats) -> Floats:
        """The first step from 0, damped."""
        return 2.0 * (y - share @ y)
