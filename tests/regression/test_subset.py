"""Regressions about some of the rows, with the draw that was made from all of them."""

import numpy as np
import pandas as pd
import polars as pl
import pytest

import karat as kt
from karat.errors import ArgumentError, DataError, SmallSampleWarning

from .. import corpora

pytestmark = pytest.mark.filterwarnings("ignore::karat.errors.SmallSampleWarning")

FRAME = corpora.corpus(700, seed=3).assign(inside=lambda d: d["z"] + 0.3 * d["stance"] > 0.3)
FRAME["v0"] = FRAME["weight"] * FRAME["inside"]
DESIGNS = {
    "simple random": kt.SimpleRandom(200),
    "strata": kt.Stratified("region", n=200, allocation="equal"),
    "bernoulli": kt.Bernoulli("pi"),
    "clusters": kt.Clustered("author", n=12),
    "clusters by size": kt.Clustered("author", n=12, size="cluster_size"),
    "unequal": kt.Unequal("size", n=200),
}
RAW = {"learner": None, "compare": False}
LEARNT = {"learner": "linear", "repeats": 1, "seed": 1, "compare": False}


def drawn(kind, seed=1, frame=FRAME):
    frame = frame.assign(cluster_size=frame.groupby("author")["author"].transform("size"))
    if kind == "waves":
        first = kt.Stratified("region", n=90).draw(frame, seed=seed)
        sample = first.next_wave(kt.SimpleRandom(110), frame, seed=seed)
    else:
        sample = DESIGNS[kind].draw(frame, seed=seed)
    return corpora.masked(frame, sample.labelled, "y", "vote", "stance"), sample.design


@pytest.fixture(scope="module")
def simple():
    return drawn("simple random")


@pytest.mark.parametrize("kind", [*DESIGNS, "waves"])
@pytest.mark.parametrize("how", [{"estimator": "gold"}, {"learner": None, "tuning": None}, {"learner": None}])
def test_as_weights_of_zero_outside(kind, how):
    """Estimates and what the design adds, for every design; with HC0 all of the covariance."""
    data, design = drawn(kind)
    options = {"surrogates": {"y": "y_llm"}, "design": design, "compare": False, "vcov": "HC0", **how}
    ours = kt.ols("y ~ z + size", data, weights="weight", subset="inside", **options)
    zero = kt.ols("y ~ z + size", data, weights="v0", **options)
    np.testing.assert_allclose(ours.theta, zero.theta, rtol=1e-10)
    np.testing.assert_allclose(ours.covariance, zero.covariance, rtol=1e-10)
    np.testing.assert_allclose(ours.labelling_covariance, zero.labelling_covariance, rtol=1e-10)
    assert ours.n_units == FRAME["inside"].sum()
    assert ours.n_gold == (data["y"].notna() & FRAME["inside"]).sum()


@pytest.mark.parametrize("kind", DESIGNS)
def test_small_sample_form_as_with_weights_of_zero(kind):
    """Exactly where units are drawn on their own; else up to what only the whole draw fixes."""
    data, design = drawn(kind)
    options = {"surrogates": {"y": "y_llm"}, "design": design, **RAW}
    ours = kt.ols("y ~ z", data, subset="inside", **options)
    zero = kt.ols("y ~ z", data, weights=FRAME["inside"].astype(float), **options)
    assert ours.vcov_kind == "HC3"
    np.testing.assert_allclose(ours.se(), zero.se(), rtol=1e-10 if kind == "bernoulli" else 0.03)


