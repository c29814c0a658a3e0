"""Makes event_pyfixest.csv and event_pyfixest.json: what pyfixest answers with all labels known.

Run with pyfixest 0.60 and numpy: ``python event_pyfixest.py`` in this folder.
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd

HERE = Path(__file__).parent


def panel() -> pd.DataFrame:
    """An unbalanced panel with two cohorts, units never treated, and effects that differ between cohorts."""
    rng = np.random.default_rng(8)
    n, periods = 90, 7
    data = pd.DataFrame({"unit": np.repeat(np.arange(n), periods), "time": np.tile(np.arange(1, periods + 1), n)})
    data["cohort"] = np.array([4, 6, 0])[rng.integers(0, 3, n)][data["unit"]]
    since = data["time"] - data["cohort"]
    effect = np.where((data["cohort"] > 0) & (since >= 0), 0.5 + 0.3 * since * (data["cohort"] == 4), 0.0)
    data["y"] = (rng.normal(size=n)[data["unit"]] + 0.2 * data["time"] + effect + rng.normal(size=len(data))).round(6)
    return data[rng.random(len(data)) > 0.12]


def main() -> None:
    """Write data and answers."""
    import pyfixest

    panel().to_csv(HERE / "event_pyfixest.csv", index=False)
    data = pd.read_csv(HERE / "event_pyfixest.csv")
    saturated, at = data.copy(), {}
    for (cohort, time), rows in data[data["cohort"] > 0].groupby(["cohort", "time"]):
        if time - cohort != -1:
            at[name := f"d{cohort}_{time}"] = (int(time - cohort), len(rows))
            saturated[name] = ((data["cohort"] == cohort) & (data["time"] == time)).astype(float)
    fit = pyfixest.feols(f"y ~ {' + '.join(at)} | unit + time", saturated, vcov={"CRV1": "unit"}, fixef_tol=1e-13)
    since = np.array([at[name][0] for name in fit.coef().index])
    rows = np.array([at[name][1] for name in fit.coef().index])
    averages = {}
    for one, inside in {**{str(k): since == k for k in np.unique(since)}, "ATT": since >= 0}.items():
        weight = np.where(inside, rows, 0) / rows[inside].sum()
        averages[one] = [float(weight @ fit.coef()), float(np.sqrt(weight @ fit._vcov @ weight))]
    data["treated"] = ((data["cohort"] > 0) & (data["time"] >= data["cohort"])).astype(float)
    static = pyfixest.feols("y ~ treated | unit + time", data, vcov={"CRV1": "unit"}, fixef_tol=1e-13)
    imputed = {}
    since = data["time"] - data["cohort"]
    for k in range(int(since[data["treated"] == 1].max()) + 1):
        data[f"k{k}"] = ((data["treated"] == 1) & (since == k)).astype(float)
    for second in ("~0 + treated", "~0 + k0 + k1 + k2 + k3"):
        two = pyfixest.did2s(
            data, yname="y", first_stage="~0 | unit + time", second_stage=second, treatment="treated", cluster="unit"
        )
        imputed |= {name.replace("treated", "ATT").lstrip("k"): float(b) for name, b in two.coef().items()}
    data["since"] = np.where(data["cohort"] > 0, data["time"] - data["cohort"], -1)
    dynamic = pyfixest.feols("y ~ i(since, ref=-1) | unit + time", data, vcov={"CRV1": "unit"}, fixef_tol=1e-13)
    answers = {
        "pyfixest": pyfixest.__version__,
        "saturated": averages,
        "imputed": imputed,
        "static": [float(static.coef()["treated"]), float(static.se()["treated"])],
        "dynamic": {
            name.split("::")[-1].rstrip("]").removeprefix("T.").split(".0")[0]: [float(b), float(s)]
            for name, b, s in zip(dynamic.coef().index, dynamic.coef(), dynamic.se())
        },
    }
    (HERE / "event_pyfixest.json").write_text(json.dumps(answers, indent=1) + "\n")


if __name__ == "__main__":
    main()
