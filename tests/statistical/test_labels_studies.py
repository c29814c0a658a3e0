"""Studies of aggregated labels: which method, how much for a regression, what noisy gold covers, TopTwo.

Small versions run as tests; ``python -m tests.statistical.test_labels_studies`` runs all (or those named) at full
size and writes benchmarks/results/labels_studies.json and .md. Every number comes with its Monte Carlo error.
"""

from __future__ import annotations

import itertools
import json
import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import karat as kt

L = kt.labels
SINGLE = (
    "majority", "vote_share", "softmax", "dawid_skene", "one_coin", "mace", "glad", "wawa", "zero_based_skill",
)  # fmt: skip
POOLED = ("mean", "log_pool", "jensen_shannon")
GRID = tuple(itertools.product((2, 4), (3, 5, 10), (0.0, 0.3), (0.0, 1.0), (0.0, 0.8)))
"""Classes, labels per task, share of spammers, weight of task difficulty, share of errors that go to a twin class."""


def annotate(truth, n_classes, per_task, spam, difficulty, confusable, rng, n_workers=40):
    """Labels of workers that differ: skill, spammers with habits, hard tasks with a second answer, twin classes."""
    n = len(truth)
    skill = rng.beta(6, 2, n_workers)
    spammer = rng.random(n_workers) < spam
    habit = rng.dirichlet(np.full(n_classes, 0.5), n_workers).cumsum(axis=1)
    hard = rng.beta(1, 3, n) * difficulty
    second = (truth + rng.integers(1, n_classes, n)) % n_classes
    pull = rng.uniform(0.2, 0.8, n)
    task = np.repeat(np.arange(n), per_task)
    worker = np.concatenate([rng.permutation(n_workers)[:per_task] for _ in range(n)])
    t, m = truth[task], len(task)
    twin = np.where((t ^ 1) < n_classes, t ^ 1, t)
    other = np.where(rng.random(m) < confusable, twin, (t + rng.integers(1, n_classes, m)) % n_classes)
    y = np.where(rng.random(m) > skill[worker], other, t)
    y = np.where(rng.random(m) < hard[task], np.where(rng.random(m) < pull[task], second[task], t), y)
    y = np.where(spammer[worker], (rng.random((m, 1)) > habit[worker]).sum(axis=1).clip(0, n_classes - 1), y)
    return {"task": task, "worker": worker, "label": y}


def which_method(repetitions, n=300, grid=GRID, seed=1):
    """Negative log likelihood of every method in every setting, shape (settings, methods, repetitions)."""
    names = (*SINGLE, "top_two", *POOLED)
    out = np.full((len(grid), len(names), repetitions), np.nan)
    for i, (k, per, spam, hard, twin) in enumerate(grid):
        for r in range(repetitions):
            rng = np.random.default_rng([seed, i, r])
            truth = rng.choice(k, size=n, p=rng.dirichlet(np.full(k, 5.0)))
            rows = annotate(truth, k, per, spam, hard, twin, rng)
            coded = L.read_annotations(rows, classes=range(k), tasks=range(n))
            for j, name in enumerate(names):
                if name == "top_two" and k == 2:
                    continue
                quick = {"mace": {"n_restarts": 3}} if name in ("mace", *POOLED) else {}
                p = L.aggregate(coded, name, settings=quick).probabilities
                out[i, j, r] = -np.log(0.99 * p[np.arange(n), truth] + 0.01 / k).mean()
    return names, out


def soft_against_hard(repetitions, per_task=8, spam=0.5, difficulty=0.0, n=1500, n_gold=200, seed=2):
    """Slope of a labelled outcome: estimates, standard errors and coverage with hard and with soft surrogates."""
    rows = []
    for r in range(repetitions):
        rng = np.random.default_rng([seed, r])
        x = rng.normal(size=n)
        truth = (rng.random(n) < 1 / (1 + np.exp(-x))).astype(int)
        votes = annotate(truth, 2, per_task, spam, difficulty, 0.0, rng)
        soft = L.aggregate(votes, settings={"mace": {"n_restarts": 2}})
        frame = pd.DataFrame({"x": x, "y": truth.astype(float), "soft": soft.probabilities[:, 1]})
        frame["hard"] = L.aggregate(votes, "majority", settings={"majority": {"ties": "lowest"}}).probabilities[:, 1]
        sample = kt.SimpleRandom(n=n_gold).draw(frame, seed=rng)
        labelled = kt.datasets.mask_gold(frame, sample, "y")
        for kind in ("hard", "soft"):
            fit = kt.ols(
                "y ~ x", labelled, surrogates={"y": kind}, design=sample.design, repeats=1, compare=False, seed=r
            )
            rows.append((r, kind, fit.coef()["x"], fit.se()["x"], *fit.confint().loc["x"].tolist()))
    table = pd.DataFrame(rows, columns=["r", "kind", "slope", "se", "low", "high"])
    # The target: slope of the best linear predictor of a logistic probability, by a large integral.
    grid = np.linspace(-8, 8, 4001)
    weight = np.exp(-(grid**2) / 2)
    target = float((weight * grid / (1 + np.exp(-grid))).sum() / (weight * grid**2).sum())
    table["covers"] = (table["low"] <= target) & (target <= table["high"])
    return table, target


