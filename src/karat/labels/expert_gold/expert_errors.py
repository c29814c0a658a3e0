"""Error rates of experts, and numbers whose expectation is the truth behind their labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...errors import DataError
from ..aggregation.base import normalised, softmax_rows
from ..aggregation.dawid_skene import matrices_fit
from ..tables.codes import shown

if TYPE_CHECKING:
    from ..._core.types import Floats
    from ..tables.annotations import Annotations

_SMOOTHING = 0.01
_LEAST_INFORMATION = 0.05
_MOST_ITERATIONS = 2000


def dependent_confusion(annotations: Annotations, dependence: float) -> tuple[Floats, Floats]:
    """Confusion matrices when on a known share of units the experts copy one of them."""
    matrices_fit(annotations)
    data = annotations.folded()
    k = data.n_classes
    counts = data.counts
    common = np.flatnonzero(counts.max(axis=1) >= counts.sum(axis=1) - 1e-9)
    answer = counts[common].argmax(axis=1)
    posterior = data.clamp(normalised(counts))
    prior = posterior.mean(axis=0)
    table = _answer_table(data.answers.T @ posterior, k)
    last = -np.inf
    for _ in range(_MOST_ITERATIONS):
        shared = table.mean(axis=0)
        alone = np.asarray(data.answers @ np.log(table.reshape(-1, k))) + np.log(1 - dependence)
        together = np.full_like(alone, -np.inf)
        if dependence > 0:
            together[common] = np.log(dependence) + np.log(shared[answer])
        either = np.logaddexp(alone, together)
        part = np.exp(alone - either)
        posterior, log_sum = softmax_rows(either + np.log(np.maximum(prior, 1e-10)))
        value = (float(log_sum.sum()) + data.log_gold(posterior)) / max(data.total, 1.0)
        data.clamp(posterior)
        prior = posterior.mean(axis=0)
        copied = np.zeros((k, k))
        np.add.at(copied, answer, (posterior * (1 - part))[common])
        first = copied * table / np.maximum(table.sum(axis=0), 1e-300)
        table = _answer_table(data.answers.T @ (posterior * part) + first.reshape(-1, k), k)
        if value - last < 1e-10:
            break
        last = value
    confusion = (dependence * table.mean(axis=0) + (1 - dependence) * table).transpose(0, 2, 1)
    return np.ascontiguousarray(confusion), np.asarray(prior)


def unbiased_truth(annotations: Annotations, confusion: Floats, prior: Floats) -> Floats:
    """Numbers whose expectation, given the true class, is its indicator."""
    data = annotations.folded()
    k = data.n_classes
    smallest = np.linalg.svd(confusion, compute_uv=False)[:, -1]
    if (smallest < _LEAST_INFORMATION).any():
        worst = int(smallest.argmin())
        raise DataError(
            f"the answers of expert {shown(data.workers[worst])} hardly depend on the truth (smallest singular value "
            f"of the confusion matrix {smallest[worst]:.3f}), so no truth can be recovered from them; leave the expert "
            "out, merge classes, or use estimand='expert_mean'."
        )
    inverse = np.linalg.inv(confusion)
    # Variance of row y of the inverse, over answers given the truth, averaged over classes and truths.
    second = np.einsum("c,wcy,wyk->w", prior, confusion, inverse**2)
    variance = np.maximum(second - 1.0, 1e-3)
    weight = (1.0 / variance)[data.worker] * data.weights
    each = inverse[data.worker, data.label] * weight[:, None]
    out = np.column_stack([np.bincount(data.task, column, minlength=data.n_tasks) for column in each.T])
    total = np.bincount(data.task, weight, minlength=data.n_tasks)
    out = np.divide(out, total[:, None], out=np.full_like(out, np.nan), where=total[:, None] > 0)
    assert out.shape == (data.n_tasks, k)
    return data.clamp(out)


def _answer_table(counts: Floats, k: int) -> Floats:
    """Answer probabilities given truth, shape (W, answer, truth), from expected counts."""
    table = np.asarray(counts).reshape(-1, k, k) + _SMOOTHING
    return np.asarray(table / table.sum(axis=1, keepdims=True))
