"""A plan: tables, text and a picture of what gold labels buy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from typing import Any

import numpy as np
import pandas as pd

from ..designs import Design
from ..display.axes import LINES, PALETTE, axes, plain
from ..display.table import html_notes, html_page, html_table, text_cells
from ..errors import ArgumentError, DesignError, one_of, whole
from .forecast import MEASURES, Basis
from .pilot import slopes

WORDS = {"se": "standard error", "half_width": "half-width", "mde": "detectable effect"}
_MOST_LINES = 6


@dataclass(frozen=True)
class Needed:
    """Gold labels with which one coefficient or contrast reaches a value of a measure.

    ``n`` is None when all rows would not do, ``high`` when the pilot cannot rule out that the goal is out of reach;
    ``best`` is the figure with every row labelled.
    """

    term: str
    measure: str
    value: float
    n: int | None
    low: int | None
    high: int | None
    best: float
    best_low: float
    best_high: float

    @property
    def reachable(self) -> bool:
        """Whether labelling can reach the goal."""
        return self.n is not None


@dataclass(frozen=True, eq=False)
class Plan:
    """What gold labels buy: figures for each coefficient by number of labels, with intervals.

    Parameters
    ----------
    basis, title, needed, sizes, remarks, reusable
        Pilot or assumptions, design and settings; the formula; labels for each goal; gold sizes tabulated; what to
        know; whether the gold of the pilot counts towards the planned sample.

    Examples
    --------
    >>> import karat as kt
    >>> corpus, truth = kt.datasets.simulate(2000, seed=1)
    >>> pilot = kt.datasets.mask_gold(corpus, kt.SimpleRandom(n=200).draw(corpus, seed=1), "hostile")
    >>> fit = kt.ols("outcome ~ hostile + length", pilot, surrogates={"hostile": "hostile_llm"}, seed=1)
    >>> kt.plan(fit, n=[200, 400]).tidy().columns.tolist()[:5]
    ['term', 'n', 'se', 'se_low', 'se_high']
    """

    basis: Basis
    title: str
    needed: tuple[Needed, ...]
    sizes: tuple[int, ...]
    remarks: tuple[str, ...]
    reusable: bool

    def __repr__(self) -> str:
        return f"<karat Plan: {self.title!r}, {self.basis.scheme.title}, {self.sizes[0]} to {self.sizes[-1]} gold>"

    def __str__(self) -> str:
        return str(self.summary())

    def _repr_html_(self) -> str:
        return self.summary()._repr_html_()

    @property
    def names(self) -> tuple[str, ...]:
        """Coefficients and contrasts."""
        return self.basis.names

    @property
    def measure(self) -> str:
        """What is shown unless told otherwise: the measure of the first goal, else the half-width."""
        return self.needed[0].measure if self.needed else "half_width"

    def at(self, n: int) -> pd.DataFrame:
        """Figures at one number of gold labels, one row per coefficient.

        Parameters
        ----------
        n : int

        Returns
        -------
        pandas.DataFrame
            Columns ``n``, then ``se``, ``half_width`` and ``mde`` with their intervals, and ``df``.

        Raises
        ------
        ArgumentError
            If the design cannot draw that many.
        """
        return self._rows([self._size(n)]).set_index("term")

    def tidy(self) -> pd.DataFrame:
        """Figures for every coefficient and every size, one row each.

        Returns
        -------
        pandas.DataFrame
        """
        return self._rows(self.sizes)

    def goals(self) -> pd.DataFrame:
        """Gold labels needed for each goal; missing where one is out of reach.

        Returns
        -------
        pandas.DataFrame
            Columns ``term, measure, target, n, n_low, n_high, reachable, best, best_low, best_high``; best is the
            figure with every row labelled.
        """
        rows = [(*astuple(r)[:6], r.reachable, *astuple(r)[6:]) for r in self.needed]
        columns = ["term", "measure", "target", "n", "n_low", "n_high", "reachable", "best", "best_low", "best_high"]
        table = pd.DataFrame(rows, columns=columns)
        return table.astype({"n": "Int64", "n_low": "Int64", "n_high": "Int64"})

    def design(self, n: int | None = None) -> Design:
        """The planned design, ready to draw.

        Parameters
        ----------
        n : int, optional
            Gold rows; by default the largest number that a goal of this plan needs.

        Returns
        -------
        Design

        Raises
        ------
        ArgumentError
            Without n, if there is no goal or one cannot be reached.
        """
        if n is None:
            wanted = [r.n for r in self.needed]
            if not wanted or None in wanted:
                raise ArgumentError("no goal says how many: give n, the number of gold labels.")
            n = max(size for size in wanted if size is not None)
        if self.basis.ratio != 1.0:
            raise DesignError("this plan is for a corpus of another size; draw from that corpus once it is there.")
        return self.basis.scheme.design(self._size(n))

    def summary(self) -> PlanSummary:
        """Summary that prints as text and shows as HTML in a notebook."""
        return PlanSummary(self)

    def plot(
        self, measure: str | None = None, *, terms: Sequence[str] | None = None, ax: Any = None,
        title: str | None = None,
    ) -> Any:  # fmt: skip
        """Budget curve: a figure by number of gold labels, with its interval as a band.

        Parameters
        ----------
        measure : {"se", "half_width", "mde"}, optional
            By default that of the first goal, else the half-width.
        terms : sequence of str, optional
            By default those with goals, else the first six besides the intercept.
        ax : matplotlib Axes, optional
        title : str, optional

        Returns
        -------
        matplotlib.axes.Axes

        Raises
        ------
        ArgumentError
            If a term or the measure does not exist.
        KaratError
            If matplotlib is not installed.
        """
        shown = measure if measure is not None else self.measure
        one_of("measure", shown, MEASURES)
        family = self._terms(terms)
        ax = axes(ax, (7.0, 4.2))
        curve = [self.basis.at(n).measure(shown) for n in self.sizes]
        for k, name in enumerate(family):
            j, colour = self.names.index(name), PALETTE[k % len(PALETTE)]
            value, low, high = (np.array([point[part][j] for point in curve]) for part in range(3))
            ax.fill_between(self.sizes, low, high, color=colour, alpha=0.15, linewidth=0)
            ax.plot(self.sizes, value, color=colour, linestyle=LINES[k % len(LINES)], linewidth=1.8, label=name)
        self._mark_goals(ax, shown, family)
        ax.set_xscale("log")
        least, most = self.sizes[0], self.sizes[-1]
        ticks = (m * 10.0**k for k in range(10) for m in (1, 2, 5))
        ax.set_xticks([*(tick for tick in ticks if least <= tick < 0.75 * most), most])
        ax.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        self._scale_figures(ax, [[point[part][self.names.index(name)] for name in family] for point in curve
                                 for part in (0, 1)])  # fmt: skip
        ax.minorticks_off()
        ax.set_xlabel(f"gold labels ({self.basis.scheme.title}; log scale)")
        scale = " (log scale)" if ax.get_yscale() == "log" else ""
        ax.set_ylabel(f"planned {WORDS[shown]}{scale}, {100 * self.basis.level:g}% band")
        plain(ax, title if title is not None else self.title)
        ax.legend(frameon=False)
        return ax

    def _scale_figures(self, ax: Any, shown: list[list[float]]) -> None:
        """Log scale from the lowest to the highest figure, or from zero where there are figures of zero."""
        wanted = np.array(shown)
        aimed = [found.value for found in self.needed]
        top = 1.3 * wanted[::2].max()
        if wanted.min() <= 0:
            ax.set_ylim(0, top)
            return
        ax.set_yscale("log")
        bottom = 0.9 * min(wanted.min(), *aimed) if aimed else 0.9 * wanted.min()
        ax.set_ylim(bottom, top)
        few, more = (
            [m * 10.0**k for k in range(-9, 10) for m in marks] for marks in ((1, 2, 5), (1, 1.5, 2, 3, 4, 5, 7))
        )
        ax.set_yticks([tick for tick in (few if top > 8 * bottom else more) if bottom <= tick <= top])
        ax.yaxis.set_major_formatter(lambda value, _: f"{value:g}")

    def _mark_goals(self, ax: Any, measure: str, family: Sequence[str]) -> None:
        for found in self.needed:
            if found.measure != measure or found.term not in family:
                continue
            colour = PALETTE[list(family).index(found.term) % len(PALETTE)]
            ax.axhline(found.value, color=colour, linestyle=":", linewidth=1.0)
            if found.n is not None:
                ax.plot([found.n], [found.value], marker="o", color=colour, markersize=6)

    def _terms(self, terms: Sequence[str] | None) -> list[str]:
        if terms is not None:
            unknown = [name for name in terms if name not in self.names]
            if unknown or not len(terms):
                raise ArgumentError(f"terms names {unknown}; there are {list(self.names)}.")
            return list(terms)
        aimed = list(dict.fromkeys(r.term for r in self.needed))
        return aimed or slopes(self.names)[:_MOST_LINES]

    def _size(self, n: int) -> int:
        scheme = self.basis.scheme
        return whole("n", n, least=scheme.least, most=self.basis.most)

    def _rows(self, sizes: Sequence[int]) -> pd.DataFrame:
        tables = []
        for n in sizes:
            figures = self.basis.at(n)
            columns: dict[str, Any] = {"term": list(self.names), "n": n}
            for measure in MEASURES:
                columns[measure], columns[f"{measure}_low"], columns[f"{measure}_high"] = figures.measure(measure)
            tables.append(pd.DataFrame(columns | {"df": figures.df}))
        return pd.concat(tables, ignore_index=True)


class PlanSummary:
    """A printable summary of a plan."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan

    def facts(self) -> list[tuple[str, str]]:
        """What stands above the table: pairs of name and value."""
        basis = self.plan.basis
        profile = basis.profile
        source = "assumptions" if basis.assumed else f"pilot of {profile.n_gold:,} gold labels"
        corpus = f"{basis.most:,} rows" + ("" if basis.ratio == 1.0 else f" (the pilot's has {profile.n_units:,})")
        clusters = " with clusters" if profile.reporting.clustered else ""
        target = "this corpus (finite population)" if profile.reporting.target == "finite" else "superpopulation"
        band = "the expected figure" if basis.band == "expected" else "the figure of a single draw"
        return [
            ("From", source), ("Corpus", corpus), ("Design", basis.scheme.title), ("Target", target),
            ("Covariance", profile.reporting.kind + clusters),
            ("In brackets", f"{100 * basis.level:g}% interval for {band}"),
        ]  # fmt: skip

    def sizes(self) -> list[int]:
        """At most five sizes to show: the pilot's, those needed, and all rows."""
        plan, basis = self.plan, self.plan.basis
        if len(plan.sizes) <= 5:
            return list(plan.sizes)
        start = basis.profile.n_gold if not basis.assumed else plan.sizes[len(plan.sizes) // 4]
        least = max(start, plan.sizes[0])
        wanted = {round(x) for x in np.geomspace(least, basis.most, 5)} if least < basis.most else {basis.most}
        return sorted(wanted)

    def _goal_line(self, found: Needed) -> str:
        """What a goal takes, in words."""
        plan, basis = self.plan, self.plan.basis
        aim = f"{found.term}: {WORDS[found.measure]} {found.value:g}"
        if found.n is None:
            best = f"{_short(found.best)} [{_short(found.best_low)}, {_short(found.best_high)}]"
            return f"{aim} is not reachable even with all {basis.most:,} rows labelled; the best is {best}"
        high = f"{found.high:,}" if found.high is not None else f"more than all {basis.most:,}"
        low = f"{found.low:,}" if found.low is not None else "?"
        line = f"{aim} takes {found.n:,} gold labels [{low}, {high}]"
        if plan.reusable:
            more = found.n - basis.profile.n_gold
            line += f", {more:,} more than the pilot" if more > 0 else ", which the pilot has"
        return line

    def table(self) -> pd.DataFrame:
        """Half-widths by coefficient and size, as text with intervals."""
        columns = {}
        for n in self.sizes():
            value, low, high = self.plan.basis.at(n).measure(self.plan.measure)
            columns[f"n = {n:,}"] = [f"{_short(v)} [{_short(a)}, {_short(b)}]" for v, a, b in zip(value, low, high)]
        return pd.DataFrame(columns, index=list(self.plan.names))

    def heading(self) -> str:
        """What the table shows."""
        profile, power = self.plan.basis.profile, self.plan.basis.power
        level = 100 * (1 - profile.reporting.alpha)
        return {
            "se": "Planned standard error",
            "half_width": f"Planned half-width of the {level:g}% interval",
            "mde": f"Effect detectable with power {power:g} at level {profile.reporting.alpha:g}",
        }[self.plan.measure] + " by number of gold labels"

    def remarks(self) -> list[str]:
        """Assumptions and cautions."""
        return [remark[0].upper() + remark[1:] + "." for remark in self.plan.remarks]

    def __str__(self) -> str:
        lines = [f"Plan of the gold sample: {self.plan.title}", *(f"  {name}: {value}" for name, value in self.facts())]
        lines += ["", self.heading() + ":", *text_cells(self.table())]
        if self.plan.needed:
            lines += ["", "Goals:", *("  " + self._goal_line(found) for found in self.plan.needed)]
        if self.plan.remarks:
            lines += ["", *self.remarks()]
        return "\n".join(lines)

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        goals = "\n".join(["Goals", *(self._goal_line(found) for found in self.plan.needed)])
        body = html_notes([self.heading()]) + html_table(self.table())
        notes = [*([goals] if self.plan.needed else []), *self.remarks()]
        return html_page(f"Plan of the gold sample: {self.plan.title}", self.facts(), body, notes)


def _short(value: float) -> str:
    """Three significant digits."""
    if value == 0 or not np.isfinite(value):
        return f"{value:g}"
    if not 1e-3 <= abs(value) < 1e5:
        return f"{value:.3g}"
    return f"{value:.{max(0, 2 - int(np.floor(np.log10(abs(value)))))}f}"
