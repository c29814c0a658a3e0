"""Shares of classes by group and over time: against kt.mean, against numpy, and what is made from them."""

from __future__ import annotations

import pickle
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import karat as kt
from karat.errors import ArgumentError, DataError, SmallSampleWarning
from karat.grouped.contrasts import holm
from karat.grouped.shares_plan import _borrowing

pytestmark = pytest.mark.filterwarnings("ignore::karat.errors.KaratWarning")
CLASSES = ["economy", "law", "war"]
PLAIN = {"surrogates": {"topic": "model"}, "learner": None, "seed": 3}


@pytest.fixture(scope="module")
def frame():
    rng = np.random.default_rng(5)
    n = 1800
    topic = rng.choice(CLASSES, n, p=[0.5, 0.3, 0.2])
    data = pd.DataFrame(
        {"topic": topic, "party": rng.choice(["left", "right"], n), "year": rng.integers(2018, 2021, n)}
    )
    data["model"] = np.where(rng.random(n) < 0.8, topic, rng.choice(CLASSES, n))
    data["size"], data["author"] = rng.uniform(0.5, 2.0, n), rng.integers(90, size=n)
    data["a"] = (rng.random(n) < 0.3).astype(float)
    data["b"] = np.where(rng.random(n) < 0.5, data["a"], 1.0 - data["a"])
    for code in "ab":
        data[f"{code}_model"] = np.where(rng.random(n) < 0.85, data[code], 1.0 - data[code])
    return data


def masked(frame, design, *labels, seed=2):
    sample = design.draw(frame, seed=seed)
    rows = sample.labelling.labelled
    return frame.assign(**{name: frame[name].where(rows) for name in labels}), sample.design


@pytest.fixture(scope="module")
def simple(frame):
    return masked(frame, kt.SimpleRandom(n=400), "topic")


@pytest.fixture(scope="module")
def found(simple):
    data, design = simple
    return kt.shares("topic", data, by="party", over="year", design=design, **PLAIN)


DESIGNS = {
    "simple": kt.SimpleRandom(n=400), "independent": kt.Bernoulli(0.2), "clusters": kt.Clustered("author", n=25),
    "strata": kt.Stratified("model", n={"economy": 150, "law": 100, "war": 120}),
    "waves": kt.Waves([kt.SimpleRandom(n=200), kt.Unequal("size", n=250)]),
}  # fmt: skip


@pytest.mark.parametrize(
    ("design", "options"),
    [
        ("simple", {"vcov": "HC0"}), ("simple", {"weights": "size"}), ("simple", {"estimator": "gold"}),
        ("unequal", {}), ("strata", {}), ("strata", {"cluster": "author"}), ("clusters", {}),
        ("independent", {"target": "finite"}), ("waves", {}), ("simple", {"vcov": "HC2"}),
        ("simple", {"target": "finite"}),
        ("independent", {"vcov": {"CRV1": "author"}, "subset": "inside"}),
    ],
    ids=str,
)  # fmt: skip
def test_every_class_is_the_mean_of_its_indicator(frame, design, options):
    plan = kt.Unequal("size", n=400) if design == "unequal" else DESIGNS[design]
    data, drawn = masked(frame.assign(inside=frame["size"] < 1.6), plan, "topic")
    given = {**PLAIN, "design": drawn, "compare": False, **options}
    given |= {"learner": "auto"} if "estimator" in options else {"tuning": None}
    fit = kt.shares("topic", data, by=["party", "year"], **given)
    for name, own in zip(CLASSES, fit.fits):
        mean = kt.mean(f"I(topic == '{name}')", data, by=["party", "year"], **given)
        order = list(mean.names)
        np.testing.assert_allclose(own.coef()[order], mean.theta, atol=1e-10)
        np.testing.assert_allclose(own.confint().loc[order], mean.confint(), atol=1e-9)
        np.testing.assert_allclose(own.se()[order], mean.se(), rtol=1e-9)
    assert abs(fit.table().sum(axis=1) - 1.0).max() < 1e-12


