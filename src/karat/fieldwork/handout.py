"""The annotators' files: which document goes to whom, in blind random order."""

from __future__ import annotations

import json
import numbers
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..designs.frame import as_text
from ..designs.given import names_of
from ..designs.store import path_of, sealed
from ..errors import ArgumentError, generator, number, whole
from ..frames import Table
from . import argilla, doccano, label_studio, potato, prodigy
from .questions import Question, read_questions
from .sheet import sheet, workbook

if TYPE_CHECKING:
    from .._core.types import Ints
    from ..designs import Sample

MANIFEST = "labelling.json"
ARGILLA_SETTINGS, DOCCANO_LABELS = "argilla-settings.json", "doccano-labels.json"
FORMATS = ("csv", "xlsx", "label-studio", "argilla", "doccano", "prodigy", "potato")
NOTE = "note"
WHO = "annotator"
FORMAT = "karat labelling"
VERSION = 2
_RESERVED = '/\\:*?"<>|'
_DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
_LONGEST = 200
"""Bytes of a name; file systems take 255 with the ending."""


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
    formats: Sequence[str] = ("csv", "label-studio"),
    instructions: str = "",
    seed: int | None = None,
    overwrite: bool = False,
) -> list[Path]:
    """Write the annotators' files, see :meth:`karat.designs.Sample.to_labelling`."""
    questions = read_questions(labels)
    table = Table.read(data)
    show = names_of("show", show) if show else ()
    show = (show,) if isinstance(show, str) else show
    if not isinstance(instructions, str):
        raise ArgumentError(f"instructions={instructions!r} is not allowed; give a text.")
    folder = path_of("folder", folder)
    _check(sample, table, text, questions, show, formats)
    names = _annotators(annotators)
    overlap = number("overlap", overlap, least=1, most=len(names))
    documents, positions = sample.design.documents(table, sample.sent)
    order = np.argsort(documents)  # whatever the order of rows
    documents, positions = [documents[i] for i in order], positions[order]
    rng = generator(_seed(documents) if seed is None else seed)
    texts = _texts(table, text, positions)
    extra = list(zip(*(_texts(table, name, positions) for name in show))) or [()] * len(texts)
    given = dict(zip(names, _assign(len(documents), len(names), overlap, rng)))

    files: dict[str, bytes] = {}
    for name, rows in given.items():
        pile = _Pile(name, [documents[i] for i in rows], [texts[i] for i in rows], [extra[i] for i in rows], show)
        for kind in formats:
            files |= pile.files(kind, questions, instructions)
    files |= _shared(formats, questions, show, instructions)
    manifest = {
        "frame_hash": sample.frame_hash,
        "origin": origin_of(sample),
        "labels": {q.name: q.spec for q in questions},
        "annotators": {name: [documents[i] for i in rows] for name, rows in given.items()},
    }
    files[MANIFEST] = sealed(FORMAT, VERSION, manifest).encode()
    return _written(folder, files, overwrite)


@dataclass(frozen=True)
class _Pile:
    """The documents of one person."""

    name: str
    documents: list[str]
    texts: list[str]
    extra: list[tuple[str, ...]]
    show: Sequence[str]

    def files(self, kind: str, questions: Sequence[Question], instructions: str) -> dict[str, bytes]:
        """Files for one tool, by their names."""
        stem = file_stem(self.name)
        shown = [dict(zip(self.show, values)) for values in self.extra]
        about = (self.documents, self.texts, shown)
        if kind in ("csv", "xlsx"):
            header = ["document", *self.show, "text", *(q.name for q in questions), NOTE, WHO]
            blank = [""] * (len(questions) + 1)
            rows = [[d, *more, t, *blank, self.name] for d, more, t in zip(self.documents, self.extra, self.texts)]
            if kind == "csv":
                return {f"{stem}.csv": sheet(header, rows)}
            return {f"{stem}.xlsx": workbook(header, rows, {q.name: [str(c) for c in q.classes] for q in questions})}
        if kind == "label-studio":
            return {f"{stem}.json": _json(label_studio.tasks(*about))}
        if kind == "argilla":
            return {f"{stem}.argilla.json": _json(argilla.records(*about))}
        if kind == "doccano":
            return {f"{stem}.doccano.jsonl": _lines(doccano.lines(*about))}
        if kind == "prodigy":
            return {f"{stem}.{file_stem(q.name)}.prodigy.jsonl": _lines(prodigy.tasks(q, *about)) for q in questions}
        project = potato.configuration(questions, stem, instructions)
        return {f"{stem}.potato.jsonl": _lines(potato.items(*about)), f"{stem}.potato.yaml": _json(project)}


def _shared(
    formats: Sequence[str], questions: Sequence[Question], show: Sequence[str], instructions: str
) -> dict[str, bytes]:
    """Files that all people of a tool share."""
    out: dict[str, bytes] = {}
    if "label-studio" in formats:
        out["label-studio.xml"] = _bytes(label_studio.interface(questions, show, instructions) + "\n")
    if "argilla" in formats:
        out[ARGILLA_SETTINGS] = _json(argilla.settings(questions, show, instructions))
    if "doccano" in formats:
        out[DOCCANO_LABELS] = _json(doccano.labels(questions))
    return out


def _json(value: object) -> bytes:
    return _bytes(json.dumps(value, ensure_ascii=False, indent=1) + "\n")


def _lines(records: Sequence[object]) -> bytes:
    return _bytes("".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records))


def _bytes(text: str) -> bytes:
    return text.encode(errors="replace")


