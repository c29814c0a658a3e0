"""The front door: from a formula and a table to a Result.

``regress`` reads as the method does: roles, design, matrices, predictions, augmented sample,
root, tuning, covariance. Numbers happen elsewhere, in functions on arrays.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from . import designs, models
from .assemble import Design, Prepared, features_of, matrices, own_features, prepare, targets_of
from .augment import AugmentedSample, Rows
from .checks.duplicates import prompt_rows
from .compare import Naive, compare_with, naive_fit
from .errors import ArgumentError, DataError, NotValidWarning, SolverWarning, tell
from .estimate.infer import Parts, infer, influences
from .estimate.rectify import Estimate, cluster_curvatures, gold_estimate, rectify, surrogate_estimate
from .formula import parse
from .frames import Table
from .impute import predicted_rows, surrogate_rows
from .options import Options, read_vcov
from .predict import Predictions, capped_weights, check_folds, crossfit, learners, make_folds
from .pretraining import with_surrogates
from .results import Result
from .results.call import Call
from .results.describe import describe, warn_small_samples
from .roles import labelled_rows, probability_columns, read_labels
from .threads import single_threaded

if TYPE_CHECKING:
    from ._types import Ints
    from .frames.encode import Features

_KEEP_SCORES_UP_TO = 1_000_000
"""Numbers (units times coefficients) up to which influence scores are kept without being asked for."""

_KEEP_SPLITS_UP_TO = 500_000
"""Units times splits up to which the share of variance due to splitting is worked out."""


@single_threaded
def regress(
    model: str,
    formula: str,
    data: object,
    *,
    surrogates: Mapping[str, Any],
    design: object = None,
    labelled: object = None,
    sampled: object = None,
    nonresponse: object = "raise",
    features: object = None,
    learner: object = "auto",
    predictions: Mapping[str, Any] | None = None,
    folds: object = 5,
    repeats: int = 5,
    combine: str = "mean",
    imputation: str = "moment",
    tuning: str | None = "auto",
    estimator: str = "dsl",
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
    """Regression in which some variables are known through surrogate labels, and through gold in a sample.

    Parameters
    ----------
    model : {"ols", "logit", "probit", "poisson"}
        Which regression.
    formula : str
        ``"outcome ~ covariates"`` (formulaic syntax; ``offset(x)`` adds an offset).
    data : data frame
        pandas, polars or pyarrow table, one row per unit; gold columns are missing where a unit was not labelled.
    surrogates : mapping
        Gold column -> its surrogate(s): a column, a list of columns, an array of N values, or a
        mapping from class to probability column.
    design : Design, Sample, float, str, array_like or None
        How the gold was drawn. A number, column or array is a Bernoulli probability; None is a
        simple random sample of the realised size.
    labelled : str or array_like, optional
        True where the unit is gold; by default where every gold column is there.
    sampled : str, array_like or None
        True where the unit was drawn, gold or not; by default the design knows (``sample.design``).
    nonresponse : {"raise", "ignorable"}, list of str or formula
        What drawn units without gold are taken for: an error; random within strata; or random given the columns
        named (or a formula ``"~ a + b"``), on which a logistic model of answering is fitted.
    features : str, list or array_like, optional
        Further columns, or an array of shape (N, k), for the predictor.
    learner : str, scikit-learn estimator or None
        ``"auto"``, ``"calibration"``, ``"linear"``, ``"boosting"``, ``"forest"``, ``"torch"`` or an estimator (such as
        ``karat.predict.TorchClassifier(pretrain="surrogates")``), cross-fitted; None uses the surrogate itself as
        the prediction.
    predictions : mapping, optional
        Predictions made elsewhere: label -> column or array of shape (N,) or (N, K). They must
        not have seen the gold label of the unit they predict. Takes the place of the learner.
    folds : int or array_like of shape (N,) or (N, S)
        Number of folds, or fold numbers from outside.
    repeats : int
        Number of random splits, averaged.
    combine : {"mean", "median"}
        Average predictions over splits and solve once, or solve per split and take medians.
    imputation : {"moment", "value"}
        Average the moment over the classes of a labelled covariate, or plug its expectation in.
    tuning : {"auto", "scalar", "coefficient", "full"} or None
        How the weight of the surrogate moment is chosen; None is weight 1.
    estimator : {"dsl", "ppi", "gold", "surrogate"}
        Doubly robust with a learner, with the raw surrogate, gold alone, or surrogates alone (not valid).
    vcov : str, mapping or None
        ``"HC0"`` to ``"HC3"``, ``{"CRV0" | "CRV1" | "CRV3": cluster}``; by default HC3, with clusters CRV1.
    cluster : str or array_like, optional
        Analysis cluster; folds never split one.
    weights : str or array_like, optional
        Analysis weights, 0 or more.
    target : {"superpopulation", "finite"}
        The population the corpus stands for, or this corpus itself.
    df : {"auto", "satterthwaite", "kurtosis", "normal"} or float
        Degrees of freedom of the t intervals.
    alpha : float
        One minus the confidence level.
    missing : {"drop", "raise"}
        What to do with rows where an observed variable is missing.
    prompt : str, array_like or mapping, optional
        Rows the labeller has seen (examples in the prompt, training texts), which leave the frame: a true/false
        column or array, or ``{"text": [documents shown]}``.
    compare : bool
        Also fit gold alone and surrogates alone, for ``Result.compare``.
    scores : bool, optional
        Keep influence scores of all units; by default when they are few (10^6 numbers).
    n_jobs : int, optional
        Processes for cross-fitting.
    progress : bool
        Show a progress bar.
    seed : int or numpy.random.Generator, optional
        Seed of folds and learners.
    context : mapping, optional
        Functions and constants the formula may use.

    Returns
    -------
    Result

    Raises
    ------
    KaratError
        One of its children, naming the argument or column at fault and how to mend it.

    References
    ----------
    Egami, Hinck, Stewart, Wei (2023), *Using imperfect surrogates for downstream inference*;
    Angelopoulos et al. (2023), *Prediction-powered inference*; Chen and Chen (2000).

    Examples
    --------
    >>> import karat as kt
    >>> corpus, truth = kt.datasets.simulate(2000, seed=1)
    >>> sample = kt.SimpleRandom(n=300).draw(corpus, seed=1)
    >>> labelled = kt.datasets.mask_gold(corpus, sample, "hostile")
    >>> fit = kt.regress("ols", "outcome ~ hostile + length", labelled,
    ...                  surrogates={"hostile": "hostile_llm"}, design=sample.design, seed=1)
    >>> fit.coef().index.tolist()
    ['Intercept', 'hostile', 'length']
    """
    call = Call.of(model, formula, {
        "surrogates": surrogates, "labelled": labelled, "features": features, "learner": learner,
        "predictions": predictions, "folds": folds, "repeats": repeats, "combine": combine, "imputation": imputation,
        "tuning": tuning, "estimator": estimator, "vcov": vcov, "cluster": cluster, "weights": weights,
        "target": target, "df": df, "alpha": alpha, "missing": missing, "n_jobs": n_jobs, "seed": seed,
        "context": context,
    }, design)  # fmt: skip
    kind, cluster = read_vcov(vcov, cluster)
    options = Options(
        learner, folds, repeats, combine, imputation, tuning, estimator, kind, target, df, alpha, n_jobs, progress,
        missing, scores,
    )  # fmt: skip
    _refuse_unused(options, predictions, features)
    regression = models.get(model)
    table = Table.read(data)
    parsed = parse(formula, table.columns, context)
    labels = read_labels(parsed, table, surrogates)
    gold_rows = labelled_rows(labels, table, labelled)
    shown = None if prompt is None else prompt_rows(prompt, table)
    labelling = designs.read_draw(designs.resolve(design), table, gold_rows, sampled, nonresponse, shown)

    prepared = prepare(
        table, parsed, labels, labelling, weights=weights, cluster=cluster, missing=missing, context=context,
        shown=shown,
    )  # fmt: skip
    matrix = matrices(prepared)
    regression.check_outcome(matrix.gold.y, parsed.outcome)
    if matrix.observed_y is not None:
        regression.check_outcome(matrix.observed_y, parsed.outcome)

    rng = np.random.default_rng(seed)
    own = _own_features(prepared, options, predictions)
    predicted, blocks = _predict(prepared, matrix, options, predictions, own, features, table, rng)
    sample = _augmented(prepared, matrix, blocks)
    estimate = _estimate(regression, sample, options, predicted is not None)
    parts = _parts(regression, sample, estimate, options)
    naive = naive_fit(regression, prepared, matrix, sample, options) if compare else "not asked for"
    together = isinstance(naive, Naive) and parts.scores.rows is None
    meat = influences([parts, naive.parts] if together and isinstance(naive, Naive) else [parts], options.vcov)
    covariance, dof = infer(parts, options.vcov, options.target, options.df, meat.part(0, len(estimate.theta)))

    result = describe(
        regression, prepared, matrix, options, estimate, parts, covariance, dof, predicted, own,
        assumed=design is None, keep_parts=_keep(options, sample),
    )  # fmt: skip
    if options.combine == "median" and predicted is not None and predicted.splits:
        result = _median_over_splits(result, regression, prepared, matrix, options, predicted)
    elif predicted is not None and predicted.splits:
        result = result.replace(split_share=_split_share(result, regression, prepared, matrix, options, predicted))
    if compare:
        result = result.replace(comparison=compare_with(result, regression, sample, parts, naive, meat, options))
    _tell(result, estimate, options)
    return result.replace(call=call)


def _refuse_unused(options: Options, predictions: object, features: object) -> None:
    """Raise where an argument would be accepted and have no effect."""
    learning = options.estimator == "dsl" and options.learner is not None and predictions is None
    if features is not None and not learning:
        raise ArgumentError(
            "features= feeds a learner, and this fit has none; take it out, or use estimator='dsl' with a learner."
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


def _own_features(prepared: Prepared, options: Options, given: object) -> Features | None:
    """Surrogates and observed columns as numbers: for the learner, and for the checks where they can be had."""
    try:
        return own_features(prepared)
    except DataError:
        if options.estimator == "dsl" and options.learner is not None and given is None:
            raise
        return None


def _predict(
    prepared: Prepared,
    matrix: Design,
    options: Options,
    given: Mapping[str, Any] | None,
    own: Features | None,
    features: object,
    table: Table,
    rng: np.random.Generator,
) -> tuple[Predictions | None, tuple[Rows, ...]]:
    """Predicted rows: from a learner, from outside, or from the surrogates themselves."""
    labelling = prepared.labelling
    if options.estimator == "gold":
        return None, ()
    if given is not None:
        return None, surrogate_rows(prepared, matrix, _from_outside(prepared, given, table), options.imputation)
    if options.learner is None or options.estimator in ("ppi", "surrogate"):
        return None, surrogate_rows(prepared, matrix, _one_surrogate(prepared, options), options.imputation)
    if labelling.census:
        return None, ()
    assert own is not None
    targets = targets_of(prepared, matrix.gold)
    if learners.learns_from_surrogates(options.learner):
        targets = with_surrogates(prepared.labels, targets)
    found = crossfit(
        targets,
        features_of(prepared, own, features, table),
        labelling.gold,
        _folds(prepared, options, targets, table, rng),
        options.learner,
        capped_weights(labelling.spread),
        seed=int(rng.integers(2**31)),
        report_weight=labelling.weight,
        keep_splits=options.combine == "median"
        or prepared.n_rows * (options.repeats if isinstance(options.folds, (int, np.integer)) else 1)
        <= _KEEP_SPLITS_UP_TO,
        linear=options.imputation == "moment" and all(t.joint or t.given_joint for t in targets),
        n_jobs=options.n_jobs,
        progress=options.progress,
    )
    return found, predicted_rows(prepared, matrix, found, options.imputation)


def _folds(prepared: Prepared, options: Options, targets: Any, table: Table, rng: np.random.Generator) -> Ints:
    """Folds that keep clusters whole and balance gold classes."""
    labelling = prepared.labelling
    group = prepared.cluster if prepared.cluster is not None else labelling.unit
    if not isinstance(options.folds, (int, np.integer)):
        given = table.values(options.folds, "folds")
        if prepared.kept is not None and len(given) == len(prepared.kept):
            given = given[prepared.kept]
        return check_folds(given, prepared.n_rows, labelling.labelled, group)
    classes = next((t.values.astype(np.intp) for t in targets if t.n_classes), None)
    return make_folds(labelling.labelled, int(options.folds), options.repeats, rng, classes, group)


def _from_outside(prepared: Prepared, given: Mapping[str, Any], table: Table) -> dict[str, Any]:
    names = {label.name for label in prepared.labels}
    if set(given) != names:
        raise ArgumentError(f"predictions must name each labelled variable {sorted(names)}; got {sorted(given)}.")
    out = {}
    for name, item in given.items():
        if getattr(item, "ndim", 1) == 2 and hasattr(item, "columns"):
            item = probability_columns(name, item, next(s.classes for s in prepared.labels if s.name == name))
        values = table.values(item, f"predictions[{name!r}]")
        out[name] = values if prepared.kept is None else values[prepared.kept]
    return out


def _one_surrogate(prepared: Prepared, options: Options) -> dict[str, Any]:
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


def _augmented(prepared: Prepared, matrix: Design, blocks: tuple[Rows, ...]) -> AugmentedSample:
    return AugmentedSample(
        matrix.gold, blocks, prepared.labelling, prepared.weights, prepared.cluster, matrix.spec.names
    )


def _estimate(regression: models.Model, sample: AugmentedSample, options: Options, crossfitted: bool) -> Estimate:
    if options.estimator == "surrogate":
        return surrogate_estimate(regression, sample)
    if options.estimator == "gold" or not sample.predicted:
        return gold_estimate(regression, sample)
    return rectify(regression, sample, options.tuning, crossfitted)


def _parts(regression: models.Model, sample: AugmentedSample, estimate: Estimate, options: Options) -> Parts:
    curvature = None
    if options.vcov == "CRV3" and sample.cluster is not None:
        role = options.estimator if sample.predicted else "gold"
        curvature = cluster_curvatures(regression, sample, estimate, sample.cluster, role)
    return Parts.of(estimate, sample.labelling, sample.cluster, curvature)


def _keep(options: Options, sample: AugmentedSample) -> bool:
    if options.scores is not None:
        return options.scores
    return sample.n_units * sample.gold.x.shape[1] <= _KEEP_SCORES_UP_TO


def _split_share(
    result: Result,
    regression: models.Model,
    prepared: Prepared,
    matrix: Design,
    options: Options,
    predicted: Predictions,
) -> float | None:
    """Largest share, over coefficients, of the variance that the random split adds to one split's estimate."""
    if len(predicted.splits) < 2:
        return None
    from .estimate.split import split_estimates

    blocks = [predicted_rows(prepared, matrix, split, options.imputation) for split in predicted.splits]
    thetas = split_estimates(regression, _augmented(prepared, matrix, ()), blocks, result.theta, result.mixing)
    spread = thetas.var(axis=0, ddof=1) / len(thetas)
    variance = np.diag(result.covariance)
    return float(np.max(np.divide(spread, variance, out=np.zeros_like(spread), where=variance > 0)))


def _median_over_splits(
    result: Result,
    regression: models.Model,
    prepared: Prepared,
    matrix: Design,
    options: Options,
    predicted: Predictions,
) -> Result:
    """Solve per split; median of estimates and of (covariance plus squared distance to the median)."""
    estimates, covariances, dofs = [], [], []
    for split in predicted.splits:
        sample = _augmented(prepared, matrix, predicted_rows(prepared, matrix, split, options.imputation))
        estimate = _estimate(regression, sample, options, True)
        covariance, dof = infer(_parts(regression, sample, estimate, options), options.vcov, options.target, options.df)
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
        weight=np.diag(tuning.coefficient_weights).copy(),
        mixing=tuning.mixing,
        r_squared=tuning.r_squared,
        parts=None,
    )


def _tell(result: Result, estimate: Estimate, options: Options) -> None:
    """Warn about what the user must know."""
    for note in estimate.notes:
        tell(note, SolverWarning)
    if options.estimator == "surrogate":
        tell("the surrogate estimator takes the labels for the truth; its intervals are not valid.", NotValidWarning)
    else:
        warn_small_samples(result)
