"""What must not matter does not: order, names, units of measurement, copies of rows, the frame library."""

import dataclasses
from contextlib import contextmanager
from dataclasses import replace
from unittest import mock

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import karat as kt
import karat.estimate.rectify as rectify_module
from karat.estimate.infer import infer
from karat.estimate.tune import tune as priced_tune

from . import corpora
from .profiles import examples

# Generated corpora are small and surrogates may cost precision there, which is told; the numbers are what is looked at.
pytestmark = pytest.mark.filterwarnings("ignore::karat.errors.SmallSampleWarning")

MODELS = {"ols": ("y", "y_llm"), "logit": ("vote", "vote_prob"), "poisson": ("count", "count_llm")}
seeds = st.integers(0, 10_000)
models = st.sampled_from(sorted(MODELS))
kinds = st.sampled_from(["HC0", "HC1", "HC3", {"CRV1": "author"}, {"CRV3": "author"}])
tunings = st.sampled_from([None, "auto", "scalar", "full"])


def close(left, right, rtol=1e-7):
    np.testing.assert_allclose(left, right, rtol=rtol, atol=1e-11)


def table(seed, model, n=160):
    """A corpus with gold outcome and stance in a Bernoulli sample."""
    frame = corpora.corpus(n, seed=seed)
    drawn = np.random.default_rng(seed).random(n) < frame["pi"] + 0.2
    frame["pi"] += 0.2
    return corpora.masked(frame, drawn, MODELS[model][0], "stance")


def without_unseen(fit):
    """What the covariance of a fit is made of, without wrong labels that gold may have missed."""
    return replace(fit.parts, scores=replace(fit.parts.scores, unseen=None))


def fit(model, frame, *, formula="stance * z + size", learner=None, compare=False, **options):
    outcome, surrogate = MODELS[model]
    options = {"surrogates": {outcome: surrogate, "stance": "stance_llm"}, "design": kt.Bernoulli("pi")} | options
    return kt.regress(f"{outcome} ~ {formula}", frame, model=model, learner=learner, compare=compare, **options)


@given(seeds, models, kinds, tunings)
def test_order_of_rows(seed, model, vcov, tuning):
    frame = table(seed, model)
    mixed = frame.sample(frac=1.0, random_state=seed)
    one, other = fit(model, frame, vcov=vcov, tuning=tuning), fit(model, mixed, vcov=vcov, tuning=tuning)
    close(one.theta, other.theta)
    close(one.covariance, other.covariance)
    close(one.df, other.df)


@given(seeds)
def test_order_of_rows_with_folds_given(seed):
    frame = table(seed, "ols")
    folds = np.random.default_rng(seed).integers(0, 4, len(frame))
    order = np.random.default_rng(seed + 1).permutation(len(frame))
    one = fit("ols", frame, learner="linear", folds=folds, seed=0)
    other = fit("ols", frame.iloc[order], learner="linear", folds=folds[order], seed=0)
    close(one.theta, other.theta, 1e-6)
    close(one.covariance, other.covariance, 1e-5)


@given(seeds, models, st.permutations(["stance", "z", "size", "C(region)"]))
def test_order_of_columns_and_terms(seed, model, terms):
    frame = table(seed, model)
    one = fit(model, frame, formula="stance + z + size + C(region)")
    other = fit(model, frame[frame.columns[::-1]], formula=" + ".join(terms))
    names = list(one.names)
    assert sorted(names) == sorted(other.names)
    close(one.theta, other.coef()[names])
    close(one.covariance, other.vcov_matrix.loc[names, names])


@given(
    seeds,
    models,
    st.sampled_from(["Stance", "x1", "stance_2", "_s", "einstellung", "stance_gold", "label", "weights"]),
    st.sampled_from(["pi_", "prob", "P", "stance_llm_2"]),
)
def test_names(seed, model, name, probability):
    frame = table(seed, model)
    outcome, surrogate = MODELS[model]
    renamed = frame.rename(columns={"stance": name, "pi": probability, surrogate: "a surrogate, with spaces"})
    one = fit(model, frame)
    other = fit(
        model, renamed, formula=f"{name} * z + size", design=kt.Bernoulli(probability),
        surrogates={outcome: "a surrogate, with spaces", name: "stance_llm"},
    )  # fmt: skip
    np.testing.assert_array_equal(one.theta, other.theta)
    np.testing.assert_array_equal(one.covariance, other.covariance)
    assert [n.replace(name, "stance") for n in other.names] == list(one.names)


