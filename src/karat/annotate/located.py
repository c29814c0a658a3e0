"""Quoted passages found again in the text that they were quoted from. Pure functions."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from .._core.types import Floats

_ALIKE = str.maketrans("\u2018\u2019\u201a\u201c\u201d\u201e\u2013\u2014\u00a0", "'''\"\"\"-- ")
"""Marks that models write in another way; each has one character, so that places stay where they are."""


@dataclass(frozen=True)
class Quote:
    """What a model says of a passage: number of its label, its words, the words before them, how sure it is."""

    label: int
    words: str
    before: str = ""
    confidence: float = 1.0


@dataclass(frozen=True)
class Passage:
    """A passage that was found: from ``start`` to ``end`` (not included), in characters."""

    start: int
    end: int
    label: int
    text: str
    confidence: float = 1.0


@dataclass(frozen=True)
class Lost:
    """A quote that cannot be placed, and why."""

    label: int
    words: str
    why: str


@dataclass(frozen=True)
class Marks:
    """Passages of a text, quotes that were not found, and for each label (K,) what passages come to.

    ``p`` is the probability that there is one, ``counts`` their expected number, ``covered`` the expected number of
    characters in any.
    """

    passages: tuple[Passage, ...]
    lost: tuple[Lost, ...]
    p: Floats
    counts: Floats
    covered: Floats


def located(quotes: Sequence[Quote], text: str, k: int) -> Marks:
    """Find quotes in their text; one whose place is not certain is lost, not guessed.

    Notes
    -----
    Words are taken as they stand; where they do not stand so, blanks, capital letters, and forms of quotation marks and
    dashes may differ. Words that stand more than once are placed by the words before them, or where they are quoted as
    often as they stand. Where they stand as words of their own, parts of longer words do not count.

    Examples
    --------
    >>> found = located([Quote(0, "THE end"), Quote(0, "e")], "In the  end.", 1)
    >>> [(p.start, p.end) for p in found.passages], [one.why for one in found.lost]
    ([(3, 11)], ['stands 2 times'])
    """
    passages: dict[tuple[int, int, int], Passage] = {}
    lost = []
    alike: dict[tuple[int, str], list[Quote]] = {}
    for quote in quotes:
        alike.setdefault((quote.label, _folded(quote.words)), []).append(quote)
    for same in alike.values():
        everywhere = _found(_loose(same[0].words), text.translate(_ALIKE), text)
        if len(everywhere) == len(same):  # as often as they stand
            for quote, place in zip(same, everywhere):
                _keep(passages, quote, place, text)
            continue
        for quote in same:
            places = places_of(quote.words, text)
            if len(places) > 1 and quote.before.strip():
                told = [place for place in places if _folded(text[: place[0]]).endswith(_folded(quote.before))]
                places = told if len(told) == 1 else places
            if len(places) == 1:
                _keep(passages, quote, places[0], text)
            else:
                why = f"stands {len(places)} times" if places else "does not stand in the text"
                lost.append(Lost(quote.label, quote.words, why))
    return _summed(tuple(passages[key] for key in sorted(passages)), tuple(lost), k)


def averaged(several: Sequence[Marks], k: int) -> Marks:
    """What repeated answers say: the confidence of a passage is the share of the answers that mark it so."""
    n = len(several)
    found: dict[tuple[int, int, int], list[Passage]] = {}
    for marks in several:
        for passage in marks.passages:
            found.setdefault((passage.start, passage.end, passage.label), []).append(passage)
    passages = [
        Passage(start, end, label, same[0].text, sum(one.confidence for one in same) / n)
        for (start, end, label), same in sorted(found.items())
    ]
    means = [np.mean([getattr(marks, name) for marks in several], axis=0) for name in ("p", "counts", "covered")]
    return Marks(tuple(passages), tuple(one for marks in several for one in marks.lost), *means)


def places_of(words: str, text: str) -> list[tuple[int, int]]:
    r"""Where words stand in a text: as they are, else with other blanks, capitals and marks.

    Examples
    --------
    >>> places_of("art", "A party of art"), places_of("is\nhere", "It IS here")
    ([(11, 14)], [(3, 10)])
    """
    exact = re.compile(re.escape(words.strip()))
    return _found(exact, text, text) or _found(_loose(words), text.translate(_ALIKE), text)


def _loose(words: str) -> re.Pattern[str]:
    return re.compile(r"\s+".join(re.escape(part.translate(_ALIKE)) for part in words.split()), re.IGNORECASE)


def _found(pattern: re.Pattern[str], within: str, text: str) -> list[tuple[int, int]]:
    """All places, those that overlap too; words of their own rather than parts of others."""
    found, start = [], 0
    while pattern.pattern and (match := pattern.search(within, start)) is not None:
        found.append(match.span())
        start = match.start() + 1
    return [place for place in found if _apart(text, *place)] or found


def _apart(text: str, start: int, end: int) -> bool:
    """Whether a passage does not begin or end within a word."""
    before = start > 0 and text[start - 1].isalnum() and text[start].isalnum()
    after = end < len(text) and text[end].isalnum() and text[end - 1].isalnum()
    return not before and not after


def _keep(passages: dict[tuple[int, int, int], Passage], quote: Quote, place: tuple[int, int], text: str) -> None:
    key = (*place, quote.label)
    sure = max(quote.confidence, passages[key].confidence if key in passages else 0.0)
    passages[key] = Passage(*place, quote.label, text[place[0] : place[1]], sure)


def _folded(words: str) -> str:
    return " ".join(words.translate(_ALIKE).casefold().split())


def _summed(passages: tuple[Passage, ...], lost: tuple[Lost, ...], k: int) -> Marks:
    p, counts, covered = np.zeros(k), np.zeros(k), np.zeros(k)
    for j in range(k):
        mine = [one for one in passages if one.label == j]
        if not mine:
            continue
        p[j], counts[j] = max(one.confidence for one in mine), sum(one.confidence for one in mine)
        cuts = sorted({place for one in mine for place in (one.start, one.end)})
        for left, right in pairwise(cuts):
            over = [one.confidence for one in mine if one.start <= left and right <= one.end]
            covered[j] += (right - left) * max(over, default=0.0)
    return Marks(passages, lost, p, counts, covered)
