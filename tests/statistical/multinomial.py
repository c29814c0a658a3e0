"""Coverage of multinomial logit: ``python -m tests.statistical.multinomial --repetitions 300``.

A corpus of three topics whose odds depend on a number, and on a tone of three classes where the covariate is
labelled. Surrogates of either are right in three of four rows, wrong more often for large x, and lean towards one
class. Every repetition draws a corpus and a simple random gold sample and fits with default settings; figures over all
coefficients: coverage of 95 % intervals with its Monte Carlo error, mean standard error over the standard deviation of
the estimates, mean width over that of gold alone, and the largest such ratio of a coefficient.
"""

from __future__ import annotations

import argparse
import functools
import json
import time
import warnings
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd

import karat as kt

SEED = 880_000
TOPICS, TONES = ("economy", "law", "war"), ("negative", "neutral", "positive")
SLOPES = {"outcome": ("x", "z"), "covariate": ("x", "tone"), "both": ("x", "tone")}
LABELLED = {
    "outcome": {"topic": "topic_llm"},
    "covariate": {"tone": "tone_llm"},
    "both": {"topic": "topic_llm", "tone": "tone_llm"},
}
TRUTH = {
    "law: Intercept": 0.3, "law: x": 0.5, "law: z": -0.4, "law: tone[T.neutral]": -0.3, "law: tone[T.positive]": -0.6,
    "war: Intercept": -0.2, "war: x": -0.6, "war: z": 0.5, "war: tone[T.neutral]": 0.4, "war: tone[T.positive]": -0.2,
}  # fmt: skip


def corpus(labelled: str, n_units: int, rng: np.random.Generator) -> pd.DataFrame:
    """Texts with true labels and surrogates of both."""
    x, z = rng.standard_normal(n_units), (rng.random(n_units) < 0.4).astype(float)
    tone = rng.choice(TONES, n_units, p=[0.35, 0.4, 0.25])
    eta = np.zeros((n_units, 3))
    for k, topic in enumerate(TOPICS[1:], start=1):
        eta[:, k] = TRUTH[f"{topic}: Intercept"] + TRUTH[f"{topic}: x"] * x
        if labelled == "outcome":
            eta[:, k] += TRUTH[f"{topic}: z"] * z
        else:
            eta[:, k] += sum(TRUTH[f"{topic}: tone[T.{t}]"] * (tone == t) for t in TONES[1:])
    topic = np.array(TOPICS)[(eta + rng.gumbel(size=eta.shape)).argmax(axis=1)]
    frame = {"x": x, "z": z, "topic": topic, "tone": tone}
    for name, true, classes in (("topic_llm", topic, TOPICS), ("tone_llm", tone, TONES)):
        wrong = rng.random(n_units) < 0.25 / (1.0 + np.exp(-x)) * 2.0
        frame[name] = np.where(wrong, rng.choice(classes, n_units, p=[0.5, 0.3, 0.2]), true)
    return pd.DataFrame(frame)


@dataclass(frozen=True)
class Row:
    """Figures of one setting."""

    labelled: str
    n_units: int
    n_gold: int
    repetitions: int
    refused: int
    coverage: float
    mc_error: float
    lowest_coverage: float
    se_over_sd: float
    width_over_gold: float
    worst_width_over_gold: float
    squared_error: float
    """Mean square of errors over standard errors."""


def once(labelled: str, n_units: int, n_gold: int, seed: int, **options: object) -> np.ndarray:
    """For each coefficient: error, standard error, whether covered, width; gold-only whether covered, width."""
    rng = np.random.default_rng(seed)
    data = corpus(labelled, n_units, rng)
    sample = kt.SimpleRandom(n=n_gold).draw(data, seed=seed)
    masked = kt.datasets.mask_gold(data, sample, list(LABELLED[labelled]))
    formula = "topic ~ " + " + ".join(SLOPES[labelled])
    fit = kt.multinomial(formula, masked, surrogates=LABELLED[labelled], design=sample.design, seed=seed, **options)
    truth = np.array([TRUTH[name] for name in fit.names])
    bounds, gold = fit.confint().to_numpy(), next(c for c in fit.compare().columns if c.title == "Gold only")
    half = gold.se * _quantile(gold.df)
    return np.column_stack([
        fit.theta - truth, fit.se(), (bounds[:, 0] <= truth) & (truth <= bounds[:, 1]), np.ptp(bounds, axis=1),
        np.abs(gold.theta - truth) <= half, 2.0 * half,
    ])  # fmt: skip


@functools.cache
def _t(df: float) -> float:
    from scipy.stats import t

    return float(t.ppf(0.975, df))


def _quantile(df: np.ndarray) -> np.ndarray:
    return np.array([_t(float(value)) for value in df])


def study(
    labelled: str, repetitions: int, n_units: int = 3000, n_gold: int = 300, seed: int = SEED, **options: object
) -> Row:
    """Repeat one setting."""
    found, refused = [], 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for r in range(repetitions):
            try:
                found.append(once(labelled, n_units, n_gold, seed + r, **options))
            except kt.KaratError:
                refused += 1
    a = np.array(found)
    covered = a[:, :, 2].mean(axis=1)
    ratio = a[:, :, 3] / a[:, :, 5]
    return Row(
        labelled, n_units, n_gold, repetitions, refused, float(covered.mean()),
        float(covered.std(ddof=1) / np.sqrt(len(covered))), float(a[:, :, 2].mean(axis=0).min()),
        float((a[:, :, 1].mean(axis=0) / a[:, :, 0].std(axis=0, ddof=1)).mean()),
        float(ratio.mean()), float(ratio.max()), float(np.mean((a[:, :, 0] / a[:, :, 1]) ** 2)),
    )  # fmt: skip


def main() -> None:
    """Run the study, print its figures and write them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=300)
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/multinomial.json"))
    options = parser.parse_args()
    began, rows = time.perf_counter(), []
    for labelled in LABELLED:
        rows.append(study(labelled, options.repetitions))
        print(rows[-1], flush=True)
        options.output.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")
    print(f"{time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
