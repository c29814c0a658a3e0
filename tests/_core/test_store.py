"""The file under the caches: all of a transaction or none, and clear errors."""

import os
import threading
from pathlib import Path

import pytest

from karat._core.store import Store, cache_folder
from karat.errors import ArgumentError, CacheError

SCHEMA = "CREATE TABLE IF NOT EXISTS t (a INTEGER PRIMARY KEY, b TEXT)"


def rows(store):
    return store.read("SELECT a FROM t ORDER BY a")


def test_a_transaction_is_kept_whole_or_not_at_all(tmp_path):
    with Store(tmp_path / "deep" / "x.sqlite", SCHEMA) as store:
        store.write("INSERT INTO t VALUES (?, ?)", [(1, "a"), (2, "b")])
        with pytest.raises(CacheError, match="UNIQUE"):
            store.write("INSERT INTO t VALUES (?, ?)", [(3, "c"), (1, "again")])

        def broken():
            yield (4, "d")
            raise RuntimeError("stopped in the middle")

        with pytest.raises(RuntimeError):
            store.write("INSERT INTO t VALUES (?, ?)", broken())
        assert rows(store) == [(1,), (2,)]
    with Store(tmp_path / "deep" / "x.sqlite", SCHEMA) as again:
        assert rows(again) == [(1,), (2,)]


def test_durable_files_go_to_the_disk_once_a_second(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr(os, "fsync", lambda number: synced.append(number))
    with Store(tmp_path / "x.sqlite", SCHEMA, durable=True) as store:
        store.write("INSERT INTO t VALUES (?, ?)", [(1, "a")])
        assert not synced
        store._synced -= 2
        store.write("INSERT INTO t VALUES (?, ?)", [(2, "a")])
        store.write("INSERT INTO t VALUES (?, ?)", [(3, "a")])
        assert len(synced) == 1


def test_in_memory_and_folders(tmp_path, monkeypatch):
    with Store(None, SCHEMA, durable=True) as store:
        store.write("INSERT INTO t VALUES (?, ?)", [(1, "a")])
        assert rows(store) == [(1,)]
    monkeypatch.delenv("KARAT_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder("auto", "answers") == tmp_path / "karat" / "answers"
    monkeypatch.setenv("KARAT_CACHE", str(tmp_path / "mine"))
    assert cache_folder("auto", "answers") == tmp_path / "mine" / "answers"
    assert cache_folder(tmp_path, "answers") == Path(tmp_path)
    for bad in (3, ""):
        with pytest.raises(ArgumentError, match="cache="):
            cache_folder(bad, "answers")


def test_a_new_file_is_opened_by_many_at_once(tmp_path):
    failed = []

    def open_it(path, gate):
        gate.wait()
        try:
            Store(path, SCHEMA).close()
        except CacheError as error:
            failed.append(error)

    for k in range(15):
        gate = threading.Barrier(4)
        threads = [threading.Thread(target=open_it, args=(tmp_path / f"{k}.sqlite", gate)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not failed


def test_files_and_folders_are_for_their_owner_alone(tmp_path):
    before = os.umask(0)
    try:
        with Store(tmp_path / "a" / "b" / "x.sqlite", SCHEMA) as store:
            store.write("INSERT INTO t VALUES (?, ?)", [(1, "a")])
            made = sorted(tmp_path.rglob("*"))
            assert [p.name for p in made] == ["a", "b", "x.sqlite", "x.sqlite-shm", "x.sqlite-wal"]
            assert [p.stat().st_mode & 0o777 for p in made] == [0o700, 0o700, 0o600, 0o600, 0o600]
    finally:
        os.umask(before)
    shared = tmp_path / "shared"
    shared.mkdir(mode=0o755)
    Store(shared / "x.sqlite", SCHEMA).close()
    assert shared.stat().st_mode & 0o777 == 0o755, "a folder that was there stays as it is"
