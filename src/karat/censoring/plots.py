"""Plots of durations: survival by group, censoring weights, calibration of predictions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..display.axes import BLUE, GREEN, GREY, PURPLE, RED, SAND, axes, panels, plain
from ..errors import ArgumentError
from .curves import SurvivalCurve, curves_by_group
from .weights import CensoringWeights

if TYPE_CHECKING:
    import pandas as pd

_COLOURS = (BLUE, RED, SAND, GREEN, PURPLE, GREY)
_STYLES = ("-", (0, (5, 1.5)), (0, (1.5, 1.2)), (0, (5, 1.5, 1.5, 1.5)))
_MOST_POINTS = 4000


def plot_survival(
    time: object,
    event: object,
    *,
    group: object = None,
    weights: object = None,
    interval: str | None = "log-log",
    alpha: float = 0.05,
    tau: float | None = None,
    at_risk: bool = True,
    censored: bool = True,
    unit: str = "time",
    ax: Any = None,
    title: str | None = None,
) -> Any:
    """Kaplan-Meier curves with pointwise intervals, one per group, and the numbers at risk below.

    Parameters
    ----------
    time : array_like, shape (n,)
        Time under observation, 0 or more.
    event : array_like, shape (n,)
        1 (or True) where the event was seen, 0 where the row was censored.
    group : array_like, shape (n,), optional
        Values that define the groups.
    weights : array_like, shape (n,), optional
        Sampling weights; the numbers at risk are then sums of weights.
    interval : {"log-log", "log", "plain"} or None
        Scale of the intervals, as in :func:`karat.censoring.survival_curve`; None draws none.
    alpha : float
        Level is 1 - alpha at each time.
    tau : float, optional
        Horizon: the axis ends there and a line marks it.
    at_risk : bool
        Write the numbers at risk below the axis.
    censored : bool
        Tick the times of censored rows, where there are at most 200 in a group.
    unit : str
        Name of the time axis.
    ax : matplotlib Axes, optional
    title : str, optional

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ArgumentError
        If lengths differ, or there are more than twelve groups.
    DataError
        If durations are not allowed.
    KaratError
        If matplotlib is not installed.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("Agg")
    >>> axes = plot_survival([1.0, 2.0, 2.0, 3.0], [1, 1, 0, 1], group=["a", "a", "b", "b"])
    >>> [text.get_text() for text in axes.get_legend().get_texts()]
    ['a (2 rows, 2 events)', 'b (2 rows, 1 event)']
    """
    curves = curves_by_group(time, event, group, weights, interval=interval or "log-log", alpha=alpha)
    if len(curves) > 12:
        raise ArgumentError(f"group has {len(curves)} values; at most 12 curves can be distinguished. Merge some.")
    last = max(curve.last for curve in curves.values()) if tau is None else float(tau)
    own_figure = ax is None
    if own_figure:
        height = 4.2 + (0.22 * len(curves) + 0.35 if at_risk else 0.0)
        ax = axes(None, (7.0 if len(curves) < 3 else 9.5, height))
    for k, (level, curve) in enumerate(curves.items()):
        label = f"{level} ({_count(curve.n_rows, 'row')}, {_count(curve.n_events, 'event')})"
        _curve(ax, curve, last, label, k, interval is not None, censored)
    if tau is not None:
        ax.axvline(tau, color="0.6", linewidth=0.8, linestyle=(0, (3, 2)), zorder=0)
    ax.set_xlim(0.0, last * 1.02)
    ax.set_ylim(0.0, 1.02)
    ax.set_ylabel("share still going on")
    ax.set_xlabel(unit)
    ticks = [t for t in ax.get_xticks() if 0 <= t <= last]
    ax.set_xticks(ticks)
    note = "" if interval is None else f" with {100 * (1 - alpha):g}% intervals"
    plain(ax, title if title is not None else f"Kaplan-Meier estimate{note}")
    if len(curves) > 2 and own_figure:
        ax.figure.legend(frameon=False, loc="outside right upper")
    elif len(curves) > 1:
        ax.legend(frameon=False)
    if at_risk:
        _risk_table(ax, curves, ticks)
    return ax


def _curve(ax: Any, curve: SurvivalCurve, last: float, label: str, k: int, band: bool, ticks: bool) -> None:
    colour, style = _COLOURS[k % len(_COLOURS)], _STYLES[k % len(_STYLES)]
    end = min(curve.last, last)
    shown = curve.time <= end

    def steps(values: Any) -> Any:
        inside = np.concatenate(([1.0], values[shown]))
        return np.append(inside, inside[-1])

    x = np.concatenate(([0.0], curve.time[shown], [end]))
    ax.step(x, steps(curve.survival), where="post", color=colour, linestyle=style, linewidth=1.8, label=label)
    if band:
        ax.fill_between(x, steps(curve.low), steps(curve.high), step="post", color=colour, alpha=0.15, linewidth=0)
    if ticks and len(times := curve.censored[curve.censored <= end]) <= 200:
        ax.plot(times, curve.at(times), linestyle="", marker="|", color=colour, markersize=6)


def _risk_table(ax: Any, curves: dict[Any, SurvivalCurve], ticks: list[float]) -> None:
    """Rows (or weight) under observation at the ticks, below the axis."""
    step = 11.0
    options = {"xycoords": ax.get_xaxis_transform(), "textcoords": "offset points", "annotation_clip": False}
    small = {"fontsize": 8, "va": "top"}
    top = -36.0
    ax.annotate("at risk", (ticks[0], 0), xytext=(-24, top), ha="right", color="0.35", **options, **small)
    for k, (level, curve) in enumerate(curves.items()):
        y, colour = top - step * (k + (len(curves) > 1)), _COLOURS[k % len(_COLOURS)]
        if len(curves) > 1:
            ax.annotate(str(level), (ticks[0], 0), xytext=(-24, y), ha="right", color=colour, **options, **small)
        for t, n in zip(ticks, curve.risk_at(np.array(ticks))):
            ax.annotate(f"{n:,.0f}", (t, 0), xytext=(0, y), ha="center", color=colour, **options, **small)


def plot_weights(fitted: CensoringWeights, *, unit: str = "time", ax: Any = None, title: str | None = None) -> Any:
    """Censoring weights against time, floored ones marked, with their distribution beside them.

    Parameters
    ----------
    fitted : CensoringWeights
        What :func:`karat.censoring.weights` returned, or ``weights_`` of a fitted :class:`CensoredRegressor`.
    unit : str
        Name of the time axis.
    ax : matplotlib Axes, optional
        Where to draw; the distribution is then left out.
    title : str, optional

    Returns
    -------
    matplotlib.axes.Axes
        The axes of weights against time. At most 4,000 rows are drawn, evenly chosen by weight, and all floored ones
        among them up to that number.

    Raises
    ------
    KaratError
        If matplotlib is not installed.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("Agg")
    >>> import karat as kt
    >>> fitted = kt.censoring.weights([1.0, 2.0, 2.0, 3.0], [1, 0, 1, 1], tau=3.0)
    >>> plot_weights(fitted).get_ylabel()
    'weight of complete rows'
    """
    side = None
    if ax is None:
        ax, side = panels((7.6, 4.0), 2, sharey=True, width_ratios=(4, 1))
    complete = np.flatnonzero(fitted.complete)
    kept, floored = complete[~fitted.floored[complete]], complete[fitted.floored[complete]]
    for rows, name, style in (
        (kept, "complete", {"color": _COLOURS[0], "marker": "o", "s": 14, "alpha": 0.45, "linewidths": 0}),
        (floored, f"floored at G = {fitted.floor:g}", {"color": _COLOURS[1], "marker": "X", "s": 36, "linewidths": 0}),
    ):
        if len(rows):
            shown = _thinned(rows, fitted.values)
            ax.scatter(fitted.restricted[shown], fitted.values[shown], label=f"{name} ({len(rows):,})", **style)
    lost = np.flatnonzero(~fitted.complete)
    if len(lost):
        shown = _thinned(lost, fitted.restricted)
        ax.plot(
            fitted.restricted[shown], np.zeros(len(shown)), linestyle="", marker="|", color="0.5", markersize=7,
            alpha=0.6, label=f"censored before tau, weight 0 ({len(lost):,})",
        )  # fmt: skip
    ax.axhline(1.0, color="0.75", linewidth=0.8, zorder=0)
    ax.set_xlabel(f"{unit}, up to tau = {fitted.tau:g}")
    ax.set_ylabel("weight of complete rows")
    ax.set_ylim(bottom=-0.05 * float(fitted.values.max()))
    ax.legend(frameon=False, loc="upper left", fontsize=8.5)
    plain(ax, title if title is not None else f"Censoring weights: {fitted.censoring.method}")
    if side is not None:
        side.hist(fitted.values[complete], bins=40, orientation="horizontal", color=_COLOURS[0], alpha=0.7)
        side.set_xlabel("rows")
        side.tick_params(axis="y", length=0)
        side.set_title(f"effective {fitted.effective_size:,.0f}", fontsize=9)
        plain(side)
    return ax


def _thinned(rows: Any, key: Any) -> Any:
    if len(rows) <= _MOST_POINTS:
        return rows
    ordered = rows[np.argsort(key[rows])]
    return ordered[np.linspace(0, len(rows) - 1, _MOST_POINTS).astype(np.intp)]


def plot_calibration(
    table: pd.DataFrame, *, unit: str = "time", names: Sequence[str] = ("predicted", "observed"), ax: Any = None,
    title: str | None = None,
) -> Any:  # fmt: skip
    """Observed against predicted values in bins, with intervals.

    Parameters
    ----------
    table : pandas.DataFrame
        What :meth:`CensoredRegressor.calibration` or :func:`karat.censoring.calibration` returned.
    unit : str
        What is predicted, and in which unit.
    names : sequence of two str
        How the axes begin.
    ax : matplotlib Axes, optional
    title : str, optional

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ArgumentError
        If ``table`` is not a calibration.
    KaratError
        If matplotlib is not installed.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("Agg")
    >>> from karat.censoring import calibration
    >>> table = calibration([1.0, 1.2, 2.0, 2.1], [1.0, 2.0, 2.0, 3.0], [1.0] * 4, n_bins=2)
    >>> axes = plot_calibration(table, unit="years")
    >>> axes.get_xlabel()
    'predicted years'
    """
    wanted = {"predicted", "observed", "low", "high", "rows"}
    if not wanted <= set(getattr(table, "columns", ())):
        raise ArgumentError("table is not a calibration; give what calibration(...) returned.")
    ax = axes(ax, (5.2, 5.0))
    x, y = table["predicted"].to_numpy(), table["observed"].to_numpy()
    error = np.vstack((y - table["low"].to_numpy(), table["high"].to_numpy() - y))
    values = np.concatenate((x, table["low"].to_numpy(), table["high"].to_numpy()))
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    pad = 0.05 * (high - low or 1.0)
    ax.plot(
        [low - pad, high + pad], [low - pad, high + pad], color="0.6", linewidth=1.0, linestyle=(0, (3, 2)), zorder=0
    )
    ax.errorbar(x, y, yerr=np.nan_to_num(error), fmt="o", color=_COLOURS[0], capsize=2.5, markersize=5.5, linewidth=1.6)
    ax.set_xlim(low - pad, high + pad)
    ax.set_ylim(low - pad, high + pad)
    ax.set_aspect("equal")
    ax.set_xlabel(f"{names[0]} {unit}")
    ax.set_ylabel(f"{names[1]} {unit}, weighted for censoring")
    plain(ax, title if title is not None else f"Calibration in {len(table)} bins")
    return ax


def _count(n: int, noun: str) -> str:
    return f"{n:,} {noun}{'' if n == 1 else 's'}"
