"""Tables of answers: one row a document and person (long), or one column a coder (wide), from files or data frames."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ArgumentError, DataError
from . import potato
from .answers import DOCUMENT, NOTE, STATUS, WHO, Given, answer_in, document_of, missing, status_of
from .questions import EARLIER, Question

if TYPE_CHECKING:
    import pandas as pd

_NAMES = {
    DOCUMENT: ("document", "instance_id", ".id", "id", "text"),
    WHO: ("annotator", "user_id", "coder", "worker", "run"),
    STATUS: (STATUS,),
    NOTE: (NOTE,),
}
"""Headers that say what a column is: those of karat, Potato, quallmer (``.id``) and GABRIEL (``text``, ``run``)."""
_TOKENS = ("document", "instance_id")
_BETWEEN = ("_", ".", ":", "-", " ")
"""What stands between question and coder in the header of a wide table."""


def answers(
    table: pd.DataFrame,
    file: str,
    questions: Sequence[Question],
    columns: Mapping[str, str],
    coders: Mapping[str, Any] | Sequence[str] | None,
    tokens: bool,
) -> Iterator[Given]:
    """Answers in a table, whatever its shape; ``columns`` are roles or questions -> columns.

    ``tokens``: documents go by the names that to_labelling gave them, so that ids and texts are no names.
    """
    header = [str(name) for name in table.columns]
    rows: list[Any] = [
        {name: value.tolist() if isinstance(value, (np.ndarray, np.bool_)) else value for name, value in row.items()}
        for row in table.set_axis(header, axis=1).to_dict("records")
    ]
    lost = [name for name in columns.values() if name not in header]
    if lost:
        raise DataError(f"{file} has no column {lost[0]!r}, which columns= names (columns: {header[:8]}).")
    if not columns and coders is None and potato.is_header(header, questions):
        yield from potato.row_answers(rows, file, questions)
        return
    plain = {q.name: columns.get(q.name, q.name) for q in questions}
    parts = {} if coders else {q.name: q for q in questions if q.name not in columns and _is_split(q, header)}
    wide = coders is not None or not (parts or set(plain.values()) & set(header))
    places = (
        _coders(header, questions, coders, file) if wide else {"": {k: v for k, v in plain.items() if k not in parts}}
    )
    document = _role(DOCUMENT, header, columns)
    if tokens and DOCUMENT not in columns and document not in _TOKENS:
        document = None
    absent = [name for name in (document or DOCUMENT, *places.get("", {}).values()) if name not in header]
    if absent or not places:
        raise DataError(
            f"{file} has no column {(absent or [*plain.values()])[0]!r} (columns: {header[:8]}); keep the header that "
            "to_labelling wrote, or say what columns are with columns={...}, or coders={...} where each coder has one."
        )
    who, status, note = (_role(role, header, columns) for role in (WHO, STATUS, NOTE))
    if status in plain.values():
        status = columns.get(STATUS)
    ours = document == DOCUMENT and EARLIER in header and not wide
    r_file = document == ".id"  # R writes NA where there is nothing
    for count, row in enumerate(rows, start=1):
        if all(missing(value) for value in row.values()):
            continue
        name = document_of(row[document or DOCUMENT], f"{file}: row {count}", document or DOCUMENT)
        where = f"{file}: document {name!r}"
        said = status_of(row[status], where) if status else "answered"
        if said is None:
            continue
        for coder, asked in places.items():
            raw = {q.name: _cell(row[asked[q.name]], where, q, r_file) for q in questions if q.name in asked}
            if coder and all(missing(value) for value in raw.values()):
                continue
            raw |= {q.name: _held(row, q, where) for q in parts.values()}
            person = coder or ("" if not who or missing(row[who]) else str(row[who]).strip())
            told = "" if wide or not note or missing(row[note]) else str(row[note])
            yield Given(name, person, raw, said, told, ours and not missing(row[EARLIER]))


def _role(role: str, header: Sequence[str], columns: Mapping[str, str]) -> str | None:
    """The column of a role; None where there is none."""
    return columns.get(role) or next((name for name in _NAMES[role] if name in header), None)


def _is_split(question: Question, header: Sequence[str]) -> bool:
    """Whether a table has a column for each class of which several may hold, and none for the question."""
    names = {column.name for column in question.columns}
    return question.kind == "several" and question.name not in header and names <= set(header)


def _held(row: Mapping[str, Any], question: Question, where: str) -> list[Any] | None:
    """The classes that hold, by a column of 0 and 1 for each; None where all are empty."""
    cells = {column: row[column.name] for column in question.columns}
    if all(missing(cell) for cell in cells.values()):
        return None
    try:
        said = [
            column.read(None if missing(cell) else int(cell) if isinstance(cell, bool) else cell)
            for column, cell in cells.items()
        ]
    except DataError as error:
        raise DataError(f"{where}: {error}") from None
    if None in said:
        empty = question.columns[said.index(None)].name
        raise DataError(
            f"{where}: {empty!r} is empty, but other classes of {question.name!r} are answered; write 0 or 1."
        )
    return [c for c, holds in zip(question.classes, said) if holds]


def _cell(value: Any, where: str, question: Question, r_file: bool) -> Any:
    if r_file and value == "NA" and "NA" not in map(str, question.classes):
        return None
    if question.kind == "several" and (value == [] or (isinstance(value, str) and value.strip() == "[]")):
        return []  # of a model: none of them holds
    return answer_in(value, where, question)


def _coders(
    header: Sequence[str], questions: Sequence[Question], coders: Mapping[str, Any] | Sequence[str] | None, file: str
) -> dict[str, dict[str, str]]:
    """Coder -> question -> column of a wide table."""
    if coders is None:
        found: dict[str, dict[str, str]] = {}
        for column in header:
            for question in sorted(questions, key=lambda q: -len(q.name)):
                coder = column[len(question.name) + 1 :].strip()
                if column.startswith(tuple(question.name + sign for sign in _BETWEEN)) and coder:
                    found.setdefault(coder, {})[question.name] = column
                    break
        return found
    if not isinstance(coders, Mapping):
        coders = {str(name): str(name) for name in coders}
    out: dict[str, dict[str, str]] = {}
    for coder, given in coders.items():
        if isinstance(given, str):
            given = _columns_of(given, header, questions)
        if not isinstance(given, Mapping) or not given:
            raise ArgumentError(
                f"coders[{coder!r}]={given!r} is not allowed; give the coder's column, or a mapping from question to "
                "column."
            )
        for question, column in given.items():
            if question not in {q.name for q in questions}:
                raise ArgumentError(f"coders[{coder!r}] names {question!r}, which is not among the labels.")
            if column not in header:
                raise DataError(f"{file} has no column {column!r}, which coders[{coder!r}] names ({header[:8]}).")
        out[str(coder)] = {str(q): str(c) for q, c in given.items()}
    return out


def _columns_of(name: str, header: Sequence[str], questions: Sequence[Question]) -> dict[str, str]:
    """Columns of a coder: the one of that name where there is one question, else those that end in the name."""
    if name in header or len(questions) == 1:
        if len(questions) > 1:
            raise ArgumentError(
                f"coders names the column {name!r}, but there are {len(questions)} labels; give each coder a mapping "
                "from label to column."
            )
        return {questions[0].name: name}
    found = {
        q.name: f"{q.name}{sign}{name}" for q in questions for sign in _BETWEEN if f"{q.name}{sign}{name}" in header
    }
    if not found:
        raise ArgumentError(f"coders names {name!r}, but no column is a label with that name behind it ({header[:8]}).")
    return found
