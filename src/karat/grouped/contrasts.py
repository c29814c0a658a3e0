"""Linear functions of shares: differences, trends and means, with intervals one at a time and all together."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..errors import generator, one_of, whole
from ..frames.order import seed_of_result
from ..results.estimates import Estimates, bounds_names
from ..results.simultaneous import bands, normal_maxima

if TYPE_CHECKING:
    import pandas as pd

    from .._core.types import Floats
    from ..estimate.shares import Shares


@dataclass(frozen=True, eq=False, repr=False)
class Contrasts(Estimates):
    """Linear functions of shares, with their joint covariance.

    Intervals and tests (confint, wald, plot, ...) are of one at a time; :meth:`simultaneous` and the column
    ``p (adjusted)`` of :meth:`table` allow for their number.

    Parameters
    ----------
    names : tuple of str, length k
    theta : ndarray, shape (k,)
    covariance : ndarray, shape (k, k)
    df : ndarray, shape (k,)
        Satterthwaite's (1946), from the cells involved.
    alpha : float
    title, about : str
    grid : data frame, k rows
        What each row is.
    seed : int or None
    quantity : str

    Examples
    --------
    >>> import numpy as np, pandas as pd, karat as kt
    >>> rng = np.random.default_rng(1)
    >>> topic = rng.choice(["law", "war"], size=2000)
    >>> corpus = pd.DataFrame({"topic": topic, "model": topic, "party": rng.choice(["a", "b", "c"], size=2000)})
    >>> sample = kt.SimpleRandom(n=300).draw(corpus, seed=1)
    >>> labelled = kt.datasets.mask_gold(corpus, sample, "topic")
    >>> found = kt.shares("topic", labelled, by="party", surrogates={"topic": "model"}, design=sample.design, seed=1)
    >>> found.differences("groups").names[:2]
    ('law: a - b', 'war: a - b')
    """

    quantity: ClassVar[str] = "difference"

    names: tuple[str, ...]
    theta: Floats
    covariance: Floats
    df: Floats
    alpha: float
    title: str
    about: str
    grid: pd.DataFrame = field(repr=False)
    formula: str = ""
    seed: int | None = None

    def __repr__(self) -> str:
        return str(self)

    def _title(self) -> str:
        return self.title

    def _about(self) -> str:
        return self.about

    def simultaneous(self, alpha: float | None = None, *, draws: int = 10_000, seed: Any = None) -> pd.DataFrame:
        """Intervals that hold for all rows at once (max-t).

        Parameters
        ----------
        alpha : float, optional
        draws : int
        seed : int or Generator, optional

        Returns
        -------
        pandas.DataFrame
            Estimate, standard error, critical value and bounds.
        """
        largest = _maxima(self.covariance, draws, seed_of_result(seed, self, draws))
        return bands(self, self.names, largest, self._level(alpha))

    def table(
        self, adjust: str = "holm", alpha: float | None = None, *, draws: int = 10_000, seed: Any = None
    ) -> pd.DataFrame:
        """What each row is, its estimate, interval and p-value, and the p-value adjusted for the number of rows.

        Parameters
        ----------
        adjust : {"holm", "max-t"}
            Holm (1979), or the distribution of the largest t statistic.
        alpha : float, optional
        draws : int
        seed : int or Generator, optional

        Returns
        -------
        pandas.DataFrame
        """
        one_of("adjust", adjust, ("holm", "max-t"))
        low, high = self._interval(self._level(alpha))
        p = self.pvalue().to_numpy()
        if adjust == "holm":
            adjusted = holm(p)
        else:
            adjusted = max_t(p, self.covariance, draws, seed_of_result(seed, self, draws))
        first, last = bounds_names(self._level(alpha))
        new = {"Estimate": self.theta, "Std. Error": self._se(), first: low, last: high, "p": p}
        return self.grid.assign(**new, **{"p (adjusted)": adjusted})


def linear(
    matrix: Floats, theta: Floats, plain: Floats, df: Floats, shares: Shares, width: int
) -> tuple[Floats, Floats, Floats]:
    """Linear functions of shares, their covariance and degrees of freedom.

    Variances are those of the influences, and at least what the gold of all cells involved can carry: with weights c
    the variance ``sum c^2 k`` of gold alone at an outcome of variance 1, times ``q (1 - q)``, ``q = 1 / (m + 1)``,
    where m is the gold of these cells together (one positive among it).

    Parameters
    ----------
    matrix : ndarray, shape (k, C K)
    theta, df : ndarray, shape (C K,)
    plain : ndarray, shape (C K, C K)
    shares : Shares
    width : int
        K, outcomes of a cell.

    Returns
    -------
    value : ndarray, shape (k,)
    covariance : ndarray, shape (k, k)
    df : ndarray, shape (k,)
    """
    covariance = matrix @ plain @ matrix.T
    floor = np.zeros(len(matrix))
    for k in range(width):
        part = matrix[:, k::width]
        m = (part != 0) @ shares.kish[k::width]
        floor += part**2 @ shares.unit_variance[k::width] * m / (m + 1.0) ** 2
    covariance = raised(covariance, floor)
    return matrix @ theta, covariance, _freedom(matrix, plain, df, shares, width)


def raised(covariance: Floats, floor: Floats) -> Floats:
    """A covariance whose variances are at least these, correlations kept."""
    own = np.diag(covariance)
    wanted = np.maximum(own, floor)
    scale = np.sqrt(np.divide(wanted, own, out=np.ones_like(own), where=own > 0))
    out = covariance * np.outer(scale, scale)
    np.fill_diagonal(out, wanted)
    return np.asarray(out)


def _freedom(matrix: Floats, plain: Floats, df: Floats, shares: Shares, width: int) -> Floats:
    """``(sum V_c)^2 / sum V_c^2 / f_c`` over cells."""
    total, square = np.zeros(len(matrix)), np.zeros(len(matrix))
    for start in range(0, matrix.shape[1], width):
        at = slice(start, start + width)
        part = matrix[:, at]
        involved = part != 0
        m = shares.kish[at]
        floor = part**2 @ (shares.unit_variance[at] * m / (m + 1.0) ** 2)
        variance = np.maximum(np.einsum("ij,jk,ik->i", part, plain[at, at], part), floor)
        own = np.where(involved, df[at], np.inf).min(axis=1)
        total += variance
        square += np.where(involved.any(axis=1), variance**2 / own, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(square > 0, total**2 / square, np.inf)


def tail_of(covariance: Floats, alpha: float, draws: Any, seed: Any) -> float:
    """One-sided level at which t intervals hold together: that of the largest of correlated normals.

    Source: Montiel Olea and Plagborg-Moller (2019).
    """
    from scipy.stats import norm

    return float(norm.sf(np.quantile(_maxima(covariance, draws, seed), 1.0 - alpha)))


def max_t(p_values: Floats, covariance: Floats, draws: Any, seed: Any) -> Floats:
    """Probability that the largest of correlated normals is as unlikely as each; Bonferroni's at most."""
    from scipy.stats import norm

    largest = np.sort(_maxima(covariance, draws, seed))
    p = np.asarray(p_values)
    above = len(largest) - np.searchsorted(largest, norm.isf(p / 2.0), side="left")
    return np.asarray(np.maximum(np.minimum((1.0 + above) / (1.0 + len(largest)), len(p) * p), p))


def _maxima(covariance: Floats, draws: Any, seed: Any) -> Floats:
    return normal_maxima(covariance, generator(seed), whole("draws", draws, least=100))


def holm(p_values: Floats) -> Floats:
    """Holm's (1979) adjusted p-values.

    Examples
    --------
    >>> holm(np.array([0.01, 0.04, 0.03])).round(2).tolist()
    [0.03, 0.06, 0.06]
    """
    order = np.argsort(p_values, kind="stable")
    stepped = np.maximum.accumulate(p_values[order] * np.arange(len(order), 0, -1))
    out = np.empty(len(order))
    out[order] = np.minimum(stepped, 1.0)
    return out


def pairs(count: int, reference: int | None) -> list[tuple[int, int]]:
    """Positions to compare: all pairs, or all others with a reference."""
    if reference is None:
        return [(a, b) for a in range(count) for b in range(a + 1, count)]
    return [(a, reference) for a in range(count) if a != reference]


def slope_weights(position: Floats, weight: Floats) -> Floats:
    """Weights of the least-squares slope of values at these positions, shape (T,)."""
    centred = position - np.average(position, weights=weight)
    return np.asarray(weight * centred / (weight * centred**2).sum())
