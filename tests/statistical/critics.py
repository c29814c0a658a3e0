"""On the ground of published critiques: few gold labels, two kinds of error, conclusions that change with the prompt.

A corpus is drawn anew in each repetition, machines label all of it, experts a simple random sample, and a linear
regression of the label on a group is fitted with default settings. ``python -m tests.statistical.critics`` writes
``benchmarks/results/critics.json`` and the tables of ``docs/validation.md``; at small size in the tests.
"""

from __future__ import annotations

import argparse
import json
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import t as student

import karat as kt

ROOT = Path(__file__).resolve().parents[2]
N_UNITS, LEVEL = 5000, 0.05
SIZES, NULL_SIZES, EFFECTS = (50, 100, 200, 400, 600, 1000), (50, 200, 600), (0.0, 0.1)
WAYS = ("machine alone", "gold alone", "weight 1", "karat")
PROMPTS, PROMPT_GOLD = 8, 300
BEGIN, END = "<!-- tables: begin -->", "<!-- tables: end -->"
_ANSWERS = {"naive": "machine alone", "corrected": "karat"}
PROMPT_WORDS = {
    f"{answer}, {name}": f"{shown}: {words}"
    for answer, shown in _ANSWERS.items()
    for name, words in {
        "prompts disagree": "two prompts lead to different conclusions",
        "opposite signs": "two prompts lead to opposite signs, both significant",
        "a prompt named before": "significant with a prompt named beforehand",
        "the prompt that suits": "significant with at least one prompt",
        "covered": "(mean share of prompts) the interval holds the true difference",
    }.items()
} | {
    "corrected, the prompt that suits, all at once": "karat: significant with at least one prompt, all at once",
    "corrected, all prompts together": "karat: significant, all prompts in one predictor",
}


