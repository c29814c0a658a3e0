"""Passages asked of models: quoted, found again in the text, counted, held against those of people."""

import json

import numpy as np
import pandas as pd
import pytest

import karat as kt
from karat.annotate import Codebook, Endpoint, LocalModel, SpanQuestion, Study, label, read_study, submit, verify
from karat.annotate.located import Quote, located
from karat.errors import ArgumentError, BudgetError, DataError, EndpointError

from .batch_server import BatchServer
from .server import reply

QUESTION = SpanQuestion("Mark what is said against people.", classes={"threat": "threat", "slur": "insult"})
TEXTS = ["I will come back, you fool.", "A fine day.", "You fool! You FOOL!"]


def point(server, **settings):
    given = {"backoff": 0.01, "timeout": 5.0, "retries": 1, "concurrency": 2, "price": (2.0, 10.0)}
    return Endpoint(server.url, "m", **given | settings)


def marks(body, text):
    """Marks words that stand in the text, as often as they do."""
    said = [{"label": "threat", "quote": w, "before": ""} for w in ("come back", "hit you") if w in text]
    said += [{"label": "insult", "quote": "fool", "before": ""}] * text.lower().count("fool")
    answers = [json.dumps({"passages": said})] * body.get("n", 1)
    return reply(body, text, choices=answers)


# ---- where quotes stand ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "quotes", "places", "lost"),
    [
        ("You fool, you.", [("you", "")], [(10, 13)], []),  # as it stands, before another case
        ("You FOOL.", [("fool", "")], [(4, 8)], []),
        ("A  long\nway", [("long way", "")], [(3, 11)], []),
        ("It\u2019s \u201cover\u201d", [('it\'s "over"', "")], [(0, 11)], []),
        ("one two one", [("one", "")], [], ["stands 2 times"]),
        ("one two one", [("one", ""), ("one", "")], [(0, 3), (8, 11)], []),
        ("one two one", [("one", ""), ("one", ""), ("one", "")], [], ["stands 2 times"] * 3),
        ("one two one", [("one", "two")], [(8, 11)], []),
        ("one two one", [("one", "six")], [], ["stands 2 times"]),
        ("a party, an art", [("art", "")], [(12, 15)], []),
        ("trams", [("tram", "")], [(0, 4)], []),
        ("all of it", [("all", ""), ("all of it", ""), ("of it", "")], [(0, 3), (0, 9), (4, 9)], []),
        ("abc", [("abd", "")], [], ["does not stand in the text"]),
        ("", [("a", "")], [], ["does not stand in the text"]),
        ("abc", [("abc", ""), ("abc", "")], [(0, 3)], []),  # once, however often it is said
        ("aaa b", [("aa", "")], [], ["stands 2 times"]),
        ("x (y", [("(y", "")], [(2, 4)], []),
    ],
)
def test_quotes_are_placed_or_lost(text, quotes, places, lost):
    found = located([Quote(0, words, before) for words, before in quotes], text, 1)
    assert [(one.start, one.end) for one in found.passages] == places
    assert [one.why for one in found.lost] == lost
    assert all(one.text == text[one.start : one.end] for one in found.passages)
    inside = np.zeros(len(text), dtype=bool)
    for start, end in places:
        inside[start:end] = True
    assert (found.p[0], found.counts[0], found.covered[0]) == (bool(places), len(places), inside.sum())


def test_confidence_weighs():
    found = located([Quote(0, "ab", confidence=0.5), Quote(0, "abc", confidence=0.25), Quote(1, "c")], "abcd", 2)
    assert found.p.tolist() == [0.5, 1.0]
    assert found.counts.tolist() == [0.75, 1.0]
    assert found.covered.tolist() == [0.5 * 2 + 0.25, 1.0]


# ---- asked of a model ------------------------------------------------------------------------------------------


