"""Censoring weights side by side with a sort and with scikit-survival 0.28.0: time, growth, peak memory, agreement.

``python benchmarks/durations_speed.py --peer PYTHON`` where PYTHON is an interpreter that has scikit-survival; without
``--peer`` the benchmark makes a virtual environment for it in ``.venv-sksurv`` with pip. Every cell runs in a process
of its own: libraries and data are loaded, the work is done once on a small table, then timed ``--repeats`` times; the
median of processor seconds is kept, since other work on the machine must not count. Sort, weights and peer take turns.
Writes results/durations_speed.json and results/durations_speed.md.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np

PEER = "scikit-survival==0.28.0"
SIZES = (10_000, 100_000, 1_000_000)
HERE = Path(__file__).resolve().parent


def simulate(n: int, tied: bool, seed: int = 0) -> dict[str, np.ndarray]:
    """Durations censored at a rate that depends on v; about two in five are censored."""
    rng = np.random.default_rng(seed)
    v = rng.normal(size=n)
    duration, censored = rng.exponential(np.exp(0.3 * v)), rng.exponential(1.5 * np.exp(-0.3 * v))
    times = np.minimum(duration, censored)
    return {"time": np.ceil(20 * times) / 20 if tied else times, "event": duration <= censored, "v": v}


def work(what: str, data: dict[str, np.ndarray]) -> Any:
    """One unit of work; the result, for the comparison of numbers."""
    time_, event = data["time"], data["event"]
    if what == "argsort":
        return np.argsort(time_)
    if what == "stable argsort":
        return np.argsort(time_, kind="stable")
    if what == "peer":
        from sksurv.nonparametric import ipc_weights

        return ipc_weights(event, time_)
    if what == "peer estimator":
        from sksurv.nonparametric import CensoringDistributionEstimator
        from sksurv.util import Surv

        y = Surv.from_arrays(event, time_)
        return CensoringDistributionEstimator().fit(y).predict_ipcw(y)
    import karat as kt

    tau = float(time_.max()) if what == "weights" else 2.0
    if what == "weights":
        return kt.censoring.weights(time_, event, tau=tau, floor=0.0).values
    strata = np.digitize(data["v"], [-1, 0, 1])
    options = {
        "strata": {"censoring": "strata", "covariates": strata},
        "kernel": {"censoring": "kernel", "covariates": data["v"]},
        "cox": {"censoring": "cox", "covariates": data["v"]},
    }
    return kt.censoring.weights(time_, event, tau=tau, **options[what]).values


def cell(what: str, n: int, tied: bool, repeats: int) -> None:
    """Run one cell and print what it took."""
    warnings.simplefilter("ignore")
    data = simulate(n, tied)
    work(what, simulate(500, tied))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seconds = []
    for _ in range(repeats):
        start = time.process_time()
        result = work(what, data)
        seconds.append(time.process_time() - start)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    out = {"seconds": float(np.median(seconds)), "fastest": min(seconds), "grown_mb": grown}
    if what in ("weights", "peer", "peer estimator"):
        out["checksum"] = float(np.sum(result[data["event"]]))
    print(json.dumps(out))


def measure(python: str, what: str, n: int, tied: bool, repeats: int) -> dict[str, Any]:
    """Run a cell in a process of its own."""
    command = [python, str(Path(__file__).resolve()), "--cell", what, str(n), str(int(tied)), str(repeats)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        raise RuntimeError(f"{what} with {python} failed:\n{done.stderr}")
    return json.loads(done.stdout.strip().split("\n")[-1])


def peer_python() -> str:
    """An interpreter with the peer, made if it is not there."""
    home = HERE.parent / ".venv-sksurv"
    python = home / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", PEER], check=True)
    return str(python)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peer")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES))
    parser.add_argument("--cell", nargs=4)
    arguments = parser.parse_args()
    if arguments.cell:
        what, n, tied, repeats = arguments.cell
        return cell(what, int(n), bool(int(tied)), int(repeats))
    peer, cells = arguments.peer or peer_python(), []
    for n in arguments.sizes:
        for tied in (False, True):
            for what in ("argsort", "stable argsort", "weights", "peer", "peer estimator"):
                python = peer if what.startswith("peer") else sys.executable
                repeats = 2 if what.startswith("peer") and n == SIZES[-1] else arguments.repeats
                cells.append({"what": what, "n": n, "tied": tied} | measure(python, what, n, tied, repeats))
                print(json.dumps(cells[-1]), flush=True)
        for what in ("strata", "kernel", "cox"):
            repeats = arguments.repeats if n < SIZES[-1] else 3
            cells.append({"what": what, "n": n, "tied": False} | measure(sys.executable, what, n, False, repeats))
            print(json.dumps(cells[-1]), flush=True)
    machine = (
        f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    )
    results = {"machine": machine, "numpy": np.__version__, "peer": PEER, "cells": cells}
    (HERE / "results" / "durations_speed.json").write_text(json.dumps(results, indent=1) + "\n")
    (HERE / "results" / "durations_speed.md").write_text(report(results))
    print(report(results))


def report(results: dict[str, Any]) -> str:
    """The results as a Markdown page."""
    sizes = sorted({c["n"] for c in results["cells"]})
    look = {(c["what"], c["n"], c["tied"]): c for c in results["cells"]}
    lines = [
        f"# Censoring weights: karat, numpy's sort, {results['peer'].replace('==', ' ')}",
        "",
        f"{results['machine']}, numpy {results['numpy']}; one thread, median of processor seconds, every cell in a "
        "process of its own. karat: `karat.censoring.weights`, checks of the input, counts and warnings included. "
        "Peer: `ipc_weights`, and `CensoringDistributionEstimator().fit(y).predict_ipcw(y)`; ratio to the faster. "
        "Tied times have a grid of 1/20 of the mean duration. Memory: growth of the peak while working.",
        "",
        "| n | times | argsort s | karat s | karat / argsort | peer s (function, estimator) | peer / karat "
        "| karat MB | peer MB | difference of sums |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for n in sizes:
        for tied in (False, True):
            sort, ours = look["argsort", n, tied], look["weights", n, tied]
            first, second = look["peer", n, tied], look["peer estimator", n, tied]
            theirs = min(first, second, key=lambda c: c["seconds"])
            lines.append(
                f"| {n:,} | {'tied' if tied else 'all different'} | {sort['seconds']:.4f} | {ours['seconds']:.4f} | "
                f"{ours['seconds'] / sort['seconds']:.1f} | {first['seconds']:.3f}, {second['seconds']:.3f} | "
                f"{theirs['seconds'] / ours['seconds']:.1f} | {ours['grown_mb']:.0f} | {theirs['grown_mb']:.0f} | "
                f"{abs(ours['checksum'] - theirs['checksum']) / ours['checksum']:.0e} |"
            )
    lines += [
        "",
        "Sums are of the weights of rows with an event; with ties the two differ where the peer evaluates G at t "
        "instead of before t.",
        "",
        "| covariates | " + " | ".join(f"n = {n:,}: s (MB)" for n in sizes) + " | time per row, largest / smallest n |",
        "|---" * (len(sizes) + 2) + "|",
    ]
    names = {
        "weights": "none (Kaplan-Meier)", "strata": "4 strata", "kernel": "one number (Beran, up to 500 anchors)",
        "cox": "one number (Cox)",
    }  # fmt: skip
    for what, name in names.items():
        cells = [look[what, n, False] for n in sizes]
        growth = cells[-1]["seconds"] / cells[0]["seconds"] / (sizes[-1] / sizes[0])
        shown = " | ".join(f"{c['seconds']:.4f} ({c['grown_mb']:.0f})" for c in cells)
        lines.append(f"| {name} | {shown} | {growth:.1f} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
