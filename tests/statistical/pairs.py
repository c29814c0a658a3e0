"""Scores from comparisons of two texts: do intervals hold, and those of estimates that use scores as surrogates?

Run with ``python -m tests.statistical.pairs`` for the figures of docs/protocol.md.
"""

from __future__ import annotations

import sys
import warnings
from dataclasses import dataclass

import numpy as np
import pandas as pd

import karat as kt

SEED = 8_100_000


@dataclass(frozen=True)
class Scene:
    """``texts`` with scores of standard deviation ``spread``, compared ``each`` times; ties and the place count."""

    texts: int = 60
    each: int = 20
    ties: float = 0.5
    place: float = 0.3
    spread: float = 1.0

    def __str__(self) -> str:
        return f"{self.texts} texts, {self.each} comparisons each, tie weight {self.ties:g}, spread {self.spread:g}"


def compared(scene: Scene, rng: np.random.Generator) -> tuple[pd.DataFrame, np.ndarray]:
    """Pairs with winners, and the scores behind them (which add up to 0)."""
    truth = rng.normal(0, scene.spread, scene.texts)
    truth -= truth.mean()
    texts = {"letter": np.arange(scene.texts), "text": [f"letter {i}" for i in range(scene.texts)]}
    asked = kt.annotate.pairs(texts, text="text", id="letter", per_text=scene.each, seed=rng)
    eta = truth[asked["first"]] - truth[asked["second"]] + scene.place
    weights = np.column_stack([np.exp(eta / 2), np.exp(-eta / 2), np.full(len(eta), scene.ties)])
    ends = np.cumsum(weights / weights.sum(axis=1, keepdims=True), axis=1)
    drawn = (rng.random(len(eta))[:, None] > ends).sum(axis=1)
    return asked.assign(won=np.array(["first", "second", "tie"])[drawn]), truth


def once(scene: Scene, seed: int) -> dict[str, float] | None:
    """Share of scores in their intervals, errors and standard errors; None where no finite scores fit."""
    rng = np.random.default_rng([SEED, seed])
    games, truth = compared(scene, rng)
    try:
        found = kt.labels.bradley_terry(games, first="first", second="second", winner="won")
    except kt.errors.SeparationError:
        return None
    error, z = found.score - truth, 1.959963984540054
    out = {
        "scores": float((np.abs(error) <= z * found.se).mean()), "order": float(
            abs(found.order_effect - scene.place) <= z * found.order_se
        ), "ratio": float(np.sqrt((found.se**2).mean() / (error**2).mean())),
        "correlation": float(np.corrcoef(found.score, truth)[0, 1]),
    }  # fmt: skip
    x = rng.normal(0, 1, scene.texts)
    y = 0.5 * x + truth + rng.normal(0, 0.5, scene.texts)
    frame = pd.DataFrame({"letter": np.arange(scene.texts), "x": x, "y": y}).merge(
        found.frame().rename(columns={"item": "letter"}), on="letter"
    )
    sample = kt.SimpleRandom(n=max(20, scene.texts // 3)).draw(frame[["letter"]], seed=rng, id="letter")
    gold = frame.assign(y=frame["y"].where(sample.labelled))
    given = {"design": sample.design, "seed": seed, "learner": "linear"}
    with warnings.catch_warnings(action="ignore"):
        fit = kt.ols("y ~ x", gold, surrogates={"y": "score"}, **given)
    low, high = fit.conf_int().loc["x"]
    return out | {"slope": float(low <= 0.5 <= high), "width": float((high - low) / gold_width(fit))}


def gold_width(fit: kt.Result) -> float:
    """Width of the interval of the slope from gold alone."""
    from scipy.stats import t

    column = next(one for one in fit.compare().columns if one.title == "Gold only")
    return float(2 * t.ppf(0.975, column.df[1]) * column.se[1])


SCENES = (
    Scene(), Scene(ties=0.0), Scene(each=40), Scene(texts=150), Scene(texts=150, each=12, spread=0.6),
    Scene(spread=2.0, each=40),
)  # fmt: skip


def study(scene: Scene, repetitions: int) -> dict[str, float]:
    """Means over repetitions, and the Monte Carlo errors of both coverages."""
    rows = [once(scene, seed) for seed in range(repetitions)]
    kept = [row for row in rows if row is not None]
    out = {name: float(np.mean([row[name] for row in kept])) for name in kept[0]} | {"refused": len(rows) - len(kept)}
    out["mc scores"] = float(np.std([row["scores"] for row in kept]) / np.sqrt(len(kept)))
    out["mc"] = float(np.sqrt(0.95 * 0.05 / len(kept)))
    return out


if __name__ == "__main__":
    repetitions = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    print(
        "| scene | refused | scores covered (error) | se / error | correlation | order effect covered | "
        "slope covered (error) | width |"
    )
    for scene in SCENES:
        row = study(scene, repetitions)
        print(
            f"| {scene} | {row['refused']} | {row['scores']:.3f} ({row['mc scores']:.3f}) | {row['ratio']:.2f} | "
            f"{row['correlation']:.2f} | {row['order']:.3f} | "
            f"{row['slope']:.3f} ({row['mc']:.3f}) | {row['width']:.2f} |",
            flush=True,
        )
