"""Matrices of gold rows, as arrays or, where a row holds few numbers, as their entries alone.

A document belongs to one cell (group and period), so that of its C errors, one for each cell, all but one are 0. With
a thousand cells nearly all of an array of them would be zeros. The functions here take arrays of shape (n, p), sparse
ones (``scipy.sparse``, from :func:`entries`), and the :class:`Mixed` ones in which few numbers were multiplied by a
matrix, so that the formulas of variances are written once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from .._core.types import Floats, Ints

_BLOCK = 2**17
"""Numbers written out at a time where a formula needs an array."""


@dataclass(frozen=True)
class Mixed:
    """Matrices side by side, each of them entries times a matrix: ``rows @ right``, or the entries where it is None."""

    parts: tuple[tuple[Any, Floats | None], ...]

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.parts[0][0].shape[0], sum((rows if right is None else right).shape[1] for rows, right in self.parts)


def entries(values: Floats, column: Ints, count: int) -> Any:
    """A matrix with one number in each row.

    Parameters
    ----------
    values : ndarray, shape (n,)
    column : ndarray of int, shape (n,)
        Where it stands.
    count : int
        Columns.

    Examples
    --------
    >>> entries(np.array([1.0, 2.0, 3.0]), np.array([1, 0, 1]), 2).toarray()
    array([[0., 1.],
           [2., 0.],
           [0., 3.]])
    """
    from scipy.sparse import csr_array

    return csr_array((values, column, np.arange(len(values) + 1)), shape=(len(values), count))


def written_out(values: Any) -> bool:
    """Whether it is an array."""
    return isinstance(values, np.ndarray)


def dense(values: Any) -> Floats:
    """The same as an array."""
    if isinstance(values, Mixed):
        return np.hstack([dense(rows) if right is None else rows @ right for rows, right in values.parts])
    return values if written_out(values) else np.asarray(values.toarray())


def by_row(operation: np.ufunc, values: Any, per_row: Floats) -> Any:
    """Multiply or divide each row by a number."""
    if written_out(values):
        return operation(values, per_row[:, None])
    return _with_data(values, operation(values.data, np.repeat(per_row, np.diff(values.indptr))))


def by_column(operation: np.ufunc, values: Any, per_column: Floats) -> Any:
    """Multiply or divide each column by a number."""
    if written_out(values):
        return operation(values, per_column)
    return _with_data(values, operation(values.data, per_column[values.indices]))


def _with_data(values: Any, data: Floats) -> Any:
    return type(values)((data, values.indices, values.indptr), shape=values.shape)


def column_sums(values: Any) -> Floats:
    """Sum of each column, shape (p,)."""
    if written_out(values):
        return np.asarray(values.sum(axis=0))
    sums = np.bincount(values.indices, weights=values.data, minlength=values.shape[1])
    return np.asarray(sums, dtype=np.float64)  # without any entry they are whole numbers


def largest(values: Any) -> Floats:
    """Largest absolute value of each column, shape (p,)."""
    if written_out(values):
        return np.asarray(np.abs(values).max(axis=0))
    out = np.zeros(values.shape[1])
    np.maximum.at(out, values.indices, np.abs(values.data))
    return out


def power(values: Any, exponent: int) -> Any:
    """Each number to a power."""
    return values**exponent if written_out(values) else _with_data(values, values.data**exponent)


def of_rows(values: Any) -> tuple[Ints, Floats]:
    """The number of each row that is largest in absolute value, and its column; of entries the one that there is."""
    if not written_out(values):
        return values.indices, values.data
    column = np.abs(values).argmax(axis=1)
    return column, values[np.arange(len(values)), column]


def placed(values: Any, at: Ints, size: int) -> Any:
    """Rows at their places among more rows, which hold 0."""
    if written_out(values):
        out = np.zeros((size, *values.shape[1:]))
        out[at] = values
        return out
    count = np.zeros(size + 1, dtype=values.indptr.dtype)
    count[at + 1] = np.diff(values.indptr)
    return type(values)((values.data, values.indices, np.cumsum(count)), shape=(size, values.shape[1]))


def side_by_side(parts: Sequence[Any]) -> Any:
    """Matrices with the same rows beside each other."""
    if len(parts) == 1:
        return parts[0]
    if any(isinstance(part, Mixed) for part in parts):
        return Mixed(tuple(own for part in parts for own in _parts_of(part)))
    if all(written_out(part) for part in parts):
        return np.hstack(parts)
    from scipy.sparse import csr_array, hstack

    return csr_array(hstack([csr_array(part) for part in parts], format="csr"))


def cross_product(left: Any, right: Any, weight: Floats) -> Floats:
    """``sum weight left right'`` over rows, shape (p, q), as an array."""
    if written_out(left) and written_out(right):
        return np.asarray((left * weight[:, None]).T @ right)
    if isinstance(left, Mixed) or isinstance(right, Mixed):
        return np.block([[_mixed(one, other, weight) for other in _parts_of(right)] for one in _parts_of(left)])
    return np.asarray((by_row(np.multiply, left, weight).T @ right).toarray())


