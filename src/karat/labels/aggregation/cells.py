"""Dawid-Skene on the cells that labels touch: confusion matrices shrunk to their average, and very many classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..._core.machine import needs
from .base import normalised

if TYPE_CHECKING:
    from ..._core.types import Array, Floats, Ints
    from ..tables.annotations import Annotations

_FLOOR = 1e-10
MANY_CLASSES = 20
"""Classes beyond which a task has those that somebody named for it."""
STRENGTHS = 2.0 ** np.arange(9)
"""Strengths of the prior that are tried, in labels of each true class."""
_SETTLE = (4, 9, 19)
"""Rounds after which the strength is chosen anew."""


@dataclass(frozen=True, eq=False)
class Cells:
    """Every label with every class that its task may have, and the cell (worker, truth, answer) it belongs to.

    Parameters
    ----------
    task, truth : ndarray of int, shape (P,)
        Pairs: a task and a class that it may have, sorted.
    vote, pair, cell : ndarray of int, shape (R,)
        Records, label by label: the label, the pair, the cell.
    row, mean : ndarray of int, shape (C,)
        For every cell its (worker, truth), and its (truth, answer).
    keys, mean_keys : ndarray of int
        ``(worker K + truth) K + answer`` and ``truth K + answer``, sorted.
    """

    data: Annotations
    task: Ints
    truth: Ints
    vote: Ints
    pair: Ints
    cell: Ints
    row: Ints
    mean: Ints
    keys: Array
    mean_keys: Array

    @classmethod
    def of(cls, data: Annotations, *, named: bool) -> Cells:
        """Cells of precise labels; a task may have any class, or those that somebody named (gold among them)."""
        n, k = data.n_tasks, data.n_classes
        if named:
            key = np.unique(data.task.astype(np.int64) * k + data.label)
            if data.gold is not None:
                known = np.flatnonzero(data.gold >= 0)
                key = np.union1d(key, known.astype(np.int64) * k + data.gold[known])
            task, truth = np.divmod(key, k)
            size = np.bincount(task, minlength=n)
        else:
            task, truth = np.divmod(np.arange(n * k, dtype=np.int64), k)
            size = np.full(n, k)
        each = size[data.task]
        total = int(each.sum())
        needs(
            200.0 * total,
            f"{total:,} pairs of a label and a class (Dawid-Skene)",
            "merge rare classes, or aggregate fewer tasks at a time",
        )
        first = np.concatenate([[0], np.cumsum(size)[:-1]])
        start = np.cumsum(each) - each
        vote = np.repeat(np.arange(len(each)), each)
        pair = np.arange(total) - np.repeat(start - first[data.task], each)
        keys, cell = np.unique((data.worker[vote].astype(np.int64) * k + truth[pair]) * k + data.label[vote],
                               return_inverse=True)  # fmt: skip
        row_keys, row = np.unique(keys // k, return_inverse=True)
        mean_keys, mean = np.unique(row_keys[row] % k * k + keys % k, return_inverse=True)
        return cls(data, task, truth, vote, pair, cell, row, mean, keys, mean_keys)

    def spread(self, probabilities: Floats) -> Floats:
        """Probabilities of the pairs, shape (P,), from those of all classes; they add up to 1 in each task."""
        q = probabilities[self.task, self.truth]
        return self._shared(q, np.bincount(self.task, q, minlength=self.data.n_tasks))

    def softmax(self, scores: Floats) -> tuple[Floats, Floats]:
        """Probabilities of the pairs from their scores, and the log of each task's normaliser (tasks with a pair)."""
        start = np.flatnonzero(np.diff(self.task, prepend=-1))
        top = np.zeros(self.data.n_tasks)
        top[self.task[start]] = np.maximum.reduceat(scores, start)
        q = np.exp(scores - top[self.task])
        total = np.bincount(self.task, q, minlength=self.data.n_tasks)
        there = total > 0
        return self._shared(q, total), np.log(total[there]) + top[there]

    def _shared(self, q: Floats, total: Floats) -> Floats:
        out = q / np.maximum(total, 1e-300)[self.task]
        if self.data.gold is not None:
            known = self.data.gold[self.task]
            out = np.where(known >= 0, known == self.truth, out)
        return np.asarray(out, dtype=np.float64)

    def dense(self, pairs: Floats, prior: Floats) -> Floats:
        """Class probabilities of every task, shape (n, K); the prior where nothing is known."""
        out = np.zeros((self.data.n_tasks, self.data.n_classes))
        out[self.task, self.truth] = pairs
        bare = out.sum(axis=1) == 0
        out[bare] = prior
        return out


