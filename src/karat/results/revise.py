"""Results made from results, without the data."""

from __future__ import annotations

import dataclasses
import re
from typing import TYPE_CHECKING, Any

import numpy as np

from ..designs.labelling import group_totals
from ..errors import ArgumentError, KaratError

if TYPE_CHECKING:
    from .._types import Floats
    from ..estimate.infer import Parts
    from .result import Result
    from .sampling import Sampling


def with_vcov(result: Result, kind: str, cluster: Any) -> Result:
    """The same estimates with another covariance; see :meth:`Result.with_vcov`."""
    import pandas as pd

    from ..estimate.infer import infer

    parts = result.parts
    if parts is None:
        raise KaratError(
            "the influence scores of this fit were not kept, so another covariance cannot be computed; fit again with "
            "scores=True, or with vcov= as wanted."
        )
    name = ""
    if cluster is not None:
        if isinstance(cluster, str):
            if cluster != parts.cluster_name or parts.cluster is None:
                raise ArgumentError(
                    f"the data are gone, so the column {cluster!r} cannot be read; pass its {result.n_units} "
                    f"values as an "
                    f"array"
                    + (f", or use {parts.cluster_name!r}, the cluster of the fit." if parts.cluster_name else ".")
                )
            name = cluster
        else:
            values = np.asarray(cluster)
            if values.shape != (result.n_units,):
                raise ArgumentError(
                    f"cluster has shape {values.shape}; give one value for each of {result.n_units} units."
                )
            codes = pd.factorize(values)[0].astype(np.intp)
            if codes.min() < 0:
                raise ArgumentError("cluster has missing values; fill them.")
            parts = dataclasses.replace(parts, cluster=codes, cluster_curvature=None)
            name = str(getattr(cluster, "name", None) or "cluster")
            parts = dataclasses.replace(parts, cluster_name=name)
    if kind == "CRV3" and parts.cluster_curvature is None:
        raise ArgumentError("CRV3 needs the rows of the regression; fit again with vcov={'CRV3': column}.")
    covariance, df = infer(parts, kind, result.target, result.df_method)
    total, shares = covariance.total, result.shares
    if shares is not None:
        total, df, shares = shares.settle(total, df, result.df_method)
    return result.replace(
        covariance=total,
        shares=shares,
        labelling_covariance=covariance.labelling,
        df=df,
        vcov_kind=kind,
        cluster=name,
        parts=parts,
        comparison=None,
        sampling=_resampled(result, parts, kind),
    )


def _resampled(result: Result, parts: Parts, kind: str) -> Sampling:
    """Counts of clusters that go with the covariance."""
    clusters = gold_clusters = 0
    if kind.startswith("CRV") and parts.cluster is not None:
        clusters = int(np.unique(parts.cluster).size)
        gold_clusters = int(np.unique(parts.cluster[parts.labelling.gold]).size)
    return dataclasses.replace(result.sampling, clusters=clusters, gold_clusters=gold_clusters)


def as_means(result: Result) -> Result:
    """Coefficients read as group means."""
    names = tuple("Mean" if n == "Intercept" else _group_name(n) for n in result.names)
    interval = "beta" if result.sampling.binary_outcome else "wald"
    comparison = result.comparison
    if comparison is not None:
        comparison = dataclasses.replace(comparison, names=names, interval=interval)
    checks = result.checks
    if checks is not None:
        called = dict(zip(result.names, names))
        renamed = (dataclasses.replace(i, coefficient=called[i.coefficient]) for i in checks.influential)
        checks = dataclasses.replace(checks, influential=tuple(renamed))
    return result.replace(
        names=names,
        checks=checks,
        interval=interval,
        model="mean",
        title="Proportions" if interval == "beta" else "Means",
        comparison=comparison,
    )


def grouped_influence(result: Result) -> Floats:
    """Influence of units, summed within analysis clusters, shape (m, p).

    Raises
    ------
    KaratError
        If influence scores were not kept.
    """
    psi, _ = influence(result)
    parts = result.parts
    assert parts is not None
    if result.vcov_kind.startswith("CRV") and parts.cluster is not None:
        return group_totals(psi, parts.cluster)
    return psi


def influence(result: Result, kind: str = "HC0") -> tuple[Floats, Floats]:
    """Influence of all units, shape (N, p), and of labelling errors of gold units, shape (n, p).

    Parameters
    ----------
    result : Result
    kind : str
        Small-sample correction to put on them, see :func:`karat.estimate.covariance.correction`.

    Raises
    ------
    KaratError
        If influence scores were not kept.
    """
    parts = result.parts
    if parts is None:
        raise KaratError("the influence scores of this fit were not kept; fit again with scores=True.")
    psi = np.vstack([block for _, block in parts.scores.source(kind)])
    if parts.scores.rows is not None:
        full = np.zeros((len(parts.labelling.labelled), psi.shape[1]))
        full[parts.scores.rows] = psi
        psi = full
    return psi, parts.scores.corrected_error(kind)


def _group_name(name: str) -> str:
    crossed = re.fullmatch(r"C\(karat_groups\(.*\)\)\[(?:T\.)?(.*)\]", name)
    if crossed:
        return crossed.group(1)
    return re.sub(r"C\(([^)]*)\)\[(?:T\.)?([^\]]*)\]", r"\1=\2", name)
