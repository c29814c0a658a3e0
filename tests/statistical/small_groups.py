"""Coverage of small groups: ``python -m tests.statistical.small_groups --repetitions 100``.

Every cell draws a corpus of groups (or months) whose shares differ, labels some of it and estimates all groups:
coverage on average (with the Monte Carlo error between repetitions), by gold in the group and in the worst twentieth of
the draws, of intervals of the kinds "average", "robust" (of every fifth repetition) and "direct"; mean half widths and
the largest of a repetition; root mean squared error, that of the gold-corrected estimates alone and of one constant for
all groups; standard errors of 0; share of wrong sides among discoveries.
"""

from __future__ import annotations

import argparse
import time
import warnings
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy.stats import norm

import karat as kt
from karat.grouped.small_groups_result import SmallGroups

SEED = 880_000
BINS = ((0, 0), (1, 3), (4, 6), (7, 10**9))


@dataclass(frozen=True)
class Cell:
    """One setting.

    ``spread``: sd of the groups' logits; ``level``: their mean; ``accuracy`` of the surrogate and ``uneven``, its sd
    over groups, apart for false alarms and misses; ``leaning``: by how much it is more accurate where the group's logit
    is one sd larger; ``shift``: "label" (the surrogate errs as often at each label), "covariate" (labels depend on the
    surrogate alike in all groups).
    """

    gold: int = 600
    groups: int = 100
    documents: int = 20_000
    spread: float = 0.6
    level: float = -0.4
    accuracy: float = 0.85
    uneven: float = 0.0
    leaning: float = 0.0
    shift: str = "label"
    classes: int = 2
    design: str = "simple"
    trend: bool = False
    sizes: str = "equal"
    kind: str = "share"
    learner: str | None = "linear"
    target: str = "finite"

    def __str__(self) -> str:
        usual = Cell()
        changed = [f"{k} {v}" for k, v in vars(self).items() if v != getattr(usual, k)]
        return ", ".join(changed) or "block 5"


UNEVEN = Cell(uneven=0.05), Cell(uneven=0.08)
FEW = Cell(groups=20, gold=120, documents=4000)
MANY = Cell(groups=400, gold=2400, documents=40_000)
MONTHS = Cell(groups=60, trend=True)
CELLS = [
    Cell(), *UNEVEN, Cell(classes=3), Cell(classes=3, uneven=0.06), MONTHS, replace(MONTHS, uneven=0.06),
    Cell(gold=2000), *(replace(c, gold=2000) for c in UNEVEN), FEW, replace(FEW, uneven=0.06), MANY,
    replace(MANY, uneven=0.06), Cell(leaning=0.05), Cell(leaning=-0.05), Cell(spread=0.0),
    Cell(spread=0.0, uneven=0.05), Cell(accuracy=0.5), Cell(accuracy=0.65, uneven=0.08), Cell(shift="covariate"),
    Cell(sizes="uneven"), Cell(sizes="uneven", uneven=0.06), Cell(level=-3.0), Cell(level=-3.9),
    Cell(target="superpopulation"), Cell(learner=None), Cell(accuracy=1.0), Cell(classes=3, gold=2000),
    Cell(design="strata"), Cell(design="strata", uneven=0.06), Cell(design="unequal"), Cell(design="bernoulli"),
    Cell(kind="number"), Cell(kind="number", uneven=0.06), Cell(groups=8, gold=100, documents=4000),
    Cell(groups=12, gold=100, documents=4000, uneven=0.06), Cell(groups=20, gold=4000, uneven=0.06),
    Cell(groups=400, gold=900),
]  # fmt: skip


def corpus(cell: Cell, rng: np.random.Generator) -> pd.DataFrame:
    """Groups with shares of their own, labels, and a surrogate that errs."""
    d, n = cell.groups, cell.documents
    size = rng.gamma(1.5, 1.0, d) + 0.1 if cell.sizes == "uneven" else np.ones(d)
    group = rng.choice(d, n, p=size / size.sum())
    k = cell.classes
    logits = cell.level + cell.spread * rng.normal(size=(d, k - 1))
    if cell.trend:
        logits = cell.level + cell.spread * np.sqrt(2) * np.sin(np.arange(d) / 8.0 + rng.uniform(0, 6))[:, None]
    odds = np.exp(np.column_stack([np.zeros(d), logits]))
    share = odds / odds.sum(axis=1, keepdims=True)
    right = np.full((d, k), cell.accuracy)
    if cell.uneven:
        size_of = cell.accuracy * (1 - cell.accuracy) / cell.uneven**2 - 1
        right = rng.beta(cell.accuracy * size_of, (1 - cell.accuracy) * size_of, (d, k))
    if cell.leaning:
        standard = (logits[:, :1] - logits[:, 0].mean()) / max(float(logits[:, 0].std()), 1e-12)
        right = np.clip(right + cell.leaning * standard, 0.5, 0.99)
    if cell.kind == "number":
        truth = share[group, 1] * 4 + rng.normal(size=n)
        off = rng.normal(size=d) * cell.uneven * 4
        return pd.DataFrame({"g": group, "b": truth, "s": truth + off[group] + 0.8 * rng.normal(size=n)})
    if cell.shift == "covariate":
        s = _choice(share[group], rng)
        truth = np.where(rng.random(n) < right[group, s], s, 1 - s)
    else:
        truth = _choice(share[group], rng)
        wrong = (truth + rng.integers(1, k, n)) % k
        s = np.where(rng.random(n) < right[group, truth], truth, wrong)
    data = pd.DataFrame({"g": group, "b": truth, "s": s})
    if k > 2:
        names = np.array(["a", "b", "c", "d"][:k])
        return data.assign(b=names[truth], s=names[s])
    return data.astype({"b": float, "s": float})


