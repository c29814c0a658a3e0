"""karat: valid statistical inference from surrogate labels.

Researchers let a language model label every document, then regress on the labels. Even accurate
labels give wrong coefficients, because their errors depend on the variables in the regression. karat
combines them with expert (gold) labels of a sample drawn with known probabilities, so that intervals
are valid whatever the labels do.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from ._version import __version__

if TYPE_CHECKING:  # what __getattr__ below loads on demand
    from . import annotate, censoring, datasets, designs, errors, labels, predict
    from .checks.diagnose import diagnose
    from .checks.sensitivity import sensitivity
    from .debias import bootstrap
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
    from .doors import logit, mean, ols, poisson, probit
    from .durations.contrast import rmst_contrast
    from .durations.dates import duration_from_dates
    from .durations.regression import rmst
    from .errors import KaratError, KaratWarning
    from .fit import regress
    from .monitor import ConfidenceSequence, confidence_sequence
    from .planning import Plan, allocate, budget, plan, strata
    from .results import Result
    from .specifications.multiverse import multiverse

_HOMES = {
    "Bernoulli": "designs",
    "Clustered": "designs",
    "Design": "designs",
    "Propensity": "designs",
    "Sample": "designs",
    "SimpleRandom": "designs",
    "Stratified": "designs",
    "Unequal": "designs",
    "Waves": "designs",
    "read_sample": "designs",
    "KaratError": "errors",
    "KaratWarning": "errors",
    "Plan": "planning",
    "Result": "results",
    "allocate": "planning",
    "bootstrap": "debias",
    "diagnose": "checks.diagnose",
    "budget": "planning",
    "regress": "fit",
    "duration_from_dates": "durations.dates",
    "rmst": "durations.regression",
    "rmst_contrast": "durations.contrast",
    "sensitivity": "checks.sensitivity",
    "ConfidenceSequence": "monitor",
    "confidence_sequence": "monitor",
    "logit": "doors",
    "mean": "doors",
    "multiverse": "specifications.multiverse",
    "ols": "doors",
    "plan": "planning",
    "poisson": "doors",
    "probit": "doors",
    "strata": "planning",
}
_MODULES = ("annotate", "censoring", "datasets", "designs", "errors", "labels", "predict")

# Spelt out, because type checkers and editors read it; a test holds it against the two above.
__all__ = [
    "__version__",
    "Bernoulli",
    "Clustered",
    "ConfidenceSequence",
    "Design",
    "KaratError",
    "KaratWarning",
    "Plan",
    "Propensity",
    "Result",
    "Sample",
    "SimpleRandom",
    "Stratified",
    "Unequal",
    "Waves",
    "allocate",
    "annotate",
    "bootstrap",
    "budget",
    "censoring",
    "confidence_sequence",
    "datasets",
    "designs",
    "diagnose",
    "duration_from_dates",
    "errors",
    "labels",
    "logit",
    "mean",
    "multiverse",
    "ols",
    "plan",
    "poisson",
    "predict",
    "probit",
    "read_sample",
    "regress",
    "rmst",
    "rmst_contrast",
    "sensitivity",
    "strata",
]


def __getattr__(name: str) -> Any:
    """Load public names when they are first used, so that importing karat is quick."""
    if name in _HOMES:
        value = getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)
    elif name in _MODULES:
        value = importlib.import_module(f".{name}", __name__)
    else:
        raise AttributeError(f"module 'karat' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
