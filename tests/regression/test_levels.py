"""Doors, models and refusals of labels with gold samples of their own, and of cascades."""

from __future__ import annotations

import pickle
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest

import karat as kt
from karat.errors import ArgumentError, DataError, DesignError, DesignWarning

from ..statistical.partly import cascade, corpus, partly

pytestmark = pytest.mark.filterwarnings("ignore:.*gold for only some of the labels:karat.errors.DesignWarning")
BOTH = {"a": "a_llm", "b": "b_llm"}
QUICK = {"learner": "linear", "repeats": 1, "seed": 1}


@pytest.fixture(scope="module")
def asked() -> tuple[dict, pd.DataFrame]:
    rng = np.random.default_rng(21)
    data = corpus(False, 1500, rng)
    data["yes"], data["count"] = (data["y"] > 0) * 1.0, rng.poisson(np.exp(0.3 * data["a"]))
    data["size"], kinds = np.exp(data["y"] / 2), np.array(["lo", "mid", "hi"])
    data["kind"] = kinds[np.digitize(data["y"], [0, 1])]
    return cascade("cascade", data, 0.5, rng)


@pytest.fixture(scope="module")
def apart() -> pd.DataFrame:
    rng = np.random.default_rng(22)
    return partly("crossed", corpus(False, 1500, rng), 0.35, rng)[1]


@pytest.mark.parametrize(
    ("model", "outcome"),
    [("ols", "y"), ("logit", "yes"), ("probit", "yes"), ("poisson", "count"), ("gamma", "size"), ("fractional", "yes"),
     ("multinomial", "kind")],
)  # fmt: skip
@pytest.mark.parametrize("learner", ["linear", None])
def test_models_take_cascades(asked, model, outcome, learner):
    given, data = asked
    fit = kt.regress(f"{outcome} ~ a + x", data, model=model, learner=learner, repeats=1, seed=1, **given)
    assert np.isfinite(fit.theta).all()
    assert (np.linalg.eigvalsh(fit.covariance) > 0).all()
    base = next(column for column in fit.compare().columns if column.title == "Full rows only")
    assert np.mean(np.log(np.sqrt(np.diag(fit.covariance)) / base.se)) < 0.02


def test_labelled_outcomes_and_shares(asked):
    given, data = asked
    fit = kt.logit("a ~ x", data, **given, **QUICK)
    assert abs(fit.theta[1] - 1.0) < 4 * np.sqrt(fit.covariance[1, 1])
    mean = kt.mean("a", data, **given, **QUICK)
    assert 0.3 < mean.theta[0] < 0.6
    assert abs(mean.theta[0] - data["a"].mean()) < 4 * np.sqrt(mean.covariance[0, 0] + 0.25 / mean.n_gold)
    grouped = kt.mean("y", data, by="a", **given, **QUICK)
    assert list(grouped.names) == ["a=0", "a=1"]


def test_results_say_what_rows_know_and_can_be_kept(asked, apart):
    given, data = asked
    fit = kt.ols("y ~ a", data, **given, **QUICK)
    assert "gold among these: simple random sample, 112 of 750" in fit.sampling.design
    assert any("750 with a_large" in note for note in fit.notes)
    assert pickle.loads(pickle.dumps(fit)).theta.tolist() == fit.theta.tolist()
    both = kt.ols("y ~ a*b", apart, surrogates=BOTH, **QUICK)
    assert both.sampling.assumed
    assert both.n_gold == (apart["a"].notna() & apart["b"].notna()).sum()
    assert "rows with all labels" in str(both.summary())


@pytest.mark.filterwarnings("error")
def test_what_was_taken_for_granted_is_said(apart):
    with pytest.warns(DesignWarning, match=r"two simple random samples, of 525 and 525 rows"):
        kt.ols("y ~ a + b", apart, surrogates=BOTH, **QUICK)
    kt.ols("y ~ a + b", apart, surrogates=BOTH, design={"a": None, "b": None}, **QUICK)


def test_any_data_frame_and_lost_rows(apart):
    fit = kt.ols("y ~ a + b", apart, surrogates=BOTH, **QUICK)
    other = kt.ols("y ~ a + b", pl.from_pandas(apart), surrogates=BOTH, **QUICK)
    np.testing.assert_allclose(other.theta, fit.theta, rtol=1e-8)
    mixed = kt.ols("y ~ a + b", apart.sample(frac=1.0, random_state=1), surrogates=BOTH, **QUICK)
    np.testing.assert_allclose(mixed.covariance, fit.covariance, rtol=1e-6)
    lacking = apart.assign(x=apart["x"].where(np.arange(len(apart)) % 7 > 0))
    fit = kt.ols("y ~ a + b + x", lacking, surrogates=BOTH, **QUICK)
    cut = kt.ols("y ~ a + b + x", lacking.dropna(subset="x"), surrogates=BOTH, **QUICK)
    np.testing.assert_allclose(fit.theta, cut.theta, rtol=1e-8)
    np.testing.assert_allclose(fit.covariance, cut.covariance, rtol=1e-8)


