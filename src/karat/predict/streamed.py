"""Cross-fitted predictions of rows that come block by block: learners are fitted on gold, and kept."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from ..errors import DataError
from ..frames.order import mixed
from . import learners
from .batched import Task, train_together
from .blocks import Joined, goes_by_blocks, turned
from .crossfit import ALL_SPLITS_UP_TO, Job, choose, rotation
from .values import Predictions, Sums, Target, skills

if TYPE_CHECKING:
    from typing import Any

    from .._core.types import Floats, Ints
    from ..frames.matrices import Block, Features


@dataclass(frozen=True)
class Scale:
    """Mean and standard deviation of features over all rows, as :func:`karat.predict.crossfit.scale` has them.

    Parameters
    ----------
    centre, spread : ndarray, shape (f,)
    deviation : ndarray, shape (f,)
        Standard deviations as they are, where spread is infinite for those of 0.
    """

    centre: Floats
    spread: Floats
    deviation: Floats

    @classmethod
    def of(cls, blocks: Any) -> Scale:
        """In one pass over matrices and how many rows each of theirs counts for (None for one).

        Each mean is moved by the next block (Chan, Golub and LeVeque 1983).

        Examples
        --------
        >>> Scale.of([(np.array([[1.0], [3.0]]), None), (np.array([[5.0]]), np.array([2.0]))]).centre
        array([3.5])
        """
        n, centre, square = 0.0, np.zeros(0), np.zeros(0)
        for x, count in blocks:
            mean, m = (x.mean(axis=0), float(len(x))) if count is None else (count @ x / count.sum(), count.sum())
            apart = np.square(x - mean)
            own = apart.sum(axis=0) if count is None else count @ apart
            if not n:
                n, centre, square = m, mean, own
                continue
            gap = mean - centre
            square = square + own + gap**2 * (n * m / (n + m))
            centre, n = centre + gap * (m / (n + m)), n + m
        deviation = np.sqrt(square / max(n, 1.0))
        spread = deviation.copy()
        spread[spread <= 1e-12 * np.abs(centre)] = np.inf
        spread[spread == 0] = np.inf
        return cls(centre, spread, deviation)

    def alike(self, blocks: Sequence[Block]) -> Scale:
        """The same where columns of a block keep their sizes relative to each other."""
        spread = self.spread.copy()
        for block in blocks:
            part = slice(block.start, block.stop)
            spread[part] = max(float(np.sqrt(np.mean(self.deviation[part] ** 2))), 1e-300)
        return replace(self, spread=spread)

    def __call__(self, matrix: Floats) -> Floats:
        """Scaled features."""
        return np.asarray((matrix - self.centre) / self.spread)


@dataclass(frozen=True)
class Seen:
    """Features as learners with a name see them.

    Parameters
    ----------
    scale : Scale
    basis : ndarray, shape (f, k), or None
        See :func:`karat.predict.crossfit.rotation`.
    blocks : tuple of Block
    turns : tuple of ndarray or None
        Directions of wide blocks.
    """

    scale: Scale = field(repr=False)
    basis: Floats | None = field(repr=False, default=None)
    blocks: tuple[Block, ...] = ()
    turns: tuple[Floats | None, ...] = field(repr=False, default=())

    @classmethod
    def of(cls, scale: Scale, features: Features, learner: object) -> tuple[Seen, Features]:
        """And the features of the gold rows, in blocks where there are any."""
        if not (goes_by_blocks(learner) and features.blocks):
            return cls(scale), features
        scale, shown = scale.alike(features.blocks), []
        for block in features.blocks:
            part = slice(block.start, block.stop)
            shown.append((block.shown - scale.centre[part]) / scale.spread[part])
        found, turns = turned(features, scale(features.matrix), shown)
        return cls(scale, None, features.blocks, turns), found

    def __call__(self, matrix: Floats) -> Floats:
        """Those of some rows, shape (m, k)."""
        x = self.scale(matrix)
        if self.blocks:
            parts = [x[:, : self.blocks[0].start]]
            for block, turn in zip(self.blocks, self.turns):
                part = x[:, block.start : block.stop]
                parts.append(part if turn is None else part @ turn)
            x = np.hstack(parts)
        return x if self.basis is None else np.asarray(x @ self.basis)


def dealt(positions: Ints, codes: int) -> Ints:
    """A number below ``codes`` for each row that follows from where it stands among all, whatever the blocks.

    Examples
    --------
    >>> dealt(np.arange(6), 3).tolist() == dealt(np.arange(4), 3).tolist() + dealt(np.arange(4, 6), 3).tolist()
    True
    """
    return np.asarray((mixed(positions.astype(np.uint64)) >> np.uint64(11)) % np.uint64(codes)).astype(np.intp)


@dataclass(frozen=True)
class Folds:
    """Folds of the rows that are not gold.

    Parameters
    ----------
    every : callable
        Folds in all S splits, shape (m, S), from where rows stand.
    repeats : int
        S.
    folds : int
        K where rows are dealt out one by one; 0 where folds are given, or those of clusters.
    shift : int
        What a seed adds to the numbers that are dealt.
    """

    every: Callable[[Ints], Ints]
    repeats: int
    folds: int = 0
    shift: int = 0

    @classmethod
    def dealt(cls, folds: int, repeats: int, seed: int) -> Folds:
        """Folds that follow from a seed and from where rows stand."""
        starts = mixed(np.uint64(seed) + np.arange(repeats, dtype=np.uint64))

        def every(positions: Ints) -> Ints:
            found = mixed(positions.astype(np.uint64)[:, None] + starts) >> np.uint64(11)
            return np.asarray(found % np.uint64(folds)).astype(np.intp)

        return cls(every, repeats, folds, seed % (folds * repeats))

    def one(self, positions: Ints, codes: Ints | None) -> tuple[Ints, Ints]:
        """One split of each row, and its fold there; ``codes`` are numbers dealt before (:func:`dealt`)."""
        if not self.folds:
            split = dealt(positions, self.repeats)
            return split, self.every(positions)[np.arange(len(positions)), split]
        every = self.folds * self.repeats
        codes = dealt(positions, every) if codes is None else codes
        split, fold = np.divmod((codes + self.shift) % every, self.folds)
        return split, fold


@dataclass(frozen=True)
class Streamed:
    """Learners of all splits and folds, fitted on gold.

    Parameters
    ----------
    job : Job
        Its rows are the gold rows.
    tasks : tuple of Task
    fitted : tuple of list
        Learners of the labels, for each task.
    scaled : callable or None
        Features as the learners see them; None where these take them as they are.
    folds : Folds
    everywhere : bool
        Whether rows are predicted in every split, and not in one of them in turn.
    gold : Predictions
        Of the gold rows, out of fold.
    """

    job: Job = field(repr=False)
    tasks: tuple[Task, ...] = field(repr=False)
    fitted: tuple[list[Any], ...] = field(repr=False)
    scaled: Callable[[Floats], Floats] | None = field(repr=False)
    folds: Folds = field(repr=False)
    everywhere: bool
    gold: Predictions = field(repr=False)

    def predict(self, matrix: Floats, positions: Ints, codes: Ints | None = None) -> Predictions:
        """Predictions of rows that are not gold, from learners of splits and folds in which they fall.

        Parameters
        ----------
        matrix : ndarray, shape (m, f)
        positions : ndarray of int, shape (m,)
            Where they stand among all rows.
        codes : ndarray of int, shape (m,), optional
            What splits and folds follow from in the place of positions.
        """
        from sklearn import config_context

        x = matrix if self.scaled is None else self.scaled(matrix)
        sums = Sums(len(x), len(self.gold.combinations), list(self.gold.values))
        if self.everywhere:
            folds = self.folds.every(positions)
        else:
            split, fold = self.folds.one(positions, codes)
        with config_context(assume_finite=True):
            for task, fitted in zip(self.tasks, self.fitted):
                if self.everywhere:
                    rows = np.flatnonzero(folds[:, task.split] == task.fold)
                else:
                    rows = np.flatnonzero((split == task.split) & (fold == task.fold))
                if len(rows):
                    sums.add(rows, *self.job.predict(fitted, x[rows]))
        return sums.mean(self.gold.combinations)

    def with_gold(self, found: Predictions, here: Ints, which: Ints) -> Predictions:
        """Predictions of rows with those of gold rows out of fold: rows ``here`` are the gold rows ``which``."""
        if not len(here):
            return found
        share = found.share
        if share is not None and self.gold.share is not None:
            share = share.copy()
            share[here] = self.gold.share[which]
        values = {name: value.copy() for name, value in found.values.items()}
        for name, value in values.items():
            value[here] = self.gold.values[name][which]
        return replace(found, share=share, values=values)


def learn(
    targets: tuple[Target, ...],
    features: Features,
    folds: Ints,
    deal: Folds,
    scale: Scale,
    learner: object,
    loss_weight: Floats | None,
    *,
    seed: int,
    report_weight: Floats,
    n_rows: int,
    linear: bool,
) -> Streamed:
    """Fit learners on the gold rows, as :func:`karat.predict.crossfit` does.

    Parameters
    ----------
    targets : tuple of Target
    features : Features
        Of the gold rows, shape (n, f).
    folds : ndarray of int, shape (n, S)
        Folds of the gold rows.
    deal : callable
        Folds of all others.
    scale : Scale
        Of all rows.
    learner, loss_weight, seed, report_weight, linear
        As in :func:`karat.predict.crossfit`.
    n_rows : int
        N.
    """
    if not features.names:
        raise DataError("the predictor has no features: give surrogates, covariates or features=.")
    gold = np.arange(len(folds))
    seen, joined = Seen.of(scale, features, learner)
    x, features = seen(features.matrix), joined
    chosen = choose(targets, features, x, folds[:, 0], learner, loss_weight, seed)
    basis = rotation(x, gold, chosen)
    x = x if basis is None else x @ basis
    n_splits = folds.shape[1]
    tasks = tuple(
        Task(0, s, k, np.flatnonzero(folds[:, s] != k), np.flatnonzero(folds[:, s] == k))
        for s in range(n_splits)
        for k in range(int(folds[:, s].max()) + 1)
    )
    tasks = tuple(replace(task, number=number) for number, task in enumerate(tasks))
    inner = tuple(folds[task.train, task.split] for task in tasks) if isinstance(features, Joined) else ()
    job = Job(targets, chosen, features.matrix, x, features.surrogate, gold, loss_weight, seed, (), inner)
    job = replace(
        job, trained=train_together(targets, chosen, job.seen, features.surrogate, gold, loss_weight, list(tasks), seed)
    )
    fitted = tuple(job.learn(task.number, task.train) for task in tasks)
    combos = tuple(itertools.product(*[range(t.n_classes) for t in targets if t.joint]))
    sums = Sums(len(gold), len(combos), [t.name for t in targets if not t.joint])
    for task, one in zip(tasks, fitted):
        if len(task.rows):
            sums.add(task.rows, *job.predict(one, job.seen[task.rows]))
    mean = sums.mean(combos)
    mean = replace(mean, skill=skills(targets, chosen, mean, gold, report_weight))
    seen = replace(seen, basis=basis)
    everywhere = n_rows * n_splits <= ALL_SPLITS_UP_TO or not linear
    return Streamed(job, tasks, fitted, seen if learners.is_named(chosen[0]) else None, deal, everywhere, mean)
