"""Are soft labels as sure as they may be, and what does that bring in a regression?

``python -m tests.statistical.soft_labels`` runs both studies and writes benchmarks/results/soft_labels.json and
docs/soft-labels.md; ``python -m tests.statistical.soft_labels 2`` runs two repetitions and prints. Every figure comes
with its Monte Carlo error. Seeds are not those with which the defaults were chosen.
"""

from __future__ import annotations

import json
import sys
import warnings
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import statsmodels.formula.api as smf

import karat as kt

from .test_labels_studies import annotate

L = kt.labels
ROOT = Path(__file__).resolve().parents[2]
REPETITIONS = 4
FITS = 40
SEED = 20261129

KINDS = ("independent", "difficulty", "copies", "spammers", "copies and difficulty")
CROWDS = {
    **{f"{kind}, {k} classes, {m} votes": (kind, 300, k, (m, m), 40)
       for kind, k, m in zip(KINDS * 2, (2, 4) * 5, (3, 5, 5, 3, 10, 10, 3, 10, 5, 5))},
    "few each: 2-5 votes, 4 classes, 300 annotators": ("independent", 600, 4, (2, 5), 300),
    "few each: 2-5 votes, 8 classes, 300 annotators": ("independent", 600, 8, (2, 5), 300),
    "many: 20 votes, hard tasks, 4 classes": ("difficulty", 300, 4, (20, 20), 60),
    "panel of 4, copies, 3 classes": ("copies", 500, 3, (4, 4), 4),
    "panel of 3, 3 classes": ("independent", 500, 3, (3, 3), 3),
}  # fmt: skip
"""Kind, tasks, classes, least and most votes a task, annotators."""
PANELS = {
    "editorials: 3 readers, 3 classes": ("editorials", 3, 3), "editorials: 5 readers, 4 classes": ("editorials", 4, 5),
    "editorials: 10 readers, 3 classes": ("editorials", 3, 10),
    "editorials: three word lists and a reader": ("editorials", 3, 0),
    "reviews: 3 readers, 2 classes": ("reviews", 2, 3), "reviews: 10 readers, 2 classes": ("reviews", 2, 10),
    "reviews: 5 readers, 3 classes": ("reviews", 3, 5), "reviews: three word lists and a reader": ("reviews", 3, 0),
}  # fmt: skip
"""Bundled table, classes, readers; gold is the majority of the other readers, for two classes the critic's verdict."""
METHODS = ("vote_share", "dawid_skene", "one_coin", "mace", "glad")
COLUMNS = (*METHODS, "mean, not calibrated", "mean", "mean, 25 gold", "mean, 100 gold")
QUICK = {"mace": {"n_restarts": 3}}
RATINGS = [f"rating_{'m' if v < 0 else 'p' if v > 0 else ''}{abs(v)}" for v in range(-4, 5)]
CUTS = {2: (0, 0, 0, 0, -1, 1, 1, 1, 1), 3: (0, 0, 0, 0, 1, 2, 2, 2, 2), 4: (0, 0, 0, 1, 2, 3, 3, 3, 3)}


def crowd(kind, n, k, votes, workers, rng):
    """Truth, and votes of annotators with confusion matrices of their own; hard tasks, copies or spammers as named."""
    truth = rng.choice(k, size=n, p=rng.dirichlet(np.full(k, 5.0)))
    usual = np.array([rng.dirichlet(np.ones(k - 1)) for _ in range(k)])
    right = np.clip(rng.beta(6, 3, workers)[:, None] + rng.normal(0, 0.08, (workers, k)), 0.05, 0.98)
    matrix = np.zeros((workers, k, k))
    for w in range(workers):
        for c in range(k):
            wrong = (1 - right[w, c]) * rng.dirichlet(5 * usual[c] + 0.2)
            matrix[w, c] = np.insert(wrong, c, right[w, c])
    if kind == "spammers":
        for w in np.flatnonzero(rng.random(workers) < 0.4):
            matrix[w] = rng.dirichlet(np.full(k, 0.7))
    hard = rng.beta(1, 2, n) if "difficulty" in kind else np.zeros(n)
    second, pull = (truth + rng.integers(1, k, n)) % k, rng.uniform(0.3, 0.9, n)
    leader = np.arange(workers)
    if "copies" in kind:
        leads = rng.choice(workers, min(3, workers), replace=False)
        leader = np.where(rng.random(workers) < 0.4, leads[rng.integers(len(leads), size=workers)], leader)
    rows = []
    for i in range(n):
        said = {}
        for w in rng.choice(workers, rng.integers(votes[0], votes[1] + 1), replace=False):
            source = leader[w] if rng.random() < 0.85 else w
            if source not in said:
                said[source] = int(rng.choice(k, p=matrix[source, truth[i]] / matrix[source, truth[i]].sum()))
                if rng.random() < hard[i]:
                    said[source] = int(second[i] if rng.random() < pull[i] else truth[i])
            rows.append((i, int(w), said[source]))
    return truth, coded(rows, n, k)