@pytest.mark.parametrize("learner", [None, "linear"])
def test_two_classes_are_the_mean_of_either_with_the_default_weights(frame, learner):
    two = frame.assign(topic=frame["topic"].where(frame["topic"] == "war", "other"))
    two["model"] = two["model"].where(two["model"] == "war", "other")
    data, drawn = masked(two, kt.SimpleRandom(n=300), "topic")
    options = {**PLAIN, "learner": learner, "design": drawn, "tuning": "auto" if learner else "coefficient"}
    fit = kt.shares("topic", data, by="party", **options)
    mean = kt.mean("I(topic == 'war')", data, by="party", **options)
    own = fit.confint().xs("war", level="topic")
    np.testing.assert_allclose(own, mean.confint(), atol=1e-10)
    np.testing.assert_allclose(fit.compare().columns[1].theta[1::2], mean.compare().columns[1].theta, atol=1e-10)
    np.testing.assert_allclose(fit.compare().columns[0].theta[1::2], mean.compare().columns[0].theta, atol=1e-10)
    np.testing.assert_allclose(fit.compare().columns[0].se[1::2], mean.compare().columns[0].se, rtol=1e-8)


def test_codes_are_means_with_their_joint_covariance(frame):
    data, drawn = masked(frame, kt.SimpleRandom(n=300), "a", "b")
    given = {"learner": None, "design": drawn, "seed": 1}
    both = {"a": "a_model", "b": "b_model"}
    fit = kt.shares(["a", "b"], data, by="party", surrogates=both, tuning="coefficient", **given)
    for k, code in enumerate("ab"):
        mean = kt.mean(code, data, by="party", surrogates={code: f"{code}_model"}, tuning="coefficient", **given)
        np.testing.assert_allclose(fit.fits[k].confint(), mean.confint(), atol=1e-10)
    fit = kt.shares(["a", "b"], data, by="party", surrogates=both, tuning=None, vcov="HC0", **given)
    gap = fit.differences("classes")
    data["gap"], data["gap_model"] = data["a"] - data["b"], data["a_model"] - data["b_model"]
    direct = kt.mean("gap", data, by="party", surrogates={"gap": "gap_model"}, tuning=None, vcov="HC0", **given)
    np.testing.assert_allclose(gap.theta, direct.theta, atol=1e-12)
    np.testing.assert_allclose(gap.covariance, direct.covariance, atol=1e-14)


def test_against_plain_numpy(simple):
    """A simple random sample with given predictions: difference estimator, Taylor variance, within cells."""
    data, drawn = simple
    fit = kt.shares("topic", data, by="party", design=drawn, tuning=None, vcov="HC0", **PLAIN)
    gold = data["topic"].notna().to_numpy()
    n, big_n = gold.sum(), len(data)
    columns, theta = [], []
    for party in ("left", "right"):
        inside = (data["party"] == party).to_numpy()
        for name in CLASSES:
            y, p = (data["topic"] == name).to_numpy() * 1.0, (data["model"] == name).to_numpy() * 1.0
            share = (p[inside].sum() + big_n / n * (y - p)[gold & inside].sum()) / inside.sum()
            theta.append(share)
            columns.append([inside * (y - share) / inside.sum(), inside * (y - p) / inside.sum()])
    moment, error = (np.array([c[k] for c in columns]).T[gold] for k in (0, 1))
    centred = error - error.mean(axis=0)
    variance = big_n / n * moment.T @ moment + big_n**2 * (1 / n - 1 / big_n) * centred.T @ centred / (n - 1)
    np.testing.assert_allclose(fit.theta, theta, atol=1e-12)
    np.testing.assert_allclose(fit.plain, variance, atol=1e-14)


def test_all_gold_gives_textbook_proportions(frame):
    options = {**PLAIN, "learner": "auto", "estimator": "gold", "vcov": "HC1"}
    fit = kt.shares("topic", frame, design=kt.SimpleRandom(), **options)
    p, n = frame["topic"].value_counts(normalize=True)[CLASSES].to_numpy(), len(frame)
    np.testing.assert_allclose(fit.theta, p, atol=1e-12)
    np.testing.assert_allclose(fit.se(), np.sqrt(p * (1 - p) / (n - 1)), rtol=1e-10)
    gap = fit.differences("classes")
    np.testing.assert_allclose(gap.se().iloc[0], np.sqrt((p[0] + p[1] - (p[0] - p[1]) ** 2) / (n - 1)), rtol=1e-10)
    mean, k = fit.mean(), np.arange(1, 4)
    np.testing.assert_allclose(mean.theta, p @ k)
    np.testing.assert_allclose(mean.se(), np.sqrt((p @ k**2 - (p @ k) ** 2) / (n - 1)), rtol=1e-10)


