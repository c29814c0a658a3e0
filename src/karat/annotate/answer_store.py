"""Answers on disk, and what they cost: written before and after every request; nothing is lost or paid twice."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from .._core.store import Store
from ..errors import CacheError, KaratWarning, tell

_SCHEMA = """
CREATE TABLE IF NOT EXISTS answers (
  key TEXT, attempt INTEGER, job TEXT, state TEXT, cost INTEGER, prompt_tokens INTEGER, completion_tokens INTEGER,
  asked_at REAL, answered_at REAL, note TEXT, body TEXT, PRIMARY KEY (key, attempt));
CREATE TABLE IF NOT EXISTS spent (job TEXT PRIMARY KEY, cost INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS studies (study TEXT, job TEXT, PRIMARY KEY (study, job));
CREATE TABLE IF NOT EXISTS batches (
  chunk TEXT PRIMARY KEY, job TEXT, tickets TEXT, remote TEXT, state TEXT, made_at REAL);
CREATE TABLE IF NOT EXISTS flying (key TEXT PRIMARY KEY, owner TEXT NOT NULL);
"""
_OF_USE = ("answered", "received")
_SPILL = 2**20
_STALE = 86_400.0
_ABANDONED = 60.0
"""Seconds after which an empty spare file is nobody's: a living one is locked and filled at once."""


@dataclass(frozen=True)
class Ticket:
    """A request that may be sent: its place in the cache, and what is set aside for it."""

    key: str
    attempt: int
    job: str
    reserved: int


class AnswerStore:
    """Answers of endpoints and models by the content of the request; in memory where there is no folder.

    Before a request is sent, the most it can cost is added to what its job has spent, in one transaction that all
    threads and processes share; when the answer has come it is written together with what it did cost. A request
    whose outcome is not known (a kill, a timeout) keeps its reservation. So the sum never falls short of the bill.

    If the disk fills up while requests are under way, their answers go to a file whose space was taken before the
    first request, or stay in memory where that is too small, and are used from there; they join the cache as soon as
    there is room, at the end of the call or when the cache is opened next.
    """

    def __init__(self, folder: Path | None) -> None:
        self.store = Store(None if folder is None else folder / "answers.sqlite", _SCHEMA, durable=True)
        self._lock = threading.Lock()
        self._spill: Path | None = None
        self._held: BinaryIO | None = None
        self._at = 0
        self._late: list[list[Any]] = []  # not in the cache yet
        self._unsaved: list[list[Any]] = []  # nor in the spare file
        self._folder = folder
        if folder is not None:
            self._adopt(folder)

    @property
    def whereabouts(self) -> str:
        """Where answers are, for messages."""
        if self._folder is None:
            return "Answers of this call are not kept (cache=None); name a cache so that no answer is paid for twice"
        return "Answers so far are in the cache"

    def get(self, key: str) -> str | None:
        """The answer to a request, None when there is none."""
        found = self.all(key)
        return found[0] if found else None

    def all(self, key: str) -> list[str]:
        """All answers to a request, the newest first; also one that a kill kept from being looked at."""
        rows = self.store.read(
            "SELECT body FROM answers WHERE key = ? AND state IN ('answered', 'received') ORDER BY attempt DESC", [key]
        )
        with self._lock:
            late = [record[9] for record in reversed(self._late) if record[0] == key and record[3] in _OF_USE]
        return [*late, *(row[0] for row in rows)]

    def claim(self, key: str) -> bool:
        """Say that a request is being made; False while somebody else who is alive is making the same one."""
        self._take_space()
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

    def enrol(self, study: str, jobs: Sequence[str]) -> tuple[str, ...]:
        """Count jobs to a study; its name then means all its jobs, now and later, wherever costs are added up."""
        self.store.write("INSERT OR IGNORE INTO studies VALUES (?, ?)", [(study, job) for job in jobs])
        return (study,)

    def spent(self, jobs: Sequence[str]) -> int:
        """What jobs, or those of studies, have cost so far, reservations included."""
        return int(self.store.read(_spent(len(jobs)), [*jobs, *jobs])[0][0])

    def reserve(self, key: str, job: str, most: int, limit: int | None, shared: Sequence[str] = ()) -> Ticket | None:
        """Set money aside for a request and note that it is about to be sent."""
        tickets = self.reserve_all({key: most}, job, limit, shared)
        return tickets[0] if tickets else None

    def reserve_all(
        self, wanted: Mapping[str, int], job: str, limit: int | None, shared: Sequence[str] = (), batch: bool = False
    ) -> list[Ticket]:
        """The same for several requests, all or none, that may be one batch; empty where the limit is in the way."""
        self._take_space()
        with self.store.transaction() as link:
            link.execute("INSERT OR IGNORE INTO spent VALUES (?, 0)", [job])
            jobs, most = sorted({job, *shared}), sum(wanted.values())
            before = link.execute(_spent(len(jobs)), [*jobs, *jobs]).fetchone()[0]
            if limit is not None and before + most > limit:
                return []
            link.execute("UPDATE spent SET cost = cost + ? WHERE job = ?", [most, job])
            tickets = []
            for key, each in wanted.items():
                attempt = link.execute(
                    "SELECT COALESCE(MAX(attempt), -1) + 1 FROM answers WHERE key = ?", [key]
                ).fetchone()[0]
                link.execute(
                    "INSERT INTO answers VALUES (?, ?, ?, 'sent', ?, 0, 0, ?, NULL, '', NULL)",
                    [key, attempt, job, each, time.time()],
                )
                tickets.append(Ticket(key, int(attempt), job, each))
            if batch:
                listed = json.dumps({t.key: [t.attempt, t.reserved] for t in tickets})
                mark = f"karat-{job}-{uuid.uuid4().hex[:16]}"
                row = [mark, job, listed, time.time()]
                link.execute("INSERT INTO batches VALUES (?, ?, ?, NULL, 'made', ?)", row)
        return tickets

    def batches(self, job: str) -> list[tuple[str, dict[str, list[int]], str | None]]:
        """Batches of a job that are not done: mark, tickets (request -> attempt and money), name at the vendor."""
        found = self.store.read(
            "SELECT chunk, tickets, remote FROM batches WHERE job = ? AND state != 'done' ORDER BY rowid", [job]
        )
        return [(mark, json.loads(tickets), remote) for mark, tickets, remote in found]

    def note_batch(self, mark: str, remote: str, done: bool = False) -> None:
        """Write where a batch is, and whether all of it is kept."""
        row = [remote, "done" if done else "sent", mark]
        self.store.write("UPDATE batches SET remote = ?, state = ? WHERE chunk = ?", [row])

    def settle(
        self, ticket: Ticket, state: str, cost: int, tokens: tuple[int, int] = (0, 0), body: str = "", note: str = ""
    ) -> None:
        """Write what came of a request."""
        note = note.encode("utf-8", "replace").decode()
        body = body.encode("utf-8", "replace").decode()
        head = [ticket.key, ticket.attempt, ticket.job, state, cost, *tokens]
        record = [*head, time.time(), note, body, ticket.reserved]
        try:
            self._write(record)
        except (CacheError, ArithmeticError, TypeError, ValueError) as error:
            place = "beside the cache" if self._spill_over(record) else "in memory"
            raise CacheError(
                f"{error} The answer that just came is kept {place} and joins the cache when there is room."
            ) from error

    def tally(self, jobs: Sequence[str]) -> list[tuple[Any, ...]]:
        """By state: number of requests, prompt and completion tokens, cost, first and last time."""
        marks = ",".join("?" * len(jobs))
        return self.store.read(
            "SELECT state, COUNT(*), SUM(prompt_tokens), SUM(completion_tokens), SUM(cost), MIN(asked_at), "
            f"MAX(COALESCE(answered_at, asked_at)) FROM answers WHERE job IN ({marks}) GROUP BY state",
            list(jobs),
        )

    def replies(self, keys: Sequence[str]) -> list[list[Any]]:
        """The newest answer of use to each request, as :meth:`restore` takes it."""
        out = []
        for key in keys:
            rows = self.store.read(
                "SELECT key, attempt, job, 'answered', cost, prompt_tokens, completion_tokens, "
                "COALESCE(answered_at, asked_at), '', body, 0 FROM answers "
                "WHERE key = ? AND state IN ('answered', 'received') ORDER BY attempt",
                [key],
            )
            out += [list(row) for row in rows]
        return out

    def restore(self, records: Sequence[Sequence[Any]]) -> None:
        """Take in answers of another file."""
        for record in records:
            self._write(record)

    def close(self) -> None:
        """Let go of the files; what could not be written is tried once more."""
        late = [record for record in self._late if not self._take_in(record)]
        with self._lock:
            if not late:
                self._at, self._unsaved = 0, []
            rest, self._late, self._unsaved = self._unsaved, [], []
        self.store.close()
        if self._held is not None and self._spill is not None:
            if not self._at:
                self._spill.unlink(missing_ok=True)
            self._held.close()
        if rest:
            raise self._put_elsewhere(rest)

    def _write(self, record: Sequence[Any]) -> None:
        key, attempt, job, state, cost, prompt, completion, at, note, body, _ = record
        with self.store.transaction() as link:
            open_ = link.execute(
                "SELECT cost FROM answers WHERE key = ? AND attempt = ? AND state IN ('sent', 'received')",
                [key, attempt],
            ).fetchone()
            done = link.execute(
                "UPDATE answers SET state = ?, cost = ?, prompt_tokens = ?, completion_tokens = ?, answered_at = ?, "
                "note = ?, body = CASE WHEN state = 'received' THEN body ELSE ? END "
                "WHERE key = ? AND attempt = ? AND state IN ('sent', 'received')",
                [state, cost, prompt, completion, at, note, body, key, attempt],
            ).rowcount
            added = cost - open_[0] if open_ else 0
            if not done:  # settled before, or of another file
                values = [key, attempt, job, state, cost, prompt, completion, at, at, note, body]
                marks = ",".join("?" * len(values))
                done = link.execute(f"INSERT OR IGNORE INTO answers VALUES ({marks})", values).rowcount
                added = cost
            if done and added:
                link.execute("INSERT OR IGNORE INTO spent VALUES (?, 0)", [job])
                link.execute("UPDATE spent SET cost = cost + ? WHERE job = ?", [added, job])

    def _take_space(self) -> None:
        """Take room for answers that come when the disk is full, before the first request."""
        with self._lock:
            if self._folder is None or self._spill is not None:
                return
            path = self._folder / f"spare-{uuid.uuid4().hex}.spill"
            file: BinaryIO | None = None
            try:
                path.touch(mode=0o600)
                file = path.open("r+b")
                _hold(file, wait=True)
                file.write(bytes(_SPILL))
                file.flush()
                os.fsync(file.fileno())
            except OSError as error:
                with contextlib.suppress(OSError):  # there is no room for what it still holds
                    if file is not None:
                        file.close()
                path.unlink(missing_ok=True)
                raise CacheError(
                    f"cache {self._folder}: no room to work in ({error}). Free some space and call again."
                ) from error
            self._held, self._spill = file, path

    def _spill_over(self, record: list[Any]) -> bool:
        line = _line(record)
        with self._lock:
            self._late.append(record)
            try:
                if self._held is None or self._at + len(line) > _SPILL:
                    raise OSError
                self._held.seek(self._at)
                self._held.write(line)
                self._held.flush()
                os.fsync(self._held.fileno())
            except OSError:
                self._unsaved.append(record)
                return False
            self._at += len(line)
            return True

    def _put_elsewhere(self, records: Sequence[Sequence[Any]]) -> CacheError:
        """What there is no room for goes to the folder for temporary files, else into the error itself."""
        about = f"cache {self._folder or 'in memory'}: there is no room for {len(records)} answers that were paid for"
        try:
            handle, name = tempfile.mkstemp(prefix="spare-", suffix=".spill")
            with os.fdopen(handle, "wb") as file:
                file.writelines(map(_line, records))
        except OSError:
            error = CacheError(f"{about}; they are in the attribute 'answers' of this error (request, reply).")
            error.answers = [(record[0], record[9]) for record in records]  # type: ignore[attr-defined]
            return error
        return CacheError(
            f"{about}; they are in {name}. Free some space, move that file into the folder and call again."
        )

    def _adopt(self, folder: Path) -> None:
        """Take in what earlier runs could not write; what a living one holds is left to it."""
        for path in sorted(folder.glob("spare-*.spill")):
            with contextlib.suppress(FileNotFoundError), path.open("r+b") as file:  # another process may be faster
                if _hold(file, wait=False):
                    content = file.read()
                    if content or time.time() - path.stat().st_mtime > _ABANDONED:  # else one is just being made
                        self._take_over(path, content)

    def _take_over(self, path: Path, content: bytes) -> None:
        lines = [line for line in content.rstrip(b"\0").split(b"\n") if line]
        records = [record for line in lines if (record := _record(line)) is not None]
        late = [record for record in records if not self._take_in(record)]
        if late:
            self._late += late
            tell(
                f"cache {self._folder}: there is no room yet for {len(late)} answers of an earlier call; they are used "
                f"from {path.name}. Free some space.",
                KaratWarning,
            )
        elif damaged := len(lines) - len(records):
            path.rename(path.with_suffix(".damaged"))
            tell(
                f"cache {self._folder}: {damaged} answers of an earlier call were cut off while they were written and "
                f"are left out; what there is of them is in {path.stem}.damaged.",
                KaratWarning,
            )
        else:
            path.unlink()

    def _take_in(self, record: Sequence[Any]) -> bool:
        """Write a record; False while there is no room."""
        try:
            self._write(record)
        except (CacheError, ArithmeticError, TypeError):
            return False
        return True


def _spent(n: int) -> str:
    """Sum of what n jobs or studies have cost."""
    marks = ",".join("?" * n)
    return (
        f"SELECT COALESCE(SUM(cost), 0) FROM spent WHERE job IN ({marks}) "
        f"OR job IN (SELECT job FROM studies WHERE study IN ({marks}))"
    )


def _line(record: Sequence[Any]) -> bytes:
    return (json.dumps(list(record)) + "\n").encode()


def _record(line: bytes) -> list[Any] | None:
    """A record as it was written, None for one that was cut off."""
    try:
        record = json.loads(line)
    except ValueError:
        return None
    kinds = (str, int, str, str, int, int, int, float, str, str, int)
    good = isinstance(record, list) and len(record) == len(kinds) and all(map(isinstance, record, kinds))
    return record if good and all(abs(v) < 2**63 for v in record if isinstance(v, int)) else None


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
