"""Gamma regression."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ..errors import DataError
from .base import check_varies
from .poisson import Poisson

if TYPE_CHECKING:
    from .._core.types import Floats

_LARGEST_ETA = 300.0


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
