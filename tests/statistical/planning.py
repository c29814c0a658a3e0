"""Planned against realised standard errors: ``python -m tests.statistical.planning``.

Pilots are drawn again and again from one corpus; each gives a plan for a larger draw, held against what fresh draws
of that size report on average, and against the standard deviation of their estimates. Writes
``benchmarks/results/planning.json`` and ``planning.md``.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

import karat as kt
from karat.planning.forecast import Basis

RESULTS = Path(__file__).resolve().parents[2] / "benchmarks" / "results"
LEVEL = 0.9
SPLITS = 2
"""Random splits of the predictor in every fit: fewer than the default, to save time."""


@dataclass(frozen=True)
class Case:
    """A corpus, a regression, a pilot and the draw planned from it."""

    name: str
    model: str
    formula: str
    data: Callable[[], Any]
    surrogates: dict[str, list[str]]
    pilot: Callable[[int], kt.designs.base.Design]
    n_pilot: int
    planned: Callable[[int], kt.designs.base.Design]
    n_planned: int
    options: dict[str, Any]


CASES = (
    Case(
        "editorials", "ols", "tone ~ economy + war + negation + words", lambda: kt.datasets.load("editorials"),
        {"tone": ["tone_vader", "tone_afinn", "tone_textblob"]}, kt.SimpleRandom, 200, kt.SimpleRandom, 600,
        {"cluster": "editorial"},
    ),
    Case(
        "reviews", "logit", "fresh ~ comedy + plot + negation + words", lambda: kt.datasets.load("reviews"),
        {"fresh": ["fresh_crowd", "tone_crowd"]}, kt.SimpleRandom, 200, kt.SimpleRandom, 600, {},
    ),
    Case(
        "simulated, linear", "ols", "outcome ~ hostile + length", lambda: kt.datasets.simulate(4000, "ols", seed=5)[0],
        {"hostile": ["hostile_llm", "hostile_score"]}, kt.SimpleRandom, 200,
        lambda n: kt.Stratified("hostile_llm", n=n, allocation="equal"), 600, {},
    ),
    Case(
        "simulated, logit", "logit", "outcome ~ hostile + length",
        lambda: kt.datasets.simulate(4000, "logit", seed=6)[0],
        {"hostile": ["hostile_llm", "hostile_score"]}, lambda n: kt.Bernoulli(n / 4000), 200, kt.SimpleRandom, 600, {},
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Line:
    """What one coefficient of one case showed."""

    case: str
    term: str
    pilots: int
    realised_se: float
    planned_se: float
    bias: float
    bias_error: float
    covers_expected: float
    covers_single: float
    width: float
    realised_sd: float
    planned_sd: float
    sd_bias: float
    sd_bias_error: float
    covers_sd: float
    reported_finite: float
    finite_bias: float


def fit_of(case: Case, data: Any, sample: Any, seed: int) -> tuple[Any, Any]:
    """The fit on one draw, and its table."""
    masked = kt.datasets.mask_gold(data, sample, list(case.surrogates))
    fit = kt.regress(
        case.formula, masked, model=case.model, surrogates=case.surrogates, design=sample.design, seed=seed,
        compare=False, repeats=SPLITS, **case.options,
    )  # fmt: skip
    return fit, masked


def realised(case: Case, draws: int, seed: int) -> tuple[np.ndarray, ...]:
    """Standard errors, estimates and finite-corpus standard errors of fresh draws, each of shape (draws, p)."""
    data, found = case.data(), []
    for k in range(draws):
        sample = case.planned(case.n_planned).draw(data, seed=[seed, 1, k])
        fit, _ = fit_of(case, data, sample, k)
        found.append((fit.se().to_numpy(), fit.theta, np.sqrt(np.diag(fit.labelling_covariance))))
    return tuple(np.array([f[i] for f in found]) for i in range(3))


def finite(basis: Basis) -> Basis:
    """The same plan for the finite corpus, whose standard error is the spread of estimates over draws."""

    def turn(profile: Any) -> Any:
        return replace(profile, reporting=replace(profile.reporting, target="finite"))

    return replace(
        basis,
        worlds=tuple(tuple(turn(p) for p in world) for world in basis.worlds),
        replicates=tuple(turn(p) for p in basis.replicates),
    )


def planned(case: Case, pilots: int, seed: int) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    """Planned figures of each pilot, each of shape (pilots, p)."""
    data, rows, names = case.data(), [], ()
    for k in range(pilots):
        sample = case.pilot(case.n_pilot).draw(data, seed=[seed, 2, k])
        try:
            fit, masked = fit_of(case, data, sample, k)
        except kt.KaratError:  # a small pilot may be separated; its user would draw more before planning
            continue
        plan = kt.plan(fit, masked, design=case.planned(case.n_planned), n=case.n_planned, band_alpha=1 - LEVEL, seed=k)
        expected = plan.basis.at(case.n_planned)
        single = replace(plan.basis, band="reported").at(case.n_planned)
        spread = finite(plan.basis).at(case.n_planned)
        parts = (expected.se, expected.low, expected.high, single.low, single.high, spread.se, spread.low, spread.high)
        rows.append(parts)
        names = fit.names
    keys = ("se", "low", "high", "single_low", "single_high", "sd", "sd_low", "sd_high")
    return {key: np.array([row[i] for row in rows]) for i, key in enumerate(keys)}, names


def run(case: Case, pilots: int, draws: int, seed: int) -> list[Line]:
    """One case, coefficient by coefficient."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", kt.KaratWarning)
        errors, estimates, finite_errors = realised(case, draws, seed)
        plans, names = planned(case, pilots, seed)
    mean_se, sd = errors.mean(axis=0), estimates.std(axis=0, ddof=1)
    out = []
    for j, name in enumerate(names):
        at = {key: value[:, j] for key, value in plans.items()}
        ratio, sd_ratio = at["se"] / mean_se[j], at["sd"] / sd[j]
        drawn = errors[np.arange(len(ratio)) % draws, j]
        count = len(ratio)
        kurtosis = float(((estimates[:, j] - estimates[:, j].mean()) ** 4).mean() / sd[j] ** 4)
        sd_error = np.sqrt(sd_ratio.var(ddof=1) / count + (kurtosis - 1.0) / (4.0 * draws))
        out.append(
            Line(
                case.name, name, count, float(mean_se[j]), float(at["se"].mean()),
                float(ratio.mean() - 1.0),
                float(np.sqrt(ratio.var(ddof=1) / count + errors[:, j].var(ddof=1) / draws / mean_se[j] ** 2)),
                float(((at["low"] <= mean_se[j]) & (mean_se[j] <= at["high"])).mean()),
                float(((at["single_low"] <= drawn) & (drawn <= at["single_high"])).mean()),
                float(np.median(at["high"] / at["low"])),
                float(sd[j]), float(at["sd"].mean()), float(sd_ratio.mean() - 1.0), float(sd_error),
                float(((at["sd_low"] <= sd[j]) & (sd[j] <= at["sd_high"])).mean()),
                float(finite_errors[:, j].mean()), float(at["sd"].mean() / finite_errors[:, j].mean() - 1.0),
            )
        )  # fmt: skip
    return out


