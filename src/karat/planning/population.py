"""The variance that is left when every unit is labelled, estimated from a pilot."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from ..designs.labelling import group_totals

if TYPE_CHECKING:
    from .._core.types import Floats, Ints
    from ..designs import Labelling

USUAL_CORRELATION, ITS_SPREAD = 0.02, 0.03
"""Correlation of labelling errors within clusters before the pilot has its say: mean and standard deviation."""

_LEAST_SHARE = 0.25
_LEAST_EFFECT = 0.75
"""Variance of clustered over that of unclustered units, at least: less is taken for noise."""


@dataclass(frozen=True)
class Population:
    """``sum Psi m m' Psi'`` over units or analysis clusters, figure by figure.

    Parameters
    ----------
    value : ndarray, shape (q,)
    influence : ndarray, shape (n, q)
        What a gold unit adds to it, before its weight.
    doubt : ndarray, shape (q,)
        Variance that is not in the influences: what the pilot cannot tell about errors within clusters.
    single : ndarray, shape (q,)
        The part that units on their own have in it, ``sum h^2 + sum w (m^2 - h^2)``.

    Notes
    -----
    With scores ``m = h + e`` and weights w of drawn units, the squared total ``H + sum e`` of a cluster is estimated by
    ``H^2 + 2 H sum w e + sum w e^2 + sum w_i w_j e_i e_j`` over pairs of gold units. All but the pairs are precise.
    Pairs are few and their weights square, so their sum, in units of ``sum w e^2``, is averaged with what is usual for
    cluster sizes like these, each in proportion to its precision.
    """

    value: Floats
    influence: Floats = field(repr=False)
    doubt: Floats
    single: Floats

    @classmethod
    def of(
        cls, predicted: Floats, score: Floats, error: Floats, labelling: Labelling, cluster: Ints | None
    ) -> Population:
        """Estimate from a pilot.

        Parameters
        ----------
        predicted : ndarray, shape (N, q) or (1, q)
            ``Lambda h`` of all units in coefficient space; one row of zeros for gold alone.
        score, error : ndarray, shape (n, q)
            ``m`` and ``m - Lambda h`` of gold units.
        labelling : Labelling
        cluster : ndarray of int, shape (N,), or None

        Returns
        -------
        Population
        """
        weight = labelling.weight[:, None]
        least = _LEAST_SHARE * (weight * score**2).sum(axis=0)
        alone = score**2 - (score - error) ** 2
        single = (predicted**2).sum(axis=0) + (weight * alone).sum(axis=0)
        if cluster is None:
            value = np.maximum(single, least)
            return cls(value, alone, np.zeros_like(value), value)
        inside = cluster[labelling.gold]
        totals = np.zeros((int(cluster.max()) + 1, error.shape[1]))
        if len(predicted) > 1:
            totals = group_totals(predicted, cluster)
        around = totals[inside]
        own = error**2 + 2.0 * error * around
        base = (totals**2).sum(axis=0) + (weight * own).sum(axis=0)
        if labelling.unit is not None:
            value, influence = _whole(base, own, error, labelling, inside)
            return cls(np.maximum(value, least), influence, np.zeros_like(value), single)
        pairs, others, noise = _pairs(weight * error, inside)
        scale = (weight * error**2).sum(axis=0)
        size = np.bincount(cluster).astype(np.float64)
        beside = (size**2).sum() / size.sum() - 1.0
        usual, spread = USUAL_CORRELATION * beside, ITS_SPREAD * beside
        with np.errstate(divide="ignore", invalid="ignore"):
            found = np.where(scale > 0, pairs / scale, 0.0)
            variance = np.where(scale > 0, noise / scale**2, 0.0)
            trust = np.where(variance > 0, spread**2 / (spread**2 + variance), 0.0)
        ratio = trust * found + (1.0 - trust) * usual
        value = base + ratio * scale
        influence = own + 2.0 * trust * error * others + (1.0 - trust) * usual * error**2
        doubt = (1.0 - trust) * trust * variance * scale**2
        return cls(np.maximum(value, np.maximum(least, _LEAST_EFFECT * single)), influence, doubt, single)


def _pairs(weighted: Floats, inside: Ints) -> tuple[Floats, Floats, Floats]:
    """Sum over pairs within clusters, others of each unit's cluster, and variance of the sum for unrelated errors."""
    totals = group_totals(weighted, inside)
    squares = group_totals(weighted**2, inside)
    others = totals[inside] - weighted
    noise = 2.0 * ((squares**2).sum(axis=0) - (weighted**4).sum(axis=0))
    return (weighted * others).sum(axis=0), others, noise


def _whole(base: Floats, own: Floats, error: Floats, labelling: Labelling, inside: Ints) -> tuple[Floats, Floats]:
    """Where labelling units were drawn whole, pairs within unit and cluster carry the weight of one."""
    assert labelling.unit is not None
    unit, weight = labelling.unit[labelling.gold], labelling.weight[:, None]
    both = np.unique(unit.astype(np.int64) * (int(inside.max()) + 1) + inside, return_inverse=True)[1]
    together = group_totals(error, both)[both] - error
    apart = group_totals(weight * error, inside)[inside] - group_totals(weight * error, both)[both]
    added = error * (together + apart)
    return base + (weight * added).sum(axis=0), own + added
