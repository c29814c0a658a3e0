"""Learners by name, on top of scikit-learn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ArgumentError, LearnerError, one_of
from .values import Target, loss_of

if TYPE_CHECKING:
    from .._core.types import Floats, Ints

NAMES = ("calibration", "linear", "boosting", "forest", "torch", "pretrained")

CALIBRATION_BELOW = 50
BOOSTING_FROM = 300
"""Gold sizes between the stages of ``"auto"``."""

WIDE = 64
"""Features beyond which linear models are penalised by their number, and ``"auto"`` tries the network."""


def candidates(learner: object, n_gold: int, n_features: int = 1) -> list[Any]:
    """What to try for a learner argument: names or estimators.

    ``learner``: ``"auto"`` goes by gold size: calibration of the surrogates below 50, a penalised linear model below
    300, from then on linear and boosting, weighed by their out-of-fold errors; with more than 64 features of its own
    (not in blocks) the torch network is compared with them; ``n_gold``: gold rows. Gives one or more candidates.

    Examples
    --------
    >>> candidates("auto", 120)
    ['linear']
    """
    if isinstance(learner, str):
        if learner == "auto":
            if n_gold < CALIBRATION_BELOW:
                return ["calibration"]
            if n_gold < BOOSTING_FROM:
                return ["linear"]
            return ["linear", "boosting", "torch"] if n_features > WIDE else ["linear", "boosting"]
        if learner not in NAMES:
            raise ArgumentError(
                f"learner={learner!r} is not known; choose 'auto', {', '.join(map(repr, NAMES))}, any scikit-learn "
                "estimator, or None to use the surrogate itself."
            )
        return [learner]
    refuse_class(learner, "learner")
    if hasattr(learner, "fit") and hasattr(learner, "get_params"):
        if not (hasattr(learner, "predict") or hasattr(learner, "predict_proba")):
            raise LearnerError(
                f"learner {type(learner).__name__} has no predict, so it is not a classifier or a regressor; end it "
                "with one, for example make_pipeline(StandardScaler(), Ridge())."
            )
        return [learner]
    raise ArgumentError(
        f"learner is a {type(learner).__name__}; give 'auto', a name, a scikit-learn estimator (an instance), or None."
    )


def refuse_class(learner: object, name: str) -> None:
    """Raise where a class was given in place of an object of it.

    Examples
    --------
    >>> refuse_class("linear", "learner")
    """
    if isinstance(learner, type):
        raise ArgumentError(
            f"{name} is the class {learner.__name__}, not an estimator; write {learner.__name__}() with parentheses."
        )


def ridge(n_features: int) -> float:
    """Penalty of the logit of ``"linear"``: 1, and for wide features p / 4.

    Standardised features with slopes of variance 1 / penalty give a linear predictor with variance p / penalty; a
    penalty of p / 4 keeps its prior standard deviation at 2 however many features there are.

    Examples
    --------
    >>> ridge(12), ridge(400)
    (1.0, 100.0)
    """
    return 1.0 if n_features <= WIDE else n_features / 4.0


def is_named(candidate: Any) -> bool:
    """Whether a candidate is one of the package's own, which see features scaled."""
    return isinstance(candidate, str) or hasattr(candidate, "built")


def build(candidate: Any, n_classes: int, seed: int, n_features: int = 1, inner: Ints | None = None) -> Any:
    """A fresh estimator for a candidate.

    ``candidate``: a user's estimator is cloned; ``n_classes``: classes of the target, 0 for a number; ``seed``: for
    learners that draw; a user's own ``random_state`` stays as it is; ``n_features``: features before any rotation, on
    which the penalty of linear models depends; ``inner``: folds of the rows it will be fitted on.
    """
    classify = n_classes > 0
    if hasattr(candidate, "built"):
        return candidate.built(n_classes, seed, inner)
    if not isinstance(candidate, str):
        from sklearn.base import clone

        fresh = clone(candidate)
        seeds = {k: seed for k, v in fresh.get_params().items() if k.split("__")[-1] == "random_state" and v is None}
        return fresh.set_params(**seeds) if seeds else fresh
    if candidate in ("calibration", "linear"):
        from sklearn.linear_model import LogisticRegression, RidgeCV

        if classify:
            solver = "newton-cholesky" if n_classes == 2 else "lbfgs"
            return LogisticRegression(C=1.0 / ridge(n_features), max_iter=300, solver=solver)
        return RidgeCV(alphas=np.logspace(-1, 3 if n_features <= WIDE else 5, 7 if n_features <= WIDE else 10))
    if candidate in ("torch", "pretrained"):
        from .networks.classifier import TorchClassifier
        from .networks.regressor import TorchRegressor

        pretrain = "surrogates" if candidate == "pretrained" else None
        return (TorchClassifier if classify else TorchRegressor)(pretrain=pretrain, random_state=seed)
    if candidate == "boosting":
        from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

        boosting = HistGradientBoostingClassifier if classify else HistGradientBoostingRegressor
        return boosting(
            max_iter=60,
            learning_rate=0.08,
            max_leaf_nodes=8,
            min_samples_leaf=15,
            l2_regularization=1.0,
            max_bins=63,
            early_stopping=False,
            random_state=seed,
        )
    one_of("learner", candidate, ("forest",))  # no other name is left
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

    forest = RandomForestClassifier if classify else RandomForestRegressor
    return forest(n_estimators=200, min_samples_leaf=5, max_features=0.5, random_state=seed, n_jobs=1)


def trains_together(candidate: Any) -> bool:
    """Whether a candidate trains the networks of all folds and repeats at once."""
    return candidate in ("torch", "pretrained") if isinstance(candidate, str) else hasattr(candidate, "fit_together")


