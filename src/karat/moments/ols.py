"""Least squares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ..errors import DataError
from .base import Model

if TYPE_CHECKING:
    from .._core.types import Floats


@dataclass(frozen=True)
class OLS(Model):
    """Linear regression: ``m = x (y - x'b)``."""

    name: ClassVar[str] = "ols"
    title: ClassVar[str] = "Linear regression"
    linear: ClassVar[bool] = True

    def evaluate(self, eta: Floats, y: Floats) -> tuple[Floats, Floats]:
        """Residual and one."""
        return y - eta, np.ones_like(eta)

    def mean(self, eta: Floats) -> tuple[Floats, Floats]:
        """The linear predictor itself."""
        return eta, np.ones_like(eta)

    def check_outcome(self, y: Floats, name: str) -> None:
        """Gold must vary: a constant has no residuals, and its standard error would be 0."""
        if len(y) > 1 and np.ptp(y) == 0:
            raise DataError(
                f"the gold outcome {name!r} is {y[0]:g} in every row, so nothing can be said about its spread; label "
                "more units (stratify by the surrogate to catch rare values)."
            )
