"""Coverage study: does a 95 % interval hold the truth 95 times in 100?

Grid: model x labelled variable x design x gold size, with surrogate errors that depend on outcome and
covariates. Run at full size by ``make coverage``, at small size in the tests.
"""

from __future__ import annotations

import functools
import itertools
import json
import time
import warnings
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd

import karat as kt

MODELS = ("ols", "logit", "poisson")
LABELLED = ("outcome", "covariate", "both")
DESIGNS = ("simple random", "stratified", "bernoulli", "clusters")
SIZES = (100, 300, 1000)
N_UNITS = 3000
CLUSTER_SIZE = 4
TRUTH_ROWS = 4_000_000


@dataclass(frozen=True)
class Cell:
    """One cell of the grid."""

    model: str
    labelled: str
    design: str
    n: int
    quality: str = "good"

    @property
    def surrogates(self) -> dict[str, str]:
        pairs = {"y": "y_llm", "x": "x_llm"}
        keep = {"outcome": ("y",), "covariate": ("x",), "both": ("y", "x")}[self.labelled]
        return {k: pairs[k] for k in keep}


@dataclass(frozen=True)
class Outcome:
    """What a cell showed; coverage and ratios are averages over the coefficients."""

    cell: Cell
    repetitions: int
    failures: int
    coverage: float
    lowest_coverage: float
    se_over_sd: float
    naive_coverage: float
    gold_coverage: float
    width_over_gold: float
    seconds: float


def population(cell: Cell, n_units: int, rng: np.random.Generator) -> pd.DataFrame:
    """Draw a corpus. With clusters, covariates and errors are correlated within clusters."""
    clustered = cell.design == "clusters"
    cluster = np.arange(n_units) // CLUSTER_SIZE if clustered else np.arange(n_units)
    n_clusters = int(cluster[-1]) + 1

    def normal(share: float) -> np.ndarray:
        own = rng.standard_normal(n_units)
        if not clustered:
            return own
        return np.sqrt(share) * rng.standard_normal(n_clusters)[cluster] + np.sqrt(1 - share) * own

    z = normal(0.3)
    x = (0.5 * z + normal(0.2) > 0.3).astype(float)
    if cell.model == "ols":
        y = 0.5 + 0.6 * x - 0.4 * z + normal(0.2) * (0.8 + 0.3 * x)
        tilt = np.tanh(y)
    elif cell.model == "logit":
        from scipy.special import ndtr

        noise = ndtr(normal(0.2))
        y = (np.log(noise / (1 - noise)) < -0.4 + 0.8 * x - 0.5 * z).astype(float)
        tilt = 1.6 * y - 0.8
    else:
        from scipy.special import ndtr
        from scipy.stats import poisson

        y = (
            poisson.ppf(ndtr(normal(0.2)), np.exp(0.2 + 0.5 * x - 0.3 * z))
            if clustered
            else rng.poisson(np.exp(0.2 + 0.5 * x - 0.3 * z)).astype(float)
        )
        tilt = np.tanh(0.5 * (y - 1.5))
    sharp, blur = {"good": (3.2, 0.5), "poor": (0.5, 2.0)}[cell.quality]
    x_llm = (rng.random(n_units) < 1 / (1 + np.exp(-(sharp * (x - 0.45) + 0.8 * tilt - 0.5 * z)))).astype(float)
    if cell.model == "ols":
        y_llm = 0.3 + 0.7 * y + 0.4 * z + 0.3 * x * (y > 0.5) + blur * rng.standard_normal(n_units)
    elif cell.model == "logit":
        y_llm = (rng.random(n_units) < 1 / (1 + np.exp(-(sharp * (y - 0.4) + 0.6 * x + 0.5 * z)))).astype(float)
    else:
        y_llm = np.maximum(np.round(0.8 * y + 0.5 * x + 0.3 * z + blur * rng.standard_normal(n_units)), 0)
    return pd.DataFrame({"y": y, "x": x, "z": z, "y_llm": y_llm, "x_llm": x_llm, "cluster": cluster})


@functools.cache
def truth(model: str, clustered: bool) -> np.ndarray:
    """Coefficients in the superpopulation, from one very large corpus."""
    cell = Cell(model, "outcome", "clusters" if clustered else "simple random", 0)
    frame = population(cell, TRUTH_ROWS, np.random.default_rng(20_260_101))
    design = np.column_stack([np.ones(len(frame)), frame["x"], frame["z"]])
    y = frame["y"].to_numpy()
    from karat import moments as models
    from karat.estimate.root import newton
    from karat.estimate.rows import Rows, pieces_of
    from karat.estimate.totals import row_totals

    totals = row_totals(models.get(model), pieces_of((Rows(design, y),), None))
    return newton(totals, np.zeros(3), totals(np.zeros(3))[1]).theta


