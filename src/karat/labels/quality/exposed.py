"""Whether labels err differently where the model may have seen the documents before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import ArgumentError, DataError, number
from ...frames import Table
from ...frames.dates import read_dates
from .auditing import clusters_of, column_of_labels, covariates_of, label_parts
from .errors_by_design import Differential, differential, effective_sizes, ratio
from .scoring import wilson

if TYPE_CHECKING:
    import pandas as pd

    from ..._core.types import Bools, DesignLike, Floats, Ints
    from ...designs import Labelling

_LEAST = 5
"""Gold rows that each side needs."""


@dataclass(frozen=True, eq=False)
class Exposure:
    """Errors of labels in documents that a model may have seen, and in others.

    Parameters
    ----------
    measure : str
        ``"share right"`` for classes, ``"mean absolute error"`` for numbers.
    counts : (int, int)
        Gold rows that are exposed, and not.
    values : (float, float)
        The measure in the corpus, exposed and not.
    intervals : ((float, float), (float, float))
    difference : float
        Exposed less not exposed.
    interval : (float, float)
    level : float
    pvalue : float
        Test that the difference is 0.
    test : Differential
        Regression of the signed error on exposure, with controls if there are any: whether errors depend on exposure is
        what decides over bias.

    Examples
    --------
    >>> import numpy as np
    >>> import karat as kt
    >>> rng = np.random.default_rng(1)
    >>> y, year = rng.integers(0, 2, 400), rng.integers(2018, 2026, 400)
    >>> right = rng.random(400) < np.where(year < 2023, 0.95, 0.7)
    >>> frame = {"gold": y, "label": np.where(right, y, 1 - y), "day": [f"{k}-06-01" for k in year]}
    >>> found = kt.labels.exposure(frame, "gold", "label", date="day", cutoff="2023-01-01")
    >>> found.difference > 0.1, found.pvalue < 0.001
    (True, True)
    """

    measure: str
    counts: tuple[int, int]
    values: tuple[float, float]
    intervals: tuple[tuple[float, float], tuple[float, float]]
    difference: float
    interval: tuple[float, float]
    level: float
    pvalue: float
    test: Differential = field(repr=False)

    @property
    def table(self) -> pd.DataFrame:
        """One row for exposed documents, for others, and for the difference."""
        import pandas as pd

        low, high = (f"{100 * q:g}%" for q in ((1 - self.level) / 2, (1 + self.level) / 2))
        rows = [*self.intervals, self.interval]
        return pd.DataFrame(
            {
                "gold": [*self.counts, sum(self.counts)],
                self.measure: [*self.values, self.difference],
                low: [row[0] for row in rows],
                high: [row[1] for row in rows],
            },
            index=["exposed", "not exposed", "difference"],
        )

    def __str__(self) -> str:
        a, b = self.values
        return (
            f"{self.measure}: {a:.3f} exposed ({self.counts[0]} gold), {b:.3f} not ({self.counts[1]} gold); difference "
            f"{self.difference:+.3f} ({self.interval[0]:+.3f} to {self.interval[1]:+.3f}), p = {self.pvalue:.3g}; "
            f"{self.test}"
        )


def exposure(
    data: object,
    gold: str,
    surrogate: str,
    design: DesignLike = None,
    *,
    exposed: Any = None,
    date: str | None = None,
    cutoff: object = None,
    controls: Sequence[str] = (),
    cluster: str | None = None,
    level: float = 0.95,
) -> Exposure:
    """Compare labels of documents that a model may have seen in training with labels of others.

    Parameters
    ----------
    data : data frame
        One row per unit; gold missing where not labelled.
    gold, surrogate : str
        Columns.
    design : Design, Sample, float, str, array_like or None
        How the gold was drawn, as for :func:`karat.regress`.
    exposed : str or array_like of bool, optional
        Column, or values, that say which documents the model may have seen: those it recalls, for instance
        (:func:`karat.annotate.recall`).
    date : str, optional
        Instead: column of dates. Documents before ``cutoff`` are exposed.
    cutoff : str or date, optional
        Day on which the model's training data end, as its vendor says.
    controls : sequence of str
        Columns held constant in the test: what documents are about changes over time as well.
    cluster : str, optional
        Rows of one cluster may err together.
    level : float

    Returns
    -------
    Exposure

    Raises
    ------
    ArgumentError, DataError, DesignError

    Notes
    -----
    Shares and means are ratios of design-weighted totals, with the covariance of the draw. Intervals of shares are
    Wilson's at the effective size (methods, section 6), that of their difference Newcombe's (1998, method 10) from
    both, with their correlation; numbers have t intervals with Welch's degrees of freedom. An accuracy that falls
    after the cut-off says that figures from before flatter the model; the regressions of karat stay valid either way,
    since gold corrects what errors there are.

    References
    ----------
    Newcombe (1998), Interval estimation for the difference between independent proportions; Sainz et al. (2023), NLP
    evaluation in trouble, for contamination by training data.

    Examples
    --------
    >>> import karat as kt
    >>> corpus, _ = kt.datasets.simulate(1000, seed=1)
    >>> sample = kt.SimpleRandom(n=200).draw(corpus, seed=1)
    >>> labelled = kt.datasets.mask_gold(corpus, sample, "hostile")
    >>> recalled = [i % 3 == 0 for i in range(1000)]  # as karat.annotate.recall finds them
    >>> kt.labels.exposure(labelled, "hostile", "hostile_llm", sample, exposed=recalled).measure
    'share right'
    """
    from ... import designs

    table = Table.read(data)
    if gold == surrogate:
        raise ArgumentError(f"gold and surrogate are the same column {gold!r}; name the column of the surrogate.")
    level = number("level", level, above=0, below=1)
    seen = _seen(table, exposed, date, cutoff)
    truth, label = column_of_labels(table, gold, "gold"), column_of_labels(table, surrogate, "surrogate")
    labelled = np.asarray(truth.notna(), dtype=bool)
    if label[labelled].isna().any():
        raise DataError(
            f"column {surrogate!r} (surrogate) has {int(label[labelled].isna().sum())} missing value(s) in gold rows; "
            "fill them."
        )
    counts = int((seen & labelled).sum()), int((~seen & labelled).sum())
    if min(counts) < _LEAST:
        raise DataError(
            f"{counts[0]} gold rows are exposed and {counts[1]} are not; each side needs {_LEAST}, and many more for "
            "an answer. Draw gold from both, or move cutoff=."
        )
    labelling = designs.resolve(design).realised(table, labelled)
    groups = clusters_of(table, cluster, labelled)
    parts = label_parts(truth, label.where(labelled, truth), (), labelled, labelling, groups, gold, surrogate)
    x: Floats = seen[labelled].astype(np.float64)[:, None]
    names: tuple[str, ...] = ("exposed",)
    if controls:
        more, further = covariates_of(table, controls, labelled)
        x, names = np.column_stack([x, more]), (*names, *further)
    test = differential(parts["error"], x, names, parts["what"], labelling, groups)
    shares = bool(parts["classes"])
    wrong = _wrong(truth, label, labelled) if shares else np.abs(parts["error"])
    measure = "share right" if shares else "mean absolute error"
    values = 1.0 - wrong if shares else wrong
    sides, intervals, difference, interval, p = _compared(values, seen[labelled], labelling, groups, shares, level)
    return Exposure(measure, counts, sides, intervals, difference, interval, level, p, test)


def _seen(table: Table, exposed: Any, date: str | None, cutoff: object) -> Bools:
    """Documents that the model may have seen."""
    if (exposed is None) == (date is None):
        raise ArgumentError("give exposed=, or date= with cutoff=: one of them says what the model may have seen.")
    if exposed is not None:
        if cutoff is not None:
            raise ArgumentError("cutoff= goes with date=; exposed= says it itself.")
        return table.marked(exposed, "exposed")
    import pandas as pd

    if cutoff is None:
        raise ArgumentError("date= needs cutoff=, the day on which the model's training data end.")
    days, _ = read_dates(table.column(str(date), "date").reset_index(drop=True), f"column {date!r} (date)")
    (end,), _ = read_dates(pd.Series([cutoff]), "cutoff")
    if np.isnat(end):
        raise ArgumentError(f"cutoff={cutoff!r} is not a date; write it as 2023-10-01.")
    if (missing := np.isnat(days)).any():
        raise DataError(
            f"column {date!r} (date) has {int(missing.sum())} value(s) that are not dates, first at row "
            f"{int(np.flatnonzero(missing)[0])}; write them as 2023-10-01."
        )
    return np.asarray(days < end, dtype=bool)


def _wrong(truth: Any, label: Any, labelled: Bools) -> Floats:
    """Whether each gold row's label is another class."""
    pairs = zip(truth[labelled], label[labelled])
    return np.array([float(not (a == b or str(a) == str(b))) for a, b in pairs])