@pytest.mark.parametrize("kind", ["bernoulli", "clusters", "strata"])
@pytest.mark.parametrize("vcov", ["HC1", "CRV0"])
def test_labelling_part_as_with_weights_of_zero(kind, vcov):
    """The rest may differ: HC1 counts the rows of the subset, and clusters lean on what only the whole draw fixes."""
    data, design = drawn(kind)
    options = {"surrogates": {"vote": "vote_llm"}, "design": design, "cluster": None if vcov == "HC1" else "author"}
    options |= {"vcov": vcov if vcov == "HC1" else {"CRV0": "author"}, **RAW}
    ours = kt.logit("vote ~ z", data, subset="inside", **options)
    zero = kt.logit("vote ~ z", data, weights=FRAME["inside"].astype(float), **options)
    np.testing.assert_allclose(ours.theta, zero.theta, rtol=1e-10)
    gold, p = [int(f.n_gold) for f in (ours, zero)], len(ours.theta)
    factor = [n / (n - p) if vcov == "HC1" else 1.0 for n in gold]
    np.testing.assert_allclose(ours.labelling_covariance / factor[0], zero.labelling_covariance / factor[1], rtol=1e-10)
    if kind == "bernoulli" and vcov == "CRV0":
        np.testing.assert_allclose(ours.covariance, zero.covariance, rtol=1e-10)


def test_a_model_of_answering_stays_that_of_all_rows_drawn():
    sample = kt.SimpleRandom(300).draw(FRAME, seed=4)
    answered = sample.labelled & (np.arange(700) % 5 > 0)
    data = corpora.masked(FRAME, answered, "y")
    options = {"surrogates": {"y": "y_llm"}, "design": sample.design, "nonresponse": ["z"], "vcov": "HC0", **RAW}
    ours = kt.ols("y ~ z", data, subset="inside", **options)
    zero = kt.ols("y ~ z", data, weights=FRAME["inside"].astype(float), **options)
    np.testing.assert_allclose(ours.theta, zero.theta, rtol=1e-10)
    np.testing.assert_allclose(ours.covariance, zero.covariance, rtol=1e-10)


@pytest.mark.parametrize("options", [RAW, LEARNT], ids=["raw", "learnt"])
def test_what_the_other_rows_hold_does_not_matter(simple, options):
    data, _ = simple
    rng = np.random.default_rng(1)
    other, outside = data.copy(), ~FRAME["inside"].to_numpy()
    gold = outside & data["y"].notna().to_numpy()
    other.loc[gold, "y"] = rng.normal(50.0, 10.0, int(gold.sum()))
    other.loc[outside, "y_llm"] = rng.normal(-50.0, 10.0, int(outside.sum()))
    other.loc[outside, "size"] = np.where(rng.random(outside.sum()) < 0.5, np.nan, 1e6)
    other.loc[outside, "region"] = "nowhere"
    given = {"surrogates": {"y": "y_llm"}, "design": kt.SimpleRandom(), "subset": "inside", **options}
    one, same = (kt.ols("y ~ z + size + C(region)", d, missing="raise", **given) for d in (data, other))
    np.testing.assert_allclose(one.theta, same.theta, rtol=1e-10)
    np.testing.assert_allclose(one.covariance, same.covariance, rtol=1e-10)
    assert one.names == same.names
    assert not any("nowhere" in name for name in same.names)


def test_neither_order_nor_library_nor_form_matters(simple):
    data, _ = simple
    given = {"surrogates": {"y": "y_llm"}, "design": kt.SimpleRandom(), **LEARNT}
    one = kt.ols("y ~ z", data, subset="inside", **given)
    order = np.random.default_rng(2).permutation(len(data))
    for other, subset in (
        (data, data["inside"].to_numpy()),
        (data, [int(x) for x in data["inside"]]),
        (data.iloc[order], "inside"),
        (pl.from_pandas(data, nan_to_null=True), "inside"),
    ):
        same = kt.ols("y ~ z", other, subset=subset, **given)
        np.testing.assert_allclose(one.theta, same.theta, rtol=1e-9)
        np.testing.assert_allclose(one.covariance, same.covariance, rtol=1e-8)


def test_all_rows_are_the_whole_frame(simple):
    data, design = simple
    given = {"surrogates": {"y": "y_llm"}, "design": design, **LEARNT}
    one, same = kt.ols("y ~ z", data, **given), kt.ols("y ~ z", data, subset=np.ones(700), **given)
    np.testing.assert_array_equal(one.theta, same.theta)
    np.testing.assert_array_equal(one.covariance, same.covariance)


