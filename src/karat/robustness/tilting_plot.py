"""A coefficient over gamma."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..display.axes import AMBER, BLUE, RED, axes, plain

if TYPE_CHECKING:
    from .sensitivity import Sensitivity


def tilt_plot(found: Sensitivity, term: str, *, ax: Any = None, title: str | None = None) -> Any:
    """A coefficient over gamma with its interval; worst cases as a band, flips as marks.

    Parameters
    ----------
    found : Sensitivity
    term : str
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
    from scipy.stats import t

    curve, j = found.curve, found.fit.position(term)
    ax = axes(ax, (7.0, 4.2))
    half = t.isf(found.alpha / 2, curve.df[:, j]) * curve.se[:, j]
    theta = curve.theta[:, j]
    bound = next((b for b in found.bounds if b.name == term), None)
    if bound is not None:
        ax.axhspan(bound.low, bound.high, color="0.93", zorder=0, label="worst cases, any labels")
    ax.fill_between(curve.gamma, theta - half, theta + half, color=BLUE, alpha=0.18, linewidth=0)
    level = f"{100 * (1 - found.alpha):g}% interval"
    ax.plot(curve.gamma, theta, color=BLUE, linewidth=2, label=f"estimate and {level}")
    ax.axhline(0.0, color="0.4", linewidth=0.9)
    ax.axvline(0.0, color="0.75", linewidth=0.8, linestyle=(0, (3, 2)))
    for flip in found.flips:
        if flip.name == term and not np.isnan(flip.gamma):
            colour = RED if flip.what == "sign" else AMBER
            ax.axvline(flip.gamma, color=colour, linewidth=1.2, linestyle=":", label=f"{flip.what} changes")
    ax.set_xlabel(f"gamma: log odds of non-response per unit of {curve.f}")
    fit = found.fit
    ax.set_ylabel(fit.quantity if len(fit.names) == 1 else f"{fit.quantity} of {term}")
    kind = "unlabelled rows" if found.convenience else "rows drawn but not labelled"
    plain(ax, title if title is not None else f"If {kind} differ: {term}")
    ax.set_xlim(curve.gamma.min(), curve.gamma.max())
    near = np.abs(curve.gamma) <= 0.5 * np.abs(curve.gamma).max()
    shown = np.concatenate([theta, (theta - half)[near], (theta + half)[near], [0.0]])
    if bound is not None:
        shown = np.concatenate([shown, [bound.low, bound.high]])
    low, high = np.nanmin(shown), np.nanmax(shown)
    ax.set_ylim(low - 0.06 * (high - low), high + 0.25 * (high - low))
    upper = ax.secondary_xaxis("top", functions=(lambda g: g, lambda g: g))
    ticks = np.linspace(curve.gamma.min(), curve.gamma.max(), 5)
    known = np.isfinite(curve.silent_mean)
    means = np.interp(ticks, curve.gamma[known], curve.silent_mean[known])
    upper.set_xticks(ticks, [f"{m:.2g}" for m in means])
    upper.set_xlabel(f"mean of {curve.f} among them", fontsize=9)
    upper.spines["top"].set_visible(False)
    ax.legend(frameon=False, fontsize=9)
    return ax
