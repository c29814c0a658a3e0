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
from karat.estimate.infer import infer

from .designs import N_UNITS, TRUTH, learnt, population

ROOT = Path(__file__).resolve().parents[2]
BATCH, LOOKS, PLANNED = 100, 9, 500
SHORT = {"superpopulation": np.array([0.17, 0.28, 0.14]), "finite": np.array([0.15, 0.25, 0.12])}
"""Half-widths aimed at, met by the sequences at about half of the labels."""


def one(seed: int, waves: str = "simple random") -> np.ndarray:
    """One repetition: per target, error, half-width of the ordinary interval and of the sequence, (2, 3, looks, 3)."""
    rng = np.random.default_rng([seed, 99])
    frame = population(rng, False)
    features = np.column_stack([np.ones(N_UNITS), frame["x"], frame["z"]])
    census = np.linalg.lstsq(features, frame["y"].to_numpy(), rcond=None)[0]
    sample, fits = kt.SimpleRandom(BATCH).draw(frame, rng), []
    for look in range(LOOKS):
        if look:
            design: kt.designs.Design = kt.SimpleRandom(BATCH)
            if waves == "learnt":
                design = kt.Unequal(learnt(frame, sample), BATCH, floor=0.3 * BATCH / N_UNITS)
            sample = sample.next_wave(design, frame, rng)
        labelled = frame.assign(y=frame["y"].where(sample.labelled))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fits.append(
                kt.ols(
                    "y ~ x + z", labelled, surrogates={"y": "y_llm"}, design=sample.design, learner="linear", repeats=1,
                    compare=False, scores=True, seed=rng,
                )
            )  # fmt: skip
    out = []
    for target, truth in (("superpopulation", TRUTH), ("finite", census)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            sequence = kt.confidence_sequence([_aimed_at(fit, target) for fit in fits], planned=PLANNED)
        out.append([sequence.theta - truth, t.ppf(0.975, sequence.df) * sequence.standard_error, sequence.half_width])
    return np.array(out)


def _aimed_at(fit: kt.Result, target: str) -> kt.Result:
    """The same fit with the other target's covariance."""
    covariance, df = infer(fit.parts, fit.vcov_kind, target, "auto")
    return fit.replace(target=target, covariance=covariance.total, labelling_covariance=covariance.labelling, df=df)


def run(repetitions: int, seed: int = 1) -> list[dict[str, Any]]:
    """Repeat; coverage of the ordinary interval and of the sequence under each stopping rule, per coefficient."""
    done = np.array([one(seed * 1_000_000 + r) for r in range(repetitions)])
    return [_figures(done[:, k], target) for k, target in enumerate(SHORT)]


def _figures(done: np.ndarray, target: str, waves: str = "simple random") -> dict[str, Any]:
    error = np.abs(done[:, 0])
    out: dict[str, Any] = {"waves": waves, "target": target, "repetitions": len(done)}
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
    lines = [
        "# Stopping by a confidence sequence",
        "",
        "Written by `python -m tests.statistical.anytime`. Batches of 100 up to 900 of 3,000 units, simple random or "
        "with "
        "probabilities learnt from the labels so far, a fit after each, `y ~ x + z` with y known through a machine "
        "label; "
        "figures for the three coefficients. Monte Carlo standard error of a coverage of .95: .007 at 1,000 "
        "repetitions, "
        ".011 at 400. All looks: coverage under the worst stopping rule, stop when the truth is left out. Ordinary "
        "intervals hold where width alone decides, and fail where one may stop for what the interval leaves out.",
        "",
        "| waves | target | repetitions | interval | stop when short enough | mean gold at that stop | all looks |",
        "|---|---|---|---|---|---|---|",
    ]
    for r in rows:
        for name in ("ordinary", "sequence"):
            columns = (("stop when short", ".3f"), ("gold at stop", ".0f"), ("all looks", ".3f"))
            cells = [", ".join(format(v, form) for v in r[name][k]) for k, form in columns]
            lines.append(f"| {r['waves']} | {r['target']} | {r['repetitions']} | {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run the study."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=1000)
    parser.add_argument("--waves", choices=("simple random", "learnt", "both"), default="both", help="others are kept")
    options = parser.parse_args()
    out = ROOT / "benchmarks/results/anytime.json"
    rows: list[dict[str, Any]] = json.loads(out.read_text()) if out.exists() else []
    for waves in ("simple random", "learnt") if options.waves == "both" else (options.waves,):
        repetitions = options.repetitions if waves == "simple random" else int(0.4 * options.repetitions)
        done = np.array([one(1_000_000 + r, waves) for r in range(repetitions)])
        rows = [r for r in rows if r["waves"] != waves]
        rows += [_figures(done[:, k], target, waves) for k, target in enumerate(SHORT)]
        rows.sort(key=lambda r: (r["waves"] == "learnt", r["target"] == "finite"))
        out.write_text(json.dumps(rows, indent=1) + "\n")
        out.with_suffix(".md").write_text(page(rows))
    print(page(rows))


if __name__ == "__main__":
    main()
