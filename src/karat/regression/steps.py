"""The steps of a fit that entry points share, and what random splits of the gold sample do to it."""

from __future__ import annotations

import numbers
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import moments as models
from ..errors import ArgumentError, DataError, NotValidWarning, SolverWarning, tell, whole
from ..estimate.augment import AugmentedSample
from ..estimate.clusters import Curvatures, curvatures, kept_whole
from ..estimate.curved import MODELS
from ..estimate.infer import Parts, infer
from ..estimate.plugged import surrogate_estimate
from ..estimate.rectify import Estimate, gold_estimate, rectify, split_estimates
from ..estimate.rows import Instruments, Memory, Rows
from ..frames import Table
from ..frames.order import settled
from ..frames.quoting import quote
from ..predict import Predictions, Target, capped_weights, check_folds, crossfit, learners, make_folds, row_order
from ..results import Result
from .describe import warn_small_samples
from .design_matrix import Design, Prepared
from .features import features_of, own_features, targets_of, with_surrogates
from .options import Arguments
from .predicted_rows import predicted_rows, surrogate_rows
from .surrogates import probability_columns
from .unseen import with_unseen

if TYPE_CHECKING:
    from .._core.types import Ints
    from ..frames.formula import Parsed
    from ..frames.matrices import Features
    from ..moments import Model
    from ..predict import Predictions
    from ..results import Result
    from .design_matrix import Design, Prepared
    from .options import Arguments
    from .variables import Label

_KEEP_SCORES_UP_TO = 1_000_000
"""Numbers (units times coefficients) up to which influence scores are kept without being asked for."""

_KEEP_SPLITS_UP_TO = 500_000
"""Units times splits up to which the share of variance due to splitting is worked out."""


def refuse_unused(options: Arguments, predictions: object, features: object) -> None:
    """Raise where an argument would be accepted and have no effect."""
    learning = options.estimator == "dsl" and options.learner is not None and predictions is None
    for name, given in (("features", features), ("text", options.text)):
        if given is not None and not learning:
            raise ArgumentError(
                f"{name}= feeds a learner, and this fit has none; take it out, or use estimator='dsl' with a learner."
            )
    if options.estimator != "dsl" and not (options.learner is None or options.learner == "auto"):
        raise ArgumentError(
            f"estimator={options.estimator!r} uses no learner; take learner= out, or use estimator='dsl'."
        )
    if predictions is not None and options.estimator != "dsl":
        raise ArgumentError(f"estimator={options.estimator!r} uses no predictions; use estimator='dsl'.")
    if options.combine == "median" and not learning:
        raise ArgumentError("combine='median' needs a learner with random splits; use combine='mean'.")
    if options.combine == "median" and options.scores:
        raise ArgumentError(
            "a median over splits has no influence scores; use combine='mean', or take scores=True out."
        )
    if predictions is not None and not (options.learner is None or options.learner == "auto"):
        raise ArgumentError("predictions= takes the place of a learner; give one of them.")
    if options.estimator in ("gold", "surrogate") and options.tuning not in ("auto", None):
        raise ArgumentError(f"estimator={options.estimator!r} has no weight to tune; take tuning= out.")


def refuse_effects(parsed: Parsed, model: Model, allowed: bool = True) -> None:
    """Raise where the regression cannot take out fixed effects after a bar, or has no place for instruments."""
    if parsed.endogenous and not (allowed and model.name == "iv"):
        raise ArgumentError(
            f"formula {parsed.text!r} has instruments, which kt.iv takes, of data in memory; call kt.iv, or take the "
            "first stage out."
        )
    if model.name == "iv" and not parsed.endogenous:
        raise ArgumentError(
            f"formula {parsed.text!r} has no instruments; write 'y ~ w + [x ~ z]' with x the endogenous covariate and "
            "z its instrument, or use kt.ols."
        )
    if parsed.effects and not (allowed and model.name in ("ols", "iv", *MODELS)):
        first = quote(parsed.effects[0][0])
        raise ArgumentError(
            f"formula {parsed.text!r} has fixed effects after a bar, which are taken out of linear, Poisson and "
            "logistic regressions (kt.ols, kt.iv, kt.poisson, kt.logit); write them as covariates here, "
            f"C({first})."
        )


