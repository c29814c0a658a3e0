"""A draw told by its gold rows and by counts, where the other rows are not in memory."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from ..errors import DesignError
from .labelling import Labelling

if TYPE_CHECKING:
    from .._core.types import Ints


@dataclass(frozen=True)
class Counted(Labelling):
    """A draw with one probability in each stratum: rows of a stratum that were drawn, or not, are of one kind.

    The arrays of a :class:`Labelling` then hold one entry for each of the 2 S kinds (stratum s not drawn, stratum s
    drawn, ...), whatever N is.

    Parameters
    ----------
    count : ndarray of int, shape (2 S,)
        Rows of each kind.
    positions : ndarray of int, shape (n,)
        Where the drawn rows stand among all N, ascending.
    of_gold : ndarray of int, shape (n,)
        Stratum of each drawn row.

    Examples
    --------
    >>> draw = Counted.of(np.array([4, 50]), np.zeros(2, dtype=int), np.array([100]))
    >>> draw.n_rows, draw.n_gold, draw.weight.tolist()
    (100, 2, [50.0, 50.0])
    """

    count: Ints = field(default_factory=lambda: np.zeros(0, dtype=np.intp))
    positions: Ints = field(default_factory=lambda: np.zeros(0, dtype=np.intp))
    of_gold: Ints = field(default_factory=lambda: np.zeros(0, dtype=np.intp))

    @classmethod
    def of(
        cls,
        positions: Ints,
        stratum: Ints,
        sizes: Ints,
        *,
        probability: float | None = None,
        description: str = "",
        strata: tuple[str, ...] = (),
    ) -> Counted:
        """A simple random or stratified draw, or, with a probability, independent draws.

        Parameters
        ----------
        positions, stratum : ndarray of int, shape (n,)
            Where the drawn rows stand among all, and their strata.
        sizes : ndarray of int, shape (S,)
            Rows of each stratum, drawn or not.
        probability : float, optional
            That of independent draws, which have one stratum; by default the share drawn in each stratum.
        description : str
        strata : tuple of str

        Raises
        ------
        DesignError
            If nothing was drawn in a stratum.
        """
        drawn = np.bincount(stratum, minlength=len(sizes))
        if (drawn == 0).any():
            raise DesignError("a stratum has rows but none was drawn; merge strata, or label units in each.")
        share = drawn / sizes if probability is None else np.full(len(sizes), float(probability))
        kinds = np.arange(2 * len(sizes))
        return cls(
            np.repeat(share, 2),
            kinds % 2 == 1,
            fixed_size=probability is None,
            stratum=kinds // 2 if strata else None,
            description=description,
            strata=strata,
            count=np.column_stack([sizes - drawn, drawn]).ravel(),
            positions=positions,
            of_gold=stratum,
        )

    def seen(self, positions: Ints, stratum: Ints, sizes: Ints, names: list[str]) -> Counted:
        """The same draw on a subset of rows that observed variables define, as :meth:`Labelling.keep` has it.

        Parameters
        ----------
        positions, stratum : ndarray of int, shape (m,)
            Where drawn rows of the subset stand among its rows, and their strata.
        sizes : ndarray of int, shape (S,)
            Rows of the subset in each stratum.
        names : list of str
            Of the strata.

        Examples
        --------
        >>> draw = Counted.of(np.array([4, 50]), np.zeros(2, dtype=int), np.array([100]))
        >>> draw.seen(np.array([3]), np.zeros(1, dtype=int), np.array([80]), [""]).weight.tolist()
        [80.0]
        """
        probability = None if self.fixed_size else float(self.probability[0])
        strata = tuple(names) if self.strata else ()
        return Counted.of(
            positions, stratum, sizes, probability=probability, description=self.description, strata=strata
        )

    @property
    def n_rows(self) -> int:
        """N."""
        return int(self.count.sum())

    @property
    def n_gold(self) -> int:
        """Number of rows drawn."""
        return len(self.positions)

    @property
    def gold(self) -> Ints:
        """Positions of the drawn rows among all, shape (n,)."""
        return self.positions

    @property
    def stratum_sizes(self) -> Ints:
        """Rows of each stratum, shape (S,)."""
        return self.count.reshape(-1, 2).sum(axis=1)

    @cached_property
    def kind_of_gold(self) -> Ints:
        """Where the arrays hold the drawn rows, shape (n,)."""
        return 2 * self.of_gold + 1

    def kinds(self, at: slice, stratum: Ints | None) -> Ints:
        """Kind of each row of a block, from its strata (None for one) and from where the drawn rows stand."""
        kind = np.zeros(at.stop - at.start, dtype=np.intp) if stratum is None else 2 * stratum
        first, last = np.searchsorted(self.positions, (at.start, at.stop))
        kind[self.positions[first:last] - at.start] += 1
        return kind
