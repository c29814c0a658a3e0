"""Labels from language models, as distributions over classes, with their cost and their origin.

Everything is loaded when first used.
"""

from __future__ import annotations

import importlib
from typing import Any

_HOMES = {
    "label": "labelling",
    "Code": "codebook",
    "Codebook": "codebook",
    "read_codebook": "codebook",
    "pairs": "pairing",
    "Batch": "batch",
    "submit": "batch",
    "Forecast": "forecasting",
    "forecast": "forecasting",
    "Protocol": "locked",
    "Study": "study",
    "read_study": "study_file",
    "Trials": "trials",
    "Drift": "asked_again",
    "drift": "asked_again",
    "Verification": "archive",
    "verify": "archive",
    "recall": "recalled",
    "Recall": "recalled",
    "order_effect": "reordered",
    "OrderEffect": "reordered",
    "OpenSet": "outside",
    "open_set": "outside",
    "Proposals": "proposals",
    "Form": "forms",
    "SpanQuestion": "span_question",
    "SpanAnnotation": "span_result",
    "Question": "question",
    "Endpoint": "endpoint",
    "LocalModel": "local",
    "Annotation": "result",
    "Panel": "panel",
    "Cost": "result",
}

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    """Load public names when they are first used."""
    if name not in _HOMES:
        raise AttributeError(f"module 'karat.annotate' has no attribute {name!r}")
    value = getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
