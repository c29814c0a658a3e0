"""Parameters of many networks in one array, and the forward pass of all of them at once.

Every network is a small perceptron with a linear skip connection,

    out = x skip + bias + relu(... relu(x w1 + b1) ...) last,

and M of them are held as one array of shape (M, P), so that one batched matrix product serves all.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..._core.types import Floats
from .rows import START, stream

Parameters = dict[str, Tensor]


@dataclass(frozen=True)
class Layout:
    """Shapes of one network. ``n_extra``: free parameters of the head, such as cut-points."""

    n_features: int
    hidden: tuple[int, ...]
    n_outputs: int
    n_extra: int = 0

    def shapes(self) -> dict[str, tuple[int, int]]:
        """Name -> shape, in the order in which they lie in the array."""
        out = {}
        before = self.n_features
        for layer, units in enumerate(self.hidden):
            out[f"weight{layer}"] = (before, units)
            out[f"bias{layer}"] = (1, units)
            before = units
        if self.hidden:
            out["last"] = (before, self.n_outputs)
        out["skip"] = (self.n_features, self.n_outputs)
        out["bias"] = (1, self.n_outputs)
        if self.n_extra:
            out["extra"] = (1, self.n_extra)
        return out

    @property
    def size(self) -> int:
        """P."""
        return sum(a * b for a, b in self.shapes().values())

    def views(self, flat: Tensor) -> Parameters:
        """The parameters as views of the array, each of shape (M, a, b)."""
        out, at = {}, 0
        for name, (a, b) in self.shapes().items():
            out[name] = flat[:, at : at + a * b].unflatten(1, (a, b))
            at += a * b
        return out

    def start(self, seeds: list[int]) -> Floats:
        """Hidden layers drawn from each network's seed (He), all else 0; shape (M, P), float32."""
        flat = np.zeros((len(seeds), self.size), dtype=np.float32)
        for m, seed in enumerate(seeds):
            rng, at = stream(seed, START), 0
            for name, (a, b) in self.shapes().items():
                if name.startswith("weight"):
                    flat[m, at : at + a * b] = rng.standard_normal(a * b, dtype=np.float32) * np.sqrt(2.0 / a)
                at += a * b
        return flat

    def mask(self, names: tuple[str, ...]) -> Floats:
        """1 at the parameters whose name begins with one of these, else 0, shape (P,)."""
        parts = [np.full(a * b, float(name.startswith(names))) for name, (a, b) in self.shapes().items()]
        return np.concatenate(parts).astype(np.float32)

    def decays(self) -> Floats:
        """Which parameters weight decay pulls (1) and which it leaves alone (0), shape (P,)."""
        return self.mask(("weight", "last", "skip"))

    def forward(self, parameters: Parameters, x: Tensor, keep: list[Tensor] | None = None) -> Tensor:
        """Outputs, shape (M, B, n_outputs), of features of shape (M, B, n_features).

        ``keep`` holds one mask per hidden layer, shape (M, B, units) or (M, 1, units).
        """
        out = torch.baddbmm(parameters["bias"], x, parameters["skip"])
        if not self.hidden:
            return out
        inner = x
        for layer in range(len(self.hidden)):
            inner = torch.relu(torch.baddbmm(parameters[f"bias{layer}"], inner, parameters[f"weight{layer}"]))
            if keep is not None:
                inner = inner * keep[layer]
        return out + torch.bmm(inner, parameters["last"])
