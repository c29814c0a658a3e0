"""Cox regression with labelled covariates: durations and events are known for all units.

Reads as :func:`karat.regress` does; the estimate comes from risk sets (:mod:`karat.estimate.proportional`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, Unpack

import numpy as np

from ..._core.arguments import checked_arguments
from ..._core.machine import single_threaded
from ..._core.types import ColumnLike
from ...errors import ArgumentError, DataError, KaratError, one_of
from ...estimate.augment import AugmentedSample
from ...estimate.baseline import Baseline
from ...estimate.covariance import Meat
from ...estimate.hazards import hazard_curvatures
from ...estimate.infer import Parts, infer
from ...estimate.proportional import gold_hazards, rectified_hazards, surrogate_hazards
from ...estimate.risk_sets import RiskSets
from ...estimate.rows import Memory, Rows
from ...frames import Table
from ...frames.formula import Parsed
from ...frames.table import as_float
from ...moments import Cox
from ...results import Result
from ...results.comparison import Column
from ..comparison_fits import Naive, compare_with, plugged_labels, wider_than_gold
from ..design_matrix import Design
from ..options import Arguments, FitOptions
from ..pipeline import Opened, Steps, close_fit, open_fit
from ..predicted_rows import surrogate_rows
from ..steps import frame_features, predicted_blocks
from ..variables import Label, read_labels
from .follow_up import FollowUp, read_follow_up

if TYPE_CHECKING:
    from ..._core.types import Floats
    from ...estimate.rectify import Estimate
    from ...moments import Model


@checked_arguments(FitOptions)
@single_threaded
def cox(
    formula: str,
    data: object,
    *,
    surrogates: Mapping[str, Any],
    event: ColumnLike,
    entry: ColumnLike | None = None,
    strata: ColumnLike | list[str] | None = None,
    ties: Literal["efron", "breslow"] = "efron",
    **options: Unpack[FitOptions],
) -> Result:
    """Cox proportional hazards regression whose covariates are known through surrogate labels.

    When each unit ended, or was last seen, is known for all; what the covariates are is known through gold labels in a
    sample, and through a model's labels for all. The risk sets of the partial likelihood hold gold and predicted rows.

    Parameters
    ----------
    formula : str
        ``"duration ~ covariates"``; the duration is a column, known for all rows, in any unit of time.
    data : data frame
    surrogates : mapping
        Labelled covariate -> its surrogate(s), as in :func:`karat.regress`.
    event : str or array_like
        1 where the end was seen, 0 where censored.
    entry : str or array_like, optional
        Where units come under observation late (left truncation), the time at which they do, on the clock of the
        duration; units are at risk after it, up to and including their duration.
    strata : str, list of str or array_like, optional
        Groups that have a baseline hazard of their own.
    ties : {"efron", "breslow"}
        How events at the same time are taken. Efron's form is closer to durations that were rounded; statsmodels has
        Breslow's by default, R has Efron's.
    **options
        As in :func:`karat.regress`.

    Returns
    -------
    Result
        Coefficients are log hazard ratios; ``ratios()`` gives hazard ratios.

    Raises
    ------
    KaratError
        One of its children, naming the argument or column at fault and how to correct it.

    Notes
    -----
    Only the order of durations counts. Predictors see the event and the cumulative hazard at the duration
    (Nelson-Aalen), since label errors may depend on how long a unit lasted. Labelled durations or events, covariates
    that change over time and predictions of durations are not offered; for labelled durations see :func:`karat.rmst`.

    References
    ----------
    Cox (1972), *Regression models and life-tables*; Lin and Wei (1989), *The robust inference for the Cox proportional
    hazards model*; Binder (1992), *Fitting Cox's proportional hazards models from survey data*; Efron (1977); White and
    Royston (2009) on what predicts covariates. The estimator: methods, section 7.1.

    Examples
    --------
    >>> import numpy as np, pandas as pd, karat as kt
    >>> rng = np.random.default_rng(1)
    >>> hostile = rng.binomial(1, 0.4, 2000)
    >>> t, c = rng.exponential(np.exp(-0.7 * hostile)), rng.exponential(1.0, 2000)
    >>> data = pd.DataFrame({"time": np.minimum(t, c), "event": t <= c, "hostile": hostile.astype(float)})
    >>> data["llm"] = np.where(rng.random(2000) < 0.9, hostile, 1 - hostile)
    >>> labelled = kt.datasets.mask_gold(data, kt.SimpleRandom(n=400).draw(data, seed=1), "hostile")
    >>> fit = kt.cox("time ~ hostile", labelled, event="event", surrogates={"hostile": "llm"}, seed=1)
    >>> fit.names, bool(abs(fit.theta[0] - 0.7) < 0.3)
    (('hostile',), True)
    """
    one_of("ties", ties, ("efron", "breslow"))
    arguments = Arguments.of("cox", formula, surrogates, options)
    if arguments.combine == "median":
        raise ArgumentError("combine='median' is not offered for a Cox regression; use combine='mean'.")
    steps = _Proportional(event, entry, strata, ties)
    fit = open_fit(arguments, data, steps)
    return close_fit(fit, assumed=arguments.design is None, steps=steps)


@dataclass(frozen=True, kw_only=True)
class CoxFit(Opened):
    """A fit with the times under observation of its units.

    ``full`` has the design with its intercept, from which ``columns`` are taken and ``centre`` is taken off.
    """

    full: Design
    sets: RiskSets
    columns: list[int]
    centre: Floats
    follow_up: FollowUp
    notes: tuple[str, ...]

    @property
    def sample(self) -> AugmentedSample:
        """Gold rows and predicted rows, each with its unit in the place of an outcome."""
        units, gold = self.prepared.units, self.placed(self.full.gold)
        gold = replace(gold, y=units.gold.astype(np.float64))
        predicted = Memory(tuple(self.placed(rows) for rows in self.blocks))
        return AugmentedSample(gold, predicted, units, self.matrix.spec.columns)

    def placed(self, rows: Rows) -> Rows:
        """Rows of units without intercept."""
        x = np.asfortranarray(rows.x[:, self.columns] - self.centre)
        return replace(rows, x=x, y=np.arange(len(x), dtype=np.float64))


@dataclass(frozen=True)
class _Proportional(Steps[CoxFit]):
    """Risk sets take the place of an outcome."""

    event: object
    entry: object
    strata: object
    ties: str

    def model(self, options: Arguments) -> Model:
        return Cox(self.ties)

    def labels(self, parsed: Parsed, table: Table, options: Arguments) -> tuple[Label, ...]:
        _refuse_labelled_durations(parsed, table, options.surrogates, self.event)
        return read_labels(parsed, table, options.surrogates)

    def predict(self, fit: Opened) -> CoxFit:
        options, table, full = fit.options, fit.table, fit.matrix
        follow_up = read_follow_up(fit.prepared, full, table, self.event, self.entry, self.strata)
        prepared = follow_up.with_features(fit.prepared)
        own = frame_features(prepared, options, options.predictions)
        predicted, blocks = predicted_blocks(
            prepared, full, options, options.predictions, own, options.features, table, fit.rng
        )
        columns = [j for j, name in enumerate(full.spec.columns) if name != "Intercept"]
        names = tuple(full.spec.columns[j] for j in columns)
        x, weight = full.gold.x[:, columns], prepared.units.gold_weight
        _refuse_constant(x, names, fit.prepared.parsed)
        return CoxFit(
            fit.model, options, table, fit.gold_rows, prepared,
            replace(full, spec=replace(full.spec, columns=names, names=names)), fit.seed, fit.rng, own,
            None if predicted is None else replace(predicted, splits=()), blocks, full=full,
            sets=follow_up.risk_sets(self.ties), columns=columns, centre=weight @ x / weight.sum(),
            follow_up=follow_up, notes=follow_up.notes(prepared.units.gold),
        )  # fmt: skip

    def estimate(self, fit: CoxFit, sample: AugmentedSample) -> Estimate:
        options = fit.options
        if options.estimator == "surrogate":
            return surrogate_hazards(fit.sets, sample)
        if options.estimator == "gold" or not sample.predicted:
            return gold_hazards(fit.sets, sample)
        return rectified_hazards(fit.sets, sample, options.tuning, fit.predicted is not None)

    def parts(self, fit: CoxFit, sample: AugmentedSample, estimate: Estimate) -> Parts:
        return _parts(fit, sample, estimate, fit.options.estimator if sample.predicted else "gold")

    def naive(self, fit: CoxFit, sample: AugmentedSample) -> Naive | str:
        try:
            given, caution = plugged_labels(fit.prepared)
            rows = surrogate_rows(fit.prepared, fit.full, given, "value")
            naive = replace(sample, predicted=Memory(tuple(fit.placed(one) for one in rows)))
            estimate = surrogate_hazards(fit.sets, naive)
        except (KaratError, np.linalg.LinAlgError) as error:
            return f"Surrogate only is not shown: {error}"
        return Naive(estimate.theta, _parts(fit, naive, estimate, "surrogate"), caution)

    def finish(
        self, result: Result, fit: CoxFit, sample: AugmentedSample, estimate: Estimate, parts: Parts,
        naive: Naive | str, meat: Meat,
    ) -> Result:  # fmt: skip
        gold = None if fit.options.estimator == "gold" else _gold_column(fit, sample, estimate)
        notes = (*result.notes, *fit.notes, *wider_than_gold(result, gold, fit.options))
        result = result.replace(notes=notes)
        if result.parts is not None:
            kind = fit.options.estimator if sample.predicted else "gold"
            baseline = Baseline.of(
                fit.sets, sample, estimate, kind, fit.follow_up.clock(fit.sets), fit.centre, fit.options.tuning,
                fit.predicted is not None,
            )  # fmt: skip
            result = result.replace(baseline=baseline)
        if not fit.options.compare:
            return result
        return result.replace(comparison=compare_with(result, gold, parts, naive, meat, fit.options))


def _parts(fit: CoxFit, sample: AugmentedSample, estimate: Estimate, role: str) -> Parts:
    return Parts.of(estimate, hazard_curvatures(fit.sets, sample, estimate, fit.options.vcov, role))


def _gold_column(fit: CoxFit, sample: AugmentedSample, estimate: Estimate) -> Column:
    gold = estimate.gold or gold_hazards(fit.sets, sample)
    covariance, df = infer(_parts(fit, sample, gold, "gold"), fit.options.vcov, fit.options.target, fit.options.df)
    return Column("Gold only", gold.theta, np.sqrt(np.diag(covariance.total)), df)


def _refuse_labelled_durations(parsed: Parsed, table: Table, surrogates: object, event: object) -> None:
    name = parsed.outcome.strip("` ")
    if name not in table.columns:
        raise ArgumentError(
            f"the outcome {parsed.outcome!r} must be a column of durations, untransformed: only their order counts."
        )
    as_float(table.column(name, "formula"), name, "duration")
    known = {name: "duration"} | ({event: "event indicator"} if isinstance(event, str) else {})
    for column, what in known.items():
        if isinstance(surrogates, Mapping) and column in surrogates:
            raise ArgumentError(
                f"surrogates names {column!r}, the {what}: a Cox regression needs durations and events of all units, "
                "and only covariates can be labelled. For labelled durations see karat.rmst."
            )
        if column in parsed.covariate_variables:
            raise ArgumentError(
                f"{column!r}, the {what}, is among the covariates of {parsed.text!r}; how long a unit lasted, and how "
                "it ended, explains nothing about itself."
            )


def _refuse_constant(x: Floats, names: tuple[str, ...], parsed: Parsed) -> None:
    if not names:
        raise ArgumentError(f"{parsed.text!r} has no covariates; a Cox regression has no intercept to estimate.")
    if constant := [name for name, column in zip(names, x.T) if np.ptp(column) == 0]:
        raise DataError(
            f"column(s) {', '.join(constant)} are constant in the gold rows, so that their coefficients cannot be "
            "learnt; drop them, merge categories, or label units in which they vary."
        )
