"""How much of the surrogate moment to use: the weight matrix Lambda.

Section 3 of the methods: with ``L(a, b)`` the covariance that drawing the gold sample gives to
the totals of ``a`` and ``b``, the labelling variance of coefficient j under a row ``l`` of
coefficient-space weights is ``L(m, m)_jj - 2 l L(h, m)_j + l L(h, h) l'``. Sources: Angelopoulos, Duchi,
Zrnic (2023) for the scalar, Chen and Chen (2000) for the full matrix.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..designs.labelling import group_totals
from ..errors import DesignError
from .df import kurtosis_df

if TYPE_CHECKING:
    from .._types import Array, Floats
    from ..designs import Labelling

_CLEARLY_BETTER = 0.9
"""``lambda = 1`` gives way only to a labelling variance below this share of its own."""

_UNITS_PER_FULL_WEIGHT = 20
"""Gold units per weight from which on the full matrix is a candidate."""

CHOICES = ("gold", "one", "coefficient", "full", "scalar")


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
        Share of the gold-only labelling variance that the choice removes (can be negative).
    inflation : ndarray, shape (p,)
        Factor on labelling errors that pays for weights estimated from the same gold,
        ``sqrt(d / (d - q))`` with d the effective number of gold units; 1 where nothing was tuned.
    """

    mixing: Floats | None
    coefficient_weights: Floats
    tuned: Floats
    choice: tuple[str, ...]
    r_squared: Floats
    inflation: Floats


def tune(
    method: str | None, m: Floats, h: Floats, curvature: Floats, labelling: Labelling, crossfitted: bool = False
) -> Tuning:
    """Choose Lambda.

    Parameters
    ----------
    method : {"auto", "scalar", "coefficient", "full"} or None
        None keeps weight 1; "auto" takes, for each coefficient, the smallest labelling variance
        after paying for the number of weights, and leaves 1 only for something clearly better.
    m, h : ndarray, shape (n, p)
        Scores of the gold rows at their gold and at their predicted labels, times analysis weight.
    curvature : ndarray, shape (p, p)
        N times the Jacobian, which turns moments into coefficients.
    labelling : Labelling
        The draw.
    crossfitted : bool
        Whether h was learnt from this gold. Out-of-fold predictions are pulled away from the unit's own
        label (it is missing from its training rows), so a useless learner looks useful with a negative
        weight: with n = 100, five folds and five splits a fifth of the variance seems to go. "auto" then
        chooses among gold only, weight 1 and a positive weight.

    Returns
    -------
    Tuning
    """
    p = m.shape[1]
    inverse = np.linalg.inv(curvature)
    m_coef, h_coef = m @ inverse.T, h @ inverse.T
    size = effective_size(m_coef - h_coef, labelling)
    v_mm = np.diag(labelling.cross(m_coef, m_coef)).copy()
    v_mh, v_hh = labelling.cross(m_coef, h_coef), labelling.cross(h_coef, h_coef)
    rows = _candidates(v_mh, v_hh)
    variance = {k: v_mm - 2 * np.sum(w * v_mh, axis=1) + np.sum((w @ v_hh) * w, axis=1) for k, w in rows.items()}
    count = {"gold": 0, "one": 0, "scalar": 1, "coefficient": 1, "full": p}

    chosen = np.full(p, "one", dtype=object)
    if method in ("scalar", "coefficient", "full"):
        chosen[:] = method
    elif method == "auto" and v_hh.any():
        allowed = ["gold", "coefficient"] if crossfitted else ["gold", "coefficient", "full"]
        chosen = _select(variance, count, size, allowed, np.diag(rows["coefficient"]) if crossfitted else None)
    weights = np.vstack([rows[chosen[j]][j] for j in range(p)])
    best = np.array([variance[chosen[j]][j] for j in range(p)])
    with np.errstate(divide="ignore", invalid="ignore"):
        gain = np.where(v_mm > 0, 1.0 - best / v_mm, 0.0)
    mixing = None if (chosen == "one").all() else curvature @ weights @ inverse
    tuned = np.array([count[c] for c in chosen], dtype=np.float64)
    inflation = np.sqrt(size / np.maximum(size - tuned, 0.5 * size))
    return Tuning(mixing, weights, tuned, tuple(chosen), gain, inflation)


def gold_only(p: int) -> Tuning:
    """Lambda = 0."""
    return Tuning(np.zeros((p, p)), np.zeros((p, p)), np.zeros(p), ("gold",) * p, np.zeros(p), np.ones(p))


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
    scaled = error * np.sqrt(labelling.spread)[:, None]
    if labelling.unit is not None:
        scaled = group_totals(scaled, np.unique(labelling.unit[labelling.labelled], return_inverse=True)[1])
    square = scaled**2
    return np.clip(kurtosis_df(square.sum(axis=0), (square**2).sum(axis=0)), 2.0, float(labelling.n_units))


def _candidates(v_mh: Floats, v_hh: Floats) -> dict[str, Floats]:
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


def _select(
    variance: dict[str, Floats], count: dict[str, int], size: Floats, candidates: list[str], positive: Floats | None
) -> Array:
    """The rule of methods section 3, coefficient by coefficient, with the effective number of gold units."""
    p = len(size)
    chosen = np.full(p, "one", dtype=object)
    for j in range(p):
        n = size[j]
        allowed = [c for c in candidates if c != "full" or n >= _UNITS_PER_FULL_WEIGHT * p]
        if positive is not None and positive[j] <= 0:
            allowed.remove("coefficient")
        priced = {}
        for name in ["one", *allowed]:
            left = n - count[name] - 2
            priced[name] = variance[name][j] * (n - 2) / left if left > 0 else np.inf
        best = min(allowed, key=priced.__getitem__)
        if priced[best] < _CLEARLY_BETTER * priced["one"]:
            chosen[j] = best
    return chosen
