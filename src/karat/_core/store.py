"""A small file on disk that survives kills, full disks and several processes: sqlite behind clear errors."""

from __future__ import annotations

import contextlib
import os
import random
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from ..errors import ArgumentError, CacheError

_WAIT = 60.0
"""Seconds to wait while another process writes."""

_SYNC = 1.0
"""Seconds between writes of a durable file to the disk itself."""


def cache_folder(given: object, name: str) -> Path:
    """Folder of a cache: the one given, that in ``KARAT_CACHE``, or the user's cache folder.

    Parameters
    ----------
    name : str
        What is cached; the folder's name in the default place.

    Examples
    --------
    >>> cache_folder("somewhere", "embeddings")
    PosixPath('somewhere')
    """
    if given == "auto":
        root = os.environ.get("KARAT_CACHE")
        home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "karat"
        return (Path(root) if root else home) / name
    if isinstance(given, (str, os.PathLike)) and str(given):
        return Path(given).expanduser()
    raise ArgumentError(f"cache={given!r} is not allowed; give a folder, 'auto' for the user's cache, or None.")


class Store:
    """One sqlite file, opened for reading and writing by threads and processes at once.

    Parameters
    ----------
    path : Path or None
        Made with its folders if it is not there, for its owner alone; None keeps everything in memory.
    schema : str
        ``CREATE TABLE IF NOT EXISTS`` statements.
    durable : bool
        Every write outlives a kill of the process at once. Durable files also go to the disk itself once a second, so
        that a power cut costs a second of work (answers that were paid for).
    """

    def __init__(self, path: Path | None, schema: str, *, durable: bool = False) -> None:
        self.path = path
        self._lock = threading.RLock()
        self._log = Path(f"{path}-wal") if durable and path is not None else None
        self._synced = time.monotonic()
        try:
            if path is not None:
                _make_private(path)
            self._link = sqlite3.connect(
                path or ":memory:", timeout=_WAIT, check_same_thread=False, isolation_level=None
            )
            self._keep_log()
            self._link.execute("PRAGMA synchronous=NORMAL")
            self._link.executescript(schema)
        except (OSError, sqlite3.Error) as error:
            raise self._refuse(error) from error

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Everything done inside is kept, or nothing is; other processes wait."""
        with self._lock:
            try:
                self._link.execute("BEGIN IMMEDIATE")
                yield self._link
                self._link.execute("COMMIT")
                self._sync()
            except BaseException as error:
                if self._link.in_transaction:
                    self._link.execute("ROLLBACK")
                if isinstance(error, (OSError, sqlite3.Error)):
                    raise self._refuse(error) from error
                raise

    def write(self, statement: str, rows: Iterable[Sequence[Any]]) -> None:
        """Run a statement for every row in one transaction."""
        with self.transaction() as link:
            link.executemany(statement, rows)

    def read(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Rows of a query."""
        with self._lock:
            try:
                return self._link.execute(statement, values).fetchall()
            except sqlite3.Error as error:
                raise self._refuse(error) from error

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._link.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _keep_log(self) -> None:
        """Write ahead to a log; stays as it is where the file system cannot do it.

        Changing over does not wait for others who open the file at the same moment, unlike all else.
        """
        until = time.monotonic() + _WAIT
        while True:
            try:
                self._link.execute("PRAGMA journal_mode=WAL")
                return
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) or time.monotonic() > until:
                    raise
            time.sleep(random.uniform(0.005, 0.05))

    def _sync(self) -> None:
        """Have the log written to the disk itself, once a second at most."""
        if self._log is None or time.monotonic() - self._synced < _SYNC:
            return
        with contextlib.suppress(FileNotFoundError), self._log.open("rb") as file:
            os.fsync(file.fileno())
        self._synced = time.monotonic()

    def _refuse(self, error: Exception) -> CacheError:
        text = str(error)
        if "full" in text or "No space" in text:
            advice = "the disk is full; what was in the cache is intact. Free some space and call again"
        elif "not a database" in text or "malformed" in text:
            advice = "the file is damaged or not a cache; move it away (or name another folder) and call again"
        elif "readonly" in text or "unable to open" in text or isinstance(error, OSError):
            advice = "it cannot be written; name a folder of your own in cache=, or set KARAT_CACHE"
        else:
            advice = "see the reason; what was in the cache is intact"
        return CacheError(f"cache {self.path or 'in memory'}: {advice} ({text}).")


def _make_private(path: Path) -> None:
    """Make a file and the folders it lacks, readable by their owner alone; sqlite's own files beside it follow."""
    missing = [folder for folder in path.parents if not folder.exists()]
    for folder in reversed(missing):
        folder.mkdir(mode=0o700, exist_ok=True)
    if not path.exists():
        path.touch(mode=0o600)
