"""``text=`` and blocks of features at the doors: what they bring, what they leave alone, what is refused."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import karat as kt
from karat.errors import ArgumentError, DataError
from karat.predict import HashingEncoder

LETTERS, _ = kt.datasets.simulate_texts(500, seed=5)
RNG = np.random.default_rng(5)
LETTERS["llm"] = np.where(RNG.random(500) < 0.25, 1 - LETTERS["support"], LETTERS["support"])
LETTERS["empty"] = [" ".join(RNG.choice(["a", "b", "c", "d"], 6)) for _ in range(500)]
LETTERS["holed"] = LETTERS["distance"].where(np.arange(500) % 50 > 0)
LETTERS["fold"] = np.arange(500) % 5
SAMPLE = kt.SimpleRandom(120).draw(LETTERS, seed=6)
TABLE = kt.datasets.mask_gold(LETTERS, SAMPLE, "support")
ENCODER = HashingEncoder(20)


def fit(door=kt.ols, formula="support ~ car", data=TABLE, **options):
    options = {"surrogates": {"support": "llm"}, "repeats": 1, "seed": 1, "compare": False, **options}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return door(formula, data, **options)


def test_every_door_takes_texts():
    """Narrower than without, by more than a fifth; the same numbers whatever the order of rows."""
    text = {"text": ENCODER}
    for door, formula in ((kt.ols, "support ~ car"), (kt.logit, "support ~ car"), (kt.mean, "support")):
        with_text, without = fit(door, formula, text=text), fit(door, formula)
        assert (with_text.se() < 0.8 * without.se()).all(), door
        assert with_text.skill[0].learner == "linear + text"
    fits = fit(kt.several, "support ~ sw(car, distance)", text=text)
    np.testing.assert_allclose(fits[0].theta, fit(text=text).theta, rtol=1e-10)
    turn = np.random.default_rng(1).permutation(500)
    turned = TABLE.iloc[turn].reset_index(drop=True)
    np.testing.assert_allclose(fit(data=turned, text=text).theta, fit(text=text).theta, rtol=1e-9)


def test_texts_of_no_use_change_nothing():
    plain = fit(folds="fold")
    for options in ({"text": "empty"}, {"features": np.random.default_rng(2).standard_normal((500, 384))}):
        other = fit(folds="fold", **options)
        np.testing.assert_allclose(other.theta, plain.theta, rtol=1e-6)
        np.testing.assert_allclose(other.se(), plain.se(), rtol=1e-6)
        assert other.skill[0].learner == "linear"


def test_blocks_of_features():
    """A few features stand beside the others, many in a block by themselves, under the name of what they are."""
    rng = np.random.default_rng(3)
    clean = LETTERS["support"].to_numpy() + 0.5 * rng.standard_normal(500)
    array = np.column_stack([clean, rng.standard_normal((500, 24))])
    table = TABLE.assign(**{f"x{j}": array[:, j] for j in range(25)})
    names = [f"x{j}" for j in range(25)]
    for features, block in ((array, "feature 1"), (names, "features")):
        assert fit(data=table, features=features).skill[0].learner == f"linear + {block}"
    assert fit(data=table, features=names[:20]).skill[0].learner == "linear"
    both = fit(data=table, features=[array, *names[20:]], text={"text": ENCODER})
    assert set(both.skill[0].learner.split(" + ")) >= {"linear", "feature 1"}
    beside = fit(data=table, features=array, learner="linear")
    joined = fit(data=table, features=[clean, array[:, 1:]], learner="linear")
    np.testing.assert_allclose(beside.theta, joined.theta, rtol=1e-9)


def test_labelled_covariates_and_dropped_rows():
    """The covariate is learnt with its text, and so is what is learnt given it; rows that leave take their text."""
    formula, text = "holed ~ support + car", {"text": ENCODER}
    whole, without = fit(formula=formula, text=text), fit(formula=formula)
    assert whole.n_units == 490
    assert whole.skill[0].learner == "linear + text"
    assert whole.se()["support"] < 0.9 * without.se()["support"]
    known = fit(formula=formula, predictions={"support": LETTERS["support"].astype(float)})
    assert abs(whole.theta[1] - known.theta[1]) < 3 * whole.se()["support"]


def test_a_fit_with_texts_is_made_again():
    one = fit(text={"text": ENCODER}, scores=True)
    assert one.call.arguments["text"] == {"text": ENCODER}
    assert "text" not in one.call.left_out
    slopes = kt.slopes(one, TABLE)
    np.testing.assert_allclose(slopes.theta, one.theta[1:], rtol=1e-8)


def test_refusals():
    with pytest.raises(ArgumentError, match="holds numbers"):
        fit(text="distance")
    with pytest.raises(DataError, match=r"'txt'.*Did you mean 'text'"):
        fit(text="txt")
    with pytest.raises(ArgumentError, match="names no column"):
        fit(text=3)
    for options in ({"learner": None}, {"estimator": "gold"}, {"predictions": {"support": "llm"}}):
        with pytest.raises(ArgumentError, match="text= feeds a learner"):
            fit(text="text", **options)


def test_polars_columns_of_texts():
    polars = pytest.importorskip("polars")
    found = fit(data=polars.from_pandas(TABLE), text={"text": ENCODER})
    np.testing.assert_array_equal(found.theta, fit(text={"text": ENCODER}).theta)
