"""Labelling noise of unit means: what single gold documents add, unbiased and pooled covariances."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from .._core.machine import needs
from ..designs.entries import group_totals
from ..designs.labelling import pair_codes

if TYPE_CHECKING:
    from .._core.types import Bools, Floats, Ints
    from ..designs import Labelling

_UNITS_AT_ONCE = 256


@dataclass(frozen=True)
class GoldErrors:
    """What the gold documents add to q means of C units: the means are predictions plus ``sum w share``.

    Parameters
    ----------
    labelling : Labelling
        The draw of the documents.
    unit : ndarray of int, shape (n,)
        Unit of each gold document; -1 where the unit has left.
    share : ndarray, shape (n, q)
        Label less prediction, over the size of the unit.
    """

    labelling: Labelling = field(repr=False)
    unit: Ints = field(repr=False)
    share: Floats = field(repr=False)

    def totals(self, n_units: int) -> Floats:
        """What gold adds to the predicted means, shape (C, q)."""
        inside = self.unit >= 0
        out = np.zeros((n_units, self.share.shape[1]))
        np.add.at(out, self.unit[inside], (self.labelling.weight[:, None] * self.share)[inside])
        return out

    def covariances(self, n_units: int) -> Floats:
        """Design covariance of the means of each unit, unbiased, shape (C, q, q); 0 where a unit has no gold.

        Over repeated draws ``z z'`` less this has the square of the true means as its expectation: of a unit with one
        gold document it takes back most of the square that the weight of this document makes.
        """
        q = self.share.shape[1]
        out = np.zeros((n_units, q, q))
        present = np.unique(self.unit[self.unit >= 0])
        for start in range(0, len(present), _UNITS_AT_ONCE):
            some = present[start : start + _UNITS_AT_ONCE]
            found = self._cross(some).reshape(len(some), q, len(some), q)
            out[some] = found[np.arange(len(some)), :, np.arange(len(some)), :]
        return out

    def between(self, n_units: int) -> Floats:
        """Design covariance of all means, shape (C q, C q), unit by unit."""
        q, present = self.share.shape[1], np.unique(self.unit[self.unit >= 0])
        needs(24.0 * (n_units * q) ** 2, f"the covariance of {n_units:,} units", "ask for fewer units at a time")
        out = np.zeros((n_units, q, n_units, q))
        found = self._cross(present).reshape(len(present), q, len(present), q)
        out[np.ix_(present, np.arange(q), present, np.arange(q))] = found
        return out.reshape(n_units * q, n_units * q)

    def _cross(self, units: Ints) -> Floats:
        own = (self.unit[:, None] == units)[:, :, None] * self.share[:, None, :]
        flat = own.reshape(len(self.unit), -1)
        return self.labelling.cross(flat, flat)

    def keep(self, kept: Bools) -> GoldErrors:
        """The same for some of the units."""
        code = np.where(kept, np.cumsum(kept) - 1, -1)
        return replace(self, unit=np.where(self.unit >= 0, code[self.unit], -1))

    def of(self, columns: list[int]) -> GoldErrors:
        """The same for some of the means."""
        return replace(self, share=self.share[:, columns])

    def by_labelling_unit(self) -> GoldErrors:
        """Documents that were drawn together and belong to the same unit as one: the first has the sum, others 0."""
        drawn = self.labelling.unit
        if drawn is None:
            return self
        pair = pair_codes(drawn[self.labelling.gold], self.unit + 1)
        first = np.unique(pair, return_index=True)[1]
        share = np.zeros_like(self.share)
        share[first] = group_totals(self.share, pair)
        return replace(self, share=share)


def pooled(own: Floats, size: Floats) -> Floats:
    """Covariances that units with little gold can carry: expected ones, at the level that all gold shows.

    Parameters
    ----------
    own : ndarray, shape (C, q, q)
        Unbiased, unit by unit.
    size : ndarray, shape (C, q)
        What each variance should be in proportion to.

    Returns
    -------
    ndarray, shape (C, q, q)
        Their sums over units are those of ``own``.

    Examples
    --------
    >>> pooled(np.array([[[0.0]], [[0.3]]]), np.array([[1.0], [2.0]])).ravel()
    array([0.1, 0.2])
    """
    root = np.sqrt(size)
    whole = np.einsum("cj,ck->jk", root, root)
    level = np.divide(own.sum(axis=0), whole, out=np.zeros_like(whole), where=whole > 0)
    level = np.where(np.eye(len(level), dtype=bool), np.maximum(level, 0.0), level)
    bound = np.sqrt(np.outer(np.diag(level), np.diag(level)))
    return np.asarray(np.clip(level, -bound, bound) * root[:, :, None] * root[:, None, :])
