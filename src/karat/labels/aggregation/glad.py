"""GLAD: worker ability times task easiness."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ...errors import number, whole
from .base import Aggregator, Climb, softmax_rows
from .named import Named

if TYPE_CHECKING:
    from ..._core.types import Floats, Ints
    from ..tables.annotations import Annotations

_LONGEST_STEP = 1.0


@dataclass(eq=False, repr=False)
class GLAD(Aggregator):
    r"""Generative model of labels, abilities and difficulties.

    Worker w is right on task i with probability :math:`\sigma(\alpha_w e^{\beta_i})`; errors fall evenly on
    the other K - 1 classes. :math:`\alpha_w, \beta_i \sim N(1, 1)`, classes are uniform a priori.

    Parameters
    ----------
    n_iter : int
        Most EM rounds.
    tol : float
        Stop when the penalised log likelihood per label grows by less.

    Attributes
    ----------
    skills_ : ndarray, shape (W,)
        Abilities alpha; 0 is guessing, negative is contrary.
    easiness_ : ndarray, shape (n,)
        ``exp(beta)`` of each task.
    loss_history_ : list of float
        Penalised log likelihood per label after each round.
    converged_ : bool
    n_iter_ : int

    Notes
    -----
    Each round takes one safeguarded Newton step in every ability and one in every easiness: given the other
    side they are separate problems, so no step can lower the objective of any of them.

    References
    ----------
    Whitehill, Ruvolo, Wu, Bergsma, Movellan (2009), Whose vote should count more, NIPS 22.

    Examples
    --------
    >>> import karat as kt
    >>> votes = {"task": [1, 1, 1, 2, 2, 2, 3, 3, 3], "worker": list("abc") * 3, "label": list("xxyyyyxxx")}
    >>> kt.labels.GLAD().fit(votes).skills_.round(1)
    array([1.2, 1.2, 0.6])
    """

    n_iter: int = 100
    tol: float = 1e-6
    name = "glad"
    models = True

    def _fit(self, annotations: Annotations) -> Floats:
        self.n_iter = whole("n_iter", self.n_iter, least=1)
        number("tol", self.tol, least=0)
        found = _run(annotations, np.ones(annotations.n_workers), self.n_iter, self.tol, move_workers=True)
        self.skills_, self.easiness_ = found.ability, np.exp(found.log_easiness)
        found.climb.keep(self)
        return found.posterior

    def _predict(self, annotations: Annotations) -> Floats:
        return _run(annotations, self.skills_.copy(), self.n_iter, self.tol, move_workers=False).posterior


@dataclass
class _State:
    ability: Floats
    log_easiness: Floats
    posterior: Floats
    climb: Climb


@dataclass(frozen=True)
class _Labels:
    """Labels, imprecise ones at the end."""

    task: Ints
    worker: Ints
    weight: Floats | None

    @classmethod
    def of(cls, annotations: Annotations) -> _Labels:
        extra = annotations.candidates
        if extra is None:
            return cls(annotations.task, annotations.worker, annotations.weight)
        return cls(
            np.concatenate([annotations.task, extra.task]),
            np.concatenate([annotations.worker, extra.worker]),
            np.concatenate([annotations.weights, extra.weight]),
        )

    def weigh(self, values: Floats) -> Floats:
        return values if self.weight is None else values * self.weight


def _run(annotations: Annotations, ability: Floats, n_iter: int, tol: float, *, move_workers: bool) -> _State:
    labels = _Labels.of(annotations)
    pairs = Named.of_labels(annotations) if Named.pays(annotations) else None
    state = _State(ability, np.ones(annotations.n_tasks), np.empty(0), Climb(tol))
    curve = _Curve.at(labels, state.ability, state.log_easiness)
    for _ in range(n_iter):
        if pairs is None:
            state.posterior, right, value = _expect(annotations, labels, curve, state)
        else:
            named, right, value = _expect_named(annotations, pairs, curve)
        value -= 0.5 * float(((state.ability - 1) ** 2).sum() + ((state.log_easiness - 1) ** 2).sum())
        if state.climb.settled(value / max(annotations.total, 1.0)):
            break
        if move_workers:
            state.ability, curve = _move_abilities(labels, right, curve, state)
        state.log_easiness, curve = _move_easiness(labels, right, curve, state)
    if pairs is not None:
        state.posterior = pairs.dense(*named)
    return state


@dataclass(frozen=True)
class _Curve:
    """Logit of being right for every label, its sigmoid and softplus."""

    logit: Floats
    sigmoid: Floats
    softplus: Floats

    @classmethod
    def at(cls, labels: _Labels, ability: Floats, log_easiness: Floats) -> _Curve:
        logit = ability[labels.worker] * np.exp(log_easiness)[labels.task]
        small = np.exp(-np.abs(logit))
        sigmoid = np.where(logit >= 0, 1.0, small) / (1.0 + small)
        return cls(logit, sigmoid, np.log1p(small) + np.maximum(logit, 0.0))


def _expect(annotations: Annotations, labels: _Labels, curve: _Curve, state: _State) -> tuple[Floats, Floats, float]:
    """Class posterior, probability that each label is right, marginal log likelihood."""
    n, k = annotations.n_tasks, annotations.n_classes
    m = len(annotations.task)
    # log(right) - log(wrong class) = logit + log(K - 1)
    votes = annotations.votes @ np.repeat(state.ability, k)
    scores = votes.reshape(n, k) * np.exp(state.log_easiness)[:, None]
    plain = np.bincount(
        annotations.task.astype(np.int64) * k + annotations.label, weights=annotations.weight, minlength=n * k
    )
    scores += plain.reshape(n, k) * np.log(k - 1) - np.log(k)
    extra = annotations.candidates
    if extra is not None:
        right = curve.sigmoid[m:][:, None]
        allowed = right * extra.member + (extra.size[:, None] - extra.member) * (1 - right) / (k - 1)
        extra.add_to(scores, allowed)
    posterior, log_sum = softmax_rows(scores)
    base = (curve.softplus[:m] + np.log(k - 1)) * annotations.weights
    value = float(log_sum.sum() - base.sum()) + annotations.log_gold(posterior)
    annotations.clamp(posterior)
    correct = posterior[annotations.task, annotations.label]
    if extra is not None:
        hit = posterior[extra.task] * extra.member * right / np.maximum(allowed, 1e-300)
        correct = np.concatenate([correct, hit.sum(axis=1)])
    return posterior, correct, value


def _expect_named(annotations: Annotations, pairs: Named, curve: _Curve) -> tuple[tuple[Floats, Floats], Floats, float]:
    """The same for very many classes: probabilities of named classes, and of any one other."""
    k = annotations.n_classes
    q, rest, value = pairs.posterior(pairs.sums(curve.logit + np.log(k - 1)))
    base = (curve.softplus + np.log(k - 1)) * annotations.weights
    return (q, rest), q[pairs.of], value - float(base.sum())


def _move_abilities(labels: _Labels, right: Floats, curve: _Curve, state: _State) -> tuple[Floats, _Curve]:
    easiness = np.exp(state.log_easiness)[labels.task]
    old, size = state.ability, len(state.ability)
    slope = np.bincount(labels.worker, labels.weigh((right - curve.sigmoid) * easiness), minlength=size) - (old - 1)
    bend = labels.weigh(curve.sigmoid * (1 - curve.sigmoid) * easiness**2)
    step = slope / (np.bincount(labels.worker, bend, minlength=size) + 1)

    def curve_at(values: Floats) -> _Curve:
        return _Curve.at(labels, values, state.log_easiness)

    return _safeguarded(labels, labels.worker, right, curve, old, step, curve_at)


def _move_easiness(labels: _Labels, right: Floats, curve: _Curve, state: _State) -> tuple[Floats, _Curve]:
    old, size = state.log_easiness, len(state.log_easiness)
    gain = labels.weigh((right - curve.sigmoid) * curve.logit)
    slope = np.bincount(labels.task, gain, minlength=size) - (old - 1)
    bend = labels.weigh(curve.sigmoid * (1 - curve.sigmoid) * curve.logit**2)
    curvature = np.bincount(labels.task, bend, minlength=size) + 1
    # The exact curvature where it is larger than the expected one: steps then do not overshoot.
    exact = curvature - np.bincount(labels.task, gain, minlength=size)
    step = slope / np.maximum(curvature, exact)

    def curve_at(values: Floats) -> _Curve:
        return _Curve.at(labels, state.ability, values)

    return _safeguarded(labels, labels.task, right, curve, old, step, curve_at)


def _safeguarded(labels, code, right, curve, old, step, curve_at):  # type: ignore[no-untyped-def]
    """Take each coordinate's step, halved for those whose objective it would lower."""
    step = np.clip(step, -_LONGEST_STEP, _LONGEST_STEP)
    size = len(old)

    def objective(at: _Curve, values: Floats) -> Floats:
        each = labels.weigh(right * at.logit - at.softplus)
        return np.bincount(code, each, minlength=size) - 0.5 * (values - 1) ** 2

    before = objective(curve, old)
    for _ in range(4):
        new = old + step
        moved = curve_at(new)
        worse = objective(moved, new) < before - 1e-9
        if not worse.any():
            return new, moved
        step = np.where(worse, step / 4, step)
    step[worse] = 0.0
    new = old + step
    return new, curve_at(new)
