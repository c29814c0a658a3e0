"""Names of annotators, which are names of files too."""

from __future__ import annotations

import numbers
import re
import unicodedata
from collections.abc import Sequence

from ..errors import ArgumentError, whole

_RESERVED = '/\\:*?"<>|'
_DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
_LONGEST = 200
"""Bytes of a name; file systems take 255 with the ending."""


def names_of_people(given: object, taken: Sequence[str]) -> list[str]:
    """Names of the annotators, each fit for a file name, and none the name of a file of ``taken``."""
    if isinstance(given, numbers.Number):
        count = whole("annotators", given, least=1, instead="or their names")
        return ["annotator"] if count == 1 else [f"annotator-{k + 1}" for k in range(count)]
    if not isinstance(given, Sequence) or isinstance(given, (str, bytes)) or not given:
        raise ArgumentError(f"annotators={given!r} is not allowed; give a number of people, or a list of their names.")
    names = [check_name(name) for name in given]
    files: dict[str, str] = {file.partition(".")[0]: file for file in taken}
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
