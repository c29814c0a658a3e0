"""What ``kt.shares`` costs by the number of cells, beside ``kt.mean(by=)``.

That fits the same cells from arrays of gold rows by cells, each with a weight of its own, where ``kt.shares`` has small
cells choose together.

``python benchmarks/cells_speed.py`` writes ``results/cells_speed.json`` and ``.md``: seconds of CPU (the smallest of a
few runs), memory beyond what there was before the fit, and by which power seconds grow from one size to the next. Every
size runs in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
import warnings
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

GOLD, DOCUMENTS = 6, 40
RESULTS = Path(__file__).resolve().parent / "results"


def corpus(cells: int) -> tuple[pd.DataFrame, Any]:
    """Documents of many groups with a code of 0 or 1, and a simple random sample of them."""
    import karat as kt

    rng = np.random.default_rng(1)
    group = np.arange(cells * DOCUMENTS) % cells
    share = 1 / (1 + np.exp(0.4 - 0.6 * rng.normal(size=cells)))
    code = (rng.random(len(group)) < share[group]).astype(int)
    model = np.where(rng.random(len(group)) < 0.85, code, 1 - code)
    data = pd.DataFrame({"group": [f"{k:05d}" for k in group], "code": code, "model": model})
    sample = kt.SimpleRandom(n=cells * GOLD).draw(data, seed=1)
    return kt.datasets.mask_gold(data, sample, "code"), sample.design


def once(which: str, cells: int, runs: int) -> dict[str, Any]:
    """Seconds and memory of one size, in this process."""
    import karat as kt

    warnings.simplefilter("ignore")
    fit = {"shares": kt.shares, "mean": kt.mean}[which]
    options = {"by": "group", "surrogates": {"code": "model"}, "learner": None, "missing": "drop", "seed": 1}
    small, design = corpus(20)
    fit("code", small, design=design, **options)
    data, design = corpus(cells)
    before, seconds = _peak(), []
    for _ in range(runs):
        start = time.process_time()
        fit("code", data, design=design, **options)
        seconds.append(time.process_time() - start)
    return {"cells": cells, "seconds": min(seconds), "mb": _peak() - before}


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform == "linux" else 2**20)


def exponents(rows: list[dict[str, Any]]) -> list[float]:
    """By which power of the number of cells seconds grow, from one size to the next."""
    return [float(np.log(b["seconds"] / a["seconds"]) / np.log(b["cells"] / a["cells"])) for a, b in pairwise(rows)]


def page(found: dict[str, Any]) -> str:
    """The figures as a table."""
    lines = [
        "# Shares of many cells",
        "",
        f"Seconds of CPU on one core and memory beyond that before the fit; {GOLD} gold rows and {DOCUMENTS} documents",
        "a cell, a code of 0 or 1, no learner, with comparison. `kt.mean(by=)` fits the same cells from arrays of gold",
        "rows by cells.",
        "",
        "| cells | `kt.shares`, s | MB | grows by power | `kt.mean(by=)`, s | MB | ratio |",
        "|---|---|---|---|---|---|---|",
    ]
    peers = {one["cells"]: one for one in found["mean"]}
    for one, power in zip(found["shares"], [None, *exponents(found["shares"])], strict=True):
        peer = peers.get(one["cells"])
        told = (
            f"{peer['seconds']:.2f} | {peer['mb']:,.0f} | {one['seconds'] / peer['seconds']:.3f}"
            if peer
            else "- | - | -"
        )
        grown = "-" if power is None else f"{power:.1f}"
        lines.append(f"| {one['cells']:,} | {one['seconds']:.2f} | {one['mb']:,.0f} | {grown} | {told} |")
    return "\n".join([*lines, "", "Made by `python benchmarks/cells_speed.py`.", ""])


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, nargs="+", default=[125, 250, 500, 1000, 2000])
    parser.add_argument("--peer-cells", type=int, default=500, help="most cells of kt.mean(by=)")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--once", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.once:
        print(json.dumps(once(options.once[0], int(options.once[1]), int(options.once[2]))))
        return {}
    found: dict[str, Any] = {}
    for which in ("shares", "mean"):
        sizes = [c for c in options.cells if which == "shares" or c <= options.peer_cells]
        found[which] = []
        for cells in sizes:
            command = [sys.executable, __file__, "--once", which, str(cells), str(options.runs)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            found[which].append(json.loads(done.stdout))
    (options.results / "cells_speed.json").write_text(json.dumps(found, indent=1) + "\n")
    (options.results / "cells_speed.md").write_text(page(found))
    return found


if __name__ == "__main__":
    main()
