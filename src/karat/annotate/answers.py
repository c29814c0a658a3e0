"""Answers on disk, and what they cost: written before and after every request; nothing is lost or paid twice."""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from ..errors import CacheError, KaratWarning, tell
from ..store import Store

_SCHEMA = """
CREATE TABLE IF NOT EXISTS answers (
  key TEXT, attempt INTEGER, job TEXT, state TEXT, cost INTEGER, prompt_tokens INTEGER, completion_tokens INTEGER,
  asked_at REAL, answered_at REAL, note TEXT, body TEXT, PRIMARY KEY (key, attempt));
CREATE TABLE IF NOT EXISTS spent (job TEXT PRIMARY KEY, cost INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS flying (key TEXT PRIMARY KEY, owner TEXT NOT NULL);
"""
_SPILL = 2**20
_STALE = 86_400.0


@dataclass(frozen=True)
class Ticket:
    """A request that may be sent: its place in the cache, and what is set aside for it."""

    key: str
    attempt: int
    job: str
    reserved: int


class AnswerStore:
    """Answers of endpoints and models by the content of the request.

    Parameters
    ----------
    folder : Path or None
        None keeps answers for one call, in memory.

    Notes
    -----
    Before a request is sent, the most it can cost is added to what its job has spent, in one transaction that all
    threads and processes share; when the answer has come it is written together with what it did cost. A request
    whose outcome is not known (a kill, a timeout) keeps its reservation. So the sum never falls short of the bill.

    If the disk fills up while requests are under way, their answers go to a file whose space was taken when
    the cache was opened, and from there into the cache when it is opened next.
    """

    def __init__(self, folder: Path | None) -> None:
        self.store = Store(None if folder is None else folder / "answers.sqlite", _SCHEMA, durable=True)
        self._lock = threading.Lock()
        self._spill: Path | None = None
        self._held: BinaryIO | None = None
        self._at = 0
        self._folder = folder
        if folder is not None:
            self._adopt(folder)
            self._take_space(folder)

    def get(self, key: str) -> str | None:
        """The answer to a request, None when there is none."""
        found = self.all(key)
        return found[0] if found else None

    def all(self, key: str) -> list[str]:
        """All answers to a request, the newest first; also one that a kill kept from being looked at."""
        rows = self.store.read(
            "SELECT body FROM answers WHERE key = ? AND state IN ('answered', 'received') ORDER BY attempt DESC", [key]
        )
        return [row[0] for row in rows]

    def claim(self, key: str) -> bool:
        """Say that a request is being made; False while somebody else who is alive is making the same one.

        Raises
        ------
        CacheError
            If it cannot be written.
        """
        if self._spill is None:
            return True
        me = self._spill.name
        with self.store.transaction() as link:
            found = link.execute("SELECT owner FROM flying WHERE key = ?", [key]).fetchone()
            if found and found[0] != me and _is_held(self._spill.with_name(found[0])):
                return False
            link.execute("INSERT OR REPLACE INTO flying VALUES (?, ?)", [key, me])
        return True

    def release(self, key: str) -> None:
        """The request is done, or given up."""
        if self._spill is not None:
            with contextlib.suppress(CacheError):  # a claim ends with its owner at the latest
                self.store.write("DELETE FROM flying WHERE key = ? AND owner = ?", [(key, self._spill.name)])

    def spent(self, jobs: Sequence[str]) -> int:
        """What jobs have cost so far, reservations included."""
        marks = ",".join("?" * len(jobs))
        return int(
            self.store.read(f"SELECT COALESCE(SUM(cost), 0) FROM spent WHERE job IN ({marks})", list(jobs))[0][0]
        )

    def reserve(self, key: str, job: str, most: int, limit: int | None, shared: Sequence[str] = ()) -> Ticket | None:
        """Set money aside for a request and note that it is about to be sent.

        Parameters
        ----------
        key, job : str
        most : int
            The most it can cost.
        limit : int or None
            What the job, and those that share its limit, may cost in all.
        shared : sequence of str
            Jobs that share the limit.

        Returns
        -------
        Ticket or None
            None when the limit does not allow it.

        Raises
        ------
        CacheError
            If it cannot be written; then nothing has been sent.
        """
        with self.store.transaction() as link:
            link.execute("INSERT OR IGNORE INTO spent VALUES (?, 0)", [job])
            jobs = sorted({job, *shared})
            marks = ",".join("?" * len(jobs))
            before = link.execute(f"SELECT SUM(cost) FROM spent WHERE job IN ({marks})", jobs).fetchone()[0]
            if limit is not None and before + most > limit:
                return None
            link.execute("UPDATE spent SET cost = cost + ? WHERE job = ?", [most, job])
            attempt = link.execute(
                "SELECT COALESCE(MAX(attempt), -1) + 1 FROM answers WHERE key = ?", [key]
            ).fetchone()[0]
            link.execute(
                "INSERT INTO answers VALUES (?, ?, ?, 'sent', ?, 0, 0, ?, NULL, '', NULL)",
                [key, attempt, job, most, time.time()],
            )
        return Ticket(key, int(attempt), job, most)

    def settle(
        self, ticket: Ticket, state: str, cost: int, tokens: tuple[int, int] = (0, 0), body: str = "", note: str = ""
    ) -> None:
        """Write what came of a request.

        Parameters
        ----------
        ticket : Ticket
        state : {"received", "answered", "unreadable", "failed", "unknown"}
            ``"received"`` is written as soon as a reply is there, before anybody looks into it, and keeps the
            reservation; it is settled again.
        cost : int
            What it did cost; the reservation where that is not known.
        tokens : (int, int)
        body, note : str

        Raises
        ------
        CacheError
            If it cannot be written to the cache; then it is in the spare file.
        """
        note = note.encode("utf-8", "replace").decode()
        body = body.encode("utf-8", "replace").decode()
        head = [ticket.key, ticket.attempt, ticket.job, state, cost, *tokens]
        record = [*head, time.time(), note, body, ticket.reserved]
        try:
            self._write(record)
        except (CacheError, ArithmeticError, TypeError, ValueError) as error:
            kept = self._spill_over(record)
            more = (
                " The answer that just came is kept beside the cache and joins it when there is room." if kept else ""
            )
            raise CacheError(f"{error}{more}") from error

    def tally(self, jobs: Sequence[str]) -> list[tuple[Any, ...]]:
        """By state: number of requests, prompt and completion tokens, cost, first and last time."""
        marks = ",".join("?" * len(jobs))
        return self.store.read(
            "SELECT state, COUNT(*), SUM(prompt_tokens), SUM(completion_tokens), SUM(cost), MIN(asked_at), "
            f"MAX(COALESCE(answered_at, asked_at)) FROM answers WHERE job IN ({marks}) GROUP BY state",
            list(jobs),
        )

    def close(self) -> None:
        """Let go of the files."""
        self.store.close()
        if self._held is not None:
            if self._spill is not None and not self._at:
                self._spill.unlink(missing_ok=True)
            self._held.close()

    def _write(self, record: Sequence[Any]) -> None:
        key, attempt, job, state, cost, prompt, completion, at, note, body, reserved = record
        with self.store.transaction() as link:
            done = link.execute(
                "UPDATE answers SET state = ?, cost = ?, prompt_tokens = ?, completion_tokens = ?, answered_at = ?, "
                "note = ?, body = CASE WHEN state = 'received' THEN body ELSE ? END "
                "WHERE key = ? AND attempt = ? AND state IN ('sent', 'received')",
                [state, cost, prompt, completion, at, note, body, key, attempt],
            ).rowcount
            if done and cost != reserved:
                link.execute("UPDATE spent SET cost = cost + ? WHERE job = ?", [cost - reserved, job])

    def _take_space(self, folder: Path) -> None:
        path = folder / f"spare-{uuid.uuid4().hex}.spill"
        try:
            file = self._held = path.open("wb")
            _hold(file, wait=True)
            file.write(bytes(_SPILL))
            file.flush()
            os.fsync(file.fileno())
        except OSError as error:
            path.unlink(missing_ok=True)
            raise CacheError(
                f"cache {folder}: no room to work in ({error}). Free some space and call again."
            ) from error
        self._spill = path

    def _spill_over(self, record: Sequence[Any]) -> bool:
        line = (json.dumps(list(record)) + "\n").encode()
        with self._lock:
            if self._held is None or self._at + len(line) > _SPILL:
                return False
            try:
                self._held.seek(self._at)
                self._held.write(line)
                self._held.flush()
                os.fsync(self._held.fileno())
            except OSError:
                return False
            self._at += len(line)
            return True

    def _adopt(self, folder: Path) -> None:
        """Take in what an earlier run could not write; what a living one holds is left to it."""
        for path in sorted(folder.glob("spare-*.spill")):
            try:
                with path.open("r+b") as file:
                    if not _hold(file, wait=False):
                        continue
                    content = file.read().rstrip(b"\0")
                    damaged = [line for line in content.split(b"\n") if line and not self._take_in(line)]
                    if damaged:
                        path.rename(path.with_suffix(".damaged"))
                        tell(
                            f"cache {folder}: {len(damaged)} answers of an earlier call were cut off while they were "
                            f"written and are left out; what there is of them is in {path.stem}.damaged.",
                            KaratWarning,
                        )
                    else:
                        path.unlink()
            except FileNotFoundError:
                continue  # another process was faster

    def _take_in(self, line: bytes) -> bool:
        try:
            self._write(json.loads(line))
        except (ValueError, TypeError, ArithmeticError):
            return False
        return True


def _hold(file: BinaryIO, wait: bool) -> bool:
    """Lock a file for as long as this process lives; False when another has it."""
    try:
        import fcntl
    except ImportError:  # no such locks here: a file counts as held for a day
        return wait or time.time() - os.fstat(file.fileno()).st_mtime > _STALE
    try:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    return True


def _is_held(path: Path) -> bool:
    try:
        with path.open("r+b") as file:
            return not _hold(file, wait=False)
    except OSError:
        return False
