"""Minibatches of soft cross-entropy with early stopping."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import LearnerError

if TYPE_CHECKING:
    from ..._core.types import Floats, Ints


@dataclass(frozen=True)
class Lesson:
    """What is to be learnt.

    Parameters
    ----------
    target : ndarray, shape (n, K)
        Probabilities of classes.
    weight : ndarray, shape (n,)
    training, held_out : ndarray of int
        Rows to train on, and rows that decide when to stop.
    rng : numpy.random.Generator
        Order of the batches.
    device : str
    """

    target: Floats = field(repr=False)
    weight: Floats = field(repr=False)
    training: Ints = field(repr=False)
    held_out: Ints = field(repr=False)
    rng: np.random.Generator
    device: str


def train_network(
    forward: Callable[[Ints], Any],
    parts: list[Any],
    optimiser: Any,
    schedule: Any,
    lesson: Lesson,
    *,
    epochs: int,
    patience: int,
    batch_size: int,
    progress: bool,
) -> tuple[int, float | None]:
    """Train the parts of a network; the epoch that does best on held-out rows is kept.

    Parameters
    ----------
    forward : callable
        Rows -> logits, shape (rows, K).
    parts : list of torch modules
    optimiser, schedule : torch optimiser, and learning rate schedule or None
    lesson : Lesson
    epochs, patience, batch_size : int
    progress : bool

    Returns
    -------
    n_epochs : int
        Passes that the kept weights have had.
    loss : float or None
        Held-out loss; None when no rows are held out.

    Raises
    ------
    LearnerError
        If training diverges.
    """
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
    _check_finite(parts)
    return done, None if kept is None else float(best)


def _loss(forward: Callable[[Ints], Any], lesson: Lesson) -> Callable[[Ints], tuple[Any, Any]]:
    import torch

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
    import torch

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
    import torch

    with torch.inference_mode():
        sums = [[float(v) for v in loss(rows)] for rows in batches]
    now = sum(s[0] for s in sums) / max(sum(s[1] for s in sums), 1e-12)
    if not np.isfinite(now):
        raise LearnerError(
            "training diverged (the loss is not finite); lower learning_rate= or use precision='float32'."
        )
    return now


def _check_finite(parts: list[Any]) -> None:
    import torch

    if not all(bool(torch.isfinite(p).all()) for part in parts for p in part.parameters()):
        raise LearnerError("training diverged: weights are not finite; lower learning_rate=, use precision='float32'.")


def _portions(rows: Ints, size: int) -> Iterator[Ints]:
    for start in range(0, len(rows), size):
        yield rows[start : start + size]
