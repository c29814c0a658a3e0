"""Censored regressor and classifier: identities, recovery of the truth, scikit-learn's conventions, bad input."""

import inspect
import pickle
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp
import sklearn
from sklearn.base import clone
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestClassifier, RandomForestRegressor
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV, KFold, cross_val_predict, cross_val_score
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVR
from sklearn.utils.estimator_checks import parametrize_with_checks

import karat as kt
from karat.censoring import CensoredClassifier, CensoredRegressor, Cox, Kernel, Strata
from karat.errors import ArgumentError, DataError, LearnerError

warnings.filterwarnings("ignore", message="invalid escape", category=SyntaxWarning)
TAU = 2.5


def simulate(n, seed):
    """Duration and censoring depend on the same covariate."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(-1, 1, size=(n, 2))
    duration = rng.exponential(np.exp(0.6 * x[:, 0] + 0.3 * x[:, 1]))
    censored = rng.exponential(2.5 * np.exp(-0.6 * x[:, 0]))
    return x, np.minimum(duration, censored), (duration <= censored).astype(int), duration


def expected(x, tau=TAU):
    mean = np.exp(0.6 * x[:, 0] + 0.3 * x[:, 1])
    return mean * (1 - np.exp(-tau / mean))


def past(x, tau=TAU):
    return np.exp(-tau / np.exp(0.6 * x[:, 0] + 0.3 * x[:, 1]))


# ---- identities --------------------------------------------------------------------------------------------


def test_fit_is_the_learner_on_complete_rows_with_weights():
    x, time, event, _ = simulate(400, 1)
    y = kt.censoring.outcome(time, event)
    model = CensoredRegressor(LinearRegression(), TAU, clip=False).fit(x, y)
    w = kt.censoring.weights(time, event, tau=TAU)
    by_hand = LinearRegression().fit(x, np.minimum(time, TAU), sample_weight=w.values)
    assert np.allclose(model.predict(x), by_hand.predict(x), atol=1e-12)
    assert model.mean_ == pytest.approx(kt.censoring.survival_curve(time, event).restricted_mean(TAU)[0], rel=1e-12)


def test_without_censoring_it_is_the_plain_learner():
    x, _, _, duration = simulate(300, 2)
    model = CensoredRegressor(LinearRegression(), TAU, clip=False).fit(x, kt.censoring.outcome(duration, np.ones(300)))
    plain = LinearRegression().fit(x, np.minimum(duration, TAU))
    assert np.allclose(model.predict(x), plain.predict(x), atol=1e-12)
    target = np.minimum(duration, TAU)
    assert model.score(x, kt.censoring.outcome(duration, np.ones(300))) == pytest.approx(
        -np.mean((plain.predict(x) - target) ** 2), rel=1e-12
    )
    assert model.r2(x, kt.censoring.outcome(duration, np.ones(300))) == pytest.approx(plain.score(x, target), rel=1e-10)


def test_score_weights_the_test_rows_by_the_training_distribution():
    x, time, event, _ = simulate(600, 3)
    train, test = slice(0, 400), slice(400, 600)
    y = kt.censoring.outcome(time, event)
    model = CensoredRegressor(Ridge(), TAU, censoring=Cox(), covariates=[0]).fit(x[train], y[train])
    g = kt.censoring.weights(time[train], event[train], tau=TAU, censoring="cox", covariates=x[train, :1])
    survival = g.censoring.before_new(np.minimum(time[test], TAU), x[test, :1])
    w = ((event[test] == 1) | (time[test] >= TAU)) / np.maximum(survival, 1e-3)
    squares = (np.minimum(time[test], TAU) - model.predict(x[test])) ** 2
    assert model.score(x[test], y[test]) == pytest.approx(-(w @ squares) / w.sum(), rel=1e-12)
    assert kt.censoring.censored_risk(
        model.predict(x[test]), time[test], event[test], g, covariates=x[test, :1]
    ) == pytest.approx(-model.score(x[test], y[test]), rel=1e-12)
    other = kt.censoring.weights(time[test], event[test], tau=TAU).values
    assert abs((other @ squares) / other.sum() + model.score(x[test], y[test])) > 1e-4


@pytest.mark.parametrize("form", ["structured", "swapped", "columns", "pandas", "polars", "unnamed", "list"])
def test_every_form_of_y_gives_the_same(form):
    x, time, event, _ = simulate(200, 4)
    swapped = np.array(list(zip(time, event == 1)), dtype=[("months", float), ("left", bool)])
    y = {
        "structured": kt.censoring.outcome(time, event),
        "swapped": swapped,
        "columns": np.column_stack((time, event)),
        "pandas": pd.DataFrame({"event": event, "time": time}, index=np.arange(200) + 7),
        "polars": pl.DataFrame({"left": event == 1, "months": time}),
        "unnamed": pd.DataFrame({"months": time, "left": event}),
        "list": list(zip(time.tolist(), event.tolist())),
    }[form]
    model = CensoredRegressor(Ridge(), TAU).fit(x, y)
    reference = CensoredRegressor(Ridge(), TAU).fit(x, kt.censoring.outcome(time, event))
    assert np.array_equal(model.predict(x), reference.predict(x))
    assert model.score(x, y) == reference.score(x, y)


def test_sampling_weights_count_rows():
    x, time, event, _ = simulate(150, 5)
    times = np.random.default_rng(5).integers(0, 4, size=150)
    y = kt.censoring.outcome(time, event)
    weighted = CensoredRegressor(Ridge(), TAU).fit(x, y, sample_weight=times)
    repeated = CensoredRegressor(Ridge(), TAU).fit(np.repeat(x, times, axis=0), np.repeat(y, times))
    assert np.allclose(weighted.predict(x), repeated.predict(x), atol=1e-10)
    assert weighted.score(x, y, sample_weight=times) == pytest.approx(
        repeated.score(np.repeat(x, times, axis=0), np.repeat(y, times)), rel=1e-10
    )


def test_rows_without_gold_have_weight_zero_and_may_lack_durations():
    x, time, event, _ = simulate(300, 6)
    gold = np.random.default_rng(6).random(300) < 0.5
    frame = pd.DataFrame({"time": np.where(gold, time, np.nan), "event": np.where(gold, event, np.nan)})
    weight = np.where(gold, 2.0, 0.0)
    masked = CensoredRegressor(Ridge(), TAU).fit(x, frame, sample_weight=weight)
    alone = CensoredRegressor(Ridge(), TAU).fit(x[gold], frame[gold], sample_weight=weight[gold])
    assert np.allclose(masked.predict(x), alone.predict(x))
    assert masked.score(x, frame, weight) == pytest.approx(alone.score(x[gold], frame[gold]))
    with pytest.raises(DataError, match="time must be 0 or more and finite"):
        CensoredRegressor(Ridge(), TAU).fit(x, frame)


# ---- recovery ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "learner",
    [
        HistGradientBoostingRegressor(max_iter=40, learning_rate=0.1, min_samples_leaf=60, random_state=0),
        RandomForestRegressor(30, min_samples_leaf=60, random_state=0),
        make_pipeline(StandardScaler(), SVR(C=1.0, epsilon=0.1)),
    ],
    ids=["boosting", "forest", "svr"],
)
def test_learners_recover_durations_that_dropping_and_ignoring_shorten(learner):
    n = 4000 if not hasattr(learner, "steps") else 1500
    x, time, event, _ = simulate(n, 7)
    y = kt.censoring.outcome(time, event)
    fresh = simulate(2000, 8)[0]
    truth = expected(fresh)
    ours = CensoredRegressor(learner, TAU, censoring="cox").fit(x, y).predict(fresh)
    dropped = clone(learner).fit(x[event == 1], np.minimum(time, TAU)[event == 1]).predict(fresh)
    ignored = clone(learner).fit(x, np.minimum(time, TAU)).predict(fresh)
    errors = [np.mean((p - truth) ** 2) for p in (ours, dropped, ignored)]
    assert errors[0] < 0.5 * min(errors[1:])
    if not hasattr(learner, "steps"):  # SVR's loss is about medians
        assert abs(np.mean(ours - truth)) < 0.06
    assert np.mean(dropped - truth) < -0.15
    assert np.mean(ignored - truth) < -0.15


def test_classifier_recovers_survival_past_tau():
    x, time, event, _ = simulate(6000, 9)
    y = kt.censoring.outcome(time, event)
    model = CensoredClassifier(LogisticRegression(), TAU, censoring="cox").fit(x, y)
    fresh = simulate(2000, 10)[0]
    p = model.predict_proba(fresh)
    assert np.allclose(p.sum(axis=1), 1)
    assert np.sqrt(np.mean((p[:, 1] - past(fresh)) ** 2)) < 0.03
    naive = LogisticRegression().fit(x, time > TAU).predict_proba(fresh)[:, 1]
    assert np.sqrt(np.mean((naive - past(fresh)) ** 2)) > 0.06
    marginal = CensoredClassifier(LogisticRegression(), TAU).fit(x, y)
    assert marginal.mean_ == pytest.approx(float(kt.censoring.survival_curve(time, event).at(TAU)), rel=1e-12)
    assert set(model.predict(fresh)) <= {0, 1}
    assert np.array_equal(model.predict(fresh), (p[:, 1] > 0.5).astype(int))
    assert ((model.decision_function(fresh) > 0) == (p[:, 1] > 0.5)).all()
    assert not hasattr(CensoredClassifier(RandomForestClassifier(), TAU), "decision_function")


def test_a_row_censored_at_tau_lasts_past_it():
    time, event = np.array([1.0, 2.0, 2.0, 2.0, 3.0, 1.0]), np.array([1, 1, 0, 0, 1, 1])
    model = CensoredClassifier(LogisticRegression(C=1e6), 2.0).fit(np.arange(6.0)[:, None], np.c_[time, event])
    assert model.mean_ == pytest.approx(0.5, rel=1e-12)


def test_predictions_stay_within_the_horizon_unless_asked():
    x, time, event, _ = simulate(300, 11)
    y = kt.censoring.outcome(time, event)
    far = np.array([[40.0, 40.0], [-40.0, -40.0]])
    assert CensoredRegressor(Ridge(), TAU).fit(x, y).predict(far).tolist() == [TAU, 0.0]
    assert CensoredRegressor(Ridge(), TAU, clip=False).fit(x, y).predict(far)[0] > TAU


# ---- scikit-learn -------------------------------------------------------------------------------------------


def test_grid_search_chooses_by_censored_risk():
    x, time, event, duration = simulate(1500, 12)
    y = kt.censoring.outcome(time, event)
    folds = KFold(4, shuffle=True, random_state=0)
    learner = HistGradientBoostingRegressor(max_iter=30, max_leaf_nodes=4, random_state=0)
    search = GridSearchCV(
        CensoredRegressor(learner, TAU, censoring="cox"), {"estimator__learning_rate": [1e-4, 0.1]}, cv=folds
    ).fit(x, y)
    assert search.best_params_ == {"estimator__learning_rate": 0.1}
    train, test = next(iter(folds.split(x)))
    model = clone(search.best_estimator_).fit(x[train], y[train])
    assert search.cv_results_["split0_test_score"][1] == pytest.approx(model.score(x[test], y[test]), rel=1e-9)
    oracle = np.mean((np.minimum(duration[test], TAU) - model.predict(x[test])) ** 2)
    assert -model.score(x[test], y[test]) == pytest.approx(oracle, rel=0.15)


@pytest.mark.filterwarnings("ignore::karat.errors.PositivityWarning")
def test_pipelines_frames_and_names():
    x, time, event, _ = simulate(400, 13)
    frame = pd.DataFrame({"age": x[:, 0], "income": x[:, 1], "region": np.where(x[:, 1] > 0, "north", "south")})
    y = pd.DataFrame({"time": time, "event": event})
    inner = make_pipeline(ColumnTransformer([("numbers", StandardScaler(), ["age", "income"])]), Ridge())
    model = CensoredRegressor(inner, TAU, censoring=Strata("region")).fit(frame, y)
    assert model.feature_names_in_.tolist() == ["age", "income", "region"]
    assert model.n_features_in_ == 3
    by_hand = kt.censoring.weights(time, event, tau=TAU, censoring="strata", covariates=frame["region"])
    assert np.array_equal(model.weights_.values, by_hand.values)
    assert np.allclose(model.weigh(frame, y), by_hand.values)
    with pytest.raises(ValueError, match="feature names"):
        model.predict(frame[["income", "age", "region"]])
    numbers = frame[["age", "income"]]
    outer = make_pipeline(StandardScaler(), CensoredRegressor(Ridge(), TAU, censoring=Kernel("age")))
    outer.set_output(transform="pandas").fit(numbers, y)
    assert outer[-1].feature_names_in_.tolist() == ["age", "income"]
    assert "kernel" in outer[-1].weights_.censoring.method
    named = CensoredRegressor(Ridge(), TAU, censoring="kernel", covariates="age").fit(numbers, y)
    assert np.allclose(
        named.weights_.values, CensoredRegressor(Ridge(), TAU, censoring=Kernel("age")).fit(numbers, y).weights_.values
    )
    for text in ("kernel(age)", "strata(age)", "cox(age + income)"):
        written = CensoredRegressor(Ridge(), TAU, censoring=text).fit(numbers.round(0), y)
        columns = ["age"] if "income" not in text else ["age", "income"]
        by_hand = kt.censoring.weights(
            time, event, tau=TAU, censoring=text.split("(")[0], covariates=numbers[columns].round(0).to_numpy()
        )
        assert np.allclose(written.weights_.values, by_hand.values)
    table = pl.DataFrame({"age": x[:, 0], "income": x[:, 1]})
    other = CensoredRegressor(Ridge(), TAU, censoring=Kernel("age")).fit(table, y)
    assert np.allclose(other.predict(table), named.predict(numbers))
    given = CensoredRegressor(Ridge(), TAU, censoring="kernel", covariates=lambda v: v["age"].to_numpy())
    assert np.allclose(given.fit(table, y).predict(table), named.predict(numbers))


def test_texts_reach_the_learner_as_they_are():
    x, time, event, _ = simulate(1000, 14)
    texts = ["long" if v > 0 else "short" for v in x[:, 0]]
    y = kt.censoring.outcome(time, event)
    model = CensoredRegressor(make_pipeline(CountVectorizer(), Ridge()), TAU).fit(texts, y)
    assert model.predict(["long"])[0] > model.predict(["short"])[0] + 0.2
    assert np.isfinite(cross_val_score(model, texts, y, cv=3)).all()


def test_sparse_clone_pickle_and_cross_validation():
    x, time, event, _ = simulate(300, 15)
    y = kt.censoring.outcome(time, event)
    dense = CensoredRegressor(Ridge(solver="lsqr", tol=1e-10), TAU).fit(x, y)
    assert np.allclose(clone(dense).fit(sp.coo_array(x), y).predict(sp.csr_array(x)), dense.predict(x), atol=1e-6)
    assert np.array_equal(pickle.loads(pickle.dumps(dense)).predict(x), dense.predict(x))
    assert clone(dense).get_params()["tau"] == TAU
    assert cross_val_predict(dense, x, y, cv=3).shape == (300,)
    model = CensoredClassifier(LogisticRegression(), TAU)
    assert (cross_val_score(model, x, y, cv=3) > -0.3).all()
    assert "CensoredRegressor" in dense._repr_html_()
    wrapped = CensoredRegressor(TransformedTargetRegressor(Ridge(), func=np.log1p, inverse_func=np.expm1), TAU)
    assert np.isfinite(wrapped.fit(x, y).predict(x)).all()


class Mean:
    """An estimator that knows scikit-learn's methods and nothing else of it."""

    def get_params(self, deep=True):
        return {}

    def fit(self, X, y, sample_weight=None):
        self.mean_ = np.average(y, weights=sample_weight)
        return self

    def predict(self, X):
        return np.full((len(X), 1), self.mean_)


