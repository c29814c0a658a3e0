"""What is averaged: predictions with covariates set, differences and slopes, each a sum of weighted predictions."""

from __future__ import annotations

import itertools
import math
import numbers
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ArgumentError
from ..frames.kinds import is_number
from ..frames.table import as_float

if TYPE_CHECKING:
    from .._core.types import Floats
    from .opened import OpenedFit

_STEP, _SHORTEST = 1e-3, 1e-3
"""Step of a slope, as a share of the size of a value (at most a standard deviation, at least this share of one)."""

_MOST = 1000
_CONTRASTS = ("reference", "sequential", "pairwise")


@dataclass(frozen=True)
class Variable:
    """A covariate.

    Parameters
    ----------
    name : str
    levels : tuple
        Categories, or 0 and 1; empty for a number.
    deviation : float
        Standard deviation of a number.
    coded : bool
        Whether the levels are categories in the formula, so that no other value has a meaning.
    """

    name: str
    levels: tuple[Any, ...] = ()
    deviation: float = 1.0
    coded: bool = False

    @classmethod
    def of(cls, fit: OpenedFit, name: object, argument: str) -> Variable:
        """Read a covariate of the fit.

        Raises
        ------
        ArgumentError
            If it is none.
        """
        if name not in fit.covariates:
            raise ArgumentError(
                f"{argument} names {name!r}, which is not a covariate of {fit.result.formula!r}; there are "
                f"{fit.covariates}."
            )
        name, label, prepared = str(name), fit.label(str(name)), fit.opened.prepared
        if label is not None:
            if label.classes:
                return cls(name, label.classes, coded=label.coded)
            return cls(name, (), float(np.std(label.gold.dropna())) or 1.0)
        column = prepared.frame[name]
        if name in fit.opened.matrix.spec.categories or name in prepared.parsed.coded:
            present = column.unique().tolist()
            known = getattr(column.dtype, "categories", None)
            key: Any = None if all(map(is_number, present)) else str
            levels = sorted(present, key=key) if known is None else [value for value in known if value in present]
            return cls(name, tuple(levels), coded=True)
        values = as_float(column, name, "covariate")
        if np.isin(values, (0.0, 1.0)).all():
            return cls(name, (0, 1))
        return cls(name, (), float(values.std()) or 1.0)

    def level(self, value: object, argument: str) -> Any:
        """A value that the covariate can take.

        Raises
        ------
        ArgumentError
            If it is not a number, or none of the categories.
        """
        if self.levels:
            found = next((level for level in self.levels if level == value), None)
            if found is None and (self.coded or not _is_real(value)):
                raise ArgumentError(f"{argument}: {value!r} is not a value of {self.name!r}; there are {self.levels}.")
            return value if found is None else found
        if not _is_real(value):
            raise ArgumentError(f"{argument}: {value!r} is not a number, and {self.name!r} holds numbers.")
        return float(value)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Quantity:
    """A number of each unit: weighted predictions at covariates that are set or moved.

    Parameters
    ----------
    variable, contrast : str
        What the row is; empty for predictions.
    name : str
        What it is called.
    at : mapping
        Values set for all units.
    moved : str
        Covariate that is moved from its own value (or the one set); empty for none.
    points : callable
        From the values of that covariate to pairs of changes (by covariate) and weights.
    """

    variable: str
    contrast: str
    name: str
    at: Mapping[str, Any]
    moved: str = ""
    points: Callable[[Any], Iterator[tuple[dict[str, Any], Any]]] = field(default=lambda _: iter([({}, 1.0)]))

    @property
    def fixed(self) -> set[str]:
        """Covariates whose own value does not matter."""
        names = [set(changes) for changes, _ in self.points(np.zeros(1))] if not self.moved else [set()]
        return set(self.at) | set.intersection(*map(set, names))


def predicted(fit: OpenedFit, at: Mapping[str, Any] | None) -> list[tuple[Quantity, ...]]:
    """The prediction itself, for each combination of values of ``at``."""
    return [(Quantity("", "", "", values),) for values in combinations(fit, at)]


def slope(variable: Variable, at: Mapping[str, Any]) -> Quantity:
    """The derivative in a number, by central differences of two lengths (Richardson's extrapolation)."""

    def points(values: Any) -> Iterator[tuple[dict[str, Any], Any]]:
        x: Floats = np.asarray(values, dtype=np.float64)
        step = _STEP * np.clip(np.abs(x), _SHORTEST * variable.deviation, variable.deviation)
        for times, weight in ((0.5, 4.0 / 3.0), (-0.5, -4.0 / 3.0), (1.0, -1.0 / 6.0), (-1.0, 1.0 / 6.0)):
            yield {variable.name: x + times * step}, weight / step

    return Quantity(variable.name, "dy/dx", variable.name, at, variable.name, points)


