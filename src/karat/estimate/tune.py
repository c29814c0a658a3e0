"""How much of the surrogate moment to use: the weight matrix Lambda.

Section 3 of the methods: with ``L(a, b)`` the covariance that drawing the gold sample gives to
the totals of ``a`` and ``b``, the labelling variance of coefficient j under a row ``l`` of
coefficient-space weights is ``L(m, m)_jj - 2 l L(h, m)_j + l L(h, h) l'``. Sources: Angelopoulos, Duchi,
Zrnic (2023) for the scalar, Chen and Chen (2000) for the full matrix.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ..designs.entries import by_column, by_row, column_sums, group_totals, largest, power
from ..errors import DesignError
from .df import kurtosis_df
from .scores import LARGEST_LEVERAGE

if TYPE_CHECKING:
    from .._core.types import Array, Floats
    from ..designs import Labelling

_CLEARLY_BETTER = 0.9
"""Gold alone and weight 1 give way to an estimated weight only for a labelling variance below this share of theirs."""

MOST_LEARNT = 2.0
"""Largest weight for predictions learnt from the same gold: a larger one multiplies what they took from it."""

_FAR = 2.0
"""Factor between labelling variances of gold alone, with its own fixed effects and at the root, beyond which its own
counts."""

_TIED = 1e-9
"""Labelling variances that differ by less are the same, and the candidate with fewer weights is taken."""

UNITS_PER_WEIGHT, _UNITS_PER_FULL_WEIGHT = 15, 20
"""Effective number of gold units per estimated weight from which on one weight, and the full matrix, are candidates."""


@dataclass(frozen=True)
class Tuning:
    """Chosen weights.

    Parameters
    ----------
    mixing : ndarray, shape (p, p), or None
        Lambda in moment space; None is the identity.
    coefficient_weights : ndarray, shape (p, p)
        Lambda in coefficient space: row j holds the weights coefficient j gives to h.
    tuned : ndarray of int, shape (p,)
        Number of weights estimated for each coefficient (q).
    choice : tuple of str
        Which candidate each coefficient took.
    r_squared : ndarray, shape (p,)
        Share of the gold-only labelling variance that the choice removes (can be negative); not a number where gold
        alone cannot be had.
    inflation : ndarray, shape (p,)
        Factor on labelling errors that pays for weights estimated from the same gold,
        ``sqrt(d / (d - q))`` with d the effective number of gold units; 1 where nothing was tuned.
    left_out : ndarray, shape (n, p), or None
        Factor on the left-out error of each gold unit, as if its weight had been chosen without it; None means 1.
    """

    mixing: Floats | None
    coefficient_weights: Floats
    tuned: Floats
    choice: tuple[str, ...]
    r_squared: Floats
    inflation: Floats
    left_out: Floats | None = None

    def on_basis(self, basis: Floats) -> Floats:
        """Weights on predicted scores in other coordinates T, shape (p, p)."""
        return np.asarray(self.coefficient_weights @ basis)

    def with_mixing(self, curvature: Floats) -> Tuning:
        """The same with Lambda in moment space, from N times the Jacobian."""
        if all(choice == "one" for choice in self.choice):
            return replace(self, mixing=None)
        return replace(self, mixing=np.linalg.solve(curvature.T, (curvature @ self.coefficient_weights).T).T)


def tune(
    method: str,
    plain: tuple[Floats, Floats],
    left_out: tuple[Floats, Floats],
    labelling: Labelling,
    crossfitted: bool = False,
    at_root: bool = True,
    gold: Floats | None = None,
) -> Tuning:
    """Choose Lambda.

    Parameters
    ----------
    method : {"auto", "scalar", "coefficient", "full"}
        "auto" takes, for each coefficient, the smallest labelling variance, each unit's error taken with weights
        chosen without it.
    plain : tuple of two ndarrays of shape (n, p)
        Scores of the gold units at their gold and at their predicted labels, as coefficients (``m`` and ``h``).
    left_out : tuple of two ndarrays of shape (n, p)
        The same at the root without the unit.
    labelling : Labelling
        The draw.
    crossfitted : bool
        Whether h was learnt from this gold. Out-of-fold predictions are pulled away from the unit's own
        label (it is missing from its training rows), so a useless learner looks useful with a negative
        weight: with n = 100, five folds and five splits a fifth of the variance seems to go. "auto" then
        chooses among gold only, weight 1 and a positive weight.
    at_root : bool
        Whether the scores are those at the root of weight 1; weight 1 is a candidate only there.
    gold : ndarray, shape (p,), optional
        Labelling variance of gold alone where it has fixed effects of its own, infinite where it cannot be had: it
        counts where it is not within a factor of two of what these scores make of it.

    Returns
    -------
    Tuning
    """
    (m, h), p = plain, plain[0].shape[1]
    size = effective_size(m - h, labelling)
    v_mh, v_hh = labelling.cross(m, h), labelling.cross(h, h)
    rows = candidates(v_mh, v_hh)
    factor = pulls(h, v_hh, labelling)
    error = {name: (left_out[0] - left_out[1] @ row.T) * factor.get(name, 1.0) for name, row in rows.items()}
    variance = {name: np.diag(labelling.cross(e, e)) for name, e in error.items()}
    if gold is not None:
        seen = variance["gold"]
        variance["gold"] = np.where((gold > _FAR * seen) | (seen > _FAR * gold), gold, seen)
    chosen = np.full(p, "gold", dtype=object)
    if method in ("scalar", "coefficient", "full"):
        chosen[:] = method
    elif h.any():
        allowed = [*(["one"] if at_root else []), "coefficient", *([] if crossfitted else ["full"])]
        own = np.diag(rows["coefficient"]) if crossfitted else None
        chosen = select(variance, effective_size(h, labelling), allowed, own)
    weights = np.vstack([rows[chosen[j]][j] for j in range(p)])
    best = np.array([variance[chosen[j]][j] for j in range(p)])
    with np.errstate(divide="ignore", invalid="ignore"):
        gain = np.where(variance["gold"] > 0, 1.0 - best / variance["gold"], 0.0)
    gain[~np.isfinite(variance["gold"])] = np.nan
    count = {"scalar": 1, "coefficient": 1, "full": p}
    tuned = np.array([count.get(c, 0) for c in chosen], dtype=np.float64)
    inflation = np.sqrt(size / np.maximum(size - tuned, 0.5 * size))
    own_pull = np.column_stack([column(factor.get(chosen[j]), j, len(m)) for j in range(p)])
    return Tuning(None, weights, tuned, tuple(chosen), gain, inflation, own_pull)


def column(factor: Floats | None, j: int, n: int) -> Floats:
    """The factor of n units for coefficient j; 1 where there is none."""
    return np.ones(n) if factor is None else factor[:, min(j, factor.shape[1] - 1)]


def pulls(h: Floats, v_hh: Floats, labelling: Labelling, total: Floats | None = None) -> dict[str, Floats]:
    """Factor from the error of a gold unit to that with weights chosen without it, ``1 / (1 - H_i)``.

    A weight is a regression of m on h over gold units with the spread of their weights; ``H_i`` is the leverage there.
    Where the units are a part of all, ``total`` holds the squares of all.
    """
    known = labelling.known_part(h)[0]
    square = labelling.spread[:, None] * known**2
    total = square.sum(axis=0) if total is None else total
    scale = np.sqrt(np.where(np.diag(v_hh) > 0, np.diag(v_hh), 1.0))
    inner = np.linalg.pinv(v_hh / np.outer(scale, scale), rcond=1e-10, hermitian=True)
    pull = {
        "coefficient": np.divide(square, total, out=np.zeros_like(square), where=total > 0),
        "scalar": (square.sum(axis=1) / max(total.sum(), np.finfo(float).tiny))[:, None],
        "full": (labelling.spread * np.einsum("ij,jk,ik->i", known / scale, inner, known / scale))[:, None],
    }
    return {name: 1.0 / (1.0 - np.clip(own, 0.0, LARGEST_LEVERAGE)) for name, own in pull.items()}


def gold_only(p: int) -> Tuning:
    """Lambda = 0."""
    return Tuning(np.zeros((p, p)), np.zeros((p, p)), np.zeros(p), ("gold",) * p, np.zeros(p), np.ones(p))


def untuned(p: int, choice: str = "one") -> Tuning:
    """Lambda = 1, taken as given."""
    return Tuning(None, np.eye(p), np.zeros(p), (choice,) * p, np.zeros(p), np.ones(p))


def effective_size(error: Floats, labelling: Labelling) -> Floats:
    """Gold units that carry the labelling variance of each coefficient, shape (p,).

    With equal weights about n; with sparse ones the few units with large weights count. It is the
    kurtosis figure of :func:`karat.estimate.df.kurtosis_df` for the error times the root of its spread
    (``sqrt(1 - pi) / pi``), and at most the number of units drawn.

    Raises
    ------
    DesignError
        If a row has a negative spread.
    """
    if (labelling.spread < 0).any():
        raise DesignError(
            f"{int((labelling.spread < 0).sum())} gold row(s) would take away from the labelling variance (a "
            "probability above 1), so no effective size can be told; correct the probabilities of the design."
        )
    scaled = by_row(np.multiply, error, np.sqrt(labelling.spread))
    if labelling.unit is not None:
        scaled = group_totals(scaled, np.unique(labelling.unit[labelling.labelled], return_inverse=True)[1])
    longest = largest(scaled)
    square = power(by_column(np.divide, scaled, np.where(longest > 0, longest, 1.0)), 2)
    return np.clip(kurtosis_df(column_sums(square), column_sums(power(square, 2))), 2.0, float(labelling.n_units))


def candidates(v_mh: Floats, v_hh: Floats) -> dict[str, Floats]:
    """Coefficient-space weights of every candidate, each of shape (p, p)."""
    p = len(v_hh)
    spread = np.diag(v_hh)
    with np.errstate(divide="ignore", invalid="ignore"):
        own = np.where(spread > 0, np.diag(v_mh) / spread, 0.0)
        common = np.trace(v_mh) / np.trace(v_hh) if np.trace(v_hh) > 0 else 0.0
    scale = np.sqrt(np.where(spread > 0, spread, 1.0))
    full = (v_mh / scale) @ np.linalg.pinv(v_hh / np.outer(scale, scale), rcond=1e-10, hermitian=True) / scale
    return {
        "gold": np.zeros((p, p)),
        "one": np.eye(p),
        "scalar": common * np.eye(p),
        "coefficient": np.diag(own),
        "full": full,
    }


def select(variance: dict[str, Floats], size: Floats, candidates: list[str], positive: Floats | None) -> Array:
    """The candidate with the smallest labelling variance, coefficient by coefficient (methods, section 3).

    ``size`` is the effective number of gold units that an estimated weight rests on.
    """
    p = len(size)
    chosen = np.full(p, "gold", dtype=object)
    for j in range(p):
        allowed = [c for c in candidates if c != "full" or size.min() >= _UNITS_PER_FULL_WEIGHT * p]
        unwanted = positive is not None and not 0 < positive[j] <= MOST_LEARNT
        if unwanted or size[j] < UNITS_PER_WEIGHT:
            allowed.remove("coefficient")
        simple = ["gold", "one"] if "one" in allowed else ["gold"]
        chosen[j] = min(simple, key=lambda name: variance[name][j])
        least = min((variance[name][j] for name in allowed), default=0.0) * (1.0 + _TIED)
        best = next((name for name in allowed if variance[name][j] <= least), "gold")
        if variance[best][j] < _CLEARLY_BETTER * variance[chosen[j]][j]:
            chosen[j] = best
    return chosen
