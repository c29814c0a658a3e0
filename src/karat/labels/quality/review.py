"""Which labels to look at next, and how to draw them so that the gold stays a probability sample."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ..._core.arguments import checked_arguments
from ...errors import ArgumentError, DataError, number
from ..aggregation.pooling import mean_pool
from ..tables.codes import objects

if TYPE_CHECKING:
    import pandas as pd

    from ..._core.types import Bools, Floats, Ints
    from ...designs import Bernoulli


@dataclass(frozen=True, eq=False)
class Review:
    """Labels ranked by how likely they are to be wrong.

    Parameters
    ----------
    order : ndarray of int, shape (N,)
        Positions, most suspicious first.
    error_probability : ndarray, shape (N,)
        One minus the probability of the label given.
    suspect : ndarray of bool, shape (N,)
        Off the diagonal of the confident joint: the probability of another class is above that class's threshold.
    suggested : ndarray of int, shape (N,)
        Code of the class suggested instead (the label itself where it is not suspect).
    thresholds : ndarray, shape (K,)
        Mean probability of each class over the items labelled with it.
    joint : ndarray, shape (K, K)
        Confident joint as shares: label given (rows) by suggested class.
    classes : tuple

    Examples
    --------
    >>> import numpy as np
    >>> import karat as kt
    >>> p = np.array([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9], [0.2, 0.8], [0.05, 0.95]])
    >>> review = kt.labels.rank_for_review(p, np.array([0, 0, 1, 1, 0]), ("x", "y"))
    >>> int(review.order[0]), review.suspect.tolist()
    (4, [False, False, False, False, True])
    """

    order: Ints = field(repr=False)
    error_probability: Floats = field(repr=False)
    suspect: Bools = field(repr=False)
    suggested: Ints = field(repr=False)
    thresholds: Floats
    joint: Floats
    classes: tuple[Any, ...]

    @property
    def table(self) -> pd.DataFrame:
        """Position, error probability, suspect, suggested class; most suspicious first."""
        import pandas as pd

        return pd.DataFrame(
            {
                "position": self.order,
                "error_probability": self.error_probability[self.order],
                "suspect": self.suspect[self.order],
                "suggested": objects(self.classes)[self.suggested[self.order]],
            }
        )

    @checked_arguments()
    def design(self, n: float, equal_share: float = 0.3, done: Bools | None = None) -> Bernoulli:
        """A labelling design that looks at suspicious labels more often, with known probabilities.

        Parameters
        ----------
        n : float
            Expected number of labels to review.
        equal_share : float
            Share of the budget spread evenly, in (0, 1]: every label can be drawn.
        done : ndarray of bool, shape (N,), optional
            Labels that need no review; they must then leave the frame, and get no probability.

        Returns
        -------
        Bernoulli
            ``probability`` has one entry per label that is not done, in row order.

        Raises
        ------
        ArgumentError

        Notes
        -----
        Probabilities are proportional to ``sqrt(p (1 - p))``, p the error probability: the best choice for the error
        rate itself, since certain errors need no checking.
        """
        from ...designs import Bernoulli

        left = np.ones(len(self.order), dtype=bool) if done is None else ~np.asarray(done, dtype=bool)
        if left.shape != self.order.shape:
            raise ArgumentError(
                f"done has shape {left.shape}; give one True or False for each of the {len(self.order)} labels."
            )
        size = int(left.sum())
        if not 0 < number("n", n) <= size:
            raise ArgumentError(f"n={n!r} is not possible; there are {size} labels to review.")
        number("equal_share", equal_share, above=0, most=1)
        p = np.clip(self.error_probability[left], 0.01, 0.99)
        wanted = np.sqrt(p * (1 - p))
        share = equal_share / size + (1 - equal_share) * wanted / wanted.sum()
        return Bernoulli(_capped(share, float(n)))


def rank_for_review(probabilities: Floats, labels: Ints, classes: tuple[Any, ...]) -> Review:
    """Rank labels by the confident joint.

    Parameters
    ----------
    probabilities : ndarray, shape (N, K)
        Class probabilities from a source that did not see the labels (out-of-fold, or other models).
    labels : ndarray of int, shape (N,)
        Code of the label given.
    classes : tuple

    Returns
    -------
    Review

    Raises
    ------
    DataError

    References
    ----------
    Northcutt, Jiang, Chuang (2021), Confident learning, JAIR 70.

    Examples
    --------
    >>> import numpy as np
    >>> p = np.array([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9], [0.2, 0.8], [0.05, 0.95]])
    >>> rank_for_review(p, np.array([0, 0, 1, 1, 0]), ("x", "y")).table["position"].tolist()[0]
    4
    """
    probabilities, labels = np.asarray(probabilities, dtype=np.float64), np.asarray(labels)
    if probabilities.ndim != 2 or probabilities.shape[1] != len(classes):
        raise DataError(f"probabilities has shape {probabilities.shape}; give one column for each of {list(classes)}.")
    n, k = probabilities.shape
    if labels.dtype.kind not in "iu" or labels.shape != (n,) or (labels < 0).any() or (labels >= k).any():
        raise DataError(f"labels must be {n} codes from 0 to {k - 1}, one for each row of probabilities.")
    rows = np.arange(n)
    thresholds = np.array([probabilities[labels == c, c].mean() if (labels == c).any() else np.inf for c in range(k)])
    above = np.where(probabilities >= thresholds, probabilities, -np.inf)
    best = above.argmax(axis=1)
    counted = np.isfinite(above.max(axis=1))
    suggested = np.where(counted, best, labels)
    suspect = suggested != labels
    joint = np.bincount(labels[counted] * k + best[counted], minlength=k * k).reshape(k, k).astype(np.float64)
    # Rows are rescaled to the number of labels of each class, as in the estimate of the joint distribution.
    size = joint.sum(axis=1, keepdims=True)
    joint = np.divide(joint, size, out=np.zeros_like(joint), where=size > 0) * np.bincount(labels, minlength=k)[:, None]
    error = 1 - probabilities[rows, labels]
    rest = probabilities.copy()
    rest[rows, labels] = -1.0
    margin = probabilities[rows, labels] - rest.max(axis=1)
    return Review(np.lexsort((rows, margin, ~suspect)), error, suspect, suggested, thresholds, joint / n, classes)


def ensemble_flags(members: Floats, labels: Ints, cutoff: float = 0.8) -> tuple[Bools, Floats]:
    """Labels that an ensemble of models contradicts with confidence.

    Parameters
    ----------
    members : ndarray, shape (M, N, K)
        Class probabilities of each model; one-hot for hard labels.
    labels : ndarray of int, shape (N,)
        Code of the label given, -1 where there is none.
    cutoff : float
        Flag where the mean probability of another class is above this.

    Returns
    -------
    flagged : ndarray of bool, shape (N,)
    pooled : ndarray, shape (N, K)
        Mean probabilities.

    Raises
    ------
    ArgumentError

    References
    ----------
    Nahum et al. (2024), Are LLMs better than reported? Detecting label errors, arXiv 2410.18889.

    Examples
    --------
    >>> import numpy as np
    >>> ensemble_flags(np.array([[[0.9, 0.1]], [[0.8, 0.2]]]), np.array([1]))[0]
    array([ True])
    """
    number("cutoff", cutoff, least=0.5, below=1)
    members, labels = np.asarray(members, dtype=np.float64), np.asarray(labels)
    if members.ndim != 3 or labels.shape != members.shape[1:2]:
        raise DataError(f"members has shape {members.shape}, labels {labels.shape}; give models x labels x classes.")
    pooled = mean_pool(members)
    flagged = (pooled.argmax(axis=1) != labels) & (pooled.max(axis=1) > cutoff) & (labels >= 0)
    return flagged, pooled


def _capped(share: Floats, n: float) -> Floats:
    """Inclusion probabilities ``min(1, kappa share)`` that add up to n."""
    order = np.argsort(-share)
    sorted_share = share[order]
    rest = np.cumsum(sorted_share[::-1])[::-1]
    # With the j largest capped at 1, kappa = (n - j) / (sum of the rest); the first j whose next value is below 1.
    j = np.arange(len(share))
    kappa = (n - j) / rest
    first = int(np.flatnonzero((kappa * sorted_share <= 1 + 1e-12) & (n - j > 0))[0])
    return np.asarray(np.minimum(1.0, kappa[first] * share))
