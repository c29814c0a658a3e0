"""Rows that are alike, told once with the sum of their weights: what a solver adds up again and again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .index import slices
from .rows import Rows

if TYPE_CHECKING:
    from .._core.types import Floats

_LEAST = 50_000
"""Rows below which nothing is gained."""

_WORTH = 8
"""Rows that must be alike on average."""

_LOOKED_AT = 8_192
"""Rows, evenly spread, that show whether it pays to look at all."""


def told_once(rows: Rows, weight: Floats | None) -> tuple[Rows, Floats] | None:
    """Distinct rows and the totals of their weights; None where these are too many for it to pay.

    Parameters
    ----------
    rows : Rows
        m rows.
    weight : ndarray, shape (m,), or None
        None means 1.

    Returns
    -------
    tuple of Rows and ndarray of shape (g,), or None
        Sums over the rows of weight times share times any function of design, outcome and offset are those over the
        distinct ones.

    Examples
    --------
    >>> x = np.column_stack([np.ones(60_000), np.arange(60_000) % 3])
    >>> few, total = told_once(Rows(x, np.zeros(60_000)), None)
    >>> few.x[:, 1].tolist(), total.tolist()
    ([0.0, 1.0, 2.0], [20000.0, 20000.0, 20000.0])
    """
    import pandas as pd

    m = len(rows.y)
    if m < _LEAST or rows.effect is not None or rows.left is not None:
        return None
    some = rows.take(np.arange(0, m, max(1, m // _LOOKED_AT)))
    if len(np.unique(_number(some))) * _WORTH > len(some.y):
        return None
    code, distinct = pd.factorize(_number(rows))
    if len(distinct) * _WORTH > m or code.min() < 0:
        return None
    first = np.empty(len(distinct), dtype=np.intp)
    first[code[::-1]] = np.arange(m - 1, -1, -1)
    few = rows.take(first)
    for at in slices(m):  # numbers may be those of two different rows by chance, however small that is
        here, same = rows.take(at), few.take(code[at])
        equal = np.array_equal(here.x, same.x) and np.array_equal(here.y, same.y)
        if not equal or (here.offset is not None and (here.offset != same.offset).any()):
            return None
    own = rows.weight(weight)
    return Rows(few.x, few.y, few.offset), np.bincount(code, own, minlength=len(distinct)).astype(np.float64)


def _number(rows: Rows) -> Floats:
    """A number for each row that is the same where design, outcome and offset are, and hardly ever where not."""
    columns = [rows.x, rows.y.reshape(len(rows.y), -1)]
    columns += [] if rows.offset is None else [rows.offset[:, None]]
    factors = np.random.default_rng(0).normal(size=sum(part.shape[1] for part in columns))
    out, start = np.zeros(len(rows.y)), 0
    for part in columns:
        for column in part.T:
            out += column * factors[start]
            start += 1
    return out
