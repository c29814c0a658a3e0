"""What sites must agree on before anything is summed: which columns are categories, and with which levels.

A site then reads its formula as if it held a few rows more that have the levels of all sites. These rows are artificial
and leave again before anything is summed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import DataError
from ..frames.kinds import is_text

if TYPE_CHECKING:
    import pandas as pd

    from .._core.types import Bools
    from ..frames import Table

Columns = dict[str, dict[str, Any]]
"""Column -> ``{"levels": [...], "declared": [...] or None}`` of a category, ``{"binary": ..., "whole": ...}`` else."""

_MOST_LEVELS = 10_000


def columns_held(table: Table, names: Sequence[str], coded: frozenset[str], least: int) -> Columns:
    """What a site's columns hold, without any row.

    Parameters
    ----------
    table : Table
    names : sequence of str
        Columns of the fit.
    coded : frozenset of str
        Columns whose numbers are categories.
    least : int
        Rows that a level must have to be told.

    Returns
    -------
    dict

    Raises
    ------
    DataError
        If a level has fewer rows.
    """
    frame = table.pandas(names, "formula")
    out: Columns = {}
    for name in names:
        column = frame[name]
        text = is_text(column, name, "column")
        if not text and name not in coded:
            values = column.dropna().to_numpy(dtype=np.float64)
            binary, whole = bool(np.isin(values, (0.0, 1.0)).all()), column.dtype.kind in "iub"
            out[name] = {"binary": binary, "whole": whole}
            continue
        counts = column.dropna().value_counts()
        if len(counts) > _MOST_LEVELS:
            raise DataError(f"{name!r} holds more than {_MOST_LEVELS:,} different categories; it is an identifier.")
        if (few := counts[counts < least]).size:
            raise DataError(
                f"{name!r} has {int(few.iloc[0])} row(s) with the level {few.index[0]!r}, fewer than least={least}; "
                "merge levels, leave the rows out, or give a smaller least= if your rules allow it."
            )
        given = table.as_given(name, "formula")
        declared = list(given.cat.categories) if text and hasattr(given, "cat") else None
        out[name] = {"levels": _sorted(list(counts.index)), "declared": declared}
        if not text:
            out[name] |= {"whole": column.dtype.kind in "iub"}
    return out


def agreed(sites: Mapping[str, Columns]) -> Columns:
    """What the columns of all sites hold together.

    Categories keep an order that all sites declare alike; otherwise they are sorted.

    Raises
    ------
    DataError
        If a column is a category at one site and a number at another.

    Examples
    --------
    >>> a, b = {"levels": ["x"], "declared": None}, {"levels": ["w", "x"], "declared": None}
    >>> agreed({"A": {"g": a}, "B": {"g": b}})["g"]["levels"]
    ['w', 'x']
    """
    out: Columns = {}
    first = next(iter(sites.values()))
    for name in first:
        each = {site: columns[name] for site, columns in sites.items()}
        kinds = {site: ("levels" in one, "whole" in one) for site, one in each.items()}
        if len(set(kinds.values())) > 1:
            texts = [site for site, one in each.items() if "whole" not in one]
            raise DataError(f"{name!r} is text at {', '.join(texts)} and a number at other sites; recode one of them.")
        known = list(each.values())
        if "levels" not in known[0]:
            out[name] = {key: all(one[key] for one in known) for key in ("binary", "whole")}
            continue
        levels = _sorted(list({level: None for one in known for level in one["levels"]}))
        declared = known[0]["declared"]
        if declared is not None and all(one["declared"] == declared for one in known):
            levels = [level for level in declared if level in levels]
        out[name] = {"levels": levels}
        if "whole" in known[0]:
            out[name]["whole"] = all(one["whole"] for one in known)
    return out


def _sorted(levels: list[Any]) -> list[Any]:
    plain = [level.item() if isinstance(level, np.generic) else level for level in levels]
    return sorted(plain, key=lambda level: (isinstance(level, str), str(level) if isinstance(level, str) else level))


def with_shown(
    table: Table, columns: Columns, *, varied: frozenset[str], fixed: frozenset[str], labels: frozenset[str],
    more: Sequence[str], inside: Bools | None = None,
) -> tuple[pd.DataFrame, Bools]:  # fmt: skip
    """A site's columns with rows below that show what other sites hold.

    Parameters
    ----------
    table : Table
    columns : dict
        From :func:`agreed`.
    varied : frozenset of str
        Numbers of which the rows hold two values.
    fixed : frozenset of str
        Columns that must go together (class probabilities): all of them as in a first row.
    labels : frozenset of str
        Columns that may be missing.
    more : sequence of str
        Further columns of the site, such as weights.
    inside : ndarray of bool, optional
        Rows of the subpopulation; categories of the others do not count.

    Returns
    -------
    frame : pandas.DataFrame
    shown : ndarray of bool
        Which rows are artificial.
    """
    import pandas as pd

    names = list(dict.fromkeys((*columns, *more)))
    own = table.pandas(names, "formula")
    m = max([3, *(len(one["levels"]) for one in columns.values() if "levels" in one)])
    there = own[[name for name in names if name not in labels]].notna().all(axis=1).to_numpy()
    first = int(there.argmax()) if len(there) else 0
    out = {}
    for name in names:
        column = own[name]
        one = columns.get(name, {"binary": False, "whole": False})
        example: Any = column.iloc[first]
        if name in labels and column.notna().any():
            example = column.dropna().iloc[0]
        if "levels" in one:
            values = pd.Series(np.resize(np.array(one["levels"], dtype=object), m))
            column = column.astype(object) if inside is None else column.astype(object).where(inside, None)
            whole = pd.concat([column, values], ignore_index=True)
            out[name] = _category(whole, one)
            continue
        if name in fixed or name in more:
            values = pd.Series([example] * m)
        elif one["binary"]:
            values = pd.Series(np.resize([0, 1], m))
        else:
            number = float(example)
            inner = 0.5 if number in (0.0, 1.0) else (number + 1.0) / 2.0 if 0.0 < number < 1.0 else number + 1.0
            values = pd.Series(np.resize([number, inner], m) if name in varied else [number] * m)
        if name not in more:
            values = values.astype(column.dtype if one["whole"] and column.dtype.kind in "iub" else np.float64)
            column = column if one["whole"] else column.astype(np.float64)
        out[name] = pd.concat([column, values], ignore_index=True)
    return pd.DataFrame(out), np.arange(len(own) + m) >= len(own)


def _category(values: Any, column: Mapping[str, Any]) -> Any:
    """A column of categories with the agreed levels; numbers stay numbers."""
    import pandas as pd

    if "whole" not in column:
        return pd.Series(pd.Categorical(values, categories=column["levels"]))
    numbers = values.astype(np.float64)
    return numbers.astype(np.int64) if column["whole"] and numbers.notna().all() else numbers
