"""Very many classes, and very many annotators: seconds and peak memory, each in a process of its own.

``python benchmarks/labels_many.py`` prints a table; ``--rows 100000`` makes the second setting smaller.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import time

import numpy as np

SHRUNK = {"method": "dawid_skene", "settings": {"dawid_skene": {"shrink": "auto"}}}
CASES = {"classes": (20_000, 2_000, 200), "annotators": (10**6, 4, 10**6)}
"""Tasks, classes, annotators; five labels a task."""


def measure(case: str, method: str, rows: int | None) -> None:
    """One case: make labels, aggregate, print a line of the table."""
    import karat as kt

    n, k, workers = CASES[case]
    if rows is not None and case == "annotators":
        n = workers = rows
    rng = np.random.default_rng(0)
    truth = rng.integers(k, size=n)
    first = rng.integers(workers, size=(n, 1))
    steps = rng.integers(1, workers // 5 - 1, size=(n, 4)).cumsum(axis=1)
    worker = (np.hstack([first, first + steps]) % workers).ravel()
    task = np.repeat(np.arange(n), 5)
    right = rng.random(5 * n) < rng.beta(5, 2, workers)[worker]
    label = np.where(right, truth[task], rng.integers(k, size=5 * n))
    coded = kt.labels.read_annotations({"task": task, "worker": worker, "label": label}, classes=range(k))
    start = time.process_time()
    p = kt.labels.aggregate(coded, **(SHRUNK if method == "shrunk" else {})).probabilities
    seconds = time.process_time() - start
    loss = -np.log(0.99 * p[np.arange(n), truth] + 0.01 / k).mean()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    labels = f"{n:,} tasks, {k:,} classes, {workers:,} annotators"
    print(f"| {labels} | {method} | {seconds:.0f} | {peak:.1f} GB | {loss:.3f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int)
    parser.add_argument("--one", nargs=2, metavar=("CASE", "METHOD"))
    options = parser.parse_args()
    if options.one:
        measure(*options.one, options.rows)
        return
    print("| labels | method | processor seconds | peak memory | log loss |\n|---|---|---|---|---|", flush=True)
    more = ["--rows", str(options.rows)] if options.rows else []
    for case in CASES:
        for method in ("shrunk", "pool"):
            subprocess.run([sys.executable, __file__, "--one", case, method, *more], check=True)


if __name__ == "__main__":
    main()
