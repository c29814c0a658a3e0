"""What a pilot says about the next draw: labelling errors, scores, and the variance that full labelling leaves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from scipy.special import gammaln, polygamma
from scipy.stats import norm, t

from .._core.types import Bools, Floats, Ints
from ..designs import Labelling
from ..designs.domain import Domain
from ..designs.entries import group_totals
from ..designs.labelling import pair_codes
from ..errors import ArgumentError, KaratError
from ..estimate.covariance import Scores
from ..estimate.infer import Parts, absorbed, combination, influences
from ..estimate.leverage import LEVERAGED
from ..estimate.scores import LARGEST_LEVERAGE
from ..estimate.shares import Shares
from ..results import Result
from ..results.tests import read_hypotheses

OF_THE_FRAME = "a plan is for gold drawn from the whole frame; fit the pilot without it, on a table cut to the subgroup"

USUAL_CORRELATION, ITS_SPREAD = 0.02, 0.03
"""Correlation of labelling errors within clusters before the pilot has its say: mean and standard deviation."""

BORROWED = 4.0
"""Units that what a stratum shows borrows from all strata together."""

_FEWEST_DF = 1.0
_MOST_LOG_VARIANCE = np.pi**2 / 2.0
"""Variance of the logarithm of a chi-square with one degree of freedom: no pilot tells less than one squared error."""

_MOST_CHANGE = np.log(4.0)
"""By how much leaving one group out may change a log variance; beyond, the fit of the few units left broke down."""

_LEAST_SHARE = 0.25
_LEAST_EFFECT = 0.75
"""Variance of clustered over that of unclustered units, at least: less is taken for noise."""


@dataclass(frozen=True)
class Reporting:
    """How the next fit will report: what turns a variance into the printed standard error and interval.

    ``width`` counts the coefficients of the regression, ``absorbed`` parameters of fixed effects per row; ``clustered``
    says that the covariance sums within clusters, ``inflation`` and ``most_df`` (q,) what CRV2 and CRV3 make of a
    variance and the degrees of freedom they allow, with ``leveraged`` clusters, all or (``of_gold``) those that hold
    gold;
    ``shares`` is what the pilot's gold can carry, for means and shares.
    """

    kind: str
    target: str
    df: Any
    alpha: float
    width: int
    interval: str
    estimator: str
    clustered: bool
    inflation: Floats = field(repr=False)
    most_df: Floats = field(repr=False)
    leveraged: int = 0
    of_gold: bool = False
    shares: Shares | None = None
    absorbed: float = 0.0

    def few_clusters(self, clusters: float) -> tuple[Floats, Floats]:
        """Inflation and most degrees of freedom with another number of clusters, each of shape (q,).

        A cluster's leverage is ``k / G``: CRV3 makes ``(1 - 1/G) (1 - k/G)^-2`` of a variance, CRV2 ``(1 - k/G)^-1``.
        """
        now = self.leveraged
        if not now or clusters == now:
            return self.inflation, self.most_df
        power, own, later = (2.0, 1.0 - 1.0 / now, 1.0 - 1.0 / clusters) if self.kind == "CRV3" else (1.0, 1.0, 1.0)
        share = 1.0 - (own / np.maximum(self.inflation, own)) ** (1.0 / power)
        share = np.minimum(share * now / clusters, LARGEST_LEVERAGE)
        inflation = np.where(self.inflation == 1.0, 1.0, later * (1.0 - share) ** -power)
        return inflation, np.clip((self.most_df + 1.0) * clusters / now - 1.0, 1.0, None)


@dataclass(frozen=True)
class Population:
    """``sum Psi m m' Psi'`` over units or analysis clusters, figure by figure.

    ``influence`` (n, q) is what a gold unit adds to it, before its weight; ``doubt`` the variance that is not in the
    influences, since the pilot cannot tell about errors within clusters; ``single`` the part of units on their own,
    ``sum h^2 + sum w (m^2 - h^2)``.

    With scores ``m = h + e`` and weights w of drawn units, the squared total ``H + sum e`` of a cluster is estimated by
    ``H^2 + 2 H sum w e + sum w e^2 + sum w_i w_j e_i e_j`` over pairs of gold units. All but the pairs are precise.
    Pairs are few and their weights square, so their sum, in units of ``sum w e^2``, is averaged with what is usual for
    cluster sizes like these, each in proportion to its precision.
    """

    value: Floats
    influence: Floats = field(repr=False)
    doubt: Floats
    single: Floats

    @classmethod
    def of(
        cls, predicted: Floats, score: Floats, error: Floats, labelling: Labelling, cluster: Ints | None
    ) -> Population:
        """Estimate from ``Lambda h`` of all units (or a row of zeros), ``m`` and ``m - Lambda h`` of gold units."""
        weight = labelling.weight[:, None]
        least = _LEAST_SHARE * (weight * score**2).sum(axis=0)
        alone = score**2 - (score - error) ** 2
        single = (predicted**2).sum(axis=0) + (weight * alone).sum(axis=0)
        if cluster is None:
            value = np.maximum(single, least)
            return cls(value, alone, np.zeros_like(value), value)
        inside = cluster[labelling.gold]
        totals = np.zeros((int(cluster.max()) + 1, error.shape[1]))
        if len(predicted) > 1:
            totals = group_totals(predicted, cluster)
        around = totals[inside]
        own = error**2 + 2.0 * error * around
        base = (totals**2).sum(axis=0) + (weight * own).sum(axis=0)
        if labelling.unit is not None:
            value, influence = _whole(base, own, error, labelling, inside)
            return cls(np.maximum(value, least), influence, np.zeros_like(value), single)
        pairs, others, noise = _pairs(weight * error, inside)
        scale = (weight * error**2).sum(axis=0)
        size = np.bincount(cluster).astype(np.float64)
        beside = (size**2).sum() / size.sum() - 1.0
        usual, spread = USUAL_CORRELATION * beside, ITS_SPREAD * beside
        with np.errstate(divide="ignore", invalid="ignore"):
            found = np.where(scale > 0, pairs / scale, 0.0)
            variance = np.where(scale > 0, noise / scale**2, 0.0)
            trust = np.where(variance > 0, spread**2 / (spread**2 + variance), 0.0)
        ratio = trust * found + (1.0 - trust) * usual
        value = base + ratio * scale
        influence = own + 2.0 * trust * error * others + (1.0 - trust) * usual * error**2
        doubt = (1.0 - trust) * trust * variance * scale**2
        return cls(np.maximum(value, np.maximum(least, _LEAST_EFFECT * single)), influence, doubt, single)


@dataclass(frozen=True)
class Profile:
    """Gold units of a pilot in coefficient space, and the part of the variance that no gold label removes.

    ``names``, ``matrix``, ``theta``: coefficients, then contrasts: q figures; what turns p coefficients into them;
    their values; ``error`` (n, q): ``Psi (m - Lambda h)`` of gold units, with the small-sample correction of the fit;
    ``plain`` (n, q): the same without correction; ``moment`` (n, q): ``Psi m`` with the small-sample correction of the
    fit; the error of gold alone; ``score`` (n, q): the same without correction; ``leverage``, ``moment_leverage`` (n,):
    what leaving a unit out does to its error and to its moment: 1 less the square they had over that of HC2; ``reach``
    (N, q): squared influence of an error in the outcome on each figure, where the table was given and no covariate is
    labelled: a squared labelling error is this times the squared error of the outcome.
    """

    names: tuple[str, ...]
    matrix: Floats = field(repr=False)
    theta: Floats
    error: Floats = field(repr=False)
    plain: Floats = field(repr=False)
    moment: Floats = field(repr=False)
    score: Floats = field(repr=False)
    leverage: Floats = field(repr=False)
    moment_leverage: Floats = field(repr=False)
    population: Population = field(repr=False)
    labelling: Labelling = field(repr=False)
    cluster: Ints | None = field(repr=False)
    tuned: Floats
    reporting: Reporting
    reach: Floats | None = field(repr=False, default=None)

    @property
    def involved(self) -> Bools:
        """Coefficients in each figure, shape (q, p)."""
        return np.abs(self.matrix) > 0

    @property
    def n_units(self) -> int:
        """N."""
        return len(self.labelling.labelled)

    @property
    def n_gold(self) -> int:
        """Gold rows of the pilot."""
        return self.labelling.n_gold

    @property
    def position(self) -> Ints:
        """Where the gold units stand among the N, shape (n,)."""
        return self.labelling.gold

    @property
    def weight(self) -> Floats:
        """Inverse probabilities, shape (n,)."""
        return self.labelling.weight

    def gold_alone(self) -> Profile:
        """The same pilot read by the gold-only estimator."""
        nothing = np.zeros((1, len(self.theta)))
        return replace(
            self, error=self.moment, plain=self.score, leverage=self.moment_leverage,
            population=Population.of(nothing, self.moment, self.moment, self.labelling, self.cluster),
            tuned=np.zeros_like(self.tuned), reporting=replace(self.reporting, estimator="gold"),
        )  # fmt: skip

    @classmethod
    def of(cls, result: Result, contrasts: object = None) -> Profile:
        """Read a fit that kept its influence scores; contrasts are figures to plan for besides the coefficients."""
        parts = result.parts
        if parts is None:
            raise KaratError(
                "the influence scores of this fit were not kept, so nothing can be planned from it; fit again with "
                "scores=True (and combine='mean')."
            )
        if result.estimator == "surrogate":
            raise ArgumentError(
                "a fit of surrogates alone has no gold to plan; fit with estimator='dsl', 'ppi' or 'gold'."
            )
        if isinstance(parts.units.labelling, Domain):
            raise ArgumentError(f"the pilot was fitted with subset=; {OF_THE_FRAME}.")
        matrix, names = _figures(result, contrasts)
        labelling, scores = parts.units.labelling, parts.scores.written_out()
        cluster = parts.units.summed_over(result.vcov_kind)
        clustered = cluster is not None
        if cluster is not None and cluster.ndim == 2:
            raise ArgumentError(
                f"planning does not support clusters of two ways ({parts.units.cluster_name}); plan from a fit with "
                "one of them in cluster=."
            )
        kind = result.vcov_kind
        plain, score = scores.error @ matrix.T, scores.moment @ matrix.T
        moment, error = (part @ matrix.T for part in scores.gold_parts(kind, result.target))
        predicted, beyond = np.zeros((1, len(matrix))), moment
        if not scores.gold_alone and (clustered or by_row(kind, labelling.independent and labelling.unit is None)):
            predicted, beyond = scores.influence() @ matrix.T, plain
            if clustered:
                beyond, known = labelling.known_part(plain)
                predicted = (
                    predicted if known is None else predicted + known.share[:, None] * known.level[known.stratum]
                )
            predicted[labelling.gold] -= labelling.weight[:, None] * beyond
        inflation, most_df, leveraged = _few_clusters(parts, matrix, kind, result.target)
        return cls(
            names=names, matrix=matrix, theta=matrix @ result.theta, error=error, plain=plain, moment=moment,
            score=score, leverage=scores.gold_leverage, moment_leverage=_moment_leverage(scores), labelling=labelling,
            cluster=cluster, population=Population.of(predicted, moment, beyond, labelling, cluster),
            tuned=np.array([parts.tuned[row].max() for row in np.abs(matrix) > 0]),
            reporting=Reporting(
                kind, result.target, result.df_method, result.alpha, len(result.theta), result.interval,
                result.estimator, clustered, inflation, most_df, leveraged,
                result.estimator == "gold" or scores.gold_alone, result.shares, absorbed(scores, kind),
            ),
        )  # fmt: skip


def slopes(names: Sequence[str]) -> list[str]:
    """Figures that a plan serves unless told otherwise: all but the intercept."""
    return [name for name in names if name not in ("Intercept", "Mean")] or list(names)


def _figures(result: Result, contrasts: object) -> tuple[Floats, tuple[str, ...]]:
    """Matrix that turns coefficients into figures, and their names: all coefficients, then contrasts."""
    width = len(result.names)
    if contrasts is None or (isinstance(contrasts, Sequence) and not len(contrasts)):
        return np.eye(width), result.names
    matrix, _, texts = read_hypotheses(result, contrasts)
    return np.vstack([np.eye(width), matrix]), (*result.names, *texts)


def by_row(kind: str, independent: bool) -> bool:
    """Whether a fit without clusters takes the population part from the influences of all rows, not from gold alone."""
    return independent and kind in ("HC0", "HC1")


def _moment_leverage(scores: Scores) -> Floats:
    """What leaving a unit out does to its moment, shape (n,)."""
    plain, corrected = ((part**2).sum(axis=1) for part in (scores.moment, scores.gold_parts("HC2")[0]))
    ratio = np.divide(plain, corrected, out=np.ones_like(plain), where=corrected > 0)
    return np.asarray(np.clip(1.0 - ratio, 0.0, LARGEST_LEVERAGE))


def _few_clusters(parts: Parts, matrix: Floats, kind: str, target: str) -> tuple[Floats, Floats, int]:
    """What CRV2 and CRV3 make of the variance of each figure, degrees of freedom left, both (q,); clusters."""
    leverage = parts.leverages(kind)[0] if kind in LEVERAGED else None
    if leverage is None:
        return np.ones(len(matrix)), np.full(len(matrix), np.inf), 0
    inflation = np.ones(len(matrix))
    if target == "superpopulation":
        found, plain = (
            np.diag(combination([parts], [matrix], one, target, influences([parts], one))) for one in (kind, "CRV0")
        )
        np.divide(found, plain, out=inflation, where=plain > 0)
    freedom = np.array([leverage.freedom(row[None, :]) for row in matrix])
    return inflation, freedom, len(leverage.curvature)


def _pairs(weighted: Floats, inside: Ints) -> tuple[Floats, Floats, Floats]:
    """Sum over pairs within clusters, others of each unit's cluster, and variance of the sum for unrelated errors."""
    totals = group_totals(weighted, inside)
    squares = group_totals(weighted**2, inside)
    others = totals[inside] - weighted
    noise = 2.0 * ((squares**2).sum(axis=0) - (weighted**4).sum(axis=0))
    return (weighted * others).sum(axis=0), others, noise