@given(seeds, models, st.sampled_from(["dsl", "gold"]))
def test_twice_the_row_is_twice_the_weight(seed, model, estimator):
    """Copies that share a cluster with their original count like one row of weight two."""
    frame = table(seed, model)
    copies = np.random.default_rng(seed).integers(1, 3, len(frame))
    frame["copies"], frame["row"] = copies, np.arange(len(frame))
    double = frame.loc[frame.index.repeat(copies)].reset_index(drop=True)
    options = {"vcov": {"CRV0": "row"}, "tuning": None, "estimator": estimator}
    heavy, many = fit(model, frame, weights="copies", **options), fit(model, double, **options)
    close(heavy.theta, many.theta)
    close(heavy.covariance, many.covariance)


@given(seeds, models, st.sampled_from(["CRV0", "CRV3"]))
def test_twice_the_row_is_twice_the_weight_when_all_are_gold(seed, model, kind):
    frame = corpora.corpus(120, seed=seed)
    copies = np.random.default_rng(seed).integers(1, 4, len(frame))
    frame["copies"] = copies
    double = frame.loc[frame.index.repeat(copies)].reset_index(drop=True)
    options = {"design": 1.0, "vcov": {kind: "author"}}
    heavy, many = fit(model, frame, weights="copies", **options), fit(model, double, **options)
    close(heavy.theta, many.theta)
    close(heavy.covariance, many.covariance)


@examples(6)
@given(seeds, models, st.sampled_from([2, 3]))
def test_copies_within_labelling_units_change_no_standard_error(seed, model, times):
    """Whole clusters labelled: the corpus written twice holds no more information than the corpus."""
    frame = corpora.corpus(150, seed=seed)
    drawn = frame["author"] < 20
    frame = corpora.masked(frame, drawn, MODELS[model][0], "stance")
    double = pd.concat([frame] * times, ignore_index=True)
    options = {"design": kt.Clustered("author"), "vcov": {"CRV0": "author"}}
    for tuning in (None, "coefficient"):
        one, other = fit(model, frame, tuning=tuning, **options), fit(model, double, tuning=tuning, **options)
        close(one.theta, other.theta)
        close(one.covariance, other.covariance, 1e-6)


@given(seeds, models, kinds, st.floats(-20, 20), st.sampled_from([-300.0, -1.0, 0.01, 7.0, 1000.0]))
def test_affine_change_of_a_covariate(seed, model, vcov, shift, scale):
    """x -> b (a + x) moves the coefficients linearly; fit, intervals and df of the slope follow."""
    frame = table(seed, model)
    shift *= scale
    changed = frame.assign(z=shift + scale * frame["z"])
    for tuning in (None, "full"):
        # the price of tuned weights is set per coefficient: another intercept pays another price, and leaving clusters
        # out one by one mixes the coefficients. Without it the covariance must follow exactly.
        with unpriced():
            one = fit(model, frame, formula="stance + z", vcov=vcov, tuning=tuning)
            other = fit(model, changed, formula="stance + z", vcov=vcov, tuning=tuning)
        back = np.array([[1.0, 0, shift], [0, 1, 0], [0, 0, scale]])
        np.testing.assert_allclose(one.theta, back @ other.theta, rtol=1e-6, atol=1e-8)
        moved = back @ other.covariance @ back.T
        np.testing.assert_allclose(one.covariance, moved, rtol=1e-6, atol=1e-8)
        close(one.df[1:], other.df[1:], 1e-6)


@given(seeds, models, st.sampled_from(["HC0", "HC3", {"CRV1": "author"}]), st.sampled_from([-300.0, 0.01, 1000.0]))
def test_slopes_pay_the_same_price_of_tuning_in_any_unit(seed, model, vcov, scale):
    frame = table(seed, model)
    changed = frame.assign(z=3.0 * scale + scale * frame["z"])
    one = fit(model, frame, formula="stance + z", vcov=vcov, tuning="full")
    other = fit(model, changed, formula="stance + z", vcov=vcov, tuning="full")
    close(one.se().to_numpy()[1:], other.se().to_numpy()[1:] * [1.0, abs(scale)], 1e-6)


@contextmanager
def unpriced():
    """Fits in which weights estimated from gold cost nothing."""

    def tune(*arguments, **options):
        chosen = priced_tune(*arguments, **options)
        return dataclasses.replace(chosen, inflation=np.ones_like(chosen.inflation))

    with mock.patch.object(rectify_module, "tune", tune):
        yield


