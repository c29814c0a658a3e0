"""What single gold documents, and pairs of them in a unit, add to the scores of a second regression."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .corrected import Factors

if TYPE_CHECKING:
    from .._core.types import Floats
    from ..moments import Model
    from .corrected import MeasuredRows
    from .noise import GoldErrors


def gold_scores(model: Model, rows: MeasuredRows, theta: Floats, errors: GoldErrors) -> Floats:
    """Derivative of the total score in the weight of each gold document, shape (n, p).

    Parameters
    ----------
    model : Model
    rows : MeasuredRows
    theta : ndarray, shape (p,)
    errors : GoldErrors
        Of the q means among the covariates, and last that of the outcome where it is one.

    Returns
    -------
    ndarray
    """
    errors = errors.by_labelling_unit()
    inside = errors.unit >= 0
    c, q = errors.unit[inside], rows.gap.shape[1]
    d, w = errors.share[inside, :q], errors.labelling.weight[inside]
    eta = rows.x @ theta if rows.offset is None else rows.x @ theta + rows.offset
    f = Factors.of(model, eta, rows.y)
    slope, gap, x = rows.slope[c], rows.gap[c], rows.x[c]
    own = np.einsum("npq,p->nq", slope, theta)
    moved = np.einsum("npq,nq->np", slope, d)
    du, gu = (d * own).sum(axis=1), (gap * own).sum(axis=1)
    square = d * gu[:, None] + gap * du[:, None] - (2.0 * w - 1.0)[:, None] * d * du[:, None]
    bend = np.einsum("npq,nq->np", slope, square)
    score = moved * f.s[c, None] + x * (f.first[c] * du)[:, None] + bend * f.first[c, None]
    score += x * (f.second[c] * (square * own).sum(axis=1) / 2.0)[:, None]
    if errors.share.shape[1] > q:
        y = errors.share[inside, q]
        score += (x + np.einsum("npq,nq->np", slope, gap)) * y[:, None] - moved * ((2.0 * w - 1.0) * y)[:, None]
    out = np.zeros((len(errors.unit), len(theta)))
    out[inside] = score * rows.weight[c, None]
    return out


def pair_variance(model: Model, rows: MeasuredRows, theta: Floats, v: Floats) -> Floats:
    """Variance of the total score from products of the noise within units, as of normal noise.

    Parameters
    ----------
    model : Model
    rows : MeasuredRows
    theta : ndarray, shape (p,)
    v : ndarray, shape (C, q, q)
        Pooled covariances, with the outcome last where it is a mean.

    Returns
    -------
    ndarray, shape (p, p)
    """
    q = rows.gap.shape[1]
    eta = rows.x @ theta if rows.offset is None else rows.x @ theta + rows.offset
    f = Factors.of(model, eta, rows.y)
    own = np.einsum("cpq,p->cq", rows.slope, theta)
    gamma = own * f.first[:, None]
    if v.shape[1] > q:
        gamma = np.column_stack([gamma, np.ones(len(gamma))])
    along = np.einsum("cjk,ck->cj", v, gamma)[:, :q]
    whole = v[:, :q, :q] * np.einsum("cj,cjk,ck->c", gamma, v, gamma)[:, None, None]
    whole = whole + along[:, :, None] * along[:, None, :]
    return np.asarray(np.einsum("cpj,cjk,crk,c->pr", rows.slope, whole, rows.slope, rows.weight**2))