def test_passages_become_a_table_and_columns(server, tmp_path):
    server.always = marks
    data = pd.DataFrame({"letter": ["a", "b", "c"], "text": TEXTS})
    got = label(data, QUESTION, point(server), text="text", id="letter", cache=tmp_path, budget=1.0)
    assert got.passages.values.tolist() == [
        ["a", 7, 16, "threat", "come back", 1.0],
        ["a", 22, 26, "slur", "fool", 1.0],
        ["c", 4, 8, "slur", "fool", 1.0],
        ["c", 14, 18, "slur", "FOOL", 1.0],
    ]
    joined = got.join(data)
    assert joined["llm_p_threat"].tolist() == [1, 0, 0]
    assert joined["llm_count_slur"].tolist() == [1, 0, 2]
    assert joined["llm_share_slur"].tolist() == pytest.approx([4 / 27, 0, 8 / 19])
    assert joined["llm_lost"].tolist() == [0, 0, 0]
    texts = dict(zip(data["letter"], TEXTS))
    rows = got.spans().documents(texts, "x")
    assert rows["x_slur_count"].tolist() == [1, 0, 2]
    assert rows["x_slur_share"].tolist() == pytest.approx(joined["llm_share_slur"].tolist())
    assert got.surrogates("x")["x_slur_count"] == "llm_count_slur"
    label(data, QUESTION, point(server), text="text", id="letter", cache=tmp_path)
    assert len(server.requests) == 3, "nothing is paid twice"
    with pytest.raises(BudgetError):
        label(["Other."], QUESTION, point(server), cache=tmp_path, budget=got.cost.amount)


def test_words_that_differ_in_case_are_found_as_often_as_they_are_said():
    """Said twice, it stands twice, once so and once so."""
    found = located([Quote(0, "fool"), Quote(0, "fool")], TEXTS[2], 1)
    assert [one.text for one in found.passages] == ["fool", "FOOL"]


def test_votes_are_shares_of_answers(server):
    def drawn(body, text):
        n = body.get("n", 1)
        one = [{"label": "threat", "quote": "come back"}, {"label": "insult", "quote": "you fool"}]
        two = [{"label": "threat", "quote": "will come back"}]
        said = [json.dumps({"passages": one if k % 4 == 0 else two if k % 4 < 3 else []}) for k in range(n)]
        return reply(body, text, choices=said)

    server.always = drawn
    got = label(TEXTS[:1], QUESTION, point(server), method="votes", votes=8, cache=None)
    assert got.probabilities.tolist() == [[0.75, 0.25]]
    assert got.counts.tolist() == [[0.75, 0.25]]
    assert got.shares[0, 0] == pytest.approx((0.25 * 9 + 0.5 * 14) / 27)
    assert got.passages[["text", "confidence"]].values.tolist() == [
        ["will come back", 0.5], ["come back", 0.25], ["you fool", 0.25],
    ]  # fmt: skip
    assert len(got.spans().table) == 1


def test_what_is_asked(server):
    server.always = marks
    shown = [("Out with you!", [("threat", "Out with you")])]
    question = SpanQuestion("Mark.", ["threat"], examples=shown, confidence=True)
    label(TEXTS[1:2], question, point(server, structured=True), cache=None)
    body = server.requests[0]["body"]
    each = body["response_format"]["json_schema"]["schema"]["properties"]["passages"]["items"]
    assert each["required"] == ["label", "quote", "confidence", "before"]
    assert each["properties"]["label"]["enum"] == ["threat"]
    assert body["temperature"] == 0
    assert body["max_tokens"] >= 256
    assert json.loads(body["messages"][2]["content"])["passages"][0]["quote"] == "Out with you"
    got = label(["Out with you!", TEXTS[1]], question, point(server), cache=None)
    assert got.shown.tolist() == [True, False]


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ("none", "is not a list of passages"),
        ("I'm sorry, but I can't help with that.", "declines"),
        ('{"passages": [{"label": "praise", "quote": "day"}]}', "has the label 'praise'"),
        ('{"passages": [{"label": "threat"}]}', "where a label and a quote belong"),
        ('{"passages": [{"label": "threat", "quote": "day", "start": 3}]}', "where a label and a quote belong"),
        ('{"passages": [{"label": "threat", "quote": " "}]}', "not text"),
        ('{"passages": [{"label": "threat", "quote": "day", "confidence": 3}]}', "not a probability"),
        ('{"passages": ["day"]}', "where a label and a quote belong"),
        ('{"passages": [{"label": "threat", "quote": "da', "not a list of passages"),
    ],
)
def test_answers_that_are_none(server, answer, why):
    server.always = lambda body, text: reply(body, text, choices=[answer])
    with pytest.warns(kt.KaratWarning, match=why):
        got = label(TEXTS[1:2], QUESTION, point(server), cache=None, failures="keep")
    assert not got.labelled.any()
    assert got.marks == (None,)
    assert np.isnan(got.shares).all()


