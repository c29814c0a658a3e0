"""How one text gets its distribution does not depend on what happens to others."""

import random

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