@settings(max_examples=2, deadline=None)
@given(st.integers(0, 2**16))
def test_names_and_orders_change_nothing(seed):
    rng = np.random.default_rng(seed)
    n = 500
    topic = rng.choice(CLASSES, n)
    data = pd.DataFrame(
        {"topic": topic, "model": np.where(rng.random(n) < 0.7, topic, "law"), "g": rng.integers(2, size=n)}
    )
    gold = np.arange(n) < 120
    data["topic"] = data["topic"].where(gold)
    names = dict(zip(CLASSES, rng.permutation(["x", "y", "z"])))
    turned = data.assign(topic=data["topic"].map(names), model=data["model"].map(names)).sample(
        frac=1, random_state=seed
    )
    given = {**PLAIN, "by": "g", "compare": False}
    first, second = kt.shares("topic", data, **given), kt.shares("topic", turned, **given)
    for name in CLASSES:
        one, other = (f.confint().xs(c, level="topic") for f, c in ((first, name), (second, names[name])))
        np.testing.assert_allclose(one, other, atol=1e-10)


def test_the_default_learner_adds_up_and_sees_groups(simple):
    data, drawn = simple
    given = {"surrogates": {"topic": "model"}, "design": drawn, "seed": 1, "repeats": 1, "learner": "linear"}
    fit = kt.shares("topic", data, by="party", over="year", **given)
    assert abs(fit.table().sum(axis=1) - 1).max() < 1e-12
    assert fit.fits[0].skill[0].name == "topic"
    assert np.sqrt(np.diag(fit.covariance)).mean() < fit.compare().columns[1].se.mean()


def test_dates_are_binned_and_gaps_are_shown(frame):
    days = pd.to_datetime("2020-01-01") + pd.to_timedelta(np.arange(len(frame)) % 360, unit="D")
    dated = frame.assign(day=days)
    dated = dated[dated["day"].dt.month != 5].reset_index(drop=True)
    data, _ = masked(dated, kt.SimpleRandom(n=300), "topic")
    data.loc[(data["day"].dt.month == 7) & data["topic"].notna(), "day"] = pd.Timestamp("2020-08-01")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit = kt.shares("topic", data, over="day", period="month", design=kt.SimpleRandom(), **PLAIN)
    assert any("day=2020-07" in str(w.message) and "small_groups" in str(w.message) for w in caught)
    wide = fit.table()
    assert len(wide) == 12
    assert wide.loc["2020-05"].isna().all().all()
    assert wide.loc["2020-07"].isna().all().all()
    assert any("2020-07" in note for note in fit.notes)
    assert fit.gold.loc["2020-05"].sum() == 0
    text = kt.shares("topic", data.assign(day=data["day"].dt.strftime("%Y-%m-%d")), over="day", period="month",
                     design=kt.SimpleRandom(), **PLAIN)  # fmt: skip
    np.testing.assert_array_equal(text.theta, fit.theta)
    other = pl.from_pandas(data.astype({"topic": object, "model": object, "party": object}))
    np.testing.assert_allclose(
        kt.shares("topic", other, over="day", period="month", design=kt.SimpleRandom(), **PLAIN).theta,
        fit.theta,
        atol=1e-12,
    )
    with pytest.raises(DataError, match="day=2020-07"):
        kt.shares("topic", data, over="day", period="month", design=kt.SimpleRandom(), missing="raise", **PLAIN)


def test_whole_numbers_between_are_gaps_and_names_are_ordered(simple):
    data = simple[0]
    apart = data.assign(year=data["year"].replace(2020, 2021))
    fit = kt.shares("topic", apart, over="year", **PLAIN)
    assert list(fit.table().index) == [2018, 2019, 2020, 2021]
    waves = pd.Categorical(np.where(data["year"] == 2018, "early", "late"), ["early", "late"], ordered=True)
    assert kt.shares("topic", data.assign(wave=waves), over="wave", **PLAIN).periods == ["early", "late"]


