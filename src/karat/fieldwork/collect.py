"""Labels as annotators return them: read, and checked against the sample."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..designs.store import read_sealed
from ..errors import ArgumentError, DataError, DesignWarning, one_of, tell
from ..frames import Table
from ..frames.files import decoded
from . import label_studio
from .handout import FORMAT, MANIFEST, VERSION, WHO, alike, check_name, file_stem, origin_of
from .questions import Question, read_questions
from .sheet import read_sheet

if TYPE_CHECKING:
    import pandas as pd

    from ..designs import Sample


@dataclass(frozen=True)
class _Answer:
    """Raw answers to the questions about one document, and whose they are."""

    file: str
    document: str
    who: str
    known: bool
    """Whether the file, its place in the handout or the reader says who; else ``who`` is the name of the file."""
    raw: Mapping[str, Any]


def read_annotations(
    sample: Sample,
    paths: object,
    data: object,
    *,
    labels: object = None,
    annotators: Mapping[Any, str] | None = None,
    duplicates: str = "raise",
) -> pd.DataFrame:
    """Every label of every annotator, see :meth:`karat.designs.Sample.read_annotations`."""
    import pandas as pd

    one_of("duplicates", duplicates, ("raise", "last"))
    table = Table.read(data)
    documents, positions = sample.design.documents(table)
    files, manifest = _files(paths, sample)
    questions = _questions(labels, manifest)
    place = dict(zip(documents, positions.tolist()))
    if not (annotators is None or isinstance(annotators, Mapping)):
        raise ArgumentError(f"annotators={annotators!r} is not allowed; give a mapping from file to name.")
    renamed = {str(k): check_name(v) for k, v in (annotators or {}).items()}
    stray = set(renamed) - {str(f) for f in files} - {f.name for f in files}
    if stray:
        raise ArgumentError(f"annotators names {sorted(stray)}, which is not among the files read.")
    people = set() if manifest is None else set(manifest["annotators"])
    rows = _checked(_answers(files, questions, renamed, people), place, questions, duplicates)
    names = ["position", "document", "annotator", "file", *(q.name for q in questions)]
    found = sorted(rows, key=lambda row: (row["position"], row["annotator"]))
    out = pd.DataFrame({name: pd.Series([row.get(name) for row in found], dtype=object) for name in names})
    for q in questions:
        if q.numeric:
            out[q.name] = pd.to_numeric(out[q.name])
    out["position"] = out["position"].astype(np.intp)
    return out


def _checked(
    answers: Iterator[_Answer], place: Mapping[str, int], questions: Sequence[Question], duplicates: str
) -> list[dict[str, Any]]:
    """One row per document and annotator; what is not allowed is gathered and raised together."""
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    accepted: dict[str, list[_Answer]] = {}
    problems: list[str] = []
    unknown: list[str] = []
    repeated: dict[tuple[str, str], int] = {}
    for answer in answers:
        if answer.document not in place:
            unknown.append(f"{answer.document!r} in {answer.file}")
            continue
        row = {"position": place[answer.document]} | _read(answer, questions, problems)
        if all(row.get(q.name) is None for q in questions):
            continue
        accepted.setdefault(answer.document, []).append(answer)
        before = rows.get((answer.document, answer.who))
        if before is not None and any(before.get(q.name) != row.get(q.name) for q in questions):
            if duplicates == "raise":
                problems.append(
                    f"{answer.file}, document {answer.document}: labelled twice by {answer.who!r}, differently (before "
                    f"in {before['file']})"
                )
        elif before is not None and before["file"] != answer.file:
            repeated[before["file"], answer.file] = repeated.get((before["file"], answer.file), 0) + 1
        rows[answer.document, answer.who] = row
    if unknown:
        raise DataError(
            f"{len(unknown)} document(s) are not in this sample (first: {unknown[0]}); read the files that "
            "to_labelling wrote for it, with the sample and the frame they were written from."
        )
    if problems:
        more = f" ({len(problems)} in all)" if len(problems) > 1 else ""
        hint = ""
        if any("labelled twice" in problem for problem in problems):
            hint = f" {_NAME_THEM} Otherwise keep one label, or use duplicates='last'."
        raise DataError("; ".join(problems[:5]) + f"{more}.{hint}")
    _hold_people(accepted)
    for (first, second), times in repeated.items():
        tell(f"{second} repeats {times} answer(s) of {first} by the same person; they count once.", DesignWarning)
    return list(rows.values())


def _read(answer: _Answer, questions: Sequence[Question], problems: list[str]) -> dict[str, Any]:
    """A row of the table of annotations; what cannot be read is added to the problems."""
    row: dict[str, Any] = {"document": answer.document, "annotator": answer.who, "file": answer.file}
    for q in questions:
        try:
            row[q.name] = q.read(answer.raw.get(q.name))
        except DataError as error:
            problems.append(f"{answer.file}, document {answer.document}: {error}")
    return row


_NAME_THEM = "If two people filled these files, name them: annotators={'file': 'name'} (shell: --annotator FILE=NAME)."


def _hold_people(found: Mapping[str, Sequence[_Answer]]) -> None:
    """Raise where a copy of a file, or another spelling of a name, would count as a second person."""
    spelled: dict[str, _Answer] = {}
    for answers in found.values():
        for answer in answers:
            other = spelled.setdefault(alike(answer.who), answer)
            if other.who != answer.who:
                raise DataError(
                    f"{other.who!r} ({other.file}) and {answer.who!r} ({answer.file}) differ only in capital letters "
                    "or spaces; give each person one name with annotators={'file': 'name'}."
                )
    for document, answers in found.items():
        first = answers[0]
        doubtful = next((a for a in answers[1:] if a.who != first.who and not (a.known and first.known)), None)
        if doubtful is not None:
            raise DataError(
                f"{first.file} and {doubtful.file} both answer document {document}, and the files do not say that two "
                "people filled them (a column 'annotator' would); one may be a copy of the other. Remove the copy. "
                f"{_NAME_THEM}"
            )


def _files(paths: object, sample: Sample) -> tuple[list[Path], dict[str, Any] | None]:
    """Files to read, and what the handout asked if it is known."""
    listed = [paths] if isinstance(paths, (str, Path)) else list(paths) if isinstance(paths, Iterable) else []
    if not all(isinstance(path, (str, Path)) for path in listed):
        raise ArgumentError(f"paths={paths!r} is not allowed; give files or folders that the annotators returned.")
    files: list[Path] = []
    manifest = None
    for path in map(Path, listed):
        if not path.exists():
            raise ArgumentError(f"there is no file or folder {str(path)!r}; give what the annotators returned.")
        inside = sorted(path.iterdir()) if path.is_dir() else [path]
        near = (path if path.is_dir() else path.parent) / MANIFEST
        if near.exists() and manifest is None:
            manifest = read_manifest(near, sample)
        files += [p for p in inside if p.suffix.lower() in (".csv", ".tsv", ".json") and p.name != MANIFEST]
        if not path.is_dir() and path not in files:
            raise ArgumentError(f"{str(path)!r} is neither a CSV nor a Label Studio JSON export.")
    if not files:
        raise ArgumentError("there is no CSV or JSON file to read; give what the annotators returned.")
    return list(dict.fromkeys(files)), manifest


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


def asked(paths: object, sample: Sample, labels: object) -> tuple[Question, ...]:
    """The questions that files answer: as the reader says, else as they were handed out."""
    return _questions(labels, _files(paths, sample)[1])


def _questions(labels: object, manifest: dict[str, Any] | None) -> tuple[Question, ...]:
    if labels is not None:
        return read_questions(labels)
    if manifest is None:
        raise ArgumentError(
            f"what was asked is not known: keep {MANIFEST} next to the files, or give labels= as to to_labelling."
        )
    return read_questions(manifest["labels"])


def _answers(
    files: Sequence[Path], questions: Sequence[Question], renamed: Mapping[str, str], people: set[str]
) -> Iterator[_Answer]:
    """Raw answers in all files. Whose they are says the reader, else the file, else its name in the handout."""
    stems = {file_stem(name): name for name in people}
    for path in files:
        found: Iterator[tuple[str, str, Mapping[str, Any]]]
        if path.suffix.lower() == ".json":
            try:
                export = json.loads(decoded(path.read_bytes()))
            except (ValueError, RecursionError) as error:
                raise DataError(f"{path.name} is not JSON: {error}.") from None
            found = label_studio.answers(export, path.name, questions)
        else:
            found = _csv_rows(path, questions)
        name = renamed.get(str(path), renamed.get(path.name)) or ""
        for document, inside, raw in found:
            who = name or inside or stems.get(path.stem, "")
            yield _Answer(path.name, document, who or path.stem, bool(who), raw)


def _csv_rows(path: Path, questions: Sequence[Question]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Rows of a filled CSV: document, annotator if it says who, raw answers."""
    table = read_sheet(path)
    absent = [name for name in ("document", *(q.name for q in questions)) if name not in table]
    if absent:
        raise DataError(
            f"{path.name} has no column {absent[0]!r} (columns: {list(table.columns)[:8]}); keep the header that "
            "to_labelling wrote."
        )
    for row in table.to_dict("records"):
        if any(row.values()):
            yield row["document"].strip(), row.get(WHO, "").strip(), {str(name): value for name, value in row.items()}
