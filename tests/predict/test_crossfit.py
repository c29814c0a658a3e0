"""The predictor layer, held against cross-fitting written out by hand."""

from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import karat as kt
from karat.errors import ArgumentError
from karat.frames.matrices import Features, encode
from karat.predict import Target, crossfit, learners, loss_weights
from karat.predict import crossfit as _crossfit_function

from .. import corpora, oracle

CLOSE = {"rtol": 1e-7, "atol": 1e-10}
K = 4


@pytest.fixture(scope="module")
def frame():
    return corpora.corpus(240, seed=51)


@pytest.fixture(scope="module")
def gold(frame):
    return kt.Bernoulli("pi").draw(frame, seed=6).labelled


@pytest.fixture(scope="module")
def folds(frame):
    return np.random.default_rng(0).integers(0, K, len(frame))


def regress(model, formula, frame, gold, *columns, **options):
    options = {"design": kt.Bernoulli("pi"), "tuning": None, "vcov": "HC0", "compare": False, "seed": 1} | options
    return kt.regress(formula, corpora.masked(frame, gold, *columns), model=model, **options)


def out_of_fold(learner, x, y, gold, folds, weight=None):
    """Fit on the gold rows outside the fold, predict the fold: written out."""
    out = None
    for k in np.unique(folds):
        train, rows = gold & (folds != k), folds == k
        extra = {} if weight is None else {"sample_weight": weight[train]}
        fitted = learner.fit(x[train], y[train], **extra)
        predicted = fitted.predict_proba(x[rows]) if hasattr(fitted, "predict_proba") else fitted.predict(x[rows])
        out = np.zeros((len(x), *predicted.shape[1:])) if out is None else out
        out[rows] = predicted
    return out


# ---- the same as by hand -----------------------------------------------------------------------------------


def test_numeric_outcome(frame, gold, folds):
    """Features are the surrogate and the observed columns of the formula; the loss carries the stated weights."""
    x = frame[["y_llm", "size", "z"]].to_numpy()
    weight = np.zeros(len(frame))
    pi = frame["pi"][gold].to_numpy()
    raw = np.minimum((1 - pi) / pi**2, np.quantile((1 - pi) / pi**2, 0.9))
    weight[gold] = np.maximum(raw, 0.05 * raw.mean())
    by_hand = out_of_fold(LinearRegression(), x, frame["y"].to_numpy(), gold, folds, weight)
    options = {"surrogates": {"y": "y_llm"}}
    inside = regress("ols", "y ~ z + size", frame, gold, "y", learner=LinearRegression(), folds=folds, **options)
    outside = regress("ols", "y ~ z + size", frame, gold, "y", predictions={"y": by_hand}, **options)
    np.testing.assert_allclose(inside.theta, outside.theta, **CLOSE)
    np.testing.assert_allclose(inside.covariance, outside.covariance, **CLOSE)
    unweighted = out_of_fold(LinearRegression(), x, frame["y"].to_numpy(), gold, folds)
    other = regress("ols", "y ~ z + size", frame, gold, "y", predictions={"y": unweighted}, **options)
    assert np.abs(other.theta - inside.theta).max() > 1e-5


