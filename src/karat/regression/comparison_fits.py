"""Fit the two estimators a DSL estimate is held against, and test the difference."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import DataError, KaratError, SmallSampleWarning, tell
from ..estimate.augment import AugmentedSample
from ..estimate.covariance import Meat
from ..estimate.infer import Parts, combination, infer, influences
from ..estimate.plugged import surrogate_estimate
from ..estimate.rectify import gold_estimate
from ..estimate.root import newton, warm_start
from ..estimate.rows import Memory, Source, pieces_of
from ..estimate.shares import shares_of
from ..estimate.totals import n_coefficients, row_totals
from ..frames.table import as_float
from ..results.comparison import Column, Comparison, Difference
from ..results.tests import difference_test, joint_freedom, joint_test
from .design_matrix import Design, Prepared
from .predicted_rows import surrogate_rows
from .steps import parts_of

if TYPE_CHECKING:
    from .._core.types import Floats
    from ..estimate.rectify import Estimate
    from ..moments import Model
    from ..results import Result
    from .batches import BatchRows
    from .options import Arguments
    from .variables import Label

TITLES = {"dsl": "DSL", "ppi": "PPI", "gold": "Gold only", "surrogate": "Surrogate only"}
_MUCH_WIDER = 1.25
"""Standard error over that of gold alone from which on the user is told."""
_LARGE = 100_000
"""Units from which on the solver gets a start from a part of them."""
CAUTION = "takes labels for truth; its intervals are not valid"


@dataclass(frozen=True)
class Naive:
    """The regression on surrogates alone, or why there is none.

    Parameters
    ----------
    theta : ndarray, shape (p,)
    parts : Parts
    caution : str
        What must be said next to it.
    """

    theta: Floats
    parts: Parts
    caution: str = CAUTION


def naive_fit(
    model: Model,
    prepared: Prepared,
    matrix: Design,
    sample: AugmentedSample,
    options: Arguments,
    source: BatchRows | None = None,
) -> Naive | str:
    """Fit surrogates alone: the first of each label, plugged in as if it were gold; of batches, from their source.

    Returns
    -------
    Naive or str
        The reason in words where surrogates cannot be used as the labels.
    """
    try:
        given, caution = plugged_labels(prepared)
        if source is None:
            rows: Source = Memory(surrogate_rows(prepared, matrix, given, "value"))
        else:
            rows = source.plugged()
        naive = replace(sample, predicted=rows)
        start = None if model.linear else _cheap_start(model, naive)
        estimate = surrogate_estimate(model, naive, start)
    except (KaratError, np.linalg.LinAlgError) as error:
        return f"Surrogate only is not shown: {error}"
    return Naive(estimate.theta, parts_of(model, naive, estimate, options, "surrogate"), caution)


def plugged_labels(prepared: Prepared) -> tuple[dict[str, Any], str]:
    """The first surrogate of each label, and what must be said of a fit that takes them for gold.

    Raises
    ------
    DataError
        If one cannot be used as the label.
    """
    for label in prepared.labels:
        refuse_other_scale(label)
    given = {label.name: label.surrogates[0].values for label in prepared.labels}
    return given, "; ".join([CAUTION, *_unit_remarks(prepared)])


def refuse_other_scale(label: Label) -> None:
    """Raise where the first surrogate of a 0/1 label is a score on another scale."""
    first = label.surrogates[0]
    if np.ndim(first.values) == 2 and not first.probabilities:
        raise DataError(f"the first surrogate of {label.name!r} has several columns and cannot be used as one label.")
    if label.classes != (0.0, 1.0) or label.coded or first.probabilities:
        return
    values = as_float(first.values, first.name, "surrogate")
    low, high = np.nanmin(values), np.nanmax(values)
    if low < 0 or high > 1:
        raise DataError(
            f"the first surrogate {first.name!r} of {label.name!r} runs from {low:.3g} to {high:.3g} and cannot be "
            "used as a 0/1 label; name a 0/1 surrogate first to see it."
        )


def _unit_remarks(prepared: Prepared) -> list[str]:
    """Remarks where the first surrogate of a number spreads quite differently from its gold."""
    out = []
    for label in prepared.labels:
        first = label.surrogates[0]
        if label.classes or first.probabilities:
            continue
        gold = as_float(label.gold.dropna(), label.name, "gold").std()
        spread = np.nanstd(as_float(first.values, first.name, "surrogate")) if first.sd is None else first.sd
        if gold > 0 and spread > 0 and not 0.5 <= spread / gold <= 2.0:
            out.append(f"{first.name!r} has {spread / gold:.2g} times the standard deviation of {label.name!r}")
    return out


def gold_column(
    result: Result, model: Model, sample: AugmentedSample, estimate: Estimate, options: Arguments
) -> Column | str | None:
    """Gold alone beside a fit; None where the fit is that itself, or why it cannot be had with fixed effects."""
    if options.estimator == "gold":
        return None
    try:
        gold = estimate.gold or gold_estimate(model, sample)
    except DataError as error:
        if sample.units.effects is None and sample.panel is None:
            raise
        return f"gold alone is not shown: {error}".rstrip(".")
    parts = parts_of(model, sample, gold, options, "gold")
    covariance, df = infer(parts, options.vcov, options.target, options.df)
    total, shares = covariance.total, None
    if result.shares is not None:
        shares = shares_of(gold.theta, covariance, sample, parts, options.vcov, options.target)
        total, df, shares = shares.settle(total, df, options.df)
    return Column("Gold only", gold.theta, np.sqrt(np.diag(total)), df, shares)


def wider_than_gold(result: Result, gold: Column | None, options: Arguments) -> tuple[str, ...]:
    """A warning, and a note for the summary, where surrogates cost precision instead of adding it."""
    if gold is None or result.estimator == "surrogate":
        return ()
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.sqrt(np.diag(result.covariance)) / gold.se
    worse = [f"{name} ({value:.2f})" for name, value in zip(result.names, ratio) if _MUCH_WIDER < value < np.inf]
    if not worse:
        return ()
    cure = "estimator='gold' does without them" if options.tuning else "tuning='auto' chooses how much they count"
    note = (
        "the surrogates make standard errors larger than those of gold alone, by the factor in brackets: "
        f"{', '.join(worse)}; {cure}"
    )
    tell(f"{note}.", SmallSampleWarning)
    return (note,)


def compare_with(
    result: Result,
    gold: Column | None,
    parts: Parts,
    naive: Naive | str,
    meat: Meat,
    options: Arguments,
) -> Comparison:
    """Surrogates alone and gold alone beside a fit.

    Parameters
    ----------
    result : Result
        The fit.
    gold : Column or None
        Gold alone.
    parts, options
        What the fit was made from.
    naive : Naive or str
        From :func:`naive_fit`.
    meat : Meat
        Influences of the fit and of the naive one stacked, when they share their rows.

    Returns
    -------
    Comparison
        Surrogates alone are left out, with the reason, where they cannot be used as the labels.
    """
    columns: list[Column] = []
    difference = None
    p = len(result.theta)
    stacked = len(meat.population) == 2 * p
    if isinstance(naive, Naive):
        # without clusters the stacked figures rest on gold rows; surrogates alone are known for all
        own = meat.part(p, 2 * p) if stacked and options.vcov.startswith("CRV") else None
        covariance, df = infer(naive.parts, options.vcov, "superpopulation", options.df, own)
        columns.append(Column("Surrogate only", naive.theta, np.sqrt(np.diag(covariance.total)), df))
        if options.estimator != "surrogate" and options.combine == "mean":
            both = meat if stacked else influences([parts, naive.parts], options.vcov)
            difference = _difference(result, naive, parts, both, options, columns[0].se)
    if gold is not None:
        columns.append(gold)
    if options.estimator != "surrogate":
        se = np.sqrt(np.diag(result.covariance))
        columns.append(Column(TITLES[options.estimator], result.theta, se, result.df, result.shares))
    cautions = {"Surrogate only": naive.caution} if isinstance(naive, Naive) else {}
    return Comparison(
        result.names, tuple(columns), difference, result.effective_gold, result.r_squared, result.alpha,
        result.n_gold, naive if isinstance(naive, str) else "", cautions,
    )  # fmt: skip


def _difference(
    result: Result, naive: Naive, parts: Parts, meat: Meat, options: Arguments, beside: Floats
) -> Difference:
    """Test of equality from stacked influence functions, with the degrees of freedom of the fit."""
    gap = result.theta - naive.theta
    unit = np.eye(len(gap))
    covariance = combination([parts, naive.parts], [unit, -unit], options.vcov, result.target, meat)
    known = np.isfinite(np.diag(result.covariance))
    se = np.where(known, np.sqrt(np.maximum(np.diag(covariance), 0.0)), np.nan)
    se, p_values = difference_test(gap, se, result.df, beside)
    title = f"Difference {TITLES[result.estimator]} - surrogate only"
    moved = known & (se > 0)
    if not moved.any():
        return Difference(title, gap, se, p_values, 0.0, 0, 1.0)

    statistic, rank, rest, p_value = joint_test(
        gap[moved],
        covariance[np.ix_(moved, moved)],
        lambda rows: joint_freedom(result, rows, unit[moved], parts),
    )
    return Difference(title, gap, se, p_values, statistic, rank, p_value, rest)


def _cheap_start(model: Model, sample: AugmentedSample) -> Floats | None:
    """Coefficients from a twentieth of a large corpus, to start the solver near the root."""
    if sample.units.n_units < _LARGE or not isinstance(sample.predicted, Memory):
        return None
    every = np.arange(0, sample.units.n_units, 20)
    some = sample.predicted.at(every)
    if model.local:
        weights = sample.units.weights
        return warm_start(model, some[0], None if weights is None else weights[every])
    totals = row_totals(model, pieces_of(some, None))
    first = np.zeros(n_coefficients(model, sample.gold)) if model.first is None else warm_start(model, some[0], None)
    _, scale = totals(first)
    root = newton(totals, first, scale)
    return root.theta if root.converged else None
