"""The same call gives the same numbers; rows in another order too."""

import numpy as np
import pandas as pd
import pytest

import karat as kt
from karat.frames.order import settled
from karat.predict import make_folds, row_order
from karat.predict.folds import renumbered

pytestmark = pytest.mark.filterwarnings("ignore")
SURROGATES = {"tone": "llm"}


@pytest.fixture(scope="module")
def data():
    r = np.random.default_rng(3)
    x = r.normal(size=240)
    truth = x + r.normal(size=240)
    table = pd.DataFrame({"x": x, "llm": truth + r.normal(size=240), "unit": r.integers(0, 40, 240), "name": "a"})
    table["tone"] = np.where(r.random(240) < 0.5, truth, np.nan)
    return table.assign(hole=np.where(r.random(240) < 0.9, x, np.nan))


def turned(data):
    return data.sample(frac=1, random_state=5)


CALLS = {
    "linear": {"learner": "linear"},
    "boosting": {"learner": "boosting"},
    "clusters": {"cluster": "unit", "learner": "linear"},
    "features": {"features": ["hole"], "learner": "linear"},
    "forest of the user": {"learner": "user"},
}


@pytest.mark.parametrize("options", CALLS.values(), ids=CALLS.keys())
@pytest.mark.parametrize("seed", [None, 1])
def test_the_same_numbers_again_and_in_another_order(data, options, seed):
    from sklearn.ensemble import RandomForestRegressor

    if options["learner"] == "user":
        options = options | {"learner": RandomForestRegressor(5)}
    options = {"surrogates": SURROGATES, "compare": False, "repeats": 2, "seed": seed} | options
    first = kt.ols("tone ~ x", data, **options)
    for table in (data, turned(data), data.assign(name=range(240))):
        again = kt.ols("tone ~ x", table, **options)
        np.testing.assert_allclose(again.theta, first.theta, rtol=1e-10)
        np.testing.assert_allclose(again.covariance, first.covariance, rtol=1e-9)
        assert again.call.arguments["seed"] == first.call.arguments["seed"]
    assert f"Seed: {first.call.arguments['seed']}" in str(first.summary())


def test_a_derived_seed_follows_the_data_and_repeats_the_fit(data):
    options = {"surrogates": SURROGATES, "compare": False, "repeats": 1, "learner": "linear"}
    fit = kt.ols("tone ~ x", data, **options)
    seed = fit.call.arguments["seed"]
    np.testing.assert_array_equal(kt.ols("tone ~ x", data, **options, seed=seed).theta, fit.theta)
    assert kt.ols("tone ~ x", data.assign(tone=data.tone + 1), **options).call.arguments["seed"] != seed
    stream = kt.ols("tone ~ x", data, **options, seed=np.random.default_rng(seed))
    np.testing.assert_array_equal(stream.theta, fit.theta)
    assert "Seed" not in str(stream.summary())


def test_what_follows_a_fit_is_repeated_too(data):
    fits = [kt.ols("tone ~ x", t, surrogates=SURROGATES, compare=False, seed=1) for t in (data, turned(data))]
    tables = [fit.simultaneous(terms=["Intercept", "x"], draws=200) for fit in (fits[0], *fits)]
    pd.testing.assert_frame_equal(tables[0], tables[1])
    pd.testing.assert_frame_equal(tables[0], tables[2], rtol=1e-8)
    plans = [str(kt.plan(fits[0], data, n=60, jackknife=10)) for _ in range(2)]
    assert plans[0] == plans[1]


def test_bootstrap_is_repeated_in_another_order(data):
    def mean(table, weights):
        return np.average(table["tone"], weights=weights)

    found = [kt.bootstrap(mean, t, surrogates=SURROGATES, draws=50) for t in (data, data, turned(data))]
    assert found[0].covariance[0, 0] > 0
    np.testing.assert_allclose([f.covariance for f in found[1:]], [found[0].covariance] * 2, rtol=1e-9)


def test_censoring_weights_are_repeated_in_another_order(data):
    r = np.random.default_rng(1)
    time, event, v = r.exponential(size=240), r.random(240) < 0.6, data[["x"]].to_numpy()
    rows = r.permutation(240)
    one = kt.censoring.weights(time, event, tau=1.0, censoring="logit", covariates=v)
    other = kt.censoring.weights(time[rows], event[rows], tau=1.0, censoring="logit", covariates=v[rows])
    np.testing.assert_allclose(other.values, one.values[rows], rtol=1e-9)


def test_row_order_knows_groups_by_their_rows():
    x, group = np.array([1.0, 1.0, 2.0, 5.0]), np.array([7, 3, 3, 7])
    rows = np.array([3, 1, 0, 2])
    names = np.array([10, 20])[(group[rows] == 3).astype(int)]
    order, other = row_order([x], [group]), row_order([x[rows]], [names])
    assert (order == rows[other]).all()
    assert (renumbered(group, order)[order] == renumbered(names, other)[other]).all()


def test_folds_in_an_order_stay_balanced_and_keep_groups():
    labelled, group = np.arange(40) % 2 == 0, np.repeat(np.arange(10), 4)
    order = np.random.default_rng(0).permutation(40)
    folds = make_folds(labelled, 5, 2, np.random.default_rng(1), None, group, order)
    assert all(len(np.unique(folds[group == g, s])) == 1 for g in range(10) for s in range(2))
    assert (np.bincount(folds[labelled, 0]) == 4).all()


def test_a_seed_given_is_checked():
    for seed in (-1, 1.5, "x"):
        with pytest.raises(kt.errors.ArgumentError, match="seed="):
            settled(seed, {})


class Odd:
    """A learner whose predictions are as asked."""

    def __init__(self, value=np.nan):
        self.value = value

    def get_params(self, deep=True):
        return {"value": self.value}

    def set_params(self, **params):
        return self

    def fit(self, x, y):
        return self

    def predict(self, x):
        if self.value == "fails":
            raise RuntimeError("no memory")
        return np.zeros((len(x), 2)) if self.value == "shape" else np.full(len(x), self.value)


@pytest.mark.parametrize(
    ("value", "message"), [(np.nan, "missing or infinite"), ("fails", "no memory"), ("shape", "could not predict")]
)
def test_learners_that_cannot_predict(data, value, message):
    with pytest.raises(kt.errors.LearnerError, match=message):
        kt.ols("tone ~ x", data, surrogates=SURROGATES, learner=Odd(value), compare=False)


def test_a_constant_predictor_gives_gold_alone(data):
    fit = kt.ols("tone ~ x", data, surrogates=SURROGATES, learner=Odd(1.0), repeats=1)
    gold = kt.ols("tone ~ x", data, surrogates=SURROGATES, estimator="gold")
    assert (np.sqrt(np.diag(fit.covariance) / np.diag(gold.covariance)) < 1.1).all()


def test_arguments_of_learners(data):
    from sklearn.linear_model import Ridge
    from sklearn.preprocessing import StandardScaler

    for learner, message in ((Ridge, r"write Ridge\(\)"), (StandardScaler(), "has no predict")):
        with pytest.raises(kt.KaratError, match=message):
            kt.ols("tone ~ x", data, surrogates=SURROGATES, learner=learner)
    few = data.assign(one=np.where(data.tone.notna(), 0, data.unit + 1))
    with pytest.raises(kt.errors.LearnerError, match="Fit without one"):
        kt.ols("tone ~ x", few, surrogates=SURROGATES, cluster="one")
