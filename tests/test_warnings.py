"""What a user must be told without asking (methods, section 9)."""

import warnings

import numpy as np
import pandas as pd
import pytest

import karat as kt
from karat import errors as e

from . import corpora, oracle

FULL = corpora.corpus(400, seed=81)
OPTIONS = {"learner": None, "compare": False}


def fit(n_gold, formula="y ~ z", *, frame=FULL, labels=("y",), surrogates=None, model="ols", seed=1, **options):
    gold = np.zeros(len(frame), dtype=bool)
    gold[np.random.default_rng(seed).choice(len(frame), n_gold, replace=False)] = True
    surrogates = {"y": "y_llm"} if surrogates is None else surrogates
    table = corpora.masked(frame, gold, *labels)
    return kt.regress(formula, table, model=model, surrogates=surrogates, **OPTIONS | options)


def caught(call):
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        result = call()
    return result, [(w.category, str(w.message), w.filename) for w in found if issubclass(w.category, kt.KaratWarning)]


def test_nothing_to_tell():
    _, found = caught(lambda: fit(200, cluster="author"))
    assert found == []


def test_few_gold_rows():
    result, found = caught(lambda: fit(29))
    assert found[0][:2] == (e.SmallSampleWarning, found[0][1])
    assert "29 gold rows" in found[0][1]
    assert "Only 29 gold rows" in str(result.summary())
    assert caught(lambda: fit(30))[1] == []


def test_rare_class():
    rare = FULL.assign(mark=(np.arange(400) < 30).astype(float), llm=(np.arange(400) < 40).astype(float))
    frame = rare.iloc[::-1].reset_index(drop=True)
    options = {"frame": frame, "labels": ("mark",), "surrogates": {"mark": "llm"}, "formula": "y ~ mark"}
    result, found = caught(lambda: fit(100, **options))
    held = result.sampling.rarest_class
    assert 0 < held < 10
    assert [w[0] for w in found] == [e.SmallSampleWarning]
    assert f"rarest gold class has {held} rows" in found[0][1]
    assert caught(lambda: fit(300, **options))[1] == []


def test_class_without_gold():
    """A 0/1 label that is 0 in all of the gold has no spread to learn from: an error, or the interval of 0 in n."""
    frame = FULL.assign(mark=(np.arange(400) >= 395).astype(float), llm=FULL["vote_llm"])
    gold = np.arange(400) < 100
    with pytest.raises(kt.KaratError, match="'mark' is 0 in every row"):
        kt.ols("mark ~ vote_llm", corpora.masked(frame, gold, "mark"), surrogates={"mark": "llm"}, **OPTIONS)
    masked = corpora.masked(frame, gold, "mark")
    fit, found = caught(lambda: kt.mean("mark", masked, surrogates={"mark": "llm"}, **OPTIONS))
    assert "rarest gold class has 0 rows" in found[0][1]
    np.testing.assert_allclose(fit.confint().iloc[0], [0.0, 1 - 0.025 ** (1 / 100)], atol=0.005)


def test_few_clusters_with_gold():
    gold = FULL["author"] < 19
    table = corpora.masked(FULL, gold, "y")
    result, found = caught(lambda: kt.ols("y ~ z", table, surrogates={"y": "y_llm"}, cluster="author", **OPTIONS))
    assert [w[0] for w in found] == [e.SmallSampleWarning]
    assert "19 clusters hold gold" in found[0][1]
    assert "19 clusters hold gold" in str(result.summary())
    _, unclustered = caught(lambda: kt.ols("y ~ z", table, surrogates={"y": "y_llm"}, **OPTIONS))
    assert unclustered == []


def test_surrogates_alone_are_not_valid():
    result, found = caught(lambda: fit(100, estimator="surrogate"))
    assert [w[0] for w in found] == [e.NotValidWarning]
    assert "not valid" in found[0][1]
    text = str(result.summary())
    assert "NOT valid" in text
    assert "do not report" in text


def test_probabilities_that_are_not_those_of_the_draw():
    _, found = caught(lambda: fit(200, design=0.2))
    assert [w[0] for w in found] == [e.DesignWarning]
    assert caught(lambda: fit(200, design=0.5))[1] == []


def test_assumed_design_is_stated_in_the_summary():
    assert "assumed" in str(fit(100).summary())


def test_no_root_takes_one_newton_step_from_gold_and_says_so():
    """Fourteen gold rows and a surrogate that has nothing to do with the outcome."""
    frame = corpora.corpus(400, seed=10)
    rng = np.random.default_rng(10)
    frame["bad"] = (rng.random(400) < corpora.logistic(3 * frame["z"])).astype(float)
    gold = np.zeros(400, dtype=bool)
    gold[rng.choice(400, 14, replace=False)] = True
    table = corpora.masked(frame, gold, "vote")
    result, found = caught(
        lambda: kt.logit("vote ~ z + size", table, surrogates={"vote": "bad"}, tuning=None, **OPTIONS)
    )
    assert e.SolverWarning in [w[0] for w in found]
    assert "no root" in str(result.summary())
    units = [
        oracle.Unit(
            (np.array([1.0, row.z, row.size_]), row.vote) if gold[i] else None,
            [(1.0, np.array([1.0, row.z, row.size_]), row.bad)],
            14 / 400,
        )
        for i, row in enumerate(frame.rename(columns={"size": "size_"}).itertuples())
    ]
    start, curvature = oracle.root("logit", units, np.zeros((3, 3)))
    score, _ = oracle.equation("logit", start, units, np.eye(3))
    np.testing.assert_allclose(result.theta, start + np.linalg.solve(curvature, score), rtol=1e-8)


def test_every_warning_is_of_karat():
    for category in (e.SmallSampleWarning, e.DesignWarning, e.NotValidWarning, e.SolverWarning):
        assert issubclass(category, kt.KaratWarning)
        assert issubclass(category, UserWarning)


@pytest.mark.parametrize("door", [kt.ols, kt.regress, kt.mean])
def test_warnings_point_at_the_users_line(door):
    table = corpora.masked(FULL, np.arange(400) < 20, "y")
    formula = "y" if door is kt.mean else "y ~ z"
    _, found = caught(lambda: door(formula, table, surrogates={"y": "y_llm"}, design=0.3, **OPTIONS))
    assert {w[0] for w in found} == {e.SmallSampleWarning, e.DesignWarning}
    assert {w[2] for w in found} == {__file__}


def test_library_does_not_print(capsys):
    table = corpora.masked(FULL, np.arange(400) < 200, "y")
    result = kt.ols("y ~ z", table, surrogates={"y": "y_llm"}, seed=1)
    result.summary()
    result.compare()
    pd.DataFrame(result.tidy())
    assert capsys.readouterr() == ("", "")
