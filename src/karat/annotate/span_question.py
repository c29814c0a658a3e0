"""A question whose answer is a list of passages: quoted by the model, found again in the text."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..errors import ArgumentError, KaratWarning, one_of, tell
from .located import Marks, Quote, averaged, located
from .question import SYSTEM_JSON, Question
from .reading import Reading
from .saying import Unreadable, declines, normal, short, spoken
from .sets import object_schema, response_format

if TYPE_CHECKING:
    from .result import Annotation
    from .span_result import SpanAnnotation

TEMPLATE_SPANS = (
    '{instruction}\n\nLabels: {labels}\n\nText:\n{text}\n\nAnswer with a JSON object whose field "passages" is a list '
    'of the passages. Each has "label", one of the labels, "quote", the passage word for word as it stands in the '
    'text, {sure}and "before", the few words that stand before it in the text. Passages may overlap. Where there are '
    "none the list is empty."
)
_SURE = '"confidence", the probability between 0 and 1 that the label is right, '
_FIELDS = ("label", "quote", "confidence", "before")
_LEAST_TOKENS = 256


@dataclass(frozen=True)
class SpanQuestion(Question):
    """A question that is answered with passages of the text, each with a label.

    Parameters
    ----------
    instruction : str
        What is to be marked, in words.
    classes : sequence or mapping
        Labels that passages may have; one is enough. A mapping gives the word that the model sees.
    examples : sequence of (text, list of (label, quote))
        Shown in the prompt.
    name, system, template
        As in :class:`Question`.
    confidence : bool
        Whether the model states a probability for each passage.

    Raises
    ------
    ArgumentError
        If an argument cannot be used.

    Notes
    -----
    The reply quotes passages, and each quote is looked for in the text: as it stands, then with other blanks, capital
    letters and forms of quotation marks. A quote that is not there, or whose place is not certain since its words stand
    several times, is not placed: see ``lost`` of :class:`SpanAnnotation`. A reply that is not such a list, or has
    another label, does not count as an answer.

    One reply is read as it is (``method="json"``, also ``"auto"``); with ``method="votes"`` the confidence of a passage
    is the share of the answers that mark it.

    Examples
    --------
    >>> from karat.annotate import SpanQuestion
    >>> question = SpanQuestion("Mark every threat.", classes=["threat"], name="found")
    >>> answer = '{"passages": [{"label": "threat", "quote": "come back"}]}'
    >>> question.from_json(answer, "I will come back.").marks.passages
    (Passage(start=7, end=16, label=0, text='come back', confidence=1.0),)
    """

    confidence: bool = False

    WAYS: ClassVar[tuple[str, ...]] = ("json", "votes")
    _LEAST_CLASSES: ClassVar[int] = 1

    def __post_init__(self) -> None:
        one_of("confidence", self.confidence, (True, False))
        for name in ("scale", "other", "refusal"):
            if getattr(self, name) is not None:
                raise ArgumentError(f"{name}= is not for passages; leave it out.")
        object.__setattr__(self, "several", True)
        shown = [(text, tuple(map(tuple, given))) for text, given in self.examples]
        object.__setattr__(self, "examples", tuple(shown))
        super().__post_init__()

    def describe(self) -> dict[str, Any]:
        """All that defines the question, for the record."""
        own = {"template": self.template or TEMPLATE_SPANS, "system": self.system or SYSTEM_JSON}
        return {**super().describe(), **own, "passages": True, "confidence": self.confidence}

    def gold_columns(self, name: str) -> list[str]:
        """Columns of :meth:`karat.Spans.documents` that say whether there is a passage."""
        return [f"{name}_{label}_any" for label in self.labels]

    def room(self, kind: str, text: str) -> int:
        """Tokens that an answer may take: about as much as the text has, however little that is."""
        return _LEAST_TOKENS + len(text.encode("utf-8", "surrogatepass")) // 2

    def schema(self, kind: str) -> dict[str, Any]:
        """The ``response_format`` that lets an endpoint answer in no other form."""
        each: dict[str, Any] = {"label": {"type": "string", "enum": list(self.words)}, "quote": {"type": "string"}}
        each |= {"confidence": {"type": "number"}} if self.confidence else {}
        each |= {"before": {"type": "string"}}
        listed = {"passages": {"type": "array", "items": object_schema(each)}}
        return response_format("passages", listed)

    def from_fields(self, tokens: Sequence[Any]) -> Reading:
        """Passages have no log-probabilities."""
        raise Unreadable("passages have no log-probabilities")

    def from_answers(self, answers: Sequence[str], text: str) -> Reading:
        """Passages with the share of the answers that mark them, among those that can be read."""
        said, why = [], "there is no answer"
        for answer in answers:
            try:
                said.append(self._marks(answer, text))
            except Unreadable as error:
                why = str(error)
        if not said or len(said) * 2 < len(answers):
            raise Unreadable(why)
        marks = averaged(said, len(self.words))
        return Reading(marks.p, len(said) / len(answers), marks=marks)

    def from_json(self, answer: str, text: str) -> Reading:
        """Passages of one answer."""
        marks = self._marks(answer, text)
        return Reading(marks.p, 1.0, marks=marks)

    def shaped(self, found: Annotation, marks: Sequence[Marks | None], texts: Sequence[str]) -> SpanAnnotation:
        """Labels with the passages that they rest on; quotes that were not found are told."""
        from .span_result import SpanAnnotation

        about = {name: getattr(found, name) for name in found.__dataclass_fields__}
        made = SpanAnnotation(**about, marks=tuple(marks), lengths=np.array([len(text) for text in texts]))
        if lost := [one for each in marks if each is not None for one in each.lost]:
            of = sum(bool(each.lost) for each in marks if each is not None)
            tell(
                f"{len(lost)} quotes in {of} of {len(texts)} texts were not found or stand several times, so that they "
                f"mark nothing; the first: {lost[0].words[:60]!r} {lost[0].why}. The attribute lost has all.",
                KaratWarning,
            )
        return made

    def _marks(self, answer: str, text: str) -> Marks:
        return located([self._quote(one, answer) for one in _listed(answer)], str(text), len(self.words))

    def _quote(self, given: Any, answer: str) -> Quote:
        shown = f"the answer {answer.strip()[:60]!r}"
        if not isinstance(given, Mapping) or not {"label", "quote"} <= set(given) or set(given) - set(_FIELDS):
            raise Unreadable(f"{shown} lists {str(given)[:60]!r}, where a label and a quote belong")
        names = [normal(word) for word in self.words]
        label, words, sure = str(given["label"]), given["quote"], given.get("confidence", 1.0)
        if normal(label) not in names:
            raise Unreadable(f"{shown} has the label {label[:40]!r}, which is none of {short(self.words)}")
        if not isinstance(words, str) or not words.strip():
            raise Unreadable(f"{shown} quotes {str(words)[:40]!r}, which is not text")
        if isinstance(sure, bool) or not isinstance(sure, (int, float)) or not 0 <= sure <= 1:
            raise Unreadable(f"{shown} has the confidence {str(sure)[:40]}, which is not a probability")
        before = given.get("before") or ""
        if not isinstance(before, str):
            raise Unreadable(f"{shown} has {str(before)[:40]!r} before a passage, which is not text")
        return Quote(names.index(normal(label)), words, before, float(sure) if self.confidence else 1.0)

    def _fill(self, text: str, kind: str) -> str:
        template = (self.template or TEMPLATE_SPANS).replace("{sure}", _SURE if self.confidence else "")
        before, after = template.split("{text}", 1)
        labels = ", ".join(self.words)
        before, after = (
            part.replace("{instruction}", self.instruction).replace("{labels}", labels) for part in (before, after)
        )
        return before + text + after

    def _answer(self, label: Any, kind: str) -> str:
        sure = {"confidence": 1.0} if self.confidence else {}
        word = dict(zip(self.labels, self.words))
        listed = [{"label": word[code], "quote": quote, **sure, "before": ""} for code, quote in label]
        return json.dumps({"passages": listed}, ensure_ascii=False)

    def _check_example(self, given: Any) -> None:
        for pair in given:
            if len(pair) != 2 or pair[0] not in self.labels or not isinstance(pair[1], str):
                raise ArgumentError(f"example {pair!r} must be (label, quote), the label one of {list(self.labels)}.")


def _listed(answer: str) -> list[Any]:
    """The list of passages in an answer, which may stand by itself or in a fence."""
    clean = spoken(answer)
    starts = [place for place in (clean.find("{"), clean.find("[")) if place >= 0]
    start, end = min(starts, default=-1), max(clean.rfind("}"), clean.rfind("]"))
    try:
        found = json.loads(clean[start : end + 1]) if start >= 0 else None
    except (ValueError, RecursionError):
        found = None
    if isinstance(found, Mapping) and list(found) == ["passages"]:
        found = found["passages"]
    if not isinstance(found, list):
        why = "is a refusal" if declines(answer) else "is not a list of passages"
        raise Unreadable(f"the answer {answer.strip()[:60]!r} {why}")
    return found