def coded(rows, n, k):
    task, worker, label = zip(*rows)
    return L.read_annotations(
        {"task": list(task), "worker": list(worker), "label": list(label)}, classes=range(k), tasks=range(n)
    )


def lists(data):
    """Signs of three word lists and of one reader."""
    rows = []
    for w, (name, wide) in enumerate({"vader": 0.05, "afinn": 0, "textblob": 0.05, "rater": 0}.items()):
        score = data[f"tone_{name}"].to_numpy(float)
        rows += [(i, w, int(y)) for i, y in enumerate(np.where(score < -wide, 0, np.where(score > wide, 2, 1)))]
    return rows


def panel(table, k, readers, rng, n=400):
    """Some of a bundled table's readers as annotators (or word lists and a reader), and gold that they did not make."""
    data = kt.datasets.load(table).sample(n, random_state=int(rng.integers(2**31)))
    return read_by(data, k, readers, rng)


def read_by(data, k, readers, rng):
    """Gold and votes of a part of a bundled table."""
    n = len(data)
    cut = np.array(CUTS[k])
    rows, truth = [], np.zeros(n, dtype=int)
    for i, counts in enumerate(data[RATINGS].to_numpy(int)):
        said = cut[rng.permutation(np.repeat(np.arange(9), counts))]
        said = said[said >= 0]
        rows += [(i, int(w), int(y)) for w, y in zip(rng.permutation(20), said[:readers])]
        truth[i] = np.bincount(said[readers:], minlength=k).argmax() if len(said) > readers else said[-1]
    if k == 2:
        truth = data["fresh"].to_numpy(int)
    if not readers:
        rows = lists(data)
    return truth, coded(rows, n, k)


def setting(name, r):
    rng = np.random.default_rng([SEED, zlib.crc32(name.encode()), r])
    if name in PANELS:
        return (*panel(*PANELS[name], rng), rng)
    return (*crowd(*CROWDS[name], rng), rng)


def calibrated(name, r):
    """Log loss, error of calibration and accuracy of every column, on tasks whose gold no column knew."""
    truth, votes, rng = setting(name, r)
    place = rng.permutation(len(truth))
    out = place[100:]
    columns = {m: L.aggregate(votes, m, settings=QUICK if m == "mace" else None) for m in METHODS}
    columns["mean, not calibrated"] = L.aggregate(votes, settings=QUICK, calibrate=None)
    columns["mean"] = L.aggregate(votes, settings=QUICK)
    for known in (25, 100):
        gold = np.full(len(truth), -1)
        gold[place[:known]] = truth[place[:known]]
        columns[f"mean, {known} gold"] = L.aggregate(votes.with_gold(gold), settings=QUICK)
    names = range(votes.n_classes)
    found = {c: L.score(soft.probabilities[out], truth[out], classes=names) for c, soft in columns.items()}
    return {c: (s.nll, s.ece, s.accuracy) for c, s in found.items()}


FRESH = "fresh ~ negation + words"
WIDTHS = {
    "reviews: 3 readers": (FRESH, "reviews", 3), "reviews: word lists and a reader": (FRESH, "reviews", 0),
    "editorials: 3 readers": ("negative ~ negation + economy + words", "editorials", 3),
    "spammers: 30 %, hard tasks, 5 votes": ("y ~ x", None, (5, 0.3, 1.0)),
    "spammers: half, 8 votes": ("y ~ x", None, (8, 0.5, 0.0)), "no spammers, 3 votes": ("y ~ x", None, (3, 0.0, 0.0)),
}  # fmt: skip
"""Formula, bundled table or none, and readers; or votes a task, spammers, difficulty."""


def width(name, r, n_gold=200):
    """Mean standard error of the slopes with each kind of soft label as surrogate; the estimate of the first slope."""
    formula, table, how = WIDTHS[name]
    rng = np.random.default_rng([SEED, zlib.crc32(name.encode()), r])
    outcome = formula.partition(" ")[0]
    if table is None:
        x = rng.normal(size=1500)
        frame = pd.DataFrame({"x": x, "y": (rng.random(1500) < 1 / (1 + np.exp(-x))).astype(float)})
        votes = L.read_annotations(annotate(frame["y"].to_numpy(int), 2, *how, 0.0, rng), classes=range(2))
    else:
        frame = kt.datasets.load(table).sample(1500, random_state=int(rng.integers(2**31))).reset_index(drop=True)
        votes = read_by(frame, 3, how, rng)[1]
    sample = kt.SimpleRandom(n=n_gold).draw(frame, seed=rng)
    labelled = kt.datasets.mask_gold(frame, sample, outcome)
    out = {}
    for kind, options in {
        "vote share": {"method": "vote_share"}, "mean, not calibrated": {"settings": QUICK, "calibrate": None},
        "mean": {"settings": QUICK},
    }.items():  # fmt: skip
        p = L.aggregate(votes, **options).probabilities
        names = [f"p_{j}" for j in range(p.shape[1] - 1)]
        fit = kt.ols(
            formula, labelled.assign(**dict(zip(names, p.T))), surrogates={outcome: names}, design=sample.design,
            repeats=2, compare=False, seed=r,
        )  # fmt: skip
        low, high = fit.confint().iloc[1].tolist()
        out[kind] = (float(fit.se().iloc[1:].pipe(np.log).mean()), float(low), float(high))
    return out


