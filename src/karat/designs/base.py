"""What every design can do: draw a sample, and say how a given gold sample was drawn."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ArgumentError, DataError, DesignError, KaratError, generator, whole
from .frame import FrameRecord, as_text, drawing_order
from .labelling import Labelling
from .sequential import drawn_after

if TYPE_CHECKING:
    from .._core.types import Bools, Ints
    from ..frames import Table
    from .sample import Sample


class Design(ABC):
    """A sampling design: how units are chosen for expert labels.

    Examples
    --------
    >>> import karat as kt
    >>> isinstance(kt.SimpleRandom(n=2), kt.Design)
    True
    >>> def n_sent(design: kt.Design, corpus: object) -> int:
    ...     return len(design.draw(corpus, seed=1).positions)
    >>> n_sent(kt.Stratified("party", n=4), {"party": ["left", "right"] * 10})
    4
    """

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

    def restricted(self, rows: Bools | Ints, table: Table) -> Design:
        """The design for some rows of a table, or all in another order: so go arrays it holds, one value per row."""
        return self

    def draw(self, data: object, seed: int | np.random.Generator | None = None, *, id: str | None = None) -> Sample:
        """Draw the units that go to the experts.

        Which rows a seed draws depends on what they hold, not on where they are: the same data in another order of
        rows or columns, or from another library, give the same sample. Rows count by their ``id`` where there is
        one, so that further columns change nothing, and otherwise by all columns of the data; rows that are alike
        in all of them may change places.

        Parameters
        ----------
        data : data frame
            The whole corpus, one row per unit.
        seed : int or numpy.random.Generator, optional
            Same seed, same data, same sample.
        id : str, optional
            Column that names each row. The frame may then be reordered, and columns the design does not read
            may be edited, before the fit; without it any change but added columns and filled-in gold is
            refused, see :class:`karat.designs.FrameRecord`. The draw depends on these names alone (and on the columns
            the design reads).

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

        table, rng = Table.read(data), generator(seed)
        record = FrameRecord.of(table, id, self.columns)
        labelling = draw_in_order(self, table, rng, id)
        return Sample(labelling, Drawn(self, labelling, record), seed_number(seed))


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

    Examples
    --------
    >>> import karat as kt
    >>> kt.SimpleRandom(n=2).draw({"document": [1, 2, 3, 4, 5]}, seed=1).design
    Drawn(SimpleRandom(n=2), n=2, N=5)
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


def draw_in_order(design: Design, table: Table, rng: np.random.Generator, id: str | None) -> Labelling:
    """Draw from a table in an order that follows from what its rows hold, see :meth:`Design.draw`."""
    order = drawing_order(table, id)
    try:
        labelling = design.restricted(order, table).select(replace(table, native=table.native[order]), rng)
    except KaratError:
        design.select(table, rng)  # the same error, with positions as they are in the data
        raise
    return labelling.take(np.argsort(order))


def seed_number(seed: object) -> int | None:
    """A seed as it is kept with the sample: None unless it was a number."""
    return int(seed) if isinstance(seed, (int, float, np.number)) else None


def cut(given: Any, argument: str, rows: Bools | Ints, table: Table) -> Any:
    """An argument that may be an array of one value per row, for some rows of a table, or all in another order."""
    return given if isinstance(given, str) or np.ndim(given) == 0 else table.values(given, argument)[rows]


def names_of(argument: str, given: object) -> str | tuple[str, ...]:
    """One column name, or several as a tuple, checked.

    Raises
    ------
    ArgumentError
        If it is neither a name nor a sequence of different names.

    Examples
    --------
    >>> names_of("by", ["party", "year"])
    ('party', 'year')
    """
    if isinstance(given, str):
        return given
    names = tuple(given) if isinstance(given, Sequence) else ()
    if not names or not all(isinstance(name, str) for name in names) or len(set(names)) < len(names):
        raise ArgumentError(f"{argument}={given!r} is not allowed; give a column, or a list of different columns.")
    return names


def sizes_of(argument: str, given: object) -> Any:
    """A sample size in all or by stratum, checked; None where none was given.

    Raises
    ------
    ArgumentError
        If a size is not a whole number of at least 1.

    Examples
    --------
    >>> sizes_of("n", {"east": 40.0, "west": 60})
    {'east': 40, 'west': 60}
    """
    if given is None:
        return None
    if isinstance(given, Mapping):
        return {stratum: whole(f"{argument}[{stratum!r}]", size, least=1) for stratum, size in given.items()}
    return whole(argument, given, least=1, instead="a mapping from stratum to number, or None to read gold")


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
        If a grouping value is missing, or two that differ read alike.
    """
    import pandas as pd

    names = (columns,) if isinstance(columns, str) else tuple(columns)
    frame = table.pandas(list(names), role)
    for name in names:
        if frame[name].isna().any():
            raise DataError(f"{role} column {name!r} has {int(frame[name].isna().sum())} missing value(s); fill them.")
    # Sorted by value in every library, whatever the order of declared categories.
    plain = {n: c.cat.categories.dtype for n, c in frame.items() if isinstance(c.dtype, pd.CategoricalDtype)}
    frame = frame.astype(plain)
    try:
        codes, levels = pd.factorize(frame[names[0]] if len(names) == 1 else pd.MultiIndex.from_frame(frame), sort=True)
    except TypeError:
        raise DataError(
            f"{role} column(s) {', '.join(map(repr, names))} hold values that do not form groups (lists, or texts "
            "mixed with dates); recode them to texts or numbers."
        ) from None
    found = [" x ".join(as_text(level if isinstance(level, tuple) else (level,))) for level in levels]
    if len(set(found)) < len(found):
        twice = next(name for name in found if found.count(name) > 1)
        raise DataError(
            f"{role} column(s) {', '.join(map(repr, names))} hold different values that read alike ({twice!r}), such "
            "as the number 1 and the text '1'; recode them."
        )
    return codes.astype(np.intp), found


def check_size(n: int | None, available: int, what: str) -> int:
    """The sample size, held against what there is.

    Parameters
    ----------
    n : int or None
        Size asked for, at least 1.
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
    if n > available:
        raise DesignError(f"n={n} is not possible: there are only {available} {what}. Give at most {available}.")
    return n
