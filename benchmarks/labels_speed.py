"""Aggregation of labels side by side with crowd-kit 1.4.2: time, peak memory, quality.

``python benchmarks/labels_speed.py --peer PYTHON`` where PYTHON is an interpreter that has crowd-kit 1.4.2 (it may be
this one). Every cell runs in a process of its own: libraries and data are loaded, then the clock runs from the long
data frame to the table of probabilities. Time is processor time, since both work on one core and other work on the
machine must not count. A peer still at work after ``--limit`` seconds of processor time is stopped, and the ratio is a
lower bound. Writes results/labels_speed.json and results/labels_speed.md; ``--large`` adds 10,000,000 labels.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np

TASKS, WORKERS, CLASSES, EACH = 100_000, 500, 4, 5
WANTED = {"dawid_skene": 10, "zero_based_skill": 50, "glad": 10, "mace": 8}
RESTARTS = 2
HERE = Path(__file__).resolve().parent


def simulate(n: int, workers: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Labels of workers of which one in five is a spammer."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(CLASSES, size=n)
    accuracy = rng.beta(8, 3, workers)
    accuracy[rng.random(workers) < 0.2] = 1 / CLASSES
    # Distinct workers for a task: evenly spaced around a circle from a random start.
    step = workers // EACH
    worker = (
        rng.integers(workers, size=n)[:, None] + step * np.arange(EACH) + rng.integers(step, size=(n, EACH)) // 2
    ) % workers
    task, worker = np.repeat(np.arange(n), EACH), worker.ravel()
    right = rng.random(n * EACH) < accuracy[worker]
    label = np.where(right, truth[task], (truth[task] + rng.integers(1, CLASSES, n * EACH)) % CLASSES)
    return {"task": task, "worker": worker, "label": label, "truth": truth}


def memory() -> float:
    """Peak resident memory so far, MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def run_karat(method: str, frame) -> tuple[np.ndarray, int]:
    import karat as kt

    settings = {"mace": {"n_restarts": RESTARTS}, "dawid_skene": {"tol": 1e-5}}.get(method, {})
    soft = kt.labels.aggregate(frame, method, settings={method: settings})
    return soft.to_frame().iloc[:, 1 : 1 + len(soft.classes)].to_numpy(), 0


def run_peer(method: str, frame) -> tuple[np.ndarray, int]:
    import crowdkit.aggregation as peer
    import crowdkit.aggregation.classification.zero_based_skill as zero

    # crowd-kit 1.4.2 calls a check that newer versions of scikit-learn refuse; it is of no consequence here.
    zero.check_is_fitted = lambda *_, **__: None
    model = {
        "dawid_skene": lambda: peer.DawidSkene(n_iter=100),
        "zero_based_skill": peer.ZeroBasedSkill,
        "glad": peer.GLAD,
        "mace": lambda: peer.MACE(n_restarts=RESTARTS),
    }[method]()
    p = model.fit_predict_proba(frame).sort_index()
    return p[sorted(p.columns)].to_numpy(), len(getattr(model, "loss_history_", []))


def cell(library: str, method: str, path: str) -> None:
    """Run one cell and print what it took."""
    warnings.simplefilter("ignore")
    import pandas as pd

    data = np.load(path)
    frame = pd.DataFrame({c: data[c] for c in ("task", "worker", "label")})
    run = run_karat if library == "karat" else run_peer
    small = pd.DataFrame({"task": [1, 1, 2, 2], "worker": [1, 2, 1, 2], "label": [0, 1, 1, 1]})
    run(method, small)
    if limit := float(os.environ.get("LABELS_SPEED_LIMIT", 0)):
        used = int(time.process_time() + limit) + 1
        resource.setrlimit(resource.RLIMIT_CPU, (used, used + 5))
    before, start = memory(), time.process_time()
    p, rounds = run(method, frame)
    seconds = time.process_time() - start
    truth = data["truth"]
    safe = 0.99 * p[np.arange(len(truth)), truth] + 0.01 / CLASSES
    out = {"seconds": seconds, "peak_mb": memory(), "grown_mb": memory() - before, "rounds": rounds}
    print(json.dumps(out | {"accuracy": float((p.argmax(1) == truth).mean()), "nll": float(-np.log(safe).mean())}))


