"""Learning from surrogates and gold: what it brings, and that no gold label reaches its own prediction."""

import numpy as np
import pytest

import karat as kt
from karat.errors import ArgumentError, DataError, LearnerError
from karat.predict import Target, TorchClassifier, TorchRegressor, crossfit
from karat.predict.networks.fit import Problem, fit_networks
from karat.predict.networks.heads import class_head
from karat.predict.networks.settings import Settings
from karat.predict.networks.surrogates import class_labels, make_stage
from karat.predict.values import SurrogateLabels
from karat.regression.features import surrogate_labels
from karat.regression.variables import Label, Surrogate

from .. import corpora

EYE = np.eye(2)


@pytest.fixture(scope="module")
def noisy():
    """3,000 rows of three classes, two fifths of the surrogate labels wrong."""
    rng = np.random.default_rng(1)
    x = rng.standard_normal((3000, 8))
    score = 3.0 * np.column_stack([x[:, 0] * x[:, 1], x[:, 2], np.abs(x[:, 3]) - 0.8])
    share = np.exp(score) / np.exp(score).sum(axis=1, keepdims=True)
    y = (rng.random(3000)[:, None] > share.cumsum(axis=1)[:, :-1]).sum(axis=1)
    wrong = rng.random(3000) < 0.4
    s = np.where(wrong, (y + rng.integers(1, 3, 3000)) % 3, y)
    return x, y, s, share


def test_pre_training_beats_gold_alone(noisy):
    x, y, s, _ = noisy
    with_surrogate = np.column_stack([x, np.eye(3)[s]])
    n, rest = 200, slice(200, None)
    alone = TorchClassifier(random_state=0).fit(with_surrogate[:n], y[:n])
    model = TorchClassifier(pretrain="surrogates", random_state=0)
    model.fit(with_surrogate[:n], y[:n], surrogate=s, X_all=with_surrogate, hide=[8, 9, 10])
    loss = [-np.log(m.predict_proba(with_surrogate[rest])[np.arange(2800), y[rest]]).mean() for m in (alone, model)]
    assert loss[1] < loss[0] - 0.02, loss


def test_pre_training_on_numbers():
    rng = np.random.default_rng(2)
    x = rng.standard_normal((3000, 6))
    f = 2.0 * np.abs(x[:, 0]) + x[:, 1] * x[:, 2]
    y = f + 0.5 * rng.standard_normal(3000)
    surrogate = np.column_stack([3 - 5 * (f + rng.standard_normal(3000)), f**2 + rng.standard_normal(3000)])
    surrogate[::7, 0] = np.nan
    alone = TorchRegressor(random_state=0).fit(x[:100], y[:100])
    model = TorchRegressor(pretrain="surrogates", random_state=0).fit(x[:100], y[:100], surrogate=surrogate, X_all=x)
    error = [((m.predict(x[100:]) - y[100:]) ** 2).mean() for m in (alone, model)]
    assert error[1] < 0.7 * error[0], error


# ---- cross-fitting -----------------------------------------------------------------------------------------


def test_a_changed_gold_label_leaves_its_own_prediction_alone():
    rng = np.random.default_rng(10)
    x = rng.standard_normal((300, 3))
    y = (x[:, 0] + rng.standard_normal(300) > 0).astype(float)
    s = np.where(rng.random(300) < 0.3, 1 - y, y)
    from karat.frames.matrices import Features

    features = Features(np.column_stack([x, s]), ("a", "b", "c", "s"), (3,))
    gold, folds = np.arange(120), rng.integers(0, 3, (300, 2))
    surrogate = SurrogateLabels(EYE[s.astype(int)], True)
    learner = TorchClassifier(hidden=(4,), max_epochs=6, pretrain="surrogates")

    def predictions(values):
        target = Target("y", values, n_classes=2, joint=True, surrogate=surrogate)
        found = crossfit(
            (target,), features, gold, folds, learner, None, seed=1, report_weight=np.ones(120), keep_splits=True
        )
        return np.column_stack([split.share[:, 1] for split in found.splits])

    changed = y[:120].copy()
    changed[17] = 1 - changed[17]
    before, after = predictions(y[:120]), predictions(changed)
    same = folds == folds[17]
    np.testing.assert_allclose(before[same], after[same], atol=1e-6)
    assert np.abs(before[~same] - after[~same]).max() > 1e-4