def _compared(
    values: Floats, seen: Bools, labelling: Labelling, groups: Ints | None, shares: bool, level: float
) -> tuple[Any, ...]:
    """Values of both sides with intervals, their difference, its interval and p-value."""
    from scipy import stats

    sides = np.column_stack([seen, ~seen]).astype(np.float64)
    both, v = ratio(values[:, None] * sides, sides, labelling, groups)
    d = float(both[0] - both[1])
    if shares:
        alpha = 1 - level
        z = float(stats.norm.ppf(1 - alpha / 2))
        could = sides.astype(bool)  # any row of a side could be right or wrong
        known = effective_sizes(values[:, None] * sides, sides, (could, could), v, labelling.weight)
        intervals = [wilson(float(p), float(n), z) for p, n in zip(both, known)]
        low, high = _newcombe(both, v, intervals)
        return _both(both), _both(intervals), d, (low, high), _pvalue(both, known)
    sizes = sides.sum(axis=0)
    var = np.diag(v)
    var_d = float(v[0, 0] + v[1, 1] - 2 * v[0, 1])
    df = float(var.sum() ** 2 / (var**2 / (sizes - 1)).sum()) if var.sum() > 0 else float(sizes.sum() - 2)
    t = [float(stats.t.ppf((1 + level) / 2, n)) for n in (*(sizes - 1), df)]
    se = np.sqrt(np.maximum([*var, var_d], 0.0))
    ends = [(m - k * s, m + k * s) for m, k, s in zip((*both, d), t, se)]
    p = float(2 * stats.t.sf(abs(d) / se[2], df)) if se[2] > 0 else float(d == 0)
    return _both(both), (ends[0], ends[1]), d, ends[2], p


