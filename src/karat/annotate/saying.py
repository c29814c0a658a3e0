"""What an answer in words says: a class, or why it is none. Pure functions."""

from __future__ import annotations

import re
from collections.abc import Sequence

_THOUGHTS = re.compile(
    r"<(think|thinking|thought|reasoning)>.*?(?:</\1>|\Z)|\A.*?</(?:think|thinking|thought|reasoning)>",
    re.DOTALL | re.I,
)
"""What models that think aloud say before they answer; all of it where they did not come to an end, and up to the end
where the beginning belongs to the prompt."""
_TAGS = re.compile(
    r"<([a-z_]\w*)>(?=.*</\1>)|</[a-z_]\w*>|<[|\uff5c][^<>]*[|\uff5c]>|<(?:s|eos|bos|pad|end_of_turn)>",
    re.DOTALL | re.I,
)
"""Tags around an answer, and tokens that end it."""
_MARKS = "\" ' . , ; : ! ( ) [ ] { } # = \\ ‘ ’ “ ” „ « » 。 、 ， ： ！ definitely clearly certainly absolutely"
_BEFORE = """
the a an answer label class category option choice rating score is it this that it's that's my final correct best i i'd
would say choose pick be as text plaintext json boxed antwort réponse respuesta risposta resposta antwoord svar ответ
"""
_PRESENTING = frozenset((_BEFORE + _MARKS).split())
_CLOSING = frozenset([*_MARKS.split(), "at", "all"])
"""Words and marks before and after a label that change nothing about it."""
_EXPLAINING = re.compile(
    r"(?:\s*[.,;:!)\u2013\u2014-]+\s*(?:the|this|it|its|it's|he|she|they|because|since)|\s+(?:because|since)"
    r"|\W*(?:reason|reasoning|explanation|rationale|justification)\s*:)(?!\w)"
)
_DOUBTING = re.compile(
    r"(?<!\w)(?:i|i'm|i'd|me|my|we|our|us|you|your|please|sorry|request|help|assist\w*|can(?:not|'t|\u2019t)|unable|"
    r"impossible|un(?:clear|sure|certain|known|decided)|ambiguous|depends?|maybe|perhaps|possibly|might|may|could|"
    r"would|hard|difficult|but|however|although|though|or|yet|except|unless|if|say|tell|judge|determine|decide|know|"
    r"enough|insufficient|information|context|provided|given|missing|empty|polic(?:y|ies)|guidelines?|rules|terms|"
    r"inappropriate|model|ai|neither|both)(?!\w)"
)
"""In an explanation: signs that the label is in doubt, or that the answer is a refusal."""

_REFUSING = re.compile(
    r"(?:i'm|i am|we're|we are) (?:very |so )?(?:sorry|unable|not able)\b|sorry, (?:but )?(?:i|we)\b|"
    r"(?:i|we) (?:can't|cannot|can not|won't|will not|must decline|decline|refuse)(?: to)?"
    r" (?:help|assist|comply|answer|label|classify|judge|process|engage|respond|provide|continue|with)\b|"
    r"(?:i|we) (?:must |have to )?(?:decline|refuse)\b|as an ai\b"
)


def normal(text: str) -> str:
    """An answer without case, quotation marks, markup and blanks around it."""
    return " ".join(text.casefold().split()).strip("\"'`*_#.,;:!?()[]{}<> \u201c\u201d")


class Unreadable(Exception):
    """An answer that cannot be used; the message says why."""


class Useless(Unreadable):
    """A whole answer that is not one to the question; asked in the same way, the model would give it again."""


class Refused(Unreadable):
    """The model declines to answer; it would again."""


class Declined(Refused):
    """The model, or the endpoint for it, refuses to judge the text."""


def declines(answer: str) -> bool:
    """Whether an answer is a refusal in words, as models that were taught to refuse give it.

    Examples
    --------
    >>> declines("I'm sorry, but I can't assist with that."), declines("I can't see any support for the tram.")
    (True, False)
    """
    return bool(_REFUSING.match(normal(plain(answer)).replace("\u2019", "'")))


def usable(answer: str, finish: str, words: Sequence[str]) -> str:
    """An answer, empty where it was cut short before it was clear: only a whole class survives a cut.

    Examples
    --------
    >>> usable("yes", "length", ["yes", "no"]), usable("There is no", "length", ["yes", "no"])
    ('yes', '')
    """
    whole = normal(spoken(answer)) in [normal(word) for word in words]
    return answer if finish != "length" or whole else ""


def begins(answer: str, words: Sequence[str]) -> bool:
    """Whether an answer that was cut short is the beginning of a class."""
    said = normal(spoken(answer))
    return bool(said) and any(normal(word).startswith(said) for word in words)


def spoken(answer: str) -> str:
    """An answer without what the model thought before it.

    Examples
    --------
    >>> spoken("<think>yes or no?</think>No.").strip(), spoken("<think>let me see")
    ('No.', ' ')
    """
    return _THOUGHTS.sub(" ", answer)


def which(answer: str, words: Sequence[str]) -> int | None:
    """The class an answer is, None where it is not one.

    Notes
    -----
    An answer is a class where it names one class only and says nothing else, apart from words that present it
    ("I would say: ...", "Label: ...") and from an explanation that is about the text. Whatever else there is beside
    the class may be a refusal or a doubt ("No idea.", "It is not a yes"), in any language.

    Examples
    --------
    >>> which("I would say: not hostile", ["hostile", "not hostile"])
    1
    >>> which("I cannot say: not hostile", ["hostile", "not hostile"])
    """
    vote = class_or_reason(answer, words)
    return vote if isinstance(vote, int) else None


def class_or_reason(answer: str, words: Sequence[str]) -> int | str:
    """The class an answer is, or why it is not one: see :func:`which`."""
    clean = plain(answer)
    said = normal(clean)
    if not said:
        return "the answer is empty"
    names, shown = [normal(word) for word in words], f"the answer {spoken(answer).strip()[:60]!r}"
    open_ = "?" in clean or clean.count("<") != clean.count(">")  # asked back, or more or less than a number
    open_ = open_ and not any(mark in word for mark in "?<>" for word in words)
    if said in names and not open_:
        return names.index(said)
    listed = "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))
    named = list(re.finditer(rf"(?<!\w)(?:{listed})(?!\w)", said))
    if not named:
        return f"{shown} is none of the labels {short(words)}"
    if len({match.group() for match in named}) > 1:
        return f"{shown} names several of the labels {short(words)}"
    label, head, tail = named[0].group(), said[: named[0].start()], said[named[0].end() :]
    ends = _holds_only(tail.replace(label, " "), _CLOSING) or _explains(tail)
    if not open_ and ends and _holds_only(head, _PRESENTING):
        return names.index(label)
    return f"{shown} says more than the label {label!r}, maybe a doubt or a refusal"


def plain(answer: str) -> str:
    """What is said, without thoughts, tags and marks of emphasis."""
    return re.sub(r"[*`]|\b_+|_+\b", "", _TAGS.sub(" ", spoken(answer)))


def _holds_only(text: str, allowed: frozenset[str]) -> bool:
    return all(part in allowed for part in re.findall(r"\w+(?:['\u2019]\w+)*|[^\w\s]", text))


def _explains(text: str) -> bool:
    """Whether what follows a label is about the text, and holds no sign of a doubt or a refusal."""
    return bool(_EXPLAINING.match(text)) and not _DOUBTING.search(text)


def short(words: Sequence[str]) -> str:
    """Labels as a message shows them."""
    return f"{list(words[:8])}"[:200]
