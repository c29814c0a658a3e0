"""A draw from the whole frame, seen on the rows of a subpopulation."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar

import numpy as np

from .._core.types import Bools, Floats, Ints
from .entries import placed
from .given_sizes import Known
from .labelling import Labelling


def within(whole: Labelling, inside: Bools) -> Domain:
    """The rows of a subpopulation, with the weights and the variance of the draw from all rows.

    :meth:`Labelling.keep` takes the number drawn in the subpopulation as given; here it varies from draw to draw, as
    does a total of errors that are 0 in all other rows (Saerndal, Swensson, Wretman 1992, section 10.3). A stratum with
    rows of the subpopulation but no gold among them, or a single one, does no harm.

    Parameters
    ----------
    whole : Labelling
        Of N rows.
    inside : ndarray of bool, shape (N,)

    Returns
    -------
    Domain
        Of the M rows inside.

    Examples
    --------
    >>> import karat as kt
    >>> whole = kt.SimpleRandom(n=4).draw({"row": range(8)}, seed=1).labelling
    >>> part = within(whole, np.arange(8) < 5)
    >>> len(part.probability), float(part.probability[0])
    (5, 0.5)
    """
    rows = np.flatnonzero(inside)
    kept = whole._rows(rows)
    return Domain(
        probability=kept.probability, labelled=kept.labelled, fixed_size=whole.fixed_size, stratum=kept.stratum,
        unit=kept.unit, description=f"{whole.description}, seen on {len(rows):,} of {len(inside):,} rows",
        strata=kept.strata, recorded=whole.recorded,
        first=None if whole.first is None else within(whole.first, inside), whole=whole, rows=rows,
    )  # fmt: skip


@dataclass(frozen=True)
class Domain(Labelling):
    """The rows of a subpopulation in a draw from all rows, which see errors of 0 in the others.

    Parameters
    ----------
    whole : Labelling
        The draw, of N rows.
    rows : ndarray of int, shape (M,)
        Positions of the subpopulation among them.
    """

    single: ClassVar[bool] = False
    whole: Labelling = field(default_factory=lambda: Labelling(np.ones(0), np.zeros(0, dtype=bool), False))
    rows: Ints = field(default_factory=lambda: np.zeros(0, dtype=np.intp))

    @property
    def caution(self) -> str:
        """What must be said of labels that are not a probability sample."""
        return self.whole.caution

    @cached_property
    def _place(self) -> Ints:
        """Where the gold rows of the subpopulation stand among all gold rows, shape (m,)."""
        at = np.cumsum(self.whole.labelled) - 1
        return np.asarray(at[self.rows[self.labelled]], dtype=np.intp)

    @cached_property
    def weight(self) -> Floats:
        """Weights of the gold rows, those of the draw, shape (m,)."""
        return self.whole.weight[self._place]

    @cached_property
    def spread(self) -> Floats:
        """What each gold row adds to an estimated labelling variance, per squared error, shape (m,)."""
        return self.whole.spread[self._place]

    @property
    def spread_everywhere(self) -> Floats:
        """Variance of the weight of every row, shape (M,)."""
        return self.whole.spread_everywhere[self.rows]

    @property
    def independent(self) -> bool:
        """Whether labelling units were drawn independently."""
        return self.whole.independent

    def same(self, other: Labelling) -> bool:
        """Whether two are the same rows of the same draw."""
        return isinstance(other, Domain) and np.array_equal(self.rows, other.rows) and self.whole.same(other.whole)

    def _rows(self, which: Ints | Bools) -> Labelling:
        out = np.zeros(len(self.whole.labelled), dtype=bool)
        out[self.rows[which]] = True
        return within(self.whole, out)

    def keep(self, rows: Bools) -> Labelling:
        """The same draw seen on fewer rows: a smaller subpopulation."""
        return self if rows.all() else self._rows(rows)

    def cross(self, left: Floats, right: Floats) -> Floats:
        """Estimated covariance of the totals ``sum w left`` and ``sum w right`` over draws from all rows."""
        return self.whole.cross(self._padded(left), self._padded(right))

    def independent_cross(self, left: Floats, right: Floats, cluster: Ints | None = None) -> Floats:
        """Labelling part that a plain sandwich holds, see :meth:`Labelling.independent_cross`."""
        codes = None
        if cluster is not None:
            codes = np.full(len(self.whole.labelled), int(cluster.max()) + 1)
            codes[self.rows] = cluster
        return self.whole.independent_cross(self._padded(left), self._padded(right), codes)

    def known(self, error: Floats) -> Known | None:
        """Nothing: how many rows of a subpopulation are drawn is left to chance."""
        return None

    def _padded(self, values: Floats) -> Floats:
        return placed(values, self._place, self.whole.n_gold)
