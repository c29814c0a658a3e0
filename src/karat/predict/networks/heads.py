"""What the outputs of a network mean: the loss, the expectation, the distribution.

A head is handed outputs of shape (M, B, n_outputs), its free parameters (M, 1, n_extra), the scales of the M networks
(from their own training rows) and targets (M, B, q).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import logsigmoid, softplus

from ..._core.types import Floats

Scales = dict[str, Tensor]


@dataclass(frozen=True)
class Head:
    """Base of all heads. ``n_classes``: classes, 0 for numbers."""

    n_classes: int = 0
    n_outputs: int = 1
    n_extra: int = 0

    @property
    def classifies(self) -> bool:
        """Whether outputs are class probabilities."""
        return self.n_classes > 0

    def scales(self, target: Floats, weight: Floats) -> dict[str, Floats]:
        """Constants from the training rows of one network: targets (n, q), weights (n,)."""
        return {}

    def begin(self, target: Floats, weight: Floats, scales: dict[str, Floats]) -> tuple[Floats, Floats]:
        """Outputs (n_outputs,) and free parameters (n_extra,) of the best constant prediction."""
        raise NotImplementedError

    def loss(self, out: Tensor, extra: Tensor | None, target: Tensor, scales: Scales) -> Tensor:
        """Loss of each row, shape (M, B)."""
        raise NotImplementedError

    def curvature(self, out: Tensor, target: Tensor, scales: Scales) -> Tensor:
        """Second derivative of the loss in each output, or a bound of it, shape (M, B, n_outputs)."""
        return torch.ones_like(out)

    def starts_at(self) -> int:
        """How many of the outputs, from the first, the linear start fits."""
        return self.n_outputs

    def mean(self, out: Tensor, extra: Tensor | None, scales: Scales) -> Tensor:
        """Expectation, shape (M, B), or class probabilities, shape (M, B, K)."""
        raise NotImplementedError


@dataclass(frozen=True)
class Classes(Head):
    """Heads with class probabilities; the loss is the soft cross-entropy."""

    def log_probability(self, out: Tensor, extra: Tensor | None, temperature: Tensor | None = None) -> Tensor:
        """Log probabilities, shape (M, B, K); ``temperature`` has shape (M, 1, 1)."""
        raise NotImplementedError

    def loss(self, out: Tensor, extra: Tensor | None, target: Tensor, scales: Scales) -> Tensor:
        """Soft cross-entropy, with the log prior added where ``prior`` is among the scales (logit adjustment)."""
        log_p = self.log_probability(out, extra)
        if "prior" in scales:
            log_p = (log_p + scales["prior"]).log_softmax(dim=-1)
        return -(target * log_p).sum(dim=-1)

    def mean(self, out: Tensor, extra: Tensor | None, scales: Scales) -> Tensor:
        """Class probabilities."""
        return self.log_probability(out, extra, scales.get("temperature")).exp()


@dataclass(frozen=True)
class Binary(Classes):
    """Two classes, one logit."""

    def begin(self, target: Floats, weight: Floats, scales: dict[str, Floats]) -> tuple[Floats, Floats]:
        """Log odds of the smoothed share."""
        share = (weight @ target + 0.5) / (weight.sum() + 1.0)
        return np.log(share[1:] / share[:1]), np.empty(0)

    def log_probability(self, out: Tensor, extra: Tensor | None, temperature: Tensor | None = None) -> Tensor:
        """Log sigmoid of the logit and of its negative."""
        logit = out if temperature is None else out / temperature
        return torch.cat([logsigmoid(-logit), logsigmoid(logit)], dim=-1)

    def curvature(self, out: Tensor, target: Tensor, scales: Scales) -> Tensor:
        """``p (1 - p)``."""
        p = out.sigmoid()
        return (p * (1 - p)).clamp_min(1e-4)


@dataclass(frozen=True)
class Multinomial(Classes):
    """K classes, K logits."""

    def begin(self, target: Floats, weight: Floats, scales: dict[str, Floats]) -> tuple[Floats, Floats]:
        """Log of the smoothed shares, centred."""
        share = (weight @ target + 0.5) / (weight.sum() + 0.5 * self.n_classes)
        return np.log(share) - np.log(share).mean(), np.empty(0)

    def log_probability(self, out: Tensor, extra: Tensor | None, temperature: Tensor | None = None) -> Tensor:
        """Log softmax."""
        return (out if temperature is None else out / temperature).log_softmax(dim=-1)

    def curvature(self, out: Tensor, target: Tensor, scales: Scales) -> Tensor:
        """``2 p (1 - p)``: the Hessian of the log softmax is diagonally dominant, so at most twice its diagonal."""
        p = out.softmax(dim=-1)
        return (2 * p * (1 - p)).clamp_min(1e-4)


@dataclass(frozen=True)
class Ordinal(Classes):
    """Ordered classes by cumulative logits, ``P(y <= k) = sigmoid(cut_k - out)`` (McCullagh 1980)."""

    def begin(self, target: Floats, weight: Floats, scales: dict[str, Floats]) -> tuple[Floats, Floats]:
        """Cut-points at the log odds of the cumulative shares: the first, then gaps before the softplus."""
        share = (weight @ target + 0.5) / (weight.sum() + 0.5 * self.n_classes)
        below = share.cumsum()[:-1]
        cut = np.log(below / (1 - below))
        gap = np.maximum(np.diff(cut), 1e-3)
        return np.zeros(1), np.concatenate([cut[:1], np.log(np.expm1(gap))])

    def log_probability(self, out: Tensor, extra: Tensor | None, temperature: Tensor | None = None) -> Tensor:
        """``log {sigmoid(u) - sigmoid(l)} = log sigmoid(u) + log sigmoid(-l) + log(1 - exp(l - u))``."""
        assert extra is not None
        gap = softplus(extra[..., 1:]) + 1e-6
        cut = torch.cat([extra[..., :1], extra[..., :1] + gap.cumsum(dim=-1)], dim=-1)
        z = cut - out
        if temperature is not None:
            z, gap = z / temperature, gap / temperature
        middle = logsigmoid(z[..., 1:]) + logsigmoid(-z[..., :-1]) + (-torch.expm1(-gap)).log()
        return torch.cat([logsigmoid(z[..., :1]), middle, logsigmoid(-z[..., -1:])], dim=-1)

    def curvature(self, out: Tensor, target: Tensor, scales: Scales) -> Tensor:
        """A cumulative logit curves less than twice a logit."""
        return torch.full_like(out, 0.5)


def class_head(n_classes: int, ordinal: bool) -> Classes:
    """Head for K classes.

    >>> class_head(2, ordinal=False).n_outputs
    1
    """
    if ordinal and n_classes > 2:
        return Ordinal(n_classes, 1, n_classes - 1)
    return Binary(2) if n_classes == 2 else Multinomial(n_classes, n_classes)