def _whole(base: Floats, own: Floats, error: Floats, labelling: Labelling, inside: Ints) -> tuple[Floats, Floats]:
    """Where labelling units were drawn whole, pairs within unit and cluster carry the weight of one."""
    assert labelling.unit is not None
    unit, weight = labelling.unit[labelling.gold], labelling.weight[:, None]
    both = pair_codes(unit, inside)
    together = group_totals(error, both)[both] - error
    apart = group_totals(weight * error, inside)[inside] - group_totals(weight * error, both)[both]
    added = error * (together + apart)
    return base + (weight * added).sum(axis=0), own + added


def effective_counts(code: Ints, weight: Floats, n_groups: int) -> tuple[Floats, Floats]:
    """Total weight of each group, and Kish's effective number of units in it."""
    total = np.bincount(code, weights=weight, minlength=n_groups)
    return total, total**2 / np.maximum(np.bincount(code, weights=weight**2, minlength=n_groups), 1e-300)


def mended(relative: Floats) -> Floats:
    """Relative variance of a sum of squares from the squares themselves.

    For a sum of k normal squares, k random, it is 3/k, but 3/(k + 2) is what the sample shows.
    """
    return relative / (1.0 - np.minimum(2.0 * relative / 3.0, 0.8))


def log_variance_of(relative: Floats) -> Floats:
    """Variance of the logarithm of a chi-square with a relative variance."""
    found: Floats = polygamma(1, np.maximum(1.0 / np.maximum(relative, 1e-12), _FEWEST_DF / 2.0))
    return np.where(relative > 0, found, 0.0)


