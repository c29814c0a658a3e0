"""A regression of censored durations between its steps, and what estimating the censoring distribution adds."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ...censoring.pseudo import PseudoOutcome, estimation_influence
from ...estimate.augment import AugmentedSample
from ...estimate.rows import in_memory
from ...estimate.scores import add_gold_stage, add_population_stage
from ...estimate.totals import linear_predictor
from ..design_matrix import Design, Prepared
from ..pipeline import Opened
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
