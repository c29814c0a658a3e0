"""Many fixed effects against pyfixest, five classes against statsmodels: ``python benchmarks/family_speed.py``.

Figures are CPU time of this process (user and system, all threads), medians over runs taken in turn with the peer's,
after one run of each that is not counted (pyfixest compiles). The peers fit complete data. Needs pyfixest. Writes
``benchmarks/results/family_speed.json`` and ``family_speed.md``.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import karat as kt

RESULTS = Path(__file__).resolve().parent / "results"
N_GOLD = 2_000
CLASSES = ["crime", "economy", "health", "other", "war"]


def panel(n: int, units: int, others: int, seed: int = 0) -> pd.DataFrame:
    """Rows in many units and fewer places, which both move outcome and covariates."""
    rng = np.random.default_rng(seed)
    unit, place = rng.integers(0, units, n), rng.integers(0, others, n)
    a, b = rng.normal(size=units)[unit], rng.normal(size=others)[place]
    frame = pd.DataFrame({"unit": unit, "place": place, "x": rng.normal(size=n) + a, "z": rng.normal(size=n) + b})
    frame["y_all"] = 0.5 * frame["x"] - 0.3 * frame["z"] + a + b + rng.normal(size=n)
    frame["y_llm"] = 0.8 * frame["y_all"] + 0.5 * rng.normal(size=n)
    frame["y"] = frame["y_all"].where(np.isin(np.arange(n), rng.choice(n, N_GOLD, replace=False)))
    return frame


def topics(n: int, covariates: int, seed: int = 0) -> pd.DataFrame:
    """Texts of five classes."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, covariates))
    eta = np.column_stack([np.zeros(n), x @ rng.normal(size=(covariates, len(CLASSES) - 1)) * 0.4])
    code = (eta + rng.gumbel(size=eta.shape)).argmax(axis=1)
    frame = pd.DataFrame(x, columns=[f"x{j}" for j in range(covariates)])
    wrong = np.where(rng.random(n) < 0.2, rng.integers(0, len(CLASSES), n), code)
    frame["topic_all"], frame["topic_llm"] = np.array(CLASSES)[code], np.array(CLASSES)[wrong]
    frame["topic"] = frame["topic_all"].where(np.isin(np.arange(n), rng.choice(n, N_GOLD, replace=False)))
    return frame


def cpu(function: Callable[[], Any]) -> tuple[float, Any]:
    """CPU seconds, and what came."""
    start = time.process_time()
    found = function()
    return time.process_time() - start, found


def in_turn(
    ours: Callable[[], Any], theirs: Callable[[], Any], runs: int, per: Callable[[Any], float]
) -> dict[str, Any]:
    """Medians and ratios of runs in turn, each over what ``per`` makes of the fit."""
    pairs = []
    for run in range(runs + 1):
        mine, theirs_ = (seconds / per(fit) for seconds, fit in (cpu(ours), cpu(theirs)))
        if run:
            pairs.append((mine, theirs_))
    ratios = [a / b for a, b in pairs]
    return {
        "karat": statistics.median(a for a, _ in pairs), "peer": statistics.median(b for _, b in pairs),
        "ratio": statistics.median(ratios), "from": min(ratios), "to": max(ratios), "runs": runs,
    }  # fmt: skip


def effects(n: int, units: int, others: int, runs: int, compare: bool) -> dict[str, Any]:
    """Two ways of fixed effects with robust standard errors; pyfixest has the outcome of all rows."""
    import pyfixest as pf

    frame = panel(n, units, others)

    def ours() -> kt.Result:
        return kt.ols(
            "y ~ x + z | unit + place",
            frame,
            surrogates={"y": "y_llm"},
            learner=None,
            vcov="HC1",
            seed=1,
            compare=compare,
        )

    def theirs() -> Any:
        return pf.feols("y_all ~ x + z | unit + place", frame, vcov="hetero")

    return in_turn(ours, theirs, runs, lambda _: 1.0)


def classes(n: int, covariates: int, runs: int) -> dict[str, Any]:
    """Multinomial logit, seconds for each iteration of Newton's method; statsmodels has the class of all rows."""
    import statsmodels.api as sm

    frame = topics(n, covariates)
    names = [f"x{j}" for j in range(covariates)]
    x, code = sm.add_constant(frame[names].to_numpy()), pd.Categorical(frame["topic_all"]).codes

    def ours() -> kt.Result:
        return kt.multinomial(
            f"topic ~ {' + '.join(names)}",
            frame,
            surrogates={"topic": "topic_llm"},
            learner=None,
            seed=1,
            compare=False,
        )

    def theirs() -> Any:
        return sm.MNLogit(code, x).fit(method="newton", disp=0)

    def steps(fit: Any) -> float:
        return float(fit.iterations if isinstance(fit, kt.Result) else fit.mle_retvals["iterations"])

    return in_turn(ours, theirs, runs, steps)


def page(found: dict[str, Any]) -> str:
    """The table."""
    lines = [
        "# Speed of fixed effects and of classes",
        "",
        f"Written by `python benchmarks/family_speed.py` (commit {found['commit']}); {N_GOLD:,} gold, "
        "`learner=None`, CPU seconds, medians of runs taken in turn. Peers fit the complete data.",
        "",
        "| task and peer | karat, s | peer, s | ratio karat / peer | from | to | runs |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, row in found["rows"].items():
        lines.append(
            f"| {name} | {row['karat']:.3g} | {row['peer']:.3g} | {row['ratio']:.2f} | {row['from']:.2f} | "
            f"{row['to']:.2f} | {row['runs']} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--texts", type=int, default=200_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--commit", default="unknown")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    n, m, runs = options.rows, options.texts, options.runs
    found: dict[str, Any] = {"commit": options.commit, "rows": {}}
    shown = f"ols, {n:,} rows, {n // 10:,} + {n // 1000:,} effects, HC1"
    tasks: dict[str, Callable[[], dict[str, Any]]] = {
        f"{shown}, `compare=False`; pyfixest feols": lambda: effects(n, n // 10, n // 1000, runs, False),
        f"{shown}, with comparison; pyfixest feols": lambda: effects(n, n // 10, n // 1000, runs, True),
        f"multinomial, 5 classes, {m:,} rows, 10 covariates, an iteration; statsmodels MNLogit": lambda: classes(
            m, 10, runs
        ),
    }
    for name, task in tasks.items():
        found["rows"][name] = task()
        print(name, found["rows"][name], flush=True)
        (RESULTS / "family_speed.json").write_text(json.dumps(found, indent=1) + "\n")
        (RESULTS / "family_speed.md").write_text(page(found))


if __name__ == "__main__":
    main()
