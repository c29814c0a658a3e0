"""Influence of units on the coefficients: what small samples and nuisances estimated on the same rows add to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from ..designs.entries import Mixed, by_row, column_sums, dense, group_totals, largest, placed, power, written_out
from ..errors import ArgumentError
from .index import slices

if TYPE_CHECKING:
    from .._core.types import Floats, Ints
    from .augment import Units

LARGEST_LEVERAGE = 0.95
"""Leverage is cut here; a gold unit beyond it decides a coefficient on its own."""

_ROUNDING = 1e-12
"""Length of a vector, relative to the longest, that may be rounding alone."""

_OF_UNITS = {"CRV2": "HC2", "CRV3": "HC3"}
"""The same correction for units that stand by themselves."""

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
    units : Units
    gold_leverage : ndarray, shape (n,)
        Share of a gold unit in its own fit: 1 less its error over its left-out error.
    gold_alone : bool
        Whether the rows of the blocks are the gold units alone, and not all N.
    unseen : ndarray, shape (k, p), optional
        Contributions of wrong labels that gold may have missed, whose cross product adds to the variance; none where
        gold shows enough of them, None where nothing is known of it.
    """

    source: Callable[[str], Iterator[Block]]
    moment: Floats
    error: Floats
    left_out: tuple[Floats, Floats]
    units: Units
    gold_leverage: Floats
    gold_alone: bool = False
    unseen: Floats | None = field(repr=False, default=None)

    @classmethod
    def of(
        cls,
        source: Callable[[str], Iterator[Block]],
        moment: Floats,
        error: Floats,
        left_out: tuple[Floats, Floats],
        uncalibrated: Floats,
        units: Units,
    ) -> Scores:
        """Scores whose leverage is read off what leaving a unit out does to its error before calibration."""
        leverage = np.clip(1.0 - 1.0 / growth(error, uncalibrated) ** 2, 0.0, LARGEST_LEVERAGE)
        return cls(source, moment, error, left_out, units, leverage)

    @property
    def n_rows(self) -> int:
        """Rows in all blocks: N, or n for the gold-only estimator."""
        return self.error.shape[0] if self.gold_alone else self.units.n_units

    @property
    def gold(self) -> Ints:
        """Where the gold units stand among the rows of the blocks, shape (n,)."""
        return np.arange(self.error.shape[0]) if self.gold_alone else self.units.gold

    @property
    def labels_known(self) -> bool:
        """Whether labelling adds nothing: the labels are taken as they are, or are right in every gold unit."""
        return bool((largest(self.error) <= 1e-10 * largest(self.moment)).all())

    def gold_parts(self, kind: str, target: str = "superpopulation") -> tuple[Floats, Floats]:
        """Moment and error of the gold units with a small-sample correction, each of shape (n, p).

        HC3 takes them at the estimate without the unit, HC2 goes half of the way there (the root of the factor). CRV3
        and CRV2 correct sums over clusters; of a finite corpus there are none in the variance, and they do as HC3 and
        HC2.
        """
        kind = _OF_UNITS.get(kind, kind) if target == "finite" else kind
        if kind == "HC3":
            return self.left_out
        if kind != "HC2":
            return self.moment, self.error
        moment, error = self.moment, self.error
        return (
            by_row(np.multiply, moment, growth(moment, self.left_out[0])),
            by_row(np.multiply, error, growth(error, self.left_out[1])),
        )

    def blocks(self, kind: str) -> Iterator[Block]:
        """Influences of all rows, block by block; each block may be used up."""
        own, gold = self.of_gold(kind), self.gold
        for block, psi in self.source(kind):
            yield block, put(psi, block, gold, own)

    def of_gold(self, kind: str) -> Floats:
        """Influences of the gold units, shape (n, p)."""
        moment, error = self.gold_parts(kind)
        noise = by_row(np.multiply, error, self.units.labelling.weight - 1.0)
        return dense(moment) + dense(noise) if isinstance(moment, Mixed) else moment + noise

    def totals_in(self, codes: Ints, groups: int) -> Floats:
        """Totals of influences in groups of units, shape (groups, p)."""
        totals = np.zeros((groups, self.error.shape[1]))
        for block, psi in self.blocks("CRV0"):
            low = int(codes[block].min())
            found = dense(group_totals(psi, codes[block] - low))
            totals[low : low + len(found)] += found
        return totals

    def written_out(self) -> Scores:
        """The same with arrays, where scores are told by entries (:mod:`karat.designs.entries`)."""
        if written_out(self.error):
            return self
        moment, error, *left = (dense(part) for part in (self.moment, self.error, *self.left_out))
        return replace(self, source=WrittenOut(self.source), moment=moment, error=error, left_out=(left[0], left[1]))

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

    def everywhere(self) -> Scores:
        """The same in memory with a row for every unit; the influence of units without a row is 0."""
        kept = self.stored()
        if not kept.gold_alone:
            return kept
        assert isinstance(kept.source, StoredBlocks)
        psi, leverage = np.zeros((self.units.n_units, self.error.shape[1])), np.zeros(self.units.n_units)
        psi[self.units.gold], leverage[self.units.gold] = kept.source.psi, kept.source.leverage
        return replace(kept, source=StoredBlocks(psi, leverage), gold_alone=False)

    def within(self, frame: Units, rows: Ints) -> Scores:
        """The same in a frame of which the units are some rows; the influence of all other rows is 0.

        Parameters
        ----------
        frame : Units
            Among its gold units are those of the fit.
        rows : ndarray of int, shape (N,)
            Where the units of the fit stand in the frame.
        """
        kept = self.everywhere()
        if len(rows) == frame.n_units:
            return replace(kept, units=frame)
        assert isinstance(kept.source, StoredBlocks)
        at = np.searchsorted(frame.gold, rows[self.units.gold])
        moment, error, *left = (_padded(v, at, len(frame.gold)) for v in (self.moment, self.error, *self.left_out))
        source = StoredBlocks(*(_padded(v, rows, frame.n_units) for v in (kept.source.psi, kept.source.leverage)))
        leverage = _padded(self.gold_leverage, at, len(frame.gold))
        return Scores(source, moment, error, (left[0], left[1]), frame, leverage, False, kept.unseen)

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
        whole[out.gold] = out.moment + (out.units.labelling.weight - 1.0)[:, None] * out.error
        return replace(out, source=StoredBlocks(whole, out.source.leverage))


