"""Variances and intervals of means and shares of groups, some of which hold little gold.

A share p whose estimate has variance V is as well known as ``p (1 - p) / V`` independent labels would make it: its
effective size. The interval is that of Clopper and Pearson (1934) at this size (Korn and Graubard 1998). With few
positives among the gold V says little, and is 0 with none; the effective size is therefore drawn towards the size of
the group's gold (docs/methods.md).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ..designs.entries import by_row, column_sums, group_totals, of_rows, power
from .df import satterthwaite_df
from .infer import infer

if TYPE_CHECKING:
    from .._core.types import Floats, Ints
    from .augment import AugmentedSample
    from .covariance import Covariance, Meat
    from .infer import Parts

PRIOR = 4.0
"""Errors of size 1 that are added to each group's gold; about z^2, as many as Agresti and Coull (1998) add rows."""

BORROWED = 2.0
"""Degrees of freedom that the variance of all groups brings to that of a small one."""

FEW = 10
"""Gold rows of a group below which the variance of a number is drawn towards that of all groups."""

_LARGEST_SIZE = 1e12
_SMALLEST = 1e-12


@dataclass(frozen=True)
class Shares:
    """What is known of groups besides estimates and covariance.

    Parameters
    ----------
    count : ndarray, shape (p,)
        Gold rows of each group.
    kish : ndarray, shape (p,)
        The same after unequal weights, ``(sum w)^2 / sum w^2``.
    unit_variance : ndarray, shape (p,)
        Variance of the gold-only mean of a group, for the target, if the outcome had variance 1 and did not vary within
        clusters.
    df : ndarray, shape (p,)
        Degrees of freedom of the estimated variances.
    ratio : ndarray, shape (p,)
        Variance without small-sample correction over the one reported: the interval of a share has its own correction.
    spread : float
        Variance of the outcome within groups, all gold rows together.
    binary : bool
        Whether the means are shares.
    """

    count: Floats
    kish: Floats
    unit_variance: Floats
    df: Floats
    ratio: Floats
    spread: float
    binary: bool

    def size(self, theta: Floats, variance: Floats) -> Floats:
        """Effective size of each share.

        ``(p (1 - p) + c / m) / (V + c k / m)`` with c the prior errors, m Kish's size and k the unit variance: it is
        ``1 / k`` where V is that of a plain sample, and where the gold holds no positive.

        Parameters
        ----------
        theta : ndarray, shape (p,)
        variance : ndarray, shape (p,)
            As reported.

        Returns
        -------
        ndarray, shape (p,)
        """
        p = np.clip(theta, 0.0, 1.0)
        prior = PRIOR / self.kish
        own = variance * self.ratio + prior * self.unit_variance
        with np.errstate(divide="ignore"):
            return np.minimum((p * (1.0 - p) + prior) / own, _LARGEST_SIZE)

    def interval(self, theta: Floats, variance: Floats, level: float) -> tuple[Floats, Floats]:
        """Interval of each share; an estimate below 0 or above 1 counts as 0 or 1."""
        from scipy.stats import t

        plain = np.maximum(self.count - 1.0, 1.0)
        quantiles = t.ppf(1.0 - level / 2.0, plain) / t.ppf(1.0 - level / 2.0, self.df)
        return beta_interval(theta, self.size(theta, variance) * np.minimum(quantiles, 1.0) ** 2, level)

    def at(self, factor: float) -> Shares:
        """The same with so many times the gold."""
        return replace(
            self,
            count=self.count * factor,
            kish=self.kish * factor,
            unit_variance=self.unit_variance / factor,
            df=np.maximum(self.df * factor, 1.0),
        )

    def settle(self, covariance: Floats, df: Floats, method: object) -> tuple[Floats, Floats, Shares]:
        """Give every group a variance and degrees of freedom its gold can carry.

        The variance of a share is at least that of one positive (or negative) among the gold: ``q (1 - q) k`` with
        ``q = 1 / (m + 1)``. The variance of a number is that of the group and
        that of all groups, weighted by ``n - 1`` and 2, where n is below ten and there are other groups (Smyth 2004).

        Parameters
        ----------
        covariance : ndarray, shape (p, p)
        df : ndarray, shape (p,)
        method : str or float
            How degrees of freedom were asked for; those asked for by name or number stay.

        Returns
        -------
        covariance : ndarray, shape (p, p)
        df : ndarray, shape (p,)
        Shares
            With the ratio that goes with the covariance.
        """
        before, most = np.diag(covariance).copy(), self.df
        if self.binary:
            wanted = np.maximum(before, self.unit_variance * self.kish / (self.kish + 1.0) ** 2)
        else:
            own, few = self.count - 1.0, (self.count < FEW) & (len(self.count) > 1)
            pooled = (own * before + BORROWED * self.unit_variance * self.spread) / (own + BORROWED)
            wanted = np.where(few, pooled, before)
            most = most + BORROWED * few
        scale = np.sqrt(np.divide(wanted, before, out=np.ones_like(before), where=before > 0))
        settled = covariance * np.outer(scale, scale)
        np.fill_diagonal(settled, wanted)
        ratio = np.divide(before * self.ratio, wanted, out=np.ones_like(before), where=wanted > 0)
        df = np.minimum(df, most) if method == "auto" else df
        return settled, df, replace(self, ratio=ratio)


