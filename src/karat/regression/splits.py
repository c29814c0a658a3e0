"""What random splits of the gold sample do to a fit: medians over them, and the variance they add."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..estimate.infer import infer
from ..estimate.split import split_estimates
from .predicted_rows import predicted_rows
from .steps import augmented, estimated, parts_of

if TYPE_CHECKING:
    from ..moments import Model
    from ..predict import Predictions
    from ..results import Result
    from .design_matrix import Design, Prepared
    from .options import Arguments


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
    thetas = split_estimates(regression, augmented(prepared, matrix, ()), blocks, result.theta, result.lambda_matrix)
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
        tuning_weight=np.diag(tuning.coefficient_weights).copy(),
        lambda_matrix=tuning.mixing,
        r_squared=tuning.r_squared,
        parts=None,
    )
