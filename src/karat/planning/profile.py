"""What a pilot says about the next draw: labelling errors, scores and the population part of each coefficient."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ArgumentError, KaratError
from ..estimate.scores import correction
from ..results.tests import read_hypotheses
from .population import Population

if TYPE_CHECKING:
    from .._types import Bools, Floats, Ints
    from ..designs import Labelling
    from ..estimate.shares import Shares
    from ..results import Result


@dataclass(frozen=True)
class Reporting:
    """How the next fit will report: what turns a variance into the printed standard error and interval.

    Parameters
    ----------
    kind, target : str
        Covariance and population, see :func:`karat.estimate.covariance.sandwich`.
    df : str or float
        Degrees of freedom, as the fit was asked for.
    alpha : float
    width : int
        Coefficients of the regression.
    interval : {"wald", "beta"}
    estimator : str
    clustered : bool
        Whether the covariance sums within analysis clusters.
    shares : Shares or None
        What the pilot's gold can carry, for means and shares.
    """

    kind: str
    target: str
    df: Any
    alpha: float
    width: int
    interval: str
    estimator: str
    clustered: bool
    shares: Shares | None = None


@dataclass(frozen=True)
class Profile:
    """Gold units of a pilot in coefficient space, and the part of the variance that no gold label removes.

    Parameters
    ----------
    names : tuple of str, length q
        Coefficients, then contrasts.
    matrix : ndarray, shape (q, p)
        Turns coefficients into figures.
    theta : ndarray, shape (q,)
    error : ndarray, shape (n, q)
        ``Psi (m - Lambda h)`` of gold units, corrected for leverage so that squares are unbiased (HC2).
    plain : ndarray, shape (n, q)
        The same without correction.
    score : ndarray, shape (n, q)
        ``Psi m``, which stands in the place of the error for gold alone.
    leverage : ndarray, shape (n,)
    population : Population
        Variance that is left when every unit is labelled.
    labelling : Labelling
        The pilot's draw.
    cluster : ndarray of int, shape (N,), or None
    tuned : ndarray, shape (q,)
    reporting : Reporting
    reach : ndarray, shape (N, q), or None
        Squared influence of an error in the outcome on each figure, where the table was given and no covariate is
        labelled: a squared labelling error is this times the squared error of the outcome.
    """

    names: tuple[str, ...]
    matrix: Floats = field(repr=False)
    theta: Floats
    error: Floats = field(repr=False)
    plain: Floats = field(repr=False)
    score: Floats = field(repr=False)
    leverage: Floats = field(repr=False)
    population: Population = field(repr=False)
    labelling: Labelling = field(repr=False)
    cluster: Ints | None = field(repr=False)
    tuned: Floats
    reporting: Reporting
    reach: Floats | None = field(repr=False, default=None)

    @property
    def involved(self) -> Bools:
        """Coefficients in each figure, shape (q, p)."""
        return np.abs(self.matrix) > 0

    @property
    def n_units(self) -> int:
        """N."""
        return len(self.labelling.labelled)

    @property
    def n_gold(self) -> int:
        """Gold rows of the pilot."""
        return self.labelling.n_gold

    @property
    def position(self) -> Ints:
        """Where the gold units stand among the N, shape (n,)."""
        return self.labelling.gold

    @property
    def weight(self) -> Floats:
        """Inverse probabilities, shape (n,)."""
        return self.labelling.weight

    def gold_alone(self) -> Profile:
        """The same pilot read by the gold-only estimator."""
        factor = correction(self.leverage, "HC2")
        assert factor is not None
        return replace(
            self,
            error=self.score * factor[:, None],
            plain=self.score,
            population=Population.of(
                np.zeros((1, len(self.theta))), self.score, self.score, self.labelling, self.cluster
            ),
            tuned=np.zeros_like(self.tuned),
            reporting=replace(self.reporting, estimator="gold"),
        )

    @classmethod
    def of(cls, result: Result, contrasts: object = None) -> Profile:
        """Read a fit.

        Parameters
        ----------
        result : Result
            With influence scores.
        contrasts : str, list of str or array_like, optional
            Linear combinations of coefficients to plan for besides the coefficients.

        Returns
        -------
        Profile

        Raises
        ------
        KaratError
            If influence scores were not kept, or the fit uses no gold.
        """
        parts = result.parts
        if parts is None:
            raise KaratError(
                "the influence scores of this fit were not kept, so nothing can be planned from it; fit again with "
                "scores=True (and combine='mean')."
            )
        if result.estimator == "surrogate":
            raise ArgumentError(
                "a fit of surrogates alone has no gold to plan; fit with estimator='dsl', 'ppi' or 'gold'."
            )
        matrix, names = _figures(result, contrasts)
        labelling, scores = parts.labelling, parts.scores
        clustered = result.vcov_kind.startswith("CRV") and parts.cluster is not None
        cluster = parts.cluster if clustered else None
        if cluster is not None and cluster.ndim == 2:
            raise ArgumentError(
                f"planning does not support clusters of two ways ({parts.cluster_name}); plan from a fit with "
                "one of them in cluster=."
            )
        plain = scores.error @ matrix.T
        weight = labelling.weight[:, None]
        if scores.rows is not None:
            score, predicted = scores.influence() @ matrix.T / weight, np.zeros((1, len(matrix)))
        else:
            predicted = scores.influence() @ matrix.T
            predicted[labelling.gold] -= weight * plain
            score = predicted[labelling.gold] + plain
        return cls(
            names=names,
            matrix=matrix,
            theta=matrix @ result.theta,
            error=scores.gold_parts("HC2")[1] @ matrix.T,
            plain=plain,
            score=score,
            leverage=scores.gold_leverage,
            population=Population.of(predicted, score, plain, labelling, cluster),
            labelling=labelling,
            cluster=cluster,
            tuned=np.array([parts.tuned[row].max() for row in np.abs(matrix) > 0]),
            reporting=Reporting(
                result.vcov_kind, result.target, result.df_method, result.alpha, len(result.theta), result.interval,
                result.estimator, clustered, result.shares,
            ),
        )  # fmt: skip


def _figures(result: Result, contrasts: object) -> tuple[Floats, tuple[str, ...]]:
    """Matrix that turns coefficients into figures, and their names: all coefficients, then contrasts."""
    width = len(result.names)
    if contrasts is None or (isinstance(contrasts, Sequence) and not len(contrasts)):
        return np.eye(width), result.names
    matrix, _, texts = read_hypotheses(result, contrasts)
    return np.vstack([np.eye(width), matrix]), (*result.names, *texts)
