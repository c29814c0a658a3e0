"""Differences between fits of one call: ``python -m tests.statistical.several --repetitions 1000``.

A linear regression with a labelled outcome whose slope is the same in two halves of a corpus, fitted to each half and
to both, without and with a second covariate that has no effect: differences between halves and between models are 0.
Gold is a simple random sample, so that halves share the draw; or authors wrote texts of both halves, and standard
errors are clustered. Figures: coverage of 95 % intervals of both differences, the share of joint tests that reject at
5 %, coverage of simultaneous intervals of all slopes, and mean standard errors over the standard deviation of the
differences.
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

SEED = 1_210_000
SLOPE = 0.5


@dataclass(frozen=True)
class Row:
    """Figures of one scenario."""

    scenario: str
    n_gold: int
    repetitions: int
    halves: float
    halves_se_over_sd: float
    models: float
    models_se_over_sd: float
    rejected: float
    together: float
    mc_error: float


def corpus(clustered: bool, n_units: int, rng: np.random.Generator) -> pd.DataFrame:
    """Texts of 60 authors, and labels whose errors go with the covariate."""
    author = rng.integers(0, 60, n_units)
    shared = 0.6 * rng.standard_normal((2, 60))[:, author] * clustered
    x, z = rng.standard_normal(n_units) + shared[0], rng.standard_normal(n_units)
    half = np.where(rng.random(n_units) < 0.4, "a", "b")
    y = 0.2 + SLOPE * x + shared[1] + rng.standard_normal(n_units) * (0.7 + 0.3 * np.abs(x))
    llm = 0.7 * y + 0.2 * x + 0.5 * (half == "a") + 0.6 * rng.standard_normal(n_units)
    return pd.DataFrame({"y": y, "x": x, "z": z, "half": half, "llm": llm, "author": author})


def repetition(clustered: bool, n_units: int, n_gold: int, rng: np.random.Generator) -> dict[str, float]:
    """One corpus and one draw."""
    data = corpus(clustered, n_units, rng)
    sample = kt.SimpleRandom(n_gold).draw(data, seed=rng)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", kt.KaratWarning)
        fits = kt.several(
            "y ~ x + sw0(z)", kt.datasets.mask_gold(data, sample, "y"), surrogates={"y": "llm"}, design=sample.design,
            fsplit="half", learner="linear", repeats=1, compare=False, cluster="author" if clustered else None,
            seed=int(rng.integers(2**31)),
        )  # fmt: skip
    short, a, b = (f"y ~ x{more}" for more in ("; all", "; half=a", "; half=b"))
    found = fits.contrast([f"{a}: x - {b}: x", f"{short}: x - y ~ x + z; all: x"])
    covers = (found["2.5%"] <= 0) & (found["97.5%"] >= 0)
    slopes = fits.simultaneous(terms=["x"], draws=2000, seed=1)
    return {
        "halves": covers.iloc[0], "models": covers.iloc[1],
        "gap": found["Estimate"].iloc[0], "se": found["Std. Error"].iloc[0],
        "model_gap": found["Estimate"].iloc[1], "model_se": found["Std. Error"].iloc[1],
        "rejected": fits.wald([f"{a}: x = {b}: x", "y ~ x + z; half=a: z = y ~ x + z; half=b: z"]).p_value < 0.05,
        "together": ((slopes["2.5%"] <= SLOPE) & (slopes["97.5%"] >= SLOPE)).all(),
    }  # fmt: skip


def study(repetitions: int, n_units: int = 2000, n_gold: int = 400, seed: int = SEED) -> list[Row]:
    """Both scenarios."""
    out = []
    for k, scenario in enumerate(("simple random", "clustered")):
        rng = np.random.default_rng(seed + k)
        found = pd.DataFrame([repetition(k == 1, n_units, n_gold, rng) for _ in range(repetitions)]).astype(float)
        mean, sd = found.mean(), found.std()
        out.append(
            Row(
                scenario, n_gold, repetitions, mean["halves"], mean["se"] / sd["gap"], mean["models"],
                mean["model_se"] / sd["model_gap"], mean["rejected"], mean["together"],
                float(np.sqrt(0.95 * 0.05 / repetitions)),
            )
        )  # fmt: skip
    return out


def main() -> None:
    """Run and print, or write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=1000)
    parser.add_argument("--gold", type=int, default=400)
    parser.add_argument("--write", type=Path)
    given = parser.parse_args()
    told = json.dumps([asdict(row) for row in study(given.repetitions, n_gold=given.gold)], indent=1)
    print(told)
    if given.write:
        given.write.write_text(told + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