def test_rows_with_missing_values_leave_before(simple):
    """They leave as without a subset; which draw is left is the same whether they are inside or were never there."""
    data, _ = simple
    holes = data.copy()
    holes.loc[np.flatnonzero(FRAME["inside"])[::7], "size"] = np.nan
    given = {"surrogates": {"y": "y_llm"}, "design": kt.Bernoulli(200 / 700), **RAW}
    ours = kt.ols("y ~ size", holes, subset="inside", **given)
    cut = kt.ols("y ~ size", holes[holes["size"].notna()], subset="inside", **given)
    np.testing.assert_allclose(ours.theta, cut.theta, rtol=1e-12)
    np.testing.assert_allclose(ours.covariance, cut.covariance, rtol=1e-12)
    lost = len(np.flatnonzero(FRAME["inside"])[::7])
    assert ours.sampling.dropped == {"size": lost, "subset=": int((~FRAME["inside"]).sum())}
    assert ours.sampling.n_dropped == sum(ours.sampling.dropped.values())
    assert "subset=" in str(ours.summary())


def test_a_stratum_without_gold_of_the_subset_does_no_harm():
    """Labels of a small subgroup that cuts across strata: one stratum has rows of it, and no gold or one."""
    data, design = drawn("strata")
    inside = FRAME["region"].eq("west").to_numpy().copy()
    others = np.flatnonzero(~inside & data["y"].isna().to_numpy())[:5]
    one = np.flatnonzero(FRAME["region"].eq("east") & data["y"].notna())[:1]
    inside[others], inside[one] = True, True
    fit = kt.ols("y ~ z", data, surrogates={"y": "y_llm"}, design=design, subset=inside, **RAW)
    assert np.isfinite(fit.se()).all()
    assert fit.n_units == inside.sum()


def bad(change):
    out = FRAME["inside"].astype(object).copy()
    out.iloc[3] = change
    return out


@pytest.mark.parametrize(
    ("subset", "words"),
    [
        ("holes", r"subset='holes'.* 1 value\(s\) are missing"),
        ("z", r"subset='z' must be true or false"),
        ("nobody", r"subset='nobody' is true in no row"),
        (np.zeros(700), "subset='values' is true in no row"),
        ("unlabelled", "no gold row is left without rows outside subset="),
        ("insde", "'inside'"),
    ],
)
def test_bad_input(simple, subset, words):
    data, design = simple
    data = data.assign(holes=bad(None), nobody=False, unlabelled=data["y"].isna())
    with pytest.raises((DataError, ArgumentError), match=words):
        kt.ols("y ~ z", data, surrogates={"y": "y_llm"}, design=design, subset=subset, **RAW)


def test_means_by_group(simple):
    data, design = simple
    group = np.where(FRAME["region"] == "east", "away", np.where(data["y"].isna() & (FRAME["z"] > 1.2), "bare", "here"))
    data = data.assign(group=group)
    given = {"surrogates": {"y": "y_llm"}, "design": design, **RAW}
    inside = FRAME["inside"] & (group != "away")
    with pytest.warns(SmallSampleWarning, match="bare"):
        found = kt.mean("y", data, by="group", subset=inside, **given)
    assert found.names == ("group=here",)
    assert found.sampling.dropped["groups without gold"] == (inside & (group == "bare")).sum()
    alone = kt.mean("y", data, subset=inside & (group == "here"), **given)
    assert alone.theta[0] == pytest.approx(found.theta[0], abs=found.se().dropna().iloc[0])
    two = kt.mean("y", data, by=["region", "group"], subset="inside", **given)
    assert len(two.names) == len(data[FRAME["inside"] & data["y"].notna()].groupby(["region", "group"]))


