"""What a fit on a table that is read batch by batch cannot do, refused by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..errors import ArgumentError, DataError, FormulaError
from .design_matrix import with_columns
from .options import OPTIONS, Arguments
from .steps import refuse_labelled_within

if TYPE_CHECKING:
    from ..frames.formula import Parsed
    from ..moments import Model
    from .batch_digest import Digest
    from .design_matrix import Design, Prepared
    from .variables import Label

_MODELS = (
    "mean", "ols", "logit", "probit", "poisson", "gamma", "fractional", "expectile", "negative_binomial", "multinomial",
    "ordered", "ordered_probit", "quantile", "huber",
)  # fmt: skip
_WORKS = (
    "design", "learner", "folds", "repeats", "imputation", "tuning", "vcov", "target", "df", "alpha", "missing",
    "cluster", "weights", "compare", "n_jobs", "progress", "seed", "context", "combine", "estimator", "parameters",
    "features", "predictions", "text",
)  # fmt: skip
"""Options that do not need all rows at once; every other one is refused."""


def refuse_whole(options: Arguments) -> None:
    """Raise for what is about all rows at once."""
    if options.combine == "median":
        raise ArgumentError("combine='median' keeps predictions of all rows; with batches take combine='mean'.")
    if options.model not in _MODELS:
        raise ArgumentError(f"model={options.model!r} needs all rows in memory; with batches take one of {_MODELS}.")
    for name, option in OPTIONS.items():
        given = options.cluster if name == "cluster" else options.given[name]
        unset = given is option.default or given is False or (isinstance(given, str) and given == option.default)
        if name not in _WORKS and not unset:
            raise ArgumentError(
                f"{name}= is about all rows at once, and the data come batch by batch; take it out, or read the data "
                "into memory."
            )


def refuse_missing(found: Digest) -> None:
    """Raise where values are missing in columns whose rows are not left out: surrogates, strata, features."""
    if found.missing:
        listed = ", ".join(f"{name!r} ({count})" for name, count in found.missing.items())
        raise DataError(
            f"values are missing in {listed}; of a table that is read batch by batch, rows are left out where columns "
            "of the formula, weights or clusters are missing, and no others. Fill them, or write a file without those "
            "rows."
        )


def refuse_within(parsed: Parsed, model: Model, labels: tuple[Label, ...], all_gold: bool) -> None:
    """Raise where fixed effects of a regression that is not linear cannot be taken out."""
    refuse_labelled_within(parsed, model, labels)
    if parsed.effects and not model.linear and all_gold:
        raise ArgumentError(
            "every row has its gold label, and groups whose outcomes are all alike are looked for in memory; read the "
            "data into memory, or write the fixed effects as covariates."
        )


def refuse_other_rows(prepared: Prepared, matrix: Design) -> None:
    """Raise where the formula gives a row other values when other rows are left out."""
    rows, labels = prepared.gold, prepared.labels
    alone = with_columns(
        prepared.frame.iloc[rows].reset_index(drop=True),
        {label.name: label.gold_column(rows) for label in labels},
        len(rows),
    )
    x, y = matrix.spec.x(alone, prepared.context), matrix.spec.y(alone, prepared.context)
    if not (np.allclose(x, matrix.gold.x, 1e-12, 0.0) and np.allclose(y, matrix.gold.y, 1e-12, 0.0)):
        raise FormulaError(
            f"a function in {prepared.parsed.text!r} gives a row another value when other rows are left out, so it "
            "cannot be worked out batch by batch; compute the column first."
        )
