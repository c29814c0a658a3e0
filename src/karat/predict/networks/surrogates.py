"""Learning from the surrogate labels of all rows before gold: the first stage of a network.

Pre-training sees every feature but the surrogates themselves, so that it learns what the text says about the label
and not the surrogate's identity. What it made of the last layer is then offered to the linear start beside
the features, hidden layers are kept, and the gold of the training folds trains the whole on.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..._core.types import Bools, Floats, Ints
from ...errors import ArgumentError, DataError
from .heads import Head
from .layout import Layout


@dataclass(frozen=True)
class Surrogates:
    """Surrogate labels of one label, of all units, as cross-fitting hands them on.

    ``values`` (N, S) are class distributions (gold's classes first, then others), or numbers; missing is not a number.
    Networks with the same seed share their pre-training.
    """

    values: Floats = field(repr=False)
    classes: bool
    hide: tuple[int, ...]
    seeds: tuple[int, ...]

    def stage(self, every: Floats) -> Stage:
        """The first stage."""
        return make_stage(every, self.values, self.classes, self.hide, self.seeds)


@dataclass(frozen=True)
class Stage:
    """The first stage of M networks; ``labels`` (N, S) are 0 in rows that are not ``there``."""

    x: Floats = field(repr=False)
    labels: Floats = field(repr=False)
    there: Bools = field(repr=False)
    classes: bool
    hide: Ints
    seeds: tuple[int, ...]

    def one(self, m: int) -> Stage:
        """The stage of one network."""
        return replace(self, seeds=(self.seeds[m],))

    def standardise(self, centre: Floats, spread: Floats) -> Stage:
        """The same with standardised features."""
        return replace(self, x=(self.x - centre) / spread)


@dataclass(frozen=True)
class Hint:
    """What pre-training made of the outputs. ``flat`` (M, P)."""

    layout: Layout
    flat: Tensor

    def values(self, networks: Tensor, x: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Pre-trained outputs with standard deviation 1 over the rows, and what they were divided by.

        Padding has weight 0 and does not count.
        """
        with torch.no_grad():
            z = self.layout.forward(self.layout.views(self.flat[networks]), x)
            share = (weight / weight.sum(dim=1, keepdim=True))[..., None]
            centre = (share * z).sum(dim=1, keepdim=True)
            spread = (share * (z - centre).square()).sum(dim=1, keepdim=True).sqrt().clamp_min(1e-3)
        return z / spread, spread

    def fold_in(
        self, networks: Tensor, parameters: dict[str, Tensor], slope: Any, intercept: Any, spread: Any
    ) -> tuple[Any, Any]:
        """Give the pre-trained outputs their slope: into the last layer, the linear part and the intercept."""
        own = self.layout.views(self.flat[networks])
        p = own["skip"].shape[1]
        each = slope[:, p:] / spread.to(slope).transpose(1, 2)
        if "last" in own:
            parameters["last"].copy_(torch.bmm(own["last"].to(each), each))
        return slope[:, :p] + torch.bmm(own["skip"].to(each), each), intercept + torch.bmm(own["bias"].to(each), each)


def make_stage(x: Floats, labels: Floats, classes: bool, hide: Any, seeds: tuple[int, ...]) -> Stage:
    """Check surrogate labels."""
    there: Bools = np.asarray(np.isfinite(labels).all(axis=1))
    if not there.any():
        raise DataError("surrogate is missing in every row; give surrogate labels, or use pretrain=None.")
    if classes and (labels[there].sum(axis=0) > 0).sum() < 2:
        raise DataError("surrogate holds one class only; nothing can be learnt from it. Use pretrain=None.")
    filled = np.where(there[:, None], labels, 0.0)
    return Stage(x, filled, there, classes, np.asarray(hide, dtype=np.intp), seeds)


def read_stage(
    estimator: Any, head: Head, x: Floats, seed: int, *, surrogate: Any, X_all: Any, hide: Any
) -> tuple[Stage, Floats]:
    """The first stage from the arguments of ``fit``, and the features of all rows."""
    from sklearn.utils.validation import check_array

    if estimator.pretrain is None:
        raise ArgumentError(
            "surrogate, X_all and hide are for pre-training, and pretrain is None; use pretrain='surrogates'."
        )
    if surrogate is None:
        raise ArgumentError("pretrain='surrogates' needs surrogate labels; give surrogate=, one per row of X_all.")
    every = x if X_all is None else check_array(X_all, dtype=np.float64, input_name="X_all")
    if every.shape[1] != x.shape[1]:
        raise ArgumentError(f"X_all has {every.shape[1]} columns, X has {x.shape[1]}; give the same features.")
    if np.shape(surrogate)[:1] != (len(every),):
        came = f"{np.shape(surrogate)[0]} rows" if np.ndim(surrogate) else "a single value"
        raise ArgumentError(f"surrogate has {came}, X_all has {len(every)}; give one surrogate label per row.")
    hidden = np.asarray([] if hide is None else hide)
    if hidden.size and (hidden.dtype.kind not in "iu" or (hidden < 0).any() or (hidden >= x.shape[1]).any()):
        raise ArgumentError(f"hide must hold columns of X, 0 to {x.shape[1] - 1}.")
    if head.classifies:
        labels = class_labels(surrogate, estimator.classes_)
    else:
        labels = np.asarray(surrogate, dtype=np.float64).reshape(len(every), -1)
    return make_stage(every, labels, head.classifies, hidden, (seed,)), every


def class_labels(surrogate: Any, classes: Any) -> Floats:
    """Surrogate classes as distributions over gold's classes, then any that gold does not have; missing rows as NaN.

    ``surrogate`` (N,); ``classes``: gold's K classes.

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
        return np.clip(soft, 0.0, None)
    flat = pd.Series(array.reshape(len(array)))
    known = list(classes)
    unseen = [c for c in pd.unique(flat.dropna()) if c not in set(known)]
    codes = pd.Categorical(flat, categories=known + sorted(unseen, key=str)).codes
    out = np.eye(len(known) + len(unseen))[np.maximum(codes, 0)]
    out[codes < 0] = np.nan
    return out
