"""Worst cases: what the missing labels could do to a coefficient.

All drawn rows have their design weight, whether or not their label is known. For each completion of the missing
labels the estimating equation has a root; the bounds are the smallest and largest coefficient over all
completions with labels between given limits. The gradient of coefficient j in the missing part is
``w v (J^-1 m(label))_j`` row by row, so the extreme completion takes, row by row, the label with the largest
(smallest) value. If only the outcome is labelled and the model is linear, J does not depend on the labels and one step
gives the sharp bounds (a function of a numeric label, say its absolute value, is tried on a fine grid, and then they
are sharp up to the grid). Otherwise the step is repeated until the labels stay, from several starts: a local
optimum. Manski (2003); intervals: Imbens and Manski (2004).
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ArgumentError, KaratError
from ..estimate.augment import AugmentedSample
from ..estimate.index import scores
from ..estimate.rows import Rows
from ..estimate.totals import linear_predictor
from ..frames.formula import row_by_row
from ..frames.table import as_float
from ..regression.design_matrix import with_columns
from ..regression.pipeline import Pieces, drawn_of

if TYPE_CHECKING:
    from .._core.types import Floats, Ints
    from ..regression.variables import Label

_ROUNDS = 50
_GRID = 5
"""Values tried for a numeric label that is a covariate: its moment is curved, so the worst may lie inside."""
_FINE_GRID = 101
"""Values tried for a numeric label of which the outcome is a function that may turn, besides those seen in gold."""
_STARTS = 32
"""Starts of the search, besides the estimate, where it may end in a local optimum."""


@dataclass(frozen=True)
class Bound:
    """Worst cases of one coefficient.

    Parameters
    ----------
    name : str
    low, high : float
        Smallest and largest estimate over all completions.
    se_low, se_high : float
    interval : (float, float)
        Covers the true coefficient with the level of the fit, whatever the missing labels are.
    """

    name: str
    low: float
    high: float
    se_low: float
    se_high: float
    interval: tuple[float, float]


@dataclass(frozen=True)
class _Completions:
    """Possible rows of the units without a label.

    Parameters
    ----------
    rows : tuple of Rows
        One per combination of label values; each holds the M units without an answer.
    silent : ndarray of int, shape (M,)
        Their positions among the drawn rows.
    answered : ndarray of int
        Positions of the others.
    """

    rows: tuple[Rows, ...]
    silent: Ints
    answered: Ints

    def sample(self, pieces: Pieces, choice: Ints) -> AugmentedSample:
        """The augmented sample with all drawn rows labelled: missing ones by choice."""
        gold, first = pieces.sample.gold, drawn_of(pieces.sample.units.labelling)
        n = len(self.silent) + len(self.answered)
        x, y = np.empty((n, gold.x.shape[1])), np.empty((n, *gold.y.shape[1:]))
        offset = None if gold.offset is None else np.empty(n)
        x[self.answered], y[self.answered] = gold.x, gold.y
        if offset is not None and gold.offset is not None:
            offset[self.answered] = gold.offset
        for c, rows in enumerate(self.rows):
            here = choice == c
            at = self.silent[here]
            x[at], y[at] = rows.x[here], rows.y[here]
            if offset is not None and rows.offset is not None:
                offset[at] = rows.offset[here]
        return replace(pieces.sample.drawn(first), gold=Rows(x, y, offset))


def worst_cases(pieces: Pieces, terms: tuple[str, ...], limits: Mapping[str, Any], alpha: float) -> tuple[Bound, ...]:
    """Bounds of coefficients over all labels the rows without an answer could have.

    Parameters
    ----------
    pieces : Pieces
    terms : tuple of str
    limits : mapping
        Numeric label -> (smallest, largest possible value).
    alpha : float

    Returns
    -------
    tuple of Bound
    """
    names = pieces.matrix.spec.names
    made = completions(pieces, limits)
    estimate, _, _ = pieces.again(pieces.sample)
    theta, psi = estimate.theta, np.linalg.inv(estimate.curvature)
    out = []
    for term in terms:
        j = names.index(term)
        low, se_low, df_low = _extreme(pieces, made, j, -1.0, theta, psi)
        high, se_high, df_high = _extreme(pieces, made, j, 1.0, theta, psi)
        interval = imbens_manski(low, high, se_low, se_high, min(df_low, df_high), alpha)
        out.append(Bound(term, low, high, se_low, se_high, interval))
    return tuple(out)


def is_sharp(pieces: Pieces) -> bool:
    """Whether the bounds are exact: no local optimum, and no function of a numeric label tried on a grid."""
    return _one_step(pieces) and not any(_grid(label, pieces) for label in pieces.prepared.labels)


def _one_step(pieces: Pieces) -> bool:
    """Whether the worst labels do not depend on the coefficients."""
    return pieces.model.linear and not any(label.in_covariates for label in pieces.prepared.labels)


def _grid(label: Label, pieces: Pieces) -> int:
    """Values tried for a numeric outcome, besides those seen in gold, where its worst may lie between the limits.

    That is so where the outcome is a function of the label. It is where a dispersion is estimated, which middling
    outcomes make small; counts seen in gold are enough there.
    """
    if label.classes or not label.in_outcome:
        return 0
    if pieces.prepared.parsed.outcome.strip("` ") != label.name:
        return _FINE_GRID
    return 2 if pieces.model.first is not None else 0


def imbens_manski(
    low: float, high: float, se_low: float, se_high: float, df: float, alpha: float
) -> tuple[float, float]:
    """Interval that covers a parameter known to lie between two estimated bounds.

    Source: Imbens and Manski (2004), equation 7; with t in place of normal quantiles.

    Examples
    --------
    Bounds that meet give the usual interval, bounds far apart a one-sided quantile at either end:

    >>> np.round(imbens_manski(0.0, 0.0, 1.0, 1.0, np.inf, 0.05), 3)
    array([-1.96,  1.96])
    >>> np.round(imbens_manski(0.0, 90.0, 1.0, 1.0, np.inf, 0.05), 3)
    array([-1.645, 91.645])
    """
    from scipy.optimize import brentq
    from scipy.stats import t

    gap = max(high - low, 0.0) / max(se_low, se_high, 1e-300)
    gap = min(gap, 1e6)
    critical = brentq(lambda c: t.cdf(c + gap, df) - t.cdf(-c, df) - (1 - alpha), 0.0, t.isf(alpha / 2, df) + 1.0)
    return float(low - critical * se_low), float(high + critical * se_high)


def completions(pieces: Pieces, limits: Mapping[str, Any]) -> _Completions:
    """Design rows of the units without an answer at every combination of label values that could be worst."""
    prepared, matrix = pieces.prepared, pieces.matrix
    first = drawn_of(prepared.units.labelling)
    answered = prepared.units.labelling.labelled[first.gold]
    silent = first.gold[~answered]
    labels = prepared.labels
    choices = [candidate_values(label, limits, _grid(label, pieces)) for label in labels]
    local = row_by_row(prepared.parsed)
    frame = prepared.frame.iloc[silent].reset_index(drop=True) if local else prepared.frame
    m = len(silent) if local else prepared.n_rows
    offset = None if matrix.offset is None else matrix.offset[silent]
    rows = []
    for values in itertools.product(*choices):
        columns = {label.name: label.column(value, m) for label, value in zip(labels, values)}
        filled = with_columns(frame, columns, m)
        if matrix.observed is not None:
            x = matrix.observed[silent]
        else:
            x = matrix.spec.x(filled, prepared.context)
            x = x if local else x[silent]
        y = matrix.spec.y(filled, prepared.context)
        rows.append(Rows(x, y if local else y[silent], offset))
    return _Completions(tuple(rows), np.flatnonzero(~answered), np.flatnonzero(answered))


def candidate_values(label: Label, limits: Mapping[str, Any], grid: int = 0) -> list[Any]:
    """Values of a label among which the worst is sought: classes, or numbers between the limits.

    With ``grid`` so many of them, and those seen in gold (of many, as many as a fine grid has).
    """
    if label.classes:
        return list(label.classes)
    low, high = limits_of(label, limits)
    if low == high:
        return [low]
    if grid:
        seen = np.unique(as_float(label.gold.dropna(), label.name, "gold"))
        some = np.unique(np.linspace(0, len(seen) - 1, min(len(seen), _FINE_GRID)).round().astype(np.intp))
        return np.union1d(np.linspace(low, high, grid), seen[some]).tolist()
    return [low, high] if not label.in_covariates else np.linspace(low, high, _GRID).tolist()


def limits_of(label: Label, limits: Mapping[str, Any]) -> tuple[float, float]:
    """Smallest and largest possible value of a numeric label; those seen in gold unless given."""
    values = as_float(label.gold.dropna(), label.name, "gold")
    low, high = float(values.min()), float(values.max())
    if label.name not in limits:
        return low, high
    try:
        given = tuple(float(v) for v in limits[label.name])
    except (TypeError, ValueError):
        given = ()
    if len(given) != 2 or not given[0] < given[1]:
        raise ArgumentError(
            f"limits[{label.name!r}]={limits[label.name]!r} is not allowed; give (smallest, largest) possible value."
        )
    if given[0] > low or given[1] < high:
        raise ArgumentError(
            f"limits[{label.name!r}]={limits[label.name]!r}, but gold runs from {low:g} to {high:g}; widen the limits."
        )
    return given[0], given[1]


def _extreme(
    pieces: Pieces, made: _Completions, j: int, sign: float, theta: Floats, inverse: Floats
) -> tuple[float, float, float]:
    """Largest (or smallest) coefficient j over completions, with its standard error and degrees of freedom."""
    best: tuple[float, float, float] | None = None
    starts: list[Ints | None] = [None]
    if not _one_step(pieces):
        several = np.unique(np.linspace(0, len(made.rows) - 1, min(len(made.rows), _STARTS)).round().astype(np.intp))
        starts += [np.full(len(made.silent), c) for c in several]
    seen: set[bytes] = set()
    for start in starts:
        choice = start if start is not None else _choose(pieces, made, j, sign, theta, inverse)
        for _ in range(_ROUNDS):
            key = choice.tobytes()
            if key in seen:
                break
            seen.add(key)
            try:
                estimate, covariance, df = pieces.again(made.sample(pieces, choice))
            except KaratError:  # a completion that separates or empties a class has no finite root
                break
            found = float(estimate.theta[j]), float(np.sqrt(max(covariance.total[j, j], 0.0))), float(df[j])
            if best is None or sign * found[0] > sign * best[0]:
                best = found
            choice = _choose(pieces, made, j, sign, estimate.theta, np.linalg.inv(estimate.curvature))
    if best is None:
        raise KaratError(
            "no completion of the missing labels gives a regression that can be solved, so there are no bounds; "
            "use a simpler formula, or have more labelled."
        )
    return best


def _choose(pieces: Pieces, made: _Completions, j: int, sign: float, theta: Floats, inverse: Floats) -> Ints:
    """Row by row, the label that moves coefficient j farthest."""
    value = np.empty((len(made.rows), len(made.silent)))
    for c, rows in enumerate(made.rows):
        score, _ = pieces.model.evaluate(linear_predictor(pieces.model, rows, theta), rows.y)
        value[c] = sign * scores(rows.x, score, pieces.model.first) @ inverse[j]
    return np.asarray(value.argmax(axis=0))
