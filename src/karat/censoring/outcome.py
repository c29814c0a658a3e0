"""Right-censored outcomes as one object: what scikit-learn hands around as y."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ArgumentError, DataError
from .durations import read_durations

if TYPE_CHECKING:
    from .._core.types import Array, Floats

_FORMS = (
    "a structured array with fields event (bool) and time, as karat.censoring.outcome(time, event) and scikit-survival "
    "make it, an array of two columns (time, event), or a data frame with columns time and event"
)


def outcome(time: object, event: object) -> Array:
    """Durations as a structured array, one record per row.

    Parameters
    ----------
    time : array_like, shape (n,)
        Time under observation, 0 or more.
    event : array_like, shape (n,)
        1 (or True) where the event was seen, 0 where the row was censored.

    Returns
    -------
    ndarray, shape (n,)
        Fields ``event`` (bool) and ``time`` (float), in the order scikit-survival has them.

    Raises
    ------
    DataError
        If times are negative, missing or infinite, or event codes are not 0 and 1.
    ArgumentError
        If lengths differ.

    Examples
    --------
    >>> outcome([3.0, 1.5], [True, False])["event"].tolist()
    [True, False]
    """
    durations = read_durations(time, event)
    out = np.empty(durations.n_rows, dtype=[("event", np.bool_), ("time", np.float64)])
    out["event"], out["time"] = durations.event, durations.time
    return out


def read_outcome(y: Any) -> tuple[Floats, Floats]:
    """Times and event codes out of a y that a user gave, not yet checked for their values.

    Parameters
    ----------
    y : array_like
        A structured array with a boolean field for the event and a field for the time; two columns (time, event);
        or a data frame of any library with columns ``time`` and ``event``, or with two columns of which the boolean
        one, or else the second, is the event.

    Returns
    -------
    time, event : ndarray, shape (n,)

    Raises
    ------
    ArgumentError
        If y has another form.
    DataError
        If it does not hold numbers.

    Examples
    --------
    >>> read_outcome([(3.0, 1), (1.5, 0)])[0].tolist()
    [3.0, 1.5]
    """
    if y is None:
        raise ArgumentError(
            f"durations are needed: this estimator requires y to be passed, but the target y is None. Give {_FORMS}."
        )
    if isinstance(y, np.ndarray) and y.dtype.names is not None:
        fields = {str(name): y[name] for name in y.dtype.names}
    elif hasattr(y, "columns") or hasattr(y, "column_names"):
        import narwhals as nw

        frame = nw.from_native(y, eager_only=True)
        fields = {str(name): frame[name].to_numpy() for name in frame.columns}
    else:
        return _two_columns(y)
    time, event = _named(fields)
    return _numbers(time, "time"), _numbers(event, "event")


def _named(fields: dict[str, Array]) -> tuple[Array, Array]:
    if "time" in fields and "event" in fields:
        return fields["time"], fields["event"]
    if len(fields) != 2:
        raise ArgumentError(f"y has the columns {list(fields)}; give {_FORMS}.")
    (first, a), (second, b) = fields.items()
    boolean = [values.dtype.kind == "b" for values in (a, b)]
    if sum(boolean) == 1:
        return (b, a) if boolean[0] else (a, b)
    if "event" in fields or "time" in fields:
        return (b, a) if first == "event" or second == "time" else (a, b)
    return _ordered(_numbers(a, first), _numbers(b, second))


def _two_columns(y: Any) -> tuple[Floats, Floats]:
    try:
        values = np.asarray(y, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"y must hold times and event codes: {error}. Give {_FORMS}.") from error
    if values.ndim != 2 or values.shape[1] != 2:
        raise ArgumentError(
            f"y has shape {values.shape}, which does not say which durations are censored; give {_FORMS}. "
            "Where nothing is censored, event is 1 throughout."
        )
    return _ordered(values[:, 0], values[:, 1])


def _ordered(time: Floats, event: Floats) -> tuple[Floats, Floats]:
    """Columns in the order (time, event), unless they are plainly the other way round."""
    if not _codes(event) and _codes(time):
        raise ArgumentError(
            "the first column of y holds 0 and 1 and the second does not; the order of columns is (time, event)."
        )
    return time, event


def _codes(values: Floats) -> bool:
    return bool(((values == 0) | (values == 1) | np.isnan(values)).all())


def _numbers(values: Array, name: str) -> Floats:
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"{name} in y must hold numbers: {error}.") from error
