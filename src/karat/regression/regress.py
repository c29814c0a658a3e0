"""The entry point: from a formula and a table to a Result.

``regress`` reads as the method does: roles, design, matrices, predictions, augmented sample,
root, tuning, covariance. Numbers happen elsewhere, in functions on arrays.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import designs
from .. import moments as models
from .._core.arguments import checked_arguments
from .._core.threads import single_threaded
from ..checks.duplicates import prompt_rows
from ..errors import generator
from ..estimate.infer import infer, influences
from ..estimate.shares import group_means, shares_of
from ..frames import Table
from ..frames.formula import parse
from ..frames.seeds import seed_of_fit
from ..predict import Predictions
from ..results import Result
from ..results.call import Call
from .comparison_fits import Naive, compare_with, gold_column, naive_fit, wider_than_gold
from .describe import describe
from .design_matrix import Design, Prepared, matrices, prepare
from .options import Options, read_vcov
from .pipeline import (
    augmented,
    estimated,
    frame_features,
    keeps_scores,
    parts_of,
    predicted_blocks,
    refuse_unused,
    tell_user,
)
from .predicted_rows import predicted_rows
from .variables import labelled_rows, read_labels

if TYPE_CHECKING:
    pass


@checked_arguments()
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
    model : {"ols", "logit", "probit", "poisson", "multinomial"}
        Which regression.
    formula : str
        ``"outcome ~ covariates"`` (formulaic syntax; ``offset(x)`` adds an offset). A formula is code: do not fit one
        from somebody you do not trust. Names with spaces, dots or such stand in backticks.
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
        ``"HC0"`` to ``"HC3"``, ``{"CRV0" | "CRV1" | "CRV2" | "CRV3": cluster}``; by default HC3, with clusters CRV3.
    cluster : str, list of two str or array_like, optional
        Analysis cluster, or clusters of two ways. Folds never split one; with two ways they keep both whole, or the
        first where rows that hang together through both make up too few groups.
    weights : str or array_like, optional
        Analysis weights, 0 or more.
    target : {"superpopulation", "finite"}
        The population the corpus represents, or this corpus itself.
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
        Seed of folds and learners. Without one a number made from the gold rows and the formula, which the summary
        shows: the same call gives the same numbers, whatever the order of the rows.
    context : mapping, optional
        Functions and constants the formula may use.

    Returns
    -------
    Result

    Raises
    ------
    KaratError
        One of its children, naming the argument or column at fault and how to correct it.

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
    refuse_unused(options, predictions, features)
    regression = models.get(model)
    table = Table.read(data)
    parsed = parse(formula, table.names, context, regression.categorical)
    labels = read_labels(parsed, table, surrogates)
    gold_rows = labelled_rows(labels, table, labelled)
    shown = None if prompt is None else prompt_rows(prompt, table)
    labelling = designs.read_draw(designs.resolve(design), table, gold_rows, sampled, nonresponse, shown)

    prepared = prepare(
        table, parsed, labels, labelling, weights=weights, cluster=cluster, missing=missing, context=context,
        shown=shown,
    )  # fmt: skip
    matrix = matrices(prepared, regression)
    regression.check_outcome(matrix.gold.y, parsed.outcome)
    if matrix.observed_y is not None:
        regression.check_outcome(matrix.observed_y, parsed.outcome)

    seed = seed_of_fit(seed, prepared, model, formula)
    rng = generator(seed)
    own = frame_features(prepared, options, predictions)
    predicted, blocks = predicted_blocks(prepared, matrix, options, predictions, own, features, table, rng)
    sample = augmented(prepared, matrix, blocks)
    estimate = estimated(regression, sample, options, predicted is not None)
    parts = parts_of(regression, sample, estimate, options)
    naive = naive_fit(regression, prepared, matrix, sample, options) if compare else "not asked for"
    together = isinstance(naive, Naive) and parts.scores.rows is None
    meat = influences([parts, naive.parts] if together and isinstance(naive, Naive) else [parts], options.vcov)
    covariance, dof = infer(parts, options.vcov, options.target, options.df, meat.part(0, len(estimate.theta)))

    result = describe(
        regression, prepared, matrix, options, estimate, parts, covariance, dof, predicted, own,
        assumed=design is None, keep_parts=keeps_scores(options, sample),
    )  # fmt: skip
    if options.combine == "median" and predicted is not None and predicted.splits:
        result = _median_over_splits(result, regression, prepared, matrix, options, predicted)
    elif predicted is not None and predicted.splits:
        result = result.replace(split_share=_split_share(result, regression, prepared, matrix, options, predicted))
    if regression.name == "mean" and options.estimator != "surrogate" and group_means(sample.gold.x):
        shares = shares_of(estimate.theta, covariance, sample, parts, options.vcov, options.target)
        settled, dof, shares = shares.settle(result.covariance, result.df, options.df)
        result = result.replace(covariance=settled, df=dof, shares=shares)
    gold = gold_column(result, regression, sample, estimate, options)
    result = result.replace(notes=(*result.notes, *wider_than_gold(result, gold, options)))
    if compare:
        result = result.replace(comparison=compare_with(result, gold, parts, naive, meat, options))
    tell_user(result, estimate, options)
    return result.replace(call=call.seeded(seed), seed=None if isinstance(seed, np.random.Generator) else int(seed))


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
    from ..estimate.split import split_estimates

    blocks = [predicted_rows(prepared, matrix, split, options.imputation) for split in predicted.splits]
    thetas = split_estimates(regression, augmented(prepared, matrix, ()), blocks, result.theta, result.mixing)
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
        sample = augmented(prepared, matrix, predicted_rows(prepared, matrix, split, options.imputation))
        estimate = estimated(regression, sample, options, True)
        covariance, dof = infer(
            parts_of(regression, sample, estimate, options), options.vcov, options.target, options.df
        )
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
