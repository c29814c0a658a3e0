"""Do intervals that are read after every batch hold at the look where labelling stops?

Gold grows in simple random batches of 100 to 900 of 3,000; after each the regression is fitted. Stopping rules:
the interval is short enough; or it leaves a fixed value out (here the truth, the worst case: it is the same as
missing the truth at any look). Ordinary 95 % intervals are held against confidence sequences. At full size:
``python -m tests.statistical.anytime``, which writes ``benchmarks/results/anytime.json`` and ``.md``.
"""

from __future__ import annotations

import argparse
import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import t

import karat as kt

from .designs import N_UNITS, TRUTH, population

ROOT = Path(__file__).resolve().parents[2]
BATCH, LOOKS, PLANNED = 100, 9, 500
SHORT = {"superpopulation": np.array([0.17, 0.28, 0.14]), "finite": np.array([0.15, 0.25, 0.12])}
"""Half-widths aimed at, met by the sequences at about half of the labels."""


def one(target: str, seed: int) -> np.ndarray:
    """One repetition: error, half-width of the ordinary interval and of the sequence, each (looks, 3)."""
    rng = np.random.default_rng([seed, 99])
    frame = population(rng, False)
    truth = TRUTH
    if target == "finite":
        features = np.column_stack([np.ones(N_UNITS), frame["x"], frame["z"]])
        truth = np.linalg.lstsq(features, frame["y"].to_numpy(), rcond=None)[0]
    sample, fits = kt.SimpleRandom(BATCH).draw(frame, rng), []
    for look in range(LOOKS):
        if look:
            sample = sample.next_wave(kt.SimpleRandom(BATCH), frame, rng)
        labelled = frame.assign(y=frame["y"].where(sample.labelled))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fits.append(
                kt.ols(
                    "y ~ x + z", labelled, surrogates={"y": "y_llm"}, design=sample.design, learner="linear", repeats=1,
                    target=target, compare=False, scores=False, seed=rng,
                )
            )  # fmt: skip
    sequence = kt.confidence_sequence(fits, planned=PLANNED)
    ordinary = t.ppf(0.975, sequence.df) * sequence.se
    return np.stack([sequence.theta - truth, ordinary, sequence.half_width])


def run(target: str, repetitions: int, seed: int = 1) -> dict[str, Any]:
    """Repeat; coverage of the ordinary interval and of the sequence under each stopping rule, per coefficient."""
    done = np.array([one(target, seed * 1_000_000 + r) for r in range(repetitions)])
    error = np.abs(done[:, 0])
    out: dict[str, Any] = {"target": target, "repetitions": repetitions}
    for k, name in ((1, "ordinary"), (2, "sequence")):
        half = done[:, k]
        inside = error <= half
        short = half <= SHORT[target]
        stop = np.where(short.any(axis=1), short.argmax(axis=1), LOOKS - 1)
        at_stop = np.take_along_axis(inside, stop[:, None, :], 1)[:, 0]
        out[name] = {
            "each look": [inside.mean(axis=0).min(), inside.mean(axis=0).max()],
            "stop when short": at_stop.mean(axis=0).tolist(),
            "gold at stop": (BATCH * (stop + 1)).mean(axis=0).tolist(),
            "all looks": inside.all(axis=1).mean(axis=0).tolist(),
        }
    return out


def page(rows: list[dict[str, Any]]) -> str:
    """The table as Markdown."""
    reps = rows[0]["repetitions"]
    lines = [
        "# Stopping by a confidence sequence",
        "",
        "Written by `python -m tests.statistical.anytime`. Simple random batches of 100 up to 900 of 3,000 units, a "
        "fit after each, `y ~ x + z` with y known through a machine label; figures for the three coefficients. Monte "
        "Carlo "
        f"standard error at {reps} repetitions: {np.sqrt(0.95 * 0.05 / reps):.4f} at .95. "
        "All looks: coverage under the worst stopping rule, stop when the truth is left out.",
        "",
        "| target | interval | stop when short enough | mean gold at that stop | all looks |",
        "|---|---|---|---|---|",
    ]
    for r in rows:
        for name in ("ordinary", "sequence"):
            part = r[name]
            cells = [
                ", ".join(f"{v:{f}}" for v in part[k])
                for k, f in (("stop when short", ".3f"), ("gold at stop", ".0f"), ("all looks", ".3f"))
            ]
            lines.append(f"| {r['target']} | {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run the study."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=1000)
    options = parser.parse_args()
    rows = [run(target, options.repetitions) for target in SHORT]
    if options.repetitions >= 500:
        out = ROOT / "benchmarks/results/anytime.json"
        out.write_text(json.dumps(rows, indent=1) + "\n")
        out.with_suffix(".md").write_text(page(rows))
    print(page(rows))


if __name__ == "__main__":
    main()
