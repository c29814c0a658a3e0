"""Which column is gold, and which its surrogate."""

import warnings

import numpy as np
import pandas as pd
import pytest

import karat as kt
from karat.errors import ArgumentError, DataError, DesignWarning

from .. import corpora

FULL = corpora.corpus(400, seed=6)
GOLD = np.arange(400) % 4 == 0
FRAME = corpora.masked(FULL, GOLD, "y", "stance", "topic")


def fit(formula="y ~ z", frame=FRAME, **options):
    given = {"surrogates": {"y": "y_llm"}, "learner": "linear", "repeats": 1, "seed": 1, "compare": False}
    return kt.ols(formula, frame, **given | options)


@pytest.mark.parametrize("given", ["y", ["y_llm", "y"]])
def test_gold_is_not_its_own_surrogate(given):
    with pytest.raises(ArgumentError, match="as its own surrogate"):
        fit(surrogates={"y": given})


@pytest.mark.parametrize("given", [FRAME["y"], FRAME["y"].to_numpy(), "copy", ["y_llm", "copy"]])
def test_a_surrogate_of_gold_rows_only_is_refused(given):
    with pytest.raises(DataError, match="gold rows only"):
        fit(frame=FRAME.assign(copy=FRAME["y_llm"].where(GOLD)), surrogates={"y": given})


@pytest.mark.parametrize("holes", [0, 30])
def test_a_swapped_mapping_offers_the_swap(holes):
    frame = FRAME.assign(y_llm=FRAME["y_llm"].mask(np.arange(400) < holes))
    with pytest.raises(ArgumentError, match=r"surrogates={'y': 'y_llm'}"):
        fit("y_llm ~ z", frame, surrogates={"y_llm": "y"})


def test_surrogates_missing_more_often_without_gold_are_pointed_out():
    draws = np.random.default_rng(0).random(400)
    frame = FRAME.assign(y_llm=FRAME["y_llm"].mask(draws < np.where(GOLD, 0.02, 0.3)))
    with pytest.warns(DesignWarning, match="'y_llm' is missing in"):
        summary = fit(frame=frame).summary()
    assert "is missing in" in str(summary)
    assert "is missing in" in summary._repr_html_()
    with warnings.catch_warnings():
        warnings.simplefilter("error", DesignWarning)
        fit(frame=FRAME.assign(y_llm=FRAME["y_llm"].mask(draws < 0.2)), design=kt.SimpleRandom(n=100))


@pytest.mark.parametrize("dtype", ["boolean", object, float, "Int64"])
@pytest.mark.parametrize("learner", [None, "linear"])
def test_boolean_gold_works_where_0_and_1_do(dtype, learner):
    gold = FULL["stance"].astype(bool).astype("boolean").where(GOLD)
    gold = gold.astype(object).where(GOLD, None) if dtype is object else gold.astype(dtype)
    other = FRAME.assign(stance=gold, stance_llm=FRAME["stance_llm"].astype(bool))
    given = {"surrogates": {"stance": "stance_llm"}, "learner": learner}
    for formula in ("z ~ C(stance)", "z ~ stance", "stance ~ z", "I(stance == 1) ~ z"):
        plain, found = fit(formula, FRAME, **given), fit(formula, other, **given)
        assert found.names == plain.names
        np.testing.assert_allclose(found.theta, plain.theta, rtol=1e-12)
    means = [
        kt.mean("z", frame, by="stance", repeats=1, seed=1, compare=False, **given).params for frame in (FRAME, other)
    ]
    pd.testing.assert_series_equal(*means)


def test_the_way_out_of_text_outcomes_works_when_typed():
    with pytest.raises(kt.KaratError, match="write I\\(") as caught:
        kt.logit("topic ~ z", FRAME, surrogates={"topic": "topic_llm"})
    term = str(caught.value).split("write ")[1].split(" in its place")[0]
    assert kt.logit(f"{term} ~ z", FRAME, surrogates={"topic": "topic_llm"}, seed=1).model == "logit"
    assert 0 < kt.mean(term, FRAME, surrogates={"topic": "topic_llm"}, seed=1).theta[0] < 1


def test_an_identifier_as_covariate_is_refused_before_it_is_expanded():
    n = 100_000
    frame = pd.DataFrame({"id": np.arange(n).astype(str), "y_llm": np.zeros(n), "y": np.nan})
    frame.loc[:99, "y"] = np.arange(100.0)
    for term in ("id", "C(id)"):
        with pytest.raises(DataError, match="100 gold rows for at least 100000 coefficients"):
            fit(f"y ~ {term}", frame)


def test_a_matrix_beyond_memory_is_refused(monkeypatch):
    monkeypatch.setattr("karat._core.machine.available", lambda: 100.0)
    monkeypatch.setattr("karat._core.machine._SMALL", 100)
    with pytest.raises(DataError, match="GB of memory"):
        fit("y ~ region")


def test_a_notebook_shows_every_warning_of_the_text():
    summary = fit(compare=True).summary()
    html = summary._repr_html_()
    assert "not valid" in html
    for line in [*summary.result.comparison.notes(), *summary.remarks()]:
        assert line.replace("<", "&lt;").replace("'", "&#x27;") in html
