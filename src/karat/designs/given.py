"""What designs are told: seeds, columns and sizes, checked, and the groups of rows that columns form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .._core.types import Bools, Ints
from ..errors import ArgumentError, DataError, DesignError, whole
from ..frames import Table
from .frame import as_text


def seed_number(seed: object) -> int | None:
    """A seed as it is kept with the sample: None unless it was a number."""
    return int(seed) if isinstance(seed, (int, float, np.number)) else None


def cut(given: Any, argument: str, rows: Bools | Ints, table: Table) -> Any:
    """An argument that may be an array of one value per row, for some rows of a table, or all in another order."""
    return given if isinstance(given, str) or np.ndim(given) == 0 else table.values(given, argument)[rows]


def names_of(argument: str, given: object) -> str | tuple[str, ...]:
    """One column name, or several as a tuple, checked.

    >>> names_of("by", ["party", "year"])
    ('party', 'year')
    """
    if isinstance(given, str):
        return given
    names = tuple(given) if isinstance(given, Sequence) else ()
    if not names or not all(isinstance(name, str) for name in names) or len(set(names)) < len(names):
        raise ArgumentError(f"{argument}={given!r} is not allowed; give a column, or a list of different columns.")
    return names


def sizes_of(argument: str, given: object) -> Any:
    """A sample size in all or by stratum, checked; None where none was given.

    >>> sizes_of("n", {"east": 40.0, "west": 60})
    {'east': 40, 'west': 60}
    """
    if given is None:
        return None
    if isinstance(given, Mapping):
        return {stratum: whole(f"{argument}[{stratum!r}]", size, least=1) for stratum, size in given.items()}
    return whole(argument, given, least=1, instead="a mapping from stratum to number, or None to read gold")


def columns_in(*given: Any) -> tuple[str, ...]:
    """Columns among arguments that may be a name, several as a tuple, values, or None."""
    return tuple(c for one in given for c in (one if isinstance(one, tuple) else (one,)) if isinstance(c, str))


def codes_of(table: Table, columns: str | tuple[str, ...] | None, role: str) -> tuple[Ints, list[str]]:
    """Codes (N,) and printable names of the groups that one or several columns form; of all rows for None."""
    import pandas as pd

    if columns is None:
        return np.zeros(table.n_rows, dtype=np.intp), ["all"]
    names = columns_in(columns)
    frame = table.pandas(list(names), role)
    for name in names:
        if frame[name].isna().any():
            raise DataError(f"{role} column {name!r} has {int(frame[name].isna().sum())} missing value(s); fill them.")
    # Sorted by value in every library, whatever the order of declared categories.
    plain = {n: c.cat.categories.dtype for n, c in frame.items() if isinstance(c.dtype, pd.CategoricalDtype)}
    frame = frame.astype(plain)
    try:
        codes, levels = pd.factorize(frame[names[0]] if len(names) == 1 else pd.MultiIndex.from_frame(frame), sort=True)
    except TypeError:
        raise DataError(
            f"{role} column(s) {', '.join(map(repr, names))} hold values that do not form groups (lists, or texts "
            "mixed with dates); recode them to texts or numbers."
        ) from None
    found = [" x ".join(as_text(level if isinstance(level, tuple) else (level,))) for level in levels]
    if len(set(found)) < len(found):
        twice = next(name for name in found if found.count(name) > 1)
        raise DataError(
            f"{role} column(s) {', '.join(map(repr, names))} hold different values that read alike ({twice!r}), such "
            "as the number 1 and the text '1'; recode them."
        )
    return codes.astype(np.intp), found


def check_size(n: int | None, available: int, what: str) -> int:
    """The sample size asked for, held against how many there are of what is counted."""
    if n is None:
        raise DesignError(f"to draw, the design needs n, the number of {what} to label.")
    if n > available:
        raise DesignError(f"n={n} is not possible: there are only {available} {what}. Give at most {available}.")
    return n
