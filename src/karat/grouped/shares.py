"""``kt.shares``: shares of the classes of a label, by group and period, all in one fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Unpack

import numpy as np

from .._core.arguments import checked_arguments
from .._core.machine import single_threaded
from ..errors import ArgumentError, SmallSampleWarning, tell
from ..frames import Table
from ..frames.batches import Batches
from ..frames.kinds import is_number, is_text
from ..frames.quoting import quote
from ..frames.table import as_float
from ..regression.group_means import Empty, gold_rows
from ..regression.options import Arguments, FitOptions
from ..regression.pipeline import PLAIN, open_fit
from ..results.verdicts import small_sample_notes
from .axes import Axes, names_of, read_axes
from .cell_fits import check_gold, fit_cells, outcomes_of
from .shares_result import SharesResult

if TYPE_CHECKING:
    from .._core.types import Bools, Ints
    from ..regression.pipeline import Opened

_MOST_VALUES = 20
"""Different numbers up to which a column of numbers is one of classes."""


@checked_arguments(
    FitOptions, refused={"scores": "what contrasts need is always kept", "combine": "splits are averaged"}
)
@single_threaded
def shares(
    label: str | list[str],
    data: object,
    *,
    surrogates: Mapping[str, Any],
    by: str | list[str] | None = None,
    over: str | None = None,
    period: Literal["day", "week", "month", "quarter", "year"] | None = None,
    **options: Unpack[FitOptions],
) -> SharesResult:
    """Shares of the classes of a label, by group and over time, from surrogate labels and a gold sample.

    Parameters
    ----------
    label : str or list of str
        A column of classes (text, categories, up to 20 whole numbers), whose shares add up to one in every
        cell; or codes, columns of 0 and 1, of which several may hold for a document.
    data : data frame
        One row per document; the label is missing where there is no gold.
    surrogates : mapping
        As in :func:`karat.regress`: label -> its surrogate(s). An entry for each code.
    by : str or list of str, optional
        Columns of groups.
    over : str, optional
        Column of time: dates, periods, numbers, or names that are ordered (categories, or text in its alphabet).
    period : {"day", "week", "month", "quarter", "year"}, optional
        Bins dates.
    **options
        Everything else :func:`karat.mean` takes.

    Returns
    -------
    SharesResult
        One share for each group, period and class. Periods without documents and cells without gold are gaps in its
        tables; the latter are named in a warning. Intervals are those of :func:`karat.mean`, within 0 and 1.
        With ``tuning="auto"`` cells with little gold choose together how much surrogates count.

    Raises
    ------
    KaratError
        As :func:`karat.regress`.

    References
    ----------
    Egami et al. (2023); Korn and Graubard (1998) for intervals of shares. docs/methods.md, section 4.9.

    Examples
    --------
    >>> import numpy as np, pandas as pd, karat as kt
    >>> rng = np.random.default_rng(1)
    >>> topic = rng.choice(["economy", "law", "war"], size=3000, p=[0.5, 0.3, 0.2])
    >>> model = np.where(rng.random(3000) < 0.8, topic, "economy")
    >>> corpus = pd.DataFrame({"topic": topic, "model": model, "year": rng.integers(2020, 2024, size=3000)})
    >>> sample = kt.SimpleRandom(n=400).draw(corpus, seed=1)
    >>> labelled = kt.datasets.mask_gold(corpus, sample, "topic")
    >>> found = kt.shares("topic", labelled, over="year", surrogates={"topic": "model"}, design=sample.design, seed=1)
    >>> found.table().shape
    (4, 3)
    >>> bool(np.allclose(found.table().sum(axis=1), 1.0))
    True
    """
    labels = _read_labels(label, data, surrogates, by, over)
    _refuse_options(options)
    table = Table.read(data)
    table.require(labels, "label")
    inside = np.ones(table.n_rows, dtype=bool)
    if options.get("subset") is not None:
        inside = table.marked(options["subset"], "subset")
    axes = read_axes(table, by, over, period, inside)
    whole = _is_whole(table, labels)
    grid = axes.grid()
    names = names_of(grid)
    empty, kept = _without_gold(axes, names, surrogates, options, inside)
    if empty is not None:
        options["weights"] = empty.weights
    opened = [_open(name, axes, surrogates, options, whole) for name in labels]
    _refuse_other_gold(opened, labels)
    units = opened[0].prepared.units
    cells = units.of_units(axes.cell)
    code = np.minimum(np.searchsorted(kept, cells), len(kept) - 1)
    own = [names[c] for c in kept]
    check_gold(code, cells, kept, units.gold, own)
    arguments = opened[0].options
    joint = fit_cells(outcomes_of(opened, code, len(kept), whole), own, arguments, whole)
    notes = tuple(dict.fromkeys([note for fit in joint.fits for note in fit.notes] + ([str(empty)] if empty else [])))
    result = SharesResult(
        label=", ".join(labels), classes=_values(opened, labels, whole), whole=whole, by=axes.by, over=axes.over,
        grid=grid, cells=tuple(int(c) for c in kept), times=axes.position, fits=joint.fits,
        covariance=joint.covariance, plain=joint.plain, size=_documents(code, units.weights, len(kept)),
        comparison=joint.comparison, notes=notes,
    )  # fmt: skip
    _warn(result, empty)
    return result


def _values(opened: Sequence[Opened], labels: Sequence[str], whole: bool) -> tuple[Any, ...]:
    return tuple(opened[0].matrix.spec.classes) if whole else tuple(labels)


def _read_labels(label: Any, data: object, surrogates: Any, by: Any, over: Any) -> list[str]:
    labels = [label] if isinstance(label, str) else label
    if not isinstance(labels, (list, tuple)) or not labels or not all(isinstance(name, str) for name in labels):
        raise ArgumentError(f"label={label!r} is not allowed; give the name of a column, or a list of names of codes.")
    if len(set(labels)) != len(labels):
        raise ArgumentError(f"label={label!r} names a column twice; give each once.")
    if isinstance(data, Batches):
        raise ArgumentError("kt.shares reads a table in memory; use kt.mean for data that come batch by batch.")
    if not isinstance(surrogates, Mapping) or set(map(str, surrogates)) != set(labels):
        given = sorted(map(str, surrogates)) if isinstance(surrogates, Mapping) else surrogates
        raise ArgumentError(
            f"surrogates must have one entry for each label, {list(labels)}; got {given}. Groups that are themselves "
            "labelled can be had from kt.mean, class by class."
        )
    groups = [by] if isinstance(by, str) else (by or [])
    if any(name in labels for name in [*groups, over]):
        raise ArgumentError(f"by={by!r} or over={over!r} names the label {label!r}; groups and periods must be known.")
    return list(labels)


def _refuse_options(options: Mapping[str, Any]) -> None:
    if options.get("tuning") == "full":
        raise ArgumentError("tuning='full' mixes cells; use 'auto', 'coefficient', 'scalar' or None.")
    if options.get("estimator") == "surrogate":
        raise ArgumentError("estimator='surrogate' uses no gold; see surrogates alone with .compare().")


def _is_whole(table: Table, labels: Sequence[str]) -> bool:
    """Whether this is one column of classes, and not codes of 0 and 1."""
    values = [table.column(name, "label") for name in labels]
    codes = [not is_text(v, n, "label") or all(map(is_number, v.dropna())) for v, n in zip(values, labels)]
    numbers = [np.unique(as_float(v.dropna(), n, "label")) if c else None for v, n, c in zip(values, labels, codes)]
    coded = [n is not None and np.isin(n, (0.0, 1.0)).all() for n in numbers]
    if all(coded):
        return False
    if len(labels) > 1:
        odd = labels[coded.index(False)]
        raise ArgumentError(
            f"label={list(labels)!r} lists codes, which must be 0 or 1, and {odd!r} is not; give a column of classes "
            "by itself, or recode it."
        )
    if numbers[0] is not None and len(numbers[0]) > _MOST_VALUES:
        raise ArgumentError(
            f"label={labels[0]!r} holds {len(numbers[0])} different numbers; shares are of classes. Use kt.mean for "
            "its mean, or cut it into classes."
        )
    return True


def _open(name: str, axes: Axes, surrogates: Mapping[str, Any], options: Mapping[str, Any], whole: bool) -> Opened:
    """Units, draw and predictions of one label, whose learner sees groups and periods."""
    seen = f"karat_cells({', '.join(map(quote, axes.columns))})" if axes.columns else "1"
    formula = f"{quote(name)} ~ {'0 + ' if axes.columns else ''}{seen}"
    given = {**options, "context": {**(options.get("context") or {}), "karat_cells": _ones}}
    arguments = Arguments.of("multinomial" if whole else "mean", formula, {name: surrogates[name]}, given)
    return open_fit(arguments, axes.table, PLAIN)


def _ones(*columns: Any) -> Any:
    """The constant, written with the columns of the cells."""
    return np.ones(len(columns[0]))


def _refuse_other_gold(opened: Sequence[Opened], labels: Sequence[str]) -> None:
    first = opened[0].prepared.units
    for fit, name in zip(opened[1:], labels[1:]):
        units = fit.prepared.units
        same = (units.kept is None) == (first.kept is None) and (
            units.kept is None or first.kept is None or np.array_equal(units.kept, first.kept)
        )
        if not same or not units.labelling.same(first.labelling):
            raise ArgumentError(
                f"{labels[0]!r} and {name!r} have gold in different rows, so that they do not come from one sample; "
                "label both in the same rows, mark these with labelled=, or call kt.shares for each."
            )


def _without_gold(
    axes: Axes, names: Sequence[str], surrogates: Mapping[str, Any], options: Mapping[str, Any], inside: Bools
) -> tuple[Empty | None, Ints]:
    """Cells that hold rows and no gold, and the cells to estimate."""
    table, cell = axes.table, axes.cell
    given = options.get("weights")
    weights = np.ones(table.n_rows) if given is None else as_float(table.values(given, "weights"), "weights", "weights")
    gold = gold_rows(table, surrogates, options.get("labelled")) & inside
    known = (cell >= 0) & inside
    held, kept = np.unique(cell[known]), np.unique(cell[known & gold & (weights != 0)])
    if not len(kept) or len(held) == len(kept):
        return None, held
    lost = known & ~np.isin(cell, kept)
    without = tuple(names[c] for c in held if c not in set(kept))
    rows = int((lost & ~np.isnan(weights)).sum())
    empty = Empty(without, tuple(names[c] for c in held), rows, np.where(lost, np.nan, weights), None)
    empty.refuse(options.get("missing"))
    return empty, kept


def _documents(code: Ints, weights: Any, count: int) -> Any:
    return np.bincount(code, weights, count).astype(np.float64)


def _warn(result: SharesResult, empty: Empty | None) -> None:
    if empty is not None:
        advice = "label some of their units, or merge them; kt.small_groups borrows strength from other groups"
        tell(f"{empty}; {advice}.", SmallSampleWarning)
    for note in dict.fromkeys(note for fit in result.fits for note in small_sample_notes(fit)):
        tell(note, SmallSampleWarning)