def test_side_by_side_and_in_many_universes(simple):
    data, design = simple
    given = {"surrogates": {"y": "y_llm"}, "design": design, "subset": "inside", "learner": "linear", "seed": 1}
    fit = kt.ols("y ~ z", data, **given)
    column = next(c for c in fit.comparison.columns if c.title == "Gold only")
    gold = kt.ols("y ~ z", data, **{**given, "learner": "auto"}, estimator="gold", compare=False)
    np.testing.assert_allclose(column.theta, gold.theta, rtol=1e-10)
    assert "Gold only" in str(fit.compare())
    assert (fit - kt.ols("y ~ z", data, **{**given, "learner": None})).coef().shape == (2,)
    del given["learner"]
    many = kt.multiverse("y ~ z", data, **given | {"surrogates": {"y": ["y_llm", "vote_prob"]}}, learners=["linear"])
    assert many.n_units == FRAME["inside"].sum()
    assert many.corrected["z"].theta[0] == pytest.approx(fit.coef()["z"], abs=3 * fit.se()["z"])


def test_durations():
    rng = np.random.default_rng(5)
    x, inside = rng.normal(size=600), rng.random(600) < 0.5
    t, c = rng.exponential(np.exp(0.3 * x)), rng.exponential(2.0, size=600)
    data = pd.DataFrame({"time": np.minimum(t, c), "event": t <= c, "x": x, "inside": inside, "g": inside + 0})
    given = {"event": "event", "tau": 2.0, "form": "ipcw", "design": kt.Bernoulli(1.0)}
    ours = kt.rmst("time ~ x", data, subset="inside", **given)
    cut = kt.rmst("time ~ x", data[inside], **given)
    np.testing.assert_allclose(ours.theta, cut.theta, rtol=1e-10)
    np.testing.assert_allclose(ours.covariance, cut.covariance, rtol=1e-10)


def test_where_it_is_not_taken_it_is_refused_by_name(simple):
    data, design = simple
    given = {"surrogates": {"y": "y_llm"}}
    for call in (
        lambda: kt.sensitivity("y ~ z", data, design=design, subset="inside", **given),
        lambda: kt.bootstrap(print, data, subset="inside", **given),
        lambda: kt.plan("y ~ z", data, subset="inside", **given),
        lambda: kt.allocate("y ~ z", data, 100, subset="inside", **given),
    ):
        with pytest.raises(ArgumentError, match="subset= cannot be set here; "):
            call()
    fit = kt.ols("y ~ z", data, design=design, subset="inside", seed=1, **given, **RAW)
    for call in (
        lambda: kt.plan(fit),
        lambda: kt.plan(fit, data),
        lambda: kt.allocate(fit, data, 100),
        lambda: kt.confidence_sequence(fit, planned=200),
    ):
        with pytest.raises(ArgumentError, match="subset="):
            call()


def test_intervals_hold_for_a_domain_of_a_stratified_draw():
    """100 corpora of 500, 120 gold drawn in strata alike, a third of the rows in a subset that cuts across strata.

    Monte Carlo error of a coverage of .95 is .022; the surrogate is off by more inside than outside.
    """
    slope, hits, done = 0.5, np.zeros(2), 100
    for k in range(done):
        rng = np.random.default_rng(k)
        x, stratum = rng.normal(size=500), rng.integers(0, 3, size=500)
        inside = rng.random(500) < np.array([0.6, 0.3, 0.1])[stratum]
        y = 1.0 + slope * x + 0.5 * stratum * ~inside + rng.normal(size=500)
        data = pd.DataFrame({"x": x, "s": stratum, "inside": inside, "y_llm": y + 0.5 * inside + rng.normal(size=500)})
        sample = kt.Stratified("s", n=120, allocation="equal").draw(data, seed=k)
        data["y"] = np.where(sample.labelled, y, np.nan)
        fit = kt.ols("y ~ x", data, surrogates={"y": "y_llm"}, design=sample.design, subset="inside", **RAW)
        low, high = fit.confint().to_numpy().T
        hits += (low < [1.0, slope]) & ([1.0, slope] < high)
    assert (hits / done > 0.95 - 3 * 0.022).all()
    assert (hits / done < 0.95 + 2.2 * 0.022).all()
