"""MACE: workers either know the answer or answer from a habit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..._core.machine import needs
from ...errors import ArgumentError, number, one_of, whole
from ...frames.order import mixed
from .base import Aggregator, softmax_rows
from .named import Named

if TYPE_CHECKING:
    from ..._core.types import Array, Floats
    from ..tables.annotations import Annotations, Candidates


@dataclass(eq=False, repr=False)
class MACE(Aggregator):
    r"""Multi-annotator competence estimation.

    Worker w copies the truth with probability :math:`\theta_w`, else answers from a distribution
    :math:`\xi_w` of its own. True classes are uniform a priori.

    Parameters
    ----------
    n_restarts : int
        Random starts; the one with the largest marginal likelihood is kept.
    n_iter : int
        EM rounds in each.
    method : {"vb", "em"}
        Variational Bayes with priors, or EM with ``smoothing``.
    prior : tuple of two float
        Beta prior on not copying and copying (``"vb"``).
    strategy_prior : float
        Dirichlet prior on habits (``"vb"``).
    smoothing : float, optional
        Added to expected counts (``"em"``); by default 0.01 / K.
    seed : int
        Seed of the starts.

    Attributes
    ----------
    skills_ : ndarray, shape (W,)
        Probability of copying the truth, normalised over copying and not.
    knowing_ : ndarray, shape (W, 2)
        Weights of not copying and of copying, as estimated.
    strategies_ : ndarray, shape (W, K)
        Weights of the habits.
    likelihoods_ : list of float
        Marginal log likelihood that each start reached.

    Notes
    -----
    The variational M-step is :math:`\exp\{\psi(n + a) - \psi(\sum (n + a))\}`. Every start has its own
    random numbers, and they belong to the content of a worker's labels: renaming or shuffling changes
    nothing.

    References
    ----------
    Hovy, Berg-Kirkpatrick, Vaswani, Hovy (2013), Learning whom to trust with MACE, NAACL.

    Examples
    --------
    >>> import karat as kt
    >>> votes = {"task": [1, 1, 1, 2, 2, 2, 3, 3, 3], "worker": list("abc") * 3, "label": list("xxyyyyxxx")}
    >>> kt.labels.MACE(n_restarts=2).fit(votes).predict_proba().argmax(axis=1)
    array([0, 1, 0])
    """

    n_restarts: int = 10
    n_iter: int = 50
    method: str = "vb"
    prior: tuple[float, float] = (0.5, 0.5)
    strategy_prior: float = 10.0
    smoothing: float | None = None
    seed: int = 0
    name = "mace"
    models = True

    def _fit(self, annotations: Annotations) -> Floats:
        self._check()
        needs(
            64.0 * annotations.n_workers * annotations.n_classes,
            f"habits of {annotations.n_workers:,} workers over {annotations.n_classes:,} classes (MACE)",
            "merge rare classes, or use method='glad' or 'vote_share' (in a pool: members=[...])",
        )
        data: _Sums = _NamedSums(annotations) if Named.pays(annotations) else _Sums(annotations)
        worker_key, class_key = content_keys(annotations.folded())
        side = np.arange(2, dtype=np.uint64)
        best = -np.inf
        self.likelihoods_ = []
        for restart in range(self.n_restarts):
            seed = 1000003 * self.seed + 2 * restart
            knowing = 1 + 1.5 * uniforms(seed, worker_key[:, None], side[None, :])
            habits = 1 + 1.5 * uniforms(seed + 1, worker_key[:, None], class_key[None, :])
            knowing /= knowing.sum(axis=1, keepdims=True)
            habits /= habits.sum(axis=1, keepdims=True)
            posterior, value = data.posterior(knowing, habits)
            for _ in range(self.n_iter):
                knowing, habits = self._maximise(*data.expected(knowing, habits, posterior))
                posterior, value = data.posterior(knowing, habits)
            self.likelihoods_.append(value)
            if value > best:
                best, kept = value, (knowing, habits, posterior)
        self.knowing_, self.strategies_, out = kept
        self.skills_ = self.knowing_[:, 1] / self.knowing_.sum(axis=1)
        return data.dense(out)

    def _predict(self, annotations: Annotations) -> Floats:
        return _Sums(annotations).posterior(self.knowing_, self.strategies_)[0]

    def _maximise(self, knowing: Floats, habits: Floats) -> tuple[Floats, Floats]:
        if self.method == "vb":
            return _variational(knowing, np.array(self.prior)), _variational(habits, self.strategy_prior)
        extra = 0.01 / habits.shape[1] if self.smoothing is None else self.smoothing
        one, two = (c / np.maximum(c.sum(axis=1, keepdims=True), 1e-300) for c in (knowing + extra, habits + extra))
        return one, two

    def _check(self) -> None:
        one_of("method", self.method, ("vb", "em"))
        self.n_restarts = whole("n_restarts", self.n_restarts, least=1)
        self.n_iter = whole("n_iter", self.n_iter, least=1)
        self.seed = whole("seed", self.seed, least=0)
        number("strategy_prior", self.strategy_prior, above=0)
        if not isinstance(self.prior, (tuple, list, np.ndarray)) or len(self.prior) != 2:
            raise ArgumentError(f"prior={self.prior!r} is not allowed; give two numbers above 0.")
        for value in self.prior:
            number("prior", value, above=0)
        if self.smoothing is not None:
            number("smoothing", self.smoothing, least=0)


class _Sums:
    """The two steps of MACE in terms of sums over (worker, class) cells."""

    def __init__(self, annotations: Annotations) -> None:
        self.data = annotations
        self.given = np.asarray(annotations.votes.sum(axis=0)).reshape(-1, annotations.n_classes)

    def posterior(self, knowing: Floats, habits: Floats) -> tuple[Floats, float]:
        """Class probabilities, shape (n, K), gold clamped, and the marginal log likelihood."""
        data = self.data
        habit = np.maximum(knowing[:, [0]] * habits, 1e-300)
        gain = np.log1p(knowing[:, [1]] / habit)
        scores = (data.votes @ gain.ravel()).reshape(data.n_tasks, data.n_classes)
        scores = np.asarray(scores) - np.log(data.n_classes)
        if data.candidates is not None:
            data.candidates.add_to(scores, _candidate_likelihood(data.candidates, knowing, habits))
        posterior, log_sum = softmax_rows(scores)
        value = float(log_sum.sum() + (self.given * np.log(habit)).sum())
        value += data.log_gold(posterior)
        return data.clamp(posterior), value

    def expected(self, knowing: Floats, habits: Floats, posterior: Floats) -> tuple[Floats, Floats]:
        """Expected numbers of (not copied, copied) answers, and of habitual answers by class."""
        data = self.data
        agreed = (data.votes.T @ posterior.ravel()).reshape(-1, data.n_classes)
        copied = agreed * knowing[:, [1]] / (knowing[:, [1]] + np.maximum(knowing[:, [0]] * habits, 1e-300))
        habitual = self.given - copied
        copied = copied.sum(axis=1)
        if data.candidates is not None:
            more_copied, more_habitual = _candidate_expected(data.candidates, knowing, habits, posterior)
            copied, habitual = copied + more_copied, habitual + more_habitual
        return np.column_stack([habitual.sum(axis=1), copied]), habitual

    def dense(self, posterior: Floats) -> Floats:
        """Class probabilities, shape (n, K), from what ``posterior`` gave."""
        return posterior


class _NamedSums(_Sums):
    """The same for very many classes: a class that nobody named for a task is like any other such class."""

    def __init__(self, annotations: Annotations) -> None:
        self.data, self.pairs = annotations, Named.of_labels(annotations)
        self.place = annotations.worker.astype(np.int64) * annotations.n_classes + annotations.label
        self.given = self._by_cell(annotations.weights)

    def _by_cell(self, values: Floats) -> Floats:
        shape = self.data.n_workers, self.data.n_classes
        return np.bincount(self.place, values, minlength=shape[0] * shape[1]).reshape(shape)

    def posterior(self, knowing: Floats, habits: Floats) -> tuple[Any, float]:
        worker, label = self.data.worker, self.data.label
        habit = np.maximum(knowing[worker, 0] * habits[worker, label], 1e-300)
        scores = self.pairs.sums(np.log1p(knowing[worker, 1] / habit))
        q, rest, value = self.pairs.posterior(scores)
        return (q, rest), value + float((self.data.weights * np.log(habit)).sum())

    def expected(self, knowing: Floats, habits: Floats, posterior: Any) -> tuple[Floats, Floats]:
        agreed = self._by_cell(self.data.weights * posterior[0][self.pairs.of])
        copied = agreed * knowing[:, [1]] / (knowing[:, [1]] + np.maximum(knowing[:, [0]] * habits, 1e-300))
        habitual = self.given - copied
        return np.column_stack([habitual.sum(axis=1), copied.sum(axis=1)]), habitual

    def dense(self, posterior: Any) -> Floats:
        return self.pairs.dense(*posterior)


def _variational(counts: Floats, prior: Floats | float) -> Floats:
    from scipy.special import digamma

    counts = counts + prior
    return np.asarray(np.exp(digamma(counts) - digamma(counts.sum(axis=1, keepdims=True))))


def _candidate_likelihood(extra: Candidates, knowing: Floats, habits: Floats) -> Floats:
    """Probability of each imprecise answer given the truth, shape (R, K)."""
    habitual = knowing[extra.worker, 0] * (habits[extra.worker] * extra.member).sum(axis=1)
    return knowing[extra.worker, 1][:, None] * extra.member + np.maximum(habitual, 1e-300)[:, None]


def _candidate_expected(extra: Candidates, knowing: Floats, habits: Floats, posterior: Floats) -> tuple[Floats, Floats]:
    likelihood = _candidate_likelihood(extra, knowing, habits)
    copied = posterior[extra.task] * extra.member * knowing[extra.worker, 1][:, None] / likelihood
    copied = copied.sum(axis=1) * extra.weight
    within = habits[extra.worker] * extra.member
    within /= np.maximum(within.sum(axis=1, keepdims=True), 1e-300)
    habitual = np.zeros_like(habits)
    np.add.at(habitual, extra.worker, within * (extra.weight - copied)[:, None])
    return np.bincount(extra.worker, copied, minlength=len(habits)), habitual


def content_keys(annotations: Annotations) -> tuple[Array, Array]:
    """Keys of workers and classes that renaming and shuffling leave in place.

    Made from who answered what, in a few rounds of colour refinement on integers, whose sums do not depend on order.
    A random start keeps its numbers under renaming if these are hashes of such keys.

    References
    ----------
    Weisfeiler and Leman (1968), for colour refinement.

    Examples
    --------
    >>> import numpy as np
    >>> from karat.labels import Annotations
    >>> t, w, y = np.array([0, 0, 1]), np.array(["a", "b", "a"]), np.array(["x", "y", "x"])
    >>> one, _ = content_keys(Annotations.of(t, w, y))
    >>> two, _ = content_keys(Annotations.of(t, np.array(["z", "b", "z"]), y))
    >>> bool(one[0] == two[1])
    True
    """
    a = annotations
    task, worker, label = (np.zeros(n, dtype=np.uint64) for n in (a.n_tasks, a.n_workers, a.n_classes))
    weight: Array = np.zeros(1, dtype=np.uint64)
    if a.weight is not None:
        weight = np.round(a.weight * 2.0**40).astype(np.uint64)
    for _ in range(3):
        each = _mix(_mix(_mix(task[a.task] + np.uint64(1)) ^ worker[a.worker]) + label[a.label])
        each = _mix(each + weight)
        task, worker, label = (
            _mix(old + _sums(each, code, len(old)))
            for old, code in ((task, a.task), (worker, a.worker), (label, a.label))
        )
    return worker, label


def task_keys(annotations: Annotations) -> Array:
    """Keys of tasks, made from who gave which label, that renaming and shuffling leave in place."""
    worker, label = content_keys(annotations)
    each = _mix(worker[annotations.worker] + _mix(label[annotations.label]))
    return _sums(each, annotations.task, annotations.n_tasks)


def uniforms(seed: int, *keys: Array) -> Floats:
    """Numbers in [0, 1) that depend on a seed and on keys, broadcast against each other."""
    with np.errstate(over="ignore"):
        out = _mix(np.asarray(seed % 2**64, dtype=np.uint64))
        for key in keys:
            out = _mix(out + key)
    return np.asarray((out >> np.uint64(11)).astype(np.float64) * 2.0**-53)


def _mix(x: Array) -> Array:
    """The splitmix64 finaliser."""
    with np.errstate(over="ignore"):
        return np.asarray(mixed(np.asarray(x, dtype=np.uint64)))


def _sums(values: Array, code: Array, size: int) -> Array:
    """Sums of 64-bit integers by group, modulo 2^64."""
    out = np.zeros(size, dtype=np.uint64)
    with np.errstate(over="ignore"):
        np.add.at(out, code, values)
    return out
