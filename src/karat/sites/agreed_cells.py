"""Cells of ``site_shares``: which a site has, which all sites have together, and where a site's rows stand in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import DataError
from ..frames import Table
from ..frames.quoting import quote
from ..grouped.axes import names_of, read_axes
from ..grouped.shares_cells import Binned, is_whole, without_gold
from ..regression.batch_cells import Found, combinations
from .levels import agreed

if TYPE_CHECKING:
    import pandas as pd

    from .._core.types import Bools, Floats, Ints
    from ..grouped.axes import Axes
    from ..regression.group_means import Empty

Asked = tuple[Any, "str | None", "str | None"]
"""by, over and period."""


def columns_asked(asked: Asked) -> list[str]:
    """Columns that tell cells."""
    by, over, _ = asked
    groups = [] if by is None else [by] if isinstance(by, str) else list(by)
    return [*groups, *([] if over is None else [over])]


def numbered(table: Table, asked: Asked) -> tuple[Table, str, pd.DataFrame]:
    """A table with a column of numbers of its periods, the covariates that say cells, and the values of these."""
    import narwhals as nw
    import pandas as pd

    _, over, period = asked
    every = np.ones(table.n_rows, dtype=bool)
    axes = read_axes(table, *asked, every)
    names = columns_asked(asked)
    frame = Binned(over, period)(table.pandas(names, "by")) if names else pd.DataFrame(index=range(table.n_rows))
    if over is not None and axes.columns[-1] != over:
        ordinal = [np.nan if pd.isna(one) else float(one.ordinal) for one in frame[over]]
        series = nw.new_series(axes.columns[-1], np.array(ordinal), backend=table.native.implementation)
        table = Table(table.put([series]))
    seen = f"karat_cells({', '.join(map(quote, axes.columns))})" if axes.columns else "1"
    return table, seen, frame


def cells_held(table: Table, asked: Asked, gold: Bools, least: int) -> tuple[dict[str, Any], Table, str]:
    """The cells of a site, the table with numbers of periods, and the covariates that say cells.

    Raises
    ------
    DataError
        If a cell has some rows but fewer than ``least``.
    """
    table, seen, frame = numbered(table, asked)
    code, first = combinations(frame) if len(frame.columns) else (np.zeros(len(frame), dtype=np.intp), np.array([0]))
    count = np.bincount(code, minlength=len(first))
    known = frame.iloc[first].notna().all(axis=1).to_numpy()
    if (few := np.flatnonzero(known & (count < least))).size and len(frame.columns):
        name = names_of(frame.iloc[first[few[:1]]])[0]
        raise DataError(
            f"{int(count[few[0]])} of the rows of this site are in {name}, fewer than least={least}, and sums would "
            "tell of them; take coarser groups or periods, or give a smaller least= if your rules allow it."
        )
    values = {name: [_told(one) for one in frame[name].iloc[first]] for name in frame.columns}
    categories = {
        name: frame[name].cat.categories.tolist() if hasattr(frame[name], "cat") else None for name in frame.columns
    }
    held = np.bincount(code, gold, len(first)) > 0
    return {"columns": list(frame.columns), "values": values, "gold": held, "categories": categories}, table, seen


def _told(value: Any) -> Any:
    """A value as JSON holds it."""
    import pandas as pd

    if isinstance(value, pd.Period):
        return {"ordinal": value.ordinal, "freq": value.freqstr}
    if value is None or value is pd.NaT or value != value:
        return None
    return value.item() if isinstance(value, np.generic) else value


def _value(told: Any) -> Any:
    import pandas as pd

    return pd.Period(ordinal=told["ordinal"], freq=told["freq"]) if isinstance(told, Mapping) else told


def agree(sites: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """What columns and cells of all sites hold together.

    Parameters
    ----------
    sites : mapping
        Site -> what it told in the first round: columns, and cells.

    Returns
    -------
    dict

    Raises
    ------
    DataError
        If a column is of another kind at one site.
    """
    columns = _numbers_alike({site: dict(one["columns"]) for site, one in sites.items()})
    cells = [one["cells"] for one in sites.values()]
    names = cells[0]["columns"]
    gold: dict[tuple[Any, ...], bool] = {}
    for one in cells:
        rows = list(zip(*(map(_frozen, one["values"][name]) for name in names))) if names else [()]
        for row, own in zip(rows, one["gold"]):
            gold[row] = gold.get(row, False) or bool(own)
    for name in names:
        _refuse_kinds(name, {site: one["cells"]["values"][name] for site, one in sites.items()})
    categories = {
        name: cells[0]["categories"][name]
        for name in names
        if all(one["categories"][name] == cells[0]["categories"][name] for one in cells)
    }
    order = sorted(gold, key=lambda row: [(str(type(value)), str(value)) for value in row])
    values = {name: [_thawed(row[j]) for row in order] for j, name in enumerate(names)}
    return {
        "columns": columns, "names": names, "values": values, "gold": [gold[row] for row in order],
        "categories": {name: levels for name, levels in categories.items() if levels is not None},
    }  # fmt: skip


def _frozen(told: Any) -> Any:
    return tuple(sorted(told.items())) if isinstance(told, Mapping) else told


def _thawed(value: Any) -> Any:
    return dict(value) if isinstance(value, tuple) else value


def _refuse_kinds(name: str, values: Mapping[str, Sequence[Any]]) -> None:
    """Raise where a column of groups or periods holds texts, numbers and dates at different sites."""
    kinds = {}
    for site, own in values.items():
        there = [one for one in own if one is not None]
        if there:
            one = there[0]
            kinds[site] = f"periods ({one['freq']})" if isinstance(one, Mapping) else (
                "text" if isinstance(one, str) else "numbers"
            )  # fmt: skip
    if len(set(kinds.values())) > 1:
        raise DataError(
            f"{name!r} holds {', '.join(f'{kind} at {site}' for site, kind in kinds.items())}; recode it alike at all "
            "sites, or bin dates with period=."
        )


def _numbers_alike(sites: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Columns as all sites agree; numbers that look like classes at some sites only stay numbers."""
    for name in next(iter(sites.values())):
        each = [columns[name] for columns in sites.values()]
        some = [one for one in each if "levels" in one and "whole" in one]
        if some and any("levels" not in one for one in each):
            for columns in sites.values():
                if "levels" in columns[name] and "whole" in columns[name]:
                    binary = set(columns[name]["levels"]) <= {0, 1}
                    columns[name] = {"binary": binary, "whole": columns[name]["whole"]}
    return agreed(sites)


