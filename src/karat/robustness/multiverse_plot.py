"""Naive and corrected answers of many universes in one picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..display.axes import BLUE, RED, SAND, panels, plain
from ..errors import ArgumentError

if TYPE_CHECKING:
    from .multiverse_result import Multiverse

_MOST_NAMES = 40


def multiverse_plot(
    many: Multiverse, terms: Sequence[str] | None = None, *, simultaneous: bool = False, axes: Any = None
) -> Any:
    """One panel per coefficient: universes in the order of their naive answers, gold alone as a band.

    Parameters
    ----------
    many : Multiverse
    terms : sequence of str, optional
        By default the first three coefficients that are not an intercept.
    simultaneous : bool
        Draw the intervals of corrected answers that hold in all universes at once.
    axes : sequence of matplotlib Axes, optional

    Returns
    -------
    ndarray of matplotlib.axes.Axes

    Raises
    ------
    ArgumentError
        If a coefficient was not compared.
    KaratError
        If matplotlib is not installed.
    """
    shown = (
        list(terms) if terms is not None else [t for t in many.terms if t != "Intercept"][:3] or list(many.terms[:3])
    )
    for term in shown:
        if term not in many.terms:
            raise ArgumentError(f"coefficient {term!r} was not compared; there are {list(many.terms)}.")
    u = len(many) + (many.together is not None)
    own_figure = axes is None
    if own_figure:
        height = 1.7 + (0.3 * u if u <= _MOST_NAMES else 9.0)
        axes = panels((2.2 + 2.9 * len(shown), height), len(shown), sharey=True)
    beside = np.ravel(axes)
    if len(beside) != len(shown):
        raise ArgumentError(f"{len(shown)} coefficients need as many axes; got {len(beside)}.")
    lead = many.naive[shown[0]].theta
    order = np.argsort(np.where(np.isfinite(lead), lead, np.inf), kind="stable")
    for ax, term in zip(beside, shown):
        _panel(many, ax, term, order, simultaneous)
    first = beside[0]
    names = [many.universes[k] for k in order] + (["all together"] if many.together is not None else [])
    if u <= _MOST_NAMES:
        first.set_yticks(range(u), names)
    else:
        first.set_yticks([])
        first.set_ylabel(f"{len(many)} universes, by naive answer")
    first.set_ylim(u - 0.4, -0.6)
    if own_figure:
        handles, labels = first.get_legend_handles_labels()
        first.figure.legend(handles, labels, frameon=False, loc="outside lower center", ncols=min(len(labels), 4))
    else:
        first.legend(frameon=False)
    return beside


def _panel(many: Multiverse, ax: Any, term: str, order: Any, simultaneous: bool) -> None:
    """One coefficient."""
    from scipy.stats import t

    level = f"{100 * (1 - many.alpha):g}%"
    theta, se, df = many.gold[term]
    half = float(t.isf(many.alpha / 2, df)) * se
    ax.axvspan(theta - half, theta + half, color=SAND, alpha=0.18, linewidth=0, label=f"gold alone, {level} interval")
    ax.axvline(theta, color=SAND, linewidth=1.2, alpha=0.8)
    ax.axvline(0.0, color="0.6", linewidth=0.8, zorder=0)
    rows = np.arange(len(order))
    naive, corrected = many.naive[term], many.corrected[term]
    size = 5.5 if len(order) <= _MOST_NAMES else 2.5
    low, high = naive.bounds(many.alpha)
    ax.errorbar(
        naive.theta[order], rows - 0.14, xerr=[(naive.theta - low)[order], (high - naive.theta)[order]], fmt="X",
        color=RED, markersize=size, linewidth=1.3, label="naive (not valid)",
    )  # fmt: skip
    low, high = corrected.bounds(many.alpha, many.critical[term] if simultaneous else None)
    kind = "corrected, in all universes at once" if simultaneous else "corrected"
    ax.errorbar(
        corrected.theta[order], rows + 0.14, xerr=[(corrected.theta - low)[order], (high - corrected.theta)[order]],
        fmt="o", color=BLUE, markersize=size, linewidth=1.3, label=kind,
    )  # fmt: skip
    if many.together is not None:
        theta, se, df = many.together[term]
        half = float(t.isf(many.alpha / 2, df)) * se
        ax.errorbar(
            [theta], [len(order)], xerr=[[half], [half]], fmt="D", color=BLUE, markersize=6, linewidth=1.6,
            markerfacecolor="white", label="all surrogates together",
        )  # fmt: skip
        ax.axhline(len(order) - 0.5, color="0.85", linewidth=0.8)
    ax.set_xlabel(many.results[0].quantity)
    plain(ax, term, rows=True)
