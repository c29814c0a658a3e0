"""From an estimate to the covariance that was asked for, and its degrees of freedom."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..designs.entries import in_columns, side_by_side
from ..errors import ArgumentError, one_of
from .basis import nearest_psd
from .clusters import KINDS as CLUSTER_KINDS
from .clusters import Curvatures, add_ways, ways
from .covariance import KINDS, Covariance, Meat, concentration_of, over_drawn, sandwich, stack, stack_clusters
from .df import at_least, kurtosis_df, lacking, of_unseen, satterthwaite_df
from .leverage import LEVERAGED, Leverage
from .scores import Scores, not_in_memory
from .tune import effective_size

if TYPE_CHECKING:
    from .._core.types import Floats, Ints
    from .augment import Units
    from .rectify import Estimate


@dataclass(frozen=True)
class Parts:
    """What a covariance is made from, kept so that another one can be computed without the data.

    Parameters
    ----------
    scores : Scores
    curvature : ndarray, shape (p, p)
        Of the coefficients; functions of them (:mod:`karat.effects`) have scores of another width.
    tuned : ndarray, shape (p,)
        Estimated weights per coefficient.
    cluster_curvature : Curvatures
        Curvature of each cluster; empty when it is not known.
    """

    scores: Scores = field(repr=False)
    curvature: Floats = field(repr=False)
    tuned: Floats
    cluster_curvature: Curvatures = field(repr=False, default=Curvatures())

    @classmethod
    def of(cls, estimate: Estimate, cluster_curvature: Curvatures) -> Parts:
        """Parts of an estimate."""
        return cls(estimate.scores, estimate.curvature, estimate.tuning.tuned, cluster_curvature)

    @property
    def units(self) -> Units:
        """The units of the fit."""
        return self.scores.units

    def clustered(self, codes: Ints, name: str) -> Parts:
        """The same with other analysis clusters, whose curvature is not known."""
        units = replace(self.units, cluster=codes, cluster_name=name)
        return replace(self, scores=replace(self.scores, units=units), cluster_curvature=Curvatures())

    def stored(self) -> Parts:
        """The same with influence scores in memory, free of the data."""
        return replace(self, scores=self.scores.stored())

    def written_out(self) -> Parts:
        """The same with arrays, see :meth:`Scores.written_out`."""
        return replace(self, scores=self.scores.written_out())

    def elsewhere(self) -> Parts:
        """The same without the influences of units that have no gold, where these are not in memory."""
        return replace(self, scores=replace(self.scores, source=not_in_memory))

    def within(self, frame: Units, rows: Ints) -> Parts:
        """The same in a frame of which the units are some rows, see :meth:`Scores.within`."""
        scores, curvature = self.scores.within(frame, rows), self.cluster_curvature
        if curvature.ways and frame.cluster is not None and self.units.cluster is not None:
            curvature = curvature.within(frame.cluster, self.units.cluster, rows, self.units.gold)
        return replace(self, scores=scores, cluster_curvature=curvature)

    def leverages(self, kind: str) -> tuple[Leverage | None, ...]:
        """Leverage of the clusters, for each way of clustering; None where the kind does not correct for it.

        Raises
        ------
        ArgumentError
            If the kind needs the curvature of the clusters, and it is not known.
        """
        if self.units.cluster is None or kind not in LEVERAGED:
            return (None, None, None)
        if not self.cluster_curvature.ways:
            raise ArgumentError(
                f"{kind} needs the rows of the regression, which are gone; fit again with vcov={{'{kind}': cluster}}, "
                "or use 'CRV1'."
            )
        known: dict[str, tuple[Leverage, ...]] = self.__dict__.setdefault("_leverages", {})
        if kind not in known:
            known[kind] = self.cluster_curvature.leverages(kind)
        return known[kind]

    def effective_clusters(self) -> Floats | None:
        """Effective number of clusters of each coefficient, in the way with fewer; None when it is not known."""
        if not self.cluster_curvature.ways:
            return None
        return np.asarray(np.min([one.effective() for one in self.cluster_curvature.leverages("CRV2")[:2]], axis=0))


def influences(parts: Sequence[Parts], kind: str, counted: bool = True) -> Meat:
    """Stacked cross products of one or several fits on the same data; see :func:`stack` for the last argument."""
    scores, cluster = [one.scores for one in parts], parts[0].units.summed_over(kind)
    if cluster is not None:
        leverages = zip(*(one.leverages(kind) for one in parts))
        meat, *others = (stack_clusters(scores, codes, each) for (_, codes), each in zip(ways(cluster), leverages))
        return replace(meat, others=tuple(others))
    return stack(scores, kind, counted)


def combination(parts: Sequence[Parts], matrices: Sequence[Floats], kind: str, target: str, meat: Meat) -> Floats:
    """Covariance of a sum of linear functions of several fits on the same data.

    Parameters
    ----------
    parts : sequence of Parts
    matrices : sequence of ndarray, each of shape (m, p)
        What each fit's coefficients are multiplied by.
    kind, target : str
    meat : Meat
        From :func:`influences` of these parts.

    Returns
    -------
    ndarray, shape (m, m)
        HC1 and CRV1 count the coefficients of the fit that has most, not the m numbers.
    """
    error: Any = sum(one.scores.gold_parts(kind, target)[1] @ matrix.T for one, matrix in zip(parts, matrices))
    both, used = meat.combined(side_by_side(matrices)), max(len(one.curvature) for one in parts)
    total = _covariance(both, error, parts[0].scores, kind, target, used).total
    return np.asarray(total + lacking(total, of_unseen([one.scores.unseen for one in parts], matrices)))


def stacked(parts: Sequence[Parts], kind: str, target: str) -> Floats:
    """Covariance of the coefficients of several fits side by side, up to counts of units in HC1 and CRV1.

    Its population part is left as it is, and not made positive semidefinite: among many coefficients that would raise
    the variances of differences of fits that hardly differ.

    Parameters
    ----------
    parts : sequence of Parts
        In one frame.
    kind, target : str

    Returns
    -------
    ndarray, shape (P, P)
        Positive semidefinite as a whole.
    """
    units = parts[0].units
    error = side_by_side([one.scores.gold_parts(kind, target)[1] for one in parts])
    blocks = np.split(np.eye(error.shape[1]), np.cumsum([len(one.scores.error.T) for one in parts])[:-1])
    floor = of_unseen([one.scores.unseen for one in parts], [block.T for block in blocks])
    design = units.labelling.cross(error, error)
    if target == "finite":
        return np.asarray(design + lacking(design, floor))
    meat, cluster = influences(parts, kind), units.summed_over(kind)
    signs = [1.0] if cluster is None else [sign for sign, _ in ways(cluster)]
    shrunk = [1.0 - 1.0 / one.groups if kind == "CRV3" else 1.0 for one in (meat, *meat.others)]
    populations = zip(signs, shrunk, (meat, *meat.others))
    out = np.asarray(design + sum(sign * factor * one.population for sign, factor, one in populations))
    found = nearest_psd((out + out.T) / 2.0, design)
    return np.asarray(found + lacking(found, floor))


def absorbed(scores: Scores, kind: str) -> float:
    """Parameters of fixed effects per row of a fit, without those nested in clusters where these are summed over.

    With clusters of two ways those nested in either are left out.
    """
    effects = scores.units.effects
    if effects is None:
        return 0.0
    rows = scores.units.gold if scores.gold_alone else slice(None)
    cluster = scores.units.summed_over(kind)
    return effects.count(rows, [] if cluster is None else list(np.atleast_2d(cluster.T))) / scores.n_rows


def _covariance(
    meat: Meat, error: Floats, scores: Scores, kind: str, target: str, used: int | None = None
) -> Covariance:
    """:func:`sandwich` for clusters of one or two ways."""
    labelling, cluster, n_rows = scores.units.labelling, scores.units.cluster, scores.n_rows
    per_row = absorbed(scores, kind)
    if cluster is None or not kind.startswith("CRV"):
        return sandwich(meat, error, labelling, n_rows, kind=kind, target=target, used=used, absorbed=per_row)
    fewest = None
    if scores.units.effects is not None and meat.others:
        fewest = min(meat.groups, meat.others[0].groups)
    found = [
        (
            sign,
            sandwich(
                one, error, labelling, n_rows, kind=kind, target=target, cluster=codes, used=used, absorbed=per_row,
                fewest=fewest,
            ),
        )
        for (sign, codes), one in zip(ways(cluster), (meat, *meat.others))
    ]  # fmt: skip
    return Covariance(
        add_ways([(sign, one.total) for sign, one in found], largest=kind in LEVERAGED),
        np.asarray(sum(sign * one.labelling for sign, one in found)),
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
        "auto" takes, per coefficient, the smaller of the Satterthwaite and the kurtosis figure; with CRV2 and CRV3
        that of :meth:`karat.estimate.leverage.Leverage.freedom`, and of the labelling part.
    meat : Meat, optional
        If already worked out.

    Returns
    -------
    Covariance
        Not a number for a coefficient that a single cluster identifies.
    df : ndarray, shape (p,)
    """
    effects = parts.units.effects
    if effects is not None and kind in ("HC2", "HC3") and not effects.factored:
        raise ArgumentError(
            f"vcov={kind!r} needs the leverage of the fixed effects, and {' + '.join(effects.names)} have too many "
            f"levels beside the largest of them ({sum(effects.sizes) - max(effects.sizes):,}); use vcov='HC1' or "
            "clusters with vcov={'CRV1': ...}."
        )
    meat = influences([parts], kind, df != "normal") if meat is None else meat
    error = parts.scores.gold_parts(kind, target)[1]
    covariance = _covariance(meat, error, parts.scores, kind, target, len(parts.curvature))
    p = error.shape[1]
    if df == "normal":
        freedom = np.full(p, np.inf)
    elif not isinstance(df, str):
        freedom = np.full(p, float(df))
    elif df == "auto" and kind in LEVERAGED and target == "superpopulation":
        freedom = _leveraged_df(parts, kind, covariance, meat)
    else:
        freedom = _classical_df(parts, kind, target, covariance, df, meat)
    if kind in LEVERAGED and target == "superpopulation":
        alone = np.logical_or.reduce([one.alone for one in parts.leverages(kind)[:2] if one is not None])
        covariance.total[alone], covariance.total[:, alone] = np.nan, np.nan
    missed = parts.scores.unseen
    return (covariance, freedom) if missed is None else at_least(covariance, freedom, missed.T @ missed)


