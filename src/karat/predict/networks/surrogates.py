"""Learning from the surrogate labels of all rows before gold: the first stage of a network.

Pre-training sees every feature but the surrogates themselves, so that it learns what the text says about the label
and not the surrogate's identity. What it made of the last layer is then offered to the linear start beside
the features, hidden layers are kept, and the gold of the training folds trains the whole on.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import ArgumentError, DataError
from . import cleaning, robust
from .draws import PEER, ROWS, hold_out, stream
from .heads import Binary, Head, Multinomial, Squared
from .layout import Layout
from .robust import CoTeaching, EarlyLearning, Forward, ImpreciseEM, MetaWeights, NEEDS_GOLD, OnGold
from .rows import Rows
from .settings import Settings
from .train import Objective, train

if TYPE_CHECKING:
    import torch

    from ..._types import Bools, Floats, Ints
    from .fit import Problem

_MOST_ROWS = 20_000
"""Rows with surrogates that a network is pre-trained on; of more, a random part."""
_BATCH = 256
_EPOCHS = 30
_PATIENCE = 5
_HELD_OUT = 0.15


@dataclass(frozen=True)
class Surrogates:
    """Surrogate labels of one label, of all units, as cross-fitting hands them on.

    Parameters
    ----------
    values : ndarray, shape (N, S)
        Class distributions (gold's classes first, then others), or numbers; missing is not a number.
    classes : bool
    gold : ndarray of int, shape (n,)
        Positions of the gold rows.
    hide : tuple of int
        Features that are surrogates themselves.
    seeds : tuple of int
        One per network; networks with the same seed share their pre-training where it needs no gold.
    """

    values: Floats = field(repr=False)
    classes: bool
    gold: Ints = field(repr=False)
    hide: tuple[int, ...]
    seeds: tuple[int, ...]

    def stage(self, head: Head, every: Floats, chosen: tuple[str, dict[str, float]]) -> Stage:
        """The first stage."""
        return make_stage(head, every, self.values, self.classes, self.gold, self.hide, self.seeds, chosen)


@dataclass(frozen=True)
class Stage:
    """The first stage of M networks.

    Parameters
    ----------
    x : ndarray, shape (N, p)
    labels : ndarray, shape (N, S)
        Class distributions, or numbers with 0 for missing.
    there : ndarray of bool, shape (N,)
        Rows that have a surrogate.
    classes : bool
    gold : ndarray of int, shape (n,), or None
    hide : ndarray of int
    seeds : tuple of int
    loss : str
    options : dict of float
    """

    x: Floats = field(repr=False)
    labels: Floats = field(repr=False)
    there: Bools = field(repr=False)
    classes: bool
    gold: Ints | None = field(repr=False)
    hide: Ints
    seeds: tuple[int, ...]
    loss: str
    options: dict[str, float]

    def one(self, m: int) -> Stage:
        """The stage of one network."""
        return replace(self, seeds=(self.seeds[m],))

    def standardise(self, centre: Floats, spread: Floats, kept: Bools | None = None) -> Stage:
        """The same with standardised features, and the gold rows that are kept."""
        gold = self.gold if kept is None or self.gold is None else self.gold[kept]
        return replace(self, x=(self.x - centre) / spread, gold=gold)


@dataclass(frozen=True)
class Hint:
    """What pre-training made of the outputs.

    Parameters
    ----------
    layout : Layout
    flat : Tensor, shape (M, P)
    """

    layout: Layout
    flat: torch.Tensor

    def values(self, networks: torch.Tensor, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Pre-trained outputs with standard deviation 1 over the rows, and what they were divided by."""
        import torch

        with torch.no_grad():
            z = self.layout.forward(self.layout.views(self.flat[networks]), x)
            spread = z.std(dim=1, keepdim=True).clamp_min(1e-3)
        return z / spread, spread

    def fold_in(
        self, networks: torch.Tensor, parameters: dict[str, torch.Tensor], slope: Any, intercept: Any, spread: Any
    ) -> tuple[Any, Any]:
        """Give the pre-trained outputs their slope: into the last layer, the linear part and the intercept."""
        import torch

        own = self.layout.views(self.flat[networks])
        p = own["skip"].shape[1]
        each = slope[:, p:] / spread.to(slope).transpose(1, 2)
        if "last" in own:
            parameters["last"].copy_(torch.bmm(own["last"].to(each), each))
        return slope[:, :p] + torch.bmm(own["skip"].to(each), each), intercept + torch.bmm(own["bias"].to(each), each)


def make_stage(
    head: Head, x: Floats, labels: Floats, classes: bool, gold: Ints | None, hide: Any, seeds: tuple[int, ...],
    chosen: tuple[str, dict[str, float]],
) -> Stage:  # fmt: skip
    """Check surrogate labels against the head and the loss.

    Raises
    ------
    ArgumentError, DataError
        If a loss needs class surrogates or the place of the gold rows and has not got them, or nothing is left.
    """
    loss, options = chosen
    there = np.isfinite(labels).all(axis=1)
    if not there.any():
        raise DataError("surrogate is missing in every row; give surrogate labels, or use pretrain=None.")
    if loss != "soft_cross_entropy" and not (classes and head.classifies):
        raise ArgumentError(
            f"loss={loss!r} is about surrogate classes, and the surrogates here are numbers; use "
            "loss='soft_cross_entropy' (least squares for numbers)."
        )
    if loss in NEEDS_GOLD and gold is None:
        raise ArgumentError(
            f"loss={loss!r} learns from gold how surrogates err; say in gold= which rows of X_all the rows of X are."
        )
    if classes and (labels[there].sum(axis=0) > 0).sum() < 2:
        raise DataError("surrogate holds one class only; nothing can be learnt from it. Use pretrain=None.")
    return Stage(
        x, np.where(there[:, None], labels, 0.0), there, classes, gold, np.asarray(hide, dtype=np.intp), seeds, loss,
        options,
    )  # fmt: skip


def read_stage(
    estimator: Any, head: Head, x: Floats, chosen: tuple[str, dict[str, float]] | None, seed: int, *, surrogate: Any,
    X_all: Any, gold: Any, hide: Any,
) -> tuple[Stage, Floats]:  # fmt: skip
    """The first stage from the arguments of ``fit``, and the features of all rows.

    Raises
    ------
    ArgumentError, DataError
        Naming the argument that does not fit.
    """
    from sklearn.utils.validation import check_array

    if chosen is None:
        raise ArgumentError(
            "surrogate, X_all, gold and hide are for pre-training, and pretrain is None; use pretrain='surrogates'."
        )
    if surrogate is None:
        raise ArgumentError("pretrain='surrogates' needs surrogate labels; give surrogate=, one per row of X_all.")
    every = x if X_all is None else check_array(X_all, dtype=np.float64, input_name="X_all")
    if every.shape[1] != x.shape[1]:
        raise ArgumentError(f"X_all has {every.shape[1]} columns, X has {x.shape[1]}; give the same features.")
    if np.shape(surrogate)[:1] != (len(every),):
        came = f"{np.shape(surrogate)[0]} rows" if np.ndim(surrogate) else "a single value"
        raise ArgumentError(f"surrogate has {came}, X_all has {len(every)}; give one surrogate label per row.")
    if X_all is None and gold is None:
        gold = np.arange(len(x))
    if gold is not None:
        gold = np.asarray(gold)
        if gold.shape != (len(x),) or gold.dtype.kind not in "iu" or (gold < 0).any() or (gold >= len(every)).any():
            raise ArgumentError(
                f"gold must name one row of X_all (0 to {len(every) - 1}) for each of the {len(x)} rows of X."
            )
    hidden = np.asarray([] if hide is None else hide)
    if hidden.size and (hidden.dtype.kind not in "iu" or (hidden < 0).any() or (hidden >= x.shape[1]).any()):
        raise ArgumentError(f"hide must hold columns of X, 0 to {x.shape[1] - 1}.")
    if head.classifies:
        labels = class_labels(surrogate, estimator.classes_)
    else:
        labels = np.asarray(surrogate, dtype=np.float64).reshape(len(every), -1)
    return make_stage(head, every, labels, head.classifies, gold, hidden, (seed,), chosen), every


def class_labels(surrogate: Any, classes: Any) -> Floats:
    """Surrogate classes as distributions over gold's classes, then any that gold does not have; missing rows as NaN.

    Parameters
    ----------
    surrogate : array_like, shape (N,) or (N, S)
    classes : sequence
        Gold's K classes.

    Returns
    -------
    ndarray, shape (N, S), S at least K

    Raises
    ------
    DataError
        If distributions have fewer columns than gold has classes, or do not add up to 1.

    Examples
    --------
    >>> class_labels(["b", "c", "a"], ["a", "b"]).tolist()
    [[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]
    """
    import pandas as pd

    array = np.asarray(surrogate)
    if array.ndim == 2 and array.shape[1] > 1:
        soft = np.asarray(array, dtype=np.float64)
        if soft.shape[1] < len(classes):
            raise DataError(
                f"surrogate has {soft.shape[1]} columns, gold has {len(classes)} classes; give one column per class, "
                "gold's first."
            )
        there = np.isfinite(soft).all(axis=1)
        if (soft[there] < -1e-9).any() or (np.abs(soft[there].sum(axis=1) - 1.0) > 1e-4).any():
            raise DataError("surrogate must hold class distributions: not negative, adding up to 1 in every row.")
        out: Floats = np.clip(soft, 0.0, None)
        return out
    flat = pd.Series(array.reshape(len(array)))
    known = list(classes)
    unseen = [c for c in pd.unique(flat.dropna()) if c not in set(known)]
    codes = pd.Categorical(flat, categories=known + sorted(unseen, key=str)).codes
    out = np.eye(len(known) + len(unseen))[np.maximum(codes, 0)]
    out[codes < 0] = np.nan
    return out


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
        if name.startswith("weight") or name.startswith("bias") and name != "bias":
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
        return self.fit(head, target, row_weight, loss)

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
        rows: list[Ints] | None = None, seeds: list[int] | None = None,
    ) -> tuple[Layout, torch.Tensor]:  # fmt: skip
        """Train networks on surrogate targets, shape (N, S) or (M, N, S), with row weights (M, N)."""
        import torch

        seeds = self.seeds if seeds is None else seeds
        rows = self.chosen_rows() if rows is None else rows
        rows = [r[row_weight[m, r] > 0] for m, r in enumerate(rows)]
        peers = 2 if loss == "co_teaching" else 1
        settings = replace(
            self.settings, batch_size=_BATCH, max_epochs=_EPOCHS, patience=_PATIENCE,
            weight_decay=min(self.settings.weight_decay, 0.01),
        )  # fmt: skip
        layout = Layout(self.x.shape[1], settings.hidden, head.n_outputs)
        several = target.ndim == 3
        scales: dict[str, torch.Tensor] = {}
        begun = []
        for m, r in enumerate(rows):
            own = target[m, r] if several else target[r]
            constants = head.scales(own, row_weight[m, r])
            begun.append(head.begin(own, row_weight[m, r], constants)[0] if loss not in ("forward", "em") else None)
            for name, value in constants.items():
                scales.setdefault(name, []).append(value)  # type: ignore[union-attr]
        repeat = np.repeat(np.arange(len(rows)), peers)
        put = {"dtype": self.x.dtype, "device": self.x.device}
        scales = {k: torch.from_numpy(np.stack(v)[:, None][repeat]).to(**put) for k, v in scales.items()}
        starts = [s if i % peers == 0 else _peer(s) for i, s in enumerate(np.repeat(seeds, peers).tolist())]
        flat = torch.from_numpy(layout.start(starts)).to(**put)
        views = layout.views(flat)
        if begun[0] is not None:
            views["bias"].copy_(torch.from_numpy(np.stack(begun)[repeat][:, None]).to(**put))
        if settings.hidden:
            views["weight0"][:, torch.from_numpy(self.stage.hide).to(self.x.device)] = 0.0

        split = [hold_out(s, _HELD_OUT, None, len(r)) for s, r in zip(seeds, rows)]
        into = [r[s[0]] for r, s in zip(rows, split)]
        out = [r[s[1]] for r, s in zip(rows, split)]
        on_gold = loss in ("early_learning", "co_teaching", "meta_weights")

        def gather(parts: list[Ints]) -> Rows:
            found = Rows.gather(self.x, target, row_weight, parts, row_weights=True, row_targets=several)
            return found if peers == 1 else found.take(torch.from_numpy(repeat).to(self.x.device))

        training = gather(rows if on_gold else into)
        objective = self.objective(loss, head, scales, training)
        held = self.gold_rows(target.shape[-1], repeat) if on_gold else gather(out)
        trained = train(
            layout, flat, training, objective, np.repeat(seeds, peers).tolist(), settings, held=held, anchored=("none",),
            label="pre-training",
        )  # fmt: skip
        return layout, trained.flat[::peers]

    def gold_rows(self, n_classes: int, repeat: Any) -> Rows:
        """Gold rows of each network, classes padded to the surrogates'."""
        import torch

        gold = self.problem.target
        padded = np.hstack([gold, np.zeros((len(gold), n_classes - gold.shape[1]))])
        rows = Rows.gather(self.x_gold, padded, self.weight, list(self.problem.rows), row_weights=True)
        return rows.take(torch.from_numpy(repeat).to(self.x.device))

    def objective(self, loss: str, head: Any, scales: dict[str, Any], training: Rows) -> Objective:
        """The objective of a loss."""
        import torch

        options = self.stage.options
        put = {"dtype": self.x.dtype, "device": self.x.device}
        if loss in ("forward", "em"):
            matrix, counts = (torch.from_numpy(v).to(**put) for v in self.confusions())
            return Forward(head, scales, matrix) if loss == "forward" else ImpreciseEM(head, scales, matrix, counts)
        if loss == "early_learning":
            return OnGold(
                EarlyLearning(
                    head, scales, (*training.index.shape, training.target.shape[-1]), self.x, options["momentum"],
                    options["strength"],
                )
            )  # fmt: skip
        if loss == "co_teaching":
            noise = torch.from_numpy(np.repeat(self.noise(), 2)).to(**put)
            return OnGold(CoTeaching(head, scales, noise, options["warm_up"]))
        if loss == "meta_weights":
            gold = self.gold_rows(training.target.shape[-1], np.arange(len(self.seeds)))
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
        layout, flat = self.fit(
            self.head(target.shape[1]), target, np.ones((len(rows), n)), rows=rows, seeds=seeds
        )
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
                inner, target, gold.cpu().numpy().astype(np.float64), self.problem.target[rows], self.weight[m, rows]
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

