"""Two-stage least squares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from .ols import OLS


@dataclass(frozen=True)
class IV(OLS):
    """Linear regression with instruments: ``m = (z Pi)' (y - x'b)``; rows hold ``z Pi`` on the left."""

    name: ClassVar[str] = "iv"
    title: ClassVar[str] = "Two-stage least squares"
