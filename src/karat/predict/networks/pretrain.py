"""Pre-training of M networks on surrogate labels, with the loss or the cleaning that was chosen."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from . import cleaning, robust
from .draws import PEER, ROWS, hold_out, stream
from .heads import Binary, Head, Multinomial, Squared
from .layout import Layout
from .linear import linear_start
from .robust import NEEDS_GOLD, CoTeaching, EarlyLearning, Forward, ImpreciseEM, MetaWeights, OnGold
from .rows import Rows
from .settings import Settings
from .surrogates import Hint, Stage
from .train import Objective, train

if TYPE_CHECKING:
    import torch

    from ..._core.types import Floats, Ints
    from .fit import Problem

_MOST_ROWS = 20_000
"""Rows with surrogates that a network is pre-trained on; of more, a random part."""
_BATCH = 256
_EPOCHS = 30
_PATIENCE = 5
_HELD_OUT = 0.15
_DECAY = 0.01
_STOPPED_BY_GOLD = ("early_learning", "co_teaching", "meta_weights")
"""Losses that sharpen predictions beyond the surrogates' own shares, so that held-out surrogates cannot judge them."""


def pretrain(
    problem: Problem, settings: Settings, layout: Layout, x_gold: torch.Tensor, weight: Floats, base: torch.Tensor
) -> tuple[torch.Tensor, Hint]:
    """Pre-train M networks.

    Parameters
    ----------
    problem : Problem
    settings : Settings
    layout : Layout
        Of the networks to be trained on gold.
    x_gold : Tensor, shape (n, p)
    weight : ndarray, shape (M, n)
        Of the gold rows.
    base : Tensor, shape (M, P)
        Hidden layers as drawn; replaced by the pre-trained ones.

    Returns
    -------
    base : Tensor, shape (M, P)
    hint : Hint
    """
    import torch

    stage = problem.stage
    assert stage is not None
    every = torch.from_numpy(np.ascontiguousarray(stage.x)).to(x_gold)
    hide = torch.from_numpy(stage.hide).to(x_gold.device)
    every[:, hide] = 0.0
    x_gold = x_gold.clone()
    x_gold[:, hide] = 0.0
    own = stage.loss in NEEDS_GOLD
    seeds = problem.seeds if own else stage.seeds
    unique, back = np.unique(np.array(seeds), return_inverse=True)
    if own:
        unique, back = np.array(seeds), np.arange(len(seeds))
    work = _Work(problem, stage, settings, every, x_gold, weight, [int(s) for s in unique])
    before, flat = work.run()
    hint = Hint(before, flat[torch.from_numpy(back).to(flat.device)])
    views, source = layout.views(base), before.views(hint.flat)
    for name in views:
        if name.startswith("weight") or (name.startswith("bias") and name != "bias"):
            views[name].copy_(source[name])
    return base, hint


