"""Labels with gold samples of their own, and cascades: ``python -m tests.statistical.partly --repetitions 300``.

A linear or logistic regression on two labelled covariates, each with an independent gold sample (simple random, or
Bernoulli with unequal probabilities) or one within the other; and on one labelled covariate with a cheap surrogate of
all rows, a strong one of a random part, and gold of a part of these (simple random, or twice as often where both
surrogates disagree). Figures: coverage of 95 % intervals, mean standard error over the standard deviation of estimates,
and the standard deviation relative to that of the rows that have everything, used with surrogates and without levels.
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

SEED = 1_510_000
SCENARIOS = ("crossed", "unequal", "within", "cascade", "doubtful", "logit cascade")


@dataclass(frozen=True)
class Row:
    """Figures of one coefficient of a scenario."""

    scenario: str
    term: str
    n_full: float
    repetitions: int
    coverage: float
    base_coverage: float
    se_over_sd: float
    sd_to_base: float
    width_to_base: float
    mc_error: float


def logistic(eta: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Labels 0 and 1 with these log odds."""
    return (rng.random(len(eta)) < 1.0 / (1.0 + np.exp(-eta))) * 1.0


def flipped(label: np.ndarray, share: np.ndarray | float, rng: np.random.Generator) -> np.ndarray:
    """A surrogate that is wrong in this share of rows."""
    return np.where(rng.random(len(label)) < share, 1.0 - label, label)


def corpus(binary: bool, n_units: int, rng: np.random.Generator) -> pd.DataFrame:
    """Two labels that hang together, and an outcome with which the errors of surrogates go."""
    x = rng.standard_normal(n_units)
    a = logistic(x - 0.3, rng)
    b = logistic(0.5 * x + 0.6 * a - 0.5, rng)
    eta = 0.2 + a - 0.7 * b + 0.4 * x
    y = logistic(eta, rng) if binary else eta + rng.standard_normal(n_units) * (1.0 + 0.3 * a)
    wrong = 0.15 + 0.1 * (y > 0.7)
    out = {"y": y, "a": a, "b": b, "x": x, "a_llm": flipped(a, wrong, rng), "b_llm": flipped(b, 0.15, rng)}
    return pd.DataFrame(out | {"a_large": flipped(a, 0.04 + 0.02 * (y > 0.7), rng)})


def partly(scenario: str, data: pd.DataFrame, share: float, rng: np.random.Generator) -> tuple[dict, pd.DataFrame]:
    """Gold of both labels and how it was drawn."""
    n, pi = len(data), share * (0.5 + (data["a_llm"] != data["b_llm"]))
    design: dict[str, object] = {}
    one = kt.SimpleRandom(int(share * n)).draw(data, seed=rng).labelled
    other = kt.SimpleRandom(int(share * n)).draw(data, seed=rng).labelled
    if scenario == "unequal":
        data["pi_a"], data["pi_b"] = np.minimum(pi, 1.0), share
        one, other = rng.random(n) < data["pi_a"], rng.random(n) < share
        design = {"design": {"a": "pi_a", "b": "pi_b"}}
    if scenario == "within":
        other = one & (pd.Series(np.arange(n)).isin(rng.choice(np.flatnonzero(one), int(0.3 * one.sum()), False)))
    return design, data.assign(a=data["a"].where(one), b=data["b"].where(other))


def cascade(scenario: str, data: pd.DataFrame, share: float, rng: np.random.Generator) -> tuple[dict, pd.DataFrame]:
    """A strong label of some rows and gold of a part of these."""
    asked = kt.SimpleRandom(int(share * len(data))).draw(data, seed=rng)
    data["a_large"] = data["a_large"].where(asked.labelled)
    part = data[asked.labelled]
    pi = 0.15 * np.ones(len(part))
    if scenario == "doubtful":
        pi = np.where(part["a_large"] == part["a_llm"], 0.12, 0.3)
        gold = rng.random(len(part)) < pi
        design: dict[str, object] = {"design": pi}
    else:
        drawn = kt.SimpleRandom(int(0.15 * len(part))).draw(part, seed=rng)
        gold, design = drawn.labelled, {"design": drawn.design}
    known = np.zeros(len(data), dtype=bool)
    known[asked.positions[gold]] = True
    if scenario == "doubtful":
        every = np.ones(len(data))
        every[asked.positions] = pi
        design = {"design": every}
    surrogates = {"surrogates": {"a": kt.Cascade("a_llm", "a_large", design=asked.design)}}
    return design | surrogates, data.assign(a=data["a"].where(known))


