"""Fixed effects that run across clusters: leaving a cluster out moves them too.

Effects nested in clusters leave with their cluster, and nothing of them is left in rows from which they were taken out.
Dummies of the other effects come back here as columns beside the design, orthogonal to it: the curvature of a cluster
and the total of its scores are then those of the regression with dummies (methods, section 8.2).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ..errors import ArgumentError
from .absorb import FixedEffects, Projection, is_nested

if TYPE_CHECKING:
    from .._core.types import Floats, Ints
    from .augment import AugmentedSample
    from .rows import Rows

_MOST_NUMBERS = 100_000_000
_MOST_LEVELS = 1_000
_RANK = 1e-9

Part = tuple["Rows", "Ints | slice | None", "Floats | None"]
"""Rows that add to the curvature, where they stand (None for all units, a slice for a block), and their weights."""


def columns_across(sample: AugmentedSample, whose: str, codes: Ints, kind: str) -> Floats | None:
    """Orthonormal columns of the effects that run across clusters, shape (N, T); None where all are nested.

    Parameters
    ----------
    sample : AugmentedSample
    whose : str
        "gold" where gold rows alone estimate the effects; columns are 0 elsewhere then.
    codes : ndarray of int, shape (N,)
        Clusters.
    kind : str
        Covariance asked for, for the message.

    Raises
    ------
    ArgumentError
        If there are too many levels.
    """
    effects, units = sample.units.effects, sample.units
    if effects is None:
        return None
    rows = units.gold if whose == "gold" else np.arange(units.n_units)
    weight = units.gold_weight if whose == "gold" else units.weights
    nested = [is_nested(column[rows], codes[rows]) for column in effects.codes.T]
    if all(nested):
        return None
    if sample.curved is not None:
        raise ArgumentError(
            f"vcov {kind} leaves clusters out, and fixed effects of a {sample.curved.title.lower()} run across them: "
            f"{' and '.join(name for name, inside in zip(effects.names, nested) if not inside)}; use "
            "vcov={'CRV1': ...}, or clusters that hold these effects."
        )
    open_ones = [k for k, inside in enumerate(nested) if not inside]
    levels = [np.unique(effects.codes[rows, k], return_inverse=True) for k in open_ones]
    width = sum(len(found) for found, _ in levels)
    if width > _MOST_LEVELS or width * len(rows) > _MOST_NUMBERS:
        names = " and ".join(effects.names[k] for k in open_ones)
        raise ArgumentError(
            f"vcov {kind} leaves clusters out, and the fixed effects {names} run across them with {width:,} levels, "
            "too many to be fitted anew without each cluster; use vcov={'CRV1': ...}, or clusters that hold these "
            "effects."
        )
    dummies = np.hstack([np.eye(len(found))[at] for found, at in levels])
    if any(nested):
        inner = FixedEffects(
            tuple(name for name, inside in zip(effects.names, nested) if inside), effects.codes[:, np.array(nested)]
        )
        dummies -= Projection(inner, weight, rows).fitted(dummies)
    values, vectors = np.linalg.eigh(dummies.T @ (dummies if weight is None else dummies * weight[:, None]))
    kept = values > _RANK * values[-1]
    out = np.zeros((units.n_units, int(kept.sum())))
    out[rows] = dummies @ (vectors[:, kept] / np.sqrt(values[kept]))
    return out


def widened(parts: list[Part], columns: Floats) -> list[Part]:
    """The rows with columns beside the design."""
    return [
        (replace(rows, x=np.hstack([rows.scored, columns if at is None else columns[at]]), left=None), at, weight)
        for rows, at, weight in parts
    ]


def totals(
    parts: list[Part], columns: Floats, theta: Floats, codes: Ints, used: Ints, sample: AugmentedSample
) -> Floats:
    """Totals of scores in the columns by cluster, with what a fixed size makes known moved, shape (C, T).

    The effects are those of weight 1, or of gold alone, as they are in the rows.
    """
    units = sample.units
    out = np.zeros((len(used), columns.shape[1]))
    error = np.zeros((units.labelling.n_gold, columns.shape[1]))
    for rows, at, weight in parts:
        residual = rows.y - rows.x @ theta
        own = rows.weight(weight)
        score = columns if at is None else columns[at]
        at_cluster = np.searchsorted(used, codes if at is None else codes[at])
        weighed = score * (residual if own is None else residual * own)[:, None]
        for j in range(columns.shape[1]):
            out[:, j] += np.bincount(at_cluster, weighed[:, j], minlength=len(used))
        if isinstance(at, np.ndarray):  # gold units; a slice is a block of all
            error += weighed / units.labelling.weight[:, None]
    if error.any():
        known = units.labelling.known_part(error)[1]
        if known is not None:
            out += known.totals(codes, int(codes.max()) + 1)[used]
    return out
