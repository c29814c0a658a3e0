"""Labels as annotators return them: read, and checked against the sample."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..designs.store import read_sealed
from ..errors import ArgumentError, DataError, one_of
from ..frames import Table
from . import page
from .answers import DOCUMENT, NOTE, STATUS, WHO
from .checked import Answer, checked, names_given, table_of
from .formats import files_in, in_file, saved_by_page, settled
from .handout import FORMAT, MANIFEST, VERSION, origin_of
from .people import file_stem
from .questions import Question, read_questions
from .tables import answers as in_table

if TYPE_CHECKING:
    import pandas as pd

    from ..designs import Sample

_TOOLS = ("argilla", "doccano", "prodigy", "potato")
"""What stands behind the name of a person in files for these tools."""


def read_answers(
    source: object,
    labels: object,
    *,
    columns: Mapping[str, str] | None = None,
    coders: Mapping[str, Any] | Sequence[str] | None = None,
    annotators: Mapping[Any, str] | None = None,
    duplicates: str = "raise",
) -> pd.DataFrame:
    """Read what people or models answered, from tables and from exports of labelling tools, as one long table.

    For files that annotators of a drawn sample return, :meth:`karat.designs.Sample.read_labels` reads the same files,
    and checks them against the sample.

    Parameters
    ----------
    source : str, Path, sequence of them, or data frame
        Tables (``.csv``, ``.tsv``, ``.xlsx``), files that pages saved, exports of Label Studio, Argilla, doccano,
        Prodigy or Potato (``.json``, ``.jsonl``), folders of them, or a data frame, such as those that GABRIEL and
        quallmer return.
    labels : mapping, codebook or list of codebooks
        What was asked, as for :meth:`karat.designs.Sample.to_labelling`.
    columns : mapping, optional
        Columns of tables: ``"document"``, ``"annotator"``, ``"status"``, ``"note"`` or a label -> column. By default
        columns of these names; documents also go by ``instance_id``, ``.id``, ``id`` or ``text``, annotators by
        ``user_id``, ``coder``, ``worker`` or ``run``.
    coders : mapping or sequence of str, optional
        For tables with a column for each coder: coder -> column, or coder -> mapping from label to column; or names
        of columns, or what stands behind the label in them. By default columns such as ``hostile_anna`` are found.
    annotators : mapping, optional
        File -> name of the annotator, for files that do not say whose they are.
    duplicates : {"raise", "last"}
        What to do when one person labelled a document twice, differently. Of files that one page saved the last is
        the one that was saved last.

    Returns
    -------
    pandas.DataFrame
        ``document``, ``annotator``, ``file``, a column per label (one of 0 and 1 per class where several may hold),
        ``status``, ``note`` and ``settles``. The status is ``"answered"``, ``"flagged"`` (to be looked at again; what
        was answered counts), ``"skipped"`` (also a note without an answer) or ``"refused"``; the last two have no
        labels. ``settles``: whether the person saw the answers of others and decided.

    Raises
    ------
    DataError
        Names the file and the field or document at fault.

    Examples
    --------
    >>> import karat as kt
    >>> wide = {"id": ["a", "b"], "tone_ann": [1, 2], "tone_ben": [1, None]}
    >>> kt.read_answers(wide, {"tone": "number"})[["document", "annotator", "tone"]].values.tolist()
    [['a', 'ann', 1.0], ['a', 'ben', 1.0], ['b', 'ann', 2.0]]
    """
    one_of("duplicates", duplicates, ("raise", "last"))
    questions, source = read_questions(labels), settled(source)
    reading = _Reading(questions, _columns(columns, questions), _coders(coders), annotators, duplicates)
    rows = checked(reading.answers(source), None, questions, duplicates)
    return table_of(rows, [DOCUMENT, WHO, "file"], questions)


def read_annotations(
    sample: Sample,
    paths: object,
    data: object,
    *,
    labels: object = None,
    annotators: Mapping[Any, str] | None = None,
    duplicates: str = "raise",
    columns: Mapping[str, str] | None = None,
    coders: Mapping[str, Any] | Sequence[str] | None = None,
) -> pd.DataFrame:
    """Every label of every annotator, see :meth:`karat.designs.Sample.read_annotations`."""
    one_of("duplicates", duplicates, ("raise", "last"))
    table, paths = Table.read(data), settled(paths)
    documents, positions = sample.design.documents(table)
    manifests = _manifests(paths, sample)
    questions = _questions(labels, manifests, paths)
    people = [name for manifest in manifests for name in manifest["annotators"]]
    reading = _Reading(
        questions, _columns(columns, questions), _coders(coders), annotators, duplicates, people, _origins(sample)
    )
    rows = checked(reading.answers(paths), dict(zip(documents, positions.tolist())), questions, duplicates)
    out = table_of(rows, ["position", DOCUMENT, WHO, "file"], questions)
    out["position"] = out["position"].astype(np.intp)
    return out


def asked(paths: object, sample: Sample, labels: object) -> tuple[Question, ...]:
    """The questions that files answer: as the reader says, else as they were handed out."""
    return _questions(labels, _manifests(paths, sample), paths)


def _is_paths(source: object) -> bool:
    listed = source if isinstance(source, (list, tuple)) else [source]
    return all(isinstance(path, (str, Path)) for path in listed)


def _manifests(paths: object, sample: Sample) -> list[dict[str, Any]]:
    """What the handouts were whose files these are, where they are near: of the first round, of decisions."""
    if not _is_paths(paths):
        return []
    files_in(paths)
    listed = map(Path, [paths] if isinstance(paths, (str, Path)) else paths)  # type: ignore[call-overload]
    near = dict.fromkeys((path if path.is_dir() else path.parent) / MANIFEST for path in listed)
    return [read_manifest(path, sample) for path in near if path.exists()]


def read_manifest(path: Path, sample: Sample) -> dict[str, Any]:
    """What annotators of a sample were asked, and who they are; raises where the file is damaged or another's."""
    again = f"take {MANIFEST} as to_labelling wrote it, or remove it and say what was asked with labels="
    found = read_sealed(path, FORMAT, VERSION, again)
    if found.get("origin", found.get("frame_hash")) not in _origins(sample):
        raise DataError(
            f"{str(path)!r} belongs to another sample (its frame hash is {str(found.get('frame_hash'))[:8]}, this "
            f"sample's {str(sample.frame_hash)[:8]}); read files with the sample they were written for."
        )
    try:
        read_questions(found.get("labels"))
    except ArgumentError as error:
        raise DataError(f"{str(path)!r} is damaged: {error} {again[0].upper()}{again[1:]}.") from None
    if not isinstance(found.get("annotators"), dict):
        raise DataError(f"{str(path)!r} is damaged: it does not say who got which documents; {again}.")
    return found


