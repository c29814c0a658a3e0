"""What all estimates can do: coefficients, intervals, tests, tables, a plot; what a fit found, as values."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..display.table import Report, latex_table, markdown_table
from ..errors import ArgumentError, KaratError, check_alpha, one_of, whole
from .protocols import StatsmodelsNames

if TYPE_CHECKING:
    import pandas as pd

    from .._core.arguments import Call
    from .._core.types import Floats
    from ..checks.values import Checks
    from ..estimate.baseline import Baseline
    from ..estimate.infer import Parts
    from ..estimate.shares import Shares
    from ..frames.matrices import MatrixSpec
    from ..predict import Skill
    from .comparison import Comparison
    from .instruments import Stage
    from .sampling import Sampling
    from .tests import TestResult
    from .withdrawn import Withdrawal


def bounds_names(alpha: float) -> list[str]:
    """Names of the columns of an interval, as statsmodels and pyfixest have them."""
    return [f"{100 * alpha / 2:.6g}%", f"{100 * (1 - alpha / 2):.6g}%"]


class Estimates(StatsmodelsNames):
    """Coefficients with their covariance, and everything that follows from these alone.

    A class that has ``names``, ``theta``, shape (p,), ``covariance``, shape (p, p), ``df``, shape (p,), and ``alpha``
    has all methods below; one that keeps its numbers in another shape hands them out in ``_numbers``.

    Examples
    --------
    >>> import karat as kt
    >>> corpus, truth = kt.datasets.simulate(1500, seed=1)
    >>> labelled = kt.datasets.mask_gold(corpus, kt.SimpleRandom(n=200).draw(corpus, seed=1), "hostile")
    >>> long = kt.ols("outcome ~ hostile + length", labelled, surrogates={"hostile": "hostile_llm"}, seed=1)
    >>> short = kt.ols("outcome ~ hostile", labelled, surrogates={"hostile": "hostile_llm"}, seed=1)
    >>> (long - short).wald("hostile = 0").df_numerator
    1
    """

    no_effect: ClassVar[float] = 0.0
    """The value that tests and plots hold estimates against."""

    @property
    def quantity(self) -> str:
        """What is estimated, as axes call it."""
        return "coefficient"

    if TYPE_CHECKING:

        @property
        def alpha(self) -> float:
            """One minus the confidence level."""

    def _numbers(self) -> Any:
        """What holds ``names``, ``theta``, ``covariance`` and ``df`` of the coefficients."""
        return self

    def _title(self) -> str:
        return type(self).__name__

    def _about(self) -> str:
        """Sizes and methods in a line, below tables."""
        return ""

    def _remarks(self) -> tuple[str, ...]:
        """What must be said next to the table."""
        return ()

    def _level(self, alpha: float | None) -> float:
        return self.alpha if alpha is None else check_alpha(alpha)

    def _se(self) -> Floats:
        return np.asarray(np.sqrt(np.maximum(np.diag(self._numbers().covariance), 0.0)))

    def _series(self, values: Any, name: str) -> pd.Series[Any]:
        import pandas as pd

        told = pd.Series(np.array(values), index=list(self._numbers().names), name=name)
        rows = getattr(self, "rows", ())
        return told.reindex(list(rows)) if rows else told

    def _interval(self, level: float) -> tuple[Floats, Floats]:
        from .tests import interval

        n = self._numbers()
        form, shares = getattr(n, "interval", "wald"), getattr(n, "shares", None)
        return interval(n.theta, self._se() ** 2, n.df, level, form, shares)

    def _table(self, alpha: float | None = None) -> pd.DataFrame:
        """One row per coefficient: estimate, standard error, statistic, p-value, interval."""
        import pandas as pd

        table = pd.concat([self.coef(), self.se(), self.tstat(), self.pvalue(), self.confint(alpha=alpha)], axis=1)
        table.index.name = "Coefficient"
        return table

    @property
    def vcov_matrix(self) -> pd.DataFrame:
        """Covariance of the estimates as a data frame, shape (p, p)."""
        import pandas as pd

        n = self._numbers()
        return pd.DataFrame(n.covariance, index=list(n.names), columns=list(n.names))

    def coef(self) -> pd.Series[Any]:
        """Estimates, by name."""
        return self._series(self._numbers().theta, "Estimate")

    def se(self) -> pd.Series[Any]:
        """Standard errors, by name."""
        return self._series(self._se(), "Std. Error")

    def _statistic(self) -> Floats:
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(self._numbers().theta / self._se())

    def tstat(self) -> pd.Series[Any]:
        """Estimate over standard error, by name."""
        return self._series(self._statistic(), "t value")

    def pvalue(self) -> pd.Series[Any]:
        """Two-sided p-values of the hypothesis that a coefficient is 0, by name."""
        from scipy.stats import t

        return self._series(2.0 * t.sf(np.abs(self._statistic()), self._numbers().df), "Pr(>|t|)")

    def confint(self, alpha: float | None = None) -> pd.DataFrame:
        """Confidence intervals.

        Parameters
        ----------
        alpha : float, optional
            One minus the level; by default that of the fit.

        Returns
        -------
        pandas.DataFrame, shape (p, 2)
            Columns named by their percentages. Those of shares are Clopper and Pearson's at the effective
            size, and stay within 0 and 1.

        Raises
        ------
        ArgumentError
            If alpha is not between 0 and 1.
        """
        import pandas as pd

        level = self._level(alpha)
        return pd.concat([self._series(*pair) for pair in zip(self._interval(level), bounds_names(level))], axis=1)

    def tidy(self, style: str = "pyfixest", alpha: float | None = None) -> pd.DataFrame:
        """Coefficient table.

        Parameters
        ----------
        style : {"pyfixest", "broom"}
            Column names: as pyfixest has them with coefficients as index, or snake case with a
            ``term`` column.
        alpha : float, optional
            One minus the level of the intervals.

        Returns
        -------
        pandas.DataFrame
        """
        import pandas as pd

        one_of("style", style, ("pyfixest", "broom"))
        table = self._table(alpha)
        if style == "pyfixest":
            return table
        table = table.reset_index(names="term")
        table.columns = pd.Index(["term", "estimate", "std_error", "statistic", "p_value", "conf_low", "conf_high"])
        table["df"] = self._series(self._numbers().df, "df").to_numpy()
        return table

    def summary(self) -> Any:
        """Summary that prints as text and shows as HTML in a notebook."""
        return Report(self._title(), self._about(), self._table(), self._remarks())

    def __str__(self) -> str:
        return str(self.summary())

    def _repr_html_(self) -> str:
        told: str = self.summary()._repr_html_()
        return told

    def plot(self, *arguments: Any, **options: Any) -> Any:
        """Plot of estimates with intervals; see :func:`karat.results.plots.coefplot`."""
        from .plots import coefplot

        return coefplot(self, *arguments, **options)

    def to_latex(self, caption: str | None = None, label: str | None = None, digits: int = 3) -> str:
        """The coefficient table as LaTeX (booktabs).

        Parameters
        ----------
        caption, label : str, optional
        digits : int
            Decimals, 0 or more.
        """
        names, rows = self._cells(digits, "$<$ 0.001")
        level = f"{100 * (1 - self.alpha):g}"
        head = ["Estimate", r"Std.\ error", "$p$", rf"{level}\% interval"]
        return latex_table(names, head, rows, self._about(), caption or "", label or "")

    def to_markdown(self, digits: int = 3) -> str:
        """The coefficient table as Markdown."""
        names, rows = self._cells(digits, "< 0.001")
        return markdown_table(names, ["Estimate", "Std. error", "p", f"{100 * (1 - self.alpha):g}% interval"], rows)

    def _cells(self, digits: int, tiny: str) -> tuple[list[str], list[list[str]]]:
        digits = whole("digits", digits, least=0)
        table = self._table()
        rows = [
            [f"{b:.{digits}f}", f"{se:.{digits}f}", tiny if p < 0.001 else f"{p:.3f}",
             f"[{low:.{digits}f}, {high:.{digits}f}]"]
            for b, se, _, p, low, high in table.to_numpy(dtype=np.float64)
        ]  # fmt: skip
        return [str(name) for name in table.index], rows

    def report(
        self, path: str | os.PathLike[str], *, title: str | None = None, question: str | None = None, study: Any = None,
        diagnosis: Any = None, sensitivity: Any = None,
    ) -> Path:  # fmt: skip
        """Not of these estimates: a page of its own is made of a Result, :meth:`karat.Result.report`.

        Raises
        ------
        KaratError
            Always, of other estimates; ``kt.table(estimates).save("table.html")`` writes them as a page.
        """
        raise KaratError(
            f"there is no report of a {type(self).__name__}; report() makes a page of a Result. Write these estimates "
            "with kt.table(estimates).save('table.html')."
        )

    def wald(self, hypothesis: object) -> TestResult:
        """Test linear hypotheses jointly.

        Parameters
        ----------
        hypothesis : str, list of str or array_like
            ``"war = 0"``, ``["war = economy", "law + war = 1"]``, coefficient names, or a matrix of shape (k, p).

        Returns
        -------
        TestResult
            F statistic with the smallest degrees of freedom of the coefficients involved.
        """
        from .tests import wald

        return wald(self._numbers(), hypothesis)

    def contrast(self, hypothesis: object, alpha: float | None = None) -> pd.DataFrame:
        """Linear combinations of coefficients, each with its interval.

        Parameters
        ----------
        hypothesis : str, list of str or array_like
            Such as ``"war - economy"``; a right-hand side is subtracted.
        alpha : float, optional

        Returns
        -------
        pandas.DataFrame
        """
        from .tests import contrast

        return contrast(self._numbers(), hypothesis, self._level(alpha))

    def delta(self, function: Callable[[Floats], Any], alpha: float | None = None) -> pd.DataFrame:
        """Functions of the coefficients by the delta method.

        Parameters
        ----------
        function : callable
            Maps the coefficients, shape (p,), to a number or a vector.
        alpha : float, optional

        Returns
        -------
        pandas.DataFrame
        """
        from .tests import delta

        return delta(self._numbers(), function, self._level(alpha))

    def position(self, name: str) -> int:
        """Where a coefficient stands.

        Raises
        ------
        ArgumentError
            If there is none of that name.
        """
        names = self._numbers().names
        if name not in names:
            raise ArgumentError(f"there is no coefficient {name!r}; there are {list(names)}.")
        return int(names.index(name))


@dataclass(frozen=True, eq=False)
class Fitted(Estimates):
    """The values of a :class:`karat.Result`, which says what each is and adds what can be done with them."""

    model: str
    title: str
    formula: str
    estimator: str
    names: tuple[str, ...]
    theta: Floats
    covariance: Floats
    labelling_covariance: Floats
    df: Floats
    vcov_kind: str
    cluster: str
    target: str
    alpha: float
    sampling: Sampling
    choice: tuple[str, ...]
    tuning_weight: Floats
    lambda_matrix: Floats | None
    r_squared: Floats
    skill: tuple[Skill, ...]
    moment_norm: float
    iterations: int
    notes: tuple[str, ...] = ()
    df_method: Any = "auto"
    split_share: float | None = None
    interval: str = "wald"
    effective_clusters: Floats | None = None
    shares: Shares | None = None
    rows: tuple[str, ...] = ()
    comparison: Comparison | None = None
    checks: Checks | None = field(default=None, repr=False)
    spec: MatrixSpec | None = field(default=None, repr=False)
    parts: Parts | None = field(default=None, repr=False)
    call: Call | None = field(default=None, repr=False)
    stage: Stage | None = field(default=None, repr=False)
    baseline: Baseline | None = field(default=None, repr=False)
    seed: int | None = None
    withdrawal: Withdrawal | None = None

    @property
    def quantity(self) -> str:
        """What is estimated, as axes call it."""
        return {"Proportions": "share", "Means": "mean"}.get(self.title, "coefficient")

    @property
    def n_gold(self) -> int:
        """Gold rows used."""
        return self.sampling.n_gold

    @property
    def n_units(self) -> int:
        """Rows used."""
        return self.sampling.n_units

    @property
    def effective_gold(self) -> Floats:
        """Gold rows that gold alone would need for the same labelling variance, shape (p,).

        ``n / (1 - R^2 (1 - n / N))`` (docs/methods.md, section 3).
        """
        n, big_n = self.n_gold, self.n_units
        return n / np.maximum(1.0 - self.r_squared * (1.0 - n / big_n), 1e-12)
