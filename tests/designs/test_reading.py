"""Rows shown to the labeller leave before the design is read from the gold."""

import warnings

import numpy as np
import pandas as pd
import pytest

import karat as kt
from karat.errors import DataError, DesignError, NotValidWarning
from karat.regression.options import Arguments
from karat.regression.pipeline import pieces

from .. import corpora

FORMULA = "y ~ stance + z"
OPTIONS = {"surrogates": {"stance": "stance_llm"}, "learner": "linear", "seed": 3}


@pytest.fixture(scope="module")
def prompted(corpus):
    """Gold drawn by size, and 40 rows more whose gold was there for the prompt: those with the largest z."""
    shown = np.zeros(len(corpus), dtype=bool)
    shown[np.argsort(-corpus["z"].to_numpy())[:40]] = True
    drawn = np.zeros(len(corpus), dtype=bool)
    rest = corpus[~shown].reset_index(drop=True)
    drawn[np.flatnonzero(~shown)] = kt.Unequal("size", n=120).draw(rest, seed=2).labelled
    data = corpora.masked(corpus, drawn | shown, "stance").assign(shown=shown)
    return data, shown, drawn


def designs_of(data, shown, drawn):
    size = data["size"].to_numpy()
    wave = np.where(drawn, 1 + (np.cumsum(drawn) > 60), 0)
    return {
        "propensity": (kt.Propensity(["z", "size"]), kt.Propensity(["z", "size"])),
        "unequal": (kt.Unequal("size"), kt.Unequal("size")),
        "array": (kt.Unequal(size, n=120), kt.Unequal(size[~shown], n=120)),
        "size": (kt.SimpleRandom(120), kt.SimpleRandom(120)),
        "bernoulli": (0.25, 0.25),
        "waves": tuple(kt.Waves([kt.Unequal(s), kt.SimpleRandom(60)], wave="wave") for s in (size, size[~shown])),
    }, wave


@pytest.mark.parametrize("kind", ["propensity", "unequal", "array", "size", "bernoulli", "waves"])
def test_as_if_the_rows_had_never_been_there(prompted, kind):
    data, shown, drawn = prompted
    found, wave = designs_of(data, shown, drawn)
    whole, without = found[kind]
    data = data.assign(wave=wave)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotValidWarning)
        ours = kt.ols(FORMULA, data, design=whole, shown="shown", **OPTIONS)
        plain = kt.ols(FORMULA, data[~shown].reset_index(drop=True), design=without, **OPTIONS)
        given = {**OPTIONS, "design": whole, "shown": shown}
        taken = pieces(Arguments.of("ols", FORMULA, OPTIONS["surrogates"], given), data)
    np.testing.assert_allclose(ours.theta, plain.theta, rtol=1e-10)
    np.testing.assert_allclose(ours.covariance, plain.covariance, rtol=1e-10)
    np.testing.assert_allclose(taken.again(taken.sample)[0].theta, plain.theta, rtol=1e-10)
    assert ours.sampling.dropped == {"shown=": 40}


def test_drawn_rows_that_were_shown(corpus):
    sample = kt.SimpleRandom(150).draw(corpus, seed=5)
    data = corpora.masked(corpus, sample.labelled, "stance")
    shown = np.isin(np.arange(len(corpus)), sample.positions[:20])
    declared = kt.ols(FORMULA, data, design=kt.SimpleRandom(150), shown=shown, **OPTIONS)
    recorded = kt.ols(FORMULA, data, design=sample.design, shown=shown, **OPTIONS)
    np.testing.assert_allclose(declared.covariance, recorded.covariance, rtol=1e-12)
    with pytest.raises(DesignError, match="130 rows carry gold"):
        kt.ols(FORMULA, data, design=kt.SimpleRandom(140), shown=shown, **OPTIONS)
    with pytest.raises(DataError, match="no gold row is left"):
        kt.ols(FORMULA, data, shown=sample.labelled, **OPTIONS)


def test_restricted_means_too():
    rng = np.random.default_rng(4)
    n = 400
    x = rng.standard_normal(n)
    t, c = rng.exponential(np.exp(0.3 * x)), rng.exponential(3.0, n)
    time = np.minimum(t, c)
    shown = np.argsort(-x).argsort() < 40
    gold = shown | (rng.random(n) < 1 / (1 + np.exp(0.5 - x)))
    data = pd.DataFrame({"x": x, "guess": time * rng.uniform(0.8, 1.2, n), "time": np.where(gold, time, np.nan),
                         "event": np.where(gold, t <= c, np.nan)})  # fmt: skip
    options = {"surrogates": {"time": "guess"}, "event": "event", "tau": 1.5, "learner": "linear", "seed": 1}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ours = kt.rmst("time ~ x", data, design=kt.Propensity("x"), shown=shown, **options)
        plain = kt.rmst("time ~ x", data[~shown].reset_index(drop=True), design=kt.Propensity("x"), **options)
    np.testing.assert_allclose(ours.theta, plain.theta, rtol=1e-8)
    np.testing.assert_allclose(ours.covariance, plain.covariance, rtol=1e-8)
