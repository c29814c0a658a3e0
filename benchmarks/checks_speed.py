"""What the checks at fit time cost: share of a fit with a million rows, by design.

``python benchmarks/checks_speed.py`` prints a table; the smallest of a few runs counts.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np

import karat as kt
from karat.regression import describe


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    corpus, _ = kt.datasets.simulate(options.rows, seed=1)
    rng = np.random.default_rng(0)
    corpus["third"] = np.searchsorted([-0.43, 0.43], corpus["length"])
    corpus["thread"] = np.arange(options.rows) // 4
    corpus["topic"] = np.array(list("abcdef"))[rng.integers(0, 6, options.rows)]
    designs = {
        "simple random": kt.SimpleRandom(n=1000),
        "stratified": kt.Stratified("third", n=1000),
        "bernoulli": kt.Bernoulli(np.full(options.rows, 1000 / options.rows) * np.exp(0.3 * corpus["length"])),
        "clusters": kt.Clustered("thread", n=250),
    }
    spent: list[float] = []
    collect = describe.collect

    def timed(*arguments: Any) -> Any:
        start = time.process_time()
        found = collect(*arguments)
        spent.append(time.process_time() - start)
        return found

    describe.collect = timed
    print("| design | formula | fit, s CPU | checks, s CPU | share |\n|---|---|---|---|---|")
    for name, design in designs.items():
        sample = design.draw(corpus, seed=1)
        gold = kt.datasets.mask_gold(corpus, sample, "hostile")
        for formula in ("outcome ~ hostile + length", "outcome ~ hostile + length + topic"):
            best = (np.inf, np.inf)
            for _ in range(options.runs):
                start = time.process_time()
                kt.ols(formula, gold, surrogates={"hostile": "hostile_llm"}, design=sample.design, seed=1)
                best = min(best, (time.process_time() - start, spent[-1]))
            print(f"| {name} | `{formula}` | {best[0]:.2f} | {best[1]:.3f} | {best[1] / best[0]:.1%} |")


if __name__ == "__main__":
    main()
