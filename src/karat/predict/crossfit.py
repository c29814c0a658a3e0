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

from ..errors import DataError
from . import learners
from .batched import Task, train_together
from .blocks import Blocked, Joined, in_blocks, joined
from .stacked import Stacked
from .values import Predictions, Sums, Target, skills

if TYPE_CHECKING:
    from .._core.types import Floats, Ints
    from ..frames.matrices import Features

ALL_SPLITS_UP_TO = 1_000_000
"""Predictions (units times splits) up to which every unlabelled unit is predicted in every split;
beyond it, where the moment is linear in them, each is predicted in one split: the same expectation."""

_WORTH_DEDUPLICATING = 0.5


@dataclass(frozen=True)
class Job:
    """What one split and fold needs: features of the rows, and which of them are gold."""

    targets: tuple[Target, ...]
    chosen: tuple[Any, ...]
    raw: Floats
    scaled: Floats
    surrogate: tuple[int, ...]
    gold: Ints
    weight: Floats | None
    seed: int
    trained: tuple[list[Any] | None, ...] = ()
    inner: tuple[Ints, ...] = ()

    @property
    def seen(self) -> Floats:
        """Features as the learner sees them: scaled for learners with a name."""
        return self.scaled if learners.is_named(self.chosen[0]) else self.raw

    def width(self, n_columns: int) -> int:
        """Features of a fit before any rotation."""
        return n_columns - self.scaled.shape[1] + self.raw.shape[1] if n_columns >= self.scaled.shape[1] else n_columns

    def run(self, number: int, train: Ints, rows: Ints) -> tuple[Floats, dict[str, Floats]]:
        """Fit on the gold rows ``train`` (positions among gold) and predict the units ``rows``."""
        x_rows, back = _distinct(self.seen[rows])
        share, values = self.predict(self.learn(number, train), x_rows)
        if back is not None:
            return share[back], {name: value[back] for name, value in values.items()}
        return share, values

    def learn(self, number: int, train: Ints) -> list[Any]:
        """A fitted learner of each label in turn, given the gold of those before it."""
        x_gold = self.seen[self.gold[train]]
        weight = None if self.weight is None else self.weight[train]
        before = np.empty((len(train), 0))
        inner = self.inner[number] if self.inner else None
        out = []
        for target, chosen, together in zip(self.targets, self.chosen, self.trained):
            x_train = x_gold[:, self._columns(chosen)]
            if _chained(target, before.shape[1]):
                x_train = np.hstack([x_train, before])
            if together is not None:
                out.append(together[number])
            else:
                values, width = target.values[train], self.width(x_train.shape[1])
                out.append(learners.fit_label(target, chosen, x_train, values, weight, self.seed, width, inner))
            if target.joint:
                before = np.hstack([before, np.eye(target.n_classes)[:, 1:][target.values[train].astype(np.intp)]])
        return out

    def predict(self, fitted: list[Any], x_rows: Floats) -> tuple[Floats, dict[str, Floats]]:
        """Shares of the class combinations, and values of the other labels in each."""
        settings: list[Floats] = [np.empty(0)]
        share = np.ones((len(x_rows), 1))
        values: dict[str, Floats] = {}
        for target, chosen, one in zip(self.targets, self.chosen, fitted):
            x_new, width = x_rows[:, self._columns(chosen)], len(settings[0])
            chained = _chained(target, width)
            if chained:
                predicted = [
                    learners.predict_label(
                        one, target, np.hstack([x_new, np.broadcast_to(setting, (len(x_new), width))])
                    )
                    for setting in settings
                ]
            else:
                predicted = [learners.predict_label(one, target, x_new)]
            if target.joint:
                share = np.hstack([share[:, [c]] * predicted[c if chained else 0] for c in range(len(settings))])
                eye = np.eye(target.n_classes)[:, 1:]
                settings = [np.concatenate([setting, row]) for setting in settings for row in eye]
            else:
                values[target.name] = np.column_stack([p[:, 1:] if target.n_classes else p for p in predicted])
        return share, values

    def _columns(self, chosen: Any) -> Any:
        return list(self.surrogate) if chosen == "calibration" else slice(None)


