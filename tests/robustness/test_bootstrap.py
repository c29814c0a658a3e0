"""What the predict-then-debias bootstrap hands to the estimator, and how it puts the answers together."""

import numpy as np
import pandas as pd
import pytest

import karat as kt
from karat.errors import ArgumentError, DataError

from .. import corpora

FULL = corpora.corpus(500, seed=101)
SAMPLE = kt.SimpleRandom(150).draw(FULL, seed=6)
FRAME = corpora.masked(FULL, SAMPLE.labelled, "y", "stance")
BOTH = {"y": "y_llm", "stance": "stance_llm"}


def least_squares(data, weights):
    x = np.column_stack([np.ones(len(data)), data["stance"], data["z"]])
    root = np.sqrt(np.asarray(weights))
    theta = np.linalg.lstsq(x * root[:, None], data["y"] * root, rcond=None)[0]
    return pd.Series(theta, index=["Intercept", "stance", "z"])


def average(data, weights):
    return np.average(data["y"], weights=weights)


def bootstrap(fit=least_squares, frame=FRAME, *, surrogates=BOTH, draws=60, seed=1, **options):
    return kt.bootstrap(fit, frame, surrogates=surrogates, draws=draws, seed=seed, **options)


def test_untuned_mean_is_the_rectified_mean():
    """theta(gold) - gamma(gold) + gamma(all): for a mean that is the estimator of the front door."""
    found = bootstrap(average, surrogates={"y": "y_llm"}, tuning=None, draws=400)
    fit = kt.mean(
        "y", FRAME, surrogates={"y": "y_llm"}, learner=None, tuning=None, vcov="HC0", design=kt.SimpleRandom()
    )
    assert found.theta[0] == pytest.approx(fit.theta[0], rel=1e-10)
    assert found.se().iloc[0] == pytest.approx(fit.se().iloc[0], rel=0.15)
    assert found.gold_only[0] == pytest.approx(FRAME["y"].mean())
    assert found.surrogate_only[0] == pytest.approx(FRAME["y_llm"].mean())
    assert found.names == ("estimate 1",)
    assert (found.n_gold, found.n_units, found.failures) == (150, 500, 0)


@pytest.mark.parametrize("tuning", ["coefficient", "full"])
def test_regression_agrees_with_the_front_door(tuning):
    found = bootstrap(tuning=tuning, draws=300)
    fit = kt.ols(
        "y ~ stance + z", FRAME, surrogates=BOTH, learner=None, tuning=tuning, vcov="HC0", design=kt.SimpleRandom()
    )
    assert found.names == fit.names
    assert (np.abs(found.theta - fit.theta) < 0.7 * fit.se()).all()
    np.testing.assert_allclose(found.se(), fit.se(), rtol=0.25)
    gold = kt.ols("y ~ stance + z", FRAME, surrogates=BOTH, estimator="gold", compare=False)
    np.testing.assert_allclose(found.gold_only, gold.theta, rtol=1e-8)
    expected = found.gold_only - found.mixing @ (least_squares(surrogate_gold(), np.ones(150)) - found.surrogate_only)
    np.testing.assert_allclose(found.theta, expected, rtol=1e-8)


def surrogate_gold():
    return FRAME.assign(y=FRAME["y_llm"], stance=FRAME["stance_llm"])[SAMPLE.labelled]


def test_tables():
    found = bootstrap()
    assert found.tidy().index.tolist() == ["Intercept", "stance", "z"]
    np.testing.assert_allclose(np.sqrt(np.diag(np.cov(found.draws.T))), found.se())
    normal, percentile = found.confint(), found.confint(kind="percentile")
    assert normal.columns.tolist() == percentile.columns.tolist() == ["2.5%", "97.5%"]
    np.testing.assert_allclose(normal.mean(axis=1), found.theta)
    np.testing.assert_allclose(percentile.iloc[:, 1], np.quantile(found.draws, 0.975, axis=0))
    assert "stance" in str(found)


