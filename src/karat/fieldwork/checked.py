"""Answers held against the questions, and people against each other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import ArgumentError, DataError, DesignWarning, tell
from .answers import COUNT, Given
from .handout import alike, check_name
from .questions import Question

if TYPE_CHECKING:
    import pandas as pd

_NAME_THEM = "If two people filled these files, name them: annotators={'file': 'name'} (shell: --annotator FILE=NAME)."


_STATE = " status"
"""Where a row keeps its status: no name that a label can have."""


@dataclass(frozen=True)
class Answer:
    """What was given, in which file, and whose it is."""

    file: str
    given: Given
    known: bool
    """Whether the file, its place in the handout or the reader says who; else ``given.who`` is the name of the file."""


def names_given(annotators: Mapping[Any, str] | None, files: Iterable[Any]) -> dict[str, str]:
    """File -> name, as the reader says; raises where a file is not among those read."""
    if not (annotators is None or isinstance(annotators, Mapping)):
        raise ArgumentError(f"annotators={annotators!r} is not allowed; give a mapping from file to name.")
    renamed = {str(k): check_name(v) for k, v in (annotators or {}).items()}
    stray = set(renamed) - {str(f) for f in files} - {f.name for f in files if hasattr(f, "name")}
    if stray:
        raise ArgumentError(f"annotators names {sorted(stray)}, which is not among the files read.")
    return renamed


def checked(
    answers: Iterable[Answer], place: Mapping[str, int] | None, questions: Sequence[Question], duplicates: str
) -> list[dict[str, Any]]:
    """One row per document and annotator; what is not allowed is gathered and raised together.

    ``place`` is where documents stand in the data, for those of a sample.
    """
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    accepted: dict[str, list[Answer]] = {}
    problems: list[str] = []
    unknown: list[str] = []
    repeated: dict[tuple[str, str], int] = {}
    asked: dict[tuple[str, str], set[str]] = {}
    for answer in answers:
        document = answer.given.document
        if place is not None and document not in place:
            unknown.append(f"{document!r} in {answer.file}")
            continue
        row = _read(answer, questions, problems)
        empty = all(row[q.name] is None for q in questions)
        if empty and answer.given.counts:
            continue
        if place is not None:
            row["position"] = place[document]
        key = (document, answer.given.who)
        before, about = rows.get(key), asked.setdefault(key, set())
        if before is not None and about.isdisjoint(answer.given.raw):  # a file for each question
            row = {**before, **{q.name: row[q.name] for q in questions if q.name in answer.given.raw}}
            row[_STATE] = before[_STATE] if before[_STATE] in COUNT else answer.given.status
            before = None
        elif before is not None and all(before[q.name] is None for q in questions):
            before = None  # skipped at first, answered later
        elif before is not None and empty:
            continue
        accepted.setdefault(document, []).append(answer)
        if before is not None and any(before[q.name] != row[q.name] for q in questions):
            if duplicates == "raise":
                problems.append(
                    f"{answer.file}, document {document}: labelled twice by {answer.given.who!r}, differently (before "
                    f"in {before['file']})"
                )
        elif before is not None and before["file"] != answer.file:
            repeated[before["file"], answer.file] = repeated.get((before["file"], answer.file), 0) + 1
        rows[key] = row
        about.update(answer.given.raw)
    _raise(unknown, problems)
    _hold_people(accepted)
    for (first, second), times in repeated.items():
        tell(f"{second} repeats {times} answer(s) of {first} by the same person; they count once.", DesignWarning)
    return list(rows.values())


def status_column(questions: Sequence[Question]) -> str:
    """The column of statuses; a label of that name keeps it."""
    return "answer_status" if any(q.name == "status" for q in questions) else "status"


def table_of(rows: Sequence[Mapping[str, Any]], keys: Sequence[str], questions: Sequence[Question]) -> pd.DataFrame:
    """Rows as a table: ``keys``, a column per question, the status."""
    import pandas as pd

    found = sorted(rows, key=lambda row: (row[keys[0]], row["annotator"]))
    names = [*keys, *(q.name for q in questions)]
    out = pd.DataFrame({name: pd.Series([row.get(name) for row in found], dtype=object) for name in names})
    out[status_column(questions)] = pd.Series([row[_STATE] for row in found], dtype=object)
    for q in questions:
        if q.numeric:
            out[q.name] = pd.to_numeric(out[q.name])
    return out


def _raise(unknown: Sequence[str], problems: Sequence[str]) -> None:
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


def _read(answer: Answer, questions: Sequence[Question], problems: list[str]) -> dict[str, Any]:
    """A row of the table of annotations; what cannot be read is added to the problems."""
    given = answer.given
    row: dict[str, Any] = {
        "document": given.document, "annotator": given.who, "file": answer.file, _STATE: given.status,
    }  # fmt: skip
    for q in questions:
        row[q.name] = None
        try:
            row[q.name] = q.read(given.raw.get(q.name)) if given.counts else None
        except DataError as error:
            problems.append(f"{answer.file}, document {given.document}: {error}")
    return row


def _hold_people(found: Mapping[str, Sequence[Answer]]) -> None:
    """Raise where a copy of a file, or another spelling of a name, would count as a second person."""
    spelled: dict[str, Answer] = {}
    for answers in found.values():
        for answer in answers:
            other = spelled.setdefault(alike(answer.given.who), answer)
            if other.given.who != answer.given.who:
                raise DataError(
                    f"{other.given.who!r} ({other.file}) and {answer.given.who!r} ({answer.file}) differ only in "
                    "capital letters or spaces; give each person one name with annotators={'file': 'name'}."
                )
    for document, answers in found.items():
        first = answers[0]
        doubtful = next(
            (a for a in answers[1:] if a.given.who != first.given.who and not (a.known and first.known)), None
        )
        if doubtful is not None:
            raise DataError(
                f"{first.file} and {doubtful.file} both answer document {document}, and the files do not say that two "
                "people filled them (a column 'annotator' would); one may be a copy of the other. Remove the copy. "
                f"{_NAME_THEM}"
            )
