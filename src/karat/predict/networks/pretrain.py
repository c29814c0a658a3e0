"""Pre-training of M networks on surrogate labels."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from ..._core.types import Ints
from .fit import Problem
from .heads import Head, class_head
from .layout import Layout
from .linear import linear_start
from .number_heads import Squared
from .rows import ROWS, Rows, hold_out, stream
from .settings import Settings
from .surrogates import Hint, Stage
from .train import Objective, train

_MOST_ROWS = 20_000
"""Rows with surrogates that a network is pre-trained on; of more, a random part."""
_BATCH = 256
_EPOCHS = 30
_PATIENCE = 5
_HELD_OUT = 0.15
_DECAY = 0.01


def pretrain(problem: Problem, settings: Settings, layout: Layout, x_gold: Tensor, base: Tensor) -> tuple[Tensor, Hint]:
    """Pre-train M networks, whose hidden layers as drawn, ``base`` (M, P), give way to the pre-trained ones."""
    stage = problem.stage
    assert stage is not None
    x = torch.from_numpy(np.ascontiguousarray(stage.x)).to(x_gold)
    x[:, torch.from_numpy(stage.hide).to(x_gold.device)] = 0.0
    seeds, back = np.unique(np.array(stage.seeds), return_inverse=True)  # networks with the same seed share it
    before, flat = _Work(stage, settings, x, [int(s) for s in seeds]).run()
    hint = Hint(before, flat[torch.from_numpy(back).to(flat.device)])
    views, source = layout.views(base), before.views(hint.flat)
    for name in views:
        if name.startswith("weight") or (name.startswith("bias") and name != "bias"):
            views[name].copy_(source[name])
    return base, hint


@dataclass
class _Work:
    """One pre-training."""

    stage: Stage
    settings: Settings
    x: Tensor
    seeds: list[int]

    def run(self) -> tuple[Layout, Tensor]:
        """Layout and parameters of the pre-trained networks."""
        labels = self.stage.labels
        head: Head = class_head(labels.shape[1], False) if self.stage.classes else Squared(n_outputs=labels.shape[1])
        rows = self.chosen_rows()
        layout = Layout(self.x.shape[1], self.settings.hidden, head.n_outputs)
        split = [hold_out(s, _HELD_OUT, None, len(r)) for s, r in zip(self.seeds, rows)]
        flat, scales = self.begin(head, layout, rows)
        every = np.ones(len(labels))
        training, held = (
            Rows.gather(self.x, labels, every, [r[s[part]] for r, s in zip(rows, split)]) for part in (0, 1)
        )
        settings = replace(
            self.settings, batch_size=_BATCH, max_epochs=_EPOCHS, patience=_PATIENCE,
            weight_decay=min(self.settings.weight_decay, _DECAY),
        )  # fmt: skip
        trained = train(
            layout, flat, training, Objective(head, scales), self.seeds, settings, held=held, label="pre-training"
        )
        return layout, trained.flat

    def chosen_rows(self) -> list[Ints]:
        """Rows with surrogates for each network, a random part where there are very many."""
        rows = np.flatnonzero(self.stage.there)
        if len(rows) <= _MOST_ROWS:
            return [rows] * len(self.seeds)
        return [np.sort(stream(s, ROWS).choice(rows, _MOST_ROWS, replace=False)) for s in self.seeds]

    def begin(self, head: Head, layout: Layout, rows: list[Ints]) -> tuple[Tensor, dict[str, Tensor]]:
        """Networks at the penalised linear fit to the surrogates of their rows; constants of the head."""
        flat = torch.from_numpy(layout.start(self.seeds)).to(self.x)
        views = layout.views(flat)
        if self.settings.hidden:
            views["weight0"][:, torch.from_numpy(self.stage.hide).to(self.x.device)] = 0.0
        where = torch.device("cpu") if self.x.device.type == "mps" else self.x.device
        p = self.x.shape[1]
        penalty = torch.full((p,), self.settings.ridge(p), dtype=torch.float64, device=where)
        scales: dict[str, list[Tensor]] = {}
        for m, at in enumerate(rows):
            own, weight = self.stage.labels[at], np.ones(len(at))
            constants = head.scales(own, weight)
            begun, _ = head.begin(own, weight, constants)
            fixed = {name: torch.from_numpy(value)[None, None].to(where) for name, value in constants.items()}
            put = [torch.from_numpy(value)[None].to(where) for value in (own, weight, begun)]
            x = self.x[torch.from_numpy(at).to(self.x.device)][None].to(where, torch.float64)
            slope, intercept = linear_start(head, x, put[0], put[1], put[2], None, penalty, fixed)
            views["skip"][m], views["bias"][m] = slope[0].to(flat), intercept[0].to(flat)
            for name, value in fixed.items():
                scales.setdefault(name, []).append(value[0].to(self.x))
        return flat, {name: torch.stack(values) for name, values in scales.items()}