def test_classes_in_words(apart):
    words = np.array(["no", "yes"])
    named = {c: np.where(apart[c].isna(), None, words[apart[c].fillna(0).astype(int)]) for c in ("a", "b")}
    surrogate = {f"{c}_llm": words[apart[f"{c}_llm"].astype(int)] for c in ("a", "b")}
    fit = kt.ols("y ~ a + b", apart, surrogates=BOTH, **QUICK)
    text = kt.ols("y ~ a + b", apart.assign(**named, **surrogate), surrogates=BOTH, **QUICK)
    np.testing.assert_allclose(text.theta, fit.theta, atol=0.05)


def test_designs_told_apart():
    rng = np.random.default_rng(23)
    data = corpus(False, 1500, rng)
    given, drawn = partly("unequal", data, 0.3, rng)
    fit = kt.ols("y ~ a + b", drawn, surrogates=BOTH, **given, **QUICK)
    full = (drawn["a"].notna() & drawn["b"].notna()).to_numpy()
    assert not fit.sampling.assumed
    np.testing.assert_allclose(fit.sampling.largest_weight, (1 / (drawn["pi_a"] * drawn["pi_b"]))[full].max())
    design = {"a": kt.Stratified("b_llm"), "b": kt.Stratified("b_llm")}
    _, drawn = partly("crossed", data, 0.3, rng)
    stratified = kt.ols("y ~ a + b", drawn, surrogates=BOTH, design=design, **QUICK)
    assert np.isfinite(stratified.covariance).all()
    mixed = kt.ols("y ~ a + b", drawn, surrogates=BOTH, design={"a": kt.Stratified("b_llm")}, **QUICK)
    np.testing.assert_allclose(mixed.covariance, stratified.covariance, rtol=0.3, atol=1e-3)
    nested = drawn.assign(b=drawn["b"].where(drawn["a"].notna()))
    with pytest.raises(DesignError, match="how the smaller sample was drawn"):
        kt.ols("y ~ a + b", nested, surrogates=BOTH, design={"a": kt.Stratified("b_llm")}, **QUICK)


def test_refusals_name_the_cause(asked, apart):
    given, data = asked
    for options, words in (
        ({"cluster": "b"}, "clusters"), ({"estimator": "gold"}, "estimator='gold'"), ({"subset": "yes"}, "subset="),
        ({"scores": True}, "scores=True"), ({"combine": "median"}, "combine="), ({"tuning": "full"}, "tuning="),
        ({"design": {"a": None}}, "one design"),
    ):  # fmt: skip
        with pytest.raises(ArgumentError, match=words):
            kt.ols("y ~ a", data, **(given | options))
    with pytest.raises(ArgumentError, match="quantile"):
        kt.quantile("y ~ a", data, **given)
    with pytest.raises(ArgumentError, match="fixed effects"):
        kt.ols("y ~ a | b", data, **given)
    with pytest.raises(ArgumentError, match="calls functions"):
        kt.ols("y ~ a + np.exp(x)", data, **given)
    with pytest.raises(DataError, match="no strong label"):
        kt.ols("y ~ a", data.assign(a=1.0 * (data["x"] > 0)), **given)
    with pytest.raises(ArgumentError, match="is a Cascade"):
        kt.cox("size ~ a", data, event="yes", surrogates=given["surrogates"])
    with pytest.raises(ArgumentError, match="not a labelled variable"):
        kt.ols("y ~ a + b", apart, surrogates=BOTH, design={"c": None})
    complete = apart.assign(b=apart["b"].where(apart["a"].notna()), a=apart["a"].where(apart["b"].notna()))
    with pytest.raises(ArgumentError, match="one design"):
        kt.ols("y ~ a + b", complete, surrogates=BOTH, design={"a": None, "b": None})
    never = apart.assign(b=corpus(False, len(apart), np.random.default_rng(1))["b"].where(apart["a"].isna()))
    with pytest.raises(DataError, match="no row has all labels"):
        kt.ols("y ~ a + b", never, surrogates=BOTH)
    third = apart.assign(c=apart["b_llm"].where(apart["x"] > 1))
    with pytest.raises(DataError, match="3 samples"):
        kt.ols("y ~ a + b + c", third, surrogates=BOTH | {"c": "b_llm"})


