"""How far an error in the outcome of each unit reaches: thin figures lean on it, unequal probabilities follow it.

Where only the outcome is labelled, a unit's influence on a figure is its reach, ``(Psi x)_j``, times the error of the
outcome. A covariate that is rare in the pilot has few squared errors of its own; what all units say, squared reach
summed over the frame times the mean squared error, is precise, but off by as much as errors are larger or smaller where
the covariate counts. The two are averaged in proportion to their precision, as small areas are in survey sampling (Fay
and Herriot 1979). Contrasts are left as they are: where their coefficients give surrogates different weights, errors
have no common factor.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .._core.types import Floats, Ints
from ..errors import ArgumentError, DataError
from ..estimate.scores import correction
from ..frames import Table
from ..frames.matrices import encode
from ..frames.table import as_float
from ..predict.crossfit import scale
from ..regression.design_matrix import with_columns
from ..results import Result
from .pilot import BORROWED, Profile, effective_counts

UNEVEN = 0.25
"""By how much squared errors of the outcome are larger or smaller, relatively, where one coefficient counts."""

_USUAL_EFFECTS, _UNSURE_EFFECT = (0.75, 3.0), 0.2
"""What clusters make of a variance: bounds of the median over figures, and how far one figure may differ from it."""


_PENALTIES = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
_FOLDS = 5
_CONTRADICTS = 25.0
"""Squared error of a unit that a figure it hardly reaches may show, relative to that of the figure it reaches most."""

_OWN_LABEL = 1.5
"""By how much a pilot unit's own label may change its size: beyond, a fold was too thin."""

_BELIEVED = (0.1, 10.0)
"""Bounds of a learnt squared error, relative to its mean."""

_MOST_SPREAD = 30.0
"""Ratio of the largest size to the median, and of the median to the smallest, at most."""


def squared_reach(result: Result, profile: Profile, table: Table, context: Any) -> Floats | None:
    """``(Psi x_i)_j^2``, the squared influence of an error in the outcome on each figure.

    Shape (N, q); None where a covariate is labelled, surrogates have a full matrix of weights or the outcome has
    several classes, so that labelling errors are not this influence times one error, or where the fit does not say: it
    keeps no rows with fixed effects taken out.
    """
    parts, spec, call = result.parts, result.spec, result.call
    if parts is None or spec is None or call is None or "surrogates" not in call.arguments:
        return None
    if spec.parsed.effects or "full" in result.choice or len(spec.names) != len(spec.columns):
        return None
    if {str(name) for name in call.arguments["surrogates"]} & spec.parsed.covariate_variables:
        return None
    frame = table.pandas(sorted(spec.parsed.covariate_variables), "formula")
    x = spec.x(with_columns(frame, {}, table.n_rows), context)
    return (x @ np.linalg.inv(parts.curvature).T @ profile.matrix.T) ** 2


def with_reach(profile: Profile, reach: Floats | None) -> Profile:
    """The profile with the squared reach of all units, its population part leaning on it.

    What clusters add to a thin figure is taken from the median over all figures.
    """
    if reach is None:
        return profile
    profile = replace(profile, reach=reach)
    population = profile.population
    every, gold = np.ones(profile.n_units), np.ones(profile.n_gold)
    values = unit_by_unit(profile, profile.score, profile.moment_leverage)
    found = _lean(profile, values, every, every, gold, gold)
    if found is None:
        return profile
    lean, whole, square, mean, _ = found
    effect, unsure = 1.0, UNEVEN
    if profile.cluster is not None:
        effect = float(np.clip(np.median(population.value / np.maximum(population.single, 1e-300)), *_USUAL_EFFECTS))
        unsure = float(np.hypot(UNEVEN, _UNSURE_EFFECT))
    alone = effect * whole
    value = (1.0 - lean) * population.value + lean * alone * mean
    influence = (1.0 - lean) * population.influence + lean * alone * square
    doubt = (1.0 - lean) ** 2 * population.doubt + (lean * unsure * alone * mean) ** 2
    return replace(profile, population=replace(population, value=value, influence=influence, doubt=doubt))


def lean_on_reach(
    profile: Profile, rows: Floats, probability: Floats, ratio: float, factor: Floats, expected: Floats | None = None
) -> tuple[Floats, Floats, Floats]:
    """Draw the labelling variance of thin figures towards what reach says.

    ``rows`` (n, q) are contributions to the labelling variance, ``probability`` (N,) that of the new draw, ``factor``
    (n,) what the covariance of the fit makes of a square, ``expected`` (N,) the expected squared error of the outcome
    up to a factor (by default the same for all). Gives the rows; the variance that is not in them; and the relative
    variance, over draws like the pilot's, of a labelling variance that does not lean (NaN where nothing leans).
    """
    nothing = rows, np.zeros(rows.shape[1]), np.full(rows.shape[1], np.nan)
    if profile.reach is None:
        return nothing
    expected = np.ones(profile.n_units) if expected is None else expected
    multiple = 1.0 / probability - 1.0
    values = unit_by_unit(profile, profile.plain, profile.leverage)
    found = _lean(profile, values, expected, multiple, multiple[profile.position], factor)
    if found is None:
        return nothing
    lean, whole, square, mean, noise = found
    return (
        (1.0 - lean) * rows + lean * ratio * whole * square,
        (lean * UNEVEN * ratio * whole * mean) ** 2,
        np.where(lean > 0, noise, np.nan),
    )


