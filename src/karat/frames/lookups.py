"""Design matrices whose columns are columns of the data as they stand: no formula needs to be evaluated."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import pandas as pd

    from .._core.types import Floats
    from .formula import Parsed

NUMBERS = "fiub"
"""Kinds of numpy's types that are numbers as they stand."""


def looked_up(
    frame: pd.DataFrame, covariates: Any, parsed: Parsed, columns: Sequence[str], categories: frozenset[str]
) -> Floats | None:
    """Columns of a frame side by side, shape (m, p), ones for the intercept; None where a formula must be evaluated.

    Parameters
    ----------
    frame : pandas.DataFrame
    covariates : formulaic.ModelSpec
        Of the right-hand side.
    parsed : Parsed
    columns : sequence of str
        Of the design matrix.
    categories : frozenset of str
        Columns that stand for several.

    Raises
    ------
    DataError
        If a value is not finite.
    """
    names = lookups(frame.columns, covariates, parsed, columns, categories)
    if names is None or any(
        name is not None and getattr(frame[name].dtype, "kind", "") not in NUMBERS for name in names
    ):
        return None
    out = np.empty((len(frame), len(names)), dtype=np.float64, order="F")
    for j, name in enumerate(names):
        out[:, j] = 1.0 if name is None else frame[name].to_numpy()
        if name is not None:
            refuse_out_of_reach(out[:, j], columns[j])
    return out


def lookups(
    known: Iterable[Any], covariates: Any, parsed: Parsed, columns: Sequence[str], categories: frozenset[str]
) -> list[Any] | None:
    """Names of the data's columns that make up a design matrix, None for ones; None where a formula must be evaluated.

    Parameters
    ----------
    known : iterable
        Columns of the data.
    covariates, parsed, columns, categories
        As in :func:`looked_up`.
    """
    written = {parsed.written(str(name)): name for name in known}
    names: list[Any] = []
    for structure in covariates.structure:
        factors = [str(factor.expr) for factor in structure.term.factors]
        if factors == ["1"]:
            names += [] if parsed.effects else [None]
        elif len(factors) == 1 and (name := written.get(factors[0])) is not None and name not in categories:
            names.append(name)
        else:
            return None
    return names if len(names) == len(columns) else None


def are_columns(frame: pd.DataFrame, terms: Iterable[Any], parsed: Parsed, categories: frozenset[str]) -> bool:
    """Whether each term is the intercept or a column of numbers as it stands."""
    written = {parsed.written(str(name)): name for name in frame.columns if name not in categories}
    factors = [[str(factor.expr) for factor in term.factors] for term in terms]
    return all(
        len(one) == 1 and (one == ["1"] or (one[0] in written and frame[written[one[0]]].dtype.kind in NUMBERS))
        for one in factors
    )


_LARGEST = {False: 1e50, True: 1e102}
"""Sizes, of a covariate and of the outcome, up to which variances of coefficients can be held, and down to one over."""


def refuse_out_of_reach(values: Floats, name: str, outcome: bool = False) -> None:
    """Raise where a column of the design matrix, or the outcome, is not finite or too large or small for variances."""
    if within_reach(values, outcome):
        return
    if (bad := np.flatnonzero(~np.isfinite(values))).size:
        raise DataError(
            f"the term {name!r} is not finite in {len(bad)} row(s), first at position {bad[0]}; a logarithm of "
            "zero or a division by zero makes this. Correct the column or the transform."
        )
    most, largest = float(np.abs(values).max()), _LARGEST[outcome]
    raise DataError(
        f"the term {name!r} holds numbers of size {most:.2g}, with which no variance can be computed; sizes from "
        f"{1 / largest:.0e} to {largest:.0e} are allowed. Take another unit, such as the column divided by {most:.0e}."
    )


def within_reach(values: Floats, outcome: bool = False) -> bool:
    """Whether all values are finite and of a size that is allowed, told in one pass where nothing is odd."""
    largest = _LARGEST[outcome]
    with np.errstate(over="ignore", invalid="ignore"):
        if largest**-2 < (square := values @ values) < largest**2:
            return True
        most = 0.0 if square == 0 and not values.any() else np.abs(values).max(initial=0.0)
    return bool(most == 0 or 1 / largest <= most <= largest)


def finite(values: Floats) -> bool:
    """Whether every value is finite, told in one pass by their sum; no where the sum alone overflows."""
    with np.errstate(over="ignore", invalid="ignore"):
        return bool(np.isfinite(values.sum()))