def _classical_df(parts: Parts, kind: str, target: str, covariance: Covariance, df: str, meat: Meat) -> Floats:
    """Degrees of freedom that count units, or clusters, and see how evenly influences spread over them.

    All of a finite corpus's variance is that of labelling errors: clusters and the population part count for nothing.
    """
    labelling = parts.units.labelling
    by_way, cluster = [meat, *meat.others[:1]], parts.units.summed_over(kind)
    uneven = [one.concentration for one in by_way]
    if target == "finite" and not parts.scores.labels_known:
        error = parts.scores.gold_parts(kind, target)[1]
        uneven, cluster = (
            [in_columns(lambda e: concentration_of(over_drawn(labelling.shares(e), labelling)), error)],
            None,
        )
    by_kurtosis = np.min([kurtosis_df(np.ones(len(one)), one) for one in uneven], axis=0)
    if df == "kurtosis":
        return by_kurtosis
    per_row, used = absorbed(parts.scores, kind), float(len(parts.curvature))
    gold_size = float(labelling.n_chance) * (1.0 - per_row)
    n_free = min(one.groups for one in by_way) * (1.0 - per_row)
    if cluster is not None:
        signed = ways(cluster)
        gold_size = min(
            float(labelling.n_chance), *(float(np.unique(c[labelling.gold]).size) for sign, c in signed if sign > 0)
        )
        n_free, used = float(min(one.groups for one in by_way)), 1.0
    by_parts = satterthwaite_df(
        np.diag(covariance.total),
        np.diag(covariance.labelling),
        gold_size - used - parts.tuned - max(labelling.n_strata - 1, 0),
        n_free - used,
    )
    return by_parts if df == "satterthwaite" else np.minimum(by_parts, by_kurtosis)