def test_lists_and_fences_are_read_and_lost_quotes_told(server):
    server.always = lambda body, text: reply(
        body, text, choices=['<think>[1]</think>```json\n[{"label": "Insult", "quote": "you idiot"}]\n```']
    )
    with pytest.warns(kt.KaratWarning, match="1 quotes in 1 of 1 texts were not found"):
        got = label(TEXTS[:1], QUESTION, point(server), cache=None)
    assert got.lost.values.tolist() == [[0, "slur", "you idiot", "does not stand in the text"]]
    assert got.probabilities.tolist() == [[0, 0]]
    assert got.join(pd.DataFrame({"t": TEXTS[:1]}))["llm_lost"].tolist() == [1]


def test_a_reply_that_was_cut_is_no_answer(server):
    def cut(body, text):
        out = reply(body, text, choices=['{"passages": [{"label": "threat", "quote": "come'])
        out["choices"][0]["finish_reason"] = "length"
        return out

    server.always = cut
    with pytest.raises(EndpointError, match="cut at max_tokens"):
        label(TEXTS[:1], QUESTION, point(server), cache=None)


def test_saved_and_loaded(server, tmp_path):
    server.always = marks
    got = label(TEXTS, QUESTION, point(server), cache=None)
    got.save(tmp_path / "x.json")
    back = kt.annotate.Annotation.load(tmp_path / "x.json")
    assert back.passages.equals(got.passages)
    assert (back.shares == got.shares).all()
    assert back.take(np.array([2])).passages["text"].tolist() == got.passages["text"].tolist()[2:]


def test_what_is_refused(server):
    for changes, message in (
        ({"scale": (1, 3), "classes": None}, "scale= is not for passages"),
        ({"other": "none"}, "other= is not for passages"),
        ({"classes": []}, "one or more different words"),
        ({"confidence": "yes"}, "confidence="),
        ({"examples": [("a", [("b", "a")])]}, "the label one of"),
    ):
        with pytest.raises(ArgumentError, match=message):
            SpanQuestion(**{"instruction": "Mark.", "classes": ["threat"], **changes})
    with pytest.raises(ArgumentError, match="method='logprobs' is not for a SpanQuestion"):
        label(TEXTS, QUESTION, point(server), method="logprobs", cache=None)
    with pytest.raises(ArgumentError, match="endpoints"):
        label(TEXTS, QUESTION, LocalModel("some/model"), cache=None)
    with pytest.raises(ArgumentError, match="not a form or passages"):
        kt.annotate.order_effect(TEXTS, QUESTION, point(server), cache=None)


def test_in_batches(tmp_path):
    server = BatchServer()
    server.answer = lambda line: {"status_code": 200, "body": marks(line["body"], _asked(line["body"]))}
    batch = submit(TEXTS, QUESTION, point(server), method="json", cache=tmp_path)
    server.work()
    assert len(batch.wait(every=0.01).collect().passages) == 4
    server.close()


def _asked(body):
    return body["messages"][-1]["content"].split("Text:\n")[-1].split("\n\nAnswer")[0]


# ---- against people --------------------------------------------------------------------------------------------


