"""Means and shares by group: intervals, standard errors, and groups without gold."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest

import karat as kt
from karat.errors import DataError, SmallSampleWarning

from .. import corpora

pytestmark = pytest.mark.filterwarnings("ignore::karat.errors.KaratWarning")
SURROGATES = {"surrogates": {"z": "s"}, "learner": "calibration", "repeats": 1, "seed": 5}


@pytest.fixture(scope="module")
def frame():
    rng = np.random.default_rng(11)
    group = rng.choice(list("abcd"), 600, p=[0.4, 0.3, 0.2, 0.1])
    z = (rng.random(600) < 0.15).astype(float)
    data = pd.DataFrame({"g": group, "h": rng.integers(0, 2, 600), "z": z, "c": np.arange(600) // 5})
    data["s"] = np.where(rng.random(600) < 0.9, z, 1 - z)
    return data


@pytest.fixture(scope="module")
def sample(frame):
    return kt.SimpleRandom(n=120).draw(frame, seed=2)


@pytest.fixture(scope="module")
def masked(frame, sample):
    return kt.datasets.mask_gold(frame, sample, "z")


@pytest.mark.parametrize("positives", [0, 1, 7, 40])
def test_gold_alone_gives_the_interval_of_clopper_and_pearson(positives):
    proportion = pytest.importorskip("statsmodels.stats.proportion")
    gold = np.arange(400) < 40
    data = pd.DataFrame({"z": np.where(gold, np.arange(400) < positives, np.nan), "s": (np.arange(400) % 3 == 0) * 1.0})
    fit = kt.mean("z", data, surrogates={"z": "s"}, estimator="gold", design=kt.SimpleRandom(n=40), compare=False)
    for alpha in (0.05, 0.2):
        expected = proportion.proportion_confint(positives, 40, alpha=alpha, method="beta")
        np.testing.assert_allclose(fit.confint(alpha).iloc[0], expected, rtol=1e-6, atol=1e-12)
    assert fit.se().iloc[0] > 0


@pytest.mark.parametrize("options", [{}, {"estimator": "ppi", "learner": None}, {"vcov": "HC0"}, {"cluster": "c"}])
def test_groups_whose_gold_is_constant_have_a_standard_error_and_an_interval(masked, options):
    data = masked.assign(z=masked["z"].where(masked["z"].isna() | ~masked["g"].isin(["c", "d"]), 0.0))
    fit = kt.mean("z", data, by="g", design=kt.SimpleRandom(), **SURROGATES | options)
    table = fit.tidy()
    assert (table["Std. Error"] > 0.005).all()
    for group in ("c", "d"):
        n = int(data.loc[data["g"] == group, "z"].notna().sum())
        # with none of n positive the upper end is about 3.7 / n or more
        assert table.loc[f"g={group}", "97.5%"] > 2.5 / n
        assert table.loc[f"g={group}", "2.5%"] == pytest.approx(0.0, abs=0.02)
    gold_only = fit.compare().table()["Gold only"]
    assert (gold_only["Std. Error"] > 0).all()
    assert (gold_only["97.5%"] > 0.02).all()


def test_all_gold_of_one_value_is_no_error(masked):
    fit = kt.mean("z", masked.assign(z=masked["z"] * 0), by="g", design=kt.SimpleRandom(), **SURROGATES)
    assert (fit.se() > 0).all()
    assert fit.confint().iloc[:, 1].between(0.03, 0.6).all()


def test_a_census_of_this_corpus_is_certain(frame):
    gold = frame.assign(s=frame["z"])
    fit = kt.mean("z", gold, by="g", design=kt.SimpleRandom(n=600), target="finite", estimator="gold", compare=False,
                  surrogates={"z": "s"})  # fmt: skip
    np.testing.assert_allclose(np.diff(fit.confint().to_numpy(), axis=1), 0.0, atol=1e-4)


def test_groups_without_gold_are_named_and_the_others_reported(masked, sample):
    data = masked.assign(z=masked["z"].where(masked["g"] != "b"))
    with pytest.warns(SmallSampleWarning, match=r"1 group\(s\) have no gold and no estimate: g=b"):
        fit = kt.mean("z", data, by="g", design=kt.SimpleRandom(), **SURROGATES)
    assert fit.tidy().index.tolist() == ["g=a", "g=b", "g=c", "g=d"]
    assert fit.tidy().loc["g=b"].isna().all()
    assert not fit.tidy().drop(index="g=b").isna().any(axis=None)
    assert fit.names == ("g=a", "g=c", "g=d")
    assert "g=b" in fit.notes[-1]
    assert fit.sampling.dropped == {"groups without gold": int((data["g"] == "b").sum())}
    assert "rows left out for groups without gold" in str(fit.summary())
    alone = kt.mean("z", data[data["g"] != "b"], by="g", design=kt.SimpleRandom(), **SURROGATES)
    np.testing.assert_allclose(fit.theta, alone.theta)
    np.testing.assert_allclose(fit.se().dropna(), alone.se())
    again = type(fit).from_json(fit.to_json())
    pd.testing.assert_frame_equal(again.tidy(), fit.tidy())
    with pytest.raises(DataError, match=r"g=b.*missing='drop'"):
        kt.mean("z", data, by="g", design=kt.SimpleRandom(), missing="raise", **SURROGATES)


def test_combinations_of_columns_that_hold_no_gold(masked):
    here = (masked["g"] == "a") & (masked["h"] == 1)
    data = masked.assign(z=masked["z"].where(~here))
    data = data[(data["g"] != "d") | (data["h"] == 0)]
    fit = kt.mean("z", data, by=["g", "h"], design=kt.SimpleRandom(), **SURROGATES)
    assert "g=a:h=1" in fit.tidy().index
    assert "g=a:h=1" not in fit.names
    assert "g=d:h=0" in fit.names
    assert "g=d:h=1" not in fit.tidy().index
    one = data[(data["g"] == "c") & (data["h"] == 1)]
    gold_only = fit.compare().table()["Gold only"]["Estimate"]
    assert gold_only["g=c:h=1"] == pytest.approx(one["z"].mean())
    assert pickle.loads(pickle.dumps(fit)).names == fit.names


def test_every_view_shows_the_same_interval(masked):
    fit = kt.mean("z", masked, by="g", design=kt.SimpleRandom(), **SURROGATES)
    bounds = fit.confint().to_numpy()
    np.testing.assert_array_equal(fit.tidy().iloc[:, 4:].to_numpy(), bounds)
    np.testing.assert_allclose(fit.compare().table()["DSL"].iloc[:, 2:].to_numpy(), bounds, rtol=1e-12)
    assert f"[{bounds[0, 0]:.3f}, {bounds[0, 1]:.3f}]" in fit.to_latex()
    joint = fit.simultaneous(seed=1).iloc[:, 3:].to_numpy()
    assert (joint[:, 0] <= bounds[:, 0]).all()
    assert (joint[:, 1] >= bounds[:, 1]).all()
    assert ((joint >= 0) & (joint <= 1)).all()
    assert (fit.with_vcov("HC0").se() > 0).all()


def test_numbers_of_a_group_with_one_gold_row_take_the_pooled_variance():
    rng = np.random.default_rng(3)
    data = pd.DataFrame({"y": rng.normal(size=200), "g": np.where(np.arange(200) % 50 == 0, "few", "many")})
    data["s"] = data["y"] + rng.normal(size=200)
    gold = np.arange(200) < 41
    gold[0] = False
    gold[50] = True
    labelled = corpora.masked(data, gold & ((data["g"] == "many") | (np.arange(200) == 50)), "y")
    fit = kt.mean("y", labelled, by="g", surrogates={"y": "s"}, estimator="gold", compare=False)
    residual = labelled["y"] - labelled.groupby("g")["y"].transform("mean")
    assert fit.se()["g=few"] == pytest.approx(np.sqrt((residual**2).sum() / (41 - 2)), rel=1e-6)
    assert fit.se()["g=many"] < 0.5
