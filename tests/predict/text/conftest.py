import os

import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")

WORDS = [
    "tram",
    "noise",
    "good",
    "bad",
    "city",
    "park",
    "late",
    "early",
    "we",
    "they",
    "rails",
    "street",
    "money",
    "the",
    "a",
    "is",
    "not",
]


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory):
    """A transformer with two layers, random weights and a vocabulary of our own, on disk."""
    transformers = pytest.importorskip("transformers")
    torch = pytest.importorskip("torch")
    folder = tmp_path_factory.mktemp("tiny-model")
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS, *(f"##{c}" for c in "abcdefghij")]
    (folder / "vocab.txt").write_text("\n".join(vocabulary))
    transformers.BertTokenizerFast(vocab={w: i for i, w in enumerate(vocabulary)}).save_pretrained(folder)
    torch.manual_seed(3)
    config = transformers.BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=24,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=64,
        initializer_range=0.5,
    )
    transformers.BertModel(config).save_pretrained(folder)
    return str(folder)


@pytest.fixture
def texts():
    import numpy as np

    rng = np.random.default_rng(0)
    return [" ".join(rng.choice(WORDS, rng.integers(1, 20))) for _ in range(60)]
