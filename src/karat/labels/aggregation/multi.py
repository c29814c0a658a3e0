"""Codes of which several may hold at once: one yes-or-no aggregation per code, one worker model for all."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..._core.machine import needs
from ...errors import DataError, one_of
from ..tables.annotations import Annotations
from ..tables.codes import class_tuple, codes_among, listed, name_of, objects, shown, sorted_codes
from ..tables.render import backend_of, build_frame
from .aggregate import METHODS, make

if TYPE_CHECKING:
    from ..._core.types import Array, Floats, Ints


@dataclass(frozen=True, eq=False)
class MultiLabels:
    """Probability that each code holds for each task.

    Parameters
    ----------
    tasks : ndarray, shape (n,)
        Sorted.
    codes : tuple
        The C codes.
    probabilities : ndarray, shape (n, C)
        Each between 0 and 1; rows need not add up to one.
    n_workers : ndarray, shape (n,)
        Workers that looked at each task.
    method : str
    workers : ndarray, shape (W,)
    skills : ndarray of shape (W,) or None
        Skill of each worker, shared by all codes.
    sensitivity, specificity : ndarray of shape (W,) or None
        Dawid-Skene: probability to name a code that holds, and not to name one that does not.
    prevalence : ndarray, shape (C,)
        Mean probability of each code.
    id_column, backend : str

    Examples
    --------
    >>> import karat as kt
    >>> rows = {"task": [1, 1, 2, 2], "worker": list("abab"), "label": [{"war"}, {"war", "economy"}, set(), set()]}
    >>> kt.labels.aggregate_codes(rows, method="vote_share").table
       task  p_economy  p_war  n_workers
    0     1        0.5    1.0          2
    1     2        0.0    0.0          2
    """

    tasks: Array
    codes: tuple[Any, ...]
    probabilities: Floats = field(repr=False)
    n_workers: Ints = field(repr=False)
    method: str
    workers: Array = field(repr=False)
    skills: Floats | None = field(default=None, repr=False)
    sensitivity: Floats | None = field(default=None, repr=False)
    specificity: Floats | None = field(default=None, repr=False)
    prevalence: Floats = field(default_factory=lambda: np.empty(0), repr=False)
    id_column: str = "task"
    backend: str = "pandas"

    @property
    def table(self) -> Any:
        """Task, ``p_<code>`` for each code, n_workers."""
        return self.to_frame(self.backend)

    def to_frame(self, backend: str = "pandas") -> Any:
        """The table as ``"pandas"``, ``"polars"`` or ``"pyarrow"``."""
        shares = [(f"p_{code}", p) for code, p in zip(self.codes, self.probabilities.T)]
        return build_frame([(self.id_column, self.tasks), *shares, ("n_workers", self.n_workers)], backend)


def aggregate_codes(
    data: object,
    method: str = "dawid_skene",
    *,
    codes: Sequence[Any] | None = None,
    task: str = "task",
    worker: str = "worker",
    label: str = "label",
    **settings: Any,
) -> MultiLabels:
    """Aggregate labels that are sets of codes.

    Parameters
    ----------
    data : data frame
        Either one row per task and worker with a set, list or tuple of codes in ``label``; or one row per code named.
        An empty set or a missing label says that the worker looked and found none.
    method : str
        A single method; each (task, code) is one yes-or-no question, and a worker has the same error rates for all
        codes, while every code has a prevalence of its own (Dawid-Skene, one-coin).
    codes : sequence, optional
        All codes; by default those that occur.
    task, worker, label : str
        Columns.
    **settings
        Settings of the method.

    Returns
    -------
    MultiLabels

    Raises
    ------
    ArgumentError, DataError

    Examples
    --------
    >>> import karat as kt
    >>> rows = {"task": [1, 1, 2, 2], "worker": list("abab"), "label": [["war"], ["war"], ["war", "law"], ["law"]]}
    >>> kt.labels.aggregate_codes(rows, method="vote_share").codes
    ('law', 'war')
    """
    one_of("method", method, tuple(m for m in METHODS if m != "top_two"))
    tasks, workers, order, task_code, worker_code, pair, named = _read(data, codes, task, worker, label)
    n_codes = len(order)
    needs(
        8.0 * 12 * len(task_code) * n_codes,
        f"an answer for each of {len(task_code):,} meetings of a worker and a task and {n_codes:,} codes",
        "leave out rare codes, or aggregate fewer tasks at a time",
    )
    question = np.repeat(task_code * n_codes, n_codes) + np.tile(np.arange(n_codes), len(task_code))
    answer = np.zeros(len(question), dtype=np.intp)
    answer[pair * n_codes + named] = 1
    coded = Annotations.sort(
        np.arange(len(tasks) * n_codes), workers, (False, True), question, np.repeat(worker_code, n_codes), answer
    )
    coded = replace(coded, family=np.tile(np.arange(n_codes), len(tasks)))
    model = make(method, settings).fit(coded)
    p = model.probabilities_[:, 1].reshape(len(tasks), n_codes)
    confusion = getattr(model, "confusion_", None)
    return MultiLabels(
        tasks, order, p, np.bincount(task_code, minlength=len(tasks)), method, workers, getattr(model, "skills_", None),
        sensitivity=None if confusion is None else confusion[:, 1, 1],
        specificity=None if confusion is None else confusion[:, 0, 0],
        prevalence=p.mean(axis=0), id_column=task, backend=backend_of(data),
    )  # fmt: skip


def _read(
    data: object, codes: Sequence[Any] | None, task: str, worker: str, label: str
) -> tuple[Array, Array, tuple[Any, ...], Ints, Ints, Ints, Ints]:
    """Tasks, workers, codes; task and worker of each pair that met; pair and code of each code named."""
    import pandas as pd

    from ...frames import Table
    from ..tables.read import label_column, names_in

    table = Table.read(data)
    values = label_column(table, label)
    tasks, task_code = names_in(table, task, "task")
    workers, worker_code = names_in(table, worker, "worker")
    named = [map(name_of, v if _several(v) else [v]) for v in values.tolist()]
    sets = [tuple(dict.fromkeys(name for name in names if name is not None)) for names in named]
    row = np.repeat(np.arange(len(sets)), [len(s) for s in sets])
    flat = objects([c for s in sets for c in s])
    found = listed(sorted_codes(flat, f"column {label!r}")[0])
    order = class_tuple(found if codes is None else codes, "codes", least=0)
    if not order:
        raise DataError(f"column {label!r} names no code at all; name the possible ones with codes=[...].")
    key = task_code * len(workers) + worker_code
    meetings, pair = np.unique(key, return_inverse=True)
    if len(meetings) < len(key) and any(map(_several, values.dropna())):
        twice = pd.Series(key).duplicated().to_numpy()
        first = int(np.flatnonzero(twice)[0])
        raise DataError(
            f"task {shown(tasks[task_code[first]])} and worker {shown(workers[worker_code[first]])} have two sets of "
            "codes; keep one."
        )
    codes_named = codes_among(flat, order, "code") if len(flat) else np.empty(0, dtype=np.intp)
    return tasks, workers, order, meetings // len(workers), meetings % len(workers), pair[row], codes_named


def _several(value: Any) -> bool:
    return isinstance(value, Iterable) and not isinstance(value, (str, bytes))
