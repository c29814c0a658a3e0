"""Models as moments: one file each."""

from __future__ import annotations

from ..errors import one_of
from .base import Model
from .logit import Logit
from .mean import Mean
from .multinomial import Multinomial
from .ols import OLS
from .poisson import Poisson
from .probit import Probit

__all__ = ["Model", "get"]

_MODELS: dict[str, type[Model]] = {m.name: m for m in (OLS, Logit, Probit, Poisson, Multinomial, Mean)}


def get(name: str) -> Model:
    """The model of a name.

    Parameters
    ----------
    name : {"ols", "logit", "probit", "poisson", "multinomial", "mean"}
        Which regression.

    Returns
    -------
    Model

    Raises
    ------
    ArgumentError
        If there is no such model.

    Examples
    --------
    >>> get("logit").title
    'Logistic regression'
    """
    one_of("model", name, tuple(_MODELS))
    return _MODELS[name]()
