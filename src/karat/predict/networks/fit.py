"""Fitting M networks to the gold rows of M training sets: linear start, training, stopping, refit, calibration."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..._core.types import Floats, Ints
from .heads import Classes, Head
from .layout import Layout
from .linear import linear_start
from .rows import Rows, hold_out
from .settings import Settings, find_device, number_type, one_thread
from .surrogates import Hint, Stage
from .train import Objective, Trained, train

_FEWEST_TO_HOLD_OUT = 40
"""Training rows below which none is held out: the network stays at its linear start."""

_TEMPERATURES = np.exp(np.linspace(-1.5, 1.5, 61))
_LOG_TEMPERATURE_SD = 0.3


@dataclass(frozen=True)
class Problem:
    """What M networks learn from the gold rows: standardised features (n, p), targets (n, q), positive weights (n,).

    ``rows`` are the training rows of each network; everything it draws comes from its own seed. ``adjustment`` times
    the log prior is added to the logits in training (Menon et al. 2021); ``stage`` is learning from surrogate labels
    before.
    """

    head: Head
    x: Floats
    target: Floats
    weight: Floats
    rows: tuple[Ints, ...]
    seeds: tuple[int, ...]
    class_weight: Any = None
    adjustment: float = 0.0
    stage: Stage | None = None

    def one(self, m: int) -> Problem:
        """The problem of one network."""
        stage = None if self.stage is None else self.stage.one(m)
        return replace(self, rows=(self.rows[m],), seeds=(self.seeds[m],), stage=stage)


@dataclass(frozen=True)
class Networks:
    """M trained networks; ``flat`` (M, P), ``scales`` (M, 1, .); ``epochs`` (M,) on gold, 0 at the linear start."""

    head: Head
    layout: Layout
    flat: Floats = field(repr=False)
    scales: dict[str, Floats] = field(repr=False)
    epochs: Ints
    device: str = "cpu"

    def take(self, networks: Any) -> Networks:
        """Some of the networks."""
        at = np.atleast_1d(networks)
        scales = {name: value[at] for name, value in self.scales.items()}
        return Networks(self.head, self.layout, self.flat[at], scales, self.epochs[at], self.device)

    def mean(self, x: Floats) -> Floats:
        """Expectations (M, B), or class probabilities (M, B, K), of the same rows by each network."""
        return self._each(x, lambda out, extra, scales: self.head.mean(out, extra, scales))

    def probability(self, x: Floats, support: Floats) -> Floats:
        """Probabilities of whole numbers, shape (M, B, J)."""
        head: Any = self.head
        return self._each(x, lambda out, extra, scales: head.probability(out, scales, torch.from_numpy(support)))

    def outputs(self, x: Floats) -> Floats:
        """Raw outputs, shape (M, B, n_outputs)."""
        return self._each(x, lambda out, extra, scales: out)

    def _each(self, x: Floats, of: Any, block: int = 8192) -> Floats:
        where = find_device(self.device if self.device != "auto" else "cpu")
        kind = torch.float64 if where.type == "cpu" else torch.float32
        parameters = self.layout.views(torch.from_numpy(self.flat).to(where, kind))
        scales = {name: torch.from_numpy(value).to(where, kind) for name, value in self.scales.items()}
        parts = []
        with torch.no_grad(), one_thread():
            for a in range(0, max(len(x), 1), block):
                rows = torch.from_numpy(np.ascontiguousarray(x[a : a + block])).to(where, kind)
                out = self.layout.forward(parameters, rows.expand(len(self.flat), *rows.shape))
                parts.append(of(out, parameters.get("extra"), scales).to("cpu", torch.float64).numpy())
        return np.concatenate(parts, axis=1)


@dataclass
class _Fit:
    """The networks on their way, on the device."""

    problem: Problem
    settings: Settings
    layout: Layout
    x: Tensor
    weight: Floats
    scales: dict[str, Tensor]
    base: Tensor
    """Hidden layers drawn or pre-trained, shape (M, P)."""
    hint: Hint | None
    """What pre-training made of the last layer and the linear part, or None."""

    def rows(self, rows: list[Ints], networks: Any) -> Rows:
        """Training rows of some networks."""
        return Rows.gather(self.x, self.problem.target, self.weight[networks], rows)


def fit_networks(problem: Problem, settings: Settings) -> Networks:
    """Fit M networks at once."""
    device = find_device(settings.device)
    with one_thread():
        fit = _begin(problem, settings, device)
        n_networks = len(problem.seeds)
        counts = np.array([len(r) for r in problem.rows])
        epochs = np.zeros(n_networks, dtype=np.intp)
        flat = fit.base.clone()
        scales = dict(fit.scales)
        if isinstance(problem.head, Classes):
            scales["temperature"] = torch.ones((n_networks, 1, 1)).to(fit.base)
        if not settings.early_stopping:
            epochs[:] = settings.max_epochs
        judged = np.flatnonzero(counts >= _FEWEST_TO_HOLD_OUT) if settings.early_stopping else np.empty(0, np.intp)
        if len(judged):
            chosen, stopped, temperature = _with_held_out(fit, judged)
            epochs[judged], flat[torch.as_tensor(judged)] = stopped, chosen
            if settings.calibrate and "temperature" in scales:
                assert temperature is not None
                scales["temperature"][torch.as_tensor(judged)] = temperature
        again = np.arange(n_networks)
        if settings.early_stopping and not settings.refit:
            again = np.setdiff1d(again, judged)
        if len(again):
            flat[torch.as_tensor(again)] = _on_all_rows(fit, again, epochs[again])
    return Networks(
        problem.head, fit.layout, flat.cpu().numpy(),
        {name: value.to("cpu", torch.float64).numpy() for name, value in scales.items() if name != "prior"}, epochs,
        settings.device,
    )  # fmt: skip


def _begin(problem: Problem, settings: Settings, device: torch.device) -> _Fit:
    head = problem.head
    kind = number_type(settings.precision, device)
    layout = Layout(problem.x.shape[1], settings.hidden, head.n_outputs, head.n_extra)
    x = torch.from_numpy(np.ascontiguousarray(problem.x)).to(device, kind)
    weight = row_weights(problem)
    scales = network_scales(head, problem.target, weight, problem.rows, problem.adjustment, device, kind)
    base = torch.from_numpy(layout.start(list(problem.seeds))).to(device, kind)
    hint = None
    if problem.stage is not None:
        from .pretrain import pretrain

        base, hint = pretrain(problem, settings, layout, x, base)
    return _Fit(problem, settings, layout, x, weight, scales, base, hint)


def row_weights(problem: Problem) -> Floats:
    """Weights of the gold rows for each network, class weights included, shape (M, n)."""
    weight = np.tile(problem.weight, (len(problem.rows), 1))
    if problem.class_weight is None:
        return weight
    for m, rows in enumerate(problem.rows):
        share = problem.weight[rows] @ problem.target[rows]
        if isinstance(problem.class_weight, str):
            by_class = share.sum() / (len(share) * np.maximum(share, 1e-12))
        else:
            by_class = np.asarray(problem.class_weight, dtype=np.float64)
        weight[m] *= np.maximum(problem.target @ by_class, 1e-12)
    return weight


def network_scales(
    head: Head, target: Floats, weight: Floats, rows: tuple[Ints, ...], adjustment: float, device: Any, kind: Any
) -> dict[str, Tensor]:
    """Constants of the head from each network's own training rows, each of shape (M, 1, .)."""
    found = [head.scales(target[r], weight[m, r]) for m, r in enumerate(rows)]
    if adjustment and head.classifies:
        for m, r in enumerate(rows):
            share = weight[m, r] @ target[r] + 0.5
            found[m]["prior"] = adjustment * np.log(share / share.sum())
    return {name: torch.from_numpy(np.stack([f[name] for f in found])[:, None]).to(device, kind) for name in found[0]}


