"""Coefficient plots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..display.axes import BLUE, MARKERS, MAUVE, PALETTE, PEACH, RED, SAND, axes, plain
from ..errors import ArgumentError

_COLOURS = {
    "Surrogate only": RED, "Censored as complete": PEACH, "Censored dropped": MAUVE,
    "Gold only": SAND, "DSL": BLUE, "PPI": BLUE, "Uncorrected": PEACH, "Corrected": BLUE,
}  # fmt: skip
_TITLES = {
    "dsl": "DSL", "ppi": "PPI", "gold": "Gold only", "surrogate": "Surrogate only", "corrected": "Corrected",
}  # fmt: skip
_MARKERS = {
    "Surrogate only": "X",
    "Uncorrected": "X",
    "Censored as complete": "X",
    "Censored dropped": "X",
    "Gold only": "s",
}
_NOT_VALID = ("Surrogate only", "Uncorrected", "Censored as complete", "Censored dropped")


def coefplot(
    result: Any,
    terms: Sequence[str] | None = None,
    *,
    compare: bool = True,
    truth: Mapping[str, float] | None = None,
    truth_label: str = "truth",
    ax: Any = None,
    title: str | None = None,
) -> Any:
    """Estimates with confidence intervals, one line per coefficient.

    Parameters
    ----------
    result : Result or other estimates
    terms : sequence of str, optional
        Coefficients shown, in this order; by default all but the intercept.
    compare : bool
        Also show gold alone and surrogates alone, when the fit holds them.
    truth : mapping of str to float, optional
        Known values, marked by a line.
    truth_label : str
        What to call them in the legend.
    ax : matplotlib Axes, optional
    title : str, optional

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ArgumentError
        If a term does not exist.
    KaratError
        If matplotlib is not installed.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("Agg")
    >>> import karat as kt
    >>> corpus, truth = kt.datasets.simulate(1000, seed=1)
    >>> labelled = kt.datasets.mask_gold(corpus, kt.SimpleRandom(n=200).draw(corpus, seed=1), "hostile")
    >>> axes = kt.ols("outcome ~ hostile + length", labelled, surrogates={"hostile": "hostile_llm"}, seed=1).coefplot()
    >>> [label.get_text() for label in axes.get_yticklabels()]
    ['hostile', 'length']
    """
    numbers = result._numbers()
    family = list(terms) if terms is not None else [n for n in numbers.names if n != "Intercept"] or list(numbers.names)
    if not family:
        raise ArgumentError("terms is empty; name at least one coefficient.")
    index = [result.position(name) for name in family]
    series = _series(result, compare)
    own_figure = False
    if ax is None:
        height = 1.4 + len(index) * (0.2 * len(series) + 0.25)
        ax = axes(None, (7.0, height))
        own_figure = True
    gap = 0.8 / max(len(series), 2)
    for k, (name, theta, low, high) in enumerate(series):
        at = np.arange(len(index)) + (k - (len(series) - 1) / 2) * gap
        ax.errorbar(
            theta[index], at, xerr=[theta[index] - low[index], high[index] - theta[index]], fmt=_MARKERS.get(name, "o"),
            color=_COLOURS.get(name, BLUE), capsize=2.5, markersize=5.5, linewidth=1.6,
            label=name + (" (not valid)" if name in _NOT_VALID else ""),
        )  # fmt: skip
    if truth is not None:
        drawn = False
        for row, name in enumerate(family):
            if name in truth:
                ax.plot(
                    [truth[name]] * 2, [row - 0.45, row + 0.45], color="black", linestyle=(0, (3, 2)), linewidth=1.2,
                    label=None if drawn else truth_label,
                )  # fmt: skip
                drawn = True
    ax.axvline(result.no_effect, color="0.75", linewidth=0.8, zorder=0)
    ax.set_yticks(range(len(index)), family)
    ax.set_ylim(len(index) - 0.4, -0.6)
    ax.set_xlabel(f"{result.quantity}, {100 * (1 - result.alpha):g}% interval")
    plain(ax, title if title is not None else result._title(), rows=True)
    if len(series) > 1 or truth is not None:
        if own_figure:
            ax.figure.legend(frameon=False, loc="outside lower center", ncols=min(len(series) + (truth is not None), 4))
        else:
            ax.legend(frameon=False)
    return ax


def fitsplot(fits: Any, terms: Sequence[str] | None, ax: Any, title: str | None) -> Any:
    """Several fits, one line per coefficient and a colour for each fit; see :meth:`karat.results.fits.Fits.plot`."""
    every = dict.fromkeys(name for result in fits.results for name in result.names)
    family = list(terms) if terms is not None else [n for n in every if n != "Intercept"] or list(every)
    if not family or not set(family) <= set(every):
        raise ArgumentError(f"terms={terms!r} must name coefficients of the fits: {list(every)}.")
    ax = axes(ax, (7.0, 1.6 + len(family) * (0.2 * len(fits) + 0.25)))
    gap = 0.8 / max(len(fits), 2)
    for k, (name, result) in enumerate(fits.items()):
        rows = [row for row, term in enumerate(family) if term in result.names]
        bounds = result.confint(fits.alpha).loc[[family[row] for row in rows]].to_numpy()
        theta = result.coef().loc[[family[row] for row in rows]].to_numpy()
        at = np.array(rows, dtype=float) + (k - (len(fits) - 1) / 2) * gap
        ax.errorbar(
            theta, at, xerr=[theta - bounds[:, 0], bounds[:, 1] - theta], fmt=MARKERS[k % len(MARKERS)],
            color=PALETTE[k % len(PALETTE)], capsize=2.5, markersize=5.5, linewidth=1.6, label=name,
        )  # fmt: skip
    ax.axvline(0.0, color="0.75", linewidth=0.8, zorder=0)
    ax.set_yticks(range(len(family)), family)
    ax.set_ylim(len(family) - 0.4, -0.6)
    what = " or ".join(dict.fromkeys(result.quantity for result in fits.results))
    ax.set_xlabel(f"{what}, {100 * (1 - fits.alpha):g}% interval")
    plain(ax, title if title is not None else fits.table().title, rows=True)
    ax.legend(frameon=False)
    return ax


def _series(result: Any, compare: bool) -> list[tuple[str, Any, Any, Any]]:
    numbers = result._numbers()
    bounds = result.confint().loc[list(numbers.names)].to_numpy()
    estimator = getattr(result, "estimator", None)
    if estimator is None:
        return [("Estimate", numbers.theta, bounds[:, 0], bounds[:, 1])]
    own = (
        _TITLES[estimator],
        numbers.theta, bounds[:, 0], bounds[:, 1],
    )  # fmt: skip
    if not compare or result.comparison is None:
        return [own]
    out = []
    for column in result.comparison.columns:
        if column.title != own[0]:
            out.append((column.title, column.theta, *result.comparison.bounds(column)))
    return [*out, own]
