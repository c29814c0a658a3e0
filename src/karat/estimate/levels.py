"""Levels of augmentation: rows that have a part of the labels, or better surrogates, between none and all of them.

With ``w`` the weight of full rows, ``w_k`` that of the rows of a level, ``h`` the score at predicted labels and ``h_k``
that at what the level knows, the others predicted, the equation is

    sum v { w m + Lambda (1 - w) h + sum_k Lambda_k (w_k - w) (h_k - h) } = 0.

With weights 1 a unit enters with its full row (weight ``v w``), its row of each level (``v (w_k - w)``) and its
predicted row (the rest), which add up to ``v``. As all weights have expectation 1, whatever multiplies Lambda has
expectation 0.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from . import index
from .basis import curvature_of_columns, on_gold_basis, to_coefficients
from .df import kurtosis_df, satterthwaite_df
from .influence import Linear, calibrations, curvature_of, left_out_shift
from .level_weights import LevelScores, choose_weights
from .rectify import CLEAR_OF_NOISE, SOUND, Estimate, gold_estimate
from .root import Root, definite, gold_root, newton, noise_of, positive
from .rows import Memory, Pieces, Rows, pieces_of
from .scores import Scores, StoredBlocks
from .totals import Moments, Totals, astray, row_scores, row_totals

if TYPE_CHECKING:
    from .._core.types import Floats
    from ..designs import Labelling
    from ..designs.phases import Errors, Phases
    from ..moments import Model
    from .augment import AugmentedSample


@dataclass(frozen=True)
class Level:
    """Rows of the units of a level, at what is known of them.

    Parameters
    ----------
    name : str
        What is known.
    rows : tuple of Rows
        One row of each unit per combination of the classes that are predicted; the shares of a unit add up to 1.
    labelling : Labelling
        Who these units are, among N.
    """

    name: str
    rows: tuple[Rows, ...] = field(repr=False)
    labelling: Labelling = field(repr=False)


@dataclass(frozen=True)
class LevelEstimate:
    """An estimate with what its covariance is made from.

    Parameters
    ----------
    estimate : Estimate
        Its scores hold errors of full rows and of levels side by side, shape (n, (K + 1) p).
    weights : ndarray, shape (K + 1, p)
        Weight that each coefficient gives to surrogates, and to each level.
    phases : Phases
    """

    estimate: Estimate
    weights: Floats
    phases: Phases

    def errors(self, kind: str) -> tuple[Floats, Errors]:
        """Moments, and errors of full rows and levels, with the small-sample form of the kind."""
        moment, stacked = self.estimate.scores.gold_parts(kind)
        return moment, tuple(np.split(stacked, len(self.weights), axis=1))

    def infer(self, kind: str, target: str, df: str | float) -> tuple[Floats, Floats, Floats]:
        """Covariance, the part of it that labelling adds, and degrees of freedom.

        Parameters
        ----------
        kind : {"HC0", "HC1", "HC2", "HC3"}
        target : {"superpopulation", "finite"}
        df : {"auto", "satterthwaite", "kurtosis", "normal"} or float

        Returns
        -------
        tuple of ndarray, shapes (p, p), (p, p) and (p,)
        """
        moment, errors = self.errors(kind)
        full, p = self.phases.full, moment.shape[1]
        design = self.phases.cross(errors)
        population = (moment * full.weight[:, None]).T @ moment
        n, n_rows = full.n_gold, full.n_rows
        if kind == "HC1":
            population, design = population * n_rows / max(n_rows - p, 1), design * n / max(n - p, 1)
        total = design if target == "finite" else population + design
        if not isinstance(df, str):
            return total, design, np.full(p, float(df))
        if df == "normal":
            return total, design, np.full(p, np.inf)
        share = self.phases.shares(errors)
        if target != "finite":
            share = share + full.weight[:, None] * moment**2
        by_kurtosis = kurtosis_df(share.sum(axis=0), (share**2).sum(axis=0))
        tuned = self.estimate.tuning.tuned
        free = float(full.n_chance) - p - tuned - max(self.phases.n_strata - 1, 0)
        by_parts = satterthwaite_df(np.diag(total), np.diag(design), free, float(n - p))
        found = {"kurtosis": by_kurtosis, "satterthwaite": by_parts}
        return total, design, found.get(df, np.minimum(by_kurtosis, by_parts))


def without_levels(estimate: Estimate, phases: Phases) -> LevelEstimate:
    """An estimate from full rows, with or without surrogates, beside one with levels."""
    scores, n_levels = estimate.scores, len(phases.levels)

    def padded(error: Floats) -> Floats:
        return np.hstack([error, np.zeros((len(error), n_levels * error.shape[1]))])

    moment, error = scores.left_out
    stacked = replace(scores, error=padded(scores.error), left_out=(moment, padded(error)))
    weights = np.vstack([np.diag(estimate.tuning.coefficient_weights), np.zeros((n_levels, len(estimate.theta)))])
    return LevelEstimate(replace(estimate, scores=stacked), weights, phases)


def rectify_levels(
    model: Model, sample: AugmentedSample, levels: tuple[Level, ...], phases: Phases, tuning: str | None,
    crossfitted: bool,
) -> LevelEstimate:  # fmt: skip
    """The estimate with levels, its weights chosen for the smallest labelling variance.

    Parameters
    ----------
    model : Model
    sample : AugmentedSample
        Full rows as gold, and predicted rows of all units in memory.
    levels : tuple of Level
    phases : Phases
        How full rows and those of levels were drawn.
    tuning : {"auto", "coefficient"} or None
        "auto" chooses, for each coefficient, among full rows alone, these with surrogates, weight 1 for all, and
        estimated weights; None is weight 1.
    crossfitted : bool
        Whether predictions were learnt from the full rows: then estimated weights lie between 0 and 2.

    Returns
    -------
    LevelEstimate
    """
    totals = _Levels.of(model, sample, levels, phases)
    start, alone = gold_root(totals.moments), gold_estimate(model, sample)
    root = newton(totals.weight_one, start.theta, positive(start.curvature), totals.noise(start))
    solved = root.converged and bool(np.isfinite(root.theta).all()) and definite(root.curvature)
    solved = solved and not astray(model, sample.gold, root.theta) and totals.is_sound(root, start)
    notes = () if solved else ("the equation with levels has no sound root; one step was taken from gold alone",)
    if not solved:
        root = start
    at = totals.at(root, solved)
    chosen, weights = choose_weights(at, alone, phases, tuning, crossfitted, solved)
    step = np.asarray(sum(weight * total for weight, total in zip((np.ones_like(weights[0]), *weights), at.totals)))
    theta = to_coefficients(totals.sample, root.theta) + step
    moved = replace(root, theta=root.theta + totals.from_coefficients(step))
    if step.any() and not astray(model, sample.gold, moved.theta):
        at = totals.at(moved, solved)
    moment, left = at.m[0].copy(), at.m[1].copy()
    plain, left_out = (_errors(at, weights, chosen.inflation, k) for k in (0, 1))
    of_moments, of_errors = totals.calibrations(moved if step.any() else root, moment, np.sum(plain, axis=0))
    left = left @ of_moments.T
    left_out = [part @ of_errors.T for part in left_out]
    for j in np.flatnonzero([choice == "gold" for choice in chosen.choice]):
        theta[j], moment[:, j], left[:, j] = alone.theta[j], alone.scores.moment[:, j], alone.scores.left_out[0][:, j]
        plain[0][:, j], left_out[0][:, j] = moment[:, j], left[:, j]
    error, left_error = np.hstack(plain), np.hstack(left_out)
    source = StoredBlocks(np.zeros((0, error.shape[1])), np.zeros(0))
    scores = Scores.of(source, moment, error, (left, left_error), left_error, sample.units)
    curvature = curvature_of_columns(totals.sample, root.curvature)
    found = Estimate(theta, curvature, scores, chosen, root.norm, root.iterations, notes, alone)
    return LevelEstimate(found, weights, phases)


@dataclass(frozen=True)
class _Levels:
    """Rows and totals in well-conditioned coordinates."""

    moments: Moments
    rows: tuple[tuple[Rows, ...], ...]
    parts: tuple[Totals, ...]
    phases: Phases

    @classmethod
    def of(cls, model: Model, sample: AugmentedSample, levels: tuple[Level, ...], phases: Phases) -> _Levels:
        joint = on_gold_basis(model, sample)
        moments, units, full = Moments.of(model, joint), joint.units, phases.full
        rows, parts = [], []
        for level in levels:
            at = level.labelling.gold
            turned = on_gold_basis(model, replace(sample, predicted=Memory(level.rows))).predicted
            weight = level.labelling.weight.copy()
            place = np.searchsorted(at, full.gold)
            weight[place] -= full.weight
            v = weight if units.weights is None else weight * units.weights[at]
            here, there = pieces_of(turned.at(np.arange(len(at))), v), pieces_of(joint.predicted.at(at), -v)
            parts.append(row_totals(model, partial(_one_after_the_other, here, there)))
            rows.append(turned.at(place))
        return cls(moments, tuple(rows), tuple(parts), phases)

    @property
    def sample(self) -> AugmentedSample:
        """Full and predicted rows in these coordinates."""
        return self.moments.sample

    def noise(self, root: Root) -> float:
        """The solver's unit."""
        scale, n = positive(root.curvature), len(self.sample.gold.y)
        return noise_of(self.moments.model, self.sample.gold_pieces, n, root.theta, scale)

    def weight_one(self, theta: Floats) -> tuple[Floats, Floats]:
        """Total score and curvature with weight 1 for surrogates and levels."""
        found = [self.moments.rectified(None)(theta), *(part(theta) for part in self.parts)]
        return np.asarray(sum(score for score, _ in found)), np.asarray(sum(curvature for _, curvature in found))

    def from_coefficients(self, step: Floats) -> Floats:
        """A step of the user's columns in these coordinates."""
        basis = self.sample.basis
        return step if basis is None else np.linalg.solve(index.repeated(basis, len(step)), step)

    def is_sound(self, root: Root, start: Root) -> bool:
        """Whether the Jacobian of weight 1 is not mostly noise in any direction, as without levels."""
        from scipy.linalg import eigh

        values, vectors = eigh((root.curvature + root.curvature.T) / 2.0, positive(start.curvature))
        if values[0] >= SOUND:
            return True
        u, model, v = vectors[:, 0], self.moments.model, self.sample.units.gold_analysis_weight

        def along(rows: tuple[Rows, ...]) -> Floats:
            _, curvatures = row_scores(model, root.theta, rows)
            found = [index.quadratic(one.x, c, u, model.first, one.left) for one, c in zip(rows, curvatures)]
            return np.asarray((sum(found) * v)[:, None])

        none = along(self.moments.predicted_gold)
        levels = [along(rows) - none for rows in self.rows]
        errors = (along((self.sample.gold,)) - none - sum(levels), *levels)
        return bool(values[0] > CLEAR_OF_NOISE * np.sqrt(max(float(self.phases.cross(errors)[0, 0]), 0.0)))

    def at(self, root: Root, at_root: bool) -> LevelScores:
        """Scores at a root: that of weight 1, or that of gold alone."""
        model, sample, theta = self.moments.model, self.sample, root.theta
        inverse = np.linalg.inv(root.curvature)
        v, w, phases = sample.units.gold_analysis_weight, self.phases.full.weight, self.phases
        blocks = ((sample.gold,), self.moments.predicted_gold, *self.rows)
        found = [row_scores(model, theta, rows) for rows in blocks]
        m, h, *levels = (score * v[:, None] for score, _ in found)
        less = [phases.level_weights(k) - w for k in range(len(levels))]
        weights = (w, 1.0 - w - sum(less), *less) if at_root else (w,)
        errors = (m - h - sum(one - h for one in levels), *(one - h for one in levels))
        errors, _ = phases.centred(errors)
        phi = m * w[:, None]
        if at_root:
            own = (w, *(phases.level_weights(k) for k in range(len(levels))))
            phi = m + sum((weight - 1.0)[:, None] * error for weight, error in zip(own, errors))
        designs = [one.x for rows in blocks[: len(weights)] for one in rows]
        curved = [index.weighted(c, v * k) for (_, cs), k in zip(found, weights) for c in cs]
        shift = left_out_shift(inverse, curvature_of(designs, curved, model.first), phi)
        pairs = []
        for score, rows, (_, curvatures) in zip((m, h, *levels), blocks, found):
            left = score
            for one, c in zip(rows, curvatures):
                left = left + index.times(one.x, index.weighted(c, v), shift, model.first)
            pairs.append((to_coefficients(sample, score @ inverse.T), to_coefficients(sample, left @ inverse.T)))
        totals = (self.moments.gold(theta)[0], self._surrogates(theta), *(part(theta)[0] for part in self.parts))
        differences = tuple((one - pairs[1][0], out - pairs[1][1]) for one, out in pairs[2:])
        return LevelScores(pairs[0], pairs[1], differences, tuple(to_coefficients(sample, inverse @ t) for t in totals))

    def calibrations(self, root: Root, moment: Floats, error: Floats) -> tuple[Floats, Floats]:
        """Matrices that free squares of moments, and of errors, from which units happened to be full.

        That of the errors of predictions goes for those of full rows and of levels, which add up to them.
        """
        p = len(root.theta)
        basis = np.eye(p) if self.sample.basis is None else index.repeated(self.sample.basis, p)
        m, h = (np.linalg.solve(basis, part.T).T for part in (moment, moment - error))
        at = Linear(np.linalg.inv(root.curvature), m, h, m, h, np.zeros(len(m)), True)
        of_moments, of_errors = (
            np.eye(p) if one is None else np.linalg.solve(basis.T, (basis @ one).T).T
            for one in calibrations(self.moments, root.theta, at)
        )
        return of_moments, of_errors

    def _surrogates(self, theta: Floats) -> Floats:
        everywhere, back = self.moments.everywhere, self.moments.back
        assert everywhere is not None
        assert back is not None
        return np.asarray(everywhere(theta)[0] - back(theta)[0])


def _one_after_the_other(*pieces: Pieces) -> Iterator[tuple[Rows, Floats | None]]:
    """Rows and weights of several sources."""
    for one in pieces:
        yield from one()


def _errors(at: LevelScores, weights: Floats, inflation: Floats, k: int) -> list[Floats]:
    """Errors of full rows and levels at chosen weights, plain (0) or left out (1)."""
    levels = [weight * pair[k] for weight, pair in zip(weights[1:], at.levels)]
    full = at.m[k] - weights[0] * at.h[k] - sum(levels)
    return [error * inflation for error in (full, *levels)]
