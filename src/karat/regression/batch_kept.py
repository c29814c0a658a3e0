"""Rows of a table in batches that stay in a fit: those where nothing is missing, and alone in no fixed effect."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ..estimate.absorb import FixedEffects
from ..frames import Table
from .fixed_effects import read_effects

if TYPE_CHECKING:
    from collections.abc import Hashable

    from .._core.types import Bools
    from ..frames.batches import Batches
    from ..frames.formula import Parsed


@dataclass(frozen=True)
class Kept:
    """A table in batches without some of its rows.

    Parameters
    ----------
    whole : Batches
    kept : ndarray of bool, shape (N,)
        Rows that stay.
    """

    whole: Batches
    kept: Bools = field(repr=False)

    @property
    def source(self) -> Any:
        """What was read, for messages."""
        return self.whole.source

    @property
    def columns(self) -> list[str]:
        """Names of the columns."""
        return self.whole.columns

    @property
    def rows(self) -> int:
        """Most rows of a batch."""
        return self.whole.rows

    @cached_property
    def n_rows(self) -> int:
        """Number of rows that stay."""
        return int(np.count_nonzero(self.kept))

    @property
    def key(self) -> Hashable:
        """Not known: which rows stay follows from the fit."""
        return None

    def tables(self, names: Sequence[str]) -> Iterator[tuple[slice, Table]]:
        """Some columns of the rows that stay, with their positions among these."""
        start = 0
        for at, table in self.whole.tables(names):
            rows = np.flatnonzero(self.kept[at])
            if len(rows):
                yield slice(start, start + len(rows)), table if len(rows) == table.n_rows else table.take(rows)
                start += len(rows)


def complete_rows(batches: Batches, roles: Mapping[str, Sequence[str]]) -> tuple[Bools, dict[str, int]]:
    """Rows where nothing is missing in some columns, shape (N,), and how many are missing.

    Parameters
    ----------
    batches : Batches
    roles : mapping of str to sequence of str
        Columns, by what is said of rows in which one of them is missing.

    Examples
    --------
    >>> import pyarrow as pa
    >>> from karat.frames.batches import Batches
    >>> complete_rows(Batches(pa.table({"x": [1.0, None, 2.0]})), {"x": ["x"]})
    (array([ True, False,  True]), {'x': 1})
    """
    parts: list[Bools] = []
    lacking = dict.fromkeys(roles, 0)
    for _, table in batches.tables(list(dict.fromkeys(name for names in roles.values() for name in names))):
        complete = np.ones(table.n_rows, dtype=bool)
        for role, names in roles.items():
            there = np.logical_and.reduce([table.there(name) for name in names])
            lacking[role] += int(np.count_nonzero(~there))
            complete &= there
        parts.append(complete)
    return np.concatenate(parts) if parts else np.zeros(0, dtype=bool), {k: v for k, v in lacking.items() if v}


def effects_of(parsed: Parsed, table: Table, kept: Bools, dropped: dict[str, int]) -> FixedEffects | None:
    """Fixed effects of the rows that stay; rows alone in one leave, in ``kept`` and in what is said.

    Parameters
    ----------
    parsed : Parsed
    table : Table
        Their columns, of the rows where nothing is missing.
    kept : ndarray of bool, shape (N,)
        Which rows these are; changed in place.
    dropped : dict
        Rows left out, by reason; added to.
    """
    rows = np.flatnonzero(kept)
    effects = read_effects(parsed, table.pandas(sorted(parsed.effect_variables), "fixed effects"))
    alone = effects.singletons()
    if not alone.any():
        return effects
    kept[rows[alone]] = False
    dropped[f"alone in {' + '.join(parsed.effect_names)}"] = int(alone.sum())
    return effects.kept(~alone)
