"""Do default intervals hold in the corners, and do they stay as short as those of gold alone?

Small gold samples, skewed covariates with unequal noise, heavy weights, few clusters, surrogates that are useless,
constant, turned round or shifted. A corpus is drawn anew in each repetition, then its gold sample, then a regression is
fitted with default settings. At full size: ``python -m tests.statistical.corners``, which writes
``benchmarks/results/corners.json`` and the second table of ``docs/coverage.md``. At small size in the tests.
"""

from __future__ import annotations

import argparse
import functools
import time
import warnings
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit
from scipy.stats import t as student

import karat as kt

ROOT = Path(__file__).resolve().parents[2]
N_UNITS = 3000
TRUTH_ROWS = 3_000_000
DRAWN_CLUSTERS = {"10 clusters": 10, "40 clusters": 40}

FORMULAS = {
    "outcome": "y ~ z + x",
    "covariate": "y ~ z + x",
    "classes": "y ~ C(k) + x",
    "square": "y ~ q + I(q**2) + x",
    "both": "b ~ z + x",
}
LABELS = {"outcome": ("y",), "covariate": ("z",), "classes": ("k",), "square": ("q",), "both": ("b", "z")}


@dataclass(frozen=True)
class Cell:
    """What is labelled, how gold was drawn, how good surrogates are, and how skewed the rest is."""

    labelled: str
    design: str = "simple random"
    n: int = 100
    surrogate: str = "good"
    shape: str = "normal"
    clusters: int = 0
    estimator: str = "dsl"

    @property
    def model(self) -> str:
        """Regression: a logit where outcome and covariate are labelled."""
        return "logit" if self.labelled == "both" else "ols"

    def __str__(self) -> str:
        analysis = f", {self.clusters} analysis clusters" if self.clusters else ""
        return f"{self.labelled}, {self.design}{analysis}, n {self.n}, {self.surrogate}, {self.shape}, {self.estimator}"


def population(cell: Cell, n_units: int, rng: np.random.Generator) -> pd.DataFrame:
    """A corpus. "skewed" has a log-normal covariate and noise that grows with it."""
    drawn = DRAWN_CLUSTERS.get(cell.design, 0)
    groups = cell.clusters or (20 * drawn if drawn else 0)
    cluster = np.zeros(n_units, dtype=int)
    if groups:
        size = rng.gamma(2.0, 1.0, groups) if cell.clusters else np.ones(groups)
        cluster = rng.choice(groups, n_units, p=size / size.sum())

    def normal(share: float) -> np.ndarray:
        own = rng.standard_normal(n_units)
        if not groups:
            return own
        return np.sqrt(share) * rng.standard_normal(groups)[cluster] + np.sqrt(1 - share) * own

    skewed = cell.shape == "skewed"
    x = normal(0.3)
    x = (np.exp(x) - np.exp(0.5)) / 2.16 if skewed else x
    lean = np.tanh(x)
    z = (rng.random(n_units) < expit(-0.2 + 0.8 * lean)).astype(float)
    k = (rng.random(n_units) < expit(0.3 + 0.6 * lean)).astype(int) + (rng.random(n_units) < expit(-0.8 + 0.5 * lean))
    q = 0.4 * lean + rng.standard_normal(n_units)
    noise = normal(0.2) * (0.4 + 0.6 * np.abs(x) if skewed else 1.0)
    signal = {"classes": 0.5 * (k == 1) - 0.6 * (k == 2), "square": 0.5 * q - 0.2 * (q**2 - 1)}
    y = 0.5 + signal.get(cell.labelled, 0.6 * z) - 0.4 * x + noise
    b = (rng.random(n_units) < expit(-0.3 + 0.8 * z - 0.5 * lean)).astype(float)
    frame = pd.DataFrame({"y": y, "x": x, "z": z, "k": k, "q": q, "b": b, "cluster": cluster})
    return frame.assign(**_surrogates(cell, frame, rng))


