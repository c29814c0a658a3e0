"""Leverage of clusters: what leaving one out would change, and the degrees of freedom that follow."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from .._core.types import Bools, Floats

LEVERAGED = {"CRV2": 0.5, "CRV3": 1.0}
"""Kinds that correct for the leverage of clusters, and the power they take."""

LARGEST_SHARE = 0.97
"""The share of a cluster in a direction is cut here, unless the cluster alone identifies it."""
_ALONE = 1.0 - 1e-7
_LEVEL = 0.05


def unit_scale(matrix: Floats) -> Floats:
    """A symmetric matrix with its diagonal scaled to one in absolute value."""
    scale = np.sqrt(np.abs(np.diag(matrix)))
    scale[scale == 0] = 1.0
    return np.asarray(matrix / np.outer(scale, scale))


class Leverage:
    """Share of each cluster in the curvature, and what follows from it for one kind of covariance.

    Parameters
    ----------
    curvature : ndarray, shape (C, p, p)
        From :func:`curvatures`, one way of clustering.
    kind : {"CRV2", "CRV3"}
    basis : ndarray, shape (p, p), optional
        Coordinates of the curvature.
    beside : ndarray, shape (C, T), optional
        Totals of scores in further columns that the curvature has beside the p of the design.

    Attributes
    ----------
    scale : float
        Factor on cross products of adjusted influences.
    alone : ndarray of bool, shape (p,)
        Coefficients that one cluster alone identifies: nothing is known of how they vary over clusters.

    Examples
    --------
    Ten equal clusters and a mean: nine degrees of freedom, as for ten independent numbers.

    >>> equal = Leverage(np.ones((10, 1, 1)), "CRV2")
    >>> round(equal.freedom(np.eye(1)), 6), equal.effective().round(6)
    (9.0, array([10.]))
    """

    def __init__(self, curvature: Floats, kind: str, basis: Floats | None = None, beside: Floats | None = None) -> None:
        self.curvature, self.kind = curvature, kind
        self.beside = np.zeros((len(curvature), 0)) if beside is None else beside
        p = curvature.shape[1] - self.beside.shape[1]
        self.inner = np.eye(p) if basis is None else basis
        self.basis = np.hstack([self.inner, np.zeros(self.beside.shape[1] * p).reshape(p, -1)])
        self.scale = (len(curvature) - 1) / len(curvature) if kind == "CRV3" else 1.0
        whole = curvature.sum(axis=0)
        root = np.linalg.cholesky(whole)
        self.inverse = np.linalg.inv(whole)
        half = np.linalg.inv(root)
        share, vectors = np.linalg.eigh(half @ curvature @ half.T)
        single = share > _ALONE
        factor = np.where(single, 0.0, (1.0 - np.minimum(share, LARGEST_SHARE)) ** -LEVERAGED[kind])
        back = half.T @ vectors
        self._factor = (back * factor[:, None, :]) @ (vectors.transpose(0, 2, 1) @ root.T)
        spread = ((self.basis @ back) ** 2 * single[:, None, :]).sum(axis=2).max(axis=0)
        self.alone: Bools = spread > 1e-7 * np.einsum("ij,jk,ik->i", self.basis, self.inverse, self.basis)

    def adjusted(self, totals: Floats) -> Floats:
        """Influences of clusters with their leverage corrected, shape (C, p)."""
        own = np.hstack([np.linalg.solve(self.inner, totals.T).T, self.beside])
        return np.asarray((self._factor @ own[:, :, None])[:, :, 0] @ self.basis.T)

    def effective(self) -> Floats:
        """Clusters of equal weight that would carry each coefficient as these do, shape (p,).

        ``(sum g_c)^2 / sum g_c^2`` with g_c the part of the coefficient's variance that comes from cluster c
        (Carter, Schnepel and Steigerwald 2017).
        """
        rows = self.basis @ self.inverse
        part = np.einsum("ij,cjk,ik->ci", rows, self.curvature, rows)
        return np.asarray(part.sum(axis=0) ** 2 / (part**2).sum(axis=0))

    def satterthwaite(self, hypotheses: Floats) -> tuple[float, float]:
        """Degrees of freedom of the covariance of some hypotheses, and its mean over the true one.

        Parameters
        ----------
        hypotheses : ndarray, shape (q, p)
            Linearly independent rows.

        Returns
        -------
        freedom : float
            Of the Wishart matrix with the same mean and total variance under the working model: for one hypothesis
            that of Bell and McCaffrey (2002), for several eta of Pustejovsky and Tipton (2018, equation 12). 1 where
            each cluster alone identifies what it adds, so that nothing varies over clusters.
        ratio : float
        """
        q, hypotheses = len(hypotheses), hypotheses @ self.basis
        true = hypotheses @ self.inverse @ hypotheses.T
        # influence of cluster c: z_c' (its score); residual scores have covariance A_c [c = d] - A_c A^-1 A_d
        z = np.swapaxes(hypotheses @ self._factor @ self.inverse, 1, 2)
        seen = self.curvature @ z
        own = np.swapaxes(z, 1, 2) @ seen
        root = np.linalg.cholesky(self.inverse)
        low = np.swapaxes(seen, 1, 2) @ root
        mean = (own - low @ np.swapaxes(low, 1, 2)).sum(axis=0)
        values, vectors = np.linalg.eigh(mean)
        if values[0] <= 1e-14 * np.trace(true):
            return 1.0, 1.0
        scale = vectors / np.sqrt(values)
        own, low = scale.T @ own @ scale, scale.T @ low
        within = low @ np.swapaxes(low, 1, 2)
        flat = low.reshape(len(low), -1)
        pairs = (flat.T @ flat).reshape(q, -1, q, low.shape[2])
        less = own - 2.0 * within
        total = (np.trace(less, axis1=1, axis2=2) * np.trace(own, axis1=1, axis2=2)).sum() + (pairs**2).sum()
        total += (own * np.swapaxes(less, 1, 2)).sum() + (pairs * pairs.transpose(2, 1, 0, 3)).sum()
        return float(q * (q + 1) / total), float(np.trace(np.linalg.solve(true, mean)) / q * self.scale)

    def freedom(self, hypotheses: Floats) -> float:
        """Degrees of freedom with which a test or an interval holds its level under the working model.

        CRV2 is unbiased there and has its Satterthwaite figure. CRV3 is too large on average, which pays for what
        clusters share; its figure is the one at which the critical value at 5 %, that of Hotelling's T squared, falls
        by as much as the covariance is too large.
        """
        found, ratio = self.satterthwaite(hypotheses)
        if self.kind == "CRV2":
            return found
        return min(_matched(found, ratio, len(hypotheses)), float(len(self.curvature) - 1))


def _matched(freedom: float, ratio: float, q: int) -> float:
    """Degrees of freedom with the critical value of T squared of ``freedom`` divided by ``ratio``."""
    from scipy.optimize import brentq

    low, high = np.log(q - 0.75), np.log(1e6)
    if freedom <= q - 0.75:
        return freedom
    wanted = critical(q, freedom) / ratio

    def gap(logarithm: float) -> float:
        return float(np.log(critical(q, float(np.exp(logarithm))) / wanted))

    if gap(low) <= 0:
        return float(np.exp(low))
    return 1e6 if gap(high) >= 0 else float(np.exp(brentq(gap, low, high, xtol=1e-10)))


def critical(q: int, freedom: float) -> float:
    """Critical value of Hotelling's T squared at 5 % for q hypotheses."""
    from scipy.special import fdtri

    rest = freedom - q + 1
    return float(q * freedom / rest * fdtri(q, rest, 1.0 - _LEVEL))
