"""Places where a number could go wrong without a sound."""

import numpy as np
import pandas as pd
import pytest

import karat as kt


def corpus(seed, n=1500):
    rng = np.random.default_rng(seed)
    z = rng.normal(size=n)
    y = 1.0 + 0.5 * z + rng.normal(size=n)
    frame = pd.DataFrame({"y": y, "z": z, "y_llm": 0.7 * y + 2.0 + 0.3 * rng.normal(size=n), "stratum": z > 0.8})
    frame["hole"] = np.where(rng.random(n) < 0.4, np.nan, z + rng.normal(size=n))
    return frame


@pytest.mark.statistical
@pytest.mark.filterwarnings("ignore:the surrogates make standard errors larger")  # on purpose: the surrogate is far off
@pytest.mark.parametrize("design", [kt.SimpleRandom(120), kt.Stratified("stratum", 120, allocation="equal")])
def test_standard_errors_when_rows_are_dropped_under_a_fixed_size_design(design):
    """A third of the rows has a missing covariate; the surrogate is far off, so their number matters."""
    estimates, errors = [], []
    for seed in range(60):
        frame = corpus(seed)
        sample = design.draw(frame, seed=seed)
        labelled = kt.datasets.mask_gold(frame, sample, "y")
        fit = kt.ols(
            "y ~ hole", labelled, surrogates={"y": "y_llm"}, design=sample, learner=None, tuning=None, compare=False
        )
        estimates.append(fit.theta)
        errors.append(fit.se().to_numpy())
    ratio = np.mean(errors, axis=0) / np.std(estimates, axis=0, ddof=1)
    # 60 repetitions: a standard deviation is known to 9 %
    assert (ratio > 0.78).all(), ratio
    assert (ratio < 1.28).all(), ratio


def test_offset_is_read_whole():
    frame = corpus(1).assign(a=1.0, b=3.0)
    frame.loc[200:, "y"] = np.nan
    options = {"surrogates": {"y": "y_llm"}, "learner": None}
    plain = kt.ols("y ~ z", frame, **options)
    shifted = kt.ols("y ~ z + offset(a - b)", frame, **options)
    np.testing.assert_allclose(shifted.theta, plain.theta + [2.0, 0.0], rtol=1e-10, atol=1e-12)


def test_a_transform_of_an_observed_column_means_the_same_on_gold_and_predicted_rows():
    frame = corpus(2)
    frame["x"] = (frame["z"] + np.random.default_rng(0).normal(size=len(frame)) > 0).astype(float)
    frame["x_llm"] = frame["x"]
    frame.loc[150:, "x"] = np.nan
    frame["centred"] = frame["z"] - frame["z"].mean()
    options = {"surrogates": {"x": "x_llm"}, "learner": None, "tuning": None}
    by_hand = kt.ols("y_llm ~ x + centred", frame, **options)
    by_formula = kt.ols("y_llm ~ x + I(z - z.mean())", frame, **options)
    np.testing.assert_allclose(by_formula.theta, by_hand.theta, rtol=1e-10)
    with pytest.raises(kt.KaratError, match="whole column"):
        by_formula.predict(frame.head(2).assign(x=0.0))
    with pytest.raises(kt.KaratError, match="learns its scale"):
        kt.ols("y_llm ~ I(x - x.mean())", frame, **options)


def test_observed_outcome_is_checked_beyond_the_gold_rows():
    frame = corpus(3)
    frame["vote"] = (frame["y"] > 1).astype(float)
    frame["x"], frame["x_llm"] = frame["z"] > 0, frame["z"] > 0.1
    frame["x"] = frame["x"].astype(float).where(frame.index < 300)
    frame.loc[1400, "vote"] = -40.0
    with pytest.raises(kt.KaratError, match="'vote' of a logit must be 0 or 1"):
        kt.logit("vote ~ x", frame, surrogates={"x": "x_llm"}, learner=None)


@pytest.mark.parametrize("bad", [np.nan, 3.0])
def test_class_probabilities_from_outside_are_checked(bad):
    frame = corpus(4)
    frame["x"] = (frame["z"] > 0).astype(float).where(frame.index < 300)
    frame["x_llm"] = (frame["z"] > 0.1).astype(float)
    shares = np.column_stack([1 - frame["x_llm"], frame["x_llm"]])
    shares[700, 1] = bad
    with pytest.raises(kt.KaratError, match="add up to 1"):
        kt.ols("y ~ x", corpus(4).assign(x=frame["x"]), surrogates={"x": frame["x_llm"].to_numpy()},
               predictions={"x": shares})  # fmt: skip


def test_bootstrap_holds_the_variance_between_strata():
    """Mean of a variable that is all between strata: its variance is that of the share of the strata."""
    rng = np.random.default_rng(6)
    frame = pd.DataFrame({"stratum": rng.random(400) < 0.3})
    frame["y_all"] = 2.0 * frame["stratum"]
    frame["y_llm"] = frame["y_all"]
    sample = kt.Stratified("stratum", 100, allocation="equal").draw(frame, seed=1)
    frame["y"] = frame["y_all"].where(sample.labelled)
    boot = kt.bootstrap(
        lambda d, w: np.average(d["y"], weights=w), frame, surrogates={"y": "y_llm"}, design=sample, draws=300, seed=1
    )
    expected = frame["y_all"].std() / np.sqrt(len(frame))
    np.testing.assert_allclose(boot.se().iloc[0], expected, rtol=0.15)


