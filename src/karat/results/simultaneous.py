"""Intervals that hold for several coefficients at once: max-t by a multiplier bootstrap."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ArgumentError, generator, whole
from ..frames.order import seed_of_result
from .tests import interval

if TYPE_CHECKING:
    import pandas as pd

    from .._core.types import Floats
    from ..estimate.shares import Shares
    from .hypotheses import Numbers
    from .result import Result


def simultaneous(result: Result, alpha: float, terms: Sequence[str] | None, draws: int, seed: Any) -> pd.DataFrame:
    """Max-t intervals: multipliers on the influence of units (or clusters).

    The bootstrap gives the dependence among t statistics; each is then compared on its own t scale,
    so that few degrees of freedom widen the intervals as they do one at a time. Source:
    Chernozhukov, Chetverikov, Kato (2013); Montiel Olea and Plagborg-Moller (2019).
    """
    known = dict(zip(result.names, np.isfinite(np.diag(result.covariance))))
    usual = [n for n in result.names if n not in ("Intercept", "(Intercept)") and known[n]]
    family = list(terms) if terms is not None else usual
    if not family or not all(known.get(name, True) for name in family):
        raise ArgumentError(
            "simultaneous intervals need at least one coefficient, all with a standard error; name them in terms=."
        )
    index = np.array([result.position(name) for name in family])
    draws = whole("draws", draws, least=100)
    rng = generator(seed_of_result(seed, result, draws))
    covariance = result.covariance[np.ix_(index, index)]
    if result.parts is not None and result.target == "superpopulation" and result.shares is None:
        largest = _multiplier_maxima(result, index, rng, draws)
    else:
        largest = normal_maxima(covariance, rng, draws)
    return bands(result, family, largest, alpha, result.interval, result.shares)


def normal_maxima(covariance: Floats, rng: np.random.Generator, draws: int) -> Floats:
    """Maxima of absolute t statistics that are jointly normal, shape (draws,): Montiel Olea, Plagborg-Moller (2019).

    Those without a standard error, or with one of 0, take no part; without any others, as of one.
    """
    se = np.sqrt(np.diag(covariance))
    known = np.isfinite(se) & (se > 0)
    if not known.any():
        return np.abs(rng.standard_normal(draws))
    values, vectors = np.linalg.eigh(covariance[np.ix_(known, known)] / np.outer(se[known], se[known]))
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    blocks = (min(1_000, draws - start) for start in range(0, draws, 1_000))  # as many numbers as fit the cache
    return np.concatenate([np.abs(rng.standard_normal((size, len(root))) @ root.T).max(axis=1) for size in blocks])


def bands(
    known: Numbers,
    family: Sequence[str],
    largest: Floats,
    alpha: float,
    form: str = "wald",
    shares: Shares | None = None,
) -> pd.DataFrame:
    """Intervals of a family of coefficients whose largest t statistics are given, each on its own t scale."""
    import pandas as pd
    from scipy.stats import norm, t

    index = np.array([known.names.index(name) for name in family])
    tail = norm.sf(float(np.quantile(largest, 1.0 - alpha)))
    quantile = t.isf(tail, known.df[index])
    low, high = interval(known.theta, np.diag(known.covariance), known.df, 2.0 * tail, form, shares)
    return pd.DataFrame(
        {
            "Estimate": known.theta[index],
            "Std. Error": np.sqrt(np.diag(known.covariance)[index]),
            "critical value": quantile,
            f"{100 * alpha / 2:.6g}%": low[index],
            f"{100 * (1 - alpha / 2):.6g}%": high[index],
        },
        index=list(family),
    )


def _multiplier_maxima(result: Result, index: Any, rng: np.random.Generator, draws: int) -> Floats:
    """Maxima of ``|sum xi psi| / sd`` over coefficients, shape (draws,), with the result's own correlation.

    Multipliers are drawn for the influence of units; the design's correction of the correlation
    enters by rotating the influences to the covariance reported.
    """
    from .revise import grouped_influence

    psi = grouped_influence(result)[:, index]
    plain = psi.T @ psi
    wanted = result.covariance[np.ix_(index, index)]
    psi, sd = psi @ transport(plain, wanted), np.sqrt(np.diag(wanted))
    if not (sd > 0).any():
        return np.abs(rng.standard_normal(draws))
    psi, sd = psi[:, sd > 0], sd[sd > 0]
    psi = psi[np.abs(psi).max(axis=1) > 0]
    psi = psi[np.argsort(psi / sd @ np.sqrt(np.arange(2, len(sd) + 2)))]  # not in the order of the table
    out = np.empty(draws)
    block = max(1, 4_000_000 // max(len(psi), 1))
    for start in range(0, draws, block):
        size = min(block, draws - start)
        signs = rng.standard_normal((size, len(psi)))
        out[start : start + size] = np.abs(signs @ psi / sd).max(axis=1)
    return out


def transport(plain: Floats, wanted: Floats) -> Floats:
    """Matrix M with ``M' plain M = wanted`` and, when the two agree, the identity."""

    def root(matrix: Floats, power: float) -> Floats:
        values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
        values = np.maximum(values, values.max() * 1e-12)
        out: Floats = (vectors * values**power) @ vectors.T
        return out

    half = root(plain, 0.5)
    inverse = root(plain, -0.5)
    return inverse @ root(half @ wanted @ half, 0.5) @ inverse
