"""Least squares: regressions, means of groups, instruments."""

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


@dataclass(frozen=True)
class Mean(OLS):
    """Least squares on indicators of groups, whose coefficients are the means of the groups."""

    name: ClassVar[str] = "mean"
    title: ClassVar[str] = "Means"

    def check_outcome(self, y: Floats, name: str) -> None:
        """A number must vary; a share may be 0 or 1 in the whole gold sample, which its interval allows for."""
        if not np.isin(y, (0.0, 1.0)).all():
            super().check_outcome(y, name)


@dataclass(frozen=True)
class IV(OLS):
    """Linear regression with instruments: ``m = (z Pi)' (y - x'b)``; rows hold ``z Pi`` on the left."""

    name: ClassVar[str] = "iv"
    title: ClassVar[str] = "Two-stage least squares"
