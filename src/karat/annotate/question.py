"""What is asked about every text: the question, its classes or scale, the examples shown."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from ..errors import ArgumentError, one_of, whole
from . import reading, sets
from .saying import normal

if TYPE_CHECKING:
    from .result import Annotation

SYSTEM = "You label texts for a research project. You answer with one label and nothing else."
SYSTEM_JSON = "You label texts for a research project. You answer with JSON and nothing else."
TEMPLATE = "{instruction}\n\nLabels: {labels}\n\nText:\n{text}\n\nAnswer with one of the labels and nothing else."
TEMPLATE_JSON = (
    "{instruction}\n\nLabels: {labels}\n\nText:\n{text}\n\nAnswer with a JSON object that gives for each label the "
    "probability, between 0 and 1, that it is right. The probabilities add up to 1."
)
SEVERAL = (
    "{instruction}\n\nLabels: {labels}\n\nText:\n{text}\n\nAnswer with a JSON object that says for each label whether "
    "it applies: true or false. Several may apply, or none."
)
SEVERAL_JSON = (
    "{instruction}\n\nLabels: {labels}\n\nText:\n{text}\n\nAnswer with a JSON object that gives for each label the "
    "probability, between 0 and 1, that it applies. Several may apply, or none."
)
OTHER = "{instruction}\n\nAnswer {other} where no other label applies."
KINDS = ("label", "json")
_JSON_TOKENS = 40
_PASSAGE = 20
"""Characters from which a passage tells one text from others."""


@dataclass(frozen=True)
class Question:
    """A question that every text is asked.

    Parameters
    ----------
    instruction : str
        The question in words.
    classes : sequence or mapping, optional
        The answers allowed. A mapping gives the word that the model sees for each class: ``{1: "yes", 0: "no"}``.
    scale : (int, int), optional
        Instead of classes: lowest and highest rating, such as (1, 7) or (0, 100); the answer is summed up by its
        expected value, in which each rating counts by the probability of its tokens.
    examples : sequence of (text, class)
        Shown in the prompt; where several classes may hold: (text, list of classes). Rows with these texts are marked,
        not sent, and must leave the analysis.
    name : str, default "llm"
        Prefix of the columns.
    system : str, optional
        System text; a short default otherwise.
    template : str, optional
        How instruction, labels and text are put together: must hold ``{text}``, may hold ``{instruction}`` and
        ``{labels}``.
    several : bool
        Whether several classes may hold for one text. One reply then says of each class whether it applies, and each
        has a probability of its own.
    other : str, optional
        A further answer for texts to which no class applies, such as ``"none of these"``: a class of its own.
    refusal : str, optional
        Makes refusals an answer: the name of a further class that texts get which the model declines to judge.

    Raises
    ------
    ArgumentError
        If classes or scale cannot be used.

    Examples
    --------
    >>> from karat.annotate import Question
    >>> question = Question("Is the letter for the tram?", classes={1: "yes", 0: "no"})
    >>> question.messages("I like it.")[-1]["content"].splitlines()[2]
    'Labels: yes, no'
    """

    instruction: str
    classes: Any = None
    scale: tuple[int, int] | None = None
    examples: Sequence[tuple[str, Any]] = ()
    name: str = "llm"
    system: str | None = None
    template: str | None = None
    several: bool = False
    other: str | None = None
    refusal: str | None = None

    WAYS: ClassVar[tuple[str, ...]] = ("logprobs", "votes", "json")
    _LEAST_CLASSES: ClassVar[int] = 2

    def __post_init__(self) -> None:
        if not isinstance(self.instruction, str) or not self.instruction.strip():
            raise ArgumentError("instruction is empty; say in words what the model is to decide.")
        if (self.classes is None) == (self.scale is None):
            raise ArgumentError("give classes=[...] or scale=(lowest, highest), one of them.")
        if self.scale is not None:
            self._check_scale()
        elif isinstance(self.classes, (str, bytes)) or not isinstance(self.classes, (Sequence, Mapping)):
            raise ArgumentError(
                f"classes is a {type(self.classes).__name__}; give a list of classes, or class -> word."
            )
        self._check_further()
        shown = [normal(word) for word in self.words]
        if len(shown) < self._LEAST_CLASSES or len(set(shown)) < len(shown) or not all(shown):
            least = "two" if self._LEAST_CLASSES == 2 else "one"
            raise ArgumentError(f"classes {list(self.words)} must be {least} or more different words, none empty.")
        if self.template is not None and "{text}" not in self.template:
            raise ArgumentError("template must hold {text}, where the text goes.")
        for example in self.examples:
            if not (isinstance(example, tuple) and len(example) == 2 and isinstance(example[0], str)):
                raise ArgumentError("examples must be pairs of (text, class).")
            self._check_example(example[1])

    @property
    def labels(self) -> tuple[Any, ...]:
        """The classes, or the values of the scale; the further answer and refusals, where they count, come last."""
        listed = self.classes if self.scale is None else range(self.scale[0], self.scale[1] + 1)
        return (*listed, *(further for further in (self.other, self.refusal) if further is not None))

    @property
    def words(self) -> tuple[str, ...]:
        """What the model sees for each class (refusals have none)."""
        shown = self.classes.values() if isinstance(self.classes, Mapping) else self.classes
        listed = range(self.scale[0], self.scale[1] + 1) if self.scale is not None else shown
        return (*map(str, listed), *([] if self.other is None else [self.other]))

    @property
    def parts(self) -> tuple[Question, ...]:
        """The questions that are asked: itself, or those of a form."""
        return (self,)

    def gold_columns(self, name: str) -> list[str]:
        """Columns that hold what experts say, where the codebook has this name."""
        return [f"{name}_{label}" for label in self.labels if label != self.refusal] if self.several else [name]

    def messages(self, text: str, kind: str = "label") -> list[dict[str, str]]:
        """The chat that asks about one text.

        Parameters
        ----------
        text : str
        kind : {"label", "json"}

        Returns
        -------
        list of dict
        """
        one_of("kind", kind, KINDS)
        system = self.system or (SYSTEM if kind == "label" and not self.several else SYSTEM_JSON)
        out = [{"role": "system", "content": system}]
        for shown, label in self.examples:
            out.append({"role": "user", "content": self._fill(shown, kind)})
            out.append({"role": "assistant", "content": self._answer(label, kind)})
        return [*out, {"role": "user", "content": self._fill(text, kind)}]

    def prompt(self, text: str, kind: str = "label") -> str:
        """The same as one text, for models without chat.

        Parameters
        ----------
        text : str
        kind : {"label", "json"}

        Returns
        -------
        str
        """
        turns = [message["content"] for message in self.messages(text, kind)]
        parts = [turns[0]]
        for asked, answer in zip(turns[1:-1:2], turns[2:-1:2]):
            parts.append(f"{asked}\nAnswer: {answer}")
        return "\n\n".join([*parts, f"{turns[-1]}\nAnswer:"])

    def describe(self) -> dict[str, Any]:
        """All that defines the question, for the record."""
        return {
            "instruction": self.instruction,
            "labels": list(self.labels),
            "words": list(self.words),
            "scale": None if self.scale is None else list(self.scale),
            "examples": [[text, label] for text, label in self.examples],
            "system": self.system or SYSTEM,
            "template": self.template or TEMPLATE,
        } | {name: getattr(self, name) for name in ("several", "other", "refusal") if getattr(self, name)}

    @property
    def digest(self) -> str:
        """Hash of the question."""
        return hashlib.blake2b(json.dumps(self.describe(), default=str).encode(), digest_size=8).hexdigest()

    def why_shown(self, text: str) -> str:
        """Why a text may not be analysed: where the prompt shows it. Empty when it does not."""
        plain = " ".join(text.split())
        if any(plain == " ".join(shown.split()) for shown, _ in self.examples):
            return "shown in the prompt as an example"
        rest = " ".join(f"{self.instruction} {self.system or ''} {self.template or ''}".split())
        if (len(plain) >= _PASSAGE and plain in rest) or f"\u201c{plain}\u201d" in rest:
            return "quoted in the prompt"
        passages = [" ".join(shown.split()) for shown, _ in self.examples] + re.findall(
            "\u201c([^\u201c\u201d]+)\u201d", rest
        )
        held = any(len(passage) >= _PASSAGE and passage in plain for passage in passages)
        return "holds a passage that the prompt shows" if held else ""

    # what answers say; a question of another kind says it in its own way, and all else goes by these

    def way(self, method: str) -> str:
        """How it is asked first where a method is wanted: ``"auto"`` is the best that there is."""
        if method != "auto" and method not in self.WAYS:
            raise ArgumentError(
                f"method={method!r} is not for a {type(self).__name__}; choose one of {', '.join(self.WAYS)}."
            )
        return self.WAYS[0] if method == "auto" else method

    def room(self, kind: str, text: str) -> int:
        """Tokens that an answer in JSON about a text may take; 0 where the answer is a single word."""
        if kind == "label" and not self.several:
            return 0
        return _JSON_TOKENS + sum(len(word.encode()) + 12 for word in self.words)

    def schema(self, kind: str) -> dict[str, Any]:
        """The ``response_format`` that lets an endpoint answer in no other form."""
        return sets.schema(self.words, kind, self.several)

    def from_fields(self, tokens: Sequence[reading.Token]) -> reading.Reading:
        """Probabilities from the tokens of an answer in JSON, where several classes may hold."""
        return sets.from_fields(tokens, self.words)

    def from_answers(self, answers: Sequence[str], text: str) -> reading.Reading:
        """Probabilities from repeated answers about a text; those that were cut short are empty."""
        return (sets.from_sets if self.several else reading.from_votes)(answers, self.words)

    def from_json(self, answer: str, text: str) -> reading.Reading:
        """Probabilities that the model states about a text."""
        return (sets.from_marginals if self.several else reading.from_json)(answer, self.words)

    def shaped(self, found: Annotation, marks: Sequence[Any], texts: Sequence[str]) -> Any:
        """What labels of all texts come as, given what else was read from the answers."""
        return found

    def _check_example(self, given: Any) -> None:
        if self.several and not isinstance(given, (list, tuple, set, frozenset)):
            raise ArgumentError(f"example {given!r} must be a list of classes, since several may hold.")
        for label in given if self.several else [given]:
            if label not in self.labels or label == self.refusal:
                raise ArgumentError(f"example class {label!r} is not among the classes {list(self.labels)}.")

    def _fill(self, text: str, kind: str) -> str:
        ways = (SEVERAL, SEVERAL_JSON) if self.several else (TEMPLATE, TEMPLATE_JSON)
        template = self.template or ways[kind == "json"]
        if self.other is not None:
            template = template.replace("{instruction}", OTHER.replace("{other}", self.other))
        before, after = template.split("{text}", 1)
        labels = ", ".join(self.words)
        before, after = (
            part.replace("{instruction}", self.instruction).replace("{labels}", labels) for part in (before, after)
        )
        return before + text + after

    def _answer(self, label: Any, kind: str) -> str:
        if self.several:
            yes, no = (True, False) if kind == "label" else (1.0, 0.0)
            return json.dumps({word: yes if other in label else no for other, word in zip(self.labels, self.words)})
        if kind == "label":
            return self.words[self.labels.index(label)]
        return json.dumps({word: float(label == other) for other, word in zip(self.labels, self.words)})

    def _check_further(self) -> None:
        for name in ("other", "refusal"):
            word = getattr(self, name)
            if word is None:
                continue
            if not isinstance(word, str) or not word.strip():
                raise ArgumentError(f"{name}={word!r} is not allowed; give a word.")
            if self.scale is not None:
                raise ArgumentError(f"{name}= is for classes; a scale has none besides its values.")
        if self.refusal is not None and self.refusal in (*map(str, self.labels[:-1]), *self.words):
            raise ArgumentError(f"refusal={self.refusal!r} is also a class; give it a name of its own.")
        if self.several and self.scale is not None:
            raise ArgumentError("several= is for classes; a scale has one value for each text.")
        if self.several and self.other is not None:
            raise ArgumentError("other= is not needed where several classes may hold: then none of them applies.")

    def _check_scale(self) -> None:
        scale = self.scale
        if not isinstance(scale, (tuple, list)) or len(scale) != 2:
            raise ArgumentError(f"scale={scale!r} is not allowed; give (lowest, highest), such as (1, 7).")
        low = whole("scale", scale[0], least=-(10**6), most=10**6)
        object.__setattr__(self, "scale", (low, whole("scale", scale[1], least=low + 1, most=low + 100)))
