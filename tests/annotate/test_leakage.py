"""Probes for what a model has seen: texts by heart, order of labels; shown rows."""

import json

import numpy as np
import pandas as pd
import pytest

import karat as kt
from karat.annotate import Endpoint, Question, order_effect, recall
from karat.annotate.recalled import longest_run
from karat.errors import ArgumentError, BudgetError, DataError, KaratWarning

from .server import place, reply

POEM = "once upon a midnight dreary while i pondered weak and weary over many a quaint and curious volume of lore"
NEWS = "the council met on tuesday to vote on the new tram line that will cross the river near the old market hall"
TALK = "we bought apples and bread then walked home in the rain because nobody had thought of taking an umbrella along"


def point(server, **settings):
    return Endpoint(server.url, "m", **{"backoff": 0.01, "timeout": 5.0, "retries": 1, "concurrency": 2} | settings)


def by_heart(body, text):
    """A model that knows one poem, and says the same about everything else."""
    asked = body["messages"][-1]["content"] if "messages" in body else body["prompt"]
    start = asked.split("\n\n")[-1]
    rest = POEM[len(start) :] if POEM.startswith(start) else " and then the weather was fine and everybody went out"
    return {**reply(body, text, choices=[rest]), "usage": {"prompt_tokens": 400, "completion_tokens": 12}}


@pytest.mark.parametrize("api", ["chat", "completions"])
def test_a_text_by_heart_is_found(server, api):
    server.always = by_heart
    found = recall({"body": [POEM, NEWS, TALK, "too short"]}, point(server, api=api), text="body", cache=None)
    assert found.overlap[0] == 1.0
    assert (found.overlap[1:3] < 0.3).all()
    assert np.isnan(found.overlap[3])
    assert found.status.tolist() == ["ok", "ok", "ok", "the text is too short"]
    assert found.recalled().tolist() == [True, False, False, False]
    assert found.recalled(0.0)[0]
    assert "1 of 3 texts recalled" in str(found)
    assert len(found.table) == 4
    body = server.requests[0]["body"]
    assert body["max_tokens"] == 120
    assert "logprobs" not in body
    sent = json.dumps(body)
    assert "weary" not in sent or "lore" not in sent, "the end of the text is not sent"


def test_only_runs_of_words_count():
    assert longest_run(["a", "b", "x", "c", "d"], ["a", "b", "y", "c", "d"]) == 2
    assert longest_run([], ["a"]) == longest_run(["a"], []) == 0


def test_probes_are_paid_once_and_within_the_budget(server, tmp_path):
    server.always = by_heart
    model = point(server, price=(1.0, 1.0), concurrency=1)
    with pytest.raises(BudgetError):
        recall([POEM, NEWS, TALK], model, cache=tmp_path, budget=0.0009)
    sent = len(server.requests)
    assert 0 < sent < 3
    found = recall([POEM, NEWS, TALK], model, cache=tmp_path, budget=0.01)
    assert len(server.requests) == 3, "what was answered is not asked again"
    assert found.cost.cached == sent
    again = recall([POEM, NEWS, TALK], model, cache=tmp_path, budget=0.01)
    assert len(server.requests) == 3
    assert again.cost.amount == found.cost.amount == pytest.approx(3 * 412e-6)
    assert again.overlap.tolist() == found.overlap.tolist()


def test_refused_continuations(server):
    refusal = {"choices": [{"index": 0, "finish_reason": "content_filter", "message": {"content": ""}}], "model": "m"}
    server.always = lambda body, text: refusal if "council" in json.dumps(body) else by_heart(body, text)
    with pytest.warns(KaratWarning, match="1 of 2 texts were not continued"):
        found = recall([POEM, NEWS], point(server), cache=None)
    assert np.isnan(found.overlap[1])
    assert "refused" in found.status[1]
    with pytest.raises(kt.KaratError, match="were not continued"):
        recall([POEM, NEWS], point(server), cache=None, failures="raise")
    with pytest.raises(DataError, match="every text is too short"):
        recall(["short"], point(server), cache=None)
    with pytest.raises(ArgumentError, match="needs an Endpoint"):
        recall([POEM], "m", cache=None)


def first_listed(body, text):
    """A model that leans to the label listed first, and knows some texts."""
    labels = body["messages"][-1]["content"].split("Labels: ")[1].split("\n")[0].split(", ")
    chances = dict.fromkeys(labels, 0.2)
    chances["war" if "war" in text else labels[0]] = 0.6
    return reply(body, text, places=[place(chances)], choices=[max(chances, key=chances.get)])


def test_answers_that_hang_on_the_order(server):
    server.always = first_listed
    question = Question("What is it about?", classes=["law", "war", "art"])
    texts = ["a war text", "another war", "unclear one", "unclear two", "unclear three"]
    found = order_effect(texts, question, point(server), orders=2, method="logprobs", cache=None)
    assert found.orders == (("law", "war", "art"), ("art", "war", "law"))
    assert (found.changed, found.n) == (3, 5)
    assert found.moved == pytest.approx(0.6 * 0.4)
    assert found.by_place == pytest.approx([0.2 * 0.4 + 0.6 * 0.6, 0.6 * 0.4 + 0.2 * 0.6, 0.2])
    assert found.mean().probabilities[2] == pytest.approx([0.4, 0.2, 0.4])
    assert found.table.shape == (2, 3)
    assert "3 of 5 labels change" in str(found)
    words = Question("What is it about?", classes={1: "law", 2: "war", 3: "art"})
    again = order_effect(texts, words, point(server), orders=6, method="logprobs", cache=None)
    assert len(set(again.orders)) == 6
    assert again.by_place[0] > again.by_place[1]
    assert again.labels[3].classes == (1, 2, 3)
    for question_, message in ((Question("How?", scale=(1, 5)), "a scale has one order"), ("q", "must be a Question")):
        with pytest.raises(ArgumentError, match=message):
            order_effect(texts, question_, point(server), cache=None)
    with pytest.raises(ArgumentError, match="orders=7 is more than there are"):
        order_effect(texts, question, point(server), orders=7, cache=None)


def test_passages_of_examples_are_shown_rows(server):
    """An example cut from a longer document, or one that holds it, is no new text."""
    passage = "the line is far too loud at night"
    question = Question("For the tram?", classes=["yes", "no"], examples=[(passage, "no")])
    texts = [passage, f"Dear editor, {passage}. Yours, B.", "a new letter p=0.9 end", "night"]
    got = kt.annotate.label(texts, question, point(server), cache=None)
    assert got.shown.tolist() == [True, True, False, False]
    assert got.status[1] == "holds a passage that the prompt shows"
    assert [r["text"] for r in server.requests] == ["a new letter p=0.9 end", "night"]
    assert len(got.join(pd.DataFrame({"t": texts}))) == 2
    quoted = Question(f"For the tram? For example: “{passage}” is not.", classes=["yes", "no"])
    assert quoted.why_shown(f"Dear editor, {passage}") == "holds a passage that the prompt shows"
    assert quoted.why_shown("For the tram?") == ""
