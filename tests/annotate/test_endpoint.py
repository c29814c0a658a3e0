"""Labels over HTTP: right distributions, and nothing paid for is lost whatever the endpoint does."""

import inspect
import json
import math
import os
import re
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest

import karat as kt
from karat.annotate import Endpoint, Question, label
from karat.annotate.answer_store import AnswerStore
from karat.annotate.protocol import most_tokens
from karat.errors import ArgumentError, BudgetError, CacheError, DataError, EndpointError, KaratWarning

from .server import place, reply

QUESTION = Question("Is the letter for the tram?", classes=["yes", "no"])
TEXTS = [f"letter {i} p={0.1 + 0.8 * i / 19:.3f} end" for i in range(20)]
TRUTH = np.array([0.1 + 0.8 * i / 19 for i in range(20)]).round(3)


def point(server, **settings):
    return Endpoint(server.url, "m", **{"backoff": 0.01, "timeout": 5.0, "retries": 3, "concurrency": 4} | settings)


def expected(p):
    """What the server's token chances say, the classes added up."""
    yes, no = 0.6 * p + 0.4 * p * 0.9, (1 - p) * 0.9
    return yes / (yes + no)


# ---- distributions ------------------------------------------------------------------------------------------


def test_log_probabilities_become_distributions(server, tmp_path):
    got = label(TEXTS, QUESTION, point(server), cache=tmp_path)
    np.testing.assert_allclose(got.probabilities[:, 0], expected(TRUTH), atol=1e-9)
    np.testing.assert_allclose(got.probabilities.sum(1), 1)
    assert set(got.method) == {"logprobs"}
    assert got.label[0] == "no"
    assert got.label[-1] == "yes"
    assert len(server.requests) == 20
    body = server.requests[0]["body"]
    assert body["logprobs"] is True
    assert body["top_logprobs"] == 20
    assert server.requests[0]["key"] is None
    assert server.most_flying <= 4


def test_completions(server):
    got = label(TEXTS[:5], QUESTION, point(server, api="completions"), cache=None)
    np.testing.assert_allclose(got.probabilities[:, 0], expected(TRUTH[:5]), atol=1e-9)
    assert server.requests[0]["body"]["logprobs"] == 20
    assert server.requests[0]["body"]["prompt"].endswith("Answer:")


def test_votes_and_json(server):
    votes = label(TEXTS, QUESTION, point(server), method="votes", votes=10, cache=None)
    assert abs(votes.probabilities[:, 0] - TRUTH).max() <= 0.051
    assert server.requests[0]["body"]["n"] == 10
    stated = label(TEXTS, QUESTION, point(server), method="json", cache=None)
    np.testing.assert_allclose(stated.probabilities[:, 0], TRUTH, atol=1e-9)


def test_one_request_finds_out_that_there_are_no_log_probabilities(server, tmp_path):
    def without(body, text):
        answer = reply(body, text)
        for choice in answer["choices"]:
            choice["logprobs"] = None
        return answer

    server.always = without
    with pytest.warns(KaratWarning, match=r"no log-probabilities \(its replies hold none\)"):
        got = label(TEXTS, QUESTION, point(server), cache=tmp_path)
    assert set(got.method) == {"votes"}
    assert len(server.requests) == 21, "the first text is asked twice, the others once"
    before = len(server.requests)
    with pytest.warns(KaratWarning, match="no log-probabilities"):
        again = label(TEXTS, QUESTION, point(server), cache=tmp_path)
    assert len(server.requests) == before
    np.testing.assert_array_equal(again.probabilities, got.probabilities)
    with pytest.raises(EndpointError, match="no log-probabilities; use method='votes'"):
        label(TEXTS[:2], QUESTION, point(server), method="logprobs", cache=None)


def test_a_server_that_refuses_log_probabilities(server):
    def refuses(body, text):
        return (400, {}, '{"error": {"message": "logprobs are not supported"}}') if "logprobs" in body else None

    server.always = refuses
    with pytest.warns(KaratWarning, match="logprobs are not supported"):
        got = label(TEXTS[:4], QUESTION, point(server), cache=None)
    assert set(got.method) == {"votes"}


def test_a_server_that_gives_one_choice_at_a_time(server):
    server.always = lambda body, text: reply(body | {"n": 1}, text)
    got = label(TEXTS[:2], QUESTION, point(server), method="votes", votes=3, cache=None)
    assert len(server.requests) == 6
    assert got.labelled.all()


