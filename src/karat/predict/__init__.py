"""Predictor layer: cross-fitted predictions of gold labels, and encoders of texts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .crossfit import crossfit, loss_weights
from .folds import check_folds, make_folds
from .labels import Predictions, Skill, Target

if TYPE_CHECKING:  # what __getattr__ below loads on demand
    from .text.classifier import TransformerClassifier
    from .text.encoder import TextEncoder
    from .text.hashing import HashingEncoder

_TEXT = ("HashingEncoder", "TextEncoder", "TransformerClassifier")

__all__ = [
    "HashingEncoder",
    "Predictions",
    "Skill",
    "Target",
    "TextEncoder",
    "TransformerClassifier",
    "check_folds",
    "crossfit",
    "loss_weights",
    "make_folds",
]


def __getattr__(name: str) -> Any:
    """Load what needs scikit-learn or more when it is first used."""
    if name in _TEXT:
        from . import text

        return getattr(text, name)
    raise AttributeError(f"module 'karat.predict' has no attribute {name!r}")
