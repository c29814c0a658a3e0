"""A site's part of a fit: its rows as an augmented sample whose columns mean the same at all sites."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import designs
from .. import moments as models
from ..designs import Labelling
from ..designs.domain import within
from ..errors import ArgumentError, DataError, generator
from ..estimate.augment import AugmentedSample, Units
from ..estimate.clusters import cluster_codes
from ..estimate.rows import Memory, in_memory
from ..frames import Table
from ..frames.formula import parse, refuse_learnt
from ..regression.design_matrix import Prepared, matrices, prepare
from ..regression.options import Arguments
from ..regression.steps import augmented, frame_features, predicted_blocks, refuse_effects, refuse_unused, seed_of_fit
from ..regression.surrogates import surrogate_columns
from ..regression.variables import labelled_rows, read_labels, restrict
from .levels import Columns, columns_held, with_shown

if TYPE_CHECKING:
    from ..estimate.rows import Rows
    from ..frames.formula import Parsed
    from ..moments import Model
    from ..regression.design_matrix import Design

MODELS = ("ols", "mean", "logit", "probit", "poisson", "gamma", "fractional", "multinomial")
KINDS = ("HC0", "HC1", "HC2", "HC3", "CRV0", "CRV1")
_BECAUSE = "sites share sums and no rows"


@dataclass(frozen=True)
class Site:
    """What a site sums over.

    Parameters
    ----------
    model : Model
    sample : AugmentedSample
    names, columns : tuple of str
        Coefficients, and columns of the design.
    title : str
    classes : tuple
        Of an outcome that is a category.
    prepared : Prepared
    matrix : Design
    """

    model: Model
    sample: AugmentedSample
    names: tuple[str, ...]
    columns: tuple[str, ...]
    title: str
    classes: tuple[Any, ...]
    prepared: Prepared
    matrix: Design


def refuse(options: Arguments) -> None:
    """Raise for what cannot be told by sums over sites."""
    if options.model not in MODELS:
        raise ArgumentError(f"model={options.model!r} is not fitted across sites; take one of {MODELS}.")
    if options.vcov not in KINDS:
        raise ArgumentError(
            f"vcov={options.vcov!r} leaves clusters out, which sums over sites do not show; use {{'CRV0': column}} or "
            "{'CRV1': column}, or without clusters one of HC0 to HC3."
        )
    if options.estimator == "surrogate":
        raise ArgumentError(
            "estimator='surrogate' uses no gold and is not valid; across sites take 'dsl', 'ppi' or 'gold'."
        )
    if options.given["shown"] is not None:
        raise ArgumentError("shown= is not taken across sites; leave the rows out of data and design.")
    if options.combine != "mean":
        raise ArgumentError("combine='median' solves each split by itself; across sites use combine='mean'.")
    for name in ("weights", "cluster", "labelled", "subset"):
        value = options.cluster if name == "cluster" else options.given[name]
        if value is not None and not isinstance(value, str):
            raise ArgumentError(f"{name}= must name one column across sites; got {type(value).__name__}.")
    refuse_unused(options, options.predictions, options.features)


def columns_of(options: Arguments, table: Table) -> tuple[Parsed, list[str]]:
    """The formula, and the columns whose levels must be agreed on."""
    parsed = parse(options.formula, table.names, options.context, models.get(options.model).categorical)
    refuse_effects(parsed, models.get(options.model), allowed=False)
    refuse_learnt(parsed)
    surrogates = surrogate_columns(options.surrogates, _BECAUSE)
    table.require(surrogates, "surrogates")
    names = dict.fromkeys((*sorted(parsed.variables), *map(str, options.surrogates), *surrogates))
    return parsed, list(names)


def held(options: Arguments, data: object, least: int) -> Columns:
    """What the columns of a site hold, for the first round."""
    table = Table.read(data)
    parsed, names = columns_of(options, table)
    if options.subset is not None:
        table = table.take(np.flatnonzero(table.marked(options.subset, "subset")))
    return columns_held(table, names, parsed.coded, least)


def open_site(options: Arguments, data: object, columns: Columns, least: int) -> Site:
    """A site's rows, read with the levels that all sites agreed on.

    Raises
    ------
    KaratError
        As :func:`karat.regress`; if fewer than ``least`` rows are alike in two ways that sums would tell.
    """
    table = Table.read(data)
    parsed, names = columns_of(options, table)
    if set(names) != set(columns):
        raise DataError(f"the sites agreed on the columns {sorted(columns)}, and this call reads {sorted(names)}.")
    model, prepared, matrix = _read(options, table, parsed, columns)
    sample, rows = augmented(prepared, matrix, ()), _predicted(options, prepared, matrix, table)
    sample = replace(sample, predicted=Memory(rows))
    refuse_small_cells(sample, matrix.spec.columns, least)
    spec = matrix.spec
    title = model.heading + model.told(spec.classes)
    return Site(model, sample, spec.names, spec.columns, title, spec.classes, prepared, matrix)


def _predicted(options: Arguments, prepared: Prepared, matrix: Design, table: Table) -> tuple[Rows, ...]:
    """Predicted rows; with a learner the labels themselves where all rows of this site are gold."""
    seed = seed_of_fit(options.seed, prepared, options.model, options.formula)
    features = frame_features(prepared, options, options.predictions)
    _, rows = predicted_blocks(
        prepared, matrix, options, options.predictions, features, options.features, table, generator(seed)
    )
    return rows if rows or options.estimator == "gold" else (matrix.gold,)


def _read(options: Arguments, table: Table, parsed: Parsed, columns: Columns) -> tuple[Model, Prepared, Design]:
    """Formula and labels read on a table with rows that show the levels of all sites, which leave again."""
    model, labels = models.get(options.model, options.parameters), frozenset(map(str, options.surrogates))
    told = (options.given["weights"], options.cluster, options.labelled, options.subset)
    more = [name for name in told if name is not None]
    frame, shown = with_shown(
        table, columns, varied=labels | parsed.outcome_variables | plain_surrogates(options), labels=labels,
        fixed=_probabilities(options), more=[name for name in more if name not in columns],
        inside=None if options.subset is None else table.marked(options.subset, "subset"),
    )  # fmt: skip
    for name in (options.labelled, options.subset):
        if name is not None:
            frame[name] = frame[name].astype(np.float64).where(~shown, 1.0)
    every = Table.read(frame)
    known = read_labels(parsed, every, options.surrogates)
    gold = labelled_rows(known, every, options.labelled)
    if not gold[~shown].any():
        raise DataError("this site has no gold; across sites each draws its own gold sample from its own rows.")
    labelling = designs.read_draw(options.design, table, gold[~shown], options.sampled, options.nonresponse)
    probability = np.ones(len(gold))
    probability[np.flatnonzero(gold)[: labelling.n_gold]] = np.minimum(1.0, 1.0 / labelling.weight)
    stub = Labelling(probability, gold, fixed_size=False)
    prepared = prepare(
        every, parsed, known, stub, weights=options.given["weights"], cluster=None, missing=options.missing,
        context=options.context, subset=options.subset,
    )  # fmt: skip
    matrix = matrices(prepared, model)
    for y in (matrix.gold.y, matrix.observed_y):
        if y is not None:
            model.check_outcome(y, parsed.outcome)
    kept = np.ones(len(gold), dtype=bool) if prepared.units.kept is None else prepared.units.kept
    own, n = kept[~shown], int(kept[~shown].sum())
    if options.subset is None:
        labelling = labelling.keep(own)
    else:  # rows outside the subpopulation were drawn from, too
        complete = own | ~every.marked(options.subset, "subset")[~shown]
        labelling = within(labelling.keep(complete), own[complete])
    units = Units(
        labelling,
        None if prepared.units.weights is None else prepared.units.weights[:n],
        _clusters(options, table, own),
        options.cluster or "",
        None if own.all() else own,
    )
    real = np.arange(len(prepared.frame)) < n
    cut = replace(
        prepared,
        units=units,
        frame=prepared.frame.iloc[:n],
        labels=tuple(restrict(one, real) for one in prepared.labels),
    )
    design = replace(
        matrix,
        gold=matrix.gold.take(slice(0, labelling.n_gold)),
        observed=None if matrix.observed is None else matrix.observed[:n],
        observed_y=None if matrix.observed_y is None else matrix.observed_y[:n],
        offset=None if matrix.offset is None else matrix.offset[:n],
    )
    return model, cut, design


def _clusters(options: Arguments, table: Table, kept: Any) -> Any:
    if options.cluster is None:
        return None
    values = table.pandas([options.cluster], "cluster")[kept]
    if values.isna().to_numpy().any():
        raise DataError(f"cluster={options.cluster!r} has missing values; fill them.")
    return cluster_codes(values)


def plain_surrogates(options: Arguments) -> frozenset[str]:
    """Columns of surrogates that hold classes or numbers, and no class probabilities."""
    return frozenset(surrogate_columns(options.surrogates, _BECAUSE)) - _probabilities(options)


def _probabilities(options: Arguments) -> frozenset[str]:
    """Columns of class probabilities."""
    items = [
        one for given in options.surrogates.values() for one in (given if isinstance(given, (list, tuple)) else [given])
    ]
    return frozenset(str(name) for one in items if isinstance(one, Mapping) for name in one.values())


def refuse_small_cells(sample: AugmentedSample, names: tuple[str, ...], least: int) -> None:
    """Raise where a sum over the rows of two indicators, or of their complements, would tell of a few rows.

    Parameters
    ----------
    sample : AugmentedSample
    names : tuple of str
        Columns of the design.
    least : int
        Rows that such a cell must have.
    """
    every = [("rows", rows) for rows in in_memory(sample.predicted, "a site")]
    for where, rows in (("gold rows", sample.gold), *every):
        y = rows.y.reshape(len(rows.y), -1)
        values = np.column_stack([rows.x, y])
        called = [*names, *(f"outcome {j + 1}" if y.shape[1] > 1 else "outcome" for j in range(y.shape[1]))]
        of = [j for j in range(values.shape[1]) if np.isin(values[:, j], (0.0, 1.0)).all()]
        cells = values[:, of].T @ values[:, of]
        size = np.diag(cells)
        for kind, count in (("and", cells), ("without", size[:, None] - cells)):
            small = np.argwhere((count > 0) & (count < least))
            if len(small):
                j, k = small[0]
                pair = called[of[j]] if j == k else f"{called[of[j]]} {kind} {called[of[k]]}"
                raise DataError(
                    f"{int(count[j, k])} of the {where} of this site have {pair}, fewer than least={least}, and sums "
                    "would tell of them; merge categories, or give a smaller least= if your rules allow it."
                )
