"""Inference with few analysis clusters: leverage of clusters, degrees of freedom, two ways of clustering.

With A the curvature of the estimating equation and A_c what cluster c adds to it, CRV2 and CRV3 multiply the influence
of a cluster by ``(I - A^-1 A_c)`` to the power -1/2 and -1 (Bell and McCaffrey 2002). What such a variance is worth in
degrees of freedom follows from a working model in which scores are independent with the curvature as their covariance
(Pustejovsky and Tipton 2018); both are written in A and A_c alone, so that they hold for the augmented sample, whose
clusters bring gold and predicted rows together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from ..designs.labelling import pair_codes
from ..errors import ArgumentError
from . import index
from .basis import nearest_psd, on_gold_basis
from .rows import in_memory
from .totals import linear_predictor

if TYPE_CHECKING:
    import pandas as pd

    from .._core.types import Bools, Floats, Ints
    from ..moments import Model
    from .augment import AugmentedSample
    from .rectify import Estimate
    from .rows import Rows

KINDS = ("CRV0", "CRV1", "CRV2", "CRV3")
LEVERAGED = {"CRV2": 0.5, "CRV3": 1.0}
"""Kinds that correct for the leverage of clusters, and the power they take."""

LARGEST_SHARE = 0.97
"""The share of a cluster in a direction is cut here, unless the cluster alone identifies it."""
_ALONE = 1.0 - 1e-7
MOST_NUMBERS = 100_000_000
_LEVEL = 0.05


def ways(cluster: Ints) -> list[tuple[float, Ints]]:
    """Signed one-way clusterings of which a clustering is made (Cameron, Gelbach and Miller 2011).

    Parameters
    ----------
    cluster : ndarray of int, shape (N,) or (N, 2)

    Returns
    -------
    list of (float, ndarray)
        Itself; or both ways and, to be taken away, the pairs of the two.

    Examples
    --------
    >>> [sign for sign, _ in ways(np.array([[0, 0], [0, 1], [1, 1]]))]
    [1.0, 1.0, -1.0]
    """
    if cluster.ndim == 1:
        return [(1.0, cluster)]
    first, second = cluster.T
    return [(1.0, first), (1.0, second), (-1.0, pair_codes(first, second))]


def add_ways(found: list[tuple[float, Floats]], largest: bool = False) -> Floats:
    """Covariance of a clustering from those of its ways.

    With two ways the sum can fail to be positive semidefinite; then negative eigenvalues are set to zero.

    Parameters
    ----------
    found : list of (float, ndarray)
        Signs, and covariances of shape (p, p).
    largest : bool
        Whether each variance is at least that of either way (MacKinnon, Nielsen and Webb 2024, for CRV3).

    Returns
    -------
    ndarray, shape (p, p)
    """
    if len(found) == 1:
        return found[0][1]
    single = [matrix for sign, matrix in found if sign > 0]
    out = nearest_psd(np.asarray(sum(sign * matrix for sign, matrix in found)), single[0])
    if not largest:
        return out
    size = np.diag(out).copy()
    wanted = np.max([size, *(np.diag(matrix) for matrix in single)], axis=0)
    raised = np.sqrt(np.divide(wanted, size, out=np.ones_like(size), where=size > 0))
    out = out * np.outer(raised, raised)
    out[np.diag_indices_from(out)] = wanted
    return out


def across(cluster: Ints | None, covariance: Callable[[Ints | None], Floats]) -> Floats:
    """A covariance for clusters of any kind, from a function that knows one way of clustering."""
    if cluster is None:
        return covariance(None)
    return add_ways([(sign, covariance(codes)) for sign, codes in ways(cluster)])


def cluster_codes(values: pd.DataFrame) -> Ints:
    """Codes from 0 of clusters of one or two ways, shape (N,) or (N, 2)."""
    import pandas as pd

    codes = [pd.factorize(values.iloc[:, j])[0].astype(np.intp) for j in range(values.shape[1])]
    return codes[0] if len(codes) == 1 else np.column_stack(codes)


def named(columns: Sequence[str]) -> str:
    """How clusters of these columns are called."""
    return " and ".join(columns)


def count(cluster: Ints, rows: Ints | slice = slice(None)) -> tuple[int, ...]:
    """Number of clusters among some rows, for each way of clustering."""
    return tuple(int(np.unique(codes[rows]).size) for sign, codes in ways(cluster) if sign > 0)


def connected(*codes: Ints | None) -> Ints | None:
    """Groups of rows that share any of the codes, directly or through others; None without codes.

    Examples
    --------
    >>> connected(np.array([0, 0, 1, 2]), np.array([0, 1, 1, 2]))
    array([0, 0, 0, 1])
    """
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    columns = [column for given in codes if given is not None for column in np.atleast_2d(given.T)]
    if not columns:
        return None
    group: Ints = columns[0]
    for other in columns[1:]:
        n_left, n_right = int(group.max()) + 1, int(other.max()) + 1
        edges = coo_matrix((np.ones(len(group)), (group, n_left + other)), shape=(n_left + n_right, n_left + n_right))
        group = connected_components(edges, directed=False)[1].astype(np.intp)[group]
    return group


@dataclass(frozen=True)
class Curvatures:
    """What each analysis cluster adds to the curvature, for each way of clustering.

    Parameters
    ----------
    ways : tuple of ndarray, each of shape (C, p, p)
        Empty when it is not known.
    basis : ndarray, shape (p, p), or None
        Coordinates T they are written in (:func:`karat.estimate.basis.in_basis`); None for the user's columns.
    """

    ways: tuple[Floats, ...] = ()
    basis: Floats | None = None

    def leverages(self, kind: str) -> tuple[Leverage, ...]:
        """Leverage of the clusters, for each way of clustering."""
        return tuple(Leverage(curvature, kind, self.basis) for curvature in self.ways)

    def within(self, frame: Ints, cluster: Ints, rows: Ints, gold: Ints) -> Curvatures:
        """The same with a row of zeros for every cluster of a frame that has none of them.

        ``frame`` holds the clusters of the frame, ``cluster`` those of the fit, whose units stand at ``rows`` of the
        frame and are gold at ``gold`` of their own.
        """
        out = []
        for (_, every), (_, codes), curvature in zip(ways(frame), ways(cluster), self.ways):
            used, first = np.unique(codes, return_index=True)
            here = every[rows][first] if len(used) == len(curvature) else every[rows][first[np.unique(codes[gold])]]
            padded = np.zeros((int(every.max()) + 1, *curvature.shape[1:]))
            padded[here] = curvature
            out.append(padded)
        return Curvatures(tuple(out), self.basis)


def curvatures(model: Model, sample: AugmentedSample, estimate: Estimate, kind: str, estimator: str) -> Curvatures:
    """What each analysis cluster adds to the curvature at the estimate, for each way of clustering.

    Parameters
    ----------
    model, sample, estimate
        The fit.
    kind : str
        Covariance asked for.
    estimator : {"dsl", "ppi", "gold", "surrogate"}

    Returns
    -------
    Curvatures
        Empty without clusters, and where they would take too much memory and the kind does not need them. Where gold
        rows alone make up the estimate, clusters without gold are left out.

    Raises
    ------
    ArgumentError
        If they would take too much memory and are needed.
    """
    whole = on_gold_basis(model, sample) if sample.units.cluster is not None else sample
    return curvatures_from(partial(_add, model), whole, estimate, kind, estimator)


Adding = Callable[["Floats", "Rows", "Floats", "Ints", "Floats | None"], None]
"""Adds the curvature of rows, at coefficients and with weights, to that of their clusters, shape (C, q, q)."""


def curvatures_from(add: Adding, sample: AugmentedSample, estimate: Estimate, kind: str, estimator: str) -> Curvatures:
    """:func:`curvatures` of rows in well-conditioned coordinates whose curvature is told by a function."""
    if sample.units.cluster is None:
        return Curvatures()
    cluster, theta = sample.units.cluster, estimate.theta
    basis = None if sample.basis is None else index.repeated(sample.basis, len(theta))
    theta = theta if basis is None else np.linalg.solve(basis, theta)
    gold_alone = estimator == "gold" or estimate.scores.gold_alone
    gold, p = sample.units.gold, len(theta)
    for whose in ["gold"] if gold_alone else [estimator, "gold"]:
        parts, out = _weighted_rows(sample, whose), []
        for _, codes in ways(cluster):
            used = np.unique(codes[gold] if gold_alone else codes)
            if len(used) * p**2 > MOST_NUMBERS:
                return refuse_many(len(used), p, kind)
            total = np.zeros((len(used), p, p))
            for rows, at, weight in parts:
                add(total, rows, theta, np.searchsorted(used, codes if at is None else codes[at]), weight)
            out.append(total)
        if all(np.linalg.eigvalsh(_unit_scale(total.sum(axis=0)))[0] > 0 for total in out):
            return Curvatures(tuple(out), basis)
    return Curvatures()


def refuse_many(groups: int, p: int, kind: str) -> Curvatures:
    """No curvatures, where these are too many; an error where the kind needs them."""
    if kind not in LEVERAGED:
        return Curvatures()
    raise ArgumentError(
        f"vcov {kind} needs {groups:,} x {p} x {p} numbers for these clusters, {8e-9 * groups * p**2:.1f} GB; with "
        "that many clusters use vcov={'CRV1': ...}."
    )


def _weighted_rows(sample: AugmentedSample, estimator: str) -> list[tuple[Rows, Ints | None, Floats | None]]:
    """Rows that make up the curvature, where they stand (None for all), and their weights."""
    gold = sample.units.gold
    out: list[tuple[Rows, Ints | None, Floats | None]] = []
    if estimator != "surrogate":
        out.append((sample.gold, gold, sample.units.gold_weight))
    if estimator != "gold":
        for rows in in_memory(sample.predicted, "a covariance for clusters"):
            out.append((rows, None, sample.units.weights))
            if estimator != "surrogate":
                out.append((rows.take(gold), gold, -sample.units.gold_weight))
    return out


def _add(model: Model, total: Floats, rows: Rows, theta: Floats, codes: Ints, weight: Floats | None) -> None:
    """Add the curvature of rows to that of their clusters."""
    _, curvature = model.evaluate(linear_predictor(model, rows, theta), rows.y)
    index.add_by_cluster(total, rows.x, index.weighted(curvature, weight, rows.share), codes, model.first)


def _unit_scale(matrix: Floats) -> Floats:
    """A symmetric matrix with its diagonal scaled to one in absolute value."""
    scale = np.sqrt(np.abs(np.diag(matrix)))
    scale[scale == 0] = 1.0
    return np.asarray(matrix / np.outer(scale, scale))


class Leverage:
    """Share of each cluster in the curvature, and what follows from it for one kind of covariance.

    Parameters
    ----------
    curvature : ndarray, shape (C, p, p)
        From :func:`curvatures`, one way of clustering.
    kind : {"CRV2", "CRV3"}
    basis : ndarray, shape (p, p), optional
        Coordinates of the curvature.

    Attributes
    ----------
    scale : float
        Factor on cross products of adjusted influences.
    alone : ndarray of bool, shape (p,)
        Coefficients that one cluster alone identifies: nothing is known of how they vary over clusters.

    Examples
    --------
    Ten equal clusters and a mean: nine degrees of freedom, as for ten independent numbers.

    >>> equal = Leverage(np.ones((10, 1, 1)), "CRV2")
    >>> round(equal.freedom(np.eye(1)), 6), equal.effective().round(6)
    (9.0, array([10.]))
    """

    def __init__(self, curvature: Floats, kind: str, basis: Floats | None = None) -> None:
        self.curvature, self.kind = curvature, kind
        self.basis = np.eye(curvature.shape[1]) if basis is None else basis
        self.scale = (len(curvature) - 1) / len(curvature) if kind == "CRV3" else 1.0
        whole = curvature.sum(axis=0)
        root = np.linalg.cholesky(whole)
        self.inverse = np.linalg.inv(whole)
        half = np.linalg.inv(root)
        share, vectors = np.linalg.eigh(half @ curvature @ half.T)
        single = share > _ALONE
        factor = np.where(single, 0.0, (1.0 - np.minimum(share, LARGEST_SHARE)) ** -LEVERAGED[kind])
        back = half.T @ vectors
        self._factor = (back * factor[:, None, :]) @ (vectors.transpose(0, 2, 1) @ root.T)
        spread = ((self.basis @ back) ** 2 * single[:, None, :]).sum(axis=2).max(axis=0)
        self.alone: Bools = spread > 1e-7 * np.einsum("ij,jk,ik->i", self.basis, self.inverse, self.basis)

    def adjusted(self, totals: Floats) -> Floats:
        """Influences of clusters with their leverage corrected, shape (C, p)."""
        own = np.linalg.solve(self.basis, totals.T).T
        return np.asarray((self._factor @ own[:, :, None])[:, :, 0] @ self.basis.T)

    def effective(self) -> Floats:
        """Clusters of equal weight that would carry each coefficient as these do, shape (p,).

        ``(sum g_c)^2 / sum g_c^2`` with g_c the part of the coefficient's variance that comes from cluster c
        (Carter, Schnepel and Steigerwald 2017).
        """
        rows = self.basis @ self.inverse
        part = np.einsum("ij,cjk,ik->ci", rows, self.curvature, rows)
        return np.asarray(part.sum(axis=0) ** 2 / (part**2).sum(axis=0))

    def satterthwaite(self, hypotheses: Floats) -> tuple[float, float]:
        """Degrees of freedom of the covariance of some hypotheses, and its mean over the true one.

        Parameters
        ----------
        hypotheses : ndarray, shape (q, p)
            Linearly independent rows.

        Returns
        -------
        freedom : float
            Of the Wishart matrix with the same mean and total variance under the working model: for one hypothesis
            that of Bell and McCaffrey (2002), for several eta of Pustejovsky and Tipton (2018, equation 12).
        ratio : float
        """
        q, hypotheses = len(hypotheses), hypotheses @ self.basis
        true = hypotheses @ self.inverse @ hypotheses.T
        # influence of cluster c: z_c' (its score); residual scores have covariance A_c [c = d] - A_c A^-1 A_d
        z = np.swapaxes(hypotheses @ self._factor @ self.inverse, 1, 2)
        seen = self.curvature @ z
        own = np.swapaxes(z, 1, 2) @ seen
        root = np.linalg.cholesky(self.inverse)
        low = np.swapaxes(seen, 1, 2) @ root
        mean = (own - low @ np.swapaxes(low, 1, 2)).sum(axis=0)
        values, vectors = np.linalg.eigh(mean)
        scale = vectors / np.sqrt(values)
        own, low = scale.T @ own @ scale, scale.T @ low
        within = low @ np.swapaxes(low, 1, 2)
        flat = low.reshape(len(low), -1)
        pairs = (flat.T @ flat).reshape(q, -1, q, low.shape[2])
        less = own - 2.0 * within
        total = (np.trace(less, axis1=1, axis2=2) * np.trace(own, axis1=1, axis2=2)).sum() + (pairs**2).sum()
        total += (own * np.swapaxes(less, 1, 2)).sum() + (pairs * pairs.transpose(2, 1, 0, 3)).sum()
        return float(q * (q + 1) / total), float(np.trace(np.linalg.solve(true, mean)) / q * self.scale)

    def freedom(self, hypotheses: Floats) -> float:
        """Degrees of freedom with which a test or an interval holds its level under the working model.

        CRV2 is unbiased there and has its Satterthwaite figure. CRV3 is too large on average, which pays for what
        clusters share; its figure is the one at which the critical value at 5 %, that of Hotelling's T squared, falls
        by as much as the covariance is too large.
        """
        found, ratio = self.satterthwaite(hypotheses)
        if self.kind == "CRV2":
            return found
        return min(_matched(found, ratio, len(hypotheses)), float(len(self.curvature) - 1))


def _matched(freedom: float, ratio: float, q: int) -> float:
    """Degrees of freedom with the critical value of T squared of ``freedom`` divided by ``ratio``."""
    from scipy.optimize import brentq

    low, high = np.log(q - 0.75), np.log(1e6)
    if freedom <= q - 0.75:
        return freedom
    wanted = critical(q, freedom) / ratio

    def gap(logarithm: float) -> float:
        return float(np.log(critical(q, float(np.exp(logarithm))) / wanted))

    if gap(low) <= 0:
        return float(np.exp(low))
    return 1e6 if gap(high) >= 0 else float(np.exp(brentq(gap, low, high, xtol=1e-10)))


def critical(q: int, freedom: float) -> float:
    """Critical value of Hotelling's T squared at 5 % for q hypotheses."""
    from scipy.special import fdtri

    rest = freedom - q + 1
    return float(q * freedom / rest * fdtri(q, rest, 1.0 - _LEVEL))
