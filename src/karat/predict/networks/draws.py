"""Random draws of each network from its own seed, so that it draws the same alone and beside others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from ..._core.types import Floats, Ints

START, SPLIT, ORDER, DROP, PEER, ROWS = range(6)
"""What a stream of random numbers is for."""


def stream(seed: int, purpose: int, *more: int) -> np.random.Generator:
    """Random numbers of one network for one purpose."""
    return np.random.default_rng([int(seed), purpose, *more])


def hold_out(seed: int, fraction: float, classes: Ints | None, n_rows: int) -> tuple[Ints, Ints]:
    """Rows to train on and rows held out, balanced on classes.

    Parameters
    ----------
    seed : int
    fraction : float
    classes : ndarray of int, shape (n_rows,), or None
    n_rows : int

    Returns
    -------
    train, held : ndarray of int
        Sorted.

    Examples
    --------
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
