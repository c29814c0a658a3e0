"""Allocations against simple random sampling: ``python -m tests.statistical.allocation``.

Each repetition draws a pilot, allocates a fresh main sample from what it taught, draws it under every allocation and
fits. Estimates are held against the regression on full gold (the finite corpus). Writes
``benchmarks/results/allocation.json`` and ``allocation.md``.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

import karat as kt

RESULTS = Path(__file__).resolve().parents[2] / "benchmarks" / "results"


def editorials() -> Any:
    """Editorials with strata for the question on war and negation."""
    corpus = kt.datasets.load("editorials")
    return corpus.assign(stratum=kt.strata(corpus, ["war", "negation", "vader_tercile"]))


def reviews() -> Any:
    """Film reviews, strata by crowd score and covariate."""
    corpus = kt.datasets.load("reviews")
    return corpus.assign(stratum=kt.strata(corpus, {"comedy": None, "share_crowd": 4}))


def simulated() -> Any:
    """A labelled covariate in a logit."""
    corpus = kt.datasets.simulate(4000, "logit", seed=6)[0]
    return corpus.assign(stratum=kt.strata(corpus, {"hostile_score": 4, "outcome": None}))


@dataclass(frozen=True)
class Case:
    """A corpus, a regression and the coefficients to serve."""

    name: str
    model: str
    formula: str
    data: Callable[[], Any]
    surrogates: dict[str, list[str]]
    terms: tuple[str, ...]


CASES = (
    Case("editorials", "ols", "tone ~ economy + war + negation + words", editorials,
         {"tone": ["tone_vader", "tone_afinn", "tone_textblob"]}, ("war", "negation")),
    Case("reviews", "logit", "fresh ~ comedy + plot + negation + words", reviews,
         {"fresh": ["fresh_crowd", "tone_crowd"]}, ("comedy",)),
    Case("simulated, logit", "logit", "outcome ~ hostile + length", simulated,
         {"hostile": ["hostile_llm", "hostile_score"]}, ("hostile",)),
)  # fmt: skip


@dataclass(frozen=True)
class Line:
    """One coefficient under one allocation."""

    case: str
    term: str
    aimed: bool
    allocation: str
    repetitions: int
    predicted: float
    reported: float
    realised: float
    realised_error: float
    se_over_sd: float
    coverage: float


def run(case: Case, repetitions: int, n_pilot: int, n: int, seed: int) -> list[Line]:
    """Predicted, reported and realised standard errors under each allocation, and coverage."""
    data = case.data()
    whole = kt.datasets.mask_gold(data, np.ones(len(data), dtype=bool), list(case.surrogates))
    options = {"surrogates": case.surrogates, "compare": False, "target": "finite", "scores": True}
    truth = kt.regress(case.formula, whole, model=case.model, **options).theta
    rows: dict[str, list[Any]] = {}
    names: tuple[str, ...] = ()
    for k in range(repetitions):
        sample = kt.SimpleRandom(n_pilot).draw(data, seed=[seed, 1, k])
        try:
            fit = _fit(case, data, sample, options, k)
        except kt.KaratError:
            continue
        names = fit.names
        found = kt.allocate(fit, data, n, by="stratum", terms=list(case.terms), seed=k)
        for name, item in found.items():
            main = _fit(case, data, item.design.draw(data, seed=[seed, 2, k]), options, k)
            bounds = main.confint().to_numpy()
            covered = (bounds[:, 0] <= truth) & (truth <= bounds[:, 1])
            rows.setdefault(name, []).append((item.se, main.se().to_numpy(), main.theta - truth, covered))
    return _lines(case, names, {name: [np.array(part) for part in zip(*found)] for name, found in rows.items()})


def _fit(case: Case, data: Any, sample: Any, options: dict[str, Any], seed: int) -> Any:
    masked = kt.datasets.mask_gold(data, sample, list(case.surrogates))
    return kt.regress(case.formula, masked, model=case.model, design=sample.design, seed=seed, **options)


def _lines(case: Case, names: tuple[str, ...], found: dict[str, list[np.ndarray]]) -> list[Line]:
    out = []
    base = found["simple random"]
    for name, (predicted, reported, error, covered) in found.items():
        for j, term in enumerate(names):
            count = len(error)
            root = np.sqrt((error[:, j] ** 2).mean())
            realised = root / np.sqrt((base[2][:, j] ** 2).mean())
            logs = error[:, j] ** 2 / (error[:, j] ** 2).mean() - base[2][:, j] ** 2 / (base[2][:, j] ** 2).mean()
            out.append(
                Line(
                    case.name, term, term in case.terms, name, count,
                    float((predicted[:, j] / base[0][:, j]).mean()),
                    float(reported[:, j].mean() / base[1][:, j].mean()),
                    float(realised), float(0.5 * realised * logs.std(ddof=1) / np.sqrt(count)),
                    float(reported[:, j].mean() / error[:, j].std(ddof=1)), float(covered[:, j].mean()),
                )
            )  # fmt: skip
    return out


def table(lines: list[Line]) -> str:
    """The lines as Markdown; standard errors relative to simple random sampling."""
    head = (
        "| case | coefficient | allocation | predicted | reported | realised (error) | se / sd | coverage |\n"
        + "|---" * 8
        + "|\n"
    )
    rows = [
        f"| {x.case} | {x.term}{' (aim)' if x.aimed else ''} | {x.allocation} | {x.predicted:.2f} | {x.reported:.2f} | "
        f"{x.realised:.2f} ({x.realised_error:.2f}) | {x.se_over_sd:.2f} | {x.coverage:.3f} |"
        for x in lines
    ]
    return head + "\n".join(rows)


def main() -> None:
    """Run at full size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=300)
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    lines: list[Line] = []
    for case in CASES:
        start = time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", kt.KaratWarning)
            lines += run(case, arguments.repetitions, 200, 500, arguments.seed)
        print(table(lines), f"\n{case.name}: {time.perf_counter() - start:.0f} s", flush=True)
        (arguments.out / "allocation.json").write_text(json.dumps([asdict(x) for x in lines], indent=1) + "\n")
        text = (
            "# Allocations against simple random sampling\n\n"
            f"{arguments.repetitions} pilots of 200 gold labels, each followed by fresh main samples of 500; "
            "standard errors "
            "for the finite corpus, relative to simple random sampling (realised: root mean squared error; Monte Carlo "
            "errors in brackets). Written by `python -m tests.statistical.allocation`.\n\n"
        )
        (arguments.out / "allocation.md").write_text(text + table(lines) + "\n")


if __name__ == "__main__":
    main()