def _started(fit: _Fit, rows: list[Ints], networks: Any) -> Tensor:
    """Networks at the penalised linear fit to some rows; shape (M, P)."""
    problem, layout, head = fit.problem, fit.layout, fit.problem.head
    at = torch.as_tensor(networks, device=fit.x.device)
    # in double precision, which Apple GPUs do not have
    where = torch.device("cpu") if fit.x.device.type == "mps" else fit.x.device
    scales = {name: value[at].to(where, torch.float64) for name, value in fit.scales.items()}
    begun = [
        head.begin(problem.target[r], fit.weight[m, r], {k: v[i, 0].cpu().numpy() for k, v in scales.items()})
        for i, (m, r) in enumerate(zip(networks, rows))
    ]
    begin = torch.from_numpy(np.stack([b[0] for b in begun])).to(where)
    extra = torch.from_numpy(np.stack([b[1] for b in begun])[:, None]).to(where) if head.n_extra else None
    held = fit.rows(rows, networks)
    x = held.features().to(where, torch.float64)
    p = x.shape[2]
    penalty = torch.full((p,), fit.settings.ridge(p), dtype=torch.float64, device=where)
    known = None
    if fit.hint is not None:
        known, spread = fit.hint.values(at, held.features(), held.weight)
        x = torch.cat([x, known.to(where, torch.float64)], dim=2)
        penalty = torch.cat([penalty, torch.ones(known.shape[2], dtype=torch.float64, device=where)])
    weight = held.weight.to(where, torch.float64)
    total = torch.from_numpy(np.array([fit.weight[m, r].mean() for m, r in zip(networks, rows)])).to(where)
    slope, intercept = linear_start(
        head, x, held.target.to(where, torch.float64), weight * total[:, None], begin, extra, penalty, scales
    )
    flat = fit.base[at].clone()
    views = layout.views(flat)
    if known is not None:
        assert fit.hint is not None
        slope, intercept = fit.hint.fold_in(at, views, slope, intercept, spread)
    views["skip"].copy_(slope)
    views["bias"].copy_(intercept)
    if extra is not None:
        views["extra"].copy_(extra)
    return flat


