"""Effects by imputation: equal to did2s of pyfixest and to dummies written out; what is not identified is said."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import karat as kt
from karat.errors import ArgumentError, DataError, KaratError

GOLDEN = Path(__file__).parents[1] / "golden"
PANEL = {"unit": "unit", "time": "time", "cohort": "cohort", "method": "imputation"}
FIXED = {"surrogates": {"y": "llm"}, "learner": None, "seed": 1}


def panel():
    data = pd.read_csv(GOLDEN / "event_pyfixest.csv")
    data["cohort"] = data["cohort"].replace(0, np.nan)
    rng = np.random.default_rng(2)
    data["x"] = 100 + rng.normal(size=len(data)).round(4)
    data["v"] = rng.uniform(0.5, 2, len(data)).round(4)
    data["llm"] = (data["y"] + 0.4 * (data["time"] >= data["cohort"]) + rng.normal(scale=0.4, size=len(data))).round(4)
    return data


def masked(n=250):
    data = panel()
    data.loc[np.random.default_rng(1).permutation(len(data))[n:], "y"] = np.nan
    return data


def plain(data, y, covariates=(), v=None):
    """Untreated rows regressed on dummies written out, effects of treated rows, and their sum's influence by row."""
    v = np.ones(len(data)) if v is None else v
    treated = (data["time"] >= data["cohort"]).to_numpy()
    dummies = [pd.get_dummies(data["unit"]), pd.get_dummies(data["time"]).iloc[:, 1:]]
    z = np.hstack([*(d.to_numpy(float) for d in dummies), data[list(covariates)].to_numpy()])
    root = np.sqrt(v[~treated])[:, None]
    hat = np.linalg.pinv(z[~treated] * root, rcond=1e-12) * root.T
    beta = hat @ y[~treated]
    tau = y - z @ beta
    share = treated * v / (treated * v).sum()
    c = share.copy()
    c[~treated] -= (share @ z) @ hat
    cell = data.groupby(["cohort", "time"], dropna=False).ngroup().to_numpy()
    total, sums = np.bincount(cell, v), np.bincount(cell, v * tau)
    residual = tau - np.where(treated, (sums / total)[cell], 0.0)
    return float(share @ tau), c * residual, c


def test_did2s_of_pyfixest_has_the_same_effects():
    wanted = json.loads((GOLDEN / "event_pyfixest.json").read_text())["imputed"]
    found = kt.event_study("y", panel(), **PANEL).coef()
    for name, value in wanted.items():
        assert found[name] == pytest.approx(value, abs=5e-6), name  # did2s takes means out to about 1e-6


@pytest.mark.parametrize("covariates", [(), ("x",)])
@pytest.mark.parametrize("weights", [None, "v"])
def test_complete_data_are_dummies_written_out(covariates, weights):
    data = panel()
    v = None if weights is None else data["v"].to_numpy()
    value, influence, _ = plain(data, data["y"].to_numpy(), covariates, v)
    totals = np.bincount(data["unit"], influence)
    formula = "y ~ x" if covariates else "y"
    found = kt.did(formula, data, **PANEL, shares="fixed", vcov={"CRV0": "unit"}, weights=weights)
    assert found.theta[0] == pytest.approx(value, rel=1e-9)
    assert found.se()["ATT"] == pytest.approx(np.sqrt(totals @ totals), rel=1e-8)


def test_labelled_outcomes_enter_with_the_weights_of_the_panel():
    data = masked()
    gold = data["y"].notna().to_numpy()
    w = gold * len(data) / gold.sum()
    augmented = data["llm"].to_numpy() + w * np.where(gold, data["y"] - data["llm"], 0.0)
    value, _, c = plain(data, augmented)
    found = kt.did("y", data, **PANEL, **FIXED, tuning=None, target="finite")
    assert found.theta[0] == pytest.approx(value, rel=1e-9)
    error = (c * (data["y"] - data["llm"]))[gold]
    n, share = gold.sum(), gold.mean()
    by_hand = n * error.var(ddof=1) * (1 - share) / share**2  # of a simple random sample
    plainly = kt.did("y", data, **PANEL, **FIXED, tuning=None, target="finite", vcov={"CRV0": "unit"})
    assert plainly.covariance[0, 0] == pytest.approx(by_hand, rel=1e-8)


def test_all_gold_needs_no_surrogates():
    with_them = kt.event_study("y", panel(), **PANEL, **FIXED)
    without = kt.event_study("y", panel(), **PANEL)
    np.testing.assert_allclose(with_them.theta, without.theta, rtol=1e-10)
    np.testing.assert_allclose(with_them.covariance, without.covariance, rtol=1e-8, atol=1e-14)


