"""Makes instruments_linearmodels.csv and .json: what linearmodels and pyfixest answer with all labels known.

Run with linearmodels 7.1, pyfixest 0.60 and numpy: ``python instruments_linearmodels.py`` in this folder.
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd

HERE = Path(__file__).parent
FORMULAS = ["y ~ 1 + w + [x ~ z1]", "y ~ 1 + w + [x ~ z1 + z2]", "y ~ 1 + w + [x + x2 ~ z1 + z2 + z3]"]
EFFECTS = ["y ~ w | state | x ~ z1", "y ~ w | state + year | x ~ z1 + z2"]


def table() -> pd.DataFrame:
    """Two endogenous covariates, three instruments, groups and weights."""
    rng = np.random.default_rng(8)
    n = 360
    state, year = rng.integers(0, 18, n), rng.integers(0, 5, n)
    z = rng.normal(size=(n, 3)) + 0.3 * rng.normal(size=18)[state][:, None]
    w, u = rng.normal(size=n), rng.normal(size=n)
    x = 0.5 * z[:, 0] + 0.3 * z[:, 1] + 0.3 * w + 0.8 * u + rng.normal(size=n)
    x2 = 0.4 * z[:, 2] - 0.3 * z[:, 0] + 0.5 * u + rng.normal(size=n)
    y = 1.0 + 0.7 * x - 0.4 * w + 0.2 * x2 + u * (1 + 0.4 * np.abs(z[:, 0])) + 0.5 * rng.normal(size=18)[state]
    columns = {"y": y, "x": x, "x2": x2, "w": w, "z1": z[:, 0], "z2": z[:, 1], "z3": z[:, 2]}
    data = pd.DataFrame(columns).round(6)
    return data.assign(v=rng.uniform(0.4, 2.5, n).round(4), state=[f"s{k}" for k in state], year=2000 + year)


def main() -> None:
    """Write data and answers."""
    import linearmodels
    import pyfixest
    from linearmodels.iv import IV2SLS

    table().to_csv(HERE / "instruments_linearmodels.csv", index=False)
    data = pd.read_csv(HERE / "instruments_linearmodels.csv")
    cases = []
    for formula in FORMULAS:
        for weights in (None, "v"):
            for vcov in ("HC0", "HC1", "CRV0", "CRV1"):
                given = None if weights is None else data[weights]
                model = IV2SLS.from_formula(formula, data, weights=given)
                if vcov.startswith("HC"):
                    fit = model.fit(cov_type="robust", debiased=vcov == "HC1")
                else:
                    codes = pd.factorize(data["state"])[0]
                    fit = model.fit(cov_type="clustered", clusters=codes, debiased=vcov == "CRV1")
                names = [str(name).replace("Intercept", "Intercept") for name in fit.params.index]
                cases.append(
                    {
                        "program": "linearmodels", "formula": formula, "weights": weights, "vcov": vcov, "names": names,
                        "coefficients": fit.params.tolist(), "vcov_matrix": np.asarray(fit.cov).tolist(),
                    }
                )  # fmt: skip
    for formula in EFFECTS:
        for weights in (None, "v"):
            for vcov in ("HC1", "CRV1"):
                asked = {"CRV1": "state"} if vcov == "CRV1" else vcov
                fit = pyfixest.feols(formula, data, vcov=asked, weights=weights, fixef_tol=1e-13)
                cases.append(
                    {
                        "program": "pyfixest", "formula": formula, "weights": weights, "vcov": vcov,
                        "names": fit.coef().index.tolist(), "coefficients": fit.coef().tolist(),
                        "vcov_matrix": np.asarray(fit._vcov).tolist(),
                    }
                )  # fmt: skip
    fit = pyfixest.feols("y ~ w | x ~ z1 + z2", data, vcov="HC1")
    fit.IV_Diag()
    first = {"effective_f": float(fit._eff_F)}
    told = {"linearmodels": linearmodels.__version__, "pyfixest": pyfixest.__version__, "cases": cases, "first": first}
    (HERE / "instruments_linearmodels.json").write_text(json.dumps(told, indent=1))


if __name__ == "__main__":
    main()
