"""Training rows of many networks, padded to one shape, and what each network draws from its own seed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..._core.types import Floats, Ints

START, SPLIT, ORDER, DROP, ROWS = 0, 1, 2, 3, 5
"""What a stream of random numbers is for."""


def stream(seed: int, purpose: int, *more: int) -> np.random.Generator:
    """Random numbers of one network for one purpose."""
    return np.random.default_rng([int(seed), purpose, *more])


def hold_out(seed: int, fraction: float, classes: Ints | None, n_rows: int) -> tuple[Ints, Ints]:
    """Rows to train on and rows held out, balanced on classes.

    ``classes`` (n_rows,), or None. Gives ``train, held`` (sorted).

    >>> train, held = hold_out(1, 0.25, np.repeat([0, 1], 10), 20)
    >>> len(train), len(held)
    (15, 5)
    """
    rng = stream(seed, SPLIT)
    order = rng.permutation(n_rows)
    if classes is not None:
        order = order[np.argsort(classes[order], kind="stable")]
    n_held = max(1, round(fraction * n_rows))
    # evenly spaced positions of the order hold each class in proportion
    at = ((np.arange(n_held) + rng.random()) * n_rows / n_held).astype(np.intp)
    held = np.zeros(n_rows, dtype=bool)
    held[order[at]] = True
    return np.flatnonzero(~held), np.flatnonzero(held)


def keep_units(rng: np.random.Generator, shape: tuple[int, ...], drop: float) -> Floats:
    """Dropout mask with mean 1; probabilities are rounded to 1/256."""
    threshold = min(255, round(drop * 256))
    draw = rng.integers(0, 256, size=shape, dtype=np.uint8)
    scale = np.float32(256.0 / (256.0 - threshold))
    return np.where(draw >= threshold, scale, np.float32(0.0))


@dataclass(frozen=True)
class Rows:
    """Rows of M networks out of one feature matrix (n, p).

    ``index`` (M, L) says which rows each network has, padded with row 0; ``target`` (M, L, q); ``weight`` (M, L) has
    mean 1 over a network's rows, 0 on padding; ``count`` (M,).
    """

    x: Tensor
    index: Tensor
    target: Tensor
    weight: Tensor
    count: Tensor

    @classmethod
    def gather(cls, x: Tensor, target: Floats, weight: Floats, rows: list[Ints]) -> Rows:
        """Rows from positions, one array for each network; rows of weight 0 have no place here."""
        longest = max(len(r) for r in rows)
        n_networks, q = len(rows), target.shape[-1]
        index = np.zeros((n_networks, longest), dtype=np.int64)
        own_target = np.zeros((n_networks, longest, q))
        own_weight = np.zeros((n_networks, longest))
        for m, at in enumerate(rows):
            w = weight[at] if weight.ndim == 1 else weight[m, at]
            index[m, : len(at)] = at
            own_target[m, : len(at)] = target[at]
            own_weight[m, : len(at)] = w / w.mean()
        return cls(
            x, torch.from_numpy(index).to(x.device), torch.from_numpy(own_target).to(x.device, x.dtype),
            torch.from_numpy(own_weight).to(x.device, x.dtype), torch.tensor([len(r) for r in rows], device=x.device),
        )  # fmt: skip

    def take(self, networks: Tensor) -> Rows:
        """The rows of some networks."""
        count = self.count[networks]
        most = int(count.max())
        return Rows(
            self.x, self.index[networks, :most], self.target[networks, :most], self.weight[networks, :most], count
        )

    def features(self) -> Tensor:
        """Features of all rows, shape (M, L, p)."""
        return self.x[self.index]


@dataclass(frozen=True)
class Batch:
    """One minibatch of every network: features (M, B, p), targets (M, B, q).

    ``weight`` (M, B) is divided by the number of real rows, so that a weighted sum is the mean; ``there`` (M, 1) says
    which networks have rows in this batch, None if all do.
    """

    x: Tensor
    target: Tensor
    weight: Tensor
    there: Tensor | None


def batches(rows: Rows, seeds: list[int], epoch: int, size: int, whole: Batch | None) -> Iterator[Batch]:
    """Minibatches of one epoch, each network's rows in an order of its own.

    Networks with no more than ``size`` rows see all of them at once, in their own order of rows.
    """
    if whole is not None:
        yield whole
        return
    counts = rows.count.tolist()
    steps = [-(-c // size) for c in counts]
    place = np.full((len(counts), max(steps) * size), -1, dtype=np.int64)
    for m, (seed, count) in enumerate(zip(seeds, counts)):
        place[m, :count] = stream(seed, ORDER, epoch).permutation(count) if count > size else np.arange(count)
    device = rows.x.device
    places = torch.from_numpy(place).to(device)
    everywhere = min(steps)
    for step in range(max(steps)):
        at = places[:, step * size : (step + 1) * size]
        real = at >= 0
        at = at.clamp_min(0)
        n_real = real.sum(dim=1, keepdim=True)
        yield Batch(
            rows.x[rows.index.gather(1, at)],
            rows.target.gather(1, at[..., None].expand(-1, -1, rows.target.shape[-1])),
            rows.weight.gather(1, at) * real / n_real.clamp_min(1),
            None if step < everywhere else n_real > 0,
        )


def all_at_once(rows: Rows, size: int) -> Batch | None:
    """All rows as one batch if every network has at most ``size``, else None."""
    if int(rows.count.max()) > size:
        return None
    return Batch(rows.features(), rows.target, rows.weight / rows.count[:, None], None)
