"""Predictor layer: cross-fitted predictions of gold labels."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from .._core.optional import TORCH, optional
from .crossfit import crossfit
from .folds import check_folds, make_folds, row_order
from .values import Predictions, Skill, Target, capped_weights, loss_weights

if TYPE_CHECKING:  # what __getattr__ below loads on demand
    from .networks.classifier import TorchClassifier
    from .networks.regressor import Distribution, TorchRegressor
    from .text.classifier import TransformerClassifier
    from .text.encoder import TextEncoder
    from .text.hashing import HashingEncoder

_HOMES = {
    "Distribution": "networks.regressor", "HashingEncoder": "text.hashing", "TextEncoder": "text.encoder",
    "TorchClassifier": "networks.classifier", "TorchRegressor": "networks.regressor",
    "TransformerClassifier": "text.classifier",
}  # fmt: skip

__all__ = [
    "Distribution", "HashingEncoder", "Predictions", "Skill", "Target", "TextEncoder", "TorchClassifier",
    "TorchRegressor", "TransformerClassifier", "capped_weights", "check_folds", "crossfit", "loss_weights",
    "make_folds", "row_order",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    """Load what needs scikit-learn or torch when it is first used."""
    if name not in _HOMES:
        raise AttributeError(f"module 'karat.predict' has no attribute {name!r}")
    if name == "TransformerClassifier":
        optional("torch", "classifiers of texts", TORCH)
    value = getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)
    globals()[name] = value
    return value
