"""How a Result was made: the arguments of the fit, without the data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Call:
    """Arguments of a fit, so that it can be made again on the same or on masked data.

    Parameters
    ----------
    model, formula : str
    arguments : dict
        Further arguments of :func:`karat.regress`, without the design. Names of columns and settings only.
    left_out : tuple of str
        Arguments that held values of the data (arrays) or functions; whoever repeats the fit gives them again.
    design : Design or None
        The design as the user wrote it, without the sample drawn from it.
    """

    model: str
    formula: str
    arguments: Mapping[str, Any] = field(repr=False)
    left_out: tuple[str, ...] = ()
    design: Any = field(default=None, repr=False)

    @classmethod
    def of(cls, model: str, formula: str, arguments: Mapping[str, Any], design: object = None) -> Call:
        """Remember arguments; values of the data are named, not kept.

        Examples
        --------
        >>> Call.of("ols", "y ~ x", {"cluster": np.zeros(3), "alpha": 0.1}).left_out
        ('cluster',)
        """
        kept = {name: value for name, value in arguments.items() if _is_setting(name, value)}
        return cls(model, formula, kept, tuple(name for name in arguments if name not in kept), _written(design))

    def seeded(self, seed: Any) -> Call:
        """The same call with the seed that was used, where it is a number.

        Examples
        --------
        >>> Call.of("ols", "y ~ x", {"seed": None}).seeded(7).arguments["seed"]
        7
        """
        return replace(self, arguments={**self.arguments, "seed": seed}) if _is_setting("seed", seed) else self


def _is_setting(name: str, value: Any) -> bool:
    """Whether a value is a name or a setting rather than data, a function or a stream of random numbers."""
    if value is None or isinstance(value, (str, bool, int, float, np.number)):
        return True
    if isinstance(value, (list, tuple)):
        return all(isinstance(item, str) or (isinstance(item, Mapping) and _is_setting("", item)) for item in value)
    if isinstance(value, Mapping):
        return all(_is_setting("", item) for item in value.values())
    return name == "learner" and hasattr(value, "get_params")


def _written(design: Any) -> Any:
    """The design without the draw; None where it holds probabilities row by row."""
    base = getattr(getattr(design, "design", design), "base", design)
    return base if hasattr(base, "select") and not hasattr(getattr(base, "probability", None), "shape") else None