def _with_held_out(fit: _Fit, networks: Any) -> tuple[Tensor, Any, Tensor | None]:
    """Train with some rows held out: parameters, best epochs, temperatures."""
    problem, settings = fit.problem, fit.settings
    seeds = [problem.seeds[m] for m in networks]
    classes = problem.target.argmax(axis=1) if problem.head.classifies else None
    split = []
    for seed, m in zip(seeds, networks):
        rows = problem.rows[m]
        train_at, held_at = hold_out(
            seed, settings.validation_fraction, None if classes is None else classes[rows], len(rows)
        )
        split.append((rows[train_at], rows[held_at]))
    into, out = [s[0] for s in split], [s[1] for s in split]
    scales = _some(fit.scales, networks)
    held = fit.rows(out, networks)
    start = _started(fit, into, networks)
    objective = Objective(problem.head, scales)
    trained = train(
        fit.layout, start, fit.rows(into, networks), objective, seeds, settings, held=held, anchored=_anchored(fit)
    )
    flat, epochs = _if_clearly_better(fit.layout, objective, held, start, trained)
    temperature = None
    if isinstance(problem.head, Classes) and settings.calibrate:
        temperature = temperatures(problem.head, fit.layout, flat, held)
    return flat, epochs, temperature


def _if_clearly_better(
    layout: Layout, objective: Objective, held: Rows, start: Tensor, trained: Trained
) -> tuple[Tensor, Any]:
    """Trained networks where they beat their linear start by more than a standard error on held-out rows.

    The best of many epochs looks better than it is: with 25 rows held out a linear truth would lose by training on.
    """
    loss = []
    with torch.no_grad():
        networks = torch.arange(len(start), device=start.device)
        for flat in (start, trained.flat):
            parameters = layout.views(flat)
            out = layout.forward(parameters, held.features())
            loss.append(objective.held_out(out, parameters.get("extra"), held, networks))
        share = held.weight / held.weight.sum(dim=1, keepdim=True)
        gain = loss[0] - loss[1]
        mean = (share * gain).sum(dim=1, keepdim=True)
        error = (share.square() * (gain - mean).square()).sum(dim=1).sqrt()
        better = mean[:, 0] > error
    return trained.flat.where(better[:, None], start), np.where(better.cpu().numpy(), trained.epochs, 0)


def _on_all_rows(fit: _Fit, networks: Any, epochs: Any) -> Tensor:
    """Train on all rows for a given number of epochs."""
    rows = [fit.problem.rows[m] for m in networks]
    start = _started(fit, rows, networks)
    if not np.any(epochs):
        return start
    return train(
        fit.layout, start, fit.rows(rows, networks), Objective(fit.problem.head, _some(fit.scales, networks)),
        [fit.problem.seeds[m] for m in networks], fit.settings, epochs=epochs, anchored=_anchored(fit),
        label="training on all rows",
    ).flat  # fmt: skip


def temperatures(head: Classes, layout: Layout, flat: Tensor, held: Rows) -> Tensor:
    """Temperature of each network by held-out cross-entropy (Guo et al. 2017), shape (M, 1, 1).

    A normal prior on its logarithm (standard deviation .3) keeps it near 1 where few rows are held out.
    """
    with torch.no_grad():
        parameters = layout.views(flat)
        out = layout.forward(parameters, held.features())
        losses = []
        for t in _TEMPERATURES:
            log_p = head.log_probability(out, parameters.get("extra"), torch.full((1, 1, 1), t).to(out))
            loss = (-(held.target * log_p).sum(dim=-1) * held.weight).sum(dim=1)
            losses.append(loss + 0.5 * (np.log(t) / _LOG_TEMPERATURE_SD) ** 2)
        best = torch.stack(losses).argmin(dim=0)
    return torch.from_numpy(_TEMPERATURES).to(flat)[best][:, None, None]


def _some(scales: dict[str, Tensor], networks: Any) -> dict[str, Tensor]:
    return {name: value[torch.as_tensor(networks, device=value.device)] for name, value in scales.items()}


def _anchored(fit: _Fit) -> tuple[str, ...]:
    return ("skip",) if fit.hint is None else ("skip", "weight", "last")
