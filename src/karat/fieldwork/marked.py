"""Passages as tools keep them: start, end and label."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ArgumentError, DataError
from .answers import SKIPPED, document_of, missing, status_of, typed
from .formats import read_records
from .sheet import read_sheet, read_workbook

if TYPE_CHECKING:
    import pandas as pd

_ROLES = {
    "document": ("document", "instance_id", ".id", "id"), "annotator": ("annotator", "user_id", "coder", "worker"),
    "start": ("start", "start_offset"), "end": ("end", "end_offset"), "label": ("label", "code"),
}  # fmt: skip


@dataclass(frozen=True)
class Marked:
    """What one person marked in one document: start, end, label."""

    document: str
    who: str
    spans: tuple[tuple[int, int, str], ...]


def records_of(path: Path) -> Any:
    """Rows of a table as a data frame, or records of an export as a list."""
    ending = path.suffix.lower()
    if ending == ".xlsx":
        return read_workbook(path)
    return read_sheet(path) if ending in (".csv", ".tsv") else read_records(path)


def in_rows(table: pd.DataFrame, file: str, columns: Mapping[str, str]) -> Iterator[Marked]:
    """Passages of a table with a row for each; a row without start and end says that nothing was marked."""
    header = [str(name) for name in table.columns]
    if odd := [name for name in columns if name not in _ROLES]:
        raise ArgumentError(f"columns names {odd[0]!r}; it may name {', '.join(map(repr, _ROLES))}.")
    place = {r: columns.get(r) or next((n for n in names if n in header), "") for r, names in _ROLES.items()}
    absent = [role for role in ("document", "start", "end", "label") if place[role] not in header]
    if absent:
        raise DataError(
            f"{file} has no column {columns.get(absent[0], absent[0])!r} (columns: {header[:8]}); passages need "
            "document, start, end and label, or columns={...} that says which they are."
        )
    found: dict[tuple[str, str], list[tuple[int, int, str]]] = {}
    rows: list[Any] = table.set_axis(header, axis=1).to_dict("records")
    for count, row in enumerate(rows, start=1):
        if all(missing(value) for value in row.values()):
            continue
        document = document_of(row[place["document"]], f"{file}: row {count}", place["document"])
        person = row.get(place["annotator"]) if place["annotator"] else None
        mine = found.setdefault((document, "" if missing(person) else str(person).strip()), [])
        if not (missing(row[place["start"]]) and missing(row[place["end"]])):
            where = f"{file}: row {count}"
            mine.append(_span(row[place["start"]], row[place["end"]], row[place["label"]], where))
    for (document, who), spans in found.items():
        yield Marked(document, who, tuple(spans))


def in_records(records: Sequence[Mapping[str, Any]], path: Path) -> Iterator[Marked]:
    """Passages of an export, whichever tool wrote it."""
    for count, record in enumerate(records, start=1):
        where = f"{path.name}: record {count}"
        if "data" in record:
            yield from _label_studio(record, where)
        elif "fields" in record and "responses" in record:
            yield from _argilla(record, where)
        elif "instance_id" in record or "span_annotations" in record:
            yield _potato(record, where, path)
        elif "answer" in record:
            found = _prodigy(record, where)
            if found is not None:
                yield found
        elif any(isinstance(record.get(name), list) for name in ("label", "labels", "entities")):
            yield _doccano(record, where)
        elif "text" not in record:
            raise DataError(f"{where} has the fields {list(record)[:8]}, which no tool writes that karat knows.")


def _label_studio(task: Mapping[str, Any], where: str) -> Iterator[Marked]:
    data = typed(task["data"], dict, f"{where}: 'data'")
    document = document_of(data.get("document"), where, "document")
    for annotation in typed(task.get("annotations"), list, f"{where}: 'annotations'"):
        annotation = typed(annotation, dict, f"{where}: an annotation")
        if annotation.get("was_cancelled"):
            continue
        who = annotation.get("completed_by")
        who = who.get("email") or who.get("id") if isinstance(who, Mapping) else who
        spans = []
        for region in typed(annotation.get("result"), list, f"{where}: 'result'"):
            value = typed(region, dict, f"{where}: an entry of 'result'").get("value")
            if isinstance(value, Mapping) and "start" in value and "labels" in value:
                for label in typed(value["labels"], list, f"{where}: 'labels'"):
                    spans.append(_span(value["start"], value.get("end"), label, where))
        yield Marked(document, "" if who is None else str(who), tuple(spans))


def _argilla(record: Mapping[str, Any], where: str) -> Iterator[Marked]:
    document = document_of(record.get("id"), where, "id")
    people: dict[str, list[tuple[int, int, str]]] = {}
    for given in typed(record["responses"], dict, f"{where}: 'responses'").values():
        for response in typed(given, list, f"{where}: responses"):
            response = typed(response, dict, f"{where}: a response")
            value = response.get("value")
            if not isinstance(value, list) or status_of(response.get("status"), where) in (None, SKIPPED):
                continue
            mine = people.setdefault(str(response.get("user_id") or ""), [])
            mine += [_of_object(one, where) for one in value if isinstance(one, Mapping) and "start" in one]
    for who, spans in people.items():
        yield Marked(document, who, tuple(spans))


def _potato(line: Mapping[str, Any], where: str, path: Path) -> Marked:
    name = "instance_id" if "instance_id" in line else "id"
    document = document_of(line.get(name), where, name)
    who = line.get("user_id") or (path.parent.name if path.name.startswith("annotated_instances.") else "")
    stored = typed(line.get("spans", line.get("span_annotations")), dict, f"{where}: 'spans'")
    spans = [_of_object(one, where) for found in stored.values() for one in typed(found, list, f"{where}: passages")]
    return Marked(document, str(who), tuple(spans))


def _prodigy(line: Mapping[str, Any], where: str) -> Marked | None:
    about = {**typed(line.get("meta"), dict, f"{where}: 'meta'"), **line}
    document = document_of(about.get("document"), where, "document")
    if status_of(line["answer"], where) != "answered":
        return None
    spans = [_of_object(one, where) for one in typed(line.get("spans"), list, f"{where}: 'spans'")]
    return Marked(document, str(line.get("_annotator_id") or line.get("_session_id") or ""), tuple(spans))


def _doccano(line: Mapping[str, Any], where: str) -> Marked:
    about = {**typed(line.get("meta"), dict, f"{where}: 'meta'"), **line}
    document = document_of(about.get("document"), where, "document")
    field = next(name for name in ("entities", "label", "labels") if isinstance(line.get(name), list))
    spans = []
    for one in line[field]:
        if isinstance(one, Mapping):
            spans.append(_of_object(one, where))
        elif isinstance(one, (list, tuple)) and len(one) == 3:
            spans.append(_span(one[0], one[1], one[2], where))
        else:
            raise DataError(f"{where}: {field!r} holds {str(one)[:40]!r}, which is not a passage (start, end, label).")
    return Marked(document, "", tuple(spans))


def _of_object(one: Any, where: str) -> tuple[int, int, str]:
    one = typed(one, dict, f"{where}: a passage")
    start, end = (one.get(name, one.get(f"{name}_offset")) for name in ("start", "end"))
    return _span(start, end, one.get("label", one.get("annotation")), where)


def _span(start: Any, end: Any, label: Any, where: str) -> tuple[int, int, str]:
    """Start, end and label of a passage, checked."""
    ends = []
    for name, value in (("start", start), ("end", end)):
        try:
            number = float(value)
        except (TypeError, ValueError):
            number = float("nan")
        if isinstance(value, bool) or number != number or number != int(number):
            raise DataError(f"{where}: the {name} of a passage is {str(value)[:40]!r}, where a whole number belongs.")
        ends.append(int(number))
    if missing(label) or isinstance(label, (list, dict)):
        raise DataError(f"{where}: a passage from {ends[0]} to {ends[1]} has no label.")
    return ends[0], ends[1], str(label).strip()
