"""Drawn rows without labels, and gold nobody drew: weights, variances, refusals."""

import warnings
from dataclasses import replace

import numpy as np
import pytest

import karat as kt
from karat.designs import Labelling, Response
from karat.designs.calibration import independent_columns, nonresponse_odds
from karat.designs.response import answered, as_response, tilted
from karat.errors import ArgumentError, DesignError, NotValidWarning
from karat.estimate.tune import effective_size
from karat.frames import Table

from .. import corpora

SURROGATES = {"stance": "stance_llm"}
FORMULA = "y ~ stance + z"


def some(labelled, share, seed=0):
    """A part of the labelled rows."""
    return labelled & (np.random.default_rng(seed).random(len(labelled)) < share)


def fit(data, **options):
    return kt.ols(FORMULA, data, surrogates=SURROGATES, learner="linear", seed=3, **options)


@pytest.mark.parametrize("design", [kt.SimpleRandom(150), kt.Stratified("region", n=150)])
def test_random_answers_of_a_random_sample_are_one(corpus, design):
    sample = design.draw(corpus, seed=5)
    data = corpora.masked(corpus, some(sample.labelled, 0.8), "stance")
    ours = fit(data, design=sample.design, nonresponse="ignorable")
    plain = fit(data, design=replace(design, n=None))
    np.testing.assert_allclose(ours.theta, plain.theta)
    np.testing.assert_allclose(ours.covariance, plain.covariance)
    assert "of the 150 drawn have labels, taken as random" in str(ours.summary())
    found = kt.diagnose(ours).tidy().loc["Non-response"]
    assert found["Verdict"] in ("look", "problem")


def test_missing_labels_are_never_silent(corpus):
    sample = kt.SimpleRandom(150).draw(corpus, seed=5)
    data = corpora.masked(corpus, some(sample.labelled, 0.8), "stance")
    with pytest.raises(DesignError, match="nonresponse='ignorable'"):
        fit(data, design=sample.design)
    with pytest.raises(DesignError, match="drawn row"):
        fit(data, design=kt.SimpleRandom(150), sampled=sample.labelled)
    with pytest.raises(ArgumentError, match="which rows were drawn"):
        fit(data, design=kt.SimpleRandom(150), nonresponse="ignorable")
    with pytest.raises(ArgumentError, match="nonresponse=True"):
        fit(data, design=sample.design, nonresponse=True)
    with pytest.raises(ArgumentError, match="Propensity has none"):
        fit(data, design=kt.Propensity("z"), nonresponse="ignorable")
    extra = data.copy()
    extra.loc[np.flatnonzero(~sample.labelled)[0], "stance"] = 1.0
    with pytest.raises(DesignError, match="were not drawn"):
        fit(extra, design=sample.design, nonresponse="ignorable")


def test_draw_given_as_a_column(corpus):
    sample = kt.Stratified("region", n=150).draw(corpus, seed=5)
    data = corpora.masked(corpus, some(sample.labelled, 0.8), "stance").assign(drawn=sample.labelled)
    by_column = fit(data, design=kt.Stratified("region", n=150), sampled="drawn", nonresponse="ignorable")
    by_sample = fit(data, design=sample.design, nonresponse="ignorable")
    np.testing.assert_array_equal(by_column.theta, by_sample.theta)
    np.testing.assert_array_equal(by_column.covariance, by_sample.covariance)
    with pytest.raises(ArgumentError, match="true/false"):
        fit(data, design=kt.Stratified("region", n=150), sampled="size", nonresponse="ignorable")


def test_nothing_missing_changes_nothing(corpus):
    sample = kt.SimpleRandom(150).draw(corpus, seed=5)
    data = corpora.masked(corpus, sample.labelled, "stance")
    np.testing.assert_array_equal(
        fit(data, design=sample.design, nonresponse="ignorable").covariance, fit(data, design=sample.design).covariance
    )


def test_stratum_without_answer(corpus):
    sample = kt.Stratified("region", n=150).draw(corpus, seed=5)
    data = corpora.masked(corpus, sample.labelled & (corpus["region"] != "west").to_numpy(), "stance")
    with pytest.raises(DesignError, match="'west'"):
        fit(data, design=sample.design, nonresponse="ignorable")


def frame(seed=1, n=300):
    rng = np.random.default_rng(seed)
    z = rng.standard_normal(n)
    e = np.column_stack([1.0 + z + rng.standard_normal(n), np.cos(2 * z) + rng.standard_normal(n)])
    return z, e, np.arange(n) // 3


