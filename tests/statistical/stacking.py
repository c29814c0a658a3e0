"""Choosing one of two learners on the gold of the interval, against averaging them: coverage and estimated variance.

``python -m tests.statistical.stacking 400`` writes ``benchmarks/results/stacking.md``. The corpus ``graded`` of
:mod:`tests.statistical.guess` (48 prompts, from guessing to three of four right), 300 gold labels, five folds, one
split: both learners of ``learner="auto"`` are cross-fitted on the same sample, and each rule makes one guess of them.
Intervals are those of the regression at weight 1 with ``target="finite"``: the design's variance of the labelling
errors, and degrees of freedom from their kurtosis. Since all labels are known, so is the variance that each guess
really has over draws.
"""

from __future__ import annotations

import sys
from pathlib import Path
from unittest import mock

import numpy as np
from scipy import stats

from karat.estimate.df import kurtosis_df
from karat.frames.matrices import Features
from karat.predict import Target, crossfit, make_folds, stacked

from . import guess

SIZE, FOLDS, START = 300, 5, 40_000
OUT = Path(__file__).resolve().parents[2] / "benchmarks" / "results" / "stacking.md"


def both(y: np.ndarray, features: Features, gold: np.ndarray, seed: int) -> list[np.ndarray]:
    """Out-of-fold predictions of all units by each of the two learners."""
    labelled = np.isin(np.arange(len(y)), gold)
    rng = np.random.default_rng([seed, 1])
    folds, out = make_folds(labelled, FOLDS, 1, rng, y[gold].astype(np.intp)), []
    for share in (0.0, 1.0):
        with mock.patch.object(stacked, "share_of_second", lambda *_, share=share: share):
            target, weight = Target("y", y[gold], 2), np.ones(len(gold))
            found = crossfit((target,), features, gold, folds, "auto", None, seed=seed, report_weight=weight)
        out.append(found.values["y"][:, 0])
    return out


def shares(y: np.ndarray, first: np.ndarray, second: np.ndarray) -> dict[str, float]:
    """Weight of boosting under each rule, from labels and out-of-fold predictions of gold rows."""
    sides = [np.column_stack([1 - v, v]) for v in (y, first, second)]
    return {
        "linear": 0.0, "boosting": 1.0, "one half": 0.5,
        "smaller loss": float(((y - second) ** 2).sum() < ((y - first) ** 2).sum()),
        "averaged": stacked.share_of_second(*sides, None),
    }  # fmt: skip


def one(case: guess.Case, seed: int) -> dict[str, list[float]]:
    """For each rule: error of the slope, half width, estimated and true labelling variance, weight of boosting."""
    frame = case["frame"]
    y, x = frame["y"].to_numpy(float), frame["x"].to_numpy()
    names = [*case["surrogates"]["y"], "x"]
    features = Features(frame[names].to_numpy(float), tuple(names), tuple(range(len(names) - 1)))
    gold = np.sort(np.random.default_rng(seed).choice(len(y), SIZE, replace=False))
    first, second = both(y, features, gold, seed)
    slope = (x - x.mean()) / np.mean((x - x.mean()) ** 2)
    fraction, rest = 1 / SIZE - 1 / len(y), np.setdiff1d(np.arange(len(y)), gold)
    out = {}
    for rule, share in shares(y[gold], first[gold], second[gold]).items():
        error = (y - (1 - share) * first - share * second) * slope
        square = (error[gold] - error[gold].mean()) ** 2
        freedom = min(float(kurtosis_df(square.sum(), (square**2).sum())), SIZE - 2.0)
        found = fraction * square.sum() / (SIZE - 1)
        half = stats.t.ppf(0.975, freedom) * np.sqrt(found)
        out[rule] = [error[gold].mean() - error.mean(), half, found, fraction * error[rest].var(ddof=1), share]
    return out


def table(runs: list[dict[str, list[float]]]) -> str:
    lines = [
        "# One of two learners, or both averaged",
        "",
        f"Written by `python -m tests.statistical.stacking {len(runs)}`: corpus `graded`, {SIZE} gold labels, "
        f"{len(runs)} samples (seeds from {START}).",
        "",
        "| guess | weight of boosting | coverage | half width | estimated / true variance | root mean squared error |",
        "|---|---|---|---|---|---|",
    ]
    for rule in runs[0]:
        error, half, found, true, share = np.array([r[rule] for r in runs]).T
        inside = np.abs(error) <= half
        ratio, margin = found.mean() / true.mean(), np.std(found - found.mean() / true.mean() * true, ddof=1)
        lines.append(
            f"| {rule} | {share.mean():.2f} | {inside.mean():.3f} ± {inside.std() / np.sqrt(len(runs)):.3f} | "
            f"{half.mean():.4f} | {ratio:.2f} ± {margin / np.sqrt(len(runs)) / true.mean():.2f} | "
            f"{np.sqrt((error**2).mean()):.5f} |"
        )
    chosen = np.array([r["smaller loss"] for r in runs])
    inside, boosted = np.abs(chosen[:, 0]) <= chosen[:, 1], chosen[:, 4] == 1
    for name, part in (("linear", ~boosted), ("boosting", boosted)):
        if part.any():
            lines += ["", f"Where {name} has the smaller loss ({part.sum()}), it covers {inside[part].mean():.3f}."]
    return "\n".join(lines) + "\n"


def main() -> None:
    repetitions, case = int(sys.argv[1]) if len(sys.argv) > 1 else 400, guess.corpus("graded", None)
    runs = []
    for k in range(repetitions):
        runs.append(one(case, START + k))
        if k % 20 == 19 or k == repetitions - 1:
            OUT.write_text(table(runs))
    print(OUT.read_text())


if __name__ == "__main__":
    main()
