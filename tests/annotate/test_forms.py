"""Several questions in one request."""

import json

import numpy as np
import pandas as pd
import pytest

import karat as kt
from karat.annotate import Endpoint, Form, LocalModel, Question, label
from karat.errors import ArgumentError, EndpointError

from .server import place, reply

TONE = Question("Is it friendly?", classes={1: "yes", 0: "no"}, name="tone")
TOPIC = Question("What is it about?", classes=["law", "war", "trade"], name="topic", other="none of these")
FORM = Form.of([TONE, TOPIC])
TEXTS = ["letter y=0.9 w=0.5 end", "letter y=0.2 w=0.1 end"]


def point(server, **settings):
    return Endpoint(server.url, "m", **{"backoff": 0.01, "timeout": 5.0, "retries": 1, "concurrency": 2} | settings)


def chances(text):
    y, w = (float(text.split(f"{k}=")[1].split()[0]) for k in "yw")
    topic = {"war": w, "law": (1 - w) / 2, "trade": (1 - w) / 4, "none of these": (1 - w) / 4}
    return {"yes": y, "no": 1 - y}, topic


def fills(body, text):
    tone, topic = chances(text)
    asked = body["messages"][-1]["content"]
    if "probability" in asked:
        return reply(body, text, choices=[json.dumps({"tone": tone, "topic": topic})])
    said = {"tone": max(tone, key=tone.get), "topic": max(topic, key=topic.get)}
    if body.get("temperature") == 1:
        n = body.get("n", 1)
        ends = np.cumsum(list(topic.values()))
        drawn = [
            {
                "tone": "yes" if (i + 0.5) / n < tone["yes"] else "no",
                "topic": list(topic)[int(np.searchsorted(ends, (i + 0.5) / n))],
            }
            for i in range(n)
        ]
        return reply(body, text, choices=[json.dumps(one) for one in drawn])
    places = [place({'{"': 1.0}), place({"tone": 1.0}), place({'": "': 1.0}), place(tone), place({'", "': 1.0})]
    places += [
        place({"topic": 1.0}),
        place({'":': 1.0}),
        place({f' "{w}': p for w, p in topic.items()}),
        place({'"}': 1.0}),
    ]
    return reply(body, text, places=places, choices=[json.dumps(said)])


@pytest.mark.parametrize("method", ["auto", "json", "votes"])
def test_every_field_has_probabilities(server, method):
    server.always = fills
    got = label(TEXTS, FORM, point(server), method=method, votes=20, cache=None)
    assert len(server.requests) == 2, "one request a text"
    tone, topic = got
    wanted = [chances(text) for text in TEXTS]
    assert tone.classes == (1, 0)
    assert tone.probabilities == pytest.approx(
        np.array([list(t.values()) for t, _ in wanted]), abs=0.001 if method != "votes" else 0.06
    )
    assert topic.classes == ("law", "war", "trade", "none of these")
    right = np.array([[t[w] for w in TOPIC.words] for _, t in wanted])
    assert topic.probabilities == pytest.approx(right, abs=0.001 if method != "votes" else 0.06)
    joined = got.join(pd.DataFrame({"t": TEXTS}))
    assert {"llm_tone_p_1", "llm_topic_p_war", "llm_topic_label"} <= set(joined)
    assert tone.surrogate == {1: "llm_tone_p_1", 0: "llm_tone_p_0"}
    assert (tone.cost.requests, topic.cost.requests) == (2, 0), "the cost of the request counts once"
    assert kt.annotate.open_set(topic).scores["none"] == pytest.approx(topic.probabilities[:, 3])


def test_the_schema_that_is_asked_for(server):
    server.always = fills
    label(TEXTS[:1], FORM, point(server, structured=True), method="logprobs", cache=None)
    form = server.requests[0]["body"]["response_format"]["json_schema"]["schema"]
    assert form["required"] == ["tone", "topic"]
    assert form["properties"]["topic"] == {"type": "string", "enum": ["law", "war", "trade", "none of these"]}
    label(TEXTS[:1], FORM, point(server, structured=True), method="json", cache=None)
    form = server.requests[1]["body"]["response_format"]["json_schema"]["schema"]
    assert form["properties"]["tone"]["properties"] == {"yes": {"type": "number"}, "no": {"type": "number"}}
    asked = server.requests[0]["body"]["messages"][-1]["content"]
    assert "topic: What is it about? Labels: law, war, trade, none of these. none of these where no other" in asked


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ('{"tone": "yes"}', "leaves out 'topic'"),
        ('{"tone": "yes", "topic": "peace"}', "says 'peace' of 'topic'"),
        ("yes, law", "not a JSON object"),
    ],
)
def test_answers_that_are_no_form(server, answer, message):
    server.always = lambda body, text: reply(body, text, choices=[answer] * body.get("n", 1))
    with pytest.raises(EndpointError, match=message):
        label(TEXTS[:1], FORM, point(server), method="votes", votes=2, cache=None)


def test_forms_that_cannot_be_asked(server):
    for fields, message in (
        ([TONE], "two or more questions"),
        ([TONE, Question("How?", scale=(1, 5), name="how")], "'how' has a scale"),
        ([TONE, Question("What?", classes=["a", "b"], several=True, name="what")], "'what' has several"),
        ([TONE, TONE], "two fields have the same name"),
        ([TONE, FORM], "holds Form"),
    ):
        with pytest.raises(ArgumentError, match=message):
            Form.of(fields)
    with pytest.raises(ArgumentError, match="one model by itself"):
        label(TEXTS, [FORM, TONE], point(server), cache=None)
    with pytest.raises(ArgumentError, match="several"):
        label(TEXTS, FORM, LocalModel("some/model"), cache=None)
    with pytest.raises(kt.KaratError, match="a protocol is of one question"):
        kt.annotate.Protocol(FORM, point(server))
    with pytest.raises(ArgumentError, match="fields is empty"):
        Form("What?", classes=["a", "b"])
    other = Form.of([TONE, Question("What?", classes=["law", "peace"], name="topic")])
    assert other.digest != FORM.digest
