import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest

import karat as kt
from karat.designs import Labelling, resolve
from karat.designs.fixed_size import allocate
from karat.errors import ArgumentError, DataError, DesignError, DesignWarning

from .. import corpora


@pytest.fixture(scope="module")
def frame():
    frame = corpora.corpus(300, seed=41)
    return frame.assign(half=frame["author"] % 2, author_size=1.0 + frame["author"] % 7)


DESIGNS = {
    "simple": kt.SimpleRandom(60),
    "bernoulli": kt.Bernoulli("pi"),
    "constant": kt.Bernoulli(0.3),
    "stratified": kt.Stratified("region", 60),
    "strata of two": kt.Stratified(("region", "vote_llm"), 60, allocation="equal"),
    "clusters": kt.Clustered("author", 10),
    "clusters in strata": kt.Clustered("author", 10, by="half"),
    "clusters by size": kt.Clustered("author", 10, size="author_size", method="systematic"),
    "sampford": kt.Unequal("size", 60),
    "systematic": kt.Unequal("size", 60, method="systematic"),
    "unequal in strata": kt.Unequal("size", 60, by="region", floor=0.05),
}
each_design = pytest.mark.parametrize("design", DESIGNS.values(), ids=DESIGNS.keys())


# ---- drawing -----------------------------------------------------------------------------------------------


@each_design
def test_draw_is_reproducible_and_consistent(design, frame):
    sample = design.draw(frame, seed=9)
    again = design.draw(frame, seed=np.random.default_rng(9))
    np.testing.assert_array_equal(sample.positions, again.positions)
    assert (design.draw(frame, seed=10).labelled != sample.labelled).any()
    np.testing.assert_array_equal(np.flatnonzero(sample.labelled), sample.positions)
    assert sample.probability.shape == sample.labelled.shape == (300,)
    assert (sample.probability > 0).all()
    assert (sample.probability <= 1).all()


@each_design
def test_frequencies_are_the_stated_probabilities(design, frame):
    draws = np.mean([design.draw(frame, seed=s).labelled for s in range(80)], axis=0)
    pi = design.draw(frame, seed=0).probability
    gap = (draws - pi) / np.sqrt(pi * (1 - pi) / 80)
    assert np.abs(gap).max() < 4.5
    assert abs(gap.mean()) < 0.35


@each_design
def test_gold_of_the_draw_is_read_as_the_draw(design, frame):
    """Fitting with the drawn design, with the sample itself, or with the plain design gives the same probabilities."""
    sample = design.draw(frame, seed=2)
    table = corpora.masked(frame, sample.labelled, "y")
    fits = [
        kt.ols("y ~ z", table, surrogates={"y": "y_llm"}, design=d, learner=None, compare=False)
        for d in (sample.design, sample, design)
    ]
    for fit in fits[1:]:
        np.testing.assert_array_equal(fit.covariance, fits[0].covariance)
    assert fits[0].sampling.smallest_probability == sample.probability[sample.labelled].min()
    assert fits[0].sampling.sum_of_weights == pytest.approx((1 / sample.probability[sample.labelled]).sum())


def test_rows_for_the_experts(frame):
    sample = DESIGNS["stratified"].draw(frame, seed=2)
    rows = sample.rows(frame)
    assert rows.columns.tolist() == ["position", *frame.columns, "probability", "stratum"]
    np.testing.assert_array_equal(rows["position"], sample.positions)
    expected = frame.iloc[sample.positions].reset_index(drop=True)
    pd.testing.assert_frame_equal(rows[frame.columns.tolist()], expected, check_dtype=False)
    np.testing.assert_array_equal(rows["probability"], sample.probability[sample.positions])
    assert rows.groupby("stratum")["region"].nunique().eq(1).all()
    assert "stratum" not in DESIGNS["simple"].draw(frame, seed=2).rows(frame)
    from_polars = sample.rows(pl.from_pandas(frame))
    assert from_polars["topic"].tolist() == rows["topic"].tolist()
    with pytest.raises(DesignError, match="300"):
        sample.rows(frame.head(10))


def test_sizes(frame):
    assert DESIGNS["simple"].draw(frame, seed=1).labelled.sum() == 60
    assert (DESIGNS["simple"].draw(frame, seed=1).probability == 60 / 300).all()
    drawn = DESIGNS["clusters"].draw(frame, seed=1)
    assert frame.loc[drawn.labelled, "author"].nunique() == 10
    assert not frame.loc[~drawn.labelled, "author"].isin(frame.loc[drawn.labelled, "author"]).any()
    assert (drawn.probability == 10 / 25).all()
    counts = frame["region"].value_counts()
    sizes = {"east": 5, "north": 7, "west": 3}
    drawn = kt.Stratified("region", sizes).draw(frame, seed=1)
    assert frame.loc[drawn.labelled, "region"].value_counts().to_dict() == sizes
    for region, size in sizes.items():
        assert (drawn.probability[frame["region"] == region] == size / counts[region]).all()


