"""Potato: items and configuration, annotations as its exports and its states of users hold them.

Format: exports to jsonl and csv (one row per user and item), ``user_state.json``, and ``annotated_instances.jsonl`` of
Potato 1.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .answers import Given, answer_in, document_of, missing, typed
from .codes import options_of
from .questions import Question

_FALSE = ("false", "0", "0.0", "none", "null", "off")
"""What stands for an answer that was not chosen."""
_BETWEEN = (".", ":::")
"""What stands between question and answer in the header of a table."""


def items(documents: Sequence[str], texts: Sequence[str], shown: Sequence[Mapping[str, str]]) -> list[dict[str, Any]]:
    """Items to annotate."""
    return [
        {"id": document, "text": "\n".join([*more.values(), text]), **more}
        for document, text, more in zip(documents, texts, shown)
    ]


def configuration(questions: Sequence[Question], stem: str, instructions: str) -> dict[str, Any]:
    """A project for one person, to be started with ``potato start``."""
    return {
        "annotation_task_name": instructions.split("\n")[0] or "Gold labels",
        "task_dir": ".",
        "data_files": [f"{stem}.potato.jsonl"],
        "item_properties": {"id_key": "id", "text_key": "text"},
        "output_annotation_dir": f"{stem}.potato-output",
        "export_annotation_format": ["jsonl"],
        "user_config": {"allow_all_users": True, "users": []},
        "annotation_schemes": [_scheme(q) for q in questions],
    }


def _scheme(question: Question) -> dict[str, Any]:
    about: dict[str, Any] = {"name": question.name, "description": question.asked}
    options = options_of(question)
    if options:
        kind = "multiselect" if question.kind == "several" else "radio"
        labels = [{"name": o["word"], "tooltip": o["definition"]} if o["definition"] else o["word"] for o in options]
        return {"annotation_type": kind, **about, "labels": labels}
    if question.kind == "text":
        return {"annotation_type": "text", **about}
    bounds = {f"{k}_value": b for k, b in (("min", question.low), ("max", question.high)) if b is not None}
    return {"annotation_type": "number", **about, **bounds}


def is_export(line: Mapping[str, Any]) -> bool:
    """Whether a line, or a whole file, is one of Potato."""
    return (
        ("instance_id" in line and "labels" in line)
        or "label_annotations" in line
        or "instance_id_to_label_to_value" in line
    )


def is_header(header: Sequence[str], questions: Sequence[Question]) -> bool:
    """Whether a table is one of Potato: its rows are people's, its columns answers."""
    if not {"instance_id"} <= set(header) or not {"user_id", "user"} & set(header):
        return False
    return not any(q.name in header for q in questions) or any(
        name.startswith(tuple(f"{q.name}{dot}" for dot in _BETWEEN)) for name in header for q in questions
    )


def answers(export: Sequence[Mapping[str, Any]], file: str, questions: Sequence[Question]) -> Iterator[Given]:
    """Answers of every user about every item."""
    for count, line in enumerate(export, start=1):
        if "instance_id_to_label_to_value" in line:
            states = typed(line["instance_id_to_label_to_value"], dict, f"{file}: 'instance_id_to_label_to_value'")
            for document, found in states.items():
                yield _given(document, line.get("user_id"), found, file, questions)
            continue
        name = "instance_id" if "instance_id" in line else "id"
        document = document_of(line.get(name), f"{file}: line {count}", name)
        found = line.get("labels", line.get("label_annotations"))
        yield _given(document, line.get("user_id", line.get("user")), found, file, questions)


def row_answers(rows: Sequence[Mapping[str, Any]], file: str, questions: Sequence[Question]) -> Iterator[Given]:
    """Answers of every row of a table that Potato wrote."""
    for count, row in enumerate(rows, start=1):
        document = document_of(row.get("instance_id"), f"{file}: row {count}", "instance_id")
        found: dict[str, dict[str, Any]] = {}
        for key, value in row.items():
            for question in sorted(questions, key=lambda q: -len(q.name)):
                if key == question.name:
                    found[question.name] = {"": value}
                    break
                after = [
                    key[len(question.name) + len(dot) :] for dot in _BETWEEN if key.startswith(question.name + dot)
                ]
                if after:
                    if not missing(value):
                        found.setdefault(question.name, {})[after[0]] = value
                    break
        yield _given(document, row.get("user_id", row.get("user")), found, file, questions)


def _given(document: Any, who: Any, found: Any, file: str, questions: Sequence[Question]) -> Given:
    where = f"{file}: document {document!r}"
    labels = typed(found, dict, f"{where}: 'labels'")
    raw = {q.name: _value(labels.get(q.name), where, q) for q in questions}
    return Given(str(document), "" if missing(who) else str(who), raw)


def _value(stored: Any, where: str, question: Question) -> Any:
    """The answer in what Potato stores, answer -> true, or field -> answer."""
    if isinstance(stored, Mapping) and isinstance(stored.get("labels"), Mapping):
        stored = stored["labels"]
    if not isinstance(stored, Mapping):
        return answer_in(stored, where, question)
    known = {word for option in options_of(question) for word in (option["value"], option["word"])}
    if "" in stored:
        return answer_in(stored[""], where, question)
    if not known:
        return answer_in([value for value in stored.values() if not missing(value)], where, question)
    chosen = []
    for name, value in stored.items():
        if missing(value) or value is False or str(value).strip().casefold() in _FALSE:
            continue
        chosen.append(value if str(name) not in known and str(value) in known else name)
    return answer_in(chosen, where, question)
