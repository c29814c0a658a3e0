"""What every design can do: draw a sample, and say how a given gold sample was drawn."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ArgumentError, DataError, DesignError
from .labelling import Labelling

if TYPE_CHECKING:
    from .._types import Bools, Floats, Ints
    from ..frames import Table


class Design(ABC):
    """A sampling design: how units are chosen for expert labels."""

    @abstractmethod
    def select(self, table: Table, rng: np.random.Generator) -> Labelling:
        """Draw units from a table."""

    @abstractmethod
    def realised(self, table: Table, labelled: Bools) -> Labelling:
        """Read a gold sample as a draw from this design; raise where the data contradict it."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the data that the design reads."""
        return ()

    def restricted(self, rows: Bools) -> Design:
        """The design for some of the rows: arrays it holds, one value per row, are cut down to them."""
        return self

    def draw(self, data: object, seed: int | np.random.Generator | None = None) -> Sample:
        """Draw the units that go to the experts.

        Parameters
        ----------
        data : data frame
            The whole corpus, one row per unit.
        seed : int or numpy.random.Generator, optional
            Same seed, same data, same sample.

        Returns
        -------
        Sample
            Positions, inclusion probabilities, and the design as drawn.

        Raises
        ------
        DesignError
            If the design cannot be drawn from these data.
        DataError
            If a column the design needs is missing.

        Examples
        --------
        >>> import karat as kt
        >>> sample = kt.SimpleRandom(n=2).draw({"document": [1, 2, 3, 4, 5]}, seed=1)
        >>> len(sample.positions)
        2
        """
        from ..frames import Table

        table = Table.read(data)
        labelling = self.select(table, np.random.default_rng(seed))
        return Sample(labelling, Drawn(self, labelling))


@dataclass(frozen=True)
class Drawn(Design):
    """A design together with the sample drawn from it, so that the gold can be held against the draw.

    Parameters
    ----------
    base : Design
        The design that was drawn.
    labelling : Labelling
        Who was drawn, and how.
    """

    base: Design
    labelling: Labelling

    def __repr__(self) -> str:
        return f"Drawn({self.base!r}, n={self.labelling.n_gold}, N={len(self.labelling.labelled)})"

    def select(self, table: Table, rng: np.random.Generator) -> Labelling:
        """Draw anew from the design underneath."""
        return self.base.select(table, rng)

    def realised(self, table: Table, labelled: Bools) -> Labelling:
        """Hold the gold rows against the rows that were drawn."""
        drawn = self.labelling.labelled
        if len(drawn) != table.n_rows:
            raise DesignError(
                f"the sample was drawn from {len(drawn)} rows, the data have {table.n_rows}; "
                "fit on the frame that was drawn from, in the same order."
            )
        extra, lost = np.flatnonzero(labelled & ~drawn), np.flatnonzero(drawn & ~labelled)
        if len(extra):
            raise DesignError(
                f"{len(extra)} row(s) carry gold but were not drawn (first at position {extra[0]}); set their gold "
                "missing, or pass the design that drew them."
            )
        if len(lost):
            raise DesignError(
                f"{len(lost)} drawn row(s) have no gold (first at position {lost[0]}); have them labelled. Leaving "
                "them out is only harmless if they are missing at random."
            )
        return self.labelling


@dataclass(frozen=True)
class Sample:
    """Units drawn for labelling.

    Parameters
    ----------
    labelling : Labelling
        The draw as arrays.
    design : Drawn
        Hand this to ``design=`` when the gold is in.

    Examples
    --------
    >>> import karat as kt
    >>> corpus = {"party": ["a"] * 6 + ["b"] * 4}
    >>> sample = kt.Stratified("party", n=4).draw(corpus, seed=3)
    >>> sample.rows(corpus).columns.tolist()
    ['position', 'party', 'probability', 'stratum']
    """

    labelling: Labelling
    design: Drawn

    @property
    def positions(self) -> Ints:
        """Row positions of the drawn units, ascending, shape (n,)."""
        return self.labelling.gold

    @property
    def labelled(self) -> Bools:
        """Whether each row was drawn, shape (N,)."""
        return self.labelling.labelled

    @property
    def probability(self) -> Floats:
        """Inclusion probability of each row, shape (N,)."""
        return self.labelling.probability

    def rows(self, data: object) -> Any:
        """The drawn rows as a pandas DataFrame, with position, probability and stratum.

        Parameters
        ----------
        data : data frame
            The frame that was drawn from.

        Returns
        -------
        pandas.DataFrame
            One row per drawn unit, in frame order.
        """
        from ..frames import Table

        table = Table.read(data)
        if table.n_rows != len(self.labelled):
            raise ArgumentError(
                f"data has {table.n_rows} rows, the sample was drawn from {len(self.labelled)}; pass the same frame."
            )
        frame = table.pandas(table.columns, "data").iloc[self.positions].reset_index(drop=True)
        frame.insert(0, "position", self.positions)
        frame["probability"] = self.probability[self.positions]
        if self.labelling.stratum is not None:
            frame["stratum"] = self.labelling.stratum[self.positions]
        return frame


def cut(given: Any, rows: Bools) -> Any:
    """An argument that may be an array of one value per row, for some of the rows."""
    if isinstance(given, str) or np.ndim(given) == 0:
        return given
    values = np.asarray(given)
    if len(values) != len(rows):
        raise ArgumentError(f"the design holds an array of {len(values)} values, the data have {len(rows)} rows.")
    return values[rows]


def codes_of(table: Table, columns: str | tuple[str, ...], role: str) -> tuple[Ints, list[str]]:
    """Integer codes and printable names of the groups that one or several columns form.

    Parameters
    ----------
    table : Table
        The data.
    columns : str or tuple of str
        Grouping columns.
    role : str
        For messages.

    Returns
    -------
    codes : ndarray of int, shape (N,)
    names : list of str

    Raises
    ------
    DataError
        If a grouping value is missing.
    """
    import pandas as pd

    names = (columns,) if isinstance(columns, str) else tuple(columns)
    frame = table.pandas(list(names), role)
    for name in names:
        if frame[name].isna().any():
            raise DataError(f"{role} column {name!r} has {int(frame[name].isna().sum())} missing value(s); fill them.")
    if len(names) == 1:
        codes, levels = pd.factorize(frame[names[0]], sort=True)
        return codes.astype(np.intp), [str(level) for level in levels]
    index = pd.MultiIndex.from_frame(frame)
    codes, levels = pd.factorize(index, sort=True)
    return codes.astype(np.intp), [" x ".join(map(str, level)) for level in levels]


def check_size(n: int | None, available: int, what: str) -> int:
    """The sample size, checked.

    Parameters
    ----------
    n : int or None
        Size asked for.
    available : int
        How many there are.
    what : str
        Name of what is counted.

    Returns
    -------
    int

    Raises
    ------
    DesignError
        If no size was given, or it does not fit.
    """
    if n is None:
        raise DesignError(f"to draw, the design needs n, the number of {what} to label.")
    if isinstance(n, bool) or int(n) != n or n < 1 or n > available:
        raise DesignError(f"n={n!r} is not possible; give a whole number from 1 to {available} ({what} available).")
    return int(n)
