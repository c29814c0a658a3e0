"""Opening and closing a fit: what every regression does before and after its estimate.

``open_fit`` goes from arguments and a table to variables, design matrices, seed and predictions; ``close_fit`` from
there to a Result. What a regression of another kind does on top is said by its ``Steps``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

import numpy as np

from .. import designs
from .. import moments as models
from ..checks.duplicates import shown_rows
from ..errors import ArgumentError, generator
from ..estimate.augment import AugmentedSample
from ..estimate.covariance import Meat
from ..estimate.infer import Parts, infer, influences
from ..estimate.rectify import gold_estimate, rectify
from ..estimate.rows import Rows
from ..estimate.shares import group_means, shares_of
from ..frames import Table
from ..frames.formula import Parsed, parse
from ..frames.partitions import Partitions
from ..predict import Predictions
from ..results import Result
from .batches import BatchRows, learns, read_batches
from .comparison_fits import Naive, compare_with, gold_column, naive_fit, wider_than_gold
from .describe import describe, few_wrong
from .design_matrix import Design, Prepared, matrices, prepare
from .fixed_effects import incidental
from .options import Arguments
from .predicted_rows import refuse_other_labels
from .steps import (
    augmented,
    estimated,
    frame_features,
    keeps_scores,
    median_over_splits,
    one_surrogate,
    parts_of,
    predicted_blocks,
    refuse_effects,
    refuse_labelled_within,
    refuse_unused,
    seed_of_fit,
    split_share,
    tell_user,
)
from .unseen import with_unseen
from .variables import Label, labelled_rows, read_labels
from .workers import WorkerRows

if TYPE_CHECKING:
    from .._core.types import Bools, Floats, Ints
    from ..designs import Labelling
    from ..estimate.covariance import Covariance
    from ..estimate.rectify import Estimate
    from ..estimate.tune import Tuning
    from ..frames.batches import Batches
    from ..frames.matrices import Features
    from ..moments import Model
    from .design_matrix import Design, Prepared


@dataclass(frozen=True)
class Opened:
    """A fit before its estimate."""

    model: models.Model
    options: Arguments
    table: Table
    gold_rows: Bools
    prepared: Prepared
    matrix: Design
    seed: Any
    rng: np.random.Generator
    own: Features | None = None
    predicted: Predictions | None = None
    blocks: tuple[Rows, ...] = ()
    source: BatchRows | None = None

    @property
    def sample(self) -> AugmentedSample:
        """Gold rows and predicted rows as one augmented sample."""
        sample = augmented(self.prepared, self.matrix, self.blocks, self.model)
        if self.source is None or self.options.estimator == "gold":
            return sample
        return replace(sample, predicted=self.source)

    def check_outcome(self) -> None:
        """Raise where the outcome cannot come from the model."""
        for y in (self.matrix.gold.y, self.matrix.observed_y):
            if y is not None:
                self.model.check_outcome(y, self.prepared.parsed.outcome)


F = TypeVar("F", bound=Opened)


class Steps(Generic[F]):
    """What a kind of regression does beyond a plain one: here, nothing."""

    takes_effects = True
    """Whether fixed effects may stand after a bar."""

    def model(self, options: Arguments) -> Model:
        """The model."""
        return models.get(options.model, options.parameters)

    def labels(self, parsed: Parsed, table: Table, options: Arguments) -> tuple[Label, ...]:
        """The labelled variables."""
        return read_labels(parsed, table, options.surrogates)

    def word(self, options: Arguments) -> str:
        """What, next to the formula, a seed is made from where none is given."""
        return options.model

    def groups(self, fit: Opened) -> Ints | None:
        """To which of several means each row belongs, in the order of their names; None where the formula says it."""
        return None

    def predict(self, fit: Opened) -> F:
        """Outcome checked, predictions made."""
        fit.check_outcome()
        own = frame_features(fit.prepared, fit.options, fit.options.predictions)
        predicted, blocks = predicted_blocks(
            fit.prepared,
            fit.matrix,
            fit.options,
            fit.options.predictions,
            own,
            fit.options.features,
            fit.table,
            fit.rng,
            self.groups(fit),
        )
        return cast(F, replace(fit, own=own, predicted=predicted, blocks=blocks))

    def sample(self, fit: F) -> AugmentedSample:
        """The augmented sample."""
        return fit.sample

    def estimate(self, fit: F, sample: AugmentedSample) -> Estimate:
        """The estimate that was asked for."""
        return estimated(fit.model, sample, fit.options, fit.predicted is not None)

    def parts(self, fit: F, sample: AugmentedSample, estimate: Estimate) -> Parts:
        """What covariances are made from."""
        parts = parts_of(fit.model, sample, estimate, fit.options)
        if fit.options.estimator == "surrogate":
            return parts
        return with_unseen(parts, fit.model, fit.prepared, fit.matrix, sample, estimate.theta)

    def naive(self, fit: F, sample: AugmentedSample) -> Naive | str:
        """Surrogates alone, taken for the truth."""
        return naive_fit(fit.model, fit.prepared, fit.matrix, sample, fit.options, fit.source)

    def finish(
        self, result: Result, fit: F, sample: AugmentedSample, estimate: Estimate, parts: Parts,
        naive: Naive | str, meat: Meat,
    ) -> Result:  # fmt: skip
        """Notes and comparison; the call, so that the fit can be made again."""
        gold = gold_column(result, fit.model, sample, estimate, fit.options)
        if isinstance(gold, str):
            result, gold = result.replace(notes=(*result.notes, gold)), None
        notes = wider_than_gold(result, gold, fit.options) + few_wrong(result, parts)
        if sample.units.effects is not None:
            notes += incidental(result, fit.model, sample, fit.options.estimator)
        result = result.replace(notes=(*result.notes, *notes))
        if fit.options.compare:
            result = result.replace(comparison=compare_with(result, gold, parts, naive, meat, fit.options))
        return result.replace(call=fit.options.call.seeded(fit.seed))


PLAIN: Steps[Opened] = Steps()


def open_fit(options: Arguments, data: object, steps: Steps[F]) -> F:
    """From arguments and a table to design matrices and predictions."""
    refuse_unused(options, options.predictions, options.features)
    model = steps.model(options)
    table = Table.read(data)
    parsed = parse(options.formula, table.names, options.context, model.categorical)
    refuse_effects(parsed, model, steps.takes_effects)
    labels = steps.labels(parsed, table, options)
    refuse_labelled_within(parsed, model, labels)
    gold_rows, shown, labelling = read_frame(options, table, labels)
    prepared = prepare(
        table, parsed, labels, labelling, weights=options.weights, cluster=options.cluster, missing=options.missing,
        context=options.context, shown=shown, subset=options.subset, model=model,
    )  # fmt: skip
    matrix = matrices(prepared, model)
    refuse_other_labels(prepared, matrix)
    seed = seed_of_fit(options.seed, prepared, steps.word(options), options.formula)
    fit = steps.predict(Opened(model, options, table, gold_rows, prepared, matrix, seed, generator(seed)))
    return replace(fit, model=settled(model, augmented(prepared, matrix, ())))


def read_frame(options: Arguments, table: Table, labels: tuple[Label, ...]) -> tuple[Bools, Bools | None, Labelling]:
    """Gold rows, rows that the labeller has seen, and the draw from all others."""
    gold_rows = labelled_rows(labels, table, options.labelled)
    shown = None if options.shown is None else shown_rows(options.shown, table)
    labelling = designs.read_draw(options.design, table, gold_rows, options.sampled, options.nonresponse, shown)
    return gold_rows, shown, labelling


def settled(model: Model, sample: AugmentedSample) -> Model:
    """The model with what must be a fixed number before the root is sought."""
    gold = sample.gold
    own = gold.offset is None or gold.y.ndim > 1
    return model.settled(gold.x, gold.y if own else gold.y - gold.offset, sample.units.gold_weight)


def open_batches(options: Arguments, batches: Batches, alike: bool = True) -> Opened:
    """The same for a table that is read batch by batch; rows that are alike may be told once."""
    refuse_unused(options, options.predictions, options.features)
    model = models.get(options.model, options.parameters)
    source = read_batches(options, batches, model, alike)
    if isinstance(batches, Partitions) and source.batches is batches and options.text is None:
        source = WorkerRows.of(source, batches)
    prepared, matrix = source.prepared, source.matrix
    if not learns(options) and options.predictions is None:
        one_surrogate(prepared, options)
    seed = seed_of_fit(options.seed, prepared, options.model, options.formula)
    rng = generator(seed)
    fit = Opened(
        model, options.replace(scores=False), source.head, np.isin(np.arange(source.head.n_rows), prepared.gold),
        prepared, matrix, seed, rng, source=source,
    )  # fmt: skip
    fit.check_outcome()
    if learns(options):
        source = source.learnt(rng)
        fit = replace(fit, source=source, predicted=source.gold_predictions)
    return replace(fit, model=settled(model, augmented(prepared, matrix, ())))


def close_fit(fit: F, *, steps: Steps[F], assumed: bool) -> Result:
    """From an opened fit to its Result: root, weights, influences, covariance, comparison."""
    model, options, predicted = fit.model, fit.options, fit.predicted
    sample = steps.sample(fit)
    estimate = steps.estimate(fit, sample)
    parts = steps.parts(fit, sample, estimate)
    naive = steps.naive(fit, sample) if options.compare else "not asked for"
    together = [parts, naive.parts] if isinstance(naive, Naive) and not parts.scores.gold_alone else [parts]
    meat = influences(together, options.vcov)
    covariance, df = infer(parts, options.vcov, options.target, options.df, meat.part(0, len(estimate.theta)))
    result = describe(
        model, fit.prepared, fit.matrix, options, estimate, parts, covariance, df, predicted, fit.own,
        assumed=assumed, keep_parts=keeps_scores(options, sample),
    )  # fmt: skip
    if predicted is not None and predicted.splits and (estimate.noise is None or options.combine == "median"):
        over = median_over_splits if options.combine == "median" else split_share
        result = over(result, model, fit.prepared, fit.matrix, options, predicted)
    if model.name == "mean" and options.estimator != "surrogate" and group_means(sample.gold.x):
        shares = shares_of(estimate.theta, covariance, sample, parts, options.vcov, options.target)
        settled, df, shares = shares.settle(result.covariance, result.df, options.df)
        result = result.replace(covariance=settled, df=df, shares=shares)
    result = steps.finish(result, fit, sample, estimate, parts, naive, meat)
    tell_user(result, estimate, options)
    return result.replace(seed=None if isinstance(fit.seed, np.random.Generator) else int(fit.seed))


@dataclass(frozen=True)
class Pieces:
    """What a fit was made from.

    Parameters
    ----------
    model : Model
    prepared : Prepared
    matrix : Design
    sample : AugmentedSample
    options : Arguments
    tuning : Tuning
        Weights chosen for the fit; kept when labels or weights change.
    crossfitted : bool
    """

    model: Model
    prepared: Prepared
    matrix: Design
    sample: AugmentedSample
    options: Arguments
    tuning: Tuning
    crossfitted: bool

    def again(self, sample: AugmentedSample) -> tuple[Estimate, Covariance, Floats]:
        """Estimate, covariance and degrees of freedom on a changed sample, with the weights of the fit."""
        if self.options.estimator == "gold" or not sample.predicted:
            estimate = gold_estimate(self.model, sample)
        else:
            plain = self.options.tuning is None and sample.units.effects is not None
            estimate = rectify(self.model, sample, None if plain else self.tuning, self.crossfitted)
        parts = parts_of(self.model, sample, estimate, self.options)
        parts = with_unseen(parts, self.model, self.prepared, self.matrix, sample, estimate.theta)
        covariance, df = infer(parts, self.options.vcov, self.options.target, self.options.df)
        return estimate, covariance, df


def pieces(options: Arguments, data: object) -> Pieces:
    """Take a fit apart.

    Raises
    ------
    ArgumentError
        If the fit has no single estimating equation, or uses no gold.
    """
    if options.combine == "median":
        raise ArgumentError("combine='median' has no single estimating equation to change; use combine='mean'.")
    if options.estimator == "surrogate":
        raise ArgumentError("estimator='surrogate' uses no gold, so nothing about the gold can change it.")
    fit = open_fit(options, data, PLAIN)
    sample, crossfitted = fit.sample, fit.predicted is not None
    estimate = estimated(fit.model, sample, options, crossfitted)
    tuning = replace(estimate.tuning, left_out=None)  # other samples have other units
    return Pieces(fit.model, fit.prepared, fit.matrix, sample, options, tuning, crossfitted)


def drawn_of(labelling: Labelling) -> Labelling:
    """All rows drawn, of which some gave no label.

    Raises
    ------
    ArgumentError
        If none is missing.
    """
    first = labelling.first
    if first is None or first.n_gold == labelling.n_gold:
        raise ArgumentError(
            "every row drawn has its label, so no missing label can change the result. Pass the whole draw with "
            "design=sample.design (or sampled=) and nonresponse='ignorable', or design=karat.Propensity(...) for gold "
            "that nobody drew."
        )
    return first
