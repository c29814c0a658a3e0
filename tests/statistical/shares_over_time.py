"""Coverage of shares over time: ``python -m tests.statistical.shares_over_time --repetitions 200``.

Every cell draws a corpus of documents of three classes, in groups and months whose shares move, labels some of it, and
looks at what ``kt.shares`` says: coverage of shares, of bands over the periods of a line and over everything, of
differences between groups and between neighbouring periods (one at a time, and all together), of trends and their
differences; the mean width of intervals over those of gold alone, and mean standard error over the standard deviation
of the estimates.
"""

from __future__ import annotations

import argparse
import time
import warnings
from dataclasses import dataclass

import numpy as np
import pandas as pd

import karat as kt
from karat.grouped.shares_result import SharesResult

SEED = 881_000
CLASSES = ("economy", "law", "war")


@dataclass(frozen=True)
class Cell:
    """One setting: groups, months, gold, documents, design, learner (None takes the surrogate as it is), rare class."""

    groups: int = 4
    months: int = 12
    gold: int = 300
    documents: int = 6_000
    design: str = "simple"
    learner: str | None = None
    accuracy: float = 0.8
    rare: bool = False

    def __str__(self) -> str:
        learner = "none" if self.learner is None else self.learner
        return (
            f"{self.groups} x {self.months} | {self.gold} of {self.documents} | {self.design} | {learner} | "
            f"{self.accuracy:g}{' | rare' if self.rare else ''}"
        )


CELLS = [
    Cell(learner="auto"), Cell(), Cell(rare=True), Cell(accuracy=0.95), Cell(accuracy=0.4), Cell(design="strata"),
    Cell(gold=1_200), Cell(groups=1, gold=300), Cell(1, 60, 1_500, 30_000), Cell(1, 60, 1_500, 30_000, learner="auto"),
]  # fmt: skip


def truth(cell: Cell) -> np.ndarray:
    """Shares of groups, months and classes, shape (G, T, K)."""
    g, t = np.meshgrid(np.arange(cell.groups), np.linspace(-1.0, 1.0, cell.months), indexing="ij")
    level = (-3.0, -2.5) if cell.rare else (-0.4, -0.9)
    law, war = level[0] + 0.2 * g + 0.4 * t, level[1] + 0.3 * g - 0.5 * t + 0.3 * np.sin(6 * t)
    odds = np.exp(np.stack([np.zeros_like(law), law, war], axis=2))
    return odds / odds.sum(axis=2, keepdims=True)


def corpus(cell: Cell, rng: np.random.Generator) -> pd.DataFrame:
    """Documents with their class and a model's answer, which errs in one direction and more so in some groups."""
    n = cell.documents
    group, month = rng.integers(cell.groups, size=n), rng.integers(cell.months, size=n)
    p = truth(cell)[group, month]
    topic = (rng.random(n)[:, None] > np.cumsum(p, axis=1)).sum(axis=1).clip(max=2)
    right = rng.random(n) < cell.accuracy - 0.05 * (group % 2)
    model = np.where(right, topic, np.where(rng.random(n) < 0.7, 0, 2))
    names = np.array(CLASSES)
    return pd.DataFrame({"group": group, "month": month, "topic": names[topic], "model": names[model]})


