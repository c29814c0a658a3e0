"""Fit the two estimators a DSL estimate is held against, and test the difference."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .assemble import Design, Prepared, surrogate_rows
from .augment import AugmentedSample
from .errors import ConvergenceError, KaratError
from .estimate.covariance import influence_covariance
from .estimate.infer import Parts, infer
from .estimate.rectify import cluster_curvatures, gold_estimate, surrogate_estimate
from .results.comparison import Column, Comparison, Difference
from .results.tests import quadratic_form

if TYPE_CHECKING:
    from ._types import Floats
    from .models import Model
    from .options import Options
    from .results import Result

TITLES = {"dsl": "DSL", "ppi": "PPI", "gold": "Gold only", "surrogate": "Surrogate only"}
_CAUTION = "takes labels for truth; its intervals are not valid"


def compare_with(
    result: Result,
    model: Model,
    prepared: Prepared,
    matrix: Design,
    sample: AugmentedSample,
    parts: Parts,
    options: Options,
) -> Comparison:
    """Surrogates alone and gold alone beside a fit.

    Parameters
    ----------
    result : Result
        The fit.
    model, prepared, matrix, sample, parts, options
        What it was made from.

    Returns
    -------
    Comparison
        Surrogates alone are left out, with the reason, where they cannot stand for the labels.
    """
    columns: list[Column] = []
    remark, difference = "", None
    try:
        naive_column, difference = _naive(result, model, prepared, matrix, sample, parts, options)
        columns.append(naive_column)
    except (KaratError, np.linalg.LinAlgError) as error:
        remark = f"Surrogate only is not shown: {error}"
    if options.estimator != "gold":
        gold = gold_estimate(model, sample)
        curvature = None
        if options.vcov == "CRV3" and sample.cluster is not None:
            curvature = cluster_curvatures(model, sample, gold, sample.cluster, "gold")
        columns.append(_column("Gold only", Parts.of(gold, sample.labelling, sample.cluster, curvature), gold.theta, options))
    if options.estimator != "surrogate":
        se = np.sqrt(np.diag(result.covariance))
        columns.append(Column(TITLES[options.estimator], result.theta, se, result.df))
    cautions = {"Surrogate only": _CAUTION} if columns and columns[0].title == "Surrogate only" else {}
    return Comparison(
        result.names, tuple(columns), difference, result.effective_gold, result.r_squared, result.alpha,
        result.n_gold, remark, cautions,
    )  # fmt: skip


def _naive(
    result: Result,
    model: Model,
    prepared: Prepared,
    matrix: Design,
    sample: AugmentedSample,
    parts: Parts,
    options: Options,
) -> tuple[Column, Difference | None]:
    """Surrogates alone (the first of each label, plugged in), and the difference of the fit from them."""
    given = {label.name: label.surrogates[0].values for label in prepared.labels}
    rows = surrogate_rows(prepared, matrix, given, "value")
    naive = AugmentedSample(
        sample.gold, rows, sample.labelling, sample.weights, sample.cluster, sample.names
    )
    estimate = surrogate_estimate(model, naive)
    if not np.isfinite(estimate.theta).all():
        raise ConvergenceError("its coefficients are not finite")
    curvature = None
    if options.vcov == "CRV3" and sample.cluster is not None:
        curvature = cluster_curvatures(model, naive, estimate, sample.cluster, "surrogate")
    own = Parts.of(estimate, sample.labelling, sample.cluster, curvature)
    column = _column("Surrogate only", own, estimate.theta, options, target="superpopulation")
    if options.estimator == "surrogate":
        return column, None
    return column, _difference(result, estimate.theta, parts, own)


def _column(title: str, parts: Parts, theta: Floats, options: Options, target: str | None = None) -> Column:
    covariance, df = infer(parts, options.vcov, target or options.target, options.df)
    return Column(title, theta, np.sqrt(np.diag(covariance.total)), df)


def _difference(result: Result, naive: Floats, parts: Parts, own: Parts) -> Difference:
    """Test of equality from stacked influence functions."""
    from scipy.stats import chi2, norm

    labelling = parts.labelling
    inverse, naive_inverse = np.linalg.inv(parts.curvature), np.linalg.inv(own.curvature)
    psi = own.scores.phi @ -naive_inverse.T
    where = slice(None) if parts.scores.rows is None else parts.scores.rows
    psi[where] += parts.scores.phi @ inverse.T
    error = parts.scores.error @ inverse.T
    cluster = parts.cluster if result.vcov_kind.startswith("CRV") else None
    covariance = influence_covariance(psi, error, labelling, result.target, cluster)
    gap = result.theta - naive
    se = np.sqrt(np.maximum(np.diag(covariance), 0.0))
    with np.errstate(divide="ignore", invalid="ignore"):
        p_values = np.where(se > 0, 2 * norm.sf(np.abs(gap) / se), np.where(np.abs(gap) > 1e-12, 0.0, 1.0))
    if not (se > 0).any():
        return Difference("difference from surrogate only", gap, se, p_values, 0.0, 0, 1.0)
    statistic, rank = quadratic_form(gap, covariance)
    title = f"Difference {TITLES[result.estimator]} - surrogate only"
    return Difference(title, gap, se, p_values, statistic, rank, float(chi2.sf(statistic, rank)))
