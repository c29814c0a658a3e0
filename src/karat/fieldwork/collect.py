"""Labels as annotators return them: read, and checked against the sample."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..designs.store import read_sealed
from ..errors import ArgumentError, DataError, one_of
from ..frames import Table
from .answers import Given
from .checked import Answer, checked, names_given, table_of
from .formats import files_in, in_file, settled
from .handout import FORMAT, MANIFEST, VERSION, file_stem, origin_of
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
        Tables (``.csv``, ``.tsv``, ``.xlsx``), exports of Label Studio, Argilla, doccano, Prodigy or Potato
        (``.json``, ``.jsonl``), folders of them, or a data frame, such as those that GABRIEL and quallmer return.
    labels : mapping
        Label -> classes (two or more), ``"number"``, ``"number:LOW:HIGH"``, ``"rating:MAX"`` or ``"text"``.
    columns : mapping, optional
        Columns of tables: ``"document"``, ``"annotator"``, ``"status"`` or a label -> column. By default columns of
        these names; documents also go by ``instance_id``, ``.id``, ``id`` or ``text``, annotators by ``user_id``,
        ``coder``, ``worker`` or ``run``.
    coders : mapping or sequence of str, optional
        For tables with a column for each coder: coder -> column, or coder -> mapping from label to column; or names
        of columns, or what stands behind the label in them. By default columns such as ``hostile_anna`` are found.
    annotators : mapping, optional
        File -> name of the annotator, for files that do not say whose they are.
    duplicates : {"raise", "last"}
        What to do when one person labelled a document twice, differently.

    Returns
    -------
    pandas.DataFrame
        ``document``, ``annotator``, ``file``, a column per label, and ``status``: ``"answered"``, ``"flagged"``
        (answered, but to be looked at again), ``"skipped"`` or ``"refused"``, which have no labels; ``answer_status``
        where a label is called ``status``.

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
    rows = checked(_answers(source, questions, columns, coders, annotators, set(), False), None, questions, duplicates)
    return table_of(rows, ["document", "annotator", "file"], questions)


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
    manifest = _manifest(paths, sample)
    questions = _questions(labels, manifest)
    people = set() if manifest is None else set(manifest["annotators"])
    found = _answers(paths, questions, columns, coders, annotators, people, True)
    rows = checked(found, dict(zip(documents, positions.tolist())), questions, duplicates)
    out = table_of(rows, ["position", "document", "annotator", "file"], questions)
    out["position"] = out["position"].astype(np.intp)
    return out


def asked(paths: object, sample: Sample, labels: object) -> tuple[Question, ...]:
    """The questions that files answer: as the reader says, else as they were handed out."""
    return _questions(labels, _manifest(paths, sample))


def _is_paths(source: object) -> bool:
    listed = source if isinstance(source, (list, tuple)) else [source]
    return all(isinstance(path, (str, Path)) for path in listed)


def _manifest(paths: object, sample: Sample) -> dict[str, Any] | None:
    """What the handout asked, where it is near the files."""
    if not _is_paths(paths):
        return None
    files_in(paths)
    for path in map(Path, [paths] if isinstance(paths, (str, Path)) else paths):  # type: ignore[call-overload]
        near = (path if path.is_dir() else path.parent) / MANIFEST
        if near.exists():
            return read_manifest(near, sample)
    return None


def read_manifest(path: Path, sample: Sample) -> dict[str, Any]:
    """What annotators of a sample were asked, and who they are; raises where the file is damaged or another's."""
    again = f"take {MANIFEST} as to_labelling wrote it, or remove it and say what was asked with labels="
    found = read_sealed(path, FORMAT, VERSION, again)
    frame = sample.design.frame
    known = {origin_of(sample), None if frame is None else frame.hash}
    if found.get("origin", found.get("frame_hash")) not in known:
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


def _questions(labels: object, manifest: dict[str, Any] | None) -> tuple[Question, ...]:
    if labels is not None:
        return read_questions(labels)
    if manifest is None:
        raise ArgumentError(
            f"what was asked is not known: keep {MANIFEST} next to the files, or give labels= as to to_labelling."
        )
    return read_questions(manifest["labels"])


def _answers(
    source: object,
    questions: Sequence[Question],
    columns: Mapping[str, str] | None,
    coders: Mapping[str, Any] | Sequence[str] | None,
    annotators: Mapping[Any, str] | None,
    people: set[str],
    tokens: bool,
) -> Iterator[Answer]:
    """Answers in all files. Whose they are says the reader, else the file, else its name in the handout."""
    columns = _columns(columns, questions)
    if coders is not None and (isinstance(coders, str) or not isinstance(coders, (Mapping, list, tuple)) or not coders):
        raise ArgumentError(f"coders={coders!r} is not allowed; give a mapping from coder to column, or their names.")
    if not _is_paths(source):
        table = Table.read(source)
        names_given(annotators, ())
        frame = table.pandas(table.columns, "source")
        for given in in_table(frame, "the table", questions, columns, coders, tokens):
            yield Answer("the table", _named(given, given.who or "table"), bool(given.who))
        return
    files = files_in(source)
    renamed = names_given(annotators, files)
    stems = {file_stem(name): name for name in people}
    for path in files:
        name = renamed.get(str(path), renamed.get(path.name)) or ""
        for given in in_file(path, questions, columns, coders, tokens):
            who = name or given.who or _in_handout(path.stem, stems)
            yield Answer(path.name, _named(given, who or path.stem), bool(who))


def _named(given: Given, who: str) -> Given:
    return Given(given.document, who, given.raw, given.status)


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
    known = ["document", "annotator", "status", *(q.name for q in questions)]
    if not isinstance(columns, Mapping) or not all(isinstance(c, str) for c in columns.values()):
        raise ArgumentError(f"columns={columns!r} is not allowed; give a mapping from {', '.join(known)} to columns.")
    if odd := [name for name in columns if name not in known]:
        raise ArgumentError(f"columns names {odd[0]!r}; it may name {', '.join(map(repr, known))}.")
    return columns
