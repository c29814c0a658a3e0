"""From contributions of units to covariances and degrees of freedom, by the code that fits use."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from .._core.machine import needs
from ..designs.entries import group_totals
from ..estimate.clusters import Curvatures, ways
from ..estimate.covariance import Covariance
from ..estimate.infer import Parts, combination, infer, influences
from ..estimate.leverage import LEVERAGED
from ..estimate.scores import LARGEST_LEVERAGE, Scores, StoredBlocks
from ..results.tests import covariance_of, joint_freedom

if TYPE_CHECKING:
    from .._core.types import Floats
    from ..results import Result


@dataclass(frozen=True)
class Contributions:
    """What units contribute to k averages, the coefficients given, and how the averages move with these.

    Parameters
    ----------
    jacobian : ndarray, shape (k, q)
    moment : ndarray, shape (n, k)
    predicted : ndarray, shape (N, k)
    share : ndarray, shape (N, k)
    unseen : ndarray, shape (l, k), optional
        What wrong labels that gold may have missed move, the coefficients given; row by row as of the coefficients.
    """

    jacobian: Floats
    moment: Floats
    predicted: Floats
    share: Floats
    unseen: Floats | None = None


def covariance_and_df(
    result: Result, parts: Parts, own: Contributions, fixed: bool = False
) -> tuple[Covariance, Floats]:
    """Covariance of averages at estimated coefficients, and degrees of freedom.

    Parameters
    ----------
    result : Result
    parts : Parts
        Of its coefficients.
    own : Contributions
    fixed : bool
        Whether covariates are taken as they are, rather than as drawn from a population.

    Returns
    -------
    Covariance
    df : ndarray, shape (k,)
    """
    covariance, df = (_of_clusters if result.vcov_kind in LEVERAGED else _of_units)(result, parts, own)
    total, labelling = covariance.total, covariance.labelling
    if fixed:
        coefficients = covariance_of(result, own.jacobian)
        total = coefficients - own.jacobian @ result.labelling_covariance @ own.jacobian.T + labelling
    unknown = ~np.isfinite(np.diag(result.covariance))
    lost = np.abs(own.jacobian[:, unknown]).sum(axis=1) > 0
    total[lost], total[:, lost] = np.nan, np.nan
    return Covariance((total + total.T) / 2.0, labelling), df


def _scores(parts: Parts, own: Contributions) -> tuple[Scores, Scores]:
    """Scores of the coefficients with a row for every unit, and those of the averages, the coefficients given."""
    whole = parts.scores.everywhere()
    gold, weight = whole.gold, whole.units.labelling.weight
    error = own.moment - own.predicted[gold]
    psi = own.predicted.copy()
    psi[gold] = own.moment + (weight - 1.0)[:, None] * error
    rest = 1.0 - np.clip(own.share[gold], 0.0, LARGEST_LEVERAGE)
    left_out = (own.moment / rest, error / rest)
    source = StoredBlocks(psi, np.zeros(len(psi)))
    given = replace(whole, source=source, moment=own.moment, error=error, left_out=left_out, unseen=own.unseen)
    return whole, given


def _of_units(result: Result, parts: Parts, own: Contributions) -> tuple[Covariance, Floats]:
    """One set of scores: those of the averages plus those that the coefficients bring."""
    kind, (fit, given) = result.vcov_kind, _scores(parts, own)
    if kind == "HC2":  # corrected one by one, then added up
        kind, fit, given = "HC3", _halfway(fit), _halfway(given)
    g = own.jacobian.T
    assert isinstance(fit.source, StoredBlocks)
    assert isinstance(given.source, StoredBlocks)
    both = replace(
        fit,
        source=StoredBlocks(fit.source.psi @ g + given.source.psi, fit.source.leverage),
        moment=fit.moment @ g + given.moment,
        error=fit.error @ g + given.error,
        left_out=(fit.left_out[0] @ g + given.left_out[0], fit.left_out[1] @ g + given.left_out[1]),
        unseen=None if fit.unseen is None or given.unseen is None else fit.unseen @ g + given.unseen,
    )
    tuned = np.where(own.jacobian != 0, parts.tuned, 0.0).max(axis=1)
    return infer(replace(parts, scores=both, tuned=tuned), kind, result.target, result.df_method)


def _halfway(scores: Scores) -> Scores:
    """Scores whose form HC3 is HC2 of the given ones."""
    assert isinstance(scores.source, StoredBlocks)
    source = StoredBlocks(scores.source.psi, 1.0 - np.sqrt(1.0 - scores.source.leverage))
    return replace(scores, source=source, left_out=scores.gold_parts("HC2"))


def _of_clusters(result: Result, parts: Parts, own: Contributions) -> tuple[Covariance, Floats]:
    """CRV2, CRV3: totals of clusters are corrected for their leverage on coefficients, and for their share."""
    kind, cluster, k = result.vcov_kind, parts.units.cluster, len(own.jacobian)
    assert cluster is not None
    _, given = _scores(parts, own)
    codes = [one for _, one in ways(cluster)]
    n_numbers = sum(len(np.unique(one)) for one in codes) * k**2
    needs(24.0 * n_numbers, f"{k} averages in clusters", "ask for fewer at a time, or use CRV1")
    shares = [group_totals(own.share, np.unique(one, return_inverse=True)[1]) for one in codes]
    curvature = Curvatures(tuple(share[:, :, None] * np.eye(k) for share in shares))
    averages = replace(parts, scores=given, curvature=np.eye(k), cluster_curvature=curvature)
    meat = influences([averages, parts], kind)
    total = combination([averages, parts], [np.eye(k), own.jacobian], kind, result.target, meat)
    error = given.error + parts.scores.error @ own.jacobian.T
    if result.target == "superpopulation":
        alone = np.logical_or.reduce([one.alone for one in averages.leverages(kind)[:2] if one is not None])
        total[alone], total[:, alone] = np.nan, np.nan
    df = np.array([joint_freedom(result, np.eye(1), row[None, :], parts) for row in own.jacobian])
    return Covariance(total, parts.units.labelling.cross(error, error)), df
