import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest

import karat as kt
from karat.designs import Labelling, resolve
from karat.designs.fixed_size import allocate
from karat.errors import ArgumentError, DataError, DesignError, DesignWarning
from karat.frames import Table

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
    frame = frame.assign(doc=range(300))
    draws = np.mean([design.draw(frame, seed=s, id="doc").labelled for s in range(80)], axis=0)
    pi = design.draw(frame, seed=0, id="doc").probability
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


def test_probabilities_that_do_not_add_up_are_remarked(frame, quiet):
    gold = np.arange(300) < 100
    with pytest.warns(DesignWarning, match=r"add up to 30\.0, but 100 rows are gold"):
        fit_with(kt.Bernoulli(0.1), frame, gold)


@pytest.mark.parametrize(
    ("design", "message"),
    [
        (kt.SimpleRandom(), "needs n"),
        (kt.SimpleRandom(301), "at most 300"),
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


@pytest.mark.parametrize("wrong", ["abc", "3", 2.5, 0, -1, True, np.nan, np.inf, [3], 1j, np.datetime64("2020-01-01")])
@pytest.mark.parametrize(
    ("make", "name"),
    [
        (kt.SimpleRandom, "n"),
        (lambda n: kt.Stratified("region", n), "n"),
        (lambda n: kt.Stratified("region", {"east": 5, "west": n}), r"n\['west'\]"),
        (lambda n: kt.Clustered("author", n), "n"),
        (lambda n: kt.Unequal("size", n), "n"),
    ],
)
def test_sizes_that_are_not_whole_numbers(make, name, wrong):
    with pytest.raises(ArgumentError, match=f"{name}=.*whole number"):
        make(wrong)


def test_whole_numbers_of_any_kind_are_sizes(frame):
    for n in (20, 20.0, np.int16(20), np.float32(20)):
        assert len(kt.SimpleRandom(n).draw(frame, seed=np.int64(1)).positions) == 20
    assert repr(kt.SimpleRandom(20.0)) == "SimpleRandom(n=20)"


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: kt.Bernoulli(1.5), "probability=1.5"),
        (lambda: kt.Bernoulli(0), "probability=0"),
        (lambda: kt.Bernoulli(None), "probability=None"),
        (lambda: kt.Bernoulli(True), "probability=True"),
        (lambda: kt.Bernoulli(float("nan")), "probability=nan"),
        (lambda: kt.Stratified(5, 10), "by=5"),
        (lambda: kt.Stratified([], 10), r"by=\[\]"),
        (lambda: kt.Stratified(["region", "region"], 10), "different columns"),
        (lambda: kt.Clustered("author", 5, by=1.0), "by=1.0"),
        (lambda: kt.Unequal("size", 5, by={"region"}), "by="),
        (lambda: kt.Unequal("size", 5, floor="0.1"), "floor='0.1'"),
        (lambda: kt.Unequal("size", 5, floor=1.0), "floor=1.0"),
        (lambda: kt.Clustered("author", 5, size="size", floor=None), "floor=None"),
        (lambda: kt.Waves([kt.SimpleRandom(5)] * 2, shares=["a", 1]), "shares='a'"),
        (lambda: kt.Waves([kt.SimpleRandom(5)] * 2, shares=0.5), "shares=0.5"),
        (lambda: kt.Waves([kt.SimpleRandom(5)] * 2, wave=2), "wave=2"),
        (lambda: kt.Propensity("z", trim="x"), "trim='x'"),
        (lambda: kt.Propensity("z", seed=-1), "seed=-1"),
    ],
)
def test_arguments_of_designs_that_are_not_allowed(make, name):
    with pytest.raises(ArgumentError, match=name):
        make()


@pytest.mark.parametrize("seed", ["7", -1, 1.5, True, np.nan, object(), [-1], ["a"]])
def test_seeds_that_are_not_allowed(seed, frame):
    with pytest.raises(ArgumentError, match="seed"):
        kt.SimpleRandom(5).draw(frame, seed=seed)
    with pytest.raises(ArgumentError, match="seed"):
        kt.SimpleRandom(5).draw(frame, seed=1).next_wave(kt.SimpleRandom(5), frame, seed=seed)


