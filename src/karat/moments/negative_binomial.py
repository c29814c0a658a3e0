"""Negative binomial regression."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ..errors import DataError
from .poisson import Poisson

if TYPE_CHECKING:
    from .._core.types import Floats

_LARGEST_ETA = 300.0
_SERIES_FROM = 100.0
"""Size ``1 / alpha`` from which digamma functions are taken by their series, whose differences do not cancel."""
_LEAST_ALPHA = 1e-9
"""Dispersion below which the fit is a Poisson regression, and its logarithm runs to minus infinity."""
_FIRST_ALPHA = 0.05, 20.0


@dataclass(frozen=True)
class NegativeBinomial(Poisson):
    """NB2 with log link: mean ``mu = exp(x'b)``, variance ``mu + alpha mu^2``; scores in b and in ``log alpha``.

    The score is not linear in the outcome; predictions below 0 count as 0.
    """

    name: ClassVar[str] = "negative_binomial"
    title: ClassVar[str] = "Negative binomial regression"
    linear_in_outcome: ClassVar[bool] = False
    first: ClassVar[slice | None] = slice(None)
    logarithms: ClassVar[Mapping[str, str]] = {"log(alpha)": "Dispersion alpha (variance mu + alpha mu^2)"}

    def predictors(self, y: Floats) -> int:
        """``x'b`` and ``log alpha``."""
        return 2

    def evaluate(self, eta: Floats, y: Floats) -> tuple[Floats, Floats]:
        """Derivatives of the log likelihood."""
        mu, log_alpha = np.exp(np.clip(eta[:, 0], -_LARGEST_ETA, _LARGEST_ETA)), np.clip(eta[:, 1], -40.0, 40.0)
        y, alpha = np.maximum(y, 0.0), np.exp(log_alpha)
        size = 1.0 / alpha
        weight = 1.0 / (1.0 + alpha * mu)
        slope, curve = _in_size(y, mu, size)
        score, curvature = np.empty((len(y), 2)), np.empty((len(y), 2, 2))
        score[:, 0], score[:, 1] = (y - mu) * weight, -size * slope
        curvature[:, 0, 0] = mu * (1.0 + alpha * y) * weight**2
        curvature[:, 0, 1] = curvature[:, 1, 0] = (y - mu) * alpha * mu * weight**2
        curvature[:, 1, 1] = -size * (slope + size * curve)
        return score, curvature

    def mean(self, eta: Floats) -> tuple[Floats, Floats]:
        """Expected count and its slope, which is 0 in ``log alpha``."""
        if eta.ndim == 1:
            return super().mean(eta)
        mu, slope = super().mean(eta[:, 0])
        return mu, np.column_stack([slope, np.zeros_like(mu)])

    def check_outcome(self, y: Floats, name: str) -> None:
        """Gold must be counts."""
        if (other := (y < 0) | (y != np.round(y))).any():
            raise DataError(
                f"the outcome {name!r} of a negative binomial regression must hold counts (0, 1, 2, ...); "
                f"{int(other.sum())} row(s) hold something else, such as {y[other][0]:g}. kt.poisson has the same "
                "mean, exp(x'b), and takes any number from 0 on."
            )
        if not (y > 0).any():
            raise DataError(f"the outcome {name!r} is always 0; a negative binomial regression needs counts above 0.")

    def working(self, y: Floats, x: Floats, share: Floats) -> Floats:
        """That of the Poisson regression, and the dispersion without covariates, which is too large if anything."""
        mean = share @ y
        alpha = np.clip((share @ (y - mean) ** 2 - mean) / mean**2, *_FIRST_ALPHA)
        return np.column_stack([super().working(y, x, share), np.full(len(y), np.log(alpha))])

    def astray(self, constants: Floats) -> str:
        """The logarithm of a dispersion of 0 has run to minus infinity."""
        if constants[0] > np.log(_LEAST_ALPHA):
            return ""
        return (
            "counts vary no more than those of a Poisson distribution with the same mean, so that the dispersion is 0 "
            "and its logarithm has no estimate; use kt.poisson, whose standard errors need no dispersion"
        )

    def constants(self, names: Sequence[str]) -> int:
        """The dispersion."""
        return 1

    def names(self, columns: tuple[str, ...], classes: Sequence[object]) -> tuple[str, ...]:
        """Columns and ``"log(alpha)"``."""
        return *columns, "log(alpha)"


def _in_size(y: Floats, mu: Floats, size: Floats) -> tuple[Floats, Floats]:
    """First and second derivative of the log likelihood in ``size = 1 / alpha``.

    With ``d = (y - mu) / (size + mu)`` the first is ``psi(y + size) - psi(size) + log(size / (size + mu)) - d``.
    """
    from scipy.special import digamma, polygamma

    raised, d = size + y, (y - mu) / (size + mu)
    first, second = np.empty_like(d), d**2 / raised
    large = size >= _SERIES_FROM
    r, s = size[~large], raised[~large]
    first[~large] = digamma(s) - digamma(r) + np.log(r) - np.log(r + mu[~large]) - d[~large]
    second[~large] += polygamma(1, s) - polygamma(1, r) + 1.0 / r - 1.0 / s
    r, s, near = size[large], raised[large], np.maximum(d[large], -0.5)
    bend = np.where(d[large] > -0.5, np.log1p(near), np.log(s) - np.log(r + mu[large]))
    first[large] = bend - d[large] + y[large] / (2.0 * r * s)
    second[large] -= (1.0 / r**2 - 1.0 / s**2) / 2.0
    for power, part in ((2, 1 / 12), (4, -1 / 120), (6, 1 / 252)):
        first[large] += part * (r**-power - s**-power)
        second[large] -= part * power * (r ** -(power + 1) - s ** -(power + 1))
    return first, second
