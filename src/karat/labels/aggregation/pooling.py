"""Several distributions per task into one: mean, weighted mean, log pool, Jensen-Shannon centroid."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...errors import ArgumentError, DataError, number, whole
from .base import softmax_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..._core.types import Floats

_TINY = 1e-12


def mean_pool(members: Floats, weights: Sequence[float] | None = None) -> Floats:
    """Arithmetic mean of distributions.

    Parameters
    ----------
    members : ndarray, shape (M, n, K)
        M distributions for each task.
    weights : sequence of M numbers, optional
        Not negative; by default equal.

    Returns
    -------
    ndarray, shape (n, K)

    Raises
    ------
    ArgumentError
        If the weights do not fit.

    Examples
    --------
    >>> import numpy as np
    >>> mean_pool(np.array([[[1.0, 0.0]], [[0.5, 0.5]]]))
    array([[0.75, 0.25]])
    """
    members = _checked(members)
    share = shares(weights, len(members))
    return np.asarray(np.tensordot(share, members, axes=1))


def log_pool(members: Floats, weights: Sequence[float] | None = None, floor: float = 1e-3) -> Floats:
    """Geometric mean of distributions, normalised.

    Parameters
    ----------
    members : ndarray, shape (M, n, K)
    weights : sequence of M numbers, optional
    floor : float
        Each member is first mixed with the uniform distribution in this share, so that one member's
        zero does not rule a class out.

    Returns
    -------
    ndarray, shape (n, K)

    References
    ----------
    Genest and Zidek (1986), Combining probability distributions, Statistical Science 1.

    Examples
    --------
    >>> import numpy as np
    >>> log_pool(np.array([[[0.8, 0.2]], [[0.5, 0.5]]])).round(3)
    array([[0.666, 0.334]])
    """
    members, floor = _checked(members), number("floor", floor, least=0, below=1)
    share = shares(weights, len(members))
    mixed = (1 - floor) * members + floor / members.shape[2]
    return softmax_rows(np.tensordot(share, np.log(mixed), axes=1))[0]


def jensen_shannon_centroid(
    members: Floats, weights: Sequence[float] | None = None, n_iter: int = 200, tol: float = 1e-9
) -> Floats:
    r"""Distribution with the smallest mean Jensen-Shannon divergence to the members.

    Parameters
    ----------
    members : ndarray, shape (M, n, K)
    weights : sequence of M numbers, optional
    n_iter : int
        Most rounds.
    tol : float
        Stop when no probability moves by more.

    Returns
    -------
    ndarray, shape (n, K)

    Notes
    -----
    Setting the derivative of :math:`\sum_m w_m JS(p_m, c)` to zero gives :math:`\log c = \sum_m w_m
    \log\{(p_m + c)/2\}` up to a constant; this is iterated, normalised each round (the concave-convex procedure
    of Nielsen), from the arithmetic mean. Each round lowers the objective.

    References
    ----------
    Nielsen (2020), On a generalization of the Jensen-Shannon divergence and the Jensen-Shannon centroid, Entropy 22.

    Examples
    --------
    >>> import numpy as np
    >>> jensen_shannon_centroid(np.array([[[0.9, 0.1]], [[0.1, 0.9]]])).round(3)
    array([[0.5, 0.5]])
    """
    members, n_iter = _checked(members), whole("n_iter", n_iter, least=1)
    number("tol", tol, least=0)
    share = shares(weights, len(members))
    out = np.maximum(np.tensordot(share, members, axes=1), _TINY)
    active = np.arange(out.shape[0])
    for _ in range(n_iter):
        now = out[active]
        logs = np.zeros_like(now)
        for w, member in zip(share, members):
            if w > 0:
                logs += w * np.log((member[active] + now) / 2)
        new = softmax_rows(logs)[0]
        moved = np.abs(new - now).max(axis=1)
        out[active] = new
        active = active[moved > tol]
        if not len(active):
            break
    return out


def _checked(members: Floats) -> Floats:
    values = np.asarray(members, dtype=np.float64)
    if values.ndim != 3 or not values.size:
        raise DataError(f"members has shape {values.shape}; give methods x tasks x classes.")
    return values


def shares(weights: Sequence[float] | None, n_members: int) -> Floats:
    """Weights that add up to one."""
    if weights is None:
        return np.full(n_members, 1.0 / n_members)
    try:
        values = np.asarray(weights, dtype=np.float64)
    except (TypeError, ValueError):
        raise ArgumentError(f"weights={weights!r} is not allowed; give one number for each method.") from None
    if values.shape != (n_members,) or not np.isfinite(values).all() or (values < 0).any() or values.sum() <= 0:
        raise ArgumentError(
            f"weights={list(np.ravel(values))} do not fit {n_members} method(s); give one number of 0 or more for "
            "each, not all 0."
        )
    return values / values.sum()
