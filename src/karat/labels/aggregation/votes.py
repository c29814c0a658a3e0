"""Counting: majority, vote share, softmax of counts, and two rules that weight workers by agreement."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ...errors import generator, number, one_of, whole
from .base import TIES, Aggregator, normalised, softmax_rows, winners

if TYPE_CHECKING:
    from ..._core.types import Floats
    from ..tables.annotations import Annotations


class _Counting(Aggregator):
    """Methods that look at the labels of one task alone."""

    needs_workers = False

    def _fit(self, annotations: Annotations) -> Floats:
        return self._predict(annotations)


class _Weighting(Aggregator):
    """Methods that weigh the votes of each worker."""

    ties: str

    def _predict(self, annotations: Annotations) -> Floats:
        plain = annotations.folded()
        votes = _weighted_votes(plain, self.skills_)
        none = votes.sum(axis=1) <= 0
        if none.any():
            votes[none] = plain.counts[none]
        return normalised(votes)

    def _agreement(self, plain: Annotations, votes: Floats) -> Floats:
        """Agreement of each worker with the winners of a vote (gold where it is known)."""
        one_of("ties", self.ties, TIES[:2])
        return worker_agreement(plain, plain.clamp(winners(votes, self.ties)))


@dataclass(eq=False, repr=False)
class MajorityVote(_Counting):
    """All probability on the class with most labels.

    Parameters
    ----------
    ties : {"split", "lowest", "random"}
        Tied classes share the probability (the default, which no renaming can change), or the
        first in the order of the classes gets it, or a random one.
    seed : int or numpy.random.Generator, optional
        For ``ties="random"``; None draws anew each time.

    Examples
    --------
    >>> import karat as kt
    >>> votes = {"task": [1, 1, 2], "worker": ["a", "b", "a"], "label": ["x", "y", "y"]}
    >>> kt.labels.MajorityVote().fit(votes).predict_proba()
    array([[0.5, 0.5],
           [0. , 1. ]])
    """

    ties: str = "split"
    seed: int | np.random.Generator | None = 0
    name = "majority"

    def _predict(self, annotations: Annotations) -> Floats:
        return winners(annotations.counts, self.ties, generator(self.seed))


class VoteShare(_Counting):
    """Share of the labels of a task that name each class; uniform for a task without labels.

    Examples
    --------
    >>> import karat as kt
    >>> votes = {"task": [1, 1, 1, 2], "worker": ["a", "b", "c", "a"], "label": ["x", "y", "y", "y"]}
    >>> kt.labels.VoteShare().fit(votes).predict_proba().round(2)
    array([[0.33, 0.67],
           [0.  , 1.  ]])
    """

    name = "vote_share"

    def _predict(self, annotations: Annotations) -> Floats:
        return normalised(annotations.counts)


class Softmax(_Counting):
    """Softmax of the numbers of labels.

    References
    ----------
    Uma et al. (2020), A case for soft loss functions, HCOMP.

    Examples
    --------
    >>> import karat as kt
    >>> votes = {"task": [1, 1, 1], "worker": ["a", "b", "c"], "label": ["x", "y", "y"]}
    >>> kt.labels.Softmax().fit(votes).predict_proba().round(2)
    array([[0.27, 0.73]])
    """

    name = "softmax"

    def _predict(self, annotations: Annotations) -> Floats:
        return softmax_rows(annotations.counts.copy())[0]


@dataclass(eq=False, repr=False)
class Wawa(_Weighting):
    r"""Worker agreement with aggregate: votes weighted by each worker's agreement with the majority.

    Parameters
    ----------
    ties : {"split", "lowest"}
        How a tied majority counts: agreement shared among the tied classes, or the first class.

    Attributes
    ----------
    skills_ : ndarray, shape (W,)
        Share of a worker's labels that agree with the majority (with gold, where it is known).

    Notes
    -----
    :math:`p_{ik} \propto \sum_w s_w 1\{y_{iw} = k\}`.

    Examples
    --------
    >>> import karat as kt
    >>> votes = {"task": [1, 1, 1, 2], "worker": ["a", "b", "c", "a"], "label": ["x", "y", "y", "y"]}
    >>> kt.labels.Wawa().fit(votes).skills_
    array([0.5, 1. , 1. ])
    """

    ties: str = "split"
    name = "wawa"

    def _fit(self, annotations: Annotations) -> Floats:
        plain = annotations.folded()
        self.skills_ = self._agreement(plain, plain.counts)
        return self._predict(plain)


@dataclass(eq=False, repr=False)
class ZeroBasedSkill(_Weighting):
    """Weighted vote whose worker weights move towards the worker's agreement with it.

    Parameters
    ----------
    n_iter : int
        Rounds of voting.
    learning_rate : float
        First step; 1 replaces the skill by the agreement.
    halve_every : int
        Rounds after which the step is halved.
    ties : {"split", "lowest"}
        How a tied vote counts.

    Attributes
    ----------
    skills_ : ndarray, shape (W,)
        Weights of the workers.
    n_rounds_ : int
        Rounds run: a round that changes nothing is followed by no other, since all that follow
        would change nothing either.

    Examples
    --------
    >>> import karat as kt
    >>> votes = {"task": [1, 1, 1, 2], "worker": ["a", "b", "c", "a"], "label": ["x", "y", "y", "y"]}
    >>> kt.labels.ZeroBasedSkill().fit(votes).skills_
    array([0.5, 1. , 1. ])
    """

    n_iter: int = 100
    learning_rate: float = 1.0
    halve_every: int = 20
    ties: str = "split"
    name = "zero_based_skill"

    def _fit(self, annotations: Annotations) -> Floats:
        n_iter, halve_every = whole("n_iter", self.n_iter, least=1), whole("halve_every", self.halve_every, least=1)
        plain = annotations.folded()
        skills = np.full(plain.n_workers, 1.0 / plain.n_classes + 1e-5)
        step = number("learning_rate", self.learning_rate, above=0)
        for round_ in range(1, n_iter + 1):
            if round_ % halve_every == 0:
                step /= 2.0
            agreed = self._agreement(plain, _weighted_votes(plain, skills))
            self.n_rounds_ = round_
            if np.array_equal(agreed, skills):
                break
            skills = skills + step * (agreed - skills)
        self.skills_ = skills
        return self._predict(plain)


def worker_agreement(annotations: Annotations, probabilities: Floats) -> Floats:
    """Mean probability that a distribution over classes gives to each worker's labels."""
    by_cell = annotations.votes.T @ probabilities.ravel()
    agreed = by_cell.reshape(annotations.n_workers, annotations.n_classes).sum(axis=1)
    total = annotations.worker_labels
    return np.asarray(np.divide(agreed, total, out=np.zeros_like(agreed), where=total > 0))


def _weighted_votes(annotations: Annotations, skills: Floats) -> Floats:
    votes = annotations.votes @ np.repeat(skills, annotations.n_classes)
    return np.asarray(votes.reshape(annotations.n_tasks, annotations.n_classes))