def test_numbers_on_a_scale(server):
    chances = {"1": 0.2, "2": 0.3, "10": 0.5}
    server.always = lambda body, text: reply(body, text, choices=["10"], places=[place(chances)])
    got = label(["a"], Question("How good?", scale=(1, 10)), point(server), cache=None)
    assert got.classes == tuple(range(1, 11))
    assert got.rating[0] == pytest.approx(0.2 * 1 + 0.3 * 2 + 0.5 * 10)
    assert got.rating_sd[0] == pytest.approx(math.sqrt(0.2 + 0.3 * 4 + 50 - got.rating[0] ** 2))
    assert got.surrogate == "llm_rating"
    assert got.frame()["llm_rating"][0] == got.rating[0]


# ---- faults -------------------------------------------------------------------------------------------------

BUSY = (429, {}, '{"error": {"message": "slow down"}}')
FAULTS = {
    "429": BUSY,
    "429 with Retry-After": (429, {"Retry-After": "0.2"}, "{}"),
    "429 with a date": (429, {"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}, "{}"),
    "500": (500, {}, "oops"),
    "503": (503, {}, ""),
    "timeout": "hang",
    "reset": "reset",
    "cut short": "cut",
    "malformed JSON": '{"choices": [',
    "not an object": "[1, 2]",
    "no choices": '{"choices": []}',
    "no text": {"choices": [{"message": {"content": None}}], "model": "m"},
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_errors_that_pass(server, tmp_path, fault):
    server.script = {0: fault, 3: fault, 4: fault}
    got = label(TEXTS[:8], QUESTION, point(server, timeout=0.3, concurrency=2), cache=tmp_path)
    np.testing.assert_allclose(got.probabilities[:, 0], expected(TRUTH[:8]), atol=1e-9)
    assert len(server.requests) == 11
    before = len(server.requests)
    label(TEXTS[:8], QUESTION, point(server), cache=tmp_path)
    assert len(server.requests) == before, "every answer is in the cache"


def test_retry_after_is_honoured_by_all(server):
    server.script = {1: (429, {"Retry-After": "0.4"}, "{}")}
    label(TEXTS[:6], QUESTION, point(server, concurrency=1), cache=None)
    times = [r["time"] for r in server.requests]
    assert times[2] - times[1] >= 0.39
    server.script = {len(server.requests): (429, {"Retry-After": "900"}, "{}")}
    with pytest.raises(EndpointError, match="asks to wait 900 s"):
        label(["another p=0.3 text"], QUESTION, point(server), cache=None)


def test_nobody_asks_while_the_endpoint_wants_a_pause(server):
    server.delay = 0.06
    server.script = {4: (429, {"Retry-After": "0.5"}, "{}")}
    label(TEXTS, QUESTION, point(server, concurrency=3), cache=None)
    times = np.array([r["time"] for r in server.requests]) - server.requests[4]["time"]
    assert len(times) == 21
    assert not ((times > 0.2) & (times < 0.48)).any()


def test_waits_grow(server):
    server.script = dict.fromkeys(range(3), BUSY)
    label(TEXTS[:1], QUESTION, point(server, backoff=0.1), cache=None)
    gaps = np.diff([r["time"] for r in server.requests])
    assert (gaps >= [0.05, 0.1, 0.2]).all()


def test_an_endpoint_that_stays_away(server, tmp_path):
    server.script = dict.fromkeys(range(5, 100), (500, {}, "oops"))
    with pytest.raises(EndpointError, match=r"gives no answer: HTTP 500: oops \(after 4 tries\)"):
        label(TEXTS, QUESTION, point(server, concurrency=1), cache=tmp_path)
    assert server.replies == 5
    server.script = {}
    before = len(server.requests)
    got = label(TEXTS, QUESTION, point(server), cache=tmp_path)
    assert got.labelled.all()
    assert len(server.requests) == before + 15, "only the rest is asked"
    nobody = Endpoint("http://127.0.0.1:9/v1", "m", backoff=0.01, retries=1)
    with pytest.raises(EndpointError, match="gives no answer"):
        label(["a"], QUESTION, nobody, cache=None)


def test_refusals_stop_at_once(server):
    server.always = (401, {}, '{"error": {"message": "bad key"}}')
    with pytest.raises(EndpointError, match="HTTP 401: bad key"):
        label(TEXTS, QUESTION, point(server), cache=None)
    assert len(server.requests) == 1
    server.always = (429, {}, '{"error": {"code": "insufficient_quota", "message": "pay"}}')
    with pytest.raises(EndpointError, match="pay"):
        label(TEXTS, QUESTION, point(server), cache=None)
    assert len(server.requests) == 2


def test_texts_that_cannot_be_labelled(server, tmp_path):
    def fussy(body, text):
        return (400, {}, '{"error": {"message": "too long"}}') if "letter 3 " in text else None

    server.always = fussy
    with pytest.raises(EndpointError, match=r"1 of 20 texts have no label.*too long"):
        label(TEXTS, QUESTION, point(server), cache=tmp_path)
    assert server.replies == 19
    with pytest.warns(KaratWarning, match="1 of 20"):
        got = label(TEXTS, QUESTION, point(server), cache=tmp_path, failures="keep")
    assert server.replies == 19, "the others come from the cache"
    assert np.isnan(got.probabilities[3]).all()
    assert got.label[3] is None
    assert "too long" in got.status[3]
    assert got.labelled.sum() == 19


LIES = {
    "classes that do not exist": (dict(choices=["maybe"] * 5), "votes", "'maybe' is none of the labels"),
    "classes without probability": (
        dict(places=[place({"maybe": 0.9, "perhaps": 0.1})]),
        "logprobs",
        "probability 0.00",
    ),
    "too many choices": (dict(choices=["yes"] * 7), "votes", "7 choices where 5 were asked"),
    "a positive log-probability": (
        dict(places=[{"token": "yes", "logprob": 2.0, "top_logprobs": []}]),
        "logprobs",
        "log-probability 2.0, which cannot be",
    ),
    "probabilities above one": (dict(places=[place({"yes": 0.8, "no": 0.8})]), "logprobs", "add up to 1.600"),
    "JSON with other classes": (dict(choices=['{"left": 0.5, "right": 0.5}']), "json", "names 'left'"),
    "JSON that adds up to 3": (dict(choices=['{"yes": 2, "no": 1}']), "json", "not probabilities"),
}


@pytest.mark.parametrize(("changes", "method", "match"), LIES.values(), ids=LIES)
def test_lies(server, tmp_path, changes, method, match):
    server.always = lambda body, text: reply(body, text, **changes)
    with pytest.raises(EndpointError, match=match):
        label(TEXTS[:2], QUESTION, point(server, retries=1), method=method, cache=tmp_path)
    kept = sqlite3.connect(tmp_path / "answers.sqlite").execute("SELECT count(*) FROM answers WHERE body != ''")
    assert kept.fetchone()[0] == server.replies, "what was paid for is kept, also when it is of no use"


def test_a_log_probability_that_is_not_a_number(server):
    def nan(body, text):
        return json.dumps(reply(body, text)).replace(str(math.log(0.01)), "NaN")

    server.always = nan
    got = label(TEXTS[:1], QUESTION, point(server, retries=1), cache=None)
    np.testing.assert_allclose(got.probabilities[0, 0], expected(TRUTH[0]), err_msg="the others are good")
    assert len(server.requests) == 1


def test_another_model_than_asked(server, tmp_path):
    server.always = lambda body, text: reply(body, text, model="m-small-2024")
    with pytest.raises(EndpointError, match="asked for the model 'm' and answers as 'm-small-2024'"):
        label(TEXTS, QUESTION, point(server), cache=tmp_path)
    assert len(server.requests) == 1
    got = label(TEXTS, QUESTION, point(server, serves="m-small-2024"), cache=tmp_path)
    assert len(server.requests) == 20, "the answer that was paid for is used"
    assert got.provenance["models_reported"] == ["m-small-2024"]


# ---- money --------------------------------------------------------------------------------------------------

PRICE = (2.0, 10.0)
ONE = (50 * 2.0 + 1 * 10.0) / 1e6


def bound(text):
    body = {"model": "m", "max_tokens": 16, "messages": QUESTION.messages(text), "temperature": 0}
    prompt, completion = most_tokens(body | {"logprobs": True, "top_logprobs": 20})
    return (prompt * 2.0 + completion * 10.0) / 1e6


def test_cost_is_counted(server, tmp_path):
    server.script = {2: (500, {}, "")}
    got = label(TEXTS, QUESTION, point(server, price=PRICE), cache=tmp_path)
    assert got.cost.amount == pytest.approx(20 * ONE)
    assert (got.cost.requests, got.cost.sent, got.cost.cached) == (21, 21, 0)
    assert (got.cost.prompt_tokens, got.cost.completion_tokens) == (1000, 20)
    again = label(TEXTS, QUESTION, point(server, price=PRICE), cache=tmp_path)
    assert (again.cost.sent, again.cost.cached) == (0, 20)
    assert again.cost.amount == got.cost.amount
    assert "0.0022 USD" in str(got.cost)


@pytest.mark.parametrize("concurrency", [1, 8])
def test_a_budget_is_never_exceeded_and_resuming_asks_only_for_the_rest(server, tmp_path, concurrency):
    server.delay = 0.01
    budget = 7 * ONE + bound(TEXTS[0]) + 1e-12
    with pytest.raises(BudgetError, match="raise budget= and call again"):
        label(TEXTS, QUESTION, point(server, price=PRICE, concurrency=concurrency), cache=tmp_path, budget=budget)
    done = len(server.requests)
    assert done * ONE <= budget
    assert done in (7, 8, 9)
    got = label(TEXTS, QUESTION, point(server, price=PRICE), cache=tmp_path, budget=1.0)
    assert len(server.requests) == 20
    assert got.cost.amount == pytest.approx(20 * ONE)
    with pytest.raises(BudgetError):
        label([*TEXTS, "one more p=0.2 text"], QUESTION, point(server, price=PRICE), cache=tmp_path, budget=20 * ONE)
    assert len(server.requests) == 20, "what was spent before counts"


def test_requests_of_unknown_outcome_count_in_full(server, tmp_path):
    server.script = {0: "reset"}
    got = label(TEXTS[:1], QUESTION, point(server, price=PRICE), cache=tmp_path)
    assert got.cost.uncertain == 1
    assert got.cost.amount == pytest.approx(ONE + bound(TEXTS[0]))


def test_budgets_that_are_refused(server):
    with pytest.raises(ArgumentError, match="needs prices"):
        label(TEXTS, QUESTION, point(server), budget=1.0, cache=None)
    with pytest.raises(ArgumentError, match="budget=-1"):
        label(TEXTS, QUESTION, point(server, price=PRICE), budget=-1, cache=None)
    with pytest.raises(BudgetError):
        label(TEXTS, QUESTION, point(server, price=PRICE), budget=0, cache=None)
    assert not server.requests


def test_rate_limits(server):
    start = time.monotonic()
    label(TEXTS[:6], QUESTION, point(server, requests_per_minute=60 / 0.05), cache=None)
    assert time.monotonic() - start >= 0.25
    gaps = np.diff(sorted(r["time"] for r in server.requests))
    assert gaps.min() > 0.02


# ---- nothing paid for is lost -------------------------------------------------------------------------------


def test_killed_in_the_middle(server, tmp_path):
    """A process is killed outright; what it had received is there, and only the rest is asked."""
    server.delay = 0.03
    code = f"""
        from karat.annotate import Endpoint, Question, label
        question = Question("Is the letter for the tram?", classes=["yes", "no"])
        label({TEXTS!r}, question, Endpoint({server.url!r}, "m", concurrency=2), cache={str(tmp_path)!r})
    """
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)])
    deadline = time.monotonic() + 30
    while server.replies < 6 and time.monotonic() < deadline:
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    time.sleep(0.1)
    asked = len(server.requests)
    assert 6 <= asked < 20
    kept = sqlite3.connect(tmp_path / "answers.sqlite").execute("SELECT count(*) FROM answers WHERE state = 'answered'")
    [(kept,)] = kept
    assert kept >= asked - 2, "at most what was in flight is missing"
    got = label(TEXTS, QUESTION, point(server), cache=tmp_path)
    assert len(server.requests) == asked + 20 - kept
    assert got.labelled.all()


