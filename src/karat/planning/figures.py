"""Planned standard errors, intervals and detectable effects, and how sure a pilot is of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..designs.labelling import group_totals
from ..estimate.df import kurtosis_df, satterthwaite_df
from ..estimate.scores import LARGEST_LEVERAGE
from .profile import by_row
from .reach import lean_on_reach

if TYPE_CHECKING:
    from .._core.types import Floats
    from .profile import Profile
    from .schemes import Scheme

LEARNING_RATE = 1.5

_FEWEST_DF = 0.5
_MOST_LOG_VARIANCE = 12.0


@dataclass(frozen=True)
class Learning:
    """How labelling errors shrink as the predictor sees more gold: squares as ``1 + excess (n_gold / n)^1.5``.

    A learner's excess error has a term in 1 / n and, where regularisation and folds bite, terms that fall faster;
    halves of a small pilot show them together, and the exponent stands between.

    Parameters
    ----------
    excess : float
        Part of the squared error in the pilot that more gold would take away, relative to what would stay.
    n_gold : int
        Gold rows of the pilot.
    """

    excess: float
    n_gold: int

    def factor(self, n: float) -> float:
        """Squared error with n gold rows over that of the pilot."""
        return (1.0 + self.excess * (self.n_gold / n) ** LEARNING_RATE) / (1.0 + self.excess)


@dataclass(frozen=True)
class Variance:
    """Predicted variance of each figure at one sample size.

    Parameters
    ----------
    total, labelling : ndarray, shape (q,)
    log_variance : ndarray, shape (q,)
        Variance of the logarithm of ``total`` over pilots, from the spread of squared errors alone.
    own_relative : ndarray, shape (q,)
        Relative variance of a variance reported on gold like the pilot's alone, without leaning on reach.
    df : ndarray, shape (q,)
        Degrees of freedom the fit will use.
    """

    total: Floats
    labelling: Floats
    log_variance: Floats
    own_relative: Floats
    df: Floats


def variance(profile: Profile, scheme: Scheme, n: float, ratio: float, learning: Learning) -> Variance:
    """Variance a fit on n gold rows drawn by a scheme will report, on average.

    The population part of the pilot plus the labelling part of the new design, made from the pilot's labelling errors
    (docs/methods.md, section 5).

    Parameters
    ----------
    profile : Profile
    scheme : Scheme
    n : float
        Gold rows.
    ratio : float
        Rows of the new corpus over those of the pilot's.
    learning : Learning

    Returns
    -------
    Variance
    """
    reporting = profile.reporting
    frame = scheme.probability(n, ratio)
    pi = frame[profile.position]
    clusters = gold_clusters(profile, frame)
    n_rows = _rows(profile, scheme, n, ratio)
    population_factor, labelling_factor = _small_sample(profile, pi, n, ratio, n_rows, clusters)
    shrink = learning.factor(n) / ratio**2
    own = scheme.spread(profile, n, ratio, labelling_factor)
    rows, doubt, noise = lean_on_reach(profile, own, frame, ratio, labelling_factor, scheme.expected)
    low = scheme.least_variance(profile, n, ratio, labelling_factor)
    labelling = np.maximum((profile.weight[:, None] * rows).sum(axis=0), low) * shrink
    influence, own = rows * shrink, own * shrink
    total = labelling
    if reporting.target == "superpopulation":
        total = labelling + profile.population.value * population_factor / ratio
        more = profile.population.influence * population_factor / ratio
        influence, own = influence + more, own + more
        doubt = doubt * shrink**2 + profile.population.doubt * (population_factor / ratio) ** 2
    else:
        doubt = doubt * shrink**2
    drawn = np.diag(profile.labelling.cross(influence, influence)) + doubt
    alone = np.diag(profile.labelling.cross(own, own))
    with np.errstate(divide="ignore", invalid="ignore"):
        relative = np.where(total > 0, drawn / total**2, 0.0)
        own_relative = np.where(np.isnan(noise), _mended(alone / total**2), noise * (labelling / total) ** 2)
    own_relative = np.where(total > 0, own_relative, 0.0)
    total = total * reporting.inflation
    freedom = degrees_of_freedom(profile, scheme, n, ratio, pi, clusters, (total, labelling))
    return Variance(total, labelling, _log_variance(_mended(relative)), own_relative, freedom)


def gold_clusters(profile: Profile, probability: Floats) -> float | None:
    """Analysis clusters expected to hold gold; None without clusters."""
    if profile.cluster is None:
        return None
    with np.errstate(divide="ignore"):
        none_drawn = np.bincount(profile.cluster, weights=np.log1p(-np.minimum(probability, 1.0)))
    return max(2.0, float((1.0 - np.exp(none_drawn)).sum()))


def _rows(profile: Profile, scheme: Scheme, n: float, ratio: float) -> float:
    """Rows over which the population part of the fit is summed."""
    reporting = profile.reporting
    all_rows = reporting.clustered or by_row(reporting.kind, scheme.n_strata == 0)
    return profile.n_units * ratio if all_rows and reporting.estimator != "gold" else n


def _small_sample(
    profile: Profile, pi: Floats, n: float, ratio: float, n_rows: float, clusters: float | None
) -> tuple[float, Floats]:
    """What the covariance of the next fit makes of the population part and of squared errors of the pilot's fit.

    Squares are too small by their leverage: HC0 leaves it, HC2 takes it out, HC3 divides by its square. Leverage falls
    as the gold grows.
    """
    kind, p = profile.reporting.kind, profile.reporting.width
    later = np.minimum(profile.leverage / (profile.weight * pi * ratio), LARGEST_LEVERAGE)
    labelling = ((1.0 - later) / (1.0 - profile.leverage)) ** {"HC3": -1, "HC2": 0}.get(kind, 1)
    population = 1.0
    if kind == "HC1":
        labelling = labelling * n / max(n - p, 1.0)
        population = n_rows / max(n_rows - p, 1.0)
    elif kind == "CRV1" and clusters is not None:
        assert profile.cluster is not None
        every = (int(profile.cluster.max()) + 1) * ratio
        labelling = labelling * clusters / max(clusters - 1.0, 1.0) * (n - 1.0) / max(n - p, 1.0)
        population = every / max(every - 1.0, 1.0) * (n_rows - 1.0) / max(n_rows - p, 1.0)
    return population, labelling


def degrees_of_freedom(
    profile: Profile,
    scheme: Scheme,
    n: float,
    ratio: float,
    pi: Floats,
    clusters: float | None,
    parts: tuple[Floats, Floats],
) -> Floats:
    """Degrees of freedom as :func:`karat.estimate.infer.infer` would find them, shape (q,).

    The kurtosis of influences is predicted from the pilot's scores: a unit enters with ``m + (1/pi - 1) e`` if drawn
    and with ``m - e`` if not; sums within clusters add their cumulants.
    """
    reporting, q = profile.reporting, len(profile.theta)
    if reporting.df == "normal":
        return np.full(q, np.inf)
    if not isinstance(reporting.df, str):
        return np.full(q, float(reporting.df))
    used = 1.0 if clusters is not None else float(reporting.width)
    gold_rows = reporting.estimator == "gold"
    groups = _rows(profile, scheme, n, ratio)
    gold_size = scheme.units(n)
    if clusters is not None:
        gold_size = min(gold_size, clusters)
        assert profile.cluster is not None
        groups = clusters if gold_rows else (int(profile.cluster.max()) + 1) * ratio
    gold_df = gold_size - used - profile.tuned - max(scheme.n_strata - 1, 0)
    by_parts = satterthwaite_df(parts[0], parts[1], gold_df, groups - used)
    gold_shares = clusters is None and not by_row(reporting.kind, scheme.n_strata == 0)
    by_kurtosis = kurtosis_df(
        *(_gold_shares(profile, pi, ratio) if gold_shares else _moments(profile, pi, ratio, clusters))
    )
    chosen = {"satterthwaite": by_parts, "kurtosis": by_kurtosis}.get(reporting.df, np.minimum(by_parts, by_kurtosis))
    found = np.array([chosen[: reporting.width][row].min() for row in profile.involved])
    return np.minimum(found, reporting.most_df) if reporting.df == "auto" else found


def _gold_shares(profile: Profile, pi: Floats, ratio: float) -> tuple[Floats, Floats]:
    """Expected sum of what gold units contribute to a variance, ``w m^2 + w (w - 1) e^2``, and of its square."""
    weight, pi = ratio * profile.weight[:, None], pi[:, None]
    share = profile.moment**2 + (1.0 / pi - 1.0) * profile.error**2
    unit = profile.labelling.unit
    if unit is not None:
        _, first, code = np.unique(unit[profile.position], return_index=True, return_inverse=True)
        share, weight, pi = group_totals(share, code), weight[first], pi[first]
    return (weight * share).sum(axis=0), (weight / pi * share**2).sum(axis=0)


def _moments(profile: Profile, pi: Floats, ratio: float, clusters: float | None) -> tuple[Floats, Floats]:
    """Expected sums of squares and fourth powers of influences, each of shape (q,), up to a common scale."""
    score, plain, weight = profile.score, profile.plain, profile.weight
    unit = profile.labelling.unit
    if clusters is not None and unit is not None:  # whole clusters: they are the units that are drawn or not
        _, first, code = np.unique(unit[profile.position], return_index=True, return_inverse=True)
        score, plain = group_totals(score, code), group_totals(plain, code)
        weight, pi, clusters = weight[first], pi[first], None
    weight, pi = ratio * weight[:, None], pi[:, None]
    left_out = score - plain
    drawn = score + (1.0 / pi - 1.0) * plain
    second = (weight * (pi * drawn**2 + (1.0 - pi) * left_out**2)).sum(axis=0)
    fourth = (weight * (pi * drawn**4 + (1.0 - pi) * left_out**4)).sum(axis=0)
    if clusters is None:
        return second, fourth
    assert profile.cluster is not None
    size = np.bincount(profile.cluster) / profile.n_units
    count = profile.n_units * ratio
    excess = np.maximum(fourth - 3.0 * second**2 / count, 0.0)
    return second, 3.0 * second**2 * (size**2).sum() / ratio + excess


def _mended(relative: Floats) -> Floats:
    """Relative variance of a sum of squares from the squares themselves.

    For a sum of k normal squares, k random, it is 3/k, but 3/(k + 2) is what the sample shows.
    """
    found: Floats = relative / (1.0 - np.minimum(2.0 * relative / 3.0, 0.8))
    return found


def _log_variance(relative: Floats) -> Floats:
    """Variance of the logarithm of a chi-square with a relative variance."""
    from scipy.special import polygamma

    found: Floats = polygamma(1, np.maximum(1.0 / np.maximum(relative, 1e-12), _FEWEST_DF / 2.0))
    return np.where(relative > 0, found, 0.0)


def pilot_df(log_variance: Floats) -> Floats:
    """Degrees of freedom of the chi-square whose logarithm has a given variance; infinite for none."""
    from scipy.special import polygamma

    wanted = np.clip(log_variance, 1e-12, _MOST_LOG_VARIANCE)
    half = np.where(wanted > 1.0, 1.0 / np.sqrt(wanted), 1.0 / wanted + 0.5)
    for _ in range(40):
        half = np.maximum(half - (polygamma(1, half) - wanted) / polygamma(2, half), half / 3.0)
    return np.where(log_variance > 1e-10, 2.0 * half, np.inf)


def mean_root(df: Floats) -> Floats:
    """``E sqrt(chi2_d / d)``: by how much the root of an unbiased variance falls short, on average."""
    from scipy.special import gammaln

    finite = np.where(np.isfinite(df), df, 1e8)
    found: Floats = np.sqrt(2.0 / finite) * np.exp(gammaln((finite + 1.0) / 2.0) - gammaln(finite / 2.0))
    return np.where(finite < 1e6, found, 1.0)


def jackknife_log_variance(replicates: Sequence[Floats]) -> Floats:
    """Delete-a-group jackknife variance of log variances, shape (q,).

    Few groups make it uncertain itself: it is widened to the t quantile of their number.
    """
    from scipy.stats import norm, t

    values = np.log(np.maximum(np.vstack(replicates), 1e-300))
    groups = len(values)
    widened = (t.ppf(0.95, groups - 1) / norm.ppf(0.95)) ** 2
    spread: Floats = (groups - 1) ** 2 / groups * values.var(axis=0, ddof=1) * widened
    return spread
