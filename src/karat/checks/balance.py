"""Is the gold a draw from its design? Weighted gold means against those of the frame.

For variables x known for all N units, ``g = N^-1 sum_R w (x - mean(x))`` has mean 0 over draws. Its covariance is
known, not estimated, where the design's joint probabilities are (for fixed sizes with unequal probabilities in Hajek's
approximation): it is a sum over the whole frame (Saerndal, Swensson, Wretman 1992, results 2.8.1, 3.3.1, 3.7.2). So
``g' V^- g`` is chi-squared, also where a rare class has no gold at all. Other designs have V from the gold rows
(``Labelling.cross``), and an F test in the manner of Hotelling. Directions in which V is 0 are fixed by the design and
drop out of the test; gold that moves in them is not a draw from it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..designs.counted import Counted
from ..designs.entries import group_totals
from ..designs.labelling import Labelling
from ..designs.sequential import SequentialLabelling
from ..errors import DesignError
from ..estimate.index import slices
from .values import Balance, BalanceRow, WeightTotal

if TYPE_CHECKING:
    from .._core.types import Bools, Floats, Ints

_NO_VARIANCE = 1e-9
"""Variance, as a share of that under simple random sampling, below which the design fixes a direction."""

_MOVED = 1e-6
"""Difference, in standard errors of a simple random sample, that is more than rounding."""

_LEAST_ROWS = 15
"""Effective number of gold rows that carry the variance of a variable, where it is estimated from them."""


def weight_total(labelling: Labelling) -> WeightTotal:
    """Sum of the weights against N, with its standard error under the design.

    Parameters
    ----------
    labelling : Labelling

    Returns
    -------
    WeightTotal

    Examples
    --------
    >>> drawn = np.array([True, False, True, False])
    >>> weight_total(Labelling(np.full(4, 0.5), drawn, fixed_size=True)).p_value
    1.0
    """
    from scipy.stats import norm

    total, n_units = float(labelling.weight.sum()), labelling.n_rows
    ones = np.ones((labelling.n_gold, 1))
    try:
        variance: Floats | None = labelling.cross(ones, ones)
    except DesignError:  # a stratum with one gold unit has no estimated variance
        variance = None
    if not _sum_is_fixed(labelling):
        if isinstance(labelling, Counted):
            known: Floats | None = np.atleast_2d(labelling.count @ labelling.spread_everywhere)
        else:
            known = frame_covariance(labelling, np.ones((n_units, 1)))
        variance = variance if known is None else known
    se = float("nan") if variance is None else float(np.sqrt(max(variance[0, 0], 0.0)))
    gap = total - n_units
    if se > 1e-7 * n_units:
        p_value = float(2.0 * norm.sf(abs(gap) / se))
    else:
        se = 0.0 if np.isfinite(se) else se
        p_value = 1.0 if abs(gap) <= 1e-6 * n_units else 0.0
    return WeightTotal(total, n_units, se, p_value)


def _sum_is_fixed(labelling: Labelling) -> bool:
    """Whether rows are drawn in fixed numbers with one weight for each stratum."""
    if labelling.unit is not None or not labelling.fixed_size:
        return False
    weight = labelling.weight
    if labelling.stratum is None:
        return bool(np.ptp(weight) == 0) and labelling.single
    codes = labelling.stratum[labelling.kind_of_gold]
    return bool((weight == _of_groups(weight, codes, int(codes.max()) + 1)[codes]).all())


def balance(matrix: Floats, names: tuple[str, ...], roles: tuple[str, ...], labelling: Labelling) -> Balance | None:
    """Compare weighted gold with the frame, variable by variable and jointly.

    Parameters
    ----------
    matrix : ndarray, shape (N, k)
        Variables known for every unit.
    names, roles : tuple of str, length k
        A column whose role is empty is left out.
    labelling : Labelling

    Returns
    -------
    Balance or None
        None where every unit is gold, or no variable varies.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> drawn = rng.permutation(np.arange(200) < 50)
    >>> x = rng.standard_normal((200, 2))
    >>> found = balance(x, ("a", "b"), ("covariate", "surrogate"), Labelling(np.full(200, 0.25), drawn, True))
    >>> found.df
    2
    """
    n_units = len(matrix)
    if labelling.labelled.all() or not any(roles):
        return None
    gold = matrix[labelling.gold]
    weight = labelling.weight
    mean, sd, centred = _moments(matrix, gold.mean(axis=0), labelling.stratum is None and labelling.unit is None)
    gold = gold - mean
    varies = (sd > 1e-9 * (np.abs(mean) + 1e-300)) & np.array([bool(role) for role in roles])
    if not varies.any():
        return None
    known, denominator, remark = _covariance(labelling, matrix, mean, centred, gold)
    pick = np.flatnonzero(varies)
    trusted = np.ones(len(pick), dtype=bool)
    if np.isfinite(denominator):
        trusted = _trusted(gold[:, pick], sd[pick], weight)
    known, sd, mean = known[np.ix_(pick, pick)], sd[pick], mean[pick]
    gap = weight @ gold[:, pick] / n_units
    unit = sd / np.sqrt(labelling.n_units)
    scaled, shift = known / n_units**2 / np.outer(unit, unit), gap / unit
    statistic, p_single, fixed = _one_by_one(scaled, shift, denominator)
    hajek = gap * n_units / weight.sum()
    rows = tuple(
        BalanceRow(names[j], roles[j], *(float(v) for v in numbers))
        for j, *numbers in zip(pick, mean, mean + hajek, hajek / sd, statistic, p_single)
    )
    if remark:
        return Balance(rows, np.nan, 0, np.nan, np.nan, remark=remark)
    value, df, p_value, impossible, remark = _jointly(scaled[np.ix_(trusted, trusted)], shift[trusted], denominator)
    if not remark and not trusted.all():
        left_out = ", ".join(names[j] for j in pick[~trusted])
        remark = (
            f"the joint test leaves out {left_out}: too skewed, or too rare in the gold, for an estimated covariance"
        )
    kept = tuple(names[j] for j, f in zip(pick, fixed) if f)
    return Balance(rows, value, df, denominator, p_value, kept, impossible, remark)


def _moments(matrix: Floats, near: Floats, cross: bool) -> tuple[Floats, Floats, Floats | None]:
    """Means and standard deviations of the frame, and centred cross products where they are wanted.

    ``near`` is about the mean: taken off first, so that large values with little spread lose no digits.
    """
    n = len(matrix)
    total, square, product = np.zeros(len(near)), np.zeros(len(near)), np.zeros((len(near), len(near)))
    for block in slices(n):
        rows = matrix[block] - near
        total += np.ones(len(rows)) @ rows
        if cross:
            product += rows.T @ rows
        else:
            square += np.einsum("ij,ij->j", rows, rows)
    off = total / n
    square = np.diag(product) if cross else square
    sd = np.sqrt(np.maximum(square / n - off**2, 0.0))
    return near + off, sd, product - n * np.outer(off, off) if cross else None


def _covariance(
    labelling: Labelling, matrix: Floats, mean: Floats, centred: Floats | None, gold: Floats
) -> tuple[Floats, float, str]:
    """Covariance of ``sum_R w (x - mean)``, its degrees of freedom, and why there is none."""
    known = frame_covariance(labelling, matrix, mean, centred)
    if known is not None:
        return known, np.inf, ""
    try:
        return labelling.cross(gold, gold), _denominator(labelling), ""
    except DesignError as error:
        return np.full((len(mean), len(mean)), np.nan), np.nan, str(error)


def frame_covariance(
    labelling: Labelling, matrix: Floats, mean: Floats | None = None, centred: Floats | None = None
) -> Floats | None:
    """Covariance, over draws, of ``sum_R w (x - mean)``, from the whole frame.

    Parameters
    ----------
    labelling : Labelling
    matrix : ndarray, shape (N, k)
    mean : ndarray, shape (k,), optional
        Taken off each row; 0 by default.
    centred : ndarray, shape (k, k), optional
        ``sum (x - mean)(x - mean)'`` with the mean of the frame, if it is there already.

    Returns
    -------
    ndarray of shape (k, k), or None
        Exact for independent draws and for simple random samples of (clusters within) strata; Hajek's approximation
        for fixed sizes with unequal probabilities; None for other designs.
    """
    if isinstance(labelling, SequentialLabelling):
        return _over_waves(labelling, matrix, np.zeros(matrix.shape[1]) if mean is None else mean)
    if type(labelling).cross is not Labelling.cross:
        return None
    pi = labelling.probability
    if np.abs(labelling.weight * pi[labelling.gold] - 1.0).max(initial=0.0) > 1e-9:
        return None
    centre = np.zeros(matrix.shape[1]) if mean is None else mean
    values, stratum = matrix, labelling.stratum
    if labelling.unit is not None:
        size = np.bincount(labelling.unit)
        there = size > 0
        values = (group_totals(matrix, labelling.unit) - size[:, None] * centre)[there]
        centre, centred = np.zeros(len(centre)), None
        pi = _of_groups(pi, labelling.unit, len(size))[there]
        stratum = None if stratum is None else _of_groups(stratum, labelling.unit, len(size))[there]
    if not labelling.fixed_size:
        return _gram(values, centre, 1.0 / pi - 1.0)
    if stratum is None:
        if np.ptp(pi) > 1e-9:
            return _hajek(values - centre, pi, np.zeros(len(pi), dtype=np.intp))
        if centred is None:
            centred = _gram(values, values.mean(axis=0), None)
        big_n = len(values)
        return big_n * (1.0 / pi[0] - 1.0) / max(big_n - 1, 1) * centred
    size = np.bincount(stratum)
    share = _of_groups(pi, stratum, len(size))
    if np.abs(pi - share[stratum]).max() > 1e-9:
        return _hajek(values - centre, pi, stratum)
    factor = size * (1.0 / share - 1.0) / np.maximum(size - 1, 1)
    totals = _stratum_totals(values, stratum) - size[:, None] * centre
    plain = _gram(values, centre, factor, stratum)
    return plain - totals.T @ (totals * (factor / size)[:, None])


def _over_waves(labelling: SequentialLabelling, matrix: Floats, mean: Floats) -> Floats | None:
    """``sum_k o_k^2 V_k``: errors of the waves are uncorrelated, V_k that of wave k among the rows left to it."""
    out = np.zeros((matrix.shape[1], matrix.shape[1]))
    for wave in labelling.waves:
        part = frame_covariance(wave.labelling, matrix[wave.rows], mean)
        if part is None:
            return None
        out += wave.share**2 * part
    return out


def _hajek(values: Floats, pi: Floats, stratum: Ints) -> Floats:
    """``sum pi (1 - pi) (x / pi - b)(x / pi - b)' N / (N - 1)`` within strata, b the mean so weighted (Hajek 1964)."""
    chance = pi < 1.0
    values, pi, stratum = values[chance], pi[chance], stratum[chance]
    weight = pi * (1.0 - pi)
    total = np.bincount(stratum, weights=weight)
    middle = group_totals(values * (1.0 - pi)[:, None], stratum) / np.maximum(total, 1e-300)[:, None]
    size = np.bincount(stratum)
    rest = values / pi[:, None] - middle[stratum]
    return rest.T @ (rest * (weight * (size / np.maximum(size - 1, 1))[stratum])[:, None])