def test_an_answer_is_kept_before_the_next_request_goes_out(server, tmp_path):
    def look(body, text):
        path = tmp_path / "answers.sqlite"
        [(n,)] = sqlite3.connect(path).execute("SELECT count(*) FROM answers WHERE state = 'answered'")
        seen.append(n)

    seen = []
    server.always = look
    label(TEXTS, QUESTION, point(server, concurrency=1), cache=tmp_path)
    assert seen == list(range(20))


def test_the_disk_fills_up_while_requests_are_under_way(server, tmp_path, monkeypatch):
    """The file may not grow any more (sqlite's own limit): the answer is kept beside it and joins later."""
    original = AnswerStore.settle

    def padded(body, text):
        return json.dumps(reply(body, text)) + " " * 200_000

    def full(self, *arguments, **named):
        self.store.read(f"PRAGMA max_page_count={self.store.read('PRAGMA page_count')[0][0]}")
        return original(self, *arguments, **named)

    server.script = {3: padded}
    monkeypatch.setattr(
        AnswerStore, "settle", lambda self, *a, **k: (full if len(server.requests) >= 4 else original)(self, *a, **k)
    )
    with pytest.raises(CacheError, match=r"disk is full.*kept beside the cache"):
        label(TEXTS, QUESTION, point(server, concurrency=1), cache=tmp_path)
    assert len(server.requests) == 4, "nothing more is asked once answers cannot be kept"
    monkeypatch.setattr(AnswerStore, "settle", original)
    got = label(TEXTS, QUESTION, point(server), cache=tmp_path)
    assert len(server.requests) == 20
    assert got.labelled.all()
    assert not list(tmp_path.glob("*.spill"))


