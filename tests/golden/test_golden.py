import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import karat as kt

HERE = Path(__file__).parent
CASES = json.loads((HERE / "dsl_fixed_prediction.json").read_text())
EFFECTS = json.loads((HERE / "effects_pyfixest.json").read_text())["cases"]


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


@pytest.mark.filterwarnings("ignore:tuning=None takes fixed effects as dummies")
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


def effects_name(case):
    return f"{case['formula'].split('|')[1].strip()}-{case['weights']}-{case['vcov']}"


@pytest.mark.filterwarnings("ignore::karat.errors.SmallSampleWarning")
@pytest.mark.parametrize("case", EFFECTS, ids=effects_name)
def test_fixed_effects_agree_with_pyfixest(case):
    data = pd.read_csv(HERE / "effects_pyfixest.csv").assign(same=lambda d: d["y"])
    vcov = case["vcov"]
    if isinstance(vcov, dict):
        columns = vcov["CRV1"].split(" + ")
        vcov = {"CRV1": columns if len(columns) > 1 else columns[0]}
    result = kt.ols(
        case["formula"],
        data,
        surrogates={"y": "same"},
        estimator="gold",
        weights=case["weights"],
        vcov=vcov,
        df="satterthwaite",
        compare=False,
    )
    assert result.n_units == case["n"]
    assert list(result.names) == case["names"]
    np.testing.assert_allclose(result.theta, case["coefficients"], rtol=1e-9)
    np.testing.assert_allclose(result.df, case["df"])
    wanted = np.array(case["vcov_matrix"])
    if np.linalg.eigvalsh(wanted)[0] > 0:  # of two ways it can fail to be a covariance; karat projects it then
        np.testing.assert_allclose(result.covariance, wanted, rtol=1e-8)
