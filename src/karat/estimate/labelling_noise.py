"""Small groups: what labelling noise takes from the cross products once fixed effects are taken out.

The effects of a unit are projected from ``x* = h + w d``, with h its predicted row, d the gold row less that, and w
noisy. The quadratic term ``x*' P x*`` is then too large by ``tr{ M^- Var(sum w z) }``, ``z = v D d``, which does not
vanish while groups stay small: an errors-in-variables bias. It is estimated from gold by the design's own variance, and
put back where it matters. The weight of the surrogates then goes to predicted rows with fixed effects of their own,
which the draw does not touch (methods, section 8.2).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..errors import ArgumentError
from .basis import in_basis, to_coefficients
from .rows import Rows
from .within import absorbed, within

if TYPE_CHECKING:
    from .._core.types import Floats, Ints
    from .augment import AugmentedSample, Units

MATTERS = 0.25
"""Bias, in labelling standard errors, from which on it is put right."""

_MOST_EXACT = 4_000
"""Gold units up to which a draw of fixed size or of clusters is taken into account exactly."""


@dataclass(frozen=True)
class Noise:
    """Labelling noise in the cross products of design and outcome.

    Parameters
    ----------
    total : ndarray, shape (p + 1, p + 1)
        What it takes from them, on average over draws; what multiplies the score on the left.
    left : ndarray, shape (n, p)
        Gold rows less predicted rows, what multiplies the score.
    difference : ndarray, shape (n, p + 1)
        Gold rows less predicted rows, design and outcome side by side.
    weight : ndarray, shape (n,)
        ``v^2 D_i' M^- D_i (1 - pi) / pi``: with w times that, differences add up to ``total`` for independent draws.
    control : AugmentedSample
        Predicted rows with fixed effects of their own, in the same coordinates.
    """

    total: Floats
    left: Floats
    difference: Floats
    weight: Floats
    control: AugmentedSample

    def score(self, theta: Floats) -> tuple[Floats, Floats]:
        """What is added to the total score, and to its curvature."""
        return self.total[:-1, -1] - self.total[:-1, :-1] @ theta, self.total[:-1, :-1]

    def rows(self, units: Units, width: int) -> tuple[Rows, Ints, Floats]:
        """What it adds to the curvature as rows of the gold units: these, where they stand, and their weights."""
        x = np.zeros((len(self.weight), width))
        x[:, : self.left.shape[1]] = self.left
        return Rows(x, self.difference[:, -1]), units.gold, self.weight * units.labelling.weight

    def of_units(self, theta: Floats) -> Floats:
        """The same for each gold unit, over its weight w; shape (n, p)."""
        x, y = self.difference[:, :-1], self.difference[:, -1]
        return np.asarray(self.left * (self.weight * (y - x @ theta))[:, None])

    def bias(
        self, inverse: Floats, gap: Floats, sample: AugmentedSample, theta: Floats, weights: Floats | None = None
    ) -> float:
        """Largest bias at weights on the predicted rows (None: 1), in labelling standard errors.

        ``inverse`` and ``gap`` are the inverse curvature and the labelling errors of the gold units at theta.

        At weight 1 it is that of the cross products. Elsewhere ``sum v (w - 1) h`` is not 0 on average either, since
        the effects in h hold the unit's own label.
        """
        labelling = sample.units.labelling
        bias = to_coefficients(sample, self.score(theta)[0] @ inverse.T)
        if weights is not None:
            d, weight = self.difference[:, :-1], self.weight * labelling.weight
            error, rest = self.difference[:, -1] - d @ theta, sample.gold.y - sample.gold.x @ theta
            pulled = (sample.gold.scored - self.left).T @ (weight * error) + self.left.T @ (weight * (rest - error))
            bias += (np.eye(len(weights)) - weights) @ to_coefficients(sample, pulled @ inverse.T)
        gap = to_coefficients(sample, gap)
        size = np.sqrt(np.maximum(np.diag(labelling.cross(gap, gap)), 0.0))
        return float(np.divide(np.abs(bias), size, out=np.zeros_like(size), where=size > 0).max())


def noise_of_labels(sample: AugmentedSample, raw: AugmentedSample, gold_predicted: Rows) -> Noise:
    """Labelling noise of a sample with fixed effects taken out.

    Parameters
    ----------
    sample : AugmentedSample
    raw : AugmentedSample
        The same before effects were taken out.
    gold_predicted : Rows
        The gold units at their predicted labels, averaged over class combinations.

    Raises
    ------
    ArgumentError
        If covariates are labelled and the leverage of the effects is not known.
    """
    units = sample.units
    effects, labelling = units.effects, units.labelling
    assert effects is not None
    difference = np.column_stack([sample.gold.x - gold_predicted.x, sample.gold.y - gold_predicted.y])
    left = sample.gold.scored - gold_predicted.scored
    both = np.column_stack([left, difference[:, -1]])
    if not effects.factored and np.abs(difference[:, :-1]).max() > 1e-9 * np.abs(sample.gold.x).max():
        raise ArgumentError(
            f"covariates are labelled and the fixed effects {' + '.join(effects.names)} have too many levels to tell "
            "what labelling noise does to them; coarsen an effect, or label the outcome alone."
        )
    v, codes = units.gold_analysis_weight, effects.codes[units.gold]
    length = np.zeros(len(v)) if sample.gold.effect is None else np.asarray(sample.gold.effect)
    weight = v**2 * length**2 * labelling.spread / labelling.weight
    if not left.any():  # covariates are observed
        total = np.zeros((difference.shape[1],) * 2)
    elif (labelling.independent and labelling.unit is None) or len(v) > _MOST_EXACT or not effects.factored:
        total = (both * (weight * labelling.weight)[:, None]).T @ difference
    else:
        total = np.zeros((difference.shape[1],) * 2)
        for root in absorbed(raw).projection.roots(codes).T:
            scale = (v * root)[:, None]
            total += labelling.cross(both * scale, difference * scale)
    return Noise(total, left, difference, weight, in_basis(None, within(raw, "surrogate"), sample.basis))
