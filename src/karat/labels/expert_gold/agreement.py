"""How far annotators agree: Krippendorff's alpha, Fleiss' and Cohen's kappa."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ..._core.arguments import checked_arguments
from ..._core.machine import needs
from ...errors import DataError, generator, one_of, whole
from ...frames.kinds import is_number
from ..tables.annotations import Annotations
from ..tables.read import as_annotations

if TYPE_CHECKING:
    import pandas as pd

    from ..._core.types import Floats

LEVELS = ("nominal", "ordinal", "interval")


@dataclass(frozen=True)
class Agreement:
    """Agreement of annotators; prints as a short text.

    Parameters
    ----------
    alpha : float
        Krippendorff's alpha: 1 perfect, 0 as by chance.
    interval : tuple of float
        Percentile bootstrap interval of alpha over tasks.
    level : str
        Scale of measurement alpha was computed for.
    fleiss : float
        Fleiss' kappa; NaN unless every task has the same number of labels.
    cohen : float
        Cohen's kappa, averaged over pairs of workers, weighted by the tasks they share.
    percent : float
        Share of pairs of labels of a task that are equal.
    n_tasks : int
        Tasks with two labels or more.
    n_workers : int
        0 when labels are counts without names.
    pairs : pandas.DataFrame
        Cohen's kappa and shared tasks of each pair of workers (the 200 pairs that share most).

    Examples
    --------
    >>> import karat as kt
    >>> votes = {"task": [1, 1, 2, 2, 3, 3], "worker": list("ababab"), "label": list("xxyyxy")}
    >>> round(kt.labels.agreement(votes, draws=0).alpha, 3)
    0.444
    """

    alpha: float
    interval: tuple[float, float]
    level: str
    fleiss: float
    cohen: float
    percent: float
    n_tasks: int
    n_workers: int
    pairs: pd.DataFrame = field(repr=False, compare=False)

    def __str__(self) -> str:
        low, high = self.interval
        between = "" if np.isnan(low) else f" [{low:.3f}, {high:.3f}]"
        fleiss = "" if np.isnan(self.fleiss) else f", Fleiss kappa {self.fleiss:.3f}"
        cohen = "" if np.isnan(self.cohen) else f", Cohen kappa (mean over pairs) {self.cohen:.3f}"
        workers = f", {self.n_workers} workers" if self.n_workers else ""
        return (
            f"Krippendorff alpha ({self.level}) {self.alpha:.3f}{between}{fleiss}{cohen}, equal labels "
            f"{self.percent:.1%}; {self.n_tasks} tasks with two labels or more{workers}"
        )


@checked_arguments()
def agreement(
    annotations: object,
    level: str = "nominal",
    *,
    draws: int = 500,
    seed: int | np.random.Generator | None = 0,
    **columns: Any,
) -> Agreement:
    """Agreement of the annotators of a long table.

    Parameters
    ----------
    annotations : data frame or Annotations
    level : {"nominal", "ordinal", "interval"}
        Ordinal takes the classes in their order: that of ``classes=``, of an ordered Categorical or an Enum, or of
        numbers. Text without one of these is refused. Interval takes the classes as numbers.
    draws : int
        Bootstrap draws of tasks for the interval of alpha; 0 for none.
    seed : int or numpy.random.Generator, optional
    **columns
        How to read the table, see :func:`read_annotations`.

    Returns
    -------
    Agreement

    Raises
    ------
    DataError
        If no task has two labels, interval is asked for labels that are not numbers, ordinal for classes without an
        order, or a worker gives anything but one class to a task.

    References
    ----------
    Krippendorff (2011), Computing Krippendorff's alpha-reliability; Fleiss (1971); Cohen (1960).

    Examples
    --------
    >>> import karat as kt
    >>> votes = {"task": [1, 1, 2, 2, 3, 3], "worker": list("ababab"), "label": list("xxyyxx")}
    >>> kt.labels.agreement(votes, draws=0).alpha
    1.0
    """
    coded = as_annotations(annotations, columns, agreement)
    one_of("level", level, LEVELS)
    draws = whole("draws", draws, least=0)
    _check_scale(coded, level)
    _check_whole_labels(coded)
    n, k = coded.n_tasks, coded.n_classes
    needs(8.0 * (4 * n * k + 5 * k * k + 60 * n), f"agreement of {n:,} tasks over {k:,} classes", "merge rare classes")
    counts = coded.counts
    several = counts.sum(axis=1) > 1 + 1e-9
    if not several.any():
        raise DataError("no task has two labels, so agreement cannot be measured; have some tasks labelled twice.")
    used = counts[several]
    alpha = krippendorff_alpha(used, level, coded.classes)
    interval = (float("nan"), float("nan"))
    rng = generator(seed)
    if draws and np.isfinite(alpha):
        distance = _distances(level, coded.classes)
        drawn = [_alpha(used[rng.integers(len(used), size=len(used))], distance, level) for _ in range(draws)]
        interval = (float(np.nanquantile(drawn, 0.025)), float(np.nanquantile(drawn, 0.975)))
    size = used.sum(axis=1)
    equal = (used * (used - 1)).sum(axis=1) / (size * (size - 1))
    pairs = _cohen_pairs(coded)
    cohen = float(np.average(pairs["kappa"], weights=pairs["tasks"])) if len(pairs) else float("nan")
    return Agreement(
        alpha, interval, level, _fleiss(used), cohen, float(np.average(equal, weights=size)), int(several.sum()),
        0 if coded.anonymous else coded.n_workers, pairs.head(200),
    )  # fmt: skip


def _check_scale(coded: Annotations, level: str) -> None:
    """Raise where ordinal is asked for classes whose order nobody gave."""
    if level == "ordinal" and not (coded.ordered or coded.n_classes < 3 or all(map(is_number, coded.classes))):
        raise DataError(
            f"level='ordinal' needs the order of the classes {list(coded.classes)[:6]}, which are text; give "
            "classes=[...] from low to high, or make the label column an ordered Categorical or an Enum."
        )


def _check_whole_labels(coded: Annotations) -> None:
    """Raise where a worker gives a task anything but one class that counts once."""
    whole_counts = coded.weight is None or (coded.anonymous and bool((coded.weight % 1 == 0).all()))
    if coded.candidates is not None or not whole_counts:
        raise DataError(
            "agreement compares labels of one class each, but these are weighted, shared among repeats of one worker, "
            "distributions, or sets of classes; leave out weight=, duplicates= and probabilities=, and keep one class "
            "for each worker and task."
        )


def krippendorff_alpha(counts: Floats, level: str = "nominal", classes: tuple[Any, ...] | None = None) -> float:
    """Krippendorff's alpha from counts of labels.

    Parameters
    ----------
    counts : ndarray, shape (n, K)
        Number of labels of each class on each task; tasks with fewer than two are left out.
    level : {"nominal", "ordinal", "interval"}
    classes : tuple, optional
        Values of the classes, for interval; by default 0 to K - 1.

    Returns
    -------
    float
        NaN when all labels are equal.

    Raises
    ------
    ArgumentError, DataError

    Examples
    --------
    >>> import numpy as np
    >>> round(krippendorff_alpha(np.array([[2, 0], [0, 2], [1, 1]])), 3)
    0.444
    """
    one_of("level", level, LEVELS)
    try:
        counts = np.asarray(counts, dtype=np.float64)
    except (TypeError, ValueError):
        counts = np.empty(0)
    if counts.ndim != 2 or not np.isfinite(counts).all() or (counts < 0).any():
        raise DataError(
            "counts must be a table of numbers of 0 or more, one row per task and one column per class; of labels take "
            "karat.labels.agreement(table)."
        )
    values = tuple(range(counts.shape[1])) if classes is None else tuple(classes)
    if len(values) != counts.shape[1]:
        raise DataError(f"classes names {len(values)} classes, counts has {counts.shape[1]} columns.")
    return _alpha(counts[counts.sum(axis=1) > 1 + 1e-9], _distances(level, values), level)


def _alpha(counts: Floats, distance: Floats | None, level: str) -> float:
    size = counts.sum(axis=1, keepdims=True)
    coincidence = (counts / (size - 1)).T @ counts - np.diag((counts / (size - 1)).sum(axis=0))
    margin = coincidence.sum(axis=0)
    if level == "ordinal":
        middle = np.cumsum(margin) - margin / 2
        distance = (middle[:, None] - middle[None, :]) ** 2
    expected = float(margin @ distance @ margin)
    if expected <= 0:
        return float("nan")
    return float(1 - (margin.sum() - 1) * (coincidence * distance).sum() / expected)


def _distances(level: str, classes: tuple[Any, ...]) -> Floats | None:
    """Squared distances between classes; None where they depend on the labels."""
    k = len(classes)
    if level == "nominal":
        return 1.0 - np.eye(k)
    if level == "ordinal":
        return None
    try:
        values = np.array([float(c) for c in classes])
    except (TypeError, ValueError):
        values = np.array([np.nan])
    if not np.isfinite(values).all():
        raise DataError(
            f"level='interval' needs numbers, the classes are {list(classes)[:6]}; recode them, or use 'ordinal'."
        )
    return (values[:, None] - values[None, :]) ** 2


def _fleiss(counts: Floats) -> float:
    if np.ptp(counts.sum(axis=1)) > 1e-9 or not np.allclose(counts, counts.round()):
        return float("nan")
    from statsmodels.stats.inter_rater import fleiss_kappa

    return float(fleiss_kappa(counts))


def _cohen_pairs(coded: Annotations) -> pd.DataFrame:
    """Cohen's kappa of each pair of workers that share tasks; up to 60 workers with most labels."""
    import pandas as pd

    busiest = np.sort(np.argsort(-coded.worker_labels, kind="stable")[:60])
    table = np.full((len(busiest), coded.n_tasks), -1, dtype=np.int64)
    row = np.full(coded.n_workers, -1)
    row[busiest] = np.arange(len(busiest))
    keep = row[coded.worker] >= 0
    table[row[coded.worker[keep]], coded.task[keep]] = coded.label[keep]
    out = []
    for a in range(len(busiest)):
        for b in range(a + 1, len(busiest)):
            both = (table[a] >= 0) & (table[b] >= 0)
            if both.sum() >= 2:
                kappa = cohen_kappa(table[a][both], table[b][both], coded.n_classes)
                if np.isfinite(kappa):
                    out.append((coded.workers[busiest[a]], coded.workers[busiest[b]], int(both.sum()), kappa))
    frame = pd.DataFrame(out, columns=["worker", "other", "tasks", "kappa"])
    return frame.sort_values("tasks", ascending=False, kind="stable", ignore_index=True)


def cohen_kappa(first: Any, second: Any, n_classes: int) -> float:
    """Cohen's kappa of two vectors of class codes; NaN when chance alone explains all.

    Parameters
    ----------
    first, second : ndarray of int, shape (n,)
    n_classes : int

    Returns
    -------
    float

    Examples
    --------
    >>> import numpy as np
    >>> cohen_kappa(np.array([0, 1, 0, 1]), np.array([0, 1, 1, 1]), 2)
    0.5
    """
    first, second = np.asarray(first), np.asarray(second)
    if any(codes.dtype.kind not in "iub" or (codes < 0).any() for codes in (first, second)):
        raise DataError(
            "first and second must be codes of classes, whole numbers from 0; of labels take "
            "karat.labels.agreement(table) with a row for each task, worker and label."
        )
    if first.shape != second.shape or not len(first):
        raise DataError(f"first has shape {first.shape}, second {second.shape}; give the codes of the same tasks.")
    share = [np.bincount(codes, minlength=n_classes) / len(codes) for codes in (first, second)]
    chance = float(share[0] @ share[1])
    return float(((first == second).mean() - chance) / (1 - chance)) if chance < 1 else float("nan")
