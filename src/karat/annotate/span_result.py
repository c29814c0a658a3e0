"""Passages that a model marked: as a table, as variables of documents, and held against those of people."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..designs import Labelling, Sample
from ..errors import ArgumentError, DataError, number
from ..fieldwork.spans import Spans, covered
from ..labels.quality.errors_by_design import ratio, share_intervals
from .located import Marks
from .result import Annotation

if TYPE_CHECKING:
    import pandas as pd

    from .._core.types import Floats, Ints


@dataclass(frozen=True, eq=False)
class SpanAnnotation(Annotation):
    """Passages that one model marked in answer to a :class:`SpanQuestion`.

    ``probabilities`` are those that a text has a passage with the label: 1 or 0, the largest confidence, or the share
    of the answers that mark one.

    Parameters
    ----------
    marks : tuple of Marks
        Of each row: passages, quotes that were not found, and what passages come to; None where there is no answer.
    lengths : ndarray of int, shape (N,)
        Characters of each text.

    Examples
    --------
    >>> import karat as kt
    >>> question = kt.annotate.SpanQuestion("Mark every threat.", classes=["threat"])
    >>> found = kt.annotate.label(letters, question, model, text="text", id="letter")  # doctest: +SKIP
    >>> found.passages, found.agreement(kt.read_spans("gold.jsonl", ["threat"]), sample)  # doctest: +SKIP
    """

    marks: tuple[Marks | None, ...] = field(repr=False, kw_only=True)
    lengths: Ints = field(repr=False, kw_only=True)

    @property
    def passages(self) -> pd.DataFrame:
        """One row a passage: document, start and end (in characters, the end not included), label, text, confidence."""
        names = ["document", "start", "end", "label", "text", "confidence"]
        return self._rows(
            names,
            lambda marks: [
                (one.start, one.end, self.classes[one.label], one.text, one.confidence) for one in marks.passages
            ],
        )

    @property
    def lost(self) -> pd.DataFrame:
        """One row a quote that marks nothing: document, label, quote, why."""
        return self._rows(
            ["document", "label", "quote", "why"],
            lambda marks: [(self.classes[one.label], one.words, one.why) for one in marks.lost],
        )

    @property
    def counts(self) -> Floats:
        """Expected number of passages with each label, NaN where there is no answer, shape (N, K)."""
        return self._numbers("counts")

    @property
    def shares(self) -> Floats:
        """Expected share of the characters that are in a passage with each label, shape (N, K)."""
        return self._numbers("covered") / np.maximum(self.lengths, 1)[:, None]

    def spans(self, least: float = 0.5) -> Spans:
        """The passages as those of an annotator, such as :func:`karat.read_spans` gives.

        Parameters
        ----------
        least : float
            Confidence from which a passage counts.

        Returns
        -------
        Spans
        """
        least, table = number("least", least, least=0, most=1), self.passages.assign(annotator=self.worker)
        table = table[table["confidence"] >= least].reset_index(drop=True)
        table = table.assign(document=table["document"].astype(str), label=table["label"].astype(str))
        seen = tuple((str(self._id(i)), self.worker) for i, marks in enumerate(self.marks) if marks is not None)
        columns = ["document", "annotator", "start", "end", "label"]
        return Spans(table[columns], seen, tuple(map(str, self.classes)))

    def surrogates(self, gold: str = "") -> dict[str, Any]:
        """What goes into ``surrogates=``, for the columns of :meth:`karat.Spans.documents`.

        Parameters
        ----------
        gold : str
            The name that was given to ``documents``: gold columns are ``LABEL_any``, ``LABEL_count``, ``LABEL_share``,
            or ``gold_LABEL_any`` and so on.
        """
        head = f"{gold}_" if gold else ""
        kinds = {"any": "p", "count": "count", "share": "share"}
        return {f"{head}{c}_{kind}": f"{self.name}_{ours}_{c}" for kind, ours in kinds.items() for c in self.classes}

    def agreement(self, gold: Spans, sample: Any = None, *, least: float = 0.5) -> pd.DataFrame:
        """How far the passages are those that people marked.

        Parameters
        ----------
        gold : Spans
            Of :func:`karat.read_spans`; documents are known by the ids of the rows. Several annotators of a document
            count with their mean.
        sample : Sample, optional
            By which the documents with gold were drawn, in the rows that were labelled: figures are then those of the
            corpus. By default each document counts once.
        least : float
            Confidence from which a passage of the model counts.

        Returns
        -------
        pandas.DataFrame
            One row for each label and way to count, ``exact`` (the same ends), ``overlapping`` (a character in common)
            and ``characters``: ``precision`` (share of the model's passages, or characters, that people marked),
            ``recall`` (share of theirs that it marked) and ``f1``, each with a 95 % interval; ``ours`` and ``gold``
            (passages or characters).

        Raises
        ------
        DataError
            If no document has both, or a document with gold was not drawn.

        Notes
        -----
        Ratios of totals over documents, weighted by design; intervals are those of :func:`karat.labels.audit` (methods,
        section 6) for documents that hold several passages, which are taken together.
        """
        return agreement(self, gold, sample, least)

    def take(self, rows: Ints) -> SpanAnnotation:
        """Some of the rows.

        Parameters
        ----------
        rows : ndarray of int, shape (n,)
        """
        cut = super().take(rows)
        assert isinstance(cut, SpanAnnotation)
        kept = np.arange(len(self.marks))[rows]
        return replace(cut, marks=tuple(self.marks[i] for i in kept), lengths=self.lengths[rows])

    def rolled_up(self, parents: Any) -> Annotation:
        """Passages keep their labels; roll up the table instead."""
        raise ArgumentError("rolled_up is for classes; map the labels of passages, or ask with broader ones.")

    def _named(self) -> dict[str, Any]:
        out = super()._named()
        for name, values in (("count", self.counts), ("share", self.shares)):
            out |= {f"{self.name}_{name}_{c}": values[:, k] for k, c in enumerate(self.classes)}
        lost = [np.nan if marks is None else len(marks.lost) for marks in self.marks]
        return out | {f"{self.name}_lost": np.array(lost, dtype=np.float64)}

    def _rows(self, names: list[str], of: Callable[[Marks], list[tuple[Any, ...]]]) -> pd.DataFrame:
        import pandas as pd

        rows = [(self._id(i), *row) for i, marks in enumerate(self.marks) if marks is not None for row in of(marks)]
        return pd.DataFrame(rows, columns=names)

    def _id(self, row: int) -> Any:
        value = self.ids[row]
        return value.item() if isinstance(value, np.generic) else value

    def _numbers(self, what: str) -> Floats:
        nothing = np.full(len(self.classes), np.nan)
        rows = [nothing if marks is None else getattr(marks, what) for marks in self.marks]
        return np.array(rows, dtype=np.float64).reshape(-1, len(self.classes))


Places = list[tuple[int, int]]
WAYS = ("exact", "overlapping", "characters")


def agreement(labels: SpanAnnotation, gold: Spans, sample: Sample | None, least: float) -> pd.DataFrame:
    """See :meth:`SpanAnnotation.agreement`."""
    import pandas as pd

    if not isinstance(gold, Spans):
        raise ArgumentError(f"gold is a {type(gold).__name__}; give what read_spans gives.")
    people: dict[str, list[str]] = {}
    for document, annotator in gold.seen:
        people.setdefault(document, []).append(annotator)
    names, labelling = _documents(labels, people, sample)
    ours, theirs = _places(labels.spans(least)), _places(gold)
    out = []
    for label in map(str, labels.classes):
        tallies = np.zeros((len(names), len(WAYS), 4))
        for row, name in enumerate(names):
            mine = ours.get((name, labels.worker, label), [])
            tallies[row] = np.mean([_tally(mine, theirs.get((name, who, label), [])) for who in people[name]], axis=0)
        for k, way in enumerate(WAYS):
            out.append({"label": label, "way": way, **_figures(tallies[:, k], labelling)})
    return pd.DataFrame(out).set_index(["label", "way"])


def _places(spans: Spans) -> dict[tuple[str, str, str], Places]:
    """Passages by document, annotator and label."""
    out: dict[tuple[str, str, str], Places] = {}
    columns = (spans.table[name].tolist() for name in ("document", "annotator", "label", "start", "end"))
    for *key, start, end in zip(*columns):
        out.setdefault(tuple(key), []).append((start, end))
    return out


def _documents(
    labels: SpanAnnotation, people: dict[str, list[str]], sample: Sample | None
) -> tuple[list[str], Labelling]:
    """Documents with gold in the order of the rows, and how they came to have it."""
    names = [str(labels._id(i)) for i in range(len(labels.ids))]
    if len(set(names)) < len(names):
        raise DataError("two rows have the same id, so passages cannot be assigned to rows; label with id=.")
    here = np.array([name in people for name in names])
    if not here.any():
        raise DataError(
            f"gold has the document {next(iter(people), 'none')!r} and so on, the labels {names[0]!r}, and none is in "
            "both; label with id= as gold names documents."
        )
    silent = [name for name, marks, known in zip(names, labels.marks, here) if known and marks is None]
    if silent:
        raise DataError(f"the document {silent[0]!r} has gold and no answer of the model ({len(silent)} in all).")
    known = [name for name, found in zip(names, here) if found]
    if sample is None:  # every document stands for itself
        return known, Labelling(np.ones(len(known)), np.ones(len(known), dtype=bool), fixed_size=False)
    if not isinstance(sample, Sample):
        raise ArgumentError(f"sample is a {type(sample).__name__}; give the Sample by which documents were drawn.")
    if len(sample.labelled) != len(names):
        raise DataError(f"sample was drawn from {len(sample.labelled)} rows, {len(names)} were labelled.")
    for odd, why in (
        (
            here & ~sample.labelled,
            "has gold and was not drawn; leave it out, or label the rows in the order of the draw",
        ),
        (
            sample.labelled & ~here,
            "was drawn and no person is known to have seen it; gold needs those without passages too",
        ),
    ):
        if odd.any():
            raise DataError(f"the document {names[int(np.flatnonzero(odd)[0])]!r} {why} ({int(odd.sum())} in all).")
    return known, sample.labelling


def _figures(tally: Floats, labelling: Labelling) -> dict[str, float]:
    """Precision, recall and F1 from tallies of documents: ours right, theirs found, ours, theirs."""
    above = np.column_stack([tally[:, 0], tally[:, 1], tally[:, 0] + tally[:, 1]])
    below = np.column_stack([tally[:, 2], tally[:, 3], tally[:, 2] + tally[:, 3]])
    values, covariance = ratio(above, below, labelling)
    marked, every = tally[:, 2] > 0, np.ones(len(tally), dtype=bool)
    right, rest = np.column_stack([marked] * 3), np.column_stack([marked, every, every])
    ends = share_intervals(above, below, (right, rest), covariance, labelling.weight)
    out: dict[str, float] = {}
    for k, name in enumerate(("precision", "recall", "f1")):
        out |= {name: float(values[k]), f"{name} 2.5%": float(ends[k, 0]), f"{name} 97.5%": float(ends[k, 1])}
    return out | {"ours": float(tally[:, 2].sum()), "gold": float(tally[:, 3].sum())}


def _tally(mine: Places, theirs: Places) -> list[list[float]]:
    """For each way to count: ours that are right, theirs that are found, ours, theirs."""
    same = len(set(mine) & set(theirs))
    met = [
        sum(any(a < d and c < b for c, d in other) for a, b in one) for one, other in ((mine, theirs), (theirs, mine))
    ]
    m, t, both = covered(mine), covered(theirs), covered([*mine, *theirs])
    return [
        [same, same, len(mine), len(theirs)],
        [*met, len(mine), len(theirs)],
        [m + t - both, m + t - both, m, t],
    ]