@given(seeds, models, st.sampled_from([None, "auto", "scalar", "full"]), st.sampled_from(["simple", "bernoulli"]))
def test_surrogate_equal_to_gold_gives_the_all_gold_coefficients(seed, model, tuning, design):
    whole = corpora.corpus(200, seed=seed)
    outcome, _ = MODELS[model]
    surrogates = {outcome: whole[outcome].to_numpy(), "stance": whole["stance"].to_numpy()}
    if design == "simple":
        how = kt.SimpleRandom(80)
        sample = how.draw(whole, seed)
    else:
        how = kt.Bernoulli("pi")
        sample = how.draw(whole, seed)
    frame = corpora.masked(whole, sample.labelled, outcome, "stance")
    everything = fit(model, whole, design=1.0, vcov="HC0")
    found = fit(model, frame, design=how, surrogates=surrogates, vcov="HC0", tuning=tuning)
    close(found.theta, everything.theta)
    # what gold shows of labelling adds nothing; only labels that it may have missed do (estimate/df.py, lacking)
    plain, _ = infer(without_unseen(found), "HC0", "superpopulation", "auto")
    close(plain.total, everything.covariance)
    np.testing.assert_allclose(plain.labelling, 0.0, atol=1e-15)
    least = (found.parts.scores.unseen**2).sum(axis=0)
    close(np.diag(found.covariance), np.maximum(np.diag(everything.covariance), least))
    finite = fit(model, frame, design=how, surrogates=surrogates, target="finite", tuning=tuning)
    np.testing.assert_allclose(infer(without_unseen(finite), "HC3", "finite", "auto")[0].total, 0.0, atol=1e-15)
    assert (np.diag(finite.covariance) > 0).all()


@examples(4)
@given(seeds, models, st.sampled_from([None, "linear"]))
def test_frame_library(seed, model, learner):
    """Same numbers from pandas (any index), polars, arrow and plain columns."""
    frame = table(seed, model)
    formula = "stance * z + region"
    clean = frame.astype(object).where(frame.notna(), None)
    columns = {name: clean[name].tolist() for name in frame}
    strange = frame.set_axis(np.zeros(len(frame)), axis=0)
    nullable = frame.convert_dtypes()
    options = {"formula": formula, "learner": learner, "seed": 1, "repeats": 1, "vcov": {"CRV1": "author"}}
    one = fit(model, frame, **options)
    for other in (strange, nullable, pl.DataFrame(columns), pa.table(columns), {c: frame[c] for c in frame}):
        found = fit(model, other, **options)
        assert found.names == one.names
        np.testing.assert_allclose(found.theta, one.theta, rtol=1e-12)
        np.testing.assert_allclose(found.covariance, one.covariance, rtol=1e-10)


@examples(2)
@given(seeds)
def test_input_is_left_alone(seed):
    frame = table(seed, "ols")
    before = frame.copy(deep=True)
    fit("ols", frame, learner="linear", seed=0, features="count", compare=True)
    pd.testing.assert_frame_equal(frame, before)


@examples(5)
@given(seeds)
def test_analysis_weights_may_be_scaled(seed):
    """Only relative weights count, and a weight of zero takes a row out of the estimate."""
    frame = table(seed, "ols")
    one = fit("ols", frame, weights="weight", tuning="full")
    other = fit("ols", frame.assign(weight=frame["weight"] * 37.0), weights="weight", tuning="full")
    close(one.theta, other.theta)
    close(one.covariance, other.covariance)
    frame.loc[:9, "weight"] = 0.0
    without = fit("ols", frame.iloc[10:], weights="weight", tuning=None, vcov="HC0")
    zero = fit("ols", frame, weights="weight", tuning=None, vcov="HC0")
    close(zero.theta, without.theta)
    close(zero.covariance, without.covariance)


@examples(3)
@given(seeds, models)
def test_same_seed_same_numbers(seed, model):
    frame = table(seed, model)
    options = {"learner": "linear", "repeats": 2, "tuning": None}
    one = fit(model, frame, seed=seed, **options)
    again = fit(model, frame, seed=np.random.default_rng(seed), **options)
    np.testing.assert_array_equal(one.theta, again.theta)
    other = fit(model, frame, seed=seed + 1, **options)
    assert np.abs(one.theta - other.theta).max() > 0
