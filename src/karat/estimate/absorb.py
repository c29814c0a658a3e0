"""Fixed effects: projection of columns on the dummies of any number of groupings at once.

With D all dummies, V weights and ``M = D'VD``, columns are regressed on D by eliminating the grouping with most levels,
whose block of M is diagonal; what is left of M is factored where its levels are moderate in number, and solved by
conjugate gradients otherwise. Groupings may be nested in each other or fall apart into components: M^- is a generalised
inverse, and fitted values do not depend on which.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ConvergenceError

if TYPE_CHECKING:
    from .._core.types import Bools, Floats, Ints

MOST_FACTORED = 3_000
"""Levels of all groupings but the largest up to which what is left of M is factored."""

_RANK = 1e-10
"""Pivot, relative to the weight of its level, that is taken for 0."""

_TOLERANCE = 1e-12
_MOST_STEPS = 10_000
_BLOCK_NUMBERS = 8_000_000
_BLOCK_ROWS = 262_144


@dataclass(frozen=True)
class FixedEffects:
    """Groupings of the units whose fixed effects are taken out.

    Parameters
    ----------
    names : tuple of str
        As they are written in the formula.
    codes : ndarray of int, shape (N, F)
        Levels of each unit, from 0, one column for each grouping.

    Examples
    --------
    >>> FixedEffects(("state",), np.array([[0], [0], [1]])).sizes
    (2,)
    """

    names: tuple[str, ...]
    codes: Ints = field(repr=False)

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        """Levels of each grouping."""
        return tuple(int(column.max()) + 1 for column in self.codes.T)

    @property
    def factored(self) -> bool:
        """Whether the levels beside the largest grouping are few enough for the leverage of units to be known."""
        return sum(self.sizes) - max(self.sizes) <= MOST_FACTORED

    @property
    def groups(self) -> dict[str, int]:
        """Number of levels of each grouping, by name."""
        return dict(zip(self.names, self.sizes))

    def count(self, rows: Ints | slice = slice(None), clusters: Sequence[Ints] = ()) -> int:
        """Parameters that fixed effects use up among some rows: all levels, one less for every further grouping.

        A grouping nested in one of the clusterings counts as one: the conventions of fixest and pyfixest.
        """
        levels, nested, fully = 0, 0, 0
        for column in self.codes[rows].T:
            own = int(np.count_nonzero(np.bincount(column)))
            levels += own
            if any(is_nested(column, cluster[rows]) for cluster in clusters):
                nested, fully = nested + own, fully + 1
        return levels - (self.codes.shape[1] - 1) - nested + fully

    def singletons(self) -> Bools:
        """Units alone in a level, once other such units have gone; shape (N,)."""
        gone = np.zeros(len(self.codes), dtype=bool)
        while True:
            there = np.flatnonzero(~gone)
            alone = np.zeros(len(there), dtype=bool)
            for column, size in zip(self.codes[there].T, self.sizes):
                alone |= np.bincount(column, minlength=size)[column] == 1
            if not alone.any():
                return gone
            gone[there[alone]] = True

    def kept(self, rows: Bools) -> FixedEffects:
        """The same on some of the units, levels counted anew."""
        columns = [np.unique(column, return_inverse=True)[1] for column in self.codes[rows].T]
        return FixedEffects(self.names, np.column_stack(columns).astype(np.intp))


def add_by_level(totals: list[Floats], weighted: Floats, codes: Ints) -> None:
    """Add columns of units, shape (m, k), to totals by level of each grouping, shape (levels, k)."""
    for total, column_codes in zip(totals, codes.T):
        low = int(column_codes.min())
        for j, column in enumerate(weighted.T):
            found = np.bincount(column_codes - low, column)
            total[low : low + len(found), j] += found


def is_nested(codes: Ints, cluster: Ints) -> bool:
    """Whether every level lies in one cluster."""
    first = np.zeros(int(codes.max()) + 1, dtype=cluster.dtype)
    first[codes] = cluster
    return bool((first[codes] == cluster).all())


class Projection:
    """Weighted projection on the fixed effects of some units.

    Parameters
    ----------
    effects : FixedEffects
    weight : ndarray, shape (m,), or None
        Weights V; None means 1.
    rows : ndarray of int, shape (m,), optional
        The units that take part, by default all.

    Examples
    --------
    >>> state = FixedEffects(("state",), np.array([[0], [0], [1], [1]]))
    >>> Projection(state, None).fitted(np.array([[1.0], [3.0], [2.0], [2.0]]))[:, 0]
    array([2., 2., 2., 2.])
    """

    def __init__(self, effects: FixedEffects, weight: Floats | None, rows: Ints | None = None) -> None:
        self.effects, self.weight = effects, weight
        self.codes = effects.codes if rows is None else effects.codes[rows]
        order = np.argsort([-size for size in effects.sizes], kind="stable")
        self._large, self._rest = int(order[0]), [int(k) for k in order[1:]]
        starts = np.cumsum([0, *(effects.sizes[k] for k in self._rest)])
        self._starts, self._n_rest = starts[:-1], int(starts[-1])
        self._sums = self._total(self._large, None)
        with np.errstate(divide="ignore"):
            self._inverse = np.where(self._sums > 0, 1.0 / self._sums, 0.0)
        self._between: Any = None
        self._within: Any = None
        self._factor: Floats | None = None
        self._pivots = np.zeros(0, dtype=np.intp)
        if self._rest:
            self._set_up()

    def _total(self, way: int, values: Floats | None) -> Floats:
        weight = self.weight if values is None else values if self.weight is None else values * self.weight
        return np.bincount(self.codes[:, way], weight, minlength=self.effects.sizes[way]).astype(np.float64)

    def _set_up(self) -> None:
        from scipy.linalg.lapack import dpstrf
        from scipy.sparse import coo_matrix, diags_array

        m, v = len(self.codes), np.ones(len(self.codes)) if self.weight is None else self.weight
        columns = [self._starts[j] + self.codes[:, k] for j, k in enumerate(self._rest)]
        shape = (len(self._sums), self._n_rest)
        many, rows = np.tile(v, len(columns)), np.tile(self.codes[:, self._large], len(columns))
        self._between = coo_matrix((many, (rows, np.concatenate(columns))), shape=shape).tocsr()
        incidence = coo_matrix(
            (many, (np.tile(np.arange(m), len(columns)), np.concatenate(columns))), shape=(m, self._n_rest)
        ).tocsr()
        ones = incidence.sign() if len(columns) > 1 else None
        self._size = np.asarray(incidence.sum(axis=0)).ravel()
        self._within = diags_array(self._size) if ones is None else (ones.T @ incidence)
        if not self.effects.factored:
            return
        left = (self._within - self._between.T @ (diags_array(self._inverse) @ self._between)).toarray()
        scale = np.sqrt(np.where(self._size > 0, self._size, 1.0))
        factor, pivots, rank, _ = dpstrf(left / np.outer(scale, scale), tol=_RANK, lower=1)
        self._pivots = pivots[:rank] - 1
        self._factor = np.tril(factor[:rank, :rank])
        self._scale = scale[self._pivots]

    def _solved(self, right: Floats, size: Floats) -> Floats:
        """``(what is left of M)^- right``, shape (levels of the rest, k), to a precision relative to ``size``, (k,)."""
        out = np.zeros_like(right)
        if self._factor is not None:
            from scipy.linalg import cho_solve

            found = cho_solve((self._factor, True), right[self._pivots] / self._scale[:, None])
            out[self._pivots] = found / self._scale[:, None]
            return out
        from scipy.sparse.linalg import LinearOperator, cg

        across = self._between.T.tocsr()
        diagonal = np.where(self._size > 0, 1.0 / np.where(self._size > 0, self._size, 1.0), 0.0)
        matrix = LinearOperator(
            (self._n_rest,) * 2, lambda z: self._within @ z - across @ (self._inverse * (self._between @ z))
        )
        scaled = LinearOperator((self._n_rest,) * 2, lambda z: diagonal * z)
        for j, column in enumerate(right.T):
            out[:, j], failed = cg(matrix, column, rtol=0.0, atol=_TOLERANCE * size[j], maxiter=_MOST_STEPS, M=scaled)
            if failed:
                raise ConvergenceError(
                    f"the fixed effects {' + '.join(self.effects.names)} hang together too loosely to be solved for in "
                    f"{_MOST_STEPS:,} steps; drop groups that few rows connect with the others, or coarsen an effect."
                )
        return out

    def _levels(self, values: Floats, size: Floats) -> list[Floats]:
        """Coefficients of the dummies in the regression of columns of some length on them, for each grouping."""
        return self._solved_levels([self._totals(way, values) for way in range(self.codes.shape[1])], size)

    def _totals(self, way: int, values: Floats) -> Floats:
        """Weighted totals of columns by level, shape (levels, k)."""
        return np.column_stack([self._total(way, column) for column in values.T])

    def _solved_levels(self, totals: list[Floats], size: Floats) -> list[Floats]:
        """Coefficients of the dummies from weighted totals by level, which are used up."""
        out = [np.zeros_like(total) for total in totals]
        if self._rest:
            right = np.vstack([totals[k] for k in self._rest])
            right -= self._between.T @ (self._inverse[:, None] * totals[self._large])
            solved = self._solved(right, size)
            for start, k in zip(self._starts, self._rest):
                out[k] = solved[start : start + self.effects.sizes[k]]
            totals[self._large] -= self._between @ solved
        out[self._large] = self._inverse[:, None] * totals[self._large]
        return out

    def fitted(self, values: Floats, every: bool = False) -> Floats:
        """Fitted values of columns at the units that take part, or at all units; shape (m, k) or (N, k).

        Solved twice, the second time for what the first one has left: rounding errors do not add up.
        """
        return _at(self.levels(values), self.effects.codes if every else self.codes)

    def levels(self, values: Floats) -> list[Floats]:
        """Coefficients of the dummies in the regression of columns on them, for each grouping, shape (levels, k)."""
        weighted = values if self.weight is None else values * self.weight[:, None]
        size = np.linalg.norm(weighted, axis=0)
        found = self._levels(values, size)
        again = self._levels(values - _at(found, self.codes), size)
        return [one + more for one, more in zip(found, again)]

    def levels_of_totals(self, totals: list[Floats], size: Floats) -> list[Floats]:
        """The same from weighted totals by level, of columns of some length, (k,)."""
        found = self._solved_levels([total.copy() for total in totals], size)
        told = self.no_totals(len(size))
        for start in range(0, len(self.codes), _BLOCK_ROWS):
            at = slice(start, start + _BLOCK_ROWS)
            values = _at(found, self.codes[at])
            self.add_totals(told, values if self.weight is None else values * self.weight[at, None], at)
        again = self._solved_levels([total - own for total, own in zip(totals, told)], size)
        return [one + more for one, more in zip(found, again)]

    def no_totals(self, width: int) -> list[Floats]:
        """Totals of nothing, by level of each grouping, shape (levels, k)."""
        return [np.zeros((size, width)) for size in self.effects.sizes]

    def add_totals(self, totals: list[Floats], weighted: Floats, at: slice | Ints) -> None:
        """Add columns of some units, times their weights, to totals by level."""
        add_by_level(totals, weighted, self.codes[at])

    def lengths(self, codes: Ints) -> Floats:
        """``sqrt(D_i' M^- D_i)`` of units with these levels: the leverage of their dummies per weight, shape (m,).

        Where what is left of M is not factored, the largest of the groupings one by one, which is at most that.
        """
        if not self.effects.factored:
            sizes = [self._total(way, None)[codes[:, way]] for way in range(codes.shape[1])]
            with np.errstate(divide="ignore"):
                return np.sqrt(np.where(np.min(sizes, axis=0) > 0, 1.0 / np.min(sizes, axis=0), 0.0))
        square = self._inverse[codes[:, self._large]].copy()
        if self._rest:
            square += self._rest_squares(codes)
        return np.sqrt(np.maximum(square, 0.0))

    def roots(self, codes: Ints) -> Floats:
        """R with ``R R' = D M^- D'`` for units with these levels, shape (m, rank)."""
        from scipy.linalg.lapack import dpstrf

        levels, at = np.unique(codes[:, self._large], return_inverse=True)
        first = np.zeros((len(codes), len(levels)))
        first[np.arange(len(codes)), at] = np.sqrt(self._inverse[levels])[at]
        if not self._rest:
            return first
        own = -(self._inverse[codes[:, self._large], None] * self._between[codes[:, self._large]].toarray())
        for start, k in zip(self._starts, self._rest):
            own[np.arange(len(codes)), start + codes[:, k]] += 1.0
        square = own @ self._solved(own.T.copy(), np.ones(len(codes)))
        factor, pivots, rank, _ = dpstrf(square, tol=_RANK * float(square.diagonal().max()), lower=1)
        rest = np.zeros((len(codes), rank))
        rest[pivots - 1] = np.tril(factor)[:, :rank]
        return np.hstack([first, rest])

    def _rest_squares(self, codes: Ints) -> Floats:
        """``u' G u``, G the inverse of what is left of M, u the dummies of the rest less their mean in the largest."""
        inverse = self._solved(np.eye(self._n_rest), np.ones(self._n_rest))
        own = [start + codes[:, k] for start, k in zip(self._starts, self._rest)]
        square = np.asarray(sum(inverse[one, other] for one in own for other in own))
        present = np.bincount(codes[:, self._large], minlength=len(self._sums)) > 0
        levels, at = np.flatnonzero(present), (np.cumsum(present) - 1)[codes[:, self._large]]
        step = max(1, _BLOCK_NUMBERS // self._n_rest)
        order = np.argsort(at, kind="stable")
        ends = np.concatenate([[0], np.cumsum(np.bincount(at, minlength=len(levels)))])
        for first in range(0, len(levels), step):
            mean = self._between[levels[first : first + step]]
            product = mean @ inverse
            scale = self._inverse[levels[first : first + step]]
            twice = scale**2 * np.asarray(mean.multiply(product).sum(axis=1)).ravel()
            low, high = ends[first], ends[min(first + step, len(levels))]
            part = order[low:high]
            inside = at[part] - first
            square[part] += twice[inside] - 2.0 * scale[inside] * sum(product[inside, one[part]] for one in own)
        return square


class Lengths:
    """:meth:`Projection.lengths` of units, worked out when numbers are asked for: most covariances need none.

    Parameters
    ----------
    projection : Projection
    codes : ndarray of int, shape (m, F)
    at : tuple of (Lengths, positions), optional
        Of which others, and where among them.

    Examples
    --------
    >>> state = FixedEffects(("state",), np.array([[0], [0], [1], [1]]))
    >>> np.asarray(Lengths(Projection(state, None), state.codes)[:2]).round(3)
    array([0.707, 0.707])
    """

    def __init__(
        self, projection: Projection, codes: Ints, at: tuple[Lengths, Ints | slice] | None = None
    ) -> None:  # fmt: skip
        self._projection, self._codes, self._at = projection, codes, at
        self._known: Floats | None = None
        self._cut: Lengths | None = None

    def __getitem__(self, positions: Ints | slice) -> Lengths:
        """Those of some units; of the same ones as the last time, for which they may be known."""
        if self._cut is None or self._cut._at is None or self._cut._at[1] is not positions:
            self._cut = Lengths(self._projection, self._codes[positions], (self, positions))
        return self._cut

    def __len__(self) -> int:
        return len(self._codes)

    def __array__(self, dtype: Any = None, copy: Any = None) -> Floats:
        """A block is cut out of what is known of all; some units by themselves need no more than their levels."""
        if self._known is None:
            whole = None if self._at is None else self._at[0]
            if (
                whole is not None
                and self._at is not None
                and (isinstance(self._at[1], slice) or whole._known is not None)
            ):
                self._known = np.asarray(whole)[self._at[1]]
            else:
                self._known = self._projection.lengths(self._codes)
        return self._known


def _at(levels: list[Floats], codes: Ints) -> Floats:
    """Sum of the coefficients of the levels of units, shape (m, k)."""
    out = levels[0][codes[:, 0]]
    for way, level in enumerate(levels[1:], start=1):
        out += level[codes[:, way]]
    return out
