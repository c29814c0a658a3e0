"""What each unit contributes to the coefficients, and what leaving it out would change."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Protocol

import numpy as np

from . import index
from .augment import times
from .basis import positive
from .index import slices, weighted
from .labelling_noise import Noise
from .rows import Memory
from .scores import LARGEST_LEVERAGE, Block, correction
from .totals import Moments, linear_predictor, row_scores

if TYPE_CHECKING:
    from .._core.types import Floats
    from ..designs.given_sizes import Known
    from ..moments import Model
    from .augment import AugmentedSample
    from .root import Root
    from .rows import RowBlock, Rows

_MOST_CALIBRATED = 25.0
"""Factor beyond which a variance is not corrected for the units that happened to be drawn."""

_LEAST_EXPECTED = 0.05
"""Smallest share, over directions, of the squares of gold units that is expected, for a variance to be calibrated."""

_LEAST_PLAIN = 0.1
"""Share of the squares of gold units that is expected in proportion to ``c x x'`` alone, at least."""


@dataclass(frozen=True)
class Linear:
    """Scores of the gold units at a root, in coefficients: ``A^-1`` times the score, times the analysis weight.

    ``left_out_...`` are the same at the root without the unit, whose distance is
    ``(A - A_i)^-1 phi_i``: what HC3 and the choice of weights use.

    Parameters
    ----------
    inverse : ndarray, shape (p, p)
        ``A^-1``.
    m, h, left_out_m, left_out_h : ndarray, shape (n, p)
        At gold and at predicted labels.
    leverage : ndarray, shape (n,)
        Share of a gold unit in the weighted regression on gold rows with this curvature.
    at_root : bool
        Whether the root is that of weight 1; else that of gold alone.
    of_effects : ndarray, shape (n, p), optional
        What the unit's own part in its fixed effects has taken from ``left_out_h``. Steps to other weights are made of
        scores with these effects, so that it stays where they weigh.
    """

    inverse: Floats
    m: Floats
    h: Floats
    left_out_m: Floats
    left_out_h: Floats
    leverage: Floats
    at_root: bool
    of_effects: Floats | None = None


def linear_at_root(moments: Moments, root: Root) -> Linear:
    """Scores at the root of weight 1."""
    return _put_right(_linear(moments, root, True), moments, root.theta)


def _put_right(at: Linear, moments: Moments, theta: Floats) -> Linear:
    """Scores of the gold units with the noise put right, and with predictions that have effects of their own.

    The effects in a unit's own scores are freed from its own noise, ``f - P (w - 1) d`` with P its leverage. Its error
    is then larger by ``2 P (w - 1) d e``, e what d is in residuals, and by ``P d e`` for what is put right.
    """
    noise, units = moments.noise, moments.sample.units
    if not isinstance(noise, Noise):
        return at
    score, _ = row_scores(moments.model, theta, noise.control.predicted.at(units.gold))
    own = (score * units.gold_analysis_weight[:, None]) @ at.inverse.T
    spread = units.labelling.spread / units.labelling.weight
    times = 2.0 + np.divide(1.0, spread, out=np.zeros_like(spread), where=spread > 0)
    more = (noise.of_units(theta) * times[:, None]) @ at.inverse.T + own - at.h
    left_m, left_h = at.left_out_m + more, at.left_out_h + own - at.h
    return replace(at, m=at.m + more, h=own, left_out_m=left_m, left_out_h=left_h, of_effects=None)


def linear_at_gold(moments: Moments, root: Root) -> Linear:
    """Scores at the gold-only root."""
    return _linear(moments, root, False)