def _origins(sample: Sample) -> set[str | None]:
    """What files of a sample may name as the frame it was drawn from."""
    frame = sample.design.frame
    return {origin_of(sample), None if frame is None else frame.hash}


def _questions(labels: object, manifests: Sequence[Mapping[str, Any]], paths: object) -> tuple[Question, ...]:
    if labels is not None:
        return read_questions(labels)
    if manifests:
        return read_questions(manifests[0]["labels"])
    for path in files_in(paths) if _is_paths(paths) else ():  # pages say what they asked
        content = saved_by_page(path)
        if content is not None:
            return read_questions(page.asked_in(content, path.name))
    raise ArgumentError(
        f"what was asked is not known: keep {MANIFEST} next to the files, or give labels= as to to_labelling."
    )


@dataclass(frozen=True)
class _Reading:
    """How files are read, and what is known of the sample that they belong to, if any."""

    questions: Sequence[Question]
    columns: Mapping[str, str]
    coders: Mapping[str, Any] | Sequence[str] | None
    annotators: Mapping[Any, str] | None
    duplicates: str
    people: Sequence[str] = ()
    """Names of those who got files."""
    origins: set[str | None] | None = None
    """What pages may name as the frame of the sample; None without a sample."""

    def answers(self, source: object) -> Iterator[Answer]:
        """Answers in all files. Whose they are says the reader, else the file, else its name in the handout."""
        how = (self.questions, self.columns, self.coders, self.origins is not None)
        if not _is_paths(source):
            table = Table.read(source)
            names_given(self.annotators, ())
            for given in in_table(table.pandas(table.columns, "source"), "the table", *how):
                yield Answer("the table", replace(given, who=given.who or "table"), bool(given.who))
            return
        files = files_in(source)
        renamed = names_given(self.annotators, files)
        stems = {file_stem(name): name for name in self.people}
        saved = []
        for path in files:
            name = renamed.get(str(path), renamed.get(path.name)) or ""
            content = saved_by_page(path)
            if content is not None:
                content = page.checked(content, path.name, self.origins, self.questions)
                saved.append(page.Saved(path.name, name or str(content.get("annotator") or path.stem), content))
                continue
            for given in in_file(path, *how):
                who = name or given.who or _in_handout(path.stem, stems)
                yield Answer(path.name, replace(given, who=who or path.stem), bool(who))
        for one in page.last_saves(saved, self.duplicates):
            for given in one.answers:
                yield Answer(one.file, given, True)


def _in_handout(stem: str, stems: Mapping[str, str]) -> str:
    """Whose file it is, by its name in the handout; empty where it has another."""
    if stem in stems:
        return stems[stem]
    start, _, tool = stem.rpartition(".")
    if tool not in _TOOLS:
        return ""
    fits = [s for s in stems if start == s or start.startswith(f"{s}.")]
    return stems[max(fits, key=len)] if fits else ""


def _columns(columns: Mapping[str, str] | None, questions: Sequence[Question]) -> Mapping[str, str]:
    if columns is None:
        return {}
    known = [DOCUMENT, WHO, STATUS, NOTE, *(q.name for q in questions)]
    if not isinstance(columns, Mapping) or not all(isinstance(c, str) for c in columns.values()):
        raise ArgumentError(f"columns={columns!r} is not allowed; give a mapping from {', '.join(known)} to columns.")
    if odd := [name for name in columns if name not in known]:
        raise ArgumentError(f"columns names {odd[0]!r}; it may name {', '.join(map(repr, known))}.")
    return columns


def _coders(coders: Mapping[str, Any] | Sequence[str] | None) -> Mapping[str, Any] | Sequence[str] | None:
    if coders is not None and (isinstance(coders, str) or not isinstance(coders, (Mapping, list, tuple)) or not coders):
        raise ArgumentError(f"coders={coders!r} is not allowed; give a mapping from coder to column, or their names.")
    return coders
