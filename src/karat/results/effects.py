"""What is read off a fit afterwards: averages of predictions and effects, and ratios."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..errors import ArgumentError, KaratError
from .estimates import Estimates, Fitted

if TYPE_CHECKING:
    import pandas as pd

    from .._core.types import Floats
    from ..moments import Model
    from .tests import TestResult


@dataclass(frozen=True, eq=False, repr=False)
class Effects(Estimates):
    """Averages over units that follow from a fit, one row per variable, group and class of the outcome.

    Parameters
    ----------
    names : tuple of str, length k
    theta : ndarray, shape (k,)
    covariance : ndarray, shape (k, k)
    labelling_covariance : ndarray, shape (k, k)
        The part that labelling only a sample adds.
    df : ndarray, shape (k,)
    alpha : float
    title, about : str
        What they are, and of which fit.
    grid : data frame, k rows
        What each row is: variable, contrast, class of the outcome, values set, groups.

    Examples
    --------
    >>> import karat as kt
    >>> corpus, truth = kt.datasets.simulate(1500, kind="logit", seed=1)
    >>> labelled = kt.datasets.mask_gold(corpus, kt.SimpleRandom(n=300).draw(corpus, seed=1), "hostile")
    >>> fit = kt.logit("outcome ~ hostile + length", labelled, surrogates={"hostile": "hostile_llm"}, seed=1)
    >>> kt.slopes(fit, labelled).names
    ('hostile', 'length')
    """

    names: tuple[str, ...]
    theta: Floats
    covariance: Floats
    labelling_covariance: Floats
    df: Floats
    alpha: float
    title: str
    about: str
    grid: pd.DataFrame = field(repr=False)

    @property
    def quantity(self) -> str:
        """What is estimated, as axes call it."""
        return "average"

    def __repr__(self) -> str:
        return str(self)

    def _title(self) -> str:
        return self.title

    def _about(self) -> str:
        return self.about

    def tidy(self, style: str = "pyfixest", alpha: float | None = None) -> pd.DataFrame:
        """Table of estimates.

        Parameters
        ----------
        style : {"pyfixest", "broom"}
            As for a :class:`karat.Result`; "broom" adds the columns of ``grid``.
        alpha : float, optional

        Returns
        -------
        pandas.DataFrame
        """
        table = super().tidy(style, alpha)
        return table if style == "pyfixest" else table.join(self.grid)


class Ratios(Effects):
    """Ratios, whose logarithms have the t intervals: they are not symmetric about the estimate, and above 0.

    ``covariance`` is that of the ratios, by the delta method; the test of a row is that of the hypothesis that the
    ratio is 1. Other hypotheses are tested on :meth:`logarithms`.

    Examples
    --------
    >>> import karat as kt
    >>> corpus, truth = kt.datasets.simulate(1500, kind="logit", seed=1)
    >>> labelled = kt.datasets.mask_gold(corpus, kt.SimpleRandom(n=300).draw(corpus, seed=1), "hostile")
    >>> fit = kt.logit("outcome ~ hostile + length", labelled, surrogates={"hostile": "hostile_llm"}, seed=1)
    >>> bool(np.allclose(fit.ratios().confint(), np.exp(fit.confint())))
    True
    """

    no_effect: ClassVar[float] = 1.0

    @property
    def quantity(self) -> str:
        """What is estimated, as axes call it."""
        return "ratio"

    def _statistic(self) -> Floats:
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(np.log(self.theta) / (self._se() / self.theta))

    def _interval(self, level: float) -> tuple[Floats, Floats]:
        from scipy.stats import t

        half = np.asarray(t.isf(level / 2.0, self.df)) * self._se() / self.theta
        return self.theta * np.exp(-half), self.theta * np.exp(half)

    def logarithms(self) -> Effects:
        """The logarithms of the ratios, from which intervals and tests come."""
        scale = np.outer(self.theta, self.theta)
        return Effects(
            self.names, np.log(self.theta), self.covariance / scale, self.labelling_covariance / scale, self.df,
            self.alpha, f"Logarithms of {self.title[0].lower()}{self.title[1:]}", self.about, self.grid,
        )  # fmt: skip

    def wald(self, hypothesis: object) -> TestResult:
        """Not of ratios: see :meth:`logarithms`."""
        raise _on_logarithms("wald")

    def contrast(self, hypothesis: object, alpha: float | None = None) -> pd.DataFrame:
        """Not of ratios: see :meth:`logarithms`."""
        raise _on_logarithms("contrast")


def _on_logarithms(method: str) -> KaratError:
    return KaratError(
        f"hypotheses about ratios are tested on logarithms, where no effect is 0; use .logarithms().{method}(...)."
    )


def model_of(result: Fitted) -> Model | None:
    """The model of a regression, at the defaults of its parameters; None of durations, which have none."""
    from .. import moments as models

    try:
        return models.fitted(result.model)
    except ArgumentError:
        return None


def ratios(result: Fitted) -> Ratios:
    """Exponentials of the coefficients; see :meth:`karat.Result.ratios`."""
    import pandas as pd

    model = model_of(result)
    if model is None or not model.ratio:
        raise KaratError(
            f"exponentials of the coefficients of {result.formula!r} ({result.title}) are not ratios; use "
            "kt.comparisons(fit, data, contrast='ratio') for ratios of predictions."
        )
    p = len(result.names) - model.constants(result.names)
    value: Any = np.exp(result.theta[:p])
    scale = np.outer(value, value)
    covariance, labelling = (part[:p, :p] * scale for part in (result.covariance, result.labelling_covariance))
    return Ratios(
        result.names[:p], value, covariance, labelling, result.df[:p], result.alpha,
        f"{model.ratio.capitalize()}: {result.formula}", result._about(), pd.DataFrame(index=pd.RangeIndex(len(value))),
    )  # fmt: skip
