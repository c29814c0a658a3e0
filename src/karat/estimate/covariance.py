"""Covariances that honour the sampling design: what the population adds, and what labelling adds.

``V = sum w m m' + V_design(sum w e)``: the squares of the gold units' moments, and the design's own variance of the
total of their errors (methods, section 4). With all rows gold the second part vanishes and the classical estimator is
left; for units drawn independently the plain sandwich over all units is the same, and is used.
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

    The influence of a gold unit is ``moment + (w - 1) error``.

    Parameters
    ----------
    source : callable
        Given the kind of small-sample correction, hands out influences ``A^-1 phi`` block by block;
        each block may be used up by the caller. Those of gold units are taken from the parts below.
    moment : ndarray, shape (n, p)
        ``A^-1 m`` of the gold units: what they tell of the population.
    error : ndarray, shape (n, p)
        ``A^-1 (m - Lambda h)`` of the gold units; its inverse-probability total is what labelling adds.
    left_out : tuple of two ndarrays of shape (n, p)
        Moment and error of each gold unit at the estimate without it.
    weight : ndarray, shape (n,)
        Weight w of the gold units, 1 over their probability.
    gold : ndarray of int, shape (n,)
        Where the gold units stand among the rows of the blocks.
    gold_leverage : ndarray, shape (n,)
        Share of a gold unit in its own fit: 1 less its error over its left-out error.
    n_rows : int
        Rows in all blocks: N, or n for the gold-only estimator.
    rows : ndarray of int or None
        Position in the data of each row; None when all N are there.
    """

    source: Callable[[str], Iterator[Block]]
    moment: Floats
    error: Floats
    left_out: tuple[Floats, Floats]
    weight: Floats
    gold: Ints
    gold_leverage: Floats
    n_rows: int
    rows: Ints | None = None

    @classmethod
    def of(
        cls,
        source: Callable[[str], Iterator[Block]],
        moment: Floats,
        error: Floats,
        left_out: tuple[Floats, Floats],
        uncalibrated: Floats,
        weight: Floats,
        gold: Ints,
        n_rows: int,
    ) -> Scores:
        """Scores whose leverage is read off what leaving a unit out does to its error before calibration."""
        leverage = np.clip(1.0 - 1.0 / _growth(error, uncalibrated) ** 2, 0.0, LARGEST_LEVERAGE)
        return cls(source, moment, error, left_out, weight, gold, leverage, n_rows)

    @property
    def labels_known(self) -> bool:
        """Whether labelling adds nothing: the labels are taken as they are, or are right in every gold unit."""
        return bool((np.abs(self.error).max(axis=0) <= 1e-10 * np.abs(self.moment).max(axis=0)).all())

    def gold_parts(self, kind: str) -> tuple[Floats, Floats]:
        """Moment and error of the gold units with a small-sample correction, each of shape (n, p).

        HC3 takes them at the estimate without the unit, HC2 goes half of the way there (the root of the factor).
        """
        if kind == "HC3":
            return self.left_out
        if kind != "HC2":
            return self.moment, self.error
        moment, error = self.moment, self.error
        return (
            moment * _growth(moment, self.left_out[0])[:, None],
            error * _growth(error, self.left_out[1])[:, None],
        )

    def blocks(self, kind: str) -> Iterator[Block]:
        """Influences of all rows, block by block; each block may be used up."""
        moment, error = self.gold_parts(kind)
        own = moment + (self.weight - 1.0)[:, None] * error
        for block, psi in self.source(kind):
            first, last = np.searchsorted(self.gold, (block.start, block.stop))
            psi[self.gold[first:last] - block.start] = own[first:last]
            yield block, psi

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
        for block, plain in self.blocks("HC0"):
            psi[block] = plain
        return replace(self, source=StoredBlocks(psi, 1.0 - 1.0 / factor))

    def influence(self) -> Floats:
        """Influence of all rows without small-sample correction, shape (n_rows, p)."""
        kept = self.stored().source
        assert isinstance(kept, StoredBlocks)
        return kept.psi

    def everywhere(self, n_units: int) -> Scores:
        """The same in memory with a row for every unit; the influence of units without a row is 0."""
        kept = self.stored()
        if kept.rows is None:
            return kept
        assert isinstance(kept.source, StoredBlocks)
        psi, leverage = np.zeros((n_units, self.error.shape[1])), np.zeros(n_units)
        psi[kept.rows], leverage[kept.rows] = kept.source.psi, kept.source.leverage
        source = StoredBlocks(psi, leverage)
        return replace(kept, source=source, gold=kept.rows[kept.gold], rows=None, n_rows=n_units)

    def plus(self, psi: Floats | None, gold: Floats) -> Scores:
        """The same with more added to the influence of all rows in memory, and to moment and error of the gold ones.

        Parameters
        ----------
        psi : ndarray, shape (n_rows, p), or None
            What is added to every row; None where only gold rows change.
        gold : ndarray, shape (n, p)
            What is added to the moment; with ``psi`` None to the error too.
        """
        error = self.error if psi is not None else self.error + gold
        left = (self.left_out[0] + gold, self.left_out[1] if psi is not None else self.left_out[1] + gold)
        out = replace(self.stored(), moment=self.moment + gold, error=error, left_out=left)
        assert isinstance(out.source, StoredBlocks)
        whole = out.source.psi.copy() if psi is None else out.source.psi + psi
        whole[out.gold] = out.moment + (out.weight - 1.0)[:, None] * out.error
        return replace(out, source=StoredBlocks(whole, out.source.leverage))


