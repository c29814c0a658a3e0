"""Coverage with few analysis clusters, and the size of the joint and of the difference test.

Clusters are unequal (shares from a gamma distribution), covariates and errors are correlated within them, the surrogate
errs with the outcome and a covariate. A covariate may be constant within clusters. Run it as a module:

    python -m tests.statistical.clusters --repetitions 400 --jobs 1

Cells of the second table ask whether the test that surrogates alone aim at the same coefficients holds its level where
they do: the surrogate outcome is the outcome plus noise.
"""

from __future__ import annotations

import argparse
import itertools
import warnings
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import numpy as np
import pandas as pd

import karat as kt

TRUTH = np.array([0.0, 0.6, 0.4, -0.3])
HYPOTHESIS = "Intercept = 0, z = .6, x = .4, g = -.3"
SURROGATES = {"outcome": {"y": "y_llm"}, "covariate": {"z": "z_llm"}, "both": {"z": "z_llm", "y": "y_llm"}}


@dataclass(frozen=True)
class Cell:
    """Clusters, gold rows, where the label is, and whether g is constant within clusters."""

    clusters: int
    n: int
    labelled: str
    level: bool = False
    rows: int = 1000


@dataclass(frozen=True)
class Outcome:
    """What a cell showed, by coefficient where it is an array."""

    cell: Cell
    done: int
    failures: int
    coverage: np.ndarray
    width_over_gold: np.ndarray
    se_over_sd: np.ndarray
    df: np.ndarray
    wald: float


def population(cell: Cell, rng: np.random.Generator) -> pd.DataFrame:
    """Draw a corpus."""
    share = rng.gamma(2.0, 1.0, cell.clusters)
    cluster = rng.choice(cell.clusters, cell.rows, p=share / share.sum())

    def common() -> np.ndarray:
        return rng.standard_normal(cell.clusters)[cluster]

    x = np.sqrt(0.6) * rng.standard_normal(cell.rows) + np.sqrt(0.4) * common()
    g = (rng.random(cell.rows) < 0.3).astype(float)
    if cell.level:
        g = (rng.permutation(cell.clusters) < max(3, 0.4 * cell.clusters))[cluster].astype(float)
    z = (rng.random(cell.rows) < expit(0.5 * x + 0.4 * g)).astype(float)
    y = 0.6 * z + 0.4 * x - 0.3 * g + np.sqrt(0.3) * common() + rng.standard_normal(cell.rows)
    right = rng.random(cell.rows) < expit(1.7 + 0.6 * (y - y.mean()) / y.std() + 0.3 * x)
    y_llm = 0.3 + 0.7 * y + 0.3 * x + 0.6 * rng.standard_normal(cell.rows)
    return pd.DataFrame({"c": cluster, "x": x, "g": g, "z": z, "y": y, "z_llm": np.where(right, z, 1 - z),
                         "y_llm": y_llm})  # fmt: skip


def expit(value: np.ndarray) -> np.ndarray:
    """Inverse logit."""
    return 1.0 / (1.0 + np.exp(-value))


def one(cell: Cell, seed: int, **options: object) -> np.ndarray | None:
    """One repetition: estimates, standard errors, bounds, df, gold-only widths; last row the Wald rejection."""
    rng = np.random.default_rng([seed, cell.clusters, cell.n, cell.level, len(cell.labelled)])
    frame = population(cell, rng)
    sample = kt.SimpleRandom(n=cell.n).draw(frame, seed=seed)
    surrogates = SURROGATES[cell.labelled]
    masked = kt.datasets.mask_gold(frame, sample, list(surrogates))
    settings: dict[str, object] = {"learner": "linear", "repeats": 1, "cluster": "c", "seed": seed} | options
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            fit = kt.ols("y ~ z + x + g", masked, surrogates=surrogates, design=sample.design, **settings)
        except kt.KaratError:
            return None
        gold = next(c for c in fit.compare().columns if c.title == "Gold only")
        low, high = fit.compare().bounds(gold)
        reject = fit.wald(HYPOTHESIS).p_value < 0.05
    bounds = fit.confint().to_numpy()
    return np.vstack([fit.theta, fit.se(), bounds[:, 0], bounds[:, 1], fit.df, high - low, np.full(4, reject)])


