"""Results made from results, without the data."""

from __future__ import annotations

import dataclasses
import re
from typing import TYPE_CHECKING, Any

import numpy as np

from ..designs.entries import group_totals
from ..errors import ArgumentError, KaratError
from ..estimate.clusters import cluster_codes, count, named

if TYPE_CHECKING:
    from .._core.types import Floats, Ints
    from ..estimate.infer import Parts
    from ..estimate.leverage import Leverage
    from .result import Result
    from .sampling import Sampling


def with_vcov(result: Result, kind: str, cluster: Any) -> Result:
    """The same estimates with another covariance; see :meth:`Result.with_vcov`."""
    from ..estimate.infer import infer

    parts = kept_parts(result)
    if cluster is not None:
        codes, name = _read_clusters(result, parts, cluster)
        if codes is not parts.units.cluster:
            parts = parts.clustered(codes, name)
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
        cluster=parts.units.cluster_name if cluster is not None else "",
        effective_clusters=parts.effective_clusters() if cluster is not None else None,
        parts=parts,
        comparison=None,
        stage=None,
        sampling=_resampled(result, parts, kind),
    )


def kept_parts(result: Result) -> Parts:
    """What the covariance was made from.

    Raises
    ------
    KaratError
        If it was not kept.
    """
    if result.parts is None:
        raise KaratError(
            "the influence scores of this fit were not kept, so no other covariance can be computed; fit again with "
            "scores=True, or with vcov= as wanted (fits of partly labelled rows and of cascades keep none)."
        )
    return result.parts.written_out()


def _read_clusters(result: Result, parts: Parts, cluster: Any) -> tuple[Ints, str]:
    """Codes and name of the clusters of the fit, or of given ones."""
    import pandas as pd

    columns, known = [cluster] if isinstance(cluster, str) else cluster, parts.units.cluster_name
    if isinstance(columns, (list, tuple)) and all(isinstance(one, str) for one in columns):
        if named(columns) == known and parts.units.cluster is not None:
            return parts.units.cluster, known
        if len(columns) != result.n_units:
            raise ArgumentError(
                f"the data are gone, so the column {cluster!r} cannot be read; pass its {result.n_units} values as an "
                "array" + (f", or use {known!r}, the cluster of the fit." if known else ".")
            )
    given = pd.DataFrame(cluster)
    if len(given) != result.n_units or given.shape[1] not in (1, 2):
        raise ArgumentError(
            f"cluster has shape {np.shape(cluster)}; give one value for each of {result.n_units} units, or two for "
            "clusters of two ways."
        )
    if given.isna().to_numpy().any():
        raise ArgumentError("cluster has missing values; fill them.")
    names = [getattr(cluster, "name", None)] if given.shape[1] == 1 else list(given.columns)
    return cluster_codes(given), named([str(n) if isinstance(n, str) else "cluster" for n in names])


def _resampled(result: Result, parts: Parts, kind: str) -> Sampling:
    """Counts of clusters that go with the covariance."""
    clusters = gold_clusters = 0
    cluster = parts.units.summed_over(kind)
    if cluster is not None:
        clusters, gold_clusters = min(count(cluster)), min(count(cluster, parts.units.gold))
    return dataclasses.replace(result.sampling, clusters=clusters, gold_clusters=gold_clusters)


def as_means(result: Result) -> Result:
    """Coefficients read as group means.

    Raises
    ------
    KaratError
        If they are something else.
    """
    if result.spec is not None and result.spec.classes:
        raise KaratError(f"coefficients of {result.formula!r} are log odds of classes; predict gives probabilities.")
    if result.model not in ("ols", "mean") or not _on_groups(result):
        raise KaratError(
            f"coefficients of {result.formula!r} ({result.title}) are not the means of groups; as_means() reads those "
            "of least squares on one set of groups, such as 'y ~ 1' or 'y ~ 0 + C(party)'. See karat.mean."
        )
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


def _on_groups(result: Result) -> bool:
    """Whether the right-hand side is a constant, or one set of groups and nothing else."""
    if result.spec is None:
        return result.model == "mean"
    terms = list(result.spec.parsed.formula.rhs)
    factors = [str(factor.expr) for term in terms for factor in term.factors]
    return len(terms) == 1 and (factors == ["1"] or all(factor.startswith("C(") for factor in factors))


def grouped_influence(result: Result) -> Floats:
    """Influence of units, summed within analysis clusters of one way, shape (m, p).

    Raises
    ------
    KaratError
        If influence scores were not kept.
    """
    psi, _ = influence(result)
    parts = result.parts
    assert parts is not None
    cluster = parts.units.summed_over(result.vcov_kind)
    return group_totals(psi, cluster) if cluster is not None and cluster.ndim == 1 else psi


def influence(result: Result, kind: str = "HC0") -> tuple[Floats, Floats]:
    """Influence of all units, shape (N, p), and of labelling errors of gold units, shape (n, p).

    Parameters
    ----------
    result : Result
    kind : str
        Small-sample correction to put on them, see :func:`karat.estimate.scores.correction`; with CRV2
        and CRV3 totals of clusters are those with their leverage corrected.

    Raises
    ------
    KaratError
        If influence scores were not kept.
    """
    parts = kept_parts(result)
    psi = np.vstack([block for _, block in parts.scores.blocks(kind)])
    units = parts.units
    if parts.scores.gold_alone:
        full = np.zeros((units.n_units, psi.shape[1]))
        full[units.gold] = psi
        psi = full
    leverage = parts.leverages(kind)[0]
    if leverage is not None and units.cluster is not None and units.cluster.ndim == 1:
        psi = psi + _of_leverage(psi, units.cluster, leverage, units.gold if parts.scores.gold_alone else None)
    return psi, parts.scores.gold_parts(kind, result.target)[1]


def _of_leverage(psi: Floats, cluster: Ints, leverage: Leverage, rows: Ints | None) -> Floats:
    """What the leverage of clusters adds to their totals, in equal parts to their rows."""
    present = np.unique(cluster if rows is None else cluster[rows])
    totals = group_totals(psi, cluster)
    more = np.zeros_like(totals)
    more[present] = leverage.adjusted(totals[present]) - totals[present]
    return np.asarray((more / np.maximum(np.bincount(cluster), 1)[:, None])[cluster])


def _group_name(name: str) -> str:
    """``C(party)[left]`` as ``party=left``; a quoted name without its quotes."""
    crossed = re.fullmatch(r"C\(karat_groups\(.*\)\)\[(?:T\.)?(.*)\]", name, re.DOTALL)
    if crossed:
        return crossed.group(1)
    groups = re.split(r":(?=C\()", name)
    found = [re.fullmatch(r"C\((`(?:[^`]|``)+`|[^)]*)\)\[(?:T\.)?(.*)\]", group, re.DOTALL) for group in groups]
    parts = [(m.group(1).strip("`").replace("``", "`"), m.group(2)) for m in found if m]
    return ":".join(f"{column}={level}" for column, level in parts) if len(parts) == len(groups) else name
