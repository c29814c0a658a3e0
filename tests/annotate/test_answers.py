"""Money set aside by several processes at once never adds up to more than the limit."""

import multiprocessing
import sqlite3

from karat.annotate.answers import AnswerStore


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
