"""Batches: nothing is handed in twice or paid twice, whatever breaks; answers are those of single requests."""

import multiprocessing
import os
import sqlite3
import threading

import numpy as np
import pandas as pd
import pytest

import karat as kt
from karat.annotate import Codebook, Endpoint, Question, Study, forecast, label, submit
from karat.annotate.answer_store import AnswerStore
from karat.annotate.batch_wire import BatchWire
from karat.errors import ArgumentError, BudgetError, CacheError, EndpointError

from .batch_server import BatchServer

QUESTION = Question("Is the letter for the tram?", classes=["yes", "no"])
TEXTS = [f"letter {i} p={0.1 + 0.8 * i / 19:.3f} end" for i in range(20)]


@pytest.fixture
def server():
    running = BatchServer()
    yield running
    running.close()


def point(server, **settings):
    given = {"backoff": 0.01, "timeout": 5.0, "retries": 2, "price": (2.0, 10.0), "concurrency": 2}
    return Endpoint(server.url, "m", **given | settings)


def ask(server, folder, **settings):
    return submit(TEXTS, QUESTION, point(server), cache=folder, **settings)


def states(folder):
    link = sqlite3.connect(folder / "answers.sqlite")
    return link.execute("SELECT state, cost FROM answers").fetchall()


@pytest.mark.parametrize("method", ["logprobs", "votes", "json"])
def test_labels_are_those_of_single_requests(server, tmp_path, method):
    single = label(TEXTS, QUESTION, point(server), method=method, cache=None)
    sent = len(server.requests)
    batch = ask(server, tmp_path, method=method, size=8)
    assert len(server.batches) == 3
    assert batch.state() == {"waiting": 20, "answered": 0, "open": 0}
    with pytest.raises(EndpointError, match="20 requests are still at the vendor"):
        batch.collect()
    server.work()
    got = batch.wait(every=0.01).collect()
    assert got.probabilities == pytest.approx(single.probabilities)
    assert len(server.requests) == sent, "nothing is asked directly"
    assert got.cost.amount == pytest.approx(single.cost.amount)
    assert batch.state() == {"waiting": 0, "answered": 20, "open": 0}
    assert sorted(server.asked) == sorted(TEXTS)


def test_the_same_call_again_hands_nothing_in_twice(server, tmp_path):
    ask(server, tmp_path)
    ask(server, tmp_path)
    ask(server, tmp_path, method="votes", votes=3)  # other requests
    assert len(server.batches) == 2
    server.work()
    ask(server, tmp_path).collect()
    ask(server, tmp_path)
    assert len(server.batches) == 2


def test_labels_are_not_asked_directly_while_they_wait(server, tmp_path):
    batch = ask(server, tmp_path)
    with pytest.raises(EndpointError, match="20 requests to these models are with a vendor"):
        label(TEXTS, QUESTION, point(server), cache=tmp_path)
    assert not server.requests
    server.work()
    batch.collect()
    label(TEXTS, QUESTION, point(server), cache=tmp_path)
    assert not server.requests


@pytest.mark.parametrize("step", ["upload", "create", "list", "look", "content"])
@pytest.mark.parametrize("fault", ["before", "after", (503, {}, "busy"), (429, {"retry-after": "0"}, "slow")], ids=str)
def test_faults_that_pass(server, tmp_path, step, fault):
    server.faults = {step: [fault]}
    batch = ask(server, tmp_path)
    server.work()
    got = batch.wait(every=0.01).collect()
    assert got.labelled.all()
    assert len(server.batches) == 1
    assert sum(cost for _, cost in states(tmp_path)) == 20 * (50 * 2 + 10) * 10**6


@pytest.mark.parametrize("fault", ["before", "after"])
def test_a_vendor_that_stays_silent(server, tmp_path, fault):
    """Handed in or not: the next call finds out."""
    server.faults = {"create": [fault], "list": [(500, {}, "down")] * 3}
    with pytest.raises(EndpointError, match="GET /batches fails"):
        ask(server, tmp_path)
    assert len(server.batches) == (fault == "after")
    ask(server, tmp_path)
    assert len(server.batches) == 1
    server.work()
    assert ask(server, tmp_path).collect().labelled.all()


