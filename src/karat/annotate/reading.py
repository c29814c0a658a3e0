"""From what a model answered to a distribution over classes: log-probabilities, votes, JSON. Pure functions."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .saying import Unreadable, class_or_reason, normal, short, spoken

if TYPE_CHECKING:
    from .._core.types import Floats

_OPENING = " \t\r\n\"'`*_#([{<\u201c\u2581\u0120\u010a"
_MARKS = re.compile("[\u2581\u0120\u010a]")
"""What some tokens have in place of blanks."""
_ABOUT = 0.1
_MOST_IN_ALL = 1.1
_ROUNDING = 0.005
_SPECIAL = re.compile(r"^<[|\uff5c]?[\w\u2581\uff5c|./-]*[|\uff5c]?>$|^\[[A-Z_/]+\]$")


@dataclass(frozen=True)
class Token:
    """One place of an answer: what was answered there, and what could have been, with chances; the likeliest only."""

    text: str
    chances: dict[str, float]


@dataclass(frozen=True)
class Reading:
    """A distribution read from answers; ``p`` (K,) adds up to one."""

    p: Floats
    mass: float
    """Probability the model gave to the classes at all (share of usable votes)."""
    unresolved: float = 0.0
    """Share of that mass that could belong to more than one class and was split."""
    unlisted: float = 0.0
    """Probability that is not listed, where some class is not listed either and could have all of it."""
    marks: Any = None
    """What else the answers say, where the question asks for more than classes."""


def from_tokens(tokens: Sequence[Token], words: Sequence[str]) -> Reading:
    """Distribution over classes from the probabilities of tokens.

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
    before, mass, unlisted = "", 1.0, 0.0
    for place, token in enumerate(tokens):
        last = place == len(tokens) - 1
        goes_on = 0.0
        found = {text: _classes_of(before, text, names) for text in (token.text, *token.chances)}
        unlisted += mass * _unlisted(before, token, found, names)
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
    return _share(known, split, unlisted)


def _unlisted(before: str, token: Token, found: dict[str, list[int]], names: list[str]) -> float:
    """Probability of a place that is not listed, where it could be that of a class none of whose tokens is."""
    listed = {k for text, classes in found.items() if text in token.chances and _so_far(before, text) for k in classes}
    possible = {k for k, name in enumerate(names) if name.startswith(_so_far(before, ""))}
    return max(0.0, 1.0 - sum(token.chances.values())) if possible - listed else 0.0


def _share(known: Floats, split: list[tuple[float, list[int]]], unlisted: float) -> Reading:
    total = known.copy()
    for mass, found in split:
        weight = known[found] if known[found].sum() > 0 else np.ones(len(found))
        total[found] += mass * weight / weight.sum()
    if total.sum() <= 0:
        raise Unreadable("the log-probabilities give no class any probability")
    unresolved = float(sum(m for m, _ in split) / total.sum())
    return Reading(total / total.sum(), float(min(total.sum(), 1.0)), unresolved, unlisted)


def _is_spelled(before: str, tokens: Sequence[Token], names: list[str]) -> bool:
    """Whether the answer names a class with its next token, and the token after that does not go on with the word."""
    so_far = _so_far(before, tokens[0].text)
    after = _MARKS.sub(" ", tokens[1].text)
    if _SPECIAL.match(tokens[0].text):
        return True
    if not any(normal(so_far) == n or (so_far.startswith(n) and not so_far[len(n)].isalnum()) for n in names):
        return False
    return not (so_far[-1:].isalnum() and after[:1].isalnum())


def _so_far(before: str, text: str) -> str:
    clean = _MARKS.sub(" ", before + text).casefold().lstrip(_OPENING)
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


def hold_against(reading: Reading, text: str, tokens: Sequence[Token], words: Sequence[str], likeliest: bool) -> None:
    """Hold a distribution against the answer that came with it.

    Notes
    -----
    The likeliest token may belong to a class that is not the likeliest, since others share their mass among several
    tokens; then the answer and its tokens agree and each token is the likeliest of its place.

    Examples
    --------
    >>> place = Token("yes", {"yes": 0.9, "no": 0.1})
    >>> hold_against(Reading(np.array([0.9, 0.1]), 1.0), "yes", [place], ["yes", "no"], True)
    """
    said = class_or_reason(text, words)
    if isinstance(said, str):
        raise Unreadable(said)
    if reading.p[said] + _ABOUT >= reading.p.max():
        return
    spelled = class_or_reason(_MARKS.sub(" ", "".join(token.text for token in tokens)), words)
    first = all(token.chances.get(token.text, 0.0) >= max(token.chances.values(), default=0.0) for token in tokens)
    if spelled != said or (likeliest and not first):
        likely = words[int(reading.p.argmax())]
        raise Unreadable(f"the answer is {words[said]!r}, but its log-probabilities say {likely!r}")


