"""Planned standard errors, half-widths and detectable effects, and how sure a pilot is of them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from scipy.stats import chi2, f, t

from .._core.types import Floats, Ints
from ..designs.entries import group_totals
from ..designs.labelling import pair_codes
from ..estimate.df import kurtosis_df, satterthwaite_df
from ..estimate.scores import LARGEST_LEVERAGE
from ..results.tests import interval
from .pilot import Profile, by_row, jackknife_log_variance, log_variance_of, mean_root, mended, pilot_df
from .reach import lean_on_reach
from .schemes import Scheme

MEASURES = ("se", "half_width", "mde")
LEARNING_RATE = 1.5

_MOST_WIDENING = 20.0
_FEWEST_LATER = 3.0


@dataclass(frozen=True)
class Learning:
    """How labelling errors shrink as the predictor sees more gold: squares as ``1 + excess (n_gold / n)^1.5``.

    A learner's excess error has a term in 1 / n and, where regularisation and folds bite, terms that fall faster;
    halves of a small pilot show them together, and the exponent stands between. ``excess`` is the part of the squared
    error in the pilot of ``n_gold`` rows that more gold would take away, relative to what would stay.
    """

    excess: float
    n_gold: int

    def factor(self, n: float) -> float:
        """Squared error with n gold rows over that of the pilot."""
        return (1.0 + self.excess * (self.n_gold / n) ** LEARNING_RATE) / (1.0 + self.excess)


@dataclass(frozen=True)
class Variance:
    """Predicted variance of each figure at one sample size, and the degrees of freedom the fit will use.

    ``log_variance`` is the variance of the logarithm of ``total`` over pilots, from the spread of squared errors alone;
    ``own_relative`` the relative variance of a variance reported on gold like the pilot's, without leaning on reach.
    """

    total: Floats
    labelling: Floats
    log_variance: Floats
    own_relative: Floats
    df: Floats


def variance(profile: Profile, scheme: Scheme, n: float, ratio: float, learning: Learning) -> Variance:
    """Variance a fit on n gold rows drawn by a scheme will report, on average.

    The population part of the pilot plus the labelling part of the new design, made from the pilot's labelling errors
    (docs/methods.md, section 5); ``ratio`` is rows of the new corpus over those of the pilot's.
    """
    reporting = profile.reporting
    frame = scheme.probability(n, ratio)
    pi = frame[profile.position]
    clusters = gold_clusters(profile, frame, ratio, scheme.together)
    later = clusters if reporting.of_gold and clusters is not None else reporting.leveraged * ratio
    inflation, most_df = reporting.few_clusters(later)
    n_rows = _rows(profile, scheme, n, ratio)
    population_factor, labelling_factor = _small_sample(profile, pi, n, ratio, n_rows, clusters)
    shrink = learning.factor(n) / ratio**2
    own = scheme.spread(profile, n, ratio, labelling_factor)
    rows, doubt, noise = lean_on_reach(profile, own, frame, ratio, labelling_factor, scheme.expected)
    low = scheme.least_variance(profile, n, ratio, labelling_factor)
    labelling = np.maximum((profile.weight[:, None] * rows).sum(axis=0), low) * shrink
    influence, own = rows * shrink, own * shrink
    total = labelling
    doubt = doubt * shrink**2
    if reporting.target == "superpopulation":
        total = labelling + profile.population.value * population_factor / ratio
        more = profile.population.influence * population_factor / ratio
        influence, own = influence + more, own + more
        doubt = doubt + profile.population.doubt * (population_factor / ratio) ** 2
    drawn = np.diag(profile.labelling.cross(influence, influence)) + doubt
    alone = np.diag(profile.labelling.cross(own, own))
    with np.errstate(divide="ignore", invalid="ignore"):
        relative = np.where(total > 0, drawn / total**2, 0.0)
        own_relative = np.where(np.isnan(noise), mended(alone / total**2), noise * (labelling / total) ** 2)
    own_relative = np.where(total > 0, own_relative, 0.0)
    total = total * inflation
    freedom = degrees_of_freedom(profile, scheme, n, ratio, pi, clusters, (total, labelling))
    if reporting.df == "auto":
        freedom = np.minimum(freedom, most_df)
    return Variance(total, labelling, log_variance_of(mended(relative)), own_relative, freedom)


def gold_clusters(profile: Profile, probability: Floats, ratio: float, together: Ints | None) -> float | None:
    """Analysis clusters expected to hold gold; None without clusters."""
    cluster = profile.cluster
    if cluster is None:
        return None
    if together is not None:  # rows that are drawn together count once in each cluster
        first = np.unique(pair_codes(together, cluster), return_index=True)[1]
        cluster, probability = cluster[first], probability[first]
    with np.errstate(divide="ignore"):
        none_drawn = np.bincount(cluster, weights=np.log1p(-np.minimum(probability, 1.0)))
    return max(2.0, ratio * float((1.0 - np.exp(none_drawn)).sum()))


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
    kind, p, absorbed = profile.reporting.kind, profile.reporting.width, profile.reporting.absorbed
    later = np.minimum(profile.leverage / (profile.weight * pi * ratio), LARGEST_LEVERAGE)
    labelling = ((1.0 - later) / (1.0 - profile.leverage)) ** {"HC3": -1, "HC2": 0}.get(kind, 1)
    population = 1.0
    if kind == "HC1":
        labelling = labelling * n / max(n * (1.0 - absorbed) - p, 1.0)
        population = n_rows / max(n_rows * (1.0 - absorbed) - p, 1.0)
    elif kind == "CRV1" and clusters is not None:
        assert profile.cluster is not None
        every = (int(profile.cluster.max()) + 1) * ratio
        labelling = labelling * clusters / max(clusters - 1.0, 1.0) * (n - 1.0) / max(n * (1.0 - absorbed) - p, 1.0)
        population = every / max(every - 1.0, 1.0) * (n_rows - 1.0) / max(n_rows * (1.0 - absorbed) - p, 1.0)
    return population, labelling


def degrees_of_freedom(
    profile: Profile, scheme: Scheme, n: float, ratio: float, pi: Floats, clusters: float | None,
    parts: tuple[Floats, Floats],
) -> Floats:  # fmt: skip
    """Degrees of freedom as :func:`karat.estimate.infer.infer` would find them, shape (q,).

    The kurtosis of influences is predicted from the pilot's scores: a unit enters with ``m + (1/pi - 1) e`` if drawn
    and with ``m - e`` if not; sums within clusters add their cumulants.
    """
    reporting, q = profile.reporting, len(profile.theta)
    finite = reporting.target == "finite"
    clusters = None if finite else clusters
    if reporting.df == "normal":
        return np.full(q, np.inf)
    if not isinstance(reporting.df, str):
        return np.full(q, float(reporting.df))
    used = 1.0 if clusters is not None else float(reporting.width)
    gold_rows = reporting.estimator == "gold"
    groups = _rows(profile, scheme, n, ratio) * (1.0 - reporting.absorbed)
    gold_size = scheme.units(n) * (1.0 - reporting.absorbed)
    if clusters is not None:
        gold_size = min(scheme.units(n), clusters)
        assert profile.cluster is not None
        groups = clusters if gold_rows else (int(profile.cluster.max()) + 1) * ratio
    gold_df = gold_size - used - profile.tuned - max(scheme.n_strata - 1, 0)
    by_parts = satterthwaite_df(parts[0], parts[1], gold_df, groups - used)
    gold_shares = finite or (clusters is None and not by_row(reporting.kind, scheme.n_strata == 0))
    by_kurtosis = kurtosis_df(
        *(_gold_shares(profile, pi, ratio, finite) if gold_shares else _moments(profile, pi, ratio, clusters))
    )
    chosen = {"satterthwaite": by_parts, "kurtosis": by_kurtosis}.get(reporting.df, np.minimum(by_parts, by_kurtosis))
    return np.array([chosen[: reporting.width][row].min() for row in profile.involved])


def _gold_shares(profile: Profile, pi: Floats, ratio: float, finite: bool) -> tuple[Floats, Floats]:
    """Expected sum of what gold units contribute to a variance, and of its square.

    That is ``w m^2 + w (w - 1) e^2``; of a finite corpus the second part alone.
    """
    weight, pi = ratio * profile.weight[:, None], pi[:, None]
    share = (1.0 / pi - 1.0) * profile.error**2 + (0.0 if finite else profile.moment**2)
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


@dataclass(frozen=True, eq=False)
class Basis:
    """What is known or assumed before the draw.

    ``worlds`` is one world with one profile for a pilot; from assumptions first the world planned for, simulated
    several times, then those at the ends of the range. ``replicates`` are the pilot without one group of units each;
    ``ratio`` is rows of the corpus planned for over those of the frame; ``band`` says whether the interval is one for
    the expected standard error, or for the one that a single draw will report.
    """

    worlds: tuple[tuple[Profile, ...], ...] = field(repr=False)
    replicates: tuple[Profile, ...] = field(repr=False)
    scheme: Scheme
    ratio: float
    learning: Learning
    power: float
    level: float
    band: str

    @property
    def profile(self) -> Profile:
        """The (first) profile planned from."""
        return self.worlds[0][0]

    @property
    def assumed(self) -> bool:
        """Whether there was no pilot."""
        return len(self.worlds[0]) > 1

    @property
    def names(self) -> tuple[str, ...]:
        """Coefficients and contrasts."""
        return self.profile.names

    @property
    def most(self) -> int:
        """All rows of the corpus."""
        return round(self.scheme.n_frame * self.ratio)

    def with_scheme(self, scheme: Scheme) -> Basis:
        """The same knowledge for another design."""
        return replace(self, scheme=scheme)

    def at(self, n: float) -> Figures:
        """Figures with n gold rows."""
        world = [self._variance(profile, n) for profile in self.worlds[0]]
        total = np.mean([v.total for v in world], axis=0)
        df = np.mean([v.df for v in world], axis=0)
        ends = [np.mean([self._variance(p, n).total for p in profiles], axis=0) for profiles in self.worlds[1:]]
        every = np.sqrt(np.vstack([total, *ends]))  # over the range assumed
        d = pilot_df(self._log_variance(world, n))
        relative = np.mean([v.own_relative for v in world], axis=0) * self.profile.n_gold / n
        later = np.where(relative > 0, np.maximum(2.0 / np.maximum(relative, 1e-12), _FEWEST_LATER), np.inf)
        root = np.sqrt(total) * mean_root(later) / mean_root(d)
        with np.errstate(divide="ignore", invalid="ignore"):
            below, above = self._bounds(d, later)
        if self.band == "expected":
            below, above = below * mean_root(later), above * mean_root(later)
        low, high = np.minimum(every.min(axis=0) * below, root), np.maximum(every.max(axis=0) * above, root)
        return Figures(n, root, low, high, df, self.profile, self.power)

    def log_variance_at(self, n: float) -> Floats:
        """How unsure the pilot is: variance of the logarithm of the planned variance, shape (q,)."""
        return self._log_variance([self._variance(profile, n) for profile in self.worlds[0]], n)

    def _variance(self, profile: Profile, n: float) -> Variance:
        return variance(profile, self.scheme, n, self.ratio, self.learning)

    def _log_variance(self, world: list[Variance], n: float) -> Floats:
        """Variance of the logarithm of the planned variance, shape (q,)."""
        if self.assumed:
            logs = np.log(np.maximum([v.total for v in world], 1e-300))
            return logs.var(axis=0, ddof=1) / len(logs)
        found = world[0].log_variance
        if self.replicates:
            totals = [self._variance(profile, n).total for profile in self.replicates]
            not_drawn = max(0.0, 1.0 - self.profile.n_gold / self.profile.n_units)
            found = np.maximum(found, not_drawn * jackknife_log_variance(totals))
        return found

    def _bounds(self, d: Floats, later: Floats) -> tuple[Floats, Floats]:
        """Factors on the root of the planned variance.

        A pilot's variance is a chi-square on d degrees of freedom around the truth; that of the next draw another.
        """
        tail = (1.0 - self.level) / 2.0
        finite = np.where(np.isfinite(d), d, 1e9)
        if self.band == "reported":
            numerator = np.where(np.isfinite(later), later, 1e9)
            pair = f.ppf(tail, numerator, finite), f.ppf(1.0 - tail, numerator, finite)
        else:
            pair = finite / chi2.ppf(1.0 - tail, finite), finite / chi2.ppf(tail, finite)
        none = ~np.isfinite(d)
        below, above = (np.where(none, 1.0, np.sqrt(part)) for part in pair)
        return below, np.minimum(above, _MOST_WIDENING)


@dataclass(frozen=True, eq=False)
class Figures:
    """Planned figures at one sample size: standard error, its interval and degrees of freedom, each of shape (q,)."""

    n: float
    se: Floats
    low: Floats
    high: Floats
    df: Floats
    profile: Profile = field(repr=False)
    power: float

    def measure(self, name: str) -> tuple[Floats, Floats, Floats]:
        """Value, low and high end of ``"se"``, ``"half_width"`` or ``"mde"``."""
        if name == "se":
            return self.se, self.low, self.high
        make = self._half_width if name == "half_width" else self._mde
        return make(self.se), make(self.low), make(self.high)

    def _half_width(self, se: Floats) -> Floats:
        """Half the length of the interval the fit will print."""
        theta, r = self.profile.theta, self.profile.reporting
        low, high = interval(theta, se**2, self.df, r.alpha, "wald")
        if r.shares is not None and r.interval == "beta":
            shares, p = r.shares.at(self.n / self.profile.n_gold), r.width
            low[:p], high[:p] = interval(theta[:p], se[:p] ** 2, self.df[:p], r.alpha, "beta", shares)
        return 0.5 * (high - low)

    def _mde(self, se: Floats) -> Floats:
        """Effect that a two-sided test at level alpha finds with the power asked for."""
        alpha = self.profile.reporting.alpha
        return (t.ppf(1.0 - alpha / 2.0, self.df) + t.ppf(self.power, self.df)) * se
