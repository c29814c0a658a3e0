"""Regressions on unit means: ``python -m tests.statistical.aggregate --repetitions 300``.

Candidates whose posts are labelled, and an outcome of the candidates that depends on the true share of populist posts.
Machines err by candidate, and, where that is asked for, by the candidate's outcome. Every repetition draws candidates,
posts and gold, and fits the second regression. Figures: the slope with surrogate shares and with uncorrected unit means
taken for the truth (medians), the median of the corrected slope, its standard deviation (normalised median absolute
deviation, as estimates with errors in variables have heavy tails), the median standard error and width, coverage of the
95 % interval with its Monte Carlo error, how often it lies below and above the truth, and how often the fit was
refused.
"""

from __future__ import annotations

import argparse
import warnings
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

import karat as kt

SEED = 410_000
SLOPE = {"ols": 1.0, "logit": 3.0, "poisson": 1.0, "probit": 2.0}


@dataclass(frozen=True)
class Cell:
    """One situation."""

    model: str = "ols"
    units: int = 200
    documents: int = 20
    gold: int = 300
    differential: bool = False
    design: str = "simple"
    role: str = "covariate"


@dataclass(frozen=True)
class Row:
    """Figures of the slope in a situation."""

    cell: Cell
    repetitions: int
    reliability: float
    surrogates: float
    uncorrected: float
    median: float
    sd: float
    se: float
    width: float
    coverage: float
    mc_error: float
    below: float
    above: float
    refused: float


def world(cell: Cell, rng: np.random.Generator) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Posts with true labels and surrogates, and candidates."""
    c, n = cell.units, cell.documents
    unit = np.repeat(np.arange(c), n)
    age = rng.standard_normal(c)
    latent = np.clip(rng.beta(2.0, 2.5, c) + 0.06 * age, 0.02, 0.98)
    populist = (rng.random(c * n) < latent[unit]).astype(float)
    true = np.bincount(unit, populist) / n
    eta = SLOPE[cell.model] * (true - 0.45) + 0.3 * age - (0.3 if cell.model == "logit" else 0.0)
    if cell.model == "ols":
        y = eta + 0.5 * rng.standard_normal(c)
    elif cell.model == "poisson":
        y = rng.poisson(np.exp(eta + 0.5)).astype(float)
    elif cell.model == "probit":
        y = (rng.standard_normal(c) < eta).astype(float)
    else:
        y = (rng.random(c) < 1.0 / (1.0 + np.exp(-eta))).astype(float)
    habit = 0.08 * rng.standard_normal(c) + (0.12 * (y - y.mean()) / y.std() if cell.differential else 0.0)
    chance = np.clip(np.where(populist == 1, 0.8, 0.15) + habit[unit], 0.02, 0.98)
    llm = (rng.random(c * n) < chance).astype(float)
    posts = pd.DataFrame(
        {"candidate": unit, "day": rng.permutation(c * n) // 5, "populist": populist, "populist_llm": llm}
    )
    return posts, pd.DataFrame({"candidate": np.arange(c), "age": age, "y": y, "true": true})


def drawn(cell: Cell, posts: pd.DataFrame, rng: np.random.Generator) -> tuple[pd.DataFrame, Any]:
    """Posts with gold of a sample, and the design."""
    design: Any = {
        "simple": kt.SimpleRandom(n=cell.gold),
        "bernoulli": kt.Bernoulli(cell.gold / len(posts)),
        "stratified": kt.Stratified(by="populist_llm", n=cell.gold // 2),
        "candidates": kt.Clustered("candidate", n=max(cell.gold // cell.documents, 2)),
        "days": kt.Clustered("day", n=cell.gold // 5),
    }[cell.design]
    if cell.design == "simple":  # quicker than the draw of the package, which hashes the table
        kept = np.isin(np.arange(len(posts)), rng.choice(len(posts), cell.gold, replace=False))
        return posts.assign(populist=posts["populist"].where(kept)), design
    sample = design.draw(posts, seed=int(rng.integers(2**31)))
    return kt.datasets.mask_gold(posts, sample, "populist"), sample.design


def predictions(posts: pd.DataFrame, rng: np.random.Generator) -> np.ndarray:
    """Cross-fitted shares of gold at each surrogate label, candidates kept whole: a quick stand-in for a learner."""
    fold = rng.integers(0, 5, posts["candidate"].max() + 1)[posts["candidate"]]
    gold = posts["populist"].notna().to_numpy()
    llm, label = posts["populist_llm"].to_numpy(), posts["populist"].to_numpy()
    found = np.empty((5, 2))
    for k in range(5):
        inside = gold & (fold != k)
        for value in (0, 1):
            chosen = label[inside & (llm == value)]
            found[k, value] = (chosen.sum() + 0.5) / (len(chosen) + 1.0)
    out = found.mean(axis=0)[llm.astype(int)]
    out[gold] = found[fold[gold], llm[gold].astype(int)]
    return out


def units_of(cell: Cell, seed: int) -> Any:
    """Candidates with the shares of their posts."""
    rng = np.random.default_rng(seed)
    posts, people = world(cell, rng)
    masked, design = drawn(cell, posts, rng)
    return kt.aggregate(
        "populist", masked, by="candidate", surrogates={"populist": "populist_llm"}, design=design,
        predictions={"populist": predictions(masked, rng)}, seed=seed,
    ).join(people, on="candidate")  # fmt: skip


def once(cell: Cell, seed: int) -> np.ndarray | None:
    """Reliability, slopes of surrogates and uncorrected, estimate, standard error, bounds; None where refused."""
    units = units_of(cell, seed)
    formula, term = ("y ~ populist + age", "populist") if cell.role == "covariate" else ("populist ~ y + age", "y")
    try:
        fit = kt.regress(formula, units, model=cell.model)
    except kt.errors.ConvergenceError:
        return None
    j = fit.position(term)
    low, high = fit.confint().to_numpy()[j]
    columns = {c.title: c.theta[j] for c in fit.comparison.columns}
    others = [columns.get(title, np.nan) for title in ("Surrogate only", "Uncorrected")]
    return np.array([units.reliability().iloc[0], *others, fit.theta[j], fit.se().iloc[j], low, high])


def truth(cell: Cell) -> float:
    """The slope in the population: typed into the outcome, or, of a mean as outcome, from many candidates."""
    if cell.role == "covariate":
        return SLOPE[cell.model]
    _, people = world(Cell(cell.model, 400_000, cell.documents), np.random.default_rng(1))
    x = np.column_stack([np.ones(len(people)), people["y"], people["age"]])
    return float(np.linalg.lstsq(x, people["true"], rcond=None)[0][1])


def study(cell: Cell, repetitions: int, first: int = 0) -> Row:
    """Figures over repetitions."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", kt.errors.KaratWarning)
        found = [once(cell, SEED + first + r) for r in range(repetitions)]
    kept = np.array([one for one in found if one is not None])
    reliability, surrogates, uncorrected, estimate, se, low, high = kept.T
    true, middle = truth(cell), float(np.median(estimate))
    return Row(
        cell, repetitions, float(reliability.mean()), float(np.median(surrogates)), float(np.median(uncorrected)),
        middle, float(1.4826 * np.median(np.abs(estimate - middle))), float(np.median(se)),
        float(np.median(high - low)), float(((low < true) & (true < high)).mean()),
        float(np.sqrt(0.95 * 0.05 / repetitions)), float((high < true).mean()), float((low > true).mean()),
        1.0 - len(kept) / repetitions,
    )  # fmt: skip


