"""Spread of a pilot's labelling errors: within strata, and of cluster totals."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..designs.labelling import group_totals
from ..errors import DesignError

if TYPE_CHECKING:
    from .._core.types import Floats, Ints
    from .profile import Profile

BORROWED = 4.0
"""Degrees of freedom that the spread in a stratum borrows from all strata together, allowing for its reach."""


def within(profile: Profile, code: Ints, n_groups: int) -> tuple[Ints, Floats, Floats, Floats]:
    """Errors around stratum means.

    Parameters
    ----------
    profile : Profile
    code : ndarray of int, shape (N,)
    n_groups : int

    Returns
    -------
    code : ndarray of int, shape (n,)
        Strata of the gold units.
    centred : ndarray, shape (n, q)
    freedom : ndarray, shape (S,)
        Kish's effective number of pilot units less one.
    norm : ndarray, shape (S,)
        Factor that makes ``sum omega centred^2`` a variance.
    """
    inside, weight = code[profile.position], profile.weight
    total = np.bincount(inside, weights=weight, minlength=n_groups)
    kish = total**2 / np.maximum(np.bincount(inside, weights=weight**2, minlength=n_groups), 1e-300)
    freedom = np.maximum(kish - 1.0, 0.0)
    if not freedom.sum() > 0:
        raise DesignError("no stratum holds two pilot units, so no spread can be learnt; use fewer strata.")
    sums = _group_sums(weight[:, None] * profile.error, inside, n_groups)
    centre = sums / np.where(total > 0, total, 1.0)[:, None]
    norm = np.where(freedom > 0, kish / np.maximum(freedom, 1e-12), 0.0) / np.where(total > 0, total, 1.0)
    return inside, profile.error - centre[inside], freedom, norm


def stratum_spread(profile: Profile, code: Ints, n_groups: int, reach: Floats | None = None) -> Floats:
    """Standard deviation of errors within strata, borrowing from all where the pilot is thin, shape (S, q)."""
    inside, centred, freedom, norm = within(profile, code, n_groups)
    reach = np.ones((n_groups, 1)) if reach is None else reach
    own = norm[:, None] * _group_sums(profile.weight[:, None] * centred**2, inside, n_groups)
    pooled = freedom @ (own / np.maximum(reach, 1e-300)) / freedom.sum() * reach
    found: Floats = np.sqrt((freedom[:, None] * own + BORROWED * pooled) / (freedom + BORROWED)[:, None])
    return found


def cluster_products(profile: Profile, code: Ints) -> tuple[Floats, Floats]:
    """Errors of gold units, and what the total of their cluster is expected to be given each, both of shape (n, q).

    ``sum omega left right`` estimates the squares of cluster totals. Where the pilot drew whole clusters of the same
    kind, the total is known; else the others of the cluster count with their inverse probability of being drawn beside
    the unit.
    """
    labelling, error = profile.labelling, profile.error
    inside = code[profile.position]
    whole = labelling.unit is not None and _same_groups(labelling.unit, code)
    if labelling.unit is not None and not whole:
        raise DesignError(
            "the pilot drew whole clusters of one kind, and the plan asks for clusters of another; what they share "
            "cannot "
            "be told from the pilot. Plan for the pilot's clusters, or draw a pilot of rows."
        )
    weight = np.ones(len(error)) if whole else profile.weight
    if not whole and labelling.fixed_size and labelling.unit is None and labelling.stratum is None:
        n, big_n = labelling.n_gold, len(code)
        weight = np.full(len(error), (big_n - 1) / max(n - 1, 1))
    totals = _group_sums(weight[:, None] * error, inside, int(code.max()) + 1)
    return error, totals[inside] + (1.0 - weight)[:, None] * error


def _group_sums(values: Floats, group: Ints, n_groups: int) -> Floats:
    out = np.zeros((n_groups, values.shape[1]))
    found = group_totals(values, group)
    out[: len(found)] = found
    return out


def _same_groups(left: Ints, right: Ints) -> bool:
    """Whether two codings put the same rows together."""
    pairs = len(np.unique(left.astype(np.int64) * (int(right.max()) + 1) + right))
    return pairs == len(np.unique(left)) == len(np.unique(right))
