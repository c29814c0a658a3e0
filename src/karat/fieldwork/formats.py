"""Files of every tool: which tool wrote one is told by what it holds."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..errors import ArgumentError, DataError
from ..frames.files import decoded
from . import argilla, doccano, label_studio, page, potato, prodigy, tables
from .answers import Given
from .handout import ARGILLA_SETTINGS, DOCCANO_LABELS, MANIFEST
from .questions import Question
from .sheet import read_sheet, read_workbook

ENDINGS = (".csv", ".tsv", ".xlsx", ".json", ".jsonl")
_OURS = (MANIFEST, ARGILLA_SETTINGS, DOCCANO_LABELS)
"""JSON files of a handout that hold no answers."""
_TOOLS = (label_studio, argilla, potato, prodigy, doccano)


def settled(source: Any) -> Any:
    """A source as it is; paths that can be gone through once, or come in a set, as a list."""
    return list(source) if isinstance(source, (Iterator, Set)) else source


def files_in(paths: object) -> list[Path]:
    """Files that may hold answers; folders are looked into, one level deep for what Potato keeps of each user."""
    listed = [paths] if isinstance(paths, (str, Path)) else list(paths) if isinstance(paths, (list, tuple)) else []
    if not listed or not all(isinstance(path, (str, Path)) for path in listed):
        raise ArgumentError(f"paths={paths!r} is not allowed; give files or folders that the annotators returned.")
    files: list[Path] = []
    for path in map(Path, listed):
        if not path.exists():
            raise ArgumentError(f"there is no file or folder {str(path)!r}; give what the annotators returned.")
        if path.is_dir():
            inside = [p for p in sorted(path.iterdir()) if p.suffix.lower() in ENDINGS and p.name not in _OURS]
            files += [
                *inside,
                *sorted(path.glob("*/user_state.json")),
                *sorted(path.glob("*/annotated_instances.json*")),
            ]
        elif path.suffix.lower() in ENDINGS:
            files.append(path)
        elif path.suffix.lower() in (".html", ".htm"):
            raise ArgumentError(
                f"{str(path)!r} is the page itself, which holds no answers; give the file that its button 'Save file' "
                "wrote (its name ends in .answers.json)."
            )
        else:
            raise ArgumentError(
                f"{str(path)!r} is neither a table ({', '.join(ENDINGS[:3])}) nor an export of a labelling tool "
                f"({', '.join(ENDINGS[3:])})."
            )
    if not files:
        raise ArgumentError(f"there is no {', '.join(ENDINGS)} file to read; give what the annotators returned.")
    return list(dict.fromkeys(files))


def saved_by_page(path: Path) -> Any:
    """The content of a file that a page saved; None for other files."""
    content = _content(path) if path.suffix.lower() == ".json" else None
    return content if page.is_answers(content) else None


def in_file(
    path: Path,
    questions: Sequence[Question],
    columns: Mapping[str, str],
    coders: Mapping[str, Any] | Sequence[str] | None,
    tokens: bool,
) -> Iterator[Given]:
    """Answers in a file that no page saved."""
    ending, name = path.suffix.lower(), path.name
    if ending in (".csv", ".tsv", ".xlsx"):
        table = read_workbook(path) if ending == ".xlsx" else read_sheet(path)
        yield from tables.answers(table, name, questions, columns, coders, tokens)
        return
    records = read_records(path)
    tool = next((tool for tool in _TOOLS if any(tool.is_export(record) for record in records)), None)
    if tool is not None:
        for given in tool.answers(records, name, questions):
            who = given.who or (path.parent.name if name.startswith("annotated_instances.") else "")
            yield replace(given, who=who)
    elif records and _is_table(records, questions, columns, coders, ending):
        import pandas as pd

        yield from tables.answers(pd.DataFrame(records, dtype=object), name, questions, columns, coders, tokens)
    elif ending == ".json" and not any("text" in record for record in records):
        yield from label_studio.answers(records, name, questions)
    elif not all("text" in record for record in records):
        raise DataError(
            f"{name} holds fields {list(records[0])[:8]}, which no tool writes that karat knows: Label Studio, "
            "Argilla, doccano, Prodigy, Potato. Export it anew, or give a table with a column 'document' and one for "
            "each label."
        )


def _is_table(
    records: Sequence[Mapping[str, Any]],
    questions: Sequence[Question],
    columns: Mapping[str, str],
    coders: object,
    ending: str,
) -> bool:
    """Whether records are rows with answers in their columns; JSON with a column for a label is Label Studio's."""
    names = {str(name) for record in records for name in record}
    asked = {q.name for q in questions}
    long = bool(names & asked) and (ending == ".jsonl" or "status" in names)
    wide = not names & asked and any(name.startswith(tuple(q + "_" for q in asked)) for name in names)
    return bool(columns) or coders is not None or long or wide


def _content(path: Path) -> Any:
    """What a JSON file holds, or the lines of a JSONL file."""
    text = decoded(path.read_bytes()).lstrip("\ufeff")
    try:
        if path.suffix.lower() == ".jsonl":
            return [json.loads(line) for line in text.split("\n") if line.strip()]
        try:
            return json.loads(text)
        except ValueError:  # JSON lines under the other ending, as Potato 1 has them
            return [json.loads(line) for line in text.split("\n") if line.strip()]
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path.name} is not JSON: {error}.") from None


def read_records(path: Path) -> list[dict[str, Any]]:
    """Objects of a JSON or JSONL file."""
    found = _content(path)
    if isinstance(found, dict) and potato.is_export(found):
        found = [found]
    if not isinstance(found, list) or not all(isinstance(record, dict) for record in found):
        raise DataError(f"{path.name} must hold a list of tasks, records or rows; export it as JSON or JSONL anew.")
    return found
