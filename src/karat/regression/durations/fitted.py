"""A regression of censored durations between its steps, and what estimating the censoring distribution adds."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ...censoring.pseudo import PseudoOutcome, estimation_influence
from ...errors import KaratError
from ...estimate.augment import AugmentedSample
from ...estimate.infer import infer
from ...estimate.rectify import gold_estimate
from ...estimate.rows import Memory, Rows, in_memory
from ...estimate.scores import add_gold_stage, add_population_stage
from ...estimate.totals import linear_predictor
from ...results.comparison import Column, Comparison
from ..comparison_fits import Naive, naive_fit
from ..design_matrix import Design, Prepared
from ..pipeline import Opened
from ..steps import parts_of
from .outcomes import Lasting

if TYPE_CHECKING:
    from ...estimate.infer import Parts
    from ...estimate.rectify import Estimate


@dataclass(frozen=True, kw_only=True)
class DurationFit(Opened):
    """A fit whose censored outcomes are replaced, before its estimate."""

    data: Lasting
    outcome: PseudoOutcome
    known: bool
    form: str


def with_outcome(matrix: Design, data: Lasting, outcome: PseudoOutcome, prepared: Prepared) -> Design:
    """The design with complete outcomes in the place of durations."""
    values, gold = outcome.values, prepared.units.gold
    if data.everywhere:
        return replace(matrix, gold=replace(matrix.gold, y=values[gold]), observed_y=values)
    return replace(matrix, gold=replace(matrix.gold, y=values))


def weighted_rows(fit: DurationFit, sample: AugmentedSample) -> AugmentedSample:
    """Gold rows with their outcomes as they are, and the censoring weight as share of the row."""
    return replace(sample, gold=replace(sample.gold, y=fit.data.values, share=fit.data.weights.values))


def with_estimation(
    fit: DurationFit, sample: AugmentedSample, estimate: Estimate, parts: Parts, estimator: str
) -> Parts:
    """Influences that include what estimating the censoring distribution adds."""
    if fit.known or estimator == "surrogate" or fit.data.weights.complete.all():
        return parts
    data, outcome = fit.data, fit.outcome
    inverse = np.linalg.inv(estimate.curvature)
    x = sample.gold.x * sample.units.gold_weight[:, None]
    if data.everywhere:
        every = np.zeros((sample.units.n_units, x.shape[1]))
        every[sample.units.gold] = x
        if sample.predicted and estimator != "gold":
            _, rest = sample.unit_weights()
            mixing = estimate.tuning.mixing
            for rows in in_memory(sample.predicted, "a regression of durations"):
                share = rest if rows.share is None else rest * rows.share
                every += share[:, None] * (rows.x if mixing is None else rows.x @ mixing.T)
        extra = estimation_influence(data.weights, outcome, every)
        if extra is None:
            return parts
        return replace(parts, scores=add_population_stage(parts.scores, extra @ inverse.T))
    if sample.gold.share is not None:
        fitted, _ = fit.model.mean(linear_predictor(fit.model, sample.gold, estimate.theta))
        last = np.where(data.weights.complete, data.weights.values * (data.values - fitted), 0.0)
        outcome = PseudoOutcome(last, last, np.empty(0))
    extra = estimation_influence(data.weights, outcome, x)
    if extra is None:
        return parts
    return replace(parts, scores=add_gold_stage(parts.scores, extra @ inverse.T))


_NAIVE = {
    "Censored as complete": "takes the time seen for the whole duration; its intervals are not valid",
    "Censored dropped": "keeps short durations more often than long ones; its intervals are not valid",
}


def naive_labels(fit: DurationFit, sample: AugmentedSample) -> Naive | str:
    """Surrogates alone, taken for the truth."""
    if not any(label.surrogates for label in fit.prepared.labels):
        return "Surrogate only is not shown: there are no surrogates"
    if fit.data.outcome.cause is not None and not fit.data.everywhere:
        return "Surrogate only is not shown: a surrogate duration does not say which cause ended it"
    unshared = replace(sample, gold=replace(sample.gold, share=None))
    return naive_fit(fit.model, fit.prepared, fit.matrix, unshared, fit.options)


def more_columns(fit: DurationFit, sample: AugmentedSample, found: Comparison) -> Comparison:
    """The naive answers to censoring beside those to labelling, and gold alone with its full covariance."""
    columns = {column.title: column for column in found.columns}
    remarks = [found.remark] if found.remark else []
    if "Gold only" in columns:
        gold = replace(sample, predicted=Memory())
        if fit.form == "product" and not fit.data.everywhere:
            gold = weighted_rows(fit, gold)
        columns["Gold only"] = _gold_column("Gold only", fit, gold, fit.known)
    if fit.data.weights.complete.all() or fit.options.estimator == "surrogate":
        return replace(found, columns=tuple(columns.values()))
    shown = {title: column for title, column in columns.items() if title == "Surrogate only"}
    for title, rows in zip(_NAIVE, _naive_rows(fit, sample.gold)):
        try:
            shown[title] = _gold_column(title, fit, replace(sample, gold=rows, predicted=Memory()), True)
        except (KaratError, np.linalg.LinAlgError) as error:
            remarks.append(f"{title} is not shown: {error}")
    cautions = {**found.cautions, **{title: _NAIVE[title] for title in _NAIVE if title in shown}}
    every = {**shown, **{title: column for title, column in columns.items() if title not in shown}}
    return replace(found, columns=tuple(every.values()), cautions=cautions, remark="; ".join(remarks))


def _naive_rows(fit: DurationFit, gold: Rows) -> tuple[Rows, Rows]:
    """Gold rows with censored durations taken for complete, and without them."""
    data = fit.data
    at = fit.prepared.units.gold if data.everywhere else slice(None)
    time, cause = data.durations.time, data.durations.cause
    taken = data.outcome.of(time, cause if data.outcome.cause is not None else np.maximum(cause, 1))
    complete = data.weights.complete[at].astype(np.float64)
    return replace(gold, y=taken[at], share=None), replace(gold, y=data.values[at], share=complete)


def _gold_column(title: str, fit: DurationFit, sample: AugmentedSample, known: bool) -> Column:
    estimate = gold_estimate(fit.model, sample)
    options = fit.options.replace(estimator="gold")
    parts = parts_of(fit.model, sample, estimate, options)
    if not known:
        parts = with_estimation(fit, sample, estimate, parts, "gold")
    covariance, df = infer(parts, options.vcov, options.target, options.df)
    return Column(title, estimate.theta, np.sqrt(np.diag(covariance.total)), df)
