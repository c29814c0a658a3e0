"""Confidence sequences: the boundary against Brownian motion, the decision, and what is refused."""

import warnings

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

import karat as kt
from karat.errors import ArgumentError
from karat.sequential.anytime import anytime_p, best_ratio, multiplier, planned_variance

from .. import corpora


@pytest.fixture(scope="module")
def frame():
    return corpora.corpus(600, seed=5)


def looks(frame, n=3, **options):
    sample, fits = kt.SimpleRandom(80).draw(frame, seed=1), []
    for k in range(n):
        if k:
            sample = sample.next_wave(kt.SimpleRandom(60), frame, seed=k)
        table = corpora.masked(frame, sample.labelled, "y")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            settings = {"learner": None, "compare": False} | options
            fits.append(kt.ols("y ~ z", table, surrogates={"y": "y_llm"}, design=sample, **settings))
    return fits


@pytest.fixture(scope="module")
def fits(frame):
    return looks(frame)


def test_boundary_is_crossed_with_probability_alpha():
    """Brownian motion over a long, finely looked-at stretch of time; Monte Carlo error .0035."""
    rng = np.random.default_rng(1)
    times = np.geomspace(0.02, 400, 600)
    steps = rng.standard_normal((4000, 600)) * np.sqrt(np.diff(times, prepend=0.0))
    path = np.cumsum(steps, axis=1)
    bound = np.sqrt(times) * multiplier(times * best_ratio(0.05), 0.05)
    crossed = (np.abs(path) > bound).any(axis=1).mean()
    assert 0.025 < crossed < 0.05 + 3 * 0.0035
    naive = (np.abs(path) > 1.96 * np.sqrt(times)).any(axis=1).mean()
    assert naive > 0.4


@pytest.mark.parametrize("alpha", [0.01, 0.05, 0.2])
def test_boundary_is_tightest_at_its_ratio(alpha):
    found = minimize_scalar(lambda y: multiplier(np.array(y), alpha), bounds=(0.1, 100), method="bounded")
    assert best_ratio(alpha) == pytest.approx(found.x, rel=1e-3)
    y = np.array([0.3, 2.0, 50.0])
    np.testing.assert_allclose(anytime_p(multiplier(y, alpha), y), alpha)


def test_simple_random_labelling_has_the_covariances_of_brownian_motion():
    """Cov(mean of n, mean of m) = Var(mean of m) without replacement, which the clock rests on."""
    rng = np.random.default_rng(2)
    e = rng.exponential(size=60)
    order = np.argsort(rng.random((40_000, 60)), axis=1)
    means = [e[order[:, :n]].mean(axis=1) - e.mean() for n in (10, 25, 40)]
    v = e.var(ddof=1) * (1 / np.array([10, 25, 40]) - 1 / 60)
    found = np.cov(means)
    np.testing.assert_allclose(np.diag(found), v, rtol=0.05)
    np.testing.assert_allclose([found[0, 1], found[0, 2], found[1, 2]], v[[1, 2, 2]], rtol=0.08)


def test_half_widths(fits):
    sequence = kt.confidence_sequence(fits, planned=150)
    assert sequence.n_gold.tolist() == [80, 140, 200]
    first = fits[0]
    total, part = np.diag(first.covariance), np.diag(first.labelling_covariance)
    plan = total - part + part * (1 / 150 - 1 / 600) / (1 / 80 - 1 / 600)
    np.testing.assert_allclose(planned_variance(total, part, 80, 150, 600), plan)
    ratio = best_ratio(0.05) * plan / np.diag(fits[2].covariance)
    by_hand = fits[2].se().to_numpy() * multiplier(ratio, 0.05)
    assert (sequence.half_width[2] > by_hand).all()  # t instead of normal
    np.testing.assert_allclose(sequence.half_width[2], by_hand, rtol=0.08)
    interval = sequence.confint()
    np.testing.assert_allclose(interval.mean(axis=1), fits[2].theta)
    assert interval.columns.tolist() == ["2.5%", "97.5%"]
    assert (sequence.half_width > 2.5 * sequence.standard_error).all()
    wide = kt.confidence_sequence(fits, planned=150, alpha=0.01)
    assert (wide.half_width > sequence.half_width).all()


def test_one_look_at_a_time_is_the_same(fits):
    sequence = kt.confidence_sequence(fits[0], planned=150).update(fits[1]).update(fits[2])
    np.testing.assert_array_equal(sequence.half_width, kt.confidence_sequence(fits, planned=150).half_width)
    assert len(sequence.tidy()) == 6
    assert "2.5%" in str(sequence)


def test_p_values_agree_with_the_intervals(fits):
    sequence = kt.confidence_sequence(fits, planned=150)
    edge = (sequence.theta + sequence.half_width).min(axis=0)
    for j, name in enumerate(sequence.names):
        assert sequence.pvalue(edge[j])[name] <= 0.05 + 1e-9
        one = kt.confidence_sequence(fits[:1], planned=150)
        assert one.pvalue(one.theta[0, j] + one.half_width[0, j])[name] == pytest.approx(0.05, rel=1e-6)
        assert one.pvalue(one.theta[0, j])[name] == 1.0


