"""Degrees of freedom of estimated variances, and a least variance where these may have missed something."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from .covariance import Covariance

if TYPE_CHECKING:
    from .._core.types import Bools, Floats


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


def of_unseen(contributions: Sequence[Floats | None], matrices: Sequence[Floats]) -> Floats | None:
    """Least covariance of a sum of functions of fits, by wrong labels gold may have missed; as many are the same."""
    sums: dict[int, Floats] = {}
    for one, matrix in zip(contributions, matrices):
        if one is not None and len(one):
            sums[len(one)] = sums.get(len(one), 0.0) + one @ matrix.T
    return np.sum([one.T @ one for one in sums.values()], axis=0) if sums else None


def at_least(covariance: Covariance, df: Floats, floor: Floats) -> tuple[Covariance, Floats]:
    """With variances no smaller than those of wrong labels that gold may have missed.

    What is added is set and not estimated: degrees of freedom of ``V + F`` are those of V times ``((V + F) / V)^2``.
    """
    more = lacking(covariance.total, floor)
    before, after = np.diag(covariance.total), np.diag(covariance.total + more)
    with np.errstate(divide="ignore", invalid="ignore"):
        grown = np.where(after > before, after / before, 1.0)
    return Covariance(covariance.total + more, covariance.labelling + more), df * grown**2


def lacking(total: Floats, floor: Floats | None) -> Floats | float:
    """What variances lack to be those of a floor: ``S F S`` with ``S_j^2 = (1 - V_j / F_j)+``, shape (p, p)."""
    if floor is None:
        return 0.0
    least, short = np.diag(floor), np.maximum(np.diag(floor) - np.maximum(np.diag(total), 0.0), 0.0)
    share = np.sqrt(np.divide(short, least, out=np.zeros(len(least)), where=short > 0))
    return np.asarray(floor * np.outer(share, share))


def holds(unseen: Floats, covariance: Floats) -> Bools:
    """Of which coefficients the least variance, of these contributions, is the one that is reported."""
    least = (unseen**2).sum(axis=0)
    return np.asarray((least > 0) & (least > (1.0 - 1e-9) * np.diag(covariance)))
