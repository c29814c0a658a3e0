"""From an estimate to its covariance and degrees of freedom."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from .covariance import Covariance, Scores, kurtosis_df, sandwich, satterthwaite_df

if TYPE_CHECKING:
    from .._types import Floats, Ints
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
    """

    scores: Scores = field(repr=False)
    curvature: Floats = field(repr=False)
    tuned: Floats
    labelling: Labelling = field(repr=False)
    cluster: Ints | None = field(repr=False, default=None)
    cluster_curvature: Floats | None = field(repr=False, default=None)

    @classmethod
    def of(
        cls, estimate: Estimate, labelling: Labelling, cluster: Ints | None, cluster_curvature: Floats | None
    ) -> Parts:
        """Parts of an estimate."""
        return cls(estimate.scores, estimate.curvature, estimate.tuning.tuned, labelling, cluster, cluster_curvature)


def infer(parts: Parts, kind: str, target: str, df: Any) -> tuple[Covariance, Floats]:
    """Covariance and degrees of freedom.

    Parameters
    ----------
    parts : Parts
    kind : str
        Covariance, see :func:`sandwich`.
    target : {"superpopulation", "finite"}
    df : {"auto", "satterthwaite", "kurtosis", "normal"} or float
        "auto" takes, per coefficient, the smaller of the Satterthwaite and the kurtosis figure.

    Returns
    -------
    Covariance
    df : ndarray, shape (p,)
    """
    labelling, scores = parts.labelling, parts.scores
    covariance = sandwich(
        scores,
        parts.curvature,
        labelling,
        kind=kind,
        target=target,
        cluster=parts.cluster if kind.startswith("CRV") else None,
        cluster_curvature=parts.cluster_curvature,
    )
    p = len(parts.curvature)
    if df == "normal":
        return covariance, np.full(p, np.inf)
    if not isinstance(df, str):
        return covariance, np.full(p, float(df))
    cluster = parts.cluster if kind.startswith("CRV") else None
    rows = None if cluster is None else (cluster if scores.rows is None else cluster[scores.rows])
    by_kurtosis = kurtosis_df(covariance.influence, rows)
    if df == "kurtosis":
        return covariance, by_kurtosis
    gold_size = float(labelling.n_units)
    big_n = float(len(scores.phi))
    if cluster is not None:
        gold_size = min(gold_size, float(np.unique(cluster[labelling.gold]).size))
        big_n = float(np.unique(rows).size)
    strata = max(labelling.n_strata - 1, 0)
    used = (1.0 if cluster is not None else float(p)) + parts.tuned + strata
    by_parts = satterthwaite_df(
        np.diag(covariance.total),
        np.diag(covariance.labelling),
        gold_size - used,
        big_n - (1 if cluster is not None else p),
    )
    if df == "satterthwaite":
        return covariance, by_parts
    return covariance, np.minimum(by_parts, by_kurtosis)
