"""What annotators are asked about each document, and which answers are allowed."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import ArgumentError, DataError

_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}")
"""Numbers whose comma may be a decimal mark or separate thousands."""

KINDS = ("choices", "number", "rating", "text")


@dataclass(frozen=True)
class Question:
    """One question: a gold column to be, of one of the ``KINDS``.

    ``classes`` are the allowed answers of ``"choices"``, ``low`` and ``high`` bound a number; a rating goes from 1 to
    ``high``.

    Examples
    --------
    >>> Question("hostile", "choices", (0, 1)).read("1")
    1
    """

    name: str
    kind: str
    classes: tuple[Any, ...] = ()
    low: float | None = None
    high: float | None = None

    @property
    def numeric(self) -> bool:
        """Whether answers are numbers."""
        if self.kind == "choices":
            return all(isinstance(c, (int, float)) for c in self.classes)
        return self.kind in ("number", "rating")

    @property
    def allowed(self) -> str:
        """Allowed answers in words."""
        if self.kind == "choices":
            return "one of " + ", ".join(repr(str(c)) for c in self.classes)
        if self.kind == "text":
            return "any text"
        low, high = ("" if b is None else f"{b:g}" for b in (self.low, self.high))
        if low and high:
            return f"a number from {low} to {high}"
        return "a number" + (f" of at least {low}" if low else f" of at most {high}" if high else "")

    @property
    def spec(self) -> Any:
        """The question as a user writes it; goes into JSON."""
        if self.kind == "choices":
            return list(self.classes)
        if self.kind == "rating":
            return f"rating:{self.high:g}"
        bounds = "" if self.low is None and self.high is None else ":".join(
            ["", *("" if b is None else f"{b:g}" for b in (self.low, self.high))]
        )  # fmt: skip
        return self.kind + bounds

    def read(self, answer: Any) -> Any:
        """An answer as it goes into the gold column; None where there is none, an error where it is not allowed."""
        text = "" if answer is None else str(answer).strip()
        if not text:
            return None
        if self.kind == "text":
            return text
        if self.kind == "choices":
            return self._choice(text)
        if _THOUSANDS.fullmatch(text):
            raise DataError(
                f"{text!r} for {self.name!r} may be {text.replace(',', '')} or {text.replace(',', '.')}; write it "
                "without a comma"
            )
        value = _number(text)
        if (
            value is None
            or (self.low is not None and value < self.low)
            or (self.high is not None and value > self.high)
        ):
            raise DataError(f"{text!r} is not allowed for {self.name!r}; it must be {self.allowed}")
        return value

    def _choice(self, text: str) -> Any:
        for fold in (str, str.casefold):
            same = [c for c in self.classes if fold(str(c)) == fold(text)]
            if len(same) == 1:
                return same[0]
        value = _number(text)
        for c in self.classes:
            if value is not None and self.numeric and float(c) == value:
                return c
        flags = {"true": 1, "false": 0}
        if text.casefold() in flags and self.numeric and sorted(map(float, self.classes)) == [0.0, 1.0]:
            return next(c for c in self.classes if float(c) == flags[text.casefold()])
        raise DataError(f"{text!r} is not allowed for {self.name!r}; it must be {self.allowed}")


def read_questions(labels: object) -> tuple[Question, ...]:
    """Questions as users write them.

    A mapping: gold column -> a sequence of classes (texts, numbers, or True and False), ``"number"``,
    ``"number:LOW:HIGH"`` (a bound may be empty), ``"rating:MAX"`` or ``"text"``.

    Examples
    --------
    >>> [q.kind for q in read_questions({"hostile": ["no", "yes"], "tone": "number:-4:4"})]
    ['choices', 'number']
    """
    if not isinstance(labels, Mapping) or not labels:
        raise ArgumentError(
            "labels must map each gold column to its classes, or to 'number', 'number:LOW:HIGH', 'rating:MAX' or "
            f"'text', for example labels={{'hostile': ['no', 'yes']}}; got {labels!r}."
        )
    for name in labels:
        if not isinstance(name, str) or not name.strip():
            raise ArgumentError(f"labels names the gold column {name!r}; give texts that are not empty.")
    return tuple(_question(name, given) for name, given in labels.items())


def _question(name: str, given: Any) -> Question:
    if isinstance(given, Question):
        return given
    if isinstance(given, str):
        kind, *bounds = given.split(":")
        numbers = [None if b == "" else _number(b) for b in bounds]
        if kind == "text" and not bounds:
            return Question(name, "text")
        if (
            kind == "number"
            and len(bounds) in (0, 2)
            and all(b == "" or n is not None for b, n in zip(bounds, numbers))
        ):
            low, high = numbers or (None, None)
            if low is not None and high is not None and low >= high:
                raise ArgumentError(
                    f"labels[{name!r}]={given!r} is not allowed; its lower bound must be below its upper."
                )
            return Question(name, "number", (), low, high)
        if kind == "rating" and len(bounds) == 1 and numbers[0] in range(2, 101):
            return Question(name, "rating", (), 1.0, numbers[0])
    elif isinstance(given, Sequence) or hasattr(given, "to_numpy") or isinstance(given, np.ndarray):
        return Question(name, "choices", _classes(name, given))
    raise ArgumentError(
        f"labels[{name!r}]={given!r} is not understood; give two or more different classes, 'number', "
        "'number:LOW:HIGH', 'rating:MAX' or 'text'."
    )


def _classes(name: str, given: Any) -> tuple[Any, ...]:
    """Classes of a question: plain texts, numbers or booleans that no answer can take for each other."""
    classes = tuple(c.item() if isinstance(c, np.generic) else c for c in given)
    why = "" if len(classes) >= 2 else "there must be two or more"
    seen: dict[str, Any] = {}
    for c in classes:
        if not isinstance(c, (str, int, float)) or (isinstance(c, float) and not math.isfinite(c)):
            why = f"{c!r} is neither a text nor a number"
        elif not str(c).strip() or str(c) != str(c).strip():
            why = f"{c!r} is empty, or starts or ends with a space"
        else:
            text = f"{float(c):.17g}" if isinstance(c, (int, float)) and not isinstance(c, bool) else str(c)
            if text in seen:
                why = f"{c!r} and {seen[text]!r} cannot be distinguished in an answer"
            seen[text] = c
    if why:
        raise ArgumentError(f"labels[{name!r}]={given!r} is not allowed as a list of classes: {why}.")
    return classes


def _number(text: str) -> float | None:
    """A number, with a point or a decimal comma."""
    try:
        value = float(text.replace(",", ".") if text.count(",") == 1 and "." not in text else text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
