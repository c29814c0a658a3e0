"""Vectors of texts on disk, by content."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..._core.store import Store
from ...errors import CacheError

if TYPE_CHECKING:
    from ..._core.types import Floats

_SCHEMA = """
CREATE TABLE IF NOT EXISTS about (name TEXT PRIMARY KEY, value TEXT);
CREATE TABLE IF NOT EXISTS vectors (key BLOB PRIMARY KEY, vector BLOB NOT NULL);
"""
_AT_ONCE = 500


class VectorCache:
    """Vectors made by one model with one set of settings; each set has a file of its own.

    Parameters
    ----------
    folder : Path
    settings : mapping
        All that the vectors depend on besides the text.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        described = json.dumps(settings, sort_keys=True)
        name = re.sub(r"[^A-Za-z0-9._-]+", "-", Path(str(settings["model"])).name)[:40]
        digest = hashlib.blake2b(described.encode(), digest_size=12).hexdigest()
        self.store = Store(folder / f"{name}-{digest}.sqlite", _SCHEMA)
        self.store.write("INSERT OR IGNORE INTO about VALUES ('settings', ?)", [(described,)])

    def get(self, texts: Sequence[str]) -> dict[int, Floats]:
        """Vectors that are there.

        Parameters
        ----------
        texts : sequence of str

        Returns
        -------
        dict of int to ndarray
            Position -> vector.

        Raises
        ------
        CacheError
        """
        found: dict[int, Floats] = {}
        for start in range(0, len(texts), _AT_ONCE):
            keys = {key_of(text): start + i for i, text in enumerate(texts[start : start + _AT_ONCE])}
            marks = ",".join("?" * len(keys))
            for key, blob in self.store.read(f"SELECT key, vector FROM vectors WHERE key IN ({marks})", list(keys)):
                found[keys[key]] = np.frombuffer(blob, dtype="<f4")
        if len({len(vector) for vector in found.values()}) > 1:
            raise CacheError(f"cache {self.store.path}: vectors differ in length; move the file away and call again.")
        return found

    def put(self, texts: Sequence[str], vectors: Floats) -> None:
        """Keep vectors; all of them or, when the disk is full, none.

        Parameters
        ----------
        texts : sequence of str
        vectors : ndarray of float32, shape (len(texts), d)

        Raises
        ------
        CacheError
        """
        rows = ((key_of(text), vector.astype("<f4").tobytes()) for text, vector in zip(texts, vectors))
        self.store.write("INSERT OR IGNORE INTO vectors VALUES (?, ?)", rows)

    def close(self) -> None:
        """Let go of the file."""
        self.store.close()


def key_of(text: str) -> bytes:
    """Content hash of a text."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=20).digest()
