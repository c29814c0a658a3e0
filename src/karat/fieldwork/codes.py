"""The codebook as annotators see it: allowed answers, when each applies, examples and boundaries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .questions import NONE, Question

MOST = 11
"""Whole numbers of a scale that are still offered one by one."""


def codes_of(question: Question) -> list[dict[str, Any]]:
    """Each allowed class: value and word as texts, definition, examples, boundaries (empty where there are none).

    Examples
    --------
    >>> codes_of(Question("hostile", "choices", (0, 1)))[1]
    {'value': '1', 'word': '1', 'definition': '', 'examples': [], 'boundaries': ''}
    """
    book: Mapping[str, Any] = question.codebook or {}
    told = {str(code["value"]): code for code in book.get("codes", ())}
    out = []
    for value, word in zip(map(str, question.classes), question.shown):
        code = told.get(value, {})
        definition = str(code.get("definition", ""))
        if not definition and book.get("other") is not None and value == str(book["other"]):
            definition = "None of the other codes applies."
        out.append(_code(value, word, definition, code.get("examples", ()), code.get("boundaries", "")))
    return out


def options_of(question: Question, most: int = MOST) -> list[dict[str, Any]]:
    """What tools offer to choose from, as :func:`codes_of` gives it; nothing where answers are typed.

    Ratings and short scales offer their numbers; where several classes may hold, ``none`` is offered too.

    Examples
    --------
    >>> [option["word"] for option in options_of(Question("topic", "several", ("law", "war")))]
    ['law', 'war', 'none']
    """
    if question.kind == "several":
        return [*codes_of(question), _code(NONE, NONE)]
    low, high = question.low, question.high
    if low is None or high is None or question.kind not in ("scale", "rating"):
        return codes_of(question)
    if question.kind == "scale" and high - low >= most:
        return []
    return [_code(str(value), str(value)) for value in range(int(low), int(high) + 1)]


def _code(
    value: str, word: str, definition: str = "", examples: Sequence[Any] = (), boundaries: Any = ""
) -> dict[str, Any]:
    return {
        "value": value, "word": word, "definition": definition, "examples": [str(example) for example in examples],
        "boundaries": str(boundaries),
    }  # fmt: skip


def needs_codebook(questions: Sequence[Question]) -> bool:
    """Whether there is more to say about the questions than their names and answers."""
    return any(q.codebook or q.kind == "several" for q in questions)


def codebook_text(questions: Sequence[Question], instructions: str = "") -> str:
    """The codebook as a plain text, for those who answer in a spreadsheet.

    Examples
    --------
    >>> print(codebook_text([Question("tone", "scale", (), 1.0, 7.0)]))
    tone
    ====
    Answer: a whole number from 1 to 7
    <BLANKLINE>
    """
    parts = [instructions.strip() + "\n"] if instructions.strip() else []
    for question in questions:
        lines = [question.name, "=" * len(question.name)]
        lines += [question.asked] if question.asked != question.name else []
        lines.append(f"Answer: {question.allowed}")
        for code in codes_of(question):
            lines += ["", f"{code['word']}" + (f": {code['definition']}" if code["definition"] else "")]
            lines += [f"    for example: {example}" for example in code["examples"]]
            lines += [f"    not this: {code['boundaries']}"] if code["boundaries"] else []
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)
