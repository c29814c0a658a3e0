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
from . import label_studio, page
from .handout import FLAGGED, FORMAT, MANIFEST, NOTE, VERSION, WHO, alike, check_name, file_stem, origin_of
from .questions import EARLIER, Question, read_questions
from .sheet import read_sheet

if TYPE_CHECKING:
    import pandas as pd

    from ..designs import Sample

SETTLES = "settles"
"""Column of the table of annotations: whether the answer settles a disagreement of others."""


@dataclass(frozen=True)
class _Answer:
    """Raw answers to the questions about one document, and whose they are."""

    file: str
    document: str
    who: str
    known: bool
    """Whether the file, its place in the handout or the reader says who; else ``who`` is the name of the file."""
    raw: Mapping[str, Any]
    """Answers, and what else the row says: a note, a flag, what others answered before."""


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
    questions = _questions(labels, manifest, files)
    place = dict(zip(documents, positions.tolist()))
    if not (annotators is None or isinstance(annotators, Mapping)):
        raise ArgumentError(f"annotators={annotators!r} is not allowed; give a mapping from file to name.")
    renamed = {str(k): check_name(v) for k, v in (annotators or {}).items()}
    stray = set(renamed) - {str(f) for f in files} - {f.name for f in files}
    if stray:
        raise ArgumentError(f"annotators names {sorted(stray)}, which is not among the files read.")
    people = set() if manifest is None else set(manifest["annotators"])
    read = _Reading(files, questions, renamed, people, sample, duplicates)
    rows = _checked(_answers(read), place, questions, duplicates)
    columns = [column for q in questions for column in q.columns]
    names = ["position", "document", "annotator", "file", *(c.name for c in columns)]
    names += [name for name in (NOTE, FLAGGED, SETTLES) if name not in names]
    found = sorted(rows, key=lambda row: (row["position"], row["annotator"]))
    out = pd.DataFrame({name: pd.Series([row.get(name) for row in found], dtype=object) for name in names})
    for column in columns:
        if column.numeric:
            out[column.name] = pd.to_numeric(out[column.name])
    for name in {FLAGGED, SETTLES} - {column.name for column in columns}:
        out[name] = out[name].astype(bool)
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
    columns = [column.name for q in questions for column in q.columns]
    repeated: dict[tuple[str, str], int] = {}
    for answer in answers:
        if answer.document not in place:
            unknown.append(f"{answer.document!r} in {answer.file}")
            continue
        row = {"position": place[answer.document]} | _read(answer, questions, problems)
        unanswered = all(row.get(name) is None for name in columns)
        if unanswered and not row[NOTE] and not row[FLAGGED]:
            continue
        before = rows.get((answer.document, answer.who))
        if unanswered and before is not None:
            continue
        if not unanswered:
            accepted.setdefault(answer.document, []).append(answer)
        if before is not None and all(before.get(name) is None for name in columns):
            before = None
        if before is not None and any(before.get(name) != row.get(name) for name in columns):
            if duplicates == "raise":
                problems.append(
                    f"{answer.file}, document {answer.document}: labelled twice by {answer.who!r}, differently (before "
                    f"in {before['file']})"
                )
        elif before is not None and before["file"] != answer.file:
            repeated[before["file"], answer.file] = repeated.get((before["file"], answer.file), 0) + 1
        rows[answer.document, answer.who] = row
    _raise_problems(unknown, problems)
    _hold_people(accepted)
    for (first, second), times in repeated.items():
        tell(f"{second} repeats {times} answer(s) of {first} by the same person; they count once.", DesignWarning)
    return list(rows.values())


def _raise_problems(unknown: Sequence[str], problems: Sequence[str]) -> None:
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


def _read(answer: _Answer, questions: Sequence[Question], problems: list[str]) -> dict[str, Any]:
    """A row of the table of annotations; what cannot be read is added to the problems."""
    note = str(answer.raw.get(NOTE) or "").strip() or None
    row: dict[str, Any] = {"document": answer.document, "annotator": answer.who, "file": answer.file, NOTE: note}
    row |= {FLAGGED: answer.raw.get(FLAGGED) is True, SETTLES: bool(answer.raw.get(EARLIER))}
    for q in questions:
        try:
            value = q.read(answer.raw.get(q.name))
        except DataError as error:
            problems.append(f"{answer.file}, document {answer.document}: {error}")
            continue
        if q.kind != "several":
            row[q.name] = value
        elif value is not None:
            row |= {column.name: int(c in value) for c, column in zip(q.classes, q.columns)}
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
            if path.suffix.lower() in (".html", ".htm"):
                raise ArgumentError(
                    f"{str(path)!r} is the page itself, which holds no answers; give the file that its button 'Save "
                    "file' wrote (its name ends in .answers.json)."
                )
            raise ArgumentError(f"{str(path)!r} is neither a CSV, nor saved by a page, nor a Label Studio JSON export.")
    if not files:
        raise ArgumentError("there is no CSV or JSON file to read; give what the annotators returned.")
    return list(dict.fromkeys(files)), manifest


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