def test_agreement_with_gold_spans_by_hand(server):
    server.always = marks
    data = pd.DataFrame({"letter": ["a", "b", "c"], "text": TEXTS})
    got = label(data, QUESTION, point(server), text="text", id="letter", cache=None)
    rows = [("a", "ann", 2, 16, "threat"), ("a", "ann", 22, 26, "slur"), ("b", "ann", 2, 6, "slur")]
    gold = kt.read_spans(
        pd.DataFrame(rows, columns=["document", "annotator", "start", "end", "label"]), ["threat", "slur"]
    )
    table = got.agreement(gold)
    assert table.loc[("threat", "exact"), ["precision", "recall", "f1"]].tolist() == [0, 0, 0]
    assert table.loc[("threat", "overlapping"), ["precision", "recall", "f1"]].tolist() == [1, 1, 1]
    assert table.loc[("threat", "characters"), ["precision", "recall"]].tolist() == [1, 9 / 14]
    assert table.loc[("slur", "exact"), ["precision", "recall", "f1"]].tolist() == [1, 0.5, 2 / 3]
    assert table.loc[("slur", "exact"), ["ours", "gold"]].tolist() == [1, 2]
    low, high = table.loc[("slur", "exact"), ["recall 2.5%", "recall 97.5%"]]
    assert low < 0.5 < high
    one = kt.read_spans(
        pd.DataFrame([("z", "ann", 0, 1, "slur")], columns=["document", "annotator", "start", "end", "label"]), ["slur"]
    )
    with pytest.raises(DataError, match="'z'"):
        got.agreement(one)


def test_weights_of_the_design_count_and_intervals_cover():
    """Documents drawn with unequal probabilities: figures are those of the corpus."""
    rng = np.random.default_rng(4)
    n = 400
    size = rng.integers(1, 5, n)
    right = rng.binomial(size, np.where(np.arange(n) % 4 == 0, 0.3, 0.8))
    made = annotation([[(3 * j, 3 * j + 2 if j < right[i] else 3 * j + 1) for j in range(size[i])] for i in range(n)])
    frame = pd.DataFrame({"row": range(n), "rare": (np.arange(n) % 4 == 0).astype(int)})
    truth = right.sum() / size.sum()
    inside, estimates = [], []
    for seed in range(40):
        sample = kt.Stratified("rare", n={0: 30, 1: 60}).draw(frame, seed=seed, id="row")
        rows = [(str(i), "ann", 3 * j, 3 * j + 2, "x") for i in sample.positions for j in range(size[i])]
        columns = ["document", "annotator", "start", "end", "label"]
        gold = kt.read_spans(pd.DataFrame(rows, columns=columns), ["x"])
        told = made.agreement(gold, sample).loc[("x", "exact")]
        estimates.append(told["precision"])
        inside.append(told["precision 2.5%"] <= truth <= told["precision 97.5%"])
    assert abs(np.mean(estimates) - truth) < 4 * np.std(estimates) / np.sqrt(40)
    assert abs(np.mean(estimates) - right.sum() / size.sum()) < 0.02
    assert np.mean(inside) > 0.87
    with pytest.raises(DataError, match="was not drawn"):
        made.agreement(gold, kt.SimpleRandom(n=5).draw(frame, seed=1, id="row"))
    with pytest.raises(DataError, match="no person is known to have seen it"):
        made.agreement(gold, kt.SimpleRandom(n=400).draw(frame, seed=1, id="row"))


