"""Losses for noisy surrogate labels: what the pre-training minimises.

Gold is few and surrogates are many. Pre-training learns from the surrogate labels of all rows; the gold labels of the
training folds then correct the network, and tell the losses below how surrogates err. Every loss sees the gold of its
own network's training rows only.

====================== =============================================================================================
``soft_cross_entropy`` Plain cross-entropy with the soft surrogate whole. The default: the network learns the
                       surrogate's own probability, and gold recalibrates it.
``forward``            Cross-entropy of the surrogate under ``p T``, with the confusion matrix ``T`` estimated from gold
                       (Patrini et al. 2017). For errors that depend on the true class, not on the text.
``em``                 The same with ``T`` learnt too, gold as its prior counts (imprecise-label EM, Chen et al.
                       2024). When gold is too scarce to know ``T``.
``early_learning``     Pulls predictions to their own running mean, so that wrong labels are not memorised (Liu et al.
                       2020). For large networks trained long.
``co_teaching``        Two networks choose the rows of small loss for each other, with nested dropout (Han et al. 2018;
                       Chen et al. 2021). For heavy noise without structure; twice the time.
``confident_learning`` Leaves out the rows whose label the confident joint holds to be wrong (Northcutt et al. 2021).
``prototypes``         Weighs rows by how much nearer they are to the gold prototype of their class than to others
                       (after Lee et al. 2018). For errors that depend on the text, where features tell classes
                       apart.
``meta_weights``       Weighs rows of each minibatch by how much a step on them lowers the loss on gold (Ren et al.
                       2018). For errors of unknown kind; three times the time.
``neighbours``         Targets are posteriors with the label shares among nearest neighbours as prior and the
                       gold confusion matrix as likelihood (the prior of Ye et al. 2025). For embeddings.
====================== =============================================================================================

References
----------
Chen, Shah, Wang, Tao, Wang, Xie, Sugiyama, Singh, Raj (2024), *Imprecise label learning: a unified framework for
learning with various imprecise label configurations*; Chen, Shen, Hu, Suykens (2021), *Boosting co-teaching with
compression regularization for label noise*; Han et al. (2018), *Co-teaching: robust training of deep neural networks
with extremely noisy labels*; Lee, He, Zhang, Yang (2018), *CleanNet: transfer learning for scalable image classifier
training with label noise*; Liu, Niles-Weed, Razavian, Fernandez-Granda (2020), *Early-learning regularization prevents
memorization of noisy labels*; Northcutt, Jiang, Chuang (2021), *Confident learning: estimating uncertainty in dataset
labels*; Patrini, Rozza, Menon, Nock, Qu (2017), *Making deep neural networks robust to label noise: a loss correction
approach*; Ren, Zeng, Yang, Urtasun (2018), *Learning to reweight examples for robust deep learning*; Rippel, Gelbart,
Adams (2014), *Learning ordered representations with nested dropout*; Ye, Shah, Zhang, Chava (2025), *Calibrating
pre-trained language classifiers on LLM-generated noisy labels via iterative refinement*.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import ArgumentError, number
from .draws import PEER, stream
from .train import Objective, Step

if TYPE_CHECKING:
    import torch

    from ..._core.types import Floats
    from .heads import Classes
    from .rows import Rows

OPTIONS: dict[str, dict[str, tuple[float, float, float]]] = {
    "soft_cross_entropy": {},
    "forward": {"smoothing": (1.0, 0.0, 1e3)},
    "em": {"smoothing": (1.0, 0.0, 1e3)},
    "early_learning": {"momentum": (0.7, 0.0, 0.999), "strength": (1.0, 0.0, 100.0)},
    "co_teaching": {"warm_up": (30.0, 1.0, 1e4), "noise": (np.nan, 0.0, 0.9)},
    "confident_learning": {"parts": (3.0, 2.0, 20.0)},
    "prototypes": {"sharpness": (1.0, 0.0, 100.0)},
    "meta_weights": {},
    "neighbours": {"smoothing": (1.0, 0.0, 1e3), "k": (20.0, 1.0, 1e4)},
}
"""Losses, and each one's options as (default, lowest, highest)."""

LOSSES = tuple(OPTIONS)
NEEDS_GOLD = ("forward", "em", "early_learning", "co_teaching", "prototypes", "meta_weights", "neighbours")
"""Losses that use the gold of a network's training rows, so that each network is pre-trained on its own."""


