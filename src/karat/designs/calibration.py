"""Weights of answers that reproduce totals of all rows drawn: inverse probability tilting."""

from __future__ import annotations

import numpy as np

from .._core.types import Bools, Floats
from ..errors import DesignError

_MOST_STEPS = 100


def nonresponse_odds(z: Floats, labelled: Bools, weight: Floats) -> Floats:
    """Odds of giving no label, ``exp(-z'b)``, calibrated: answers weighted up reproduce the totals of z, shape (m,).

    ``z`` (m, k) and ``weight`` (m,) are of the rows drawn.

    Graham, Pinto, Egel (2012), *Inverse probability tilting for moment condition models with missing data*.

    Two groups, of which half and a quarter answered:

    >>> z = np.repeat(np.eye(2), [4, 4], axis=0)
    >>> labelled = np.array([True, True, False, False, True, False, False, False])
    >>> nonresponse_odds(z, labelled, np.ones(8))[[0, 4]].round(6)
    array([1., 3.])
    """
    if labelled.all():
        return np.zeros(len(z))
    w = weight[labelled]
    wanted = weight[~labelled] @ z[~labelled]
    level = np.log(weight[~labelled].sum() / w.sum())
    start = -np.linalg.lstsq(z, np.full(len(z), level), rcond=None)[0]
    beta = calibrated(z[labelled], w, np.zeros(len(w)), wanted, start)
    return np.exp(-z @ beta)


def calibrated(x: Floats, weight: Floats, offset: Floats, wanted: Floats, start: Floats) -> Floats:
    """Coefficients b with ``sum weight exp(offset - x'b) x = wanted``: Newton's method on a convex function."""
    beta = start

    def objective(b: Floats) -> tuple[float, Floats]:
        with np.errstate(over="ignore"):
            odds = weight * np.exp(offset - x @ b)
        return float(odds.sum() + wanted @ b), odds

    value, odds = objective(beta)
    scale = np.maximum(np.sqrt(np.average(x**2, axis=0)) * np.abs(wanted).max(), 1e-300)
    for _ in range(_MOST_STEPS):
        gradient = wanted - x.T @ odds
        if (np.abs(gradient) <= 1e-9 * scale).all():
            return beta
        try:
            step = -np.linalg.pinv(x.T @ (x * odds[:, None]), hermitian=True) @ gradient
        except np.linalg.LinAlgError:
            break
        fraction, new, new_odds = 1.0, np.inf, odds
        while fraction > 1e-8:
            new, new_odds = objective(beta + fraction * step)
            if np.isfinite(new) and new <= value + 1e-4 * fraction * float(gradient @ step) + 1e-12 * abs(value):
                break
            fraction /= 2.0
        if fraction <= 1e-8:
            break
        beta, value, odds = beta + fraction * step, new, new_odds
    if (np.abs(wanted - x.T @ odds) <= 1e-6 * scale).all():
        return beta
    raise DesignError(
        "the labelled rows cannot represent the others: no weights make them agree on the variables of the response "
        "model (some values hardly ever carry a label). Use fewer or coarser variables, or label where labels lack."
    )


def independent_columns(matrix: Floats) -> Floats:
    """A constant and the columns that are not a combination of others, standardised; shape (N, k).

    >>> independent_columns(np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])).shape
    (3, 2)
    """
    from scipy.linalg import qr

    sd = matrix.std(axis=0)
    varying = matrix[:, sd > 1e-12]
    standard = (varying - varying.mean(axis=0)) / sd[sd > 1e-12]
    if not standard.shape[1]:
        return np.ones((len(matrix), 1))
    _, triangle, order = qr(standard.T @ standard / len(matrix), pivoting=True)
    free = np.abs(np.diag(triangle)) > 1e-9
    return np.column_stack([np.ones(len(matrix)), standard[:, np.sort(order[free])]])