def test_nothing_is_asked_when_the_disk_is_full_from_the_start(server, tmp_path, monkeypatch):
    label(TEXTS[:2], QUESTION, point(server), cache=tmp_path)
    original = AnswerStore.reserve

    def full(self, *arguments):
        self.store.read(f"PRAGMA max_page_count={self.store.read('PRAGMA page_count')[0][0]}")
        self.store.write("INSERT INTO spent VALUES (?, 0)", [("x" * 10**6,)])
        return original(self, *arguments)

    monkeypatch.setattr(AnswerStore, "reserve", full)
    with pytest.raises(CacheError, match="disk is full"):
        label(TEXTS, QUESTION, point(server), cache=tmp_path)
    assert len(server.requests) == 2
    monkeypatch.setattr(AnswerStore, "reserve", original)
    assert label(TEXTS, QUESTION, point(server), cache=tmp_path).labelled.all()


def test_no_room_at_all(server, tmp_path, monkeypatch):
    real = Path.open

    def none_left(self, mode="r", *arguments, **named):
        if self.suffix == ".spill":
            raise OSError(28, "No space left on device")
        return real(self, mode, *arguments, **named)

    monkeypatch.setattr(Path, "open", none_left)
    with pytest.raises(CacheError, match="no room to work in"):
        label(TEXTS, QUESTION, point(server), cache=tmp_path)
    assert not server.requests