def measure(python: str, library: str, method: str, path: str, limit: float = 0) -> dict[str, Any]:
    """Run a cell in a process of its own; with a limit, a cell that outlasts it counts as the limit."""
    command = [python, str(Path(__file__).resolve()), "--cell", library, method, path]
    environment = os.environ | {"LABELS_SPEED_LIMIT": str(limit), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    with tempfile.TemporaryFile("w+") as out:
        child = subprocess.Popen(command, stdout=out, env=environment)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        printed = out.read().strip()
    if child.returncode == 0:
        return json.loads(printed.split("\n")[-1]) | {"finished": True}
    if limit and child.returncode < 0:
        return {"seconds": limit, "finished": False, "peak_mb": usage.ru_maxrss / 1024}
    raise RuntimeError(f"{library} {method} failed with status {child.returncode}")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--peer", default=sys.executable)
    parser.add_argument("--cell", nargs=3)
    parser.add_argument("--large", action="store_true")
    parser.add_argument("--limit", type=float, default=150)
    parser.add_argument("--methods", nargs="*", default=list(WANTED))
    arguments = parser.parse_args()
    if arguments.cell:
        return cell(*arguments.cell)
    place = HERE / "results" / "labels_speed.json"
    results = json.loads(place.read_text()) if place.exists() else {}
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "labels.npz")
        np.savez(path, **simulate(TASKS, WORKERS))
        for method in arguments.methods:
            ours = [measure(sys.executable, "karat", method, path) for _ in range(3)]
            theirs = measure(arguments.peer, "crowd-kit", method, path, arguments.limit)
            results[method] = {"karat": sorted(ours, key=lambda r: r["seconds"])[1], "crowd-kit": theirs}
            place.write_text(json.dumps(results, indent=1))
            print(method, json.dumps(results[method]), flush=True)
        if arguments.large:
            np.savez(path, **simulate(2_000_000, 5_000))
            results["large"] = measure(sys.executable, "karat", "dawid_skene", path)
    python = platform.python_version()
    results["machine"] = f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, Python {python}"
    place.write_text(json.dumps(results, indent=1))
    (HERE / "results" / "labels_speed.md").write_text(report(results))
    print(report(results))


def report(results: dict[str, Any]) -> str:
    lines = [
        "# Label aggregation: karat and crowd-kit 1.4.2",
        "",
        f"{TASKS:,} tasks x {EACH} labels, {WORKERS} workers, {CLASSES} classes; {results['machine']}. "
        "Processor seconds "
        f"from the long data frame to the table of probabilities; MACE with {RESTARTS} restarts in both; memory is the "
        "peak of the process. `>`: the peer was stopped at that time, so the ratio is a lower bound.",
        "",
        "| method | karat s | crowd-kit s | ratio | wanted | karat MB | crowd-kit MB | karat nll | crowd-kit nll |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for method, wanted in WANTED.items():
        if method in results:
            a, b = results[method]["karat"], results[method]["crowd-kit"]
            mark = "" if b.get("finished", True) else "> "
            nll = f"{b['nll']:.4f}" if "nll" in b else ""
            lines.append(
                f"| {method} | {a['seconds']:.2f} | {mark}{b['seconds']:.1f} | "
                f"{mark}{b['seconds'] / a['seconds']:.0f} | "
                f"{wanted} | {a['peak_mb']:.0f} | {b['peak_mb']:.0f} | {a['nll']:.4f} | {nll} |"
            )
    if "large" in results:
        r = results["large"]
        lines += ["", "10,000,000 labels (2,000,000 tasks, 5,000 workers), Dawid-Skene, karat: "
                  f"{r['seconds']:.0f} s, peak {r['peak_mb']:.0f} MB."]  # fmt: skip
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
