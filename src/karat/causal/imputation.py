"""Event studies by imputation: outcomes of treated rows as rows without treatment would have them (methods, 8.3)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ArgumentError
from ..estimate.clusters import Curvatures
from ..estimate.infer import Parts
from ..estimate.rows import Panel
from ..frames import Table
from ..regression.options import Arguments
from ..regression.pipeline import Opened, Steps, close_fit, open_fit
from ..results import Result
from ..results.combine import joint_covariance

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .._core.types import Floats
    from ..estimate.augment import AugmentedSample
    from ..estimate.rectify import Estimate

TERM = "C(karat_event("
"""How columns of cells begin in a design."""


def cell_of(name: str) -> str:
    """The cell that a coefficient is of, as in ``"4|0"``; empty for other coefficients."""
    return name.rpartition("[T.")[2][:-1] if name.startswith(TERM) else ""


def imputed_fit(
    text: str,
    table: Table,
    surrogates: Mapping[str, Any],
    options: Mapping[str, Any],
    timing: tuple[Any, Floats, Floats],
) -> Result:
    """The mean effect of each cohort and period, treated rows less what untreated ones say of them.

    Parameters
    ----------
    text : str
        Formula: outcome, cells, covariates.
    table : Table
    surrogates, options : mapping
        As of :func:`karat.ols`.
    timing : tuple of three arrays, each of N values
        Unit, period, and time since treatment (below 0 where there is none) of all rows.

    Returns
    -------
    Result
        Names of coefficients are those of the columns of cells.
    """
    arguments = Arguments.of("ols", text, surrogates, options)
    fit = open_fit(arguments, table, _Opening())
    _refuse_labelled_covariates(fit)
    _refuse_covariances(fit, timing[0])
    columns = fit.matrix.spec.columns
    cells = tuple(name for name in columns if cell_of(name))
    at = fit.prepared.units.of_units
    panel = _panel(fit, cells, *(at(np.asarray(one)) for one in timing))
    spec = replace(fit.matrix.spec, names=cells)
    predicted = None if fit.predicted is None else replace(fit.predicted, splits=())
    fit = replace(fit, matrix=replace(fit.matrix, spec=spec), predicted=predicted)
    assumed = arguments.design is None and not fit.prepared.units.labelling.labelled.all()
    result = close_fit(fit, steps=_Closing(panel), assumed=assumed)
    return result.replace(call=None, spec=None, title="Mean effects by imputation")


class _Opening(Steps[Opened]):
    """As a linear regression without fixed effects."""

    takes_effects = False

    def word(self, options: Arguments) -> str:
        return "imputation"


@dataclass(frozen=True)
class _Closing(Steps[Opened]):
    """The augmented sample knows where its rows are in the panel."""

    panel: Panel

    def sample(self, fit: Opened) -> AugmentedSample:
        return replace(fit.sample, panel=self.panel)

    def parts(self, fit: Opened, sample: AugmentedSample, estimate: Estimate) -> Parts:
        return Parts.of(estimate, Curvatures())  # no cluster is left out


def leads_beside(fit: Result, matrix: Floats, leads: Result, rows: Floats) -> tuple[Floats, Floats]:
    """Covariance of averages of a fit with coefficients of a fit on rows without treatment; and what labelling adds.

    Parameters
    ----------
    fit, leads : Result
        The rows of the second are among those of the first.
    matrix, rows : ndarray, shapes (k, p) and (l, q)
        What coefficients of each are multiplied by.

    Returns
    -------
    two ndarrays, shape (k, l)
    """
    assert fit.parts is not None
    assert leads.parts is not None
    units, every = fit.parts.units, np.arange(fit.parts.units.n_units)
    kept = leads.parts.units.kept
    at = every if kept is None else np.flatnonzero(kept if units.kept is None else kept[units.kept])
    both = joint_covariance([fit, leads], units, [every, at])
    p = len(fit.theta)
    errors = [one.within(units, where).scores.gold_parts(fit.vcov_kind, fit.target)[1] for one, where in (
        (fit.parts, every), (leads.parts, at),
    )]  # fmt: skip
    labelling = units.labelling.cross(errors[0] @ matrix.T, errors[1] @ rows.T)
    return matrix @ both[:p, p:] @ rows.T, labelling


def _panel(fit: Opened, cells: tuple[str, ...], unit: Any, period: Any, since: Floats) -> Panel:
    """Where the rows of a fit are."""
    columns = fit.matrix.spec.columns
    x = fit.matrix.observed
    assert x is not None
    units, unit_codes = np.unique(unit, return_inverse=True)
    periods, period_codes = np.unique(period, return_inverse=True)
    inside = x[:, [columns.index(name) for name in cells]]
    cell = np.where(since >= 0, inside.argmax(axis=1), -1)
    covariates = [j for j, name in enumerate(columns) if name not in cells and name != "Intercept"]
    return Panel(
        unit_codes.astype(np.intp), period_codes.astype(np.intp), cell.astype(np.intp), np.array(covariates, np.intp),
        units.tolist(), [f"{one:g}" for one in periods], tuple(cell_of(name) for name in cells),
    )  # fmt: skip


def _refuse_labelled_covariates(fit: Opened) -> None:
    if named := [label.name for label in fit.prepared.labels if label.in_covariates]:
        raise ArgumentError(
            f"method='imputation' takes a labelled outcome only, and surrogates= names the covariate {named[0]!r}: "
            "what a row counts must not depend on labels. Take it out, or use method='sunab'."
        )


def _refuse_covariances(fit: Opened, unit: Any) -> None:
    """Raise unless clusters hold whole units, and nothing is left out: effects of units drop out of their sums only."""
    kind, codes = fit.options.vcov, fit.prepared.units.cluster
    if kind not in ("CRV0", "CRV1"):
        raise ArgumentError(
            f"method='imputation' has no covariance {kind!r}, since leaving rows out also changes what is imputed; "
            "take vcov out, or give clusters that hold whole units: vcov={'CRV1': column}."
        )
    own = fit.prepared.units.of_units(np.asarray(unit))
    at = np.unique(own, return_inverse=True)[1]
    ways = np.atleast_2d(codes.T) if codes is not None else np.zeros((0, len(at)))
    for column in ways:
        first = np.zeros(int(at.max()) + 1, dtype=column.dtype)
        first[at] = column
        if (first[at] != column).any():
            raise ArgumentError(
                f"clusters {fit.prepared.units.cluster_name!r} split units, whose imputed outcomes hang together; give "
                "clusters that hold whole units, such as the unit itself."
            )
