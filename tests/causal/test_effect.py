"""Average effects: equal to plain numpy; what is refused."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin

import karat as kt
from karat.errors import ArgumentError, DataError, PositivityWarning, SeparationError


def posts(n=600, n_gold=None, label="y", seed=0):
    rng = np.random.default_rng(seed)
    x, c = rng.normal(size=n), (rng.random(n) < 0.4).astype(float)
    t = (rng.random(n) < 1 / (1 + np.exp(0.3 - 0.6 * x - 0.7 * c))).astype(float)
    y = 1 + 0.5 * t + x + 0.8 * c + rng.normal(size=n)
    data = pd.DataFrame({"x": x, "c": c, "t": t, "y": y})
    data["y_llm"] = y + 0.4 * t + rng.normal(scale=0.5, size=n)
    for name in ("t", "c"):
        data[f"{name}_llm"] = np.where(rng.random(n) < 0.1 + 0.1 * (y > 1), 1 - data[name], data[name])
    if n_gold:
        data.loc[rng.permutation(n)[n_gold:], label] = np.nan
    return data


def logit(z, t, weight):
    beta = np.zeros(z.shape[1])
    for _ in range(50):
        p = 1 / (1 + np.exp(-z @ beta))
        beta += np.linalg.solve((z * (weight * p * (1 - p))[:, None]).T @ z, z.T @ (weight * (t - p)))
    return beta


def plain(rows, folds, effect="ate"):
    """AIPW on weighted rows (unit, t, z, y, weight): outcome regressions by arm, logit, by fold."""
    unit, t, z, y, weight = (np.concatenate(parts) for parts in zip(*rows))
    psi = np.zeros(len(y))
    for k in np.unique(folds):
        inside = folds[unit] == k
        w = weight * ~inside
        mu = []
        for a in (0, 1):
            wa = w * (t == a)
            mu.append(z @ np.linalg.solve((z * wa[:, None]).T @ z, z.T @ (wa * y)))
        e = 1 / (1 + np.exp(-z @ logit(z, t, w)))
        if effect == "ate":
            one = mu[1] - mu[0] + t * (y - mu[1]) / e - (1 - t) * (y - mu[0]) / (1 - e)
        else:
            one = (t - (1 - t) * e / (1 - e)) * (y - mu[0])
        psi[inside] = one[inside]
    if effect == "att":
        value = (weight * psi).sum() / (weight * t).sum()
        return value, None
    value = (weight * psi).sum() / weight.sum()
    total = np.zeros(len(folds))
    np.add.at(total, unit, weight * (psi - value))
    return value, np.sqrt((total**2).sum()) / len(folds)


@pytest.mark.parametrize("effect", ["ate", "att"])
def test_all_gold_is_plain_aipw(effect):
    data = posts()
    folds = np.arange(600) % 5
    z = np.column_stack([np.ones(600), data["x"], data["c"]])
    want, se = plain([(np.arange(600), data["t"].to_numpy(), z, data["y"].to_numpy(), np.ones(600))], folds, effect)
    fit = kt.ate("y ~ t", data, covariates="x + c", folds=folds, vcov="HC0", effect=effect)
    assert fit.names == (effect.upper(),)
    assert fit.coef().iloc[0] == pytest.approx(want, abs=1e-8)
    if se is not None:
        assert fit.se().iloc[0] == pytest.approx(se, rel=1e-8)


@pytest.mark.parametrize("effect", ["ate", "att"])
@pytest.mark.parametrize("label", ["y", "t", "c"])
def test_augmented_is_plain_aipw_on_weighted_rows(label, effect):
    data = posts(800, 400, label)
    n, folds = 800, np.arange(800) % 4
    gold = np.flatnonzero(data[label].notna())
    rest = np.ones(n)
    rest[gold] -= 2.0

    def rows(frame, at, weight):
        z = np.column_stack([np.ones(len(frame)), frame["x"], frame["c"]])
        return at, frame["t"].to_numpy(), z, frame["y"].to_numpy(), weight

    parts = [rows(data.iloc[gold], gold, np.full(len(gold), 2.0))]
    parts.append(rows(data.assign(**{label: data[f"{label}_llm"]}), np.arange(n), rest))
    want, _ = plain(parts, folds, effect)
    fit = kt.ate(
        "y ~ t", data, covariates=["x", "c"], surrogates={label: f"{label}_llm"}, learner=None, tuning=None,
        folds=folds, design=0.5, effect=effect,
    )  # fmt: skip
    assert fit.coef().iloc[0] == pytest.approx(want, abs=1e-8)


class Outcome(RegressorMixin, BaseEstimator):
    def fit(self, x, y, sample_weight=None):
        return self

    def predict(self, x):
        return 0.3 + 0.1 * x[:, 1] + 0.2 * x[:, 2]


class Treatment(ClassifierMixin, BaseEstimator):
    classes_ = np.array([0, 1])

    def fit(self, x, y, sample_weight=None):
        return self

    def predict_proba(self, x):
        p = 1 / (1 + np.exp(0.3 - 0.6 * x[:, 1] - 0.7 * x[:, 2]))
        return np.column_stack([1 - p, p])


@pytest.mark.parametrize("effect", ["ate", "att"])
@pytest.mark.parametrize("label", ["y", "t", "c"])
def test_wrong_labels_that_gold_may_have_missed(label, effect):
    """Each gold label in turn is of the other class and the effect is made anew, with nuisances that stay."""
    n, gold = 2000, 80
    data = posts(n, None, label)
    data["y"] = (data["y"] > 1.5).astype(float)
    data[f"{label}_llm"] = data[label]
    data.loc[gold:, label] = np.nan
    options = {
        "covariates": ["x", "c"], "surrogates": {label: f"{label}_llm"}, "learner": None, "tuning": None,
        "folds": np.arange(n) % 4, "design": kt.SimpleRandom(gold), "effect": effect, "vcov": "HC0", "compare": False,
        "nuisance": (Outcome(), Treatment()),
    }  # fmt: skip
    fit = kt.ate("y ~ t", data, **options)
    moved, some = [], range(0, gold, 13)
    for i in some:
        other = data.copy()
        other.loc[i, label] = 1 - other.loc[i, label]
        moved.append(float(kt.ate("y ~ t", other, **options).coef().iloc[0] - fit.coef().iloc[0]))
    # a gold row stands for 1 / p; of that the least variance takes the spread (1 - p) / p^2, 2.34 / gold times
    expected = np.sqrt((3 / 1.96) ** 2 / gold * (1 - gold / n)) * np.array(moved)
    unseen = fit.parts.scores.unseen.reshape(2, gold).sum(axis=0)
    assert unseen[some] == pytest.approx(expected, rel=1e-7 if effect == "ate" else 0.05)
    assert fit.covariance[0, 0] >= (1 - 1e-12) * (unseen**2).sum()


def test_order_of_rows_changes_nothing():
    data = posts(500, 150)
    fits = [
        kt.ate("y ~ t", d, covariates="x + c", surrogates={"y": "y_llm"}, learner="linear", repeats=1)
        for d in (data, data.sample(frac=1, random_state=3))
    ]
    assert fits[0].coef().iloc[0] == pytest.approx(fits[1].coef().iloc[0], rel=1e-9)


def test_predictions_under_each_arm_make_an_experiment_sharper():
    rng = np.random.default_rng(4)
    n = 2000
    base, t = rng.normal(size=n), rng.integers(0, 2, n).astype(float)
    y = base + (0.3 + 0.6 * base) * t + rng.normal(scale=0.3, size=n)
    data = pd.DataFrame({"t": t, "y": y, "p1": 2 + 1.5 * base, "p0": base - 1, "e": 0.5})
    data.loc[rng.permutation(n)[200:], "y"] = np.nan
    fit = kt.ate("y ~ t", data, propensity="e", arms=("p1", "p0"), seed=1)
    alone = kt.ate("y ~ t", data, propensity=0.5, seed=1)
    assert fit.se().iloc[0] < 0.5 * alone.se().iloc[0]
    assert abs(fit.coef().iloc[0] - 0.3) < 4 * fit.se().iloc[0]


def test_learners_of_nuisances():
    from sklearn.linear_model import LinearRegression, LogisticRegression

    data, folds = posts(), np.arange(600) % 5
    own = kt.ate("y ~ t", data, covariates="x + c", folds=folds)
    pair = (LinearRegression(), LogisticRegression(C=1e8, tol=1e-10))
    fit = kt.ate("y ~ t", data, covariates="x + c", folds=folds, nuisance=pair)
    assert fit.coef().iloc[0] == pytest.approx(own.coef().iloc[0], abs=1e-4)


def test_hardly_any_overlap_is_told():
    data = posts()
    with pytest.warns(PositivityWarning, match="hardly overlap"):
        kt.ate("y ~ t", data, covariates="x", clip=0.4)


def test_a_treatment_in_words():
    data, folds = posts(), np.arange(600) % 5
    words = data.assign(t=np.where(data["t"] == 1, "yes", "no"))
    fits = [kt.ate("y ~ t", d, covariates="x", folds=folds) for d in (data, words)]
    assert fits[0].coef().iloc[0] == pytest.approx(fits[1].coef().iloc[0], abs=1e-12)


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"formula": "y ~ t + x"}, "one column on the right"),
        ({"covariates": "x | c"}, "without fixed effects"),
        ({"covariates": "t:x"}, "has the treatment"),
        ({"propensity": 1.0}, "between 0 and 1"),
        ({"formula": "y ~ x"}, "two values|0 or 1"),
        ({"nuisance": 3}, "scikit-learn"),
        ({"arms": "y"}, "two columns"),
        ({"target": "finite"}, "target"),
        ({"effect": "late"}, "effect"),
    ],
)
def test_refused(arguments, match):
    with pytest.raises((ArgumentError, DataError), match=match):
        kt.ate(**{"formula": "y ~ t", "data": posts(), **arguments})


def test_treatments_without_overlap_are_named():
    data = posts(300)
    data["t"] = (data["x"] > 0) * 1.0
    with pytest.raises(SeparationError, match="treated and untreated do not overlap; in the model of propensities"):
        kt.ate("y ~ t", data, covariates="x")