def test_learners_from_elsewhere():
    x, time, event, _ = simulate(100, 19)
    model = CensoredRegressor(Mean(), TAU).fit(x, np.c_[time, event])
    assert model.predict(x) == pytest.approx(kt.censoring.survival_curve(time, event).restricted_mean(TAU)[0])
    assert "Mean" in repr(model)


def test_metadata_routing():
    x, time, event, _ = simulate(300, 16)
    y, weight = kt.censoring.outcome(time, event), np.random.default_rng(0).uniform(1, 2, 300)
    model = CensoredRegressor(make_pipeline(StandardScaler(), Ridge()), TAU)
    plain = clone(model).fit(x, y, sample_weight=weight).predict(x)
    with sklearn.config_context(enable_metadata_routing=True):
        assert np.allclose(clone(model).fit(x, y, sample_weight=weight).predict(x), plain)
        asked = clone(model).set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
        search = GridSearchCV(asked, {"clip": [True]}, cv=3).fit(x, y, sample_weight=weight)
        unweighted = GridSearchCV(clone(model), {"clip": [True]}, cv=3).fit(x, y)
        assert abs(search.best_score_ - unweighted.best_score_) > 1e-6


def test_same_seed_same_weights_and_cross_fitting():
    x, time, event, _ = simulate(400, 17)
    y = kt.censoring.outcome(time, event)
    model = CensoredRegressor(Ridge(), TAU, censoring="logit", random_state=3)
    first, second = clone(model).fit(x, y), clone(model).fit(x, y)
    assert np.array_equal(first.weights_.values, second.weights_.values)
    assert "cross-fitted" in first.weights_.censoring.method
    crossed = CensoredRegressor(Ridge(), TAU, censoring="cox", folds=4, random_state=0).fit(x, y)
    assert "4 folds" in crossed.weights_.censoring.method
    assert np.isfinite(crossed.score(x, y))
    far = np.r_[x, [[1.9, 0.0]]]  # one row outside the range of all others
    with pytest.warns(kt.errors.PositivityWarning, match="read the estimate at its end"):
        CensoredRegressor(Ridge(), TAU, censoring="kernel", covariates=[0], folds=5, random_state=2).fit(
            far, np.append(y, y[:1])
        )
    left = CensoredRegressor(Ridge(), TAU, leave_one_out="self").fit(x, y)
    assert not np.array_equal(left.weights_.values, CensoredRegressor(Ridge(), TAU).fit(x, y).weights_.values)


