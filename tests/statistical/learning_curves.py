"""Learning curves of censored risk minimisation, beside its rivals and the oracle that sees every duration.

``python -m tests.statistical.learning_curves`` writes benchmarks/results/learning_curves.json and .md, and the picture
docs/learning_curves.png (about ten minutes on one core).

Durations are Weibull (shape 2) with a log-scale that is nonlinear in four covariates; the prediction wanted is the
restricted mean up to tau. Its truth f* is known, so the excess risk E (f(X) - f*(X))^2 is computed without noise on
4,000 fixed covariate rows. Censoring is exponential, either the same for all or with a rate that depends on the first
covariate: rows that would last are censored more.
"""

from __future__ import annotations

import argparse
import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import gamma, gammainc
from sklearn.base import clone
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestRegressor
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler
from sklearn.svm import SVR

import karat as kt
from karat.censoring import CensoredRegressor

TAU, SHAPE = 3.0, 2.0
SIZES = (250, 500, 1000, 2000, 4000)
RATES = {
    ("marginal", "light"): 0.17,
    ("marginal", "heavy"): 0.50,
    ("covariate", "light"): 0.16,
    ("covariate", "heavy"): 0.44,
}
LEARNERS: dict[str, Any] = {
    "ridge": make_pipeline(PolynomialFeatures(2), Ridge(1.0)),
    "forest": RandomForestRegressor(50, min_samples_leaf=10, max_features=0.5, random_state=0),
    "boosting": HistGradientBoostingRegressor(
        max_iter=100, learning_rate=0.05, max_leaf_nodes=8, early_stopping=False, random_state=0
    ),
    "svr": make_pipeline(StandardScaler(), SVR(C=1.0, epsilon=0.1)),
}
LARGEST = {"svr": 2000}
WEIGHTS = {"marginal": ("marginal",), "covariate": ("marginal", "kernel", "cox")}
RIVALS = ("oracle", "complete cases", "as if complete")
HERE = Path(__file__).resolve().parents[2]


def scale(x: np.ndarray) -> np.ndarray:
    """Weibull scale of the duration."""
    return np.exp(0.6 + 0.5 * x[:, 0] - 0.3 * x[:, 1] + 0.3 * x[:, 0] * x[:, 2] + 0.2 * np.sin(3 * x[:, 3]))


def truth(x: np.ndarray) -> np.ndarray:
    """E[min(T, tau) | x]."""
    s = scale(x)
    return s * gamma(1 + 1 / SHAPE) * gammainc(1 / SHAPE, (TAU / s) ** SHAPE)


