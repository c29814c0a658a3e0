"""Expectile regression."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ..errors import number
from .ols import OLS
from .quantile import ONE_BY_ONE

if TYPE_CHECKING:
    from .._core.types import Floats


@dataclass(frozen=True)
class Expectile(OLS):
    """Asymmetric least squares: ``m = 2 x |q - 1{y < x'b}| (y - x'b)``; q = 0.5 is the linear regression.

    Parameters
    ----------
    q : float
        Weight of outcomes above the line, one minus that of those below.
    """

    q: float = 0.5

    name: ClassVar[str] = "expectile"
    title: ClassVar[str] = "Expectile regression"
    linear: ClassVar[bool] = False
    linear_in_outcome: ClassVar[bool] = False

    def __post_init__(self) -> None:
        number("q", self.q, above=0, below=1, instead=ONE_BY_ONE)

    @property
    def heading(self) -> str:
        """With the expectile."""
        return f"{self.title}, q = {self.q:g}"

    def evaluate(self, eta: Floats, y: Floats) -> tuple[Floats, Floats]:
        """Weighted residual, and the weight."""
        side = 2.0 * np.where(y < eta, 1.0 - self.q, self.q)
        return side * (y - eta), side
