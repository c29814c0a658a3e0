"""Documents that fit none of the codes: scores of how likely that is, and their share through gold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ArgumentError, DataError, generator, whole
from ..frames import Table
from ..predict.text.texts import read_texts
from .result import Annotation

if TYPE_CHECKING:
    from .._core.types import Bools, Floats
    from .proposals import Proposals

_FOLDS = 5
_SUM = 0.02
"""How far rows of probabilities may be from adding up to one."""


@dataclass(frozen=True, eq=False)
class OpenSet:
    """Scores of documents: the higher, the less a document fits the codes.

    Parameters
    ----------
    scores : dict of str to ndarray, shape (N,)
        ``entropy`` of the model's distribution over codes (0 to 1), ``unsure`` (1 less the largest probability),
        ``energy`` (minus the logarithm of the probability that the model gave to the codes at all), ``none`` (the
        probability of "none of these": the further answer, or that none of several codes holds), ``distance`` (cosine
        distance to the nearest gold documents that have a code). Those that can be had.
    name : str
        Prefix of the columns.
    features : ndarray, shape (N, k), or None
        What distances were measured in.

    Examples
    --------
    >>> import numpy as np
    >>> import karat as kt
    >>> found = kt.annotate.open_set(np.array([[0.98, 0.02], [0.5, 0.5]]))
    >>> found.scores["entropy"].round(2).tolist(), found.scores["unsure"].round(2).tolist()
    ([0.14, 1.0], [0.02, 0.5])
    """

    scores: dict[str, Floats]
    name: str
    features: Floats | None = field(default=None, repr=False)

    @property
    def columns(self) -> list[str]:
        """Names of the columns that :meth:`join` adds."""
        return [f"{self.name}_open_{score}" for score in self.scores]

    def join(self, data: Any) -> Any:
        """The data with a column for each score.

        Parameters
        ----------
        data : data frame
            Rows in the order of the labels.

        Returns
        -------
        data frame
            Of the library of ``data``.
        """
        import narwhals as nw

        table = self._table(data)
        if twice := sorted(set(self.columns) & set(table.columns)):
            raise DataError(f"data has the column {twice[0]!r} already; rename it.")
        library = table.native.implementation
        series = [
            nw.new_series(name, values.tolist(), nw.Float64, backend=library)
            for name, values in zip(self.columns, self.scores.values())
        ]
        return table.put(series).to_native()

    def share(
        self, function: Callable[..., Any], data: object, gold: str, none: Any, *, by: Any = None, **options: Any
    ) -> Any:
        """Share of documents that fit no code, from gold in which experts could say so, with the scores as surrogates.

        Parameters
        ----------
        function : callable
            ``kt.mean``.
        data : data frame
            Rows in the order of the labels; gold missing where not drawn.
        gold : str
            Column of gold codes.
        none : object
            What experts said where no code applies, such as ``"none of these"``.
        by : str or list of str, optional
            Grouping columns: a share for each group.
        **options
            ``design=`` and whatever else the function takes.

        Returns
        -------
        Result
            Its coefficient is the share; the interval is valid whatever the scores are worth.

        Raises
        ------
        DataError
            If no gold row says ``none``: then nothing is known but a bound.
        """
        if not callable(function):
            raise ArgumentError(f"function={function!r} is not allowed; give kt.mean.")
        if "surrogates" in options:
            raise ArgumentError("surrogates= are the scores; leave them out.")
        joined, outside = self._with_indicator(data, gold, none)
        if by is not None:
            options["by"] = by
        return function(outside, joined, surrogates={outside: self.columns}, **options)

    def proposals(
        self, data: object, text: str, *, gold: str | None = None, none: Any = None, share: float = 0.1,
        n_codes: int | None = None, seed: int = 0,
    ) -> Proposals:  # fmt: skip
        """Clusters of the documents that fit least, as proposals for new codes.

        Parameters
        ----------
        data : data frame
            Rows in the order of the labels.
        text : str
            Column of texts.
        gold : str, optional
            Column of gold codes; with it scores are weighed by how well they tell ``none`` in gold, otherwise they
            count alike.
        none : object, optional
            As in :meth:`share`; needed with ``gold``.
        share : float
            Share of the documents to look at, those that fit least.
        n_codes : int, optional
            How many clusters; by default 2 to 8, as the silhouette says.
        seed : int

        Returns
        -------
        Proposals
        """
        from .proposals import propose

        return propose(self.ranking(data, gold, none), self.features, data, text, share, n_codes, seed)

    def ranking(self, data: object, gold: str | None, none: Any) -> Floats:
        """How likely each document fits no code, as far as scores tell, shape (N,)."""
        scores = np.column_stack(list(self.scores.values()))
        if gold is None:
            ranks = np.argsort(np.argsort(scores, axis=0, kind="stable"), axis=0, kind="stable")
            return np.asarray(ranks.mean(axis=1) / max(len(scores) - 1, 1))
        table = self._table(data)
        outside, labelled = _indicator(table, gold, none)
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        model = make_pipeline(StandardScaler(), LogisticRegression())
        model.fit(scores[labelled], outside[labelled])
        return np.asarray(model.predict_proba(scores)[:, 1])

    def _table(self, data: object) -> Table:
        table, n = Table.read(data), len(next(iter(self.scores.values())))
        if table.n_rows != n:
            raise DataError(f"data has {table.n_rows} rows, {n} have scores; pass the table that was labelled.")
        return table

    def _with_indicator(self, data: object, gold: str, none: Any) -> tuple[Any, str]:
        import narwhals as nw

        table = self._table(data)
        outside, labelled = _indicator(table, gold, none)
        name = f"{gold}_outside"
        if name in table.columns:
            raise DataError(f"data has the column {name!r} already; rename it.")
        values = [float(v) if known else None for v, known in zip(outside, labelled)]
        joined = Table.read(self.join(data))
        column = nw.new_series(name, values, nw.Float64, backend=joined.native.implementation)
        return joined.put([column]).to_native(), name


def open_set(
    labels: Any,
    data: object = None,
    *,
    text: str | None = None,
    features: Any = None,
    gold: str | None = None,
    none: Any = None,
    neighbours: int = 5,
    seed: int = 0,
) -> OpenSet:
    """Score documents by how little they fit the codes: by the model's distribution, and by distance to gold.

    Parameters
    ----------
    labels : Annotation or array_like, shape (N, K)
        Labels of a model, or probabilities of the codes.
    data : data frame, optional
        The table that was labelled, for distances.
    text : str, optional
        Column of texts, which are encoded as n-grams (:class:`karat.predict.HashingEncoder`).
    features : array_like, shape (N, k), optional
        Embeddings instead.
    gold : str, optional
        Column of gold codes; distances need it, and ``text`` or ``features``.
    none : object, optional
        What experts said where no code applies; these rows are no examples of a code.
    neighbours : int
        Nearest gold documents whose distances are averaged.
    seed : int
        Of the folds: the distance of a gold document is to gold of other folds, so that it does not hang on its own
        code.

    Returns
    -------
    OpenSet

    Raises
    ------
    ArgumentError, DataError

    Notes
    -----
    Documents without a label (refused, failed) get the largest entropy and energy there are.

    References
    ----------
    Hendrycks and Gimpel (2017) for the largest probability; Liu et al. (2020) for the energy; Sun et al. (2022) for
    nearest neighbours.

    Examples
    --------
    >>> import numpy as np
    >>> import karat as kt
    >>> rng = np.random.default_rng(1)
    >>> frame = {"topic": ["law", "war", "none"] * 4 + [None] * 88}
    >>> found = kt.annotate.open_set(
    ...     rng.dirichlet([1, 1], 100), frame, features=rng.normal(size=(100, 3)), gold="topic", none="none")
    >>> list(found.scores)
    ['entropy', 'unsure', 'distance']
    """
    seed = whole("seed", seed, least=0)
    scores, name = _of_labels(labels)
    n = len(scores["entropy"])
    given = [key for key, value in (("text", text), ("features", features)) if value is not None]
    if len(given) == 2:
        raise ArgumentError("text and features are both given; distances are measured in one of them.")
    encoded = None
    if given:
        if data is None:
            raise ArgumentError(f"{given[0]} needs data=, the table that was labelled.")
        table = Table.read(data)
        if table.n_rows != n:
            raise DataError(f"data has {table.n_rows} rows, {n} were labelled; pass the same table.")
        encoded = _features(table, text, features, n)
        if gold is not None:
            scores["distance"] = _distances(table, encoded, gold, none, neighbours, seed)
    elif gold is not None:
        raise ArgumentError("gold is for distances, which need text= or features= too.")
    return OpenSet(scores, name, encoded)


def _of_labels(labels: Any) -> tuple[dict[str, Floats], str]:
    """Scores from the distribution of a model."""
    name, mass, several, other = "model", None, False, None
    if isinstance(labels, Annotation):
        p, name, several = labels.probabilities, labels.name, labels.several
        mass = labels.mass
        question = labels.provenance.get("question", {})
        other = question.get("other")
        refusal = question.get("refusal")
        if refusal in labels.classes:  # says nothing about the text
            inside = [c != refusal for c in labels.classes]
            declined, p = p[:, ~np.array(inside)], p[:, inside]
            total = 1.0 - np.round(declined) if several else p.sum(axis=1, keepdims=True)
            p = np.divide(p, total, out=np.full_like(p, np.nan), where=total > 0)
    else:
        p = np.array(labels, dtype=np.float64)
        if p.ndim != 2 or p.shape[1] < 2 or not len(p):
            raise ArgumentError(f"labels has shape {p.shape}; give an Annotation, or probabilities (rows, codes).")
        known = ~np.isnan(p).any(axis=1)
        if (p[known] < 0).any() or (np.abs(p[known].sum(axis=1) - 1) > _SUM).any():
            raise DataError(
                "labels must hold probabilities, each row adding up to 1 (missing where there is no label)."
            )
    lost: Bools = np.asarray(np.isnan(p).any(axis=1))
    if lost.all():
        raise DataError("labels holds no label at all.")
    filled = np.where(lost[:, None], 0.5 if several else 1.0 / p.shape[1], p)
    scores = {"entropy": _entropy(filled, several), "unsure": 1.0 - filled.max(axis=1)}
    if mass is not None:
        told = np.clip(np.where(np.isfinite(mass), mass, np.nan), 1e-12, 1.0)
        if np.nanmin(told) < 1.0:
            scores["energy"] = np.where(np.isnan(told), -np.log(np.nanmin(told)), -np.log(told))
    if several:
        scores["none"] = np.prod(1.0 - filled, axis=1)
    elif other is not None:
        scores["none"] = filled[:, list(labels.classes).index(other)]
    return scores, name


def _entropy(p: Floats, several: bool) -> Floats:
    """Entropy between 0 and 1: of the distribution, or the mean over codes of which several may hold."""
    from scipy.special import entr

    if several:
        return np.asarray((entr(p) + entr(1.0 - p)).mean(axis=1) / np.log(2))
    return np.asarray(entr(p).sum(axis=1) / np.log(p.shape[1]))


def _features(table: Table, text: str | None, features: Any, n: int) -> Floats:
    if text is not None:
        from ..predict import HashingEncoder

        texts = read_texts(table.column(text, "text"), f"the column {text!r}")
        return np.asarray(HashingEncoder(min(100, max(2, n - 1))).fit_transform(texts), dtype=np.float64)
    out = np.asarray(features, dtype=np.float64)
    if out.ndim != 2 or len(out) != n or not np.isfinite(out).all():
        raise ArgumentError(f"features has shape {out.shape}; give finite numbers for each of {n} rows.")
    return out


def _distances(table: Table, features: Floats, gold: str, none: Any, neighbours: int, seed: int) -> Floats:
    """Cosine distance to the nearest gold documents with a code, cross-fitted over gold."""
    neighbours = whole("neighbours", neighbours, least=1)
    codes = table.as_given(gold, "gold")
    labelled = np.asarray(codes.notna(), dtype=bool)
    coded = labelled & ~np.asarray([_same(value, none) for value in codes], dtype=bool)
    folds = min(_FOLDS, int(coded.sum()) // 2)
    if folds < 2:
        raise DataError(f"column {gold!r} has {int(coded.sum())} gold rows with a code; distances need 4 or more.")
    length = np.linalg.norm(features, axis=1, keepdims=True)
    unit = np.divide(features, length, out=np.zeros_like(features), where=length > 0)
    rows = np.flatnonzero(labelled)
    order = rows[np.lexsort(features[rows].T)]  # of content, not of the file
    fold = np.full(len(unit), -1, dtype=np.intp)
    fold[order] = generator(seed).permutation(np.arange(len(order)) % folds)
    out = np.zeros(len(unit))
    for f in range(folds):
        examples = np.flatnonzero(coded & (fold != f))
        if not len(examples):
            raise DataError(f"column {gold!r} has too few gold rows with a code in some folds; label more.")
        asked = ~labelled | (fold == f)
        found = _nearest(unit[asked], unit[examples], neighbours)
        out[asked] += np.where(labelled[asked], found, found / folds)
    return out


def _nearest(asked: Floats, examples: Floats, neighbours: int) -> Floats:
    """Mean cosine distance to the nearest examples, block by block."""
    k = min(neighbours, len(examples))
    out = np.empty(len(asked))
    for start in range(0, len(asked), 4096):
        near = asked[start : start + 4096] @ examples.T
        out[start : start + 4096] = 1.0 - np.partition(near, -k, axis=1)[:, -k:].mean(axis=1)
    return out


def _same(value: Any, none: Any) -> bool:
    return none is not None and (value == none or str(value) == str(none))


def _indicator(table: Table, gold: str, none: Any) -> tuple[Floats, Bools]:
    """Whether gold says that no code applies, and the rows that have gold."""
    if none is None:
        raise ArgumentError("none= is needed: what experts said where no code applies, such as 'none of these'.")
    codes = table.as_given(gold, "gold")
    labelled = np.asarray(codes.notna(), dtype=bool)
    outside = np.array([known and _same(value, none) for value, known in zip(codes, labelled)], dtype=np.float64)
    if not outside.any() or outside[labelled].all():
        which = "no" if not outside.any() else "every"
        found = sorted({str(v) for v in codes[labelled]})[:8]
        raise DataError(
            f"{which} gold row of {gold!r} holds none={none!r} (it holds {found}), so the share cannot be estimated; "
            "let experts answer so where no code applies, or label more."
        )
    return outside, labelled