@pytest.mark.parametrize(
    ("where", "made"),
    [("upload", 0), ("create", 0), ("create-after", 1), ("note_batch", 1), ("lines", 1), ("settle", 1), ("done", 1)],
)
def test_a_kill_at_any_moment_costs_nothing_twice(server, tmp_path, monkeypatch, where, made):
    """A process that dies, in place of which the next call finds what there is."""

    class Killed(BaseException):
        pass

    def dies(*_, **__):
        raise Killed

    real = {name: getattr(AnswerStore, name) for name in ("note_batch", "settle")}
    create, calls = BatchWire.create, []

    def create_and_die(self, *arguments):
        create(self, *arguments)
        raise Killed

    def settle_some(self, *arguments, **named):
        calls.append(1)
        if len(calls) == 7:
            raise Killed
        return real["settle"](self, *arguments, **named)

    def note_and_die(self, mark, remote, done=False):
        if done:
            raise Killed
        return real["note_batch"](self, mark, remote, done)

    places = {
        "upload": (BatchWire, "_upload", dies),
        "create": (BatchWire, "create", dies),
        "create-after": (BatchWire, "create", create_and_die),
        "note_batch": (AnswerStore, "note_batch", dies),
        "lines": (BatchWire, "lines", dies),
        "settle": (AnswerStore, "settle", settle_some),
        "done": (AnswerStore, "note_batch", note_and_die),
    }
    monkeypatch.setattr(*places[where])

    def hand_in_and_look():
        batch = ask(server, tmp_path)
        server.work()
        batch.state()

    with pytest.raises(Killed):
        hand_in_and_look()
    monkeypatch.undo()
    assert len(server.batches) == made
    batch = ask(server, tmp_path)
    server.work()
    assert batch.wait(every=0.01).collect().labelled.all()
    assert len(server.batches) == 1
    assert not server.requests
    assert sum(cost for _, cost in states(tmp_path)) == 20 * (50 * 2 + 10) * 10**6


def _hand_in_and_die(url, folder):
    create = BatchWire.create

    def dies(self, *arguments):
        create(self, *arguments)
        os._exit(9)

    BatchWire.create = dies
    submit(TEXTS, QUESTION, Endpoint(url, "m", price=(2.0, 10.0)), cache=folder)


def test_a_process_that_is_killed_right_after_the_vendor_has_said_yes(server, tmp_path):
    child = multiprocessing.get_context("spawn").Process(target=_hand_in_and_die, args=(server.url, tmp_path))
    child.start()
    child.join(60)
    assert child.exitcode == 9
    assert len(server.batches) == 1
    batch = ask(server, tmp_path)
    assert len(server.batches) == 1
    server.work()
    assert batch.collect().labelled.all()