def _surrogates(cell: Cell, frame: pd.DataFrame, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Machine labels; those of good ones err with the outcome and the covariate."""
    n, y, x = len(frame), frame["y"].to_numpy(), frame["x"].to_numpy()
    right = rng.random(n) < expit(1.9 + 0.7 * np.tanh(y) - 0.4 * np.tanh(x))
    out = {}
    for name in ("z", "k", "q", "b", "y"):
        gold = frame[name].to_numpy()
        numeric = name in ("y", "q")
        if cell.surrogate == "constant":
            found = np.ones(n)
        elif cell.surrogate == "useless":
            found = rng.permutation(gold)
        elif numeric:
            found = 0.2 + 0.8 * gold + 0.3 * np.tanh(x) + 0.6 * gold.std() * rng.standard_normal(n)
        else:
            other = (gold + 1) % (3 if name == "k" else 2)
            found = np.where(right, gold, other)
        if cell.surrogate == "anti-aligned":
            found = -found if numeric else np.where(found == gold, (gold + 1) % (3 if name == "k" else 2), gold)
        elif cell.surrogate == "shifted" and numeric:
            found = found + 10 * gold.std()
        out[f"{name}_llm"] = found
    return out


@functools.cache
def truth(labelled: str, shape: str) -> np.ndarray:
    """Coefficients in the superpopulation, from one very large corpus."""
    import statsmodels.formula.api as smf

    cell = Cell(labelled, shape=shape)
    frame = population(cell, TRUTH_ROWS if cell.model == "ols" else TRUTH_ROWS // 3, np.random.default_rng(77_001))
    fit = smf.ols if cell.model == "ols" else smf.logit
    return fit(FORMULAS[labelled], frame).fit(**({} if cell.model == "ols" else {"disp": 0})).params.to_numpy()


def draw(cell: Cell, frame: pd.DataFrame, rng: np.random.Generator) -> kt.designs.Sample:
    """Draw the gold of a cell."""
    n, x = cell.n, frame["x"].to_numpy()
    size = np.exp(0.9 * np.clip(x, -2, 3))
    if cell.design == "2 to 5 strata":
        frame["stratum"] = np.digitize(x, np.quantile(x, (0.5, 0.9, 0.97)))
        return kt.Stratified("stratum", n, allocation="equal").draw(frame, rng)
    if cell.design == "bernoulli":
        return kt.Bernoulli(np.clip(n * size / size.sum(), 0.01, 0.9)).draw(frame, rng)
    if cell.design == "sampford":
        return kt.Unequal(size, n).draw(frame, rng)
    if cell.design in DRAWN_CLUSTERS:
        return kt.Clustered("cluster", DRAWN_CLUSTERS[cell.design]).draw(frame, rng)
    if cell.design == "waves":
        pilot = kt.SimpleRandom(n // 2).draw(frame, rng)
        return pilot.next_wave(kt.Unequal(size, n - n // 2, floor=0.2 * n / len(frame)), frame, rng)
    return kt.SimpleRandom(n).draw(frame, rng)


def one(cell: Cell, seed: int) -> np.ndarray | None:
    """One repetition: estimate, se, half width, df; then those of gold alone."""
    rng = np.random.default_rng([seed, zlib.crc32(str(cell).encode())])
    frame = population(cell, N_UNITS, rng)
    sample = draw(cell, frame, rng)
    names = LABELS[cell.labelled]
    masked = frame.astype({name: float for name in names})
    masked.loc[~sample.labelled, list(names)] = np.nan
    options: dict[str, Any] = {"estimator": "ppi", "learner": None} if cell.estimator == "ppi" else {}
    if cell.clusters or cell.design in DRAWN_CLUSTERS:
        options["cluster"] = "cluster"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fit = kt.regress(
                cell.model, FORMULAS[cell.labelled], masked, surrogates={name: f"{name}_llm" for name in names},
                design=sample.design, seed=int(rng.integers(2**31)), **options,
            )  # fmt: skip
    except kt.KaratError:
        return None
    gold = next(c for c in fit.compare().columns if c.title == "Gold only")
    half = fit.confint().to_numpy()
    return np.vstack(
        [fit.theta, fit.se().to_numpy(), (half[:, 1] - half[:, 0]) / 2, fit.df,
         gold.theta, gold.se, gold.se * student.ppf(0.975, gold.df), gold.df]
    )  # fmt: skip


def run(cell: Cell, repetitions: int, seed: int) -> dict[str, Any]:
    """Repeat a cell; figures are means over coefficients unless they say otherwise."""
    start = time.process_time()
    target = truth(cell.labelled, cell.shape)
    found = [one(cell, seed * 1_000_000 + r) for r in range(repetitions)]
    done = np.array([f for f in found if f is not None])
    inside = np.abs(done[:, 0] - target) <= done[:, 2]
    own = np.abs(done[:, 4] - target) <= done[:, 6]
    ratio = done[:, 2] / done[:, 6]
    return {
        "cell": asdict(cell),
        "repetitions": len(done),
        "refused": repetitions - len(done),
        "coverage": float(inside.mean()),
        "lowest": float(inside.mean(axis=0).min()),
        "se_over_sd": float((done[:, 1].mean(axis=0) / done[:, 0].std(axis=0, ddof=1)).mean()),
        "width": float((done[:, 2].mean(axis=0) / done[:, 6].mean(axis=0)).mean()),
        "widest": float((done[:, 2].mean(axis=0) / done[:, 6].mean(axis=0)).max()),
        "ratio_99": float(np.quantile(ratio, 0.99)),
        "rmse": float(
            np.sqrt(((done[:, 0] - target) ** 2).mean(axis=0) / ((done[:, 4] - target) ** 2).mean(axis=0)).mean()
        ),
        "gold_coverage": float(own.mean()),
        "gold_lowest": float(own.mean(axis=0).min()),
        "gold_se_over_sd": float((done[:, 5].mean(axis=0) / done[:, 4].std(axis=0, ddof=1)).mean()),
        "seconds": time.process_time() - start,
    }


def _mse(error: np.ndarray) -> np.ndarray:
    return np.asarray((error**2).mean(axis=0))


def grid() -> list[Cell]:
    """Every cell of the study."""
    cells = [Cell(labelled, n=n) for labelled in LABELS for n in (60, 100, 150, 400, 1000)]
    cells += [Cell(labelled, n=n, shape="skewed") for labelled in ("outcome", "covariate", "square") for n in (60, 150)]
    cells += [
        Cell(labelled, design, n)
        for design in ("2 to 5 strata", "bernoulli", "sampford", "waves")
        for labelled, n in (("outcome", 100), ("covariate", 100), ("covariate", 400), ("both", 150))
    ]
    cells += [Cell(labelled, design) for design in DRAWN_CLUSTERS for labelled in ("outcome", "covariate")]
    for surrogate in ("useless", "constant", "anti-aligned", "shifted"):
        for labelled in ("outcome", "covariate"):
            if surrogate == "shifted" and labelled == "covariate":
                continue
            cells += [Cell(labelled, n=n, surrogate=surrogate) for n in (60, 150, 400)]
            cells += [Cell(labelled, "sampford", 100, surrogate)]
            cells += [Cell(labelled, n=150, surrogate=surrogate, estimator="ppi")]
    cells += [Cell(labelled, n=n, estimator="ppi") for labelled in ("outcome", "covariate") for n in (60, 400)]
    cells += [
        Cell("outcome", "sampford", 100, "shifted", estimator="ppi"),
        Cell("covariate", "sampford", 100, estimator="ppi"),
    ]
    cells += [Cell(labelled, n=150, clusters=g) for g in (8, 12, 20) for labelled in ("outcome", "covariate")]
    return cells


def study(cells: list[Cell], repetitions: int, seed: int, jobs: int) -> Iterator[dict[str, Any]]:
    """Figures as they are done; truths first, so that no process works one out again."""
    from joblib import Parallel, delayed

    yield from Parallel(n_jobs=jobs, return_as="generator_unordered")(delayed(run)(c, repetitions, seed) for c in cells)


def line(found: dict[str, Any]) -> str:
    """One row of figures."""
    f = found
    return (
        f"{Cell(**f['cell'])!s:75} cov {f['coverage']:.3f} low {f['lowest']:.3f} se/sd {f['se_over_sd']:.2f} "
        f"w {f['width']:.3f} max {f['widest']:.3f} q99 {f['ratio_99']:.2f} rmse {f['rmse']:.2f} | gold "
        f"{f['gold_coverage']:.3f} {f['gold_lowest']:.3f} {f['gold_se_over_sd']:.2f} | {f['refused']} refused "
        f"{f['seconds'] / max(1, f['repetitions']):.2f}s"
    )


def main() -> None:
    """Run the study."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=500)
    parser.add_argument("--seed", type=int, default=2027)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--only", default="", help="cells whose name holds this text")
    options = parser.parse_args()
    cells = [c for c in grid() if options.only in str(c)]
    for found in study(cells, options.repetitions, options.seed, options.jobs):
        print(line(found), flush=True)


if __name__ == "__main__":
    main()
