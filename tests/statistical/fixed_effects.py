"""Coverage with fixed effects: ``python -m tests.statistical.fixed_effects --repetitions 200``.

Unbalanced panels of 2500 rows in 50 states (and 15 years) or in 300 small groups, in which the labelled covariate and
the outcome go with the effects. Surrogates of the covariate are right in 85 of 100 rows, those of the outcome err by a
multiple that depends on the covariate. Every repetition draws a panel and a simple random gold sample; fits have
default settings, or no learner. Figures for the labelled covariate and a number: coverage of 95 % intervals with its
Monte Carlo error, bias and mean standard error over the standard deviation of the estimates, median width over that of
gold alone where there is one, and how often small groups were put right. Counts and votes have their bias against the
estimate with all rows gold on the same panel, too, in standard deviations of the difference: with one number for each
group, that is what surrogates can be held to. Cells share their random numbers. Counts (Poisson) and votes (logit) are
labelled as outcomes alone; half of the effects are theirs, and surrogates err more often where x is 1.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import t as student

import karat as kt

SEED = 930_000
TRUTH = {"x": 0.5, "z": -0.3}
LABELLED = {
    "outcome": {"y": "y_llm"},
    "covariate": {"x": "x_llm"},
    "both": {"y": "y_llm", "x": "x_llm"},
    "count": {"count": "count_llm"},
    "vote": {"vote": "vote_llm"},
}
FORMULAS = {"one way": "y ~ x + z | state", "two ways": "y ~ x + z | state + year", "small groups": "y ~ x + z | state"}


def panel(kind: str, n_units: int, rng: np.random.Generator) -> pd.DataFrame:
    """Rows of a panel with true labels and surrogates of both."""
    states = n_units // 8 if kind == "small groups" else 50
    state = (rng.random(n_units) ** 1.3 * states).astype(int)
    year = rng.integers(0, 15, n_units)
    a, b = rng.normal(size=states)[state], rng.normal(size=15)[year] * (kind == "two ways")
    x = (rng.normal(size=n_units) + 0.7 * a + 0.3 * b > 0).astype(float)
    z = rng.normal(size=n_units) + 0.3 * a
    y = TRUTH["x"] * x + TRUTH["z"] * z + a + b + rng.normal(size=n_units)
    x_llm = np.where(rng.random(n_units) < 0.85, x, 1 - x)
    y_llm = 0.8 * y + 0.3 * x + 0.7 * rng.normal(size=n_units)
    eta = TRUTH["x"] * x + TRUTH["z"] * z + 0.5 * (a + b) - 0.3
    count, vote = rng.poisson(np.exp(eta)), (rng.random(n_units) < 1 / (1 + np.exp(-eta))).astype(float)
    count_llm = np.maximum(count + np.rint(0.7 * rng.normal(size=n_units) + 0.2 * x), 0.0)
    vote_llm = np.where(rng.random(n_units) < 0.1 + 0.1 * x, 1 - vote, vote)
    return pd.DataFrame(
        {
            "state": state.astype(str), "year": 2000 + year, "x": x, "z": z, "y": y, "x_llm": x_llm, "y_llm": y_llm,
            "count": count, "vote": vote, "count_llm": count_llm, "vote_llm": vote_llm,
        }
    )  # fmt: skip


@dataclass(frozen=True)
class Row:
    """Figures of one setting."""

    kind: str
    labelled: str
    learner: str
    n_gold: int
    repetitions: int
    refused: int
    coverage_x: float
    coverage_z: float
    mc_error: float
    bias_over_sd: float
    se_over_sd: float
    hc1_over_sd: float
    width_over_gold: float
    put_right: float
    gap_over_sd: float
    gap_over_sd_z: float


def once(kind: str, labelled: str, learner: str | None, n_units: int, n_gold: int, seed: int) -> np.ndarray:
    """For x and z: error, standard error, whether covered, width, gold-only width; whether put right; gap; HC1."""
    rng = np.random.default_rng(seed)
    data = panel(kind, n_units, rng)
    sample = kt.SimpleRandom(n=n_gold).draw(data, seed=seed)
    masked = kt.datasets.mask_gold(data, sample, list(LABELLED[labelled]))
    outcome, door = {"count": ("count", kt.poisson), "vote": ("vote", kt.logit)}.get(labelled, ("y", kt.ols))
    formula = FORMULAS[kind].replace("y ~", f"{outcome} ~")
    fit = door(formula, masked, surrogates=LABELLED[labelled], design=sample.design, seed=seed, learner=learner)
    truth, bounds = np.array([TRUTH[name] for name in fit.names]), fit.confint().to_numpy()
    gold = next((c for c in fit.compare().columns if c.title == "Gold only"), None)
    width = np.full(2, np.nan) if gold is None else 2.0 * gold.se * student.ppf(0.975, gold.df)
    gap = np.full(2, np.nan)
    if labelled in ("count", "vote"):
        every = door(formula, data, surrogates=LABELLED[labelled], estimator="gold", compare=False)
        gap = fit.theta - every.theta
    hc1 = fit.with_vcov("HC1").se()
    right = any("it is put right" in note for note in fit.notes)
    covered = (bounds[:, 0] <= truth) & (truth <= bounds[:, 1])
    return np.column_stack(
        [fit.theta - truth, fit.se(), covered, np.ptp(bounds, axis=1), width, np.full(2, right), gap, hc1]
    )


def study(
    kind: str, labelled: str, learner: str | None, n_gold: int, repetitions: int, n_units: int = 2500, seed: int = SEED
) -> Row:
    """Repeat one setting."""
    found, refused = [], 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for r in range(repetitions):
            try:
                found.append(once(kind, labelled, learner, n_units, n_gold, seed + r))
            except kt.KaratError:
                refused += 1
    a = np.array(found)
    sd = a[:, :, 0].std(axis=0, ddof=1)
    known, gap = np.isfinite(a[:, 0, 4]), a[:, :, 6].mean(axis=0) / a[:, :, 6].std(axis=0, ddof=1)
    return Row(
        kind, labelled, str(learner), n_gold, repetitions, refused, float(a[:, 0, 2].mean()), float(a[:, 1, 2].mean()),
        float(a[:, :, 2].mean(axis=1).std(ddof=1) / np.sqrt(len(a))), float(a[:, 0, 0].mean() / sd[0]),
        float((a[:, :, 1].mean(axis=0) / sd).mean()), float((a[:, :, 7].mean(axis=0) / sd).mean()),
        float(np.median(a[known, :, 3] / a[known, :, 4])) if known.any() else float("nan"), float(a[:, 0, 5].mean()),
        float(gap[0]), float(gap[1]),
    )  # fmt: skip


def main() -> None:
    """Run the study, print its figures and write them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=200)
    parser.add_argument("--kinds", nargs="+", choices=list(FORMULAS), default=list(FORMULAS))
    parser.add_argument("--gold", type=int, nargs="+", default=[150, 500])
    parser.add_argument("--learners", nargs="+", choices=["auto", "none"], default=["auto", "none"])
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--labels", nargs="+", choices=list(LABELLED), default=list(LABELLED))
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/fixed_effects.json"))
    options = parser.parse_args()
    began, rows = time.perf_counter(), []
    for kind in options.kinds:
        for labelled in options.labels:
            for n_gold in options.gold:
                for name in options.learners:
                    learner = None if name == "none" else name
                    rows.append(study(kind, labelled, learner, n_gold, options.repetitions, seed=options.seed))
                    print(rows[-1], flush=True)
                    options.output.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")
    print(f"{time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