def _leveraged_df(parts: Parts, kind: str, covariance: Covariance, meat: Meat) -> Floats:
    """Degrees of freedom from the leverage of clusters, and at most what the gold units allow the labelling part.

    Sums over clusters M hold the labelling noise too, so all of the variance V rests on them, whatever its parts; where
    the design leaves less of it than independent draws would, their noise weighs more: ``df (V / M)^2``.
    """
    labelling, total = parts.units.labelling, np.diag(covariance.total)
    found = np.full(len(total), np.inf)
    for leverage, one in zip(parts.leverages(kind)[:2], (meat, *meat.others)):
        assert leverage is not None
        own = np.array([leverage.freedom(row[None, :]) for row in np.eye(len(total))])
        assert one.plain is not None
        plain = one.plain * leverage.scale
        ratio = np.divide(total, plain, out=np.ones_like(total), where=plain > 0)
        found = np.minimum(found, own * np.minimum(ratio, 1.0) ** 2)
    gold_df = effective_size(parts.scores.error, labelling) - 1.0 - parts.tuned - max(labelling.n_strata - 1, 0)
    return np.minimum(found, satterthwaite_df(total, np.diag(covariance.labelling), gold_df, found))


DEFAULT_UNIT_COVARIANCE = "HC3"
DEFAULT_CLUSTER_COVARIANCE = "CRV3"
_CALLED_OTHERWISE = {
    **dict.fromkeys(("hetero", "robust"), "write 'HC1' for what other packages call so, or leave it out for 'HC3'"),
    **dict.fromkeys(
        ("iid", "nonrobust"), "gold and predicted rows differ in their variance, so it is always robust: 'HC0' to 'HC3'"
    ),
    "cluster": "name the clusters, vcov={'CRV1': 'column'}, or cluster='column'",
}
"""What other packages call kinds of covariance."""


