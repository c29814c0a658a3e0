"""Coverage of causal effects: ``python -m tests.statistical.causal --repetitions 150``.

Average effects: a confounder of 0 and 1, a number, effects that differ between units, and surrogates that err more
often where outcome and treatment are high; the outcome, the treatment or the confounder is labelled. Every repetition
draws a corpus and a simple random gold sample and fits with default settings. Figures: coverage of 95 % intervals with
its Monte Carlo error, mean standard error over the standard deviation of the estimates, bias over that, coverage of
surrogates alone, and mean width over that of gold alone.

Difference in differences: an unbalanced panel of 120 units and 7 periods, two cohorts whose effects differ and grow in
one of them, an outcome labelled in a sample and surrogates that err by treatment. The truth is the mean effect of
treated rows in the population. By cohort ("did"), by imputation ("imputation"), and by imputation with gold that is
drawn unit by unit ("whole units"), of which gold alone can be had.
"""

from __future__ import annotations

import argparse
import warnings
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd
from scipy.stats import t as student

import karat as kt

SEED = 770_000
TRUTH = 0.5 + 0.3 * 0.4


def corpus(n_units: int, rng: np.random.Generator) -> pd.DataFrame:
    """True values of all variables, and surrogates that err by outcome and treatment."""
    x, c = rng.standard_normal(n_units), (rng.random(n_units) < 0.4).astype(float)
    t = (rng.random(n_units) < 1 / (1 + np.exp(0.4 - 0.5 * x - 0.9 * c))).astype(float)
    y = 1 + (0.5 + 0.3 * c) * t + 0.7 * x + 0.8 * c + rng.standard_normal(n_units)
    data = pd.DataFrame({"x": x, "c": c, "t": t, "y": y, "y_llm": y + 0.4 * t + 0.6 * rng.standard_normal(n_units)})
    for name in ("t", "c"):
        wrong = rng.random(n_units) < 0.08 + 0.12 * (y > 1.5)
        data[f"{name}_llm"] = np.where(wrong, 1 - data[name], data[name])
    return data


@dataclass(frozen=True)
class Row:
    """Figures of one labelled variable and gold size."""

    label: str
    n_gold: int
    repetitions: int
    coverage: float
    mc_error: float
    se_over_sd: float
    bias_over_sd: float
    naive_coverage: float
    width_over_gold: float


def study(
    label: str, n_gold: int, repetitions: int, seed: int = SEED, n_units: int = 1500, **options: object
) -> Row:  # fmt: skip
    """Figures over repetitions."""
    found = [once(label, n_gold, seed + r, n_units, **options) for r in range(repetitions)]
    return _row(label, n_gold, found)


def _row(label: str, n_gold: int, found: list[tuple[float, ...]]) -> Row:
    error, se, covered, width, _, gold_width, naive = np.array(found, dtype=float).T
    sd = error.std(ddof=1)
    return Row(
        label, n_gold, len(found), float(covered.mean()), float(np.sqrt(0.95 * 0.05 / len(found))),
        float(se.mean() / sd), float(error.mean() / sd), float(naive.mean()), float((width / gold_width).mean()),
    )  # fmt: skip


def _inside(column: object, truth: float) -> tuple[bool, float]:
    """Whether the interval of a column of the comparison holds the truth, and its width."""
    half = student.ppf(0.975, column.df[0]) * column.se[0]
    return bool(abs(column.theta[0] - truth) <= half), float(2 * half)


def once(label: str, n_gold: int, seed: int, n_units: int = 1500, **options: object) -> tuple[float, ...]:
    """Error, standard error, whether covered, width; of gold alone whether covered, width; whether naive covered."""
    data = corpus(n_units, np.random.default_rng(seed))
    masked = kt.datasets.mask_gold(data, kt.SimpleRandom(n=n_gold).draw(data, seed=seed), label)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", kt.errors.KaratWarning)
        fit = kt.ate("y ~ t", masked, covariates="x + c", surrogates={label: f"{label}_llm"}, seed=seed, **options)
    columns = {column.title: column for column in fit.compare().columns}
    low, high = fit.confint().iloc[0]
    return (
        fit.theta[0] - TRUTH, fit.se().iloc[0], low < TRUTH < high, high - low,
        *_inside(columns["Gold only"], TRUTH), _inside(columns["Surrogate only"], TRUTH)[0],
    )  # fmt: skip