def _parts_of(values: Any) -> tuple[tuple[Any, Floats | None], ...]:
    return values.parts if isinstance(values, Mixed) else ((values, None),)


def _mixed(left: tuple[Any, Floats | None], right: tuple[Any, Floats | None], weight: Floats) -> Floats:
    core = by_row(np.multiply, left[0], weight).T @ right[0]
    core = dense(core) if right[1] is None else core @ right[1]
    return core if left[1] is None else left[1].T @ core


def group_totals(values: Floats, group: Ints) -> Floats:
    """Column sums within groups, shape (groups, p), of entries as entries; codes from 0, gaps give rows of zeros.

    Examples
    --------
    >>> import numpy as np
    >>> group_totals(np.array([[1.0], [2.0], [4.0]]), np.array([0, 0, 1]))
    array([[3.],
           [4.]])
    """
    n_groups = int(group.max()) + 1 if len(group) else 0
    if not written_out(values):
        return (entries(np.ones(len(group)), group, n_groups).T @ values).tocsr()
    out = np.empty((n_groups, values.shape[1]))
    for j in range(values.shape[1]):
        out[:, j] = np.bincount(group, weights=values[:, j], minlength=n_groups)
    return out


def centred_product(left: Floats, right: Floats, weight: Floats, group: Ints) -> Floats:
    """``sum weight (left - mean)(right - mean)'`` with the weighted means within groups; weights are positive.

    Of entries as the product less that of the means, which is the same and leaves zeros alone.
    """
    total = np.bincount(group, weights=weight)
    size = np.maximum(total, np.finfo(float).tiny)[:, None]
    means = [dense(group_totals(by_row(np.multiply, side, weight), group)) / size for side in (left, right)]
    if written_out(left) and written_out(right):
        return cross_product(left - means[0][group], right - means[1][group], weight)
    return cross_product(left, right, weight) - cross_product(means[0], means[1], total)


def in_columns(function: Callable[..., Floats], *matrices: Any) -> Floats:
    """What a function tells of each column, shape (p,), of matrices written out some columns at a time."""
    if all(written_out(one) for one in matrices):
        return function(*matrices)
    n, p = matrices[0].shape
    width = max(1, _BLOCK // max(n, 1))
    blocks = [_columns(one, width) for one in matrices]
    edges = [(start, min(start + width, p)) for start in range(0, p, width)]
    return np.concatenate([function(*(block(start, stop) for block in blocks)) for start, stop in edges])


def _columns(values: Any, width: int) -> Callable[[int, int], Floats]:
    """A function that writes out the columns from the one to the other."""
    if written_out(values):
        return lambda start, stop: values[:, start:stop]
    if not isinstance(values, Mixed):
        by_columns = values.tocsc()
        return lambda start, stop: np.asarray(by_columns[:, start:stop].toarray())
    parts = [_columns(rows, width) if right is None else _times(rows, right) for rows, right in values.parts]
    edges = np.cumsum([0, *((rows if right is None else right).shape[1] for rows, right in values.parts)])

    def columns(start: int, stop: int) -> Floats:
        inside = [(max(start, low), min(stop, high), low) for low, high in pairwise(edges)]
        return np.hstack([part(a - low, b - low) for part, (a, b, low) in zip(parts, inside) if a < b])

    return columns


def _times(rows: Any, right: Floats) -> Callable[[int, int], Floats]:
    return lambda start, stop: np.asarray(rows @ right[:, start:stop])