@dataclass(frozen=True)
class Agreed:
    """Cells of all sites.

    Parameters
    ----------
    columns : dict
        What columns hold, see :mod:`karat.sites.levels`.
    frame : data frame
        Values of groups and periods that occur together.
    gold : ndarray of bool
        Which of these hold gold at some site.
    asked : tuple
        by, over and period.
    whole : bool
        Whether the label is one column of classes.
    """

    columns: dict[str, Any]
    frame: pd.DataFrame = field(repr=False)
    gold: Bools = field(repr=False)
    asked: Asked
    whole: bool

    @classmethod
    def of(cls, told: Mapping[str, Any], asked: Asked) -> Agreed:
        """From what :func:`agree` made."""
        import pandas as pd

        names, categories = told["names"], told["categories"]
        frame = pd.DataFrame(
            {name: pd.Series([_value(one) for one in told["values"][name]], dtype=object) for name in names},
            index=range(len(told["gold"])),
        )
        for name in names:
            if name in categories:
                frame[name] = pd.Categorical(frame[name], categories=categories[name])
            elif frame[name].map(lambda one: one is None or isinstance(one, (int, float))).all():
                frame[name] = pd.to_numeric(frame[name])
        return cls(dict(told["columns"]), frame, np.array(told["gold"], dtype=bool), asked, told["whole"])

    @cached_property
    def axes(self) -> Axes:
        """Groups and periods."""
        by, over, period = self.asked
        if not len(self.frame.columns):
            return read_axes(Table.read({"row": [0]}), None, None, None, np.ones(1, dtype=bool))
        frame, period = Binned(over, period).in_order(self.frame)
        return read_axes(Table.read(frame), by, over, period, np.ones(len(frame), dtype=bool))

    def _kept(self, missing: object) -> tuple[Empty | None, Ints, Bools]:
        return without_gold(self.axes, np.ones(len(self.gold), dtype=bool), self.gold, np.ones(len(self.gold)), missing)

    def empty(self, missing: object) -> Empty | None:
        """Cells without gold at any site.

        Raises
        ------
        DataError
            If these are not to be left out.
        """
        return self._kept(missing)[0]

    @cached_property
    def kept(self) -> Ints:
        """Cells that are estimated, shape (C,)."""
        return self._kept("drop")[1]

    @cached_property
    def lost(self) -> Bools:
        """Combinations in cells without gold."""
        return self._kept("drop")[2]

    @cached_property
    def code(self) -> Ints:
        """Which of the estimated cells each combination is in; -1 where in none."""
        place = np.searchsorted(self.kept, self.axes.cell).clip(max=len(self.kept) - 1)
        return np.where(self.kept[place] == self.axes.cell, place, -1)

    @property
    def names(self) -> list[str]:
        """Estimated cells in words."""
        every = names_of(self.axes.grid())
        return [every[c] for c in self.kept]

    def place(self, table: Table) -> tuple[Ints, Table, str]:
        """Which combination each row of a site holds, its table with numbers of periods, and the covariates."""
        table, seen, frame = numbered(table, self.asked)
        if not len(frame.columns):
            return np.zeros(len(frame), dtype=np.intp), table, seen
        none: Floats = np.zeros(len(self.gold))
        where = Found(self.frame, none, none, none).of(frame)
        if (where < 0).any():
            raise DataError(
                "this site has groups or periods that it did not tell of in the first round; give the same rows in all "
                "rounds, or begin again."
            )
        return where, table, seen


def label_kind(columns: Mapping[str, Any], labels: Sequence[str]) -> bool:
    """Whether labels are one column of classes, from the levels that all sites have together."""
    import pandas as pd

    return is_whole({name: pd.Series(columns[name]["levels"]) for name in labels})
