"""How sure can soft labels be? Each vote predicted from the other votes on its task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .base import row_max, row_sum
from .cells import MANY_CLASSES, Cells, Fit, fit_cells

if TYPE_CHECKING:
    from ..._core.types import Floats
    from ..tables.annotations import Annotations

DEPENDENCE = np.array([0.0, 0.03, 0.06, 0.1, 0.15, 0.2, 0.3, 0.5])
"""Values of the dependence of annotators that are tried."""
TRUST = np.linspace(0.0, 1.0, 21)
"""Weights of models of annotators that are tried."""
SPREADS = np.exp(np.linspace(np.log(0.1), np.log(30.0), 25))
"""Sizes of the prior of vote shares that are tried, in votes."""
FEW = 6.0
"""Annotators beyond three with whom what agreement says counts half."""


@dataclass(frozen=True)
class Confidence:
    """How far agreement is taken for truth.

    Parameters
    ----------
    dependence : float
        ``rho``: m votes on a task count as ``m / (1 + (m - 1) rho)`` independent ones.
    trust : float
        Weight of methods that model annotators; counting methods have the rest.
    spread : float
        Votes that the overall shares of the classes count for when a task's shares are shrunk to them.
    reach : float
        How far agreement can be told from errors in common, see :func:`reach_of`.
    """

    dependence: float
    trust: float
    spread: float
    reach: float = 1.0


def reach_of(n_workers: int) -> float:
    """How far the agreement of W annotators can be told from errors that they have in common: ``(W - 3) / (W + 3)``.

    Three annotators agree in three pairs, and a skill for each explains any such agreement: nothing is left that
    could speak against it. Each annotator more brings pairs that skills alone need not explain.

    Examples
    --------
    >>> reach_of(3), reach_of(9)
    (0.0, 0.5)
    """
    beyond = max(n_workers - 3.0, 0.0)
    return beyond / (beyond + FEW)


def confidence(annotations: Annotations, fitted: Fit | None = None) -> Confidence:
    """Choose dependence, trust and spread by how well each vote is predicted from the others on its task.

    Parameters
    ----------
    annotations : Annotations
    fitted : Fit, optional
        Dawid-Skene with shrunk confusion matrices, where it is at hand.

    Returns
    -------
    Confidence

    Notes
    -----
    Two predictions of annotator w's vote on task i from the other votes: through the truth, ``sum_c q_i(c) e_w(c, y)``,
    with everything that w said there taken out of q and of e, and q raised to the power of the effective number of
    the other votes; and without a truth, from the shares of the other votes shrunk to those of all. Their mixture with
    weight a has the likelihood L(rho, a). With priors ``(rho + .03) / .15`` log-normal with standard deviation .7 and a
    proportional to ``a (1 - a)``, posterior means are taken; then ``1 / W`` is added to rho and a is multiplied by
    ``(W - 3) / (W + 3)``, W annotators: the votes of a handful of annotators cannot show that these err together.

    Examples
    --------
    >>> import karat as kt
    >>> votes = {"task": [1, 1, 1, 2, 2, 2, 3, 3, 3], "worker": list("abcdbcabd"), "label": list("xxyyyyxxx")}
    >>> 0 < confidence(kt.labels.read_annotations(votes)).trust < 1
    True
    """
    plain = annotations.folded()
    spread = spread_of(plain)
    if fitted is None:
        cells = Cells.of(plain, named=plain.n_classes > MANY_CLASSES)
        fitted = fit_cells(cells, 100, 1e-6, 0.0, None, [])[0]
    through, without, weight = _predictions(fitted, spread)
    value = np.empty((len(DEPENDENCE), len(TRUST)))
    for i, prediction in enumerate(through):
        for j, share in enumerate(TRUST):
            value[i, j] = weight @ np.log(np.maximum(share * prediction + (1 - share) * without, 1e-300))
    value -= (np.log((DEPENDENCE + 0.03) / 0.15) ** 2)[:, None]
    value += np.log(TRUST * (1 - TRUST) + 1e-3)[None, :]
    mass = np.exp(value - value.max())
    mass /= mass.sum()
    n = plain.n_workers
    dependence, reach = float(mass.sum(axis=1) @ DEPENDENCE) + 1.0 / n, reach_of(n)
    return Confidence(min(1.0, dependence), float(mass.sum(axis=0) @ TRUST) * reach, spread, reach)


def tempered(probabilities: Floats, n_labels: Floats, dependence: float) -> Floats:
    """Probabilities raised to the power ``1 / (1 + (m - 1) rho)``, shape (n, K): the most probable class stays.

    Examples
    --------
    >>> import numpy as np
    >>> tempered(np.array([[0.9, 0.1]]), np.array([3.0]), 0.5).round(2)
    array([[0.75, 0.25]])
    """
    power = 1.0 / (1.0 + np.maximum(n_labels - 1.0, 0.0) * dependence)
    return raised(probabilities, power[:, None])


def raised(probabilities: Floats, power: Floats | float) -> Floats:
    """Probabilities raised to a power and normalised."""
    out = np.log(np.maximum(probabilities, 1e-12))
    out *= power
    out -= row_max(out)[:, None]
    np.exp(out, out=out)
    out /= row_sum(out)[:, None]
    return out


def shrunk_shares(annotations: Annotations, spread: float) -> Floats:
    """Vote shares of every task shrunk to those of all, shape (n, K)."""
    counts = annotations.counts
    return np.asarray((counts + spread * _overall(annotations)) / (row_sum(counts) + spread)[:, None])


def _overall(annotations: Annotations) -> Floats:
    """Shares of the classes among all votes, as if each had one vote more."""
    total = annotations.counts.sum(axis=0) + 1.0
    return np.asarray(total / total.sum())


def spread_of(annotations: Annotations) -> float:
    """Size of the Dirichlet prior of vote shares: marginal likelihood, and a log-normal prior (median 2, sd 1)."""
    from scipy.special import gammaln

    key = annotations.task.astype(np.int64) * annotations.n_classes + annotations.label
    cell, place = np.unique(key, return_inverse=True)
    counts = np.bincount(place, annotations.weights)
    mean = _overall(annotations)[cell % annotations.n_classes]
    total = annotations.n_labels[annotations.n_labels > 0]
    best = [
        (gammaln(s * mean + counts) - gammaln(s * mean)).sum()
        + (gammaln(s) - gammaln(s + total)).sum()
        - 0.5 * np.log(s / 2.0) ** 2
        for s in SPREADS
    ]
    return float(SPREADS[int(np.argmax(best))])


def _predictions(fitted: Fit, spread: float) -> tuple[list[Floats], Floats, Floats]:
    """Probability of every vote through the truth (for each dependence) and without it, and the votes' weights.

    What an annotator said of a task is left out together. Votes on tasks with gold say nothing about q and stay out.
    """
    cells, data = fitted.cells, fitted.cells.data
    weight = data.weights
    new = np.diff(data.task, prepend=-1).astype(bool) | np.diff(data.worker, prepend=-1).astype(bool)
    group = np.cumsum(new) - 1
    given = np.bincount(group, weight)[group]
    others = data.n_labels[data.task] - given
    # Everything an annotator said of a task, by class: records of one group in the order of their pairs.
    size = np.bincount(cells.vote, minlength=len(weight))
    first = np.concatenate([[0], np.cumsum(size[new])[:-1]])
    start = np.cumsum(size) - size
    slot = first[group][cells.vote] + np.arange(len(cells.vote)) - start[cells.vote]
    v = weight[cells.vote]
    log_own = np.bincount(slot, v * np.log(fitted.emission)[cells.cell])[slot]
    share = fitted.pairs[cells.pair]
    own = np.bincount(slot, v * share)[slot]
    left = fitted.strength + 1e-9
    chance = (fitted.counts[cells.cell] - v * share + left * fitted.mean[cells.cell]) / np.maximum(
        fitted.totals()[cells.row[cells.cell]] - own + left, 1e-9
    )
    scores = fitted.scores[cells.pair] - log_own
    log_prior = np.log(fitted.prior)[cells.truth[cells.pair]]
    count = np.maximum(others - 1.0, 0.0)[cells.vote]
    used = np.ones(len(weight), dtype=bool) if data.gold is None else data.gold[data.task] < 0
    through = []
    for rho in DEPENDENCE:
        at = scores / (1.0 + count * rho) + log_prior
        at -= np.maximum.reduceat(at, start)[cells.vote] if len(at) else 0.0
        np.exp(at, out=at)
        hit = np.bincount(cells.vote, at * np.clip(chance, 0.0, 1.0)) / np.bincount(cells.vote, at)
        through.append(hit[used])
    overall = _overall(data)[data.label]
    same = data.counts[data.task, data.label] - weight
    without = (spread * overall + np.maximum(same, 0.0)) / (spread + others)
    return through, np.minimum(without, 1.0)[used], weight[used]
