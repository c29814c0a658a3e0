"""Gold columns from what annotators returned: several labels joined, filled into the frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ArgumentError, DataError, DesignWarning, one_of, tell
from ..frames import Table
from .answers import FLAGGED, REFUSED, SETTLES, SKIPPED
from .collect import asked, read_annotations
from .formats import settled
from .questions import Question

if TYPE_CHECKING:
    import pandas as pd

    from .._core.types import Array
    from ..designs import Sample

ESTIMANDS = ("expert_mean", "latent_truth")


def read_labels(
    sample: Sample,
    paths: object,
    data: object,
    *,
    labels: object = None,
    join: str = "expert_mean",
    annotators: Mapping[Any, str] | None = None,
    duplicates: str = "raise",
    missing: str = "warn",
    columns: Mapping[str, str] | None = None,
    coders: Mapping[str, Any] | Sequence[str] | None = None,
) -> Any:
    """The frame with gold filled in, see :meth:`karat.designs.Sample.read_labels`."""
    from ..labels.aggregation.aggregate import METHODS, POOLS

    one_of("missing", missing, ("warn", "raise", "ignore"))
    one_of("join", join, (*ESTIMANDS, *METHODS, *(p for p in POOLS if p != "weighted")))
    table, paths = Table.read(data), settled(paths)
    questions = asked(paths, sample, labels)
    long = read_annotations(
        sample, paths, data, labels={q.name: q for q in questions}, annotators=annotators, duplicates=duplicates,
        columns=columns, coders=coders,
    )  # fmt: skip
    gold: dict[str, Array] = {}
    for question in (column for q in questions for column in q.columns):
        found = _joined(long, question, join, table.n_rows)
        if question.name not in found and question.name in table.columns:
            _refuse_mixed(question.name, table.column(question.name, "data").dropna().to_numpy(object), np.zeros(1))
        for name, values in found.items():
            gold[name] = _with_earlier(table, name, values)
    _tell_missing(sample, table, gold, missing, long)
    return _filled(table, gold)


def _joined(long: pd.DataFrame, question: Question, join: str, n_rows: int) -> dict[str, Array]:
    """Gold column(s) of one question, one value per row of the frame, None where there is no label."""
    given = long[long[question.name].notna()]
    settled = given.loc[given[SETTLES], "position"]
    given = given[given[SETTLES] | ~given["position"].isin(settled)]
    differ = int((given.groupby("position")[question.name].nunique() > 1).sum())
    if given["position"].is_unique or (not differ and (join == "expert_mean" or question.kind == "text")):
        first = given.drop_duplicates("position")
        return {question.name: _spread(first["position"], first[question.name].tolist(), n_rows)}
    if question.kind == "text":
        raise DataError(
            f"annotators gave different texts for {question.name!r} on {differ} document(s); texts cannot be joined. "
            "Use read_annotations and settle them by hand."
        )
    if join == "expert_mean" and question.numeric:
        means = given.groupby("position")[question.name].mean()
        return {question.name: _spread(means.index, means.tolist(), n_rows)}
    if question.kind != "choices":
        raise ArgumentError(
            f"join={join!r} is about classes, but {question.name!r} is a number; use join='expert_mean', or "
            "read_annotations with labels.rate."
        )
    if join in ESTIMANDS:
        shares = _shares(given, question, join)
        columns = {f"{question.name}_{c}": _spread(shares.index, shares[c].tolist(), n_rows) for c in shares}
        tell(
            f"annotators differ on {question.name!r} for {differ} document(s), so its gold is a share for each class, "
            f"in the columns {', '.join(columns)} (join={join!r}); join='majority' gives classes, as a logit needs.",
            DesignWarning,
        )
        return columns
    from ..labels import aggregate

    soft = aggregate(given, join, **_as_votes(question))
    even = int(sum(value is None for value in soft.hard("split")))
    if even:
        tell(
            f"on {even} of {len(soft.tasks)} document(s) with {question.name!r} no class is ahead of all others; "
            f"join={join!r} takes the one named first there, of {', '.join(map(repr, question.classes))}, which pulls "
            "the gold towards it. Settle these documents (sample.to_adjudication, karat adjudicate), or take "
            "join='expert_mean', which keeps the disagreement as a share.",
            DesignWarning,
        )
    return {question.name: _spread(soft.tasks, list(soft.hard()), n_rows)}


def _shares(given: pd.DataFrame, question: Question, join: str) -> pd.DataFrame:
    """Share of each class, one row per position; with ``latent_truth`` corrected for errors of annotators."""
    import pandas as pd

    classes = list(question.classes)
    if join == "expert_mean":
        counts = pd.crosstab(given["position"], given[question.name].astype(object), normalize="index")
        return counts.reindex(columns=classes, fill_value=0.0)
    from ..labels import experts

    found = experts(given, join, **_as_votes(question))
    last = found.gold[:, -1:]
    shares = found.gold if found.gold.shape[1] == len(classes) else np.hstack([1.0 - last, last])
    return pd.DataFrame(shares, index=found.tasks, columns=classes)


def _as_votes(question: Question) -> dict[str, Any]:
    """How labels read a table of annotations."""
    return {"task": "position", "worker": "annotator", "label": question.name, "classes": list(question.classes)}


def _spread(positions: Any, values: Sequence[Any], n_rows: int) -> Array:
    out = np.full(n_rows, None, dtype=object)
    for position, value in zip(positions, values):
        out[int(position)] = value
    return out


def _with_earlier(table: Table, name: str, values: Array) -> Array:
    """Labels together with those the column already holds (earlier waves)."""
    if name not in table.columns:
        return values
    column = table.column(name, "data")
    there = column.notna().to_numpy()
    new = np.array([v is not None for v in values])
    old = column.to_numpy(dtype=object)
    _refuse_mixed(name, old[there], values[new])
    both = np.flatnonzero(there & new)
    differ = [i for i in both if not _alike(old[i], values[i])]
    if differ:
        raise DataError(
            f"column {name!r} already holds gold in {len(differ)} of the rows that were read, with other values (first "
            f"at position {differ[0]}: {old[differ[0]]!r}, read {values[differ[0]]!r}); set the column missing there, "
            "or rename it."
        )
    out = values.copy()
    out[there & ~new] = old[there & ~new]
    return out


def _refuse_mixed(name: str, old: Array, new: Array) -> None:
    """Raise where gold of one wave is text and that of another numbers (shares of annotators, say)."""
    kinds = ["text" if any(isinstance(v, str) for v in found) else "numbers" for found in (old, new) if len(found)]
    if len(set(kinds)) > 1:
        raise DataError(
            f"column {name!r} holds gold as {kinds[0]}, what was read is {kinds[1]}, so they do not go into one "
            "column. Annotators give shares, one gives classes: read the files of all waves in one call (into a "
            f"frame without {name!r}), or choose a join= that gives classes, such as 'majority'; or recode {name!r}."
        )


def _alike(left: Any, right: Any) -> bool:
    try:
        return bool(np.isclose(float(left), float(right), rtol=1e-12, atol=0))
    except (TypeError, ValueError):
        return str(left) == str(right)


def _tell_missing(sample: Sample, table: Table, columns: Mapping[str, Array], missing: str, long: pd.DataFrame) -> None:
    settled = long.loc[long[SETTLES], "position"]
    flagged = long.loc[(long["status"] == FLAGGED) & ~long["position"].isin(settled), "position"].nunique()
    if flagged:
        tell(f"{flagged} document(s) are flagged; their answers count. Look at them again.", DesignWarning)
    drawn = sample.design.aligned(table).labelled
    for name, values in columns.items():
        lost = np.flatnonzero(drawn & np.array([v is None for v in values]))
        if len(lost):
            message = (
                f"{len(lost)} of {int(drawn.sum())} drawn row(s) have no {name!r} yet, first at position {lost[0]}"
                f"{_passed_on(long, lost)}; have them labelled before the fit."
            )
            if missing == "raise":
                raise DataError(message)
            if missing == "warn":
                tell(message, DesignWarning)


def _passed_on(long: pd.DataFrame, lost: Array) -> str:
    """How many of the rows without gold people had before them, in words."""
    inside = long[long["position"].isin(lost)]
    counts = {word: inside.loc[inside["status"] == word, "position"].nunique() for word in (SKIPPED, REFUSED, FLAGGED)}
    said = " and ".join(f"{count} {word}" for word, count in counts.items() if count)
    return f" ({said})" if said else ""


def _filled(table: Table, columns: Mapping[str, Array]) -> Any:
    """The user's frame with the columns put in, in its own library."""
    import narwhals as nw

    frame = table.native
    series = []
    for name, values in columns.items():
        present = [v for v in values if v is not None]
        numbers = all(isinstance(v, (int, float, np.number)) for v in present)
        kind = nw.Float64 if numbers else nw.String
        plain = [None if v is None else float(v) if numbers else str(v) for v in values]
        if frame.implementation.is_pandas_like() and numbers:
            plain = [np.nan if v is None else v for v in plain]
        series.append(nw.new_series(name, plain, kind, backend=frame.implementation))
    return table.put(series).to_native()
