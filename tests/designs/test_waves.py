"""Pilot and main wave: unbiased and with the right variance by enumeration, equal to a plain computation."""

import itertools

import numpy as np
import pytest

import karat as kt
from karat.designs import Labelling, SequentialLabelling, Wave
from karat.errors import ArgumentError, DesignError

from .. import corpora


@pytest.fixture(scope="module")
def frame():
    return corpora.corpus(300, seed=41)


def outcomes(error):
    """Every outcome of a simple random pilot of 2 in 6 and a Bernoulli wave with probabilities the pilot teaches."""
    everyone = np.ones(6, dtype=bool)
    for pilot in itertools.combinations(range(6), 2):
        first = np.isin(np.arange(6), pilot)
        pi = np.where(np.arange(4) < 2, 0.3 + 0.1 * np.tanh(abs(error[first].sum())), 0.6)
        for pattern in itertools.product([False, True], repeat=4):
            second = np.array(pattern)
            mass = np.where(second, pi, 1 - pi).prod() / 15
            waves = (
                Wave(everyone, Labelling(np.full(6, 2 / 6), first, True), 0.5),
                Wave(~first, Labelling(pi, second, False), 0.5),
            )
            yield mass, SequentialLabelling.of(waves)


def test_unbiased_with_unbiased_variance():
    error = np.array([1.0, -2.0, 0.5, 3.0, -1.0, 0.2])
    total = second = cross = plain = 0.0
    weights = np.zeros((2, 6))
    for mass, draw in outcomes(error):
        e = error[draw.labelled][:, None]
        estimate = (draw.weight * e[:, 0]).sum()
        total += mass * estimate
        second += mass * estimate**2
        cross += mass * draw.cross(e, e)[0, 0]
        plain += mass * draw.independent_cross(e, e)[0, 0]
        w = np.zeros(6)
        w[draw.labelled] = draw.weight
        weights += mass * np.array([w, w**2])
    np.testing.assert_allclose(weights[0], 1.0, rtol=1e-12)
    assert total == pytest.approx(error.sum(), rel=1e-12)
    assert cross == pytest.approx(second - total**2, rel=1e-12)
    assert plain == pytest.approx(((weights[1] - 1) * error**2).sum(), rel=1e-12)


def test_spread_is_what_each_row_adds():
    error = np.array([1.0, -2.0, 0.5, 3.0, -1.0, 0.2])
    for _, draw in itertools.islice(outcomes(error), 20, 40):
        expected = np.zeros(6)
        for wave in draw.waves:
            pi = wave.labelling.probability
            value = wave.share**2 * (1 - pi) / pi**2
            expected[np.flatnonzero(wave.rows)[wave.labelling.labelled]] = value[wave.labelling.labelled]
        np.testing.assert_allclose(draw.spread, expected[draw.labelled])
        assert (draw.spread >= 0).all()


def test_simple_random_waves_are_one_simple_random_sample(frame):
    sample = kt.SimpleRandom(40).draw(frame, seed=1)
    for seed in (2, 3):
        sample = sample.next_wave(kt.SimpleRandom(25), frame, seed=seed)
    np.testing.assert_allclose(sample.labelling.weight, 300 / 90, rtol=1e-12)
    assert sample.labelling.description == "simple random sample in 3 waves, 90 of 300"
    rest = sample.next_wave(kt.SimpleRandom(210), frame, seed=4)
    np.testing.assert_allclose(rest.labelling.weight, 1.0, rtol=1e-12)
    assert rest.labelling.census


def pilot_and_main(frame, share=None):
    pilot = kt.Stratified("region", 60, allocation="equal").draw(frame, seed=1)
    size = np.where(pilot.labelled, 1.0, 0.5 + frame["pi"].to_numpy())
    return pilot, pilot.next_wave(kt.Unequal(size, 90), frame, seed=2, share=share), size


