"""Plot of intervals over successive looks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..display.axes import BLUE, panels, plain
from ..errors import ArgumentError

if TYPE_CHECKING:
    from .._core.types import Floats, Ints


def sequence_plot(n_gold: Ints, theta: Floats, half: Floats, names: Sequence[str], alpha: float, ax: Any) -> Any:
    """Estimates and intervals against the number of gold labels, one panel per coefficient.

    Parameters
    ----------
    n_gold : ndarray of int, shape (K,)
    theta, half : ndarray, shape (K, p)
        Estimates and half-widths.
    names : sequence of str
        The p coefficients.
    alpha : float
    ax : matplotlib Axes, sequence of p of them, or None

    Returns
    -------
    ndarray of matplotlib.axes.Axes, shape (p,)

    Raises
    ------
    ArgumentError
        If there are not as many axes as coefficients.
    KaratError
        If matplotlib is not installed.
    """
    if ax is None:
        shown = panels((3.6 * len(names), 3.0), len(names))
    else:
        shown = np.atleast_1d(np.asarray(ax, dtype=object)).ravel()
    if len(shown) != len(names):
        raise ArgumentError(f"ax holds {len(shown)} axes for {len(names)} coefficients; give one for each.")
    for k, (panel, name) in enumerate(zip(shown, names)):
        low, high = theta[:, k] - half[:, k], theta[:, k] + half[:, k]
        panel.fill_between(n_gold, low, high, color=BLUE, alpha=0.18, linewidth=0)
        panel.plot(n_gold, theta[:, k], color=BLUE, marker="o", markersize=3.5, linewidth=1.2)
        if low.min() < 0 < high.max():
            panel.axhline(0.0, color="0.6", linewidth=0.8, zorder=0)
        panel.set_xlabel("gold labels")
        panel.set_title(name, fontsize=10)
        plain(panel)
    shown[0].set_ylabel(f"{100 * (1 - alpha):g} % at all looks")
    return shown
