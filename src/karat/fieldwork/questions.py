"""What annotators are asked about each document, and which answers are allowed."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..errors import ArgumentError, DataError

_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}")
"""Numbers whose comma may be a decimal mark or separate thousands."""

KINDS = ("choices", "several", "number", "scale", "rating", "text")
EARLIER = "earlier"
"""Column with what others answered, in files of the round that settles disagreements."""
NONE = "none"
"""What people write where none of several classes holds."""


@dataclass(frozen=True)
class Question:
    """One question: a gold column to be, of one of the ``KINDS``.

    ``classes`` are the allowed answers of ``"choices"`` and ``"several"`` (any number of them may hold), ``words`` what
    people see for each; ``low`` and ``high`` bound a number; a scale has the whole numbers between them, a rating goes
    from 1 to ``high``. ``codebook``: a codebook as plain values, if the question comes from one.

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
    words: tuple[str, ...] = ()
    codebook: Mapping[str, Any] | None = field(default=None, compare=False, repr=False)

    @property
    def shown(self) -> tuple[str, ...]:
        """What people see for each class."""
        return self.words or tuple(str(c) for c in self.classes)

    @property
    def asked(self) -> str:
        """The question in words; its name where there are none."""
        return str((self.codebook or {}).get("question") or self.name)

    @property
    def columns(self) -> tuple[Question, ...]:
        """Questions with one answer each: of several classes, whether each one holds (0 or 1)."""
        if self.kind != "several":
            return (self,)
        return tuple(Question(f"{self.name}_{c}", "choices", (0, 1)) for c in self.classes)

    @property
    def numeric(self) -> bool:
        """Whether answers are numbers."""
        if self.kind == "choices":
            return all(isinstance(c, (int, float)) for c in self.classes)
        return self.kind in ("number", "scale", "rating")

    @property
    def allowed(self) -> str:
        """Allowed answers in words."""
        if self.kind in ("choices", "several"):
            listed = ", ".join(repr(text) for text in self.shown)
            return f"one of {listed}" if self.kind == "choices" else f"{NONE!r}, or any of {listed}, separated by ;"
        if self.kind == "text":
            return "any text"
        what = "a whole number" if self.kind == "scale" else "a number"
        low, high = ("" if b is None else f"{b:g}" for b in (self.low, self.high))
        if low and high:
            return f"{what} from {low} to {high}"
        return what + (f" of at least {low}" if low else f" of at most {high}" if high else "")

    @property
    def spec(self) -> Any:
        """The question as a user writes it; goes into JSON."""
        if self.codebook is not None:
            return dict(self.codebook)
        if self.kind == "choices":
            return list(self.classes)
        if self.kind == "several":
            return "several:" + ",".join(self.classes)
        if self.kind == "rating":
            return f"rating:{self.high:g}"
        bounds = "" if self.low is None and self.high is None else ":".join(
            ["", *("" if b is None else f"{b:g}" for b in (self.low, self.high))]
        )  # fmt: skip
        return self.kind + bounds

    def read(self, answer: Any) -> Any:
        """An answer as it goes into the gold column; None where there is none, an error where it is not allowed."""
        if self.kind == "several":
            return self._several(answer)
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
            or (self.kind == "scale" and value != int(value))
        ):
            raise DataError(f"{text!r} is not allowed for {self.name!r}; it must be {self.allowed}")
        return value

    def _choice(self, text: str) -> Any:
        for shown in (map(str, self.classes), self.words):
            listed = list(zip(self.classes, shown))
            for fold in (str, str.casefold):
                same = [c for c, word in listed if fold(word) == fold(text)]
                if len(same) == 1:
                    return same[0]
        value = _number(text)
        for c in self.classes:
            if value is not None and isinstance(c, (int, float)) and float(c) == value and self.numeric:
                return c
        flags = {"true": 1, "false": 0}
        if text.casefold() in flags and self.numeric and sorted(map(float, self.classes)) == [0.0, 1.0]:
            return next(c for c in self.classes if float(c) == flags[text.casefold()])
        raise DataError(f"{text!r} is not allowed for {self.name!r}; it must be {self.allowed}")

    def _several(self, answer: Any) -> tuple[Any, ...] | None:
        """The classes that hold, in their order; None where there is no answer."""
        if answer is None:
            return None
        parts = list(answer) if isinstance(answer, (list, tuple)) else re.split(r"[;\n]", str(answer))
        texts = [str(part).strip() for part in parts if str(part).strip()]
        if not texts:
            return () if isinstance(answer, (list, tuple)) else None
        if NONE in (text.casefold() for text in texts):
            if len(texts) > 1:
                raise DataError(f"{answer!r} for {self.name!r} says {NONE!r} and names a class; it must be one of them")
            return ()
        found = [self._choice(text) for text in texts]
        return tuple(c for c in self.classes if c in found)


