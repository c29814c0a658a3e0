"""Clusters of documents that fit none of the codes: typical words and documents, as proposals for new codes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ArgumentError, DataError, number, whole
from ..frames import Table
from ..predict.text.texts import read_texts
from .codebook import Code

if TYPE_CHECKING:
    import pandas as pd

    from .._core.types import Floats, Ints

_WORD = re.compile(r"[^\W\d_]{2,}")
_MOST_CODES, _LEAST = 8, 10
_PRIOR = 0.01
_WORDS = 8
"""Of the corpus's word counts that each side gets beforehand: one count in a hundred."""


@dataclass(frozen=True, eq=False)
class Proposals:
    """Clusters of documents that fit least.

    Parameters
    ----------
    positions : ndarray of int, shape (n,)
        Rows that were looked at.
    cluster : ndarray of int, shape (n,)
        Cluster of each, 0 the largest.
    words : tuple of tuple of str
        Words that are typical of each cluster: more frequent in it than in all other documents.
    documents : tuple of tuple of str
        Documents nearest to the middle of each cluster.
    silhouette : float
        How well the clusters are apart, -1 to 1.

    Examples
    --------
    >>> import numpy as np
    >>> import karat as kt
    >>> texts = ["the tram is late", "the tram is full"] * 20 + ["storks nest on roofs"] * 8 + ["whales sing"] * 8
    >>> p = np.array([[0.95, 0.05]] * 40 + [[0.5, 0.5]] * 16)
    >>> found = kt.annotate.open_set(p).proposals({"body": texts}, "body", share=16 / 56, n_codes=2)
    >>> sorted(words[0] in ("nest", "on", "roofs", "storks") for words in found.words)
    [False, True]
    """

    positions: Ints = field(repr=False)
    cluster: Ints = field(repr=False)
    words: tuple[tuple[str, ...], ...]
    documents: tuple[tuple[str, ...], ...] = field(repr=False)
    silhouette: float

    @property
    def table(self) -> pd.DataFrame:
        """One row a cluster: how many documents, typical words, the most typical document."""
        import pandas as pd

        sizes = np.bincount(self.cluster, minlength=len(self.words))
        return pd.DataFrame(
            {
                "documents": sizes,
                "words": [", ".join(words) for words in self.words],
                "typical": [texts[0] for texts in self.documents],
            }
        )

    def codes(self, names: Sequence[str] | None = None) -> list[Code]:
        """The clusters as codes for a codebook, to be named and defined by people.

        Parameters
        ----------
        names : sequence of str, optional
            Values of the codes; by default the two most typical words.

        Returns
        -------
        list of Code
            Definitions hold the typical words. Typical documents are not taken as examples: the prompt would show
            them, and they would have to leave the analysis.
        """
        if names is None:
            names = [f"{k + 1}: {' '.join(words[:2])}" for k, words in enumerate(self.words)]
        if isinstance(names, str) or len(names) != len(self.words):
            raise ArgumentError(f"names={names!r} is not allowed; give {len(self.words)} names.")
        return [
            Code(name, definition=f"Documents that speak of {', '.join(words)}.")
            for name, words in zip(names, self.words)
        ]


def propose(
    ranking: Floats, features: Floats | None, data: object, text: str, share: float, n_codes: int | None, seed: int
) -> Proposals:
    """See :meth:`OpenSet.proposals`."""
    share, seed = number("share", share, above=0, most=1), whole("seed", seed, least=0)
    texts = read_texts(Table.read(data).column(text, "text"), f"the column {text!r}")
    count = min(len(texts), max(_LEAST, round(share * len(texts))))
    rows = np.sort(np.argsort(-ranking, kind="stable")[:count])
    features = _encoded([texts[i] for i in rows]) if features is None else features[rows]
    length = np.linalg.norm(features, axis=1, keepdims=True)
    unit = np.divide(features, length, out=np.zeros_like(features), where=length > 0)
    n_codes = None if n_codes is None else whole("n_codes", n_codes, least=2, most=len(rows) - 1)
    cluster, quality = _clusters(unit, n_codes, seed)
    middle = np.vstack([unit[cluster == k].mean(axis=0) for k in range(cluster.max() + 1)])
    near = np.argsort(-np.einsum("ij,ij->i", unit, middle[cluster]), kind="stable")
    documents = tuple(_first([texts[rows[i]] for i in near if cluster[i] == k]) for k in range(len(middle)))
    return Proposals(rows, cluster, _typical_words(texts, rows, cluster), documents, quality)


def _encoded(texts: list[str]) -> Floats:
    from ..predict import HashingEncoder

    return np.asarray(HashingEncoder(min(50, max(2, len(texts) - 1))).fit_transform(texts), dtype=np.float64)


def _first(texts: list[str], most: int = 3) -> tuple[str, ...]:
    return tuple(list(dict.fromkeys(texts))[:most])


def _clusters(unit: Floats, n_codes: int | None, seed: int) -> tuple[Ints, float]:
    """Clusters, the largest first, and their silhouette; as many as it says where their number is not given."""
    from sklearn.cluster import KMeans
    from sklearn.metrics import silhouette_score

    distinct = len(np.unique(unit, axis=0))
    tried = [n_codes] if n_codes is not None else list(range(2, _MOST_CODES + 1))
    best: tuple[float, Any] | None = None
    for k in tried:
        if k > distinct or k >= len(unit):
            break
        found = KMeans(k, n_init=5, random_state=seed).fit_predict(unit)
        if len(np.unique(found)) < 2:
            continue
        score = float(silhouette_score(unit, found))
        if best is None or score > best[0]:
            best = score, found
    if best is None:
        raise DataError("the documents that fit least are too few, or too much alike, for clusters; raise share=.")
    sizes = np.bincount(best[1])
    rank = np.argsort(np.argsort(-sizes, kind="stable"), kind="stable")
    return np.asarray(rank[best[1]], dtype=np.intp), best[0]


def _typical_words(texts: list[str], rows: Ints, cluster: Ints) -> tuple[tuple[str, ...], ...]:
    """Words with the largest log odds of a cluster against all other documents.

    Notes
    -----
    Log odds ratios with the corpus's word counts as prior, over their standard errors (Monroe, Colaresi and Quinn
    2008).
    """
    words = [_WORD.findall(text.casefold()) for text in texts]
    names = sorted({word for found in words for word in found})
    place = {word: i for i, word in enumerate(names)}
    total = np.bincount([place[w] for found in words for w in found], minlength=max(len(names), 1)).astype(np.float64)
    prior = total * _PRIOR + 1e-6
    out = []
    for k in range(cluster.max() + 1):
        inside = np.bincount(
            [place[w] for i in rows[cluster == k] for w in words[i]], minlength=max(len(names), 1)
        ).astype(np.float64)
        a, b = inside + prior, total - inside + prior
        odds = np.log(a / np.maximum(a.sum() - a, 1e-6)) - np.log(b / np.maximum(b.sum() - b, 1e-6))
        z = odds / np.sqrt(1.0 / a + 1.0 / b)
        best = [i for i in np.lexsort((np.arange(len(z)), -z))[:_WORDS] if inside[i] > 0]
        out.append(tuple(names[i] for i in best))
    return tuple(out)
