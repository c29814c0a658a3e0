"""Everything a plan is made from, and the figures it gives at a sample size."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from ..results.tests import interval
from .figures import Learning, Variance, jackknife_log_variance, mean_root, pilot_df, variance
from .profile import Profile

if TYPE_CHECKING:
    from .._core.types import Floats
    from .schemes import Scheme

MEASURES = ("se", "half_width", "mde")
_MOST_WIDENING = 20.0
_FEWEST_LATER = 3.0


@dataclass(frozen=True, eq=False)
class Basis:
    """What is known or assumed before the draw.

    Parameters
    ----------
    worlds : tuple of tuple of Profile
        One world with one profile for a pilot. From assumptions: first the world planned for, simulated several times,
        then those at the ends of the range assumed.
    replicates : tuple of Profile
        The pilot without one group of units each; empty when it was not fitted again.
    scheme : Scheme
    ratio : float
        Rows of the corpus planned for over those of the frame.
    learning : Learning
    power, level : float
    band : {"expected", "reported"}
        Whether the interval is one for the expected standard error, or for the one that a single draw will report.
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
        low, high = self._between_worlds(world, total, n)
        d = pilot_df(self._log_variance(world, n))
        relative = np.mean([v.own_relative for v in world], axis=0) * self.profile.n_gold / n
        later = np.where(relative > 0, np.maximum(2.0 / np.maximum(relative, 1e-12), _FEWEST_LATER), np.inf)
        root = np.sqrt(total) * mean_root(later) / mean_root(d)
        with np.errstate(divide="ignore", invalid="ignore"):
            below, above = self._bounds(d, later)
        if self.band == "expected":
            below, above = below * mean_root(later), above * mean_root(later)
        return Figures(
            n, root, np.minimum(low * below, root), np.maximum(high * above, root), df, self.profile, self.power
        )

    def log_variance_at(self, n: float) -> Floats:
        """How unsure the pilot is: variance of the logarithm of the planned variance, shape (q,)."""
        return self._log_variance([self._variance(profile, n) for profile in self.worlds[0]], n)

    def _variance(self, profile: Profile, n: float) -> Variance:
        return variance(profile, self.scheme, n, self.ratio, self.learning)

    def _between_worlds(self, world: list[Variance], total: Floats, n: float) -> tuple[Floats, Floats]:
        """Lowest and highest root of the variance over the range assumed, shape (q,)."""
        ends = [np.mean([self._variance(p, n).total for p in profiles], axis=0) for profiles in self.worlds[1:]]
        every = np.sqrt(np.vstack([total, *ends]))
        return every.min(axis=0), every.max(axis=0)

    def _log_variance(self, world: list[Variance], n: float) -> Floats:
        """Variance of the logarithm of the planned variance, shape (q,)."""
        if self.assumed:
            logs = np.log(np.maximum([v.total for v in world], 1e-300))
            spread: Floats = logs.var(axis=0, ddof=1) / len(logs)
            return spread
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
        from scipy.stats import chi2, f

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
    """Planned figures at one sample size, each of shape (q,).

    Parameters
    ----------
    n : float
    se, low, high : ndarray, shape (q,)
        Standard error and its interval.
    df : ndarray, shape (q,)
    profile : Profile
    power : float
    """

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
        from scipy.stats import t

        alpha = self.profile.reporting.alpha
        found: Floats = (t.ppf(1.0 - alpha / 2.0, self.df) + t.ppf(self.power, self.df)) * se
        return found
