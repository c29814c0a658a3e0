"""Side by side with peers in one run: ``make bench``.

Every figure is CPU time of this process (user and system, all threads), the median over runs taken in turn
with the peer's, so that a drifting machine hurts both alike. Writes ``benchmarks/results/speed.json`` and
``speed.md``. Peak memory is read in a fresh process for each measurement.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import karat as kt

HERE = Path(__file__).resolve().parent
COVARIATES = [f"x{j}" for j in range(9)]
RIGHT = " + ".join(COVARIATES)
N_GOLD = 2_000


def corpus(n: int, seed: int = 0) -> pd.DataFrame:
    """A corpus with numeric and binary outcomes: complete gold (``y_all``, ``b_all``), sampled gold (``y``, ``b``)."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, len(COVARIATES)))
    eta = x @ np.linspace(-0.5, 0.5, len(COVARIATES))
    frame = pd.DataFrame(x, columns=COVARIATES)
    frame["y_all"] = eta + rng.normal(size=n)
    frame["y_llm"] = 0.8 * frame["y_all"] + 0.3 * x[:, 0] + 0.5 * rng.normal(size=n)
    frame["b_all"] = (rng.random(n) < 1 / (1 + np.exp(-eta))).astype(float)
    frame["b_llm"] = np.where(rng.random(n) < 0.15, 1 - frame["b_all"], frame["b_all"])
    gold = np.zeros(n, dtype=bool)
    gold[rng.choice(n, size=min(N_GOLD, n // 5), replace=False)] = True
    frame["y"] = frame["y_all"].where(gold)
    frame["b"] = frame["b_all"].where(gold)
    return frame


def karat_fit(model: str, frame: pd.DataFrame, learner: object = None, **options: Any) -> kt.Result:
    name = "y" if model == "ols" else "b"
    return kt.regress(
        f"{name} ~ {RIGHT}", frame, model=model, surrogates={name: f"{name}_llm"}, learner=learner, seed=1, **options
    )


def statsmodels_fit(model: str, frame: pd.DataFrame) -> Any:
    import statsmodels.formula.api as smf

    name = "y_all" if model == "ols" else "b_all"
    door = smf.ols if model == "ols" else smf.logit
    options = {} if model == "ols" else {"disp": 0}
    return door(f"{name} ~ {RIGHT}", frame).fit(cov_type="HC1", **options)


def ppi_fit(model: str, frame: pd.DataFrame) -> Any:
    """The same estimate through ppi_py, which takes arrays: the design matrix is made inside the measurement."""
    import ppi_py

    name = "y" if model == "ols" else "b"
    x = np.column_stack([np.ones(len(frame)), frame[COVARIATES].to_numpy()])
    gold = frame[name].notna().to_numpy()
    surrogate = frame[f"{name}_llm"].to_numpy()
    arguments = (x[gold], frame[name].to_numpy()[gold], surrogate[gold], x[~gold], surrogate[~gold])
    door = ppi_py.ppi_ols_ci if model == "ols" else ppi_py.ppi_logistic_ci
    return door(*arguments, alpha=0.05)


def cpu(function: Callable[[], Any]) -> float:
    start = time.process_time()
    function()
    return time.process_time() - start


def paired(ours: Callable[[], Any], theirs: Callable[[], Any], runs: int) -> dict[str, float]:
    """Median CPU seconds of both, and the median and range of the ratio pair by pair."""
    ours(), theirs()
    pairs = [(cpu(ours), cpu(theirs)) for _ in range(runs)]
    ratios = [a / b for a, b in pairs]
    return {
        "karat_s": statistics.median(a for a, _ in pairs),
        "peer_s": statistics.median(b for _, b in pairs),
        "ratio": statistics.median(ratios),
        "ratio_min": min(ratios),
        "ratio_max": max(ratios),
    }


def peers(n: int, runs: int) -> dict[str, Any]:
    frame = corpus(n)
    out = {}
    for model in ("ols", "logit"):
        out[f"{model}, statsmodels on complete data"] = paired(
            lambda m=model: karat_fit(m, frame), lambda m=model: statsmodels_fit(m, frame), runs
        )
        out[f"{model}, ppi_py on the same task"] = paired(
            lambda m=model: karat_fit(m, frame, compare=False), lambda m=model: ppi_fit(m, frame), max(3, runs // 2)
        )
    return out


def default_learner(n: int, runs: int) -> dict[str, float]:
    """Default learner against ``learner=None``, and what fitting the learners on gold alone takes."""
    frame = corpus(n)
    gold = frame[frame["y"].notna()].reset_index(drop=True)
    several = {"y": ["y_llm", "b_llm"]}

    def fit(data: pd.DataFrame, learner: object, surrogates: dict[str, Any]) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            kt.ols(f"y ~ {RIGHT}", data, surrogates=surrogates, learner=learner, design=0.5, seed=1)

    karat_fit("ols", frame)
    plain = statistics.median(cpu(lambda: karat_fit("ols", frame)) for _ in range(runs))
    learned = statistics.median(cpu(lambda: karat_fit("ols", frame, "auto")) for _ in range(runs))
    fit(gold, "auto", several)
    learning = statistics.median(cpu(lambda: fit(gold, "auto", {"y": "y_llm"})) for _ in range(runs))
    return {"none_s": plain, "auto_s": learned, "learning_s": learning, "allowed_s": 5 * plain + learning}


def small_logit(runs: int) -> dict[str, float]:
    """1,412 rows, 500 gold, 7 coefficients, default learner and repeats."""
    frame = corpus(1_412)
    rng = np.random.default_rng(2)
    gold = np.zeros(1_412, dtype=bool)
    gold[rng.choice(1_412, 500, replace=False)] = True
    frame["b"] = frame["b_all"].where(gold)
    right = " + ".join(COVARIATES[:6])

    def fit() -> None:
        kt.logit(f"b ~ {right}", frame, surrogates={"b": ["b_llm", "y_llm"]}, seed=1)

    fit()
    return {"karat_s": statistics.median(cpu(fit) for _ in range(runs))}


def memory(n: int, model: str) -> dict[str, float]:
    """Peak resident memory beyond the input, in multiples of the float64 design matrix, from a fresh process."""
    text = subprocess.run(
        [sys.executable, __file__, "--memory-of", model, "--n", str(n)], capture_output=True, text=True, check=True
    ).stdout
    return json.loads(text.splitlines()[-1])


def memory_of(model: str, n: int) -> None:
    karat_fit(model, corpus(2_000))
    frame = corpus(n)
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
    before = _status("VmRSS")
    karat_fit(model, frame)
    peak = _status("VmHWM")
    design = n * (len(COVARIATES) + 1) * 8
    print(json.dumps({"multiples_of_design_matrix": (peak - before) / design}))


def _status(field: str) -> int:
    """A memory figure of this process in bytes (Linux)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith(field)).split()[1])


def growth(sizes: list[int]) -> dict[str, dict[str, float]]:
    """CPU seconds by number of rows, and the slope of its logarithm between the two largest sizes."""
    out: dict[str, dict[str, float]] = {}
    for model in ("ols", "logit"):
        seconds = {}
        for n in sizes:
            frame = corpus(n)
            karat_fit(model, frame)
            seconds[str(n)] = statistics.median(cpu(lambda m=model, f=frame: karat_fit(m, f)) for _ in range(3))
        last, before = sizes[-1], sizes[-2]
        slope = np.log(seconds[str(last)] / seconds[str(before)]) / np.log(last / before)
        out[model] = seconds | {"slope": float(slope)}
    return out


def page(found: dict[str, Any]) -> str:
    lines = [
        "# Speed and memory",
        "",
        f"Written by `make bench` (`benchmarks/speed.py`). N = {found['n']:,}, 10 coefficients, {N_GOLD:,} gold, "
        "`learner=None` unless said otherwise; CPU seconds, medians of runs taken in turn. karat's time "
        "includes gold-only and surrogate-only fits and the difference test; statsmodels fits the complete data once "
        "(formula, HC1). ppi_py, which compares nothing and gets arrays, is held against `compare=False`.",
        "",
        "| task and peer | karat, s | peer, s | ratio karat / peer | from | to |",
        "|---|---|---|---|---|---|",
    ]
    for name, r in found["peers"].items():
        lines.append(
            f"| {name} | {r['karat_s']:.2f} | {r['peer_s']:.2f} | {r['ratio']:.3f} | {r['ratio_min']:.3f} | "
            f"{r['ratio_max']:.3f} |"
        )
    d = found["default_learner"]
    lines += [
        "",
        f"- Default learner at N = {found['n']:,}: {d['auto_s']:.2f} s against {d['none_s']:.2f} s with `learner=None` "
        f"({d['auto_s'] / d['none_s']:.1f} times; a fit on the {N_GOLD:,} gold rows with the same learners takes "
        f"{d['learning_s']:.2f} s).",
        "- Logit, 1,412 rows, 500 gold, 7 coefficients, default learner and repeats: "
        f"{found['small_logit']['karat_s']:.2f} s.",
        "- Peak memory beyond the input, in multiples of the design matrix: "
        + ", ".join(f"{m} {v['multiples_of_design_matrix']:.1f}" for m, v in found["memory"].items())
        + ".",
        "",
        "| rows | " + " | ".join(found["growth"]) + " |",
        "|---|" + "---|" * len(found["growth"]),
    ]
    for n in found["sizes"]:
        seconds = [f"{found['growth'][m][str(n)]:.2f} s" for m in found["growth"]]
        lines.append(f"| {n:,} | {' | '.join(seconds)} |")
    slopes = ", ".join(f"{m} {found['growth'][m]['slope']:.2f}" for m in found["growth"])
    lines += ["", f"Slope of log seconds on log rows between the two largest sizes (1 is linear): {slopes}."]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000, 1_000_000, 10_000_000])
    parser.add_argument("--memory-of", choices=("ols", "logit"))
    options = parser.parse_args()
    if options.memory_of:
        memory_of(options.memory_of, options.n)
        return
    found: dict[str, Any] = {"n": options.n, "sizes": options.sizes, "peers": peers(options.n, options.runs)}
    print(json.dumps(found["peers"], indent=1), flush=True)
    found["default_learner"] = default_learner(options.n, 3)
    found["small_logit"] = small_logit(3)
    found["memory"] = {model: memory(options.n, model) for model in ("ols", "logit")}
    print(json.dumps({k: found[k] for k in ("default_learner", "small_logit", "memory")}, indent=1), flush=True)
    found["growth"] = growth(options.sizes)
    target = HERE / "results"
    target.mkdir(exist_ok=True)
    (target / "speed.json").write_text(json.dumps(found, indent=1))
    (target / "speed.md").write_text(page(found))
    print(page(found))


if __name__ == "__main__":
    main()
