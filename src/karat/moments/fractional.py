"""Fractional logit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ..errors import DataError
from .base import check_varies
from .logit import Logit

if TYPE_CHECKING:
    from .._core.types import Floats


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
