"""Fill a Result from the pieces of a fit, and warn where a sample is small."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ..errors import SmallSampleWarning, tell
from ..estimate.clusters import count
from ..results.result import Result
from ..results.sampling import Sampling
from ..results.small_samples import small_sample_notes
from .collect_checks import collect

if TYPE_CHECKING:
    from .._core.types import Floats
    from ..estimate.covariance import Covariance
    from ..estimate.infer import Parts
    from ..estimate.rectify import Estimate
    from ..frames.encode import Features
    from ..moments import Model
    from ..predict import Predictions
    from .design_matrix import Design, Prepared
    from .options import Arguments


def describe(
    regression: Model,
    prepared: Prepared,
    matrix: Design,
    options: Arguments,
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
        tuning_weight=np.diag(tuning.coefficient_weights).copy(),
        lambda_matrix=tuning.mixing,
        r_squared=tuning.r_squared,
        skill=() if predicted is None else predicted.skill,
        moment_norm=estimate.norm,
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


def warn_small_samples(result: Result) -> None:
    """Give the warnings of docs/methods.md, section 9."""
    for note in small_sample_notes(result):
        tell(note, SmallSampleWarning)
