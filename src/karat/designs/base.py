"""What every design can do: draw a sample, and say how a given gold sample was drawn."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .._core.types import Bools, Floats, Ints
from ..errors import DesignError, KaratError, generator
from ..frames import Table
from .exchange import SampleFiles
from .frame import FrameRecord, drawing_order
from .given import seed_number
from .labelling import Labelling
from .parts import SampleParts
from .sequential import SequentialLabelling, drawn_after


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

    def held_by_position(self, n_rows: int, gold: Ints) -> None:
        """Hold gold against the rows that were drawn, where only positions of rows are in memory.

        Raises
        ------
        DesignError
            If rows were drawn that carry no gold, or the other way round.
        """
        labelled = np.zeros(n_rows, dtype=bool)
        labelled[gold] = True
        if n_rows != len(self.labelling.labelled) or (labelled != self.labelling.labelled).any():
            both = int(labelled[self.labelling.gold[self.labelling.gold < n_rows]].sum())
            raise DesignError(
                f"{self.labelling.n_gold} of {len(self.labelling.labelled)} rows were drawn, and of {n_rows} rows "
                f"{len(gold)} carry gold, {both} of them at the positions that were drawn. A table that is read batch "
                "by batch must have the rows that were drawn from, in the same order, and gold for all that were drawn."
            )

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


@dataclass(frozen=True, repr=False)
class Sample(SampleFiles, SampleParts):
    """Units drawn for labelling.

    Parameters
    ----------
    labelling : Labelling
        The draw as arrays.
    design : Drawn
        Hand this to ``design=`` when the gold is in.
    seed : int, optional
        The seed it was drawn with, where that was a number.
    sent : int
        Number of waves that were drawn, and sent to the experts, before.

    Examples
    --------
    >>> import karat as kt
    >>> corpus = {"party": ["a"] * 6 + ["b"] * 4}
    >>> sample = kt.Stratified("party", n=4).draw(corpus, seed=3)
    >>> sample
    Sample(stratified by party, 4 of 10 in 2 strata, frame ...)
    >>> sample.rows(corpus).columns.tolist()
    ['position', 'party', 'probability', 'stratum']
    """

    labelling: Labelling
    design: Drawn
    seed: int | None = None
    sent: int = 0

    def __repr__(self) -> str:
        frame = "" if self.frame_hash is None else f", frame {self.frame_hash[:8]}"
        return f"Sample({self.labelling.description}{frame})"

    @property
    def positions(self) -> Ints:
        """Row positions of all drawn units, ascending, shape (n,)."""
        return self.labelling.gold

    @property
    def new_positions(self) -> Ints:
        """Row positions of the units to label now, ascending: after :meth:`next_wave` those of the new wave."""
        return np.flatnonzero(drawn_after(self.labelling, self.sent))

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
            One row per drawn unit, in frame order; after a further wave, the rows of that wave. Where the
            data have a column of that name already it is called ``drawn_position`` and so on.

        Raises
        ------
        DesignError
            If it is another frame.
        """
        table = Table.read(data)
        labelling = self.design.aligned(table)
        drawn = drawn_after(labelling, self.sent)
        frame = table.pandas(table.columns, "data").iloc[np.flatnonzero(drawn)].reset_index(drop=True)
        added = {"position": np.flatnonzero(drawn), "probability": labelling.probability[drawn]}
        part = labelling.parts[-1]
        if len(labelling.parts) - self.sent > 1 and isinstance(labelling, SequentialLabelling):
            added["wave"] = labelling.wave[drawn]
        elif part.stratum is not None:
            added["stratum"] = part.stratum[part.labelled]
        for name, values in added.items():
            place = 0 if name == "position" else len(frame.columns)
            frame.insert(place, f"drawn_{name}" if name in frame.columns else name, values)
        return frame

    def next_wave(
        self, design: Design, data: object, seed: int | np.random.Generator | None = None, *, share: float | None = None
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


def draw_in_order(design: Design, table: Table, rng: np.random.Generator, id: str | None) -> Labelling:
    """Draw from a table in an order that follows from what its rows hold, see :meth:`Design.draw`."""
    order = drawing_order(table, id)
    try:
        labelling = design.restricted(order, table).select(replace(table, native=table.native[order]), rng)
    except KaratError:
        design.select(table, rng)  # the same error, with positions as they are in the data
        raise
    return labelling.take(np.argsort(order))
