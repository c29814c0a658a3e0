"""A protocol is laid down before labels are made; gold on which it was chosen is not taken for a random sample."""

import json
import sqlite3
import zipfile
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import karat as kt
from karat.annotate import Codebook, Endpoint, Question, Study, drift, read_study, verify
from karat.errors import ArgumentError, BudgetError, DataError, ProtocolError

from .server import reply

BOOK = Codebook("support", "Does the writer want the tram?", {"yes": "Wants it.", "no": "Does not."})


@pytest.fixture
def corpus():
    rng = np.random.default_rng(1)
    p = rng.uniform(0.05, 0.95, 120).round(3)
    texts = [f"letter {i} p={chance} end" for i, chance in enumerate(p)]
    support = np.where(rng.random(120) < p, "yes", "no")
    return pd.DataFrame({"letter": range(120), "text": texts, "car": rng.integers(0, 2, 120), "support": support})


@pytest.fixture
def sample(corpus):
    return kt.SimpleRandom(n=60).draw(corpus.drop(columns="support"), seed=3, id="letter")


def gold_of(corpus, sample):
    return corpus.assign(support=corpus["support"].where(sample.labelled))


def point(server, **settings):
    return Endpoint(server.url, "m", **{"backoff": 0.01, "timeout": 5.0, "retries": 1, "price": (2.0, 10.0)} | settings)


@pytest.fixture
def study(sample, tmp_path):
    return Study(BOOK, sample, budget=1.0, cache=tmp_path / "cache")


def test_trials_see_development_rows_only(server, corpus, sample, study):
    questions = {"plain": BOOK.ask(), "strict": BOOK.ask(instruction="Does the writer say so?")}
    seen = corpus.assign(support=corpus["support"].where(study.development.labelled))  # no other gold is there yet
    tried = study.try_out(seen, questions, point(server), text="text")
    asked = {t for t in server.texts}
    assert asked == set(corpus["text"][study.development.labelled])
    table = tried.table()
    assert list(table.index) == [("plain", "m"), ("strict", "m")]
    assert (table["n"] == 20).all()
    assert tried.best() in list(table.index)
    p = tried.members[0].probabilities[:, 0]
    y = (corpus["support"][study.development.labelled] == "yes").to_numpy().astype(float)
    assert table["right"].iloc[0] == pytest.approx(np.mean((p > 0.5) == y))
    assert table["r_squared"].iloc[0] == pytest.approx(1 - ((y - p) ** 2).sum() / ((y - y.mean()) ** 2).sum())
    assert table["log_score"].iloc[0] == pytest.approx(np.log(np.where(y == 1, p, 1 - p)).mean())
    with pytest.raises(DataError, match="20 development rows have no 'support'"):
        study.try_out(corpus.assign(support=None), questions, point(server), text="text")


def test_from_codebook_to_estimate(server, corpus, sample, study):
    locked = study.lock(BOOK.ask(), point(server))
    labels = locked.label(corpus.drop(columns="support"), text="text")
    gold = gold_of(corpus, sample)
    fit = locked.fit(kt.shares, "support", labels, gold, seed=1)
    by_hand = kt.shares(
        "support", labels.join(gold), surrogates={"support": labels.surrogate}, design=study.inference.design, seed=1
    )
    assert fit.coef().equals(by_hand.coef())
    assert fit.se().equals(by_hand.se())
    assert fit.n_gold == 60
    shuffled = gold.sample(frac=1, random_state=1).reset_index(drop=True)
    other = locked.fit(kt.shares, "support", locked.label(shuffled, text="text"), shuffled, seed=1)
    assert other.coef().to_numpy() == pytest.approx(fit.coef().to_numpy())


def test_nothing_is_labelled_before_the_protocol_is_laid_down(corpus, study):
    with pytest.raises(ProtocolError, match="no protocol is laid down"):
        study.label(corpus, text="text")


