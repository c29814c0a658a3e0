"""Surrogates alone, gold alone and the rectified estimate side by side."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ..display.table import html_notes, html_table, text_lines
from ..errors import check_alpha
from .tests import interval

if TYPE_CHECKING:
    import pandas as pd

    from .._core.types import Floats
    from ..estimate.shares import Shares


@dataclass(frozen=True, eq=False)
class Column:
    """One estimator in the table.

    Parameters
    ----------
    title : str
    theta, se, df : ndarray, shape (p,)
    shares : Shares or None
        As in a Result.
    """

    title: str
    theta: Floats
    se: Floats
    df: Floats
    shares: Shares | None = None


@dataclass(frozen=True, eq=False)
class Difference:
    """Test that a quicker estimator aims at the same numbers.

    Parameters
    ----------
    title : str
        What was subtracted from what.
    gap, se : ndarray, shape (p,)
    p_values : ndarray, shape (p,)
        Two-sided, coefficient by coefficient, with the degrees of freedom of the fit.
    statistic : float
        Joint F statistic (Hotelling's T squared).
    rank : int
        Its numerator degrees of freedom.
    p_value : float
    df : float
        Denominator degrees of freedom; infinite for a chi-squared test.
    """

    title: str
    gap: Floats
    se: Floats
    p_values: Floats
    statistic: float
    rank: int
    p_value: float
    df: float = float("inf")


@dataclass(frozen=True, eq=False)
class Comparison:
    """Estimators side by side, with the difference test.

    Parameters
    ----------
    names : tuple of str
    columns : tuple of Column
        Surrogates alone, gold alone, and the estimate of the fit.
    difference : Difference or None
        The fit minus surrogates alone: a Hausman-type test from stacked influence functions
        (Hausman 1978; the covariance is that of the difference itself, so it is never negative).
    effective_gold : ndarray, shape (p,)
        Gold rows that gold alone would need for the same labelling variance.
    r_squared : ndarray, shape (p,)
    alpha : float
    n_gold : int
    remark : str
        Why surrogates alone are not shown, if so.
    cautions : dict of str to str
        What must be said next to an estimator, by title.
    interval : {"wald", "beta"}
        Form of the intervals.
    facts : tuple of (str, str)
        What the foot of a table says of the fit.

    Examples
    --------
    >>> import karat as kt
    >>> corpus, truth = kt.datasets.simulate(2000, seed=1)
    >>> labelled = kt.datasets.mask_gold(corpus, kt.SimpleRandom(n=300).draw(corpus, seed=1), "hostile")
    >>> fit = kt.ols("outcome ~ hostile + length", labelled, surrogates={"hostile": "hostile_llm"}, seed=1)
    >>> fit.compare().table().columns.get_level_values(0).unique().tolist()
    ['Surrogate only', 'Gold only', 'DSL']
    """

    names: tuple[str, ...]
    columns: tuple[Column, ...]
    difference: Difference | None
    effective_gold: Floats
    r_squared: Floats
    alpha: float
    n_gold: int
    remark: str = ""
    cautions: dict[str, str] = field(default_factory=dict)
    interval: str = "wald"
    facts: tuple[tuple[str, str], ...] = ()

    def bounds(self, column: Column, alpha: float | None = None) -> tuple[Floats, Floats]:
        """Interval of one of the estimators, on the scale of the fit's own."""
        level = self.alpha if alpha is None else check_alpha(alpha)
        return interval(column.theta, column.se**2, column.df, level, self.interval, column.shares)

    def table(self, alpha: float | None = None) -> pd.DataFrame:
        """Estimates, standard errors and intervals with two column levels.

        Parameters
        ----------
        alpha : float, optional

        Returns
        -------
        pandas.DataFrame
        """
        import pandas as pd

        level = self.alpha if alpha is None else check_alpha(alpha)
        parts = {}
        for column in self.columns:
            low, high = self.bounds(column, level)
            parts[column.title] = pd.DataFrame(
                {
                    "Estimate": column.theta,
                    "Std. Error": column.se,
                    f"{100 * level / 2:.6g}%": low,
                    f"{100 * (1 - level / 2):.6g}%": high,
                },
                index=list(self.names),
            )
        return pd.concat(parts, axis=1)

    def difference_table(self) -> pd.DataFrame:
        """Difference of each coefficient from surrogates alone, with its test."""
        import pandas as pd

        if self.difference is None:
            return pd.DataFrame(columns=["Difference", "Std. Error", "Pr(>|t|)"])
        d = self.difference
        return pd.DataFrame({"Difference": d.gap, "Std. Error": d.se, "Pr(>|t|)": d.p_values}, index=list(self.names))

    def lines(self, digits: int = 3) -> list[str]:
        """The table as text lines: estimate, standard error in brackets."""
        titles = [c.title for c in self.columns]
        rows = [
            [*(f"{c.theta[j]:.{digits}f} ({c.se[j]:.{digits}f})" for c in self.columns), _count(gold)]
            for j, gold in enumerate(self.effective_gold)
        ]
        widths = [max(20, *(len(t) + 2 for t in titles))] * len(titles)
        last = [] if np.isnan(self.effective_gold).all() else ["effective gold"]
        return text_lines([*titles, *last], self.names, rows, [*widths, *([16] * len(last))]) + self.notes()

    def notes(self) -> list[str]:
        """The difference test and what must be said next to the table."""
        out = []
        if self.difference is not None:
            d = self.difference
            p = "< .001" if d.p_value < 0.001 else f"= {d.p_value:.3f}"
            test = f"F({d.rank}, {d.df:.0f}) = {d.statistic:.1f}, p {p}"
            if np.isinf(d.df):
                test = f"chi2({d.rank}) = {d.rank * d.statistic:.1f}, p {p}"
            out.append(f"{d.title}: {test}")
        if self.remark:
            out.append(self.remark)
        return out + [f"{title}: {caution}" for title, caution in self.cautions.items()]

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        table = self.table()
        if not np.isnan(self.effective_gold).all():
            table[("", "effective gold")] = np.round(self.effective_gold)
        return html_table(table) + html_notes(self.notes())

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        return np.column_stack([c.theta for c in self.columns])


def _count(value: float) -> str:
    return f"{value:,.0f}" if np.isfinite(value) and value < 1e9 else "-"
