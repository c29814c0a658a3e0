"""Proportional hazards: its coefficients and their names. Scores come from risk sets, see estimate/hazards.py."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ..errors import KaratError
from .base import Model

if TYPE_CHECKING:
    from .._core.types import Floats


@dataclass(frozen=True)
class Cox(Model):
    """Hazard ``exp(x'b)`` times a baseline that is left open (Cox 1972); there is no intercept.

    A row's score depends on all rows at risk with it, so that no factor of its own linear predictor makes it up.
    """

    name: ClassVar[str] = "cox"
    title: ClassVar[str] = "Cox regression"
    linear_in_outcome: ClassVar[bool] = False
    predicts: ClassVar[bool] = False
    measured_in: ClassVar[str] = "log hazards"
    ratio: ClassVar[str] = "hazard ratio"

    ties: str = "efron"

    @property
    def heading(self) -> str:
        """Title with how ties are taken."""
        return f"{self.title}, ties as {self.ties.capitalize()}'s"

    def evaluate(self, eta: Floats, y: Floats) -> tuple[Floats, Floats]:
        """There are no such factors."""
        raise KaratError("the score of a Cox regression is made from risk sets, not from a row's linear predictor.")

    def mean(self, eta: Floats) -> tuple[Floats, Floats]:
        """The baseline hazard is left open."""
        raise KaratError("a Cox regression leaves the baseline hazard open, so that it has no expected outcome.")

    def check_outcome(self, y: Floats, name: str) -> None:
        """Durations are checked where they are read."""