def from_votes(answers: Sequence[str], words: Sequence[str]) -> Reading:
    """Distribution over classes from repeated answers: the share of each class among the answers that are one.

    Examples
    --------
    >>> from_votes(["Yes.", "no", "yes", "**Yes**"], ["yes", "no"]).p.tolist()
    [0.75, 0.25]
    """
    said = [class_or_reason(answer, words) for answer in answers]
    votes = [vote for vote in said if isinstance(vote, int)]
    if not votes or len(votes) * 2 < len(answers):
        raise Unreadable(next((why for why in said if isinstance(why, str)), "there is no answer"))
    counts = np.bincount(votes, minlength=len(words)).astype(np.float64)
    return Reading(counts / counts.sum(), float(counts.sum() / len(answers)))


def from_json(answer: str, words: Sequence[str]) -> Reading:
    """Distribution over classes that a model states as JSON, as shares or percentages.

    Examples
    --------
    >>> from_json('Sure: {"yes": 80, "no": "20%"}', ["yes", "no"]).p.tolist()
    [0.8, 0.2]
    >>> from_json('{"yes": 0.92}', ["yes", "no"]).p.round(2).tolist()
    [0.92, 0.08]
    """
    given, percent, shown = stated(answer, words)
    return _whole(given, [normal(word) for word in words], shown, percent)


def stated(answer: str, words: Sequence[str], flags: bool = False) -> tuple[dict[int, float], bool, str]:
    """Numbers (or true and false) that a JSON object gives to labels, whether as percentages, and the object.

    Examples
    --------
    >>> stated('{"yes": true, "no": 0.25}', ["yes", "no"], flags=True)[0]
    {0: 1.0, 1: 0.25}
    """
    answer = spoken(answer)
    start, end = answer.find("{"), answer.rfind("}")
    try:
        found: Any = json.loads(answer[start : end + 1], object_pairs_hook=_Pairs) if start >= 0 else None
    except (ValueError, RecursionError):
        found = None
    if isinstance(found, _Pairs) and len(found) == 1 and isinstance(found[0][1], _Pairs):
        found = found[0][1]
    if not isinstance(found, _Pairs):
        raise Unreadable(f"the answer {answer.strip()[:60]!r} does not hold a JSON object")
    shown, names = answer[start : end + 1][:80], [normal(word) for word in words]
    given: dict[int, float] = {}
    percent = any(not _has_sign(value) and _number(value) > _MOST_IN_ALL for _, value in found)
    if percent and any(isinstance(value, bool) for _, value in found):
        raise Unreadable(f"the answer {shown!r} mixes percentages with true and false")
    for key, value in found:
        if normal(key) not in names:
            raise Unreadable(f"the answer names {key[:60]!r}, which is none of the labels {short(words)}")
        k = names.index(normal(key))
        if k in given:
            raise Unreadable(f"the answer {shown!r} names {key[:60]!r} twice")
        if flags and isinstance(value, bool):
            given[k] = float(value)
        elif value is not None:
            given[k] = _number(value) / (100 if percent and not _has_sign(value) else 1)
    return given, percent, shown


class _Pairs(list[tuple[str, Any]]):
    """The pairs of a JSON object, those with the same name too."""


def _whole(given: dict[int, float], names: Sequence[str], shown: str, percent: bool) -> Reading:
    """Stated shares as a distribution; what one class left out must have is its own, that of several is not known."""
    p = np.array([given.get(k, 0.0) for k in range(len(names))])
    total, out = p.sum(), [k for k in range(len(names)) if k not in given]
    good = bool(np.isfinite(p).all()) and bool((p >= 0).all()) and bool(given)
    if good and out and not percent and total < 1 - _ROUNDING:
        if len(out) > 1:
            missing = [names[k] for k in out]
            raise Unreadable(f"the answer {shown!r} leaves out {short(missing)}, and {1 - total:.2g} is left for them")
        p[out[0]], total = 1 - total, 1.0
    if not good or not (abs(total - 1) <= _ROUNDING if out else 2 - _MOST_IN_ALL <= total <= _MOST_IN_ALL):
        raise Unreadable(f"the numbers in {shown!r} are not probabilities that add up to 1")
    return Reading(p / total, 1.0)


def _number(value: Any) -> float:
    """A share: a number as it stands, a percentage divided by 100, NaN for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return math.nan
    try:
        return float(str(value).strip().removesuffix("%")) / (100 if _has_sign(value) else 1)
    except ValueError:
        return math.nan


def _has_sign(value: Any) -> bool:
    return str(value).strip().endswith("%")
