"""Random numbers that depend on the content of the data, not on names or positions.

A method with random starts gives the same answer after renaming or shuffling only if each worker's
random numbers move along with the worker. Here tasks, workers and classes get keys from who answered
what (a few rounds of colour refinement on integers, whose sums do not depend on order), and random
numbers are hashes of these keys.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from ..._core.types import Array, Floats
    from ..tables.annotations import Annotations


def content_keys(annotations: Annotations, rounds: int = 3) -> tuple[Array, Array]:
    """Keys of workers and classes that renaming and shuffling leave in place.

    References
    ----------
    Weisfeiler and Leman (1968), for colour refinement.

    Examples
    --------
    >>> import numpy as np
    >>> from karat.labels import Annotations
    >>> t, w, y = np.array([0, 0, 1]), np.array(["a", "b", "a"]), np.array(["x", "y", "x"])
    >>> one, _ = content_keys(Annotations.of(t, w, y))
    >>> two, _ = content_keys(Annotations.of(t, np.array(["z", "b", "z"]), y))
    >>> bool(one[0] == two[1])
    True
    """
    a = annotations
    task, worker, label = (np.zeros(n, dtype=np.uint64) for n in (a.n_tasks, a.n_workers, a.n_classes))
    weight: Array = np.zeros(1, dtype=np.uint64)
    if a.weight is not None:
        weight = np.round(a.weight * 2.0**40).astype(np.uint64)
    for _ in range(rounds):
        each = _mix(_mix(_mix(task[a.task] + np.uint64(1)) ^ worker[a.worker]) + label[a.label])
        each = _mix(each + weight)
        task, worker, label = (
            _mix(old + _sums(each, code, len(old)))
            for old, code in ((task, a.task), (worker, a.worker), (label, a.label))
        )
    return worker, label


def uniforms(seed: int, *keys: Array) -> Floats:
    """Numbers in [0, 1) that depend on a seed and on keys, broadcast against each other."""
    with np.errstate(over="ignore"):
        out = _mix(np.asarray(seed % 2**64, dtype=np.uint64))
        for key in keys:
            out = _mix(out + key)
    return np.asarray((out >> np.uint64(11)).astype(np.float64) * 2.0**-53)


def _mix(x: Array) -> Array:
    """The splitmix64 finaliser."""
    with np.errstate(over="ignore"):
        x = np.asarray(x, dtype=np.uint64) + np.uint64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return np.asarray(x ^ (x >> np.uint64(31)))


def _sums(values: Array, code: Array, size: int) -> Array:
    """Sums of 64-bit integers by group, modulo 2^64."""
    out = np.zeros(size, dtype=np.uint64)
    with np.errstate(over="ignore"):
        np.add.at(out, code, values)
    return out