def test_allocation(frame):
    counts = frame["region"].value_counts()
    proportional = kt.Stratified("region", 60).draw(frame, seed=1)
    found = frame.loc[proportional.labelled, "region"].value_counts()
    assert (np.abs(found - 60 * counts / 300) < 1).all()
    equal = kt.Stratified("region", 60, allocation="equal").draw(frame, seed=1)
    assert (frame.loc[equal.labelled, "region"].value_counts() == 20).all()
    assert allocate(10, np.array([0.98, 0.01, 0.01]), np.array([500, 5, 5])).tolist() == [6, 2, 2]
    assert allocate(12, np.array([0.5, 0.5]), np.array([3, 50])).tolist() == [3, 9]
    assert allocate(3, np.array([0.5, 0.5]), np.array([1, 50])).tolist() == [1, 2]


def test_designs_travel(frame):
    sample = DESIGNS["stratified"].draw(frame, seed=2)
    copy = pickle.loads(pickle.dumps(sample))
    np.testing.assert_array_equal(copy.positions, sample.positions)
    assert "n=60" in repr(copy.design)


def test_what_design_may_be(frame):
    assert resolve(None) == kt.SimpleRandom()
    assert resolve(0.3) == kt.Bernoulli(0.3)
    assert resolve("pi") == kt.Bernoulli("pi")
    assert resolve(DESIGNS["simple"]) is DESIGNS["simple"]
    sample = kt.Bernoulli("pi").draw(frame, seed=1)
    table = corpora.masked(frame, sample.labelled, "y")
    options = {"surrogates": {"y": "y_llm"}, "learner": None, "compare": False}
    by_name, by_array = (kt.ols("y ~ z", table, design=d, **options) for d in ("pi", frame["pi"].to_numpy()))
    np.testing.assert_array_equal(by_name.covariance, by_array.covariance)


# ---- the draw and the gold contradict each other -----------------------------------------------------------


def fit_with(design, frame, gold, **options):
    table = corpora.masked(frame, gold, "y")
    return kt.ols("y ~ z", table, surrogates={"y": "y_llm"}, design=design, learner=None, compare=False, **options)


@each_design
def test_gold_where_nothing_was_drawn(design, frame):
    sample = design.draw(frame, seed=2)
    gold = sample.labelled.copy()
    gold[np.flatnonzero(~gold)[7]] = True
    with pytest.raises(DesignError, match=f"1 row.*not drawn.*{np.flatnonzero(~sample.labelled)[7]}.*missing"):
        fit_with(sample.design, frame, gold)


@each_design
def test_drawn_but_without_gold(design, frame):
    sample = design.draw(frame, seed=2)
    gold = sample.labelled.copy()
    gold[sample.positions[:2]] = False
    with pytest.raises(DesignError, match=f"2 drawn row.*{sample.positions[0]}.*have them labelled"):
        fit_with(sample.design, frame, gold)


def test_another_frame_than_the_one_drawn_from(frame):
    sample = DESIGNS["simple"].draw(frame, seed=2)
    with pytest.raises(DesignError, match=r"drawn from 300 rows, the data have 290.*same order"):
        fit_with(sample.design, frame.head(290), sample.labelled[:290])


def test_declared_sizes_are_held_against_the_gold(frame):
    gold = DESIGNS["simple"].draw(frame, seed=2).labelled
    with pytest.raises(DesignError, match=r"n=50.*60 rows carry gold.*Correct n"):
        fit_with(kt.SimpleRandom(50), frame, gold)
    with pytest.raises(DesignError, match=r"n=70.*60 rows carry gold.*without a label"):
        fit_with(kt.SimpleRandom(70), frame, gold)
    gold = DESIGNS["stratified"].draw(frame, seed=2).labelled
    with pytest.raises(DesignError, match=r"n=61.*60 rows carry gold"):
        fit_with(kt.Stratified("region", 61), frame, gold)
    drawn = frame.loc[gold, "region"].value_counts()
    declared = {"east": int(drawn["east"]) + 1, "north": int(drawn["north"]) - 1, "west": int(drawn["west"])}
    with pytest.raises(DesignError, match=r"stratum 'east'.*to be drawn"):
        fit_with(kt.Stratified("region", declared), frame, gold)
    gold = DESIGNS["clusters"].draw(frame, seed=2).labelled
    with pytest.raises(DesignError, match=r"n=9.*10 clusters carry gold"):
        fit_with(kt.Clustered("author", 9), frame, gold)


def test_cluster_labelled_in_part(frame):
    gold = DESIGNS["clusters"].draw(frame, seed=2).labelled.copy()
    lost = np.flatnonzero(gold)[0]
    gold[lost] = False
    with pytest.raises(DesignError, match=f"labelled in part.*'{frame['author'][lost]}'.*Label the rest"):
        fit_with(kt.Clustered("author"), frame, gold)


