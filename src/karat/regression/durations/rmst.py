"""Regression of right-censored durations up to a horizon: restricted means, survival, time lost.

Reads as :func:`karat.regress` does, with two steps more: censored outcomes are replaced by complete ones that have the
same mean given the covariates, and what estimating the censoring distribution adds joins the influences.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ... import designs
from ... import moments as models
from ..._core.arguments import checked_arguments
from ..._core.threads import single_threaded
from ...censoring.pseudo import estimation_influence
from ...censoring.weights import DEFAULT_FLOOR
from ...checks.duplicates import prompt_rows
from ...errors import ArgumentError, generator, one_of
from ...estimate.augment import Rows
from ...estimate.basis import check_rank
from ...estimate.infer import infer, influences
from ...frames import Table
from ...frames.formula import parse
from ...frames.seeds import seed_of_fit
from ...predict import Predictions, capped_weights, crossfit, learners
from ...predict.surrogate_targets import with_surrogates
from ...results import Result
from ..comparison_fits import Naive, compare_with, gold_column, wider_than_gold
from ..describe import describe
from ..design_matrix import Design, Prepared, features_of, matrices, prepare, targets_of
from ..options import Options, read_vcov
from ..pipeline import (
    augmented,
    estimated,
    folds_of,
    frame_features,
    keeps_scores,
    one_surrogate,
    order_of,
    parts_of,
    refuse_unused,
    tell_user,
)
from ..predicted_rows import average_rows, predicted_rows, surrogate_rows
from ..variables import labelled_rows
from .fitted import DurationFit, weighted_rows, with_estimation, with_outcome
from .naive import more_columns, naive_labels
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
    from ...frames.encode import Features

_LINKS = {"identity": "ols", "log": "poisson", "logit": "logit"}
_TITLES = {"time": "Restricted mean duration", "survival": "Survival", "lost": "Restricted mean time lost"}


@checked_arguments()
@single_threaded
def rmst(
    formula: str,
    data: object,
    *,
    event: object,
    tau: float | str,
    surrogates: Mapping[str, Any] | None = None,
    censoring: object = "marginal",
    form: str = "augmented",
    outcome: str = "time",
    cause: int | None = None,
    link: str = "identity",
    outcome_model: object = "cox",
    floor: float = DEFAULT_FLOOR,
    known_censoring: bool = False,
    surrogate_blind_to_censoring: bool = False,
    design: object = None,
    labelled: object = None,
    sampled: object = None,
    nonresponse: object = "raise",
    features: object = None,
    learner: object = "auto",
    folds: object = 5,
    repeats: int = 5,
    imputation: str = "moment",
    tuning: str | None = "auto",
    estimator: str | None = None,
    vcov: object = None,
    cluster: object = None,
    weights: object = None,
    target: str = "superpopulation",
    df: object = "auto",
    alpha: float = 0.05,
    missing: str = "drop",
    prompt: object = None,
    compare: bool = True,
    scores: bool | None = None,
    n_jobs: int | None = None,
    progress: bool = False,
    seed: int | np.random.Generator | None = None,
    context: Mapping[str, Any] | None = None,
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
    surrogates : mapping, optional
        Gold column -> surrogate(s), as in :func:`karat.regress`; the duration, covariates, or both. Without any, all
        rows whose duration is there are gold.
    censoring : str, censoring method, classifier or callable
        ``"marginal"``, ``"strata(party)"``, ``"kernel(age)"``, ``"cox(age + income)"``, ``"forest(age)"``, or see
        :func:`karat.censoring.weights`.
    form : {"augmented", "product", "ipcw", "pseudo"}
        Doubly robust; product weights (the surrogate inside the censoring weights, see
        ``surrogate_blind_to_censoring``); inverse probability weighted outcomes; pseudo-observations.
    outcome : {"time", "survival", "lost"}
        ``min(T, tau)``; ``1{T > tau}``; time lost before tau.
    cause : int, optional
        With ``outcome="lost"``: time lost to this cause only (competing risks).
    link : {"identity", "log", "logit"}
        Of the mean; logit for survival.
    outcome_model : str, censoring method or classifier
        Hazard of the event given covariates, for ``form="augmented"``; never sees the surrogates.
    floor : float
        Smallest probability of being uncensored; rows raised to it are counted.
    known_censoring : bool
        Leave out of the covariance that the censoring distribution was estimated.
    surrogate_blind_to_censoring : bool
        Whether no surrogate can know when observation ended; needed for ``form="product"`` with surrogates, and for
        surrogates in the censoring model.
    design, labelled, sampled, nonresponse, features, learner, folds, repeats, imputation, tuning
        As in :func:`karat.regress`.
    vcov, cluster, weights, target, df
        As in :func:`karat.regress`; ``target="finite"`` only where nothing is censored before tau.
    estimator : {"dsl", "ppi", "gold", "surrogate"}, optional
        By default "dsl" with surrogates and "gold" without.
    alpha, missing, prompt, compare, scores, n_jobs, progress, seed, context
        As in :func:`karat.regress`. ``compare`` also shows the naive answers: surrogates alone, censored durations
        taken for complete, censored durations dropped.

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
    kind, cluster = read_vcov(vcov, cluster)
    estimator = estimator or ("dsl" if surrogates else "gold")
    options = Options(
        learner=learner, folds=folds, repeats=repeats, imputation=imputation, tuning=tuning, estimator=estimator,
        vcov=kind, target=target, df=df, alpha=alpha, n_jobs=n_jobs, progress=progress, missing=missing, scores=scores,
    )  # fmt: skip
    refuse_unused(options, None, features)
    regression = _model(outcome, link, cause, estimator, surrogates)
    table = Table.read(data)
    parsed = parse(formula, table.names, context)
    method = read_method(censoring, table.columns)
    labels, timed = duration_labels(parsed, table, surrogates)
    check_censoring(method, parsed, labels, event, surrogate_blind_to_censoring)
    check_form(form, estimator, labels, surrogate_blind_to_censoring, not timed)
    gold_rows = labelled_rows(labels, table, labelled)
    known = gold_rows if timed else table.column(parsed.outcome.strip("` "), "formula").notna().to_numpy()
    codes = event_codes(table, event, known)
    shown = None if prompt is None else prompt_rows(prompt, table)
    labelling = designs.read_draw(designs.resolve(design), table, gold_rows, sampled, nonresponse, shown)

    prepared = prepare(
        table, parsed, labels, labelling, weights=weights, cluster=cluster, missing=missing, context=context,
        shown=shown,
    )  # fmt: skip
    matrix = matrices(prepared)
    seed = seed_of_fit(seed, prepared, outcome, formula)
    rng = generator(seed)
    lasts = lasting(
        table, prepared, matrix, codes, everywhere=not timed, method=method, tau=tau, kind=outcome, cause=cause,
        floor=floor, rng=rng.spawn(1)[0],
    )  # fmt: skip
    prepared = replace(prepared, labels=outcome_surrogates(prepared.labels, lasts.outcome))
    _check_lasting(lasts, prepared, matrix, target)
    regression.check_outcome(lasts.values[lasts.weights.complete], parsed.outcome)
    own = frame_features(prepared, options, None)
    predicted, blocks = _predict(prepared, matrix, options, lasts, own, features, table, codes, rng)
    whole = complete_outcome(lasts, form, outcome_model, method, _at_gold(blocks, form, labelling=prepared), rng)
    fit = DurationFit(regression, prepared, matrix, options, lasts, whole, known_censoring, form)
    return _finish(
        fit, predicted, blocks, own, seed, assumed=design is None and not labelling.labelled.all(), compare=compare
    )


def _model(outcome: str, link: str, cause: int | None, estimator: str, surrogates: object) -> models.Model:
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
    return models.get(_LINKS[link])


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
    among = complete[prepared.labelling.gold] if data.everywhere else complete
    check_rank(matrix.gold.x[among], None, matrix.spec.names, "gold rows with complete durations")


def _finish(
    fit: DurationFit,
    predicted: Predictions | None,
    blocks: tuple[Rows, ...],
    own: Features | None,
    seed: Any,
    *,
    assumed: bool,
    compare: bool,
) -> Result:
    """Augmented sample, root, covariance, Result."""
    options, prepared, data = fit.options, fit.prepared, fit.data
    matrix = with_outcome(fit)
    if data.everywhere:
        blocks = tuple(replace(rows, y=fit.outcome.values) for rows in blocks)
    sample = augmented(prepared, matrix, blocks)
    if fit.form == "product" and not sample.predicted:
        sample = weighted_rows(fit, sample)
    estimate = estimated(fit.regression, sample, options, predicted is not None)
    parts = with_estimation(
        fit, sample, estimate, parts_of(fit.regression, sample, estimate, options), options.estimator
    )
    naive = naive_labels(fit, sample) if compare else "not asked for"
    together = isinstance(naive, Naive) and parts.scores.rows is None
    meat = influences([parts, naive.parts] if together and isinstance(naive, Naive) else [parts], options.vcov)
    covariance, dof = infer(parts, options.vcov, options.target, options.df, meat.part(0, len(estimate.theta)))
    result = describe(
        fit.regression, prepared, matrix, options, estimate, parts, covariance, dof, predicted, own,
        assumed=assumed, keep_parts=keeps_scores(options, sample),
    )  # fmt: skip
    if result.checks is not None:
        result = result.replace(checks=replace(result.checks, censoring=" ".join(data.weights.concerns)))
    known = None if isinstance(seed, np.random.Generator) else int(seed)
    result = result.replace(title=_title(data), notes=(*result.notes, *_notes(fit)), seed=known)
    if compare:
        gold = gold_column(result, fit.regression, sample, estimate, options)
        found = compare_with(result, gold, parts, naive, meat, options)
        found = more_columns(fit, sample, found)
        alone = next((column for column in found.columns if column.title == "Gold only"), None)
        result = result.replace(comparison=found, notes=(*result.notes, *wider_than_gold(result, alone, options)))
    tell_user(result, estimate, options)
    return result


def _predict(
    prepared: Prepared, matrix: Design, options: Options, data: Lasting, own: Features | None,
    features: object, table: Table,
    codes: Floats, rng: np.random.Generator,
) -> tuple[Predictions | None, tuple[Rows, ...]]:  # fmt: skip
    """Predicted rows. The learner sees complete gold rows, each standing for the censored ones like it."""
    labelling = prepared.labelling
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
        seen = features_of(prepared, own, [*given, codes], table)
    else:
        some = np.flatnonzero(data.weights.complete)
        weight = None if data.weights.complete.all() else data.weights.values[some]
        targets = targets_of(prepared, replace(matrix.gold, y=data.values))
        seen = features_of(prepared, own, features, table)
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


def _at_gold(blocks: tuple[Rows, ...], form: str, labelling: Prepared) -> Floats | None:
    """Predicted outcomes of the gold rows, for product weights; 0 where gold alone is used."""
    if form != "product":
        return None
    gold = labelling.labelling.gold
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
