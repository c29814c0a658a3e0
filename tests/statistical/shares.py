"""Coverage of shares by group: ``python -m tests.statistical.shares --repetitions 300``.

Every cell draws a corpus of three groups whose shares differ, labels some of it, and looks at intervals of all
groups: coverage of the true shares, mean width over that of Clopper and Pearson's interval on the group's gold
(taken as a simple random sample), standard errors of 0, mean standard error over the standard deviation of the
estimates, and the root mean squared error over that of gold alone.
"""

from __future__ import annotations

import argparse
import time
import warnings
from dataclasses import dataclass

import numpy as np
import pandas as pd

import karat as kt
from karat.estimate.shares import beta_interval

SEED = 770_000
GROUPS = ("a", "b", "c")


@dataclass(frozen=True)
class Cell:
    """One setting: shares of the groups, gold rows per group, design, surrogate, learner (None is PPI)."""

    shares: tuple[float, float, float]
    gold: int
    design: str = "simple"
    surrogate: str = "good"
    learner: str | None = "linear"
    target: str = "superpopulation"

    def __str__(self) -> str:
        shares = "/".join(f"{s:g}" for s in self.shares)
        learner = "ppi" if self.learner is None else self.learner
        return f"{shares} | {self.gold} | {self.design} | {self.surrogate} | {learner} | {self.target}"


RARE, COMMON = (0.01, 0.03, 0.08), (0.15, 0.3, 0.5)
CELLS = [
    *(Cell(shares, n) for shares in (RARE, COMMON) for n in (6, 20, 50, 150, 400)),
    *(Cell(shares, 50, surrogate=s, learner=e) for shares in (RARE, COMMON)
      for s in ("good", "useless", "constant") for e in ("linear", None) if (s, e) != ("good", "linear")),
    *(Cell(shares, n, design) for design in ("strata", "unequal", "clusters") for shares in (RARE, COMMON)
      for n in (20, 50, 150)),
    *(Cell(shares, n, target="finite") for shares in (RARE, COMMON) for n in (20, 150)),
]  # fmt: skip


def corpus(cell: Cell, rng: np.random.Generator) -> pd.DataFrame:
    """Twelve times the gold in rows, in clusters of ten that share a propensity where clusters are drawn."""
    n_rows = max(600, 36 * cell.gold)
    cluster = np.arange(n_rows) // 10
    group = rng.choice(GROUPS, n_rows)
    p = pd.Series(group).map(dict(zip(GROUPS, cell.shares))).to_numpy()
    if cell.design == "clusters":
        p = _clustered(p, cluster, rng)
    z = (rng.random(n_rows) < p).astype(float)
    right = rng.random(n_rows) < 0.92
    surrogate = {
        "good": np.where(right, z, 1 - z),
        "useless": (rng.random(n_rows) < 0.4).astype(float),
        "constant": np.zeros(n_rows),
    }[cell.surrogate]
    size = np.exp(0.7 * rng.normal(size=n_rows) + 0.4 * surrogate)
    return pd.DataFrame({"g": group, "z": z, "s": surrogate, "c": cluster, "size": size})


