"""How one text gets its distribution does not depend on what happens to others."""

import random
import threading

import pytest

from karat.annotate import Endpoint, Question, label
from karat.errors import ArgumentError, EndpointError

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
    server.always = lambda body, text: reply(body, text, choices=["{}"])
    with pytest.raises(EndpointError, match=r"after 3 tries"):
        label(TEXTS[:1], QUESTION, point(server), method="json", cache=tmp_path)
    assert len(server.requests) == 3


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
