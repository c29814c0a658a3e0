"""Argilla: records to import with their settings, records as it exports them.

Format: what ``Settings.from_json`` and ``records.from_json`` read and ``records.to_json`` and ``to_list(flatten=True)``
write (argilla 2).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..errors import DataError, DesignWarning, tell
from .answers import Given, answer_in, document_of, missing, status_of, typed
from .codes import codebook_text, needs_codebook, options_of
from .questions import EARLIER, Question

_MOST_RATING = 10
"""Largest rating that Argilla takes."""


def records(documents: Sequence[str], texts: Sequence[str], shown: Sequence[Mapping[str, str]]) -> list[dict[str, Any]]:
    """Records to import, one per document."""
    return [
        {"id": document, "fields": {"text": text, **more}, "metadata": {}, "suggestions": {}, "responses": {},
         "vectors": {}}
        for document, text, more in zip(documents, texts, shown)
    ]  # fmt: skip


def settings(questions: Sequence[Question], shown: Sequence[str], instructions: str) -> dict[str, Any]:
    """What ``argilla.Settings.from_json`` reads: fields and questions."""
    fields = [
        {"name": name, "title": name, "required": name == "text", "settings": {"type": "text", "use_markdown": False}}
        for name in (*shown, "text")
    ]
    guidelines = codebook_text(questions, instructions) if needs_codebook(questions) else instructions
    return {
        "guidelines": guidelines or None, "fields": fields, "questions": [_question(q) for q in questions],
        "vectors": [], "metadata": [], "allow_extra_metadata": True,
    }  # fmt: skip


def _question(question: Question) -> dict[str, Any]:
    about: dict[str, Any]
    options = [
        {"value": o["value"], "text": o["word"], "description": o["definition"] or None} for o in options_of(question)
    ]
    if options and question.kind != "rating":
        about = {"type": "label_selection", "options": options, "visible_options": None}
        if question.kind == "several":
            about |= {"type": "multi_label_selection", "options_order": "natural"}
    elif question.kind == "rating" and (question.high or 0) <= _MOST_RATING:
        about = {"type": "rating", "options": [{"value": v} for v in range(1, int(question.high or 1) + 1)]}
    else:  # numbers as text: Argilla has no question for them
        about = {"type": "text", "use_markdown": False}
    hint = None if question.kind == "text" else question.allowed
    return {
        "name": question.name, "title": question.asked, "description": hint, "required": True, "settings": about,
    }  # fmt: skip


def is_export(record: Mapping[str, Any]) -> bool:
    """Whether a record is one of Argilla."""
    return ("fields" in record and "responses" in record) or any(str(key).endswith(".responses") for key in record)


def answers(export: Sequence[Mapping[str, Any]], file: str, questions: Sequence[Question]) -> Iterator[Given]:
    """What every user left about every record; drafts give nothing."""
    known = blind = 0
    for count, record in enumerate(export, start=1):
        document = document_of(record.get("id"), f"{file}: record {count}", "id")
        where = f"{file}: document {document!r}"
        responses = _responses(record, where)
        fields = typed(record.get("fields"), dict, f"{where}: 'fields'")
        settles = not missing(fields.get(EARLIER, record.get(EARLIER)))
        people: dict[str, dict[str, Any]] = {}
        states: dict[str, set[str | None]] = {}
        for question in questions:
            for response in responses.get(question.name, []):
                if "value" not in response:
                    raise DataError(
                        f"{where}: a response to {question.name!r} has the fields {list(response)[:5]}, but no 'value'."
                    )
                who = str(response.get("user_id") or "")
                people.setdefault(who, {})[question.name] = answer_in(response["value"], where, question)
                known, blind = known + ("status" in response), blind + ("status" not in response)
                states.setdefault(who, set()).add(status_of(response.get("status"), where))
        if other := sorted(set(responses) - {q.name for q in questions}):
            lost = [q.name for q in questions if q.name not in responses]
            if lost and not people:
                raise DataError(
                    f"{where} has responses to {', '.join(other[:5])}, but none to {lost[0]!r}; name the questions as "
                    "they were handed out."
                )
        for who, raw in people.items():
            status = next(iter(states[who])) if len(states[who]) == 1 else None
            if status is not None:
                yield Given(document, who, raw, status, settles=settles)
    if blind and not known:
        tell(
            f"{file} does not say which answers are drafts or discarded, so all of them count; export with "
            "records.to_list(flatten=True), which says so.",
            DesignWarning,
        )


def _responses(record: Mapping[str, Any], where: str) -> dict[str, list[Mapping[str, Any]]]:
    """Question -> responses with value, user and status, from nested or flattened records."""
    if "responses" in record:
        nested = typed(record["responses"], dict, f"{where}: 'responses'")
        return {
            name: [typed(one, dict, f"{where}: a response") for one in typed(found, list, f"{where}: responses")]
            for name, found in nested.items()
        }
    out: dict[str, list[Mapping[str, Any]]] = {}
    for key in record:
        name, dot, last = str(key).rpartition(".")
        if not dot or last != "responses":
            continue
        values = typed(record[key], list, f"{where}: {key!r}")
        users = typed(record.get(f"{key}.users"), list, f"{where}: '{key}.users'") or [""] * len(values)
        states = typed(record.get(f"{key}.status"), list, f"{where}: '{key}.status'") or [None] * len(values)
        if not len(users) == len(states) == len(values):
            raise DataError(f"{where}: {key!r} has {len(values)} answers of {len(users)} users; export it anew.")
        out[name] = [{"value": v, "user_id": u, "status": s} for v, u, s in zip(values, users, states)]
    return out
