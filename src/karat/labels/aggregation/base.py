"""What every aggregator of class labels shares."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ..._core.machine import needs
from ...errors import ArgumentError, generator, one_of
from ..tables.annotations import Annotations
from ..tables.read import as_annotations

if TYPE_CHECKING:
    from typing import Self

    from ..._core.types import Array, Floats

TIES = ("split", "lowest", "random")
_SAME = 1e-9


class Aggregator(ABC):
    """From the labels of several workers to a distribution over classes for every task.

    Attributes
    ----------
    classes_ : tuple
        The K classes.
    tasks_ : ndarray, shape (n,)
        Tasks, sorted.
    workers_ : ndarray, shape (W,)
        Workers, sorted.
    probabilities_ : ndarray, shape (n, K)
        Class probabilities of the tasks it was fitted on.

    Examples
    --------
    >>> import karat as kt
    >>> votes = {"task": [1, 1, 2], "worker": ["a", "b", "a"], "label": ["x", "y", "y"]}
    >>> for method in (kt.labels.MajorityVote(), kt.labels.OneCoin()):
    ...     print(isinstance(method, kt.labels.Aggregator), method.fit(votes).classes_)
    True ('x', 'y')
    True ('x', 'y')
    """

    classes_: tuple[Any, ...]
    tasks_: Array
    workers_: Array
    probabilities_: Floats
    skills_: Floats
    prior_: Floats
    loss_history_: list[float]
    converged_: bool
    n_iter_: int
    name = ""
    needs_workers = True
    models = False
    """Whether annotators are taken to err independently given the truth, so that probabilities may be too sure."""

    @abstractmethod
    def _fit(self, annotations: Annotations) -> Floats:
        """Fit on coded labels and return class probabilities, shape (n, K)."""

    @abstractmethod
    def _predict(self, annotations: Annotations) -> Floats:
        """Class probabilities of new labels in the codes of the fit."""

    def fit(self, annotations: object, **columns: Any) -> Self:
        """Fit to labels.

        Parameters
        ----------
        annotations : Annotations or data frame
            Coded labels, or a long table.
        **columns
            For a table: as in :func:`karat.labels.read_annotations`.

        Returns
        -------
        Aggregator
            Itself.

        Raises
        ------
        KaratError
            If the labels cannot be used; the message says why.
        """
        coded = as_annotations(annotations, columns)
        if coded.anonymous and self.needs_workers:
            raise ArgumentError(
                f"{type(self).__name__} learns about workers, but these labels are counts without names; use "
                "'vote_share', 'softmax' or 'majority', or give one row per label with its worker."
            )
        cells = 8.0 * coded.n_tasks * coded.n_classes
        needs(
            4 * cells,
            f"a probability for each of {coded.n_tasks:,} tasks and {coded.n_classes:,} classes",
            "merge rare classes, or aggregate fewer tasks at a time",
        )
        self.classes_, self.tasks_, self.workers_ = coded.classes, coded.tasks, coded.workers
        self.probabilities_ = coded.clamp(self._fit(coded))
        return self

    def predict_proba(self, annotations: object = None, **columns: Any) -> Floats:
        """Class probabilities of the tasks fitted on, or of new ones labelled by the same workers.

        Parameters
        ----------
        annotations : Annotations or data frame, optional
            New labels; by default those fitted on.
        **columns
            For a table: as in :func:`karat.labels.read_annotations`.

        Returns
        -------
        ndarray, shape (n, K)
            Rows in the order of the sorted task names.

        Raises
        ------
        DataError
            If the new labels hold workers or classes that the fit has not seen.
        """
        if not hasattr(self, "probabilities_"):
            raise ArgumentError(f"{type(self).__name__} is not fitted; call fit(annotations) first.")
        if annotations is None:
            return self.probabilities_
        if not isinstance(annotations, Annotations):
            columns.setdefault("classes", list(self.classes_))
        coded = as_annotations(annotations, columns).recoded(self.workers_, self.classes_)
        return coded.clamp(self._predict(coded))

    def fit_predict_proba(self, annotations: object, **columns: Any) -> Floats:
        """Fit, and return the class probabilities, shape (n, K)."""
        return self.fit(annotations, **columns).probabilities_

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Settings by name, as in scikit-learn."""
        names = [n for n in inspect.signature(type(self).__init__).parameters if n != "self"]
        return {n: getattr(self, n) for n in names if hasattr(self, n)}

    def set_params(self, **settings: Any) -> Self:
        """Change settings, as in scikit-learn."""
        known = self.get_params()
        for name, value in settings.items():
            if name not in known:
                raise ArgumentError(
                    f"{type(self).__name__} has no setting {name!r}; it has {', '.join(map(repr, known)) or 'none'}."
                )
            setattr(self, name, value)
        return self

    def __repr__(self) -> str:
        inside = ", ".join(f"{n}={v!r}" for n, v in self.get_params().items())
        return f"{type(self).__name__}({inside})"


