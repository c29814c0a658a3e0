"""Expected outcomes for new rows."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import DataError, KaratError

if TYPE_CHECKING:
    import pandas as pd

    from .._core.types import Floats
    from ..frames import Table
    from ..moments import Model
    from .result import Result


def _refuse(result: Result, regression: Model) -> None:
    """Raise where nothing can be predicted."""
    if not regression.predicts:
        raise KaratError(
            f"{result.formula!r} ({result.title}) leaves the baseline hazard open, so that it predicts no durations; "
            "read survival curves off kt.survival(fit, new), hazard ratios off .ratios(), or use kt.rmst for mean "
            "durations."
        )
    _refuse_formula(result)


def _refuse_formula(result: Result) -> None:
    """Raise where the formula says nothing of new rows."""
    from ..frames.formula import AGGREGATE

    if result.spec is None:
        raise KaratError("a Result read from JSON does not hold its formula's machinery; pickle the Result to predict.")
    if result.spec.parsed.endogenous:
        raise KaratError(
            f"{result.spec.parsed.text!r} has instruments: its coefficients say what changes when the endogenous "
            "covariate is moved, not what outcome goes with it, so nothing is predicted; use kt.ols for predictions."
        )
    if result.spec.parsed.effects:
        raise KaratError(
            f"{result.spec.parsed.text!r} has fixed effects, whose levels are taken out and not estimated, so no "
            "outcome can be predicted; write them as covariates, C(column), to predict."
        )
    if AGGREGATE.search(result.spec.parsed.code):
        raise _whole_columns(result)


def predict(result: Result, new: object, alpha: float, context: Any) -> pd.DataFrame:
    """Expected outcome, its standard error (delta method) and interval.

    Parameters
    ----------
    result : Result
    new : data frame
        Covariates of m rows.
    alpha : float
    context : mapping or None

    Returns
    -------
    pandas.DataFrame, shape (m, 4)
        Of an outcome with K classes the probabilities of all, shape (m, 4 K); columns are figure and class.

    Raises
    ------
    KaratError
        If the result was read from JSON, or covariates are missing.
    """
    import pandas as pd
    from scipy.stats import t

    from .. import moments as models

    regression = models.fitted(result.model)
    _refuse(result, regression)
    assert result.spec is not None
    x, offset, _ = design_rows(result, new, context)
    if result.spec.classes:
        return _class_probabilities(result, x, offset, alpha)
    regression = models.get(result.model)
    if regression.first is not None:  # the mean depends on the first predictor alone
        x = x[:, regression.first]
    p = x.shape[1]
    covariance, eta = result.covariance[:p, :p], x @ result.theta[:p]
    if offset is not None:
        eta = eta + offset
    unknown = ~np.isfinite(np.diag(covariance))
    se = np.sqrt(np.einsum("ij,jk,ik->i", x, np.nan_to_num(covariance), x))
    se[np.abs(x[:, unknown]).sum(axis=1) > 0] = np.nan
    df = np.where(x != 0, result.df[:p], np.inf).min(axis=1)
    half = t.ppf(1 - alpha / 2, df) * se
    fit, slope = regression.mean(eta)
    low, _ = regression.mean(eta - half)
    high, _ = regression.mean(eta + half)
    return pd.DataFrame(
        {
            "fit": fit,
            "se": slope * se,
            f"{100 * alpha / 2:.6g}%": low,
            f"{100 * (1 - alpha / 2):.6g}%": high,
        }
    )


def design_rows(result: Result, new: object, context: Any) -> tuple[Floats, Floats | None, Table]:
    """Design matrix, offsets and table of new rows; without an intercept where the model has none.

    Raises
    ------
    KaratError
        If covariates are missing, a category is none of the fit, or the formula looks at whole columns.
    """
    import pandas as pd

    from ..frames import Table

    _refuse_formula(result)
    assert result.spec is not None
    table = Table.read(new)
    names = sorted(result.spec.parsed.covariate_variables)
    frame = table.pandas(names, "new data: the formula")
    for name in names:
        if frame[name].isna().any():
            raise DataError(f"new data: {name!r} is missing in {int(frame[name].isna().sum())} row(s); fill it.")
    if not names:
        return np.ones((table.n_rows, 1)), result.spec.offset(pd.DataFrame(index=range(table.n_rows)), context), table
    return _known_rows(result, frame, context), result.spec.offset(frame, context), table


def _whole_columns(result: Result) -> KaratError:
    """The error for a formula that makes of a row what depends on other rows."""
    assert result.spec is not None
    return KaratError(
        f"{result.spec.parsed.text!r} looks at a whole column, which means something else on new rows; fit with "
        "center(x), scale(x) or fixed numbers to predict."
    )


def _refuse_other_rows(result: Result, frame: pd.DataFrame, x: Floats, context: Any) -> None:
    """Raise where a function gives a row another value in other company.

    Raises
    ------
    KaratError
    """
    from ..frames.formula import row_by_row

    assert result.spec is not None
    if row_by_row(result.spec.parsed):
        return
    some = np.arange(len(frame))[::-2] if len(frame) > 2 else np.array([0, 0])
    few = frame.iloc[some].reset_index(drop=True)
    if len(frame) <= 2:  # in the company of itself with numbers moved
        numbers = [name for name in few.columns if few[name].dtype.kind in "iuf"]
        few, some = few.assign(**{name: few[name] + np.array([0.0, 1.0]) for name in numbers}), some[:1]
    try:
        apart = result.spec.x(few, context)[: len(some)]
    except KaratError:  # a function of as many rows as there are, or not of a number moved by one
        return
    if not np.allclose(apart, x[some], rtol=1e-9, atol=1e-12):
        raise _whole_columns(result)


def _known_rows(result: Result, frame: pd.DataFrame, context: Any) -> Floats:
    """Design matrix of new rows; a category the fit has not seen is refused (formulaic only warns)."""
    from formulaic.errors import DataMismatchWarning

    assert result.spec is not None
    with warnings.catch_warnings():
        warnings.simplefilter("error", DataMismatchWarning)
        try:
            x = result.spec.x(frame, context)
            _refuse_other_rows(result, frame, x, context)
            return x
        except DataMismatchWarning as error:
            raise DataError(f"new data: {error} Predict for categories that were in the data of the fit.") from None


def _class_probabilities(result: Result, x: Floats, offset: Floats | None, alpha: float) -> pd.DataFrame:
    """Probability of each class, with intervals made on the scale of its own log odds."""
    import pandas as pd
    from scipy.special import expit, logit
    from scipy.stats import t

    from .. import moments as models
    from ..estimate import index

    assert result.spec is not None
    classes, model = result.spec.classes, models.get(result.model)
    p, slope = model.mean(index.predictors(x, result.theta, offset, model.first).reshape(len(x), -1))
    gradient = np.stack([index.scores(x, slope[:, k], model.first) for k in range(p.shape[1])], axis=1)
    unknown = ~np.isfinite(np.diag(result.covariance))
    se = np.sqrt(np.einsum("mka,ab,mkb->mk", gradient, np.nan_to_num(result.covariance), gradient))
    se[(gradient[:, :, unknown] != 0).any(axis=2)] = np.nan
    half = t.ppf(1 - alpha / 2, np.where(gradient != 0, result.df, np.inf).min(axis=2))
    with np.errstate(divide="ignore", invalid="ignore"):
        half = half * se / (p * (1 - p))
        parts = {"fit": p, "se": se, f"{100 * alpha / 2:.6g}%": expit(logit(p) - half)}
        parts[f"{100 * (1 - alpha / 2):.6g}%"] = expit(logit(p) + half)
    return pd.concat({name: pd.DataFrame(part, columns=list(classes)) for name, part in parts.items()}, axis=1)
