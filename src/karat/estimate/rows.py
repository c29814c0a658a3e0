"""Rows of a regression, and where predicted rows come from: a source hands them out block by block."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from ..errors import ArgumentError
from .index import slices

if TYPE_CHECKING:
    from .._core.types import Floats, Ints
    from .absorb import Lengths


@dataclass(frozen=True)
class Rows:
    """Rows of a regression.

    Parameters
    ----------
    x : ndarray, shape (m, p)
        Design matrix.
    y : ndarray, shape (m,)
        Outcome; of a category the shares of all classes but the first, shape (m, K - 1).
    offset : ndarray, shape (m,), optional
        Added to the linear predictor.
    share : ndarray, shape (m,), optional
        Probability of the class combination this row represents; None means 1.
    effect : ndarray or Lengths, shape (m,), optional
        Length of the dummies of the row's unit where fixed effects were taken out, ``sqrt(D_i' (D'VD)^- D_i)``.
    left : ndarray, shape (m, p), optional
        What multiplies the score where that is not the design: covariates as instruments predict them.
    """

    x: Floats
    y: Floats
    offset: Floats | None = None
    share: Floats | None = None
    effect: Floats | Lengths | None = None
    left: Floats | None = None

    @property
    def scored(self) -> Floats:
        """What multiplies the residual in the score, and makes up leverage, shape (m, p)."""
        return self.x if self.left is None else self.left

    @property
    def wide(self) -> Floats:
        """The design where units are left out: a unit's dummies act like one further column, orthogonal to the others.

        All that leaving a unit out needs are products of its rows in the metric of the inverse curvature.
        """
        return self.scored if self.effect is None else np.column_stack([self.scored, np.asarray(self.effect)])

    def wide_inverse(self, inverse: Floats) -> Floats:
        """The inverse curvature for :attr:`wide`."""
        if self.effect is None:
            return inverse
        out = np.eye(len(inverse) + 1)
        out[:-1, :-1] = inverse
        return out

    def take(self, positions: Ints | slice) -> Rows:
        """The rows at some positions; views of them where these are a slice."""
        return Rows(
            self.x[positions],
            self.y[positions],
            None if self.offset is None else self.offset[positions],
            None if self.share is None else self.share[positions],
            None if self.effect is None else self.effect[positions],
            None if self.left is None else self.left[positions],
        )

    def turned(self, basis: Floats) -> Rows:
        """The rows with their design in the coordinates ``x T``."""
        return replace(self, x=self.x @ basis, left=None if self.left is None else self.left @ basis)

    def weight(self, weight: Floats | None) -> Floats | None:
        """A weight of each row times its share; None means 1."""
        return weight if self.share is None else self.share if weight is None else weight * self.share


@dataclass(frozen=True)
class Instruments:
    """Which columns of the rows are covariates, and which stand in the first stage.

    Parameters
    ----------
    right : ndarray of int, shape (p,)
        Covariates: exogenous and endogenous ones.
    left : ndarray of int, shape (L,)
        Exogenous covariates and instruments.

    Examples
    --------
    >>> Instruments(np.array([0, 1]), np.array([0, 2, 3])).endogenous
    array([1])
    """

    right: Ints
    left: Ints

    @property
    def endogenous(self) -> Ints:
        """Columns of the endogenous covariates."""
        return self.right[~np.isin(self.right, self.left)]

    @property
    def excluded(self) -> Ints:
        """Where instruments that are not covariates stand among ``left``."""
        return np.flatnonzero(~np.isin(self.left, self.right))


@dataclass(frozen=True)
class Panel:
    """Where the rows of a panel are.

    Parameters
    ----------
    unit, period : ndarray of int, shape (N,)
        Codes from 0.
    cell : ndarray of int, shape (N,)
        Cohort and period of treated rows, from 0; -1 for rows without treatment.
    covariates : ndarray of int
        Columns of the design that are covariates.
    units, periods, cells : sequences
        What codes are called; of cells the names of the coefficients.
    """

    unit: Ints = field(repr=False)
    period: Ints = field(repr=False)
    cell: Ints = field(repr=False)
    covariates: Ints = field(repr=False)
    units: Sequence[object] = field(repr=False)
    periods: Sequence[object] = field(repr=False)
    cells: tuple[str, ...] = field(repr=False)


Pieces = Callable[[], Iterable[tuple[Rows, "Floats | None"]]]
"""Hands out rows and their weights (None means 1) block by block, anew at each call."""


def pieces_of(rows: tuple[Rows, ...], weight: Floats | None) -> Pieces:
    """Views of rows in memory, the same units in each, and of the weights of these, shape (m,)."""
    return lambda: ((one.take(at), None if weight is None else weight[at]) for one in rows for at in slices(len(one.y)))


class RowBlock(NamedTuple):
    """Predicted rows of some units that follow each other.

    Parameters
    ----------
    at : slice
        Where the units stand among all.
    rows : tuple of Rows
        One row for each unit per class combination; the shares of a unit add up to 1.
    stratum : ndarray of int, shape (m,), or None
        Strata of the units, where a :class:`karat.designs.Counted` draw asks for them.
    """

    at: slice
    rows: tuple[Rows, ...]
    stratum: Ints | None = None


class Source(Protocol):
    """Where predicted rows come from. Nothing else knows where they are kept, or holds all of them."""

    def __len__(self) -> int:
        """Rows of each unit: class combinations; 0 for the gold-only estimator, which has no predicted rows."""

    def blocks(self) -> Iterator[RowBlock]:
        """All units once, in their order, anew at each call."""

    def at(self, positions: Ints) -> tuple[Rows, ...]:
        """Rows of some units; positions ascend."""

    def turned(self, basis: Floats) -> Source:
        """The same with design matrices in the coordinates ``x T``."""


@dataclass(frozen=True)
class Memory:
    """Predicted rows of all units, held in memory.

    Parameters
    ----------
    rows : tuple of Rows
        N rows for each class combination.

    Examples
    --------
    >>> import numpy as np
    >>> source = Memory((Rows(np.ones((10_000, 1)), np.zeros(10_000)),))
    >>> [block.at for block in source.blocks()]
    [slice(0, 8192, None), slice(8192, 10000, None)]
    """

    rows: tuple[Rows, ...] = ()

    def __len__(self) -> int:
        return len(self.rows)

    def blocks(self) -> Iterator[RowBlock]:
        """Views of all units, in blocks that fit the cache."""
        for at in slices(len(self.rows[0].y) if self.rows else 0):
            yield RowBlock(at, tuple(rows.take(at) for rows in self.rows))

    def at(self, positions: Ints) -> tuple[Rows, ...]:
        """Rows of some units."""
        return tuple(rows.take(positions) for rows in self.rows)

    def turned(self, basis: Floats) -> Memory:
        """The same with design matrices in the coordinates ``x T``."""
        return Memory(tuple(rows.turned(basis) for rows in self.rows))


def in_memory(source: Source, argument: str) -> tuple[Rows, ...]:
    """Predicted rows of all units at once.

    Raises
    ------
    ArgumentError
        If the source does not hold them in memory; ``argument`` is what asks for them.
    """
    if not isinstance(source, Memory):
        raise ArgumentError(
            f"{argument} needs the predicted rows of all units at once, and these come batch by batch; take it out, or "
            "read the data into memory."
        )
    return source.rows
