"""Event studies: equal to pyfixest with all labels known; bands, tests; what is refused."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import karat as kt
from karat.errors import ArgumentError, DataError, KaratError

GOLDEN = Path(__file__).parents[1] / "golden"
PANEL = {"unit": "unit", "time": "time", "cohort": "cohort"}


def panel():
    data = pd.read_csv(GOLDEN / "event_pyfixest.csv")
    data["cohort"] = data["cohort"].replace(0, np.nan)
    return data


def labelled():
    rng, data = np.random.default_rng(1), panel()
    treated = data["time"] >= data["cohort"]
    data["llm"] = data["y"] + 0.4 * treated + rng.normal(scale=0.4, size=len(data))
    data.loc[rng.permutation(len(data))[250:], "y"] = np.nan
    return data


@pytest.mark.parametrize(("kind", "method"), [("saturated", "sunab"), ("dynamic", "twfe")])
def test_all_gold_is_pyfixest(kind, method):
    wanted = json.loads((GOLDEN / "event_pyfixest.json").read_text())[kind]
    found = kt.event_study("y", panel(), **PANEL, method=method, shares="fixed", vcov={"CRV1": "unit"})
    for name, (value, se) in wanted.items():
        assert found.coef()[name] == pytest.approx(value, abs=1e-6), name
        assert found.se()[name] == pytest.approx(se, abs=1e-6), name


def test_static_effect_is_pyfixest():
    value, se = json.loads((GOLDEN / "event_pyfixest.json").read_text())["static"]
    found = kt.did("y", panel(), **PANEL, method="twfe", vcov={"CRV1": "unit"})
    assert found.coef()["ATT"] == pytest.approx(value, abs=1e-6)
    assert found.se()["ATT"] == pytest.approx(se, abs=1e-6)


def test_shares_of_cohorts_add_to_the_variance():
    fixed, estimated = (kt.event_study("y", panel(), **PANEL, shares=s) for s in ("fixed", "estimated"))
    assert (estimated.se() >= fixed.se() - 1e-12).all()
    assert estimated.se()["ATT"] > fixed.se()["ATT"]
    only_one = estimated.se()["-5"] - fixed.se()["-5"]
    assert only_one == pytest.approx(0.0, abs=1e-12)


def test_labelled_outcome_bands_test_and_picture():
    import matplotlib

    matplotlib.use("Agg")
    found = kt.event_study("y", labelled(), **PANEL, surrogates={"y": "llm"}, seed=1, learner="linear", repeats=1)
    every = found.simultaneous()
    points = found.confint().loc[every.index]
    assert (every.iloc[:, -2] < points.iloc[:, 0]).all()
    assert (every.iloc[:, -1] > points.iloc[:, 1]).all()
    assert found.pretrends().df_numerator == (found.grid["time"] < 0).sum()
    assert found.plot().get_xlabel() == "time since treatment"
    assert found.by_cohort.cluster == "unit"
    one = kt.did("y", labelled(), **PANEL, surrogates={"y": "llm"}, seed=1, learner="linear", repeats=1)
    assert one.coef()["ATT"] == pytest.approx(found.coef()["ATT"], rel=1e-10)
    with pytest.raises(KaratError, match="event_study"):
        one.simultaneous()


@pytest.mark.parametrize(
    ("change", "arguments", "match"),
    [
        ({}, {"surrogates": {"cohort": "llm"}}, "must be observed"),
        ({}, {"formula": "y | unit"}, "must read"),
        ({}, {"reference": 0}, "reference"),
        ({}, {"reference": -6}, "no row at time -6"),
        ({}, {"method": "stacked"}, "method"),
        ({"cohort": 4.0}, {}, "is missing in no row"),
        ({"cohort": np.nan}, {}, "is missing in every row"),
        ({"cohort": "time"}, {}, "changes within"),
    ],
)
def test_refused(change, arguments, match):
    data = panel().assign(llm=0.0)
    for name, value in change.items():
        data[name] = data[value] if isinstance(value, str) else value
    with pytest.raises((ArgumentError, DataError), match=match):
        kt.event_study(**{"formula": "y", "data": data, **PANEL, **arguments})


def test_shares_of_cohorts_are_known_in_a_finite_corpus():
    found = [kt.event_study("y", panel(), **PANEL, shares=s, target="finite") for s in ("fixed", "estimated")]
    np.testing.assert_allclose(found[0].covariance, found[1].covariance)


@pytest.mark.parametrize("options", [{"estimator": "ppi"}, {"compare": True}])
def test_what_needs_surrogates_is_refused_without_them(options):
    with pytest.raises(KaratError, match="without surrogates="):
        kt.event_study("y", panel(), **PANEL, **options)