def _clustered(p: np.ndarray, cluster: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Shares that vary between clusters around p, a cluster's all up or all down by half of what is possible."""
    sign = rng.choice([-1.0, 1.0], cluster.max() + 1)[cluster]
    return np.asarray(p + 0.5 * sign * np.minimum(p, 1 - p))


def draw(cell: Cell, data: pd.DataFrame, seed: int) -> tuple[object, dict[str, object]]:
    """A sample of about three times ``cell.gold`` rows, and further arguments of the fit."""
    n = 3 * cell.gold
    if cell.design == "strata":
        return kt.Stratified("s", n=n, allocation="equal").draw(data, seed=seed), {}
    if cell.design == "unequal":
        pi = np.clip(n * data["size"] / data["size"].sum(), 0.002, 0.9)
        return kt.Bernoulli(pi.to_numpy()).draw(data, seed=seed), {}
    if cell.design == "clusters":
        return kt.Clustered("c", n=max(n // 10, 3)).draw(data, seed=seed), {"cluster": "c"}
    return kt.SimpleRandom(n=n).draw(data, seed=seed), {}


def once(cell: Cell, seed: int) -> list[tuple[float, ...]]:
    """Per group that was reported: covered, width, gold-only width, se, estimate error, gold-only error, group."""
    rng = np.random.default_rng(seed)
    data = corpus(cell, rng)
    sample, more = draw(cell, data, seed)
    masked = kt.datasets.mask_gold(data, sample, "z")
    if not masked["z"].notna().any():
        return []
    estimator = {"estimator": "ppi"} if cell.learner is None else {}
    fit = kt.mean(
        "z", masked, surrogates={"z": "s"}, by="g", design=sample.design, learner=cell.learner, repeats=1,
        target=cell.target, seed=seed, **estimator, **more,
    )  # fmt: skip
    bounds, se = fit.confint().to_numpy(), fit.se().to_numpy()
    only_gold = fit.compare().table()["Gold only"]["Estimate"].to_numpy()
    out = []
    for j, name in enumerate(fit.names):
        group = name.removeprefix("g=")
        truth = dict(zip(GROUPS, cell.shares))[group]
        if cell.target == "finite":
            truth = data.loc[data["g"] == group, "z"].mean()
        gold = masked.loc[(masked["g"] == group), "z"].dropna()
        plain = beta_interval(np.array([gold.mean()]), np.array([float(len(gold))]), 0.05)
        low, high = bounds[j]
        out.append((
            low <= truth <= high, high - low, float(plain[1][0] - plain[0][0]), se[j],
            fit.theta[j] - truth, only_gold[j] - truth, GROUPS.index(group),
        ))  # fmt: skip
    return out


@dataclass(frozen=True)
class Row:
    """Figures of one cell; coverage per group."""

    cell: Cell
    coverage: tuple[float, ...]
    width: float
    zero: float
    se_over_sd: float
    rmse: float
    refused: int


def study(cell: Cell, repetitions: int, seed: int) -> Row:
    """Repeat a cell."""
    found: list[tuple[float, ...]] = []
    refused = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for r in range(repetitions):
            try:
                found += once(cell, seed + r)
            except kt.KaratError:
                refused += 1
    a = np.array(found, dtype=np.float64)
    groups = [a[a[:, 6] == k] for k in range(len(GROUPS))]
    se_over_sd = np.mean([np.sqrt((g[:, 3] ** 2).mean()) / g[:, 4].std() for g in groups])
    return Row(
        cell, tuple(float(g[:, 0].mean()) for g in groups), float(a[:, 1].mean() / a[:, 2].mean()),
        float((a[:, 3] == 0).mean()), float(se_over_sd),
        float(np.sqrt((a[:, 4] ** 2).mean() / (a[:, 5] ** 2).mean())), refused,
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--repetitions", type=int, default=300)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--only", default="", help="cells whose description holds this text")
    options = parser.parse_args()
    print("| shares | gold per group | design | surrogate | learner | target | coverage | width / gold-only CP |"
          " SE = 0 | SE / sd | RMSE / gold-only | refused | s |")  # fmt: skip
    print("|---" * 13 + "|")
    for k, cell in enumerate(CELLS):
        if options.only not in str(cell):
            continue
        start = time.perf_counter()
        row = study(cell, options.repetitions, options.seed + 10_000 * k)
        coverage = " ".join(f"{c:.3f}" for c in row.coverage)
        print(f"| {cell} | {coverage} | {row.width:.2f} | {row.zero:.3f} | {row.se_over_sd:.2f} | {row.rmse:.2f} |"
              f" {row.refused} | {time.perf_counter() - start:.0f} |", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
