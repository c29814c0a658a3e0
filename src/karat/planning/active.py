"""Sizes for unequal probabilities: how much each unit's label matters, from leverage, uncertainty and a pilot."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ArgumentError, DataError
from ..frames.encode import encode
from ..frames.table import as_float
from ..predict.crossfit import scale
from ..regression.design_matrix import with_columns
from .reach import unit_by_unit

if TYPE_CHECKING:
    from .._core.types import Floats
    from ..frames import Table
    from ..results import Result
    from .profile import Profile

_PENALTIES = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
_FOLDS = 5
_OWN_LABEL = 1.5
"""By how much a pilot unit's own label may change its size: beyond, a fold was too thin."""

_BELIEVED = (0.1, 10.0)
"""Bounds of a learnt squared error, relative to its mean."""

_MOST_SPREAD = 30.0
"""Ratio of the largest size to the median, and of the median to the smallest, at most."""


@dataclass(frozen=True, eq=False)
class Sizing:
    """Sizes of units for unequal probabilities.

    Parameters
    ----------
    size : ndarray, shape (N,)
    honest : ndarray, shape (N,)
        The same, but for pilot units learnt without their own error.
    expected : ndarray, shape (N,), or None
        Expected squared error of the outcome, up to a factor, for pilot units learnt without their own; None where a
        covariate is labelled.
    """

    size: Floats
    honest: Floats
    expected: Floats | None


def sizes(
    result: Result,
    profile: Profile,
    table: Table,
    aims: Floats,
    features: Any,
    probability: Any,
    seed: int,
) -> Sizing:
    """``u_i``, the root of the expected weighted squared labelling error of each unit.

    ``u_i^2 = E[ sum_j a_j e_ij^2 | what is known of i ]``. Without labelled covariates ``e_i = Psi x_i`` times the
    error of the outcome, so the leverage ``sum_j a_j (Psi x_i)_j^2`` is known and only the squared error of the outcome
    is learnt from the pilot (or taken as ``p (1 - p)`` from a given probability). Otherwise the whole is learnt. The
    model is a Poisson quasi-likelihood with log link and ridge penalty, the penalty chosen by cross-validation.

    Parameters
    ----------
    result : Result
    profile : Profile
    table : Table
        N rows.
    aims : ndarray, shape (q,)
        Weights a.
    features : list or None
        Columns or arrays the squared error may depend on; None for those of the formula and the surrogates.
    probability : str, array_like or None
        Predicted probability of class 1 of the labelled outcome.
    seed : int

    Returns
    -------
    Sizing
    """
    leverage = None if profile.reach is None else profile.reach @ aims
    p = None if probability is None else _probability(probability, table)
    if leverage is not None and p is not None and _outcome_only(result):
        size = np.sqrt(leverage * p * (1.0 - p))
        size = np.clip(size, *_limits(size))
        return Sizing(size, size, p * (1.0 - p))
    square = unit_by_unit(profile, profile.plain, profile.leverage) ** 2 @ aims
    known = np.ones(table.n_rows) if leverage is None else np.maximum(leverage, 1e-6 * leverage.mean())
    matrix = _features(result, profile, table, aims, features, p, leverage)
    ratio = square / known[profile.position]
    ratio = ratio / np.average(ratio, weights=profile.weight)
    learnt, apart = _learn(matrix, profile.position, ratio, profile.weight, seed)
    size, honest = np.sqrt(known * learnt), np.sqrt(known * learnt)
    honest[profile.position] = np.sqrt(known[profile.position] * apart)
    honest = np.clip(honest, size / _OWN_LABEL, size * _OWN_LABEL)
    bound = _limits(size)
    expected = None if leverage is None else honest**2 / known
    return Sizing(np.clip(size, *bound), np.clip(honest, *bound), expected)


def squared_reach(result: Result, profile: Profile, table: Table, context: Any) -> Floats | None:
    """``(Psi x_i)_j^2``, the squared influence of an error in the outcome on each figure.

    Parameters
    ----------
    result : Result
    profile : Profile
    table : Table
        N rows.
    context : mapping or None
        Functions the formula uses.

    Returns
    -------
    ndarray, shape (N, q), or None
        None where a covariate is labelled, surrogates have a full matrix of weights or the outcome has several classes,
        so that labelling errors are not this influence times one error, or where the fit does not say.
    """
    parts, spec, call = result.parts, result.spec, result.call
    if parts is None or spec is None or call is None or "surrogates" not in call.arguments:
        return None
    if "full" in result.choice or len(spec.names) != len(spec.columns):
        return None
    if {str(name) for name in call.arguments["surrogates"]} & spec.parsed.covariate_variables:
        return None
    frame = table.pandas(sorted(spec.parsed.covariate_variables), "formula")
    x = spec.x(with_columns(frame, {}, table.n_rows), context)
    found: Floats = (x @ np.linalg.inv(parts.curvature).T @ profile.matrix.T) ** 2
    return found


