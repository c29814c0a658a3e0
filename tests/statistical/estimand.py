"""Should a guess be learnt for the coefficient? Widths when it is chosen, stacked or trained by leverage.

``python -m tests.statistical.estimand 200 10`` compares, with 200 gold labels and 10 repetitions a row, today's default
with learners that count every gold row by how much an error there moves the slopes: the squared leverage of the label
in the score (docs/methods.md, section 2), summed over the slopes, each relative to its variance. ``weighted``: the
default trained with these weights (no more than their .9 quantile); ``choice`` and ``stack``: among linear, linear with
products of surrogates and covariates, and calibration (boosting from 300 labels), by the squared error of the label and
by the weighted one, all within the training rows of each fold. Names of rows after the two numbers run these alone;
rows are appended to benchmarks/results/estimand.json and written to estimand.md.
"""

from __future__ import annotations

import importlib
import json
import sys
import warnings
from copy import copy
from pathlib import Path

import numpy as np
import pandas as pd
import statsmodels.formula.api as smf
from scipy.optimize import nnls

import karat as kt
from karat.predict import Target, learners
from karat.regression import steps

crossfitting = importlib.import_module("karat.predict.crossfit")
PLAIN = crossfitting.crossfit
RESULTS = Path(__file__).resolve().parents[2] / "benchmarks" / "results"
N = 3000
WAYS = ("default", "weighted", "choice, label", "choice, slope", "stack, label", "stack, slope")
REAL = {
    "editorials": ("editorials", "tone ~ economy + negation", {"tone": ["tone_vader", "tone_afinn", "tone_textblob"]}),
    "reviews": ("reviews", "fresh ~ comedy + negation", {"fresh": "fresh_vader"}),
    "reviews logit": ("reviews", "fresh ~ comedy + negation", {"fresh": "fresh_vader"}),
}
NAMES = (
    "outcome", "outcome skewed", "outcome differs", "outcome skewed differs", "outcome number skewed",
    "outcome number differs", *REAL, "covariate", "covariate skewed differs", "covariate uneven skewed", "both differs",
    "both skewed", "outcome skewed differs logit", "covariate differs logit", "covariate skewed logit",
    "both differs logit",
)  # fmt: skip
"""What is labelled; skewed: a log-normal covariate; differs: the machine errs more where it is large; uneven: noise of
the outcome grows with it; number: the outcome is a number."""


def expit(z):
    return 1 / (1 + np.exp(-z))


def corpus(name):
    """Data with all gold, formula, surrogates, model."""
    model = "logit" if "logit" in name else "ols"
    if name in REAL:
        table, formula, surrogates = REAL[name]
        return kt.datasets.load(table), formula, surrogates, model
    rng = np.random.default_rng([99, sum(map(ord, name))])
    differs = "differs" in name
    x = rng.standard_normal(N)
    if "skewed" in name:
        x = np.exp(0.8 * rng.standard_normal(N))
        x = (x - x.mean()) / x.std()

    def machine(y):
        return np.where(rng.random(N) < (0.45 * expit(2 * x) if differs else 0.2), 1 - y, y)

    if name.startswith("outcome"):
        if "number" in name:
            y = 0.5 * x + (0.3 + 0.7 * np.abs(x)) * rng.standard_normal(N)
            s = y + (0.3 + (1.5 * expit(2 * x) if differs else 0.7)) * rng.standard_normal(N)
        else:
            y = (rng.random(N) < expit(0.7 * x)).astype(float)
            s = machine(y)
        return pd.DataFrame({"y": y, "x": x, "s": s}), "y ~ x", {"y": "s"}, model
    d = (rng.random(N) < expit(0.7 * x - 0.5)).astype(float)
    z = -0.3 + 0.7 * d + 0.4 * x
    if model == "logit":
        y = (rng.random(N) < expit(z)).astype(float)
    else:
        y = z + rng.standard_normal(N) * (0.4 + 0.6 * np.abs(x) if "uneven" in name else 1)
    frame = pd.DataFrame({"y": y, "x": x, "d": d, "sd": machine(d)})
    if name.startswith("covariate"):
        return frame, "y ~ d + x", {"d": "sd"}, model
    frame["sy"] = machine(y) if model == "logit" else y + 0.7 * rng.standard_normal(N)
    return frame, "y ~ d + x", {"y": "sy", "d": "sd"}, model


