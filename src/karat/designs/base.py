"""What every design can do: draw a sample, and say how a given gold sample was drawn."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ArgumentError, DataError, DesignError
from .frame import FrameRecord
from .labelling import Labelling
from .sequential import SequentialLabelling

if TYPE_CHECKING:
    from pathlib import Path

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
                "them out is only harmless if they are missing at random."
            )
        return labelling

    def aligned(self, table: Table, labelled: Bools | None = None) -> Labelling:
        """The draw in the order of a table, after holding the table against the frame that was drawn from.

        Raises
        ------
        DesignError
            If it is another frame, see :class:`karat.designs.FrameRecord`.
        """
        if self.frame is None:
            if len(self.labelling.labelled) != table.n_rows:
                raise DesignError(
                    f"the sample was drawn from {len(self.labelling.labelled)} rows, the data have {table.n_rows}; "
                    "pass the frame that was drawn from, in the same order."
                )
            return self.labelling
        order = self.frame.match(table, self.labelling.labelled, labelled)
        return self.labelling if order is None else self.labelling.take(order)


@dataclass(frozen=True)
class Sample:
    """Units drawn for labelling.

    Parameters
    ----------
    labelling : Labelling
        The draw as arrays.
    design : Drawn
        Hand this to ``design=`` when the gold is in.
    seed : int, optional
        The seed it was drawn with, where that was a number.

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
    seed: int | None = None

    @property
    def positions(self) -> Ints:
        """Row positions of all drawn units, ascending, shape (n,)."""
        return self.labelling.gold

    @property
    def new_positions(self) -> Ints:
        """Row positions of the units to label now: those of the last wave, ascending."""
        return np.flatnonzero(_last_wave(self.labelling))

    @property
    def labelled(self) -> Bools:
        """Whether each row was drawn, shape (N,)."""
        return self.labelling.labelled

    @property
    def probability(self) -> Floats:
        """Inclusion probability of each row (in several waves: in the wave that drew it, or the last), shape (N,)."""
        return self.labelling.probability

    @property
    def frame_hash(self) -> str | None:
        """Digest of the frame that was drawn from; the same whatever the data-frame library."""
        return None if self.design.frame is None else self.design.frame.hash

    def rows(self, data: object) -> Any:
        """The rows to label now as a pandas DataFrame, with position, probability and stratum.

        Parameters
        ----------
        data : data frame
            The frame that was drawn from.

        Returns
        -------
        pandas.DataFrame
            One row per drawn unit, in frame order; after a further wave, the rows of that wave.

        Raises
        ------
        DesignError
            If it is another frame.
        """
        from ..frames import Table

        table = Table.read(data)
        labelling = self.design.aligned(table)
        drawn = _last_wave(labelling)
        frame = table.pandas(table.columns, "data").iloc[np.flatnonzero(drawn)].reset_index(drop=True)
        frame.insert(0, "position", np.flatnonzero(drawn))
        frame["probability"] = labelling.probability[drawn]
        part = labelling.parts[-1]
        if part.stratum is not None:
            frame["stratum"] = part.stratum[part.labelled]
        return frame

    def next_wave(
        self,
        design: Design,
        data: object,
        seed: int | np.random.Generator | None = None,
        *,
        share: float | None = None,
    ) -> Sample:
        """Draw a further wave among the rows not drawn yet, with probabilities that labels so far may have taught.

        Parameters
        ----------
        design : Design
            Design of the new wave. A column it reads may be new in the data; an array it holds has one value
            for every row, also for those drawn before.
        data : data frame
            The frame that was drawn from; gold of earlier waves may be filled in.
        seed : int or numpy.random.Generator, optional
        share : float, optional
            Share of the new wave in the estimate, between 0 and 1, not chosen by looking at estimates; by default by
            sample sizes, see :class:`karat.Waves`.

        Returns
        -------
        Sample
            ``rows(data)`` gives those to label now; ``design`` goes to the fit when they are in.

        Raises
        ------
        DesignError
            If the frame has changed, nothing is left to draw, or the design cannot be drawn.

        Examples
        --------
        >>> import karat as kt
        >>> corpus = {"document": list(range(40)), "doubt": [0.1, 0.5] * 20}
        >>> pilot = kt.SimpleRandom(10).draw(corpus, seed=1)
        >>> main = pilot.next_wave(kt.Unequal("doubt", n=12), corpus, seed=2)
        >>> len(main.rows(corpus)), len(main.positions)
        (12, 22)
        """
        from .waves import next_wave

        return next_wave(self, design, data, seed, share)

    def save(self, path: str | Path) -> None:
        """Write the sample to a JSON file that :func:`karat.read_sample` reads.

        Parameters
        ----------
        path : str or Path

        Raises
        ------
        DesignError
            If the design is not one of karat's own.
        """
        from .store import save_sample

        save_sample(self, path)


def _last_wave(labelling: Labelling) -> Bools:
    if isinstance(labelling, SequentialLabelling):
        return np.asarray(labelling.wave == len(labelling.waves))
    return labelling.labelled


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
