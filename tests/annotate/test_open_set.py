"""Documents that fit no code: scores, their share through gold, proposals for new codes."""

import numpy as np
import pandas as pd
import polars as pl
import pytest

import karat as kt
from karat.annotate import open_set
from karat.errors import ArgumentError, DataError

from ..statistical.open_set import Scene, corpus, study

KNOWN = ["the tram runs late on the bridge", "the bus line is too loud", "tickets for the tram cost too much"]
NEW = ["storks nest on the church roof", "a pair of storks raised chicks", "storks feed on frogs in meadows"]
OTHER = ["the choir sang carols at dusk", "a concert of the choir and brass", "carols were sung by the choir"]


def annotation(p, classes, **changes):
    return kt.annotate.Annotation(
        ids=np.arange(len(p)), classes=classes, probabilities=np.asarray(p, float),
        mass=changes.pop("mass", np.ones(len(p))), method=np.full(len(p), "logprobs"), status=np.full(len(p), "ok"),
        shown=np.zeros(len(p), bool), name="llm", worker="m",
        numeric=False, provenance={"question": changes.pop("question", {})},
        cost=kt.annotate.Cost(0.0, "", 0, 0, 0, 0, 0, 0, False), **changes,
    )  # fmt: skip


def test_scores_by_hand():
    p = np.array([[0.7, 0.2, 0.1], [1 / 3, 1 / 3, 1 / 3], [np.nan] * 3])
    scores = open_set(p).scores
    assert scores["entropy"][0] == pytest.approx(
        -(0.7 * np.log(0.7) + 0.2 * np.log(0.2) + 0.1 * np.log(0.1)) / np.log(3)
    )
    assert scores["entropy"][1:] == pytest.approx([1, 1]), "a text without a label is as unclear as can be"
    assert scores["unsure"] == pytest.approx([0.3, 2 / 3, 2 / 3])
    labels = annotation(p[:2], ("law", "war", "rest"), mass=np.array([0.9, 0.5]), question={"other": "rest"})
    scores = open_set(labels).scores
    assert scores["energy"] == pytest.approx([-np.log(0.9), -np.log(0.5)])
    assert scores["none"] == pytest.approx([0.1, 1 / 3])


def test_refusals_say_nothing_about_the_text():
    labels = annotation([[0.4, 0.4, 0.2], [0, 0, 1.0]], ("a", "b", "refused"), question={"refusal": "refused"})
    assert open_set(labels).scores["entropy"] == pytest.approx([1, 1])
    labels = annotation([[0.9, 0.0, 0.1], [0, 0, 1.0]], ("a", "b", "refused"), question={"refusal": "refused"})
    assert open_set(labels).scores["entropy"] == pytest.approx([0, 1])
    labels = annotation(
        [[0.9, 0.2, 0.0], [0.0, 0.0, 1.0]], ("a", "b", "refused"), question={"refusal": "refused"}, several=True
    )
    assert open_set(labels).scores["none"] == pytest.approx([0.08, 0.25])


def test_several_codes_may_hold():
    labels = annotation([[0.9, 0.8], [0.1, 0.2], [0.5, 0.5]], ("a", "b"), several=True)
    scores = open_set(labels).scores
    assert scores["none"] == pytest.approx([0.1 * 0.2, 0.9 * 0.8, 0.25])
    assert scores["entropy"].argmax() == 2


def test_distance_of_gold_does_not_hang_on_its_own_code():
    rng = np.random.default_rng(3)
    features = rng.normal(size=(60, 4))
    codes = np.array(["law", "war"] * 12 + [None] * 36, dtype=object)
    codes[[0, 1]] = "none"
    base = open_set(np.full((60, 2), 0.5), {"t": codes}, features=features, gold="t", none="none").scores["distance"]
    for row in (0, 5):
        changed = codes.copy()
        changed[row] = "law" if codes[row] == "none" else "none"
        other = open_set(np.full((60, 2), 0.5), {"t": changed}, features=features, gold="t", none="none").scores[
            "distance"
        ]
        assert other[row] == base[row]
        assert (other != base).any()
    order = rng.permutation(60)
    moved = open_set(
        np.full((60, 2), 0.5), {"t": codes[order]}, features=features[order], gold="t", none="none"
    ).scores["distance"]
    assert moved == pytest.approx(base[order])


@pytest.mark.parametrize("library", [pd.DataFrame, pl.DataFrame])
def test_share_and_scores_in_the_data(library):
    frame, p, features = corpus(Scene(outside=0.15, clear=3.0), np.random.default_rng(1))
    sample = kt.SimpleRandom(n=150).draw(frame, seed=1, id="row")
    labelled = kt.datasets.mask_gold(frame, sample, "topic")
    data = library({c: [None if pd.isna(v) else v for v in labelled[c].tolist()] for c in labelled})
    found = open_set(p, data, features=features, gold="topic", none="none")
    joined = found.join(data)
    assert type(joined) is type(data)
    assert found.columns == ["model_open_entropy", "model_open_unsure", "model_open_distance"]
    assert set(found.columns) <= set(joined.columns)
    fit = found.share(kt.mean, data, "topic", "none", design=sample, learner="linear", seed=1)
    assert fit.n_gold == 150
    assert abs(fit.coef().iloc[0] - (frame["topic"] == "none").mean()) < 3 * fit.se().iloc[0]
    gone = np.where(labelled["topic"].isna(), np.nan, labelled["topic"] == "none")
    table = found.join(labelled).assign(gone=gone)
    by_hand = kt.mean("gone", table, surrogates={"gone": found.columns}, design=sample, learner="linear", seed=1)
    assert fit.coef().iloc[0] == pytest.approx(by_hand.coef().iloc[0], abs=1e-12)


