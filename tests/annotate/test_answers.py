"""Money set aside by several processes at once never adds up to more than the limit."""

import json
import multiprocessing
import os
import sqlite3

import pytest

from karat.annotate.answers import AnswerStore
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
