"""Replies of many endpoints, replayed: each says what it says, and costs what it costs."""

import json

import numpy as np
import pytest

import karat as kt
from karat.annotate import Endpoint, Question, SpanQuestion, label, submit
from karat.annotate.protocol import usage

from . import shapes
from .batch_server import BatchServer

QUESTION = Question("Is the letter for the tram?", classes=["yes", "no"], refusal="declined")
TEXTS = ["I will come back."]


def point(server, **settings):
    return Endpoint(server.url, "m", **{"backoff": 0.01, "timeout": 5.0, "retries": 0, "concurrency": 1} | settings)


def ask(server, shape, question=QUESTION, **settings):
    server.always = lambda body, text: shapes.sent(shape)
    return label(TEXTS, question, point(server), failures="keep", cache=None, **settings)


@pytest.mark.parametrize("shape", shapes.LOGPROBS.values(), ids=shapes.LOGPROBS)
def test_log_probabilities(server, shape):
    got = ask(server, shape)
    assert got.method.tolist() == ["logprobs"]
    assert got.probabilities[0] == pytest.approx([0.9, 0.1, 0.0])


@pytest.mark.parametrize("shape", shapes.WORDS.values(), ids=shapes.WORDS)
def test_words(server, shape):
    assert ask(server, shape, method="votes", votes=1).probabilities.tolist() == [[1, 0, 0]]


@pytest.mark.parametrize(
    ("message", "end"),
    [
        ({"content": "yes", "reasoning_content": "No way"}, "</think>"),
        ({"content": "yes", "reasoning": "No way"}, "[/THINK]"),
        ({"content": [{"type": "thinking", "thinking": []}, {"type": "text", "text": "yes"}]}, "[/THINK]"),
        ({"content": "No way</think>\n\nyes"}, "</think>"),
        ({"content": "yes"}, "</think>"),
    ],
    ids=str,
)
def test_log_probabilities_of_thoughts_are_not_those_of_the_answer(server, message, end):
    """A parser takes the thoughts out of the text and leaves their tokens; then votes are drawn."""
    tokens = shapes.places({"No": 0.9, "yes": 0.1}, {" way": 0.9}, {end: 1.0}, {"\n\n": 1.0}, shapes.YES)
    with pytest.warns(kt.KaratWarning, match="what the model thought"):
        got = ask(server, shapes.chat(message, logprobs=tokens), votes=1)
    assert (got.method.tolist(), got.probabilities.tolist()) == (["votes"], [[1, 0, 0]])


def test_a_model_that_thinks_is_asked_for_votes_after_the_first_text(server):
    tokens = shapes.places({"No": 0.9, "yes": 0.1}, {"</think>": 1.0}, shapes.YES)
    server.always = lambda body, text: shapes.sent(
        shapes.chat({"content": "yes", "reasoning": "No"}, logprobs=tokens if body.get("logprobs") else None)
    )
    with pytest.warns(kt.KaratWarning, match="what the model thought"):
        got = label(["a", "b", "c"], QUESTION, point(server), votes=1, cache=None)
    assert len(server.requests) == 4
    assert got.probabilities[:, 0].tolist() == [1, 1, 1]


@pytest.mark.parametrize("method", ["logprobs", "votes", "json"])
@pytest.mark.parametrize("shape", shapes.DECLINED.values(), ids=shapes.DECLINED)
def test_refusals(server, shape, method):
    got = ask(server, shape, method=method, **({"votes": 2} if method == "votes" else {}))
    assert got.probabilities.tolist() == [[0, 0, 1]], "a refusal is an answer where it counts as one"
    with pytest.warns(kt.KaratWarning, match="have no label"):
        plain = ask(server, shape, Question("Is it?", classes=["yes", "no"]), method=method)
    assert not plain.labelled.any()


@pytest.mark.parametrize(("shape", "why"), shapes.NOTHING.values(), ids=shapes.NOTHING)
def test_no_answer(server, shape, why):
    with pytest.warns(kt.KaratWarning, match=why):
        got = ask(server, shape, method="votes", votes=1)
    assert np.isnan(got.probabilities).all(), "no answer is not a refusal"


@pytest.mark.parametrize("shape", shapes.JSON.values(), ids=shapes.JSON)
def test_json(server, shape):
    assert ask(server, shape, method="json").probabilities[0] == pytest.approx([0.9, 0.1, 0.0])


@pytest.mark.parametrize("shape", shapes.PASSAGES.values(), ids=shapes.PASSAGES)
def test_passages(server, shape):
    got = ask(server, shape, SpanQuestion("Mark every threat.", ["threat"]))
    assert got.passages[["start", "end", "text"]].values.tolist() == [[7, 16, "come back"]]


@pytest.mark.parametrize(("told", "tokens"), shapes.BILLED.values(), ids=shapes.BILLED)
def test_what_is_billed(server, told, tokens):
    shape = shapes.chat({"content": "yes"}, logprobs=shapes.places(shapes.YES), usage=told)
    assert usage(json.dumps(shape)) == tokens
    server.always = lambda body, text: shapes.sent(shape)
    got = label(TEXTS, QUESTION, point(server, price=(1.0, 1.0)), method="logprobs", cache=None)
    if tokens is None:
        assert got.cost.amount > 200 / 1e6, "not said: counted with the most that it can be"
    else:
        assert got.cost.amount == pytest.approx(sum(tokens) / 1e6)


@pytest.mark.parametrize("name", shapes.batch_lines("", {}))
def test_batches(tmp_path, name):
    server = BatchServer()
    batch = submit(TEXTS, QUESTION, point(server, price=(1.0, 1.0)), cache=tmp_path)
    server.work()
    [[_, content]] = [(k, v) for k, v in server.files.items() if k.startswith("out")]
    key = json.loads(content)["custom_id"]
    line, answered = shapes.batch_lines(key, shapes.LOGPROBS["OpenAI"])[name]
    server.files[server.batches["batch_0"]["output_file_id"]] = json.dumps(line) + "\n"
    assert batch.state() == {"waiting": 0, "answered": int(answered), "open": int(not answered)}
    got = batch.collect()
    assert len(server.requests) == int(not answered)
    assert got.labelled.all()
    server.close()
