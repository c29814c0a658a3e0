"""What is asked about every text: the question, its classes or scale, the examples shown."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import ArgumentError, one_of, whole

SYSTEM = "You label texts for a research project. You answer with one label and nothing else."
SYSTEM_JSON = "You label texts for a research project. You answer with JSON and nothing else."
TEMPLATE = "{instruction}\n\nLabels: {labels}\n\nText:\n{text}\n\nAnswer with one of the labels and nothing else."
TEMPLATE_JSON = (
    "{instruction}\n\nLabels: {labels}\n\nText:\n{text}\n\nAnswer with a JSON object that gives for each label the "
    "probability, between 0 and 1, that it is right. The probabilities add up to 1."
)
KINDS = ("label", "json")


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
        Instead of classes: lowest and highest rating; the answer is summed up by its expected value.
    examples : sequence of (text, class)
        Examples shown in the prompt. Rows with these texts are marked, not sent, and must leave the analysis.
    name : str, default "llm"
        Prefix of the columns.
    system : str, optional
        System text; a short default otherwise.
    template : str, optional
        How instruction, labels and text are put together: must hold ``{text}``, may hold ``{instruction}`` and
        ``{labels}``.

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
        shown = [normal(word) for word in self.words]
        if len(shown) < 2 or len(set(shown)) < len(shown) or not all(shown):
            raise ArgumentError(f"classes {list(self.words)} must be two or more different words, none empty.")
        if self.template is not None and "{text}" not in self.template:
            raise ArgumentError("template must hold {text}, where the text goes.")
        for example in self.examples:
            if not (isinstance(example, tuple) and len(example) == 2 and isinstance(example[0], str)):
                raise ArgumentError("examples must be pairs of (text, class).")
            if example[1] not in self.labels:
                raise ArgumentError(f"example class {example[1]!r} is not among the classes {list(self.labels)}.")

    @property
    def labels(self) -> tuple[Any, ...]:
        """The classes, or the values of the scale."""
        if self.scale is not None:
            return tuple(range(self.scale[0], self.scale[1] + 1))
        return tuple(self.classes)

    @property
    def words(self) -> tuple[str, ...]:
        """What the model sees for each class."""
        if isinstance(self.classes, Mapping):
            return tuple(str(word) for word in self.classes.values())
        return tuple(str(label) for label in self.labels)

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
        system = self.system or (SYSTEM if kind == "label" else SYSTEM_JSON)
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
        }

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
        quoted = (len(plain) >= 20 and plain in rest) or f"\u201c{plain}\u201d" in rest
        return "quoted in the prompt" if quoted else ""

    def _fill(self, text: str, kind: str) -> str:
        template = self.template or (TEMPLATE if kind == "label" else TEMPLATE_JSON)
        before, after = template.split("{text}", 1)
        labels = ", ".join(self.words)
        before, after = (
            part.replace("{instruction}", self.instruction).replace("{labels}", labels) for part in (before, after)
        )
        return before + text + after

    def _answer(self, label: Any, kind: str) -> str:
        if kind == "label":
            return self.words[self.labels.index(label)]
        return json.dumps({word: float(label == other) for other, word in zip(self.labels, self.words)})

    def _check_scale(self) -> None:
        scale = self.scale
        if not isinstance(scale, (tuple, list)) or len(scale) != 2:
            raise ArgumentError(f"scale={scale!r} is not allowed; give (lowest, highest), such as (1, 7).")
        low = whole("scale", scale[0], least=-(10**6), most=10**6)
        object.__setattr__(self, "scale", (low, whole("scale", scale[1], least=low + 1, most=low + 100)))


def normal(text: str) -> str:
    """An answer without case, quotation marks, markup and blanks around it."""
    return " ".join(text.casefold().split()).strip("\"'`*_#.,;:!?()[]{}<> \u201c\u201d")
