"""Labels from transformers models on disk: probabilities held against a plain computation."""

import numpy as np
import pytest

from karat.annotate import LocalModel, Question, label
from karat.annotate import local as module
from karat.errors import ArgumentError

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
WORDS = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    "yes",
    "no",
    "not",
    "tram",
    "good",
    "bad",
    "the",
    "is",
    "about",
    ".",
]
TEXTS = ["the tram is good", "bad", "the tram is bad the tram is bad", "good good"]


def tokenizer_into(folder, **special):
    transformers.BertTokenizerFast(vocab={w: i for i, w in enumerate(WORDS)}, **special).save_pretrained(folder)


@pytest.fixture(scope="module")
def inference_model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("nli")
    tokenizer_into(folder)
    torch.manual_seed(1)
    config = transformers.BertConfig(
        vocab_size=len(WORDS), hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16,
        max_position_embeddings=64, initializer_range=0.8, num_labels=3,
        id2label={0: "contradiction", 1: "neutral", 2: "entailment"},
        label2id={"contradiction": 0, "neutral": 1, "entailment": 2},
    )  # fmt: skip
    transformers.BertForSequenceClassification(config).save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def language_model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("causal")
    tokenizer_into(folder, eos_token="[SEP]")
    torch.manual_seed(2)
    config = transformers.GPT2Config(
        vocab_size=len(WORDS), n_positions=128, n_embd=16, n_layer=2, n_head=2, initializer_range=0.8,
        bos_token_id=2, eos_token_id=3,
    )  # fmt: skip
    transformers.GPT2LMHeadModel(config).save_pretrained(folder)
    return str(folder)


def test_entailment(inference_model, tmp_path):
    question = Question("Which?", classes=["good", "bad", "tram"])
    model = LocalModel(inference_model, batch_size=2, device="cpu")
    got = label(TEXTS, question, model, cache=tmp_path)
    tokenizer = transformers.AutoTokenizer.from_pretrained(inference_model)
    plain = transformers.AutoModelForSequenceClassification.from_pretrained(inference_model).eval()
    for text, p in zip(TEXTS, got.probabilities):
        logits = [
            plain(**tokenizer(text, f"This text is about {w}.", return_tensors="pt")).logits[0, 2].item()
            for w in question.words
        ]
        np.testing.assert_allclose(p, np.exp(logits) / np.exp(logits).sum(), atol=1e-5)
    assert set(got.method) == {"nli"}
    assert got.cost.requests == 0
    assert got.provenance["model"]["identity"].startswith("files:")


@pytest.mark.parametrize("classes", [["yes", "no"], ["good", "not good", "not"]])
def test_likelihood_of_the_answer(language_model, classes):
    question = Question("is the tram good", classes=classes)
    got = label(TEXTS, question, LocalModel(language_model, batch_size=3, device="cpu"), cache=None)
    tokenizer = transformers.AutoTokenizer.from_pretrained(language_model)
    plain = transformers.AutoModelForCausalLM.from_pretrained(language_model).eval()
    for text, p in zip(TEXTS, got.probabilities):
        logs = []
        for word in classes:
            start = tokenizer(question.prompt(text))["input_ids"][:-1]
            answer = tokenizer(word, add_special_tokens=False)["input_ids"]
            if "not" in classes:
                answer = [*answer, 3]
            ids = torch.tensor([start + answer])
            steps = torch.log_softmax(plain(ids).logits[0], -1)
            logs.append(sum(steps[len(start) - 1 + j, t].item() for j, t in enumerate(answer)))
        np.testing.assert_allclose(p, np.exp(logs) / np.exp(logs).sum(), atol=1e-5)
    assert (got.mass <= 1).all()


def test_labels_are_kept_batch_by_batch(language_model, tmp_path, monkeypatch):
    question = Question("is the tram good", classes=["yes", "no"])
    model = LocalModel(language_model, batch_size=1, device="cpu")
    real, done = module._Labeller._likely, []

    def dies(self, texts):
        if len(done) == 2:
            raise KeyboardInterrupt
        done.extend(texts)
        return real(self, texts)

    monkeypatch.setattr(module._Labeller, "_likely", dies)
    with pytest.raises(KeyboardInterrupt):
        label(TEXTS, question, model, cache=tmp_path)
    again = []
    monkeypatch.setattr(module._Labeller, "_likely", lambda self, texts: again.extend(texts) or real(self, texts))
    got = label(TEXTS, question, model, cache=tmp_path)
    assert sorted(done + again) == sorted(TEXTS)
    assert got.labelled.all()


def test_models_that_are_refused(inference_model, language_model, tmp_path):
    question = Question("Which?", classes=["good", "bad"])
    with pytest.raises(ArgumentError, match="kind='guess'"):
        LocalModel("x", kind="guess")
    with pytest.raises(ArgumentError, match="hypothesis must hold"):
        LocalModel("x", hypothesis="about")
    with pytest.raises(ArgumentError, match="no model is in it"):
        label(["a"], question, LocalModel(str(tmp_path)), cache=None)
    with pytest.raises(ArgumentError, match="none of which is entailment"):
        label(["a"], question, LocalModel(language_model, kind="nli"), cache=None)


def test_the_record_names_the_precision_that_is_used(inference_model):
    assert LocalModel(inference_model, device="cpu").describe()["precision"] == "float32"


def test_a_text_that_is_too_long_is_cut_and_the_question_stays(language_model, monkeypatch):
    seen = []
    real = module._Labeller._fitted

    def spy(self, text, limit):
        ids = real(self, text, limit)
        seen.append(self.tokenizer.decode(ids))
        return ids

    monkeypatch.setattr(module._Labeller, "_fitted", spy)
    question = Question(
        "tram good tram bad", classes=["good", "bad"], system="about about", template="{instruction} {text} the is the"
    )
    model = LocalModel(language_model, max_length=20, device="cpu")
    got = label(["not " * 3 + "tram", "tram not " * 30], question, model, cache=None)
    assert got.labelled.all()
    assert len(seen) == 2
    for shown in seen:
        assert "about about" in shown
        assert "tram good tram bad" in shown
        assert "the is the" in shown
    assert max(len(shown.split()) for shown in seen) == 20
    with pytest.raises(ArgumentError, match="the question alone fills the 8 tokens"):
        label(["tram not " * 30], question, LocalModel(language_model, max_length=8, device="cpu"), cache=None)
    long = LocalModel(language_model, device="cpu")
    assert label(["tram not " * 300], question, long, cache=None).labelled.all(), "the model has 128 places"


def test_nothing_given_to_a_local_model_is_passed_over(inference_model, language_model):
    plain = Question("Which?", classes=["good", "bad"])
    for more in ({"examples": [("bad", "good")]}, {"system": "x"}, {"template": "{text}"}):
        with pytest.raises(ArgumentError, match=rf"{next(iter(more))}= of the question cannot be used"):
            label(TEXTS, Question("Which?", classes=["good", "bad"], **more), LocalModel(inference_model), cache=None)
    for more in ({"method": "json"}, {"votes": 7}, {"budget": 0}):
        with pytest.raises(ArgumentError, match="is for endpoints"):
            label(TEXTS, plain, LocalModel(language_model), cache=None, **more)
    about = label(TEXTS, plain, LocalModel(inference_model, device="cpu"), cache=None).provenance
    assert about["prompt"] == ["This text is about good.", "This text is about bad."]
    assert (about["method"], about["votes"]) == ("nli", None)
    with pytest.raises(ArgumentError, match="the question alone fills"):
        label(TEXTS, plain, LocalModel(inference_model, max_length=6, device="cpu"), cache=None)
