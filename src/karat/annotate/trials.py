"""Questions and models tried on the development rows: how well they do, and what they cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ArgumentError, DataError
from ..frames import Table
from .question import Question
from .result import Annotation

if TYPE_CHECKING:
    from .._core.types import Array, Floats, Ints
    from .codebook import Codebook

_LEAST = 1e-6


@dataclass(frozen=True)
class Trials:
    """What each question to each model has come to.

    Parameters
    ----------
    names : tuple of tuple of str
        Question and model of each trial; of several codebooks, its name too.
    members : tuple of Annotation
        Labels of the development rows.
    gold : tuple of ndarray, shape (n,), or (n, K) where several classes may hold
        Their gold labels, for each trial.
    weight : ndarray, shape (n,)
        One over their probabilities.

    Notes
    -----
    Choosing by ``r_squared`` makes intervals shortest: a surrogate takes away that share of what labelling by chance
    adds to the variance. All figures are those of the rows that were chosen on; elsewhere labels do worse.

    Examples
    --------
    >>> import numpy as np
    >>> from karat.annotate.trials import Trials
    >>> Trials((), (), (), np.zeros(0)).names
    ()
    """

    names: tuple[tuple[str, ...], ...]
    members: tuple[Annotation, ...]
    gold: tuple[Array, ...]
    weight: Floats

    def table(self) -> Any:
        """One row per trial.

        Returns
        -------
        pandas.DataFrame
            Indexed by question and model (of several codebooks, by label too): ``n`` rows with a label, ``right``
            (share of labels that are the gold label), ``r_squared`` (share of the variance of gold that probabilities
            or ratings explain), ``log_score`` (mean log-probability of the gold label; not for scales), all weighted
            by design, and ``cost`` (this far).
        """
        import pandas as pd

        index = pd.MultiIndex.from_tuples(self.names, names=["question", "model", "label"][: len(self.names[0])])
        figures = [self._figures(member, gold) for member, gold in zip(self.members, self.gold)]
        return pd.DataFrame(figures, index=index)

    def best(self, by: str = "r_squared") -> tuple[str, str]:
        """Names of question and model that do best, on the mean over labels where there are several.

        Parameters
        ----------
        by : {"r_squared", "right", "log_score"}
        """
        scores = self.table()
        if by not in scores.columns or by in ("n", "cost"):
            raise ArgumentError(f"by={by!r} is not allowed; choose one of 'r_squared', 'right', 'log_score'.")
        if scores[by].isna().all():
            raise ArgumentError(f"by={by!r} is not known for these questions.")
        question, model = scores[by].groupby(level=[0, 1], sort=False).mean().idxmax()
        return question, model

    def __repr__(self) -> str:
        return f"{self.table().round(3)}"

    def _figures(self, member: Annotation, gold: Array) -> dict[str, float]:
        keep = member.labelled
        p, w, gold = member.probabilities[keep], self.weight[keep], gold[keep]
        if member.several:
            y = gold[:, : len(member.classes)].astype(float)
            told = p[:, : y.shape[1]]
            right = ((told > 0.5) == (y == 1)).all(axis=1)
            log = np.log(np.maximum(np.where(y == 1, told, 1 - told), _LEAST)).sum(axis=1)
        elif member.numeric:
            y = gold.astype(float)[:, None]
            told, log = member.rating[keep][:, None], np.full(len(gold), np.nan)
            right = np.abs(told - y)[:, 0] <= 0.5
        else:
            y = (gold[:, None] == np.array(member.classes, dtype=object)[None, :]).astype(float)
            told, log = p, np.log(np.maximum((p * y).sum(axis=1), _LEAST))
            right = y[np.arange(len(y)), p.argmax(axis=1)] == 1
        centre = np.average(y, axis=0, weights=w)
        total, left = ((w[:, None] * (y - at) ** 2).sum() for at in (centre, told))
        return {
            "n": int(keep.sum()),
            "right": float(np.average(right, weights=w)),
            "r_squared": float(1 - left / total) if total > 0 else np.nan,
            "log_score": float(np.average(log, weights=w)),
            "cost": member.cost.amount,
        }


def gold_columns(study: Any, question: Any) -> dict[str, list[str]]:
    """Gold columns of each codebook of a study, for a question that must have its classes."""
    if not isinstance(question, Question):
        raise ArgumentError(f"question is a {type(question).__name__}; give a Question, see codebook.ask().")
    parts, books = question.parts, study.books
    if len(parts) != len(books):
        raise ArgumentError(
            f"the question asks {len(parts)} things where there are {len(books)} codebooks; of several make a form, "
            "Form.of([book.ask() for book in codebooks])."
        )
    for part, book in zip(parts, books):
        wanted = book.ask().labels
        if set(part.labels) - {part.refusal} != set(wanted):
            raise ArgumentError(f"the question has the classes {list(part.labels)}, the codebook {list(wanted)}.")
    return {book.name: part.gold_columns(book.name) for part, book in zip(parts, books)}


def try_out(study: Any, data: object, questions: Any, model: Any, *, text: str, **settings: Any) -> Trials:
    """See :meth:`Study.try_out`."""
    table = Table.read(data)
    named = dict(questions) if isinstance(questions, Mapping) else {"question": questions}
    if not named or not all(isinstance(question, Question) for question in named.values()):
        raise ArgumentError("questions is not a Question, or a mapping of name to Question; see codebook.ask().")
    columns = {name: gold_columns(study, question) for name, question in named.items()}
    labelling = study.development.design.aligned(table)
    rows = labelling.gold
    gold = {
        name: {book.name: _gold(book, table, rows, listed[book.name]) for book in study.books}
        for name, listed in columns.items()
    }
    texts = table.column(text, "text").iloc[rows].tolist()
    names, members, known = [], [], []
    for name, question in named.items():
        for m in model if isinstance(model, (list, tuple)) else [model]:
            made = study._run(texts, question, m, text=None, id=None, failures="keep", **settings)
            for book, part in zip(study.books, made.parts):
                own = (name, getattr(m, "label", None) or str(m.model))
                names.append((*own, book.name) if len(study.books) > 1 else own)
                members.append(part)
                known.append(gold[name][book.name])
    return Trials(tuple(names), tuple(members), tuple(known), 1.0 / labelling.probability[rows])


def _gold(book: Codebook, table: Table, rows: Ints, names: list[str]) -> Array:
    """Gold labels of the development rows, held against the codebook."""
    columns = [table.column(name, "codebook.name").iloc[rows] for name in names]
    for name, column in zip(names, columns):
        if missing := int(column.isna().sum()):
            raise DataError(f"{missing} of {len(rows)} development rows have no {name!r}; have them labelled first.")
    listed = [[v.item() if isinstance(v, np.generic) else v for v in column.tolist()] for column in columns]
    several = names != [book.name]
    allowed = (0, 1) if several else book.ask().labels
    odd = [v for values in listed for v in values if v not in allowed]
    if odd and book.scale is None:
        raise DataError(f"{names[0]!r} holds {odd[0]!r}, which is none of {list(allowed)}.")
    gold = np.array(listed, dtype=object).T
    return gold if several else gold[:, 0]
