"""Two-stage least squares."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Unpack

from .._core.arguments import checked_arguments
from .entry_points import regress
from .options import FitOptions

if TYPE_CHECKING:
    from ..results import Result


@checked_arguments(FitOptions)
def iv(formula: str, data: object, *, surrogates: Mapping[str, Any], **options: Unpack[FitOptions]) -> Result:
    """Two-stage least squares with surrogate labels in the outcome, the covariates or the instruments.

    Parameters
    ----------
    formula : str
        ``"outcome ~ exogenous + [endogenous ~ instruments] | effects"``, or in parts as pyfixest writes it,
        ``"outcome ~ exogenous | effects | endogenous ~ instruments"``; effects may be left out.
    data, surrogates
        As in :func:`regress`.
    **options
        Everything else :func:`regress` takes.

    Returns
    -------
    Result
        With :meth:`~karat.Result.first_stage` and :meth:`~karat.Result.anderson_rubin`. A note says where the
        effective F is below 10.

    Raises
    ------
    KaratError
        As :func:`regress`; if there are fewer instruments than endogenous covariates, or a term stands in the first
        stage and outside.

    Notes
    -----
    The first stage is estimated from gold and predicted rows together, and its coefficients are held fixed in the
    scores (methods, section 8.4). With weak instruments Anderson-Rubin intervals hold their level; others do not.

    References
    ----------
    Angrist and Pischke (2009), *Mostly Harmless Econometrics*, chapter 4; Montiel Olea and Pflueger (2013); Egami,
    Hinck, Stewart, Wei (2023).

    Examples
    --------
    >>> import karat as kt
    >>> corpus, truth = kt.datasets.simulate(1500, seed=1)
    >>> corpus["assigned"] = (corpus["hostile"] + corpus["length"] > 0.5) * 1.0
    >>> labelled = kt.datasets.mask_gold(corpus, kt.SimpleRandom(n=300).draw(corpus, seed=1), "hostile")
    >>> fit = kt.iv("outcome ~ length + [hostile ~ assigned]", labelled,
    ...             surrogates={"hostile": "hostile_llm"}, seed=1)
    >>> fit.anderson_rubin().shape
    'interval'
    """
    return regress(formula, data, model="iv", surrogates=surrogates, **options)