# ---- subgroups ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("id", [None, "doc"])
def test_a_subgroup_of_a_drawn_sample(id, frame, tmp_path, quiet):
    frame = frame.assign(doc=[f"x{k}" for k in range(300)])
    sample = kt.SimpleRandom(90).draw(frame, seed=3, id=id)
    gold = corpora.masked(frame, sample.labelled, "y")
    inside = gold["region"] == "east"
    part = gold[inside]
    options = {"surrogates": {"y": "y_llm"}, "learner": None, "compare": False}
    with pytest.raises(DesignError, match=r"design=sample.subgroup\(data, rows\)"):
        kt.ols("y ~ z", part, design=sample, **options)
    found = sample.subgroup(gold, inside)
    found.save(tmp_path / "part.json")
    plain = kt.ols("y ~ z", part, design=kt.SimpleRandom(), **options)
    for design in (found, kt.read_sample(tmp_path / "part.json"), sample.subgroup(gold.assign(e=inside), "e")):
        fit = kt.ols("y ~ z", part, design=design, **options)
        np.testing.assert_allclose(fit.covariance, plain.covariance, rtol=1e-12)
    with pytest.raises(DesignError):
        kt.ols("y ~ z", gold, design=found, **options)


def test_subgroups_that_cannot_be_had(frame):
    sample = kt.SimpleRandom(30).draw(frame, seed=3)
    with pytest.raises(DesignError, match="none of the drawn rows"):
        sample.subgroup(frame, ~sample.labelled)
    with pytest.raises(DataError, match="true or false"):
        sample.subgroup(frame, "z")
    with pytest.raises(ArgumentError, match="299 rows"):
        sample.subgroup(frame, np.ones(299, bool))
    with pytest.raises(DataError, match="'regoin'"):
        sample.subgroup(frame, "regoin")
    with pytest.raises(DesignError, match="another order"):
        sample.subgroup(frame[::-1], "vote_llm")


# ---- which rows a seed draws -------------------------------------------------------------------------------

KEYED = {**DESIGNS, "waves": kt.Waves([kt.SimpleRandom(30), kt.Unequal("size", 20)])}


@pytest.mark.parametrize("design", KEYED.values(), ids=KEYED)
@pytest.mark.parametrize("id", [None, "doc"])
def test_the_same_rows_are_drawn_in_any_order_and_library(design, id, frame):
    frame = frame.assign(doc=[f"x{k}" for k in range(len(frame))])
    moved = frame.sample(frac=1, random_state=5)
    want = set(design.draw(frame, seed=11, id=id).rows(frame)["doc"])
    for other in (moved, moved[moved.columns[::-1]], pl.from_pandas(moved), moved.convert_dtypes()):
        sample = design.draw(other, seed=11, id=id)
        rows = sample.rows(other)
        assert set(rows["doc"]) == want
        held = dict(zip(Table.read(other).column("doc", "").to_numpy(), sample.probability))
        assert rows["probability"].tolist() == [held[name] for name in rows["doc"]]


def test_with_an_id_other_columns_do_not_change_a_draw(frame):
    frame = frame.assign(doc=range(len(frame)))
    draw = lambda data: kt.Stratified("region", 30).draw(data, seed=11, id="doc").positions.tolist()  # noqa: E731
    assert draw(frame) == draw(frame[["doc", "region"]]) == draw(frame.assign(new=1.0, doc=frame["doc"].astype(str)))
    assert draw(frame) != draw(frame.assign(doc=range(1, len(frame) + 1)))


def test_arrays_of_a_design_go_with_their_rows(frame):
    pi = np.where(frame["region"] == "east", 0.5, 0.1)
    order = np.random.default_rng(3).permutation(len(frame))
    moved = frame.iloc[order]
    for make in (kt.Bernoulli, lambda p: kt.Unequal(p, 20)):
        first, second = make(pi).draw(frame, seed=2), make(pi[order]).draw(moved, seed=2)
        np.testing.assert_array_equal(first.labelled[order], second.labelled)
        np.testing.assert_allclose(first.probability[order], second.probability, rtol=1e-12)


def test_later_waves_follow_the_rows_too(frame):
    frame = frame.assign(doc=range(len(frame)))
    moved = frame.sample(frac=1, random_state=5)
    pilot = kt.SimpleRandom(30).draw(frame, seed=1, id="doc")
    drawn = [set(pilot.next_wave(kt.Unequal("size", 20), data, seed=2).rows(data)["doc"]) for data in (frame, moved)]
    assert drawn[0] == drawn[1]


def test_strata_that_read_alike_are_refused(frame):
    mixed = frame.assign(region=[1, "1", 2] * 100)
    with pytest.raises(DataError, match=r"'region'.*read alike.*'1'"):
        kt.Stratified("region", 30).draw(mixed, seed=1)
    numbers = frame.assign(region=np.arange(300) % 2 + 1.0)
    assert len(kt.Stratified("region", {1: 10, 2: 20}).draw(numbers, seed=1).positions) == 30


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
