"""What a moment model must offer: score and curvature of a linear predictor."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Protocol

import numpy as np

from ..errors import DataError

if TYPE_CHECKING:
    from .._core.types import Floats


class Model(Protocol):
    """A regression whose score is ``x * s(eta, y)`` with ``eta = x'b + offset``.

    ``s`` must be linear in ``y``, so that averaging it over a label distribution of the
    outcome equals plugging in the mean.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    linear: ClassVar[bool]

    def evaluate(self, eta: Floats, y: Floats) -> tuple[Floats, Floats]:
        """Score factor ``s`` and curvature ``c = -ds/deta``, each of the shape of ``eta``."""
        ...

    def mean(self, eta: Floats) -> tuple[Floats, Floats]:
        """Expected outcome and its derivative with respect to ``eta``."""
        ...

    def check_outcome(self, y: Floats, name: str) -> None:
        """Raise :class:`DataError` where the gold outcome cannot come from this model."""
        ...


def check_binary(y: Floats, name: str, model: str) -> None:
    """Raise unless the outcome is coded 0 and 1 and takes both values.

    Parameters
    ----------
    y : ndarray, shape (n,)
        Gold outcome.
    name : str
        Its name.
    model : str
        Name of the model, for the message.

    Raises
    ------
    DataError

    Examples
    --------
    >>> import numpy as np
    >>> check_binary(np.array([0.0, 1.0]), "vote", "logit")
    """
    values = np.unique(y)
    if not np.isin(values, (0.0, 1.0)).all():
        raise DataError(
            f"the outcome {name!r} of a {model} must be 0 or 1; it holds {values[:5].tolist()}. "
            f"Recode it, for example with I({name} == value) on the left of the formula."
        )
    if len(values) < 2:
        raise DataError(f"the outcome {name!r} is always {values[0]:g}; a {model} needs both values. Label more units.")
