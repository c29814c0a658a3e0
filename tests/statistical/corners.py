"""Do default intervals hold in the corners, and do they stay as short as those of gold alone?

Small gold samples, skewed covariates with unequal noise, heavy weights, few clusters, surrogates that are useless,
constant, turned round or shifted. A corpus is drawn anew in each repetition, then its gold sample, then a regression is
fitted with default settings. At full size: ``python -m tests.statistical.corners``, which writes
``benchmarks/results/corners.json`` and ``docs/coverage-corners.md``. At small size in the tests.
"""

from __future__ import annotations

import argparse
import functools
import json
import subprocess
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
    """A corpus. "skewed" has a log-normal covariate (skewness 2.9) and noise that grows with it.

    With heavier tails (skewness 6) the classical regression on 3,000 complete rows does not hold its level either.
    """
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
    x = (np.exp(0.7 * x) - np.exp(0.245)) / 1.017 if skewed else x
    lean = np.tanh(x)
    z = (rng.random(n_units) < expit(-0.2 + 0.8 * lean)).astype(float)
    k = (rng.random(n_units) < expit(0.3 + 0.6 * lean)).astype(int) + (rng.random(n_units) < expit(-0.8 + 0.5 * lean))
    q = 0.4 * lean + rng.standard_normal(n_units)
    noise = normal(0.2) * (0.5 + 0.5 * np.abs(x) if skewed else 1.0)
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
                FORMULAS[cell.labelled], masked, model=cell.model, surrogates={name: f"{name}_llm" for name in names},
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


def repeat(cell: Cell, repetitions: range, seed: int) -> tuple[Cell, list[np.ndarray | None], float]:
    """Some repetitions of a cell, and the CPU seconds they took."""
    start = time.process_time()
    found = [one(cell, seed * 1_000_000 + r) for r in repetitions]
    return cell, found, time.process_time() - start


def run(cell: Cell, repetitions: int, seed: int) -> dict[str, Any]:
    """Repeat a cell and sum it up."""
    return figures(*repeat(cell, range(repetitions), seed))


