"""A fit without units that were withdrawn, from the influences it keeps."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..designs.domain import within
from ..errors import ArgumentError, DataError
from ..estimate.clusters import Curvatures, count, ways
from ..estimate.infer import Parts, infer
from ..estimate.scores import LARGEST_LEVERAGE, Scores, StoredBlocks
from .revise import kept_parts
from .withdrawn import Withdrawal

if TYPE_CHECKING:
    from .._core.types import Bools, Floats, Ints
    from ..estimate.augment import Units
    from .result import Result


def one_step(result: Result, out: Bools) -> Result:
    """A fit without some of its units, to first order.

    Parameters
    ----------
    result : Result
        With influence scores.
    out : ndarray of bool, shape (N,)
        Which of its units leave.

    Returns
    -------
    Result
        Units that stay keep weights and inclusion probabilities: they were drawn with these, whoever left later.

    Raises
    ------
    KaratError
        If influences were not kept, too much leaves, or fixed effects would have to be taken out anew.
    """
    parts = kept_parts(result)
    units, kept = parts.units, parts.scores.everywhere().source
    if units.effects is not None or result.stage is not None:
        raise ArgumentError(
            "fixed effects and first stages change with every unit that leaves; give the rows that stay, data=, to fit "
            "again."
        )
    assert isinstance(kept, StoredBlocks)
    gold = np.isin(units.gold, np.flatnonzero(out))
    if gold.all():
        raise DataError("all gold units would leave, so nothing can be estimated; keep some, or label others.")
    leverage = kept.leverage.copy()
    leverage[units.gold] = np.maximum(leverage[units.gold], parts.scores.gold_leverage)
    leverage = np.clip(leverage[out], 0.0, LARGEST_LEVERAGE)
    shift = -(kept.psi[out] / (1.0 - leverage)[:, None]).sum(axis=0)
    total = np.ones(units.n_units) if units.weights is None else units.weights
    grown = float(total.sum() / total[~out].sum())
    left = _without(parts, out, gold, grown)
    covariance, df = infer(left, result.vcov_kind, result.target, result.df_method)
    matrix, shares = covariance.total, result.shares
    if shares is not None:
        shares = shares.at(left.units.labelling.n_gold / units.labelling.n_gold)
        matrix, df, shares = shares.settle(matrix, df, result.df_method)
    remainder = _remainder(parts, kept.psi[out], leverage, grown)
    if len(parts.tuned) == len(remainder):  # weights are chosen anew without the gold that leaves
        remainder = remainder + parts.tuned * gold.mean() * np.sqrt(np.diag(result.labelling_covariance))
    theta = result.theta + shift
    withdrawal = Withdrawal(result.names, int(out.sum()), int(gold.sum()), result.theta, theta, remainder)
    return result.replace(
        theta=theta, covariance=matrix, labelling_covariance=covariance.labelling, df=df, shares=shares, parts=left,
        effective_clusters=left.effective_clusters(), comparison=None, checks=None, split_share=None, baseline=None,
        withdrawal=withdrawal, notes=(*result.notes, str(withdrawal)), sampling=_sampling(result, left, int(out.sum())),
    )  # fmt: skip


def _remainder(parts: Parts, psi: Floats, leverage: Floats, grown: float) -> Floats:
    """Size of the terms of second order, shape (p,).

    With A the curvature, ``A_D`` that of the units that leave and ``d`` the sum of their influences, the estimate moves
    by ``(A - A_D)^-1 A d``. The part beyond d is at most ``L / (1 - L)`` times its length in the metric of A, L the
    largest share of ``A_D`` in A, for which the sum of leverages is put, and at least the share of weight that leaves.
    """
    share = min(max(float(leverage.sum()), 1.0 - 1.0 / grown), LARGEST_LEVERAGE)
    total, curvature = psi.sum(axis=0), (parts.curvature + parts.curvature.T) / 2.0
    if len(curvature) != len(total):
        return np.full(len(total), np.nan)
    length = float(np.sqrt(max(total @ curvature @ total, 0.0)))
    return np.asarray(share / (1.0 - share) * length * np.sqrt(np.diag(np.linalg.inv(curvature))))


def _without(parts: Parts, out: Bools, gold: Bools, grown: float) -> Parts:
    """Influences of the units that stay; each weighs as much more as the curvature is less."""
    scores, units = parts.scores, parts.units
    kept = scores.stored().source
    assert isinstance(kept, StoredBlocks)
    rows = ~gold if scores.gold_alone else ~out
    left, cluster = _cut(units, ~out), units.cluster
    moment, error = grown * scores.moment[~gold], grown * scores.error[~gold]
    own = (grown * scores.left_out[0][~gold], grown * scores.left_out[1][~gold])
    source = StoredBlocks(grown * kept.psi[rows], kept.leverage[rows])
    unseen = None if scores.unseen is None else grown * scores.unseen
    stays = Scores(source, moment, error, own, left, scores.gold_leverage[~gold], scores.gold_alone, unseen)
    curvature = parts.cluster_curvature
    if curvature.ways and cluster is not None:
        curvature = _curvatures(curvature, cluster, units.gold if scores.gold_alone else None, ~out)
    return replace(parts, scores=stays, curvature=parts.curvature / grown, cluster_curvature=curvature)


def _cut(units: Units, stay: Bools) -> Units:
    """The units that stay, in the draw that all of them had."""
    kept = np.ones(units.n_units, dtype=bool) if units.kept is None else units.kept
    rest = np.zeros(len(kept), dtype=bool)
    rest[np.flatnonzero(kept)[stay]] = True
    cluster = None
    if units.cluster is not None:
        columns = [np.unique(c, return_inverse=True)[1].astype(np.intp) for c in np.atleast_2d(units.cluster[stay].T)]
        cluster = columns[0] if units.cluster.ndim == 1 else np.column_stack(columns)
    whole = None if units.weights is None else units.weights[stay]
    return replace(units, labelling=within(units.labelling, stay), weights=whole, cluster=cluster, kept=rest)


def _curvatures(curvature: Curvatures, cluster: Ints, gold: Ints | None, stay: Bools) -> Curvatures:
    """Curvature of the clusters of which a unit stays, less in proportion to what leaves of them."""
    found, more = [], []
    beside = curvature.beside or (None,) * len(curvature.ways)
    for (_, codes), own, part in zip(ways(cluster), curvature.ways, beside):
        every, some = (codes, codes[stay]) if gold is None else (codes[gold], codes[gold[stay[gold]]])
        used, size = np.unique(every, return_counts=True)
        rest, left = np.unique(some, return_counts=True)
        at = np.searchsorted(used, rest)
        found.append(own[at] * (left / size[at])[:, None, None])
        more.append(None if part is None else part[at])
    return replace(curvature, ways=tuple(found), beside=tuple(more))


def _sampling(result: Result, left: Parts, n_out: int) -> Any:
    """Counts of what stays."""
    labelling, cluster, w = left.units.labelling, left.units.cluster, left.units.labelling.weight
    clusters = gold_clusters = 0
    if cluster is not None and result.sampling.clusters:
        clusters, gold_clusters = min(count(cluster)), min(count(cluster, labelling.gold))
    return replace(
        result.sampling, n_units=labelling.n_rows, n_gold=labelling.n_gold,
        n_dropped=result.sampling.n_dropped + n_out,
        dropped={**result.sampling.dropped, "withdrawn": n_out}, largest_weight=float(w.max()),
        kish=float(w.sum() ** 2 / (w**2).sum()), sum_of_weights=float(w.sum()), clusters=clusters,
        gold_clusters=gold_clusters, rarest_class=None,
    )  # fmt: skip
