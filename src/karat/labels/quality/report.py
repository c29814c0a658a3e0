"""What an audit found, as text and as one HTML page with pictures inside."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...display.axes import BLUE, RED, SAND, picture, plain
from ...display.table import html_document, html_notes, html_table, text_table
from .scoring import reliability_diagram

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from ..._core.types import Ints
    from .alternative import AlternativeAnnotator
    from .errors_by_design import Confusion, Differential
    from .review import Review
    from .scoring import Scores

_CLOSING = "None of this makes a regression on the surrogate alone valid; give it to surrogates= with the gold."


@dataclass(frozen=True, eq=False)
class Audit:
    """Quality of surrogate labels against a gold sample; prints as text, and as one HTML page.

    Parameters
    ----------
    gold, surrogate : str
        Columns.
    n_gold, n_units : int
    design : str
        How the gold was drawn.
    confusion : Confusion or None
        For labels that are classes.
    numeric : dict or None
        For labels that are numbers: bias, root mean squared error, correlation, slope.
    differential : Differential or None
        Whether errors depend on the covariates.
    scores : Scores or None
        Of the class probabilities, weighted by the design.
    calibration : pandas.DataFrame or None
        Reliability table of the class probabilities.
    gains : pandas.DataFrame or None
        For each coefficient of the formula: R-squared of the surrogate, standard error with and without it, effective
        number of gold labels.
    alternative : AlternativeAnnotator or None
    flagged : ndarray of int
        Rows that the ensemble of models contradicts with confidence.
    review : Review or None
        What to look at next.
    notes : tuple of str
        What could not be had, and why.

    Examples
    --------
    >>> import karat as kt
    >>> corpus, _ = kt.datasets.simulate(1000, seed=1)
    >>> sample = kt.SimpleRandom(n=200).draw(corpus, seed=1)
    >>> labelled = kt.datasets.mask_gold(corpus, sample, "hostile")
    >>> report = kt.labels.audit(labelled, "hostile", "hostile_llm", sample.design, covariates=["outcome", "length"])
    >>> report.differential.joint_pvalue < 0.05
    True
    """

    gold: str
    surrogate: str
    n_gold: int
    n_units: int
    design: str
    confusion: Confusion | None = None
    numeric: dict[str, Any] | None = None
    differential: Differential | None = None
    scores: Scores | None = None
    calibration: pd.DataFrame | None = field(default=None, repr=False)
    gains: pd.DataFrame | None = field(default=None, repr=False)
    alternative: AlternativeAnnotator | None = field(default=None, repr=False)
    flagged: Ints = field(default_factory=lambda: np.empty(0, dtype=np.intp), repr=False)
    review: Review | None = field(default=None, repr=False)
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        lines = [f"{self._title()}: {self.n_gold} gold of {self.n_units} units, {self.design}"]
        for section in self._sections():
            lines += [f"  {line}" for line in section.says]
            if section.shown:
                lines += [f"    {line}" for line in text_table(section.tables[0], ".3f")]
        return "\n".join([*lines, *(f"  note: {note}" for note in self.notes), f"  {_CLOSING}"])

    def summary(self) -> str:
        """The audit as text."""
        return str(self)

    def to_html(self, path: Any = None) -> str:
        """The audit as one HTML page with pictures inside.

        Parameters
        ----------
        path : str or path, optional
            Where to write it.

        Returns
        -------
        str
        """
        parts = html_notes([f"{self.n_gold:,} gold of {self.n_units:,} units: {self.design}."])
        for section in self._sections():
            says = html_notes([line[0].upper() + line[1:].rstrip(":") + "." for line in section.says])
            drawn = "" if section.draw is None else picture(*section.draw)
            tables = "".join(html_table(t, ".3f", "", index=section.index, border=0) for t in section.tables)
            parts += f"<h2>{section.heading}</h2>{says}{drawn}{tables}"
        text = html_document(self._title(), parts + html_notes([*self.notes, _CLOSING]))
        if path is not None:
            Path(path).write_text(text, encoding="utf-8")
        return text

    def _repr_html_(self) -> str:
        return self.to_html()

    def _title(self) -> str:
        return f"Audit of {self.surrogate} against {self.gold}"

    def _sections(self) -> list[_Section]:
        """What was looked at, in the order in which it is told."""
        out = []
        if (found := self.confusion) is not None:
            says = [f"accuracy {_within(found.accuracy, found.accuracy_interval)}, Cohen kappa {found.kappa:.3f}"]
            for c, name in enumerate(found.classes):
                says.append(f"recall of {name}: {_within(found.recall[c, c], found.recall_interval[c, c])}")
            heading = "Confusion, weighted by the design"
            out.append(_Section(heading, says, [found.table], (_draw_confusion, found)))
        if (errors := self.numeric) is not None:
            says = [f"bias {_within(errors['bias'], errors['bias_interval'])}, root mean squared error "
                    f"{errors['rmse']:.3f}, correlation {errors['correlation']:.3f}"]  # fmt: skip
            out.append(_Section("Errors", says))
        if (tested := self.differential) is not None:
            heading = "Does the error depend on the covariates?"
            out.append(_Section(heading, [str(tested)], [tested.table], (_draw_differential, tested), index=True))
        if self.scores is not None and self.calibration is not None:
            names = {"nll": "negative log likelihood", "brier": "Brier", "ece": "calibration error"}
            values = {n: v for n, v in self.scores.to_dict().items() if n != "n"}
            named = [f"{names.get(n, n.replace('_', ' '))} {v:.3f}" for n, v in values.items()]
            says = [f"probabilities: {', '.join(named)}"]
            out.append(_Section("Calibration", says, [self.calibration], (reliability_diagram, self.calibration)))
        if self.gains is not None:
            says, draw = ["what the surrogate saves, by coefficient:"], (_draw_gains, self.gains)
            out.append(_Section("What the surrogate saves", says, [self.gains], draw, index=True, shown=True))
        if self.alternative is not None:
            out.append(_Section("Alternative annotator", [str(self.alternative)], [self.alternative.table]))
        if len(self.flagged):
            first = ", ".join(map(str, self.flagged[:20].tolist()))
            more = ", ..." if len(self.flagged) > 20 else ""
            says = [f"{len(self.flagged)} label(s) contradicted by the ensemble of models, in rows {first}{more}"]
            out.append(_Section("Contradicted by the models", says))
        if self.review is not None:
            suspect = int(self.review.suspect.sum())
            says = [
                f"{suspect:,} label(s) off the diagonal of the confident joint: review first; draw them with "
                "review.design(n), so that probabilities stay known"
            ]
            out.append(_Section("Review next", says, [self.review.table.head(20)]))
        return out


@dataclass(frozen=True)
class _Section:
    """A heading, sentences, tables, and a picture: what draws it, and from what."""

    heading: str
    says: list[str]
    tables: Sequence[pd.DataFrame] = ()
    draw: tuple[Any, Any] | None = None
    index: bool = False
    shown: bool = False
    """Whether the first table is part of the text."""


def _within(value: float, interval: Any) -> str:
    return f"{value:.3f} [{interval[0]:.3f}, {interval[1]:.3f}]"


def _draw_confusion(found: Confusion, ax: Any) -> None:
    """Share of each gold class by surrogate class."""
    names = [str(c) for c in found.classes]
    ax.imshow(np.nan_to_num(found.recall), vmin=0, vmax=1, cmap="Blues", aspect="auto")
    for (c, k), value in np.ndenumerate(found.recall):
        if np.isfinite(value):
            ax.text(k, c, f"{value:.2f}", ha="center", va="center", color="white" if value > 0.6 else "black")
    ax.set(xticks=range(len(names)), yticks=range(len(names)), xticklabels=names, yticklabels=names)
    ax.set(xlabel="surrogate", ylabel="gold")


def _draw_differential(found: Differential, ax: Any) -> None:
    """Coefficients of the error on the covariates."""
    place = np.arange(len(found.names) - 1)[::-1]
    ax.axvline(0, color="0.6", linewidth=1)
    ax.errorbar(found.estimate[1:], place, xerr=1.96 * found.se[1:], fmt="o", color=RED, capsize=2)
    ax.set(yticks=place, yticklabels=found.names[1:], xlabel="change in error, 95% interval")
    plain(ax, rows=True)


def _draw_gains(table: pd.DataFrame, ax: Any) -> None:
    """Standard errors with and without the surrogate."""
    place = np.arange(len(table))[::-1]
    ax.barh(place + 0.2, table["se gold only"], height=0.38, color=SAND, label="gold only")
    ax.barh(place - 0.2, table["se with"], height=0.38, color=BLUE, label="with the surrogate")
    ax.set(yticks=place, yticklabels=[str(v) for v in table.index], xlabel="standard error")
    plain(ax, rows=True)
    ax.legend(frameon=False)
