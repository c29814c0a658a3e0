"""Codes of which only positives are marked: does a loss made for that give narrower intervals?

``python -m tests.statistical.positive_only 40``: 3,000 simulated letters, 40 repetitions a row. Annotators marked the
code in some of the letters that have it, and nobody marked its absence. A logit of hashed n-grams learns from the
marks, out of fold: with marks against all other letters; with the risk for positive and unlabelled rows (du Plessis,
Niu and Sugiyama 2015; the code's true share given, which nobody knows); or with positives weighted up to balance. Its
probability is, beside the mark, a surrogate of the code in a regression with 200 gold labels. Marks at random, or the
likelier the more support a letter shows. Writes benchmarks/results/positive_only.md.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import numpy as np
from scipy.optimize import minimize

import karat as kt

RESULTS = Path(__file__).resolve().parents[2] / "benchmarks" / "results"
LOSSES = ("marks", "positive and unlabelled", "balanced")
ROWS = [(share, marked, picked) for share in (0.3, 0.1, 0.03) for marked in (0.5, 0.2) for picked in (False, True)]
"""Share of letters with the code, share of these that are marked, and whether the clearer ones are."""
PENALTY = 1e-3


def learnt(x, mark, loss, share):
    """Scores ``x -> f``: a linear logit by one of the losses."""
    weight = (
        np.where(mark, 0.5 / max(mark.mean(), 1e-9), 0.5 / max((~mark).mean(), 1e-9)) if loss == "balanced" else 1.0
    )

    def value(w):
        f = x @ w
        if loss == "positive and unlabelled":
            slope = 1 / (1 + np.exp(-f)) / len(f) - share * mark / max(mark.sum(), 1)
            risk = np.logaddexp(0, f).mean() - share * f[mark].mean()
        else:
            slope = weight * (1 / (1 + np.exp(-f)) - mark) / len(f)
            risk = (weight * (np.logaddexp(0, f) - mark * f)).mean()
        return risk + PENALTY * w[1:] @ w[1:], x.T @ slope + 2 * PENALTY * np.r_[0, w[1:]]

    return minimize(value, np.zeros(x.shape[1]), jac=True, method="L-BFGS-B").x


def letters():
    """Vectors of letters, a covariate, and how much support each shows."""
    frame, _ = kt.datasets.simulate_texts(3000, seed=1)
    x = kt.predict.HashingEncoder(100).fit_transform(frame["text"].tolist())
    return np.column_stack([np.ones(len(x)), (x - x.mean(axis=0)) / x.std(axis=0)]), frame


def widths(x, frame, share, marked, picked, rng, seed):
    """Width of the slope's interval with each loss."""
    shown = frame["support"].to_numpy(float) + 0.3 * frame["distance"].to_numpy(float) / frame["distance"].std()
    score = shown + 0.6 * rng.standard_normal(len(x))
    code = score > np.quantile(score, 1 - share)
    chance = np.full(len(x), marked)
    if picked:
        chance = np.clip(2 * marked * np.argsort(np.argsort(np.where(code, score, -np.inf))) / len(x), 0, 1)
        chance *= marked / chance[code].mean()
    mark = code & (rng.random(len(x)) < chance)
    data = frame[["car"]].assign(code=code.astype(float), mark=mark.astype(float))
    sample = kt.SimpleRandom(n=200).draw(data, seed=rng)
    labelled, fold, out = kt.datasets.mask_gold(data, sample, "code"), rng.permutation(len(x)) % 3, []
    for loss in LOSSES:
        f = np.empty(len(x))
        for k in range(3):
            f[fold == k] = x[fold == k] @ learnt(x[fold != k], mark[fold != k], loss, share)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fit = kt.ols(
                "code ~ car", labelled.assign(p=1 / (1 + np.exp(-f))), surrogates={"code": ["mark", "p"]},
                design=sample.design, repeats=1, seed=seed, compare=False,
            )  # fmt: skip
        low, high = fit.confint().to_numpy()[1]
        out.append(high - low)
    return out


def main(repetitions=10):
    x, frame = letters()
    lines = [
        "# Codes of which only positives are marked: widths",
        "",
        f"Written by `python -m tests.statistical.positive_only {repetitions}`. Width over that with marks against all",
        "others, with Monte Carlo error.",
        "",
        "| share | marked | which | " + " | ".join(LOSSES[1:]) + " |",
        "|---|---|---|---|---|",
    ]
    for place, (share, marked, picked) in enumerate(ROWS):
        draws = [np.random.default_rng([41, place, r]) for r in range(repetitions)]
        found = np.array([widths(x, frame, share, marked, picked, rng, r) for r, rng in enumerate(draws)])
        cells = []
        for j in (1, 2):
            ratio = found[:, j].mean() / found[:, 0].mean()
            error = np.std(found[:, j] - ratio * found[:, 0], ddof=1) / np.sqrt(repetitions) / found[:, 0].mean()
            cells.append(f"{ratio:.3f} ± {error:.3f}")
        lines.append(f"| {share} | {marked} | {'the clearer' if picked else 'at random'} | " + " | ".join(cells) + " |")
        print(lines[-1], flush=True)
    (RESULTS / "positive_only.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
