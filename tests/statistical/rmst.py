"""Coverage of regressions of restricted means, on censored durations with surrogate labels.

``python -m tests.statistical.rmst`` runs at full size (about a quarter of an hour of one core) and writes
benchmarks/results/rmst.md and rmst.json. A small version is in the test suite.
"""

import argparse
import functools
import json
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

import karat as kt

TAU = 4.0
FORMULA = "time ~ x1 + x2"
TERMS = ("Intercept", "x1", "x2")
TRUTH_ROWS = 4_000_000
RIGHT = {
    "marginal": "marginal",
    "stratum": "strata(x2)",
    "covariate": "kernel(x1)",
    "stopped": "strata(x2)",
    "designed": "strata(x2)",
}
"""How censoring depends on covariates, and the censoring model that fits. "stopped": by stratum, and the surrogate was
read from documents that end at min(T, C). "designed": like it, and gold was drawn in equal numbers from unequal strata
of the surrogate, so that gold weights run from 1.6 to 8.4. Elsewhere gold is a simple random sample."""

ABOUT = {
    "marginal": "censoring depends on nothing",
    "stratum": "censoring depends on x2",
    "covariate": "censoring depends on x1, a continuous covariate (kernel)",
    "stopped": "censoring depends on x2; the surrogate was read from documents that stop when observation stops",
    "designed": "as stopped, and gold drawn in equal numbers from unequal strata of the surrogate",
}
NAIVE = {
    "Surrogate only": "naive label",
    "Censored as complete": "censored as complete",
    "Censored dropped": "censored dropped",
}
AGAIN = {"scenario": "marginal", "repetitions": 1_200, "seed": 1, "only": ("augmented", "augmented, gold alone")}
"""The scenario whose lowest coverage was furthest from .95, once more with another seed."""
HOME = Path(__file__).parents[2] / "benchmarks" / "results"


def durations(n_units, rng):
    """Covariates and complete durations; their restricted mean is no straight line in x1."""
    x1, x2 = rng.uniform(-1, 1, n_units), rng.integers(0, 2, n_units)
    return x1, x2, np.exp(0.7 + 0.5 * x1 - 0.6 * x2) * rng.weibull(1.3, n_units)


def draw(scenario, n_units, n_gold, rng):
    """A corpus whose durations are known, possibly censored, for the gold rows; and how these were drawn."""
    x1, x2, t = durations(n_units, rng)
    mean = {"marginal": np.full(n_units, 5.0), "covariate": 6.0 * np.exp(-0.9 * x1)}
    c = rng.exponential(mean.get(scenario, np.where(x2 == 1, 3.0, 9.0)))
    time, event = np.minimum(t, c), (t <= c).astype(float)
    seen = time if scenario in ("stopped", "designed") else t
    surrogate = seen * np.exp(rng.normal(0.15 + 0.2 * x2, 0.4))
    data = pd.DataFrame({"time": time, "event": event, "x1": x1, "x2": x2, "time_llm": surrogate})
    data["kind"] = np.digitize(surrogate, np.quantile(surrogate, [0.13, 0.3]))
    design = kt.SimpleRandom(n=n_gold)
    if scenario == "designed":
        design = kt.Stratified("kind", n=n_gold, allocation="equal")
    sample = design.draw(data, seed=rng)
    data.loc[~sample.labelled, ["time", "event"]] = np.nan
    return data, sample.design


@functools.cache
def truth():
    """Coefficients of min(T, tau) on the covariates, all scenarios alike."""
    x1, x2, t = durations(TRUTH_ROWS, np.random.default_rng(99))
    x = np.column_stack((np.ones(len(t)), x1, x2))
    return np.linalg.solve(x.T @ x, x.T @ np.minimum(t, TAU))


def estimators(scenario):
    """Name -> (options of the fit, whether its interval should cover)."""
    right, blind = RIGHT[scenario], scenario not in ("stopped", "designed")
    out = {
        "augmented": ({"censoring": right}, True),
        "augmented, gold alone": ({"censoring": right, "estimator": "gold"}, True),
        "inverse probability": ({"censoring": right, "form": "ipcw"}, scenario != "covariate"),
        "product": ({"censoring": right, "form": "product", "surrogate_blind_to_censoring": True}, blind),
    }
    if scenario == "marginal":
        out["pseudo-observations"] = ({"censoring": right, "form": "pseudo"}, True)
        out["inverse probability, G taken as known"] = (
            {"censoring": right, "form": "ipcw", "known_censoring": True}, True,
        )  # fmt: skip
    else:
        out["augmented, wrong G"] = ({"censoring": "marginal"}, True)
        out["inverse probability, wrong G"] = ({"censoring": "marginal", "form": "ipcw"}, False)
    return out


