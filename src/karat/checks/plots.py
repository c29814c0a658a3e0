"""Love plot: balance at a glance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..display.axes import BLUE, RED, SAND, axes, plain

if TYPE_CHECKING:
    from .values import Balance

_COLOURS = {"surrogate": RED, "covariate": BLUE, "outcome": SAND}
_MARKERS = {"surrogate": "X", "covariate": "o", "outcome": "s"}
_MOST = 40


def love_plot(balance: Balance, *, ax: Any = None, title: str | None = None) -> Any:
    """Standardised differences of weighted gold from the frame; grey bars are what chance does in 95 % of draws.

    Parameters
    ----------
    balance : Balance
        At most 40 variables are shown, those farthest off.
    ax : matplotlib Axes, optional
    title : str, optional

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    KaratError
        If matplotlib is not installed.
    """
    rows = sorted(balance.rows, key=lambda r: abs(r.standardised))[-_MOST:]
    own_figure, ax = ax is None, axes(ax, (7.0, 1.5 + 0.27 * len(rows)))
    drawn: set[str] = set()
    for at, row in enumerate(rows):
        half = 0.0 if np.isnan(row.statistic) or row.statistic == 0 else 1.96 * abs(row.standardised / row.statistic)
        chance = None if drawn else "95% of chance draws"
        ax.barh(at, 2 * half, left=-half, height=0.62, color="0.9", zorder=0, label=chance)
        ax.plot(
            row.standardised, at, marker=_MARKERS[row.role], color=_COLOURS[row.role], linestyle="none", markersize=6,
            label=None if row.role in drawn else row.role,
        )  # fmt: skip
        drawn.add(row.role)
    ax.axvline(0.0, color="0.6", linewidth=0.8, zorder=0)
    ax.set_yticks(range(len(rows)), [r.name for r in rows])
    ax.set_ylim(-0.7, len(rows) - 0.3)
    ax.set_xlabel("weighted gold minus frame, in standard deviations of the frame")
    joint = "" if np.isnan(balance.p_value) else f" (joint test p = {balance.p_value:.3f})"
    plain(ax, title if title is not None else f"Balance of the gold sample{joint}", rows=True)
    ax.margins(x=0.08)
    if own_figure:
        ax.figure.legend(frameon=False, loc="outside lower center", ncols=len(drawn) + 1)
    else:
        ax.legend(frameon=False)
    return ax
