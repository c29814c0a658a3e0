"""Means and shares, overall or by group."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from .ols import OLS

if TYPE_CHECKING:
    from .._core.types import Floats


@dataclass(frozen=True)
class Mean(OLS):
    """Least squares on indicators of groups, whose coefficients are the means of the groups."""

    name: ClassVar[str] = "mean"
    title: ClassVar[str] = "Means"

    def check_outcome(self, y: Floats, name: str) -> None:
        """A number must vary; a share may be 0 or 1 in the whole gold sample, which its interval allows for."""
        if not np.isin(y, (0.0, 1.0)).all():
            super().check_outcome(y, name)
