"""Cross-fitting 5 x 10 networks at once against one by one: ``python benchmarks/networks.py``.

Both are the same code, with 50 networks and with one; the numbers they give agree. On a CUDA GPU the ratio there and
the bandwidth achieved are written too: bytes of activations, parameters and moments that a step reads and writes, over
time.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch

from karat.predict.networks.fit import Problem, fit_networks
from karat.predict.networks.heads import class_head
from karat.predict.networks.layout import Layout
from karat.predict.networks.rows import Rows
from karat.predict.networks.settings import Settings
from karat.predict.networks.train import Objective, train

FOLDS, REPEATS = 5, 10
HOME = Path(__file__).parent / "results"


def problem(n: int, p: int) -> Problem:
    """Fifty training sets of one sample."""
    rng = np.random.default_rng(1)
    x = rng.standard_normal((n, p))
    score = 1.2 * x[:, 0] - x[:, 1] + 1.5 * (x[:, 2] * x[:, 3] > 0) - 0.7
    y = (rng.random(n) < 1 / (1 + np.exp(-score))).astype(int)
    rows = []
    for _ in range(REPEATS):
        fold = rng.permutation(n) % FOLDS
        rows += [np.flatnonzero(fold != k) for k in range(FOLDS)]
    return Problem(class_head(2, False), x, np.eye(2)[y], np.ones(n), tuple(rows), tuple(range(len(rows))))


def compare(n: int, p: int, device: str) -> dict[str, object]:
    """Seconds of both ways (CPU time, on a GPU wall-clock time), their ratio, the largest difference in predictions."""
    whole, settings = problem(n, p), Settings(device=device)
    clock = time.process_time if device == "cpu" else time.perf_counter
    fit_networks(whole.one(0), settings)
    fit_networks(whole, Settings(device=device, max_epochs=1))
    start = clock()
    together = fit_networks(whole, settings)
    middle = clock()
    alone = [fit_networks(whole.one(m), settings) for m in range(len(whole.rows))]
    end = clock()
    gap = max(np.abs(together.mean(whole.x)[m] - a.mean(whole.x)[0]).max() for m, a in enumerate(alone))
    return {
        "device": device, "gold": n, "features": p, "networks": len(whole.rows), "together": middle - start,
        "one by one": end - middle, "ratio": (end - middle) / (middle - start), "largest difference": float(gap),
    }  # fmt: skip


def bandwidth(networks: int = 512, n: int = 4096, p: int = 256, units: int = 256, steps: int = 50) -> dict[str, object]:
    """Bandwidth and arithmetic of large steps on a GPU: every network sees all its rows in each."""
    device = torch.device("cuda")
    layout, x = Layout(p, (units,), 1), torch.randn(n, p, device=device)
    target = np.eye(2)[np.arange(n) % 2]
    size = 512
    rows = Rows.gather(x, target, np.ones(n), [np.arange(m, m + size) % n for m in range(networks)])
    start = torch.from_numpy(layout.start(list(range(networks)))).to(device)
    settings = Settings(hidden=(units,), batch_size=size, device="cuda")
    objective, seeds = Objective(class_head(2, False), {}), list(range(networks))
    train(layout, start, rows, objective, seeds, settings, epochs=[3] * networks)
    torch.cuda.synchronize()
    before = time.perf_counter()
    train(layout, start, rows, objective, seeds, settings, epochs=[steps] * networks)
    torch.cuda.synchronize()
    seconds = (time.perf_counter() - before) / steps
    # features twice, activations six times (forward and backward), parameters and moments twelve times
    bytes_moved = 4 * networks * (2 * size * p + 6 * size * units + 12 * layout.size)
    flops = networks * size * 6 * (p * units + units + p)
    return {
        "device": torch.cuda.get_device_name(), "networks": networks, "milliseconds per step": 1e3 * seconds,
        "GB per second": bytes_moved / seconds / 1e9, "TFLOP per second": flops / seconds / 1e12,
    }  # fmt: skip


def main() -> None:
    """Write benchmarks/results/networks.json and .md."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    devices = ["cpu"] + (["cuda"] if torch.cuda.is_available() else [])
    found = []
    for device in devices:
        for n, p in ((200, 12), (500, 12), (500, 40)):
            runs = [compare(n, p, device) for _ in range(options.runs)]
            found.append(sorted(runs, key=lambda r: r["ratio"])[len(runs) // 2])
    wide = bandwidth() if torch.cuda.is_available() else None
    HOME.mkdir(exist_ok=True)
    HOME.joinpath("networks.json").write_text(json.dumps({"cross-fitting": found, "gpu": wide}, indent=1))
    lines = [
        "# Networks together against one by one", "",
        f"Written by `python benchmarks/networks.py`; {FOLDS} folds x {REPEATS} repeats, one thread, median ratio of",
        f"{options.runs} run(s). CPU seconds on the CPU, wall-clock seconds on a GPU.", "",
        "| device | gold | features | together, s | one by one, s | ratio | largest difference of a probability |",
        "|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for r in found:
        lines.append(
            f"| {r['device']} | {r['gold']} | {r['features']} | {r['together']:.2f} | {r['one by one']:.2f} | "
            f"{r['ratio']:.1f} | {r['largest difference']:.0e} |"
        )
    lines += ["", str(wide) if wide else "No GPU here: its ratio and bandwidth were not measured."]
    HOME.joinpath("networks.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