def simulate(n: int, kind: str, level: str, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """Covariates, time under observation, event, full duration."""
    x = rng.uniform(-1, 1, size=(n, 4))
    duration = scale(x) * rng.weibull(SHAPE, size=n)
    rate = RATES[kind, level] * (np.exp(0.8 * x[:, 0]) if kind == "covariate" else 1.0)
    censored = rng.exponential(1 / rate, size=n)
    return x, np.minimum(duration, censored), duration <= censored, duration


def fit(method: str, learner: Any, data: tuple[np.ndarray, ...]) -> Any:
    """A model fitted one way."""
    x, time, event, duration = data
    fresh = clone(learner)
    if method == "oracle":
        return fresh.fit(x, np.minimum(duration, TAU))
    if method == "complete cases":
        return fresh.fit(x[event], np.minimum(time, TAU)[event])
    if method == "as if complete":
        return fresh.fit(x, np.minimum(time, TAU))
    columns = None if method == "marginal" else [0]
    model = CensoredRegressor(fresh, TAU, censoring=method, covariates=columns)
    return model.fit(x, kt.censoring.outcome(time, event))


def repetition(
    seed: int, sizes: tuple[int, ...], learners: tuple[str, ...], kinds: tuple[tuple[str, str], ...] = tuple(RATES)
) -> list[dict[str, Any]]:
    """Excess risk of every method once."""
    test = np.random.default_rng(12345).uniform(-1, 1, size=(4000, 4))
    target = truth(test)
    lines = []
    for kind, level in kinds:
        rng = np.random.default_rng([seed, list(RATES).index((kind, level))])
        whole = simulate(max(sizes), kind, level, rng)
        for n in sizes:
            data = tuple(part[:n] for part in whole)
            lost = float(np.mean(~data[2] & (data[1] < TAU)))
            for name in learners:
                if n > LARGEST.get(name, n):
                    continue
                for method in (*RIVALS, *WEIGHTS[kind]):
                    with warnings.catch_warnings():
                        warnings.simplefilter("ignore", kt.KaratWarning)
                        model = fit(method, LEARNERS[name], data)
                    excess = float(np.mean((np.clip(model.predict(test), 0, TAU) - target) ** 2))
                    key = {"censoring": kind, "level": level, "n": n, "learner": name, "method": method}
                    lines.append(key | {"excess": excess, "lost": lost})
    return lines


def summarise(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Mean excess risk and its Monte Carlo standard error, for each setting."""
    keys = ("censoring", "level", "n", "learner", "method")
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for line in lines:
        groups.setdefault(tuple(line[k] for k in keys), []).append(line)
    out = []
    for key, members in groups.items():
        values = np.array([m["excess"] for m in members])
        error = float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else float("nan")
        lost = float(np.mean([m["lost"] for m in members]))
        out.append(dict(zip(keys, key)) | {"excess": float(values.mean()), "mc_error": error, "lost": lost})
    return out


def report(table: list[dict[str, Any]], repetitions: int) -> str:
    """The results as a Markdown page."""
    look = {tuple(r[k] for k in ("censoring", "level", "n", "learner", "method")): r for r in table}
    lines = [
        "# Learning curves under censoring",
        "",
        f"Mean excess risk E (f(X) - f*(X))^2 times 1000 over {repetitions} repetitions (Monte Carlo standard error in "
        f"brackets); f* is the restricted mean up to tau = {TAU:g}, whose variance over X is "
        f"{1000 * np.var(truth(np.random.default_rng(12345).uniform(-1, 1, size=(4000, 4)))):.0f} on this scale. "
        "`oracle` sees every duration; `complete cases` drops censored rows; `as if complete` takes the time under "
        "observation as the duration; the others are `CensoredRegressor` with marginal Kaplan-Meier, Beran (`kernel`) "
        "and Cox weights. Written by `python -m tests.statistical.learning_curves`.",
        "",
        "## Excess risk as a multiple of the oracle's, largest n",
        "",
        *digest(table),
    ]
    for kind, level in RATES:
        lost = np.mean([r["lost"] for r in table if (r["censoring"], r["level"]) == (kind, level)])
        methods = (*RIVALS, *WEIGHTS[kind])
        what = "the same for all" if kind == "marginal" else "depends on a covariate"
        lines += ["", f"## Censoring {what}, {level}: {lost:.0%} of rows censored before tau", ""]
        lines += ["| learner | n | " + " | ".join(methods) + " |", "|---" * (len(methods) + 2) + "|"]
        for name in LEARNERS:
            for n in sorted({r["n"] for r in table}):
                if (kind, level, n, name, "oracle") not in look:
                    continue
                cells = [look[kind, level, n, name, m] for m in methods]
                shown = [f"{1000 * c['excess']:.1f} ({1000 * c['mc_error']:.1f})" for c in cells]
                lines.append(f"| {name} | {n} | " + " | ".join(shown) + " |")
    return "\n".join(lines) + "\n"


def digest(table: list[dict[str, Any]]) -> list[str]:
    """Excess risk over the oracle's, at the largest number of rows, as lines of a Markdown table."""
    lines = [
        "| censoring | learner | n | " + " | ".join((*RIVALS[1:], "marginal", "kernel", "cox")) + " |",
        "|---" * 8 + "|",
    ]
    for kind, level in RATES:
        lost = np.mean([r["lost"] for r in table if (r["censoring"], r["level"]) == (kind, level)])
        what = "same for all" if kind == "marginal" else "by covariate"
        for name in LEARNERS:
            mine = [r for r in table if (r["censoring"], r["level"], r["learner"]) == (kind, level, name)]
            n = max(r["n"] for r in mine)
            excess = {r["method"]: r["excess"] for r in mine if r["n"] == n}
            cells = [
                f"{excess[m] / excess['oracle']:.1f}" if m in excess else ""
                for m in (*RIVALS[1:], "marginal", "kernel", "cox")
            ]
            lines.append(f"| {what}, {lost:.0%} | {name} | {n} | " + " | ".join(cells) + " |")
    return lines


def picture(table: list[dict[str, Any]], path: Path) -> None:
    """Curves of all settings."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    looks = {
        "oracle": ("black", "--", "oracle: every duration seen"), "complete cases": ("#b2182b", "-", "complete cases"),
        "as if complete": ("#d98b5f", "-", "censored as if complete"),
        "marginal": ("#9a8a4f", "-", "Kaplan-Meier weights"),
        "kernel": ("#1b4f8f", "-", "Beran weights"), "cox": ("#6fa8dc", (0, (2, 1)), "Cox weights"),
    }  # fmt: skip
    figure, axes = plt.subplots(
        len(RATES), len(LEARNERS), figsize=(11, 10.5), sharex=True, sharey=True, layout="constrained"
    )
    for row, (kind, level) in zip(axes, RATES):
        lost = np.mean([r["lost"] for r in table if (r["censoring"], r["level"]) == (kind, level)])
        for ax, name in zip(row, LEARNERS):
            for method in (*RIVALS, *WEIGHTS[kind]):
                some = sorted(
                    (r["n"], r["excess"], r["mc_error"])
                    for r in table
                    if (r["censoring"], r["level"], r["learner"], r["method"]) == (kind, level, name, method)
                )
                n, excess, error = map(np.array, zip(*some))
                colour, style, label = looks[method]
                ax.errorbar(n, excess, yerr=2 * error, color=colour, linestyle=style, linewidth=1.6, label=label)
            ax.set_xscale("log")
            ax.set_yscale("log")
            ax.set_xticks(SIZES, [str(s) for s in SIZES], fontsize=8)
            ax.minorticks_off()
            ax.set_title(f"{name}; {kind}, {lost:.0%} censored", fontsize=9, loc="left")
            for side in ("top", "right"):
                ax.spines[side].set_visible(False)
    figure.supylabel("excess risk")
    figure.supxlabel("rows")
    handles, labels = axes[-1, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=6, frameon=False, fontsize=9)
    figure.savefig(path, dpi=90)
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=25)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--redraw", action="store_true", help="report and picture from the stored results")
    arguments = parser.parse_args()
    results = HERE / "benchmarks" / "results"
    place = results / "learning_curves.json"
    if not arguments.redraw:
        from joblib import Parallel, delayed

        runs = Parallel(n_jobs=arguments.jobs, verbose=5)(
            delayed(repetition)(seed, SIZES, tuple(LEARNERS)) for seed in range(arguments.repetitions)
        )
        table = summarise([line for run in runs for line in run])
        stored = {"repetitions": arguments.repetitions, "tau": TAU, "table": table}
        place.write_text(json.dumps(stored, indent=1) + "\n")
    stored = json.loads(place.read_text())
    text = report(stored["table"], stored["repetitions"])
    (results / "learning_curves.md").write_text(text)
    picture(stored["table"], HERE / "docs" / "learning_curves.png")
    print(text)


if __name__ == "__main__":
    main()
