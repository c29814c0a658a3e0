"""Fill a Result from the pieces of a fit, and warn where a sample is small."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..checks.balance import balance, weight_total
from ..checks.values import Balance, Checks, Influential, Stratum
from ..designs.entries import by_column, by_row, largest, of_rows
from ..errors import SmallSampleWarning, tell
from ..estimate.clusters import count
from ..estimate.df import holds
from ..results.result import Result
from ..results.sampling import Sampling
from ..results.verdicts import FEW_GOLD, small_sample_notes
from .unseen import allowed_for

if TYPE_CHECKING:
    from .._core.types import Floats
    from ..designs import Labelling
    from ..estimate.covariance import Covariance
    from ..estimate.infer import Parts
    from ..estimate.rectify import Estimate
    from ..frames.matrices import Features
    from ..moments import Model
    from ..predict import Predictions
    from .design_matrix import Design, Prepared
    from .options import Arguments

_SHOWN = 5
_FEW_WRONG, _ROUNDING, _CLOSE = 6, 1e-9, 0.01
"""Wrong gold labels below which what they tell of labelling errors is not to be trusted; errors that are none, as
shares of the largest gold row, and, of a learner, which shrinks, of a usual one."""
_PUT_RIGHT = (
    "the groups of the fixed effects hold few gold rows, so that labelling noise would bias coefficients; it is put "
    "right (methods, section 8.2)"
)


def collect(
    prepared: Prepared, features: Features | None, parts: Parts, names: tuple[str, ...], covariance: Floats
) -> Checks:
    """Checks of the gold sample of a fit.

    Parameters
    ----------
    prepared : Prepared
    features : Features or None
        Surrogates and observed columns of the formula, as numbers; None when there are none.
    parts : Parts
    names : tuple of str, length p
    covariance : ndarray, shape (p, p)
        Of the estimates.

    Returns
    -------
    Checks
    """
    labelling = prepared.units.labelling
    influential, leverage = _influential(prepared, parts, names, np.sqrt(np.maximum(np.diag(covariance), 0.0)))
    return Checks(
        balance=_balance(prepared, features),
        weights=weight_total(labelling),
        strata=_strata(labelling),
        influential=influential,
        largest_leverage=leverage,
        n_drawn=labelling.n_drawn,
        recorded=labelling.recorded,
        caution=labelling.caution,
    )


def _balance(prepared: Prepared, features: Features | None) -> Balance | None:
    labelling = prepared.units.labelling
    if labelling.labelled.all() or features is None:
        return None
    surrogate, outcome = set(features.surrogate), prepared.parsed.outcome_variables
    roles = []
    for j, name in enumerate(features.names):
        if j in surrogate:
            roles.append("" if name.startswith("log odds of ") else "surrogate")
        else:
            roles.append("outcome" if name in outcome else "covariate")
    return balance(features.matrix, features.names, tuple(roles), labelling)


def _strata(labelling: Labelling) -> tuple[Stratum, ...]:
    """Labelling units, drawn units and gold units of each stratum, largest difference first."""
    drawn = labelling.asked
    if drawn.stratum is None:
        return ()
    codes, asked, gold = drawn.stratum, drawn.kind_of_gold, labelling.kind_of_gold
    if drawn.unit is not None:
        first = np.unique(drawn.unit, return_index=True)[1]
        asked, gold = (rows[np.unique(drawn.unit[rows], return_index=True)[1]] for rows in (asked, gold))
        size = np.bincount(codes[first])
    else:
        size = drawn.stratum_sizes
    n = len(size)
    counts = [size, *(np.bincount(codes[rows], minlength=n) for rows in (asked, gold))]
    names = drawn.strata or tuple(str(s) for s in range(n))
    return tuple(Stratum(names[s], *(int(c[s]) for c in counts)) for s in range(n))


def _influential(
    prepared: Prepared, parts: Parts, names: tuple[str, ...], se: Floats
) -> tuple[tuple[Influential, ...], float]:
    """Gold labels that move a coefficient most, in standard errors, and the largest leverage."""
    scores, weight = parts.scores, parts.units.labelling.weight
    if not largest(scores.error).any() or not (se > 0).all():
        return (), 0.0
    shifts = by_column(np.divide, by_row(np.multiply, scores.gold_parts("HC3")[1], weight), se)
    worst, shift = of_rows(shifts)
    size = np.abs(shift).round(9)  # rows that are alike stand in their order
    positions = parts.units.gold_in_data
    out = tuple(
        Influential(
            int(positions[i]),
            names[worst[i]],
            float(shift[i]),
            float(scores.gold_leverage[i]),
            float(weight[i]),
        )
        for i in np.argsort(-size, kind="stable")[:_SHOWN]
    )
    return out, float(scores.gold_leverage.max())


def few_wrong(result: Result, parts: Parts, errors: tuple[Floats, ...] = ()) -> tuple[str, ...]:
    """Say so where next to no gold label differs from its prediction, and labels are all that is not known.

    With none at all the labelling variance is next to 0, while up to 3 in n labels may be wrong elsewhere (rule of
    three). Intervals allow for it (:mod:`karat.regression.unseen`), or, where they do not, this is a warning: labels of
    classes are counted where a learner predicted them, gold rows with an error otherwise. What the population adds
    hides this in corpora of fewer than about ``n^2 / 2`` rows. ``errors`` of rows with a part of the labels are those
    of each part.
    """
    scores, labelling = parts.scores, parts.units.labelling
    n = len(labelling.gold)
    hidden = result.target != "finite" and labelling.n_rows < n**2 / 2
    if result.estimator == "surrogate" or (scores.gold_alone and not errors) or hidden:
        return ()
    if n < FEW_GOLD or not (labelling.spread > 0).any():
        return ()
    if scores.unseen is not None:
        return (allowed_for(n),) if holds(scores.unseen, result.covariance).any() else ()
    wrong = [n * (1.0 - one.accuracy) for one in result.skill if one.accuracy is not None]
    for error in () if wrong else errors or (scores.error,):
        size, usual = np.abs(of_rows(error)[1]), np.abs(of_rows(scores.moment)[1])
        most = _ROUNDING * max(size.max(), usual.max())
        if result.skill:
            most = max(most, _CLOSE * float(np.sqrt((usual**2).mean())))
        wrong.append(float((size > most).sum()))
    return nearly_all_right(min(wrong), n)


def nearly_all_right(wrong: float, n: int) -> tuple[str, ...]:
    """A note, and a warning, where fewer than 6 of n gold labels are wrong and no interval allows for more."""
    least = round(wrong)
    if n < FEW_GOLD or least >= _FEW_WRONG:
        return ()
    note = (
        f"nearly all gold labels are as predicted, {n - least:,} of {n:,}: intervals are too short if wrong labels "
        f"were missed by chance (with none seen, up to 3 in {n:,} may be wrong); label more rows, above all those of "
        "which the model is not sure"
    )
    tell(f"{note}.", SmallSampleWarning)
    return (note,)


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
        title=regression.heading + regression.told(matrix.spec.classes),
        formula=prepared.parsed.text,
        estimator=options.estimator,
        names=matrix.spec.names,
        theta=estimate.theta,
        covariance=covariance.total,
        labelling_covariance=covariance.labelling,
        df=df,
        vcov_kind=options.vcov,
        cluster=prepared.units.cluster_name,
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
        notes=(*prepared.notes, *estimate.notes, *(() if estimate.noise is None else (_PUT_RIGHT,))),
        df_method=options.df,
        effective_clusters=parts.effective_clusters(),
        checks=collect(prepared, features, parts, matrix.spec.names, covariance.total),
        spec=matrix.spec,
        parts=parts.stored() if keep_parts else None,
    )


def _sampling(prepared: Prepared, matrix: Design, assumed: bool) -> Sampling:
    labelling = prepared.units.labelling
    w = labelling.weight
    rarest: int | None = None
    for label in prepared.labels:
        if label.classes:
            counts = np.bincount(label.gold_codes(prepared.gold).astype(np.intp), minlength=len(label.classes))
            rarest = int(counts.min()) if rarest is None else min(rarest, int(counts.min()))
    clusters = gold_clusters = 0
    if prepared.units.cluster is not None:
        clusters, gold_clusters = min(count(prepared.units.cluster)), min(count(prepared.units.cluster, labelling.gold))
    return Sampling(
        design=labelling.description,
        assumed=assumed,
        n_units=prepared.n_rows,
        n_gold=labelling.n_gold,
        dropped=dict(prepared.dropped),
        n_dropped=prepared.units.n_dropped,
        smallest_probability=float(labelling.probability[labelling.kind_of_gold].min()),
        largest_weight=float(w.max()),
        kish=float(w.sum() ** 2 / (w**2).sum()),
        sum_of_weights=float(w.sum()),
        clusters=clusters,
        gold_clusters=gold_clusters,
        rarest_class=rarest,
        effects={} if prepared.units.effects is None else prepared.units.effects.groups,
        binary_outcome=not matrix.spec.classes and bool(np.isin(matrix.gold.y, (0.0, 1.0)).all()),
    )


def warn_small_samples(result: Result) -> None:
    """Give the warnings of docs/methods.md, section 9."""
    for note in small_sample_notes(result):
        tell(note, SmallSampleWarning)
