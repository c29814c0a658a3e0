"""Groups without gold: left out of means by group, and named."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import DataError, SmallSampleWarning, tell
from ..frames import Table
from ..frames.table import as_float
from .batch_cells import InCells, survey
from .batch_units import named_weights

if TYPE_CHECKING:
    import pandas as pd

    from .._core.types import Array, Bools, Floats
    from ..frames.batches import Batches
    from ..results import Result

_LISTED = 10
_REASON = "groups without gold"


@dataclass(frozen=True)
class Crossed:
    """Turns grouping columns into one that has the groups with gold as its categories.

    Parameters
    ----------
    levels : MultiIndex
        Values of the columns in each group.
    names : tuple of str
    """

    levels: pd.MultiIndex
    names: tuple[str, ...]

    def __call__(self, *columns: Any) -> Any:
        """The group of each row."""
        import pandas as pd

        found = self.levels.get_indexer(pd.MultiIndex.from_arrays([np.asarray(c) for c in columns]))
        return pd.Categorical.from_codes(found, categories=pd.Index(self.names))


@dataclass(frozen=True)
class Empty:
    """Groups that hold no gold, and how to fit the others.

    Parameters
    ----------
    names : tuple of str
    every : tuple of str
        Names of all groups, these among them, in order.
    rows : int
        Rows they hold.
    weights : ndarray, shape (N,), or None
        Analysis weights, missing in these rows; None where these are read batch by batch.
    crossed : Crossed or None
        The other groups, where several columns form them: not every combination need occur.
    """

    names: tuple[str, ...]
    every: tuple[str, ...]
    rows: int
    weights: Floats | None
    crossed: Crossed | None

    def __str__(self) -> str:
        more = f" and {len(self.names) - _LISTED} more" if len(self.names) > _LISTED else ""
        listing = ", ".join(self.names[:_LISTED]) + more
        return f"{len(self.names)} group(s) have no gold and no estimate: {listing}"

    def refuse(self, missing: object) -> None:
        """Raise where groups are not to be left out."""
        if self.names and missing == "raise":
            raise DataError(f"{self}; label some of their units, or use missing='drop' to report the other groups.")

    def note(self, result: Result) -> Result:
        """The result with the groups in its tables and named in its notes, and their rows counted as such."""
        if not self.names:
            return result
        tell(f"{self}; label some of their units to report them, or use kt.small_groups.", SmallSampleWarning)
        dropped = dict(result.sampling.dropped)
        missing = dropped.pop("weights=") - self.rows
        dropped |= {"weights=": missing} if missing else {}
        sampling = replace(result.sampling, dropped=dropped | {_REASON: self.rows})
        in_order = set(self.every) == {*result.names, *self.names}
        rows = self.every if in_order else (*result.names, *self.names)
        return result.replace(sampling=sampling, notes=(*result.notes, str(self)), rows=rows)


def without_gold(
    table: Table, by: Sequence[str], surrogates: Mapping[str, Any], options: Mapping[str, Any]
) -> Empty | None:
    """Groups without gold, if there are any, or if not every combination of several columns occurs.

    Parameters
    ----------
    table : Table
    by : sequence of str
        Grouping columns; nothing is done if one of them is labelled.
    surrogates, options : mapping
        As in :func:`karat.regress`.

    Returns
    -------
    Empty or None

    Raises
    ------
    DataError
        With ``missing="raise"``, if a group holds no gold.
    """
    if not by or any(name in surrogates for name in by):
        return None
    frame = table.pandas(list(by), "by")
    gold = gold_rows(table, surrogates, options.get("labelled"))
    inside = np.ones(table.n_rows, dtype=bool)
    if options.get("subset") is not None:
        inside = table.marked(options["subset"], "subset")
    given = options.get("weights")
    weights = np.ones(table.n_rows) if given is None else as_float(table.values(given, "weights"), "weights", "weights")
    found = _without_gold(frame, gold, inside, ~np.isnan(weights), options.get("missing"))
    return None if found is None else replace(found[0], weights=np.where(found[1], np.nan, weights))


def without_gold_in(
    batches: Batches, by: Sequence[str], surrogates: Mapping[str, Any], options: Mapping[str, Any]
) -> tuple[Empty | None, Batches]:
    """The same of a table that is read batch by batch, and the table without rows of these groups."""
    if not by or any(name in surrogates for name in by):
        return None, batches
    known = Table.read({name: [0] for name in batches.columns})
    known.require([*by, *map(str, surrogates)], "by or surrogates")
    weights = named_weights(options.get("weights"))
    seen = survey(batches, by, list(map(str, surrogates)), weights)
    found = _without_gold(
        seen.frame, seen.gold > 0, np.ones(len(seen.rows), dtype=bool), seen.rows, options.get("missing")
    )
    if found is None:
        return None, batches
    empty, lost = found
    return empty, InCells.of(batches, by, seen, ~lost, weights) if empty.names else batches


def _without_gold(
    frame: pd.DataFrame, gold: Bools, inside: Bools, rows: Array, missing: object
) -> tuple[Empty, Bools] | None:
    """Groups without gold, and which rows, or combinations of values that stand for ``rows`` each, they hold."""
    observed = list(frame.columns)
    codes = np.asarray(frame.groupby(observed[::-1], sort=True, observed=True).ngroup().fillna(-1), dtype=np.intp)
    known = (codes >= 0) & inside
    lost = known & ~np.isin(codes, codes[gold & known])
    whole = len(np.unique(codes[known])) == np.prod([frame[name][inside].nunique() for name in observed])
    if (whole and not lost.any()) or not (gold & known).any():
        return None
    first = np.flatnonzero(known)[np.unique(codes[known], return_index=True)[1]]
    named = [":".join(f"{column}={frame[column].iloc[row]}" for column in observed) for row in first]
    names = tuple(name for name, row in zip(named, first) if lost[row])
    crossed = (
        _crossed(frame, [(row, n) for row, n in zip(first, named) if not lost[row]]) if len(observed) > 1 else None
    )
    empty = Empty(names, tuple(named), int(rows[lost].sum()), None, crossed)
    empty.refuse(missing)
    return empty, lost


def _crossed(frame: pd.DataFrame, told: Sequence[tuple[int, str]]) -> Crossed:
    import pandas as pd

    first = frame.iloc[[row for row, _ in told]]
    levels = pd.MultiIndex.from_arrays([np.asarray(first[column]) for column in first.columns])
    return Crossed(levels, tuple(name for _, name in told))


def gold_rows(table: Table, surrogates: Mapping[str, Any], labelled: object) -> Bools:
    """Rows that are gold, as far as columns say: all labels are there, or the user's own indicator is true."""
    if labelled is not None:
        name = labelled if isinstance(labelled, str) else "labelled"
        values = as_float(table.values(labelled, "labelled"), name, "indicator of labelled rows")
        return np.asarray(values == 1.0)
    frame = table.pandas(list(surrogates), "surrogates")
    return np.asarray(frame.notna().all(axis=1))
