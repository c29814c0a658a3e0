"""Regressions for shares: outcomes between 0 and 1."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Unpack

from .._core.arguments import checked_arguments
from .entry_points import regress
from .options import FitOptions

if TYPE_CHECKING:
    from ..results import Result


@checked_arguments(FitOptions)
def fractional(
    formula: str, data: object, *, surrogates: Mapping[str, Any] | None = None, **options: Unpack[FitOptions]
) -> Result:
    """Fractional logit with surrogate labels; the outcome lies between 0 and 1.

    Parameters
    ----------
    formula, data, surrogates
        As in :func:`regress`. The outcome is a share, such as that of the coders who said yes; 0 and 1 may occur.
    **options
        Everything else :func:`regress` takes.

    Returns
    -------
    Result
        The mean of the outcome is ``1 / (1 + exp(-x'b))``. With an outcome of 0 and 1 the numbers are those of
        :func:`logit`.

    Raises
    ------
    KaratError
        As :func:`regress`; :class:`~karat.errors.SeparationError` when no finite estimate exists.

    References
    ----------
    Papke and Wooldridge (1996), *Econometric methods for fractional response variables*; Egami, Hinck, Stewart, Wei
    (2023).

    Examples
    --------
    >>> import karat as kt
    >>> corpus, truth = kt.datasets.simulate(1500, kind="poisson", seed=1)
    >>> corpus["share"] = corpus["outcome"].clip(upper=5) / 5
    >>> labelled = kt.datasets.mask_gold(corpus, kt.SimpleRandom(n=300).draw(corpus, seed=1), "hostile")
    >>> kt.fractional("share ~ hostile + length", labelled, surrogates={"hostile": "hostile_llm"}, seed=1).model
    'fractional'
    """
    return regress(formula, data, model="fractional", surrogates=surrogates, **options)


@checked_arguments(FitOptions)
def beta(
    formula: str,
    data: object,
    *,
    surrogates: Mapping[str, Any],
    edge: float | None = None,
    **options: Unpack[FitOptions],
) -> Result:
    """Beta regression (logit link) with surrogate labels; the outcome lies strictly between 0 and 1.

    Parameters
    ----------
    formula, data, surrogates
        As in :func:`regress`. The outcome is a share, such as the mean rating of several coders on a scale from 0 to 1.
    edge : float, optional
        Predictions of the outcome are moved to between ``edge`` and ``1 - edge``, since their logarithms enter. By
        default half as far from 0 and 1 as the nearest gold outcome.
    **options
        Everything else :func:`regress` takes.

    Returns
    -------
    Result
        The mean of the outcome is ``mu = 1 / (1 + exp(-x'b))`` and its variance ``mu (1 - mu) / (1 + phi)``, phi
        estimated with b. The last coefficient is ``log(phi)``; the summary shows phi with its interval. ``ratios()``
        gives ratios of the odds ``mu / (1 - mu)``.

    Raises
    ------
    KaratError
        As :func:`regress`; :class:`~karat.errors.DataError` where a gold outcome is 0 or 1, which :func:`fractional`
        takes.

    Notes
    -----
    The score is linear in the logarithms of the outcome and of its complement, so that the score at a predicted share
    is not the expected score. Intervals hold all the same. Coefficients are those of the mean where the outcome is beta
    distributed; those of :func:`fractional` are under any distribution.

    References
    ----------
    Ferrari and Cribari-Neto (2004), *Beta regression for modelling rates and proportions*; Egami, Hinck, Stewart, Wei
    (2023).

    Examples
    --------
    >>> import karat as kt
    >>> corpus, truth = kt.datasets.simulate(1500, kind="poisson", seed=1)
    >>> corpus["share"] = (corpus["outcome"].clip(upper=5) + 0.5) / 6
    >>> labelled = kt.datasets.mask_gold(corpus, kt.SimpleRandom(n=300).draw(corpus, seed=1), "hostile")
    >>> kt.beta("share ~ hostile + length", labelled, surrogates={"hostile": "hostile_llm"}, seed=1).names
    ('Intercept', 'hostile', 'length', 'log(phi)')
    """
    return regress(formula, data, model="beta", surrogates=surrogates, parameters={"edge": edge}, **options)
