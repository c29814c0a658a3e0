"""The training loop of M networks at once: one Adam, one step for all, early stopping for each.

Nothing couples the networks: random draws come from each network's own seed, losses are means over its own rows, a
network without rows in a minibatch takes no step, and one that has stopped is taken out and keeps its best
parameters. Training M networks together therefore gives the numbers of training them one by one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from .heads import Head
from .layout import Layout
from .rows import DROP, Batch, Rows, all_at_once, batches, keep_units, stream
from .settings import Settings, mixed

_BETA1, _BETA2, _EPSILON = 0.9, 0.999, 1e-8
_WORKING_SET = 3_000_000
"""Numbers in the activations of one step beyond which networks are trained in several groups on a CPU."""


class Objective:
    """The loss of training rows: the head's own; ``networks`` numbers those that are still training."""

    def __init__(self, head: Head, scales: dict[str, Any]) -> None:
        self.head = head
        self.scales = scales

    def of(self, networks: Tensor) -> dict[str, Any]:
        """Scales of some networks."""
        return {name: value[networks] for name, value in self.scales.items()}

    def loss(self, step: Step) -> Tensor:
        """Loss of each row, shape (M, B); rows of padding are weighted 0 afterwards."""
        return self.head.loss(step.out, step.parameters.get("extra"), step.batch.target, self.of(step.networks))

    def held_out(self, out: Tensor, extra: Any, rows: Rows, networks: Tensor) -> Tensor:
        """Loss of held-out rows, shape (M, B)."""
        return self.head.loss(out, extra, rows.target, self.of(networks))


@dataclass(frozen=True)
class Step:
    """What an objective may look at."""

    parameters: dict[str, Tensor]
    out: Tensor
    batch: Batch
    networks: Tensor


@dataclass(frozen=True)
class Trained:
    """Parameters (M, P) and epoch (M,) of the best held-out loss of each network, or of the last epoch."""

    flat: Tensor
    epochs: Any


def train(
    layout: Layout, start: Tensor, rows: Rows, objective: Objective, seeds: list[int], settings: Settings, *,
    held: Rows | None = None, epochs: Any = None, anchored: tuple[str, ...] = ("skip",), label: str = "training",
) -> Trained:  # fmt: skip
    """Train M networks from ``start`` (M, P); each keeps its parameters with the least held-out loss, start included.

    ``epochs`` (M,) are those of each network when there are no held-out rows; weight decay pulls the parameters
    ``anchored`` to where they start (Li, Grandvalet, Davoine 2018) instead of 0.
    """
    limit = np.full(len(seeds), settings.max_epochs) if epochs is None else np.asarray(epochs)
    best, at = start.clone(), np.zeros(len(seeds), dtype=np.intp)
    for group in _groups(layout, rows, settings):
        run = _Run(layout, start, rows, objective, seeds, settings, held, limit, group, anchored)
        epochs_to_go = range(1, int(limit[group].max()) + 1)
        for epoch in tqdm(epochs_to_go, desc=label, unit="epoch", disable=not settings.progress):
            if not run.one_epoch(epoch):
                break
        ids = torch.as_tensor(group, device=start.device)
        best[ids], at[group] = run.best, run.best_epoch
    return Trained(best, at)


