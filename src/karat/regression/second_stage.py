"""Tables that bring their own estimator into the regression family."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..results import Result


class SecondStage(ABC):
    """Units whose variables were estimated before: :func:`karat.regress` hands the regression on to them."""

    @abstractmethod
    def _regress(self, formula: str, model: str, options: Mapping[str, Any]) -> Result:
        """Fit a formula, with the options that were given."""