def target(name):
    """What the first slope estimates: the fit to the whole table, or the best line through a logistic curve."""
    formula, table, _ = WIDTHS[name]
    if table is not None:
        return float(smf.ols(formula, kt.datasets.load(table)).fit().params.iloc[1])
    grid = np.linspace(-8, 8, 4001)
    weight = np.exp(-(grid**2) / 2)
    return float((weight * grid / (1 + np.exp(-grid))).sum() / (weight * grid**2).sum())


def summed(repetitions, fits, save=lambda found: None):
    """Both studies, round by round, so that what was saved last is a smaller study."""
    found = {"losses": {name: [] for name in (*CROWDS, *PANELS)}, "widths": {name: [] for name in WIDTHS}}
    for r in range(repetitions):
        for name, runs in found["losses"].items():
            runs.append(calibrated(name, r))
        for name, runs in found["widths"].items():
            runs += [width(name, q) for q in range(r * fits // repetitions, (r + 1) * fits // repetitions)]
        save(found)
    return found


def report(found):
    loss = {name: np.array([[run[c] for c in COLUMNS] for run in runs]) for name, runs in found["losses"].items()}
    mean = {name: values.mean(axis=0) for name, values in loss.items()}
    lines = ["| labels | " + " | ".join(COLUMNS) + " |", "|---|" + "---|" * len(COLUMNS)]
    for name, values in mean.items():
        best = values[:, 0].min()
        lines.append(f"| {name} | " + " | ".join(
            f"**{v:.3f}**" if v <= best + 5e-4 else f"{v:.3f}" for v in values[:, 0]) + " |")  # fmt: skip
    for title, part, names in (
        ("log loss, simulated", 0, CROWDS), ("log loss, bundled", 0, PANELS),
        ("calibration error, simulated", 1, CROWDS),
        ("calibration error, bundled", 1, PANELS), ("accuracy, all", 2, mean),
    ):  # fmt: skip
        values = np.mean([mean[name][:, part] for name in names], axis=0)
        lines.append(f"| *{title}* | " + " | ".join(f"*{v:.3f}*" for v in values) + " |")
    gap = np.array(
        [(v[:, COLUMNS.index("mean"), 0] - v[:, COLUMNS.index("mean, not calibrated"), 0]) for v in loss.values()]
    )
    error = float(np.sqrt((gap.var(axis=1, ddof=1) / gap.shape[1]).sum()) / len(gap)) if gap.shape[1] > 1 else np.nan
    fits = len(next(iter(found["widths"].values())))
    lines += ["", f"Mean less not calibrated: {gap.mean():.4f} on average, Monte Carlo error {error:.4f}; "
              f"{gap.shape[1]} repetitions a row, {fits} of each regression.", ""]  # fmt: skip
    lines += ["| setting | mean / vote share | mean / not calibrated | Monte Carlo error | coverage |"]
    lines += ["|---|---|---|---|---|"]
    for name, runs in found["widths"].items():
        logs = np.array([[run[k][0] for k in ("mean", "vote share", "mean, not calibrated")] for run in runs])
        first, second = logs[:, 0] - logs[:, 1], logs[:, 0] - logs[:, 2]
        spread = first.std(ddof=1) / np.sqrt(len(first)) if len(first) > 1 else np.nan
        low, high = np.array([run["mean"][1:] for run in runs]).T
        covers = ((low <= target(name)) & (target(name) <= high)).mean()
        lines.append(
            f"| {name} | {np.exp(first.mean()):.3f} | {np.exp(second.mean()):.3f} | {spread:.3f} | {covers:.3f} |"
        )
    return "\n".join(lines)


def main(arguments):
    short = int(arguments[0]) if arguments else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = summed(short or REPETITIONS, short or FITS, (lambda found: None) if short else write)
    print(report(found))


def write(found):
    (ROOT / "benchmarks/results/soft_labels.json").write_text(json.dumps(found) + "\n")
    page = ROOT / "docs/soft-labels.md"
    before, mark, rest = page.read_text("utf-8").partition("<!-- study -->\n")
    after = rest.partition("<!-- end -->")[2]
    page.write_text(before + mark + report(found) + "\n<!-- end -->" + after, "utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
