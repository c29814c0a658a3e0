"""From opened fits to Results of cells, one for each class, and to their joint covariance."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import moments as models
from ..designs.entries import entries
from ..errors import DataError, KaratError
from ..estimate.cell_rows import CellBlock, CellRows
from ..estimate.cells import Cells, cell_means, surrogate_cells
from ..estimate.infer import Parts, combination, infer, influences
from ..estimate.rows import Rows
from ..estimate.shares import Shares, plain_kind, shares_of
from ..estimate.tune import UNITS_PER_WEIGHT
from ..regression.comparison_fits import CAUTION, TITLES, refuse_other_scale
from ..regression.describe import describe
from ..regression.predicted_rows import surrogate_rows
from ..results.comparison import Column, Comparison, Difference
from ..results.tests import difference_test, joint_test

if TYPE_CHECKING:
    from .._core.types import Floats, Ints
    from ..estimate.covariance import Covariance, Meat
    from ..estimate.rectify import Estimate
    from ..regression.batches import BatchRows
    from ..regression.options import Arguments
    from ..regression.pipeline import Opened
    from ..results import Result

_MOST_TESTED = 0.2
"""Shares tested together against surrogates alone, over gold rows, at most."""


@dataclass(frozen=True)
class Outcome:
    """One share of every cell: the units, what was opened, and what came out.

    Parameters
    ----------
    name : str
        Class, or column of a code.
    opened : Opened
    cells : Cells
    plugged : int or str
        Which of the values of the rows is the first surrogate taken for the label; or why it cannot be.
    """

    name: str
    opened: Opened
    cells: Cells
    plugged: int | str


@dataclass(frozen=True)
class Joint:
    """All shares together, cell by cell and within these class by class: P = C K numbers.

    Parameters
    ----------
    fits : tuple of Result
        One for each class, its coefficients the cells.
    covariance, plain : ndarray, shape (P, P)
        As reported, and before what little gold cannot carry was added to variances.
    comparison : Comparison or None
    """

    fits: tuple[Result, ...]
    covariance: Floats
    plain: Floats
    comparison: Comparison | None


def outcomes_of(opened: Sequence[Opened], count: int, whole: bool, code: Ints | None) -> list[Outcome]:
    """The shares to estimate: the classes of one label, or one for each code.

    Parameters
    ----------
    opened : sequence of Opened
        One fit of a label with K classes (``whole``), or one for each code.
    count : int
        C.
    whole : bool
    code : ndarray of int, shape (N,), or None
        Cell of each unit; None where these are read batch by batch, and the only covariate counts cells from 1.

    Returns
    -------
    list of Outcome
    """
    values: list[Any] = []
    found: list[tuple[Opened, str, int, int | None, int | str]] = []
    width = 0
    for fit in opened:
        names = [str(c) for c in fit.matrix.spec.classes] if whole else [fit.prepared.labels[0].name]
        predicted, plugged = _predicted(fit), _plugged(fit)
        place: int | None = None
        if predicted is not None:
            values.append(predicted)
            place, width = width, width + len(names)
        if not isinstance(plugged, str):
            values.append(plugged)
            width += len(names)
        for k, name in enumerate(names):
            own = plugged if isinstance(plugged, str) else width - len(names) + k
            found.append((fit, name, k, None if place is None else place + k, own))
    rows = _in_batches(opened, count, values, whole) if code is None else _in_memory(opened, count, values, whole, code)
    return [
        Outcome(name, fit, Cells(rows, every_class(fit.matrix.gold.y, whole)[:, k].copy(), place), own)
        for fit, name, k, place, own in found
    ]


def _in_memory(opened: Sequence[Opened], count: int, values: Sequence[Any], whole: bool, code: Ints) -> CellRows:
    """The units with values in memory."""
    columns = [np.zeros((len(code), 0)), *(every_class(one.y, whole) for one in values)]
    return CellRows.of(opened[0].prepared.units, count, code, np.hstack(columns))


def _in_batches(opened: Sequence[Opened], count: int, values: Sequence[BatchRows], whole: bool) -> CellRows:
    """The units with values that are read batch by batch, all of them side by side."""
    units, sources = opened[0].prepared.units, values or [fit.source for fit in opened[:1] if fit.source is not None]

    def read() -> Iterator[CellBlock]:
        for blocks in zip(*(source.blocks() for source in sources)):
            first, columns = blocks[0], [every_class(block.rows[0].y, whole) for block in blocks]
            yield CellBlock(first.at, first.stratum, cells_of(first.rows[0].x), np.hstack(columns))

    gold = [every_class(source.at(units.gold)[0].y, whole) for source in sources]
    return CellRows(units, count, read, cells_of(opened[0].matrix.gold.x), np.hstack(gold))


def cells_of(x: Floats) -> Ints:
    """Cells from 0 of rows whose only covariate counts them from 1, but for the rounding of rows that are averages."""
    return np.asarray(np.rint(x[:, 0]), dtype=np.intp) - 1


def every_class(y: Floats, whole: bool) -> Floats:
    """Shares of all classes from those of all but the first, shape (m, K)."""
    columns = y.reshape(len(y), -1)
    return np.column_stack([1.0 - columns.sum(axis=1), columns]) if whole else columns


def _predicted(fit: Opened) -> Any:
    """Predicted rows, or their source; None for gold alone."""
    if fit.source is not None:
        return None if fit.options.estimator == "gold" else fit.source
    return fit.blocks[0] if fit.blocks else None


def _plugged(fit: Opened) -> Any:
    """Rows, or their source, with the first surrogate taken for the label; or why it cannot be."""
    label = fit.prepared.labels[0]
    try:
        refuse_other_scale(label)
        if fit.source is not None:
            source = fit.source.plugged()
            source.at(fit.prepared.units.gold)
            return source
        return surrogate_rows(fit.prepared, fit.matrix, {label.name: label.surrogates[0].values}, "value")[0]
    except (KaratError, IndexError) as error:
        return f"Surrogate only is not shown: {error}"


def fit_cells(outcomes: Sequence[Outcome], names: Sequence[str], options: Arguments, together: bool) -> Joint:
    """Estimates, covariances and comparisons.

    Parameters
    ----------
    outcomes : sequence of Outcome
    names : sequence of str, length C
        Of the cells.
    options : Arguments
    together : bool
        Whether the outcomes share their weights, so that they add up.

    Returns
    -------
    Joint
    """
    groups = [list(outcomes)] if together else [[one] for one in outcomes]
    estimates: list[Estimate] = []
    for group in groups:
        learnt = group[0].opened.predicted is not None
        cells = [one.cells for one in group]
        estimates += cell_means(cells, options.tuning, learnt, UNITS_PER_WEIGHT)
    parts = [_parts(one.cells, estimate, options) for one, estimate in zip(outcomes, estimates)]
    meat, plain_meat = influences(parts, options.vcov), influences(parts, plain_kind(options.vcov))
    count, fits, scales = outcomes[0].cells.count, [], []
    for k, (one, estimate, part) in enumerate(zip(outcomes, estimates, parts)):
        own, plain_own = (each.part(k * count, (k + 1) * count) for each in (meat, plain_meat))
        covariance, df = infer(part, options.vcov, options.target, options.df, own)
        result, scale = _result(one, estimate, part, covariance, df, names, options, plain_own)
        fits.append(result)
        scales.append(scale)
    plain = _joint(parts, range(len(parts)), meat, options)
    order = np.arange(len(plain)).reshape(len(outcomes), count).T.ravel()
    plain = on_diagonal(plain[np.ix_(order, order)], np.stack([s[0] for s in scales], axis=1).ravel())
    joint = on_diagonal(plain, np.stack([s[1] for s in scales], axis=1).ravel())
    comparison = _compare(outcomes, fits, estimates, parts, joint, options, together) if options.compare else None
    return Joint(tuple(fits), joint, plain, comparison)


def _parts(cells: Cells, estimate: Estimate, options: Arguments) -> Parts:
    return Parts.of(estimate, cells.curvatures(options.vcov, estimate.scores.gold_alone))


def _joint(parts: Sequence[Parts], which: Any, meat: Any, options: Arguments) -> Floats:
    """Covariance of fits side by side."""
    p = len(parts[0].curvature)
    unit = _unit(p * len(parts))
    matrices = [unit[:, k * p : (k + 1) * p] for k in which]
    return combination(list(parts), matrices, options.vcov, options.target, meat)


def _unit(size: int) -> Any:
    """The unit matrix, without its zeros."""
    return entries(np.ones(size), np.arange(size), size)


def on_diagonal(matrix: Floats, wanted: Floats) -> Floats:
    """A covariance with its correlations kept and other variances."""
    own = np.diag(matrix)
    scale = np.sqrt(np.divide(wanted, own, out=np.ones_like(wanted), where=own > 0))
    out = matrix * np.outer(scale, scale)
    np.fill_diagonal(out, wanted)
    return np.asarray((out + out.T) / 2.0)


def _result(
    one: Outcome,
    estimate: Estimate,
    parts: Parts,
    covariance: Covariance,
    df: Floats,
    names: Sequence[str],
    options: Arguments,
    plain: Meat,
) -> tuple[Result, tuple[Floats, Floats]]:
    """The Result of one class, as :func:`karat.mean` has it, and its variances before and after settling."""
    fit, sample = one.opened, one.cells.sample()
    shares = shares_of(estimate.theta, covariance, sample, parts, options.vcov, options.target, plain)
    settled_covariance, df, shares = shares.settle(covariance.total, df, options.df)
    spec = replace(fit.matrix.spec, names=tuple(names), classes=())
    matrix = replace(fit.matrix, spec=spec, gold=Rows(sample.gold.x, one.cells.gold))
    found = describe(
        models.get("mean"), fit.prepared, matrix, options, estimate, parts, covariance, df, fit.predicted, fit.own,
        assumed=options.design is None, keep_parts=False,
    )  # fmt: skip
    title = f"Shares of {one.name}"
    result = found.replace(
        title=title, formula=title, covariance=settled_covariance, df=df, shares=shares, interval="beta", spec=None,
        parts=parts if fit.source is None else parts.elsewhere(), call=options.call.seeded(fit.seed),
        seed=None if isinstance(fit.seed, np.random.Generator) else int(fit.seed),
    )  # fmt: skip
    return result, (np.diag(covariance.total).copy(), np.diag(settled_covariance).copy())


def stacked(parts: Sequence[Shares]) -> Shares:
    """What the gold can carry, class by class within cells, shape (C K,)."""

    def both(name: str) -> Floats:
        return np.stack([getattr(one, name) for one in parts], axis=1).ravel()

    return replace(
        parts[0], count=both("count"), kish=both("kish"), unit_variance=both("unit_variance"), df=both("df"),
        ratio=both("ratio"),
    )  # fmt: skip


def _stack(values: Sequence[Floats]) -> Floats:
    return np.stack(list(values), axis=1).ravel()


def _compare(
    outcomes: Sequence[Outcome],
    fits: Sequence[Result],
    estimates: Sequence[Estimate],
    parts: Sequence[Parts],
    joint: Floats,
    options: Arguments,
    together: bool,
) -> Comparison:
    """Surrogates alone and gold alone beside the shares; the difference from surrogates alone with its test."""
    names = tuple(f"{one.name}: {cell}" if cell else one.name for cell in fits[0].names for one in outcomes)
    theta, df = _stack([fit.theta for fit in fits]), _stack([fit.df for fit in fits])
    columns, remark, difference = [], "", None
    reasons = [one.plugged for one in outcomes if isinstance(one.plugged, str)]
    if reasons:
        remark = reasons[0]
    else:
        cells = [replace(one.cells, column=one.plugged) for one in outcomes if not isinstance(one.plugged, str)]
        alone = [surrogate_cells(one) for one in cells]
        naive = [_parts(one, estimate, options) for one, estimate in zip(cells, alone)]
        meat, count = influences(naive, options.vcov), cells[0].count
        own = [
            infer(part, options.vcov, "superpopulation", options.df, meat.part(k * count, (k + 1) * count))
            for k, part in enumerate(naive)
        ]
        se = np.sqrt(_stack([np.diag(c.total) for c, _ in own]))
        columns.append(Column("Surrogate only", _stack([e.theta for e in alone]), se, _stack([d for _, d in own])))
        difference = _difference(theta - columns[0].theta, se, parts, naive, df, options, together)
    if options.estimator != "gold":
        columns.append(_gold_column(outcomes, estimates, options))
    shares = stacked([fit.shares for fit in fits if fit.shares is not None])
    columns.append(Column(TITLES[options.estimator], theta, np.sqrt(np.diag(joint)), df, shares))
    effective, r_squared = _stack([fit.effective_gold for fit in fits]), _stack([fit.r_squared for fit in fits])
    cautions = {} if reasons else {"Surrogate only": CAUTION}
    return Comparison(
        names, tuple(columns), difference, effective, r_squared, options.alpha, fits[0].n_gold, remark, cautions, "beta"
    )


def _gold_column(outcomes: Sequence[Outcome], estimates: Sequence[Estimate], options: Arguments) -> Column:
    found: list[tuple[Floats, Floats, Floats]] = []
    shares: list[Shares] = []
    for one, estimate in zip(outcomes, estimates):
        gold = estimate.gold or estimate
        part = Parts.of(gold, one.cells.curvatures(options.vcov, True))
        covariance, freedom = infer(part, options.vcov, options.target, options.df)
        known = shares_of(gold.theta, covariance, one.cells.sample(), part, options.vcov, options.target)
        total, freedom, known = known.settle(covariance.total, freedom, options.df)
        found.append((gold.theta, np.sqrt(np.diag(total)), freedom))
        shares.append(known)
    theta, se, df = (_stack(values) for values in zip(*found))
    return Column("Gold only", theta, se, df, stacked(shares))


def _difference(
    gap: Floats, beside: Floats, parts: Sequence[Parts], naive: Sequence[Parts], df: Floats, options: Arguments,
    together: bool,
) -> Difference | None:  # fmt: skip
    """Shares less those of surrogates alone; tested together where there is gold for so many."""
    k, p = len(parts), len(parts[0].curvature)
    both, unit = [*parts, *naive], _unit(k * p)
    matrices = [*(unit[:, j * p : (j + 1) * p] for j in range(k)), *(-unit[:, j * p : (j + 1) * p] for j in range(k))]
    covariance = combination(both, matrices, options.vcov, options.target, influences(both, options.vcov, False))
    order = np.arange(k * p).reshape(k, p).T.ravel()
    covariance = covariance[np.ix_(order, order)]
    se, p_values = difference_test(gap, np.sqrt(np.maximum(np.diag(covariance), 0.0)), df, beside)
    title = f"Difference {TITLES[options.estimator]} - surrogate only"
    free = np.tile(np.arange(k) < (k - 1 if together else k), p) & (se > 0) & np.isfinite(se)
    n_gold = parts[0].units.labelling.n_gold
    if not free.any() or free.sum() > _MOST_TESTED * n_gold:
        return None
    statistic, rank, p_value, rest = _tested(gap[free], covariance[np.ix_(free, free)], float(n_gold - p))
    return Difference(title, gap, se, p_values, statistic, rank, p_value, rest)


def _tested(gap: Floats, covariance: Floats, freedom: float) -> tuple[float, int, float, float]:
    statistic, rank, rest, p_value = joint_test(gap, covariance, lambda rows: freedom)
    return statistic, rank, p_value, rest


def refuse_no_gold(inside: Ints, names: Sequence[str]) -> None:
    """Raise where a cell lost all its gold to rows that are left out."""
    lost = np.flatnonzero(np.bincount(inside, minlength=len(names)) == 0)
    if len(lost):
        raise DataError(
            f"all gold of {', '.join(names[c] for c in lost[:5])} stands in rows that are left out (missing weights, "
            "clusters or shown rows); fill the values, or leave these groups out with subset=."
        )
