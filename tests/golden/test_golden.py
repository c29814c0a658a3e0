import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import karat as kt

HERE = Path(__file__).parent
CASES = json.loads((HERE / "dsl_fixed_prediction.json").read_text())


def fit(case):
    data = pd.read_csv(HERE / case["data"])
    return kt.regress(
        case["formula"],
        data,
        model=case["model"],
        surrogates={name: f"{name}__pred" for name in case["labelled_variables"]},
        design=kt.Bernoulli(case["probability_column"]),
        learner=None,
        imputation="value",
        tuning=None,
        vcov={"CRV0": case["cluster"]} if case["cluster"] else "HC0",
    )


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_front_door_agrees_with_the_reference(case):
    result = fit(case)
    assert (result.n_units, result.n_gold) == (case["n"], case["n_gold"])
    order = [{"(Intercept)": "Intercept"}.get(name, name) for name in case["coef_names"]]
    assert sorted(order) == sorted(result.names)
    coef, se = result.coef()[order].to_numpy(), result.se()[order].to_numpy()
    np.testing.assert_allclose(coef, case["exact"]["coefficients"], rtol=1e-8)
    np.testing.assert_allclose(se, case["exact"]["se"], rtol=1e-8)
    covariance = result.vcov_matrix.loc[order, order].to_numpy()
    np.testing.assert_allclose(covariance, case["exact"]["vcov"], rtol=1e-7, atol=1e-10 * se.max() ** 2)
    assert (np.abs(coef - case["r_dsl"]["coefficients"]) < 1e-3 * se).all()
    assert (np.abs(se / case["r_dsl"]["se"] - 1) < 1e-3).all()
