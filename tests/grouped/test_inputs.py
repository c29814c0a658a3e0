"""What users bring to estimates for groups: the numbers stay right, or a message says what to do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

import karat as kt
from karat.errors import ArgumentError, DataError, SmallSampleWarning

Edit = Callable[[pd.DataFrame], pd.DataFrame]


def corpus(n: int = 1200, groups: int = 12) -> pd.DataFrame:
    """Documents in groups and time, with a class, a code, and what a model says of them."""
    rng = np.random.default_rng(1)
    kind, group = rng.integers(0, 3, n), rng.integers(0, groups, n)
    said = np.where(rng.random(n) < 0.85, kind, rng.integers(0, 3, n))
    names = np.array(["eco", "law", "war"])
    return pd.DataFrame({
        "g": [f"g{i:02d}" for i in group], "topic": names[kind], "model": names[said], "y": (kind == 0) * 1.0,
        "s": (said == 0) * 1.0, "date": pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 700, n), unit="D"),
    })  # fmt: skip


def labelled(edit: Edit = lambda d: d, n: int = 300) -> pd.DataFrame:
    """The same with gold of a simple random sample."""
    data = edit(corpus())
    gold = np.isin(np.arange(len(data)), np.random.default_rng(2).choice(len(data), n, replace=False))
    return data.assign(topic=data["topic"].where(gold), y=data["y"].where(gold))


def shares(data: pd.DataFrame, **options: Any) -> Any:
    return kt.shares("topic", data, surrogates={"topic": "model"}, seed=1, **{"learner": None, **options})


def small(data: pd.DataFrame, variable: str = "y", **options: Any) -> Any:
    given = {"y": "s", "topic": "model"}[variable]
    options = {"by": "g", "learner": "linear", "repeats": 1, **options}
    with pytest.warns(SmallSampleWarning, match="simple random"):
        return kt.small_groups(variable, data, surrogates={variable: given}, seed=1, **options)


def units(data: pd.DataFrame, variable: str = "y", **options: Any) -> Any:
    given = {"y": "s", "topic": "model"}[variable]
    options = {"by": "g", "learner": "linear", "repeats": 1, **options}
    return kt.aggregate(variable, data, surrogates={variable: given}, seed=1, **options)


def turned(data: pd.DataFrame) -> pd.DataFrame:
    return data.sample(frac=1.0, random_state=3)


def renamed(data: pd.DataFrame) -> pd.DataFrame:
    return data.assign(g=["h" + str(99 - int(name[1:])) for name in data["g"]])


def test_the_order_of_rows_changes_no_number_though_many_rows_are_alike() -> None:
    data = labelled()
    assert np.allclose(small(data).theta, small(turned(data)).theta, atol=1e-12)
    assert np.allclose(units(data).means, units(turned(data)).means, atol=1e-12)
    learnt = {"by": "g", "learner": "linear", "repeats": 1}
    assert np.allclose(shares(data, **learnt).theta, shares(turned(data), **learnt).theta, atol=1e-12)


def test_other_names_of_groups_change_no_number() -> None:
    data = labelled()
    first, other = small(data), small(renamed(data))
    assert np.allclose(first.theta, other.theta[::-1], atol=1e-12)
    assert np.allclose(first.se(), other.se()[::-1], atol=1e-12)
    assert np.allclose(shares(data, by="g").table(), shares(renamed(data), by="g").table()[::-1], atol=1e-12)


@pytest.mark.parametrize(("frequency", "count"), [("Q", 8), ("W-SUN", 101), ("Y-MAR", 3)])
def test_periods_are_taken_as_they_are(frequency: str, count: int) -> None:
    data = labelled(lambda d: d.assign(p=d["date"].dt.to_period(frequency)), 1200)
    found = shares(data, over="p", target="finite")
    assert found.periods[0] == data["p"].min()
    assert len(found.periods) == count
    truth = pd.crosstab(data["p"], data["topic"], normalize="index")
    table = found.table()
    assert np.allclose(table.loc[truth.index], truth)


def test_periods_that_overlap_are_refused() -> None:
    data = labelled(lambda d: d.assign(p=d["date"].dt.to_period("2M")))
    with pytest.raises(DataError, match="overlap"):
        shares(data, over="p")


def test_periods_are_put_together_to_longer_ones_only() -> None:
    data = labelled(lambda d: d.assign(p=d["date"].dt.to_period("Q")))
    by_date = shares(data, over="date", period="year")
    assert np.allclose(shares(data, over="p", period="year").table(), by_date.table())
    with pytest.raises(DataError, match="do not lie within one month"):
        shares(data, over="p", period="month")


def test_rows_without_a_group_are_left_out_without_another_warning() -> None:
    data = labelled(lambda d: d.assign(g=d["g"].where(np.arange(len(d)) > 20)))
    assert shares(data, by="g").n_units == len(data) - 21
    assert units(data).documents.sum() == len(data) - 21
    with pytest.raises(DataError, match="by='g' is missing in 21 row"):
        units(data, missing="raise")


def test_categories_of_whole_numbers_are_classes() -> None:
    def coded(data: pd.DataFrame) -> pd.DataFrame:
        return data.assign(**{c: data[c].map({"eco": 1, "law": 2, "war": 3}).astype("category") for c in
                              ("topic", "model")})  # fmt: skip

    data = labelled(coded)
    assert shares(data, by="g").classes == (1, 2, 3)
    assert units(data, "topic").labels == ("topic_1", "topic_2", "topic_3")
    found = small(data, "topic")
    assert np.allclose(found.theta.reshape(3, -1).sum(axis=0), 1.0)
    text = small(labelled(), "topic")
    assert np.allclose(found.theta, text.theta, atol=1e-12)


def test_groups_whose_weights_are_0() -> None:
    data = labelled().assign(w=lambda d: (d["g"] != "g03") * 1.0)
    with pytest.warns(SmallSampleWarning, match="g=g03"):
        found = shares(data, by="g", weights="w")
    assert np.isnan(found.table().loc["g03"]).all()
    assert np.allclose(found.table().drop("g03"), shares(data[data["w"] > 0], by="g").table(), atol=1e-12)
    with pytest.raises(DataError, match="all documents of g=g03 are 0"):
        kt.small_groups("y", data, by="g", surrogates={"y": "s"}, weights="w", learner=None, seed=1)


def test_documents_of_weight_0_are_no_gold_of_their_group() -> None:
    data = labelled(n=400).assign(w=lambda d: (np.arange(len(d)) % 2) * 1.0)
    options: dict[str, Any] = {"learner": None, "design": kt.Bernoulli(1 / 3)}
    found = kt.small_groups("y", data, by="g", surrogates={"y": "s"}, weights="w", **options)
    kept = kt.small_groups("y", data[data["w"] > 0], by="g", surrogates={"y": "s"}, **options)
    assert np.allclose(found.direct, kept.direct, atol=1e-12)
    assert (found.gold == kept.gold).all()
    assert (found.documents == kept.documents).all()


@pytest.mark.parametrize("name", ["gold", "class", "estimate"])
def test_grouping_columns_are_not_overwritten_by_the_table(name: str) -> None:
    data = labelled().rename(columns={"g": name})
    with pytest.raises(ArgumentError, match=f"by= names '{name}'"):
        kt.small_groups("topic", data, by=name, surrogates={"topic": "model"}, seed=1)


def test_a_unit_column_is_not_overwritten_by_the_table() -> None:
    with pytest.raises(ArgumentError, match="by= names 'y: se'"):
        units(labelled().rename(columns={"g": "y: se"}), by="y: se")


def test_a_column_without_gold_is_said_to_be_empty() -> None:
    with pytest.raises(DataError, match="no row has gold for 'topic'"):
        shares(corpus().assign(topic=None), by="g")


def people() -> pd.DataFrame:
    rng = np.random.default_rng(4)
    return pd.DataFrame({"g": [f"g{i:02d}" for i in range(12)], "out": rng.normal(size=12), "party": list("abc") * 4})


@pytest.mark.parametrize("formula", ["out ~ y | party", "out ~ 1 + [y ~ party]"])
def test_fixed_effects_and_instruments_of_units_are_refused(formula: str) -> None:
    with pytest.raises(ArgumentError, match=r"fixed effects after a bar|instruments"):
        kt.ols(formula, units(labelled()).join(people()))


def test_names_of_units_of_another_kind_are_said_to_differ() -> None:
    data = labelled().assign(g=lambda d: d["g"].str[1:].astype(int))
    with pytest.raises(DataError, match=r"for example \(0,\) here and \('g00',\) there"):
        units(data).join(people())
    joined = units(data).join(people().assign(g=np.arange(12.0)))
    assert joined.columns["out"].tolist() == people()["out"].tolist()


def test_joined_rows_stand_in_the_order_of_the_units() -> None:
    found = units(labelled()).join(people().sample(frac=1.0, random_state=1).iloc[:9])
    expected = people().set_index("g").loc[found.keys["g"], "out"]
    assert found.columns["out"].tolist() == expected.tolist()


def test_codes_that_may_hold_together_keep_their_own_numbers() -> None:
    data = labelled().assign(z=lambda d: 1.0 - d["y"], zs=lambda d: 1.0 - d["s"])
    both = kt.shares(["y", "z"], data, by="g", surrogates={"y": "s", "z": "zs"}, learner=None, seed=1)
    assert np.allclose(both.table().sum(axis=1), 1.0)  # here one holds where the other does not
    alone = kt.shares("y", data, by="g", surrogates={"y": "s"}, learner=None, seed=1)
    assert np.allclose(both.se()[::2], alone.se(), atol=1e-12)


def test_differences_have_the_variances_of_the_joint_covariance() -> None:
    found = shares(labelled(), by="g")
    gaps = found.differences("groups")
    at = found.by_cell(np.arange(len(found.theta), dtype=float))[:, 0].astype(int)
    pairs = [(at[a, k], at[b, k]) for a in range(12) for b in range(a + 1, 12) for k in range(3)]
    v = found.plain
    expected = np.array([v[i, i] + v[j, j] - 2 * v[i, j] for i, j in pairs])
    assert np.allclose(gaps.theta, [found.theta[i] - found.theta[j] for i, j in pairs])
    m = 1.0 / (found.shares.kish[[i for i, _ in pairs]] + found.shares.kish[[j for _, j in pairs]] + 1.0)
    least = m * (1 - m) * np.array([found.shares.unit_variance[i] + found.shares.unit_variance[j] for i, j in pairs])
    assert np.allclose(np.diag(gaps.covariance), np.maximum(expected, least))


def test_all_gold_is_the_population() -> None:
    data = corpus()
    truth = pd.crosstab(data["g"], data["topic"], normalize="index")
    found = shares(data, by="g", target="finite")
    assert np.allclose(found.table(), truth)
    assert (found.se() == 0).all()
    made = kt.aggregate("topic", data, by="g", surrogates={"topic": "model"}, seed=1)
    assert np.allclose(made.means, truth)
    assert (made.se() == 0).all()
    with pytest.raises(ArgumentError, match="take plain means"):
        kt.small_groups("y", data, by="g", surrogates={"y": "s"}, seed=1)
