"""Which small groups stand out, and how they rank."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import generator, number, one_of, whole
from ..frames.order import seed_of_result
from ..results.estimates import bounds_names

if TYPE_CHECKING:
    import pandas as pd

    from .._core.types import Floats


def discover(fit: Any, alpha: float, null: float | str, method: str) -> pd.DataFrame:
    """Groups above or below a value; see :meth:`SmallGroups.discoveries`."""
    import pandas as pd
    from scipy.stats import norm, t

    one_of("method", method, ("local", "direct"))
    value = _average(fit) if null == "average" else np.full(len(fit.theta), number("null", null))
    estimate, se = (fit.theta, fit.se().to_numpy()) if method == "local" else (fit.direct, fit.direct_se)
    with np.errstate(divide="ignore", invalid="ignore"):
        size = np.abs((estimate - value) / se)
    if method == "local":
        q = false_sign_rates(norm.sf(size))
    else:
        freedom = max(fit.n_gold - int((fit.gold > 0).sum()) // fit.n_classes, 1)
        q = benjamini_hochberg(2.0 * t.sf(size, freedom))
    return pd.DataFrame(
        {
            "Estimate": estimate, "Std. Error": se, "value": value,
            "side": np.where(np.isnan(q), "", np.where(estimate > value, "above", "below")),
            "q value": q, "named": q <= alpha,
        },
        index=list(fit.names),
    )  # fmt: skip


def _average(fit: Any) -> Floats:
    """Mean over all documents, of the class of each row."""
    d = len(fit.group_names)
    share = fit.documents[:d] / fit.documents[:d].sum()
    return np.repeat(fit.theta.reshape(-1, d) @ share, d)


def rank_intervals(fit: Any, alpha: float, draws: int, seed: Any) -> pd.DataFrame:
    """Ranks with intervals; see :meth:`SmallGroups.ranks`."""
    import pandas as pd

    d = len(fit.group_names)
    draws = whole("draws", draws, least=100)
    rng = generator(seed_of_result(seed, fit, draws, "ranks"))
    found = []
    for start in range(0, len(fit.theta), d):
        at = slice(start, start + d)
        values, vectors = np.linalg.eigh(fit.covariance[at, at])
        drawn = rng.standard_normal((draws, d)) @ (vectors * np.sqrt(np.maximum(values, 0.0))).T + fit.theta[at]
        ranks = (-drawn).argsort(axis=1).argsort(axis=1) + 1
        own = (-fit.theta[at]).argsort().argsort() + 1
        found.append([own, *np.quantile(ranks, [alpha / 2, 1 - alpha / 2], axis=0, method="inverted_cdf")])
    columns = np.hstack([np.array(part) for part in found]).astype(np.intp)
    return pd.DataFrame(dict(zip(["rank", *bounds_names(alpha)], columns)), index=list(fit.names))


def false_sign_rates(chance: Floats) -> Floats:
    """Mean probability of the wrong side among the groups that are at least as sure, shape (p,).

    Examples
    --------
    >>> false_sign_rates(np.array([0.3, 0.1])).tolist()
    [0.2, 0.1]
    """
    order = np.argsort(chance, kind="stable")
    out = np.empty_like(chance)
    out[order] = np.cumsum(chance[order]) / np.arange(1, len(chance) + 1)
    return out


def benjamini_hochberg(p: Floats) -> Floats:
    """Adjusted p-values; missing ones stay missing and do not count.

    Examples
    --------
    >>> benjamini_hochberg(np.array([0.03, 0.01, np.nan])).tolist()
    [0.03, 0.02, nan]
    """
    out = np.full_like(p, np.nan)
    known = np.flatnonzero(~np.isnan(p))
    order = known[np.argsort(p[known], kind="stable")]
    m = len(order)
    if m:
        raw = p[order] * m / np.arange(1, m + 1)
        out[order] = np.minimum(np.minimum.accumulate(raw[::-1])[::-1], 1.0)
    return out