def test_stratum_without_gold_or_with_one(frame):
    gold = DESIGNS["stratified"].draw(frame, seed=2).labelled & (frame["region"] != "west")
    with pytest.raises(DesignError, match=r"stratum 'west'.*no gold.*merge strata"):
        fit_with(kt.Stratified("region"), frame, gold)
    gold[np.flatnonzero(frame["region"] == "west")[0]] = True
    with pytest.raises(DesignError, match=r"single gold unit.*merge"):
        fit_with(kt.Stratified("region"), frame, gold)


def test_certain_rows_need_gold(frame):
    gold = np.arange(300) < 100
    pi = np.where(np.arange(300) < 101, 1.0, 0.2)
    with pytest.raises(DesignError, match=r"probability 1 but no gold.*position 100"):
        fit_with(kt.Bernoulli(pi), frame, gold)


def test_probabilities_that_do_not_add_up_are_remarked(frame):
    gold = np.arange(300) < 100
    with pytest.warns(DesignWarning, match=r"add up to 30\.0, but 100 rows are gold"):
        fit_with(kt.Bernoulli(0.1), frame, gold)


@pytest.mark.parametrize(
    ("design", "message"),
    [
        (kt.SimpleRandom(), "needs n"),
        (kt.SimpleRandom(0), "from 1 to 300"),
        (kt.SimpleRandom(301), "from 1 to 300"),
        (kt.SimpleRandom(2.5), "whole number"),
        (kt.Stratified("region", 5), "two units"),
        (kt.Stratified("region", {"east": 5}), "every stratum.*north"),
        (kt.Stratified("region", {"east": 5, "north": 5, "west": 5, "south": 5}), "not in the data.*south"),
        (kt.Stratified("region", {"east": 5, "north": 5, "west": 5000}), "west"),
        (kt.Clustered("author", 1), "each needs two"),
        (kt.Clustered("author", 26), "25"),
        (kt.Bernoulli(1e-9), "no unit was drawn"),
    ],
)
def test_designs_that_cannot_be_drawn(design, message, frame):
    with pytest.raises(DesignError, match=message):
        design.draw(frame, seed=1)


def test_columns_of_the_design_must_be_there_and_filled(frame):
    with pytest.raises(DataError, match=r"'regoin'.*'region'"):
        kt.Stratified("regoin", 10).draw(frame)
    with pytest.raises(DataError, match=r"'author'.*missing"):
        kt.Clustered("author", 3).draw(frame.assign(author=frame["author"].where(frame.index > 3)))
    with pytest.raises(ArgumentError, match="allocation"):
        kt.Stratified("region", 10, allocation="optimal")
    with pytest.raises(ArgumentError, match="one column"):
        kt.Clustered(("author", "region"), 10)


# ---- the variance of labelling -----------------------------------------------------------------------------


def test_stratified_draws_are_more_precise_than_the_plain_formula_says(frame):
    """Reading a stratified sample as independent draws overstates the labelling variance."""
    frame = frame.assign(y=frame["z"] * 2 + frame["y"])
    sample = kt.Stratified("region", 90).draw(frame, seed=4)
    table = corpora.masked(frame, sample.labelled, "y")
    options = {"surrogates": {"y": "y_llm"}, "estimator": "gold", "compare": False, "target": "finite", "vcov": "HC0"}
    right = kt.mean("y", table, design=sample.design, **options)
    as_independent = kt.mean("y", table, design=kt.Bernoulli(sample.probability), **options)
    assert right.se().iloc[0] < 0.8 * as_independent.se().iloc[0]


def test_cluster_draws_are_less_precise_than_the_plain_formula_says(frame):
    frame = frame.assign(y=frame["y"] + np.random.default_rng(0).normal(size=25)[frame["author"]] * 3)
    sample = kt.Clustered("author", 12).draw(frame, seed=4)
    table = corpora.masked(frame, sample.labelled, "y")
    options = {"surrogates": {"y": "y_llm"}, "estimator": "gold", "compare": False, "target": "finite", "vcov": "HC0"}
    right = kt.mean("y", table, design=sample.design, **options)
    as_simple = kt.mean("y", table, design=kt.SimpleRandom(), **options)
    assert right.se().iloc[0] > 1.5 * as_simple.se().iloc[0]


def test_counts_of_a_draw():
    labelled = np.array([True, True, False, False, True, True])
    draw = Labelling(
        np.full(6, 0.5),
        labelled,
        fixed_size=True,
        unit=np.array([0, 0, 1, 1, 2, 2]),
        stratum=np.array([0] * 4 + [1] * 2),
    )
    assert (draw.n_gold, draw.n_units, draw.n_strata) == (4, 2, 2)
    part = draw.keep(np.array([True, False, True, True, True, True]))
    assert (part.n_gold, len(part.probability), part.unit.tolist()) == (3, 5, [0, 1, 1, 2, 2])
    assert draw.keep(np.ones(6, bool)) is draw
    # of the two clusters of the first stratum one was drawn; the second stratum was drawn whole
    np.testing.assert_array_equal(part.weight, [2.0, 1.0, 1.0])
