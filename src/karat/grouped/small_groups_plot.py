"""Caterpillar plot of small groups."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..display.axes import BLUE, GREY, SAND, axes, plain

if TYPE_CHECKING:
    from .._core.types import Ints

_ROW, _TALLEST = 0.19, 16.0
_SMALLEST_TEXT = 5.0


def caterpillar(fit: Any, rows: Ints, kind: str, direct: bool, ax: Any, title: str | None) -> Any:
    """Estimates with intervals, the largest on top; groups without gold hollow, direct estimates as ticks."""
    bounds = fit.confint(kind=kind).to_numpy()
    own = np.clip(fit.direct, 0.0, 1.0) if fit.are_shares else fit.direct
    centre = own if kind == "direct" else fit.theta
    key = np.where(np.isnan(centre[rows]), -np.inf, centre[rows])
    rows = rows[np.argsort(key, kind="stable")]
    at = np.arange(len(rows))
    height = min(1.6 + _ROW * len(rows), _TALLEST)
    ax = axes(ax, (6.5, height))
    theta, low, high = centre[rows], bounds[rows, 0], bounds[rows, 1]
    alone = fit.gold[rows] == 0
    for these, colour, face, label in (
        (~alone, BLUE, BLUE, "estimate"), (alone & ~np.isnan(theta), GREY, "white", "no gold: model only")
    ):  # fmt: skip
        if these.any():
            ax.errorbar(
                theta[these], at[these], xerr=[theta[these] - low[these], high[these] - theta[these]], fmt="o",
                color=colour, markerfacecolor=face, markersize=3.6, linewidth=1.0, capsize=0,
                label=f"{label}, {100 * (1 - fit.alpha):g}% interval",
            )  # fmt: skip
    if direct and kind != "direct":
        ax.plot(own[rows], at, "|", color=SAND, markersize=6, zorder=1, label="gold-corrected group by itself")
    names = np.array(fit.group_names * fit.n_classes)[rows]
    ax.set_yticks(at, names, fontsize=float(np.clip(72 * (height - 1.6) / len(rows) * 0.75, _SMALLEST_TEXT, 9)))
    ax.set_ylim(-0.8, len(rows) - 0.2)
    ax.set_xlabel("share" if fit.are_shares else "mean")
    plain(ax, title if title is not None else fit._title(), rows=True)
    ax.legend(frameon=False, fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.6 / height), ncols=2)
    return ax
