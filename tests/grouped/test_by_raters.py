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
        ({"gold": {"experts": "expert"}}, ArgumentError, "at least two"),
        ({"label": "x", "surrogates": {"x": "model"}}, ArgumentError, "a column"),
        ({"surrogates": {"other": "model"}}, ArgumentError, "an entry"),
        ({"gold": {"experts": "expert", "all": "years"}}, DataError, "different rows"),
        ({"gold": {"a": "expert", "b": "expert"}}, ArgumentError, "for two groups"),
        ({"gold": {1: "expert", "1": "lay"}}, ArgumentError, "name of its own"),
        ({"gold": {None: "expert", "b": "lay"}}, ArgumentError, "none blank"),
        ({"gold": {"a": ["expert"], "b": "lay"}}, ArgumentError, "one column"),
        ({"surrogates": {"topic": "lay"}}, ArgumentError, "is the gold of a group"),
        ({"surrogates": {"topic": ["model", "expert"]}}, ArgumentError, "is the gold of a group"),
        ({"estimator": "surrogate"}, ArgumentError, "uses no gold"),
        ({"label": 3}, ArgumentError, "as text"), ({"door": "shares"}, ArgumentError, "not a function"),
        ({"gold": {"experts": "expert", "lay": "lya"}}, DataError, "lya"),
    ],
    ids=str,
)  # fmt: skip
def test_what_cannot_be_compared_is_refused(data, change, kind, message):
    given = {"label": "topic", "gold": {"experts": "expert", "lay": "lay"}, "surrogates": {"topic": "model"}, **change}
    door = given.pop("door", kt.shares)
    with pytest.raises(kind, match=message):
        kt.by_raters(door, "topic", data.assign(years=data["model"]), learner=None, **given)
    with pytest.raises(ArgumentError, match="no group of annotators"):
        kt.by_raters(
            kt.shares, "topic", data, learner=None, label="topic", gold={"a": "expert", "b": "lay"},
            surrogates={"topic": "model"},
        )["c"]  # fmt: skip


def test_groups_whose_estimates_are_of_other_things_are_not_put_side_by_side(data):
    """Orders of classes that differ give other reference categories: war against law, beside law against war."""
    odd = data.assign(
        expert=pd.Categorical(data["expert"], ["law", "war"], ordered=True),
        lay=pd.Categorical(data["lay"], ["war", "law"], ordered=True),
    )
    given = {
        "label": "topic", "gold": {"experts": "expert", "lay": "lay"}, "surrogates": {"topic": "model"}, "seed": 1,
        "learner": None,
    }  # fmt: skip
    with pytest.raises(DataError, match=r"'experts' and 'lay' are not of the same things.*topic\[T.war\]"):
        kt.by_raters(kt.ols, "x ~ topic", odd, **given)
    same = odd.assign(lay=pd.Categorical(data["lay"], ["law", "war"], ordered=True))
    one, two = (kt.by_raters(kt.ols, "x ~ topic", frame, **given) for frame in (data, same))
    np.testing.assert_allclose(one.table(), two.table())
    with pytest.raises(ArgumentError, match="no difference can be taken"):
        kt.by_raters(kt.several, "I(topic == 'war') ~ sw(x, year)", data, **given)
    with pytest.raises(ArgumentError, match="door gave a float"):
        kt.by_raters(lambda first, frame, **options: 3.0, "topic", data, **given)


def test_names_of_groups_may_be_numbers_and_order_of_rows_does_not_matter(data):
    given = {"label": "topic", "surrogates": {"topic": "model"}, "learner": None}
    one = kt.by_raters(kt.mean, "I(topic == 'war')", data, gold={1: "expert", 2: "lay"}, **given)
    mixed = data.sample(frac=1, random_state=2).set_index(np.zeros(len(data), dtype=int))
    two = kt.by_raters(kt.mean, "I(topic == 'war')", mixed, gold={1: "expert", 2: "lay"}, **given)
    np.testing.assert_allclose(one.table(), two.table(), atol=1e-12)
    assert one[1] is one["1"]
