"""Fine-tuning: it learns, from soft labels and weights too, stops early, repeats itself, survives pickling."""

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.model_selection import cross_val_predict
from sklearn.utils.estimator_checks import parametrize_with_checks

from karat.errors import ArgumentError, DataError
from karat.predict import TransformerClassifier

torch = pytest.importorskip("torch")
pytest.importorskip("sentence_transformers")


@parametrize_with_checks([TransformerClassifier("none")])
def test_scikit_learn_conventions(estimator, check):
    check(estimator)


@pytest.fixture
def corpus():
    rng = np.random.default_rng(1)
    filler = ["tram", "noise", "city", "park", "rails", "street", "money"]
    y = rng.integers(0, 2, 120)
    texts = [" ".join([*rng.choice(filler, 3), *["good" if label else "bad"] * 3]) for label in y]
    return texts, np.where(y == 1, "for", "against")


def accuracy(model, texts, y):
    return (model.predict(texts) == y).mean()


@pytest.mark.parametrize("train", ["head", "full"])
def test_it_learns_repeats_itself_and_can_be_pickled(tiny_model, corpus, tmp_path, train):
    texts, y = corpus
    settings = {"epochs": 12, "learning_rate": 3e-3} if train == "full" else {}
    model = TransformerClassifier(tiny_model, train=train, cache=tmp_path, **settings)
    before = torch.random.get_rng_state()
    fitted = clone(model).fit(texts[:90], y[:90])
    assert torch.equal(before, torch.random.get_rng_state()), "the global state is left alone"
    assert accuracy(fitted, texts[90:], y[90:]) > 0.85
    p = fitted.predict_proba(texts)
    np.testing.assert_allclose(p.sum(1), 1)
    np.testing.assert_array_equal(fitted.classes_, ["against", "for"])
    assert 1 <= fitted.n_epochs_ <= fitted._most_epochs()
    np.testing.assert_allclose(clone(model).fit(texts[:90], y[:90]).predict_proba(texts), p, atol=1e-6)
    np.testing.assert_allclose(pickle.loads(pickle.dumps(fitted)).predict_proba(texts), p, atol=1e-5)
    shuffled = np.random.default_rng(0).permutation(len(texts))
    np.testing.assert_allclose(fitted.predict_proba([texts[i] for i in shuffled]), p[shuffled], atol=1e-5)


@pytest.mark.parametrize("train", ["head", "full"])
def test_soft_labels_are_learnt_as_such(tiny_model, corpus, tmp_path, train):
    texts, y = corpus
    settings = {"epochs": 15, "learning_rate": 3e-3} if train == "full" else {"epochs": 400}
    soft = pd.DataFrame({"against": np.where(y == "for", 0.3, 0.8)}).assign(**{"for": lambda d: 1 - d["against"]})
    model = TransformerClassifier(tiny_model, train=train, cache=tmp_path, validation=None, **settings)
    p = model.fit(texts, soft).predict_proba(texts)
    np.testing.assert_array_equal(model.classes_, ["against", "for"])
    assert abs(p[y == "for", 1].mean() - 0.7) < 0.08
    assert abs(p[y == "against", 1].mean() - 0.2) < 0.08
    assert model.n_epochs_ == settings["epochs"]
    hard = TransformerClassifier(tiny_model, train=train, cache=tmp_path, validation=None, **settings).fit(texts, y)
    assert hard.predict_proba(texts)[y == "for", 1].mean() > p[y == "for", 1].mean() + 0.1


def test_weights_count(tiny_model, corpus, tmp_path):
    texts, y = corpus
    wrong = y.copy()
    wrong[:60] = np.where(y[:60] == "for", "against", "for")
    weight = np.r_[np.zeros(60), np.ones(60)]
    model = TransformerClassifier(tiny_model, cache=tmp_path).fit(texts, wrong, sample_weight=weight)
    assert accuracy(model, texts, y) > 0.85
    scaled = TransformerClassifier(tiny_model, cache=tmp_path).fit(texts, wrong, sample_weight=7 * weight)
    np.testing.assert_allclose(scaled.predict_proba(texts), model.predict_proba(texts), atol=1e-5)


def test_early_stopping_keeps_the_best_epoch(tiny_model, corpus, tmp_path):
    texts, y = corpus
    noise = np.random.default_rng(5).permutation(y)
    model = TransformerClassifier(tiny_model, cache=tmp_path, patience=2).fit(texts, noise)
    assert model.n_epochs_ < 30
    assert model.validation_loss_ < 0.75, "near that of a guess"


def test_cross_fitting_with_scikit_learn(tiny_model, corpus, tmp_path):
    texts, y = corpus
    p = cross_val_predict(TransformerClassifier(tiny_model, cache=tmp_path), texts, y, cv=3, method="predict_proba")
    assert ((p[:, 1] > 0.5) == (y == "for")).mean() > 0.85


@pytest.mark.parametrize(
    ("settings", "y", "error", "match"),
    [
        ({}, ["a"] * 4, DataError, "one class only"),
        ({}, ["a", "b", None, "a"], DataError, "y is missing for 1"),
        ({}, ["a", "b"], DataError, r"shape \(2,\) for 4 texts"),
        ({}, [[0.5, 0.6]] * 4, DataError, "adding up to 1"),
        ({"train": "some"}, ["a", "b"] * 2, ArgumentError, "train='some'"),
        ({"model": "hashing"}, ["a", "b"] * 2, ArgumentError, "not a transformer"),
        ({"epochs": 0}, ["a", "b"] * 2, ArgumentError, "epochs=0"),
        ({"learning_rate": -1.0}, ["a", "b"] * 2, ArgumentError, "learning_rate"),
        ({"validation": 1.5}, ["a", "b"] * 2, ArgumentError, "validation"),
        ({"precision": "float16"}, ["a", "b"] * 2, ArgumentError, "precision"),
    ],
)
def test_what_is_refused(tiny_model, settings, y, error, match):
    with pytest.raises(error, match=match):
        TransformerClassifier(**{"model": tiny_model, "cache": None} | settings).fit(["tram", "bad", "good", "city"], y)
    with pytest.raises(DataError, match="sample_weight"):
        TransformerClassifier(tiny_model, cache=None).fit(["tram", "bad"], ["a", "b"], sample_weight=[-1, 2])
