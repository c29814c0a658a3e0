"""Processor seconds of the default predictor: many features, and 20 of them, by gold size.

``python benchmarks/guess_speed.py`` prints and writes results/guess_speed.md. 5,000 documents, one surrogate and one
covariate beside the features; five folds, five splits, as by default; one core. The smallest of ``--rounds`` is kept,
since other work on the machine must not count.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"))

import numpy as np
import pandas as pd

import karat as kt

N = 5_000
CASES = ((5_000, 300), (5_000, 2_000), (384, 300), (20, 300), (20, 1_000), (20, 2_000))
"""Features and gold labels."""


def corpus(columns: int) -> tuple[pd.DataFrame, np.ndarray]:
    rng = np.random.default_rng(columns)
    x, features = rng.standard_normal(N), rng.standard_normal((N, columns))
    y = (rng.random(N) < 1 / (1 + np.exp(-x - features[:, 0]))).astype(float)
    llm = np.where(rng.random(N) < 0.25, 1 - y, y)
    return pd.DataFrame({"y": y, "x": x, "llm": llm}), features


def seconds(columns: int, gold: int) -> float:
    frame, features = corpus(columns)
    sample = kt.SimpleRandom(n=gold).draw(frame, seed=1)
    labelled = kt.datasets.mask_gold(frame, sample, "y")
    start = time.process_time()
    kt.ols("y ~ x", labelled, surrogates={"y": "llm"}, design=sample.design, features=features, seed=1)
    return time.process_time() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=2)
    rounds = parser.parse_args().rounds
    seconds(20, 300)  # imports
    lines = [
        "# The default predictor: processor seconds",
        "",
        f"Written by `python benchmarks/guess_speed.py`. {N:,} documents, 0/1 outcome, one surrogate, one covariate;",
        "five folds, five splits; one core.",
        "",
        "| features | gold | seconds |",
        "|---|---|---|",
    ]
    for columns, gold in CASES:
        took = min(seconds(columns, gold) for _ in range(rounds))
        lines.append(f"| {columns:,} | {gold:,} | {took:.2f} |")
        print(lines[-1], flush=True)
    (Path(__file__).resolve().parent / "results" / "guess_speed.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
