"""The labelling variance is at least that of wrong labels which gold may have missed."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

import karat as kt
from karat.estimate.infer import infer

OPTIONS = {"target": "finite", "learner": None, "compare": False, "vcov": "HC0", "seed": 1}
GOLD = 200


def nearly_right(wrong_gold, seed=3, n=2_000):
    """A corpus whose surrogate is right but for some gold rows; gold are the first 200 rows."""
    rng = np.random.default_rng(seed)
    data = pd.DataFrame({"z": rng.normal(size=n), "state": rng.integers(0, 4, n)})
    data["hostile"] = (rng.random(n) < 0.4) * 1.0
    data["topic"] = np.array(["a", "b", "c"])[rng.integers(0, 3, n)]
    data["vote"] = (rng.random(n) < 1 / (1 + np.exp(-data["hostile"] - 0.5 * data["z"]))) * 1.0
    data["y"] = 1 + data["hostile"] + 0.5 * data["z"] + 0.3 * (data["topic"] == "b") + rng.normal(size=n)
    data["llm"], data["topic_llm"] = data["hostile"].copy(), data["topic"].copy()
    data.loc[data.index < wrong_gold, "llm"] = 1 - data["hostile"]
    data.loc[GOLD:, ["hostile", "topic"]] = np.nan
    return data


def least_by_hand(x, other, y, theta):
    """``p sum s c c'`` of a linear regression, row by row, with ``p = 2.34 / n``."""
    pi, n = GOLD / 2_000, len(x)
    bread = np.linalg.inv(x.T @ x * (2_000 / n))
    out = np.zeros(len(theta))
    for row, changed, outcome in zip(x, other, y):
        c = bread @ (changed * (outcome - changed @ theta) - row * (outcome - row @ theta))
        out += (3 / 1.96) ** 2 / n * (1 - pi) / pi**2 * c**2
    return out


def test_gold_without_a_wrong_label_says_what_2_34_would():
    data = nearly_right(0)
    fit = kt.ols("y ~ hostile + z", data, surrogates={"hostile": "llm"}, **OPTIONS)
    gold = data[:GOLD]
    x = np.column_stack([np.ones(GOLD), gold["hostile"], gold["z"]])
    other = x.copy()
    other[:, 1] = 1 - x[:, 1]
    expected = least_by_hand(x, other, gold["y"].to_numpy(), fit.theta)
    # the curvature of the fit is that of all rows, by hand that of gold rows
    assert fit.se().to_numpy() == pytest.approx(np.sqrt(expected), rel=0.15)
    assert (fit.labelling_covariance == fit.covariance).all()
    assert np.isfinite(fit.df).all()
    assert any("intervals allow for wrong labels" in note for note in fit.notes)


@pytest.mark.parametrize("target", ["finite", "superpopulation"])
@pytest.mark.parametrize("wrong", [0, 2, 4, 7, 20])
def test_no_variance_is_below_that_of_labels_gold_may_have_missed(wrong, target):
    options = {**OPTIONS, "surrogates": {"hostile": "llm"}, "target": target}
    fit = kt.ols("y ~ hostile + z", nearly_right(wrong), **options)
    scores = fit.parts.scores
    plain, _ = infer(replace(fit.parts, scores=replace(scores, unseen=None)), "HC0", target, "auto")
    least = (scores.unseen**2).sum(axis=0)
    assert np.diag(fit.covariance) == pytest.approx(np.maximum(np.diag(plain.total), least), rel=1e-12)
    assert (least > 0).all() if wrong < 7 else not least.any()
    assert (np.diag(fit.covariance) > 0).all()
    if target == "superpopulation":
        assert np.diag(fit.covariance) == pytest.approx(np.diag(plain.total), rel=1e-12), "the population is most of it"


def test_more_wrong_labels_never_make_intervals_much_narrower():
    """From none to eight wrong gold labels; these are the first rows, so that each count adds one."""
    fits = [
        kt.ols("y ~ hostile + z", nearly_right(k), surrogates={"hostile": "llm"}, **OPTIONS).se()["hostile"]
        for k in range(9)
    ]
    assert all(after > 0.85 * before for before, after in pairwise(fits))
    assert fits[-1] > fits[0]


@pytest.mark.parametrize("model", ["ols", "logit"])
def test_fixed_effects_as_dummies(model):
    data = nearly_right(0)
    formula, names = ("hostile ~ z", ["z"]) if model == "logit" else ("y ~ hostile + z", ["hostile", "z"])
    options = {"surrogates": {"hostile": "llm"}, "model": model, **OPTIONS}
    within = kt.regress(f"{formula} | state", data, **options)
    dummies = kt.regress(f"{formula} + C(state)", data, **options)
    assert len(within.parts.scores.unseen)
    assert within.se()[names].to_numpy() == pytest.approx(dummies.se()[names].to_numpy(), rel=1e-6)


def test_classes_numbers_and_other_sources(tmp_path):
    data = nearly_right(0)
    data.to_parquet(tmp_path / "rows.parquet")
    topics = kt.ols("y ~ topic + z", data, surrogates={"topic": "topic_llm"}, **OPTIONS)
    assert (topics.se() > 0).all()
    again = kt.ols("y ~ topic + z", data.sample(frac=1.0, random_state=1), surrogates={"topic": "topic_llm"}, **OPTIONS)
    assert again.se().to_numpy() == pytest.approx(topics.se().to_numpy(), rel=1e-9)
    batches = kt.ols(
        "y ~ topic + z", kt.Batches(tmp_path / "rows.parquet", rows=300), surrogates={"topic": "topic_llm"}, **OPTIONS
    )
    assert batches.se().to_numpy() == pytest.approx(topics.se().to_numpy(), rel=1e-9)
    multinomial = kt.multinomial("topic ~ z", data, surrogates={"topic": "topic_llm"}, **OPTIONS)
    assert (multinomial.se() > 0).all()
    data["score"], data["score_llm"] = data["hostile"] * 3.5, data["llm"] * 3.5 + 0.25 * (data["z"] > 0)
    numbers = kt.ols("score ~ z", data, surrogates={"score": "score_llm"}, **OPTIONS)
    assert numbers.parts.scores.unseen is None, "of numbers nothing says by how much a wrong one is wrong"


