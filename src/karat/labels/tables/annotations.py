"""Who gave which label to what, as arrays.

Everything below this module works on integer codes. Labels are kept sorted by (task, worker, class),
so that the order of the rows that came in cannot matter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import DataError
from .codes import UNKNOWN, class_tuple, codes_among, listed, objects, sorted_codes

if TYPE_CHECKING:
    from ..._core.types import Array, Bools, Floats, Ints


@dataclass(frozen=True)
class Candidates:
    """Imprecise labels: each names a set of classes, one of which the worker had in mind.

    Task, worker and weight of R answers, and the classes that each allows (R, K); "not C" allows all but C.
    """

    task: Ints
    worker: Ints
    member: Bools
    weight: Floats

    def __len__(self) -> int:
        return len(self.task)

    @property
    def size(self) -> Ints:
        """Number of classes each answer allows, shape (R,)."""
        return np.asarray(self.member.sum(axis=1), dtype=np.intp)

    def add_to(self, scores: Floats, likelihood: Floats) -> None:
        """Add the log likelihood of each answer, shape (R, K), to the scores of its task, in place."""
        np.add.at(scores, self.task, self.weight[:, None] * np.log(np.maximum(likelihood, 1e-300)))

    @cached_property
    def pairs(self) -> tuple[Ints, Ints, Ints]:
        """Answer and class of every allowed class, and where each answer starts."""
        answer, label = np.nonzero(self.member)
        start = np.concatenate([[0], np.cumsum(self.size)[:-1]]).astype(np.intp)
        return answer.astype(np.intp), label.astype(np.intp), start


@dataclass(frozen=True)
class Annotations:
    """Labels that workers gave to tasks, coded.

    Parameters
    ----------
    tasks : ndarray, shape (n,)
        Names of the tasks, sorted.
    workers : ndarray, shape (W,)
        Names of the workers, sorted.
    classes : tuple
        The K classes.
    task, worker, label : ndarray of int, shape (m,)
        Codes of the precise labels, sorted by task, worker and class.
    weight : ndarray of shape (m,) or None
        Weights of the labels; None means 1 each. A worker with probabilities gives one row
        per class, weighted by the probability.
    candidates : Candidates or None
        Imprecise labels.
    gold : ndarray of int, shape (n,), or None
        True class where known, -1 elsewhere.
    family : ndarray of int, shape (n,), or None
        Tasks of one family share a class prior; None is one family.
    notes : tuple of str
        What was left out while reading.
    anonymous : bool
        Whether it is not known who gave which label; then only counting methods apply.
    ordered : bool
        Whether the order of the classes was given or declared, rather than found by sorting.

    Examples
    --------
    >>> import numpy as np
    >>> from karat.labels import Annotations
    >>> a = Annotations.of(np.array(["t1", "t1", "t2"]), np.array(["ann", "bob", "ann"]), np.array(["x", "y", "x"]))
    >>> a.n_tasks, a.n_workers, a.classes
    (2, 2, ('x', 'y'))
    """

    tasks: Array
    workers: Array
    classes: tuple[Any, ...]
    task: Ints = field(repr=False)
    worker: Ints = field(repr=False)
    label: Ints = field(repr=False)
    weight: Floats | None = field(default=None, repr=False)
    candidates: Candidates | None = field(default=None, repr=False)
    gold: Ints | None = field(default=None, repr=False)
    family: Ints | None = field(default=None, repr=False)
    notes: tuple[str, ...] = ()
    anonymous: bool = False
    ordered: bool = False

    @classmethod
    def of(
        cls,
        task: Array,
        worker: Array,
        label: Array,
        *,
        classes: Sequence[Any] | None = None,
        weight: Floats | None = None,
    ) -> Annotations:
        """Code three columns of names; no missing values.

        Parameters
        ----------
        task, worker, label : ndarray, shape (m,)
            Names.
        classes : sequence, optional
            All classes, in the order wanted; by default the labels that occur, sorted.
        weight : ndarray, shape (m,), optional
            Weights of the labels.

        Returns
        -------
        Annotations

        Raises
        ------
        DataError
            If a label is not among ``classes``, fewer than two classes remain, or a name is missing.
        """
        tasks, task_code = sorted_codes(task, "task")
        workers, worker_code = sorted_codes(worker, "worker")
        if (task_code < 0).any() or (worker_code < 0).any():
            raise DataError("task or worker has missing or blank names; every label needs both.")
        order = class_tuple(listed(sorted_codes(label, "label")[0]) if classes is None else classes)
        label_code = codes_among(label, order, "label")
        out = cls.sort(tasks, workers, order, task_code, worker_code, label_code, weight)
        return replace(out, ordered=classes is not None)

    @classmethod
    def sort(
        cls,
        tasks: Array,
        workers: Array,
        classes: tuple[Any, ...],
        task: Ints,
        worker: Ints,
        label: Ints,
        weight: Floats | None = None,
    ) -> Annotations:
        """Sort coded labels by task, worker and class."""
        if weight is None or (weight == 1.0).all():
            plain = _by_task_and_worker(task, worker, label, len(tasks), len(workers))
            if plain is not None:
                return cls(tasks, workers, classes, *plain)
            weight = None
        order = np.lexsort((label, worker, task))
        small = [np.asarray(a[order], dtype=np.int32) for a in (task, worker, label)]
        given = None if weight is None else np.asarray(weight, dtype=np.float64)[order]
        return cls(tasks, workers, classes, small[0], small[1], small[2], given)  # type: ignore[arg-type]

    @property
    def repeated(self) -> bool:
        """Whether a worker has two precise labels for one task."""
        return bool(((self.task[1:] == self.task[:-1]) & (self.worker[1:] == self.worker[:-1])).any())

    @property
    def n_tasks(self) -> int:
        """Number of tasks n."""
        return len(self.tasks)

    @property
    def n_workers(self) -> int:
        """Number of workers W."""
        return len(self.workers)

    @property
    def n_classes(self) -> int:
        """Number of classes K."""
        return len(self.classes)

    @cached_property
    def votes(self) -> Any:
        """Precise labels as a sparse matrix, shape (n K, W K): row (task, class), column (worker, class)."""
        from scipy import sparse

        k = self.n_classes
        shape = (self.n_tasks * k, self.n_workers * k)
        kind: Any = np.int32 if max(shape) < 2**31 else np.int64
        column = self.worker.astype(kind) * kind(k) + self.label
        row = self.task.astype(kind) * kind(k) + self.label
        return sparse.coo_matrix((self.weights, (row, column)), shape=shape).tocsr()

    @cached_property
    def answers(self) -> Any:
        """The same labels with rows for tasks, shape (n, W K); shares memory with ``votes``."""
        from scipy import sparse

        votes = self.votes
        shape = (self.n_tasks, votes.shape[1])
        return sparse.csr_matrix((votes.data, votes.indices, votes.indptr[:: self.n_classes]), shape=shape)

    @cached_property
    def counts(self) -> Floats:
        """Weight of the labels of each class, shape (n, K); an imprecise label is shared among its classes."""
        cells = self.n_tasks * self.n_classes
        key = self.task.astype(np.int64) * self.n_classes + self.label
        out = np.bincount(key, weights=self.weight, minlength=cells).astype(np.float64)
        out = out.reshape(self.n_tasks, self.n_classes)
        if self.candidates is not None and len(self.candidates):
            shared = self.candidates.member * (self.candidates.weight / self.candidates.size)[:, None]
            np.add.at(out, self.candidates.task, shared)
        return out

    @cached_property
    def n_labels(self) -> Floats:
        """Total weight of the labels of each task, shape (n,)."""
        out = np.bincount(self.task, weights=self.weight, minlength=self.n_tasks).astype(np.float64)
        if self.candidates is not None:
            out += np.bincount(self.candidates.task, self.candidates.weight, minlength=self.n_tasks)
        return out

    @cached_property
    def worker_labels(self) -> Floats:
        """Total weight of the labels of each worker, shape (W,)."""
        out = np.bincount(self.worker, weights=self.weight, minlength=self.n_workers).astype(np.float64)
        if self.candidates is not None:
            out += np.bincount(self.candidates.worker, self.candidates.weight, minlength=self.n_workers)
        return out

    @property
    def weights(self) -> Floats:
        """Weight of each precise label, shape (m,)."""
        return np.ones(len(self.task)) if self.weight is None else self.weight

    @property
    def total(self) -> float:
        """Total weight of all labels."""
        return float(self.n_labels.sum())

    def folded(self) -> Annotations:
        """Imprecise labels spread evenly over their classes, as weighted precise ones."""
        if self.candidates is None or not len(self.candidates):
            return replace(self, candidates=None)
        extra = self.candidates
        answer, label, _ = extra.pairs
        share = (extra.weight / extra.size)[answer]
        out = Annotations.sort(
            self.tasks,
            self.workers,
            self.classes,
            np.concatenate([self.task, extra.task[answer]]),
            np.concatenate([self.worker, extra.worker[answer]]),
            np.concatenate([self.label, label]),
            np.concatenate([self.weights, share]),
        )
        return replace(
            out, gold=self.gold, family=self.family, notes=self.notes, anonymous=self.anonymous, ordered=self.ordered
        )

    def with_gold(self, gold: Ints | None) -> Annotations:
        """The same labels with known classes (codes, -1 where unknown)."""
        return replace(self, gold=gold)

    def clamp(self, probabilities: Floats) -> Floats:
        """Put probability 1 on the known class of gold tasks, in place.

        Parameters
        ----------
        probabilities : ndarray, shape (n, K)

        Returns
        -------
        ndarray, shape (n, K)
            The same array.
        """
        if self.gold is not None:
            rows = np.flatnonzero(self.gold >= 0)
            probabilities[rows] = 0.0
            probabilities[rows, self.gold[rows]] = 1.0
        return probabilities

    def log_gold(self, probabilities: Floats) -> float:
        """Sum of the log probabilities of the known classes, before they are clamped."""
        if self.gold is None:
            return 0.0
        rows = np.flatnonzero(self.gold >= 0)
        return float(np.log(np.maximum(probabilities[rows, self.gold[rows]], 1e-300)).sum())

    def recoded(self, workers: Array, classes: tuple[Any, ...]) -> Annotations:
        """New labels in the codes of a fitted model.

        Parameters
        ----------
        workers : ndarray, shape (W,)
            Workers the model knows.
        classes : tuple
            Classes the model knows.

        Returns
        -------
        Annotations

        Raises
        ------
        DataError
            If a worker or class was not there when the model was fitted.
        """
        new_worker = codes_among(self.workers, listed(workers), "worker")
        new_label = codes_among(objects(self.classes), classes, "label")
        worker, label = new_worker[self.worker], new_label[self.label]
        out = Annotations.sort(self.tasks, workers, classes, self.task, worker, label, self.weight)
        extra = self.candidates
        if extra is not None:
            member = np.zeros((len(extra), len(classes)), dtype=bool)
            member[:, new_label] = extra.member
            extra = Candidates(extra.task, new_worker[extra.worker], member, extra.weight)
        gold = self.gold
        if gold is not None:
            gold = np.where(gold >= 0, new_label[np.maximum(gold, 0)], UNKNOWN)
        return replace(out, candidates=extra, gold=gold, family=self.family, notes=self.notes, ordered=self.ordered)


def _by_task_and_worker(
    task: Ints, worker: Ints, label: Ints, n_tasks: int, n_workers: int
) -> tuple[Ints, Ints, Ints] | None:
    """Labels in order of task and worker by two counting sorts; None when a worker labels a task twice."""
    from scipy import sparse

    by_worker = sparse.coo_matrix((label + 1, (worker, task)), shape=(n_workers, n_tasks)).tocsr()
    if by_worker.nnz < len(label):
        return None
    sorted_ = by_worker.tocsc()
    item = np.repeat(np.arange(n_tasks, dtype=np.int32), np.diff(sorted_.indptr))
    return item, sorted_.indices, (sorted_.data - 1).astype(np.int32)  # type: ignore[return-value]
