"""Covariances that honour the sampling design: what the population adds, and what labelling adds.

``V = sum w m m' + V_design(sum w e)``: the squares of the gold units' moments, and the design's own variance of the
total of their errors (methods, section 4). With all rows gold the second part vanishes and the classical estimator is
left; for units drawn independently the plain sandwich over all units is the same, and is used.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from ..designs import entries
from ..errors import ArgumentError, one_of
from .basis import nearest_psd
from .cell_rows import squares_of_cells, totals_of_cells
from .scores import Block, Scores, StoredBlocks, put, taken

if TYPE_CHECKING:
    from .._core.types import Floats, Ints
    from ..designs import Labelling
    from .augment import Units
    from .leverage import Leverage

KINDS = ("HC0", "HC1", "HC2", "HC3", "CRV0", "CRV1", "CRV2", "CRV3")


@dataclass(frozen=True)
class Meat:
    """What a covariance is made from, of one fit or of several side by side, without the labelling part.

    Parameters
    ----------
    population : ndarray, shape (P, P)
        ``sum m m'`` over all units or clusters: the covariance if every unit were gold.
    concentration : ndarray, shape (P,)
        ``sum q^2 / (sum q)^2`` of what each unit or cluster contributes to a variance, for degrees of freedom.
    groups : int
        Number of units or clusters summed over.
    plain : ndarray, shape (P,)
        With clusters, squares of their totals, which hold labelling noise too.
    others : tuple of Meat
        The same for the second way of clustering and for the pairs of both.
    """

    population: Floats
    concentration: Floats
    groups: int
    plain: Floats | None = None
    others: tuple[Meat, ...] = ()

    def part(self, start: int, stop: int) -> Meat:
        """The meat of one of the fits."""
        inside = slice(start, stop)
        return Meat(
            self.population[inside, inside],
            self.concentration[inside],
            self.groups,
            None if self.plain is None else self.plain[inside],
            tuple(other.part(start, stop) for other in self.others),
        )

    def combined(self, matrix: Floats) -> Meat:
        """The meat of linear combinations of the stacked coefficients, without what degrees of freedom need."""
        others = tuple(other.combined(matrix) for other in self.others)
        unknown = np.full(matrix.shape[0], np.nan)
        return Meat(matrix @ self.population @ matrix.T, unknown, self.groups, None, others)


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


def stack(scores: Sequence[Scores], kind: str, counted: bool = True) -> Meat:
    """Population part of one or several fits on the same data (methods, section 4).

    Parameters
    ----------
    scores : sequence of Scores
    kind : str
        Small-sample form for units, see :func:`sandwich`.
    counted : bool
        Whether degrees of freedom will be asked for, which need the concentration.

    Returns
    -------
    Meat
    """
    labelling = scores[0].units.labelling
    by_row = labelling.independent and labelling.unit is None and kind not in ("HC2", "HC3")
    if by_row or all(s.labels_known for s in scores):
        return stack_all(scores, kind)
    parts = [s.gold_parts(kind) for s in scores]
    moment, error = (entries.side_by_side([part[k] for part in parts]) for k in (0, 1))

    def concentration(moment: Floats, error: Floats) -> Floats:
        shares = over_drawn(labelling.weight[:, None] * moment**2 + labelling.shares(error), labelling)
        return concentration_of(shares)

    found = entries.in_columns(concentration, moment, error) if counted else np.full(moment.shape[1], np.nan)
    return Meat(gold_population(moment, labelling), found, len(labelling.weight))


def over_drawn(shares: Floats, labelling: Labelling) -> Floats:
    """Sums over what was drawn: gold rows (n, p) as they are, or those of whole clusters together."""
    if labelling.unit is None:
        return shares
    return entries.group_totals(shares, np.unique(labelling.unit[labelling.labelled], return_inverse=True)[1])


def gold_population(moment: Floats, labelling: Labelling) -> Floats:
    """``sum w m m'`` over gold units: the population part, whatever the predictions are.

    It holds no prediction, so it does not move when a constant is added to them, and it cannot be negative.

    Parameters
    ----------
    moment : ndarray, shape (n, p)
    labelling : Labelling

    Returns
    -------
    ndarray, shape (p, p)
    """
    return entries.cross_product(moment, moment, labelling.weight)


def stack_all(scores: Sequence[Scores], kind: str) -> Meat:
    """Units drawn independently, or labels taken as they are: squares of the influences of all units, in one pass."""
    error = entries.side_by_side([s.gold_parts(kind)[1] for s in scores])
    width = error.shape[1]
    labelling = scores[0].units.labelling
    squares = [entries.power(entries.by_row(np.multiply, s.moment, labelling.weight), 2) for s in scores]
    size = np.sqrt(np.concatenate([entries.column_sums(one) for one in squares]))
    size[size == 0] = 1.0
    in_cells = squares_of_cells(scores, kind, size)
    product, fourth = _of_rows(scores, kind, size) if in_cells is None else in_cells
    second = (np.diag(product) / size**2) ** 2
    concentration = np.divide(fourth, second, out=np.zeros(width), where=second > 0)
    population = product - labelling.independent_cross(error, error) if entries.largest(error).any() else product
    return Meat(population, concentration, max(s.n_rows for s in scores))


def _of_rows(scores: Sequence[Scores], kind: str, size: Floats) -> tuple[Floats, Floats]:
    """Cross products of the influences of all rows, and fourth powers of these over a size."""
    product, fourth = np.zeros((len(size), len(size))), np.zeros(len(size))
    for at, stacked in _blocks(scores, kind):
        count = scores[0].units.counts_in(at) if any(not s.gold_alone for s in scores) else None
        if not entries.written_out(stacked):
            weight = np.ones(stacked.shape[0]) if count is None else count
            product += entries.cross_product(stacked, stacked, weight)
            fourths = entries.power(entries.by_column(np.divide, stacked, size), 4)
            fourth += entries.column_sums(entries.by_row(np.multiply, fourths, weight))
            continue
        product += stacked.T @ (stacked if count is None else stacked * count[:, None])
        stacked /= size
        np.square(stacked, out=stacked)
        fourth += np.einsum("ij,ij->j", stacked, stacked if count is None else stacked * count[:, None])
    return product, fourth


def stack_clusters(scores: Sequence[Scores], cluster: Ints, leverages: Sequence[Leverage | None]) -> Meat:
    """Squares of the totals of clusters, less what independent labelling of their units adds to them.

    Where a fixed size makes a total known, that part of the error is taken as if it had been predicted: without it the
    subtraction leaves noise in proportion to the mean error.

    Parameters
    ----------
    scores : sequence of Scores
        On the same data, each with rows of its own.
    cluster : ndarray of int, shape (N,)
        Codes from 0.
    leverages : sequence of Leverage or None
        Of each fit, where it is corrected for.

    Returns
    -------
    Meat
    """
    every, errors, labelling = [], [], scores[0].units.labelling
    of_cells = totals_of_cells(scores, cluster)
    for k, (one, leverage) in enumerate(zip(scores, leverages)):
        codes = cluster[labelling.gold] if one.gold_alone else cluster
        totals = of_cells[k] if k in of_cells else one.totals_in(codes, int(cluster.max()) + 1)
        error = entries.dense(one.error)
        if not one.labels_known:
            error, known = labelling.known_part(error)
            totals = totals if known is None else totals + known.totals(cluster, len(totals))
        if leverage is not None:
            present = np.unique(codes)
            totals[present] = leverage.adjusted(totals[present])
        every.append(totals)
        errors.append(error)
    stacked, error = np.hstack(every), np.hstack(errors)
    product = stacked.T @ stacked
    groups = int(np.unique(cluster[labelling.gold] if scores[0].gold_alone else cluster).size)
    population = product - labelling.independent_cross(error, error, cluster)
    return Meat(population, concentration_of(stacked**2), groups, np.diag(product).copy())


def _blocks(scores: Sequence[Scores], kind: str) -> Iterator[Block]:
    """Influences of several fits side by side, to be used up: the buffer is used again for the next block.

    Where some fits have rows for all units, those on gold rows alone have 0 at the others.
    """
    if len(scores) == 1:
        yield from scores[0].blocks(kind)
        return
    starts = np.concatenate([[0], np.cumsum([s.error.shape[1] for s in scores])])
    columns = [slice(start, stop) for start, stop in pairwise(starts)]
    whole = [k for k, s in enumerate(scores) if not s.gold_alone] or list(range(len(scores)))
    sparse = {k: s.of_gold(kind) for k, s in enumerate(scores) if k not in whole}
    buffer = np.empty((0, int(starts[-1])))
    for parts in zip(*(scores[k].blocks(kind) for k in whole)):
        block = parts[0][0]
        size = block.stop - block.start
        if not all(entries.written_out(psi) for _, psi in parts):
            found = dict(zip(whole, (psi for _, psi in parts)))
            found |= {k: taken(own, block, scores[k].units.gold) for k, own in sparse.items()}
            yield block, entries.side_by_side([found[k] for k in range(len(scores))])
            continue
        buffer = buffer if size <= len(buffer) else np.empty((size, buffer.shape[1]), order="F")
        stacked = buffer[:size]
        for k, (_, psi) in zip(whole, parts):
            stacked[:, columns[k]] = psi
        for k, own in sparse.items():
            stacked[:, columns[k]] = 0.0
            put(stacked[:, columns[k]], block, scores[k].units.gold, own)
        yield block, stacked


def concentration_of(shares: Floats) -> Floats:
    """``sum q^2 / (sum q)^2`` of each column of non-negative shares q; 0 for a column of zeros."""
    total = shares.sum(axis=0)
    relative = np.divide(shares, total, out=np.zeros_like(shares), where=total > 0)
    return np.asarray((relative**2).sum(axis=0))


def sandwich(
    meat: Meat,
    error: Floats,
    labelling: Labelling,
    n_rows: int,
    *,
    kind: str,
    target: str,
    cluster: Ints | None = None,
    used: int | None = None,
    absorbed: float = 0.0,
    fewest: int | None = None,
) -> Covariance:
    """Covariance of the coefficients: population part plus labelling part.

    Parameters
    ----------
    meat : Meat
        From :func:`stack` or :func:`stack_clusters`, with the same kind and clusters.
    error : ndarray, shape (n, p)
        Labelling errors of the gold units, with the small-sample correction of the kind.
    labelling : Labelling
        The draw.
    n_rows : int
        Rows of the fit: N, or n for gold alone.
    kind : {"HC0", "HC1", "HC2", "HC3", "CRV0", "CRV1", "CRV2", "CRV3"}
        Small-sample form. HC3 takes the scores of a gold unit at the estimate without it, HC2 the root of that factor;
        CRV2 and CRV3 do so for clusters (Bell and McCaffrey 2002); CRV3 is the leave-one-cluster-out
        jackknife in one step (MacKinnon, Nielsen, Webb 2023).
    target : {"superpopulation", "finite"}
        "finite" is this corpus: the labelling part alone.
    cluster : ndarray of int, shape (N,), optional
        Analysis clusters; needed for the CRV kinds.
    used : int, optional
        Coefficients of the fit, for HC1 and CRV1; by default as many as there are errors.
    absorbed : float
        Parameters of fixed effects per row of the fit, for the same: n rows have used up n times that.
    fewest : int, optional
        Clusters that CRV1 counts in place of those summed over: the fewest of several ways.

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
    design = labelling.cross(error, error)
    gold_groups = error.shape[0] if cluster is None else int(np.unique(cluster[labelling.gold]).size)
    units = (meat.groups if cluster is None else n_rows, error.shape[0])
    p = error.shape[1] if used is None else used
    used_up = (p + absorbed * units[0], p + absorbed * units[1])
    groups = (meat.groups, gold_groups) if fewest is None else (fewest, min(fewest, gold_groups))
    population, design = small_sample(kind, meat.population, design, used_up, units, groups)
    squares = cluster is None or labelling.independent
    total = design if target == "finite" else with_population(population, design, squares)
    return Covariance(total, design)


