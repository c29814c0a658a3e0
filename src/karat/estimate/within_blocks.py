"""Fixed effects taken out of rows that come block by block: each block less the fitted values of its units."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from .rows import RowBlock, Rows, Source

if TYPE_CHECKING:
    from .._core.types import Floats, Ints
    from .absorb import Lengths, Projection
    from .augment import AugmentedSample


@dataclass(frozen=True)
class LessEffects:
    """Predicted rows without fixed effects: a source made of another.

    Parameters
    ----------
    source : Source
    levels : list of ndarray, each of shape (levels, p + 1)
        What each level of each grouping takes from design and outcome, beside their mean.
    mean : ndarray, shape (p + 1,)
    codes : ndarray of int, shape (N, F)
        Levels of all units.
    length : ndarray or Lengths, shape (N,)
        Of the dummies of each unit.
    basis : ndarray, shape (p, p), or None
        Coordinates of the design.
    """

    source: Source
    levels: list[Floats] = field(repr=False)
    mean: Floats = field(repr=False)
    codes: Ints = field(repr=False)
    length: Floats | Lengths = field(repr=False)
    basis: Floats | None = None

    def __len__(self) -> int:
        return len(self.source)

    def blocks(self) -> Iterator[RowBlock]:
        """All units, block by block."""
        for block in self.source.blocks():
            yield block._replace(rows=self.of(block.rows, block.at))

    def at(self, positions: Ints) -> tuple[Rows, ...]:
        """Rows of some units."""
        return self.of(self.source.at(positions), positions)

    def turned(self, basis: Floats) -> LessEffects:
        """The same with design matrices in the coordinates ``x T``."""
        return replace(self, basis=basis if self.basis is None else self.basis @ basis)

    def of(self, rows: tuple[Rows, ...], at: Ints | slice) -> tuple[Rows, ...]:
        """Rows of some units, which stand there among all."""
        fitted = self.mean + at_levels(self.levels, self.codes[at])
        out = tuple(less(one, fitted, self.length[at]) for one in rows)
        return out if self.basis is None else tuple(one.turned(self.basis) for one in out)


def at_levels(levels: list[Floats], codes: Ints) -> Floats:
    """Sum of what the levels of units hold, shape (m, k)."""
    return np.asarray(sum(level[codes[:, way]] for way, level in enumerate(levels)))


def less(rows: Rows, fitted: Floats, length: Floats | Lengths) -> Rows:
    """Rows less the fitted values of their units, design and outcome side by side."""
    x = np.empty_like(rows.x, order="F")
    np.subtract(rows.x, fitted[:, :-1], out=x)
    return Rows(x, less_offset(rows) - fitted[:, -1], None, rows.share, length)


def less_offset(rows: Rows) -> Floats:
    """The outcome less the offset."""
    return rows.y if rows.offset is None else rows.y - rows.offset


def mean_columns(rows: tuple[Rows, ...]) -> Floats:
    """Design and outcome of units side by side, averaged over class combinations, shape (m, p + 1)."""
    x = sum(one.x if one.share is None else one.x * one.share[:, None] for one in rows)
    y = sum(less_offset(one) if one.share is None else less_offset(one) * one.share for one in rows)
    return np.column_stack([np.asarray(x), np.asarray(y)])


def totals_of(sample: AugmentedSample, projection: Projection, mean: Floats) -> tuple[list[Floats], Floats]:
    """Weighted totals of predicted rows less a mean, by the levels of each grouping, and of squares, in one pass.

    Parameters
    ----------
    sample : AugmentedSample
    projection : Projection
        On the effects of all units.
    mean : ndarray, shape (p + 1,)

    Returns
    -------
    list of ndarray, each of shape (levels, p + 1)
    ndarray, shape (p + 1,)
    """
    out, squares = projection.no_totals(len(mean)), np.zeros(len(mean))
    for block in sample.predicted.blocks():
        values = mean_columns(block.rows) - mean
        weight = sample.units.weights_in(block.at)
        weighted = values if weight is None else values * weight[:, None]
        projection.add_totals(out, weighted, block.at)
        squares += np.einsum("mk,mk->k", weighted, values)
    return out, squares


def squares_of(sample: AugmentedSample) -> Floats:
    """Weighted squares of the columns of predicted rows, averaged over class combinations, shape (p + 1,)."""
    out = np.zeros(sample.gold.x.shape[1] + 1)
    for block in sample.predicted.blocks():
        squares, weight = mean_columns(block.rows) ** 2, sample.units.weights_in(block.at)
        out += squares.sum(axis=0) if weight is None else weight @ squares
    return out
