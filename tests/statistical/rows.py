"""A row for each model of the family and position of labels: ``python -m tests.statistical.rows [--models ...]``.

Repetitions come in seeded blocks: repetition r of a cell has seed ``SEED + r`` in every run, a run adds those that
are missing, and what is known of a cell is kept as sums in ``benchmarks/results/family.json`` with the commit it was
made on, so that runs may be stopped and joined. ``benchmarks/results/family.md`` is the table. The corpora are those
of ``family.py``, ``multinomial.py``, ``causal.py``, ``instruments.py`` and ``more_rows.py``, which says what has no
row, beside this file; every repetition draws a corpus and a simple random gold sample and fits with default settings.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import subprocess
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np

import karat as kt

from . import causal, family, instruments, more_rows, multinomial
from .more_rows import Once

SEED = 12_000_000
HOME = Path(__file__).parents[2] / "benchmarks" / "results"


def _family(case: str) -> Once:
    return lambda labelled, n_gold, seed: family.once(case, labelled, 3000, n_gold, seed)


def _multinomial(labelled: str, n_gold: int, seed: int) -> np.ndarray:
    return multinomial.once(labelled, 3000, n_gold, seed)


def _effect(labelled: str, n_gold: int, seed: int) -> np.ndarray:
    label = {"outcome": "y", "treatment": "t", "confounder": "c"}[labelled]
    return np.array([causal.once(label, n_gold, seed)[:6]], dtype=np.float64)


def _panel(method: str) -> Once:
    return lambda labelled, n_gold, seed: np.array([causal.panel_once(method, n_gold, seed)[:6]], dtype=np.float64)


def _instruments(cell: str) -> Once:
    return lambda labelled, n_gold, seed: np.array([instruments.once(cell, n_gold, seed)[:6]], dtype=np.float64)


MODELS: dict[str, tuple[tuple[str, ...], Once]] = {
    **{case: (tuple(family.LABELLED), _family(case)) for case in family.CASES},
    "multinomial": (tuple(multinomial.LABELLED), _multinomial),
    "ate": (("outcome", "treatment", "confounder"), _effect),
    "did by cohort": (("outcome",), _panel("did")),
    "did by imputation": (("outcome",), _panel("imputation")),
    "one strong instrument": (("all",), _instruments("strong, one instrument")),
    "three strong instruments": (("all",), _instruments("strong, three instruments")),
    **more_rows.ROWS,
}
"""Positions of labels of a model, and one repetition of it."""
SUMS = ("error", "squared_error", "se", "covered", "width", "gold_covered", "gold_width", "ratio", "squared_z")
"""What is summed over repetitions, for each coefficient."""
BESIDE_GOLD = ("gold_covered", "gold_width", "ratio")
"""What is known only where gold alone can be fitted."""


def block(once: Once, labelled: str, n_gold: int, seeds: range) -> dict[str, Any]:
    """Sums over some repetitions of one cell."""
    found, refused = [], 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for seed in seeds:
            try:
                found.append(once(labelled, n_gold, seed))
            except kt.KaratError:
                refused += 1
    if not found:
        return {"repetitions": len(seeds), "refused": refused}
    error, se, covered, width, gold_covered, gold_width = np.moveaxis(np.array(found, dtype=np.float64), 2, 0)
    ratio, without = width / gold_width, int(np.isnan(gold_width[:, 0]).sum())
    values = (error, error**2, se, covered, width, gold_covered, gold_width, ratio, (error / se) ** 2)
    return {
        "repetitions": len(seeds), "refused": refused, "squared_coverage": float(np.sum(covered.mean(axis=1) ** 2)),
        "largest_ratio": float(np.nanmax(ratio)), **dict(zip(SUMS, (np.nansum(v, axis=0).tolist() for v in values))),
        **({"without_gold": without} if without else {}),
    }  # fmt: skip


def joined(one: dict[str, Any], two: dict[str, Any]) -> dict[str, Any]:
    """Sums of two blocks."""
    if "error" not in one or "error" not in two:
        return {**two, **one, **{name: one[name] + two[name] for name in ("repetitions", "refused")}}
    whole = {name: one[name] + two[name] for name in ("repetitions", "refused", "squared_coverage")}
    whole["largest_ratio"] = max(one["largest_ratio"], two["largest_ratio"])
    if without := one.get("without_gold", 0) + two.get("without_gold", 0):
        whole["without_gold"] = without
    return whole | {name: [a + b for a, b in zip(one[name], two[name], strict=True)] for name in SUMS}


def figures(sums: dict[str, Any]) -> dict[str, float]:
    """The figures of a row."""
    n = sums["repetitions"] - sums["refused"]
    beside = n - sums.get("without_gold", 0)
    mean = {name: np.array(sums[name]) / (beside if name in BESIDE_GOLD else n) for name in SUMS}
    deviation = np.sqrt((mean["squared_error"] - mean["error"] ** 2) * n / (n - 1))
    coverage = mean["covered"].mean()
    return {
        "coverage": coverage,
        "mc_error": np.sqrt((sums["squared_coverage"] / n - coverage**2) / (n - 1)),
        "lowest": mean["covered"].min(),
        "gold_coverage": mean["gold_covered"].mean(),
        "se_over_sd": (mean["se"] / deviation).mean(),
        "bias": np.abs(mean["error"] / deviation).max(),
        "width": mean["ratio"].mean(),
        "widest": mean["ratio"].max(),
        "largest_ratio": sums["largest_ratio"],
        "squared_z": mean["squared_z"].mean(),
    }


def added(path: Path, name: str, commit: str, first: int, sums: dict[str, Any]) -> None:
    """Join a block to what is known of its cell, unless another run has done so; runs may write at the same time."""
    path.touch()
    with path.open("r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        known = json.loads(file.read() or "{}")
        cell = known.get(name)
        if (cell["sums"]["repetitions"] if cell else 0) != first:
            return
        known[name] = {
            "commits": sorted({*(cell["commits"] if cell else []), commit}),
            "sums": joined(cell["sums"], sums) if cell else sums,
        }
        file.seek(0)
        file.truncate()
        file.write(json.dumps(known, indent=None).replace('}, "', '},\n"') + "\n")


def page(known: dict[str, Any]) -> str:
    """The table as Markdown."""
    lines = [
        "# Coverage of the regression family\n",
        "Written by `python -m tests.statistical.rows` (default settings; 3,000 texts, simple random gold; what the",
        "corpora are is said in `tests/statistical/family.py`, `multinomial.py`, `causal.py`, `instruments.py` and",
        "`more_rows.py`, which also says what has no row).",
        "Coverage of 95 % intervals is the mean over coefficients, beside it its Monte Carlo error and the coefficient",
        "that is covered least; se / sd is the mean standard error over the standard deviation of estimates (Monte",
        "Carlo error .04 with 300 repetitions, for each coefficient); bias is the largest of a coefficient, in such",
        "deviations; width is the mean over that of gold alone, then the widest coefficient's, then the largest of a",
        'single fit. "Covariate" and "both" label a covariate of two (multinomial: three) classes. Cells share their',
        "seeds, so that their figures go together. Average effects and instruments have 1,500 rows, effects of states",
        "and of groups 2,500. Event studies and differences in differences have about 750; they, and labels with gold",
        "of their own, are held against all rows labelled in the place of gold alone. Coefficients of event studies",
        "are those of each time since treatment and their average. Of the weak instrument the Anderson-Rubin set",
        "counts, while widths are those of two stages. Where gold alone cannot be fitted, its columns rest on other",
        "samples.\n",
        "| model | labelled | gold | repetitions (refused) | coverage (error) | lowest | gold alone | se / sd | bias | "
        "width | widest | largest | commit |",
        "|" + "---|" * 13,
    ]
    order = {model: k for k, model in enumerate(MODELS)}
    cells = sorted(known.items(), key=lambda item: (order[item[0].split(", ")[0]], int(item[0].split(", ")[2])))
    for name, cell in cells:
        model, labelled, n_gold = name.split(", ")
        sums = cell["sums"]
        if sums["repetitions"] - sums["refused"] < 20:
            continue
        f = {key: f"{value:.3f}" for key, value in figures(sums).items()}
        lines.append(
            f"| {model} | {labelled} | {n_gold} | {sums['repetitions']} ({sums['refused']}) | {f['coverage']} "
            f"({f['mc_error']}) | {f['lowest']} | {f['gold_coverage']} | {f['se_over_sd']} | {f['bias']} | "
            f"{f['width']} | {f['widest']} | {f['largest_ratio']} | {', '.join(cell['commits'])} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Add repetitions and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="+", choices=list(MODELS), default=list(MODELS))
    parser.add_argument("--gold", type=int, nargs="+", default=[150, 500])
    parser.add_argument("--repetitions", type=int, default=300, help="how many a cell has in the end")
    parser.add_argument("--block", type=int, default=25, help="repetitions after which a cell is saved")
    parser.add_argument("--minutes", type=float, default=1e9, help="after which no block is begun")
    parser.add_argument("--output", type=Path, default=HOME / "family.json")
    chosen = parser.parse_args()
    began = time.perf_counter()
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True, cwd=HOME
    ).stdout.strip()
    for target in range(chosen.block, chosen.repetitions + chosen.block, chosen.block):
        for n_gold in chosen.gold:
            for model in chosen.models:
                labels, once = MODELS[model]
                for labelled in labels:
                    name = f"{model}, {labelled}, {n_gold}"
                    known = json.loads(chosen.output.read_text() or "{}") if chosen.output.exists() else {}
                    first = known[name]["sums"]["repetitions"] if name in known else 0
                    until = min(target, chosen.repetitions)
                    if first >= until or time.perf_counter() - began > 60 * chosen.minutes:
                        continue
                    spent = time.process_time()
                    seeds = range(SEED + first, SEED + until)
                    added(chosen.output, name, commit, first, block(once, labelled, n_gold, seeds))
                    print(f"{name}: {first} to {until}, {time.process_time() - spent:.1f} s CPU", flush=True)
    known = json.loads(chosen.output.read_text())
    chosen.output.with_suffix(".md").write_text(page(known))


if __name__ == "__main__":
    main()