def refuse_labelled_within(parsed: Parsed, model: Model, labels: tuple[Label, ...]) -> None:
    """Raise where covariates are labelled and fixed effects are taken out of a regression that is not linear."""
    named = [label.name for label in labels if label.in_covariates]
    if parsed.effects and not model.linear and named:
        first = quote(parsed.effects[0][0])
        raise ArgumentError(
            f"formula {parsed.text!r} has fixed effects after a bar and the labelled covariate {named[0]!r}: a "
            f"{model.title.lower()} takes them out where the outcome alone is labelled. Write them as covariates, "
            f"C({first}), or use kt.ols."
        )


def frame_features(prepared: Prepared, options: Arguments, given: object) -> Features | None:
    """Surrogates and observed columns as numbers: for the learner, and for the checks where they can be had."""
    try:
        return own_features(prepared)
    except DataError:
        if options.estimator == "dsl" and options.learner is not None and given is None:
            raise
        return None


def predicted_blocks(
    prepared: Prepared,
    matrix: Design,
    options: Arguments,
    given: Mapping[str, Any] | None,
    own: Features | None,
    features: object,
    table: Table,
    rng: np.random.Generator,
    of: Ints | None = None,
) -> tuple[Predictions | None, tuple[Rows, ...]]:
    """Predicted rows: from a learner, from outside, or from the surrogates themselves; ``of`` is as in order_of."""
    labelling = prepared.units.labelling
    if options.estimator == "gold":
        return None, ()
    if (labels := given_labels(prepared, options, given, table)) is not None:
        return None, surrogate_rows(prepared, matrix, labels, options.imputation)
    if labelling.census:
        return None, ()
    assert own is not None
    targets = targets_of(prepared, matrix.gold)
    if learners.learns_from_surrogates(options.learner):
        targets = with_surrogates(prepared.labels, targets)
    seen = features_of(prepared, own, features, table, options)
    order = order_of(prepared, seen, targets, of)
    found = crossfit(
        targets,
        seen,
        labelling.gold,
        folds_of(prepared, options, targets, table, rng, order),
        options.learner,
        capped_weights(labelling.spread),
        seed=int(rng.integers(2**31)),
        report_weight=labelling.weight,
        keep_splits=options.combine == "median"
        or prepared.n_rows * (options.repeats if isinstance(options.folds, numbers.Real) else 1) <= _KEEP_SPLITS_UP_TO,
        linear=options.imputation == "moment"
        and (prepared.outcome_label is None or models.get(options.model).linear_in_outcome)
        and all(t.joint or t.given_joint for t in targets),
        n_jobs=options.n_jobs,
        progress=options.progress,
        order=order,
    )
    return found, predicted_rows(prepared, matrix, found, options.imputation)


def order_of(prepared: Prepared, seen: Features, targets: tuple[Target, ...], of: Ints | None = None) -> Ints:
    """An order of the rows by what the fit uses of them, so that folds and learners do not see the table's order.

    ``of`` says to which of several means each row belongs: rows that are alike but for this are not exchangeable.
    Blocks of features decide only between rows alike in all else, so that folds are those of a fit without them.
    """
    labelling, cluster = prepared.units.labelling, prepared.units.cluster
    gold = np.full((prepared.n_rows, len(targets) + 1), np.nan)
    gold[labelling.gold] = np.column_stack([*(t.values for t in targets), labelling.weight])
    known = [] if prepared.units.weights is None else [prepared.units.weights]
    clusters = () if cluster is None else tuple(np.atleast_2d(cluster.T))
    groups = (*clusters, labelling.unit, labelling.stratum, *([] if clusters or of is None else [of]))
    if not seen.blocks:
        return row_order([seen.matrix, gold, *known], groups, of)
    base = seen.blocks[0].start

    def by_blocks() -> Ints:
        place = np.argsort(row_order([seen.matrix[:, base:]]))
        return place if of is None else np.argsort(np.lexsort((place, of)))

    return row_order([seen.matrix[:, :base], gold, *known], groups, by_blocks)


