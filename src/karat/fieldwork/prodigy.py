"""Prodigy: tasks for its choice and text_input interfaces, annotations as ``db-out`` writes them.

Format: https://prodi.gy/docs/api-interfaces, choice, text_input and classification.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..errors import DataError
from .answers import FLAGGED, Given, answer_in, document_of, missing, status_of, typed
from .codes import options_of
from .questions import EARLIER, Question

_MARKS = ("answer", "accept", "options", "field_id", "_input_hash")


def tasks(
    question: Question, documents: Sequence[str], texts: Sequence[str], shown: Sequence[Mapping[str, str]]
) -> list[dict[str, Any]]:
    """Tasks of one question: a card each, with the answers to choose from or a field to type into."""
    options = [{"id": option["value"], "text": option["word"]} for option in options_of(question)]
    out = []
    for document, text, more in zip(documents, texts, shown):
        task: dict[str, Any] = {"text": text, "document": document, "question": question.name, "meta": dict(more)}
        if options:
            style = "multiple" if question.kind == "several" else "single"
            task |= {"options": options, "config": {"choice_style": style}}
        else:
            task |= {"field_id": question.name, "field_label": f"{question.asked} ({question.allowed})"}
        out.append(task)
    return out


def is_export(line: Mapping[str, Any]) -> bool:
    """Whether a line is one of Prodigy."""
    return any(name in line for name in _MARKS)


def answers(export: Sequence[Mapping[str, Any]], file: str, questions: Sequence[Question]) -> Iterator[Given]:
    """Answers of every line; a person's answers to several questions about a document are joined.

    ``ignore`` skips; ``reject`` refuses, but of a single label put to the question it says "not this one".
    """
    gathered: dict[tuple[str, str, bool], tuple[dict[str, Any], set[str]]] = {}
    for count, line in enumerate(export, start=1):
        about = {**typed(line.get("meta"), dict, f"{file}: 'meta'"), **line}
        document = document_of(about.get("document"), f"{file}: line {count}", "document")
        where = f"{file}: document {document!r}"
        if "answer" not in line:
            continue  # handed out, not answered
        who = str(line.get("_annotator_id") or line.get("_session_id") or "")
        question = _asked(line, questions, where)
        status = status_of(line["answer"], where)
        if status is None:
            continue
        value = None
        if "label" in line and "options" not in line and status != "skipped":
            value, status = _binary(line, question, where), "answered"
        elif status == "answered":
            value = _value(line, question, where)
        raw, states = gathered.setdefault((document, who, not missing(about.get(EARLIER))), ({}, set()))
        if question.name in raw and raw[question.name] != value:
            raise DataError(f"{where} has two answers of {who or 'one person'!r} to {question.name!r}; keep one.")
        raw[question.name] = value
        states.add(FLAGGED if line.get("flagged") else status)
    for (document, who, settles), (raw, states) in gathered.items():
        best = [s for s in ("flagged", "answered", "refused", "skipped") if s in states]
        yield Given(document, who, raw, best[0], settles=settles)


def _asked(line: Mapping[str, Any], questions: Sequence[Question], where: str) -> Question:
    named = {q.name: q for q in questions}
    for name in (line.get("question"), line.get("field_id")):
        if isinstance(name, str) and name in named:
            return named[name]
    if len(questions) == 1:
        return questions[0]
    raise DataError(
        f"{where} does not say which of {list(named)[:5]} it answers; its field 'question' (as to_labelling wrote it) "
        f"is {line.get('question')!r}."
    )


def _value(line: Mapping[str, Any], question: Question, where: str) -> Any:
    if "accept" in line:
        return answer_in(line["accept"], where, question)
    for name in (line.get("field_id"), question.name, "user_input"):
        if isinstance(name, str) and name in line:
            return answer_in(line[name], where, question)
    raise DataError(
        f"{where} holds no answer to {question.name!r}: neither 'accept' nor {question.name!r} is among its fields "
        f"{list(line)[:8]}; export with db-out."
    )


def _binary(line: Mapping[str, Any], question: Question, where: str) -> Any:
    """One label put to the annotator: accepted it is the answer, rejected the other class of two."""
    if question.kind == "several":
        raise DataError(
            f"{where}: {line['label']!r} was asked alone, which does not say whether the other classes of "
            f"{question.name!r} hold; ask with all classes to choose from (the choice interface)."
        )
    label = question.read(line["label"])
    if line["answer"] == "accept":
        return label
    rest = [c for c in question.classes if c != label]
    if len(rest) != 1:
        raise DataError(
            f"{where}: {line['label']!r} was rejected, which leaves {len(rest)} classes of {question.name!r}; ask with "
            "all classes to choose from (the choice interface)."
        )
    return rest[0]