def repetition(scenario: str, n_units: int, share: float, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """One corpus and its draws."""
    data = corpus(scenario.startswith("logit"), n_units, rng)
    more = scenario in ("cascade", "doubtful", "logit cascade")
    given, data = (cascade if more else partly)(scenario, data, share, rng)
    formula = "y ~ a + b + x" if not more else "y ~ a + x"
    surrogates = {"surrogates": {"a": "a_llm", "b": "b_llm"}}
    model = "logit" if scenario.startswith("logit") else "ols"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", kt.KaratWarning)
        fit = kt.regress(
            formula, data, model=model, learner="linear", repeats=1, seed=int(rng.integers(2**31)),
            **(surrogates | given),
        )  # fmt: skip
    base = next(column for column in fit.compare().columns if column.title == "Full rows only")
    return {
        "theta": fit.theta, "se": np.sqrt(np.diag(fit.covariance)), "df": fit.df, "base": base.theta,
        "base_se": base.se, "base_df": base.df, "n": np.full(len(fit.theta), fit.n_gold),
    }  # fmt: skip


def truth(scenario: str, more: bool, population: int) -> tuple[list[str], np.ndarray]:
    """Coefficients of the regression in the population, from a large one."""
    data = corpus(scenario.startswith("logit"), population, np.random.default_rng(1))
    x = np.column_stack([np.ones(len(data)), *(data[c] for c in (["a", "x"] if more else ["a", "b", "x"]))])
    beta = np.zeros(x.shape[1])
    for _ in range(1 if not scenario.startswith("logit") else 8):
        mean = 1 / (1 + np.exp(-x @ beta)) if scenario.startswith("logit") else x @ beta
        w = mean * (1 - mean) if scenario.startswith("logit") else np.ones(len(x))
        beta = beta + np.linalg.solve((x * w[:, None]).T @ x, x.T @ (data["y"] - mean))
    return ["Intercept", *(["a", "x"] if more else ["a", "b", "x"])], beta


def study(
    repetitions: int,
    scenarios: tuple[str, ...] = SCENARIOS,
    n_units: int = 4000,
    share: float = 0.15,
    population: int = 1_000_000,
    seed: int = SEED,
) -> list[Row]:
    """All scenarios."""
    from scipy.stats import t

    out = []
    for scenario in scenarios:
        rng = np.random.default_rng(seed + SCENARIOS.index(scenario))
        more = scenario in ("cascade", "doubtful", "logit cascade")
        names, beta = truth(scenario, more, population)
        part = 0.4 if more else share
        runs = [repetition(scenario, n_units, part, rng) for _ in range(repetitions)]
        found = {key: np.array([run[key] for run in runs]) for key in runs[0]}
        width, base = (t.ppf(0.975, found[f"{k}df"]) * found[f"{k}se"] for k in ("", "base_"))
        for j, name in enumerate(names):
            sd = found["theta"][:, j].std()
            out.append(
                Row(
                    scenario, name, float(found["n"].mean()), repetitions,
                    float((np.abs(found["theta"] - beta) <= width)[:, j].mean()),
                    float((np.abs(found["base"] - beta) <= base)[:, j].mean()),
                    float(found["se"][:, j].mean() / sd), float(sd / found["base"][:, j].std()),
                    float(width[:, j].mean() / base[:, j].mean()), float(np.sqrt(0.95 * 0.05 / repetitions)),
                )
            )  # fmt: skip
    return out


def main() -> None:
    """Run and print, or write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=300)
    parser.add_argument("--scenarios", nargs="*", default=SCENARIOS)
    parser.add_argument("--write", type=Path)
    given = parser.parse_args()
    told = json.dumps([asdict(row) for row in study(given.repetitions, tuple(given.scenarios))], indent=1)
    print(told)
    if given.write:
        given.write.write_text(told + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
