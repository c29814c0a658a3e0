"""Several draws from one frame: who is labelled in what, joint weights, and the variance that drawing adds.

Rows that have everything (*full* ones) are among those that have a part of it (a *level*). Draws are either nested, the
second made among the rows of the first (two-phase sampling, Saerndal, Swensson, Wretman 1992, chapter 9), or crossed:
two draws made independently of each other. Where both are simple random samples (of the same strata), inference is
given how many rows each of them, and both, have: which rows these are is then a random permutation within strata.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..errors import DataError, DesignError
from .entries import group_totals
from .labelling import Labelling

if TYPE_CHECKING:
    from .._core.types import Bools, Floats, Ints

Errors = tuple["Floats", ...]
"""What the weights of full rows, and of each level, are multiplied by in an estimate: arrays of shape (n, P), one value
for each full row."""

_Term = tuple["Floats", "Floats", "Floats"]
"""Values left and right, and the weight of each full row, in a sum of products."""


@dataclass(frozen=True)
class Phases:
    """Draws of rows that have a part of the labels, or all of them.

    Parameters
    ----------
    full : Labelling
        Rows that have everything, among N. Where draws are nested, what the second had been for rows that the first
        left out is not known: these have its mean probability.
    levels : tuple of Labelling
        Rows that have a part of it, among N: one draw where draws are nested, two where they are crossed.
    second : Labelling or None
        Where draws are nested, that of full rows among the rows of the level.

    Examples
    --------
    >>> import karat as kt
    >>> first = kt.SimpleRandom(n=4).draw({"document": list(range(8))}, seed=1).labelling
    >>> second = kt.SimpleRandom(n=2).draw({"document": list(range(4))}, seed=1).labelling
    >>> Phases.nested(first, second).full.weight
    array([4., 4.])
    """

    full: Labelling
    levels: tuple[Labelling, ...]
    second: Labelling | None = None

    @classmethod
    def nested(cls, first: Labelling, second: Labelling) -> Phases:
        """A draw, and another one among the rows that it drew.

        Raises
        ------
        DesignError
            If whole clusters, or several waves, were drawn.
        """
        for one in (first, second):
            _refuse(one)
        labelled, probability = np.zeros(first.n_rows, dtype=bool), first.probability * second.probability.mean()
        labelled[first.gold] = second.labelled
        probability[first.gold] = first.probability[first.gold] * second.probability
        recorded = first.recorded and second.recorded
        full = Labelling(probability, labelled, first.fixed_size and second.fixed_size, recorded=recorded)
        return cls(full, (first,), second)

    @classmethod
    def crossed(cls, one: Labelling, other: Labelling) -> Phases:
        """Two draws, independent of each other.

        Raises
        ------
        DataError, DesignError
            If no row, in all or in a stratum, was drawn in both; for draws of whole clusters or several waves.
        """
        for draw in (one, other):
            _refuse(draw)
        labelled, recorded = one.labelled & other.labelled, one.recorded and other.recorded
        if not labelled.any():
            raise DataError("no row has all labels, so nothing tells how they go together; label some rows in all.")
        stratum = _common_strata(one, other)
        if stratum is None:
            full = Labelling(one.probability * other.probability, labelled, False, recorded=recorded)
            return cls(full, (one, other))
        size, both = np.bincount(stratum), np.bincount(stratum[labelled], minlength=int(stratum.max()) + 1)
        if (both == 0).any():
            raise DesignError(
                f"in {int((both == 0).sum())} strata no row has all labels, so nothing tells how they go together "
                "there; label some rows of each stratum in all, or merge strata."
            )
        full = Labelling((both / size)[stratum], labelled, True, None if len(size) == 1 else stratum, recorded=recorded)
        return cls(full, (one, other))

    @classmethod
    def within(cls, one: Labelling, other: Labelling) -> Phases:
        """Two draws of which the other was made among the rows of the one, both told from all N rows.

        Raises
        ------
        DesignError
            If a row is more probable in the other, or the probability of the other, given the one, is not known.
        """
        for draw in (one, other):
            _refuse(draw)
        rows = one.gold
        if one.independent and other.independent:
            share = other.probability[rows] / one.probability[rows]
            if (share > 1.0 + 1e-9).any():
                raise DesignError(
                    f"{int((share > 1.0 + 1e-9).sum())} row(s) have a larger probability in the draw that is part of "
                    "the other; correct the probabilities."
                )
            return cls.nested(one, Labelling(np.minimum(share, 1.0), other.labelled[rows], False))
        stratum = _common_strata(one, other)
        if stratum is None:
            raise DesignError(
                "how the smaller sample was drawn among the rows of the larger one is not known: give the sample drawn "
                "from these rows, or, for both, simple random samples, samples of the same strata, or probabilities."
            )
        stratum = stratum[rows]
        size = np.maximum(np.bincount(stratum), 1)
        share = (np.bincount(stratum[other.labelled[rows]], minlength=len(size)) / size)[stratum]
        return cls.nested(one, Labelling(share, other.labelled[rows], True, None if len(size) == 1 else stratum))

    def keep(self, rows: Bools) -> Phases:
        """The same on rows that observed variables define, see :meth:`Labelling.keep`."""
        if rows.all():
            return self
        if self.second is not None:
            first = self.levels[0]
            return Phases.nested(first.keep(rows), self.second.keep(rows[first.gold]))
        return Phases.crossed(*(level.keep(rows) for level in self.levels))

    def among(self, level: int) -> Labelling:
        """The draw of full rows among the rows of a level, given which these are."""
        if self.second is not None:
            return self.second
        rows = self.levels[level].labelled
        probability = self.full.probability / self.levels[level].probability
        stratum = None if self.full.stratum is None else self.full.stratum[rows]
        return Labelling(probability[rows], self.full.labelled[rows], self.full.fixed_size, stratum)

    @property
    def n_strata(self) -> int:
        """Strata of fixed size in which chance decides who is full."""
        return self.full.n_strata if self.second is None else self.second.n_strata

    def level_weights(self, level: int) -> Floats:
        """Weight that the rows of a level have at full rows, shape (n,)."""
        return np.asarray(1.0 / self.levels[level].probability[self.full.gold])

    def cross(self, errors: Errors) -> Floats:
        """Estimated covariance, over repeated draws, of the totals ``sum w_full e_full + sum_k sum w_k e_k``.

        Parameters
        ----------
        errors : tuple of ndarray, each of shape (n, P)
            Of the full rows, first what their own weight is multiplied by.

        Returns
        -------
        ndarray, shape (P, P)
            Nested: the variance of the first draw on ``e_full + e_1``, estimated from full rows, and that of the second
            on ``w_1 e_full``. Crossed: the variance of each draw on ``e_full + e_k``, estimated from full rows with the
            weights of the other draw, plus ``sum w (1/pi_1 - 1) (1/pi_2 - 1) e_full e_full'``. For equal probabilities
            in the same strata, given how many rows have what, ``sum w c_ab e_a e_b'`` of errors less their means in
            strata, times ``n / (n - 1)``, with ``c_ab = pi_ab / (pi_a pi_b) - 1``.
        """
        out = np.zeros((errors[0].shape[1],) * 2)
        for left, right, weight in self._terms(errors):
            out = out + (left * weight[:, None]).T @ right
        if self.second is not None:
            own = errors[0] * self.level_weights(0)[:, None]
            out = out + self.second.cross(own, own)
        return (out + out.T) / 2.0

    def shares(self, errors: Errors) -> Floats:
        """What each full row adds to the variances of :meth:`cross`, about, shape (n, P)."""
        out = sum(left * right * weight[:, None] for left, right, weight in self._terms(errors))
        if self.second is not None:
            out = out + self.second.shares(errors[0] * self.level_weights(0)[:, None])
        return np.maximum(np.asarray(out), 0.0)

    def centred(self, errors: Errors) -> tuple[Errors, Errors]:
        """Errors less the part whose weighted total fixed sizes make known, and that part."""
        if not self.full.fixed_size or (self.second is not None and self.second.stratum is not None):
            return errors, tuple(np.zeros_like(e) for e in errors)
        stratum = self._strata(self.full)
        level = tuple(_means(e, np.ones(len(e)), stratum)[stratum] for e in errors)
        return tuple(e - part for e, part in zip(errors, level)), level

    def _strata(self, draw: Labelling) -> Ints:
        rows = self.full.gold
        return np.zeros(len(rows), dtype=np.intp) if draw.stratum is None else draw.stratum[rows]

    def _terms(self, errors: Errors) -> list[_Term]:
        """Products that add up to the covariance, but for the second of nested draws."""
        full, *levels = errors
        if self.second is not None:
            first, weight = self.levels[0], self.second.weight
            pi = first.probability[self.full.gold]
            total, spread = (full + levels[0]) / pi[:, None], weight * (1.0 - pi)
            if first.fixed_size:
                total, factor = _deviations(total, spread, self._strata(first))
                spread = spread * factor
            return [(total, total, spread)]
        pi, weight = self.full.probability[self.full.gold], self.full.weight
        own = [draw.probability[self.full.gold] for draw in self.levels]
        c = [1.0 / p - 1.0 for p in own]
        if not self.full.fixed_size:
            terms = [(full, full, weight * c[0] * c[1])]
            for draw, level, p, q in zip(self.levels, levels, own, own[::-1]):
                total, spread = (level + full) / p[:, None], (1.0 - p) / q
                if draw.fixed_size:
                    total, factor = _deviations(total, spread, self._strata(draw))
                    spread = spread * factor
                terms.append((total, total, spread))
            return terms
        found = [_deviations(e, np.ones(len(e)), self._strata(self.full)) for e in errors]
        weight, (full, *levels) = weight * found[0][1], [e for e, _ in found]
        apart = weight * (pi / (own[0] * own[1]) - 1.0)
        terms = [(level + full, level + full, weight * k) for level, k in zip(levels, c)]
        terms.append((full, full, weight * (1.0 / pi - 1.0 - c[0] - c[1])))
        return [*terms, (levels[0], levels[1], apart), (levels[1], levels[0], apart)]


def _refuse(draw: Labelling) -> None:
    """Raise for draws whose joint probabilities with another one are not worked out."""
    what = "" if draw.single else "several waves"
    what = "whole clusters" if draw.unit is not None else what
    what = "a modelled draw, or one with nonresponse," if draw.first is not None or draw.caution else what
    if what:
        raise DesignError(
            f"{what} cannot be combined with another draw; labels that were drawn apart take SimpleRandom, Stratified, "
            "Unequal or probabilities of single rows."
        )


def _common_strata(one: Labelling, other: Labelling) -> Ints | None:
    """Strata of two draws of equal probability in the same strata, shape (N,); without strata all rows are one.

    None for all other draws.
    """
    alike = one.fixed_size and other.fixed_size
    codes = [np.zeros(d.n_rows, dtype=np.intp) if d.stratum is None else d.stratum for d in (one, other)]
    pairs = len({*zip(*(c.tolist() for c in codes))})
    for draw, own in zip((one, other), codes):
        alike &= pairs == len(np.unique(own))
        alike &= bool(np.allclose(draw.probability, _means(draw.probability[:, None], None, own)[own, 0]))
    return codes[0] if alike else None


def _means(values: Floats, weight: Floats | None, group: Ints) -> Floats:
    """Weighted means within groups, shape (groups, P)."""
    weight = np.ones(len(values)) if weight is None else weight
    total = np.bincount(group, weights=weight)
    return np.asarray(group_totals(values * weight[:, None], group) / np.where(total > 0, total, 1.0)[:, None])


def _deviations(values: Floats, weight: Floats, group: Ints) -> tuple[Floats, Floats]:
    """Values less their weighted means within groups, and ``n / (n - 1)`` of the group of each row.

    Raises
    ------
    DesignError
        If a group in which chance decides holds a single row.
    """
    count = np.bincount(group[weight > 0], minlength=int(group.max()) + 1)
    if (count == 1).any():
        raise DesignError(
            "a stratum holds a single row that has all labels, so the variance of labelling cannot be estimated; merge "
            "it with another stratum or label at least one row more in all."
        )
    return values - _means(values, weight, group)[group], (count / np.maximum(count - 1, 1))[group]