def test_estimate_is_the_weighted_sum_of_the_waves(frame):
    pilot, main, size = pilot_and_main(frame, share=0.7)
    y, h = frame["y"].to_numpy(), frame["y_llm"].to_numpy()
    first, second = pilot.labelled, main.labelled & ~pilot.labelled
    pi1 = pilot.probability
    pi2 = 90 * size / size[~first].sum()
    phi1 = h + first / pi1 * (y - h)
    phi2 = np.where(first, y, h + second / pi2 * (y - h))
    table = corpora.masked(frame, main.labelled, "y")
    options = {"surrogates": {"y": "y_llm"}, "learner": None, "tuning": None, "compare": False, "vcov": "HC0"}
    fit = kt.ols("y ~ 1", table, design=main.design, target="finite", **options)
    assert fit.theta[0] == pytest.approx((0.3 * phi1 + 0.7 * phi2).mean(), rel=1e-10)

    def hajek(e, pi):
        c = (1 - pi) * len(e) / (len(e) - 1)
        b = (c * e / pi).sum() / c.sum()
        return (c * (e / pi - b) ** 2).sum()

    e = y - fit.theta[0] - (h - fit.theta[0])
    v1 = sum(
        hajek(e[first & (frame["region"] == r)], pi1[first & (frame["region"] == r)]) for r in frame["region"].unique()
    )
    v2 = hajek(e[second], pi2[second])
    assert fit.covariance[0, 0] == pytest.approx((0.09 * v1 + 0.49 * v2) / 300**2, rel=1e-9)
    weight = 0.3 * first / pi1 + 0.7 * np.where(first, 1.0, second / pi2)
    both = kt.ols("y ~ 1", table, design=main.design, **options)
    expected = (weight * (y - fit.theta[0]) ** 2).sum() / 300**2 + fit.covariance[0, 0]
    assert both.covariance[0, 0] == pytest.approx(expected, rel=1e-9)


def test_next_wave_draws_among_the_rest(frame):
    pilot, main, _ = pilot_and_main(frame)
    assert len(main.new_positions) == 90
    assert not (set(main.new_positions) & set(pilot.positions))
    assert len(main.positions) == 150
    rows = main.rows(frame)
    np.testing.assert_array_equal(rows["position"], main.new_positions)
    assert main.labelling.weight.sum() == pytest.approx(300, rel=0.2)
    assert [round(w.share, 4) for w in main.labelling.waves] == [0.25, 0.75]
    _, other, _ = pilot_and_main(frame, share=0.5)
    assert [w.share for w in other.labelling.waves] == [0.5, 0.5]
    assert "2 waves" in main.labelling.description


def test_waves_are_read_from_a_column(frame):
    _, main, size = pilot_and_main(frame)
    table = corpora.masked(frame, main.labelled, "y").assign(size2=size, wave=main.labelling.wave)
    design = kt.Waves([kt.Stratified("region"), kt.Unequal("size2")], wave="wave")
    options = {"surrogates": {"y": "y_llm"}, "learner": None, "compare": False}
    drawn, read = (kt.ols("y ~ z", table, design=d, **options) for d in (main, design))
    np.testing.assert_allclose(read.covariance, drawn.covariance, rtol=1e-9)
    with pytest.raises(DesignError, match=r"not known.*wave='wave'"):
        kt.ols("y ~ z", table, design=kt.Waves(design.designs), **options)
    with pytest.raises(DesignError, match="gold but no wave"):
        kt.ols("y ~ z", table.assign(wave=table["wave"].where(table["wave"] == 1, 0)), design=design, **options)
    with pytest.raises(DesignError, match="holds 2; it must be 1 to 1"):
        kt.ols("y ~ z", table, design=kt.Waves([kt.SimpleRandom()], wave="wave"), **options)


def test_rows_in_another_order_and_left_out(frame):
    _, main, _ = pilot_and_main(frame)
    draw = main.labelling
    rng = np.random.default_rng(0)
    e = np.zeros((300, 2))
    e[draw.gold] = rng.standard_normal((draw.n_gold, 2))
    order = rng.permutation(300)
    moved = draw.take(order)
    np.testing.assert_array_equal(moved.labelled, draw.labelled[order])
    np.testing.assert_allclose(
        moved.cross(e[order][moved.labelled], e[order][moved.labelled]), draw.cross(e[draw.labelled], e[draw.labelled])
    )
    kept = draw.keep(np.arange(300) % 7 > 0)
    assert len(kept.labelled) == 257
    assert kept.weight.sum() == pytest.approx(257, rel=0.2)
    for wave in kept.waves:
        assert wave.labelling.probability.sum() == pytest.approx(wave.labelling.n_gold)


