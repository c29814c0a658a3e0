"""Several questions in one request: a form, answered as a JSON object, with probabilities of every field."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ArgumentError
from .panel import Panel
from .question import Question
from .reading import Reading, Token, from_tokens
from .saying import Unreadable, normal, spoken
from .sets import object_schema, response_format, tokens_of_value, values_of

if TYPE_CHECKING:
    from .result import Annotation

_ASKED = "{fields}\n\nText:\n{text}\n\nAnswer with a JSON object that has for each of {names} one of its labels."
_STATED = (
    "{fields}\n\nText:\n{text}\n\nAnswer with a JSON object that has for each of {names} an object with the "
    "probability, between 0 and 1, of each of its labels."
)


@dataclass(frozen=True)
class Form(Question):
    """Several questions that every text is asked in one request.

    Parameters
    ----------
    fields : sequence of Question
        With classes, one of which holds; their names are the fields of the answer. With ``Endpoint(structured=True)``
        the answer is held to a JSON schema.
    name : str
        Prefix of the columns: those of a field begin with ``NAME_FIELD``.

    Raises
    ------
    ArgumentError
        If a field cannot be asked in a form.

    Examples
    --------
    >>> from karat.annotate import Form, Question
    >>> tone = Question("Is it friendly?", classes=["yes", "no"], name="tone")
    >>> topic = Question("What is it about?", classes=["law", "war"], name="topic")
    >>> print(Form.of([tone, topic]).messages("A text.")[-1]["content"].splitlines()[0])
    tone: Is it friendly? Labels: yes, no
    """

    fields: Sequence[Question] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.fields:
            raise ArgumentError("fields is empty; make a form of its questions with Form.of([...]).")

    @classmethod
    def of(cls, fields: Sequence[Question], name: str = "llm", system: str | None = None) -> Form:
        """A form from its questions.

        Parameters
        ----------
        fields : sequence of Question
        name : str
        system : str, optional
        """
        if isinstance(fields, Question) or not isinstance(fields, (list, tuple)) or len(fields) < 2:
            raise ArgumentError("fields must be two or more questions.")
        for field in fields:
            if not isinstance(field, Question) or isinstance(field, Form):
                raise ArgumentError(f"fields holds {type(field).__name__}, which is not a Question.")
            odd = [n for n in ("several", "refusal", "examples", "template", "system") if getattr(field, n)]
            if field.classes is None or odd:
                raise ArgumentError(
                    f"the field {field.name!r} has {odd[0] if odd else 'a scale'}, which a form cannot ask; give "
                    "classes and an instruction."
                )
        names = [normal(field.name) for field in fields]
        if len(set(names)) < len(names):
            raise ArgumentError(f"two fields have the same name in {[f.name for f in fields]}.")
        listed = [f"{field.name}: {word}" for field in fields for word in field.words]
        told = "\n\n".join(_told(field) for field in fields)
        return cls(told, classes=listed, name=name, system=system, several=True, fields=tuple(fields))

    @property
    def parts(self) -> tuple[Question, ...]:
        """The questions of the form."""
        return tuple(self.fields)

    def describe(self) -> dict[str, Any]:
        """All that defines the form, for the record."""
        return {**super().describe(), "fields": [field.describe() | {"name": field.name} for field in self.fields]}

    def _fill(self, text: str, kind: str) -> str:
        template = _ASKED if kind == "label" else _STATED
        before, after = template.split("{text}", 1)
        names = ", ".join(json.dumps(field.name, ensure_ascii=False) for field in self.fields)
        before, after = (p.replace("{names}", names).replace("{fields}", self.instruction) for p in (before, after))
        return before + text + after

    def schema(self, kind: str) -> dict[str, Any]:
        """The ``response_format`` that lets an endpoint answer in no other form."""
        inside = {}
        for field in self.fields:
            inside[field.name] = {"type": "string", "enum": list(field.words)}
            if kind == "json":
                inside[field.name] = object_schema({word: {"type": "number"} for word in field.words})
        return response_format("form", inside)

    def from_fields(self, tokens: Sequence[Token]) -> Reading:
        """Distributions of all fields, one after the other, from the tokens at which their values begin.

        What is read at a field is its distribution given the fields before it, as they were answered.
        """
        answer = "".join(token.text for token in tokens)
        found = [
            from_tokens(tokens_of_value(tokens, start), field.words)
            for field, start in zip(self.fields, values_of(answer, [field.name for field in self.fields]))
        ]
        worst = max(found, key=lambda one: one.unresolved)
        return Reading(
            np.concatenate([one.p for one in found]), min(one.mass for one in found), worst.unresolved,
            max(one.unlisted for one in found),
        )  # fmt: skip

    def from_answers(self, answers: Sequence[str], text: str) -> Reading:
        """Shares of answers that give each label to its field, among those that can be read."""
        said, why = [], "there is no answer"
        for answer in answers:
            try:
                said.append(np.concatenate([_one_hot(self._stated(answer, f), f, answer) for f in self.fields]))
            except Unreadable as error:
                why = str(error)
        if not said or len(said) * 2 < len(answers):
            raise Unreadable(why)
        return Reading(np.mean(said, axis=0), len(said) / len(answers))

    def from_json(self, answer: str, text: str) -> Reading:
        """Distributions that the model states."""
        parts = []
        for field in self.fields:
            given = self._stated(answer, field)
            if not isinstance(given, dict):
                parts.append(_one_hot(given, field, answer))
                continue
            stated = {normal(str(word)): value for word, value in given.items()}
            p = np.array([_number(stated.get(normal(word), 0.0)) for word in field.words])
            if not (np.isfinite(p).all() and (p >= 0).all() and abs(p.sum() - 1.0) <= 0.1):
                raise Unreadable(f"the probabilities of {field.name!r} in {answer[:80]!r} do not add up to 1")
            parts.append(p / p.sum())
        return Reading(np.concatenate(parts), 1.0)

    def _stated(self, answer: str, field: Question) -> Any:
        """What an answer says of a field."""
        clean = spoken(answer)
        start, end = clean.find("{"), clean.rfind("}")
        try:
            found = json.loads(clean[start : end + 1]) if start >= 0 else None
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise Unreadable(f"the answer {answer.strip()[:60]!r} is not a JSON object")
        named = {normal(str(name)): value for name, value in found.items()}
        if normal(field.name) not in named:
            raise Unreadable(f"the answer {answer.strip()[:60]!r} leaves out {field.name!r}")
        return named[normal(field.name)]

    def shaped(self, found: Annotation, marks: Sequence[Any], texts: Sequence[str]) -> Panel:
        """Labels of each field by themselves; what the form has cost stands with the first."""
        members, at = [], 0
        for k, field in enumerate(self.fields):
            to = at + len(field.words)
            record = {**found.provenance, "question": field.describe(), "form": found.provenance["question"]}
            free = replace(
                found.cost, amount=0.0, requests=0, prompt_tokens=0, completion_tokens=0, uncertain=0, sent=0
            )
            members.append(replace(
                found, classes=field.labels, probabilities=found.probabilities[:, at:to], several=False,
                name=f"{found.name}_{field.name}", worker=f"{found.worker} / {field.name}", provenance=record,
                cost=found.cost if k == 0 else free,
            ))  # fmt: skip
            at = to
        return Panel(tuple(members))


def _told(field: Question) -> str:
    other = "" if field.other is None else f" {field.other} where no other label applies."
    return f"{field.name}: {field.instruction} Labels: {', '.join(field.words)}{other and '.' + other}"


def _one_hot(value: Any, field: Question, answer: str) -> Any:
    said = [normal(word) == normal(str(value)) for word in field.words]
    if not any(said):
        raise Unreadable(
            f"the answer {answer.strip()[:60]!r} says {str(value)[:40]!r} of {field.name!r}, none of its labels"
        )
    return np.array(said, dtype=np.float64)


def _number(value: Any) -> float:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else float("nan")
