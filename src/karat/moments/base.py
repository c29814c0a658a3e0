"""What an index model must offer: score and curvature in its linear predictors."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..errors import DataError

if TYPE_CHECKING:
    from .._core.types import Floats


@dataclass(frozen=True)
class Model(ABC):
    """A regression in J linear predictors ``eta_j = x'b_j`` (plus an offset where J is 1).

    The score of a row stacks ``x s_j``, minus its derivative is made of the blocks ``c_jk x x'``; a model gives the
    factors s and c, and :mod:`karat.estimate.index` does the rest for any J. With J = 1 all arrays are one
    dimension smaller: ``eta``, ``s`` and ``c`` have shape (m,).

    Where ``s`` is linear in ``y``, averaging it over a label distribution of the outcome equals plugging in the mean.
    Where it is not, the score at a predicted outcome is not the expected score: still a function of what is known of
    all units, so that estimates stay valid. Where what multiplies the score is not what multiplies the coefficients
    (instruments), or several predictors have design rows of their own, rows carry more than one
    design, and :mod:`karat.estimate.index` is the place that reads them.

    Fields of a model are its parameters (which quantile, a bandwidth), checked when it is made.

    Attributes
    ----------
    name, title : str
        In calls, and in words.
    linear : bool
        Whether the score is linear in the coefficients.
    separable : bool
        Whether coefficients run to infinity where covariates tell the outcome apart.
    vanishes : bool
        Whether they do where covariates single out rows whose outcomes are all 0.
    linear_in_outcome : bool
        Whether the score is linear in ``y``.
    local : bool
        Whether curvature dies out far from the outcomes, so that any root must be sought from near it; of such a model
        only ``y - eta`` counts.
    categorical : bool
        Whether the outcome is a category; then ``y`` holds the shares of all classes but the first, shape (m, K - 1),
        or (m,) for two classes.
    predicts : bool
        Whether it gives an expected outcome.
    in_order : bool
        Whether the classes of a category have an order, which must be stated.
    first : slice or None
        Columns of the design that make up the first linear predictor, where each of the others is a constant, one
        coefficient: all columns, or all but the ones, which come first. None where every predictor takes all columns.
    measured_in : str
        What coefficients are differences in; those on one scale can be added and subtracted.
    ratio : str
        What exponentials of the coefficients (those of the design, if others are constants) are called; empty where
        they have no meaning.
    logarithms : dict of str to str
        Coefficients that are logarithms, and what their exponentials are called.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    linear: ClassVar[bool] = False
    separable: ClassVar[bool] = False
    vanishes: ClassVar[bool] = False
    linear_in_outcome: ClassVar[bool] = True
    local: ClassVar[bool] = False
    categorical: ClassVar[bool] = False
    predicts: ClassVar[bool] = True
    in_order: ClassVar[bool] = False
    first: ClassVar[slice | None] = None
    measured_in: ClassVar[str] = "units of the outcome"
    ratio: ClassVar[str] = ""
    logarithms: ClassVar[Mapping[str, str]] = {}

    @property
    def heading(self) -> str:
        """Title with parameters."""
        return self.title

    def settled(self, x: Floats, y: Floats, weight: Floats) -> Model:
        """The model with what must be a fixed number before the root is sought, from gold rows (y less the offset)."""
        return self

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

    def working(self, y: Floats, x: Floats, share: Floats) -> Floats:
        """Linear predictors about which Newton starts: an outcome for least squares with weights ``share``, sum 1."""
        return y

    def astray(self, constants: Floats) -> str:
        """Why predictors that are constants cannot have these values, and what to do; empty where they can."""
        return ""

    def constants(self, names: Sequence[str]) -> int:
        """How many of the coefficients, the last ones, are predictors that are constants."""
        return 0

    def told(self, classes: Sequence[Any]) -> str:
        """What the title of a fit says of the classes of its outcome."""
        return ""

    def names(self, columns: tuple[str, ...], classes: Sequence[Any]) -> tuple[str, ...]:
        """Names of the coefficients from those of the columns of the design."""
        return columns


def check_varies(y: Floats, name: str) -> None:
    """Raise where all outcomes are the same: a constant has no residuals, and its standard error would be 0.

    Parameters
    ----------
    y : ndarray, shape (n,)
        Gold outcome.
    name : str
        Its name.

    Raises
    ------
    DataError

    Examples
    --------
    >>> import numpy as np
    >>> check_varies(np.array([2.0, 3.0]), "tone")
    """
    if len(y) > 1 and np.ptp(y) == 0:
        raise DataError(
            f"the gold outcome {name!r} is {y[0]:g} in every row, so nothing can be said about its spread; label "
            "more units (stratify by the surrogate to catch rare values)."
        )


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
        advice = f"Recode it, for example with I({name} == value) on the left of the formula."
        if values[0] >= 0 and values[-1] <= 1:
            advice = (
                "Where experts answered differently their mean stands between: settle these (sample.to_adjudication), "
                "or take kt.fractional for shares."
            )
        raise DataError(f"the outcome {name!r} of a {model} must be 0 or 1; it holds {values[:5].tolist()}. {advice}")
    if len(values) < 2:
        raise DataError(f"the outcome {name!r} is always {values[0]:g}; a {model} needs both values. Label more units.")