def test_another_protocol_is_refused_by_name(server, corpus, sample, study):
    locked = study.lock(BOOK.ask(), point(server))
    gold = gold_of(corpus, sample)
    other = study.lock(BOOK.ask(instruction="Otherwise?"), point(server)).label(corpus, text="text")
    with pytest.raises(ProtocolError, match=r"question\.instruction is .*Otherwise"):
        locked.fit(kt.shares, "support", other, gold)
    with pytest.raises(ProtocolError, match=r"model\.parameters\.seed is 3 where null"):
        locked.check(study.lock(BOOK.ask(), point(server, parameters={"seed": 3})).label(corpus, text="text"))
    with pytest.raises(ProtocolError, match='method is "votes" where "auto"'):
        locked.check(study.lock(BOOK.ask(), point(server), method="votes").label(corpus, text="text"))
    with pytest.raises(ProtocolError, match="laid down already"):
        locked.lock(BOOK.ask(), point(server))
    with pytest.raises(ProtocolError, match="trials come before"):
        locked.try_out(gold, BOOK.ask(), point(server), text="text")
    with pytest.raises(ProtocolError, match="model is another one"):
        locked.label(corpus, text="text", model=point(server, max_tokens=20))
    locked.label(corpus, text="text", model=point(server, concurrency=2, price=(1.0, 1.0)))
    with pytest.raises(ArgumentError, match="the question has the classes"):
        study.lock(Question("Is it?", classes=["a", "b"]), point(server))


def test_development_gold_is_not_taken_for_a_random_sample(server, corpus, sample, study):
    locked = study.lock(BOOK.ask(), point(server))
    labels = locked.label(corpus, text="text")
    for design in (sample.design, study.development.design):
        with pytest.raises(ProtocolError, match="design is that of the study"):
            locked.fit(kt.shares, "support", labels, gold_of(corpus, sample), design=design)
    with pytest.raises(ProtocolError, match="design is the development part"):
        kt.shares(
            "support",
            labels.join(gold_of(corpus, study.development)),
            surrogates={"support": labels.surrogate},
            design=study.development.design,
        )


def test_examples_come_from_development_rows(server, corpus, sample, study):
    gold = gold_of(corpus, sample)
    rest = study.inference.labelled & ~study.development.labelled

    def shown(row):
        return BOOK.ask(examples=[(corpus["text"][row], corpus["support"][row])])

    with pytest.raises(ProtocolError, match="shows 1 texts of the inference part"):
        study.lock(shown(np.flatnonzero(rest)[0]), point(server)).label(gold, text="text")
    locked = study.lock(shown(study.development.positions[0]), point(server))
    fit = locked.fit(kt.shares, "support", locked.label(gold, text="text"), gold, seed=1)
    assert fit.n_gold == 59


def test_the_budget_is_that_of_the_whole_study(server, corpus, sample, tmp_path):
    study = Study(BOOK, sample, budget=0.006, cache=tmp_path)
    tried = study.try_out(gold_of(corpus, sample), BOOK.ask(), point(server), text="text")
    first = tried.members[0].cost.amount
    assert 0 < first < 0.006
    with pytest.raises(BudgetError, match="budget does not pay"):
        study.lock(BOOK.ask(instruction="Another question?"), point(server)).label(corpus, text="text")
    paid = len(server.requests)
    assert 20 < paid < 120, "what the trials have cost counts"
    elsewhere = BOOK.ask(instruction="Asked outside the study?")
    kt.annotate.label(corpus, elsewhere, point(server), text="text", cache=tmp_path, budget=0.05)


def test_probes_are_under_the_budget_of_the_study(server, corpus, sample, tmp_path):
    """Whatever is asked, and in whatever order: the sum of all bills stays below the budget."""
    letters = corpus.assign(text=[f"{t} {' '.join('abcdefghijklmnopqr')}" for t in corpus["text"]])
    asks = {
        "recall": lambda study: study.recall(letters, text="text"),
        "order": lambda study: study.order_effect(letters, text="text", orders=2),
        "drift": lambda study: study.ask_again(letters, made, text="text", n=40, occasion="June"),
    }
    free = Study(BOOK, sample, cache=tmp_path / "free").lock(BOOK.ask(), point(server))
    made = free.label(letters, text="text")
    for budget in (0.01, 0.03):
        for first in asks:
            folder = tmp_path / f"{budget}{first}"
            study = replace(free, budget=budget, cache=folder)
            before = len(server.requests)
            stopped = 0
            for ask in (asks[first], *asks.values()):
                try:
                    ask(study)
                except BudgetError:
                    stopped += 1
            assert stopped, "the budget does not pay for all"
            sent = len(server.requests) - before
            assert 0.2 * budget < sent * 1.1e-4 <= budget, "50 prompt tokens and one more, each time"
            with sqlite3.connect(folder / "answers.sqlite") as link:
                assert link.execute("SELECT SUM(cost) FROM answers").fetchone()[0] <= budget * 1e12
    with pytest.raises(ArgumentError, match="budget= is that of the study"):
        free.recall(letters, text="text", budget=3)
    with pytest.raises(ProtocolError, match="no protocol is laid down"):
        Study(BOOK, sample, cache=tmp_path / "free").order_effect(letters, text="text")


