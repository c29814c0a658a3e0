"""Several codes at once, wide scales, further answers, refusals, broader codes."""

import json
import math

import numpy as np
import pandas as pd
import pytest

import karat as kt
from karat.annotate import Code, Codebook, Endpoint, Question, Study, label
from karat.annotate.reading import Token
from karat.annotate.saying import Unreadable, declines
from karat.annotate.sets import from_fields, from_marginals, from_sets
from karat.errors import ArgumentError, EndpointError

from .server import place, reply

CODES = Question("What is it about?", classes={"eco": "economy", "law": "law"}, several=True)


def point(server, **settings):
    return Endpoint(server.url, "m", **{"backoff": 0.01, "timeout": 5.0, "retries": 1, "concurrency": 2} | settings)


def chances(text):
    return {"economy": float(text.split("e=")[1].split()[0]), "law": float(text.split("l=")[1].split()[0])}


TEXTS = ["letter e=0.9 l=0.2 end", "letter e=0.1 l=0.1 end", "letter e=0.7 l=0.8 end"]


def codes(body, text):
    """A reply about codes: log-probabilities where asked for, else draws in turn or stated numbers."""
    p = chances(text)
    asked = body["messages"][-1]["content"]
    if "probability" in asked:
        return reply(body, text, choices=[json.dumps(p)])
    if body.get("temperature") == 1:
        n = body.get("n", 1)
        return reply(body, text, choices=[json.dumps({w: (i + 0.5) / n < c for w, c in p.items()}) for i in range(n)])
    said = {word: chance > 0.5 for word, chance in p.items()}
    places = [place({"{": 1.0})]
    for i, (word, chance) in enumerate(p.items()):
        places += [place({t: 1.0}) for t in ([", "] if i else []) + ['"', word, '":']]
        places.append(place({" true": 0.99 * chance, " false": 0.99 * (1 - chance), " maybe": 0.01}))
    places.append(place({"}": 1.0}))
    return reply(body, text, places=places, choices=[json.dumps(said)])


@pytest.mark.parametrize("method", ["auto", "logprobs", "votes", "json"])
def test_one_reply_gives_a_probability_for_each_code(server, method):
    server.always = codes
    got = label(TEXTS, CODES, point(server), method=method, votes=10, cache=None)
    wanted = np.array([list(chances(text).values()) for text in TEXTS])
    assert got.probabilities == pytest.approx(wanted)
    assert len(server.requests) == 3
    assert got.label.tolist() == [("eco",), (), ("eco", "law")]
    assert got.surrogates("topic") == {"topic_eco": "llm_p_eco", "topic_law": "llm_p_law"}
    frame = got.frame()
    assert frame["llm_eco"].tolist() == [1, 0, 1]
    assert got.confidence == pytest.approx([0.8, 0.9, 0.7])
    with pytest.raises(ArgumentError, match=r"see surrogates\(gold\)"):
        got.surrogate  # noqa: B018


def test_room_and_form_of_the_answer(server):
    server.always = codes
    label(TEXTS[:1], CODES, point(server, structured=True), cache=None)
    body = server.requests[0]["body"]
    assert body["max_tokens"] > 60
    assert body["response_format"]["json_schema"]["schema"]["required"] == ["economy", "law"]
    label(TEXTS[:1], CODES, point(server), cache=None)
    assert "response_format" not in server.requests[1]["body"]


def test_examples_of_several_codes():
    question = Question(
        "About?", classes=["a", "b"], several=True, examples=[("both of them", ["a", "b"]), ("none", [])]
    )
    shown = [m["content"] for m in question.messages("x") if m["role"] == "assistant"]
    assert shown == ['{"a": true, "b": true}', '{"a": false, "b": false}']
    with pytest.raises(ArgumentError, match="must be a list of classes"):
        Question("About?", classes=["a", "b"], several=True, examples=[("one", "a")])


def test_fields_are_read_however_tokens_are_cut():
    """The same answer cut at every place between characters, and in one token for each character."""
    answer = '{"economy": true, "law": false}'
    at = {12: {"true": 0.8, "false": 0.2}, 25: {"true": 0.3, "false": 0.7}}
    for cut in range(1, 12):
        pieces, start = [], 0
        for value, alternatives in at.items():
            pieces += [answer[start + cut * (start == 0) : value]] if start else [answer[:cut], answer[cut:value]]
            word = "true" if value == 12 else "false"
            pieces.append((word, alternatives))
            start = value + len(word)
        pieces.append(answer[start:])
        tokens = [Token(p, {p: 1.0}) if isinstance(p, str) else Token(*p) for p in pieces if p]
        assert from_fields(tokens, ["economy", "law"]).p == pytest.approx([0.8, 0.3])
    glued = [Token('{"economy":', {'{"economy":': 1.0}), Token(" true", {" true": 0.8, " false": 0.2})]
    glued += [Token(', "law": false}', {', "law": false}': 0.7, ', "law": true}': 0.3})]
    assert from_fields(glued, ["economy", "law"]).p == pytest.approx([0.8, 0.3])