def _padded(values: Floats, at: Ints, size: int) -> Floats:
    """Values at their places among more rows, which have 0."""
    out = np.zeros((size, *values.shape[1:]))
    out[at] = values
    return out


def put(psi: Floats, block: slice, gold: Ints, own: Floats) -> Floats:
    """A block with the influences of gold units, which stand at ``gold``, put into it; an array is changed."""
    first, last = np.searchsorted(gold, (block.start, block.stop))
    at = gold[first:last] - block.start
    if written_out(psi):
        psi[at] = own[first:last]
        return psi
    rest = np.ones(psi.shape[0])
    rest[at] = 0.0
    return by_row(np.multiply, psi, rest) + taken(own, block, gold)


def taken(own: Floats, block: slice, gold: Ints) -> Floats:
    """A block that holds influences of gold units and nothing else."""
    first, last = np.searchsorted(gold, (block.start, block.stop))
    return placed(own[first:last], gold[first:last] - block.start, block.stop - block.start)


def growth(plain: Floats, left_out: Floats, squares: Floats | None = None) -> Floats:
    """Root of the factor by which leaving a unit out lengthens its vector, shape (n,).

    Lengths are taken in the metric of all plain vectors, so that they do not depend on the units of covariates;
    ``squares`` are the cross products of these, (p, p), where the vectors are some of all; of entries their squares
    alone, (p,). Vectors that are nothing but
    rounding, as errors of right labels are, have the factor 1.
    """
    if written_out(plain):
        metric = np.linalg.pinv(plain.T @ plain if squares is None else squares, hermitian=True)
        before, after = (np.einsum("ij,ij->i", part @ metric, part) for part in (plain, left_out))
    else:
        size = column_sums(power(plain, 2)) if squares is None else squares
        inverse = np.divide(1.0, size, out=np.zeros_like(size), where=size > 1e-15 * size.max(initial=0.0))
        before = _lengths(plain, inverse)
        after = _lengths(left_out, inverse)
    rounding = _ROUNDING**2 * (before.max(initial=0.0) if squares is None else 1.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where((before > rounding) & (after > rounding), (after / before) ** 0.25, 1.0)


def _lengths(part: Floats, metric: Floats) -> Floats:
    """Squared lengths of rows in a metric that is diagonal, as that of entries is."""
    if isinstance(part, Mixed):
        return np.asarray(np.square(dense(part)) @ metric)
    return np.asarray(power(part, 2) @ metric)


@dataclass(frozen=True)
class WrittenOut:
    """Blocks of entries as arrays."""

    source: Callable[[str], Iterator[Block]]

    def __call__(self, kind: str) -> Iterator[Block]:
        """The blocks."""
        for block, psi in self.source(kind):
            yield block, dense(psi)


@dataclass(frozen=True)
class StoredBlocks:
    """Influences in memory, handed out block by block."""

    psi: Floats
    leverage: Floats

    def __call__(self, kind: str) -> Iterator[Block]:
        """Copies of the blocks, corrected."""
        for block in slices(self.psi.shape[0]):
            factor = correction(self.leverage[block], kind)
            yield block, self.psi[block].copy() if factor is None else by_row(np.multiply, self.psi[block], factor)


def not_in_memory(kind: str) -> Iterator[Block]:
    """Stands for influences of units that were read batch by batch.

    Raises
    ------
    ArgumentError
    """
    raise ArgumentError(
        "this needs the influence of each row, and the data came batch by batch; read the columns into memory and fit "
        "there."
    )


def correction(leverage: Floats, kind: str) -> Floats | None:
    """Factor on a unit's influence: ``(1 - leverage)`` to the power -1/2 (HC2) or -1 (HC3)."""
    if kind not in ("HC2", "HC3"):
        return None
    rest = 1.0 - np.minimum(leverage, LARGEST_LEVERAGE)
    return 1.0 / np.sqrt(rest) if kind == "HC2" else 1.0 / rest


def add_gold_stage(scores: Scores, extra: Floats) -> Scores:
    """The nuisance was estimated from gold rows with their inverse probabilities: it adds to their labelling error too.

    Parameters
    ----------
    scores : Scores
    extra : ndarray, shape (n, p)
        Influence of each gold row on the coefficients through the nuisance, inverse probability included.

    Returns
    -------
    Scores
    """
    return scores.plus(None, extra / scores.units.labelling.weight[:, None])


def add_population_stage(scores: Scores, extra: Floats) -> Scores:
    """The nuisance was estimated from all rows: it adds nothing to labelling errors.

    Parameters
    ----------
    scores : Scores
    extra : ndarray, shape (N, p)
        Influence of each row on the coefficients through the nuisance.

    Returns
    -------
    Scores
        On all N rows, also where ``scores`` were on gold rows alone.
    """
    whole = scores.everywhere()
    return whole.plus(extra, extra[whole.gold])