def test_a_study_comes_back_from_its_file(server, corpus, sample, study, tmp_path):
    question = BOOK.ask(examples=[("letter of somebody else", "yes")])
    locked = study.lock(question, point(server, parameters={"seed": 2}), votes=7)
    locked.save(tmp_path / "study.json")
    back = read_study(tmp_path / "study.json", cache=tmp_path / "cache")
    assert back.protocol.hash == locked.protocol.hash
    assert back.name == locked.name
    assert (back.inference.probability == locked.inference.probability).all()
    labels = locked.label(corpus, text="text")
    sent = len(server.requests)
    again = back.label(corpus, text="text", model=point(server, parameters={"seed": 2}))
    assert len(server.requests) == sent
    assert np.array_equal(again.probabilities, labels.probabilities, equal_nan=True)
    back.check(labels)
    text = (tmp_path / "study.json").read_text()
    (tmp_path / "study.json").write_text(text.replace("somebody", "anybody"))
    with pytest.raises(DataError, match="edited or damaged"):
        read_study(tmp_path / "study.json")


def test_labels_that_were_read_in_another_way_are_refused(server, corpus, study):
    locked = study.lock(BOOK.ask(), point(server))
    labels = locked.label(corpus, text="text")
    locked.check(labels)
    record = {key: value for key, value in labels.provenance.items() if key != "reading"}  # as releases before wrote it
    with pytest.raises(ProtocolError, match="reading is 1 where 2 is laid down"):
        locked.check(replace(labels, provenance=record))


# ---- the archive --------------------------------------------------------------------------------------------


@pytest.fixture
def kept(server, corpus, sample, study, tmp_path):
    locked = study.lock(BOOK.ask(), point(server))
    labels = locked.label(corpus, text="text")
    return locked, labels


@pytest.mark.parametrize("ending", ["", ".zip"])
def test_an_archive_is_verified_and_replayed_without_asking(server, corpus, sample, kept, tmp_path, ending):
    locked, labels = kept
    gold = gold_of(corpus, sample)
    path = locked.archive(tmp_path / f"study{ending}", labels, gold, text="text")
    sent = len(server.requests)
    server.close()
    found = verify(path, gold, text="text")
    assert found.ok, str(found)
    assert "120 labels read again from 120 replies" in str(found)
    assert len(server.requests) == sent
    texts = [p.read_text() for p in path.rglob("*.json*")] if path.is_dir() else []
    assert not any("letter 7 " in text for text in texts), "texts are not written"
    with pytest.raises(ArgumentError, match="is there already"):
        locked.archive(path, labels, gold, text="text")