def estimate(cell: Cell, seed: int) -> SharesResult:
    """Shares of one corpus."""
    data = corpus(cell, np.random.default_rng(seed))
    design = kt.SimpleRandom(n=cell.gold)
    if cell.design == "strata":
        design = kt.Stratified("model", n=dict.fromkeys(CLASSES, cell.gold // 3))
    sample = design.draw(data, seed=seed)
    labelled = kt.datasets.mask_gold(data, sample, "topic")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return kt.shares(
            "topic", labelled, by="group" if cell.groups > 1 else None, over="month", surrogates={"topic": "model"},
            design=sample.design, learner=cell.learner, seed=seed,
        )  # fmt: skip


def covered(table: pd.DataFrame, at: np.ndarray) -> np.ndarray:
    """Whether the last two columns hold the true values."""
    low, high = table.iloc[:, -2].to_numpy(), table.iloc[:, -1].to_numpy()
    return (low <= at + 1e-12) & (at - 1e-12 <= high)


def one(cell: Cell, seed: int) -> tuple[dict[str, float], np.ndarray]:
    """What one repetition shows, and its estimates."""
    fit = estimate(cell, seed)
    p = truth(cell)
    places = fit.by_cell(np.arange(len(fit.theta), dtype=float)).ravel()
    there = ~np.isnan(places)
    true = np.empty(len(fit.theta))
    true[places[there].astype(int)] = p.ravel()[there]
    own = covered(fit.confint()[there], p.ravel()[there])
    lines = covered(fit.band()[there], p.ravel()[there])
    spread = np.ones(p.size, dtype=bool)
    spread[there] = lines
    out = {
        "share": own.mean(),
        "band of a line": spread.reshape(p.shape).all(axis=1).mean(),
        "band of all": covered(fit.band(family="all")[there], p.ravel()[there]).all().astype(float),
    }
    width = (fit.confint().iloc[:, 1] - fit.confint().iloc[:, 0])[there].mean()
    gold = fit.comparison.columns[1]
    low, high = fit.comparison.bounds(gold)
    out["width / gold"] = width / (high - low).mean()
    contrasts = {"trend": fit.trend(), "periods": fit.differences("periods", lag=1)}
    if cell.groups > 1:
        contrasts |= {"groups": fit.differences("groups"), "trend differences": fit.trend(between=True)}
    for name, contrast in contrasts.items():
        # shares are linear in their matrix, so that the truth is what the same contrast of true shares is
        at = truth_of(fit, name, true)
        out[name] = covered(contrast.confint(), at).mean()
        out[f"{name}, together"] = float(covered(contrast.simultaneous(), at).all())
        out[f"{name}, width"] = 2 * (contrast.confint().iloc[:, 1].to_numpy() - contrast.theta).mean()
    slopes = fit.trend()
    estimates = np.full(p.size, np.nan)
    estimates[there] = fit.theta[places[there].astype(int)] - p.ravel()[there]
    se = np.full(p.size, np.nan)
    se[there] = np.sqrt(np.diag(fit.covariance))[places[there].astype(int)]
    return out, np.concatenate([estimates, se, slopes.theta, np.sqrt(np.diag(slopes.covariance))])


def truth_of(fit: SharesResult, name: str, true: np.ndarray) -> np.ndarray:
    """The contrast of the true shares."""
    import dataclasses

    fits = tuple(f.replace(theta=true.reshape(-1, len(CLASSES))[:, k].copy()) for k, f in enumerate(fit.fits))
    known = dataclasses.replace(fit, fits=fits)
    made = {
        "trend": known.trend, "trend differences": lambda: known.trend(between=True),
        "groups": known.differences, "periods": lambda: known.differences("periods", lag=1),
    }  # fmt: skip
    return made[name]().theta


def study(cell: Cell, repetitions: int, first: int = 0) -> dict[str, tuple[float, float]]:
    """Means over repetitions with their Monte Carlo errors."""
    found = [one(cell, SEED + first + r) for r in range(repetitions)]
    table = pd.DataFrame([figures for figures, _ in found])
    out = {name: (table[name].mean(), table[name].std() / np.sqrt(repetitions)) for name in table}
    values, size = np.array([kept for _, kept in found]), cell.groups * cell.months * len(CLASSES)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sd, se = np.nanstd(values[:, :size], axis=0), np.nanmean(values[:, size : 2 * size], axis=0)
        out["se / sd"] = (float(np.sqrt((se**2).mean() / (sd**2).mean())), 0.0)
        rest = values[:, 2 * size :]
        half = rest.shape[1] // 2
        out["se / sd, trend"] = (
            float(np.sqrt((rest[:, half:].mean(axis=0) ** 2).mean() / rest[:, :half].var(axis=0).mean())), 0.0,
        )  # fmt: skip
    return out


def main() -> None:
    """Print a table for each cell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=200)
    parser.add_argument("--cell", type=int, nargs="*")
    options = parser.parse_args()
    for k, cell in enumerate(CELLS):
        if options.cell and k not in options.cell:
            continue
        start = time.time()
        print(f"\n{cell}   ({options.repetitions} repetitions)")
        for name, (value, error) in study(cell, options.repetitions).items():
            print(f"  {name:30} {value:7.3f} ({error:.3f})")
        print(f"  {time.time() - start:.0f} seconds", flush=True)


if __name__ == "__main__":
    main()
