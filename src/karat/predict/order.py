"""Rows in an order that follows from what the fit uses of them, so that folds and learners do not see the table's."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from ..frames.order import mixed

if TYPE_CHECKING:
    from .._core.types import Array, Floats, Ints


def row_order(parts: Iterable[Array], groups: Iterable[Ints | None] = ()) -> Ints:
    """An order of rows that is the same for the same rows in any order.

    Parameters
    ----------
    parts : iterable of ndarray, shape (N,) or (N, k)
        Numbers of each row. Only their ranks count, so that other units of measurement and
        constants change nothing.
    groups : iterable of ndarray of int, shape (N,), or None
        Codes of clusters or strata. Codes themselves do not matter: a group is known by its rows.

    Returns
    -------
    ndarray of int, shape (N,)

    Examples
    --------
    >>> import numpy as np
    >>> x = np.array([3.0, 1.0, 2.0])
    >>> turn = np.array([2, 0, 1])
    >>> bool((x[row_order([x])] == x[turn][row_order([x[turn]])]).all())
    True
    """
    columns = [column for part in parts for column in np.reshape(part, (len(part), -1)).T]
    with np.errstate(over="ignore"):
        content = np.zeros(len(columns[0]), dtype=np.uint64)
        for column in columns:
            ranks = _ranks(column)
            content = mixed(content + ranks) if ranks.any() else content
        for group in groups:
            if group is None:
                continue
            codes = np.unique(group, return_inverse=True)[1]
            total = np.zeros(int(codes.max()) + 1, dtype=np.uint64)
            np.add.at(total, codes, content)
            content = mixed(content + mixed(total)[codes])
    return np.argsort(content, kind="stable")


def renumbered(codes: Ints, order: Ints) -> Ints:
    """Codes of groups numbered by where they first come up in an order, shape (N,).

    Examples
    --------
    >>> renumbered(np.array([5, 2, 5]), np.array([1, 0, 2])).tolist()
    [1, 0, 1]
    """
    _, first, back = np.unique(codes[order], return_index=True, return_inverse=True)
    rank = np.argsort(np.argsort(first))
    out = np.empty(len(codes), dtype=np.intp)
    out[order] = rank[back]
    return out


def _ranks(column: Floats) -> Array:
    """Number of smaller distinct values; missing values come last."""
    return np.unique(np.asarray(column, dtype=np.float64), return_inverse=True)[1].astype(np.uint64)
