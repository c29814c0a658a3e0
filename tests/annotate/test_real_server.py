"""A server that is not ours: that of transformers, with a model of a few thousand numbers made here.

Skips itself without ``pip install 'transformers[serving]'``.
"""

import importlib.util
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request

import numpy as np
import pytest

import karat as kt
from karat.annotate import Endpoint, Question, label, recall

NEEDED = ("transformers", "torch", "tokenizers", "fastapi", "uvicorn", "openai", "pydantic", "typer", "accelerate")
MISSING = [name for name in NEEDED if importlib.util.find_spec(name) is None]
pytestmark = [
    pytest.mark.server,
    pytest.mark.skipif(bool(MISSING), reason=f"needs transformers[serving] ({', '.join(MISSING)} missing)"),
]
TEMPLATE = "{% for m in messages %}{{ m['content'] }} {% endfor %}{% if add_generation_prompt %}answer{% endif %}"
WORDS = ["[PAD]", "[UNK]", "[EOS]", "answer", "yes", "no", "well"]


def tiny_model(folder, chances):
    """A model in which the next word hangs on the last one alone: after "answer" come words with given chances."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    words = Tokenizer(models.WordLevel({w: i for i, w in enumerate(WORDS)}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token="[PAD]", unk_token="[UNK]", eos_token="[EOS]", chat_template=TEMPLATE
    )
    size = len(WORDS)
    model = LlamaForCausalLM(LlamaConfig(
        vocab_size=size, hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1,
        num_key_value_heads=1, max_position_embeddings=2048, pad_token_id=0, eos_token_id=2, bos_token_id=None,
        tie_word_embeddings=False,
    ))  # fmt: skip
    with torch.no_grad():
        for layer in model.model.layers:  # nothing is added to the last word's vector
            layer.self_attn.o_proj.weight.zero_()
            layer.mlp.down_proj.weight.zero_()
        model.model.embed_tokens.weight.copy_(torch.eye(8)[:size])
        logits = torch.full((size, size), -20.0)  # next word, last word
        logits[2, :] = 0.0
        logits[2, WORDS.index("answer")] = -20.0
        for word, chance in chances.items():
            logits[WORDS.index(word), WORDS.index("answer")] = np.log(chance)
        model.lm_head.weight.zero_()
        model.lm_head.weight[:, :size] = logits / np.sqrt(8)  # the last norm makes vectors as long as their size
    model.generation_config.pad_token_id, model.generation_config.eos_token_id = 0, 2
    model.generation_config.do_sample = True  # else the server answers greedily whatever the temperature
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    tiny_model(folder, {"yes": 0.7, "no": 0.3})
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-c", "from transformers.cli.transformers import main; main()", "serve", str(folder)]
    log = (folder / "log.txt").open("w")
    running = subprocess.Popen(
        [*command, "--host", "127.0.0.1", "--port", str(port), "--device", "cpu"],
        env={**os.environ, "HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": ""}, stdout=log, stderr=log,
    )  # fmt: skip
    try:
        for _ in range(240):
            if running.poll() is not None:
                pytest.fail((folder / "log.txt").read_text()[-2000:])
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2).read()
                break
            except OSError:
                time.sleep(0.5)
        yield f"http://127.0.0.1:{port}/v1", str(folder)
    finally:
        running.terminate()
        running.wait(20)
        log.close()


def point(served, **settings):
    url, name = served
    with urllib.request.urlopen(f"{url}/models", timeout=30) as found:
        names = [one["id"] for one in json.load(found)["data"]]
    return Endpoint(url, name, serves=next((n for n in names if n.startswith(name)), f"{name}@main"), **settings)


QUESTION = Question("Is it for the tram?", classes=["yes", "no"])
TEXTS = [f"letter number {k}" for k in range(4)]


def test_votes_where_it_gives_no_log_probabilities(served, tmp_path):
    model = point(served, price=(1.0, 1.0), concurrency=2)
    with pytest.warns(kt.KaratWarning, match="gives no log-probabilities"):
        got = label(TEXTS, QUESTION, model, votes=15, cache=tmp_path, budget=1.0)
    assert set(got.method) == {"votes"}
    share = got.probabilities[:, 0].mean()
    assert abs(share - 0.7) < 4 * np.sqrt(0.7 * 0.3 / 60), "the chances that the model was made with"
    assert got.cost.requests >= 60
    assert got.cost.prompt_tokens > 0
    with pytest.warns(kt.KaratWarning, match="gives no log-probabilities"):
        again = label(TEXTS, QUESTION, model, votes=15, cache=tmp_path, budget=1.0)
    assert again.cost.sent == 0, "nothing is paid twice"
    assert (again.probabilities == got.probabilities).all()


def test_recall_and_other_words(served, tmp_path):
    text = " ".join(f"word{k}" for k in range(30))
    found = recall([text], point(served), cache=tmp_path)
    assert found.continuation[0].strip() in ("yes", "no")
    assert found.overlap[0] == 0.0


def test_another_model_is_an_error(served):
    with pytest.raises(kt.KaratError):
        label(TEXTS[:1], QUESTION, Endpoint(served[0], "another-model", retries=0), votes=1, cache=None)
