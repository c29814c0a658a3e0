"""Recall, precision and accuracy of a label in the whole corpus, from gold drawn in strata of that label: coverage.

Also the accuracy of soft labels by how probable their class was said to be, from gold drawn in strata of that class.

Run with ``python -m tests.statistical.audit`` for the figures of docs/methods.md, section 6.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

import numpy as np

import karat as kt
from karat.frames import Table
from karat.labels.quality.errors_by_design import confusion

MEASURES = ("recall", "precision", "recall of the rest", "precision of the rest", "accuracy")


@dataclass(frozen=True)
class Scene:
    """A class of some share of 5,000 texts, which the label finds in .85 of them, and is right about in .7."""

    share: float = 0.1
    gold: tuple[int, int] = (150, 150)
    draw: str = "strata"

    def __str__(self) -> str:
        return f"{self.share:g} of texts; {self.gold[0]} + {self.gold[1]} gold, {self.draw}"


def once(scene: Scene, seed: int) -> np.ndarray:
    """For each measure: whether the interval covers, and its width, shape (5, 2)."""
    rng, n, found = np.random.default_rng([seed, 23]), 5000, 0.85
    false = scene.share * found * 0.3 / 0.7 / (1 - scene.share)
    y = rng.random(n) < scene.share
    label = np.where(y, rng.random(n) < found, rng.random(n) < false).astype(int)
    table = Table.read({"label": label, "p": np.where(label, 0.2, 0.04) * rng.uniform(0.3, 1.7, n)})
    design = {
        "strata": kt.Stratified("label", n=dict(enumerate(scene.gold))),
        "simple random": kt.SimpleRandom(sum(scene.gold)),
        "unequal": kt.Bernoulli("p"),
    }[scene.draw]
    labelling = design.select(table, rng)
    told = confusion(y[labelling.gold].astype(int), label[labelling.gold], (0, 1), labelling)
    right = scene.share * found + (1 - scene.share) * (1 - false)
    truth = found, 0.7, 1 - false, (1 - scene.share) * (1 - false) / (1 - scene.share * found / 0.7), right
    recall, precision = told.recall_interval, told.precision_interval
    ends = recall[1, 1], precision[1, 1], recall[0, 0], precision[0, 0], told.accuracy_interval
    return np.array([(low <= t <= high, high - low) for t, (low, high) in zip(truth, ends)])


def bins_once(gold: tuple[int, int], seed: int) -> np.ndarray:
    """Share of the bins of :func:`karat.labels.reliability` that cover, and their mean width, shape (2,).

    One text in ten is labelled 1; gold is drawn in strata of the label, or at random where one number is 0.
    """
    rng, n = np.random.default_rng([seed, 29]), 5000
    label = (rng.random(n) < 0.1).astype(int)
    sure = 0.5 + 0.5 * rng.beta(np.where(label, 1.5, 4.0), 1.0)
    wrong = np.where(label, 1.05 - sure, 0.6 * (1 - sure))  # too sure of the one, not sure enough of the other
    p = np.where(np.eye(2)[label] == 1, sure[:, None], 1 - sure[:, None])
    y = np.where(rng.random(n) < wrong, 1 - label, label)
    design = kt.Stratified("label", n=dict(enumerate(gold))) if min(gold) else kt.SimpleRandom(max(gold))
    labelling = design.select(Table.read({"label": label}), rng)
    drawn = labelling.gold
    told = kt.labels.reliability(p[drawn], y[drawn], classes=[0, 1], weights=labelling.weight)
    place = np.minimum((sure * 10 + 1e-9).astype(int), 9)
    truth = np.array([(1 - wrong)[place == round(10 * low)].mean() for low in told["low"]])
    low, high = told["2.5%"], told["97.5%"]
    return np.array([((low <= truth) & (truth <= high)).mean(), (high - low).mean()])


SCENES = (
    Scene(), Scene(gold=(60, 60)), Scene(0.05, (200, 100)), Scene(0.3), Scene(draw="unequal"),
    Scene(draw="simple random"),
)  # fmt: skip

if __name__ == "__main__":
    repetitions = int(sys.argv[1]) if len(sys.argv) > 1 else 400
    print("| scene |", " | ".join(MEASURES), "|")
    for scene in SCENES:
        row = np.mean([once(scene, seed) for seed in range(repetitions)], axis=0)
        print(f"| {scene} |", " | ".join(f"{hit:.3f} ({width:.3f})" for hit, width in row), "|", flush=True)
    for gold in ((150, 150), (60, 60), (300, 0)):
        row = np.mean([bins_once(gold, seed) for seed in range(repetitions)], axis=0)
        print(f"| bins, {gold[0]} + {gold[1]} gold | {row[0]:.3f} ({row[1]:.3f}) |", flush=True)
