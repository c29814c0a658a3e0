"""Marked passages: read from tables and tools, compared between annotators, summed up to variables of documents."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ArgumentError, DataError, whole
from ..frames import Table
from .checked import names_given
from .formats import files_in, settled
from .marked import Marked, in_records, in_rows, records_of

if TYPE_CHECKING:
    import pandas as pd

    from .._core.types import Floats


@dataclass(frozen=True, eq=False)
class Spans:
    """Passages that annotators marked.

    Parameters
    ----------
    table : pandas.DataFrame
        One row a passage: ``document``, ``annotator``, ``start``, ``end`` (in characters, the end not included),
        ``label``.
    seen : tuple of (str, str)
        Documents and the annotators who had them before them, those who marked nothing included.
    labels : tuple of str

    Examples
    --------
    >>> import karat as kt
    >>> rows = {"document": ["a", "a"], "annotator": ["ann", "ben"], "start": [0, 2], "end": [4, 4]}
    >>> rows["label"] = ["threat", "threat"]
    >>> spans = kt.read_spans(rows, ["threat"])
    >>> spans.documents({"a": "0123456789"})[["annotator", "threat_count", "threat_share"]].values.tolist()
    [['ann', 1, 0.4], ['ben', 1, 0.2]]
    """

    table: pd.DataFrame = field(repr=False)
    seen: tuple[tuple[str, str], ...] = field(repr=False)
    labels: tuple[str, ...]

    def documents(self, texts: Mapping[str, str] | None = None, name: str = "") -> pd.DataFrame:
        """Passages as variables of documents, for :meth:`karat.designs.Sample.read_labels` and others.

        Parameters
        ----------
        texts : mapping, optional
            Document -> text; with it there are shares.
        name : str
            What the columns of labels begin with: ``NAME_LABEL_any``, as a study takes them whose codebook is so named.

        Returns
        -------
        pandas.DataFrame
            One row per document and annotator: ``document``, ``annotator``, and for each label ``LABEL_any`` (0 or 1),
            ``LABEL_count``, and ``LABEL_share`` of the characters.
        """
        import pandas as pd

        lengths = None if texts is None else self._lengths(texts)
        head = f"{name}_" if name else ""
        rows = []
        groups = {key: found for key, found in self.table.groupby(["document", "annotator"], sort=False)}
        for document, annotator in self.seen:
            found = groups.get((document, annotator))
            row: dict[str, Any] = {"document": document, "annotator": annotator}
            for label in self.labels:
                mine = [] if found is None else _ends(found, label)
                row |= {f"{head}{label}_any": int(bool(mine)), f"{head}{label}_count": len(mine)}
                if lengths is not None:
                    row[f"{head}{label}_share"] = covered(mine) / lengths[document] if lengths[document] else 0.0
            rows.append(row)
        return pd.DataFrame(rows)

    def agreement(self, texts: Mapping[str, str], *, draws: int = 1000, seed: int = 0) -> pd.DataFrame:
        """How far annotators mark the same passages.

        Parameters
        ----------
        texts : mapping
            Document -> text.
        draws : int
            Bootstrap draws of documents for the interval; 0 for none.
        seed : int

        Returns
        -------
        pandas.DataFrame
            One row per label: ``alpha`` (Krippendorff's, each character being marked or not) with a 95 % interval,
            ``exact`` and ``overlapping`` (F1 of passages with the same ends, and of those that share a character, over
            all pairs of annotators), ``passages``.

        Raises
        ------
        DataError
            If no document has two annotators.

        References
        ----------
        Krippendorff (2019), Content analysis, chapter 12, for the coefficient; Hripcsak and Rothschild (2005) for F1
        where what is not marked cannot be counted.
        """
        import pandas as pd

        draws, lengths = whole("draws", draws, least=0), self._lengths(texts)
        people: dict[str, list[str]] = {}
        for document, annotator in self.seen:
            people.setdefault(document, []).append(annotator)
        shared = {document: names for document, names in people.items() if len(names) > 1}
        if not shared:
            raise DataError("no document has two annotators, so there is no agreement to speak of.")
        groups = {key: found for key, found in self.table.groupby(["document", "annotator"], sort=False)}
        rows = []
        for label in self.labels:
            sums, pairs = [], np.zeros(3)
            for document, names in shared.items():
                marks = [_ends(groups[document, n], label) if (document, n) in groups else [] for n in names]
                sums.append(_disagreement(marks, lengths[document]))
                pairs += _matches(marks)
            low, high = _interval(np.array(sums), draws, seed)
            exact, overlapping = (float(m / pairs[2]) if pairs[2] else float("nan") for m in pairs[:2])
            rows.append(
                {
                    "label": label, "alpha": _alpha(np.sum(sums, axis=0)), "2.5%": low, "97.5%": high, "exact": exact,
                    "overlapping": overlapping, "passages": int((self.table["label"] == label).sum()),
                }
            )  # fmt: skip
        return pd.DataFrame(rows).set_index("label")

    def _lengths(self, texts: Mapping[str, str]) -> dict[str, int]:
        if not isinstance(texts, Mapping):
            raise ArgumentError(f"texts is a {type(texts).__name__}; give a mapping from document to its text.")
        names = {document for document, _ in self.seen}
        if lost := sorted(names - set(texts)):
            raise DataError(f"texts has no text of the document {lost[0]!r} ({len(lost)} in all).")
        out = {name: len(texts[name]) for name in names}
        for document, end in zip(self.table["document"], self.table["end"]):
            if end > out[document]:
                raise DataError(
                    f"a passage of the document {document!r} ends at {end}, its text at {out[document]}; give the text "
                    "that was marked."
                )
        return out


def read_spans(
    source: object,
    labels: Sequence[str],
    *,
    columns: Mapping[str, str] | None = None,
    annotators: Mapping[Any, str] | None = None,
) -> Spans:
    """Read passages that annotators marked in texts.

    Parameters
    ----------
    source : str, Path, sequence of them, or data frame
        Tables with ``document``, ``start``, ``end``, ``label`` and ``annotator``, or exports of Label Studio (labels of
        passages), Argilla (span questions), doccano (sequence labelling), Prodigy or Potato.
    labels : sequence of str
        Labels that passages may have.
    columns : mapping, optional
        For tables: ``"document"``, ``"annotator"``, ``"start"``, ``"end"``, ``"label"`` -> column.
    annotators : mapping, optional
        File -> name of the annotator, for files that do not say whose they are.

    Returns
    -------
    Spans

    Raises
    ------
    DataError
        Names the file, the document and the field at fault.

    Examples
    --------
    >>> import karat as kt
    >>> rows = {"document": ["a"], "annotator": ["ann"], "start": [0], "end": [4], "label": ["threat"]}
    >>> len(kt.read_spans(rows, ["threat"]).table)
    1
    """
    import pandas as pd

    if isinstance(labels, str) or not isinstance(labels, Sequence) or not labels:
        raise ArgumentError(f"labels={labels!r} is not allowed; give a list of the labels that passages may have.")
    known = tuple(str(label) for label in labels)
    rows: list[dict[str, Any]] = []
    seen: dict[tuple[str, str], None] = {}
    for where, marked in _found(source, columns, annotators):
        seen[marked.document, marked.who] = None
        for start, end, label in marked.spans:
            if label not in known:
                raise DataError(
                    f"{where}, document {marked.document!r}: the label {label!r} is not among {list(known)}."
                )
            if not 0 <= start < end:
                raise DataError(
                    f"{where}, document {marked.document!r}: a passage from {start} to {end} is none; ends come after "
                    "starts, and count from 0."
                )
            rows.append(
                {"document": marked.document, "annotator": marked.who, "start": start, "end": end, "label": label}
            )
    table = pd.DataFrame(rows, columns=["document", "annotator", "start", "end", "label"]).drop_duplicates()
    return Spans(
        table.sort_values(["document", "annotator", "start", "end"]).reset_index(drop=True), tuple(seen), known
    )


def _found(
    source: object, columns: Mapping[str, str] | None, annotators: Mapping[Any, str] | None
) -> Iterator[tuple[str, Marked]]:
    source = settled(source)
    listed = source if isinstance(source, (list, tuple)) else [source]
    if not all(isinstance(path, (str, Path)) for path in listed):
        table = Table.read(source)
        names_given(annotators, ())
        for marked in in_rows(table.pandas(table.columns, "source"), "the table", columns or {}):
            yield "the table", Marked(marked.document, marked.who or "table", marked.spans)
        return
    files = files_in(source)
    renamed = names_given(annotators, files)
    for path in files:
        name = renamed.get(str(path), renamed.get(path.name)) or ""
        records = records_of(path)
        found = (
            in_rows(records, path.name, columns or {}) if not isinstance(records, list) else in_records(records, path)
        )
        for marked in found:
            yield path.name, Marked(marked.document, name or marked.who or path.stem, marked.spans)


def _ends(found: pd.DataFrame, label: str) -> list[tuple[int, int]]:
    mine = found[found["label"] == label]
    return list(zip(mine["start"].tolist(), mine["end"].tolist()))


def covered(spans: Sequence[tuple[int, int]]) -> int:
    """Characters in any of the passages."""
    total, reached = 0, 0
    for start, end in sorted(spans):
        total += max(0, end - max(start, reached))
        reached = max(reached, end)
    return total


def _disagreement(marks: Sequence[Sequence[tuple[int, int]]], length: int) -> tuple[float, float, float]:
    """Of one document: what pairs differ by, characters marked, characters, summed over its annotators."""
    m = len(marks)
    cuts = sorted({0, length, *(end for spans in marks for span in spans for end in span)})
    differ = ones = 0.0
    for left, right in pairwise(cuts):
        inside = sum(any(start <= left and right <= end for start, end in spans) for spans in marks)
        differ += (right - left) * 2.0 * inside * (m - inside) / (m - 1)
        ones += (right - left) * inside
    return differ, ones, float(length * m)


def _alpha(sums: Floats) -> float:
    """Krippendorff's alpha of two values from what documents add up to."""
    differ, ones, n = (float(x) for x in sums)
    expected = 2.0 * ones * (n - ones) / (n - 1) if n > 1 else 0.0
    return 1.0 - differ / expected if expected > 0 else float("nan")


def _interval(sums: Floats, draws: int, seed: int) -> tuple[float, float]:
    from ..errors import generator

    if not draws or len(sums) < 2:
        return float("nan"), float("nan")
    rng = generator(seed)
    found = [_alpha(sums[rng.integers(0, len(sums), len(sums))].sum(axis=0)) for _ in range(draws)]
    known = np.array(found)[~np.isnan(found)]
    if not len(known):
        return float("nan"), float("nan")
    low, high = np.quantile(known, [0.025, 0.975])
    return float(low), float(high)


def _matches(marks: Sequence[Sequence[tuple[int, int]]]) -> Floats:
    """Over pairs of annotators: passages that are the same, that overlap, and all."""
    out = np.zeros(3)
    for i, mine in enumerate(marks):
        for theirs in marks[i + 1 :]:
            out[0] += 2 * len(set(mine) & set(theirs))
            out[1] += sum(any(a < d and c < b for c, d in theirs) for a, b in mine)
            out[1] += sum(any(a < d and c < b for c, d in mine) for a, b in theirs)
            out[2] += len(mine) + len(theirs)
    return out
