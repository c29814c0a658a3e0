"""Durations in a table: which rows have them, what they are censored by, and their outcomes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ...censoring.durations import Durations, read_durations
from ...censoring.methods import Kernel, Marginal, Method, Strata, resolve_method
from ...censoring.pseudo import Outcome, PseudoOutcome, expected_outcome, independent_columns, pseudo_outcome, time_grid
from ...censoring.weights import CensoringWeights, weights
from ...errors import ArgumentError, DataError, one_of
from ...estimate.clusters import connected
from ...frames.kinds import is_text
from ...frames.table import as_float
from ..design_matrix import Design, Prepared
from ..surrogates import Surrogate
from ..variables import Label, read_labels

if TYPE_CHECKING:
    from ..._core.types import Array, Bools, Floats, Ints
    from ...frames import Table
    from ...frames.formula import Parsed

FORMS = ("augmented", "product", "ipcw", "pseudo")
_PER_STRATUM = 5
"""Rows per stratum of the outcome model, on average, below which its expectations are the rows' own durations."""


@dataclass(frozen=True)
class Lasting:
    """Durations with everything that makes complete outcomes of them.

    Parameters
    ----------
    durations : Durations
        Rows whose outcome is known: gold rows, or all rows.
    outcome : Outcome
    weights : CensoringWeights
    values : ndarray, shape (n,)
        Y where complete, 0 elsewhere.
    everywhere : bool
        Whether all rows have an outcome (only covariates are labelled).
    covariates : ndarray, shape (n, q)
        V of the model of event times.
    """

    durations: Durations = field(repr=False)
    outcome: Outcome
    weights: CensoringWeights = field(repr=False)
    values: Floats = field(repr=False)
    everywhere: bool
    covariates: Floats = field(repr=False)


def duration_labels(
    parsed: Parsed, table: Table, surrogates: Mapping[str, Any] | None
) -> tuple[tuple[Label, ...], bool]:
    """Labels of the regression, and whether durations are among them.

    Parameters
    ----------
    parsed : Parsed
    table : Table
    surrogates : mapping or None

    Returns
    -------
    labels : tuple of Label
    labelled : bool
        False where every row has its duration and only covariates are labelled.
    """
    name = parsed.outcome.strip().strip("`")
    if name not in table.columns:
        raise ArgumentError(
            f"the outcome {parsed.outcome!r} must be a column of durations, untransformed: the horizon tau and "
            "censoring are taken care of."
        )
    if surrogates:
        labels = read_labels(parsed, table, surrogates)
        if name not in surrogates:
            return labels, False
        return tuple(replace(s, classes=(), coded=False) if s.name == name else s for s in labels), True
    gold = table.column(name, "formula")
    return (Label(name, gold, (), (), False, True, False),), True


def outcome_surrogates(labels: tuple[Label, ...], outcome: Outcome) -> tuple[Label, ...]:
    """Surrogate durations taken to their outcome, where they can be.

    Parameters
    ----------
    labels : tuple of Label
    outcome : Outcome

    Returns
    -------
    tuple of Label
    """

    def turned(item: Surrogate) -> Surrogate:
        numbers = as_float(item.values, item.name, "surrogate of the duration")
        found = outcome.of_surrogate(numbers)
        assert found is not None
        return replace(item, values=np.where(np.isnan(numbers), np.nan, found))

    if outcome.cause is not None:
        return labels
    return tuple(
        replace(s, surrogates=tuple(turned(item) for item in s.surrogates)) if s.in_outcome else s for s in labels
    )


def event_codes(table: Table, event: object, known: Bools) -> Floats:
    """Event codes of all rows; they must be there where the duration is known.

    Parameters
    ----------
    table : Table
    event : str or array_like
    known : ndarray of bool, shape (N,)

    Returns
    -------
    ndarray, shape (N,)
        Missing where unknown.
    """
    name = event if isinstance(event, str) else "event"
    codes = as_float(table.values(event, "event"), name, "event indicator")
    lost = known & np.isnan(codes)
    if lost.any():
        raise DataError(
            f"event {name!r} is missing in {int(lost.sum())} row(s) whose duration is known, first at position "
            f"{int(np.flatnonzero(lost)[0])}; say whether it was seen to end (1) or was censored (0)."
        )
    return codes


def read_method(given: object, columns: list[str]) -> Method:
    """How to estimate G, from what the user wrote.

    Parameters
    ----------
    given : str, Method, classifier or callable
        Also ``"strata(party)"``, ``"kernel(age)"``, ``"cox(age + income)"``, ``"forest(age + income)"``.
    columns : list of str
        Columns of the table.

    Returns
    -------
    Method
    """
    method = resolve_method(given)
    if unknown := [n for n in method.columns if n not in columns]:
        raise ArgumentError(f"censoring= names {unknown[0]!r}, which is not a column of the data.")
    return method


