"""Label Studio: tasks and labelling interface to import, annotations as it exports them.

Format: https://labelstud.io/guide/task_format.html and the pages of the tags Choices, Number, Rating, TextArea.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any
from xml.sax.saxutils import quoteattr

from ..errors import DataError
from .answers import SKIPPED, Given, answer_in, missing, typed
from .codes import options_of
from .questions import EARLIER, Question

_VALUES = ("choices", "number", "rating", "text")
"""Fields in which Label Studio stores answers."""
TEXT = "document_text"
"""Name of the text in the labelling interface."""


def tasks(documents: Iterable[str], texts: Iterable[str], shown: Sequence[dict[str, str]]) -> list[dict[str, Any]]:
    """Tasks to import, one per document; ``shown`` are further columns to show with each."""
    return [
        {"data": {"document": document, "text": text, **more}} for document, text, more in zip(documents, texts, shown)
    ]


def interface(questions: Sequence[Question], shown: Sequence[str], instructions: str = "") -> str:
    """The labelling interface (XML) that goes with the tasks; ``shown`` are further columns to show above the text.

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
        lines.append(f'  <Header value={_quote(q.asked)} size="5"/>')
        start = f'name={_quote(q.name)} toName="{TEXT}"'
        if q.kind in ("choices", "several"):
            how = "single" if q.kind == "choices" else "multiple"
            lines.append(f'  <Choices {start} choice="{how}" showInLine="true" required="true">')
            lines += [f"    <Choice {each}/>" for each in _choices(q)]
            lines.append("  </Choices>")
        elif q.kind == "rating":
            lines.append(f'  <Rating {start} maxRating="{q.high:g}" required="true"/>')
        elif q.kind in ("number", "scale"):
            bounds = "".join(f' {k}="{b:g}"' for k, b in (("min", q.low), ("max", q.high)) if b is not None)
            step = "1" if q.kind == "scale" else "0.01"
            lines.append(f'  <Number {start}{bounds} step="{step}" required="true"/>')
        else:
            lines.append(f'  <TextArea {start} maxSubmissions="1" required="true"/>')
    return "\n".join([*lines, "</View>"])


def _choices(question: Question) -> Iterator[str]:
    """Attributes of each choice: the word that people see, the class that is exported, when it applies."""
    for code in options_of(question):
        alias = "" if code["word"] == code["value"] else f" alias={_quote(code['value'])}"
        hint = f" hint={_quote(code['definition'])}" if code["definition"] else ""
        yield f"value={_quote(code['word'])}{alias}{hint}"


def is_export(task: Mapping[str, Any]) -> bool:
    """Whether a task is one of Label Studio."""
    return "data" in task or "annotation_id" in task


def answers(export: Any, file: str, questions: Sequence[Question]) -> Iterator[Given]:
    """Answers of every annotation in an export, JSON or JSON-MIN.

    Tasks without annotations, drafts and predictions give nothing; cancelled annotations are skipped ones.
    """
    if not isinstance(export, list) or not all(isinstance(task, dict) for task in export):
        raise DataError(
            f"{file} is not a Label Studio export: it must hold a list of tasks. Export as JSON or JSON-MIN."
        )
    flat = [task for task in export if "data" not in task]  # JSON-MIN: one row per annotation
    absent = [q.name for q in questions if flat and not any(q.name in task for task in flat)]
    if absent:
        raise DataError(
            f"{file}: no task has a field {absent[0]!r} (fields: {list(flat[0])[:8]}); export the project with the "
            "labelling interface that to_labelling wrote."
        )
    for count, task in enumerate(export, start=1):
        data = typed(task.get("data", task), dict, f"{file}: 'data' of task {count}")
        if not isinstance(data.get("document"), str):
            raise DataError(
                f"{file}: task {count} has no 'document' in its data, so it is not known which document it is; "
                "import the tasks that to_labelling wrote and export them as JSON."
            )
        document = data["document"]
        where = f"{file}: document {document!r}"
        settles = not missing(data.get(EARLIER))
        if "data" not in task:
            raw = {q.name: _plain(task.get(q.name), where, q) for q in questions}
            yield Given(document, _who(task.get("annotator")), raw, settles=settles)
            continue
        annotations = typed(task.get("annotations", task.get("completions")), list, f"{where}: 'annotations'")
        for annotation in annotations:
            annotation = typed(annotation, dict, f"{where}: an annotation")
            who = _who(annotation.get("completed_by"))
            if annotation.get("was_cancelled") or annotation.get("skipped"):
                yield Given(document, who, {}, SKIPPED, settles=settles)
                continue
            yield Given(document, who, _regions(annotation, where, questions), settles=settles)


def _regions(annotation: dict[str, Any], where: str, questions: Sequence[Question]) -> dict[str, Any]:
    """Raw answers of one annotation."""
    asked = {q.name: q for q in questions}
    found: dict[str, Any] = {}
    other: list[str] = []
    for region in typed(annotation.get("result"), list, f"{where}: 'result' of an annotation"):
        region = typed(region, dict, f"{where}: an entry of 'result'")
        name = region.get("from_name")
        if name not in asked:
            other.append(repr(name))
            continue
        value = _plain(region.get("value"), where, asked[name])
        if name in found and found[name] != value:
            raise DataError(f"{where} has two answers to {name!r} in one annotation; keep one.")
        found[name] = value
    lost = [name for name in asked if name not in found]
    if other and lost:
        raise DataError(
            f"{where} has answers to {', '.join(sorted(set(other))[:5])} ('from_name'), but none to {lost[0]!r}; name "
            "the questions as they were handed out."
        )
    return found


def valid_name(name: str) -> bool:
    """Whether Label Studio takes it for the name of a question or a data field."""
    return bool(re.fullmatch(r"[A-Za-z_][\w-]*", name)) and name not in ("document", "text", TEXT)


def _plain(value: Any, where: str, question: Question) -> Any:
    """The answer in what Label Studio stores for choices, numbers, ratings and texts."""
    submissions = False
    if isinstance(value, dict):
        kinds = [k for k in _VALUES if k in value]
        if not kinds:
            raise DataError(
                f"{where}: the answer to {question.name!r} has the fields {list(value)[:5]}, but none of "
                f"{', '.join(map(repr, _VALUES))}; export the project with the labelling interface that to_labelling "
                "wrote."
            )
        value, submissions = value[kinds[0]], kinds == ["text"]
    if isinstance(value, list) and submissions and all(isinstance(v, str) for v in value):  # of a text area
        return "\n".join(value)
    return answer_in(value, where, question)


def _who(completed_by: Any) -> str:
    if isinstance(completed_by, dict):
        completed_by = completed_by.get("email") or completed_by.get("id")
    return "" if completed_by is None else str(completed_by)


def _quote(text: str) -> str:
    return quoteattr(text, {'"': "&quot;", "\n": "&#10;"})
