"""From a reply that says of each label whether it applies to their probabilities. Pure functions."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from .reading import Reading, Token, from_tokens, stated
from .saying import Unreadable, declines, normal, short, spoken

_SAID = ("true", "false")


def from_fields(tokens: Sequence[Token], words: Sequence[str]) -> Reading:
    """Probability of each label from the tokens of ``{"label": true, ...}``; ``p`` (K,) need not add up to one.

    Notes
    -----
    What is read at a label is the probability of true given the answer up to there, which holds what was said of the
    labels before. It is the marginal probability where labels do not depend on each other or earlier ones are clear.

    Examples
    --------
    >>> answer = [Token(t, {t: 1.0}) for t in ('{"', "tax", '":')]
    >>> answer += [Token(" true", {" true": 0.8, " false": 0.2}), Token("}", {"}": 1.0})]
    >>> from_fields(answer, ["tax"]).p.tolist()
    [0.8]
    """
    starts = values_of("".join(token.text for token in tokens), words)
    p, mass, unlisted = np.empty(len(words)), 1.0, 0.0
    for k, start in enumerate(starts):
        reading = from_tokens(tokens_of_value(tokens, start), _SAID)
        p[k] = reading.p[0]
        mass, unlisted = min(mass, reading.mass), max(unlisted, reading.unlisted)
    return Reading(p, mass, 0.0, unlisted)


def from_sets(answers: Sequence[str], words: Sequence[str]) -> Reading:
    """Share of the answers that say a label applies, among those that can be read.

    Examples
    --------
    >>> from_sets(['{"tax": true, "war": false}', '{"tax": true, "war": true}'], ["tax", "war"]).p.tolist()
    [1.0, 0.5]
    """
    said, why = [], "there is no answer"
    for answer in answers:
        try:
            said.append(from_marginals(answer, words).p >= 0.5)
        except Unreadable as error:
            why = str(error)
    if not said or len(said) * 2 < len(answers):
        raise Unreadable(why)
    return Reading(np.mean(said, axis=0), len(said) / len(answers))


def from_marginals(answer: str, words: Sequence[str]) -> Reading:
    """Probabilities that a model states for labels of which several may hold, or true and false.

    Examples
    --------
    >>> from_marginals('{"tax": 0.9, "war": false}', ["tax", "war"]).p.tolist()
    [0.9, 0.0]
    >>> from_marginals('["tax"]', ["tax", "war"]).p.tolist()
    [1.0, 0.0]
    """
    listed = _listed(answer, words)
    if listed is not None:
        return Reading(listed, 1.0)
    if declines(answer):
        raise Unreadable(f"the answer {answer.strip()[:60]!r} is a refusal")
    given, _, shown = stated(answer, words, flags=True)
    if lost := [word for k, word in enumerate(words) if k not in given]:
        raise Unreadable(f"the answer {shown!r} leaves out {short(lost)}")
    p = np.array([given[k] for k in range(len(words))])
    if not ((p >= 0) & (p <= 1)).all():  # NaN is neither
        raise Unreadable(f"the numbers in {shown!r} are not probabilities")
    return Reading(p, 1.0)


def schema(words: Sequence[str], kind: str, several: bool) -> dict[str, Any]:
    """The ``response_format`` that lets an endpoint answer in no other form.

    Examples
    --------
    >>> schema(["tax"], "label", True)["json_schema"]["schema"]["properties"]
    {'tax': {'type': 'boolean'}}
    """
    each = {"type": "boolean" if several and kind == "label" else "number"}
    return response_format("labels", {word: each for word in words})


def response_format(name: str, fields: dict[str, Any]) -> dict[str, Any]:
    """A ``response_format`` for a JSON object with these fields and no others."""
    return {"type": "json_schema", "json_schema": {"name": name, "strict": True, "schema": object_schema(fields)}}


def object_schema(fields: dict[str, Any]) -> dict[str, Any]:
    """The schema of a JSON object that has these fields and no others."""
    return {"type": "object", "properties": fields, "required": list(fields), "additionalProperties": False}


def _listed(answer: str, words: Sequence[str]) -> Any:
    """A set that is given as a list of labels; None where it is not."""
    clean = spoken(answer).strip()
    start, end = clean.find("["), clean.rfind("]")
    if start < 0 or "{" in clean:
        return None
    try:
        found = json.loads(clean[start : end + 1])
    except (ValueError, RecursionError):
        return None
    names = [normal(word) for word in words]
    if not isinstance(found, list) or not all(isinstance(one, str) and normal(one) in names for one in found):
        raise Unreadable(f"the answer {clean[:60]!r} lists what is none of the labels {short(words)}")
    said = {normal(one) for one in found}
    return np.array([float(name in said) for name in names])


def tokens_of_value(tokens: Sequence[Token], start: int) -> list[Token]:
    """Tokens from a place of the text on, the first cut to where the value begins."""
    ends = np.cumsum([len(token.text) for token in tokens])
    at = int(np.searchsorted(ends, start, side="right"))
    return [_from(tokens[at], start - (int(ends[at]) - len(tokens[at].text))), *tokens[at + 1 :]]


def values_of(text: str, words: Sequence[str]) -> list[int]:
    """Where the value of each label begins in an answer."""
    found: dict[str, list[int]] = {}
    for match in re.finditer(r'"((?:[^"\\]|\\.)*)"\s*:\s*', text):
        found.setdefault(normal(match.group(1)), []).append(match.end())
    out = []
    for word in words:
        places = found.get(normal(word), [])
        if len(places) != 1 or places[0] >= len(text):
            raise Unreadable(f"the answer {text[:80]!r} does not say once whether {word!r} applies")
        out.append(places[0])
    return out


def _from(token: Token, skip: int) -> Token:
    """A token from its value on; alternatives that begin otherwise are as good as not listed."""
    head = token.text[:skip]
    kept = {text[skip:]: chance for text, chance in token.chances.items() if text.startswith(head)}
    return Token(token.text[skip:], kept)