def origin_of(sample: Sample) -> str | None:
    """Hash of the frame at the first wave: the same for all waves of a sample."""
    frame = sample.design.frame
    return None if frame is None else frame.origin or frame.hash


def _written(folder: Path, files: Mapping[str, bytes], overwrite: bool) -> list[Path]:
    """Write files, but not over others that somebody may have filled."""
    paths = [folder / name for name in files]
    other = [path.name for path, text in zip(paths, files.values()) if path.exists() and path.read_bytes() != text]
    if other and not overwrite:
        raise ArgumentError(
            f"{str(folder)!r} holds {', '.join(map(repr, other[:3]))}{' and more' if len(other) > 3 else ''} already, "
            "with other content that may be answers, and writing over them would lose these. Name another folder, or "
            "insist with overwrite=True."
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, text in zip(paths, files.values()):
            path.write_bytes(text)
    except OSError as error:
        raise ArgumentError(f"the files cannot be written to {str(folder)!r}: {error.strerror}.") from None
    return paths


def _check(
    sample: Sample, table: Table, text: str, questions: Sequence[Question], show: Sequence[str], formats: Sequence[str]
) -> None:
    table.require([text], "text")
    table.require(show, "show")
    if not isinstance(formats, (list, tuple)) or not formats or any(f not in FORMATS for f in formats):
        raise ArgumentError(f"formats={formats!r} must be a sequence of {', '.join(map(repr, FORMATS))}.")
    telling = [name for name in show if name in sample.design.base.columns]
    if telling:
        raise ArgumentError(
            f"show names {telling[0]!r}, a column the sample was drawn by; annotators must not see it, or their labels "
            "may lean on it."
        )
    for name in [*(q.name for q in questions), *show]:
        if not label_studio.valid_name(name) and {*formats} - {"csv", "xlsx"}:
            raise ArgumentError(
                f"{name!r} cannot be the name of a label or column in Label Studio and other tools: letters, digits, _ "
                "and - only, and not 'document' or 'text'. Rename it, or use formats=('csv',)."
            )
    taken = {"document", "text", WHO, NOTE} & {*show, *(q.name for q in questions)}
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


def _annotators(given: object) -> list[str]:
    """Names of the annotators, each fit for a file name."""
    if isinstance(given, numbers.Number):
        count = whole("annotators", given, least=1, instead="or their names")
        return ["annotator"] if count == 1 else [f"annotator-{k + 1}" for k in range(count)]
    if not isinstance(given, Sequence) or isinstance(given, (str, bytes)) or not given:
        raise ArgumentError(f"annotators={given!r} is not allowed; give a number of people, or a list of their names.")
    names = [check_name(name) for name in given]
    files: dict[str, str] = {MANIFEST.partition(".")[0]: MANIFEST}
    for name in names:
        other = files.setdefault(alike(file_stem(name)), name)
        if other is not name:
            raise ArgumentError(
                f"annotators={given!r}: {name!r} and {other!r} would have the same file name on some computers; give "
                "names that differ in more than capital letters, spaces and signs."
            )
    return names


def check_name(name: object) -> str:
    """The name of an annotator, fit for a file name on every system; raises where it is not."""
    if not isinstance(name, str):
        raise ArgumentError(f"annotators holds {name!r}, which is not a name; give texts.")
    name = name.strip()
    bad = sorted({letter for letter in name if letter in _RESERVED or not letter.isprintable()})
    why = ""
    if not name:
        why = "is empty"
    elif name.startswith("."):
        why = "starts with a dot"
    elif bad:
        why = f"contains {bad[0]!r}"
    elif _DEVICES.fullmatch(name):
        why = "is reserved by Windows"
    elif len(name.encode("utf-8", "replace")) > _LONGEST:
        why = f"is longer than {_LONGEST} bytes"
    if why:
        raise ArgumentError(
            f"annotators: the name {name[:60]!r} {why}, so it cannot be the name of a file; give other names, for "
            "example ['anna', 'ben']."
        )
    return name


def alike(name: str) -> str:
    """What names have in common that differ only in capital letters, outer spaces or the way letters are encoded."""
    return unicodedata.normalize("NFKC", name).casefold().strip()


def file_stem(name: str) -> str:
    """The name of an annotator's files, without the ending."""
    return re.sub(r"[^\w.-]+", "_", unicodedata.normalize("NFC", name))


def _assign(n: int, people: int, overlap: float, rng: np.random.Generator) -> list[Ints]:
    """Documents of each annotator in random order; loads differ by one at most, partners are random."""
    times = np.full(n, int(overlap))
    more = round((overlap - int(overlap)) * n)
    times[rng.permutation(n)[:more]] += 1
    load = np.zeros(people)
    lists: list[list[int]] = [[] for _ in range(people)]
    for document in rng.permutation(n):
        who = np.lexsort((rng.random(people), load))[: times[document]]
        load[who] += 1
        for k in who:
            lists[k].append(int(document))
    return [rng.permutation(np.array(rows, dtype=np.intp)) for rows in lists]


def _texts(table: Table, name: str, positions: Ints) -> list[str]:
    column = table.column(name, "text").iloc[positions]
    missing = column.isna().to_numpy()
    return ["" if gone else value for value, gone in zip(as_text(column.tolist()), missing)]


def _seed(documents: Sequence[str]) -> Any:
    """The same order for the same documents."""
    return [int(d[1:], 16) % 2**32 for d in sorted(documents)[:8]]
