"""Times under observation of all units: durations, events, late entries, strata, and what predictors see of them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ...censoring.durations import read_durations
from ...errors import DataError, SmallSampleWarning, tell
from ...estimate.baseline import Clock
from ...estimate.risk_sets import Hazard, RiskSets, Sums
from ...frames import Table
from ...frames.table import as_float
from ..design_matrix import Design, Prepared, with_columns
from .outcomes import event_codes

if TYPE_CHECKING:
    from ..._core.types import Bools, Floats, Ints

_FEW_EVENTS = 30
"""Gold units with an event below which the user is told."""

_MOST_STRATA = 50
"""Strata of more values than this are no feature of the predictor."""


@dataclass(frozen=True)
class FollowUp:
    """When units came under observation and left it.

    Parameters
    ----------
    time : ndarray, shape (N,)
    event : ndarray of bool, shape (N,)
    entry : ndarray, shape (N,), or None
    stratum : ndarray of int, shape (N,), or None
        Codes from 0.
    strata : dict of str to array
        Columns the strata are made of.
    weight : ndarray, shape (N,), or None
        Analysis weights; events of weight 0 do not count.
    names : tuple of str
        Of the duration and of the event.
    """

    time: Floats = field(repr=False)
    event: Bools = field(repr=False)
    entry: Floats | None = field(repr=False)
    stratum: Ints | None = field(repr=False)
    strata: dict[str, Any] = field(repr=False)
    weight: Floats | None = field(repr=False)
    names: tuple[str, str]

    @property
    def counted(self) -> Bools:
        """Events that have a weight."""
        return self.event if self.weight is None else self.event & (self.weight > 0)

    def risk_sets(self, ties: str) -> RiskSets:
        """Who is at risk when."""
        return RiskSets.of(self.time, self.counted, self.entry, self.stratum, ties)

    def clock(self, sets: RiskSets) -> Clock:
        """When events were, and in which stratum."""
        own, counted = sets.last[self.counted] - 1, self.counted
        time, stratum, gone = np.zeros(sets.n_times), np.zeros(sets.n_times, dtype=np.intp), np.zeros(sets.n_times)
        time[own] = self.time[counted]
        levels: tuple[tuple[str, ...], ...] = ((),)
        if self.stratum is not None:
            stratum[own] = self.stratum[counted]
            first = np.unique(self.stratum, return_index=True)[1]
            levels = tuple(zip(*(values[first].tolist() for values in self.strata.values())))
        last = np.zeros(len(levels))
        np.maximum.at(last, np.zeros(len(self.time), np.intp) if self.stratum is None else self.stratum, self.time)
        every = RiskSets.of(self.time, counted, self.entry, None, "breslow")
        size = every.sums(np.ones((len(self.time), 1)) if self.weight is None else self.weight[:, None])
        left = np.cumprod(np.concatenate([[1.0], 1.0 - size.ending[:-1, 0] / size.risk[:-1, 0]]))
        gone[own] = 1.0 - left[every.last[counted] - 1]
        return Clock(time, gone, stratum, tuple(self.strata), levels, last)

    def with_features(self, prepared: Prepared) -> Prepared:
        """What the predictor sees: event, cumulative hazard at the duration in its place, and strata."""
        sets = self.risk_sets("breslow")
        v = np.ones((len(self.time), 1)) if self.weight is None else self.weight[:, None]
        size, none = sets.sums(v), np.zeros((sets.n_times, 0))
        hazard = Hazard.of(sets, size, Sums(none, none), size.ending[:, 0])
        columns: dict[str, Any] = {self.names[0]: hazard.level, self.names[1]: self.event.astype(np.float64)}
        for name, values in self.strata.items():
            levels = np.unique(values)
            if name not in prepared.frame.columns and len(levels) <= _MOST_STRATA:
                columns |= {f"{name} {level}": (values == level).astype(np.float64) for level in levels[1:]}
        return replace(prepared, frame=with_columns(prepared.frame, columns, prepared.n_rows))

    def notes(self, gold: Ints) -> tuple[str, ...]:
        """Events, and a warning where few of the gold units have one."""
        own = int(self.counted[gold].sum())
        if own < _FEW_EVENTS:
            tell(
                f"only {own} of the gold units have an event, on which most of what is known rests; intervals may be "
                "too short. Label more units that have one (stratify by the event).",
                SmallSampleWarning,
            )
        strata = "" if self.stratum is None else f"; {int(self.stratum.max()) + 1:,} baseline hazards"
        late = "" if self.entry is None else "; late entries"
        return (
            f"{int(self.counted.sum()):,} of {len(self.time):,} units have an event, {own:,} of {len(gold):,} gold "
            f"ones{strata}{late}",
        )


def read_follow_up(
    prepared: Prepared, matrix: Design, table: Table, event: object, entry: object, strata: object
) -> FollowUp:
    """Times under observation from what was given; see :func:`karat.cox`.

    Raises
    ------
    DataError
        If something is missing, an entry is not before the end, or no gold unit has an event.
    """
    units, time = prepared.units, matrix.observed_y
    assert time is not None
    known = np.ones(table.n_rows, dtype=bool) if units.kept is None else units.kept
    codes = units.of_units(event_codes(table, event, known))
    durations = read_durations(time, codes)
    start = None if entry is None else _entries(table, entry, prepared, time)
    columns = {} if strata is None else _strata(table, strata, prepared)
    stratum = _codes(columns) if columns else None
    names = (prepared.parsed.outcome.strip("` "), event if isinstance(event, str) else "event")
    found = FollowUp(time, durations.event, start, stratum, columns, units.weights, names)
    if not found.counted[units.gold].any():
        raise DataError(
            f"no gold unit has an event ({int(found.counted.sum())} of all units have one), so that nothing can be "
            "learnt; label units that have one (stratify by the event)."
        )
    return found


def _entries(table: Table, entry: object, prepared: Prepared, time: Floats) -> Floats:
    name = entry if isinstance(entry, str) else "entry"
    values = prepared.units.of_units(as_float(table.values(entry, "entry"), name, "time of entry"))
    late = ~(values < time)
    if late.any():
        raise DataError(
            f"entry {name!r} must be there and before the end of the duration in every row; {int(late.sum())} row(s) "
            f"are not, first among the rows of the fit at position {int(np.flatnonzero(late)[0])}. Leave them out, or "
            "correct the times."
        )
    return np.asarray(values)


def _strata(table: Table, strata: object, prepared: Prepared) -> dict[str, Any]:
    import pandas as pd

    named = isinstance(strata, (list, tuple)) and all(isinstance(name, str) for name in strata)
    if named and len(strata) != table.n_rows:  # type: ignore[arg-type]
        columns = {name: table.values(name, "strata") for name in strata}  # type: ignore[attr-defined]
    else:
        columns = {strata if isinstance(strata, str) else "strata": table.values(strata, "strata")}
    columns = {name: prepared.units.of_units(values) for name, values in columns.items()}
    for name, values in columns.items():
        if (missing := int(pd.isna(values).sum())) > 0:
            raise DataError(f"strata {name!r} is missing in {missing} row(s); fill it, or leave those rows out.")
    return {name: np.asarray(values).astype(str) for name, values in columns.items()}


def _codes(columns: dict[str, Any]) -> Ints:
    import pandas as pd

    return pd.DataFrame(columns).groupby(list(columns), sort=True).ngroup().to_numpy().astype(np.intp)
