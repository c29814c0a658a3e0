"""Losses for learning from noisy surrogate classes that the project's study does not recommend; they may go.

``TorchClassifier(pretrain="surrogates")`` learns the surrogate's own probability by plain cross-entropy, and gold
recalibrates it. In the study (``docs/learners.md``) nothing did better. Where the errors of surrogates are known to
depend on the true class and on nothing else, and few gold labels could recalibrate, the two losses here have theory on
their side:

    from karat.predict import TorchClassifier, experimental
    TorchClassifier(pretrain="surrogates", loss=experimental.Forward())

Every network learns how surrogates err from the gold of its own training rows only, so that cross-fitting stays whole.
Nothing here is covered by what the project promises about public names.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .._core.types import Floats
from ..errors import ArgumentError, number
from .networks.heads import Classes
from .networks.rows import Rows
from .networks.train import Objective, Step

__all__ = ["Forward", "ImpreciseEM"]

_MOVED = {"forward": "Forward", "em": "ImpreciseEM"}
_GONE = ("early_learning", "co_teaching", "confident_learning", "prototypes", "meta_weights", "neighbours")


@dataclass(frozen=True)
class Forward:
    """Cross-entropy of the surrogate under ``p T``, with the confusion matrix ``T`` counted on gold.

    Parameters
    ----------
    smoothing : float
        Gold rows' worth of the surrogate's own shares that each class is given, 0 to 1,000.

    Raises
    ------
    ArgumentError
        If ``smoothing`` is out of range.

    References
    ----------
    Patrini, Rozza, Menon, Nock, Qu (2017), *Making deep neural networks robust to label noise: a loss correction
    approach*, theorem 2.

    Examples
    --------
    >>> from karat.predict import TorchClassifier, experimental
    >>> TorchClassifier(pretrain="surrogates", loss=experimental.Forward()).loss
    Forward(smoothing=1.0)
    """

    smoothing: float = 1.0

    def __post_init__(self) -> None:
        number("smoothing", self.smoothing, least=0.0, most=1e3)

    def taught(self, gold: list[tuple[Floats, Floats, Floats]]) -> Taught:
        """The loss with the confusion matrices of networks, from gold, surrogate and weight of the rows of each."""
        found, counts = [], []
        for own, surrogate, weight in gold:
            weight = weight / weight.mean() if len(weight) else weight
            found.append(confusion(own, surrogate, weight, self.smoothing))
            counts.append(found[-1] * (weight @ own + self.smoothing + 1e-3)[:, None])
        return Taught(np.stack(found), np.stack(counts), learns=isinstance(self, ImpreciseEM))


@dataclass(frozen=True)
class ImpreciseEM(Forward):
    """The same with ``T`` learnt along with the network, the gold's counts being its prior.

    Parameters
    ----------
    smoothing : float
        As in :class:`Forward`.

    References
    ----------
    Chen, Shah, Wang, Tao, Wang, Xie, Sugiyama, Singh, Raj (2024), *Imprecise label learning: a unified framework for
    learning with various imprecise label configurations*.

    Examples
    --------
    >>> ImpreciseEM(smoothing=2.0)
    ImpreciseEM(smoothing=2.0)
    """


@dataclass(frozen=True)
class Taught:
    """A loss with the confusion matrices of M networks, shape (M, K, S), and the counts behind them."""

    matrix: Floats
    counts: Floats
    learns: bool

    def true_classes(self, target: Floats) -> Floats:
        """The classes that surrogates (N, S) make probable for each network, shape (M, N, K)."""
        joint = np.stack([target @ matrix.T for matrix in self.matrix])
        return joint / np.maximum(joint.sum(axis=2, keepdims=True), 1e-12)

    def objective(self, head: Any, scales: dict[str, Any], like: Tensor) -> Objective:
        """What training minimises."""
        matrix, counts = (torch.from_numpy(v).to(like) for v in (self.matrix, self.counts))
        return EMObjective(head, scales, matrix, counts) if self.learns else ForwardObjective(head, scales, matrix)


def read_loss(loss: object) -> Forward:
    """A loss of this module, or an error that says where another is to be had."""
    if isinstance(loss, Forward):
        return loss
    plain = "use loss='soft_cross_entropy', which did at least as well in the study (docs/learners.md)"
    if isinstance(loss, str) and loss in _MOVED:
        raise ArgumentError(
            f"loss={loss!r} has moved; give loss=karat.predict.experimental.{_MOVED[loss]}(), or {plain}."
        )
    if isinstance(loss, str) and loss in _GONE:
        raise ArgumentError(f"loss={loss!r} is gone; {plain}.")
    raise ArgumentError(
        f"loss={loss!r} is not known; use 'soft_cross_entropy', or a loss of karat.predict.experimental: "
        "Forward(), ImpreciseEM()."
    )


def confusion(gold: Floats, surrogate: Floats, weight: Floats, smoothing: float) -> Floats:
    """``T[k, s] = P(surrogate s | gold k)`` from gold rows, smoothed towards the surrogate's shares.

    ``gold`` (n, K), ``surrogate`` (n, S), ``weight`` (n,). Gives (K, S).

    >>> eye = np.eye(2)
    >>> confusion(eye[[0, 0, 1, 1]], eye[[0, 1, 1, 1]], np.ones(4), 0.0).round(6)
    array([[0.5, 0.5],
           [0. , 1. ]])
    """
    counts = (gold * weight[:, None]).T @ surrogate
    share = (weight @ surrogate + 1e-3) / (weight.sum() + 1e-3 * surrogate.shape[1])
    counts = counts + (smoothing + 1e-12) * share
    return counts / counts.sum(axis=1, keepdims=True)


class ForwardObjective(Objective):
    """Cross-entropy of the surrogate under ``p T``."""

    def __init__(self, head: Classes, scales: dict[str, Any], matrix: Tensor) -> None:
        super().__init__(head, scales)
        self.matrix = matrix

    def _log_surrogate(self, out: Tensor, extra: Any, networks: Tensor) -> Tensor:
        """``log sum_k p_k T_ks``, shape (M, B, S)."""
        head: Any = self.head
        log_p = head.log_probability(out, extra)
        log_t = self.matrix[networks].clamp_min(1e-12).log()
        return (log_p[..., None] + log_t[:, None]).logsumexp(dim=2)

    def loss(self, step: Step) -> Tensor:
        """Loss of each row."""
        found = self._log_surrogate(step.out, step.parameters.get("extra"), step.networks)
        return -(step.batch.target * found).sum(dim=-1)

    def held_out(self, out: Tensor, extra: Any, rows: Rows, networks: Tensor) -> Tensor:
        """The same on held-out surrogates."""
        return -(rows.target * self._log_surrogate(out, extra, networks)).sum(dim=-1)


class EMObjective(ForwardObjective):
    """Expectation-maximisation over the true class and the confusion matrix.

    E step: the posterior of the true class given features and surrogate. M step: one gradient step on its
    cross-entropy, and at the end of each epoch ``T`` from the posteriors added to the gold's own counts.
    """

    def __init__(self, head: Classes, scales: dict[str, Any], matrix: Tensor, counts: Tensor) -> None:
        super().__init__(head, scales, matrix.clone())
        self.prior = counts
        self.counts = counts.clone()
        self.begun = False

    def epoch(self, number: int) -> None:
        """M step of the confusion matrix."""
        if self.begun:
            self.matrix = self.counts / self.counts.sum(dim=-1, keepdim=True)
        self.counts = self.prior.clone()
        self.begun = True

    def loss(self, step: Step) -> Tensor:
        """Cross-entropy with the posterior."""
        head: Any = self.head
        log_p = head.log_probability(step.out, step.parameters.get("extra"))
        with torch.no_grad():
            matrix = self.matrix[step.networks].clamp_min(1e-12)
            joint = log_p.exp()[..., None] * matrix[:, None]
            by_label = joint / joint.sum(dim=2, keepdim=True) * step.batch.target[:, :, None]
            posterior = by_label.sum(dim=-1)
            there = (step.batch.weight > 0).to(joint.dtype)
            self.counts[step.networks] += torch.einsum("mbks,mb->mks", by_label, there)
        return -(posterior * log_p).sum(dim=-1)
