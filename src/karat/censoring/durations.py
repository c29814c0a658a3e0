"""Right-censored durations, checked: as arrays, and as the one object that scikit-learn hands around as y."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .._core.types import Array, Bools, Floats, Ints
from ..errors import ArgumentError, DataError, number
from ..frames.order import canonical_order

_FORMS = (
    "a structured array with fields event (bool) and time, as karat.censoring.outcome(time, event) and scikit-survival "
    "make it, an array of two columns (time, event), or a data frame with columns time and event"
)


@dataclass(frozen=True)
class Durations:
    """Times under observation and how they ended.

    Parameters
    ----------
    time : ndarray, shape (n,)
        U = min(T, C), 0 or more, in the user's units.
    cause : ndarray of int, shape (n,)
        0 where censored, otherwise the code of the event (1 where there is one kind of event).
    weight : ndarray, shape (n,), optional
        Sampling weights, 0 or more; None means all 1.

    Examples
    --------
    >>> Durations(np.array([2.0, 3.0]), np.array([1, 0]), None).event.tolist()
    [True, False]
    """

    time: Floats = field(repr=False)
    cause: Ints = field(repr=False)
    weight: Floats | None = field(repr=False, default=None)

    @property
    def event(self) -> Bools:
        """Whether the duration ended under observation, by any cause, shape (n,)."""
        return self.cause > 0

    @property
    def n_rows(self) -> int:
        """Number of durations n."""
        return len(self.time)

    @property
    def causes(self) -> tuple[int, ...]:
        """Codes of the events that occur, in order."""
        return tuple(int(c) for c in np.unique(self.cause) if c > 0)

    def take(self, rows: Any) -> Durations:
        """The durations of some rows.

        Parameters
        ----------
        rows : ndarray of int or bool, or slice

        Returns
        -------
        Durations
        """
        return Durations(self.time[rows], self.cause[rows], None if self.weight is None else self.weight[rows])

    def order(self, covariates: Array | None) -> Ints:
        """An order of the rows by what they hold, so that folds and learners do not see that of the table.

        Parameters
        ----------
        covariates : ndarray, shape (n,) or (n, q), optional

        Returns
        -------
        ndarray of int, shape (n,)
        """
        columns: dict[str, Any] = {"time": self.time, "cause": self.cause}
        if self.weight is not None:
            columns["weight"] = self.weight
        if covariates is not None:
            columns |= {f"v{j}": v for j, v in enumerate(np.reshape(covariates, (self.n_rows, -1)).T)}
        return canonical_order(columns)


def read_durations(time: object, event: object, weights: object = None, *, competing: bool = False) -> Durations:
    """Durations from a user's arrays.

    Parameters
    ----------
    time : array_like, shape (n,)
        Time under observation, 0 or more.
    event : array_like, shape (n,)
        1 (or True) where the event was seen, 0 where the row was censored.
    weights : array_like, shape (n,), optional
        Sampling weights.
    competing : bool
        Whether event codes 2, 3, ... (competing causes) are allowed.

    Returns
    -------
    Durations

    Raises
    ------
    DataError
        If times are negative, missing or infinite, event codes are not allowed, or weights are negative.
    ArgumentError
        If lengths differ.

    Examples
    --------
    >>> read_durations([3.0, 1.5], [True, False]).causes
    (1,)
    """
    times = _numbers(time, "time")
    codes = _numbers(event, "event")
    weight = None if weights is None else _numbers(weights, "weights")
    for name, values in (("event", codes), ("weights", weight)):
        if values is not None and values.shape != times.shape:
            raise ArgumentError(f"{name} has shape {values.shape} but time has shape {times.shape}; give one each.")
    if not len(times):
        raise DataError("time is empty; there are no durations to weight.")
    if (bad := ~(times >= 0) | np.isinf(times)).any():
        first = int(np.flatnonzero(bad)[0])
        raise DataError(
            f"time must be 0 or more and finite in every row; {int(bad.sum())} row(s) are not, first at position "
            f"{first} ({times[first]:g}). Drop them, or correct the dates they come from."
        )
    allowed = (codes >= 0) & (codes == np.floor(codes)) if competing else (codes == 0) | (codes == 1)
    if not allowed.all():
        first = int(np.flatnonzero(~allowed)[0])
        hint = (
            "0 for censored and 1, 2, ... for the causes"
            if competing
            else "1 where the event was seen and 0 where censored (for competing causes see cause= of karat.rmst)"
        )
        raise DataError(
            f"event codes must be {hint}; {int((~allowed).sum())} row(s) are not, first at position {first} "
            f"({codes[first]:g})."
        )
    if weight is not None and ((~(weight >= 0) | np.isinf(weight)).any() or not weight.sum() > 0):
        raise DataError("weights must be finite and 0 or more in every row, and not all 0.")
    return Durations(times, codes.astype(np.intp), weight)


def _floats(values: object, name: str) -> Floats:
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"{name} must hold numbers: {error}.") from error


def _numbers(values: object, name: str) -> Floats:
    array = _floats(values, name)
    if array.ndim != 1:
        raise ArgumentError(f"{name} has shape {array.shape}; give one number per row.")
    return array


def choose_tau(durations: Durations, group: Ints | None = None, least: int = 30, share: float = 0.05) -> float:
    """The largest observed time at which enough rows are still under observation.

    Parameters
    ----------
    durations : Durations
    group : ndarray of int, shape (n,), optional
        Groups, each of which must have enough rows.
    least : int
        Rows that must be at risk in every group, at most half of it.
    share : float
        Share of every group that must be at risk.

    Returns
    -------
    float
        tau.

    Examples
    --------
    >>> choose_tau(Durations(np.arange(1.0, 101.0), np.ones(100, int)))
    71.0
    """
    codes = np.zeros(durations.n_rows, np.intp) if group is None else group
    found = np.inf
    for g in np.unique(codes):
        times = np.sort(durations.time[codes == g])
        n = len(times)
        enough = min(max(least, int(np.ceil(share * n))), (n + 1) // 2)
        found = min(found, float(times[n - enough]))
    return found


def check_tau(tau: object, durations: Durations) -> float:
    """The horizon, checked against the times seen."""
    tau = number("tau", tau, above=0, instead="in the units of time, or 'auto' for the last time with enough rows")
    last = durations.time.max()
    if tau > last and not durations.event.all():
        raise ArgumentError(
            f"tau={tau!r} lies beyond the last observed time {last:g}, and some rows are censored: what happens "
            f"between {last:g} and tau was seen by nobody. Choose tau of at most {last:g}, or tau='auto'."
        )
    return tau


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

    ``y``: a structured array with a boolean field for the event and a field for the time; two columns (time, event); or
    a data frame of any library with columns ``time`` and ``event``, or with two columns of which the boolean one, or
    else the second, is the event.

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
    return _floats(time, "time in y"), _floats(event, "event in y")


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
    return _ordered(_floats(a, f"{first} in y"), _floats(b, f"{second} in y"))


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
