"""Share of documents that fit no code: coverage and width of its interval, with scores of the open set as surrogates.

Run with ``python -m tests.statistical.open_set`` for the figures of docs/protocol.md.
"""

from __future__ import annotations

import sys
import warnings
from dataclasses import dataclass

import numpy as np
import pandas as pd

import karat as kt


@dataclass(frozen=True)
class Scene:
    """``outside`` of the documents fit no code; ``clear`` is how much the model's distribution tells of that."""

    outside: float = 0.1
    clear: float = 1.0
    gold: int = 200
    n_rows: int = 1500
    learner: str = "linear"
    stratified: bool = False

    def __str__(self) -> str:
        kind = "strata of the score" if self.stratified else "simple random"
        return f"{self.outside:.0%} outside, clear {self.clear:g}, {self.gold} gold, {kind}, {self.learner}"


def corpus(scene: Scene, rng: np.random.Generator) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """Codes with "none" among them, the probabilities of a model that has no such answer, and embeddings."""
    codes = np.where(rng.random(scene.n_rows) < scene.outside, 3, rng.integers(0, 3, scene.n_rows))
    strength = np.where(codes == 3, rng.gamma(2.0, 0.6, scene.n_rows), rng.gamma(2.0, 0.6 + scene.clear, scene.n_rows))
    logits = rng.normal(size=(scene.n_rows, 3))
    logits[np.arange(scene.n_rows), np.minimum(codes, 2)] += np.where(codes == 3, 0.0, strength)
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    middles = np.vstack([np.eye(6)[:3] * 2.0, np.zeros((1, 6))])
    features = middles[codes] + rng.normal(size=(scene.n_rows, 6))
    names = np.array(["law", "war", "trade", "none"])[codes]
    return pd.DataFrame({"row": np.arange(scene.n_rows), "topic": names}), p / p.sum(axis=1, keepdims=True), features


def once(scene: Scene, seed: int) -> dict[str, float]:
    """Error and half-width of the interval for the share in the population, and of gold alone."""
    rng = np.random.default_rng([seed, 20261])
    frame, p, features = corpus(scene, rng)
    design = kt.SimpleRandom(n=scene.gold)
    if scene.stratified:
        frame["third"] = pd.qcut(kt.annotate.open_set(p).scores["entropy"], 3, labels=["low", "mid", "high"]).astype(
            str
        )
        design = kt.Stratified("third", n=scene.gold, allocation="equal")
    sample = design.draw(frame, seed=rng, id="row")
    labelled = kt.datasets.mask_gold(frame, sample, "topic")
    found = kt.annotate.open_set(p, labelled, features=features, gold="topic", none="none")
    out = {}
    for name, options in (("share", {"learner": scene.learner}), ("gold", {"estimator": "gold", "compare": False})):
        with warnings.catch_warnings(action="ignore"):
            fit = found.share(kt.mean, labelled, "topic", "none", design=sample, seed=seed, **options)
        low, high = np.asarray(fit.confint())[0]
        out |= {f"{name}_hit": float(low <= scene.outside <= high), f"{name}_width": high - low}
        out[f"{name}_error"] = float(fit.coef().iloc[0]) - scene.outside
    return out


def study(scene: Scene, repetitions: int, first: int = 0) -> dict[str, float]:
    """Coverage of 95 % intervals with its Monte Carlo error, bias in standard deviations, widths."""
    runs = pd.DataFrame([once(scene, seed) for seed in range(first, first + repetitions)])
    sd = runs["share_error"].std()
    return {
        "coverage": runs["share_hit"].mean(),
        "coverage_gold": runs["gold_hit"].mean(),
        "mc_error": float(np.sqrt(0.95 * 0.05 / len(runs))),
        "bias": runs["share_error"].mean() / sd,
        "width": runs["share_width"].mean() / runs["gold_width"].mean(),
    }


SCENES = (
    Scene(),
    Scene(clear=3.0),
    Scene(clear=0.0),
    Scene(outside=0.04, clear=3.0),
    Scene(outside=0.25, clear=3.0, gold=100),
    Scene(clear=3.0, stratified=True),
    Scene(clear=3.0, learner="auto"),
)

if __name__ == "__main__":
    repetitions = int(sys.argv[1]) if len(sys.argv) > 1 else 400
    print("| scene | coverage | gold alone | Monte Carlo error | bias (sd) | width / gold alone |")
    for scene in SCENES:
        row = study(scene, repetitions if scene.learner != "auto" else repetitions // 4, first=5000)
        print(
            f"| {scene} | {row['coverage']:.3f} | {row['coverage_gold']:.3f} | {row['mc_error']:.3f} | "
            f"{row['bias']:+.2f} | {row['width']:.2f} |",
            flush=True,
        )
