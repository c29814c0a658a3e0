"""Sandwich covariances that honour the sampling design.

The plain sandwich holds a labelling part as if units had been drawn independently. It is taken out
and the design's own labelling part put in: ``V = sandwich - independent + design``
(methods, section 4). With all rows gold both parts vanish and the classical estimator is left.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ..designs.labelling import group_totals
from ..errors import ArgumentError, one_of
from .moments import BLOCK_ROWS, slices

if TYPE_CHECKING:
    from .._types import Floats, Ints
    from ..designs import Labelling
    from .clusters import Leverage

KINDS = ("HC0", "HC1", "HC2", "HC3", "CRV0", "CRV1", "CRV2", "CRV3")
LARGEST_LEVERAGE = 0.95
"""Leverage is cut here; a gold unit beyond it decides a coefficient on its own."""


Block = tuple[slice, "Floats"]
"""Rows, and their influence on the coefficients, shape (rows, p)."""


@dataclass(frozen=True)
class Scores:
    """Influence of units on the coefficients, all times the analysis weight.

    Parameters
    ----------
    source : callable
        Given the kind of small-sample correction, hands out influences ``A^-1 phi`` block by block;
        each block may be used up by the caller.
    error : ndarray, shape (n, p)
        ``A^-1 (m - Lambda h)`` of the gold units; its inverse-probability total is what labelling adds.
    gold : ndarray of int, shape (n,)
        Where the gold units stand among the rows of the blocks.
    gold_leverage : ndarray, shape (n,)
        Share of a gold unit in its own fit.
    n_rows : int
        Rows in all blocks: N, or n for the gold-only estimator.
    rows : ndarray of int or None
        Position in the data of each row; None when all N are there.
    """

    source: Callable[[str], Iterator[Block]]
    error: Floats
    gold: Ints
    gold_leverage: Floats
    n_rows: int
    rows: Ints | None = None

    def stored(self) -> Scores:
        """The same held in memory, so that it can be pickled and read again without the data."""
        if isinstance(self.source, StoredBlocks):
            return self
        psi = np.empty((self.n_rows, self.error.shape[1]))
        factor = np.empty(self.n_rows)
        for block, plain in self.source("HC0"):
            psi[block] = plain
        for block, corrected in self.source("HC3"):
            one = np.abs(psi[block]).argmax(axis=1)[:, None]
            before = np.take_along_axis(psi[block], one, 1)[:, 0]
            after = np.take_along_axis(corrected, one, 1)[:, 0]
            factor[block] = np.divide(after, before, out=np.ones_like(after), where=before != 0)
        return replace(self, source=StoredBlocks(psi, 1.0 - 1.0 / factor))

    def influence(self) -> Floats:
        """Influence of all rows without small-sample correction, shape (n_rows, p)."""
        kept = self.stored().source
        assert isinstance(kept, StoredBlocks)
        return kept.psi

    def corrected_error(self, kind: str) -> Floats:
        """Labelling errors with the small-sample correction, shape (n, p)."""
        factor = correction(self.gold_leverage, kind)
        return self.error if factor is None else self.error * factor[:, None]


@dataclass(frozen=True)
class StoredBlocks:
    """Influences in memory, handed out block by block."""

    psi: Floats
    leverage: Floats

    def __call__(self, kind: str) -> Iterator[Block]:
        """Copies of the blocks, corrected."""
        for block in slices(len(self.psi)):
            factor = correction(self.leverage[block], kind)
            yield block, self.psi[block].copy() if factor is None else self.psi[block] * factor[:, None]


@dataclass(frozen=True)
class Meat:
    """Cross products of influences, of one fit or of several side by side.

    Parameters
    ----------
    product : ndarray, shape (P, P)
        ``sum psi psi'`` over units or clusters.
    fourth : ndarray, shape (P,)
        ``sum psi^4``, for degrees of freedom.
    groups : int
        Number of units or clusters summed over.
    others : tuple of Meat
        The same for the second way of clustering and for the pairs of both.
    """

    product: Floats
    fourth: Floats
    groups: int
    others: tuple[Meat, ...] = ()

    def part(self, start: int, stop: int) -> Meat:
        """The meat of one of the fits."""
        others = tuple(other.part(start, stop) for other in self.others)
        return Meat(self.product[start:stop, start:stop], self.fourth[start:stop], self.groups, others)

    def combined(self, matrix: Floats) -> Meat:
        """The meat of linear combinations of the stacked coefficients, without fourth powers."""
        others = tuple(other.combined(matrix) for other in self.others)
        return Meat(matrix @ self.product @ matrix.T, np.full(len(matrix), np.nan), self.groups, others)


@dataclass(frozen=True)
class Covariance:
    """Covariance of the coefficients, in parts.

    Parameters
    ----------
    total : ndarray, shape (p, p)
        Covariance for the target.
    labelling : ndarray, shape (p, p)
        Part that comes from labelling a sample only.
    """

    total: Floats
    labelling: Floats


def correction(leverage: Floats, kind: str) -> Floats | None:
    """Factor on a unit's influence: ``(1 - leverage)`` to the power -1/2 (HC2) or -1 (HC3)."""
    if kind not in ("HC2", "HC3"):
        return None
    rest = 1.0 - np.minimum(leverage, LARGEST_LEVERAGE)
    return 1.0 / np.sqrt(rest) if kind == "HC2" else 1.0 / rest


