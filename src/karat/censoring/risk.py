"""Risk and calibration of predictions under censoring."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .._core.arguments import checked_arguments
from .._core.types import Floats
from ..errors import ArgumentError, DataError, check_alpha, whole
from .weights import CensoringWeights

if TYPE_CHECKING:
    import pandas as pd


@checked_arguments()
def censored_risk(
    prediction: object, time: object, event: object, fitted: CensoringWeights, *, covariates: object = None,
    weights: object = None,
) -> float:  # fmt: skip
    """Mean squared error of predicted durations up to tau, of rows some of which are censored.

    Parameters
    ----------
    prediction : array_like, shape (m,)
        Predicted restricted means, from any model.
    time, event : array_like, shape (m,)
        Durations of the rows predicted.
    fitted : CensoringWeights
        From the training rows: the horizon and G come from there, so that models are held against one distribution.
    covariates : array_like, shape (m,) or (m, q), optional
        V of the rows predicted, where G depends on it.
    weights : array_like, shape (m,), optional
        Sampling weights.

    Returns
    -------
    float
        sum_i w_i Delta_i / G(U_i- | V_i) (min(U_i, tau) - prediction_i)^2 over the sum of the weights.

    Raises
    ------
    ArgumentError
        If lengths differ.
    DataError
        If no row is complete.

    References
    ----------
    Ausset, Clemencon, Portier (2022), *Empirical risk minimization under random censorship*, JMLR 23.

    Examples
    --------
    >>> import karat as kt
    >>> time, event = [1.0, 2.0, 2.0, 3.0], [1, 0, 1, 1]
    >>> fitted = kt.censoring.weights(time, event, tau=3.0)
    >>> censored_risk([1.5, 2.0, 2.0, 2.0], time, event, fitted)
    0.5625
    """
    w = fitted.weigh(time, event, covariates)
    if weights is not None:
        w = w * np.asarray(weights, dtype=np.float64)
    restricted = np.minimum(np.asarray(time, dtype=np.float64), fitted.tau)
    predicted = np.asarray(prediction, dtype=np.float64)
    if predicted.shape != restricted.shape:
        raise ArgumentError(f"prediction has shape {predicted.shape} but time has shape {restricted.shape}.")
    return weighted_mean((restricted - predicted) ** 2, w)


def weighted_mean(values: Floats, weight: Floats) -> float:
    """Mean of values by weight; rows of weight 0 may hold anything.

    >>> weighted_mean(np.array([1.0, 3.0]), np.array([3.0, 1.0]))
    1.5
    """
    used = weight > 0
    if not used.any():
        raise DataError("no row is complete: every duration is censored before tau, so that none can be scored.")
    return float(weight[used] @ values[used] / weight[used].sum())


@checked_arguments()
def calibration(
    prediction: object, observed: object, weights: object, *, n_bins: int = 10, alpha: float = 0.05
) -> pd.DataFrame:
    """Predicted against observed means in bins of the prediction.

    Parameters
    ----------
    prediction : array_like, shape (m,)
    observed : array_like, shape (m,)
        min(U, tau), or any quantity known in rows of positive weight.
    weights : array_like, shape (m,)
        Censoring weights, 0 for incomplete rows, times sampling weights if there are any.
    n_bins : int
        At most this many, with equal numbers of rows; equal predictions stay together.
    alpha : float
        The intervals have level 1 - alpha.

    Returns
    -------
    pandas.DataFrame
        One line per bin: ``predicted`` and ``observed`` (weighted means over complete rows), ``std. error``, ``low``,
        ``high``, ``rows``, ``complete``. The interval is that of a weighted mean, with G taken as known; a bin with
        fewer than two complete rows has none.

    Raises
    ------
    ArgumentError
        If shapes differ or ``n_bins`` is not a positive whole number.
    DataError
        If no row is complete.

    Examples
    --------
    >>> table = calibration([1.0, 1.0, 2.0, 2.0], [1.0, 2.0, 2.0, 3.0], [1.0, 1.0, 1.0, 3.0], n_bins=2)
    >>> table["observed"].tolist()
    [1.5, 2.75]
    """
    import pandas as pd
    from scipy.stats import norm

    predicted, known, w = (np.asarray(a, dtype=np.float64) for a in (prediction, observed, weights))
    if not predicted.shape == known.shape == w.shape or predicted.ndim != 1:
        raise ArgumentError(
            f"prediction, observed and weights have shapes {predicted.shape}, {known.shape} and {w.shape}; give one "
            "number per row."
        )
    n_bins = whole("n_bins", n_bins, least=1)
    check_alpha(alpha)
    if not (w > 0).any():
        raise DataError("no row is complete: every duration is censored before tau, so that none can be compared.")
    edges = np.unique(np.quantile(predicted, np.arange(1, n_bins) / n_bins))
    code = np.searchsorted(edges, predicted, side="left")
    z = float(norm.isf(alpha / 2))
    lines = [_bin(predicted[rows], known[rows], w[rows], z) for g in np.unique(code) if (rows := code == g).any()]
    return pd.DataFrame(lines)


def _bin(predicted: Floats, known: Floats, w: Floats, z: float) -> dict[str, Any]:
    used = w > 0
    line: dict[str, Any] = {"predicted": float(predicted.mean()), "observed": np.nan, "std. error": np.nan}
    if used.any():
        share = w[used] / w[used].sum()
        line["predicted"] = float(share @ predicted[used])
        line["observed"] = observed = float(share @ known[used])
        if (n := int(used.sum())) > 1:
            line["std. error"] = float(np.sqrt(n / (n - 1) * (share**2 @ (known[used] - observed) ** 2)))
    line["low"] = line["observed"] - z * line["std. error"]
    line["high"] = line["observed"] + z * line["std. error"]
    return line | {"rows": len(w), "complete": int(used.sum())}
