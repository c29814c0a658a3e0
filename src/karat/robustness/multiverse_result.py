"""The outcome of a multiverse: naive and corrected answers side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ..display.table import html_page, html_table, text_table
from ..errors import ArgumentError
from ..results.combine import Combined
from ..results.estimates import Estimates

if TYPE_CHECKING:
    import pandas as pd

    from .._core.types import Floats
    from ..results import Result


@dataclass(frozen=True)
class Answers:
    """One coefficient in U universes.

    Parameters
    ----------
    theta, se, df : ndarray, shape (U,)
        NaN where a universe has no such answer.
    """

    theta: Floats
    se: Floats
    df: Floats

    def bounds(self, alpha: float, critical: Floats | None = None) -> tuple[Floats, Floats]:
        """Intervals, with their own t quantiles or given critical values."""
        from scipy.stats import t

        quantile = t.isf(alpha / 2.0, self.df) if critical is None else critical
        return self.theta - quantile * self.se, self.theta + quantile * self.se


@dataclass(frozen=True, eq=False)
class Multiverse(Estimates):
    """One regression over many surrogates, with one gold set.

    Parameters
    ----------
    formula : str
    universes : tuple of str, length U
    terms : tuple of str
        Coefficients compared.
    naive, corrected : dict of str to Answers
        By coefficient.
    gold : dict of str to (estimate, standard error, df)
        Gold alone: the same in every universe.
    together : dict of str to (estimate, standard error, df), or None
        All surrogates in one predictor.
    covariance : dict of str to ndarray of shape (U, U)
        Of the corrected answers, which share their gold.
    critical : dict of str to ndarray of shape (U,)
        Of intervals that hold in all universes at once.
    equality : dict of str to (statistic, p_value)
        Test that the corrected answers estimate the same number.
    effective_gold : dict of str to ndarray of shape (U,)
    results : tuple of Result
        The fits, without influence scores.
    remarks : tuple of str
        Why naive answers are missing.
    n_units, n_gold : int
    alpha : float
    """

    formula: str
    universes: tuple[str, ...]
    terms: tuple[str, ...]
    naive: Mapping[str, Answers] = field(repr=False)
    corrected: Mapping[str, Answers] = field(repr=False)
    gold: Mapping[str, tuple[float, float, float]]
    together: Mapping[str, tuple[float, float, float]] | None
    covariance: Mapping[str, Floats] = field(repr=False)
    critical: Mapping[str, Floats] = field(repr=False)
    equality: Mapping[str, tuple[float, float]]
    effective_gold: Mapping[str, Floats] = field(repr=False)
    results: tuple[Result, ...] = field(repr=False)
    remarks: tuple[str, ...]
    n_units: int
    n_gold: int
    alpha: float

    def __len__(self) -> int:
        return len(self.universes)

    def fit(self, universe: str) -> Result:
        """The fit of one universe.

        Raises
        ------
        ArgumentError
            If there is none of that name.
        """
        if universe not in self.universes:
            raise ArgumentError(f"there is no universe {universe!r}; there are {list(self.universes)}.")
        return self.results[self.universes.index(universe)]

    def _numbers(self) -> Combined:
        """Corrected answers of all universes, as ``term [universe]``; those of two terms have no known covariance."""
        u = len(self)
        joint = np.full((len(self.terms) * u,) * 2, np.nan)
        for k, term in enumerate(self.terms):
            joint[k * u : (k + 1) * u, k * u : (k + 1) * u] = self.covariance[term]
        theta, se, df = (
            np.concatenate([getattr(self.corrected[term], part) for term in self.terms])
            for part in ("theta", "se", "df")
        )
        np.fill_diagonal(joint, se**2)
        names = tuple(f"{term} [{universe}]" for term in self.terms for universe in self.universes)
        return Combined(names, theta, joint, df, self.alpha)

    def tidy(self, style: str = "pyfixest", alpha: float | None = None) -> pd.DataFrame:
        """One row per coefficient, universe and answer (naive, corrected), with intervals.

        Parameters
        ----------
        style : {"pyfixest", "broom"}
            With "broom" the corrected answers as :meth:`Result.tidy` has coefficients.
        alpha : float, optional
            Of the pointwise intervals; the simultaneous ones keep the level of the multiverse.

        Returns
        -------
        pandas.DataFrame
            ``low, high`` hold one at a time; ``low (all), high (all)``, for corrected answers, in all universes at
            once.
        """
        import pandas as pd
        from scipy.stats import t

        if style != "pyfixest":
            return super().tidy(style, alpha)
        level = self._level(alpha)
        frames = []
        for term in self.terms:
            for kind, answers in (("naive", self.naive[term]), ("corrected", self.corrected[term])):
                low, high = answers.bounds(level)
                with np.errstate(divide="ignore", invalid="ignore"):
                    ratio = answers.theta / answers.se
                columns: dict[str, Any] = {
                    "Coefficient": term,
                    "Universe": self.universes,
                    "Answer": kind,
                    "Estimate": answers.theta,
                    "Std. Error": answers.se,
                    "Pr(>|t|)": 2.0 * t.sf(np.abs(ratio), answers.df),
                    "low": low,
                    "high": high,
                    "low (all)": np.nan,
                    "high (all)": np.nan,
                    "effective gold": np.nan,
                }
                if kind == "corrected":
                    columns["low (all)"], columns["high (all)"] = answers.bounds(self.alpha, self.critical[term])
                    columns["effective gold"] = self.effective_gold[term]
                frames.append(pd.DataFrame(columns))
        return pd.concat(frames, ignore_index=True)

    def heterogeneity(self) -> pd.DataFrame:
        """How far apart the answers are: per coefficient and kind.

        Returns
        -------
        pandas.DataFrame
            ``Range`` largest minus smallest; ``Significant`` share of universes in which 0 is outside the interval;
            ``Sign flips`` share with the rarer sign; ``Apart`` share of pairs whose intervals do not overlap;
            ``p (equal)`` of the test that all corrected answers estimate the same number.
        """
        import pandas as pd

        rows, index = [], []
        for term in self.terms:
            for kind, answers in (("naive", self.naive[term]), ("corrected", self.corrected[term])):
                rows.append(_spread(answers, self.alpha) | {"p (equal)": np.nan})
                if kind == "corrected":
                    rows[-1]["p (equal)"] = self.equality[term][1]
                index.append((term, kind))
        return pd.DataFrame(rows, index=pd.MultiIndex.from_tuples(index, names=["Coefficient", "Answer"]))

    def plot(self, terms: Sequence[str] | None = None, *, simultaneous: bool = False, axes: Any = None) -> Any:
        """Naive and corrected answers of all universes, with gold alone as a band.

        Parameters
        ----------
        terms : sequence of str, optional
            Coefficients, one panel each; by default the first three that are not an intercept.
        simultaneous : bool
            Draw the intervals that hold in all universes at once.
        axes : sequence of matplotlib Axes, optional

        Returns
        -------
        ndarray of matplotlib.axes.Axes
        """
        from .multiverse_plot import multiverse_plot

        return multiverse_plot(self, terms, simultaneous=simultaneous, axes=axes)

    def summary(self) -> str:
        """The report as text."""
        return str(self)

    def lines(self) -> list[str]:
        """The report as text lines."""
        table = self.heterogeneity()
        lines = [
            f"{len(self)} universes of {self.formula}: one gold set ({self.n_gold:,} of {self.n_units:,} rows)",
            "",
            *text_table(table, ".3g", "", _PERCENT),
            "",
        ]
        for term in self.terms:
            theta, se, _ = self.gold[term]
            text = f"  {term}: gold alone {theta:.3f} ({se:.3f})"
            if self.together is not None:
                text += f"; all surrogates together {self.together[term][0]:.3f} ({self.together[term][1]:.3f})"
            lines.append(text)
        return [*lines, "", *self.notes()]

    def notes(self) -> list[str]:
        """What must be said next to the table."""
        level = f"{100 * (1 - self.alpha):g}%"
        notes = [
            "Corrected answers share their gold: they differ by what surrogates add to precision, not by the target. "
            "Naive intervals are not valid in any universe.",
            f"Picking the narrowest (or most pleasing) universe after the fact is selection: its {level} interval no "
            "longer has its level. Name one beforehand, use all surrogates together, or use the intervals that hold in "
            "all universes at once (low (all), high (all)).",
        ]
        return [*notes, *self.remarks]

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        table = html_table(self.heterogeneity(), ".3g", "", _PERCENT)
        return html_page(self.lines()[0], (), table, self.notes())

    def _about(self) -> str:
        return f"{len(self)} universes of {self.formula}; {self.n_units:,} units, {self.n_gold:,} gold"


def _share(value: float) -> str:
    return "" if np.isnan(value) else f"{100 * value:.0f}%"


_PERCENT: Any = {"Significant": _share, "Sign flips": _share, "Apart": _share}


def _spread(answers: Answers, alpha: float) -> dict[str, float]:
    """Range, significance, sign flips and overlap of answers, over the universes that have one."""
    there = np.isfinite(answers.theta)
    names = ("Lowest", "Highest", "Range", "Mean se", "Significant", "Sign flips", "Apart")
    if not there.any():
        return dict.fromkeys(names, float("nan"))
    theta, (low, high) = answers.theta[there], (side[there] for side in answers.bounds(alpha))
    positive = float((theta > 0).mean())
    u = len(theta)
    apart = np.triu((low[:, None] > high[None, :]) | (high[:, None] < low[None, :]), 1).sum()
    values = (
        theta.min(), theta.max(), np.ptp(theta), answers.se[there].mean(), ((low > 0) | (high < 0)).mean(),
        min(positive, 1.0 - positive), apart / max(u * (u - 1) / 2, 1),
    )  # fmt: skip
    return {name: float(value) for name, value in zip(names, values)}
