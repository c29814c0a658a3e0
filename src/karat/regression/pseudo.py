"""A corrected outcome that other software can use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

from .._core.arguments import checked_arguments
from .._core.machine import single_threaded
from ..designs.entries import group_totals
from ..errors import ArgumentError
from ..frames import Table
from ..frames.formula import parse
from ..frames.quoting import masked, quote
from .options import Arguments, FitOptions
from .pipeline import PLAIN, open_fit

if TYPE_CHECKING:
    import pandas as pd

    from .._core.types import Floats
    from ..designs import Labelling

_LATER = "it belongs to the regression that follows"
_REFUSED = {
    **dict.fromkeys(("tuning", "vcov", "weights", "subset", "target", "df", "alpha", "compare", "scores"), _LATER),
    "combine": "predictions are averaged over splits",
    "imputation": "no covariate is labelled",
    "estimator": "learner=None takes the surrogate itself as the prediction",
}


@checked_arguments(FitOptions, refused=_REFUSED)
@single_threaded
def pseudo_outcome(
    formula: str, data: object, *, surrogates: Mapping[str, Any], **options: Unpack[FitOptions]
) -> pd.Series[Any]:
    """A corrected outcome, to be used in other software in place of a labelled one.

    Where only the outcome is labelled and an estimator is linear in it, the correction can be made before the
    regression: ``y* = g + w (y - g)``, with g the prediction of the outcome and w one over the probability of being
    drawn for gold rows, else 0. Its expectation over draws is y, row by row.

    Parameters
    ----------
    formula : str
        The outcome, or ``"outcome ~ covariates"``: covariates, those of the regression to come, help to predict it.
    data : data frame
        As in :func:`regress`.
    surrogates : mapping
        The outcome's column -> its surrogate(s).
    **options
        How gold was drawn and how the outcome is predicted. ``cluster`` keeps each cluster of the regression to come
        in one fold.

    Returns
    -------
    pandas.Series, shape (N,)
        In the order of the rows, with the index of the data where they have one; missing where a row has missing values
        or was shown to the labeller. ``attrs["note"]`` says which standard errors hold; ``attrs["se_ratio"]`` is what
        robust software takes for the standard error of the mean, over the one that honours the design.

    Raises
    ------
    KaratError
        As :func:`regress`; if a covariate is labelled.

    Notes
    -----
    For OLS, fixed effects, 2SLS, differences in differences, AIPW and other estimators that are sums of ``y*`` times
    what is observed; not for logits, quantiles or logarithms of it. The weight of the surrogate is 1. Standard errors
    must be robust (HC, or clustered; by the cluster drawn where clusters were). They are then right for independent
    draws (:class:`karat.Bernoulli`); with fixed sizes they are too large where predictions are off on average, see
    ``se_ratio``. They count all N rows: with few gold rows :func:`ols` has better ones, and degrees of freedom.

    References
    ----------
    Robins, Rotnitzky and Zhao (1994), *Estimation of regression coefficients when some regressors are not always
    observed*; Egami, Hinck, Stewart, Wei (2023).

    Examples
    --------
    >>> import karat as kt
    >>> corpus, truth = kt.datasets.simulate(2000, seed=1)
    >>> sample = kt.SimpleRandom(n=400).draw(corpus, seed=1)
    >>> data = kt.datasets.mask_gold(corpus, sample, "hostile")
    >>> y = kt.pseudo_outcome("hostile ~ length", data, surrogates={"hostile": "hostile_llm"}, design=sample.design,
    ...                       seed=1)
    >>> y.name, len(y), int(y.isna().sum())
    ('hostile_pseudo', 2000, 0)
    >>> print(y.attrs["note"].split(".")[0])
    For estimators that are linear in the outcome, with robust standard errors (HC0 to HC3), clustered or not
    """
    import pandas as pd

    table = Table.read(data)
    if isinstance(formula, str) and "~" not in masked(formula):
        formula = f"{quote(formula) if formula in table.names else formula} ~ 1"
    parsed = parse(formula, table.names, options.get("context"))
    if isinstance(surrogates, Mapping) and (inside := sorted(parsed.covariate_variables & set(map(str, surrogates)))):
        raise ArgumentError(
            f"the covariate {inside[0]!r} of {formula!r} is labelled, and other software takes covariates as they are; "
            "fit with karat.ols. Here the outcome alone may be labelled."
        )
    fit = open_fit(Arguments.of("ols", formula, surrogates, options), table, PLAIN)
    units, gold = fit.prepared.units, fit.matrix.gold.y
    predicted = [block.y if block.share is None else block.share * block.y for block in fit.blocks]
    values = np.sum(predicted, axis=0) if predicted else np.zeros(units.n_units)
    error = gold - values[units.gold]
    values[units.gold] += units.labelling.weight * error
    whole = np.full(table.n_rows, np.nan)
    whole[slice(None) if units.kept is None else units.kept] = values
    native = table.native.to_native()
    index = native.index if isinstance(native, pd.DataFrame) else None
    out = pd.Series(whole, index=index, name=f"{parsed.outcome}_pseudo")
    ratio = _se_ratio(values, error, units.labelling)
    out.attrs |= {
        "note": _note(units.labelling, ratio), "se_ratio": ratio, "n_units": units.n_units,
        "n_gold": units.labelling.n_gold, "design": units.labelling.description,
    }  # fmt: skip
    return out


def _se_ratio(values: Floats, error: Floats, labelling: Labelling) -> float:
    """Standard error of the mean from a plain sandwich, over the one that honours the design."""
    centred, error, unit = (values - values.mean())[:, None], error[:, None], labelling.unit
    squares = float((centred**2).sum() if unit is None else (group_totals(centred, unit) ** 2).sum())
    held = float(labelling.independent_cross(error, error, unit)[0, 0])
    real = float(labelling.cross(error, error)[0, 0])
    proper = max(squares - held, 0.0) + real
    return float(np.sqrt(squares / proper)) if proper > 0 else 1.0


def _note(labelling: Labelling, ratio: float) -> str:
    """Which standard errors hold."""
    kind = "robust standard errors (HC0 to HC3), clustered or not"
    if labelling.unit is not None:
        kind = "standard errors clustered by what was drawn as a whole"
    text = f"For estimators that are linear in the outcome, with {kind}."
    if not labelling.independent:
        text += f" The design has fixed sizes: that of the mean is {ratio:.3f} times what it should be."
    return f"{text} {labelling.caution}".strip()
