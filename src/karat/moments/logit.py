"""Logistic regression, and the same for shares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ..errors import DataError
from .base import Model, check_binary, check_varies

if TYPE_CHECKING:
    from .._core.types import Floats


@dataclass(frozen=True)
class Logit(Model):
    """Logistic regression: ``m = x (y - mu)``, ``mu = 1 / (1 + exp(-x'b))``."""

    name: ClassVar[str] = "logit"
    title: ClassVar[str] = "Logistic regression"
    separable: ClassVar[bool] = True
    measured_in: ClassVar[str] = "log odds"
    ratio: ClassVar[str] = "odds ratios"

    def evaluate(self, eta: Floats, y: Floats) -> tuple[Floats, Floats]:
        """Residual and ``mu (1 - mu)``."""
        mu, slope = self.mean(eta)
        return y - mu, slope

    def mean(self, eta: Floats) -> tuple[Floats, Floats]:
        """Probability and its slope."""
        with np.errstate(over="ignore"):
            mu = np.exp(-eta)
            mu += 1.0
        mu = 1.0 / mu
        slope = 1.0 - mu
        slope *= mu
        return mu, slope

    def check_outcome(self, y: Floats, name: str) -> None:
        """Gold must be 0 and 1."""
        check_binary(y, name, "logit")

    def working(self, y: Floats, x: Floats, share: Floats) -> Floats:
        """The first step from 0, damped."""
        return 3.0 * (y - share @ y)


@dataclass(frozen=True)
class Fractional(Logit):
    """Fractional logit: the score of the logistic regression for an outcome between 0 and 1."""

    name: ClassVar[str] = "fractional"
    title: ClassVar[str] = "Fractional logit"

    def check_outcome(self, y: Floats, name: str) -> None:
        """Gold must lie between 0 and 1."""
        outside = (y < 0) | (y > 1)
        if outside.any():
            raise DataError(
                f"the outcome {name!r} of a fractional logit must lie between 0 and 1; it runs from {y.min():g} to "
                f"{y.max():g} ({int(outside.sum())} row(s) outside). Divide counts by their total and percentages by "
                f"100, for example with I({name} / 100) on the left of the formula."
            )
        check_varies(y, name)
