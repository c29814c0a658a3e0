"""Several draws in a row, combined: the labelling of a pilot and a main wave.

Source of the estimator: docs/methods.md, section 5; its errors are martingale differences, wave by wave.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar

import numpy as np

from .._core.types import Bools, Floats, Ints
from ..errors import DesignError
from .labelling import Labelling, pair_codes


@dataclass(frozen=True)
class Wave:
    """One wave of several.

    Parameters
    ----------
    rows : ndarray of bool, shape (N,)
        Rows that could be drawn in it: those not drawn before.
    labelling : Labelling
        The draw among these rows.
    share : float
        Share of the wave in the combined estimate.

    Examples
    --------
    >>> import karat as kt
    >>> waves = kt.Waves([kt.SimpleRandom(4), kt.SimpleRandom(4)])
    >>> second = waves.draw({"document": list(range(20))}, seed=1).labelling.waves[1]
    >>> int(second.rows.sum()), second.labelling.n_gold
    (16, 4)
    """

    rows: Bools
    labelling: Labelling
    share: float


@dataclass(frozen=True)
class SequentialLabelling(Labelling):
    """Several waves, each drawn among the rows that no earlier wave had drawn, combined with fixed shares.

    With ``phi_k = h + {drawn before wave k + R_k / pi_k} (m - h)`` the estimate of wave k, which is unbiased given
    all earlier waves, the combination ``sum_k o_k phi_k`` gives a unit the weight
    ``w = sum_k o_k {drawn before wave k + R_k / pi_k}``. The errors of the waves are uncorrelated, so
    ``sum_k o_k^2 V_k`` is the labelling variance, V_k that of wave k among the rows left to it.
    ``probability`` is that of the wave that drew a row, for rows not drawn that of the last wave: it is not
    one over the weight.

    Parameters
    ----------
    waves : tuple of Wave
        In time order; the other arguments are worked out from them by :meth:`of`.

    Examples
    --------
    >>> import karat as kt
    >>> waves = kt.Waves([kt.SimpleRandom(4), kt.SimpleRandom(2)])
    >>> labelling = waves.draw({"document": list(range(20))}, seed=1).labelling
    >>> type(labelling).__name__, int(labelling.labelled.sum())
    ('SequentialLabelling', 6)
    """

    single: ClassVar[bool] = False
    waves: tuple[Wave, ...] = ()

    @classmethod
    def of(cls, waves: tuple[Wave, ...]) -> SequentialLabelling:
        """Combine waves.

        Raises
        ------
        DesignError
            If some waves draw rows and others clusters, or different clusters.
        """
        n_rows = len(waves[0].rows)
        labelled, probability = np.zeros(n_rows, dtype=bool), np.ones(n_rows)
        unit: Ints | None = None
        for k, wave in enumerate(waves):
            part = wave.labelling
            probability[wave.rows] = part.probability
            labelled[wave.rows] |= part.labelled
            if (part.unit is None) != (waves[0].labelling.unit is None):
                raise DesignError(
                    f"wave {k + 1} and wave 1 draw different kinds of units (rows in one, whole clusters in the "
                    "other); draw the same kind in every wave."
                )
            if k == 0:
                unit = part.unit
            elif unit is not None and part.unit is not None and not same_groups(unit[wave.rows], part.unit):
                raise DesignError(
                    f"wave {k + 1} draws other clusters than wave 1; draw the same clusters in every wave."
                )
        fixed = all(w.labelling.fixed_size for w in waves)
        return cls(probability, labelled, fixed, None, unit, _description(waves, labelled), waves=waves)

    @property
    def parts(self) -> tuple[Labelling, ...]:
        """The draw of each wave."""
        return tuple(wave.labelling for wave in self.waves)

    @property
    def caution(self) -> str:
        """What must be said of waves that are not a probability sample."""
        told = [f"wave {k + 1}: {part.caution}" for k, part in enumerate(self.parts) if part.caution]
        return "; ".join(told)

    @cached_property
    def wave(self) -> Ints:
        """Wave that drew each row, counted from 1; 0 for rows not drawn, shape (N,)."""
        out = np.zeros(len(self.labelled), dtype=np.intp)
        for k, wave in enumerate(self.waves):
            out[np.flatnonzero(wave.rows)[wave.labelling.labelled]] = k + 1
        return out

    @cached_property
    def weight(self) -> Floats:
        """``sum_k o_k {drawn before wave k + R_k / pi_k}`` of the drawn rows, shape (n,)."""
        drawn_in = self.wave[self.labelled]
        later = np.append(np.cumsum([w.share for w in self.waves][::-1])[::-1][1:], 0.0)
        return self._shares[drawn_in - 1] / self.probability[self.labelled] + later[drawn_in - 1]

    @cached_property
    def spread(self) -> Floats:
        """``o_k^2 (1 - pi_k) / pi_k^2`` with k the wave that drew the row, shape (n,)."""
        pi = self.probability[self.labelled]
        return self._shares[self.wave[self.labelled] - 1] ** 2 * (1.0 - pi) / pi**2

    @property
    def spread_everywhere(self) -> Floats:
        """``sum_k o_k^2 (1 - pi_k) / pi_k`` over the waves that could have drawn the row, shape (N,)."""
        out = np.zeros(len(self.labelled))
        for wave in self.waves:
            out[wave.rows] += wave.share**2 * wave.labelling.spread_everywhere
        return out

    @cached_property
    def _shares(self) -> Floats:
        return np.array([wave.share for wave in self.waves])

    @cached_property
    def n_strata(self) -> int:
        """Strata of all waves in which chance decides."""
        return sum(part.n_strata for part in self.parts)

    def cross(self, left: Floats, right: Floats) -> Floats:
        """Estimated covariance over repeated draws: ``sum_k o_k^2 V_k``, see :meth:`Labelling.cross`."""
        drawn_in = self.wave[self.labelled]
        out = np.zeros((left.shape[1], right.shape[1]))
        for k, wave in enumerate(self.waves):
            inside = drawn_in == k + 1
            out += wave.share**2 * wave.labelling.cross(left[inside], right[inside])
        return out

    def take(self, order: Ints) -> Labelling:
        """The same draw with its rows in another order."""
        waves = []
        for wave in self.waves:
            place = np.full(len(order), -1, dtype=np.intp)
            place[wave.rows] = np.arange(int(wave.rows.sum()))
            inside = place[order]
            waves.append(Wave(wave.rows[order], wave.labelling.take(inside[inside >= 0]), wave.share))
        return SequentialLabelling.of(tuple(waves))

    def keep(self, rows: Bools) -> Labelling:
        """The same draw seen on a subset of rows that observed variables define, wave by wave."""
        if rows.all():
            return self
        for k, wave in enumerate(self.waves):
            if not (rows & wave.rows).any():
                raise DesignError(
                    f"after leaving out rows with missing values none is left that wave {k + 1} could have drawn; fill "
                    "the values."
                )
        kept = SequentialLabelling.of(
            tuple(Wave(w.rows[rows], w.labelling.keep(rows[w.rows]), w.share) for w in self.waves)
        )
        return replace(kept, recorded=self.recorded)


def same_groups(first: Ints, second: Ints) -> bool:
    """Whether two code vectors group rows alike."""
    return int(pair_codes(first, second).max(initial=-1)) + 1 == np.unique(first).size == np.unique(second).size


def drawn_after(labelling: Labelling, waves: int) -> Bools:
    """Rows drawn after the first so many waves, shape (N,)."""
    if isinstance(labelling, SequentialLabelling):
        return np.asarray(labelling.wave > waves)
    return labelling.labelled


def _description(waves: tuple[Wave, ...], labelled: Bools) -> str:
    parts = [w.labelling for w in waves]
    weights = np.array(
        [w.share / w.labelling.probability[0] + sum(v.share for v in waves[k + 1 :]) for k, w in enumerate(waves)]
    )
    alike = all(p.fixed_size and p.stratum is None and p.unit is None and np.ptp(p.probability) == 0 for p in parts)
    if alike and np.ptp(weights) <= 1e-9 * weights.max():
        return f"simple random sample in {len(waves)} waves, {int(labelled.sum()):,} of {len(labelled):,}"
    text = [f"wave {k + 1} (share {w.share:.3g}): {w.labelling.description}" for k, w in enumerate(waves)]
    if len(text) > 3:
        text = [text[0], "...", text[-1]]
    return f"{len(waves)} waves; {'; '.join(text)}"
