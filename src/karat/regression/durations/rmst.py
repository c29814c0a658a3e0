"""Regression of right-censored durations up to a horizon: restricted means, survival, time lost.

Reads as :func:`karat.regress` does, with two steps more: censored outcomes are replaced by complete ones that have the
same mean given the covariates, and what estimating the censoring distribution adds joins the influences.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, Unpack

import numpy as np

from ..._core.arguments import checked_arguments
from ..._core.machine import single_threaded
from ..._core.types import ColumnLike
from ...censoring.pseudo import estimation_influence
from ...errors import ArgumentError, one_of
from ...estimate.augment import AugmentedSample
from ...estimate.basis import check_rank
from ...estimate.covariance import Meat
from ...estimate.infer import Parts
from ...estimate.rows import Rows
from ...frames import Table
from ...frames.formula import Parsed
from ...predict import Predictions, capped_weights, crossfit, learners
from ...results import Result
from ..comparison_fits import Naive, compare_with, gold_column, wider_than_gold
from ..design_matrix import Design, Prepared
from ..features import features_of, targets_of, with_surrogates
from ..options import Arguments
from ..pipeline import Opened, Steps, close_fit, open_fit
from ..predicted_rows import average_rows, predicted_rows, surrogate_rows
from ..steps import folds_of, frame_features, one_surrogate, order_of, parts_of
from ..variables import Label
from .fitted import DurationFit, more_columns, naive_labels, weighted_rows, with_estimation, with_outcome
from .options import OPTIONS, DurationOptions
from .outcomes import (
    Lasting,
    check_censoring,
    check_form,
    complete_outcome,
    duration_labels,
    event_codes,
    lasting,
    outcome_surrogates,
    read_method,
)

if TYPE_CHECKING:
    from ..._core.types import Floats
    from ...estimate.rectify import Estimate
    from ...frames.matrices import Features

_LINKS = {"identity": "ols", "log": "poisson", "logit": "logit"}
_TITLES = {"time": "Restricted mean duration", "survival": "Survival", "lost": "Restricted mean time lost"}


@checked_arguments(DurationOptions)
@single_threaded
def rmst(
    formula: str,
    data: object,
    *,
    event: ColumnLike,
    tau: float | str,
    censoring: object = "marginal",
    link: Literal["identity", "log", "logit"] = "identity",
    outcome_model: object = "cox",
    **options: Unpack[DurationOptions],
) -> Result:
    """Regression of the restricted mean of a right-censored duration, with or without surrogate labels.

    Durations are known up to the horizon tau at best, so the mean of ``min(T, tau)`` is what data can tell ("years in
    office during the first ten"). Each censored outcome is replaced by a complete one that has the same mean given the
    covariates, if either the censoring model or the model of the event times is right.

    Parameters
    ----------
    formula : str
        ``"duration ~ covariates"``; the duration is a column, ``min(T, C)``, missing where it was not labelled.
    data : data frame
    event : str or array_like
        1 where the end was seen, 0 where censored; with ``outcome="lost"`` codes 1, 2, ... of the causes.
    tau : float or "auto"
        Horizon, in the units of the duration.
    censoring : str, censoring method, classifier or callable
        ``"marginal"``, ``"strata(party)"``, ``"kernel(age)"``, ``"cox(age + income)"``, ``"forest(age)"``, or see
        :func:`karat.censoring.weights`.
    link : {"identity", "log", "logit"}
        Of the mean; logit for survival.
    outcome_model : str, censoring method or classifier
        Hazard of the event given covariates, for ``form="augmented"``; never sees the surrogates.
    **options
        As in :func:`karat.regress`.

    Returns
    -------
    Result

    Raises
    ------
    KaratError
        One of its children, naming the argument or column at fault and how to correct it.

    References
    ----------
    Tian, Zhao, Wei (2014), *Predicting the restricted mean event time with the subject's baseline covariates*;
    Robins and Rotnitzky (1992); Egami, Hinck, Stewart, Wei (2023); Andersen, Hansen, Klein (2004) on
    pseudo-observations; Andersen (2013) on time lost to a cause.

    Notes
    -----
    ``target="finite"`` holds only where nothing is censored before tau. ``compare`` also shows the naive answers:
    surrogates alone, censored durations taken for complete, censored durations dropped.

    Examples
    --------
    >>> import numpy as np, pandas as pd, karat as kt
    >>> rng = np.random.default_rng(1)
    >>> x = rng.normal(size=500)
    >>> t, c = rng.exponential(np.exp(0.3 * x)), rng.exponential(2.0, size=500)
    >>> data = pd.DataFrame({"time": np.minimum(t, c), "event": t <= c, "x": x})
    >>> kt.rmst("time ~ x", data, event="event", tau=2.0).title
    'Restricted mean duration up to tau = 2'
    """
    own: dict[str, Any] = {name: options.get(name, option.default) for name, option in OPTIONS.items()}
    surrogates, outcome, cause = own["surrogates"], own["outcome"], own["cause"]
    estimator = own["estimator"] or ("dsl" if surrogates else "gold")
    model = _model(outcome, link, cause, estimator, surrogates)
    arguments = Arguments.of(model, formula, surrogates, {**options, "estimator": estimator})
    steps = _Censored(
        event, tau, censoring, own["form"], outcome, cause, outcome_model, own["floor"], own["known_censoring"],
        own["surrogate_blind_to_censoring"],
    )  # fmt: skip
    fit = open_fit(arguments, data, steps)
    labelled = fit.prepared.units.labelling.labelled
    return close_fit(fit, assumed=arguments.design is None and not labelled.all(), steps=steps)


@dataclass(frozen=True)
class _Censored(Steps[DurationFit]):
    """The two steps more: censored outcomes replaced; what estimating the censoring distribution adds."""

    event: object
    tau: float | str
    censoring: object
    form: str
    outcome: str
    cause: int | None
    outcome_model: object
    floor: float
    known: bool
    blind: bool

    takes_effects = False

    def labels(self, parsed: Parsed, table: Table, options: Arguments) -> tuple[Label, ...]:
        method = read_method(self.censoring, table.columns)
        labels, timed = duration_labels(parsed, table, options.surrogates)
        check_censoring(method, parsed, labels, self.event, self.blind)
        check_form(self.form, options.estimator, labels, self.blind, not timed)
        return labels

    def word(self, options: Arguments) -> str:
        return self.outcome

    def predict(self, fit: Opened) -> DurationFit:
        table, prepared, options, matrix, rng = fit.table, fit.prepared, fit.options, fit.matrix, fit.rng
        parsed = prepared.parsed
        method = read_method(self.censoring, table.columns)
        _, timed = duration_labels(parsed, table, options.surrogates)
        known = fit.gold_rows if timed else table.column(parsed.outcome.strip("` "), "formula").notna().to_numpy()
        codes = event_codes(table, self.event, known)
        data = lasting(
            table, prepared, matrix, codes, everywhere=not timed, method=method, tau=self.tau, kind=self.outcome,
            cause=self.cause, floor=self.floor, rng=rng.spawn(1)[0],
        )  # fmt: skip
        prepared = replace(prepared, labels=outcome_surrogates(prepared.labels, data.outcome))
        _check_lasting(data, prepared, matrix, options.target)
        fit.model.check_outcome(data.values[data.weights.complete], parsed.outcome)
        own = frame_features(prepared, options, None)
        predicted, blocks = _predict(prepared, matrix, options, data, own, options.features, table, codes, rng)
        at_gold = _at_gold(blocks, self.form, prepared)
        whole = complete_outcome(data, self.form, self.outcome_model, method, at_gold, rng)
        if data.everywhere:
            blocks = tuple(replace(rows, y=whole.values) for rows in blocks)
        return DurationFit(
            fit.model, options, table, fit.gold_rows, prepared, with_outcome(matrix, data, whole, prepared), fit.seed,
            rng, own, predicted, blocks, data=data, outcome=whole, known=self.known, form=self.form,
        )  # fmt: skip

    def sample(self, fit: DurationFit) -> AugmentedSample:
        sample = fit.sample
        return weighted_rows(fit, sample) if fit.form == "product" and not sample.predicted else sample

    def parts(self, fit: DurationFit, sample: AugmentedSample, estimate: Estimate) -> Parts:
        plain = parts_of(fit.model, sample, estimate, fit.options)
        return with_estimation(fit, sample, estimate, plain, fit.options.estimator)

    def naive(self, fit: DurationFit, sample: AugmentedSample) -> Naive | str:
        return naive_labels(fit, sample)

    def finish(
        self, result: Result, fit: DurationFit, sample: AugmentedSample, estimate: Estimate, parts: Parts,
        naive: Naive | str, meat: Meat,
    ) -> Result:  # fmt: skip
        if result.checks is not None:
            result = result.replace(checks=replace(result.checks, censoring=" ".join(fit.data.weights.concerns)))
        result = result.replace(title=_title(fit.data), notes=(*result.notes, *_notes(fit)))
        if not fit.options.compare:
            return result
        gold = gold_column(result, fit.model, sample, estimate, fit.options)
        assert not isinstance(gold, str)
        found = more_columns(fit, sample, compare_with(result, gold, parts, naive, meat, fit.options))
        alone = next((column for column in found.columns if column.title == "Gold only"), None)
        notes = (*result.notes, *wider_than_gold(result, alone, fit.options))
        return result.replace(comparison=found, notes=notes)


def _model(outcome: str, link: str, cause: int | None, estimator: str, surrogates: object) -> str:
    one_of("link", link, tuple(_LINKS))
    if link == "logit" and outcome != "survival":
        raise ArgumentError(f"link='logit' is for outcome='survival'; outcome={outcome!r} takes 'identity' or 'log'.")
    if cause is not None and outcome != "lost":
        raise ArgumentError(f"cause={cause!r} goes with outcome='lost' (time lost to one of several causes).")
    if estimator in ("dsl", "ppi", "surrogate") and not surrogates:
        raise ArgumentError(f"estimator={estimator!r} needs surrogates=; without any use estimator='gold'.")
    if cause is not None and estimator in ("ppi", "surrogate"):
        raise ArgumentError(
            "a surrogate of the duration does not say which cause ended it; use estimator='dsl' with a learner, "
            "or 'gold'."
        )
    return _LINKS[link]


def _check_lasting(data: Lasting, prepared: Prepared, matrix: Design, target: str) -> None:
    """Refuse what complete durations cannot answer."""
    complete = data.weights.complete
    if complete.all():
        return
    if target == "finite":
        raise ArgumentError(
            "target='finite' leaves out what censoring adds to the variance: durations of this corpus are censored, "
            "so labelling all of it would not tell them either. Use target='superpopulation'."
        )
    among = complete[prepared.units.gold] if data.everywhere else complete
    check_rank(matrix.gold.x[among], None, matrix.spec.names, "gold rows with complete durations")


def _predict(
    prepared: Prepared, matrix: Design, options: Arguments, data: Lasting, own: Features | None,
    features: object, table: Table,
    codes: Floats, rng: np.random.Generator,
) -> tuple[Predictions | None, tuple[Rows, ...]]:  # fmt: skip
    """Predicted rows. The learner sees complete gold rows, each standing for the censored ones like it."""
    labelling = prepared.units.labelling
    if options.estimator == "gold":
        return None, ()
    if options.learner is None or options.estimator in ("ppi", "surrogate"):
        if data.outcome.cause is not None:
            raise ArgumentError("a surrogate duration does not say which cause ended it; choose a learner.")
        return None, surrogate_rows(prepared, matrix, one_surrogate(prepared, options), options.imputation)
    if labelling.census:
        return None, ()
    assert own is not None
    if data.everywhere:
        given = [] if features is None else [features] if not isinstance(features, (list, tuple)) else list(features)
        targets, some, weight = targets_of(prepared, matrix.gold), np.arange(labelling.n_gold), None
        seen = features_of(prepared, own, [*given, codes], table, options)
    else:
        some = np.flatnonzero(data.weights.complete)
        weight = None if data.weights.complete.all() else data.weights.values[some]
        targets = targets_of(prepared, replace(matrix.gold, y=data.values))
        seen = features_of(prepared, own, features, table, options)
    if learners.learns_from_surrogates(options.learner):
        targets = with_surrogates(prepared.labels, targets)
    order = order_of(prepared, seen, targets)
    split = folds_of(prepared, options, targets, table, rng, order)
    loss = capped_weights(labelling.spread)
    loss = None if loss is None else loss[some]
    if weight is not None:
        loss = weight / weight.mean() if loss is None else loss * weight / weight.mean()
    found = crossfit(
        tuple(replace(target, values=target.values[some]) for target in targets),
        seen,
        labelling.gold[some],
        split,
        options.learner,
        loss,
        seed=int(rng.integers(2**31)),
        report_weight=labelling.weight[some] * (1.0 if weight is None else weight),
        linear=options.imputation == "moment" and all(t.joint or t.given_joint for t in targets),
        n_jobs=options.n_jobs,
        progress=options.progress,
        order=order,
    )
    return found, predicted_rows(prepared, matrix, found, options.imputation)


def _at_gold(blocks: tuple[Rows, ...], form: str, prepared: Prepared) -> Floats | None:
    """Predicted outcomes of the gold rows, for product weights; 0 where gold alone is used."""
    if form != "product":
        return None
    gold = prepared.units.gold
    return np.zeros(len(gold)) if not blocks else average_rows(blocks)[0].y[gold]


def _title(data: Lasting) -> str:
    what = _TITLES[data.outcome.kind]
    cause = "" if data.outcome.cause is None else f" to cause {data.outcome.cause}"
    word = "beyond" if data.outcome.kind == "survival" else "up to"
    return f"{what}{cause} {word} tau = {data.weights.tau:g}"


def _notes(fit: DurationFit) -> tuple[str, ...]:
    """Horizon, censoring and floor, in words."""
    w = fit.data.weights
    shown = {"augmented": "doubly robust", "product": "product weights", "ipcw": "inverse probability weights"}
    chosen = " (chosen: the largest time with enough rows at risk)" if w.tau_chosen else ""
    out = [
        f"horizon tau = {w.tau:g}{chosen}; {np.mean(~w.complete):.1%} of {w.n_rows:,} durations censored before it; "
        f"censoring model: {w.censoring.method}; outcomes: {shown.get(fit.form, 'pseudo-observations')}"
    ]
    if not w.complete.all():
        out.append(
            f"smallest probability of being uncensored {w.survival[w.complete].min():.3g}; {w.n_floored} row(s) raised "
            f"to the floor {w.floor:g}"
        )
        if fit.known:
            out.append("the censoring distribution is taken as known; standard errors do not count its estimation")
        elif estimation_influence(w, fit.outcome, np.zeros((w.n_rows, 1))) is None:
            out.append("the estimation of this censoring model is not counted in the standard errors")
    return tuple(out)