def table(lines: list[Line]) -> str:
    """The lines as Markdown."""
    head = (
        "| case | coefficient | realised se | planned se | bias (error) | covers expected | covers single | high / low "
        "| finite: sd of estimates | reported | planned | bias to sd (error) | to reported | covers sd |\n"
        + "|---" * 14
        + "|\n"
    )
    rows = [
        f"| {x.case} | {x.term} | {x.realised_se:.4f} | {x.planned_se:.4f} | {100 * x.bias:+.1f} % "
        f"({100 * x.bias_error:.1f}) | {x.covers_expected:.3f} | {x.covers_single:.3f} | {x.width:.2f} | "
        f"{x.realised_sd:.4f} | {x.reported_finite:.4f} | {x.planned_sd:.4f} | {100 * x.sd_bias:+.1f} % "
        f"({100 * x.sd_bias_error:.1f}) | {100 * x.finite_bias:+.1f} % | {x.covers_sd:.3f} |"
        for x in lines
    ]
    return head + "\n".join(rows)


def main() -> None:
    """Run at full size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pilots", type=int, default=300)
    parser.add_argument("--draws", type=int, default=300)
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--case", nargs="*", default=None)
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    lines: list[Line] = []
    for case in CASES:
        if arguments.case and case.name not in arguments.case:
            continue
        start = time.perf_counter()
        lines += run(case, arguments.pilots, arguments.draws, arguments.seed)
        print(table(lines), f"\n{case.name}: {time.perf_counter() - start:.0f} s", flush=True)
        write(lines, arguments.out, arguments.pilots, arguments.draws)


def write(lines: list[Line], out: Path, pilots: int, draws: int) -> None:
    """Figures as JSON, and the table as Markdown."""
    (out / "planning.json").write_text(json.dumps([asdict(x) for x in lines], indent=1) + "\n")
    text = (
        "# Planned against realised standard errors\n\n"
        f"{pilots} pilots of 200 gold labels for 600, and {draws} fresh draws of 600, from each corpus; intervals of "
        f"{100 * LEVEL:g} %. Errors in brackets are Monte Carlo standard errors. Written by "
        "`python -m tests.statistical.planning`.\n\n"
    )
    (out / "planning.md").write_text(text + table(lines) + "\n")


if __name__ == "__main__":
    main()
