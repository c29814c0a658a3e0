"""Hypotheses about coefficients: Wald, contrasts, delta method, simultaneous intervals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ArgumentError, KaratError
from .hypotheses import Numbers, read_hypotheses

if TYPE_CHECKING:
    import pandas as pd

    from .._core.types import Floats
    from ..estimate.infer import Parts
    from ..estimate.shares import Shares


@dataclass(frozen=True)
class TestResult:
    """A test of linear hypotheses.

    Parameters
    ----------
    statistic : float
        F statistic.
    p_value : float
    df_numerator : int
        Number of independent hypotheses.
    df_denominator : float
        Infinite for a chi-squared test.
    hypothesis : str
    """

    __test__ = False

    statistic: float
    p_value: float
    df_numerator: int
    df_denominator: float
    hypothesis: str

    def __str__(self) -> str:
        return (
            f"{self.hypothesis}: F({self.df_numerator}, {self.df_denominator:.1f}) = {self.statistic:.3f}, "
            f"p = {self.p_value:.4g}"
        )


def wald(result: Numbers, hypothesis: object) -> TestResult:
    """F test of ``R theta = r``.

    Parameters
    ----------
    result : Numbers
    hypothesis : str, list of str or array_like

    Returns
    -------
    TestResult

    Raises
    ------
    ArgumentError
        If the hypotheses cannot be read or contradict the number of coefficients.
    """
    matrix, right, text = read_hypotheses(result, hypothesis)
    gap = matrix @ result.theta - right
    covariance = covariance_of(result, matrix)
    if not np.isfinite(covariance).all():
        unknown = [n for n, v in zip(result.names, np.diag(result.covariance)) if not np.isfinite(v)]
        if not unknown:
            raise KaratError(
                "the covariance between the coefficients of this hypothesis is not known, so they cannot be tested "
                "together; test them one at a time."
            )
        raise KaratError(
            f"the standard error of {', '.join(map(repr, unknown))} is not known (a single cluster identifies it), so "
            "it cannot be tested; leave it out of the hypothesis."
        )
    statistic, rank, df, p_value = joint_test(gap, covariance, lambda rows: joint_freedom(result, rows, matrix))
    return TestResult(statistic, p_value, rank, df, "; ".join(text))


def joint_test(gap: Floats, covariance: Floats, freedom: Callable[[Floats], float]) -> tuple[float, int, float, float]:
    """Hotelling's test that all of ``gap`` is 0: the quadratic form as an F statistic.

    With q hypotheses and a covariance of e degrees of freedom, ``(e - q + 1) / (e q)`` times the quadratic form has
    the F distribution with q and e - q + 1 degrees of freedom. e is taken to be at least q: then hardly any statistic
    is large enough, which is what so few degrees of freedom can say.

    Parameters
    ----------
    gap : ndarray, shape (k,)
    covariance : ndarray, shape (k, k)
        Of rank q, where hypotheses are redundant.
    freedom : callable
        Degrees of freedom of the covariance of ``rows @ gap``, given linearly independent rows, shape (q, k).

    Returns
    -------
    statistic : float
    q : int
    df : float
        Of the denominator; infinite for a chi-squared test.
    p_value : float

    Raises
    ------
    KaratError
        If the covariance is 0.

    Examples
    --------
    >>> statistic, q, df, p_value = joint_test(np.array([2.0]), np.array([[4.0]]), lambda rows: 9.0)
    >>> statistic, q, df, round(p_value, 3)
    (1.0, 1, 9.0, 0.343)
    """
    from scipy.stats import chi2, f

    scale = np.sqrt(np.maximum(np.diag(covariance), 0.0))
    scale[scale == 0] = 1.0
    values, vectors = np.linalg.eigh(covariance / np.outer(scale, scale))
    keep = values > 1e-10 * max(values.max(), 1e-300)
    if not keep.any():
        raise KaratError("the covariance of the hypotheses is zero, so they cannot be tested.")
    rows = (vectors[:, keep] / np.sqrt(values[keep])).T / scale
    squared, q = float(((rows @ gap) ** 2).sum()), int(keep.sum())
    found = freedom(rows)
    if np.isinf(found):
        return squared / q, q, np.inf, float(chi2.sf(squared, q))
    found = max(found, float(q))
    rest = found - q + 1
    statistic = squared * rest / (found * q)
    return statistic, q, rest, float(f.sf(statistic, q, rest))


def difference_test(gap: Floats, se: Floats, df: Floats, beside: Floats) -> tuple[Floats, Floats]:
    """Standard errors and p-values of the differences of two estimates of the same coefficients.

    Estimates that are the same but for rounding, as those of labels without a wrong one among gold, have a difference
    of 0 with a standard error of 0, and p = 1; one that gold cannot explain, with a standard error of 0, has p = 0.

    Parameters
    ----------
    gap, se, df : ndarray, shape (p,)
        Differences, their standard errors (NaN: not known) and degrees of freedom.
    beside : ndarray, shape (p,)
        Standard errors of one of the estimates; a 1e7th of them is rounding.

    Returns
    -------
    se, p_values : ndarray, shape (p,)

    Examples
    --------
    >>> se, p = difference_test(np.array([1e-16, 0.3]), np.array([1e-17, 0.1]), np.array([50.0, 50.0]), np.ones(2))
    >>> se.tolist(), p.round(3).tolist()
    ([0.0, 0.1], [1.0, 0.004])
    """
    from scipy.stats import t

    rounding = np.where(beside > 0, 1e-7 * beside, 1e-12)
    se = np.where(se <= rounding, 0.0, se)
    with np.errstate(divide="ignore", invalid="ignore"):
        noisy = 2 * t.sf(np.abs(gap) / se, df)
    return se, np.where(se == 0, np.where(np.abs(gap) > rounding, 0.0, 1.0), noisy)


def joint_freedom(result: Numbers, rows: Floats, matrix: Floats, parts: Parts | None = None) -> float:
    """Degrees of freedom of the covariance of ``rows @ matrix @ theta``.

    The smallest of the coefficients involved. With CRV2 and CRV3, where influence scores were kept, what the leverage
    of the clusters leaves for these hypotheses together, times the smallest share that the coefficients involved have
    of theirs (few gold units take some away).

    Parameters
    ----------
    result : Numbers
    rows : ndarray, shape (q, k)
    matrix : ndarray, shape (k, p)
    parts : Parts, optional
        By default those the result keeps.
    """
    parts = getattr(result, "parts", None) if parts is None else parts
    fit: Any = result  # parts are those of a fit
    involved = np.abs(matrix).sum(axis=0) > 0
    of_clusters = parts is not None and fit.df_method == "auto" and fit.target == "superpopulation"
    ways = [one for one in parts.leverages(fit.vcov_kind)[:2] if one is not None] if parts and of_clusters else []
    if not ways:
        return float(result.df[involved].min())
    alone = [min(one.freedom(row[None, :]) for one in ways) for row in np.eye(len(result.df))[involved]]
    return min(one.freedom(rows @ matrix) for one in ways) * float((result.df[involved] / alone).min())


def covariance_of(result: Numbers, matrix: Floats) -> Floats:
    """Covariance of linear functions, shape (k, k); not a number only where they involve such a coefficient."""
    unknown = ~np.isfinite(np.diag(result.covariance))
    covariance: Floats = matrix @ np.nan_to_num(result.covariance) @ matrix.T
    involved = np.abs(matrix[:, unknown]).sum(axis=1) > 0
    covariance[involved], covariance[:, involved] = np.nan, np.nan
    absent = ~np.isfinite(result.covariance) & ~(unknown[:, None] | unknown)
    covariance[np.abs(matrix) @ absent @ np.abs(matrix).T > 0] = np.nan
    return covariance


def contrast(result: Numbers, hypothesis: object, alpha: float) -> pd.DataFrame:
    """Linear combinations with intervals, see :func:`joint_freedom` for their degrees of freedom."""
    matrix, right, text = read_hypotheses(result, hypothesis)
    value = matrix @ result.theta - right
    se = np.sqrt(np.maximum(np.diag(covariance_of(result, matrix)), 0.0))
    df = np.array([joint_freedom(result, np.eye(1), row[None, :]) for row in matrix])
    return table_of(text, value, se, df, alpha)


def delta(result: Numbers, function: Callable[[Floats], Any], alpha: float) -> pd.DataFrame:
    """Delta method with a central-difference derivative, steps of 1e-5 standard-error-sized units."""
    theta = np.array(result.theta)
    value = np.atleast_1d(np.asarray(function(theta), dtype=np.float64))
    se_theta = np.sqrt(np.diag(result.covariance))
    derivative = np.empty((len(value), len(theta)))
    for j in range(len(theta)):
        step = 1e-4 * se_theta[j] if se_theta[j] > 0 else 1e-6
        up, down = theta.copy(), theta.copy()
        up[j] += step
        down[j] -= step
        derivative[:, j] = (np.atleast_1d(function(up)) - np.atleast_1d(function(down))) / (2 * step)
    if not np.isfinite(derivative).all() or not np.isfinite(value).all():
        raise ArgumentError("the function is not finite or not differentiable at the estimates; rewrite it.")
    involved = [np.abs(row) > 1e-12 * np.abs(derivative).max() for row in derivative]
    se = np.sqrt(np.diag(covariance_of(result, np.where(involved, derivative, 0.0))))
    df = np.array([result.df[mask].min() if mask.any() else np.inf for mask in involved])
    names = [f"f{j + 1}" for j in range(len(value))] if len(value) > 1 else ["f"]
    return table_of(names, value, se, df, alpha)


def interval(
    theta: Floats, variance: Floats, df: Floats, level: float, form: str, shares: Shares | None = None
) -> tuple[Floats, Floats]:
    """Confidence intervals from estimates and their variances.

    Parameters
    ----------
    theta, variance, df : ndarray, shape (p,)
    level : float
        One minus the confidence level.
    form : {"wald", "beta"}
        "beta" is for shares: Clopper and Pearson's interval at the effective size.
    shares : Shares, optional
        Gives the effective size; without it the size is that which gives this variance.

    Returns
    -------
    low, high : ndarray, shape (p,)

    Examples
    --------
    >>> low, high = interval(np.array([0.02]), np.array([0.015**2]), np.array([np.inf]), 0.05, "beta")
    >>> bool(low[0] > 0)
    True
    """
    from scipy.stats import norm, t

    from ..estimate.shares import beta_interval

    if form == "beta" and shares is not None:
        return shares.interval(theta, variance, level)
    quantile = np.asarray(t.isf(level / 2.0, df))
    if form == "beta":
        p = np.clip(theta, 0.0, 1.0)
        size = p * (1.0 - p) / np.maximum(variance, 1e-12) * (norm.isf(level / 2.0) / quantile) ** 2
        return beta_interval(theta, size, level)
    half = quantile * np.sqrt(variance)
    return theta - half, theta + half


def table_of(names: Sequence[str], value: Floats, se: Floats, df: Floats, alpha: float) -> pd.DataFrame:
    """Tidy table of estimates with t intervals."""
    import pandas as pd
    from scipy.stats import t

    with np.errstate(divide="ignore", invalid="ignore"):
        statistic = value / se
    quantile = t.ppf(1 - alpha / 2, df)
    return pd.DataFrame(
        {
            "Estimate": value,
            "Std. Error": se,
            "t value": statistic,
            "Pr(>|t|)": 2 * t.sf(np.abs(statistic), df),
            f"{100 * alpha / 2:.6g}%": value - quantile * se,
            f"{100 * (1 - alpha / 2):.6g}%": value + quantile * se,
        },
        index=list(names),
    )
