"""JSON files that are kept for months and must come back as they were written: samples, what annotators were asked."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from .._version import __version__
from ..errors import ArgumentError, DataError

_MOST_BYTES = 2**30
"""Larger files are refused before they are read."""


def path_of(argument: str, given: object) -> Path:
    """A path from the user, checked."""
    if not isinstance(given, (str, os.PathLike)):
        raise ArgumentError(f"{argument}={given!r} is not allowed; give a path.")
    return Path(given)


def sealed(format: str, version: int, content: dict[str, Any]) -> str:
    """The text of a file, with its format, version and checksum. ``content``: what JSON can hold."""
    whole = {"format": format, "version": version, "karat": __version__, **content}
    return json.dumps({**whole, "checksum": _checksum(whole)}, indent=1, ensure_ascii=False) + "\n"


def read_sealed(path: str | Path, format: str, version: int, again: str) -> dict[str, Any]:
    """Read a file that :func:`sealed` wrote, up to a version, and check that it is whole and unchanged.

    Files of version 1 have no checksum; ``again`` says how to get a good one.
    """
    path = path_of("path", path)
    name = repr(str(path))
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise DataError(f"{name} is larger than {_MOST_BYTES // 2**20} MiB, so it is not a {format}; {again}.")
        text = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"the file {name} cannot be read: {error.strerror}.") from None
    except DataError:
        raise
    except (ValueError, RecursionError):
        raise DataError(f"{name} is not a {format}: it is not JSON; {again}.") from None
    if not isinstance(text, dict) or text.get("format") != format:
        raise DataError(f"{name} is not a {format}; {again}.")
    found = text.get("version")
    if isinstance(found, bool) or not isinstance(found, int) or found < 1:
        raise DataError(f"{name} names version {found!r} of its format, which is not a version; {again}.")
    if found > version:
        raise DataError(
            f"{name} was written by a later karat ({text.get('karat', 'unknown')}: version {found} of the format, this "
            f"one reads up to {version}); update karat to read it."
        )
    checksum = text.pop("checksum", None)
    if found > 1 and checksum != _checksum(text):
        raise DataError(f"{name} has been edited or damaged since karat wrote it (its checksum differs); {again}.")
    return text


def _checksum(content: dict[str, Any]) -> str:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