def censoring_covariates(
    method: Method, table: Table, kept: Bools | None, rows: Ints, x: Floats | None
) -> Array | None:
    """V of the censoring model, on the rows whose outcome is known.

    Parameters
    ----------
    method : Method
    table : Table
    kept : ndarray of bool, optional
        Rows of the table in use.
    rows : ndarray of int, shape (n,)
        Positions among them.
    x : ndarray, shape (n, q), optional
        Covariates of the regression, for a method that names no columns.

    Returns
    -------
    ndarray, shape (n, q), or None
    """
    if not method.columns:
        if not method.needs_covariates:
            return None
        if isinstance(method, Strata):
            raise ArgumentError("censoring by strata needs their columns; write censoring='strata(party)'.")
        if x is None or not x.shape[1] or (isinstance(method, Kernel) and x.shape[1] > 1):
            raise ArgumentError(
                f"{type(method).__name__} needs to know the columns censoring depends on; write for example "
                "censoring=karat.censoring.Kernel('age')."
            )
        return x
    columns = []
    for position, name in enumerate(method.columns):
        values = table.column(name, "censoring")
        values = values[kept] if kept is not None else values
        column = values.iloc[rows].reset_index(drop=True)
        if column.isna().any():
            raise DataError(
                f"the censoring covariate {name!r} is missing in {int(column.isna().sum())} row(s) with durations; "
                "fill them, or leave those rows out."
            )
        raw = isinstance(method, Strata) or (isinstance(method, Kernel) and position > 0)
        columns.append(_encoded(column, name, raw))
    return np.column_stack(columns) if len(columns) > 1 or columns[0].ndim > 1 else columns[0]


def _encoded(column: Any, name: str, raw: bool) -> Array:
    import pandas as pd

    if raw:
        return pd.factorize(column)[0].astype(np.float64)
    if is_text(column):
        return pd.get_dummies(column, drop_first=True).to_numpy(dtype=np.float64)
    return as_float(column, name, "censoring covariate")


def lasting(
    table: Table, prepared: Prepared, matrix: Design, event: Floats, *, everywhere: bool, method: Method,
    tau: float | str, kind: str, cause: int | None, floor: float, rng: np.random.Generator,
) -> Lasting:  # fmt: skip
    """Durations, their weights and their outcomes, from what was read.

    Parameters
    ----------
    table, prepared, matrix
        The data.
    event : ndarray, shape (N of the table,)
    everywhere : bool
        Whether all rows have durations, or gold rows only.
    method, tau, kind, cause, floor
        See :func:`karat.rmst`.
    rng : numpy.random.Generator

    Returns
    -------
    Lasting
    """
    units = prepared.units
    rows = np.arange(prepared.n_rows) if everywhere else units.gold
    codes = units.of_units(event)[rows]
    if everywhere:
        assert matrix.observed_y is not None
        time, weight, x = matrix.observed_y, units.weights, _observed_numbers(prepared)
    else:
        time, weight, x = matrix.gold.y, units.gold_weight, matrix.gold.x
    if weight is not None and np.ptp(weight) == 0:
        weight = None
    competing = kind == "lost"
    durations = read_durations(time, codes, weight, competing=competing)
    if cause is not None and cause not in durations.causes:
        raise ArgumentError(f"cause={cause!r} never occurs; event holds the causes {list(durations.causes)}.")
    usable = independent_columns(x)
    covariates = censoring_covariates(method, table, units.kept, rows, usable)
    cluster = None if units.cluster is None else connected(units.cluster[rows])
    found = weights(
        time, codes, tau=tau, censoring=method, covariates=covariates, weights=weight, floor=floor, cluster=cluster,
        competing=competing, seed=rng,
    )  # fmt: skip
    outcome = Outcome(kind, found.tau, cause)
    both = usable if covariates is None else np.column_stack((usable, _numbers(covariates, method)))
    values = np.where(found.complete, outcome.of(durations.time, durations.cause), 0.0)
    return Lasting(durations, outcome, found, values, everywhere, independent_columns(both))


def _observed_numbers(prepared: Prepared) -> Floats:
    """Covariates of the formula that are known for all rows, as numbers."""
    names = sorted(prepared.parsed.covariate_variables & set(map(str, prepared.frame.columns)))
    columns = [_encoded(prepared.frame[name], name, False).reshape(prepared.n_rows, -1) for name in names]
    return np.column_stack(columns) if columns else np.empty((prepared.n_rows, 0))


def _numbers(covariates: Array, method: Method) -> Floats:
    """Censoring covariates as numbers: strata as indicators."""
    import pandas as pd

    columns = covariates[:, None] if covariates.ndim == 1 else covariates
    if isinstance(method, Strata):
        codes = pd.factorize(pd.MultiIndex.from_arrays(list(columns.T)))[0]
        return np.eye(int(codes.max()) + 1)[codes] if codes.max() < 50 else np.empty((len(columns), 0))
    if isinstance(method, Kernel) and columns.shape[1] > 1:
        return columns[:, :1].astype(np.float64)
    return columns.astype(np.float64)


