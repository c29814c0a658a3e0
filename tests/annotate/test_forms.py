"""Several questions in one request."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import karat as kt
from karat.annotate import (
    Code,
    Codebook,
    Endpoint,
    Form,
    LocalModel,
    Question,
    Study,
    label,
    read_study,
    verify,
)
from karat.errors import ArgumentError, DataError, EndpointError, ProtocolError

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
    with pytest.raises(ArgumentError, match="several"):
        label(TEXTS, FORM, LocalModel("some/model"), cache=None)
    with pytest.raises(ArgumentError, match="fields is empty"):
        Form("What?", classes=["a", "b"])
    other = Form.of([TONE, Question("What?", classes=["law", "peace"], name="topic")])
    assert other.digest != FORM.digest


# ---- in a study -------------------------------------------------------------------------------------------------


@pytest.fixture
def corpus():
    rng = np.random.default_rng(1)
    y, w = rng.uniform(0.05, 0.95, 90).round(3), rng.uniform(0.05, 0.95, 90).round(3)
    texts = [f"letter {i} y={y[i]} w={w[i]} end" for i in range(90)]
    topic = [list(chances(t)[1])[i] for t, i in zip(texts, rng.integers(0, 4, 90))]
    return pd.DataFrame({"letter": range(90), "text": texts, "tone": (rng.random(90) < y).astype(int), "topic": topic})


def test_a_form_in_a_study(server, corpus, tmp_path):
    server.always = fills
    books = [
        Codebook("tone", "Is it friendly?", [Code(1, "yes"), Code(0, "no")]),
        Codebook("topic", "What is it about?", [Code("law"), Code("war"), Code("trade")], other="none of these"),
    ]
    sample = kt.SimpleRandom(n=60).draw(corpus[["letter"]], seed=2, id="letter")
    gold = corpus.assign(tone=corpus["tone"].where(sample.labelled), topic=corpus["topic"].where(sample.labelled))
    study = Study(books, sample, budget=1.0, cache=tmp_path / "cache")
    form = Form.of([TONE, TOPIC], name="asked")
    models = [point(server, price=(2.0, 10.0)), Endpoint(server.url, "other", price=(2.0, 10.0), retries=1)]
    tried = study.try_out(gold, {"form": form}, models, text="text")
    assert tried.table().index.tolist() == [
        ("form", "m", "tone"), ("form", "m", "topic"), ("form", "other", "tone"), ("form", "other", "topic"),
    ]  # fmt: skip
    assert len(server.requests) == 40, "one request for both fields"
    assert tried.best() == ("form", "m")
    with pytest.raises(ArgumentError, match="asks 1 things where there are 2 codebooks"):
        study.lock(TONE, models[0])
    with pytest.raises(ArgumentError, match="the question has the classes"):
        study.lock(Form.of([TOPIC, TONE]), models[0])
    locked = study.lock(form, models[0])
    labels = locked.label(gold, text="text")
    assert [part.name for part in labels] == ["asked_tone", "asked_topic"]
    fit = locked.fit(kt.shares, "topic", labels, gold, seed=1)
    assert fit.n_gold == 60
    both = locked.fit(kt.ols, "tone ~ topic", labels, gold, seed=1)
    assert np.isfinite(both.se()).all()
    by_hand = kt.shares(
        "topic", labels.join(gold), surrogates={"topic": labels[1].surrogate}, design=study.inference.design, seed=1
    )
    assert fit.coef().equals(by_hand.coef())
    locked.save(tmp_path / "study.json")
    back = read_study(tmp_path / "study.json", cache=tmp_path / "cache")
    assert (back.protocol.hash, back.name) == (locked.protocol.hash, locked.name)
    sent = len(server.requests)
    same = back.label(gold, text="text", model=models[0])
    assert len(server.requests) == sent
    with pytest.raises(DataError, match="not those of all fields of one form"):
        locked.check(kt.annotate.Panel((labels[0],)))
    other = label(gold, Form.of([TONE, replace(TOPIC, instruction="And this?")], name="asked"), models[0], text="text",
                  cache=None)  # fmt: skip
    with pytest.raises(ProtocolError, match="And this"):
        locked.fit(kt.shares, "topic", other, gold)
    path = locked.archive(tmp_path / "study.zip", labels, gold, text="text", fits={"both": both})
    found = verify(path, gold, text="text", fits={"both": both})
    assert found.ok, str(found)
    with pytest.raises(ArgumentError, match="fits holds a SharesResult under 'shares'"):
        locked.archive(tmp_path / "shares.zip", labels, gold, text="text", fits={"shares": fit})
    labels[0].probabilities[3] += 0.01
    labels.save(tmp_path / "labels.json")
    assert (kt.annotate.Panel.load(tmp_path / "labels.json")[0].probabilities == labels[0].probabilities).all()
    with pytest.raises(DataError, match="1 of 90 labels are not what the replies say"):
        locked.archive(tmp_path / "other.zip", labels, gold, text="text")
    drifted = locked.ask_again(gold, same, text="text", n=20, occasion="June")
    assert {name: found.changed for name, found in drifted.items()} == {"tone": 0, "topic": 0}


def test_a_form_to_several_models(server):
    server.always = fills
    got = label(TEXTS, FORM, [point(server), Endpoint(server.url, "other", retries=1)], method="json", cache=None)
    assert [part.name for part in got] == ["llm_m_tone", "llm_m_topic", "llm_other_tone", "llm_other_topic"]
    assert "llm_other_topic_p_war" in got.join(pd.DataFrame({"t": TEXTS}))