def read_vcov(vcov: object, cluster: object) -> tuple[str, Any]:
    """The kind of covariance and the cluster column.

    Parameters
    ----------
    vcov : str, mapping or None
        ``"HC2"``, ``{"CRV1": "author"}``, or None for the default. Clusters of two ways may be written as pyfixest has
        them, ``{"CRV1": "author + year"}``; a column whose name holds a plus stands in a list.
    cluster : str, list of two str, array_like or None
        Short for the default cluster form; two columns for clusters of two ways.

    Returns
    -------
    kind : str
    cluster : str, list of two str, array_like or None

    Raises
    ------
    ArgumentError
        If the two contradict each other.

    Examples
    --------
    >>> read_vcov({"CRV3": "author"}, None)
    ('CRV3', 'author')
    >>> read_vcov({"CRV1": "author + year"}, None)
    ('CRV1', ['author', 'year'])
    """
    if vcov is None:
        return (DEFAULT_UNIT_COVARIANCE if cluster is None else DEFAULT_CLUSTER_COVARIANCE), cluster
    if isinstance(vcov, Mapping):
        if len(vcov) != 1:
            raise ArgumentError(f"vcov={vcov!r} must have one entry, such as {{'CRV3': 'author'}}.")
        kind, column = next(iter(vcov.items()))
        one_of("vcov", kind, CLUSTER_KINDS)
        if isinstance(column, str) and "+" in column:
            column = [name.strip() for name in column.split("+")]
        if cluster is not None and not (isinstance(column, (str, list, tuple)) and cluster == column):
            raise ArgumentError("vcov names a cluster and cluster= too; give one of them.")
        return kind, column
    if isinstance(vcov, str) and vcov in _CALLED_OTHERWISE:
        raise ArgumentError(f"vcov={vcov!r} is not allowed; {_CALLED_OTHERWISE[vcov]}.")
    one_of("vcov", vcov, KINDS)
    kind = str(vcov)
    if kind.startswith("CRV") and cluster is None:
        raise ArgumentError(f"vcov={kind!r} needs clusters; write vcov={{'{kind}': 'column'}}.")
    if kind.startswith("HC") and cluster is not None:
        raise ArgumentError(
            f"vcov={kind!r} ignores clusters but cluster= was given; use 'CRV1', 'CRV2' or 'CRV3', or drop cluster=."
        )
    return kind, cluster