def learns_from_surrogates(candidate: Any) -> bool:
    """Whether a candidate is taught the surrogate labels of all rows before gold."""
    return candidate == "pretrained" if isinstance(candidate, str) else getattr(candidate, "pretrain", None) is not None


def fit(estimator: Any, x: Floats, target: Floats, weight: Floats | None, name: str) -> Any:
    """Fit with loss weights where the estimator takes them.

    ``estimator``: unfitted; a pipeline hands weights to its last step; ``x`` (m, f); ``target`` (m,); ``weight`` (m,);
    ``name``: label being learnt, for messages.
    """
    arguments: dict[str, Any] = {}
    if weight is not None:
        from sklearn.pipeline import Pipeline
        from sklearn.utils.validation import has_fit_parameter

        if isinstance(estimator, Pipeline):
            step, last = estimator.steps[-1]
            if has_fit_parameter(last, "sample_weight"):
                arguments[f"{step}__sample_weight"] = weight
        elif has_fit_parameter(estimator, "sample_weight"):
            arguments["sample_weight"] = weight
    try:
        return estimator.fit(x, target, **arguments)
    except Exception as error:
        raise LearnerError(
            f"the learner {type(estimator).__name__} could not learn {name!r} from {len(x)} gold rows: {error}"
        ) from error


def predict_classes(estimator: Any, x: Floats, n_classes: int) -> Floats:
    """Class probabilities, shape (m, K), with zeros for classes the training rows did not hold."""
    if not hasattr(estimator, "predict_proba"):
        if n_classes != 2:
            raise LearnerError(
                f"{type(estimator).__name__} gives no class probabilities; use a classifier with predict_proba for a "
                "label with more than two classes."
            )
        one = np.clip(np.asarray(estimator.predict(x), dtype=np.float64), 0.0, 1.0)
        return np.column_stack([1.0 - one, one])
    found = np.asarray(estimator.predict_proba(x), dtype=np.float64)
    if found.shape[1] == n_classes:
        return found
    out = np.zeros((len(x), n_classes))
    out[:, np.asarray(estimator.classes_).astype(np.intp)] = found
    return out


def check_kind(target: Target, option: list[Any]) -> None:
    """Raise where a user's estimator cannot learn a label of this kind."""
    for candidate in option:
        if isinstance(candidate, str):
            continue
        from sklearn.base import is_classifier, is_regressor

        try:
            classifies, regresses = is_classifier(candidate), is_regressor(candidate)
        except AttributeError:  # an estimator from elsewhere, without scikit-learn's tags: taken at its methods
            classifies, regresses = not hasattr(candidate, "predict"), False
        if target.n_classes == 0 and classifies:
            raise LearnerError(
                f"learner {type(candidate).__name__} is a classifier, but {target.name!r} is a number; give a "
                f"regressor."
            )
        if target.n_classes > 2 and regresses:
            raise LearnerError(
                f"learner {type(candidate).__name__} is a regressor, but {target.name!r} has {target.n_classes} "
                "classes; give a classifier with predict_proba."
            )


def fit_label(
    target: Target,
    chosen: Any,
    x: Floats,
    values: Floats,
    weight: Floats | None,
    seed: int,
    n_features: int | None = None,
    inner: Ints | None = None,
) -> Any:
    """A fitted learner of a label, or the only class that the rows hold."""
    n_features = x.shape[1] if n_features is None else n_features
    if target.n_classes:
        present = np.unique(values)
        if len(present) == 1:
            return int(present[0])
        values = values.astype(np.intp)
    return fit(build(chosen, target.n_classes, seed, n_features, inner), x, values, weight, target.name)


def predict_label(fitted: Any, target: Target, x: Floats) -> Floats:
    """Class probabilities (m, K), or numbers (m,), checked."""
    if isinstance(fitted, int):
        out = np.zeros((len(x), target.n_classes))
        out[:, fitted] = 1.0
        return out
    try:
        if target.n_classes:
            found = predict_classes(fitted, x, target.n_classes)
        else:
            found = np.asarray(fitted.predict(x), dtype=np.float64).reshape(len(x))
    except LearnerError:
        raise
    except Exception as error:  # a user's learner may fail in any way
        raise LearnerError(
            f"the learner {type(fitted).__name__} could not predict {target.name!r} for {len(x)} rows: {error}"
        ) from error
    if not np.isfinite(found).all():
        raise LearnerError(
            f"the learner {type(fitted).__name__} predicts missing or infinite values of {target.name!r}; use another, "
            "or scale its features."
        )
    return found


def out_of_fold(
    target: Target,
    candidate: Any,
    x: Floats,
    surrogate: tuple[int, ...],
    fold: Ints,
    weight: Floats | None,
    seed: int,
) -> Floats:
    """Class probabilities (n, K), or numbers (n,), of the gold rows ``x`` without the fold in which each of them is."""
    columns = list(surrogate) if candidate == "calibration" else slice(None)
    found = np.zeros((len(x), target.n_classes) if target.n_classes else len(x))
    for k in np.unique(fold):
        out, into = fold == k, fold != k
        fitted = fit_label(
            target, candidate, x[into][:, columns], target.values[into], None if weight is None else weight[into], seed,
            inner=fold[into],
        )  # fmt: skip
        found[out] = predict_label(fitted, target, x[out][:, columns])
    return found


def select(
    target: Target,
    option: list[Any],
    x: Floats,
    surrogate: tuple[int, ...],
    fold: Ints,
    weight: Floats | None,
    seed: int,
) -> Any:
    """The candidate with the smallest out-of-fold loss in the first split, on the gold rows ``x``."""
    found = [out_of_fold(target, candidate, x, surrogate, fold, weight, seed) for candidate in option]
    loss = [float(np.average(loss_of(target, one, target.values), weights=weight)) for one in found]
    return option[int(np.argmin(loss))]
