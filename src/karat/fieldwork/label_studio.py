"""Label Studio: tasks and labelling interface to import, annotations as it exports them.

Format: https://labelstud.io/guide/task_format.html and the pages of the tags Choices, Number, Rating, TextArea.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any
from xml.sax.saxutils import quoteattr

from ..errors import DataError
from .questions import Question

TEXT = "document_text"
"""Name of the text in the labelling interface."""


def tasks(documents: Iterable[str], texts: Iterable[str], shown: Sequence[dict[str, str]]) -> list[dict[str, Any]]:
    """Tasks to import, one per document.

    Parameters
    ----------
    documents, texts : iterable of str
    shown : sequence of dict
        Further columns to show with each document.
    """
    return [
        {"data": {"document": document, "text": text, **more}} for document, text, more in zip(documents, texts, shown)
    ]


def interface(questions: Sequence[Question], shown: Sequence[str], instructions: str = "") -> str:
    """The labelling interface (XML) that goes with the tasks.

    Parameters
    ----------
    questions : sequence of Question
    shown : sequence of str
        Further columns to show above the text.
    instructions : str

    Returns
    -------
    str

    Examples
    --------
    >>> print(interface([Question("hostile", "choices", ("no", "yes"))], []))
    <View>
      <Text name="document_text" value="$text"/>
      <Header value="hostile" size="5"/>
      <Choices name="hostile" toName="document_text" choice="single" showInLine="true" required="true">
        <Choice value="no"/>
        <Choice value="yes"/>
      </Choices>
    </View>
    """
    lines = ["<View>"]
    if instructions:
        lines.append(f'  <Header value={_quote(instructions)} size="5"/>')
    lines += [f'  <Header value={_quote("$" + name)} size="4"/>' for name in shown]
    lines.append(f'  <Text name="{TEXT}" value="$text"/>')
    for q in questions:
        lines.append(f'  <Header value={_quote(q.name)} size="5"/>')
        start = f'name={_quote(q.name)} toName="{TEXT}"'
        if q.kind == "choices":
            lines.append(f'  <Choices {start} choice="single" showInLine="true" required="true">')
            lines += [f"    <Choice value={_quote(str(c))}/>" for c in q.classes]
            lines.append("  </Choices>")
        elif q.kind == "rating":
            lines.append(f'  <Rating {start} maxRating="{q.high:g}" required="true"/>')
        elif q.kind == "number":
            bounds = "".join(f' {k}="{b:g}"' for k, b in (("min", q.low), ("max", q.high)) if b is not None)
            lines.append(f'  <Number {start}{bounds} step="0.01" required="true"/>')
        else:
            lines.append(f'  <TextArea {start} maxSubmissions="1" required="true"/>')
    return "\n".join([*lines, "</View>"])


def answers(export: Any, file: str, questions: Sequence[Question]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Document, annotator and raw answers of every annotation in an export.

    Parameters
    ----------
    export : list of dict
        Parsed JSON or JSON-MIN export. Tasks without annotations, drafts, predictions and skipped
        (cancelled) annotations give nothing.
    file : str
        For messages.
    questions : sequence of Question

    Raises
    ------
    DataError
        If it is no export, or an annotation holds two answers to one question.
    """
    if not isinstance(export, list) or not all(isinstance(task, dict) for task in export):
        raise DataError(f"{file} is no Label Studio export: it must hold a list of tasks. Export as JSON or JSON-MIN.")
    for number, task in enumerate(export):
        data = task.get("data", task)
        if not isinstance(data, dict) or "document" not in data:
            raise DataError(
                f"{file}: task {number + 1} has no 'document' in its data, so it is not known which document it is; "
                "import "
                "the tasks that to_labelling wrote and export them as JSON."
            )
        document = str(data["document"])
        if "data" not in task:  # JSON-MIN: one flat row per annotation
            flat = {q.name: _plain(task.get(q.name), file, document, q.name) for q in questions}
            yield document, _who(task.get("annotator")), flat
            continue
        for annotation in task.get("annotations", task.get("completions", [])):
            if annotation.get("was_cancelled") or annotation.get("skipped"):
                continue
            found: dict[str, Any] = {}
            for region in annotation.get("result", []):
                name = region.get("from_name")
                if name not in {q.name for q in questions}:
                    continue
                value = _plain(region.get("value"), file, document, name)
                if name in found and found[name] != value:
                    raise DataError(
                        f"{file}: document {document!r} has two answers to {name!r} in one annotation; keep one."
                    )
                found[name] = value
            yield document, _who(annotation.get("completed_by")), found


def valid_name(name: str) -> bool:
    """Whether Label Studio takes it for the name of a question or a data field."""
    return bool(re.fullmatch(r"[A-Za-z_][\w-]*", name)) and name not in ("document", "text", TEXT)


def _plain(value: Any, file: str, document: str, question: str) -> Any:
    """The answer in what Label Studio stores for choices, numbers, ratings and texts."""
    if isinstance(value, dict):
        kinds = [k for k in ("choices", "number", "rating", "text") if k in value]
        value = value[kinds[0]] if kinds else None
        if kinds == ["text"] and isinstance(value, list):  # submissions of a text area
            return "\n".join(map(str, value))
    if isinstance(value, list):
        if len(value) > 1:
            raise DataError(f"{file}: document {document!r} has {len(value)} answers to {question!r}; one is allowed.")
        value = value[0] if value else None
    return value


def _who(completed_by: Any) -> str:
    if isinstance(completed_by, dict):
        completed_by = completed_by.get("email") or completed_by.get("id")
    return "" if completed_by is None else str(completed_by)


def _quote(text: str) -> str:
    return quoteattr(text, {'"': "&quot;", "\n": "&#10;"})