@dataclass(frozen=True)
class Machine:
    """A labeller: share of labels that are right, and by how much false alarms are more frequent in the group."""

    right: float
    lean: float

    def label(self, y: np.ndarray, group: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Labels of all units; the lean makes false alarms more, and misses less, frequent in the group."""
        shift = self.lean * (group - 0.5)
        wrong = np.where(y == 1, 1 - self.right - shift, 1 - self.right + shift)
        return np.where(rng.random(len(y)) < np.clip(wrong, 0, 1), 1 - y, y)

    def __str__(self) -> str:
        return f"{self.right:.0%} right, " + (f"lean {self.lean:+.2f}" if self.lean else "errors alike")


MACHINES = (Machine(0.95, 0.0), Machine(0.9, 0.04), Machine(0.9, 0.12), Machine(0.75, 0.25))


def corpus(effect: float, rng: np.random.Generator) -> pd.DataFrame:
    """Units with a true label whose share is ``effect`` larger in the group: the coefficient of ``y ~ group + x``."""
    group, x = rng.integers(0, 2, N_UNITS), rng.uniform(-1, 1, N_UNITS)
    y = (rng.random(N_UNITS) < 0.4 + effect * (group - 0.5) + 0.1 * x).astype(float)
    return pd.DataFrame({"y": y, "group": group, "x": x})


def estimates(frame: pd.DataFrame, n: int, rng: np.random.Generator) -> dict[str, tuple[float, float, float]]:
    """Estimate and interval of the coefficient of the group, by each way to make it."""
    sample = kt.SimpleRandom(n=n).draw(frame, seed=int(rng.integers(2**31)))
    data = kt.datasets.mask_gold(frame, sample, "y")
    seed = int(rng.integers(2**31))
    told: dict[str, Any] = {"surrogates": {"y": "machine"}, "design": sample.design, "seed": seed}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", kt.KaratWarning)
        fit = kt.ols("y ~ group + x", data, **told)
        plain = kt.ols("y ~ group + x", data, **told, estimator="ppi", learner=None, tuning=None, compare=False)
    out = {}
    for way, column in zip(("machine alone", "gold alone", "karat"), fit.compare().columns):
        low, high = fit.compare().bounds(column)
        out[way] = column.theta[1], low[1], high[1]
    low, high = plain.confint().loc["group"]
    return out | {"weight 1": (plain.theta[1], low, high)}


def drawn(machine: Machine, n: int, effect: float, rng: np.random.Generator) -> dict[str, tuple[float, float, float]]:
    """One corpus, labelled by a machine, and what each way says of it."""
    frame = corpus(effect, rng)
    frame["machine"] = machine.label(frame["y"].to_numpy(), frame["group"].to_numpy(), rng)
    return estimates(frame, n, rng)


def figures(runs: list[dict[str, tuple[float, float, float]]], effect: float) -> dict[str, dict[str, float]]:
    """Errors, widths, coverage and wrong conclusions of each way."""
    return {way: _figures(np.array([run[way] for run in runs]), effect) for way in WAYS}


def _figures(found: np.ndarray, effect: float) -> dict[str, float]:
    theta, low, high = found.T
    squared = (theta - effect) ** 2
    rmse = float(np.sqrt(squared.mean()))
    sign = np.sign(theta) * ((low > 0) | (high < 0))
    return {
        "rmse": rmse,
        "rmse_error": float(squared.std() / (2 * rmse * np.sqrt(len(theta)))),
        "bias": float((theta - effect).mean()),
        "width": float((high - low).mean()),
        "covered": float(((low <= effect) & (effect <= high)).mean()),
        "found": float((sign == np.sign(effect)).mean() if effect else (sign != 0).mean()),
        "wrong_sign": float((sign == -np.sign(effect)).mean()) if effect else 0.0,
        "repetitions": len(theta),
    }


def prompted(effect: float, rng: np.random.Generator) -> dict[str, float]:
    """One corpus that all prompts label, and what is concluded with each."""
    frame = corpus(effect, rng)
    names = [f"prompt_{j}" for j in range(PROMPTS)]
    for name, lean in zip(names, 0.08 * rng.standard_normal(PROMPTS)):
        frame[name] = Machine(0.88, lean).label(frame["y"].to_numpy(), frame["group"].to_numpy(), rng)
    sample = kt.SimpleRandom(n=PROMPT_GOLD).draw(frame, seed=int(rng.integers(2**31)))
    data = kt.datasets.mask_gold(frame, sample, "y")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", kt.KaratWarning)
        many = kt.multiverse(
            "y ~ group + x", data, surrogates={"y": names}, design=sample.design, terms=["group"],
            seed=int(rng.integers(2**31)),
        )  # fmt: skip
    return _conclusions(many, effect)


def _conclusions(many: Any, effect: float) -> dict[str, float]:
    """What each prompt would have made a reader conclude, with the machine's labels alone and corrected."""
    table, out = many.tidy(), {}
    for answer in ("naive", "corrected"):
        rows = table[table["Answer"] == answer]
        low, high = rows["low"].to_numpy(), rows["high"].to_numpy()
        sign = np.sign(rows["Estimate"].to_numpy()) * ((low > 0) | (high < 0))
        out[f"{answer}, prompts disagree"] = float(len(set(sign)) > 1)
        out[f"{answer}, opposite signs"] = float({-1.0, 1.0} <= set(sign))
        out[f"{answer}, a prompt named before"] = float(sign[0] != 0)
        out[f"{answer}, the prompt that suits"] = float((sign != 0).any())
        out[f"{answer}, covered"] = float(((low <= effect) & (effect <= high)).mean())
    rows = table[table["Answer"] == "corrected"]
    out["corrected, the prompt that suits, all at once"] = float(
        ((rows["low (all)"] > 0) | (rows["high (all)"] < 0)).any()
    )
    theta, se, df = many.together["group"]
    out["corrected, all prompts together"] = float(abs(theta) > student.isf(LEVEL / 2, df) * se)
    return out


def cells() -> list[tuple[Machine, int, float]]:
    """Machines, numbers of gold labels, and true differences between the groups."""
    return [(m, n, 0.1) for m in MACHINES for n in SIZES] + [(m, n, 0.0) for m in MACHINES for n in NULL_SIZES]


def tables(found: list[dict[str, Any]], told: dict[str, dict[str, float]], seed: int) -> str:
    """All tables of docs/validation.md."""
    few = found[0]["repetitions"] if found else 0
    lines = [
        f"Seed {seed}; {few} corpora a row, so that a share of 5 % has a Monte Carlo standard error of "
        f"{np.sqrt(0.05 * 0.95 / max(few, 1)):.3f}, one of 50 % of {0.5 / np.sqrt(max(few, 1)):.3f}.", "",
        *_together(found), "", "### Error and width, true difference 0.10", "",
        "| machine | gold | error, machine alone | gold alone | weight 1 | karat | width, gold alone | "
        "karat / gold alone | covered, machine alone | weight 1 | karat |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for row in (row for row in found if row["effect"]):
        w = row["ways"]
        error = [f"{w[way]['rmse']:.3f} ± {w[way]['rmse_error']:.3f}" for way in WAYS]
        covered = [f"{w[way]['covered']:.3f}" for way in ("machine alone", "weight 1", "karat")]
        width = w["gold alone"]["width"]
        lines.append(f"| {row['machine']} | {row['n']:,} | {' | '.join(error)} | {width:.3f} | "
                     f"{w['karat']['width'] / width:.2f} | {' | '.join(covered)} |")  # fmt: skip
    lines += [
        "", "### Conclusions: differences that are not there, and those that are", "",
        "| machine | gold | false alarm, machine alone | gold alone | weight 1 | karat | difference of 0.10 found, "
        "machine alone | gold alone | weight 1 | karat |", "|---|---|---|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    real = {(row["machine"], row["n"]): row["ways"] for row in found if row["effect"]}
    for row in (row for row in found if not row["effect"]):
        alarms = [f"{row['ways'][way]['found']:.3f}" for way in WAYS]
        power = [f"{real[row['machine'], row['n']][way]['found']:.3f}" for way in WAYS]
        lines.append(f"| {row['machine']} | {row['n']:,} | {' | '.join(alarms)} | {' | '.join(power)} |")
    lines += ["", *_prompt_lines(told)]
    return "\n".join(lines)


def _together(found: list[dict[str, Any]]) -> list[str]:
    """All rows of a number of gold labels together: coverage and wrong alarms, which should be .95 and .05 in each."""
    lines = [
        "| gold | covered, machine alone | gold alone | weight 1 | karat | false alarms, machine alone | gold alone "
        "| weight 1 | karat |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for n in [*SIZES, None]:
        rows = [row for row in found if n in (row["n"], None)]
        shares = []
        for part, of in (("covered", rows), ("found", [row for row in rows if not row["effect"]])):
            for way in WAYS:
                runs = sum(row["repetitions"] for row in of)
                share = float(np.mean([row["ways"][way][part] for row in of])) if of else np.nan
                error = np.sqrt(max(share * (1 - share), 0.0) / runs) if of else np.nan
                shares.append(f"{share:.3f} ± {error:.3f}" if of else "")
        lines.append(f"| {f'{n:,}' if n else 'all'} | {' | '.join(shares)} |")
    return lines


def _prompt_lines(told: dict[str, dict[str, float]]) -> list[str]:
    """The table of prompts: a row for each conclusion, a column for each true difference."""
    heads = [f"true difference {effect} ({int(row['repetitions'])} corpora)" for effect, row in told.items()]
    lines = [
        f"### Prompts ({PROMPTS} of them, {PROMPT_GOLD} gold labels)", "",
        "| share of corpora in which | " + " | ".join(heads) + " |", "|---|" + "---|" * len(told),
    ]  # fmt: skip
    for name in next(iter(told.values()), {}):
        if name != "repetitions":
            lines.append(f"| {PROMPT_WORDS[name]} | " + " | ".join(f"{row[name]:.3f}" for row in told.values()) + " |")
    return lines


def main() -> None:
    """Run the study in passes; after each, write what was found so far."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--passes", type=int, nargs="+", default=[25] * 8, help="corpora a row in each pass")
    parser.add_argument("--seed", type=int, default=2028)
    parser.add_argument("--json", type=Path, default=ROOT / "benchmarks/results/critics.json")
    parser.add_argument("--page", type=Path, default=ROOT / "docs/validation.md")
    options = parser.parse_args()
    runs: dict[Any, list[Any]] = {cell: [] for cell in [*cells(), *EFFECTS]}
    for count in options.passes:
        for at, (cell, done) in enumerate(runs.items()):
            for k in range(len(done), len(done) + (count if isinstance(cell, tuple) else count // 2)):
                rng = np.random.default_rng([options.seed, at, k])
                done.append(drawn(*cell, rng) if isinstance(cell, tuple) else prompted(cell, rng))
        found = [{"machine": str(m), "n": n, "effect": effect, "repetitions": len(runs[m, n, effect]),
                  "ways": figures(runs[m, n, effect], effect)} for m, n, effect in cells()]  # fmt: skip
        told = {f"{effect:g}": {name: float(np.mean([run[name] for run in runs[effect]])) for name in PROMPT_WORDS}
                | {"repetitions": len(runs[effect])} for effect in EFFECTS}  # fmt: skip
        options.json.write_text(json.dumps({"seed": options.seed, "few": found, "prompts": told}, indent=1) + "\n")
        text = tables(found, told, options.seed)
        print(text, flush=True)
        if options.page.exists():
            page = options.page.read_text(encoding="utf-8")
            start, end = page.index(BEGIN) + len(BEGIN), page.index(END)
            options.page.write_text(f"{page[:start]}\n\n{text}\n\n{page[end:]}", encoding="utf-8")


if __name__ == "__main__":
    main()
