"""The baseline of a proportional hazards fit: cumulative hazards, and whether effects change over time.

Both are sums over risk sets of the augmented sample (or of gold alone, where that is the fit), so that units contribute
to them as they do to coefficients (methods, section 7.1).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from .basis import on_gold_basis
from .hazards import hazard_of, risk_of, unit_of
from .index import weighted
from .risk_sets import RiskSets, Sums
from .rows import in_memory
from .scores import Scores, StoredBlocks
from .tune import tune

if TYPE_CHECKING:
    from .._core.types import Bools, Floats, Ints
    from .augment import AugmentedSample, Units
    from .hazards import Weighed, Weighted
    from .rectify import Estimate
    from .risk_sets import Hazard
    from .rows import Rows
    from .tune import Tuning


@dataclass(frozen=True)
class Clock:
    """When the events were.

    Parameters
    ----------
    time : ndarray, shape (K,)
        Of each distinct event time within strata.
    gone : ndarray, shape (K,)
        Share of all units, of any stratum, whose event was before (Kaplan-Meier).
    stratum : ndarray of int, shape (K,)
        Position in ``levels``.
    strata : tuple of str
        Columns that make up strata.
    levels : tuple of tuple of str
        Their values in each stratum.
    last : ndarray, shape (levels,)
        Largest time under observation in each stratum.
    """

    time: Floats = field(repr=False)
    gone: Floats = field(repr=False)
    stratum: Ints = field(repr=False)
    strata: tuple[str, ...]
    levels: tuple[tuple[str, ...], ...] = field(repr=False)
    last: Floats


@dataclass(frozen=True)
class Totals:
    """What units bring to sums over risk sets, averaged over their class combinations.

    Parameters
    ----------
    x : ndarray, shape (m, p)
    risk : ndarray, shape (m,)
        ``e``, exponentials of the linear predictors.
    moment : ndarray, shape (m, p)
        ``e x``.
    """

    x: Floats
    risk: Floats
    moment: Floats

    @classmethod
    def of(cls, blocks: tuple[Rows, ...], theta: Floats) -> Totals:
        """Of units whose rows are several blocks, one for each class combination."""
        m, p = blocks[0].x.shape
        out = cls(np.zeros((m, p)), np.zeros(m), np.zeros((m, p)))
        for rows in blocks:
            risk = weighted(risk_of(rows, theta), rows.share)
            out.x[:] += weighted(rows.x, rows.share)
            out.risk[:] += risk
            out.moment[:] += rows.x * risk[:, None]
        return out

    def scores(self, sets: RiskSets, hazard: tuple[Floats, Floats], g: Floats, units: Ints | slice) -> Floats:
        """``int g (x - E)(dN - e dLambda)`` of units, for a function g of the steps; shape (m, p)."""
        jump, mean = hazard
        passed = sets.through(np.column_stack([g * jump, mean * (g * jump)[:, None]]), units)
        own = sets.at_own(np.column_stack([g, mean * g[:, None]]), units)
        return np.asarray(
            self.x * own[:, :1] - own[:, 1:] - self.moment * passed[:, :1] + self.risk[:, None] * passed[:, 1:]
        )


@dataclass(frozen=True)
class Baseline:
    """Hazards of a fit at its coefficients, and what units bring to them.

    Parameters
    ----------
    sets : RiskSets
    jump, size : ndarray, shape (S,)
        Of the cumulative hazard where covariates are at their centre, and the total of ``e``, at each step.
    mean : ndarray, shape (S, p)
        ``E``, less the centre.
    spread : ndarray, shape (S, p, p)
        Variance of covariates among those at risk, weighted by their hazards.
    gold, predicted : Totals
        Of gold units at gold labels, and of all units at predicted ones; ``predicted`` is None for gold alone.
    units : Units
    clock : Clock
    centre : ndarray, shape (p,)
        Of the covariates.
    tuning : str or None
        Weights of the surrogates, as the fit was asked for.
    crossfitted : bool
        Whether predictions were learnt from this gold.
    """

    sets: RiskSets = field(repr=False)
    jump: Floats = field(repr=False)
    size: Floats = field(repr=False)
    mean: Floats = field(repr=False)
    spread: Floats = field(repr=False)
    gold: Totals = field(repr=False)
    predicted: Totals | None = field(repr=False)
    units: Units = field(repr=False)
    clock: Clock
    centre: Floats
    tuning: object
    crossfitted: bool

    @classmethod
    def of(
        cls, sets: RiskSets, sample: AugmentedSample, estimate: Estimate, kind: str, clock: Clock, centre: Floats,
        tuning: object, crossfitted: bool,
    ) -> Baseline:  # fmt: skip
        """From an estimate; ``kind`` is the estimator."""
        whole, hazard, theta = hazard_of(sets, sample, estimate, kind)
        basis = on_gold_basis(None, sample).basis
        back = np.eye(len(theta)) if basis is None else np.linalg.inv(basis)
        gold, predicted = Totals.of((sample.gold,), estimate.theta), None
        if sample.predicted and kind != "gold" and not estimate.scores.gold_alone:
            predicted = Totals.of(tuple(in_memory(sample.predicted, "a Cox regression")), estimate.theta)
        mean, square = hazard.mean @ back, np.einsum("ca,scd,db->sab", back, _squares(whole, hazard, theta), back)
        spread = square - mean[:, :, None] * mean[:, None, :]
        return cls(
            sets,
            hazard.jump,
            hazard.size,
            mean,
            spread,
            gold,
            predicted,
            sample.units,
            clock,
            centre,
            tuning,
            crossfitted,
        )

    @property
    def each(self) -> Floats:
        """Weight of the events of each step, shape (S,)."""
        return self.jump * self.size

    def cumulative(self, until: Bools, x: Floats) -> tuple[Floats, Floats, Floats, Floats, Floats]:
        """Cumulative hazards of covariates, and what moves them.

        Parameters
        ----------
        until : ndarray of bool, shape (S, k)
            Steps that each of k numbers adds up.
        x : ndarray, shape (k, p)
            Covariates of each, less the centre.

        Returns
        -------
        value : ndarray, shape (k,)
            Over ``exp(x' theta)``, as all others.
        jacobian : ndarray, shape (k, p)
            Derivative in the coefficients, that of ``exp(x' theta)`` included.
        moment : ndarray, shape (n, k)
            Contribution of gold units at their gold labels.
        predicted : ndarray, shape (N, k)
            Of all units at predicted labels; 0 for gold alone.
        share : ndarray, shape (N, k)
            Share of each unit in the number.
        """
        steps = until * self.jump[:, None]
        value = steps.sum(axis=0)
        jacobian = x * value[:, None] - steps.T @ self.mean
        inverse = np.divide(1.0, self.size, out=np.zeros_like(self.size), where=self.size > 0)
        ended, passed = until * inverse[:, None], steps * inverse[:, None]
        gold, labelling = self.units.gold, self.units.labelling
        moment, at_gold = self._contributions(self.gold, ended, passed, gold)
        predicted, share = np.zeros((self.units.n_units, len(value))), np.zeros((self.units.n_units, len(value)))
        if self.predicted is None:
            share[gold] = at_gold * labelling.weight[:, None]
        else:
            predicted, share = self._contributions(self.predicted, ended, passed, slice(None))
            share[gold] += labelling.weight[:, None] * (at_gold - share[gold])
        return value, jacobian, moment, predicted, np.divide(share, value, out=share, where=value > 0)

    def _contributions(
        self, totals: Totals, ended: Floats, passed: Floats, units: Ints | slice
    ) -> tuple[Floats, Floats]:
        """``int (dN - e dLambda) / S_0`` of units, and its second part, times their weight."""
        v = None if self.units.weights is None else self.units.weights[units]
        under = weighted(totals.risk[:, None] * self.sets.through(passed, units), v)
        return weighted(self.sets.at_own(ended, units), v) - under, under

    def moving(self, g: Floats) -> tuple[Floats, Scores, Tuning | None, Floats]:
        """One step from effects that do not change to ``theta + gamma g(t)``, coefficient by coefficient.

        Parameters
        ----------
        g : ndarray, shape (S,)
            Function of time at each step.

        Returns
        -------
        gamma : ndarray, shape (p,)
        scores : Scores
            Influence of units on it.
        tuning : Tuning or None
            Weights of the surrogates; None for gold alone.
        information : ndarray, shape (p, p)
        """
        each, v = self.each, self.units.weights
        g = g - (each @ g) / each.sum()
        own, cross, both = (np.einsum("s,sab->ab", each * part, self.spread) for part in (np.ones_like(g), g, g**2))
        off = np.linalg.solve(own, cross)
        information = both - cross @ off
        inverse = np.linalg.inv(information)

        def contributions(totals: Totals, units: Ints | slice) -> Floats:
            hazard = self.jump, self.mean
            plain, moved = (totals.scores(self.sets, hazard, part, units) for part in (np.ones_like(g), g))
            return weighted((moved - plain @ off) @ inverse, None if v is None else v[units])

        gold, labelling = self.units.gold, self.units.labelling
        m = contributions(self.gold, gold)
        none = np.zeros(len(gold))
        if self.predicted is None:
            scores = Scores(StoredBlocks(m * labelling.weight[:, None], none), m, m, (m, m), self.units, none, True)
            return m.T @ labelling.weight, scores, None, information
        everywhere = contributions(self.predicted, slice(None))
        h = everywhere[gold]
        tuning = None
        weights, inflation = np.eye(len(m.T)), np.ones(len(m.T))
        if isinstance(self.tuning, str) and (m != h).any():
            tuning = tune(self.tuning, (m, h), (m, h), labelling, self.crossfitted)
            weights, inflation = tuning.coefficient_weights, tuning.inflation
        gamma = m.T @ labelling.weight + weights @ (everywhere.sum(axis=0) - h.T @ labelling.weight)
        error = (m - h @ weights.T) * inflation
        psi = everywhere @ weights.T
        psi[gold] = m + (labelling.weight - 1.0)[:, None] * error
        scores = Scores(StoredBlocks(psi, np.zeros(len(psi))), m, error, (m, error), self.units, none)
        return gamma, scores, tuning, information


def _squares(whole: Weighted, hazard: Hazard, theta: Floats) -> Floats:
    """Mean of ``x x'`` among those at risk, weighted by hazards, at each step; shape (S, p, p)."""
    p, sets = len(theta), hazard.sets
    pairs = [(a, b) for a in range(p) for b in range(a, p)]

    def sums(rows: Weighed) -> Sums:
        total = np.zeros((len(sets.event), len(pairs)))
        for one, weight in rows:
            risk, at = weighted(risk_of(one, theta), weight), unit_of(one)
            for k, (a, b) in enumerate(pairs):
                np.add.at(total[:, k], at, risk * one.x[:, a] * one.x[:, b])
        return sets.sums(total)

    found = sums(whole.rows)
    if whole.unsafe is not None and whole.unsafe.any() and whole.instead is not None:
        other = sums(whole.instead.rows)
        found = Sums(*(np.where(whole.unsafe[:, None], b, a) for a, b in zip(found, other)))
    size = hazard.size[:, None]
    left = sets.remaining(found)
    left = np.divide(left, size, out=np.zeros_like(left), where=size > 0)
    out = np.empty((len(left), p, p))
    for k, (a, b) in enumerate(pairs):
        out[:, a, b] = out[:, b, a] = left[:, k]
    return out
