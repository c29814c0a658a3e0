"""A model's passages against those of people in a sample of documents: do intervals of precision, recall and F1 hold?

Run with ``python -m tests.statistical.spans`` for the figures of docs/protocol.md.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

import numpy as np
import pandas as pd

import karat as kt
from karat.annotate.located import Marks, Passage

SEED = 8_300_000
MEASURES = ("precision", "recall", "f1")


@dataclass(frozen=True)
class Scene:
    """Documents have passages, more in one in five; the model finds most, misplaces some, and marks others besides."""

    documents: int = 1500
    gold: int = 150
    found: float = 0.7
    rare: bool = False
    stratified: bool = False
    marked: int = 0

    def __str__(self) -> str:
        how = f"{self.marked} of them where the model marked" if self.marked else "simple random"
        how = "strata" if self.stratified else how
        return f"{self.gold} of {self.documents:,} documents, {how}, {'few' if self.rare else 'many'} passages"


def corpus(
    scene: Scene, rng: np.random.Generator
) -> tuple[list[list[tuple[int, int]]], list[list[tuple[int, int]]], np.ndarray]:
    """Passages of people and of the model in each document, and which documents have more."""
    n = scene.documents
    many = rng.random(n) < 0.2
    theirs, ours = [], []
    for heavy in many:
        k = rng.poisson((0.3 if scene.rare else 1.5) * (3 if heavy else 0.6))
        starts = 20 * np.sort(rng.choice(30, min(k, 30), replace=False))
        theirs.append([(int(s), int(s) + 10) for s in starts])
        hard = rng.random() < 0.3  # in some documents it does worse
        kept = [place for place in theirs[-1] if rng.random() < scene.found - 0.3 * hard]
        moved = [(a, b + 3) if rng.random() < 0.15 else (a, b) for a, b in kept]
        more = [(601 + 20 * i, 609 + 20 * i) for i in range(rng.poisson(0.1 if scene.rare else 0.4))]
        ours.append(moved + more)
    return theirs, ours, many


def annotation(places: list[list[tuple[int, int]]]) -> kt.annotate.SpanAnnotation:
    """Passages of a model as its labels."""
    ones, n = np.ones(1), len(places)
    marks = tuple(Marks(tuple(Passage(a, b, 0, "") for a, b in one), (), ones, ones, ones) for one in places)
    text, cost = np.array(["ok"] * n, dtype=object), kt.annotate.Cost(0.0, "USD", 0, 0, 0, 0, 0, 0, False)
    return kt.annotate.SpanAnnotation(
        np.arange(n), ("x",), np.ones((n, 1)), np.ones(n), text, text, np.zeros(n, dtype=bool), "llm", "m", False, {},
        cost, True, marks=marks, lengths=np.full(n, 1000),
    )  # fmt: skip


def people(places: list[list[tuple[int, int]]], rows: np.ndarray) -> kt.Spans:
    """Passages that people marked in some documents, those in which there are none included."""
    table = [(str(i), "ann", a, b, "x") for i in rows for a, b in places[i]]
    names = ["document", "annotator", "start", "end", "label"]
    return kt.Spans(pd.DataFrame(table, columns=names), tuple((str(i), "ann") for i in rows), ("x",))


def once(scene: Scene, seed: int) -> np.ndarray:
    """For each way and measure: whether the interval covers, and its width, shape (3, 3, 2)."""
    rng = np.random.default_rng([SEED, seed])
    theirs, ours, many = corpus(scene, rng)
    frame = pd.DataFrame({"row": np.arange(scene.documents), "many": many.astype(int)})
    made, frame["ours"] = annotation(ours), [int(bool(places)) for places in ours]
    design = kt.SimpleRandom(scene.gold)
    if scene.stratified:
        design = kt.Stratified("many", n=scene.gold, allocation="equal")
    if scene.marked:
        design = kt.Stratified("ours", n={1: scene.marked, 0: scene.gold - scene.marked})
    sample = design.draw(frame, seed=rng, id="row")
    told = made.agreement(people(theirs, sample.positions), sample)
    truth = made.agreement(people(theirs, np.arange(scene.documents)))
    out = np.empty((3, 3, 2))
    for i, way in enumerate(("exact", "overlapping", "characters")):
        for j, name in enumerate(MEASURES):
            low, high = told.loc[("x", way), [f"{name} 2.5%", f"{name} 97.5%"]]
            out[i, j] = low <= truth.loc[("x", way), name] <= high, high - low
    return out


SCENES = (
    Scene(), Scene(gold=60), Scene(stratified=True), Scene(rare=True), Scene(rare=True, stratified=True),
    Scene(rare=True, marked=110), Scene(rare=True, gold=80, marked=50, found=0.9),
)  # fmt: skip

if __name__ == "__main__":
    repetitions = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    error = np.sqrt(0.95 * 0.05 / repetitions)
    print(f"{repetitions} repetitions, Monte Carlo error {error:.3f}")
    print("| scene | way | " + " | ".join(f"{name}: coverage, width" for name in MEASURES) + " |")
    for scene in SCENES:
        found = np.mean([once(scene, seed) for seed in range(repetitions)], axis=0)
        for i, way in enumerate(("exact", "overlapping", "characters")):
            cells = " | ".join(f"{found[i, j, 0]:.3f}, {found[i, j, 1]:.2f}" for j in range(3))
            print(f"| {scene} | {way} | {cells} |", flush=True)
