"""Models as moments: a file each, with those that differ in a line or two."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from ..errors import ArgumentError, one_of
from .base import Model
from .beta import Beta
from .cox import Cox
from .huber import Huber
from .logit import Fractional, Logit
from .multinomial import Multinomial
from .negative_binomial import NegativeBinomial
from .ols import IV, OLS, Mean
from .ordered import Ordered, OrderedProbit
from .poisson import Gamma, Poisson
from .probit import Probit
from .quantile import Expectile, Quantile

__all__ = ["Cox", "Model", "fitted", "get"]

_MODELS: dict[str, type[Model]] = {
    m.name: m
    for m in (
        OLS, Logit, Probit, Poisson, NegativeBinomial, Multinomial, Ordered, OrderedProbit, Gamma, Fractional, Beta,
        Quantile, Expectile, Huber, IV, Mean,
    )
}  # fmt: skip


def get(name: str, parameters: Mapping[str, Any] | None = None) -> Model:
    """The model of a name.

    Parameters
    ----------
    name : str
        Which regression: ``"ols"``, ``"logit"``, ``"quantile"`` and so on.
    parameters : mapping, optional
        Its parameters, such as ``{"q": 0.25}``; others have their defaults.

    Returns
    -------
    Model

    Raises
    ------
    ArgumentError
        If there is no such model, or it has no such parameter.

    Examples
    --------
    >>> get("logit").title
    'Logistic regression'
    >>> get("quantile", {"q": 0.25}).heading
    'Quantile regression, q = 0.25'
    """
    one_of("model", name, tuple(_MODELS))
    model, given = _MODELS[name], {} if parameters is None else parameters
    known = [field.name for field in fields(model)]
    if not isinstance(given, Mapping) or not set(given) <= set(known):
        takes = f"takes {', '.join(known)}, for example parameters={{{known[0]!r}: 0.5}}" if known else "has none"
        raise ArgumentError(f"parameters={given!r} cannot be used: the model {name!r} {takes}.")
    return model(**given)


def fitted(name: str) -> Model:
    """The model of a Result, which may come from a door of its own.

    >>> fitted("cox").ratio
    'hazard ratio'
    """
    return Cox() if name == Cox.name else get(name)
