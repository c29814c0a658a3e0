"""The annotators' files: which document goes to whom, in blind random order."""

from __future__ import annotations

import json
import numbers
import re
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..designs.frame import as_text
from ..designs.given import names_of
from ..designs.store import path_of, sealed
from ..errors import ArgumentError, generator, number, whole
from ..frames import Table
from . import label_studio, page
from .codes import codebook_text
from .questions import EARLIER, Question, read_questions
from .sheet import sheet

if TYPE_CHECKING:
    from .._core.types import Ints
    from ..designs import Sample

MANIFEST = "labelling.json"
FORMATS = ("csv", "label-studio", "html")
NOTE = "note"
WHO = "annotator"
FLAGGED = "flagged"
FORMAT = "karat labelling"
VERSION = 2
Earlier = Mapping[str, Sequence[tuple[str, str]]]
"""What others answered about a document: question -> who and what."""
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
    _check(sample, table, text, questions, show, formats)
    names = _annotators(annotators)
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
    asked = {q.name: q.spec for q in questions}
    manifest = {
        "frame_hash": sample.frame_hash,
        "origin": origin_of(sample),
        "labels": asked,
        "annotators": {name: [documents[i] for i in rows] for name, rows in given.items()},
    }
    files: dict[str, bytes] = {}
    for name, rows in given.items():
        listed = [(documents[i], texts[i], dict(zip(show, extra[i]))) for i in rows]
        files |= _files_of(name, listed, questions, manifest, formats, instructions, earlier)
    if "label-studio" in formats:
        files["label-studio.xml"] = (label_studio.interface(questions, show, instructions) + "\n").encode(
            errors="replace"
        )
    if set(formats) & {"csv", "label-studio"} and any(q.codebook or q.kind == "several" for q in questions):
        files["codebook.txt"] = codebook_text(questions, instructions).encode("utf-8-sig", "replace")
    files[MANIFEST] = sealed(FORMAT, VERSION, manifest).encode()
    return _written(folder, files, overwrite)


def _files_of(
    name: str,
    listed: Sequence[tuple[str, str, Mapping[str, str]]],
    questions: Sequence[Question],
    manifest: Mapping[str, Any],
    formats: Sequence[str],
    instructions: str,
    earlier: Mapping[str, Earlier] | None,
) -> dict[str, bytes]:
    """The files of one annotator, who gets some documents: name, text, further columns to show."""
    stem = file_stem(name)
    show = list(listed[0][2]) if listed else []
    files: dict[str, bytes] = {}
    if "csv" in formats:
        header = ["document", *show, "text", *(q.name for q in questions), NOTE, WHO]
        blank = [""] * (len(questions) + 1)
        files[f"{stem}.csv"] = sheet(header, ([d, *more.values(), text, *blank, name] for d, text, more in listed))
    if "label-studio" in formats:
        found = label_studio.tasks(*zip(*listed)) if listed else []
        files[f"{stem}.json"] = (json.dumps(found, ensure_ascii=False, indent=1) + "\n").encode(errors="replace")
    if "html" in formats:
        about = {"annotator": name, "origin": manifest["origin"], "stem": stem, "instructions": instructions}
        asked = json.dumps(manifest["labels"], ensure_ascii=False)
        files[f"{stem}.html"] = page.write({**about, "asked": asked}, questions, listed, earlier)
    return files


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
        if not label_studio.valid_name(name) and "label-studio" in formats:
            raise ArgumentError(
                f"{name!r} cannot be the name of a label or column in Label Studio: letters, digits, _ and - only, and "
                "not 'document' or 'text'. Rename it, or use formats=('csv',)."
            )
    taken = {"document", "text", WHO, NOTE, FLAGGED, EARLIER, "settles"} & {*show, *(q.name for q in questions)}
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
