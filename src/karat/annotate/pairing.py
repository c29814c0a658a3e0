"""Pairs of texts to be compared: few, balanced, and connected."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import ArgumentError, generator, whole
from .inputs import rows_and_texts


def pairs(data: object, *, text: str, id: str | None = None, per_text: int = 6, seed: Any = None) -> Any:
    """Draw pairs of texts that a model, or people, are to compare.

    Parameters
    ----------
    data : data frame
    text : str
        Column of texts.
    id : str, optional
        Column that names them; by default the row number.
    per_text : int
        Comparisons of each text, an even number.
    seed : int or numpy.random.Generator, optional

    Returns
    -------
    pandas.DataFrame
        ``first``, ``second`` (names of the texts), ``text`` (both, as text A and text B). No pair stands twice, as far
        as there are others; each text stands first as often as second, and all are connected, so that
        :func:`karat.labels.bradley_terry` can place them on one scale.

    Raises
    ------
    ArgumentError
        If there are fewer than three texts, or ``per_text`` is odd or too large.

    Notes
    -----
    Each round puts the texts in a circle at random and compares neighbours. Names have to be unique.

    Examples
    --------
    >>> import karat as kt
    >>> letters = {"letter": [1, 2, 3, 4, 5], "text": ["I love it", "No", "Well", "Awful", "Good"]}
    >>> asked = kt.annotate.pairs(letters, text="text", id="letter", per_text=2, seed=1)
    >>> len(asked), sorted(asked["first"]) == sorted(asked["second"]) == [1, 2, 3, 4, 5]
    (5, True)
    >>> question = kt.annotate.Question(
    ...     "Which text is friendlier to the tram?", classes={"first": "A", "second": "B", "tie": "equal"})
    >>> labels = kt.annotate.label(asked, question, model, text="text")  # doctest: +SKIP
    >>> scores = kt.labels.bradley_terry(  # doctest: +SKIP
    ...     labels.join(asked), first="first", second="second", probabilities=labels.columns)
    """
    ids, texts = rows_and_texts(data, text, id)
    n = len(texts)
    if n < 3:
        raise ArgumentError(f"data has {n} texts; give three or more.")
    if len(set(ids.tolist())) < n:
        raise ArgumentError(f"id={id!r} names several texts alike; give each its own.")
    per_text = whole("per_text", per_text, least=2, most=n - 1)
    if per_text % 2:
        raise ArgumentError(
            f"per_text={per_text} is odd; give an even number, so that each place is taken equally often."
        )
    rng, chosen = generator(seed), []
    seen: set[frozenset[int]] = set()
    for _ in range(per_text // 2):
        for _ in range(50):  # another circle where this one repeats a pair
            circle = rng.permutation(n)
            edges = list(zip(circle.tolist(), np.roll(circle, -1).tolist()))
            fresh = [edge for edge in edges if frozenset(edge) not in seen]
            if len(fresh) == n:
                break
            edges = _mended(circle, seen) or edges
            if all(frozenset(edge) not in seen for edge in edges):
                break
        seen.update(frozenset(edge) for edge in edges)
        chosen += edges
    import pandas as pd

    both = [f"Text A:\n{texts[a]}\n\nText B:\n{texts[b]}" for a, b in chosen]
    first, second = np.array(chosen).T
    return pd.DataFrame({"first": ids[first], "second": ids[second], "text": both})


def _mended(circle: Any, seen: set[frozenset[int]]) -> list[tuple[int, int]] | None:
    """The circle with parts turned round until no pair has been seen; None where that does not lead there."""
    order, n = circle.tolist(), len(circle)
    for _ in range(3 * n):
        bad = next((i for i in range(n) if frozenset((order[i], order[(i + 1) % n])) in seen), None)
        if bad is None:
            return [(order[i], order[(i + 1) % n]) for i in range(n)]
        order = order[bad + 1 :] + order[: bad + 1]  # the bad pair closes the circle
        for j in range(1, n - 1):
            new = (frozenset((order[-1], order[j])), frozenset((order[0], order[j + 1])))
            if seen.isdisjoint(new):
                order = order[: j + 1][::-1] + order[j + 1 :]
                break
        else:
            return None
    return None
