"""The augmented sample: every unit with its predicted labels, gold units once more with their gold labels.

Unit i enters with its predicted rows, weight ``v_i (1 - w_i)``, and, if gold, with its gold row,
weight ``v_i w_i``, where ``w_i = R_i / pi_i``. The weights of a unit sum to its analysis
weight ``v_i`` whatever the prediction.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from .._core.types import Floats, Ints
    from ..designs import Labelling


@dataclass(frozen=True)
class Rows:
    """Rows of a regression.

    Parameters
    ----------
    x : ndarray, shape (m, p)
        Design matrix.
    y : ndarray, shape (m,)
        Outcome; of a category the shares of all classes but the first, shape (m, K - 1).
    offset : ndarray, shape (m,), optional
        Added to the linear predictor.
    share : ndarray, shape (m,), optional
        Probability of the class combination this row represents; None means 1.
    """

    x: Floats
    y: Floats
    offset: Floats | None = None
    share: Floats | None = None

    def take(self, positions: Ints) -> Rows:
        """The rows at some positions."""
        return Rows(
            self.x[positions],
            self.y[positions],
            None if self.offset is None else self.offset[positions],
            None if self.share is None else self.share[positions],
        )


@dataclass(frozen=True)
class AugmentedSample:
    """Gold rows, predicted rows, and how the gold was drawn.

    Parameters
    ----------
    gold : Rows
        n rows with gold labels, in row order.
    predicted : tuple of Rows
        One block of N rows per class combination; the shares of a unit add up to 1. Empty
        for the gold-only estimator.
    labelling : Labelling
        The draw, N units.
    weights : ndarray, shape (N,), optional
        Analysis weights v; None means 1.
    cluster : ndarray of int, shape (N,) or (N, 2), optional
        Analysis cluster codes, of one or two ways.
    names : tuple of str
        Names of the p columns of the design.
    basis : ndarray, shape (p, p), or None
        Coordinates T of the design matrices, which are then ``x T``; None where they are the user's columns.

    Examples
    --------
    The weights of a unit sum to its analysis weight:

    >>> import numpy as np
    >>> from karat.designs import Labelling
    >>> draw = Labelling(np.full(3, 0.5), np.array([True, False, True]), fixed_size=False)
    >>> sample = AugmentedSample(Rows(np.ones((2, 1)), np.ones(2)), (Rows(np.ones((3, 1)), np.zeros(3)),), draw)
    >>> gold, predicted = sample.unit_weights()
    >>> gold + predicted
    array([1., 1., 1.])
    """

    gold: Rows
    predicted: tuple[Rows, ...]
    labelling: Labelling
    weights: Floats | None = None
    cluster: Ints | None = None
    names: tuple[str, ...] = ()
    basis: Floats | None = None

    @property
    def n_units(self) -> int:
        """N."""
        return len(self.labelling.labelled)

    @property
    def gold_analysis_weight(self) -> Floats:
        """Analysis weight v of the gold rows, shape (n,)."""
        if self.weights is None:
            return np.ones(self.labelling.n_gold)
        return self.weights[self.labelling.labelled]

    @property
    def gold_weight(self) -> Floats:
        """``v w`` of the gold rows, shape (n,)."""
        return self.gold_analysis_weight * self.labelling.weight

    def unit_weights(self) -> tuple[Floats, Floats]:
        """Weight of the gold row and of the predicted rows together, each of shape (N,)."""
        v = np.ones(self.n_units) if self.weights is None else self.weights
        gold = np.zeros(self.n_units)
        gold[self.labelling.gold] = self.gold_weight
        return gold, v - gold
