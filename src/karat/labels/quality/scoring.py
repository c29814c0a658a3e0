"""Soft labels held against gold: scores, calibration, temperature."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ...display.axes import BLUE, axes, plain
from ...errors import ArgumentError, DataError, generator, whole
from ..aggregation.base import one_hot
from ..aggregation.soft import SoftLabels
from ..tables.codes import class_tuple, codes_in, listed, name_of, objects, one_column
from .errors_by_design import share_intervals

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from ..._core.types import Array, Floats, Ints

_MIX = 0.99
"""Share of the prediction when it is mixed with the uniform distribution before taking logs."""


@dataclass(frozen=True)
class Scores:
    """How good soft labels are.

    Parameters
    ----------
    accuracy : float
        Share of tasks whose most probable class is the gold one (tied classes share).
    macro_f1 : float
        F1 of each gold class, averaged.
    nll : float
        Mean negative log probability of the gold class, after mixing with 1 % uniform.
    brier : float
        Mean squared distance to the gold indicator, summed over classes.
    ece : float
        Expected calibration error of the most probable class, ten bins.
    entropy : float
        Mean entropy in nats.
    n : int
        Tasks with gold.

    Examples
    --------
    >>> import numpy as np
    >>> import karat as kt
    >>> kt.labels.score(np.array([[0.9, 0.1], [0.2, 0.8]]), [0, 1], classes=[0, 1]).accuracy
    1.0
    """

    accuracy: float
    macro_f1: float
    nll: float
    brier: float
    ece: float
    entropy: float
    n: int

    def to_dict(self) -> dict[str, float]:
        """The scores by name."""
        return asdict(self)


def score(
    probabilities: SoftLabels | Floats,
    gold: Any,
    *,
    classes: Sequence[Any] | None = None,
    weights: Floats | None = None,
    n_bins: int = 10,
) -> Scores:
    """Score soft labels against gold.

    Parameters
    ----------
    probabilities : SoftLabels or array_like, shape (n, K)
    gold : mapping or array_like, shape (n,)
        Task -> class (with SoftLabels; a Series with an index of its own is read so), or the class of each row; missing
        where unknown.
    classes : sequence, optional
        Needed with an array: class of each column.
    weights : array_like, shape (n,), optional
        Weights of the rows, for example inverse inclusion probabilities of the gold sample.
    n_bins : int
        Bins of the calibration error.

    Returns
    -------
    Scores

    Raises
    ------
    ArgumentError, DataError

    Notes
    -----
    With ``weights`` the scores estimate those of the whole corpus (ratio estimators).

    Examples
    --------
    >>> import karat as kt
    >>> votes = {"task": [1, 1, 1, 2, 2, 2], "worker": list("abcabc"), "label": list("xxyyyy")}
    >>> round(kt.labels.score(kt.labels.aggregate(votes, "vote_share"), {1: "x", 2: "y"}).brier, 3)
    0.111
    """
    n_bins = whole("n_bins", n_bins, least=1)
    p, truth, w = _with_gold(probabilities, gold, classes, weights)
    hit = one_hot(truth, p.shape[1])
    top = p >= p.max(axis=1, keepdims=True) - 1e-12
    chosen = top / top.sum(axis=1, keepdims=True)
    share = w / w.sum()
    confusion = (hit * w[:, None]).T @ chosen
    both = confusion.sum(axis=0) + confusion.sum(axis=1)
    there = confusion.sum(axis=1) > 0
    f1 = 2 * np.diag(confusion)[there] / both[there]
    safe = _MIX * p + (1 - _MIX) / p.shape[1]
    bins = reliability(p, truth, classes=range(p.shape[1]), weights=w, n_bins=n_bins)
    gap = np.abs(bins["confidence"] - bins["accuracy"])
    return Scores(
        accuracy=float(share @ (chosen * hit).sum(axis=1)),
        macro_f1=float(f1.mean()),
        nll=float(-(share @ np.log(safe[np.arange(len(truth)), truth]))),
        brier=float(share @ ((p - hit) ** 2).sum(axis=1)),
        ece=float((gap * bins["share"]).sum()),
        entropy=float(-(share @ (p * np.log(np.where(p > 0, p, 1))).sum(axis=1))),
        n=len(truth),
    )


def reliability(
    probabilities: SoftLabels | Floats,
    gold: Any,
    *,
    classes: Sequence[Any] | None = None,
    weights: Floats | None = None,
    n_bins: int = 10,
) -> pd.DataFrame:
    """Accuracy of the most probable class by how probable it was said to be.

    Parameters
    ----------
    probabilities, gold, classes, weights
        As in :func:`score`.
    n_bins : int
        Bins of equal width between 0 and 1; empty ones are left out.

    Returns
    -------
    pandas.DataFrame
        Columns ``low, high, n, share, confidence, accuracy, 2.5%, 97.5%``. Intervals are Clopper and Pearson's where
        weights are equal, else as in :func:`karat.labels.audit` (methods, section 6).

    Examples
    --------
    >>> import numpy as np
    >>> import karat as kt
    >>> kt.labels.reliability(np.array([[0.9, 0.1], [0.2, 0.8]]), [0, 1], classes=[0, 1])["confidence"].tolist()
    [0.8, 0.9]
    """
    import pandas as pd

    n_bins = whole("n_bins", n_bins, least=1)
    p, truth, w = _with_gold(probabilities, gold, classes, weights)
    top = p >= p.max(axis=1, keepdims=True) - 1e-12
    right = top[np.arange(len(truth)), truth] / top.sum(axis=1)
    confidence = p.max(axis=1)
    place = np.minimum((confidence * n_bins + 1e-9).astype(np.intp), n_bins - 1)
    rows = []
    for b in np.unique(place[w > 0]):
        inside = (place == b) & (w > 0)
        v, hit = w[inside], right[inside]
        accuracy = float(v @ hit / v.sum())
        variance, one = float(v**2 @ (hit - accuracy) ** 2) / v.sum() ** 2, np.ones((len(v), 1))
        low, high = share_intervals(hit[:, None], one, (one > 0, one > 0), np.array([[variance]]), v)[0].tolist()
        rows.append((b / n_bins, (b + 1) / n_bins, int(inside.sum()), v.sum() / w.sum(),
                     float(v @ confidence[inside] / v.sum()), accuracy, low, high))  # fmt: skip
    return pd.DataFrame(rows, columns=["low", "high", "n", "share", "confidence", "accuracy", "2.5%", "97.5%"])


def reliability_diagram(table: pd.DataFrame, ax: Any = None, title: str | None = None) -> Any:
    """Draw a reliability table: share correct by stated probability.

    Parameters
    ----------
    table : pandas.DataFrame
        From :func:`reliability`.
    ax : matplotlib Axes, optional
    title : str, optional

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    KaratError
        If matplotlib is not installed.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("Agg")
    >>> import numpy as np
    >>> import karat as kt
    >>> table = kt.labels.reliability(np.array([[0.9, 0.1], [0.2, 0.8]]), [0, 1], classes=[0, 1])
    >>> kt.labels.reliability_diagram(table).get_xlabel()
    'probability given to the most probable class'
    """
    ax = axes(ax, (4.2, 4.2))
    ax.plot([0, 1], [0, 1], color="0.6", linewidth=1)
    error = np.abs(np.stack([table["accuracy"] - table["2.5%"], table["97.5%"] - table["accuracy"]]))
    ax.errorbar(table["confidence"], table["accuracy"], error, fmt="o", color=BLUE, capsize=2)
    ax.set(xlim=(0, 1.02), ylim=(0, 1.02), xlabel="probability given to the most probable class")
    ax.set(ylabel="share correct")
    plain(ax, title)
    return ax


@dataclass(frozen=True, eq=False)
class Temperature:
    """A temperature fitted to gold.

    Parameters
    ----------
    value : float
        Probabilities are raised to 1 / value; above 1 makes them less sure.
    halves : tuple of two float
        Temperature fitted on each half.
    before, after : Scores
        On gold, without it and with the temperature of the other half.

    Examples
    --------
    >>> import numpy as np
    >>> import karat as kt
    >>> p = np.tile([0.99, 0.01], (40, 1))
    >>> fit = kt.labels.fit_temperature(p, [0, 0, 0, 1] * 10, classes=[0, 1])
    >>> fit.value > 1, len(fit.halves)
    (True, 2)
    """

    value: float
    halves: tuple[float, float]
    before: Scores
    after: Scores

    def apply(self, probabilities: Floats) -> Floats:
        """Probabilities at this temperature, shape (n, K)."""
        return _heated(np.asarray(probabilities, dtype=np.float64), self.value)


def fit_temperature(
    probabilities: SoftLabels | Floats,
    gold: Any,
    *,
    classes: Sequence[Any] | None = None,
    weights: Floats | None = None,
    seed: int | np.random.Generator | None = 0,
) -> Temperature:
    """Fit one temperature, and score it on halves that it was not fitted on.

    Parameters
    ----------
    probabilities, gold, classes, weights
        As in :func:`score`.
    seed : int or numpy.random.Generator, optional
        Seed of the split into halves.

    Returns
    -------
    Temperature

    Raises
    ------
    DataError
        If fewer than four tasks have gold.

    References
    ----------
    Guo, Pleiss, Sun, Weinberger (2017), On calibration of modern neural networks, ICML.

    Examples
    --------
    >>> import numpy as np
    >>> import karat as kt
    >>> p = np.tile([0.99, 0.01], (40, 1))
    >>> fit = kt.labels.fit_temperature(p, [0, 0, 0, 1] * 10, classes=[0, 1])
    >>> fit.value > 1
    True
    """
    p, truth, w = _with_gold(probabilities, gold, classes, weights)
    if len(truth) < 4:
        raise DataError(f"a temperature needs four tasks with gold or more, there are {len(truth)}.")
    half = np.empty(len(truth), dtype=bool)
    # Rows in the order of their content, so that the halves do not depend on the order in which they came.
    half[np.lexsort((w, truth, *p.T))] = generator(seed).permutation(len(truth)) % 2 == 0
    fits = tuple(_best_temperature(p[part], truth[part], w[part]) for part in (half, ~half))
    crossed = p.copy()
    crossed[half], crossed[~half] = _heated(p[half], fits[1]), _heated(p[~half], fits[0])
    names = range(p.shape[1])
    return Temperature(
        _best_temperature(p, truth, w),
        (fits[0], fits[1]),
        score(p, truth, classes=names, weights=w),
        score(crossed, truth, classes=names, weights=w),
    )


def _heated(probabilities: Floats, temperature: float) -> Floats:
    """Probabilities raised to 1 / temperature and normalised, shape (n, K)."""
    logs = np.log(np.maximum(probabilities, 1e-12)) / temperature
    logs -= logs.max(axis=1, keepdims=True)
    out = np.exp(logs)
    return np.asarray(out / out.sum(axis=1, keepdims=True))


def wilson(share: float, n: float, z: float = 1.959963984540054) -> tuple[float, float]:
    """Wilson interval of a share at an effective number of trials."""
    if n <= 0 or np.isnan(share):
        return float("nan"), float("nan")
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)
    return max(0.0, float(centre - half)), min(1.0, float(centre + half))


def _with_gold(
    probabilities: SoftLabels | Floats, gold: Any, classes: Sequence[Any] | None, weights: Floats | None
) -> tuple[Floats, Ints, Floats]:
    """Rows with gold: probabilities, class codes, weights."""
    p, names, order = _parts(probabilities, classes)
    codes = codes_in(_gold_values(gold, names, len(p)), order, "gold class", "gold")
    known = codes >= 0
    if not known.any():
        raise DataError("no task has gold; give the gold class of at least one.")
    w = np.ones(len(p)) if weights is None else _numbers(weights, "weights")
    if w.shape != (len(p),):
        raise ArgumentError(f"weights has shape {w.shape}; give one number for each of the {len(p)} rows.")
    w = w[known]
    if not np.isfinite(w).all() or (w < 0).any() or w.sum() <= 0:
        raise ArgumentError("weights must be finite and 0 or more on the rows with gold, not all 0.")
    return p[known], codes[known], w


def _parts(given: SoftLabels | Floats, classes: Sequence[Any] | None) -> tuple[Floats, Array | None, tuple[Any, ...]]:
    if isinstance(given, SoftLabels):
        return given.probabilities, given.tasks, given.classes
    p = _numbers(given, "probabilities")
    if p.ndim != 2 or classes is None or len(classes) != p.shape[1]:
        raise ArgumentError(
            f"probabilities of shape {p.shape} need classes=[...] with one name for each column; got {classes!r}."
        )
    if not np.isfinite(p).all() or (p < -1e-9).any() or (np.abs(p.sum(axis=1) - 1) > 1e-4).any():
        raise DataError("probabilities must be finite, not negative, and add up to 1 in every row.")
    return p, None, class_tuple(classes)


def _gold_values(gold: Any, tasks: Array | None, n: int) -> Array:
    import pandas as pd

    if isinstance(gold, Mapping):
        if tasks is None:
            raise ArgumentError("gold as a mapping needs SoftLabels; with an array give the class of each row.")
        given = {name_of(t): v for t, v in gold.items()}
        known = set(listed(tasks))
        stray = [t for t in given if t not in known]
        if stray:
            raise DataError(f"gold names task(s) {stray[:5]} that have no soft label.")
        return objects([given.get(t) for t in listed(tasks)])
    if tasks is not None and isinstance(gold, pd.Series) and not gold.index.equals(pd.RangeIndex(len(gold))):
        return _gold_values(dict(gold), tasks, n)
    values = one_column(gold, "gold")
    if len(values) != n:
        raise ArgumentError(f"gold has {len(values)} entries, there are {n} rows; give one for each row.")
    return values


def _best_temperature(p: Floats, truth: Ints, w: Floats) -> float:
    from scipy.optimize import minimize_scalar

    rows = np.arange(len(truth))
    safe = _MIX * p + (1 - _MIX) / p.shape[1]

    def loss(log_t: float) -> float:
        return float(-(w @ np.log(np.maximum(_heated(safe, np.exp(log_t))[rows, truth], 1e-12))))

    return float(np.exp(minimize_scalar(loss, bounds=(-2.5, 3.5), method="bounded").x))


def _numbers(values: Any, argument: str) -> Floats:
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ArgumentError(f"{argument} must hold numbers, one for each row ({error}).") from None
