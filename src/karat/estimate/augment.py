"""The augmented sample: every unit with its predicted labels, gold units once more with their gold labels.

Unit i enters with its predicted rows, weight ``v_i (1 - w_i)``, and, if gold, with its gold row,
weight ``v_i w_i``, where ``w_i = R_i / pi_i``. The weights of a unit sum to its analysis
weight ``v_i`` whatever the prediction.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from .rows import Instruments, Panel, Pieces, Rows, Source, pieces_of

if TYPE_CHECKING:
    from .._core.types import Bools, Floats, Ints
    from ..designs import Labelling
    from ..moments import Model
    from .absorb import FixedEffects


@dataclass(frozen=True)
class Units:
    """The units of a fit: how gold was drawn among them, and what else is known of each.

    Parameters
    ----------
    labelling : Labelling
        The draw, N units.
    weights : ndarray, shape (N,), optional
        Analysis weights v; None means 1.
    cluster : ndarray of int, shape (N,) or (N, 2), optional
        Analysis cluster codes, of one or two ways.
    cluster_name : str
        Column of the clusters.
    kept : ndarray of bool, optional
        Rows of the user's data that are the units; None when all are.
    effects : FixedEffects, optional
        Fixed effects that are taken out.
    count : ndarray, shape (m,), optional
        How many units, alike in all that is known of them, each of the rows counts for; None where it is one.
    places : ndarray of int, shape (n,), optional
        Where the gold units stand among the rows of the data, where rows are told by groups.

    Examples
    --------
    >>> import numpy as np
    >>> from karat.designs import Labelling
    >>> draw = Labelling(np.full(3, 0.5), np.array([True, False, True]), fixed_size=False)
    >>> Units(draw, weights=np.array([1.0, 2.0, 3.0])).gold_weight
    array([2., 6.])
    """

    labelling: Labelling = field(repr=False)
    weights: Floats | None = field(repr=False, default=None)
    cluster: Ints | None = field(repr=False, default=None)
    cluster_name: str = ""
    kept: Bools | None = field(repr=False, default=None)
    effects: FixedEffects | None = field(repr=False, default=None)
    count: Floats | None = field(repr=False, default=None)
    places: Ints | None = field(repr=False, default=None)

    @property
    def n_units(self) -> int:
        """N."""
        return self.labelling.n_rows

    @property
    def n_dropped(self) -> int:
        """Rows of the data that are no units."""
        return 0 if self.kept is None else int((~self.kept).sum())

    @property
    def gold(self) -> Ints:
        """Positions of the gold units, shape (n,)."""
        return self.labelling.gold

    @property
    def gold_in_data(self) -> Ints:
        """Positions of the gold units among the rows of the data, shape (n,)."""
        if self.places is not None:
            return self.places
        return self.gold if self.kept is None else np.flatnonzero(self.kept)[self.gold]

    @property
    def gold_analysis_weight(self) -> Floats:
        """Analysis weight v of the gold units, shape (n,)."""
        return np.ones(self.labelling.n_gold) if self.weights is None else self.weights[self.gold]

    @property
    def gold_weight(self) -> Floats:
        """``v w`` of the gold units, shape (n,)."""
        return self.gold_analysis_weight * self.labelling.weight

    def weights_in(self, at: slice) -> Floats | None:
        """Analysis weights of a block of units; None means 1."""
        return None if self.weights is None else self.weights[at]

    def counts_in(self, at: slice) -> Floats | None:
        """How many units each row of a block counts for; None where it is one."""
        return None if self.count is None else self.count[at]

    @property
    def n_told(self) -> int:
        """Rows that tell the units: as many, or fewer where these are alike."""
        return self.n_units if self.count is None else len(self.count)

    def summed_over(self, kind: str) -> Ints | None:
        """Cluster codes that a covariance of this kind sums over; None for one of units."""
        return self.cluster if kind.startswith("CRV") else None

    def of_units(self, values: Any) -> Any:
        """What belongs to the units, of values for all rows of the data."""
        return values if self.kept is None else values[self.kept]


def times(weight: Floats | None, count: Floats | None) -> Floats | None:
    """A product of which factors may be None, which means 1."""
    return weight if count is None else count if weight is None else weight * count


@dataclass(frozen=True)
class AugmentedSample:
    """Gold rows, predicted rows, and the units they belong to.

    Parameters
    ----------
    gold : Rows
        n rows with gold labels, in row order.
    predicted : Source
        Predicted rows of all units; empty for the gold-only estimator.
    units : Units
    names : tuple of str
        Names of the p columns of the design.
    basis : ndarray, shape (p, p) or (q, q), or None
        Coordinates T of the design matrices, which are then ``x T``, or those of all coefficients; None where they are
        the user's columns.
    taken_out : bool
        Whether the fixed effects of the units have been taken out of the rows, and endogenous covariates predicted by
        instruments (:mod:`karat.estimate.within`).
    instruments : Instruments, optional
        Which columns are instruments; rows have all columns of the formula then, until these are separated.
    curved : Model, optional
        The regression whose fixed effects are taken out, where it is not linear (:mod:`karat.estimate.curved`).
    panel : Panel, optional
        Where rows are in a panel whose outcomes without treatment are imputed (:mod:`karat.estimate.imputation`).

    Examples
    --------
    The weights of a unit sum to its analysis weight:

    >>> import numpy as np
    >>> from karat.designs import Labelling
    >>> from karat.estimate.rows import Memory
    >>> draw = Labelling(np.full(3, 0.5), np.array([True, False, True]), fixed_size=False)
    >>> gold, predicted = Rows(np.ones((2, 1)), np.ones(2)), Rows(np.ones((3, 1)), np.zeros(3))
    >>> sample = AugmentedSample(gold, Memory((predicted,)), Units(draw))
    >>> gold, predicted = sample.unit_weights()
    >>> gold + predicted
    array([1., 1., 1.])
    """

    gold: Rows
    predicted: Source
    units: Units
    names: tuple[str, ...] = ()
    basis: Floats | None = None
    taken_out: bool = False
    instruments: Instruments | None = None
    curved: Model | None = None
    panel: Panel | None = None

    @property
    def plain(self) -> bool:
        """Whether all estimators have the rows as they are: no fixed effects, instruments or imputed outcomes."""
        return self.units.effects is None and self.instruments is None and self.panel is None

    @property
    def gold_pieces(self) -> Pieces:
        """Gold rows and their weights ``v w``, block by block."""
        return pieces_of((self.gold,), self.units.gold_weight)

    @property
    def pieces(self) -> Pieces:
        """Predicted rows and analysis weights, block by block."""
        return lambda: (
            (rows, times(self.units.weights_in(block.at), self.units.counts_in(block.at)))
            for block in self.predicted.blocks()
            for rows in block.rows
        )

    @property
    def pieces_of_squares(self) -> Pieces:
        """The same for sums of squares of weighted scores: what rows that are alike add is their number, once."""
        if self.units.count is None:
            return self.pieces
        root = np.sqrt(self.units.count)
        return lambda: (
            (rows, times(self.units.weights_in(block.at), root[block.at]))
            for block in self.predicted.blocks()
            for rows in block.rows
        )

    def drawn(self, labelling: Labelling) -> AugmentedSample:
        """The same with another draw."""
        return replace(self, units=replace(self.units, labelling=labelling))

    def unit_weights(self) -> tuple[Floats, Floats]:
        """Weight of the gold row and of the predicted rows together, each of shape (N,)."""
        units = self.units
        v = np.ones(units.n_units) if units.weights is None else units.weights
        gold = np.zeros(units.n_units)
        gold[units.gold] = units.gold_weight
        return gold, v - gold
