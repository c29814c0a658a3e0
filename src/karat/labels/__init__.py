"""Labels of several annotators or models: aggregation, scores, audits, explicit gold.

Everything is loaded when first used.
"""

from __future__ import annotations

import importlib
from typing import Any

_HOMES = {
    "aggregate": "aggregation.aggregate",
    "Aggregator": "aggregation.base",
    "Annotations": "tables.annotations",
    "read_annotations": "tables.read",
    "read_counts": "tables.read",
    "Not": "tables.row_labels",
    "SoftLabels": "aggregation.soft",
    "MajorityVote": "aggregation.votes",
    "VoteShare": "aggregation.votes",
    "Softmax": "aggregation.votes",
    "Wawa": "aggregation.votes",
    "ZeroBasedSkill": "aggregation.votes",
    "DawidSkene": "aggregation.dawid_skene",
    "OneCoin": "aggregation.dawid_skene",
    "MACE": "aggregation.mace",
    "GLAD": "aggregation.glad",
    "TopTwo": "aggregation.toptwo",
    "aggregate_codes": "aggregation.multi",
    "MultiLabels": "aggregation.multi",
    "NumericLabels": "aggregation.numeric",
    "rate": "aggregation.numeric",
    "agreement": "expert_gold.agreement",
    "Agreement": "expert_gold.agreement",
    "krippendorff_alpha": "expert_gold.agreement",
    "cohen_kappa": "expert_gold.agreement",
    "score": "quality.scoring",
    "Scores": "quality.scoring",
    "reliability": "quality.scoring",
    "reliability_diagram": "quality.scoring",
    "Temperature": "quality.scoring",
    "fit_temperature": "quality.scoring",
    "experts": "expert_gold.experts",
    "ExpertGold": "expert_gold.experts",
    "rules": "labelling_rules",
    "RuleModel": "labelling_rules",
    "audit": "quality.auditing",
    "Audit": "quality.report",
    "alternative_annotator": "quality.alternative",
    "rank_for_review": "quality.review",
    "Review": "quality.review",
    "ensemble_flags": "quality.review",
    "mean_pool": "aggregation.pooling",
    "log_pool": "aggregation.pooling",
    "jensen_shannon_centroid": "aggregation.pooling",
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
