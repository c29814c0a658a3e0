"""Seeds that follow from the data and the call where none is given, so that the same call gives the same numbers."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ..errors import generator
from .order import row_hashes

if TYPE_CHECKING:
    from . import Table


class Seeded(Protocol):
    """A fit whose seed is known."""

    @property
    def seed(self) -> Any:
        """Seed of its folds and learners."""

    @property
    def formula(self) -> str:
        """Its formula."""

    @property
    def names(self) -> tuple[str, ...]:
        """Its coefficients."""


def settled(seed: Any, columns: Mapping[str, Any], *words: object) -> Any:
    """The seed given, checked; without one, a number made from the columns and the words of the call.

    Parameters
    ----------
    seed : int, numpy.random.Generator or None
    columns : mapping of str to array_like of shape (n,)
        Columns that the call uses. The order of their rows does not matter.
    *words : object
        What else makes the call this one, such as the formula.

    Returns
    -------
    int or numpy.random.Generator

    Raises
    ------
    ArgumentError
        If the seed given cannot be one.

    Examples
    --------
    >>> settled(None, {"a": [1, 2]}, "y ~ a") == settled(None, {"a": [2.0, 1.0]}, "y ~ a")
    True
    >>> settled(7, {})
    7
    """
    if seed is not None:
        generator(seed)
        return seed
    total = int(np.sum(row_hashes(columns), dtype=np.uint64)) if columns else 0
    text = repr((total, sorted(columns), words))
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=4).digest(), "little")


def seed_of_table(seed: Any, table: Table, gold: Mapping[str, Any] | None, *words: object) -> Any:
    """The seed of a call on a table: the one given, or one made from its gold columns.

    Parameters
    ----------
    seed : int, numpy.random.Generator or None
    table : Table
    gold : mapping, optional
        Its keys are the gold columns, as in ``surrogates=``.
    *words : object
        What else makes the call this one.

    Returns
    -------
    int or numpy.random.Generator
    """
    if seed is not None:
        return settled(seed, {})
    names = [name for name in gold or {} if name in table.columns]
    return settled(None, {name: table.column(name, "surrogates") for name in names}, table.n_rows, *words)


def seed_of_result(seed: Any, result: Seeded, *words: object) -> Any:
    """The seed given, or that of the fit a Result comes from.

    Parameters
    ----------
    seed : int, numpy.random.Generator or None
    result : Result
    *words : object
        What makes the call another one than the fit.

    Returns
    -------
    int or numpy.random.Generator
    """
    if seed is not None:
        return settled(seed, {})
    return settled(None, {}, result.seed, result.formula, result.names, *words)