def _linear(moments: Moments, root: Root, at_root: bool) -> Linear:
    sample, model = moments.sample, moments.model
    inverse = np.linalg.inv(root.curvature)
    v, w = sample.units.gold_analysis_weight, sample.units.labelling.weight
    gold_score, (curvature,) = row_scores(model, root.theta, (sample.gold,), wide=True)
    m = gold_score * v[:, None]
    x, wide = sample.gold.wide, sample.gold.wide_inverse(inverse)
    own = weighted(curvature, v * w)
    leverage = np.clip(index.leverage(wide, [x], [own], m, model.first), 0.0, LARGEST_LEVERAGE)
    h, curvatures = np.zeros_like(m), [curvature]
    if moments.predicted_gold:
        h, more = row_scores(model, root.theta, moments.predicted_gold, wide=True)
        h = h * v[:, None]
        curvatures += more
    designs = [x, *(rows.wide for rows in moments.predicted_gold)]
    if at_root:
        weights = [own, *(weighted(c, v * (1.0 - w)) for c in curvatures[1:])]
        # what a fixed size makes known leaves with no unit
        error = sample.units.labelling.known_part(m - h)[0]
        shift = left_out_shift(wide, curvature_of(designs, weights, model.first), m + (w - 1.0)[:, None] * error)
    elif own.ndim == 1:
        shift = (w / (1.0 - leverage))[:, None] * (m @ wide.T)
    else:
        shift = left_out_shift(wide, curvature_of([x], [own], model.first), m * w[:, None])
    left_m, left_h = m + index.times(x, weighted(curvature, v), shift, model.first), h
    for design, c in zip(designs[1:], curvatures[1:]):
        left_h = left_h + index.times(design, weighted(c, v), shift, model.first)
    q, own_effects = len(inverse), None
    if at_root and shift.shape[1] > q:
        shift[:, :q] = 0.0
        parts = (index.times(d, weighted(c, v), shift, model.first) for d, c in zip(designs[1:], curvatures[1:]))
        own_effects = np.asarray(sum(parts))[:, :q] @ inverse.T
    m, h, left_m, left_h = (part[:, :q] @ inverse.T for part in (m, h, left_m, left_h))
    return Linear(inverse, m, h, left_m, left_h, leverage, at_root, own_effects)


def curvature_of(designs: list[Floats], curvatures: list[Floats], first: slice | None) -> Callable[[slice], Floats]:
    """Curvature of units whose rows are several blocks, for those in a slice, shape (m, q, q)."""
    return lambda at: np.asarray(sum(index.own(x[at], c[at], first) for x, c in zip(designs, curvatures)))


def left_out_shift(inverse: Floats, curvature: Callable[[slice], Floats], phi: Floats) -> Floats:
    """``(A - A_i)^-1 phi_i``: how far the root moves without unit i, with ``A_i`` the curvature of its rows.

    A unit that would take more than 95 % of a direction with it is cut there.
    """
    out = np.empty_like(phi)
    p = len(inverse)
    for block in slices(len(phi), p):
        own = inverse @ curvature(block)
        heavy = np.flatnonzero(np.sqrt((own**2).sum(axis=(1, 2))) > LARGEST_LEVERAGE)
        if len(heavy):
            share = np.linalg.eigvals(own[heavy]).real.max(axis=1)
            own[heavy] *= np.minimum(1.0, LARGEST_LEVERAGE / np.maximum(share, 1e-12))[:, None, None]
        psi = phi[block] @ inverse.T
        out[block] = np.linalg.solve(np.eye(p) - own, psi[:, :, None])[:, :, 0]
    return out


Squares = tuple["Floats", tuple["Floats", "Floats"], tuple["Floats", "Floats"]]
"""What gold units show, and what is expected of all units and of gold ones: squares, and ``c x x'`` alone."""

Rating = Callable[["Rows"], tuple["Floats", Callable[["Floats | None"], "Floats"]]]
"""Gives scores of rows, shape (m, q), and, for weights of rows, the total of their curvature times share."""


class Rated(Protocol):
    """What tells the scores of rows at given coefficients."""

    @property
    def sample(self) -> AugmentedSample:
        """The augmented sample."""

    @property
    def predicted_gold(self) -> tuple[Rows, ...]:
        """Predicted rows of the gold units."""

    def rating(self, theta: Floats) -> Rating:
        """Scores and curvatures of rows."""


def calibrations(moments: Rated, theta: Floats, at: Linear) -> tuple[Floats | None, Floats | None]:
    """Matrices that free squares of gold units from which units happened to be drawn: of moments, and of errors.

    What squares to expect of a unit follows from its predicted rows, which are there for all units. With B the total of
    expected squares over all units, weighted as in the variance, and b its estimate from the gold units, vectors ``a``
    become ``(B b^-1)^(1/2) a``: a ratio estimator of a variance (Isaki 1983), for all coefficients at once and
    whatever the units of covariates. Expected are ``sum_k P_k m_k m_k'`` for moments and
    ``sum_k P_k (m_k - h)(m_k - h)'`` for errors, each plus a multiple of ``c x x'`` that makes up for what gold units
    show beyond it, and at least a tenth.

    Parameters
    ----------
    moments : Rated
    theta : ndarray, shape (p,)
    at : Linear
        Scores of the gold units there.

    Returns
    -------
    tuple of two ndarrays of shape (p, p)
        None where nothing can be told.

    References
    ----------
    Isaki (1983), *Variance estimation using auxiliary information*, JASA 78.
    """
    metric = np.linalg.inv(at.inverse)
    roots = (calibration(*part, at.inverse) for part in squares(moments, theta, at))
    first, second = (None if root is None else at.inverse @ root @ metric for root in roots)
    return first, second