def read_loss(loss: object, options: object) -> tuple[str, dict[str, float]]:
    """A loss and its options, checked.

    Parameters
    ----------
    loss : str
    options : dict or None

    Returns
    -------
    loss : str
    options : dict of float

    Raises
    ------
    ArgumentError
        If the loss or an option is not known.

    Examples
    --------
    >>> read_loss("early_learning", {"strength": 1})
    ('early_learning', {'momentum': 0.7, 'strength': 1.0})
    """
    if not isinstance(loss, str) or loss not in OPTIONS:
        raise ArgumentError(f"loss={loss!r} is not known; choose one of {', '.join(map(repr, LOSSES))}.")
    known = OPTIONS[loss]
    if options is not None and not isinstance(options, dict):
        raise ArgumentError(f"loss_options is a {type(options).__name__}; give a dict, or None.")
    given = dict(options or {})
    if strangers := sorted(set(given) - set(known), key=str):
        listing = ", ".join(map(repr, known)) or "none"
        raise ArgumentError(
            f"loss_options names {strangers[0]!r}, which loss={loss!r} has not; its options: {listing}."
        )
    out = {}
    for name, (default, low, high) in known.items():
        value = given.get(name, default)
        out[name] = number(f"loss_options[{name!r}]", value, least=low, most=high) if name in given else float(value)
    return loss, out


def confusion(gold: Floats, surrogate: Floats, weight: Floats, smoothing: float) -> Floats:
    """``T[k, s] = P(surrogate s | gold k)`` from gold rows, smoothed towards the surrogate's shares.

    Parameters
    ----------
    gold : ndarray, shape (n, K)
    surrogate : ndarray, shape (n, S)
    weight : ndarray, shape (n,)
    smoothing : float
        Rows' worth of the surrogate's shares that each class is given.

    Returns
    -------
    ndarray, shape (K, S)

    Examples
    --------
    >>> eye = np.eye(2)
    >>> confusion(eye[[0, 0, 1, 1]], eye[[0, 1, 1, 1]], np.ones(4), 0.0).round(6)
    array([[0.5, 0.5],
           [0. , 1. ]])
    """
    counts = (gold * weight[:, None]).T @ surrogate
    share = (weight @ surrogate + 1e-3) / (weight.sum() + 1e-3 * surrogate.shape[1])
    counts = counts + (smoothing + 1e-12) * share
    out: Floats = counts / counts.sum(axis=1, keepdims=True)
    return out


class Forward(Objective):
    """Cross-entropy of the surrogate under ``p T`` (Patrini et al. 2017, theorem 2)."""

    def __init__(self, head: Classes, scales: dict[str, Any], matrix: torch.Tensor) -> None:
        super().__init__(head, scales)
        self.matrix = matrix

    def _log_surrogate(self, out: torch.Tensor, extra: Any, networks: torch.Tensor) -> torch.Tensor:
        """``log sum_k p_k T_ks``, shape (M, B, S)."""
        head: Any = self.head
        log_p = head.log_probability(out, extra)
        log_t = self.matrix[networks].clamp_min(1e-12).log()
        joined: torch.Tensor = (log_p[..., None] + log_t[:, None]).logsumexp(dim=2)
        return joined

    def loss(self, step: Step) -> torch.Tensor:
        """Loss of each row."""
        found = self._log_surrogate(step.out, step.parameters.get("extra"), step.networks)
        return -(step.batch.target * found).sum(dim=-1)

    def held_out(self, out: torch.Tensor, extra: Any, rows: Rows, networks: torch.Tensor) -> torch.Tensor:
        """The same on held-out surrogates."""
        return -(rows.target * self._log_surrogate(out, extra, networks)).sum(dim=-1)


class ImpreciseEM(Forward):
    """Expectation-maximisation over the true class and the confusion matrix (Chen et al. 2024).

    E step: the posterior of the true class given features and surrogate. M step: one gradient step on its
    cross-entropy, and at the end of each epoch ``T`` from the posteriors added to the gold's own counts.
    """

    def __init__(self, head: Classes, scales: dict[str, Any], matrix: torch.Tensor, counts: torch.Tensor) -> None:
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

    def loss(self, step: Step) -> torch.Tensor:
        """Cross-entropy with the posterior."""
        import torch

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


class EarlyLearning(Objective):
    """Cross-entropy plus ``strength log(1 - <p, t>)``, ``t`` a row's mean prediction so far (Liu et al. 2020)."""

    def __init__(
        self, head: Classes, scales: dict[str, Any], shape: tuple[int, int, int], like: torch.Tensor,
        momentum: float, strength: float,
    ) -> None:  # fmt: skip
        super().__init__(head, scales)
        self.memory = like.new_zeros(shape)
        self.momentum, self.strength = momentum, strength

    def loss(self, step: Step) -> torch.Tensor:
        """Loss of each row; a row's memory moves when it is seen."""
        import torch

        head: Any = self.head
        log_p = head.log_probability(step.out, step.parameters.get("extra"))
        p = log_p.exp()
        at = (step.networks[:, None].expand(step.batch.place.shape), step.batch.place)
        with torch.no_grad():
            seen = (step.batch.weight > 0)[..., None]
            now = self.momentum * self.memory[at] + (1 - self.momentum) * p
            memory = torch.where(seen, now, self.memory[at])
            self.memory.index_put_((at[0][seen[..., 0]], at[1][seen[..., 0]]), memory[seen[..., 0]])
        plain = -(step.batch.target * log_p).sum(dim=-1)
        return plain + self.strength * (1 - (memory * p).sum(dim=-1)).clamp_min(1e-4).log()