def _growth(plain: Floats, left_out: Floats) -> Floats:
    """Root of the factor by which leaving a unit out lengthens its vector, shape (n,).

    Lengths are taken in the metric of all plain vectors, so that they do not depend on the units of covariates.
    """
    metric = np.linalg.pinv(plain.T @ plain, hermitian=True)
    before, after = (np.einsum("ij,ij->i", part @ metric, part) for part in (plain, left_out))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where((before > 0) & (after > 0), (after / before) ** 0.25, 1.0)


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
        unknown = np.full(len(matrix), np.nan)
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


def correction(leverage: Floats, kind: str) -> Floats | None:
    """Factor on a unit's influence: ``(1 - leverage)`` to the power -1/2 (HC2) or -1 (HC3)."""
    if kind not in ("HC2", "HC3"):
        return None
    rest = 1.0 - np.minimum(leverage, LARGEST_LEVERAGE)
    return 1.0 / np.sqrt(rest) if kind == "HC2" else 1.0 / rest


def stack(scores: Sequence[Scores], kind: str, labelling: Labelling) -> Meat:
    """Population part of one or several fits on the same data (methods, section 4).

    Parameters
    ----------
    scores : sequence of Scores
    kind : str
        Small-sample form for units, see :func:`sandwich`.
    labelling : Labelling
        The draw.

    Returns
    -------
    Meat
    """
    by_row = labelling.independent and labelling.unit is None and kind not in ("HC2", "HC3")
    if by_row or all(s.labels_known for s in scores):
        return _stack_all(scores, kind, labelling)
    parts = [s.gold_parts(kind) for s in scores]
    moment, error = (np.hstack([part[k] for part in parts]) for k in (0, 1))
    shares = labelling.weight[:, None] * moment**2 + labelling.shares(error)
    if labelling.unit is not None:
        shares = group_totals(shares, np.unique(labelling.unit[labelling.labelled], return_inverse=True)[1])
    return Meat(gold_population(moment, labelling), _concentration(shares), len(moment))


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
    return np.asarray((moment * labelling.weight[:, None]).T @ moment)


def _stack_all(scores: Sequence[Scores], kind: str, labelling: Labelling) -> Meat:
    """Units drawn independently, or labels taken as they are: squares of the influences of all units, in one pass."""
    error = np.hstack([s.gold_parts(kind)[1] for s in scores])
    width = error.shape[1]
    size = np.hstack([np.sqrt(np.square(s.weight[:, None] * s.moment).sum(axis=0)) for s in scores])
    size[size == 0] = 1.0
    product, fourth = np.zeros((width, width)), np.zeros(width)
    for _, stacked in _blocks(scores, kind):
        product += stacked.T @ stacked
        square = np.square(stacked / size)
        fourth += np.einsum("ij,ij->j", square, square)
    second = (np.diag(product) / size**2) ** 2
    concentration = np.divide(fourth, second, out=np.zeros(width), where=second > 0)
    population = product - labelling.independent_cross(error, error) if error.any() else product
    return Meat(population, concentration, scores[0].n_rows)