@pytest.mark.parametrize("kind", ["simple random", "bernoulli", "clusters", "census"])
def test_variance_of_answers_over_repetitions(kind):
    """Draws and answers repeated 800 times: Monte Carlo error of a variance 5 %, of a mean variance less."""
    z, e, unit = frame(n=900)
    n = len(z)
    rng = np.random.default_rng(7)
    pi = {"bernoulli": 0.3 + 0.4 * (z > 0), "census": np.ones(n)}.get(kind, np.full(n, 0.5))
    regressors = np.column_stack([np.ones(n), z])
    totals, estimates = [], []
    for _ in range(800):
        if kind == "simple random":
            drawn = Labelling(pi, np.isin(np.arange(n), rng.choice(n, n // 2, replace=False)), True)
        elif kind == "clusters":
            drawn = Labelling(pi, np.isin(unit, rng.choice(n // 3, n // 6, replace=False)), True, None, unit)
        else:
            drawn = Labelling(pi, rng.random(n) < pi, False)
        answers = drawn.labelled & (rng.random(n) < 1 / (1 + np.exp(-1 - 0.7 * z)))
        found = answered(drawn, answers, regressors, "modelled")
        assert isinstance(found, Response)
        totals.append(found.weight @ e[found.gold])
        estimates.append(found.cross(e[found.gold], e[found.gold]))
    wanted = np.cov(np.array(totals).T)
    np.testing.assert_allclose(np.mean(totals, axis=0), e.sum(axis=0), atol=4 * np.sqrt(np.diag(wanted) / 800).max())
    np.testing.assert_allclose(np.diag(np.mean(estimates, axis=0)), np.diag(wanted), rtol=0.15)


def test_two_ways_to_write_random_answers():
    _, e, _ = frame()
    rng = np.random.default_rng(2)
    stratum = np.repeat([0, 1], 150)
    labelled = np.isin(np.arange(300), np.r_[rng.choice(150, 60, replace=False), 150 + rng.choice(150, 90, False)])
    drawn = Labelling(np.where(stratum == 0, 0.4, 0.6), labelled, True, stratum)
    simple = answered(drawn, some(labelled, 0.7), None, "random")
    general = as_response(simple)
    np.testing.assert_allclose(simple.weight, general.weight)
    gold = e[simple.gold]
    np.testing.assert_allclose(simple.cross(gold, gold), general.cross(gold, gold), rtol=0.06)


def test_rows_left_out_count_as_zeros():
    z, e, _ = frame()
    n = len(z)
    everyone = Labelling(np.ones(n), np.ones(n, dtype=bool), False)
    answers = np.random.default_rng(3).random(n) < 1 / (1 + np.exp(-z))
    whole = answered(everyone, answers, np.column_stack([np.ones(n), z]), "modelled")
    rows = np.arange(n) % 4 > 0
    kept = whole.keep(rows)
    zeroed = np.where(rows[:, None], e, 0.0)[whole.gold]
    part = e[rows][kept.gold]
    np.testing.assert_allclose(kept.weight, whole.weight[rows[whole.gold]])
    np.testing.assert_allclose(kept.cross(part, part), whole.cross(zeroed, zeroed))
    twice = kept.keep(np.arange(rows.sum()) % 3 > 0)
    left = rows.copy()
    left[np.flatnonzero(rows)[np.arange(rows.sum()) % 3 == 0]] = False
    zeroed = np.where(left[:, None], e, 0.0)[whole.gold]
    np.testing.assert_allclose(twice.cross(e[left & answers], e[left & answers]), whole.cross(zeroed, zeroed))


def test_estimating_the_propensity_takes_out_what_it_explains():
    z, _, _ = frame()
    n = len(z)
    answers = np.random.default_rng(3).random(n) < 1 / (1 + np.exp(-z))
    x = np.column_stack([np.ones(n), z])
    found = answered(Labelling(np.ones(n), np.ones(n, dtype=bool), False), answers, x, "")
    np.testing.assert_allclose(found.weight @ x[found.gold], x.sum(axis=0), rtol=1e-7)
    np.testing.assert_allclose(found.cross(x[found.gold], x[found.gold]), 0, atol=1e-6)


def test_no_overlap():
    x = np.column_stack([np.ones(20), np.arange(20.0)])
    with pytest.raises(DesignError, match="cannot represent the others"):
        nonresponse_odds(x, np.arange(20) < 8, np.ones(20))


def test_tilt_by_hand():
    y = np.array([1.0, 0.0, 3.0, 2.0, 5.0, 4.0])
    drawn = Labelling(np.full(12, 0.5), np.arange(12) < 6, True)
    found = answered(drawn, np.arange(12) < 4, None, "")
    weight = tilted(found, 0.7 * y[:4]).weight
    factor = np.exp(0.7 * y[:4]) / np.exp(0.7 * y[:4]).mean()
    np.testing.assert_allclose(weight, 2.0 * (1 + 0.5 * factor))
    np.testing.assert_allclose(tilted(found, np.zeros(4)).weight, found.weight)


def test_independent_columns_do_not_depend_on_units():
    rng = np.random.default_rng(0)
    a = rng.standard_normal((50, 3))
    made = independent_columns(np.column_stack([a, a[:, 0] + a[:, 1], np.ones(50)]))
    assert made.shape == (50, 4)
    np.testing.assert_allclose(independent_columns(a), independent_columns(a * [1, 1e3, 1e-3] + 7))


@pytest.fixture(scope="module")
def picked(corpus):
    chance = corpora.logistic(-0.8 + 0.8 * corpus["z"].to_numpy() + 0.5 * corpus["stance_llm"].to_numpy())
    rows = np.random.default_rng(4).random(len(corpus)) < chance
    return corpora.masked(corpus, rows, "stance")


class TestPropensity:
    def test_says_that_the_guarantee_is_gone(self, picked):
        with pytest.warns(NotValidWarning, match="nobody drew this gold"):
            found = fit(picked, design=kt.Propensity(["z", "stance_llm"]))
        text = str(found.summary())
        assert "NOT a probability sample" in text
        assert "Warning: nobody drew this gold" in text
        table = kt.diagnose(found).tidy()
        assert table.loc["Design", "Verdict"] == "problem"
        assert "Non-response" not in table.index

    def test_gold_reproduces_the_frame(self, picked):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = fit(picked, design=kt.Propensity(["z", "stance_llm"])).checks.balance
            formula = fit(picked, design=kt.Propensity("~ z * stance_llm"))
        assert set(found.fixed) == {"z", "stance_llm"}
        assert found.df >= 1
        assert max(abs(r.standardised) for r in found.rows if r.name in found.fixed) < 1e-6
        assert formula.checks.weights.total == pytest.approx(len(picked))

    def test_learner_and_trim(self, picked):
        from sklearn.linear_model import LogisticRegression

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            plain = fit(picked, design=kt.Propensity("z"))
            learnt = fit(picked, design=kt.Propensity("z", learner=LogisticRegression()))
        np.testing.assert_allclose(learnt.theta, plain.theta, atol=plain.se().max() * 0.5)
        with pytest.warns(NotValidWarning, match="raised to 0.3"):
            cut = fit(picked, design=kt.Propensity("z", trim=0.3))
        assert cut.sampling.largest_weight <= 1 / 0.3 + 1e-9

    @pytest.mark.parametrize(
        ("design", "message"),
        [
            (lambda: kt.Propensity("z", trim=0.7), "trim=0.7"),
            (lambda: kt.Propensity("z", learner="forest"), "learner='forest'"),
        ],
    )
    def test_bad_arguments(self, design, message):
        with pytest.raises(ArgumentError, match=message):
            design()

    def test_refusals(self, corpus, picked):
        with pytest.raises(DesignError, match="cannot draw"):
            kt.Propensity("z").draw(corpus)
        with pytest.raises(DesignError, match="every row is gold"):
            fit(corpus, design=kt.Propensity("z"))
        with pytest.raises(kt.KaratError, match="'zz'"):
            fit(picked, design=kt.Propensity("zz"))
        with pytest.raises(ArgumentError, match="cannot be evaluated"):
            fit(picked, design=kt.Propensity("~ zz"))
        with pytest.raises(ArgumentError, match="not allowed"):
            kt.Propensity([]).realised(Table.read(picked), picked["stance"].notna().to_numpy())


def clustered_answers(rng, n_units=8, size=6):
    """Whole clusters drawn independently, some of their rows answered, with a probability of its own for each row."""
    unit = np.repeat(np.arange(n_units), size)
    pi = np.repeat(rng.uniform(0.3, 0.8, n_units), size)
    rho = rng.uniform(0.3, 0.9, len(unit))
    return unit, pi, rho


def test_sandwich_part_of_clustered_answers_is_unbiased():
    """``E`` of it is the covariance of the weights of rows that share unit and cluster; 4,000 repetitions."""
    rng = np.random.default_rng(3)
    unit, pi, rho = clustered_answers(rng)
    e = rng.standard_normal((len(unit), 1)) + 1.0
    w, rows = 1 / pi, np.arange(len(unit))
    for cluster in (unit, unit // 2, rows % 2, None):
        together = np.eye(len(unit), dtype=bool)
        if cluster is not None:
            together |= (unit[:, None] == unit) & (cluster[:, None] == cluster)
        covariance = np.where(np.eye(len(unit), dtype=bool), np.diag(w / rho - 1), (w - 1)[:, None])
        wanted = float((e.T @ (covariance * together) @ e)[0, 0])
        found = []
        for _ in range(2000):
            drawn = (rng.random(8) < pi[::6])[unit]
            answers = drawn & (rng.random(len(unit)) < rho)
            if not answers.any():
                found.append(0.0)
                continue
            first = Labelling(pi, drawn, False, None, unit)
            here = Response(pi * rho, answers, False, None, unit, first=first, response=np.where(drawn, rho, 1.0))
            found.append(here.independent_cross(e[answers], e[answers], cluster)[0, 0])
        assert abs(np.mean(found) - wanted) < 4 * np.std(found) / np.sqrt(2000)


def test_spread_of_answers():
    rng = np.random.default_rng(4)
    pi, rho = rng.uniform(0.2, 0.9, 50), rng.uniform(0.3, 0.9, 50)
    first = Labelling(pi, rng.random(50) < pi, False)
    answers = first.labelled & (rng.random(50) < rho)
    found = Response(pi * rho, answers, False, first=first, response=rho).spread
    total = (pi * rho)[answers]
    np.testing.assert_allclose(found, (1 - total) / total**2)


def test_effective_size_of_answers_over_waves(corpus):
    sample = kt.Stratified("region", 90, allocation="equal").draw(corpus, seed=1)
    sample = sample.next_wave(kt.Unequal("size", n=90), corpus, seed=2)
    found = answered(sample.labelling, some(sample.labelled, 0.7), np.ones((len(corpus), 1)), "modelled")
    assert (found.spread > 0).all()
    error = np.random.default_rng(1).standard_normal((found.n_gold, 1))
    size = effective_size(error, found)
    assert np.isfinite(size).all()
    assert size[0] < found.n_gold
    with pytest.raises(DesignError, match="correct the probabilities"):
        effective_size(error[:2], Labelling(np.array([0.5, 1.5]), np.ones(2, dtype=bool), False))


def two_waves(corpus, seed=1):
    sample = kt.Stratified("region", 90, allocation="equal").draw(corpus, seed=seed)
    return sample.next_wave(kt.SimpleRandom(80), corpus, seed=seed + 1)


def test_ignorable_answers_over_waves_keep_to_waves_and_strata(corpus):
    """Calibrated within (wave, stratum): the answers stand for all that were drawn there."""
    sample = two_waves(corpus)
    draw = sample.labelling
    rate = np.where(draw.wave == 1, np.where(corpus["region"] == "east", 0.3, 0.9), 0.5)
    answers = draw.labelled & (np.random.default_rng(2).random(len(corpus)) < rate)
    found = answered(draw, answers, None, "random")
    whole, part = (np.zeros(len(corpus)) for _ in range(2))
    whole[draw.gold], part[found.gold] = draw.weight, found.weight
    for wave, regions in ((1, ["east", "north", "west"]), (2, [None])):
        for region in regions:
            cell = (draw.wave == wave) & ((corpus["region"] == region).to_numpy() if region else True)
            assert part[cell].sum() == pytest.approx(whole[cell].sum(), rel=1e-6)
    data = corpora.masked(corpus, answers, "stance")
    assert "within waves and their strata" in str(fit(data, design=sample.design, nonresponse="ignorable").summary())


def test_waves_without_answers(corpus):
    sample = two_waves(corpus)
    wave, east = sample.labelling.wave, (corpus["region"] == "east").to_numpy()
    data = corpora.masked(corpus, sample.labelled & ~((wave == 1) & east), "stance")
    with pytest.raises(DesignError, match="'east' of wave 1"):
        fit(data, design=sample.design, nonresponse="ignorable")
    for nonresponse in ("ignorable", ["z"]):
        with pytest.raises(DesignError, match="drawn in wave 2 has a label"):
            fit(corpora.masked(corpus, wave == 1, "stance"), design=sample.design, nonresponse=nonresponse)


def test_waves_with_a_propensity_say_so(corpus):
    pilot = (corpus["z"] > 0.8).to_numpy()
    rest = corpus[~pilot].reset_index(drop=True)
    wave = np.where(pilot, 1, 0)
    wave[~pilot] = 2 * kt.SimpleRandom(80).draw(rest, seed=1).labelled
    data = corpora.masked(corpus, wave > 0, "stance").assign(wave=wave)
    with pytest.warns(NotValidWarning):
        found = fit(data, design=kt.Waves([kt.Propensity("size"), kt.SimpleRandom()], wave="wave"))
    assert found.checks.caution.startswith("wave 1: nobody drew this gold")
