"""Networks of all folds and repeats, trained at once before anything is predicted.

A label is learnt given the gold of the labels before it, never given their predictions, so that all networks of a
label can be trained before any of them predicts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from . import learners

if TYPE_CHECKING:
    from .._core.types import Floats, Ints
    from .values import Target


@dataclass(frozen=True)
class Task:
    """One split and fold. ``train``: gold rows to learn from, positions among gold; ``rows``: units to predict."""

    number: int
    split: int
    fold: int
    train: Ints
    rows: Ints


def train_together(
    targets: tuple[Target, ...],
    chosen: tuple[Any, ...],
    matrix: Floats,
    surrogate: tuple[int, ...],
    gold: Ints,
    weight: Floats | None,
    tasks: list[Task],
    seed: int,
    progress: bool = False,
) -> tuple[list[Any] | None, ...]:
    """Train the networks of every label whose learner is one.

    ``chosen``: learner of each label; ``matrix`` (N, f): features of all units; ``surrogate``: columns that come from
    surrogates; ``gold`` (n,); ``weight`` (n,). Gives for each label its fitted networks, one per task; None where the
    learner is none of these.
    """
    out: list[list[Any] | None] = []
    before = np.empty((len(gold), 0))
    expected = np.empty((len(matrix), 0))
    for target, candidate in zip(targets, chosen):
        fitted = None
        if learners.trains_together(candidate):
            estimator = learners.build(candidate, target.n_classes, seed)
            if progress:
                estimator.set_params(progress=True)
            given = estimator.random_state
            own = int(given) if isinstance(given, (int, np.integer)) else seed
            chained = before if target.joint or target.given_joint else before[:, :0]
            every = np.hstack([matrix, expected[:, : chained.shape[1]]]) if chained.shape[1] else matrix
            fitted = estimator.fit_together(
                np.hstack([matrix[gold], chained]),
                target.values,
                weight,
                [task.train for task in tasks],
                [_seed(own, task.split, task.fold) for task in tasks],
                target.n_classes,
                every,
                chained.shape[1],
                _surrogates(target, surrogate, tasks, own),
            )
        out.append(fitted)
        if target.joint:
            indicators = np.eye(target.n_classes)[:, 1:]
            before = np.hstack([before, indicators[target.values.astype(np.intp)]])
            expected = np.hstack([expected, _expected(target, len(matrix))])
    return tuple(out)


def _surrogates(target: Target, hide: tuple[int, ...], tasks: list[Task], seed: int) -> Any:
    """Surrogate labels for pre-training, one seed for each split; None where the label has none."""
    if target.surrogate is None:
        return None
    from .networks.surrogates import Surrogates

    seeds = tuple(_seed(seed, task.split) for task in tasks)
    return Surrogates(target.surrogate.values, target.surrogate.classes, hide, seeds)


def _expected(target: Target, n_rows: int) -> Floats:
    """Class indicators of a label in all units by its surrogates alone: what pre-training of the next label sees."""
    share = np.full((n_rows, target.n_classes - 1), 1.0 / target.n_classes)
    if target.surrogate is not None and target.surrogate.classes:
        values = target.surrogate.values[:, 1 : target.n_classes]
        share = np.where(np.isfinite(values), values, share)
    return share


def _seed(seed: int, *more: int) -> int:
    return int(np.random.SeedSequence([seed, *more]).generate_state(1)[0])
