"""Do intervals hold the truth when labels are missing, and when nobody drew the gold?

``python -m tests.statistical.nonresponse`` runs the full size and writes nonresponse.md and worst_cases.md to
benchmarks/results.
"""

from __future__ import annotations

import argparse
import json
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd

import karat as kt

N_UNITS = 2000
FORMULA = "outcome ~ hostile + length"


@dataclass(frozen=True)
class Study:
    """Coverage of 95 % intervals, averaged over the coefficients, and what the standard errors are worth."""

    scenario: str
    repetitions: int
    coverage: float
    lowest_coverage: float
    se_over_sd: float
    largest_bias_in_sd: float
    gold_coverage: float


def _logistic(value: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-value))


def corpus(rng: np.random.Generator) -> pd.DataFrame:
    data, _ = kt.datasets.simulate(N_UNITS, seed=rng)
    data["third"] = np.searchsorted([-0.43, 0.43], data["length"])
    data["thread"] = rng.permutation(N_UNITS) // 4
    data["pi"] = 0.1 + 0.3 * _logistic(data["outcome"].to_numpy())
    return data


def stratified(data: pd.DataFrame, rng: np.random.Generator) -> tuple[np.ndarray, dict]:
    sample = kt.Stratified("third", n=400, allocation="equal").draw(data, seed=rng)
    rate = np.array([0.9, 0.7, 0.5])[data["third"]]
    return sample.labelled & (rng.random(N_UNITS) < rate), {"design": sample.design, "nonresponse": "ignorable"}


def clusters(data: pd.DataFrame, rng: np.random.Generator) -> tuple[np.ndarray, dict]:
    sample = kt.Clustered("thread", n=100).draw(data, seed=rng)
    return sample.labelled & (rng.random(N_UNITS) < 0.7), {"design": sample.design, "nonresponse": "ignorable"}


def bernoulli(data: pd.DataFrame, rng: np.random.Generator) -> tuple[np.ndarray, dict]:
    drawn = rng.random(N_UNITS) < data["pi"]
    answers = drawn & (rng.random(N_UNITS) < 0.7)
    return answers, {"design": "pi", "sampled": drawn, "nonresponse": "ignorable"}


def modelled(data: pd.DataFrame, rng: np.random.Generator) -> tuple[np.ndarray, dict]:
    sample = kt.SimpleRandom(n=400).draw(data, seed=rng)
    rate = _logistic(1.0 - 0.9 * data["length"] + 0.6 * data["hostile_llm"])
    options = {"design": sample.design, "nonresponse": ["length", "hostile_llm"]}
    return sample.labelled & (rng.random(N_UNITS) < rate), options


def picked(data: pd.DataFrame, rng: np.random.Generator) -> tuple[np.ndarray, dict]:
    rate = _logistic(-1.7 + 0.7 * data["length"] + 0.5 * data["hostile_llm"] - 0.4 * data["outcome"])
    return rng.random(N_UNITS) < rate, {"design": kt.Propensity(["length", "hostile_llm", "outcome"])}


def picked_by_learner(data: pd.DataFrame, rng: np.random.Generator) -> tuple[np.ndarray, dict]:
    from sklearn.linear_model import LogisticRegression

    labelled, _ = picked(data, rng)
    design = kt.Propensity(["length", "hostile_llm", "outcome"], learner=LogisticRegression(C=1e3))
    return labelled, {"design": design}


def picked_for_its_label(data: pd.DataFrame, rng: np.random.Generator) -> tuple[np.ndarray, dict]:
    rate = _logistic(-2.2 + 1.6 * data["hostile"] + 0.5 * data["outcome"])
    return rng.random(N_UNITS) < rate, {"design": kt.Propensity(["length", "hostile_llm"])}


def picked_naive(data: pd.DataFrame, rng: np.random.Generator) -> tuple[np.ndarray, dict]:
    labelled, _ = picked_for_its_label(data, rng)
    return labelled, {"design": None}


SCENARIOS: dict[str, Callable] = {
    "stratified draw, answers random within strata": stratified,
    "cluster draw, rows within clusters unanswered": clusters,
    "Bernoulli draw, answers random": bernoulli,
    "simple random draw, answers modelled": modelled,
    "convenience gold, model right": picked,
    "convenience gold, model right, cross-fitted learner": picked_by_learner,
    "convenience gold, model WRONG (picked for label and outcome)": picked_for_its_label,
    "the same, taken for a simple random sample": picked_naive,
}


def run(scenario: str, repetitions: int, seed: int) -> Study:
    """Corpora, draws and answers anew in each repetition."""
    truth = np.array(list(kt.datasets.simulate(2, seed=0)[1].values()))
    rng = np.random.default_rng(seed)
    estimate, se, inside, inside_gold = [], [], [], []
    for _ in range(repetitions):
        data = corpus(rng)
        labelled, options = SCENARIOS[scenario](data, rng)
        gold = data.assign(hostile=data["hostile"].where(labelled))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", kt.KaratWarning)
            fit = kt.ols(FORMULA, gold, surrogates={"hostile": ["hostile_llm", "hostile_score"]}, learner="linear",
                         repeats=2, seed=int(rng.integers(2**31)), **options)  # fmt: skip
        bounds = fit.confint().to_numpy()
        estimate.append(fit.theta)
        se.append(fit.se().to_numpy())
        inside.append((bounds[:, 0] < truth) & (truth < bounds[:, 1]))
        column = next(c for c in fit.comparison.columns if c.title == "Gold only")
        low, high = fit.comparison.bounds(column)
        inside_gold.append((low < truth) & (truth < high))
    sd = np.std(estimate, axis=0, ddof=1)
    covered = np.mean(inside, axis=0)
    return Study(
        scenario, repetitions, float(covered.mean()), float(covered.min()),
        float((np.sqrt(np.mean(np.square(se), axis=0)) / sd).mean()),
        float(np.abs((np.mean(estimate, axis=0) - truth) / sd).max()), float(np.mean(inside_gold)),
    )  # fmt: skip


