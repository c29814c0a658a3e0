"""How gold was drawn, as arrays, and the variance that drawing adds.

Everything an estimator needs to know about a sampling design is here: who was drawn,
with which probability, in which stratum and labelling unit, and whether the sample
size was fixed. Formulas: Saerndal, Swensson, Wretman (1992), *Model Assisted Survey
Sampling*, sections 2.8, 3.3, 3.7 and 4.2.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from ..errors import DesignError

if TYPE_CHECKING:
    from .._types import Bools, Floats, Ints


@dataclass(frozen=True)
class Labelling:
    """The drawn gold sample as arrays.

    Parameters
    ----------
    probability : ndarray, shape (N,)
        Inclusion probability of every unit, in (0, 1].
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
        """What must be said of labels that are no probability sample; empty for one that is."""
        return ""

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
        """Inverse probabilities of the drawn rows, shape (n,)."""
        return 1.0 / self.probability[self.labelled]

    @cached_property
    def n_units(self) -> int:
        """Number of labelling units drawn: rows, or clusters when whole clusters are drawn."""
        if self.unit is None:
            return self.n_gold
        return int(np.unique(self.unit[self.labelled]).size)

    @cached_property
    def n_strata(self) -> int:
        """Number of strata of a fixed-size design; 0 when rows were drawn independently."""
        if not self.fixed_size:
            return 0
        return 1 if self.stratum is None else int(np.unique(self.stratum).size)

    def keep(self, rows: Bools) -> Labelling:
        """The same draw seen on a subset of rows that observed variables define.

        Given how many of them were drawn, the units of a fixed-size design that are kept are a simple
        random sample of those kept in their stratum, so their probabilities are the shares drawn there.

        Raises
        ------
        DesignError
            If a stratum keeps units but no gold.
        """
        if rows.all():
            return self
        kept = replace(
            self,
            probability=self.probability[rows],
            labelled=self.labelled[rows],
            stratum=None if self.stratum is None else np.unique(self.stratum[rows], return_inverse=True)[1],
            unit=None if self.unit is None else np.unique(self.unit[rows], return_inverse=True)[1],
            strata=self._strata_kept(rows),
            first=None if self.first is None else self.first.keep(rows),
        )
        return replace(kept, probability=kept._shares_drawn()) if self.fixed_size else kept

    def _strata_kept(self, rows: Bools) -> tuple[str, ...]:
        if self.stratum is None or not self.strata:
            return ()
        return tuple(self.strata[s] for s in np.unique(self.stratum[rows]))

    def _shares_drawn(self) -> Floats:
        """Share of labelling units drawn in the stratum of each row, shape (N,)."""
        size, drawn_stratum, _ = self._strata
        drawn = np.bincount(drawn_stratum, minlength=len(size))
        if (drawn == 0).any():
            raise DesignError(
                "after leaving out rows with missing values a stratum has units but no gold; fill the values, or merge "
                "strata."
            )
        shares = drawn / size
        if self.stratum is None:
            return np.full(len(self.labelled), shares[0])
        return np.asarray(shares[self.stratum])

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
            Poisson form for independent draws; for fixed sizes
            ``sum_s N_s^2 (1/n_s - 1/N_s) S_s(left, right)`` on totals of labelling units.
        """
        if self.fixed_size:
            return self._fixed_size_cross(left, right)
        return self.independent_cross(left, right)

    def independent_cross(self, left: Floats, right: Floats, cluster: Ints | None = None) -> Floats:
        """Labelling part that a plain sandwich holds, as if labelling units were drawn independently.

        Parameters
        ----------
        left, right : ndarray, shape (n, p) and (n, q)
            Values of the gold rows.
        cluster : ndarray of int, shape (N,), optional
            Analysis cluster the sandwich sums over; None when it sums within rows.

        Returns
        -------
        ndarray, shape (p, q)
            ``sum R (1 - pi) / pi^2 left right'``, summed first over rows that share both the
            labelling unit and the analysis cluster.
        """
        weight = self.weight
        root = np.sqrt(np.maximum(weight * (weight - 1.0), 0.0))
        left, right = left * root[:, None], right * root[:, None]
        if self.unit is not None and (cluster is not None or not self.fixed_size):
            unit = self.unit[self.labelled]
            group = unit if cluster is None else _pairs(unit, cluster[self.labelled])
            left, right = group_totals(left, group), group_totals(right, group)
        return left.T @ right

    def _fixed_size_cross(self, left: Floats, right: Floats) -> Floats:
        size, drawn_stratum, unit = self._strata
        if unit is not None:
            left, right = group_totals(left, unit), group_totals(right, unit)
        out = np.zeros((left.shape[1], right.shape[1]))
        drawn = np.bincount(drawn_stratum, minlength=len(size))
        for s in np.flatnonzero(drawn):
            n_s, big_n = int(drawn[s]), int(size[s])
            if n_s == big_n:
                continue
            if n_s == 1:
                raise DesignError(
                    "a stratum holds a single gold unit, so the variance of labelling cannot be estimated; "
                    "merge it with another stratum or label at least one unit more."
                )
            inside = slice(None) if len(size) == 1 else drawn_stratum == s
            a = left[inside] - left[inside].mean(axis=0)
            b = right[inside] - right[inside].mean(axis=0)
            out += big_n**2 * (1.0 / n_s - 1.0 / big_n) / (n_s - 1) * (a.T @ b)
        return out

    @cached_property
    def _strata(self) -> tuple[Ints, Ints, Ints | None]:
        """Labelling units per stratum; stratum of each drawn unit; unit of each gold row, or None for rows."""
        gold = self.labelled
        if self.unit is None:
            if self.stratum is None:
                return np.array([len(gold)]), np.zeros(self.n_gold, dtype=np.intp), None
            return np.bincount(self.stratum), self.stratum[gold], None
        _, first = np.unique(self.unit, return_index=True)
        _, first_gold, code = np.unique(self.unit[gold], return_index=True, return_inverse=True)
        stratum = np.zeros(len(gold), dtype=np.intp) if self.stratum is None else self.stratum
        return np.bincount(stratum[first]), stratum[gold][first_gold], code


def group_totals(values: Floats, group: Ints) -> Floats:
    """Column sums within groups.

    Parameters
    ----------
    values : ndarray, shape (n, p)
        Rows to add up.
    group : ndarray of int, shape (n,)
        Group codes from 0; gaps give rows of zeros, which change no cross product.

    Returns
    -------
    ndarray, shape (number of groups, p)

    Examples
    --------
    >>> import numpy as np
    >>> group_totals(np.array([[1.0], [2.0], [4.0]]), np.array([0, 0, 1]))
    array([[3.],
           [4.]])
    """
    n_groups = int(group.max()) + 1 if len(group) else 0
    out = np.empty((n_groups, values.shape[1]))
    for j in range(values.shape[1]):
        out[:, j] = np.bincount(group, weights=values[:, j], minlength=n_groups)
    return out


def _pairs(first: Ints, second: Ints) -> Ints:
    """Codes of the distinct pairs of two code vectors."""
    combined = first.astype(np.int64) * (int(second.max()) + 1) + second
    codes: Ints = np.unique(combined, return_inverse=True)[1].astype(np.intp)
    return codes