def test_strong_labels_may_be_probabilities_arrays_and_several(asked):
    given, data = asked
    first, strong = given["surrogates"]["a"].design, data["a_large"]

    def fit(surrogate: object, **more: object) -> np.ndarray:
        cascades = {"a": kt.Cascade("a_llm", surrogate, design=first)}
        return kt.ols("y ~ a + x", data, surrogates=cascades, design=given["design"], **(QUICK | more)).theta

    data["p1"], data["p0"] = 0.9 * strong + 0.05, 0.95 - 0.9 * strong
    named, array = fit("a_large"), fit(strong.to_numpy())
    table = fit(data[["p0", "p1"]].rename(columns={"p0": 0, "p1": 1}))
    np.testing.assert_allclose(array, named, rtol=1e-8)
    np.testing.assert_allclose(fit({0: "p0", 1: "p1"}), table, rtol=1e-8)
    np.testing.assert_allclose(table, named, atol=0.1)
    assert np.isfinite(fit(["a_large", "p1"])).all()
    plain = fit({0: "p0", 1: "p1"}, learner=None)
    assert np.isfinite(plain).all()
    folds = np.arange(len(data)) % 4
    assert np.isfinite(fit("a_large", folds=folds, features=["b_llm", "b"])).all()


def test_labelled_outcome_and_covariate_have_gold_of_their_own(apart):
    words = np.array(["other", "peace", "war"])
    rng = np.random.default_rng(24)
    topic = np.where(rng.random(len(apart)) < 0.3, 2, apart["b_llm"]).astype(int)
    wrong = (topic + (rng.random(len(apart)) < 0.1)) % 3
    data = apart.assign(topic=np.where(apart["b"].isna(), None, words[topic]), topic_llm=words[wrong])
    surrogates = {"topic": "topic_llm", "a": "a_llm"}
    fit = kt.multinomial("topic ~ a + x", data, surrogates=surrogates, **QUICK)
    assert len(fit.theta) == 6
    assert np.isfinite(fit.covariance).all()
    covariate = kt.ols("y ~ a + C(topic)", data, surrogates=surrogates, **QUICK)
    assert list(covariate.names) == ["Intercept", "a", "C(topic)[T.peace]", "C(topic)[T.war]"]
    base = next(column for column in covariate.compare().columns if column.title == "Full rows only")
    assert np.exp(np.mean(np.log(np.sqrt(np.diag(covariate.covariance)) / base.se))) < 0.95


def test_a_draw_among_the_rows_of_the_other_label():
    data = corpus(False, 1500, np.random.default_rng(25))
    texts = data.drop(columns=["a", "b"])
    one = kt.SimpleRandom(600).draw(texts, seed=1)
    other = kt.SimpleRandom(200).draw(texts[one.labelled], seed=2)
    rows = np.isin(np.arange(1500), one.positions[other.positions])
    drawn = texts.assign(a=data["a"].where(one.labelled), b=data["b"].where(rows))
    fit = kt.ols("y ~ a + b", drawn, surrogates=BOTH, design={"a": one.design, "b": other.design}, **QUICK)
    told = kt.ols("y ~ b + a", drawn, surrogates=BOTH, **QUICK)
    np.testing.assert_allclose(fit.theta, told.theta[[0, 2, 1]], atol=0.05)
    assert not fit.sampling.assumed
    assert told.sampling.assumed


@pytest.mark.parametrize("learner", [None, "linear"])
@pytest.mark.parametrize(("right", "noted"), [((1.0, 0.7), True), ((0.7, 1.0), True), ((0.7, 0.7), False)])
def test_a_label_that_is_nearly_always_as_predicted_is_said(learner, right, noted):
    """Errors of two labels at once are rare, and say nothing of either."""
    rng = np.random.default_rng(3)
    data = pd.DataFrame({name: rng.integers(0, 2, 1200) * 1.0 for name in "ab"})
    data["y"] = data["a"] + rng.normal(size=1200)
    for name, share in zip("ab", right):
        data[f"{name}_llm"] = np.where(rng.random(1200) < share, data[name], 1.0 - data[name])
        data[name] = data[name].where(rng.permutation(1200) < 300)
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        fit = kt.ols("y ~ a + b", data, surrogates=BOTH, learner=learner, target="finite", seed=1, compare=False)
    assert any("nearly all gold labels" in str(one.message) for one in found) == noted
    assert any("nearly all gold labels" in note for note in fit.notes) == noted