def test_what_is_constant_in_a_unit_does_not_matter():
    data, moved = masked(), masked()
    for name in ("y", "llm"):
        moved[name] += 50.0 * np.random.default_rng(3).normal(size=data["unit"].max() + 1)[data["unit"]]
    found = [kt.event_study("y", one, **PANEL, **FIXED) for one in (data, moved)]
    np.testing.assert_allclose(found[0].theta, found[1].theta, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(found[0].covariance, found[1].covariance, rtol=1e-6, atol=1e-10)


def test_gold_of_whole_units_can_stand_alone():
    data = panel()
    sample = kt.Clustered("unit", n=45).draw(data, seed=1)
    labelled = kt.datasets.mask_gold(data, sample, "y")
    found = kt.event_study("y", labelled, **PANEL, **FIXED, design=sample.design, compare=True)
    gold = next(column for column in found.by_cohort.compare().columns if column.title == "Gold only")
    alone = kt.event_study("y", labelled, **PANEL, design=sample.design).by_cohort
    np.testing.assert_allclose(gold.theta, alone.theta, rtol=1e-9)
    assert gold.theta == pytest.approx(
        [plain(part, part["y"].to_numpy())[0] for _, part in _by_cell(labelled.dropna(subset="y"))], rel=1e-9
    )
    assert (found.se() < kt.event_study("y", labelled, **PANEL, design=sample.design).se())["ATT"]


def _by_cell(data):
    """For each treated cell the untreated rows and those of the cell."""
    since = data["time"] - data["cohort"]
    for key in data.loc[since >= 0].groupby(["cohort", "time"]).groups:
        yield key, data[~(since >= 0) | ((data["cohort"] == key[0]) & (data["time"] == key[1]))]


def test_leads_are_a_regression_on_untreated_rows_and_are_tested():
    data = panel()
    found = kt.event_study("y", data, **PANEL)
    untreated = data[~(data["time"] >= data["cohort"])]
    since = untreated["time"] - untreated["cohort"]
    leads = np.column_stack([(since == k).to_numpy(float) for k in (-5, -4, -3, -2)])
    dummies = [pd.get_dummies(untreated["unit"]), pd.get_dummies(untreated["time"]).iloc[:, 1:]]
    z = np.hstack([leads, *(d.to_numpy(float) for d in dummies)])
    np.testing.assert_allclose(found.theta[:4], np.linalg.lstsq(z, untreated["y"], rcond=None)[0][:4], rtol=1e-8)
    assert found.pretrends().df_numerator == 4
    assert np.linalg.eigvalsh(found.covariance)[0] > -1e-12
    assert np.abs(found.covariance[:4, 4:-1]).max() > 0
    assert len(found.simultaneous()) == len(found.names) - 1


def test_without_units_never_treated_effects_are_identified_as_long_as_some_are_not_yet_treated():
    data = panel().dropna(subset="cohort")
    with pytest.raises(DataError, match=r"in 6, 7 no row is without treatment.*4\|2, 4\|3, 6\|0, 6\|1"):
        kt.did("y", data, **PANEL)
    found = kt.event_study("y", data, **PANEL, subset=data["time"] < 6)
    assert found.names == ("0", "1", "ATT")
    early = data[data["time"] < 6]
    assert found.theta[-1] == pytest.approx(plain(early, early["y"].to_numpy())[0], rel=1e-9)
    with pytest.raises(KaratError, match="no unit is never treated"):
        found.pretrends()


@pytest.mark.parametrize(
    ("change", "arguments", "match"),
    [
        (lambda d: d.assign(cohort=np.where(d["unit"] == 3, 1, d["cohort"])), {}, r"1 unit\(s\).*none without.*\(3\)"),
        (lambda d: d, {"vcov": "HC1"}, "no covariance 'HC1'"),
        (lambda d: d, {"vcov": {"CRV3": "unit"}}, "no covariance 'CRV3'"),
        (lambda d: d, {"cluster": "time"}, "split units"),
        (lambda d: d, {"formula": "y ~ x", "surrogates": {"x": "v"}}, "covariate 'x'"),
        (lambda d: d.assign(z=1.0 * (d["time"] >= d["cohort"])), {"formula": "y ~ z"}, "does not vary in them"),
        (lambda d: d.assign(cohort=np.nan), {}, "is missing in every row"),
    ],
)
def test_refused(change, arguments, match):
    with pytest.raises((ArgumentError, DataError), match=match):
        kt.did(**{"formula": "y", "data": change(panel()), **PANEL, **arguments})


def test_scattered_gold_alone_is_refused_and_the_comparison_says_so():
    with pytest.raises(DataError, match="among gold rows alone"):
        kt.did("y", masked(100), **PANEL, **{**FIXED, "learner": "auto"}, estimator="gold")
    found = kt.event_study("y", masked(100), **PANEL, **FIXED, compare=True).by_cohort
    assert any("gold alone is not shown" in note for note in found.notes)
    assert "Gold only" not in [column.title for column in found.compare().columns]
