"""Makes curved_pyfixest.csv and curved_pyfixest.json: Poisson and logit with fixed effects, all labels known.

Run with pyfixest 0.60 and numpy: ``python curved_pyfixest.py`` in this folder.
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd

HERE = Path(__file__).parent
EFFECTS = ["state", "state + year"]
COVARIANCES = ["HC1", {"CRV1": "state"}, {"CRV1": "area"}]


def panel() -> pd.DataFrame:
    """States and years, of which some have counts of 0 alone, or no vote."""
    rng, n = np.random.default_rng(6), 600
    state, year = rng.integers(0, 25, n), rng.integers(0, 8, n)
    a, b = rng.normal(size=40), rng.normal(size=8) * 0.5
    x, z = rng.normal(size=n) + 0.4 * a[state], rng.normal(size=n)
    count = rng.poisson(np.exp(0.5 * x - 0.3 * z + 0.6 * a[state] + b[year] - 0.3))
    vote = (rng.random(n) < 1 / (1 + np.exp(-(0.8 * x - 0.4 * z + 0.6 * a[state] + b[year])))).astype(int)
    count[(state == 3) | (year == 7)] = 0
    vote[state == 9] = 0
    return pd.DataFrame(
        {
            "count": count, "vote": vote, "x": x.round(6), "z": z.round(6), "state": [f"s{k}" for k in state],
            "year": 2000 + year, "area": [f"a{k % 6}" for k in state],
        }
    )  # fmt: skip


def main() -> None:
    """Write data and answers."""
    import pyfixest

    panel().to_csv(HERE / "curved_pyfixest.csv", index=False)
    data = pd.read_csv(HERE / "curved_pyfixest.csv")
    cases = []
    for outcome in ("count", "vote"):
        for effects in EFFECTS:
            for vcov in COVARIANCES:
                formula = f"{outcome} ~ x + z | {effects}"
                if outcome == "count":
                    fit = pyfixest.fepois(formula, data, vcov=vcov, iwls_tol=1e-12)
                else:
                    mean = data.groupby("state")["vote"].transform("mean")
                    some = data[(mean > 0) & (mean < 1)]  # feglm would count levels that have left
                    fit = pyfixest.feglm(formula, some, family="logit", vcov=vcov, iwls_tol=1e-12)
                cases.append(
                    {
                        "formula": formula, "vcov": vcov, "n": int(fit._N), "coefficients": fit.coef().tolist(),
                        "se": fit.se().tolist(),
                    }
                )  # fmt: skip
    (HERE / "curved_pyfixest.json").write_text(json.dumps(cases, indent=1) + "\n")


if __name__ == "__main__":
    main()