ERRORS = ((0.85, 0.88), (0.78, 0.85), (0.82, 0.8))
"""Sensitivity and specificity of the three experts."""


def noisy_gold(repetitions, n=2000, n_gold=400, seed=3):
    """Coverage of the truth's slope and of the experts' slope, by kind of gold."""
    slope = 0.168
    spread = np.mean([s1 + s0 - 1 for s1, s0 in ERRORS])
    targets = {"truth": slope, "experts": slope * spread, "first expert": slope * (ERRORS[0][0] + ERRORS[0][1] - 1)}
    rows = []
    for r in range(repetitions):
        rng = np.random.default_rng([seed, r])
        x = np.clip(rng.normal(size=n), -2.5, 2.5)
        x /= x.std()
        truth = (rng.random(n) < np.clip(0.5 + slope * x, 0, 1)).astype(int)
        said = np.column_stack(
            [np.where(truth == 1, rng.random(n) < a, rng.random(n) > b).astype(int) for a, b in ERRORS]
        )
        frame = pd.DataFrame({"unit": np.arange(n), "x": x})
        frame["llm"] = np.clip(0.2 + 0.6 * truth + 0.15 * rng.normal(size=n) + 0.05 * x, 0, 1)
        sample = kt.SimpleRandom(n=n_gold).draw(frame, seed=rng)
        units = sample.positions
        votes = {"task": np.repeat(units, 3), "worker": np.tile(list("abc"), n_gold), "label": said[units].ravel()}
        golds = {
            "first expert": np.where(sample.labelled, said[:, 0], np.nan),
            "expert_mean": L.experts(votes).align(frame["unit"]),
            "latent_truth": L.experts(votes, "latent_truth").align(frame["unit"]),
        }
        for kind, gold in golds.items():
            fit = kt.ols(
                "gold ~ x", frame.assign(gold=gold), surrogates={"gold": "llm"}, design=sample.design, repeats=1,
                compare=False, seed=r,
            )  # fmt: skip
            low, high = fit.confint().loc["x"].tolist()
            rows.append((r, kind, fit.coef()["x"], fit.se()["x"], *(low <= t <= high for t in targets.values())))
    columns = ["r", "gold", "slope", "se", *(f"covers {t}" for t in targets)]
    return pd.DataFrame(rows, columns=columns), targets


def second_answers(repetitions, n=400, n_classes=5, per_task=10, n_workers=40, spam=0.4, seed=4):
    """How often TopTwo and counting name the planted most confusing answer, and the truth."""
    out = []
    for r in range(repetitions):
        rng = np.random.default_rng([seed, r])
        truth = rng.integers(n_classes, size=n)
        second = (truth + rng.integers(1, n_classes, n)) % n_classes
        q = rng.uniform(0.55, 0.9, n)
        reliability = np.where(rng.random(n_workers) < spam, 0.0, rng.uniform(0.5, 1.0, n_workers))
        task = np.repeat(np.arange(n), per_task)
        worker = np.concatenate([rng.permutation(n_workers)[:per_task] for _ in range(n)])
        m = len(task)
        serious = np.where(rng.random(m) < q[task], truth[task], second[task])
        label = np.where(rng.random(m) < reliability[worker], serious, rng.integers(n_classes, size=m))
        model = L.TopTwo().fit(
            L.read_annotations({"task": task, "worker": worker, "label": label}, classes=range(n_classes))
        )
        counts = np.zeros((n, n_classes))
        np.add.at(counts, (task, label), 1)
        ranks = np.argsort(-(counts + 1e-6 * rng.random(counts.shape)), axis=1)
        guess = model.probabilities_.argmax(axis=1)
        out.append((
            (model.second_ == second).mean(), (ranks[:, 1] == second).mean(), (guess == truth).mean(),
            (ranks[:, 0] == truth).mean(), np.corrcoef(model.confusion_, 1 - q)[0, 1],
        ))  # fmt: skip
    names = ["second, TopTwo", "second, counting", "truth, TopTwo", "truth, counting", "correlation of 1 - q"]
    return pd.DataFrame(out, columns=names)


