"""What labelling with models gives back: distributions, their cost and their origin."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ArgumentError, DataError
from ..predict.text.texts import digest_of, read_texts

if TYPE_CHECKING:
    from .._core.types import Array, Bools, Floats, Ints
    from ..frames import Table


@dataclass(frozen=True)
class Cost:
    """What labels did cost.

    Parameters
    ----------
    amount : float
        In ``currency``: all that this question to this model has cost so far, in this call and before, as far as the
        cache knows. Requests whose outcome is not known count with the most they can have cost.
    currency : str
    requests : int
        Requests behind the amount, failed tries included.
    prompt_tokens, completion_tokens : int
        As billed.
    uncertain : int
        Requests whose outcome is not known (timeouts, kills).
    sent, cached : int
        Requests sent in this call, and answers taken from the cache instead.
    priced : bool
        Whether a price was given.

    Examples
    --------
    >>> from karat.annotate import Cost
    >>> print(Cost(0.0125, "USD", 40, 9000, 40, 0, 40, 0, True))
    0.0125 USD for 40 requests (9000 prompt and 40 completion tokens); 40 sent now, 0 taken from the cache
    """

    amount: float
    currency: str
    requests: int
    prompt_tokens: int
    completion_tokens: int
    uncertain: int
    sent: int
    cached: int
    priced: bool

    def __str__(self) -> str:
        money = f"{self.amount:.6g} {self.currency}" if self.priced else "no price given"
        doubt = f", {self.uncertain} of unknown outcome counted in full" if self.uncertain else ""
        return (
            f"{money} for {self.requests} requests ({self.prompt_tokens} prompt and {self.completion_tokens} "
            f"completion tokens{doubt}); {self.sent} sent now, {self.cached} taken from the cache"
        )


@dataclass(frozen=True, eq=False)
class Annotation:
    """Labels of one model to one question.

    Parameters
    ----------
    ids : ndarray, shape (N,)
        Names of the rows, in the order of the data.
    classes : tuple
        The K classes, or the values of the scale.
    probabilities : ndarray, shape (N, K)
        Rows add up to one; NaN where there is no label.
    mass : ndarray, shape (N,)
        Probability the model gave to the classes at all, before they were made to add up to one (for votes: the
        share of usable answers).
    method : ndarray of str, shape (N,)
        ``"logprobs"``, ``"votes"``, ``"json"``, ``"nli"``, ``"likelihood"``.
    status : ndarray of str, shape (N,)
        ``"ok"``; otherwise why there is no label.
    shown : ndarray of bool, shape (N,)
        Rows that the prompt shows. They must leave the analysis: see :meth:`join`.
    name, worker : str
        Prefix of the columns, and who labelled (model and question).
    numeric : bool
        Whether the classes are values of a scale.
    provenance : mapping
        Question, prompt, model, parameters, dates, versions, counts.
    cost : Cost
    several : bool
        Whether several classes may hold for one text; rows of ``probabilities`` then need not add up to one.

    Examples
    --------
    >>> import karat as kt
    >>> issubclass(kt.annotate.Annotation, object)
    True
    """

    ids: Array = field(repr=False)
    classes: tuple[Any, ...]
    probabilities: Floats = field(repr=False)
    mass: Floats = field(repr=False)
    method: Array = field(repr=False)
    status: Array = field(repr=False)
    shown: Bools = field(repr=False)
    name: str
    worker: str
    numeric: bool
    provenance: Mapping[str, Any] = field(repr=False)
    cost: Cost
    several: bool = False

    @property
    def parts(self) -> tuple[Annotation, ...]:
        """The labels of each question by themselves; of one question, they alone."""
        return (self,)

    @property
    def labelled(self) -> Bools:
        """Rows with a label, shape (N,)."""
        return np.asarray(~np.isnan(self.probabilities[:, 0]))

    @property
    def label(self) -> Array:
        """Most probable class of each row, None where there is no label, shape (N,).

        Where several classes may hold: the tuple of those that are more likely than not.
        """
        out = np.empty(len(self.ids), dtype=object)
        if self.several:
            for i in np.flatnonzero(self.labelled):
                out[i] = tuple(c for c, p in zip(self.classes, self.probabilities[i]) if p > 0.5)
            return out
        best = np.where(self.labelled[:, None], self.probabilities, 0.0).argmax(axis=1)
        for i in np.flatnonzero(self.labelled):
            out[i] = self.classes[best[i]]
        return out

    @property
    def confidence(self) -> Floats:
        """Probability of the most probable class (of several: of what is said of the least clear one), shape (N,)."""
        if self.several:
            return np.asarray(np.maximum(self.probabilities, 1 - self.probabilities).min(axis=1))
        return np.asarray(self.probabilities.max(axis=1))

    @property
    def rating(self) -> Floats:
        """Expected value on the scale, shape (N,).

        Raises
        ------
        ArgumentError
            If the question had classes instead of a scale.
        """
        self._need_scale()
        return np.asarray(self.probabilities @ np.asarray(self.classes, dtype=np.float64))

    @property
    def rating_sd(self) -> Floats:
        """Standard deviation on the scale, shape (N,)."""
        self._need_scale()
        square = self.probabilities @ np.asarray(self.classes, dtype=np.float64) ** 2
        return np.sqrt(np.maximum(square - self.rating**2, 0.0))

    @property
    def columns(self) -> dict[Any, str]:
        """Class -> its probability column."""
        return {c: f"{self.name}_p_{c}" for c in self.classes}

    @property
    def surrogate(self) -> Any:
        """What goes into ``surrogates={"gold": ...}``: class -> column, or the column of expected ratings.

        Where refusals are a class, which gold does not have: the columns alone, as numbers.
        """
        if self.several:
            raise ArgumentError(
                "surrogate= is for one gold column; several classes may hold here, see surrogates(gold)."
            )
        if self.numeric:
            return f"{self.name}_rating"
        refusal = self.provenance.get("question", {}).get("refusal")
        return list(self.columns.values()) if refusal in self.classes else self.columns

    def surrogates(self, gold: str) -> dict[str, Any]:
        """What goes into ``surrogates=``: gold column -> column; where several classes may hold one for each class.

        Parameters
        ----------
        gold : str
            The gold column, or what the gold columns of the classes (0 and 1) begin with: ``gold_class``.
        """
        if not self.several:
            return {gold: self.surrogate}
        return {f"{gold}_{c}": column for c, column in self.columns.items()}

    def rolled_up(self, parents: Mapping[Any, Any]) -> Annotation:
        """The labels as broader codes, such as ``codebook.parents``.

        Parameters
        ----------
        parents : mapping
            Class -> broader code; classes that are not named stay as they are.

        Returns
        -------
        Annotation
            With the probability that one of a broader code's classes holds: their sum; where several may hold, which
            is not known from each by itself, the largest.

        Raises
        ------
        ArgumentError
            If the classes are values of a scale.
        """
        if self.numeric:
            raise ArgumentError("rolled_up is for classes; a scale has no broader codes.")
        upper = [parents.get(c, c) for c in self.classes]
        classes = tuple(dict.fromkeys(upper))
        inside = [np.array([u == c for u in upper]) for c in classes]
        put = np.max if self.several else np.sum
        p = np.column_stack([put(self.probabilities[:, k], axis=1) for k in inside])
        return replace(self, classes=classes, probabilities=p)

    def frame(self, backend: str = "pandas") -> Any:
        """One row per text: id, label, probabilities, confidence, mass, whether shown, status.

        Parameters
        ----------
        backend : {"pandas", "polars", "pyarrow"}

        Returns
        -------
        data frame
        """
        from ..labels.tables.render import build_frame

        return build_frame({"id": self.ids, **self._named()}, backend)

    def shown_rows(self, backend: str = "pandas") -> Any:
        """Rows that must leave the analysis, and why.

        Parameters
        ----------
        backend : {"pandas", "polars", "pyarrow"}

        Returns
        -------
        data frame
            Columns ``position``, ``id``, ``reason``.
        """
        from ..labels.tables.render import build_frame

        rows = np.flatnonzero(self.shown)
        return build_frame({"position": rows, "id": self.ids[rows], "reason": self.status[rows]}, backend)

    def join(self, data: Any, *, drop_shown: bool = True) -> Any:
        """The data with the columns of :meth:`frame`, without the rows that the prompt shows.

        Parameters
        ----------
        data : data frame
            The table that was labelled: same rows, same order. It is held against the texts, and the ids if there are
            any, that were labelled.
        drop_shown : bool
            Leave out rows shown in the prompt: the model's answer to them is not an answer to a new text, so they
            belong neither to the gold sample nor to the corpus.

        Returns
        -------
        data frame
            Of the library of ``data``.

        Raises
        ------
        DataError
            If the data have other rows or the rows in another order, or have these columns already.
        """
        import narwhals as nw

        from ..frames import Table

        table = Table.read(data)
        if table.n_rows != len(self.ids):
            raise DataError(f"data has {table.n_rows} rows, {len(self.ids)} were labelled; pass the same table.")
        self.hold_against(table)
        named = self._named()
        if twice := sorted(set(named) & set(table.columns)):
            raise DataError(f"data has the column {twice[0]!r} already; give the question another name=.")
        library = table.native.implementation
        plain = {n: [v.item() if isinstance(v, np.generic) else v for v in x.tolist()] for n, x in named.items()}
        frame = table.put([nw.new_series(name, values, backend=library) for name, values in plain.items()])
        if drop_shown and self.shown.any():
            frame = frame.filter((~self.shown).tolist())
        return frame.to_native()

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write everything to a JSON file; an existing file is replaced when the new one is complete.

        Parameters
        ----------
        path : str or Path
        """
        from .result_file import save

        save(self, path)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Annotation:
        """Read what :meth:`save` wrote.

        Parameters
        ----------
        path : str or Path

        Returns
        -------
        Annotation

        Raises
        ------
        DataError
            If the file holds something else.
        """
        from .result_file import load

        found = load(path)
        if not isinstance(found, Annotation):
            raise DataError(f"{os.fspath(path)!r} holds labels of several questions; read it with Panel.load.")
        return found

    def take(self, rows: Ints) -> Annotation:
        """Some of the rows.

        Parameters
        ----------
        rows : ndarray of int, shape (n,)
        """
        arrays = ("ids", "probabilities", "mass", "method", "status", "shown")
        record = {key: value for key, value in self.provenance.items() if key != "rows"}
        return replace(self, **{name: getattr(self, name)[rows] for name in arrays}, provenance=record)

    def hold_against(self, table: Table) -> None:
        """Raise where a table does not hold the rows that were labelled, in their order."""
        rows = self.provenance.get("rows", {})
        known = [name for name in (rows.get("id"), rows.get("text")) if name is not None]
        if known and not set(known) & set(table.columns):
            raise DataError(f"data lacks {known}, by which its rows are known; join before these columns are dropped.")
        same = True
        if rows.get("id") in known and rows["id"] in table.columns:
            same = np.asarray(table.column(rows["id"], "id")).tolist() == self.ids.tolist()
        if rows.get("text") in known and rows["text"] in table.columns:
            texts = read_texts(table.column(rows["text"], "text"), f"the column {rows['text']!r}")
            same = same and digest_of(texts) == rows["digest"]
        if not same:
            raise DataError(
                "data does not hold the rows that were labelled, in the same order; sort it back, or merge frame() on "
                "an id column instead of joining."
            )

    def _named(self) -> dict[str, Any]:
        out: dict[str, Any] = {} if self.several else {f"{self.name}_label": _typed(self.label)}
        if self.several:
            said = np.where(np.isnan(self.probabilities), np.nan, self.probabilities > 0.5)
            out |= {f"{self.name}_{c}": said[:, k] for k, c in enumerate(self.classes)}
        out |= {column: self.probabilities[:, k] for k, column in enumerate(self.columns.values())}
        if self.numeric:
            out |= {f"{self.name}_rating": self.rating, f"{self.name}_rating_sd": self.rating_sd}
        more = {"confidence": self.confidence, "mass": self.mass, "shown": self.shown, "status": self.status}
        return out | {f"{self.name}_{key}": values for key, values in more.items()}

    def _need_scale(self) -> None:
        if not self.numeric:
            raise ArgumentError("a rating needs a question with scale=(lowest, highest); this one has classes.")


def _typed(labels: Array) -> Array:
    """Labels as numbers where all classes are numbers, NaN where there is none."""
    given = [v for v in labels.tolist() if v is not None]
    if not given or any(isinstance(v, (str, bool)) or not isinstance(v, (int, float)) for v in given):
        return labels
    if len(given) == len(labels):
        return np.array(given)
    return np.array([np.nan if v is None else float(v) for v in labels.tolist()])
