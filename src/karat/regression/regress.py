"""The entry point: from a formula and a table to a Result.

``regress`` opens a fit (variables, design matrices, predictions) and closes it (root, weights, covariance). Its
options are declared in ``options.py``, the way of a fit is told in ``pipeline.py``; numbers happen elsewhere, in
functions on arrays.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Unpack

from .._core.arguments import checked_arguments
from .._core.threads import single_threaded
from ..results import Result
from .options import Arguments, FitOptions
from .pipeline import PLAIN, close_fit, open_fit


@checked_arguments(FitOptions)
@single_threaded
def regress(
    model: str, formula: str, data: object, *, surrogates: Mapping[str, Any], **options: Unpack[FitOptions]
) -> Result:
    """Regression in which some variables are known through surrogate labels, and through gold in a sample.

    Parameters
    ----------
    model : {"ols", "logit", "probit", "poisson", "multinomial"}
        Which regression.
    formula : str
        ``"outcome ~ covariates"`` (formulaic syntax; ``offset(x)`` adds an offset). A formula is code: do not fit one
        from somebody you do not trust. Names with spaces, dots or such stand in backticks.
    data : data frame
        pandas, polars or pyarrow table, one row per unit; gold columns are missing where a unit was not labelled.
    surrogates : mapping
        Gold column -> its surrogate(s): a column, a list of columns, an array of N values, or a
        mapping from class to probability column.
    **options
        How to fit.

    Returns
    -------
    Result

    Raises
    ------
    KaratError
        One of its children, naming the argument or column at fault and how to correct it.

    References
    ----------
    Egami, Hinck, Stewart, Wei (2023), *Using imperfect surrogates for downstream inference*;
    Angelopoulos et al. (2023), *Prediction-powered inference*; Chen and Chen (2000).

    Examples
    --------
    >>> import karat as kt
    >>> corpus, truth = kt.datasets.simulate(2000, seed=1)
    >>> sample = kt.SimpleRandom(n=300).draw(corpus, seed=1)
    >>> labelled = kt.datasets.mask_gold(corpus, sample, "hostile")
    >>> fit = kt.regress("ols", "outcome ~ hostile + length", labelled,
    ...                  surrogates={"hostile": "hostile_llm"}, design=sample.design, seed=1)
    >>> fit.coef().index.tolist()
    ['Intercept', 'hostile', 'length']
    """
    arguments = Arguments.of(model, formula, surrogates, options)
    return close_fit(open_fit(arguments, data, PLAIN), steps=PLAIN, assumed=arguments.design is None)
