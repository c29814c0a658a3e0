"""A fit taken up again: its call, and the rows and the draw it was made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..designs import Drawn, SimpleRandom
from ..errors import ArgumentError, DataError
from ..frames import Table

if TYPE_CHECKING:
    from ..results import Result

_OF_THE_DRAW = ("labelled", "design", "sampled", "nonresponse", "shown", "subset")
"""What the rows and the draw kept with the influence scores stand for; given again where these were not kept."""

_OF_REPORTING = ("scores", "compare", "progress")


@dataclass(frozen=True)
class Reopened:
    """What a fit was made from.

    Parameters
    ----------
    data : data frame
        The rows of the fit.
    arguments : mapping
        Of :func:`karat.regress`, model and formula included; without what only reports.
    """

    data: Any = field(repr=False)
    arguments: Mapping[str, Any]


def reopen(
    result: Result, data: object, given: Mapping[str, Any], again: str, what: str = "fit", same_seed: bool = True
) -> Reopened | None:
    """Take up a fit again with the data it was made from.

    Parameters
    ----------
    result : Result
    data : data frame
        The table of the fit, in its order.
    given : mapping
        Values the fit does not keep.
    again : str
        How to give them, for messages, with ``{}`` for the name.
    what : str
        What the fit is called there.
    same_seed : bool
        Whether folds and learners must come out as they did.

    Returns
    -------
    Reopened or None
        None where the Result does not know its call: durations, sums of fits, a Result read from JSON.

    Raises
    ------
    ArgumentError
        If an argument of the fit held values and was not given again, or another one was given.
    DataError
        If the data have another number of rows.
    """
    call, parts = result.call, result.parts
    if call is None:
        return None
    drawn = parts is not None
    known = (*_OF_REPORTING, *(_OF_THE_DRAW if drawn else ()), *(() if same_seed else ("seed",)))
    wanted = [name for name in call.left_out if name not in known]
    allowed = [*wanted, "n_jobs", *(() if drawn else _OF_THE_DRAW)]
    for name, value in given.items():
        if name not in allowed and not (name in call.arguments and _same(value, call.arguments[name])):
            raise ArgumentError(
                f"{name}= is that of the {what} and cannot be changed afterwards; take it out, or fit again with it. "
                f"Only values that the fit does not keep are given again{': ' * bool(wanted)}{', '.join(wanted)}."
            )
    if lacking := [name for name in wanted if name not in given]:
        raise ArgumentError(
            f"the fit was made with values in {', '.join(lacking)}=, which it does not keep; give them again, for "
            f"example {again.format(lacking[0])}."
        )
    table = Table.read(data)
    arguments = {name: value for name, value in {**call.arguments, **given}.items() if name not in _OF_REPORTING}
    arguments |= {"model": call.model, "formula": call.formula}
    if parts is None:
        return Reopened(table, {"design": call.design, **arguments})
    units = parts.units
    n_rows = units.n_units + units.n_dropped
    if table.n_rows != n_rows:
        raise DataError(
            f"data has {table.n_rows} rows, the fit was made from {n_rows}; give the table of the fit, in its order."
        )
    frame = table.native
    if units.kept is not None:
        frame = frame.filter(units.kept.tolist())
        _refuse_arrays(arguments)
    arguments = {name: value for name, value in arguments.items() if name not in _OF_THE_DRAW}
    arguments["design"] = Drawn(SimpleRandom(), units.labelling)
    arguments["labelled"] = units.labelling.labelled
    return Reopened(frame.to_native(), arguments)


def _same(value: Any, other: Any) -> bool:
    """Whether a setting given again is that of the fit."""
    return type(value) is type(other) and not hasattr(value, "shape") and bool(value == other)


def _refuse_arrays(arguments: Mapping[str, Any]) -> None:
    """Rows were dropped, so values given row by row would no longer fit."""
    for name in ("surrogates", "features", "predictions", "weights", "cluster", "folds"):
        value = arguments.get(name)
        items = value.values() if isinstance(value, Mapping) else value if isinstance(value, (list, tuple)) else [value]
        if any(hasattr(item, "shape") for item in items):
            raise ArgumentError(
                f"{name}= holds values row by row and the fit left rows out for missing values; put the values into "
                "columns."
            )