def squares(moments: Rated, theta: Floats, at: Linear) -> tuple[Squares, Squares]:
    """Sums over units of which :func:`calibrations` are made, of moments and of errors."""
    sample, labelling = moments.sample, moments.sample.units.labelling
    metric, rating = np.linalg.inv(at.inverse), moments.rating(theta)
    v, rows = sample.units.gold_analysis_weight, moments.predicted_gold
    error, known = labelling.known_part(at.m - at.h)
    gold = None if known is None else known.take(labelling.kind_of_gold)
    every = _everywhere(rating, sample, None, known, metric)
    some = _Expected.of(rating, _of_gold(rows, v**2 * labelling.weight, v, gold), metric)
    shown = _shown(at.m @ metric, labelling.weight)
    of_moments = shown, (every.squares, every.plain), (some.squares, some.plain)
    spread = labelling.spread_everywhere
    if len(sample.predicted) == 1 and np.ptp(spread) == 0:
        every_error, some_error = ((0.0 * one.plain, spread[0] * one.plain) for one in (every, some))
    else:
        every = _everywhere(rating, sample, spread, None, metric)
        some = _Expected.of(rating, _of_gold(rows, v**2 * labelling.spread, v, None), metric)
        every_error, some_error = (every.errors, every.plain), (some.errors, some.plain)
    return of_moments, (_shown(error @ metric, labelling.spread), every_error, some_error)


def _shown(score: Floats, weight: Floats) -> Floats:
    return np.asarray((score * weight[:, None]).T @ score)


def calibration(
    shown: Floats, whole: tuple[Floats, Floats], found: tuple[Floats, Floats], inverse: Floats
) -> Floats | None:
    """What scores are multiplied by, given what is expected of all units and of the gold ones, and what these show.

    None where predictions expect next to nothing in some direction, as those of a constant covariate do: a ratio of
    nothing to nothing is noise.
    """
    seen, told, plain = (float(np.einsum("ij,ji->", inverse, part)) for part in (shown, *found))
    rest = max(seen - told, _LEAST_PLAIN * seen) / plain if plain > 0 else 0.0
    return _root_ratio(whole[0] + rest * whole[1], found[0] + rest * found[1], shown)


def _root_ratio(whole: Floats, found: Floats, shown: Floats) -> Floats | None:
    """``(whole found^-1)^(1/2)`` with its eigenvalues kept within bounds; None where there is nothing to compare."""
    from scipy.linalg import eigh

    # what gold units show has a spread in every direction, beyond rounding, and enough of it is expected
    if not whole.any() or not _spans(found) or not _spans(shown) or not positive(found - _LEAST_EXPECTED * shown):
        return None
    if np.count_nonzero(whole) == np.count_nonzero(found) == len(whole):
        ratio = np.clip(np.diag(whole) / np.diag(found), 1.0 / _MOST_CALIBRATED, _MOST_CALIBRATED)
        return np.diag(np.sqrt(ratio))
    values, vectors = eigh(whole, found)
    values = np.clip(values, 1.0 / _MOST_CALIBRATED, _MOST_CALIBRATED)
    return np.asarray(found @ (vectors * np.sqrt(values)) @ vectors.T)


def _spans(matrix: Floats) -> bool:
    """Whether cross products have a spread in every direction, by more than rounding whatever the order of units."""
    size = np.sqrt(np.abs(np.diag(matrix)))
    return bool((size > 0).all()) and positive(matrix / np.outer(size, size) - 1e-8 * np.eye(len(size)))


@dataclass(frozen=True)
class _Expected:
    """``sum weight P m m'`` over predicted rows, the same less ``h h'``, and ``sum weight P c x x'``."""

    squares: Floats
    errors: Floats
    plain: Floats

    @classmethod
    def of(cls, rating: Rating, blocks: Iterable[_Weighed], metric: Floats) -> _Expected:
        """In one pass over rows, their weights, and what the predicted moment of each unit gains."""
        p = len(metric)
        squares, errors, plain = np.zeros((p, p)), np.zeros((p, p)), np.zeros((p, p))
        for combinations, weight, v, known in blocks:
            level = np.zeros((p, 0)) if known is None else metric @ known.level.T
            own, mean = np.zeros((p, p)), np.zeros((len(combinations[0].y), p))
            for rows in combinations:
                m, curvature = rating(rows)
                if known is not None:
                    moved = known.moved
                    if v is not None:  # a row of weight 0 expects nothing
                        moved = np.divide(moved, v, out=np.zeros_like(moved), where=v > 0)
                    m += ((level if level.shape[1] == 1 else level[:, known.stratum]) * moved).T
                plain += curvature(weight)
                own += m.T @ index.weighted(m, weight, rows.share)
                if len(combinations) > 1:
                    mean += index.weighted(m, rows.share)
            squares += own
            if len(combinations) > 1:
                errors += own - mean.T @ index.weighted(mean, weight)
        return cls(squares, errors, plain)


