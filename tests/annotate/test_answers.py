"""Money set aside by several processes at once never adds up to more than the limit."""

import json
import multiprocessing
import os
import sqlite3

import pytest

from karat.annotate import answer_store
from karat.annotate.answer_store import AnswerStore
from karat.errors import CacheError, KaratWarning


def _spend(folder, name):
    store = AnswerStore(folder)
    for i in range(60):
        ticket = store.reserve(f"{name}-{i}", "job", 7, 500)
        if ticket is not None and i % 2:
            store.settle(ticket, "answered", 5, body="{}")
    store.close()


def test_processes_share_one_limit(tmp_path):
    AnswerStore(tmp_path).close()
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_spend, args=(tmp_path, name)) for name in "abc"]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    store = AnswerStore(tmp_path)
    spent = store.spent(["job"])
    [(total,)] = sqlite3.connect(tmp_path / "answers.sqlite").execute("SELECT SUM(cost) FROM answers")
    assert total == spent
    assert 500 - 7 < spent <= 500
    assert store.reserve("more", "job", 500 - spent + 1, 500) is None
    assert store.spent(["other"]) == 0
    store.close()


def test_a_ticket_is_settled_once(tmp_path):
    store = AnswerStore(tmp_path)
    ticket = store.reserve("k", "job", 10, None)
    store.settle(ticket, "answered", 4, (3, 1), body="first")
    store.settle(ticket, "answered", 4, (3, 1), body="second")
    assert store.get("k") == "first"
    assert store.spent(["job"]) == 4
    store.close()
    assert not list(tmp_path.glob("*.spill"))


def test_a_line_cut_off_is_kept_aside_and_the_others_are_taken_in(tmp_path):
    store = AnswerStore(tmp_path)
    ticket = store.reserve("k", "job", 10, None)
    store.close()
    good = json.dumps(["k", ticket.attempt, "job", "answered", 4, 3, 1, 0.0, "", "paid", 10]).encode()
    content = good + b'\n["k2", 0, "job", "answered", 5, 1'
    (tmp_path / "spare-abc.spill").write_bytes(content + bytes(100))
    with pytest.warns(KaratWarning, match="1 answers of an earlier call were cut off"):
        store = AnswerStore(tmp_path)
    assert store.get("k") == "paid"
    store.close()
    AnswerStore(tmp_path).close()
    assert (tmp_path / "spare-abc.damaged").read_bytes().startswith(content)
    assert not list(tmp_path.glob("*.spill"))


def test_a_spare_file_that_is_being_made_is_left_alone(tmp_path):
    """It is empty, and not locked, for a moment; an old one was left by a kill."""
    young, old = tmp_path / "spare-a.spill", tmp_path / "spare-b.spill"
    young.touch()
    old.touch()
    os.utime(old, (0, 0))
    AnswerStore(tmp_path)
    assert young.exists()
    assert not old.exists()


def test_the_spare_file_of_a_living_process_is_left_to_it(tmp_path, monkeypatch):
    def full(record):
        raise CacheError("the disk is full")

    store = AnswerStore(tmp_path)
    tickets = [store.reserve(f"k{i}", "job", 5, None) for i in range(2)]
    monkeypatch.setattr(store, "_write", full)
    for i, ticket in enumerate(tickets):
        with pytest.raises(CacheError, match="kept beside"):
            store.settle(ticket, "answered", 5, body=f"paid {i}")
        os.utime(store._spill, (0, 0))
        AnswerStore(tmp_path).close()
        assert store._spill.exists()
    store.close()
    last = AnswerStore(tmp_path)
    assert [last.get(f"k{i}") for i in range(2)] == ["paid 0", "paid 1"]
    last.close()
    assert not list(tmp_path.glob("*.spill"))


