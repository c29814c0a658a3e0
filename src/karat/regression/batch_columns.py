"""Predicted rows of batches whose design is columns as they stand, surrogates in the place of labels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ..estimate.rows import Rows
from ..frames.lookups import finite, lookups
from .batch_cells import combinations

if TYPE_CHECKING:
    import pandas as pd

    from .._core.types import Array, Floats, Ints
    from ..frames import Table
    from .design_matrix import Design, Prepared
    from .options import Arguments


@dataclass(frozen=True)
class PlainColumns:
    """Which columns predicted rows are: nothing needs to be evaluated, and no copy of a batch is made.

    Parameters
    ----------
    x : tuple of str or None
        Column of each column of the design; None for ones.
    y : str
        Column of the outcome.
    probabilities : frozenset of str
        Columns that must lie in [0, 1].
    """

    x: tuple[str | None, ...]
    y: str
    probabilities: frozenset[str]

    @classmethod
    def of(
        cls, prepared: Prepared, matrix: Design, options: Arguments, averaged: frozenset[str], imputation: str
    ) -> PlainColumns | None:
        """Where they say all that predicted rows are; None where a formula, or what is given, must be evaluated."""
        parsed, spec, given = prepared.parsed, matrix.spec, options.surrogates
        if options.predictions is not None or parsed.offsets or spec.classes or spec.right:
            return None
        names = [*prepared.frame.columns, *(label.name for label in prepared.labels)]
        x = lookups(names, spec.covariates, parsed, spec.columns, spec.categories)
        if x is None or parsed.outcome_variables != {parsed.outcome}:
            return None
        place: dict[str, str] = {}
        for label in prepared.labels:
            one = given[label.name]
            mean = imputation == "value" or label.in_outcome
            if not isinstance(one, str) or label.coded or (label.name in averaged and not mean):
                return None
            place[label.name] = one
        inside = {place[one.name] for one in prepared.labels if one.classes and imputation != "value"}
        columns = tuple(None if name is None else place.get(name, name) for name in x)
        return cls(columns, place.get(parsed.outcome, parsed.outcome), frozenset(inside))

    def arrays(self, table: Table) -> dict[str, Array] | None:
        """The columns of a batch; None where one is not what it should be, so that what is wrong must be found."""
        found: dict[str, Any] = {name: table.numbers(name) for name in (*self.x, self.y) if name is not None}
        for name, values in found.items():
            if values is None or (values.dtype.kind == "f" and not finite(values)):
                return None
            if name in self.probabilities and values.dtype.kind != "b" and (values.min() < 0 or values.max() > 1):
                return None
        return found

    def rows(self, arrays: dict[str, Array], at: slice | Ints) -> tuple[Rows, ...]:
        """Some rows of a batch."""
        y = np.asarray(arrays[self.y][at], dtype=np.float64)
        x: Floats = np.empty((len(y), len(self.x)), order="F")
        for j, name in enumerate(self.x):
            x[:, j] = 1.0 if name is None else arrays[name][at]
        return (Rows(x, y),)


_LOOKED_AT, _WORTH, _MOST_KNOWN = 2_048, 8, 1 << 21
"""Rows that show whether few combinations of values come; rows that one must have on average; numbers that are kept."""


@dataclass(frozen=True)
class OnceEach:
    """Rows of a matrix for each combination of values from which they follow, where these are few.

    Examples
    --------
    >>> import pandas as pd
    >>> frame, known, asked = pd.DataFrame({"x": [1.0, 2.0] * 8}), OnceEach(), []
    >>> for _ in range(2):
    ...     out = known.matrix(frame, lambda rows: asked.append(rows) or np.log(frame.iloc[rows].to_numpy()))
    >>> out[:3, 0].round(2).tolist(), len(asked)
    ([0.0, 0.69, 0.0], 1)
    """

    rows: dict[tuple[Any, ...], Floats] = field(repr=False, default_factory=dict)

    def matrix(self, frame: pd.DataFrame, make: Callable[[Ints | slice], Floats]) -> Floats:
        """The matrix of the rows of a frame, shape (m, p).

        Parameters
        ----------
        frame : pandas.DataFrame
            Columns from which the matrix follows, row by row.
        make : callable
            Gives the matrix of some rows.
        """
        some = frame.iloc[:_LOOKED_AT]
        if not len(frame.columns) or len(combinations(some)[1]) * _WORTH > len(some):
            return make(slice(None))
        code, first = combinations(frame)
        if len(first) * _WORTH > len(frame):
            return make(slice(None))
        keys = list(zip(*(frame[name].iloc[first].tolist() for name in frame.columns)))
        new = [k for k, key in enumerate(keys) if key not in self.rows]
        if new:
            made = make(first[new])
            if (len(self.rows) + len(new)) * made.shape[1] > _MOST_KNOWN:
                self.rows.clear()
                return make(first)[code]
            self.rows.update(zip([keys[k] for k in new], made))
        few = np.array([self.rows[key] for key in keys])
        out: Floats = np.empty((len(frame), few.shape[1]), order="F")
        for j, column in enumerate(few.T):
            np.take(column, code, out=out[:, j])
        return out