def fitted(frame, formula, model):
    return smf.logit(formula, frame).fit(disp=0) if model == "logit" else smf.ols(formula, frame).fit()


def leverage(frame, formula, labels, model, gold):
    """By how much an error in the labels of a row moves the slopes, squared, at the gold rows' coefficients."""
    outcome, beta = formula.split(" ~ ")[0], fitted(frame[gold], formula, model).params

    def rows(part):
        x = np.column_stack([np.ones(len(part)), part[list(beta.index[1:])].to_numpy(float)])
        return x, x @ beta.to_numpy() if model == "ols" else expit(x @ beta.to_numpy())

    x, mean = rows(frame)
    y = frame[outcome].to_numpy(float)
    bread = np.linalg.inv((x * (np.ones(len(x)) if model == "ols" else mean * (1 - mean))[:, None]).T @ x / len(x))
    variance = ((x * (y - mean)[:, None]) @ bread)[gold].var(axis=0)
    out = np.zeros(len(x))
    for label in labels:
        if label == outcome:
            moved = x @ bread
        else:
            (x1, m1), (x0, m0) = (rows(frame.assign(**{label: value})) for value in (1.0, 0.0))
            moved = (x1 * (y - m1)[:, None] - x0 * (y - m0)[:, None]) @ bread
        out += (moved[:, 1:] ** 2 / variance[1:]).mean(axis=1)
    return out / out.mean()


class Among:
    """A learner that chooses or stacks, out of fold within its training rows; loss weights count in that alone."""

    def __init__(self, way, surrogate, big):
        self.way, self.surrogate = way, list(surrogate)
        self.names = ("linear", "products", "boosting" if big else "calibration")

    title = "among"

    def built(self, n_classes, seed, inner):
        out = copy(self)
        out.n_classes, out.seed = n_classes, seed
        return out

    def seen(self, name, x):
        rest = [j for j in range(x.shape[1]) if j not in self.surrogate]
        if name == "calibration":
            return x[:, self.surrogate]
        return (
            np.hstack([x, *(x[:, [a]] * x[:, [b]] for a in self.surrogate for b in rest)]) if name == "products" else x
        )

    def learnt(self, name, x, y):
        target = Target("y", y, self.n_classes)
        kind = "linear" if name == "products" else name
        return target, learners.fit_label(target, kind, self.seen(name, x), y, None, self.seed)

    def guess(self, name, learnt, x):
        found = learners.predict_label(learnt[1], learnt[0], self.seen(name, x))
        return found[:, 1] if found.ndim == 2 else found

    def fit(self, x, y, sample_weight=None):
        y, n = np.asarray(y, float), len(y)
        weight = np.ones(n) if "label" in self.way else sample_weight / sample_weight.mean()
        fold = np.random.default_rng(self.seed).permutation(n) % 5
        out = np.empty((n, len(self.names)))
        for k in range(5):
            for j, name in enumerate(self.names):
                out[fold == k, j] = self.guess(name, self.learnt(name, x[fold != k], y[fold != k]), x[fold == k])
        plain = ((y[:, None] - out) ** 2).mean(axis=0)
        if "choice" in self.way:
            share = np.eye(len(plain))[int(np.argmin((weight[:, None] * (y[:, None] - out) ** 2).mean(axis=0)))]
        else:  # least squares on the simplex, drawn to the learner with the smallest error of the label
            root, aim = np.sqrt(weight)[:, None], np.eye(len(plain))[int(np.argmin(plain))]
            pull = 0.3 * np.sqrt(5 * plain.min())
            sums = 1e3 * np.ones((1, len(plain)))
            share = nnls(
                np.vstack([root * out, sums, pull * np.eye(len(plain))]), np.r_[root[:, 0] * y, 1e3, pull * aim]
            )[0]
        self.shares = {name: s for name, s in zip(self.names, share) if s > 1e-3}
        self.fits = {name: self.learnt(name, x, y) for name in self.shares}
        return self

    def predict(self, x):
        return sum(s * self.guess(m, self.fits[m], x) for m, s in self.shares.items()) / sum(self.shares.values())

    def predict_proba(self, x):
        p = np.clip(self.predict(x), 0, 1)
        return np.column_stack([1 - p, p])