def _of_groups(values: Any, group: Ints, n: int) -> Any:
    """A value that is the same throughout each group, one per group."""
    out = np.zeros(n, dtype=values.dtype)
    out[group] = values
    return out


def _stratum_totals(values: Floats, stratum: Ints) -> Floats:
    """Column sums within strata, shape (S, k), in one pass."""
    from scipy.sparse import csc_array

    n = len(values)
    member = csc_array((np.ones(n), stratum, np.arange(n + 1)), shape=(int(stratum.max()) + 1, n))
    return np.asarray(member @ values)


def _gram(matrix: Floats, centre: Floats, weight: Floats | None, group: Ints | None = None) -> Floats:
    """Cross products ``sum c (x - centre)(x - centre)'``, block by block; c of rows, or of their groups."""
    out = np.zeros((matrix.shape[1], matrix.shape[1]))
    for block in slices(len(matrix)):
        rows = matrix[block] - centre
        c = None if weight is None else (weight[block] if group is None else weight[group[block]])
        out += rows.T @ (rows if c is None else rows * c[:, None])
    return out


def _trusted(gold: Floats, sd: Floats, weight: Floats) -> Bools:
    """Variables whose spread in the gold is near that in the frame and does not hang on a few rows."""
    square = weight[:, None] ** 2 * gold**2
    with np.errstate(invalid="ignore", divide="ignore"):
        spread = (weight @ gold**2) / weight.sum() / sd**2
        rows = square.sum(axis=0) ** 2 / (square**2).sum(axis=0)
        found: Bools = (spread > 0.5) & (spread < 2.0) & (rows >= _LEAST_ROWS)
    return found