def read_questions(labels: object) -> tuple[Question, ...]:
    """Questions as users write them.

    A mapping: gold column -> a sequence of classes (texts, numbers, or True and False), ``"number"``,
    ``"number:LOW:HIGH"`` (a bound may be empty), ``"scale:LOW:HIGH"`` (whole numbers), ``"rating:MAX"``,
    ``"several:CLASS,CLASS"`` (any number of them may hold), ``"text"``, or a codebook. Codebooks by themselves give the
    column of their name.

    Examples
    --------
    >>> [q.kind for q in read_questions({"hostile": ["no", "yes"], "tone": "number:-4:4"})]
    ['choices', 'number']
    """
    books: Any = [labels] if _is_codebook(labels) else labels
    if isinstance(books, (list, tuple)) and books and all(_is_codebook(book) for book in books):
        labels = {book.name: book for book in books}
        if len(labels) < len(books):
            raise ArgumentError(f"labels holds two codebooks named {books[0].name!r}; give each a name of its own.")
    if not isinstance(labels, Mapping) or not labels:
        raise ArgumentError(
            "labels must map each gold column to its classes, or to 'number', 'number:LOW:HIGH', 'scale:LOW:HIGH', "
            "'rating:MAX', 'several:CLASS,CLASS', 'text' or a codebook, for example "
            f"labels={{'hostile': ['no', 'yes']}}; got {labels!r}."
        )
    for name in labels:
        if not isinstance(name, str) or not name.strip():
            raise ArgumentError(f"labels names the gold column {name!r}; give texts that are not empty.")
    found = tuple(_question(name, given) for name, given in labels.items())
    names = [column.name for question in found for column in question.columns]
    if twice := [name for name in names if names.count(name) > 1]:
        raise ArgumentError(f"labels would give two gold columns named {twice[0]!r}; rename one.")
    return found


def _question(name: str, given: Any) -> Question:
    if isinstance(given, Question):
        return given
    if _is_codebook(given):
        given = given.describe()
    if isinstance(given, Mapping):
        return _from_codebook(name, given)
    if isinstance(given, str):
        kind, *bounds = given.split(":")
        if kind == "several" and bounds:
            return Question(name, "several", _several(name, [c.strip() for c in given[8:].split(",")]))
        numbers = [None if b == "" else _number(b) for b in bounds]
        if kind == "text" and not bounds:
            return Question(name, "text")
        known = all(b == "" or n is not None for b, n in zip(bounds, numbers))
        if known and ((kind == "number" and len(bounds) in (0, 2)) or (kind == "scale" and len(bounds) == 2)):
            low, high = numbers or (None, None)
            if low is not None and high is not None and low >= high:
                raise ArgumentError(
                    f"labels[{name!r}]={given!r} is not allowed; its lower bound must be below its upper."
                )
            if kind == "number" or (low is not None and high is not None and low % 1 == high % 1 == 0):
                return Question(name, kind, (), low, high)
        if kind == "rating" and len(bounds) == 1 and numbers[0] in range(2, 101):
            return Question(name, "rating", (), 1.0, numbers[0])
    elif isinstance(given, Sequence) or hasattr(given, "to_numpy") or isinstance(given, np.ndarray):
        return Question(name, "choices", _classes(name, given))
    raise ArgumentError(
        f"labels[{name!r}]={given!r} is not understood; give two or more different classes, 'number', "
        "'number:LOW:HIGH', 'scale:LOW:HIGH', 'rating:MAX', 'several:CLASS,CLASS', 'text' or a codebook."
    )


def _is_codebook(given: Any) -> bool:
    """Whether it is a codebook, which this room does not know."""
    return callable(getattr(given, "describe", None)) and isinstance(getattr(given, "question", None), str)


def _from_codebook(name: str, given: Mapping[str, Any]) -> Question:
    """A question from a codebook as plain values (``Codebook.describe``)."""
    scale, codes = given.get("scale"), given.get("codes")
    if isinstance(scale, (list, tuple)) and len(scale) == 2 and all(isinstance(end, (int, float)) for end in scale):
        return Question(name, "scale", (), float(scale[0]), float(scale[1]), codebook=given)
    if (
        not isinstance(codes, (list, tuple))
        or not codes
        or any(not isinstance(code, Mapping) or "value" not in code for code in codes)
    ):
        raise ArgumentError(f"labels[{name!r}] is a mapping, but not a codebook with codes or a scale; give one.")
    values, words = [code["value"] for code in codes], [str(code.get("word", code["value"])) for code in codes]
    if given.get("other"):
        values, words = [*values, given["other"]], [*words, str(given["other"])]
    several = bool(given.get("several"))
    classes = _several(name, values) if several else _classes(name, values)
    if several:
        _several(name, words)
    texts = [str(c) for c in classes]
    if crossed := [word for k, word in enumerate(words) if word in texts and texts.index(word) != k]:
        raise ArgumentError(
            f"labels[{name!r}]: the word {crossed[0]!r} of one code is the value of another; rename it."
        )
    return Question(name, "several" if several else "choices", classes, words=tuple(words), codebook=given)


def _several(name: str, given: Any) -> tuple[Any, ...]:
    """Classes of which several may hold: no one word says 'none', or two classes."""
    classes = _classes(name, given)
    if odd := [c for c in classes if str(c).casefold() == NONE or re.search(r"[;\n]", str(c))]:
        raise ArgumentError(
            f"labels[{name!r}]: the class {odd[0]!r} cannot be one of several, since {NONE!r} says that none holds and "
            "semicolons separate classes; rename it."
        )
    return classes


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