def folds_of(
    prepared: Prepared, options: Arguments, targets: Any, table: Table, rng: np.random.Generator, order: Ints
) -> Ints:
    """Folds that keep labelling units and clusters whole and balance gold classes."""
    labelling = prepared.units.labelling
    group = kept_whole(labelling, prepared.units.cluster, options.folds)
    if not isinstance(options.folds, numbers.Real):
        given = table.values(options.folds, "folds")
        if prepared.units.kept is not None and len(given) == len(prepared.units.kept):
            given = given[prepared.units.kept]
        return check_folds(given, prepared.n_rows, labelling.labelled, group)
    classes = next((t.values.astype(np.intp) for t in targets if t.n_classes), None)
    return make_folds(
        labelling.labelled, whole("folds", options.folds, least=2), options.repeats, rng, classes, group, order
    )


def given_labels(
    prepared: Prepared, options: Arguments, given: Mapping[str, Any] | None, table: Table
) -> dict[str, Any] | None:
    """Labels that predicted rows take from outside or from the surrogates themselves; None where they are learnt."""
    if given is not None:
        return _from_outside(prepared, given, table)
    if options.learner is None or options.estimator in ("ppi", "surrogate"):
        return one_surrogate(prepared, options)
    return None


def _from_outside(prepared: Prepared, given: Mapping[str, Any], table: Table) -> dict[str, Any]:
    names = {label.name for label in prepared.labels}
    if set(given) != names:
        raise ArgumentError(f"predictions must name each labelled variable {sorted(names)}; got {sorted(given)}.")
    out = {}
    for name, item in given.items():
        if getattr(item, "ndim", 1) == 2 and hasattr(item, "columns"):
            item = probability_columns(name, item, next(s.classes for s in prepared.labels if s.name == name), table)
        values = table.values(item, f"predictions[{name!r}]")
        out[name] = prepared.units.of_units(values)
    return out


def one_surrogate(prepared: Prepared, options: Arguments) -> dict[str, Any]:
    """The surrogate of each label, where it is used as it is; there can be only one."""
    out = {}
    for label in prepared.labels:
        if len(label.surrogates) > 1 and options.estimator != "surrogate":
            names = [s.name for s in label.surrogates]
            raise ArgumentError(
                f"{label.name!r} has {len(names)} surrogates {names}; without a learner give one (a learner can "
                f"use them all)."
            )
        out[label.name] = label.surrogates[0].values
    return out


def augmented(
    prepared: Prepared, matrix: Design, rows: tuple[Rows, ...], regression: Model | None = None
) -> AugmentedSample:
    """Gold rows and predicted rows as one augmented sample; the regression is that of fixed effects."""
    spec, instruments = matrix.spec, None
    if spec.right:
        instruments = Instruments(np.array(spec.right), np.array(spec.left))
    effects = prepared.units.effects is not None
    curved = regression if effects and regression is not None and not regression.linear else None
    units = prepared.units
    return AugmentedSample(matrix.gold, Memory(rows), units, spec.columns, instruments=instruments, curved=curved)


def estimated(regression: models.Model, sample: AugmentedSample, options: Arguments, crossfitted: bool) -> Estimate:
    """The estimate that was asked for."""
    if options.estimator == "surrogate":
        return surrogate_estimate(regression, sample)
    if options.estimator == "gold" or not sample.predicted:
        return gold_estimate(regression, sample)
    return rectify(regression, sample, options.tuning, crossfitted)


def parts_of(
    regression: models.Model, sample: AugmentedSample, estimate: Estimate, options: Arguments, role: str = ""
) -> Parts:
    """What covariances are made from; ``role`` is the estimator where it is not the one asked for."""
    if sample.units.cluster is None:
        return Parts.of(estimate, Curvatures())
    role = role or (options.estimator if sample.predicted else "gold")
    return Parts.of(estimate, curvatures(regression, sample, estimate, options.vcov, role))


