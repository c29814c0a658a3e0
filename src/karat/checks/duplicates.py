"""Documents that occur twice, and documents the labeller has seen."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ArgumentError
from ..frames.table import as_float

if TYPE_CHECKING:
    from .._core.types import Bools, Ints
    from ..frames import Table


@dataclass(frozen=True)
class Duplicates:
    """Copies of documents.

    Parameters
    ----------
    documents : int
        Different documents that occur more than once.
    rows : int
        Rows beyond the first copy.
    gold_and_rest : int
        Gold rows with a copy among the rows without gold.
    within_gold : int
        Gold rows with a copy in the gold.
    """

    documents: int
    rows: int
    gold_and_rest: int
    within_gold: int


def normalised(values: Any) -> list[str]:
    """Texts as they are compared: case and white space do not count.

    Examples
    --------
    >>> normalised(["A  tale", "a tale "])
    ['a tale', 'a tale']
    """
    blank = re.compile(r"\s+")
    return [blank.sub(" ", str(v)).strip().casefold() for v in values]


def document_codes(values: Any) -> Ints:
    """One number per different document, shape (N,); missing ones are -1."""
    import pandas as pd

    series = pd.Series(values)
    present = series.notna().to_numpy()
    codes = np.full(len(series), -1, dtype=np.intp)
    codes[present] = pd.factorize(np.array(normalised(series[present].to_numpy()), dtype=object))[0]
    return codes


def duplicates(codes: Ints, gold: Bools) -> Duplicates:
    """Count copies.

    Parameters
    ----------
    codes : ndarray of int, shape (N,)
        From :func:`document_codes`.
    gold : ndarray of bool, shape (N,)

    Returns
    -------
    Duplicates

    Examples
    --------
    >>> duplicates(np.array([0, 0, 1, 2, 2]), np.array([True, False, True, True, True])).gold_and_rest
    1
    """
    known = codes >= 0
    codes, gold = codes[known], gold[known]
    if not len(codes):
        return Duplicates(0, 0, 0, 0)
    copies = np.bincount(codes)
    of_gold = np.bincount(codes[gold], minlength=len(copies))
    own = codes[gold]
    return Duplicates(
        documents=int((copies > 1).sum()),
        rows=int((copies - 1)[copies > 1].sum()),
        gold_and_rest=int((copies[own] > of_gold[own]).sum()),
        within_gold=int((of_gold[own] > 1).sum()),
    )


def shown_rows(shown: object, table: Table) -> Bools:
    """Rows whose document the labeller has seen in its prompt or in training.

    Parameters
    ----------
    shown : str, array_like of shape (N,), or mapping
        A true/false column, true/false values, or ``{column: values}``: the documents (texts or ids)
        that were shown, as that column holds them.
    table : Table

    Returns
    -------
    ndarray of bool, shape (N,)

    Raises
    ------
    ArgumentError
        If it is none of these, or none of the documents is in the data.
    """
    import pandas as pd

    if isinstance(shown, Mapping):
        if len(shown) != 1:
            raise ArgumentError("shown must map one column to the documents, as in shown={'text': documents}.")
        column, documents = next(iter(shown.items()))
        if isinstance(documents, str) or not np.ndim(list(documents)) == 1:
            raise ArgumentError(f"shown[{column!r}] must be a list of documents.")
        held = table.column(str(column), "shown")
        wanted = set(normalised(documents))
        found = np.array([key in wanted for key in normalised(held.to_numpy())], dtype=bool)
        if not found.any():
            raise ArgumentError(
                f"none of the {len(wanted)} documents in shown is in the column {column!r}; give them as that "
                "column holds them, or take shown= out if they never were in the corpus."
            )
        return found
    values = table.values(shown, "shown")
    name = shown if isinstance(shown, str) else "shown"
    marked = as_float(pd.Series(values), name, "indicator of rows shown")
    if not np.isin(marked, (0.0, 1.0)).all():
        raise ArgumentError(
            f"shown={name!r} must be true/false (or 1/0) in every row; to give documents write shown={{'text': [...]}}."
        )
    out: Bools = marked == 1.0
    return out