def test_decision(fits):
    sequence = kt.confidence_sequence(fits, planned=150)
    now = sequence.half_width[-1]
    stop = sequence.decide(float(now.max()) * 1.01)
    assert stop
    assert stop.stop
    assert str(stop).startswith("Stop.")
    goon = sequence.decide({"z": now[1] * 0.8})
    assert not goon
    assert 200 < goon.expected_n < 600
    assert "Continue, to about" in str(goon)
    never = sequence.decide({"z": now[1] * 0.1})
    assert never.expected_n is None
    assert "not be reached" in str(never)
    with pytest.raises(ArgumentError, match=r"\['w'\]"):
        sequence.decide({"w": 1.0})
    with pytest.raises(ArgumentError, match="above 0"):
        sequence.decide(0.0)


def test_expected_n_for_this_corpus_reaches_everything(frame):
    sequence = kt.confidence_sequence(looks(frame, 2, target="finite"), planned=200)
    decision = sequence.decide(1e-6)
    assert decision.expected_n == 600
    half = sequence.half_width
    assert (half[1] < half[0]).all()


def test_looks_that_do_not_follow_each_other(frame, fits):
    start = kt.confidence_sequence(fits[:2], planned=150)
    with pytest.raises(ArgumentError, match="growing gold"):
        start.update(fits[1])
    with pytest.raises(ArgumentError, match="differ in their regression"):
        start.update(looks(frame, target="finite")[2])
    other = kt.SimpleRandom(300).draw(frame, seed=77)
    with pytest.raises(ArgumentError, match="gold must grow"):
        start.update(
            kt.ols("y ~ z", corpora.masked(frame, other.labelled, "y"), surrogates={"y": "y_llm"}, design=other,
                   learner=None, compare=False)
        )  # fmt: skip
    with pytest.raises(ArgumentError, match="planned=600"):
        kt.confidence_sequence(fits, planned=600)
    with pytest.raises(ArgumentError, match="empty"):
        kt.confidence_sequence([], planned=150)
    with pytest.raises(ArgumentError, match="Results; got str"):
        kt.confidence_sequence(["fit"], planned=150)


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize(("size", "warns"), [("good", False), ("bad", True)])
def test_waves_less_informative_than_their_share(size, warns, frame):
    """Sizes against the spread of the errors make a wave noisy; sizes along it do not."""
    frame = frame.assign(y_llm=frame["y"] + np.exp(1.5 * frame["z"]) * np.random.default_rng(1).standard_normal(600))
    frame = frame.assign(good=np.exp(1.2 * frame["z"]).clip(0.3), bad=np.exp(-frame["z"]))
    pilot = kt.SimpleRandom(100).draw(frame, seed=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        main = pilot.next_wave(kt.Unequal(size, 100), frame, seed=2, share=0.5)
    fits = [
        kt.ols("y ~ 1", corpora.masked(frame, s.labelled, "y"), surrogates={"y": "y_llm"}, design=s, learner=None,
               tuning=None, compare=False)
        for s in (pilot, main)
    ]  # fmt: skip
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        kt.confidence_sequence(fits, planned=200)
    assert [w.category.__name__ for w in caught] == (["DesignWarning"] if warns else [])
    # Answers that came back at random tell the same.
    back = main.labelled & (pilot.labelled | (np.random.default_rng(3).random(600) < 0.8))
    fits[1] = kt.ols("y ~ 1", corpora.masked(frame, back, "y"), surrogates={"y": "y_llm"}, design=main, learner=None,
                     tuning=None, compare=False, nonresponse="ignorable")  # fmt: skip
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        kt.confidence_sequence(fits, planned=200)
    assert [w.category.__name__ for w in caught] == (["DesignWarning"] if warns else [])


def test_looks_without_scores(frame, fits):
    """Whether gold grew cannot be seen, so it is not taken for granted."""
    bare = [fit.replace(parts=None) for fit in fits]
    for pair in ((bare[0], fits[1]), (fits[0], bare[1])):
        with pytest.raises(ArgumentError, match="scores=True"):
            kt.confidence_sequence(pair, planned=150)
    assert len(kt.confidence_sequence(bare[0], planned=150).theta) == 1


def test_plot(fits):
    sequence = kt.confidence_sequence(fits, planned=150)
    panels = sequence.plot()
    assert [p.get_title() for p in panels] == ["z"]
    assert len(panels[0].lines[0].get_xdata()) == 3
    with pytest.raises(ArgumentError, match="'w'"):
        sequence.plot(["w"])
    with pytest.raises(ArgumentError, match="1 axes for 2"):
        sequence.plot(["Intercept", "z"], ax=panels[0])