def figures(cell: Cell, found: list[np.ndarray | None], seconds: float) -> dict[str, Any]:
    """Means over coefficients, unless they say otherwise."""
    target = truth(cell.labelled, cell.shape)
    done = np.array([f for f in found if f is not None])
    inside = np.abs(done[:, 0] - target) <= done[:, 2]
    own = np.abs(done[:, 4] - target) <= done[:, 6]
    ratio = done[:, 2] / done[:, 6]
    width = done[:, 2].mean(axis=0) / done[:, 6].mean(axis=0)
    return {
        "cell": asdict(cell),
        "repetitions": len(done),
        "refused": len(found) - len(done),
        "coverage": float(inside.mean()),
        "lowest": float(inside.mean(axis=0).min()),
        "se_over_sd": float((done[:, 1].mean(axis=0) / done[:, 0].std(axis=0, ddof=1)).mean()),
        "width": float(width.mean()),
        "widest": float(width.max()),
        "ratio_99": float(np.quantile(ratio, 0.99)),
        "rmse": float(np.sqrt(_mse(done[:, 0] - target) / _mse(done[:, 4] - target)).mean()),
        "gold_coverage": float(own.mean()),
        "gold_lowest": float(own.mean(axis=0).min()),
        "gold_se_over_sd": float((done[:, 5].mean(axis=0) / done[:, 4].std(axis=0, ddof=1)).mean()),
        "seconds": seconds,
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


def study(cells: list[Cell], passes: list[int], seed: int, jobs: int, first: int = 0) -> Iterator[list[dict[str, Any]]]:
    """Figures of all cells after each pass; a study that is cut short still shows every cell."""
    from joblib import Parallel, delayed

    raw: dict[Cell, tuple[list[np.ndarray | None], float]] = {cell: ([], 0.0) for cell in cells}
    for size in passes:
        some = range(first, first + size)
        tasks = (delayed(repeat)(cell, some, seed) for cell in sorted(cells, key=lambda c: -c.n))
        for cell, found, seconds in Parallel(n_jobs=jobs, return_as="generator_unordered")(tasks):
            raw[cell] = (raw[cell][0] + found, raw[cell][1] + seconds)
        first += size
        yield [figures(cell, *raw[cell]) for cell in cells]


def together(earlier: dict[str, Any], later: dict[str, Any]) -> dict[str, Any]:
    """Figures of two runs with different repetitions: means by their number, of extremes the worse."""
    runs = (earlier, later)
    n = [run["repetitions"] for run in runs]
    out = {name: float(np.average([run[name] for run in runs], weights=n)) for name in MEANS}
    out |= {name: max(run[name] for run in runs) for name in ("widest", "ratio_99")}
    out |= {name: min(run[name] for run in runs) for name in ("lowest", "gold_lowest")}
    out |= {name: sum(run[name] for run in runs) for name in ("repetitions", "refused", "seconds")}
    return {**later, **out, "commit": f"{earlier['commit']}, later {later['commit']}"}


def line(found: dict[str, Any]) -> str:
    """One row of figures."""
    f = found
    return (
        f"{Cell(**f['cell'])!s:75} cov {f['coverage']:.3f} low {f['lowest']:.3f} se/sd {f['se_over_sd']:.2f} "
        f"w {f['width']:.3f} max {f['widest']:.3f} q99 {f['ratio_99']:.2f} rmse {f['rmse']:.2f} | gold "
        f"{f['gold_coverage']:.3f} {f['gold_lowest']:.3f} {f['gold_se_over_sd']:.2f} | {f['refused']} refused "
        f"{f['seconds'] / max(1, f['repetitions']):.2f}s"
    )


MEANS = ("coverage", "se_over_sd", "width", "rmse", "gold_coverage", "gold_se_over_sd")

COLUMNS = (
    "labelled", "design", "analysis clusters", "gold n", "surrogate", "covariate", "estimator", "repetitions",
    "coverage", "lowest coefficient", "se / sd", "width / gold-only", "widest coefficient",
    "99 % quantile of the ratio", "rmse / gold-only", "gold-only coverage",
)  # fmt: skip


def page(rows: list[dict[str, Any]], seed: int) -> str:
    """The documentation page."""
    commits = sorted({r["commit"] for r in rows}, key=lambda c: -sum(r["commit"] == c for r in rows))
    counts = {c: sum(r["commit"] == c for r in rows) for c in commits}
    where = commits[0] + "".join(f" ({counts[c]} of the cells on {c})" for c in commits[1:])
    reps = max(r["repetitions"] for r in rows)
    cover, ratio = [r["coverage"] for r in rows], [r["se_over_sd"] for r in rows]
    low = [r for r in rows if r["coverage"] < (0.92 if r["cell"]["n"] <= 100 else 0.93)]
    intro = f"""# Coverage in the corners

Written by `python -m tests.statistical.corners` (part of `make coverage`), seed {seed}, on commit {where}. Default
settings throughout (`learner="auto"`, five splits, HC3, with clusters CRV3); "ppi" takes the raw surrogate with default
tuning. A corpus of {N_UNITS:,} units is drawn anew in every repetition. Coverage, se / sd and width are means over the
coefficients; the Monte Carlo standard error of the coverage of one coefficient at {reps} repetitions is
{np.sqrt(0.95 * 0.05 / reps):.3f}, that of se / sd about {1 / np.sqrt(2 * reps):.3f}. "skewed" has a log-normal
covariate of skewness 2.9 and noise that grows with it. Useless surrogates are shuffled labels, constant ones are
always 1, shifted ones are off by ten standard deviations.

- coverage: {min(cover):.3f} to {max(cover):.3f}, mean {np.mean(cover):.3f}, over {len(rows)} cells; below .92 (n up to
  100) or .93: {len(low)} cells; above .97: {sum(c > 0.97 for c in cover)}
- mean se / sd: {np.mean(ratio):.3f}; below .95 in {sum(r < 0.95 for r in ratio)} cells, above 1.10 in
  {sum(r > 1.10 for r in ratio)}
- width over gold-only: at most {max(r["width"] for r in rows):.3f} as a mean over coefficients,
  {max(r["widest"] for r in rows):.3f} for a coefficient
- 99 % quantile of the ratio of widths: at most {max(r["ratio_99"] for r in rows):.2f}; above 1.5 in
  {sum(r["ratio_99"] > 1.5 for r in rows)} cells
- fits refused: {sum(r["refused"] for r in rows)} of {sum(r["repetitions"] + r["refused"] for r in rows)}
"""
    lines = [intro, f"| {' | '.join(COLUMNS)} |", "|" + "---|" * len(COLUMNS)]
    for r in rows:
        c = r["cell"]
        gold = f"{r['gold_coverage']:.3f}"
        shown = [c["labelled"], c["design"], c["clusters"] or "", c["n"], c["surrogate"], c["shape"], c["estimator"]]
        shown += [r["repetitions"], f"{r['coverage']:.3f}", f"{r['lowest']:.3f}", f"{r['se_over_sd']:.2f}"]
        shown += [f"{r['width']:.3f}", f"{r['widest']:.3f}", f"{r['ratio_99']:.2f}", f"{r['rmse']:.2f}", gold]
        lines.append(f"| {' | '.join(str(value) for value in shown)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run the study."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--passes", type=int, nargs="+", default=[100] * 5, help="repetitions of each pass")
    parser.add_argument("--first", type=int, default=0, help="number of repetitions that the JSON file holds already")
    parser.add_argument("--seed", type=int, default=2027)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--only", default="", help="cells whose name holds this text; others stay as they are")
    parser.add_argument("--json", type=Path, default=ROOT / "benchmarks/results/corners.json")
    parser.add_argument("--page", type=Path, default=ROOT / "docs/coverage-corners.md")
    options = parser.parse_args()
    head = ["git", "rev-parse", "--short", "HEAD"]
    asked = subprocess.run(head, capture_output=True, text=True, cwd=ROOT, check=False)
    commit = asked.stdout.strip() or "unknown"
    cells = [c for c in grid() if options.only in str(c)]
    more = (options.only or options.first) and options.json.exists()
    before = {str(Cell(**row["cell"])): row for row in (json.loads(options.json.read_text()) if more else [])}
    for rows in study(cells, options.passes, options.seed, options.jobs, options.first):
        found = dict(before)
        for row in ({**row, "commit": commit} for row in rows):
            name = str(Cell(**row["cell"]))
            found[name] = together(before[name], row) if options.first else row
        every = [found[str(cell)] for cell in grid() if str(cell) in found]
        options.json.write_text(json.dumps(every, indent=1) + "\n")
        options.page.write_text(page(every, options.seed))
        for found in rows:
            print(line(found), flush=True)


if __name__ == "__main__":
    main()
