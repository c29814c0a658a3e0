"""Pictures of shares: stacked, as lines with bands, and as small multiples."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from ..display.axes import BLUE, GREEN, LINES, PURPLE, RED, axes, plain, pyplot
from ..errors import ArgumentError, KaratError, one_of

if TYPE_CHECKING:
    from .._core.types import Floats, Ints
    from .shares_result import SharesResult

_COLOURS = (BLUE, "#e08214", "#2a9d9d", PURPLE, "#8c8c8c", RED, "#9a8a4f", GREEN)
"""Neighbours differ in lightness, so that they can be distinguished without colour."""

_MOST = len(_COLOURS)
_FEW = 3
"""Lines up to which bands are drawn without being asked for."""

_STEPS, _TICK = (1, 2, 3, 4, 6, 12, 24, 36, 48, 60, 120), 0.9
"""Periods from one tick to the next, and inches that a tick wants."""

_NEAREST = 0.055
"""Least distance of two labels, as a share of the height of the axes."""


def plot_shares(
    result: SharesResult,
    kind: str | None = None,
    *,
    classes: Sequence[Any] | None = None,
    group: str | None = None,
    band: bool | None = None,
    title: str | None = None,
    ax: Any = None,
) -> Any:
    """Draw shares.

    Parameters
    ----------
    result : SharesResult
    kind : {"stacked", "lines", "multiples"}, optional
        By default lines over time, stacked bars without time.
    classes : sequence, optional
        Classes shown, in this order; at most eight.
    group : str, optional
        The group of "stacked" and "lines" (its values of ``by``, joined by a comma and a blank); by default the only
        one. Lines of a single class take one line for each group.
    band : bool, optional
        Also draw, in a lighter shade, the bands that hold for all periods of a line at once; by default for up to three
        lines.
    title : str, optional
    ax : matplotlib Axes, optional
        Not for "multiples", which makes a figure of its own.

    Returns
    -------
    matplotlib Axes, or an array of them for "multiples"

    Raises
    ------
    ArgumentError
        If the picture asked for does not go with these shares.
    KaratError
        If matplotlib is not installed.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("Agg")
    >>> import numpy as np, pandas as pd, karat as kt
    >>> rng = np.random.default_rng(1)
    >>> topic = rng.choice(["law", "war"], size=2000)
    >>> corpus = pd.DataFrame({"topic": topic, "model": topic, "year": rng.integers(2020, 2023, size=2000)})
    >>> sample = kt.SimpleRandom(n=300).draw(corpus, seed=1)
    >>> labelled = kt.datasets.mask_gold(corpus, sample, "topic")
    >>> found = kt.shares("topic", labelled, over="year", surrogates={"topic": "model"}, design=sample.design, seed=1)
    >>> found.plot("stacked").get_ylabel()
    'share of documents'
    """
    kind = ("stacked" if result.over is None else "lines") if kind is None else kind
    one_of("kind", kind, ("stacked", "lines", "multiples"))
    shown = _classes(result, classes)
    if kind == "stacked":
        if not result.whole:
            raise ArgumentError("codes may hold together, so their shares do not stack; use kind='lines'.")
        return _stacked(result, shown, group, title, ax)
    if result.over is None:
        raise ArgumentError(f"kind={kind!r} draws shares over time; call kt.shares with over=, or use kind='stacked'.")
    if kind == "multiples":
        if ax is not None:
            raise ArgumentError("kind='multiples' makes a figure of its own; take ax= out.")
        return _multiples(result, shown, band, title)
    ax = axes(ax, (8.0, 4.2))
    if len(shown) == 1 and len(result.groups) > 1 and group is None:
        series = [(name, g, shown[0]) for g, name in enumerate(result.groups)]
        _refuse_many(len(series), "groups; name one with group=, or use kind='multiples'")
        head = f"{result.classes[shown[0]]}"
    else:
        g = _group(result, group)
        series = [(str(result.classes[k]), g, k) for k in shown]
        head = result.groups[g] or result.label
    _lines(ax, result, series, _shades(result, len(series), band))
    _label_lines(ax, result, series)
    plain(ax, head if title is None else title)
    return ax


def _refuse_many(count: int, what: str) -> None:
    if count > _MOST:
        raise ArgumentError(f"at most {_MOST} lines can be distinguished, and there are {count} {what}.")


def _classes(result: SharesResult, classes: Sequence[Any] | None) -> list[int]:
    named = [str(value) for value in result.classes]
    wanted = named if classes is None else [str(value) for value in classes]
    if strangers := [value for value in wanted if value not in named]:
        raise ArgumentError(f"classes names {strangers[0]!r}, which is none of {named}.")
    if not wanted:
        raise ArgumentError("classes is empty; name at least one.")
    _refuse_many(len(wanted), "classes; name some with classes=")
    return [named.index(value) for value in wanted]


def _group(result: SharesResult, group: str | None) -> int:
    if group is None:
        if len(result.groups) > 1:
            raise ArgumentError(
                f"there are {len(result.groups)} groups; name one with group=, one class with classes=, or use "
                "kind='multiples'."
            )
        return 0
    if str(group) not in result.groups:
        raise ArgumentError(f"group={group!r} is none of {result.groups}.")
    return result.groups.index(str(group))


def _times(result: SharesResult) -> Any:
    """Where periods stand on the axis: dates as dates."""
    first = result.periods[0]
    if hasattr(first, "to_timestamp"):
        return np.array([np.datetime64(period.to_timestamp()) for period in result.periods])
    return result.times


def _shades(result: SharesResult, many: int, band: bool | None) -> list[tuple[Floats, Floats, float]]:
    """Bounds of bands and of single periods by group, period and class, and how strongly they are filled."""
    shape = (len(result.groups), len(result.times), len(result.classes))
    few = many <= _FEW
    found = [(result.confint(), 0.2 if few else 0.13)]
    if band or (band is None and few):
        found.insert(0, (result.band(), 0.1 if few else 0.06))
    return [
        (table.iloc[:, -2].to_numpy().reshape(shape), table.iloc[:, -1].to_numpy().reshape(shape), alpha)
        for table, alpha in found
    ]


def _lines(ax: Any, result: SharesResult, series: Sequence[tuple[str, int, int]], shades: Any) -> None:
    """Lines, with intervals of single periods and, lighter, of all periods of the line."""
    time, estimate = _times(result), result.by_cell(result.theta)
    for colour, line, (_, g, k) in zip(_COLOURS, LINES, series):
        for low, high, alpha in shades:
            ax.fill_between(time, low[g, :, k], high[g, :, k], color=colour, alpha=alpha, linewidth=0)
        alone = _alone(estimate[g, :, k])
        ax.plot(time, estimate[g, :, k], color=colour, linestyle=line, linewidth=1.8)
        ax.plot(time[alone], estimate[g, alone, k], "o", color=colour, markersize=4)
    ax.set_ylabel("share of documents")
    ax.set_ylim(0.0, min(1.0, ax.get_ylim()[1]))
    ax.yaxis.set_major_formatter(_percent)
    _time_axis(ax, result)


def _alone(values: Floats) -> Ints:
    """Periods whose neighbours are gaps, which a line does not show."""
    there = np.concatenate([[False], ~np.isnan(values), [False]])
    return np.flatnonzero(there[1:-1] & ~there[:-2] & ~there[2:])


def _percent(value: float, _: int = 0) -> str:
    return f"{100 * value:.0f}%"


def _time_axis(ax: Any, result: SharesResult) -> None:
    periods, width = result.periods, ax.get_position().width * ax.figure.get_figwidth()
    named = isinstance(periods[0], str)
    if named or hasattr(periods[0], "to_timestamp"):
        most = max(2.0, width / _TICK)
        step = next((n for n in _STEPS if len(periods) / n <= most), len(periods))
        ax.set_xticks(_times(result)[::step], [str(period) for period in periods[::step]])
        if not named:
            return
    elif all(float(p).is_integer() for p in periods):
        from matplotlib.ticker import MaxNLocator

        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_xlabel(result.over)


def _label_lines(ax: Any, result: SharesResult, series: Sequence[tuple[str, int, int]]) -> None:
    """The name of each line at its end, moved apart where they would overlap."""
    estimate, time = result.by_cell(result.theta), _times(result)
    ends = []
    for _, g, k in series:
        there = np.flatnonzero(~np.isnan(estimate[g, :, k]))
        ends.append(estimate[g, there[-1], k] if len(there) else np.nan)
    for (name, *_), colour, y in zip(series, _COLOURS, _apart(np.array(ends), ax.get_ylim()[1] * _NEAREST)):
        if np.isfinite(y):
            ax.annotate(
                name, (time[-1], y), xytext=(6, 0), textcoords="offset points", color=colour, va="center",
                annotation_clip=False, fontsize=9.5,
            )  # fmt: skip


def _apart(values: Floats, distance: float) -> Floats:
    """Values moved so that neighbours are at least so far from each other."""
    out, order = values.copy(), np.argsort(values)
    order = order[np.isfinite(values[order])]
    for _ in range(50):
        for low, high in pairwise(order):
            missing = distance - (out[high] - out[low])
            if missing > 0:
                out[low], out[high] = out[low] - missing / 2, out[high] + missing / 2
    return out


def _multiples(result: SharesResult, shown: list[int], band: bool | None, title: str | None) -> Any:
    """A small picture for each group, all on the same axes."""
    count = len(result.groups)
    columns = min(count, 3)
    rows = -(-count // columns)
    figure, grid = pyplot().subplots(
        rows, columns, figsize=(1.2 + 2.9 * columns, 0.5 + 2.5 * rows), sharex=True, sharey=True, squeeze=False,
        layout="constrained",
    )  # fmt: skip
    every, shades = grid.ravel(), _shades(result, len(shown), band)
    for g, (ax, name) in enumerate(zip(every, result.groups)):
        series = [(str(result.classes[k]), g, k) for k in shown]
        _lines(ax, result, series, shades)
        plain(ax, name)
        if g % columns:
            ax.set_ylabel("")
        if g == min(columns, count) - 1:
            top = max(a.get_ylim()[1] for a in every[:count])
            ax.set_ylim(0.0, top)
            _label_lines(ax, result, series)
    highest = max(a.dataLim.ymax for a in every[:count])
    every[0].set_ylim(0.0, min(1.0, 1.05 * highest))
    for ax in every[count:]:
        ax.set_visible(False)
    if title is not None:
        figure.suptitle(title, x=0.02, ha="left", fontsize=11)
    return every[:count]


def _stacked(result: SharesResult, shown: list[int], group: str | None, title: str | None, ax: Any) -> Any:
    """Shares on top of each other over time, or a bar for each group."""
    estimate = result.by_cell(result.theta)[:, :, shown]
    if result.over is None:
        return _bars(result, estimate[:, 0], shown, title, ax)
    g = _group(result, group)
    if np.isnan(estimate[g]).all():
        raise KaratError(f"group {result.groups[g]!r} has no estimate, so there is nothing to draw.")
    ax, time = axes(ax, (8.0, 4.2)), _times(result)
    tops = np.cumsum(np.clip(estimate[g], 0.0, None), axis=1)
    bottoms = np.column_stack([np.zeros(len(tops)), tops[:, :-1]])
    for j in range(len(shown)):
        ax.fill_between(
            time, bottoms[:, j], tops[:, j], color=_COLOURS[j], alpha=0.85, linewidth=0.6, edgecolor="white"
        )
        alone = _alone(tops[:, j])
        ax.vlines(time[alone], bottoms[alone, j], tops[alone, j], color=_COLOURS[j], linewidth=3)
    there = np.flatnonzero(~np.isnan(tops[:, 0]))[-1]
    middle = _apart((bottoms[there] + tops[there]) / 2, _NEAREST)
    for j, k in enumerate(shown):
        ax.annotate(
            str(result.classes[k]), (time[-1], middle[j]), xytext=(6, 0), textcoords="offset points", va="center",
            color=_COLOURS[j], annotation_clip=False, fontsize=9.5,
        )  # fmt: skip
    ax.set_ylim(0.0, 1.0)
    ax.set_xlim(time[0], time[-1])
    ax.set_ylabel("share of documents")
    ax.yaxis.set_major_formatter(_percent)
    _time_axis(ax, result)
    plain(ax, (result.groups[g] or result.label) if title is None else title)
    return ax


def _bars(result: SharesResult, estimate: Floats, shown: list[int], title: str | None, ax: Any) -> Any:
    """A bar for each group, classes named above the first one."""
    ax = axes(ax, (7.0, 1.4 + 0.42 * len(estimate)))
    left = np.zeros(len(estimate))
    at = np.arange(len(estimate))
    for j, k in enumerate(shown):
        width = np.clip(np.nan_to_num(estimate[:, j]), 0.0, None)
        ax.barh(at, width, left=left, color=_COLOURS[j], alpha=0.85, edgecolor="white", height=0.7)
        ax.annotate(
            str(result.classes[k]), (left[0] + width[0] / 2, -0.42), ha="center", va="bottom", color=_COLOURS[j],
            fontsize=9.5, annotation_clip=False, rotation=0 if len(shown) < 5 else 20,
        )  # fmt: skip
        left = left + width
    ax.set_yticks(at, result.groups)
    ax.set_ylim(len(estimate) - 0.5, -0.8)
    ax.set_xlim(0.0, 1.0)
    ax.set_xlabel("share of documents")
    ax.xaxis.set_major_formatter(_percent)
    plain(ax, result.label if title is None else title, rows=True)
    return ax
