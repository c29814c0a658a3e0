"""Which linear functions of shares are differences, trends and means, and shares less other shares."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .._core.machine import needs
from ..errors import ArgumentError, one_of, whole
from ..estimate.infer import combination, influences
from ..frames.order import seed_of_result
from ..results.estimates import bounds_names
from .axes import names_of
from .contrasts import Contrasts, linear, pairs, raised, slope_weights, tail_of

if TYPE_CHECKING:
    import pandas as pd

    from .._core.types import Floats

AXES = ("groups", "periods", "classes")


def contrasts_of(result: Any, matrix: Any, names: Sequence[str], grid: pd.DataFrame, title: str) -> Contrasts:
    """Linear functions of shares with their joint covariance."""
    rows = np.asarray(matrix, dtype=np.float64)
    value, covariance, df = linear(rows, result.theta, result.plain, result.df, result.shares, len(result.classes))
    df = np.where(np.isinf(result.df).all(), np.inf, df)
    return Contrasts(
        tuple(names), value, covariance, df, result.alpha, f"{result._title()}: {title}", result._about(), grid,
        result.formula, result.seed,
    )  # fmt: skip


def differences(result: Any, between: str, reference: object, lag: int | None) -> Contrasts:
    """See :meth:`karat.grouped.shares_result.SharesResult.differences`."""
    import pandas as pd

    one_of("between", between, AXES)
    axis, levels = AXES.index(between), (result.groups, result.periods, list(result.classes))
    compared = _compared(levels[axis], between, reference, lag)
    moved = np.moveaxis(result.by_cell(np.arange(len(result.theta), dtype=np.float64)), axis, 0)
    others = [i for i in range(3) if i != axis]
    found = []
    for first, second in compared:
        gap = f"{levels[axis][first]} - {levels[axis][second]}"
        for at in np.ndindex(*moved.shape[1:]):
            plus, minus = moved[(first, *at)], moved[(second, *at)]
            if np.isfinite(plus + minus):
                found.append((int(plus), int(minus), [levels[a][p] for a, p in zip(others, at)], gap))
    if not found:
        raise ArgumentError(f"no two {between} have estimates side by side; label more documents.")
    needs(
        8.0 * len(found) * (2 * len(found) + len(result.theta)), f"{len(found):,} differences", "use reference= or lag="
    )
    rows = np.zeros((len(found), len(result.theta)))
    each = np.arange(len(found))
    rows[each, [f[0] for f in found]], rows[each, [f[1] for f in found]] = 1.0, -1.0
    shown = [a for a in others if len(levels[a]) > 1 or a == 2]
    names = [_called({a: same[others.index(a)] for a in shown}, gap) for *_, same, gap in found]
    columns = {("group", result.over, result._class_name)[a]: [f[2][others.index(a)] for f in found] for a in shown}
    grid = pd.DataFrame({**columns, "difference": [f[3] for f in found]})
    return contrasts_of(result, rows, names, grid, f"differences between {between}")


def _compared(levels: list[Any], between: str, reference: object, lag: int | None) -> list[tuple[int, int]]:
    """Positions to subtract from each other."""
    if lag is not None:
        if between != "periods" or reference is not None:
            raise ArgumentError("lag= is for between='periods', and takes the place of reference=.")
        lag = whole("lag", lag, least=1)
        out = [(t, t - lag) for t in range(lag, len(levels))]
    else:
        at = None
        if reference is not None:
            named = [str(level) for level in levels]
            if str(reference) not in named:
                raise ArgumentError(f"reference={reference!r} is none of the {between}; there are {named}.")
            at = named.index(str(reference))
        out = pairs(len(levels), at)
        if at is None and between == "periods":
            out = [(later, earlier) for earlier, later in out]
    if not out:
        raise ArgumentError(f"between={between!r} has too few here, so there is nothing to compare.")
    return out


def _called(same: dict[int, Any], gap: str) -> str:
    """``"war: left - right (2020)"``."""
    inside = [str(same[a]) for a in (0, 1) if a in same]
    return f"{f'{same[2]}: ' if 2 in same else ''}{gap}{f' ({chr(44).join(inside)})' if inside else ''}"


def trend(result: Any, weights: str, between: bool) -> Contrasts:
    """See :meth:`karat.grouped.shares_result.SharesResult.trend`."""
    import pandas as pd

    one_of("weights", weights, ("equal", "documents"))
    if result.over is None:
        raise ArgumentError("there is no trend without time; call kt.shares with over=.")
    index = result.by_cell(np.arange(len(result.theta), dtype=np.float64))
    size = result.by_cell(np.repeat(result.size, len(result.classes)))
    rows: dict[tuple[int, int], Floats] = {}
    for g, k in np.ndindex(index.shape[0], index.shape[2]):
        there = ~np.isnan(index[g, :, k])
        if there.sum() > 1:
            row = np.zeros(len(result.theta))
            weight = np.ones(there.sum()) if weights == "equal" else size[g, there, k]
            row[index[g, there, k].astype(int)] = slope_weights(result.times[there], weight)
            rows[g, k] = row
    groups, classes = result.groups, result.classes
    found: list[tuple[str, Any, Floats]] = [(groups[g], classes[k], row) for (g, k), row in rows.items()]
    if between:
        found = [
            (f"{groups[a]} - {groups[b]}", classes[k], rows[a, k] - rows[b, k])
            for a, b in pairs(len(groups), None) for k in range(len(classes)) if (a, k) in rows and (b, k) in rows
        ]  # fmt: skip
    if not found:
        raise ArgumentError("no trend can be had: it takes two periods with estimates, and differences two groups.")
    names = [f"{value}: {group}" if group else str(value) for group, value, _ in found]
    grid = pd.DataFrame({"group": [f[0] for f in found], result._class_name: [f[1] for f in found]})
    grid = grid if result.by else grid.drop(columns="group")
    title = f"{'differences of ' if between else ''}slope{'s' if between else ''} per period"
    title += "" if weights == "equal" else ", periods weighted by documents"
    return contrasts_of(result, [f[2] for f in found], names, grid, title)


def mean_of_classes(result: Any, scores: Sequence[float] | None) -> Contrasts:
    """See :meth:`karat.grouped.shares_result.SharesResult.mean`."""
    from dataclasses import replace

    if not result.whole:
        raise ArgumentError("codes have no order and no mean; their shares are their means.")
    k = len(result.classes)
    if scores is None:
        numbers = all(isinstance(value, (int, float, np.number)) for value in result.classes)
        scores = [float(v) for v in result.classes] if numbers else list(range(1, k + 1))
    value = np.asarray(scores, dtype=np.float64)
    if value.shape != (k,) or not np.isfinite(value).all():
        raise ArgumentError(f"scores must be {k} numbers, one for each of {list(result.classes)}.")
    theta = result.theta.reshape(-1, k) @ value
    # shares add up to one: scores count from the mean of the cell, so that a constant added to them changes nothing
    rows = np.zeros((len(theta), len(result.theta)))
    for c in range(len(theta)):
        rows[c, c * k : (c + 1) * k] = value - theta[c]
    grid = result.grid.iloc[list(result.cells)].reset_index(drop=True)
    names = [name or "Mean" for name in names_of(grid)]
    return replace(contrasts_of(result, rows, names, grid, "means"), theta=theta)


def less(result: Any, other: Any) -> Contrasts:
    """Shares less those of another label of the same documents, with gold in the same rows."""
    if result.names != other.names:
        raise ArgumentError("these are shares of other classes, groups or periods; make both alike.")
    parts = [fit.parts for one in (result, other) for fit in one.fits]
    if any(part is None for part in parts):
        raise ArgumentError(
            "sums of sites hold no influences of documents, so that the covariance of shares of two labels is not "
            "known; put both as codes into one call of kt.site_shares."
        )
    draws, first = [part.units.labelling for part in parts], result.fits[0]
    alike = all(getattr(first, name) == getattr(other.fits[0], name) for name in ("vcov_kind", "target", "cluster"))
    if not alike or not all(draw.same(draws[0]) for draw in draws[1:]):
        raise ArgumentError(
            "these shares come from other rows, gold samples, designs or covariances, so that their covariance is not "
            "known; make both from the same rows, with gold in the same ones."
        )
    k, c = len(result.classes), len(result.cells)
    unit = np.eye(k * c)
    matrices = [sign * unit[:, j * c : (j + 1) * c] for sign in (1.0, -1.0) for j in range(k)]
    covariance = combination(parts, matrices, first.vcov_kind, first.target, influences(parts, first.vcov_kind, False))
    order = np.arange(k * c).reshape(k, c).T.ravel()
    m = result.shares.kish
    covariance = raised(covariance[np.ix_(order, order)], result.shares.unit_variance * m / (m + 1.0) ** 2)
    grid = result.grid.iloc[np.repeat(result.cells, k)].reset_index(drop=True)
    grid = grid.assign(**{result._class_name: list(result.classes) * c})
    title = f"{result._title()}: differences from {other.label}"
    return Contrasts(
        result.names, result.theta - other.theta, covariance, np.minimum(result.df, other.df), result.alpha, title,
        result._about(), grid, result.formula, result.seed,
    )  # fmt: skip


def band(result: Any, level: float, family: str, draws: int, seed: Any) -> pd.DataFrame:
    """See :meth:`karat.grouped.shares_result.SharesResult.band`."""
    import pandas as pd

    one_of("family", family, ("line", "all"))
    k = len(result.classes)
    line = np.zeros(len(result.theta), dtype=np.intp)
    if family == "line":
        group = np.asarray(result.cells) // len(result.times)
        line = (group[:, None] * k + np.arange(k)).ravel()
    low, high = np.empty_like(result.theta), np.empty_like(result.theta)
    fixed = seed_of_result(seed, result, draws)
    for one in np.unique(line):
        at = line == one
        tail = tail_of(result.covariance[np.ix_(at, at)], level, draws, fixed)
        bounds = result.shares.interval(result.theta, np.diag(result.covariance), 2.0 * tail)
        low[at], high[at] = bounds[0][at], bounds[1][at]
    columns = [("Estimate", result.theta), *zip(bounds_names(level), (low, high))]
    return pd.concat([result._series(values, name) for name, values in columns], axis=1)
