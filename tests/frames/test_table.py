"""What lines up with what, and names of columns."""

import numpy as np
import pandas as pd
import polars as pl
import pytest

import karat as kt
from karat.errors import ArgumentError, DataError
from karat.frames import Table

from .. import corpora

FULL = corpora.corpus(160, seed=4).assign(seen=lambda f: f["size"] > f["size"].quantile(0.9))
FRAME = corpora.masked(FULL, np.arange(160) % 2 == 0, "y", "stance").sample(frac=1, random_state=1)
SORTED = FRAME.sort_index()


def fit(formula="y ~ z", frame=FRAME, **options):
    given = {"surrogates": {"y": "y_llm"}, "learner": "linear", "repeats": 1, "seed": 1, "compare": False}
    return kt.ols(formula, frame, **given | options)


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("weights", "weight"),
        ("cluster", "author"),
        ("features", "size"),
        ("shown", "seen"),
        ("labelled", "drawn"),
        ("design", "pi"),
    ],
)
def test_a_series_is_aligned_by_the_index_of_the_data(name, column):
    frame = FRAME.assign(drawn=FRAME["y"].notna())
    wrap = kt.Bernoulli if name == "design" else lambda given: given
    by_name = fit(frame=frame, **{name: wrap(column)})
    for given in (frame.sort_index()[column], frame.sort_index()[[column]], frame[column].to_numpy()):
        found = fit(frame=frame, **{name: wrap(given)})
        np.testing.assert_array_equal(found.theta, by_name.theta)


def test_surrogates_predictions_and_probabilities_are_aligned():
    np.testing.assert_array_equal(fit(surrogates={"y": SORTED["y_llm"]}).theta, fit().theta)
    outside = [fit(predictions={"y": given}, learner="auto").theta for given in ("y_llm", SORTED["y_llm"])]
    np.testing.assert_array_equal(*outside)
    both = pd.DataFrame({1: SORTED["stance_prob"], 0: 1 - SORTED["stance_prob"]})
    frame = FRAME.assign(no=1 - FRAME["stance_prob"])
    labels = [{"stance": both}, {"stance": {False: "no", True: "stance_prob"}}]
    for formula in ("z ~ stance", "z ~ C(stance)"):
        found = [fit(formula, frame, surrogates=given).theta for given in labels]
        np.testing.assert_allclose(*found, rtol=1e-12)


def test_events_are_aligned():
    frame = FRAME.assign(time=np.exp(FRAME["z"] / 2 + FRAME["y_llm"] / 9), end=FRAME["z"] > 0)
    by_name = kt.rmst("time ~ z", frame, event="end", tau=1.0)
    np.testing.assert_array_equal(
        kt.rmst("time ~ z", frame, event=frame.sort_index()["end"], tau=1.0).theta, by_name.theta
    )


@pytest.mark.parametrize("index", [range(1, 161), [0] * 160, [f"r{k}" for k in range(160)]])
def test_a_series_that_cannot_be_aligned_is_refused(index):
    with pytest.raises(ArgumentError, match="weights is a pandas Series whose index"):
        fit(weights=SORTED["weight"].set_axis(index))


def test_data_without_an_index_take_a_default_index_only():
    table = pl.from_pandas(FRAME[["y", "y_llm", "z", "weight"]])
    given = FRAME["weight"].reset_index(drop=True)
    np.testing.assert_array_equal(fit(frame=table, weights=given).theta, fit(weights="weight").theta)
    with pytest.raises(ArgumentError, match="index"):
        fit(frame=table, weights=FRAME["weight"])


def test_the_same_index_twice_over_is_the_same_order():
    twice = FRAME.set_axis([0] * len(FRAME))
    np.testing.assert_array_equal(fit(frame=twice, weights=twice["weight"]).theta, fit(weights="weight").theta)


def test_names_that_are_not_text_and_repeated_names_do_no_harm():
    extra = pd.DataFrame(np.zeros((160, 3)), index=FRAME.index, columns=[0, ("a", "b"), "size"])
    wide = pd.concat([FRAME, extra], axis=1)
    np.testing.assert_array_equal(fit(frame=wide).theta, fit().theta)
    assert Table.read(wide).repeated == {"size"}
    numbered = FRAME.rename(columns={"z": 3})
    assert fit("y ~ `3`", numbered).names == ("Intercept", "3")
    for call in (lambda: fit("y ~ size", wide), lambda: fit(frame=wide, features="size")):
        with pytest.raises(DataError, match="two columns named 'size'"):
            call()
    assert kt.SimpleRandom(n=5).draw(wide, seed=1).labelled.sum() == 5