def study(scenario, repetitions, n_units=2_000, n_gold=500, seed=0, only=None):
    """Estimates, standard errors and coverage of every estimator.

    Returns
    -------
    pandas.DataFrame
        One row per estimator and coefficient: bias, sd, mean se, coverage, its Monte Carlo error, whether it should
        cover.
    """
    kept = {}
    chosen = {k: v for k, v in estimators(scenario).items() if only is None or k in only}
    for r in range(repetitions):
        rng = np.random.default_rng([seed, r, list(RIGHT).index(scenario)])
        data, design = draw(scenario, n_units, n_gold, rng)
        for name, (options, good) in chosen.items():
            options = {"learner": "linear", "repeats": 1, **options} if "estimator" not in options else dict(options)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                fit = kt.rmst(FORMULA, data, event="event", tau=TAU, surrogates={"time": "time_llm"}, design=design,
                              seed=r, compare=name == "augmented", **options)  # fmt: skip
            kept.setdefault((name, good), []).append((fit.theta, fit.se(), *fit.confint().to_numpy().T))
            if name == "augmented":
                for column in fit.comparison.columns:
                    if column.title in NAIVE:
                        entry = (column.theta, column.se, *fit.comparison.bounds(column))
                        kept.setdefault((NAIVE[column.title], False), []).append(entry)
    return pd.concat([_lines(scenario, name, good, np.array(found)) for (name, good), found in kept.items()])


def _lines(scenario, name, good, found):
    theta, se, low, high = found.transpose(1, 0, 2)
    target = truth()
    cover = ((low <= target) & (target <= high)).mean(axis=0)
    return pd.DataFrame(
        {
            "scenario": scenario,
            "estimator": name,
            "term": TERMS,
            "truth": target,
            "bias": theta.mean(axis=0) - target,
            "sd": theta.std(axis=0, ddof=1),
            "mean se": se.mean(axis=0),
            "coverage": cover,
            "mc error": np.sqrt(cover * (1 - cover) / len(theta)),
            "should cover": "yes" if good else "no",
        }
    )


def report(tables, repetitions, again=None):
    """The tables as markdown."""
    out = [
        "# Coverage of restricted mean regressions with surrogate labels",
        "",
        f"{repetitions} repetitions of 2,000 units, 500 gold, tau = {TAU:g}, intervals at 95 %, linear learner. "
        "Written by `python -m tests.statistical.rmst`. Monte Carlo error of a coverage of .95: "
        f"{np.sqrt(0.95 * 0.05 / repetitions):.3f}. \"should cover\": whether theory promises it.",
    ]  # fmt: skip
    titles = [(f"{scenario}: {ABOUT[scenario]}", table) for scenario, table in tables.items()]
    if again is not None:
        titles.append((f"{AGAIN['scenario']} once more: another seed, {AGAIN['repetitions']:,} repetitions", again))
    for title, table in titles:
        out += ["", f"## {title}", ""]
        shown = table.drop(columns=["scenario", "truth"])
        out += ["| " + " | ".join(shown.columns) + " |", "|" + "---|" * len(shown.columns)]
        for row in shown.itertuples(index=False):
            out.append("| " + " | ".join(f"{v:.3f}" if isinstance(v, float) else str(v) for v in row) + " |")
    return "\n".join(out) + "\n"


def main():
    """Run scenarios, and write the tables when all are there."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=500)
    parser.add_argument("--scenario", choices=[*RIGHT, "again", "all"], default="all")
    parser.add_argument("--out", type=Path, default=HOME)
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    held = given.out / "rmst.json"
    done = json.loads(held.read_text()) if held.exists() else {}
    if done.get("repetitions") != given.repetitions:
        done = {"repetitions": given.repetitions, "scenarios": {}}
    for scenario in [*RIGHT, "again"] if given.scenario == "all" else [given.scenario]:
        again = scenario == "again"
        table = study(**AGAIN) if again else study(scenario, given.repetitions)
        print(table.drop(columns=["scenario", "truth"]).round(3).to_string(), flush=True)
        records = table.round(6).to_dict(orient="records")
        done.update(again=records) if again else done["scenarios"].update({scenario: records})
        held.write_text(json.dumps(done, indent=1) + "\n")
        tables = {k: pd.DataFrame(done["scenarios"][k]) for k in RIGHT if k in done["scenarios"]}
        more = pd.DataFrame(done["again"]) if "again" in done else None
        (given.out / "rmst.md").write_text(report(tables, given.repetitions, more))


if __name__ == "__main__":
    main()