def with_population(population: Floats, design: Floats, squares: bool) -> Floats:
    """Population and labelling part together.

    The population part is a sum of squares, or, with clusters, a difference of two; where noise makes some
    direction of the difference negative it counts as 0 there, so that the sum is never below the labelling part.

    Parameters
    ----------
    population, design : ndarray, shape (p, p)
    squares : bool
        Whether nothing can be negative: without clusters the population part is a sum of squares, and where units were
        drawn independently the sum is the plain sandwich, itself one.

    Returns
    -------
    ndarray, shape (p, p)
    """
    whole = population + design
    scale = np.diag(np.where(np.diag(whole) > 0, np.diag(whole), np.diag(design)))
    if squares or np.linalg.eigvalsh(_scaled(population, scale))[0] >= -1e-9:
        return (whole + whole.T) / 2.0
    return nearest_psd(population, scale) + design


def influence_covariance(psi: Floats, error: Floats, units: Units, target: str, cluster: Ints | None = None) -> Floats:
    """Covariance of any estimate from its influence on coefficients (no small-sample factor).

    Parameters
    ----------
    psi : ndarray, shape (N, p)
        Influence of each unit.
    error : ndarray, shape (n, p)
        What the inverse-probability total of gold units adds to it.
    units : Units
    target : {"superpopulation", "finite"}
    cluster : ndarray of int, shape (N,), optional

    Returns
    -------
    ndarray, shape (p, p)
    """
    labelling = units.labelling
    design = labelling.cross(error, error)
    if target == "finite":
        return design
    moment = psi[units.gold] - (labelling.weight - 1.0)[:, None] * error
    stored = StoredBlocks(psi, np.zeros(len(psi)))
    scores = Scores(stored, moment, error, (moment, error), units, np.zeros(len(error)))
    meat = stack([scores], "HC0") if cluster is None else stack_clusters([scores], cluster, [None])
    return with_population(meat.population, design, cluster is None or labelling.independent)


def small_sample(
    kind: str,
    population: Floats,
    design: Floats,
    used: tuple[float, float],
    units: tuple[int, int],
    groups: tuple[int, int],
) -> tuple[Floats, Floats]:
    """Degree-of-freedom factors: of the population part by all units, of the labelling part by gold."""
    out = []
    for part, p, n, g in zip((population, design), used, units, groups):
        if kind == "HC1":
            part = part * n / max(n - p, 1)
        elif kind == "CRV1":
            part = part * g / max(g - 1, 1) * (n - 1) / max(n - p, 1)
        out.append(part)
    if kind == "CRV3":
        out[0] = out[0] * (groups[0] - 1) / groups[0]
    return out[0], out[1]


def _scaled(matrix: Floats, scale: Floats) -> Floats:
    """A symmetric matrix over the roots of a diagonal."""
    size = np.sqrt(np.diag(scale))
    size = np.where(size > 0, size, 1.0)
    return np.asarray((matrix + matrix.T) / 2.0 / np.outer(size, size))
