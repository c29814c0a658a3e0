"""One analysis for each group of annotators, and their difference."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import karat as kt
from karat.errors import ArgumentError, DataError

pytestmark = pytest.mark.filterwarnings("ignore::karat.errors.KaratWarning")


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(8)
    n = 1500
    truth = rng.choice(["law", "war"], n)
    frame = pd.DataFrame({"year": rng.integers(2020, 2022, n), "x": rng.normal(size=n)})
    frame["model"] = np.where(rng.random(n) < 0.85, truth, "law")
    gold = np.zeros(n, dtype=bool)
    gold[rng.choice(n, 300, replace=False)] = True
    frame["expert"] = pd.Series(truth).where(gold)
    frame["lay"] = pd.Series(np.where(rng.random(n) < 0.8, truth, "war")).where(gold)
    return frame


def test_differences_of_shares_use_that_the_documents_are_the_same(data):
    given = {
        "over": "year",
        "surrogates": {"topic": "model"},
        "learner": None,
        "tuning": None,
        "seed": 1,
        "vcov": "HC0",
    }
    both = kt.by_raters(kt.shares, "topic", data, label="topic", gold={"experts": "expert", "lay": "lay"}, **given)
    gap = both.differences["experts", "lay"]
    np.testing.assert_allclose(gap.theta, both["experts"].theta - both["lay"].theta)
    change = data.assign(gap=(data["expert"] == "war") * 1.0 - (data["lay"] == "war") * 1.0, none=0.0)
    change["gap"] = change["gap"].where(data["expert"].notna())
    direct = kt.mean("gap", change, by="year", surrogates={"gap": "none"}, learner=None, tuning=None, vcov="HC0")
    np.testing.assert_allclose(gap.theta[1::2], direct.theta, atol=1e-12)
    np.testing.assert_allclose(gap.se().to_numpy()[1::2], direct.se(), rtol=1e-9)
    assert gap.se().iloc[0] < np.hypot(both["experts"].se().iloc[0], both["lay"].se().iloc[0])
    assert "experts - lay" in str(both)
    assert "<table" in both._repr_html_()


def test_regressions_can_be_compared_too(data):
    both = kt.by_raters(
        kt.logit, "I(topic == 'war') ~ x", data, label="topic", gold={"experts": "expert", "lay": "lay"},
        surrogates={"topic": "model"}, learner=None, seed=1,
    )  # fmt: skip
    gap = both.differences["experts", "lay"]
    assert gap.wald("x = 0").df_numerator == 1
    direct = both["experts"] - both["lay"]
    np.testing.assert_allclose(gap.covariance, direct.covariance)


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        ({"gold": {"experts": "expert"}}, ArgumentError, "at least two"), ({"label": "x"}, ArgumentError, "a column"),
        ({"surrogates": {"other": "model"}}, ArgumentError, "an entry"),
        ({"gold": {"experts": "expert", "all": "model"}}, DataError, "different rows"),
        ({"gold": {"experts": "expert", "lay": "lya"}}, DataError, "lya"),
    ],
    ids=str,
)  # fmt: skip
def test_what_cannot_be_compared_is_refused(data, change, kind, message):
    given = {"label": "topic", "gold": {"experts": "expert", "lay": "lay"}, "surrogates": {"topic": "model"}, **change}
    with pytest.raises(kind, match=message):
        kt.by_raters(kt.shares, "topic", data, learner=None, **given)
    with pytest.raises(ArgumentError, match="no group of annotators"):
        kt.by_raters(
            kt.shares, "topic", data, learner=None, label="topic", gold={"a": "expert", "b": "lay"},
            surrogates={"topic": "model"},
        )["c"]  # fmt: skip
