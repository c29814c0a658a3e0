"""Dawid-Skene and its one-coin form: EM for worker error rates and true classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..._core.machine import needs
from ...errors import ArgumentError, number, one_of, whole
from .base import Aggregator, Climb, normalised, softmax_rows
from .cells import MANY_CLASSES, Cells, fit_cells
from .votes import worker_agreement

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..._core.types import Bools, Floats
    from ..tables.annotations import Annotations, Candidates

_FLOOR = 1e-10
_MANY = 10**8
"""Cells of confusion matrices beyond which they are not made."""


@dataclass(eq=False, repr=False)
class _WithPrior(Aggregator):
    """EM with a class prior for each family of tasks."""

    n_iter: int = 100
    tol: float = 1e-6
    smoothing: float = 0.0

    def _run_em(
        self, annotations: Annotations, expect: Callable[[Floats], tuple[Floats, Floats]],
        maximise: Callable[[Floats], None],
    ) -> Floats:  # fmt: skip
        """Alternate the two steps from vote shares until the log likelihood settles."""
        climb = Climb(self.tol)
        prior = _family_means(annotations, annotations.clamp(normalised(annotations.counts)))
        for _ in range(self.n_iter):
            posterior, log_sum = expect(prior)
            value = (float(log_sum.sum()) + annotations.log_gold(posterior)) / max(annotations.total, 1.0)
            prior = _family_means(annotations, annotations.clamp(posterior))
            maximise(posterior)
            if climb.settled(value) and self.tol > 0:
                break
        climb.keep(self)
        self.prior_ = prior
        return posterior

    def _check(self) -> None:
        self.n_iter = whole("n_iter", self.n_iter, least=1)
        number("tol", self.tol, least=0)
        number("smoothing", self.smoothing, least=0)

    def _one_prior(self, annotations: Annotations) -> Floats:
        """The class prior for new labels."""
        if annotations.family is not None or len(self.prior_) > 1:
            raise ArgumentError("predict_proba on new labels needs a model fitted on one family of tasks.")
        return self.prior_


@dataclass(eq=False, repr=False)
class DawidSkene(_WithPrior):
    r"""A confusion matrix for every worker, and the true classes, by EM.

    Parameters
    ----------
    n_iter : int
        Most EM rounds.
    tol : float
        Stop when the log likelihood per label grows by less; 0 runs all rounds.
    smoothing : float
        Dirichlet pseudo-count added to every cell of every confusion matrix; 0 is maximum likelihood.
    shrink : float or "auto"
        Confusion matrices are drawn towards their average over workers, as if that many labels of every true class
        had been distributed like the average; ``"auto"`` finds the number from how much workers differ. 0 (the
        default): each worker by itself.
    truth : {"auto", "any", "named"}
        Classes that a task may have: any, or those that somebody named for it. ``"named"`` needs memory for the
        labels only, not for W x K x K cells; ``"auto"`` takes it where these would be more than 10^8, and beyond 20
        classes with ``shrink``.

    Attributes
    ----------
    confusion_ : ndarray, shape (W, K, K)
        ``confusion_[w, c, k]``: probability that worker w answers k when the truth is c. Not there where W x K x K is
        more than 10^8.
    strength_ : float
        The number of labels that the average counts for (``shrink``).
    skills_ : ndarray, shape (W,)
        With ``truth="named"`` (also by ``"auto"``): expected share of right answers.
    prior_ : ndarray, shape (F, K)
        Class prior of each family of tasks (one, unless several codes are aggregated together).
    loss_history_ : list of float
        Log likelihood per label after each round.
    converged_ : bool
    n_iter_ : int

    Notes
    -----
    Starts from vote shares. Confusion cells are floored at 1e-10. An imprecise answer S has the
    likelihood :math:`\sum_{k \in S} e^w_{ck}`; its expected counts are shared among S in that proportion.
    With ``shrink`` or named classes they count evenly for their classes.

    References
    ----------
    Dawid and Skene (1979), Maximum likelihood estimation of observer error-rates using the EM
    algorithm, Applied Statistics 28.

    Examples
    --------
    >>> import karat as kt
    >>> votes = {"task": [1, 1, 1, 2, 2, 2, 3, 3, 3], "worker": list("abc") * 3, "label": list("xxyyyyxxx")}
    >>> kt.labels.DawidSkene(smoothing=0.1).fit(votes).predict_proba().round(2)
    array([[0.99, 0.01],
           [0.  , 1.  ],
           [1.  , 0.  ]])
    """

    shrink: float | str = 0.0
    truth: str = "auto"
    name = "dawid_skene"
    models = True

    def _fit(self, annotations: Annotations) -> Floats:
        self._check()
        named = self._settled(annotations)
        if named or self.shrink != 0:
            return self._fit_cells(annotations, named)
        matrices_fit(annotations, "merge rare classes, or set truth='named'")
        k, plain = annotations.n_classes, annotations.folded()
        used = None
        if self.smoothing == 0:  # classes that each worker has ever used
            key = plain.worker.astype(np.int64) * k + plain.label
            used = np.bincount(key, minlength=plain.n_workers * k).reshape(-1, k) > 0
        share = plain.clamp(normalised(plain.counts))
        emission = self._normalise(np.asarray(plain.answers.T @ share), used)

        def expect(prior: Floats) -> tuple[Floats, Floats]:
            return self._posterior(annotations, np.log(emission), prior)

        def maximise(posterior: Floats) -> None:
            nonlocal emission
            counts = annotations.answers.T @ posterior
            if annotations.candidates is not None:
                counts += _candidate_counts(annotations.candidates, emission, posterior, annotations.n_classes)
            emission = self._normalise(counts, used)

        posterior = self._run_em(annotations, expect, maximise)
        self.confusion_ = np.ascontiguousarray(emission.reshape(-1, k, k).transpose(0, 2, 1))
        return posterior

    def _settled(self, annotations: Annotations) -> bool:
        """Check ``shrink`` and ``truth``; whether tasks have named classes only."""
        if self.shrink != "auto":
            number("shrink", self.shrink, least=0)
        one_of("truth", self.truth, ("auto", "any", "named"))
        many = annotations.n_workers * annotations.n_classes**2 > _MANY
        many |= self.shrink != 0 and annotations.n_classes > MANY_CLASSES
        named = self.truth == "named" or (self.truth == "auto" and many)
        if annotations.family is not None and (named or self.shrink != 0):
            raise ArgumentError("shrink and truth='named' do not go with several codes aggregated together.")
        return named

    def _fit_cells(self, annotations: Annotations, named: bool) -> Floats:
        """Shrunk confusion matrices, or those of named classes, without W K K cells."""
        plain = annotations.folded()
        shrink = None if isinstance(self.shrink, str) else float(self.shrink)
        self.loss_history_ = []
        self.fit_, self.converged_ = fit_cells(
            Cells.of(plain, named=named), self.n_iter, self.tol, self.smoothing, shrink, self.loss_history_
        )
        found, k = self.fit_, annotations.n_classes
        self.n_iter_, self.strength_, self.prior_ = len(self.loss_history_), found.strength, found.prior[None, :]
        if annotations.n_workers * k**2 <= _MANY:
            self.confusion_ = found.matrices(self.smoothing)
        posterior = found.probabilities()
        if named:
            self.skills_ = worker_agreement(plain, posterior)
        return posterior

    def _predict(self, annotations: Annotations) -> Floats:
        k = annotations.n_classes
        if not hasattr(self, "confusion_"):
            raise ArgumentError(
                f"predict_proba on new labels needs confusion matrices of {annotations.n_workers:,} workers over "
                f"{k:,} classes; fit old and new labels together."
            )
        emission = self.confusion_.transpose(0, 2, 1).reshape(-1, k)
        return self._posterior(annotations, np.log(emission), self._one_prior(annotations))[0]

    def _posterior(self, annotations: Annotations, log_emission: Floats, prior: Floats) -> tuple[Floats, Floats]:
        scores = np.asarray(annotations.answers @ log_emission)
        _add_prior(scores, annotations, prior)
        if annotations.candidates is not None:
            likelihood = _candidate_likelihood(annotations.candidates, np.exp(log_emission))[1]
            annotations.candidates.add_to(scores, likelihood)
        # No score falls below log(1e-10) for each label and one for the prior.
        lowest = -np.log(_FLOOR) * (1 + float(annotations.n_labels.max()))
        return softmax_rows(scores, shift=lowest > 600)

    def _normalise(self, counts: Floats, used: Bools | None) -> Floats:
        """Probabilities of answers given truth from expected counts; both of shape (W K, K), row (worker, answer)."""
        k = counts.shape[1]
        table = counts.reshape(-1, k, k)
        if used is not None:
            table = np.where(used[:, :, None], np.maximum(table, _FLOOR), 0.0)
            out = table / np.maximum(table.sum(axis=1, keepdims=True), _FLOOR)
        else:
            table = table + self.smoothing
            out = table / table.sum(axis=1, keepdims=True)
        return np.maximum(out, _FLOOR).reshape(-1, k)


class OneCoin(_WithPrior):
    """Dawid-Skene with one accuracy per worker; errors fall evenly on the other classes.

    Parameters
    ----------
    n_iter : int
        Most EM rounds.
    tol : float
        Stop when the log likelihood per label grows by less; 0 runs all rounds.
    smoothing : float
        Pseudo-count of right and of wrong answers added to every worker.

    Attributes
    ----------
    skills_ : ndarray, shape (W,)
        Accuracies.
    prior_ : ndarray, shape (F, K)
    loss_history_ : list of float
    converged_ : bool
    n_iter_ : int

    References
    ----------
    Zhang, Chen, Zhou, Jordan (2016), Spectral methods meet EM, JMLR 17.

    Examples
    --------
    >>> import karat as kt
    >>> votes = {"task": [1, 1, 1, 2, 2, 2, 3, 3, 3], "worker": list("abc") * 3, "label": list("xxyyyyxxx")}
    >>> kt.labels.OneCoin(smoothing=1).fit(votes).skills_.round(2)
    array([0.75, 0.75, 0.58])
    """

    name = "one_coin"
    models = True

    def _fit(self, annotations: Annotations) -> Floats:
        self._check()
        share = annotations.clamp(normalised(annotations.counts))
        skills = self._skills(annotations, share, None)

        def expect(prior: Floats) -> tuple[Floats, Floats]:
            return _one_coin_posterior(annotations, skills, prior)

        def maximise(posterior: Floats) -> None:
            nonlocal skills
            skills = self._skills(annotations, posterior, skills)

        posterior = self._run_em(annotations, expect, maximise)
        self.skills_ = skills
        return posterior

    def _predict(self, annotations: Annotations) -> Floats:
        return _one_coin_posterior(annotations, self.skills_, self._one_prior(annotations))[0]

    def _skills(self, annotations: Annotations, posterior: Floats, before: Floats | None) -> Floats:
        """Expected share of right answers, shape (W,)."""
        total = annotations.worker_labels
        right = worker_agreement(annotations, posterior) * total
        extra = annotations.candidates
        if extra is not None:
            expected = posterior[extra.task] * extra.member
            if before is None:
                expected /= extra.size[:, None]
            else:
                s = before[extra.worker][:, None]
                wrong = (extra.size - 1)[:, None] * (1 - s) / (annotations.n_classes - 1)
                expected = expected * s / (s + wrong)
            right = right + np.bincount(extra.worker, expected.sum(axis=1) * extra.weight, minlength=len(total))
        out = (right + self.smoothing) / np.maximum(total + 2 * self.smoothing, _FLOOR)
        return np.clip(np.where(total + self.smoothing > 0, out, 1.0 / annotations.n_classes), _FLOOR, 1 - _FLOOR)


def _family_means(annotations: Annotations, posterior: Floats) -> Floats:
    """Mean class probabilities of each family of tasks, floored; shape (F, K)."""
    if annotations.family is None:
        total = np.ones(len(posterior)) @ posterior
        return np.maximum(total / max(len(posterior), 1), _FLOOR)[None, :]
    size = np.maximum(np.bincount(annotations.family), 1)
    sums = [np.bincount(annotations.family, column) for column in posterior.T]
    return np.maximum(np.column_stack(sums) / size[:, None], _FLOOR)


def _add_prior(scores: Floats, annotations: Annotations, prior: Floats) -> None:
    """Add the log prior of each task's family to its scores, in place."""
    log_prior = np.log(prior)
    scores += log_prior[0] if annotations.family is None else log_prior[annotations.family]