def test_threads_and_calls_share_a_cache(server, tmp_path):
    results = []
    threads = [
        threading.Thread(target=lambda: results.append(label(TEXTS, QUESTION, point(server), cache=tmp_path)))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 2
    np.testing.assert_array_equal(results[0].probabilities, results[1].probabilities)


# ---- keys ---------------------------------------------------------------------------------------------------


def test_a_key_is_sent_and_nowhere_else(server, tmp_path, monkeypatch):
    secret = "sk-very-secret-123456"
    monkeypatch.setenv("MY_KEY", secret)
    server.script = {1: (500, {}, f"you said {secret}")}
    got = label(TEXTS[:4], QUESTION, point(server, key_env="MY_KEY"), cache=tmp_path)
    assert server.requests[0]["key"] == f"Bearer {secret}"
    got.save(tmp_path / "labels.json")
    for path in tmp_path.iterdir():
        assert secret.encode() not in path.read_bytes(), path
    server.always = (401, {}, f"the key {secret} is wrong")
    with pytest.raises(EndpointError) as caught:
        label(["new p=0.4 text"], QUESTION, point(server, key_env="MY_KEY"), cache=None)
    assert secret not in str(caught.value)
    assert secret not in repr(point(server, key_env="MY_KEY"))


def test_settings_of_an_endpoint_that_are_refused(server, monkeypatch):
    for settings, match in [
        ({"key_env": "sk-abc"}, "NAME of an environment variable"),
        ({"url": "http://example.org/v1", "key_env": "K"}, "unencrypted"),
        ({"url": "ftp://x"}, "not an address"),
        ({"url": "http://[x"}, "not an address"),
        ({"url": "http://h:port"}, "not an address"),
        ({"url": "http://u:p@h/v1"}, "user name"),
        ({"parameters": {"n": 3}}, "may not hold"),
        *[
            ({name: bad}, f"{name}={bad!r}")
            for name in ("concurrency", "retries", "max_tokens", "top_logprobs")
            for bad in (-1, 2.5, "3", True, None, float("nan"), 10**300)
        ],
        *[
            ({name: bad}, f"{name}={bad!r}")
            for name in ("timeout", "backoff", "longest_wait", "tokens_per_minute")
            for bad in (0, -1, "3", True, float("inf"))
        ],
        ({"price": (1,)}, "price"),
        ({"timeout": 0}, "timeout=0"),
    ]:
        with pytest.raises(ArgumentError, match=re.escape(match)[:40]) as caught:
            Endpoint(**{"url": server.url, "model": "m"} | settings)
        assert "sk-abc" not in str(caught.value)
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    with pytest.raises(ArgumentError, match="NO_SUCH_KEY"):
        label(["a"], QUESTION, point(server, key_env="NO_SUCH_KEY"), cache=None)


# ---- results ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["pandas", "polars"])
def test_from_texts_to_a_regression(server, backend, quiet):
    rng = np.random.default_rng(0)
    n = 240
    p = rng.random(n).round(3)
    support = np.where(rng.random(n) < p, "yes", "no").astype(object)
    data = pd.DataFrame({"text": [f"letter {i} p={v} end" for i, v in enumerate(p)], "x": rng.normal(size=n)})
    data["trust"] = (support == "yes") + data["x"] + rng.normal(size=n)
    data["support"] = support
    shown = (data["text"][7], "yes")
    question = Question("For the tram?", classes=["yes", "no"], examples=[shown])
    table = data if backend == "pandas" else pl.from_pandas(data)
    labels = label(table, question, point(server, concurrency=8), text="text", cache=None)
    assert labels.shown.sum() == 1
    assert labels.shown_rows()["reason"].tolist() == ["shown in the prompt as an example"]
    assert shown[0] not in server.texts
    joined = labels.join(table)
    assert type(joined) is type(table)
    assert len(joined) == n - 1
    frame = joined if backend == "pandas" else joined.to_pandas()
    assert shown[0] not in frame["text"].tolist()
    sample = kt.SimpleRandom(n=120).draw(joined, seed=1)
    masked = kt.datasets.mask_gold(joined, sample, "support")
    fit = kt.ols("trust ~ support + x", masked, surrogates={"support": labels.surrogate}, seed=1, repeats=1)
    low, high = fit.confint().loc["support[T.yes]"]
    assert low < 1 < high
    turned = data.iloc[::-1]
    with pytest.raises(DataError, match="same order"):
        labels.join(turned if backend == "pandas" else pl.from_pandas(turned))
    with pytest.raises(DataError, match="lacks"):
        labels.join(data.drop(columns="text"))
    everything = labels.join(table, drop_shown=False)
    with pytest.raises(DataError, match="not negative, and add up to 1"):
        kt.ols("trust ~ support + x", everything, surrogates={"support": labels.surrogate}, seed=1)


def test_classes_shown_by_other_words(server):
    got = label(TEXTS, Question("For it?", classes={1: "yes", 0: "no"}, name="pro"), point(server), cache=None)
    assert got.classes == (1, 0)
    assert got.columns == {1: "pro_p_1", 0: "pro_p_0"}
    assert got.frame()["pro_label"].dtype.kind == "i"
    np.testing.assert_allclose(got.frame()["pro_p_1"], expected(TRUTH))


@pytest.mark.parametrize("name", kt.annotate.__all__)
def test_public_names_say_what_they_are(name):
    text = inspect.getdoc(getattr(kt.annotate, name))
    assert "Parameters\n---" in text
    assert ">>>" in text


def test_saved_and_loaded(server, tmp_path):
    question = Question("For it?", classes={1: "yes", 0: "no"}, examples=[(TEXTS[2], 1)])
    got = label(TEXTS, question, point(server, price=PRICE), cache=None)
    got.save(tmp_path / "a.json")
    got.save(tmp_path / "a.json")
    back = kt.annotate.Annotation.load(tmp_path / "a.json")
    pd.testing.assert_frame_equal(back.frame(), got.frame())
    assert back.cost == got.cost
    assert back.provenance == json.loads(json.dumps(dict(got.provenance)))
    assert back.classes == got.classes
    about = got.provenance
    assert about["question"]["instruction"] == "For it?"
    assert about["model"]["model"] == "m"
    assert about["prompt"][-1]["content"].startswith("For it?")
    assert about["called"][:2] == "20"
    assert about["karat"] == kt.__version__
    assert about["first_asked"] <= about["last_answered"]
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]
    (tmp_path / "b.json").write_text("{}")
    with pytest.raises(DataError, match="holds no annotation"):
        kt.annotate.Annotation.load(tmp_path / "b.json")


