"""From texts to numbers: encoders, and a classifier that is fine-tuned. Loaded when first used."""

from __future__ import annotations

import importlib
from typing import Any

_HOMES = {"TextEncoder": "encoder", "HashingEncoder": "hashing", "TransformerClassifier": "classifier"}

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    """Load public names when they are first used."""
    if name not in _HOMES:
        raise AttributeError(f"module 'karat.predict.text' has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)
