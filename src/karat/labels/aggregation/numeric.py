"""Numeric and ordinal labels: the mean, and a random-effects rater model."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import DataError, KaratWarning, number, one_of, whole
from ..tables.codes import class_tuple, codes_in, name_of
from ..tables.render import backend_of, build_frame

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..._core.types import Array, Floats, Ints

_DENSE_WORKERS = 2000
_BLOCK = 4096


@dataclass(frozen=True, eq=False)
class NumericLabels:
    """A number for every task.

    Parameters
    ----------
    tasks : ndarray, shape (n,)
        Sorted.
    value : ndarray, shape (n,)
        Estimate on the scale of the labels.
    sd : ndarray, shape (n,)
        Its standard error ("mean") or posterior standard deviation ("random_effects").
    n_labels : ndarray, shape (n,)
    method : str
    workers : ndarray, shape (W,)
    bias, noise : ndarray, shape (W,)
        How far each worker is above the truth, and the standard deviation of their errors; NaN for the mean.
    center, spread : float
        Mean and standard deviation of the true values over tasks (random effects).
    reliability : float
        Share of the variance of one label that is due to the task (intraclass correlation).
    converged : bool
    id_column, backend : str

    Examples
    --------
    >>> import karat as kt
    >>> rows = {"task": [1, 1, 2, 2], "worker": list("abab"), "label": [1.0, 3.0, 4.0, 6.0]}
    >>> kt.labels.rate(rows, method="mean").value
    array([2., 5.])
    """

    tasks: Array
    value: Floats = field(repr=False)
    sd: Floats = field(repr=False)
    n_labels: Floats = field(repr=False)
    method: str
    workers: Array = field(repr=False)
    bias: Floats = field(repr=False)
    noise: Floats = field(repr=False)
    center: float
    spread: float
    reliability: float
    converged: bool = True
    id_column: str = "task"
    backend: str = "pandas"

    @property
    def table(self) -> Any:
        """Task, value, sd, n_labels."""
        return self.to_frame(self.backend)

    def to_frame(self, backend: str = "pandas") -> Any:
        """The table as ``"pandas"``, ``"polars"`` or ``"pyarrow"``."""
        columns = {self.id_column: self.tasks, "value": self.value, "sd": self.sd, "n_labels": self.n_labels}
        return build_frame(columns, backend)

    def worker_table(self, backend: str = "pandas") -> Any:
        """Worker, bias, noise."""
        return build_frame({"worker": self.workers, "bias": self.bias, "noise": self.noise}, backend)


def rate(
    data: object,
    method: str = "random_effects",
    *,
    task: str = "task",
    worker: str = "worker",
    label: str = "label",
    levels: Sequence[Any] | None = None,
    n_iter: int = 500,
    tol: float = 1e-8,
) -> NumericLabels:
    r"""Turn numeric or ordinal labels of several raters into one number for every task.

    Parameters
    ----------
    data : data frame
        Long table, one row per label; rows with a missing label are left out.
    method : {"random_effects", "mean"}
        Rater model, or the plain mean.
    task, worker, label : str
        Columns.
    levels : sequence, optional
        For ordinal labels: the levels from low to high; they count 0, 1, 2, ... By default those that an ordered
        Categorical or an Enum of text declares.
    n_iter : int
        Most EM rounds.
    tol : float
        Stop when the variance components move by less, relative to the variance of the labels.

    Returns
    -------
    NumericLabels

    Raises
    ------
    DataError
        If a column is missing, a label is not a number or level, or there are too few labels.

    Notes
    -----
    :math:`y_{iw} = \mu + t_i + b_w + e_{iw}` with :math:`t_i \sim N(0, \tau^2)`, :math:`b_w \sim N(0, \phi^2)`,
    :math:`e_{iw} \sim N(0, \sigma_w^2)`, by EM on the joint normal posterior of all :math:`t` and :math:`b`. The noise
    variance of each rater is shrunk to the pooled one by a prior worth four labels. Above 2,000 raters the posterior
    variance of the biases uses the diagonal of their information matrix alone.

    References
    ----------
    Dempster, Rubin, Tsutakawa (1981), Estimation in covariance components models, JASA 76.

    Examples
    --------
    >>> import karat as kt
    >>> rows = {"task": [1, 1, 2, 2, 3, 3], "worker": list("ababab"), "label": [1, 3, 4, 6, 7, 9.0]}
    >>> kt.labels.rate(rows).bias.round(1)
    array([-1.,  1.])
    """
    one_of("method", method, ("random_effects", "mean"))
    n_iter, tol = whole("n_iter", n_iter, least=1), number("tol", tol, least=0)
    tasks, workers, i, w, y = _read(data, task, worker, label, levels)
    n_labels = np.bincount(i, minlength=len(tasks)).astype(np.float64)
    names = (task, backend_of(data))
    if method == "mean":
        value = np.bincount(i, y) / n_labels
        squares = np.bincount(i, (y - value[i]) ** 2)
        with np.errstate(divide="ignore", invalid="ignore"):
            sd = np.where(n_labels > 1, np.sqrt(squares / (n_labels - 1) / n_labels), np.nan)
        unknown = np.full(len(workers), np.nan)
        return NumericLabels(
            tasks, value, sd, n_labels, method, workers, unknown, unknown, float(value.mean()), float(value.std()),
            _one_way_reliability(i, y, n_labels), True, *names,
        )  # fmt: skip
    fit = _Raters(i, w, y, len(tasks), len(workers)).run(n_iter, tol)
    if not fit.converged:
        warnings.warn(
            f"the rater model stopped after n_iter={n_iter} rounds; raise n_iter.", KaratWarning, stacklevel=2
        )
    parts = fit.tau2, fit.phi2, float(np.bincount(w, minlength=len(workers)) @ fit.sigma2) / len(y)
    return NumericLabels(
        tasks, fit.mu + fit.t, np.sqrt(fit.t_var), n_labels, method, workers, fit.b, np.sqrt(fit.sigma2), fit.mu,
        float(np.sqrt(fit.tau2)), parts[0] / sum(parts), fit.converged, *names,
    )  # fmt: skip


class _Raters:
    """EM for the crossed random-effects model."""

    def __init__(self, task: Ints, worker: Ints, y: Floats, n_tasks: int, n_workers: int) -> None:
        self.i, self.w, self.y = task, worker, y
        self.n, self.m = n_tasks, n_workers
        scale = max(float(y.var()), 1e-12)
        self.scale = scale
        self.mu = float(y.mean())
        self.tau2, self.phi2 = 0.5 * scale, 0.1 * scale
        self.sigma2 = np.full(n_workers, 0.4 * scale)
        self.per_worker = np.bincount(worker, minlength=n_workers).astype(np.float64)
        self.t, self.b = np.zeros(n_tasks), np.zeros(n_workers)
        self.t_var, self.b_var = np.zeros(n_tasks), np.zeros(n_workers)
        self.cross = np.zeros(len(y))
        self.converged = False

    def run(self, n_iter: int, tol: float) -> _Raters:
        for _ in range(n_iter):
            before = np.array([self.tau2, self.phi2, float(self.sigma2.mean())])
            self._posterior()
            self._components()
            after = np.array([self.tau2, self.phi2, float(self.sigma2.mean())])
            if np.abs(after - before).max() < tol * self.scale:
                self.converged = True
                break
        self._posterior()
        return self

    def _posterior(self) -> None:
        """Posterior means, variances, and the covariance of t_i and b_w for every label."""
        from scipy import sparse

        precision = 1.0 / self.sigma2[self.w]
        residual = (self.y - self.mu) * precision
        a = np.bincount(self.i, precision, minlength=self.n) + 1.0 / self.tau2
        d = np.bincount(self.w, precision, minlength=self.m) + 1.0 / self.phi2
        r_t = np.bincount(self.i, residual, minlength=self.n)
        r_b = np.bincount(self.w, residual, minlength=self.m)
        c = sparse.csr_matrix((precision, (self.i, self.w)), shape=(self.n, self.m))
        scaled = sparse.diags(1.0 / a) @ c
        right = r_b - scaled.T @ r_t
        if self.m <= _DENSE_WORKERS:
            schur = np.diag(d) - np.asarray((c.T @ scaled).todense())
            inverse = np.linalg.inv(schur)
            self.b = inverse @ right
            self.b_var = np.diag(inverse).copy()
            # Labels are sorted by task; a block of tasks at a time, so that no table of tasks by workers is held.
            through = np.empty(len(self.y))
            for start in range(0, self.n, _BLOCK):
                inside = slice(*np.searchsorted(self.i, [start, start + _BLOCK]))
                rows = np.asarray(scaled[start : start + _BLOCK] @ inverse)
                through[inside] = rows[self.i[inside] - start, self.w[inside]]
            self.t_var = np.asarray(1.0 / a + np.bincount(self.i, through * precision / a[self.i], minlength=self.n))
            self.cross = -through
        else:
            from scipy.sparse.linalg import LinearOperator, cg

            schur_times = LinearOperator((self.m, self.m), matvec=lambda v: d * v - c.T @ (scaled @ v))
            self.b = cg(schur_times, right, x0=self.b, rtol=1e-10)[0]
            self.b_var = 1.0 / (d - np.asarray(c.multiply(scaled).sum(axis=0)).ravel())
            self.t_var = 1.0 / a + np.asarray(scaled.multiply(scaled).dot(self.b_var)).ravel()
            self.cross = -precision / a[self.i] * self.b_var[self.w]
        self.t = (r_t - c @ self.b) / a

    def _components(self) -> None:
        """New mean and variances from the posterior."""
        precision = 1.0 / self.sigma2[self.w]
        rest = self.y - self.t[self.i] - self.b[self.w]
        self.mu = float((precision * rest).sum() / precision.sum())
        self.tau2 = max(float((self.t**2 + self.t_var).mean()), 1e-12 * self.scale)
        self.phi2 = max(float((self.b**2 + self.b_var).mean()), 1e-12 * self.scale)
        squares = (rest - self.mu) ** 2 + self.t_var[self.i] + self.b_var[self.w] + 2 * self.cross
        total = np.bincount(self.w, squares, minlength=self.m)
        pooled = float(squares.mean())
        self.sigma2 = np.maximum((total + 4 * pooled) / (self.per_worker + 4), 1e-10 * self.scale)


def _one_way_reliability(task: Ints, y: Floats, n_labels: Floats) -> float:
    """Intraclass correlation of one label from the one-way analysis of variance; NaN without repeats."""
    mean = np.bincount(task, y) / n_labels
    within_df = len(y) - len(n_labels)
    if within_df < 1 or len(n_labels) < 2:
        return float("nan")
    within = float(((y - mean[task]) ** 2).sum()) / within_df
    between = float((n_labels * (mean - y.mean()) ** 2).sum()) / (len(n_labels) - 1)
    size = (len(y) - float((n_labels**2).sum()) / len(y)) / (len(n_labels) - 1)
    return (between - within) / (between + (size - 1) * within) if between + within > 0 else float("nan")


def _numbers(values: Any) -> Any:
    """A column whose blank entries are missing."""
    return values.map(name_of) if values.dtype == object else values


def _read(
    data: object, task: str, worker: str, label: str, levels: Sequence[Any] | None
) -> tuple[Array, Array, Ints, Ints, Floats]:
    from ...frames import Table
    from ...frames.table import as_float
    from ..tables.read import declared_order, names_in

    table = Table.read(data)
    values = table.column(label, "label")
    if levels is None:
        declared = declared_order(table, label)
        levels = declared if declared and isinstance(declared[0], str) else None
    if levels is not None:
        codes = codes_in(values, class_tuple(levels, "levels"), "level", label)
        y = np.where(codes >= 0, codes, np.nan)
    else:
        y = np.asarray(as_float(_numbers(values), label, "label"), dtype=np.float64)
    there = ~np.isnan(y)
    if there.sum() < 2:
        raise DataError(f"column {label!r} holds {int(there.sum())} label(s); give two or more.")
    kept, y = table.filter(there), y[there]
    tasks, i = names_in(kept, task, "task")
    workers, w = names_in(kept, worker, "worker")
    if len(np.unique(i * len(workers) + w)) < len(y):
        raise DataError("a worker labels a task more than once; keep one label of each worker on a task, or average.")
    order = np.lexsort((w, i))
    return tasks, workers, i[order], w[order], y[order]