def test_what_was_changed_is_said(corpus, sample, kept, tmp_path):
    locked, labels = kept
    gold = gold_of(corpus, sample)
    path = locked.archive(tmp_path / "study", labels, gold, text="text")

    def change(name, old, new):
        text = (path / name).read_text()
        assert old in text
        *before, last = text.splitlines()
        changed = "\n".join([*before, last.replace(old, new)]) if old in last else text.replace(old, new, 1)
        (path / name).write_text(changed)
        found = verify(path, gold, text="text").differences
        (path / name).write_text(text)
        return " ".join(found)

    assert "replies.jsonl was changed" in change("replies.jsonl", "logprob", "logprop")
    assert "1 of 120 labels are not what the replies say" in change("replies.jsonl", "logprob", "logprop")
    assert "labels: question.instruction" in change("labels.json", "Does the writer", "Did the writer")
    assert "edited or damaged" in change("study.json", "Does the writer", "Did the writer")
    (path / "more.txt").write_text("x")
    assert "more.txt is not in the manifest" in str(verify(path))
    (path / "more.txt").unlink()
    other = gold.assign(text=gold["text"].str.replace("letter 7 ", "letter x "))
    assert "not hold the rows" in str(verify(path, other, text="text"))
    assert not verify(path, gold.drop(index=3), text="text").ok
    manifest = json.loads((path / "manifest.json").read_text())
    manifest["protocol"] = "0" * 32
    (path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(DataError, match="edited or damaged"):
        verify(path)


def test_fits_are_held_against_the_archive(corpus, sample, tmp_path, server):
    book = Codebook(
        "support", "Does the writer want the tram?", [kt.annotate.Code(1, "yes"), kt.annotate.Code(0, "no")]
    )
    data = corpus.assign(support=(corpus["support"] == "yes").astype(float))
    study = Study(book, sample, cache=tmp_path / "cache").lock(book.ask(), point(server))
    labels, gold = study.label(data, text="text"), gold_of(data, sample)
    fit = study.fit(kt.ols, "support ~ car", labels, gold, seed=1)
    path = study.archive(tmp_path / "study.zip", labels, gold, text="text", fits={"main": fit})
    assert verify(path, fits={"main": study.fit(kt.ols, "support ~ car", labels, gold, seed=1)}).ok
    found = verify(path, fits={"main": study.fit(kt.ols, "support ~ car", labels, gold, seed=1, vcov="HC0")})
    assert "the fit 'main' has other covariances" in str(found)
    assert "other coefficients" in str(verify(path, fits={"main": study.fit(kt.ols, "support ~ 1", labels, gold)}))
    assert "cannot be read" in str(verify(path, fits={"side": fit}))


def test_what_is_no_archive_is_refused(kept, corpus, tmp_path):
    locked, labels = kept
    (tmp_path / "a.zip").write_text("x")
    with pytest.raises(DataError, match="not an archive"):
        verify(tmp_path / "a.zip")
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as packed:
        packed.writestr("x", "y")
    with pytest.raises(DataError, match="manifest"):
        verify(tmp_path / "b.zip")
    with pytest.raises(DataError, match="cannot be read"):
        verify(tmp_path / "c.zip")
    empty = Study(BOOK, locked.sample, cache=tmp_path / "elsewhere", protocol=locked.protocol)
    with pytest.raises(DataError, match="archive with the cache"):
        empty.archive(tmp_path / "d.zip", labels, corpus, text="text")


# ---- drift --------------------------------------------------------------------------------------------------


def test_the_same_model_has_not_drifted(server, corpus, kept):
    locked, labels = kept
    sent = len(server.requests)
    found = locked.ask_again(corpus, labels, text="text", n=40, occasion="June")
    assert len(server.requests) == sent + 40, "nothing comes from the cache"
    assert (found.n, found.changed, found.p_shift) == (40, 0, 1.0)
    assert found.low == 0
    locked.ask_again(corpus, labels, text="text", n=40, occasion="June")
    assert len(server.requests) == sent + 40, "on the same occasion nothing is paid twice"


def test_another_model_behind_the_name_is_found(server, corpus, kept):
    locked, labels = kept
    server.always = lambda body, text: reply(body, f"p={max(float(text.split('p=')[1].split()[0]) - 0.2, 0.01)}")
    found = locked.ask_again(corpus, labels, text="text", n=60, occasion="June")
    assert found.low > 0.02
    assert found.low < found.share < found.high
    assert found.p_shift < 0.01
    assert "labels changed" in str(found)


def annotation(p, ids=None):
    p = np.column_stack([p, 1 - np.asarray(p)])
    n = len(p)
    text = np.array(["ok"] * n, dtype=object)
    cost = kt.annotate.Cost(0.0, "USD", 0, 0, 0, 0, 0, 0, False)
    shown = np.zeros(n, dtype=bool)
    return kt.annotate.Annotation(np.arange(n), ("a", "b"), p, np.ones(n), text, text, shown, "x", "m", False, {}, cost)


def test_figures_of_drift():
    """Against what the textbook formulas give."""
    from scipy import stats

    rng = np.random.default_rng(1)
    p = rng.uniform(0, 1, 200)
    after = np.where(np.arange(200) < 30, 1 - p, p)
    again = np.where(np.arange(200) >= 195, 1 - p, p)
    found = drift(annotation(p), annotation(after), again=annotation(again))
    assert found.changed == 30
    assert found.low == pytest.approx(stats.beta.ppf(0.025, 30, 171))
    assert found.high == pytest.approx(stats.beta.ppf(0.975, 31, 170))
    assert found.p_excess == pytest.approx(stats.binom.sf(29, 35, 0.5))
    assert found.moved == pytest.approx(np.abs(after - p).mean())


def test_the_test_of_a_shift_holds_its_level():
    rng = np.random.default_rng(2)
    values = []
    for _ in range(60):
        p, q = (rng.beta(2, 2, 40) for _ in range(2))
        values.append(drift(annotation(p), annotation(q)).p_shift)
    assert np.mean(np.array(values) < 0.1) < 0.1 + 3 * np.sqrt(0.1 * 0.9 / 60)
    assert abs(np.mean(values) - 0.5) < 3 * np.sqrt(1 / 12 / 60)


def test_other_texts_are_not_compared(kept):
    _, labels = kept
    with pytest.raises(DataError, match="other texts"):
        drift(labels, labels.take(np.arange(5)))
