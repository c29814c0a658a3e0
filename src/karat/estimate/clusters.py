"""Inference with few analysis clusters: leverage of clusters, degrees of freedom, two ways of clustering.

With A the curvature of the estimating equation and A_c what cluster c adds to it, CRV2 and CRV3 multiply the influence
of a cluster by ``(I - A^-1 A_c)`` to the power -1/2 and -1 (Bell and McCaffrey 2002). What such a variance is worth in
degrees of freedom follows from a working model in which scores are independent with the curvature as their covariance
(Pustejovsky and Tipton 2018); both are written in A and A_c alone, so that they hold for the augmented sample, whose
clusters bring gold and predicted rows together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from ..designs.labelling import pair_codes
from ..errors import ArgumentError
from . import index
from .basis import nearest_psd
from .leverage import LEVERAGED, Leverage, unit_scale
from .rows import Memory
from .totals import linear_predictor
from .unnested import columns_across, totals, widened
from .within import on_shared_basis

if TYPE_CHECKING:
    import pandas as pd

    from .._core.types import Floats, Ints
    from ..designs import Labelling
    from ..moments import Model
    from .augment import AugmentedSample
    from .rectify import Estimate
    from .rows import Rows
    from .unnested import Part

KINDS = ("CRV0", "CRV1", "CRV2", "CRV3")

MOST_NUMBERS = 100_000_000


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


def kept_whole(labelling: Labelling, cluster: Ints | None, folds: object) -> Ints | None:
    """Groups of rows that a fold takes or leaves as a whole.

    A prediction must not have seen whether its own labelling unit was drawn; that units of an analysis cluster are
    kept together too only spares the variance what they share. Where keeping everything whole (clusters of two ways
    hang together) leaves fewer groups with gold than folds, the ways of clustering are given up, the last one first.
    """
    columns = [] if cluster is None else list(np.atleast_2d(cluster.T))
    wanted = int(folds) if isinstance(folds, (int, np.integer)) else 2
    while len(columns) > 1:
        group = connected(labelling.unit, *columns)
        assert group is not None
        if np.unique(group[labelling.gold]).size >= wanted:
            return group
        columns.pop()
    return connected(labelling.unit, *columns)


@dataclass(frozen=True)
class Curvatures:
    """What each analysis cluster adds to the curvature, for each way of clustering.

    Parameters
    ----------
    ways : tuple of ndarray, each of shape (C, p, p)
        Empty when it is not known.
    basis : ndarray, shape (p, p), or None
        Coordinates T they are written in (:func:`karat.estimate.basis.in_basis`); None for the user's columns.
    beside : tuple of (ndarray of shape (C, T), or None)
        For each way, totals of scores in the columns of fixed effects that run across clusters; the curvature is then
        of shape (C, p + T, p + T).
    """

    ways: tuple[Floats, ...] = ()
    basis: Floats | None = None
    beside: tuple[Floats | None, ...] = ()

    def leverages(self, kind: str) -> tuple[Leverage, ...]:
        """Leverage of the clusters, for each way of clustering."""
        beside = self.beside or (None,) * len(self.ways)
        return tuple(Leverage(c, kind, self.basis, more) for c, more in zip(self.ways, beside))

    def within(self, frame: Ints, cluster: Ints, rows: Ints, gold: Ints) -> Curvatures:
        """The same with a row of zeros for every cluster of a frame that has none of them.

        ``frame`` holds the clusters of the frame, ``cluster`` those of the fit, whose units stand at ``rows`` of the
        frame and are gold at ``gold`` of their own.
        """
        out, more = [], []
        beside = self.beside or (None,) * len(self.ways)
        for (_, every), (_, codes), curvature, part in zip(ways(frame), ways(cluster), self.ways, beside):
            used, first = np.unique(codes, return_index=True)
            here = every[rows][first] if len(used) == len(curvature) else every[rows][first[np.unique(codes[gold])]]
            size = int(every.max()) + 1
            out.append(_put(curvature, here, size))
            more.append(None if part is None else _put(part, here, size))
        return Curvatures(tuple(out), self.basis, tuple(more))


def _put(values: Floats, at: Ints, size: int) -> Floats:
    """Values at their places among more of them, which are 0."""
    out = np.zeros((size, *values.shape[1:]))
    out[at] = values
    return out


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
    if sample.units.cluster is None:
        return Curvatures()
    return curvatures_from(partial(_add, model), on_shared_basis(model, sample, estimator), estimate, kind, estimator)


Adding = Callable[["Floats", "Rows", "Floats", "Ints", "Floats | None"], None]
"""Adds the curvature of rows, at coefficients and with weights, to that of their clusters, shape (C, q, q)."""


def curvatures_from(
    add: Adding, samples: tuple[AugmentedSample, AugmentedSample | None], estimate: Estimate, kind: str, estimator: str
) -> Curvatures:
    """:func:`curvatures` of rows whose curvature is told by a function: those of an estimator, and of gold alone."""
    sample = samples[0]
    if sample.units.cluster is None:
        return Curvatures()
    cluster, theta = sample.units.cluster, estimate.theta
    shared, own = samples
    basis = None if shared.basis is None else index.repeated(shared.basis, len(theta))
    theta = theta if basis is None else np.linalg.solve(basis, theta)
    gold_alone = estimator == "gold" or estimate.scores.gold_alone
    gold, p = sample.units.gold, len(theta)
    for whose in ["gold"] if gold_alone else [estimator, "gold"]:
        rows = own if whose == "gold" else shared
        if rows is None:
            continue
        out, beside = [], []
        for _, codes in ways(cluster):
            used = np.unique(codes[gold] if gold_alone else codes)
            columns = columns_across(rows, whose, codes, kind) if kind in LEVERAGED else None
            q, parts = p if columns is None else p + columns.shape[1], _weighted_rows(rows, whose)
            if len(used) * q**2 > MOST_NUMBERS:
                return refuse_many(len(used), q, kind)
            total, every, at_zero = np.zeros((len(used), q, q)), parts, np.zeros(q)
            at_zero[:p] = theta
            if columns is not None:
                parts = list(parts)
                every = widened(parts, columns)
            beside.append(None if columns is None else totals(list(parts), columns, theta, codes, used, rows))
            if estimate.noise is not None and whose != "gold":
                every = [*every, estimate.noise.rows(rows.units, q)]
            for some, at, weight in every:
                add(total, some, at_zero, np.searchsorted(used, codes if at is None else codes[at]), weight)
            out.append(total)
        if all(np.linalg.eigvalsh(unit_scale(total.sum(axis=0)))[0] > 0 for total in out):
            return Curvatures(tuple(out), basis, tuple(beside))
    return Curvatures()


def refuse_many(groups: int, p: int, kind: str) -> Curvatures:
    """No curvatures, where these are too many; an error where the kind needs them."""
    if kind not in LEVERAGED:
        return Curvatures()
    raise ArgumentError(
        f"vcov {kind} needs {groups:,} x {p} x {p} numbers for these clusters, {8e-9 * groups * p**2:.1f} GB; with "
        "that many clusters use vcov={'CRV1': ...}."
    )


def _weighted_rows(sample: AugmentedSample, estimator: str) -> Iterable[Part]:
    """Rows that make up the curvature, where they stand (None for all), and their weights."""
    units, source = sample.units, sample.predicted
    out: list[Part] = []
    if estimator != "surrogate":
        out.append((sample.gold, units.gold, units.gold_weight))
    if estimator == "gold":
        return out
    if not isinstance(source, Memory):
        if estimator != "surrogate":
            out += [(rows, units.gold, -units.gold_weight) for rows in source.at(units.gold)]
        return chain(out, _block_rows(sample))
    for rows in source.rows:
        out.append((rows, None, units.weights))
        if estimator != "surrogate":
            out.append((rows.take(units.gold), units.gold, -units.gold_weight))
    return out


def _block_rows(sample: AugmentedSample) -> Iterator[tuple[Rows, slice, Floats | None]]:
    """Predicted rows block by block, where they stand, and their weights."""
    for block in sample.predicted.blocks():
        for rows in block.rows:
            yield rows, block.at, sample.units.weights_in(block.at)


def _add(model: Model, total: Floats, rows: Rows, theta: Floats, codes: Ints, weight: Floats | None) -> None:
    """Add the curvature of rows to that of their clusters."""
    _, curvature = model.evaluate(linear_predictor(model, rows, theta), rows.y)
    index.add_by_cluster(total, rows.scored, index.weighted(curvature, weight, rows.share), codes, model.first)
