"""The start of every plot: figure and axes, palette, plain style."""

from __future__ import annotations

import base64
import io
from typing import Any

from .._core.optional import optional

BLUE, RED, SAND, GREEN, PURPLE, AMBER, GREY = (
    "#1b4f8f", "#b2182b", "#9a8a4f", "#3b7d4f", "#6a51a3", "#a86b00", "#4d4d4d"
)  # fmt: skip
PEACH, MAUVE = "#d98b5f", "#c27ba0"
PALETTE = (BLUE, RED, SAND, GREEN, PURPLE, "#c26a00", GREY, "#2a9d9d")
"""Corrected estimates are blue, naive ones red (of durations peach and mauve too), gold alone sand."""
MARKERS, LINES = "osD^vPX*", ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (8, 2)), (0, (1, 3)), (0, (3, 5)))
"""One for each colour of the palette, so that nothing is told by colour alone."""


def pyplot() -> Any:
    """matplotlib.pyplot.

    Raises
    ------
    KaratError
        If matplotlib is not installed.
    """
    return optional("matplotlib.pyplot", "plots", "'karat[plot]'", "matplotlib")


def axes(ax: Any, size: tuple[float, float]) -> Any:
    """The axes given, or those of a new figure of this size in inches."""
    plt = pyplot()
    return plt.subplots(figsize=size, layout="constrained")[1] if ax is None else ax


def panels(size: tuple[float, float], count: int, **options: Any) -> Any:
    """Axes side by side in a new figure, shape (count,)."""
    return pyplot().subplots(1, count, figsize=size, squeeze=False, layout="constrained", **options)[1][0]


def picture(draw: Any, content: Any, size: tuple[float, float] = (6.0, 3.6)) -> str:
    """A plot that ``draw(content, axes)`` makes, as an image inside an HTML page."""
    pyplot()
    from matplotlib.figure import Figure

    figure, buffer = Figure(figsize=size, layout="constrained"), io.BytesIO()
    draw(content, figure.subplots())
    figure.savefig(buffer, format="png", dpi=110)
    told = (draw.__doc__ or "").partition("\n")[0]
    return f'<img alt="{told}" src="data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode("ascii")}">'


def plain(ax: Any, title: str | None = None, *, rows: bool = False) -> None:
    """Without frame; ``rows``: the y axis lists names, so that it needs no line and no ticks."""
    ax.spines[["top", "right", *(["left"] if rows else [])]].set_visible(False)
    if rows:
        ax.tick_params(axis="y", length=0)
    if title is not None:
        ax.set_title(title, loc="left", fontsize=11, wrap=True)