# The checks hand over a plain vector y, which no censored estimator can take: these two read it as uncensored
# durations, and as classes of which the first ends before tau.


def as_durations(y):
    if y is None or getattr(np.asarray(y).dtype, "names", None):
        return y
    values = np.asarray(y, dtype=float)
    values = values[:, 0] if values.ndim == 2 and values.shape[1] == 1 else values
    return kt.censoring.outcome(values - np.min(values), np.ones(len(values)))


def as_classes(y):
    if y is None or getattr(np.asarray(y).dtype, "names", None):
        return y
    code = np.unique(np.asarray(y).ravel(), return_inverse=True)[1]
    return kt.censoring.outcome(code + 1.0, np.ones(len(code)))


class UncensoredRegressor(CensoredRegressor):
    def fit(self, X, y, sample_weight=None, groups=None):
        return super().fit(X, as_durations(y), sample_weight, groups)

    def score(self, X, y, sample_weight=None):
        return super().score(X, as_durations(y), sample_weight)


class UncensoredClassifier(CensoredClassifier):
    def fit(self, X, y, sample_weight=None, groups=None):
        return super().fit(X, as_classes(y), sample_weight, groups)

    def score(self, X, y, sample_weight=None):
        return super().score(X, as_classes(y), sample_weight)


EXCLUDED = {
    "UncensoredRegressor": {
        "check_regressors_train": "asks for a score above .5; ours is minus a risk",
        "check_supervised_y_2d": "asks for a warning about a column vector y; ours has records",
    },
    "UncensoredClassifier": {
        "check_supervised_y_2d": "asks for a warning about a column vector y; ours has records",
        **dict.fromkeys(
            ("check_estimator_sparse_array", "check_estimator_sparse_matrix"),
            "ask whatever has predict_proba for the tags of a classifier; sparse input is tested above",
        ),
    },
}