def test_several_models_and_questions(server):
    questions = [
        QUESTION,
        Question("Does the writer welcome rails?", classes=["yes", "no"], name="rails", examples=[(TEXTS[4], "yes")]),
    ]
    models = [point(server), Endpoint(server.url, "other", concurrency=2)]
    panel = label(TEXTS, questions, models, cache=None)
    assert len(panel) == 4
    long = panel.long()
    assert len(long) == 4 * 19, "a text that one prompt shows leaves all"
    assert long["worker"].nunique() == 4
    soft = kt.labels.aggregate(long, "vote_share", probabilities=panel.probabilities)
    order = pd.Index(soft.tasks).get_indexer([0, 10, 19])
    np.testing.assert_allclose(soft.probabilities[order, soft.classes.index("yes")], expected(TRUTH[[0, 10, 19]]))
    assert kt.labels.aggregate(long).probabilities.shape == (19, 2)
    frame = pd.DataFrame({"text": TEXTS})
    assert len(panel.join(frame)) == 19
    assert "llm_other_p_yes" in panel.join(frame)
    with pytest.raises(ArgumentError, match="same name"):
        label(TEXTS, [QUESTION, QUESTION], models, cache=None)


def test_budget_of_a_panel_covers_all(server, tmp_path):
    models = [point(server, price=PRICE), Endpoint(server.url, "other", price=PRICE, concurrency=1)]
    with pytest.raises(BudgetError):
        label(TEXTS, QUESTION, models, cache=tmp_path, budget=25 * ONE + bound(TEXTS[0]))
    assert 20 < len(server.requests) <= 27
    assert len(server.requests) * ONE <= 25 * ONE + bound(TEXTS[0])