def by_stratum(profile: Profile, code: Ints, expected: Floats | None = None) -> Floats | None:
    """Expected squared error of the outcome of each unit, up to a factor, corrected by what its stratum shows, (N,).

    Where a design draws few units from some strata, their own squared errors decide, not the average. The correction is
    the mean over pilot units of the stratum relative to all, as if ``BORROWED`` more units had shown none.
    """
    if profile.reach is None:
        return expected
    base = np.ones(profile.n_units) if expected is None else expected
    reach = profile.reach * base[:, None]
    _, _, found = _squares(profile, unit_by_unit(profile, profile.plain, profile.leverage), reach)
    inside, weight = code[profile.position], profile.weight
    total, effective = effective_counts(inside, weight, int(code.max()) + 1)
    mean = np.bincount(inside, weights=weight * found, minlength=len(total)) / np.where(total > 0, total, 1.0)
    overall = float(weight @ found / weight.sum())
    if not overall > 0:
        return base
    return np.asarray(base * ((effective * mean / overall + BORROWED) / (effective + BORROWED))[code])


def unit_by_unit(profile: Profile, plain: Floats, leverage: Floats) -> Floats:
    """Scores with a correction that keeps them in proportion to the unit's own reach, unlike a calibration."""
    factor = correction(leverage, profile.reporting.kind)
    return plain if factor is None else plain * factor[:, None]


def _squares(profile: Profile, values: Floats, reach: Floats) -> tuple[Floats, Floats, Floats]:
    """Squared reach of gold units, squared errors of the outcome that each figure shows, and the best told, (n,)."""
    own = np.maximum(reach[profile.position], 1e-12 * reach.mean(axis=0))
    square = values**2 / own
    clearest = (own / reach.mean(axis=0)).argmax(axis=1)
    best = np.take_along_axis(square, clearest[:, None], 1)
    known = np.maximum(best, (profile.weight @ best) / profile.weight.sum())
    return own, np.where(square > _CONTRADICTS * known, best, square), best[:, 0]


def _lean(
    profile: Profile, values: Floats, expected: Floats, multiple: Floats, own_multiple: Floats, factor: Floats
) -> tuple[Floats, Floats, Floats, Floats, Floats] | None:
    """Weight of what reach says; squared reach, times what is expected, summed over the frame; level; noise.

    The level is total squared errors over total expected ones; the third part is what gold units add to it.
    """
    assert profile.reach is not None
    reach = profile.reach * expected[:, None]
    own, square, _ = _squares(profile, values, reach)
    weight, usual = profile.weight[:, None], profile.weight @ expected[profile.position]
    share = square * expected[profile.position][:, None] / usual
    level = (weight * share).sum(axis=0)
    mean = (weight * square).sum(axis=0) / weight.sum()
    kurtosis = (weight * square**2).sum(axis=0) / weight.sum() / np.maximum(mean, 1e-300) ** 2
    own = own_multiple[:, None] * own
    carried = (weight * own).sum(axis=0)
    if not (carried > 0).all() or not (mean > 0).all():
        return None
    noise = kurtosis * ((weight * own) ** 2).sum(axis=0) / carried**2
    lean = np.where(profile.involved.sum(axis=1) == 1, noise / (noise + UNEVEN**2), 0.0)
    corrected = (weight * own * factor[:, None]).sum(axis=0) / carried
    return lean, (multiple @ reach) * corrected, share, level, noise


@dataclass(frozen=True, eq=False)
class Sizing:
    """Sizes of units for unequal probabilities, each (N,).

    In ``honest`` the sizes of pilot units were learnt without their own error. ``expected`` is the squared error of the
    outcome expected of each unit, up to a factor, in the same way; None where a covariate is labelled.
    """

    size: Floats
    honest: Floats
    expected: Floats | None


def sizes(
    result: Result, profile: Profile, table: Table, aims: Floats, features: Any, probability: Any, seed: int
) -> Sizing:
    """``u_i``, the root of the expected weighted squared labelling error of each unit.

    ``u_i^2 = E[ sum_j a_j e_ij^2 | what is known of i ]``. Without labelled covariates ``e_i = Psi x_i`` times the
    error of the outcome, so the leverage ``sum_j a_j (Psi x_i)_j^2`` is known and only the squared error of the outcome
    is learnt from the pilot (or taken as ``p (1 - p)`` from a given probability). Otherwise the whole is learnt. The
    model is a Poisson quasi-likelihood with log link and ridge penalty, the penalty chosen by cross-validation.
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
            columns.append((item, table.column(item, "error_features"), True))
        else:
            columns.append((f"feature {k + 1}", table.values(item, "error_features"), True))
    if p is not None:
        columns.append(("log of p (1 - p)", np.log(p * (1.0 - p)), False))
    if leverage is None:
        columns.append(("log of the predicted score", _predicted_score(result, profile, aims), False))
    if not columns:
        raise ArgumentError("there is nothing to steer by: name error_features= (surrogates, confidence, covariates).")
    matrix = encode(columns, table.n_rows).matrix
    numbers = [j for j in range(matrix.shape[1]) if len(np.unique(matrix[:1_000, j])) > 2]
    return scale(np.column_stack([matrix, scale(matrix[:, numbers]) ** 2]))


def _listed(result: Result, given: Any) -> list[Any]:
    if given is not None:
        return [given] if isinstance(given, str) or hasattr(given, "shape") else list(given)
    if result.call is None or result.spec is None:
        raise ArgumentError("this fit does not say which surrogates it used; name error_features=.")
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
    if parts.scores.gold_alone:
        return np.zeros(profile.n_units)
    scores = parts.scores.written_out()
    predicted = scores.influence().copy()
    predicted[profile.position] -= profile.weight[:, None] * scores.error
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