class CoTeaching(Objective):
    """Pairs of networks; each trains on the rows its peer finds easy, with nested dropout (Chen et al. 2021).

    The share of rows kept falls from 1 to one minus the noise over ``warm_up`` epochs (Han et al. 2018).
    """

    peers = 2

    def __init__(self, head: Classes, scales: dict[str, Any], noise: torch.Tensor, warm_up: float) -> None:
        super().__init__(head, scales)
        self.noise, self.warm_up = noise, warm_up

    def width(self, seeds: list[int], epoch: int, step: int, units: int) -> list[Floats]:
        """The first k hidden units, k uniform from 1 to all."""
        widths = [stream(seed, PEER, epoch, step).integers(1, units + 1) for seed in seeds]
        return [(np.arange(units) < k).astype(np.float32) for k in widths]

    def loss(self, step: Step) -> torch.Tensor:
        """Loss of the rows that the peer chose, scaled so that their mean counts; 0 for others."""
        import torch

        loss = super().loss(step)
        keep = 1 - self.noise[step.networks] * min(step.epoch / self.warm_up, 1.0)
        with torch.no_grad():
            real = step.batch.weight > 0
            count = real.sum(dim=1)
            n_kept = (keep * count).ceil().clamp_min(1.0)
            rank = loss.masked_fill(~real, torch.inf).argsort(dim=1, stable=True).argsort(dim=1, stable=True)
            easy = (rank < n_kept[:, None]).to(loss.dtype)
            chosen = easy.unflatten(0, (-1, 2)).flip(1).flatten(0, 1)
        return loss * chosen * (count / n_kept)[:, None]


class MetaWeights(Objective):
    """Rows weighted by how much a gradient step on them would lower the gold loss (Ren et al. 2018).

    ``w_i = max(0, <gradient of the gold loss, gradient of row i's loss>)``, scaled to mean 1 over the
    minibatch; the inner product is the derivative of the gold loss after one step in the row's weight, at weight 0.
    """

    def __init__(self, head: Classes, scales: dict[str, Any], gold: Rows) -> None:
        super().__init__(head, scales)
        self.gold = gold

    def loss(self, step: Step) -> torch.Tensor:
        """Weighted loss of each row."""
        import torch

        loss = super().loss(step)
        names = list(step.parameters)
        values = [step.parameters[name] for name in names]
        gold = self.gold.take(step.networks)
        out = step.layout.forward(step.parameters, gold.features())
        gold_loss = self.head.loss(out, step.parameters.get("extra"), gold.target, self.of(step.networks))
        gold_loss = (gold_loss * gold.weight).sum(dim=1) / gold.weight.sum(dim=1)
        towards = torch.autograd.grad(gold_loss.sum(), values, allow_unused=True, materialize_grads=True)
        dummy = torch.ones_like(loss, requires_grad=True)
        each = torch.autograd.grad(
            loss, values, grad_outputs=dummy, create_graph=True, allow_unused=True, materialize_grads=True
        )
        used = [(e, t) for e, t in zip(each, towards) if e.requires_grad]
        (inner,) = torch.autograd.grad(
            [e for e, _ in used], dummy, grad_outputs=[t for _, t in used], retain_graph=True
        )
        real = (step.batch.weight > 0).to(loss.dtype)
        weight = inner.detach().clamp_min(0.0) * real
        total = weight.sum(dim=1, keepdim=True)
        weight = torch.where(total > 0, weight / total.clamp_min(1e-30), torch.zeros_like(weight))
        return loss * weight * real.sum(dim=1, keepdim=True)


class OnGold(Objective):
    """Any objective, stopped by its plain loss on the gold rows of the network."""

    def __init__(self, inner: Objective) -> None:
        super().__init__(inner.head, inner.scales)
        self.inner = inner
        self.peers = inner.peers

    def epoch(self, number: int) -> None:
        """Handed on."""
        self.inner.epoch(number)

    def width(self, seeds: list[int], epoch: int, step: int, units: int) -> list[Floats] | None:
        """Handed on."""
        return self.inner.width(seeds, epoch, step, units)

    def loss(self, step: Step) -> torch.Tensor:
        """Handed on."""
        return self.inner.loss(step)
