"""Make leaders_lifelines.json: what lifelines says about its table of leaders' survival in office.

Run with lifelines 0.30.3 installed (it asks for pandas < 3 but works with 3; install it with --no-deps, with autograd
and autograd-gamma). The table is `lifelines.datasets.load_dd()`, from Cheibub, Gandhi and Vreeland (2010), "Democracy
and dictatorship revisited", Public Choice 143; only counts of duration, observed and democracy are kept.
"""

import json
from pathlib import Path


def main() -> None:
    from lifelines import KaplanMeierFitter, __version__
    from lifelines.datasets import load_dd
    from lifelines.utils import restricted_mean_survival_time

    table = load_dd()
    counts = table.groupby(["duration", "observed", "democracy"]).size().reset_index(name="rows")
    cases = []
    for name, rows in [("all", table), *table.groupby("democracy")]:
        fit = KaplanMeierFitter().fit(rows["duration"], rows["observed"])
        for tau in (5, 10, 20):
            cases.append(
                {
                    "rows": name,
                    "tau": tau,
                    "survival": float(fit.predict(tau)),
                    "restricted_mean": float(restricted_mean_survival_time(fit, t=tau)),
                }
            )
    out = {
        "source": f"lifelines {__version__}, load_dd; KaplanMeierFitter, restricted_mean_survival_time",
        "counts": {name: counts[name].tolist() for name in counts},
        "cases": cases,
    }
    Path(__file__).with_suffix(".json").write_text(json.dumps(out, indent=1) + "\n")


if __name__ == "__main__":
    main()
