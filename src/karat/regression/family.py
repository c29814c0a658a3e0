"""Regressions for further outcomes: ordered classes, counts, positive numbers, quantiles, outliers."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Unpack

import numpy as np

from .._core.arguments import checked_arguments
from ..errors import ArgumentError, one_of
from ..frames.notation import sides
from ..frames.quoting import masked
from .entry_points import regress
from .options import FitOptions

if TYPE_CHECKING:
    from ..results import Result


@checked_arguments(FitOptions)
def ordered(
    formula: str,
    data: object,
    *,
    surrogates: Mapping[str, Any],
    link: Literal["logit", "probit"] = "logit",
    levels: Sequence[Any] | None = None,
    **options: Unpack[FitOptions],
) -> Result:
    """Ordered (cumulative) logit or probit with surrogate labels; the outcome is a class on a scale.

    Parameters
    ----------
    formula : str
        ``"agreement ~ x"``; the outcome is a column of classes. Its intercept is taken by the cut points.
    data, surrogates
        As in :func:`regress`. Numbers are in their own order, ordered categorical columns in theirs.
    link : {"logit", "probit"}
        Distribution of the scale behind the classes: logistic or normal.
    levels : sequence, optional
        All classes from the lowest to the highest, for text without an order. ``"C(agreement, levels=[...]) ~ x"`` says
        the same within a formula.
    **options
        Everything else :func:`regress` takes.

    Returns
    -------
    Result
        ``P(class <= k) = F(tau_k - x'b)``: a positive coefficient goes with higher classes. Slopes come first, then cut
        points, ``"low|mid"``. With ``link="logit"`` ``ratios()`` gives odds ratios, those of being above any cut.
        ``predict`` gives class probabilities.

    Raises
    ------
    KaratError
        As :func:`regress`, and where nothing says how classes are ordered;
        :class:`~karat.errors.SeparationError` when no finite estimate exists.

    Notes
    -----
    Slopes are the same at every cut (proportional odds). :func:`multinomial` does without that, and without the order.

    References
    ----------
    McCullagh (1980), *Regression models for ordinal data*; Egami, Hinck, Stewart, Wei (2023).

    Examples
    --------
    >>> import karat as kt
    >>> corpus, truth = kt.datasets.simulate(1500, kind="poisson", seed=1)
    >>> corpus["size"] = corpus["outcome"].clip(upper=2).map({0: "none", 1: "one", 2: "many"})
    >>> labelled = kt.datasets.mask_gold(corpus, kt.SimpleRandom(n=300).draw(corpus, seed=1), "hostile")
    >>> fit = kt.ordered("size ~ hostile", labelled, surrogates={"hostile": "hostile_llm"}, seed=1,
    ...                  levels=["none", "one", "many"])
    >>> fit.coef().index.tolist()
    ['hostile', 'none|one', 'one|many']
    """
    one_of("link", link, ("logit", "probit"))
    if levels is not None:
        if isinstance(levels, (str, bytes, Mapping)) or not hasattr(levels, "__getitem__") or len(levels) < 2:
            raise ArgumentError(
                f"levels={levels!r} must list the classes from the lowest to the highest, two or more, such as "
                "['low', 'mid', 'high']; a set has no order."
            )
        if isinstance(formula, str) and "~" in masked(formula):
            outcome, covariates = sides(formula)
            if re.search(r"\blevels\s*=", outcome):
                raise ArgumentError(f"levels= and the outcome of {formula!r} both name an order; give one of them.")
            column = re.sub(r"^C\((.*)\)$", r"\1", outcome.strip())
            named = [value.item() if isinstance(value, np.generic) else value for value in levels]
            formula = f"C({column}, levels={named!r}) ~ {covariates}"
    model: Literal["ordered", "ordered_probit"] = "ordered" if link == "logit" else "ordered_probit"
    return regress(formula, data, model=model, surrogates=surrogates, **options)


@checked_arguments(FitOptions)
def negative_binomial(
    formula: str, data: object, *, surrogates: Mapping[str, Any], **options: Unpack[FitOptions]
) -> Result:
    """Negative binomial regression (NB2, log link) with surrogate labels; the outcome is a count.

    Parameters
    ----------
    formula, data, surrogates
        As in :func:`regress`. The outcome is 0, 1, 2, ...; predictions of it need not be whole, and those below 0 count
        as 0.
    **options
        Everything else :func:`regress` takes.

    Returns
    -------
    Result
        The mean is ``exp(x'b)`` and the variance ``mu + alpha mu^2``, alpha estimated with b. The last coefficient is
        ``log(alpha)``; the summary shows alpha with its interval. ``ratios()`` gives rate ratios.

    Raises
    ------
    KaratError
        As :func:`regress`; :class:`~karat.errors.ConvergenceError` where counts vary no more than those of a Poisson
        distribution, so that alpha is 0.

    Notes
    -----
    The score is not linear in the outcome, so that the score at a predicted count is not the expected score. Intervals
    hold all the same; coefficients of the mean gain from predictions about as in :func:`poisson`, whose robust
    intervals hold under any dispersion.

    References
    ----------
    Cameron and Trivedi (2013), *Regression analysis of count data*, section 3.3; Egami, Hinck, Stewart, Wei (2023).

    Examples
    --------
    >>> import karat as kt
    >>> corpus, truth = kt.datasets.simulate(1500, kind="poisson", seed=1)
    >>> corpus["likes"] = 2 * corpus["outcome"]
    >>> labelled = kt.datasets.mask_gold(corpus, kt.SimpleRandom(n=300).draw(corpus, seed=1), "hostile")
    >>> fit = kt.negative_binomial("likes ~ hostile", labelled, surrogates={"hostile": "hostile_llm"}, seed=1)
    >>> fit.names
    ('Intercept', 'hostile', 'log(alpha)')
    """
    return regress(formula, data, model="negative_binomial", surrogates=surrogates, **options)


@checked_arguments(FitOptions)
def gamma(
    formula: str, data: object, *, surrogates: Mapping[str, Any] | None = None, **options: Unpack[FitOptions]
) -> Result:
    """Gamma regression (log link, robust covariance) with surrogate labels; the outcome is above 0.

    Parameters
    ----------
    formula, data, surrogates
        As in :func:`regress`.
    **options
        Everything else :func:`regress` takes.

    Returns
    -------
    Result
        The mean of the outcome is ``exp(x'b)``, as in :func:`poisson`; a large outcome counts less here, as fits
        amounts whose spread grows with their mean.

    Raises
    ------
    KaratError
        As :func:`regress`.

    References
    ----------
    McCullagh and Nelder (1989), *Generalized Linear Models*, chapter 8; Egami, Hinck, Stewart, Wei (2023).

    Examples
    --------
    >>> import karat as kt
    >>> corpus, truth = kt.datasets.simulate(1500, kind="poisson", seed=1)
    >>> corpus["seconds"] = corpus["outcome"] + 0.5
    >>> labelled = kt.datasets.mask_gold(corpus, kt.SimpleRandom(n=300).draw(corpus, seed=1), "hostile")
    >>> kt.gamma("seconds ~ hostile + length", labelled, surrogates={"hostile": "hostile_llm"}, seed=1).model
    'gamma'
    """
    return regress(formula, data, model="gamma", surrogates=surrogates, **options)


@checked_arguments(FitOptions)
def quantile(
    formula: str,
    data: object,
    *,
    surrogates: Mapping[str, Any],
    q: float = 0.5,
    bandwidth: float | None = None,
    **options: Unpack[FitOptions],
) -> Result:
    """Quantile regression with surrogate labels, by convolution smoothing.

    Parameters
    ----------
    formula, data, surrogates
        As in :func:`regress`. The outcome is a number with many values.
    q : float
        Which quantile, above 0 and below 1; 0.5 is the median. :func:`karat.several` fits several at once, with
        intervals that hold for all of them; the difference of two fits, ``upper - lower``, has the right covariance.
    bandwidth : float, optional
        Width of the normal kernel that smooths the jump of the score, in units of the outcome. By default from the
        residuals of the gold rows and their effective number (methods, section 8); the summary shows it.
    **options
        Everything else :func:`regress` takes.

    Returns
    -------
    Result
        ``predict`` gives quantiles, not means.

    Raises
    ------
    KaratError
        As :func:`regress`.

    Notes
    -----
    The score is not linear in the outcome, so that the score at a predicted outcome is not the expected score.
    Intervals hold all the same, as they do for any function of what is known of all units; but a predictor of the mean
    helps less here than in a regression of means.

    References
    ----------
    Fernandes, Guerre and Horta (2021), *Smoothing quantile regressions*; He, Pan, Tan and Zhou (2023), *Smoothed
    quantile regression with large-scale inference*; Koenker and Bassett (1978).

    Examples
    --------
    >>> import karat as kt
    >>> corpus, truth = kt.datasets.simulate(1500, seed=1)
    >>> labelled = kt.datasets.mask_gold(corpus, kt.SimpleRandom(n=300).draw(corpus, seed=1), "hostile")
    >>> low, high = (kt.quantile("outcome ~ hostile", labelled, surrogates={"hostile": "hostile_llm"}, q=q, seed=1)
    ...              for q in (0.25, 0.75))
    >>> (high - low).names
    ('Intercept', 'hostile')
    """
    parameters = {"q": q, "bandwidth": bandwidth}
    return regress(formula, data, model="quantile", surrogates=surrogates, parameters=parameters, **options)


@checked_arguments(FitOptions)
def expectile(
    formula: str, data: object, *, surrogates: Mapping[str, Any], q: float = 0.5, **options: Unpack[FitOptions]
) -> Result:
    """Expectile regression (asymmetric least squares) with surrogate labels.

    Parameters
    ----------
    formula, data, surrogates
        As in :func:`regress`.
    q : float
        Which expectile, above 0 and below 1: squared residuals above the line count q, those below 1 - q. 0.5 is the
        mean, with the numbers of :func:`ols`.
    **options
        Everything else :func:`regress` takes.

    Returns
    -------
    Result
        ``predict`` gives expectiles.

    Raises
    ------
    KaratError
        As :func:`regress`.

    References
    ----------
    Newey and Powell (1987), *Asymmetric least squares estimation and testing*; Egami, Hinck, Stewart, Wei (2023).

    Examples
    --------
    >>> import karat as kt
    >>> corpus, truth = kt.datasets.simulate(1500, seed=1)
    >>> labelled = kt.datasets.mask_gold(corpus, kt.SimpleRandom(n=300).draw(corpus, seed=1), "hostile")
    >>> kt.expectile("outcome ~ hostile", labelled, surrogates={"hostile": "hostile_llm"}, q=0.8, seed=1).title
    'Expectile regression, q = 0.8'
    """
    return regress(formula, data, model="expectile", surrogates=surrogates, parameters={"q": q}, **options)


@checked_arguments(FitOptions)
def huber(
    formula: str,
    data: object,
    *,
    surrogates: Mapping[str, Any],
    k: float = 1.345,
    scale: float | None = None,
    **options: Unpack[FitOptions],
) -> Result:
    """Linear regression in which outliers of the outcome count no more than ordinary residuals.

    Parameters
    ----------
    formula, data, surrogates
        As in :func:`regress`.
    k : float
        Residuals are cut at ``k`` times the scale. With 1.345 the estimate has 95 % of the precision of least squares
        where errors are normal.
    scale : float, optional
        Standard deviation of ordinary residuals, in units of the outcome. By default the median absolute residual of
        the gold rows about their median line, over .6745.
    **options
        Everything else :func:`regress` takes.

    Returns
    -------
    Result
        Where errors are symmetric the coefficients are those of the mean. Otherwise they are those of a centre that
        depends on where residuals are cut: give ``scale`` to compare fits.

    Raises
    ------
    KaratError
        As :func:`regress`.

    References
    ----------
    Huber (1964), *Robust estimation of a location parameter*; Egami, Hinck, Stewart, Wei (2023).

    Examples
    --------
    >>> import karat as kt
    >>> corpus, truth = kt.datasets.simulate(1500, seed=1)
    >>> labelled = kt.datasets.mask_gold(corpus, kt.SimpleRandom(n=300).draw(corpus, seed=1), "hostile")
    >>> kt.huber("outcome ~ hostile", labelled, surrogates={"hostile": "hostile_llm"}, scale=1.0, seed=1).title
    'Huber regression, residuals cut at 1.345'
    """
    parameters = {"k": k, "scale": scale}
    return regress(formula, data, model="huber", surrogates=surrogates, parameters=parameters, **options)
