"""Is the balance test honest? Its p-values under each design, and its power when gold is hand-picked.

``python -m tests.statistical.balance`` runs the full size and writes benchmarks/results/balance.md.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from scipy.stats import kstest

import karat as kt
from karat.checks.balance import balance, weight_total
from karat.designs import Labelling
from karat.frames import Table

DESIGNS = ("simple random", "stratified", "bernoulli", "clusters", "bernoulli, estimated", "stratified, estimated")
NAMES = ("x1", "x2", "skewed", "rare", "surrogate", "low", "middle", "high")
ROLES = ("covariate",) * 4 + ("surrogate",) + ("covariate",) * 3


@dataclass(frozen=True)
class Study:
    """Joint test over repeated draws; a share of .05 in 4,000 draws has a Monte Carlo error of .0034."""

    design: str
    n: int
    picked: bool
    draws: int
    rejected_01: float
    rejected_05: float
    rejected_10: float
    kolmogorov_p: float
    weights_05: float


class _Estimated(Labelling):
    """A design of which only ``cross`` is known, so that the covariance comes from the gold rows."""

    def cross(self, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        return super().cross(left, right)


def frame(n_units: int, seed: int) -> dict[str, np.ndarray]:
    """Variables with every kind of trouble: skewed, rare, fixed by the strata, collinear."""
    rng = np.random.default_rng(seed)
    cluster = np.arange(n_units) // 4
    shared = rng.standard_normal(cluster[-1] + 1)[cluster]
    x1 = 0.6 * shared + rng.standard_normal(n_units)
    surrogate = (x1 + rng.standard_normal(n_units) > 0.5).astype(float)
    tercile = np.searchsorted(np.quantile(x1, [1 / 3, 2 / 3]), x1)
    return {
        "x1": x1,
        "x2": rng.standard_normal(n_units),
        "skewed": np.exp(rng.standard_normal(n_units)),
        "rare": (rng.random(n_units) < 0.01).astype(float),
        "surrogate": surrogate,
        **{name: (tercile == k).astype(float) for k, name in enumerate(("low", "middle", "high"))},
        "tercile": tercile,
        "cluster": cluster,
        "pi": 0.02 + 0.3 / (1 + np.exp(-x1)),
    }


def labelling(design: str, data: dict[str, np.ndarray], n: int, rng: np.random.Generator) -> Labelling:
    """One draw."""
    table = Table.read({k: data[k] for k in ("tercile", "cluster", "pi")})
    share = n / len(data["pi"])
    made = {
        "simple random": kt.SimpleRandom(n),
        "stratified": kt.Stratified("tercile", n, allocation="equal"),
        "bernoulli": kt.Bernoulli(np.clip(data["pi"] * share / data["pi"].mean(), 0, 1)),
        "clusters": kt.Clustered("cluster", n // 4),
    }
    base, _, estimated = design.partition(", ")
    drawn = made[base].select(table, rng)
    return _Estimated(drawn.probability, drawn.labelled, drawn.fixed_size, drawn.stratum) if estimated else drawn


def hand_picked(drawn: Labelling, data: dict[str, np.ndarray], rng: np.random.Generator) -> Labelling:
    """As many units, but chosen by somebody who likes large x2: one in five is taken for its x2."""
    labelled = drawn.labelled.copy()
    some = rng.choice(drawn.gold, size=drawn.n_gold // 5, replace=False)
    labelled[some] = False
    group = np.zeros(len(labelled), dtype=int) if drawn.stratum is None else drawn.stratum
    for s in np.unique(group):
        rest = np.flatnonzero(~drawn.labelled & (group == s))
        wanted = rest[np.argsort(-data["x2"][rest] - rng.gumbel(size=len(rest)))]
        labelled[wanted[: int((group[some] == s).sum())]] = True
    return Labelling(drawn.probability, labelled, drawn.fixed_size, drawn.stratum)


def run(design: str, n: int, draws: int, seed: int, picked: bool = False, n_units: int = 2000) -> Study:
    """Draw again and again from one frame."""
    data = frame(n_units, seed)
    matrix = np.column_stack([data[name] for name in NAMES])
    rng = np.random.default_rng(seed + 1)
    p_values, totals = np.empty(draws), np.empty(draws)
    for r in range(draws):
        drawn = labelling(design, data, n, rng)
        if picked:
            drawn = hand_picked(drawn, data, rng)
        found = balance(matrix, NAMES, ROLES, drawn)
        assert found is not None
        p_values[r], totals[r] = found.p_value, weight_total(drawn).p_value
    below = [float((p_values < level).mean()) for level in (0.01, 0.05, 0.1)]
    uniform = float(kstest(p_values, "uniform").pvalue)
    return Study(design, n, picked, draws, *below, uniform, float((totals < 0.05).mean()))


def table(studies: list[Study]) -> str:
    """The studies as Markdown."""
    lines = [
        "| design | n | gold | draws | below .01 | below .05 | below .10 | Kolmogorov p | sum of weights below .05 |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for s in studies:
        kind = "a fifth hand-picked" if s.picked else "drawn"
        lines.append(
            f"| {s.design} | {s.n} | {kind} | {s.draws:,} | {s.rejected_01:.3f} | {s.rejected_05:.3f} | "
            f"{s.rejected_10:.3f} | {s.kolmogorov_p:.2f} | {s.weights_05:.3f} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=4000)
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[2] / "benchmarks" / "results")
    options = parser.parse_args()
    studies = [run(design, n, options.draws, 11) for design in DESIGNS for n in (100, 400)]
    studies += [run(d, 200, options.draws // 8, 12, picked=True) for d in ("simple random", "stratified")]
    text = (
        "# The balance test: p-values under each design, and power\n\n"
        "N = 2,000, eight variables (normal, skewed, one that is 1 in 1 % of rows, a surrogate, three stratum "
        "indicators). Monte Carlo error of a share of .05: "
        f'{np.sqrt(0.05 * 0.95 / options.draws):.4f}. "Estimated": covariance from the gold rows, F test.\n\n'
        f"{table(studies)}\n\nMade by `python -m tests.statistical.balance`.\n"
    )
    (options.out / "balance.md").write_text(text)
    (options.out / "balance.json").write_text(json.dumps([asdict(s) for s in studies], indent=1))
    print(text)


if __name__ == "__main__":
    main()
