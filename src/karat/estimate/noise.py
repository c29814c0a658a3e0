"""Labelling noise in cross products once fixed effects are taken out, as a fit carries it along."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .rows import Rows

if TYPE_CHECKING:
    from .._core.types import Floats, Ints
    from .augment import AugmentedSample, Units


@dataclass(frozen=True)
class Noise:
    """Labelling noise in the cross products of design and outcome.

    Parameters
    ----------
    total : ndarray, shape (p + 1, p + 1)
        What it takes from them, on average over draws.
    difference : ndarray, shape (n, p + 1)
        Gold rows less predicted rows, design and outcome side by side.
    weight : ndarray, shape (n,)
        ``v^2 D_i' M^- D_i (1 - pi) / pi``: with w times that, differences add up to ``total`` for independent draws.
    control : AugmentedSample
        Predicted rows with fixed effects of their own, in the same coordinates.
    """

    total: Floats
    difference: Floats
    weight: Floats
    control: AugmentedSample

    def score(self, theta: Floats) -> tuple[Floats, Floats]:
        """What is added to the total score, and to its curvature."""
        return self.total[:-1, -1] - self.total[:-1, :-1] @ theta, self.total[:-1, :-1]

    def rows(self, units: Units, width: int) -> tuple[Rows, Ints, Floats]:
        """What it adds to the curvature as rows of the gold units: these, where they stand, and their weights."""
        x = np.zeros((len(self.weight), width))
        x[:, : self.difference.shape[1] - 1] = self.difference[:, :-1]
        return Rows(x, self.difference[:, -1]), units.gold, self.weight * units.labelling.weight

    def of_units(self, theta: Floats) -> Floats:
        """The same for each gold unit, over its weight w; shape (n, p)."""
        x, y = self.difference[:, :-1], self.difference[:, -1]
        return np.asarray(x * (self.weight * (y - x @ theta))[:, None])
