"""Placeholder until written."""

from __future__ import annotations

from typing import Any

LOSSES = ("soft_cross_entropy",)


def read_loss(loss: str, options: Any) -> tuple[str, dict[str, Any]]:
    return loss, dict(options or {})
