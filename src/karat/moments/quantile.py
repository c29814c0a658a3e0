"""Quantile regression, smoothed, and expectile regression."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ..errors import DataError, number
from .base import Model, check_varies
from .lines import check_width, effective_number, quantile_line, spread
from .ols import OLS

if TYPE_CHECKING:
    from .._core.types import Floats

ONE_BY_ONE = (
    "one for each fit; karat.several(..., parameters={'q': [0.25, 0.75]}) makes several, with their joint covariance"
)
_FEWEST_VALUES = 10
_ON_IT, _MOST_ON_IT = 0.02, 0.1
"""Distance from the line, in spreads of the residuals, and the share of outcomes within it (2 % is usual)."""
_WIDTH = 1.5
"""With 1 densities are too noisy for slopes at 150 rows; with 2 intercepts are biased by up to half a deviation."""


@dataclass(frozen=True)
class Quantile(Model):
    """Quantile regression by convolution smoothing: ``m = x (q - G((x'b - y) / h))``, G the normal distribution.

    Parameters
    ----------
    q : float
        Which quantile.
    bandwidth : float, optional
        h; by default from the residuals of the gold rows, see :func:`bandwidth_of`.
    """

    q: float = 0.5
    bandwidth: float | None = None

    name: ClassVar[str] = "quantile"
    title: ClassVar[str] = "Quantile regression"
    linear_in_outcome: ClassVar[bool] = False
    local: ClassVar[bool] = True

    def __post_init__(self) -> None:
        number("q", self.q, above=0, below=1, instead=ONE_BY_ONE)
        if self.bandwidth is not None:
            number("bandwidth", self.bandwidth, above=0, instead="or None")

    @property
    def heading(self) -> str:
        """With quantile and bandwidth."""
        known = "" if self.bandwidth is None else f", bandwidth {self.bandwidth:.4g}"
        return f"{self.title}, q = {self.q:g}{known}"

    def settled(self, x: Floats, y: Floats, weight: Floats) -> Quantile:
        """With the bandwidth that follows from gold."""
        if self.bandwidth is None:
            return replace(self, bandwidth=bandwidth_of(x, y, weight, self.q))
        residual = y - quantile_line(x, y, weight, self.q)
        check_width("bandwidth", self.bandwidth, residual, 2.0 * self.bandwidth, x.shape[1])
        return self

    def evaluate(self, eta: Floats, y: Floats) -> tuple[Floats, Floats]:
        """Share by which the outcome is above, smoothed, and the kernel's density there."""
        from scipy.special import ndtr

        assert self.bandwidth is not None
        u = (eta - y) / self.bandwidth
        return self.q - ndtr(u), np.exp(-0.5 * u**2) / (np.sqrt(2.0 * np.pi) * self.bandwidth)

    def mean(self, eta: Floats) -> tuple[Floats, Floats]:
        """The quantile is the linear predictor itself."""
        return eta, np.ones_like(eta)

    def check_outcome(self, y: Floats, name: str) -> None:
        """Gold must vary continuously."""
        check_varies(y, name)
        if (found := len(np.unique(y))) < min(_FEWEST_VALUES, len(y)):
            raise DataError(
                f"the outcome {name!r} of a quantile regression takes only {found} values, and quantiles jump from one "
                "to the next; it must be a number with many values. For few values use kt.ols (means), or "
                "kt.multinomial (shares)."
            )

    def working(self, y: Floats, x: Floats, share: Floats) -> Floats:
        """The quantile line."""
        return quantile_line(x, y, share, self.q, self.bandwidth)


def bandwidth_of(x: Floats, y: Floats, weight: Floats, q: float) -> float:
    """Bandwidth ``1.5 s sqrt(q (1 - q)) ((p + log n) / n)^(2/5)``: s the spread of residuals, n their effective number.

    Parameters
    ----------
    x : ndarray, shape (m, p)
    y, weight : ndarray, shape (m,)
    q : float

    Returns
    -------
    float

    Raises
    ------
    DataError
        If many outcomes lie on the line.

    References
    ----------
    He, Pan, Tan, Zhou (2023), *Smoothed quantile regression with large-scale inference*, for the rate; 1.5 is from the
    study in methods, section 8.

    Examples
    --------
    >>> y = np.arange(100.0)
    >>> round(bandwidth_of(np.ones((100, 1)), y, np.ones(100), 0.5), 2)
    6.84
    """
    residual = y - quantile_line(x, y, weight, q)
    size, n = spread(residual, weight), effective_number(weight)
    on_it = float(weight @ (np.abs(residual) <= _ON_IT * size) / weight.sum())
    if on_it > _MOST_ON_IT + x.shape[1] / n or not size > 1e-9 * float(np.abs(y).max()):
        raise DataError(
            f"{on_it:.0%} of the gold outcomes lie on the quantile line itself (a value that many rows have?), so that "
            "no bandwidth can be told from them; use a regression of means (kt.ols), or give bandwidth=."
        )
    return _WIDTH * size * float(np.sqrt(q * (1.0 - q)) * ((x.shape[1] + np.log(n)) / n) ** 0.4)


@dataclass(frozen=True)
class Expectile(OLS):
    """Asymmetric least squares: ``m = 2 x |q - 1{y < x'b}| (y - x'b)``; q = 0.5 is the linear regression.

    Parameters
    ----------
    q : float
        Weight of outcomes above the line, one minus that of those below.
    """

    q: float = 0.5

    name: ClassVar[str] = "expectile"
    title: ClassVar[str] = "Expectile regression"
    linear: ClassVar[bool] = False
    linear_in_outcome: ClassVar[bool] = False

    def __post_init__(self) -> None:
        number("q", self.q, above=0, below=1, instead=ONE_BY_ONE)

    @property
    def heading(self) -> str:
        """With the expectile."""
        return f"{self.title}, q = {self.q:g}"

    def evaluate(self, eta: Floats, y: Floats) -> tuple[Floats, Floats]:
        """Weighted residual, and the weight."""
        side = 2.0 * np.where(y < eta, 1.0 - self.q, self.q)
        return side * (y - eta), side