@dataclass(frozen=True)
class BoundStudy:
    """Share of repetitions in which the interval around the worst cases holds the truth."""

    silence: str
    repetitions: int
    missing: float
    coverage: float
    ignorable_coverage: float
    width: float
    bounds_width: float


SILENCE = {
    "at random": lambda d, rng: rng.random(len(d)) < 0.15,
    "odds e^2 times as high for hostile": lambda d, rng: rng.random(len(d)) < _logistic(-2.7 + 2.0 * d["hostile"]),
    "hostile only: the truth is at the upper bound": lambda d, rng: (
        (rng.random(len(d)) < 0.35) & (d["hostile"] == 1).to_numpy()
    ),
}


def run_bounds(silence: str, repetitions: int, seed: int) -> BoundStudy:
    """Share of hostile documents (truth: that of the corpus), 400 drawn, some of them silent."""
    rng = np.random.default_rng(seed)
    inside, naive, missing, width, span = [], [], [], [], []
    for _ in range(repetitions):
        data = corpus(rng)
        truth = data["hostile"].mean()
        sample = kt.SimpleRandom(n=400).draw(data, seed=rng)
        quiet = np.asarray(SILENCE[silence](data, rng), dtype=bool)
        gold = data.assign(hostile=data["hostile"].where(sample.labelled & ~quiet))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", kt.KaratWarning)
            found = kt.sensitivity("hostile ~ 1", gold, surrogates={"hostile": ["hostile_llm", "hostile_score"]},
                                   design=sample.design, target="finite", learner="linear", repeats=1, gamma=[0.0],
                                   compare=False, seed=int(rng.integers(2**31)))  # fmt: skip
        low, high = found.bounds[0].interval
        own_low, own_high = found.fit.confint().to_numpy()[0]
        inside.append(low < truth < high)
        naive.append(own_low < truth < own_high)
        missing.append(1 - found.n_answered / found.n_drawn)
        width.append(high - low)
        span.append(found.bounds[0].high - found.bounds[0].low)
    values = (np.mean(v) for v in (missing, inside, naive, width, span))
    return BoundStudy(silence, repetitions, *(float(v) for v in values))


def bounds_table(studies: list[BoundStudy]) -> str:
    """The studies as Markdown."""
    lines = [
        "| silence | repetitions | missing | coverage, worst cases | coverage, taken as ignorable | interval width | "
        "bounds width |",
        "|---|---|---|---|---|---|---|",
    ]
    for s in studies:
        lines.append(
            f"| {s.silence} | {s.repetitions:,} | {s.missing:.2f} | {s.coverage:.3f} | {s.ignorable_coverage:.3f} | "
            f"{s.width:.3f} | {s.bounds_width:.3f} |"
        )
    return "\n".join(lines)


def table(studies: list[Study]) -> str:
    """The studies as Markdown."""
    lines = [
        "| scenario | repetitions | coverage | lowest | se / sd | largest bias in sd | coverage, gold only |",
        "|---|---|---|---|---|---|---|",
    ]
    for s in studies:
        lines.append(
            f"| {s.scenario} | {s.repetitions:,} | {s.coverage:.3f} | {s.lowest_coverage:.3f} | {s.se_over_sd:.3f} | "
            f"{s.largest_bias_in_sd:.2f} | {s.gold_coverage:.3f} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=1000)
    parser.add_argument("--part", choices=("coverage", "bounds", "both"), default="both")
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[2] / "benchmarks" / "results")
    options = parser.parse_args()
    made = "Made by `python -m tests.statistical.nonresponse`.\n"
    error = np.sqrt(0.05 * 0.95 / options.repetitions)
    if options.part != "bounds":
        studies = [run(scenario, options.repetitions, 21) for scenario in SCENARIOS]
        text = (
            "# Missing labels and convenience gold: coverage of 95 % intervals\n\n"
            f"`{FORMULA}`, label in the covariate, N = {N_UNITS:,}, three coefficients. Monte Carlo error of the "
            f"coverage of one coefficient: {error:.4f}; of se / sd about {1 / np.sqrt(2 * options.repetitions):.3f}."
            f"\n\n{table(studies)}\n\n{made}"
        )
        (options.out / "nonresponse.md").write_text(text)
        (options.out / "nonresponse.json").write_text(json.dumps([asdict(s) for s in studies], indent=1))
        print(text)
    if options.part != "coverage":
        bounds = [run_bounds(silence, options.repetitions, 22) for silence in SILENCE]
        text = (
            "# Worst cases of missing labels: coverage of 95 % intervals\n\n"
            f"Share of hostile documents in a corpus of {N_UNITS:,}, 400 drawn; Imbens-Manski intervals around sharp "
            f"bounds. Monte Carlo error of a coverage of .95: {error:.4f}.\n\n{bounds_table(bounds)}\n\n{made}"
        )
        (options.out / "worst_cases.md").write_text(text)
        (options.out / "worst_cases.json").write_text(json.dumps([asdict(s) for s in bounds], indent=1))
        print(text)


if __name__ == "__main__":
    main()