def planned(pilot: int, gold: list[int], repetitions: int) -> pd.DataFrame:
    """Median planned standard error of the slope from pilots, and the median standard error with so much gold."""
    formula, term = "y ~ populist + age", "populist"
    plans, fits = [], []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", kt.errors.KaratWarning)
        for r in range(repetitions):
            table = units_of(Cell(gold=pilot), SEED + r).plan(formula, gold=gold).tidy()
            plans.append(table[f"se of {term}"].to_numpy())
            units = [units_of(Cell(gold=n), SEED + repetitions + r) for n in gold]
            fits.append([kt.ols(formula, one, compare=False).se()[term] for one in units])
    return pd.DataFrame({"planned": np.median(plans, axis=0), "found": np.median(fits, axis=0)}, index=gold)


def cells() -> list[Cell]:
    """The situations of the table."""
    main = [
        Cell(model, documents=documents, differential=differential)
        for model in ("ols", "logit")
        for differential in (False, True)
        for documents in (5, 20, 100)
    ]
    more = [Cell(units=units) for units in (100, 300)] + [Cell(gold=600), Cell("logit", gold=600)]
    designs = [Cell(design=name) for name in ("bernoulli", "stratified", "candidates", "days")]
    return [*main, *more, *designs, Cell("poisson"), Cell("probit", gold=600), Cell(role="outcome")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=300)
    parser.add_argument("--only", type=int, nargs="*")
    parser.add_argument("--seed", type=int, default=SEED, help="of the first repetition; cell k starts 1000 k later")
    chosen = parser.parse_args()
    for number, cell in enumerate(cells()):
        if chosen.only and number not in chosen.only:
            continue
        row = asdict(study(cell, chosen.repetitions, chosen.seed - SEED + 1000 * number))
        words = " ".join(str(value) for value in row.pop("cell").values())
        print(f"{number:2d} {words:44s}", " ".join(f"{k} {v:.3f}" for k, v in row.items()), flush=True)
    if not chosen.only:
        print(planned(400, [300, 400, 800, 1600], max(chosen.repetitions // 5, 2)))


if __name__ == "__main__":
    main()
