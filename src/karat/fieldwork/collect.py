"""Labels as annotators return them: read, checked against the sample, joined, filled in."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ArgumentError, DataError, DesignWarning, one_of, tell
from ..frames import Table
from . import label_studio
from .handout import MANIFEST
from .questions import Question, read_questions

if TYPE_CHECKING:
    import pandas as pd

    from .._types import Array
    from ..designs import Sample

Answer = tuple[str, str, str, dict[str, Any]]
"""File, document, annotator, raw answers."""

ESTIMANDS = ("expert_mean", "latent_truth")


def read_annotations(
    sample: Sample,
    paths: object,
    data: object,
    *,
    labels: object = None,
    annotators: Mapping[Any, str] | None = None,
    duplicates: str = "raise",
) -> pd.DataFrame:
    """Every label of every annotator, see :meth:`karat.designs.Sample.read_annotations`."""
    import pandas as pd

    one_of("duplicates", duplicates, ("raise", "last"))
    table = Table.read(data)
    documents, positions = sample.design.documents(table)
    files, manifest = _files(paths)
    questions = _questions(labels, manifest)
    place = dict(zip(documents, positions.tolist()))
    renamed = {str(k): v for k, v in (annotators or {}).items()}
    stray = set(renamed) - {str(f) for f in files} - {f.name for f in files}
    if stray:
        raise ArgumentError(f"annotators names {sorted(stray)}, which is not among the files read.")
    rows = _checked(_answers(files, questions, renamed), place, questions, duplicates)
    names = ["position", "document", "annotator", "file", *(q.name for q in questions)]
    found = sorted(rows, key=lambda row: (row["position"], row["annotator"]))
    out = pd.DataFrame({name: pd.Series([row.get(name) for row in found], dtype=object) for name in names})
    for q in questions:
        if q.numeric:
            out[q.name] = pd.to_numeric(out[q.name])
    out["position"] = out["position"].astype(np.intp)
    return out


def _checked(
    answers: Iterator[Answer], place: Mapping[str, int], questions: Sequence[Question], duplicates: str
) -> list[dict[str, Any]]:
    """One row per document and annotator; what is not allowed is gathered and raised together."""
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    problems: list[str] = []
    unknown: list[str] = []
    for file, document, who, raw in answers:
        if document not in place:
            unknown.append(f"{document!r} in {file}")
            continue
        row: dict[str, Any] = {"position": place[document], "document": document, "annotator": who, "file": file}
        for q in questions:
            try:
                row[q.name] = q.read(raw.get(q.name))
            except DataError as error:
                problems.append(f"{file}, document {document}: {error}")
        if all(row.get(q.name) is None for q in questions):
            continue
        before = rows.get((document, who))
        if (
            before is not None
            and duplicates == "raise"
            and any(before.get(q.name) != row.get(q.name) for q in questions)
        ):
            problems.append(
                f"{file}, document {document}: labelled twice by {who!r}, differently (before in {before['file']})"
            )
        rows[document, who] = row
    if unknown:
        raise DataError(
            f"{len(unknown)} document(s) are not in this sample (first: {unknown[0]}); read the files that "
            "to_labelling "
            "wrote for it, with the sample and the frame they were written from."
        )
    if problems:
        more = f" ({len(problems)} in all)" if len(problems) > 1 else ""
        hint = ""
        if any("labelled twice" in problem for problem in problems):
            hint = (
                " Two people of one name? Name them: annotators={'file': 'name'}. Otherwise keep one label, or use "
                "duplicates='last'."
            )
        raise DataError("; ".join(problems[:5]) + f"{more}.{hint}")
    return list(rows.values())


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
) -> Any:
    """The frame with gold filled in, see :meth:`karat.designs.Sample.read_labels`."""
    from ..labels.front import METHODS, POOLS

    one_of("missing", missing, ("warn", "raise", "ignore"))
    one_of("join", join, (*ESTIMANDS, *METHODS, *(p for p in POOLS if p != "weighted")))
    table = Table.read(data)
    _, manifest = _files(paths)
    questions = _questions(labels, manifest)
    long = read_annotations(
        sample, paths, data, labels={q.name: q for q in questions}, annotators=annotators, duplicates=duplicates
    )
    columns: dict[str, Array] = {}
    for question in questions:
        found = _joined(long, question, join, table.n_rows)
        if question.name not in found and question.name in table.columns:
            _refuse_mixed(question.name, table.column(question.name, "data").dropna().to_numpy(object), np.zeros(1))
        for name, values in found.items():
            columns[name] = _with_earlier(table, name, values)
    _tell_missing(sample, table, columns, missing)
    return _filled(table, columns)


def _files(paths: object) -> tuple[list[Path], dict[str, Any] | None]:
    """Files to read, and what the handout asked if it is known."""
    listed: Sequence[Any] = [paths] if isinstance(paths, (str, Path)) else list(paths)  # type: ignore[call-overload]
    files: list[Path] = []
    manifest = None
    for path in map(Path, listed):
        inside = sorted(path.iterdir()) if path.is_dir() else [path]
        if not path.exists():
            raise ArgumentError(f"there is no file or folder {str(path)!r}; give what the annotators returned.")
        near = (path if path.is_dir() else path.parent) / MANIFEST
        if near.exists() and manifest is None:
            manifest = json.loads(near.read_text(encoding="utf-8"))
        files += [p for p in inside if p.suffix.lower() in (".csv", ".tsv", ".json") and p.name != MANIFEST]
        if not path.is_dir() and path not in files:
            raise ArgumentError(f"{str(path)!r} is neither a CSV nor a Label Studio JSON export.")
    if not files:
        raise ArgumentError("there is no CSV or JSON file to read; give what the annotators returned.")
    return files, manifest


def _questions(labels: object, manifest: dict[str, Any] | None) -> tuple[Question, ...]:
    if labels is not None:
        return read_questions(labels)
    if manifest is None:
        raise ArgumentError(
            f"what was asked is not known: keep {MANIFEST} next to the files, or give labels= as to to_labelling."
        )
    return read_questions(manifest["labels"])


def _answers(files: Sequence[Path], questions: Sequence[Question], renamed: Mapping[str, str]) -> Iterator[Answer]:
    for path in files:
        found: Iterator[tuple[str, str, dict[str, Any]]]
        if path.suffix.lower() == ".json":
            try:
                export = json.loads(path.read_text(encoding="utf-8-sig"))
            except ValueError as error:
                raise DataError(f"{path.name} is no JSON: {error}.") from None
            found = label_studio.answers(export, path.name, questions)
        else:
            found = _csv_rows(path, questions)
        name = renamed.get(str(path), renamed.get(path.name))
        for document, who, raw in found:
            yield path.name, document, name or who or path.stem, raw


def _csv_rows(path: Path, questions: Sequence[Question]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Rows of a filled CSV, whatever a spreadsheet program made of its separators and encoding."""
    raw = path.read_bytes()
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = raw.decode("cp1252")
    first = re.split(r"[\r\n]", text.lstrip("\r\n"), maxsplit=1)[0]
    separator = max(",;\t", key=first.count)
    # Not splitlines: documents may hold form feeds and the separators of Unicode.
    lines = csv.DictReader(io.StringIO(text, newline=""), delimiter=separator)
    fields = [str(f).strip() for f in lines.fieldnames or []]
    lines.fieldnames = fields
    absent = [name for name in ("document", *(q.name for q in questions)) if name not in fields]
    if absent:
        raise DataError(
            f"{path.name} has no column {absent[0]!r} (columns: {fields[:8]}); keep the header to_labelling wrote."
        )
    for row in lines:
        if any(value for value in row.values()):
            yield str(row["document"] or "").strip(), str(row.get("annotator") or "").strip(), dict(row)