def quiet(study, *arguments, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return study(*arguments, **options)


# --- small versions -----------------------------------------------------------------------------------------------


@pytest.mark.statistical
def test_the_mean_beats_every_method_that_serves_all_settings():
    # Half of the settings, balanced: each pair of levels of two factors stands as often as in all.
    half = [setting for setting in GRID if sum((setting[0] == 4, *map(bool, setting[2:]))) % 2 == 0]
    names, nll = quiet(which_method, 1, n=200, grid=half)
    average = dict(zip(names, nll.mean(axis=(0, 2))))
    best = min(average[m] for m in SINGLE)
    assert average["mean"] < 1.01 * best
    by_setting = nll.mean(axis=2)
    single = by_setting[:, : len(SINGLE)]
    within = (single <= 1.01 * single.min(axis=1, keepdims=True)).mean(axis=0)
    assert within.max() < 0.7, "no single method is best everywhere"


@pytest.mark.statistical
def test_soft_labels_shorten_intervals():
    table, _ = quiet(soft_against_hard, 10, n=800, n_gold=150)
    se = table.pivot(index="r", columns="kind", values="se")
    assert (se["soft"] / se["hard"]).mean() < 0.9
    assert table["covers"].mean() > 0.75


@pytest.mark.statistical
def test_each_gold_covers_its_own_estimand():
    table, targets = quiet(noisy_gold, 6, n=1000, n_gold=300)
    mean = table.groupby("gold")["slope"].mean()
    assert mean["expert_mean"] == pytest.approx(targets["experts"], abs=0.03)
    assert mean["latent_truth"] == pytest.approx(targets["truth"], abs=0.05)
    covers = table.groupby("gold")[["covers truth", "covers experts"]].mean()
    assert covers.loc["expert_mean", "covers experts"] >= 0.8
    assert covers.loc["latent_truth", "covers truth"] >= 0.8
    assert covers.loc["expert_mean", "covers truth"] < 0.6


@pytest.mark.statistical
def test_toptwo_finds_the_planted_second_answer():
    table = quiet(second_answers, 3, n=300)
    assert (table["second, TopTwo"] > table["second, counting"] + 0.03).all()
    assert (table["truth, TopTwo"] >= table["truth, counting"]).all()
    assert (table["correlation of 1 - q"] > 0.15).all()


# --- full size ----------------------------------------------------------------------------------------------------


def main(parts) -> None:
    saved = json.loads(PLACE.with_suffix(".json").read_text()) if PLACE.with_suffix(".json").exists() else {}
    for name, study in (
        ("which_method", study_methods), ("soft_against_hard", study_soft), ("noisy_gold", study_gold),
        ("second_answers", study_second),
    ):  # fmt: skip
        if name in parts or not parts:
            saved[name] = quiet(study)
            PLACE.with_suffix(".json").write_text(json.dumps(saved, indent=1, default=float) + "\n")
    PLACE.with_suffix(".md").write_text(report(saved))
    print(report(saved))


PLACE = Path(__file__).resolve().parents[2] / "benchmarks" / "results" / "labels_studies"


def study_methods(repetitions=8):
    names, nll = which_method(repetitions)
    by_setting = nll.mean(axis=2)
    best = np.nanmin(by_setting, axis=1)
    single = by_setting[:, : len(SINGLE)].min(axis=1)
    rows = {}
    for j, m in enumerate(names):
        rows[m] = {
            "nll": by_setting[:, j].mean(),
            "error": nll[:, j].mean(axis=0).std(ddof=1) / np.sqrt(repetitions),
            "nll_four_classes": by_setting[len(GRID) // 2 :, j].mean(),
            "within_1_percent_of_all": int((by_setting[:, j] <= 1.01 * best).sum()),
            "within_1_percent_of_single": int((by_setting[:, j] <= 1.01 * single).sum()),
        }
    return {"repetitions": repetitions, "rows": rows}


def study_soft(repetitions=250):
    out = {"repetitions": repetitions}
    settings = {"half spammers, 8 labels": (8, 0.5, 0.0), "mild: 30 % spammers, hard tasks, 5 labels": (5, 0.3, 1.0)}
    for name, setting in settings.items():
        table, target = soft_against_hard(repetitions, *setting)
        se = table.pivot(index="r", columns="kind", values="se").mean()
        covers, sd = table.groupby("kind")["covers"].mean(), table.groupby("kind")["slope"].std()
        out[name] = {
            "target": target, "se_hard": se["hard"], "se_soft": se["soft"], "cut": 1 - se["soft"] / se["hard"],
            "sd_cut": 1 - sd["soft"] / sd["hard"], "coverage_hard": covers["hard"], "coverage_soft": covers["soft"],
        }  # fmt: skip
    return out


def study_gold(repetitions=400):
    table, targets = noisy_gold(repetitions)
    found = table.groupby("gold").agg(
        slope=("slope", "mean"), sd=("slope", "std"), se=("se", "mean"), truth=("covers truth", "mean"),
        experts=("covers experts", "mean"), first=("covers first expert", "mean"),
    )  # fmt: skip
    return {"repetitions": repetitions, "targets": targets, "rows": found.to_dict("index")}


def study_second(repetitions=40):
    table = second_answers(repetitions)
    error = table.std() / np.sqrt(repetitions)
    return {"repetitions": repetitions, "mean": table.mean().to_dict(), "error": error.to_dict()}


def report(saved) -> str:
    text = ["# Studies of aggregated labels", ""]
    if "which_method" in saved:
        found = saved["which_method"]
        text += [
            f"## Which method: {len(GRID)} settings", "",
            "Classes 2 or 4; 3, 5 or 10 labels a task; no or 30 % spammers; without or with hard tasks that "
            "pull to a second "
            "answer; errors even or mostly to a twin class. 300 tasks, 40 workers, "
            f"{found['repetitions']} repetitions; negative log likelihood of the truth. TopTwo cannot serve "
            "two classes.", "",
            "| method | mean over settings | Monte Carlo error | four classes | within 1 % of the best of all | "
            "within 1 % of the best single |", "|---|---|---|---|---|---|",
        ]  # fmt: skip
        for m, row in found["rows"].items():
            text.append("| {} | {:.4f} | {:.4f} | {:.4f} | {} | {} |".format(m, *row.values()))
    if "soft_against_hard" in saved:
        found = dict(saved["soft_against_hard"])
        n = found.pop("repetitions")
        text += [
            "", f"## Soft against hard labels in a regression (outcome labelled, 1,500 units, 200 gold, {n} "
            "repetitions)", "",
            "| setting | se hard | se soft | cut | cut in sd | coverage hard | coverage soft |",
            "|---|---|---|---|---|---|---|",
        ]  # fmt: skip
        for name, row in found.items():
            text.append(
                f"| {name} | {row['se_hard']:.4f} | {row['se_soft']:.4f} | {row['cut']:.1%} | {row['sd_cut']:.1%} | "
                f"{row['coverage_hard']:.3f} | {row['coverage_soft']:.3f} |"
            )
        text += ["", f"Monte Carlo error of a coverage: {np.sqrt(0.95 * 0.05 / n):.3f}."]
    if "noisy_gold" in saved:
        found = saved["noisy_gold"]
        text += [
            "", f"## What noisy gold covers (2,000 units, 400 gold, three experts, {found['repetitions']} "
            "repetitions)", "",
            "Slopes: " + ", ".join(f"{k} {v:.3f}" for k, v in found["targets"].items()) + ".", "",
            "| gold | mean estimate | sd | mean se | covers truth | covers experts' mean | covers first expert |",
            "|---|---|---|---|---|---|---|",
        ]  # fmt: skip
        for gold, row in found["rows"].items():
            text.append("| {} | {:.3f} | {:.4f} | {:.4f} | {:.3f} | {:.3f} | {:.3f} |".format(gold, *row.values()))
    if "second_answers" in saved:
        found = saved["second_answers"]
        title = f"TopTwo and counting (5 classes, 10 labels, 40 % spammers, {found['repetitions']} repetitions)"
        text += ["", f"## {title}", ""]
        text += [f"- {k}: {v:.3f} (Monte Carlo error {found['error'][k]:.3f})" for k, v in found["mean"].items()]
    return "\n".join(text).replace("| nan |", "|  |").replace("| nan |", "|  |") + "\n"


if __name__ == "__main__":
    main(sys.argv[1:])
