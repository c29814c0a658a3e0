"""A drawn sample: the rows for the experts, their files, further waves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import DataError, DesignError
from .base import Design, Drawn
from .frame import FrameRecord
from .labelling import Labelling
from .sequential import SequentialLabelling, drawn_after

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import pandas as pd

    from .._core.types import Bools, Floats, Ints


@dataclass(frozen=True, repr=False)
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
        from ..frames import Table

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

    def subgroup(self, data: object, rows: object) -> Sample:
        """The sample as a draw from some of the rows: a design for data that are cut to a subgroup.

        Parameters
        ----------
        data : data frame
            The whole frame that was drawn from.
        rows : str or array_like of bool, shape (N,)
            Whether each row belongs to the subgroup: a column of the data, or values. It must be known for every row,
            and not depend on gold.

        Returns
        -------
        Sample
            Given how many of the drawn rows belong to the subgroup, see :meth:`karat.designs.Labelling.keep`.

        Raises
        ------
        DesignError
            If it is another frame, or nothing was drawn in the subgroup (or in one of its strata).
        DataError
            If rows are not true or false throughout.

        Examples
        --------
        >>> import karat as kt
        >>> corpus, truth = kt.datasets.simulate(2000, seed=1)
        >>> sample = kt.SimpleRandom(n=400).draw(corpus, seed=1)
        >>> gold = kt.datasets.mask_gold(corpus, sample, "hostile")
        >>> long = gold["length"] > 0
        >>> fit = kt.mean("hostile", gold[long], surrogates={"hostile": "hostile_llm"}, seed=1,
        ...               design=sample.subgroup(gold, long))
        >>> fit.n_gold == int(sample.labelled[long].sum())
        True
        """
        from ..frames import Table
        from ..frames.table import as_float

        table = Table.read(data)
        name = rows if isinstance(rows, str) else "rows"
        marks = as_float(table.values(rows, "rows"), name, "indicator of the subgroup")
        if not np.isin(marks, (0.0, 1.0)).all():
            raise DataError(f"rows={name!r} must be true or false (or 1 or 0) in every row.")
        inside = marks == 1.0
        labelling = self.design.aligned(table)
        if not labelling.labelled[inside].any():
            raise DesignError(
                "none of the drawn rows is in the subgroup, so nothing is known of it; draw a further wave."
            )
        kept, part = labelling.keep(inside), table.filter(inside)
        old = self.design.frame
        id, origin = (None, "") if old is None or old.id is None else (old.id, old.origin or old.hash)
        record = FrameRecord.of(part, id, [c for c in self.design.columns if c in part.columns], origin)
        return Sample(kept, Drawn(self.design.base, kept, record), self.seed, self.sent)

    def to_labelling(
        self,
        folder: str | Path,
        data: object,
        text: str,
        labels: object,
        *,
        show: Sequence[str] = (),
        annotators: int | Sequence[str] = 1,
        overlap: float = 1,
        formats: Sequence[str] = ("csv", "label-studio"),
        instructions: str = "",
        seed: int | None = None,
        overwrite: bool = False,
    ) -> list[Path]:
        """Write the documents to label now for the annotators: CSV, and tasks and interface for Label Studio.

        Documents come in random order under names that give nothing away; no surrogate, stratum or probability
        is written, and no column but those asked for. In CSV files an apostrophe goes before texts that a spreadsheet
        program could take for a formula (and before those that start with one); reading the file takes it away.

        Parameters
        ----------
        folder : str or Path
            Made if it is not there.
        data : data frame
            The frame that was drawn from.
        text : str
            Column with the text to label.
        labels : mapping
            Gold column -> classes (two or more), ``"number"``, ``"number:LOW:HIGH"``, ``"rating:MAX"`` or ``"text"``.
        show : sequence of str
            Further columns to show with the text.
        annotators : int or sequence of str
            How many people, or their names (different file names); a file each, which says whose it is in a column
            ``annotator``.
        overlap : float
            Labels per document: 1 gives each document to one person, 2 to two, 1.2 a random fifth to two.
        formats : sequence of {"csv", "label-studio"}
        instructions : str
            Shown on top in Label Studio.
        seed : int, optional
            Seed of orders and assignment; by default they follow from the sample.
        overwrite : bool
            Write over files of the same names even where they hold something else, such as answers.

        Returns
        -------
        list of Path
            Files written. ``labelling.json`` says what was asked; keep it with the files that come back.

        Raises
        ------
        DesignError
            If it is another frame.
        ArgumentError
            If a name or number does not fit, or files with other content are there already.

        Examples
        --------
        >>> import tempfile
        >>> import karat as kt
        >>> corpus = {"body": ["to arms", "at rest", "in doubt", "at peace"]}
        >>> sample = kt.SimpleRandom(n=2).draw(corpus, seed=1)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     paths = sample.to_labelling(folder, corpus, "body", {"hostile": ["no", "yes"]})
        >>> [path.name for path in paths]
        ['annotator.csv', 'annotator.json', 'label-studio.xml', 'labelling.json']
        """
        from ..fieldwork import write_handout

        return write_handout(
            self, folder, data, text, labels, show=show, annotators=annotators, overlap=overlap, formats=formats,
            instructions=instructions, seed=seed, overwrite=overwrite,
        )  # fmt: skip

    def read_annotations(
        self,
        paths: object,
        data: object,
        *,
        labels: object = None,
        annotators: Mapping[Any, str] | None = None,
        duplicates: str = "raise",
    ) -> pd.DataFrame:
        """Read what annotators returned: one row per document and annotator, for :mod:`karat.labels`.

        Parameters
        ----------
        paths : str, Path or sequence of them
            Filled CSV files, Label Studio exports (JSON or JSON-MIN), or folders of them; of all waves or some.
        data : data frame
            The frame that was drawn from.
        labels : mapping, optional
            As to :meth:`to_labelling`; by default what ``labelling.json`` next to the files says.
        annotators : mapping, optional
            File -> name of the annotator; by default who completed it in Label Studio, the column ``annotator``, or the
            name of the file as it was handed out. Files that do not say whose they are must not answer the same
            documents: one could be a copy of the other.
        duplicates : {"raise", "last"}
            What to do when one person labelled a document twice, differently.

        Returns
        -------
        pandas.DataFrame
            ``position`` in the data, ``document``, ``annotator``, ``file``, and a column per label.

        Raises
        ------
        DataError
            If documents are not in the sample, answers are not allowed, one person answers a document twice, or files
            that may be copies of each other answer the same documents.
        DesignError
            If it is another frame.
        """
        from ..fieldwork import read_annotations

        return read_annotations(self, paths, data, labels=labels, annotators=annotators, duplicates=duplicates)

    def read_labels(
        self,
        paths: object,
        data: object,
        *,
        labels: object = None,
        join: str = "expert_mean",
        annotators: Mapping[Any, str] | None = None,
        duplicates: str = "raise",
        missing: str = "warn",
    ) -> Any:
        """Read what annotators returned and fill it in as gold.

        Parameters
        ----------
        paths, data, labels, annotators, duplicates
            See :meth:`read_annotations`. Gold of earlier waves that the data hold stays.
        join : str
            How several labels of a document become one. ``"expert_mean"``: numbers (and True and False, as 1 and 0)
            are averaged; classes are kept where all annotators of each document agree, and else become shares, a
            column ``label_class`` for each class. ``"latent_truth"``: such shares, corrected for errors, see
            :func:`karat.labels.experts`. ``"majority"``, ``"dawid_skene"`` or another method of
            :func:`karat.labels.aggregate`: always classes, the likeliest one. Where every document has one label it is
            taken as it is.
        missing : {"warn", "raise", "ignore"}
            What to do when drawn rows have no label.

        Returns
        -------
        data frame
            The data, in their own library, with the gold column(s), missing where nothing was labelled.

        Raises
        ------
        DataError
            If documents are not in the sample, answers are not allowed, or gold that is there differs.
        DesignError
            If it is another frame.

        Examples
        --------
        >>> import tempfile, pathlib
        >>> import karat as kt
        >>> corpus = {"body": ["to arms", "at rest", "in doubt", "at peace"]}
        >>> sample = kt.SimpleRandom(n=2).draw(corpus, seed=1)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file, *_ = sample.to_labelling(folder, corpus, "body", {"hostile": [0, 1]}, formats=("csv",))
        ...     _ = file.write_text(file.read_text(encoding="utf-8-sig").replace(',"",', ',"0",'))
        ...     labelled = sample.read_labels(folder, corpus)
        >>> labelled["hostile"].tolist()
        [0.0, nan, 0.0, nan]
        """
        from ..fieldwork import read_labels

        return read_labels(
            self, paths, data, labels=labels, join=join, annotators=annotators, duplicates=duplicates, missing=missing
        )

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