def _candidate_likelihood(extra: Candidates, emission: Floats) -> tuple[Floats, Floats]:
    """Probability of each allowed class, and of each answer, given the truth."""
    answer, label, start = extra.pairs
    each = emission[extra.worker[answer] * emission.shape[1] + label]
    return each, np.add.reduceat(each, start, axis=0)


def _candidate_counts(extra: Candidates, emission: Floats, posterior: Floats, n_classes: int) -> Floats:
    """Expected counts that imprecise answers add to the cells (worker, answer) x truth."""
    answer, label, _ = extra.pairs
    each, whole = _candidate_likelihood(extra, emission)
    share = each / np.maximum(whole, 1e-300)[answer]
    share *= posterior[extra.task[answer]] * extra.weight[answer][:, None]
    out = np.zeros_like(emission)
    np.add.at(out, extra.worker[answer] * n_classes + label, share)
    return out


def _one_coin_posterior(annotations: Annotations, skills: Floats, prior: Floats) -> tuple[Floats, Floats]:
    k = annotations.n_classes
    wrong = np.log((1 - skills) / (k - 1))
    scores = annotations.votes @ np.repeat(np.log(skills) - wrong, k)
    scores = np.asarray(scores.reshape(annotations.n_tasks, k))
    scores += np.bincount(
        annotations.task, wrong[annotations.worker] * annotations.weights, minlength=annotations.n_tasks
    )[:, None]
    _add_prior(scores, annotations, prior)
    extra = annotations.candidates
    if extra is not None:
        s = skills[extra.worker][:, None]
        likelihood = s * extra.member + (extra.size[:, None] - extra.member) * (1 - s) / (k - 1)
        extra.add_to(scores, likelihood)
    return softmax_rows(scores)


def matrices_fit(annotations: Annotations, instead: str = "merge rare classes") -> None:
    """Raise unless there is memory for a confusion matrix of every worker, and the copies that EM makes."""
    w, k = annotations.n_workers, annotations.n_classes
    needs(
        5 * 8.0 * w * k * k,
        f"a confusion matrix for each of {w:,} workers over {k:,} classes (Dawid-Skene)",
        instead,
    )
