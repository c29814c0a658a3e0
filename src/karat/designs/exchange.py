"""Methods of a sample for files: those that go to annotators, those that come back, the sample itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


class SampleFiles:
    """What a :class:`karat.designs.Sample` does with files; ``fieldwork/`` and ``store.py`` do the work."""

    def to_labelling(
        self: Any, folder: str | Path, data: object, text: str, labels: object, *, show: Sequence[str] = (),
        annotators: int | Sequence[str] = 1, overlap: float = 1, formats: Sequence[str] = ("csv", "label-studio"),
        instructions: str = "", seed: int | None = None, overwrite: bool = False,
    ) -> list[Path]:  # fmt: skip
        """Write the documents to label now for the annotators: pages, CSV, Excel, or what labelling tools import.

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
            Gold column -> classes (two or more), ``"number"``, ``"number:LOW:HIGH"``, ``"scale:LOW:HIGH"`` (whole
            numbers), ``"rating:MAX"``, ``"several:CLASS,CLASS"`` (any number of classes may hold: a gold column of 0
            and 1 for each, ``label_CLASS``), ``"text"``, or a :class:`karat.annotate.Codebook`, whose definitions,
            examples and boundaries annotators then see. Or, instead of the mapping, a codebook or a list of them.
        show : sequence of str
            Further columns to show with the text.
        annotators : int or sequence of str
            How many people, or their names (different file names); a file each, which says whose it is in a column
            ``annotator``.
        overlap : float
            Labels per document: 1 gives each document to one person, 2 to two, 1.2 a random fifth to two.
        formats : sequence of {"csv", "xlsx", "html", "label-studio", "argilla", "doccano", "prodigy", "potato"}
            ``"html"``: a page for each annotator, one file that opens in any browser and needs no connection. Answers
            are kept in the browser as they are given, and come back in the file ``....answers.json`` that the page
            saves; it can be opened again in the page. ``"xlsx"`` offers the allowed answers in each cell and needs
            ``pip install karat[excel]``. The tools get what they import, and what they need to ask: Label Studio
            ``label-studio.xml``, Argilla ``argilla-settings.json``, doccano ``doccano-labels.json``, Potato a project
            to start for each person; Prodigy gets a file of tasks for each label (interfaces ``choice`` and
            ``text_input``).
        instructions : str
            Shown on top in Label Studio and on pages, and as guidelines in Argilla.
        seed : int, optional
            Seed of orders and assignment; by default they follow from the sample.
        overwrite : bool
            Write over files of the same names even where they hold something else, such as answers.

        Returns
        -------
        list of Path
            Files written. ``labelling.json`` says what was asked; keep it with the files that come back. With codebooks
            there is a ``codebook.txt`` for those who do not answer in pages.

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

    def to_adjudication(
        self: Any, folder: str | Path, data: object, text: str, annotations: pd.DataFrame, labels: object, *,
        annotators: int | Sequence[str] = ("adjudicator",), apart: float = 0.0, flagged: bool = True,
        names: bool = False, show: Sequence[str] = (), formats: Sequence[str] = ("html",), instructions: str = "",
        seed: int | None = None, overwrite: bool = False,
    ) -> list[Path]:  # fmt: skip
        """Write the documents on which annotators differ, with what they answered, for somebody who decides.

        What comes back is read together with the first answers: :meth:`read_labels` then takes the decision where there
        is one, and :meth:`read_annotations` marks it in its column ``settles``.

        Parameters
        ----------
        folder, data, text, labels, show, instructions, seed, overwrite
            As in :meth:`to_labelling`.
        annotations : pandas.DataFrame
            From :meth:`read_annotations`.
        annotators : int or sequence of str
            Who decides; each document goes to one of them.
        apart : float
            How far numbers may lie apart and still count as agreeing.
        flagged : bool
            Whether documents that somebody flagged are decided too.
        names : bool
            Whether the names of the annotators are shown; by default they are A, B, ... .
        formats : sequence of str
            As in :meth:`to_labelling`, but for ``"potato"``. In all but pages the answers stand in a column or field
            ``earlier``, which must come back.

        Returns
        -------
        list of Path
            Files written; none, with a warning, where all agree.

        Raises
        ------
        ArgumentError
            If the table is not one of these labels, or an argument does not fit.

        Examples
        --------
        >>> import tempfile
        >>> import pandas as pd
        >>> import karat as kt
        >>> corpus = pd.DataFrame({"body": ["to arms", "at rest", "in doubt", "at peace"]})
        >>> sample = kt.SimpleRandom(n=2).draw(corpus, seed=1)
        >>> labels = {"hostile": ["no", "yes"]}
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     ann, ben, _ = sample.to_labelling(folder, corpus, "body", labels, annotators=["ann", "ben"], overlap=2,
        ...                                       formats=("csv",))
        ...     for path, answer in ((ann, "yes"), (ben, "no")):
        ...         pd.read_csv(path).assign(hostile=answer).to_csv(path, index=False)
        ...     answers = sample.read_annotations(folder, corpus)
        ...     paths = sample.to_adjudication(f"{folder}/third", corpus, "body", answers, labels)
        >>> [path.name for path in paths]
        ['adjudicator.html', 'labelling.json']
        """
        from ..fieldwork import write_adjudication

        return write_adjudication(
            self, folder, data, text, annotations, labels, annotators=annotators, apart=apart, flagged=flagged,
            names=names, show=show, formats=formats, instructions=instructions, seed=seed, overwrite=overwrite,
        )  # fmt: skip

    def read_annotations(
        self: Any, paths: object, data: object, *, labels: object = None, annotators: Mapping[Any, str] | None = None,
        duplicates: str = "raise", columns: Mapping[str, str] | None = None,
        coders: Mapping[str, Any] | Sequence[str] | None = None,
    ) -> pd.DataFrame:  # fmt: skip
        """Read what annotators returned: one row per document and annotator, for :mod:`karat.labels`.

        Parameters
        ----------
        paths : str, Path or sequence of them, or data frame
            Filled tables (CSV, Excel), files that pages saved, exports of Label Studio (JSON or JSON-MIN), Argilla,
            doccano, Prodigy or Potato (JSON, JSONL), or folders of them; of all waves or some.
        data : data frame
            The frame that was drawn from.
        labels : mapping, optional
            As to :meth:`to_labelling`; by default what ``labelling.json`` next to the files says.
        annotators : mapping, optional
            File -> name of the annotator; by default who completed it in Label Studio, the column ``annotator``, or the
            name of the file as it was handed out. Files that do not say whose they are must not answer the same
            documents: one could be a copy of the other.
        duplicates : {"raise", "last"}
            What to do when one person labelled a document twice, differently. Of files that one page saved the last is
            the one that was saved last.
        columns, coders
            Tables with other headers, or with a column for each coder, see :func:`karat.read_answers`.

        Returns
        -------
        pandas.DataFrame
            ``position`` in the data, ``document``, ``annotator``, ``file``, a column per label (one of 0 and 1 per
            class where several may hold), ``status``, ``note``, and whether the answer ``settles`` a disagreement (see
            :meth:`to_adjudication`). The status is ``"answered"``, ``"flagged"`` (to be looked at again; what was
            answered counts), ``"skipped"`` (also a note without an answer) or ``"refused"``; the last two have no
            labels.

        Raises
        ------
        DataError
            If documents are not in the sample, answers are not allowed, one person answers a document twice, files
            that may be copies of each other answer the same documents, or a file that a page saved was edited or
            belongs to another sample or to other questions.
        DesignError
            If it is another frame.
        """
        from ..fieldwork import read_annotations

        return read_annotations(
            self, paths, data, labels=labels, annotators=annotators, duplicates=duplicates, columns=columns,
            coders=coders,
        )  # fmt: skip

    def read_labels(
        self: Any, paths: object, data: object, *, labels: object = None, join: str = "expert_mean",
        annotators: Mapping[Any, str] | None = None, duplicates: str = "raise", missing: str = "warn",
        columns: Mapping[str, str] | None = None, coders: Mapping[str, Any] | Sequence[str] | None = None,
    ) -> Any:  # fmt: skip
        """Read what annotators returned and fill it in as gold.

        Parameters
        ----------
        paths, data, labels, annotators, duplicates, columns, coders
            See :meth:`read_annotations`. Gold of earlier waves that the data hold stays. Decisions of a third round
            (:meth:`to_adjudication`) among the files take the place of the answers that they settle.
        join : str
            How several labels of a document become one. ``"expert_mean"``: numbers (and True and False, as 1 and 0)
            are averaged; classes are kept where all annotators of each document agree, and else become shares, a
            column ``label_class`` for each class. ``"latent_truth"``: such shares, corrected for errors, see
            :func:`karat.labels.experts`. ``"majority"``, ``"dawid_skene"`` or another method of
            :func:`karat.labels.aggregate`: always classes, the likeliest one; where several are equally likely, as
            between two annotators who differ, the one named first, with a warning that says on how many documents.
            Where every document has one label it is taken as it is.
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
            self, paths, data, labels=labels, join=join, annotators=annotators, duplicates=duplicates, missing=missing,
            columns=columns, coders=coders,
        )  # fmt: skip

    def save(self: Any, path: str | Path) -> None:
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