def test_regression_with_pre_training():
    """Both paths: a covariate in classes with the outcome given, and numbers."""
    frame = corpora.corpus(400, seed=3)
    gold = np.arange(400) % 3 == 0
    data = corpora.masked(frame, gold, "topic")
    learner = TorchClassifier(pretrain="surrogates", max_epochs=10)
    options = {"design": 1 / 3, "seed": 1, "compare": False, "repeats": 2}
    fit = kt.ols("y ~ topic + z", data, surrogates={"topic": "topic_llm"}, learner=learner, **options)
    line = kt.ols("y ~ topic + z", data, surrogates={"topic": "topic_llm"}, learner="linear", **options)
    assert fit.skill[0].learner == "TorchClassifier"
    assert (np.abs(fit.theta - line.theta) < 1.5 * line.se().to_numpy()).all()
    assert not hasattr(learner, "networks_")
    data = corpora.masked(frame, gold, "y")
    learner = TorchRegressor(pretrain="surrogates", max_epochs=10)
    fit = kt.ols("y ~ z", data, surrogates={"y": ["y_llm", "count_llm"]}, learner=learner, **options)
    assert fit.skill[0].r_squared > 0.4
    data = corpora.masked(frame, gold, "topic", "stance")
    learner = TorchClassifier(pretrain="surrogates", max_epochs=5)
    both = {"topic": "topic_llm", "stance": "stance_prob"}
    fit = kt.ols("y ~ topic + stance", data, surrogates=both, learner=learner, **options)
    assert all(skill.r_squared > 0.1 for skill in fit.skill)


def test_surrogates_in_the_form_to_learn_from():
    import pandas as pd

    gold = pd.Series(["a", None, "b"])
    text = Surrogate("llm", pd.Series(["a", "b", None]))
    soft = Surrogate("p", np.array([[0.2, 0.8], [0.6, 0.4], [0.5, 0.5]]), probabilities=True)
    label = Label("y", gold, (text, soft), ("a", "b"), True, False, True)
    found = surrogate_labels(label, True)
    assert found.classes
    np.testing.assert_allclose(found.values, [[0.6, 0.4], [0.3, 0.7], [0.5, 0.5]])
    score = Surrogate("score", pd.Series([-3.0, 2.0, np.nan]))
    numbers = surrogate_labels(Label("y", gold, (score,), (0.0, 1.0), False, False, True), True)
    assert not numbers.classes
    np.testing.assert_allclose(numbers.values[:, 0], [-3, 2, np.nan])
    assert surrogate_labels(Label("y", gold, (text,), (), False, False, True), False) is None


# ---- bad input ---------------------------------------------------------------------------------------------


def test_more_classes_in_surrogates_than_in_gold(noisy):
    """A class that gold never has is a surrogate like any other: its rows are learnt from, it is never predicted."""
    x, y, s, _ = noisy
    x, y, s = x[:400], y[:400], s[:400]
    stranger = np.where(np.arange(400) % 9 == 0, 7, s)
    model = TorchClassifier(hidden=(4,), max_epochs=2, pretrain="surrogates", random_state=0)
    model.fit(x[:90], y[:90], surrogate=stranger, X_all=x)
    assert model.predict_proba(x).shape == (400, 3)
    assert np.isfinite(model.predict_proba(x)).all()


def test_arguments_that_do_not_fit(noisy):
    x, y, s, _ = noisy
    x, y, s = x[:300], y[:300], s[:300]

    def fit(pretrain="surrogates", rows=slice(0, 90), **given):
        return TorchClassifier(pretrain=pretrain, max_epochs=1).fit(x[rows], y[rows], **given)

    with pytest.raises(ArgumentError, match="needs surrogate labels"):
        fit()
    with pytest.raises(ArgumentError, match="pretrain is None"):
        fit(pretrain=None, surrogate=s, X_all=x)
    with pytest.raises(ArgumentError, match="surrogate has 299 rows"):
        fit(surrogate=s[:299], X_all=x)
    with pytest.raises(ArgumentError, match="X_all has 7 columns"):
        fit(surrogate=s, X_all=x[:, :7])
    with pytest.raises(ArgumentError, match="hide"):
        fit(surrogate=s, X_all=x, hide=[8])
    with pytest.raises(DataError, match="missing in every row"):
        fit(surrogate=np.full(300, np.nan), X_all=x)
    with pytest.raises(DataError, match="one class only"):
        fit(surrogate=np.zeros(300), X_all=x)
    with pytest.raises(DataError, match="has 2 columns, gold has 3"):
        fit(surrogate=np.full((300, 2), 0.5), X_all=x)
    with pytest.raises(DataError, match="class distributions"):
        fit(surrogate=np.ones((300, 3)), X_all=x)
    with pytest.raises(ValueError, match="NaN"):
        fit(surrogate=s, X_all=np.where(x > 2, np.nan, x))
    with pytest.raises(LearnerError, match="one class"):
        fit(rows=y == 0, surrogate=s, X_all=x)


def test_pre_trained_networks_together_as_alone(noisy):
    """Also where training sets differ in length, so that some are padded."""
    x, y, s, _ = noisy
    x, y, s = x[:150], y[:150], s[:150]
    head = class_head(3, False)
    stage = make_stage(x, class_labels(s, [0, 1, 2]), True, (), (1, 1, 2))
    rows = tuple(np.arange(150)[k * 7 :] for k in range(3))
    whole = Problem(head, x, np.eye(3)[y], np.ones(150), rows, (11, 12, 13), stage=stage)
    how = Settings(max_epochs=6, hidden=(8,), device="cpu", precision="float64")
    together = fit_networks(whole, how)
    for m in range(3):
        np.testing.assert_allclose(together.flat[m], fit_networks(whole.one(m), how).flat[0], rtol=1e-6, atol=1e-7)
