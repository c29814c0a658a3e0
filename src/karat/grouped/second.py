"""The second regression: from a formula and unit means to a Result, by the code that all fits use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import moments as models
from ..designs import Labelling
from ..designs.labelling import pair_codes
from ..errors import ArgumentError, ConvergenceError, DataError, FormulaError, SmallSampleWarning, tell
from ..estimate.basis import nearest_psd
from ..estimate.clusters import Curvatures, ways
from ..estimate.infer import Parts, infer
from ..estimate.leverage import Leverage
from ..estimate.scores import Scores, StoredBlocks
from ..frames import Table
from ..frames.formula import Parsed, parse, refuse_stateful
from ..regression.design_matrix import Prepared, prepare
from ..regression.options import Arguments
from ..regression.steps import refuse_effects
from ..results import Result
from ..results.comparison import Column, Comparison
from .corrected import MeasuredRows, Solution, gold_scores, pair_variance, solve
from .expansion import measured_rows

if TYPE_CHECKING:
    from .._core.types import Floats, Ints
    from ..estimate.augment import Units
    from ..frames.matrices import MatrixSpec
    from ..moments import Model
    from .means import UnitMeans
    from .noise import GoldErrors

MODELS = ("ols", "logit", "probit", "poisson", "gamma", "fractional")
"""Models of one smooth linear predictor."""

_TAKEN = ("vcov", "cluster", "weights", "df", "alpha", "missing", "context", "compare", "scores", "parameters")
"""Options of the second regression; all others are about documents."""

_LEAST_SIGNAL = 3.0
"""Standard errors by which the variance of the unit means must exceed that of the noise, else the user is told."""

CAUTION = "takes unit means for the truth; its intervals are not valid"


@dataclass(frozen=True)
class Fitted:
    """A second regression with what it was made from.

    Parameters
    ----------
    result : Result
    rows : MeasuredRows
    solution : Solution
    linear, pairs : ndarray, shape (p, p)
        Parts of the covariance that grow with the variance of the noise, and with its square.
    reliability : dict of str to float
        Of each mean among the covariates, given the other covariates.
    """

    result: Result
    rows: MeasuredRows
    solution: Solution
    linear: Floats
    pairs: Floats
    reliability: dict[str, float]


def regress_units(people: UnitMeans, formula: str, name: str, options: Mapping[str, Any]) -> Fitted:
    """Fit a formula to units.

    Raises
    ------
    KaratError
        One of its children, naming what is at fault.
    """
    arguments = _arguments(formula, name, options)
    model = models.get(name, arguments.parameters)
    frame = Table.read(people.frame())
    parsed = parse(formula, frame.names, arguments.context)
    refuse_stateful(parsed, list(people.labels))
    refuse_effects(parsed, model, allowed=False)
    outcome = _outcome(parsed, people.labels, name)
    every = np.ones(people.n_units)
    draw = Labelling(every, every > 0, fixed_size=False, description=people.sampling.design)
    prepared = prepare(
        frame, parsed, (), draw, weights=arguments.weights, cluster=arguments.cluster, missing=arguments.missing,
        context=arguments.context,
    )  # fmt: skip
    kept = prepared.units.kept
    people = people if kept is None else people._keep(kept)
    used = [label for label in people.labels if label in parsed.covariate_variables]
    if not used and outcome is None:
        raise FormulaError(f"{formula!r} uses none of the unit means {list(people.labels)}; name one of them.")
    spec, rows = measured_rows(people, prepared, used, outcome)
    model.check_outcome(rows.y, parsed.outcome)
    reliability = _reliability(people, used, rows)
    try:
        solution = solve(model, rows, spec.names)
    except ConvergenceError as error:
        raise ConvergenceError(f"{error}; {_what_helps(reliability)}.") from None
    at = [people.labels.index(label) for label in (*used, *([outcome] if outcome else []))]
    return _finished(people, prepared, spec, arguments, model, rows, solution, at, reliability)


def _arguments(formula: str, name: str, options: Mapping[str, Any]) -> Arguments:
    """Options of the second regression; those of documents are refused."""
    if name not in MODELS:
        raise ArgumentError(f"model={name!r} is not one for unit means; there are {list(MODELS)}.")
    if strangers := [option for option in options if option not in _TAKEN]:
        raise ArgumentError(
            f"{strangers[0]}= is about documents; give it to karat.aggregate. A regression on unit means takes "
            f"{', '.join(_TAKEN)}."
        )
    arguments = Arguments.of(name, formula, {}, options)
    # the jackknife pays for influences that differ in size; clusters have degrees of freedom of their own
    return arguments.replace(df="satterthwaite") if arguments.df == "auto" and arguments.vcov == "HC3" else arguments


def _outcome(parsed: Parsed, labels: tuple[str, ...], name: str) -> str | None:
    """The unit mean that is the outcome, if one is."""
    found = sorted(parsed.outcome_variables & set(labels))
    if not found:
        return None
    if parsed.outcome != found[0]:
        raise FormulaError(
            f"the outcome {parsed.outcome!r} is made of the unit mean {found[0]!r}, whose noise is known for itself "
            "alone; write it as it is, or label the documents anew."
        )
    if name != "ols":
        raise ArgumentError(f"the outcome {found[0]!r} is a mean with noise, not a count or a class; use karat.ols.")
    return found[0]


def _reliability(people: UnitMeans, used: list[str], rows: MeasuredRows) -> dict[str, float]:
    """Share of the variance, given the other covariates, that is not noise; a warning where it is hardly known."""
    out = {}
    moved = np.abs(rows.slope).max(axis=0) > 0
    for j, label in enumerate(used):
        others = rows.realised[:, ~moved[:, j]]
        z = people.means[:, people.labels.index(label)]
        rest = z - others @ np.linalg.lstsq(others, z, rcond=None)[0]
        square = rest**2 * len(z) / max(len(z) - others.shape[1], 1)
        signal = square - rows.noise[:, j, j]
        out[label] = float(signal.sum() / square.sum()) if square.any() else 0.0
        spread = float(np.sqrt(((signal - signal.mean()) ** 2).sum()))
        if 0 < signal.sum() < _LEAST_SIGNAL * spread:
            tell(
                f"{label!r} differs between units little beyond labelling noise, and how much is hardly known: "
                f"{_what_helps({label: out[label]})}. Its interval is wide and rough.",
                SmallSampleWarning,
            )
    return out


def _what_helps(reliability: dict[str, float]) -> str:
    listing = ", ".join(f"{label!r} {value:.2f}" for label, value in reliability.items())
    return (
        f"reliability {listing} (1 is no noise). What helps: more gold (people.plan shows how much), a better "
        "surrogate or learner, more units, and fewer covariates that go with it"
    )


def _finished(
    people: UnitMeans, prepared: Prepared, spec: MatrixSpec, arguments: Arguments, model: Model, rows: MeasuredRows,
    solution: Solution, at: list[int], reliability: dict[str, float],
) -> Fitted:  # fmt: skip
    """Covariance, degrees of freedom, comparison, notes."""
    parts = parts_of(solution, prepared.units)
    covariance, df = infer(parts, arguments.vcov, "superpopulation", arguments.df)
    inverse = np.linalg.inv(parts.curvature)
    errors = people.errors.of(at)
    scores = gold_scores(model, rows, solution.theta, errors)
    linear, shared = _labelling(scores, errors, prepared.units, arguments.vcov)
    pairs = pair_variance(model, rows, solution.theta, people.pooled[:, at][:, :, at])
    linear, pairs, shared = (inverse @ part @ inverse.T for part in (linear, pairs, shared))
    linear = nearest_psd(linear - 2.0 * pairs, linear) if linear.any() else linear
    s = replace(
        people.sampling, n_units=len(rows.y), documents=people.sampling.n_units, dropped=dict(prepared.dropped),
        n_dropped=prepared.units.n_dropped, clusters=_count(prepared.units.cluster),
        gold_clusters=_count(prepared.units.cluster),
    )  # fmt: skip
    p = len(solution.theta)
    notes = [
        f"reliability of {label!r} given the other covariates: {value:.2f}" for label, value in reliability.items()
    ]
    result = Result(
        model=model.name, title=f"{model.heading} on unit means", formula=arguments.formula, estimator="corrected",
        names=spec.names, theta=solution.theta, covariance=covariance.total + shared,
        labelling_covariance=linear + pairs, df=df, vcov_kind=arguments.vcov, cluster=prepared.units.cluster_name,
        target="superpopulation", alpha=arguments.alpha, sampling=s, choice=("one",) * p, tuning_weight=np.ones(p),
        lambda_matrix=None, r_squared=np.full(p, np.nan), skill=(), moment_norm=solution.norm,
        iterations=solution.iterations, notes=(*people.notes, *prepared.notes, *notes), df_method=arguments.df,
        effective_clusters=parts.effective_clusters(), spec=spec, parts=None if shared.any() else parts,
    )  # fmt: skip
    if arguments.compare:
        result = result.replace(comparison=_compare(people, prepared, spec, arguments, model, rows, result))
    return Fitted(result, rows, solution, linear, pairs, reliability)


def parts_of(solution: Solution, units: Units) -> Parts:
    """Influences of the units; leaving one out is exact for a linear equation: ``(A - A_c)^-1`` times its score."""
    whole = solution.curvature.sum(axis=0)
    psi = np.linalg.solve(whole, solution.score.T).T
    symmetric = (solution.curvature + solution.curvature.transpose(0, 2, 1)) / 2.0
    left_out = Leverage(symmetric, "CRV3").adjusted(psi)
    none, zero = np.zeros_like(psi), np.zeros(len(psi))
    scores = Scores(StoredBlocks(psi, zero), psi, none, (left_out, none), units, zero)
    return Parts(scores, whole, np.zeros(len(whole)), _by_cluster(symmetric, units.cluster))


def _by_cluster(curvature: Floats, cluster: Ints | None) -> Curvatures:
    if cluster is None:
        return Curvatures()
    out = []
    for _, codes in ways(cluster):
        total = np.zeros((int(codes.max()) + 1, *curvature.shape[1:]))
        np.add.at(total, codes, curvature)
        out.append(total)
    return Curvatures(tuple(out))


def _count(cluster: Ints | None) -> int:
    return 0 if cluster is None else min(len(np.unique(codes)) for sign, codes in ways(cluster) if sign > 0)


def _labelling(scores: Floats, errors: GoldErrors, units: Units, kind: str) -> tuple[Floats, Floats]:
    """Labelling part of the scores, and what documents drawn together add across units or their clusters."""
    labelling = errors.labelling
    whole = labelling.cross(scores, scores)
    cluster = units.summed_over(kind)
    group = errors.unit
    if cluster is not None:
        codes = cluster if cluster.ndim == 1 else pair_codes(cluster[:, 0], cluster[:, 1])
        group = np.where(group >= 0, codes[group], -1)
    if labelling.unit is None or not scores.any():
        return whole, np.zeros_like(whole)
    pair = pair_codes(labelling.unit[labelling.gold], group + 1)
    if len(np.unique(pair)) == len(np.unique(labelling.unit[labelling.gold])):
        return whole, np.zeros_like(whole)
    everywhere = np.zeros(labelling.n_rows, dtype=np.intp)
    everywhere[labelling.gold] = group + 1
    apart = labelling.independent_cross(scores, scores, everywhere)
    return whole, nearest_psd(whole - apart, whole)


def _compare(
    people: UnitMeans, prepared: Prepared, spec: MatrixSpec, arguments: Arguments, model: Model, rows: MeasuredRows,
    result: Result,
) -> Comparison:  # fmt: skip
    """Means of surrogates, unit means taken for the truth, and the corrected estimate."""
    columns, remark = [], ""
    frame = people.frame(people.surrogate)
    needed = [label for label in people.labels if label in spec.parsed.variables]
    candidates: list[tuple[str, MeasuredRows]] = []
    if all(np.isfinite(np.asarray(frame[label])).all() for label in needed):
        raw = prepared.frame.assign(**{label: frame[label] for label in needed})
        plain = rows.as_known()
        candidates.append(("Surrogate only", replace(
            plain, x=spec.x(raw, arguments.context), y=spec.y(raw, arguments.context),
        )))  # fmt: skip
    else:
        remark = "Surrogate only is not shown: surrogates are on another scale than the label"
    if rows.slope.any():
        candidates.append(("Uncorrected", rows.as_known()))
    for title, known in candidates:
        try:
            found = solve(model, known, spec.names)
        except (ConvergenceError, DataError) as error:
            remark = f"{title} is not shown: {error}"
            continue
        covariance, df = infer(parts_of(found, prepared.units), arguments.vcov, "superpopulation", arguments.df)
        columns.append(Column(title, found.theta, np.sqrt(np.diag(covariance.total)), df))
    columns.append(Column("Corrected", result.theta, np.sqrt(np.diag(result.covariance)), result.df))
    nothing = np.full(len(result.theta), np.nan)
    return Comparison(
        result.names, tuple(columns), None, nothing, nothing, result.alpha, result.n_gold, remark,
        {column.title: CAUTION for column in columns[:-1]},
    )  # fmt: skip
