"""Figures that few pilot units carry lean on what leverage and the average squared error of the outcome say.

Where only the outcome is labelled, a unit's influence on a figure is its reach, ``(Psi x)_j``, times the error of the
outcome. A covariate that is rare in the pilot has few squared errors of its own; what all units say, squared reach
summed over the frame times the mean squared error, is precise, but off by as much as errors are larger or smaller where
the covariate counts. The two are averaged in proportion to their precision, as small areas are in survey sampling (Fay
and Herriot 1979). Contrasts are left as they are: where their coefficients give surrogates different weights, errors
have no common factor.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ..estimate.scores import correction

if TYPE_CHECKING:
    from .._core.types import Floats
    from .profile import Profile

UNEVEN = 0.25
"""By how much squared errors of the outcome are larger or smaller, relatively, where one coefficient counts."""

_USUAL_EFFECTS, _UNSURE_EFFECT = (0.75, 3.0), 0.2
"""What clusters make of a variance: bounds of the median over figures, and how far one figure may differ from it."""


def with_reach(profile: Profile, reach: Floats | None) -> Profile:
    """The profile with the squared reach of all units, its population part leaning on it.

    What clusters add to a thin figure is taken from the median over all figures.

    Parameters
    ----------
    profile : Profile
    reach : ndarray, shape (N, q), or None

    Returns
    -------
    Profile
    """
    if reach is None:
        return profile
    profile = replace(profile, reach=reach)
    population = profile.population
    ones = np.ones(profile.n_gold)
    values = unit_by_unit(profile, profile.score, profile.moment_leverage)
    found = _lean(profile, values, reach, np.ones(profile.n_units), ones, ones)
    if found is None:
        return profile
    lean, whole, square, mean, _ = found
    effect, unsure = 1.0, UNEVEN
    if profile.cluster is not None:
        effect = float(np.clip(np.median(population.value / np.maximum(population.single, 1e-300)), *_USUAL_EFFECTS))
        unsure = float(np.hypot(UNEVEN, _UNSURE_EFFECT))
    alone = effect * whole
    return replace(
        profile,
        population=replace(
            population,
            value=(1.0 - lean) * population.value + lean * alone * mean,
            influence=(1.0 - lean) * population.influence + lean * alone * square / profile.weight.sum(),
            doubt=(1.0 - lean) ** 2 * population.doubt + (lean * unsure * alone * mean) ** 2,
        ),
    )


def lean_on_reach(
    profile: Profile,
    rows: Floats,
    probability: Floats,
    ratio: float,
    factor: Floats,
    expected: Floats | None = None,
) -> tuple[Floats, Floats, Floats]:
    """Draw the labelling variance of thin figures towards what reach says.

    Parameters
    ----------
    profile : Profile
    rows : ndarray, shape (n, q)
        Contributions to the labelling variance.
    probability : ndarray, shape (N,)
        Of the new draw.
    ratio : float
        Rows of the new frame over those of the pilot's.
    factor : ndarray, shape (n,)
        What the covariance of the fit makes of a square.
    expected : ndarray, shape (N,), optional
        Expected squared error of the outcome, up to a factor; by default the same for all.

    Returns
    -------
    rows : ndarray, shape (n, q)
    doubt : ndarray, shape (q,)
        Variance that is not in the rows.
    noise : ndarray, shape (q,)
        Relative variance, over draws like the pilot's, of a labelling variance that does not lean; NaN where nothing
        leans.
    """
    nothing = rows, np.zeros(rows.shape[1]), np.full(rows.shape[1], np.nan)
    if profile.reach is None:
        return nothing
    everywhere = profile.reach if expected is None else profile.reach * expected[:, None]
    multiple = 1.0 / probability - 1.0
    values = unit_by_unit(profile, profile.plain, profile.leverage)
    found = _lean(profile, values, everywhere, multiple, multiple[profile.position], factor)
    if found is None:
        return nothing
    lean, whole, square, mean, noise = found
    return (
        (1.0 - lean) * rows + lean * ratio * whole * square / profile.weight.sum(),
        (lean * UNEVEN * ratio * whole * mean) ** 2,
        np.where(lean > 0, noise, np.nan),
    )


def unit_by_unit(profile: Profile, plain: Floats, leverage: Floats) -> Floats:
    """Scores with a correction that keeps them in proportion to the unit's own reach, unlike a calibration."""
    factor = correction(leverage, profile.reporting.kind)
    return plain if factor is None else plain * factor[:, None]


def _lean(
    profile: Profile, values: Floats, reach: Floats, multiple: Floats, own_multiple: Floats, factor: Floats
) -> tuple[Floats, Floats, Floats, Floats, Floats] | None:
    """Weight of what reach says, squared reach summed over the frame, squared errors, their mean, noise."""
    own = np.maximum(reach[profile.position], 1e-12 * reach.mean(axis=0))
    weight = profile.weight[:, None]
    square = values**2 / own
    mean = (weight * square).sum(axis=0) / weight.sum()
    kurtosis = (weight * square**2).sum(axis=0) / weight.sum() / np.maximum(mean, 1e-300) ** 2
    own = own_multiple[:, None] * own
    carried = (weight * own).sum(axis=0)
    if not (carried > 0).all() or not (mean > 0).all():
        return None
    noise = kurtosis * ((weight * own) ** 2).sum(axis=0) / carried**2
    lean = np.where(profile.involved.sum(axis=1) == 1, noise / (noise + UNEVEN**2), 0.0)
    corrected = (weight * own * factor[:, None]).sum(axis=0) / carried
    return lean, (multiple @ reach) * corrected, square, mean, noise
