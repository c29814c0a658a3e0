"""Which learner: standard errors and coverage of the rectified estimate by predictor.

``python -m tests.statistical.learners`` runs the study at full size and writes ``benchmarks/results/learners.json`` and
``learners.md``. Three settings, gold of 200 drawn at random each time:

- ``noisy text``: 2,000 simulated documents with 60 features; 40 % of the machine's labels are wrong. Target: the
  population, whose slope is known.
- ``editorials``, ``reviews``: the bundled corpora with word-list scores. Target: the corpus itself, whose gold is known
  throughout.
"""

from __future__ import annotations

import argparse
import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import karat as kt

RESULTS = Path(__file__).resolve().parents[2] / "benchmarks" / "results"
N_GOLD, FEATURES = 200, 60
SETTINGS = ("noisy text", "editorials", "reviews")
LEARNERS = ("linear", "boosting", "forest", "torch", "pretrained")


def noisy_text(rng: np.random.Generator, n: int = 2_000, noise: float = 0.4) -> tuple[pd.DataFrame, np.ndarray]:
    """Documents whose label shows in many features, none of them strong, and a machine that is wrong in 40 %."""
    x = rng.standard_normal((n, FEATURES))
    beta = np.random.default_rng(99).standard_normal(FEATURES) * 0.4
    group = (rng.random(n) < 1 / (1 + np.exp(-x[:, 0]))).astype(float)
    y = (rng.random(n) < 1 / (1 + np.exp(-(x @ beta + 0.5 * group)))).astype(float)
    machine = np.where(rng.random(n) < noise, 1 - y, y)
    return pd.DataFrame({"y": y, "group": group, "y_llm": machine}), x


def truth_of_noisy_text(n: int = 2_000_000) -> np.ndarray:
    frame, _ = noisy_text(np.random.default_rng(7), n)
    return np.polyfit(frame["group"], frame["y"], 1)[::-1]


def corpus(setting: str, rng: np.random.Generator) -> dict[str, Any]:
    """Data and arguments of one repetition."""
    if setting == "noisy text":
        frame, x = noisy_text(rng)
        return {
            "formula": "y ~ group", "data": frame, "gold": "y", "surrogates": {"y": "y_llm"}, "features": x,
            "target": "superpopulation",
        }  # fmt: skip
    frame = kt.datasets.load(setting)
    more = ["question", "exclamation", "quote", "digits", "first_person", "second_person", "contrast"]
    if setting == "editorials":
        return {
            "formula": "tone ~ economy + war + negation", "data": frame, "gold": "tone", "target": "finite",
            "surrogates": {"tone": ["tone_vader", "tone_afinn", "tone_textblob"]}, "features": [*more, "words"],
        }  # fmt: skip
    return {
        "formula": "tone_crowd ~ comedy + acting + negation", "data": frame, "gold": "tone_crowd", "target": "finite",
        "surrogates": {"tone_crowd": ["tone_vader", "tone_afinn", "tone_textblob"]}, "features": [*more, "words"],
    }  # fmt: skip


def truth(setting: str) -> np.ndarray:
    """The coefficients that intervals should cover."""
    if setting == "noisy text":
        return truth_of_noisy_text()
    import statsmodels.formula.api as smf

    case = corpus(setting, np.random.default_rng(0))
    return smf.ols(case["formula"], case["data"]).fit().params.to_numpy()


def one(setting: str, seed: int, names: list[str]) -> dict[str, tuple[np.ndarray, ...]]:
    """Estimates, standard errors and half-widths of every learner on one sample."""
    rng = np.random.default_rng([seed, SETTINGS.index(setting)])
    case = corpus(setting, rng)
    formula, gold = case.pop("formula"), case.pop("gold")
    sample = kt.SimpleRandom(N_GOLD).draw(case["data"], seed=rng)
    labelled = kt.datasets.mask_gold(case.pop("data"), sample, gold)
    features = case.pop("features")
    out = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in names:
            how = {"estimator": "gold"} if name == "gold only" else {"learner": name}
            if "learner" in how:
                how["features"] = features
            fit = kt.ols(
                formula, labelled, design=sample.design, repeats=1, seed=seed, vcov="HC2", compare=False, **case, **how
            )
            low, high = fit.confint().to_numpy().T
            skill = fit.skill[0].r_squared if fit.skill else np.nan
            out[name] = (fit.theta, np.sqrt(np.diag(fit.covariance)), (high - low) / 2, np.array([skill]))
    return out


def study(setting: str, repetitions: int, start: int = 0) -> list[dict[str, Any]]:
    """Rows of the table."""
    names = ["gold only", *LEARNERS]
    target = truth(setting)
    runs = [one(setting, start + r, names) for r in range(repetitions)]
    slopes = slice(1, None)
    gold, gold_se = (np.array([r["gold only"][k] for r in runs]) for k in (0, 1))
    rows = []
    for name in names:
        theta, se, half = (np.array([r[name][k] for r in runs]) for k in range(3))
        sd = theta.std(axis=0, ddof=1)
        rows.append({
            "setting": setting, "learner": name, "repetitions": repetitions,
            "sd_over_gold": float((sd / gold.std(axis=0, ddof=1))[slopes].mean()),
            "se_over_gold": float((se.mean(axis=0) / gold_se.mean(axis=0))[slopes].mean()),
            "coverage": float((np.abs(theta - target) <= half)[:, slopes].mean()),
            "se_over_sd": float((se.mean(axis=0) / sd)[slopes].mean()),
            "r_squared": None if name == "gold only" else float(np.mean([r[name][3] for r in runs])),
            "slopes": int(theta.shape[1] - 1),
        })  # fmt: skip
    return rows


def table(rows: list[dict[str, Any]]) -> str:
    counts = ", ".join(
        f"{s} {next(r['repetitions'] for r in rows if r['setting'] == s)}"
        for s in SETTINGS
        if any(r["setting"] == s for r in rows)
    )
    reps = min(r["repetitions"] for r in rows)
    lines = [
        "# Learners: standard errors and coverage",
        "",
        f"Written by `python -m tests.statistical.learners`. {N_GOLD} gold labels drawn at random; "
        f"repetitions: {counts}; "
        "95 % intervals, five folds, one split; figures are means over the slopes. Monte Carlo error of a coverage: "
        f"{np.sqrt(0.05 * 0.95 / reps):.3f} with one slope. Standard errors relative to gold only.",
        "",
        "| setting | learner | standard error | standard deviation | coverage | se / sd | R2 out of fold |",
        "|---|---|---|---|---|---|---|",
    ]
    for r in rows:
        skill = "" if r["r_squared"] is None else f"{r['r_squared']:.3f}"
        lines.append(
            f"| {r['setting']} | {r['learner']} | {r['se_over_gold']:.3f} | {r['sd_over_gold']:.3f} | "
            f"{r['coverage']:.3f} | {r['se_over_sd']:.3f} | {skill} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=200)
    parser.add_argument("--setting", nargs="*", default=SETTINGS, choices=SETTINGS)
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    for setting in options.setting:
        rows = study(setting, options.repetitions)
        stored = options.out / "learners.json"
        before = json.loads(stored.read_text()) if stored.exists() else []
        before = [r for r in before if r["setting"] != setting]
        rows = sorted([*before, *rows], key=lambda r: SETTINGS.index(r["setting"]))
        stored.write_text(json.dumps(rows, indent=1) + "\n")
        (options.out / "learners.md").write_text(table(rows))


if __name__ == "__main__":
    main()