def complete_outcome(
    data: Lasting, form: str, outcome_model: object, method: Method, predicted: Floats | None, rng: np.random.Generator
) -> PseudoOutcome:
    """What takes the place of the outcome of each row, censored or not.

    Parameters
    ----------
    data : Lasting
    form : {"augmented", "product", "ipcw", "pseudo"}
    outcome_model : str, Method or classifier
        Hazard of the event times, for "augmented".
    method : Method
        Of the censoring times.
    predicted : ndarray, shape (n,), optional
        g, for "product".
    rng : numpy.random.Generator

    Returns
    -------
    PseudoOutcome
    """
    if data.weights.complete.all():
        return PseudoOutcome(data.values, data.values, np.empty(0))
    if form == "ipcw":
        return pseudo_outcome(data.weights, data.values)
    if form == "product":
        assert predicted is not None
        return pseudo_outcome(data.weights, data.values, expected=predicted[:, None])
    if form == "pseudo":
        if not isinstance(method, Marginal):
            raise ArgumentError("pseudo-observations are made of one Kaplan-Meier curve; use censoring='marginal'.")
        how, covariates, most = resolve_method("marginal"), None, 400
    else:
        how, covariates, most = _outcome_method(outcome_model, data.covariates), data.covariates, 100
    grid = time_grid(data.durations, data.weights.tau, most)
    expected = expected_outcome(data.durations, data.outcome, how, covariates, grid, rng)
    return pseudo_outcome(data.weights, data.values, grid, expected)


def _outcome_method(given: object, covariates: Floats) -> Method:
    """How the hazard of the event is estimated, from the covariates of the formula and of the censoring model."""
    method = resolve_method(given)
    if method.columns:
        raise ArgumentError(
            "outcome_model= sees the covariates of the formula and those censoring= names; give it without columns."
        )
    if isinstance(method, Kernel) and covariates.shape[1] > 1:
        raise ArgumentError("outcome_model='kernel' takes a single covariate; use 'cox', 'forest' or 'boosting'.")
    if isinstance(method, Strata) and (count := len(np.unique(covariates, axis=0))) > len(covariates) / _PER_STRATUM:
        raise ArgumentError(
            f"outcome_model='strata' would make {count} strata of {len(covariates)} rows, so that rows expect their "
            "own duration; use 'cox', 'forest' or 'boosting' where covariates have many values."
        )
    return method if covariates.shape[1] else Marginal()


def check_censoring(method: Method, parsed: Parsed, labels: tuple[Label, ...], event: object, blind: bool) -> None:
    """Refuse a censoring model, or covariates, that hold what censoring acts on or what may have seen it.

    Raises
    ------
    ArgumentError
    """
    durations = {parsed.outcome.strip("` "), event if isinstance(event, str) else ""}
    if used := sorted(durations & set(method.columns)):
        raise ArgumentError(
            f"censoring= names {used[0]!r}, which says how the duration ended; name columns known beforehand that "
            "censoring may depend on."
        )
    if isinstance(event, str) and event in parsed.covariate_variables:
        raise ArgumentError(
            f"{event!r} is in the formula {parsed.text!r} and in event=; how a duration ended is not a covariate."
        )
    names = {surrogate.name for label in labels if label.in_outcome for surrogate in label.surrogates}
    for where, columns in (("censoring=", set(method.columns)), ("the formula", set(parsed.covariate_variables))):
        if (used := sorted(names & columns)) and not blind:
            raise ArgumentError(
                f"{where} names {used[0]!r}, a surrogate of the duration. Where it was read from documents that end "
                "when observation ends it has seen the censoring, and the weights would be wrong. Name other columns, "
                "or say surrogate_blind_to_censoring=True if no surrogate can know when observation ended."
            )


def check_form(form: str, estimator: str, labels: tuple[Label, ...], blind: bool, everywhere: bool) -> None:
    """Refuse forms that are not valid, or do not exist, for what is given.

    Raises
    ------
    ArgumentError
    """
    one_of("form", form, FORMS)
    if form != "product":
        return
    if everywhere:
        raise ArgumentError("form='product' needs surrogates of the durations; use form='augmented' or 'ipcw'.")
    if any(label.in_covariates for label in labels):
        raise ArgumentError("form='product' does not go with labelled covariates; use form='augmented'.")
    if estimator in ("dsl", "ppi") and not blind:
        raise ArgumentError(
            "form='product' puts surrogates inside the censoring weights, which is wrong where a surrogate was read "
            "from documents that end when observation ends: it has then seen the censoring. If no surrogate can know "
            "when observation ended, say surrogate_blind_to_censoring=True; otherwise use form='augmented'."
        )