def stack(scores: Sequence[Scores], kind: str) -> Meat:
    """Cross products of the influences of one or several fits on the same rows, in one pass.

    Parameters
    ----------
    scores : sequence of Scores
    kind : str
        Small-sample form for units, see :func:`sandwich`.

    Returns
    -------
    Meat
    """
    starts = np.concatenate([[0], np.cumsum([s.error.shape[1] for s in scores])])
    width = int(starts[-1])
    product, fourth = np.zeros((width, width)), np.zeros(width)
    buffer = np.empty((BLOCK_ROWS, width))
    for parts in zip(*(s.source(kind) for s in scores)):
        block = parts[0][0]
        stacked = buffer[: block.stop - block.start]
        for (_, psi), start, stop in zip(parts, starts[:-1], starts[1:]):
            stacked[:, start:stop] = psi
        product += stacked.T @ stacked
        np.square(stacked, out=stacked)
        fourth += np.einsum("ij,ij->j", stacked, stacked)
    return Meat(product, fourth, scores[0].n_rows)


def stack_clusters(scores: Sequence[Scores], cluster: Ints, leverages: Sequence[Leverage | None]) -> Meat:
    """The same for influences summed within clusters, whose leverage is corrected where it is given.

    Parameters
    ----------
    scores : sequence of Scores
        On the same data, each with rows of its own.
    cluster : ndarray of int, shape (N,)
        Codes from 0.
    leverages : sequence of Leverage or None
        Of each fit.

    Returns
    -------
    Meat
    """
    every = []
    for one, leverage in zip(scores, leverages):
        codes = cluster if one.rows is None else cluster[one.rows]
        totals = np.zeros((int(cluster.max()) + 1, one.error.shape[1]))
        for block, psi in one.source("HC0"):
            inside = codes[block]
            low = int(inside.min())
            found = group_totals(psi, inside - low)
            totals[low : low + len(found)] += found
        if leverage is not None:
            present = np.unique(codes)
            totals[present] = leverage.adjusted(totals[present])
        every.append(totals)
    rows = scores[0].rows
    stacked = np.hstack(every)
    groups = int(np.unique(cluster if rows is None else cluster[rows]).size)
    return Meat(stacked.T @ stacked, (stacked**4).sum(axis=0), groups)


