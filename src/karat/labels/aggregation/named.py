"""Classes that somebody named for a task, one by one, and all others together: for very many classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .cells import MANY_CLASSES

if TYPE_CHECKING:
    from ..._core.types import Floats, Ints
    from ..tables.annotations import Annotations


@dataclass(frozen=True, eq=False)
class Named:
    """Pairs of a task and a class that somebody named for it.

    Where all classes that nobody named for a task have the same likelihood, their probabilities need not be kept one
    by one: sums over K classes become sums over pairs, exactly.

    Parameters
    ----------
    task, label : ndarray of int, shape (P,)
        The pairs, sorted.
    of : ndarray of int, shape (m,)
        Pair of each label.

    Examples
    --------
    >>> import karat as kt
    >>> votes = kt.labels.read_annotations({"task": [1, 1, 2], "worker": list("aba"), "label": list("xxy")})
    >>> pairs = Named.of_labels(votes)
    >>> pairs.task, pairs.label, pairs.of
    (array([0, 1]), array([0, 1]), array([0, 0, 1]))
    """

    data: Annotations
    task: Ints
    label: Ints
    of: Ints

    @classmethod
    def of_labels(cls, data: Annotations) -> Named:
        """The pairs of precise labels."""
        key, of = np.unique(data.task.astype(np.int64) * data.n_classes + data.label, return_inverse=True)
        task, label = np.divmod(key, data.n_classes)
        return cls(data, task, label, of)

    @staticmethod
    def pays(data: Annotations) -> bool:
        """Whether there are so many classes that few are named for a task."""
        return data.n_classes > MANY_CLASSES and data.candidates is None

    def sums(self, values: Floats) -> Floats:
        """Sums of a value of each label by pair, weighted."""
        return np.bincount(self.of, values * self.data.weights, minlength=len(self.task))

    def posterior(self, scores: Floats) -> tuple[Floats, Floats, float]:
        """Probability of each pair, of any one other class by task, and the sum of log normalisers; gold clamped.

        ``scores`` (P,) are log likelihoods relative to a class that nobody named; all classes are alike a priori. The
        log probability of gold is added to the sum.
        """
        n, k, gold = self.data.n_tasks, self.data.n_classes, self.data.gold
        top = np.zeros(n)
        np.maximum.at(top, self.task, scores)
        each, rest = np.exp(scores - top[self.task]), np.exp(-top)
        size = np.bincount(self.task, minlength=n)
        total = np.bincount(self.task, each, minlength=n) + (k - size) * rest
        q, rest = each / total[self.task], rest / total
        value = float((np.log(total) + top).sum()) - n * np.log(k)
        if gold is not None:
            known = gold[self.task]
            found = np.where(gold >= 0, rest, 1.0)
            found[self.task[known == self.label]] = q[known == self.label]
            value += float(np.log(np.maximum(found, 1e-300)).sum())
            q = np.where(known >= 0, known == self.label, q)
            rest = np.where(gold >= 0, 0.0, rest)
        return q, rest, value

    def dense(self, q: Floats, rest: Floats) -> Floats:
        """Class probabilities, shape (n, K)."""
        out = np.repeat(rest[:, None], self.data.n_classes, axis=1)
        out[self.task, self.label] = q
        return self.data.clamp(out)
