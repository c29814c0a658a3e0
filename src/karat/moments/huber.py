"""Huber's regression."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ..errors import DataError, number
from .lines import check_width, quantile_line, weighted_quantile
from .ols import OLS

if TYPE_CHECKING:
    from .._core.types import Floats

_NORMAL = 0.6744897501960817
"""Median of the absolute value of a standard normal number."""


@dataclass(frozen=True)
class Huber(OLS):
    """Linear regression with bounded residuals: ``m = x r``, ``r = y - x'b`` cut to ``-k s`` and ``k s``.

    Parameters
    ----------
    k : float
        Standard deviations at which residuals are cut.
    scale : float, optional
        s; by default the median absolute residual of the gold rows about their median line, over .6745.
    """

    k: float = 1.345
    scale: float | None = None

    name: ClassVar[str] = "huber"
    title: ClassVar[str] = "Huber regression"
    linear: ClassVar[bool] = False
    linear_in_outcome: ClassVar[bool] = False
    local: ClassVar[bool] = True

    def __post_init__(self) -> None:
        number("k", self.k, above=0)
        if self.scale is not None:
            number("scale", self.scale, above=0, instead="or None")

    @property
    def heading(self) -> str:
        """With where residuals are cut."""
        return self.title if self.scale is None else f"{self.title}, residuals cut at {self.k * self.scale:.4g}"

    def settled(self, x: Floats, y: Floats, weight: Floats) -> Huber:
        """With the scale of the gold residuals."""
        residual = np.abs(y - quantile_line(x, y, weight, 0.5))
        if self.scale is not None:
            check_width("scale", self.scale, residual, self.k * self.scale, x.shape[1])
            return self
        scale = weighted_quantile(residual, weight, 0.5) / _NORMAL
        if not scale > 1e-9 * float(np.abs(y).max()):
            raise DataError(
                "half of the gold outcomes lie on a line, so the scale of the others cannot be told from them; give "
                "scale=, or use kt.ols."
            )
        return replace(self, scale=scale)

    def evaluate(self, eta: Floats, y: Floats) -> tuple[Floats, Floats]:
        """Bounded residual, and whether it is within the bounds."""
        assert self.scale is not None
        residual, bound = y - eta, self.k * self.scale
        return np.clip(residual, -bound, bound), (np.abs(residual) <= bound).astype(np.float64)

    def working(self, y: Floats, x: Floats, share: Floats) -> Floats:
        """The median line, about."""
        return quantile_line(x, y, share, 0.5)