def test_a_column_called_like_an_argument_keeps_its_missing_values():
    frame = corpus(7).assign(cluster=lambda d: np.where(d["hole"].isna(), None, "a"), id=np.arange(1500) // 3)
    frame.loc[frame.index % 2 == 0, "cluster"] = frame["cluster"].where(frame["hole"].isna(), "b")
    frame.loc[300:, "y"] = np.nan
    fit = kt.ols("y ~ cluster", frame, surrogates={"y": "y_llm"}, learner=None, cluster="id")
    assert fit.n_units == int(frame["cluster"].notna().sum())


def test_classes_named_with_blanks_and_ordered_by_the_user():
    frame = corpus(8)
    mood = np.where(frame["z"] > 0.5, "pos", np.where(frame["z"] < -0.5, "neg", "neutral"))
    frame["my label"] = pd.Categorical(np.where(np.arange(1500) < 300, mood, None), ["neutral", "neg", "pos"])
    frame["llm"] = mood
    fit = kt.ols("y ~ C(`my label`)", frame, surrogates={"my label": "llm"}, learner=None)
    truth = frame.groupby(pd.Series(mood))["y"].mean()
    np.testing.assert_allclose(fit.theta[1:], [truth["neg"] - truth["neutral"], truth["pos"] - truth["neutral"]])


def test_probabilities_in_a_data_frame_are_matched_by_name():
    frame = corpus(9)
    mood = pd.Series(np.where(frame["z"] > 0.5, "pos", np.where(frame["z"] < -0.5, "neg", "neutral")))
    frame["mood"] = mood.where(frame.index < 300)
    shares = pd.get_dummies(mood).astype(float) * 0.8 + 0.2 / 3

    def fit(columns):
        return kt.ols("y ~ mood", frame, surrogates={"mood": shares[columns]}, learner=None).theta

    np.testing.assert_allclose(fit(["neg", "neutral", "pos"]), fit(["pos", "neg", "neutral"]), rtol=1e-12)
    with pytest.raises(kt.KaratError, match="name one column per gold class"):
        kt.ols("y ~ mood", frame, surrogates={"mood": shares.rename(columns={"pos": "good"})}, learner=None)


def test_two_surrogates_of_one_name_both_reach_the_learner():
    frame = corpus(10)
    frame.loc[300:, "y"] = np.nan
    noise = pd.Series(np.random.default_rng(1).normal(size=1500), name="score")
    good = pd.Series(frame["y_llm"].to_numpy(), name="score")
    fit = kt.ols("y ~ z", frame, surrogates={"y": [noise, good]}, learner="linear", seed=1)
    assert fit.skill[0].r_squared > 0.7


def test_numbers_written_as_text_are_refused():
    frame = corpus(11).assign(text=lambda d: d["y_llm"].astype(str))
    frame.loc[300:, "y"] = np.nan
    with pytest.raises(kt.KaratError, match="'text' of 'y' holds text"):
        kt.ols("y ~ z", frame, surrogates={"y": "text"})


def test_proportions_have_one_kind_of_interval():
    frame = corpus(12)
    frame["vote"] = (frame["y"] > 2.5).astype(float)
    frame["llm"] = (frame["y_llm"] > 3.7).astype(float)
    frame.loc[200:, "vote"] = np.nan
    fit = kt.mean("vote", frame, surrogates={"vote": "llm"}, learner=None)
    np.testing.assert_allclose(fit.compare().table()["DSL"].iloc[0, 2:], fit.confint().iloc[0], rtol=1e-12)


@pytest.fixture(scope="module")
def counts():
    rng = np.random.default_rng(4)
    x, rare = rng.normal(size=1000), rng.random(1000) < 0.03
    y = rng.poisson(np.exp(0.3 * x)) * ~rare
    frame = pd.DataFrame(
        {"y": y, "x": x, "rare": rare.astype(float), "y_llm": np.maximum(y + rng.integers(-1, 2, 1000), 0)}
    )
    return kt.datasets.mask_gold(frame, kt.SimpleRandom(n=300).draw(frame, seed=1), "y")


def test_counts_that_are_all_0_in_a_group_have_no_finite_coefficient(counts):
    """The root ran to -29 with a standard error of 21, without a word."""
    with pytest.raises(kt.errors.SeparationError, match=r"'rare'.*Drop or merge"):
        kt.poisson("y ~ x + rare", counts, surrogates={"y": "y_llm"}, learner=None)


def test_outcomes_that_are_tiny_or_far_apart_are_no_separation(counts):
    options = {"surrogates": {"y": "y_llm"}, "learner": None}
    plain = kt.poisson("y ~ x", counts, **options)
    tiny = kt.poisson("y ~ x", counts.assign(y=counts["y"] * 1e-9, y_llm=counts["y_llm"] * 1e-9), **options)
    assert tiny.theta[1] == pytest.approx(plain.theta[1], rel=1e-6)
    apart = counts.assign(y=np.where(counts["rare"] == 1, 1e-7 * (1 + counts["y"]), counts["y"]))
    assert kt.poisson("y ~ x + rare", apart, **options, estimator="gold").theta[2] == pytest.approx(-16.2, abs=0.3)
