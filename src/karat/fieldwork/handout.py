"""The annotators' files: which document goes to whom, in blind random order."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..designs.frame import as_text
from ..errors import ArgumentError
from ..frames import Table
from . import label_studio
from .questions import Question, read_questions

if TYPE_CHECKING:
    from .._types import Ints
    from ..designs import Sample

MANIFEST = "labelling.json"
FORMATS = ("csv", "label-studio")
NOTE = "note"


def write_handout(
    sample: Sample,
    folder: str | Path,
    data: object,
    text: str,
    labels: object,
    *,
    show: Sequence[str] = (),
    annotators: int | Sequence[str] = 1,
    overlap: float = 1,
    formats: Sequence[str] = FORMATS,
    instructions: str = "",
    seed: int | None = None,
) -> list[Path]:
    """Write the annotators' files, see :meth:`karat.designs.Sample.to_labelling`."""
    questions = read_questions(labels)
    table = Table.read(data)
    documents, positions = sample.design.documents(table, sample.sent)
    show = [show] if isinstance(show, str) else list(show)
    _check(sample, table, text, questions, show, formats)
    names = _annotators(annotators)
    rng = np.random.default_rng(_seed(documents) if seed is None else seed)
    given = _assign(len(documents), names, overlap, rng)
    texts = _texts(table, text, positions)
    shown = [dict(zip(show, row)) for row in zip(*(_texts(table, name, positions) for name in show))] or [{}] * len(
        texts
    )

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, rows in zip(names, given):
        stem = folder / re.sub(r"[^\w.-]+", "_", name)
        if "csv" in formats:
            path = stem.with_name(stem.name + ".csv")
            _write_csv(
                path, [documents[i] for i in rows], [texts[i] for i in rows], [shown[i] for i in rows], show, questions
            )
            written.append(path)
        if "label-studio" in formats:
            path = stem.with_name(stem.name + ".json")
            found = label_studio.tasks([documents[i] for i in rows], [texts[i] for i in rows], [shown[i] for i in rows])
            path.write_text(json.dumps(found, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
            written.append(path)
    if "label-studio" in formats:
        path = folder / "label-studio.xml"
        path.write_text(label_studio.interface(questions, show, instructions) + "\n", encoding="utf-8")
        written.append(path)
    manifest = {
        "format": "karat labelling",
        "version": 1,
        "frame_hash": sample.frame_hash,
        "labels": {q.name: q.spec for q in questions},
        "annotators": {name: [documents[i] for i in rows] for name, rows in zip(names, given)},
    }
    path = folder / MANIFEST
    path.write_text(json.dumps(manifest, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    return [*written, path]


def _check(
    sample: Sample, table: Table, text: str, questions: Sequence[Question], show: Sequence[str], formats: Sequence[str]
) -> None:
    table.require([text], "text")
    table.require(show, "show")
    unknown = [f for f in ([formats] if isinstance(formats, str) else formats) if f not in FORMATS]
    if unknown or not formats or isinstance(formats, str):
        raise ArgumentError(f"formats={formats!r} must be a sequence of {', '.join(map(repr, FORMATS))}.")
    telling = [name for name in show if name in sample.design.base.columns]
    if telling:
        raise ArgumentError(
            f"show names {telling[0]!r}, a column the sample was drawn by; annotators must not see it, or their "
            "labels may "
            "lean on it."
        )
    for name in [*(q.name for q in questions), *show]:
        if not label_studio.valid_name(name) and "label-studio" in formats:
            raise ArgumentError(
                f"{name!r} cannot be the name of a label or column in Label Studio: letters, digits, _ and - only, "
                "and not "
                "'document' or 'text'. Rename it, or use formats=('csv',)."
            )
    taken = {"document", "text", "annotator", NOTE} & {*show, *(q.name for q in questions)}
    if taken:
        raise ArgumentError(
            f"{sorted(taken)[0]!r} is a column of the annotators' files with a meaning of its own; rename the label or "
            "shown column."
        )
    clash = {q.name for q in questions} & {*show, text}
    if clash:
        raise ArgumentError(
            f"the label {sorted(clash)[0]!r} has the name of another column of the annotators' file; rename."
        )


def _annotators(given: int | Sequence[str]) -> list[str]:
    if isinstance(given, int) and not isinstance(given, bool) and given >= 1:
        return ["annotator"] if given == 1 else [f"annotator-{k + 1}" for k in range(given)]
    if isinstance(given, Sequence) and given and not isinstance(given, str):
        names = [str(name) for name in given]
        files = {re.sub(r"[^\w.-]+", "_", name).casefold() for name in names}
        if len(files) == len(names) and "labelling" not in files:
            return names
    raise ArgumentError(f"annotators={given!r} must be a number of people, or their names (different file names).")


def _assign(n: int, names: Sequence[str], overlap: float, rng: np.random.Generator) -> list[Ints]:
    """Documents of each annotator in random order; loads differ by one at most, partners are random."""
    if isinstance(overlap, bool) or not 1 <= overlap <= len(names):
        raise ArgumentError(
            f"overlap={overlap!r} (labels per document) must lie between 1 and {len(names)} annotators."
        )
    times = np.full(n, int(overlap))
    more = round((overlap - int(overlap)) * n)
    times[rng.permutation(n)[:more]] += 1
    load = np.zeros(len(names))
    lists: list[list[int]] = [[] for _ in names]
    for document in rng.permutation(n):
        who = np.lexsort((rng.random(len(names)), load))[: times[document]]
        load[who] += 1
        for k in who:
            lists[k].append(int(document))
    return [rng.permutation(np.array(rows, dtype=np.intp)) for rows in lists]


def _texts(table: Table, name: str, positions: Ints) -> list[str]:
    column = table.column(name, "text").iloc[positions]
    missing = column.isna().to_numpy()
    return ["" if gone else value for value, gone in zip(as_text(column.tolist()), missing)]


def _write_csv(
    path: Path,
    documents: Sequence[str],
    texts: Sequence[str],
    shown: Sequence[dict[str, str]],
    show: Sequence[str],
    questions: Sequence[Question],
) -> None:
    """With a byte order mark, so that spreadsheet programs read it as Unicode."""
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file, quoting=csv.QUOTE_ALL)
        writer.writerow(["document", *show, "text", *(q.name for q in questions), NOTE])
        for document, more, body in zip(documents, shown, texts):
            writer.writerow([document, *(more[name] for name in show), body, *("" for _ in questions), ""])


def _seed(documents: Sequence[str]) -> Any:
    """The same order for the same documents."""
    return [int(d[1:], 16) % 2**32 for d in sorted(documents)[:8]]
