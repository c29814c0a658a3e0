"""Composites of a direct and a model estimate of each group, with what is not known (methods, section 10)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from .._core.types import Floats

_POINTS = 60
"""Between variances that are averaged over."""

_REACH = 6.0
"""The largest of them, in multiples of what the groups show."""

_SURE = 0.6
"""How surely the variance between groups lies below the one at which errors are told (methods, section 10)."""

_LEAST_SEEN = 2.5
"""Least variance between groups at which direct and model estimates are weighed, in its standard errors.

What is known of this variance are differences between direct estimates, which are mostly noise. The more weight the
model has, the more the error of a composite depends on what is hardly known: with the least that can be told from
nothing, intervals of one length serve groups that are alike and groups that differ (methods, section 10).
"""

_NO_GOLD = 1e9
"""Variance of the direct estimate of a group without gold, in multiples of the largest of the others."""


@dataclass(frozen=True)
class Areas:
    """What is known of D groups, K numbers each (one, or the shares of K classes).

    Parameters
    ----------
    direct : ndarray, shape (D, K)
        Gold-corrected estimates; 0 in groups without gold.
    predicted : ndarray, shape (D, K)
        Means of the predictions.
    variance : ndarray, shape (D, K)
        Of the direct estimates, from residuals of all groups; infinite without gold.
    own : ndarray, shape (D, K)
        The same, drawn towards the group's own residuals as its gold allows.
    residual : ndarray, shape (D, K)
        Variance of a unit's error in each group.
    size : ndarray, shape (D,)
        Units of each group after unequal analysis weights, ``(sum v)^2 / sum v^2``.
    count : ndarray, shape (D,)
        Gold rows.
    dimension : float
        Independent numbers among the K.
    """

    direct: Floats
    predicted: Floats
    variance: Floats
    own: Floats
    residual: Floats
    size: Floats
    count: Floats
    dimension: float

    @property
    def has_gold(self) -> Floats:
        """Groups that hold gold, shape (D,)."""
        return np.asarray(self.count > 0)


@dataclass(frozen=True)
class Composite:
    """Estimates of all groups.

    Parameters
    ----------
    theta, model : ndarray, shape (D, K)
        Composite, and the model alone.
    weight : ndarray, shape (D,)
        Of the direct estimate.
    covariance : ndarray, shape (K, D, D)
        Mean squared errors of the composites and their products.
    cautious, bias : ndarray, shape (D, K)
        Mean squared errors at the mean of s, which is never 0 and which robust intervals go by, and the part of them
        that comes from what the model misses in the group.
    between : ndarray, shape (D, K)
        Variance of the true mean about the model at which errors are told.
    likely, weighed : ndarray, shape (D, K)
        The same at its median-unbiased estimate, and that at which direct and model estimates are weighed.
    slope : float
        Of the true means in the mean predictions; 1 where it is not estimated.
    statistic, freedom : float
        Of the test that the model misses nothing beyond chance: chi-squared.
    """

    theta: Floats
    model: Floats
    weight: Floats
    covariance: Floats
    cautious: Floats
    bias: Floats
    between: Floats
    likely: Floats
    weighed: Floats
    slope: float
    statistic: float
    freedom: float


@dataclass(frozen=True)
class _Line:
    """The regression of the true means on predictors: what is regressed, on what, and what is added back."""

    y: Floats
    x: Floats
    added: Floats
    free: bool


def composite(areas: Areas, covariates: Floats, free: bool) -> Composite:
    """Shrink the direct estimates towards a model by as much as the data say.

    The true mean of group d is ``x_d' beta + u_d``, where x holds 1, the mean prediction (if ``free``) and covariates,
    and u_d has the variance ``s c + b r_d / N_d``: c is the mean residual variance, and the second part is what chance
    among the N_d units alone leaves. Estimates are made at the s that is as likely above as below the true one, but at
    least at one that could be told from 0; their errors are those at an upper limit of s.

    Parameters
    ----------
    areas : Areas
    covariates : ndarray, shape (D, q)
    free : bool
        Whether the slope of the mean predictions is estimated, rather than 1.

    Returns
    -------
    Composite
    """
    mean = areas.predicted[areas.has_gold].mean(axis=0)
    n_slopes = 1 if areas.predicted.shape[1] == 1 else areas.predicted.shape[1] - 1
    slopes = (areas.predicted - mean)[:, -n_slopes:] if free else np.empty((len(areas.count), 0))
    x = independent(np.column_stack([np.ones(len(areas.count)), slopes, covariates]), areas.has_gold)
    added = np.zeros_like(areas.direct) if free else areas.predicted
    line = _Line(np.where(areas.has_gold[:, None], areas.direct - added, 0.0), x, added, free)
    slope = 1.0
    for _ in range(2):
        chance = slope * areas.residual / areas.size[:, None]
        found = _made(areas, line, chance)
        slope, lowest = _slope(areas, line, found)
        found, slope = replace(found, slope=slope), lowest
    return found


def independent(x: Floats, inside: Floats) -> Floats:
    """Columns that are not combinations of those before them, among the groups inside."""
    kept: list[int] = []
    for j in range(x.shape[1]):
        column = x[inside, j]
        rest = column - x[inside][:, kept] @ np.linalg.lstsq(x[inside][:, kept], column, rcond=None)[0]
        if np.linalg.norm(rest) > 1e-8 * max(float(np.linalg.norm(column)), 1e-12):
            kept.append(j)
    return x[:, kept]


def _slope(areas: Areas, line: _Line, found: Composite) -> tuple[float, float]:
    """Slope of the model in the mean predictions, and how far it is surely from 1, at least 1."""
    if not line.free:
        return 1.0, 1.0
    inside = areas.has_gold
    z = areas.predicted[inside] - areas.predicted[inside].mean(axis=0)
    size = float((z**2).sum())
    if size <= 1e-12:
        return 1.0, 1.0
    slope = float((found.model[inside] * z).sum()) / size
    share = areas.residual.mean(axis=0) / areas.residual.mean(axis=0).sum()
    total = (areas.variance + found.between)[inside].sum(axis=1)
    x = line.x[inside]
    inverse = np.linalg.inv((x / total[:, None]).T @ x)
    squared = sum(float(c * (z[:, k] @ x) @ inverse @ (x.T @ z[:, k])) for k, c in enumerate(share)) / size**2
    squared *= len(share) / areas.dimension
    gap = slope - 1.0
    return slope, 1.0 + gap * max(0.0, 1.0 - squared / gap**2) if gap > 0 else 1.0


def _made(areas: Areas, line: _Line, chance: Floats) -> Composite:
    """The composite, given what chance among the units of each group leaves."""
    has, k_all = areas.has_gold, areas.direct.shape[1]
    scale = areas.residual.mean(axis=0)
    trace = float(scale.sum())
    large = _NO_GOLD * float(np.where(has[:, None], areas.variance, 0.0).max() + chance.max() + trace)
    variance, own = (np.where(has[:, None], part, large) for part in (areas.variance, areas.own))
    noise, floor = variance.sum(axis=1), chance.sum(axis=1)
    half, upper = (_limit(areas, line, floor, trace, sure) for sure in (0.5, _SURE))
    s = max(half, _LEAST_SEEN * np.sqrt(2.0 / areas.dimension) / np.linalg.norm(trace / (noise + floor)[has]))
    total = s * trace + floor
    w = 1.0 / (total + noise)
    weight, inverse = total * w, np.linalg.inv((line.x * w[:, None]).T @ line.x)
    model = line.x @ (inverse @ (line.x.T @ (w[:, None] * line.y)))
    theta = weight[:, None] * line.y + (1.0 - weight)[:, None] * model
    left, right = ((1.0 - weight)[:, None] * line.x) @ inverse, w[:, None] * line.x
    mean = _mean(areas, line, noise, floor, trace)
    weighed, likely, between, safe = (scale * one + chance for one in (s, half, upper, mean))
    covariance, cautious = np.empty((k_all, len(has), len(has))), np.empty_like(theta)
    for k in range(k_all):
        covariance[k], other = (
            _error(weight, left, right, (t[:, k], variance[:, k], own[:, k])) for t in (between, safe)
        )
        cautious[:, k] = np.diag(other)
    return Composite(
        theta + line.added, model + line.added, weight, covariance, cautious, (1.0 - weight[:, None]) ** 2 * safe,
        between, likely, weighed, 1.0, *_heterogeneity(areas, line, floor),
    )  # fmt: skip


def _mean(areas: Areas, line: _Line, noise: Floats, floor: Floats, trace: float) -> float:
    """Mean of s given the data (restricted likelihood, flat prior), which is never 0."""
    has, grid = areas.has_gold, _grid(line, noise, floor, areas.has_gold, trace)
    log = np.log(np.sqrt(grid))  # its spacing: the grid is even on the scale of the standard deviation
    for j, s in enumerate(grid):
        w = 1.0 / (s * trace + floor + noise)
        inverse = np.linalg.inv((line.x * w[:, None]).T @ line.x)
        rest = ((line.y - line.x @ (inverse @ (line.x.T @ (w[:, None] * line.y))))[has] ** 2).sum(axis=1)
        fit = -np.log(w[has]).sum() - np.linalg.slogdet(inverse)[1] + float((w[has] * rest).sum())
        log[j] -= 0.5 * areas.dimension * fit
    p = np.exp(log - log.max())
    return float(p @ grid / p.sum())


def _grid(line: _Line, noise: Floats, floor: Floats, has: Floats, trace: float) -> Floats:
    """Between variances s, even on the scale of the standard deviation."""
    w = 1.0 / (noise + floor)
    inverse = np.linalg.inv((line.x * w[:, None]).T @ line.x)
    rest = line.y - line.x @ (inverse @ (line.x.T @ (w[:, None] * line.y)))
    seen = float(np.average((rest[has] ** 2).sum(axis=1), weights=w[has] ** 2))
    unsure = float(1.0 / np.mean(w[has]) / np.sqrt(has.sum()))
    return np.asarray(_REACH * max(seen, unsure) / trace * ((np.arange(_POINTS) + 0.5) / _POINTS) ** 2)


def _error(weight: Floats, left: Floats, right: Floats, parts: tuple[Floats, Floats, Floats]) -> Floats:
    """Mean squared errors of one number of each group and their products.

    The estimate is ``A y`` with ``A = G + L R'``, G the weights of the direct estimates; its error is
    ``(A - 1) u + A e``, where A leaves the model as it is. Everything but a diagonal has the rank of L.
    """
    between, variance, own = parts
    crossed = (weight * variance - (1.0 - weight) * between)[:, None] * right
    middle = (right * (between + variance)[:, None]).T @ right
    product = (crossed + left @ (middle / 2.0)) @ left.T
    return product + product.T + np.diag((1.0 - weight) ** 2 * between + weight**2 * own)


def _limit(areas: Areas, line: _Line, floor: Floats, trace: float, sure: float) -> float:
    """The s below which the true one lies in this share of all draws: where the groups' differences are that small.

    Cochran's Q about the model, with s in its weights, is chi-squared at the true s and falls with s.
    """
    from scipy.stats import chi2

    statistic, freedom = _heterogeneity(areas, line, floor)
    wanted = float(chi2.isf(sure, freedom))
    if statistic <= wanted:
        return 0.0
    x, y = line.x[areas.has_gold], line.y[areas.has_gold]
    rest = y - x @ np.linalg.lstsq(x, y, rcond=None)[0]
    low, high = 0.0, areas.dimension * float((rest**2).sum()) / (trace * wanted)
    for _ in range(60):
        middle = (low + high) / 2.0
        above = _heterogeneity(areas, line, floor + middle * trace)[0] > wanted
        low, high = (middle, high) if above else (low, middle)
    return high


def _heterogeneity(areas: Areas, line: _Line, floor: Floats) -> tuple[float, float]:
    """Cochran's Q: squares of direct less model over what chance alone makes of them, and its degrees of freedom."""
    has = areas.has_gold
    noise = areas.variance[has].sum(axis=1) + floor[has]
    x, y = line.x[has], line.y[has]
    root = 1.0 / np.sqrt(noise)
    beta = np.linalg.lstsq(x * root[:, None], y * root[:, None], rcond=None)[0]
    statistic = float((((y - x @ beta) * root[:, None]) ** 2).sum() * areas.dimension)
    return statistic, float((len(y) - x.shape[1]) * areas.dimension)
