"""What every design can do: draw a sample, and say how a given gold sample was drawn."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ArgumentError, DataError, DesignError
from .frame import FrameRecord
from .labelling import Labelling
from .sequential import drawn_after

if TYPE_CHECKING:
    from .._types import Bools, Ints
    from ..frames import Table
    from .sample import Sample


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

    def draw(self, data: object, seed: int | np.random.Generator | None = None, *, id: str | None = None) -> Sample:
        """Draw the units that go to the experts.

        Parameters
        ----------
        data : data frame
            The whole corpus, one row per unit.
        seed : int or numpy.random.Generator, optional
            Same seed, same data, same sample.
        id : str, optional
            Column that names each row. The frame may then be reordered, and columns the design does not read
            may be edited, before the fit; without it any change but added columns and filled-in gold is
            refused, see :class:`karat.designs.FrameRecord`.

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
        from .sample import Sample

        table = Table.read(data)
        record = FrameRecord.of(table, id, self.columns)
        labelling = self.select(table, np.random.default_rng(seed))
        return Sample(
            labelling, Drawn(self, labelling, record), int(seed) if isinstance(seed, (int, np.integer)) else None
        )


@dataclass(frozen=True)
class Drawn(Design):
    """A design together with the sample drawn from it, so that the gold can be held against the draw.

    Parameters
    ----------
    base : Design
        The design that was drawn.
    labelling : Labelling
        Who was drawn, and how.
    frame : FrameRecord, optional
        What the frame was when it was drawn.
    """

    base: Design
    labelling: Labelling
    frame: FrameRecord | None = None

    def __repr__(self) -> str:
        return f"Drawn({self.base!r}, n={self.labelling.n_gold}, N={len(self.labelling.labelled)})"

    def select(self, table: Table, rng: np.random.Generator) -> Labelling:
        """Draw anew from the design underneath."""
        return self.base.select(table, rng)

    def realised(self, table: Table, labelled: Bools) -> Labelling:
        """Hold the gold rows against the rows that were drawn."""
        labelling = self.aligned(table, labelled)
        drawn = labelling.labelled
        extra, lost = np.flatnonzero(labelled & ~drawn), np.flatnonzero(drawn & ~labelled)
        if len(extra):
            raise DesignError(
                f"{len(extra)} row(s) carry gold but were not drawn (first at position {extra[0]}); set their gold "
                "missing, or pass the design that drew them."
            )
        if len(lost):
            raise DesignError(
                f"{len(lost)} drawn row(s) have no gold (first at position {lost[0]}); have them labelled. Leaving "
                "them out is only harmless if they are missing at random; to assume that, pass nonresponse='ignorable'."
            )
        return labelling

    def aligned(self, table: Table, labelled: Bools | None = None) -> Labelling:
        """The draw in the order of a table, after holding the table against the frame that was drawn from.

        Raises
        ------
        DesignError
            If it is another frame, see :class:`karat.designs.FrameRecord`.
        """
        order = self._order(table, labelled)
        return replace(self.labelling if order is None else self.labelling.take(order), recorded=True)

    def documents(self, table: Table, sent: int = 0) -> tuple[list[str], Ints]:
        """Names under which annotators get the rows drawn after the first ``sent`` waves, and where these stand.

        Raises
        ------
        DesignError
            If it is another frame, or what the frame was is not known.
        """
        if self.frame is None:
            raise DesignError(
                "what the frame was is not known for a sample made by hand; draw it with design.draw(data)."
            )
        order = self._order(table, None)
        labelling = self.labelling if order is None else self.labelling.take(order)
        positions = np.flatnonzero(drawn_after(labelling, sent))
        return self.frame.documents(positions if order is None else order[positions]), positions

    def _order(self, table: Table, labelled: Bools | None) -> Ints | None:
        if self.frame is not None:
            return self.frame.match(table, self.labelling.labelled, labelled)
        if len(self.labelling.labelled) != table.n_rows:
            raise DesignError(
                f"the sample was drawn from {len(self.labelling.labelled)} rows, the data have {table.n_rows}; "
                "pass the frame that was drawn from, in the same order."
            )
        return None


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
