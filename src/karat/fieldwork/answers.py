"""What an answer is, whatever tool it was given in: values, and whether it was given, skipped, refused or flagged."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import DataError
from .questions import Question

ANSWERED, SKIPPED, REFUSED, FLAGGED = STATUSES = ("answered", "skipped", "refused", "flagged")
DOCUMENT, WHO, STATUS, NOTE, SETTLES = "document", "annotator", "status", "note", "settles"
"""Columns of tables of answers that have a meaning of their own."""
COUNT = (ANSWERED, FLAGGED)
_WORDS: dict[str, str | None] = {
    **dict.fromkeys(("", "accept", "answered", "complete", "completed", "done", "ok", "submitted"), ANSWERED),
    **dict.fromkeys(("cancelled", "discarded", "ignore", "ignored", "skip", "skipped"), SKIPPED),
    **dict.fromkeys(("refuse", "refused", "reject", "rejected"), REFUSED),
    **dict.fromkeys(("flag", "flagged"), FLAGGED),
    **dict.fromkeys(("draft", "pending"), None),
}
"""What tools call it; None is work that is not handed in yet."""


@dataclass(frozen=True)
class Given:
    """What one person, or one run of a model, left about one document.

    Answers count where the status is ``"answered"`` or ``"flagged"`` (with the wish that somebody looks again).
    ``"skipped"`` (passed on) and ``"refused"`` (it cannot be said) hold none, whatever was typed before. ``settles``:
    whether the person saw what others answered, and decided.
    """

    document: str
    who: str
    raw: Mapping[str, Any]
    status: str = ANSWERED
    note: str = ""
    settles: bool = False

    @property
    def counts(self) -> bool:
        """Whether its answers are to be taken."""
        return self.status in COUNT


def status_of(word: Any, where: str) -> str | None:
    """One of :data:`STATUSES` for what a tool or a person calls it; None for what is not handed in yet.

    Examples
    --------
    >>> status_of("Discarded", "record 1"), status_of(None, "record 1"), status_of("draft", "record 1")
    ('skipped', 'answered', None)
    """
    text = "" if missing(word) else str(word).strip().casefold()
    if text not in _WORDS:
        raise DataError(f"{where}: the status {str(word)[:40]!r} is not known; write one of {', '.join(STATUSES)}.")
    return _WORDS[text]


def missing(value: Any) -> bool:
    """Whether a cell holds nothing."""
    if isinstance(value, (list, tuple, dict)):
        return not value
    return value is None or value != value or not str(value).strip() or str(value) == "<NA>"


def answer_in(value: Any, where: str, question: Question) -> Any:
    """The answer in what a tool stores; lists may be written as JSON, and an empty one is no answer.

    Where several classes may hold, a list is the answer; elsewhere a list of one is its entry.
    """
    if (
        isinstance(value, str)
        and value.lstrip().startswith("[")
        and question.kind != "text"
        and (value.strip() not in map(str, question.classes))
    ):
        try:
            value = json.loads(value)
        except ValueError:
            return value
    if isinstance(value, (list, tuple)):
        if question.kind == "several" and all(isinstance(part, (str, int, float)) for part in value):
            return list(value) or None
        if len(value) > 1:
            raise DataError(f"{where} has {len(value)} answers to {question.name!r}; one is allowed.")
        value = value[0] if value else None
    if isinstance(value, float) and math.isnan(value):
        return None
    if hasattr(value, "item"):
        value = value.item()
    if not (value is None or isinstance(value, (str, int, float))):
        raise DataError(f"{where}: the answer to {question.name!r} is {str(value)[:40]!r}, not a text or number.")
    return value


def typed(value: Any, kind: type[Any], what: str) -> Any:
    """A list or an object of an export; an empty one where there is null."""
    if value is None:
        return kind()
    if not isinstance(value, kind):
        wanted = "a list" if kind is list else "an object with named fields"
        raise DataError(f"{what} is {str(value)[:40]!r}, where {wanted} belongs; export the project anew.")
    return value


def document_of(value: Any, where: str, field: str) -> str:
    """The name of a document, a text that is not empty."""
    if missing(value) or isinstance(value, (bool, list, dict)):
        raise DataError(
            f"{where} has no {field!r}, so it is not known which document it is; import what to_labelling wrote, and "
            "export it with all its fields."
        )
    return str(int(value)) if isinstance(value, float) and value == int(value) else str(value).strip()
