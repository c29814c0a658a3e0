"""Sandwich covariances that honour the sampling design.

The plain sandwich holds a labelling part as if units had been drawn independently. It is taken out
and the design's own labelling part put in: ``V = sandwich - independent + design``
(methods, section 4). With all rows gold both parts vanish and the classical estimator is left.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..designs.labelling import group_totals
from ..errors import ArgumentError, one_of

if TYPE_CHECKING:
    from .._types import Floats, Ints
    from ..designs import Labelling

KINDS = ("HC0", "HC1", "HC2", "HC3", "CRV0", "CRV1", "CRV3")
LARGEST_LEVERAGE = 0.95
"""Leverage is cut here; a gold unit beyond it decides a coefficient on its own."""


@dataclass(frozen=True)
class Scores:
    """Contributions of units to the total score at the estimate, all times the analysis weight.

    Parameters
    ----------
    phi : ndarray, shape (N, p) or (n, p)
        Total contribution of each unit; n rows (gold units only) for the gold-only estimator.
    error : ndarray, shape (n, p)
        ``e = m - Lambda h`` of the gold units; its inverse-probability total is what labelling adds.
    gold : ndarray of int, shape (n,)
        Where the gold units stand in ``phi``.
    rows : ndarray of int or None
        Position in the data of each row of ``phi``; None when all N are there.
    leverage : ndarray, shape (rows of phi,)
        Share of a unit in its own fit.
    """

    phi: Floats
    error: Floats
    gold: Ints
    rows: Ints | None
    leverage: Floats


@dataclass(frozen=True)
class Covariance:
    """Covariance of the coefficients, in parts.

    Parameters
    ----------
    total : ndarray, shape (p, p)
        Covariance for the target.
    labelling : ndarray, shape (p, p)
        Part that comes from labelling a sample only.
    influence : ndarray, shape (rows of phi, p)
        Influence of each unit on the coefficients, small-sample correction included.
    """

    total: Floats
    labelling: Floats
    influence: Floats


def sandwich(
    scores: Scores,
    curvature: Floats,
    labelling: Labelling,
    *,
    kind: str,
    target: str,
    cluster: Ints | None = None,
    cluster_curvature: Floats | None = None,
) -> Covariance:
    """Covariance of the coefficients.

    Parameters
    ----------
    scores : Scores
    curvature : ndarray, shape (p, p)
        N times the Jacobian at the estimate.
    labelling : Labelling
        The draw.
    kind : {"HC0", "HC1", "HC2", "HC3", "CRV0", "CRV1", "CRV3"}
        Small-sample form. HC2 and HC3 divide a unit's score by ``(1 - leverage)`` to the power 1/2
        and 1; CRV3 is the leave-one-cluster-out jackknife in one step
        (MacKinnon, Nielsen, Webb 2023).
    target : {"superpopulation", "finite"}
        "finite" is this corpus: the labelling part alone.
    cluster : ndarray of int, shape (N,), optional
        Analysis clusters; needed for the CRV kinds.
    cluster_curvature : ndarray, shape (clusters, p, p), optional
        Curvature of each cluster, for CRV3.

    Returns
    -------
    Covariance

    Raises
    ------
    ArgumentError
        If the kind needs clusters and none were given, or the other way round.
    """
    one_of("vcov", kind, KINDS)
    one_of("target", target, ("superpopulation", "finite"))
    if kind.startswith("CRV") and cluster is None:
        raise ArgumentError(f"vcov={kind!r} needs clusters; write vcov={{'{kind}': 'column'}} or cluster='column'.")
    p = scores.phi.shape[1]
    n_gold = len(scores.error)
    big_n = len(labelling.labelled) if scores.rows is None else n_gold
    inverse = np.linalg.inv(curvature)
    psi, error = scores.phi @ inverse.T, scores.error @ inverse.T
    if kind in ("HC2", "HC3"):
        factor = (1.0 - np.minimum(scores.leverage, LARGEST_LEVERAGE)) ** (-0.5 if kind == "HC2" else -1.0)
        psi *= factor[:, None]
        error *= factor[scores.gold][:, None]

    clusters = None if cluster is None else (cluster if scores.rows is None else cluster[scores.rows])
    design = labelling.cross(error, error)
    contained = labelling.independent_cross(error, error, cluster)
    if clusters is None:
        grouped = psi
        population = psi.T @ psi - contained
    else:
        codes = np.unique(clusters, return_inverse=True)[1]
        totals = group_totals(psi, codes)
        grouped = psi
        if kind == "CRV3":
            assert cluster_curvature is not None
            totals = jackknife_totals(totals, cluster_curvature, inverse)
        population = totals.T @ totals - contained
    population, design = _small_sample(kind, population, design, big_n, n_gold, p, clusters, scores.gold)
    total = design if target == "finite" else nearest_psd(population + design, design)
    return Covariance(total, design, grouped)


def influence_covariance(
    psi: Floats, error: Floats, labelling: Labelling, target: str, cluster: Ints | None = None
) -> Floats:
    """Covariance of any estimate from its influence on coefficients (no small-sample factor).

    Parameters
    ----------
    psi : ndarray, shape (N, p)
        Influence of each unit.
    error : ndarray, shape (n, p)
        What the inverse-probability total of gold units adds to it.
    labelling : Labelling
    target : {"superpopulation", "finite"}
    cluster : ndarray of int, shape (N,), optional

    Returns
    -------
    ndarray, shape (p, p)
    """
    design = labelling.cross(error, error)
    if target == "finite":
        return design
    totals = psi if cluster is None else group_totals(psi, cluster)
    contained = labelling.independent_cross(error, error, cluster)
    return nearest_psd(totals.T @ totals - contained + design, design)


def _small_sample(
    kind: str,
    population: Floats,
    design: Floats,
    big_n: int,
    n_gold: int,
    p: int,
    clusters: Ints | None,
    gold: Ints,
) -> tuple[Floats, Floats]:
    """Degree-of-freedom factors: of the population part by units, of the labelling part by gold."""
    if kind == "HC1":
        return population * big_n / max(big_n - p, 1), design * n_gold / max(n_gold - p, 1)
    if kind == "CRV1" and clusters is not None:
        groups, gold_groups = np.unique(clusters).size, np.unique(clusters[gold]).size
        population = population * groups / max(groups - 1, 1) * (big_n - 1) / max(big_n - p, 1)
        design = design * gold_groups / max(gold_groups - 1, 1) * (n_gold - 1) / max(n_gold - p, 1)
    if kind == "CRV3" and clusters is not None:
        groups = np.unique(clusters).size
        population = population * (groups - 1) / groups
    return population, design


def jackknife_totals(totals: Floats, cluster_curvature: Floats, inverse: Floats) -> Floats:
    """``(I - A^-1 A_c)^-1 psi_c``: what leaving a cluster out would change, in one Newton step.

    Parameters
    ----------
    totals : ndarray, shape (C, p)
        Influence of each cluster.
    cluster_curvature : ndarray, shape (C, p, p)
        Its curvature.
    inverse : ndarray, shape (p, p)
        Inverse of the curvature of all clusters.

    Returns
    -------
    ndarray, shape (C, p)
    """
    left = np.eye(len(inverse)) - inverse @ cluster_curvature
    try:
        return np.linalg.solve(left, totals[:, :, None])[:, :, 0]
    except np.linalg.LinAlgError:
        raise ArgumentError(
            "vcov CRV3 cannot be computed: leaving one cluster out makes the regression unsolvable. Use CRV1, or drop "
            "the covariate that only one cluster identifies."
        ) from None


def nearest_psd(matrix: Floats, floor: Floats) -> Floats:
    """The matrix itself if it is positive semidefinite, else with negative eigenvalues set to zero.

    Parameters
    ----------
    matrix : ndarray, shape (p, p)
        Symmetric.
    floor : ndarray, shape (p, p)
        Returned on the diagonal where the projection would fall below it (the labelling part
        alone is a lower bound for the whole).

    Returns
    -------
    ndarray, shape (p, p)
    """
    matrix = (matrix + matrix.T) / 2.0
    scale = np.sqrt(np.maximum(np.diag(matrix), np.diag(floor)))
    scale[scale == 0] = 1.0
    values, vectors = np.linalg.eigh(matrix / np.outer(scale, scale))
    if values[0] >= -1e-12:
        return matrix
    fixed: Floats = (vectors * np.maximum(values, 0.0)) @ vectors.T * np.outer(scale, scale)
    return fixed


def kurtosis_df(influence: Floats, cluster: Ints | None = None) -> Floats:
    """Degrees of freedom that a sum of squared influences carries, per coefficient.

    Parameters
    ----------
    influence : ndarray, shape (m, p)
        Influence of units.
    cluster : ndarray of int, shape (m,), optional
        Influences are summed within clusters first.

    Returns
    -------
    ndarray, shape (p,)
        ``3 (sum psi^2)^2 / sum psi^4 - 1``; about m for normal influences, small when few units dominate.
    """
    values = influence if cluster is None else group_totals(influence, np.unique(cluster, return_inverse=True)[1])
    square = values**2
    second = square.sum(axis=0)
    fourth = np.einsum("ij,ij->j", square, square)
    with np.errstate(divide="ignore", invalid="ignore"):
        df = np.where(fourth > 0, 3.0 * second**2 / fourth - 1.0, np.inf)
    return np.maximum(df, 1.0)


def satterthwaite_df(
    total: Floats, labelling: Floats, gold_df: Floats, population_df: float
) -> Floats:
    """Degrees of freedom of a variance that is a labelling plus a population part.

    Parameters
    ----------
    total, labelling : ndarray, shape (p,)
        Variances.
    gold_df : ndarray, shape (p,)
        Degrees of freedom of the labelling part.
    population_df : float
        Degrees of freedom of the rest.

    Returns
    -------
    ndarray, shape (p,)
    """
    part = np.minimum(np.maximum(labelling, 0.0), total)
    rest = total - part
    with np.errstate(divide="ignore", invalid="ignore"):
        df = total**2 / (part**2 / np.maximum(gold_df, 1.0) + rest**2 / max(population_df, 1.0))
    return np.where(np.isfinite(df), np.maximum(df, 1.0), max(population_df, 1.0))