_Weighed = tuple[tuple["Rows", ...], "Floats | None", "Floats | None", "Known | None"]
"""Rows of some units, the weight of their squares, their analysis weights, and what their moments gain."""


def _everywhere(
    rating: Rating, sample: AugmentedSample, spread: Floats | None, known: Known | None, metric: Floats
) -> _Expected:
    """What is expected of all units; a source that sums by itself does so."""
    summed = getattr(sample.predicted, "summed", None)
    if summed is None:
        return _Expected.of(rating, _of_all(sample, spread, known), metric)
    return _Expected(*summed(partial(_of_part, rating, replace(sample, predicted=Memory()), spread, known, metric)))


def _of_part(
    rating: Rating, sample: AugmentedSample, spread: Floats | None, known: Known | None, metric: Floats,
    blocks: Iterable[RowBlock],
) -> tuple[Floats, Floats, Floats]:  # fmt: skip
    found = _Expected.of(rating, _of_all(sample, spread, known, blocks), metric)
    return found.squares, found.errors, found.plain


def _of_all(
    sample: AugmentedSample, spread: Floats | None, known: Known | None, blocks: Iterable[RowBlock] | None = None
) -> Iterator[_Weighed]:
    """All units, squares weighted by ``v^2`` times the spread of their kind (1 if there is none)."""
    for block in sample.predicted.blocks() if blocks is None else blocks:
        v, kind = sample.units.weights_in(block.at), sample.units.labelling.kinds(block.at, block.stratum)
        weight = None if v is None else v**2
        if spread is not None:
            weight = spread[kind] if weight is None else weight * spread[kind]
        weight = times(weight, sample.units.counts_in(block.at))
        yield block.rows, weight, v, None if known is None else known.take(kind)


def _of_gold(rows: tuple[Rows, ...], weight: Floats, v: Floats, known: Known | None) -> Iterator[_Weighed]:
    """Gold units, block by block."""
    for at in slices(len(v)):
        yield tuple(one.take(at) for one in rows), weight[at], v[at], None if known is None else known.take(at)


@dataclass(frozen=True)
class UnitBlocks:
    """Influences of all units without their gold, worked out block by block from the predicted rows."""

    model: Model
    sample: AugmentedSample
    theta: Floats
    inverse: Floats
    to_coefficients: Floats

    def __call__(self, kind: str) -> Iterator[Block]:
        """Influences of the predicted rows; with HC2 and HC3 divided by one minus their leverage."""
        sample = self.sample
        for block in sample.predicted.blocks():
            parts = [self._evaluate(rows) for rows in block.rows]
            v = sample.units.weights_in(block.at)
            scale = self._factor(block.rows, parts, v, kind)
            if v is not None:
                scale = v if scale is None else v * scale
            if len(parts) == 1 and parts[0][1].ndim == 1:
                x, score, _ = parts[0]
                psi = (self.to_coefficients @ x.T).T
                psi *= (score if scale is None else score * scale)[:, None]
            else:
                psi = self._summed(parts) @ self.to_coefficients.T
                if scale is not None:
                    psi *= scale[:, None]
            yield block.at, psi

    def _evaluate(self, rows: Rows) -> tuple[Floats, Floats, Floats]:
        """Design rows, score and curvature (times share) of one class combination."""
        score, curvature = self.model.evaluate(linear_predictor(self.model, rows, self.theta), rows.y)
        return rows.scored, weighted(score, rows.share), weighted(curvature, rows.share)

    def _factor(
        self, rows: tuple[Rows, ...], parts: list[tuple[Floats, Floats, Floats]], v: Floats | None, kind: str
    ) -> Floats | None:
        """Small-sample correction of each row, shape (rows,)."""
        if kind not in ("HC2", "HC3"):
            return None
        curvatures = [curvature for _, _, curvature in parts]
        phi = None if curvatures[0].ndim == 1 else self._summed(parts)
        wide = rows[0].wide_inverse(self.inverse)
        leverage = index.leverage(wide, [one.wide for one in rows], curvatures, phi, self.model.first)
        if v is not None:
            leverage *= v
        return correction(np.clip(leverage, 0.0, 1.0, out=leverage), kind)

    def _summed(self, parts: list[tuple[Floats, Floats, Floats]]) -> Floats:
        """Scores of units whose rows are several blocks, shape (m, q)."""
        phi = index.scores(*parts[0][:2], self.model.first)
        for x, score, _ in parts[1:]:
            phi += index.scores(x, score, self.model.first)
        return phi
