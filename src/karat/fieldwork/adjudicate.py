"""The third round: documents on which annotators differ go to somebody who sees what they answered and decides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ArgumentError, DataError, DesignWarning, number, tell
from ..frames import Table
from .answers import DOCUMENT, FLAGGED, NOTE, SETTLES, STATUS, WHO
from .handout import Earlier, write_handout
from .questions import NONE, Question, read_questions

if TYPE_CHECKING:
    import pandas as pd

    from ..designs import Sample


def write_adjudication(
    sample: Sample,
    folder: str | Path,
    data: object,
    text: str,
    annotations: pd.DataFrame,
    labels: object,
    *,
    annotators: int | Sequence[str] = ("adjudicator",),
    apart: float = 0.0,
    flagged: bool = True,
    names: bool = False,
    **handout: Any,
) -> list[Path]:
    """Write files that settle disagreements, see :meth:`karat.designs.Sample.to_adjudication`."""
    questions = read_questions(labels)
    apart = number("apart", apart, least=0)
    columns = [column.name for q in questions for column in q.columns]
    needed = [DOCUMENT, WHO, STATUS, NOTE, SETTLES, *columns]
    if not hasattr(annotations, "columns") or [name for name in needed if name not in annotations]:
        raise ArgumentError(
            "annotations must be the table that sample.read_annotations gave for these labels "
            f"(columns {', '.join(needed)})."
        )
    earlier = disagreements(annotations, questions, apart, flagged, names)
    if not earlier:
        tell("annotators agree on every document that two or more labelled: there is nothing to settle.", DesignWarning)
        return []
    known = set(sample.design.documents(Table.read(data))[0])
    if stray := set(earlier) - known:
        raise DataError(f"annotations name document {min(stray)!r}, which is not in this sample.")
    return write_handout(sample, folder, data, text, labels, annotators=annotators, earlier=earlier, **handout)


def disagreements(
    annotations: pd.DataFrame, questions: Sequence[Question], apart: float, flagged: bool, names: bool
) -> dict[str, Earlier]:
    """Documents to settle: for each question on which people differ, who answered what.

    Parameters
    ----------
    annotations : pandas.DataFrame
        As :meth:`karat.designs.Sample.read_annotations` gives it.
    questions : sequence of Question
    apart : float
        How far numbers may lie apart without being settled.
    flagged : bool
        Whether documents that somebody flagged are settled too, with all their questions.
    names : bool
        Whether the names of annotators are shown; else they are A, B, ... in the order of their names, anew for each
        document.
    """
    out: dict[str, Earlier] = {}
    for document, rows in annotations.sort_values("annotator").groupby("document", sort=True):
        whole = rows[~rows[SETTLES]]
        people = list(dict.fromkeys(whole["annotator"]))
        called = {who: str(who) if names else _letters(k) for k, who in enumerate(people)}
        raised = flagged and bool((whole[STATUS] == FLAGGED).any())
        found: dict[str, list[tuple[str, str]]] = {}
        for q in questions:
            first = q.columns[0].name
            if rows.loc[rows[SETTLES], first].notna().any():
                continue
            given = whole[whole[first].notna()]
            if raised or _differ(given, q, apart):
                found[q.name] = [(called[row["annotator"]], _answer(row, q)) for row in given.to_dict("records")]
        notes = whole[whole[NOTE].notna()]
        if found and len(notes):
            found[NOTE] = [(called[row["annotator"]], str(row[NOTE])) for row in notes.to_dict("records")]
        if found:
            out[str(document)] = found
    return out


def _differ(given: pd.DataFrame, question: Question, apart: float) -> bool:
    if question.kind in ("number", "scale", "rating"):
        values = given[question.name]
        return len(values) > 1 and float(values.max() - values.min()) > apart
    return any(given[column.name].nunique() > 1 for column in question.columns)


def _answer(row: Mapping[Any, Any], question: Question) -> str:
    """An answer as people saw it."""
    words = dict(zip(question.classes, question.shown))
    if question.kind == "several":
        held = [words[c] for c, column in zip(question.classes, question.columns) if row[column.name] == 1]
        return ", ".join(held) or NONE
    value = row[question.name]
    if question.kind == "choices":
        return words.get(value, str(value))
    return f"{value:g}" if question.numeric else str(value)


def _letters(k: int) -> str:
    return chr(ord("A") + k) if k < 26 else f"{_letters(k // 26 - 1)}{_letters(k % 26)}"