def _chained(target: Target, before: int) -> bool:
    """Whether a label is learnt given labels before it."""
    return (target.joint or target.given_joint) and before > 0


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

    Examples
    --------
    >>> import numpy as np
    >>> from karat.frames.matrices import Features
    >>> from karat.predict import Target, crossfit
    >>> model = np.arange(12.0)
    >>> tone, features = Target("tone", 2 * model[:8], 0), Features(model[:, None], ("model",), (0,))
    >>> gold, folds, ones = np.arange(8), (np.arange(12) % 2)[:, None], np.ones(8)
    >>> found = crossfit((tone,), features, gold, folds, "linear", None, seed=1, report_weight=ones)
    >>> found.values["tone"].shape
    (12, 1)
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
    if in_blocks(features, learner):
        features = joined(features, matrix, gold)
        matrix = features.matrix
    chosen = choose(targets, features, matrix[gold], folds[gold, 0], learner, loss_weight, seed)
    everywhere = n_rows * n_splits <= ALL_SPLITS_UP_TO or keep_splits or not linear
    tasks = _tasks(folds, gold, everywhere)
    basis = rotation(matrix, gold, chosen)
    matrix = matrix if basis is None else matrix @ basis
    job = Job(targets, chosen, features.matrix, matrix, features.surrogate, gold, loss_weight, seed)
    trained = train_together(targets, chosen, job.seen, features.surrogate, gold, loss_weight, tasks, seed, progress)
    inner = tuple(folds[gold[task.train], task.split] for task in tasks) if isinstance(features, Joined) else ()
    job = replace(job, trained=trained, inner=inner)
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


def choose(
    targets: tuple[Target, ...], features: Features, x: Floats, fold: Ints, learner: object, weight: Floats | None,
    seed: int,
) -> tuple[Any, ...]:  # fmt: skip
    """The learner of each label, from the gold rows ``x`` where several are to be compared."""
    out = []
    base = x[:, list(features.base)] if isinstance(features, Joined) else x
    for target in targets:
        option = learners.candidates(learner, len(x), base.shape[1])
        if not features.surrogate:
            option = ["linear" if c == "calibration" else c for c in option]
        learners.check_kind(target, option)
        best = option[0]
        if isinstance(features, Joined):  # blocks take the place of the network
            best = _with_blocks(target, option, features, x, fold, weight, seed)
        elif len(option) > 1:
            best = Stacked.of(option[0], option[1], target, x, fold, weight, seed)
            if len(option) > 2:
                best = learners.select(target, [best, *option[2:]], x, features.surrogate, fold, weight, seed)
        out.append(best)
    return tuple(out)


def _with_blocks(
    target: Target, option: list[Any], features: Joined, x: Floats, fold: Ints, weight: Floats | None, seed: int
) -> Any:
    """The learner of a label with blocks of features; boosting sees the small ones beside the base."""
    best = Blocked.of(option[0], features, target, x, fold, weight, seed)
    if "boosting" not in option:
        return best
    boosting = Blocked("boosting", features.few(learners.WIDE), (), x.shape[1])
    return Stacked.of(best, boosting, target, x, fold, weight, seed)


def _tasks(folds: Ints, gold: Ints, everywhere: bool) -> list[Task]:
    """Every split and fold with the rows to learn from and to predict; unlabelled ones in one split or everywhere."""
    n_rows, n_splits = folds.shape
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
    return tasks


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


def rotation(matrix: Floats, gold: Ints, chosen: tuple[Any, ...]) -> Floats | None:
    """An orthonormal basis of the gold rows for features, where there are more features than gold rows; else None.

    The slopes of a ridge-penalised linear model lie in the span of the rows it is fitted to, so that predictions are
    the same and the problem has n dimensions instead of p. Indicators of labels learnt before come as columns of
    their own, outside the basis.
    """
    if matrix.shape[1] <= len(gold) or any(c != "linear" for c in chosen):
        return None
    return np.asarray(np.linalg.svd(matrix[gold], full_matrices=False)[2].T)


def _run(job: Job, tasks: list[Any], n_jobs: int | None, progress: bool) -> list[Any]:
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
