"""Study of learners: standard error and coverage of the rectified estimate, by learner.

``python -m tests.statistical.learners`` writes benchmarks/results/learners.json and .md. Two corpora: the bundled movie
reviews (is the review favourable?), drawn from again and again, whose own coefficients are the target; and simulated
corpora of documents with embeddings and a topic of four classes, two fifths of whose machine labels are wrong.
"""

from __future__ import annotations

import argparse
import functools
import json
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import karat as kt
from karat.predict import TorchClassifier
from karat.predict.networks.robust import LOSSES

GOLD = 200
N_UNITS = 4000
NOISE = 0.4
N_TOPICS, N_EMBEDDED = 4, 48
HOME = Path(__file__).parents[2] / "benchmarks" / "results"


def learners() -> dict[str, Any]:
    """Learners by the name they have in the table."""
    out: dict[str, Any] = {name: name for name in ("linear", "forest", "boosting", "torch")}
    for loss in LOSSES:
        out[f"pre-trained, {loss}"] = TorchClassifier(pretrain="surrogates", loss=loss)
    return out


def simulated(rng: np.random.Generator, n_units: int = N_UNITS) -> pd.DataFrame:
    """Documents with embeddings, a topic, an outcome that depends on it, and a machine's topic."""
    fixed = np.random.default_rng(99)
    mixing = fixed.standard_normal((6, N_EMBEDDED)) / np.sqrt(6)
    latent = rng.standard_normal((n_units, 6))
    embedded = 1.5 * np.tanh(latent @ mixing) + 0.7 * rng.standard_normal((n_units, N_EMBEDDED))
    score = 2.0 * np.column_stack([latent[:, 0], latent[:, 1] * latent[:, 2], latent[:, 3], np.abs(latent[:, 4]) - 0.8])
    share = np.exp(score - score.max(axis=1, keepdims=True))
    share /= share.sum(axis=1, keepdims=True)
    topic = (rng.random(n_units)[:, None] > share.cumsum(axis=1)[:, :-1]).sum(axis=1)
    wrong = rng.random(n_units) < NOISE
    machine = np.where(wrong, (topic + rng.integers(1, N_TOPICS, n_units)) % N_TOPICS, topic)
    outcome = np.array([0.0, 0.5, -0.3, 0.2])[topic] + rng.standard_normal(n_units)
    frame = pd.DataFrame(embedded, columns=[f"e{j}" for j in range(N_EMBEDDED)])
    names = np.array(["a", "b", "c", "d"])
    return frame.assign(topic=names[topic], machine=names[machine], outcome=outcome)


def one_simulated(learner: Any, seed: int, n_units: int = N_UNITS) -> tuple[Any, ...]:
    """Estimates, standard errors and hits of the three topic coefficients."""
    rng = np.random.default_rng([seed, 1])
    frame = simulated(rng, n_units)
    sample = kt.SimpleRandom(GOLD).draw(frame, rng)
    embedded = frame[[f"e{j}" for j in range(N_EMBEDDED)]].to_numpy()
    data = kt.datasets.mask_gold(frame[["topic", "machine", "outcome"]], sample, "topic")
    fit = kt.ols(
        "outcome ~ topic", data, surrogates={"topic": "machine"}, features=embedded, design=sample.design,
        learner=learner, repeats=1, compare=False, seed=seed,
    )  # fmt: skip
    return read(fit, np.array([0.5, -0.3, 0.2]), slice(1, None))


@functools.cache
def reviews() -> tuple[pd.DataFrame, np.ndarray]:
    """The bundled reviews and the coefficients of the whole corpus."""
    frame = kt.datasets.load("reviews")
    design = np.column_stack([np.ones(len(frame)), frame[["words", "comedy", "negation", "contrast"]]])
    return frame, np.linalg.lstsq(design, frame["fresh"].to_numpy(), rcond=None)[0]


def one_review(learner: Any, seed: int) -> tuple[Any, ...]:
    """Estimates, standard errors and hits; the target is the corpus."""
    frame, truth = reviews()
    sample = kt.SimpleRandom(GOLD).draw(frame, seed=seed)
    extra = [
        "acting", "plot", "directing", "thriller", "romance", "documentary", "family", "sequel", "question",
        "exclamation", "quote", "digits", "first_person", "second_person", "tone_vader", "tone_afinn", "tone_textblob",
    ]  # fmt: skip
    data = kt.datasets.mask_gold(frame, sample, "fresh")
    fit = kt.ols(
        "fresh ~ words + comedy + negation + contrast", data, features=extra, target="finite",
        surrogates={"fresh": ["fresh_vader", "fresh_afinn", "fresh_textblob"]}, design=sample.design, learner=learner,
        repeats=1, compare=False, seed=seed,
    )  # fmt: skip
    return read(fit, truth, slice(1, None))