def test_intervals_are_those_of_an_audit():
    """Documents with one passage each: precision is a share of documents, with the interval of the audit."""
    rng, n = np.random.default_rng(7), 300
    right = rng.random(n) < np.where(np.arange(n) < 240, 0.95, 0.5)
    made = annotation([[(0, 2 if ok else 1)] for ok in right])
    frame = pd.DataFrame({"row": range(n), "rest": (np.arange(n) >= 240).astype(int), "label": 1})
    sample = kt.Stratified("rest", n={0: 20, 1: 40}).draw(frame, seed=1, id="row")
    columns = ["document", "annotator", "start", "end", "label"]
    gold = kt.read_spans(pd.DataFrame([(str(i), "ann", 0, 2, "x") for i in sample.positions], columns=columns), ["x"])
    told = made.agreement(gold, sample).loc[("x", "exact")]
    labelled = kt.datasets.mask_gold(frame.assign(gold=right.astype(int)), sample, "gold")
    expected = kt.labels.audit(labelled, "gold", "label", sample).confusion
    np.testing.assert_allclose(told[["precision 2.5%", "precision 97.5%"]], expected.precision_interval[1, 1])


def annotation(places):
    """An annotation with passages at given places."""
    found = [located([], "", 1) for _ in places]
    passages = [tuple(kt.annotate.located.Passage(a, b, 0, "") for a, b in one) for one in places]
    full = tuple(type(m)(p, (), np.ones(1), np.ones(1), np.ones(1)) for m, p in zip(found, passages))
    n, text = len(places), np.array(["ok"] * len(places), dtype=object)
    cost = kt.annotate.Cost(0.0, "USD", 0, 0, 0, 0, 0, 0, False)
    return kt.annotate.SpanAnnotation(
        np.arange(n), ("x",), np.ones((n, 1)), np.ones(n), text, text, np.zeros(n, dtype=bool), "llm", "m", False, {},
        cost, True, marks=full, lengths=np.full(n, 20),
    )  # fmt: skip


# ---- in a study ------------------------------------------------------------------------------------------------


def test_a_study_of_passages(server, tmp_path):
    server.always = marks
    rng = np.random.default_rng(1)
    texts = [
        f"Letter {i}: {'you fool' if rng.random() < 0.5 else 'well'} and {'come back' if i % 3 else 'go'}."
        for i in range(90)
    ]
    book = Codebook(
        "found", "Mark what is said against people.", [kt.annotate.Code("threat"), kt.annotate.Code("slur", "insult")]
    )
    corpus = pd.DataFrame({"letter": range(90), "text": texts, "x": rng.random(90)})
    sample = kt.SimpleRandom(n=60).draw(corpus, seed=2, id="letter")
    rows = [
        (str(i), "ann", texts[i].index(word), texts[i].index(word) + len(word), code)
        for i in range(90) for word, code in (("come back", "threat"), ("you fool", "slur")) if word in texts[i]
    ]  # fmt: skip
    seen = pd.DataFrame(rows, columns=["document", "annotator", "start", "end", "label"])
    gold = kt.read_spans(seen, ["threat", "slur"])
    variables = gold.documents(dict(zip(map(str, range(90)), texts)), "found").set_index("document")
    for name in ("found_slur_any", "found_slur_share", "found_threat_any"):
        values = variables[name].reindex(map(str, range(90))).fillna(0.0).to_numpy(dtype=float)
        corpus[name] = np.where(sample.labelled, values, np.nan)
    study = Study(book, sample, cache=tmp_path / "cache")
    tried = study.try_out(corpus, {"plain": book.ask(spans=True)}, point(server), text="text")
    assert tried.table()["right"].tolist() == [1.0]
    locked = study.lock(book.ask(spans=True), point(server))
    labels = locked.label(corpus, text="text", id="letter")
    fit = locked.fit(kt.mean, "found_slur_any", labels, corpus, seed=1)
    assert fit.n_gold == 60
    share = locked.fit(kt.ols, "found_slur_share ~ x", labels, corpus, seed=1)
    assert np.isfinite(share.se()).all()
    locked.save(tmp_path / "study.json")
    assert read_study(tmp_path / "study.json").protocol.hash == locked.protocol.hash
    path = locked.archive(tmp_path / "study.zip", labels, corpus, text="text")
    assert verify(path, corpus, text="text").ok
    assert locked.ask_again(corpus, labels, text="text", n=10, occasion="June").changed == 0
