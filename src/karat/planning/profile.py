"""What a pilot says about the next draw: labelling errors, scores and the population part of each coefficient."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ArgumentError, KaratError
from ..estimate.clusters import LEVERAGED
from ..estimate.infer import combination, influences
from ..estimate.scores import LARGEST_LEVERAGE
from ..results.tests import read_hypotheses
from .population import Population

if TYPE_CHECKING:
    from .._core.types import Bools, Floats, Ints
    from ..designs import Labelling
    from ..estimate.covariance import Scores
    from ..estimate.infer import Parts
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
    inflation, most_df : ndarray, shape (q,)
        What CRV2 and CRV3 make of a variance, and the degrees of freedom that their clusters allow.
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
    inflation: Floats = field(repr=False)
    most_df: Floats = field(repr=False)
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
        ``Psi (m - Lambda h)`` of gold units, with the small-sample correction of the fit.
    plain : ndarray, shape (n, q)
        The same without correction.
    moment : ndarray, shape (n, q)
        ``Psi m`` with the small-sample correction of the fit; the error of gold alone.
    score : ndarray, shape (n, q)
        The same without correction.
    leverage, moment_leverage : ndarray, shape (n,)
        What leaving a unit out does to its error and to its moment: 1 less the square they had over that of HC2.
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
    moment: Floats = field(repr=False)
    score: Floats = field(repr=False)
    leverage: Floats = field(repr=False)
    moment_leverage: Floats = field(repr=False)
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
        return replace(
            self,
            error=self.moment,
            plain=self.score,
            leverage=self.moment_leverage,
            population=Population.of(
                np.zeros((1, len(self.theta))), self.moment, self.moment, self.labelling, self.cluster
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
        kind = result.vcov_kind
        plain, score = scores.error @ matrix.T, scores.moment @ matrix.T
        moment, error = (part @ matrix.T for part in scores.gold_parts(kind))
        predicted, beyond = np.zeros((1, len(matrix))), moment
        if scores.rows is None and (clustered or by_row(kind, labelling.independent and labelling.unit is None)):
            predicted, beyond = scores.influence() @ matrix.T, plain
            if clustered:
                beyond, known = labelling.known_part(plain)
                predicted = (
                    predicted if known is None else predicted + known.share[:, None] * known.level[known.stratum]
                )
            predicted[labelling.gold] -= labelling.weight[:, None] * beyond
        inflation, most_df = _few_clusters(parts, matrix, kind, result.target)
        return cls(
            names=names,
            matrix=matrix,
            theta=matrix @ result.theta,
            error=error,
            plain=plain,
            moment=moment,
            score=score,
            leverage=scores.gold_leverage,
            moment_leverage=_moment_leverage(scores),
            population=Population.of(predicted, moment, beyond, labelling, cluster),
            labelling=labelling,
            cluster=cluster,
            tuned=np.array([parts.tuned[row].max() for row in np.abs(matrix) > 0]),
            reporting=Reporting(
                kind, result.target, result.df_method, result.alpha, len(result.theta), result.interval,
                result.estimator, clustered, inflation, most_df, result.shares,
            ),
        )  # fmt: skip


def _figures(result: Result, contrasts: object) -> tuple[Floats, tuple[str, ...]]:
    """Matrix that turns coefficients into figures, and their names: all coefficients, then contrasts."""
    width = len(result.names)
    if contrasts is None or (isinstance(contrasts, Sequence) and not len(contrasts)):
        return np.eye(width), result.names
    matrix, _, texts = read_hypotheses(result, contrasts)
    return np.vstack([np.eye(width), matrix]), (*result.names, *texts)


def by_row(kind: str, independent: bool) -> bool:
    """Whether a fit without clusters takes the population part from the influences of all rows, not from gold alone."""
    return independent and kind in ("HC0", "HC1")


def _moment_leverage(scores: Scores) -> Floats:
    """What leaving a unit out does to its moment, shape (n,)."""
    plain, corrected = ((part**2).sum(axis=1) for part in (scores.moment, scores.gold_parts("HC2")[0]))
    ratio = np.divide(plain, corrected, out=np.ones_like(plain), where=corrected > 0)
    return np.asarray(np.clip(1.0 - ratio, 0.0, LARGEST_LEVERAGE))


def _few_clusters(parts: Parts, matrix: Floats, kind: str, target: str) -> tuple[Floats, Floats]:
    """What CRV2 and CRV3 make of the variance of each figure, and the degrees of freedom left, each of shape (q,)."""
    leverage = parts.leverages(kind)[0] if kind in LEVERAGED else None
    if leverage is None:
        return np.ones(len(matrix)), np.full(len(matrix), np.inf)
    found, plain = (
        np.diag(combination([parts], [matrix], one, target, influences([parts], one))) for one in (kind, "CRV0")
    )
    inflation = np.divide(found, plain, out=np.ones_like(plain), where=plain > 0)
    return inflation, np.array([leverage.freedom(row[None, :]) for row in matrix])
