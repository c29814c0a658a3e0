"""A fit without units that were withdrawn: which these are, and the fit made again from the rows that stay."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ArgumentError, DataError
from ..frames import Table
from ..results.revise import kept_parts
from ..results.withdrawal import one_step
from .entry_points import regress
from .reopen import reopen

if TYPE_CHECKING:
    from .._core.types import Bools
    from ..results import Result


def without(result: Result, units: object, data: object, by: str | None, given: Mapping[str, Any]) -> Result:
    """See :meth:`karat.Result.without`."""
    parts = kept_parts(result)
    kept = parts.units.kept
    n_rows = parts.units.n_units + parts.units.n_dropped
    table = None if data is None else Table.read(data)
    if by is not None and (table is None or table.n_rows != n_rows):
        raise ArgumentError(f"by={by!r} is read in the table of the fit ({n_rows:,} rows); give that as data=.")
    gone = _rows(units, table, by, n_rows)
    out = gone if kept is None else gone[kept]
    if not out.any():
        raise DataError("none of the units is among those of the fit, so nothing changes; check units=.")
    quick = one_step(result, out) if parts.units.effects is None and result.stage is None else None
    if table is None:
        return one_step(result, out) if quick is None else quick
    if table.n_rows == n_rows:
        table = table.filter(~gone)
        given = {name: _cut(value, ~gone) for name, value in given.items()}
    elif table.n_rows != int((~gone).sum()):
        raise DataError(
            f"data has {table.n_rows:,} rows; give the table of the fit ({n_rows:,} rows), or what stays of it "
            f"({int((~gone).sum()):,} rows), in its order."
        )
    left = _left(result, gone) if quick is None else quick
    units_left = left.parts.units if left.parts is not None else parts.units
    stays = np.ones(n_rows, dtype=bool) if kept is None else kept
    rest = replace(units_left, kept=None if stays[~gone].all() else stays[~gone])
    assert left.parts is not None
    scores = replace(left.parts.scores, units=rest)
    found = reopen(
        left.replace(parts=replace(left.parts, scores=scores)), table, given, "fit.without(units, data, {}=...)"
    )
    if found is None:
        raise ArgumentError("this fit does not know its call, so it cannot be made again; leave data= out.")
    again = regress(data=found.data, **{"scores": True, "compare": result.comparison is not None, **found.arguments})
    again = again.as_means() if result.model == "mean" else again
    if quick is None or quick.withdrawal is None or again.names != result.names:
        return again.replace(notes=(*again.notes, f"without {int(out.sum()):,} withdrawn units (fitted again)"))
    shown = replace(quick.withdrawal, exact=again.theta)
    return again.replace(withdrawal=shown, notes=(*again.notes, str(shown)))


def _rows(units: object, table: Table | None, by: str | None, n_rows: int) -> Bools:
    """Which rows of the table of the fit leave."""
    values = np.atleast_1d(np.asarray(units))
    gone = np.zeros(n_rows, dtype=bool)
    if by is not None:
        assert table is not None
        column = np.asarray(table.column(by, "by"))
        if unknown := [value for value in values.tolist() if value not in set(column.tolist())]:
            raise DataError(f"units names {unknown[0]!r}, which {by!r} does not hold ({len(unknown)} such value(s)).")
        return np.isin(column, values)
    if values.dtype == bool:
        if values.shape != (n_rows,):
            raise ArgumentError(f"units has shape {values.shape}; give true or false for each of {n_rows:,} rows.")
        return values
    if values.dtype.kind not in "iu":
        raise ArgumentError(
            f"units={units!r} is not allowed; give positions, true or false for each row, or values of a column with "
            "by=."
        )
    if len(values) and not (values.min() > -1 and values.max() < n_rows):
        raise ArgumentError(f"units holds positions from {values.min()} to {values.max()}; rows are 0 to {n_rows - 1}.")
    gone[values] = True
    return gone


def _left(result: Result, gone: Bools) -> Result:
    """A fit whose units are those that stay, where no one step is taken: what making it again needs."""
    from ..designs.domain import within

    parts = kept_parts(result)
    kept = parts.units.kept
    units = replace(
        parts.units, labelling=within(parts.units.labelling, ~gone if kept is None else ~gone[kept]), effects=None
    )
    return result.replace(parts=replace(parts, scores=replace(parts.scores, units=units)))


def _cut(value: Any, stay: Bools) -> Any:
    """Values row by row, without the rows that leave."""
    if isinstance(value, Mapping):
        return {key: _cut(item, stay) for key, item in value.items()}
    if isinstance(value, (list, tuple)) and any(hasattr(item, "shape") for item in value):
        return [_cut(item, stay) for item in value]
    if hasattr(value, "shape") and len(value.shape) and value.shape[0] == len(stay):
        return value[stay]
    return value
