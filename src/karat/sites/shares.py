"""``site_shares`` at each site: cells that all sites agree on, and the units of a site in them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Unpack

import numpy as np

from .._core.arguments import checked_arguments
from .._core.machine import single_threaded
from ..errors import DataError
from ..estimate.cell_rows import CellRows
from ..estimate.cells import Cells
from ..estimate.rows import in_memory
from ..frames import Table
from ..frames.table import as_float
from ..grouped.cell_fits import every_class
from ..grouped.shares import labels_of, ones, refuse_options, refuse_other_gold
from ..grouped.shares_cells import arguments_of, refuse_outside
from ..regression.group_means import gold_rows
from ..regression.options import FitOptions
from .agreed_cells import Agreed, cells_held
from .files import Ask, SiteSums, plain
from .levels import columns_held
from .opened import columns_of, open_site, plain_surrogates, refuse
from .rounds import named, settings_of, with_clusters
from .shares_answers import CellSite, answer, facts
from .shares_report import SHARES

if TYPE_CHECKING:
    from .._core.types import Floats
    from ..regression.options import Arguments

_LEFT_OUT = "karat: weights of rows in cells with gold"


@dataclass(frozen=True)
class _Asked:
    """The call of a site."""

    labels: list[str]
    surrogates: Mapping[str, Any] = field(repr=False)
    axes: tuple[Any, str | None, str | None]
    given: dict[str, Any] = field(repr=False)
    least: int

    def arguments(self, name: str, seen: str, whole: bool, **more: Any) -> Arguments:
        """How one label is fitted."""
        one = arguments_of(name, seen, self.surrogates, {**self.given, **more}, whole, ones)
        refuse(one)
        return one

    @property
    def settings(self) -> dict[str, Any]:
        """What all sites must fit alike."""
        by, over, period = self.axes
        told = settings_of(self.arguments(self.labels[0], "1", True))
        asked = {"by": by, "over": over, "period": period}
        return {**told, "model": SHARES, "formula": "", "labels": self.labels, **dict(plain(asked))}


@checked_arguments(
    FitOptions,
    refused={
        "scores": "only sums leave a site, so that no influence of single rows is kept",
        "combine": "splits are averaged", "shown": "leave rows out of data and design",
        "subset": "leave rows out of data and design",
    },
)  # fmt: skip
@single_threaded
def site_shares(
    label: str | list[str], data: object, *, site: str, surrogates: Mapping[str, Any],
    by: str | list[str] | None = None, over: str | None = None,
    period: Literal["day", "week", "month", "quarter", "year"] | None = None, ask: Ask | str | Path | None = None,
    least: int = 5, **options: Unpack[FitOptions],
) -> SiteSums:  # fmt: skip
    """Sums over the rows of one site, of which :func:`combine_sums` makes the shares of :func:`shares` for all sites.

    Rounds, files and the draw of gold at each site are those of :func:`site_sums`. Groups, periods and classes that
    only some sites have are cells of all. Sums within cells are numbers of rows: a cell, a class in a cell, or the rows
    of a cell without a class, are refused where there are some but fewer than ``least``, among all rows and among gold
    ones. With many cells that is soon the case; take coarser groups and periods, or fewer classes.

    Parameters
    ----------
    label : str or list of str
        As in :func:`shares`.
    data : data frame
        Rows of this site.
    site : str
        Its name, the same in all rounds.
    surrogates : mapping
        Label -> its surrogate(s), by column names.
    by, over, period : optional
        As in :func:`shares`; dates must be dates at all sites, and periods of the same length.
    ask : Ask, str or Path, optional
        The question, or a file of it; none in the first round.
    least : int
        Rows that a cell, and a class in it, must have; 1 tells of all.
    **options
        How to fit.

    Returns
    -------
    SiteSums
        With ``vcov`` HC0 to HC3 (the default), CRV0 or CRV1. Clusters must not reach over sites.

    Raises
    ------
    KaratError
        As :func:`shares`; for what sums cannot tell; for cells with fewer rows than ``least``.

    References
    ----------
    Egami, Hinck, Stewart, Wei (2023); Saerndal, Swensson, Wretman (1992) for strata.

    Examples
    --------
    >>> import numpy as np, pandas as pd, karat as kt
    >>> rng = np.random.default_rng(1)
    >>> topic = rng.choice(["law", "war"], size=2000)
    >>> model = np.where(rng.random(2000) < 0.8, topic, "law")
    >>> corpus = pd.DataFrame({"topic": topic, "model": model, "year": rng.integers(2020, 2023, size=2000)})
    >>> parts = {"Ghent": corpus[:900], "Turin": corpus[900:]}
    >>> gold = {name: kt.datasets.mask_gold(part, kt.SimpleRandom(n=250).draw(part, seed=1), "topic")
    ...         for name, part in parts.items()}
    >>> def sums(name, ask=None):
    ...     return kt.site_shares("topic", gold[name], site=name, over="year", surrogates={"topic": "model"},
    ...                           learner=None, ask=ask)
    >>> received = [sums(name) for name in gold]
    >>> answer = kt.combine_sums(received)
    >>> while isinstance(answer, kt.Ask):
    ...     received += [sums(name, answer) for name in gold]
    ...     answer = kt.combine_sums(received)
    >>> answer
    <karat SharesResult: 'topic', 2 shares in 3 cells, N=2000, 500 gold>
    """
    least = named(site, least)
    labels = labels_of(label, surrogates, by, over)
    refuse_options(options)
    asked = _Asked(labels, surrogates, (by, over, period), with_clusters(options), least)
    if ask is None:
        return SiteSums(site, 0, "", asked.settings, plain(_held(asked, Table.read(data))), {})
    question = Ask.of(ask, asked.settings)
    opened = _open(asked, Table.read(data), Agreed.of(question.columns, asked.axes))
    told = {**facts(opened), "assumed": asked.given.get("design") is None}
    return SiteSums(
        site, question.round, question.digest, asked.settings, plain(told), plain(answer(opened, question.question))
    )


def _weighed(asked: _Asked, table: Table) -> Floats:
    given = asked.given.get("weights")
    return np.ones(table.n_rows) if given is None else as_float(table.values(given, "weights"), "weights", "weights")


def _held(asked: _Asked, table: Table) -> dict[str, Any]:
    """What the columns of a site hold, and which cells there are, for the first round."""
    table.require(asked.labels, "label")
    gold = gold_rows(table, asked.surrogates, asked.given.get("labelled")) & (_weighed(asked, table) != 0)
    cells, numbered, seen = cells_held(table, asked.axes, gold, asked.least)
    columns: dict[str, Any] = {}
    for name in asked.labels:
        one = asked.arguments(name, seen, True)
        _, names = columns_of(one, numbered)
        coded = {name, *(other for other in plain_surrogates(one) if _few_numbers(numbered, other))}
        columns |= columns_held(numbered, names, frozenset(coded), asked.least)
    return {"columns": columns, "cells": cells}


def _few_numbers(table: Table, name: str) -> bool:
    """Whether a column may hold classes that are whole numbers."""
    values = table.column(name, "surrogates").dropna()
    if values.dtype.kind not in "iuf":
        return False
    return bool((values == values.round()).all()) and values.nunique() <= 20


def _open(asked: _Asked, table: Table, agreed: Agreed) -> CellSite:
    """The units of a site in the cells that all sites agreed on."""
    where, table, seen = agreed.place(table)
    lost, given = agreed.lost[where], dict(asked.given)
    if lost.any():
        table = with_column(table, _LEFT_OUT, np.where(lost, np.nan, _weighed(asked, table)))
        given["weights"] = _LEFT_OUT
    sites = []
    for name in asked.labels:
        options = asked.arguments(name, seen, agreed.whole, weights=given.get("weights"))
        _, own = columns_of(options, table)
        sites.append(open_site(options, table, {n: agreed.columns[n] for n in own}, asked.least))
    refuse_other_gold(sites, asked.labels)
    units = sites[0].sample.units
    code = units.of_units(agreed.code[where])
    refuse_outside(int((code < 0).sum()))
    values = [np.zeros((len(code), 0))]
    for one in sites:
        values += [every_class(rows.y, agreed.whole) for rows in in_memory(one.sample.predicted, "a site")[:1]]
    rows = CellRows.of(units, len(agreed.kept), code, np.hstack(values))
    outcomes = np.hstack([every_class(one.sample.gold.y, agreed.whole) for one in sites])
    predicted = rows.gold.shape[1] > 0
    cells = tuple(Cells(rows, y.copy(), j if predicted else None) for j, y in enumerate(outcomes.T))
    classes = list(sites[0].classes) if agreed.whole else list(asked.labels)
    found = CellSite(tuple(sites), cells, tuple(map(str, classes)), classes, agreed.whole)
    refuse_few(found, agreed.names, asked.least)
    return found


def with_column(table: Table, name: str, values: Any) -> Table:
    """The table with a column put in."""
    import narwhals as nw

    return Table(table.put([nw.new_series(name, values, backend=table.native.implementation)]))


def refuse_few(site: CellSite, cells: list[str], least: int) -> None:
    """Raise where a class in a cell, or a cell without the class, would be told of few rows."""
    rows = site.cells[0].rows
    gold = np.stack([one.gold for one in site.cells], axis=1)
    every = [("gold rows", rows.inside, gold)]
    for block in rows.read():
        every.append(("rows", block.code, block.values))
    for where, inside, values in every[:1] + _together(every[1:]):
        size = np.bincount(inside, minlength=rows.count).astype(np.float64)
        if (few := np.flatnonzero((size > 0) & (size < least))).size:
            _refuse(int(size[few[0]]), where, cells[few[0]] or "all", least)
        for j, y in enumerate(values.T):
            if not np.isin(y, (0.0, 1.0)).all():
                continue
            count = np.bincount(inside, y, rows.count)
            for called, number in (("", count), ("another than ", size - count)):
                if (few := np.flatnonzero((number > 0) & (number < least))).size:
                    at = few[0]
                    _refuse(int(number[at]), where, f"{cells[at] or 'all'} with {called}{site.names[j]}", least)


def _together(blocks: list[tuple[str, Any, Any]]) -> list[tuple[str, Any, Any]]:
    if not blocks:
        return []
    return [(blocks[0][0], np.concatenate([b[1] for b in blocks]), np.vstack([b[2] for b in blocks]))]


def _refuse(count: int, where: str, called: str, least: int) -> None:
    raise DataError(
        f"{count} of the {where} of this site are in {called}, fewer than least={least}, and sums would tell of them; "
        "take coarser groups, periods or classes, or give a smaller least= if your rules allow it."
    )