def pilot_df(log_variance: Floats) -> Floats:
    """Degrees of freedom of the chi-square whose logarithm has a given variance; infinite for none."""
    wanted = np.clip(log_variance, 1e-12, _MOST_LOG_VARIANCE)
    half = np.where(wanted > 1.0, 1.0 / np.sqrt(wanted), 1.0 / wanted + 0.5)
    for _ in range(40):
        half = np.maximum(half - (polygamma(1, half) - wanted) / polygamma(2, half), half / 3.0)
    return np.where(log_variance > 1e-10, 2.0 * half, np.inf)


def mean_root(df: Floats) -> Floats:
    """``E sqrt(chi2_d / d)``: by how much the root of an unbiased variance falls short, on average."""
    finite = np.where(np.isfinite(df), df, 1e8)
    found: Floats = np.sqrt(2.0 / finite) * np.exp(gammaln((finite + 1.0) / 2.0) - gammaln(finite / 2.0))
    return np.where(finite < 1e6, found, 1.0)


def jackknife_log_variance(replicates: Sequence[Floats]) -> Floats:
    """Delete-a-group jackknife variance of log variances, shape (q,).

    Few groups make it uncertain itself: it is widened to the t quantile of their number.
    """
    values = np.log(np.maximum(np.vstack(replicates), 1e-300))
    middle = np.median(values, axis=0)
    values = middle + np.clip(values - middle, -_MOST_CHANGE, _MOST_CHANGE)
    groups = len(values)
    widened = (t.ppf(0.95, groups - 1) / norm.ppf(0.95)) ** 2
    return (groups - 1) ** 2 / groups * values.var(axis=0, ddof=1) * widened