def test_weights_of_the_design_and_of_the_analysis():
    """What the estimator is handed: gold by inverse probability times analysis weight, all rows by analysis weight."""
    sample = kt.Bernoulli("pi").draw(FULL, seed=3)
    frame = corpora.masked(FULL, sample.labelled, "y")
    seen = []

    def fit(data, weights):
        seen.append((data["y"].to_numpy(), np.asarray(weights)))
        return average(data, weights)

    kt.bootstrap(fit, frame, surrogates={"y": "y_llm"}, design="pi", weights="weight", draws=50, seed=1)
    (gold, w_gold), (llm, w_llm), (everything, w_all) = seen[:3]
    drawn = FULL[sample.labelled]
    np.testing.assert_array_equal(gold, drawn["y"])
    np.testing.assert_array_equal(llm, drawn["y_llm"])
    np.testing.assert_array_equal(everything, FULL["y_llm"])
    np.testing.assert_allclose(w_gold, drawn["weight"] / drawn["pi"])
    np.testing.assert_array_equal(w_llm, w_gold)
    np.testing.assert_array_equal(w_all, FULL["weight"])


def test_clusters_are_drawn_whole():
    seen = []

    def fit(data, weights):
        seen.append(np.bincount(data["author"], weights=np.asarray(weights) > 0, minlength=25))
        return average(data, weights)

    table = FRAME.assign(author=FULL["author"])
    kt.bootstrap(fit, table, surrogates={"y": "y_llm"}, cluster="author", draws=50, seed=1)
    size = np.bincount(FULL["author"])
    for counts in seen[5::3]:
        assert set((counts / size).tolist()) <= {0.0, 1.0}
    assert any((counts == 0).any() for counts in seen[5::3])


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"tuning": "best"}, ArgumentError, "tuning='best'"),
        ({"alpha": 2}, ArgumentError, "alpha=2"),
        ({"surrogates": {"tone": "y_llm"}}, DataError, "'tone'"),
        ({"frame": FRAME.assign(y=np.nan)}, DataError, "no row has gold.*needed"),
        ({"frame": FRAME.assign(y_llm=FRAME["y_llm"].mask(FRAME.index == 2))}, DataError, r"'y_llm'.*1 row.*fill"),
        ({"weights": np.full(500, -1.0)}, DataError, "weights.*0 or more"),
        ({"fit": lambda d, w: np.nan}, DataError, "finite numbers"),
        ({"fit": lambda d, w: np.zeros(2 if len(d) == 500 else 3)}, DataError, "different names or lengths"),
    ],
)
def test_refused(options, error, message):
    with pytest.raises(error, match=message):
        bootstrap(**options)


def test_clusters_and_drawn_clusters():
    """A finer cluster is refused, the drawn one is the default, a coarser one is resampled as it is."""
    table = FULL.assign(block=FULL["author"] // 2, finer=FULL["author"] * 2 + (FULL["z"] > 0))
    table["tone"] = table["y"] + np.random.default_rng(1).standard_normal(25)[FULL["author"]]
    sample = kt.Clustered("author", n=10).draw(table, seed=2)
    frame = corpora.masked(table, sample.labelled, "tone")

    def mean(data, weights):
        return np.average(data["tone"], weights=weights)

    options = {"surrogates": {"tone": "y_llm"}, "design": sample, "draws": 300}
    plain = bootstrap(mean, frame, **options)
    same = bootstrap(mean, frame, cluster="author", **options)
    assert same.se().iloc[0] == pytest.approx(plain.se().iloc[0], rel=0.15)
    assert bootstrap(mean, frame, cluster="block", **options).se().iloc[0] > 0.5 * plain.se().iloc[0]
    with pytest.raises(ArgumentError, match="finer than the clusters that were drawn"):
        bootstrap(mean, frame, cluster="finer", **options)


@pytest.mark.filterwarnings("ignore::karat.errors.NotValidWarning")
def test_gold_that_nobody_drew_is_refused():
    with pytest.raises(ArgumentError, match="Propensity"):
        bootstrap(average, surrogates={"y": "y_llm"}, design=kt.Propensity("z"))