def keeps_scores(options: Arguments, sample: AugmentedSample) -> bool:
    """Whether influence scores of all units are kept."""
    if options.scores is not None:
        return options.scores
    return sample.units.n_units * sample.gold.x.shape[1] * sample.gold.y[:1].size <= _KEEP_SCORES_UP_TO


def tell_user(result: Result, estimate: Estimate, options: Arguments) -> None:
    """Warn about what the user must know."""
    for note in estimate.notes:
        tell(note, SolverWarning)
    if options.estimator == "surrogate":
        tell("the surrogate estimator takes the labels for the truth; its intervals are not valid.", NotValidWarning)
    else:
        warn_small_samples(result)


def seed_of_fit(seed: Any, prepared: Prepared, *words: object) -> Any:
    """The seed of a fit: the one given, or one made from its gold rows.

    Parameters
    ----------
    seed : int, numpy.random.Generator or None
    prepared : Prepared
    *words : object
        Model and formula.

    Returns
    -------
    int or numpy.random.Generator
    """
    if seed is not None:
        return settled(seed, {})
    rows = prepared.gold
    columns: dict[str, Any] = {f"observed {name}": prepared.frame[name].iloc[rows] for name in prepared.frame.columns}
    columns |= {f"gold {label.name}": label.gold.iloc[rows] for label in prepared.labels}
    return settled(None, {name: values.reset_index(drop=True) for name, values in columns.items()}, *words)


def split_share(
    result: Result,
    regression: Model,
    prepared: Prepared,
    matrix: Design,
    options: Arguments,
    predicted: Predictions,
) -> Result:
    """With the largest share, over coefficients, of the variance that the random split adds to one split's estimate."""
    if len(predicted.splits) < 2:
        return result
    blocks = [predicted_rows(prepared, matrix, split, options.imputation) for split in predicted.splits]
    thetas = split_estimates(
        regression, augmented(prepared, matrix, (), regression), blocks, result.theta, result.lambda_matrix
    )
    spread = thetas.var(axis=0, ddof=1) / len(thetas)
    variance = np.diag(result.covariance)
    share = np.divide(spread, variance, out=np.zeros_like(spread), where=variance > 0)
    return result.replace(split_share=float(np.max(share)))


def median_over_splits(
    result: Result,
    regression: Model,
    prepared: Prepared,
    matrix: Design,
    options: Arguments,
    predicted: Predictions,
) -> Result:
    """Solve per split; median of estimates and of (covariance plus squared distance to the median)."""
    estimates, covariances, dofs = [], [], []
    for split in predicted.splits:
        sample = augmented(prepared, matrix, predicted_rows(prepared, matrix, split, options.imputation), regression)
        estimate = estimated(regression, sample, options, True)
        parts = parts_of(regression, sample, estimate, options)
        parts = with_unseen(parts, regression, prepared, matrix, sample, estimate.theta)
        covariance, dof = infer(parts, options.vcov, options.target, options.df)
        estimates.append(estimate)
        covariances.append(covariance)
        dofs.append(dof)
    thetas = [e.theta for e in estimates]
    middle = np.median(thetas, axis=0)
    spread = [v.total + np.outer(t - middle, t - middle) for t, v in zip(thetas, covariances)]
    pick = int(np.argsort([np.linalg.norm(v, 2) for v in spread])[(len(spread) - 1) // 2])
    scale = np.sqrt(np.median([np.diag(v) for v in spread], axis=0) / np.diag(spread[pick]))
    tuning = estimates[pick].tuning
    return result.replace(
        theta=middle,
        covariance=spread[pick] * np.outer(scale, scale),
        labelling_covariance=covariances[pick].labelling,
        df=np.min(dofs, axis=0),
        choice=tuning.choice,
        tuning_weight=np.diag(tuning.coefficient_weights).copy(),
        lambda_matrix=tuning.mixing,
        r_squared=tuning.r_squared,
        parts=None,
    )