def test_contrasts_are_linear(found):
    wide = found.by_cell(found.theta)
    gap = found.differences("groups")
    np.testing.assert_allclose(gap.theta, (wide[0] - wide[1]).ravel())
    slope = found.trend()
    expected = [np.polyfit([0, 1, 2], wide[g, :, k], 1)[0] for g in range(2) for k in range(3)]
    np.testing.assert_allclose(slope.theta, expected, atol=1e-12)
    np.testing.assert_allclose(found.trend(between=True).theta, slope.theta[:3] - slope.theta[3:], atol=1e-12)
    documents = found.trend("documents")
    assert documents.names == slope.names
    assert not np.allclose(documents.theta, slope.theta)
    lag = found.differences("periods", lag=1)
    assert lag.names[0] == "economy: 2019 - 2018 (left)"
    np.testing.assert_allclose(lag.theta[0], wide[0, 1, 0] - wide[0, 0, 0])
    against = found.differences("classes", reference="war")
    assert len(against.theta) == 12
    assert found.differences("periods", reference=2018).names[0] == "economy: 2019 - 2018 (left)"
    assert abs(slope.theta[:3].sum()) < 1e-12
    assert (gap.covariance.diagonal() > 0).all()


def test_a_constant_added_to_scores_moves_the_mean_and_no_more(found):
    first, second = found.mean([1, 2, 4]), found.mean([2001, 2002, 2004])
    np.testing.assert_allclose(second.theta - first.theta, 2000)
    np.testing.assert_allclose(second.covariance, first.covariance, atol=1e-12)


def test_p_values_and_bands_allow_for_their_number(found):
    gap = found.differences("groups")
    table, wide = gap.table("holm"), gap.table("max-t")
    multipletests = pytest.importorskip("statsmodels.stats.multitest").multipletests
    np.testing.assert_allclose(table["p (adjusted)"], multipletests(table["p"], method="holm")[1])
    assert (wide["p (adjusted)"] >= wide["p"] - 1e-12).all()
    single, together = gap.confint(), gap.simultaneous()
    assert (together.iloc[:, -2].to_numpy() < single.iloc[:, 0].to_numpy()).all()
    one, line, every = found.confint(), found.band(), found.band(family="all")
    assert (line.iloc[:, 1] < one.iloc[:, 0]).all()
    assert (every.iloc[:, 1] <= line.iloc[:, 1]).all()
    pd.testing.assert_frame_equal(found.band(), found.band())
    assert holm(np.array([0.5, 0.9])).tolist() == [1.0, 1.0]


def test_rare_classes_have_standard_errors(frame):
    rare = frame.assign(topic=np.where(np.arange(len(frame)) % 300 == 0, "war", "law"))
    rare["model"] = np.where(np.arange(len(frame)) % 500 == 0, "war", "law")
    data = rare.assign(topic=rare["topic"].where(np.arange(len(frame)) < 350))
    fit = kt.shares("topic", data, by="party", over="year", **PLAIN)
    assert (fit.se() > 0.004).all()
    assert (fit.differences("groups").se() > 0.004).all()
    assert fit.confint().iloc[:, 0].min() >= 0
    assert fit.confint().iloc[:, 1].max() <= 1


def test_tables_and_texts(found):
    assert list(found.tidy("broom").columns[:3]) == ["party", "year", "topic"]
    assert found.table().shape == (6, 3)
    assert "left 2018 economy" in str(found)
    assert "<table" in found._repr_html_()
    assert "tabular" in found.to_latex()
    assert found.wald("economy: party=left:year=2018 = law: party=left:year=2018").df_numerator == 1
    assert "DSL" in str(found.compare())
    assert found.compare().table().shape == (18, 12)
    assert "hold" not in repr(found)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(found)).theta, found.theta)


def test_numbers_are_classes_and_have_a_mean(frame):
    scale = frame.assign(tone=frame["topic"].map({"economy": 1, "law": 2, "war": 5}))
    scale["said"] = scale["model"].map({"economy": 1, "law": 2, "war": 5})
    data, drawn = masked(scale, kt.SimpleRandom(n=300), "tone")
    given = {"surrogates": {"tone": "said"}, "learner": None, "design": drawn, "tuning": None, "seed": 1}
    fit = kt.shares("tone", data, by="party", **given)
    assert fit.classes == (1, 2, 5)
    np.testing.assert_allclose(fit.mean().theta, kt.mean("tone", data, by="party", **given).theta, atol=1e-12)
    with pytest.raises(ArgumentError, match=r"kt\.mean"):
        kt.shares("size", frame, surrogates={"size": "author"})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"by": "topic"}, "names the label"), ({"surrogates": {"model": "topic"}}, "one entry for each label"),
        ({"period": "month"}, "over="), ({"over": "year", "period": "month"}, "holds numbers"),
        ({"over": "party", "period": "month"}, "cannot be read as dates"), ({"tuning": "full"}, "mixes cells"),
        ({"estimator": "surrogate"}, "compare"), ({"by": ["party", "party"]}, "different columns"),
        ({"scores": True}, "scores"), ({"over": "yaer"}, "Did you mean 'year'"),
        ({"over": "year", "period": "decade"}, "period"),
    ],
    ids=str,
)  # fmt: skip
def test_arguments_that_cannot_be_are_refused(simple, change, message):
    with pytest.raises(kt.KaratError, match=message):
        kt.shares("topic", simple[0], **{**PLAIN, "design": simple[1], **change})


