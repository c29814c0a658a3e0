"""Regression on unit means that are known with labelling noise: scores corrected for the noise.

The score of a unit is expanded about a prediction of its mean that does not use the draw, to second order; the error
of the prediction and its square are replaced by estimates that are unbiased over draws of the gold. For least squares
this is the errors-in-variables estimator exactly (methods, section 11).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from ..errors import ConvergenceError
from ..estimate.basis import check_rank
from ..estimate.root import newton

if TYPE_CHECKING:
    from .._core.types import Floats
    from ..estimate.root import Root
    from ..moments import Model
    from .noise import GoldErrors

_STEP = 0.01
"""Step of the differences that give derivatives of the curvature of a model, on the scale of its linear predictor."""

_LEAST = 1e-6
"""Smallest eigenvalue of the curvature, its diagonal scaled to 1, that is not taken for 0."""


@dataclass(frozen=True)
class MeasuredRows:
    """Rows of a regression of C units, p columns, q of whose variables are unit means with noise.

    Parameters
    ----------
    x : ndarray, shape (C, p)
        Design rows with predictions in the place of the means.
    slope : ndarray, shape (C, p, q)
        How a row moves with each mean.
    gap : ndarray, shape (C, q)
        Estimated mean less its prediction.
    noise : ndarray, shape (C, q, q)
        Design covariance of the estimated means, unbiased unit by unit.
    y : ndarray, shape (C,)
    shared : ndarray, shape (C, q)
        Design covariance of the estimated means with the outcome; 0 unless the outcome is a unit mean too.
    weight : ndarray, shape (C,)
    offset : ndarray, shape (C,), or None
    """

    x: Floats
    slope: Floats
    gap: Floats
    noise: Floats
    y: Floats
    shared: Floats
    weight: Floats
    offset: Floats | None = None

    @property
    def realised(self) -> Floats:
        """Design rows at the estimated means, shape (C, p)."""
        return self.x + self.moves

    @property
    def moves(self) -> Floats:
        """What the gap adds to each row, shape (C, p)."""
        return np.asarray(np.einsum("cpq,cq->cp", self.slope, self.gap))

    @property
    def squares(self) -> Floats:
        """Squares of the errors of the predictions, unbiased, shape (C, q, q)."""
        return self.gap[:, :, None] * self.gap[:, None, :] - self.noise

    def turned(self, basis: Floats) -> MeasuredRows:
        """The same in other coordinates of the columns."""
        return replace(self, x=self.x @ basis, slope=np.einsum("cpq,pr->crq", self.slope, basis))

    def as_known(self) -> MeasuredRows:
        """The same with the estimated means taken for the true ones."""
        return replace(
            self, x=self.realised, gap=np.zeros_like(self.gap), noise=np.zeros_like(self.noise),
            shared=np.zeros_like(self.shared),
        )  # fmt: skip


@dataclass(frozen=True)
class Solution:
    """Coefficients, and what each unit contributes.

    Parameters
    ----------
    theta : ndarray, shape (p,)
    score : ndarray, shape (C, p)
        Corrected scores at the root.
    curvature : ndarray, shape (C, p, p)
        Minus their derivatives.
    norm : float
    iterations : int
    """

    theta: Floats
    score: Floats = field(repr=False)
    curvature: Floats = field(repr=False)
    norm: float = 0.0
    iterations: int = 0


@dataclass(frozen=True)
class Factors:
    """Score factor of a model and its derivatives in the linear predictor, each of shape (C,)."""

    s: Floats
    first: Floats
    second: Floats
    third: Floats

    @classmethod
    def of(cls, model: Model, eta: Floats, y: Floats) -> Factors:
        """At linear predictors and outcomes; derivatives beyond the first by differences of fourth order."""
        s, curvature = model.evaluate(eta, y)
        if model.linear:
            return cls(s, -curvature, np.zeros_like(s), np.zeros_like(s))
        a, b, d, e = (model.evaluate(eta + k * _STEP, y)[1] for k in (-2, -1, 1, 2))
        slope = (a - 8.0 * b + 8.0 * d - e) / (12.0 * _STEP)
        bend = (-a + 16.0 * b - 30.0 * curvature + 16.0 * d - e) / (12.0 * _STEP**2)
        return cls(s, -curvature, -slope, -bend)


def _factors(model: Model, rows: MeasuredRows, theta: Floats) -> Factors:
    """At the predictions of the means."""
    eta = rows.x @ theta if rows.offset is None else rows.x @ theta + rows.offset
    return Factors.of(model, eta, rows.y)


def scores(model: Model, rows: MeasuredRows, theta: Floats) -> tuple[Floats, Floats]:
    """Corrected scores of the units and minus their derivatives, shapes (C, p) and (C, p, p).

    With x the row at the prediction, U what the gap adds to it, M the unbiased square of U and s the score factor:
    ``x s + U s + x s' U'b + s' M b + x s'' b'Mb / 2``, less the covariance of U with the outcome.

    Examples
    --------
    >>> from karat.moments import get
    >>> one, none = np.ones((2, 1)), np.zeros((2, 1))
    >>> rows = MeasuredRows(one, one[:, :, None], none, none[:, :, None] + 0.5, np.ones(2), none, np.ones(2))
    >>> score, curvature = scores(get("ols"), rows, np.array([2.0]))
    >>> score.ravel(), curvature.ravel()
    (array([0., 0.]), array([0.5, 0.5]))
    """
    x, u, v = rows.x, rows.moves, rows.weight
    f = _factors(model, rows, theta)
    own = np.einsum("cpq,p->cq", rows.slope, theta)
    ub = u @ theta
    mb = np.einsum("cpq,cqr,cr->cp", rows.slope, rows.squares, own)
    bmb = mb @ theta
    score = x * (f.s + f.first * ub + f.second * bmb / 2.0)[:, None] + u * f.s[:, None] + mb * f.first[:, None]
    score -= np.einsum("cpq,cq->cp", rows.slope, rows.shared)
    square = np.einsum("cpq,cqr,csr->cps", rows.slope, rows.squares, rows.slope)
    xx = f.first + f.second * ub + f.third * bmb / 2.0
    slope = _outer(x, x, xx) + _outer(u, x, f.first) + _outer(x, u, f.first)
    slope += _outer(mb, x, f.second) + _outer(x, mb, f.second) + square * f.first[:, None, None]
    return score * v[:, None], -slope * v[:, None, None]


def solve(model: Model, rows: MeasuredRows, names: tuple[str, ...]) -> Solution:
    """Root of the corrected scores, from the fit of a constant.

    Raises
    ------
    DataError
        If columns are collinear.
    ConvergenceError
        If, beyond labelling noise, the covariates do not vary, or no root is near.
    """
    basis = check_rank(rows.realised, rows.weight, names, "units")
    here = rows if basis is None else rows.turned(basis)
    start = np.linalg.lstsq(here.realised, np.full(len(rows.y), _level(model, rows)), rcond=None)[0]
    scale = scores(model, here, start)[1].sum(axis=0)
    if not _positive(scale):
        raise ConvergenceError("the unit means do not vary beyond labelling noise")
    root = _root(model, here, start, (scale + scale.T) / 2.0)
    score, curvature = scores(model, here, root.theta)
    if not root.converged or not _positive(curvature.sum(axis=0)):
        raise ConvergenceError("the corrected equation has no root near the data")
    if basis is None:
        return Solution(root.theta, score, curvature, root.norm, root.iterations)
    back = np.linalg.inv(basis)
    return Solution(basis @ root.theta, score @ back, back.T @ curvature @ back, root.norm, root.iterations)


def _positive(matrix: Floats) -> bool:
    """Whether a matrix is positive definite, whatever the units of the columns."""
    size = np.sqrt(np.maximum(np.diag(matrix), 0.0))
    if not np.isfinite(matrix).all() or not (size > 0).all():
        return False
    return bool(np.linalg.eigvalsh((matrix + matrix.T) / 2.0 / np.outer(size, size))[0] > _LEAST)


def _root(model: Model, rows: MeasuredRows, start: Floats, scale: Floats) -> Root:
    def totals(theta: Floats) -> tuple[Floats, Floats]:
        with np.errstate(over="ignore", invalid="ignore"):
            score, curvature = scores(model, rows, theta)
        return score.sum(axis=0), curvature.sum(axis=0)

    first, _ = scores(model, rows, start)
    noise = float(np.sqrt(np.einsum("cp,pq,cq->", first, np.linalg.inv(scale), first) / len(scale)))
    return newton(totals, start, scale, max(noise, 1e-300))


def _level(model: Model, rows: MeasuredRows) -> float:
    """Linear predictor that fits the outcomes of all units without covariates."""
    offset = np.zeros(len(rows.y)) if rows.offset is None else rows.offset
    if model.linear:
        return float(np.average(rows.y - offset, weights=rows.weight))
    eta = 0.0
    for _ in range(50):
        s, c = model.evaluate(eta + offset, rows.y)
        step = float(np.clip((rows.weight * s).sum() / max((rows.weight * c).sum(), 1e-12), -2.0, 2.0))
        eta += step
        if abs(step) < 1e-9:
            break
    return eta


def _outer(left: Floats, right: Floats, factor: Floats) -> Floats:
    return np.asarray(left[:, :, None] * right[:, None, :] * factor[:, None, None])


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
    f = _factors(model, rows, theta)
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
    f = _factors(model, rows, theta)
    own = np.einsum("cpq,p->cq", rows.slope, theta)
    gamma = own * f.first[:, None]
    if v.shape[1] > q:
        gamma = np.column_stack([gamma, np.ones(len(gamma))])
    along = np.einsum("cjk,ck->cj", v, gamma)[:, :q]
    whole = v[:, :q, :q] * np.einsum("cj,cjk,ck->c", gamma, v, gamma)[:, None, None]
    whole = whole + along[:, :, None] * along[:, None, :]
    return np.asarray(np.einsum("cpj,cjk,crk,c->pr", rows.slope, whole, rows.slope, rows.weight**2))
