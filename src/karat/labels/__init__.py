"""Labels of several annotators or models: aggregation, scores, audits, explicit gold.

Everything is loaded when first used.
"""

from __future__ import annotations

import importlib
from typing import Any

_MODULES = {
    "aggregation.aggregate": "aggregate",
    "aggregation.base": "Aggregator",
    "tables.annotations": "Annotations",
    "tables.read": "read_annotations read_counts",
    "tables.row_labels": "Not",
    "aggregation.soft": "SoftLabels",
    "aggregation.votes": "MajorityVote VoteShare Softmax Wawa ZeroBasedSkill",
    "aggregation.dawid_skene": "DawidSkene OneCoin",
    "aggregation.mace": "MACE",
    "aggregation.glad": "GLAD",
    "aggregation.toptwo": "TopTwo",
    "aggregation.multi": "aggregate_codes MultiLabels",
    "aggregation.numeric": "NumericLabels rate",
    "expert_gold.agreement": "agreement Agreement krippendorff_alpha cohen_kappa",
    "quality.held_votes": "calibration Calibration",
    "quality.scoring": "score Scores reliability reliability_diagram Temperature fit_temperature",
    "expert_gold.experts": "experts ExpertGold",
    "aggregation.paired": "bradley_terry PairScores",
    "labelling_rules": "rules RuleModel",
    "quality.auditing": "audit",
    "quality.exposed": "exposure Exposure",
    "quality.report": "Audit",
    "quality.alternative": "alternative_annotator",
    "quality.review": "rank_for_review Review ensemble_flags",
    "aggregation.pooling": "mean_pool log_pool jensen_shannon_centroid",
}
_HOMES = {name: home for home, names in _MODULES.items() for name in names.split()}

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
