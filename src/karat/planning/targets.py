"""Targets, and the number of gold labels that reaches them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import ArgumentError, number
from .basis import MEASURES

if TYPE_CHECKING:
    from .basis import Basis


@dataclass(frozen=True)
class Target:
    """A figure that one coefficient or contrast is to reach.

    Parameters
    ----------
    term : str
    measure : {"se", "half_width", "mde"}
    value : float
    """

    term: str
    measure: str
    value: float


@dataclass(frozen=True)
class Needed:
    """Gold labels for a target.

    Parameters
    ----------
    target : Target
    n : int or None
        Gold rows; None when all rows would not do.
    low, high : int or None
        Ends of the interval for n; ``high`` is None when the pilot cannot rule out that the target is out of reach.
    best : float
        Figure with every row labelled.
    best_low, best_high : float
    """

    target: Target
    n: int | None
    low: int | None
    high: int | None
    best: float
    best_low: float
    best_high: float

    @property
    def reachable(self) -> bool:
        """Whether labelling can reach the target."""
        return self.n is not None


def read_targets(given: object, names: tuple[str, ...]) -> tuple[Target, ...]:
    """Targets as the user typed them.

    Parameters
    ----------
    given : mapping or None
        ``{"war": {"half_width": 0.05}}``, or ``{"se": 0.1}`` for every coefficient but the intercept.
    names : tuple of str
        Coefficients and contrasts.

    Returns
    -------
    tuple of Target

    Raises
    ------
    ArgumentError
        Naming the entry that cannot be read.

    Examples
    --------
    >>> read_targets({"war": {"half_width": 0.05}}, ("Intercept", "war"))
    (Target(term='war', measure='half_width', value=0.05),)
    """
    if given is None:
        return ()
    if not isinstance(given, Mapping) or not given:
        raise ArgumentError(
            f"target={given!r} cannot be read; write for example target={{'war': {{'half_width': 0.05}}}}."
        )
    if set(given) <= set(MEASURES) and not set(given) & set(names):
        every = [name for name in names if name not in ("Intercept", "Mean")] or list(names)
        given = {name: dict(given) for name in every}
    found = []
    for term, wanted in given.items():
        if term not in names:
            raise ArgumentError(
                f"target names {term!r}, which is not a coefficient or contrast of this plan; there are {list(names)}. "
                "A contrast such as 'war - economy' goes into contrasts= as well."
            )
        if not isinstance(wanted, Mapping) or not wanted or not set(wanted) <= set(MEASURES):
            raise ArgumentError(
                f"target[{term!r}]={wanted!r} must name one or more of {list(MEASURES)}, for example "
                f"{{'half_width': 0.05}}."
            )
        for measure, value in wanted.items():
            found.append(Target(str(term), measure, number(f"target[{term!r}][{measure!r}]", value, above=0)))
    return tuple(found)


def needed(basis: Basis, target: Target) -> Needed:
    """Smallest gold size that reaches a target, with its interval, by bisection on whole numbers."""
    index = basis.names.index(target.term)
    least, most = max(basis.scheme.least, basis.profile.reporting.width + 5), basis.most

    def figure(n: int) -> Any:
        return [part[index] for part in basis.at(n).measure(target.measure)]

    best = figure(most)

    def smallest(which: int) -> int | None:
        if not best[which] <= target.value:
            return None
        low, high = least - 1, most
        while high - low > 1:
            middle = (low + high) // 2
            if figure(middle)[which] <= target.value:
                high = middle
            else:
                low = middle
        return high

    return Needed(target, smallest(0), smallest(1), smallest(2), *(float(value) for value in best))