@pytest.mark.parametrize("wrong", [0, 3, 20])
def test_standard_errors_follow_the_unit_of_the_outcome(wrong):
    """Outcomes of classes, and of numbers beside a labelled class: gold shows as many wrong labels in any unit."""
    data = nearly_right(wrong)
    data["score"] = (3.0 * data["y"]).where(data["hostile"].notna())
    data["score_llm"] = 3.0 * data["y"] + data["z"]
    for unit in ("", "0.001 * "):
        options = {**OPTIONS, "surrogates": {"hostile": "llm"}}
        classes = kt.ols(f"I({unit or '1 * '}hostile) ~ z", data, **options).se().to_numpy()
        options["surrogates"] = {"score": "score_llm", "hostile": "llm"}
        numbers = kt.ols(f"I({unit or '1 * '}score) ~ hostile + z", data, **options)
        assert not len(numbers.parts.scores.unseen), "hardly a score is right"
        if not unit:
            first = classes, numbers.se().to_numpy()
    assert classes == pytest.approx(0.001 * first[0], rel=1e-8)
    assert numbers.se().to_numpy() == pytest.approx(0.001 * first[1], rel=1e-8)


def test_what_is_made_from_a_fit_keeps_it():
    data = nearly_right(0)
    options = {"surrogates": {"hostile": "llm"}, **OPTIONS}
    fit = kt.ols("y ~ hostile * z", data, **options)
    assert (kt.slopes(fit, data, "hostile").se() > 0).all()
    assert (fit.with_vcov("HC2").se() > 0).all()
    alone = kt.ols("y ~ hostile", data, **options)
    both = alone + kt.ols("y ~ hostile + z", data, **options)
    assert (both.se() > 0).all()
    taken = kt.ols("y ~ hostile", data, **{**options, "compare": True}).compare()
    assert (taken.difference.se > 0).all()


def test_nothing_is_added_where_labels_are_known_or_taken_for_the_truth():
    data = nearly_right(0)[:GOLD]
    census = kt.ols("y ~ hostile + z", data, surrogates={"hostile": "llm"}, design=1.0, **OPTIONS)
    assert census.se().to_numpy() == pytest.approx(0.0, abs=1e-12)
    options = {**OPTIONS, "surrogates": {"hostile": "llm"}, "target": "superpopulation"}
    with pytest.warns(kt.errors.NotValidWarning):
        naive = kt.ols("y ~ hostile + z", nearly_right(0), estimator="surrogate", **options)
    assert naive.parts.scores.unseen is None
    assert kt.ols("y ~ hostile + z", nearly_right(0), estimator="gold", **options).parts.scores.unseen is None


@pytest.mark.parametrize("vcov", ["HC0", "HC3", "CRV2"])
def test_averages_move_as_the_fit_does(vcov):
    data, options = nearly_right(0), {"surrogates": {"hostile": "llm"}, **OPTIONS, "vcov": vcov}
    options |= {"cluster": np.arange(len(data)) // 2} if vcov == "CRV2" else {}
    fit = kt.ols("y ~ hostile + z", data, **options)
    given = {"given": {"cluster": options["cluster"]}} if vcov == "CRV2" else {}
    slopes = kt.slopes(fit, data, **given)
    assert slopes.se().to_numpy() == pytest.approx(fit.se().to_numpy()[1:], rel=1e-6), "slopes are the coefficients"
    mean = kt.predictions(fit, data, **given)
    assert mean.se().iloc[0] < 1e-6 * fit.se().min(), "the mean prediction is the mean of y, which is known"
    hostile = kt.predictions(fit, data, at={"hostile": [0, 1]}, **given)
    assert (hostile.se() > 0).all()
    assert (kt.predictions(fit, data, by="hostile", **given).se() > 0).all()


def test_averages_as_by_moving_each_label():
    """Each gold label in turn is of the other class, and the fit and its averages are made anew."""
    data, options = nearly_right(0), {"surrogates": {"hostile": "llm"}, **OPTIONS, "model": "logit"}
    options["tuning"] = None
    fit = kt.regress("vote ~ hostile * z", data, **options)

    def averages(one, d):
        slopes = kt.slopes(one, d, "hostile", by="hostile")
        ratios = kt.comparisons(one, d, {"z": (0, 1)}, contrast="ratio")
        logs = np.log(ratios.coef().to_numpy())
        return np.append(slopes.coef(), logs), np.append(slopes.se(), ratios.se() / ratios.coef())

    (found, se), moved = averages(fit, data), []
    for i in range(0, GOLD, 10):
        other = data.copy()
        other.loc[i, "hostile"] = 1 - other.loc[i, "hostile"]
        again, _ = averages(kt.regress("vote ~ hostile * z", other, **options), other)
        moved.append(again - found)
    # of 2,000 texts 200 are gold: spread of weights .9 / .01, of which moving a label shows 1 / .01
    expected = (3 / 1.96) ** 2 / GOLD * 0.9 * np.sum(np.square(moved), axis=0) * 10
    assert se == pytest.approx(np.sqrt(expected), rel=0.2)
