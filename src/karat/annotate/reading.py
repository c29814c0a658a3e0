"""From what a model answered to a distribution over classes: log-probabilities, votes, JSON. Pure functions."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .question import normal

if TYPE_CHECKING:
    from .._types import Floats

_OPENING = " \t\r\n\"'`*_#([{<\u201c\u2581\u0120\u010a"
_THOUGHTS = re.compile(r"<think(?:ing)?>.*?(?:</think(?:ing)?>|\Z)|\A.*?</think(?:ing)?>", re.DOTALL)
"""What models that think aloud say before they answer; all of it where they did not come to an end, and up to the end
where the beginning belongs to the prompt."""
_SPECIAL = re.compile(r"^<[|\uff5c]?[\w\u2581\uff5c|./-]*[|\uff5c]?>$|^\[[A-Z_/]+\]$")


class Unreadable(Exception):
    """An answer that cannot be used; the message says why."""


class Refused(Unreadable):
    """The model declines to answer; it would again."""


@dataclass(frozen=True)
class Token:
    """One place of an answer.

    Parameters
    ----------
    text : str
        What was answered there.
    chances : dict of str to float
        What could have been answered there, with probabilities; the likeliest only.
    """

    text: str
    chances: dict[str, float]


@dataclass(frozen=True)
class Reading:
    """A distribution read from answers.

    Parameters
    ----------
    p : ndarray, shape (K,)
        Adds up to one.
    mass : float
        Probability the model gave to the classes at all (share of usable votes).
    unresolved : float
        Share of that mass that could belong to more than one class and was split.
    """

    p: Floats
    mass: float
    unresolved: float = 0.0


def from_tokens(tokens: Sequence[Token], words: Sequence[str]) -> Reading:
    """Distribution over classes from the probabilities of tokens.

    Parameters
    ----------
    tokens : sequence of Token
        The answer, place by place.
    words : sequence of str
        The K classes as the model sees them.

    Returns
    -------
    Reading

    Raises
    ------
    Unreadable
        If no class has any probability.

    Notes
    -----
    A token belongs to a class when only that class begins with what was answered so far and the token (case, blanks,
    quotation marks aside). Where several classes begin so, the answer is followed to its next place, whose
    probabilities are conditional on the answer so far. A branch that the answer did not take cannot be followed: it
    counts for the class that it spells in full if the longer ones have tokens of their own at this place; otherwise
    its mass is split among its classes in proportion to what is known of them, and reported as unresolved. The answer
    is followed, too, where it is the beginning of one class only, or goes on within the word: what then turns out to
    be no class ("I", " think" for "irrelevant") is lost.

    Examples
    --------
    >>> reading = from_tokens([Token("Yes", {"Yes": 0.6, " yes": 0.1, "No": 0.2, "Well": 0.1})], ["yes", "no"])
    >>> reading.p.round(3).tolist(), round(reading.mass, 3)
    ([0.778, 0.222], 0.9)
    """
    names = [" ".join(word.casefold().split()) for word in words]
    known = np.zeros(len(names))
    split: list[tuple[float, list[int]]] = []
    before, mass = "", 1.0
    for place, token in enumerate(tokens):
        last = place == len(tokens) - 1
        goes_on = 0.0
        found = {text: _classes_of(before, text, names) for text in (token.text, *token.chances)}
        alone = {classes[0] for classes in found.values() if len(classes) == 1}
        for text, classes in found.items():
            chance = mass * token.chances.get(text, 0.0)
            exact = [k for k in classes if names[k] == _so_far(before, text)]
            if len(classes) == 1 and (text != token.text or last or _is_spelled(before, tokens[place:], names)):
                known[classes[0]] += chance
            elif not classes:
                continue
            elif text == token.text and not last:
                goes_on = token.chances.get(text, 0.0)
            elif exact and alone >= set(classes) - set(exact):
                known[exact[0]] += chance  # the longer classes have tokens of their own here
            elif (before + text).strip(_OPENING):
                split.append((chance, exact if text == token.text and exact else classes))
        if not goes_on:
            break
        before, mass = before + token.text, mass * goes_on
    return _share(known, split)


def _share(known: Floats, split: list[tuple[float, list[int]]]) -> Reading:
    total = known.copy()
    for mass, found in split:
        weight = known[found] if known[found].sum() > 0 else np.ones(len(found))
        total[found] += mass * weight / weight.sum()
    if total.sum() <= 0:
        raise Unreadable("the log-probabilities give no class any probability")
    return Reading(total / total.sum(), float(min(total.sum(), 1.0)), float(sum(m for m, _ in split) / total.sum()))


def _is_spelled(before: str, tokens: Sequence[Token], names: list[str]) -> bool:
    """Whether the answer names a class with its next token, and the token after that does not go on with the word."""
    so_far = _so_far(before, tokens[0].text)
    after = re.sub("[\u2581\u0120\u010a]", " ", tokens[1].text)
    if _SPECIAL.match(tokens[0].text):
        return True
    if not any(normal(so_far) == n or (so_far.startswith(n) and not so_far[len(n)].isalnum()) for n in names):
        return False
    return not (so_far[-1:].isalnum() and after[:1].isalnum())


def _so_far(before: str, text: str) -> str:
    clean = re.sub("[\u2581\u0120\u010a]", " ", before + text).casefold().lstrip(_OPENING)
    return re.sub(r"\s+", " ", clean)


def _classes_of(before: str, text: str, names: list[str]) -> list[int]:
    """Classes that an answer which begins with ``before + text`` can be."""
    ended = bool(_SPECIAL.match(text)) or (text == "" and before != "")
    so_far = _so_far(before, "" if ended else text)
    if not so_far:
        return [] if ended else list(range(len(names)))
    whole = normal(so_far)
    closed = ended or (so_far != so_far.rstrip(" \t\r\n\"'`*_.,;:!?)]}\u201d") and whole in names)
    if closed:
        return [k for k, name in enumerate(names) if name == whole]
    open_ = [k for k, name in enumerate(names) if name.startswith(so_far)]
    if open_:
        return open_
    begun = [k for k, n in enumerate(names) if so_far.startswith(n) and not so_far[len(n) : len(n) + 1].isalnum()]
    return [max(begun, key=lambda k: len(names[k]))] if begun else []


def usable(answer: str, finish: str, words: Sequence[str]) -> str:
    """An answer, empty where it was cut short before it was clear: only a whole class survives a cut.

    Parameters
    ----------
    answer : str
    finish : str
        Why the model stopped.
    words : sequence of str

    Returns
    -------
    str

    Examples
    --------
    >>> usable("yes", "length", ["yes", "no"]), usable("There is no", "length", ["yes", "no"])
    ('yes', '')
    """
    whole = normal(_THOUGHTS.sub(" ", answer)) in [normal(word) for word in words]
    return answer if finish != "length" or whole else ""


def from_votes(answers: Sequence[str], words: Sequence[str]) -> Reading:
    """Distribution over classes from repeated answers: the share of each class among the answers that are one.

    Parameters
    ----------
    answers : sequence of str
    words : sequence of str

    Returns
    -------
    Reading

    Raises
    ------
    Unreadable
        If fewer than half of the answers are a class.

    Examples
    --------
    >>> from_votes(["Yes.", "no", "yes", "**Yes**"], ["yes", "no"]).p.tolist()
    [0.75, 0.25]
    """
    votes = [which(answer, words) for answer in answers]
    counts = np.bincount([v for v in votes if v is not None], minlength=len(words)).astype(np.float64)
    if counts.sum() * 2 < max(len(answers), 1):
        example = next((a for a, v in zip(answers, votes) if v is None), "")
        raise Unreadable(f"the answer {example.strip()[:60]!r} is none of the labels {list(words)}")
    return Reading(counts / counts.sum(), float(counts.sum() / len(answers)))


def which(answer: str, words: Sequence[str]) -> int | None:
    """The class an answer names: as a whole, at its start, or as the only class in it.

    Parameters
    ----------
    answer : str
    words : sequence of str

    Returns
    -------
    int or None

    Examples
    --------
    >>> which("I would say: not hostile", ["hostile", "not hostile"])
    1
    """
    names, said = [normal(word) for word in words], normal(_THOUGHTS.sub(" ", answer))
    if said in names:
        return names.index(said)
    begun = [k for k, name in enumerate(names) if re.match(re.escape(name) + r"(?!\w)", said)]
    if begun:
        return max(begun, key=lambda k: len(names[k]))
    rest = said
    inside = []
    for k in sorted(range(len(names)), key=lambda k: -len(names[k])):
        rest, times = re.subn(rf"(?<!\w){re.escape(names[k])}(?!\w)", " ", rest)
        if times:
            inside.append(k)
    return inside[0] if len(inside) == 1 else None


def from_json(answer: str, words: Sequence[str]) -> Reading:
    """Distribution over classes that a model states as JSON, as shares or percentages.

    Parameters
    ----------
    answer : str
        Fences and words around the object are passed over.
    words : sequence of str

    Returns
    -------
    Reading

    Raises
    ------
    Unreadable
        If there is no object, or it is no distribution over the classes.

    Examples
    --------
    >>> from_json('Sure: {"yes": 80, "no": "20%"}', ["yes", "no"]).p.tolist()
    [0.8, 0.2]
    """
    answer = _THOUGHTS.sub(" ", answer)
    start, end = answer.find("{"), answer.rfind("}")
    try:
        stated: Any = json.loads(answer[start : end + 1]) if start >= 0 else None
    except json.JSONDecodeError:
        stated = None
    if isinstance(stated, dict) and len(stated) == 1 and isinstance(next(iter(stated.values())), dict):
        stated = next(iter(stated.values()))
    if not isinstance(stated, dict):
        raise Unreadable(f"the answer {answer.strip()[:60]!r} holds no JSON object")
    names = [normal(word) for word in words]
    p = np.zeros(len(names))
    for key, value in stated.items():
        if normal(str(key)) not in names:
            raise Unreadable(f"the answer names {key!r}, which is none of the labels {list(words)}")
        p[names.index(normal(str(key)))] = _number(value)
    total = p.sum()
    if not np.isfinite(p).all() or (p < 0).any() or not (0.9 <= total <= 1.1 or 90 <= total <= 110):
        raise Unreadable(f"the numbers in {answer[start : end + 1][:80]!r} are no probabilities that add up to 1")
    return Reading(p / total, 1.0)


def _number(value: Any) -> float:
    if isinstance(value, bool):
        return math.nan
    try:
        return float(str(value).strip().rstrip("%"))
    except ValueError:
        return math.nan
