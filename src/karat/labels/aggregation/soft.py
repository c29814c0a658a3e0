"""What aggregation gives back: class probabilities by task, and what was learnt about the workers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import ArgumentError, DataError, generator, one_of
from ..tables.codes import listed, objects, one_column, positions, shown
from ..tables.render import build_frame
from .base import TIES, winners

if TYPE_CHECKING:
    import pandas as pd

    from ..._core.types import Array, Floats


@dataclass(frozen=True, eq=False)
class SoftLabels:
    """Class probabilities of every task.

    Parameters
    ----------
    tasks : ndarray, shape (n,)
        Names of the tasks, sorted.
    classes : tuple
        The K classes.
    probabilities : ndarray, shape (n, K)
        Rows add up to one.
    n_labels : ndarray, shape (n,)
        Number (total weight) of labels behind each row.
    method : str
        How it was made.
    workers : ndarray, shape (W,)
        Names of the workers.
    worker_labels : ndarray, shape (W,)
        Number of labels of each worker.
    skills : mapping of str to ndarray of shape (W,)
        Skill of each worker under each method that has one.
    confusion : ndarray of shape (W, K, K) or None
        Dawid-Skene: probability that worker w answers k (last axis) when the truth is c.
    members : mapping of str to ndarray of shape (n, K)
        Probabilities by method, where several were pooled.
    extras : mapping of str to ndarray of shape (n,)
        Further columns by task (TopTwo: ``second``, ``confusion``; GLAD: ``easiness``).
    confidence : mapping of str to float
        What calibration chose: ``dependence`` of annotators, ``trust`` in methods that model them, ``spread`` of vote
        shares; with gold ``temperature``, ``gold`` (number of tasks) and the log loss on withheld gold before and
        after.
    notes : tuple of str
        What was left out, what did not converge.
    id_column, backend : str
        Name of the id column, and the library of the frame that came in.

    Examples
    --------
    >>> import karat as kt
    >>> votes = {"task": [1, 1, 2, 2], "worker": list("abab"), "label": ["x", "x", "x", "y"]}
    >>> soft = kt.labels.aggregate(votes, method="vote_share")
    >>> soft.table
       task  p_x  p_y   entropy  n_labels
    0     1  1.0  0.0  0.000000       2.0
    1     2  0.5  0.5  0.693147       2.0
    """

    tasks: Array
    classes: tuple[Any, ...]
    probabilities: Floats = field(repr=False)
    n_labels: Floats = field(repr=False)
    method: str
    workers: Array = field(repr=False)
    worker_labels: Floats = field(repr=False)
    skills: Mapping[str, Floats] = field(default_factory=dict, repr=False)
    confusion: Floats | None = field(default=None, repr=False)
    members: Mapping[str, Floats] = field(default_factory=dict, repr=False)
    extras: Mapping[str, Array] = field(default_factory=dict, repr=False)
    confidence: Mapping[str, float] = field(default_factory=dict, repr=False)
    notes: tuple[str, ...] = ()
    id_column: str = "task"
    backend: str = "pandas"

    def __repr__(self) -> str:
        return (
            f"SoftLabels({len(self.tasks)} tasks, classes {list(self.classes)}, method {self.method!r}, "
            f"{len(self.workers)} workers)"
        )

    @property
    def entropy(self) -> Floats:
        """Entropy of each row in nats, shape (n,)."""
        p = self.probabilities
        return np.asarray(-(p * np.log(np.where(p > 0, p, 1.0))).sum(axis=1)) + 0.0

    @property
    def columns(self) -> dict[Any, str]:
        """Class -> name of its probability column, as ``surrogates=`` takes it."""
        return {c: f"p_{c}" for c in self.classes}

    @property
    def table(self) -> Any:
        """Task, ``p_<class>`` for each class, entropy (nats), n_labels; in the library of the data that came in."""
        return self.to_frame(self.backend)

    def to_frame(self, backend: str = "pandas") -> Any:
        """The table in a library of choice.

        Parameters
        ----------
        backend : {"pandas", "polars", "pyarrow"}

        Returns
        -------
        data frame

        Raises
        ------
        ArgumentError
            If the library is not known or not installed.
        """
        shares = [(name, p) for name, p in zip(self.columns.values(), self.probabilities.T)]
        more = [("entropy", self.entropy), ("n_labels", self.n_labels), *self.extras.items()]
        return build_frame([(self.id_column, self.tasks), *shares, *more], backend)

    def worker_table(self, backend: str = "pandas") -> Any:
        """Worker, number of labels, and one skill column per method that has one."""
        columns = {"worker": self.workers, "n_labels": self.worker_labels}
        columns |= {f"skill_{name}": values for name, values in self.skills.items()}
        return build_frame(columns, backend)

    def confusion_of(self, worker: object) -> pd.DataFrame:
        """Confusion matrix of one worker: rows are the truth, columns the answer.

        Parameters
        ----------
        worker : object
            Name of the worker.

        Returns
        -------
        pandas.DataFrame, K x K

        Raises
        ------
        ArgumentError
            If the method has no confusion matrices, or the worker is not known.
        """
        import pandas as pd

        if self.confusion is None:
            raise ArgumentError(f"method {self.method!r} has no confusion matrices; use method='dawid_skene'.")
        place = positions(objects([worker]), listed(self.workers))
        if place[0] < 0:
            raise ArgumentError(f"worker {worker!r} gave no labels; workers: {self.workers[:6].tolist()} ...")
        names = list(self.classes)
        return pd.DataFrame(self.confusion[place[0]], pd.Index(names, name="truth"), pd.Index(names, name="answer"))

    def hard(self, ties: str = "lowest", seed: int | np.random.Generator | None = 0) -> Array:
        """Most probable class of each task.

        Parameters
        ----------
        ties : {"lowest", "random", "split"}
            The first tied class in the order of ``classes``, a random one, or (``"split"``) none: a missing value.
        seed : int or numpy.random.Generator, optional
            For ``"random"``; None draws anew each time.

        Returns
        -------
        ndarray of object, shape (n,)
        """
        one_of("ties", ties, TIES)
        chosen = winners(self.probabilities, ties, generator(seed))
        out = objects(self.classes)[chosen.argmax(axis=1)]
        if ties == "split":
            out[chosen.max(axis=1) < 1] = None
        return out

    def align(self, tasks: object, missing: str = "raise") -> Floats:
        """Probabilities in the order of a corpus, ready for ``surrogates=``.

        Parameters
        ----------
        tasks : array_like, shape (N,)
            Task of each row of the corpus.
        missing : {"raise", "uniform", "nan"}
            What rows without soft labels get.

        Returns
        -------
        ndarray, shape (N, K)

        Raises
        ------
        DataError
            If a row has no soft label and ``missing="raise"``.
        """
        one_of("missing", missing, ("raise", "uniform", "nan"))
        wanted = one_column(tasks, "tasks")
        place = positions(wanted, listed(self.tasks))
        lost = place < 0
        if lost.any() and missing == "raise":
            example = wanted[lost][0]
            raise DataError(
                f"{int(lost.sum())} row(s) have no soft label, for example {shown(example)}; aggregate with "
                "tasks=[...] naming all of them, or set missing='uniform'."
            )
        out = self.probabilities[place]
        out[lost] = 1.0 / len(self.classes) if missing == "uniform" else np.nan
        return out

    def summary(self) -> str:
        """Numbers of tasks, workers and labels, how sure the labels are, the weakest workers, and notes."""
        lines = [
            f"Soft labels by {self.method}",
            f"  tasks {len(self.tasks)}, workers {len(self.workers)}, labels {self.worker_labels.sum():g} "
            f"({self.n_labels.min():g} to {self.n_labels.max():g} a task)",
            f"  mean entropy {self.entropy.mean():.3f} nats (uniform: {np.log(len(self.classes)):.3f})",
            "  mean probability "
            + ", ".join(f"{c} {p:.3f}" for c, p in zip(self.classes, self.probabilities.mean(axis=0))),
        ]
        if self.confidence:
            lines.append("  calibration " + ", ".join(f"{n} {v:.3g}" for n, v in self.confidence.items()))
        for name, values in self.skills.items():
            order = np.argsort(values)[: min(3, len(values))]
            weakest = ", ".join(f"{self.workers[i]} {values[i]:.2f}" for i in order)
            lines.append(f"  skill ({name}): median {np.median(values):.2f}; lowest {weakest}")
        lines += [f"  note: {note}" for note in self.notes]
        return "\n".join(lines)