def asked(paths: object, sample: Sample, labels: object) -> tuple[Question, ...]:
    """The questions that files answer: as the reader says, else as they were handed out."""
    files, manifest = _files(paths, sample)
    return _questions(labels, manifest, files)


def _questions(labels: object, manifest: dict[str, Any] | None, files: Sequence[Path]) -> tuple[Question, ...]:
    if labels is not None:
        return read_questions(labels)
    if manifest is not None:
        return read_questions(manifest["labels"])
    for path in files:  # pages say what they asked
        content = _json(path) if path.suffix.lower() == ".json" else None
        if content is not None and page.is_answers(content):
            return read_questions(page.asked_in(content, path.name))
    raise ArgumentError(
        f"what was asked is not known: keep {MANIFEST} next to the files, or give labels= as to to_labelling."
    )


@dataclass(frozen=True)
class _Reading:
    """Files to read, and what is known of them."""

    files: Sequence[Path]
    questions: Sequence[Question]
    renamed: Mapping[str, str]
    people: set[str]
    sample: Sample
    duplicates: str


def _answers(read: _Reading) -> Iterator[_Answer]:
    """Raw answers in all files. Whose they are says the reader, else the file, else its name in the handout."""
    stems = {file_stem(name): name for name in read.people}
    pages = []
    for path in read.files:
        found: Iterator[tuple[str, str, Mapping[str, Any]]]
        name = read.renamed.get(str(path), read.renamed.get(path.name)) or ""
        if path.suffix.lower() == ".json":
            content = _json(path)
            if page.is_answers(content):
                content = page.checked(content, path.name, _origins(read.sample), read.questions)
                pages.append((name or str(content.get("annotator") or path.stem), path.name, content))
                continue
            found = label_studio.answers(content, path.name, read.questions)
        else:
            found = _csv_rows(path, read.questions)
        for document, inside, raw in found:
            who = name or inside or stems.get(path.stem, "")
            yield _Answer(path.name, document, who or path.stem, bool(who), raw)
    for who, file, content in _last_saves(pages, read.duplicates):
        settles = {EARLIER: True} if content.get("settles") is True else {}
        for document, raw in page.answers(content):
            yield _Answer(file, document, who, True, {**raw, **settles})


def _last_saves(pages: list[tuple[str, str, dict[str, Any]]], duplicates: str) -> list[tuple[str, str, dict[str, Any]]]:
    """What pages saved, the earlier first. A page may be saved many times: later answers must hold the earlier ones."""
    pages = sorted(pages, key=lambda saved: str(saved[2].get("saved")))
    latest = {(who, content["page"]): file for who, file, content in pages}
    out = []
    for who, file, content in pages:
        last = next(c for w, f, c in reversed(pages) if f == latest[who, content["page"]] and w == who)
        kept = {each["document"]: each["answers"] for each in last["answers"]}
        for each in content["answers"] if content is not last and duplicates == "raise" else ():
            gone = [name for name in each["answers"] if name not in kept.get(each["document"], {})]
            if gone:
                raise DataError(
                    f"{file} and {latest[who, content['page']]} were saved by the same page; the later one no longer "
                    f"holds the answer to {gone[0]!r} about document {each['document']}. Keep the file that is right, "
                    "or use duplicates='last', which takes the later one alone."
                )
        if content is last or duplicates == "raise":
            out.append((who, file, content))
    return out


def _origins(sample: Sample) -> set[str | None]:
    """What files of a sample may name as the frame it was drawn from."""
    frame = sample.design.frame
    return {origin_of(sample), None if frame is None else frame.hash}


def _json(path: Path) -> Any:
    try:
        return json.loads(decoded(path.read_bytes()))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path.name} is not JSON: {error}.") from None


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