def test_two_at_once_hand_in_once(server, tmp_path):
    threads = [threading.Thread(target=ask, args=(server, tmp_path)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(server.batches) == 1


def test_a_disk_that_fills_up_while_answers_come(server, tmp_path, monkeypatch):
    batch = ask(server, tmp_path)
    server.work()
    write, calls = AnswerStore._write, []

    def full(self, record):
        calls.append(1)
        if 5 < len(calls) < 9:
            raise CacheError("cache: the disk is full.")
        return write(self, record)

    monkeypatch.setattr(AnswerStore, "_write", full)
    with pytest.raises(CacheError, match="disk is full"):
        batch.state()
    monkeypatch.undo()
    got = ask(server, tmp_path).collect()
    assert got.labelled.all()
    assert not server.requests
    assert sum(cost for _, cost in states(tmp_path)) == 20 * (50 * 2 + 10) * 10**6


@pytest.mark.parametrize("status", ["expired", "cancelled", "failed"])
def test_what_a_vendor_leaves_out_costs_nothing_and_is_asked_again(server, tmp_path, status):
    batch = ask(server, tmp_path)
    server.work(status, leave_out=["letter 3 ", "letter 11 "])
    assert batch.state() == {"waiting": 0, "answered": 18, "open": 2}
    again = ask(server, tmp_path)
    assert len(server.batches) == 2
    assert sorted(server.asked[20:]) == [TEXTS[11], TEXTS[3]]
    server.work()
    assert again.collect().labelled.all()
    assert not server.requests
    failed = [cost for state, cost in states(tmp_path) if state == "failed"]
    assert failed == [0, 0]


def test_single_answers_that_fail_are_asked_directly(server, tmp_path):
    fine = server.answer
    server.answer = lambda line: (
        {"status_code": 500, "body": {"error": "x"}} if "letter 4 " in str(line) else fine(line)
    )
    batch = ask(server, tmp_path)
    server.work()
    assert batch.collect().labelled.all()
    assert server.texts == [TEXTS[4]]


def test_lines_that_are_none_and_answers_of_others_are_left_out(server, tmp_path):
    batch = ask(server, tmp_path)
    server.work()
    out = server.batches["batch_0"]["output_file_id"]
    first = server.files[out].splitlines()[0]
    server.files[out] = 'x\n[]\n{"custom_id": "other", "response": {}}\n' + first + "\n" + server.files[out]
    assert batch.collect().labelled.all()
    assert sum(cost for _, cost in states(tmp_path)) == 20 * (50 * 2 + 10) * 10**6


def test_the_budget_covers_what_is_handed_in(server, tmp_path):
    most = forecast(TEXTS, QUESTION, point(server), method="logprobs", cache=None).most
    with pytest.raises(BudgetError, match="does not pay for the next batch of 20 requests"):
        ask(server, tmp_path, budget=0.9 * most)
    assert not server.files
    assert not states(tmp_path), "nothing is set aside for what was not handed in"
    with pytest.raises(BudgetError, match="batch of 5 requests"):
        ask(server, tmp_path, budget=0.9 * most, size=5)
    assert len(server.batches) == 3
    server.work()
    with pytest.raises(BudgetError):  # what is waiting is not looked after here
        ask(server, tmp_path, budget=0.9 * most, size=5)
    batch = ask(server, tmp_path, budget=2 * most, size=5)
    server.work()
    assert batch.collect().labelled.all()


def test_vendors_without_batches(server, tmp_path):
    plain = kt.annotate.Endpoint(server.url.replace("/v1", "/none"), "m", retries=0)
    server.faults = {"upload": [(404, {}, "no such thing")]}
    with pytest.raises(EndpointError, match="one by one"):
        submit(TEXTS, QUESTION, plain, cache=tmp_path)


def test_what_is_refused(server, tmp_path):
    with pytest.raises(ArgumentError, match="cache=None would forget"):
        submit(TEXTS, QUESTION, point(server), cache=None)
    with pytest.raises(ArgumentError, match="method='auto'"):
        submit(TEXTS, QUESTION, point(server), cache=tmp_path, method="auto")
    with pytest.raises(ArgumentError, match="batches are for an Endpoint"):
        submit(TEXTS, QUESTION, "m", cache=tmp_path)
    ask(server, tmp_path)
    with sqlite3.connect(tmp_path / "answers.sqlite") as link:
        link.execute("UPDATE batches SET remote = NULL, state = 'made'")
    server.batches.clear()
    with pytest.raises(ArgumentError, match="data lacks 1 texts of a batch"):
        submit(TEXTS[1:], QUESTION, point(server), cache=tmp_path)


def test_keys_go_to_the_vendor_and_nowhere_else(server, tmp_path, monkeypatch):
    monkeypatch.setenv("K1", "sk-SECRET1")
    server.faults = {"create": [(400, {}, "bad key sk-SECRET1")]}
    with pytest.raises(EndpointError, match=r"\*\*\*") as caught:
        submit(TEXTS, QUESTION, point(server, key_env="K1"), cache=tmp_path)
    assert "SECRET1" not in str(caught.value)
    assert not any("SECRET1" in content for content in server.files.values())
    assert b"SECRET1" not in b"".join(p.read_bytes() for p in tmp_path.iterdir())


def test_marks_are_found_on_later_pages(server, tmp_path):
    for i in range(230):
        server.create({"metadata": {"karat": f"other {i}"}, "input_file_id": "x"})
    wire = BatchWire(point(server), "")
    assert wire.find("other 3").name == "batch_3"
    assert wire.find("none") is None
    wire.close()


def test_a_study_in_batches(server, tmp_path):
    corpus = pd.DataFrame({"id": range(20), "text": TEXTS, "support": ["yes", "no"] * 10})
    book = Codebook("support", "Is the letter for the tram?", {"yes": "For it.", "no": "Not."})
    study = Study(book, kt.SimpleRandom(n=10).draw(corpus[["id"]], seed=1, id="id"), budget=1.0, cache=tmp_path)
    study = study.lock(book.ask(), point(server), method="logprobs")
    about = study.forecast(corpus, text="text")
    assert (about.requests, about.cached) == (20, 0)
    cheap = point(server, price=(1.0, 5.0))
    batch = study.submit(corpus, text="text", model=cheap)
    server.work()
    labels = batch.wait(every=0.01).collect()
    study.check(labels)
    assert labels.cost.amount == pytest.approx(20 * (50 + 5) / 1e6)
    assert study.archive(tmp_path / "study.zip", labels, corpus, text="text").exists()
    assert kt.annotate.verify(tmp_path / "study.zip", corpus, text="text").ok


# ---- forecasts ----------------------------------------------------------------------------------------------


def test_a_forecast_bounds_and_then_meets_the_bill(server, tmp_path):
    before = forecast(TEXTS, QUESTION, point(server), cache=tmp_path)
    assert not server.requests
    assert (before.texts, before.cached, before.requests, before.measured) == (20, 0, 20, False)
    label(TEXTS[:5], QUESTION, point(server), cache=tmp_path)
    after = forecast(TEXTS, QUESTION, point(server), cache=tmp_path)
    assert (after.cached, after.requests, after.measured) == (5, 15, True)
    assert (after.prompt_tokens, after.completion_tokens) == (15 * 50, 15)
    got = label(TEXTS, QUESTION, point(server), cache=tmp_path)
    assert got.cost.amount - after.spent == pytest.approx(after.amount)
    assert got.cost.amount < before.most
    assert before.amount < before.most


def test_rate_limits_are_time(server):
    slow = point(server, requests_per_minute=10)
    assert forecast(TEXTS, QUESTION, slow, cache=None).minutes == 2
    both = forecast(TEXTS, [QUESTION, Question("Else?", classes=["a", "b"], name="b")], slow, cache=None)
    assert [f.requests for f in both] == [20, 20]
    tokens = forecast(TEXTS, QUESTION, point(server, tokens_per_minute=1000), cache=None)
    assert tokens.minutes > 5
    assert "minutes or more" in str(tokens)


def test_rate_limits_are_kept(server):
    fast = label(TEXTS[:4], QUESTION, point(server, requests_per_minute=600), cache=None)
    times = np.diff([r["time"] for r in server.requests])
    assert fast.labelled.all()
    assert times.min() > 0.09
