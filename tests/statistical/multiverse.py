"""Many surrogates, one gold set: is equality tested honestly, and do intervals survive picking a universe?

``python -m tests.statistical.multiverse`` runs the full size and writes benchmarks/results/multiverse.md.
"""

from __future__ import annotations

import argparse
import json
import warnings
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd

import karat as kt

N_UNITS = 2000
TRUTH = {"x": 0.0, "z": -0.4}


@dataclass(frozen=True)
class Study:
    """Shares over repetitions, for the coefficient whose truth is 0."""

    label: str
    universes: int
    n: int
    repetitions: int
    coverage: float
    all_covered: float
    picked_covered: float
    picked_covered_all: float
    equality_05: float
    equality_10: float
    naive_range: float
    corrected_range: float
    naive_coverage: float


def corpus(label: str, universes: int, rng: np.random.Generator) -> pd.DataFrame:
    """Labels by prompts whose errors depend on covariates (and on the outcome), each in its own way."""
    z = rng.standard_normal(N_UNITS)
    x = (0.5 * z + rng.standard_normal(N_UNITS) > 0).astype(float)
    y = 0.3 + TRUTH["x"] * x + TRUTH["z"] * z + rng.standard_normal(N_UNITS)
    data = pd.DataFrame({"x": x, "z": z, "y": y})
    for k in range(universes):
        slant = 0.8 * rng.standard_normal()
        if label == "outcome":
            noise = (0.4 + 0.2 * (k % 4)) * rng.standard_normal(N_UNITS)
            data[f"p{k}"] = 0.8 * y + slant * x + 0.3 * slant * z + noise
        else:
            score = (2.5 - 0.4 * (k % 4)) * (x - 0.5) + slant * y + rng.logistic(size=N_UNITS)
            data[f"p{k}"] = (score > 0).astype(float)
    return data


def run(label: str, universes: int, n: int, repetitions: int, seed: int) -> Study:
    """Corpora, prompts and draws anew in each repetition."""
    rng = np.random.default_rng(seed)
    gold, inside, together, picked, picked_all, p_equal, spans, naive = (
        ("y" if label == "outcome" else "x"),
        *([] for _ in range(7)),
    )
    for _ in range(repetitions):
        data = corpus(label, universes, rng)
        sample = kt.SimpleRandom(n).draw(data, seed=rng)
        prompts = [f"p{k}" for k in range(universes)]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", kt.KaratWarning)
            many = kt.multiverse(
                "y ~ x + z", kt.datasets.mask_gold(data, sample, gold), surrogates={gold: prompts},
                design=sample.design, learners=["linear"], repeats=1, terms=["x"], together=False,
                seed=int(rng.integers(2**31)),
            )  # fmt: skip
        answers = many.corrected["x"]
        one, every = (answers.bounds(0.05, c) for c in (None, many.critical["x"]))
        hold, hold_all = ((low <= TRUTH["x"]) & (TRUTH["x"] <= high) for low, high in (one, every))
        worst = int(np.argmax(np.abs(answers.theta / answers.se)))
        inside.append(hold.mean())
        together.append(hold_all.all())
        picked.append(hold[worst])
        picked_all.append(hold_all[worst])
        p_equal.append(many.equality["x"][1])
        low, high = many.naive["x"].bounds(0.05)
        naive.append(((low <= TRUTH["x"]) & (TRUTH["x"] <= high)).mean())
        spans.append((np.ptp(many.naive["x"].theta), np.ptp(answers.theta)))
    ranges = np.mean(spans, axis=0)
    return Study(
        label, universes, n, repetitions, float(np.mean(inside)), float(np.mean(together)), float(np.mean(picked)),
        float(np.mean(picked_all)), float(np.mean(np.array(p_equal) < 0.05)), float(np.mean(np.array(p_equal) < 0.1)),
        float(ranges[0]), float(ranges[1]), float(np.mean(naive)),
    )  # fmt: skip


def table(studies: list[Study]) -> str:
    """The studies as Markdown."""
    lines = [
        "| label | universes | n | repetitions | coverage, each | coverage, picked | ... simultaneous | "
        "simultaneous, all | equality below .05 | below .10 | range, naive | range, corrected | coverage, naive |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for s in studies:
        lines.append(
            f"| {s.label} | {s.universes} | {s.n} | {s.repetitions:,} | {s.coverage:.3f} | {s.picked_covered:.3f} | "
            f"{s.picked_covered_all:.3f} | {s.all_covered:.3f} | {s.equality_05:.3f} | {s.equality_10:.3f} | "
            f"{s.naive_range:.2f} | {s.corrected_range:.2f} | {s.naive_coverage:.3f} |"
        )
    return "\n".join(lines)


CELLS = (("outcome", 4, 200), ("outcome", 10, 200), ("covariate", 4, 200), ("covariate", 10, 400))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=500)
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[2] / "benchmarks" / "results")
    options = parser.parse_args()
    studies = [run(*cell, options.repetitions, 31) for cell in CELLS]
    error = np.sqrt(0.05 * 0.95 / options.repetitions)
    text = (
        "# A multiverse of surrogates: coverage and the test of equality\n\n"
        f'OLS, N = {N_UNITS:,}, a coefficient whose truth is 0; every prompt errs with a slant of its own. "Picked" is '
        "the universe with the largest |t|. Monte Carlo error of a share of .05 or .95: "
        f"{error:.4f}.\n\n{table(studies)}\n\nMade by `python -m tests.statistical.multiverse`.\n"
    )
    (options.out / "multiverse.md").write_text(text)
    (options.out / "multiverse.json").write_text(json.dumps([asdict(s) for s in studies], indent=1))
    print(text)


if __name__ == "__main__":
    main()
