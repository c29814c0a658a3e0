"""Coverage of two-stage least squares and of Anderson-Rubin sets with labels in outcome, covariate and instrument.

``python -m tests.statistical.instruments [repetitions] [--cells ...]`` prints a table. Default settings throughout.
"""

from __future__ import annotations

import argparse
import warnings
from typing import Any

import numpy as np
import pandas as pd

import karat as kt
from karat.errors import KaratError, KaratWarning

BETA = 0.5
SURROGATES = {"y": "y_llm", "x": "x_llm", "z": "z_llm"}
CELLS = {
    "strong, one instrument": (0.8, "y ~ w + [x ~ z]"),
    "strong, three instruments": (0.8, "y ~ w + [x ~ z + z2 + z3]"),
    "weak, one instrument": (0.11, "y ~ w + [x ~ z]"),
}


def corpus(strength: float, n: int, n_gold: int, rng: np.random.Generator) -> Any:
    """Units of a simple random gold sample, with surrogates whose errors go with the disturbance."""
    z, z2, z3, w, u = rng.normal(size=(5, n))
    x = strength * (z + 0.3 * z2 + 0.3 * z3) + 0.3 * w + 0.7 * u + 0.7 * rng.normal(size=n)
    y = 1.0 + BETA * x + 0.2 * w + u * (0.8 + 0.2 * np.abs(z))
    data = pd.DataFrame({"y": y, "x": x, "z": z, "z2": z2, "z3": z3, "w": w})
    for name in SURROGATES:
        data[f"{name}_llm"] = 0.2 + 0.8 * data[name] + 0.2 * u + 0.5 * rng.normal(size=n)
    data.loc[rng.permutation(n) >= n_gold, list(SURROGATES)] = np.nan
    return data


def coverage(cell: str, repetitions: int, n_gold: int, n: int = 1_500, seed: int = 1) -> dict[str, float]:
    """Shares of intervals that hold the truth, and their widths, for one cell."""
    out = []
    for one in range(repetitions):
        try:
            out.append(once(cell, n_gold, [seed, one, n_gold], n))
        except KaratError:
            out.append((np.nan,) * 9)
    table = np.array(out, dtype=np.float64)
    return {
        "fits": float(np.isfinite(table[:, 0]).mean()),
        "coverage": float(np.nanmean(table[:, 2])),
        "width": float(np.nanmedian(table[:, 3])),
        "AR coverage": float(np.nanmean(table[:, 6])),
        "AR intervals": float(np.nanmean(table[:, 7])),
        "bias": float(np.nanmedian(table[:, 0])),
        "sd": float(np.nanstd(table[:, 0])),
        "se": float(np.nanmean(table[:, 1])),
        "effective F": float(np.nanmedian(table[:, 8])),
        "width over gold": float(np.nanmedian(table[:, 3] / table[:, 5])),
    }


def once(cell: str, n_gold: int, seed: int | list[int], n: int = 1_500) -> tuple[float, ...]:
    """Error, standard error, whether covered, width; of gold alone whether covered, width; of the set; effective F."""
    strength, formula = CELLS[cell]
    rng = np.random.default_rng(seed)
    data = corpus(strength, n, n_gold, rng)
    given = {"surrogates": SURROGATES, "seed": seed if isinstance(seed, int) else seed[1], "compare": False}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", KaratWarning)
        fit, gold = kt.iv(formula, data, **given), kt.iv(formula, data, **given, estimator="gold")
    (low, high), (least, most), set_ = fit.confint().loc["x"], gold.confint().loc["x"], fit.anderson_rubin()
    return (
        fit.theta[fit.names.index("x")] - BETA, fit.se()["x"], low <= BETA <= high, high - low, least <= BETA <= most,
        most - least, BETA in set_, set_.shape == "interval", fit.first_stage().effective_f,
    )  # fmt: skip


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("repetitions", type=int, nargs="?", default=150)
    parser.add_argument("--cells", nargs="+", choices=list(CELLS), default=list(CELLS))
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    error = np.sqrt(0.95 * 0.05 / chosen.repetitions)
    print(f"{chosen.repetitions} repetitions; Monte Carlo standard error of a coverage {error:.3f}")
    for cell in chosen.cells:
        for n_gold in (150, 500):
            found = coverage(cell, chosen.repetitions, n_gold, seed=chosen.seed)
            said = ", ".join(f"{name} {value:.3f}" for name, value in found.items())
            print(f"{cell}, {n_gold} gold: {said}", flush=True)


if __name__ == "__main__":
    main()
