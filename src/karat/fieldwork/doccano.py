"""doccano: lines and labels to import, lines as it exports them.

Format: JSONL of projects for text classification (labels) and for sequence to sequence (texts).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..errors import ArgumentError, DataError
from .answers import Given, document_of, missing, typed
from .codes import options_of
from .questions import EARLIER, Question

_FIELDS = ("label", "labels", "cats", "categories")
"""Fields in which exports hold answers."""
_MOST = 200
"""More labels than that are no list to choose from."""


def lines(documents: Sequence[str], texts: Sequence[str], shown: Sequence[Mapping[str, str]]) -> list[dict[str, Any]]:
    """Lines to import; columns other than the text become metadata, which exports hold."""
    return [
        {"text": "\n".join([*more.values(), text]), "document": document, **{k: more[k] for k in more if k == EARLIER}}
        for document, text, more in zip(documents, texts, shown)
    ]


def labels(questions: Sequence[Question]) -> list[dict[str, Any]]:
    """Labels to import, those of several questions with the name of the question in front.

    Raises
    ------
    ArgumentError
        If a question cannot be asked in doccano.
    """
    if len(questions) == 1 and questions[0].kind == "text":
        return []
    out = []
    for question in questions:
        options = options_of(question, _MOST)
        if not options or len(options) > _MOST:
            raise ArgumentError(
                f"formats holds 'doccano', which has labels to choose from, or one text; {question.name!r} is "
                f"{question.allowed}. Give it as classes, several: or rating:MAX, or take another format."
            )
        start = f"{question.name}: " if len(questions) > 1 else ""
        out += [{"text": f"{start}{option['word']}"} for option in options]
    return out


def is_export(line: Mapping[str, Any]) -> bool:
    """Whether a line is one of doccano."""
    return any(isinstance(line.get(name), list) for name in _FIELDS)


def answers(export: Sequence[Mapping[str, Any]], file: str, questions: Sequence[Question]) -> Iterator[Given]:
    """Answers of every line; who gave them is the name of the file that doccano writes for each member."""
    for count, line in enumerate(export, start=1):
        about = {**typed(line.get("meta") or line.get("metadata"), dict, f"{file}: 'meta'"), **line}
        document = document_of(about.get("document"), f"{file}: line {count}", "document")
        where = f"{file}: document {document!r}"
        field = next((name for name in _FIELDS if name in line), None)
        if field is None:
            continue  # handed out, not labelled
        raw: dict[str, Any] = {}
        for entry in typed(line[field], list, f"{where}: {field!r}"):
            if not isinstance(entry, (str, int)):
                raise DataError(
                    f"{where}: {field!r} holds {str(entry)[:40]!r}, a marked passage and no label of the text; read it "
                    "with kt.read_spans."
                )
            question, value = _asked(str(entry), questions, where)
            if question.kind == "several":
                raw.setdefault(question.name, []).append(value)
                continue
            if question.name in raw:
                raise DataError(f"{where} has two answers to {question.name!r}; one is allowed.")
            raw[question.name] = value
        yield Given(document, "", raw, settles=not missing(about.get(EARLIER)))


def _asked(entry: str, questions: Sequence[Question], where: str) -> tuple[Question, str]:
    """The question that a label answers, and the answer."""
    if len(questions) == 1:
        return questions[0], entry
    for question in sorted(questions, key=lambda q: -len(q.name)):
        if entry.startswith(f"{question.name}: "):
            return question, entry[len(question.name) + 2 :]
    raise DataError(
        f"{where}: the label {entry[:60]!r} does not say which question it answers; with several questions labels are "
        f"'{questions[0].name}: ...', as in doccano-labels.json."
    )