def _joined(long: pd.DataFrame, question: Question, join: str, n_rows: int) -> dict[str, Array]:
    """Gold column(s) of one question, one value per row of the frame, None where there is no label."""
    given = long[long[question.name].notna()]
    if given["position"].is_unique:
        return {question.name: _spread(given["position"], given[question.name].tolist(), n_rows)}
    if question.kind == "text":
        different = given.groupby("position")[question.name].nunique() > 1
        if different.any():
            raise DataError(
                f"annotators gave different texts for {question.name!r} on {int(different.sum())} document(s); texts "
                "cannot "
                "be joined. Use read_annotations and settle them by hand."
            )
        first = given.drop_duplicates("position")
        return {question.name: _spread(first["position"], first[question.name].tolist(), n_rows)}
    from ..labels import aggregate, experts

    columns = {"task": "position", "worker": "annotator", "label": question.name}
    if join == "expert_mean" and question.numeric:
        means = given.groupby("position")[question.name].mean()
        return {question.name: _spread(means.index, means.tolist(), n_rows)}
    if question.kind != "choices":
        raise ArgumentError(
            f"join={join!r} is about classes, but {question.name!r} is a number; use join='expert_mean', or "
            "read_annotations with labels.rate."
        )
    options: dict[str, Any] = {**columns, "classes": list(question.classes)}
    if join in ESTIMANDS:
        gold = experts(given, join, **options)
        out = {}
        for name, values in zip(gold.names, gold.gold.T):
            out[name.replace("gold", question.name, 1)] = _spread(gold.tasks, values.tolist(), n_rows)
        return out
    soft = aggregate(given, join, **options)
    return {question.name: _spread(soft.tasks, list(soft.hard()), n_rows)}


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
            f"column {name!r} already holds gold in {len(differ)} of the rows that were read, with other values "
            "(first at "
            f"position {differ[0]}: {old[differ[0]]!r}, read {values[differ[0]]!r}); set the column missing there, or "
            "rename it."
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


def _tell_missing(sample: Sample, table: Table, columns: Mapping[str, Array], missing: str) -> None:
    drawn = sample.design.aligned(table).labelled
    for name, values in columns.items():
        lost = np.flatnonzero(drawn & np.array([v is None for v in values]))
        if len(lost):
            message = (
                f"{len(lost)} of {int(drawn.sum())} drawn row(s) have no {name!r} yet, first at position {lost[0]}; "
                "have "
                "them labelled before the fit."
            )
            if missing == "raise":
                raise DataError(message)
            if missing == "warn":
                tell(message, DesignWarning)


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
    if frame.implementation.is_pandas_like():
        native = frame.to_native()
        return native.assign(**{s.name: s.to_native().to_numpy() for s in series})
    return frame.with_columns(*series).to_native()
