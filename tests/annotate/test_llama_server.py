"""The server of llama.cpp itself, with a model of some thousand numbers written here.

Skips itself without ``pip install xllamacpp gguf``: wheels that hold llama.cpp with its server, and write its files.
"""

import importlib.util
import json
import subprocess
import sys
import urllib.request

import numpy as np
import pytest

import karat as kt
from karat.annotate import Endpoint, Form, Question, SpanQuestion, label, recall

NEEDED = ("xllamacpp", "gguf")
MISSING = [name for name in NEEDED if importlib.util.find_spec(name) is None]
pytestmark = [
    pytest.mark.server,
    pytest.mark.skipif(bool(MISSING), reason=f"needs {', '.join(MISSING)}"),
]
SIZE = 32
SERVE = """
import sys, xllamacpp
given = xllamacpp.CommonParams()
given.model.path, given.n_ctx, given.n_parallel, given.warmup, given.port = sys.argv[1], 4096, 2, False, 0
server = xllamacpp.Server(given)
print(server.listening_address, flush=True)
sys.stdin.read()
"""


def tiny_model(path, chances):
    """A model whose next word is always drawn from the same words with given chances, and bytes with none nearly."""
    import gguf

    tokens = [b"<unk>", b"<s>", b"</s>", *(f"<0x{i:02X}>".encode() for i in range(256)), *(w.encode() for w in chances)]
    n = len(tokens)
    writer = gguf.GGUFWriter(path, "llama")
    for name, value in (
        ("context_length", 4096), ("embedding_length", SIZE), ("block_count", 1), ("feed_forward_length", SIZE),
        ("head_count", 1), ("head_count_kv", 1), ("layer_norm_rms_eps", 1e-5), ("rope_dimension_count", SIZE),
        ("vocab_size", n), ("tokenizer_model", "llama"), ("token_list", tokens),
        ("token_scores", [0.0] * 3 + [-1e6] * 256 + [0.0] * len(chances)),
        ("token_types", [2, 3, 3] + [6] * 256 + [1] * len(chances)),
        ("bos_token_id", 1), ("eos_token_id", 2), ("unk_token_id", 0),
        ("chat_template", "{% for m in messages %}{{ m['content'] }}{% endfor %}"),
    ):  # fmt: skip
        getattr(writer, f"add_{name}")(value)
    logits = np.full((n, SIZE), -20.0 / SIZE, dtype=np.float32)
    for word, chance in chances.items():
        logits[tokens.index(word.encode())] = np.log(chance) / SIZE
    one, rng = np.ones(SIZE, dtype=np.float32), np.random.default_rng(0)
    noise, zero = (rng.normal(0, 0.02, (SIZE, SIZE)).astype(np.float32), np.zeros((SIZE, SIZE), dtype=np.float32))
    weights = {"token_embd": np.ones((n, SIZE), dtype=np.float32), "output_norm": one, "output": logits}
    weights |= {f"blk.0.{name}": one for name in ("attn_norm", "ffn_norm")}
    weights |= {f"blk.0.{name}": noise for name in ("attn_q", "attn_k", "attn_v", "ffn_gate", "ffn_up")}
    weights |= {f"blk.0.{name}": zero for name in ("attn_output", "ffn_down")}  # the last word's vector stays as it is
    for name, values in weights.items():
        writer.add_tensor(f"{name}.weight", values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    tiny_model(folder / "tiny.gguf", {"yes": 0.7, "no": 0.3})
    with (folder / "log.txt").open("w") as log:
        running = subprocess.Popen(
            [sys.executable, "-c", SERVE, str(folder / "tiny.gguf")],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
        )  # fmt: skip
        try:
            address = running.stdout.readline().strip()
            if not address:
                pytest.fail((folder / "log.txt").read_text()[-2000:])
            with urllib.request.urlopen(f"{address}/v1/models", timeout=30) as found:
                name = json.load(found)["data"][0]["id"]
            yield f"{address}/v1", name
        finally:
            running.stdin.close()
            running.stdout.close()
            running.kill()
            running.wait(20)


def point(served, **settings):
    return Endpoint(
        *served, **{"price": (1.0, 1.0), "concurrency": 2, "max_tokens": 1, "timeout": 120.0, "retries": 1} | settings
    )


QUESTION = Question("Is it for the tram?", classes=["yes", "no"])
TEXTS = [f"letter number {k}" for k in range(4)]


def test_log_probabilities_are_the_chances_of_the_model(served, tmp_path):
    got = label(TEXTS, QUESTION, point(served), cache=tmp_path, budget=1.0)
    assert set(got.method) == {"logprobs"}
    assert got.probabilities == pytest.approx(np.tile([0.7, 0.3], (4, 1)), abs=1e-3)
    assert got.mass == pytest.approx(1.0, abs=1e-3)
    assert got.cost.prompt_tokens > 4 * 50
    assert label(TEXTS, QUESTION, point(served), cache=tmp_path, budget=1.0).cost.sent == 0, "nothing is paid twice"
    plain = label(TEXTS, QUESTION, point(served, api="completions"), cache=tmp_path)
    assert plain.probabilities == pytest.approx(got.probabilities, abs=1e-3)


def test_votes_though_it_gives_no_more_answers_at_once_than_it_has_slots(served):
    got = label(TEXTS, QUESTION, point(served), method="votes", votes=15, cache=None)
    assert abs(got.probabilities[:, 0].mean() - 0.7) < 4 * np.sqrt(0.7 * 0.3 / 60)


def test_it_keeps_to_the_schema_of_a_form_and_of_codes(served):
    tone = Question("Is it friendly?", classes=["yes", "no"], name="tone")
    topic = Question("Is it about law?", classes={1: "yes", 0: "no"}, name="law")
    got = label(TEXTS, Form.of([tone, topic]), point(served, structured=True), cache=None)
    for part in got:
        assert set(part.method) == {"logprobs"}
        assert part.probabilities[:, 0] == pytest.approx(0.7, abs=0.02)
    codes = Question("What is it about?", classes=["law", "war"], several=True)
    several = label(TEXTS, codes, point(served, structured=True), method="votes", votes=2, cache=None)
    assert several.labelled.all()


def test_it_keeps_to_the_schema_of_passages(served):
    """Whatever such a model quotes: the reply has the form that was asked for, or says that it was cut."""
    question = SpanQuestion("Mark every threat.", classes=["threat"])
    with pytest.warns(kt.KaratWarning):
        got = label(TEXTS[:1], question, point(served, structured=True), failures="keep", cache=None)
    assert len(got.lost) or "cut at max_tokens" in got.status[0] or got.labelled.all()


def test_recall_and_another_model(served, tmp_path):
    text = " ".join(f"word{k}" for k in range(30))
    found = recall([text], point(served), cache=tmp_path)
    assert set(found.continuation[0]) <= set("yesno ")
    assert found.overlap[0] == 0.0
