"""Instruments: rows whose endogenous covariates are predicted by a first stage on the rows of an estimator.

With z the instruments and exogenous covariates of a row and x its covariates, the score of two-stage least squares is
``(z Pi)' (y - x b)``, ``Pi = (sum w z'z)^-1 sum w z'x`` over the rows of the estimator. Pi is held fixed in the scores:
where instruments are valid it adds nothing to first order (methods, section 8.4).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ..errors import DataError
from .basis import check_rank, design_of
from .rows import Instruments, Memory, Rows, in_memory

if TYPE_CHECKING:
    from .._core.types import Floats
    from .augment import AugmentedSample


def first_stage_rows(sample: AugmentedSample, column: int | None) -> AugmentedSample:
    """A sample for the regression of a column, or of the outcome (None), on exogenous covariates and instruments."""
    roles = sample.instruments
    assert roles is not None

    def of(rows: Rows) -> Rows:
        if column is None:
            return replace(rows, x=rows.x[:, roles.left])
        return Rows(rows.x[:, roles.left], rows.x[:, column], None, rows.share, rows.effect)

    predicted = Memory(tuple(of(rows) for rows in in_memory(sample.predicted, "a formula with instruments")))
    names = tuple(sample.names[j] for j in roles.left) if sample.names else ()
    return replace(sample, gold=of(sample.gold), predicted=predicted, names=names, instruments=None)


def projected(sample: AugmentedSample, kind: str) -> AugmentedSample:
    """Rows with covariates as instruments predict them on the left.

    Parameters
    ----------
    sample : AugmentedSample
        Fixed effects taken out.
    kind : {"gold", "gold everywhere", "surrogate", "all"}
        The rows that estimate the first stage.

    Returns
    -------
    AugmentedSample
        The sample itself where there are no instruments.

    Raises
    ------
    DataError
        If instruments are collinear, or do not tell the endogenous covariates from the others.
    """
    roles = sample.instruments
    if roles is None:
        return sample
    from_gold, where = kind.startswith("gold"), "gold rows" if kind.startswith("gold") else "rows"
    stage = first_stage_rows(sample, None)
    basis = check_rank(*_design(stage, from_gold), stage.names, where)
    pi = _first_stage(sample, roles, basis, kind)
    own = {int(j): k for k, j in enumerate(roles.endogenous)}

    def of(rows: Rows) -> Rows:
        z = rows.x[:, roles.left]
        fitted = (z if basis is None else z @ basis) @ pi
        left = np.empty((len(rows.y), len(roles.right)), order="F")
        for k, j in enumerate(roles.right):
            left[:, k] = fitted[:, own[int(j)]] if int(j) in own else rows.x[:, j]
        return replace(rows, x=rows.x[:, roles.right], left=left)

    predicted = Memory(tuple(of(rows) for rows in in_memory(sample.predicted, "a formula with instruments")))
    names = tuple(sample.names[j] for j in roles.right) if sample.names else ()
    out = replace(sample, gold=of(sample.gold), predicted=predicted, names=names, taken_out=True)
    moved = replace(
        out, gold=_by_itself(out.gold), predicted=Memory(tuple(_by_itself(rows) for rows in predicted.rows))
    )
    try:
        check_rank(*_design(moved, from_gold), names, where)
    except DataError:
        endogenous = [sample.names[j] if sample.names else f"column {j}" for j in roles.endogenous]
        raise DataError(
            f"the instruments do not move {', '.join(endogenous)} apart from the other covariates in the {where}; use "
            "instruments that do, one for each endogenous covariate at least."
        ) from None
    return out


def _by_itself(rows: Rows) -> Rows:
    return replace(rows, x=rows.scored, left=None)


def _design(sample: AugmentedSample, from_gold: bool) -> tuple[Floats, Floats | None]:
    return (sample.gold.x, sample.units.gold_weight) if from_gold else design_of(sample)


def _first_stage(sample: AugmentedSample, roles: Instruments, basis: Floats | None, kind: str) -> Floats:
    """Coefficients of the endogenous covariates on ``z T``, shape (L, number of endogenous covariates)."""
    gold, v = (sample.gold, sample.units.gold_weight), sample.units.weights
    parts: list[tuple[Rows, Floats | None]] = [] if kind == "surrogate" else [gold]
    if not kind.startswith("gold"):
        for rows in in_memory(sample.predicted, "a formula with instruments"):
            parts.append((rows, v))
            if kind == "all":
                parts.append((rows.take(sample.units.gold), -sample.units.gold_weight))
    gram = np.zeros((len(roles.left),) * 2)
    cross = np.zeros((len(roles.left), len(roles.endogenous)))
    for rows, weight in parts:
        z = rows.x[:, roles.left]
        z = z if basis is None else z @ basis
        own = rows.weight(weight)
        weighted = z if own is None else z * own[:, None]
        gram += weighted.T @ z
        cross += weighted.T @ rows.x[:, roles.endogenous]
    return np.asarray(np.linalg.solve(gram, cross))