def _outcome_only(result: Result) -> bool:
    assert result.spec is not None
    assert result.call is not None
    names = {str(name) for name in result.call.arguments["surrogates"]}
    return len(names) == 1 and names == set(result.spec.parsed.outcome_variables)


def _probability(given: Any, table: Table) -> Floats:
    """A probability for each row, strictly between 0 and 1."""
    name = given if isinstance(given, str) else "probability"
    p = as_float(table.values(given, "probability"), name, "probability")
    if np.isnan(p).any() or (p < 0).any() or (p > 1).any():
        raise DataError(f"probability {name!r} must lie between 0 and 1 in every row; correct it.")
    return np.clip(p, 0.005, 0.995)


def _features(
    result: Result, profile: Profile, table: Table, aims: Floats, given: Any, p: Floats | None, leverage: Floats | None
) -> Floats:
    """Scaled features of all units for the squared error."""
    columns: list[tuple[str, Any, bool]] = []
    for k, item in enumerate(_listed(result, given)):
        if isinstance(item, str):
            columns.append((item, table.column(item, "features"), True))
        else:
            columns.append((f"feature {k + 1}", table.values(item, "features"), True))
    if p is not None:
        columns.append(("log of p (1 - p)", np.log(p * (1.0 - p)), False))
    if leverage is None:
        columns.append(("log of the predicted score", _predicted_score(result, profile, aims), False))
    if not columns:
        raise ArgumentError("there is nothing to steer by: name features= (surrogates, confidence, covariates).")
    matrix = encode(columns, table.n_rows).matrix
    numbers = [j for j in range(matrix.shape[1]) if len(np.unique(matrix[:1_000, j])) > 2]
    return scale(np.column_stack([matrix, scale(matrix[:, numbers]) ** 2]))


def _listed(result: Result, given: Any) -> list[Any]:
    if given is not None:
        return [given] if isinstance(given, str) or hasattr(given, "shape") else list(given)
    if result.call is None or result.spec is None:
        raise ArgumentError("this fit does not say which surrogates it used; name features=.")
    found: list[Any] = []
    surrogates = result.call.arguments.get("surrogates", {})
    for value in surrogates.values():
        for item in [value] if isinstance(value, (str, dict)) else value:
            found += list(item.values()) if isinstance(item, dict) else [item]
    found += sorted(result.spec.parsed.variables - {str(name) for name in surrogates})
    return list(dict.fromkeys(found))


def _predicted_score(result: Result, profile: Profile, aims: Floats) -> Floats:
    """Log of the weighted square of the predicted moment of all units; of gold units without their gold, shape (N,)."""
    parts = result.parts
    assert parts is not None
    if parts.scores.rows is not None:
        return np.zeros(profile.n_units)
    predicted = parts.scores.influence().copy()
    predicted[profile.position] -= profile.weight[:, None] * parts.scores.error
    square: Floats = (predicted @ profile.matrix.T) ** 2 @ aims
    return np.log(square + 1e-3 * square.mean())


def _learn(matrix: Floats, gold: Any, ratio: Floats, weight: Floats, seed: int) -> tuple[Floats, Floats]:
    """Expected ratio for all units, and for gold units out of fold."""
    from sklearn.linear_model import PoissonRegressor
    from sklearn.model_selection import KFold

    x = matrix[gold]
    weight = np.minimum(weight, np.quantile(weight, 0.9))
    weight = weight / weight.mean()
    top = float(np.quantile(ratio, 0.99))
    target = np.minimum(ratio, max(top, 1e-12))
    folds = list(KFold(_FOLDS, shuffle=True, random_state=seed).split(x))
    best, least, apart = _PENALTIES[-1], np.inf, np.ones(len(ratio))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for penalty in _PENALTIES:
            predicted = np.empty(len(ratio))
            for into, out in folds:
                model = PoissonRegressor(alpha=penalty, max_iter=500).fit(x[into], target[into], weight[into])
                predicted[out] = np.maximum(model.predict(x[out]), 1e-6)
            deviance = float(np.average(predicted - target * np.log(predicted), weights=weight))
            if deviance < least:
                best, least, apart = penalty, deviance, predicted
        whole = PoissonRegressor(alpha=best, max_iter=500).fit(x, target, weight).predict(matrix)
    return np.clip(whole, *_BELIEVED), np.clip(apart, *_BELIEVED)


def _limits(size: Floats) -> tuple[float, float]:
    middle = float(np.median(size))
    return middle / _MOST_SPREAD, middle * _MOST_SPREAD
