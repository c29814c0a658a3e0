"""From an estimate to its covariance and degrees of freedom."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from .covariance import Covariance, Meat, Scores, sandwich, stack
from .df import kurtosis_df, satterthwaite_df

if TYPE_CHECKING:
    from .._types import Bools, Floats, Ints
    from ..designs import Labelling
    from .rectify import Estimate


@dataclass(frozen=True)
class Parts:
    """What a covariance is made from, kept so that another one can be computed without the data.

    Parameters
    ----------
    scores : Scores
    curvature : ndarray, shape (p, p)
    tuned : ndarray, shape (p,)
        Estimated weights per coefficient.
    labelling : Labelling
    cluster : ndarray of int or None
    cluster_curvature : ndarray or None
    cluster_name : str
        Column of the clusters.
    kept : ndarray of bool or None
        Rows of the user's data that were used; None when all were.
    """

    scores: Scores = field(repr=False)
    curvature: Floats = field(repr=False)
    tuned: Floats
    labelling: Labelling = field(repr=False)
    cluster: Ints | None = field(repr=False, default=None)
    cluster_curvature: Floats | None = field(repr=False, default=None)
    cluster_name: str = ""
    kept: Bools | None = field(repr=False, default=None)

    @classmethod
    def of(
        cls, estimate: Estimate, labelling: Labelling, cluster: Ints | None, cluster_curvature: Floats | None
    ) -> Parts:
        """Parts of an estimate."""
        return cls(estimate.scores, estimate.curvature, estimate.tuning.tuned, labelling, cluster, cluster_curvature)

    def stored(self) -> Parts:
        """The same with influence scores in memory, free of the data."""
        return replace(self, scores=self.scores.stored())


def influences(parts: Sequence[Parts], kind: str) -> Meat:
    """Population part of one or several fits on the same rows, side by side."""
    first = parts[0]
    return stack(
        [p.scores for p in parts],
        [p.curvature for p in parts],
        kind,
        first.labelling,
        first.cluster if kind.startswith("CRV") else None,
        [p.cluster_curvature for p in parts],
    )


def infer(parts: Parts, kind: str, target: str, df: Any, meat: Meat | None = None) -> tuple[Covariance, Floats]:
    """Covariance and degrees of freedom.

    Parameters
    ----------
    parts : Parts
    kind : str
        Covariance, see :func:`sandwich`.
    target : {"superpopulation", "finite"}
    df : {"auto", "satterthwaite", "kurtosis", "normal"} or float
        "auto" takes, per coefficient, the smaller of the Satterthwaite and the kurtosis figure.
    meat : Meat, optional
        If already worked out.

    Returns
    -------
    Covariance
    df : ndarray, shape (p,)
    """
    labelling, scores = parts.labelling, parts.scores
    cluster = parts.cluster if kind.startswith("CRV") else None
    meat = influences([parts], kind) if meat is None else meat
    covariance = sandwich(meat, scores, labelling, kind=kind, target=target, cluster=cluster)
    p = len(parts.curvature)
    if df == "normal":
        return covariance, np.full(p, np.inf)
    if not isinstance(df, str):
        return covariance, np.full(p, float(df))
    by_kurtosis = kurtosis_df(np.ones(p), meat.concentration)
    if df == "kurtosis":
        return covariance, by_kurtosis
    gold_size = float(labelling.n_chance)
    if cluster is not None:
        gold_size = min(gold_size, float(np.unique(cluster[labelling.gold]).size))
    used = 1.0 if cluster is not None else float(p)
    by_parts = satterthwaite_df(
        np.diag(covariance.total),
        np.diag(covariance.labelling),
        gold_size - used - parts.tuned - max(labelling.n_strata - 1, 0),
        meat.groups - used,
    )
    return covariance, by_parts if df == "satterthwaite" else np.minimum(by_parts, by_kurtosis)