def test_degrees_of_freedom_and_learner_weights(frame):
    _, main, _ = pilot_and_main(frame)
    assert main.labelling.n_strata == 4
    assert main.labelling.n_chance == 150
    table = corpora.masked(frame, main.labelled, "y")
    fit = kt.ols("y ~ z", table, surrogates={"y": "y_llm"}, design=main, seed=1)
    assert np.isfinite(fit.df).all()
    assert np.isfinite(fit.se()).all()
    assert fit.compare().columns[1].title == "Gold only"


def test_drawing_all_waves_at_once(frame):
    sample = kt.Waves([kt.SimpleRandom(50), kt.Bernoulli("pi")], shares=[1, 3]).draw(frame, seed=3)
    assert [w.share for w in sample.labelling.waves] == [0.25, 0.75]
    rows = sample.rows(frame)
    assert len(rows) == len(sample.positions)
    assert rows["wave"].value_counts()[1] == 50
    np.testing.assert_allclose(
        sample.labelling.waves[1].labelling.probability, frame["pi"][~sample.labelling.waves[0].labelling.labelled]
    )


def test_refusals(frame):
    pilot, main, _ = pilot_and_main(frame)
    with pytest.raises(ArgumentError, match=r"share=.*above 0 and below 1"):
        pilot.next_wave(kt.SimpleRandom(5), frame, share=1.0)
    with pytest.raises(ArgumentError, match="design of one wave"):
        pilot.next_wave(main.design, frame)
    with pytest.raises(ArgumentError, match="one per wave"):
        kt.Waves([])
    with pytest.raises(ArgumentError, match=r"shares=0.0.*above 0"):
        kt.Waves([kt.SimpleRandom(5)], shares=[0.0])
    with pytest.raises(DesignError, match="different kinds of units"):
        pilot.next_wave(kt.Clustered("author", 4), frame, seed=1)
    with pytest.raises(DesignError, match="nothing left"):
        kt.SimpleRandom(300).draw(frame, seed=1).next_wave(kt.SimpleRandom(1), frame)
    with pytest.raises(ArgumentError, match="by hand"):
        pilot.next_wave(kt.SimpleRandom(5), frame, share=0.4, seed=1).next_wave(kt.SimpleRandom(5), frame)
    table = corpora.masked(frame, main.labelled, "y")
    with pytest.raises(ArgumentError, match="several waves"):
        kt.bootstrap(lambda d, w: np.average(d["y"], weights=w), table, surrogates={"y": "y_llm"}, design=main)


def test_a_stratum_that_is_used_up_can_be_left_out(frame):
    frame = frame.assign(part=np.where(np.arange(300) < 6, 1.0, 2.0 + np.arange(300) % 2))
    pilot = kt.Stratified("part", {1: 6, 2: 20, 3: 20}).draw(frame, seed=1)
    with pytest.raises(DesignError, match=r"every row of stratum '1'.*n=\{'2': 5, '3': 6\}"):
        pilot.next_wave(kt.Stratified("part", {1: 2, 2: 5, 3: 6}), frame, seed=2)
    main = pilot.next_wave(kt.Stratified("part", {"2": 5, "3": 6}), frame, seed=2)
    assert len(main.new_positions) == 11


def test_clusters_in_waves(frame, quiet):
    pilot = kt.Clustered("author", 6).draw(frame, seed=1)
    main = pilot.next_wave(kt.Clustered("author", 8), frame, seed=2)
    np.testing.assert_allclose(main.labelling.weight, 25 / 14, rtol=1e-12)
    table = corpora.masked(frame, main.labelled, "y")
    fit = kt.ols("y ~ z", table, surrogates={"y": "y_llm"}, design=main, cluster="author", learner=None, compare=False)
    assert (fit.se() > 0).all()