def test_contrasts_that_cannot_be_are_refused(simple, found):
    alone = kt.shares("topic", simple[0], design=simple[1], **PLAIN)
    with pytest.raises(ArgumentError, match="nothing to compare"):
        alone.differences("groups")
    with pytest.raises(ArgumentError, match="over="):
        alone.trend()
    with pytest.raises(ArgumentError, match="none of the groups"):
        found.differences("groups", reference="green")
    with pytest.raises(ArgumentError, match="3 numbers"):
        found.mean([1, 2])
    with pytest.raises(ArgumentError, match=r"source\.plan"):
        kt.plan(found)
    data, drawn = masked(simple[0].assign(topic=simple[0]["model"]), kt.SimpleRandom(n=400), "topic", seed=9)
    other = kt.shares("topic", data, by="party", over="year", design=drawn, **PLAIN)
    with pytest.raises(ArgumentError, match="other rows"):
        found - other


def test_little_gold_is_warned_about(simple):
    few = simple[0].assign(topic=simple[0]["topic"].where(np.arange(1800) < 200))
    with pytest.warns(SmallSampleWarning):
        kt.shares("topic", few, **PLAIN)


def test_plans_draw_variances_of_cells_together():
    """Variances in proportion to p (1 - p) stay; one that is 0 by chance is brought near to the others."""
    theta, count = np.array([[0.2, 0.8], [0.5, 0.5], [0.4, 0.6]]), np.array([20.0, 30.0, 26.0])
    even = 0.7 * theta * (1 - theta)
    np.testing.assert_allclose(_borrowing(even, theta, count), even)
    chance = even.copy()
    chance[2] = 0.0
    found = _borrowing(chance, theta, count)
    assert (found[2] > 0.3 * even[2]).all()
    assert (found[:2] > 0.7 * even[:2]).all()


def test_a_plan_tells_the_width_of_the_next_draw(frame, simple):
    data, drawn = simple
    given = {**PLAIN, "by": "party", "compare": False}
    plan = kt.shares("topic", data, design=drawn, **given).plan(half_width=0.045)
    assert plan.reached
    assert 400 < plan.n <= plan.n_simple < 1800
    widths = []
    for seed in range(3):
        again, design = masked(frame, kt.SimpleRandom(n=plan.n_simple), "topic", seed=seed)
        bounds = kt.shares("topic", again, design=design, **given).confint()
        widths.append(((bounds.iloc[:, 1] - bounds.iloc[:, 0]) / 2).max())
    assert abs(np.mean(widths) / 0.045 - 1) < 0.12
    average = kt.shares("topic", data, design=drawn, **given).plan(half_width=0.045, of="average")
    assert average.n <= plan.n
    assert "gold documents" in str(plan)
    assert not kt.shares("topic", data, design=drawn, **given).plan(half_width=0.001).reached


@pytest.mark.parametrize("options", [{}, {"cluster": "half"}])
def test_few_gold_rows_and_a_surrogate_that_never_varies(options):
    """All gold of a cell says the same, or stands in one of two clusters: nothing varies, and nothing fails."""
    rng = np.random.default_rng(5)
    data = pd.DataFrame({"yes": rng.integers(0, 2, 600) * 1.0, "model": 1.0, "place": np.arange(600) % 3})
    data["half"] = np.arange(600) // 300
    data.loc[~data.index.isin([0, 1, 2, 3, 4, 5, 6, 301, 304, 307, 310]), "yes"] = np.nan
    fit = kt.shares("yes", data, by="place", surrogates={"yes": "model"}, learner=None, seed=1, **options)
    assert np.isfinite(fit.theta).all()
    assert not (fit.se() == 0).any()
