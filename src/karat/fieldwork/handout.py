"""The annotators' files: which document goes to whom, in blind random order."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..designs.frame import as_text
from ..designs.given import names_of
from ..designs.store import path_of, sealed
from ..errors import ArgumentError, generator, number
from ..frames import Table
from . import argilla, doccano, label_studio, page, potato, prodigy
from .answers import DOCUMENT, NOTE, SETTLES, STATUS, WHO
from .codes import codebook_text, needs_codebook, options_of
from .people import file_stem, names_of_people
from .questions import EARLIER, Question, read_questions
from .sheet import sheet, workbook

if TYPE_CHECKING:
    from .._core.types import Ints
    from ..designs import Sample

MANIFEST = "labelling.json"
ARGILLA_SETTINGS, DOCCANO_LABELS = "argilla-settings.json", "doccano-labels.json"
FORMATS = ("csv", "xlsx", "html", "label-studio", "argilla", "doccano", "prodigy", "potato")
FORMAT = "karat labelling"
VERSION = 2
Earlier = Mapping[str, Sequence[tuple[str, str]]]
"""What others answered about a document: question -> who and what."""


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
    earlier: Mapping[str, Earlier] | None = None,
) -> list[Path]:
    """Write the annotators' files, see :meth:`karat.designs.Sample.to_labelling`.

    ``earlier``: documents that are to be settled, and what others answered; no others are written.
    """
    questions = read_questions(labels)
    table = Table.read(data)
    show = names_of("show", show) if show else ()
    show = (show,) if isinstance(show, str) else show
    if not isinstance(instructions, str):
        raise ArgumentError(f"instructions={instructions!r} is not allowed; give a text.")
    folder = path_of("folder", folder)
    _check(sample, table, text, questions, show)
    _check_formats(formats, [*(q.name for q in questions), *show], earlier is not None)
    names = names_of_people(annotators, (MANIFEST, ARGILLA_SETTINGS, DOCCANO_LABELS))
    overlap = number("overlap", overlap, least=1, most=len(names))
    documents, positions = sample.design.documents(table, sample.sent if earlier is None else 0)
    order = [int(i) for i in np.argsort(documents)]  # whatever the order of rows
    order = order if earlier is None else [i for i in order if documents[i] in earlier]
    documents, positions = [documents[i] for i in order], positions[order]
    rng = generator(_seed(documents) if seed is None else seed)
    texts = _texts(table, text, positions)
    extra = list(zip(*(_texts(table, name, positions) for name in show))) or [()] * len(texts)
    if earlier is not None:
        show = (*show, EARLIER)
        extra = [(*more, in_words(earlier[name])) for more, name in zip(extra, documents)]
    given = dict(zip(names, _assign(len(documents), len(names), overlap, rng)))
    manifest = {
        "frame_hash": sample.frame_hash,
        "origin": origin_of(sample),
        "labels": {q.name: q.spec for q in questions},
        "annotators": {name: [documents[i] for i in rows] for name, rows in given.items()},
    }
    files: dict[str, bytes] = {}
    for name, rows in given.items():
        pile = _Pile(
            name, [documents[i] for i in rows], [texts[i] for i in rows], [extra[i] for i in rows], show, earlier
        )
        for kind in formats:
            files |= pile.files(kind, questions, instructions, manifest)
    files |= _shared(formats, questions, show, instructions)
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
    earlier: Mapping[str, Earlier] | None

    def files(
        self, kind: str, questions: Sequence[Question], instructions: str, manifest: Mapping[str, Any]
    ) -> dict[str, bytes]:
        """Files for one tool, by their names."""
        stem = file_stem(self.name)
        shown = [dict(zip(self.show, values)) for values in self.extra]
        about = (self.documents, self.texts, shown)
        if kind in ("csv", "xlsx"):
            header = [DOCUMENT, *self.show, "text", *(q.name for q in questions), NOTE, WHO]
            blank = [""] * (len(questions) + 1)
            rows = [[d, *more, t, *blank, self.name] for d, more, t in zip(self.documents, self.extra, self.texts)]
            if kind == "csv":
                return {f"{stem}.csv": sheet(header, rows)}
            return {f"{stem}.xlsx": workbook(header, rows, {q.name: _words(q) for q in questions})}
        if kind == "html":
            asked = json.dumps(manifest["labels"], ensure_ascii=False)
            task = {"annotator": self.name, "origin": manifest["origin"], "stem": stem, "instructions": instructions}
            return {f"{stem}.html": page.write({**task, "asked": asked}, questions, [*zip(*about)], self.earlier)}
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
    if {*formats} - {"html"} and needs_codebook(questions):
        out["codebook.txt"] = codebook_text(questions, instructions).encode("utf-8-sig", "replace")
    return out


def _words(question: Question) -> list[str]:
    """Answers of which a cell holds one."""
    return [] if question.kind == "several" else [option["word"] for option in options_of(question)]


def in_words(earlier: Earlier) -> str:
    """What others answered, a line for each question.

    Examples
    --------
    >>> in_words({"hostile": [("A", "yes"), ("B", "no")]})
    'hostile: yes (A), no (B)'
    """
    return "\n".join(
        f"{name}: " + ", ".join(f"{answer} ({who})" for who, answer in given) for name, given in earlier.items()
    )


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


def _check(sample: Sample, table: Table, text: str, questions: Sequence[Question], show: Sequence[str]) -> None:
    table.require([text], "text")
    table.require(show, "show")
    telling = [name for name in show if name in sample.design.base.columns]
    if telling:
        raise ArgumentError(
            f"show names {telling[0]!r}, a column the sample was drawn by; annotators must not see it, or their labels "
            "may lean on it."
        )
    taken = {DOCUMENT, "text", WHO, NOTE, STATUS, EARLIER, SETTLES} & {*show, *(q.name for q in questions)}
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


def _check_formats(formats: Sequence[str], names: Sequence[str], settling: bool) -> None:
    if not isinstance(formats, (list, tuple)) or not formats or any(f not in FORMATS for f in formats):
        raise ArgumentError(f"formats={formats!r} must be a sequence of {', '.join(map(repr, FORMATS))}.")
    odd = [name for name in names if not label_studio.valid_name(name)]
    if odd and {*formats} - {"csv", "xlsx", "html"}:
        raise ArgumentError(
            f"{odd[0]!r} cannot be the name of a label or column in Label Studio and other tools: letters, digits, _ "
            "and - only, and not 'document' or 'text'. Rename it, or use formats=('csv',)."
        )
    if settling and "potato" in formats:
        raise ArgumentError(
            "formats holds 'potato', whose exports do not hold what others answered, so that decisions could not be "
            "told from first answers; take another format."
        )


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
