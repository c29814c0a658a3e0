"""Fill a Result from the pieces of a fit, and warn where a sample is small."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..checks.collect import collect
from ..errors import SmallSampleWarning, tell
from ..estimate.clusters import count
from ..results.result import Result
from ..results.sampling import Sampling

if TYPE_CHECKING:
    from .._core.types import Floats
    from ..estimate.covariance import Covariance
    from ..estimate.infer import Parts
    from ..estimate.rectify import Estimate
    from ..frames.encode import Features
    from ..moments import Model
    from ..predict import Predictions
    from .design_matrix import Design, Prepared
    from .options import Options

FEW_GOLD = 30
FEW_IN_CLASS = 10
FEW_CLUSTERS = 20
A_HANDFUL = 4.0
"""Below these a warning is given (docs/methods.md, section 9)."""


def describe(
    regression: Model,
    prepared: Prepared,
    matrix: Design,
    options: Options,
    estimate: Estimate,
    parts: Parts,
    covariance: Covariance,
    df: Floats,
    predicted: Predictions | None,
    features: Features | None,
    *,
    assumed: bool,
    keep_parts: bool,
) -> Result:
    """The Result of a fit, without comparison."""
    tuning = estimate.tuning
    return Result(
        model=regression.name,
        title=regression.title + (f", base {matrix.spec.classes[0]!r}" if matrix.spec.classes else ""),
        formula=prepared.parsed.text,
        estimator=options.estimator,
        names=matrix.spec.names,
        theta=estimate.theta,
        covariance=covariance.total,
        labelling_covariance=covariance.labelling,
        df=df,
        vcov_kind=options.vcov,
        cluster=prepared.cluster_name,
        target=options.target,
        alpha=options.alpha,
        sampling=_sampling(prepared, matrix, assumed),
        choice=tuning.choice,
        weight=np.diag(tuning.coefficient_weights).copy(),
        mixing=tuning.mixing,
        r_squared=tuning.r_squared,
        skill=() if predicted is None else predicted.skill,
        norm=estimate.norm,
        iterations=estimate.iterations,
        notes=(*prepared.notes, *estimate.notes),
        df_method=options.df,
        effective_clusters=parts.effective_clusters(),
        checks=collect(prepared, features, parts, matrix.spec.names, covariance.total),
        spec=matrix.spec,
        parts=_kept_parts(parts, prepared) if keep_parts else None,
    )


def _kept_parts(parts: Parts, prepared: Prepared) -> Parts:
    """Influences in memory, with what tells the rows of one fit from those of another."""
    return replace(parts.stored(), cluster_name=prepared.cluster_name, kept=prepared.kept)


def _sampling(prepared: Prepared, matrix: Design, assumed: bool) -> Sampling:
    labelling = prepared.labelling
    w = labelling.weight
    rarest: int | None = None
    for label in prepared.labels:
        if label.classes:
            counts = np.bincount(label.gold_codes(labelling.gold).astype(np.intp), minlength=len(label.classes))
            rarest = int(counts.min()) if rarest is None else min(rarest, int(counts.min()))
    clusters = gold_clusters = 0
    if prepared.cluster is not None:
        clusters, gold_clusters = min(count(prepared.cluster)), min(count(prepared.cluster, labelling.gold))
    return Sampling(
        design=labelling.description,
        assumed=assumed,
        n_units=prepared.n_rows,
        n_gold=labelling.n_gold,
        dropped=dict(prepared.dropped),
        n_dropped=prepared.n_dropped,
        smallest_probability=float(labelling.probability[labelling.gold].min()),
        largest_weight=float(w.max()),
        kish=float(w.sum() ** 2 / (w**2).sum()),
        sum_of_weights=float(w.sum()),
        clusters=clusters,
        gold_clusters=gold_clusters,
        rarest_class=rarest,
        binary_outcome=not matrix.spec.classes and bool(np.isin(matrix.gold.y, (0.0, 1.0)).all()),
    )


def small_sample_notes(result: Result) -> list[str]:
    """What is small about a fit, in words."""
    s: Any = result.sampling
    out = []
    if s.n_gold < FEW_GOLD:
        out.append(f"only {s.n_gold} gold rows; intervals rest on large-sample theory, label at least {FEW_GOLD}")
    if s.rarest_class is not None and s.rarest_class < FEW_IN_CLASS:
        out.append(
            f"the rarest gold class has {s.rarest_class} rows; label at least {FEW_IN_CLASS} (stratify by surrogate)"
        )
    if s.clusters and s.gold_clusters < FEW_CLUSTERS:
        out.append(f"only {s.gold_clusters} clusters hold gold; cluster intervals want at least {FEW_CLUSTERS}")
    if s.clusters and result.effective_clusters is not None:
        out += _handful(result)
    return out


def _handful(result: Result) -> list[str]:
    """Coefficients that a handful of clusters carry, or one alone."""
    assert result.effective_clusters is not None
    unknown = ~np.isfinite(np.diag(result.covariance))
    few = ~unknown & (result.effective_clusters < A_HANDFUL)
    out = []
    if few.any():
        listing = ", ".join(f"{n!r} ({result.effective_clusters[j]:.1f})" for j, n in enumerate(result.names) if few[j])
        out.append(
            f"few clusters carry {listing} (effective number in brackets); with fewer than {A_HANDFUL:g} intervals and "
            "tests are rough, so look for more clusters in which these covariates vary"
        )
    if unknown.any():
        listing = ", ".join(repr(n) for j, n in enumerate(result.names) if unknown[j])
        out.append(
            f"a single cluster identifies {listing}, so the data do not say how much it varies from cluster to "
            "cluster, and no standard error is given"
        )
    return out


def warn_small_samples(result: Result) -> None:
    """Give the warnings of docs/methods.md, section 9."""
    for note in small_sample_notes(result):
        tell(note, SmallSampleWarning)
