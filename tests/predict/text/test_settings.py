"""Vectors in the cache are those of the settings they are kept under, whatever happens to an encoder in between."""

import pickle
import shutil

import numpy as np
import pytest

from karat.errors import ArgumentError, DataError, KaratError
from karat.predict import HashingEncoder, TextEncoder

LONG = ["tram noise good bad city park late early we they rails street money the a is not " * 2, "good tram " * 20]


def test_a_setting_changed_after_fitting_does_not_spoil_the_cache(tiny_model, tmp_path):
    right = TextEncoder(tiny_model, max_length=40, cache=None).fit_transform(LONG)
    encoder = TextEncoder(tiny_model, max_length=4, cache=tmp_path).fit(["good tram"])
    np.testing.assert_allclose(encoder.set_params(max_length=40).transform(LONG), right, atol=1e-6)
    fresh = TextEncoder(tiny_model, max_length=40, cache=tmp_path).fit_transform(LONG)
    np.testing.assert_allclose(fresh, right, atol=1e-6)
    with pytest.raises(ArgumentError, match="max_length=0"):
        encoder.set_params(max_length=0).transform(["new text"])


def test_another_model_in_the_folder_is_found_out(tiny_model, tmp_path):
    import torch
    import transformers

    folder = tmp_path / "model"
    shutil.copytree(tiny_model, folder)
    encoder = TextEncoder(str(folder), cache=tmp_path / "cache").fit(["good tram"])
    stored = pickle.dumps(encoder)
    torch.manual_seed(99)
    model = transformers.AutoModel.from_pretrained(folder)
    transformers.BertModel(model.config).save_pretrained(folder)
    with pytest.raises(ArgumentError, match="another one than at fitting"):
        pickle.loads(stored).transform(LONG)
    known = pickle.loads(stored).transform(["good tram"])
    np.testing.assert_allclose(known, TextEncoder(tiny_model, cache=None).fit_transform(["good tram"]), atol=1e-6)
    shutil.rmtree(folder)
    with pytest.raises(ArgumentError, match="is gone"):
        pickle.loads(stored).transform(LONG)


@pytest.mark.parametrize("components", [None, 3])
def test_lengths_are_one_also_after_reduction(tiny_model, texts, components):
    encoder = TextEncoder(tiny_model, normalize=True, n_components=components, cache=None)
    np.testing.assert_allclose(np.linalg.norm(encoder.fit_transform(texts), axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(encoder.transform(texts), axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("encoder", [TextEncoder(), HashingEncoder(), HashingEncoder(None)])
def test_texts_without_any_word(encoder):
    with pytest.raises(DataError, match="holds no word in any text"):
        encoder.fit_transform(["", "  "])


@pytest.mark.parametrize(
    "settings", [{"device": "foo"}, {"device": "cuda:x"}, {"precision": "bar"}, {"device": "cpu:1"}]
)
def test_devices_and_precisions_that_do_not_exist(tiny_model, settings):
    name = next(iter(settings))
    if settings != {"device": "cpu:1"}:
        with pytest.raises(ArgumentError, match=f"{name}="):
            TextEncoder(**settings).fit_transform(["a b", "c d", "a d"])
    with pytest.raises(KaratError, match=f"{name}="):
        TextEncoder(tiny_model, cache=None, **settings).fit_transform(["good tram"])


def test_one_text():
    assert TextEncoder().fit_transform(["one text"]).shape[0] == 1
