"""TopTwo: the truth and the answer it is most confused with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..._core.machine import needs
from ...errors import DataError, number, whole
from .base import Aggregator, Climb

if TYPE_CHECKING:
    from ..._core.types import Floats
    from ..tables.annotations import Annotations

_SMALLEST, _LARGEST = 1e-4, 1 - 1e-4


@dataclass(eq=False, repr=False)
class TopTwo(Aggregator):
    r"""Truth, most confusing answer, and how confusing it is, for every task; three classes or more.

    Worker w answers seriously with probability :math:`p_w`, else uniformly at random. A serious answer to
    task i is the truth with probability :math:`q_i \in (1/2, 1)`, else the task's most confusing answer.

    Parameters
    ----------
    n_iter : int
        Most rounds that refine reliabilities and the distribution of q after the spectral start; with 0
        the spectral start is plugged in as it is.
    tol : float
        Stop when the log likelihood per label grows by less.
    n_levels : int
        Number of levels of q on (1/2, 1).

    Attributes
    ----------
    skills_ : ndarray, shape (W,)
        Reliabilities p.
    second_ : ndarray of int, shape (n,)
        Code of the most confusing answer, given the most probable truth.
    second_probabilities_ : ndarray, shape (n, K)
        Probability that each class is the most confusing answer.
    confusion_ : ndarray, shape (n,)
        Probability that a serious worker gives the most confusing answer: posterior mean of 1 - q,
        given the estimated truth and second answer.
    levels_, level_weights_ : ndarray, shape (Q,)
        Levels of q and their estimated shares.
    loss_history_ : list of float
    converged_ : bool
    n_iter_ : int

    Raises
    ------
    DataError
        With two classes: the most confusing answer is then the other class, and q and p cannot be known separately.

    Notes
    -----
    Agreement of workers v and w beyond chance is :math:`c\, p_v p_w`; a rank-one fit to all pairs gives the
    start. Then the likelihood of every (truth, second, q) is worked out with the reliabilities plugged in, q
    on a grid whose weights are estimated too. Imprecise labels count evenly for their classes.

    References
    ----------
    Jeong and Chung (2023), Recovering top-two answers and confusion probability in multi-choice
    crowdsourcing, ICML.

    Examples
    --------
    >>> import karat as kt
    >>> votes = {"task": [1] * 4 + [2] * 4, "worker": list("abcd") * 2, "label": list("xxxyzzzx")}
    >>> model = kt.labels.TopTwo().fit(votes)
    >>> [model.classes_[code] for code in model.second_]
    ['y', 'x']
    """

    n_iter: int = 100
    tol: float = 1e-5
    n_levels: int = 5
    name = "top_two"
    models = True

    def _fit(self, annotations: Annotations) -> Floats:
        self.n_iter = whole("n_iter", self.n_iter, least=0)
        self.n_levels = whole("n_levels", self.n_levels, least=1)
        number("tol", self.tol, least=0)
        if annotations.n_classes < 3:
            raise DataError(
                f"TopTwo needs three classes or more, the labels have {annotations.n_classes} "
                f"({list(annotations.classes)}): with two, the most confusing answer is simply the other class, and "
                "its probability and the workers' reliability cannot be known separately. Use 'glad' or 'dawid_skene'."
            )
        n, k = annotations.n_tasks, annotations.n_classes
        needs(
            10 * 8.0 * n * k * self.n_levels,
            f"a probability for each of {n:,} tasks, {k:,} classes and {self.n_levels:,} levels (TopTwo)",
            "merge rare classes, or lower n_levels",
        )
        data = annotations.folded()
        levels = 0.5 + 0.5 * (np.arange(self.n_levels) + 0.5) / self.n_levels
        weights = np.full(self.n_levels, 1.0 / self.n_levels)
        skills = _spectral_reliability(data)
        found = _posterior(data, skills, levels, weights)
        climb = Climb(self.tol, converged=self.n_iter == 0)
        for _ in range(self.n_iter):
            if climb.settled(found.value / max(data.total, 1.0)):
                break
            skills = _serious(data, found, skills, levels)
            weights = found.level.mean(axis=0)
            found = _posterior(data, skills, levels, weights)
        climb.keep(self)
        self.skills_, self.levels_, self.level_weights_ = skills, levels, weights
        self._keep(found, levels)
        return found.truth

    def _predict(self, annotations: Annotations) -> Floats:
        return _posterior(annotations.folded(), self.skills_, self.levels_, self.level_weights_).truth

    def _keep(self, found: _Found, levels: Floats) -> None:
        self.second_probabilities_ = found.second
        truth = found.truth.argmax(axis=1)
        rows = np.arange(len(truth))
        # Given the estimated truth: the second answer, then q.
        joint = found.first_score[rows, truth][:, None, :] + found.second_score
        joint[rows, truth] = -np.inf
        joint -= joint.max(axis=(1, 2), keepdims=True)
        np.exp(joint, out=joint)
        self.second_ = joint.sum(axis=2).argmax(axis=1)
        of_level = joint[rows, self.second_]
        self.confusion_ = 1 - (of_level @ levels) / of_level.sum(axis=1)


@dataclass(frozen=True)
class _Found:
    """Posterior of (truth, level) and (second answer, level), shape (n, K, Q); their scores; log likelihood."""

    first: Floats
    other: Floats
    first_score: Floats
    second_score: Floats
    value: float

    @property
    def truth(self) -> Floats:
        return np.asarray(self.first.sum(axis=2))

    @property
    def second(self) -> Floats:
        return np.asarray(self.other.sum(axis=2))

    @property
    def level(self) -> Floats:
        return np.asarray(self.first.sum(axis=1))


def _spectral_reliability(annotations: Annotations) -> Floats:
    """Reliabilities from agreement between workers alone.

    Notes
    -----
    Weighted least squares for ``agree_vw / tasks_vw - 1/K = c p_v p_w`` over pairs v != w, without forming the
    pairs. c is set so that the largest reliabilities are close to one.
    """
    k = annotations.n_classes
    votes, total = annotations.votes, annotations.worker_labels
    weight = annotations.weights
    own = np.bincount(annotations.worker, weight**2, minlength=annotations.n_workers)
    task, worker = annotations.task, annotations.worker
    level = np.full(annotations.n_workers, 0.5)
    scale = np.full(annotations.n_workers, 0.8)
    for _ in range(50):
        agreed = votes.T @ (votes @ np.repeat(level, k))
        agreed = agreed.reshape(-1, k).sum(axis=1) - own * level
        seen = np.bincount(task, weight * level[worker], minlength=annotations.n_tasks)
        together = np.bincount(worker, weight * seen[task], minlength=len(level)) - own * level
        seen = np.bincount(task, weight * level[worker] ** 2, minlength=annotations.n_tasks)
        power = np.bincount(worker, weight * seen[task], minlength=len(level)) - own * level**2
        new = np.divide(agreed - together / k, power, out=np.zeros_like(level), where=power > 1e-12)
        new = np.maximum(new, 1e-3)
        # Square-root damping: the plain alternation swings between scales.
        new = np.sqrt(new * level)
        if np.max(np.abs(new - scale)) < 1e-8:
            break
        scale = level = new
    busy = total >= np.median(total)
    top = np.quantile(level[busy], 0.95)
    return np.clip(0.95 * level / max(top, 1e-6), _SMALLEST, _LARGEST)


def _posterior(annotations: Annotations, skills: Floats, levels: Floats, weights: Floats) -> _Found:
    """Posterior of (truth, second, level); likelihood relative to answering at random is a product over the two."""
    n, k = annotations.n_tasks, annotations.n_classes
    noise = (1 - skills) / k
    first, second = np.empty((n, k, len(levels))), np.empty((n, k, len(levels)))
    for j, q in enumerate(levels):
        for share, out in ((q, first), (1 - q, second)):
            gain = np.log1p(skills * share / noise)
            out[:, :, j] = (annotations.votes @ np.repeat(gain, k)).reshape(n, k)
    first += np.log(np.maximum(weights, 1e-300)) - np.log(k * (k - 1))
    if annotations.gold is not None:
        rows = np.flatnonzero(annotations.gold >= 0)
        kept = first[rows, annotations.gold[rows]].copy()
        first[rows] = -1e4
        first[rows, annotations.gold[rows]] = kept
    joint = first + _log_sum_of_others(second)
    height = joint.max(axis=(1, 2), keepdims=True)
    mass = np.exp(joint - height)
    total = mass.sum(axis=(1, 2), keepdims=True)
    other = np.exp(second + _log_sum_of_others(first) - height)
    base = float((np.log(noise)[annotations.worker] * annotations.weights).sum())
    value = float((np.log(total) + height).sum()) + base
    return _Found(mass / total, other / total, first, second, value)


def _log_sum_of_others(scores: Floats) -> Floats:
    """log(sum(exp(scores))) over the other classes, for each class (axis 1).

    Sums run over the classes before and after, never over all less one, which would cancel. Scores further than
    700 below the largest are lifted to that, so that no sum is zero.
    """
    top = scores.max(axis=1, keepdims=True)
    each = np.exp(np.maximum(scores - top, -700.0))
    k = scores.shape[1]
    out = np.zeros_like(each)
    before, after = np.zeros_like(each[:, 0]), np.zeros_like(each[:, 0])
    for j in range(k):
        out[:, j] += before
        before += each[:, j]
        out[:, k - 1 - j] += after
        after += each[:, k - 1 - j]
    return np.asarray(np.log(out) + top)


def _serious(annotations: Annotations, found: _Found, skills: Floats, levels: Floats) -> Floats:
    """Expected share of serious answers of each worker, shape (W,)."""
    k = annotations.n_classes
    noise = (1 - skills) / k
    expected = np.zeros(annotations.n_workers)
    for j, q in enumerate(levels):
        for mass, share in ((found.first[:, :, j], q), (found.other[:, :, j], 1 - q)):
            serious = skills * share / (skills * share + noise)
            by_cell = annotations.votes.T @ mass.ravel()
            expected += by_cell.reshape(-1, k).sum(axis=1) * serious
    given = annotations.worker_labels
    return np.clip(np.divide(expected, given, out=np.full_like(given, 0.5), where=given > 0), _SMALLEST, _LARGEST)