def draw(cell: Cell, frame: pd.DataFrame, rng: np.random.Generator) -> kt.designs.Sample:
    """Draw the gold sample of a cell."""
    if cell.design == "simple random":
        return kt.SimpleRandom(cell.n).draw(frame, rng)
    if cell.design == "stratified":
        frame = frame.assign(stratum=_stratum(cell, frame))
        return kt.Stratified("stratum", cell.n, allocation="equal").draw(frame, rng)
    if cell.design == "clusters":
        return kt.Clustered("cluster", cell.n // CLUSTER_SIZE).draw(frame, rng)
    return kt.Bernoulli(unequal(cell.n, frame)).draw(frame, rng)


def unequal(n: int, frame: pd.DataFrame) -> np.ndarray:
    """Inclusion probabilities that lean on a surrogate and a covariate, between .02 and .9."""
    size = np.exp(0.9 * frame["z"].to_numpy() + 0.5 * frame["x_llm"].to_numpy())
    low, high = 0.0, 10.0
    for _ in range(60):
        middle = (low + high) / 2
        total = np.clip(middle * size, 0.02, 0.9).sum()
        low, high = (middle, high) if total < n else (low, middle)
    return np.clip(middle * size, 0.02, 0.9)


def _stratum(cell: Cell, frame: pd.DataFrame) -> np.ndarray:
    signal = frame["y_llm"] if cell.labelled == "outcome" else frame["x_llm"]
    high = (signal > signal.median()) if signal.nunique() > 2 else signal > 0.5
    return 2 * high.astype(int).to_numpy() + (frame["z"] > 0).astype(int).to_numpy()


def one(cell: Cell, seed: int, **options: object) -> np.ndarray | None:
    """One repetition: estimate, se, lower, upper of DSL; then of gold and naive estimate and se, t quantiles."""
    rng = np.random.default_rng([seed, hash_of(cell)])
    frame = population(cell, N_UNITS, rng)
    sample = draw(cell, frame, rng)
    labelled = frame.copy()
    for name in cell.surrogates:
        labelled.loc[~sample.labelled, name] = np.nan
    if cell.design == "stratified":
        labelled["stratum"] = _stratum(cell, frame)
    settings: dict[str, object] = {"learner": "linear", "repeats": 1, "seed": rng} | options
    if cell.design == "clusters":
        settings.setdefault("cluster", "cluster")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fit = kt.regress(
                "y ~ x + z",
                labelled,
                model=cell.model,
                surrogates=cell.surrogates,
                design=sample.design,
                **settings,
            )
    except kt.KaratError:
        return None
    columns = {c.title: c for c in fit.compare().columns}
    bounds = fit.confint().to_numpy()
    gold, naive = columns["Gold only"], columns["Surrogate only"]
    from scipy.stats import t

    return np.vstack(
        [
            fit.theta, fit.se().to_numpy(), bounds[:, 0], bounds[:, 1],
            gold.theta, gold.se * t.ppf(0.975, gold.df), naive.theta, naive.se * t.ppf(0.975, naive.df),
        ]
    )  # fmt: skip


def hash_of(cell: Cell) -> int:
    """A number that depends on the cell alone."""
    import zlib

    return zlib.crc32(repr(tuple(asdict(cell).values())).encode())


def run(cell: Cell, repetitions: int, seed: int = 1, **options: object) -> Outcome:
    """Repeat a cell."""
    start = time.process_time()
    target = truth(cell.model, cell.design == "clusters")
    results = [one(cell, seed * 1_000_000 + r, **options) for r in range(repetitions)]
    done = np.array([r for r in results if r is not None])
    inside = (done[:, 2] <= target) & (target <= done[:, 3])
    gold = np.abs(done[:, 4] - target) <= done[:, 5]
    naive = np.abs(done[:, 6] - target) <= done[:, 7]
    width = (done[:, 3] - done[:, 2]).mean(axis=0) / (2 * done[:, 5]).mean(axis=0)
    sd = done[:, 0].std(axis=0, ddof=1)
    return Outcome(
        cell, repetitions, repetitions - len(done), float(inside.mean()), float(inside.mean(axis=0).min()),
        float((done[:, 1].mean(axis=0) / sd).mean()), float(naive.mean(axis=0).min()), float(gold.mean()),
        float(width.mean()), time.process_time() - start,
    )  # fmt: skip


def grid() -> list[Cell]:
    """Every cell of the study."""
    return [Cell(*c) for c in itertools.product(MODELS, LABELLED, DESIGNS, SIZES)]


def to_json(outcomes: list[Outcome]) -> str:
    """Outcomes as JSON."""
    return json.dumps([asdict(o) for o in outcomes], indent=1)
