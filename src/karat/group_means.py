"""Groups without gold: left out of means by group, and named."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import DataError, SmallSampleWarning, tell
from .frames import Table
from .frames.table import as_float

if TYPE_CHECKING:
    from ._types import Bools, Floats
    from .results import Result

_LISTED = 10
_REASON = "groups without gold"


@dataclass(frozen=True)
class Empty:
    """Groups that hold no gold.

    Parameters
    ----------
    names : tuple of str
    rows : int
        Rows they hold.
    weights : ndarray, shape (N,)
        Analysis weights, missing in these rows.
    """

    names: tuple[str, ...]
    rows: int
    weights: Floats

    def __str__(self) -> str:
        more = f" and {len(self.names) - _LISTED} more" if len(self.names) > _LISTED else ""
        listing = ", ".join(self.names[:_LISTED]) + more
        return f"{len(self.names)} group(s) have no gold and are left out: {listing}"

    def note(self, result: Result) -> Result:
        """The result with the groups named in its notes, and their rows counted as such."""
        tell(str(self) + "; label some of their units to report them.", SmallSampleWarning)
        dropped = dict(result.sampling.dropped)
        missing = dropped.pop("weights=") - self.rows
        dropped |= {"weights=": missing} if missing else {}
        sampling = replace(result.sampling, dropped=dropped | {_REASON: self.rows})
        return result.replace(sampling=sampling, notes=(*result.notes, str(self)))


def without_gold(
    table: Table, by: Sequence[str], surrogates: Mapping[str, Any], options: Mapping[str, Any]
) -> Empty | None:
    """Groups without gold, if there are any.

    Parameters
    ----------
    table : Table
    by : sequence of str
        Grouping columns; those that are labelled are not looked at.
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
    observed = [name for name in by if name not in surrogates]
    if not observed:
        return None
    frame = table.pandas(observed, "by")
    gold = _gold_rows(table, surrogates, options.get("labelled"))
    codes = np.asarray(frame.groupby(observed, sort=True, observed=True).ngroup())
    known = codes >= 0
    lost = known & ~np.isin(codes, codes[gold & known])
    if not lost.any() or not (gold & known).any():
        return None
    _, first = np.unique(np.where(lost, codes, -1), return_index=True)
    shown = frame.iloc[[row for row in first if lost[row]]]
    names = tuple(":".join(f"{column}={row[column]}" for column in observed) for _, row in shown.iterrows())
    given = options.get("weights")
    weights = np.ones(table.n_rows) if given is None else as_float(table.values(given, "weights"), "weights", "weights")
    empty = Empty(names, int((lost & ~np.isnan(weights)).sum()), np.where(lost, np.nan, weights))
    if options.get("missing") == "raise":
        raise DataError(f"{empty}; label some of their units, or use missing='drop' to report the other groups.")
    return empty


def _gold_rows(table: Table, surrogates: Mapping[str, Any], labelled: object) -> Bools:
    """Rows that are gold, as far as columns say: all labels are there, or the user's own indicator is true."""
    if labelled is not None:
        name = labelled if isinstance(labelled, str) else "labelled"
        values = as_float(table.values(labelled, "labelled"), name, "indicator of labelled rows")
        return np.asarray(values == 1.0)
    frame = table.pandas(list(surrogates), "surrogates")
    return np.asarray(frame.notna().all(axis=1))
