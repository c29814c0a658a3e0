"""Cross-fitted predictions of gold labels: no unit's own label reaches its prediction.

Labels are predicted in a chain: each labelled covariate given the ones before it, the outcome
given all of them, so that the predicted rows carry the joint distribution of the labels
(docs/methods.md, sections 1.2 and 2; cross-fitting as in Egami, Hinck, Stewart, Wei 2023).
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import DataError, LearnerError
from . import learners
from .labels import Predictions, Sums, Target, loss_of, skills
from .together import Task, train_together

if TYPE_CHECKING:
    from .._core.types import Floats, Ints
    from ..frames.encode import Features

_ALL_SPLITS_UP_TO = 1_000_000
"""Predictions (units times splits) up to which every unlabelled unit is predicted in every split;
beyond it, where the moment is linear in them, each is predicted in one split: the same expectation."""

_WORTH_DEDUPLICATING = 0.5


@dataclass(frozen=True)
class _Job:
    """What one split and fold needs."""

    targets: tuple[Target, ...]
    chosen: tuple[Any, ...]
    raw: Floats
    scaled: Floats
    surrogate: tuple[int, ...]
    gold: Ints
    weight: Floats | None
    seed: int
    trained: tuple[list[Any] | None, ...] = ()

    def width(self, n_columns: int) -> int:
        """Features of a fit before any rotation."""
        return n_columns - self.scaled.shape[1] + self.raw.shape[1] if n_columns >= self.scaled.shape[1] else n_columns

    def run(self, number: int, train: Ints, rows: Ints) -> tuple[Floats, dict[str, Floats]]:
        """Fit on the gold rows ``train`` (positions among gold) and predict the units ``rows``."""
        matrix = self.scaled if isinstance(self.chosen[0], str) else self.raw
        x_gold = matrix[self.gold[train]]
        x_rows, back = _distinct(matrix[rows])
        weight = None if self.weight is None else self.weight[train]
        before_gold = np.empty((len(train), 0))
        settings: list[Floats] = [np.empty(0)]
        share = np.ones((len(x_rows), 1))
        values: dict[str, Floats] = {}
        for target, chosen, together in zip(self.targets, self.chosen, self.trained):
            columns = list(self.surrogate) if chosen == "calibration" else slice(None)
            x_train, x_new = x_gold[:, columns], x_rows[:, columns]
            chained = (target.joint or target.given_joint) and before_gold.shape[1] > 0
            if chained:
                x_train = np.hstack([x_train, before_gold])
            if together is not None:
                fitted = together[number]
            else:
                fitted = _fit(
                    target, chosen, x_train, target.values[train], weight, self.seed, self.width(x_train.shape[1])
                )
            if chained:
                shape = (len(x_new), before_gold.shape[1])
                predicted = [
                    _predict(fitted, target, np.hstack([x_new, np.broadcast_to(setting, shape)]))
                    for setting in settings
                ]
            else:
                predicted = [_predict(fitted, target, x_new)]
            if target.joint:
                share = np.hstack([share[:, [c]] * predicted[c if chained else 0] for c in range(len(settings))])
                eye = np.eye(target.n_classes)[:, 1:]
                settings = [np.concatenate([setting, row]) for setting in settings for row in eye]
                before_gold = np.hstack([before_gold, eye[target.values[train].astype(np.intp)]])
            else:
                values[target.name] = np.column_stack([p[:, 1:] if target.n_classes else p for p in predicted])
        if back is not None:
            return share[back], {name: value[back] for name, value in values.items()}
        return share, values


def crossfit(
    targets: tuple[Target, ...],
    features: Features,
    gold: Ints,
    folds: Ints,
    learner: object,
    loss_weight: Floats | None,
    *,
    seed: int,
    report_weight: Floats,
    keep_splits: bool = False,
    linear: bool = False,
    n_jobs: int | None = None,
    progress: bool = False,
    order: Ints | None = None,
) -> Predictions:
    """Predict every label of every unit from models that have not seen the unit's gold label.

    Parameters
    ----------
    targets : tuple of Target
        Joint labels first, in the order of the chain.
    features : Features
        N units.
    gold : ndarray of int, shape (n,)
        Positions of gold units.
    folds : ndarray of int, shape (N, S)
    learner : str or estimator
    loss_weight : ndarray, shape (n,), or None
        Weights of the gold rows in the learner's loss.
    seed : int
    report_weight : ndarray, shape (n,)
        Weights for the skill figures (inverse probabilities).
    keep_splits : bool
        Keep the predictions of each split.
    linear : bool
        Whether the moment is linear in the predictions; only then may a large corpus be predicted in one
        split per unlabelled unit (a number plugged into a covariate enters squared, and a mean of
        several predictions has another square than one).
    n_jobs : int, optional
        Processes for joblib; None means one.
    progress : bool
        Show a tqdm bar.
    order : ndarray of int, shape (N,), optional
        Order in which the learners see the rows, see :func:`row_order`; by default as they come.

    Returns
    -------
    Predictions
    """
    if order is not None:
        place = np.empty(len(order), dtype=np.intp)
        place[order] = np.arange(len(order))
        by = np.argsort(place[gold])
        return crossfit(
            tuple(target.ordered(order, by) for target in targets), replace(features, matrix=features.matrix[order]),
            place[gold][by], folds[order], learner, None if loss_weight is None else loss_weight[by], seed=seed,
            report_weight=report_weight[by], keep_splits=keep_splits, linear=linear, n_jobs=n_jobs, progress=progress,
        ).taken(place)  # fmt: skip
    if not features.names:
        raise DataError("the predictor has no features: give surrogates, covariates or features=.")
    n_rows, n_splits = folds.shape
    matrix = scale(features.matrix)
    options = [learners.candidates(learner, len(gold), features.matrix.shape[1]) for _ in targets]
    if not features.surrogate:
        options = [["linear" if c == "calibration" else c for c in option] for option in options]
    for target, option in zip(targets, options):
        _check_kind(target, option)
    chosen = tuple(
        option[0]
        if len(option) == 1
        else _select(target, option, matrix[gold], features.surrogate, folds[gold, 0], loss_weight, seed)
        for target, option in zip(targets, options)
    )
    everywhere = n_rows * n_splits <= _ALL_SPLITS_UP_TO or keep_splits or not linear
    unlabelled = np.ones(n_rows, dtype=bool)
    unlabelled[gold] = False
    turn = np.arange(n_rows) % n_splits

    tasks: list[Task] = []
    for s in range(n_splits):
        for k in range(int(folds[:, s].max()) + 1):
            inside = folds[:, s] == k
            if not everywhere:
                inside &= ~unlabelled | (turn == s)
            rows = np.flatnonzero(inside)
            if len(rows):
                tasks.append(Task(len(tasks), s, k, np.flatnonzero(folds[gold, s] != k), rows))
    matrix = _rotated(matrix, gold, chosen)
    named = isinstance(chosen[0], str)
    trained = train_together(
        targets,
        chosen,
        matrix if named else features.matrix,
        features.surrogate,
        gold,
        loss_weight,
        tasks,
        seed,
        progress,
    )
    job = _Job(targets, chosen, features.matrix, matrix, features.surrogate, gold, loss_weight, seed, trained)
    results = _run(job, tasks, n_jobs, progress)

    combos = tuple(itertools.product(*[range(t.n_classes) for t in targets if t.joint]))
    sums = Sums(n_rows, len(combos), [t.name for t in targets if not t.joint])
    by_split = [Sums(n_rows, len(combos), list(sums.values)) for _ in range(n_splits if keep_splits else 0)]
    for task, (share, values) in zip(tasks, results):
        sums.add(task.rows, share, values)
        if keep_splits:
            by_split[task.split].add(task.rows, share, values)
    mean = sums.mean(combos)
    skill = skills(targets, chosen, mean, gold, report_weight)
    return Predictions(combos, mean.share, mean.values, tuple(part.mean(combos) for part in by_split), skill)


def scale(matrix: Floats) -> Floats:
    """Features with mean 0 and standard deviation 1 over all units; constant ones become 0.

    Named learners get these, a user's own estimator the features as they are.

    Examples
    --------
    >>> scale(np.array([[1.0], [3.0]]))
    array([[-1.],
           [ 1.]])
    """
    centre, spread = matrix.mean(axis=0), matrix.std(axis=0)
    spread[spread <= 1e-12 * np.abs(centre)] = np.inf
    spread[spread == 0] = np.inf
    out: Floats = (matrix - centre) / spread
    return out


def _rotated(matrix: Floats, gold: Ints, chosen: tuple[Any, ...]) -> Floats:
    """Features on an orthonormal basis of the gold rows, where there are more features than gold rows.

    The slopes of a ridge-penalised linear model lie in the span of the rows it is fitted to, so that predictions are
    the same and the problem has n dimensions instead of p. Indicators of labels learnt before come as columns of
    their own, outside the basis.
    """
    if matrix.shape[1] <= len(gold) or any(c != "linear" for c in chosen):
        return matrix
    basis = np.linalg.svd(matrix[gold], full_matrices=False)[2]
    return matrix @ basis.T


def loss_weights(probability: Floats) -> Floats | None:
    """Weights of gold rows in the learner's loss: ``(1 - pi) / pi^2``, cut at its .9 quantile.

    Parameters
    ----------
    probability : ndarray, shape (n,)
        Inclusion probabilities of the gold rows.

    Returns
    -------
    ndarray, shape (n,), or None
        None when all are equal. Rows drawn with certainty keep a twentieth of the mean weight.

    Examples
    --------
    >>> loss_weights(np.array([0.5, 0.5])) is None
    True
    """
    return capped_weights((1.0 - probability) / probability**2)


def capped_weights(spread: Floats) -> Floats | None:
    """Weights of gold rows in the learner's loss: what each adds to the labelling variance, cut at the .9 quantile.

    Parameters
    ----------
    spread : ndarray, shape (n,)
        Labelling variance per squared error, see :attr:`karat.designs.Labelling.spread`.

    Returns
    -------
    ndarray, shape (n,), or None
        None when all are equal. Rows drawn with certainty keep a twentieth of the mean weight.

    Examples
    --------
    >>> capped_weights(np.array([2.0, 6.0, 6.0])).round(2).tolist()
    [0.43, 1.29, 1.29]
    """
    if np.ptp(spread) == 0:
        return None
    weight = np.minimum(spread, np.quantile(spread, 0.9))
    if weight.max() <= 0:
        return None
    weight = np.maximum(weight, 0.05 * weight.mean())
    return weight / weight.mean()


def _run(job: _Job, tasks: list[Any], n_jobs: int | None, progress: bool) -> list[Any]:
    bar: Any = tasks
    if progress:
        from tqdm import tqdm

        bar = tqdm(tasks, desc="cross-fitting", unit="fit")
    if n_jobs is None or n_jobs == 1:
        from sklearn import config_context

        with config_context(assume_finite=True):
            return [job.run(task.number, task.train, task.rows) for task in bar]
    from joblib import Parallel, delayed

    return list(Parallel(n_jobs=n_jobs)(delayed(job.run)(task.number, task.train, task.rows) for task in bar))


def _check_kind(target: Target, option: list[Any]) -> None:
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


def _fit(
    target: Target,
    chosen: Any,
    x: Floats,
    values: Floats,
    weight: Floats | None,
    seed: int,
    n_features: int | None = None,
) -> Any:
    n_features = x.shape[1] if n_features is None else n_features
    if target.n_classes:
        present = np.unique(values)
        if len(present) == 1:
            return int(present[0])
        values = values.astype(np.intp)
    return learners.fit(learners.build(chosen, target.n_classes, seed, n_features), x, values, weight, target.name)


def _predict(fitted: Any, target: Target, x: Floats) -> Floats:
    if isinstance(fitted, int):
        out = np.zeros((len(x), target.n_classes))
        out[:, fitted] = 1.0
        return out
    try:
        if target.n_classes:
            found = learners.predict_classes(fitted, x, target.n_classes)
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


def _select(
    target: Target,
    option: list[Any],
    x: Floats,
    surrogate: tuple[int, ...],
    fold: Ints,
    weight: Floats | None,
    seed: int,
) -> Any:
    """The candidate with the smallest out-of-fold loss in the first split, on the gold rows ``x``."""
    best, least = option[0], np.inf
    for candidate in option:
        columns = list(surrogate) if candidate == "calibration" else slice(None)
        loss = np.zeros(len(x))
        for k in np.unique(fold):
            out, into = fold == k, fold != k
            fitted = _fit(
                target,
                candidate,
                x[into][:, columns],
                target.values[into],
                None if weight is None else weight[into],
                seed,
            )
            predicted = _predict(fitted, target, x[out][:, columns])
            loss[out] = loss_of(target, predicted, target.values[out])
        total = float(np.average(loss, weights=weight))
        if total < least:
            best, least = candidate, total
    return best


def _distinct(x: Floats) -> tuple[Floats, Ints | None]:
    """Distinct rows and where each row went, when that saves work; else the rows and None."""
    if len(x) < 2_000:
        return x, None
    probe = np.unique(x[:: max(1, len(x) // 1_000)], axis=0)
    if len(probe) > _WORTH_DEDUPLICATING * 1_000:
        return x, None
    import pandas as pd

    code = np.zeros(len(x), dtype=np.int64)
    for j in range(x.shape[1]):
        column, levels = pd.factorize(x[:, j])
        code = pd.factorize(code * len(levels) + column)[0].astype(np.int64)
    first = np.empty(int(code.max()) + 1, dtype=np.intp)
    first[code[::-1]] = np.arange(len(x) - 1, -1, -1)
    if len(first) > _WORTH_DEDUPLICATING * len(x):
        return x, None
    return x[first], code