@dataclass(frozen=True, eq=False)
class Fit:
    """What EM on cells found.

    Parameters
    ----------
    pairs : ndarray, shape (P,)
        Probability of every pair.
    scores : ndarray, shape (P,)
        Log likelihood of the labels of a task under every pair.
    prior : ndarray, shape (K,)
    counts, emission : ndarray, shape (C,)
        Expected labels in every cell, and its probability given the truth.
    mean : ndarray, shape (C,)
        Average probability of (truth, answer) over workers, for every cell.
    strength : float
        How many labels of a true class the average counts for.
    """

    cells: Cells
    pairs: Floats
    scores: Floats
    prior: Floats
    counts: Floats
    emission: Floats
    mean: Floats
    strength: float

    def probabilities(self) -> Floats:
        """Class probabilities, shape (n, K)."""
        return self.cells.dense(self.pairs, self.prior)

    def totals(self) -> Floats:
        """Expected labels of every (worker, truth)."""
        return np.bincount(self.cells.row, self.counts)

    def average(self) -> Floats:
        """The average confusion matrix, shape (K, K)."""
        k = self.cells.data.n_classes
        every = np.bincount(self.cells.mean_keys[self.cells.mean], self.counts, minlength=k * k).reshape(k, k)
        return _average(every, every.sum(axis=1), np.arange(k)[:, None], np.arange(k)[None, :], k)

    def matrices(self, smoothing: float) -> Floats:
        """Confusion matrices of all workers, shape (W, K, K)."""
        data, k = self.cells.data, self.cells.data.n_classes
        out = np.zeros(data.n_workers * k * k)
        out[self.cells.keys] = self.counts
        out = out.reshape(-1, k, k) + smoothing + self.strength * self.average()
        return np.maximum(normalised(out.reshape(-1, k)), _FLOOR).reshape(-1, k, k)


def _average(counts: Array, total: Array, truth: Array, answer: Array, k: int) -> Floats:
    """Average probabilities of answers given truth: as if one label more had been right and one spread evenly."""
    given = total[truth] if np.ndim(truth) == 1 else total[:, None]
    return np.asarray((counts + (truth == answer) + 1.0 / k) / (given + 2.0))


def fit_cells(
    cells: Cells, n_iter: int, tol: float, smoothing: float, shrink: float | None, history: list[float]
) -> tuple[Fit, bool]:
    """EM from vote shares; ``shrink`` None chooses the strength. Adds the log likelihood per label to ``history``."""
    data, k = cells.data, cells.data.n_classes
    weight = data.weights[cells.vote]
    truth, answer = cells.mean_keys // k, cells.mean_keys % k
    strength = STRENGTHS[3] if shrink is None else shrink
    # A little of every class, so that a class without votes in a task is not ruled out at the start.
    start = normalised(data.counts + (0.5 / k if strength else 0.0))
    pairs, converged = cells.spread(data.clamp(start)), False
    plain = strength == 0 and smoothing == 0
    for round_ in range(n_iter):
        counts = np.bincount(cells.cell, weight * pairs[cells.pair], minlength=len(cells.keys))
        total = np.bincount(cells.row, counts)
        by_mean = np.bincount(cells.mean, counts)
        of_truth = np.bincount(truth, by_mean, minlength=k)
        mean = _average(by_mean, of_truth, truth, answer, k)[cells.mean]
        if shrink is None and round_ in _SETTLE:
            strength = _strength(counts, total, mean)
        if plain:
            emission = np.maximum(counts, _FLOOR) / np.maximum(total, _FLOOR)[cells.row]
        else:
            emission = (counts + smoothing + strength * mean) / (total + k * smoothing + strength)[cells.row]
        emission = np.maximum(emission, _FLOOR)
        prior = np.bincount(cells.truth, pairs, minlength=k) + (0.0 if plain else 1.0)
        prior = np.maximum(prior / max(prior.sum(), 1e-300), _FLOOR)
        scores = np.bincount(cells.pair, weight * np.log(emission)[cells.cell], minlength=len(cells.task))
        pairs, log_sum = cells.softmax(scores + np.log(prior)[cells.truth])
        value = float(log_sum.sum()) / max(data.total, 1.0)
        last = history[-1] if history else -np.inf
        history.append(value)
        settled = shrink is not None or round_ > _SETTLE[-1]
        converged = bool(settled and abs(value - last) < max(tol, 1e-12))
        if converged and tol > 0:
            break
    return Fit(cells, pairs, scores, prior, counts, emission, mean, float(strength)), converged


def _strength(counts: Floats, total: Floats, mean: Floats) -> float:
    """The strength with the largest marginal likelihood of the expected counts (Dirichlet-multinomial).

    A weak preference for about ten labels, a standard deviation of five on the log scale, decides where workers say
    nothing about it.
    """
    from scipy.special import gammaln

    best = [
        float((gammaln(s * mean + counts) - gammaln(s * mean)).sum() + (gammaln(s) - gammaln(s + total)).sum())
        - 0.02 * np.log(s / 10.0) ** 2
        for s in STRENGTHS
    ]
    return float(STRENGTHS[int(np.argmax(best))])
