"""``event_study`` and ``did``: effects by time since treatment, from regressions with effects of unit and time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, Unpack

import numpy as np

from .._core.arguments import checked_arguments
from .._core.machine import single_threaded
from ..errors import ArgumentError, DataError, KaratError, KaratWarning, number, one_of, tell
from ..frames import Table
from ..frames.quoting import quote
from ..frames.table import as_float
from ..regression.entry_points import ols
from ..regression.options import FitOptions
from ..results import Result
from ..results.tests import covariance_of, joint_freedom
from .event_result import EventStudy
from .imputation import cell_of, imputed_fit, leads_beside
from .nuisances import without_surrogates

if TYPE_CHECKING:
    from .._core.types import Array, Floats

Method = Literal["sunab", "twfe", "imputation"]
_BASE = "base"
_TITLES = {
    "sunab": "interaction-weighted (Sun and Abraham 2021)",
    "twfe": "two-way fixed effects",
    "imputation": "imputation (Borusyak, Jaravel and Spiess 2024)",
}


@checked_arguments(FitOptions, refused={"scores": "shares of cohorts need the units of the fit."})
@single_threaded
def event_study(
    formula: str,
    data: object,
    *,
    unit: str,
    time: str,
    cohort: str,
    surrogates: Mapping[str, Any] | None = None,
    method: Method = "sunab",
    reference: int = -1,
    shares: Literal["estimated", "fixed"] = "estimated",
    **options: Unpack[FitOptions],
) -> EventStudy:
    """Effects of a treatment by time since it began, in a panel whose outcome or covariates are labelled in a sample.

    A regression with effects of unit and time has a coefficient for each cohort and time since treatment; these are
    averaged over cohorts by their shares, so that effects may differ between cohorts and over time.

    Parameters
    ----------
    formula : str
        ``"outcome"``, or ``"outcome ~ covariates"``.
    data : data frame
        One row per unit and period (or several); gold columns are missing where a row was not labelled.
    unit, time, cohort : str
        Columns: the unit; the period, a whole number; the first period with treatment, the same in all rows of a unit,
        missing for units that are never treated. All are observed.
    surrogates : mapping, optional
        As in :func:`karat.regress`. Without any all rows whose outcome is there are gold.
    method : {"sunab", "twfe", "imputation"}
        By cohort, then averaged; or one coefficient for each time since treatment, which is an average of effects only
        where these are the same in all cohorts; or treated rows less what rows without treatment say of them, which
        uses all of these and needs no units that are never treated. Imputation takes a labelled outcome, no labelled
        covariates.
    reference : int
        Time since treatment that others are compared with, below 0; with imputation only times before treatment are.
    shares : {"estimated", "fixed"}
        Whether standard errors hold that other units would make other shares of cohorts; with ``target="finite"``
        shares are known.
    **options
        As in :func:`karat.ols`. Clusters are units unless ``cluster`` or ``vcov`` says otherwise.

    Returns
    -------
    EventStudy
        One row for each time since treatment, and ``"ATT"``, the average over all treated rows. With imputation times
        before treatment come from a regression of their own on rows without treatment, if some units are never treated.

    Raises
    ------
    KaratError
        One of its children, naming the argument or column at fault and how to correct it; with imputation the effects
        that are not identified, such as those of periods in which all units are treated.

    References
    ----------
    Sun and Abraham (2021), *Estimating dynamic treatment effects in event studies with heterogeneous treatment
    effects*; Borusyak, Jaravel and Spiess (2024), *Revisiting event-study designs*; Egami et al. (2023).

    Examples
    --------
    >>> import numpy as np, pandas as pd, karat as kt
    >>> rng = np.random.default_rng(1)
    >>> panel = pd.DataFrame({"who": np.repeat(np.arange(60), 5), "year": np.tile(np.arange(5), 60)})
    >>> panel["law"] = panel["who"].map(lambda k: [2, 3, np.nan][k % 3])
    >>> panel["tone"] = (panel["year"] >= panel["law"]) + rng.normal(size=300)
    >>> found = kt.event_study("tone", panel, unit="who", time="year", cohort="law")
    >>> found.names
    ('-3', '-2', '0', '1', '2', 'ATT')
    >>> kt.event_study("tone", panel, unit="who", time="year", cohort="law", method="imputation").names
    ('-3', '-2', '0', '1', '2', 'ATT')
    """
    timing = _Timing.of(data, unit, time, cohort, method, reference)
    fit = _fit(formula, data, timing, surrogates, options)
    found = _averaged(fit, timing, method, shares)
    return found if method != "imputation" else _with_leads(found, formula, data, timing, surrogates, options)


@checked_arguments(FitOptions, refused={"scores": "shares of cohorts need the units of the fit."})
@single_threaded
def did(
    formula: str,
    data: object,
    *,
    unit: str,
    time: str,
    cohort: str,
    surrogates: Mapping[str, Any] | None = None,
    method: Method = "sunab",
    shares: Literal["estimated", "fixed"] = "estimated",
    **options: Unpack[FitOptions],
) -> EventStudy:
    """Difference in differences: the average effect on treated rows.

    Parameters
    ----------
    formula, data, unit, time, cohort, surrogates, shares
        As in :func:`event_study`.
    method : {"sunab", "twfe", "imputation"}
        The ``"ATT"`` of :func:`event_study` by cohort or by imputation; or the coefficient of "treated by now" with
        effects of unit and time, which may weight effects negatively where treatment begins at several times.
    **options
        As in :func:`karat.ols`. Clusters are units unless ``cluster`` or ``vcov`` says otherwise.

    Returns
    -------
    EventStudy
        One row, ``"ATT"``.

    Raises
    ------
    KaratError
        As :func:`event_study`.

    References
    ----------
    Sun and Abraham (2021); Goodman-Bacon (2021), *Difference-in-differences with variation in treatment timing*;
    Borusyak, Jaravel and Spiess (2024).

    Examples
    --------
    >>> import numpy as np, pandas as pd, karat as kt
    >>> rng = np.random.default_rng(1)
    >>> panel = pd.DataFrame({"who": np.repeat(np.arange(60), 5), "year": np.tile(np.arange(5), 60)})
    >>> panel["law"] = panel["who"].map(lambda k: [2, 3, np.nan][k % 3])
    >>> panel["tone"] = (panel["year"] >= panel["law"]) + rng.normal(size=300)
    >>> kt.did("tone", panel, unit="who", time="year", cohort="law").names
    ('ATT',)
    """
    timing = _Timing.of(data, unit, time, cohort, "static" if method == "twfe" else method, -1)
    fit = _fit(formula, data, timing, surrogates, options)
    return _averaged(fit, timing, method, shares).only(["ATT"], "Difference in differences")


@dataclass(frozen=True)
class _Timing:
    """When each row of the data is, and when its unit is first treated (infinite: never)."""

    unit: str
    time: str
    cohort: str
    kind: str
    reference: int
    begins: Mapping[Any, float]
    who: Array
    since: Floats
    first: Floats

    @classmethod
    def of(cls, data: object, unit: str, time: str, cohort: str, kind: str, reference: int) -> _Timing:
        import pandas as pd

        one_of("method", "twfe" if kind == "static" else kind, tuple(_TITLES))
        number("reference", reference, below=0)
        table = Table.read(data)
        table.require([unit, time, cohort], "unit, time and cohort")
        frame = table.pandas([unit, time, cohort], "panel")
        when = as_float(frame[time], time, "period")
        first = as_float(frame[cohort], cohort, "first period with treatment")
        first = np.where(np.isnan(first), np.inf, first)
        known = ~frame[unit].isna().to_numpy()
        begins = pd.Series(first[known]).groupby(frame[unit].to_numpy()[known])
        if (changing := (begins.min() != begins.max())).any():
            raise DataError(
                f"cohort {cohort!r} changes within {unit!r} {changing.index[changing][0]!r}; it must hold the first "
                "period with treatment in all rows of a unit, and be missing where that is never treated."
            )
        if np.isinf(first).all() or (not np.isinf(first).any() and kind != "imputation"):
            how = "every" if np.isinf(first).all() else "no"
            raise DataError(
                f"cohort {cohort!r} is missing in {how} row, so nothing can be compared: treated units and units never "
                "treated are needed, and the cohort of the latter is missing (not 0 or a late period). Where all are "
                "treated at last, leave out rows from the first period of the last cohort on, and make its cohort "
                "missing, or take method='imputation'."
            )
        since = when - first
        for one in np.unique(first[np.isfinite(first)]) if kind == "sunab" else ():
            if not (since[first == one] == reference).any():
                raise DataError(
                    f"units first treated in {one:g} have no row at time {reference} since treatment, with which "
                    "others are compared; leave them out, or set reference= to a time that all cohorts have."
                )
        return cls(unit, time, cohort, kind, reference, begins.min().to_dict(), frame[unit].to_numpy(), since, first)

    def code(self, unit: Any, time: Any) -> Array:
        """Cohort and time since treatment of rows, as text."""
        first = np.array([self.begins[one] for one in np.asarray(unit)], dtype=np.float64)
        return self.coded(np.asarray(time, dtype=np.float64) - first, first)

    def coded(self, since: Floats, first: Floats) -> Array:
        """The same from numbers."""
        if self.kind == "static":
            return np.where(since >= 0, "|0", _BASE)
        base = since < 0 if self.kind == "imputation" else ~np.isfinite(first) | (since == self.reference)
        cohort = ["" if self.kind == "twfe" else f"{one:g}" for one in first]
        return np.array([_BASE if b else f"{g}|{s:g}" for b, g, s in zip(base, cohort, since)])


def _fit(formula: str, data: object, timing: _Timing, surrogates: Mapping[str, Any] | None, options: Any) -> Result:
    """The regression with a coefficient for each cohort and time since treatment."""
    if not isinstance(formula, str) or "|" in formula or formula.count("~") > 1:
        raise ArgumentError(f"formula={formula!r} must read 'outcome' or 'outcome ~ covariates'.")
    outcome, _, covariates = (part.strip() for part in formula.partition("~"))
    for name in (timing.unit, timing.time, timing.cohort):
        if name in (surrogates or {}):
            raise ArgumentError(
                f"surrogates names {name!r}: unit, time and start of treatment must be observed in every row, since a "
                "wrong date moves rows between before and after. Only outcome and covariates may be labelled."
            )
    table = Table.read(data)
    options = dict(options)
    if not surrogates:
        if (column := outcome.strip("`")) not in table.names:
            raise ArgumentError(f"formula={formula!r}: without surrogates= the outcome must be a column.")
        surrogates = {column: np.zeros(table.n_rows)}
        options = without_surrogates(options)
    if options.get("vcov") is None and options.get("cluster") is None:
        options["cluster"] = timing.unit
    if timing.kind == "imputation" and options.get("vcov") is None:
        options["vcov"] = "CRV1"
    options["context"] = {**(options.get("context") or {}), "karat_event": timing.code}
    unit, time = quote(timing.unit), quote(timing.time)
    event = f"C(karat_event({unit}, {time}), contr.treatment({_BASE!r}))"
    text = f"{outcome} ~ {event}{f' + {covariates}' if covariates else ''}"
    if timing.kind == "imputation":
        when = as_float(table.values(timing.time, "time"), timing.time, "period")
        return imputed_fit(text, table, surrogates, {**options, "scores": True}, (timing.who, when, timing.since))
    return ols(f"{text} | {unit} + {time}", data, surrogates=surrogates, scores=True, **options)


def _averaged(fit: Result, timing: _Timing, method: str, shares: str) -> EventStudy:
    """Coefficients averaged over cohorts by shares of rows, with their joint covariance."""
    import pandas as pd

    one_of("shares", shares, ("estimated", "fixed"))
    assert fit.parts is not None
    units = fit.parts.units
    since, first = units.of_units(timing.since), units.of_units(timing.first)
    codes = timing.coded(since, first)
    v = np.ones(len(since)) if units.weights is None else units.weights
    cells = {cell_of(name): j for j, name in enumerate(fit.names) if cell_of(name)}
    at = {cell: float(cell.partition("|")[2]) for cell in cells}
    times = sorted(set(at.values())) if timing.kind != "static" else []
    groups: list[tuple[str, float, list[str]]] = [
        (f"{t:g}", t, [cell for cell in cells if at[cell] == t]) for t in times
    ]
    groups.append(("ATT", np.nan, [cell for cell in cells if at[cell] >= 0]))
    matrix, scores = np.zeros((len(groups), len(fit.names))), np.zeros((len(v), len(groups)))
    for k, (_, _, inside) in enumerate(groups):
        weight = np.array([v[codes == cell].sum() for cell in inside])
        total = weight.sum()
        matrix[k, [cells[cell] for cell in inside]] = weight / total
        value = matrix[k] @ fit.theta
        for cell in inside:
            rows = codes == cell
            scores[rows, k] = v[rows] * (fit.theta[cells[cell]] - value) / total
    covariance = covariance_of(fit, matrix)
    if shares == "estimated" and fit.target == "superpopulation":  # of this corpus the shares are known
        covariance = covariance + _of_shares(scores, fit)
    df = np.array([joint_freedom(fit, np.eye(1), row[None, :]) for row in matrix])
    grid = pd.DataFrame({"time": [t for _, t, _ in groups]}, index=[name for name, _, _ in groups])
    about = f"{fit._about()}; {_TITLES[method]}"
    return EventStudy(
        tuple(name for name, _, _ in groups), matrix @ fit.theta, covariance,
        matrix @ fit.labelling_covariance @ matrix.T, df, fit.alpha, "Event study", about, grid,
        reference=timing.reference, by_cohort=fit, matrix=matrix,
    )  # fmt: skip


def _with_leads(
    found: EventStudy, formula: str, data: object, timing: _Timing, surrogates: Mapping[str, Any] | None, options: Any
) -> EventStudy:
    """With effects before treatment, which should be 0, from a regression on rows without treatment."""
    import pandas as pd

    fit = found.by_cohort
    assert fit is not None
    assert fit.parts is not None
    since = fit.parts.units.of_units(timing.since)
    before = np.unique(since[np.isfinite(since) & (since < 0)])
    if not np.isinf(since).any():
        return replace(found, untested="no unit is never treated, so effects before treatment are no more than a trend")
    if not set(before) - {timing.reference}:
        return found
    if timing.reference not in before:
        raise DataError(
            f"no treated unit has a row at time {timing.reference} since treatment, with which others are compared; "
            "set reference= to a time before treatment that is there."
        )
    inside = timing.since < 0
    if options.get("subset") is not None:
        inside = inside & Table.read(data).marked(options["subset"], "subset")
    options = {"vcov": {fit.vcov_kind: timing.unit}, **options, "subset": inside}
    try:
        leads = _fit(formula, data, replace(timing, kind="twfe"), surrogates, options)
    except KaratError as error:
        tell(f"effects before treatment are not shown: {error}", KaratWarning)
        return replace(found, untested=f"effects before treatment cannot be had: {error}")
    at = [j for j, name in enumerate(leads.names) if cell_of(name)]
    at = sorted(at, key=lambda j: float(cell_of(leads.names[j])[1:]))
    rows = np.eye(len(leads.names))[at]
    beside = leads_beside(fit, found.matrix, leads, rows)
    own = (leads.covariance[np.ix_(at, at)], leads.labelling_covariance[np.ix_(at, at)])
    covariance, labelling = (
        np.block([[one, cross.T], [cross, whole]])
        for one, cross, whole in zip(own, beside, (found.covariance, found.labelling_covariance))
    )
    times = [cell_of(leads.names[j])[1:] for j in at]
    grid = pd.concat([pd.DataFrame({"time": [float(t) for t in times]}, index=times), found.grid])
    return replace(
        found, names=(*times, *found.names), theta=np.append(leads.theta[at], found.theta), covariance=covariance,
        labelling_covariance=labelling, df=np.append(leads.df[at], found.df), grid=grid, before=leads,
    )  # fmt: skip


def _of_shares(scores: Floats, fit: Result) -> Floats:
    """What shares of cohorts add: units (or clusters of the first way) are drawn, with all their rows."""
    assert fit.parts is not None
    units = fit.parts.units
    if units.cluster is None:
        codes = np.arange(len(scores))
    else:
        codes = units.cluster if units.cluster.ndim == 1 else units.cluster[:, 0]
    codes = np.unique(codes, return_inverse=True)[1]
    n = int(codes.max()) + 1
    totals = np.stack([np.bincount(codes, column, n) for column in scores.T], axis=1)
    return np.asarray(totals.T @ totals * n / (n - 1))
