"""Columns of texts for a fit: encoded once, by what they say."""

from __future__ import annotations

import hashlib

import numpy as np
import pandas as pd
import pytest

from karat import SimpleRandom, datasets, ols
from karat.errors import ArgumentError, DataError
from karat.predict import HashingEncoder, TextEncoder
from karat.predict.text import backbone, columns
from karat.predict.text.columns import encoded, named

from .conftest import WORDS

LETTERS = datasets.simulate_texts(130, seed=3)[0]["text"].drop_duplicates()[:120].reset_index(drop=True)


@pytest.fixture(autouse=True)
def nothing_kept():
    columns._kept.clear()


def test_names():
    model = TextEncoder(n_components=5)
    assert named(("a", "b")) == {"a": "hashing", "b": "hashing"}
    assert named({"a": model}) == {"a": model}
    for wrong in (7, [], {}, [1], np.zeros(3)):
        with pytest.raises(ArgumentError, match="text="):
            named(wrong)


def test_rows_in_any_order_and_missing_texts():
    """Each row has the vector of what it says; order, repetitions and the kind of column change no digit."""
    found = encoded(LETTERS, "hashing", "text")
    turn = np.random.default_rng(1).permutation(120)
    columns._kept.clear()
    np.testing.assert_array_equal(encoded(LETTERS.to_numpy()[turn].tolist(), "hashing", "text"), found[turn])
    columns._kept.clear()
    twice = encoded(pd.concat([LETTERS, LETTERS]), "hashing", "text")
    np.testing.assert_array_equal(twice[:120], found)
    np.testing.assert_array_equal(twice[120:], found)
    holes = [*LETTERS[:60], None, "", np.nan]
    some = encoded(holes, HashingEncoder(4), "text")
    np.testing.assert_array_equal(some[60], some[61])
    np.testing.assert_array_equal(some[60], some[62])
    order = np.argsort([hashlib.blake2b(text.encode()).digest() for text in LETTERS])
    np.testing.assert_array_equal(found[order], HashingEncoder(100).fit_transform([LETTERS[i] for i in order]))


def test_encoded_once(monkeypatch):
    calls = []
    fit = HashingEncoder.fit_transform
    monkeypatch.setattr(HashingEncoder, "fit_transform", lambda self, X, y=None: calls.append(len(X)) or fit(self, X))
    first = encoded(LETTERS, "hashing", "text")
    np.testing.assert_array_equal(encoded(LETTERS, "hashing", "text"), first)
    assert calls == [120]
    encoded(LETTERS, HashingEncoder(3), "text")
    encoded(LETTERS[:50], "hashing", "text")
    assert calls == [120, 120, 50]
    monkeypatch.setattr(columns, "_MOST_NUMBERS", 10)
    columns._kept.clear()
    encoded(LETTERS, "hashing", "text")
    assert not columns._kept


@pytest.mark.parametrize("params", [None, {"table": np.zeros(2)}])
def test_encoders_that_may_differ_unseen_are_asked_each_time(params):
    """Two encoders of one class, of which nothing says that they differ."""

    class Counts:
        def __init__(self, what):
            self.what = what

        def fit(self, texts):
            return self

        def transform(self, texts):
            return np.array([[text.count(self.what), 1.0] for text in texts], dtype=float)

    if params is not None:
        Counts.get_params = lambda self, deep=True: params
        Counts.__sklearn_clone__ = lambda self: self
    for letter in "ea":
        np.testing.assert_array_equal(encoded(LETTERS, Counts(letter), "text")[:, 0], LETTERS.str.count(letter))


def test_of_many_texts_some_are_learnt_from(monkeypatch):
    monkeypatch.setattr(columns, "FITTED_ON", 40)
    monkeypatch.setattr(columns, "_AT_ONCE", 30)
    found = encoded(LETTERS, HashingEncoder(5), "text")
    assert found.shape == (120, 5)
    assert np.linalg.matrix_rank(found) == 5
    columns._kept.clear()
    np.testing.assert_array_equal(encoded(LETTERS[::-1], HashingEncoder(5), "text"), found[::-1])


def test_refusals():
    class Lengths:
        def fit(self, texts):
            return self

        def transform(self, texts):
            return np.array([[len(text), np.nan if "tram" in text else 0.0] for text in texts])

    with pytest.raises(DataError, match="not finite"):
        encoded(LETTERS, Lengths(), "text")
    with pytest.raises(ArgumentError, match="sparse"):
        encoded(LETTERS, HashingEncoder(None), "text")
    for wrong in (7, HashingEncoder):
        with pytest.raises(ArgumentError, match="encoder"):
            encoded(LETTERS, wrong, "text")
    with pytest.raises(DataError, match="holds no text"):
        encoded(["", None], "hashing", "text")
    with pytest.raises(ArgumentError, match="could not be had"):
        encoded(LETTERS, "/no/such/model", "text")


def test_a_sentence_model_in_a_fit(tiny_model, tmp_path, monkeypatch):
    """A folder named in ``text=``: the model's own vectors, made once; shorter intervals where they say the label."""
    sentence_transformers = pytest.importorskip("sentence_transformers")
    monkeypatch.setenv("KARAT_CACHE", str(tmp_path))
    rng = np.random.default_rng(4)
    texts = [" ".join(rng.choice(WORDS, 12)) for _ in range(700)]
    vectors = sentence_transformers.SentenceTransformer(tiny_model, device="cpu").encode(texts).astype(float)
    x = rng.standard_normal(700)
    said = (vectors - vectors.mean(axis=0)) @ np.linalg.svd(vectors - vectors.mean(axis=0))[2][0]
    y = 0.3 * x + said / said.std() + 0.5 * rng.standard_normal(700)
    data = pd.DataFrame({"body": texts, "x": x, "y": y, "llm": y + 2 * rng.standard_normal(700)})
    sample = SimpleRandom(n=120).draw(data, seed=2)
    data = datasets.mask_gold(data, sample, "y")

    def fit(**more):
        given = {"surrogates": {"y": "llm"}, "design": sample.design, "repeats": 1, "compare": False, "seed": 5}
        return ols("y ~ x", data, **given, **more)

    calls = []
    embed = backbone.embed
    monkeypatch.setattr(backbone, "embed", lambda m, t, **more: calls.extend(t) or embed(m, t, **more))
    with_model, without = fit(text={"body": tiny_model}), fit()
    assert sorted(calls) == sorted(set(texts))
    assert with_model.se()["x"] < 0.8 * without.se()["x"]
    assert with_model.skill[0].learner == "linear + body"
    np.testing.assert_allclose(encoded(texts, tiny_model, "body"), vectors, atol=2e-5)
    columns._kept.clear()
    again = fit(text={"body": TextEncoder(tiny_model)})
    assert len(calls) == len(set(texts))
    assert again.coef()["x"] == with_model.coef()["x"]