def changes(
    variable: Variable, wanted: object, at: Mapping[str, Any], ratio: bool = False, short: bool = False
) -> list[tuple[Quantity, ...]]:
    """Changes of a covariate: of each category against the first, from 0 to 1, by a step, or between two values.

    As one quantity, the difference; or as the two that a ratio compares. ``short`` leaves "1 - 0" out of the name.
    """
    sign = "/" if ratio else "-"

    def called(contrast: str) -> str:
        return variable.name if short and not variable.coded else f"{variable.name}[{contrast}]"

    if not variable.levels and (wanted is None or _is_real(wanted)):
        step = 1.0 if wanted is None else float(wanted)  # type: ignore[arg-type]

        def moved(by: float) -> Callable[[Any], Iterator[tuple[dict[str, Any], Any]]]:
            return lambda x: iter([({variable.name: np.asarray(x, dtype=np.float64) + by}, 1.0)])

        def both(x: Any) -> Iterator[tuple[dict[str, Any], Any]]:
            yield from moved(step)(x)
            yield {}, -1.0

        sides = (moved(step), moved(0.0)) if ratio else (both,)
        told = f"{step:+g}"
        return [tuple(Quantity(variable.name, told, called(told), at, variable.name, side) for side in sides)]
    out = []
    for low, high in _pairs(variable, wanted):
        up, down = ({variable.name: high}, 1.0), ({variable.name: low}, 1.0)
        found = ((up,), (down,)) if ratio else ((up, (down[0], -1.0)),)
        told = f"{shown(high)} {sign} {shown(low)}"
        out.append(tuple(Quantity(variable.name, told, called(told), at, "", _always(side)) for side in found))
    return out


def _pairs(variable: Variable, wanted: object) -> list[tuple[Any, Any]]:
    """Pairs of values to compare, the lower one first.

    Raises
    ------
    ArgumentError
    """
    name, levels = f"variables={{{variable.name!r}: ...}}", variable.levels
    if isinstance(wanted, (list, tuple)) and len(wanted) == 2:
        low, high = (variable.level(value, name) for value in wanted)
        return [(low, high)]
    if levels and (wanted is None or (isinstance(wanted, str) and wanted in _CONTRASTS)):
        if wanted == "pairwise":
            return list(itertools.combinations(levels, 2))
        if wanted == "sequential":
            return list(itertools.pairwise(levels))
        return [(levels[0], level) for level in levels[1:]]
    allowed = f"one of {', '.join(map(repr, _CONTRASTS))}" if levels else "a step"
    raise ArgumentError(f"{name}: {wanted!r} is not allowed; give {allowed}, or a pair (low, high).")


def combinations(fit: OpenedFit, at: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """All combinations of the values set; one that sets nothing where there are none.

    Raises
    ------
    ArgumentError
    """
    if at is None:
        return [{}]
    if not isinstance(at, Mapping) or not at:
        raise ArgumentError(f"at={at!r} is not allowed; give values by covariate, such as at={{'x': [0, 1]}}.")
    grids = []
    for name, values in at.items():
        variable = Variable.of(fit, name, "at=")
        several = values if isinstance(values, (list, tuple, np.ndarray)) else [values]
        if not len(several):
            raise ArgumentError(f"at={{{name!r}: ...}} holds no value; give one, or a list.")
        grids.append([(variable.name, variable.level(value, f"at={{{name!r}: ...}}")) for value in several])
    if np.prod([len(grid) for grid in grids], dtype=float) > _MOST:
        raise ArgumentError(f"at= makes more than {_MOST} combinations; give fewer values.")
    return [dict(one) for one in itertools.product(*grids)]


def variables_of(fit: OpenedFit, given: object, steps: bool) -> list[tuple[Variable, object]]:
    """The covariates asked for, each with what was said of it.

    Raises
    ------
    ArgumentError
    """
    if given is None:
        given = fit.covariates
    if isinstance(given, str):
        given = [given]
    if isinstance(given, Mapping) and steps and given:
        return [(Variable.of(fit, name, "variables="), wanted) for name, wanted in given.items()]
    if not isinstance(given, (list, tuple)) or not given:
        more = ", or a mapping such as {'x': (1, 3)}" if steps else ""
        raise ArgumentError(f"variables={given!r} is not allowed; name covariates of {fit.covariates}{more}.")
    return [(Variable.of(fit, name, "variables="), None) for name in given]


def _always(points: tuple[tuple[dict[str, Any], float], ...]) -> Callable[[Any], Iterator[tuple[dict[str, Any], Any]]]:
    return lambda _: iter(points)


def _is_real(value: object) -> bool:
    return isinstance(value, numbers.Real) and math.isfinite(value)


def shown(value: Any) -> str:
    """A value as names of rows have it."""
    return f"{value:g}" if _is_real(value) else str(value)
