"""Degrees of freedom of estimated variances."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from .._core.types import Floats


def kurtosis_df(second: Floats, fourth: Floats) -> Floats:
    """Degrees of freedom that a sum of squared influences carries, per coefficient.

    Parameters
    ----------
    second, fourth : ndarray, shape (p,)
        Sums of squares and of fourth powers.

    Returns
    -------
    ndarray, shape (p,)
        ``3 (sum psi^2)^2 / sum psi^4 - 1``; about the number of terms for normal influences, small
        when few units dominate. At least 1.

    Examples
    --------
    >>> kurtosis_df(np.array([4.0]), np.array([4.0]))
    array([11.])
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        df = np.where(fourth > 0, 3.0 * second**2 / fourth - 1.0, np.inf)
    return np.maximum(df, 1.0)


def satterthwaite_df(total: Floats, labelling: Floats, gold_df: Floats, population_df: Floats | float) -> Floats:
    """Degrees of freedom of a variance that is a labelling plus a population part.

    Parameters
    ----------
    total, labelling : ndarray, shape (p,)
        Variances.
    gold_df : ndarray, shape (p,)
        Degrees of freedom of the labelling part.
    population_df : float or ndarray, shape (p,)
        Degrees of freedom of the rest.

    Returns
    -------
    ndarray, shape (p,)
    """
    part = np.minimum(np.maximum(labelling, 0.0), total)
    rest = total - part
    with np.errstate(divide="ignore", invalid="ignore"):
        share = part / total
        df = 1.0 / (share**2 / np.maximum(gold_df, 1.0) + (rest / total) ** 2 / np.maximum(population_df, 1.0))
    return np.where(np.isfinite(df), np.maximum(df, 1.0), np.maximum(population_df, 1.0))
