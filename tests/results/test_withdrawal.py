"""Fits without units that were withdrawn: exactly with data, in one step without, and how far the two are apart."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import karat as kt

from ..corpora import corpus, masked

N, GOLD = 900, 300
FORMULAS = {
    "outcome": ("ols", "y ~ z + region", {"y": "y_llm"}),
    "covariate": ("ols", "y ~ stance + z", {"stance": "stance_prob"}),
    "logit": ("logit", "vote ~ z + stance", {"vote": "vote_prob", "stance": "stance_llm"}),
    "poisson": ("poisson", "count ~ z", {"count": "count_llm"}),
}


def fitted(which="covariate", n=N, gold=GOLD, **options):
    model, formula, surrogates = FORMULAS[which]
    frame = corpus(n, 4, authors=40)
    drawn = np.zeros(n, dtype=bool)
    drawn[np.random.default_rng(1).choice(n, gold, replace=False)] = True
    frame["document"] = [f"d{i}" for i in range(n)]
    frame = masked(frame, drawn, *surrogates)
    options = {"learner": None, "tuning": None, **options}
    return frame, quiet(kt.regress, formula, frame, model=model, surrogates=surrogates, **options)


def quiet(call, *args, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", kt.KaratWarning)
        return call(*args, **options)


@pytest.mark.parametrize("which", list(FORMULAS))
def test_exact_is_the_fit_of_the_others_as_they_were_drawn(which):
    model, formula, surrogates = FORMULAS[which]
    frame, fit = fitted(which)
    gone = np.random.default_rng(2).choice(N, 40, replace=False)
    exact = quiet(fit.without, gone, frame)
    stays = ~np.isin(np.arange(N), gone)
    other = quiet(
        kt.regress, formula, frame.assign(stays=stays), model=model, surrogates=surrogates, learner=None, tuning=None,
        subset="stays", design=kt.SimpleRandom(),
    )  # fmt: skip
    np.testing.assert_allclose(exact.theta, other.theta, rtol=1e-10)
    np.testing.assert_allclose(exact.covariance, other.covariance, rtol=1e-8)
    assert exact.n_units == N - 40
    after = quiet(fit.without, gone, frame[stays])
    named = quiet(fit.without, frame["document"].iloc[gone].tolist(), frame, by="document")
    for one in (after, named):
        np.testing.assert_array_equal(one.theta, exact.theta)
    table = exact.withdrawal.table()
    assert list(table.columns) == ["before", "one step", "left out", "exact", "one step - exact"]
    assert "fitted again" in exact.notes[-1]


@pytest.mark.parametrize("which", list(FORMULAS))
def test_weights_of_the_others_stay(which):
    frame, fit = fitted(which)
    gone = np.arange(0, N, 20)
    before = fit.parts.units
    for rest in (fit.without(gone), quiet(fit.without, gone, frame)):
        units = rest.parts.units
        stay = ~np.isin(before.gold, gone)
        np.testing.assert_allclose(units.labelling.weight, before.labelling.weight[stay])
        assert rest.n_gold == stay.sum()
        assert rest.sampling.dropped["withdrawn"] == len(gone) if rest.withdrawal.exact is None else True


@pytest.mark.parametrize("which", list(FORMULAS))
def test_one_step_is_off_by_the_square_of_what_leaves(which):
    frame, fit = fitted(which)
    gold, rng = fit.parts.units.gold, np.random.default_rng(3)
    errors = []
    for d in (6, 60):
        worst = []
        for _ in range(4):
            some = rng.choice(gold, d // 3, replace=False)
            rest = rng.choice(np.setdiff1d(np.arange(N), gold), d - d // 3, replace=False)
            told = quiet(fit.without, np.r_[some, rest], frame).withdrawal
            apart = np.abs(told.one_step - told.exact)
            assert (apart <= told.remainder + 1e-9).all(), "the size that is shown holds"
            worst.append((apart / np.abs(told.before - told.exact).max()).max())
            assert (told.remainder < 3.0 * np.sqrt(np.diag(fit.covariance))).all()
        errors.append(np.mean(worst))
    assert errors[0] < 0.1
    assert errors[1] < 0.3, "second order against first: in proportion to what leaves"


@pytest.mark.parametrize("which", ["covariate", "logit"])
@pytest.mark.parametrize("tuning", ["coefficient", "full"])
def test_that_weights_are_chosen_anew_is_in_the_size_that_is_shown(which, tuning):
    frame, fit = fitted(which, tuning=tuning)
    rng, inside = np.random.default_rng(5), []
    for _ in range(5):
        told = quiet(fit.without, rng.choice(N, 30, replace=False), frame).withdrawal
        inside += list(np.abs(told.one_step - told.exact) <= told.remainder)
    assert np.mean(inside) > 0.9


def test_one_unlabelled_unit_is_exact_for_least_squares():
    """Its own curvature is taken out with it."""
    frame, fit = fitted("covariate", vcov="HC0")
    one = int(np.setdiff1d(np.arange(N), fit.parts.units.gold)[5])
    told = quiet(fit.without, [one], frame).withdrawal
    moved = np.abs(told.exact - told.before).max()
    assert moved > 0
    np.testing.assert_allclose(told.one_step, told.exact, atol=0.05 * moved)


@pytest.mark.parametrize("vcov", ["HC1", "HC3", {"CRV1": "author"}, {"CRV3": "author"}, {"CRV3": ["author", "region"]}])
def test_standard_errors_of_one_step_are_those_of_the_others(vcov):
    frame, fit = fitted(vcov=vcov)
    gone = np.random.default_rng(6).choice(N, 60, replace=False)
    if "author" in str(vcov):
        gone = np.union1d(gone, np.flatnonzero(frame["author"] == 3))
    quick, exact = fit.without(gone), quiet(fit.without, gone, frame)
    np.testing.assert_allclose(np.sqrt(np.diag(quick.covariance) / np.diag(exact.covariance)), 1.0, atol=0.04)
    np.testing.assert_allclose(quick.df, exact.df, rtol=0.15)
    assert (quick.n_units, quick.n_gold) == (exact.n_units, exact.n_gold)
    assert quick.sampling.clusters == exact.sampling.clusters
    assert len(quick.summary().__str__()) > 100


def test_again_and_with_gold_alone_weights_and_missing_rows():
    frame, fit = fitted("covariate", tuning="auto", weights="weight")
    step = fit.without([1, 2, 3])
    np.testing.assert_allclose(step.without(np.arange(20, 30)).n_units, N - 13)
    frame.loc[::9, "z"] = np.nan
    fit = quiet(kt.ols, "y ~ stance + z", frame, surrogates={"stance": "stance_prob"}, learner=None)
    gone = np.isin(np.arange(N), [0, 9, 10, 11, 12])
    quick, exact = fit.without(gone), quiet(fit.without, gone, frame)
    assert quick.n_units == exact.n_units == fit.n_units - 3
    np.testing.assert_allclose(quick.theta, exact.theta, atol=0.1 * fit.se().min())
    alone = quiet(kt.ols, "y ~ stance", frame, surrogates={"stance": "stance_prob"}, estimator="gold")
    some = alone.parts.units.gold[:5]
    np.testing.assert_allclose(alone.without(some).theta, quiet(alone.without, some, frame).theta, atol=0.01)


def test_shares_learners_and_fixed_effects():
    frame, _ = fitted("logit")
    share = quiet(kt.mean, "vote", frame.assign(stance=0), surrogates={"vote": "vote_llm"}, learner=None)
    gone = share.parts.units.gold[:10]
    quick, exact = share.without(gone), quiet(share.without, gone, frame.assign(stance=0))
    assert quick.interval == exact.interval == "beta"
    np.testing.assert_allclose(quick.confint().to_numpy(), exact.confint().to_numpy(), atol=0.01)
    data = corpus(N, 4)
    data = masked(data, np.random.default_rng(1).random(N) < 0.4, "stance")
    learnt = quiet(kt.ols, "y ~ stance", data, surrogates={"stance": "stance_llm"}, learner="linear", repeats=1)
    again = quiet(learnt.without, learnt.parts.units.gold[:5], data)
    assert again.n_gold == learnt.n_gold - 5
    assert again.seed == learnt.seed
    within = quiet(kt.ols, "y ~ stance | author", data, surrogates={"stance": "stance_llm"}, learner=None)
    with pytest.raises(kt.errors.ArgumentError, match="fixed effects and first stages change"):
        within.without([1])
    assert quiet(within.without, [1], data).n_units == within.n_units - 1


@pytest.mark.parametrize(("units", "options", "said"), [
    ([N], {}, "positions from 900"), (np.ones(3, dtype=bool), {}, "true or false for each of 900"),
    (["d1"], {}, "values of a column with by="), (["d1"], {"by": "document"}, "give that as data="),
    (np.zeros(N, dtype=bool), {}, "none of the units"), (np.ones(N, dtype=bool), {}, "all gold units would leave"),
    ([1], {"data": corpus(20, 1)}, "data has 20 rows"),
])  # fmt: skip
def test_what_cannot_be_withdrawn_is_refused(units, options, said):
    _, fit = fitted()
    with pytest.raises(kt.KaratError, match=said):
        fit.without(units, **options)


def test_ids_that_are_not_there_and_scores_that_were_not_kept():
    frame, fit = fitted()
    with pytest.raises(kt.errors.DataError, match="'x9', which 'document' does not hold"):
        fit.without(["d1", "x9"], frame, by="document")
    with pytest.raises(kt.KaratError, match="influence scores"):
        fit.replace(parts=None).without([1])
