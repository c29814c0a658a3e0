"""What ``kt.shares`` found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..display.table import Report
from ..errors import ArgumentError, KaratError, one_of
from ..results.estimates import Estimates
from . import shares_contrasts
from .axes import names_of
from .cell_fits import stacked
from .contrasts import Contrasts

if TYPE_CHECKING:
    import pandas as pd

    from .._core.types import Floats
    from ..estimate.shares import Shares
    from ..results import Result
    from ..results.comparison import Comparison
    from .shares_plan import SharesPlan


@dataclass(frozen=True, eq=False, repr=False)
class SharesResult(Estimates):
    """Shares of classes in cells (group by period), with their joint covariance.

    Parameters
    ----------
    label : str
    classes : tuple
        Classes of the label, or the codes.
    whole : bool
        Whether the shares of a cell add up to one.
    by : tuple of str
    over : str or None
    grid : data frame
        Groups and periods of all cells, those without an estimate too.
    cells : tuple of int, length C
        Rows of the grid that have estimates.
    times : ndarray, shape (T,)
        Where the periods stand in time.
    fits : tuple of Result
        One for each class, as :func:`karat.mean` gives them: their coefficients are the cells.
    covariance : ndarray, shape (C K, C K)
        Of all shares, class by class within cells.
    plain : ndarray, shape (C K, C K)
        The same before variances are raised to what little gold can carry; contrasts are made from it.
    size : ndarray, shape (C,)
        Documents (sum of analysis weights) of each cell.
    comparison : Comparison or None
    notes : tuple of str

    Examples
    --------
    >>> import numpy as np, pandas as pd, karat as kt
    >>> rng = np.random.default_rng(1)
    >>> topic = rng.choice(["law", "war"], size=2000)
    >>> corpus = pd.DataFrame({"topic": topic, "model": topic, "year": rng.integers(2020, 2023, size=2000)})
    >>> sample = kt.SimpleRandom(n=300).draw(corpus, seed=1)
    >>> labelled = kt.datasets.mask_gold(corpus, sample, "topic")
    >>> found = kt.shares("topic", labelled, over="year", surrogates={"topic": "model"}, design=sample.design, seed=1)
    >>> found.trend().names
    ('law', 'war')
    """

    quantity: ClassVar[str] = "share of documents"
    interval: ClassVar[str] = "beta"

    label: str
    classes: tuple[Any, ...]
    whole: bool
    by: tuple[str, ...]
    over: str | None
    grid: pd.DataFrame = field(repr=False)
    cells: tuple[int, ...] = field(repr=False)
    times: Floats = field(repr=False)
    fits: tuple[Result, ...] = field(repr=False)
    covariance: Floats = field(repr=False)
    plain: Floats = field(repr=False)
    size: Floats = field(repr=False)
    comparison: Comparison | None = field(repr=False, default=None)
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        k, c = len(self.classes), len(self.cells)
        return f"<karat SharesResult: {self.label!r}, {k} shares in {c} cells, N={self.n_units}, {self.n_gold} gold>"

    # ---------------------------------------------------------------- numbers

    @property
    def alpha(self) -> float:
        """One minus the confidence level."""
        return self.fits[0].alpha

    @property
    def n_units(self) -> int:
        """Documents used."""
        return self.fits[0].n_units

    @property
    def n_gold(self) -> int:
        """Gold documents used."""
        return self.fits[0].n_gold

    @property
    def seed(self) -> int | None:
        """Seed that was used."""
        return self.fits[0].seed

    @property
    def formula(self) -> str:
        """Label, groups and time in words."""
        by = f" by {', '.join(self.by)}" if self.by else ""
        return f"{self.label}{by}{f' over {self.over}' if self.over else ''}"

    @cached_property
    def names(self) -> tuple[str, ...]:
        """``"war: party=left:year=2020"`` for each cell and class, shape (C K,)."""
        cells = names_of(self.grid.iloc[list(self.cells)])
        return tuple(f"{value}: {cell}" if cell else str(value) for cell in cells for value in self.classes)

    @cached_property
    def theta(self) -> Floats:
        """Shares, class by class within cells, shape (C K,)."""
        return np.stack([fit.theta for fit in self.fits], axis=1).ravel()

    @cached_property
    def df(self) -> Floats:
        """Degrees of freedom, shape (C K,)."""
        return np.stack([fit.df for fit in self.fits], axis=1).ravel()

    @cached_property
    def shares(self) -> Shares:
        """What the gold of each cell can carry."""
        return stacked([fit.shares for fit in self.fits if fit.shares is not None])

    @property
    def gold(self) -> pd.Series[Any]:
        """Gold documents of each cell, 0 where there are none."""
        import pandas as pd

        counts = np.zeros(len(self.grid), dtype=int)
        counts[list(self.cells)] = self.shares.count[:: len(self.classes)].astype(int)
        index = pd.MultiIndex.from_frame(self.grid) if len(self.grid.columns) else pd.RangeIndex(len(self.grid))
        return pd.Series(counts, index=index, name="gold")

    @property
    def periods(self) -> list[Any]:
        """All periods, those without an estimate too."""
        return [None] if self.over is None else self.grid[self.over].iloc[: len(self.times)].tolist()

    @property
    def groups(self) -> list[str]:
        """Groups in words: values of ``by``, joined by a comma."""
        first = self.grid.iloc[:: len(self.times)]
        return [", ".join(str(first[name].iloc[g]) for name in self.by) for g in range(len(first))]

    def by_cell(self, values: Floats) -> Floats:
        """Values of the shares by group, period and class, missing where there is none, shape (G, T, K)."""
        k = len(self.classes)
        out = np.full((len(self.grid), k), np.nan)
        out[list(self.cells)] = np.asarray(values).reshape(-1, k)
        return out.reshape(-1, len(self.times), k)

    def _series(self, values: Any, name: str) -> pd.Series[Any]:
        import pandas as pd

        spread = self.by_cell(np.asarray(values, dtype=np.float64)).ravel()
        rows = self.grid.loc[self.grid.index.repeat(len(self.classes))].reset_index(drop=True)
        rows = rows.assign(**{self._class_name: list(self.classes) * len(self.grid)})
        index = pd.MultiIndex.from_frame(rows) if rows.shape[1] > 1 else pd.Index(rows.iloc[:, 0])
        return pd.Series(spread, index=index, name=name)

    @property
    def _class_name(self) -> str:
        return self.label if self.whole and self.label not in self.grid.columns else "code"

    def _table(self, alpha: float | None = None) -> pd.DataFrame:
        import pandas as pd

        return pd.concat([self.coef(), self.se(), self.tstat(), self.pvalue(), self.confint(alpha=alpha)], axis=1)

    def tidy(self, style: str = "pyfixest", alpha: float | None = None) -> pd.DataFrame:
        """One row for each group, period and class.

        Parameters
        ----------
        style : {"pyfixest", "broom"}
            With group, period and class as index, or as columns.
        alpha : float, optional

        Returns
        -------
        pandas.DataFrame
        """
        one_of("style", style, ("pyfixest", "broom"))
        table = self._table(alpha)
        if style == "pyfixest":
            return table
        table.columns = ["estimate", "std_error", "statistic", "p_value", "conf_low", "conf_high"]
        return table.assign(df=self._series(self.df, "df").to_numpy()).reset_index()

    def table(self) -> pd.DataFrame:
        """Shares in wide form: a row for each group and period, a column for each class."""
        import pandas as pd

        shares = self.coef()
        if shares.index.nlevels == 1:
            return shares.to_frame().T
        wide = shares.to_numpy().reshape(-1, len(self.classes))
        index = pd.MultiIndex.from_tuples(shares.index, names=shares.index.names).droplevel(-1)[:: len(self.classes)]
        return pd.DataFrame(wide, index=index, columns=pd.Index(self.classes, name=self._class_name))

    def summary(self) -> Report:
        """Summary that prints as text and shows as HTML in a notebook."""
        table = self._table()
        index = [" ".join(map(str, row)) if isinstance(row, tuple) else str(row) for row in table.index]
        return Report(self._title(), self._about(), table.set_axis(index), self._remarks())

    def _title(self) -> str:
        return f"Shares of {self.formula}"

    def _about(self) -> str:
        return self.fits[0]._about().replace("Means; ", "").partition("; ")[2]

    def _remarks(self) -> tuple[str, ...]:
        return tuple(note[0].upper() + note[1:] + "." for note in self.notes)

    def compare(self) -> Comparison:
        """Surrogates alone, gold alone and these shares side by side, with the difference test.

        Raises
        ------
        KaratError
            If made with ``compare=False``.
        """
        if self.comparison is None:
            raise KaratError("this was made with compare=False; call kt.shares again with compare=True.")
        return self.comparison

    # ---------------------------------------------------------------- bands

    def band(
        self, alpha: float | None = None, *, family: str = "line", draws: int = 10_000, seed: Any = None
    ) -> pd.DataFrame:
        """Intervals that hold at once for all periods of a line, or for all shares (max-t).

        Parameters
        ----------
        alpha : float, optional
        family : {"line", "all"}
            The periods of each group and class, or everything.
        draws : int
        seed : int or Generator, optional

        Returns
        -------
        pandas.DataFrame
            Share and bounds, by group, period and class.
        """
        return shares_contrasts.band(self, self._level(alpha), family, draws, seed)

    # ---------------------------------------------------------------- contrasts

    def linear(self, matrix: Any, names: Sequence[str], grid: pd.DataFrame, title: str) -> Contrasts:
        """Linear functions of the shares.

        Parameters
        ----------
        matrix : array_like, shape (k, C K)
        names : sequence of str, length k
        grid : data frame, k rows
            What each row is.
        title : str
        """
        return shares_contrasts.contrasts_of(self, matrix, names, grid, title)

    def differences(self, between: str = "groups", *, reference: object = None, lag: int | None = None) -> Contrasts:
        """Differences between groups, periods or classes, everything else alike.

        Parameters
        ----------
        between : {"groups", "periods", "classes"}
        reference : object, optional
            Value the others are held against; by default all pairs. With several columns in ``by`` a group is named by
            its values, joined by a comma and a blank.
        lag : int, optional
            Of periods: each with the one so many before.

        Returns
        -------
        Contrasts
            Where both sides have estimates. ``table()`` adjusts p-values, ``simultaneous()`` gives intervals
            that hold at once.

        Raises
        ------
        ArgumentError
            If there is nothing to compare, or the reference does not exist.
        """
        return shares_contrasts.differences(self, between, reference, lag)

    def trend(self, weights: str = "equal", *, between: bool = False) -> Contrasts:
        """Slope of each share per period: the least-squares line through the shares of the periods with estimates.

        It is a summary of the shares, whether or not they lie on a line.

        Parameters
        ----------
        weights : {"equal", "documents"}
            How much periods count in the line.
        between : bool
            Differences of slopes between groups, pair by pair, instead of the slopes.

        Returns
        -------
        Contrasts
            Slopes per period; per unit of time where ``over`` is a number.

        Raises
        ------
        ArgumentError
            Without ``over``, or where no group has two periods.
        """
        return shares_contrasts.trend(self, weights, between)

    def mean(self, scores: Sequence[float] | None = None) -> Contrasts:
        """Mean of an ordered or numeric label in each cell, from the shares of its classes.

        Parameters
        ----------
        scores : sequence of float, length K, optional
            What the classes count; by default their numbers, else 1 to K in their order.

        Returns
        -------
        Contrasts

        Raises
        ------
        ArgumentError
            For codes, which have no order.
        """
        return shares_contrasts.mean_of_classes(self, scores)

    # ---------------------------------------------------------------- elsewhere

    def __sub__(self, other: object) -> Contrasts:
        """Shares less those of another label of the same documents, with gold in the same rows."""
        if not isinstance(other, SharesResult):
            raise ArgumentError(f"only shares can be subtracted from shares; got {type(other).__name__}.")
        return shares_contrasts.less(self, other)

    def plan(self, *, half_width: float, of: str = "worst") -> SharesPlan:
        """Gold that intervals of a wanted half width need, and how to share it out over the cells.

        Parameters
        ----------
        half_width : float
            Of a 1 - alpha interval, as a share: .05 for plus or minus five points.
        of : {"worst", "average"}
            The widest share of all, or the widest class of each cell, averaged over cells.

        Returns
        -------
        SharesPlan
        """
        from .shares_plan import plan_shares

        return plan_shares(self, half_width, of)

    def plot(self, kind: str | None = None, **options: Any) -> Any:
        """Shares as a picture.

        Parameters
        ----------
        kind : {"stacked", "lines", "multiples"}, optional
            Stacked shares; lines with pointwise intervals and bands; a small picture for each group. By default lines
            over time, else bars stacked.
        **options
            ``classes``, ``group``, ``band``, ``title``, ``ax``: see :func:`karat.grouped.shares_plots.plot_shares`.
        """
        from .shares_plots import plot_shares

        return plot_shares(self, kind, **options)
