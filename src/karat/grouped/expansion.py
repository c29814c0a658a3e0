"""From unit means and a formula to the rows of a corrected regression."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..errors import ArgumentError, FormulaError, KaratError
from ..frames.matrices import MatrixSpec
from .corrected import MeasuredRows

if TYPE_CHECKING:
    import pandas as pd

    from .._core.types import Floats
    from ..frames.formula import Parsed
    from ..regression.design_matrix import Prepared
    from .means import UnitMeans

_LEVERAGE = 0.95
"""Share of a unit in its own prediction beyond which the mean prediction of its documents is taken."""


def measured_rows(
    people: UnitMeans, prepared: Prepared, used: list[str], outcome: str | None
) -> tuple[MatrixSpec, MeasuredRows]:
    """Rows of the units, and the formula that makes them.

    Parameters
    ----------
    people : Aggregate
        Units that are used.
    prepared : Prepared
    used : list of str
        Means among the covariates.
    outcome : str or None
        The mean that is the outcome.

    Returns
    -------
    MatrixSpec
    MeasuredRows

    Raises
    ------
    FormulaError
        If a row is not linear in a mean.
    """
    parsed = prepared.parsed
    if touched := sorted(parsed.offset_variables & set(people.labels)):
        raise ArgumentError(f"the offset uses the unit mean {touched[0]!r}; an offset must be known without noise.")
    if coded := sorted(parsed.coded & set(people.labels)):
        raise _not_linear(parsed, coded)
    at = [people.labels.index(label) for label in used]
    context, frame = prepared.context, prepared.frame
    means = people.means[:, at]
    filled = frame.assign(**dict.fromkeys(used, np.linspace(0.25, 0.75, len(means))))  # no formula fails on these
    spec, _ = MatrixSpec.learn(parsed, filled, context)
    x, slope = _linear(spec, frame, used, people.predicted[:, at], context)
    centre = _centre(means, people.predicted[:, at], x, np.diagonal(people.pooled, axis1=1, axis2=2)[:, at])
    x = x + np.einsum("cpq,cq->cp", slope, centre - people.predicted[:, at])
    shared = np.zeros_like(means) if outcome is None else people.own[:, at, people.labels.index(outcome)]
    weight = prepared.units.weights
    rows = MeasuredRows(
        x=x, slope=slope, gap=means - centre, noise=people.own[:, at][:, :, at], y=spec.y(frame, context),
        shared=shared, weight=np.ones(len(x)) if weight is None else weight, offset=spec.offset(frame, context),
    )  # fmt: skip
    return spec, rows


def _centre(means: Floats, predicted: Floats, x: Floats, variance: Floats) -> Floats:
    """Predictions of the means that do not use the draw in the unit: regressions on mean predictions and covariates.

    Each unit is predicted without itself. A mean without noise is its own prediction.
    """
    if not means.size:
        return means
    known = np.column_stack([np.ones(len(x)), x])
    size = np.sqrt((known**2).sum(axis=0))
    left, values, _ = np.linalg.svd(known / np.where(size > 0, size, 1.0), full_matrices=False)
    left = left[:, values > 1e-10 * values[0]]
    own = (left**2).sum(axis=1)[:, None]
    without = (left @ (left.T @ means) - own * means) / (1.0 - np.minimum(own, _LEVERAGE))
    return np.where(variance <= 0, means, np.where(own > _LEVERAGE, predicted, without))


def _linear(
    spec: MatrixSpec, frame: pd.DataFrame, used: list[str], at: Floats, context: object
) -> tuple[Floats, Floats]:
    """Rows at given means, and how they move with each; checked row by row."""
    given = dict(zip(used, at.T))
    half = np.arange(len(at)) % 2 == 0

    def rows(**moved: Floats | float) -> Floats:
        columns = {label: values + moved.get(label, 0.0) for label, values in given.items()}
        try:
            return spec.x(frame.assign(**columns), context)  # type: ignore[arg-type]
        except (KaratError, Warning):
            raise _not_linear(spec.parsed, list(moved) or used) from None

    x = rows()
    slope = np.zeros((*x.shape, len(used)))
    for j, label in enumerate(used):
        first, second = rows(**{label: half * 1.0}) - x, rows(**{label: ~half * 1.0}) - x
        slope[:, :, j] = first + second
        rounding = 1e-9 * (np.abs(x) + np.abs(slope[:, :, j]) + 1e-300)
        local = (np.abs(first[~half]) <= rounding[~half]).all() and (np.abs(second[half]) <= rounding[half]).all()
        straight = (np.abs(rows(**{label: 2.0}) - x - 2.0 * slope[:, :, j]) <= 4.0 * rounding).all()
        if not (local and straight):
            raise _not_linear(spec.parsed, [label])
        for k, other in enumerate(used[:j]):
            both = rows(**{label: 1.0, other: 1.0}) - x - slope[:, :, j] - slope[:, :, k]
            if (np.abs(both) > 4.0 * rounding).any():
                raise _not_linear(spec.parsed, [other, label])
    return x, slope


def _not_linear(parsed: Parsed, labels: list[str]) -> FormulaError:
    return FormulaError(
        f"{parsed.text!r} is not linear in {' and '.join(map(repr, labels))}: squares, logarithms, categories and "
        "products of unit means have noise that cannot be taken out. Use the mean itself, a multiple of it, or its "
        "product with a covariate that has no noise."
    )