def read(fit: Any, truth: np.ndarray, which: slice) -> tuple[Any, ...]:
    """Estimates, standard errors, hits and skill of one fit."""
    bounds = fit.confint().to_numpy()[which]
    target = truth if len(truth) == len(bounds) else truth[which]
    hit = (bounds[:, 0] <= target) & (target <= bounds[:, 1])
    return fit.theta[which], fit.se().to_numpy()[which], hit, fit.skill[0].r_squared


STUDIES: dict[str, Callable[..., tuple[Any, ...]]] = {"simulated": one_simulated, "reviews": one_review}


def repeat(study: str, name: str, seeds: Any, **options: Any) -> dict[str, Any]:
    """Repetitions of one learner; every learner sees the same samples."""
    start = time.process_time()
    learner = learners()[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = [STUDIES[study](learner, seed, **options) for seed in seeds]
    theta, se, hit = (np.array([f[i] for f in found], dtype=float).tolist() for i in range(3))
    skill = [float(f[3]) for f in found]
    return {"theta": theta, "se": se, "hit": hit, "skill": skill, "seconds": [time.process_time() - start]}


def table(results: dict[str, dict[str, Any]]) -> str:
    """The study as markdown. Differences are paired: the same samples went to every learner."""
    lines = []
    for study, here in results.items():
        base = np.array(here["torch"]["se"]).mean(axis=1)
        lines += [
            f"## {study}, {len(base)} repetitions", "",
            "| learner | standard error | against torch, % (error) | coverage (error) | se / sd | R2 out of fold | s |",
            "|---|---|---|---|---|---|---|",
        ]  # fmt: skip
        for name, r in here.items():
            theta, se, hit = (np.array(r[key]) for key in ("theta", "se", "hit"))
            root = np.sqrt(len(se))
            ratio = 100 * (se.mean(axis=1) / base - 1)
            covered = hit.mean(axis=1)
            lines.append(
                f"| {name} | {se.mean():.4f} | {ratio.mean():+.1f} ({ratio.std(ddof=1) / root:.1f}) | "
                f"{hit.mean():.3f} ({covered.std(ddof=1) / root:.3f}) | "
                f"{(se.mean(axis=0) / theta.std(axis=0, ddof=1)).mean():.2f} | {np.mean(r['skill']):.3f} | "
                f"{sum(r['seconds']) / len(se):.2f} |"
            )
        lines.append("")
    return "\n".join(lines)


HEAD = f"""# Learners: standard error and coverage

Written by `python -m tests.statistical.learners`. {GOLD} gold labels by simple random sampling, five folds, one split,
default settings otherwise; every learner sees the same samples, so differences are paired. `simulated`: {N_UNITS}
documents with {N_EMBEDDED}-wide embeddings, a topic of {N_TOPICS} classes as covariate, {NOISE:.0%} of the machine's
topics wrong (drawn evenly from the other classes), the target the superpopulation. `reviews`: the bundled movie
reviews, whether a review is favourable as outcome, three word lists as surrogates, the target the corpus. Standard
error and coverage are means over the slopes. Monte Carlo errors in parentheses.

"""


def main() -> None:
    """Run at full size, in blocks of repetitions that every learner goes through, so that it can be stopped."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--repetitions", type=int, default=200)
    parser.add_argument("--block", type=int, default=5)
    parser.add_argument("--study", choices=list(STUDIES), nargs="*", default=list(STUDIES))
    options = parser.parse_args()
    for study in options.study:
        done: dict[str, Any] = {}
        for first in range(1, options.repetitions + 1, options.block):
            seeds = range(first, min(first + options.block, options.repetitions + 1))
            block = {name: repeat(study, name, seeds) for name in learners()}
            for name, found in block.items():
                before = done.setdefault(name, {key: [] for key in found})
                done[name] = {key: before[key] + found[key] for key in found}
            HOME.joinpath(f"learners_{study}.json").write_text(json.dumps(done))
    write()


def write() -> None:
    """The table of what is there."""
    files = {study: HOME / f"learners_{study}.json" for study in STUDIES}
    results = {study: json.loads(f.read_text()) for study, f in files.items() if f.exists()}
    HOME.joinpath("learners.md").write_text(HEAD + table(results))


if __name__ == "__main__":
    main()