def test_data_that_are_refused(server):
    with pytest.raises(DataError, match="position 1, which is missing"):
        label(["a", None], QUESTION, point(server))
    with pytest.raises(DataError, match="'txt'"):
        label(pd.DataFrame({"text": ["a"]}), QUESTION, point(server), text="txt")
    with pytest.raises(ArgumentError, match="question is str"):
        label(["a"], "Is it?", point(server))
    with pytest.raises(ArgumentError, match="model is str"):
        label(["a"], QUESTION, "gpt")
    with pytest.raises(ArgumentError, match="method='guess'"):
        label(["a"], QUESTION, point(server), method="guess")
    for votes in (0, 2.5, "3", True, float("inf")):
        with pytest.raises(ArgumentError, match="votes="):
            label(["a"], QUESTION, point(server), votes=votes)
    for budget in ("3", True, float("nan"), float("inf"), -1):
        with pytest.raises(ArgumentError, match="budget="):
            label(["a"], QUESTION, point(server, price=PRICE), budget=budget)
    assert not server.requests


@pytest.mark.parametrize(
    "stated",
    [
        "Field 'n': Value must be between 1 <= value <= 2, but got 5",  # llama.cpp
        "'n' : number must be at most 1",  # Groq
        "n must be 1",
    ],
)
def test_an_endpoint_that_gives_one_answer_at_a_time_and_says_so(server, tmp_path, stated):
    def refuses(body, text):
        if body.get("n", 1) > 1:
            return 400, {}, json.dumps({"error": {"code": 400, "message": stated}})
        return reply(body, text, choices=["yes" if len(server.requests) % 2 else "no"])

    server.always = refuses
    got = label(TEXTS[:3], QUESTION, point(server, concurrency=1), method="votes", votes=4, cache=tmp_path)
    assert got.probabilities[:, 0].tolist() == [0.5] * 3
    assert len(server.requests) == 1 + 3 * 4, "one request finds out"
    label(TEXTS[:3], QUESTION, point(server, concurrency=1), method="votes", votes=4, cache=tmp_path)
    assert len(server.requests) == 2 + 3 * 4, "answers are used again"
