"""What an index model must offer: score and curvature in its linear predictors."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..errors import DataError

if TYPE_CHECKING:
    from .._core.types import Floats


class Model(ABC):
    """A regression in J linear predictors ``eta_j = x'b_j`` (plus an offset where J is 1).

    The score of a row stacks ``x s_j``, minus its derivative is made of the blocks ``c_jk x x'``; a model gives the
    factors s and c, and :mod:`karat.estimate.index` does the rest for any J. With J = 1 all arrays are one
    dimension smaller: ``eta``, ``s`` and ``c`` have shape (m,).

    ``s`` must be linear in ``y``, so that averaging it over a label distribution of the outcome equals plugging in the
    mean. Two kinds of models need more than this class says. Where the score is not linear in ``y``, predicted rows of
    a labelled outcome must stay one block per class, with its share (``regression/predicted_rows.py`` averages them
    today). Where what multiplies the score is not what multiplies the coefficients (instruments), or predictors have
    design rows of their own, rows carry more than one design, and :mod:`karat.estimate.index` is the place that reads
    them.

    Attributes
    ----------
    name, title : str
        In calls, and in words.
    linear : bool
        Whether the score is linear in the coefficients.
    separable : bool
        Whether coefficients run to infinity where covariates tell the outcome apart.
    categorical : bool
        Whether the outcome is a category; then ``y`` holds the shares of all classes but the first, shape (m, K - 1),
        or (m,) for two classes.
    ratio : str
        What the exponential of a coefficient is called; empty where it has no meaning.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    linear: ClassVar[bool] = False
    separable: ClassVar[bool] = False
    categorical: ClassVar[bool] = False
    ratio: ClassVar[str] = ""

    def predictors(self, y: Floats) -> int:
        """J, the number of linear predictors for outcomes of this shape."""
        return 1

    @abstractmethod
    def evaluate(self, eta: Floats, y: Floats) -> tuple[Floats, Floats]:
        """Score factor ``s``, of the shape of ``eta``, and curvature ``c = -ds/deta``, shape (m, J, J) or (m,)."""

    @abstractmethod
    def mean(self, eta: Floats) -> tuple[Floats, Floats]:
        """Expected outcome and its derivative with respect to ``eta``; of a category all K probabilities."""

    @abstractmethod
    def check_outcome(self, y: Floats, name: str) -> None:
        """Raise :class:`DataError` where the gold outcome cannot come from this model."""

    def working(self, y: Floats, level: Floats) -> Floats:
        """Linear predictors about which Newton starts: an outcome for least squares; ``level`` is the mean of y."""
        return y

    def names(self, columns: tuple[str, ...], classes: Sequence[Any]) -> tuple[str, ...]:
        """Names of the coefficients from those of the columns of the design."""
        return columns


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