def test_claims_end_with_their_owner(tmp_path):
    one, other = AnswerStore(tmp_path), AnswerStore(tmp_path)
    assert one.claim("k")
    assert not other.claim("k")
    assert other.claim("k2")
    one.release("k")
    assert other.claim("k")
    assert one.claim("k3")
    one.close()
    assert other.claim("k3"), "whoever claimed it is gone"
    other.close()


def full(record):
    raise CacheError("the disk is full")


def settled_while_full(folder, monkeypatch, n=3):
    """A store that was closed before there was room for the answers to n requests."""
    store = AnswerStore(folder)
    tickets = [store.reserve(f"k{i}", "job", 5, None) for i in range(n)]
    monkeypatch.setattr(store, "_write", full)
    for i, ticket in enumerate(tickets):
        with pytest.raises(CacheError, match="joins the cache when there is room"):
            store.settle(ticket, "answered", 4, body=f"paid {i}")
    return store


def test_answers_are_used_while_the_disk_is_still_full(tmp_path, monkeypatch):
    settled_while_full(tmp_path, monkeypatch).close()
    with monkeypatch.context() as patch:
        patch.setattr(AnswerStore, "_write", lambda self, record: full(record))
        with pytest.warns(KaratWarning, match="no room yet for 3 answers of an earlier call"):
            again = AnswerStore(tmp_path)
        assert [again.all(f"k{i}") for i in range(3)] == [["paid 0"], ["paid 1"], ["paid 2"]]
        again.close()
    last = AnswerStore(tmp_path)
    assert [last.get(f"k{i}") for i in range(3)] == ["paid 0", "paid 1", "paid 2"]
    assert last.spent(["job"]) == 12
    last.close()
    assert not list(tmp_path.glob("spare-*"))


def test_answers_in_memory_join_when_there_is_room_again(tmp_path, monkeypatch):
    monkeypatch.setattr(answer_store, "_SPILL", 100)
    store = settled_while_full(tmp_path, monkeypatch)
    assert store.get("k2") == "paid 2", "used from memory"
    monkeypatch.undo()
    store.close()
    assert AnswerStore(tmp_path).get("k2") == "paid 2"


def test_answers_for_which_there_is_no_room_at_all_go_elsewhere(tmp_path, monkeypatch):
    monkeypatch.setattr(answer_store, "_SPILL", 100)
    monkeypatch.setattr(answer_store.tempfile, "tempdir", str(tmp_path))
    store = settled_while_full(tmp_path / "a", monkeypatch)
    with pytest.raises(CacheError, match=r"no room for 2 answers that were paid for; they are in .*spare-.*\.spill"):
        store.close()
    [kept] = tmp_path.glob("spare-*.spill")
    assert kept.stat().st_mode & 0o777 == 0o600
    (tmp_path / "b").mkdir()
    kept.rename(tmp_path / "b" / kept.name)
    other = AnswerStore(tmp_path / "b")
    assert (other.get("k2"), other.spent(["job"])) == ("paid 2", 8), "also in a cache that does not know the request"
    other.close()
    store = settled_while_full(tmp_path / "c", monkeypatch)
    monkeypatch.setattr(answer_store.tempfile, "mkstemp", lambda **named: open(tmp_path / "none" / "x"))  # noqa: SIM115
    with pytest.raises(CacheError, match="in the attribute 'answers'") as caught:
        store.close()
    assert caught.value.answers == [("k1", "paid 1"), ("k2", "paid 2")]


def test_a_cache_belongs_to_its_owner(tmp_path):
    store = AnswerStore(tmp_path / "deep" / "cache")
    store.reserve("k", "job", 5, None)
    modes = {path.name.split("-")[0]: path.stat().st_mode & 0o777 for path in (tmp_path / "deep" / "cache").iterdir()}
    assert len(list((tmp_path / "deep" / "cache").iterdir())) == 4, "with the log and the index of sqlite"
    assert set(modes.values()) == {0o600}
    for folder in (tmp_path / "deep", tmp_path / "deep" / "cache"):
        assert folder.stat().st_mode & 0o777 == 0o700
    store.close()