def sandwich(
    meat: Meat,
    scores: Scores,
    labelling: Labelling,
    *,
    kind: str,
    target: str,
    cluster: Ints | None = None,
) -> Covariance:
    """Covariance of the coefficients.

    Parameters
    ----------
    meat : Meat
        From :func:`stack` or :func:`stack_clusters`, with the same kind and clusters.
    scores : Scores
    labelling : Labelling
        The draw.
    kind : {"HC0", "HC1", "HC2", "HC3", "CRV0", "CRV1", "CRV2", "CRV3"}
        Small-sample form. HC2 and HC3 divide a unit's score by ``(1 - leverage)`` to the power 1/2
        and 1, CRV2 and CRV3 do so for clusters (Bell and McCaffrey 2002); CRV3 is the leave-one-cluster-out
        jackknife in one step (MacKinnon, Nielsen, Webb 2023).
    target : {"superpopulation", "finite"}
        "finite" is this corpus: the labelling part alone.
    cluster : ndarray of int, shape (N,), optional
        Analysis clusters; needed for the CRV kinds.

    Returns
    -------
    Covariance

    Raises
    ------
    ArgumentError
        If the kind needs clusters and none were given.
    """
    one_of("vcov", kind, KINDS)
    one_of("target", target, ("superpopulation", "finite"))
    if kind.startswith("CRV") and cluster is None:
        raise ArgumentError(f"vcov={kind!r} needs clusters; write vcov={{'{kind}': 'column'}} or cluster='column'.")
    error = scores.corrected_error(kind)
    design = labelling.cross(error, error)
    population = meat.product - labelling.independent_cross(error, error, cluster)
    gold_groups = len(error) if cluster is None else int(np.unique(cluster[labelling.gold]).size)
    population, design = _small_sample(
        kind, population, design, error.shape[1], (scores.n_rows, len(error)), (meat.groups, gold_groups)
    )
    total = design if target == "finite" else nearest_psd(population + design, design)
    return Covariance(total, design)


def influence_covariance(
    psi: Floats, error: Floats, labelling: Labelling, target: str, cluster: Ints | None = None
) -> Floats:
    """Covariance of any estimate from its influence on coefficients (no small-sample factor).

    Parameters
    ----------
    psi : ndarray, shape (N, p)
        Influence of each unit.
    error : ndarray, shape (n, p)
        What the inverse-probability total of gold units adds to it.
    labelling : Labelling
    target : {"superpopulation", "finite"}
    cluster : ndarray of int, shape (N,), optional

    Returns
    -------
    ndarray, shape (p, p)
    """
    totals = psi if cluster is None else group_totals(psi, cluster)
    return redesigned(totals.T @ totals, error, labelling, target, cluster)


def redesigned(
    product: Floats, error: Floats, labelling: Labelling, target: str, cluster: Ints | None = None
) -> Floats:
    """A sandwich whose labelling part is replaced by the design's own.

    Parameters
    ----------
    product : ndarray, shape (p, p)
        Sandwich over units or clusters.
    error : ndarray, shape (n, p)
        Labelling errors in coefficient space.
    labelling : Labelling
    target : {"superpopulation", "finite"}
    cluster : ndarray of int, shape (N,), optional

    Returns
    -------
    ndarray, shape (p, p)
    """
    design = labelling.cross(error, error)
    if target == "finite":
        return design
    return nearest_psd(product - labelling.independent_cross(error, error, cluster) + design, design)


def _small_sample(
    kind: str, population: Floats, design: Floats, p: int, units: tuple[int, int], groups: tuple[int, int]
) -> tuple[Floats, Floats]:
    """Degree-of-freedom factors: of the population part by all units, of the labelling part by gold."""
    out = []
    for part, n, g in zip((population, design), units, groups):
        if kind == "HC1":
            part = part * n / max(n - p, 1)
        elif kind == "CRV1":
            part = part * g / max(g - 1, 1) * (n - 1) / max(n - p, 1)
        out.append(part)
    if kind == "CRV3":
        out[0] = out[0] * (groups[0] - 1) / groups[0]
    return out[0], out[1]


def nearest_psd(matrix: Floats, floor: Floats) -> Floats:
    """The matrix itself if it is positive semidefinite, else with negative eigenvalues set to zero.

    Parameters
    ----------
    matrix : ndarray, shape (p, p)
        Symmetric.
    floor : ndarray, shape (p, p)
        The labelling part: the scale of the projection where the diagonal itself is not positive.

    Returns
    -------
    ndarray, shape (p, p)
    """
    matrix = (matrix + matrix.T) / 2.0
    scale = np.sqrt(np.maximum(np.diag(matrix), np.diag(floor)))
    scale[scale == 0] = 1.0
    values, vectors = np.linalg.eigh(matrix / np.outer(scale, scale))
    if values[0] >= -1e-12:
        return matrix
    fixed: Floats = (vectors * np.maximum(values, 0.0)) @ vectors.T * np.outer(scale, scale)
    return fixed
