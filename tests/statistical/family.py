"""Coverage of the family: ``python -m tests.statistical.family [--cases ...]``.

Probit, ordered logit and probit, negative binomial, gamma, fractional logit, beta, quantiles, expectiles and Huber.

Outcomes depend on a number x and on a label of two classes, which also widens the errors of quantiles and expectiles,
so that their slopes differ from those of the mean. Surrogates of the outcome are shrunk towards 0 and noisier for large
x; those of the label are wrong more often for large x. Every repetition draws a corpus and a simple random gold sample
and fits with default settings; figures over all coefficients: coverage of 95 % intervals with its Monte Carlo error,
mean standard error over the standard deviation of the estimates, largest bias in such deviations, mean width over that
of gold alone, and the largest such ratio of a coefficient.
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
from scipy.optimize import brentq
from scipy.stats import norm, t

import karat as kt

SEED = 990_000
SLOPES = np.array([0.2, 0.5, -0.4])
CUTS = np.array([-1.0, 0.2, 1.5])
"""Cut points of ordered outcomes, which have no intercept."""
ALPHA = 0.5
"""Dispersion of counts."""
PHI = 8.0
"""Precision of shares between 0 and 1."""
WIDER = 0.3
"""What the label adds to the scale of errors, which is 1 without it."""
CASES = {
    "probit": ("probit", {}),
    "ordered logit": ("ordered", {}),
    "ordered probit": ("ordered", {"link": "probit"}),
    "negative binomial": ("negative_binomial", {}),
    "gamma": ("gamma", {}),
    "fractional": ("fractional", {}),
    "beta": ("beta", {}),
    "median": ("quantile", {"q": 0.5}),
    "quantile .25": ("quantile", {"q": 0.25}),
    "quantile .9": ("quantile", {"q": 0.9}),
    "skewed median": ("quantile", {"q": 0.5}),
    "expectile .8": ("expectile", {"q": 0.8}),
    "huber": ("huber", {}),
}
LABELLED = {"outcome": ["y"], "covariate": ["hostile"], "both": ["y", "hostile"]}


@functools.cache
def centre(case: str) -> float:
    """The quantile or expectile of the errors."""
    q = CASES[case][1].get("q", 0.5)
    if case == "skewed median":
        return float(np.log(2.0))
    if case.startswith("expectile"):

        def gap(e: float) -> float:
            above = norm.pdf(e) - e * norm.sf(e)
            return q * above - (1 - q) * (above + e)

        return float(brentq(gap, -5.0, 5.0))
    return float(norm.ppf(q))


def truth(case: str) -> np.ndarray:
    """Coefficients."""
    if CASES[case][0] in ("quantile", "expectile"):
        return SLOPES + centre(case) * np.array([1.0, 0.0, WIDER])
    if CASES[case][0] == "ordered":
        return np.r_[SLOPES[1:], CUTS - SLOPES[0]]
    constant = {"negative binomial": [np.log(ALPHA)], "beta": [np.log(PHI)]}
    return np.r_[SLOPES, constant.get(case, [])]


def corpus(case: str, n_units: int, rng: np.random.Generator) -> pd.DataFrame:
    """Texts with true outcomes and labels, and surrogates of both."""
    x, hostile = rng.standard_normal(n_units), (rng.random(n_units) < 0.4).astype(float)
    eta = SLOPES[0] + SLOPES[1] * x + SLOPES[2] * hostile
    noise, odd = rng.standard_normal(n_units), 1.0 / (1.0 + np.exp(-x))
    if case == "gamma":
        y = np.exp(eta) * rng.gamma(2.0, 0.5, n_units)
        y_llm = y**0.8 * np.exp(0.6 * odd * noise)
    elif case == "fractional":
        y = rng.binomial(5, 1.0 / (1.0 + np.exp(-eta))) / 5
        y_llm = np.clip(0.1 + 0.8 * y + 0.3 * odd * noise, 0.0, 1.0)
    elif case == "beta":
        mean = 1.0 / (1.0 + np.exp(-eta))
        y = rng.beta(mean * PHI, (1.0 - mean) * PHI)
        y_llm = np.clip(0.1 + 0.8 * y + 0.2 * odd * noise, 0.0, 1.0)
    elif case == "probit":
        y = (eta + rng.standard_normal(n_units) > 0).astype(float)
        y_llm = np.where(rng.random(n_units) < 0.3 * odd, 1 - y, y)
    elif case.startswith("ordered"):
        hidden = eta + (rng.logistic(size=n_units) if case == "ordered logit" else rng.standard_normal(n_units))
        y = np.digitize(hidden, CUTS)
        y_llm = np.clip(y + np.rint(1.2 * odd * noise), 0, len(CUTS)).astype(int)
    elif case == "negative binomial":
        y = rng.poisson(np.exp(eta) * rng.gamma(1.0 / ALPHA, ALPHA, n_units))
        y_llm = np.maximum(0.8 * y + odd * noise, 0.0)
    else:
        if case == "huber":
            errors = rng.standard_t(4, n_units)
        elif case == "skewed median":
            errors = rng.exponential(size=n_units) * (1.0 + WIDER * hostile)
        else:
            errors = rng.standard_normal(n_units) * (1.0 + WIDER * hostile)
        y = eta + errors
        y_llm = 0.8 * y + odd * noise
    wrong = rng.random(n_units) < 0.4 * odd
    frame = {"x": x, "hostile": hostile, "y": y, "y_llm": y_llm, "hostile_llm": np.where(wrong, 1 - hostile, hostile)}
    return pd.DataFrame(frame)


@dataclass(frozen=True)
class Row:
    """Figures of one setting."""

    case: str
    labelled: str
    n_units: int
    n_gold: int
    repetitions: int
    refused: int
    coverage: float
    mc_error: float
    lowest_coverage: float
    gold_coverage: float
    se_over_sd: float
    largest_bias: float
    width_over_gold: float
    worst_width_over_gold: float
    squared_error: float
    """Mean square of errors over standard errors."""


def once(case: str, labelled: str, n_units: int, n_gold: int, seed: int, **options: object) -> np.ndarray:
    """For each coefficient: error, standard error, whether covered, width; gold-only whether covered, width."""
    rng = np.random.default_rng(seed)
    data = corpus(case, n_units, rng)
    sample = kt.SimpleRandom(n=n_gold).draw(data, seed=seed)
    masked = kt.datasets.mask_gold(data, sample, LABELLED[labelled])
    name, parameters = CASES[case]
    surrogates = {label: f"{label}_llm" for label in LABELLED[labelled]}
    fit = getattr(kt, name)(
        "y ~ x + hostile", masked, surrogates=surrogates, design=sample.design, seed=seed, **parameters, **options
    )
    true, bounds = truth(case), fit.confint().to_numpy()
    gold = next(c for c in fit.compare().columns if c.title == "Gold only")
    half = gold.se * t.ppf(0.975, gold.df)
    return np.column_stack([
        fit.theta - true, fit.se(), (bounds[:, 0] <= true) & (true <= bounds[:, 1]), np.ptp(bounds, axis=1),
        np.abs(gold.theta - true) <= half, 2.0 * half,
    ])  # fmt: skip


def study(
    case: str, labelled: str, repetitions: int, n_units: int = 3000, n_gold: int = 150, seed: int = SEED,
    **options: object,
) -> Row:  # fmt: skip
    """Repeat one setting."""
    found, refused = [], 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for r in range(repetitions):
            try:
                found.append(once(case, labelled, n_units, n_gold, seed + r, **options))
            except kt.KaratError:
                refused += 1
    a = np.array(found)
    covered, ratio, deviation = a[:, :, 2].mean(axis=1), a[:, :, 3] / a[:, :, 5], a[:, :, 0].std(axis=0, ddof=1)
    return Row(
        case, labelled, n_units, n_gold, repetitions, refused, float(covered.mean()),
        float(covered.std(ddof=1) / np.sqrt(len(covered))), float(a[:, :, 2].mean(axis=0).min()),
        float(a[:, :, 4].mean()), float((a[:, :, 1].mean(axis=0) / deviation).mean()),
        float(np.abs(a[:, :, 0].mean(axis=0) / deviation).max()), float(ratio.mean()), float(ratio.max()),
        float(np.mean((a[:, :, 0] / a[:, :, 1]) ** 2)),
    )  # fmt: skip


def main() -> None:
    """Run the study, print its figures and write them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=300)
    parser.add_argument("--cases", nargs="+", choices=list(CASES), default=list(CASES))
    parser.add_argument("--gold", type=int, nargs="+", default=[150, 500])
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/family.json"))
    options = parser.parse_args()
    began, rows = time.perf_counter(), []
    for case in options.cases:
        for labelled in LABELLED:
            for n_gold in options.gold:
                rows.append(study(case, labelled, options.repetitions, n_gold=n_gold, seed=options.seed))
                print(rows[-1], flush=True)
                options.output.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")
    print(f"{time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
