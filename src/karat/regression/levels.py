"""Regressions on rows of which some have all labels and others a part of them, or a better surrogate.

Opens and closes a fit as ``pipeline.py`` does, with predicted rows for each level besides those of all units.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import designs
from .. import moments as models
from ..designs.phases import Phases
from ..errors import ArgumentError, DataError, DesignWarning, generator, tell
from ..estimate.augment import Units
from ..estimate.clusters import Curvatures
from ..estimate.covariance import Covariance
from ..estimate.infer import Parts, infer
from ..estimate.levels import Level, LevelEstimate, rectify_levels, without_levels
from ..estimate.rectify import rectify
from ..frames import Table
from ..frames.formula import parse, row_by_row
from ..results import Result
from ..results.comparison import Column, Comparison
from .comparison_fits import Naive, naive_fit
from .describe import describe, few_wrong
from .design_matrix import Design, Prepared, matrices, prepare
from .pipeline import settled
from .steps import (
    augmented,
    frame_features,
    predicted_blocks,
    refuse_effects,
    refuse_unused,
    seed_of_fit,
    tell_user,
)  # fmt: skip
from .surrogates import Cascade, Surrogate, read_surrogates
from .variables import Label, read_labels, restrict

if TYPE_CHECKING:
    from .._core.types import Bools
    from ..estimate.rows import Rows
    from .options import Arguments

MODELS = ("ols", "logit", "probit", "poisson", "gamma", "fractional", "multinomial", "mean")
"""Regressions that take levels."""

_REFUSED = ("labelled", "sampled", "shown", "subset", "predictions")
"""Options that must not be given."""


@dataclass(frozen=True)
class _Known:
    """What rows of a level know: labels, or stronger surrogates of labels."""

    name: str
    gold: tuple[str, ...] = ()
    strong: Mapping[str, tuple[Surrogate, ...]] | None = None
    asked: Bools | None = None


@dataclass(frozen=True)
class _Read:
    """Draws, what each level knows, and how this is told."""

    phases: Phases
    known: tuple[_Known, ...]
    description: str
    assumed: bool


def fit_levels(options: Arguments, data: object) -> Result:
    """The Result of such a regression."""
    _refuse(options)
    model = models.get(options.model, options.parameters)
    table = Table.read(data)
    parsed = parse(options.formula, table.names, options.context, model.categorical)
    refuse_effects(parsed, model, False)
    if not row_by_row(parsed):
        raise ArgumentError(
            f"formula {parsed.text!r} calls functions, which may read whole columns, and rows here are read in parts; "
            "compute such columns before the fit."
        )
    cascades = {str(n): given for n, given in options.surrogates.items() if isinstance(given, Cascade)}
    plain = {str(n): given.cheap if isinstance(given, Cascade) else given for n, given in options.surrogates.items()}
    labels = read_labels(parsed, table, plain)
    read = _cascade(options, table, labels, cascades) if cascades else _partly(options, table, labels)
    prepared = prepare(
        table, parsed, labels, replace(read.phases.full, fixed_size=False), weights=options.weights, cluster=None,
        missing=options.missing, context=options.context,
    )  # fmt: skip
    phases = read.phases if prepared.units.kept is None else read.phases.keep(prepared.units.kept)
    full = replace(phases.full, description=read.description)
    prepared = replace(prepared, units=replace(prepared.units, labelling=full))
    matrix = matrices(prepared, model)
    for y in (matrix.gold.y, matrix.observed_y):
        if y is not None:
            model.check_outcome(y, parsed.outcome)
    seed = seed_of_fit(options.seed, prepared, options.model, options.formula)
    return _fitted(options, model, table, prepared, matrix, replace(read, phases=phases), seed)


def _refuse(options: Arguments) -> None:
    """Raise for what rows with a part of the labels do not go together with."""
    why = "rows that have a part of the labels, or a cascade of surrogates,"
    refuse_unused(options, options.predictions, options.features)
    if options.model not in MODELS:
        raise ArgumentError(
            f"{why} are taken by {', '.join(MODELS)}; got model={options.model!r}. Where some rows have all labels, "
            "mark these with labelled=."
        )
    if options.cluster is not None or options.vcov.startswith("CRV"):
        raise ArgumentError(f"{why} have no covariance for clusters; take cluster= and vcov= out, or use labelled=.")
    for name in _REFUSED:
        if getattr(options, name) is not None:
            raise ArgumentError(f"{name}= cannot be combined with {why} so take it out.")
    choices: dict[str, tuple[Any, ...]] = {
        "estimator": ("dsl", "ppi"), "combine": ("mean",), "tuning": ("auto", "coefficient", None),
        "nonresponse": ("raise",),
    }  # fmt: skip
    for name, among in choices.items():
        if (given := getattr(options, name)) not in among:
            cure = "; mark the rows that have all labels with labelled=, which takes it" * (name == "nonresponse")
            raise ArgumentError(f"{name}={given!r} cannot be combined with {why} which allow {list(among)}{cure}.")
    if options.scores:
        raise ArgumentError(f"{why} keep no influence scores; take scores=True out.")


def _cascade(options: Arguments, table: Table, labels: tuple[Label, ...], cascades: Mapping[str, Cascade]) -> _Read:
    """Strong surrogates of some rows, and gold of some of these."""
    if isinstance(options.design, Mapping):
        raise ArgumentError("design= of a cascade is one design, that of gold among the rows with a strong label.")
    gold = _same_rows(labels)
    there = {label.name: _there(cascades[label.name].strong, table) for label in labels if label.name in cascades}
    asked = next(iter(there.values()))
    name = ", ".join(_named(cascades[label].strong, label) for label in there)
    if any((rows != asked).any() for rows in there.values()):
        raise DataError(f"the strong labels {name} are there in different rows; ask for all of them in the same.")
    if not asked.any():
        raise DataError(f"{name} is empty; a cascade needs strong labels of some rows.")
    if (lost := gold & ~asked).any():
        raise DataError(
            f"{int(lost.sum())} row(s) have gold and no strong label in {name}, first at position "
            f"{int(np.flatnonzero(lost)[0])}; in a cascade gold is drawn among the rows with a strong label. Ask the "
            "strong model for these rows too, or take gold out that was not drawn among them."
        )
    part = table.filter(asked)
    strong = {
        label.name: read_surrogates(
            label.name, _cut(cascades[label.name].strong, table, asked), part, label.classes, whole=False
        )
        for label in labels
        if label.name in cascades
    }
    given = [one.design for one in cascades.values() if one.design is not None]
    first = designs.read_draw(given[0] if given else None, table, asked, None, "raise")
    second = designs.read_draw(
        designs.resolve(options.design).restricted(asked, table), part, gold[asked], None, "raise"
    )
    phases = Phases.nested(first, second)
    told = f"{name}: {first.description}; gold among these: {second.description}"
    return _Read(phases, (_Known(name, strong=strong, asked=asked),), told, not given or options.design is None)


def _there(given: Any, table: Table) -> Bools:
    """Rows where a surrogate, as users give it, is there."""
    if isinstance(given, (Mapping, list, tuple)):
        parts = given.values() if isinstance(given, Mapping) else given
        return np.logical_and.reduce([_there(one, table) for one in parts])
    return Surrogate("", table.values(given, "Cascade(strong)")).there


def _cut(given: Any, table: Table, rows: Bools) -> Any:
    """A surrogate, as users give it, for a part of the table."""
    if isinstance(given, (str, Mapping)):
        return given
    if isinstance(given, (list, tuple)):
        return [_cut(one, table, rows) for one in given]
    return given[rows] if hasattr(given, "columns") else table.values(given, "Cascade(strong)")[rows]


def _named(given: Any, label: str) -> str:
    """How a strong surrogate is called."""
    if isinstance(given, (list, tuple)):
        return ", ".join(_named(one, label) for one in given)
    return given if isinstance(given, str) else f"the strong surrogate of {label}"


def _partly(options: Arguments, table: Table, labels: tuple[Label, ...]) -> _Read:
    """Labels with gold samples of their own."""
    given = options.design if isinstance(options.design, Mapping) else {label.name: options.design for label in labels}
    if strangers := [name for name in given if name not in {label.name for label in labels}]:
        raise ArgumentError(f"design names {strangers[0]!r}, which is not a labelled variable of the formula.")
    samples: list[tuple[list[str], Bools]] = []
    for label in labels:
        there = label.gold.notna().to_numpy()
        if not there.any():
            raise DataError(f"no row has gold for {label.name!r}: the column is empty.")
        same = next((names for names, rows in samples if (rows == there).all()), None)
        if same is None:
            samples.append(([label.name], there))
        else:
            same.append(label.name)
    if len(samples) == 1:
        raise ArgumentError(
            "all labels are there in the same rows, so gold is one sample; give one design, not one for each label."
        )
    if len(samples) > 2:
        raise DataError(
            f"the labels {[names for names, _ in samples]} come from {len(samples)} samples of rows, and at most two "
            "are allowed; complete one of them, or mark the rows that have all labels with labelled=."
        )
    (one, one_rows), (other, other_rows) = samples
    if options.design is None:
        tell(
            f"{int((one_rows ^ other_rows).sum())} row(s) have gold for only some of the labels, which is taken for "
            f"two simple random samples, of {int(one_rows.sum())} and {int(other_rows.sum())} rows; say how each was "
            f"drawn with design={{{one[0]!r}: ..., {other[0]!r}: ...}}, or, if answers are missing, complete them.",
            DesignWarning,
        )
    nested = not (other_rows & ~one_rows).any()
    if not nested and not (one_rows & ~other_rows).any():
        (one, one_rows), (other, other_rows), nested = samples[1], samples[0], True
    first, second = (
        next((given[name] for name in names if given.get(name) is not None), None) for names in (one, other)
    )
    draw = designs.read_draw(first, table, one_rows, None, "raise")
    assumed = first is None or second is None
    known = [_Known(f"gold of {', '.join(names)}", tuple(names)) for names in (one, other)]
    told = f"{', '.join(one)}: {draw.description}; {', '.join(other)}: "
    if nested and _rows_of(second) == one_rows.sum():
        among = designs.read_draw(second, table.filter(one_rows), other_rows[one_rows], None, "raise")
        return _Read(Phases.nested(draw, among), (known[0],), told + among.description, assumed)
    apart = designs.read_draw(second, table, other_rows, None, "raise")
    told += apart.description
    if nested:
        return _Read(Phases.within(draw, apart), (known[0],), told, assumed)
    phases = Phases.crossed(draw, apart)
    return _Read(phases, tuple(known), f"{told}; {phases.full.n_gold:,} rows with all labels", assumed)


def _rows_of(design: object) -> int:
    """Rows of the frame that a sample was drawn from; 0 where the design is not a sample."""
    found = getattr(design, "labelling", None)
    return 0 if found is None else len(found.labelled)


def _same_rows(labels: tuple[Label, ...]) -> Bools:
    """Gold rows, where all labels have gold in the same ones."""
    there = np.column_stack([label.gold.notna().to_numpy() for label in labels])
    if (there.any(axis=1) & ~there.all(axis=1)).any():
        raise DataError(
            "some rows have gold for only some of the labels, which cannot be combined with a cascade; complete them."
        )
    if not there.any():
        raise DataError(f"no row has gold for {', '.join(repr(label.name) for label in labels)}; the column is empty.")
    return np.asarray(there[:, 0])


def _fitted(
    options: Arguments, model: models.Model, table: Table, prepared: Prepared, matrix: Design, read: _Read, seed: Any
) -> Result:
    """From design matrices to the Result."""
    rng, phases = generator(seed), read.phases
    own = frame_features(prepared, options, None)
    predicted, blocks = predicted_blocks(prepared, matrix, options, None, own, options.features, table, rng)
    sample = augmented(prepared, matrix, blocks or (matrix.gold,))
    levels = tuple(
        Level(known.name, _level_rows(options, table, prepared, matrix, phases, k, known, rng), phases.levels[k])
        for k, known in enumerate(read.known)
    )
    model = settled(model, sample)
    found = rectify_levels(model, sample, levels, phases, options.tuning, predicted is not None)
    total, labelling, df = found.infer(options.vcov, options.target, options.df)
    estimate, (_, errors) = found.estimate, found.errors("HC0")
    kinds = errors if len(errors) == 2 else errors[1:]  # beside errors of two labels the first are those of both
    _, left_out = found.errors("HC3")
    scores = replace(estimate.scores, error=errors[0], left_out=(estimate.scores.left_out[0], left_out[0]))
    parts = Parts(scores, estimate.curvature, estimate.tuning.tuned, Curvatures())
    result = describe(
        model, prepared, matrix, options, estimate, parts, Covariance(total, labelling), df, predicted, None,
        assumed=read.assumed, keep_parts=False,
    )  # fmt: skip
    counts = [f"{phases.full.n_gold:,} with everything"]
    counts += [f"{level.labelling.n_gold:,} with {level.name}" for level in levels]
    several = () if all(choice == "gold" for choice in result.choice) else few_wrong(result, parts, kinds)
    result = result.replace(
        notes=(*result.notes, *several, f"rows by what is known of them: {', '.join(counts)}"),
        call=options.call.seeded(seed),
        seed=None if isinstance(seed, np.random.Generator) else int(seed),
    )
    if options.compare:
        base = rectify(model, sample, options.tuning, predicted is not None)
        beside = [("Gold only", without_levels(base.gold or estimate.gold or base, phases))]
        beside.append(("Full rows only", without_levels(base, phases)))
        naive = naive_fit(model, prepared, matrix, sample, options)
        result = result.replace(comparison=_comparison(result, options, naive, beside))
    tell_user(result, estimate, options)
    return result


def _level_rows(
    options: Arguments, table: Table, prepared: Prepared, matrix: Design, phases: Phases, k: int, known: _Known,
    rng: np.random.Generator,
) -> tuple[Rows, ...]:  # fmt: skip
    """Rows of a level at what it knows, what it does not know predicted."""
    rows, units = phases.levels[k].labelled, prepared.units
    kept = np.zeros(table.n_rows, dtype=bool)
    kept[(np.arange(table.n_rows) if units.kept is None else np.flatnonzero(units.kept))[rows]] = True
    frame = prepared.frame[rows].reset_index(drop=True)
    labels = []
    for label in prepared.labels:
        if label.name in known.gold:
            frame = frame.assign(**{label.name: label.gold_column(np.flatnonzero(rows))})
            continue
        own = restrict(label, rows)
        if known.strong and known.asked is not None and label.name in known.strong:
            strong = tuple(replace(s, values=s.values[kept[known.asked]]) for s in known.strong[label.name])
            learns = options.learner is not None and options.estimator == "dsl"
            own = replace(own, surrogates=(*own.surrogates, *strong) if learns else strong)
        labels.append(own)
    weights = None if units.weights is None else units.weights[rows]
    part = Prepared(
        prepared.parsed, tuple(labels), frame, Units(phases.among(k), weights, kept=kept), {}, prepared.context
    )
    spec, context = matrix.spec, prepared.context
    design = Design(
        spec,
        matrix.gold,
        None if any(label.in_covariates for label in labels) else spec.x(frame, context),
        spec.y(frame, context) if part.outcome_label is None else None,
        None if matrix.offset is None else matrix.offset[rows],
    )
    seen = frame_features(part, options, None)
    return predicted_blocks(part, design, options, None, seen, options.features, table, rng)[1] or (matrix.gold,)


def _comparison(
    result: Result, options: Arguments, naive: Naive | str, beside: list[tuple[str, LevelEstimate]]
) -> Comparison:
    """Surrogates alone, gold alone, and full rows with surrogates beside the fit."""
    columns: list[Column] = []
    if isinstance(naive, Naive):
        covariance, df = infer(naive.parts, options.vcov, "superpopulation", options.df)
        columns.append(Column("Surrogate only", naive.theta, np.sqrt(np.diag(covariance.total)), df))
    for title, found in beside:
        total, _, df = found.infer(options.vcov, options.target, options.df)
        columns.append(Column(title, found.estimate.theta, np.sqrt(np.diag(total)), df))
    se = np.sqrt(np.diag(result.covariance))
    columns.append(Column("All rows", result.theta, se, result.df))
    cautions = {"Surrogate only": naive.caution} if isinstance(naive, Naive) else {}
    return Comparison(
        result.names, tuple(columns), None, result.effective_gold, result.r_squared, result.alpha, result.n_gold,
        naive if isinstance(naive, str) else "", cautions,
    )  # fmt: skip