def _denominator(labelling: Labelling) -> float:
    """Degrees of freedom of a covariance made from gold rows."""
    w = labelling.weight
    effective = float(w.sum() ** 2 / (w**2).sum()) * labelling.n_units / labelling.n_gold
    return max(effective - max(labelling.n_strata, 1), 1.0)


def _one_by_one(scaled: Floats, shift: Floats, denominator: float) -> tuple[Floats, Floats, Floats]:
    """Statistic, p-value and whether the design fixes the mean, per variable."""
    from scipy.stats import t

    variance = np.diag(scaled)
    fixed = variance <= _NO_VARIANCE
    with np.errstate(invalid="ignore", divide="ignore"):
        statistic = np.where(fixed | ~np.isfinite(variance), np.nan, shift / np.sqrt(variance))
        p_value = 2.0 * t.sf(np.abs(statistic), denominator)
    return statistic, p_value, fixed


def _jointly(scaled: Floats, shift: Floats, denominator: float) -> tuple[float, int, float, bool, str]:
    """Quadratic form on the directions that the design leaves free."""
    from scipy.stats import chi2, f

    values, vectors = np.linalg.eigh((scaled + scaled.T) / 2)
    coordinates = vectors.T @ shift
    free = values > _NO_VARIANCE
    known = np.isinf(denominator)
    impossible = bool(known and (np.abs(coordinates[~free]) > _MOVED * np.sqrt(len(shift))).any())
    rank = int(free.sum())
    if impossible:
        return np.inf, rank, 0.0, True, ""
    if rank == 0:
        return np.nan, 0, np.nan, False, "the design fixes the weighted means of all variables"
    statistic = float((coordinates[free] ** 2 / values[free]).sum())
    if known:
        return statistic, rank, float(chi2.sf(statistic, rank)), False, ""
    rest = denominator - rank + 1
    if rest < 3:
        return np.nan, rank, np.nan, False, f"{rank} variables are too many for a joint test on this gold"
    return statistic, rank, float(f.sf(statistic * rest / (denominator * rank), rank, rest)), False, ""