@dataclass
class Climb:
    """Log likelihood per label round by round, until it grows by less than ``tol``."""

    tol: float
    history: list[float] = field(default_factory=list)
    converged: bool = False

    def settled(self, value: float) -> bool:
        """Note the value of a round; whether it is the last."""
        gain = value - (self.history[-1] if self.history else -np.inf)
        self.history.append(value)
        self.converged = gain < max(self.tol, 1e-12)
        return gain < self.tol

    def keep(self, model: Aggregator) -> None:
        """Tell the model how it went."""
        model.loss_history_, model.converged_, model.n_iter_ = self.history, self.converged, len(self.history)


def softmax_rows(scores: Floats, shift: bool = True) -> tuple[Floats, Floats]:
    """Softmax of each row, and the log of its normaliser.

    Examples
    --------
    >>> import numpy as np
    >>> softmax_rows(np.zeros((1, 2)))[0]
    array([[0.5, 0.5]])
    """
    top = row_max(scores) if shift else None
    if top is not None:
        scores -= top[:, None]
    np.exp(scores, out=scores)
    total = row_sum(scores)
    scores /= total[:, None]
    log_sum = np.log(total)
    return scores, log_sum if top is None else log_sum + top


def row_max(values: Floats) -> Floats:
    """Largest value of each row; quick when rows are short."""
    if values.shape[1] > 32:
        return np.asarray(values.max(axis=1))
    out = values[:, 0].copy()
    for j in range(1, values.shape[1]):
        np.maximum(out, values[:, j], out=out)
    return out


def row_sum(values: Floats) -> Floats:
    """Sum of each row; quick when rows are short."""
    if values.shape[1] > 32:
        return np.asarray(values.sum(axis=1))
    out = values[:, 0].copy()
    for j in range(1, values.shape[1]):
        out += values[:, j]
    return out


def normalised(weights: Floats) -> Floats:
    """Rows divided by their sum; a row of zeros becomes uniform."""
    total = row_sum(weights)[:, None]
    empty = total <= 0
    return np.where(empty, 1.0 / weights.shape[1], weights / np.where(empty, 1.0, total))


def winners(scores: Floats, ties: str = "split", rng: np.random.Generator | None = None) -> Floats:
    """Indicator of the largest score of each row, with a stated rule for ties.

    Notes
    -----
    Scores within a relative 1e-9 of the largest count as tied, so that rounding decides nothing.

    Examples
    --------
    >>> import numpy as np
    >>> winners(np.array([[1.0, 1.0, 0.0]]))
    array([[0.5, 0.5, 0. ]])
    """
    one_of("ties", ties, TIES)
    top = row_max(scores)
    tied = scores >= (top - _SAME * np.maximum(np.abs(top), 1e-300))[:, None]
    if ties == "split":
        return tied / row_sum(tied.astype(np.float64))[:, None]
    if ties == "random":
        noise = (rng or generator(None)).random(scores.shape)
        return one_hot(np.where(tied, noise, -1.0).argmax(axis=1), scores.shape[1])
    return one_hot(tied.argmax(axis=1), scores.shape[1])


def one_hot(codes: Array, n_classes: int) -> Floats:
    """Indicator matrix of codes, shape (n, K)."""
    out = np.zeros((len(codes), n_classes))
    out[np.arange(len(codes)), codes] = 1.0
    return out
