"""Tilted answers: rows without an answer that differ from like rows that answered.

For each gamma the odds of non-response are multiplied by ``exp(gamma f)``, f a function of the label, and
calibrated anew (see :func:`karat.designs.response.tilted`). The coefficient is followed over gamma, with its interval;
where it changes sign or significance is found by bisection.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..designs.response import Response, as_response, tilted
from ..errors import ArgumentError, KaratError
from ..frames import Table
from ..frames.table import as_float
from ..regression.pipeline import Pieces

if TYPE_CHECKING:
    from .._core.types import Floats
    from ..regression.variables import Label

_BISECTIONS = 14


@dataclass(frozen=True)
class Curve:
    """Coefficients as a function of gamma.

    Parameters
    ----------
    f : str
        What is tilted by, in words; ``exp(gamma)`` multiplies the odds of non-response for each unit of it.
    gamma : ndarray, shape (G,)
    theta, se, df : ndarray, shape (G, p)
        NaN where the equation has no root.
    silent_mean : ndarray, shape (G,)
        Mean of f that gamma implies among the rows without an answer.
    answered_mean : float
        Weighted mean of f among the rows that answered.
    """

    f: str
    gamma: Floats
    theta: Floats
    se: Floats
    df: Floats
    silent_mean: Floats
    answered_mean: float


@dataclass(frozen=True)
class Flip:
    """The gamma nearest to 0 at which a conclusion about a coefficient changes.

    Parameters
    ----------
    name : str
    what : {"sign", "significance"}
    gamma : float
        NaN if none within the range looked at.
    silent_mean, answered_mean : float
        Mean of f among rows without an answer there, and among the rows that answered.
    """

    name: str
    what: str
    gamma: float
    silent_mean: float
    answered_mean: float


def tilt_variable(pieces: Pieces, given: object, table: Table) -> tuple[str, Floats]:
    """Name and values of f for the gold rows.

    Parameters
    ----------
    pieces : Pieces
    given : str, mapping, array_like or None
        A label; ``{label: class}``; or values for all rows of the data, of which those of gold rows are used. None is
        the labelled outcome if there is one, else the first labelled covariate.
    table : Table
        The data.

    Returns
    -------
    name : str
    values : ndarray, shape (n,)
        Numbers in standard deviations about their mean; 0 and 1 for a class.
    """
    prepared = pieces.prepared
    gold = prepared.units.gold
    labels = {label.name: label for label in prepared.labels}
    if given is None:
        first = prepared.outcome_label or prepared.labels[0]
        given = first.name if not first.coded else {first.name: first.classes[-1]}
    if isinstance(given, str):
        if given not in labels:
            raise ArgumentError(f"tilt={given!r} is not a labelled variable; there are {list(labels)}.")
        return _of_label(labels[given], None, gold)
    if isinstance(given, Mapping):
        if len(given) != 1 or next(iter(given)) not in labels:
            raise ArgumentError(f"tilt={given!r} must map one labelled variable to one of its classes.")
        name, value = next(iter(given.items()))
        return _of_label(labels[name], value, gold)
    values = table.values(given, "tilt")
    values = as_float(prepared.units.of_units(values), "tilt", "tilt")[gold]
    if not np.isfinite(values).all():
        raise ArgumentError("tilt is missing in gold rows; give a value for each of them.")
    return "tilt", values


def _of_label(label: Label, value: Any, gold: Any) -> tuple[str, Floats]:
    if value is None and label.coded:
        raise ArgumentError(
            f"{label.name!r} has classes; say which the tilt is about: tilt={{{label.name!r}: {label.classes[-1]!r}}}."
        )
    if value is None:
        numbers = as_float(label.gold.iloc[gold], label.name, "gold")
        if label.classes:
            return label.name, numbers
        sd = float(numbers.std())
        if sd == 0:
            raise ArgumentError(f"{label.name!r} does not vary in the gold, so there is nothing to tilt by.")
        return f"{label.name} (in standard deviations)", (numbers - numbers.mean()) / sd
    if value not in label.classes:
        raise ArgumentError(f"tilt: {value!r} is not a class of {label.name!r}; there are {list(label.classes)}.")
    codes = label.gold_codes(gold)
    return f"{label.name} = {value}", (codes == label.classes.index(value)).astype(np.float64)


class Tilting:
    """Evaluates a fit at any gamma, and remembers.

    Parameters
    ----------
    pieces : Pieces
    f : ndarray, shape (n,)
    """

    def __init__(self, pieces: Pieces, f: Floats) -> None:
        labelling = pieces.prepared.units.labelling
        self.pieces, self.f = pieces, f
        self.base = labelling if isinstance(labelling, Response) else as_response(labelling)
        self._known: dict[float, tuple[Floats, Floats, Floats, float]] = {}

    def at(self, gamma: float) -> tuple[Floats, Floats, Floats, float]:
        """Coefficients, standard errors, degrees of freedom, and the mean of f among rows without an answer."""
        if gamma not in self._known:
            self._known[gamma] = self._evaluate(gamma)
        return self._known[gamma]

    def _evaluate(self, gamma: float) -> tuple[Floats, Floats, Floats, float]:
        p = len(self.pieces.matrix.spec.names)
        nothing = np.full(p, np.nan)
        try:
            labelling = tilted(self.base, gamma * self.f)
            estimate, covariance, df = self.pieces.again(self.pieces.sample.drawn(labelling))
        except KaratError:
            return nothing, nothing, nothing, float("nan")
        odds = labelling.first_weight * (1.0 / labelling.response[labelling.labelled] - 1.0)
        se = np.sqrt(np.maximum(np.diag(covariance.total), 0.0))
        return estimate.theta, se, df, float(odds @ self.f / odds.sum())

    @property
    def answered_mean(self) -> float:
        """Weighted mean of f among the rows that answered."""
        w = self.base.first_weight
        return float(w @ self.f / w.sum())

    def curve(self, name: str, gamma: Floats) -> Curve:
        """Coefficients over a grid."""
        found = [self.at(float(g)) for g in gamma]
        theta, se, df = (np.array([item[k] for item in found]) for k in range(3))
        return Curve(name, gamma, theta, se, df, np.array([item[3] for item in found]), self.answered_mean)

    def flips(self, curve: Curve, names: tuple[str, ...], alpha: float) -> tuple[Flip, ...]:
        """Nearest gamma at which the sign, and significance, of each coefficient changes."""
        out = []
        for j, name in enumerate(names):
            for what, margin in (("sign", _sign), ("significance", _significance)):
                gamma = self._nearest(curve, j, margin, alpha)
                silent = float("nan") if np.isnan(gamma) else self.at(gamma)[3]
                out.append(Flip(name, what, gamma, silent, curve.answered_mean))
        return tuple(out)

    def _nearest(self, curve: Curve, j: int, margin: Any, alpha: float) -> float:
        """Zero of a margin that is nearest to gamma = 0, walking outwards on the grid."""

        def value(gamma: float) -> float:
            theta, se, df, _ = self.at(gamma)
            return float(margin(theta[j], se[j], df[j], alpha))

        grid = curve.gamma
        middle = int(np.argmin(np.abs(grid)))
        found = []
        for step in (1, -1):
            k = middle
            while 0 <= k + step < len(grid):
                a, b = value(float(grid[k])), value(float(grid[k + step]))
                if np.isnan(a) or np.isnan(b):
                    break
                if (a > 0) != (b > 0):
                    found.append(_bisect(value, float(grid[k]), float(grid[k + step])))
                    break
                k += step
        return min(found, key=abs) if found else float("nan")


def _bisect(value: Any, a: float, b: float) -> float:
    side = value(a) > 0
    for _ in range(_BISECTIONS):
        middle = 0.5 * (a + b)
        if (value(middle) > 0) == side:
            a = middle
        else:
            b = middle
    return 0.5 * (a + b)


def _sign(theta: float, se: float, df: float, alpha: float) -> float:
    return theta


def _significance(theta: float, se: float, df: float, alpha: float) -> float:
    from scipy.stats import t

    return abs(theta) - float(t.isf(alpha / 2, df)) * se
