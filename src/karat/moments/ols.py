"""Least squares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from .base import Model, check_varies

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
        """Gold must vary."""
        check_varies(y, name)
