"""Rows of Poisson and logistic regressions with fixed effects that come block by block: equations, and their root."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from . import curved
from .rows import RowBlock, Rows, Source
from .within_blocks import at_levels

if TYPE_CHECKING:
    from .._core.types import Bools, Floats, Ints
    from ..moments import Model
    from .absorb import FixedEffects, Lengths
    from .augment import AugmentedSample


class Piece(NamedTuple):
    """Some units: levels, covariates about a centre, offsets, outcomes, weights, and whether they have a score."""

    codes: Ints
    x: Floats
    base: Floats
    y: Floats
    weight: Floats
    held: Bools


@dataclass(frozen=True)
class Point:
    """Coefficients, shape (p,), and effects of the levels of each grouping."""

    theta: Floats
    levels: list[Floats] = field(repr=False)

    def eta(self, piece: Piece) -> Floats:
        """Linear predictors of some units."""
        return np.asarray(piece.base + piece.x @ self.theta + at_levels(self.levels, piece.codes))


@dataclass(frozen=True)
class Moved:
    """What is added to outcomes so that effects give their totals: multiples of the curvature at a point (None: of 1).

    Parameters
    ----------
    multiples : list of ndarray, each of shape (levels,)
    at : Point or None
    """

    multiples: list[Floats] = field(repr=False)
    at: Point | None = None

    @property
    def any(self) -> bool:
        """Whether anything is."""
        return any(part.any() for part in self.multiples)

    def of(self, model: Model, piece: Piece) -> Floats:
        """That of some units."""
        if not self.any:
            return np.zeros(len(piece.y))
        found = at_levels(self.multiples, piece.codes) * piece.held
        return found if self.at is None else found * model.evaluate(self.at.eta(piece), piece.y)[1]


@dataclass(frozen=True)
class Equations:
    """Rows whose joint equations in coefficients and effects are to be solved.

    Parameters
    ----------
    sample : AugmentedSample
        Its predicted rows come block by block.
    model : Model
    corrected : bool
        Whether outcomes are corrected by gold.
    centre : ndarray, shape (p,)
        Taken from covariates, so that no digits are lost far from 0.
    correction : ndarray, shape (n,)
        What gold adds to predicted outcomes.
    gone : list of ndarray of bool, each of shape (levels,)
        Levels whose units have no score.
    """

    sample: AugmentedSample
    model: Model
    corrected: bool
    centre: Floats = field(repr=False)
    correction: Floats = field(repr=False)
    gone: list[Bools] = field(repr=False)

    @property
    def effects(self) -> FixedEffects:
        """Those of all units."""
        assert self.sample.units.effects is not None
        return self.sample.units.effects

    def pieces(self) -> Iterator[tuple[slice, Piece]]:
        """All units, block by block: one read."""
        for block in self.sample.predicted.blocks():
            yield block.at, self.piece(block.rows, block.at)

    def piece(self, rows: tuple[Rows, ...], at: slice | Ints) -> Piece:
        """Some units, from their predicted rows."""
        units, first, codes = self.sample.units, rows[0], self.effects.codes[at]
        y = outcomes(rows)
        weight = np.ones(len(y)) if units.weights is None else units.weights[at]
        if self.corrected:
            here, which = gold_in(units.gold, at)
            y[here] += self.correction[which]
            held = weight > 0
        else:
            held = ~np.logical_or.reduce([gone[codes[:, way]] for way, gone in enumerate(self.gone)])
        base = np.zeros(len(y)) if first.offset is None else first.offset
        return Piece(codes, first.x - self.centre, base, y, np.where(held, weight, 0.0), held)


def outcomes(rows: tuple[Rows, ...]) -> Floats:
    """Predicted outcomes of units, averaged over their rows, as an array of its own."""
    return np.asarray(sum(one.y if one.share is None else one.y * one.share for one in rows) + np.zeros(1))


def gold_in(gold: Ints, at: slice | Ints) -> tuple[Ints, Ints]:
    """Where gold units are among some units, and which they are."""
    if isinstance(at, slice):
        first, last = np.searchsorted(gold, (at.start, at.stop))
        return gold[first:last] - at.start, np.arange(first, last)
    which = np.minimum(np.searchsorted(gold, at), len(gold) - 1)
    here = np.flatnonzero(gold[which] == at)
    return here, which[here]


@dataclass(frozen=True)
class WithoutEffects:
    """Predicted rows without fixed effects: a source made of another.

    Parameters
    ----------
    equations : Equations
    point : Point
        Their root.
    theta : ndarray, shape (p,)
        Coefficients there, a step further.
    levels : list of ndarray, each of shape (levels, p)
        What each level takes from covariates.
    moved : Moved
    kappa : float
        Curvature of the equations over that of the rows, to which that of the rows is scaled.
    length : Lengths
        Of the dummies of each unit.
    basis : ndarray, shape (p, p), or None
        Coordinates of the design.
    """

    equations: Equations
    point: Point
    theta: Floats = field(repr=False)
    levels: list[Floats] = field(repr=False)
    moved: Moved
    kappa: float
    length: Lengths = field(repr=False)
    basis: Floats | None = None

    @property
    def source(self) -> Source:
        """The rows with their effects."""
        return self.equations.sample.predicted

    def __len__(self) -> int:
        return len(self.source)

    def blocks(self) -> Iterator[RowBlock]:
        """All units, block by block."""
        for block in self.source.blocks():
            yield block._replace(rows=self.of(block.rows, block.at, block.rows))

    def at(self, positions: Ints) -> tuple[Rows, ...]:
        """Rows of some units."""
        rows = self.source.at(positions)
        return self.of(rows, positions, rows)

    def turned(self, basis: Floats) -> WithoutEffects:
        """The same with design matrices in the coordinates ``x T``."""
        return replace(self, basis=basis if self.basis is None else self.basis @ basis)

    def of(self, rows: tuple[Rows, ...], at: slice | Ints, predicted: tuple[Rows, ...]) -> tuple[Rows, ...]:
        """Rows of some units, which stand there among all, and whose predicted rows are these."""
        model, piece = self.equations.model, self.equations.piece(predicted, at)
        eta, shift = self.point.eta(piece), self.moved.of(model, piece)
        if self.kappa != 1.0:
            shift = shift + (self.kappa - 1.0) * model.evaluate(eta, piece.y)[1]
            eta = eta + np.log(self.kappa)
        x = piece.x - at_levels(self.levels, piece.codes)
        offset, length = eta - x @ self.theta, self.length[at]
        if not piece.held.all():  # no score and no curvature: the mean is the outcome
            away = ~piece.held
            x[away], offset[away] = 0.0, -curved.FARTHEST
            shift[away] = model.mean(offset[away])[0] - piece.y[away]
            lengths = np.where(away, 0.0, np.asarray(length))
            out = tuple(Rows(x, one.y + shift, offset, one.share, lengths) for one in rows)
        else:
            out = tuple(Rows(x, one.y + shift, offset, one.share, length) for one in rows)
        return out if self.basis is None else tuple(one.turned(self.basis) for one in out)