def test_binary_covariate_is_predicted_from_the_outcome_too(frame, gold, folds):
    learner = LogisticRegression(C=3.0, max_iter=500, tol=1e-10)
    flat = {"design": kt.Bernoulli(0.5)}
    chosen = np.random.default_rng(1).random(len(frame)) < 0.5
    by_hand = out_of_fold(
        learner, frame[["stance_llm", "y", "z"]].to_numpy(), frame["stance"].to_numpy(), chosen, folds
    )
    options = {"surrogates": {"stance": "stance_llm"}} | flat
    inside = regress("ols", "y ~ stance * z", frame, chosen, "stance", learner=learner, folds=folds, **options)
    outside = regress(
        "ols", "y ~ stance * z", frame, chosen, "stance", predictions={"stance": by_hand[:, 1]}, **options
    )
    both = regress("ols", "y ~ stance * z", frame, chosen, "stance", predictions={"stance": by_hand}, **options)
    np.testing.assert_allclose(inside.theta, outside.theta, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(inside.covariance, outside.covariance, rtol=1e-5, atol=1e-8)
    np.testing.assert_allclose(both.theta, outside.theta, **CLOSE)


def test_outcome_is_predicted_given_each_class_of_the_covariate(frame, gold, folds):
    """Both labelled, two splits: topic first, then the outcome given topic; splits are averaged in the moment.

    Probabilities enter as they are and as log odds; those of the first class follow from the others.
    """
    splits = np.column_stack([folds, np.random.default_rng(9).integers(0, K, len(frame))])
    chosen = np.random.default_rng(1).random(len(frame)) < 0.5
    classify = LinearRegressionOfClasses()
    topic = pd.Categorical(frame["topic"]).codes.astype(float)
    names = ["p_economy", "p_law", "p_war"]
    shares = frame[names[1:]].clip(0.001, 0.999)
    x = np.column_stack([frame["y_llm"], frame[names[1:]], np.log(shares / (1 - shares)), frame["z"]])
    predicted = [[] for _ in range(len(frame))]
    for s in range(2):
        share = np.zeros((len(frame), 3))
        value = np.zeros((len(frame), 3))
        for k in range(K):
            train, rows = chosen & (splits[:, s] != k), splits[:, s] == k
            share[rows] = classify.fit(x[train], topic[train]).predict_proba(x[rows])
            dummies = np.eye(3)[topic.astype(int)][:, 1:]
            second = LinearRegression().fit(np.hstack([x, dummies])[train], frame["y"][train])
            for c in range(3):
                setting = np.broadcast_to(np.eye(3)[c, 1:], (rows.sum(), 2))
                value[rows, c] = second.predict(np.hstack([x[rows], setting]))
        for i in range(len(frame)):
            predicted[i] += [
                (share[i, c] / 2, np.array([1.0, c == 1, c == 2, frame["z"][i]]), value[i, c]) for c in range(3)
            ]
    units = [
        oracle.Unit(
            (np.array([1.0, topic[i] == 1, topic[i] == 2, frame["z"][i]]), frame["y"][i]) if chosen[i] else None,
            predicted[i],
            0.5,
        )
        for i in range(len(frame))
    ]
    expected = oracle.solve("ols", units)
    fit = regress(
        "ols", "y ~ topic + z", frame, chosen, "y", "topic", design=0.5, learner=Both(), folds=splits,
        surrogates={"y": "y_llm", "topic": dict(zip(corpora.TOPICS, names))},
    )  # fmt: skip
    np.testing.assert_allclose(fit.theta, expected.theta, **CLOSE)
    np.testing.assert_allclose(fit.covariance, expected.covariance, **CLOSE)


class LinearRegressionOfClasses(LogisticRegression):
    """Least squares on indicators, cut and scaled to probabilities: no solver in the way."""

    def fit(self, x, y, sample_weight=None):
        self.classes_ = np.unique(y)
        self.parts_ = [LinearRegression().fit(x, y == c) for c in self.classes_]
        return self

    def predict_proba(self, x):
        share = np.clip(np.column_stack([part.predict(x) for part in self.parts_]), 0.01, None)
        return share / share.sum(axis=1, keepdims=True)


class Both(LinearRegression):
    """Numbers by least squares, classes by least squares on indicators; neither declared nor checked as either."""

    _estimator_type = "both"

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.estimator_type = None
        return tags

    def fit(self, x, y, sample_weight=None):
        self.classes_ = np.unique(y)
        if np.issubdtype(np.asarray(y).dtype, np.integer):
            self.inner_ = LinearRegressionOfClasses().fit(x, y)
        else:
            self.inner_ = LinearRegression().fit(x, y)
        return self

    def predict(self, x):
        return self.inner_.predict(x)

    def predict_proba(self, x):
        return self.inner_.predict_proba(x)


# ---- nobody sees his own label -----------------------------------------------------------------------------


class Spy(LinearRegression):
    """Writes down the documents it is trained on and the documents it predicts (first feature: the number)."""

    log: ClassVar[list] = []

    def fit(self, x, y, sample_weight=None):
        self.trained_ = set(x[:, -1].astype(int).tolist())
        self.weight_ = None if sample_weight is None else dict(zip(x[:, -1].astype(int).tolist(), sample_weight))
        return super().fit(x, y, sample_weight)

    def predict(self, x):
        Spy.log.append((self.trained_, set(x[:, -1].astype(int).tolist()), self.weight_))
        return super().predict(x)


@pytest.mark.parametrize("clustered", [False, True])
def test_training_and_prediction_never_meet(frame, gold, clustered):
    Spy.log.clear()
    fit = regress(
        "ols", "y ~ z", frame.assign(number=np.arange(len(frame))), gold, "y", surrogates={"y": "y_llm"},
        learner=Spy(), folds=5, repeats=3, features="number", **({"vcov": {"CRV1": "author"}} if clustered else {}),
    )  # fmt: skip
    assert fit.skill[0].learner == "Spy"
    assert len(Spy.log) == 15
    documents, author = set(range(len(frame))), frame["author"].to_numpy()
    expected = loss_weights(frame["pi"][gold].to_numpy())
    weight = dict(zip(np.flatnonzero(gold).tolist(), expected))
    for start in range(0, 15, 5):
        assert set().union(*(predicted for _, predicted, _ in Spy.log[start : start + 5])) == documents
    for trained, predicted, given in Spy.log:
        assert not trained & predicted
        assert trained <= set(np.flatnonzero(gold).tolist())
        assert trained | (predicted & set(np.flatnonzero(gold).tolist())) == set(np.flatnonzero(gold).tolist())
        assert all(given[i] == pytest.approx(weight[i]) for i in trained)
        if clustered:
            assert not set(author[list(trained)]) & set(author[list(predicted)])


def test_labelling_units_are_not_split_either(frame):
    sample = kt.Clustered("author", 12).draw(frame, seed=3)
    Spy.log.clear()
    regress(
        "ols", "y ~ z", frame.assign(number=np.arange(len(frame))), sample.labelled, "y", surrogates={"y": "y_llm"},
        learner=Spy(), folds=3, repeats=1, features="number", design=sample.design,
    )  # fmt: skip
    author = frame["author"].to_numpy()
    assert len(Spy.log) == 3
    for trained, predicted, _ in Spy.log:
        assert not set(author[list(trained)]) & set(author[list(predicted)])


@pytest.mark.parametrize("learner", ["calibration", "linear", "boosting", "auto"])
@pytest.mark.parametrize("kind", ["number", "class"])
def test_a_changed_gold_label_leaves_its_own_prediction_alone(frame, gold, folds, learner, kind):
    features = encode([("llm", frame["y_llm"], True), ("z", frame["z"], False)], len(frame))
    rows = np.flatnonzero(gold)

    def predictions(values):
        if kind == "class":
            target = Target("stance", values, n_classes=2, joint=True)
        else:
            target = Target("y", values)
        options = {"seed": 1, "report_weight": np.ones(len(rows))}
        found = crossfit((target,), features, rows, folds[:, None], learner, None, **options)
        return found.share[:, 1] if kind == "class" else found.values["y"][:, 0]

    values = frame["stance" if kind == "class" else "y"].to_numpy()[rows]
    changed, position = values.copy(), 17
    changed[position] = 1 - values[position] if kind == "class" else values[position] + 50.0
    before, after = predictions(values), predictions(changed)
    same_fold = folds == folds[rows[position]]
    np.testing.assert_array_equal(before[same_fold], after[same_fold])
    assert (before[~same_fold] != after[~same_fold]).any()


# ---- learners ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("learner", ["calibration", "linear", "boosting", "forest"])
@pytest.mark.parametrize("label", ["y", "stance", "topic"])
def test_learners_by_name(frame, gold, learner, label):
    surrogate = {"y": "y_llm", "stance": "stance_prob", "topic": "topic_llm"}[label]
    formula = "y ~ z" if label == "y" else f"y ~ {label} + z"
    fit = regress(
        "ols", formula, frame, gold, label, surrogates={label: surrogate}, learner=learner, folds=2, repeats=1
    )
    skill = fit.skill[0]
    assert (skill.name, skill.learner) == (label, learner)
    assert 0.1 < skill.r_squared < 1.0
    assert (skill.accuracy is None) == (label == "y")
    gold_only = regress("ols", formula, frame, gold, label, surrogates={label: surrogate}, estimator="gold")
    # the estimates are those of one and the same quantity
    assert (np.abs(fit.theta - gold_only.theta) < 4 * gold_only.se().to_numpy()).all()


def test_auto_goes_by_gold_size():
    from karat.predict.learners import candidates

    assert candidates("auto", 49) == ["calibration"]
    assert candidates("auto", 50) == ["linear"]
    assert candidates("auto", 299) == ["linear"]
    assert candidates("auto", 300) == ["linear", "boosting"]
    assert candidates("auto", 299, n_features=384) == ["linear"]
    assert candidates("auto", 300, n_features=384) == ["linear", "boosting", "torch"]


WIDE = {"y": ("calibration", "forest", "torch"), "stance": ("calibration", "boosting"), "topic": ("boosting", "torch")}
"""Learners of every kind held against the linear one, in pairs with the kinds of labels."""


@pytest.mark.parametrize("label", WIDE)
def test_wide_features(frame, gold, folds, label):
    """An embedding wider than the gold: linear in the span of the gold rows is linear in all dimensions."""
    from sklearn.linear_model import RidgeCV

    from karat.predict.crossfit import scale

    rng = np.random.default_rng(0)
    embedded = np.tanh(frame[["z", "y_llm", "stance_prob"]].to_numpy() @ rng.standard_normal((3, 160)))
    embedded += 0.5 * rng.standard_normal((240, 160))
    formula = "y ~ z" if label == "y" else f"y ~ {label} + z"
    surrogate = {"y": "y_llm", "stance": "stance_llm", "topic": "topic_llm"}[label]
    options = {"surrogates": {label: surrogate}, "features": embedded, "folds": folds, "design": 0.5}
    chosen = rng.random(240) < 0.5
    fit = regress("ols", formula, frame, chosen, label, learner="linear", **options)
    for learner in WIDE[label]:
        other = regress("ols", formula, frame, chosen, label, learner=learner, **options)
        assert (np.abs(other.theta - fit.theta) < 2.5 * fit.se().to_numpy()).all(), learner
    if label == "topic":
        return
    columns = [frame[surrogate], *([] if label == "y" else [frame["y"]]), frame["z"], embedded]
    x = scale(np.column_stack(columns))
    if label == "y":
        learner = RidgeCV(alphas=np.logspace(-1, 5, 10))
    else:
        learner = LogisticRegression(C=4 / x.shape[1], max_iter=5000, tol=1e-10)
    by_hand = out_of_fold(learner, x, frame[label].to_numpy(), chosen, folds)
    outside = regress(
        "ols", formula, frame, chosen, label, predictions={label: by_hand}, surrogates=options["surrogates"], design=0.5
    )
    np.testing.assert_allclose(fit.theta, outside.theta, rtol=2e-3, atol=2e-3)


def test_user_estimators(frame, folds):
    gold = kt.Bernoulli("pi").draw(frame, seed=11).labelled
    options = {"surrogates": {"stance": "stance_llm"}, "folds": folds}
    fits = [
        regress("ols", "y ~ stance + z", frame, gold, "stance", learner=learner, **options)
        for learner in (
            LogisticRegression(),
            make_pipeline(StandardScaler(), LogisticRegression()),
            Ridge(),
            make_pipeline(StandardScaler(), Ridge()),
        )
    ]
    assert [fit.skill[0].learner for fit in fits] == ["LogisticRegression", "Pipeline", "Ridge", "Pipeline"]
    for fit in fits:
        assert fit.skill[0].r_squared > 0.2
        assert (np.abs(fit.theta - fits[0].theta) < 0.5 * fits[0].se()).all()

    # a regressor of a 0/1 label: predictions are cut to probabilities
    class Wild(LinearRegression):
        def predict(self, x):
            return 100 * super().predict(x) - 50

    wild = regress("ols", "y ~ stance + z", frame, gold, "stance", learner=Wild(), **options)
    hard = out_of_fold(
        LinearRegression(), frame[["stance_llm", "y", "z"]].to_numpy(), frame["stance"].to_numpy(), gold, folds,
        weight=spread(loss_weights(frame["pi"][gold].to_numpy()), gold),
    )  # fmt: skip
    cut = np.clip(100 * hard - 50, 0, 1)
    same = regress(
        "ols",
        "y ~ stance + z",
        frame,
        gold,
        "stance",
        predictions={"stance": cut},
        **{"surrogates": {"stance": "stance_llm"}},
    )
    np.testing.assert_allclose(wild.theta, same.theta, **CLOSE)


def spread(values, gold):
    out = np.zeros(len(gold))
    out[gold] = values
    return out


def test_pipelines_get_the_loss_weights(frame, gold, folds):
    """A pipeline that changes nothing is the estimator in it."""
    options = {"surrogates": {"y": "y_llm"}, "folds": folds}
    plain = regress("ols", "y ~ z", frame, gold, "y", learner=LinearRegression(), **options)
    piped = regress(
        "ols", "y ~ z", frame, gold, "y", learner=make_pipeline(StandardScaler(), LinearRegression()), **options
    )
    np.testing.assert_allclose(plain.theta, piped.theta, rtol=1e-8)


def test_the_users_estimator_is_cloned(frame, gold):
    learner = Ridge()
    regress("ols", "y ~ z", frame, gold, "y", surrogates={"y": "y_llm"}, learner=learner)
    assert not hasattr(learner, "coef_")


def test_two_processes_give_the_numbers_of_one(frame, gold):
    options = {"surrogates": {"y": "y_llm", "stance": "stance_llm"}, "learner": "linear", "repeats": 2, "folds": 3}
    one, two = (
        regress("ols", "y ~ stance + z", frame, gold, "y", "stance", n_jobs=n_jobs, **options) for n_jobs in (1, 2)
    )
    np.testing.assert_allclose(two.theta, one.theta, rtol=1e-12)
    np.testing.assert_allclose(two.covariance, one.covariance, rtol=1e-10)


def test_progress_bar_only_when_asked(frame, gold, capfd):
    options = {"surrogates": {"y": "y_llm"}, "learner": "linear", "repeats": 1, "folds": 2}
    regress("ols", "y ~ z", frame, gold, "y", **options)
    assert capfd.readouterr() == ("", "")
    regress("ols", "y ~ z", frame, gold, "y", progress=True, **options)
    assert "cross-fitting" in capfd.readouterr().err


# ---- loss weights ------------------------------------------------------------------------------------------


def test_loss_weights():
    pi = np.array([0.02, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0])
    raw = (1 - pi) / pi**2
    weight = loss_weights(pi)
    assert weight.mean() == pytest.approx(1.0)
    assert weight[0] == weight.max() < raw[0] / raw.mean()
    inner = slice(2, 9)
    np.testing.assert_allclose(weight[inner] / weight[5], np.maximum(raw[inner] / raw[5], weight.min() / weight[5]))
    assert weight[-1] > 0
    assert loss_weights(np.full(5, 0.3)) is None
    assert loss_weights(np.ones(5)) is None


# ---- features ----------------------------------------------------------------------------------------------


def test_missing_surrogates_are_filled_and_flagged(frame, gold, folds):
    hole = np.random.default_rng(2).random(len(frame)) < 0.2
    holed = frame.assign(y_llm=frame["y_llm"].where(~hole))
    filled = frame.assign(y_llm=np.where(hole, frame["y_llm"][~hole].mean(), frame["y_llm"]), hole=hole)
    options = {"surrogates": {"y": "y_llm"}, "learner": LinearRegression(), "folds": folds}
    one = regress("ols", "y ~ z", holed, gold, "y", **options)
    other = regress("ols", "y ~ z", filled, gold, "y", features="hole", **options)
    np.testing.assert_allclose(one.theta, other.theta, rtol=1e-7)


def test_text_surrogates_become_indicators(frame, gold, folds):
    options = {
        "surrogates": {"stance": "stance_llm"},
        "learner": LogisticRegression(tol=1e-9, max_iter=1000),
        "folds": folds,
    }
    text = regress("ols", "y ~ stance", frame, gold, "stance", features="topic_llm", **options)
    dummies = pd.get_dummies(frame["topic_llm"]).to_numpy(dtype=float)
    array = regress("ols", "y ~ stance", frame, gold, "stance", features=dummies, **options)
    listed = regress("ols", "y ~ stance", frame, gold, "stance", features=list(dummies.T), **options)
    none = regress("ols", "y ~ stance", frame, gold, "stance", **options)
    np.testing.assert_allclose(text.theta, array.theta, rtol=1e-5)
    np.testing.assert_allclose(listed.theta, array.theta, rtol=1e-5)
    assert np.abs(none.theta - array.theta).max() > 1e-4


def test_probabilities_enter_as_log_odds_too():
    found = encode([("p", np.array([0.5, 0.0, 1.0]), True), ("q", np.array([0.5, 0.2, 0.1]), False)], 3)
    assert found.names == ("p", "log odds of p", "q")
    assert found.surrogate == (0, 1)
    np.testing.assert_allclose(found.matrix[:, 1], [0.0, -np.log(999), np.log(999)], atol=1e-12)
    assert encode([("hard", np.array([0.0, 1.0]), True)], 2).names == ("hard",)


def test_encoding():
    text = pd.Series(["b", "a", None, "b"])
    found = encode(
        [
            ("s", text, True),
            ("x", np.array([1.0, 2.0, 3.0, np.nan]), False),
            ("m", np.arange(8.0).reshape(4, 2), False),
        ],
        4,
    )
    assert isinstance(found, Features)
    assert found.names == ("s=a", "s=b", "s is missing", "x", "x is missing", "m[0]", "m[1]")
    assert found.surrogate == (0, 1, 2)
    expected = [[0, 1, 0, 1, 0, 0, 1], [1, 0, 0, 2, 0, 2, 3], [0, 0, 1, 3, 0, 4, 5], [0, 1, 0, 2, 1, 6, 7]]
    np.testing.assert_array_equal(found.matrix, expected)
    many = encode([("word", pd.Series([f"w{i}" for i in range(80)] + ["w0", "w1"] * 3), False)], 86)
    assert many.matrix.shape[1] == 51
    assert many.names[-1] == "word=(rarer)"
    np.testing.assert_array_equal(many.matrix.sum(axis=1), 1.0)


def test_several_surrogates_are_used_together(frame, gold, folds):
    frame = frame.assign(second=frame["y"] + np.random.default_rng(4).standard_normal(len(frame)))
    options = {"learner": "linear", "folds": folds}
    one = regress("ols", "y ~ z", frame, gold, "y", surrogates={"y": "y_llm"}, **options)
    two = regress("ols", "y ~ z", frame, gold, "y", surrogates={"y": ["y_llm", "second"]}, **options)
    as_feature = regress("ols", "y ~ z", frame, gold, "y", surrogates={"y": "y_llm"}, features="second", **options)
    assert two.skill[0].r_squared > one.skill[0].r_squared
    assert (two.se() < one.se()).all()
    np.testing.assert_allclose(two.theta, as_feature.theta, rtol=1e-6)


# ---- each distinct feature row once ------------------------------------------------------------------------


@pytest.mark.parametrize("label", ["stance", "topic"])
def test_predicting_distinct_rows_only_changes_nothing(label, monkeypatch):
    import sys

    module = sys.modules[_crossfit_function.__module__]
    big = corpora.corpus(6000, seed=8)
    big["z"] = np.round(big["z"])
    big["vote"] = big["vote"].astype(int)
    gold = np.arange(6000) % 20 == 0
    options = {"surrogates": {label: f"{label}_llm"}, "design": 0.05, "learner": "linear", "folds": 2, "repeats": 1}
    sizes = []
    original = module._distinct

    def counted(x):
        found = original(x)
        sizes.append(len(found[0]))
        return found

    monkeypatch.setattr(module, "_distinct", counted)
    quick = regress("logit", f"vote ~ {label} + z", big, gold, label, **options)
    assert sizes
    assert max(sizes) < 200
    monkeypatch.setattr(module, "_distinct", lambda x: (x, None))
    plain = regress("logit", f"vote ~ {label} + z", big, gold, label, **options)
    np.testing.assert_allclose(quick.theta, plain.theta, rtol=1e-12)
    np.testing.assert_allclose(quick.covariance, plain.covariance, rtol=1e-10)


# ---- skill, splits -----------------------------------------------------------------------------------------


def test_skill_is_out_of_fold(frame, gold, folds):
    x = frame[["y_llm", "z"]].to_numpy()
    y = frame["y"].to_numpy()
    chosen = np.random.default_rng(1).random(len(frame)) < 0.5
    predicted = out_of_fold(LinearRegression(), x, y, chosen, folds)
    fit = regress(
        "ols",
        "y ~ z",
        frame,
        chosen,
        "y",
        surrogates={"y": "y_llm"},
        learner=LinearRegression(),
        folds=folds,
        design=0.5,
    )
    expected = 1 - np.mean((y - predicted)[chosen] ** 2) / y[chosen].var()
    assert fit.skill[0].r_squared == pytest.approx(expected, rel=1e-8)
    noise = np.random.default_rng(0).standard_normal(len(frame))
    useless = regress(
        "ols", "y ~ 1", frame, chosen, "y", surrogates={"y": noise}, learner=LinearRegression(), design=0.5
    )
    assert useless.skill[0].r_squared < 0.05


def test_splits_are_averaged(frame, gold):
    """Two splits from outside: the estimate solves the equation with the mean of their predictions."""
    rng = np.random.default_rng(12)
    splits = rng.integers(0, 3, (len(frame), 2))
    options = {"surrogates": {"y": "y_llm"}, "learner": LinearRegression()}
    both = regress("ols", "y ~ z", frame, gold, "y", folds=splits, **options)
    single = [regress("ols", "y ~ z", frame, gold, "y", folds=splits[:, s], **options) for s in range(2)]
    # a linear model with a labelled outcome is linear in the prediction
    np.testing.assert_allclose(both.theta, (single[0].theta + single[1].theta) / 2, rtol=1e-8)
    spread_of = np.var([f.theta for f in single], axis=0, ddof=1)
    assert both.split_share == pytest.approx(np.max(spread_of / 2 / np.diag(both.covariance)), rel=1e-6)


def test_median_over_splits(frame, gold):
    splits = np.random.default_rng(12).integers(0, 3, (len(frame), 3))
    options = {"surrogates": {"y": "y_llm"}, "learner": LinearRegression()}
    fit = regress("ols", "y ~ z", frame, gold, "y", folds=splits, combine="median", **options)
    single = [regress("ols", "y ~ z", frame, gold, "y", folds=splits[:, s], **options) for s in range(3)]
    middle = np.median([f.theta for f in single], axis=0)
    np.testing.assert_allclose(fit.theta, middle, rtol=1e-9)
    variance = np.median([np.diag(f.covariance) + (f.theta - middle) ** 2 for f in single], axis=0)
    np.testing.assert_allclose(np.diag(fit.covariance), variance, rtol=1e-8)
    assert np.linalg.eigvalsh(fit.covariance)[0] >= -1e-15


def test_folds_of_rows_that_are_dropped(frame, gold, folds):
    """Folds, predictions and features follow the rows that stay."""
    holed = frame.assign(z=frame["z"].where(frame.index % 9 != 0))
    stay = frame.index % 9 != 0
    options = {"surrogates": {"y": "y_llm"}, "learner": LinearRegression()}
    one = regress("ols", "y ~ z", holed, gold, "y", folds=folds, features=frame["size"].to_numpy(), **options)
    other = regress(
        "ols",
        "y ~ z",
        frame[stay],
        gold[stay],
        "y",
        folds=folds[stay],
        features=frame["size"].to_numpy()[stay],
        **options,
    )
    np.testing.assert_allclose(one.theta, other.theta, rtol=1e-10)
    given = frame["y_llm"].to_numpy() * 0.9
    one = regress("ols", "y ~ z", holed, gold, "y", predictions={"y": given}, surrogates={"y": "y_llm"})
    other = regress(
        "ols", "y ~ z", frame[stay], gold[stay], "y", predictions={"y": given[stay]}, surrogates={"y": "y_llm"}
    )
    np.testing.assert_allclose(one.theta, other.theta, rtol=1e-12)


def test_large_corpora_predict_each_unlabelled_unit_in_one_split(monkeypatch, frame, gold):
    """Beyond a size, unlabelled units take turns among the splits; gold units are predicted in all of them."""
    import sys

    module = sys.modules[_crossfit_function.__module__]
    splits = np.random.default_rng(2).integers(0, 3, (len(frame), 2))
    features = encode([("llm", frame["y_llm"], True), ("z", frame["z"], False)], len(frame))
    rows = np.flatnonzero(gold)
    target = Target("y", frame["y"].to_numpy()[rows])

    def predictions(folds, linear=True):
        weight = np.ones(len(rows))
        found = crossfit((target,), features, rows, folds, "linear", None, seed=1, report_weight=weight, linear=linear)
        return found.values["y"][:, 0]

    single = [predictions(splits[:, [s]]) for s in range(2)]
    every = predictions(splits)
    np.testing.assert_allclose(every, (single[0] + single[1]) / 2, rtol=1e-12)
    monkeypatch.setattr(module, "ALL_SPLITS_UP_TO", 0)
    turns = predictions(splits)
    np.testing.assert_allclose(turns[gold], every[gold], rtol=1e-12)
    expected = np.where(np.arange(len(frame)) % 2 == 0, *single)
    np.testing.assert_allclose(turns[~gold], expected[~gold], rtol=1e-12)
    # a number plugged into a covariate enters squared: gold and other units must be averaged alike
    np.testing.assert_allclose(predictions(splits, linear=False), every, rtol=1e-12)


@pytest.mark.filterwarnings("ignore::karat.errors.SmallSampleWarning")
def test_class_that_a_fold_has_not_seen(frame):
    """Two gold rows of a class: where both are in one fold, the model trained elsewhere gives it no chance."""
    values = np.where(np.arange(240) % 2 == 0, "a", "b").astype(object)
    values[[10, 20]] = "rare"
    table = frame.assign(kind=values, llm=np.where(np.arange(240) % 5 == 0, "b", values))
    table.loc[200, "llm"] = "rare"
    chosen = np.arange(240) < 120
    folds = np.arange(240) // 12 % 5
    folds[[10, 20]] = 3
    fit = regress(
        "ols", "y ~ kind", table, chosen, "kind", surrogates={"kind": "llm"}, design=0.5, learner="linear", folds=folds
    )
    assert fit.names == ("Intercept", "kind[T.b]", "kind[T.rare]")
    assert np.isfinite(fit.theta).all()
    assert np.isfinite(fit.covariance).all()


@pytest.mark.parametrize("classes", [0, 2])
def test_a_name_without_a_learner_is_refused(classes):
    """A new name that nobody wrote a branch for must not become a forest."""
    with pytest.raises(ArgumentError, match="forgotten"):
        learners.build("forgotten", classes, 0)
