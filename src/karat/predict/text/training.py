"""What a text classifier learns from, and minibatches of soft cross-entropy with early stopping."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from ..._core.types import Floats, Ints
from ...errors import DataError, LearnerError


def read_targets(y: object, n: int) -> tuple[np.ndarray, Floats]:
    """Classes and their probabilities in each row.

    ``y`` (n,): classes, or probabilities; the columns of a data frame name the classes; ``n``: number of texts. Gives
    ``classes`` (K,), ``target`` (n, K) (rows add up to one).

    >>> read_targets(["no", "yes", "no"], 3)[1].tolist()
    [[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]]
    """
    import pandas as pd

    names = getattr(y, "columns", None)
    values = np.asarray(y)
    if values.ndim not in (1, 2) or len(values) != n:
        raise DataError(f"y has shape {values.shape} for {n} texts; give one label, or one row of probabilities, each.")
    if pd.isna(values).any():
        raise DataError(f"y is missing for {int(pd.isna(values).reshape(n, -1).any(axis=1).sum())} text(s); drop them.")
    if values.ndim == 1:
        classes, codes = np.unique(values, return_inverse=True)
        if len(classes) < 2:
            raise DataError(f"y holds one class only ({classes[0]!r}); a classifier needs two.")
        return classes, np.eye(len(classes))[codes]
    target = values.astype(np.float64)
    if target.shape[1] < 2 or (target < 0).any() or (np.abs(target.sum(axis=1) - 1) > 1e-4).any():
        raise DataError("y as probabilities needs two columns or more, none negative, adding up to 1 in every row.")
    classes = np.arange(target.shape[1]) if names is None else np.asarray(list(names))
    return classes, target / target.sum(axis=1, keepdims=True)


def split_rows(target: Floats, share: float | None, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """Rows to train on and rows held out, each class in proportion; none are held out where there are few.

    ``target`` (n, K); ``share``: share held out.

    >>> training, held_out = split_rows(np.eye(2)[[0, 1] * 20], 0.25, np.random.default_rng(0))
    >>> len(training), len(held_out)
    (30, 10)
    """
    everything = np.arange(len(target))
    if share is None or len(target) < 20:
        return everything, everything[:0]
    order = rng.permutation(len(target))
    order = order[np.argsort(target[order].argmax(axis=1), kind="stable")]
    size = max(2, round(share * len(target)))
    at = np.floor((np.arange(size) + 0.5) * len(target) / size).astype(np.intp)
    held = np.sort(order[at])
    return np.setdiff1d(everything, held), held


@dataclass(frozen=True)
class Lesson:
    """What is to be learnt: probabilities (n, K), weights, rows to train on and rows that decide when to stop."""

    target: Floats = field(repr=False)
    weight: Floats = field(repr=False)
    training: Ints = field(repr=False)
    held_out: Ints = field(repr=False)
    rng: np.random.Generator
    device: str


def train_network(
    forward: Callable[[Ints], Any], parts: list[Any], optimiser: Any, schedule: Any, lesson: Lesson, *, epochs: int,
    patience: int, batch_size: int, progress: bool,
) -> tuple[int, float | None]:  # fmt: skip
    """Train the parts of a network, given its logits; the best epoch on held-out rows is kept, with its loss."""
    from tqdm import tqdm

    loss = _loss(forward, lesson)
    best, kept, done, waited = np.inf, None, 0, 0
    for epoch in tqdm(range(epochs), disable=not progress, unit="epoch"):
        _one_epoch(loss, parts, optimiser, schedule, _portions(lesson.rng.permutation(lesson.training), batch_size))
        if not len(lesson.held_out):
            done = epoch + 1
            continue
        now = _held_out(loss, _portions(lesson.held_out, batch_size))
        if now < best - 1e-5:
            best, waited, done = now, 0, epoch + 1
            kept = [{k: v.detach().clone() for k, v in part.state_dict().items()} for part in parts]
        else:
            waited += 1
            if waited >= patience:
                break
    if kept is not None:
        for part, state in zip(parts, kept):
            part.load_state_dict(state)
    if not all(bool(torch.isfinite(p).all()) for part in parts for p in part.parameters()):
        raise LearnerError("training diverged: weights are not finite; lower learning_rate=, use precision='float32'.")
    return done, None if kept is None else float(best)


def _loss(forward: Callable[[Ints], Any], lesson: Lesson) -> Callable[[Ints], tuple[Any, Any]]:
    goal = torch.tensor(lesson.target, dtype=torch.float32, device=lesson.device)
    mean = lesson.weight[lesson.training].mean() or 1.0
    weight = torch.tensor(lesson.weight / mean, dtype=torch.float32, device=lesson.device)

    def loss(rows: Ints) -> tuple[Any, Any]:
        at = torch.as_tensor(rows, device=lesson.device)
        each = -(goal[at] * torch.log_softmax(forward(rows), dim=1)).sum(dim=1)
        return (each * weight[at]).sum(), weight[at].sum()

    return loss


def _one_epoch(
    loss: Callable[[Ints], tuple[Any, Any]], parts: list[Any], optimiser: Any, schedule: Any, batches: Iterator[Ints]
) -> None:
    parameters = [p for part in parts for p in part.parameters()]
    for part in parts:
        part.train()
    for rows in batches:
        optimiser.zero_grad()
        total, size = loss(rows)
        if float(size) > 0:
            (total / size).backward()
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            optimiser.step()
        if schedule is not None:
            schedule.step()
    for part in parts:
        part.eval()


def _held_out(loss: Callable[[Ints], tuple[Any, Any]], batches: Iterator[Ints]) -> float:
    with torch.inference_mode():
        sums = [[float(v) for v in loss(rows)] for rows in batches]
    now = sum(s[0] for s in sums) / max(sum(s[1] for s in sums), 1e-12)
    if not np.isfinite(now):
        raise LearnerError(
            "training diverged (the loss is not finite); lower learning_rate= or use precision='float32'."
        )
    return now


def _portions(rows: Ints, size: int) -> Iterator[Ints]:
    for start in range(0, len(rows), size):
        yield rows[start : start + size]
