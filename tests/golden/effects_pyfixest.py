"""Makes effects_pyfixest.csv and effects_pyfixest.json: what pyfixest answers with all labels known.

Run with pyfixest 0.60 and numpy: ``python effects_pyfixest.py`` in this folder.
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd

HERE = Path(__file__).parent
FORMULAS = [
    "y ~ x + z | state",
    "y ~ x + z | state + year",
    "y ~ x + C(kind) | state^year",
    "y ~ x + z | state + year + kind",
]
COVARIANCES = ["HC1", {"CRV1": "state"}, {"CRV1": "area"}, {"CRV1": "state + year"}]


def panel() -> pd.DataFrame:
    """An unbalanced panel with singletons and a state whose rows hang on one year."""
    rng = np.random.default_rng(5)
    n = 420
    state, year = rng.integers(0, 24, n), rng.integers(0, 9, n)
    state[:3] = [30, 31, 32]
    a, b = rng.normal(size=40), rng.normal(size=9)
    kind = rng.integers(0, 3, n)
    x = rng.normal(size=n) + 0.5 * a[state] + 0.3 * b[year]
    z = rng.normal(size=n) * np.exp(0.2 * b[year])
    y = 0.8 * x - 0.4 * z + a[state] + b[year] + 0.3 * kind + rng.normal(size=n) * (1 + 0.5 * np.abs(x))
    return pd.DataFrame(
        {
            "y": y.round(6), "x": x.round(6), "z": z.round(6), "v": rng.uniform(0.4, 2.5, n).round(4),
            "state": [f"s{k}" for k in state], "year": 2000 + year, "area": [f"a{k % 6}" for k in state],
            "kind": [f"k{k}" for k in kind],
        }
    )  # fmt: skip


def main() -> None:
    """Write data and answers."""
    import pyfixest

    data = panel()
    data.to_csv(HERE / "effects_pyfixest.csv", index=False)
    data = pd.read_csv(HERE / "effects_pyfixest.csv")
    cases = []
    for formula in FORMULAS:
        for weights in (None, "v"):
            for vcov in COVARIANCES:
                fit = pyfixest.feols(formula, data, vcov=vcov, weights=weights, fixef_tol=1e-13)
                cases.append(
                    {
                        "formula": formula, "weights": weights, "vcov": vcov, "n": int(fit._N),
                        "names": fit.coef().index.tolist(), "coefficients": fit.coef().tolist(),
                        "vcov_matrix": np.asarray(fit._vcov).tolist(), "df": float(fit._df_t),
                    }
                )  # fmt: skip
    (HERE / "effects_pyfixest.json").write_text(
        json.dumps({"pyfixest": pyfixest.__version__, "cases": cases}, indent=1)
    )


if __name__ == "__main__":
    main()