@pytest.mark.parametrize(
    "answer",
    [
        '{"economy": true}',
        '{"economy": true, "law": 2}',
        '{"economy": true, "law": "maybe"}',
        '{"economy": true, "law": false, "war": true}',
        '["economy", "war"]',
        "economy",
        "",
        "I'm sorry, but I can't help with that.",
    ],
)
def test_sets_that_cannot_be_read(answer):
    with pytest.raises(Unreadable):
        from_marginals(answer, ["economy", "law"])


def test_sets_that_can():
    assert from_marginals('{"economy": 80, "law": "20%"}', ["economy", "law"]).p.tolist() == [0.8, 0.2]
    assert from_marginals("[]", ["economy", "law"]).p.tolist() == [0, 0]
    reading = from_sets(['["law"]', "no idea", '{"economy": true, "law": true}'], ["economy", "law"])
    assert (reading.p.tolist(), reading.mass) == ([0.5, 1.0], pytest.approx(2 / 3))
    with pytest.raises(Unreadable):
        from_sets(["x", "y", "[]"], ["economy", "law"])


def test_shares_of_codes_from_a_study(server, tmp_path):
    rng = np.random.default_rng(1)
    p = rng.uniform(0.05, 0.95, (80, 2)).round(2)
    corpus = pd.DataFrame({"id": range(80), "text": [f"letter {i} e={a} l={b} end" for i, (a, b) in enumerate(p)]})
    answers = (rng.random((80, 2)) < p).astype(float)
    book = Codebook("topic", "What is it about?", [Code("eco", "economy"), Code("law", "law")], several=True)
    sample = kt.SimpleRandom(n=50).draw(corpus, seed=1, id="id")
    for k, code in enumerate(("eco", "law")):
        corpus[f"topic_{code}"] = np.where(sample.labelled, answers[:, k], np.nan)
    server.always = codes
    study = Study(book, sample, cache=tmp_path)
    tried = study.try_out(corpus, book.ask(), point(server), text="text").table()
    assert tried["n"].iloc[0] == 17
    assert 0 < tried["r_squared"].iloc[0] < 1
    study = study.lock(book.ask(), point(server))
    fit = study.fit(kt.shares, ["topic_eco", "topic_law"], study.label(corpus, text="text"), corpus, seed=1)
    assert len(fit.names) == 2
    assert fit.coef().to_numpy() == pytest.approx(answers.mean(axis=0), abs=0.25)
    one = study.fit(kt.mean, "topic_law", study.label(corpus, text="text"), corpus, seed=1)
    assert one.coef().to_numpy() == pytest.approx(fit.coef().to_numpy()[1], abs=0.1), "a code by itself"


# ---- scales -------------------------------------------------------------------------------------------------


def test_a_rating_from_0_to_100_is_its_expected_value(server):
    """Twenty tokens are listed, more ratings are possible: the expected value of those that are."""
    values = {str(v): 0.97 / 20 for v in range(40, 80, 2)}

    def rated(body, text):
        return reply(body, text, places=[place(values, "50")], choices=["50"])

    server.always = rated
    question = Question("How much support, from 0 to 100?", scale=(0, 100))
    got = label(["a letter"], question, point(server), cache=None)
    assert got.method.tolist() == ["logprobs"]
    assert got.rating == pytest.approx([59.0])
    assert got.mass == pytest.approx([0.97])
    assert got.rating_sd == pytest.approx([np.std(np.arange(40, 80, 2))])
    assert got.surrogate == "llm_rating"


def test_a_short_scale_still_wants_every_rating(server):
    server.always = lambda body, text: reply(
        body, text, places=[place({"3": 0.6, "4": 0.3})], choices=["3"] * body.get("n", 1)
    )
    got = label(["a letter"], Question("How friendly?", scale=(1, 7)), point(server), cache=None)
    assert got.method.tolist() == ["votes"]


# ---- further answers ----------------------------------------------------------------------------------------


def test_none_of_these_is_an_answer(server):
    question = Question("About?", classes=["tax", "war"], other="none of these")
    assert question.labels == ("tax", "war", "none of these")
    shown = question.messages("x")[-1]["content"]
    assert "Labels: tax, war, none of these" in shown
    assert "Answer none of these where no other label applies." in shown
    chance = {"tax": 0.1, "war": 0.2, "none": 0.7}
    server.always = lambda body, text: reply(body, text, places=[place(chance)], choices=["none of these"])
    got = label(["a letter"], question, point(server), cache=None)
    assert got.label.tolist() == ["none of these"]
    assert got.probabilities == pytest.approx(np.array([[0.1, 0.2, 0.7]]))


