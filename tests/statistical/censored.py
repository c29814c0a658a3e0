"""Coverage of restricted mean regressions on censored durations with surrogate labels.

``python -m tests.statistical.censored`` runs at full size and prints the table kept in benchmarks/results/censored.md.
"""

import argparse
import warnings

import numpy as np
import pandas as pd

import karat as kt

TAU = 4.0
FORMULA = "time ~ x1 + x2"
SCENARIOS = {
    "marginal": "marginal",
    "stratum": "strata(x2)",
    "covariate": "kernel(x1)",
    "stopped": "strata(x2)",
}
"""How censoring depends on covariates, and the censoring model that fits; "stopped": by stratum, and the surrogate was
read from documents that end at min(T, C)."""


def draw(scenario, n_units, n_gold, rng):
    """A corpus with gold durations of a random sample, and the complete outcome of all units."""
    x1, x2 = rng.uniform(-1, 1, n_units), rng.integers(0, 2, n_units)
    t = np.exp(0.7 + 0.5 * x1 - 0.6 * x2) * rng.weibull(1.3, n_units)
    scale = {"marginal": np.full(n_units, 5.0), "covariate": 6.0 * np.exp(-0.9 * x1)}.get(
        scenario, np.where(x2 == 1, 3.0, 9.0)
    )
    c = rng.exponential(scale)
    time, event = np.minimum(t, c), (t <= c).astype(float)
    seen = time if scenario == "stopped" else t
    surrogate = seen * np.exp(rng.normal(0.15 + 0.2 * x2, 0.4))
    data = pd.DataFrame({"time": time, "event": event, "x1": x1, "x2": x2, "time_llm": surrogate})
    data.loc[rng.permutation(n_units)[n_gold:], ["time", "event"]] = np.nan
    return data, np.minimum(t, TAU)


def truth(n_units=2_000_000, seed=99):
    """Coefficients of min(T, tau) on the covariates, all scenarios alike."""
    data, outcome = draw("marginal", n_units, n_units, np.random.default_rng(seed))
    x = np.column_stack((np.ones(n_units), data["x1"], data["x2"]))
    return np.linalg.solve(x.T @ x, x.T @ outcome)


def estimators(scenario):
    """Name -> (options of the fit, whether its interval should cover)."""
    right = SCENARIOS[scenario]
    out = {
        "augmented": ({"censoring": right}, True),
        "inverse probability": ({"censoring": right, "form": "ipcw"}, scenario != "covariate"),
        "product": (
            {"censoring": right, "form": "product", "surrogate_blind_to_censoring": True},
            scenario != "stopped",
        ),
    }
    if scenario == "marginal":
        out["pseudo-observations"] = ({"censoring": right, "form": "pseudo"}, True)
    else:
        out["augmented, wrong G"] = ({"censoring": "marginal"}, True)
        out["inverse probability, wrong G"] = ({"censoring": "marginal", "form": "ipcw"}, False)
    return out


NAIVE = {"Surrogate only": "naive label", "Censored as complete": "censored as complete", "Censored dropped": "dropped"}


def study(scenario, repetitions, n_units=2_000, n_gold=500, seed=0):
    """Estimates, standard errors and coverage of every estimator.

    Returns
    -------
    pandas.DataFrame
        One row per estimator and coefficient: bias, sd, mean se, coverage, its Monte Carlo error, whether it should
        cover.
    """
    target = truth()
    kept = {}
    for r in range(repetitions):
        rng = np.random.default_rng([seed, r, list(SCENARIOS).index(scenario)])
        data, _ = draw(scenario, n_units, n_gold, rng)
        for name, (options, good) in estimators(scenario).items():
            options = {"learner": "linear", "repeats": 1, **options} if "estimator" not in options else dict(options)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                fit = kt.rmst(FORMULA, data, event="event", tau=TAU, surrogates={"time": "time_llm"}, seed=r,
                              compare=name == "augmented", **options)  # fmt: skip
            bounds = fit.confint().to_numpy()
            kept.setdefault((name, good), []).append((fit.theta, np.sqrt(np.diag(fit.covariance)), *bounds.T))
            if name == "augmented":
                for column in fit.comparison.columns:
                    if column.title in NAIVE:
                        low, high = fit.comparison.bounds(column)
                        entry = (column.theta, column.se, low, high)
                        kept.setdefault((NAIVE[column.title], False), []).append(entry)
    rows = []
    for (name, good), found in kept.items():
        theta, se, low, high = np.array(found).transpose(1, 0, 2)
        cover = ((low <= target) & (target <= high)).mean(axis=0)
        for j, term in enumerate(("Intercept", "x1", "x2")):
            bias, sd = theta[:, j].mean() - target[j], theta[:, j].std(ddof=1)
            error = np.sqrt(cover[j] * (1 - cover[j]) / repetitions)
            rows.append((scenario, name, term, target[j], bias, sd, se[:, j].mean(), cover[j], error, good))
    names = ["scenario", "estimator", "term", "truth", "bias", "sd", "mean se", "coverage", "mc error", "should cover"]
    return pd.DataFrame(rows, columns=names)


def main():
    """Run all scenarios and print the table as markdown."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--repetitions", type=int, default=500)
    parser.add_argument("--scenario", choices=[*SCENARIOS, "all"], default="all")
    given = parser.parse_args()
    for scenario in SCENARIOS if given.scenario == "all" else [given.scenario]:
        table = study(scenario, given.repetitions)
        print(f"\n### {scenario} ({given.repetitions} repetitions, 2,000 units, 500 gold, tau = {TAU:g})\n")
        print("| " + " | ".join(table.columns[1:]) + " |")
        print("|" + "---|" * (len(table.columns) - 1))
        for row in table.itertuples(index=False):
            cells = [f"{v:.3f}" if isinstance(v, float) else str(v) for v in row[1:]]
            print("| " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