@dataclass
class _Work:
    """One pre-training."""

    problem: Problem
    stage: Stage
    settings: Settings
    x: torch.Tensor
    x_gold: torch.Tensor
    weight: Floats
    seeds: list[int]

    def run(self) -> tuple[Layout, torch.Tensor]:
        """Layout and parameters of the pre-trained networks."""
        stage, loss = self.stage, self.stage.loss
        target: Floats = stage.labels
        row_weight = np.ones((len(self.seeds), len(target)))
        head = self.head(target.shape[1])
        if loss == "confident_learning":
            row_weight = self.pruned(target)
        elif loss == "prototypes":
            row_weight = self.near_prototypes(target)
        elif loss == "neighbours":
            target = self.posteriors(target)
            head = self.head(target.shape[2])
        start = None
        if loss in ("confident_learning", "meta_weights"):
            _, start = self.fit(head, target, np.ones_like(row_weight))
        return self.fit(head, target, row_weight, loss, start=start)

    def head(self, n_classes: int) -> Head:
        """Head of the surrogates; where the loss joins them with the confusion matrix, that of gold's classes."""
        if not self.stage.classes:
            return Squared(n_outputs=n_classes)
        if self.stage.loss in ("forward", "em"):
            n_classes = self.problem.target.shape[1]
        return Binary(2) if n_classes == 2 else Multinomial(n_classes, n_classes)

    def gold_at(self, m: int) -> tuple[Ints, Floats, Floats, Floats]:
        """Gold rows of a network that have a surrogate: positions, gold, surrogate, weight."""
        assert self.stage.gold is not None
        rows = self.problem.rows[m]
        rows = rows[self.stage.there[self.stage.gold[rows]]]
        return rows, self.problem.target[rows], self.stage.labels[self.stage.gold[rows]], self.weight[m, rows]

    def confusions(self) -> tuple[Floats, Floats]:
        """Confusion matrix of each network, and the counts behind it with the smoothing added."""
        smoothing = self.stage.options["smoothing"]
        found, counts = [], []
        for m in range(len(self.seeds)):
            _, gold, surrogate, weight = self.gold_at(m)
            weight = weight / weight.mean() if len(weight) else weight
            found.append(robust.confusion(gold, surrogate, weight, smoothing))
            counts.append(found[-1] * (weight @ gold + smoothing + 1e-3)[:, None])
        return np.stack(found), np.stack(counts)

    def chosen_rows(self) -> list[Ints]:
        """Rows with surrogates for each network, a random part where there are very many."""
        rows = np.flatnonzero(self.stage.there)
        if len(rows) <= _MOST_ROWS:
            return [rows] * len(self.seeds)
        # neighbours are searched among the same rows for all networks
        seeds = [0] * len(self.seeds) if self.stage.loss == "neighbours" else self.seeds
        return [np.sort(stream(s, ROWS).choice(rows, _MOST_ROWS, replace=False)) for s in seeds]

    def fit(
        self, head: Head, target: Floats, row_weight: Floats, loss: str = "soft_cross_entropy",
        rows: list[Ints] | None = None, seeds: list[int] | None = None, start: torch.Tensor | None = None,
    ) -> tuple[Layout, torch.Tensor]:  # fmt: skip
        """Train networks on surrogate targets, shape (N, S) or (M, N, S), with row weights (M, N).

        They begin at a penalised linear fit, or at the parameters ``start``.
        """
        import torch

        seeds = self.seeds if seeds is None else seeds
        rows = self.chosen_rows() if rows is None else rows
        rows = [r[row_weight[m, r] > 0] for m, r in enumerate(rows)]
        peers = 2 if loss == "co_teaching" else 1
        several = target.ndim == 3
        repeat = np.repeat(np.arange(len(rows)), peers)
        layout = Layout(self.x.shape[1], self.settings.hidden, head.n_outputs)
        split = [hold_out(s, _HELD_OUT, None, len(r)) for s, r in zip(seeds, rows)]
        flat, scales = self.begin(head, layout, self.first_targets(target, loss), row_weight, rows, seeds, peers)
        on_gold = loss in _STOPPED_BY_GOLD

        def gather(parts: list[Ints]) -> Rows:
            found = Rows.gather(self.x, target, row_weight, parts, row_weights=True, row_targets=several)
            return found if peers == 1 else found.take(torch.from_numpy(repeat).to(self.x.device))

        training = gather(rows if on_gold else [r[s[0]] for r, s in zip(rows, split)])
        if on_gold:
            held = self.gold_rows(target.shape[-1], self.judges(loss), repeat)
        else:
            held = gather([r[s[1]] for r, s in zip(rows, split)])
        settings = replace(
            self.settings,
            batch_size=_BATCH,
            max_epochs=_EPOCHS,
            patience=3 * _PATIENCE if on_gold else _PATIENCE,
            weight_decay=min(self.settings.weight_decay, _DECAY),
        )
        trained = train(
            layout,
            flat if start is None else start,
            training,
            self.objective(loss, head, scales, training),
            np.repeat(seeds, peers).tolist(),
            settings,
            held=held,
            label="pre-training",
        )
        return layout, trained.flat[::peers]

    def first_targets(self, target: Floats, loss: str) -> Floats:
        """What the linear start is fitted to: the surrogates, or the true classes they make probable."""
        if loss not in ("forward", "em"):
            return target
        matrices, _ = self.confusions()
        joint = np.stack([target @ matrix.T for matrix in matrices])
        out: Floats = joint / np.maximum(joint.sum(axis=2, keepdims=True), 1e-12)
        return out

    def begin(
        self, head: Head, layout: Layout, target: Floats, row_weight: Floats, rows: list[Ints], seeds: list[int],
        peers: int,
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:  # fmt: skip
        """Networks at the penalised linear fit to their rows, peers drawn differently; constants of the head."""
        import torch

        starts = [s if i % peers == 0 else _peer(s) for i, s in enumerate(np.repeat(seeds, peers).tolist())]
        flat = torch.from_numpy(layout.start(starts)).to(self.x)
        views = layout.views(flat)
        if self.settings.hidden:
            views["weight0"][:, torch.from_numpy(self.stage.hide).to(self.x.device)] = 0.0
        where = torch.device("cpu") if self.x.device.type == "mps" else self.x.device
        p = self.x.shape[1]
        penalty = torch.full((p,), self.settings.ridge(p), dtype=torch.float64, device=where)
        scales: dict[str, list[torch.Tensor]] = {}
        for m, at in enumerate(rows):
            own, weight = (target[m, at] if target.ndim == 3 else target[at]), row_weight[m, at]
            constants = head.scales(own, weight)
            begun, _ = head.begin(own, weight, constants)
            fixed = {name: torch.from_numpy(value)[None, None].to(where) for name, value in constants.items()}
            put = [torch.from_numpy(value)[None].to(where) for value in (own, weight / weight.mean(), begun)]
            x = self.x[torch.from_numpy(at).to(self.x.device)][None].to(where, torch.float64)
            slope, intercept = linear_start(head, x, put[0], put[1], put[2], None, penalty, fixed)
            views["skip"][m * peers : (m + 1) * peers] = slope.to(flat)
            views["bias"][m * peers : (m + 1) * peers] = intercept.to(flat)
            for name, value in fixed.items():
                scales.setdefault(name, []).extend([value[0].to(self.x)] * peers)
        return flat, {name: torch.stack(values) for name, values in scales.items()}

    def judges(self, loss: str, teach: bool = False) -> list[Ints]:
        """Gold rows of each network that say when to stop; where gold teaches too, half of them for either."""
        if loss != "meta_weights":
            return list(self.problem.rows)
        split = [hold_out(s, 0.5, None, len(r)) for s, r in zip(self.problem.seeds, self.problem.rows)]
        return [rows[s[0 if teach else 1]] for rows, s in zip(self.problem.rows, split)]

    def gold_rows(self, n_classes: int, gold_rows: list[Ints], repeat: Any) -> Rows:
        """Gold rows of each network, classes padded to the surrogates'."""
        import torch

        gold = self.problem.target
        padded = np.hstack([gold, np.zeros((len(gold), n_classes - gold.shape[1]))])
        rows = Rows.gather(self.x_gold, padded, self.weight, gold_rows, row_weights=True)
        return rows.take(torch.from_numpy(repeat).to(self.x.device))

    def objective(self, loss: str, head: Any, scales: dict[str, Any], training: Rows) -> Objective:
        """The objective of a loss."""
        import torch

        options = self.stage.options
        device, kind = self.x.device, self.x.dtype
        if loss in ("forward", "em"):
            matrix, counts = (torch.from_numpy(v).to(device, kind) for v in self.confusions())
            return Forward(head, scales, matrix) if loss == "forward" else ImpreciseEM(head, scales, matrix, counts)
        if loss == "early_learning":
            return OnGold(
                EarlyLearning(
                    head, scales, (*training.index.shape, training.target.shape[-1]), self.x, options["momentum"],
                    options["strength"],
                )
            )  # fmt: skip
        if loss == "co_teaching":
            noise = torch.from_numpy(np.repeat(self.noise(), 2)).to(device, kind)
            return OnGold(CoTeaching(head, scales, noise, options["warm_up"]))
        if loss == "meta_weights":
            teachers = self.judges(loss, teach=True)
            gold = self.gold_rows(training.target.shape[-1], teachers, np.arange(len(self.seeds)))
            return OnGold(MetaWeights(head, scales, gold))
        return Objective(head, scales)

    def noise(self) -> Floats:
        """Share of surrogate labels that are wrong, by gold, for each network; at most .8."""
        given = self.stage.options["noise"]
        if np.isfinite(given):
            return np.full(len(self.seeds), given)
        out = []
        for m in range(len(self.seeds)):
            _, gold, surrogate, weight = self.gold_at(m)
            right = (gold * surrogate[:, : gold.shape[1]]).sum(axis=1)
            out.append(1.0 - float(np.average(right, weights=weight)) if len(right) else 0.0)
        return np.clip(out, 0.0, 0.8)

    def pruned(self, target: Floats) -> Floats:
        """Weights of confident learning, shape (M, N), from networks trained on parts of the rows."""
        n_parts, n_networks, n = int(self.stage.options["parts"]), len(self.seeds), len(target)
        label = target.argmax(axis=1)
        part = [stream(s, ROWS, 1).permutation(n) % n_parts for s in self.seeds]
        rows, seeds = [], []
        chosen = self.chosen_rows()
        for m, s in enumerate(self.seeds):
            for j in range(n_parts):
                rows.append(chosen[m][part[m][chosen[m]] != j])
                seeds.append(s)
        layout, flat = self.fit(self.head(target.shape[1]), target, np.ones((len(rows), n)), rows=rows, seeds=seeds)
        out = np.zeros((n_networks, n))
        for m in range(n_networks):
            probability = np.empty(target.shape)
            for j in range(n_parts):
                at = part[m] == j
                probability[at] = self.probabilities(layout, flat[m * n_parts + j], at, target.shape[1])
            here = chosen[m]
            joint = cleaning.confident_joint(label[here], probability[here])
            keep = cleaning.prune(label[here], probability[here], joint)
            out[m, here] = cleaning.pruned_weights(label[here], keep, joint)
        return out

    def probabilities(self, layout: Layout, flat: torch.Tensor, rows: Any, n_classes: int) -> Floats:
        """Class probabilities of some rows by one network."""
        import torch

        head: Any = self.head(n_classes)
        with torch.no_grad():
            out = layout.forward(layout.views(flat[None]), self.x[torch.from_numpy(rows).to(self.x.device)][None])
            found: Floats = head.log_probability(out, None).exp()[0].cpu().numpy().astype(np.float64)
        return found

    def near_prototypes(self, target: Floats) -> Floats:
        """Weights by gold prototypes, shape (M, N), in the representation of networks trained on the surrogates."""
        import torch

        layout, flat = self.fit(self.head(target.shape[1]), target, np.ones((len(self.seeds), len(target))))
        out = np.empty((len(self.seeds), len(target)))
        views = layout.views(flat)
        for m, rows in enumerate(self.problem.rows):
            own = {name: value[m : m + 1] for name, value in views.items()}
            with torch.no_grad():
                inner = layout.representation(own, self.x[None])[0].cpu().numpy().astype(np.float64)
                gold = layout.representation(own, self.x_gold[None, torch.from_numpy(rows).to(self.x.device)])[0]
            out[m] = cleaning.prototype_weights(
                inner,
                target,
                gold.cpu().numpy().astype(np.float64),
                self.problem.target[rows],
                self.weight[m, rows],
                self.stage.options["sharpness"],
            )
        # rows near no prototype keep a little weight, so that no class goes altogether
        return np.maximum(out, 0.01)

    def posteriors(self, target: Floats) -> Floats:
        """Posterior class distributions by neighbours, shape (M, N, K)."""
        there = self.chosen_rows()[0]
        near = cleaning.neighbours(self.x[there].cpu().numpy().astype(np.float64), int(self.stage.options["k"]))
        matrices, _ = self.confusions()
        out = np.full((len(self.seeds), len(target), matrices.shape[1]), 1.0 / matrices.shape[1])
        for m, matrix in enumerate(matrices):
            out[m, there] = cleaning.neighbour_posterior(near, target[there], matrix)
        return out


def _peer(seed: int) -> int:
    return int(stream(seed, PEER).integers(2**31))
