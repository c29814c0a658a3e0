"""How gold was drawn, as arrays, and the variance that drawing adds.

Everything an estimator needs to know about a sampling design is here: who was drawn,
with which probability, in which stratum and labelling unit, and whether the sample
size was fixed. Formulas: Saerndal, Swensson, Wretman (1992), *Model Assisted Survey
Sampling*, sections 2.8, 3.3, 3.7 and 4.2.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ..errors import DesignError
from .entries import by_row, centred_product, cross_product, dense, group_totals
from .given_sizes import Known, given_sizes

if TYPE_CHECKING:
    from .._core.types import Bools, Floats, Ints


@dataclass(frozen=True)
class Labelling:
    """The drawn gold sample as arrays.

    Parameters
    ----------
    probability : ndarray, shape (N,)
        Inclusion probability of every unit, in (0, 1]; the same for all rows of a labelling unit.
    labelled : ndarray of bool, shape (N,)
        Whether the unit was drawn (R).
    fixed_size : bool
        Whether the number drawn per stratum was fixed beforehand.
    stratum : ndarray of int, shape (N,), optional
        Stratum codes from 0; None for one stratum.
    unit : ndarray of int, shape (N,), optional
        Codes of the labelling unit (a cluster drawn whole); None when rows were drawn.
    description : str
        One line for the summary.
    strata : tuple of str
        Names of the strata, by code; empty when there are none.
    recorded : bool
        Whether the draw itself is known, and not only the rows that came back with gold.
    first : Labelling, optional
        All rows drawn, where some of them came back without a label.

    Examples
    --------
    >>> import karat as kt
    >>> labelling = kt.SimpleRandom(n=2).draw({"document": [1, 2, 3, 4, 5]}, seed=1).labelling
    >>> labelling.probability.tolist(), int(labelling.labelled.sum())
    ([0.4, 0.4, 0.4, 0.4, 0.4], 2)
    """

    probability: Floats
    labelled: Bools
    fixed_size: bool
    stratum: Ints | None = None
    unit: Ints | None = None
    description: str = ""
    strata: tuple[str, ...] = ()
    recorded: bool = False
    first: Labelling | None = None

    single: ClassVar[bool] = True
    """Whether it is one draw, of which every row drawn has its label."""

    @property
    def asked(self) -> Labelling:
        """The draw itself, before any of the drawn units failed to answer."""
        return self if self.first is None else self.first

    @property
    def n_drawn(self) -> int:
        """Rows drawn for labelling, answered or not."""
        return self.asked.n_gold

    @property
    def caution(self) -> str:
        """What must be said of labels that are not a probability sample; empty for one that is."""
        return ""

    @property
    def n_rows(self) -> int:
        """N."""
        return len(self.labelled)

    @property
    def kind_of_gold(self) -> Ints:
        """Where the arrays hold the drawn rows, shape (n,)."""
        return self.gold

    def kinds(self, at: slice, stratum: Ints | None) -> slice | Ints:
        """Where the arrays hold the rows of a block: at their positions ``at``, or by their strata."""
        return at

    @cached_property
    def n_gold(self) -> int:
        """Number of rows drawn."""
        return int(self.labelled.sum())

    @cached_property
    def gold(self) -> Ints:
        """Positions of the drawn rows, shape (n,)."""
        return np.flatnonzero(self.labelled)

    @cached_property
    def weight(self) -> Floats:
        """Weights of the drawn rows, with expectation 1 over all rows; inverse probabilities, shape (n,)."""
        return 1.0 / self.probability[self.kind_of_gold]

    @cached_property
    def spread(self) -> Floats:
        """What each drawn row adds to an estimated labelling variance, per squared error, shape (n,).

        ``(1 - pi) / pi^2``: its total over the drawn rows is unbiased for the variances of all weights.
        """
        pi = self.probability[self.kind_of_gold]
        return (1.0 - pi) / pi**2

    @property
    def spread_everywhere(self) -> Floats:
        """Variance of the weight of every row, which ``w spread`` of the drawn rows estimates, shape (N,)."""
        return np.asarray(1.0 / self.probability - 1.0)

    @property
    def census(self) -> bool:
        """Whether every row is gold with weight 1, so that nothing is left to chance."""
        return self.n_gold == self.n_rows and bool((self.weight == 1.0).all())

    @cached_property
    def n_units(self) -> int:
        """Number of labelling units drawn: rows, or clusters when whole clusters are drawn."""
        return len(self._drawn.probability)

    @cached_property
    def n_chance(self) -> int:
        """Number of labelling units that were drawn by chance: those with a probability below 1."""
        return int((self._drawn.probability < 1.0).sum())

    @property
    def stratum_sizes(self) -> Ints:
        """Rows of each stratum, shape (S,)."""
        assert self.stratum is not None
        return np.bincount(self.stratum)

    @cached_property
    def n_strata(self) -> int:
        """Number of strata of a fixed-size design in which chance decides; 0 when units were drawn independently."""
        if not self.fixed_size:
            return 0
        return int(np.unique(self._drawn.stratum[self._drawn.probability < 1.0]).size)

    @property
    def parts(self) -> tuple[Labelling, ...]:
        """The draws it is made of: itself, or its waves."""
        return (self,)

    def same(self, other: Labelling) -> bool:
        """Whether two are the same draw, weights and variance included."""
        names = ("labelled", "probability", "stratum", "unit", "weight", "spread")
        return (
            type(self) is type(other)
            and self.fixed_size == other.fixed_size
            and all(np.array_equal(getattr(self, name), getattr(other, name)) for name in names)
        )

    def take(self, order: Ints) -> Labelling:
        """The same draw with its rows in another order.

        Parameters
        ----------
        order : ndarray of int, shape (N,)
            A permutation: where each new row stood before.
        """
        return self._rows(order)

    def _rows(self, which: Ints | Bools) -> Labelling:
        """Some or all rows, in any order; strata and units coded anew."""
        return replace(
            self,
            probability=self.probability[which],
            labelled=self.labelled[which],
            stratum=None if self.stratum is None else np.unique(self.stratum[which], return_inverse=True)[1],
            unit=None if self.unit is None else np.unique(self.unit[which], return_inverse=True)[1],
            strata=self._names_of(which),
            first=None if self.first is None else self.first._rows(which),
        )

    def _names_of(self, which: Ints | Bools) -> tuple[str, ...]:
        if self.stratum is None or not self.strata:
            return ()
        return tuple(self.strata[s] for s in np.unique(self.stratum[which]))

    def keep(self, rows: Bools) -> Labelling:
        """The same draw seen on a subset of rows that observed variables define.

        Given how many of them were drawn, the units of a fixed-size design that are kept are a fixed-size sample
        with the same odds of those kept in their stratum (exactly so for simple random and conditional Poisson
        sampling). Their probabilities are these odds times the factor that makes them add up to the number
        drawn; with equal probabilities, the share drawn.

        Raises
        ------
        DesignError
            If a stratum keeps units but no gold.
        """
        if rows.all():
            return self
        kept = self._rows(rows)
        if self.first is not None:
            kept = replace(kept, first=self.first.keep(rows))
        if not self.fixed_size:
            return kept
        first, code = kept.first_rows, kept._code
        stratum = np.zeros(len(first), dtype=np.intp) if kept.stratum is None else kept.stratum[first]
        pi = given_sizes(kept.probability[first], kept.labelled[first], stratum)
        return replace(kept, probability=pi if code is None else pi[code])

    def cross(self, left: Floats, right: Floats) -> Floats:
        """Estimated covariance, over repeated draws, of the totals ``sum w left`` and ``sum w right``.

        Parameters
        ----------
        left : ndarray, shape (n, p)
            Values of the gold rows (in row order).
        right : ndarray, shape (n, q)
            Values of the same rows.

        Returns
        -------
        ndarray, shape (p, q)
            For independent draws ``sum (1 - pi) / pi^2 left right'``. For fixed sizes Hajek's form: within each stratum
            ``sum c (left / pi - b_left) (right / pi - b_right)'`` with ``c = (1 - pi) n / (n - 1)`` and b the mean of
            ``left / pi`` weighted by c; n counts units that were not drawn with certainty. With equal probabilities
            this is ``N^2 (1/n - 1/N) S(left, right)`` exactly. Either on totals of labelling units.

        References
        ----------
        Hajek (1964), *Asymptotic theory of rejective sampling with varying probabilities*; Berger (1998) and
        Tille (2006, section 7) for its use with other designs of high entropy.
        """
        pi, stratum, unit = self._drawn.probability, self._drawn.stratum, self._drawn.code
        if unit is not None:
            left, right = group_totals(left, unit), group_totals(right, unit)
        left, right = by_row(np.divide, left, pi), by_row(np.divide, right, pi)
        spread = 1.0 - pi
        if self.fixed_size:
            chance = pi < 1.0
            left, right, stratum, spread = left[chance], right[chance], stratum[chance], spread[chance]
            count = np.bincount(stratum)
            if (count == 1).any():
                raise DesignError(
                    "a stratum holds a single gold unit, so the variance of labelling cannot be estimated; "
                    "merge it with another stratum or label at least one unit more."
                )
            spread = spread * (count / np.maximum(count - 1, 1))[stratum]
            return centred_product(left, right, spread, stratum)
        return cross_product(left, right, spread)

    def independent_cross(self, left: Floats, right: Floats, cluster: Ints | None = None) -> Floats:
        """Labelling part that a plain sandwich holds: the variances of the weights of single labelling units.

        Parameters
        ----------
        left, right : ndarray, shape (n, p) and (n, q)
            Values of the gold rows.
        cluster : ndarray of int, shape (N,), optional
            Analysis cluster the sandwich sums over; None when it sums within rows.

        Returns
        -------
        ndarray, shape (p, q)
            ``sum w (w - 1) left right'``, summed first over rows that share both the labelling unit and the cluster.
            As the weights have expectation 1, ``E sum_gold w (w - 1) = sum Var(w)`` for every design; single terms
            may be negative.
        """
        factor = self.weight * (self.weight - 1.0)
        if self.unit is not None and cluster is not None:
            group = pair_codes(self.unit[self.gold], cluster[self.gold])
            first = np.unique(group, return_index=True)[1]
            left, right, factor = group_totals(left, group), group_totals(right, group), factor[first]
        return cross_product(left, right, factor)

    @property
    def independent(self) -> bool:
        """Whether labelling units were drawn independently, so that the plain sandwich over them holds."""
        return self.single and not self.fixed_size

    def shares(self, error: Floats) -> Floats:
        """What each gold row adds to the variances of :meth:`cross`, about: ``spread (e - known)^2``, shape (n, p)."""
        return self.spread[:, None] * self.known_part(error)[0] ** 2

    def known_part(self, error: Floats) -> tuple[Floats, Known | None]:
        """Errors less the part whose inverse-probability total the design fixes.

        With a fixed size the total of ``w pi b`` over the rows drawn in a stratum is ``n b`` in every draw.
        Moving ``pi b`` from the error of each row to its prediction changes no estimate; b is that of Hajek's form.
        With any weights that add up to N, a constant can be moved. Errors have shape (n, p); what every row gains is
        None where the design fixes no total.
        """
        known = self.known(error)
        if known is None:
            return error, None
        gold = known.take(self.kind_of_gold)
        return dense(error) - gold.moved[:, None] * gold.level[gold.stratum], known

    def known(self, error: Floats) -> Known | None:
        """What every row gains of the part that the design fixes, see :meth:`known_part`."""
        if self.single and self.fixed_size:
            pi, stratum, unit = self._drawn.probability, self._drawn.stratum, self._drawn.code
            totals = by_row(np.divide, error if unit is None else group_totals(error, unit), pi)
            chance = pi < 1.0
            level = np.zeros((int(stratum.max()) + 1, error.shape[1]))
            found = dense(group_totals(by_row(np.multiply, totals[chance], 1.0 - pi[chance]), stratum[chance]))
            size = np.bincount(stratum[chance], weights=1.0 - pi[chance], minlength=len(found))
            level[: len(found)] = found / np.where(size > 0, size, 1.0)[:, None]
            share, rest, codes = self._moves
            return Known(share, rest, codes, level)
        n_rows, weight = self.n_rows, self.weight
        if self.independent or abs(weight.sum() - n_rows) > 1e-9 * n_rows or not error.shape[0]:
            return None
        spread = np.maximum(self.spread, 1e-300)
        level = dense(group_totals(by_row(np.multiply, error, spread), np.zeros(len(spread), dtype=np.intp)))
        return Known(*self._moves, level / spread.sum())

    @cached_property
    def _moves(self) -> tuple[Floats, Floats, Ints]:
        """What each row gains of the level of its stratum, the same less what weighted errors lose, its stratum."""
        n_rows = len(self.labelled)
        if self.single and self.fixed_size:
            rows = 1.0 if self._code is None else np.bincount(self._code)[self._code]
            codes = np.zeros(n_rows, dtype=np.intp) if self.stratum is None else self.stratum
            share, gold = self.probability / rows, np.flatnonzero(self.labelled)
            rest = share.copy()
            rest[gold] *= 1.0 - 1.0 / self.probability[gold]
            return share, rest, codes
        every = np.ones(n_rows)
        rest = every.copy()
        rest[self.gold] -= self.weight
        return every, rest, np.zeros(n_rows, dtype=np.intp)

    @cached_property
    def first_rows(self) -> Ints:
        """First row of each labelling unit, shape (units,)."""
        if self.unit is None:
            return np.arange(len(self.labelled))
        return np.unique(self.unit, return_index=True)[1].astype(np.intp)

    @cached_property
    def _code(self) -> Ints | None:
        """Labelling unit of each row, counted as in ``first_rows``; None for rows."""
        return None if self.unit is None else np.unique(self.unit, return_inverse=True)[1].astype(np.intp)

    @cached_property
    def _drawn(self) -> _Drawn:
        at = self.kind_of_gold
        pi = self.probability[at]
        stratum = np.zeros(len(pi), dtype=np.intp) if self.stratum is None else self.stratum[at]
        if self.unit is None:
            return _Drawn(pi, stratum, None)
        _, first, code = np.unique(self.unit[at], return_index=True, return_inverse=True)
        return _Drawn(pi[first], stratum[first], code.astype(np.intp))


@dataclass(frozen=True)
class _Drawn:
    """Probability and stratum of each drawn labelling unit, and the unit of each gold row (None for rows)."""

    probability: Floats
    stratum: Ints
    code: Ints | None


def pair_codes(first: Ints, second: Ints) -> Ints:
    """Codes of the distinct pairs of two code vectors."""
    combined = first.astype(np.int64) * (int(second.max()) + 1) + second
    codes: Ints = np.unique(combined, return_inverse=True)[1].astype(np.intp)
    return codes