PANELS = ("did", "imputation", "whole units")
ATT = (0.5 + 0.8 + 1.1 + 1.4 + 0.5 + 0.5) / 6


def panel(rng: np.random.Generator, units: int = 120, periods: int = 7) -> pd.DataFrame:
    """Rows of units and periods, a tenth of them missing."""
    data = pd.DataFrame(
        {"unit": np.repeat(np.arange(units), periods), "time": np.tile(np.arange(1, periods + 1), units)}
    )
    data["cohort"] = np.array([4, 6, np.nan])[rng.integers(0, 3, units)][data["unit"]]
    since = data["time"] - data["cohort"]
    effect = np.where(since >= 0, 0.5 + 0.3 * since * (data["cohort"] == 4), 0.0)
    data["y"] = rng.normal(size=units)[data["unit"]] + 0.2 * data["time"] + effect + rng.normal(size=len(data))
    data["llm"] = data["y"] + 0.4 * (since >= 0) + 0.6 * rng.normal(size=len(data))
    return data[rng.random(len(data)) > 0.1].reset_index(drop=True)


def panel_study(label: str, n_gold: int, repetitions: int, seed: int = SEED, **options: object) -> Row:
    """Figures of the average effect over repetitions.

    Width is held against that with all rows labelled, or, of whole units, against that of gold alone.
    """
    return _row(label, n_gold, [panel_once(label, n_gold, seed + r, **options) for r in range(repetitions)])


def panel_once(label: str, n_gold: int, seed: int, **options: object) -> tuple[float, ...]:
    """As :func:`once`, with the average effect in panels."""
    keys = {"unit": "unit", "time": "time", "cohort": "cohort", "method": "sunab" if label == "did" else "imputation"}
    data, design = panel(np.random.default_rng(seed)), kt.SimpleRandom(n=n_gold)
    if label != "did":  # units without a row before treatment tell nothing
        before = ~(data["time"] >= data["cohort"])
        data = data[before.groupby(data["unit"]).transform("any")].reset_index(drop=True)
    if label == "whole units":
        design = kt.Clustered("unit", n=round(n_gold * data["unit"].nunique() / len(data)))
    sample = design.draw(data, seed=seed)
    masked = kt.datasets.mask_gold(data, sample, "y")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", kt.errors.KaratWarning)
        fit = kt.did(
            "y", masked, **keys, surrogates={"y": "llm"}, seed=seed, compare=False, design=sample.design, **options
        )
        naive = kt.did("llm", data, **keys)
        alone = {"data": masked, "design": sample.design} if label == "whole units" else {"data": data}
        whole = kt.did("y", **alone, **keys)
    (low, high), of_naive, of_whole = (one.confint().iloc[0] for one in (fit, naive, whole))
    return (
        fit.theta[0] - ATT, fit.se().iloc[0], low < ATT < high, high - low, of_whole.iloc[0] < ATT < of_whole.iloc[1],
        np.ptp(of_whole), of_naive.iloc[0] < ATT < of_naive.iloc[1],
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=150)
    parser.add_argument("--gold", type=int, nargs="+", default=[150, 500])
    parser.add_argument("--labels", nargs="+", default=["y", "t", "c", *PANELS])
    parser.add_argument("--seed", type=int, default=SEED)
    chosen = parser.parse_args()
    for n_gold in chosen.gold:
        for label in chosen.labels:
            row = (panel_study if label in PANELS else study)(label, n_gold, chosen.repetitions, chosen.seed)
            print(pd.DataFrame([asdict(row)]).to_string(float_format="{:.3f}".format, index=False), flush=True)


if __name__ == "__main__":
    main()