def run(cell: Cell, repetitions: int, seed: int = 1, **options: object) -> Outcome:
    """Repeat a cell."""
    found = [one(cell, seed * 1_000_000 + r, **options) for r in range(repetitions)]
    done = np.array([f for f in found if f is not None])
    inside = (done[:, 2] <= TRUTH) & (done[:, 3] >= TRUTH)
    sd = done[:, 0].std(axis=0, ddof=1)
    return Outcome(
        cell, len(done), repetitions - len(done), inside.mean(axis=0),
        (done[:, 3] - done[:, 2]).mean(axis=0) / done[:, 5].mean(axis=0), done[:, 1].mean(axis=0) / sd,
        np.median(done[:, 4], axis=0), float(done[:, 6, 0].mean()),
    )  # fmt: skip


def difference(n: int, design: str, seed: int) -> np.ndarray:
    """One repetition without clusters: p-values of the difference test, coefficient by coefficient, then joint."""
    rng = np.random.default_rng([seed, n, len(design)])
    x = rng.standard_normal(1500)
    g = (rng.random(1500) < 0.3).astype(float)
    y = 0.4 * x - 0.3 * g + rng.standard_normal(1500)
    frame = pd.DataFrame({"x": x, "g": g, "y": y, "y_llm": y + 0.7 * rng.standard_normal(1500)})
    frame["stratum"] = (frame["y_llm"] > frame["y_llm"].median()).astype(int)
    drawn = kt.SimpleRandom(n=n) if design == "simple random" else kt.Stratified("stratum", n)
    sample = drawn.draw(frame, seed=seed)
    masked = kt.datasets.mask_gold(frame, sample, "y")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit = kt.ols("y ~ x + g", masked, surrogates={"y": "y_llm"}, design=sample.design, learner="linear",
                     repeats=1, seed=seed)  # fmt: skip
    found = fit.compare().difference
    return np.append(found.p_values, found.p_value)


def sizes(n: int, design: str, repetitions: int, seed: int = 1) -> np.ndarray:
    """Share of rejections at 5 %, coefficient by coefficient, then joint."""
    return np.mean([difference(n, design, seed * 1_000_000 + r) < 0.05 for r in range(repetitions)], axis=0)


def grid() -> list[Cell]:
    """Every cell of the study."""
    few = [Cell(*c) for c in itertools.product((8, 12, 20), (100, 300), SURROGATES, (False, True))]
    return few + [Cell(40, 100, name, False, 2000) for name in SURROGATES]


def _line(outcome: Outcome) -> str:
    c = outcome.cell
    error = np.sqrt(0.95 * 0.05 / outcome.done)
    return (
        f"{c.clusters:3d} clusters, n {c.n:3d}, {c.labelled:9s} {'g by cluster' if c.level else '':12s} "
        f"coverage {outcome.coverage.round(3)} (mean {outcome.coverage.mean():.3f}, error {error:.3f}), "
        f"width/gold {outcome.width_over_gold.round(2)}, se/sd {outcome.se_over_sd.round(2)}, "
        f"df {outcome.df.round(1)}, joint test rejects {outcome.wald:.3f}, failed {outcome.failures}"
    )


def _task(task: tuple[Cell, int, int]) -> str:
    return _line(run(*task))


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description="Coverage with few analysis clusters.")
    parser.add_argument("--repetitions", type=int, default=300)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    with ProcessPoolExecutor(given.jobs) as pool:
        for line in pool.map(_task, [(cell, given.repetitions, given.seed) for cell in grid()]):
            print(line, flush=True)
    for n, design in itertools.product((60, 100), ("simple random", "stratified")):
        found = sizes(n, design, given.repetitions, given.seed)
        print(f"difference test, n {n}, {design}: rejects {found[:-1].round(3)}, jointly {found[-1]:.3f}", flush=True)


if __name__ == "__main__":
    main()
