"""Labels to learn from, hard or soft, and the rows held out to decide when to stop."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...errors import DataError

if TYPE_CHECKING:
    from ..._core.types import Floats, Ints


def read_targets(y: object, n: int) -> tuple[np.ndarray, Floats]:
    """Classes and their probabilities in each row.

    Parameters
    ----------
    y : array_like, shape (n,) or (n, K)
        Classes, or probabilities; the columns of a data frame name the classes.
    n : int
        Number of texts.

    Returns
    -------
    classes : ndarray, shape (K,)
    target : ndarray, shape (n, K)
        Rows add up to one.

    Raises
    ------
    DataError
        If labels are missing, are not distributions, or there is one class only.

    Examples
    --------
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

    Parameters
    ----------
    target : ndarray, shape (n, K)
    share : float or None
        Share held out.
    rng : numpy.random.Generator

    Returns
    -------
    training, held_out : ndarray of int

    Examples
    --------
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