def all_checks():
    """scikit-learn 1.5 cannot be told which checks do not apply."""
    if "expected_failed_checks" not in inspect.signature(parametrize_with_checks).parameters:
        return pytest.mark.parametrize(("estimator", "check"), [])
    return parametrize_with_checks(
        [UncensoredRegressor(Ridge(), 1.0), UncensoredClassifier(LogisticRegression(), 1.5)],
        expected_failed_checks=lambda estimator: EXCLUDED[type(estimator).__name__],
    )


@pytest.mark.filterwarnings("ignore")
@all_checks()
def test_scikit_learn_checks(estimator, check):
    check(estimator)


# ---- bad input ----------------------------------------------------------------------------------------------

X, TIME, EVENT, _ = simulate(60, 18)
Y = np.column_stack((TIME, EVENT))


@pytest.mark.parametrize(
    ("make", "y", "error", "says"),
    [
        (lambda: CensoredRegressor(KNeighborsRegressor(), TAU), Y, LearnerError, "takes no sample_weight"),
        (lambda: CensoredRegressor(LogisticRegression(), TAU), Y, LearnerError, "not a regressor"),
        (lambda: CensoredClassifier(Ridge(), TAU), Y, LearnerError, "predict_proba"),
        (lambda: CensoredRegressor(GridSearchCV(Ridge(), {"alpha": [1]}), TAU), Y, LearnerError, "put it outside"),
        (lambda: CensoredRegressor(Ridge, TAU), Y, LearnerError, "an instance of one"),
        (lambda: CensoredRegressor(Ridge(), TAU, censoring="kernel(a, b)"), Y, ArgumentError, "one number"),
        (lambda: CensoredRegressor(Ridge(), TAU, censoring="marginal(a)"), Y, ArgumentError, "takes no columns"),
        (lambda: CensoredRegressor(Ridge(), TAU, censoring="beran(a)"), Y, ArgumentError, "not known"),
        (lambda: CensoredRegressor(Ridge(), None), Y, ArgumentError, "tau=None"),
        (lambda: CensoredRegressor(Ridge(), 1e9), Y, ArgumentError, "beyond the last observed time"),
        (lambda: CensoredRegressor(Ridge(), TAU, censoring="kernel"), Y, ArgumentError, "X has 2 columns"),
        (lambda: CensoredRegressor(Ridge(), TAU, censoring=Kernel("age")), Y, ArgumentError, "no column names"),
        (lambda: CensoredRegressor(Ridge(), TAU, censoring=Kernel("a"), covariates=[0]), Y, ArgumentError, "one of"),
        (lambda: CensoredRegressor(Ridge(), TAU, censoring="cox", covariates=[7]), Y, ArgumentError, "not columns"),
        (lambda: CensoredRegressor(Ridge(), TAU), TIME, ArgumentError, "which durations are censored"),
        (lambda: CensoredRegressor(Ridge(), TAU), Y[:, ::-1], ArgumentError, "the order of columns is"),
        (lambda: CensoredRegressor(Ridge(), TAU), Y[:50], ArgumentError, "X has 60 rows but y has 50"),
        (lambda: CensoredRegressor(Ridge(), TAU), np.c_[-TIME, EVENT], DataError, "0 or more"),
        (lambda: CensoredRegressor(Ridge(), TAU), np.c_[TIME, 2 * EVENT + 0.5], DataError, "event codes"),
        (lambda: CensoredRegressor(Ridge(), 0.5), np.c_[np.full(60, 0.4), EVENT * 0], DataError, "no event was seen"),
        (lambda: CensoredClassifier(LogisticRegression(), 1e-9), Y, DataError, "one class"),
        (lambda: CensoredRegressor(Ridge(), TAU), [("a", 1)] * 60, DataError, "must hold times"),
        (lambda: CensoredRegressor(Ridge(), TAU), pd.DataFrame(np.c_[Y, Y]), ArgumentError, "y has the columns"),
    ],
)  # fmt: skip
def test_bad_input(make, y, error, says):
    with pytest.raises(error, match=says):
        make().fit(X, y)


@pytest.mark.parametrize("weight", [np.full(60, -1.0), np.full(60, np.nan), np.zeros(60), ["a"] * 60])
def test_bad_sampling_weights(weight):
    with pytest.raises(DataError, match="sample_weight"):
        CensoredRegressor(Ridge(), TAU).fit(X, Y, sample_weight=weight)


def test_scores_need_a_complete_row_and_a_fit():
    model = CensoredRegressor(Ridge(), TAU)
    with pytest.raises(sklearn.exceptions.NotFittedError):
        model.score(X, Y)
    with pytest.raises(DataError, match="no row is complete"):
        model.fit(X, Y).score(X[:3], np.c_[np.full(3, 0.1), np.zeros(3)])
    with pytest.raises(ArgumentError, match="sample_weight has shape"):
        model.score(X, Y, sample_weight=[1.0, 2.0])
