"""How one text gets its distribution does not depend on what happens to others."""

import random
import threading

import numpy as np
import pytest

from karat.annotate import Endpoint, Question, label
from karat.errors import ArgumentError, EndpointError, KaratWarning

from .server import reply

QUESTION = Question("Is the letter for the tram?", classes=["yes", "no"])
TEXTS = [f"letter {i} p={0.1 + 0.8 * i / 19:.3f} end" for i in range(20)]


def point(server, **settings):
    return Endpoint(server.url, "m", **{"backoff": 0.01, "timeout": 5.0, "retries": 6, "concurrency": 1} | settings)


def test_repeated_answers_have_seeds_of_their_own(server):
    def seeded(body, text):
        chance = random.Random(str(body["seed"]) + text).random()
        return reply(body | {"n": 1}, text, choices=["yes" if chance < 0.6 else "no"])

    server.always = seeded
    got = label(TEXTS[:6], QUESTION, point(server, parameters={"seed": 1}), method="votes", votes=9, cache=None)
    assert sorted({r["body"]["seed"] for r in server.requests}) == list(range(1, 10))
    assert ((got.probabilities > 0) & (got.probabilities < 1)).any()


@pytest.mark.parametrize("method", ["auto", "logprobs", "votes"])
def test_a_temperature_of_ones_own_is_refused(server, method):
    with pytest.raises(ArgumentError, match="hold a temperature"):
        label(TEXTS, QUESTION, point(server, parameters={"temperature": 0.3}), method=method, cache=None)
    assert not server.requests
    got = label(TEXTS[:1], QUESTION, point(server, parameters={"temperature": None}), cache=None)
    assert got.labelled.all()
    assert "temperature" not in server.requests[0]["body"]


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("empty", [0, 3, 19])
def test_one_empty_answer_does_not_change_the_method_of_others(server, order, empty):
    def sometimes(body, text):
        if f"letter {empty} " not in text or not body.get("logprobs"):
            return None
        answer = reply(body, text, choices=[""])
        answer["choices"][0]["logprobs"] = {"content": []}
        return answer

    server.always = sometimes
    got = label(TEXTS[::order], QUESTION, point(server), cache=None)
    methods = list(got.method[::order])
    assert methods.pop(empty) == "votes"
    assert set(methods) == {"logprobs"}


def test_log_probabilities_that_are_demanded_and_not_there_cost_one_request(server):
    def without(body, text):
        answer = reply(body, text)
        answer["choices"][0]["logprobs"] = None
        return answer

    server.always = without
    with pytest.raises(EndpointError, match="no log-probabilities; use method='votes'"):
        label(TEXTS, QUESTION, point(server), method="logprobs", cache=None)
    assert len(server.requests) == 1


# ---- nothing is paid for twice ------------------------------------------------------------------------------

REFUSALS = [
    {"message": {"content": "", "refusal": "I cannot"}, "finish_reason": "stop"},
    {"message": {"content": ""}, "finish_reason": "content_filter"},
]


@pytest.mark.parametrize("refusal", REFUSALS, ids=["refusal", "filter"])
@pytest.mark.parametrize("method", ["auto", "votes", "json"])
@pytest.mark.filterwarnings("ignore::karat.errors.KaratWarning")
def test_a_refusal_is_an_answer(server, tmp_path, refusal, method):
    refused = {"model": "m", "choices": [refusal], "usage": {"prompt_tokens": 50, "completion_tokens": 5}}
    server.always = lambda body, text: refused if "letter 3 " in text else None
    for _ in range(2):
        got = label(TEXTS[:5], QUESTION, point(server), method=method, cache=tmp_path, failures="keep")
        assert len(server.requests) == 5
        assert "refused to answer" in got.status[3]
        assert got.labelled.sum() == 4


def test_one_refusal_among_votes_is_a_vote_that_says_nothing(server):
    def one(body, text):
        answer = reply(body, text)
        answer["choices"][0] = REFUSALS[0]
        return answer

    server.always = one
    got = label(TEXTS[:2], QUESTION, point(server), method="votes", votes=5, cache=None)
    assert got.labelled.all()
    assert got.mass[0] == pytest.approx(0.8)


def test_paid_tries_are_few_where_the_answer_would_be_the_same(server, tmp_path):
    for answer, match, paid in (("{}", "not probabilities", 1), (None, r"no text \(after 3 tries\)", 3)):
        server.always, before = (lambda body, text: reply(body, text, choices=[answer])), len(server.requests)  # noqa: B023
        with pytest.raises(EndpointError, match=match):
            label(TEXTS[:1], QUESTION, point(server), method="json", cache=tmp_path)
        assert len(server.requests) == before + paid


def test_an_answer_of_no_use_for_other_classes_counts_as_none(server, tmp_path):
    template = "{instruction}\n{text}\nAnswer with JSON"
    server.always = lambda body, text: reply(body, text, choices=['{"yes": 0.7, "no": 0.3}'])
    first, second = (Question("For?", classes=c, template=template) for c in (["yes", "no"], ["for", "against"]))
    label(TEXTS[:1], first, point(server), method="json", cache=tmp_path)
    server.always = lambda body, text: reply(body, text, choices=['{"for": 0.6, "against": 0.4}'])
    for question, p in ((second, 0.6), (first, 0.7), (second, 0.6)):
        got = label(TEXTS[:1], question, point(server), method="json", cache=tmp_path)
        assert got.probabilities[0, 0] == pytest.approx(p)
    assert len(server.requests) == 2


