"""Columns of texts in a table that is read batch by batch: what encoders learn, and features of some rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from ..errors import ArgumentError
from ..frames.matrices import Block, Features

if TYPE_CHECKING:
    from ..frames import Table
    from ..frames.batches import Batches
    from ..predict.text.columns import Learnt
    from .options import Arguments

_AT_ONCE = 16_384
"""Rows whose texts are encoded together: a text is as many numbers as its encoder has dimensions."""


@dataclass(frozen=True)
class Texts:
    """Columns of texts, and the encoders that learnt from them.

    Parameters
    ----------
    encoders : dict of str to Learnt
    """

    encoders: dict[str, Learnt] = field(repr=False)

    @property
    def alone(self) -> tuple[str, ...]:
        """Their names: columns that nothing but features is made of."""
        return tuple(self.encoders)

    @staticmethod
    def columns(options: Arguments) -> tuple[str, ...]:
        """Columns that text= names."""
        from ..predict.text.columns import named

        return () if options.text is None else tuple(named(options.text))

    @classmethod
    def of(cls, batches: Batches, options: Arguments) -> Texts | None:
        """Read the columns once, and fit their encoders, on texts that follow from what all of them say.

        Raises
        ------
        ArgumentError, DataError
            If a column holds numbers, or no text.
        """
        from ..predict.text.columns import Gathered, named

        if options.text is None:
            return None
        gathered = {name: Gathered(name) for name in named(options.text)}
        for _, table in batches.tables(list(gathered)):
            for name, texts in gathered.items():
                if table.holds_numbers(name):
                    raise ArgumentError(
                        f"text={name!r} holds numbers; name a column of texts, or give it as features=."
                    )
                texts.add(table.column(name, "text"))
        return cls({name: gathered[name].learnt(encoder) for name, encoder in named(options.text).items()})

    def joined(self, features: Features, table: Table, blocks: bool) -> Features:
        """Features of the rows of a table with what texts say beside them, in blocks if they are asked for."""
        matrix, names, found = [features.matrix], list(features.names), []
        for name, encoder in self.encoders.items():
            vectors = encoder(table.column(name, "text"))
            found.append(Block(name, len(names), len(names) + vectors.shape[1], True, encoder.shown))
            names += [f"{name}[{j}]" for j in range(vectors.shape[1])]
            matrix.append(vectors)
        return Features(np.hstack(matrix), tuple(names), features.surrogate, tuple(found) if blocks else ())

    @staticmethod
    def pieces(tables: Iterator[tuple[slice, Table]]) -> Iterator[tuple[slice, Table]]:
        """The same rows in smaller tables."""
        for at, table in tables:
            for start in range(0, table.n_rows, _AT_ONCE):
                rows = np.arange(start, min(start + _AT_ONCE, table.n_rows))
                yield slice(at.start + start, at.start + start + len(rows)), table.take(rows)
