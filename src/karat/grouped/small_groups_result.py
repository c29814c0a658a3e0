"""What ``karat.small_groups`` returns: a composite estimate of every group, and what it is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..display.table import Report, html_page, html_table, number, text_table
from ..errors import ArgumentError, one_of
from ..results.estimates import Estimates, bounds_names
from ..results.simultaneous import simultaneous
from .robust import critical_values
from .small_groups_found import discover, rank_intervals
from .small_groups_plan import plan_groups
from .small_groups_plot import caterpillar

if TYPE_CHECKING:
    import pandas as pd

    from .._core.types import Floats, Ints
    from ..predict import Skill
    from ..results.tests import TestResult

KINDS = ("average", "robust", "direct")

TABLE = (
    "class", "documents", "gold", "direct", "direct_se", "model", "weight", "estimate", "se", "low", "high", "interval",
    "model only",
)  # fmt: skip
"""Columns of the table beside those of the groups."""

_HOLDS = {
    "average": "hold on average over groups, if these scatter about the model as a normal variable does",
    "robust": "hold on average over groups, however these scatter about the model",
    "direct": "hold for each group by itself, from its own gold",
}


@dataclass(frozen=True, eq=False)
class GroupsReport(Report):
    """A table of groups with what must be said around it."""

    def __str__(self) -> str:
        lines = [self.title, *([f"  {self.about}"] if self.about else []), ""]
        lines += text_table(self.table, missing="", formats=self._formats())
        return "\n".join(lines + (["", *self.remarks] if self.remarks else []))

    __repr__ = __str__

    def _formats(self) -> dict[str, Any]:
        def told(value: float) -> str:
            return "" if np.isnan(value) else number(value)

        floats = [str(name) for name in self.table if self.table[name].dtype.kind == "f"]
        return {**dict.fromkeys(floats, told), "model only": lambda value: "model only" if value else ""}

    def _repr_html_(self) -> str:
        notes = ([self.about] if self.about else []) + list(self.remarks)
        return html_page(self.title, (), html_table(self.table, missing="", formats=self._formats()), notes)


@dataclass(frozen=True, eq=False, repr=False)
class SmallGroups(Estimates):
    """Means or shares of all groups; class by class where the outcome has classes.

    Parameters
    ----------
    names : tuple of str, length p
        Groups, such as ``"month=03"``; of classes ``"war: month=03"``.
    theta : ndarray, shape (p,)
        Composite estimates.
    covariance : ndarray, shape (p, p)
        Mean squared errors and their products; not a number between classes.
    df : ndarray, shape (p,)
    alpha : float
    variable, formula : str
    grid : data frame, p rows
        Grouping columns (and the class) of each row.
    documents, gold : ndarray of int, shape (p,)
        Rows of the group, and gold among them.
    direct, direct_se : ndarray, shape (p,)
        Gold-corrected estimate of the group by itself, and its standard error from errors in all groups; missing
        without gold.
    model_estimate : ndarray, shape (p,)
    weight : ndarray, shape (p,)
        Of the direct estimate in the composite; 0 without gold.
    cautious, bias : ndarray, shape (p,)
        Mean squared errors that robust intervals go by, and the part that comes from what the model misses.
    between, likely, weighed : ndarray, shape (p,)
        Variance of true means about the model: the upper limit that standard errors go by, the best estimate, and that
        at which direct and model estimates are weighed.
    residual : ndarray, shape (p,)
        Variance of a document's error within the group.
    population : ndarray, shape (p,)
        Variance that drawing the documents adds; 0 for ``target="finite"``.
    slope : float
        Of true means in mean predictions; 1 where it was not estimated.
    heterogeneity : TestResult
        Test that the model misses nothing but chance. A large p-value does not show that it is so.
    n_gold : int
    target : {"finite", "superpopulation"}
    are_shares : bool
    notes : tuple of str
    seed : int or None
    skill : tuple of Skill
        Of the learner.

    Examples
    --------
    >>> import karat as kt
    >>> corpus, truth = kt.datasets.simulate(4000, kind="logit", seed=1)
    >>> corpus["month"] = [f"{i % 40:02d}" for i in range(4000)]
    >>> sample = kt.SimpleRandom(n=200).draw(corpus, seed=1)
    >>> labelled = kt.datasets.mask_gold(corpus, sample, "hostile")
    >>> fit = kt.small_groups(
    ...     "hostile", labelled, by="month", surrogates={"hostile": "hostile_llm"}, design=sample.design, seed=1)
    >>> wide, short = fit.confint(kind="robust"), fit.confint()
    >>> bool(((wide["97.5%"] - wide["2.5%"]) >= (short["97.5%"] - short["2.5%"]) - 1e-9).all())
    True
    """

    quantity: ClassVar[str] = "mean"

    names: tuple[str, ...]
    theta: Floats
    covariance: Floats = field(repr=False)
    df: Floats
    alpha: float
    variable: str
    formula: str
    grid: pd.DataFrame = field(repr=False)
    documents: Ints
    gold: Ints
    direct: Floats
    direct_se: Floats
    model_estimate: Floats
    weight: Floats
    cautious: Floats
    bias: Floats
    between: Floats
    likely: Floats
    weighed: Floats
    residual: Floats
    population: Floats
    slope: float
    heterogeneity: TestResult
    n_gold: int
    target: str
    are_shares: bool
    notes: tuple[str, ...] = ()
    seed: int | None = None
    skill: tuple[Skill, ...] = ()

    parts: ClassVar[None] = None
    shares: ClassVar[None] = None
    interval: ClassVar[str] = "wald"

    @property
    def n_classes(self) -> int:
        """Classes of the outcome; 1 for a number or a share."""
        return int(self.grid["class"].nunique()) if "class" in self.grid else 1

    @property
    def group_names(self) -> tuple[str, ...]:
        """Names of the groups, without classes."""
        found = self.names[: len(self.names) // self.n_classes]
        return found if self.n_classes == 1 else tuple(name.partition(": ")[2] for name in found)

    @property
    def model_only(self) -> pd.Series[Any]:
        """Groups without gold, of which the model alone speaks, by name."""
        return self._series(self.gold == 0, "model only")

    def __repr__(self) -> str:
        return str(self)

    def _title(self) -> str:
        return f"{'Shares' if self.are_shares else 'Means'} of small groups: {self.formula}"

    def _about(self) -> str:
        n, d = int(self.documents[: len(self.group_names)].sum()), len(self.group_names)
        return f"{d:,} groups, {n:,} documents, {self.n_gold:,} gold; target {self.target}"

    def _remarks(self) -> tuple[str, ...]:
        alone = int((self.gold == 0).sum()) // self.n_classes
        said = [f"{100 * (1 - self.alpha):g}% intervals {_HOLDS['average']}."]
        if alone:
            said.append(f"{alone} group(s) have no gold: the model alone speaks.")
        p = self.heterogeneity.p_value
        said.append(f"Groups differ from the model by more than chance: p = {p:.3f} (allowed for in any case).")
        return (*said, *(f"{note[:1].upper()}{note[1:]}." for note in self.notes))

    def confint(self, alpha: float | None = None, kind: str = "average") -> pd.DataFrame:
        """Intervals of the groups.

        Parameters
        ----------
        alpha : float, optional
            One minus the level; by default that of the fit.
        kind : {"average", "robust", "direct"}
            "average": 95 % of the groups' intervals hold, on average over groups and draws, where true means scatter
            normally about the model. "robust": at least so many whatever their distribution (Armstrong, Kolesar,
            Plagborg-Moller 2022), and never as if groups did not scatter. "direct": around the direct estimate, holds
            for each group by itself; missing without gold.

        Returns
        -------
        pandas.DataFrame, shape (p, 2)
            Those of shares end at 0 and 1.

        Raises
        ------
        ArgumentError
        """
        import pandas as pd

        level = self._level(alpha)
        low, high = self._bounds(level, kind)
        return pd.concat([self._series(*pair) for pair in zip((low, high), bounds_names(level))], axis=1)

    def _interval(self, level: float) -> tuple[Floats, Floats]:
        return self._bounds(level, "average")

    def _bounds(self, level: float, kind: str) -> tuple[Floats, Floats]:
        from scipy.stats import norm, t

        one_of("kind", kind, KINDS)
        centre, half = self.theta, norm.isf(level / 2.0) * self._se()
        if kind == "robust":
            rest = np.sqrt(np.maximum(self.cautious - self.bias, 1e-12 * self.cautious))
            ratio = np.divide(self.bias, rest**2, out=np.zeros_like(rest), where=rest > 0)
            half = np.maximum(half, critical_values(ratio, level) * rest)
        elif kind == "direct":
            d = len(self.group_names)
            freedom = max(self.n_gold - int((self.gold[:d] > 0).sum()), 1)
            centre = np.clip(self.direct, 0.0, 1.0) if self.are_shares else self.direct
            half = t.isf(level / 2.0, freedom) * self.direct_se
        low, high = centre - half, centre + half
        return (np.clip(low, 0.0, 1.0), np.clip(high, 0.0, 1.0)) if self.are_shares else (low, high)

    def tidy(self, style: str = "groups", alpha: float | None = None, kind: str = "average") -> pd.DataFrame:
        """Table of the groups.

        Parameters
        ----------
        style : {"groups", "pyfixest", "broom"}
            "groups": grouping columns, documents, gold, direct estimate, model, weight of the direct one, composite,
            standard error, interval and its kind, and whether the model alone speaks. The others as for all estimates.
        alpha : float, optional
        kind : str
            Of the intervals, see :meth:`confint`.

        Returns
        -------
        pandas.DataFrame
            Rows are named by group.
        """
        one_of("style", style, ("groups", "pyfixest", "broom"))
        if style != "groups":
            return super().tidy(style, alpha)
        level = self._level(alpha)
        low, high = self._bounds(level, kind)
        table = self.grid.set_axis(list(self.names), axis=0)
        return table.assign(
            documents=self.documents, gold=self.gold, direct=self.direct, direct_se=self.direct_se,
            model=self.model_estimate, weight=self.weight, estimate=self.theta, se=self._se(), low=low, high=high,
            interval=kind,
        ).assign(**{"model only": self.gold == 0})  # fmt: skip

    def summary(self) -> Any:
        """Summary that prints as text and shows as HTML in a notebook."""
        table = self.tidy().drop(columns=[*self.grid.columns, "interval"])
        table.columns = [name.replace("_", " ") for name in table.columns]
        return GroupsReport(self._title(), self._about(), table, self._remarks())

    def simultaneous(self, alpha: float | None = None, draws: int = 5000, seed: Any = None) -> pd.DataFrame:
        """Intervals that hold for all groups at once (max-t), where true means scatter normally about the model.

        Parameters
        ----------
        alpha : float, optional
        draws : int
        seed : int or numpy.random.Generator, optional

        Returns
        -------
        pandas.DataFrame
            Classes are taken as independent, which makes intervals no shorter.
        """
        known: Any = replace(self, covariance=np.nan_to_num(self.covariance))
        table = simultaneous(known, self._level(alpha), list(self.names), draws, seed)
        if self.are_shares:
            table.iloc[:, -2:] = np.clip(table.iloc[:, -2:], 0.0, 1.0)
        return table

    def discoveries(self, alpha: float = 0.05, null: float | str = "average", method: str = "local") -> pd.DataFrame:
        """Groups that lie above or below a value, with few false ones among them.

        Parameters
        ----------
        alpha : float
            Largest expected share of groups named that lie on the other side.
        null : float or "average"
            The value, or the mean over all documents of the estimates (of each class).
        method : {"local", "direct"}
            "local": the mean probability of the wrong side among the groups named, given the model (Stephens 2017).
            "direct": Benjamini and Hochberg (1995) on p-values of the direct estimates, which need no model; groups
            without gold are never named.

        Returns
        -------
        pandas.DataFrame
            Estimate, standard error, value, side, q value, whether named.

        Raises
        ------
        ArgumentError
        """
        return discover(self, self._level(alpha), null, method)

    def ranks(self, alpha: float | None = None, draws: int = 5000, seed: Any = None) -> pd.DataFrame:
        """Ranks of the groups (1 is the largest; within each class) with intervals that hold on average over groups.

        Parameters
        ----------
        alpha : float, optional
        draws : int
        seed : int or numpy.random.Generator, optional

        Returns
        -------
        pandas.DataFrame
        """
        return rank_intervals(self, self._level(alpha), draws, seed)

    def plan(self, half_width: float, of: str = "average", alpha: float | None = None) -> pd.DataFrame:
        """Gold labels that make intervals of kind "average" this short, by what this fit found.

        Parameters
        ----------
        half_width : float
        of : {"average", "worst"}
            "average": the mean half width over groups, of a simple random sample of all documents. "worst": the
            largest half width, of a sample drawn within each group by itself.
        alpha : float, optional

        Returns
        -------
        pandas.DataFrame
            Documents, gold now, gold wanted (those labelled now among it; its sum is the whole sample) and half width
            expected, by group.

        Raises
        ------
        ArgumentError
            If the half width cannot be reached.
        """
        return plan_groups(self, half_width, of, self._level(alpha))

    def plot(
        self, *, kind: str = "average", direct: bool = True, of: Any = None, ax: Any = None, title: str | None = None
    ) -> Any:
        """Groups by size of their estimate, with intervals; see :func:`karat.grouped.small_groups_plot.caterpillar`.

        Parameters
        ----------
        kind : str
            Of the intervals, see :meth:`confint`.
        direct : bool
            Also show direct estimates.
        of : str, optional
            Which class; needed where the outcome has several.
        ax : matplotlib Axes, optional
        title : str, optional

        Returns
        -------
        matplotlib.axes.Axes
        """
        rows: Sequence[int] | Ints = np.arange(len(self.names))
        if self.n_classes > 1:
            classes = self.grid["class"].unique().tolist()
            if of not in classes:
                raise ArgumentError(f"of={of!r} is not a class; choose one of {classes}.")
            rows = np.flatnonzero(self.grid["class"] == of)
        return caterpillar(self, np.asarray(rows), kind, direct, ax, title)