class _Run:
    """One group of networks in training; those that stop are taken out."""

    def __init__(
        self, layout: Layout, start: Tensor, rows: Rows, objective: Objective, seeds: list[int],
        settings: Settings, held: Rows | None, limit: Any, group: Any, anchored: tuple[str, ...],
    ) -> None:  # fmt: skip
        self.layout, self.objective, self.settings, self.limit = layout, objective, settings, limit
        self.group, self.all_seeds = group, seeds
        ids = torch.as_tensor(group, device=start.device)
        self.best, self.best_epoch = start[ids].clone(), np.zeros(len(group), dtype=np.intp)
        self.all_rows, self.all_held = rows, held
        self.decay = torch.from_numpy(layout.decays()).to(start) * settings.weight_decay
        self.anchor_all = start[ids] * torch.from_numpy(layout.mask(anchored)).to(start)
        self.alive = np.arange(len(group))
        self._enter(start[ids].clone())
        self.first = torch.zeros_like(self.flat)
        self.second = torch.zeros_like(self.flat)
        self.steps = torch.zeros((len(group), 1), dtype=self.flat.dtype, device=self.flat.device)
        self.least = self._score() if held is not None else None
        self.waited = np.zeros(len(group), dtype=np.intp)
        self._leave(limit[group] <= 0)

    def _enter(self, flat: Tensor) -> None:
        """Take up the networks still alive."""
        ids = self.group[self.alive]
        self.networks = torch.as_tensor(ids, device=flat.device)
        self.seeds = [self.all_seeds[i] for i in ids]
        self.flat = flat
        # views of the one array: what Adam changes there, they show
        self.parameters = {k: v.detach().requires_grad_() for k, v in self.layout.views(self.flat).items()}
        self.anchor = self.anchor_all[torch.as_tensor(self.alive, device=flat.device)]
        self.rows = self.all_rows.take(self.networks)
        self.whole = all_at_once(self.rows, self.settings.batch_size)
        self.held = None if self.all_held is None else self.all_held.take(self.networks)
        self.held_x = None if self.held is None else self.held.features()

    def one_epoch(self, epoch: int) -> bool:
        """Train one epoch; whether any network goes on."""
        if not len(self.alive):
            return False
        for number, batch in enumerate(batches(self.rows, self.seeds, epoch, self.settings.batch_size, self.whole)):
            self._step(batch, epoch, number)
        if self.held is None:
            done = self.limit[self.group[self.alive]] <= epoch
            if done.any():
                self._keep(done, epoch)
        else:
            done = self._judge(epoch)
        self._leave(done)
        return len(self.alive) > 0

    def _step(self, batch: Batch, epoch: int, number: int) -> None:
        keep = self._masks(batch, epoch, number)
        with mixed(self.settings.precision, self.flat.device):
            out = self.layout.forward(self.parameters, batch.x, keep)
        step = Step(self.parameters, out.to(self.flat.dtype), batch, self.networks)
        total = (self.objective.loss(step) * batch.weight).sum()
        parts = torch.autograd.grad(total, list(self.parameters.values()), allow_unused=True, materialize_grads=True)
        with torch.no_grad():
            self._adam(torch.cat([part.flatten(1) for part in parts], dim=1), batch.there)

    def _adam(self, gradient: Tensor, there: Tensor | None) -> None:
        """AdamW (Loshchilov and Hutter 2019); networks that are not ``there`` stay as they are."""
        rate = self.settings.learning_rate
        if there is None:
            self.steps += 1.0
            self.first.lerp_(gradient, 1 - _BETA1)
            self.second.mul_(_BETA2).addcmul_(gradient, gradient, value=1 - _BETA2)
            move: Any = rate
        else:
            here = there.to(gradient.dtype)
            self.steps += here
            self.first.lerp_(gradient, (1 - _BETA1) * here)
            self.second.lerp_(gradient.square(), (1 - _BETA2) * here)
            move = rate * here
        size = (self.second / (1 - _BETA2**self.steps)).sqrt_().add_(_EPSILON)
        change = (self.first / (1 - _BETA1**self.steps)).div_(size)
        change.addcmul_(self.decay, self.flat - self.anchor)
        self.flat.sub_(change.mul_(move))

    def _masks(self, batch: Batch, epoch: int, number: int) -> list[Tensor] | None:
        settings = self.settings
        if not self.layout.hidden or settings.dropout == 0.0:
            return None
        out = []
        for layer, units in enumerate(self.layout.hidden):
            draws = [
                keep_units(stream(s, DROP, epoch, number, layer), (settings.batch_size, units), settings.dropout)
                for s in self.seeds
            ]
            out.append(torch.from_numpy(np.stack(draws)[:, : batch.x.shape[1]]).to(self.flat))
        return out

    def _score(self) -> Tensor:
        """Held-out loss of each network alive, shape (M,)."""
        assert self.held is not None
        assert self.held_x is not None
        with torch.no_grad():
            out = self.layout.forward(self.parameters, self.held_x)
            loss = self.objective.held_out(out, self.parameters.get("extra"), self.held, self.networks)
            return (loss * self.held.weight).sum(dim=1) / self.held.weight.sum(dim=1)

    def _judge(self, epoch: int) -> Any:
        """Keep parameters that are better than any before; which networks have waited too long."""
        score = self._score()
        assert self.least is not None
        better = score < self.least
        self.least = score.where(better, self.least)
        improved = better.cpu().numpy()
        if improved.any():
            self._keep(improved, epoch)
        self.waited = np.where(improved, 0, self.waited + 1)
        return (self.waited >= self.settings.patience) | (self.limit[self.group[self.alive]] <= epoch)

    def _keep(self, which: Any, epoch: int) -> None:
        here = torch.as_tensor(np.flatnonzero(which), device=self.flat.device)
        there = torch.as_tensor(self.alive[which], device=self.flat.device)
        self.best[there] = self.flat[here]
        self.best_epoch[self.alive[which]] = epoch

    def _leave(self, done: Any) -> None:
        """Take finished networks out."""
        if not np.any(done):
            return
        stay = torch.as_tensor(np.flatnonzero(~done), device=self.flat.device)
        self.alive = self.alive[~done]
        if not len(self.alive):
            return
        self.first, self.second, self.steps = self.first[stay], self.second[stay], self.steps[stay]
        if self.least is not None:
            self.least = self.least[stay]
        self.waited = self.waited[~done]
        self._enter(self.flat[stay])


def _groups(layout: Layout, rows: Rows, settings: Settings) -> list[Any]:
    """Networks in groups whose activations fit the cache of a CPU; on a GPU all at once."""
    n_networks = len(rows.count)
    if rows.x.device.type != "cpu":
        return [np.arange(n_networks)]
    batch = min(settings.batch_size, rows.index.shape[1])
    each = batch * (layout.n_features + 4 * sum(layout.hidden)) + 6 * layout.size
    size = max(1, _WORKING_SET // each)
    n_groups = -(-n_networks // size)
    size = -(-n_networks // n_groups)
    return [np.arange(a, min(a + size, n_networks)) for a in range(0, n_networks, size)]
