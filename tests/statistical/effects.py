"""Coverage of averages after the fit: ``python -m tests.statistical.effects --repetitions 1000``.

A logit with a labelled covariate of 0 and 1 that goes with a number, and surrogates that err more often where the
outcome is 1. Every repetition draws a corpus and a simple random gold sample, fits with default settings, and looks at
the average effect of the labelled covariate, the average slope of the number, and average predictions by group of the
labelled covariate. The truths are integrals over the population. Figures: coverage of 95 % intervals with its Monte
Carlo error, and the mean standard error over the standard deviation of the estimates.
"""

from __future__ import annotations

import argparse
import json
import warnings
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd

import karat as kt

SEED = 990_000
INTERCEPT, STANCE, NUMBER = -0.4, 0.9, -0.6
NAMES = ("stance", "x", "stance=0", "stance=1")


def logistic(value: np.ndarray) -> np.ndarray:
    return 1.0 / (1.0 + np.exp(-value))


def truth() -> np.ndarray:
    """Population values of the four averages."""
    x, weight = np.polynomial.hermite_e.hermegauss(80)
    weight = weight / weight.sum()
    share = logistic(0.2 + 0.8 * x)
    p = [logistic(INTERCEPT + STANCE * k + NUMBER * x) for k in (0, 1)]
    slope = (1 - share) * p[0] * (1 - p[0]) + share * p[1] * (1 - p[1])
    within = [(weight * part * one).sum() / (weight * part).sum() for part, one in zip((1 - share, share), p)]
    return np.array([(weight * (p[1] - p[0])).sum(), NUMBER * (weight * slope).sum(), *within])


def corpus(n_units: int, rng: np.random.Generator) -> pd.DataFrame:
    """Texts with true labels and surrogates that err by the outcome."""
    x = rng.standard_normal(n_units)
    stance = (rng.random(n_units) < logistic(0.2 + 0.8 * x)).astype(float)
    y = (rng.random(n_units) < logistic(INTERCEPT + STANCE * stance + NUMBER * x)).astype(float)
    wrong = rng.random(n_units) < 0.1 + 0.15 * y
    return pd.DataFrame({"y": y, "x": x, "stance": stance, "stance_llm": np.where(wrong, 1.0 - stance, stance)})


@dataclass(frozen=True)
class Row:
    """Figures of one average."""

    name: str
    n_units: int
    n_gold: int
    repetitions: int
    coverage: float
    mc_error: float
    se_over_sd: float
    bias_over_sd: float


def once(n_units: int, n_gold: int, seed: int, **options: object) -> np.ndarray:
    """Estimate, standard error, lower and upper bound of each average, shape (4, 4)."""
    data = corpus(n_units, np.random.default_rng(seed))
    masked = kt.datasets.mask_gold(data, kt.SimpleRandom(n=n_gold).draw(data, seed=seed), "stance")
    fit = kt.logit("y ~ stance + x", masked, surrogates={"stance": "stance_llm"}, seed=seed, compare=False, **options)
    found = [kt.slopes(fit, masked), kt.predictions(fit, masked, by="stance")]
    return np.vstack([np.column_stack([one.theta, one.se(), one.confint()]) for one in found])


def study(repetitions: int, n_units: int = 2000, n_gold: int = 150, **options: object) -> list[Row]:
    """Figures over repetitions."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", kt.errors.SmallSampleWarning)
        every = np.array([once(n_units, n_gold, SEED + r, **options) for r in range(repetitions)])
    out = []
    for j, (name, true) in enumerate(zip(NAMES, truth())):
        estimate, se, low, high = every[:, j].T
        coverage, sd = float(((low < true) & (true < high)).mean()), estimate.std(ddof=1)
        error = float(np.sqrt(0.95 * 0.05 / repetitions))
        bias = float((estimate.mean() - true) / sd)
        out.append(Row(name, n_units, n_gold, repetitions, coverage, error, float(se.mean() / sd), bias))
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=1000)
    parser.add_argument("--gold", type=int, nargs="+", default=[150, 500])
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    rows = [row for n_gold in chosen.gold for row in study(chosen.repetitions, n_gold=n_gold)]
    print(pd.DataFrame(map(asdict, rows)).to_string(float_format="{:.3f}".format))
    if chosen.out:
        chosen.out.write_text(json.dumps(list(map(asdict, rows)), indent=1) + "\n")


if __name__ == "__main__":
    main()