def test_share_is_covered():
    """A few repetitions of the study: coverage within four Monte Carlo errors, width below that of gold alone."""
    found = study(Scene(clear=3.0, n_rows=600, gold=120), 16, first=100)
    assert found["coverage"] > 0.95 - 4 * found["mc_error"]
    assert found["width"] < 0.95
    assert abs(found["bias"]) < 4 / np.sqrt(16)


def test_proposals_find_what_the_codebook_lacks():
    rng = np.random.default_rng(5)
    texts = [str(rng.choice(KNOWN)) + f" {w}" for w in rng.choice(["today", "again", "now"], 180)]
    texts += [str(rng.choice(NEW)) + " here" for _ in range(12)] + [str(rng.choice(OTHER)) + " here" for _ in range(10)]
    outside = np.arange(202) >= 180
    top = np.where(outside, rng.uniform(0.34, 0.6, 202), rng.uniform(0.7, 1.0, 202))
    p = np.column_stack([top, (1 - top) / 2, (1 - top) / 2])
    data = {"body": texts}
    found = open_set(p, data, text="body").proposals(data, "body", share=22 / 202)
    assert set(found.positions) == set(np.flatnonzero(outside))
    assert len(found.words) >= 2
    assert {"storks", "choir"} <= {word for words in found.words for word in words}
    assert all(not {"tram", "bus"} & set(words) for words in found.words)
    two = open_set(p, data, text="body").proposals(data, "body", share=22 / 202, n_codes=2)
    assert sorted(two.table["documents"]) == [10, 12]
    birds = [text in [f"{t} here" for t in NEW] for text in two.documents[0]]
    assert all(birds)
    codes = two.codes(["birds", "music"])
    assert [code.value for code in codes] == ["birds", "music"]
    assert "storks" in codes[0].definition
    assert codes[0].examples == ()
    book = kt.annotate.Codebook("topic", "What is it about?", codes, other="none of these")
    assert book.ask().labels == ("birds", "music", "none of these")


def test_gold_weighs_the_scores():
    """One score is noise, the other tells all: with gold the second counts."""
    rng = np.random.default_rng(2)
    outside = rng.random(400) < 0.15
    top = rng.uniform(0.4, 1.0, 400)
    features = np.where(outside[:, None], [0.0, 1.0], [1.0, 0.0]) + rng.normal(scale=0.05, size=(400, 2))
    codes = np.where(outside, "none", "law").astype(object)
    codes[rng.random(400) < 0.6] = None
    data = {"body": [f"text {i}" for i in range(400)], "topic": codes}
    found = open_set(np.column_stack([top, 1 - top]), data, features=features, gold="topic", none="none")
    some = found.proposals(data, "body", gold="topic", none="none", share=outside.mean(), n_codes=2).positions
    blind = found.proposals(data, "body", share=outside.mean(), n_codes=2).positions
    assert outside[some].mean() > 0.95
    assert outside[blind].mean() < outside[some].mean()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: open_set([[0.5, 0.6]]), "adding up to 1"),
        (lambda: open_set([0.5, 0.5]), r"shape \(2,\)"),
        (lambda: open_set(np.full((4, 2), np.nan)), "no label at all"),
        (lambda: open_set(np.full((4, 2), 0.5), gold="t"), "need text= or features="),
        (lambda: open_set(np.full((4, 2), 0.5), text="t"), "needs data="),
        (lambda: open_set(np.full((4, 2), 0.5), {"t": ["a"] * 3}, text="t"), "3 rows, 4 were labelled"),
        (lambda: open_set(np.full((4, 2), 0.5), {"t": ["a"] * 4}, text="t", features=np.eye(4)), "both given"),
        (lambda: open_set(np.full((4, 2), 0.5), {"t": ["a"] * 4}, features=np.eye(3)), r"shape \(3, 3\)"),
        (
            lambda: open_set(np.full((4, 2), 0.5), {"t": ["a", None, None, None]}, features=np.eye(4), gold="t"),
            "need 4 or more",
        ),
        (
            lambda: open_set(np.full((4, 2), 0.5)).share(kt.mean, {"t": ["a", "b", None, None]}, "t", "none"),
            "no gold row of 't' holds none='none'",
        ),
        (
            lambda: open_set(np.full((4, 2), 0.5)).share(kt.mean, {"t": ["a", "b", None, None]}, "t", None),
            "none= is needed",
        ),
        (lambda: open_set(np.full((4, 2), 0.5)).share("mean", {"t": ["a", "b", None, None]}, "t", "a"), "give kt.mean"),
        (
            lambda: open_set(np.full((4, 2), 0.5)).share(
                kt.mean, {"t": ["a", "b", None, None]}, "t", "a", surrogates={}
            ),
            "leave them out",
        ),
        (
            lambda: open_set(np.full((4, 2), 0.5)).join({"model_open_entropy": [1, 2, 3, 4]}),
            "column 'model_open_entropy' already",
        ),
        (lambda: open_set(np.full((4, 2), 0.5)).proposals({"t": ["a"] * 4}, "t"), "too few, or too much alike"),
        (lambda: open_set(np.full((4, 2), 0.5)).proposals({"t": ["a"] * 4}, "t", share=0), "share=0"),
    ],
)
def test_what_cannot_be_scored_is_named(call, message):
    with pytest.raises((ArgumentError, DataError), match=message):
        call()
