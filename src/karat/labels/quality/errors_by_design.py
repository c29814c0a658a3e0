"""Errors of a surrogate label, estimated for the whole corpus from a gold sample with known probabilities."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import DataError
from ..aggregation.base import one_hot

if TYPE_CHECKING:
    import pandas as pd

    from ..._core.types import Bools, Floats, Ints
    from ...designs import Labelling

_PRIOR = 4.0
"""Rows for which the variance of Poisson counts stands, beside those seen; as many as Agresti and Coull (1998) add."""


def ratio(above: Floats, below: Floats, labelling: Labelling, cluster: Ints | None = None) -> tuple[Floats, Floats]:
    """Design-weighted ratios of totals and their covariance.

    Notes
    -----
    With ``e = (above - ratio below) / total``: labelling part (the covariance of the weighted total of e over repeated
    draws) plus population part ``sum w e e'``. With clusters the two are replaced by the sum over clusters of squared
    weighted totals, times C / (C - 1).
    """
    w = labelling.weight
    total = w @ below
    value = np.divide(w @ above, total, out=np.full(total.shape, np.nan), where=total > 0)
    e = (above - np.nan_to_num(value) * below) / np.where(total > 0, total, 1.0)
    return value, total_covariance(e, labelling, cluster)


def total_covariance(e: Floats, labelling: Labelling, cluster: Ints | None = None) -> Floats:
    """Covariance of the weighted total of influence values of the gold rows, shape (q, q)."""
    w = labelling.weight
    if cluster is None:
        return np.asarray(labelling.cross(e, e) + (e * w[:, None]).T @ e)
    sums = np.column_stack([np.bincount(cluster, w * column) for column in e.T])
    sums = sums[np.bincount(cluster, minlength=len(sums)) > 0]
    return np.asarray(sums.T @ sums * len(sums) / max(len(sums) - 1, 1))


@dataclass(frozen=True, eq=False)
class Confusion:
    """Design-weighted confusion matrix.

    Parameters
    ----------
    classes : tuple
    joint : ndarray, shape (K, K)
        Share of the corpus with gold c (rows) and surrogate k (columns).
    recall, precision : ndarray, shape (K, K)
        ``P(surrogate = k | gold = c)`` and ``P(gold = c | surrogate = k)``, both [c, k].
    recall_interval, precision_interval : ndarray, shape (K, K, 2)
        Clopper and Pearson's where weights are equal (:func:`share_intervals`).
    counts : ndarray of int, shape (K, K)
        Gold rows in each cell.
    accuracy : float
    accuracy_interval : tuple of float
    kappa : float
        Cohen's kappa of the weighted table.
    """

    classes: tuple[Any, ...]
    joint: Floats
    recall: Floats
    precision: Floats
    recall_interval: Floats = field(repr=False)
    precision_interval: Floats = field(repr=False)
    counts: Ints = field(repr=False)
    accuracy: float
    accuracy_interval: tuple[float, float]
    kappa: float

    @property
    def table(self) -> pd.DataFrame:
        """One row per cell: gold, surrogate, n, share, recall and precision with 95 % intervals."""
        import pandas as pd

        k = len(self.classes)
        gold, surrogate = np.divmod(np.arange(k * k), k)
        names = list(self.classes)
        return pd.DataFrame(
            {
                "gold": [names[i] for i in gold],
                "surrogate": [names[i] for i in surrogate],
                "n": self.counts.ravel(),
                "share": self.joint.ravel(),
                "recall": self.recall.ravel(),
                "recall 2.5%": self.recall_interval[..., 0].ravel(),
                "recall 97.5%": self.recall_interval[..., 1].ravel(),
                "precision": self.precision.ravel(),
                "precision 2.5%": self.precision_interval[..., 0].ravel(),
                "precision 97.5%": self.precision_interval[..., 1].ravel(),
            }
        )


def confusion(
    gold: Ints, surrogate: Ints, classes: tuple[Any, ...], labelling: Labelling, cluster: Ints | None = None
) -> Confusion:
    """Confusion matrix of the whole corpus from its gold sample."""
    k = len(classes)
    g, s = one_hot(gold, k), one_hot(surrogate, k)
    cell = (g[:, :, None] * s[:, None, :]).reshape(len(gold), -1)
    recall, recall_v = ratio(cell, np.repeat(g, k, axis=1), labelling, cluster)
    precision, precision_v = ratio(cell, np.tile(s, k), labelling, cluster)
    joint, _ = ratio(cell, np.ones_like(cell), labelling, cluster)
    right = (gold == surrogate).astype(np.float64)[:, None]
    accuracy, accuracy_v = ratio(right, np.ones_like(right), labelling, cluster)
    table = joint.reshape(k, k)
    chance = float(table.sum(axis=0) @ table.sum(axis=1))
    w = labelling.weight
    label, every = s.astype(bool), np.ones((len(gold), 1), dtype=bool)
    same = np.tile(label, k)
    return Confusion(
        classes, table, recall.reshape(k, k), precision.reshape(k, k),
        share_intervals(cell, np.repeat(g, k, axis=1), (same, ~same), recall_v, w).reshape(k, k, 2),
        share_intervals(cell, np.tile(s, k), (same, same), precision_v, w).reshape(k, k, 2),
        cell.sum(axis=0).reshape(k, k).astype(np.intp), float(accuracy[0]),
        tuple(share_intervals(right, np.ones_like(right), (every, every), accuracy_v, w)[0].tolist()),
        (float(np.trace(table)) - chance) / (1 - chance) if chance < 1 else float("nan"),
    )  # fmt: skip


@dataclass(frozen=True)
class _Sides:
    """Weighted counts of what a share counts in gold rows, and of the rest of that of which it is one.

    Their sums over rows, those of squares, the weighted count of a row unseen on either side, and by how much variances
    differ from those of Poisson counts.
    """

    total: Floats
    squares: Floats
    unseen: Floats
    factor: float

    @classmethod
    def of(cls, inside: Floats, whole: Floats, possible: tuple[Bools, Bools], variance: float, w: Floats) -> _Sides:
        weighed = w * np.array([inside, whole - inside])
        total, squares = weighed.sum(axis=1), (weighed**2).sum(axis=1)
        factor = 1.0
        if total.min() > 0:
            share, events = total[0] / total.sum(), float((total**2 / squares).min())
            excess = variance / (share * (1.0 - share)) ** 2 / float((squares / total**2).sum())
            factor = (excess * events + _PRIOR) / (events + _PRIOR)
        some = [w[could] if could.any() else w for could in possible]
        holds = [side[side > 0].mean() if side.any() else whole[whole > 0].mean() for side in (inside, whole - inside)]
        return cls(total, squares, np.array([(v**2).sum() / v.sum() for v in some]) * holds, factor)

    def with_unseen(self, more: Floats) -> tuple[Floats, Floats]:
        """Sums of weights and variances, with so many further rows on either side."""
        return self.total + more * self.unseen, (self.squares + more * self.unseen**2) * self.factor


def effective_sizes(
    inside: Floats, whole: Floats, possible: tuple[Bools, Bools], covariance: Floats, w: Floats
) -> Floats:
    """Rows of equal weight that would tell as much of each share: arguments as of :func:`share_intervals`, shape (q,).

    Half a row unseen on either side counts with those seen. With equal weights it is the number of rows.
    """
    out = np.full(inside.shape[1], np.nan)
    for j, sides in enumerate(_sides(inside, whole, possible, covariance, w)):
        if sides is not None:
            total, variance = sides.with_unseen(np.full(2, 0.5))
            out[j] = (total.sum() ** 2 / total.prod()) / (variance / total**2).sum() - 1.0
    return out


def share_intervals(
    inside: Floats, whole: Floats, possible: tuple[Bools, Bools], covariance: Floats, w: Floats, level: float = 0.05
) -> Floats:
    """Intervals of shares of weighted rows, some of which may hold few rows of large weights.

    Parameters
    ----------
    inside, whole : ndarray, shape (n, q)
        1 for gold rows that the share counts, and for those of which it is a share; 0 for others. Or how many of what a
        row holds (its passages, say) the share counts, and of how many it is one.
    possible : pair of ndarray of bool, shape (n, q)
        Gold rows that could have been inside, and in the rest, going by what is known of all rows.
    covariance : ndarray, shape (q, q)
        Of the estimated shares.
    w : ndarray, shape (n,)
        Weights.
    level : float
        One minus the confidence level.

    Returns
    -------
    ndarray, shape (q, 2)

    Notes
    -----
    Rows inside and in the rest are weighted Poisson counts (Fay and Feuer 1997; Fay 1999): a limit is that of
    the F distribution with ``2 A^2 / V`` degrees of freedom for each side, A the sum of weights and V that of their
    squares, one side with a further row of the average weight ``sum w^2 / sum w`` of the rows that could have been
    there. V is multiplied by what the covariance says beyond Poisson counts, ``(r e + 4) / (e + 4)`` with r their
    ratio and e the effective number of rows on the smaller side. With equal weights it is the interval of Clopper and
    Pearson (1934).
    """
    from scipy import stats

    out = np.full((inside.shape[1], 2), np.nan)
    for j, sides in enumerate(_sides(inside, whole, possible, covariance, w)):
        if sides is None:
            continue
        for end, tail in enumerate((level / 2.0, 1.0 - level / 2.0)):
            total, variance = sides.with_unseen(np.arange(2) != end)
            odds = float(end and np.inf)
            if total.min() > 0:
                odds = total[0] / total[1] * stats.f.ppf(tail, *(2.0 * total**2 / variance))
            out[j, end] = odds / (1.0 + odds) if np.isfinite(odds) else 1.0
    return out


def _sides(
    inside: Floats, whole: Floats, possible: tuple[Bools, Bools], covariance: Floats, w: Floats
) -> list[_Sides | None]:
    """The counts of each share; None where no gold row tells of it."""
    out: list[_Sides | None] = []
    for j, (a, b) in enumerate(zip(inside.T, whole.T)):
        could = possible[0][:, j], possible[1][:, j]
        out.append(_Sides.of(a, b, could, float(covariance[j, j]), w) if (b > 0).any() else None)
    return out


@dataclass(frozen=True, eq=False)
class Differential:
    """Do errors depend on the covariates? A regression of the error on them, over the gold.

    Parameters
    ----------
    error : str
        What the error is: surrogate minus gold, or whether the surrogate is wrong.
    names : tuple of str
    estimate, se, pvalue : ndarray, shape (p,)
    statistic, joint_pvalue : float
        F test that no covariate matters.
    df : tuple of float
    """

    error: str
    names: tuple[str, ...]
    estimate: Floats
    se: Floats
    pvalue: Floats
    statistic: float
    joint_pvalue: float
    df: tuple[float, float]

    @property
    def table(self) -> pd.DataFrame:
        """Estimate, standard error, p-value for each covariate."""
        import pandas as pd

        return pd.DataFrame(
            {"Estimate": self.estimate, "Std. Error": self.se, "Pr(>|t|)": self.pvalue}, index=list(self.names)
        )

    def __str__(self) -> str:
        return (
            f"differential error ({self.error}): F({self.df[0]:.0f}, {self.df[1]:.0f}) = {self.statistic:.2f}, "
            f"p = {self.joint_pvalue:.3g}"
        )


def differential(
    error: Floats, x: Floats, names: tuple[str, ...], what: str, labelling: Labelling, cluster: Ints | None = None
) -> Differential:
    """Design-weighted regression of the error on covariates, with a joint test.

    Notes
    -----
    Influence values are scaled by 1 / (1 - leverage), as in HC3.
    """
    from scipy import stats

    n, p = x.shape
    design = np.column_stack([np.ones(n), x])
    w = labelling.weight
    a = (design * w[:, None]).T @ design
    if n <= p + 1 or np.linalg.matrix_rank(design) < p + 1:
        raise DataError(
            f"the covariates {list(names)} are constant, collinear or too many on the {n} gold rows; name fewer."
        )
    inverse = np.linalg.inv(a)
    beta = inverse @ (design * w[:, None]).T @ error
    residual = error - design @ beta
    leverage = w * np.einsum("ij,jk,ik->i", design, inverse, design)
    scale = residual / np.maximum(1 - leverage, 0.05) if cluster is None else residual
    influence = (design * scale[:, None]) @ inverse
    v = total_covariance(influence, labelling, cluster)
    se = np.sqrt(np.diag(v))
    rest = float((n if cluster is None else len(np.unique(cluster))) - (p + 1 if cluster is None else 1))
    b = beta[1:]
    statistic = float(b @ np.linalg.pinv(v[1:, 1:]) @ b) / p
    t = np.divide(beta, se, out=np.full_like(beta, np.nan), where=se > 0)
    return Differential(
        what, ("Intercept", *names), beta, se, 2 * stats.t.sf(np.abs(t), rest), statistic,
        float(stats.f.sf(statistic, p, rest)), (float(p), rest),
    )  # fmt: skip


def numeric_errors(
    gold: Floats, surrogate: Floats, labelling: Labelling, cluster: Ints | None = None
) -> dict[str, Any]:
    """Bias, root mean squared error and correlation of a numeric surrogate, weighted by the design."""
    error = (surrogate - gold)[:, None]
    one = np.ones_like(error)
    bias, v = ratio(error, one, labelling, cluster)
    half = 1.959963984540054 * float(np.sqrt(v[0, 0]))
    w = labelling.weight / labelling.weight.sum()
    gc, sc = gold - w @ gold, surrogate - w @ surrogate
    spread = float(w @ sc**2)
    both = float(w @ (gc * sc))
    return {
        "bias": float(bias[0]),
        "bias_interval": (float(bias[0]) - half, float(bias[0]) + half),
        "rmse": float(np.sqrt(w @ (surrogate - gold) ** 2)),
        "correlation": both / np.sqrt(spread * float(w @ gc**2)) if spread > 0 and (gc != 0).any() else float("nan"),
        "slope": both / spread if spread > 0 else float("nan"),
    }