def crossfitted(way, weight):
    """Cross-fitting that learns as named; ``weight`` (N,)."""

    def run(targets, features, gold, folds, learner, loss_weight, **more):
        v = weight[gold]
        if way == "default":
            return PLAIN(targets, features, gold, folds, learner, loss_weight, **more)
        if way == "weighted":
            v = np.minimum(v, np.quantile(v, 0.9))
            return PLAIN(targets, features, gold, folds, learner, v / v.mean(), **more)
        kept = crossfitting.choose
        crossfitting.choose = lambda labels, *_: tuple(Among(way, features.surrogate, len(gold) >= 300) for _ in labels)
        try:
            return PLAIN(targets, features, gold, folds, "linear", v / v.mean(), **more)
        finally:
            crossfitting.choose = kept

    return run


def one(name, size, repetition, ways=WAYS):
    """Widths of the slopes' intervals and how many of them cover, by way."""
    frame, formula, surrogates, model = corpus(name)
    sample = kt.SimpleRandom(size).draw(frame, seed=np.random.default_rng([31, repetition, size]))
    data = kt.datasets.mask_gold(frame, sample, list(surrogates))
    gold = data[next(iter(surrogates))].notna().to_numpy()
    weight = leverage(frame.astype(dict.fromkeys(surrogates, float)), formula, surrogates, model, gold)
    truth = fitted(frame, formula, model).params.to_numpy()[1:]
    out = {}
    for way in ("gold", *ways):
        steps.crossfit = crossfitted(way, weight)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                fit = getattr(kt, model)(
                    formula, data, surrogates=surrogates, design=sample.design, target="finite", repeats=1,
                    seed=repetition, compare=False, **({"estimator": "gold"} if way == "gold" else {}),
                )  # fmt: skip
        finally:
            steps.crossfit = PLAIN
        low, high = fit.confint().to_numpy()[1:].T
        out[way] = [float((high - low).mean()), float(((low <= truth) & (truth <= high)).mean())]
    return out


def line(name, size, runs):
    """Width of each way relative to the default, with its Monte Carlo error; the default relative to gold alone."""
    width = {way: np.array([run[way][0] for run in runs]) for way in runs[0]}
    base, cells = width["default"], []
    for way in WAYS[1:]:
        if way in width:
            ratio = width[way].mean() / base.mean()
            error = np.std(width[way] - ratio * base, ddof=1) / np.sqrt(len(base)) / base.mean()
            cells.append(f"{ratio:.3f} ± {error:.3f}")
        else:
            cells.append("")
    over = base.mean() / width["gold"].mean()
    return f"| {name} | {size} | {len(base)} | {over:.3f} | " + " | ".join(cells) + " |"


def report(found):
    head = f"""# Learning for the coefficient: widths

Written by `python -m tests.statistical.estimand`. Mean width of the slopes' intervals: the default over gold alone,
then each way over the default.

| labelled | gold | repetitions | default | {" | ".join(WAYS[1:])} |
{"|---" * (len(WAYS) + 3)}|
"""
    return head + "\n".join(line(*key.rsplit("|", 1), runs) for key, runs in found.items()) + "\n"


def main(size=200, repetitions=10, *names):
    file = RESULTS / "estimand.json"
    found = json.loads(file.read_text()) if file.exists() else {}
    for name in names or NAMES:
        found[f"{name}|{size}"] = [one(name, int(size), 100 + r) for r in range(int(repetitions))]
        file.write_text(json.dumps(found) + "\n")
        (RESULTS / "estimand.md").write_text(report(found))
        print(line(name, size, found[f"{name}|{size}"]), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
