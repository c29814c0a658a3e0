"""What can be billed is set aside before, what is billed is counted, and an endpoint that bills more stops the run."""

import json
import sqlite3
import threading

import numpy as np
import pytest

from karat.annotate import Endpoint, Question, label
from karat.annotate.answer_store import AnswerStore
from karat.annotate.protocol import most_tokens
from karat.errors import ArgumentError, BudgetError, CacheError, EndpointError

from .server import reply

QUESTION = Question("Is the letter for the tram?", classes=["yes", "no"])
TEXTS = [f"letter {i} p={0.1 + 0.8 * i / 19:.3f} end" for i in range(20)]
PRICE = (2.0, 10.0)


def point(server, **settings):
    return Endpoint(
        server.url, "m", **{"backoff": 0.01, "timeout": 5.0, "retries": 1, "concurrency": 4, "price": PRICE} | settings
    )


def states(folder):
    link = sqlite3.connect(folder / "answers.sqlite")
    return link.execute("SELECT state, cost, note, body FROM answers ORDER BY asked_at").fetchall()


# ---- the bound ----------------------------------------------------------------------------------------------


def test_all_that_is_billed_is_in_the_bound():
    body = {"messages": [{"role": "user", "content": "hello"}], "max_tokens": 8}
    plain = most_tokens(body)
    tools = most_tokens(body | {"tools": [{"x": "y" * 5000}], "response_format": {"s": "é" * 5000}})
    assert tools[0] >= plain[0] + 15000
    prompt, completion = most_tokens({"prompt": "hello", "max_tokens": 8})
    assert most_tokens({"prompt": "hello", "max_tokens": 8, "best_of": 20})[1] == 20 * completion
    assert most_tokens({"prompt": "hello", "max_tokens": 8, "best_of": 20})[0] >= 20 * prompt


@pytest.mark.parametrize(
    "parameters",
    [{"max_tokens": -1}, {"max_completion_tokens": 0}, {"best_of": 0}, {"max_tokens": True}, {"seed": {1, 2}}, [1]],
)
def test_parameters_that_are_refused(server, parameters):
    with pytest.raises(ArgumentError, match="parameters"):
        point(server, parameters=parameters)


def test_settings_of_another_type_are_refused(server):
    for setting in ({"timeout": None}, {"timeout": "3"}, {"price": (1, float("inf"))}, {"price": (float("nan"), 1)}):
        with pytest.raises(ArgumentError, match=next(iter(setting))):
            point(server, **setting)
    assert point(server, parameters={"seed": np.int64(3)}).parameters == {"seed": 3}


def test_a_bill_above_the_bound_stops_the_run(server, tmp_path):
    server.always = lambda body, text: reply(body, text, usage={"prompt_tokens": 6000, "completion_tokens": 3000})
    with pytest.raises(BudgetError, match="the bound does not hold for this endpoint"):
        label(TEXTS, QUESTION, point(server, concurrency=1), cache=tmp_path, budget=1.0)
    assert len(server.requests) == 1
    [(state, cost, _, body)] = states(tmp_path)
    assert (state, cost) == ("answered", 42_000 * 10**6)
    assert body, "what was paid for is kept"


@pytest.mark.parametrize("status", [408, 502, 504, 524])
def test_a_gateway_that_gave_up_may_have_been_billed(server, tmp_path, status):
    server.script = {0: (status, {}, "gateway timeout")}
    got = label(TEXTS[:1], QUESTION, point(server), cache=tmp_path)
    assert got.cost.uncertain == 1
    assert states(tmp_path)[0][1] > 10 * states(tmp_path)[1][1]


def test_panels_in_another_order_share_their_limit(server, tmp_path):
    label(TEXTS[:1], QUESTION, point(server), cache=tmp_path)
    server.delay = 0.01
    one, other = point(server, concurrency=1), Endpoint(server.url, "other", price=PRICE, concurrency=1)
    budget, stopped = 0.003, []

    def ask(models):
        try:
            label(TEXTS, QUESTION, models, cache=tmp_path, budget=budget)
        except BudgetError as error:
            stopped.append(error)

    threads = [threading.Thread(target=ask, args=(models,)) for models in ([one, other], [other, one])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(stopped) == 2
    total = sum(cost for _, cost, _, _ in states(tmp_path)) / 1e12
    assert 0.3 * budget < total <= budget


# ---- replies that lie ---------------------------------------------------------------------------------------

LIES = {
    "absurd count": lambda body, text: reply(body, text, usage={"prompt_tokens": 10**30, "completion_tokens": 1}),
    "long number": lambda body, text: json.dumps(reply(body, text)).replace('"usage"', '"x": 1' + "0" * 5000 + ', "u"'),
    "deep nesting": lambda body, text: "[" * 200_000,
    "half character": lambda body, text: '{"error": {"message": "cut \\ud83d"}}',
    "half character in a failure": lambda body, text: (500, {}, '{"error": {"message": "cut \\ud83d"}}'),
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
def test_a_lie_is_kept_and_asked_again(server, tmp_path, lie):
    server.script = {0: lie, 3: lie}
    got = label(TEXTS[:6], QUESTION, point(server), cache=tmp_path)
    assert got.labelled.all()
    kept = states(tmp_path)
    assert sum(bool(body) for *_, body in kept) == server.replies
    assert all(state in ("answered", "unreadable", "failed") for state, *_ in kept)


def test_an_answer_is_on_disk_before_it_is_looked_at(server, tmp_path, monkeypatch):
    seen = []

    def look(payload, asked):
        seen.extend(states(tmp_path))
        raise KeyboardInterrupt

    monkeypatch.setattr("karat.annotate.one_text.read_reply", look)
    with pytest.raises(KeyboardInterrupt):
        label(TEXTS[:1], QUESTION, point(server), cache=tmp_path)
    [(state, cost, _, body)] = seen
    assert state == "received"
    assert cost > 0
    assert "choices" in body
    monkeypatch.undo()
    assert label(TEXTS[:1], QUESTION, point(server), cache=tmp_path).labelled.all()
    assert len(server.requests) == 1, "what was received is used"


def test_what_the_file_cannot_hold_is_kept_beside_it(tmp_path):
    store = AnswerStore(tmp_path)
    ticket = store.reserve("k", "job", 10, None)
    with pytest.raises(CacheError, match="kept beside the cache"):
        store.settle(ticket, "answered", 10**40, body="paid")
    store.close()
    assert len(list(tmp_path.glob("*.spill"))) == 1


def test_a_reader_that_fails_in_a_way_nobody_foresaw(server, tmp_path, monkeypatch):
    def breaks(payload, asked):
        raise ZeroDivisionError

    monkeypatch.setattr("karat.annotate.one_text.read_reply", breaks)
    with pytest.raises(EndpointError, match="not what the protocol says"):
        label(TEXTS[:1], QUESTION, point(server), cache=tmp_path)
    assert {state for state, *_ in states(tmp_path)} == {"unreadable"}