def test_two_calls_at_once_pay_for_each_text_once(server, tmp_path):
    server.delay = 0.02
    results = []
    threads = [
        threading.Thread(
            target=lambda: results.append(label(TEXTS, QUESTION, point(server, concurrency=4), cache=tmp_path))
        )
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 3
    assert len(server.requests) == 20


# ---- one text among others ----------------------------------------------------------------------------------

FAULTS = {
    "500": (500, {}, "oops"),
    "timeout": "hang",
    "reset": "reset",
    "cut short": "cut",
    "403 once others had an answer": (403, {}, '{"error": {"message": "flagged"}}'),
    "no JSON": "<html>",
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
@pytest.mark.parametrize("failures", ["keep", "raise"])
def test_one_text_that_always_fails_does_not_end_the_run(server, tmp_path, fault, failures):
    server.always = lambda body, text: fault if "letter 2 " in text else None
    settings = dict(cache=tmp_path, failures=failures)
    ask = lambda: label(TEXTS[:6], QUESTION, point(server, retries=1, timeout=0.2), **settings)  # noqa: E731
    if failures == "raise":
        with pytest.raises(EndpointError, match="1 of 6 texts have no label"):
            ask()
    else:
        with pytest.warns(KaratWarning, match="1 of 6 texts have no label"):
            got = ask()
        assert got.labelled.sum() == 5
        assert got.status[2] != "ok"
    assert len(set(server.texts)) == 6


def test_an_endpoint_that_fails_for_all_ends_the_run(server, tmp_path):
    server.always = lambda body, text: None if "letter 0 " in text else (500, {}, "oops")
    with pytest.raises(
        EndpointError, match=r"gives no answer: HTTP 500: oops \(after 1 tries\)\. Answers so far are in"
    ):
        label(TEXTS, QUESTION, point(server, retries=0), cache=tmp_path, failures="keep")
    assert len(server.requests) == 4, "three texts in a row"


def test_messages_speak_of_a_cache_only_where_there_is_one(server, tmp_path):
    for fault in ((401, {}, "no"), (429, {"Retry-After": "900"}, ""), (400, {}, "no"), (429, {}, "")):
        server.always = fault
        for cache, match in ((None, "not kept"), (tmp_path, "in the cache")):
            with pytest.raises(EndpointError) as caught:
                label(TEXTS[:2], QUESTION, point(server, retries=0), cache=cache)
            assert match in str(caught.value)
            assert (cache is None) != ("in the cache" in str(caught.value))


# ---- what a reply is worth ----------------------------------------------------------------------------------


def answers(content, tops=None, own=None, finish="stop", **more):
    """A fault that answers so, with these log-probabilities of its one token."""

    def fault(body, text):
        places = [{"token": content, "logprob": own, "top_logprobs": tops or []}]
        found = {"content": places} if tops is not None and body.get("logprobs") else None
        message = {"role": "assistant", "content": content} | more
        return reply(body, text) | {
            "choices": [{"message": message, "finish_reason": finish, "logprobs": found}] * body.get("n", 1)
        }

    return fault


def entries(**logs):
    return [{"token": token, "logprob": log} for token, log in logs.items()]


REPLIES = {
    "a null beside good ones": (answers("yes", entries(yes=-0.2, no=-1.8, zz=None), -0.2), 0.832, "logprobs", 1),
    "one class listed": (answers("yes", entries(yes=-0.2), -0.2), 1.0, "votes", 2),
    "another class than the answer": (answers("no", entries(yes=-0.1, no=-2.4), -2.4), 0.0, "votes", 2),
    "all odd": (answers("yes", entries(yes="x"), "x"), 1.0, "votes", 2),
    "a refusal that begins like a class": (answers("No idea.", entries(No=-0.01), -0.01), None, "more than", 2),
    "cut while thinking": (answers("", finish="length", reasoning="Okay"), None, "cut at max_tokens while thinking", 1),
    "a tool": (answers(None, finish="tool_calls", tool_calls=[{}]), None, "called a tool", 1),
    "cut in votes": (answers("There is", finish="length"), None, "5 of 5 answers were cut at max_tokens", 2),
}


@pytest.mark.parametrize(("fault", "p", "how", "paid"), REPLIES.values(), ids=REPLIES)
@pytest.mark.filterwarnings("ignore::karat.errors.KaratWarning")
def test_a_reply_is_what_it_is_and_paid_once(server, tmp_path, fault, p, how, paid):
    server.always = fault
    for _ in range(2):
        got = label(["a text"], QUESTION, point(server), cache=tmp_path, failures="keep")
        if p is None:
            assert not got.labelled.any()
            assert how in got.status[0]
        else:
            assert got.method[0] == how
            assert got.probabilities[0, 0] == pytest.approx(p, abs=1e-3)
        assert len(server.requests) == paid


def test_json_that_leaves_several_classes_out_or_is_cut(server):
    question = Question("Which?", classes=["yes", "no", "unclear"])
    cut = answers('{"yes": 0.4, "n', finish="length")
    for fault, match, paid in ((answers('{"yes": 0.92}'), "0.08 is left", 1), (cut, "JSON was cut at max_tokens", 1)):
        server.always, before = fault, len(server.requests)
        with pytest.warns(KaratWarning, match=match):
            got = label(["a text"], question, point(server), method="json", cache=None, failures="keep")
        assert np.isnan(got.probabilities).all()
        assert len(server.requests) == before + paid
