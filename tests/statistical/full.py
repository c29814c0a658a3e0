"""The coverage study at full size: ``python -m tests.statistical.full``, or ``make coverage``.

Writes every cell to ``benchmarks/results/coverage.json`` as it is done, and the table that the
documentation shows to ``docs/coverage.md``.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from .coverage import DESIGNS, LABELLED, Cell, Outcome, grid, run

ROOT = Path(__file__).resolve().parents[2]
POOR_SHARE = 0.2
"""Repetitions of the cells with poor surrogates, which ask about widths, as a share of the others."""


def poor_cells() -> list[Cell]:
    """Cells whose surrogates are close to noise."""
    return [
        Cell(model, labelled, design, n, "poor")
        for model in ("ols", "logit")
        for labelled in LABELLED
        for design in ("simple random", "bernoulli")
        for n in (100, 300)
    ]


def study(repetitions: int, jobs: int) -> Iterator[Outcome]:
    """Outcomes as they are done."""
    from joblib import Parallel, delayed

    tasks = [(cell, repetitions) for cell in grid()]
    tasks += [(cell, max(20, int(POOR_SHARE * repetitions))) for cell in poor_cells()]
    yield from Parallel(n_jobs=jobs, return_as="generator_unordered")(delayed(run)(cell, reps) for cell, reps in tasks)


def verdict(rows: list[dict[str, Any]]) -> list[str]:
    """What the study was to show, with the figures."""
    good = [r for r in rows if r["cell"]["quality"] == "good"]
    lines = []
    for design in DESIGNS:
        inside = [r for r in good if r["cell"]["design"] == design]
        if inside:
            cover = [r["coverage"] for r in inside]
            ratio = [r["se_over_sd"] for r in inside]
            lines.append(
                f"- {design}: mean coverage {np.mean(cover):.3f}, lowest cell {min(cover):.3f}; mean se/sd "
                f"{np.mean(ratio):.3f}, cells from {min(ratio):.3f} to {max(ratio):.3f} ({len(inside)} cells)"
            )
    widths = [r["width_over_gold"] for r in rows]
    naive = [r["naive_coverage"] for r in good]
    lines.append(
        f"- width of DSL over gold-only: from {min(widths):.3f} to {max(widths):.3f}, poor surrogates included"
    )
    lines.append(f"- surrogate-only: coverage of its worst coefficient from {min(naive):.3f} to {max(naive):.3f}")
    lines.append(
        f"- repetitions in which a fit raised: {sum(r['failures'] for r in rows)} of "
        f"{sum(r['repetitions'] for r in rows)}"
    )
    return lines


def table(rows: list[dict[str, Any]]) -> str:
    """The table as Markdown."""
    order = {"good": 0, "poor": 1}
    key = [
        (order[r["cell"]["quality"]], r["cell"]["model"], r["cell"]["labelled"], r["cell"]["design"], r["cell"]["n"])
        for r in rows
    ]
    head = (
        "| surrogate | model | labelled | design | gold n | repetitions | coverage | lowest coefficient | se / sd | "
        "width / gold-only | gold-only coverage | surrogate-only coverage |"
    )
    lines = [head, "|" + "---|" * 12]
    for _, r in sorted(zip(key, rows), key=lambda pair: pair[0]):
        c = r["cell"]
        lines.append(
            f"| {c['quality']} | {c['model']} | {c['labelled']} | {c['design']} | {c['n']} | {r['repetitions']} | "
            f"{r['coverage']:.3f} | {r['lowest_coverage']:.3f} | {r['se_over_sd']:.3f} | {r['width_over_gold']:.3f} | "
            f"{r['gold_coverage']:.3f} | {r['naive_coverage']:.3f} |"
        )
    return "\n".join(lines)


def page(rows: list[dict[str, Any]]) -> str:
    """The documentation page."""
    reps = max(r["repetitions"] for r in rows)
    error = np.sqrt(0.95 * 0.05 / reps)
    intro = f"""# Coverage of the default intervals

Written by `make coverage` (`tests/statistical/full.py`; the corpora are simulated by `tests/statistical/coverage.py`).
A corpus of 3,000 units is drawn anew in every repetition, then its gold sample, then the model is fitted with
`learner="linear"`, one random split and otherwise default settings: HC3, with clusters CRV3, and t intervals. Errors of
the surrogates depend on the outcome and the covariates. "bernoulli" has unequal probabilities down to .02;
"clusters" draws whole clusters of four for labelling and clusters the analysis on them. The truth is the coefficient
in the superpopulation. Coverage is the average over the three coefficients; the Monte Carlo standard error of one
coefficient's coverage at {reps} repetitions is {error:.4f}, that of a standard deviation
{1 / np.sqrt(2 * reps):.3f} of it.
"Poor" surrogates are close to noise and have fewer repetitions: they ask about widths.
Surrogate-only is the coverage of its worst coefficient.
"""
    return intro + "\n" + "\n".join(verdict(rows)) + "\n\n" + table(rows) + "\n"


def main() -> None:
    """Run the study."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=1000)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--json", type=Path, default=ROOT / "benchmarks/results/coverage.json")
    parser.add_argument("--page", type=Path, default=ROOT / "docs/coverage.md")
    options = parser.parse_args()
    options.json.parent.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, Any]] = []
    for outcome in study(options.repetitions, options.jobs):
        rows.append(asdict(outcome))
        options.json.write_text(json.dumps(rows, indent=1))
        options.page.write_text(page(rows))
        c = outcome.cell
        print(f"{c.model} {c.labelled} {c.design} {c.n} {c.quality}: {outcome.coverage:.3f}", flush=True)
    print("\n".join(verdict(rows)))


if __name__ == "__main__":
    main()
