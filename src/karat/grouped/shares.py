"""``kt.shares``: shares of the classes of a label, by group and period, all in one fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Unpack

import numpy as np

from .._core.arguments import checked_arguments
from .._core.machine import single_threaded
from ..errors import ArgumentError, SmallSampleWarning, tell
from ..frames import Table
from ..frames.batches import Batches, in_memory_or_batches
from ..frames.quoting import quote
from ..frames.table import as_float
from ..regression.group_means import Empty, gold_rows
from ..regression.options import FitOptions
from ..regression.pipeline import PLAIN, open_fit
from ..results.verdicts import small_sample_notes
from .axes import names_of, read_axes
from .cell_fits import fit_cells, outcomes_of, refuse_no_gold
from .shares_cells import Asked, Place, arguments_of, is_whole, open_in_batches, refuse_outside, without_gold
from .shares_result import SharesResult

if TYPE_CHECKING:
    from ..regression.pipeline import Opened


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
    data = in_memory_or_batches(data, (label, by, over, surrogates, options))
    labels = labels_of(label, surrogates, by, over)
    refuse_options(options)
    asked, given = (by, over, period), dict(options)
    opened, place = (
        open_in_batches(labels, data, surrogates, asked, given)
        if isinstance(data, Batches)
        else _read_table(labels, data, surrogates, asked, given)
    )
    refuse_other_gold(opened, labels)
    axes, kept, whole, empty = place.axes, place.kept, place.whole, place.empty
    grid = axes.grid()
    names = names_of(grid)
    own = [names[c] for c in kept]
    outcomes = outcomes_of(opened, len(kept), whole, place.code)
    refuse_no_gold(outcomes[0].cells.inside, own)
    joint = fit_cells(outcomes, own, opened[0].options, whole)
    notes = tuple(dict.fromkeys([note for fit in joint.fits for note in fit.notes] + ([str(empty)] if empty else [])))
    result = SharesResult(
        label=", ".join(labels), classes=_values(opened, labels, whole), whole=whole, by=axes.by, over=axes.over,
        grid=grid, cells=tuple(int(c) for c in kept), times=axes.position, fits=joint.fits,
        covariance=joint.covariance, plain=joint.plain, size=outcomes[0].cells.rows.sizes,
        comparison=joint.comparison, notes=notes,
    )  # fmt: skip
    warn(result, empty)
    return result


def _read_table(
    labels: Sequence[str], data: object, surrogates: Mapping[str, Any], asked: Asked, options: dict[str, Any]
) -> tuple[list[Opened], Place]:
    """Fits and cells of a table in memory."""
    table = Table.read(data)
    table.require(labels, "label")
    inside = np.ones(table.n_rows, dtype=bool)
    if options.get("subset") is not None:
        inside = table.marked(options["subset"], "subset")
    axes = read_axes(table, *asked, inside)
    whole = is_whole({name: table.column(name, "label") for name in labels})
    given = options.get("weights")
    weights = np.ones(table.n_rows) if given is None else as_float(table.values(given, "weights"), "weights", "weights")
    gold = gold_rows(table, surrogates, options.get("labelled")) & inside & (weights != 0)
    empty, kept, lost = without_gold(axes, inside, gold, ~np.isnan(weights), options.get("missing"))
    if empty is not None:
        options["weights"] = np.where(lost, np.nan, weights)
    seen = f"karat_cells({', '.join(map(quote, axes.columns))})" if axes.columns else "1"
    opened = [
        open_fit(arguments_of(name, seen, surrogates, options, whole, ones), axes.table, PLAIN) for name in labels
    ]
    cells = opened[0].prepared.units.of_units(axes.cell)
    code = np.minimum(np.searchsorted(kept, cells), len(kept) - 1)
    refuse_outside(int((kept[code] != cells).sum()))
    return opened, Place(axes, kept, whole, empty, code)


def ones(*columns: Any) -> Any:
    """The constant, written with the columns of the cells."""
    return np.ones(len(columns[0]))


def _values(opened: Sequence[Opened], labels: Sequence[str], whole: bool) -> tuple[Any, ...]:
    return tuple(opened[0].matrix.spec.classes) if whole else tuple(labels)


def labels_of(label: Any, surrogates: Any, by: Any, over: Any) -> list[str]:
    """Names of the labels, each with its surrogates.

    Raises
    ------
    ArgumentError
        If they are not names, or not those that have surrogates.
    """
    labels = [label] if isinstance(label, str) else label
    if not isinstance(labels, (list, tuple)) or not labels or not all(isinstance(name, str) for name in labels):
        raise ArgumentError(f"label={label!r} is not allowed; give the name of a column, or a list of names of codes.")
    if len(set(labels)) != len(labels):
        raise ArgumentError(f"label={label!r} names a column twice; give each once.")
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


def refuse_options(options: Mapping[str, Any]) -> None:
    """Raise for what shares are not estimated with."""
    if options.get("tuning") == "full":
        raise ArgumentError("tuning='full' mixes cells; use 'auto', 'coefficient', 'scalar' or None.")
    if options.get("estimator") == "surrogate":
        raise ArgumentError("estimator='surrogate' uses no gold; see surrogates alone with .compare().")


def refuse_other_gold(opened: Sequence[Any], labels: Sequence[str]) -> None:
    """Raise where labels have gold in different rows."""
    first = opened[0].prepared.units
    for fit, name in zip(opened[1:], labels[1:]):
        units = fit.prepared.units
        same = (units.kept is None) == (first.kept is None) and (
            units.kept is None or first.kept is None or np.array_equal(units.kept, first.kept)
        )
        if not same or not units.labelling.same(first.labelling) or not np.array_equal(units.gold, first.gold):
            raise ArgumentError(
                f"{labels[0]!r} and {name!r} have gold in different rows, so that they do not come from one sample; "
                "label both in the same rows, mark these with labelled=, or call kt.shares for each."
            )


def warn(result: SharesResult, empty: Empty | None) -> None:
    """Tell of cells without an estimate, and of small samples."""
    if empty is not None:
        advice = "label some of their units, or merge them; kt.small_groups borrows strength from other groups"
        tell(f"{empty}; {advice}.", SmallSampleWarning)
    for note in dict.fromkeys(note for fit in result.fits for note in small_sample_notes(fit)):
        tell(note, SmallSampleWarning)
