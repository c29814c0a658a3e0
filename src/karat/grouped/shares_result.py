"""What ``kt.shares`` found."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..display.table import Report
from ..errors import ArgumentError, KaratError, one_of
from ..estimate.infer import combination, influences
from ..frames.order import seed_of_result
from ..results.estimates import Estimates, bounds_names
from .axes import name_of
from .cell_fits import stacked
from .contrasts import Contrasts, linear, pairs, place, slope_weights, tail_of

if TYPE_CHECKING:
    import pandas as pd

    from .._core.types import Floats, Ints
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
    position : ndarray, shape (T,)
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

    label: str
    classes: tuple[Any, ...]
    whole: bool
    by: tuple[str, ...]
    over: str | None
    grid: pd.DataFrame = field(repr=False)
    cells: tuple[int, ...] = field(repr=False)
    position: Floats = field(repr=False)
    fits: tuple[Result, ...] = field(repr=False)
    covariance: Floats = field(repr=False)
    plain: Floats = field(repr=False)
    size: Floats = field(repr=False)
    comparison: Comparison | None = field(repr=False, default=None)
    notes: tuple[str, ...] = ()

    interval: ClassVar[str] = "beta"

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
        columns = tuple(self.grid.columns)
        cells = [name_of(row, columns) for row in self.grid.iloc[list(self.cells)].itertuples(index=False)]
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
        return [None] if self.over is None else self.grid[self.over].iloc[: len(self.position)].tolist()

    @property
    def groups(self) -> list[str]:
        """Groups in words: values of ``by``, joined by a comma."""
        first = self.grid.iloc[:: len(self.position)]
        return [", ".join(str(first[name].iloc[g]) for name in self.by) for g in range(len(first))]

    def by_cell(self, values: Floats) -> Floats:
        """Values of the shares by group, period and class, missing where there is none, shape (G, T, K)."""
        k = len(self.classes)
        out = np.full((len(self.grid), k), np.nan)
        out[list(self.cells)] = np.asarray(values).reshape(-1, k)
        return out.reshape(-1, len(self.position), k)

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
        shares = self.coef()
        if shares.index.nlevels == 1:
            return shares.to_frame().T
        wide = shares.to_numpy().reshape(-1, len(self.classes))
        index = shares.index.droplevel(-1)[:: len(self.classes)]
        import pandas as pd

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
        import pandas as pd

        one_of("family", family, ("line", "all"))
        level, k = self._level(alpha), len(self.classes)
        line = np.zeros(len(self.theta), dtype=np.intp)
        if family == "line":
            group = np.asarray(self.cells) // len(self.position)
            line = (group[:, None] * k + np.arange(k)).ravel()
        low, high = np.empty_like(self.theta), np.empty_like(self.theta)
        fixed = seed_of_result(seed, self, draws)
        for one in np.unique(line):
            at = line == one
            tail = tail_of(self.covariance[np.ix_(at, at)], level, draws, fixed)
            bounds = self.shares.interval(self.theta, np.diag(self.covariance), 2.0 * tail)
            low[at], high[at] = bounds[0][at], bounds[1][at]
        columns = [("Estimate", self.theta), *zip(bounds_names(level), (low, high))]
        return pd.concat([self._series(values, name) for name, values in columns], axis=1)

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
        value, covariance, df = linear(
            np.asarray(matrix, dtype=np.float64), self.theta, self.plain, self.df, self.shares, len(self.classes)
        )
        df = np.where(np.isinf(self.df).all(), np.inf, df)
        return Contrasts(
            tuple(names), value, covariance, df, self.alpha, title, self._about(), grid, self.formula, self.seed
        )

    def differences(
        self, between: str = "groups", *, reference: object = None, lag: int | None = None
    ) -> Contrasts:
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
            Where both sides have estimates. ``table()`` adjusts p-values, ``together()`` gives simultaneous intervals.

        Raises
        ------
        ArgumentError
            If there is nothing to compare, or the reference does not exist.
        """
        import pandas as pd

        one_of("between", between, ("groups", "periods", "classes"))
        axis = ("groups", "periods", "classes").index(between)
        levels = (self.groups, self.periods, list(self.classes))
        at = self._reference(levels[axis], reference, between)
        if lag is not None and (between != "periods" or reference is not None):
            raise ArgumentError("lag= is for between='periods', and takes the place of reference=.")
        pairs_of = pairs(len(levels[axis]), at) if lag is None else [(t, t - lag) for t in range(lag, len(levels[axis]))]
        if at is None and lag is None and between == "periods":
            pairs_of = [(b, a) for a, b in pairs_of]
        if not pairs_of:
            raise ArgumentError(f"between={between!r} has a single one here, so there is nothing to compare.")
        index = self.by_cell(np.arange(len(self.theta), dtype=np.float64))
        moved = np.moveaxis(index, axis, 0)
        others = [i for i in range(3) if i != axis]
        rest = list(np.ndindex(*moved.shape[1:]))
        rows, names, told = [], [], []
        for first, second in pairs_of:
            for place_ in rest:
                plus, minus = moved[(first, *place_)], moved[(second, *place_)]
                if np.isnan(plus) or np.isnan(minus):
                    continue
                row = np.zeros(len(self.theta))
                row[int(plus)], row[int(minus)] = 1.0, -1.0
                same = [levels[a][p] for a, p in zip(others, place_)]
                gap = f"{levels[axis][first]} - {levels[axis][second]}"
                rows.append(row)
                names.append(self._called(dict(zip(others, same)), gap))
                told.append([*same, gap])
        if not rows:
            raise ArgumentError(f"no two {between} have estimates side by side; label more documents.")
        columns = [("group", self.over or "period", self._class_name)[a] for a in others] + ["difference"]
        grid = pd.DataFrame(told, columns=columns)
        shown = [c for a, c in zip(others, columns) if len(levels[a]) > 1 or a == 2] + ["difference"]
        return self.linear(rows, names, grid[shown], f"{self._title()}: differences between {between}")

    def _called(self, same: dict[int, Any], gap: str) -> str:
        """``"war: left - right (2020)"``."""
        inside = [str(same[a]) for a in (0, 1) if a in same and len((self.groups, self.periods)[a]) > 1]
        head = f"{same[2]}: " if 2 in same else ""
        return f"{head}{gap}{f' ({chr(44).join(inside)})' if inside else ''}"

    @staticmethod
    def _reference(levels: list[Any], reference: object, between: str) -> int | None:
        if reference is None:
            return None
        named = [str(level) for level in levels]
        if str(reference) not in named:
            raise ArgumentError(f"reference={reference!r} is none of the {between}; there are {named}.")
        return named.index(str(reference))

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
        import pandas as pd

        one_of("weights", weights, ("equal", "documents"))
        if self.over is None:
            raise ArgumentError("there is no trend without time; call kt.shares with over=.")
        index = self.by_cell(np.arange(len(self.theta), dtype=np.float64))
        size = self.by_cell(np.repeat(self.size, len(self.classes)))
        rows: dict[tuple[int, int], Floats] = {}
        for g, k in np.ndindex(index.shape[0], index.shape[2]):
            there = ~np.isnan(index[g, :, k])
            if there.sum() > 1:
                row = np.zeros(len(self.theta))
                weight = np.ones(there.sum()) if weights == "equal" else size[g, there, k]
                row[index[g, there, k].astype(int)] = slope_weights(self.position[there], weight)
                rows[g, k] = row
        found: list[tuple[str, Any, Floats]] = [(self.groups[g], self.classes[k], row) for (g, k), row in rows.items()]
        if between:
            found = [
                (f"{self.groups[a]} - {self.groups[b]}", self.classes[k], rows[a, k] - rows[b, k])
                for a, b in pairs(len(self.groups), None) for k in range(len(self.classes))
                if (a, k) in rows and (b, k) in rows
            ]  # fmt: skip
        if not found:
            raise ArgumentError("no trend can be had: it takes two periods with estimates, and differences two groups.")
        names = [f"{value}: {group}" if group else str(value) for group, value, _ in found]
        grid = pd.DataFrame({"group": [f[0] for f in found], self._class_name: [f[1] for f in found]})
        grid = grid if self.by else grid.drop(columns="group")
        each = "period" if weights == "equal" else "period, periods weighted by documents"
        return self.linear([f[2] for f in found], names, grid, f"{self._title()}: slope per {each}")

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
        if not self.whole:
            raise ArgumentError("codes have no order and no mean; their shares are their means.")
        k = len(self.classes)
        if scores is None:
            numbers = all(isinstance(value, (int, float, np.number)) for value in self.classes)
            scores = [float(v) for v in self.classes] if numbers else list(range(1, k + 1))
        value = np.asarray(scores, dtype=np.float64)
        if value.shape != (k,) or not np.isfinite(value).all():
            raise ArgumentError(f"scores must be {k} numbers, one for each of {list(self.classes)}.")
        theta = self.theta.reshape(-1, k) @ value
        # shares add up to one: scores count from the mean of the cell, so that a constant added to them changes nothing
        rows = np.zeros((len(theta), len(self.theta)))
        for c in range(len(theta)):
            rows[c, c * k : (c + 1) * k] = value - theta[c]
        grid = self.grid.iloc[list(self.cells)].reset_index(drop=True)
        names = [name_of(row, tuple(grid.columns)) or "Mean" for row in grid.itertuples(index=False)]
        found = self.linear(rows, names, grid, f"Means of {self.formula}")
        return dataclasses.replace(found, theta=theta)

    # ---------------------------------------------------------------- elsewhere

    def __sub__(self, other: object) -> Contrasts:
        """Shares less those of another label of the same documents, with gold in the same rows."""
        if not isinstance(other, SharesResult):
            raise ArgumentError(f"only shares can be subtracted from shares; got {type(other).__name__}.")
        if self.names != other.names:
            raise ArgumentError("these are shares of other classes, groups or periods; make both alike.")
        ours, theirs = ([fit.parts for fit in one.fits] for one in (self, other))
        first = ours[0]
        assert first is not None
        for part in theirs:
            assert part is not None
            if not part.units.labelling.same(first.units.labelling) or self.fits[0].vcov_kind != other.fits[0].vcov_kind:
                raise ArgumentError(
                    "these shares come from other rows, gold samples, designs or covariances, so that their covariance "
                    "is not known; make both from the same rows, with gold in the same ones."
                )
        return self._less(other, [*ours, *theirs])

    def _less(self, other: SharesResult, parts: list[Any]) -> Contrasts:
        k, c = len(self.classes), len(self.cells)
        unit, fit = np.eye(k * c), self.fits[0]
        blocks = [unit[:, j * c : (j + 1) * c] for j in range(k)]
        matrices = [*blocks, *(-block for block in blocks)]
        meat = influences(parts, fit.vcov_kind)
        covariance = combination(parts, matrices, fit.vcov_kind, fit.target, meat)
        order = np.arange(k * c).reshape(k, c).T.ravel()
        covariance = covariance[np.ix_(order, order)]
        m = self.shares.kish
        wanted = np.maximum(np.diag(covariance), self.shares.unit_variance * m / (m + 1.0) ** 2)
        scale = np.sqrt(np.divide(wanted, np.diag(covariance), out=np.ones(len(m)), where=np.diag(covariance) > 0))
        covariance = covariance * np.outer(scale, scale)
        np.fill_diagonal(covariance, wanted)
        rows = self.grid.iloc[np.repeat(self.cells, k)].reset_index(drop=True)
        grid = rows.assign(**{self._class_name: list(self.classes) * c})
        return Contrasts(
            self.names, self.theta - other.theta, covariance, np.minimum(self.df, other.df), self.alpha,
            f"{self._title()} less {other._title()[0].lower()}{other._title()[1:]}", self._about(), grid,
            self.formula, self.seed,
        )  # fmt: skip

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

    def plot(self, kind: str | None = None, **options: Any) -> Any:  # type: ignore[override]
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
