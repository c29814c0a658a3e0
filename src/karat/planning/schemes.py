"""Designs as functions of the sample size: probabilities, and the labelling variance a pilot predicts for them.

Every labelling variance here has the form ``sum omega k (e - c)(e~ - c~)`` over the gold units of a pilot: omega the
inverse probability with which the pilot drew the unit, k what the new design makes of a squared error, c the centre
that a fixed sample size takes out. Formulas: Saerndal, Swensson, Wretman (1992), sections 2.8, 3.3, 3.7 and 4.2; Hajek
(1964) for fixed-size unequal probabilities.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from .._core.types import Floats, Ints
from ..designs import Bernoulli, Clustered, Design, SimpleRandom, Stratified
from ..designs.entries import group_totals
from ..designs.fixed_size import proportional, scaling, whole_sizes
from ..designs.sequential import same_groups
from ..errors import DesignError
from .pilot import BORROWED, Profile, effective_counts

NO_REACH = 1e-12
"""Reach of a stratum, as a share of the mean, below which its units say nothing about a coefficient."""


class Scheme(ABC):
    """A design of which the sample size is still open."""

    title: str
    expected: Floats | None
    """Expected squared error of the outcome of each row, up to a factor, where it was learnt, shape (N,)."""

    @property
    @abstractmethod
    def n_frame(self) -> int:
        """Rows of the frame."""

    @property
    def n_strata(self) -> int:
        """Strata whose size is fixed; 0 when units are drawn on their own."""
        return 1

    @property
    def least(self) -> int:
        """Smallest number of gold rows that can be planned."""
        return 2

    @property
    def together(self) -> Ints | None:
        """Groups of rows that are drawn together, shape (N,); None where rows are drawn."""
        return None

    def units(self, n: float) -> float:
        """Labelling units among n gold rows."""
        return n

    @abstractmethod
    def probability(self, n: float, ratio: float = 1.0) -> Floats:
        """Inclusion probability of each row of the frame when n of ``ratio`` times as many are drawn, shape (N,)."""

    @abstractmethod
    def spread(self, profile: Profile, n: float, ratio: float, factor: Floats) -> Floats:
        """Contributions of gold units to the labelling variance, shape (n, q).

        Their inverse-probability total over the pilot is the variance of the totals of errors with n gold rows, when
        the frame has ``ratio`` times as many rows; ``factor`` (n,) is what the covariance of the fit makes of a square.
        """

    def least_variance(self, profile: Profile, n: float, ratio: float, factor: Floats) -> Floats | float:
        """Below this an estimated labelling variance is not believed."""
        return 0.0

    @abstractmethod
    def design(self, n: int) -> Design:
        """The design, ready to draw n gold rows from the frame."""


@dataclass(frozen=True, eq=False)
class StratifiedScheme(Scheme):
    """Simple random samples within strata; one stratum is the simple random sample.

    ``share`` (S,) are sample sizes in proportion; ``names`` empty texts and ``by`` None where they are not known;
    ``reach`` (S, q) is the squared influence of an outcome on each figure, averaged over the stratum, to which the
    spread that a thin stratum borrows is in proportion; ``most`` (S,) can be drawn, where a pilot has used some.
    """

    code: Ints = field(repr=False)
    share: Floats
    names: tuple[str, ...]
    by: Any
    title: str
    reach: Floats | None = field(default=None, repr=False)
    expected: Floats | None = field(default=None, repr=False)
    most: Floats | None = field(default=None, repr=False)

    @property
    def n_frame(self) -> int:
        """Rows of the frame."""
        return len(self.code)

    @cached_property
    def count(self) -> Floats:
        """Rows per stratum, shape (S,)."""
        return np.bincount(self.code, minlength=len(self.names)).astype(np.float64)

    @property
    def n_strata(self) -> int:
        """S."""
        return len(self.names)

    @property
    def least(self) -> int:
        """Two units per stratum."""
        return int(np.minimum(2, self.count).sum())

    def sizes(self, n: float, ratio: float = 1.0) -> Floats:
        """Sample sizes per stratum, not rounded, shape (S,)."""
        count = self.count * ratio
        return proportional(self.share, n, np.minimum(2.0, count), count if self.most is None else self.most * ratio)

    def probability(self, n: float, ratio: float = 1.0) -> Floats:
        """Sampling fraction of the stratum."""
        return (self.sizes(n, ratio) / (self.count * ratio))[self.code]

    def spread(self, profile: Profile, n: float, ratio: float, factor: Floats) -> Floats:
        """Squares around stratum means, ``N_s^2 (1/n_s - 1/N_s)``; those with few pilot units borrow from the rest."""
        count = self.count * ratio
        scale = count**2 * (1.0 / self.sizes(n, ratio) - 1.0 / count)
        code, centred, freedom, norm = within(profile, self.code, len(self.names))
        reach = np.ones((len(scale), 1)) if self.reach is None else self.reach
        own = (scale * freedom / (freedom + BORROWED))[:, None]
        asked = (scale * BORROWED / (freedom + BORROWED)) @ reach
        lends = np.where(reach > NO_REACH * reach.mean(axis=0), freedom[:, None], 0.0)
        lent = asked * lends / np.maximum(lends.sum(axis=0) * np.where(lends > 0, reach, 1.0), 1e-300)
        return ((own + lent) * norm[:, None])[code] * centred**2 * factor[:, None]

    def design(self, n: int) -> Design:
        """Whole sizes."""
        if self.by is None and len(self.names) == 1:
            return SimpleRandom(n)
        if self.by is None or "" in self.names:
            raise DesignError("the strata are known by number only; plan with data=, so that the design can name them.")
        size = whole_sizes(self.sizes(n))
        return Stratified(self.by, {name: int(k) for name, k in zip(self.names, size)})


@dataclass(frozen=True, eq=False)
class IndependentScheme(Scheme):
    """Units drawn on their own with probabilities in proportion to a size, cut at 1 and mixed with a floor.

    ``floor`` is the share of the sample drawn with equal probabilities; ``honest`` (N,) are sizes for predicting
    variances, where that of a pilot unit must not know its own error.
    """

    size: Floats = field(repr=False)
    title: str
    floor: float = 0.0
    honest: Floats | None = field(default=None, repr=False)
    expected: Floats | None = field(default=None, repr=False)

    @property
    def n_frame(self) -> int:
        """Rows of the frame."""
        return len(self.size)

    @property
    def n_strata(self) -> int:
        """No fixed sizes."""
        return 0

    def probability(self, n: float, ratio: float = 1.0) -> Floats:
        """``(1 - floor) min(1, kappa size) + floor n / N``."""
        return self._mixed(self.size, n, ratio)

    def _mixed(self, size: Floats, n: float, ratio: float) -> Floats:
        steered = np.minimum(1.0, scaling(self.size, n / ratio) * size)
        return (1.0 - self.floor) * steered + self.floor * min(1.0, n / (len(size) * ratio))

    def spread(self, profile: Profile, n: float, ratio: float, factor: Floats) -> Floats:
        """Squares at ``1 / pi - 1``."""
        pi = self._mixed(self.size if self.honest is None else self.honest, n, ratio)[profile.position]
        return ratio * ((1.0 / pi - 1.0) * factor)[:, None] * profile.error**2

    def design(self, n: int) -> Design:
        """Poisson sampling with these probabilities."""
        pi = self.probability(n)
        return Bernoulli(float(pi[0])) if np.ptp(pi) == 0 else Bernoulli(pi)


@dataclass(frozen=True, eq=False)
class ClusteredScheme(Scheme):
    """Simple random sample of whole clusters."""

    code: Ints = field(repr=False)
    column: str
    title: str
    expected: Floats | None = field(default=None, repr=False)

    @property
    def n_frame(self) -> int:
        """Rows of the frame."""
        return len(self.code)

    @property
    def together(self) -> Ints:
        """Clusters."""
        return self.code

    @property
    def n_clusters(self) -> int:
        """Clusters in the frame."""
        return int(self.code.max()) + 1

    @property
    def least(self) -> int:
        """Rows in two clusters."""
        return int(np.ceil(2 * len(self.code) / self.n_clusters))

    def units(self, n: float) -> float:
        """Clusters that hold n rows on average."""
        return n * self.n_clusters / len(self.code)

    def probability(self, n: float, ratio: float = 1.0) -> Floats:
        """The same for all."""
        return np.full(len(self.code), n / (len(self.code) * ratio))

    def spread(self, profile: Profile, n: float, ratio: float, factor: Floats) -> Floats:
        """Squares of cluster totals; those of clusters drawn in part from products of pairs."""
        total = self.n_clusters * ratio
        drawn = self.units(n)
        left, right = cluster_products(profile, self.code)
        scale = total**2 * (1.0 / drawn - 1.0 / total) / (total - 1.0) * ratio
        if profile.labelling.unit is not None:
            scale *= profile.labelling.n_units / max(profile.labelling.n_units - 1.0, 1.0)
        mean = (profile.weight[:, None] * profile.error).sum(axis=0) / self.n_clusters
        square = left * right - mean * left
        return scale * factor[:, None] * square

    def least_variance(self, profile: Profile, n: float, ratio: float, factor: Floats) -> Floats | float:
        """That of rows drawn on their own: products of pairs are noisy, and drawing together seldom helps.

        Where the pilot drew whole clusters there are no such products, and no bound.
        """
        if profile.labelling.unit is not None:
            return 0.0
        rows = simple_random(len(self.code))
        return (profile.weight[:, None] * rows.spread(profile, n, ratio, factor)).sum(axis=0)

    def design(self, n: int) -> Design:
        """Clusters that hold about n rows."""
        return Clustered(self.column, max(2, round(self.units(n))))


def simple_random(n_units: int) -> StratifiedScheme:
    """Simple random sampling of rows."""
    return StratifiedScheme(np.zeros(n_units, dtype=np.intp), np.ones(1), ("all",), None, "simple random sample")


def within(profile: Profile, code: Ints, n_groups: int) -> tuple[Ints, Floats, Floats, Floats]:
    """Errors around stratum means: strata of gold units (n,), centred errors (n, q), and two numbers by stratum (S,).

    Kish's effective number of pilot units less one, and the factor that makes ``sum omega centred^2`` a variance.
    """
    inside, weight = code[profile.position], profile.weight
    total, kish = effective_counts(inside, weight, n_groups)
    freedom = np.maximum(kish - 1.0, 0.0)
    if not freedom.sum() > 0:
        raise DesignError("no stratum holds two pilot units, so no spread can be learnt; use fewer strata.")
    sums = _group_sums(weight[:, None] * profile.error, inside, n_groups)
    centre = sums / np.where(total > 0, total, 1.0)[:, None]
    norm = np.where(freedom > 0, kish / np.maximum(freedom, 1e-12), 0.0) / np.where(total > 0, total, 1.0)
    return inside, profile.error - centre[inside], freedom, norm


def stratum_spread(profile: Profile, code: Ints, n_groups: int, reach: Floats | None = None) -> Floats:
    """Standard deviation of errors within strata, borrowing from all where the pilot is thin, shape (S, q)."""
    inside, centred, freedom, norm = within(profile, code, n_groups)
    reach = np.ones((n_groups, 1)) if reach is None else reach
    own = norm[:, None] * _group_sums(profile.weight[:, None] * centred**2, inside, n_groups)
    pooled = freedom @ (own / np.maximum(reach, 1e-300)) / freedom.sum() * reach
    return np.sqrt((freedom[:, None] * own + BORROWED * pooled) / (freedom + BORROWED)[:, None])


def cluster_products(profile: Profile, code: Ints) -> tuple[Floats, Floats]:
    """Errors of gold units, and what the total of their cluster is expected to be given each, both of shape (n, q).

    ``sum omega left right`` estimates the squares of cluster totals. Where the pilot drew whole clusters of the same
    kind, the total is known; else the others of the cluster count with their inverse probability of being drawn beside
    the unit.
    """
    labelling, error = profile.labelling, profile.error
    inside = code[profile.position]
    whole = labelling.unit is not None and same_groups(labelling.unit, code)
    if labelling.unit is not None and not whole:
        raise DesignError(
            "the pilot drew whole clusters of one kind, and the plan asks for clusters of another; what they share "
            "cannot be told from the pilot. Plan for the pilot's clusters, or draw a pilot of rows."
        )
    weight = np.ones(len(error)) if whole else profile.weight
    if not whole and labelling.fixed_size and labelling.unit is None and labelling.stratum is None:
        n, big_n = labelling.n_gold, len(code)
        weight = np.full(len(error), (big_n - 1) / max(n - 1, 1))
    totals = _group_sums(weight[:, None] * error, inside, int(code.max()) + 1)
    return error, totals[inside] + (1.0 - weight)[:, None] * error


def _group_sums(values: Floats, group: Ints, n_groups: int) -> Floats:
    found = group_totals(values, group)
    return np.pad(found, ((0, n_groups - len(found)), (0, 0)))