def _choice(share: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return np.asarray((rng.random(len(share))[:, None] > share.cumsum(axis=1)[:, :-1]).sum(axis=1))


def draw(cell: Cell, data: pd.DataFrame, seed: int) -> kt.Sample:
    """The gold sample."""
    if cell.design == "strata":
        return kt.Stratified("s", n=cell.gold, allocation="equal").draw(data, seed=seed)
    if cell.design == "unequal":
        size = np.random.default_rng(seed).gamma(2.0, 1.0, len(data)) + 0.3
        return kt.Unequal("size", n=cell.gold).draw(data.assign(size=size), seed=seed)
    if cell.design == "bernoulli":
        return kt.Bernoulli(cell.gold / len(data)).draw(data, seed=seed)
    return kt.SimpleRandom(n=cell.gold).draw(data, seed=seed)


@dataclass(frozen=True)
class Once:
    """One repetition: hits of the three kinds, half widths, errors, gold, and discoveries."""

    hits: dict[str, np.ndarray]
    half: dict[str, float]
    error: np.ndarray
    direct: np.ndarray
    constant: np.ndarray
    gold: np.ndarray
    zero: int
    wrong: float
    seconds: float


def once(cell: Cell, seed: int, kinds: tuple[str, ...] = ("average", "robust", "direct")) -> Once:
    """Estimate all groups once."""
    rng = np.random.default_rng(seed)
    data = corpus(cell, rng)
    sample = draw(cell, data, seed)
    masked = kt.datasets.mask_gold(data, sample, "b")
    if cell.design == "unequal":
        masked = masked.assign(size=np.random.default_rng(seed).gamma(2.0, 1.0, len(data)) + 0.3)
    start = time.perf_counter()
    fit = kt.small_groups(
        "b", masked, by="g", surrogates={"b": "s"}, design=sample.design, learner=cell.learner, repeats=1, seed=seed,
        target=cell.target,
    )  # fmt: skip
    seconds = time.perf_counter() - start
    if cell.classes > 2:
        truth = np.concatenate([(data["b"] == c).groupby(data["g"]).mean().to_numpy() for c in sorted(set(data["b"]))])
    else:
        truth = data.groupby("g")["b"].mean().to_numpy()
    hits, half = {}, {}
    for kind in kinds:
        low, high = fit.confint(kind=kind).to_numpy().T
        hits[kind] = np.where(np.isnan(low), np.nan, (low - 1e-12 <= truth) & (truth <= high + 1e-12))
        half[kind] = float(np.nanmean(high - low) / 2)
    null = float(truth.mean())
    found = fit.discoveries(null=null)
    side = np.where(truth > null, "above", "below")[found["named"]]
    wrong = float((found.loc[found["named"], "side"].to_numpy() != side).mean()) if found["named"].any() else 0.0
    constant = truth - np.repeat(truth.reshape(-1, cell.groups if cell.classes > 2 else len(truth)).mean(axis=1),
                                 cell.groups if cell.classes > 2 else len(truth))  # fmt: skip
    return Once(hits, half, fit.theta - truth, fit.direct - truth, constant, fit.gold,
                int((fit.se().to_numpy() <= 0).sum()), wrong, seconds)  # fmt: skip


@dataclass(frozen=True)
class Row:
    """Figures of a cell."""

    cell: Cell
    coverage: float
    error: float
    worst: float
    bins: tuple[float, ...]
    robust: float
    direct: float
    half: dict[str, float]
    widest: float
    rmse: float
    rmse_direct: float
    rmse_constant: float
    zero: int
    wrong: float
    refused: int
    seconds: float

    def __str__(self) -> str:
        bins = " ".join("-" if np.isnan(b) else f"{b:.3f}" for b in self.bins)
        return (
            f"| {self.cell} | {self.coverage:.3f} ({self.error:.3f}) | {bins} | {self.worst:.2f} | {self.robust:.3f} |"
            f" {self.direct:.3f} | {self.half['average']:.3f} {self.half['robust']:.3f} {self.half['direct']:.3f} |"
            f" {self.widest:.3f} | {self.rmse:.4f} |"
            f" {self.rmse_direct:.3f} | {self.rmse_constant:.3f} | {self.zero} | {self.wrong:.3f} | {self.refused} |"
            f" {self.seconds:.2f} |"
        )


def study(cell: Cell, repetitions: int, seed: int) -> Row:
    """Repeat a cell."""
    found, refused = [], 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for r in range(repetitions):
            try:
                found.append(once(cell, seed + r, ("average", "direct") if r % 5 else ("average", "direct", "robust")))
            except kt.KaratError:
                refused += 1
    means = [np.nanmean(one.hits["average"]) for one in found]
    gold = np.concatenate([one.gold for one in found])

    def pooled(kind: str) -> np.ndarray:
        return np.concatenate([one.hits[kind] for one in found if kind in one.hits])

    def rms(name: str) -> float:
        return float(np.sqrt(np.nanmean(np.concatenate([getattr(one, name) for one in found]) ** 2)))

    inside = [(gold >= low) & (gold <= high) for low, high in BINS]
    return Row(
        cell, float(np.mean(means)), float(np.std(means) / np.sqrt(len(means))), float(np.quantile(means, 0.05)),
        tuple(float(pooled("average")[at].mean()) if at.any() else np.nan for at in inside),
        float(pooled("robust").mean()), float(np.nanmean(pooled("direct"))),
        {kind: float(np.mean([one.half[kind] for one in found if kind in one.half])) for kind in found[0].half},
        max(one.half["average"] for one in found), rms("error"), rms("direct"), rms("constant"),
        sum(one.zero for one in found), float(np.mean([one.wrong for one in found])), refused,
        float(np.median([one.seconds for one in found])),
    )  # fmt: skip


def single_shares(cell: Cell, repetitions: int, seed: int) -> str:
    """Single shares of :func:`karat.shares` beside these estimates, without a learner: coverage and half widths.

    Coverage of "direct" is given by the gold of the groups too: 1-3, 4-6, 7 or more.
    """
    found = []
    for r in range(repetitions):
        data = corpus(cell, np.random.default_rng(seed + r))
        sample = draw(cell, data, seed + r)
        masked = kt.datasets.mask_gold(data, sample, "b")
        options = {"by": "g", "surrogates": {"b": "s"}, "design": sample.design, "learner": None, "seed": seed + r}
        shares = kt.shares("b", masked, target="finite", compare=False, **options)
        small = kt.small_groups("b", masked, repeats=1, **options)
        truth = data.groupby("g")["b"].mean().to_numpy()
        row = [small.gold]
        for table in (shares.confint(), small.confint(kind="direct"), small.confint(kind="average")):
            low, high = table.to_numpy().T
            inside = (low - 1e-12 <= truth) & (truth <= high + 1e-12)
            row += [np.where(np.isnan(low), np.nan, inside), (high - low) / 2]
        found.append(np.column_stack(row))
    a = np.concatenate(found)
    gold, (plain, direct, average) = a[:, 0], (a[:, [k, k + 1]] for k in (1, 3, 5))
    told = " | ".join(f"{np.nanmean(x[:, 0]):.3f} ({np.nanmean(x[:, 1]):.2f})" for x in (plain, direct, average))
    bins = (np.nanmean(direct[(gold >= low) & (gold <= high), 0]) for low, high in ((1, 3), (4, 6), (7, np.inf)))
    return f"| {cell} | {told} | {' '.join(f'{share:.3f}' for share in bins)} |"


def planned(cell: Cell, repetitions: int, seed: int, factor: float = 0.7) -> str:
    """Plans from pilots, and what the planned gold gives: gold, and half widths over those asked for (mean and sd)."""
    told = []
    for of in ("average", "worst"):
        gold, ratio = [], []
        for r in range(repetitions):
            data = corpus(cell, np.random.default_rng(seed + r))
            pilot = groups_of(data, draw(cell, data, seed + r), cell, seed + r)
            asked = factor * (half_widths(pilot).mean() if of == "average" else half_widths(pilot).max())
            plan = pilot.plan(asked, of=of)
            n = plan["gold"].round().astype(int)
            design = kt.SimpleRandom(n=int(n.sum()))
            if of == "worst":
                design = kt.Stratified("g", n=dict(zip(pilot.grid["g"], n)))
            later = half_widths(groups_of(data, design.draw(data, seed=seed + 1000 + r), cell, seed + r))
            gold.append(int(n.sum()))
            ratio.append((later.mean() if of == "average" else later.max()) / asked)
        told.append(f"{np.mean(gold):,.0f} | {np.mean(ratio):.3f} ({np.std(ratio):.3f})")
    return f"| {cell} | {' | '.join(told)} |"


def rules(direct: float = 6.0, chance: float = 0.25, common: float = 0.24) -> str:
    """Coverage of rules for a variance s between groups of which a normal estimate with standard error 1 is known.

    In block 5 a direct estimate has the variance ``direct``, chance among the documents of a group leaves ``chance``,
    and the error of the model adds ``common``. Each row is a rule: the s at which direct and model estimates are
    weighed, and the limit of s that intervals are made with; each column a true s. What no rule can escape is that an s
    of 0 and one of 1 look alike, but the more the direct estimate weighs, the less depends on s. Last, the mean length
    of intervals and the root mean squared error where s is 0.
    """
    true, seen = np.array([0.0, 0.2, 0.4, 0.7, 1.0, 2.0, 4.0]), np.linspace(-6.0, 12.0, 1801)
    p = norm.pdf(seen - true[:, None]) * (seen[1] - seen[0])
    lines = ["| weighed at | limit | " + " | ".join(f"s = {s:g}" for s in true) + " | length | rmse |"]
    lines.append("|---" * (len(true) + 4) + "|")
    for least in (0.0, 1.0, 2.0, 2.5, 3.0):
        between = np.maximum(seen, least) + chance
        weight = between / (between + direct)

        def error(s: np.ndarray, weight: np.ndarray = weight) -> np.ndarray:
            return np.asarray(weight**2 * direct + (1.0 - weight) ** 2 * (chance + s) + common)

        real = error(true[:, None])
        for sure in (0.5, 0.6, 0.75):
            told = error(np.maximum(seen + norm.ppf(sure), 0.0))
            hits = 2.0 * norm.cdf(norm.ppf(0.975) * np.sqrt(told / real)) - 1.0
            name = f"s, at least {least:g}" if least else "s"
            figures = " | ".join(f"{c:.3f}" for c in (p * hits).sum(axis=1))
            length, rmse = (np.sqrt(told) * p[0]).sum(), np.sqrt((real[0] * p[0]).sum())
            lines.append(f"| {name} | {sure:g} | {figures} | {length:.2f} | {rmse:.2f} |")
    return "\n".join(lines)


def groups_of(data: pd.DataFrame, sample: kt.Sample, cell: Cell, seed: int) -> SmallGroups:
    """Estimates of all groups from a sample."""
    masked = kt.datasets.mask_gold(data, sample, "b")
    return kt.small_groups(
        "b", masked, by="g", surrogates={"b": "s"}, design=sample.design, learner=cell.learner, repeats=1, seed=seed
    )


def half_widths(fit: SmallGroups) -> np.ndarray:
    """Of the intervals of kind "average"."""
    return np.asarray(np.diff(fit.confint().to_numpy(), axis=1)[:, 0] / 2.0)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--plans", type=int, help="pilots whose plans are carried out, and no more")
    parser.add_argument("--shares", type=int, help="repetitions of single shares beside these estimates, and no more")
    parser.add_argument("--repetitions", type=int, default=100)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--only", default="", help="cells whose description holds this text")
    parser.add_argument("--first", type=int, default=0, help="number of the first cell, from 0")
    parser.add_argument("--last", type=int, default=len(CELLS), help="number after that of the last cell")
    parser.add_argument(
        "--rules", action="store_true", help="why intervals go by a limit and weights by a least s, and no more"
    )
    options = parser.parse_args()
    if options.rules:
        print(rules())
        return
    if options.plans:
        warnings.simplefilter("ignore")
        for cell in (Cell(), UNEVEN[0], MONTHS, FEW):
            print(planned(cell, options.plans, options.seed), flush=True)
        return
    if options.shares:
        for cell in (CELLS[0], UNEVEN[1]):
            print(single_shares(cell, options.shares, options.seed), flush=True)
        return
    print("| cell | coverage (MC error) | with 0, 1-3, 4-6, 7+ gold | worst twentieth | robust | direct | half widths |"
          " widest | RMSE | direct | constant | SE = 0 | wrong sides | refused | s |")  # fmt: skip
    print("|---" * 15 + "|")
    for k, cell in enumerate(CELLS):
        if options.only in str(cell) and options.first <= k < options.last:
            print(study(cell, options.repetitions, options.seed + 10_000 * k), flush=True)


if __name__ == "__main__":
    main()