def beta_interval(theta: Floats, size: Floats, level: float) -> tuple[Floats, Floats]:
    """Clopper and Pearson's interval for shares, with sizes and counts that need not be whole.

    Parameters
    ----------
    theta, size : ndarray, shape (p,)
        Shares, and the number of independent labels that tell as much.
    level : float
        One minus the confidence level.

    Returns
    -------
    low, high : ndarray, shape (p,)

    Examples
    --------
    >>> low, high = beta_interval(np.array([0.0]), np.array([30.0]), 0.05)
    >>> float(low[0]), round(float(high[0]), 3)
    (0.0, 0.116)
    """
    from scipy.stats import beta

    yes = np.clip(theta, 0.0, 1.0) * size
    no = size - yes
    low = np.where(yes > 0, beta.ppf(level / 2.0, np.maximum(yes, 1e-300), no + 1.0), 0.0)
    high = np.where(no > 0, beta.ppf(1.0 - level / 2.0, yes + 1.0, np.maximum(no, 1e-300)), 1.0)
    return np.where(low < _SMALLEST, 0.0, low), np.where(high > 1.0 - _SMALLEST, 1.0, high)


def plain_kind(kind: str) -> str:
    """The form of a covariance without small-sample correction."""
    return "CRV0" if kind.startswith("CRV") else "HC0"


def shares_of(
    theta: Floats, covariance: Covariance, sample: AugmentedSample, parts: Parts, kind: str, target: str,
    meat: Meat | None = None,
) -> Shares:  # fmt: skip
    """What the gold of each group can carry.

    Parameters
    ----------
    theta : ndarray, shape (p,)
    covariance : Covariance
        As reported.
    sample : AugmentedSample
        Its gold rows have one indicator each.
    parts : Parts
    kind, target : str
        Of the covariance.
    meat : Meat, optional
        Without small-sample correction, if already worked out.

    Returns
    -------
    Shares
    """
    labelling, x = sample.units.labelling, sample.gold.x
    group = of_rows(x)[0]
    p = x.shape[1]
    v = sample.units.gold_analysis_weight
    cluster = parts.units.summed_over(kind)
    clusters = [] if cluster is None else list(np.atleast_2d(cluster[labelling.gold].T))
    total = np.bincount(group, v * labelling.weight, p)
    drawn_whole = None if labelling.unit is None else labelling.unit[labelling.gold]
    kish = total**2 / np.bincount(group, (v * labelling.weight) ** 2, p)
    units = most_varied(x, v * labelling.weight, (drawn_whole, *clusters)) / total**2
    labelling_only = most_varied(x, v * np.sqrt(np.maximum(labelling.spread, 0.0)), (drawn_whole,))
    count = np.bincount(group, minlength=p).astype(np.float64)

    plain, _ = infer(parts, plain_kind(kind), target, "normal", meat)
    variance = np.diag(plain.total) - np.diag(plain.labelling) / labelling.n_gold
    reported = np.diag(covariance.total)
    gold_df = 1.0 / units - 1.0 - parts.tuned - _strata_beyond_one(sample, group, p)
    df = satterthwaite_df(reported, np.diag(covariance.labelling), gold_df, float(sample.units.n_units - p))
    rest = sample.gold.y - theta[group]
    weight = v * labelling.weight
    return Shares(
        count=count,
        kish=kish,
        unit_variance=labelling_only / total**2 if target == "finite" else units,
        df=df,
        ratio=np.divide(np.maximum(variance, 0.0), reported, out=np.ones(p), where=reported > 0),
        spread=float((weight * rest**2).sum() / weight.sum() * len(rest) / max(len(rest) - p, 1)),
        binary=bool(np.isin(sample.gold.y, (0.0, 1.0)).all()),
    )


def group_means(x: Floats) -> bool:
    """Whether each row of a design matrix is an indicator of one group."""
    return bool(((x == 0.0) | (x == 1.0)).all() and (x.sum(axis=1) == 1.0).all())


def most_varied(x: Floats, weight: Floats, groupings: tuple[Ints | None, ...]) -> Floats:
    """``sum_c (sum_{i in c} w_i)^2`` of each column of x, under the grouping that makes it largest."""
    values = by_row(np.multiply, x, weight)
    out = column_sums(power(values, 2))
    for codes in groupings:
        if codes is not None:
            inside = np.unique(codes, return_inverse=True)[1]
            out = np.maximum(out, column_sums(power(group_totals(values, inside), 2)))
    return out


def _strata_beyond_one(sample: AugmentedSample, group: Ints, p: int) -> Floats:
    """Strata that hold gold of each group, beyond the first, where the sizes of strata were fixed."""
    labelling = sample.units.labelling
    if labelling.stratum is None or not labelling.fixed_size:
        return np.zeros(p)
    pairs = np.unique(np.column_stack([group, labelling.stratum[labelling.gold]]), axis=0)
    return np.maximum(np.bincount(pairs[:, 0], minlength=p) - 1.0, 0.0)
