"""Predicted rows of batches whose design is columns as they stand, surrogates in the place of labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..estimate.rows import Rows
from ..frames.lookups import finite, lookups

if TYPE_CHECKING:
    from .._core.types import Array, Floats
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

    def rows(self, arrays: dict[str, Array], at: slice) -> tuple[Rows, ...]:
        """Some rows of a batch."""
        y = np.asarray(arrays[self.y][at], dtype=np.float64)
        x: Floats = np.empty((len(y), len(self.x)), order="F")
        for j, name in enumerate(self.x):
            x[:, j] = 1.0 if name is None else arrays[name][at]
        return (Rows(x, y),)
