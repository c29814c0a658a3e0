"""Labels of several annotators or models: aggregation, scores, audits, explicit gold.

Everything is loaded when first used.
"""

from __future__ import annotations

import importlib
from typing import Any

_HOMES = {
    "aggregate": "front",
    "Aggregator": "base",
    "Annotations": "annotations",
    "read_annotations": "table",
    "read_counts": "table",
    "Not": "answers",
    "SoftLabels": "soft",
    "MajorityVote": "votes",
    "VoteShare": "votes",
    "Softmax": "votes",
    "Wawa": "votes",
    "ZeroBasedSkill": "votes",
    "DawidSkene": "dawid_skene",
    "OneCoin": "dawid_skene",
    "MACE": "mace",
    "GLAD": "glad",
    "TopTwo": "toptwo",
    "aggregate_codes": "multi",
    "MultiLabels": "multi",
    "NumericLabels": "numeric",
    "rate": "numeric",
    "agreement": "concord",
    "Agreement": "concord",
    "krippendorff_alpha": "concord",
    "cohen_kappa": "concord",
    "score": "scoring",
    "Scores": "scoring",
    "reliability": "scoring",
    "reliability_diagram": "scoring",
    "Temperature": "scoring",
    "fit_temperature": "scoring",
    "experts": "gold",
    "ExpertGold": "gold",
    "rules": "programming",
    "RuleModel": "programming",
    "audit": "auditing",
    "Audit": "auditing",
    "alternative_annotator": "alternative",
    "rank_for_review": "review",
    "Review": "review",
    "ensemble_flags": "review",
    "mean_pool": "pools",
    "log_pool": "pools",
    "jensen_shannon_centroid": "pools",
}

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    """Load public names when they are first used."""
    if name not in _HOMES:
        raise AttributeError(f"module 'karat.labels' has no attribute {name!r}")
    value = getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
