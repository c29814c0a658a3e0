"""Units made of labelled documents: their means, and what is known of the noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from ..display.axes import BLUE, axes, plain
from ..display.table import html_page, html_table, text_table
from ..errors import ArgumentError, DataError
from ..frames import Table
from ..results.estimates import Estimates

if TYPE_CHECKING:
    import pandas as pd

    from .._core.types import Bools, Floats, Ints
    from ..results.sampling import Sampling
    from .noise import GoldErrors


@dataclass(frozen=True)
class UnitsSummary:
    """Summary of unit means that prints as text and shows as HTML in a notebook."""

    title: str
    facts: tuple[str, ...]
    table: pd.DataFrame = field(repr=False)

    def __str__(self) -> str:
        return "\n".join([self.title, *(f"  {fact}" for fact in self.facts), "", *text_table(self.table, ".3f")])

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        return html_page(self.title, [], html_table(self.table, ".3f"), list(self.facts))


@dataclass(frozen=True, eq=False, repr=False)
class UnitMeans(Estimates):
    """The values of an :class:`Aggregate`, which says what each is."""

    quantity: ClassVar[str] = "unit mean"

    by: tuple[str, ...]
    labels: tuple[str, ...]
    keys: pd.DataFrame
    means: Floats
    predicted: Floats
    surrogate: Floats
    own: Floats
    pooled: Floats
    documents: Ints
    n_gold: Ints
    errors: GoldErrors
    sampling: Sampling
    alpha: float
    notes: tuple[str, ...] = ()
    columns: pd.DataFrame | None = field(default=None)

    def __repr__(self) -> str:
        s = self.sampling
        return (
            f"<karat Aggregate: {', '.join(self.labels)} of {self.n_units:,} units, {s.n_units:,} documents, "
            f"{s.n_gold:,} gold>"
        )

    # ---------------------------------------------------------------- as estimates

    @property
    def n_units(self) -> int:
        """C."""
        return len(self.means)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Unit, and label where there are several, of each estimate."""
        units = [", ".join(map(str, row)) for row in self.keys.itertuples(index=False)]
        if len(self.labels) == 1:
            return tuple(units)
        return tuple(f"{unit}: {label}" for unit in units for label in self.labels)

    @property
    def theta(self) -> Floats:
        """All means, unit by unit, shape (C q,)."""
        return self.means.ravel()

    @property
    def df(self) -> Floats:
        """Degrees of freedom of the pooled variances."""
        return np.full(self.means.size, max(self.sampling.n_gold - 1.0, 1.0))

    @cached_property
    def covariance(self) -> Floats:
        """Design covariance of all means, shape (C q, C q): pooled within units, as the draw has it between them."""
        q = len(self.labels)
        out = self.errors.between(self.n_units).reshape(self.n_units, q, self.n_units, q)
        every = np.arange(self.n_units)
        out[every, :, every, :] = self.pooled
        return out.reshape(self.means.size, -1)

    def _se(self) -> Floats:
        return np.asarray(np.sqrt(np.diagonal(self.pooled, axis1=1, axis2=2)).ravel())

    def _title(self) -> str:
        return f"{', '.join(self.labels)} by {', '.join(self.by)}"

    def _about(self) -> str:
        s = self.sampling
        return f"{self.n_units:,} units; {s.n_units:,} documents, {s.n_gold:,} gold; {s.design}"

    def table(self) -> pd.DataFrame:
        """One row per unit: documents, gold, and for each label mean, standard error, mean prediction; what was joined.

        Standard errors are pooled: a unit with few gold documents has the level of errors of all gold, in proportion
        to what its documents, and the probabilities with which they were drawn, let expect.
        """
        table = self.keys.assign(documents=self.documents, gold=self.n_gold)
        se = self._se().reshape(self.means.shape)
        for j, name in enumerate(self.labels):
            table = table.assign(
                **{name: self.means[:, j], f"{name}: se": se[:, j], f"{name}: predicted": self.predicted[:, j]}
            )
        return self._with_columns(table)

    def frame(self, means: Floats | None = None) -> pd.DataFrame:
        """Names of the units, their means (or others given, shape (C, q)), and what was joined."""
        values = self.means if means is None else means
        table = self.keys.assign(documents=self.documents, gold=self.n_gold)
        table = table.assign(**dict(zip(self.labels, values.T)))
        return self._with_columns(table)

    def reliability(self) -> pd.Series[Any]:
        """Share of the variance of the unit means that is not labelling noise, by label.

        A slope on means that are taken for the truth shrinks by about this factor.
        """
        import pandas as pd

        noise = np.diagonal(self.own, axis1=1, axis2=2).mean(axis=0)
        with np.errstate(divide="ignore", invalid="ignore"):
            found = 1.0 - noise / self.means.var(axis=0, ddof=1)
        return pd.Series(found, index=list(self.labels), name="reliability")

    def summary(self) -> UnitsSummary:
        """Sizes, noise and reliability of each label; :meth:`table` has the units."""
        import pandas as pd

        noise = np.diagonal(self.own, axis1=1, axis2=2).mean(axis=0)
        table = pd.DataFrame(
            {
                "mean": self.means.mean(axis=0),
                "sd of true means": np.sqrt(np.maximum(self.means.var(axis=0, ddof=1) - noise, 0.0)),
                "sd of noise": np.sqrt(np.maximum(noise, 0.0)),
                "reliability": self.reliability().to_numpy(),
            },
            index=list(self.labels),
        )
        low, middle, high = np.quantile(self.documents, (0.0, 0.5, 1.0))
        without = int((self.n_gold == 0).sum())
        sizes = f"Documents per unit: {low:,.0f} to {high:,.0f}, median {middle:,.0f}; {without:,} units without gold"
        return UnitsSummary(self._title(), (self._about(), sizes, *self.notes), table)

    def plot(self, label: str | None = None, ax: Any = None, title: str | None = None) -> Any:
        """Unit means in order, with their intervals.

        Parameters
        ----------
        label : str, optional
            Which one; by default the first.
        ax : matplotlib Axes, optional
        title : str, optional

        Returns
        -------
        matplotlib.axes.Axes
        """
        j = 0 if label is None else self._position(label)
        low, high = (bound.reshape(self.means.shape)[:, j] for bound in self._interval(self.alpha))
        order = np.argsort(self.means[:, j], kind="stable")
        ax = axes(None, (7.0, 3.6)) if ax is None else ax
        at, value = np.arange(self.n_units), self.means[order, j]
        ax.errorbar(
            at, value, yerr=[value - low[order], high[order] - value], fmt="o", color=BLUE, markersize=3.0,
            linewidth=0.8, alpha=0.7,
        )  # fmt: skip
        ax.set_xlabel(f"units, in order ({self.n_units:,})")
        ax.set_ylabel(f"{self.labels[j]}, {100 * (1 - self.alpha):g}% interval")
        plain(ax, self._title() if title is None else title)
        return ax

    def _position(self, label: str) -> int:
        if label not in self.labels:
            raise ArgumentError(f"label={label!r} is none of the means; there are {list(self.labels)}.")
        return self.labels.index(label)

    # ---------------------------------------------------------------- the second regression

    def join(self, other: object, on: str | Sequence[str] | None = None) -> Self:
        """Add the variables of the units.

        Parameters
        ----------
        other : data frame
            One row per unit.
        on : str or list of str, optional
            Columns that name the units, as in ``by=``.

        Returns
        -------
        Aggregate
            Of the units that both have; its notes count the others.

        Raises
        ------
        ArgumentError
            If ``on`` are not the columns of ``by=``.
        DataError
            If a unit has several rows, a column has the name of a mean, or no unit is in both.
        """
        import pandas as pd

        table = Table.read(other)
        if on is not None and (on if isinstance(on, str) else list(on)) not in (list(self.by), *self.by[:1]):
            raise ArgumentError(f"on={on!r} must be the columns of by=, {list(self.by)}; rename those of the table.")
        right = table.pandas(table.columns, "other")
        table.require(self.by, "on")
        taken = {*self.labels, "documents", "gold"} | set(() if self.columns is None else self.columns.columns)
        if clash := [name for name in right.columns if name in taken and name not in self.by]:
            raise DataError(f"the table has a column {clash[0]!r}, which the units have already; rename it.")
        if right.duplicated(list(self.by)).any():
            twice = right.loc[right.duplicated(list(self.by)), list(self.by)].iloc[0].tolist()
            raise DataError(f"unit {twice} has several rows in the table; give one row per unit.")
        own, there = (list(frame[list(self.by)].itertuples(index=False, name=None)) for frame in (self.keys, right))
        place = {name: i for i, name in enumerate(there)}
        at = np.array([place.get(name, -1) for name in own], dtype=np.intp)
        kept = at >= 0
        if not kept.any():
            raise DataError(
                f"no unit of {list(self.by)} is in both tables; compare how the names are written, for example "
                f"{own[0]} here and {there[0]} there."
            )
        lost, strangers = self.n_units - int(kept.sum()), len(right) - int(kept.sum())
        counts = ((lost, "have no row in the joined table"), (strangers, "rows of the joined table have no documents"))
        notes = tuple(f"{n:,} {'units ' * (words[0] == 'h')}{words}" for n, words in counts if n)
        out = self._keep(kept)
        columns = right.drop(columns=list(self.by)).iloc[at[kept]].reset_index(drop=True)
        if out.columns is not None:
            columns = pd.concat([out.columns, columns], axis=1)
        return replace(out, columns=columns, notes=(*out.notes, *notes))

    def _with_columns(self, table: pd.DataFrame) -> pd.DataFrame:
        import pandas as pd

        return table if self.columns is None else pd.concat([table, self.columns], axis=1)

    def _keep(self, kept: Bools) -> Self:
        if kept.all():
            return self
        return replace(
            self,
            keys=self.keys[kept].reset_index(drop=True),
            means=self.means[kept],
            predicted=self.predicted[kept],
            surrogate=self.surrogate[kept],
            own=self.own[kept],
            pooled=self.pooled[kept],
            documents=self.documents[kept],
            n_gold=self.n_gold[kept],
            errors=self.errors.keep(kept),
            columns=None if self.columns is None else self.columns[kept].reset_index(drop=True),
        )
