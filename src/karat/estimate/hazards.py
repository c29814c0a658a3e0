"""Proportional hazards on an augmented sample: partial likelihood whose risk sets hold gold and predicted rows.

The sums over risk sets are totals over the augmented sample, so that they have the expectation of the sums over all
units with gold labels. With the mean covariates ``E`` and the hazard ``dLambda`` from them, a row has the score
``int (x - E)(dN - e dLambda)`` (Lin and Wei 1989), and estimates, weights and covariances are made from scores as in
:mod:`karat.estimate.rectify` (methods, section 7.1).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ConvergenceError, DataError, SeparationError
from .basis import on_gold_basis, to_coefficients
from .clusters import Curvatures, curvatures_from
from .index import predictors, weighted
from .risk_sets import Hazard, RiskSets, Sums
from .root import Root, newton, positive
from .rows import Rows, in_memory

if TYPE_CHECKING:
    from .._core.types import Bools, Floats, Ints
    from .augment import AugmentedSample
    from .influence import Rating
    from .rectify import Estimate

_CLEAR_OF_NOISE = 4.0
"""Labelling standard errors by which the weight of a risk set must be above 0 in the augmented sample."""

_FLAT = 1e-6
"""Curvature, as a share of that at no effect, below which a direction has run to infinity."""

_MOST_ETA = 300.0
"""Linear predictors beyond this are cut, so that a step too far is turned back and does not overflow."""

Weighed = list[tuple[Rows, "Floats | None"]]


def unit_of(rows: Rows) -> Ints:
    """Which unit each row is of: rows of these regressions hold it in the place of an outcome."""
    return rows.y.astype(np.intp)


def risk_of(rows: Rows, theta: Floats) -> Floats:
    """``e``, exponentials of the linear predictors."""
    return np.exp(np.clip(predictors(rows.x, theta, rows.offset), -_MOST_ETA, _MOST_ETA))


@dataclass(frozen=True)
class Weighted:
    """Rows of units with weights, and the partial likelihood they make up.

    Parameters
    ----------
    sets : RiskSets
    rows : list of (Rows, ndarray)
        Weights of rows times their shares.
    instead : Weighted, optional
        Rows whose sums take the place of these at the event times ``unsafe``.
    unsafe : ndarray of bool, shape (K,), optional
    """

    sets: RiskSets
    rows: Weighed = field(repr=False)
    instead: Weighted | None = field(repr=False, default=None)
    unsafe: Bools | None = field(repr=False, default=None)

    @cached_property
    def mass(self) -> Floats:
        """Weight of the events at each time, shape (K,)."""
        out = np.zeros((len(self.sets.event), 1))
        for rows, weight in self.rows:
            np.add.at(out[:, 0], unit_of(rows), 1.0 if weight is None else weight)
        return self.sets.sums(out).ending[:, 0]

    @cached_property
    def ending(self) -> Floats:
        """Total of the covariates of units with an event, shape (p,)."""
        parts = [
            weighted(self.sets.event[unit_of(rows)].astype(np.float64), weight) @ rows.x for rows, weight in self.rows
        ]
        return np.asarray(sum(parts))

    def sums(self, theta: Floats) -> tuple[Sums, Sums]:
        """Totals of ``e`` and of ``e x`` over risk sets."""
        n, p = len(self.sets.event), len(theta)
        total = np.zeros((n, p + 1), order="F")
        for rows, weight in self.rows:
            risk = risk_of(rows, theta)
            own = risk if weight is None else risk * weight
            where = slice(None) if len(own) == n else unit_of(rows)
            total[where, 0] += own
            total[where, 1:] += rows.x * own[:, None]
        found = self.sets.sums(total)
        return Sums(found.risk[:, :1], found.ending[:, :1]), Sums(found.risk[:, 1:], found.ending[:, 1:])

    def hazard(self, theta: Floats) -> tuple[Hazard, tuple[Sums, Sums]]:
        """Mean covariates and hazard, and the totals that these rows have."""
        size, moment = own = self.sums(theta)
        if self.unsafe is not None and self.unsafe.any() and self.instead is not None:
            other = self.instead.sums(theta)
            size, moment = (
                Sums(*(np.where(self.unsafe[:, None], b, a) for a, b in zip(mine, theirs)))
                for mine, theirs in zip(own, other)
            )
        return Hazard.of(self.sets, size, moment, self.mass), own

    def totals(self, theta: Floats) -> tuple[Floats, Floats]:
        """Total score and curvature, for :func:`karat.estimate.root.newton`."""
        hazard, (size, moment) = self.hazard(theta)
        jump, mean = hazard.jump[:, None], hazard.mean
        s0, s1 = self.sets.remaining(size), self.sets.remaining(moment)
        each = (self.mass / self.sets.steps)[self.sets.at]
        score = self.ending - each @ mean - ((s1 - mean * s0) * jump).sum(axis=0)
        cross = mean.T @ (s1 * jump)
        curvature = (mean * (jump * s0)).T @ mean - cross - cross.T
        for rows, weight in self.rows:
            c = risk_of(rows, theta) * hazard.level[unit_of(rows)]
            curvature += (rows.x * weighted(c, weight)[:, None]).T @ rows.x
        return score, curvature


@dataclass(frozen=True)
class HazardMoments:
    """An augmented sample with its risk sets, read in the three ways that estimates need.

    Parameters
    ----------
    sets : RiskSets
    sample : AugmentedSample
        In well-conditioned coordinates.
    gold, everywhere, augmented : Weighted
        Gold rows with inverse probabilities; predicted rows alone; the augmented sample.
    """

    sets: RiskSets
    sample: AugmentedSample
    gold: Weighted
    everywhere: Weighted | None = None
    augmented: Weighted | None = None
    predicted_gold: tuple[Rows, ...] = field(repr=False, default=())
    at_root: bool = False

    @classmethod
    def of(cls, sets: RiskSets, sample: AugmentedSample) -> HazardMoments:
        """Set up, in well-conditioned coordinates."""
        sample = on_gold_basis(None, sample)
        gold = Weighted(sets, [(sample.gold, sample.units.gold_weight)])
        if not sample.predicted:
            return cls(sets, sample, gold)
        rows, v = in_memory(sample.predicted, "a Cox regression"), sample.units.weights
        everywhere = Weighted(sets, [(one, one.weight(v)) for one in rows])
        _, rest = sample.unit_weights()
        augmented = Weighted(sets, [*gold.rows, *((one, one.weight(rest)) for one in rows)], everywhere)
        return cls(sets, sample, gold, everywhere, augmented, sample.predicted.at(sample.units.gold))

    def settled(self, theta: Floats) -> HazardMoments:
        """The same with the risk sets marked whose weight in the augmented sample is not clear of labelling noise.

        There the sums over predicted rows take their place in ``E`` and ``dLambda`` (not in the score), which is as
        good to first order; the marks stay while the root is sought.
        """
        assert self.augmented is not None
        size, _ = self.augmented.sums(theta)
        gap = risk_of(self.sample.gold, theta)
        for rows in self.predicted_gold:
            gap = gap - weighted(risk_of(rows, theta), rows.share)
        units, noise = self.sample.units, np.zeros((len(self.sets.event), 1))
        noise[units.gold, 0] = units.labelling.spread * (units.gold_analysis_weight * gap) ** 2
        square, unsafe = self.sets.sums(noise), np.zeros(self.sets.n_times, dtype=bool)
        for share in (np.zeros(self.sets.n_times), self.sets.latest):
            left = size.risk[:, 0] - share * size.ending[:, 0]
            error = square.risk[:, 0] + ((1.0 - share) ** 2 - 1.0) * square.ending[:, 0]
            unsafe |= ~(left > _CLEAR_OF_NOISE * np.sqrt(np.maximum(error, 0.0)))
        return replace(self, augmented=replace(self.augmented, unsafe=unsafe))

    def hazard(self, theta: Floats) -> Hazard:
        """What scores are held against: from the augmented sample at its root, from gold alone otherwise."""
        whole = self.augmented if self.at_root and self.augmented is not None else self.gold
        return whole.hazard(theta)[0]

    def rating(self, theta: Floats) -> Rating:
        """Scores of rows at given coefficients, and the totals of their curvature."""
        hazard = self.hazard(theta)

        def rated(rows: Rows) -> tuple[Floats, Any]:
            units, risk = unit_of(rows), risk_of(rows, theta)

            def gram(weight: Floats | None) -> Floats:
                out = np.empty((len(theta), len(theta)))
                for a, b, entry in hazard.curvature_entries(rows.x, weighted(risk, rows.weight(weight)), units):
                    out[a, b] = out[b, a] = entry.sum()
                return out

            return hazard.scores(rows.x, risk, units), gram

        return rated

    def scores(self, hazard: Hazard, theta: Floats, blocks: tuple[Rows, ...]) -> tuple[Floats, Floats]:
        """Scores of units, averaged over class combinations, (m, p), and leverage-ready curvatures, (m, p, p)."""
        m, p = len(blocks[0].y), len(theta)
        score, curvature = np.zeros((m, p)), np.zeros((m, p, p))
        for rows in blocks:
            risk, units = risk_of(rows, theta), unit_of(rows)
            score += weighted(hazard.scores(rows.x, risk, units), rows.share)
            for a, b, entry in hazard.curvature_entries(rows.x, weighted(risk, rows.share), units):
                curvature[:, a, b] += entry
                if b > a:
                    curvature[:, b, a] += entry
        return score, curvature


def gold_root(moments: HazardMoments) -> Root:
    """Root of the partial likelihood of gold rows with inverse probability weights (Binder 1992).

    Raises
    ------
    DataError, SeparationError, ConvergenceError
        If there is no finite root.
    """
    sample, gold = moments.sample, moments.gold
    start = np.zeros(sample.gold.x.shape[1])
    _, first = gold.totals(start)
    size = np.sqrt(np.maximum(np.diag(first), 0.0))
    among = np.sqrt(np.einsum("ij,ij,i->j", sample.gold.x, sample.gold.x, sample.units.gold_weight))
    alone = size <= 1e-7 * among
    if alone.any() or np.linalg.eigvalsh(first / np.outer(size, size))[0] < 1e-9:
        column = int(np.argmax(alone)) if alone.any() else int(np.argmin(np.linalg.eigvalsh(first)))
        raise DataError(
            f"column {_named(sample, column)!r}, alone or with others, does not vary among the gold units that are at "
            "risk together (within strata), so that its coefficient cannot be learnt; drop it, or label more units."
        )
    scale = positive(first)
    root = newton(gold.totals, start, scale, noise_of(gold, start, scale))
    _refuse_separation(sample, root, first)
    if not root.converged:
        raise ConvergenceError(
            f"the Cox regression did not converge on the gold rows (norm of the moment {root.norm:.2e}); rescale "
            "covariates, or label more units."
        )
    return root


def _refuse_separation(sample: AugmentedSample, root: Root, first: Floats) -> None:
    from scipy.linalg import eigh

    if not np.isfinite(root.curvature).all():
        return
    values, vectors = eigh((root.curvature + root.curvature.T) / 2.0, first)
    if values[0] > _FLAT:
        return
    direction = np.abs(to_coefficients(sample, vectors[:, 0] * np.sqrt(np.diag(first))))
    raise SeparationError(
        f"events among the gold rows are separated: all units with an event have higher (or all lower) values of "
        f"{_named(sample, int(np.argmax(direction)))!r}, alone or with other columns, than the others at risk, so that "
        "no finite coefficient exists. Drop or merge what separates, or label more units."
    )


def _named(sample: AugmentedSample, column: int) -> str:
    return sample.names[column] if sample.names else f"column {column}"


def noise_of(whole: Weighted, theta: Floats, scale: Floats) -> float:
    """Size of ``sqrt(score' A^-1 score)`` per coefficient that sampling gives the total score: the solver's unit."""
    hazard, squares = whole.hazard(theta)[0], np.zeros_like(scale)
    for rows, weight in whole.rows:
        phi = weighted(hazard.scores(rows.x, risk_of(rows, theta), unit_of(rows)), weight)
        squares += phi.T @ phi
    size = float(np.sqrt(max(np.trace(np.linalg.solve(scale, squares)), 0.0) / len(theta)))
    return size if size > 0 and np.isfinite(size) else 1.0


def hazard_of(
    sets: RiskSets, sample: AugmentedSample, estimate: Estimate, estimator: str
) -> tuple[Weighted, Hazard, Floats]:
    """The rows whose risk sets an estimate rests on, their hazard, and coefficients in well-conditioned coordinates."""
    moments = HazardMoments.of(sets, sample)
    theta = estimate.theta
    if moments.sample.basis is not None:
        theta = np.linalg.solve(moments.sample.basis, theta)
    if estimator == "surrogate" and moments.everywhere is not None:
        whole = moments.everywhere
    elif estimator == "gold" or estimate.scores.gold_alone or moments.augmented is None:
        whole = moments.gold
    else:
        whole = moments.settled(theta).augmented or moments.augmented
    return whole, whole.hazard(theta)[0], theta


def hazard_curvatures(
    sets: RiskSets, sample: AugmentedSample, estimate: Estimate, kind: str, estimator: str
) -> Curvatures:
    """What each analysis cluster adds to the curvature, see :func:`karat.estimate.clusters.curvatures`."""
    if sample.units.cluster is None:
        return Curvatures()
    hazard = hazard_of(sets, sample, estimate, estimator)[1]

    def add(total: Floats, rows: Rows, theta: Floats, codes: Ints, weight: Floats | None) -> None:
        own = weighted(risk_of(rows, theta), rows.weight(weight))
        for a, b, entry in hazard.curvature_entries(rows.x, own, unit_of(rows)):
            part = np.bincount(codes, weights=entry, minlength=len(total))
            total[:, a, b] += part
            if b > a:
                total[:, b, a] += part

    sample = on_gold_basis(None, sample)
    return curvatures_from(add, (sample, sample), estimate, kind, estimator)
