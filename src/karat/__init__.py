"""karat: valid statistical inference from surrogate labels.

Researchers let a language model label every document, then regress on the labels. Even accurate
labels give wrong coefficients, because their errors depend on the variables in the regression. karat
combines them with expert (gold) labels of a sample drawn with known probabilities, so that intervals
are valid whatever the labels do.
"""

from __future__ import annotations

import difflib
import importlib
from typing import TYPE_CHECKING, Any

from ._version import __version__

if TYPE_CHECKING:  # what __getattr__ below loads on demand
    from . import annotate, censoring, datasets, designs, errors, labels, predict
    from .causal.effect import ate
    from .causal.event import did, event_study
    from .causal.event_result import EventStudy
    from .designs import (
        Bernoulli,
        Clustered,
        Design,
        Propensity,
        Sample,
        SimpleRandom,
        Stratified,
        Unequal,
        Waves,
        read_sample,
    )
    from .effects.entry_points import comparisons, predictions, slopes
    from .effects.hazards import proportional_hazards, survival
    from .errors import KaratError, KaratWarning
    from .fieldwork import Spans, read_answers, read_spans
    from .frames.batches import Batches
    from .frames.partitions import Partitions
    from .grouped.aggregate import aggregate
    from .grouped.by_raters import by_raters
    from .grouped.shares import shares
    from .grouped.small_groups import small_groups
    from .planning.allocate import allocate
    from .planning.budget import budget
    from .planning.cascade import plan_cascade
    from .planning.plan import plan
    from .planning.report import Plan
    from .planning.strata import strata
    from .regression.durations.contrast import rmst_contrast
    from .regression.durations.cox import cox
    from .regression.durations.dates import duration_from_dates
    from .regression.durations.rmst import rmst
    from .regression.entry_points import logit, mean, multinomial, ols, poisson, probit, regress
    from .regression.family import expectile, gamma, huber, negative_binomial, ordered, quantile
    from .regression.fractions import beta, fractional
    from .regression.pseudo import pseudo_outcome
    from .regression.several import several
    from .regression.surrogates import Cascade
    from .regression.two_stage import iv
    from .results import Fits, Result
    from .results.tables import table
    from .robustness.bootstrap import bootstrap
    from .robustness.diagnose import diagnose
    from .robustness.multiverse import multiverse
    from .robustness.sensitivity import sensitivity
    from .sequential.monitor import ConfidenceSequence, confidence_sequence
    from .sites.entry_points import combine_sums, site_sums
    from .sites.files import Ask, SiteSums
    from .sites.shares import site_shares

_HOMES = {
    "EventStudy": "causal.event_result",
    "did": "causal.event",
    "event_study": "causal.event",
    "ate": "causal.effect",
    "Batches": "frames.batches",
    "Partitions": "frames.partitions",
    "Bernoulli": "designs",
    "Clustered": "designs",
    "Design": "designs",
    "Propensity": "designs",
    "Sample": "designs",
    "SimpleRandom": "designs",
    "Stratified": "designs",
    "Unequal": "designs",
    "Waves": "designs",
    "read_answers": "fieldwork",
    "read_sample": "designs",
    "read_spans": "fieldwork",
    "Spans": "fieldwork",
    "Fits": "results",
    "KaratError": "errors",
    "KaratWarning": "errors",
    "Plan": "planning",
    "Result": "results",
    "aggregate": "grouped.aggregate",
    "allocate": "planning",
    "bootstrap": "robustness.bootstrap",
    "comparisons": "effects.entry_points",
    "diagnose": "robustness.diagnose",
    "budget": "planning",
    "predictions": "effects.entry_points",
    "regress": "regression.entry_points",
    "Cascade": "regression.surrogates",
    "slopes": "effects.entry_points",
    "proportional_hazards": "effects.hazards",
    "survival": "effects.hazards",
    "cox": "regression.durations.cox",
    "small_groups": "grouped.small_groups",
    "duration_from_dates": "regression.durations.dates",
    "by_raters": "grouped.by_raters",
    "shares": "grouped.shares",
    "rmst": "regression.durations.rmst",
    "rmst_contrast": "regression.durations.contrast",
    "sensitivity": "robustness.sensitivity",
    "several": "regression.several",
    "ConfidenceSequence": "sequential.monitor",
    "confidence_sequence": "sequential.monitor",
    "expectile": "regression.family",
    "fractional": "regression.fractions",
    "gamma": "regression.family",
    "huber": "regression.family",
    "beta": "regression.fractions",
    "negative_binomial": "regression.family",
    "ordered": "regression.family",
    "quantile": "regression.family",
    "iv": "regression.two_stage",
    "logit": "regression.entry_points",
    "mean": "regression.entry_points",
    "multiverse": "robustness.multiverse",
    "multinomial": "regression.entry_points",
    "ols": "regression.entry_points",
    "plan": "planning",
    "plan_cascade": "planning",
    "poisson": "regression.entry_points",
    "probit": "regression.entry_points",
    "pseudo_outcome": "regression.pseudo",
    "strata": "planning",
    "table": "results.tables",
    "Ask": "sites.files",
    "SiteSums": "sites.files",
    "combine_sums": "sites.entry_points",
    "site_shares": "sites.shares",
    "site_sums": "sites.entry_points",
}
_MODULES = ("annotate", "censoring", "datasets", "designs", "errors", "labels", "predict")

# Spelt out, because type checkers and editors read it; a test holds it against the two above.
__all__ = [
    "__version__",
    "Ask",
    "Batches",
    "Bernoulli",
    "Cascade",
    "Clustered",
    "ConfidenceSequence",
    "Design",
    "Fits",
    "KaratError",
    "KaratWarning",
    "Partitions",
    "Plan",
    "Propensity",
    "Result",
    "Sample",
    "SimpleRandom",
    "SiteSums",
    "Spans",
    "Stratified",
    "Unequal",
    "Waves",
    "aggregate",
    "allocate",
    "annotate",
    "ate",
    "event_study",
    "did",
    "EventStudy",
    "bootstrap",
    "budget",
    "by_raters",
    "censoring",
    "combine_sums",
    "comparisons",
    "confidence_sequence",
    "cox",
    "datasets",
    "designs",
    "diagnose",
    "duration_from_dates",
    "errors",
    "expectile",
    "fractional",
    "gamma",
    "huber",
    "iv",
    "labels",
    "logit",
    "mean",
    "multinomial",
    "multiverse",
    "beta",
    "negative_binomial",
    "ols",
    "ordered",
    "plan",
    "plan_cascade",
    "poisson",
    "predict",
    "predictions",
    "probit",
    "proportional_hazards",
    "pseudo_outcome",
    "quantile",
    "read_answers",
    "read_sample",
    "read_spans",
    "regress",
    "rmst",
    "rmst_contrast",
    "sensitivity",
    "several",
    "shares",
    "site_shares",
    "site_sums",
    "slopes",
    "small_groups",
    "strata",
    "survival",
    "table",
]


def __getattr__(name: str) -> Any:
    """Load public names when they are first used, so that importing karat is quick."""
    if name in _HOMES:
        value = getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)
    elif name in _MODULES:
        value = importlib.import_module(f".{name}", __name__)
    else:
        near = difflib.get_close_matches(name.lower(), __all__, n=1)
        hint = f"; did you mean karat.{near[0]}?" if near else ""
        raise AttributeError(f"module 'karat' has no attribute {name!r}{hint}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
