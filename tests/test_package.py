"""The package from outside: front doors, defaults, documented methods."""

import inspect

import numpy as np
import pytest

import karat as kt

from . import corpora

DOORS = {"ols": "y ~ stance", "logit": "vote ~ stance", "probit": "vote ~ stance", "poisson": "count ~ stance"}


@pytest.mark.parametrize("name", [n for n in vars(kt.Result) if not n.startswith("_")])
def test_methods_of_a_result_are_documented(name):
    thing = inspect.getattr_static(kt.Result, name)
    if callable(thing) or isinstance(thing, property | classmethod):
        assert inspect.getdoc(getattr(kt.Result, name))


@pytest.mark.parametrize("name", DOORS)
def test_front_doors_are_one_door(name):
    frame = corpora.corpus(200, seed=111)
    table = corpora.masked(frame, np.arange(200) % 2 == 0, "stance")
    options = {
        "surrogates": {"stance": "stance_llm"},
        "learner": None,
        "design": 0.5,
        "cluster": "author",
        "alpha": 0.1,
    }
    by_name = getattr(kt, name)(DOORS[name], table, **options)
    by_argument = kt.regress(DOORS[name], table, model=name, **options)
    assert by_name.model == name
    np.testing.assert_array_equal(by_name.theta, by_argument.theta)
    np.testing.assert_array_equal(by_name.covariance, by_argument.covariance)
    with pytest.raises(kt.errors.ArgumentError, match="learner="):
        getattr(kt, name)(DOORS[name], table, surrogates={"stance": "stance_llm"}, lerner=None)


def test_defaults():
    """HC3, or CRV3 with clusters; a simple random sample when nothing is said; five folds, five repeats."""
    frame = corpora.corpus(200, seed=111)
    table = corpora.masked(frame, np.arange(200) % 2 == 0, "stance")
    plain = kt.ols("y ~ stance", table, surrogates={"stance": "stance_llm"}, seed=1)
    spelt = kt.ols(
        "y ~ stance", table, surrogates={"stance": "stance_llm"}, seed=1, vcov="HC3", design=kt.SimpleRandom(100),
        learner="linear", folds=5, repeats=5, tuning="auto", imputation="moment", estimator="dsl", df="auto",
        target="superpopulation", missing="drop", combine="mean", alpha=0.05, n_jobs=1,
    )  # fmt: skip
    np.testing.assert_array_equal(plain.theta, spelt.theta)
    np.testing.assert_array_equal(plain.covariance, spelt.covariance)
    np.testing.assert_array_equal(plain.df, spelt.df)
    clustered = kt.ols("y ~ stance", table, surrogates={"stance": "stance_llm"}, seed=1, cluster="author")
    assert (plain.vcov_kind, clustered.vcov_kind) == ("HC3", "CRV3")


def test_weights_of_a_unit_add_up():
    from karat.estimate.augment import AugmentedSample, Units
    from karat.estimate.rows import Memory, Rows

    frame = corpora.corpus(50, seed=1)
    draw = kt.Bernoulli("pi").draw(frame, seed=1).labelling
    v = frame["weight"].to_numpy()
    rows = Rows(np.ones((50, 1)), np.zeros(50))
    sample = AugmentedSample(rows.take(draw.gold), Memory((rows,)), Units(draw, v))
    gold, predicted = sample.unit_weights()
    np.testing.assert_allclose(gold + predicted, v)
    np.testing.assert_allclose(gold, np.where(draw.labelled, v / frame["pi"], 0.0))
    np.testing.assert_allclose(sample.units.gold_weight, gold[draw.labelled])
