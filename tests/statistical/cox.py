"""Coverage of Cox regressions with labelled covariates.

``python -m tests.statistical.cox`` runs all cells at full size and writes benchmarks/results/cox.md. A small version is
in the test suite.
"""

import argparse
import functools
import itertools
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

import karat as kt

LABELS = ("binary", "classes")
QUALITIES = {
    "good": "right in 88 % of units, whatever else they are",
    "useless": "independent of everything",
    "informed": "read from documents that know how the unit ended: wrong in 5 % of short and 35 % of long durations, "
    "to one side",
}
BETA = {"binary": np.array([0.6, -0.4]), "classes": np.array([0.6, -0.5, -0.4])}
TERMS = {"binary": ("x", "z"), "classes": ("x[T.b]", "x[T.c]", "z")}
HOME = Path(__file__).parents[2] / "benchmarks" / "results"


def units(label, n_units, censored, rng):
    """Complete data: a labelled covariate, an observed one that goes with it, durations and their ends."""
    z = rng.normal(size=n_units)
    levels = 2 if label == "binary" else 3
    cut = rng.uniform(size=n_units) + 0.1 * z
    x = (cut > 0.65).astype(int) if levels == 2 else np.digitize(cut, [0.45, 0.75])
    shown = (x[:, None] == np.arange(1, levels)).astype(float)
    eta = shown @ BETA[label][:-1] + BETA[label][-1] * z
    t = (rng.exponential(size=n_units) / np.exp(eta)) ** (1 / 1.3)
    limit = {0.4: 0.68, 0.7: 0.28}[censored]
    c = np.minimum(rng.exponential(4.0 * limit, n_units), 1.6 * limit)
    return pd.DataFrame({"time": np.minimum(t, c), "event": (t <= c).astype(float), "z": z}), x


def answers(x, data, levels, quality, rng):
    """A model's labels."""
    n = len(x)
    if quality == "useless":
        return rng.integers(0, levels, n)
    if quality == "good":
        return np.where(rng.random(n) < 0.88, x, (x + rng.integers(1, levels, n)) % levels)
    long = data["time"].to_numpy() > data["time"].median()
    wrong = rng.random(n) < np.where(long, 0.35, 0.05)
    return np.where(wrong, np.where(long, 0, levels - 1), x)


def corpus(label, quality, n_units, n_gold, censored, rng):
    """A corpus, labelled in a simple random sample."""
    data, x = units(label, n_units, censored, rng)
    levels = 2 if label == "binary" else 3
    found = answers(x, data, levels, quality, rng)
    if label == "binary":
        data["x"], data["llm"] = x.astype(float), found.astype(float)
    else:
        data["x"], data["llm"] = np.array(list("abc"))[x], np.array(list("abc"))[found]
    sample = kt.SimpleRandom(n=n_gold).draw(data, seed=rng)
    return kt.datasets.mask_gold(data, sample, "x"), sample.design


def study(label, quality, n_units, n_gold, censored, repetitions, seed=0, **options):
    """Bias, standard deviation, standard error, coverage and width beside gold alone of each coefficient."""
    kept, gold = [], []
    for r in range(repetitions):
        rng = np.random.default_rng([seed, r, n_gold])
        data, design = corpus(label, quality, n_units, n_gold, censored, rng)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                fit = kt.cox("time ~ x + z", data, event="event", surrogates={"x": "llm"}, design=design,
                             seed=r, **{"learner": "linear", "repeats": 1, **options})  # fmt: skip
            except kt.errors.SeparationError:  # a class without any event among the gold
                continue
        kept.append((fit.theta, fit.se(), *fit.confint().to_numpy().T))
        alone = next(column for column in fit.comparison.columns if column.title == "Gold only")
        gold.append((alone.theta, alone.se, *fit.comparison.bounds(alone)))
    theta, se, low, high = np.array(kept).transpose(1, 0, 2)
    gold_theta, gold_se, gold_low, gold_high = np.array(gold).transpose(1, 0, 2)
    truth = BETA[label]
    cover = ((low <= truth) & (truth <= high)).mean(axis=0)
    return pd.DataFrame(
        {
            "label": label, "surrogate": quality, "N": n_units, "gold": n_gold, "censored": censored,
            "term": TERMS[label], "bias": theta.mean(axis=0) - truth, "sd": theta.std(axis=0, ddof=1),
            "mean se": se.mean(axis=0), "coverage": cover, "mc error": np.sqrt(cover * (1 - cover) / len(kept)),
            "refused": repetitions - len(kept),
            "width/gold": np.median(high - low, axis=0) / np.median(gold_high - gold_low, axis=0),
            "gold bias": gold_theta.mean(axis=0) - truth, "gold sd": gold_theta.std(axis=0, ddof=1),
            "gold mean se": gold_se.mean(axis=0),
            "gold coverage": ((gold_low <= truth) & (truth <= gold_high)).mean(axis=0),
        }
    )  # fmt: skip


def cells():
    """All cells of the study."""
    for label, quality, n_gold, censored in itertools.product(LABELS, QUALITIES, (150, 500), (0.4, 0.7)):
        yield label, quality, 2_000 if n_gold == 150 else 5_000, n_gold, censored


def report(table, repetitions):
    """The table as markdown."""
    cover = table["coverage"]
    out = [
        "# Coverage of Cox regressions with a labelled covariate",
        "",
        f"{repetitions} repetitions a cell, default settings but for the linear learner and one random split; Monte "
        f"Carlo error of a coverage of .95: {np.sqrt(0.95 * 0.05 / repetitions):.3f}. Mean coverage "
        f"{cover.mean():.3f}, lowest {cover.min():.3f}, of gold alone {table['gold coverage'].mean():.3f}; width over "
        f"gold alone at most {table['width/gold'].max():.3f}. Refused are samples in which a class has no event among "
        "the gold. Written by `python -m tests.statistical.cox`.",
        "",
        *(f"- {name}: {text}." for name, text in QUALITIES.items()),
        "",
        "| " + " | ".join(table.columns) + " |",
        "|" + "---|" * len(table.columns),
    ]
    for row in table.itertuples(index=False):
        out.append("| " + " | ".join(f"{v:.3f}" if isinstance(v, float) else str(v) for v in row) + " |")
    return "\n".join(out) + "\n"


def main():
    """Run the cells and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=HOME)
    given = parser.parse_args()
    run = functools.partial(study, repetitions=given.repetitions, seed=given.seed)
    found = []
    for cell in cells():
        found.append(run(*cell))
        print(found[-1].round(3).to_string(header=len(found) == 1, index=False), flush=True)
        (given.out / "cox.md").write_text(report(pd.concat(found), given.repetitions))


if __name__ == "__main__":
    main()
