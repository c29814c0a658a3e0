"""Difference of errors in documents that a model may have seen and in others: coverage, and tests of no difference.

Run with ``python -m tests.statistical.exposure`` for the figures of docs/protocol.md.
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
    """Labels are right in .9 of new documents and in ``.9 + gain`` of the 60 % that are old; or numbers, less noisy."""

    kind: str = "shares"
    gain: float = 0.0
    gold: int = 150
    stratified: bool = False
    by_label: bool = False

    def __str__(self) -> str:
        return f"{self.kind}, gain {self.gain:g}, {self.gold} gold, {self.drawn}"

    @property
    def drawn(self) -> str:
        """How gold is drawn."""
        if self.by_label:
            return "strata of the label"
        return "strata" if self.stratified else "simple random"


def once(scene: Scene, seed: int) -> tuple[float, float, float, float]:
    """Whether the interval covers, whether both tests reject, and the interval's width."""
    rng, n = np.random.default_rng([seed, 9]), 1500
    y, old = (rng.random(n) < (0.1 if scene.by_label else 0.5)).astype(int), rng.random(n) < 0.6
    right = rng.random(n) < np.where(old, 0.9 + scene.gain, 0.9)
    noise = 0.0 if scene.kind == "shares" else rng.normal(0, np.where(old, 1 - scene.gain, 1), n)
    label = np.where(right, y, 1 - y) if scene.kind == "shares" else y + noise
    third = np.where(rng.random(n) < 0.3, "a", "b")
    frame = pd.DataFrame({"row": np.arange(n), "gold": y.astype(float), "label": label, "old": old, "third": third})
    design = kt.SimpleRandom(scene.gold)
    if scene.stratified or scene.by_label:
        design = kt.Stratified("label" if scene.by_label else "third", n=scene.gold, allocation="equal")
    sample = design.draw(frame, seed=rng, id="row")
    labelled = kt.datasets.mask_gold(frame, sample, "gold")
    with warnings.catch_warnings(action="ignore"):
        found = kt.labels.exposure(labelled, "gold", "label", sample, exposed="old")
    truth = scene.gain if scene.kind == "shares" else -scene.gain * np.sqrt(2 / np.pi)
    low, high = found.interval
    return float(low <= truth <= high), float(found.pvalue < 0.05), float(found.test.pvalue[1] < 0.05), high - low


SCENES = (
    Scene(), Scene(gain=0.08), Scene(gain=0.08, gold=60), Scene(gold=60), Scene(gain=0.08, stratified=True),
    Scene(by_label=True), Scene(gain=0.08, gold=60, by_label=True),
    Scene("numbers"), Scene("numbers", 0.3),
)  # fmt: skip

if __name__ == "__main__":
    repetitions = int(sys.argv[1]) if len(sys.argv) > 1 else 300
    print("| scene | coverage | difference found | signed error found | width |")
    for scene in SCENES:
        row = np.mean([once(scene, seed) for seed in range(repetitions)], axis=0)
        print(f"| {scene} | {row[0]:.3f} | {row[1]:.3f} | {row[2]:.3f} | {row[3]:.3f} |", flush=True)