def stack_clusters(
    scores: Sequence[Scores], cluster: Ints, leverages: Sequence[Leverage | None], labelling: Labelling
) -> Meat:
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
    labelling : Labelling
        The draw.

    Returns
    -------
    Meat
    """
    every, errors = [], []
    for one, leverage in zip(scores, leverages):
        codes = cluster if one.rows is None else cluster[one.rows]
        totals = np.zeros((int(cluster.max()) + 1, one.error.shape[1]))
        for block, psi in one.blocks("CRV0"):
            inside = codes[block]
            low = int(inside.min())
            found = group_totals(psi, inside - low)
            totals[low : low + len(found)] += found
        error = one.error
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
    rows = scores[0].rows
    groups = int(np.unique(cluster if rows is None else cluster[rows]).size)
    population = product - labelling.independent_cross(error, error, cluster)
    return Meat(population, _concentration(stacked**2), groups, np.diag(product).copy())


def _blocks(scores: Sequence[Scores], kind: str) -> Iterator[Block]:
    """Influences of several fits side by side; the buffer is used again for the next block."""
    starts = np.concatenate([[0], np.cumsum([s.error.shape[1] for s in scores])])
    buffer = np.empty((BLOCK_ROWS, int(starts[-1])))
    for parts in zip(*(s.blocks(kind) for s in scores)):
        block = parts[0][0]
        stacked = buffer[: block.stop - block.start]
        for (_, psi), start, stop in zip(parts, starts[:-1], starts[1:]):
            stacked[:, start:stop] = psi
        yield block, stacked


def _concentration(shares: Floats) -> Floats:
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
    gold_groups = len(error) if cluster is None else int(np.unique(cluster[labelling.gold]).size)
    units = (meat.groups if cluster is None else n_rows, len(error))
    population, design = _small_sample(kind, meat.population, design, error.shape[1], units, (meat.groups, gold_groups))
    total = design if target == "finite" else with_population(population, design, labelling)
    return Covariance(total, design)


def with_population(population: Floats, design: Floats, labelling: Labelling) -> Floats:
    """Population and labelling part together.

    The population part is a sum of squares, or, with clusters, a difference of two; where noise makes some
    direction of the difference negative it counts as 0 there, so that the sum is never below the labelling part.

    Parameters
    ----------
    population, design : ndarray, shape (p, p)
    labelling : Labelling
        Where units were drawn independently the sum is the plain sandwich, itself a sum of squares.

    Returns
    -------
    ndarray, shape (p, p)
    """
    whole = population + design
    scale = np.diag(np.where(np.diag(whole) > 0, np.diag(whole), np.diag(design)))
    if labelling.independent or np.linalg.eigvalsh(_scaled(population, scale))[0] >= -1e-9:
        return (whole + whole.T) / 2.0
    return nearest_psd(population, scale) + design


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
    design = labelling.cross(error, error)
    if target == "finite":
        return design
    weight, gold = labelling.weight, labelling.gold
    moment = psi[gold] - (weight - 1.0)[:, None] * error
    scores = Scores(
        StoredBlocks(psi, np.zeros(len(psi))), moment, error, (moment, error), weight, gold, np.zeros(len(gold)),
        len(psi),
    )  # fmt: skip
    meat = (
        stack([scores], "HC0", labelling) if cluster is None else stack_clusters([scores], cluster, [None], labelling)
    )
    return with_population(meat.population, design, labelling)


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


def _scaled(matrix: Floats, scale: Floats) -> Floats:
    """A symmetric matrix over the roots of a diagonal."""
    size = np.sqrt(np.diag(scale))
    size = np.where(size > 0, size, 1.0)
    return np.asarray((matrix + matrix.T) / 2.0 / np.outer(size, size))