def refuses(body, text):
    if "awful" not in text:
        return None
    return reply(body, text, choices=["I'm sorry, but I can't help with that."] * body.get("n", 1))


def filtered(body, text):
    if "awful" not in text:
        return None
    return (400, {}, '{"error": {"code": "content_filter", "message": "The response was filtered."}}')


def cut_off(body, text):
    if "awful" not in text:
        return None
    answer = reply(body, text, choices=["x"])
    answer["choices"][0] |= {"finish_reason": "content_filter", "message": {"content": None, "refusal": "no"}}
    return answer


@pytest.mark.parametrize("method", ["auto", "votes", "json"])
@pytest.mark.parametrize("fault", [refuses, filtered, cut_off])
def test_a_refusal_is_an_answer_where_it_counts_as_one(server, fault, method):
    server.always = fault
    texts = ["letter p=0.8 end", "an awful letter"]
    plain = Question("For the tram?", classes=["yes", "no"])
    with pytest.raises(EndpointError, match="1 of 2 texts have no label"):
        label(texts, plain, point(server, retries=0), method=method, cache=None)
    question = Question("For the tram?", classes=["yes", "no"], refusal="refused")
    got = label(texts, question, point(server, retries=0), method=method, cache=None)
    assert got.label.tolist() == ["yes", "refused"]
    assert got.probabilities[1].tolist() == [0, 0, 1]
    assert got.status[1] != "ok"
    assert got.surrogate == ["llm_p_yes", "llm_p_no", "llm_p_refused"]
    assert question.messages("x") == plain.messages("x"), "the model does not see it"


def test_some_refusals_among_answers(server):
    answers = ["yes", "no", "I cannot assist with that request.", "yes"]
    server.always = lambda body, text: reply(body, text, choices=answers)
    question = Question("For the tram?", classes=["yes", "no"], refusal="refused")
    got = label(["a letter"], question, point(server), method="votes", votes=4, cache=None)
    assert got.probabilities == pytest.approx(np.array([[0.5, 0.25, 0.25]]))


@pytest.mark.parametrize(
    ("answer", "refusal"),
    [
        ("I'm sorry, I can't assist with that.", True),
        ("I\u2019m unable to label this text.", True),
        ("As an AI language model, I do not judge.", True),
        ("I cannot see that the writer wants the tram: no", False),
        ("Sorry state of affairs", False),
        ("no", False),
        ("refuse", False),
    ],
)
def test_what_a_refusal_is(answer, refusal):
    assert declines(answer) is refusal


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"scale": (1, 7), "other": "none"}, "other= is for classes"),
        ({"scale": (1, 7), "several": True}, "several= is for classes"),
        ({"classes": ["a", "b"], "several": True, "other": "none"}, "not needed"),
        ({"classes": ["a", "b"], "refusal": "a"}, "is also a class"),
        ({"classes": ["a", "b"], "other": " "}, "other=' ' is not allowed"),
        ({"classes": ["a", "b"], "other": "A."}, "two or more different words"),
    ],
)
def test_what_does_not_go_together(settings, message):
    with pytest.raises(ArgumentError, match=message):
        Question("About?", **settings)


def test_questions_without_further_answers_are_what_they_were():
    """Answers in caches stay good: nothing that is not asked for enters a digest or a prompt."""
    question = Question("Is the letter for the tram?", classes={1: "yes", 0: "no"})
    assert set(question.describe()) == {"instruction", "labels", "words", "scale", "examples", "system", "template"}
    assert "structured" not in Endpoint("http://127.0.0.1:1/v1", "m").describe()


# ---- broader codes ------------------------------------------------------------------------------------------


def test_broader_codes_add_up(server):
    book = Codebook("topic", "About?", [Code("tax", parent="economy"), Code("jobs", parent="economy"), Code("war")])
    chance = {"tax": 0.3, "jobs": 0.25, "war": 0.45}
    server.always = lambda body, text: reply(body, text, places=[place(chance)], choices=["war"])
    fine = label(["a letter"], book.ask(), point(server), cache=None)
    broad = fine.rolled_up(book.parents)
    assert (fine.label[0], broad.label[0]) == ("war", "economy")
    assert broad.classes == ("economy", "war")
    assert broad.probabilities == pytest.approx(np.array([[0.55, 0.45]]))
    assert broad.surrogate == {"economy": "topic_llm_p_economy", "war": "topic_llm_p_war"}
    assert math.isclose(broad.probabilities.sum(), 1)
