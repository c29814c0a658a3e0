"""A study in a file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..designs.store import path_of, read_sealed, sample_content, sample_of, sealed
from ..errors import DataError
from .codebook import codebook_of
from .locked import Protocol
from .study import Study

FORMAT, VERSION = "karat study", 2  # 1 would be a file without a checksum
AGAIN = "write one with study.save(path)"


def save(study: Study, path: str | os.PathLike[str]) -> None:
    """Write a study, see :meth:`Study.save`."""
    path_of("path", path).write_text(sealed(FORMAT, VERSION, content(study)), encoding="utf-8")


def content(study: Study) -> dict[str, Any]:
    """All of it as plain values."""
    return {
        "codebook": [book.describe() for book in study.books] if len(study.books) > 1 else study.books[0].describe(),
        "sample": sample_content(study.sample),
        "development_share": study.development_share,
        "seed": study.seed,
        "budget": study.budget,
        "protocol": None if study.protocol is None else study.protocol.to_dict(),
        "protocol_hash": None if study.protocol is None else study.protocol.hash,
    }


def read_study(path: str | os.PathLike[str], *, cache: Any = "auto") -> Study:
    """Read a study that was saved.

    Parameters
    ----------
    path : str or Path
        Written by :meth:`Study.save`.
    cache : str, Path, None or "auto"
        As in :func:`label`.

    Returns
    -------
    Study
        Keys, prices and other settings of the traffic are not in the file: hand ``study.label`` a ``model=`` with them.

    Raises
    ------
    DataError
        If the file is missing, is not a study, or was edited or damaged since.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import karat as kt
    >>> letters, _ = kt.datasets.simulate_texts(60, seed=1)
    >>> book = kt.annotate.Codebook("support", "Does the writer want the tram?", {1: "Yes.", 0: "No."})
    >>> study = kt.annotate.Study(book, kt.SimpleRandom(n=30).draw(letters, seed=1))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     study.save(pathlib.Path(folder) / "study.json")
    ...     back = kt.annotate.read_study(pathlib.Path(folder) / "study.json")
    >>> back.name == study.name
    True
    """
    return study_of(read_sealed(Path(path), FORMAT, VERSION, AGAIN), repr(str(path)), cache)


def study_of(content: Mapping[str, Any], name: str, cache: Any) -> Study:
    """A study from plain values."""
    try:
        protocol = None if content["protocol"] is None else Protocol.from_dict(content["protocol"])
        if protocol is not None and protocol.hash != content["protocol_hash"]:
            raise DataError(
                f"the protocol has the hash {protocol.hash}, laid down was {content['protocol_hash']}: this release of "
                "karat makes prompts or reads replies in another way; use the one that it was locked with"
            )
        books = content["codebook"]
        return Study(
            codebook_of(books) if isinstance(books, Mapping) else tuple(map(codebook_of, books)),
            sample_of(content["sample"], name),
            content["development_share"],
            content["seed"],
            budget=content["budget"],
            cache=cache,
            protocol=protocol,
        )
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise DataError(f"{name} holds no study that this version can read ({error}).") from None