def _both(pair: Any) -> tuple[Any, Any]:
    """Two values as a tuple."""
    first, second = (tuple(map(float, p)) if np.ndim(p) else float(p) for p in pair)
    return first, second


def _newcombe(both: Floats, v: Floats, intervals: list[tuple[float, float]]) -> tuple[float, float]:
    """Interval of a difference of shares from their intervals and correlation."""
    (l1, u1), (l2, u2) = intervals
    p1, p2 = map(float, both)
    scale = float(np.sqrt(v[0, 0] * v[1, 1]))
    r = float(v[0, 1]) / scale if scale > 0 else 0.0
    low = (p1 - l1) ** 2 + (u2 - p2) ** 2 - 2 * r * (p1 - l1) * (u2 - p2)
    high = (u1 - p1) ** 2 + (p2 - l2) ** 2 - 2 * r * (u1 - p1) * (p2 - l2)
    return p1 - p2 - float(np.sqrt(max(low, 0.0))), p1 - p2 + float(np.sqrt(max(high, 0.0)))


def _pvalue(both: Floats, sizes: Floats) -> float:
    """Score test of equal shares at the effective sizes."""
    from scipy import stats

    n1, n2 = map(float, sizes)
    pooled = float((n1 * both[0] + n2 * both[1]) / (n1 + n2))
    se = np.sqrt(pooled * (1 - pooled) * (1 / n1 + 1 / n2))
    return float(2 * stats.norm.sf(abs(both[0] - both[1]) / se)) if se > 0 else 1.0
